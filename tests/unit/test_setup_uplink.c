/* SPDX-License-Identifier: Apache-2.0 */
/* Cards of the e1000 kind as uplinks of networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hv/config.h"
#include "hv/net/switch.h"
#include "hv/setup_uplink.h"
#include "tests/fakes/fake_e1000.h"

static struct machine_config machine;
static unsigned delivered;

static bool take(struct net_port *p, struct net_frame *f)
{
	(void)p;
	delivered += f->len;
	return true;
}

static const struct net_port_ops guest_ops = {.deliver = take};

static int setup(void **state)
{
	const struct networks_config cfg = {.timers = &rig.queue};

	(void)state;
	rig_init();
	networks_init(&cfg);
	memset(&machine, 0, sizeof(machine));
	delivered = 0;
	return 0;
}

/* A network of the configuration, made; its uplink is 00:0D.0, D = `device`. */
static struct config_network *add_network(const char *name, unsigned device)
{
	struct config_network *c = &machine.networks[machine.network_count++];

	config_default_network(span_of(name), &c->net);
	c->uplink = CONFIG_UPLINK_PCI;
	c->devfn = (uint8_t)(device << 3);
	assert_int_equal(network_add(&c->net), HV_OK);
	return c;
}

static void connect_guest(struct net_port *p, const char *network)
{
	const struct network_port_config cfg = {.name = "web/0"};

	*p = (struct net_port){.ops = &guest_ops, .mac = {{2, 0, 0, 0, 0, 9}}};
	assert_int_equal(network_connect(network_find(span_of(network)), p, &cfg), HV_OK);
}

static void frames_pass_between_wire_and_guest(void **state)
{
	struct net_port guest;
	struct net_frame *f;

	(void)state;
	(void)fake_add(0x100e, true);
	(void)host_nics_init();
	(void)add_network("lan", 2);
	connect_guest(&guest, "lan");
	setup_uplinks(&machine);
	assert_int_equal(host_nic_at(0)->state, NIC_RUNNING);
	assert_true(network_port_of(&host_nic_at(0)->port)->cfg.uplink);
	/* To everybody, from a neighbour of the machine. */
	f = rig_frame(60, 0);
	memset(f->data, 0xff, 6);
	memcpy(f->data + 6, "\x02\0\0\0\0\x07", 6);
	assert_true(fake_receive_bytes(&nic[0], f->data, f->len));
	(void)fake_interrupt(&nic[0]);
	assert_int_equal(delivered, 60);
	/* And back. */
	memcpy(f->data + 6, guest.mac.bytes, 6);
	net_port_send(&guest, f);
	assert_int_equal(nic[0].wire_count, 1);
	assert_int_equal(nic[0].wire[0].len, 60);
	rig_advance(2 * NIC_WATCH_NS);
}

static void found_by_mac(void **state)
{
	struct config_network *c;

	(void)state;
	(void)fake_add(0x100e, true);
	(void)fake_add(0x100e, true);
	(void)host_nics_init();
	c = add_network("lan", 0);
	c->uplink = CONFIG_UPLINK_MAC;
	memcpy(c->mac.bytes, nic[1].rom, 6);
	setup_uplinks(&machine);
	assert_int_equal(host_nic_at(0)->state, NIC_OFF);
	assert_int_equal(host_nic_at(1)->state, NIC_RUNNING);
}

static void a_network_without_an_uplink_gets_none(void **state)
{
	(void)state;
	(void)fake_add(0x100e, true);
	(void)host_nics_init();
	add_network("lan", 2)->uplink = CONFIG_UPLINK_NONE;
	setup_uplinks(&machine);
	assert_int_equal(host_nic_at(0)->state, NIC_OFF);
}

static void what_cannot_be_had_leaves_the_others_alone(void **state)
{
	(void)state;
	(void)fake_add(0x100e, true);
	(void)fake_add(0x100e, true);
	rig.f[0].no_interrupt = true;
	(void)host_nics_init();
	(void)add_network("broken", 2);
	(void)add_network("nowhere", 9);
	(void)add_network("lan", 3);
	(void)add_network("second", 3);
	setup_uplinks(&machine);
	assert_null(network_port_of(&host_nic_at(0)->port));
	assert_int_equal(host_nic_at(1)->state, NIC_RUNNING);
	assert_ptr_equal(network_port_of(&host_nic_at(1)->port)->network,
			 network_find(span_of("lan")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(frames_pass_between_wire_and_guest, setup),
		cmocka_unit_test_setup(found_by_mac, setup),
		cmocka_unit_test_setup(a_network_without_an_uplink_gets_none, setup),
		cmocka_unit_test_setup(what_cannot_be_had_leaves_the_others_alone, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
