/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of an AHCI port, from PxCI to what the driver finds. */
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

static void assert_all_free(void)
{
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		assert_true(rig_all_free(i));
	}
	assert_true(ahci_is_idle(&rig_hba));
}

static void put_rw(unsigned slot, uint8_t command, uint64_t lba, uint16_t sectors)
{
	const struct rig_command c = {.command = command, .count = sectors, .lba = lba};

	rig_put_command(0, slot, &c, (struct rig_region){RIG_DATA, sectors * 512u});
}

static void issue(unsigned slot)
{
	rig_port_write(0, AHCI_PXCI, BIT32(slot));
}

/* ---- not queued ---- */

static void reads_by_dma(void **state)
{
	(void)state;
	put_rw(3, ATA_READ_DMA_EXT, 7, 16);
	issue(3);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_int_equal(rig_get(RIG_DATA, 4), 7);
	assert_int_equal(rig_get(RIG_DATA + 15 * 512, 4), 22);
	assert_int_equal(rig_moved(0, 3), 8192);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x50);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 0), 0x34);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 1), 0x40);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 2), 0x50);
	assert_all_free();
}

static void writes_by_dma(void **state)
{
	(void)state;
	memset(rig_at(RIG_DATA), 0x77, 4096);
	put_rw(0, ATA_WRITE_DMA_EXT, 100, 8);
	issue(0);
	assert_int_equal(rig_disk_data[100 * 512], 0x77);
	assert_int_equal(rig_disk_data[108 * 512 - 1], 0x77);
	assert_int_equal(rig_disk_data[108 * 512], 108);
	assert_int_equal(rig_moved(0, 0), 4096);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
}

/* The last PIO Setup has the status behind the data, and no other FIS follows. */
static void identifies_by_pio(void **state)
{
	const struct rig_command c = {.command = ATA_IDENTIFY};

	(void)state;
	rig_put_command(0, 1, &c, (struct rig_region){RIG_DATA, 512});
	rig_take_events(0);
	issue(1);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_PSS);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_PIO_SETUP, 0), 0x5f);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_PIO_SETUP, 1), 0x60);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_PIO_SETUP, 2), 0x58);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_PIO_SETUP, 15), 0x50);
	assert_int_equal(rig_get(rig_received(0) + AHCI_RECEIVED_PIO_SETUP + 16, 2), 512);
	assert_int_equal(rig_moved(0, 1), 512);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	/* A word has its first character on top. */
	assert_memory_equal(rig_at(RIG_DATA + 20), "IR-G1032", 8);
	assert_int_equal(rig_get(RIG_DATA + 200, 8), RIG_DISK_SECTORS);
	assert_int_equal(rig_get(RIG_DATA + 150, 2), 31); /* queue depth, less one */
}

static void pio_of_sectors(void **state)
{
	(void)state;
	put_rw(0, 0x20, 9, 2);
	issue(0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_PSS);
	assert_int_equal(rig_get(RIG_DATA + 512, 4), 10);
	memset(rig_at(RIG_DATA), 0x31, 1024);
	put_rw(0, 0x30, 50, 2);
	issue(0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	assert_int_equal(rig_disk_data[51 * 512], 0x31);
}

static void one_at_a_time(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put_rw(0, ATA_READ_DMA_EXT, 1, 1);
	put_rw(1, ATA_READ_DMA_EXT, 2, 1);
	rig_port_write(0, AHCI_PXCI, 3);
	assert_int_equal(rig_disk_open_count, 1);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD) & 0x80, 0x80);
	rig_disk_finish(0, HV_OK);
	assert_true(rig_asked);
	rig_work_now();
	assert_int_equal(rig_disk_open_count, 1);
	assert_int_equal(rig_port_read(0, AHCI_PXCI) & ~3u, 0);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_all_free();
}

static void flushes(void **state)
{
	const struct rig_command flush = {.command = ATA_FLUSH_EXT};
	const struct rig_command off = {.command = ATA_SET_FEATURES, .features = 0x82};

	(void)state;
	rig_put_command(0, 0, &flush, (struct rig_region){0, 0});
	rig_disk_holds = true;
	issue(0);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 1);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	/* Without a write cache each write is on the medium when it is done. */
	rig_disk_holds = false;
	rig_put_command(0, 0, &off, (struct rig_region){0, 0});
	issue(0);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 2);
	put_rw(0, ATA_WRITE_DMA_EXT, 1, 8);
	issue(0);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 3);
	rig_disk.copies = true;
	issue(0);
	assert_int_equal(rig_disk_copied, 1);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 4);
	assert_all_free();
}

