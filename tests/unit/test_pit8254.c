/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "guests/devices/pit8254.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"

#define HZ 2899999999ull
#define CONTROL 0x43u
#define PORT_B 0x61u

static struct device_rig rig;
static struct pit8254 pit;
static bool guest_busy; /* the last interrupt waits */

static int setup(void **state)
{
	struct irq_line line;

	(void)state;
	rig_init(&rig, HZ);
	line = rig_irq(&rig.line);
	guest_busy = false;
	pit8254_init(&pit, &rig.time, &line);
	return 0;
}

static bool waiting(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	return guest_busy;
}

static uint8_t in(unsigned port)
{
	return rig_in(&pit.dev, (uint16_t)port);
}

static void out(unsigned port, unsigned value)
{
	rig_out(&pit.dev, (uint16_t)port, (uint8_t)value);
}

static void program(unsigned channel, unsigned mode, unsigned count)
{
	out(CONTROL, channel << 6 | 0x30 | mode << 1);
	out(0x40 + channel, count & 0xff);
	out(0x40 + channel, count >> 8);
}

static unsigned latched(unsigned channel)
{
	unsigned low;

	out(CONTROL, channel << 6);
	low = in(0x40 + channel);
	return low | (unsigned)in(0x40 + channel) << 8;
}

/* The first tick at which `cycles` of the PIT have passed since the start of guest time. */
static uint64_t tick(uint64_t cycles)
{
	return (uint64_t)(((unsigned __int128)cycles * HZ + PIT_HZ - 1) / PIT_HZ);
}

static uint64_t cycles_now(void)
{
	return (uint64_t)((unsigned __int128)vtime_now(&rig.time) * PIT_HZ / HZ);
}

static void to_cycle(uint64_t cycle)
{
	/* An edge may be a tick late. */
	rig_to(&rig, tick(cycle) + 1);
}

static void test_silent_after_reset(void **state)
{
	(void)state;
	to_cycle(10000000);
	assert_int_equal(rig.line.rises, 0);
	assert_int_equal(rig.timers_run, 0);
}

/* Who never programs it still sees time pass, and the status of a counter that has its count. */
static void test_counts_after_reset(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unsigned first;

		to_cycle(1000 + i * 5000);
		out(CONTROL, (uint8_t)(0xe0 | 2u << i));
		assert_int_equal(in(0x40 + i), 0x80 | 0x36);
		first = latched(i);
		to_cycle(2000 + i * 5000);
		/* By two, as in mode 3. */
		assert_in_range((uint16_t)(first - latched(i)), 1900, 2100);
	}
	assert_int_equal(rig.timers_run, 0);
	pit.dev.ops->reset(&pit.dev);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	/* Channel 2 waits for its gate, and a count. */
	out(CONTROL, 0xe8);
	assert_int_equal(in(0x40 + 2), 0x40 | 0x30);
}

/* An hour at 1000 Hz: each edge within a tick of its place, none lost, none too many. */
static void test_period_is_exact(void **state)
{
	const uint64_t count = 1193;
	uint64_t begin;

	(void)state;
	rig_advance(&rig, 123456789);
	begin = cycles_now() + 1;
	program(0, 2, count);
	rig.line.rises = 0;
	for (uint64_t n = 1; n <= 3600; n++) {
		rig_to(&rig, tick(begin + n * count) - 1);
		assert_int_equal(rig.line.rises, n - 1);
		rig_to(&rig, tick(begin + n * count) + 1);
		assert_int_equal(rig.line.rises, n);
	}
	to_cycle(begin + 3600000 * count);
	assert_int_equal(rig.line.rises, 3600000);
	assert_in_range(rig.timers_run, 3600000, 3600001);
}

