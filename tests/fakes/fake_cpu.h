/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake CPU behind hv/cpu/insn.h in host programs. Everything is one struct a test may read and
 * write; fake_cpu_reset puts it back to a CPU with an empty CPUID table, no MSRs but the listed
 * ones, and ports that read all-ones.
 *
 * An access that would fault for good on hardware (an unknown MSR without the _safe call) prints
 * what happened and aborts, so the test fails at the cause.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/insn.h"

/* Called for each port access; `size` is 1, 2 or 4. */
struct fake_port_hook {
	uint16_t first;
	uint16_t last;
	uint32_t (*in)(void *ctx, uint16_t port, unsigned size);	      /* NULL: all-ones */
	void (*out)(void *ctx, uint16_t port, unsigned size, uint32_t value); /* NULL: ignored */
	void *ctx;
};

struct fake_cpu {
	uint64_t tsc;
	uint64_t tsc_step;		   /* added after each cpu_rdtsc */
	uint64_t movsb_ticks, movsq_ticks; /* added for each byte or quadword */
	uint64_t cr0, cr2, cr3, cr4;
	uint64_t xcr0;
	uint64_t dr[4];
	struct desc_ptr gdt, idt;
	uint16_t tr, cs, ds;
	bool rdrand_works;
	uint64_t rdrand_next; /* counts up */
	bool rdseed_works;
	uint64_t rdseed_next;

	/* What was executed. */
	unsigned invlpg_count;
	hva_t invlpg_last;
	unsigned cr3_writes;
	unsigned cr4_writes;
	unsigned mfence_count;
	unsigned window_count;
	unsigned idle_count;
	unsigned wrmsr_count; /* both kinds, successful ones */
	uint8_t fx[512];      /* as FXSAVE stores it */
	unsigned xsave_count, xrstor_count, fxsave_count, fxrstor_count;
	uint64_t xsave_mask, xrstor_mask; /* of the last one */
	uint8_t ymm_high[256];
	unsigned xsavec_error; /* bytes by which XSAVEC misses the AVX component's place */
	unsigned call_ms_count;
	uint64_t call_ms_fn; /* of the last one */
	uint64_t call_ms_args[4];

	/* Optional hooks; NULL means the plain behaviour described. */
	void (*on_window)(void);    /* in cpu_interrupt_window */
	void (*on_idle)(void);	    /* in cpu_idle */
	uint64_t (*on_rdtsc)(void); /* in place of tsc and tsc_step */
	/* In cpu_relax: whoever is waited for gets on here. NULL: nobody will, which is an error.
	 */
	void (*on_relax)(void);
	/* Both return false to say "#GP". When set they see each access before the store does. */
	bool (*on_rdmsr)(uint32_t index, uint64_t *value, bool *handled);
	bool (*on_wrmsr)(uint32_t index, uint64_t value, bool *handled);
	/* Device memory, in the order in which they are asked; without hooks the address is
	 * accessed as ordinary memory. The second pair sees accesses of 32 bits only. */
	uint32_t (*on_mmio_in)(hva_t addr, unsigned size);
	void (*on_mmio_out)(hva_t addr, unsigned size, uint32_t value);
	uint32_t (*on_mmio_read)(hva_t addr);
	void (*on_mmio_write)(hva_t addr, uint32_t value);
	uint64_t (*on_call_ms)(uint64_t fn, const uint64_t args[4]);
	/* Where cpu_fixup leads; 0 without an entry. */
	uint64_t fixup_rip, fixup_resume;
};

extern struct fake_cpu fake_cpu;
/* Short for fake_cpu.tsc. */
#define fake_tsc (fake_cpu.tsc)

void fake_cpu_reset(void);

/*
 * More CPUs. Each has its own control and debug registers, XCR0, descriptors and GS; TSC, CPUID,
 * MSRs and counters are common to all. One executes at a time: CPU 0 after a reset.
 */
#define FAKE_CPUS_MAX 8u
unsigned fake_cpu_index(void);
/* From here on CPU `cpu` executes; one that never did has the registers of this one. */
void fake_cpu_switch(unsigned cpu);

/* Adds or replaces one CPUID subleaf. Unset ones read zero. */
void fake_cpuid_set(uint32_t leaf, uint32_t subleaf, struct cpuid_regs regs);

/* Makes the MSR exist with this value. */
void fake_msr_set(uint32_t index, uint64_t value);
/* Its value; aborts when it does not exist. */
uint64_t fake_msr_get(uint32_t index);
bool fake_msr_exists(uint32_t index);
void fake_msr_remove(uint32_t index);

/* The newest hook that covers a port wins. `hook` must stay alive. */
void fake_port_hook(const struct fake_port_hook *hook);

/* Each port write since the reset, at most this many. */
#define FAKE_PORT_LOG_MAX 4096
struct fake_port_write {
	uint16_t port;
	uint8_t size;
	uint32_t value;
};
const struct fake_port_write *fake_port_log(size_t *count);
