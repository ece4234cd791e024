/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware memory maps, tidy and odd, against the rules of boot/memmap.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/memmap.h"

#define PAGE 4096ul
#define CAPACITY 256

enum { CONVENTIONAL = 7, BOOT_DATA = 4, RUNTIME_DATA = 6, ACPI_NVS = 10, MMIO = 11 };

static struct handoff_memory out[CAPACITY];

static size_t build(const struct memmap_descriptor *d, size_t n, const struct memmap_claim *c,
		    size_t claims)
{
	struct memmap_input in = {d, n * sizeof(*d), sizeof(*d), c, claims};
	size_t count;

	memset(out, 0xee, sizeof(out));
	count = memmap_build(&in, out, CAPACITY);
	assert_true(count <= memmap_bound(&in));
	return count;
}

static void expect(size_t i, uint64_t base, uint64_t size, uint32_t type)
{
	assert_int_equal(out[i].base, base);
	assert_int_equal(out[i].size, size);
	assert_int_equal(out[i].type, type);
}

static void sorts_and_merges(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = ACPI_NVS, .base = 0x9000, .pages = 1, .attributes = 0xf},
		{.type = CONVENTIONAL, .base = 0x5000, .pages = 4, .attributes = 0xf},
		{.type = BOOT_DATA, .base = 0x1000, .pages = 4, .attributes = 0xf},
	};

	(void)state;
	assert_int_equal(build(d, 3, NULL, 0), 2);
	expect(0, 0x1000, 0x8000, HANDOFF_MEM_FREE);
	expect(1, 0x9000, 0x1000, HANDOFF_MEM_ACPI);
	assert_int_equal(out[0].attributes, 0xf);
}

static void keeps_attributes_apart(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = CONVENTIONAL, .base = 0x1000, .pages = 1, .attributes = 0xf},
		{.type = CONVENTIONAL,
		 .base = 0x2000,
		 .pages = 1,
		 .attributes = 0x800000000000000f},
		{.type = CONVENTIONAL, .base = 0x3000, .pages = 1, .attributes = 0x1000f},
	};

	(void)state;
	assert_int_equal(build(d, 3, NULL, 0), 2);
	expect(0, 0x1000, 0x2000, HANDOFF_MEM_FREE);
	expect(1, 0x3000, 0x1000, HANDOFF_MEM_FREE);
}

static void every_type_has_its_name(void **state)
{
	static const uint32_t expected[17] = {
		[0] = HANDOFF_MEM_RESERVED,  [1] = HANDOFF_MEM_FREE,
		[2] = HANDOFF_MEM_FREE,	     [3] = HANDOFF_MEM_FREE,
		[4] = HANDOFF_MEM_FREE,	     [5] = HANDOFF_MEM_RUNTIME,
		[6] = HANDOFF_MEM_RUNTIME,   [7] = HANDOFF_MEM_FREE,
		[8] = HANDOFF_MEM_RESERVED,  [9] = HANDOFF_MEM_ACPI,
		[10] = HANDOFF_MEM_ACPI,     [11] = HANDOFF_MEM_MMIO,
		[12] = HANDOFF_MEM_MMIO,     [13] = HANDOFF_MEM_RESERVED,
		[14] = HANDOFF_MEM_RESERVED, [15] = HANDOFF_MEM_RESERVED,
		[16] = HANDOFF_MEM_RESERVED,
	};

	(void)state;
	for (uint32_t type = 0; type < 17; type++) {
		struct memmap_descriptor d = {.type = type == 16 ? 0x80000001u : type,
					      .base = 0x4000,
					      .pages = 2,
					      .attributes = 0xf};

		assert_int_equal(build(&d, 1, NULL, 0), 1);
		expect(0, 0x4000, 0x2000, expected[type]);
	}
}

static void memory_that_cannot_be_cached_is_not_free(void **state)
{
	struct memmap_descriptor d = {.type = CONVENTIONAL, .base = 0x1000, .pages = 1};

	(void)state;
	d.attributes = 0x1; /* uncached only */
	assert_int_equal(build(&d, 1, NULL, 0), 1);
	expect(0, 0x1000, 0x1000, HANDOFF_MEM_RESERVED);
	d.attributes = 0; /* the firmware does not say */
	assert_int_equal(build(&d, 1, NULL, 0), 1);
	expect(0, 0x1000, 0x1000, HANDOFF_MEM_FREE);
}