static void test_mode_0_raises_once(void **state)
{
	(void)state;
	/* OUT falls with the control word and rises with the end of the count. */
	program(0, 2, 1000);
	assert_true(rig.line.level);
	program(0, 0, 5000);
	assert_false(rig.line.level);
	rig.line.rises = 0;
	to_cycle(5000);
	assert_int_equal(rig.line.rises, 0);
	to_cycle(5001);
	assert_int_equal(rig.line.rises, 1);
	to_cycle(10000000);
	assert_int_equal(rig.line.rises, 1);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

static void test_control_word_can_raise_out(void **state)
{
	(void)state;
	program(0, 0, 5000);
	assert_false(rig.line.level);
	out(CONTROL, 0x34);
	assert_true(rig.line.level);
	assert_int_equal(rig.line.rises, 1);
	to_cycle(1000000);
	assert_int_equal(rig.line.rises, 1);
}

static void test_mode_3_and_4(void **state)
{
	(void)state;
	program(0, 3, 11932);
	rig.line.rises = 0;
	to_cycle(1 + 10 * 11932);
	assert_int_equal(rig.line.rises, 10);
	program(0, 4, 100);
	rig.line.rises = 0;
	rig_advance_ns(&rig, 1000000);
	assert_int_equal(rig.line.rises, 1);
	assert_true(rig.line.level);
}

static void test_channels_1_and_2_raise_nothing(void **state)
{
	(void)state;
	out(PORT_B, 1);
	program(1, 2, 18);
	program(2, 3, 1000);
	rig_advance_ns(&rig, 100000000);
	assert_int_equal(rig.line.rises, 0);
	assert_int_equal(rig.timers_run, 0);
}

/* A count that was reloaded is never seen before the interrupt of the reload. */
static void test_count_and_interrupt_agree(void **state)
{
	uint64_t begin;

	(void)state;
	program(0, 2, 10000);
	begin = cycles_now() + 1;
	rig.line.rises = 0;
	/* Time passes without the host's timers. */
	fake_tsc = rig.time.offset + tick(begin + 10000) - 1;
	assert_int_equal(latched(0), 1);
	assert_int_equal(rig.line.rises, 0);
	fake_tsc = rig.time.offset + tick(begin + 10000);
	assert_int_equal(latched(0), 10000);
	assert_int_equal(rig.line.rises, 1);
	/* And it comes once. */
	rig_advance(&rig, 10);
	assert_int_equal(rig.line.rises, 1);
}

static void test_absurd_rate_is_bounded(void **state)
{
	(void)state;
	program(0, 2, 1);
	rig_advance_ns(&rig, 10000000);
	assert_in_range(rig.timers_run, 400, 500);
	program(0, 3, 2);
	rig.timers_run = 0;
	rig_advance_ns(&rig, 10000000);
	assert_in_range(rig.timers_run, 400, 500);
}

/* Ticks that pass while the guest cannot take them come later, closer together. */
static void test_catch_up(void **state)
{
	const uint64_t count = 11932;
	uint64_t begin;

	(void)state;
	pit8254_set_waiting(&pit, waiting, &rig);
	program(0, 2, count);
	begin = cycles_now() + 1;
	rig.line.rises = 0;
	to_cycle(begin + count);
	assert_int_equal(rig.line.rises, 1);
	guest_busy = true;
	to_cycle(begin + 9 * count);
	assert_int_equal(rig.line.rises, 1);
	guest_busy = false;
	/* Eight were missed; the next comes in time, the others follow at four times the rate. */
	to_cycle(begin + 10 * count);
	assert_int_equal(rig.line.rises, 2);
	to_cycle(begin + 11 * count - 1);
	assert_in_range(rig.line.rises, 5, 5);
	to_cycle(begin + 20 * count);
	assert_int_equal(rig.line.rises, 20);
	to_cycle(begin + 30 * count + 10);
	assert_int_equal(rig.line.rises, 30);
}

static void test_catch_up_is_bounded(void **state)
{
	const uint64_t count = 11932;
	uint64_t begin;

	(void)state;
	pit8254_set_waiting(&pit, waiting, &rig);
	program(0, 2, count);
	begin = cycles_now() + 1;
	rig.line.rises = 0;
	guest_busy = true;
	rig.timers_run = 0;
	to_cycle(begin + 10000 * count);
	assert_int_equal(rig.line.rises, 0);
	/* Waiting costs no more timers than running. */
	assert_in_range(rig.timers_run, 10000, 10001);
	guest_busy = false;
	to_cycle(begin + 10100 * count);
	assert_int_equal(rig.line.rises, 100 + PIT_OWED_MAX - 1);
	/* A new count owes nothing. */
	guest_busy = true;
	to_cycle(begin + 10200 * count);
	guest_busy = false;
	program(0, 2, count);
	rig.line.rises = 0;
	rig_advance(&rig, tick(10 * count + 3));
	assert_int_equal(rig.line.rises, 10);
}

/* When the host itself was late the ticks are made up for as well. */
static void test_late_host(void **state)
{
	const uint64_t count = 11932;
	uint64_t begin;

	(void)state;
	program(0, 2, count);
	begin = cycles_now() + 1;
	rig.line.rises = 0;
	fake_tsc = rig.time.offset + tick(begin + 6 * count) + 1;
	timer_queue_run(&rig.queue, fake_tsc);
	assert_int_equal(rig.line.rises, 1);
	to_cycle(begin + 7 * count - 1);
	assert_int_equal(rig.line.rises, 4);
	to_cycle(begin + 20 * count);
	assert_int_equal(rig.line.rises, 20);
}

static void test_read_back(void **state)
{
	uint64_t begin;

	(void)state;
	program(0, 2, 0x1000);
	begin = cycles_now() + 1;
	program(1, 3, 0x2000);
	to_cycle(begin + 0x100);
	/* Count and status of 0 and 1, in the middle of a count. */
	out(CONTROL, 0xc6);
	to_cycle(begin + 0x200);
	assert_int_equal(in(0x40), 0xb4);
	assert_int_equal(in(0x40), 0x00);
	assert_int_equal(in(0x40), 0x0f);
	assert_int_equal(in(0x40), 0x00);
	assert_int_equal(in(0x40), 0x0e);
	assert_int_equal(in(0x41), 0xb6);
	assert_int_equal(in(0x41), 0x00);
	assert_int_equal(in(0x41), 0x1e);
	/* Status alone, then count alone; channel 1 is not touched. */
	out(CONTROL, 0xe2);
	assert_int_equal(in(0x40), 0xb4);
	out(CONTROL, 0xd2);
	to_cycle(begin + 0x300);
	assert_int_equal(in(0x40), 0x00);
	assert_int_equal(in(0x40), 0x0e);
	assert_int_equal(in(0x41), 0x00);
	assert_int_equal(in(0x41), 0x1a);
}

static void test_ports(void **state)
{
	(void)state;
	assert_int_equal(in(CONTROL), 0xff);
	/* A word covers two ports. */
	out(CONTROL, 0x14);
	out(CONTROL, 0x54);
	rig_write(&pit.dev, BUS_PIO, 0x40, 2, 0x2010);
	rig_advance_ns(&rig, 900);
	assert_int_equal(rig_read(&pit.dev, BUS_PIO, 0x40, 2), 0x2010);
}

static void test_gate_and_out_2(void **state)
{
	uint64_t begin;

	(void)state;
	assert_int_equal(in(PORT_B)&0xef, 0);
	program(2, 0, 1000);
	rig_advance_ns(&rig, 5000000);
	/* The gate is low: nothing counted. */
	assert_int_equal(in(PORT_B)&0x20, 0);
	assert_int_equal(latched(2), 1000);
	out(PORT_B, 0x01);
	begin = cycles_now();
	rig_to(&rig, tick(begin + 1000) - 1);
	assert_int_equal(in(PORT_B)&0x20, 0);
	rig_to(&rig, tick(begin + 1000));
	assert_int_equal(in(PORT_B)&0x20, 0x20);
	/* Bits 3:0 are kept, the rest is read-only. */
	out(PORT_B, 0xff);
	assert_int_equal(in(PORT_B)&0xcf, 0x0f);
	out(PORT_B, 0xf0);
	assert_int_equal(in(PORT_B)&0xcf, 0x00);
}

/* The classic calibration: mode 0 on channel 2, poll OUT, look at the clock. */
static void test_calibration_by_polling(void **state)
{
	uint64_t begin;

	(void)state;
	out(PORT_B, (in(PORT_B) & ~0x02u) | 0x01);
	program(2, 0, 59659);
	begin = vtime_now(&rig.time);
	while ((in(PORT_B)&0x20) == 0) {
		rig_advance(&rig, 3000);
	}
	/* 50 ms, to the length of a poll. */
	assert_in_range(vtime_now(&rig.time) - begin, HZ / 20, HZ / 20 + 10000);
}

/* --- sleep between looks --- */

static struct {
	unsigned rests, ends;
	unsigned vcpu;
} slept;

static void sleeps(void *ctx, unsigned vcpu)
{
	assert_ptr_equal(ctx, &rig);
	slept.rests++;
	slept.vcpu = vcpu;
}

static void wakes(void *ctx, unsigned vcpu)
{
	assert_ptr_equal(ctx, &rig);
	assert_int_equal(vcpu, slept.vcpu);
	slept.ends++;
}

static uint8_t look(unsigned vcpu)
{
	struct vdev_access a = {
		.space = BUS_PIO, .addr = PORT_B, .offset = 0, .size = 1, .vcpu = vcpu};

	return (uint8_t)pit.dev.ops->read(&pit.dev, &a);
}

static void may_sleep(unsigned mode, unsigned count)
{
	const struct pit_rest rest = {sleeps, wakes, &rig};

	memset(&slept, 0, sizeof(slept));
	pit8254_set_rest(&pit, &rest);
	out(PORT_B, 1);
	program(2, mode, count);
}

/* The longest count: as many looks as it has parts, and the last sleep ends with the count. */
static void test_a_wait_is_slept_through(void **state)
{
	uint64_t begin;

	(void)state;
	may_sleep(0, 0xffff);
	begin = cycles_now();
	while ((look(3) & 0x20) == 0) {
		unsigned ends = slept.ends;

		assert_int_equal(slept.rests, ends + 1);
		assert_int_equal(slept.vcpu, 3);
		while (slept.ends == ends) {
			rig_advance(&rig, 1000);
		}
	}
	assert_in_range(cycles_now() - begin, 0xffff, 0xffff + 2);
	assert_in_range(slept.rests, PIT_REST_PART, PIT_REST_PART + 10);
	/* The wait is over: nobody sleeps. */
	(void)look(3);
	assert_int_equal(slept.rests, slept.ends);
}

static void test_only_waits_are_slept_through(void **state)
{
	(void)state;
	/* Linux' 10 ms. */
	may_sleep(0, 11931);
	(void)look(0);
	/* A tone, and the channel's count is no wait. */
	may_sleep(3, 0xffff);
	(void)look(0);
	/* Nothing runs. */
	may_sleep(0, 0xffff);
	out(PORT_B, 0);
	(void)look(0);
	/* Another port. */
	out(PORT_B, 1);
	(void)in(0x42);
	assert_int_equal(slept.rests, 0);
}

static void test_one_sleeps_at_a_time(void **state)
{
	(void)state;
	may_sleep(0, 0xffff);
	(void)look(1);
	(void)look(2);
	assert_int_equal(slept.rests, 1);
}

/* The timer has gone off on another CPU, and waits for the lock that a look holds. */
static void test_who_sleeps_is_woken_before_another_sleeps(void **state)
{
	(void)state;
	may_sleep(0, 0xffff);
	(void)look(1);
	vtimer_cancel(&pit.rested);
	(void)look(2);
	assert_int_equal(slept.rests, 1);
	pit.rested.fn(&pit.rested);
	assert_int_equal(slept.ends, 1);
	(void)look(2);
	assert_int_equal(slept.rests, 2);
}

/* Nobody else would wake it: its interrupts may be off. */
static void test_a_sleep_ends_with_what_it_waits_for(void **state)
{
	const struct saved_ops *ops = pit.saved.ops;
	void *bytes;

	(void)state;
	may_sleep(0, 0xffff);
	bytes = saved_bytes(&pit.saved);
	(void)look(1);
	pit.dev.ops->reset(&pit.dev);
	assert_int_equal(slept.ends, 1);
	/* As long as it would have been, and more. */
	rig_advance_ns(&rig, 1000000);
	assert_int_equal(slept.ends, 1);
	ops->load(&pit, bytes);
	(void)look(1);
	assert_int_equal(slept.rests, slept.ends + 1);
	ops->load(&pit, bytes);
	assert_int_equal(slept.rests, slept.ends);
	free(bytes);
}

static void test_refresh_toggles(void **state)
{
	unsigned changes = 0;
	uint8_t last = in(PORT_B)&0x10;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		rig_advance_ns(&rig, 1000);
		changes += (in(PORT_B)&0x10) != last;
		last = in(PORT_B)&0x10;
	}
	/* Every 15.086 us. */
	assert_in_range(changes, 65, 67);
}

