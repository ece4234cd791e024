/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

#include "guests/devices/e1000_internal.h"

static void reading_clears(void **state)
{
	(void)state;
	e1000_count(&card, E1000_MPC, 3);
	assert_int_equal(card_read(E1000_MPC), 3);
	assert_int_equal(card_read(E1000_MPC), 0);
	card_write(E1000_MPC, 5);
	assert_int_equal(card_read(E1000_MPC), 0);
}

static void they_stay_at_the_top(void **state)
{
	(void)state;
	e1000_count(&card, E1000_MPC, UINT32_MAX);
	e1000_count(&card, E1000_MPC, 2);
	assert_int_equal(card_read(E1000_MPC), UINT32_MAX);
}

static void a_pair_is_cleared_by_its_upper_half(void **state)
{
	(void)state;
	e1000_count(&card, E1000_GOTCL, UINT32_MAX);
	e1000_count(&card, E1000_GOTCL, 2);
	assert_int_equal(card_read(E1000_GOTCL), 1);
	assert_int_equal(card_read(E1000_GOTCL), 1);
	assert_int_equal(card_read(E1000_GOTCH), 1);
	assert_int_equal(card_read(E1000_GOTCL), 0);
	assert_int_equal(card_read(E1000_GOTCH), 0);
}

static void sizes_are_those_on_the_wire(void **state)
{
	static const struct {
		uint32_t len; /* without the sum at the end */
		unsigned class;
	} cases[] = {{14, 0},  {60, 0},	 {61, 1},  {123, 1},  {124, 2},	 {251, 2},
		     {252, 3}, {507, 3}, {508, 4}, {1019, 4}, {1020, 5}, {1518, 5}};
	uint8_t frame[6] = {2};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		e1000_count_sent(&card, frame, cases[i].len);
		assert_int_equal(card_read(E1000_PTC64 + 4 * cases[i].class), 1);
		e1000_count_received(&card, frame, cases[i].len);
		assert_int_equal(card_read(E1000_PRC64 + 4 * cases[i].class), 1);
	}
	assert_int_equal(card_read(E1000_GPTC), ARRAY_SIZE(cases));
	assert_int_equal(card_read(E1000_TPR), ARRAY_SIZE(cases));
	assert_int_equal(card_read(E1000_TOTL), card_read(E1000_GORCL));
}

static void groups_are_counted_apart(void **state)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t some[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xfe};

	(void)state;
	e1000_count_sent(&card, all, 60);
	e1000_count_received(&card, some, 60);
	assert_int_equal(card_read(E1000_BPTC), 1);
	assert_int_equal(card_read(E1000_MPTC), 0);
	assert_int_equal(card_read(E1000_BPRC), 0);
	assert_int_equal(card_read(E1000_MPRC), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(reading_clears),
		OLD(they_stay_at_the_top),
		OLD(a_pair_is_cleared_by_its_upper_half),
		OLD(sizes_are_those_on_the_wire),
		OLD(groups_are_counted_apart),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
