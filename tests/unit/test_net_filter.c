/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/net_filter.h"

static const struct net_mac own = {{2, 0, 0, 0, 0, 1}};
static const struct net_mac other = {{2, 0, 0, 0, 0, 2}};
static const struct net_mac group = {{0x33, 0x33, 0, 0, 0, 1}};
static const struct net_mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static struct net_filter f;

static int setup(void **state)
{
	(void)state;
	net_filter_reset(&f, &own);
	return 0;
}

static bool set(uint8_t command, bool on)
{
	return net_filter_set_mode(&f, command, on);
}

static void assert_passes(bool to_own, bool to_other, bool to_group, bool to_all)
{
	assert_int_equal(net_filter_passes(&f, &own), to_own);
	assert_int_equal(net_filter_passes(&f, &other), to_other);
	assert_int_equal(net_filter_passes(&f, &group), to_group);
	assert_int_equal(net_filter_passes(&f, &broadcast), to_all);
}

static void a_driver_that_asks_for_nothing_gets_its_own_and_groups(void **state)
{
	(void)state;
	assert_passes(true, false, true, true);
}

static void modes(void **state)
{
	(void)state;
	assert_true(set(NET_CTRL_RX_ALLMULTI, false));
	assert_passes(true, false, false, true);
	assert_true(set(NET_CTRL_RX_ALLUNI, true));
	assert_passes(true, true, false, true);
	assert_true(set(NET_CTRL_RX_NOBCAST, true));
	assert_passes(true, true, false, false);
	assert_true(set(NET_CTRL_RX_PROMISC, true));
	assert_passes(true, true, true, true);
	assert_true(set(NET_CTRL_RX_PROMISC, false));
	assert_true(set(NET_CTRL_RX_ALLUNI, false));
	assert_true(set(NET_CTRL_RX_NOUNI, true));
	assert_passes(false, false, false, false);
	assert_false(set(6, true));
	assert_false(set(255, true));
}

static void tables(void **state)
{
	(void)state;
	(void)set(NET_CTRL_RX_ALLMULTI, false);
	f.unicast = (struct net_filter_table){.count = 2, .macs = {{{2, 9}}, other}};
	f.multicast = (struct net_filter_table){.count = 1, .macs = {group}};
	assert_passes(true, true, true, true);
	/* A group in the wrong table is none. */
	f.multicast.count = 0;
	f.unicast.macs[0] = group;
	assert_passes(true, true, false, true);
	f.multicast.count = 1;
	(void)set(NET_CTRL_RX_NOMULTI, true);
	assert_passes(true, true, false, true);
}

static void too_many_addresses_are_all(void **state)
{
	(void)state;
	(void)set(NET_CTRL_RX_ALLMULTI, false);
	f.unicast.overflow = true;
	assert_passes(true, true, false, true);
	f.unicast.overflow = false;
	f.multicast.overflow = true;
	assert_passes(true, false, true, true);
}

static void it_is_saved_whole(void **state)
{
	struct net_filter_saved saved = {.zero = {0}};
	struct net_filter before;

	(void)state;
	f.unicast.count = 1;
	f.unicast.macs[0] = other;
	f.multicast.overflow = true;
	(void)set(NET_CTRL_RX_ALLMULTI, false);
	(void)set(NET_CTRL_RX_NOBCAST, true);
	before = f;
	net_filter_save(&f, &saved);
	assert_null(net_filter_check(&saved));
	net_filter_reset(&f, &group);
	net_filter_load(&f, &saved);
	assert_memory_equal(&f, &before, sizeof(f));
	assert_passes(true, true, true, false);
	saved.multicast.count = 1;
	assert_non_null(net_filter_check(&saved));
}

static void a_reset_forgets_it_all(void **state)
{
	(void)state;
	(void)set(NET_CTRL_RX_PROMISC, true);
	f.unicast.overflow = true;
	net_filter_reset(&f, &own);
	assert_passes(true, false, true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_driver_that_asks_for_nothing_gets_its_own_and_groups,
				       setup),
		cmocka_unit_test_setup(modes, setup),
		cmocka_unit_test_setup(tables, setup),
		cmocka_unit_test_setup(too_many_addresses_are_all, setup),
		cmocka_unit_test_setup(it_is_saved_whole, setup),
		cmocka_unit_test_setup(a_reset_forgets_it_all, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
