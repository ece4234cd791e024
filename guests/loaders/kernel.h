/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's kernel of whatever kind: which loader takes it is seen from its file. A bzImage is
 * booted by the Linux boot protocol, any other file with a Multiboot header by that specification.
 */
#pragma once

#include "guests/loaders/linux.h"
#include "guests/loaders/load.h"
#include "guests/loaders/multiboot.h"

enum kernel_kind { KERNEL_LINUX, KERNEL_MULTIBOOT };

/* What to boot. Everything pointed at outlives the plan made from it. */
struct kernel_source {
	const void *kernel;
	uint64_t kernel_size;
	const void *initrd; /* NULL when initrd_size is 0; the first module of a Multiboot kernel */
	uint64_t initrd_size;
	const struct multiboot_module *modules;
	unsigned module_count;
	const char *cmdline;
	uint64_t rsdp;
	const struct e820_map *map;
	bool vga; /* as struct linux_source */
};

struct kernel_plan {
	enum kernel_kind kind;
	union {
		struct linux_plan bzimage;
		struct multiboot_plan multiboot;
	};
};

/* Errors as linux_plan and multiboot_plan; modules for a bzImage are HV_E_INVALID. */
enum hv_status kernel_plan(const struct kernel_source *src, struct kernel_plan *out,
			   struct load_error *err) HV_MUST_CHECK;
/* As load_step. */
enum hv_status kernel_load_step(const struct kernel_plan *plan, struct load_progress *progress,
				uint64_t budget, const struct guest_writer *writer,
				bool *done) HV_MUST_CHECK;
void kernel_entry_state(const struct kernel_plan *plan, struct load_entry *out);

/* Whether the kernel may expect to find what a BIOS leaves (guests/tables/legacy.h) ... */
bool kernel_expects_bios(const struct kernel_plan *plan);
/* ... and does not itself lie where vectors and BIOS data belong. */
bool kernel_leaves_low_memory(const struct kernel_plan *plan);
