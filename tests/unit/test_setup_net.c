/* SPDX-License-Identifier: Apache-2.0 */
/* Networks of the whole machine, and whether the NICs of one more guest fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/setup_net.h"
#include "tests/fakes/vm_rig.h"

static char reports[4096];
static struct machine_config machine;

static void collect(void *ctx, const struct config_error *error)
{
	size_t at = strlen(reports);

	(void)ctx;
	(void)config_error_format(error, reports + at, sizeof(reports) - at - 1);
	strcat(reports, "\n");
}

static const struct config_reporter reporter = {collect, NULL};

static int rig(void **state)
{
	(void)state;
	vm_rig_machine(true);
	return 0;
}

/* No guest and no network. */
static int setup(void **state)
{
	(void)state;
	guest_init();
	memset(&machine, 0, sizeof(machine));
	setup_networks(&machine);
	reports[0] = '\0';
	return 0;
}

/* A configuration with NICs on the named networks. */
static struct guest_config *config(const char *name, unsigned count, const char *const *networks)
{
	static struct guest_config configs[16];
	static unsigned used;
	struct guest_config *g = &configs[used++ % 16];

	memset(g, 0, sizeof(*g));
	(void)snprintf(g->name, sizeof(g->name), "%s", name);
	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(g->nets[i].network, NETWORK_NAME_MAX, "%s", networks[i]);
		g->nets[i].mac = config_make_mac(span_of(name), i);
	}
	g->net_count = count;
	return g;
}

static void add(const struct guest_config *g)
{
	assert_true(setup_nets_fit(&machine, g, &reporter));
	assert_non_null(guest_add(g, vm_rig_kernel(), (struct guest_file){NULL, 0}));
	assert_string_equal(reports, "");
}

static void described_networks_are_made(void **state)
{
	(void)state;
	machine.network_count = 2;
	config_default_network(span_of("lan"), &machine.networks[0].net);
	config_default_network(span_of("dmz"), &machine.networks[1].net);
	machine.networks[1].net.isolated = true;
	setup_networks(&machine);
	assert_int_equal(network_count(), 2);
	assert_true(network_find(span_of("dmz"))->cfg.isolated);
	assert_false(network_find(span_of("lan"))->cfg.isolated);
}

static void named_networks_are_made_once(void **state)
{
	const char *const both[] = {"lan", "dmz"};

	(void)state;
	add(config("one", 2, both));
	add(config("two", 2, both));
	assert_int_equal(network_count(), 2);
	assert_int_equal(network_find(span_of("dmz"))->cfg.storm, NETWORK_STORM_DEFAULT);
}

static void a_mac_is_on_a_network_once(void **state)
{
	const char *const lan[] = {"lan", "lan"};
	const char *const dmz[] = {"dmz"};
	struct guest_config *one = config("one", 1, lan);
	struct guest_config *two = config("two", 2, lan);
	struct guest_config *three = config("three", 1, dmz);

	(void)state;
	one->nets[0].mac = (struct net_mac){{2, 0, 0, 0, 0, 9}};
	two->nets[1].mac = one->nets[0].mac;
	two->nets[1].line = 7;
	three->nets[0].mac = one->nets[0].mac;
	add(one);
	assert_false(setup_nets_fit(&machine, two, &reporter));
	assert_string_equal(reports, "two/guest.conf:7: net: MAC 02:00:00:00:00:09 is on network "
				     "\"lan\" already, as NIC 0 of guest one; say mac= for one of "
				     "them\n");
	reports[0] = '\0';
	/* On another network it is nobody's. */
	add(three);
	two->nets[1].mac = two->nets[0].mac;
	assert_false(setup_nets_fit(&machine, two, &reporter));
	assert_non_null(strstr(reports, "as NIC 0 of guest two;"));
}

static void networks_are_bounded(void **state)
{
	char names[NETWORKS_MAX + 1][8];
	const char *name;

	(void)state;
	for (unsigned i = 0; i <= NETWORKS_MAX; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "n%u", i);
		name = names[i];
		if (i < NETWORKS_MAX) {
			add(config(names[i], 1, &name));
		}
	}
	assert_false(setup_nets_fit(&machine, config("last", 1, &name), &reporter));
	assert_string_equal(reports,
			    "last/guest.conf: net: network \"n16\" would be one more than 16\n");
}

static void ports_are_bounded(void **state)
{
	const char *const lan[] = {"lan", "lan", "lan", "lan", "lan", "lan", "lan", "lan"};

	(void)state;
	machine.network_count = 1;
	config_default_network(span_of("lan"), &machine.networks[0].net);
	machine.networks[0].uplink = CONFIG_UPLINK_PCI;
	setup_networks(&machine);
	for (unsigned i = 0; i < 7; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "g%u", i);
		add(config(name, 8, lan));
	}
	/* 56 and the uplink: 7 more. */
	assert_false(setup_nets_fit(&machine, config("h", 8, lan), &reporter));
	assert_string_equal(reports,
			    "h/guest.conf: net: network \"lan\" has all its 64 ports in use\n");
	reports[0] = '\0';
	add(config("h", 7, lan));
	assert_false(setup_nets_fit(&machine, config("i", 1, lan), &reporter));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(described_networks_are_made, setup),
		cmocka_unit_test_setup(named_networks_are_made_once, setup),
		cmocka_unit_test_setup(a_mac_is_on_a_network_once, setup),
		cmocka_unit_test_setup(networks_are_bounded, setup),
		cmocka_unit_test_setup(ports_are_bounded, setup),
	};

	return cmocka_run_group_tests(tests, rig, NULL);
}
