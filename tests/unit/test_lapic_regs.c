/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/lapic.h"
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fakes/lacks_rig.h"

#define BASE_XAPIC 0xfee00900ull
#define BASE_X2APIC 0xfee00d00ull
#define BASE_OFF 0xfee00100ull

static struct apic_rig r;
static struct lapic *const l = &r.lapics[0];

static int setup(void **state)
{
	(void)state;
	apic_rig_start(&r);
	return 0;
}

static enum lapic_msr_status set_base(unsigned cpu, uint64_t value)
{
	return lapic_msr_write(&r.lapics[cpu], LAPIC_MSR_APIC_BASE, value);
}

static uint64_t base(void)
{
	uint64_t value;

	assert_int_equal(lapic_msr_read(l, LAPIC_MSR_APIC_BASE, &value), LAPIC_MSR_OK);
	return value;
}

static int setup_x2apic(void **state)
{
	(void)setup(state);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		assert_int_equal(set_base(i, i == 0 ? BASE_X2APIC : BASE_X2APIC & ~0x100ull),
				 LAPIC_MSR_OK);
	}
	return 0;
}

static uint64_t rdmsr(uint32_t offset)
{
	uint64_t value;

	assert_int_equal(apic_rig_rdmsr(&r, 0, offset, &value), LAPIC_MSR_OK);
	return value;
}

static uint32_t errors(void)
{
	apic_rig_write(&r, 0, APIC_ESR, 0);
	return apic_rig_read(&r, 0, APIC_ESR);
}

static void test_identity(void **state)
{
	(void)state;
	assert_int_equal(apic_rig_read(&r, 2, APIC_ID), 0x02000000);
	/* Five LVT entries beyond the first; no EOI broadcast suppression. */
	assert_int_equal(apic_rig_read(&r, 0, APIC_VERSION), 0x00050014);
	/* Both are read-only, without an error. */
	apic_rig_write(&r, 2, APIC_ID, 0x0f000000);
	apic_rig_write(&r, 2, APIC_VERSION, 0);
	assert_int_equal(apic_rig_read(&r, 2, APIC_ID), 0x02000000);
	assert_int_equal(errors(), 0);
}

/* What of all-ones a register keeps. */
static void test_writable_bits(void **state)
{
	static const struct {
		uint32_t offset, value;
	} expected[] = {
		{APIC_TPR, 0xff},
		{APIC_LDR, 0xff000000},
		{APIC_DFR, 0xffffffff},
		{APIC_SVR, 0x3ff},
		{APIC_ICR_HIGH, 0xff000000},
		{APIC_LVT_TIMER, 0x700ff},
		{APIC_LVT_THERMAL, 0x107ff},
		{APIC_LVT_PERFORMANCE, 0x107ff},
		{APIC_LVT_LINT0, 0x1a7ff},
		{APIC_LVT_LINT1, 0x1a7ff},
		{APIC_LVT_ERROR, 0x100ff},
		{APIC_DIVIDE, 0xb},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		apic_rig_write(&r, 0, expected[i].offset, 0xffffffff);
		assert_int_equal(apic_rig_read(&r, 0, expected[i].offset), expected[i].value);
	}
	apic_rig_write(&r, 0, APIC_DFR, 0);
	assert_int_equal(apic_rig_read(&r, 0, APIC_DFR), 0x0fffffff);
	/* Written with everything but busy and reserved bits. */
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0xffffffff);
	assert_int_equal(apic_rig_read(&r, 0, APIC_ICR_LOW), 0x000ccfff);
}

