/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what nobody had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/missed.h"

static struct missed m;

static int setup(void **state)
{
	(void)state;
	m = (struct missed){0};
	return 0;
}

static void places_come_in_order_with_their_counts(void **state)
{
	uint64_t place = 0;

	(void)state;
	missed_note(&m, 0x2f9);
	missed_note(&m, 0); /* port 0 is a place as any other */
	missed_note(&m, 0x2f9);
	assert_int_equal(missed_at(&m, 0, &place), 2);
	assert_int_equal(place, 0x2f9);
	assert_int_equal(missed_at(&m, 1, &place), 1);
	assert_int_equal(place, 0);
	assert_int_equal(missed_at(&m, 2, &place), 0);
	assert_int_equal(m.total, 3);
}

static void what_does_not_fit_is_counted_in_the_total_alone(void **state)
{
	uint64_t place;

	(void)state;
	for (unsigned i = 0; i < MISSED_PLACES + 5; i++) {
		missed_note(&m, 0xfed00000ull + i);
	}
	missed_note(&m, 0xfed00000ull);
	assert_int_equal(m.total, MISSED_PLACES + 6);
	assert_int_equal(missed_at(&m, 0, &place), 2);
	assert_int_equal(missed_at(&m, MISSED_PLACES - 1, &place), 1);
	assert_int_equal(place, 0xfed00000ull + MISSED_PLACES - 1);
	assert_int_equal(missed_at(&m, MISSED_PLACES, &place), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(places_come_in_order_with_their_counts, setup),
		cmocka_unit_test_setup(what_does_not_fit_is_counted_in_the_total_alone, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
