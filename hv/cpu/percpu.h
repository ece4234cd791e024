/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each physical CPU owns: its descriptors, its stacks and its struct cpu_local, which GS
 * points at for as long as the hypervisor runs. One area holds all of it:
 *
 *	+0x0000  stack for double faults      8 KiB
 *	+0x2000  stack for NMIs               8 KiB
 *	+0x4000  stack for machine checks     8 KiB
 *	+0x6000  the CPU's stack             36 KiB
 *	+0xf000  struct cpu_local             4 KiB
 *
 * Stacks grow down, so an overflow of the CPU's stack runs into stacks that are empty, not into
 * data. The boot CPU has its area in the image and goes on with the stack it was entered on.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/cpu/desc.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/mce.h"
#include "hv/cpu/tsc_sync.h"

#define CPU_MAX 256u

#define CPU_IST_STACK_SIZE KIB(8)
#define CPU_STACK_SIZE KIB(36)
#define CPU_AREA_SIZE KIB(64)
#define CPU_AREA_ORDER 4u /* in pages, for pool_pages */

enum cpu_state {
	CPU_OFFLINE = 0, /* has an area, was never started */
	CPU_STARTING,	 /* INIT and SIPI are on their way */
	CPU_ONLINE,	 /* runs hypervisor code */
	CPU_PARKED,	 /* halts for ever with interrupts off */
	CPU_FAILED,	 /* did not answer, or somebody else answered: never touched again */
};

struct cpu_local {
	struct cpu_local *self; /* at GS:0 */
	uint32_t index;		/* 0 is the boot CPU; dense */
	uint32_t apic_id;
	_Atomic uint32_t state; /* enum cpu_state */
	uint32_t fault_depth;	/* unforeseen exceptions being reported right now */
	uint64_t stack_low;	/* the stack C code runs on: [low, high) */
	uint64_t stack_high;
	/* What this CPU is doing and since when, told to the one that watches it (hv/watchdog.h).
	 */
	_Atomic uint64_t phase;
	/* What the last NMI interrupted, written before it is counted. */
	_Atomic uint64_t nmi_rip;
	_Atomic uint64_t nmi_count;
	uint64_t irq_count;
	uint64_t stray_irq_count; /* external vectors nobody had claimed */
	/* To be added to this CPU's TSC to get the boot CPU's; set before the CPU does anything. */
	int64_t tsc_offset;
	struct tsc_channel tsc_channel;
	void *run; /* the run loop's own state of this CPU; NULL before it starts */
	struct mce_slot mce;
	struct gdt gdt;
	struct tss tss;
};
static_assert(offsetof(struct cpu_local, self) == 0, "cpu_this reads GS:0");
static_assert(sizeof(struct cpu_local) <= 4096, "last page of the area");

/* This CPU's; valid after percpu_activate. */
static inline struct cpu_local *cpu_this(void)
{
	return (struct cpu_local *)(uintptr_t)cpu_read_gs0();
}

/*
 * The boot CPU's area, index 0, state online; `stack_low` and `stack_high` bound the stack it was
 * entered on. Called first, once.
 */
struct cpu_local *percpu_init_boot(uint64_t stack_low, uint64_t stack_high, uint32_t apic_id);
/*
 * Makes `area` (CPU_AREA_SIZE bytes, page-aligned, zeroed, kept for ever) the next CPU's. NULL when
 * there are CPU_MAX already.
 */
struct cpu_local *percpu_add(void *area, uint32_t apic_id);

/* CPUs with an area, started or not. */
unsigned percpu_count(void);
/* `index` < percpu_count(). */
struct cpu_local *percpu_get(unsigned index);
/* NULL when no CPU has this ID. */
struct cpu_local *percpu_by_apic_id(uint32_t apic_id);

/* Loads GDT, TSS, segments and GS of `cpu` on the CPU that executes this. */
void percpu_activate(struct cpu_local *cpu);

/* Says "parked" to the others and halts for ever; NMIs are taken and slept off. */
_Noreturn void cpu_park(struct cpu_local *cpu);

static inline enum cpu_state cpu_get_state(const struct cpu_local *cpu)
{
	return (enum cpu_state)atomic_load_explicit(&cpu->state, memory_order_acquire);
}

static inline void cpu_set_state(struct cpu_local *cpu, enum cpu_state state)
{
	atomic_store_explicit(&cpu->state, (uint32_t)state, memory_order_release);
}
