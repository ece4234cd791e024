/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC driver against one model reached through MSRs or through the register page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/apic.h"
#include "hv/base/bits.h"
#include "hv/cpu/features.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/trap.h"
#include "tests/fakes/fake_cpu.h"

#define TSC_HZ 2000000000ull
#define TIMER_DIVISOR 16 /* TSC ticks per timer tick */
#define PAGE ((char *)0x7000000000)

static struct {
	uint32_t reg[0x400 / 16];
	uint64_t icr; /* last message, in x2APIC layout */
	unsigned messages;
	unsigned eois;
	uint64_t timer_started;
	bool timer_dead;
	uint64_t deadline;
	bool x2apic; /* mode the CPU is in by APIC_BASE */
} dev;

static const struct host_apic_config config = {
	.registers = PAGE,
	.tsc_hz = TSC_HZ,
	.timer_vector = 0xf0,
	.error_vector = 0xfe,
	.spurious_vector = 0xff,
};

static uint32_t dev_read(unsigned reg)
{
	if (reg == 0x390) {
		uint64_t passed = (fake_tsc - dev.timer_started) / TIMER_DIVISOR;
		uint32_t initial = dev.reg[0x380 / 16];

		if (dev.timer_dead) {
			return initial;
		}
		return passed < initial ? initial - (uint32_t)passed : 0;
	}
	return dev.reg[reg / 16];
}

static void end_highest(void)
{
	dev.eois++;
	for (unsigned v = 256; v-- > 0;) {
		if ((dev.reg[(0x100 + v / 32 * 16) / 16] >> v % 32 & 1) != 0) {
			dev.reg[(0x100 + v / 32 * 16) / 16] &= ~(1u << v % 32);
			return;
		}
	}
}

static void dev_write(unsigned reg, uint32_t value)
{
	bool lvt = (reg >= 0x320 && reg <= 0x370) || reg == 0x2f0;

	/* While the APIC is disabled by software, LVT entries stay masked. */
	if (lvt && (dev.reg[0xf0 / 16] & 0x100) == 0) {
		value |= 0x10000;
	}
	if (reg == 0xb0) {
		end_highest();
		return;
	}
	dev.reg[reg / 16] = value;
	if (reg == 0x380) {
		dev.timer_started = fake_tsc;
	}
	if (reg == 0x300) {
		dev.icr = value | (uint64_t)(dev.reg[0x310 / 16] >> 24) << 32;
		dev.messages++;
	}
}

static uint32_t mmio_read(hva_t addr)
{
	assert_false(dev.x2apic);
	return dev_read((unsigned)(addr.v - (uint64_t)(uintptr_t)PAGE));
}

static void mmio_write(hva_t addr, uint32_t value)
{
	assert_false(dev.x2apic);
	dev_write((unsigned)(addr.v - (uint64_t)(uintptr_t)PAGE), value);
}

static bool rdmsr(uint32_t index, uint64_t *value, bool *handled)
{
	if (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) {
		*handled = true;
		*value = dev_read((index - MSR_X2APIC_FIRST) * 16);
		return dev.x2apic;
	}
	return false;
}

static bool wrmsr(uint32_t index, uint64_t value, bool *handled)
{
	uint64_t base = fake_msr_get(MSR_IA32_APIC_BASE);

	if (index == MSR_IA32_APIC_BASE) {
		*handled = true;
		/* Straight from off to x2APIC, and from x2APIC to xAPIC: #GP. */
		if (((value & BIT(10)) != 0 && (base & BIT(11)) == 0) ||
		    ((value & BIT(10)) == 0 && (base & BIT(10)) != 0)) {
			return false;
		}
		fake_msr_set(index, value);
		dev.x2apic = (value & BIT(10)) != 0;
		return true;
	}
	if (index == MSR_IA32_TSC_DEADLINE) {
		*handled = true;
		/* Ignored unless the timer is in that mode. */
		if ((dev.reg[0x320 / 16] & BIT(18)) != 0) {
			dev.deadline = value;
		}
		return true;
	}
	if (index == 0x830) {
		*handled = true;
		dev.icr = value;
		dev.messages++;
		return dev.x2apic;
	}
	if (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) {
		*handled = true;
		dev_write((index - MSR_X2APIC_FIRST) * 16, (uint32_t)value);
		return dev.x2apic;
	}
	return false;
}

