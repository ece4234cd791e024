/* SPDX-License-Identifier: Apache-2.0 */
/* An MMU for host programs: physical memory is one mapping, addresses are walked by hand. */
#include "tests/fakes/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/cpu/features.h"
#include "mm/access.h"
#include "mm/ptw.h"
#include "mm/space.h"
#include "tests/fakes/fake_cpu.h"

static struct {
	char *base;
	uint64_t size;
} ram;

static _Noreturn void fault(const char *what, uint64_t address)
{
	fprintf(stderr, "fake memory: %s 0x%llx\n", what, (unsigned long long)address);
	abort();
}

void fake_ram_init(uint64_t size)
{
	free(ram.base);
	ram.base = aligned_alloc(PAGE_SIZE_2M, size);
	if (ram.base == NULL) {
		fault("no memory of size", size);
	}
	ram.size = size;
	memset(ram.base, 0xa5, size);
	fake_cpu.cr3 = 0;
}

uint64_t fake_ram_size(void)
{
	return ram.size;
}

void *fake_ram(hpa_t pa)
{
	if (pa.v >= ram.size) {
		fault("no memory at", pa.v);
	}
	return ram.base + pa.v;
}

/* Written from the manual, not from mm/: 9 bits per level, PS at bit 7, NX at bit 63. */
bool fake_translate(hva_t va, struct fake_translation *out)
{
	uint64_t table = fake_cpu.cr3 & 0x000ffffffffff000ull;

	*out = (struct fake_translation){.write = true, .exec = true};
	for (int shift = 39; shift >= 12; shift -= 9) {
		const uint64_t *entries = fake_ram(hpa(table));
		uint64_t e = entries[(va.v >> shift) & 511];
		uint64_t offset_mask = (1ull << shift) - 1;

		if ((e & 1) == 0) {
			return false;
		}
		out->write = out->write && (e & 2) != 0;
		out->exec = out->exec && (e >> 63) == 0;
		if (shift == 12 || (shift < 39 && (e & 0x80) != 0)) {
			out->pa = hpa((e & 0x000ffffffffff000ull & ~offset_mask) |
				      (va.v & offset_mask));
			return true;
		}
		table = e & 0x000ffffffffff000ull;
	}
	return false;
}

void *access_ptr(hva_t va, bool write)
{
	struct fake_translation t;
	bool direct = va.v >= HV_DIRECT_BASE && va.v < HV_DIRECT_BASE + ram.size;

	if (direct) {
		/* Writability is checked where it is used: the walker asks for write always. */
		if (fake_cpu.cr3 != 0 && !fake_translate(va, &t)) {
			fault("direct window has no", va.v);
		}
		return fake_ram(hpa(va.v - HV_DIRECT_BASE));
	}
	if (!fake_translate(va, &t)) {
		fault("page fault at", va.v);
	}
	if (write && !t.write) {
		fault("write to read-only", va.v);
	}
	/* Device registers lie outside memory: hooks of the fake CPU know them by address. */
	return t.pa.v < ram.size ? fake_ram(t.pa) : hva_ptr(va);
}

hva_t access_va(const void *p)
{
	uint64_t offset = (uint64_t)((const char *)p - ram.base);

	if (offset >= ram.size) {
		fault("not in the direct window:", (uint64_t)(uintptr_t)p);
	}
	return hva(HV_DIRECT_BASE + offset);
}

void access_image(struct access_section out[ACCESS_SECTIONS])
{
	out[0] = (struct access_section){HV_IMAGE_BASE, HV_IMAGE_BASE + 0x10000, PT_R | PT_X};
	out[1] = (struct access_section){HV_IMAGE_BASE + 0x10000, HV_IMAGE_BASE + 0x18000, PT_R};
	out[2] = (struct access_section){HV_IMAGE_BASE + 0x18000, HV_IMAGE_BASE + 0x20000, PT_RW};
	out[3] = (struct access_section){HV_IMAGE_BASE + 0x21000, HV_IMAGE_BASE + 0x40000, PT_RW};
}

struct handoff *fake_handoff(uint64_t size)
{
	const uint64_t module_end = FAKE_MODULE_BASE + FAKE_MODULE_SIZE;
	const uint64_t firmware = size - FAKE_FIRMWARE_SIZE;
	const struct handoff_memory map[] = {
		{0, 0x9f000, HANDOFF_MEM_FREE, 8},
		{0xa0000, 0x60000, HANDOFF_MEM_RESERVED, 0},
		{0x100000, FAKE_IMAGE_BASE - 0x100000, HANDOFF_MEM_FREE, 8},
		{FAKE_IMAGE_BASE, FAKE_IMAGE_SIZE, HANDOFF_MEM_IMAGE, 8},
		{FAKE_IMAGE_BASE + FAKE_IMAGE_SIZE,
		 FAKE_LOADER_BASE - FAKE_IMAGE_BASE - FAKE_IMAGE_SIZE, HANDOFF_MEM_FREE, 8},
		{FAKE_LOADER_BASE, FAKE_LOADER_SIZE, HANDOFF_MEM_LOADER, 8},
		{FAKE_LOADER_BASE + FAKE_LOADER_SIZE,
		 FAKE_MODULE_BASE - FAKE_LOADER_BASE - FAKE_LOADER_SIZE, HANDOFF_MEM_FREE, 8},
		{FAKE_MODULE_BASE, FAKE_MODULE_SIZE, HANDOFF_MEM_MODULE, 8},
		{module_end, firmware - module_end, HANDOFF_MEM_FREE, 8},
		{firmware, 0x8000, HANDOFF_MEM_RUNTIME, 8 | 0x20000},
		{firmware + 0x8000, 0x8000, HANDOFF_MEM_RUNTIME, 8 | 0x4000},
		{firmware + 0x10000, 0x10000, HANDOFF_MEM_ACPI, 8},
		{0xffc00000, 0x400000, HANDOFF_MEM_MMIO, 1},
	};
	struct handoff *h;

	fake_ram_init(size);
	h = fake_ram(hpa(FAKE_LOADER_BASE));
	*h = (struct handoff){
		.magic = HANDOFF_MAGIC,
		.version = HANDOFF_VERSION,
		.size = sizeof(*h),
		.memory = FAKE_LOADER_BASE + 0x1000,
		.memory_count = sizeof(map) / sizeof(map[0]),
		.trampoline = FAKE_TRAMPOLINE,
		.image_base = FAKE_IMAGE_BASE,
		.image_size = FAKE_IMAGE_SIZE,
	};
	memcpy(fake_ram(hpa(h->memory)), map, sizeof(map));
	memset(fake_ram(hpa(FAKE_MODULE_BASE)), 0x5a, FAKE_MODULE_SIZE);
	return h;
}

struct handoff *fake_machine(uint64_t size)
{
	struct handoff *h = fake_handoff(size);

	fake_cpuid_set(0x80000000, 0, (struct cpuid_regs){.eax = 0x80000008});
	fake_cpuid_set(0x80000001, 0, (struct cpuid_regs){.edx = 1u << 26 | 1u << 20});
	cpu_features_init();
	if (mm_init(h) != HV_OK) {
		fault("mm_init failed with memory of size", size);
	}
	return h;
}
