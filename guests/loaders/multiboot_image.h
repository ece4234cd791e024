/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Multiboot kernel's file, read and judged: its header, and what of the file goes where. Sources:
 * Multiboot Specification 0.6.96, "OS image format"; System V ABI, "Object Files" and "Program
 * Loading".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/loaders/load.h"

/* "The Multiboot header must be contained completely within the first 8192 bytes". */
#define MULTIBOOT_SEARCH 8192u
#define MULTIBOOT_HEADER_MAGIC 0x1badb002u

/* Header flags; 0 to 15 are demands, 16 to 31 say what fields there are. */
#define MULTIBOOT_PAGE_ALIGN (1u << 0)
#define MULTIBOOT_MEMORY_INFO (1u << 1)
#define MULTIBOOT_VIDEO_MODE (1u << 2)
#define MULTIBOOT_AOUT_KLUDGE (1u << 16)

#define MULTIBOOT_SEGMENTS_MAX 16u

/* A run of memory below 4 GiB that the kernel takes. */
struct multiboot_segment {
	uint64_t gpa;
	uint64_t memory_size; /* bytes, not 0 */
	uint64_t file_offset;
	uint64_t file_size; /* at most memory_size; the rest is zero */
};

struct multiboot_image {
	uint32_t flags;
	uint64_t entry; /* physical, in one of the segments */
	unsigned segment_count;
	struct multiboot_segment segments[MULTIBOOT_SEGMENTS_MAX]; /* no two overlap */
};

/* Whether there is a Multiboot header in the file, whatever else is wrong with it. */
bool multiboot_image_is(const uint8_t *file, uint64_t size);

/*
 * Reads a file for which multiboot_image_is holds. HV_E_UNSUPPORTED: it demands what there is not,
 * or is for another CPU. HV_E_TRUNCATED: the file ends before what it announces. HV_E_INVALID:
 * broken in another way. `err` says it in words.
 */
enum hv_status multiboot_image_read(const uint8_t *file, uint64_t size, struct multiboot_image *out,
				    struct load_error *err) HV_MUST_CHECK;
