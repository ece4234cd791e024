/* SPDX-License-Identifier: Apache-2.0 */
/* The key `firmware`, and folders without a kernel. */
#include "hv/config_firmware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/addr.h"
#include "hv/base/bits.h"

#define FILES 5u /* of the folder firmware/, first in the tree */

static struct config_entry entries[16];
static struct config_tree tree;
static char reports[4096];
static struct guest_config guest;

static void collect(void *ctx, const struct config_error *error)
{
	size_t at = strlen(reports);

	(void)ctx;
	config_error_format(error, reports + at, sizeof(reports) - at - 1);
	strcat(reports, "\n");
}

static enum hv_status load(const char *folder, const char *text)
{
	static const struct config_reporter reporter = {collect, NULL};

	reports[0] = '\0';
	return config_load_guest(&tree, span_of(folder), span_of(text), &reporter, &guest);
}

static void add(const char *path, uint64_t size)
{
	entries[tree.count++] = (struct config_entry){.path = span_of(path), .size = size};
	tree.entries = entries;
	assert_true(tree.count <= ARRAY_SIZE(entries));
}

static int setup(void **state)
{
	(void)state;
	tree.count = 0;
	add("firmware/bios-256k.bin", KIB(256));
	add("firmware/OVMF_CODE_4M.fd", KIB(3568));
	add("firmware/OVMF_VARS_4M.fd", KIB(528));
	add("firmware/vgabios-stdvga.bin", 39424);
	add("firmware/notes.txt", 10);
	return 0;
}

static void refused(const char *folder, const char *text, const char *report)
{
	assert_int_equal(load(folder, text), HV_E_INVALID);
	assert_string_equal(reports, report);
}

static void test_the_kernel_decides(void **state)
{
	(void)state;
	add("web/vmlinuz", 100);
	add("web/root.img", 1024);
	assert_int_equal(load("web", ""), HV_OK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_NONE);
	assert_int_equal(guest.disk_count, 0);
	assert_int_equal(load("web", "firmware = auto\ndisk = root.img"), HV_OK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_NONE);
	/* Firmware that was asked for does not start a kernel that was not. */
	assert_int_equal(load("web", "firmware = bios"), HV_OK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_IS_BIOS);
	assert_int_equal(guest.bios, 0);
	assert_int_equal(guest.vgabios, 3);
	assert_int_equal(guest.kernel, CONFIG_NO_ENTRY);
	assert_int_equal(guest.disk_count, 1);
	assert_int_equal(load("web", "firmware = uefi\nkernel = vmlinuz"), HV_OK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_IS_UEFI);
	assert_int_equal(guest.kernel, FILES);
	assert_int_equal(guest.disk_count, 0);
	refused("web", "firmware = bios\nkernel = vmlinuz",
		"web/guest.conf: for SeaBIOS to start a kernel, there has to be "
		"firmware/linuxboot_dma.bin below \\bulkhead\n");
	add("firmware/linuxboot_dma.bin", 1536);
	assert_int_equal(load("web", "firmware = bios\nkernel = vmlinuz"), HV_OK);
	assert_int_equal(guest.linuxboot, FILES + 2);
	assert_int_equal(guest.kernel, FILES);
}

/* Firmware has a screen unless told otherwise, a kernel only where it is asked for. */
static void test_the_screen_comes_with_firmware(void **state)
{
	(void)state;
	add("web/vmlinuz", 100);
	add("pc/root.img", 1024);
	assert_int_equal(load("web", ""), HV_OK);
	assert_false(guest.vga);
	assert_int_equal(load("web", "vga = on"), HV_OK);
	assert_true(guest.vga);
	assert_int_equal(load("web", "firmware = bios"), HV_OK);
	assert_true(guest.vga);
	assert_int_equal(load("pc", ""), HV_OK);
	assert_true(guest.vga);
	assert_int_equal(load("pc", "vga = off"), HV_OK);
	assert_false(guest.vga);
}

static void test_a_disk_alone(void **state)
{
	(void)state;
	add("web/root.img", 1024);
	add("web/initrd.img", 1024);
	assert_int_equal(load("web", ""), HV_OK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_AUTO);
	assert_int_equal(guest.disk_count, 1);
	assert_int_equal(guest.disks[0].file, FILES);
	assert_int_equal(guest.bios, 0);
	assert_int_equal(guest.uefi_code, 1);
	assert_int_equal(guest.uefi_vars, 2);
	assert_int_equal(load("web", "firmware = uefi"), HV_OK);
	assert_int_equal(guest.disk_count, 1);
	assert_int_equal(guest.uefi_code, 1);
	assert_int_equal(guest.bios, CONFIG_NO_ENTRY);
	refused("web", "firmware = none",
		"web/guest.conf: no kernel in the folder (a file named vmlinuz*, bzImage* or "
		"kernel*), and no disk to boot from\n");
	add("web/other.raw", 1024);
	refused("web", "",
		"web/: both \"root.img\" and \"other.raw\" could be the disk; say which with disk "
		"= in guest.conf\n");
	assert_int_equal(load("web", "disk = other.raw"), HV_OK);
	assert_int_equal(guest.disks[0].file, FILES + 2);
}

