/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a Linux bzImage by the 64-bit boot protocol, or if it has no entry for that, by the
 * 32-bit one (Linux, Documentation/arch/x86/boot.rst).
 * Two pure steps: linux_plan decides every address from the image's header and the guest's E820
 * map, linux_load_step copies in pieces through a callback. What a plan puts into guest memory:
 *
 *	0x07000  boot_params ("zero page")      pref_address or above  the kernel, init_size long
 *	0x08000  GDT                            as high as allowed     the initrd
 *	0x09000  page tables, first 4 GiB 1:1, for the 64-bit protocol
 *	0x10000  command line
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/loaders/load.h"

/* What to boot. Everything pointed at outlives the plan made from it. */
struct linux_source {
	const void *kernel;
	uint64_t kernel_size;
	const void *initrd; /* NULL when initrd_size is 0 */
	uint64_t initrd_size;
	const char *cmdline;
	uint64_t rsdp; /* guest-physical; 0: the guest has no ACPI tables */
	const struct e820_map *map;
	bool vga; /* it finds a VGA in text mode (guests/devices/vga_text.h) */
};

enum linux_part_kind {
	LINUX_PART_BOOT_PARAMS,
	LINUX_PART_GDT,
	LINUX_PART_PAGE_TABLES,
	LINUX_PART_CMDLINE,
	LINUX_PART_KERNEL,
	LINUX_PART_INITRD,
	LINUX_PART_COUNT
};

/* Room for the setup header in boot_params, and where it begins there and in the image. */
#define LINUX_HEADER_OFFSET 0x1f1u
#define LINUX_HEADER_MAX (0x290u - LINUX_HEADER_OFFSET)

struct linux_plan {
	struct load_part parts[LINUX_PART_COUNT];
	uint64_t kernel_span; /* RAM from the kernel's address on that it takes to unpack itself */
	uint64_t rsdp;
	bool vga;
	bool entry_64; /* entered in 64-bit mode */
	unsigned header_size;
	uint8_t header[LINUX_HEADER_MAX]; /* as in the image; loader's fields come on top */
	struct e820_map map;
};

/*
 * Checks the image and places everything; only the first 0x310 bytes of the kernel are read.
 * HV_E_TRUNCATED: the image is cut short. HV_E_INVALID: no bzImage, a broken header or a command
 * line over the kernel's limit. HV_E_UNSUPPORTED: a zImage or a protocol before 2.10.
 * HV_E_NO_MEMORY: kernel or initrd do not fit into the guest's RAM. `err` says it in words; its
 * text is empty after HV_OK.
 */
enum hv_status linux_plan(const struct linux_source *src, struct linux_plan *out,
			  struct load_error *err) HV_MUST_CHECK;

/* As load_step. */
enum hv_status linux_load_step(const struct linux_plan *plan, struct load_progress *progress,
			       uint64_t budget, const struct guest_writer *writer,
			       bool *done) HV_MUST_CHECK;

/* The state to start in, as "64-bit Boot Protocol" or "32-bit Boot Protocol" demands it. */
void linux_entry_state(const struct linux_plan *plan, struct load_entry *out);
