/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's ACPI tables from arbitrary memory: the input lies at physical 0x1000 and begins with
 * the RSDP. Its last byte, if odd, has every checksum repaired, which a fuzzer cannot guess. Each
 * mapping is a block of exactly the size that was asked for.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/acpi.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"

#define MEMORY_BASE 0x1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	const uint8_t *data;
	size_t size;
	void *blocks[2048];
	unsigned count;
};

static void repair(uint8_t *p, size_t n)
{
	bool rsdp = n >= 8 && memcmp(p, RSDP_SIGNATURE, 8) == 0;
	size_t at = rsdp ? RSDP_CHECKSUM : SDT_CHECKSUM;
	size_t covered = rsdp ? RSDP_V1_SIZE : n;

	p[at] = (uint8_t)(p[at] - acpi_sum(p, covered));
	if (rsdp && n >= RSDP_V2_SIZE) {
		p[RSDP_CHECKSUM_EXT] = (uint8_t)(p[RSDP_CHECKSUM_EXT] - acpi_sum(p, n));
	}
}

static const void *map(void *ctx, uint64_t address, size_t size)
{
	struct memory *m = ctx;
	uint8_t *copy;

	if (size == 0 || address < MEMORY_BASE ||
	    !range_fits(address - MEMORY_BASE, size, m->size) ||
	    m->count == ARRAY_SIZE(m->blocks)) {
		return NULL;
	}
	copy = malloc(size);
	if (copy == NULL) {
		abort();
	}
	memcpy(copy, m->data + (address - MEMORY_BASE), size);
	if (m->data[m->size - 1] % 2 != 0 && size >= RSDP_V1_SIZE) {
		repair(copy, size);
	}
	m->blocks[m->count++] = copy;
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct acpi_info info;
	struct memory m = {.data = data, .size = size};
	struct acpi_mapper mapper = {map, &m};
	bool ok = acpi_parse(MEMORY_BASE, &mapper, &info) == HV_OK;

	if (info.cpu_count > ACPI_CPUS_MAX || info.ioapic_count > ACPI_IOAPICS_MAX ||
	    info.override_count > ACPI_OVERRIDES_MAX || info.ecam_count > ACPI_ECAMS_MAX ||
	    info.fixed.s5_type_a > 7 || info.fixed.s5_type_b > 7 || (!ok && info.has_madt)) {
		abort();
	}
	for (unsigned i = 0; i < m.count; i++) {
		free(m.blocks[i]);
	}
	return 0;
}
