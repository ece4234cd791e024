/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump_acpi VCPUS ALL DIR: writes the tables of a guest with VCPUS processors, with all optional
 * devices (ALL = 1) or none (0), to DIR/NAME.aml. For test_acpi_iasl.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guests/layout.h"
#include "guests/tables/acpi.h"
#include "hv/base/acpi_format.h"

static uint8_t image[LAYOUT_ACPI_SIZE];

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Writes the table at a guest-physical address. */
static int dump(const char *dir, uint32_t gpa)
{
	const uint8_t *table = image + (gpa - LAYOUT_ACPI_BASE);
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.4s.aml", dir, (const char *)table);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(table, get32(table + SDT_LENGTH), 1, f) != 1 || fclose(f) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const uint8_t *rsdt;
	size_t used;
	int failed;

	if (argc != 4) {
		fprintf(stderr, "usage: dump_acpi VCPUS ALL DIR\n");
		return 2;
	}
	const bool all = atoi(argv[2]) != 0;
	const struct acpi_config m = {.vcpu_count = (unsigned)atoi(argv[1]),
				      .serial = all,
				      .vga = all,
				      .mouse = all,
				      .window64 = all ? layout_pci_window64(40) : 0,
				      .floppies = {all ? 4 : 0, all ? 3 : 0},
				      .hpet = all};

	if (acpi_build(&m, image, sizeof(image), &used) != HV_OK) {
		fprintf(stderr, "dump_acpi: cannot build\n");
		return 1;
	}
	rsdt = image + (get32(image + RSDP_RSDT) - LAYOUT_ACPI_BASE);
	failed = dump(argv[3], get32(image + RSDP_RSDT)) | dump(argv[3], get32(image + RSDP_XSDT));
	for (uint32_t at = SDT_HEADER_SIZE; at < get32(rsdt + SDT_LENGTH); at += 4) {
		const uint8_t *table = image + (get32(rsdt + at) - LAYOUT_ACPI_BASE);

		failed |= dump(argv[3], get32(rsdt + at));
		if (memcmp(table, "FACP", 4) == 0) {
			failed |= dump(argv[3], get32(table + FADT_FIRMWARE_CTRL));
			failed |= dump(argv[3], get32(table + FADT_DSDT));
		}
	}
	return failed;
}
