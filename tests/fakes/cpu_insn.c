/* SPDX-License-Identifier: Apache-2.0 */
/* hv/cpu/insn.h over plain data: what host programs link instead of hv/cpu/cpu_insn.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/cpu/msr.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define CPUID_MAX 128
#define MSR_MAX 1024
#define HOOK_MAX 32

/* What each CPU has for itself. */
struct bank {
	bool used;
	uint64_t cr0, cr2, cr3, cr4, xcr0, gs;
	uint64_t dr[4];
	struct desc_ptr gdt, idt;
	uint16_t tr, cs, ds;
};

struct cpuid_entry {
	uint32_t leaf;
	uint32_t subleaf;
	struct cpuid_regs regs;
};

struct msr_entry {
	uint32_t index;
	uint64_t value;
};

struct fake_cpu fake_cpu = {.rdrand_works = true, .rdseed_works = true};

static struct cpuid_entry cpuid_table[CPUID_MAX];
static size_t cpuid_count;
static struct msr_entry msr_table[MSR_MAX];
static size_t msr_count;
static const struct fake_port_hook *hooks[HOOK_MAX];
static size_t hook_count;
static struct fake_port_write port_log[FAKE_PORT_LOG_MAX];
static size_t port_log_count;
static struct bank banks[FAKE_CPUS_MAX];
static unsigned current;
/* Stands where GS points until a test sets MSR_GS_BASE: a per-CPU area of CPU 0, all zero. */
static _Alignas(64) uint64_t default_gs[512];

/* MSRs each 64-bit CPU has; the rest a test sets up by name. */
static const struct msr_entry msr_defaults[] = {
	{MSR_IA32_APIC_BASE, 0xfee00900},
	{MSR_IA32_PAT, 0x0007040600070406ull},
	{MSR_IA32_MCG_CAP, 0},
	{MSR_IA32_MCG_STATUS, 0},
	{MSR_EFER, 0x501},
	{MSR_STAR, 0},
	{MSR_LSTAR, 0},
	{MSR_CSTAR, 0},
	{MSR_SFMASK, 0},
	{MSR_FS_BASE, 0},
	{MSR_GS_BASE, 0},
	{MSR_KERNEL_GS_BASE, 0},
	{MSR_IA32_SYSENTER_CS, 0},
	{MSR_IA32_SYSENTER_ESP, 0},
	{MSR_IA32_SYSENTER_EIP, 0},
};

static _Noreturn void fault(const char *what, uint64_t detail)
{
	fprintf(stderr, "fake CPU: %s 0x%llx\n", what, (unsigned long long)detail);
	abort();
}

static struct msr_entry *msr_find(uint32_t index)
{
	for (size_t i = 0; i < msr_count; i++) {
		if (msr_table[i].index == index) {
			return &msr_table[i];
		}
	}
	return NULL;
}

__attribute__((constructor)) static void default_msrs(void)
{
	msr_count = sizeof(msr_defaults) / sizeof(msr_defaults[0]);
	memcpy(msr_table, msr_defaults, sizeof(msr_defaults));
}

void fake_cpu_reset(void)
{
	fake_cpu = (struct fake_cpu){.rdrand_works = true, .rdseed_works = true};
	cpuid_count = 0;
	hook_count = 0;
	port_log_count = 0;
	memset(banks, 0, sizeof(banks));
	current = 0;
	memset(default_gs, 0, sizeof(default_gs));
	default_msrs();
}

unsigned fake_cpu_index(void)
{
	return current;
}

static void save_bank(struct bank *b)
{
	*b = (struct bank){.used = true,
			   .cr0 = fake_cpu.cr0,
			   .cr2 = fake_cpu.cr2,
			   .cr3 = fake_cpu.cr3,
			   .cr4 = fake_cpu.cr4,
			   .xcr0 = fake_cpu.xcr0,
			   .gs = fake_msr_get(MSR_GS_BASE),
			   .gdt = fake_cpu.gdt,
			   .idt = fake_cpu.idt,
			   .tr = fake_cpu.tr,
			   .cs = fake_cpu.cs,
			   .ds = fake_cpu.ds};
	memcpy(b->dr, fake_cpu.dr, sizeof(b->dr));
}

static void load_bank(const struct bank *b)
{
	fake_cpu.cr0 = b->cr0;
	fake_cpu.cr2 = b->cr2;
	fake_cpu.cr3 = b->cr3;
	fake_cpu.cr4 = b->cr4;
	fake_cpu.xcr0 = b->xcr0;
	fake_msr_set(MSR_GS_BASE, b->gs);
	fake_cpu.gdt = b->gdt;
	fake_cpu.idt = b->idt;
	fake_cpu.tr = b->tr;
	fake_cpu.cs = b->cs;
	fake_cpu.ds = b->ds;
	memcpy(fake_cpu.dr, b->dr, sizeof(fake_cpu.dr));
}