static void test_paused_vm(void **state)
{
	unsigned before;

	(void)state;
	program(0, 2, 10000);
	rig_advance_ns(&rig, 1000000);
	before = latched(0);
	rig.line.rises = 0;
	vtime_pause(&rig.time);
	fake_tsc += 10 * HZ;
	timer_queue_run(&rig.queue, fake_tsc);
	assert_int_equal(latched(0), before);
	vtime_resume(&rig.time);
	assert_int_equal(latched(0), before);
	assert_int_equal(rig.line.rises, 0);
	rig_advance_ns(&rig, 10000000);
	assert_in_range(rig.line.rises, 1, 2);
}

static void test_reset_and_fini(void **state)
{
	(void)state;
	program(0, 2, 1000);
	out(PORT_B, 0x03);
	rig_advance_ns(&rig, 10000000);
	pit.dev.ops->reset(&pit.dev);
	assert_false(rig.line.level);
	assert_int_equal(in(PORT_B)&0xef, 0);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	program(0, 2, 1000);
	pit.dev.ops->fini(&pit.dev);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

#define T(name) cmocka_unit_test_setup(name, setup)

/* In the middle of all that can be under way: a fresh one that is loaded cannot be told from it. */
static void test_saved_and_loaded(void **state)
{
	static struct pit8254 other;
	static struct rig_line other_line;
	struct irq_line line = rig_irq(&other_line);

	(void)state;
	pit8254_set_waiting(&pit, waiting, &rig);
	program(0, 3, 11931);
	program(1, 4, 777);
	out(PORT_B, 0x03);
	program(2, 2, 0x2000);
	out(0x42, 0x34); /* half of a new count */
	guest_busy = true;
	to_cycle(5 * 11931 + 6000);
	guest_busy = false;
	out(CONTROL, 0xc6); /* latches count and status of 0 and 1 */
	assert_true(pit.owed > 2);
	other_line = (struct rig_line){0};
	pit8254_init(&other, &rig.time, &line);
	pit8254_set_waiting(&other, waiting, &rig);
	saved_move(&pit.saved, &other.saved);
	assert_int_equal(other_line.level, rig.line.level);
	other_line.rises = rig.line.rises;
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned port = 0x40; port < 0x43; port++) {
			assert_int_equal(in(port), rig_in(&other.dev, (uint16_t)port));
		}
		assert_int_equal(in(PORT_B), rig_in(&other.dev, PORT_B));
		assert_int_equal(rig.line.rises, other_line.rises);
		rig_advance_ns(&rig, 700123);
	}
	assert_true(rig.line.rises > 14);
	saved_reload(&other.saved);
	assert_int_equal(rig.line.level, other_line.level);
	vtimer_cancel(&other.timer);
}

