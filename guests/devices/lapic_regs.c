/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register file of a LAPIC, seen through the xAPIC page and through x2APIC MSRs, and
 * IA32_APIC_BASE.
 *
 * Sources: SDM "The Local APIC Block Diagram" (register address map), "Extended XAPIC (x2APIC)".
 */
#include "guests/devices/lapic.h"
#include "guests/devices/lapic_internal.h"
#include "hv/base/bits.h"

/* Version 0x14: an integrated APIC; the number of the last LVT entry in bits 23:16. */
#define VERSION_VALUE (0x14u | (LVT_COUNT - 1u) << 16)

#define ICR_VECTOR MASK(7, 0)
#define ICR_DELIVERY MASK(10, 8)
#define ICR_LOGICAL BIT32(11)
#define ICR_BUSY BIT32(12)
#define ICR_ASSERT BIT32(14)
#define ICR_LEVEL BIT32(15)
#define ICR_SHORTHAND MASK(19, 18)
#define ICR_WRITABLE 0x000ccfffu

enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

/* Who may read and write a register. */
#define RX 1u /* read in xAPIC mode */
#define WX 2u /* written in xAPIC mode, perhaps without effect */
#define R2 4u /* read in x2APIC mode; otherwise #GP */
#define W2 8u
#define R (RX | R2)
#define RW (RX | WX | R2 | W2)

struct reg_rule {
	uint8_t access;
	uint32_t writable;
	uint32_t ignored; /* read-only bits that may be written as anything */
};

/* Runs of eight (ISR, TMR, IRR) are listed by their first register. */
static const struct reg_rule rules[REG_COUNT] = {
	[REG_ID] = {R | WX, 0, 0},
	[REG_VERSION] = {R | WX, 0, 0},
	[REG_TPR] = {RW, 0xff, 0},
	[REG_APR] = {RX, 0, 0},
	[REG_PPR] = {R | WX, 0, 0},
	[REG_EOI] = {WX | W2, 0, 0},
	[REG_RRD] = {RX, 0, 0},
	[REG_LDR] = {R | WX, 0xff000000, 0},
	[REG_DFR] = {RX | WX, 0xf0000000, 0},
	[REG_SVR] = {RW, 0x3ff, 0},
	[REG_ISR] = {R | WX, 0, 0},
	[REG_TMR] = {R | WX, 0, 0},
	[REG_IRR] = {R | WX, 0, 0},
	[REG_ESR] = {RW, 0, 0},
	[REG_ICR_LOW] = {RW, ICR_WRITABLE, ICR_BUSY},
	[REG_ICR_HIGH] = {RX | WX, ICR_DEST_XAPIC, 0},
	[REG_LVT_TIMER] = {RW, 0x700ff, 0x1000},
	[REG_LVT_THERMAL] = {RW, 0x107ff, 0x1000},
	[REG_LVT_PERFORMANCE] = {RW, 0x107ff, 0x1000},
	[REG_LVT_LINT0] = {RW, 0x1a7ff, 0x5000},
	[REG_LVT_LINT1] = {RW, 0x1a7ff, 0x5000},
	[REG_LVT_ERROR] = {RW, 0x100ff, 0x1000},
	[REG_INITIAL_COUNT] = {RW, 0xffffffff, 0},
	[REG_CURRENT_COUNT] = {R | WX, 0, 0},
	[REG_DIVIDE] = {RW, 0xb, 0},
	[REG_SELF_IPI] = {W2, 0xff, 0},
};

static const struct reg_rule *rule_of(uint32_t reg)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		reg &= ~7u;
	}
	return &rules[reg];
}

uint32_t lapic_writable(uint32_t reg)
{
	return rule_of(reg)->writable;
}

/* --- reading --- */

static uint32_t read_vector_word(const struct lapic *l, uint32_t reg)
{
	const struct vecset *set = reg < REG_TMR ? &l->isr : reg < REG_IRR ? &l->tmr : &l->irr;
	bool in_page = l->page != NULL && set != &l->tmr;

	return set->word[reg & 7] | (in_page ? lapic_page_get(l, reg) : 0);
}

