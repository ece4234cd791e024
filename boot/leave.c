/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page tables are built from a map taken shortly before the end: what is memory does not
 * change any more, only who uses it. Then nothing is left after ExitBootServices that could fail.
 */
#include "boot/leave.h"

#include <efilib.h>
#include <string.h>

#include "boot/boot_insn.h"
#include "boot/console.h"
#include "boot/cpu_facts.h"
#include "boot/memmap.h"
#include "boot/pages.h"
#include "boot/paging.h"

#define MSR_EFER 0xc0000080u
#define EFER_NXE (1ull << 11)
#define CPUID_EXT_FEATURES 0x80000001u

/* Descriptors by which the map may grow between asking for its size and the end. */
#define SLACK 64
/* A stale key means that a timer or driver of the firmware took memory meanwhile: rare, and rarer
 * each time. */
#define EXIT_ATTEMPTS 16

struct efi_map {
	char *buffer;
	UINTN capacity;
	UINTN bytes;
	UINTN stride;
	UINTN key;
};

static EFI_STATUS get_map(struct efi_map *map)
{
	UINT32 version;

	map->bytes = map->capacity;
	return uefi_call_wrapper(BS->GetMemoryMap, 5, &map->bytes,
				 (EFI_MEMORY_DESCRIPTOR *)map->buffer, &map->key, &map->stride,
				 &version);
}

/* Finds out how much room the map needs, and takes it. */
static EFI_STATUS prepare_map(struct efi_map *map)
{
	EFI_STATUS status = get_map(map);

	if (status != EFI_BUFFER_TOO_SMALL) {
		return EFI_ERROR(status) ? status : EFI_DEVICE_ERROR;
	}
	map->capacity = map->bytes + SLACK * map->stride;
	map->buffer = AllocatePool(map->capacity);
	return map->buffer != NULL ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

static struct memmap_input input_of(const struct efi_map *map)
{
	struct memmap_input in = {
		.descriptors = map->buffer, .bytes = map->bytes, .stride = map->stride};

	in.claims = pages_claims(&in.claim_count);
	return in;
}

/* Takes room for the largest array that the map, once it is final, can become. */
static size_t prepare_array(const struct efi_map *map, struct handoff *handoff)
{
	struct memmap_input in = input_of(map);
	size_t capacity;

	in.bytes = map->capacity;
	in.claim_count += 4; /* the array itself and the page tables are still to come */
	capacity = memmap_bound(&in);
	handoff->memory =
		(uint64_t)pages_take(capacity * sizeof(struct handoff_memory), HANDOFF_MEM_LOADER);
	return handoff->memory != 0 ? capacity : 0;
}

static void write_array(const struct efi_map *map, struct handoff *handoff, size_t capacity)
{
	struct memmap_input in = input_of(map);

	handoff->memory_count =
		memmap_build(&in, (struct handoff_memory *)handoff->memory, capacity);
}

static bool build_tables(const struct elf_plan *plan, struct handoff *handoff)
{
	const struct handoff_memory *map = (const struct handoff_memory *)handoff->memory;
	struct paging p = {
		.capacity = paging_bound(map, handoff->memory_count, plan->span),
		.gib_pages = (boot_cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EXT_EDX_GIB_PAGES) != 0,
	};

	p.tables = pages_take(p.capacity * EFI_PAGE_SIZE, HANDOFF_MEM_LOADER);
	if (p.tables == NULL) {
		return false;
	}
	memset(p.tables, 0, p.capacity * EFI_PAGE_SIZE);
	p.physical = (uint64_t)p.tables;
	handoff->boot_cr3 = p.physical;
	return paging_build(&p, map, handoff->memory_count, plan, handoff->image_base);
}

/* No output from here on: printing may change the map. */
static EFI_STATUS exit_services(EFI_HANDLE image, struct efi_map *map)
{
	EFI_STATUS status = EFI_SUCCESS;

	for (unsigned i = 0; i < EXIT_ATTEMPTS; i++) {
		status = get_map(map);
		if (EFI_ERROR(status)) {
			break;
		}
		status = uefi_call_wrapper(BS->ExitBootServices, 2, image, map->key);
		if (status != EFI_INVALID_PARAMETER) {
			break;
		}
	}
	return status;
}

/* A first complete map and its array in the handoff; the array's capacity, or 0. */
static size_t take_map(struct efi_map *map, struct handoff *handoff)
{
	EFI_STATUS status = prepare_map(map);
	size_t capacity = 0;

	if (!EFI_ERROR(status)) {
		capacity = prepare_array(map, handoff);
		status = capacity != 0 ? get_map(map) : EFI_OUT_OF_RESOURCES;
	}
	if (EFI_ERROR(status)) {
		console_print(L"bulkhead: no memory map from the firmware: %r\n", status);
		return 0;
	}
	write_array(map, handoff, capacity);
	return capacity;
}

EFI_STATUS leave_boot_services(EFI_HANDLE image, const struct elf_plan *plan,
			       struct handoff *handoff)
{
	struct efi_map map = {0};
	size_t capacity = take_map(&map, handoff);
	EFI_STATUS status;

	if (capacity == 0) {
		return EFI_OUT_OF_RESOURCES;
	}
	if (!build_tables(plan, handoff)) {
		console_print(L"bulkhead: no memory for page tables\n");
		return EFI_OUT_OF_RESOURCES;
	}
	status = exit_services(image, &map);
	if (EFI_ERROR(status)) {
		console_print(L"bulkhead: the firmware does not let go: %r\n", status);
		return status;
	}
	write_array(&map, handoff, capacity);
	boot_wrmsr(MSR_EFER, boot_rdmsr(MSR_EFER) | EFER_NXE);
	return EFI_SUCCESS;
}
