/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic timers: direct and by message, once and again, and when their message finds no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/hyperv_rig.h"

#define SINT 3u
#define VECTOR 0x66u
#define MS 10000u /* in units of 100 ns */
#define DIRECT (HV_STIMER_DIRECT | (uint64_t)VECTOR << 4)
#define BY_MESSAGE ((uint64_t)SINT << 16)

static uint32_t config_of(unsigned timer)
{
	return MSR_HV_STIMER0_CONFIG + 2 * timer;
}

static void set_up(void)
{
	assert_true(hyperv_put(MSR_HV_SIMP, HYPERV_PAGE | 1));
	assert_true(hyperv_put(MSR_HV_SCONTROL, 1));
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, VECTOR));
}

/* Lets time pass, and what then happens before the next entry. */
static void wait_for(uint64_t units)
{
	vm_rig_advance(units * (VM_RIG_HZ / HV_TIME_HZ) + 400);
	if ((atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_HYPERV) & VCPU_REQ_HYPERV) != 0) {
		pv_requests(vcpu, VCPU_REQ_HYPERV);
	}
}

static uint64_t now(void)
{
	return hyperv_get(MSR_HV_TIME_REF_COUNT);
}

static struct hv_timer_message body(uint32_t *type, uint8_t *flags)
{
	struct hv_message message;
	struct hv_timer_message timer;

	hyperv_peek(SINT * sizeof(message), &message, sizeof(message));
	memcpy(&timer, message.payload, sizeof(timer));
	*type = message.type;
	*flags = message.flags;
	return timer;
}

static void take_message(void)
{
	const uint32_t none = 0;

	hyperv_poke(SINT * sizeof(struct hv_message), &none, sizeof(none));
	assert_true(hyperv_put(MSR_HV_EOM, 0));
}

static void once_to_a_vector(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		assert_true(hyperv_put(config_of(i) + 1, now() + MS));
		assert_true(hyperv_put(config_of(i), DIRECT | HV_STIMER_ENABLE));
		wait_for(MS - 100);
		assert_false(hyperv_got(0, VECTOR));
		wait_for(100);
		assert_true(hyperv_got(0, VECTOR));
		/* It has switched itself off. */
		assert_int_equal(hyperv_get(config_of(i)), DIRECT);
		wait_for(100 * MS);
		assert_false(hyperv_got(0, VECTOR));
	}
}

static void a_moment_in_the_past_is_now(void **state)
{
	(void)state;
	vm_rig_advance(VM_RIG_HZ);
	assert_true(hyperv_put(config_of(0), DIRECT | HV_STIMER_AUTO_ENABLE));
	assert_true(hyperv_put(config_of(0) + 1, 1));
	assert_true(hyperv_got(0, VECTOR));
}

static void a_count_enables_and_disables(void **state)
{
	(void)state;
	assert_true(hyperv_put(config_of(1), DIRECT | HV_STIMER_AUTO_ENABLE));
	assert_int_equal(hyperv_get(config_of(1)) & HV_STIMER_ENABLE, 0);
	assert_true(hyperv_put(config_of(1) + 1, now() + MS));
	assert_int_equal(hyperv_get(config_of(1)) & HV_STIMER_ENABLE, HV_STIMER_ENABLE);
	assert_true(hyperv_put(config_of(1) + 1, 0));
	assert_int_equal(hyperv_get(config_of(1)) & HV_STIMER_ENABLE, 0);
	wait_for(2 * MS);
	assert_false(hyperv_got(0, VECTOR));
	/* Without that bit a count enables nothing. */
	assert_true(hyperv_put(config_of(1), DIRECT));
	assert_true(hyperv_put(config_of(1) + 1, now() + MS));
	wait_for(2 * MS);
	assert_false(hyperv_got(0, VECTOR));
}

static void reserved_bits_and_sint_0(void **state)
{
	(void)state;
	assert_true(hyperv_put(config_of(0), ~0ull & ~HV_STIMER_DIRECT & ~HV_STIMER_SINT));
	assert_int_equal(hyperv_get(config_of(0)), HV_STIMER_PERIODIC | HV_STIMER_LAZY |
							   HV_STIMER_AUTO_ENABLE |
							   HV_STIMER_VECTOR);
}

static void periods_do_not_drift(void **state)
{
	unsigned count = 0;

	(void)state;
	assert_true(hyperv_put(config_of(2) + 1, MS));
	assert_true(hyperv_put(config_of(2), DIRECT | HV_STIMER_ENABLE | HV_STIMER_PERIODIC));
	for (unsigned i = 0; i < 1000; i++) {
		wait_for(MS / 2 - 2);
		count += hyperv_got(0, VECTOR) ? 1 : 0;
	}
	assert_in_range(count, 499, 500);
	/* What passed while the vCPU did not run is one. */
	wait_for(50 * MS);
	assert_true(hyperv_got(0, VECTOR));
	wait_for(1);
	assert_false(hyperv_got(0, VECTOR));
	assert_true(hyperv_put(config_of(2), 0));
	wait_for(5 * MS);
	assert_false(hyperv_got(0, VECTOR));
}

/* An interrupt each 100 ns would keep the host busy. */
static void short_periods_are_merged(void **state)
{
	unsigned count = 0;

	(void)state;
	assert_true(hyperv_put(config_of(0) + 1, 1));
	assert_true(hyperv_put(config_of(0), DIRECT | HV_STIMER_ENABLE | HV_STIMER_PERIODIC));
	for (unsigned i = 0; i < 1000; i++) {
		wait_for(10);
		count += hyperv_got(0, VECTOR) ? 1 : 0;
	}
	assert_in_range(count, 4, 7);
}