static void overlap_goes_to_the_stricter(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = CONVENTIONAL, .base = 0x1000, .pages = 9},
		{.type = RUNTIME_DATA, .base = 0x3000, .pages = 3},
		{.type = 0, .base = 0x5000, .pages = 2},
		{.type = ACPI_NVS, .base = 0x4000, .pages = 1},
	};

	(void)state;
	assert_int_equal(build(d, 4, NULL, 0), 4);
	expect(0, 0x1000, 0x2000, HANDOFF_MEM_FREE);
	expect(1, 0x3000, 0x2000, HANDOFF_MEM_RUNTIME);
	expect(2, 0x5000, 0x2000, HANDOFF_MEM_RESERVED);
	expect(3, 0x7000, 0x3000, HANDOFF_MEM_FREE);
}

static void claims_win_and_split(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = CONVENTIONAL, .base = 0x1000, .pages = 15},
		{.type = 0, .base = 0x8000, .pages = 2},
	};
	const struct memmap_claim c[] = {
		{0x8000, 0x1000, HANDOFF_MEM_MODULE},
		{0x4000, 0x1000, HANDOFF_MEM_LOADER},
		{0x5000, 0x1000, HANDOFF_MEM_IMAGE},
		{0x20000, 0x1000, HANDOFF_MEM_MODULE}, /* the map does not know it */
	};

	(void)state;
	assert_int_equal(build(d, 2, c, 4), 8);
	expect(0, 0x1000, 0x3000, HANDOFF_MEM_FREE);
	expect(1, 0x4000, 0x1000, HANDOFF_MEM_LOADER);
	expect(2, 0x5000, 0x1000, HANDOFF_MEM_IMAGE);
	expect(3, 0x6000, 0x2000, HANDOFF_MEM_FREE);
	expect(4, 0x8000, 0x1000, HANDOFF_MEM_MODULE);
	expect(5, 0x9000, 0x1000, HANDOFF_MEM_RESERVED);
	expect(6, 0xa000, 0x6000, HANDOFF_MEM_FREE);
	expect(7, 0x20000, 0x1000, HANDOFF_MEM_MODULE);
}

static void odd_ends_round_to_the_safe_side(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = CONVENTIONAL, .base = 0x1800, .pages = 2}, /* only 0x2000 is whole */
		{.type = MMIO, .base = 0x5800, .pages = 1},
	};

	(void)state;
	assert_int_equal(build(d, 2, NULL, 0), 2);
	expect(0, 0x2000, 0x1000, HANDOFF_MEM_FREE);
	expect(1, 0x5000, 0x2000, HANDOFF_MEM_MMIO);
}

static void page_zero_is_never_free(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = CONVENTIONAL, .base = 0, .pages = 1},
		{.type = CONVENTIONAL, .base = 0, .pages = 3},
	};

	(void)state;
	assert_int_equal(build(d, 2, NULL, 0), 1);
	expect(0, 0x1000, 0x2000, HANDOFF_MEM_FREE);
}

static void huge_and_wrapping_sizes_are_clipped(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = CONVENTIONAL, .base = 0x100000, .pages = ~0ull},
		{.type = 0, .base = ~0ull - 0xfff, .pages = 2},
		{.type = MMIO, .base = MEMMAP_LIMIT, .pages = 1},
		{.type = MMIO, .base = 0x10000, .pages = 0},
		{.type = ACPI_NVS, .base = MEMMAP_LIMIT - 0x1800, .pages = 1ull << 52},
	};

	(void)state;
	assert_int_equal(build(d, 5, NULL, 0), 2);
	expect(0, 0x100000, MEMMAP_LIMIT - 0x2000 - 0x100000, HANDOFF_MEM_FREE);
	expect(1, MEMMAP_LIMIT - 0x2000, 0x2000, HANDOFF_MEM_ACPI);
}

