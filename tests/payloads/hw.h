/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions that payloads need, as functions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t mmio_read8(uint64_t address)
{
	uint8_t v;

	__asm__ volatile("movb (%1), %0" : "=r"(v) : "r"(address) : "memory");
	return v;
}

static inline void mmio_write8(uint64_t address, uint8_t v)
{
	__asm__ volatile("movb %0, (%1)" : : "r"(v), "r"(address) : "memory");
}

static inline uint16_t mmio_read16(uint64_t address)
{
	uint16_t v;

	__asm__ volatile("movw (%1), %0" : "=r"(v) : "r"(address) : "memory");
	return v;
}

static inline void mmio_write16(uint64_t address, uint16_t v)
{
	__asm__ volatile("movw %0, (%1)" : : "r"(v), "r"(address) : "memory");
}

static inline uint32_t mmio_read32(uint64_t address)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(address) : "memory");
	return v;
}

static inline void mmio_write32(uint64_t address, uint32_t v)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(address) : "memory");
}

static inline uint64_t mmio_read64(uint64_t address)
{
	uint64_t v;

	__asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(address) : "memory");
	return v;
}

static inline void mmio_write64(uint64_t address, uint64_t v)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(address) : "memory");
}

static inline void memory_fence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static inline uint64_t rdmsr(uint32_t index)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t index, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf)
			 : "memory");
	return r;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t read_flags(void)
{
	uint64_t v;

	__asm__ volatile("pushfq; popq %0" : "=r"(v) : : "memory");
	return v;
}

/* read_crN() and write_crN(v). */
#define HW_CONTROL_REGISTER(n) \
	static inline uint64_t read_cr##n(void) \
	{ \
		uint64_t v; \
\
		__asm__ volatile("movq %%cr" #n ", %0" : "=r"(v) : : "memory"); \
		return v; \
	} \
	static inline void write_cr##n(uint64_t v) \
	{ \
		__asm__ volatile("movq %0, %%cr" #n : : "r"(v) : "memory"); \
	}

HW_CONTROL_REGISTER(0)
HW_CONTROL_REGISTER(2)
HW_CONTROL_REGISTER(3)
HW_CONTROL_REGISTER(4)
HW_CONTROL_REGISTER(8)

static inline void xsetbv(uint32_t index, uint64_t v)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}

/* Operand of LIDT and LGDT. */
struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

static inline void load_idt(uint64_t base, uint16_t limit)
{
	struct table_pointer p = {limit, base};

	__asm__ volatile("lidt %0" : : "m"(p) : "memory");
}

static inline void load_gdt(uint64_t base, uint16_t limit)
{
	struct table_pointer p = {limit, base};

	__asm__ volatile("lgdt %0" : : "m"(p) : "memory");
}

static inline void interrupts_on(void)
{
	__asm__ volatile("sti; nop" : : : "memory");
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Sleeps until an interrupt has been taken; interrupts are off again when it returns. */
static inline void wait_for_interrupt(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
