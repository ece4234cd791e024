/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a kernel by the Multiboot Specification 0.6.96: ELF32 and ELF64 files by the physical
 * addresses of their program headers, others by the addresses in their header. multiboot_plan
 * decides every address, multiboot_load_step copies in pieces through a callback. What a plan puts
 * into guest memory:
 *
 *	where its file says	the kernel's segments; bss is not written: fresh RAM is zero
 *	the lowest free pages	information structure, memory map, module list, strings
 *	of conventional memory	  (above the kernel when there is no room)
 *	above the kernel	modules, each on its own pages, below 4 GiB
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/loaders/load.h"
#include "guests/loaders/multiboot_image.h"

#define MULTIBOOT_MODULES_MAX 16u

struct multiboot_module {
	const void *data;
	uint64_t size;
	const char *string;
};

/* What to boot. Everything pointed at outlives the plan made from it. */
struct multiboot_source {
	const void *kernel;
	uint64_t kernel_size;
	const char *cmdline; /* handed over as it is: no name of the kernel comes before it */
	unsigned module_count;
	struct multiboot_module modules[MULTIBOOT_MODULES_MAX];
	const struct e820_map *map;
};

/* The first part is the loader's own, then come segments, then modules. */
#define MULTIBOOT_PART_INFO 0u
#define MULTIBOOT_PARTS_MAX (1u + MULTIBOOT_SEGMENTS_MAX + MULTIBOOT_MODULES_MAX)

struct multiboot_plan {
	unsigned part_count;
	struct load_part parts[MULTIBOOT_PARTS_MAX];
	uint64_t entry;
	bool low_taken; /* the kernel lies where interrupt vectors and BIOS data would */
	const char *cmdline;
	unsigned first_module; /* index of its part */
	unsigned module_count;
	const char *module_strings[MULTIBOOT_MODULES_MAX];
	struct e820_map map;
};

/*
 * Checks the file and places everything. Errors as multiboot_image_read, and HV_E_NO_MEMORY: a
 * segment, a module or the information does not lie in or fit into the guest's RAM; HV_E_RANGE: too
 * many modules. `err` says it in words; its text is empty after HV_OK.
 */
enum hv_status multiboot_plan(const struct multiboot_source *src, struct multiboot_plan *out,
			      struct load_error *err) HV_MUST_CHECK;

/* As load_step. */
enum hv_status multiboot_load_step(const struct multiboot_plan *plan,
				   struct load_progress *progress, uint64_t budget,
				   const struct guest_writer *writer, bool *done) HV_MUST_CHECK;

/* The state to start in, as "Machine state" demands it. */
void multiboot_entry_state(const struct multiboot_plan *plan, struct load_entry *out);
