/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/lapic.h"
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"

static struct apic_rig r;
static struct lapic *const l = &r.lapics[0];

static int setup(void **state)
{
	(void)state;
	apic_rig_init(&r);
	apic_rig_enable(&r, 0);
	return 0;
}

static void eoi(void)
{
	apic_rig_write(&r, 0, APIC_EOI, 0);
}

static bool bit_of(uint32_t base, unsigned vector)
{
	return (apic_rig_read(&r, 0, base + vector / 32 * 16) >> (vector % 32)) & 1;
}

static void level_message(unsigned vector, bool level)
{
	struct apic_message msg = {.dest = 0, .level = level, .vector = (uint8_t)vector};

	assert_true(apic_bus_deliver(&r.bus, &msg));
}

static void test_request_and_accept(void **state)
{
	(void)state;
	assert_int_equal(lapic_pending(l), -1);
	lapic_interrupt(l, 0x31);
	assert_int_equal(r.calls[0].kicks, 1);
	assert_int_equal(lapic_pending(l), 0x31);
	assert_true(bit_of(APIC_IRR, 0x31));
	assert_true(lapic_accept(l, 0x31));
	assert_false(bit_of(APIC_IRR, 0x31));
	assert_true(bit_of(APIC_ISR, 0x31));
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(apic_rig_read(&r, 0, APIC_PPR), 0x30);
	/* It is taken once. */
	assert_false(lapic_accept(l, 0x31));
	eoi();
	assert_false(bit_of(APIC_ISR, 0x31));
	assert_int_equal(apic_rig_read(&r, 0, APIC_PPR), 0);
}

/* Every vector has its own bit, and the extremes are reachable. */
static void test_every_vector(void **state)
{
	(void)state;
	for (unsigned v = 16; v < 256; v++) {
		lapic_interrupt(l, (uint8_t)v);
		assert_true(bit_of(APIC_IRR, v));
		assert_int_equal(lapic_highest_irr(l), v);
	}
	for (unsigned v = 256; v-- > 16;) {
		assert_int_equal(apic_rig_take(&r, 0), v);
		eoi();
	}
	assert_int_equal(lapic_pending(l), -1);
}

static void test_priority_classes_nest(void **state)
{
	(void)state;
	lapic_interrupt(l, 0x45);
	assert_int_equal(apic_rig_take(&r, 0), 0x45);
	/* The same class waits even with a higher vector; a higher class does not. */
	lapic_interrupt(l, 0x4f);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(lapic_highest_irr(l), -1);
	lapic_interrupt(l, 0x50);
	assert_int_equal(apic_rig_take(&r, 0), 0x50);
	assert_int_equal(apic_rig_read(&r, 0, APIC_PPR), 0x50);
	/* EOI ends the highest in service, not the first taken. */
	eoi();
	assert_false(bit_of(APIC_ISR, 0x50));
	assert_true(bit_of(APIC_ISR, 0x45));
	assert_int_equal(apic_rig_read(&r, 0, APIC_PPR), 0x40);
	assert_int_equal(lapic_pending(l), -1);
	eoi();
	assert_int_equal(lapic_pending(l), 0x4f);
}

static void test_tpr(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_TPR, 0x62);
	assert_int_equal(apic_rig_read(&r, 0, APIC_PPR), 0x62);
	assert_int_equal(lapic_cr8(l), 6);
	lapic_interrupt(l, 0x6f);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(lapic_highest_irr(l), 0x6f);
	/* The hardware may hold a lower TPR: the vCPU must look. */
	assert_int_equal(r.calls[0].kicks, 1);
	lapic_set_cr8(l, 5);
	assert_int_equal(lapic_pending(l), 0x6f);
	assert_int_equal(r.calls[0].kicks, 2);
	assert_int_equal(apic_rig_read(&r, 0, APIC_TPR), 0x50);
	/* PPR is the higher of the two, and keeps TPR's low bits on a tie of classes. */
	assert_int_equal(apic_rig_take(&r, 0), 0x6f);
	apic_rig_write(&r, 0, APIC_TPR, 0x6a);
	assert_int_equal(apic_rig_read(&r, 0, APIC_PPR), 0x6a);
	apic_rig_write(&r, 0, APIC_TPR, 0x5a);
	assert_int_equal(apic_rig_read(&r, 0, APIC_PPR), 0x60);
}