static void trims(void **state)
{
	const struct rig_command c = {.command = ATA_DSM, .features = 1, .count = 1};

	(void)state;
	rig_disk.discards = true;
	rig_put(RIG_DATA, 16 | 8ull << 48, 8);
	rig_put(RIG_DATA + 8, 0, 8);
	rig_put(RIG_DATA + 16, 100 | 5ull << 48, 8);
	rig_put_command(0, 0, &c, (struct rig_region){RIG_DATA, 512});
	issue(0);
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 2);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	/* A range past the end ends it. */
	rig_put(RIG_DATA, (RIG_DISK_SECTORS - 1) | 2ull << 48, 8);
	issue(0);
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 2);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS | AHCI_PXIS_TFES);
}

/* An error leaves the command in PxCI and stops the port until the engine is started anew. */
static void an_error_stops(void **state)
{
	(void)state;
	put_rw(0, ATA_READ_DMA_EXT, RIG_DISK_SECTORS, 1);
	put_rw(1, ATA_READ_DMA_EXT, 1, 1);
	rig_port_write(0, AHCI_PXCI, 3);
	rig_port_read(0, AHCI_PXCMD);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD) & 1, 1);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD) >> 8, ATA_ERROR_IDNF);
	assert_int_not_equal(rig_port_read(0, AHCI_PXCI) & 1, 0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS | AHCI_PXIS_TFES);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 2) & 1, 1);
	issue(2);
	assert_int_equal(rig_take_events(0), 0);
	rig_stop(0);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	rig_start(0);
	issue(1);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	assert_all_free();
}

static void a_disk_that_fails(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put_rw(0, ATA_READ_DMA_EXT, 5, 1);
	issue(0);
	rig_disk_open[0]->sector += 7; /* as a partition does */
	rig_disk_finish(0, HV_E_IO);
	rig_work_now();
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS | AHCI_PXIS_TFES);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD) >> 8, ATA_ERROR_UNC);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 4), 5);
	assert_all_free();
}

static void a_disk_that_is_read_only(void **state)
{
	(void)state;
	rig_disk.readonly = true;
	put_rw(0, ATA_WRITE_DMA_EXT, 5, 1);
	issue(0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS | AHCI_PXIS_TFES);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 0);
}

/* ---- queued ---- */

static void queued_ones_run_side_by_side(void **state)
{
	(void)state;
	rig_disk_holds = true;
	for (unsigned i = 0; i < 32; i++) {
		rig_put_queued(0, i, false, i, 1, RIG_DATA + i * 512);
	}
	rig_issue_queued(0, UINT32_MAX);
	assert_int_equal(rig_disk_open_count, 32);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), UINT32_MAX);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x50);
	assert_int_equal(rig_take_events(0), 0);
	/* Any order, and one FIS for those that are seen together. */
	rig_disk_finish(31, HV_OK);
	rig_disk_finish(7, HV_OK);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), ~(BIT32(31) | BIT32(7)));
	assert_int_equal(rig_take_events(0), AHCI_PXIS_SDBS);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_SDB, 0), 0xa1);
	assert_int_equal(rig_get(rig_received(0) + AHCI_RECEIVED_SDB + 4, 4), BIT32(31) | BIT32(7));
	assert_int_equal(rig_get(RIG_DATA + 31 * 512, 4), 31);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 0);
	assert_int_equal(rig_get(RIG_DATA + 6 * 512, 4), 6);
	assert_all_free();
}

static void others_wait_for_queued_ones(void **state)
{
	const struct rig_command flush = {.command = ATA_FLUSH};

	(void)state;
	rig_disk_holds = true;
	rig_put_queued(0, 0, true, 1, 1, RIG_DATA);
	rig_put_command(0, 1, &flush, (struct rig_region){0, 0});
	rig_put_queued(0, 2, true, 2, 1, RIG_DATA);
	rig_port_write(0, AHCI_PXSACT, 5);
	rig_port_write(0, AHCI_PXCI, 7);
	assert_int_equal(rig_disk_open_count, 1);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_disk_seen[BLK_FLUSH] + rig_disk_seen[BLK_WRITE], 2);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
		rig_work_now();
	}
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 2);
	assert_int_equal(rig_port_read(0, AHCI_PXCI) | rig_port_read(0, AHCI_PXSACT), 0);
	assert_all_free();
}