static void test_reserved_registers(void **state)
{
	(void)state;
	assert_int_equal(apic_rig_read(&r, 0, 0x40), 0);
	assert_int_equal(errors(), 0x80);
	apic_rig_write(&r, 0, APIC_SELF_IPI, 0x44);
	assert_int_equal(errors(), 0x80);
	assert_int_equal(apic_rig_read(&r, 0, 0xff0), 0);
	assert_int_equal(errors(), 0x80);
	/* Write-only, unused and read-only registers are no errors. */
	assert_int_equal(apic_rig_read(&r, 0, APIC_EOI), 0);
	assert_int_equal(apic_rig_read(&r, 0, 0x90), 0);
	apic_rig_write(&r, 0, APIC_IRR, 0xffffffff);
	apic_rig_write(&r, 0, APIC_CURRENT_COUNT, 0xffffffff);
	assert_int_equal(errors(), 0);
	assert_int_equal(apic_rig_read(&r, 0, APIC_IRR), 0);
}

static uint64_t page_read(unsigned cpu, uint32_t offset, unsigned size)
{
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = LAPIC_MMIO_BASE + offset,
				.offset = offset,
				.size = size,
				.vcpu = cpu};

	return r.bus.dev.ops->read(&r.bus.dev, &a) & size_mask(size);
}

static void test_odd_accesses(void **state)
{
	struct vdev_access byte = {.space = BUS_MMIO,
				   .addr = LAPIC_MMIO_BASE + APIC_TPR,
				   .offset = APIC_TPR,
				   .size = 1};
	struct vdev_access gap = {.space = BUS_MMIO,
				  .addr = LAPIC_MMIO_BASE + APIC_TPR + 4,
				  .offset = APIC_TPR + 4,
				  .size = 4};

	(void)state;
	assert_int_equal(page_read(0, APIC_VERSION, 1), 0x14);
	assert_int_equal(page_read(0, APIC_VERSION + 2, 2), 0x05);
	assert_int_equal(page_read(0, APIC_VERSION, 8), 0x00050014);
	assert_int_equal(page_read(0, APIC_VERSION + 4, 4), 0);
	apic_rig_write(&r, 0, APIC_TPR, 0x20);
	r.bus.dev.ops->write(&r.bus.dev, &byte, 0x70);
	r.bus.dev.ops->write(&r.bus.dev, &gap, 0x70);
	assert_int_equal(apic_rig_read(&r, 0, APIC_TPR), 0x20);
	/* A vCPU that does not exist reaches nothing. */
	assert_int_equal(page_read(63, APIC_VERSION, 4), 0xffffffff);
}

static void test_mode_transitions(void **state)
{
	(void)state;
	assert_int_equal(base(), BASE_XAPIC);
	assert_int_equal(set_base(0, BASE_XAPIC), LAPIC_MSR_OK);
	/* EXTD without EN never. */
	assert_int_equal(set_base(0, 0xfee00500), LAPIC_MSR_GP);
	assert_int_equal(set_base(0, BASE_X2APIC), LAPIC_MSR_OK);
	assert_int_equal(base(), BASE_X2APIC);
	/* Back to xAPIC only through off. */
	assert_int_equal(set_base(0, BASE_XAPIC), LAPIC_MSR_GP);
	assert_int_equal(set_base(0, BASE_OFF), LAPIC_MSR_OK);
	assert_int_equal(set_base(0, BASE_X2APIC), LAPIC_MSR_GP);
	assert_int_equal(set_base(0, 0xfee00500), LAPIC_MSR_GP);
	assert_int_equal(set_base(0, BASE_XAPIC), LAPIC_MSR_OK);
	assert_int_equal(set_base(0, BASE_OFF), LAPIC_MSR_OK);
	assert_false(lapic_enabled(l));
	assert_int_equal(base(), BASE_OFF);
}

