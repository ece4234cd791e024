/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads' access to the local APIC. */
#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define APIC_BASE_EXTD BIT(10)
#define SVR_ENABLE 0x100u
#define DIVIDE_BY_1 0xbu
#define CPUID_FREQUENCIES 0x40000010u

static bool x2apic(void)
{
	return (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD) != 0;
}

uint32_t apic_read(uint32_t reg)
{
	return x2apic() ? (uint32_t)rdmsr(MSR_X2APIC_FIRST + reg / 16)
			: mmio_read32(APIC_BASE + reg);
}

void apic_write(uint32_t reg, uint32_t value)
{
	if (x2apic()) {
		wrmsr(MSR_X2APIC_FIRST + reg / 16, value);
	} else {
		mmio_write32(APIC_BASE + reg, value);
	}
}

void apic_enable(void)
{
	apic_write(APIC_SVR, SVR_ENABLE | 0xff);
	apic_write(APIC_TPR, 0);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

uint64_t apic_timer_hz(void)
{
	return cpuid(CPUID_FREQUENCIES, 0).ebx * 1000ull;
}

void apic_timer_start(uint8_t vector, uint32_t mode, uint64_t us)
{
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, mode | vector);
	apic_write(APIC_TIMER_INITIAL, (uint32_t)(apic_timer_hz() / 1000 * us / 1000));
}

void apic_timer_stop(void)
{
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	apic_write(APIC_TIMER_INITIAL, 0);
}
