/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APICs of a VM and the bus that connects them. Sources: Intel SDM volume 3, "Advanced
 * Programmable Interrupt Controller"; AMD APM volume 2, "Advanced Programmable Interrupt
 * Controller".
 *
 *	IOAPIC, MSI --apic_bus_deliver--> +----------+ --request--> LAPIC of a vCPU <--> run loop
 *	ICR, SELF IPI ------------------> | apic_bus |
 *	8259 INTR ----apic_bus_intr-----> +----------+ --ops: NMI, INIT, SIPI--> vCPU code
 *
 * xAPIC and x2APIC; six LVT entries; no EOI broadcast suppression. The APIC ID is read-only.
 *
 * Locking: lapic->lock covers a LAPIC's registers. No two are ever held together, and none while
 * the bus hands a message to a LAPIC or an EOI to the IOAPIC. What other CPUs need without it is
 * published in atomics. Functions marked "owner" are called by the CPU that runs the vCPU, or while
 * the vCPU runs nowhere.
 *
 * Where the CPU virtualizes interrupts (lapic_use_page) TPR, IRR and ISR are in the page of
 * hv/api/apic_page.h, which only the owner and the CPU write. `irr` then holds what was requested
 * since the owner last handed it over (lapic_page_hand_over): any other CPU's way in. Where the CPU
 * takes what is posted (lapic_use_post), edges are, and need no exit of a vCPU that runs.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/cadence.h"
#include "guests/devices/vecset.h"
#include "hv/api/apic_page.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define APIC_BUS_LAPICS_MAX 64u
#define LAPIC_MMIO_BASE APIC_PAGE_GPA
#define LAPIC_MMIO_SIZE 0x1000ull
/* Input clock of the APIC timer's divider, at most. */
#define LAPIC_TIMER_HZ 1000000000ull
/*
 * The same on this machine: what CPUID and Hyper-V's frequency MSR announce. No CPU has a timer
 * that is faster than its TSC, so it is halved on emulated ones whose TSC is below 1 GHz.
 */
uint64_t lapic_timer_hz(void);

/* Delivery modes, as encoded in the ICR, the LVT, redirection entries and MSI data. */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST_PRIORITY = 1,
	APIC_SMI = 2, /* dropped: this machine has no system-management mode */
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7, /* dropped as a message: the 8259 answers LINT0 alone */
};

#define APIC_DEST_BROADCAST 0xffffffffu

struct apic_message {
	uint32_t dest; /* APIC ID or logical destination; APIC_DEST_BROADCAST: all */
	bool logical;
	bool level;	  /* level-triggered: the EOI is broadcast to the IOAPIC */
	uint8_t delivery; /* enum apic_delivery */
	uint8_t vector;
};

/*
 * What the vCPU code is asked for; `vcpu` is the index given to lapic_init. kick, notify and nmi
 * may be called with a LAPIC's or a device's lock held and only set flags and wake. init and
 * startup are called without any LAPIC's lock, but possibly from another vCPU's CPU: they request,
 * they do not reset in place.
 */
struct apic_bus_ops {
	void (*kick)(void *ctx, unsigned vcpu); /* something may have become deliverable */
	/* Something was posted: as kick, but that a CPU that runs the vCPU need only be notified.
	 * Called where lapic_use_post was. */
	void (*notify)(void *ctx, unsigned vcpu);
	void (*nmi)(void *ctx, unsigned vcpu);
	void (*init)(void *ctx, unsigned vcpu);
	void (*startup)(void *ctx, unsigned vcpu, uint8_t vector);
};

struct lapic_timer {
	struct vtimer vtimer;
	struct cadence cadence; /* next is the next expiry while counting */
	uint32_t initial;
	uint32_t divide; /* the register */
	bool counting;
	uint64_t tsc_deadline; /* in the guest's TSC; 0: disarmed */
	uint64_t tsc_offset;   /* guest TSC - guest ticks */
};

enum lapic_lvt {
	LVT_TIMER,
	LVT_THERMAL,
	LVT_PERFORMANCE,
	LVT_LINT0,
	LVT_LINT1,
	LVT_ERROR,
	LVT_COUNT,
};

struct apic_bus;

struct lapic {
	/* Set by lapic_init. */
	struct apic_bus *bus;
	unsigned index;
	uint32_t id;
	bool bsp;
	/* Published under the lock, read anywhere. */
	_Atomic int deliverable; /* highest IRR vector above PPR, or -1 */
	_Atomic int requested;	 /* highest IRR vector above what is in service, or -1 */
	_Atomic uint32_t ppr;
	_Atomic uint64_t address; /* what destinations are matched with: ADDRESS_* */
	/* Covered by the lock. */
	struct spinlock lock;
	uint64_t base;		/* IA32_APIC_BASE */
	uint32_t *page;		/* set by lapic_use_page; NULL: TPR, IRR and ISR are here */
	struct apic_post *post; /* set by lapic_use_post; NULL: what is requested is in irr */
	struct vecset irr, isr, tmr;
	uint32_t tpr, ldr, dfr, svr;
	uint32_t icr_low, icr_high;
	uint32_t esr;	 /* as software reads it */
	uint32_t errors; /* gathered since the last write to ESR */
	uint32_t lvt[LVT_COUNT];
	struct lapic_timer timer;
	bool eoi_offered; /* what is highest in service may be over: see lapic_offer_eoi */
	bool watched;	  /* each request kicks: see lapic_watch */
	struct vecset auto_eoi;
	struct saved_device saved;
};

