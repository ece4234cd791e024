/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of a guest, built into one image that belongs at LAYOUT_ACPI_BASE:
 *
 *	+0x0000  RSDP, where a scan of 0xe0000 - 0xfffff finds it
 *	+0x0040  FACS
 *	+0x1000  DSDT, FADT, MADT, MCFG, HPET, WAET, SSDT (the CPUs), XSDT, RSDT
 *
 * The first page is NVS in the E820 map, the rest ACPI data. Firmware puts the tables elsewhere:
 * for it the image is linked at its own beginning, with a list of what it has to correct. Pure:
 * builds into the caller's buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/layout.h"
#include "hv/base/status.h"

#define GUEST_RSDP LAYOUT_ACPI_BASE
#define GUEST_FACS (LAYOUT_ACPI_BASE + 0x40u)
#define ACPI_VCPUS_MAX 64u

/*
 * What differs between guests. Everything else is the same on every board: guests/layout.h, a power
 * button in PM1, a PM timer of 32 bits, a keyboard controller, NMIs on LINT1 of every LAPIC.
 */
struct acpi_config {
	unsigned vcpu_count; /* 1 .. ACPI_VCPUS_MAX; their APIC ids count from 0 */
	bool serial;	     /* COM1 is there */
	bool vga;	     /* the legacy ports and window of one are there */
	bool mouse;	     /* the keyboard controller has an auxiliary port */
	uint64_t window64;   /* where the 64-bit PCI window is (layout_pci_window64); 0: none */
	bool hpet;
	uint8_t floppies[2]; /* types of the drives as CMOS has them, 1 .. 5; 0: none */
	/* The rest is for guests with firmware; 0: as guests/layout.h has it. */
	uint64_t window64_size;
	uint32_t window32; /* the 32-bit PCI window */
	uint32_t window32_size;
	uint32_t ecam_base;
	bool no_s3; /* the machine does not sleep */
};

/*
 * Builds all tables into `image` (`cap` bytes, LAYOUT_ACPI_SIZE always suffice) and sets *used.
 * HV_E_RANGE for a bad vcpu_count, HV_E_NO_MEMORY when `cap` is too small.
 */
enum hv_status acpi_build(const struct acpi_config *config, uint8_t *image, size_t cap,
			  size_t *used) HV_MUST_CHECK;

/* A field that holds the offset of a table in the image, and has to become its address. */
struct acpi_pointer {
	uint16_t at; /* offset in the image */
	uint8_t size;
};

/* Bytes that sum up to 0 with the byte at `at`. */
struct acpi_checksum {
	uint16_t at;
	uint16_t start;
	uint16_t length;
};

#define ACPI_POINTERS_MAX 24u
#define ACPI_CHECKSUMS_MAX 8u

/* Pointers first; then the checksums of the tables that they are in. */
struct acpi_links {
	unsigned pointer_count;
	struct acpi_pointer pointers[ACPI_POINTERS_MAX];
	unsigned checksum_count;
	struct acpi_checksum checksums[ACPI_CHECKSUMS_MAX];
};

/* The RSDP is the image's beginning, which is a file of its own for firmware. */
#define ACPI_LINKED_RSDP_SIZE 36u
#define ACPI_LINKED_TABLES_AT 0x40u

/* As acpi_build, with pointers that are offsets from ACPI_LINKED_TABLES_AT. */
enum hv_status acpi_build_linked(const struct acpi_config *config, uint8_t *image, size_t cap,
				 size_t *used, struct acpi_links *links) HV_MUST_CHECK;