static void test_cr8_write_back_keeps_the_low_bits(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_TPR, 0x37);
	lapic_set_cr8(l, lapic_cr8(l));
	assert_int_equal(apic_rig_read(&r, 0, APIC_TPR), 0x37);
	lapic_set_cr8(l, 15);
	assert_int_equal(apic_rig_read(&r, 0, APIC_TPR), 0xf0);
}

static void test_requests_merge_and_kick_only_when_higher(void **state)
{
	(void)state;
	lapic_interrupt(l, 0x80);
	lapic_interrupt(l, 0x80);
	lapic_interrupt(l, 0x70);
	assert_int_equal(r.calls[0].kicks, 1);
	lapic_interrupt(l, 0x90);
	assert_int_equal(r.calls[0].kicks, 2);
	/* While in service the same vector can be requested once more. */
	assert_int_equal(apic_rig_take(&r, 0), 0x90);
	lapic_interrupt(l, 0x90);
	assert_true(bit_of(APIC_IRR, 0x90) && bit_of(APIC_ISR, 0x90));
	r.calls[0].kicks = 0;
	eoi();
	assert_int_equal(r.calls[0].kicks, 1);
	assert_int_equal(apic_rig_take(&r, 0), 0x90);
}

static void test_eoi_with_nothing_in_service(void **state)
{
	(void)state;
	lapic_interrupt(l, 0x40);
	eoi();
	assert_int_equal(lapic_pending(l), 0x40);
	assert_int_equal(r.eois, 0);
}

static void test_only_level_interrupts_broadcast_their_eoi(void **state)
{
	(void)state;
	level_message(0x51, true);
	level_message(0x52, false);
	assert_true(bit_of(APIC_TMR, 0x51));
	assert_false(bit_of(APIC_TMR, 0x52));
	assert_int_equal(apic_rig_take(&r, 0), 0x52);
	eoi();
	assert_int_equal(r.eois, 0);
	assert_int_equal(apic_rig_take(&r, 0), 0x51);
	assert_int_equal(r.eois, 0);
	eoi();
	assert_int_equal(r.eois, 1);
	assert_int_equal(r.eoi_vector, 0x51);
	/* The vector becomes an edge again when it comes as one. */
	level_message(0x51, false);
	assert_int_equal(apic_rig_take(&r, 0), 0x51);
	lapic_eoi(l);
	assert_int_equal(r.eois, 1);
}

static void test_disabled_by_software_takes_no_interrupts(void **state)
{
	struct apic_message nmi = {.dest = 0, .delivery = APIC_NMI};
	struct apic_message fixed = {.dest = 0, .vector = 0x55};

	(void)state;
	lapic_interrupt(l, 0x33);
	apic_rig_write(&r, 0, APIC_SVR, 0xff);
	assert_false(apic_bus_deliver(&r.bus, &fixed));
	assert_false(bit_of(APIC_IRR, 0x55));
	/* What is pending stays, and NMI still comes through. */
	assert_int_equal(lapic_pending(l), 0x33);
	assert_true(apic_bus_deliver(&r.bus, &nmi));
	assert_int_equal(r.calls[0].nmis, 1);
}

