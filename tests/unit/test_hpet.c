/* SPDX-License-Identifier: Apache-2.0 */
/* One guest tick is one cycle of the counter here, so that all moments are exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/hpet.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"

#define T(n) (0x100u + 0x20u * (n))
#define CMP(n) (T(n) + 8u)
#define MSG(n) (T(n) + 0x10u)
#define EDGE HPET_TN_INTERRUPT
#define ON_GSI(n) ((unsigned)(n) << 9)

static struct hpet h;
static struct device_rig rig;
static struct rig_line gsis[24];
static struct rig_line legacy[16];
static bool replaced;
static unsigned replacements;
static unsigned messages;
static uint64_t message_address;
static uint32_t message_data;

static void set_gsi(void *ctx, unsigned gsi, bool level)
{
	assert_ptr_equal(ctx, &rig);
	assert_true((HPET_ROUTES & 1u << gsi) != 0);
	rig_set_line(&gsis[gsi], 0, level);
}

static void set_legacy(void *ctx, unsigned irq, bool level)
{
	assert_ptr_equal(ctx, &rig);
	assert_true(replaced);
	assert_true(irq == 0 || irq == 8);
	rig_set_line(&legacy[irq], 0, level);
}

static void replace(void *ctx, bool on)
{
	assert_ptr_equal(ctx, &rig);
	assert_int_not_equal(on, replaced);
	assert_false(legacy[0].level || legacy[8].level);
	replaced = on;
	replacements++;
}

static void message(void *ctx, uint64_t address, uint32_t data)
{
	assert_ptr_equal(ctx, &rig);
	message_address = address;
	message_data = data;
	messages++;
}

static int setup(void **state)
{
	struct hpet_config cfg = {.time = &rig.time,
				  .gsi = set_gsi,
				  .legacy = set_legacy,
				  .replace = replace,
				  .message = message,
				  .ctx = &rig};

	(void)state;
	rig_init(&rig, HPET_HZ);
	memset(gsis, 0, sizeof(gsis));
	memset(legacy, 0, sizeof(legacy));
	replaced = false;
	replacements = 0;
	messages = 0;
	hpet_init(&h, &cfg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	h.dev.ops->fini(&h.dev);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	return 0;
}

static uint64_t rd(uint64_t offset, unsigned size)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	return h.dev.ops->read(&h.dev, &a) & (size == 8 ? ~0ull : 0xffffffff);
}

static void wr(uint64_t offset, unsigned size, uint64_t value)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	h.dev.ops->write(&h.dev, &a, value);
}

static void enable(void)
{
	wr(0x10, 4, HPET_ENABLE);
}

/* So many edges since the last look, and the line is low. */
static unsigned edges(struct rig_line *l)
{
	unsigned n = l->rises;

	assert_int_equal(l->rises, l->falls);
	assert_false(l->level);
	l->rises = 0;
	l->falls = 0;
	return n;
}

static void it_says_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(rd(0, 4), 0x8086a201);
	assert_int_equal(rd(4, 4), 69841279);
	assert_int_equal(rd(0, 8) >> 32, 69841279);
	assert_int_equal(rd(T(2), 8), 0x00f0000000008030);
	assert_int_equal(rd(CMP(0), 8) + 1, 0);
	/* Reserved, and what is not an access of the specification. */
	assert_int_equal(rd(T(3), 8), 0);
	assert_int_equal(rd(0x3f8, 8), 0);
	assert_int_equal(rd(0x18, 8), 0);
	assert_int_equal(rd(0, 2) & 0xffff, 0);
	assert_int_equal(rd(4, 8), 0);
	wr(T(3), 8, ~0ull);
	wr(0, 8, 0);
	wr(0x10, 1, 1);
	assert_int_equal(rd(0x10, 4), 0);
	assert_int_equal(rd(0, 4), 0x8086a201);
	wr(T(0), 8, ~0ull);
	assert_int_equal(rd(T(0), 4), 0x8030 | (0x7f4e & ~0x3e40u));
}

