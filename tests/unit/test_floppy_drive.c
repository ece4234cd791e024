/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/floppy_drive.h"

static void formats_by_size(void **state)
{
	static const uint32_t kib[] = {160, 180, 320, 360, 720, 1200, 1440, 1680, 2880};

	(void)state;
	for (size_t i = 0; i < sizeof(kib) / sizeof(kib[0]); i++) {
		const struct floppy_format *f = floppy_format_of(kib[i] * 1024);

		assert_non_null(f);
		assert_int_equal(f->cylinders * f->heads * f->sectors * 512, kib[i] * 1024);
		assert_in_range(f->type, 1, 5);
	}
	assert_null(floppy_format_of(0));
	assert_null(floppy_format_of(1440 * 1024 - 512));
	assert_int_equal(floppy_format_of(1440 * 1024)->rate, 0);
	assert_int_equal(floppy_format_of(720 * 1024)->rate, 2);
	assert_int_equal(floppy_format_of(2880 * 1024)->rate, 3);
}

static void heads_stop_at_both_ends(void **state)
{
	struct blk_device medium = {.sectors = 2880};
	struct floppy_drive d;

	(void)state;
	floppy_drive_init(&d, &medium);
	floppy_drive_step(&d, true, 200);
	assert_int_equal(d.cylinder, FLOPPY_CYLINDER_LAST);
	floppy_drive_step(&d, false, 3);
	assert_int_equal(d.cylinder, FLOPPY_CYLINDER_LAST - 3);
	floppy_drive_step(&d, false, 255);
	assert_int_equal(d.cylinder, 0);
}

static void a_pulse_with_a_medium_ends_the_change(void **state)
{
	struct blk_device medium = {.sectors = 2880};
	struct floppy_drive d;

	(void)state;
	floppy_drive_init(&d, &medium);
	assert_true(d.changed);
	floppy_drive_step(&d, true, 0);
	assert_true(d.changed);
	floppy_drive_step(&d, false, 1); /* at track 0 already */
	assert_false(d.changed);
	floppy_drive_set_medium(&d, false);
	assert_null(d.medium);
	floppy_drive_step(&d, true, 1);
	assert_true(d.changed);
	floppy_drive_set_medium(&d, true);
	assert_ptr_equal(d.medium, &medium);
	assert_true(d.changed);
	floppy_drive_step(&d, true, 1);
	assert_false(d.changed);
}

static void no_drive_has_no_format(void **state)
{
	struct floppy_drive d;

	(void)state;
	floppy_drive_init(&d, NULL);
	assert_null(d.format);
	assert_false(d.changed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_by_size),
		cmocka_unit_test(heads_stop_at_both_ends),
		cmocka_unit_test(a_pulse_with_a_medium_ends_the_change),
		cmocka_unit_test(no_drive_has_no_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