static void cpu_with(uint32_t leaf1_ecx)
{
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 1});
	fake_cpuid_set(1, 0, (struct cpuid_regs){.ecx = leaf1_ecx, .edx = BIT32(9)});
	cpu_features_init();
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	memset(&dev, 0, sizeof(dev));
	fake_cpu.tsc_step = 20;
	fake_cpu.on_rdmsr = rdmsr;
	fake_cpu.on_wrmsr = wrmsr;
	fake_cpu.on_mmio_read = mmio_read;
	fake_cpu.on_mmio_write = mmio_write;
	fake_msr_set(MSR_IA32_APIC_BASE, 0xfee00900);
	fake_msr_set(MSR_IA32_TSC_DEADLINE, 0);
	dev.reg[0x30 / 16] = 0x00060015; /* seven LVT entries */
	dev.reg[0x350 / 16] = 0x700;	 /* ExtINT, as firmware leaves it */
	dev.reg[0x360 / 16] = 0x400;
	dev.reg[0x330 / 16] = 0x200; /* thermal: SMI */
	dev.reg[0x340 / 16] = 0x400; /* performance: NMI */
	dev.reg[0x80 / 16] = 0x20;
	return 0;
}

static void brings_up_xapic(void **state)
{
	(void)state;
	cpu_with(0);
	dev.reg[0x20 / 16] = 0x03000000;
	assert_int_equal(host_apic_init(&config), HV_OK);
	assert_false(host_apic_is_x2apic());
	assert_int_equal(host_apic_base(), 0xfee00000);
	assert_int_equal(host_apic_id(), 3);
	assert_int_equal(dev.reg[0xf0 / 16], 0x1ff);
	assert_int_equal(dev.reg[0x80 / 16], 0);
	assert_true((dev.reg[0x350 / 16] & 0x10000) != 0);
	assert_true((dev.reg[0x360 / 16] & 0x10000) != 0);
	assert_int_equal(dev.reg[0x330 / 16], 0x200); /* the firmware's SMI stays */
	assert_true((dev.reg[0x340 / 16] & 0x10000) != 0);
	assert_int_equal(dev.reg[0x370 / 16], 0xfe);
	assert_int_equal(dev.reg[0x320 / 16], 0xf0);
	assert_int_equal(dev.reg[0x380 / 16], 0); /* stopped */
}

static void takes_x2apic_where_it_is(void **state)
{
	(void)state;
	cpu_with(BIT32(21));
	dev.reg[0x20 / 16] = 0x12345;
	fake_msr_set(MSR_IA32_APIC_BASE, 0xfee00100); /* off */
	assert_int_equal(host_apic_init(&config), HV_OK);
	assert_true(host_apic_is_x2apic());
	assert_int_equal(fake_msr_get(MSR_IA32_APIC_BASE), 0xfee00d00);
	assert_int_equal(host_apic_id(), 0x12345);
	host_apic_send_ipi(0x10001, 0x44);
	assert_int_equal(dev.icr, 0x0001000100004044ull);
	host_apic_send_nmi(0xff);
	assert_int_equal(dev.icr, 0x000000ff00004400ull);
	assert_int_equal(dev.messages, 2);
	assert_false(host_apic_reaches(UINT32_MAX));
	host_apic_send_ipi(UINT32_MAX, 0x44);
	assert_int_equal(dev.messages, 2);
	/* Another CPU that the firmware left in x2APIC mode. */
	host_apic_init_ap();
	assert_int_equal(fake_msr_get(MSR_IA32_APIC_BASE), 0xfee00d00);
}