/* The one that failed is in the log; the others never happened, as far as the driver knows. */
static void a_queued_error(void **state)
{
	const struct rig_command log = {
		.command = ATA_READ_LOG_EXT, .count = 1, .lba = ATA_LOG_QUEUED_ERROR};

	(void)state;
	rig_disk_holds = true;
	for (unsigned i = 4; i < 7; i++) {
		rig_put_queued(0, i, false, i, 1, RIG_DATA + i * 512);
	}
	rig_issue_queued(0, 0x70);
	rig_disk_finish(0, HV_OK);
	rig_disk_finish(0, HV_E_IO);
	rig_work_now();
	assert_int_equal(rig_take_events(0) & AHCI_PXIS_TFES, AHCI_PXIS_TFES);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT) & 0x60, 0x60);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD) & 1, 1);
	rig_stop(0);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 0);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_get(RIG_DATA + 6 * 512, 4), 0);
	rig_disk_holds = false;
	rig_start(0);
	rig_put_command(0, 0, &log, (struct rig_region){RIG_DATA, 512});
	issue(0);
	assert_int_equal(rig_get(RIG_DATA, 1), 5);
	assert_int_equal(rig_get(RIG_DATA + 2, 1) & 1, 1);
	assert_int_equal(rig_get(RIG_DATA + 4, 1), 5);
	assert_all_free();
}

static void a_tag_that_is_not_the_slot(void **state)
{
	(void)state;
	rig_put_queued(0, 4, false, 1, 1, RIG_DATA);
	rig_put(rig_table(0, 4) + 12, 7 << 3, 2);
	rig_issue_queued(0, 0x10);
	assert_int_equal(rig_take_events(0) & AHCI_PXIS_TFES, AHCI_PXIS_TFES);
	assert_int_equal(rig_disk_seen[BLK_READ], 0);
}

static void queued_with_fua(void **state)
{
	(void)state;
	rig_put_queued(0, 0, true, 1, 1, RIG_DATA);
	rig_put(rig_table(0, 0) + 7, 0xc0, 1);
	rig_issue_queued(0, 1);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 0);
}

/* ---- the list ---- */

static void lists_that_are_wrong(void **state)
{
	(void)state;
	put_rw(0, ATA_READ_DMA_EXT, 1, 1);
	rig_put_header(0, 0, 1, 1);
	issue(0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_IFS);
	rig_stop(0);
	rig_start(0);
	rig_put_header(0, 0, 5, 1);
	rig_put(rig_table(0, 0), 0x34, 1);
	issue(0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_IFS);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 1);
	rig_stop(0);
	rig_start(0);
	rig_put(rig_list(0) + 8, RIG_RAM_END, 8);
	issue(0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_HBFS);
	rig_stop(0);
	rig_start(0);
	rig_port_write(0, AHCI_PXCLB, 0);
	issue(0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_HBFS);
	assert_all_free();
}

static void software_reset(void **state)
{
	(void)state;
	rig_put(rig_table(0, 0), 0x0027, 4);
	rig_put(rig_table(0, 0) + 15, 4, 1);
	rig_put(rig_table(0, 1), 0x0027, 4);
	rig_put(rig_table(0, 1) + 15, 0, 1);
	rig_put_header(0, 0, 0x505, 0);
	rig_put_header(0, 1, 5, 0);
	issue(0);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	memset(rig_at(rig_received(0)), 0, 256);
	issue(1);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_int_equal(rig_port_read(0, AHCI_PXSIG), AHCI_PXSIG_DISK);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x150);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 0), 0x34);
	assert_int_equal(rig_take_events(0), 0);
}

/* A guest that may not be master yet finds its commands done later. */
static void waits_for_bus_mastering(void **state)
{
	(void)state;
	rig_set_master(false);
	put_rw(0, ATA_READ_DMA_EXT, 1, 1);
	issue(0);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 1);
	rig_set_master(true);
	assert_true(rig_asked);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
}

/* What comes back while it is not waits, too, unless the command is over by then. */
static void data_wait_for_bus_mastering(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put_rw(0, ATA_READ_DMA_EXT, 1, 1);
	issue(0);
	rig_set_master(false);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 1);
	assert_int_equal(rig_take_events(0), 0);
	rig_set_master(true);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	put_rw(0, ATA_READ_DMA_EXT, 1, 1);
	issue(0);
	rig_set_master(false);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	rig_stop(0);
	rig_work_now();
	assert_true(rig_all_free(0));
}

/* ---- CD drives ---- */

static void put_packet(const uint8_t *packet, size_t n, uint32_t bytes)
{
	const struct rig_command c = {.command = ATA_PACKET, .features = 1};

	rig_put_command(1, 0, &c, (struct rig_region){RIG_DATA, bytes});
	rig_put_header(1, 0, 0x25, 1);
	memset(rig_at(rig_table(1, 0) + 0x40), 0, 16);
	memcpy(rig_at(rig_table(1, 0) + 0x40), packet, n);
	rig_port_write(1, AHCI_PXCI, 1);
}

