/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script by which firmware brings ACPI tables into memory: which files to load where, which
 * fields then hold addresses, which checksums follow. Source: QEMU's "bios-linker-loader", whose
 * interface SeaBIOS and OVMF share; they read it from the file ACPI_LOADER_FILE.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guests/tables/acpi.h"

#define ACPI_LOADER_FILE "etc/table-loader"
#define ACPI_LOADER_RSDP "etc/acpi/rsdp"
#define ACPI_LOADER_TABLES "etc/acpi/tables"

#define ACPI_LOADER_NAME_MAX 56u
#define ACPI_LOADER_ENTRY 128u
#define ACPI_LOADER_SIZE_MAX \
	((2 + ACPI_POINTERS_MAX + ACPI_CHECKSUMS_MAX) * (size_t)ACPI_LOADER_ENTRY)

/* Commands, and where their arguments stand in an entry. */
#define ACPI_LOADER_ALLOCATE 1u	    /* file, alignment, zone */
#define ACPI_LOADER_ADD_POINTER 2u  /* file of the field, file that it points into, offset, size */
#define ACPI_LOADER_ADD_CHECKSUM 3u /* file, offset of the sum, first byte, bytes */
#define ACPI_LOADER_ZONE_HIGH 1u
#define ACPI_LOADER_ZONE_FSEG 2u /* 0xf0000 .. 0xfffff, where a scan finds the RSDP */

/*
 * Writes the script for an image of acpi_build_linked, of which the RSDP and what begins at
 * ACPI_LINKED_TABLES_AT are a file each. `out` has ACPI_LOADER_SIZE_MAX bytes; returns how many
 * were used.
 */
size_t acpi_loader_build(const struct acpi_links *links, uint8_t *out);