static void test_checks_what_it_loads(void **state)
{
	(void)state;
	program(0, 2, 100);
#define TAKES(field, value) SAVED_TAKES(&pit.saved, struct pit8254_saved, field, value)
	assert_true(TAKES(owed, 32));
	assert_false(TAKES(owed, 33));
	assert_false(TAKES(port_b, 0x10));
	assert_false(TAKES(irq_level, 2));
	assert_true(TAKES(channels[0].count, 65536));
	assert_false(TAKES(channels[0].count, 65537));
	assert_false(TAKES(channels[0].count, 0));
	assert_false(TAKES(channels[0].next, 0));
	assert_false(TAKES(channels[2].has_next, 1)); /* without a count */
	assert_false(TAKES(channels[2].phase, 3));
	assert_false(TAKES(channels[2].control, 0x04));
	assert_false(TAKES(channels[2].control, 0x74));
	assert_false(TAKES(channels[2].latched_bytes, 3));
	assert_false(TAKES(channels[2].zero[1], 1));
#undef TAKES
}

static void load_and_run(struct pit8254_saved *changed)
{
	void *after;

	assert_null(pit.saved.ops->check(&pit, changed));
	pit.saved.ops->load(&pit, changed);
	rig_advance(&rig, 1000);
	after = saved_bytes(&pit.saved);
	assert_null(pit.saved.ops->check(&pit, after));
	free(after);
	free(changed);
}

