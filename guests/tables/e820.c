/* SPDX-License-Identifier: Apache-2.0 */
/* The RAM layout of a guest and its E820 map. */
#include "guests/tables/e820.h"

#include "guests/layout.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"

static enum hv_status memory_check(uint64_t memory)
{
	if (memory < GUEST_MEMORY_MIN || memory > GUEST_MEMORY_MAX) {
		return HV_E_RANGE;
	}
	return is_aligned(memory, PAGE_SIZE) ? HV_OK : HV_E_INVALID;
}

/* Where RAM below the PCI hole ends. */
static uint64_t low_end(uint64_t memory, uint64_t mmio_base)
{
	return min_u64(memory, mmio_base);
}

static void ram_add(struct ram_layout *l, uint64_t base, uint64_t end)
{
	CHECK(l->count < RAM_RANGES_MAX);
	l->ranges[l->count++] = (struct ram_range){base, end - base};
}

enum hv_status ram_layout_build(uint64_t memory, uint64_t mmio_base, struct ram_layout *out)
{
	enum hv_status status = memory_check(memory);

	if (status != HV_OK) {
		return status;
	}
	out->count = 0;
	ram_add(out, 0, LAYOUT_VIDEO_BASE);
	ram_add(out, LAYOUT_ROM_BASE, low_end(memory, mmio_base));
	if (memory > mmio_base) {
		ram_add(out, LAYOUT_4G, LAYOUT_4G + (memory - mmio_base));
	}
	return HV_OK;
}

static void e820_add(struct e820_map *map, uint64_t base, uint64_t end, enum e820_type type)
{
	CHECK(map->count < E820_ENTRIES_MAX && base < end);
	map->entries[map->count++] = (struct e820_entry){base, end - base, type};
}

enum hv_status e820_build(uint64_t memory, struct e820_map *out)
{
	const uint64_t tables = LAYOUT_ACPI_BASE + LAYOUT_ACPI_NVS_SIZE;
	const uint64_t tables_end = LAYOUT_ACPI_BASE + LAYOUT_ACPI_SIZE;
	enum hv_status status = memory_check(memory);

	if (status != HV_OK) {
		return status;
	}
	out->count = 0;
	e820_add(out, 0, LAYOUT_EBDA_BASE, E820_RAM);
	e820_add(out, LAYOUT_EBDA_BASE, LAYOUT_VIDEO_BASE, E820_RESERVED);
	e820_add(out, LAYOUT_ROM_BASE, LAYOUT_ACPI_BASE, E820_RESERVED);
	e820_add(out, LAYOUT_ACPI_BASE, tables, E820_NVS);
	e820_add(out, tables, tables_end, E820_ACPI);
	e820_add(out, tables_end, LAYOUT_HIGH_BASE, E820_RESERVED);
	e820_add(out, LAYOUT_HIGH_BASE, low_end(memory, LAYOUT_MMIO_BASE), E820_RAM);
	e820_add(out, LAYOUT_ECAM_BASE, LAYOUT_ECAM_BASE + LAYOUT_ECAM_SIZE, E820_RESERVED);
	e820_add(out, LAYOUT_IOAPIC_BASE, LAYOUT_IOAPIC_BASE + PAGE_SIZE, E820_RESERVED);
	e820_add(out, LAYOUT_LAPIC_BASE, LAYOUT_LAPIC_BASE + PAGE_SIZE, E820_RESERVED);
	if (memory > LAYOUT_MMIO_BASE) {
		e820_add(out, LAYOUT_4G, LAYOUT_4G + (memory - LAYOUT_MMIO_BASE), E820_RAM);
	}
	return HV_OK;
}
