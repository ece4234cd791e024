/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the LAPIC model share and nobody else sees: lapic.c (vectors, priorities, LVT),
 * lapic_timer.c, lapic_regs.c (registers and MSRs), lapic_page.c (where the CPU works on them) and
 * apic_bus.c. A name that ends in _locked is called with the LAPIC's lock held.
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

/* Registers, numbered as x2APIC does: MSR 0x800 + n, page offset 16 * n. */
enum lapic_reg {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10, /* eight of each */
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR_LOW = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT_TIMER = 0x32,
	REG_LVT_THERMAL = 0x33,
	REG_LVT_PERFORMANCE = 0x34,
	REG_LVT_LINT0 = 0x35,
	REG_LVT_LINT1 = 0x36,
	REG_LVT_ERROR = 0x37,
	REG_INITIAL_COUNT = 0x38,
	REG_CURRENT_COUNT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
	REG_COUNT = 0x40,
};

#define ICR_DEST_XAPIC MASK(31, 24)

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

/* The service of `vector` ends, one that came from LINT0 as a level. */
void lapic_lint0_eoi_locked(struct lapic *l, uint8_t vector);

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

void lapic_timer_save_locked(const struct lapic *l, struct lapic_timer_saved *out);
/* As in struct saved_ops, for a timer with this LVT entry. */
const char *lapic_timer_check(uint32_t lvt, const struct lapic_timer_saved *in);
void lapic_timer_load_locked(struct lapic *l, const struct lapic_timer_saved *in);

/* --- lapic_saved.c --- */

extern const struct saved_ops lapic_saved_ops;
extern const struct saved_ops apic_bus_saved_ops;

/* --- lapic_regs.c --- */

/* The bits that software can set in a register. */
uint32_t lapic_writable(uint32_t reg);

/* An access to the xAPIC page. */
uint32_t lapic_mmio_read(struct lapic *l, uint32_t offset);
void lapic_mmio_write(struct lapic *l, uint32_t offset, uint32_t value);

/* Any register that may be read; the others read 0. */
uint32_t lapic_read_locked(struct lapic *l, uint32_t reg);

/* --- lapic_page.c --- */

/* What the page shows. The CPU may be writing to it: each register at once. */
static inline uint32_t lapic_page_get(const struct lapic *l, uint32_t reg)
{
	return __atomic_load_n(&l->page[reg * 4], __ATOMIC_RELAXED);
}

static inline void lapic_page_set(struct lapic *l, uint32_t reg, uint32_t value)
{
	__atomic_store_n(&l->page[reg * 4], value, __ATOMIC_RELAXED);
}

static inline bool lapic_page_test(const struct lapic *l, enum lapic_reg set, uint8_t vector)
{
	return (lapic_page_get(l, set + vector / 32u) >> (vector % 32) & 1) != 0;
}

/*
 * Posts an edge, where there is `post`. False: what it changes is more than a request, or it has to
 * be looked at when it comes, so that the vCPU must exit for it.
 */
bool lapic_page_post_locked(struct lapic *l, uint8_t vector);
/* Whether any vector is in the page's IRR, or on its way there. */
bool lapic_page_any_locked(const struct lapic *l);
/* The highest vector in the page's IRR or ISR (`set`: its first register), or -1. */
int lapic_page_highest(const struct lapic *l, enum lapic_reg set);
/* Ends the service of the highest vector; -1 when there is none. Owner. */
int lapic_page_retire_locked(struct lapic *l);
/* After reset: no interrupts, all registers as they are now. */
void lapic_page_clear_locked(struct lapic *l);
/* Shows a register, or all, that the model changed; nothing where there is no page. Owner. */
void lapic_page_show_locked(struct lapic *l, uint32_t reg);
void lapic_page_show_all_locked(struct lapic *l);

static inline uint32_t lapic_tpr(const struct lapic *l)
{
	return l->page != NULL ? lapic_page_get(l, REG_TPR) : l->tpr;
}

static inline uint32_t lapic_ppr(const struct lapic *l)
{
	return l->page != NULL ? lapic_page_get(l, REG_PPR)
			       : atomic_load_explicit(&l->ppr, memory_order_relaxed);
}

/* In xAPIC mode the page's is the register: the CPU writes it and tells nobody. */
static inline uint32_t lapic_icr_high(const struct lapic *l)
{
	return l->page != NULL && !lapic_x2apic(l)
		       ? lapic_page_get(l, REG_ICR_HIGH) & (uint32_t)ICR_DEST_XAPIC
		       : l->icr_high;
}

static inline void lapic_set_tpr_locked(struct lapic *l, uint32_t tpr)
{
	if (l->page != NULL) {
		lapic_page_set(l, REG_TPR, tpr);
	} else {
		l->tpr = tpr;
	}
}

/* Of vectors 32 * i to 32 * i + 31 those that were posted and are not in the page yet. */
static inline uint32_t lapic_posted(const struct lapic *l, uint32_t i)
{
	return l->post != NULL ? apic_post_peek(l->post, i) : 0;
}

/* Whether `vector` is requested and not in service yet. */
static inline bool lapic_requested_locked(const struct lapic *l, uint8_t vector)
{
	return vecset_test(&l->irr, vector) ||
	       (lapic_posted(l, vector / 32u) >> (vector % 32) & 1) != 0 ||
	       (l->page != NULL && lapic_page_test(l, REG_IRR, vector));
}

/* --- apic_bus.c --- */

/* Every LAPIC that is switched on, one bit per vCPU index. */
uint64_t apic_bus_everyone(const struct apic_bus *bus);
/* As apic_bus_deliver, to the LAPICs of this set or, for lowest priority, one of them. */
bool apic_bus_send(struct apic_bus *bus, uint64_t targets, const struct apic_message *msg);
