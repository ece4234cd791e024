/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/lapic.h"
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fakes/check.h"

static struct apic_rig r;

static int setup(void **state)
{
	(void)state;
	apic_rig_start(&r);
	return 0;
}

/* Sends vector 0x40 and returns the set of vCPUs that got it, which is emptied again. */
static unsigned reached(uint32_t dest, bool logical, enum apic_delivery delivery)
{
	struct apic_message msg = {
		.dest = dest, .logical = logical, .delivery = (uint8_t)delivery, .vector = 0x40};
	bool taken = apic_bus_deliver(&r.bus, &msg);
	unsigned set = 0;

	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		if (vecset_test(&r.lapics[i].irr, 0x40)) {
			assert_true(lapic_accept(&r.lapics[i], 0x40));
			lapic_eoi(&r.lapics[i]);
			set |= BIT32(i);
		}
	}
	assert_int_equal(taken, set != 0);
	return set;
}

static unsigned physical(uint32_t dest)
{
	return reached(dest, false, APIC_FIXED);
}

static unsigned logical(uint32_t dest)
{
	return reached(dest, true, APIC_FIXED);
}

static void to_x2apic(unsigned cpu)
{
	assert_int_equal(
		lapic_msr_write(&r.lapics[cpu], LAPIC_MSR_APIC_BASE, r.lapics[cpu].base | 0xc00),
		LAPIC_MSR_OK);
}

static void test_physical(void **state)
{
	(void)state;
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		assert_int_equal(physical(i), BIT32(i));
	}
	assert_int_equal(physical(4), 0);
	assert_int_equal(physical(0x101), 0);
	assert_int_equal(physical(APIC_DEST_BROADCAST), 0xf);
}

/* An APIC ID need not be the index; an index is not mistaken for an ID. */
static void test_ids_that_are_no_indices(void **state)
{
	static const uint32_t ids[] = {8, 0, 1, 24};

	(void)state;
	apic_bus_init(&r.bus, r.bus.ops, &r, true);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		lapic_init(&r.lapics[i], &r.bus, &r.rig.time, i, ids[i], i == 0);
		apic_rig_enable(&r, i);
	}
	assert_int_equal(physical(8), 1);
	assert_int_equal(physical(0), 2);
	assert_int_equal(physical(1), 4);
	assert_int_equal(physical(24), 8);
	assert_int_equal(physical(2), 0);
	assert_int_equal(physical(3), 0);
}

static void test_a_bus_with_gaps(void **state)
{
	static struct lapic last;

	(void)state;
	lapic_init(&last, &r.bus, &r.rig.time, 63, 63, false);
	assert_int_equal(physical(APIC_DEST_BROADCAST), 0xf);
	assert_int_equal(physical(62), 0);
	assert_int_equal(logical(0xff), 0xf);
	r.bus.dev.ops->reset(&r.bus.dev);
	EXPECT_CHECK(lapic_init(&last, &r.bus, &r.rig.time, 63, 63, false));
	EXPECT_CHECK(lapic_init(&last, &r.bus, &r.rig.time, 64, 64, false));
}

static void test_switched_off_hears_nothing(void **state)
{
	struct apic_message init = {.dest = 2, .delivery = APIC_INIT};

	(void)state;
	assert_int_equal(lapic_msr_write(&r.lapics[2], LAPIC_MSR_APIC_BASE, LAPIC_MMIO_BASE),
			 LAPIC_MSR_OK);
	assert_int_equal(physical(2), 0);
	assert_int_equal(physical(APIC_DEST_BROADCAST), 0xb);
	assert_false(apic_bus_deliver(&r.bus, &init));
	assert_int_equal(r.calls[2].inits, 0);
}

static void test_logical_flat(void **state)
{
	(void)state;
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		apic_rig_write(&r, i, APIC_LDR, BIT32(24 + i));
	}
	assert_int_equal(logical(0x01), 0x1);
	assert_int_equal(logical(0x0a), 0xa);
	assert_int_equal(logical(0xff), 0xf);
	assert_int_equal(logical(0x10), 0);
	assert_int_equal(logical(0x101), 0);
}

