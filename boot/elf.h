/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's ELF64 file: checks, a plan of its segments, and laying it out in memory. The
 * file comes out of our own build, but is read as carefully as if it did not.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The image lives in the top 2 GiB (the compiler's kernel code model) and is small. */
#define ELF_IMAGE_MIN 0xffffffff80000000ull
#define ELF_IMAGE_SPAN_MAX (64ull << 20)
#define ELF_SEGMENTS_MAX 8u

#define ELF_X 1u
#define ELF_W 2u
#define ELF_R 4u

/* A PT_LOAD segment; all of [address, address + memory_size) lies inside the plan's span. */
struct elf_segment {
	uint64_t address;     /* link address, 4 KiB aligned */
	uint64_t memory_size; /* bytes, not 0 */
	uint64_t file_offset;
	uint64_t file_size; /* at most memory_size; the rest is zero */
	uint32_t flags;	    /* ELF_R | ELF_W | ELF_X, never W and X together */
};

struct elf_plan {
	uint64_t base; /* of the lowest segment */
	uint64_t span; /* from there to the last segment's end, a multiple of 4 KiB */
	uint64_t entry;
	size_t segment_count;
	struct elf_segment segments[ELF_SEGMENTS_MAX]; /* ascending, no page shared */
};

/*
 * Checks the file and fills the plan. NULL when all is well, else what is wrong with the file.
 * Source: System V ABI, "Object Files" and "Program Loading".
 */
const char *elf_plan(const void *file, size_t size, struct elf_plan *plan)
	__attribute__((warn_unused_result));

/* Lays the planned file out in `memory`, plan->span bytes, holes and bss zeroed. */
void elf_load(const struct elf_plan *plan, const void *file, void *memory);
