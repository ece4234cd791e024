/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy controller's commands without sectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/fdc_rig.h"
#include "tests/fakes/lacks_rig.h"

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

static uint8_t answer(void)
{
	uint8_t value;

	rig_result(&value, 1);
	return value;
}

static void sense(uint8_t st0, uint8_t pcn)
{
	uint8_t result[2];

	RIG_COMMAND(0x08);
	rig_result(result, 2);
	assert_int_equal(result[0], st0);
	assert_int_equal(result[1], pcn);
}

static void what_is_no_command_is_refused(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x01, 0x0b, 0x15, 0x1a, 0x1f, 0x43, 0x88, 0xcd};

	(void)state;
	fdc.dev.lacks = &lacks_rig;
	lacks_rig = (struct lacks){.total = 0};
	for (size_t i = 0; i < sizeof(bytes); i++) {
		RIG_COMMAND(bytes[i]);
		assert_int_equal(answer(), 0x80);
	}
	RIG_COMMAND(0x08);
	assert_int_equal(answer(), 0x80);
	assert_true(lacks_rig.total > 0);
	assert_int_equal(lacks_rig.list[0].kind, LACKS_COMMAND);
}

static void it_says_what_it_is(void **state)
{
	(void)state;
	RIG_COMMAND(0x10);
	assert_int_equal(answer(), 0x90);
	RIG_COMMAND(0x18);
	assert_int_equal(answer(), 0x01);
}

static void a_seek_is_busy_and_then_told(void **state)
{
	unsigned rises = rig.line.rises;

	(void)state;
	RIG_COMMAND(0x0f, 4, 40);
	assert_int_equal(rig_fin(4), FDC_MSR_RQM | 1);
	RIG_COMMAND(0x0f, 3, 7); /* another drive meanwhile, which is not there */
	assert_int_equal(rig_fin(4), FDC_MSR_RQM | 9);
	rig_pass_ns(FDC_START_NS);
	assert_int_equal(rig_fin(4), FDC_MSR_RQM);
	assert_int_equal(rig.line.rises, rises + 1);
	sense(0x20, 40);
	sense(0x23, 7);
	assert_int_equal(fdc.drives[0].cylinder, 40);
}

/* OpenBSD and NetBSD look for drives so: a reset, no SENSE INTERRUPT STATUS, RECALIBRATE. */
static void a_seek_is_told_instead_of_a_reset(void **state)
{
	(void)state;
	rig_fout(2, 0x08);
	rig_fout(2, 0x0c);
	rig_pass_ns(FDC_RESET_NS);
	RIG_COMMAND(0x07, 0);
	rig_pass_ns(FDC_START_NS);
	sense(0x20, 0);
	RIG_COMMAND(0x08);
	assert_int_equal(answer(), 0x80);
	/* Even where nobody looked before both were over. */
	rig_fout(4, 0x80);
	RIG_COMMAND(0x07, 0);
	rig_oversleep(&rig, clock_ns_to_ticks(FDC_START_NS));
	rig_serve();
	sense(0x20, 0);
}

static void relative_seeks(void **state)
{
	(void)state;
	RIG_COMMAND(0xcf, 0, 10);
	rig_pass_ns(FDC_START_NS);
	sense(0x20, 10);
	RIG_COMMAND(0x8f, 0, 4);
	rig_pass_ns(FDC_START_NS);
	sense(0x20, 6);
	assert_int_equal(fdc.drives[0].cylinder, 6);
}

static void track_0_is_looked_for_79_pulses_long(void **state)
{
	(void)state;
	RIG_COMMAND(0x0f, 0, 83);
	rig_pass_ns(FDC_START_NS);
	sense(0x20, 83);
	RIG_COMMAND(0x07, 0);
	rig_pass_ns(FDC_START_NS);
	sense(0x70, 0);
	assert_int_equal(fdc.drives[0].cylinder, 4);
	RIG_COMMAND(0x07, 0);
	rig_pass_ns(FDC_START_NS);
	sense(0x20, 0);
	RIG_COMMAND(0x07, 1); /* no drive, no track 0 */
	rig_pass_ns(FDC_START_NS);
	sense(0x71, 0);
}

static void what_a_drive_says(void **state)
{
	(void)state;
	RIG_COMMAND(0x04, 4);
	assert_int_equal(answer(), 0x3c);
	rig_disk.readonly = true;
	RIG_COMMAND(0x0f, 0, 1);
	rig_pass_ns(FDC_START_NS);
	sense(0x20, 1);
	RIG_COMMAND(0x04, 0);
	assert_int_equal(answer(), 0x68);
	RIG_COMMAND(0x04, 2);
	assert_int_equal(answer(), 0x2a);
}

