/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller's commands that have to do with sectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/fdc_rig.h"

#define TRACK_NS (FDC_START_NS + 40 * FDC_SECTOR_NS)

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

/* The result phase, announced by an interrupt. */
static void ends_with(uint8_t st0, uint8_t st1, uint8_t st2, const uint8_t id[4])
{
	uint8_t result[7];

	assert_true(rig.line.level);
	rig_result(result, 7);
	assert_false(rig.line.level);
	assert_int_equal(result[0], st0);
	assert_int_equal(result[1], st1);
	assert_int_equal(result[2], st2);
	assert_memory_equal(&result[3], id, 4);
}

#define ENDS(st0, st1, st2, ...) ends_with(st0, st1, st2, (const uint8_t[]){__VA_ARGS__})

static void seek(uint8_t unit_and_head, uint8_t cylinder)
{
	uint8_t result[2];

	RIG_COMMAND(0x0f, unit_and_head, cylinder);
	rig_pass_ns(FDC_START_NS);
	RIG_COMMAND(0x08);
	rig_result(result, 2);
	assert_int_equal(result[1], cylinder);
}

/* Sector `n` of the disk, counted from 0, begins with its number. */
static void is_sector(uint32_t at, uint32_t n)
{
	assert_int_equal(rig_get(at, 4), n);
	assert_int_equal(rig_get(at + 511, 1), 0x5a);
}

static void reads_until_the_count(void **state)
{
	(void)state;
	seek(4, 3);
	rig_dma_setup(0x44, RIG_RAM_BASE + 0x200, 1024);
	RIG_COMMAND(0x46, 4, 3, 1, 5, 2, 18, 0x1b, 0xff);
	assert_int_equal(rig_fin(4), FDC_MSR_BUSY);
	assert_false(rig.line.level);
	rig_pass_ns(TRACK_NS);
	ENDS(0x04, 0, 0, 3, 1, 7, 2);
	is_sector(RIG_RAM_BASE + 0x200, (3 * 2 + 1) * 18 + 4);
	is_sector(RIG_RAM_BASE + 0x400, (3 * 2 + 1) * 18 + 5);
	assert_int_equal(rig_get(RIG_RAM_BASE + 0x600, 1), 0);
}

static void time_passes_from_sector_to_sector(void **state)
{
	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 1024);
	RIG_COMMAND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS - 1);
	assert_int_equal(rig_disk_seen[BLK_READ], 0);
	rig_pass_ns(1);
	assert_int_equal(rig_disk_seen[BLK_READ], 1);
	rig_pass_ns(FDC_SECTOR_NS - 1);
	assert_int_equal(rig_disk_seen[BLK_READ], 1);
	rig_pass_ns(1);
	ENDS(0, 0, 0, 0, 0, 3, 2);
}

/* "Result Phase Table": the ID behind the last one. */
static void ids_behind_the_end_of_a_track(void **state)
{
	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 512);
	RIG_COMMAND(0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 1, 0, 1, 2);
	rig_dma_setup(0x44, RIG_RAM_BASE, 512);
	RIG_COMMAND(0xc6, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x04, 0, 0, 0, 1, 1, 2);
	rig_dma_setup(0x44, RIG_RAM_BASE, 512);
	RIG_COMMAND(0xc6, 4, 0, 1, 18, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x04, 0, 0, 1, 0, 1, 2);
}

static void several_tracks_are_both_heads(void **state)
{
	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 4 * 512);
	RIG_COMMAND(0xc6, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x04, 0, 0, 0, 1, 3, 2);
	is_sector(RIG_RAM_BASE + 2 * 512, 18);
}

static void without_a_count_the_cylinder_ends(void **state)
{
	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 8192);
	RIG_COMMAND(0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_END, 0, 1, 0, 1, 2);
}

static void a_count_within_a_sector(void **state)
{
	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 100);
	RIG_COMMAND(0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 0, 0, 3, 2);
	assert_int_equal(rig_get(RIG_RAM_BASE + 99, 2), 0x5a);
	rig_put(RIG_RAM_BASE, 0x11223344, 4);
	rig_dma_setup(0x48, RIG_RAM_BASE, 2);
	RIG_COMMAND(0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 0, 0, 2, 2);
	assert_memory_equal(rig_disk_data, "\x44\x33\0\0", 4); /* the rest is zeros */
	assert_int_equal(rig_disk_data[511], 0);
}

static void writes_land(void **state)
{
	(void)state;
	memset(rig_at(RIG_RAM_BASE), 0x77, 1024);
	rig_dma_setup(0x48, RIG_RAM_BASE, 1024);
	RIG_COMMAND(0x49, 4, 0, 1, 18, 2, 18, 0x1b, 0xff); /* deleted: the mark is lost */
	rig_pass_ns(TRACK_NS);
	ENDS(0x44, FDC_ST1_END, 0, 1, 1, 1, 2);
	assert_int_equal(rig_disk_data[35 * 512], 0x77);
	assert_int_equal(rig_disk_data[36 * 512], 36);
}

