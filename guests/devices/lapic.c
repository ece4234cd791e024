/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A LAPIC's interrupt state: requests (IRR), what is in service (ISR), priorities (TPR, PPR), the
 * local vector table, errors, and the calls of the run loop.
 */
#include "guests/devices/lapic.h"

#include "guests/devices/lapic_internal.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"

#define PRIORITY_CLASS 0xf0u
#define SVR_RESET 0xffu
#define LVT_VECTOR 0xffu
#define LVT_DELIVERY MASK(10, 8)

static void kick(struct lapic *l)
{
	l->bus->ops->kick(l->bus->ops_ctx, l->index);
}

void lapic_publish_locked(struct lapic *l)
{
	/* The CPU works it out from the page, once it has been told. */
	if (l->page != NULL) {
		kick(l);
		return;
	}
	int irr = vecset_highest(&l->irr);
	int isr = vecset_highest(&l->isr);
	uint32_t service = isr < 0 ? 0 : (uint32_t)isr & PRIORITY_CLASS;
	uint32_t ppr = (l->tpr & PRIORITY_CLASS) >= service ? l->tpr : service;
	int deliverable = irr > (int)(ppr | 0xf) ? irr : -1;
	int requested = irr > (int)(service | 0xf) ? irr : -1;
	bool rose = deliverable > atomic_load_explicit(&l->deliverable, memory_order_relaxed) ||
		    requested > atomic_load_explicit(&l->requested, memory_order_relaxed);

	atomic_store_explicit(&l->ppr, ppr, memory_order_relaxed);
	atomic_store_explicit(&l->requested, requested, memory_order_release);
	atomic_store_explicit(&l->deliverable, deliverable, memory_order_release);
	/* A rise of `requested` alone counts: the TPR that counts may be in hardware. */
	if (rose || ((l->eoi_offered || l->watched) && irr >= 0)) {
		kick(l);
	}
}

void lapic_publish_address_locked(struct lapic *l)
{
	uint64_t kind = ADDRESS_OFF;
	uint64_t logical = l->ldr >> 24;

	if (lapic_x2apic(l)) {
		kind = ADDRESS_X2APIC;
		logical = l->ldr;
	} else if ((l->base & APIC_BASE_EN) != 0) {
		/* Any model but all-ones is the cluster model; only 0000 is defined. */
		kind = l->dfr >> 28 == 0xf ? ADDRESS_FLAT : ADDRESS_CLUSTER;
	}
	atomic_store_explicit(&l->address,
			      logical | bits_set(0, ADDRESS_KIND, kind) |
				      ((l->svr & SVR_ENABLE) != 0 ? ADDRESS_ENABLED : 0),
			      memory_order_release);
}

/* Puts a vector into IRR; false when the LAPIC is disabled by software. */
static bool request(struct lapic *l, uint8_t vector, bool level)
{
	bool post = l->post != NULL && !level && !vecset_test(&l->tmr, vector);

	if ((l->svr & SVR_ENABLE) == 0) {
		return false;
	}
	if (vector < APIC_FIRST_VECTOR) {
		lapic_error_locked(l, ESR_RECEIVE_ILLEGAL);
		return true;
	}
	if (level) {
		vecset_add(&l->tmr, vector);
	} else {
		vecset_remove(&l->tmr, vector);
	}
	if (post && lapic_page_post_locked(l, vector)) {
		return true;
	}
	if (!vecset_test(&l->irr, vector)) {
		vecset_add(&l->irr, vector);
		lapic_publish_locked(l);
	}
	return true;
}

void lapic_error_locked(struct lapic *l, uint32_t esr_bit)
{
	uint32_t entry = l->lvt[LVT_ERROR];

	l->errors |= esr_bit;
	/* An error entry with an illegal vector reports itself, once. */
	if ((entry & LVT_MASKED) == 0 && (entry & LVT_VECTOR) < APIC_FIRST_VECTOR) {
		l->errors |= ESR_RECEIVE_ILLEGAL;
		return;
	}
	lapic_fire_locked(l, LVT_ERROR);
}

void lapic_fire_locked(struct lapic *l, enum lapic_lvt source)
{
	uint32_t entry = l->lvt[source];
	uint64_t delivery = bits_get(entry, LVT_DELIVERY);

	if ((entry & LVT_MASKED) != 0) {
		return;
	}
	if (delivery == APIC_NMI) {
		l->bus->ops->nmi(l->bus->ops_ctx, l->index);
	} else if (delivery == APIC_FIXED) {
		/* Software-disabled means masked, so the request cannot be refused. */
		(void)request(l, (uint8_t)(entry & LVT_VECTOR), false);
	}
	/* SMI and INIT from a local pin, and reserved modes: nothing drives them here. */
}

