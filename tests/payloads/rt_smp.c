/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the further processors of a payload, and giving them jobs. */
#include "tests/payloads/rt_smp.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/msr.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define MSR_EFER 0xc0000080u
#define EFER_LMA BIT(10)
#define APIC_BASE_EXTD BIT(10)

extern char rt_ap_begin[], rt_ap_end[], rt_ap_stacks[];
extern uint32_t rt_ap_cr0, rt_ap_cr3, rt_ap_cr4, rt_ap_efer;

static struct {
	_Atomic rt_job job;
	_Atomic uint32_t arrivals;
} cpus[RT_CPUS_MAX];

unsigned rt_cpu_count(void)
{
	static unsigned n;

	if (n == 0) {
		n = (unsigned)rt_option("cpus", 2);
		EXPECT(n >= 2 && n <= RT_CPUS_MAX, "cpus=%u", n);
	}
	return n;
}

unsigned rt_cpu(void)
{
	uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
	uint64_t first = (uint64_t)(uintptr_t)rt_ap_stacks;

	return here - first < (uint64_t)RT_AP_STACK * RT_CPUS_MAX
		       ? (unsigned)((here - first) / RT_AP_STACK) + 1
		       : 0;
}

unsigned rt_arrivals(unsigned cpu)
{
	return atomic_load(&cpus[cpu].arrivals);
}

void rt_ipi(uint32_t dest, uint32_t low)
{
	if ((rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD) != 0) {
		wrmsr(MSR_X2APIC_FIRST + APIC_ICR_LOW / 16, (uint64_t)dest << 32 | low);
		return;
	}
	apic_write(APIC_ICR_HIGH, dest << 24);
	apic_write(APIC_ICR_LOW, low);
}

static void woken(struct rt_frame *f)
{
	(void)f;
	apic_eoi();
}

static uint32_t *there(uint32_t *here)
{
	return (uint32_t *)(RT_AP_PAGE + ((uintptr_t)here - (uintptr_t)rt_ap_begin));
}

static void copy_start(void)
{
	memcpy((void *)(uintptr_t)RT_AP_PAGE, rt_ap_begin, (size_t)(rt_ap_end - rt_ap_begin));
	*there(&rt_ap_cr0) = (uint32_t)read_cr0();
	*there(&rt_ap_cr3) = (uint32_t)read_cr3();
	*there(&rt_ap_cr4) = (uint32_t)read_cr4();
	*there(&rt_ap_efer) = (uint32_t)(rdmsr(MSR_EFER) & ~EFER_LMA);
}

void rt_start_others(void)
{
	copy_start();
	rt_handle(RT_VECTOR_WAKE, woken);
	apic_enable();
	rt_ipi(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
	rt_delay_us(10000);
	rt_ipi(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | RT_AP_PAGE >> 12);
	rt_delay_us(200);
	rt_ipi(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | RT_AP_PAGE >> 12);
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		RT_WAIT(rt_arrivals(i) == 1, "CPU %u does not start", i);
	}
}

void rt_start_cpu(unsigned cpu)
{
	rt_ipi(cpu, ICR_ASSERT | ICR_INIT);
	rt_delay_us(10000);
	rt_ipi(cpu, ICR_ASSERT | ICR_STARTUP | RT_AP_PAGE >> 12);
	rt_delay_us(200);
	rt_ipi(cpu, ICR_ASSERT | ICR_STARTUP | RT_AP_PAGE >> 12);
}

/* From ap.S. */
_Noreturn void rt_ap_main(unsigned cpu);
_Noreturn void rt_ap_main(unsigned cpu)
{
	rt_load_tables_again();
	EXPECT(cpu == rt_cpu(), "CPU %u is on the stack of CPU %u", cpu, rt_cpu());
	apic_enable();
	atomic_store(&cpus[cpu].job, NULL);
	atomic_fetch_add(&cpus[cpu].arrivals, 1);
	for (;;) {
		rt_job job = atomic_load(&cpus[cpu].job);

		if (job == NULL) {
			wait_for_interrupt();
			continue;
		}
		job(cpu);
		interrupts_off();
		atomic_store(&cpus[cpu].job, NULL);
	}
}

void rt_give(unsigned cpu, rt_job job)
{
	rt_finish(cpu);
	atomic_store(&cpus[cpu].job, job);
	rt_ipi(cpu, ICR_ASSERT | RT_VECTOR_WAKE);
}

void rt_finish(unsigned cpu)
{
	RT_WAIT(atomic_load(&cpus[cpu].job) == NULL, "CPU %u does not finish", cpu);
}

void rt_on_all(rt_job job)
{
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		rt_give(i, job);
	}
	job(0);
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		rt_finish(i);
	}
}
