/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor says about networks, and how a capture is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/guest_net.h"
#include "hv/monitor.h"
#include "hv/setup_net.h"
#include "mm/pool.h"
#include "tests/fakes/guest_rig.h"

static struct machine_config machine_config;

/* Somebody else on the network. */
static bool deliver(struct net_port *p, struct net_frame *f)
{
	(void)p;
	(void)f;
	return true;
}

static const struct net_port_ops peer_ops = {.deliver = deliver};
static struct net_port peer = {.ops = &peer_ops, .mac = {{2, 0, 0, 0, 0, 9}}};

static int rig(void **state)
{
	const struct network_port_config cfg = {.name = "peer"};

	vm_rig_machine(false);
	g = vm_rig_guest("web", &config);
	(void)state;
	machine_config.network_count = 1;
	config_default_network(span_of("lan"), &machine_config.networks[0].net);
	setup_networks(&machine_config);
	assert_int_equal(network_connect(network_find(span_of("lan")), &peer, &cfg), HV_OK);
	config.nets[0] = (struct config_net){.mac = {{2, 0, 0, 0, 0, 1}}, .network = "lan"};
	config.net_count = 1;
	/* These stay. */
	assert_int_equal(network_capture_start(network_find(span_of("lan"))), HV_OK);
	net_frame_put(net_frame_alloc(1500));
	net_frame_put(net_frame_alloc(60));
	vm_rig.pool_bytes = pool_bytes_used();
	return 0;
}

static int clean_net(void **state)
{
	monitor_dump_end();
	return clean(state);
}

static void type(const char *line)
{
	vm_rig_clear();
	vm_rig_type(line);
}

static void send(uint32_t len)
{
	static const uint8_t header[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9};
	struct net_frame *f = net_frame_alloc(len);

	memset(f->data, 'x', len);
	memcpy(f->data, header, sizeof(header));
	f->len = len;
	net_port_send(&peer, f);
}

/* The timers that come in that time, and what they ask for. */
static void pass(uint64_t ticks)
{
	vm_rig_advance(ticks);
	monitor_poll();
}

static void networks_are_listed_with_their_ports(void **state)
{
	(void)state;
	vm_rig_start(g);
	type("info networks\r");
	assert_says("network lan: 2 ports, no uplink, 0 addresses learnt, capture ");
	assert_says("  peer             02:00:00:00:00:09 ");
	assert_says("  web/0            02:00:00:00:00:01 ");
}

static void stats_have_stable_lines(void **state)
{
	(void)state;
	vm_rig_start(g);
	send(60);
	type("stats web\r");
	assert_says("\r\nnet0.network lan\r\n");
	assert_says("\r\nnet0.model virtio\r\n");
	assert_says("\r\nnet0.mac 02:00:00:00:00:01\r\n");
	assert_says("\r\nnet0.rx-frames 0\r\n");
	/* Nobody drives the NIC yet. */
	assert_says("\r\nnet0.rx-dropped 1\r\n");
	assert_says("\r\nnet0.tx-frames 0\r\n");
	assert_says("\r\nnet0.tx-spoofed 0\r\n");
	assert_says("\r\nnet0.tx-over-rate 0\r\n");
	assert_says("\r\nnet0.tx-held 0\r\n");
	vm_rig_end(g);
	type("stats web\r");
	assert_silent_about("net0");
}

static void captures_are_started_and_stopped(void **state)
{
	(void)state;
	type("capture lan start\r");
	assert_says("capturing what goes over lan; the last 256 KiB are kept\r\n");
	send(100);
	send(100);
	type("capture lan\r");
	assert_says("capture of lan: running, 2 frames so far, 232 bytes held\r\n");
	type("capture lan stop\r");
	assert_says("capture of lan: off, 2 frames so far, 232 bytes held\r\n");
	send(100);
	type("capture lan\r");
	assert_says("off, 2 frames so far");
}

static void other_words_are_refused(void **state)
{
	(void)state;
	type("capture\r");
	assert_says("capture which network? `info networks` shows them\r\n");
	type("capture wan start\r");
	assert_says("capture which network?");
	type("capture lan begin\r");
	assert_says("capture lan how? start, stop or dump\r\n");
}

static void a_dump_comes_in_pieces(void **state)
{
	(void)state;
	type("capture lan start\r");
	for (unsigned i = 0; i < 10; i++) {
		send(1000);
	}
	type("capture lan dump\r");
	assert_says("pcap lan begin\r\npcap lan TTyyoQIABAAAAAAAAAAAAAAIAAABAAAA\r\n");
	assert_silent_about("end");
	assert_silent_about("bulkhead> pcap");
	assert_true(monitor_dump_active());
	/* What comes later is not part of it, so it ends however busy the network is. */
	for (unsigned i = 0; i < 10 && monitor_dump_active(); i++) {
		send(1000);
		pass(VM_RIG_HZ);
	}
	assert_false(monitor_dump_active());
	assert_says("pcap lan end 10184 bytes\r\n");
	assert_says("bulkhead> ");
}

static void a_key_ends_a_dump(void **state)
{
	(void)state;
	type("capture lan start\r");
	for (unsigned i = 0; i < 100; i++) {
		send(1000);
	}
	type("capture lan dump\r");
	pass(VM_RIG_HZ);
	vm_rig_type("q");
	assert_false(monitor_dump_active());
	assert_says("pcap lan end ");
	vm_rig_clear();
	pass(VM_RIG_HZ);
	assert_silent_about("pcap");
}

static void an_empty_capture_is_a_file_too(void **state)
{
	(void)state;
	type("capture lan start\r");
	type("capture lan dump\r");
	pass(VM_RIG_HZ);
	assert_says("pcap lan end 24 bytes\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean_net)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(networks_are_listed_with_their_ports),
		TEST(stats_have_stable_lines),
		TEST(captures_are_started_and_stopped),
		TEST(other_words_are_refused),
		TEST(a_dump_comes_in_pieces),
		TEST(a_key_ends_a_dump),
		TEST(an_empty_capture_is_a_file_too),
	};

	return cmocka_run_group_tests(tests, rig, NULL);
}