static void test_logical_cluster(void **state)
{
	static const uint8_t ldr[] = {0x11, 0x12, 0x21, 0x22};

	(void)state;
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		apic_rig_write(&r, i, APIC_DFR, 0x0fffffff);
		apic_rig_write(&r, i, APIC_LDR, (uint32_t)ldr[i] << 24);
	}
	assert_int_equal(logical(0x11), 0x1);
	assert_int_equal(logical(0x13), 0x3);
	assert_int_equal(logical(0x2f), 0xc);
	assert_int_equal(logical(0x31), 0);
	assert_int_equal(logical(0xff), 0xf);
}

static void test_logical_x2apic(void **state)
{
	const struct apic_message msg = {.dest = 0x0001000f, .logical = true, .vector = 0x41};
	static struct lapic far;

	(void)state;
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		to_x2apic(i);
	}
	assert_int_equal(logical(0x1), 0x1);
	assert_int_equal(logical(0xa), 0xa);
	assert_int_equal(logical(0x00010001), 0);
	assert_int_equal(logical(APIC_DEST_BROADCAST), 0xf);
	/* Cluster 1, member 3 is APIC ID 0x13. */
	lapic_init(&far, &r.bus, &r.rig.time, 20, 0x13, false);
	assert_int_equal(lapic_msr_write(&far, LAPIC_MSR_APIC_BASE, 0xfee00c00), LAPIC_MSR_OK);
	assert_int_equal(lapic_msr_write(&far, 0x80f, 0x1ff), LAPIC_MSR_OK);
	assert_true(apic_bus_deliver(&r.bus, &msg));
	assert_int_equal(lapic_pending(&far), 0x41);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		assert_int_equal(lapic_pending(&r.lapics[i]), -1);
	}
}

/* A 32-bit destination is never cut to 8 bits, and 0xff is broadcast in xAPIC mode alone. */
static void test_mixed_modes(void **state)
{
	(void)state;
	to_x2apic(1);
	assert_int_equal(physical(1), 0x2);
	assert_int_equal(physical(0xff), 0);
	assert_int_equal(lapic_msr_write(&r.lapics[1], 0x830, 0x000000ff00000041), LAPIC_MSR_OK);
	assert_int_equal(lapic_pending(&r.lapics[0]), -1);
	assert_int_equal(lapic_msr_write(&r.lapics[1], 0x830, 0xffffffff00000041), LAPIC_MSR_OK);
	assert_int_equal(lapic_pending(&r.lapics[0]), 0x41);
	assert_int_equal(lapic_pending(&r.lapics[1]), 0x41);
	apic_rig_write(&r, 0, APIC_ICR_HIGH, 0xff000000);
	apic_rig_write(&r, 0, APIC_ICR_LOW, 0x51);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		assert_int_equal(lapic_pending(&r.lapics[i]), 0x51);
	}
}

static unsigned lowest(void)
{
	return reached(APIC_DEST_BROADCAST, false, APIC_LOWEST_PRIORITY);
}

static void test_lowest_priority_by_ppr(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_TPR, 0x30);
	apic_rig_write(&r, 1, APIC_TPR, 0x20);
	apic_rig_write(&r, 2, APIC_TPR, 0x10);
	apic_rig_write(&r, 3, APIC_TPR, 0x20);
	assert_int_equal(lowest(), 0x4);
	assert_int_equal(lowest(), 0x4);
	/* What is in service counts as well. */
	lapic_interrupt(&r.lapics[2], 0x70);
	assert_true(lapic_accept(&r.lapics[2], 0x70));
	assert_int_equal(lowest(), 0x8);
	/* A LAPIC that is disabled by software takes no part. */
	apic_rig_write(&r, 1, APIC_SVR, 0xff);
	apic_rig_write(&r, 3, APIC_SVR, 0xff);
	assert_int_equal(reached(0x1, true, APIC_LOWEST_PRIORITY), 0);
	apic_rig_write(&r, 1, APIC_TPR, 0);
	assert_int_equal(lowest(), 0x1);
}

static void test_lowest_priority_takes_turns(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		unsigned set = lowest();

		assert_int_equal(set & (set - 1), 0);
		assert_int_equal(seen & set, 0);
		seen |= set;
	}
	assert_int_equal(seen, 0xf);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		apic_rig_write(&r, i, APIC_SVR, 0xff);
	}
	assert_int_equal(lowest(), 0);
}

