/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/acpi_pm.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"

#define HZ 2400000000ull
#define STS 0x600u
#define EN 0x602u
#define CNT 0x604u
#define TMR 0x608u
#define GPE_STS 0x620u
#define GPE_EN 0x622u
#define CF9 0xcf9u

static struct device_rig rig;
static struct acpi_pm pm;
static unsigned offs;
static unsigned resets;
static unsigned suspends;
static bool suspended; /* as a loaded state said */
static unsigned wakes;

static void count(void *ctx)
{
	/* The lock is free: the callback may look at the device. */
	(void)rig_in(&pm.dev, CF9);
	(*(unsigned *)ctx)++;
}

static void count_off(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	count(&offs);
}

static void count_reset(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	count(&resets);
}

/* These come with the lock held: one after the other. */
static void count_suspend(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	suspends++;
}

static void count_wake(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	wakes++;
	assert_int_equal(wakes, suspends);
}

static void note_suspended(void *ctx, bool now)
{
	assert_ptr_equal(ctx, &rig);
	suspended = now;
}

static void start(uint64_t hz)
{
	struct acpi_pm_config cfg = {.time = &rig.time,
				     .power_off = count_off,
				     .reset = count_reset,
				     .suspend = count_suspend,
				     .wake = count_wake,
				     .set_suspended = note_suspended,
				     .ctx = &rig};

	rig_init(&rig, hz);
	cfg.sci = rig_irq(&rig.line);
	offs = 0;
	resets = 0;
	suspends = 0;
	wakes = 0;
	acpi_pm_init(&pm, &cfg);
}

static int setup(void **state)
{
	(void)state;
	start(HZ);
	return 0;
}

static uint16_t in16(uint16_t port)
{
	return (uint16_t)rig_read(&pm.dev, BUS_PIO, port, 2);
}

static void out16(uint16_t port, uint16_t value)
{
	rig_write(&pm.dev, BUS_PIO, port, 2, value);
}

static uint32_t timer(void)
{
	return (uint32_t)rig_read(&pm.dev, BUS_PIO, TMR, 4);
}

static void power_on_state(void **state)
{
	(void)state;
	assert_int_equal(in16(STS), 0);
	assert_int_equal(in16(EN), 0);
	assert_int_equal(in16(CNT), ACPI_PM1_CNT_SCI_EN);
	assert_int_equal(in16(GPE_STS), 0);
	assert_int_equal(in16(GPE_EN), 0);
	assert_int_equal(rig_in(&pm.dev, CF9), 0);
	assert_int_equal(timer(), 0);
	for (uint16_t port = 0x600; port < 0x680; port += 4) {
		uint64_t expected = port == CNT ? 1 : 0;

		/* SMIs by software look enabled: there is no SMM to set up. */
		expected = port == 0x630 ? 0x20 : expected;
		assert_int_equal(rig_read(&pm.dev, BUS_PIO, port, 4), expected);
	}
}

static void timer_counts_without_drift(void **state)
{
	static const uint64_t speeds[] = {1000000, 3579545, 999999999, 2400000000, 5123456789};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		uint64_t seconds = 0;

		start(speeds[i]);
		for (unsigned step = 0; step < 30; step++) {
			uint64_t exact = seconds * ACPI_PM_TIMER_HZ;

			rig_to(&rig, seconds * speeds[i]);
			/* A year's seconds must not lose a count beyond rounding. */
			assert_int_equal(timer(), exact & 0xffffffff);
			seconds = seconds * 2 + 1 > 31536000 ? seconds + 1 : seconds * 2 + 1;
		}
	}
}

static void timer_is_monotonic(void **state)
{
	uint32_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t now;

		rig_advance(&rig, 61);
		now = timer();
		assert_in_range(now - last, 0, 1);
		last = now;
	}
	assert_int_equal(last, 10000ull * 61 * ACPI_PM_TIMER_HZ / HZ);
}

static void timer_wraps_at_32_bits(void **state)
{
	uint64_t turn = clock_muldiv(1ull << 32, HZ, ACPI_PM_TIMER_HZ);

	(void)state;
	rig_to(&rig, turn - 700);
	assert_int_equal(timer(), 0xfffffffe);
	rig_to(&rig, turn + 2000);
	assert_int_equal(timer(), 2);
}

