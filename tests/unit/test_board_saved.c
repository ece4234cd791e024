/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a whole board, from one board to another. */
#include "tests/fakes/board_rig.h"
#include "tests/fakes/saved_rig.h"

static uint8_t *save_all(void)
{
	uint8_t *bytes = calloc(1, saved_size(&saved));

	assert_non_null(bytes);
	saved_save(&saved, bytes);
	return bytes;
}

/* Into another board, at another time: the same bytes come out. */
static void load_all(const uint8_t *bytes)
{
	char error[160];
	uint8_t *after;

	vtime_pause(&rig.time);
	if (!saved_load(&saved, bytes, saved_size(&saved), error, sizeof(error))) {
		fail_msg("%s", error);
	}
	after = save_all();
	assert_memory_equal(bytes, after, saved_size(&saved));
	free(after);
	vtime_resume(&rig.time);
}

static unsigned ticks_taken(void)
{
	unsigned ticks = 0;

	for (unsigned i = 0; i < 100; i++) {
		rig_advance_ns(&rig, 1000000);
		if (board_pending(board, 0) == BOARD_EXTINT) {
			assert_int_equal(board_accept(board, 0), 0x08);
			outb(0x20, 0x20);
			ticks++;
		}
	}
	return ticks;
}

static void another_board_goes_on(void **state)
{
	uint8_t *bytes;

	(void)state;
	teardown(state);
	assert_int_equal(build(true, MIB(512), true), 0);
	board_set_bios_state(board);
	outb(0x43, 0x34); /* 100 Hz */
	outb(0x40, 0x9b);
	outb(0x40, 0x2e);
	assert_int_equal(ticks_taken(), 11); /* OUT rises with the control word, too */
	ioapic_write(0x10 + 2 * 18, 0x8031); /* a level, of PCI and nobody else */
	lapic_write(0xf0, 0x1ff);
	ioapic_set_line(&board->ioapic, 18, true);
	bytes = save_all();
	teardown(state);
	assert_int_equal(build(true, MIB(512), true), 0);
	rig_advance_ns(&rig, 77777777);
	load_all(bytes);
	free(bytes);
	assert_int_equal(ticks_taken(), 10);
	assert_int_equal(lapic_highest_irr(board_lapic(board, 0)), 0x31);
}

/* Each start measures the TSC anew: periods, deadlines and clocks are those of before. */
static void a_board_of_another_rate_goes_on(void **state)
{
	char error[160];
	uint8_t *bytes;
	uint64_t ns;

	(void)state;
	board_set_bios_state(board);
	outb(0x43, 0x34); /* 100 Hz */
	outb(0x40, 0x9b);
	outb(0x40, 0x2e);
	outb(0x21, 0xff); /* for now */
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x320, 0x20040); /* each 50 ms */
	lapic_write(0x3e0, 0xb);
	lapic_write(0x380, 50000000);
	rig_advance_ns(&rig, 10025000000);
	assert_int_equal(board_accept(board, 0), 0x40);
	lapic_write(0xb0, 0);
	rig_advance_ns(&rig, 100000000);
	ns = vtime_now_ns(&rig.time);
	bytes = save_all();
	teardown(state);
	hz = HZ / 3 * 2;
	assert_int_equal(build(true, MIB(512), false), 0);
	hz = HZ;
	vtime_pause(&rig.time);
	assert_true(saved_load(&saved, bytes, saved_size(&saved), error, sizeof(error)));
	vtime_resume(&rig.time);
	free(bytes);
	assert_in_range(vtime_now_ns(&rig.time), ns - 10, ns + 10);
	assert_int_equal(board_accept(board, 0), 0x40);
	lapic_write(0xb0, 0);
	rig_advance_ns(&rig, 24000000);
	assert_int_equal(lapic_highest_irr(board_lapic(board, 0)), -1);
	rig_advance_ns(&rig, 2000000);
	assert_int_equal(lapic_highest_irr(board_lapic(board, 0)), 0x40);
	assert_int_equal(board_accept(board, 0), 0x40);
	lapic_write(0x320, 0x30040);
	outb(0x21, 0xb8);
	assert_in_range(ticks_taken(), 9, 11);
}

/* A watchdog of a guest has the timer's input as an NMI: a reload must not be a tick to it. */
static void a_reload_with_the_hpet_is_no_edge(void **state)
{
	uint8_t *bytes;

	teardown(state);
	assert_int_equal(build(true, MIB(512), true), 0);
	outb(0x43, 0x36);
	outb(0x40, 0);
	outb(0x40, 0);
	rig_advance_ns(&rig, 60000000);
	write32(LAYOUT_HPET_BASE + 0x10, HPET_ENABLE | HPET_LEGACY);
	assert_line(0, 2, false);
	lapic_write(0xf0, 0x1ff);
	ioapic_write(0x10 + 2 * 2, 0x400);
	bytes = save_all();
	saved_reset(&saved);
	load_all(bytes);
	free(bytes);
	assert_int_equal(seen.nmis[0], 0);
}

/* What each device needs before it: interrupts are loaded first, and time before all. */
static void the_order_of_loading(void **state)
{
	const char *order[] = {"guest time", "LAPIC", "LAPIC",		 "APIC bus",
			       "IOAPIC",     "8259",  "interrupt lines", "8254",
			       "HPET",	     "RTC",   "ACPI PM",	 "8042",
			       "16550",	     "8237",  "misc ports",	 "PCI host"};
	unsigned n = 0;

	(void)state;
	list_for_each (it, &saved.devices) {
		assert_true(n < ARRAY_SIZE(order));
		assert_string_equal(list_entry(it, struct saved_device, node)->ops->name, order[n]);
		n++;
	}
	assert_int_equal(n, ARRAY_SIZE(order));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(another_board_goes_on),
		TEST(a_board_of_another_rate_goes_on),
		TEST(a_reload_with_the_hpet_is_no_edge),
		TEST(the_order_of_loading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