#define LAPIC_SAVED_VERSION 1u
/* Fields that mean nothing while the timer is off are 0 then. */
struct lapic_timer_saved {
	uint64_t next; /* of the cadence, guest ticks */
	uint64_t carry;
	uint64_t tsc_deadline;
	uint64_t tsc_offset;
	uint32_t initial;
	uint32_t divide;
	uint8_t counting;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct lapic_timer_saved) == 48, "no padding");

struct lapic_saved {
	uint64_t base;
	struct lapic_timer_saved timer;
	uint32_t irr[VECSET_WORDS];
	uint32_t isr[VECSET_WORDS];
	uint32_t tmr[VECSET_WORDS];
	uint32_t auto_eoi[VECSET_WORDS];
	uint32_t tpr, ldr, dfr, svr;
	uint32_t icr_low, icr_high;
	uint32_t esr, errors;
	uint32_t lvt[LVT_COUNT];
	uint8_t eoi_offered;
	uint8_t watched;
	uint8_t zero[6];
};
_Static_assert(sizeof(struct lapic_saved) == 248, "no padding");

/* --- the bus --- */

struct apic_bus {
	struct vdev dev; /* the MMIO page; access->vcpu selects the LAPIC */
	/* Set before the first vCPU runs. */
	const struct apic_bus_ops *ops;
	void *ops_ctx;
	void (*eoi)(void *ctx, uint8_t vector);
	void *eoi_ctx;
	bool x2apic; /* IA32_APIC_BASE.EXTD may be set */
	unsigned count;
	struct lapic *lapics[APIC_BUS_LAPICS_MAX];
	_Atomic bool intr;	      /* level of the 8259's INTR, wired to every LINT0 */
	_Atomic uint32_t next_lowest; /* where the next search among equals begins */
	struct saved_device saved;
};

#define APIC_BUS_SAVED_VERSION 1u
struct apic_bus_saved {
	uint32_t next_lowest;
	uint8_t intr;
	uint8_t zero[3];
};
_Static_assert(sizeof(struct apic_bus_saved) == 8, "no padding");

/* `x2apic`: whether the guests' CPUID offers x2APIC. `ops` and all its members are given. */
void apic_bus_init(struct apic_bus *bus, const struct apic_bus_ops *ops, void *ctx, bool x2apic);
/* Who hears about the EOI of a level-triggered vector; called without any LAPIC's lock. */
void apic_bus_set_eoi(struct apic_bus *bus, void (*eoi)(void *ctx, uint8_t vector), void *ctx);
/*
 * Hands a message to every LAPIC it addresses, or to one of them for lowest priority. True when at
 * least one took it; a level-triggered interrupt that nobody took is to be tried again later.
 */
bool apic_bus_deliver(struct apic_bus *bus, const struct apic_message *msg);
/*
 * Hands a fixed message or an NMI to the LAPICs whose APIC IDs are in a map of 128: bit 0 of ids[0]
 * stands for APIC ID `first`. `msg->dest` is ignored. Returns how many took it.
 */
unsigned apic_bus_send_ids(struct apic_bus *bus, uint32_t first, const uint64_t ids[2],
			   const struct apic_message *msg);
/*
 * A write to the MSI address range (0xfeexxxxx), as a device makes it. False when the address is
 * none, or nobody took it.
 */
bool apic_bus_msi(struct apic_bus *bus, uint64_t address, uint32_t data);
/* Whether a LAPIC that `msg` addresses has its vector in IRR, not yet accepted by the vCPU. */
bool apic_bus_requested(struct apic_bus *bus, const struct apic_message *msg);
/* An irq_line.set: the 8259's INTR output; `ctx` is the bus, `line` is ignored. */
void apic_bus_intr(void *ctx, unsigned line, bool level);

/* --- one LAPIC --- */

/*
 * Joins the bus as vCPU `index` (below 64, not taken) with an APIC ID that no other has, and
 * resets.
 */
void lapic_init(struct lapic *l, struct apic_bus *bus, struct vtime *time, unsigned index,
		uint32_t apic_id, bool bsp);
/* Power-on or RESET: xAPIC mode at 0xfee00000, all registers initial, timer stopped. */
void lapic_reset(struct lapic *l);
/* INIT: as RESET, but IA32_APIC_BASE (so the mode, and being switched off) stays. */
void lapic_init_reset(struct lapic *l);
/*
 * What firmware leaves behind for a BSP that is booted without any: enabled, the 8259 through
 * LINT0 as ExtINT ("virtual wire"), NMI on LINT1.
 */