static bool is_missed(uint64_t offset, bool write)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = 4};

	h.dev.lacks = &lacks_rig;
	if (write) {
		h.dev.ops->write(&h.dev, &a, 0);
	} else {
		(void)h.dev.ops->read(&h.dev, &a);
	}
	return lacks_told("HPET", write ? LACKS_WRITE : LACKS_READ, (uint32_t)offset) == 1;
}

static void what_is_no_register_is_told(void **state)
{
	(void)state;
	assert_false(is_missed(0, false));
	assert_false(is_missed(0x24, true));
	assert_false(is_missed(0xf4, false));
	assert_false(is_missed(T(2) + 0x18, false)); /* reserved for the timer */
	assert_true(is_missed(0x18, false));
	assert_true(is_missed(0x3f8, true));
	assert_true(is_missed(T(3), false));
}

static void the_counter_counts_while_enabled(void **state)
{
	(void)state;
	rig_advance(&rig, 1000);
	assert_int_equal(rd(0xf0, 8), 0);
	wr(0xf0, 8, 0xfffffff0);
	enable();
	rig_advance(&rig, 0x20);
	assert_int_equal(rd(0xf0, 8), 0x100000010);
	assert_int_equal(rd(0xf0, 4), 0x10);
	assert_int_equal(rd(0xf4, 4), 1);
	wr(0x10, 4, 0);
	rig_advance(&rig, 500);
	assert_int_equal(rd(0xf0, 8), 0x100000010);
	/* A half at a time. */
	wr(0xf4, 4, 7);
	assert_int_equal(rd(0xf0, 8), 0x700000010);
	wr(0xf0, 4, 1);
	assert_int_equal(rd(0xf0, 8), 0x700000001);
}

static void one_shot_at_its_moment(void **state)
{
	(void)state;
	wr(T(1), 4, EDGE | ON_GSI(21));
	wr(CMP(1), 8, 1000);
	rig_advance(&rig, 2000);
	assert_int_equal(edges(&gsis[21]), 0);
	enable();
	rig_advance(&rig, 999);
	assert_int_equal(edges(&gsis[21]), 0);
	rig_advance(&rig, 2);
	assert_int_equal(edges(&gsis[21]), 1);
	rig_advance(&rig, HPET_HZ);
	assert_int_equal(edges(&gsis[21]), 0);
	assert_int_equal(rd(0x20, 8), 0);
	/* What is past does not match, nor what is now. */
	wr(CMP(1), 8, 5);
	wr(CMP(1), 8, rd(0xf0, 8));
	rig_advance(&rig, HPET_HZ);
	assert_int_equal(edges(&gsis[21]), 0);
	/* The counter is moved in front of it, or behind it. */
	wr(CMP(1), 8, 5000);
	wr(0xf0, 8, 4000);
	rig_advance(&rig, 1001);
	assert_int_equal(edges(&gsis[21]), 1);
	/* Not enabled, routed nowhere, halted: nothing. */
	wr(0xf0, 8, 4000);
	wr(T(1), 4, ON_GSI(21));
	rig_advance(&rig, 1001);
	wr(T(1), 4, EDGE | ON_GSI(5));
	assert_int_equal(rd(T(1), 4) & HPET_TN_ROUTE, 0);
	wr(0xf0, 8, 4000);
	rig_advance(&rig, 1001);
	wr(T(1), 4, EDGE | ON_GSI(21));
	wr(0xf0, 8, 4000);
	wr(0x10, 4, 0);
	rig_advance(&rig, 2000);
	assert_int_equal(edges(&gsis[21]), 0);
	assert_int_equal(rig.queue.next, TIMER_NEVER);
}

