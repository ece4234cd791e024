/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the data of a command is. Source: NVM Express Base Specification 1.4, "Physical Region Page
 * Entry and List".
 *
 *	PRP1 -> first page, from any dword on
 *	PRP2 -> second page, or a list:  page, page, ..., page, next list
 */
#include "guests/devices/nvme_ctl_internal.h"

#include "hv/api/gmem.h"
#include "hv/base/bits.h"

#define ENTRY_BYTES 8ull
#define OFFSET_MASK (PAGE_SIZE - 1)

/* `count` entries of the list at `at` become pages. */
static uint16_t read_pages(struct vm *vm, uint64_t at, uint64_t *pages, uint32_t count)
{
	if (guest_mem_read(vm, gpa(at), pages, count * ENTRY_BYTES) != HV_OK) {
		return NVME_SC_DATA_TRANSFER;
	}
	for (uint32_t i = 0; i < count; i++) {
		if ((pages[i] & OFFSET_MASK) != 0) {
			return NVME_SC_PRP_OFFSET | NVME_SC_DNR;
		}
	}
	return NVME_SC_SUCCESS;
}

/* A list ends with its page; the last entry there leads to the next one if pages are missing. */
static uint16_t read_list(struct vm *vm, uint64_t list, uint64_t *pages, uint32_t missing)
{
	while (missing != 0) {
		uint32_t room = (uint32_t)((PAGE_SIZE - (list & OFFSET_MASK)) / ENTRY_BYTES);
		uint32_t count = missing <= room ? missing : room - 1;
		uint16_t status = read_pages(vm, list, pages, count);

		missing -= count;
		pages += count;
		list += count * ENTRY_BYTES;
		if (status == NVME_SC_SUCCESS && missing != 0) {
			status = read_pages(vm, list, &list, 1);
		}
		if (status != NVME_SC_SUCCESS) {
			return status;
		}
	}
	return NVME_SC_SUCCESS;
}

uint16_t nvme_ctl_prps_read(struct vm *vm, const struct nvme_command *command, uint32_t bytes,
			    struct nvme_ctl_prps *prps)
{
	uint32_t count;

	if (!is_aligned(command->prp1, 4)) {
		return NVME_SC_PRP_OFFSET | NVME_SC_DNR;
	}
	prps->first = (uint32_t)(command->prp1 & OFFSET_MASK);
	prps->pages[0] = command->prp1 - prps->first;
	count = (uint32_t)((prps->first + bytes + OFFSET_MASK) / PAGE_SIZE);
	if (count <= 1) {
		return NVME_SC_SUCCESS;
	}
	if (!is_aligned(command->prp2, count == 2 ? PAGE_SIZE : ENTRY_BYTES)) {
		return NVME_SC_PRP_OFFSET | NVME_SC_DNR;
	}
	if (count == 2) {
		prps->pages[1] = command->prp2;
		return NVME_SC_SUCCESS;
	}
	return read_list(vm, command->prp2, prps->pages + 1, count - 1);
}

/* A run of bytes that lie together in the guest. */
struct run {
	uint64_t address;
	uint32_t bytes;
};

/* The run at `offset` of the data, `bytes` long at most. */
static struct run run_at(const struct nvme_ctl_prps *prps, uint32_t offset, uint32_t bytes)
{
	uint32_t at = prps->first + offset;
	const uint64_t *page = &prps->pages[at / PAGE_SIZE];
	uint32_t in_page = at % PAGE_SIZE;
	struct run run = {*page + in_page, (uint32_t)min_u64(bytes, PAGE_SIZE - in_page)};

	for (; run.bytes < bytes && page[1] == page[0] + PAGE_SIZE; page++) {
		run.bytes = (uint32_t)min_u64(bytes, run.bytes + PAGE_SIZE);
	}
	return run;
}

bool nvme_ctl_prps_get(struct vm *vm, const struct nvme_ctl_prps *prps, uint32_t offset,
		       void *memory, uint32_t bytes)
{
	uint8_t *to = memory;

	while (bytes != 0) {
		struct run run = run_at(prps, offset, bytes);

		if (guest_mem_read(vm, gpa(run.address), to, run.bytes) != HV_OK) {
			return false;
		}
		to += run.bytes;
		offset += run.bytes;
		bytes -= run.bytes;
	}
	return true;
}

bool nvme_ctl_prps_put(struct vm *vm, const struct nvme_ctl_prps *prps, uint32_t offset,
		       const void *memory, uint32_t bytes)
{
	const uint8_t *from = memory;

	while (bytes != 0) {
		struct run run = run_at(prps, offset, bytes);

		if (guest_mem_write(vm, gpa(run.address), from, run.bytes) != HV_OK) {
			return false;
		}
		from += run.bytes;
		offset += run.bytes;
		bytes -= run.bytes;
	}
	return true;
}