uint32_t lapic_read_locked(struct lapic *l, uint32_t reg)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		return read_vector_word(l, reg);
	}
	if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR) {
		return l->lvt[reg - REG_LVT_TIMER];
	}
	switch (reg) {
	case REG_ID:
		return lapic_x2apic(l) ? l->id : l->id << 24;
	case REG_VERSION:
		return VERSION_VALUE;
	case REG_TPR:
		return lapic_tpr(l);
	case REG_PPR:
		return lapic_ppr(l);
	case REG_LDR:
		return l->ldr;
	case REG_DFR:
		return l->dfr;
	case REG_SVR:
		return l->svr;
	case REG_ESR:
		return l->esr;
	case REG_ICR_LOW:
		return l->icr_low;
	case REG_ICR_HIGH:
		return lapic_icr_high(l);
	case REG_INITIAL_COUNT:
		return l->timer.initial;
	case REG_CURRENT_COUNT:
		return lapic_timer_current_locked(l);
	case REG_DIVIDE:
		return l->timer.divide;
	default:
		return 0;
	}
}

/* --- writing --- */

static void write_lvt(struct lapic *l, enum lapic_lvt entry, uint32_t value)
{
	uint32_t old = l->lvt[entry];

	if ((l->svr & SVR_ENABLE) == 0) {
		value |= LVT_MASKED;
	}
	/* A level interrupt in service stays so, unless the entry is no longer one. */
	if ((value & LVT_LEVEL) != 0) {
		value |= old & LVT_REMOTE_IRR;
	}
	l->lvt[entry] = value;
	if (entry == LVT_TIMER) {
		lapic_timer_mode_locked(l, old);
	} else if (entry == LVT_LINT0) {
		lapic_lint0_locked(l, false);
	}
}

/* Disabling by software masks every LVT entry and keeps them masked. */
static void write_svr(struct lapic *l, uint32_t value)
{
	l->svr = value;
	if ((value & SVR_ENABLE) == 0) {
		for (unsigned i = 0; i < LVT_COUNT; i++) {
			l->lvt[i] |= LVT_MASKED;
		}
	}
	lapic_publish_address_locked(l);
}

/* Registers whose write stays inside this LAPIC; `value` has only writable bits. */
static void write_plain(struct lapic *l, uint32_t reg, uint32_t value)
{
	switch (reg) {
	case REG_TPR:
		lapic_set_tpr_locked(l, value);
		lapic_publish_locked(l);
		break;
	case REG_LDR:
		l->ldr = value;
		lapic_publish_address_locked(l);
		break;
	case REG_DFR:
		l->dfr = value | 0x0fffffff;
		lapic_publish_address_locked(l);
		break;
	case REG_SVR:
		write_svr(l, value);
		break;
	case REG_ESR:
		l->esr = l->errors;
		l->errors = 0;
		break;
	case REG_ICR_HIGH:
		l->icr_high = value;
		if (l->page != NULL) {
			lapic_page_set(l, REG_ICR_HIGH, value);
		}
		break;
	case REG_INITIAL_COUNT:
		lapic_timer_set_initial_locked(l, value);
		break;
	case REG_DIVIDE:
		lapic_timer_set_divide_locked(l, value);
		break;
	default:
		break; /* read-only */
	}
}

static void write_locked(struct lapic *l, uint32_t reg, uint32_t value)
{
	if (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR) {
		write_lvt(l, (enum lapic_lvt)(reg - REG_LVT_TIMER), value);
	} else {
		write_plain(l, reg, value);
	}
	/* Both change others with them. */
	if (reg == REG_SVR || reg == REG_LVT_TIMER) {
		lapic_page_show_all_locked(l);
	} else {
		lapic_page_show_locked(l, reg);
	}
}

static void raise_error(struct lapic *l, uint32_t esr_bit)
{
	lock_acquire(&l->lock);
	lapic_error_locked(l, esr_bit);
	lock_release(&l->lock);
}

/* The LAPICs a shorthand names; 0 for a combination the ICR does not allow. */
static uint64_t shorthand_targets(const struct lapic *l, uint64_t shorthand, uint8_t delivery)
{
	uint64_t self = BIT(l->index);

	if (shorthand == SHORTHAND_OTHERS) {
		return apic_bus_everyone(l->bus) & ~self;
	}
	if (delivery == APIC_INIT || delivery == APIC_STARTUP) {
		return 0;
	}
	return shorthand == SHORTHAND_SELF ? self : apic_bus_everyone(l->bus);
}

