/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A LAPIC whose registers the CPU works on by itself, in a page:
 *
 *	any CPU --request--> irr, tmr --hand_over--> page: IRR, TMR --the CPU--> ISR --EOI--> none
 *	            |        (lock)    (owner)         A   \-- highest: apic_entry
 *	            \-edge-> post ---------------------/
 *	                           (the CPU, or owner)
 *
 * All but the current count, which is a function of time, can be read there; what the CPU does not
 * write itself is shown whenever the model changes it. An EOI exits when its vector is level-
 * triggered by TMR. Self-IPIs by the CPU leave TMR alone: the EOI of one whose vector was level-
 * triggered before exits needlessly, and no IOAPIC waits for it.
 *
 * What is posted changes nothing but IRR: an edge whose vector was one before, in a LAPIC of which
 * nobody wants to know when. All else has the vCPU exit.
 *
 * Source: SDM "APIC Virtualization and Virtual Interrupts".
 */
#include "guests/devices/lapic.h"
#include "guests/devices/lapic_internal.h"
#include "hv/base/bits.h"

#define PRIORITY_CLASS 0xf0u
/* ICR bits 63:32 in x2APIC mode, as a word of the page. */
#define ICR_X2APIC_HIGH (REG_ICR_LOW * 4u + 1u)

/*
 * What the page shows as lapic_read_locked says, and the CPU never writes by itself. In xAPIC mode
 * it takes writes to ICR_HIGH without telling, so that the page's is the register.
 */
#define SHOWN \
	(BIT(REG_ID) | BIT(REG_VERSION) | BIT(REG_LDR) | BIT(REG_DFR) | BIT(REG_SVR) | \
	 BIT(REG_ESR) | BIT(REG_ICR_LOW) | BIT(REG_ICR_HIGH) | BIT(REG_LVT_TIMER) | \
	 BIT(REG_LVT_THERMAL) | BIT(REG_LVT_PERFORMANCE) | BIT(REG_LVT_LINT0) | \
	 BIT(REG_LVT_LINT1) | BIT(REG_LVT_ERROR) | BIT(REG_INITIAL_COUNT) | BIT(REG_DIVIDE))

int lapic_page_highest(const struct lapic *l, enum lapic_reg set)
{
	for (int i = VECSET_WORDS - 1; i >= 0; i--) {
		uint32_t word = lapic_page_get(l, set + (uint32_t)i);

		if (word != 0) {
			return i * 32 + 31 - __builtin_clz(word);
		}
	}
	return -1;
}

bool lapic_page_any_locked(const struct lapic *l)
{
	uint32_t posted = 0;

	for (uint32_t i = 0; i < VECSET_WORDS; i++) {
		posted |= lapic_posted(l, i);
	}
	return posted != 0 || lapic_page_highest(l, REG_IRR) >= 0;
}

bool lapic_page_post_locked(struct lapic *l, uint8_t vector)
{
	if (l->watched || vecset_highest(&l->auto_eoi) >= 0) {
		return false;
	}
	if (apic_post_add(l->post, vector)) {
		l->bus->ops->notify(l->bus->ops_ctx, l->index);
	}
	return true;
}

/* What was posted goes where the CPU would have put it. */
static void take_posted_locked(struct lapic *l)
{
	if (l->post == NULL || !apic_post_outstanding(l->post)) {
		return;
	}
	apic_post_look(l->post);
	for (uint32_t i = 0; i < VECSET_WORDS; i++) {
		uint32_t posted = apic_post_take(l->post, i);

		lapic_page_set(l, REG_IRR + i, lapic_page_get(l, REG_IRR + i) | posted);
	}
}

void lapic_use_post(struct lapic *l, struct apic_post *post)
{
	lock_acquire(&l->lock);
	l->post = post;
	lock_release(&l->lock);
}

int lapic_page_retire_locked(struct lapic *l)
{
	int vector = lapic_page_highest(l, REG_ISR);

	if (vector >= 0) {
		uint32_t reg = REG_ISR + (uint32_t)vector / 32;

		lapic_page_set(l, reg, lapic_page_get(l, reg) & ~BIT32((unsigned)vector % 32));
	}
	return vector;
}

void lapic_page_show_locked(struct lapic *l, uint32_t reg)
{
	if (l->page == NULL || reg >= REG_COUNT || (SHOWN >> reg & 1) == 0) {
		return;
	}
	lapic_page_set(l, reg, lapic_read_locked(l, reg));
	if (reg == REG_ICR_LOW) {
		l->page[ICR_X2APIC_HIGH] = lapic_x2apic(l) ? l->icr_high : 0;
	}
}

void lapic_page_show_all_locked(struct lapic *l)
{
	for (uint64_t left = SHOWN; left != 0; left &= left - 1) {
		lapic_page_show_locked(l, (uint32_t)__builtin_ctzll(left));
	}
}

void lapic_page_clear_locked(struct lapic *l)
{
	if (l->page == NULL) {
		return;
	}
	take_posted_locked(l);
	for (unsigned i = 0; i < APIC_PAGE_SIZE / sizeof(uint32_t); i++) {
		l->page[i] = 0;
	}
	lapic_page_show_all_locked(l);
}

