/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loaders share. A loader is pure: its plan judges the files and decides every address,
 * its parts are then copied in bounded pieces through a callback, and an entry state says how the
 * first vCPU begins. Nothing here trusts a file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/tables/e820.h"
#include "hv/api/backend.h"
#include "hv/base/fmt.h"
#include "hv/base/status.h"

/* Why an image was refused, in words for the person who wrote the guest's folder. */
struct load_error {
	char text[160];
};

/* Formats into err->text and returns `status`. */
enum hv_status load_fail(struct load_error *err, enum hv_status status, const char *fmt, ...)
	FMT_PRINTF(3, 4);

/* ---- placing ---- */

/* One run of bytes that goes into guest memory. */
struct load_part {
	uint64_t gpa;
	uint64_t size;	     /* bytes to write; 0: absent */
	const uint8_t *data; /* NULL: made by the loader */
};

/* The RAM of entry `i` within [from, limit); an empty range when there is none. */
struct ram_range load_ram_within(const struct e820_map *map, unsigned i, uint64_t from,
				 uint64_t limit);

/* Ranges that are placed already. */
#define LOAD_TAKEN_MAX 40u

struct load_taken {
	unsigned count;
	struct ram_range ranges[LOAD_TAKEN_MAX];
};

/*
 * The lowest aligned address in RAM of `within` with `size` bytes behind it that touches nothing of
 * `taken` (may be NULL). `align` is a power of two. False when there is none.
 */
bool load_place(const struct e820_map *map, struct ram_range within, uint64_t size, uint64_t align,
		const struct load_taken *taken, uint64_t *out);

uint64_t load_ram_bytes(const struct e820_map *map);
uint64_t load_mib_up(uint64_t bytes);

/* ---- making the loader's own parts ---- */

/* `n` bytes of a part, from `offset` on, being made; zero until something is put there. */
struct load_piece {
	uint8_t *bytes;
	uint64_t offset;
	size_t n;
};

/* Puts the part's bytes [at, at + n) where they fall into the piece. */
void load_put(const struct load_piece *p, uint64_t at, const void *src, size_t n);
/* Puts the low `size` bytes of a number, little-endian. */
void load_put_number(const struct load_piece *p, uint64_t at, uint64_t value, size_t size);

/* ---- copying ---- */

/* Where the bytes go: [gpa, gpa + n) is always RAM of the plan's map. */
struct guest_writer {
	enum hv_status (*write)(void *ctx, uint64_t gpa, const void *src, size_t n);
	void *ctx;
};

/* How far load_step has come; starts zeroed. */
struct load_progress {
	unsigned part;
	uint64_t offset;
};

/* The parts of a plan, in the order they are written. */
struct load_list {
	const struct load_part *parts;
	unsigned count;
	/* Makes a piece of a part that has no data. */
	void (*make)(const void *plan, unsigned part, const struct load_piece *piece);
	const void *plan;
};

/*
 * Writes about `budget` bytes more (at least one piece of 512) and sets *done when nothing is left.
 * A status of the writer's other than HV_OK is passed on; the piece it refused is tried again.
 */
enum hv_status load_step(const struct load_list *list, struct load_progress *progress,
			 uint64_t budget, const struct guest_writer *writer,
			 bool *done) HV_MUST_CHECK;

/* ---- entering ---- */

/* The vCPU's state at the kernel's first instruction. All registers not named are zero. */
struct load_entry {
	uint64_t rip;
	uint64_t rax;
	uint64_t rbx;
	uint64_t rsi;
	uint64_t rflags;
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	struct vcpu_segment segments[VCPU_SEG_COUNT];
};