static void thirty_two_bits_come_round(void **state)
{
	(void)state;
	wr(0xf0, 8, 0x1fffffff0);
	wr(T(0), 4, EDGE | HPET_TN_32 | ON_GSI(20));
	wr(CMP(0), 8, 0x500000010);
	assert_int_equal(rd(CMP(0), 8), 0x10);
	enable();
	rig_advance(&rig, 0x21);
	assert_int_equal(edges(&gsis[20]), 1);
	rig_advance(&rig, 1ull << 32);
	assert_int_equal(edges(&gsis[20]), 1);
	/* The same value in 64 bits lies behind. */
	wr(T(0), 4, EDGE | ON_GSI(20));
	wr(CMP(0), 8, 0x10);
	rig_advance(&rig, 1ull << 32);
	assert_int_equal(edges(&gsis[20]), 0);
}

/* As Linux sets its tick up: the first write is both, the second the period only. */
static void periodic_adds_its_period(void **state)
{
	(void)state;
	enable();
	rig_advance(&rig, 100);
	wr(T(0), 4, EDGE | HPET_TN_PERIODIC | HPET_TN_SET_VALUE | HPET_TN_32 | ON_GSI(22));
	wr(CMP(0), 4, 1000);
	wr(CMP(0), 4, 5000);
	assert_int_equal(rd(CMP(0), 4), 1000);
	rig_to(&rig, 1001);
	assert_int_equal(edges(&gsis[22]), 1);
	assert_int_equal(rd(CMP(0), 4), 6000);
	for (unsigned i = 1; i <= 10; i++) {
		rig_to(&rig, 1000 + i * 5000 - 1);
		assert_int_equal(edges(&gsis[22]), 0);
		rig_to(&rig, 1000 + i * 5000 + 1);
		assert_int_equal(edges(&gsis[22]), 1);
	}
	/* Late: one interrupt, and the comparator has kept pace. */
	rig_oversleep(&rig, 5000 * 7);
	assert_int_equal(edges(&gsis[22]), 1);
	assert_int_equal(rd(CMP(0), 4), 1000 + 18 * 5000);
	/* A short period is merged. */
	wr(T(0), 4, EDGE | HPET_TN_PERIODIC | HPET_TN_SET_VALUE | ON_GSI(22));
	wr(CMP(0), 8, rd(0xf0, 8) + 10);
	wr(CMP(0), 8, 1);
	rig.timers_run = 0;
	rig_advance(&rig, 286 * 100);
	assert_in_range(rig.timers_run, 90, 105);
	assert_in_range(edges(&gsis[22]), 90, 105);
	/* Without a period it matches once. */
	wr(CMP(0), 8, 0);
	wr(T(0), 4, EDGE | HPET_TN_PERIODIC | HPET_TN_SET_VALUE | ON_GSI(22));
	wr(CMP(0), 8, rd(0xf0, 8) + 10);
	wr(CMP(0), 8, 0);
	rig_advance(&rig, HPET_HZ);
	assert_int_equal(edges(&gsis[22]), 1);
}

static void level_lines_wait_for_their_status(void **state)
{
	(void)state;
	enable();
	wr(T(2), 4, HPET_TN_LEVEL | HPET_TN_INTERRUPT | ON_GSI(23));
	wr(CMP(2), 8, 1000);
	rig_advance(&rig, 1001);
	assert_true(gsis[23].level);
	assert_int_equal(rd(0x20, 8), 4);
	wr(0x20, 4, 3);
	assert_true(gsis[23].level);
	/* Off and on by its own bit and by the whole timer's; the status stays. */
	wr(T(2), 4, HPET_TN_LEVEL | ON_GSI(23));
	assert_false(gsis[23].level);
	wr(T(2), 4, HPET_TN_LEVEL | HPET_TN_INTERRUPT | ON_GSI(20));
	assert_true(gsis[20].level);
	wr(0x10, 4, 0);
	assert_false(gsis[20].level);
	enable();
	assert_true(gsis[20].level);
	wr(T(2), 4, HPET_TN_LEVEL | HPET_TN_INTERRUPT | ON_GSI(21));
	assert_false(gsis[20].level);
	assert_true(gsis[21].level);
	wr(0x20, 8, 4);
	assert_false(gsis[21].level);
	assert_int_equal(rd(0x20, 8), 0);
	/* A timer that turns to edges forgets. */
	wr(CMP(2), 8, rd(0xf0, 8) + 10);
	rig_advance(&rig, 11);
	assert_true(gsis[21].level);
	wr(T(2), 4, EDGE | ON_GSI(21));
	assert_false(gsis[21].level);
	assert_int_equal(rd(0x20, 8), 0);
}

