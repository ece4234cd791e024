/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All memory is EfiLoaderData, the only type every firmware is known to leave alone: types of our
 * own are allowed by the specification and crash some machines. What a page is for stands in the
 * list of claims instead.
 */
#include "boot/pages.h"

#include <efilib.h>
#include <stdbool.h>

static struct memmap_claim *claims;
static size_t claim_count;
static size_t claim_capacity;

/* Makes room for one more claim. */
static bool grow_claims(void)
{
	size_t capacity = claim_capacity == 0 ? 64 : 2 * claim_capacity;
	struct memmap_claim *larger;

	if (claim_count < claim_capacity) {
		return true;
	}
	larger = AllocatePool(capacity * sizeof(*larger));
	if (larger == NULL) {
		return false;
	}
	if (claims != NULL) {
		CopyMem(larger, claims, claim_count * sizeof(*claims));
		FreePool(claims);
	}
	claims = larger;
	claim_capacity = capacity;
	return true;
}

static void *take(EFI_ALLOCATE_TYPE how, uint64_t limit, uint64_t bytes, uint32_t type)
{
	EFI_PHYSICAL_ADDRESS base = limit;
	uint64_t pages = (bytes + EFI_PAGE_SIZE - 1) / EFI_PAGE_SIZE;

	if (!grow_claims() || bytes > MEMMAP_LIMIT ||
	    EFI_ERROR(uefi_call_wrapper(BS->AllocatePages, 4, how, EfiLoaderData, pages, &base))) {
		return NULL;
	}
	claims[claim_count++] = (struct memmap_claim){base, pages * EFI_PAGE_SIZE, type};
	return (void *)base;
}

void *pages_take(uint64_t bytes, uint32_t type)
{
	return take(AllocateAnyPages, 0, bytes, type);
}

void *pages_take_below(uint64_t limit, uint32_t type)
{
	return take(AllocateMaxAddress, limit - 1, EFI_PAGE_SIZE, type);
}

void pages_give_back(void *pages)
{
	for (size_t i = claim_count; i-- > 0;) {
		if (claims[i].base == (uint64_t)pages) {
			uefi_call_wrapper(BS->FreePages, 2, claims[i].base,
					  claims[i].size / EFI_PAGE_SIZE);
			claims[i] = claims[--claim_count];
			return;
		}
	}
}

const struct memmap_claim *pages_claims(size_t *count)
{
	*count = claim_count;
	return claims;
}
