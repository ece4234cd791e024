/* SPDX-License-Identifier: Apache-2.0 */
/* RAM layouts and E820 maps: fixed cases and properties over many sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "guests/tables/e820.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"

static const uint64_t sizes[] = {
	GUEST_MEMORY_MIN,
	MIB(5) + KIB(4),
	MIB(64),
	MIB(512),
	LAYOUT_MMIO_BASE - PAGE_SIZE,
	LAYOUT_MMIO_BASE,
	LAYOUT_MMIO_BASE + PAGE_SIZE,
	GIB(4),
	GIB(100) + MIB(2),
	GUEST_MEMORY_MAX,
};

static bool ram_backed(const struct ram_layout *l, uint64_t base, uint64_t size)
{
	for (unsigned i = 0; i < l->count; i++) {
		if (base >= l->ranges[i].base &&
		    base + size <= l->ranges[i].base + l->ranges[i].size) {
			return true;
		}
	}
	return false;
}

static void test_layout_takes_what_was_asked(void **state)
{
	(void)state;
	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct ram_layout l;
		uint64_t sum = 0;

		assert_int_equal(ram_layout_build(sizes[s], LAYOUT_MMIO_BASE, &l), HV_OK);
		for (unsigned i = 0; i < l.count; i++) {
			assert_true(is_aligned(l.ranges[i].base | l.ranges[i].size, PAGE_SIZE));
			assert_true(i == 0 || l.ranges[i].base >=
						      l.ranges[i - 1].base + l.ranges[i - 1].size);
			assert_false(ranges_overlap(l.ranges[i].base, l.ranges[i].size,
						    LAYOUT_MMIO_BASE,
						    LAYOUT_4G - LAYOUT_MMIO_BASE));
			assert_false(ranges_overlap(l.ranges[i].base, l.ranges[i].size,
						    LAYOUT_VIDEO_BASE, LAYOUT_VIDEO_SIZE));
			sum += l.ranges[i].size;
		}
		assert_int_equal(sum, sizes[s] - LAYOUT_VIDEO_SIZE);
		assert_int_equal(l.count, sizes[s] > LAYOUT_MMIO_BASE ? 3 : 2);
	}
}

static void test_e820_is_sorted_and_tells_ram_truly(void **state)
{
	(void)state;
	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct ram_layout l;
		struct e820_map m;
		uint64_t usable = 0;

		assert_int_equal(ram_layout_build(sizes[s], LAYOUT_MMIO_BASE, &l), HV_OK);
		assert_int_equal(e820_build(sizes[s], &m), HV_OK);
		for (unsigned i = 0; i < m.count; i++) {
			const struct e820_entry *e = &m.entries[i];

			assert_true(e->size > 0);
			assert_true(i == 0 || e->base >= e[-1].base + e[-1].size);
			if (e->type == E820_RAM || e->type == E820_ACPI || e->type == E820_NVS) {
				assert_true(ram_backed(&l, e->base, e->size));
			}
			usable += e->type == E820_RAM ? e->size : 0;
		}
		/* All but the first MiB's holes is usable. */
		assert_int_equal(usable, sizes[s] - (LAYOUT_HIGH_BASE - LAYOUT_EBDA_BASE));
	}
}

static enum e820_type type_at(const struct e820_map *m, uint64_t addr)
{
	for (unsigned i = 0; i < m->count; i++) {
		if (addr - m->entries[i].base < m->entries[i].size) {
			return m->entries[i].type;
		}
	}
	return 0;
}

static void test_e820_holes(void **state)
{
	struct e820_map m;

	(void)state;
	assert_int_equal(e820_build(GIB(4), &m), HV_OK);
	assert_int_equal(type_at(&m, 0x9fbff), E820_RAM);
	assert_int_equal(type_at(&m, 0x9fc00), E820_RESERVED);
	assert_int_equal(type_at(&m, 0xa0000), 0);
	assert_int_equal(type_at(&m, LAYOUT_ACPI_BASE), E820_NVS);
	assert_int_equal(type_at(&m, LAYOUT_ACPI_BASE + LAYOUT_ACPI_NVS_SIZE), E820_ACPI);
	assert_int_equal(type_at(&m, 0xfffff), E820_RESERVED);
	assert_int_equal(type_at(&m, 0x100000), E820_RAM);
	assert_int_equal(type_at(&m, 0xbfffffff), E820_RAM);
	assert_int_equal(type_at(&m, 0xc0000000), 0);
	assert_int_equal(type_at(&m, LAYOUT_ECAM_BASE), E820_RESERVED);
	assert_int_equal(type_at(&m, LAYOUT_LAPIC_BASE), E820_RESERVED);
	assert_int_equal(type_at(&m, LAYOUT_4G), E820_RAM);
	assert_int_equal(type_at(&m, LAYOUT_4G + GIB(1) - 1), E820_RAM);
	assert_int_equal(type_at(&m, LAYOUT_4G + GIB(1)), 0);
}

static void test_refuses_bad_sizes(void **state)
{
	struct ram_layout l;
	struct e820_map m;

	(void)state;
	/* Under firmware RAM below 4 GiB ends earlier; there is as much of it. */
	assert_int_equal(ram_layout_build(GIB(3), LAYOUT_FIRMWARE_MMIO_BASE, &l), HV_OK);
	assert_int_equal(l.count, 3);
	assert_int_equal(l.ranges[1].base + l.ranges[1].size, LAYOUT_FIRMWARE_MMIO_BASE);
	assert_int_equal(l.ranges[2].base, LAYOUT_4G);
	assert_int_equal(l.ranges[2].size, GIB(1));
	assert_int_equal(ram_layout_build(0, LAYOUT_MMIO_BASE, &l), HV_E_RANGE);
	assert_int_equal(ram_layout_build(GUEST_MEMORY_MIN - PAGE_SIZE, LAYOUT_MMIO_BASE, &l),
			 HV_E_RANGE);
	assert_int_equal(ram_layout_build(GUEST_MEMORY_MAX + PAGE_SIZE, LAYOUT_MMIO_BASE, &l),
			 HV_E_RANGE);
	assert_int_equal(ram_layout_build(MIB(64) + 1, LAYOUT_MMIO_BASE, &l), HV_E_INVALID);
	assert_int_equal(e820_build(UINT64_MAX, &m), HV_E_RANGE);
	assert_int_equal(e820_build(MIB(64) + 512, &m), HV_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout_takes_what_was_asked),
		cmocka_unit_test(test_e820_is_sorted_and_tells_ram_truly),
		cmocka_unit_test(test_e820_holes),
		cmocka_unit_test(test_refuses_bad_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
