/* SPDX-License-Identifier: Apache-2.0 */
/* An IDE function with a disk and a CD drive, saved in the middle of things and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/ata_format.h"
#include "tests/fakes/ide_rig.h"
#include "tests/fakes/saved_rig.h"

#define BUFFER (RIG_RAM_BASE + 0x10000u)
#define READY (ATA_STATUS_DRDY | ATA_STATUS_DSC)

static int setup(void **state)
{
	(void)state;
	rig_start();
	rig_run_work();
	return 0;
}

static bool is_quiet(void)
{
	return ide.saved.ops->quiet(ide.saved.dev);
}

/* What another machine would do: reset, load, and let deferred work run. */
static void reload(void)
{
	assert_true(is_quiet());
	saved_reload(&ide.saved);
	rig_run_work();
	assert_true(is_quiet());
}

/* The second of three sectors is half read. */
static void test_in_the_middle_of_a_sector(void **state)
{
	uint8_t data[3 * 512];

	(void)state;
	rig_command(0, ATA_READ_SECTORS, 70, 3);
	assert_true(rig_lines[0].level);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_DRQ);
	rig_read_data(0, data, 700);
	assert_true(rig_lines[0].level);
	reload();
	assert_true(rig_lines[0].level);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_DRQ);
	rig_read_data(0, data + 700, sizeof(data) - 700);
	assert_memory_equal(data, rig_disk_data + 70 * 512, sizeof(data));
	assert_int_equal(rig_status(0), READY);
}

/* A write, of which the disk is to have nothing before it is whole. */
static void test_half_written(void **state)
{
	uint8_t data[1024];

	(void)state;
	memset(data, 0xa7, sizeof(data));
	rig_command(0, ATA_WRITE_SECTORS, 9, 2);
	rig_write_data(0, data, 514);
	reload();
	assert_int_equal(rig_disk_data[9 * 512], 9);
	rig_write_data(0, data + 514, 510);
	assert_int_equal(rig_disk_data[9 * 512], 0xa7);
	assert_int_equal(rig_disk_data[11 * 512 - 1], 0xa7);
	assert_int_equal(rig_status(0), READY);
}

/* A chunk that waits for the bus master, which stands in the middle of a table. */
static void test_waits_for_the_bus_master(void **state)
{
	(void)state;
	rig_prd(0, BUFFER, 1024, false);
	rig_prd(1, BUFFER + 1024, 1024, true);
	rig_command(0, ATA_READ_DMA, 30, 4);
	reload();
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO);
	rig_master_start(0, true);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	reload();
	assert_int_equal(rig_master_read(0, 1), 9);
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	rig_run_work();
	assert_memory_equal(rig_ram + (BUFFER - RIG_RAM_BASE), rig_disk_data + 30 * 512, 2048);
	assert_int_equal(rig_status(0), READY);
}

/* Half of a packet is sent; then the answer is half read, and the medium is out. */
static void test_packets(void **state)
{
	static const uint8_t inquiry[12] = {0x12, 0, 0, 0, 36};
	static const uint8_t ready[12] = {0};
	uint8_t data[36];

	(void)state;
	rig_write_at(1, 6, 1, 0xa0);
	rig_write_at(1, 4, 1, 0xfe);
	rig_write_at(1, 5, 1, 0xff);
	rig_write_at(1, 7, 1, ATA_PACKET);
	rig_write_data(1, inquiry, 6);
	reload();
	rig_write_data(1, inquiry + 6, 6);
	assert_int_equal(rig_status(1), READY | ATA_STATUS_DRQ);
	rig_read_data(1, data, 10);
	assert_int_equal(ide_eject(&ide, RIG_CD, true), HV_OK);
	reload();
	rig_read_data(1, data + 10, 26);
	assert_int_equal(data[0], 5);
	assert_memory_equal(data + 8, ide.channels[1].units[0].drive.reply + 8, 28);
	assert_int_equal(rig_status(1), READY);
	rig_write_at(1, 7, 1, ATA_PACKET);
	rig_write_data(1, ready, 12);
	assert_true((rig_status(1) & ATA_STATUS_ERR) != 0);
	assert_int_equal(ide_insert(&ide, RIG_CD, &rig_disk), HV_OK);
}