static void timers_may_share_a_line(void **state)
{
	(void)state;
	enable();
	wr(T(0), 4, HPET_TN_LEVEL | HPET_TN_INTERRUPT | ON_GSI(20));
	wr(T(1), 4, HPET_TN_LEVEL | HPET_TN_INTERRUPT | ON_GSI(20));
	wr(T(2), 4, EDGE | ON_GSI(20));
	wr(CMP(0), 8, 1000);
	wr(CMP(1), 8, 2000);
	wr(CMP(2), 8, 3000);
	rig_advance(&rig, 3001);
	assert_int_equal(rd(0x20, 8), 3);
	assert_int_equal(gsis[20].rises, 1);
	wr(0x20, 4, 1);
	assert_true(gsis[20].level);
	wr(0x20, 4, 2);
	assert_false(gsis[20].level);
}

static void legacy_replacement_takes_two_lines(void **state)
{
	(void)state;
	wr(T(0), 4, EDGE | ON_GSI(20));
	wr(T(1), 4, HPET_TN_LEVEL | HPET_TN_INTERRUPT | ON_GSI(21));
	wr(T(2), 4, EDGE | ON_GSI(22));
	for (unsigned i = 0; i < 3; i++) {
		wr(CMP(i), 8, 1000);
	}
	wr(0x10, 4, HPET_ENABLE | HPET_LEGACY);
	assert_true(replaced);
	rig_advance(&rig, 1001);
	assert_int_equal(edges(&legacy[0]), 1);
	assert_true(legacy[8].level);
	assert_int_equal(edges(&gsis[22]), 1);
	assert_int_equal(edges(&gsis[20]), 0);
	/* Back, with a line asserted: `replace` looks that nobody holds the two. */
	wr(0x10, 4, HPET_ENABLE);
	assert_false(replaced);
	assert_true(gsis[21].level);
	wr(0x10, 4, HPET_ENABLE | HPET_LEGACY);
	assert_false(gsis[21].level);
	assert_true(legacy[8].level);
	assert_int_equal(replacements, 3);
	h.dev.ops->reset(&h.dev);
	assert_false(replaced);
	assert_false(legacy[8].level);
	assert_int_equal(rd(0x10, 4), 0);
	assert_int_equal(rd(CMP(1), 8) + 1, 0);
}

static void messages_go_where_they_are_told(void **state)
{
	(void)state;
	wr(T(1), 4, EDGE | HPET_TN_MESSAGE | ON_GSI(21));
	wr(MSG(1), 4, 0x4031);
	wr(MSG(1) + 4, 4, 0xfee01000);
	assert_int_equal(rd(MSG(1), 8), 0xfee0100000004031);
	wr(CMP(1), 8, 1000);
	wr(0x10, 4, HPET_ENABLE | HPET_LEGACY);
	rig_advance(&rig, 1001);
	assert_int_equal(messages, 1);
	assert_int_equal(message_address, 0xfee01000);
	assert_int_equal(message_data, 0x4031);
	assert_int_equal(edges(&gsis[21]) + edges(&legacy[8]), 0);
}

