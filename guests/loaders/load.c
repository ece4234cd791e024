/* SPDX-License-Identifier: Apache-2.0 */
/* Placing and copying, the same for every kind of kernel. */
#include "guests/loaders/load.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define GENERATED_PIECE 512u

enum hv_status load_fail(struct load_error *err, enum hv_status status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fmt_vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return status;
}

/* ---------------------------------------------------------------- placing */

uint64_t load_mib_up(uint64_t bytes)
{
	return (bytes >> 20) + ((bytes & 0xfffff) != 0);
}

uint64_t load_ram_bytes(const struct e820_map *map)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < map->count; i++) {
		sum += map->entries[i].type == E820_RAM ? map->entries[i].size : 0;
	}
	return sum;
}

struct ram_range load_ram_within(const struct e820_map *map, unsigned i, uint64_t from,
				 uint64_t limit)
{
	const struct e820_entry *e = &map->entries[i];
	uint64_t start = max_u64(e->base, from);
	uint64_t end = min_u64(e->base + e->size, limit);

	if (e->type != E820_RAM || start >= end) {
		return (struct ram_range){0, 0};
	}
	return (struct ram_range){start, end - start};
}

/* The first of `taken` that [base, base + size) touches; NULL when it is clear. */
static const struct ram_range *first_touched(const struct load_taken *taken, uint64_t base,
					     uint64_t size)
{
	for (unsigned i = 0; taken != NULL && i < taken->count; i++) {
		if (ranges_overlap(base, size, taken->ranges[i].base, taken->ranges[i].size)) {
			return &taken->ranges[i];
		}
	}
	return NULL;
}

/* As load_place in one run of RAM. Each round passes one of `taken` for good. */
static bool place_in_run(struct ram_range run, uint64_t size, uint64_t align,
			 const struct load_taken *taken, uint64_t *out)
{
	uint64_t end = run.base + run.size;
	uint64_t at = align_up(run.base, align);

	while (at < end && end - at >= size) {
		const struct ram_range *t = first_touched(taken, at, size);

		if (t == NULL) {
			*out = at;
			return true;
		}
		at = align_up(t->base + t->size, align);
	}
	return false;
}

bool load_place(const struct e820_map *map, struct ram_range within, uint64_t size, uint64_t align,
		const struct load_taken *taken, uint64_t *out)
{
	for (unsigned i = 0; i < map->count; i++) {
		struct ram_range run =
			load_ram_within(map, i, within.base, within.base + within.size);

		if (run.size != 0 && place_in_run(run, size, align, taken, out)) {
			return true;
		}
	}
	return false;
}

/* ---------------------------------------------------------------- making the loader's parts */

void load_put(const struct load_piece *p, uint64_t at, const void *src, size_t n)
{
	uint64_t start = max_u64(at, p->offset);
	uint64_t end = min_u64(at + n, p->offset + p->n);

	if (start < end) {
		memcpy(p->bytes + (start - p->offset), (const uint8_t *)src + (start - at),
		       end - start);
	}
}

void load_put_number(const struct load_piece *p, uint64_t at, uint64_t value, size_t size)
{
	load_put(p, at, &value, size);
}

/* ---------------------------------------------------------------- copying */

/* Writes the next piece of the part at `progress`, at most `budget` bytes; *n tells how many. */
static enum hv_status write_piece(const struct load_list *list,
				  const struct load_progress *progress, uint64_t budget,
				  const struct guest_writer *writer, uint64_t *n)
{
	const struct load_part *part = &list->parts[progress->part];
	uint64_t gpa = part->gpa + progress->offset;
	uint64_t left = part->size - progress->offset;
	uint8_t made[GENERATED_PIECE] = {0};
	struct load_piece piece = {made, progress->offset, min_u64(left, sizeof(made))};

	if (part->data != NULL) {
		*n = min_u64(left, max_u64(budget, GENERATED_PIECE));
		return writer->write(writer->ctx, gpa, part->data + progress->offset, *n);
	}
	list->make(list->plan, progress->part, &piece);
	*n = piece.n;
	return writer->write(writer->ctx, gpa, made, *n);
}

enum hv_status load_step(const struct load_list *list, struct load_progress *progress,
			 uint64_t budget, const struct guest_writer *writer, bool *done)
{
	uint64_t written = 0;

	while (progress->part < list->count) {
		uint64_t n;
		enum hv_status status;

		if (progress->offset == list->parts[progress->part].size) {
			progress->part++;
			progress->offset = 0;
			continue;
		}
		if (written != 0 && written >= budget) {
			break;
		}
		status = write_piece(list, progress, budget - min_u64(written, budget), writer, &n);
		if (status != HV_OK) {
			return status;
		}
		progress->offset += n;
		written += n;
	}
	*done = progress->part == list->count;
	return HV_OK;
}