/* Nothing is saved while the disk has the request. */
static void test_quiet(void **state)
{
	(void)state;
	rig_disk_holds = true;
	rig_command(0, ATA_READ_SECTORS, 1, 1);
	assert_false(is_quiet());
	rig_disk_finish(0, HV_E_IO);
	assert_false(is_quiet());
	rig_run_work();
	reload();
	assert_int_equal(rig_status(0), READY | ATA_STATUS_ERR);
}

static void test_checks(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&ide.saved, struct ide_saved, field, value)
	assert_true(TAKES(channels[0].control, 0xff));
	assert_false(TAKES(channels[0].selected, 2));
	assert_false(TAKES(channels[0].active, 2));
	assert_false(TAKES(channels[0].phase, 4));
	assert_false(TAKES(channels[0].phase, IDE_HOST)); /* without a command */
	assert_false(TAKES(channels[0].interrupt, 2));
	assert_false(TAKES(channels[0].units[0].kind, IDE_CDROM));
	assert_false(TAKES(channels[0].units[1].disk.heads, 1));
	assert_false(TAKES(channels[1].units[0].drive.reply_bytes, 300));
	assert_true(TAKES(channels[0].master.table, 0xfffffffc));
	assert_false(TAKES(channels[0].master.table, 2));
	assert_false(TAKES(channels[0].master.left, 0x10002));
	assert_false(TAKES(channels[0].master.left, 1));
	assert_false(TAKES(channels[0].master.command, 2));
	assert_false(TAKES(channels[0].master.status, 0x80));
	assert_false(TAKES(channels[0].command.buffer[77], 1));
	assert_false(TAKES(channels[0].command.action, ATA_DO_READ));
}

/* Each of these would reach outside of something. */
static void test_checks_commands(void **state)
{
	uint8_t data[512];

	(void)state;
	rig_command(0, ATA_READ_SECTORS, 70, 2);
	rig_read_data(0, data, 512);
	rig_command(1, ATA_READ_SECTORS, 0, 1);
	assert_true(TAKES(channels[0].command.host, 514));
	assert_false(TAKES(channels[0].command.host, 1024));
	assert_false(TAKES(channels[0].command.drq, 1025));
	assert_false(TAKES(channels[0].command.drq, 512));
	assert_false(TAKES(channels[0].command.drq_bytes, 0));
	assert_false(TAKES(channels[0].command.chunk, IDE_BUFFER_BYTES + 512));
	assert_false(TAKES(channels[0].command.chunk, 512));
	assert_false(TAKES(channels[0].command.disk, 512));
	assert_false(TAKES(channels[0].command.bytes, IDE_BUFFER_BYTES * 2));
	assert_false(TAKES(channels[0].command.moved, 512));
	assert_true(TAKES(channels[0].command.sector, RIG_DISK_SECTORS - 2));
	assert_false(TAKES(channels[0].command.sector, RIG_DISK_SECTORS - 1));
	assert_false(TAKES(channels[0].command.sector, UINT64_MAX));
	assert_false(TAKES(channels[0].command.action, ATA_DO_PAGE)); /* of more than a page */
	assert_false(TAKES(channels[0].command.action, ATA_DO_PACKET));
	assert_false(TAKES(channels[0].command.action, ATA_DO_WRITE));
	assert_false(TAKES(channels[0].command.protocol, ATA_PIO_OUT));
	assert_false(TAKES(channels[0].phase, IDE_WORK));
	assert_false(TAKES(channels[0].phase, IDE_PACKET));
	assert_false(TAKES(channels[0].active, 1)); /* nobody is there */
	assert_false(TAKES(channels[0].command.ranges, 1));
	assert_false(TAKES(channels[0].command.packet[0], 1));
	assert_false(TAKES(channels[0].command.buffer[1024], 1));
	assert_true(TAKES(channels[0].command.buffer[1023], 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_in_the_middle_of_a_sector, setup),
		cmocka_unit_test_setup(test_half_written, setup),
		cmocka_unit_test_setup(test_waits_for_the_bus_master, setup),
		cmocka_unit_test_setup(test_packets, setup),
		cmocka_unit_test_setup(test_quiet, setup),
		cmocka_unit_test_setup(test_checks, setup),
		cmocka_unit_test_setup(test_checks_commands, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