static void time_that_stands_still(void **state)
{
	(void)state;
	enable();
	wr(T(0), 4, EDGE | ON_GSI(20));
	wr(CMP(0), 8, 1000);
	rig_advance(&rig, 500);
	vtime_pause(&rig.time);
	fake_tsc += 5000;
	assert_int_equal(rd(0xf0, 8), 500);
	vtime_resume(&rig.time);
	rig_advance(&rig, 499);
	assert_int_equal(edges(&gsis[20]), 0);
	rig_advance(&rig, 2);
	assert_int_equal(edges(&gsis[20]), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void a_loaded_one_goes_on(void **state)
{
	uint64_t counter;

	(void)state;
	enable();
	wr(T(0), 8, EDGE | HPET_TN_PERIODIC | HPET_TN_SET_VALUE | ON_GSI(20));
	wr(CMP(0), 8, 10000);
	wr(CMP(0), 8, 10000);
	wr(T(1), 8, EDGE | HPET_TN_LEVEL | ON_GSI(21));
	wr(CMP(1), 8, 15000);
	wr(T(2), 8, EDGE | HPET_TN_32 | HPET_TN_MESSAGE);
	wr(CMP(2), 8, 40000);
	rig_advance(&rig, 25000);
	assert_int_equal(gsis[20].rises, 2);
	assert_true(gsis[21].level);
	counter = rd(0xf0, 8);
	saved_reload(&h.saved);
	assert_true(gsis[21].level);
	assert_int_equal(rd(0xf0, 8), counter);
	rig_advance(&rig, 4999);
	assert_int_equal(gsis[20].rises, 2);
	rig_advance(&rig, 20002);
	assert_int_equal(gsis[20].rises, 5);
	assert_int_equal(messages, 1);
	wr(0x20, 8, 2);
	assert_false(gsis[21].level);
	/* Onto one that is in that state already: nothing moves. */
	saved_move(&h.saved, &h.saved);
	assert_int_equal(gsis[21].rises, 2);
}

/* Nothing of it is heard outside but that its own lines fall and rise. */
static void a_reset_before_loading_gives_no_line_back(void **state)
{
	(void)state;
	wr(T(0), 4, EDGE | HPET_TN_LEVEL);
	wr(CMP(0), 8, 1000);
	wr(0x10, 4, HPET_ENABLE | HPET_LEGACY);
	rig_advance(&rig, 1001);
	assert_true(legacy[0].level);
	assert_int_equal(replacements, 1);
	h.saved.ops->reset(h.saved.dev);
	assert_false(legacy[0].level);
	assert_int_equal(rd(0x10, 4), 0);
	replaced = false; /* the board's lines are reset, too */
	wr(0x10, 4, HPET_ENABLE | HPET_LEGACY);
	assert_int_equal(replacements, 2);
	saved_reload(&h.saved);
	assert_int_equal(replacements, 2);
	assert_int_equal(rd(0x10, 4), HPET_ENABLE | HPET_LEGACY);
}

static void what_no_program_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&h.saved, struct hpet_saved, field, value)
	assert_true(TAKES(config, 3));
	assert_false(TAKES(config, 4));
	assert_false(TAKES(status, 8));
	assert_false(TAKES(timers[0].state.config, 1));
	assert_false(TAKES(timers[0].state.config, ON_GSI(19)));
	assert_true(TAKES(timers[0].state.config, ON_GSI(20)));
	assert_false(TAKES(timers[1].asserted, 1)); /* of no line */
	assert_false(TAKES(timers[1].asserted, 2));
	assert_false(TAKES(timers[1].route, 20));
	assert_false(TAKES(timers[2].zero[0], 1));
#undef TAKES
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_what_it_is),
		TEST(what_is_no_register_is_told),
		TEST(the_counter_counts_while_enabled),
		TEST(one_shot_at_its_moment),
		TEST(thirty_two_bits_come_round),
		TEST(periodic_adds_its_period),
		TEST(level_lines_wait_for_their_status),
		TEST(timers_may_share_a_line),
		TEST(legacy_replacement_takes_two_lines),
		TEST(messages_go_where_they_are_told),
		TEST(time_that_stands_still),
		cmocka_unit_test_setup_teardown(a_loaded_one_goes_on, setup, teardown),
		TEST(a_reset_before_loading_gives_no_line_back),
		cmocka_unit_test_setup(what_no_program_can_make_of_it_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
