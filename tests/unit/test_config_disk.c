/* SPDX-License-Identifier: Apache-2.0 */
/* The key `disk`: what is taken, and each mistake with the text that names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/config.h"

static const struct config_entry entries[] = {
	{{"web", 3}, 0, true, NULL},
	{{"web/vmlinuz", 11}, 100, false, NULL},
	{{"web/root.img", 12}, 1024, false, NULL},
	{{"web/odd.img", 11}, 1000, false, NULL},
	{{"web/empty.img", 13}, 0, false, NULL},
	{{"web/lost.img", 12}, 0, false, "there is no piece of free memory as large"},
	{{"web/a.qcow2", 11}, 1024, false, NULL},
	{{"images", 6}, 0, true, NULL},
	{{"images/debian.img", 17}, GIB(3), false, NULL},
	{{"web/live.iso", 12}, 4096, false, NULL},
	{{"web/boot.flp", 12}, KIB(1440), false, NULL},
};
static const struct config_tree tree = {entries, ARRAY_SIZE(entries)};
static char reports[4096];
static struct guest_config guest;

static void collect(void *ctx, const struct config_error *error)
{
	size_t at = strlen(reports);

	(void)ctx;
	config_error_format(error, reports + at, sizeof(reports) - at - 1);
	strcat(reports, "\n");
}

static enum hv_status load(const char *text)
{
	static const struct config_reporter reporter = {collect, NULL};

	reports[0] = '\0';
	return config_load_guest(&tree, span_of("web"), span_of(text), &reporter, &guest);
}

static const struct config_disk *taken(const char *text)
{
	if (load(text) != HV_OK) {
		fail_msg("%s: %s", text, reports);
	}
	assert_int_equal(guest.disk_count, 1);
	return &guest.disks[0];
}

/* `text` is the value; `exactly` stands behind file, line and key. */
static void refused(const char *text, const char *exactly)
{
	char line[300];
	char expected[600];

	fmt_snprintf(line, sizeof(line), "disk = %s", text);
	fmt_snprintf(expected, sizeof(expected), "web/guest.conf:1: disk: %s\n", exactly);
	assert_int_equal(load(line), HV_E_INVALID);
	assert_string_equal(reports, expected);
	assert_int_equal(guest.disk_count, 0);
}

static void images(void **state)
{
	const struct config_disk *d = taken("disk = root.img");

	(void)state;
	assert_int_equal(d->source, CONFIG_DISK_IMAGE);
	assert_int_equal(d->file, 2);
	assert_true(d->overlay); /* always */
	assert_false(d->readonly);
	assert_int_equal(d->overlay_limit, 0);
	assert_int_equal(d->iops, 0);
	assert_int_equal(d->bandwidth, 0);
	assert_string_equal(d->serial, "disk0");
	d = taken("disk = /IMAGES/debian.img , readonly");
	assert_int_equal(d->file, 8);
	assert_false(d->overlay);
	assert_true(d->readonly);
}

static void partitions_and_disks(void **state)
{
	const struct config_disk *d = taken("disk = partition:my root");

	(void)state;
	assert_int_equal(d->source, CONFIG_DISK_PARTITION);
	assert_string_equal(d->name, "my root");
	assert_false(d->overlay);
	assert_false(d->readonly);
	d = taken("disk=disk: S1234 ,overlay");
	assert_int_equal(d->source, CONFIG_DISK_WHOLE);
	assert_string_equal(d->name, "S1234");
	assert_true(d->overlay);
}

static void options(void **state)
{
	const struct config_disk *d =
		taken("disk = root.img, overlay = 256M, bus=virtio, iops=500, bandwidth=10M, "
		      "serial=Root_1.a-b");

	(void)state;
	assert_true(d->overlay);
	assert_int_equal(d->overlay_limit, MIB(256));
	assert_int_equal(d->bus, CONFIG_DISK_VIRTIO);
	assert_int_equal(d->iops, 500);
	assert_int_equal(d->bandwidth, MIB(10));
	assert_string_equal(d->serial, "Root_1.a-b");
	d = taken("disk = partition:x, overlay=64K, iops=10000000, bandwidth=100G, "
		  "serial=12345678901234567890");
	assert_int_equal(d->overlay_limit, KIB(64));
	assert_int_equal(taken("disk = root.img, bus=nvme")->bus, CONFIG_DISK_NVME);
	assert_int_equal(taken("disk = root.img, bus=ahci")->bus, CONFIG_DISK_AHCI);
	assert_int_equal(taken("disk = root.img, overlay=1T")->overlay_limit, GIB(1024));
}

