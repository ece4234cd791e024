/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of AHCI commands at the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ahci_rig.h"

static int setup(void **state)
{
	struct ahci_config cfg;

	(void)state;
	memset(rig_ram, 0, sizeof(rig_ram));
	rig_disk_init();
	cfg = rig_config(RIG_UNITS);
	rig_ahci_init(&cfg);
	return 0;
}

static void put(unsigned slot, uint8_t command, uint64_t lba, uint16_t sectors)
{
	const struct rig_command c = {.command = command, .count = sectors, .lba = lba};

	rig_put_command(0, slot, &c, (struct rig_region){RIG_DATA, sectors * 512u});
}

static void issue(unsigned slot)
{
	rig_port_write(0, AHCI_PXCI, BIT32(slot));
}

static void pieces_are_as_large_as_the_disk_takes(void **state)
{
	(void)state;
	rig_disk.max_count = 24;
	put(0, ATA_READ_DMA_EXT, 0, 100);
	issue(0);
	assert_int_equal(rig_disk_longest, 24);
	assert_int_equal(rig_disk_seen[BLK_READ], 5);
	assert_int_equal(rig_get(RIG_DATA + 99 * 512, 4), 99);
	/* And than a buffer, where the disk takes any. */
	rig_disk.max_count = 65536;
	for (unsigned i = 0; i < 4; i++) {
		rig_put_region(0, 0, i, (struct rig_region){RIG_DATA, 0x40000}, 0);
	}
	put(0, ATA_READ_DMA_EXT, 0, 2048);
	rig_put_region(0, 0, 0, (struct rig_region){RIG_DATA, 0x40000}, 0);
	rig_put_header(0, 0, 5, 4);
	issue(0);
	assert_int_equal(rig_disk_longest, 512);
	assert_int_equal(rig_moved(0, 0), 2048 * 512);
	assert_true(rig_all_free(0));
}

static void a_disk_in_memory_needs_no_piece(void **state)
{
	(void)state;
	rig_disk.copies = true;
	rig_put_queued(0, 0, false, 4, 8, RIG_DATA);
	rig_put_queued(0, 1, true, 100, 8, RIG_DATA + 0x8000);
	memset(rig_at(RIG_DATA + 0x8000), 0x99, 4096);
	rig_issue_queued(0, 3);
	assert_int_equal(rig_disk_copied, 2);
	assert_int_equal(rig_disk_seen[BLK_READ] + rig_disk_seen[BLK_WRITE], 0);
	assert_int_equal(rig_get(RIG_DATA + 7 * 512, 4), 11);
	assert_int_equal(rig_disk_data[107 * 512 + 511], 0x99);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 0);
	/* One interrupt for both. */
	assert_int_equal(rig_intx.rises, 1);
}

static void what_cannot_be_copied_is_sent(void **state)
{
	(void)state;
	rig_disk.copies = true;
	rig_disk_holds = true; /* then odd sectors are not in memory */
	put(0, ATA_READ_DMA_EXT, 5, 2);
	issue(0);
	assert_int_equal(rig_disk_open_count, 1);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_get(RIG_DATA + 512, 4), 6);
	assert_int_equal(rig_moved(0, 0), 1024);
}

/* More data than regions: the surplus is dropped, and told. */
static void reads_that_overflow(void **state)
{
	(void)state;
	for (unsigned copies = 0; copies < 2; copies++) {
		rig_disk.copies = copies != 0;
		memset(rig_at(RIG_DATA), 0, 4096);
		put(0, ATA_READ_DMA_EXT, 4, 4);
		rig_put_region(0, 0, 0, (struct rig_region){RIG_DATA, 1000}, 0);
		issue(0);
		assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS | AHCI_PXIS_OFS);
		assert_int_equal(rig_moved(0, 0), 1000);
		assert_int_equal(rig_get(RIG_DATA + 512, 4), 5);
		assert_int_equal(rig_get(RIG_DATA + 1000, 8), 0);
		assert_true(rig_all_free(0));
	}
}

