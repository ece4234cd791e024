/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place of hv/cpu with inline assembly: each function is one instruction, or the shortest
 * sequence that must not be torn apart. Host programs link tests/fakes/cpu_insn.c instead.
 *
 * An instruction that is allowed to fault leaves a pair {its address, where to resume} in section
 * cpu_fixups; the exception handler asks cpu_fixup before it gives up. The linker marks start and
 * end of a section whose name is a C identifier by itself.
 */
#include "hv/cpu/insn.h"

#include <stddef.h>

#define FIXUP(faulting, resume) \
	"\t.pushsection cpu_fixups, \"a\"\n" \
	"\t.balign 8\n" \
	"\t.quad " faulting ", " resume "\n" \
	"\t.popsection\n"

#define RDRAND_ATTEMPTS 10
#define CPUID_1_ECX_RDRAND (1u << 30)
#define CPUID_7_EBX_RDSEED (1u << 18)

struct fixup {
	uint64_t faulting;
	uint64_t resume;
};

extern const struct fixup __start_cpu_fixups[];
extern const struct fixup __stop_cpu_fixups[];

uint64_t cpu_fixup(uint64_t rip)
{
	for (const struct fixup *f = __start_cpu_fixups; f < __stop_cpu_fixups; f++) {
		if (f->faulting == rip) {
			return f->resume;
		}
	}
	return 0;
}

struct cpuid_regs cpu_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = {.eax = leaf, .ecx = subleaf};

	__asm__ volatile("cpuid" : "+a"(r.eax), "=b"(r.ebx), "+c"(r.ecx), "=d"(r.edx));
	return r;
}

uint64_t cpu_rdmsr(uint32_t index)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
	return low | (uint64_t)high << 32;
}

void cpu_wrmsr(uint32_t index, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

bool cpu_rdmsr_safe(uint32_t index, uint64_t *value)
{
	uint32_t low = 0;
	uint32_t high = 0;
	uint32_t done = 0;

	__asm__ volatile("1:\trdmsr\n"
			 "\tmovl $1, %[done]\n"
			 "2:\n" FIXUP("1b", "2b")
			 : "+a"(low), "+d"(high), [done] "+&r"(done)
			 : "c"(index)
			 : "memory");
	if (done != 0) {
		*value = low | (uint64_t)high << 32;
	}
	return done != 0;
}

bool cpu_wrmsr_safe(uint32_t index, uint64_t value)
{
	uint32_t done = 0;

	__asm__ volatile("1:\twrmsr\n"
			 "\tmovl $1, %[done]\n"
			 "2:\n" FIXUP("1b", "2b")
			 : [done] "+&r"(done)
			 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
	return done != 0;
}

uint64_t cpu_rdtsc_ordered(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("mfence; lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

bool cpu_rdrand(uint64_t *out)
{
	if ((cpu_cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND) == 0) {
		return false;
	}
	for (int i = 0; i < RDRAND_ATTEMPTS; i++) {
		uint64_t value;
		uint8_t carry;

		__asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(value), "=qm"(carry) : : "cc");
		if (carry != 0) {
			*out = value;
			return true;
		}
	}
	return false;
}

bool cpu_rdseed(uint64_t *out)
{
	if (cpu_cpuid(0, 0).eax < 7 || (cpu_cpuid(7, 0).ebx & CPUID_7_EBX_RDSEED) == 0) {
		return false;
	}
	for (int i = 0; i < RDRAND_ATTEMPTS; i++) {
		uint64_t value;
		uint8_t carry;

		__asm__ volatile("rdseed %0\n\tsetc %1" : "=r"(value), "=qm"(carry) : : "cc");
		if (carry != 0) {
			*out = value;
			return true;
		}
		/* It is slower than a program that asks. */
		__asm__ volatile("pause");
	}
	return false;
}

uint64_t cpu_read_cr0(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value) : : "memory");
	return value;
}

uint64_t cpu_read_cr2(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value) : : "memory");
	return value;
}

uint64_t cpu_read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value) : : "memory");
	return value;
}

uint64_t cpu_read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value) : : "memory");
	return value;
}

void cpu_write_cr0(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

void cpu_write_cr2(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr2" : : "r"(value) : "memory");
}

void cpu_write_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

void cpu_write_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

void cpu_read_dr03(uint64_t dr[4])
{
	__asm__ volatile("mov %%db0, %0" : "=r"(dr[0]));
	__asm__ volatile("mov %%db1, %0" : "=r"(dr[1]));
	__asm__ volatile("mov %%db2, %0" : "=r"(dr[2]));
	__asm__ volatile("mov %%db3, %0" : "=r"(dr[3]));
}

void cpu_write_dr03(const uint64_t dr[4])
{
	__asm__ volatile("mov %0, %%db0" : : "r"(dr[0]));
	__asm__ volatile("mov %0, %%db1" : : "r"(dr[1]));
	__asm__ volatile("mov %0, %%db2" : : "r"(dr[2]));
	__asm__ volatile("mov %0, %%db3" : : "r"(dr[3]));
}

uint64_t cpu_xgetbv(uint32_t index)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
	return low | (uint64_t)high << 32;
}

