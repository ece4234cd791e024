/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Multiboot loader over arbitrary files. The first byte chooses the guest's memory and a
 * module's size; the rest is the file. Whatever is accepted must load into RAM, without overlap,
 * and the bss must lie in RAM too.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "guests/loaders/multiboot.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool in_ram(const struct e820_map *map, uint64_t at, uint64_t n)
{
	for (unsigned i = 0; i < map->count; i++) {
		const struct e820_entry *e = &map->entries[i];

		if (e->type == E820_RAM && at >= e->base && n <= e->size &&
		    at - e->base <= e->size - n) {
			return true;
		}
	}
	return false;
}

static enum hv_status check_write(void *ctx, uint64_t at, const void *src, size_t n)
{
	static volatile uint8_t sink;

	sink = (uint8_t)(sink + ((const uint8_t *)src)[0] + ((const uint8_t *)src)[n - 1]);
	if (!in_ram(ctx, at, n)) {
		abort();
	}
	return HV_OK;
}

static void check_overlaps(const struct multiboot_plan *plan, const struct multiboot_image *image)
{
	for (unsigned i = 0; i < plan->part_count; i++) {
		const struct load_part *a = &plan->parts[i];
		bool segment = i >= 1 && i < plan->first_module;
		uint64_t a_size = segment ? image->segments[i - 1].memory_size : a->size;

		if (a_size != 0 && !in_ram(&plan->map, a->gpa, a_size)) {
			abort();
		}
		for (unsigned k = i + 1; k < plan->part_count; k++) {
			if (ranges_overlap(a->gpa, a_size, plan->parts[k].gpa,
					   plan->parts[k].size)) {
				abort();
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t module[65536];
	struct e820_map map;
	struct multiboot_plan plan;
	struct multiboot_image image;
	struct load_error err;
	struct load_progress progress = {0, 0};
	struct guest_writer writer = {check_write, &map};
	struct load_entry entry;
	bool done = false;

	if (size == 0 || e820_build(MIB(4) << (data[0] % 12), &map) != HV_OK) {
		return 0;
	}
	struct multiboot_source src = {
		.kernel = data + 1, .kernel_size = size - 1, .cmdline = "a b", .map = &map};

	src.module_count = data[0] >> 6;
	for (unsigned i = 0; i < src.module_count; i++) {
		src.modules[i] = (struct multiboot_module){module, (data[0] >> 4) * 4096u + 1, "m"};
	}
	if (multiboot_plan(&src, &plan, &err) != HV_OK) {
		return 0;
	}
	if (multiboot_image_read(data + 1, size - 1, &image, &err) != HV_OK) {
		abort();
	}
	check_overlaps(&plan, &image);
	while (!done) {
		if (multiboot_load_step(&plan, &progress, data[0] * 64u, &writer, &done) != HV_OK) {
			abort();
		}
	}
	multiboot_entry_state(&plan, &entry);
	if (entry.rip >= GIB(4) || !in_ram(&map, entry.rip, 1)) {
		abort();
	}
	return 0;
}
