/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks of the payloads' runtime. */
#include "guests/layout.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define CPUID_FREQUENCIES 0x40000010u

uint32_t pm_timer(void)
{
	return in32(LAYOUT_PM_TMR) & 0xffffffu;
}

uint64_t rt_tsc_hz(void)
{
	static uint64_t hz;

	if (hz == 0) {
		hz = cpuid(CPUID_FREQUENCIES, 0).eax * 1000ull;
		EXPECT(hz != 0, "CPUID 0x40000010 tells no TSC frequency");
	}
	return hz;
}

void rt_delay_us(uint64_t us)
{
	uint64_t end = rdtsc() + rt_us_to_tsc(us);

	while ((int64_t)(end - rdtsc()) > 0) {
		__asm__ volatile("pause");
	}
}