bool lapic_accepts_extint(const struct lapic *l)
{
	if ((l->base & APIC_BASE_EN) == 0) {
		return l->bsp;
	}
	return (l->lvt[LVT_LINT0] & LVT_MASKED) == 0 &&
	       bits_get(l->lvt[LVT_LINT0], LVT_DELIVERY) == APIC_EXTINT;
}

/* LINT0 as a level-triggered fixed interrupt: asserted again after each EOI while it is high. */
static void lint0_level(struct lapic *l)
{
	uint32_t *entry = &l->lvt[LVT_LINT0];

	if (atomic_load_explicit(&l->bus->intr, memory_order_acquire) &&
	    (*entry & (LVT_MASKED | LVT_REMOTE_IRR)) == 0) {
		*entry |= LVT_REMOTE_IRR;
		(void)request(l, (uint8_t)(*entry & LVT_VECTOR), true);
	}
}

void lapic_lint0_locked(struct lapic *l, bool rising)
{
	uint32_t entry = l->lvt[LVT_LINT0];

	if (lapic_accepts_extint(l)) {
		if (atomic_load_explicit(&l->bus->intr, memory_order_acquire)) {
			kick(l);
		}
	} else if (bits_get(entry, LVT_DELIVERY) == APIC_FIXED && (entry & LVT_LEVEL) != 0) {
		lint0_level(l);
	} else if (rising) {
		lapic_fire_locked(l, LVT_LINT0);
	}
}

void lapic_pulse_lint1(struct lapic *l)
{
	lock_acquire(&l->lock);
	lapic_fire_locked(l, LVT_LINT1);
	lock_release(&l->lock);
}

void lapic_interrupt(struct lapic *l, uint8_t vector)
{
	lock_acquire(&l->lock);
	(void)request(l, vector, false);
	lock_release(&l->lock);
}

static bool take_fixed(struct lapic *l, const struct apic_message *msg)
{
	bool taken;

	lock_acquire(&l->lock);
	taken = request(l, msg->vector, msg->level);
	lock_release(&l->lock);
	return taken;
}

bool lapic_take(struct lapic *l, const struct apic_message *msg)
{
	const struct apic_bus *bus = l->bus;

	switch (msg->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST_PRIORITY:
		return take_fixed(l, msg);
	case APIC_NMI:
		bus->ops->nmi(bus->ops_ctx, l->index);
		return true;
	case APIC_INIT:
		bus->ops->init(bus->ops_ctx, l->index);
		return true;
	case APIC_STARTUP:
		bus->ops->startup(bus->ops_ctx, l->index, msg->vector);
		return true;
	default:
		return true; /* SMI, ExtINT, reserved: taken and dropped */
	}
}

bool lapic_accept(struct lapic *l, uint8_t vector)
{
	bool requested;

	lock_acquire(&l->lock);
	requested = vecset_test(&l->irr, vector);
	if (requested) {
		vecset_remove(&l->irr, vector);
		if (!vecset_test(&l->auto_eoi, vector)) {
			vecset_add(&l->isr, vector);
		}
		lapic_publish_locked(l);
	}
	lock_release(&l->lock);
	return requested;
}

void lapic_set_auto_eoi(struct lapic *l, const struct vecset *vectors)
{
	lock_acquire(&l->lock);
	l->auto_eoi = *vectors;
	lock_release(&l->lock);
}

void lapic_watch(struct lapic *l, bool watched)
{
	lock_acquire(&l->lock);
	l->watched = watched;
	lock_release(&l->lock);
}

bool lapic_any_requested(struct lapic *l)
{
	bool any;

	lock_acquire(&l->lock);
	any = vecset_highest(&l->irr) >= 0 || (l->page != NULL && lapic_page_any_locked(l));
	lock_release(&l->lock);
	return any;
}

void lapic_lint0_eoi_locked(struct lapic *l, uint8_t vector)
{
	uint32_t *entry = &l->lvt[LVT_LINT0];

	if ((*entry & LVT_REMOTE_IRR) != 0 && (*entry & LVT_VECTOR) == vector) {
		*entry &= ~LVT_REMOTE_IRR;
		lapic_lint0_locked(l, false);
	}
}

/* Takes the highest vector out of service; -1 when there is none. */
static int retire_locked(struct lapic *l)
{
	int vector;

	if (l->page != NULL) {
		return lapic_page_retire_locked(l);
	}
	vector = vecset_highest(&l->isr);
	if (vector >= 0) {
		vecset_remove(&l->isr, (uint8_t)vector);
	}
	return vector;
}