static void timer_reads_narrow(void **state)
{
	(void)state;
	rig_advance(&rig, HZ * 100);
	assert_int_equal(timer(), 357954500);
	assert_int_equal(in16(TMR), 357954500 & 0xffff);
	assert_int_equal(in16(TMR + 2), 357954500 >> 16);
	assert_int_equal(rig_in(&pm.dev, TMR + 1), (357954500 >> 8) & 0xff);
	rig_write(&pm.dev, BUS_PIO, TMR, 4, 0);
	assert_int_equal(timer(), 357954500);
}

static void carry_is_seen_without_a_timer(void **state)
{
	(void)state;
	rig_advance(&rig, 599 * HZ);
	assert_int_equal(in16(STS), 0);
	rig_advance(&rig, 2 * HZ); /* bit 31 rises after 599.9 s */
	assert_int_equal(rig.timers_run, 0);
	assert_int_equal(in16(STS), ACPI_PM1_TMR);
	assert_false(rig.line.level);
	out16(STS, ACPI_PM1_TMR);
	assert_int_equal(in16(STS), 0);
	rig_advance(&rig, 600 * HZ); /* and falls */
	assert_int_equal(in16(STS), ACPI_PM1_TMR);
}

static void carry_interrupts(void **state)
{
	uint64_t half_turn = clock_muldiv(1ull << 31, HZ, ACPI_PM_TIMER_HZ);

	(void)state;
	out16(EN, ACPI_PM1_TMR);
	for (unsigned i = 1; i <= 5; i++) {
		rig_to(&rig, i * half_turn - 1000);
		assert_false(rig.line.level);
		rig_to(&rig, i * half_turn + 1500);
		assert_true(rig.line.level);
		out16(STS, ACPI_PM1_TMR);
		assert_false(rig.line.level);
	}
	assert_int_equal(rig.timers_run, 5);
	/* Not answered: the level stays and nothing more is timed. */
	rig_advance(&rig, 10 * half_turn);
	assert_int_equal(rig.timers_run, 6);
	assert_int_equal(rig.line.rises, 6);
	out16(EN, 0);
	assert_false(rig.line.level);
	out16(STS, ACPI_PM1_TMR);
	out16(EN, ACPI_PM1_TMR);
	assert_int_not_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	out16(EN, 0);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

/* A tick longer than a count: firing early, for nothing, would never end. */
static void carry_interrupts_on_a_slow_clock(void **state)
{
	(void)state;
	start(1000000);
	out16(EN, ACPI_PM1_TMR);
	for (unsigned i = 1; i <= 50; i++) {
		rig_to(&rig, i * 600000000ull);
		assert_true(rig.line.level);
		out16(STS, ACPI_PM1_TMR);
	}
	assert_int_equal(rig.timers_run, 50);
}

static void power_button(void **state)
{
	(void)state;
	acpi_pm_press_power_button(&pm);
	assert_false(rig.line.level);
	assert_int_equal(in16(STS), ACPI_PM1_PWRBTN);
	out16(EN, ACPI_PM1_PWRBTN | ACPI_PM1_GBL);
	assert_int_equal(in16(EN), ACPI_PM1_PWRBTN | ACPI_PM1_GBL);
	assert_true(rig.line.level);
	out16(STS, ACPI_PM1_TMR | ACPI_PM1_RTC); /* others */
	assert_true(rig.line.level);
	out16(STS, ACPI_PM1_PWRBTN);
	assert_false(rig.line.level);
	acpi_pm_press_power_button(&pm);
	acpi_pm_press_power_button(&pm);
	assert_int_equal(rig.line.rises, 2);
	acpi_pm_rtc_event(&pm);
	assert_int_equal(in16(STS), ACPI_PM1_PWRBTN | ACPI_PM1_RTC);
}

static void rtc_event(void **state)
{
	(void)state;
	out16(EN, ACPI_PM1_RTC);
	acpi_pm_rtc_event(&pm);
	assert_true(rig.line.level);
	assert_int_equal(in16(STS), ACPI_PM1_RTC);
	rig_out(&pm.dev, STS, 0xff); /* the other byte */
	assert_true(rig.line.level);
	rig_out(&pm.dev, STS + 1, 0xff);
	assert_false(rig.line.level);
}

static void byte_and_dword_accesses(void **state)
{
	(void)state;
	rig_out(&pm.dev, EN + 1, 0xff);
	assert_int_equal(in16(EN), 0x0700);
	rig_out(&pm.dev, EN, 0xff);
	assert_int_equal(in16(EN), 0x0721);
	rig_out(&pm.dev, EN + 1, 0);
	assert_int_equal(in16(EN), 0x0021);
	acpi_pm_press_power_button(&pm);
	assert_int_equal(rig_read(&pm.dev, BUS_PIO, STS, 4), 0x00210100);
	rig_write(&pm.dev, BUS_PIO, STS, 4, 0x01000100);
	assert_int_equal(rig_read(&pm.dev, BUS_PIO, STS, 4), 0x01000000);
}

static void soft_off(void **state)
{
	uint16_t s5 = LAYOUT_SLP_TYP_S5 << 10;

	(void)state;
	out16(CNT, s5); /* type alone */
	assert_int_equal(offs, 0);
	assert_int_equal(in16(CNT), s5 | ACPI_PM1_CNT_SCI_EN);
	out16(CNT, s5 | ACPI_PM1_CNT_SLP_EN);
	assert_int_equal(offs, 1);
	assert_int_equal(in16(CNT), s5 | ACPI_PM1_CNT_SCI_EN); /* SLP_EN reads 0 */
	rig_out(&pm.dev, CNT + 1, (LAYOUT_SLP_TYP_S5 << 10 | ACPI_PM1_CNT_SLP_EN) >> 8);
	assert_int_equal(offs, 2);
	rig_out(&pm.dev, CNT, 0xff); /* low byte: no SLP_EN there */
	assert_int_equal(offs, 2);
	assert_int_equal(in16(CNT), s5 | 3);
	for (uint16_t type = 1; type < 8; type++) {
		if (type != LAYOUT_SLP_TYP_S5 && type != LAYOUT_SLP_TYP_S3) {
			out16(CNT, (uint16_t)(type << 10) | ACPI_PM1_CNT_SLP_EN);
		}
	}
	assert_int_equal(offs, 2);
	assert_int_equal(resets, 0);
	assert_int_equal(suspends, 0);
	out16(CNT, 0);
	assert_int_equal(in16(CNT), ACPI_PM1_CNT_SCI_EN);
}

static void suspend(void)
{
	out16(CNT, LAYOUT_SLP_TYP_S3 << 10 | ACPI_PM1_CNT_SLP_EN);
}

/* The idea of off of stock firmware, and of small systems that do not read tables. */
static void soft_off_without_tables(void **state)
{
	(void)state;
	out16(CNT, LAYOUT_SLP_TYP_S0 << 10);
	assert_int_equal(offs, 0);
	out16(CNT, LAYOUT_SLP_TYP_S0 << 10 | ACPI_PM1_CNT_SLP_EN);
	assert_int_equal(offs, 1);
	out16(CNT, LAYOUT_SLP_TYP_S5 << 10 | ACPI_PM1_CNT_SLP_EN);
	assert_int_equal(offs, 2);
}

static void an_enabled_event_ends_s3(void **state)
{
	(void)state;
	out16(CNT, LAYOUT_SLP_TYP_S3 << 10); /* type alone */
	assert_int_equal(suspends, 0);
	out16(EN, ACPI_PM1_RTC | ACPI_PM1_TMR);
	suspend();
	assert_int_equal(suspends, 1);
	assert_int_equal(in16(STS), 0);
	/* The timer's carry interrupts, but wakes nobody. */
	rig_advance(&rig, 700 * HZ);
	assert_true(rig.line.level);
	assert_int_equal(wakes, 0);
	acpi_pm_rtc_event(&pm);
	assert_int_equal(wakes, 1);
	assert_int_equal(in16(STS), ACPI_PM1_WAK | ACPI_PM1_RTC | ACPI_PM1_TMR);
	/* Once. */
	acpi_pm_rtc_event(&pm);
	assert_int_equal(wakes, 1);
	/* WAK_STS interrupts nobody. */
	out16(STS, ACPI_PM1_RTC | ACPI_PM1_TMR);
	assert_int_equal(in16(STS), ACPI_PM1_WAK);
	assert_false(rig.line.level);
	out16(STS, ACPI_PM1_WAK);
	assert_int_equal(in16(STS), 0);
	assert_int_equal(offs, 0);
}

static void only_the_power_button_needs_no_enable_bit(void **state)
{
	(void)state;
	suspend();
	acpi_pm_rtc_event(&pm);
	acpi_pm_gpe(&pm, 3);
	assert_int_equal(wakes, 0);
	acpi_pm_press_power_button(&pm);
	assert_int_equal(wakes, 1);
	assert_int_equal(in16(STS), ACPI_PM1_WAK | ACPI_PM1_PWRBTN | ACPI_PM1_RTC);
	assert_false(rig.line.level);
	out16(GPE_EN, 0x0010);
	suspend();
	acpi_pm_gpe(&pm, 4);
	assert_int_equal(wakes, 2);
}

static void an_event_that_waits_ends_s3_at_once(void **state)
{
	(void)state;
	acpi_pm_rtc_event(&pm);
	out16(EN, ACPI_PM1_RTC);
	suspend();
	assert_int_equal(suspends, 1);
	assert_int_equal(wakes, 1);
	assert_int_equal(in16(STS), ACPI_PM1_WAK | ACPI_PM1_RTC);
	/* A reset ends it without waking anybody. */
	out16(STS, 0xffff);
	suspend();
	pm.dev.ops->reset(&pm.dev);
	acpi_pm_press_power_button(&pm);
	assert_int_equal(wakes, 1);
	assert_int_equal(in16(STS), ACPI_PM1_PWRBTN);
}

static void without_callbacks_there_is_no_s3(void **state)
{
	struct acpi_pm_config cfg = {.time = &rig.time};

	(void)state;
	acpi_pm_init(&pm, &cfg);
	suspend();
	acpi_pm_press_power_button(&pm);
	assert_int_equal(in16(STS), ACPI_PM1_PWRBTN);
}

static void general_purpose_events(void **state)
{
	(void)state;
	acpi_pm_gpe(&pm, 9);
	acpi_pm_gpe(&pm, 16);
	acpi_pm_gpe(&pm, 4000000000u);
	assert_int_equal(in16(GPE_STS), 0x0200);
	rig_out(&pm.dev, GPE_EN, 0xff);
	assert_false(rig.line.level);
	rig_out(&pm.dev, GPE_EN + 1, 0xff);
	assert_true(rig.line.level);
	acpi_pm_gpe(&pm, 0);
	assert_int_equal(in16(GPE_STS), 0x0201);
	out16(GPE_STS, 0x0200);
	assert_true(rig.line.level);
	out16(GPE_STS, 0x0001);
	assert_false(rig.line.level);
	assert_int_equal(in16(GPE_EN), 0xffff);
}

static void reset_register(void **state)
{
	(void)state;
	rig_out(&pm.dev, CF9, 0x02); /* Linux: first without, */
	assert_int_equal(resets, 0);
	assert_int_equal(rig_in(&pm.dev, CF9), 0x02);
	rig_out(&pm.dev, CF9, 0x06); /* then with RST_CPU */
	assert_int_equal(resets, 1);
	assert_int_equal(rig_in(&pm.dev, CF9), 0x06);
	rig_out(&pm.dev, CF9, 0x0e); /* no rising edge */
	assert_int_equal(resets, 1);
	rig_out(&pm.dev, CF9, 0xf1);
	assert_int_equal(rig_in(&pm.dev, CF9), 0);
	rig_out(&pm.dev, CF9, 0x0e);
	assert_int_equal(resets, 2);
	assert_int_equal(offs, 0);
}

static void reset_returns_to_power_on(void **state)
{
	(void)state;
	out16(EN, 0x0721);
	out16(GPE_EN, 0xffff);
	acpi_pm_gpe(&pm, 1);
	acpi_pm_press_power_button(&pm);
	out16(CNT, LAYOUT_SLP_TYP_S5 << 10);
	rig_out(&pm.dev, CF9, 0x0a);
	pm.dev.ops->reset(&pm.dev);
	assert_false(rig.line.level);
	power_on_state(state);
	rig_advance(&rig, 700 * HZ);
	assert_int_equal(rig.timers_run, 0);
	pm.dev.ops->reset(&pm.dev); /* forgets a carry nobody looked at */
	assert_int_equal(in16(STS), 0);
	out16(EN, ACPI_PM1_TMR);
	pm.dev.ops->fini(&pm.dev);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

static void pause_stops_the_timer(void **state)
{
	(void)state;
	rig_advance(&rig, HZ);
	vtime_pause(&rig.time);
	fake_tsc += 50 * HZ;
	assert_int_equal(timer(), ACPI_PM_TIMER_HZ);
	vtime_resume(&rig.time);
	rig_advance(&rig, HZ);
	assert_int_equal(timer(), 2 * ACPI_PM_TIMER_HZ);
}

static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	out16(EN, ACPI_PM1_TMR | ACPI_PM1_RTC);
	out16(GPE_EN, 0x8000);
	rig_out(&pm.dev, CF9, ACPI_PM_RESET_SYS_RST);
	acpi_pm_gpe(&pm, 15);
	rig_advance(&rig, HZ * 100);
	assert_true(rig.line.level);
	saved_reload(&pm.saved);
	assert_true(rig.line.level);
	assert_int_equal(in16(GPE_STS), 0x8000);
	assert_int_equal(rig_in(&pm.dev, CF9), ACPI_PM_RESET_SYS_RST);
	out16(GPE_STS, 0x8000);
	assert_false(rig.line.level);
	/* The timer's carry, which comes after some 600 seconds, interrupts as it was to. */
	rig_advance(&rig, HZ * 520);
	assert_true(rig.line.level);
	assert_int_equal(in16(STS), ACPI_PM1_TMR);
}

/* A sleep lasts, and ends by what was to end it. */
static void a_sleep_is_loaded(void **state)
{
	(void)state;
	out16(EN, ACPI_PM1_RTC);
	out16(CNT, LAYOUT_SLP_TYP_S3 << 10 | ACPI_PM1_CNT_SLP_EN);
	assert_int_equal(suspends, 1);
	suspended = false;
	saved_reload(&pm.saved);
	assert_true(suspended);
	assert_int_equal(suspends, 1);
	assert_int_equal(wakes, 0);
	acpi_pm_rtc_event(&pm);
	assert_int_equal(wakes, 1);
	saved_reload(&pm.saved);
	assert_false(suspended);
}

static void what_no_program_can_make_of_it_is_refused(void **state)
{
	struct acpi_pm_saved ahead = {.half_turns = UINT64_MAX, .pm1_en = ACPI_PM1_TMR};

	(void)state;
#define TAKES(field, value) SAVED_TAKES(&pm.saved, struct acpi_pm_saved, field, value)
	assert_false(TAKES(pm1_sts, 0x0800));
	assert_false(TAKES(pm1_en, 0x8000));
	assert_false(TAKES(pm1_cnt, 0x2000));
	assert_false(TAKES(reset_control, 1));
	assert_true(TAKES(asleep, 1));
	assert_false(TAKES(asleep, 2));
	out16(GPE_EN, 1);
	acpi_pm_gpe(&pm, 0);
	assert_false(TAKES(asleep, 1)); /* with something to wake it */
#undef TAKES
	/* Turns to come: the timer is armed for none that is over already. */
	assert_null(pm.saved.ops->check(&pm, &ahead));
	pm.saved.ops->load(&pm, &ahead);
	assert_true(timer_queue_next(&rig.queue) > fake_tsc);
}

static void what_is_not_there_is_told(void **state)
{
	static const uint16_t there[] = {0x600, 0x602, 0x604, 0x608, 0x60a, 0x620, 0x622, 0x630};

	(void)state;
	pm.dev.lacks = &lacks_rig;
	lacks_rig = (struct lacks){.total = 0};
	for (unsigned i = 0; i < sizeof(there) / sizeof(*there); i++) {
		(void)in16(there[i]);
	}
	assert_int_equal(lacks_rig.total, 0);
	(void)rig_in(&pm.dev, 0x634);
	assert_int_equal(lacks_told("ACPI PM", LACKS_READ, 0x34), 1);
	rig_out(&pm.dev, 0x660, 1); /* TCO_RLD */
	assert_int_equal(lacks_told("ACPI PM", LACKS_WRITE, 0x60), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(power_on_state),
		T(timer_counts_without_drift),
		T(timer_is_monotonic),
		T(timer_wraps_at_32_bits),
		T(timer_reads_narrow),
		T(carry_is_seen_without_a_timer),
		T(carry_interrupts),
		T(carry_interrupts_on_a_slow_clock),
		T(power_button),
		T(rtc_event),
		T(byte_and_dword_accesses),
		T(soft_off),
		T(soft_off_without_tables),
		T(an_enabled_event_ends_s3),
		T(only_the_power_button_needs_no_enable_bit),
		T(an_event_that_waits_ends_s3_at_once),
		T(without_callbacks_there_is_no_s3),
		T(general_purpose_events),
		T(reset_register),
		T(reset_returns_to_power_on),
		T(pause_stops_the_timer),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(a_sleep_is_loaded, setup),
		cmocka_unit_test_setup(what_no_program_can_make_of_it_is_refused, setup),
		cmocka_unit_test_setup(what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
