/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay against a model that is simply the whole disk in memory: random requests, with
 * buffers and copied, over a base that answers at once, one that answers late and out of order, and
 * one that is memory itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/base/addr.h"
#include "hv/base/log.h"
#include "hv/blk/overlay.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/fake_cpu.h"

/* Three granules and a part of one more than a node holds. */
#define SECTORS (515u * 8 + 5)
#define COUNT_MAX 40u
#define SLOTS 6u

static struct disk_rig base;
static struct blk_overlay overlay;
static uint8_t *model;
static uint8_t *pristine;
static uint64_t bytes_before;
static unsigned lines;

static void count_line(const char *line, size_t n)
{
	(void)n;
	lines += strstr(line, "writes fail") != NULL;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = (uint8_t)rand();
	}
}

static void make(uint64_t sectors, uint32_t block_size, uint64_t limit)
{
	disk_rig_init(&base, "nvme0 partition 1", sectors, block_size);
	fill(base.bytes, sectors * BLK_SECTOR);
	model = malloc(sectors * BLK_SECTOR);
	pristine = malloc(sectors * BLK_SECTOR);
	memcpy(model, base.bytes, sectors * BLK_SECTOR);
	memcpy(pristine, base.bytes, sectors * BLK_SECTOR);
	base.dev.readonly = true;
	bytes_before = pool_bytes_used();
	assert_int_equal(blk_overlay_init(&overlay, &base.dev, "guest web: disk 0", limit), HV_OK);
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(32));
	srand(5);
	lines = 0;
	log_set_sink(count_line);
	return 0;
}

/* The base is untouched and all memory comes back. */
static int teardown(void **state)
{
	(void)state;
	assert_memory_equal(base.bytes, pristine, base.dev.sectors * BLK_SECTOR);
	assert_int_equal(pool_bytes_used() - bytes_before, blk_overlay_bytes(&overlay));
	blk_overlay_fini(&overlay);
	assert_int_equal(pool_bytes_used(), bytes_before);
	disk_rig_fini(&base);
	free(model);
	free(pristine);
	log_set_sink(NULL);
	return 0;
}

static enum hv_status ask(enum blk_op op, uint64_t sector, uint32_t count, void *buffer)
{
	struct disk_rig_request q;

	disk_rig_ask(&overlay.dev, &q, op, sector, count, buffer);
	while (q.done == 0) {
		overlay.dev.ops->poll(&overlay.dev);
	}
	assert_int_equal(q.done, 1);
	return q.r.status;
}

static void assert_same(uint64_t sector, uint32_t count)
{
	static _Alignas(BLK_SECTOR) uint8_t got[1024 * BLK_SECTOR];

	assert_int_equal(ask(BLK_READ, sector, count, got), HV_OK);
	assert_memory_equal(got, model + sector * BLK_SECTOR, (size_t)count * BLK_SECTOR);
}

static void assert_all_same(void)
{
	for (uint64_t at = 0; at < base.dev.sectors; at += 1024) {
		assert_same(at, (uint32_t)min_u64(1024, base.dev.sectors - at));
	}
}

/* One request in flight, and the model's idea of its sectors. */
struct slot {
	struct disk_rig_request q;
	bool busy;
	_Alignas(BLK_SECTOR) uint8_t buffer[COUNT_MAX * BLK_SECTOR];
};

static struct slot slots[SLOTS];

static bool overlaps_busy(uint64_t sector, uint32_t count)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (slots[i].busy &&
		    ranges_overlap(sector, count, slots[i].q.r.sector, slots[i].q.r.count)) {
			return true;
		}
	}
	return false;
}

static void settle(struct slot *s)
{
	const struct blk_request *r = &s->q.r;

	if (!s->busy || s->q.done == 0) {
		return;
	}
	assert_int_equal(s->q.done, 1);
	assert_int_equal(r->status, HV_OK);
	if (r->op == BLK_READ) {
		assert_memory_equal(s->buffer, model + r->sector * BLK_SECTOR,
				    (size_t)r->count * BLK_SECTOR);
	}
	s->busy = false;
}