/* Fewer data than a write wants: what is not there is not written. */
static void writes_that_lack_data(void **state)
{
	(void)state;
	for (unsigned copies = 0; copies < 2; copies++) {
		rig_disk.copies = copies != 0;
		put(0, ATA_WRITE_DMA_EXT, 4, 4);
		rig_put_region(0, 0, 0, (struct rig_region){RIG_DATA, 1000}, 0);
		issue(0);
		assert_int_equal(rig_take_events(0) & AHCI_PXIS_TFES, AHCI_PXIS_TFES);
		assert_int_equal(rig_disk_data[5 * 512], 5);
		rig_stop(0);
		rig_start(0);
		assert_true(rig_all_free(0));
	}
}

static void regions_that_are_not_ram(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		rig_disk.copies = (how & 1) != 0;
		put(0, (how & 2) != 0 ? ATA_WRITE_DMA_EXT : ATA_READ_DMA_EXT, 4, 4);
		rig_put_region(0, 0, 0, (struct rig_region){RIG_RAM_END - 512, 2048}, 0);
		issue(0);
		assert_int_equal(rig_take_events(0), AHCI_PXIS_HBFS);
		assert_int_equal(rig_port_read(0, AHCI_PXCI), 1);
		rig_stop(0);
		rig_start(0);
		assert_true(rig_all_free(0));
	}
}

/* What no buffer is left for waits for one. */
static void buffers_that_run_out(void **state)
{
	(void)state;
	rig_disk_holds = true;
	for (unsigned i = 0; i < 8; i++) {
		rig_put_queued(0, i, false, i * 256, 256, RIG_DATA);
	}
	rig_issue_queued(0, 0xff);
	assert_int_equal(rig_disk_open_count, 4); /* 512 KiB */
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
		rig_work_now();
	}
	assert_int_equal(rig_disk_seen[BLK_READ], 8);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 0);
	assert_true(rig_all_free(0));
}

static void verify_moves_nothing(void **state)
{
	const struct rig_command c = {.command = 0x42, .count = 8, .lba = 3};

	(void)state;
	rig_disk.copies = true;
	rig_put_command(0, 0, &c, (struct rig_region){0, 0});
	issue(0);
	assert_int_equal(rig_disk_seen[BLK_READ], 1);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	rig_disk_holds = true;
	issue(0);
	rig_disk_finish(0, HV_E_IO);
	rig_work_now();
	assert_int_equal(rig_take_events(0) & AHCI_PXIS_TFES, AHCI_PXIS_TFES);
}

/* A piece of a command that was ended never touches the guest, and keeps others waiting. */
static void ended_while_at_the_disk(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put(0, ATA_READ_DMA_EXT, 5, 1);
	issue(0);
	rig_stop(0);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_false(ahci_is_idle(&rig_hba));
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_FRE | AHCI_PXCMD_CLO);
	rig_start(0);
	put(1, ATA_READ_DMA_EXT, 6, 1);
	rig_put_region(0, 1, 0, (struct rig_region){RIG_DATA + 512, 512}, 0);
	issue(1);
	assert_int_equal(rig_disk_open_count, 1);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_get(RIG_DATA, 4), 0);
	assert_int_equal(rig_disk_open_count, 1);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_get(RIG_DATA + 512, 4), 6);
	assert_true(ahci_is_idle(&rig_hba));
	assert_true(rig_all_free(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pieces_are_as_large_as_the_disk_takes, setup),
		cmocka_unit_test_setup(a_disk_in_memory_needs_no_piece, setup),
		cmocka_unit_test_setup(what_cannot_be_copied_is_sent, setup),
		cmocka_unit_test_setup(reads_that_overflow, setup),
		cmocka_unit_test_setup(writes_that_lack_data, setup),
		cmocka_unit_test_setup(regions_that_are_not_ram, setup),
		cmocka_unit_test_setup(buffers_that_run_out, setup),
		cmocka_unit_test_setup(verify_moves_nothing, setup),
		cmocka_unit_test_setup(ended_while_at_the_disk, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