/* Sends what `low`, already stored, says; without the lock. Interprocessor interrupts are edges. */
static void send_ipi(struct lapic *l, uint32_t low, uint32_t dest)
{
	struct apic_message msg = {
		.dest = dest,
		.logical = (low & ICR_LOGICAL) != 0,
		.delivery = (uint8_t)bits_get(low, ICR_DELIVERY),
		.vector = (uint8_t)bits_get(low, ICR_VECTOR),
	};
	uint64_t shorthand = bits_get(low, ICR_SHORTHAND);

	if (msg.delivery <= APIC_LOWEST_PRIORITY && msg.vector < APIC_FIRST_VECTOR) {
		raise_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	/* The INIT level de-assert of old start-up sequences does nothing since the Pentium 4. */
	if (msg.delivery == APIC_INIT && (low & ICR_LEVEL) != 0 && (low & ICR_ASSERT) == 0) {
		return;
	}
	if (shorthand == SHORTHAND_NONE) {
		(void)apic_bus_deliver(l->bus, &msg);
	} else {
		(void)apic_bus_send(l->bus, shorthand_targets(l, shorthand, msg.delivery), &msg);
	}
}

static void write_icr_xapic(struct lapic *l, uint32_t low)
{
	uint32_t dest;

	lock_acquire(&l->lock);
	l->icr_low = low;
	lapic_page_show_locked(l, REG_ICR_LOW);
	dest = (uint32_t)bits_get(lapic_icr_high(l), ICR_DEST_XAPIC);
	lock_release(&l->lock);
	if (dest == 0xff && (low & ICR_LOGICAL) == 0) {
		dest = APIC_DEST_BROADCAST;
	}
	send_ipi(l, low, dest);
}

static void write_icr_x2apic(struct lapic *l, uint32_t low, uint32_t high)
{
	lock_acquire(&l->lock);
	l->icr_low = low;
	l->icr_high = high;
	lapic_page_show_locked(l, REG_ICR_LOW);
	lock_release(&l->lock);
	send_ipi(l, low, high);
}

static void write_self_ipi(struct lapic *l, uint8_t vector)
{
	if (vector < APIC_FIRST_VECTOR) {
		raise_error(l, ESR_SEND_ILLEGAL);
	} else {
		lapic_interrupt(l, vector);
	}
}

/* --- the xAPIC page --- */

uint32_t lapic_mmio_read(struct lapic *l, uint32_t offset)
{
	uint32_t reg = offset >> 4;
	uint32_t value = 0;

	lock_acquire(&l->lock);
	if (reg < REG_COUNT && (rule_of(reg)->access & RX) != 0) {
		value = lapic_read_locked(l, reg);
	} else if (reg != REG_EOI) {
		lapic_error_locked(l, ESR_ILLEGAL_REGISTER);
	}
	lock_release(&l->lock);
	return value;
}

void lapic_mmio_write(struct lapic *l, uint32_t offset, uint32_t value)
{
	uint32_t reg = offset >> 4;

	if (reg == REG_EOI) {
		lapic_eoi(l);
		return;
	}
	if (reg >= REG_COUNT || (rule_of(reg)->access & (RX | WX)) == 0) {
		raise_error(l, ESR_ILLEGAL_REGISTER);
		return;
	}
	value &= rule_of(reg)->writable;
	if (reg == REG_ICR_LOW) {
		write_icr_xapic(l, value);
		return;
	}
	lock_acquire(&l->lock);
	write_locked(l, reg, value);
	lock_release(&l->lock);
}

/* --- x2APIC --- */

static enum lapic_msr_status x2apic_read(struct lapic *l, uint32_t reg, uint64_t *value)
{
	if (!lapic_x2apic(l) || reg >= REG_COUNT || (rule_of(reg)->access & R2) == 0) {
		return LAPIC_MSR_GP;
	}
	lock_acquire(&l->lock);
	*value = lapic_read_locked(l, reg);
	if (reg == REG_ICR_LOW) {
		*value |= (uint64_t)l->icr_high << 32;
	}
	lock_release(&l->lock);
	return LAPIC_MSR_OK;
}

static enum lapic_msr_status x2apic_write(struct lapic *l, uint32_t reg, uint64_t value)
{
	const struct reg_rule *rule;
	uint64_t allowed;

	if (!lapic_x2apic(l) || reg >= REG_COUNT) {
		return LAPIC_MSR_GP;
	}
	/* Most writes are this one; the way by its rule, which allows no bit, takes 25
	 * instructions. */
	if (reg == REG_EOI && value == 0) {
		lapic_eoi(l);
		return LAPIC_MSR_OK;
	}
	rule = rule_of(reg);
	allowed = rule->writable | rule->ignored | (reg == REG_ICR_LOW ? MASK(63, 32) : 0);
	if ((rule->access & W2) == 0 || (value & ~allowed) != 0) {
		return LAPIC_MSR_GP;
	}
	switch (reg) {
	case REG_ICR_LOW:
		write_icr_x2apic(l, (uint32_t)value & rule->writable, (uint32_t)(value >> 32));
		break;
	case REG_SELF_IPI:
		write_self_ipi(l, (uint8_t)value);
		break;
	default:
		lock_acquire(&l->lock);
		write_locked(l, reg, (uint32_t)value & rule->writable);
		lock_release(&l->lock);
		break;
	}
	return LAPIC_MSR_OK;
}

/* --- MSRs --- */

/*
 * Legal changes of (EN, EXTD): off -> xAPIC -> x2APIC -> off, xAPIC -> off, and none. Source: SDM
 * "x2APIC State Transitions".
 */
static bool mode_change_legal(uint64_t from, uint64_t to)
{
	const uint64_t mode = APIC_BASE_EN | APIC_BASE_EXTD;

	from &= mode;
	to &= mode;
	return from == to || to == 0 || (from == 0 && to == APIC_BASE_EN) ||
	       (from == APIC_BASE_EN && to == mode);
}

static void set_mode(struct lapic *l, uint64_t base)
{
	lock_acquire(&l->lock);
	l->base = base;
	if ((base & APIC_BASE_EN) == 0) {
		/* All state is lost; switched on again it is as after power-up. */
		lapic_clear_locked(l);
	} else if (lapic_x2apic(l)) {
		l->ldr = lapic_x2apic_ldr(l);
		l->icr_high = 0;
	}
	lapic_publish_address_locked(l);
	lapic_lint0_locked(l, false);
	lapic_page_show_all_locked(l);
	lapic_publish_locked(l);
	lock_release(&l->lock);
}

/* The BSP flag is read-only here; what is written to it is ignored. */
static enum lapic_msr_status write_apic_base(struct lapic *l, uint64_t value)
{
	const uint64_t mode = APIC_BASE_EN | APIC_BASE_EXTD;
	const uint64_t address = MASK(51, 12);

	if ((value & ~(address | mode | APIC_BASE_BSP)) != 0 ||
	    ((value & APIC_BASE_EXTD) != 0 && !l->bus->x2apic) ||
	    !mode_change_legal(l->base, value)) {
		return LAPIC_MSR_GP;
	}
	if ((value & address) != LAPIC_MMIO_BASE) {
		return LAPIC_MSR_MOVED;
	}
	if (((value ^ l->base) & mode) != 0) {
		set_mode(l, (l->base & ~mode) | (value & mode));
	}
	return LAPIC_MSR_OK;
}

enum lapic_msr_status lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value)
{
	*value = 0;
	if (msr >= LAPIC_MSR_X2APIC_FIRST && msr <= LAPIC_MSR_X2APIC_LAST) {
		return x2apic_read(l, msr - LAPIC_MSR_X2APIC_FIRST, value);
	}
	if (msr == LAPIC_MSR_APIC_BASE) {
		*value = l->base;
		return LAPIC_MSR_OK;
	}
	if (msr == LAPIC_MSR_TSC_DEADLINE) {
		lock_acquire(&l->lock);
		*value = lapic_timer_deadline_locked(l);
		lock_release(&l->lock);
		return LAPIC_MSR_OK;
	}
	return LAPIC_MSR_GP;
}

enum lapic_msr_status lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value)
{
	if (msr >= LAPIC_MSR_X2APIC_FIRST && msr <= LAPIC_MSR_X2APIC_LAST) {
		return x2apic_write(l, msr - LAPIC_MSR_X2APIC_FIRST, value);
	}
	if (msr == LAPIC_MSR_TSC_DEADLINE) {
		lock_acquire(&l->lock);
		lapic_timer_set_deadline_locked(l, value);
		lock_release(&l->lock);
		return LAPIC_MSR_OK;
	}
	return msr == LAPIC_MSR_APIC_BASE ? write_apic_base(l, value) : LAPIC_MSR_GP;
}
