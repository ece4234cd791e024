/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of a guest, built into one image that belongs at LAYOUT_ACPI_BASE:
 *
 *	+0x0000  RSDP, where a scan of 0xe0000 - 0xfffff finds it
 *	+0x0040  FACS
 *	+0x1000  DSDT, FADT, MADT, MCFG, WAET, SSDT (the CPUs), XSDT, RSDT
 *
 * The first page is NVS in the E820 map, the rest ACPI data. Pure: builds into the caller's buffer.
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
	bool mouse;	     /* the keyboard controller has an auxiliary port */
	uint64_t window64;   /* where the 64-bit PCI window is (layout_pci_window64); 0: none */
};

/*
 * Builds all tables into `image` (`cap` bytes, LAYOUT_ACPI_SIZE always suffice) and sets *used.
 * HV_E_RANGE for a bad vcpu_count, HV_E_NO_MEMORY when `cap` is too small.
 */
enum hv_status acpi_build(const struct acpi_config *config, uint8_t *image, size_t cap,
			  size_t *used) HV_MUST_CHECK;
