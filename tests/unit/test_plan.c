/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "mm/frame.h"
#include "mm/plan.h"

#define FREE HANDOFF_MEM_FREE
#define LOADER HANDOFF_MEM_LOADER
#define RESERVED HANDOFF_MEM_RESERVED
#define RUNTIME HANDOFF_MEM_RUNTIME

static unsigned collect(const struct handoff_memory *map, unsigned count,
			struct handoff_memory *out)
{
	struct plan_walk w;
	unsigned n = 0;

	plan_walk_init(&w, map, count);
	while (plan_walk_next(&w, &out[n])) {
		n++;
	}
	return n;
}

static void expect_part(const struct handoff_memory *m, uint64_t base, uint64_t end, uint32_t type)
{
	assert_int_equal(m->base, base);
	assert_int_equal(m->base + m->size, end);
	assert_int_equal(m->type, type);
}

static void a_good_map_comes_through(void **state)
{
	static const struct handoff_memory map[] = {
		{MIB(1), MIB(7), FREE, 8},
		{MIB(8), MIB(8), LOADER, 8},
		{GIB(1), MIB(1), RUNTIME, 9},
	};
	struct handoff_memory out[4];

	(void)state;
	assert_int_equal(collect(map, 3, out), 3);
	assert_memory_equal(out, map, sizeof(map));
	assert_int_equal(collect(map, 0, out), 0);
}

static void edges_are_trimmed(void **state)
{
	static const struct handoff_memory map[] = {
		{0, MIB(2), FREE, 0},		     /* below 1 MiB is nobody's */
		{MIB(2) + 1, MIB(1), LOADER, 0},     /* inwards */
		{MIB(4) + 0x10, 0x1000, LOADER, 0},  /* no whole page */
		{MIB(5) + 0x10, 0x1000, RUNTIME, 0}, /* outwards at the start */
		{MIB(6), 0, FREE, 0},		     /* empty */
		{FRAME_TOP_MAX - MIB(1), MIB(2), FREE, 0},
		{FRAME_TOP_MAX + MIB(2), MIB(2), FREE, 0},
		{UINT64_MAX - 0xffe, 0x7ff, RESERVED, 0},
	};
	struct handoff_memory out[8];

	(void)state;
	assert_int_equal(collect(map, 8, out), 4);
	expect_part(&out[0], MIB(1), MIB(2), FREE);
	expect_part(&out[1], MIB(2) + 0x1000, MIB(3), LOADER);
	expect_part(&out[2], MIB(5), MIB(5) + 0x1000, RUNTIME);
	expect_part(&out[3], FRAME_TOP_MAX - MIB(1), FRAME_TOP_MAX, FREE);
}

static void free_memory_that_overlaps_is_not_used(void **state)
{
	static const struct handoff_memory map[] = {
		{MIB(1), MIB(9), FREE, 0}, /* holds the next two */
		{MIB(2), MIB(1), RESERVED, 0},
		{MIB(8), MIB(1), FREE, 0},
		{MIB(10), MIB(4), RESERVED, 0},
		{MIB(12), MIB(4), FREE, 0}, /* begins inside the one before */
		{MIB(20), MIB(4), LOADER, 0},
		{MIB(22), MIB(4), LOADER, 0},
		{MIB(30), MIB(1), FREE, 0},
	};
	struct handoff_memory out[8];

	(void)state;
	assert_int_equal(collect(map, 8, out), 4);
	expect_part(&out[0], MIB(10), MIB(12), RESERVED);
	expect_part(&out[1], MIB(20), MIB(22), LOADER);
	expect_part(&out[2], MIB(24), MIB(26), LOADER);
	expect_part(&out[3], MIB(30), MIB(31), FREE);
}

static void an_entry_that_wraps_spoils_what_follows(void **state)
{
	static const struct handoff_memory map[] = {
		{MIB(1), MIB(1), FREE, 0},
		{MIB(3), UINT64_MAX - MIB(2), RESERVED, 0},
		{MIB(4), MIB(1), FREE, 0},
	};
	struct handoff_memory out[3];

	(void)state;
	assert_int_equal(collect(map, 3, out), 1);
	expect_part(&out[0], MIB(1), MIB(2), FREE);
}

