/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the real machine's ACPI tables say: processors, interrupt controllers, fixed hardware, how
 * to switch off, where configuration space lies. Read once; no AML is run, the \_S5 package is
 * found by its bytes. Tables come from firmware and are not trusted: every length is bounded, every
 * sum is checked, and a table that is not in order is ignored with a warning.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/status.h"

#define ACPI_CPUS_MAX 256u
#define ACPI_IOAPICS_MAX 16u
#define ACPI_OVERRIDES_MAX 32u
#define ACPI_NMIS_MAX 16u
#define ACPI_ECAMS_MAX 8u
#define ACPI_ALL_CPUS 0xffffffffu

/* Gives access to `size` bytes of physical memory until acpi_parse returns; NULL when it cannot. */
struct acpi_mapper {
	const void *(*map)(void *ctx, uint64_t address, size_t size);
	void *ctx;
};

/* A processor that runs or may be started. */
struct acpi_cpu {
	uint32_t apic_id;
	uint32_t uid;
	bool enabled; /* false: online capable, may appear later */
};

struct acpi_ioapic {
	uint64_t base;
	uint32_t first_gsi;
	uint8_t id;
};

/* ISA interrupt `irq` arrives at `gsi`; flags: MADT_INTI_* of hv/base/acpi_format.h. */
struct acpi_override {
	uint32_t gsi;
	uint16_t flags;
	uint8_t irq;
};

struct acpi_nmi_source {
	uint32_t gsi;
	uint16_t flags;
};

struct acpi_lapic_nmi {
	uint32_t uid; /* of the processor, or ACPI_ALL_CPUS */
	uint16_t flags;
	uint8_t lint; /* 0 or 1 */
};

/* Bus N's configuration space is at base + (N << 20), for first <= N <= last. */
struct acpi_ecam {
	uint64_t base;
	uint16_t segment;
	uint8_t bus_first;
	uint8_t bus_last;
};

/* A register; address 0: absent. */
struct acpi_register {
	uint64_t address; /* a port when `io`, else physical */
	bool io;
};

struct acpi_fixed {
	bool present; /* there is a FADT */
	bool hw_reduced;
	bool pm_timer_32bit; /* else 24 bits */
	struct acpi_register pm1a_control;
	struct acpi_register pm1b_control;
	struct acpi_register pm_timer;
	struct acpi_register reset;
	uint8_t reset_value;
	uint8_t acpi_enable;  /* to be written to smi_command */
	uint16_t smi_command; /* port; 0: ACPI mode is always on */
	uint16_t sci;
	uint16_t boot_arch; /* FADT_BOOT_* */
	uint8_t century;    /* index in CMOS; 0: none */
	bool has_s5;
	uint8_t s5_type_a; /* SLP_TYP for PM1a and PM1b, 0 .. 7 */
	uint8_t s5_type_b;
};

struct acpi_info {
	bool has_madt;
	bool has_8259; /* PC-compatible PICs are there, to be masked */
	uint64_t lapic_base;
	unsigned cpu_count;
	unsigned cpus_dropped; /* enabled ones beyond ACPI_CPUS_MAX */
	struct acpi_cpu cpus[ACPI_CPUS_MAX];
	unsigned ioapic_count;
	struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
	unsigned override_count;
	struct acpi_override overrides[ACPI_OVERRIDES_MAX];
	unsigned nmi_source_count;
	struct acpi_nmi_source nmi_sources[ACPI_NMIS_MAX];
	unsigned lapic_nmi_count;
	struct acpi_lapic_nmi lapic_nmis[ACPI_NMIS_MAX];
	unsigned ecam_count;
	struct acpi_ecam ecams[ACPI_ECAMS_MAX];
	struct acpi_fixed fixed;
	uint64_t hpet_base; /* 0: none */
};

/*
 * Reads the tables that the RSDP at physical address `rsdp` leads to. HV_E_NOT_FOUND when `rsdp` is
 * 0 or not mappable, HV_E_INVALID when RSDP or both root tables are broken; *out is then all zero.
 * Otherwise HV_OK, even if single tables were missing or ignored.
 */
enum hv_status acpi_parse(uint64_t rsdp, const struct acpi_mapper *mapper,
			  struct acpi_info *out) HV_MUST_CHECK;

/* Looks for \_S5 in the AML of a DSDT or SSDT (header included); false when it is not there. */
bool acpi_find_s5(const uint8_t *table, size_t size, uint8_t *type_a, uint8_t *type_b);