/* The registers of a CPU after INIT: what the boot CPU set up is not in them. */
static void become_another_cpu(void)
{
	memset(dev.reg, 0, sizeof(dev.reg));
	dev.reg[0x20 / 16] = 0x05000000;
	dev.reg[0x30 / 16] = 0x00060015;
	dev.reg[0xf0 / 16] = 0xff;
	dev.reg[0x320 / 16] = dev.reg[0x350 / 16] = dev.reg[0x360 / 16] = 0x10000;
	dev.reg[0x370 / 16] = 0x10000;
}

static void other_cpus_get_the_same(void **state)
{
	uint64_t wait = TSC_HZ / 1000;
	uint32_t count;

	(void)state;
	cpu_with(0);
	assert_int_equal(host_apic_init(&config), HV_OK);
	host_apic_timer_arm(fake_tsc + wait);
	count = dev.reg[0x380 / 16];
	become_another_cpu();
	host_apic_init_ap();
	assert_int_equal(host_apic_id(), 5);
	assert_int_equal(dev.reg[0xf0 / 16], 0x1ff);
	assert_int_equal(dev.reg[0x320 / 16], 0xf0);
	assert_int_equal(dev.reg[0x370 / 16], 0xfe);
	assert_int_equal(dev.reg[0x3e0 / 16], 0xb);
	/* No calibration of its own, and the same count for the same time. */
	assert_int_equal(dev.reg[0x380 / 16], 0);
	host_apic_timer_arm(fake_tsc + wait);
	assert_in_range(dev.reg[0x380 / 16], count - 2, count + 2);
}

static void deadlines_work_on_other_cpus(void **state)
{
	(void)state;
	cpu_with(BIT32(21) | BIT32(24));
	assert_int_equal(host_apic_init(&config), HV_OK);
	become_another_cpu();
	dev.deadline = 77;
	host_apic_init_ap();
	assert_int_equal(dev.reg[0x320 / 16], 0x400f0);
	assert_int_equal(dev.deadline, 0);
	host_apic_timer_arm(12345);
	assert_int_equal(dev.deadline, 12345);
	/* Its TSC is 1000 ticks ahead of, then behind the boot CPU's. */
	cpu_this()->tsc_offset = -1000;
	host_apic_timer_arm(12345);
	assert_int_equal(dev.deadline, 13345);
	cpu_this()->tsc_offset = 1000;
	host_apic_timer_arm(12345);
	assert_int_equal(dev.deadline, 11345);
	cpu_this()->tsc_offset = 0;
}

static void messages_have_their_form(void **state)
{
	unsigned fences;

	(void)state;
	cpu_with(0);
	assert_int_equal(host_apic_init(&config), HV_OK);
	fences = fake_cpu.mfence_count;
	host_apic_send_init(5);
	assert_int_equal(dev.icr, 0x500004500ull);
	host_apic_send_startup(5, 0x9f);
	assert_int_equal(dev.icr, 0x50000469full);
	host_apic_send_nmi(1);
	assert_int_equal(dev.icr, 0x100004400ull);
	host_apic_send_ipi(0, 0xf1);
	assert_int_equal(dev.icr, 0x40f1);
	assert_int_equal(fake_cpu.mfence_count - fences, 4);
	assert_int_equal(dev.messages, 4);
	/* Cannot be named, or would be all of them: nothing is sent. */
	assert_true(host_apic_reaches(254));
	assert_false(host_apic_reaches(255));
	host_apic_send_ipi(255, 0xf1);
	host_apic_send_ipi(256, 0xf1);
	host_apic_send_nmi(0x10001);
	assert_int_equal(dev.messages, 4);
	dev.reg[0x300 / 16] = BIT32(12); /* a message that never gets through */
	host_apic_send_nmi(2);
	assert_int_equal(dev.messages, 5);
}

static void leftovers_are_ended(void **state)
{
	(void)state;
	cpu_with(0);
	dev.reg[0x110 / 16] = 0x00010002;
	dev.reg[0x170 / 16] = 1;
	assert_int_equal(host_apic_init(&config), HV_OK);
	assert_int_equal(dev.eois, 3);
}

