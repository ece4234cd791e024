/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's I/O APICs: everything masked, single lines routed to a vector of one CPU. Source:
 * Intel 82093AA data sheet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/status.h"

#define HOST_IOAPIC_MAX 8u

struct host_ioapic_line {
	uint32_t gsi;
	uint32_t apic_id; /* at most 255 */
	uint8_t vector;
	bool level; /* else edge */
	bool active_low;
};

/* Forgets all I/O APICs. */
void host_ioapic_reset(void);
/*
 * Adds the I/O APIC whose register page is mapped at `registers` and whose first line is
 * `gsi_base`, and masks its lines. HV_E_NO_MEMORY beyond HOST_IOAPIC_MAX, HV_E_IO when nothing
 * answers.
 */
enum hv_status host_ioapic_add(void *registers, uint32_t gsi_base) HV_MUST_CHECK;
/* Routes and unmasks. HV_E_NOT_FOUND: no I/O APIC has this line; HV_E_RANGE: the CPU's ID. */
enum hv_status host_ioapic_route(const struct host_ioapic_line *line) HV_MUST_CHECK;
/* HV_E_NOT_FOUND. */
enum hv_status host_ioapic_mask(uint32_t gsi) HV_MUST_CHECK;