static void cd_drives(void **state)
{
	const struct config_disk *d = taken("disk = disk:S1, bus=ide, cdrom");

	(void)state;
	assert_int_equal(d->bus, CONFIG_DISK_IDE);
	assert_true(d->cdrom);
	assert_true(d->readonly);
	assert_false(d->overlay);
	d = taken("disk = root.img, bus=ide");
	assert_false(d->cdrom);
	assert_true(d->overlay);
	d = taken("disk = live.ISO, bus=ide");
	assert_true(d->cdrom);
	assert_true(d->readonly);
	assert_true(taken("disk = live.ISO, bus=ahci")->cdrom);
	d = taken("disk = live.ISO");
	assert_false(d->cdrom); /* virtio has none: a disk like any other */
	assert_false(taken("disk = live.ISO, bus=ide, overlay")->cdrom);
	refused("root.img, cdrom", "a CD drive needs bus=ide or bus=ahci");
	refused("root.img, bus=ide, cdrom, overlay", "cdrom and overlay exclude each other");
	refused("root.img, bus=ide, cdrom=1", "found \"1\"; allowed: cdrom alone");
	assert_int_equal(load("disk=disk:1,bus=ide\ndisk=disk:2,bus=ide\ndisk=disk:3,bus=ide\n"
			      "disk=disk:4\ndisk=disk:5,bus=ide\ndisk=disk:6,bus=ide"),
			 HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:6: disk: more than 4 disks with bus=ide\n");
}

static void several(void **state)
{
	(void)state;
	assert_int_equal(load("disk = root.img\ndisk = partition:a\ndisk = root.img, readonly"),
			 HV_OK);
	assert_int_equal(guest.disk_count, 3);
	assert_string_equal(guest.disks[2].serial, "disk2");
	assert_int_equal(load("disk=disk:1\ndisk=disk:2\ndisk=disk:3\ndisk=disk:4\n"
			      "disk=disk:5\ndisk=disk:6\ndisk=disk:7\ndisk=disk:8\n"),
			 HV_OK);
	assert_int_equal(guest.disk_count, CONFIG_DISKS_MAX);
	assert_int_equal(load("disk=disk:1\ndisk=disk:2\ndisk=disk:3\ndisk=disk:4\n"
			      "disk=disk:5\ndisk=disk:6\ndisk=disk:7\ndisk=disk:8\ndisk=disk:9"),
			 HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:9: disk: more than 8 disks\n");
	assert_int_equal(load("disk = disk:1, serial=disk1\ndisk = disk:2"), HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:2: disk: the serial number disk1 is that of "
				     "disk 0 already\n");
}

/* SATA ports are fewer than disks. */
static void full_buses(void **state)
{
	(void)state;
	assert_int_equal(load("disk=disk:1,bus=ahci\ndisk=disk:2,bus=ahci\ndisk=disk:3,bus=ahci\n"
			      "disk=disk:4,bus=ahci\ndisk=disk:5,bus=ahci\ndisk=disk:6,bus=ahci\n"
			      "disk=disk:7\ndisk=disk:8"),
			 HV_OK);
	assert_int_equal(load("disk=disk:1,bus=ahci\ndisk=disk:2,bus=ahci\ndisk=disk:3,bus=ahci\n"
			      "disk=disk:4\ndisk=disk:5,bus=ahci\ndisk=disk:6,bus=ahci\n"
			      "disk=disk:7,bus=ahci\ndisk=disk:8,bus=ahci"),
			 HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:8: disk: more than 6 disks with bus=ahci\n");
}

static void sources_that_are_none(void **state)
{
	(void)state;
	refused("", "found \"\"; allowed: FILE, partition:LABEL, partition:UUID, disk:SERIAL");
	refused(", readonly",
		"found \"\"; allowed: FILE, partition:LABEL, partition:UUID, disk:SERIAL");
	refused("no.img", "there is no file \"web/no.img\" below \\bulkhead");
	refused("/images", "there is no file \"images\" below \\bulkhead");
	refused("odd.img", "the image has 1000 bytes; allowed: multiples of 512");
	refused("empty.img", "\"web/empty.img\" is empty");
	refused("lost.img",
		"\"web/lost.img\" could not be read: there is no piece of free memory as large");
	refused("a.qcow2", "found \"a.qcow2\"; allowed: raw disk images, as qemu-img convert -O "
			   "raw makes");
	refused("partition:", "the name has 0 bytes; allowed: 1 to 108");
	refused("disk:", "the name has 0 bytes; allowed: 1 to 40");
	refused("disk:12345678901234567890123456789012345678901",
		"the name has 41 bytes; allowed: 1 to 40");
}

static void options_that_are_none(void **state)
{
	static const char allowed[] = "cdrom, overlay, overlay=SIZE, readonly, bus=BUS, iops=N, "
				      "bandwidth=SIZE, serial=TEXT";
	char text[300];

	(void)state;
	fmt_snprintf(text, sizeof(text), "found \"cached\"; allowed: %s", allowed);
	refused("root.img, cached", text);
	fmt_snprintf(text, sizeof(text), "found \"\"; allowed: %s", allowed);
	refused("root.img,", text);
	refused("root.img, bus=scsi",
		"found \"scsi\"; allowed: bus=virtio, bus=nvme, bus=ahci, bus=ide");
	refused("root.img, bus", "found \"\"; allowed: bus=virtio, bus=nvme, bus=ahci, bus=ide");
	refused("root.img, readonly=on", "found \"on\"; allowed: readonly alone");
	refused("root.img, iops=0", "found \"0\"; allowed: iops=1 to iops=10000000");
	refused("root.img, iops=10000001", "found \"10000001\"; allowed: iops=1 to iops=10000000");
	refused("root.img, bandwidth=1K",
		"found \"1K\"; allowed: bandwidth=64K to bandwidth=100G, bytes a second");
	refused("root.img, overlay=1K",
		"found \"1K\"; allowed: overlay=64K to overlay=1T, or overlay alone");
	refused("root.img, overlay=2T",
		"found \"2T\"; allowed: overlay=64K to overlay=1T, or overlay alone");
	refused("root.img, serial=",
		"found \"\"; allowed: serial= with 1 to 20 of A-Z a-z 0-9 . _ -");
	refused("root.img, serial=a b",
		"found \"a b\"; allowed: serial= with 1 to 20 of A-Z a-z 0-9 . _ -");
	refused("root.img, serial=123456789012345678901",
		"found \"123456789012345678901\"; allowed: serial= with 1 to 20 of A-Z a-z 0-9 . "
		"_ -");
	refused("root.img, iops=5, iops=6", "iops is given twice");
	refused("partition:a, overlay, readonly", "overlay and readonly exclude each other");
}

static void floppies(void **state)
{
	const struct config_disk *d = taken("floppy = boot.flp");

	(void)state;
	assert_int_equal(d->bus, CONFIG_DISK_FLOPPY);
	assert_true(d->overlay);
	assert_true(config_disk_is_removable(d));
	assert_true(taken("floppy = boot.flp, readonly")->readonly);
	assert_int_equal(taken("floppy = boot.flp, overlay=1M")->overlay_limit, MIB(1));
	/* They count as disks, and the first that starts anything may be one. */
	assert_int_equal(load("disk = root.img\nfloppy = boot.flp\nfloppy = boot.flp"), HV_OK);
	assert_int_equal(guest.disk_count, 3);
	assert_string_equal(guest.disks[2].serial, "disk2");
}

static void floppies_that_are_refused(void **state)
{
	static const struct {
		const char *value;
		const char *text;
	} cases[] = {
		{"root.img", "the image has 1024 bytes; allowed: 160K 180K 320K 360K 720K 1200K "
			     "1440K 1680K 2880K"},
		{"partition:x", "a floppy is an image"},
		{"boot.flp, bus=ide",
		 "found \"bus=ide\"; allowed: readonly, overlay, overlay=SIZE"},
		{"boot.flp, readonly, overlay", "overlay and readonly exclude each other"},
	};
	char line[100];
	char expected[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fmt_snprintf(line, sizeof(line), "floppy = %s", cases[i].value);
		fmt_snprintf(expected, sizeof(expected), "web/guest.conf:1: floppy: %s\n",
			     cases[i].text);
		assert_int_equal(load(line), HV_E_INVALID);
		assert_string_equal(reports, expected);
	}
	assert_int_equal(load("floppy=boot.flp\nfloppy=boot.flp\nfloppy=boot.flp"), HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:3: floppy: more than 2 floppies\n");
	refused("root.img, bus=floppy",
		"found \"floppy\"; allowed: bus=virtio, bus=nvme, bus=ahci, bus=ide");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images),
		cmocka_unit_test(partitions_and_disks),
		cmocka_unit_test(options),
		cmocka_unit_test(cd_drives),
		cmocka_unit_test(several),
		cmocka_unit_test(full_buses),
		cmocka_unit_test(sources_that_are_none),
		cmocka_unit_test(options_that_are_none),
		cmocka_unit_test(floppies),
		cmocka_unit_test(floppies_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
