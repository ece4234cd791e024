/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CPU that works on a LAPIC's page as the SDM's pseudocode says ("Virtual-Interrupt Delivery",
 * "EOI Virtualization", "Self-IPI Virtualization", "Virtualizing Memory-Mapped APIC Accesses",
 * "Posted-Interrupt Processing"),
 * for tests of the page's other side. `status` is what an entry loads and an exit saves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/apic_page.h"

struct apic_cpu {
	uint32_t *page;
	struct apic_entry entry; /* as it was handed over last */
	uint8_t rvi, svi;
};

static inline int apic_cpu_highest(const struct apic_cpu *c, uint32_t set)
{
	for (int vector = 255; vector >= 0; vector--) {
		if ((c->page[set / 4 + (uint32_t)vector / 32 * 4] >> (vector % 32) & 1) != 0) {
			return vector;
		}
	}
	return -1;
}

static inline void apic_cpu_put(struct apic_cpu *c, uint32_t set, uint8_t vector, bool on)
{
	uint32_t *word = &c->page[set / 4 + vector / 32u * 4];

	*word = on ? *word | 1u << vector % 32 : *word & ~(1u << vector % 32);
}

static inline void apic_cpu_ppr(struct apic_cpu *c)
{
	uint32_t tpr = c->page[0x80 / 4] & 0xff;

	c->page[0xa0 / 4] = tpr >> 4 >= c->svi >> 4 ? tpr : c->svi & 0xf0u;
}

/* VM entry, with IF clear: nothing is delivered yet. */
static inline void apic_cpu_enter(struct apic_cpu *c, const struct apic_entry *entry)
{
	c->entry = *entry;
	c->rvi = entry->requested;
	c->svi = entry->in_service;
	apic_cpu_ppr(c);
}

/* IF is set: the vector that is delivered, or -1. */
static inline int apic_cpu_deliver(struct apic_cpu *c)
{
	uint8_t vector = c->rvi;
	int next;

	if (c->rvi >> 4 <= (c->page[0xa0 / 4] & 0xff) >> 4) {
		return -1;
	}
	apic_cpu_put(c, 0x100, vector, true);
	c->svi = vector;
	c->page[0xa0 / 4] = vector & 0xf0u;
	apic_cpu_put(c, 0x200, vector, false);
	next = apic_cpu_highest(c, 0x200);
	c->rvi = (uint8_t)(next < 0 ? 0 : next);
	return vector;
}

/* The guest's EOI: the vector whose EOI exits, or -1. */
static inline int apic_cpu_eoi(struct apic_cpu *c)
{
	uint8_t vector = c->svi;
	int next;

	apic_cpu_put(c, 0x100, vector, false);
	next = apic_cpu_highest(c, 0x100);
	c->svi = (uint8_t)(next < 0 ? 0 : next);
	apic_cpu_ppr(c);
	return (c->entry.eoi_exits[vector / 64] >> vector % 64 & 1) != 0 ? vector : -1;
}

/* The notification comes while the guest runs. */
static inline void apic_cpu_notify(struct apic_cpu *c, struct apic_post *post)
{
	int highest;

	post->control &= ~1ull;
	for (uint32_t i = 0; i < APIC_POST_WORDS; i++) {
		c->page[(0x200 + i * 16) / 4] |= post->requested[i];
		post->requested[i] = 0;
	}
	highest = apic_cpu_highest(c, 0x200);
	if (highest > c->rvi) {
		c->rvi = (uint8_t)highest;
	}
}

static inline void apic_cpu_tpr(struct apic_cpu *c, uint8_t tpr)
{
	c->page[0x80 / 4] = tpr;
	apic_cpu_ppr(c);
}

static inline void apic_cpu_self_ipi(struct apic_cpu *c, uint8_t vector)
{
	apic_cpu_put(c, 0x200, vector, true);
	c->rvi = vector > c->rvi ? vector : c->rvi;
}