static void test_msi(void **state)
{
	(void)state;
	assert_true(apic_bus_msi(&r.bus, 0xfee02000, 0x0033));
	assert_int_equal(lapic_pending(&r.lapics[2]), 0x33);
	assert_false(vecset_test(&r.lapics[2].tmr, 0x33));
	/* Logical, lowest priority, level with assert. */
	apic_rig_write(&r, 3, APIC_LDR, 0x08000000);
	assert_true(apic_bus_msi(&r.bus, 0xfee0800c, 0xc154));
	assert_int_equal(lapic_pending(&r.lapics[3]), 0x54);
	assert_true(vecset_test(&r.lapics[3].tmr, 0x54));
	/* Level de-assert carries nothing. */
	assert_true(apic_bus_msi(&r.bus, 0xfee00000, 0x8055));
	assert_int_equal(lapic_pending(&r.lapics[0]), -1);
	/* Broadcast. */
	assert_true(apic_bus_msi(&r.bus, 0xfeeff000, 0x0066));
	assert_int_equal(lapic_pending(&r.lapics[0]), 0x66);
	assert_int_equal(lapic_pending(&r.lapics[3]), 0x66);
	/* NMI. */
	assert_true(apic_bus_msi(&r.bus, 0xfee01000, 0x0400));
	assert_int_equal(r.calls[1].nmis, 1);
	/* Nobody there; not an MSI address. */
	assert_false(apic_bus_msi(&r.bus, 0xfee30000, 0x0033));
	assert_false(apic_bus_msi(&r.bus, 0xfed00000, 0x0033));
	assert_false(apic_bus_msi(&r.bus, 0x1fee00000, 0x0033));
}

static void test_requested(void **state)
{
	struct apic_message msg = {.dest = APIC_DEST_BROADCAST, .vector = 0x40};

	(void)state;
	assert_false(apic_bus_requested(&r.bus, &msg));
	lapic_interrupt(&r.lapics[3], 0x40);
	assert_true(apic_bus_requested(&r.bus, &msg));
	assert_int_equal(apic_rig_take(&r, 3), 0x40);
	assert_false(apic_bus_requested(&r.bus, &msg));
}

#define T(name) cmocka_unit_test_setup(name, setup)

/* Which vCPUs have vector 0x40 requested; it is taken back. */
static unsigned requested(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		if (vecset_test(&r.lapics[i].irr, 0x40)) {
			assert_true(lapic_accept(&r.lapics[i], 0x40));
			lapic_eoi(&r.lapics[i]);
			set |= BIT32(i);
		}
	}
	return set;
}

/* APIC ID = vCPU here. The map begins where it is told to and ends after 128. */
static void test_a_map_of_ids(void **state)
{
	static const struct {
		uint32_t first;
		uint64_t ids[2];
		unsigned set;
	} cases[] = {
		{0, {0x5, 0}, 0x5},
		{0, {~0ull, ~0ull}, BIT32(APIC_RIG_CPUS) - 1},
		{1, {0x3, 0}, 0x6},
		{2, {~0ull, ~0ull}, (BIT32(APIC_RIG_CPUS) - 1) & ~3u},
		{0, {0, ~0ull}, 0},
		{APIC_RIG_CPUS, {~0ull, ~0ull}, 0},
		{UINT32_MAX, {~0ull, ~0ull}, 0},
		{UINT32_MAX - 63, {0, ~0ull}, 0},
	};
	struct apic_message msg = {.vector = 0x40};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n = apic_bus_send_ids(&r.bus, cases[i].first, cases[i].ids, &msg);

		assert_int_equal(requested(), cases[i].set);
		assert_int_equal(n, __builtin_popcount(cases[i].set));
	}
	/* Not to a LAPIC that is disabled by software. */
	apic_rig_write(&r, 1, APIC_SVR, 0xff);
	assert_int_equal(apic_bus_send_ids(&r.bus, 0, (uint64_t[]){3, 0}, &msg), 1);
	assert_int_equal(requested(), 1);
	msg.delivery = APIC_NMI;
	assert_int_equal(apic_bus_send_ids(&r.bus, 0, (uint64_t[]){3, 0}, &msg), 2);
	assert_int_equal(r.calls[1].nmis, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_physical),
		T(test_ids_that_are_no_indices),
		T(test_a_bus_with_gaps),
		T(test_switched_off_hears_nothing),
		T(test_logical_flat),
		T(test_logical_cluster),
		T(test_logical_x2apic),
		T(test_mixed_modes),
		T(test_lowest_priority_by_ppr),
		T(test_lowest_priority_takes_turns),
		T(test_msi),
		T(test_requested),
		T(test_a_map_of_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