static void test_disabling_masks_the_lvt_for_good(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_LINT1, 0x400);
	apic_rig_write(&r, 0, APIC_SVR, 0xff);
	assert_int_equal(apic_rig_read(&r, 0, APIC_LVT_LINT1), 0x10400);
	apic_rig_write(&r, 0, APIC_LVT_LINT1, 0x400);
	assert_int_equal(apic_rig_read(&r, 0, APIC_LVT_LINT1), 0x10400);
	lapic_pulse_lint1(l);
	assert_int_equal(r.calls[0].nmis, 0);
	apic_rig_enable(&r, 0);
	/* Enabling does not unmask. */
	assert_int_equal(apic_rig_read(&r, 0, APIC_LVT_LINT1), 0x10400);
	apic_rig_write(&r, 0, APIC_LVT_LINT1, 0x400);
	lapic_pulse_lint1(l);
	assert_int_equal(r.calls[0].nmis, 1);
}

static void test_esr_is_latched_by_a_write(void **state)
{
	(void)state;
	lapic_interrupt(l, 15);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(apic_rig_read(&r, 0, APIC_ESR), 0);
	apic_rig_write(&r, 0, APIC_ESR, 0xffffffff);
	assert_int_equal(apic_rig_read(&r, 0, APIC_ESR), 0x40);
	assert_int_equal(apic_rig_read(&r, 0, APIC_ESR), 0x40);
	apic_rig_write(&r, 0, APIC_ESR, 0);
	assert_int_equal(apic_rig_read(&r, 0, APIC_ESR), 0);
}

static void test_error_interrupt(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_ERROR, 0xfe);
	lapic_interrupt(l, 3);
	assert_int_equal(apic_rig_take(&r, 0), 0xfe);
	eoi();
	/* An error entry that is itself wrong does not recurse. */
	apic_rig_write(&r, 0, APIC_LVT_ERROR, 0x05);
	apic_rig_write(&r, 0, 0x40, 0);
	apic_rig_write(&r, 0, APIC_ESR, 0);
	assert_int_equal(apic_rig_read(&r, 0, APIC_ESR), 0xc0);
	assert_int_equal(lapic_pending(l), -1);
}

static void test_extint_follows_lint0(void **state)
{
	(void)state;
	assert_false(lapic_accepts_extint(l));
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(r.calls[0].kicks, 0);
	assert_false(lapic_extint_pending(l));
	/* Unmasking while INTR is high wakes the vCPU. */
	apic_rig_write(&r, 0, APIC_LVT_LINT0, 0x700);
	assert_int_equal(r.calls[0].kicks, 1);
	assert_true(lapic_extint_pending(l));
	assert_false(lapic_extint_pending(&r.lapics[1]));
	apic_bus_intr(&r.bus, 0, false);
	assert_false(lapic_extint_pending(l));
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(r.calls[0].kicks, 2);
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(r.calls[0].kicks, 2);
	apic_rig_write(&r, 0, APIC_LVT_LINT0, 0x10700);
	assert_false(lapic_extint_pending(l));
}

/* With the LAPIC switched off, INTR is the BSP's pin. */
static void test_extint_without_lapic(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			lapic_msr_write(&r.lapics[i], LAPIC_MSR_APIC_BASE, LAPIC_MMIO_BASE),
			LAPIC_MSR_OK);
	}
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(r.calls[0].kicks, 1);
	assert_true(lapic_extint_pending(&r.lapics[0]));
	assert_false(lapic_extint_pending(&r.lapics[1]));
	assert_int_equal(r.calls[1].kicks, 0);
}

static void test_lint0_fixed_edge(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_LINT0, 0x61);
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x61);
	eoi();
	assert_int_equal(lapic_pending(l), -1);
	apic_bus_intr(&r.bus, 0, false);
	assert_int_equal(lapic_pending(l), -1);
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(lapic_pending(l), 0x61);
}

static void test_lint0_fixed_level_fires_again_after_eoi(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_LINT0, 0x8061);
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(apic_rig_read(&r, 0, APIC_LVT_LINT0), 0xc061);
	assert_int_equal(apic_rig_take(&r, 0), 0x61);
	assert_int_equal(lapic_pending(l), -1);
	eoi();
	assert_int_equal(apic_rig_take(&r, 0), 0x61);
	apic_bus_intr(&r.bus, 0, false);
	eoi();
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(apic_rig_read(&r, 0, APIC_LVT_LINT0), 0x8061);
}