static void table_and_chunk_lie_in_free_memory(void **state)
{
	static const struct handoff_memory map[] = {
		{0, 0xa0000, FREE, 0},
		{MIB(1), MIB(63), FREE, 0},
		{MIB(64), MIB(16), LOADER, 0},
		{MIB(80), GIB(2) - MIB(80), FREE, 0},
		{GIB(4), GIB(4) - 0x5000, FREE, 0},
	};
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(map, 5, &p), HV_OK);
	assert_int_equal(p.top, GIB(8) - 0x5000);
	assert_int_equal(p.table_size, align_up((GIB(8) - 0x5000) / 256, PAGE_SIZE));
	assert_true(is_aligned(p.table_base, PAGE_SIZE_2M));
	assert_true(p.table_base >= GIB(4) && p.table_base + p.table_size <= p.top);
	assert_int_equal(p.chunk_base, MIB(2));
	assert_int_equal(p.chunk_size, MIB(2));
}

static void a_terabyte_is_fine(void **state)
{
	static const struct handoff_memory map[] = {
		{MIB(1), GIB(2) - MIB(1), FREE, 0},
		{GIB(4), GIB(1022), FREE, 0},
	};
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(map, 2, &p), HV_OK);
	assert_int_equal(p.top, GIB(1026));
	assert_int_equal(p.table_size, GIB(1026) / 256);
	assert_true(p.table_base + p.table_size <= GIB(1026));
	assert_int_equal(p.table_base % PAGE_SIZE_2M, 0);
}

static void memory_too_far_up_is_given_up(void **state)
{
	static const struct handoff_memory map[] = {
		{MIB(1), GIB(2), FREE, 0},
		{GIB(4), GIB(2), FREE, 0},
		/* 2 MiB that would need a table of 4 GiB, then one of 16. */
		{GIB(1024), MIB(2), FREE, 0},
		{GIB(4096), MIB(2), LOADER, 0},
	};
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(map, 4, &p), HV_OK);
	assert_int_equal(p.top, GIB(6));
}

static void small_machines_get_small_chunks(void **state)
{
	static const struct handoff_memory map[] = {
		{MIB(1), KIB(1600), FREE, 0},
	};
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(map, 1, &p), HV_OK);
	assert_int_equal(p.chunk_size, KIB(512));
	assert_int_equal(p.chunk_base, MIB(1));
	assert_true(p.table_base >= p.chunk_base + p.chunk_size);
	assert_true(p.table_base + p.table_size <= MIB(1) + KIB(1600));
}

static void table_and_chunk_share_one_part(void **state)
{
	/* The table goes to 2 MiB, the only multiple: the chunk has to be small and behind it. */
	static const struct handoff_memory map[] = {{MIB(2), MIB(2), FREE, 0}};
	/* Here the chunk of 2 MiB would reach into the table. */
	static const struct handoff_memory tight[] = {{MIB(2), MIB(2) + KIB(16), FREE, 0}};
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(map, 1, &p), HV_OK);
	assert_int_equal(p.table_base, MIB(2));
	assert_int_equal(p.chunk_base, MIB(2) + KIB(512));
	assert_int_equal(p.chunk_size, KIB(512));
	assert_int_equal(plan_make(tight, 1, &p), HV_OK);
	assert_false(ranges_overlap(p.chunk_base, p.chunk_size, p.table_base, p.table_size));
}

static void hopeless_maps_are_errors(void **state)
{
	static const struct handoff_memory unsorted[] = {
		{MIB(64), MIB(64), FREE, 0},
		{MIB(1), MIB(16), FREE, 0},
	};
	static const struct handoff_memory tiny[] = {{MIB(1), KIB(16), FREE, 0}};
	static const struct handoff_memory none_low[] = {{GIB(5), GIB(1), FREE, 0}};
	static const struct handoff_memory none_free[] = {{MIB(1), GIB(1), LOADER, 0}};
	struct plan p;

	(void)state;
	assert_int_equal(plan_make(unsorted, 2, &p), HV_E_INVALID);
	assert_int_equal(plan_make(tiny, 1, &p), HV_E_NO_MEMORY);
	assert_int_equal(plan_make(none_low, 1, &p), HV_E_NO_MEMORY);
	assert_int_equal(plan_make(none_free, 1, &p), HV_E_NO_MEMORY);
	assert_int_equal(plan_make(NULL, 0, &p), HV_E_NO_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_map_comes_through),
		cmocka_unit_test(edges_are_trimmed),
		cmocka_unit_test(free_memory_that_overlaps_is_not_used),
		cmocka_unit_test(an_entry_that_wraps_spoils_what_follows),
		cmocka_unit_test(table_and_chunk_lie_in_free_memory),
		cmocka_unit_test(a_terabyte_is_fine),
		cmocka_unit_test(memory_too_far_up_is_given_up),
		cmocka_unit_test(small_machines_get_small_chunks),
		cmocka_unit_test(table_and_chunk_share_one_part),
		cmocka_unit_test(hopeless_maps_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
