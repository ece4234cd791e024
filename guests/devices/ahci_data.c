/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a command's data lie in guest memory: a walk over the table of physical regions. Each entry
 * is read once into the cursor and used from there. Source: Serial ATA AHCI 1.3.1, "Physical Region
 * Descriptor Table".
 */
#include "guests/devices/ahci_internal.h"

void ahci_cursor_init(struct ahci_cursor *cur, uint64_t regions, uint32_t count)
{
	*cur = (struct ahci_cursor){.next = regions, .entries = count};
}

/* Makes the next entry the present one. */
static bool take_entry(const struct ahci_unit *u, struct ahci_cursor *cur)
{
	struct ahci_prd prd;

	if (!ahci_read(u, cur->next, &prd, sizeof(prd))) {
		return false;
	}
	cur->next += sizeof(prd);
	cur->entries--;
	cur->address = prd.address & ~1ull;
	/* Bit 0 has to be set, so that the length is even. */
	cur->left = (prd.size & AHCI_PRD_SIZE & ~1u) + 2;
	cur->marked |= (prd.size & AHCI_PRD_INTERRUPT) != 0;
	return true;
}

/* Bytes of the present entry that can be used next; 0 at the end of the table. */
static bool stretch(const struct ahci_unit *u, struct ahci_cursor *cur, uint32_t want, uint32_t *n)
{
	*n = 0;
	if (cur->left == 0 && cur->entries != 0 && !take_entry(u, cur)) {
		return false;
	}
	*n = (uint32_t)min_u64(want, cur->left);
	return true;
}

static void pass(struct ahci_cursor *cur, uint32_t n)
{
	cur->address += n;
	cur->left -= n;
}

uint32_t ahci_cursor_measure(const struct ahci_unit *u, const struct ahci_cursor *cur,
			     uint32_t bytes, uint32_t entries, bool *ok)
{
	struct ahci_cursor at = *cur;
	uint32_t sum = 0;
	uint32_t n;

	do {
		*ok = stretch(u, &at, bytes - sum, &n);
		pass(&at, n);
		sum += n;
	} while (n != 0 && sum < bytes && cur->entries - at.entries < entries);
	return sum;
}

/* To the guest from `to_guest`, or from the guest to `from_guest`; both NULL: nowhere. */
static bool move(const struct ahci_unit *u, struct ahci_cursor *cur, const uint8_t *to_guest,
		 uint8_t *from_guest, uint32_t bytes, uint32_t *moved)
{
	uint32_t n;

	for (*moved = 0; *moved < bytes; *moved += n) {
		if (!stretch(u, cur, bytes - *moved, &n)) {
			return false;
		}
		if (n == 0) {
			break;
		}
		if (to_guest != NULL && !ahci_write(u, cur->address, to_guest + *moved, n)) {
			return false;
		}
		if (from_guest != NULL && !ahci_read(u, cur->address, from_guest + *moved, n)) {
			return false;
		}
		pass(cur, n);
	}
	return true;
}

bool ahci_cursor_read(const struct ahci_unit *u, struct ahci_cursor *cur, void *dst, uint32_t bytes,
		      uint32_t *moved)
{
	return move(u, cur, NULL, dst, bytes, moved);
}

bool ahci_cursor_write(const struct ahci_unit *u, struct ahci_cursor *cur, const void *src,
		       uint32_t bytes, uint32_t *moved)
{
	return move(u, cur, src, NULL, bytes, moved);
}

bool ahci_cursor_skip(const struct ahci_unit *u, struct ahci_cursor *cur, uint32_t bytes,
		      uint32_t *moved)
{
	return move(u, cur, NULL, NULL, bytes, moved);
}