void fake_cpu_switch(unsigned cpu)
{
	if (cpu >= FAKE_CPUS_MAX) {
		fault("no such CPU:", cpu);
	}
	save_bank(&banks[current]);
	if (banks[cpu].used) {
		load_bank(&banks[cpu]);
	}
	current = cpu;
}

void fake_cpuid_set(uint32_t leaf, uint32_t subleaf, struct cpuid_regs regs)
{
	for (size_t i = 0; i < cpuid_count; i++) {
		if (cpuid_table[i].leaf == leaf && cpuid_table[i].subleaf == subleaf) {
			cpuid_table[i].regs = regs;
			return;
		}
	}
	if (cpuid_count == CPUID_MAX) {
		fault("CPUID table full at leaf", leaf);
	}
	cpuid_table[cpuid_count++] = (struct cpuid_entry){leaf, subleaf, regs};
}

void fake_msr_set(uint32_t index, uint64_t value)
{
	struct msr_entry *m = msr_find(index);

	if (m == NULL) {
		if (msr_count == MSR_MAX) {
			fault("MSR store full at", index);
		}
		m = &msr_table[msr_count++];
	}
	*m = (struct msr_entry){index, value};
}

bool fake_msr_exists(uint32_t index)
{
	return msr_find(index) != NULL;
}

uint64_t fake_msr_get(uint32_t index)
{
	const struct msr_entry *m = msr_find(index);

	if (m == NULL) {
		fault("no such MSR", index);
	}
	return m->value;
}

void fake_msr_remove(uint32_t index)
{
	struct msr_entry *m = msr_find(index);

	if (m != NULL) {
		*m = msr_table[--msr_count];
	}
}

void fake_port_hook(const struct fake_port_hook *hook)
{
	if (hook_count == HOOK_MAX) {
		fault("too many port hooks at", hook->first);
	}
	hooks[hook_count++] = hook;
}

const struct fake_port_write *fake_port_log(size_t *count)
{
	*count = port_log_count;
	return port_log;
}

static const struct fake_port_hook *hook_for(uint16_t port)
{
	for (size_t i = hook_count; i-- > 0;) {
		if (port >= hooks[i]->first && port <= hooks[i]->last) {
			return hooks[i];
		}
	}
	return NULL;
}

static uint32_t port_in(uint16_t port, unsigned size)
{
	const struct fake_port_hook *h = hook_for(port);

	return h != NULL && h->in != NULL ? h->in(h->ctx, port, size) : UINT32_MAX;
}

static void port_out(uint16_t port, unsigned size, uint32_t value)
{
	const struct fake_port_hook *h = hook_for(port);

	if (port_log_count < FAKE_PORT_LOG_MAX) {
		port_log[port_log_count++] = (struct fake_port_write){port, (uint8_t)size, value};
	}
	if (h != NULL && h->out != NULL) {
		h->out(h->ctx, port, size, value);
	}
}

uint64_t cpu_fixup(uint64_t rip)
{
	return rip == fake_cpu.fixup_rip ? fake_cpu.fixup_resume : 0;
}

struct cpuid_regs cpu_cpuid(uint32_t leaf, uint32_t subleaf)
{
	for (size_t i = 0; i < cpuid_count; i++) {
		if (cpuid_table[i].leaf == leaf && cpuid_table[i].subleaf == subleaf) {
			return cpuid_table[i].regs;
		}
	}
	return (struct cpuid_regs){0};
}

bool cpu_rdmsr_safe(uint32_t index, uint64_t *value)
{
	const struct msr_entry *m;

	if (fake_cpu.on_rdmsr != NULL) {
		bool handled = false;
		bool ok = fake_cpu.on_rdmsr(index, value, &handled);

		if (handled) {
			return ok;
		}
	}
	m = msr_find(index);
	if (m == NULL) {
		return false;
	}
	*value = m->value;
	return true;
}

bool cpu_wrmsr_safe(uint32_t index, uint64_t value)
{
	struct msr_entry *m;

	if (fake_cpu.on_wrmsr != NULL) {
		bool handled = false;
		bool ok = fake_cpu.on_wrmsr(index, value, &handled);

		if (handled) {
			fake_cpu.wrmsr_count += ok;
			return ok;
		}
	}
	m = msr_find(index);
	if (m == NULL) {
		return false;
	}
	m->value = value;
	fake_cpu.wrmsr_count++;
	return true;
}

uint64_t cpu_rdmsr(uint32_t index)
{
	uint64_t value;

	if (!cpu_rdmsr_safe(index, &value)) {
		fault("#GP: RDMSR", index);
	}
	return value;
}

void cpu_wrmsr(uint32_t index, uint64_t value)
{
	if (!cpu_wrmsr_safe(index, value)) {
		fault("#GP: WRMSR", index);
	}
}