static void an_idle_channel_is_an_overrun(void **state)
{
	(void)state;
	rig_dma_setup(0x48, RIG_RAM_BASE, 512); /* the wrong way */
	RIG_COMMAND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_OVERRUN, 0, 0, 0, 1, 2);
}

static void what_is_not_found(void **state)
{
	static const struct {
		uint8_t command[5]; /* opcode, head, C, H, R */
		uint8_t n;
		uint8_t st1;
		uint8_t st2;
	} cases[] = {
		{{0x46, 0, 0, 0, 19}, 2, FDC_ST1_NO_DATA, 0},
		{{0x46, 0, 0, 0, 0}, 2, FDC_ST1_NO_DATA, 0},
		{{0x46, 0, 0, 1, 1}, 2, FDC_ST1_NO_DATA, 0},
		{{0x46, 0, 0, 0, 1}, 3, FDC_ST1_NO_DATA, 0},
		{{0x46, 0, 2, 0, 1}, 2, FDC_ST1_NO_DATA, FDC_ST2_CYLINDER},
		{{0x06, 0, 0, 0, 1}, 2, FDC_ST1_NO_MARK, 0}, /* FM */
		{{0x46, 1, 0, 0, 1}, 2, FDC_ST1_NO_MARK, 0}, /* no drive */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t *b = cases[i].command;

		rig_dma_setup(0x44, RIG_RAM_BASE, 512);
		RIG_COMMAND(b[0], b[1], b[2], b[3], b[4], cases[i].n, 18, 0x1b, 0xff);
		rig_pass_ns(TRACK_NS);
		ENDS((uint8_t)(0x40 | b[1]), cases[i].st1, cases[i].st2, b[2], b[3], b[4],
		     cases[i].n);
	}
	assert_int_equal(rig_disk_seen[BLK_READ], 0);
}

static void another_rate_finds_nothing(void **state)
{
	(void)state;
	rig_fout(7, 2);
	RIG_COMMAND(0x4a, 0);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_NO_MARK, 0, fdc.state.c, fdc.state.h, fdc.state.r, fdc.state.n);
}

static void no_medium_and_no_track(void **state)
{
	uint8_t result[7];

	(void)state;
	seek(0, 80);
	RIG_COMMAND(0x4a, 0);
	rig_pass_ns(TRACK_NS);
	rig_result(result, 7);
	assert_int_equal(result[1], FDC_ST1_NO_MARK);
	seek(0, 0);
	assert_int_equal(fdc_eject(&fdc, 0), HV_OK);
	RIG_COMMAND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_NO_MARK, 0, 0, 0, 1, 2);
}

static void ids_go_by(void **state)
{
	uint32_t seen = 0;

	(void)state;
	seek(4, 5);
	for (unsigned i = 0; i < 18; i++) {
		uint8_t result[7];

		RIG_COMMAND(0x4a, 4);
		rig_pass_ns(FDC_START_NS);
		rig_result(result, 7);
		assert_int_equal(result[0], 4);
		assert_int_equal(result[3], 5);
		assert_int_equal(result[4], 1);
		assert_int_equal(result[6], 2);
		seen |= 1u << result[5];
	}
	assert_int_equal(seen, 0x7fffe);
}

static void a_protected_medium_takes_nothing(void **state)
{
	(void)state;
	rig_disk.readonly = true;
	rig_dma_setup(0x48, RIG_RAM_BASE, 512);
	RIG_COMMAND(0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_PROTECTED, 0, 0, 0, 1, 2);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 0);
}

static void a_bad_disk_is_bad_data(void **state)
{
	(void)state;
	rig_disk_holds = true;
	rig_dma_setup(0x44, RIG_RAM_BASE, 512);
	RIG_COMMAND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	assert_false(rig.line.level);
	rig_disk_finish(0, HV_E_IO);
	rig_serve();
	ENDS(0x40, FDC_ST1_DATA, FDC_ST2_DATA, 0, 0, 1, 2);
	rig_disk_holds = false;
}

static void deleted_data_are_normal_here(void **state)
{
	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 8192);
	RIG_COMMAND(0x4c, 0, 0, 0, 3, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, FDC_ST2_MARK, 0, 0, 4, 2); /* one is read */
	is_sector(RIG_RAM_BASE, 2);
	rig_dma_setup(0x44, RIG_RAM_BASE, 8192);
	RIG_COMMAND(0x6c, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_END, FDC_ST2_MARK, 1, 0, 1, 2); /* or all are skipped */
	assert_int_equal(rig_disk_seen[BLK_READ], 1);
}