void lapic_use_page(struct lapic *l, uint32_t *page)
{
	lock_acquire(&l->lock);
	l->page = page;
	lapic_page_clear_locked(l);
	lapic_page_set(l, REG_TPR, l->tpr);
	for (uint32_t i = 0; i < VECSET_WORDS; i++) {
		lapic_page_set(l, REG_ISR + i, l->isr.word[i]);
	}
	vecset_clear(&l->isr);
	atomic_store_explicit(&l->requested, -1, memory_order_release);
	atomic_store_explicit(&l->deliverable, -1, memory_order_release);
	lapic_publish_locked(l);
	lock_release(&l->lock);
}

static enum apic_mode mode_of(const struct lapic *l)
{
	if (!lapic_enabled(l)) {
		return APIC_MODE_OFF;
	}
	return lapic_x2apic(l) ? APIC_MODE_X2APIC : APIC_MODE_XAPIC;
}

static uint8_t or_none(int vector)
{
	return (uint8_t)(vector < 0 ? 0 : vector);
}

/*
 * The CPU knows no automatic EOI: the service of such a vector ends here. What waits in the page's
 * IRR below it has to wait as long; who uses it sees to hand-overs (hv/synic.c).
 */
static void end_auto_eoi_locked(struct lapic *l)
{
	for (uint32_t i = 0; i < VECSET_WORDS; i++) {
		uint32_t isr = lapic_page_get(l, REG_ISR + i);

		if ((isr & l->auto_eoi.word[i]) != 0) {
			lapic_page_set(l, REG_ISR + i, isr & ~l->auto_eoi.word[i]);
		}
	}
}

bool lapic_page_auto_eoi_waits(struct lapic *l)
{
	uint32_t found = 0;

	lock_acquire(&l->lock);
	for (uint32_t i = 0; l->page != NULL && i < VECSET_WORDS; i++) {
		found |= l->auto_eoi.word[i] &
			 (l->irr.word[i] | lapic_posted(l, i) | lapic_page_get(l, REG_IRR + i) |
			  lapic_page_get(l, REG_ISR + i));
	}
	lock_release(&l->lock);
	return found != 0;
}

void lapic_page_hand_over(struct lapic *l, struct apic_entry *out)
{
	*out = (struct apic_entry){0};
	lock_acquire(&l->lock);
	end_auto_eoi_locked(l);
	take_posted_locked(l);
	for (uint32_t i = 0; i < VECSET_WORDS; i++) {
		uint32_t irr = lapic_page_get(l, REG_IRR + i) | l->irr.word[i];

		lapic_page_set(l, REG_IRR + i, irr);
		lapic_page_set(l, REG_TMR + i, l->tmr.word[i]);
		out->eoi_exits[i / 2] |= (uint64_t)l->tmr.word[i] << (i % 2 * 32);
	}
	vecset_clear(&l->irr);
	/* Only the 8259's line changes a register from another CPU. */
	lapic_page_show_locked(l, REG_LVT_LINT0);
	out->mode = mode_of(l);
	out->requested = or_none(lapic_page_highest(l, REG_IRR));
	out->in_service = or_none(lapic_page_highest(l, REG_ISR));
	lock_release(&l->lock);
}

int lapic_page_pending(struct lapic *l)
{
	uint32_t priority = lapic_tpr(l) & PRIORITY_CLASS;
	uint32_t service;
	int irr;
	int isr;
	int fresh;

	lock_acquire(&l->lock);
	end_auto_eoi_locked(l);
	take_posted_locked(l);
	irr = lapic_page_highest(l, REG_IRR);
	isr = lapic_page_highest(l, REG_ISR);
	fresh = vecset_highest(&l->irr);
	lock_release(&l->lock);
	service = isr < 0 ? 0 : (uint32_t)isr & PRIORITY_CLASS;
	irr = fresh > irr ? fresh : irr;
	priority = service > priority ? service : priority;
	return irr > (int)(priority | 0xf) ? irr : -1;
}

void lapic_page_written(struct lapic *l, uint32_t offset)
{
	uint32_t reg = offset % APIC_PAGE_SIZE / 16;
	uint32_t value = lapic_page_get(l, reg);

	if (lapic_x2apic(l)) {
		(void)lapic_msr_write(l, LAPIC_MSR_X2APIC_FIRST + reg, value);
	} else {
		lapic_mmio_write(l, reg * 16, value);
	}
	/* What was written is not always what the register then holds. */
	lock_acquire(&l->lock);
	lapic_page_show_locked(l, reg);
	lock_release(&l->lock);
}

void lapic_page_eoi(struct lapic *l, uint8_t vector)
{
	lock_acquire(&l->lock);
	lapic_lint0_eoi_locked(l, vector);
	lapic_page_show_locked(l, REG_LVT_LINT0);
	lock_release(&l->lock);
	/* TMR may have changed since; the IOAPIC knows whether it waits for this one. */
	if (l->bus->eoi != NULL) {
		l->bus->eoi(l->bus->eoi_ctx, vector);
	}
}