uint64_t cpu_rdtsc(void)
{
	uint64_t now = fake_cpu.tsc;

	if (fake_cpu.on_rdtsc != NULL) {
		return fake_cpu.on_rdtsc();
	}
	fake_cpu.tsc += fake_cpu.tsc_step;
	return now;
}

uint64_t cpu_rdtsc_ordered(void)
{
	return cpu_rdtsc();
}

bool cpu_rdrand(uint64_t *out)
{
	if (fake_cpu.rdrand_works) {
		*out = ++fake_cpu.rdrand_next;
	}
	return fake_cpu.rdrand_works;
}

bool cpu_rdseed(uint64_t *out)
{
	if (fake_cpu.rdseed_works) {
		*out = ++fake_cpu.rdseed_next;
	}
	return fake_cpu.rdseed_works;
}

uint64_t cpu_read_cr0(void)
{
	return fake_cpu.cr0;
}

uint64_t cpu_read_cr2(void)
{
	return fake_cpu.cr2;
}

uint64_t cpu_read_cr3(void)
{
	return fake_cpu.cr3;
}

uint64_t cpu_read_cr4(void)
{
	return fake_cpu.cr4;
}

void cpu_write_cr0(uint64_t value)
{
	fake_cpu.cr0 = value;
}

void cpu_write_cr2(uint64_t value)
{
	fake_cpu.cr2 = value;
}

void cpu_write_cr3(uint64_t value)
{
	fake_cpu.cr3 = value;
	fake_cpu.cr3_writes++;
}

void cpu_write_cr4(uint64_t value)
{
	fake_cpu.cr4 = value;
	fake_cpu.cr4_writes++;
}

void cpu_read_dr03(uint64_t dr[4])
{
	memcpy(dr, fake_cpu.dr, sizeof(fake_cpu.dr));
}

void cpu_write_dr03(const uint64_t dr[4])
{
	memcpy(fake_cpu.dr, dr, sizeof(fake_cpu.dr));
}

uint64_t cpu_xgetbv(uint32_t index)
{
	if (index != 0) {
		fault("#GP: XGETBV", index);
	}
	return fake_cpu.xcr0;
}

void cpu_xsetbv(uint32_t index, uint64_t value)
{
	if (index != 0 || (value & 1) == 0) {
		fault("#GP: XSETBV", index);
	}
	fake_cpu.xcr0 = value;
}

static void need_aligned(const void *area, uint64_t align)
{
	if (((uint64_t)(uintptr_t)area & (align - 1)) != 0) {
		fault("#GP: FPU area", (uint64_t)(uintptr_t)area);
	}
}

void cpu_xsave(void *area, uint64_t mask)
{
	need_aligned(area, 64);
	fake_cpu.xsave_count++;
	fake_cpu.xsave_mask = mask;
}

/* The AVX component only, of what was loaded last. */
void cpu_xsavec(void *area, uint64_t mask)
{
	need_aligned(area, 64);
	if ((mask & 4) != 0) {
		memcpy((uint8_t *)area + 576 - fake_cpu.xsavec_error, fake_cpu.ymm_high,
		       sizeof(fake_cpu.ymm_high));
	}
}

void cpu_xrstor(const void *area, uint64_t mask)
{
	need_aligned(area, 64);
	if ((mask & 4) != 0) {
		uint64_t in_use;

		memcpy(&in_use, (const uint8_t *)area + 512, sizeof(in_use));
		memset(fake_cpu.ymm_high, 0, sizeof(fake_cpu.ymm_high));
		if ((in_use & 4) != 0) {
			memcpy(fake_cpu.ymm_high, (const uint8_t *)area + 576,
			       sizeof(fake_cpu.ymm_high));
		}
	}
	fake_cpu.xrstor_count++;
	fake_cpu.xrstor_mask = mask;
}

void cpu_fxsave(void *area)
{
	need_aligned(area, 16);
	fake_cpu.fxsave_count++;
	memcpy(area, fake_cpu.fx, sizeof(fake_cpu.fx));
}

void cpu_fxrstor(const void *area)
{
	need_aligned(area, 16);
	fake_cpu.fxrstor_count++;
	memcpy(fake_cpu.fx, area, sizeof(fake_cpu.fx));
}

uint8_t cpu_in8(uint16_t port)
{
	return (uint8_t)port_in(port, 1);
}

uint16_t cpu_in16(uint16_t port)
{
	return (uint16_t)port_in(port, 2);
}

uint32_t cpu_in32(uint16_t port)
{
	return port_in(port, 4);
}

void cpu_out8(uint16_t port, uint8_t value)
{
	port_out(port, 1, value);
}

void cpu_out16(uint16_t port, uint16_t value)
{
	port_out(port, 2, value);
}

