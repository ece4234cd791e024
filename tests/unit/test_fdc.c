/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller's registers, resets and interrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/fdc_rig.h"

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

static void sense(uint8_t st0, uint8_t pcn)
{
	uint8_t result[2];

	RIG_COMMAND(0x08);
	rig_result(result, 2);
	assert_int_equal(result[0], st0);
	assert_int_equal(result[1], pcn);
}

static void nothing_to_sense(void)
{
	uint8_t result;

	RIG_COMMAND(0x08);
	rig_result(&result, 1);
	assert_int_equal(result, 0x80);
}

static void after_power_on_it_is_in_reset(void **state)
{
	(void)state;
	rig_power_on(NULL);
	assert_int_equal(rig_fin(2), 0);
	assert_int_equal(rig_fin(4), 0);
	rig_fout(5, 0x10); /* not taken */
	assert_int_equal(rig_fin(5), 0xff);
	rig_pass_ns(1000000000);
	assert_int_equal(rig.line.rises, 0);
	assert_int_equal(rig_fin(7) & 0x06, 0x04); /* 250 kb/s */
}

static void a_reset_is_told_once_and_sensed_four_times(void **state)
{
	(void)state;
	rig_power_on(NULL);
	rig_fout(2, 0x0c);
	assert_int_equal(rig_fin(4), FDC_MSR_RQM);
	assert_false(rig.line.level);
	rig_pass_ns(FDC_RESET_NS);
	assert_true(rig.line.level);
	assert_int_equal(rig_fin(0) & 0x80, 0x80);
	sense(0xc0, 0);
	assert_false(rig.line.level);
	sense(0xc1, 0);
	sense(0xc2, 0);
	sense(0xc3, 0);
	nothing_to_sense();
	assert_int_equal(rig.line.rises, 1);
}

static void dsr_resets_by_itself(void **state)
{
	(void)state;
	RIG_COMMAND(0x0f, 0, 5);
	rig_fout(4, 0x80 | 0x02);
	assert_int_equal(rig_fin(4), FDC_MSR_RQM);
	rig_pass_ns(FDC_RESET_NS);
	sense(0xc0, 0); /* and the seek is forgotten */
	assert_int_equal(rig_fin(7) & 0x06, 0x04);
}

static void a_reset_switches_polling_on(void **state)
{
	unsigned rises = rig.line.rises;

	(void)state;
	RIG_COMMAND(0x13, 0, 0x10, 0);
	rig_fout(2, 0x08);
	rig_fout(2, 0x0c);
	rig_pass_ns(FDC_RESET_NS);
	assert_int_equal(rig.line.rises, rises + 1);
}

static void dmagate_holds_the_interrupt_back(void **state)
{
	(void)state;
	rig_fout(2, 0x04);
	RIG_COMMAND(0x07, 0);
	rig_pass_ns(FDC_START_NS);
	assert_false(rig.line.level);
	assert_int_equal(rig_fin(0) & 0x80, 0x80);
	rig_fout(2, 0x0c);
	assert_true(rig.line.level);
	rig_fout(2, 0x08); /* reset */
	assert_false(rig.line.level);
}

static void registers_read_as_in_ps2_mode(void **state)
{
	(void)state;
	rig_fout(2, 0x1c);
	assert_int_equal(rig_fin(0), 0x46); /* no second drive, no index, not protected, track 0 */
	assert_int_equal(rig_fin(1), 0xe1);
	assert_int_equal(rig_fin(2), 0x1c);
	rig_fout(3, 0xff);
	assert_int_equal(rig_fin(3), 0xff);
	rig_fout(3, 0);
	assert_int_equal(rig_fin(3), 0xfc);
	assert_int_equal(rig_fin(7), 0xf8); /* changed, 500 kb/s */
	rig_fout(7, 2);
	assert_int_equal(rig_fin(7), 0xfd);
	rig_fout(2, 0x1d); /* no such drive */
	assert_int_equal(rig_fin(7) & 0x80, 0);
	assert_int_equal(rig_fin(0), 0x56);
	rig_fout(0, 0xff);
	rig_fout(1, 0xff);
	assert_int_equal(rig_fin(0), 0x56);
}

static void a_second_drive_and_a_protected_medium(void **state)
{
	struct blk_device second = {.sectors = 1440, .readonly = true};

	(void)state;
	rig_power_on(&second);
	rig_fout(2, 0x2d);
	assert_int_equal(rig_fin(0) & 0x42, 0);
	assert_int_equal(rig_fin(1), 0xc2);
	assert_int_equal(rig_fin(7) & 0x80, 0x80);
}

static void the_change_line_follows_the_medium(void **state)
{
	(void)state;
	RIG_COMMAND(0x0f, 0, 1);
	rig_pass_ns(FDC_START_NS);
	sense(0x20, 1);
	assert_int_equal(rig_fin(7) & 0x80, 0);
	assert_int_equal(fdc_eject(&fdc, 0), HV_OK);
	assert_int_equal(fdc_eject(&fdc, 0), HV_E_NOT_FOUND);
	assert_int_equal(rig_fin(7) & 0x80, 0x80);
	fdc_insert(&fdc, 0);
	assert_int_equal(rig_fin(7) & 0x80, 0x80);
}

static void a_reset_gives_up_what_the_disk_has(void **state)
{
	uint8_t result[7];

	(void)state;
	rig_disk_holds = true;
	rig_dma_setup(0x44, RIG_RAM_BASE, 512);
	RIG_COMMAND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	assert_false(fdc_is_idle(&fdc));
	rig_fout(2, 0x08);
	rig_fout(2, 0x0c);
	rig_fout(7, 0);
	rig_pass_ns(FDC_RESET_NS);
	sense(0xc0, 0);
	/* The next one waits for the buffer. */
	RIG_COMMAND(0x46, 0, 0, 0, 2, 2, 2, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	assert_int_equal(rig_disk_open_count, 1);
	rig_disk_finish(0, HV_E_IO);
	rig_serve();
	assert_int_equal(rig_disk_open_count, 1);
	rig_disk_finish(0, HV_OK);
	rig_serve();
	rig_result(result, 7);
	assert_int_equal(result[0], 0);
	assert_int_equal(rig_get(RIG_RAM_BASE, 4), 1);
	assert_true(fdc_is_idle(&fdc));
	rig_disk_holds = false;
}

static void the_end_stops_its_time(void **state)
{
	(void)state;
	RIG_COMMAND(0x0f, 0, 5);
	fdc.dev.ops->fini(&fdc.dev);
	assert_true(timer_queue_next(&rig.queue) == TIMER_NEVER);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(after_power_on_it_is_in_reset),
		TEST(a_reset_is_told_once_and_sensed_four_times),
		TEST(dsr_resets_by_itself),
		TEST(a_reset_switches_polling_on),
		TEST(dmagate_holds_the_interrupt_back),
		TEST(registers_read_as_in_ps2_mode),
		TEST(a_second_drive_and_a_protected_medium),
		TEST(the_change_line_follows_the_medium),
		TEST(a_reset_gives_up_what_the_disk_has),
		TEST(the_end_stops_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