/* What is whole is the base's again; the model's rule, written differently. */
static void model_discard(uint64_t sector, uint32_t count)
{
	for (uint64_t g = 0; g * 8 < base.dev.sectors; g++) {
		uint64_t end = min_u64(g * 8 + 8, base.dev.sectors);

		if (g * 8 >= sector && end <= sector + count) {
			memcpy(model + g * 4096, pristine + g * 4096, (end - g * 8) * BLK_SECTOR);
		}
	}
}

/* Requests that are open at the same time have no sector in common, but granules. */
static void start_random(struct slot *s)
{
	static const enum blk_op ops[] = {BLK_READ,  BLK_READ,	  BLK_WRITE,	   BLK_WRITE,
					  BLK_WRITE, BLK_DISCARD, BLK_WRITE_ZEROES};
	uint32_t block = base.dev.block_size / BLK_SECTOR;
	uint32_t count = block * (1 + (uint32_t)rand() % (COUNT_MAX / block));
	uint64_t near_end = rand() % 2 ? base.dev.sectors - 80 : 0;
	uint64_t sector = near_end + (uint64_t)(rand() % 80);
	enum blk_op op = ops[(unsigned)rand() % ARRAY_SIZE(ops)];

	sector -= sector % block;
	count = (uint32_t)min_u64(count, base.dev.sectors - sector);
	if (overlaps_busy(sector, count)) {
		return;
	}
	fill(s->buffer, sizeof(s->buffer));
	s->busy = true;
	if (op == BLK_WRITE) {
		memcpy(model + sector * BLK_SECTOR, s->buffer, (size_t)count * BLK_SECTOR);
	} else if (op == BLK_WRITE_ZEROES) {
		memset(model + sector * BLK_SECTOR, 0, (size_t)count * BLK_SECTOR);
	} else if (op == BLK_DISCARD) {
		model_discard(sector, count);
	}
	if (rand() % 2) {
		disk_rig_ask_or_copy(&overlay.dev, &s->q, op, sector, count, s->buffer);
	} else {
		disk_rig_ask(&overlay.dev, &s->q, op, sector, count, s->buffer);
	}
}

static void random_requests(unsigned rounds)
{
	memset(slots, 0, sizeof(slots));
	for (unsigned i = 0; i < rounds; i++) {
		struct slot *s = &slots[(unsigned)rand() % SLOTS];

		if (!s->busy) {
			start_random(s);
		}
		if (base.open_count > 0 && rand() % 2) {
			disk_rig_finish(&base, (unsigned)rand() % base.open_count);
		}
		for (unsigned k = 0; k < SLOTS; k++) {
			settle(&slots[k]);
		}
	}
	while (base.open_count > 0) {
		disk_rig_finish(&base, 0);
	}
	for (unsigned k = 0; k < SLOTS; k++) {
		settle(&slots[k]);
		assert_false(slots[k].busy);
	}
	assert_all_same();
}

static void random_over_memory(void **state)
{
	(void)state;
	make(SECTORS, 512, 0);
	random_requests(4000);
}

static void random_over_an_image(void **state)
{
	(void)state;
	make(SECTORS, 512, 0);
	base.dev.copies = true;
	random_requests(4000);
}

static void random_over_a_slow_disk(void **state)
{
	(void)state;
	make(SECTORS, 512, 0);
	base.holds = true;
	random_requests(4000);
}

static void random_over_blocks_of_4_kib(void **state)
{
	(void)state;
	make(516 * 8, 4096, 0);
	base.holds = true;
	random_requests(2000);
}