static void test_base_bits(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 8; bit++) {
		assert_int_equal(set_base(0, BASE_XAPIC | BIT(bit)), LAPIC_MSR_GP);
	}
	assert_int_equal(set_base(0, BASE_XAPIC | BIT(9)), LAPIC_MSR_GP);
	assert_int_equal(set_base(0, BASE_XAPIC | BIT(52)), LAPIC_MSR_GP);
	assert_int_equal(set_base(0, BASE_XAPIC | BIT(63)), LAPIC_MSR_GP);
	assert_int_equal(set_base(0, 0xfec00900), LAPIC_MSR_MOVED);
	assert_int_equal(set_base(0, BASE_XAPIC | BIT(36)), LAPIC_MSR_MOVED);
	/* The BSP flag does not change. */
	assert_int_equal(set_base(0, BASE_XAPIC & ~0x100ull), LAPIC_MSR_OK);
	assert_int_equal(base(), BASE_XAPIC);
	assert_int_equal(set_base(1, BASE_XAPIC), LAPIC_MSR_OK);
	assert_int_equal(r.lapics[1].base & 0x100, 0);
	/* No x2APIC where CPUID shows none. */
	r.bus.x2apic = false;
	assert_int_equal(set_base(0, BASE_X2APIC), LAPIC_MSR_GP);
	assert_int_equal(base(), BASE_XAPIC);
}

static void test_switching_off_loses_everything(void **state)
{
	(void)state;
	lapic_interrupt(l, 0x60);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, 0x200ef);
	apic_rig_write(&r, 0, APIC_INITIAL_COUNT, 1000);
	assert_int_equal(set_base(0, BASE_OFF), LAPIC_MSR_OK);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(page_read(0, APIC_VERSION, 4), 0xffffffff);
	apic_rig_write(&r, 0, APIC_TPR, 0x50);
	assert_int_equal(set_base(0, BASE_XAPIC), LAPIC_MSR_OK);
	assert_int_equal(apic_rig_read(&r, 0, APIC_SVR), 0xff);
	assert_int_equal(apic_rig_read(&r, 0, APIC_TPR), 0);
	rig_advance_ns(&r.rig, 100000);
	assert_int_equal(lapic_highest_irr(l), -1);
}

