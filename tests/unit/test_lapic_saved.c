/* SPDX-License-Identifier: Apache-2.0 */
/* LAPICs that are saved and loaded: interrupts, timers, modes, and the page of a CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/lapic.h"
#include "guests/devices/lapic_internal.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fakes/saved_rig.h"

#define TIMER_VECTOR 0xefu
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define DIVIDE_BY_1 0xbu

static struct apic_rig r;
static struct lapic *const l = &r.lapics[0];

static int setup(void **state)
{
	(void)state;
	apic_rig_start(&r);
	return 0;
}

static void send(uint8_t vector, bool level)
{
	struct apic_message msg = {.level = level, .delivery = APIC_FIXED, .vector = vector};

	assert_true(apic_bus_deliver(&r.bus, &msg));
}

/* One in service, one requested below it, one level: all go their way. */
static void interrupts_are_kept(void **state)
{
	(void)state;
	send(0x91, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x91);
	send(0x52, false);
	send(0xa3, false);
	apic_rig_write(&r, 0, APIC_TPR, 0xb0);
	saved_reload(&l->saved);
	assert_true(r.calls[0].kicks > 0);
	assert_int_equal(lapic_pending(l), -1);
	apic_rig_write(&r, 0, APIC_TPR, 0);
	assert_int_equal(apic_rig_take(&r, 0), 0xa3);
	lapic_eoi(l);
	assert_int_equal(r.eois, 0);
	lapic_eoi(l);
	assert_int_equal(r.eois, 1);
	assert_int_equal(r.eoi_vector, 0x91);
	assert_int_equal(apic_rig_take(&r, 0), 0x52);
}

static void addresses_are_kept(void **state)
{
	struct apic_message msg = {.dest = 4, .logical = true, .vector = 0x40};

	(void)state;
	apic_rig_write(&r, 2, APIC_LDR, 4u << 24);
	saved_reload(&r.lapics[2].saved);
	assert_true(apic_bus_deliver(&r.bus, &msg));
	assert_int_equal(apic_rig_take(&r, 2), 0x40);
	/* x2APIC has another place for everything. */
	assert_int_equal(lapic_msr_write(l, LAPIC_MSR_APIC_BASE, l->base | APIC_BASE_EXTD),
			 LAPIC_MSR_OK);
	saved_reload(&l->saved);
	assert_true(lapic_x2apic(l));
	msg = (struct apic_message){.dest = 1, .logical = true, .vector = 0x41};
	assert_true(apic_bus_deliver(&r.bus, &msg));
	assert_int_equal(apic_rig_take(&r, 0), 0x41);
}

/* The period keeps its place, to the tick, and what is between. */
static void the_periodic_timer_is_kept(void **state)
{
	unsigned taken = 0;

	(void)state;
	apic_rig_write(&r, 0, APIC_DIVIDE, DIVIDE_BY_1);
	apic_rig_write(&r, 0, APIC_LVT_TIMER, PERIODIC | TIMER_VECTOR);
	apic_rig_write(&r, 0, APIC_INITIAL_COUNT, 1000001); /* 2,400,002.4 ticks */
	for (unsigned n = 1; n <= 100; n++) {
		rig_to(&r.rig, n * 24000024ull / 10 + 1);
		assert_int_equal(apic_rig_take(&r, 0), TIMER_VECTOR);
		lapic_eoi(l);
		saved_reload(&l->saved);
		rig_advance(&r.rig, 1200000);
		assert_in_range(apic_rig_read(&r, 0, APIC_CURRENT_COUNT), 499990, 500010);
		saved_reload(&l->saved);
		taken++;
	}
	assert_int_equal(taken, 100);
	lapic_reset(l);
}

static void the_deadline_is_kept(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_TIMER, DEADLINE | TIMER_VECTOR);
	lapic_set_tsc_offset(l, 5000);
	assert_int_equal(lapic_msr_write(l, LAPIC_MSR_TSC_DEADLINE, 105000), LAPIC_MSR_OK);
	saved_reload(&l->saved);
	rig_to(&r.rig, 99999);
	assert_int_equal(apic_rig_take(&r, 0), -1);
	rig_to(&r.rig, 100000);
	assert_int_equal(apic_rig_take(&r, 0), TIMER_VECTOR);
}

