/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the CPU itself virtualizes interrupts, a vCPU's LAPIC keeps its registers in a page that
 * both work on: the model of the LAPIC while the vCPU does not run, the CPU while it does. This is
 * what the two agree upon; the model touches no hardware, the backend knows no LAPIC.
 *
 * The layout is the xAPIC page's (SDM "The Local APIC Block Diagram"), in x2APIC mode as well:
 * register n, 32 bits wide, at offset 16 * n. ICR bits 63:32 of x2APIC mode are behind bits 31:0.
 */
#pragma once

#include <stdint.h>

/* Guest-physical address of the xAPIC page: no guest may move it. */
#define APIC_PAGE_GPA 0xfee00000ull
#define APIC_PAGE_SIZE 0x1000u

enum apic_mode {
	APIC_MODE_OFF,
	APIC_MODE_XAPIC,
	APIC_MODE_X2APIC,
};

/* What the CPU has to know of a LAPIC before an entry. */
struct apic_entry {
	enum apic_mode mode;
	uint8_t requested;  /* the highest vector in the page's IRR; 0: none */
	uint8_t in_service; /* the same of its ISR */
	/* Bit n: the end of vector n's service must exit, as it is broadcast to the IOAPIC. */
	uint64_t eoi_exits[4];
};
