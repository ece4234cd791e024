/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/clock.h"
#include "hv/net/mac_table.h"

#define HZ 1000000000ull
#define AGE MAC_TABLE_AGE_NS /* in ticks of this clock */

static struct mac_table table;

static int setup(void **state)
{
	(void)state;
	clock_init(HZ);
	memset(&table, 0, sizeof(table));
	return 0;
}

static void bytes_are_packed_in_order(void **state)
{
	static const uint8_t mac[] = {0x02, 0x11, 0x22, 0x33, 0x44, 0xff};

	(void)state;
	assert_int_equal(mac_pack(mac), 0x0211223344ffull);
}

static void what_was_heard_last_counts(void **state)
{
	(void)state;
	assert_int_equal(mac_table_find(&table, 0x021122334455, 5), MAC_TABLE_UNKNOWN);
	/* Not the mark of a free place either. */
	assert_int_equal(mac_table_find(&table, 0, 5), MAC_TABLE_UNKNOWN);
	mac_table_learn(&table, 0x021122334455, 3, 5);
	assert_int_equal(mac_table_find(&table, 0x021122334455, 6), 3);
	mac_table_learn(&table, 0x021122334455, 9, 7);
	assert_int_equal(mac_table_find(&table, 0x021122334455, 8), 9);
	assert_int_equal(mac_table_count(&table, 8), 1);
}

static void silence_ends_it(void **state)
{
	(void)state;
	mac_table_learn(&table, 1, 3, 1000);
	assert_int_equal(mac_table_find(&table, 1, 990), 3); /* by another CPU's clock */
	assert_int_equal(mac_table_find(&table, 1, 1000 + AGE - 1), 3);
	assert_int_equal(mac_table_find(&table, 1, 1000 + AGE), MAC_TABLE_UNKNOWN);
	assert_int_equal(mac_table_count(&table, 1000 + AGE), 0);
	mac_table_learn(&table, 1, 3, 1000 + AGE);
	assert_int_equal(mac_table_find(&table, 1, 1000 + AGE), 3);
}

static void a_port_is_forgotten_alone(void **state)
{
	(void)state;
	for (uint64_t mac = 1; mac <= 100; mac++) {
		mac_table_learn(&table, mac, (uint32_t)(mac % 3), mac);
	}
	mac_table_forget(&table, 1);
	for (uint64_t mac = 1; mac <= 100; mac++) {
		uint32_t port = mac % 3 == 1 ? MAC_TABLE_UNKNOWN : (uint32_t)(mac % 3);

		assert_int_equal(mac_table_find(&table, mac, 200), port);
	}
}

/* The hash spreads: addresses in a row, as NICs of one batch have them, find a place. */
static void a_batch_of_nics_fits(void **state)
{
	unsigned found = 0;

	(void)state;
	for (uint64_t i = 0; i < 512; i++) {
		mac_table_learn(&table, 0x525400000000 + i, 1, i + 1);
	}
	for (uint64_t i = 0; i < 512; i++) {
		found += mac_table_find(&table, 0x525400000000 + i, 600) == 1 ? 1 : 0;
	}
	assert_true(found > 450);
}

static void a_flood_pushes_out_the_silent_first(void **state)
{
	unsigned kept = 0;
	uint64_t now = 1;

	(void)state;
	for (uint64_t i = 0; i < 100000; i++) {
		mac_table_learn(&table, 0x020000000001 + i * 7919, 2, now++);
		/* This one goes on talking, so no flood makes the switch forget it. */
		mac_table_learn(&table, 0x525400123456, 5, now++);
		kept += mac_table_find(&table, 0x525400123456, now) == 5 ? 1 : 0;
	}
	assert_int_equal(kept, 100000);
	assert_int_equal(mac_table_count(&table, now), MAC_TABLE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bytes_are_packed_in_order, setup),
		cmocka_unit_test_setup(what_was_heard_last_counts, setup),
		cmocka_unit_test_setup(silence_ends_it, setup),
		cmocka_unit_test_setup(a_port_is_forgotten_alone, setup),
		cmocka_unit_test_setup(a_batch_of_nics_fits, setup),
		cmocka_unit_test_setup(a_flood_pushes_out_the_silent_first, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