/* Whatever has become of state that no program brings about. */
static void test_takes_what_it_saves(void **state)
{
	struct pit8254_saved *saved;

	(void)state;
	rig_advance(&rig, HZ);
	/* Ticks that are owed to a count that is over. */
	program(0, 0, 100);
	saved = saved_bytes(&pit.saved);
	saved->channels[0].start = 0;
	saved->edge = 0;
	saved->deadline = 0;
	saved->owed = 3;
	load_and_run(saved);
	/* A period that begins behind all time that there is. */
	program(0, 2, 0);
	saved = saved_bytes(&pit.saved);
	saved->channels[0].start = UINT64_MAX - 100000;
	saved->edge = 0;
	saved->deadline = 0;
	load_and_run(saved);
}

static void test_control_word_is_not_read(void **state)
{
	(void)state;
	pit.dev.lacks = &lacks_rig;
	assert_int_equal(in(CONTROL), 0xff);
	assert_int_equal(lacks_told("8254", LACKS_READ, CONTROL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_silent_after_reset),
		T(test_counts_after_reset),
		T(test_period_is_exact),
		T(test_mode_0_raises_once),
		T(test_control_word_can_raise_out),
		T(test_mode_3_and_4),
		T(test_channels_1_and_2_raise_nothing),
		T(test_count_and_interrupt_agree),
		T(test_absurd_rate_is_bounded),
		T(test_catch_up),
		T(test_catch_up_is_bounded),
		T(test_late_host),
		T(test_read_back),
		T(test_ports),
		T(test_gate_and_out_2),
		T(test_calibration_by_polling),
		T(test_a_wait_is_slept_through),
		T(test_only_waits_are_slept_through),
		T(test_one_sleeps_at_a_time),
		T(test_who_sleeps_is_woken_before_another_sleeps),
		T(test_a_sleep_ends_with_what_it_waits_for),
		T(test_refresh_toggles),
		T(test_paused_vm),
		T(test_reset_and_fini),
		cmocka_unit_test_setup(test_saved_and_loaded, setup),
		cmocka_unit_test_setup(test_checks_what_it_loads, setup),
		cmocka_unit_test_setup(test_takes_what_it_saves, setup),
		cmocka_unit_test_setup(test_control_word_is_not_read, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