void cpu_xsetbv(uint32_t index, uint64_t value)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

void cpu_xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

void cpu_xsavec(void *area, uint64_t mask)
{
	__asm__ volatile("xsavec64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

void cpu_xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
			 : "memory");
}

void cpu_fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

void cpu_fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

uint8_t cpu_in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

uint16_t cpu_in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

uint32_t cpu_in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

void cpu_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

void cpu_out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

void cpu_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

/*
 * Plain MOVs from and to the accumulator: where we run nested, the hypervisor below must decode the
 * access, and some AMD CPUs reach configuration space by this form alone.
 */
uint8_t cpu_mmio_read8(hva_t addr)
{
	uint8_t value;

	__asm__ volatile("movb (%1), %0" : "=a"(value) : "r"(addr.v) : "memory");
	return value;
}

uint16_t cpu_mmio_read16(hva_t addr)
{
	uint16_t value;

	__asm__ volatile("movw (%1), %0" : "=a"(value) : "r"(addr.v) : "memory");
	return value;
}

uint32_t cpu_mmio_read32(hva_t addr)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=a"(value) : "r"(addr.v) : "memory");
	return value;
}

void cpu_mmio_write8(hva_t addr, uint8_t value)
{
	__asm__ volatile("movb %0, (%1)" : : "a"(value), "r"(addr.v) : "memory");
}

void cpu_mmio_write16(hva_t addr, uint16_t value)
{
	__asm__ volatile("movw %0, (%1)" : : "a"(value), "r"(addr.v) : "memory");
}

void cpu_mmio_write32(hva_t addr, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "a"(value), "r"(addr.v) : "memory");
}

void cpu_movsb(void *to, const void *from, uint64_t count)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

void cpu_movsq(void *to, const void *from, uint64_t count)
{
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

void cpu_invlpg(hva_t addr)
{
	__asm__ volatile("invlpg (%0)" : : "r"(addr.v) : "memory");
}

void cpu_mfence(void)
{
	/* LFENCE, because a WRMSR to the x2APIC waits for instructions, not for stores. */
	__asm__ volatile("mfence; lfence" : : : "memory");
}

void cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* STI lets interrupts in only behind the instruction that follows it: hence the NOP. */
void cpu_interrupt_window(void)
{
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
}

/* For the same reason no interrupt can be lost between STI and HLT. */
void cpu_idle(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

_Noreturn void cpu_stop(void)
{
	for (;;) {
		__asm__ volatile("cli\n\thlt" : : : "memory");
	}
}

_Noreturn void cpu_triple_fault(void)
{
	static const struct desc_ptr empty;

	cpu_lidt(&empty);
	__asm__ volatile("ud2" : : : "memory");
	cpu_stop();
}

void cpu_lgdt(const struct desc_ptr *desc)
{
	__asm__ volatile("lgdt %0" : : "m"(*desc) : "memory");
}

void cpu_lidt(const struct desc_ptr *desc)
{
	__asm__ volatile("lidt %0" : : "m"(*desc) : "memory");
}

void cpu_sgdt(struct desc_ptr *desc)
{
	__asm__ volatile("sgdt %0" : "=m"(*desc) : : "memory");
}

void cpu_ltr(uint16_t selector)
{
	__asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

void cpu_load_segments(uint16_t code, uint16_t data)
{
	uint64_t scratch;

	__asm__ volatile("pushq %[code]\n"
			 "\tleaq 1f(%%rip), %[scratch]\n"
			 "\tpushq %[scratch]\n"
			 "\tlretq\n"
			 "1:\tmovl %[data], %%ds\n"
			 "\tmovl %[data], %%es\n"
			 "\tmovl %[data], %%ss\n"
			 "\tmovl %[null], %%fs\n"
			 "\tmovl %[null], %%gs\n"
			 : [scratch] "=&r"(scratch)
			 : [code] "r"((uint64_t)code), [data] "r"((uint32_t)data), [null] "r"(0)
			 : "memory");
}

uint64_t cpu_call_ms(uint64_t fn, const uint64_t args[4])
{
	uint64_t(__attribute__((ms_abi)) * call)(uint64_t, uint64_t, uint64_t, uint64_t) =
		(uint64_t(__attribute__((ms_abi)) *)(uint64_t, uint64_t, uint64_t, uint64_t))(
			uintptr_t)fn;

	return call(args[0], args[1], args[2], args[3]);
}
