/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware often shows its text console on COM1 as well. Lines there are ours alone, written to the
 * UART and never cut or coloured by a terminal driver; so on such a machine text goes to the
 * screens behind the console, not to the console itself.
 */
#include "boot/console.h"

#include <efi.h>
#include <efilib.h>

#include "boot/serial.h"

#define LINE_MAX 240
#define SCREENS_MAX 4

/* ACPI device path node of a PNP0501 UART: EISA id, then which one. */
#define EISA_PNP0501 0x050141d0u

static SIMPLE_TEXT_OUTPUT_INTERFACE *screens[SCREENS_MAX];
static unsigned screen_count;
static bool has_graphics;

static bool is_com1_terminal(EFI_HANDLE handle)
{
	EFI_DEVICE_PATH *node = DevicePathFromHandle(handle);

	for (; node != NULL && !IsDevicePathEnd(node); node = NextDevicePathNode(node)) {
		ACPI_HID_DEVICE_PATH *acpi = (ACPI_HID_DEVICE_PATH *)node;

		if (DevicePathType(node) == ACPI_DEVICE_PATH && acpi->HID == EISA_PNP0501 &&
		    acpi->UID == 0) {
			return true;
		}
	}
	return false;
}

static bool has_protocol(EFI_HANDLE handle, EFI_GUID *guid)
{
	VOID *interface;

	return !EFI_ERROR(uefi_call_wrapper(BS->HandleProtocol, 3, handle, guid, &interface));
}

static void add_screen(EFI_HANDLE handle)
{
	VOID *text;

	if (screen_count < SCREENS_MAX &&
	    !EFI_ERROR(uefi_call_wrapper(BS->HandleProtocol, 3, handle, &TextOutProtocol, &text))) {
		screens[screen_count++] = text;
	}
}

/* Returns whether the firmware's console reaches COM1; collects the screens in passing. */
static bool look_at_outputs(void)
{
	EFI_HANDLE *handles = NULL;
	UINTN count = 0;
	bool com1 = false;

	if (EFI_ERROR(LibLocateHandle(ByProtocol, &TextOutProtocol, NULL, &count, &handles))) {
		return false;
	}
	for (UINTN i = 0; i < count; i++) {
		/* The console handle itself may carry both protocols: it is the sum of the others.
		 */
		if (handles[i] == ST->ConsoleOutHandle && count > 1) {
			continue;
		}
		com1 = com1 || is_com1_terminal(handles[i]);
		if (has_protocol(handles[i], &GraphicsOutputProtocol)) {
			has_graphics = true;
			add_screen(handles[i]);
		}
	}
	FreePool(handles);
	return com1;
}

uint16_t console_init(void)
{
	bool com1 = look_at_outputs();
	uint16_t port = serial_init(com1);

	if (!com1 || port == 0) {
		screens[0] = ST->ConOut;
		screen_count = screens[0] != NULL ? 1 : 0;
	}
	return port;
}

bool console_has_screen(void)
{
	return has_graphics && screen_count > 0;
}

static void screen_write(CHAR16 *text)
{
	for (unsigned i = 0; i < screen_count; i++) {
		uefi_call_wrapper(screens[i]->OutputString, 2, screens[i], text);
	}
}

/* gnu-efi has put CR before LF already; the UART's writer does that itself. */
static void uart_write(const CHAR16 *text)
{
	char line[LINE_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < LINE_MAX && text[i] != 0; i++) {
		if (text[i] != '\r') {
			line[n++] = (char)text[i];
		}
	}
	serial_write(line, n);
}

void console_print(const CHAR16 *format, ...)
{
	CHAR16 line[LINE_MAX];
	va_list args;

	va_start(args, format);
	UnicodeVSPrint(line, sizeof(line), format, args);
	va_end(args);
	uart_write(line);
	screen_write(line);
}

static bool key_pressed(void)
{
	EFI_INPUT_KEY key;

	return ST->ConIn != NULL &&
	       !EFI_ERROR(uefi_call_wrapper(ST->ConIn->ReadKeyStroke, 2, ST->ConIn, &key));
}

void console_countdown(unsigned seconds)
{
	CHAR16 line[80];

	while (key_pressed()) {
		/* A key from before the question does not answer it. */
	}
	for (unsigned tenths = seconds * 10; tenths > 0 && !key_pressed(); tenths--) {
		if (tenths % 10 == 0) {
			UnicodeSPrint(line, sizeof(line),
				      L"\rBack to the firmware in %d s (any key: now) ",
				      tenths / 10);
			screen_write(line);
		}
		uefi_call_wrapper(BS->Stall, 1, 100000);
	}
	UnicodeSPrint(line, sizeof(line), L"\n");
	screen_write(line);
}