/* Two writes into halves of one granule, both waiting for the base: neither is lost. */
static void halves_of_a_granule_at_once(void **state)
{
	struct disk_rig_request a, b;
	_Alignas(BLK_SECTOR) uint8_t first[4 * BLK_SECTOR], second[4 * BLK_SECTOR];

	(void)state;
	make(SECTORS, 512, 0);
	base.holds = true;
	memset(first, 1, sizeof(first));
	memset(second, 2, sizeof(second));
	disk_rig_ask(&overlay.dev, &a, BLK_WRITE, 8, 4, first);
	disk_rig_ask(&overlay.dev, &b, BLK_WRITE, 12, 4, second);
	assert_int_equal(base.open_count, 2);
	disk_rig_finish(&base, 1);
	disk_rig_finish(&base, 0);
	assert_int_equal(a.done + b.done, 2);
	memset(model + 8 * BLK_SECTOR, 1, sizeof(first));
	memset(model + 12 * BLK_SECTOR, 2, sizeof(second));
	base.holds = false;
	assert_same(0, 32);
}

/* A granule that was written when a write began and is discarded before the write goes on. */
static void discarded_while_a_write_waits(void **state)
{
	struct disk_rig_request q;
	_Alignas(BLK_SECTOR) uint8_t data[8 * BLK_SECTOR];

	(void)state;
	make(SECTORS, 512, 0);
	memset(data, 3, sizeof(data));
	assert_int_equal(ask(BLK_WRITE, 16, 8, data), HV_OK);
	base.holds = true;
	disk_rig_ask(&overlay.dev, &q, BLK_WRITE, 12, 8, data); /* halves of granules 1 and 2 */
	assert_int_equal(ask(BLK_DISCARD, 16, 8, NULL), HV_OK);
	while (q.done == 0) {
		disk_rig_finish(&base, 0);
	}
	memset(model + 12 * BLK_SECTOR, 3, sizeof(data));
	base.holds = false;
	assert_same(0, 40);
}

static enum hv_status copy(enum blk_op op, uint64_t sector, uint32_t count, void *buffer)
{
	return disk_rig_try_copy(&overlay.dev, op, sector, count, buffer);
}

/* Only what a slow base has to be asked for cannot be copied, and leaves no trace. */
static void copies_what_needs_no_base(void **state)
{
	static uint8_t data[24 * BLK_SECTOR];

	(void)state;
	make(SECTORS, 512, 0);
	fill(data, sizeof(data));
	assert_int_equal(copy(BLK_WRITE, 16, 24, data), HV_OK);
	assert_int_equal(copy(BLK_WRITE, 17, 2, data), HV_OK);
	memcpy(model + 16 * BLK_SECTOR, data, sizeof(data));
	memcpy(model + 17 * BLK_SECTOR, data, 2 * BLK_SECTOR);
	assert_int_equal(copy(BLK_WRITE, 15, 2, data), HV_E_UNSUPPORTED);
	assert_int_equal(copy(BLK_WRITE, 39, 2, data), HV_E_UNSUPPORTED);
	assert_int_equal(copy(BLK_READ, 15, 2, data), HV_E_UNSUPPORTED);
	assert_int_equal(copy(BLK_READ, 39, 2, data), HV_E_UNSUPPORTED);
	assert_int_equal(copy(BLK_READ, 16, 24, data), HV_OK);
	assert_memory_equal(data, model + 16 * BLK_SECTOR, sizeof(data));
	assert_int_equal(base.requests, 0);
	assert_int_equal(overlay.dev.stats.requests[BLK_WRITE], 2);
	assert_int_equal(overlay.dev.stats.requests[BLK_READ], 1);
	assert_int_equal(overlay.dev.stats.errors, 0);
	assert_all_same();
}

/* What lies together in the base is one piece; each granule of the overlay is one. */
static void copies_in_few_pieces(void **state)
{
	static _Alignas(BLK_SECTOR) uint8_t data[64 * BLK_SECTOR];
	struct disk_rig_copier c = disk_rig_copier(data, sizeof(data));
	struct blk_request r = {.op = BLK_READ, .sector = 4, .count = 64};

	(void)state;
	make(SECTORS, 512, 0);
	base.dev.copies = true;
	assert_int_equal(ask(BLK_WRITE_ZEROES, 24, 16, NULL), HV_OK);
	memset(model + 24 * BLK_SECTOR, 0, 16 * BLK_SECTOR);
	assert_int_equal(blk_copy(&overlay.dev, &r, &c.c), HV_OK);
	assert_memory_equal(data, model + 4 * BLK_SECTOR, sizeof(data));
	assert_int_equal(c.goes, 4);
	assert_int_equal(base.requests, 2);
	base.failure = HV_E_IO;
	assert_int_equal(copy(BLK_READ, 0, 8, data), HV_E_IO);
	base.failure = HV_OK;
}