static void registers_are_dumped(void **state)
{
	static const uint8_t wanted[] = {0, 9, 0, 0, 0xdf, 0x02, 0, 0x94, 0x5a, 0x12};
	uint8_t result[10];

	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x02);
	RIG_COMMAND(0x0f, 1, 9);
	RIG_COMMAND(0x12, 0x94);
	RIG_COMMAND(0x13, 0, 0x5a, 0x12);
	RIG_COMMAND(0x94);
	assert_int_equal(answer(), 0x10);
	RIG_COMMAND(0x0e);
	rig_result(result, 10);
	assert_memory_equal(result, wanted, 10);
}

/* LOCK keeps FIFO, threshold and precompensation; a reset ends the rest. */
static void what_a_reset_keeps(void **state)
{
	static const uint8_t locked[] = {0, 0, 0, 0, 0xdf, 0x02, 0, 0x94, 0x05, 0x12};
	static const uint8_t unlocked[] = {0, 0, 0, 0, 0xdf, 0x02, 0, 0x14, 0x20, 0};
	uint8_t result[10];

	(void)state;
	RIG_COMMAND(0x03, 0xdf, 0x02);
	RIG_COMMAND(0x12, 0x97);
	RIG_COMMAND(0x13, 0, 0x55, 0x12);
	RIG_COMMAND(0x94);
	(void)answer();
	rig_fout(4, 0x80);
	RIG_COMMAND(0x0e);
	rig_result(result, 10);
	assert_memory_equal(result, locked, 10);
	RIG_COMMAND(0x14);
	assert_int_equal(answer(), 0);
	rig_fout(4, 0x80);
	RIG_COMMAND(0x0e);
	rig_result(result, 10);
	assert_memory_equal(result, unlocked, 10);
}

static void perpendicular_drives_need_overwrite(void **state)
{
	uint8_t result[10];

	(void)state;
	RIG_COMMAND(0x12, 0xa8);
	RIG_COMMAND(0x12, 0x17);
	RIG_COMMAND(0x0e);
	rig_result(result, 10);
	assert_int_equal(result[7], 0x2b);
}

static void saved_by_itself_and_restored(void **state)
{
	uint8_t saved[17] = {0x4e};
	uint8_t again[16];

	(void)state;
	RIG_COMMAND(0x03, 0xaf, 0x02);
	RIG_COMMAND(0x0f, 0, 12);
	RIG_COMMAND(0x13, 0, 0x1a, 3);
	RIG_COMMAND(0x33, 0x01);
	RIG_COMMAND(0x17, 0x05);
	assert_int_equal(answer(), 0x05);
	RIG_COMMAND(0x2e);
	rig_result(&saved[1], 16);
	rig_fout(4, 0x80);
	RIG_COMMAND(0x03, 0, 0);
	rig_command(saved, 17);
	RIG_COMMAND(0x2e);
	rig_result(again, 16);
	assert_memory_equal(&saved[1], again, 16);
	assert_int_equal(again[2], 12);
	assert_int_equal(again[6], 0xaf);
}

static void drives_are_specified_until_the_last(void **state)
{
	uint8_t result[4];

	(void)state;
	RIG_COMMAND(0x8e, 0x05, 0x2a, 0x80);
	rig_result(result, 4);
	assert_int_equal(result[0], 0x05);
	assert_int_equal(result[1], 0x0a);
	RIG_COMMAND(0x8e, 0x47, 0xc0);
	assert_int_equal(rig_fin(4), FDC_MSR_RQM);
	RIG_COMMAND(0x8e, 0x00, 0x20, 0x40, 0x60, 0x01);
	rig_result(result, 4);
	assert_int_equal(result[0], 0x01);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_command_is_refused),
		TEST(it_says_what_it_is),
		TEST(a_seek_is_busy_and_then_told),
		TEST(a_seek_is_told_instead_of_a_reset),
		TEST(relative_seeks),
		TEST(track_0_is_looked_for_79_pulses_long),
		TEST(what_a_drive_says),
		TEST(registers_are_dumped),
		TEST(what_a_reset_keeps),
		TEST(perpendicular_drives_need_overwrite),
		TEST(saved_by_itself_and_restored),
		TEST(drives_are_specified_until_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
