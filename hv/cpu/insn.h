/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privileged and special instructions as functions. cpu_insn.c holds the inline assembly; host
 * programs link tests/fakes/cpu_insn.c in its place.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/cpu/hot_insn.h"

struct cpuid_regs {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

/* Operand of LGDT, LIDT, SGDT, SIDT. */
struct __attribute__((packed)) desc_ptr {
	uint16_t limit;
	uint64_t base;
};

struct cpuid_regs cpu_cpuid(uint32_t leaf, uint32_t subleaf);

uint64_t cpu_rdmsr(uint32_t index);
void cpu_wrmsr(uint32_t index, uint64_t value);
/* As above for MSRs that may not exist: false when the access raised #GP. */
bool cpu_rdmsr_safe(uint32_t index, uint64_t *value);
bool cpu_wrmsr_safe(uint32_t index, uint64_t value);

/* The TSC, as cpu_rdtsc reads it, after all memory accesses that come before it and before all that
 * come behind. */
uint64_t cpu_rdtsc_ordered(void);
/* A random number from RDRAND; false when the CPU lacks it or it failed 10 times. */
bool cpu_rdrand(uint64_t *out);
/* The same of RDSEED, which hands out what RDRAND's generator is seeded with. */
bool cpu_rdseed(uint64_t *out);

uint64_t cpu_read_cr0(void);
uint64_t cpu_read_cr2(void);
uint64_t cpu_read_cr3(void);
uint64_t cpu_read_cr4(void);
void cpu_write_cr0(uint64_t value);
void cpu_write_cr2(uint64_t value);
void cpu_write_cr3(uint64_t value);
void cpu_write_cr4(uint64_t value);

/* Debug registers 0-3 as an array; DR6 and DR7 belong to the backends. */
void cpu_read_dr03(uint64_t dr[4]);
void cpu_write_dr03(const uint64_t dr[4]);

uint64_t cpu_xgetbv(uint32_t index);
void cpu_xsetbv(uint32_t index, uint64_t value);
/* `area` is 64-byte aligned and as large as CPUID leaf 0xD says for `mask`. */
void cpu_xsave(void *area, uint64_t mask);
void cpu_xsavec(void *area, uint64_t mask);
void cpu_xrstor(const void *area, uint64_t mask);
/* For CPUs without XSAVE: `area` is 512 bytes, 16-byte aligned. */
void cpu_fxsave(void *area);
void cpu_fxrstor(const void *area);

uint8_t cpu_in8(uint16_t port);
uint16_t cpu_in16(uint16_t port);
uint32_t cpu_in32(uint16_t port);
void cpu_out8(uint16_t port, uint8_t value);
void cpu_out16(uint16_t port, uint16_t value);
void cpu_out32(uint16_t port, uint32_t value);

/* Device registers behind an uncached mapping, in one access of just this width. */
uint8_t cpu_mmio_read8(hva_t addr);
uint16_t cpu_mmio_read16(hva_t addr);
uint32_t cpu_mmio_read32(hva_t addr);
void cpu_mmio_write8(hva_t addr, uint8_t value);
void cpu_mmio_write16(hva_t addr, uint16_t value);
void cpu_mmio_write32(hva_t addr, uint32_t value);

/* REP MOVSB and REP MOVSQ, of `count` bytes or quadwords that do not overlap. */
void cpu_movsb(void *to, const void *from, uint64_t count);
void cpu_movsq(void *to, const void *from, uint64_t count);

void cpu_invlpg(hva_t addr);
/* Orders all memory accesses, device registers included, before what follows. */
void cpu_mfence(void);
/* Lets pending interrupts in, then masks them again (sti; nop; cli). */
void cpu_interrupt_window(void);
/* Sleeps until an interrupt was handled (sti; hlt; cli), without losing one in between. */
void cpu_idle(void);
/* Between two looks at what another CPU is waited for. */
void cpu_relax(void);
/* cli; hlt for ever. */
_Noreturn void cpu_stop(void);
/* Raises an exception without any way to handle it: a PC resets. */
_Noreturn void cpu_triple_fault(void);
void cpu_lgdt(const struct desc_ptr *desc);
void cpu_lidt(const struct desc_ptr *desc);
void cpu_sgdt(struct desc_ptr *desc);
void cpu_ltr(uint16_t selector);
/* Reloads CS with `code` and DS, ES, SS with `data`; FS and GS become null. */
void cpu_load_segments(uint16_t code, uint16_t data);

/* Where to go on when the instruction at `rip` faulted; 0 when that was not foreseen. */
uint64_t cpu_fixup(uint64_t rip);
/* Calls `fn` by the Microsoft x64 convention: EFI runtime services. */
uint64_t cpu_call_ms(uint64_t fn, const uint64_t args[4]);
