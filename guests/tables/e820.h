/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a guest's RAM is laid out below and above the holes of guests/layout.h, and the E820 map
 * that tells the guest. Pure: numbers in, tables out.
 */
#pragma once

#include <stdint.h>

#include "hv/base/status.h"

/* Types as ACPI numbers them ("Address Range Types"). */
enum e820_type {
	E820_RAM = 1,
	E820_RESERVED = 2,
	E820_ACPI = 3, /* may be used as RAM once the tables have been read */
	E820_NVS = 4,
};

struct e820_entry {
	uint64_t base;
	uint64_t size;
	enum e820_type type;
};

#define E820_ENTRIES_MAX 16u

/* Sorted by base, no overlaps. */
struct e820_map {
	unsigned count;
	struct e820_entry entries[E820_ENTRIES_MAX];
};

/* A run of guest-physical addresses that RAM stands behind. */
struct ram_range {
	uint64_t base;
	uint64_t size;
};

#define RAM_RANGES_MAX 3u

/* Sorted by base. */
struct ram_layout {
	unsigned count;
	struct ram_range ranges[RAM_RANGES_MAX];
};

/* The smallest and largest RAM a guest can have, in bytes. */
#define GUEST_MEMORY_MIN 0x400000ull
#define GUEST_MEMORY_MAX 0x10000000000ull

/*
 * Decides what to declare and populate for a guest of `memory` bytes, a multiple of 4 KiB, with RAM
 * below 4 GiB up to `mmio_base` (LAYOUT_MMIO_BASE or LAYOUT_FIRMWARE_MMIO_BASE). The 128 KiB of
 * legacy video addresses are not backed, so that much less is taken. HV_E_RANGE when `memory` is
 * outside GUEST_MEMORY_MIN .. GUEST_MEMORY_MAX, HV_E_INVALID when it is not a multiple.
 */
enum hv_status ram_layout_build(uint64_t memory, uint64_t mmio_base,
				struct ram_layout *out) HV_MUST_CHECK;

/*
 * Describes a guest without firmware to itself; errors as ram_layout_build. Parts of the RAM-backed
 * first MiB are reported as reserved because tables and BIOS data lie there.
 */
enum hv_status e820_build(uint64_t memory, struct e820_map *out) HV_MUST_CHECK;