static void a_track_is_read_from_the_index_on(void **state)
{
	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 8192);
	RIG_COMMAND(0x42, 0, 0, 0, 1, 2, 3, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 0, 0, 4, 2);
	is_sector(RIG_RAM_BASE + 1024, 2);
	/* Its IDs need not fit. */
	rig_dma_setup(0x44, RIG_RAM_BASE, 8192);
	RIG_COMMAND(0x42, 0, 0, 0, 5, 3, 1, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_NO_DATA, 0, 0, 0, 6, 3);
	is_sector(RIG_RAM_BASE, 0);
}

static void verify_moves_nothing(void **state)
{
	(void)state;
	RIG_COMMAND(0x56, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 1, 0, 1, 2);
	RIG_COMMAND(0xd6, 0x80, 0, 0, 17, 2, 18, 0x1b, 5);
	rig_pass_ns(TRACK_NS);
	ENDS(0x04, 0, 0, 0, 1, 4, 2);
	RIG_COMMAND(0x56, 0, 0, 0, 17, 2, 19, 0x1b, 0xff); /* past the track's end */
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_NO_DATA, 0, 0, 0, 19, 2);
	assert_int_equal(rig_reads + rig_writes, 0);
}

static void scans_compare(void **state)
{
	(void)state;
	memset(rig_disk_data, 0x20, 4 * 512);
	rig_disk_data[512 + 511] = 0x21;
	memset(rig_at(RIG_RAM_BASE), 0x20, 2048);
	*(uint8_t *)rig_at(RIG_RAM_BASE + 5) = 0xff; /* fits anything */
	rig_dma_setup(0x48, RIG_RAM_BASE, 2048);
	RIG_COMMAND(0x51, 0, 0, 0, 1, 2, 4, 0x1b, 1);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, FDC_ST2_SCAN_HIT, 0, 0, 2, 2);
	rig_dma_setup(0x48, RIG_RAM_BASE, 2048);
	RIG_COMMAND(0x5d, 0, 0, 0, 2, 2, 4, 0x1b, 1); /* disk >= host */
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 0, 0, 3, 2);
	memset(rig_at(RIG_RAM_BASE), 0x30, 2048);
	rig_dma_setup(0x48, RIG_RAM_BASE, 2048);
	RIG_COMMAND(0x59, 0, 0, 0, 2, 2, 4, 0x1b, 1); /* disk <= host */
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 0, 0, 3, 2);
	rig_dma_setup(0x48, RIG_RAM_BASE, 8192);
	RIG_COMMAND(0x51, 0, 0, 0, 1, 2, 4, 0x1b, 2); /* every other sector */
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, FDC_ST2_SCAN_MISS, 1, 0, 1, 2);
	assert_int_equal(rig_disk_seen[BLK_READ], 5);
}

static void a_track_is_formatted_by_ids(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 18; i++) {
		rig_put(RIG_RAM_BASE + i * 4, 0x02000000u | (18 - i) << 16 | 0x0107, 4);
	}
	seek(4, 7);
	rig_dma_setup(0x48, RIG_RAM_BASE, 72);
	RIG_COMMAND(0x4d, 4, 2, 18, 0x6c, 0xf6);
	rig_pass_ns(TRACK_NS);
	ENDS(0x04, 0, 0, 7, 1, 1, 2);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 18);
	for (uint32_t i = 0; i < 18 * 512; i++) {
		assert_int_equal(rig_disk_data[15 * 18 * 512 + i], 0xf6);
	}
	assert_int_not_equal(rig_disk_data[16 * 18 * 512 + 4], 0xf6);
}

static void other_formats_are_refused(void **state)
{
	(void)state;
	rig_put(RIG_RAM_BASE, 0x02130000, 4); /* sector 19 */
	rig_dma_setup(0x48, RIG_RAM_BASE, 72);
	RIG_COMMAND(0x4d, 0, 2, 18, 0x6c, 0xf6);
	rig_pass_ns(TRACK_NS);
	ENDS(0x40, FDC_ST1_NO_DATA, 0, 0, 0, 19, 2);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 0);
}