static void test_virtual_wire(void **state)
{
	(void)state;
	lapic_reset(l);
	lapic_virtual_wire(l);
	assert_true(lapic_accepts_extint(l));
	lapic_pulse_lint1(l);
	assert_int_equal(r.calls[0].nmis, 1);
	assert_int_equal(apic_rig_read(&r, 0, APIC_SVR), 0x1ff);
}

static void dirty(void)
{
	apic_rig_write(&r, 0, APIC_TPR, 0x10);
	apic_rig_write(&r, 0, APIC_LDR, 0x01000000);
	apic_rig_write(&r, 0, APIC_DFR, 0);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, 0x200ee);
	apic_rig_write(&r, 0, APIC_DIVIDE, 0xb);
	apic_rig_write(&r, 0, APIC_INITIAL_COUNT, 100000);
	apic_rig_write(&r, 0, APIC_ICR_HIGH, 0x02000000);
	level_message(0x70, true);
	(void)apic_rig_take(&r, 0);
	lapic_interrupt(l, 0x90);
	/* One error latched, one gathered. */
	lapic_interrupt(l, 1);
	apic_rig_write(&r, 0, APIC_ESR, 0);
	lapic_interrupt(l, 1);
}

static void assert_initial(void)
{
	static const struct {
		uint32_t offset, value;
	} expected[] = {
		{APIC_TPR, 0},
		{APIC_PPR, 0},
		{APIC_LDR, 0},
		{APIC_DFR, 0xffffffff},
		{APIC_SVR, 0xff},
		{APIC_ESR, 0},
		{APIC_ICR_LOW, 0},
		{APIC_ICR_HIGH, 0},
		{APIC_LVT_TIMER, 0x10000},
		{APIC_LVT_THERMAL, 0x10000},
		{APIC_LVT_PERFORMANCE, 0x10000},
		{APIC_LVT_LINT0, 0x10000},
		{APIC_LVT_LINT1, 0x10000},
		{APIC_LVT_ERROR, 0x10000},
		{APIC_INITIAL_COUNT, 0},
		{APIC_CURRENT_COUNT, 0},
		{APIC_DIVIDE, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(apic_rig_read(&r, 0, expected[i].offset), expected[i].value);
	}
	apic_rig_write(&r, 0, APIC_ESR, 0);
	assert_int_equal(apic_rig_read(&r, 0, APIC_ESR), 0);
	for (uint32_t o = APIC_ISR; o < APIC_ESR; o += 16) {
		assert_int_equal(apic_rig_read(&r, 0, o), 0);
	}
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(lapic_highest_irr(l), -1);
	rig_advance_ns(&r.rig, 10000000);
	assert_int_equal(lapic_highest_irr(l), -1);
}

static void test_reset(void **state)
{
	(void)state;
	dirty();
	r.bus.dev.ops->reset(&r.bus.dev);
	assert_initial();
	assert_int_equal(apic_rig_read(&r, 0, APIC_ID), 0);
	assert_int_equal(apic_rig_read(&r, 3, APIC_ID), 0x03000000);
}

static void test_init_keeps_the_mode(void **state)
{
	uint64_t value;

	(void)state;
	dirty();
	lapic_init_reset(l);
	assert_initial();
	assert_int_equal(lapic_msr_write(l, LAPIC_MSR_APIC_BASE, 0xfee00d00), LAPIC_MSR_OK);
	assert_int_equal(apic_rig_wrmsr(&r, 0, APIC_TPR, 0x30), LAPIC_MSR_OK);
	lapic_init_reset(l);
	assert_int_equal(lapic_msr_read(l, LAPIC_MSR_APIC_BASE, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 0xfee00d00);
	assert_int_equal(apic_rig_rdmsr(&r, 0, APIC_TPR, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 0);
	lapic_reset(l);
	assert_int_equal(lapic_msr_read(l, LAPIC_MSR_APIC_BASE, &value), LAPIC_MSR_OK);
	assert_int_equal(value, 0xfee00900);
}

#define T(name) cmocka_unit_test_setup(name, setup)

/* Offered only where the guest's silence loses nothing: one edge in service, none requested. */
static void test_what_eoi_is_offered(void **state)
{
	struct apic_message level = {.dest = 0, .level = true, .vector = 0x60};

	(void)state;
	assert_false(lapic_offer_eoi(l));
	lapic_interrupt(l, 0x50);
	assert_false(lapic_offer_eoi(l));
	assert_int_equal(apic_rig_take(&r, 0), 0x50);
	assert_true(lapic_offer_eoi(l));
	lapic_settle_eoi(l, false);
	assert_true(bit_of(APIC_ISR, 0x50));
	/* One that waits behind it would never come. */
	lapic_interrupt(l, 0x41);
	assert_false(lapic_offer_eoi(l));
	eoi();
	assert_int_equal(apic_rig_take(&r, 0), 0x41);
	/* The IOAPIC waits for the end of a level. */
	assert_true(apic_bus_deliver(&r.bus, &level));
	assert_int_equal(apic_rig_take(&r, 0), 0x60);
	assert_false(lapic_offer_eoi(l));
	eoi();
	assert_true(lapic_offer_eoi(l));
	lapic_settle_eoi(l, true);
	assert_false(bit_of(APIC_ISR, 0x41));
	assert_int_equal(r.eois, 1);
}

/* The guest may have ended 0x50 in silence: even what would wait for it must be looked at. */
static void test_an_offer_makes_every_request_kick(void **state)
{
	unsigned kicks;

	(void)state;
	lapic_interrupt(l, 0x50);
	assert_int_equal(apic_rig_take(&r, 0), 0x50);
	kicks = r.calls[0].kicks;
	lapic_interrupt(l, 0x41);
	assert_int_equal(r.calls[0].kicks, kicks);
	eoi();
	assert_int_equal(apic_rig_take(&r, 0), 0x41);
	assert_true(lapic_offer_eoi(l));
	kicks = r.calls[0].kicks;
	lapic_interrupt(l, 0x31);
	assert_int_equal(r.calls[0].kicks, kicks + 1);
	assert_int_equal(lapic_pending(l), -1);
	lapic_settle_eoi(l, true);
	assert_int_equal(lapic_pending(l), 0x31);
	/* Over: as without. */
	assert_int_equal(apic_rig_take(&r, 0), 0x31);
	kicks = r.calls[0].kicks;
	lapic_interrupt(l, 0x21);
	assert_int_equal(r.calls[0].kicks, kicks);
	/* INIT forgets an offer. */
	eoi();
	assert_int_equal(apic_rig_take(&r, 0), 0x21);
	assert_true(lapic_offer_eoi(l));
	lapic_init_reset(l);
	assert_false(l->eoi_offered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_request_and_accept),
		T(test_every_vector),
		T(test_priority_classes_nest),
		T(test_tpr),
		T(test_cr8_write_back_keeps_the_low_bits),
		T(test_requests_merge_and_kick_only_when_higher),
		T(test_eoi_with_nothing_in_service),
		T(test_only_level_interrupts_broadcast_their_eoi),
		T(test_disabled_by_software_takes_no_interrupts),
		T(test_disabling_masks_the_lvt_for_good),
		T(test_esr_is_latched_by_a_write),
		T(test_error_interrupt),
		T(test_extint_follows_lint0),
		T(test_extint_without_lapic),
		T(test_lint0_fixed_edge),
		T(test_lint0_fixed_level_fires_again_after_eoi),
		T(test_virtual_wire),
		T(test_reset),
		T(test_init_keeps_the_mode),
		T(test_what_eoi_is_offered),
		T(test_an_offer_makes_every_request_kick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
