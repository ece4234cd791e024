/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of ATA disks and packet devices that controllers save and load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/ata.h"
#include "guests/devices/atapi.h"
#include "hv/base/ata_format.h"
#include "tests/fakes/saved_rig.h"

static struct blk_device device, medium;
static struct ata_disk disk;
static struct atapi_drive drive;

static int setup(void **state)
{
	const struct ata_config cfg = {.device = &device, .model = "Model", .queue_depth = 32};

	(void)state;
	device = (struct blk_device){.sectors = 100000, .block_size = BLK_SECTOR};
	medium = (struct blk_device){.sectors = 4000, .block_size = BLK_SECTOR};
	atapi_init(&drive, &medium, "cd0", false);
	return ata_init(&disk, &cfg) == HV_OK ? 0 : -1;
}

static void execute(uint8_t command, uint16_t features, uint16_t count, uint8_t device_register)
{
	struct ata_registers r = {.command = command,
				  .features = features,
				  .count = count,
				  .device = device_register};
	struct ata_operation op;

	ata_execute(&disk, &r, &op);
}

static void test_disk(void **state)
{
	struct ata_saved saved, again;
	struct ata_state before;

	(void)state;
	execute(ATA_SET_MULTIPLE, 0, 4, 0);
	execute(ATA_SET_FEATURES, ATA_FEATURE_MODE, 0x45, 0);
	execute(ATA_SET_FEATURES, 0x82, 0, 0); /* no write cache */
	execute(0x91, 0, 17, 3);	       /* 4 heads, 17 sectors */
	disk.state.queued_error =
		(struct ata_queued_error){true, 9, {.command = 0x60, .lba = {1, 2}, .error = 0x40}};
	ata_save(&disk, &saved);
	assert_null(ata_check(&disk, &saved));
	before = disk.state;
	ata_reset(&disk);
	ata_load(&disk, &saved);
	ata_save(&disk, &again);
	assert_memory_equal(&saved, &again, sizeof(saved));
	assert_int_equal(disk.state.multiple, 4);
	assert_int_equal(disk.state.ultra, 5);
	assert_int_equal(disk.state.heads, 4);
	assert_false(disk.state.write_cache);
	assert_int_equal(disk.state.queued_error.registers.lba[1],
			 before.queued_error.registers.lba[1]);
}

/* As a controller's, for saved_rig.h. */

static void save_disk(void *dev, void *out)
{
	ata_save(dev, out);
}

static const char *check_disk(void *dev, const void *in)
{
	return ata_check(dev, in);
}

static void save_drive(void *dev, void *out)
{
	atapi_save(dev, out);
}

static const char *check_drive(void *dev, const void *in)
{
	return atapi_check(dev, in);
}

static const struct saved_ops disk_ops = {
	.bytes = sizeof(struct ata_saved), .save = save_disk, .check = check_disk};
static const struct saved_ops drive_ops = {
	.bytes = sizeof(struct atapi_saved), .save = save_drive, .check = check_drive};
static const struct saved_device saved_disk = {.ops = &disk_ops, .dev = &disk};
static const struct saved_device saved_drive = {.ops = &drive_ops, .dev = &drive};

#define DISK_TAKES(field, value) SAVED_TAKES(&saved_disk, struct ata_saved, field, value)
#define DRIVE_TAKES(field, value) SAVED_TAKES(&saved_drive, struct atapi_saved, field, value)

static void test_disk_checks(void **state)
{
	struct ata_saved saved;

	(void)state;
	assert_true(DISK_TAKES(heads, 16));
	assert_false(DISK_TAKES(heads, 17));
	assert_false(DISK_TAKES(heads, 0));
	assert_false(DISK_TAKES(sectors, 0));
	assert_false(DISK_TAKES(blocks, 1));
	assert_true(DISK_TAKES(multiple, 0));
	assert_false(DISK_TAKES(multiple, 3));
	assert_false(DISK_TAKES(multiple, 32));
	assert_true(DISK_TAKES(multiword, 2));
	assert_false(DISK_TAKES(multiword, 3));
	assert_false(DISK_TAKES(ultra, 5)); /* one of both kinds */
	disk.state.multiword = ATA_MODE_NONE;
	assert_true(DISK_TAKES(ultra, 5));
	assert_false(DISK_TAKES(ultra, 6));
	assert_false(DISK_TAKES(ultra, 8));
	assert_false(DISK_TAKES(error_tag, 32));
	assert_false(DISK_TAKES(standby, 2));
	assert_false(DISK_TAKES(zero[6], 1));
	ata_save(&disk, &saved);
	saved.multiword = 1;
	saved.ultra = 1;
	assert_non_null(ata_check(&disk, &saved));
}

/* Out, and in again: the medium that the drive had last. */
static void test_media(void **state)
{
	struct atapi_saved full, empty, again;

	(void)state;
	memset(drive.reply, 0x5a, 100);
	drive.reply_bytes = 100;
	atapi_save(&drive, &full);
	assert_null(atapi_check(&drive, &full));
	assert_int_equal(atapi_eject(&drive, true), HV_OK);
	atapi_save(&drive, &empty);
	assert_null(atapi_check(&drive, &empty));
	atapi_load(&drive, &full);
	assert_true(atapi_is_loaded(&drive));
	assert_int_equal(drive.reply[99], 0x5a);
	atapi_save(&drive, &again);
	assert_memory_equal(&full, &again, sizeof(full));
	atapi_load(&drive, &empty);
	assert_false(atapi_is_loaded(&drive));
	assert_true(drive.state.tray_open);
	assert_int_equal(drive.state.event, ATAPI_EVENT_REMOVED);
	/* A drive that never had one. */
	atapi_init(&drive, NULL, "cd1", false);
	assert_non_null(atapi_check(&drive, &full));
	assert_null(atapi_check(&drive, &empty));
}

static void test_drive_checks(void **state)
{
	(void)state;
	assert_true(DRIVE_TAKES(sectors, 0));
	assert_false(DRIVE_TAKES(sectors, 3999));
	assert_true(DRIVE_TAKES(reply_bytes, ATAPI_REPLY_MAX));
	assert_false(DRIVE_TAKES(reply_bytes, ATAPI_REPLY_MAX + 1));
	assert_false(DRIVE_TAKES(reply[0], 1));
	assert_false(DRIVE_TAKES(event, 4));
	assert_false(DRIVE_TAKES(sense, 0x1000000));
	assert_false(DRIVE_TAKES(locked, 2));
	assert_false(DRIVE_TAKES(multiword, 3));
	assert_false(DRIVE_TAKES(zero[0], 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_disk, setup),
		cmocka_unit_test_setup(test_disk_checks, setup),
		cmocka_unit_test_setup(test_media, setup),
		cmocka_unit_test_setup(test_drive_checks, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
