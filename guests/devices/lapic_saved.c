/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state of the LAPICs and of their bus. What is in a page that the CPU works on is put with
 * the rest when it is saved, and back when it is loaded, so that both kinds of machine save the
 * same bytes. The timer's period follows from its registers; only where it stands is saved.
 */
#include "guests/devices/lapic.h"
#include "guests/devices/lapic_internal.h"
#include "hv/base/bits.h"

#define LOWEST_VECTORS 0xffffu
#define ERRORS 0xffu

/* --- one LAPIC --- */

static void save_vectors(const struct lapic *l, struct lapic_saved *saved)
{
	for (uint32_t i = 0; i < VECSET_WORDS; i++) {
		bool paged = l->page != NULL;

		saved->irr[i] = l->irr.word[i] | lapic_posted(l, i) |
				(paged ? lapic_page_get(l, REG_IRR + i) : 0);
		saved->isr[i] = l->isr.word[i] | (paged ? lapic_page_get(l, REG_ISR + i) : 0);
		saved->tmr[i] = l->tmr.word[i];
		saved->auto_eoi[i] = l->auto_eoi.word[i];
	}
}

static void save(void *dev, void *out)
{
	struct lapic *l = dev;
	struct lapic_saved *saved = out;

	lock_acquire(&l->lock);
	*saved = (struct lapic_saved){
		.base = l->base,
		.tpr = lapic_tpr(l),
		.ldr = l->ldr,
		.dfr = l->dfr,
		.svr = l->svr,
		.icr_low = l->icr_low,
		.icr_high = lapic_icr_high(l),
		.esr = l->esr,
		.errors = l->errors,
		.eoi_offered = l->eoi_offered,
		.watched = l->watched,
	};
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		saved->lvt[i] = l->lvt[i];
	}
	save_vectors(l, saved);
	lapic_timer_save_locked(l, &saved->timer);
	lock_release(&l->lock);
}

static bool base_is_sound(const struct lapic *l, uint64_t base)
{
	uint64_t modes = APIC_BASE_EN | (l->bus->x2apic ? APIC_BASE_EXTD : 0);
	uint64_t fixed = LAPIC_MMIO_BASE | (l->bsp ? APIC_BASE_BSP : 0);

	return (base & ~modes) == fixed &&
	       (base & (APIC_BASE_EN | APIC_BASE_EXTD)) != APIC_BASE_EXTD;
}

/* LDR and the ICR's upper half are other registers in x2APIC mode; DFR is not there then. */
static bool mode_registers_are_sound(const struct lapic *l, const struct lapic_saved *saved)
{
	bool x2apic = (saved->base & APIC_BASE_EXTD) != 0;

	if ((saved->dfr | lapic_writable(REG_DFR)) != UINT32_MAX) {
		return false;
	}
	if (x2apic) {
		return saved->ldr == lapic_x2apic_ldr(l);
	}
	return (saved->ldr & ~lapic_writable(REG_LDR)) == 0 &&
	       (saved->icr_high & ~lapic_writable(REG_ICR_HIGH)) == 0;
}

static bool registers_are_sound(const struct lapic_saved *saved)
{
	return (saved->tpr & ~lapic_writable(REG_TPR)) == 0 &&
	       (saved->svr & ~lapic_writable(REG_SVR)) == 0 &&
	       (saved->icr_low & ~lapic_writable(REG_ICR_LOW)) == 0 &&
	       (saved->esr & ~ERRORS) == 0 && (saved->errors & ~ERRORS) == 0;
}

static bool lvt_is_sound(const struct lapic_saved *saved)
{
	bool enabled = (saved->svr & SVR_ENABLE) != 0;

	for (uint32_t i = 0; i < LVT_COUNT; i++) {
		uint32_t entry = saved->lvt[i];
		uint32_t bits = lapic_writable(REG_LVT_TIMER + i);

		if ((entry & LVT_LEVEL) != 0 && (bits & LVT_LEVEL) != 0) {
			bits |= LVT_REMOTE_IRR;
		}
		if ((entry & ~bits) != 0 || (!enabled && (entry & LVT_MASKED) == 0)) {
			return false;
		}
	}
	return true;
}

static bool vectors_are_sound(const struct lapic_saved *saved)
{
	return ((saved->irr[0] | saved->isr[0] | saved->tmr[0]) & LOWEST_VECTORS) == 0;
}

