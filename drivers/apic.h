/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's local APICs, in x2APIC mode where there is one, else through the register page:
 * EOI, inter-processor interrupts and one deadline timer per CPU. Source: Intel SDM volume 3
 * "Advanced Programmable Interrupt Controller (APIC)".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/status.h"

#define HOST_APIC_DEFAULT_BASE 0xfee00000ull

struct host_apic_config {
	void *registers; /* the register page, mapped uncached; may be NULL with x2APIC */
	uint64_t tsc_hz;
	uint8_t timer_vector; /* whose handler is the caller's: trap_set_irq */
	uint8_t error_vector;
	uint8_t spurious_vector; /* low four bits set, for old CPUs */
};

/* The physical address of this CPU's register page, for mapping. */
uint64_t host_apic_base(void);

/*
 * Chooses the mode, sets this (the boot) CPU's APIC up and calibrates its timer. Installs handlers
 * for error and spurious vectors. HV_E_UNSUPPORTED: no APIC, or one only x2APIC mode reaches and
 * the CPU has no such mode; HV_E_IO: its timer does not run.
 */
enum hv_status host_apic_init(const struct host_apic_config *config) HV_MUST_CHECK;
/*
 * Sets up the APIC of another CPU, on that CPU: same mode, vectors and timer. What was measured on
 * the boot CPU holds there too: all timers of a machine count one clock.
 */
void host_apic_init_ap(void);

bool host_apic_is_x2apic(void);
/* Whether the timer takes TSC deadlines itself. */
bool host_apic_has_deadline(void);
/* This CPU's ID. */
uint32_t host_apic_id(void);

/* Ends the external interrupt in service on this CPU. */
void host_apic_eoi(void);
/* For a vector nobody had claimed: ends it if it is in service here (trap_hooks.stray_irq). */
void host_apic_stray(unsigned vector);

/* Whether messages can name this CPU: eight bits in xAPIC mode, and not "all". */
bool host_apic_reaches(uint32_t id);
/*
 * To the CPU with this ID; nothing is sent to one out of reach. What the caller wrote to memory is
 * visible to the CPU that is interrupted. Not to be called from NMIs: in xAPIC mode a message is
 * two writes.
 */
void host_apic_send_init(uint32_t id);
void host_apic_send_startup(uint32_t id, uint8_t page_number);
void host_apic_send_nmi(uint32_t id);
/* An interrupt, fixed and edge-triggered. */
void host_apic_send_ipi(uint32_t id, uint8_t vector);

/*
 * This CPU's timer. Raises the timer vector once at `deadline`, in ticks of the boot CPU's TSC, or,
 * when that is far off, earlier: the handler looks at the time and arms again. A deadline in the
 * past raises it at once. Replaces the one before.
 */
void host_apic_timer_arm(uint64_t deadline);
void host_apic_timer_stop(void);