static void one_shot_is_calibrated(void **state)
{
	uint64_t wait = TSC_HZ / 1000;
	uint32_t count;

	(void)state;
	cpu_with(0);
	assert_int_equal(host_apic_init(&config), HV_OK);
	assert_false(host_apic_has_deadline());
	host_apic_timer_arm(fake_tsc + wait);
	count = dev.reg[0x380 / 16];
	assert_true(count >= wait / TIMER_DIVISOR - wait / TIMER_DIVISOR / 1000 - 2);
	assert_true(count <= wait / TIMER_DIVISOR + wait / TIMER_DIVISOR / 1000 + 2);
	host_apic_timer_arm(0);
	assert_int_equal(dev.reg[0x380 / 16], 1);
	host_apic_timer_arm(fake_tsc);
	assert_int_equal(dev.reg[0x380 / 16], 1);
	/* Far off: early, but not at once, and not never. */
	host_apic_timer_arm(UINT64_MAX);
	assert_true(dev.reg[0x380 / 16] > 0x70000000u);
	host_apic_timer_stop();
	assert_int_equal(dev.reg[0x380 / 16], 0);
}

static void dead_timer_is_reported(void **state)
{
	(void)state;
	cpu_with(0);
	dev.timer_dead = true;
	assert_int_equal(host_apic_init(&config), HV_E_IO);
}

static void deadlines_go_to_the_msr(void **state)
{
	(void)state;
	cpu_with(BIT32(21) | BIT32(24));
	assert_int_equal(host_apic_init(&config), HV_OK);
	assert_true(host_apic_has_deadline());
	assert_int_equal(dev.reg[0x320 / 16], 0x400f0);
	host_apic_timer_arm(12345);
	assert_int_equal(dev.deadline, 12345);
	host_apic_timer_arm(0);
	assert_int_equal(dev.deadline, 1);
	host_apic_timer_stop();
	assert_int_equal(dev.deadline, 0);
}

static void own_vectors_are_handled(void **state)
{
	(void)state;
	cpu_with(0);
	assert_int_equal(host_apic_init(&config), HV_OK);
	dev.eois = 0;
	trap_irq_dispatch(0xff);
	assert_int_equal(dev.eois, 0);
	trap_irq_dispatch(0xfe);
	assert_int_equal(dev.eois, 1);
	host_apic_stray(0x55);
	assert_int_equal(dev.eois, 1);
	dev.reg[(0x100 + 0x55 / 32 * 16) / 16] = 1u << 0x55 % 32;
	host_apic_stray(0x55);
	assert_int_equal(dev.eois, 2);
	host_apic_stray(256);
	assert_int_equal(dev.eois, 2);
}

static void machine_without_apic_is_refused(void **state)
{
	struct host_apic_config no_page = config;

	(void)state;
	cpu_with(0);
	no_page.registers = NULL;
	assert_int_equal(host_apic_init(&no_page), HV_E_UNSUPPORTED);
	fake_cpuid_set(1, 0, (struct cpuid_regs){0});
	cpu_features_init();
	assert_int_equal(host_apic_init(&config), HV_E_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(brings_up_xapic, setup),
		cmocka_unit_test_setup(takes_x2apic_where_it_is, setup),
		cmocka_unit_test_setup(other_cpus_get_the_same, setup),
		cmocka_unit_test_setup(deadlines_work_on_other_cpus, setup),
		cmocka_unit_test_setup(messages_have_their_form, setup),
		cmocka_unit_test_setup(leftovers_are_ended, setup),
		cmocka_unit_test_setup(one_shot_is_calibrated, setup),
		cmocka_unit_test_setup(dead_timer_is_reported, setup),
		cmocka_unit_test_setup(deadlines_go_to_the_msr, setup),
		cmocka_unit_test_setup(own_vectors_are_handled, setup),
		cmocka_unit_test_setup(machine_without_apic_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