static void a_message_tells_when(void **state)
{
	uint64_t due = now() + MS;
	struct hv_timer_message timer;
	uint32_t type;
	uint8_t flags;

	(void)state;
	set_up();
	assert_true(hyperv_put(config_of(3), BY_MESSAGE | HV_STIMER_AUTO_ENABLE));
	assert_true(hyperv_put(config_of(3) + 1, due));
	wait_for(3 * MS);
	assert_true(hyperv_got(0, VECTOR));
	timer = body(&type, &flags);
	assert_int_equal(type, HV_MESSAGE_TIMER_EXPIRED);
	assert_int_equal(flags, 0);
	assert_int_equal(timer.index, 3);
	assert_int_equal(timer.expiration, due);
	assert_in_range(timer.delivery, due + 2 * MS, due + 2 * MS + 10);
}

static void no_room_waits_for_the_end_of_message(void **state)
{
	const uint32_t busy = 1;
	struct hv_timer_message timer;
	uint32_t type;
	uint8_t flags;

	(void)state;
	set_up();
	hyperv_poke(SINT * sizeof(struct hv_message), &busy, sizeof(busy));
	assert_true(hyperv_put(config_of(0) + 1, MS));
	assert_true(hyperv_put(config_of(0), BY_MESSAGE | HV_STIMER_ENABLE | HV_STIMER_PERIODIC));
	wait_for(MS + 10);
	assert_false(hyperv_got(0, VECTOR));
	(void)body(&type, &flags);
	assert_int_equal(flags, HV_MESSAGE_PENDING);
	wait_for(10 * MS);
	assert_false(hyperv_got(0, VECTOR));
	take_message();
	assert_true(hyperv_got(0, VECTOR));
	timer = body(&type, &flags);
	assert_int_equal(type, HV_MESSAGE_TIMER_EXPIRED);
	assert_true(timer.delivery - timer.expiration > 9 * MS);
	/* The next period has passed as well by now; then it goes on as before. */
	take_message();
	wait_for(MS);
	assert_true(hyperv_got(0, VECTOR));
	(void)body(&type, &flags);
	assert_int_equal(type, HV_MESSAGE_TIMER_EXPIRED);
}

static void a_lazy_tick_may_be_lost(void **state)
{
	const uint32_t busy = 1;

	(void)state;
	set_up();
	hyperv_poke(SINT * sizeof(struct hv_message), &busy, sizeof(busy));
	assert_true(hyperv_put(config_of(0) + 1, MS));
	assert_true(hyperv_put(config_of(0), BY_MESSAGE | HV_STIMER_ENABLE | HV_STIMER_PERIODIC |
						     HV_STIMER_LAZY));
	wait_for(MS + 10);
	take_message();
	assert_false(hyperv_got(0, VECTOR));
	wait_for(MS);
	assert_true(hyperv_got(0, VECTOR));
}

static void a_masked_source_gets_it_later(void **state)
{
	(void)state;
	set_up();
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, HV_SINT_MASKED));
	assert_true(hyperv_put(config_of(0), BY_MESSAGE | HV_STIMER_AUTO_ENABLE));
	assert_true(hyperv_put(config_of(0) + 1, now() + MS));
	wait_for(2 * MS);
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, VECTOR));
	assert_true(hyperv_got(0, VECTOR));
}

static void a_pause_stops_them(void **state)
{
	(void)state;
	assert_true(hyperv_put(config_of(0), DIRECT | HV_STIMER_AUTO_ENABLE));
	assert_true(hyperv_put(config_of(0) + 1, now() + MS));
	assert_int_equal(guest_pause(g), HV_OK);
	vm_rig_advance(VM_RIG_HZ);
	assert_int_equal(guest_resume(g), HV_OK);
	wait_for(MS / 2);
	assert_false(hyperv_got(0, VECTOR));
	wait_for(MS);
	assert_true(hyperv_got(0, VECTOR));
}

/* A function that was on its way when the timer was stopped finds nothing to do. */
static void a_late_bit_does_nothing(void **state)
{
	(void)state;
	assert_true(hyperv_put(config_of(0), DIRECT | HV_STIMER_AUTO_ENABLE));
	assert_true(hyperv_put(config_of(0) + 1, now() + MS));
	atomic_store(&hyperv_vp(vcpu)->fired, ~0u);
	pv_requests(vcpu, VCPU_REQ_HYPERV);
	assert_false(hyperv_got(0, VECTOR));
	wait_for(MS);
	assert_true(hyperv_got(0, VECTOR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(once_to_a_vector),
		HYPERV_TEST(a_moment_in_the_past_is_now),
		HYPERV_TEST(a_count_enables_and_disables),
		HYPERV_TEST(reserved_bits_and_sint_0),
		HYPERV_TEST(periods_do_not_drift),
		HYPERV_TEST(short_periods_are_merged),
		HYPERV_TEST(a_message_tells_when),
		HYPERV_TEST(no_room_waits_for_the_end_of_message),
		HYPERV_TEST(a_lazy_tick_may_be_lost),
		HYPERV_TEST(a_masked_source_gets_it_later),
		HYPERV_TEST(a_pause_stops_them),
		HYPERV_TEST(a_late_bit_does_nothing),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
