/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: UEFI specification, "EFI Configuration Table" and "Graphics Output Protocol"; UEFI
 * Platform Initialization specification, "MP Services Protocol".
 */
#include "boot/firmware.h"

#include <efi.h>
#include <efilib.h>

#include "boot/pages.h"

/* EFI_MP_SERVICES_PROTOCOL, which gnu-efi does not declare. */
#define MP_SERVICES_GUID \
	{ \
		0x3fdda605, 0xa76e, 0x4f46, \
		{ \
			0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 \
		} \
	}

struct mp_processor {
	UINT64 id; /* local APIC id */
	UINT32 flags;
	UINT32 package;
	UINT32 core;
	UINT32 thread;
	UINT32 extended[6]; /* newer firmware may fill these */
};
#define MP_IS_BSP 1u
#define MP_IS_ENABLED 2u
#define MP_IS_HEALTHY 4u

struct mp_services {
	EFI_STATUS(EFIAPI *count)
	(struct mp_services *self, UINTN *all, UINTN *enabled);
	EFI_STATUS(EFIAPI *info)
	(struct mp_services *self, UINTN number, struct mp_processor *out);
	/* More follows: starting and switching processors, not used. */
};

static uint64_t table_address(EFI_GUID guid)
{
	VOID *table = NULL;

	if (EFI_ERROR(LibGetSystemConfigurationTable(&guid, &table))) {
		return 0;
	}
	return (uint64_t)table;
}

void firmware_find_tables(struct handoff *handoff)
{
	handoff->rsdp = table_address((EFI_GUID)ACPI_20_TABLE_GUID);
	if (handoff->rsdp == 0) {
		handoff->rsdp = table_address((EFI_GUID)ACPI_TABLE_GUID);
	}
	handoff->smbios = table_address((EFI_GUID)SMBIOS3_TABLE_GUID);
	if (handoff->smbios == 0) {
		handoff->smbios = table_address((EFI_GUID)SMBIOS_TABLE_GUID);
	}
}

/* The handoff's name for the mode's pixels, or -1 when they are neither of the two. */
static int pixel_format(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
	const EFI_PIXEL_BITMASK *mask = &info->PixelInformation;

	if (info->PixelFormat == PixelRedGreenBlueReserved8BitPerColor ||
	    (info->PixelFormat == PixelBitMask && mask->RedMask == 0xff &&
	     mask->GreenMask == 0xff00 && mask->BlueMask == 0xff0000)) {
		return HANDOFF_PIXEL_RGBX;
	}
	if (info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor ||
	    (info->PixelFormat == PixelBitMask && mask->BlueMask == 0xff &&
	     mask->GreenMask == 0xff00 && mask->RedMask == 0xff0000)) {
		return HANDOFF_PIXEL_BGRX;
	}
	return -1;
}

void firmware_find_framebuffer(struct handoff *handoff)
{
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = NULL;
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info;
	uint64_t bytes;
	int format;

	if (EFI_ERROR(LibLocateProtocol(&GraphicsOutputProtocol, (VOID **)&gop)) ||
	    gop->Mode == NULL || gop->Mode->Info == NULL) {
		return;
	}
	info = gop->Mode->Info;
	format = pixel_format(info);
	bytes = (uint64_t)info->PixelsPerScanLine * info->VerticalResolution * 4;
	if (format < 0 || gop->Mode->FrameBufferBase == 0 || bytes == 0 ||
	    info->HorizontalResolution > info->PixelsPerScanLine) {
		return;
	}
	handoff->framebuffer = (struct handoff_framebuffer){
		.base = gop->Mode->FrameBufferBase,
		.size = bytes,
		.width = info->HorizontalResolution,
		.height = info->VerticalResolution,
		.stride = info->PixelsPerScanLine,
		.format = (uint32_t)format,
	};
}

static struct handoff_cpu describe(const struct mp_processor *p)
{
	return (struct handoff_cpu){
		.apic_id = (uint32_t)p->id,
		.flags = ((p->flags & MP_IS_BSP) != 0 ? HANDOFF_CPU_BSP : 0) |
			 ((p->flags & MP_IS_ENABLED) != 0 ? HANDOFF_CPU_ENABLED : 0) |
			 ((p->flags & MP_IS_HEALTHY) != 0 ? HANDOFF_CPU_HEALTHY : 0),
	};
}

void firmware_list_cpus(struct handoff *handoff)
{
	EFI_GUID guid = MP_SERVICES_GUID;
	struct mp_services *mp = NULL;
	struct handoff_cpu *cpus;
	UINTN all = 0;
	UINTN enabled;

	if (EFI_ERROR(LibLocateProtocol(&guid, (VOID **)&mp)) ||
	    EFI_ERROR(mp->count(mp, &all, &enabled)) || all == 0) {
		return;
	}
	cpus = pages_take(all * sizeof(*cpus), HANDOFF_MEM_LOADER);
	if (cpus == NULL) {
		return;
	}
	handoff->cpus = (uint64_t)cpus;
	for (UINTN i = 0; i < all; i++) {
		struct mp_processor p = {0};

		if (!EFI_ERROR(mp->info(mp, i, &p))) {
			cpus[handoff->cpu_count++] = describe(&p);
		}
	}
}