static void reads_can_seek_by_themselves(void **state)
{
	(void)state;
	RIG_COMMAND(0x13, 0, 0x40, 0);
	rig_dma_setup(0x44, RIG_RAM_BASE, 512);
	RIG_COMMAND(0x46, 0, 9, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(TRACK_NS);
	ENDS(0, 0, 0, 9, 0, 2, 2);
	is_sector(RIG_RAM_BASE, 9 * 36);
}

static void without_dma_each_byte_is_asked_for(void **state)
{
	unsigned rises;

	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x03);
	rises = rig.line.rises;
	RIG_COMMAND(0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	assert_int_equal(rig_fin(4), FDC_MSR_BUSY | FDC_MSR_NON_DMA);
	for (uint32_t sector = 16; sector < 18; sector++) {
		rig_pass_ns(FDC_START_NS);
		for (unsigned i = 0; i < 512; i++) {
			assert_int_equal(rig_fin(4), 0xf0);
			assert_true(rig.line.level);
			rig_fout(5, 0xee); /* not now */
			assert_int_equal(rig_fin(5), rig_disk_data[sector * 512 + i]);
		}
		rig_pass_ns(FDC_GAP_NS);
	}
	assert_int_equal(rig.line.rises, rises + 1024 + 1);
	ENDS(0x40, FDC_ST1_END, 0, 1, 0, 1, 2); /* nobody says when to stop */
}

static void without_dma_the_fifo_asks_less_often(void **state)
{
	unsigned rises;

	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x03);
	RIG_COMMAND(0x13, 0, 0x0f, 0);
	rises = rig.line.rises;
	RIG_COMMAND(0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	assert_int_equal(rig_fin(4), 0xb0);
	for (unsigned i = 0; i < 512; i++) {
		assert_int_equal(rig_fin(5), 0xff);
		rig_fout(5, (uint8_t)~i);
	}
	rig_pass_ns(FDC_GAP_NS);
	ENDS(0x40, FDC_ST1_END, 0, 1, 0, 1, 2);
	assert_int_equal(rig.line.rises, rises + 32 + 1);
	assert_int_equal(rig_disk_data[17 * 512 + 3], 0xfc);
}

/*
 * A handler that moves bytes as long as it may comes to an end with the sector, sees that the
 * command has not, and is called again for the result.
 */
static void without_dma_a_result_has_its_own_interrupt(void **state)
{
	unsigned rises;

	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x03);
	RIG_COMMAND(0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	for (unsigned i = 0; i < 512; i++) {
		assert_int_equal(rig_fin(4), 0xb0);
		rig_fout(5, 0x77);
	}
	assert_int_equal(rig_fin(4), FDC_MSR_BUSY | FDC_MSR_NON_DMA);
	assert_false(rig.line.level);
	rises = rig.line.rises;
	rig_fout(5, 0x99); /* not asked for */
	assert_int_equal(rig_disk_seen[BLK_WRITE], 0);
	rig_pass_ns(FDC_GAP_NS - 1);
	assert_int_equal(rig_fin(4), FDC_MSR_BUSY | FDC_MSR_NON_DMA);
	assert_int_equal(rig.line.rises, rises);
	rig_pass_ns(1);
	assert_int_equal(rig.line.rises, rises + 1);
	assert_int_equal(rig_disk_data[17 * 512 + 511], 0x77);
	ENDS(0x40, FDC_ST1_END, 0, 1, 0, 1, 2);
}

/* A host that moves some is waited for, one that moves none is late. */
static void a_host_that_does_nothing_is_late(void **state)
{
	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x03);
	RIG_COMMAND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	for (unsigned i = 0; i < 10; i++) {
		(void)rig_fin(5);
		rig_pass_ns(FDC_HOST_NS);
		assert_int_equal(rig_fin(4), 0xf0);
	}
	rig_pass_ns(FDC_HOST_NS);
	ENDS(0x40, FDC_ST1_OVERRUN, 0, 0, 0, 1, 2);
}

static void a_medium_may_go_in_the_middle(void **state)
{
	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x03);
	RIG_COMMAND(0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	assert_int_equal(fdc_eject(&fdc, 0), HV_OK);
	for (unsigned i = 0; i < 512; i++) {
		rig_fout(5, 1);
	}
	rig_pass_ns(FDC_GAP_NS);
	ENDS(0x40, FDC_ST1_NO_MARK, 0, 0, 0, 1, 2);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_until_the_count),
		TEST(time_passes_from_sector_to_sector),
		TEST(ids_behind_the_end_of_a_track),
		TEST(several_tracks_are_both_heads),
		TEST(without_a_count_the_cylinder_ends),
		TEST(a_count_within_a_sector),
		TEST(writes_land),
		TEST(an_idle_channel_is_an_overrun),
		TEST(what_is_not_found),
		TEST(another_rate_finds_nothing),
		TEST(no_medium_and_no_track),
		TEST(ids_go_by),
		TEST(a_protected_medium_takes_nothing),
		TEST(a_bad_disk_is_bad_data),
		TEST(deleted_data_are_normal_here),
		TEST(a_track_is_read_from_the_index_on),
		TEST(verify_moves_nothing),
		TEST(scans_compare),
		TEST(a_track_is_formatted_by_ids),
		TEST(other_formats_are_refused),
		TEST(reads_can_seek_by_themselves),
		TEST(without_dma_each_byte_is_asked_for),
		TEST(without_dma_the_fifo_asks_less_often),
		TEST(without_dma_a_result_has_its_own_interrupt),
		TEST(a_host_that_does_nothing_is_late),
		TEST(a_medium_may_go_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
