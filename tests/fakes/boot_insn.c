/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's few instructions in host programs: the fake CPU under other names. */
#include "boot/boot_insn.h"

#include "hv/cpu/insn.h"

struct boot_cpuid boot_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = cpu_cpuid(leaf, subleaf);

	return (struct boot_cpuid){r.eax, r.ebx, r.ecx, r.edx};
}

uint64_t boot_rdmsr(uint32_t index)
{
	return cpu_rdmsr(index);
}

void boot_wrmsr(uint32_t index, uint64_t value)
{
	cpu_wrmsr(index, value);
}

uint64_t boot_read_cr4(void)
{
	return cpu_read_cr4();
}

uint64_t boot_rdtsc(void)
{
	return cpu_rdtsc();
}

uint8_t boot_in8(uint16_t port)
{
	return cpu_in8(port);
}

void boot_out8(uint16_t port, uint8_t value)
{
	cpu_out8(port, value);
}
