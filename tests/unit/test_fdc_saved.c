/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller's state, saved and loaded in the middle of things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/fdc_rig.h"
#include "tests/fakes/saved_rig.h"

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

static void reload(void)
{
	assert_true(fdc.saved.ops->quiet(&fdc));
	saved_reload(&fdc.saved);
	rig_serve();
}

static void between_two_bytes_of_a_command(void **state)
{
	uint8_t result[2];

	(void)state;
	RIG_COMMAND(0x0f, 0);
	reload();
	rig_fout(5, 33);
	reload();
	assert_int_equal(rig_fin(4), 0x81);
	rig_pass_ns(FDC_START_NS);
	reload();
	assert_true(rig.line.level);
	RIG_COMMAND(0x08);
	rig_result(result, 2);
	assert_int_equal(result[0], 0x20);
	assert_int_equal(result[1], 33);
}

static void between_two_sectors(void **state)
{
	uint8_t result[7];

	(void)state;
	rig_dma_setup(0x44, RIG_RAM_BASE, 1024);
	RIG_COMMAND(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	reload();
	rig_pass_ns(FDC_SECTOR_NS);
	assert_int_equal(rig_get(RIG_RAM_BASE + 512, 4), 1);
	(void)rig_fin(5);
	reload();
	rig_result(&result[1], 6);
	assert_int_equal(result[5], 3);
}

static void between_two_bytes_of_a_sector(void **state)
{
	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x03);
	RIG_COMMAND(0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	(void)rig_fin(5);
	reload();
	for (unsigned i = 1; i < 512; i++) {
		assert_int_equal(rig_fin(5), rig_disk_data[512 + i]);
	}
	reload(); /* and behind the last one */
	assert_int_equal(rig_fin(4), FDC_MSR_BUSY | FDC_MSR_NON_DMA);
	rig_pass_ns(FDC_GAP_NS + FDC_SECTOR_NS);
	assert_int_equal(rig_fin(4), 0xf0);
	assert_int_equal(rig_fin(5), rig_disk_data[1024]);
}

static void while_a_reset_is_sensed(void **state)
{
	uint8_t result[2];

	(void)state;
	rig_fout(4, 0x80);
	reload();
	rig_pass_ns(FDC_RESET_NS);
	RIG_COMMAND(0x08);
	rig_result(result, 2);
	reload();
	RIG_COMMAND(0x08);
	rig_result(result, 2);
	assert_int_equal(result[0], 0xc1);
}

static void what_the_disk_has_is_waited_for(void **state)
{
	(void)state;
	rig_disk_holds = true;
	RIG_COMMAND(0x56, 0, 0, 0, 1, 2, 1, 0x1b, 0xff);
	rig_pass_ns(FDC_START_NS);
	assert_false(fdc.saved.ops->quiet(&fdc));
	rig_disk_finish(0, HV_OK);
	assert_false(fdc.saved.ops->quiet(&fdc));
	rig_serve();
	assert_true(fdc.saved.ops->quiet(&fdc));
	rig_disk_holds = false;
}

static void an_empty_drive_stays_empty(void **state)
{
	(void)state;
	assert_int_equal(fdc_eject(&fdc, 0), HV_OK);
	reload();
	assert_int_equal(fdc_eject(&fdc, 0), HV_E_NOT_FOUND);
	fdc_insert(&fdc, 0);
	assert_ptr_equal(fdc.drives[0].medium, &rig_disk);
}

/* Each start measures the TSC anew: what is due comes when it would have come. */
static void moments_are_those_of_before_at_another_rate(void **state)
{
	void *time;
	void *bytes;

	(void)state;
	rig_fout(4, 0x80);
	RIG_COMMAND(0x07, 0);
	RIG_COMMAND(0x4a, 0);
	rig_pass_ns(100000);
	time = saved_bytes(&rig.time.saved);
	bytes = saved_bytes(&fdc.saved);
	rig_power_on(NULL);
	clock_init(2500000000);
	vtime_pause(&rig.time);
	assert_null(rig.time.saved.ops->check(&rig.time, time));
	rig.time.saved.ops->load(&rig.time, time);
	assert_null(fdc.saved.ops->check(&fdc, bytes));
	fdc.saved.ops->load(&fdc, bytes);
	free(time);
	free(bytes);
	vtime_resume(&rig.time);
	rig_serve();
	rig_pass_ns(FDC_RESET_NS - 100000 - 1000);
	assert_false(rig.line.level);
	rig_pass_ns(2000);
	assert_true(rig.line.level);
	rig_pass_ns(FDC_START_NS - FDC_RESET_NS - 2000);
	assert_int_equal(rig_fin(4), FDC_MSR_BUSY | 1);
	rig_pass_ns(2000);
	assert_int_equal(rig_fin(4), FDC_MSR_BUSY | FDC_MSR_RQM | FDC_MSR_DIO);
}

#define TAKES(field, value) SAVED_TAKES(&fdc.saved, struct fdc_saved, field, value)

static void what_cannot_be_is_refused(void **state)
{
	(void)state;
	assert_true(TAKES(state.pcn[3], 200));
	assert_true(TAKES(state.dor, 0xff));
	assert_false(TAKES(state.dsr, 0x80));
	assert_false(TAKES(state.tdr, 4));
	assert_false(TAKES(state.config, 0x80));
	assert_false(TAKES(state.perpendicular, 0x40));
	assert_false(TAKES(state.specs[1], 0x20));
	assert_false(TAKES(state.head, 2));
	assert_false(TAKES(state.lock, 2));
	assert_false(TAKES(state.interrupt, 2));
	assert_false(TAKES(state.terminal, 2));
	assert_false(TAKES(state.polled, 5));
	assert_false(TAKES(state.zero[1], 1));
	assert_false(TAKES(state.phase, 4));
	assert_false(TAKES(state.stage, 3));
	assert_false(TAKES(state.phase, FDC_EXECUTE)); /* of what? */
	assert_false(TAKES(state.command_count, 17));
	assert_false(TAKES(state.result_count, 1));
	assert_false(TAKES(state.due, 5));
	assert_false(TAKES(buffer[1023], 1));
	assert_true(TAKES(drives[0].cylinder, 83));
	assert_false(TAKES(drives[0].cylinder, 84));
	assert_false(TAKES(drives[0].inserted, 2));
	assert_false(TAKES(drives[0].changed, 2));
	assert_false(TAKES(drives[0].present, 0));
	assert_false(TAKES(drives[1].present, 1));
	assert_false(TAKES(drives[1].cylinder, 1));
}

static void what_a_command_cannot_be_is_refused(void **state)
{
	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x03);
	RIG_COMMAND(0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	assert_true(TAKES(state.due, TIMER_NEVER));
	assert_false(TAKES(state.command[0], 0x03));
	assert_false(TAKES(state.command_count, 8));
	assert_false(TAKES(state.stage, FDC_READ_DONE));
	assert_false(TAKES(state.dor, 0));
	rig_pass_ns(FDC_START_NS);
	assert_int_equal(fdc.state.phase, FDC_HOST);
	assert_true(TAKES(state.at, 512));
	assert_false(TAKES(state.at, 513));
	assert_false(TAKES(state.command[0], 0x56)); /* has no bytes */
	assert_false(TAKES(state.command[1], 1));    /* no such drive */
	assert_false(TAKES(drives[0].cylinder, 80));
	for (unsigned i = 0; i < 512; i++) {
		(void)rig_fin(5);
	}
	assert_false(TAKES(state.command[0], 0x4d)); /* has fewer */
	rig_fout(4, 0x80);
	RIG_COMMAND(0x10);
	assert_true(TAKES(state.result[0], 1));
	assert_false(TAKES(state.result_at, 1));
	assert_false(TAKES(state.result_count, 17));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(between_two_bytes_of_a_command),
		TEST(between_two_sectors),
		TEST(between_two_bytes_of_a_sector),
		TEST(while_a_reset_is_sensed),
		TEST(what_the_disk_has_is_waited_for),
		TEST(an_empty_drive_stays_empty),
		TEST(moments_are_those_of_before_at_another_rate),
		TEST(what_cannot_be_is_refused),
		TEST(what_a_command_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