static const char *check(void *dev, const void *in)
{
	const struct lapic *l = dev;
	const struct lapic_saved *saved = in;

	if (!base_is_sound(l, saved->base)) {
		return "IA32_APIC_BASE is none of this CPU's";
	}
	if (!mode_registers_are_sound(l, saved) || !registers_are_sound(saved) ||
	    !lvt_is_sound(saved)) {
		return "a register has bits that it cannot have";
	}
	if (!vectors_are_sound(saved)) {
		return "vectors 0 to 15 are never requested";
	}
	if (!saved_is_bool(saved->eoi_offered) || !saved_is_bool(saved->watched) ||
	    !saved_is_zero(saved->zero, sizeof(saved->zero))) {
		return "a flag is neither 0 nor 1";
	}
	return lapic_timer_check(saved->lvt[LVT_TIMER], &saved->timer);
}

static void load_set(struct vecset *set, const uint32_t *words)
{
	set->summary = 0;
	for (unsigned i = 0; i < VECSET_WORDS; i++) {
		set->word[i] = words[i];
		set->summary |= words[i] != 0 ? BIT32(i) : 0;
	}
}

/* What the page has of it; the rest it shows. What is requested goes there with the next hand-over.
 */
static void load_page(struct lapic *l, const struct lapic_saved *saved)
{
	lapic_page_clear_locked(l);
	lapic_page_set(l, REG_TPR, saved->tpr);
	if (!lapic_x2apic(l)) {
		lapic_page_set(l, REG_ICR_HIGH, saved->icr_high);
	}
	for (uint32_t i = 0; i < VECSET_WORDS; i++) {
		lapic_page_set(l, REG_ISR + i, saved->isr[i]);
	}
	vecset_clear(&l->isr);
}

static void load_registers(struct lapic *l, const struct lapic_saved *saved)
{
	l->base = saved->base;
	l->tpr = saved->tpr;
	l->ldr = saved->ldr;
	l->dfr = saved->dfr;
	l->svr = saved->svr;
	l->icr_low = saved->icr_low;
	l->icr_high = saved->icr_high;
	l->esr = saved->esr;
	l->errors = saved->errors;
	l->eoi_offered = saved->eoi_offered != 0;
	l->watched = saved->watched != 0;
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		l->lvt[i] = saved->lvt[i];
	}
	load_set(&l->irr, saved->irr);
	load_set(&l->isr, saved->isr);
	load_set(&l->tmr, saved->tmr);
	load_set(&l->auto_eoi, saved->auto_eoi);
}

static void load(void *dev, const void *in)
{
	struct lapic *l = dev;
	const struct lapic_saved *saved = in;

	lock_acquire(&l->lock);
	load_registers(l, saved);
	if (l->page != NULL) {
		load_page(l, saved);
	}
	lapic_timer_load_locked(l, &saved->timer);
	lapic_publish_locked(l);
	lapic_publish_address_locked(l);
	lock_release(&l->lock);
	l->bus->ops->kick(l->bus->ops_ctx, l->index);
}

static void reset(void *dev)
{
	lapic_reset(dev);
}

const struct saved_ops lapic_saved_ops = {
	.name = "LAPIC",
	.kind = SAVED_KIND('L', 'A', 'P', 'I'),
	.version = LAPIC_SAVED_VERSION,
	.bytes = sizeof(struct lapic_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

/* --- the bus: what the LAPICs share --- */

static void save_bus(void *dev, void *out)
{
	const struct apic_bus *bus = dev;

	*(struct apic_bus_saved *)out = (struct apic_bus_saved){
		.next_lowest = atomic_load(&bus->next_lowest), .intr = atomic_load(&bus->intr)};
}

static const char *check_bus(void *dev, const void *in)
{
	const struct apic_bus *bus = dev;
	const struct apic_bus_saved *saved = in;

	if (saved->next_lowest >= bus->count) {
		return "the guest has fewer vCPUs";
	}
	return saved_is_bool(saved->intr) && saved_is_zero(saved->zero, sizeof(saved->zero))
		       ? NULL
		       : "INTR is neither 0 nor 1";
}

/* No LAPIC sees an edge: those have been loaded. */
static void load_bus(void *dev, const void *in)
{
	struct apic_bus *bus = dev;
	const struct apic_bus_saved *saved = in;

	atomic_store(&bus->next_lowest, saved->next_lowest);
	atomic_store(&bus->intr, saved->intr != 0);
	for (unsigned i = 0; i < bus->count; i++) {
		bus->ops->kick(bus->ops_ctx, i);
	}
}

static void reset_bus(void *dev)
{
	struct apic_bus *bus = dev;

	atomic_store(&bus->next_lowest, 0);
}

const struct saved_ops apic_bus_saved_ops = {
	.name = "APIC bus",
	.kind = SAVED_KIND('A', 'B', 'U', 'S'),
	.version = APIC_BUS_SAVED_VERSION,
	.bytes = sizeof(struct apic_bus_saved),
	.save = save_bus,
	.check = check_bus,
	.load = load_bus,
	.reset = reset_bus,
};