void lapic_virtual_wire(struct lapic *l);
/* IA32_APIC_BASE.EN, which CPUID.1:EDX.APIC mirrors. */
bool lapic_enabled(const struct lapic *l);

/* For the run loop; all "owner". */

/* The highest vector that may interrupt the vCPU now by TPR and ISR, or -1. One load. */
static inline int lapic_pending(const struct lapic *l)
{
	return atomic_load_explicit(&l->deliverable, memory_order_acquire);
}

/*
 * As lapic_pending without regard to TPR: the highest requested vector above what is in service.
 * For hardware that holds the TPR and opens a window by it.
 */
static inline int lapic_highest_irr(const struct lapic *l)
{
	return atomic_load_explicit(&l->requested, memory_order_acquire);
}

/* Moves a vector from IRR to ISR. False, and nothing happens, when it is no longer requested. */
bool lapic_accept(struct lapic *l, uint8_t vector);
/* Whether the 8259's INTR reaches this vCPU: LINT0 as ExtINT, or a BSP's LAPIC switched off. */
bool lapic_accepts_extint(const struct lapic *l);
/* As above, and INTR is raised now: take the vector from pic_ack. */
static inline bool lapic_extint_pending(const struct lapic *l)
{
	return atomic_load_explicit(&l->bus->intr, memory_order_acquire) && lapic_accepts_extint(l);
}

/* CR8: TPR bits 7:4. Writing back an unchanged value costs a compare and keeps TPR bits 3:0. */
uint64_t lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint64_t cr8);
/* EOI without the register access. */
void lapic_eoi(struct lapic *l);
/*
 * A paravirtual EOI. Whether the vCPU may end the highest vector in service without a word: it is
 * edge-triggered and no other is requested. If so, every new request kicks the vCPU until
 * lapic_settle_eoi, which comes before anything else is done to this LAPIC by its vCPU.
 */
bool lapic_offer_eoi(struct lapic *l);
/* The offer is over; `ended`: the vCPU has made use of it. */
void lapic_settle_eoi(struct lapic *l, bool ended);

/*
 * The vectors whose service is over as soon as they are accepted: the SynIC's automatic EOI. Where
 * the CPU virtualizes interrupts it is over at the next hand-over.
 */
void lapic_set_auto_eoi(struct lapic *l, const struct vecset *vectors);
/* Whether such a vector still needs one: it waits, or the CPU has it in service. From anywhere. */
bool lapic_page_auto_eoi_waits(struct lapic *l);
/* While it is watched each new request kicks the vCPU, whatever is in service and in the TPR. */
void lapic_watch(struct lapic *l, bool watched);
/* Whether any vector is requested and not in service yet. */
bool lapic_any_requested(struct lapic *l);

/* Requests a fixed, edge-triggered vector; from any CPU. */
void lapic_interrupt(struct lapic *l, uint8_t vector);
/* One edge on LINT1, normally wired as NMI; from any CPU. */
void lapic_pulse_lint1(struct lapic *l);

/* --- where the CPU virtualizes interrupts; all "owner" --- */

/*
 * From now on TPR, IRR and ISR are in `page` (APIC_PAGE_SIZE bytes), and lapic_pending and
 * lapic_highest_irr have nothing any more: the CPU delivers. The kick asks for a hand-over.
 */
void lapic_use_page(struct lapic *l, uint32_t *page);
/*
 * From now on edges are posted, and taken from there by the CPU, or by the owner. As long as
 * `post` has an outstanding post the owner must not let the vCPU sleep, nor enter it: it asks
 * lapic_page_pending or for a hand-over, which look there.
 */
void lapic_use_post(struct lapic *l, struct apic_post *post);
/* Puts what was requested into the page, and tells what the CPU has to know. */
void lapic_page_hand_over(struct lapic *l, struct apic_entry *out);
/* The highest vector that would be delivered with RFLAGS.IF set, or -1. */
int lapic_page_pending(struct lapic *l);
/* The guest wrote the register that lies at `offset` of the page, which holds the new value. */
void lapic_page_written(struct lapic *l, uint32_t offset);
/* The CPU ended the service of a vector of apic_entry.eoi_exits. */
void lapic_page_eoi(struct lapic *l, uint8_t vector);

/* Guest TSC - guest ticks, modulo 2^64 (follows TSC and TSC_ADJUST writes). Owner. */
void lapic_set_tsc_offset(struct lapic *l, uint64_t offset);

enum lapic_msr_status {
	LAPIC_MSR_OK,
	LAPIC_MSR_GP,
	/* IA32_APIC_BASE would move the MMIO page. Nothing was changed: stop the VM, say why. */
	LAPIC_MSR_MOVED,
};

#define LAPIC_MSR_APIC_BASE 0x1bu
#define LAPIC_MSR_TSC_DEADLINE 0x6e0u
#define LAPIC_MSR_X2APIC_FIRST 0x800u
#define LAPIC_MSR_X2APIC_LAST 0x8ffu

/* The MSRs above; any other is LAPIC_MSR_GP. Owner. *value is 0 unless OK. */
enum lapic_msr_status lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value);
enum lapic_msr_status lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value);