static void test_x2apic_keeps_state_and_derives_the_logical_id(void **state)
{
	uint64_t value;

	(void)state;
	apic_rig_write(&r, 3, APIC_TPR, 0x20);
	apic_rig_write(&r, 3, APIC_LDR, 0x08000000);
	lapic_interrupt(&r.lapics[3], 0x60);
	assert_int_equal(set_base(3, BASE_X2APIC), LAPIC_MSR_OK);
	assert_int_equal(apic_rig_rdmsr(&r, 3, APIC_TPR, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 0x20);
	assert_int_equal(apic_rig_rdmsr(&r, 3, APIC_LDR, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 0x8);
	assert_int_equal(apic_rig_rdmsr(&r, 3, APIC_ID, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 3);
	assert_int_equal(lapic_pending(&r.lapics[3]), 0x60);
	/* The page is gone. */
	assert_int_equal(page_read(3, APIC_VERSION, 4), 0xffffffff);
}

static void test_logical_id_beyond_one_cluster(void **state)
{
	static struct lapic far;
	uint64_t value;

	(void)state;
	lapic_init(&far, &r.bus, &r.rig.time, 10, 0x35, false);
	assert_int_equal(lapic_msr_write(&far, LAPIC_MSR_APIC_BASE, BASE_X2APIC), LAPIC_MSR_OK);
	assert_int_equal(lapic_msr_read(&far, 0x80d, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 0x00030020);
}

/* Which x2APIC registers can be read and written at all, over the whole MSR range. */
static void test_x2apic_map(void **state)
{
	static const char map[] = "..rr....w.rw.r.w" /* ID VERSION TPR PPR EOI LDR SVR */
				  "rrrrrrrrrrrrrrrr"
				  "rrrrrrrrw......."
				  "w.wwwwwwwr....ww";

	(void)state;
	for (uint32_t i = 0; i < 0x100; i++) {
		char kind = i < sizeof(map) - 1 ? map[i] : '.';
		bool write_only = i == 0x0b || i == 0x3f;
		uint64_t value = 1;
		enum lapic_msr_status read = lapic_msr_read(l, LAPIC_MSR_X2APIC_FIRST + i, &value);
		/* 0 is a legal value of all but SELF IPI and the ICR, where it is an error only. */
		enum lapic_msr_status write = lapic_msr_write(l, LAPIC_MSR_X2APIC_FIRST + i, 0);

		assert_int_equal(read, kind == '.' || write_only ? LAPIC_MSR_GP : LAPIC_MSR_OK);
		assert_int_equal(write, kind == 'w' ? LAPIC_MSR_OK : LAPIC_MSR_GP);
	}
}

static void test_x2apic_msrs_fault_in_xapic_mode(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(lapic_msr_read(l, 0x802, &value), LAPIC_MSR_GP);
	assert_int_equal(value, 0);
	assert_int_equal(lapic_msr_write(l, 0x808, 0), LAPIC_MSR_GP);
	assert_int_equal(lapic_msr_read(l, 0x10, &value), LAPIC_MSR_GP);
	assert_int_equal(lapic_msr_write(l, 0x10, 0), LAPIC_MSR_GP);
}

static void test_x2apic_reserved_bits(void **state)
{
	static const struct {
		uint32_t offset;
		uint64_t legal;
	} writes[] = {
		{APIC_TPR, 0xff},
		{APIC_EOI, 0},
		{APIC_SVR, 0x3ff},
		{APIC_ESR, 0},
		{APIC_ICR_LOW, 0xffffffff000cdfff},
		{APIC_LVT_TIMER, 0x710ff},
		{APIC_LVT_THERMAL, 0x117ff},
		{APIC_LVT_PERFORMANCE, 0x117ff},
		{APIC_LVT_LINT0, 0x1f7ff},
		{APIC_LVT_LINT1, 0x1f7ff},
		{APIC_LVT_ERROR, 0x110ff},
		{APIC_INITIAL_COUNT, 0xffffffff},
		{APIC_DIVIDE, 0xb},
		{APIC_SELF_IPI, 0xff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			bool legal = (writes[i].legal >> bit & 1) != 0;

			assert_int_equal(apic_rig_wrmsr(&r, 0, writes[i].offset, BIT(bit)),
					 legal ? LAPIC_MSR_OK : LAPIC_MSR_GP);
		}
	}
}

static void test_x2apic_icr_is_one_register(void **state)
{
	(void)state;
	assert_int_equal(apic_rig_wrmsr(&r, 0, APIC_ICR_LOW, 0x0000000200001044), LAPIC_MSR_OK);
	assert_int_equal(lapic_pending(&r.lapics[2]), 0x44);
	assert_int_equal(rdmsr(APIC_ICR_LOW), 0x0000000200000044);
}

static void test_x2apic_self_ipi(void **state)
{
	(void)state;
	assert_int_equal(apic_rig_wrmsr(&r, 0, APIC_SELF_IPI, 0x77), LAPIC_MSR_OK);
	assert_int_equal(lapic_pending(l), 0x77);
	assert_int_equal(apic_rig_wrmsr(&r, 0, APIC_SELF_IPI, 0x0f), LAPIC_MSR_OK);
	assert_int_equal(apic_rig_wrmsr(&r, 0, APIC_ESR, 0), LAPIC_MSR_OK);
	assert_int_equal(rdmsr(APIC_ESR), 0x20);
}

/* An IPI to the sender is there when the write is done. */
static void test_ipi_to_self_is_immediate(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x00040000 | 0x81);
	assert_int_equal(lapic_pending(l), 0x81);
	assert_int_equal(r.calls[0].kicks, 1);
	apic_rig_write(&r, 1, APIC_ICR_HIGH, 0x01000000);
	apic_rig_write(&r, 1, APIC_ICR_LOW, 0x82);
	assert_int_equal(lapic_pending(&r.lapics[1]), 0x82);
}

static void test_shorthands(void **state)
{
	(void)state;
	apic_rig_write(&r, 1, APIC_ICR_LOW, 0x00080000 | 0x91);
	apic_rig_write(&r, 1, APIC_ICR_LOW, 0x000c0000 | 0x92);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		assert_int_equal(lapic_pending(&r.lapics[i]), i == 1 ? 0x91 : 0x92);
		assert_true(vecset_test(&r.lapics[i].irr, 0x91));
	}
}

static void test_init_and_startup(void **state)
{
	(void)state;
	/* INIT assert, de-assert, start-up: to all but self, as an old kernel does. */
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x000cc500);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x000c8500);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x000c469a);
	for (unsigned i = 1; i < APIC_RIG_CPUS; i++) {
		assert_int_equal(r.calls[i].inits, 1);
		assert_int_equal(r.calls[i].startups, 1);
		assert_int_equal(r.calls[i].startup_vector, 0x9a);
	}
	assert_int_equal(r.calls[0].inits, 0);
	assert_int_equal(r.calls[0].startups, 0);
	/* To one; a vector below 16 is no error here. */
	apic_rig_write(&r, 0, APIC_ICR_HIGH, 0x02000000);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x4500);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x4608);
	assert_int_equal(r.calls[2].inits, 2);
	assert_int_equal(r.calls[2].startup_vector, 0x08);
	assert_int_equal(r.calls[1].inits, 1);
	assert_int_equal(errors(), 0);
	/* INIT to self by shorthand is not a combination. */
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x00044500);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x00084500);
	assert_int_equal(r.calls[0].inits, 0);
	assert_int_equal(r.calls[1].inits, 1);
}