void cpu_out32(uint16_t port, uint32_t value)
{
	port_out(port, 4, value);
}

uint8_t cpu_mmio_read8(hva_t addr)
{
	if (fake_cpu.on_mmio_in != NULL) {
		return (uint8_t)fake_cpu.on_mmio_in(addr, 1);
	}
	return *(const volatile uint8_t *)hva_ptr(addr);
}

uint16_t cpu_mmio_read16(hva_t addr)
{
	if (fake_cpu.on_mmio_in != NULL) {
		return (uint16_t)fake_cpu.on_mmio_in(addr, 2);
	}
	return *(const volatile uint16_t *)hva_ptr(addr);
}

uint32_t cpu_mmio_read32(hva_t addr)
{
	if (fake_cpu.on_mmio_in != NULL) {
		return fake_cpu.on_mmio_in(addr, 4);
	}
	if (fake_cpu.on_mmio_read != NULL) {
		return fake_cpu.on_mmio_read(addr);
	}
	return *(const volatile uint32_t *)hva_ptr(addr);
}

void cpu_mmio_write8(hva_t addr, uint8_t value)
{
	if (fake_cpu.on_mmio_out != NULL) {
		fake_cpu.on_mmio_out(addr, 1, value);
	} else {
		*(volatile uint8_t *)hva_ptr(addr) = value;
	}
}

void cpu_mmio_write16(hva_t addr, uint16_t value)
{
	if (fake_cpu.on_mmio_out != NULL) {
		fake_cpu.on_mmio_out(addr, 2, value);
	} else {
		*(volatile uint16_t *)hva_ptr(addr) = value;
	}
}

void cpu_mmio_write32(hva_t addr, uint32_t value)
{
	if (fake_cpu.on_mmio_out != NULL) {
		fake_cpu.on_mmio_out(addr, 4, value);
	} else if (fake_cpu.on_mmio_write != NULL) {
		fake_cpu.on_mmio_write(addr, value);
	} else {
		*(volatile uint32_t *)hva_ptr(addr) = value;
	}
}

void cpu_movsb(void *to, const void *from, uint64_t count)
{
	memcpy(to, from, count);
	fake_cpu.tsc += count * fake_cpu.movsb_ticks;
}

void cpu_movsq(void *to, const void *from, uint64_t count)
{
	memcpy(to, from, count * 8);
	fake_cpu.tsc += count * fake_cpu.movsq_ticks;
}

void cpu_invlpg(hva_t addr)
{
	fake_cpu.invlpg_count++;
	fake_cpu.invlpg_last = addr;
}

void cpu_mfence(void)
{
	fake_cpu.mfence_count++;
}

void cpu_interrupt_window(void)
{
	fake_cpu.window_count++;
	if (fake_cpu.on_window != NULL) {
		fake_cpu.on_window();
	}
}

void cpu_idle(void)
{
	fake_cpu.idle_count++;
	if (fake_cpu.on_idle != NULL) {
		fake_cpu.on_idle();
	}
}

void cpu_relax(void)
{
	if (fake_cpu.on_relax == NULL) {
		fault("waits for ever: CPU", current);
	}
	fake_cpu.on_relax();
}

_Noreturn void cpu_stop(void)
{
	fake_exit_take(FAKE_EXIT_STOP, "cpu_stop");
}

_Noreturn void cpu_triple_fault(void)
{
	fake_exit_take(FAKE_EXIT_TRIPLE_FAULT, "cpu_triple_fault");
}

void cpu_lgdt(const struct desc_ptr *desc)
{
	fake_cpu.gdt = *desc;
}

void cpu_lidt(const struct desc_ptr *desc)
{
	fake_cpu.idt = *desc;
}

void cpu_sgdt(struct desc_ptr *desc)
{
	*desc = fake_cpu.gdt;
}

void cpu_ltr(uint16_t selector)
{
	fake_cpu.tr = selector;
}

void cpu_load_segments(uint16_t code, uint16_t data)
{
	fake_cpu.cs = code;
	fake_cpu.ds = data;
}

uint64_t cpu_read_gs0(void)
{
	uint64_t base = fake_msr_get(MSR_GS_BASE);

	if (base == 0) {
		default_gs[0] = (uint64_t)(uintptr_t)default_gs;
		base = default_gs[0];
	}
	return *(const uint64_t *)hva_ptr(hva(base));
}

uint64_t cpu_call_ms(uint64_t fn, const uint64_t args[4])
{
	fake_cpu.call_ms_count++;
	fake_cpu.call_ms_fn = fn;
	memcpy(fake_cpu.call_ms_args, args, sizeof(fake_cpu.call_ms_args));
	return fake_cpu.on_call_ms != NULL ? fake_cpu.on_call_ms(fn, args) : 0;
}