void lapic_eoi(struct lapic *l)
{
	bool level = false;
	int vector;

	lock_acquire(&l->lock);
	vector = retire_locked(l);
	if (vector >= 0) {
		level = vecset_test(&l->tmr, (uint8_t)vector);
		if (level) {
			lapic_lint0_eoi_locked(l, (uint8_t)vector);
		}
		lapic_publish_locked(l);
	}
	lock_release(&l->lock);
	if (level && l->bus->eoi != NULL) {
		l->bus->eoi(l->bus->eoi_ctx, (uint8_t)vector);
	}
}

bool lapic_offer_eoi(struct lapic *l)
{
	bool offered;
	int vector;

	lock_acquire(&l->lock);
	vector = vecset_highest(&l->isr);
	offered = vector >= 0 && !vecset_test(&l->tmr, (uint8_t)vector) &&
		  vecset_highest(&l->irr) < 0;
	l->eoi_offered = offered;
	lock_release(&l->lock);
	return offered;
}

void lapic_settle_eoi(struct lapic *l, bool ended)
{
	lock_acquire(&l->lock);
	l->eoi_offered = false;
	lock_release(&l->lock);
	if (ended) {
		lapic_eoi(l);
	}
}

uint64_t lapic_cr8(const struct lapic *l)
{
	return lapic_tpr(l) >> 4;
}

void lapic_set_cr8(struct lapic *l, uint64_t cr8)
{
	uint32_t tpr = (uint32_t)(cr8 & 0xf) << 4;

	if (tpr == (lapic_tpr(l) & PRIORITY_CLASS)) {
		return;
	}
	lock_acquire(&l->lock);
	lapic_set_tpr_locked(l, tpr);
	lapic_publish_locked(l);
	lock_release(&l->lock);
}

bool lapic_enabled(const struct lapic *l)
{
	return (l->base & APIC_BASE_EN) != 0;
}

/* Source: SDM "Local APIC State After Power-Up or Reset". */
void lapic_clear_locked(struct lapic *l)
{
	vecset_clear(&l->irr);
	vecset_clear(&l->isr);
	vecset_clear(&l->tmr);
	l->eoi_offered = false;
	l->tpr = 0;
	l->ldr = lapic_x2apic(l) ? lapic_x2apic_ldr(l) : 0;
	l->dfr = UINT32_MAX;
	l->svr = SVR_RESET;
	l->icr_low = 0;
	l->icr_high = 0;
	l->esr = 0;
	l->errors = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		l->lvt[i] = LVT_MASKED;
	}
	lapic_timer_stop_locked(l);
	l->timer.divide = 0;
	lapic_page_clear_locked(l);
	lapic_publish_locked(l);
	lapic_publish_address_locked(l);
}

void lapic_reset(struct lapic *l)
{
	lock_acquire(&l->lock);
	l->base = LAPIC_MMIO_BASE | APIC_BASE_EN | (l->bsp ? APIC_BASE_BSP : 0);
	lapic_clear_locked(l);
	lock_release(&l->lock);
}

void lapic_init_reset(struct lapic *l)
{
	lock_acquire(&l->lock);
	lapic_clear_locked(l);
	lock_release(&l->lock);
}

void lapic_virtual_wire(struct lapic *l)
{
	lock_acquire(&l->lock);
	l->svr |= SVR_ENABLE;
	l->lvt[LVT_LINT0] = (uint32_t)bits_set(0, LVT_DELIVERY, APIC_EXTINT);
	l->lvt[LVT_LINT1] = (uint32_t)bits_set(0, LVT_DELIVERY, APIC_NMI);
	lapic_publish_address_locked(l);
	lapic_lint0_locked(l, false);
	lapic_page_show_all_locked(l);
	lock_release(&l->lock);
}

void lapic_init(struct lapic *l, struct apic_bus *bus, struct vtime *time, unsigned index,
		uint32_t apic_id, bool bsp)
{
	CHECK(index < APIC_BUS_LAPICS_MAX && bus->lapics[index] == NULL);
	*l = (struct lapic){.bus = bus, .index = index, .id = apic_id, .bsp = bsp};
	atomic_init(&l->deliverable, -1);
	atomic_init(&l->requested, -1);
	saved_device_init(&l->saved, &lapic_saved_ops, l);
	lapic_timer_init(l, time);
	lapic_reset(l);
	bus->lapics[index] = l;
	if (index >= bus->count) {
		bus->count = index + 1;
	}
}