/* A CPU that has the registers in a page saves what one without a page loads, and the reverse. */
static void a_page_holds_the_same(void **state)
{
	static uint32_t page[APIC_PAGE_SIZE / 4];
	struct apic_entry entry;
	struct lapic_saved plain = {0};
	struct lapic_saved paged = {0};

	(void)state;
	send(0x91, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x91);
	send(0x52, false);
	apic_rig_write(&r, 0, APIC_TPR, 0x30);
	apic_rig_write(&r, 0, APIC_ICR_HIGH, 3u << 24);
	l->saved.ops->save(l, &plain);
	lapic_use_page(l, page);
	memset(page, 0xff, sizeof(page));
	l->saved.ops->load(l, &plain);
	assert_int_equal(page[APIC_TPR / 4], 0x30);
	assert_int_equal(page[APIC_ICR_HIGH / 4], 3u << 24);
	lapic_page_hand_over(l, &entry);
	assert_int_equal(entry.requested, 0x52);
	assert_int_equal(entry.in_service, 0x91);
	l->saved.ops->save(l, &paged);
	assert_memory_equal(&plain, &paged, sizeof(plain));
}

static void what_no_program_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&l->saved, struct lapic_saved, field, value)
	assert_false(TAKES(base, 0xfee01900));
	assert_false(TAKES(base, 0xfee00800)); /* the first CPU is the first */
	assert_false(TAKES(base, 0xfee00500)); /* x2APIC, and off */
	assert_false(TAKES(base, 0xfee00d00)); /* x2APIC has another LDR */
	assert_true(TAKES(base, 0xfee00100));
	assert_false(TAKES(dfr, 0));
	assert_false(TAKES(ldr, 1));
	assert_false(TAKES(svr, 0x400));
	assert_false(TAKES(tpr, 0x100));
	assert_false(TAKES(icr_low, 0x1000));
	assert_false(TAKES(icr_high, 1));
	assert_false(TAKES(errors, 0x100));
	assert_false(TAKES(irr[0], 1));
	assert_true(TAKES(irr[0], 0x10000));
	assert_true(TAKES(lvt[LVT_LINT0], 0x1c000));
	assert_false(TAKES(lvt[LVT_LINT0], 0x14000));
	assert_false(TAKES(lvt[LVT_TIMER], 0x80000));
	assert_false(TAKES(eoi_offered, 2));
	assert_false(TAKES(zero[5], 1));
	apic_rig_write(&r, 0, APIC_SVR, 0xff);
	assert_false(TAKES(lvt[LVT_TIMER], 0x40)); /* disabled, so masked */
#undef TAKES
}

static void a_timer_that_cannot_be_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&l->saved, struct lapic_saved, timer.field, value)
	assert_false(TAKES(counting, 1)); /* from nothing */
	assert_false(TAKES(counting, 2));
	assert_false(TAKES(next, 1));
	assert_false(TAKES(carry, 1));
	assert_false(TAKES(divide, 4));
	assert_false(TAKES(tsc_deadline, 1)); /* in one-shot mode */
	assert_false(TAKES(zero[0], 1));
	apic_rig_write(&r, 0, APIC_INITIAL_COUNT, 1000);
	assert_true(TAKES(carry, LAPIC_TIMER_HZ - 1));
	assert_false(TAKES(carry, LAPIC_TIMER_HZ));
#undef TAKES
	lapic_reset(l);
}

/* INTR that was up is not a new edge at LINT0. */
static void the_bus_is_kept(void **state)
{
	(void)state;
	apic_rig_write(&r, 0, APIC_LVT_LINT0, 0x45);
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x45);
	lapic_eoi(l);
	r.bus.next_lowest = 3;
	saved_reload(&r.bus.saved);
	assert_int_equal(r.bus.next_lowest, 3);
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(apic_rig_take(&r, 0), -1);
	apic_bus_intr(&r.bus, 0, false);
	apic_bus_intr(&r.bus, 0, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x45);
	assert_false(SAVED_TAKES(&r.bus.saved, struct apic_bus_saved, next_lowest, 4));
	assert_false(SAVED_TAKES(&r.bus.saved, struct apic_bus_saved, intr, 2));
	assert_false(SAVED_TAKES(&r.bus.saved, struct apic_bus_saved, zero[0], 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(interrupts_are_kept, setup),
		cmocka_unit_test_setup(addresses_are_kept, setup),
		cmocka_unit_test_setup(the_periodic_timer_is_kept, setup),
		cmocka_unit_test_setup(the_deadline_is_kept, setup),
		cmocka_unit_test_setup(a_page_holds_the_same, setup),
		cmocka_unit_test_setup(what_no_program_can_make_of_it_is_refused, setup),
		cmocka_unit_test_setup(a_timer_that_cannot_be_is_refused, setup),
		cmocka_unit_test_setup(the_bus_is_kept, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
