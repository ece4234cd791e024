/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bzImage loader over arbitrary images. The first byte chooses the guest's memory and the
 * initrd's size; the rest is the image. Whatever is accepted must load into RAM without overlap.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "guests/loaders/linux.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hv_status check_write(void *ctx, uint64_t at, const void *src, size_t n)
{
	const struct e820_map *map = ctx;
	static volatile uint8_t sink;

	sink = (uint8_t)(sink + ((const uint8_t *)src)[0] + ((const uint8_t *)src)[n - 1]);
	for (unsigned i = 0; i < map->count; i++) {
		const struct e820_entry *e = &map->entries[i];

		if (e->type == E820_RAM && at >= e->base && at + n <= e->base + e->size) {
			return HV_OK;
		}
	}
	abort();
}

static void check_overlaps(const struct linux_plan *plan)
{
	for (unsigned i = 0; i < LINUX_PART_COUNT; i++) {
		for (unsigned k = i + 1; k < LINUX_PART_COUNT; k++) {
			if (ranges_overlap(plan->parts[i].gpa, plan->parts[i].size,
					   plan->parts[k].gpa, plan->parts[k].size)) {
				abort();
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t initrd[65536];
	struct e820_map map;
	struct linux_plan plan;
	struct load_error err;
	struct load_progress progress = {0, 0};
	struct guest_writer writer = {check_write, &map};
	struct load_entry entry;
	bool done = false;

	if (size == 0 || e820_build(MIB(4) << (data[0] % 12), &map) != HV_OK) {
		return 0;
	}
	struct linux_source src = {
		.kernel = data + 1,
		.kernel_size = size - 1,
		.initrd = initrd,
		.initrd_size = (data[0] >> 4) * 4096u,
		.cmdline = "console=ttyS0",
		.rsdp = 0xe0000,
		.map = &map,
	};

	if (linux_plan(&src, &plan, &err) != HV_OK) {
		return 0;
	}
	check_overlaps(&plan);
	while (!done) {
		if (linux_load_step(&plan, &progress, data[0] * 64u, &writer, &done) != HV_OK) {
			abort();
		}
	}
	linux_entry_state(&plan, &entry);
	return 0;
}