/* Who copies stops in the middle of a granule: nothing shows there but the base's, its or zeros. */
static void a_copy_that_stops(void **state)
{
	static uint8_t data[24 * BLK_SECTOR];
	struct disk_rig_copier c = disk_rig_copier(data, 4096 + 100);
	struct blk_request r = {.op = BLK_WRITE, .sector = 16, .count = 24};

	(void)state;
	make(SECTORS, 512, 0);
	fill(data, sizeof(data));
	assert_int_equal(blk_copy(&overlay.dev, &r, &c.c), HV_E_IO);
	memcpy(model + 2 * 4096, data, 4096 + 100);
	memset(model + 3 * 4096 + 100, 0, 4096 - 100);
	assert_int_equal(overlay.dev.stats.errors, 1);
	assert_all_same();
	r.op = BLK_READ;
	r.count = 16;
	c = disk_rig_copier(data, 100);
	assert_int_equal(blk_copy(&overlay.dev, &r, &c.c), HV_E_IO);
}

static void only_what_is_written_costs(void **state)
{
	static _Alignas(BLK_SECTOR) uint8_t data[64 * BLK_SECTOR];

	(void)state;
	make(SECTORS, 512, 0);
	assert_same(0, 1024);
	assert_int_equal(blk_overlay_bytes(&overlay), 0);
	assert_int_equal(ask(BLK_WRITE, 64, 64, data), HV_OK);
	memset(model + 64 * BLK_SECTOR, 0, sizeof(data));
	/* 8 granules, the root and one node. */
	assert_int_equal(blk_overlay_bytes(&overlay), 10 * 4096);
	assert_int_equal(ask(BLK_WRITE, 64, 64, data), HV_OK);
	assert_int_equal(blk_overlay_bytes(&overlay), 10 * 4096);
	assert_int_equal(ask(BLK_WRITE_ZEROES, 64, 64, NULL), HV_OK);
	assert_int_equal(blk_overlay_bytes(&overlay), 2 * 4096);
	assert_all_same();
	/* All of it is one entry, and reads zero without the base. */
	assert_int_equal(ask(BLK_WRITE_ZEROES, 0, SECTORS, NULL), HV_OK);
	assert_int_equal(blk_overlay_bytes(&overlay), 0);
	memset(model, 0, SECTORS * BLK_SECTOR);
	base.requests = 0;
	assert_all_same();
	assert_int_equal(base.requests, 0);
	assert_int_equal(ask(BLK_DISCARD, 0, SECTORS, NULL), HV_OK);
	memcpy(model, pristine, SECTORS * BLK_SECTOR);
	assert_all_same();
}

static void a_huge_disk_needs_few_nodes(void **state)
{
	struct blk_overlay huge;
	struct disk_rig tera;
	struct disk_rig_request q;

	(void)state;
	make(SECTORS, 512, 0);
	tera = base; /* of which the first granule is read */
	tera.dev.sectors = BIT(40);
	assert_int_equal(blk_overlay_init(&huge, &tera.dev, "x", 0), HV_OK);
	disk_rig_ask(&huge.dev, &q, BLK_WRITE_ZEROES, 3, ~0u - 2, NULL);
	assert_int_equal(q.r.status, HV_OK);
	assert_int_equal(tera.requests, 1);
	assert_int_equal(huge.tree.levels, 5);
	assert_true(blk_overlay_bytes(&huge) <= (huge.tree.levels + 1) * 4096ull);
	disk_rig_ask(&huge.dev, &q, BLK_DISCARD, 0, ~0u, NULL);
	assert_int_equal(q.r.status, HV_OK);
	blk_overlay_fini(&huge);
	assert_int_equal(blk_overlay_bytes(&huge), 0);
	tera.dev.sectors = BIT(48) + 1;
	assert_int_equal(blk_overlay_init(&huge, &tera.dev, "x", 0), HV_E_UNSUPPORTED);
	tera.dev.sectors = 1024;
	tera.dev.block_size = 8192;
	assert_int_equal(blk_overlay_init(&huge, &tera.dev, "x", 0), HV_E_UNSUPPORTED);
}

