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

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/bits.h"

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

#define APIC_POST_WORDS 8u
/* The vCPU has something to take; whoever sets it sees to that. */
#define APIC_POST_OUTSTANDING BIT(0)

/*
 * Where interrupts are posted for a vCPU whose CPU takes them into the page by itself, while it
 * runs the vCPU, on a notification: VT-x's posted-interrupt descriptor (SDM "Posted-Interrupt
 * Processing"). 64-byte-aligned. Anybody adds; the CPU takes, or the owner while the vCPU does not
 * run. Bits of `control` other than the one above are for devices that post; none does here.
 */
struct apic_post {
	_Atomic uint32_t requested[APIC_POST_WORDS]; /* bit n of the 256: vector n */
	_Atomic uint64_t control;
	uint64_t software[3];
};
_Static_assert(sizeof(struct apic_post) == 64 && offsetof(struct apic_post, control) == 32,
	       "SDM \"Format of Posted-Interrupt Descriptor\"");

static inline bool apic_post_outstanding(const struct apic_post *p)
{
	return (atomic_load_explicit(&p->control, memory_order_acquire) & APIC_POST_OUTSTANDING) !=
	       0;
}

/*
 * Posts a vector. True: the vCPU is to be told. If not, somebody else is about to, or has, and it
 * has not looked since.
 */
static inline bool apic_post_add(struct apic_post *p, uint8_t vector)
{
	atomic_fetch_or(&p->requested[vector / 32], BIT32(vector % 32));
	return (atomic_fetch_or(&p->control, APIC_POST_OUTSTANDING) & APIC_POST_OUTSTANDING) == 0;
}

/* Before the words are taken: what is added from now on is told of anew. */
static inline void apic_post_look(struct apic_post *p)
{
	atomic_fetch_and(&p->control, ~APIC_POST_OUTSTANDING);
}

/* Vectors 32 * i to 32 * i + 31, which are taken. */
static inline uint32_t apic_post_take(struct apic_post *p, unsigned i)
{
	return atomic_exchange(&p->requested[i], 0);
}

/* The same, which stay. */
static inline uint32_t apic_post_peek(const struct apic_post *p, unsigned i)
{
	return atomic_load_explicit(&p->requested[i], memory_order_acquire);
}