static void a_drive(void **state)
{
	static const uint8_t ready[] = {0x00};
	static const uint8_t format[] = {0x04};
	static const uint8_t read_10[] = {0x28, 0, 0, 0, 0, 3, 0, 0, 2};
	const struct rig_command identify = {.command = ATA_IDENTIFY_PACKET};
	struct ahci_config cfg = rig_config(RIG_UNITS);

	(void)state;
	cfg.units[1].is_packet = true;
	rig_ahci_init(&cfg);
	assert_int_equal(rig_port_read(1, AHCI_PXSIG), AHCI_PXSIG_PACKET);
	rig_put_command(1, 0, &identify, (struct rig_region){RIG_DATA, 512});
	rig_port_write(1, AHCI_PXCI, 1);
	assert_int_equal(rig_get(RIG_DATA, 2) >> 8, 0x85);
	/* The first packet is told of the reset. */
	rig_take_events(1);
	put_packet(ready, 1, 2048);
	assert_int_equal(rig_take_events(1), AHCI_PXIS_DHRS | AHCI_PXIS_TFES);
	rig_stop(1);
	rig_start(1);
	put_packet(format, 1, 2048);
	assert_int_equal(lacks_told("AHCI", LACKS_PACKET, 0x04), 1);
	rig_take_events(1);
	rig_stop(1);
	rig_start(1);
	put_packet(read_10, sizeof(read_10), 4096);
	assert_int_equal(rig_take_events(1), AHCI_PXIS_DHRS);
	assert_int_equal(rig_get(RIG_DATA, 4), 12);
	assert_int_equal(rig_get(RIG_DATA + 2048, 4), 16);
	assert_int_equal(rig_moved(1, 0), 4096);
	/* Queued commands are none of its own. */
	rig_put_queued(1, 0, false, 0, 1, RIG_DATA);
	rig_port_write(1, AHCI_PXCI, 1);
	assert_int_equal(rig_take_events(1), AHCI_PXIS_DHRS | AHCI_PXIS_TFES);
}

/* ---- bounds ---- */

/* 16 MiB through a table that is as long as it can be: in runs, each of them short. */
static void long_tables_take_several_runs(void **state)
{
	const struct rig_command c = {.command = ATA_READ_DMA_EXT, .count = 0x1fff};
	unsigned runs = 0;

	(void)state;
	rig_put_fis(0, 0, &c);
	rig_put_header(0, 0, 5, 0xffff);
	/* Regions of two bytes as far as RAM goes; the table's end is not RAM. */
	for (uint64_t at = rig_table(0, 0) + 0x80; at + 16 <= RIG_RAM_END; at += 16) {
		rig_put(at, RIG_RAM_END - 2, 8);
		rig_put(at + 8, 1ull << 32, 8);
	}
	rig_reads = 0;
	issue(0);
	assert_true(rig_reads < 40000);
	while (rig_asked && runs < 1000) {
		rig_reads = 0;
		rig_work_now();
		assert_true(rig_reads < 40000);
		runs++;
	}
	assert_true(runs > 1 && runs < 1000);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_HBFS);
	rig_stop(0);
	assert_all_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_by_dma, setup),
		cmocka_unit_test_setup(writes_by_dma, setup),
		cmocka_unit_test_setup(identifies_by_pio, setup),
		cmocka_unit_test_setup(pio_of_sectors, setup),
		cmocka_unit_test_setup(one_at_a_time, setup),
		cmocka_unit_test_setup(flushes, setup),
		cmocka_unit_test_setup(trims, setup),
		cmocka_unit_test_setup(an_error_stops, setup),
		cmocka_unit_test_setup(a_disk_that_fails, setup),
		cmocka_unit_test_setup(a_disk_that_is_read_only, setup),
		cmocka_unit_test_setup(queued_ones_run_side_by_side, setup),
		cmocka_unit_test_setup(others_wait_for_queued_ones, setup),
		cmocka_unit_test_setup(a_queued_error, setup),
		cmocka_unit_test_setup(a_tag_that_is_not_the_slot, setup),
		cmocka_unit_test_setup(queued_with_fua, setup),
		cmocka_unit_test_setup(lists_that_are_wrong, setup),
		cmocka_unit_test_setup(software_reset, setup),
		cmocka_unit_test_setup(waits_for_bus_mastering, setup),
		cmocka_unit_test_setup(data_wait_for_bus_mastering, setup),
		cmocka_unit_test_setup(a_drive, setup),
		cmocka_unit_test_setup(long_tables_take_several_runs, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