static void the_limit_fails_writes_and_is_said_once(void **state)
{
	static _Alignas(BLK_SECTOR) uint8_t data[8 * BLK_SECTOR];

	(void)state;
	make(SECTORS, 512, 5 * 4096 + 100);
	fill(data, sizeof(data));
	for (uint64_t g = 0; g < 3; g++) {
		assert_int_equal(ask(BLK_WRITE, g * 8, 8, data), HV_OK);
		memcpy(model + g * 4096, data, sizeof(data));
	}
	assert_int_equal(lines, 0);
	assert_int_equal(ask(BLK_WRITE, 80, 8, data), HV_E_IO);
	assert_int_equal(ask(BLK_WRITE, 81, 2, data), HV_E_IO);
	assert_int_equal(copy(BLK_WRITE, 80, 8, data), HV_E_IO);
	assert_int_equal(lines, 1);
	assert_int_equal(overlay.failed_writes, 3);
	/* What it has can be written, and what is given back is there for others. */
	assert_int_equal(ask(BLK_WRITE, 1, 1, data), HV_OK);
	memcpy(model + BLK_SECTOR, data, BLK_SECTOR);
	assert_int_equal(ask(BLK_DISCARD, 16, 8, NULL), HV_OK);
	memcpy(model + 2 * 4096, pristine + 2 * 4096, 4096);
	assert_int_equal(ask(BLK_WRITE, 80, 8, data), HV_OK);
	memcpy(model + 10 * 4096, data, sizeof(data));
	assert_all_same();
}

static void the_machine_keeps_some_memory(void **state)
{
	static _Alignas(BLK_SECTOR) uint8_t data[8 * BLK_SECTOR];
	struct frame_stats stats;
	uint64_t written = 0;

	(void)state;
	make(32 * 2048, 512, 0);
	while (ask(BLK_WRITE, written, 8, data) == HV_OK) {
		memset(model + written * BLK_SECTOR, 0, sizeof(data));
		written += 8;
	}
	assert_int_equal(lines, 1);
	frame_stats(&stats);
	assert_true(stats.free * PAGE_SIZE >= MIB(5));
	assert_true(written > 8 * 2048);
	assert_all_same();
}

static void errors_of_the_base_go_up(void **state)
{
	static _Alignas(BLK_SECTOR) uint8_t data[16 * BLK_SECTOR];

	(void)state;
	make(SECTORS, 512, 0);
	base.failure = HV_E_IO;
	assert_int_equal(ask(BLK_READ, 0, 8, data), HV_E_IO);
	assert_int_equal(ask(BLK_WRITE, 1, 2, data), HV_E_IO);
	assert_int_equal(ask(BLK_WRITE, 0, 16, data), HV_OK); /* needs no base */
	base.failure = HV_OK;
	memset(model, 0, sizeof(data));
	assert_int_equal(ask(BLK_FLUSH, 0, 0, NULL), HV_OK);
	assert_all_same();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_over_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(random_over_an_image, setup, teardown),
		cmocka_unit_test_setup_teardown(random_over_a_slow_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(random_over_blocks_of_4_kib, setup, teardown),
		cmocka_unit_test_setup_teardown(halves_of_a_granule_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(discarded_while_a_write_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_what_needs_no_base, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_in_few_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_that_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(only_what_is_written_costs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_huge_disk_needs_few_nodes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_limit_fails_writes_and_is_said_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_machine_keeps_some_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_of_the_base_go_up, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