static void stride_may_be_anything(void **state)
{
	struct memmap_descriptor d = {.type = CONVENTIONAL, .base = 0x1000, .pages = 1};
	char raw[3 * 77 + 5] = {0};
	struct memmap_input in = {raw, sizeof(raw), 77, NULL, 0};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		d.base = 0x1000 + i * 0x10000;
		memcpy(raw + i * 77, &d, sizeof(d));
	}
	assert_int_equal(memmap_build(&in, out, CAPACITY), 3);
	expect(2, 0x21000, 0x1000, HANDOFF_MEM_FREE);
	in.stride = sizeof(d) - 1;
	assert_int_equal(memmap_build(&in, out, CAPACITY), 0);
	in.stride = 0;
	assert_int_equal(memmap_build(&in, out, CAPACITY), 0);
	in.stride = ~(size_t)0;
	assert_int_equal(memmap_build(&in, out, CAPACITY), 0);
}

static void counts_what_does_not_fit(void **state)
{
	const struct memmap_descriptor d[] = {
		{.type = CONVENTIONAL, .base = 0x1000, .pages = 1},
		{.type = CONVENTIONAL, .base = 0x3000, .pages = 1},
		{.type = CONVENTIONAL, .base = 0x5000, .pages = 1},
	};
	struct memmap_input in = {d, sizeof(d), sizeof(d[0]), NULL, 0};

	(void)state;
	memset(out, 0xee, sizeof(out));
	assert_int_equal(memmap_build(&in, out, 2), 3);
	expect(1, 0x3000, 0x1000, HANDOFF_MEM_FREE);
	assert_int_equal(out[2].type, 0xeeeeeeee);
	assert_int_equal(memmap_build(&in, NULL, 0), 3);
}

/* Page by page: the strictest of what covers it, claims over all. */
static uint32_t expected_type(const struct memmap_descriptor *d, size_t n, uint64_t page,
			      const struct memmap_claim *claim)
{
	static const uint32_t order[] = {HANDOFF_MEM_FREE, HANDOFF_MEM_ACPI, HANDOFF_MEM_RUNTIME,
					 HANDOFF_MEM_MMIO, HANDOFF_MEM_RESERVED};
	static const unsigned strictness[13] = {5, 1, 1, 1, 1, 3, 3, 1, 5, 2, 2, 4, 4};
	unsigned best = 0;

	if (page >= claim->base && page < claim->base + claim->size) {
		return claim->type;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned s = strictness[d[i].type];

		if (page >= d[i].base && page < d[i].base + d[i].pages * PAGE &&
		    !(page == 0 && s == 1) && s > best) {
			best = s;
		}
	}
	return best == 0 ? 0 : order[best - 1];
}

static uint32_t built_type(size_t count, uint64_t page)
{
	for (size_t i = 0; i < count; i++) {
		if (page >= out[i].base && page < out[i].base + out[i].size) {
			return out[i].type;
		}
	}
	return 0;
}

static void random_maps_agree_page_by_page(void **state)
{
	struct memmap_descriptor d[20];

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 300; round++) {
		struct memmap_claim claim = {(unsigned)rand() % 60 * PAGE, PAGE * 3,
					     HANDOFF_MEM_MODULE};
		size_t count;

		for (size_t i = 0; i < 20; i++) {
			d[i] = (struct memmap_descriptor){.type = (uint32_t)(rand() % 13),
							  .base = (unsigned)rand() % 60 * PAGE,
							  .pages = (uint64_t)(rand() % 9)};
		}
		count = build(d, 20, &claim, 1);
		for (uint64_t page = 0; page < 80 * PAGE; page += PAGE) {
			assert_int_equal(built_type(count, page),
					 expected_type(d, 20, page, &claim));
		}
		for (size_t i = 1; i < count; i++) {
			assert_true(out[i].base >= out[i - 1].base + out[i - 1].size);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorts_and_merges),
		cmocka_unit_test(keeps_attributes_apart),
		cmocka_unit_test(every_type_has_its_name),
		cmocka_unit_test(memory_that_cannot_be_cached_is_not_free),
		cmocka_unit_test(overlap_goes_to_the_stricter),
		cmocka_unit_test(claims_win_and_split),
		cmocka_unit_test(odd_ends_round_to_the_safe_side),
		cmocka_unit_test(page_zero_is_never_free),
		cmocka_unit_test(huge_and_wrapping_sizes_are_clipped),
		cmocka_unit_test(stride_may_be_anything),
		cmocka_unit_test(counts_what_does_not_fit),
		cmocka_unit_test(random_maps_agree_page_by_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