static void test_other_formats(void **state)
{
	(void)state;
	add("web/a.qcow2", 1024);
	refused("web", "",
		"web/: \"a.qcow2\" is no raw image: qemu-img convert -O raw makes one\n");
}

static void test_what_is_missing(void **state)
{
	(void)state;
	add("web/root.img", 1024);
	entries[0].path = span_of("firmware/other.bin");
	refused("web", "firmware = bios",
		"web/guest.conf: it starts in firmware, and there is no "
		"firmware/bios-256k.bin below \\bulkhead\n");
	/* Which one is wanted only the disk says. */
	assert_int_equal(load("web", ""), HV_OK);
	assert_int_equal(guest.bios, CONFIG_NO_ENTRY);
	entries[2].size = 0;
	refused("web", "firmware = uefi",
		"web/guest.conf: it starts in firmware, and there is no "
		"firmware/OVMF_VARS_4M.fd below \\bulkhead\n");
	entries[2].size = MIB(15);
	refused("web", "firmware = uefi",
		"web/guest.conf: OVMF's two files have 19382272 bytes; allowed: up to 16 MiB\n");
}

static void test_an_image_of_ones_own(void **state)
{
	(void)state;
	add("web/my.rom", KIB(128));
	assert_int_equal(load("web", "firmware = my.rom"), HV_OK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_IMAGE);
	assert_int_equal(guest.bios, FILES);
	entries[FILES].size = 1000;
	refused("web", "firmware = my.rom",
		"web/guest.conf: the firmware web/my.rom has 1000 bytes; allowed: whole pages, up "
		"to 16 MiB\n");
	entries[FILES].size = MIB(17);
	assert_int_equal(load("web", "firmware = my.rom"), HV_E_INVALID);
	refused("web", "firmware = seabios",
		"web/guest.conf:1: firmware: found \"seabios\"; allowed: auto, none, bios, uefi, or a "
		"file, as ovmf.fd\n");
	refused("web", "firmware = my.rmo",
		"web/guest.conf:1: firmware: there is no file \"web/my.rmo\" below \\bulkhead; did you "
		"mean \"my.rom\"?\n");
}

static void test_firmware_is_no_guest(void **state)
{
	unsigned cursor = 0;
	struct span name;

	(void)state;
	add("web/vmlinuz", 100);
	assert_true(config_next_folder(&tree, &cursor, &name));
	assert_true(span_eq(name, "web"));
	assert_false(config_next_folder(&tree, &cursor, &name));
}

static void boots_from(const char *text, unsigned count, enum config_boot first)
{
	assert_int_equal(load("web", text), HV_OK);
	assert_int_equal(guest.boot_count, count);
	assert_int_equal(guest.boot[0], first);
	assert_true(count == 1 || guest.boot[1] != first);
}

/* A NIC with a ROM may be all that there is. */
static void test_what_it_boots_from(void **state)
{
	static const char kinds[] = "disk and net, each once, the first choice first";
	char text[160];

	(void)state;
	add("web/card.rom", 1024);
	boots_from("net = lan, rom=card.rom", 2, CONFIG_BOOT_DISK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_IS_BIOS);
	assert_int_equal(guest.bios, 0);
	boots_from("net = lan\nfirmware = uefi", 2, CONFIG_BOOT_DISK);
	boots_from("net = lan\nfirmware = uefi\nboot = net", 1, CONFIG_BOOT_NET);
	assert_int_equal(load("web", "net = lan"), HV_E_INVALID);
	add("web/root.img", 1024);
	boots_from("net = lan, rom=card.rom", 2, CONFIG_BOOT_DISK);
	assert_int_equal(guest.firmware, CONFIG_FIRMWARE_AUTO);
	boots_from("net = lan", 1, CONFIG_BOOT_DISK);
	boots_from("boot = net , disk", 2, CONFIG_BOOT_NET);
	boots_from("boot = disk", 1, CONFIG_BOOT_DISK);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const wrong[] = {"net, net", "cd", ""};
		static const char *const found[] = {"net", "cd", ""};

		snprintf(text, sizeof(text), "boot = %s", wrong[i]);
		assert_int_equal(load("web", text), HV_E_INVALID);
		snprintf(text, sizeof(text), "web/guest.conf:1: boot: found \"%s\"; allowed: %s\n",
			 found[i], kinds);
		assert_string_equal(reports, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_kernel_decides, setup),
		cmocka_unit_test_setup(test_the_screen_comes_with_firmware, setup),
		cmocka_unit_test_setup(test_a_disk_alone, setup),
		cmocka_unit_test_setup(test_other_formats, setup),
		cmocka_unit_test_setup(test_what_is_missing, setup),
		cmocka_unit_test_setup(test_an_image_of_ones_own, setup),
		cmocka_unit_test_setup(test_firmware_is_no_guest, setup),
		cmocka_unit_test_setup(test_what_it_boots_from, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