static void test_other_delivery_modes(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_ICR_HIGH, 0x01000000);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x4400);
	assert_int_equal(r.calls[1].nmis, 1);
	/* SMI, reserved, ExtINT: nothing happens, and nothing is requested. */
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x4233);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x4333);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x4733);
	assert_int_equal(lapic_highest_irr(&r.lapics[1]), -1);
	assert_int_equal(r.calls[1].nmis, 1);
	assert_int_equal(errors(), 0);
}

static void test_illegal_vectors_are_not_sent(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_ERROR, 0xfe);
	apic_rig_write(&r, 0, APIC_ICR_HIGH, 0x01000000);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x0f);
	assert_int_equal(errors(), 0x20);
	assert_int_equal(lapic_pending(l), 0xfe);
	apic_rig_write(&r, 1, APIC_ESR, 0);
	assert_int_equal(apic_rig_read(&r, 1, APIC_ESR), 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)
#define T2(name) cmocka_unit_test_setup(name, setup_x2apic)

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	r.bus.dev.lacks = &lacks_rig;
	lacks_rig = (struct lacks){.total = 0};
	(void)apic_rig_read(&r, 0, APIC_VERSION);
	apic_rig_write(&r, 0, APIC_VERSION, 0);
	assert_int_equal(lacks_rig.total, 0);
	(void)apic_rig_read(&r, 0, 0x400);
	assert_int_equal(lacks_told("LAPIC", LACKS_READ, 0x400), 1);
	apic_rig_write(&r, 0, 0x2f0, 0); /* the entry for corrected machine checks */
	assert_int_equal(lacks_told("LAPIC", LACKS_WRITE, 0x2f0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_writable_bits),
		T(test_reserved_registers),
		T(test_odd_accesses),
		T(test_mode_transitions),
		T(test_base_bits),
		T(test_switching_off_loses_everything),
		T(test_x2apic_keeps_state_and_derives_the_logical_id),
		T(test_logical_id_beyond_one_cluster),
		T2(test_x2apic_map),
		T(test_x2apic_msrs_fault_in_xapic_mode),
		T2(test_x2apic_reserved_bits),
		T2(test_x2apic_icr_is_one_register),
		T2(test_x2apic_self_ipi),
		T(test_ipi_to_self_is_immediate),
		T(test_shorthands),
		T(test_init_and_startup),
		T(test_other_delivery_modes),
		T(test_illegal_vectors_are_not_sent),
		T(test_what_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
