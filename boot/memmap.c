/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sweep over all edges of all descriptors and claims, from address 0 up: between two neighbouring
 * edges nothing changes, and the strongest range that covers the piece says what it is.
 */
#include "boot/memmap.h"

#include <stdbool.h>
#include <string.h>

#define PAGE 4096ull

/* UEFI specification, "EFI_MEMORY_TYPE". */
enum efi_type {
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_CODE = 3,
	EFI_BOOT_DATA = 4,
	EFI_RUNTIME_CODE = 5,
	EFI_RUNTIME_DATA = 6,
	EFI_CONVENTIONAL = 7,
	EFI_ACPI_RECLAIM = 9,
	EFI_ACPI_NVS = 10,
	EFI_MMIO = 11,
	EFI_MMIO_PORTS = 12,
};
#define EFI_ATTRIBUTE_CACHE 0x1full /* UC, WC, WT, WB, UCE */
#define EFI_ATTRIBUTE_WB 0x8ull

struct range {
	uint64_t base;
	uint64_t end; /* exclusive */
	uint32_t type;
	uint32_t attributes;
};

/* The larger rank wins where two ranges overlap. */
static unsigned rank(uint32_t type)
{
	static const uint8_t ranks[] = {
		[HANDOFF_MEM_FREE] = 1,	  [HANDOFF_MEM_ACPI] = 2,     [HANDOFF_MEM_RUNTIME] = 3,
		[HANDOFF_MEM_MMIO] = 4,	  [HANDOFF_MEM_LOADER] = 6,   [HANDOFF_MEM_IMAGE] = 7,
		[HANDOFF_MEM_MODULE] = 8, [HANDOFF_MEM_RESERVED] = 5,
	};

	return ranks[type];
}

static uint32_t handoff_type(const struct memmap_descriptor *d)
{
	bool uncacheable =
		(d->attributes & EFI_ATTRIBUTE_CACHE) != 0 && !(d->attributes & EFI_ATTRIBUTE_WB);

	switch (d->type) {
	case EFI_LOADER_CODE:
	case EFI_LOADER_DATA:
	case EFI_BOOT_CODE:
	case EFI_BOOT_DATA:
	case EFI_CONVENTIONAL:
		return uncacheable ? HANDOFF_MEM_RESERVED : HANDOFF_MEM_FREE;
	case EFI_RUNTIME_CODE:
	case EFI_RUNTIME_DATA:
		return HANDOFF_MEM_RUNTIME;
	case EFI_ACPI_RECLAIM:
	case EFI_ACPI_NVS:
		return HANDOFF_MEM_ACPI;
	case EFI_MMIO:
	case EFI_MMIO_PORTS:
		return HANDOFF_MEM_MMIO;
	default:
		return HANDOFF_MEM_RESERVED;
	}
}

/* base + size, or MEMMAP_LIMIT where that is less. */
static uint64_t clipped_end(uint64_t base, uint64_t size)
{
	return base >= MEMMAP_LIMIT || size >= MEMMAP_LIMIT - base ? MEMMAP_LIMIT : base + size;
}

static uint64_t round_up(uint64_t v)
{
	return (v + PAGE - 1) & ~(PAGE - 1);
}

static uint64_t round_down(uint64_t v)
{
	return v & ~(PAGE - 1);
}

static size_t descriptor_count(const struct memmap_input *in)
{
	return in->stride >= sizeof(struct memmap_descriptor) ? in->bytes / in->stride : 0;
}

static struct range descriptor_range(const struct memmap_input *in, size_t index)
{
	struct memmap_descriptor d;
	struct range r;

	memcpy(&d, (const char *)in->descriptors + index * in->stride, sizeof(d));
	r.base = d.base < MEMMAP_LIMIT ? d.base : MEMMAP_LIMIT;
	r.end = clipped_end(d.base, d.pages < MEMMAP_LIMIT / PAGE ? d.pages * PAGE : MEMMAP_LIMIT);
	r.type = handoff_type(&d);
	r.attributes = (uint32_t)d.attributes;
	if (r.type == HANDOFF_MEM_FREE) {
		r.base = r.base < PAGE ? PAGE : round_up(r.base);
		r.end = round_down(r.end);
	} else if (r.base < r.end) {
		r.base = round_down(r.base);
		r.end = round_up(r.end);
	}
	return r;
}

/* Descriptors come first, then claims. The range may be empty: end <= base. */
static struct range input_range(const struct memmap_input *in, size_t index)
{
	size_t count = descriptor_count(in);
	const struct memmap_claim *c;

	if (index < count) {
		return descriptor_range(in, index);
	}
	c = &in->claims[index - count];
	return (struct range){
		.base = round_down(c->base),
		.end = round_up(clipped_end(c->base, c->size)),
		.type = c->type,
		.attributes = EFI_ATTRIBUTE_WB,
	};
}

static size_t input_count(const struct memmap_input *in)
{
	return descriptor_count(in) + in->claim_count;
}

/*
 * What covers `at`, and up to where nothing changes: type 0 for a hole, end MEMMAP_LIMIT behind
 * the last edge.
 */
static struct range piece_at(const struct memmap_input *in, uint64_t at)
{
	struct range piece = {.base = at, .end = MEMMAP_LIMIT};

	for (size_t i = 0; i < input_count(in); i++) {
		struct range r = input_range(in, i);

		if (r.end <= r.base || r.end <= at) {
			continue;
		}
		if (r.base > at) {
			piece.end = r.base < piece.end ? r.base : piece.end;
			continue;
		}
		piece.end = r.end < piece.end ? r.end : piece.end;
		if (rank(r.type) > rank(piece.type)) {
			piece.type = r.type;
			piece.attributes = r.attributes;
		}
	}
	return piece;
}

static bool extends(const struct handoff_memory *last, const struct range *piece)
{
	return last->base + last->size == piece->base && last->type == piece->type &&
	       last->attributes == piece->attributes;
}

size_t memmap_bound(const struct memmap_input *in)
{
	/* n ranges have 2n edges, with 2n - 1 pieces between them. */
	return 2 * input_count(in);
}

size_t memmap_build(const struct memmap_input *in, struct handoff_memory *out, size_t capacity)
{
	struct handoff_memory last = {0};
	size_t count = 0;

	for (uint64_t at = 0; at < MEMMAP_LIMIT;) {
		struct range piece = piece_at(in, at);

		at = piece.end;
		if (piece.type == 0) {
			continue;
		}
		if (count > 0 && extends(&last, &piece)) {
			last.size += piece.end - piece.base;
		} else {
			last = (struct handoff_memory){.base = piece.base,
						       .size = piece.end - piece.base,
						       .type = piece.type,
						       .attributes = piece.attributes};
			count++;
		}
		if (count <= capacity) {
			out[count - 1] = last;
		}
	}
	return count;
}
