/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's page tables, walked here as a CPU would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/paging.h"

#define GIB (1ull << 30)
#define MIB (1ull << 20)
#define TABLES_AT 0x40000000ull
#define IMAGE_AT 0x12345000ull
#define NX (1ull << 63)
#define W 2ull

static uint64_t tables[256 * 512] __attribute__((aligned(4096)));
static struct paging p;

static const struct elf_plan plan = {
	.base = ELF_IMAGE_MIN,
	.span = 0x5000,
	.segment_count = 3,
	.segments = {{ELF_IMAGE_MIN, 0x1000, 0, 0, ELF_R | ELF_X},
		     {ELF_IMAGE_MIN + 0x1000, 0x10, 0, 0, ELF_R},
		     {ELF_IMAGE_MIN + 0x3000, 0x1001, 0, 0, ELF_R | ELF_W}},
};

static bool build(const struct handoff_memory *map, size_t count, bool gib_pages)
{
	memset(tables, 0, sizeof(tables));
	p = (struct paging){.tables = tables,
			    .physical = TABLES_AT,
			    .capacity = paging_bound(map, count, plan.span),
			    .gib_pages = gib_pages};
	assert_true(p.capacity <= 256);
	return paging_build(&p, map, count, &plan, IMAGE_AT);
}

struct translation {
	uint64_t physical;
	uint64_t page;	/* size; 0 when not mapped */
	uint64_t flags; /* W only if on all levels, NX if on any */
};

static struct translation translate(uint64_t address)
{
	struct translation t = {.flags = W};
	uint64_t table = TABLES_AT;

	for (unsigned shift = 39;; shift -= 9) {
		uint64_t entry = tables[(table - TABLES_AT) / 8 + (address >> shift) % 512];

		if ((entry & 1) == 0) {
			return (struct translation){0};
		}
		t.flags = (t.flags & entry & W) | ((t.flags | entry) & NX);
		table = entry & 0x000ffffffffff000ull;
		if (shift == 12 || (entry & 0x80) != 0) {
			t.page = 1ull << shift;
			assert_int_equal(table % t.page, 0);
			t.physical = table + address % t.page;
			return t;
		}
	}
}

static void expect(uint64_t address, uint64_t physical, uint64_t page, uint64_t flags)
{
	struct translation t = translate(address);

	assert_int_equal(t.page, page);
	assert_int_equal(t.physical, physical);
	assert_int_equal(t.flags, flags);
}

static const struct handoff_memory ordinary[] = {
	{0x1000, 0x9f000, HANDOFF_MEM_FREE, 0},		{0x100000, 0x7ff00000, HANDOFF_MEM_FREE, 0},
	{0x80000000, 0x1000, HANDOFF_MEM_RESERVED, 0},	{0xfee00000, 0x1000, HANDOFF_MEM_MMIO, 0},
	{4 * GIB, GIB + 0x1000, HANDOFF_MEM_MODULE, 0},
};

static void memory_is_mapped_twice(void **state)
{
	(void)state;
	assert_true(build(ordinary, 5, false));
	expect(0x1234, 0x1234, 2 * MIB, W);
	expect(0x7fffffff, 0x7fffffff, 2 * MIB, W);
	expect(5 * GIB + 0x123, 5 * GIB + 0x123, 2 * MIB, W);
	expect(HANDOFF_DIRECT_BASE + 0x1234, 0x1234, 2 * MIB, W | NX);
	expect(HANDOFF_DIRECT_BASE + 5 * GIB, 5 * GIB, 2 * MIB, W | NX);
}

static void nothing_else_is_mapped(void **state)
{
	(void)state;
	assert_true(build(ordinary, 5, true));
	assert_int_equal(translate(0x80000000).page, 0);
	assert_int_equal(translate(0xfee00000).page, 0);
	assert_int_equal(translate(5 * GIB + 2 * MIB).page, 0);
	assert_int_equal(translate(512 * GIB).page, 0);
	assert_int_equal(translate(HANDOFF_DIRECT_BASE + 0xfee00000).page, 0);
	assert_int_equal(translate(ELF_IMAGE_MIN + 0x5000).page, 0);
}

static void large_pages_where_the_cpu_has_them(void **state)
{
	(void)state;
	assert_true(build(ordinary, 5, true));
	expect(0x40000000, 0x40000000, GIB, W);
	expect(HANDOFF_DIRECT_BASE + 4 * GIB + 5, 4 * GIB + 5, GIB, W | NX);
	expect(5 * GIB, 5 * GIB, 2 * MIB, W);
}

static void image_has_its_rights(void **state)
{
	(void)state;
	assert_true(build(ordinary, 5, true));
	expect(ELF_IMAGE_MIN + 0x10, IMAGE_AT + 0x10, 4096, 0);
	expect(ELF_IMAGE_MIN + 0x1000, IMAGE_AT + 0x1000, 4096, NX);
	assert_int_equal(translate(ELF_IMAGE_MIN + 0x2000).page, 0); /* the guard page */
	expect(ELF_IMAGE_MIN + 0x3000, IMAGE_AT + 0x3000, 4096, W | NX);
	expect(ELF_IMAGE_MIN + 0x4fff, IMAGE_AT + 0x4fff, 4096, W | NX);
}

static void too_small_a_buffer_is_refused(void **state)
{
	size_t needed;

	(void)state;
	assert_true(build(ordinary, 5, false));
	needed = p.used;
	for (size_t capacity = 0; capacity < needed; capacity++) {
		memset(tables, 0, sizeof(tables));
		p.used = 0;
		p.capacity = capacity;
		assert_false(paging_build(&p, ordinary, 5, &plan, IMAGE_AT));
		assert_true(p.used <= capacity);
	}
}

static void the_bound_holds_for_odd_maps(void **state)
{
	struct handoff_memory map[24];

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 200; round++) {
		uint64_t at = 0;

		for (size_t i = 0; i < 24; i++) {
			at += (uint64_t)(rand() % 1000) << (12 + rand() % 20);
			map[i].base = at;
			map[i].size = (uint64_t)(1 + rand() % 700) << (12 + rand() % 13);
			map[i].type = 1 + (uint32_t)rand() % 8;
			at += map[i].size;
		}
		assert_true(build(map, 24, round % 2 != 0));
		for (size_t i = 0; i < 24; i++) {
			uint64_t last = map[i].base + map[i].size - 1;

			if (map[i].type != HANDOFF_MEM_MMIO &&
			    map[i].type != HANDOFF_MEM_RESERVED) {
				assert_int_equal(translate(map[i].base).physical, map[i].base);
				assert_int_equal(translate(HANDOFF_DIRECT_BASE + last).physical,
						 last);
			}
		}
	}
}

static void the_last_slot_of_the_window_works(void **state)
{
	const struct handoff_memory top = {(32ull << 40) - 0x1000, 0x1000, HANDOFF_MEM_FREE, 0};

	(void)state;
	assert_true(build(&top, 1, false));
	expect(HANDOFF_DIRECT_BASE + top.base, top.base, 2 * MIB, W | NX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_mapped_twice),
		cmocka_unit_test(nothing_else_is_mapped),
		cmocka_unit_test(large_pages_where_the_cpu_has_them),
		cmocka_unit_test(image_has_its_rights),
		cmocka_unit_test(too_small_a_buffer_is_refused),
		cmocka_unit_test(the_bound_holds_for_odd_maps),
		cmocka_unit_test(the_last_slot_of_the_window_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
