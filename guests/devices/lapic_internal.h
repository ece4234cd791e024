/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the four files of the LAPIC model share and nobody else sees: lapic.c (vectors, priorities,
 * LVT), lapic_timer.c, lapic_regs.c (registers and MSRs) and apic_bus.c. A name that ends in
 * _locked is called with the LAPIC's lock held.
 */
#pragma once

#include "guests/devices/lapic.h"
#include "hv/base/bits.h"

#define APIC_BASE_BSP BIT(8)
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_EN BIT(11)

#define SVR_ENABLE BIT32(8)

#define LVT_REMOTE_IRR BIT32(14)
#define LVT_LEVEL BIT32(15)
#define LVT_MASKED BIT32(16)

#define ESR_SEND_ILLEGAL BIT32(5)
#define ESR_RECEIVE_ILLEGAL BIT32(6)
#define ESR_ILLEGAL_REGISTER BIT32(7)

/* Vectors 0-15 cannot be delivered as fixed interrupts. */
#define APIC_FIRST_VECTOR 16u

/*
 * lapic->address: bits 31:0 the logical ID (in xAPIC mode the byte from LDR bits 31:24), the kind
 * of matching, and whether software enabled the LAPIC.
 */
#define ADDRESS_LOGICAL MASK(31, 0)
#define ADDRESS_KIND MASK(33, 32)
#define ADDRESS_ENABLED BIT(34)

enum address_kind {
	ADDRESS_OFF, /* switched off: hears nothing */
	ADDRESS_FLAT,
	ADDRESS_CLUSTER,
	ADDRESS_X2APIC,
};

static inline bool lapic_x2apic(const struct lapic *l)
{
	return (l->base & APIC_BASE_EXTD) != 0;
}

/* x2APIC derives the logical ID from the APIC ID: clusters of 16, a bit for each member. */
static inline uint32_t lapic_x2apic_ldr(const struct lapic *l)
{
	return l->id >> 4 << 16 | BIT32(l->id & 0xf);
}

/* --- lapic.c --- */

/* Works out `deliverable`, `requested` and `ppr` anew and kicks the vCPU when they rose. */
void lapic_publish_locked(struct lapic *l);
/* As above for `address`, after a change of mode, LDR, DFR or SVR. */
void lapic_publish_address_locked(struct lapic *l);
/* Puts a vector into IRR; false when the LAPIC is disabled by software. */
bool lapic_request_locked(struct lapic *l, uint8_t vector, bool level);
/* Records an error and raises the error interrupt. */
void lapic_error_locked(struct lapic *l, uint32_t esr_bit);
/* The source of an LVT entry went off. */
void lapic_fire_locked(struct lapic *l, enum lapic_lvt source);
/* LINT0's entry changed, or its line did (`rising`: from low to high). */
void lapic_lint0_locked(struct lapic *l, bool rising);
/* All registers but IA32_APIC_BASE to their initial values. */
void lapic_clear_locked(struct lapic *l);
/* Takes one message off the bus; false when it is not for a LAPIC in this state. */
bool lapic_take(struct lapic *l, const struct apic_message *msg);

/* --- lapic_timer.c --- */

void lapic_timer_init(struct lapic *l, struct vtime *time);
void lapic_timer_stop_locked(struct lapic *l);
/* LVT_TIMER changed from `old`. */
void lapic_timer_mode_locked(struct lapic *l, uint32_t old);
void lapic_timer_set_initial_locked(struct lapic *l, uint32_t count);
void lapic_timer_set_divide_locked(struct lapic *l, uint32_t divide);
uint32_t lapic_timer_current_locked(struct lapic *l);
void lapic_timer_set_deadline_locked(struct lapic *l, uint64_t deadline);
uint64_t lapic_timer_deadline_locked(struct lapic *l);

/* --- lapic_regs.c --- */

/* An access to the xAPIC page. */
uint32_t lapic_mmio_read(struct lapic *l, uint32_t offset);
void lapic_mmio_write(struct lapic *l, uint32_t offset, uint32_t value);

/* --- apic_bus.c --- */

/* Every LAPIC that is switched on, one bit per vCPU index. */
uint64_t apic_bus_everyone(const struct apic_bus *bus);
/* As apic_bus_deliver, to the LAPICs of this set or, for lowest priority, one of them. */
bool apic_bus_send(struct apic_bus *bus, uint64_t targets, const struct apic_message *msg);
