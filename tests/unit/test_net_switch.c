/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/net/switch.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/net_oracle.h"

#define HZ 1000000000ull
#define LEN 100u

/* Somebody at a port. */
struct end {
	struct net_port port;
	bool promiscuous;
	bool wants_groups;
	bool full;
	unsigned got;
	uint64_t got_bytes;
	uint32_t last_len;
	uint8_t last[2048];
	struct net_offload last_offload;
	int link;
};

static struct timer_queue timers;
static struct end ends[NETWORK_PORTS_MAX + 1];
static struct network *net;
static unsigned serial;

static uint64_t wall(uint32_t *ns)
{
	*ns = 5;
	return 77;
}

static struct end *end_of(struct net_port *p)
{
	return container_of(p, struct end, port);
}

static bool end_deliver(struct net_port *p, struct net_frame *f)
{
	struct end *e = end_of(p);

	if (e->full) {
		return false;
	}
	e->got++;
	e->got_bytes += f->len;
	e->last_len = f->len;
	memcpy(e->last, f->data, f->len < sizeof(e->last) ? f->len : sizeof(e->last));
	e->last_offload = f->offload;
	return true;
}

static bool end_wants(struct net_port *p, const struct net_mac *to)
{
	struct end *e = end_of(p);

	return e->promiscuous || ((to->bytes[0] & 1) != 0 && e->wants_groups) ||
	       memcmp(to->bytes, p->mac.bytes, NET_MAC_BYTES) == 0;
}

static void end_link(struct net_port *p, bool up)
{
	end_of(p)->link = up ? 1 : 0;
}

static const struct net_port_ops guest_ops = {end_deliver, end_wants, end_link};
static const struct net_port_ops nic_ops = {.deliver = end_deliver};

static struct net_mac mac_of(unsigned i)
{
	return (struct net_mac){{2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}};
}

static const struct net_mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const struct net_mac group = {{0x33, 0x33, 0, 0, 0, 1}};
static const struct net_mac link_local = {{1, 0x80, 0xc2, 0, 0, 0xe}};
/* A machine behind the uplink. */
static const struct net_mac outside = {{0x52, 0x54, 0, 1, 2, 3}};

static int machine(void **state)
{
	const struct networks_config cfg = {&timers, wall};

	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(128));
	clock_init(HZ);
	fake_cpu.tsc = 1000;
	timer_queue_init(&timers);
	networks_init(&cfg);
	return 0;
}

/* A new network; all ends free. */
static void fresh(const struct network_config *wanted)
{
	const struct networks_config init = {&timers, wall};
	struct network_config cfg =
		wanted != NULL ? *wanted : (struct network_config){.storm = 1000};

	networks_init(&init);
	fmt_snprintf(cfg.name, sizeof(cfg.name), "net%u", serial++);
	assert_int_equal(network_add(&cfg), HV_OK);
	net = network_find(span_of(cfg.name));
	assert_non_null(net);
	memset(ends, 0, sizeof(ends));
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		ends[i].port.mac = mac_of(i);
		ends[i].wants_groups = true;
		ends[i].link = -1;
	}
}

static int setup(void **state)
{
	(void)state;
	fresh(NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		network_disconnect(&ends[i].port);
	}
	assert_int_equal(net_frames_bytes(), 0);
	return 0;
}

static void plug_in(unsigned i, struct network_port_config cfg)
{
	ends[i].port.ops = cfg.uplink ? &nic_ops : &guest_ops;
	cfg.name = "end";
	assert_int_equal(network_connect(net, &ends[i].port, &cfg), HV_OK);
}

static void guest(unsigned i)
{
	plug_in(i, (struct network_port_config){0});
}

static void uplink(unsigned i)
{
	plug_in(i, (struct network_port_config){.uplink = true});
}

static void send_bytes(unsigned from, struct net_mac src, struct net_mac dst, uint32_t len)
{
	struct net_frame *f = net_frame_alloc(len > 14 ? len : 14);

	memset(f->data, 0xab, f->capacity);
	memcpy(f->data, dst.bytes, 6);
	memcpy(f->data + 6, src.bytes, 6);
	f->len = len;
	net_port_send(&ends[from].port, f);
}

static void send(unsigned from, struct net_mac dst)
{
	send_bytes(from, ends[from].port.mac, dst, LEN);
}

static unsigned got(unsigned i)
{
	unsigned n = ends[i].got;

	ends[i].got = 0;
	return n;
}

static uint64_t drops(unsigned i, size_t which)
{
	const struct network_port *p = network_port_of(&ends[i].port);

	return *(const _Atomic uint64_t *)(const void *)((const char *)&p->drops + which);
}
#define DROPS(i, why) drops(i, offsetof(struct network_drops, why))

/* --- who gets what --- */

static void frames_reach_their_address_alone(void **state)
{
	(void)state;
	guest(0);
	guest(1);
	guest(2);
	assert_int_equal(ends[0].link, 1);
	send(0, mac_of(1));
	assert_int_equal(got(0), 0);
	assert_int_equal(got(1), 1);
	assert_int_equal(got(2), 0);
	assert_int_equal(ends[1].last_len, LEN);
	assert_memory_equal(ends[1].last + 6, mac_of(0).bytes, 6);
	assert_int_equal(ends[0].port.stats.tx_frames, 1);
	assert_int_equal(ends[0].port.stats.tx_bytes, LEN);
	assert_int_equal(ends[1].port.stats.rx_frames, 1);
	assert_int_equal(ends[1].port.stats.rx_bytes, LEN);
	/* Nobody has this one, and guests want only their own. */
	send(0, outside);
	assert_int_equal(got(1) + got(2), 0);
	/* Nobody's, and not that of a port that nobody is at. */
	network_disconnect(&ends[0].port);
	send(1, (struct net_mac){{0}});
	assert_int_equal(got(0) + got(2), 0);
	guest(0);
	/* To itself: nowhere. */
	send(0, mac_of(0));
	assert_int_equal(got(0) + got(1) + got(2), 0);
}

static void groups_reach_all_that_want_them(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		guest(i);
	}
	ends[2].wants_groups = false;
	send(0, broadcast);
	send(0, group);
	assert_int_equal(got(0), 0);
	assert_int_equal(got(1), 2);
	assert_int_equal(got(2), 0);
	assert_int_equal(got(3), 2);
	/* What ends at the next switch ends here. */
	send(0, link_local);
	assert_int_equal(got(1) + got(2) + got(3), 0);
}

static void what_is_behind_the_uplink_is_learnt_and_forgotten(void **state)
{
	(void)state;
	guest(0);
	guest(1);
	uplink(2);
	ends[1].promiscuous = true;
	send(0, outside);
	assert_int_equal(got(2), 1);
	assert_int_equal(got(1), 1);
	send_bytes(2, outside, mac_of(0), LEN);
	assert_int_equal(got(0), 1);
	assert_int_equal(got(1), 0);
	assert_int_equal(network_learnt(net), 1);
	send(0, outside);
	assert_int_equal(got(2), 1);
	assert_int_equal(got(1), 0);
	fake_cpu.tsc += 301 * HZ;
	assert_int_equal(network_learnt(net), 0);
	send(0, outside);
	assert_int_equal(got(2), 1);
	assert_int_equal(got(1), 1);
	/* An uplink that goes takes what it knew with it. */
	send_bytes(2, outside, mac_of(0), LEN);
	network_disconnect(&ends[2].port);
	assert_int_equal(network_learnt(net), 0);
}

static void isolated_guests_reach_the_others_only(void **state)
{
	(void)state;
	plug_in(0, (struct network_port_config){.isolated = true});
	plug_in(1, (struct network_port_config){.isolated = true});
	guest(2);
	uplink(3);
	send(0, mac_of(1));
	assert_int_equal(got(1), 0);
	send(0, broadcast);
	assert_int_equal(got(1), 0);
	assert_int_equal(got(2), 1);
	assert_int_equal(got(3), 1);
	send(2, mac_of(0));
	send(2, broadcast);
	assert_int_equal(got(0), 2);
	assert_int_equal(got(1), 1);
	send_bytes(3, outside, mac_of(1), LEN);
	assert_int_equal(got(1), 1);
}

static void an_isolated_network_isolates_all_guests(void **state)
{
	const struct network_config cfg = {.storm = 1000, .isolated = true};

	(void)state;
	fresh(&cfg);
	guest(0);
	guest(1);
	uplink(2);
	send(0, mac_of(1));
	send(0, broadcast);
	assert_int_equal(got(1), 0);
	assert_int_equal(got(2), 1);
	send_bytes(2, outside, broadcast, LEN);
	assert_int_equal(got(0), 1);
	assert_int_equal(got(1), 1);
}

/* --- what is not let in --- */

static void nobody_sends_from_anothers_address(void **state)
{
	(void)state;
	guest(0);
	guest(1);
	uplink(2);
	send_bytes(0, mac_of(1), broadcast, LEN);
	send_bytes(0, outside, broadcast, LEN);
	assert_int_equal(DROPS(0, spoofed), 2);
	/* Nor does somebody out there take a guest's. */
	send_bytes(2, mac_of(1), broadcast, LEN);
	assert_int_equal(DROPS(2, spoofed), 1);
	assert_int_equal(got(0) + got(1) + got(2), 0);
	assert_int_equal(ends[0].port.stats.tx_dropped, 2);
	assert_int_equal(ends[0].port.stats.tx_frames, 0);
	send(0, mac_of(1));
	assert_int_equal(got(1), 1);
}

static void any_address_may_be_sent_from_where_the_network_says_so(void **state)
{
	const struct network_config cfg = {.storm = 1000, .any_mac = true};

	(void)state;
	fresh(&cfg);
	guest(0);
	guest(1);
	send_bytes(0, outside, broadcast, LEN);
	assert_int_equal(got(1), 1);
	ends[0].promiscuous = true;
	send(1, outside);
	assert_int_equal(got(0), 1);
	assert_int_equal(network_learnt(net), 2);
}

static void what_is_no_frame_is_dropped(void **state)
{
	struct net_frame *f;

	(void)state;
	guest(0);
	guest(1);
	ends[1].promiscuous = true;
	send_bytes(0, mac_of(0), mac_of(1), 13);
	send_bytes(0, mac_of(0), mac_of(1), NET_WIRE_MAX + 1);
	send_bytes(0, broadcast, mac_of(1), LEN);
	send_bytes(0, group, mac_of(1), LEN);
	send_bytes(0, (struct net_mac){{0}}, mac_of(1), LEN);
	f = net_frame_alloc(LEN);
	f->len = LEN;
	memcpy(f->data, mac_of(1).bytes, 6);
	memcpy(f->data + 6, mac_of(0).bytes, 6);
	f->offload.needs_checksum = true;
	net_port_send(&ends[0].port, f);
	assert_int_equal(DROPS(0, malformed), 6);
	assert_int_equal(got(1), 0);
	send_bytes(0, mac_of(0), mac_of(1), 14);
	send_bytes(0, mac_of(0), mac_of(1), NET_WIRE_MAX);
	assert_int_equal(got(1), 2);
}

static void a_storm_is_cut_down(void **state)
{
	const struct network_config cfg = {.storm = 100};

	(void)state;
	fresh(&cfg);
	guest(0);
	guest(1);
	for (unsigned i = 0; i < 1000; i++) {
		send(0, broadcast);
	}
	assert_int_equal(got(1), 25);
	assert_int_equal(DROPS(0, storm), 975);
	/* Who does not take part is not hit, nor what has one receiver. */
	send(1, broadcast);
	assert_int_equal(got(0), 1);
	send(0, mac_of(1));
	assert_int_equal(got(1), 1);
	assert_int_equal(ends[0].port.stats.tx_frames, 26);
	/* Ten seconds of trying as hard as it can. */
	for (unsigned i = 0; i < 100000; i++) {
		fake_cpu.tsc += HZ / 10000;
		send(0, i % 2 == 0 ? broadcast : outside);
	}
	assert_in_range(ends[0].port.stats.tx_frames, 26 + 990, 26 + 1050);
}

/* --- limits --- */

static void run_timers_until(uint64_t end)
{
	while (timer_queue_next(&timers) <= end) {
		if (fake_cpu.tsc < timer_queue_next(&timers)) {
			fake_cpu.tsc = timer_queue_next(&timers);
		}
		timer_queue_run(&timers, fake_cpu.tsc);
	}
	fake_cpu.tsc = end;
}

static void what_exceeds_a_rate_waits_in_order(void **state)
{
	uint64_t start;

	(void)state;
	plug_in(0, (struct network_port_config){.rate = 1000000});
	guest(1);
	start = fake_cpu.tsc;
	/* 20,000 bytes go at once, the others have to wait. */
	for (unsigned i = 0; i < 100; i++) {
		send_bytes(0, mac_of(0), mac_of(1), 1000 + i);
	}
	assert_in_range(ends[1].got, 19, 21);
	run_timers_until(start + HZ / 20);
	assert_in_range(ends[1].got_bytes, 68000, 72000);
	assert_int_equal(ends[1].last_len, 1000 + ends[1].got - 1);
	run_timers_until(start + HZ / 5);
	assert_int_equal(got(1), 100);
	assert_int_equal(ends[1].last_len, 1099);
	assert_int_equal(ends[0].port.stats.tx_frames, 100);
	assert_int_equal(ends[0].port.stats.tx_dropped, 0);
	assert_in_range(network_port_of(&ends[0].port)->held_total, 79, 81);
	/* Nothing is left behind: no timer, no frame. */
	assert_true(timer_queue_next(&timers) == TIMER_NEVER);
	assert_int_equal(net_frames_bytes(), 0);
}

static void the_rate_holds_over_a_long_time(void **state)
{
	uint64_t start;

	(void)state;
	plug_in(0, (struct network_port_config){.rate = 250000});
	guest(1);
	start = fake_cpu.tsc;
	for (unsigned ms = 1; ms <= 10000; ms++) {
		send_bytes(0, mac_of(0), mac_of(1), 1500);
		run_timers_until(start + ms * (HZ / 1000));
	}
	/* What was there at the start comes on top. */
	assert_in_range(ends[1].got_bytes, 2500000 - 3000, 2500000 + 16384 + 3000);
	assert_true(DROPS(0, rate) > 0);
}

static void what_waits_is_bounded(void **state)
{
	(void)state;
	plug_in(0, (struct network_port_config){.rate = 100000000});
	guest(1);
	for (unsigned i = 0; i < 5000; i++) {
		send_bytes(0, mac_of(0), mac_of(1), 1500);
	}
	/* 2,000,000 bytes at once, then as many frames as may wait. */
	assert_in_range(DROPS(0, rate), 5000 - 1334 - NETWORK_HELD_MAX - 1,
			5000 - 1333 - NETWORK_HELD_MAX + 1);
	assert_in_range(net_frames_bytes(), 1, NETWORK_HELD_MAX * KIB(4));
	/* Pulled while frames wait. */
	network_disconnect(&ends[0].port);
	assert_int_equal(net_frames_bytes(), 0);
	run_timers_until(fake_cpu.tsc + HZ);
}

static void a_full_receiver_loses_its_own_alone(void **state)
{
	(void)state;
	guest(0);
	guest(1);
	guest(2);
	ends[1].full = true;
	send(0, broadcast);
	assert_int_equal(got(2), 1);
	assert_int_equal(ends[1].port.stats.rx_dropped, 1);
	assert_int_equal(ends[1].port.stats.rx_frames, 0);
	assert_int_equal(ends[0].port.stats.tx_frames, 1);
}

/* --- offloads --- */

static void send_tcp(unsigned from, struct net_mac to, uint32_t payload)
{
	const struct oracle_tcp t = {.payload = payload, .gso_size = 1448};
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);
	uint32_t seed = 9;

	oracle_tcp(f, &t, &seed);
	memcpy(f->data, to.bytes, 6);
	memcpy(f->data + 6, mac_of(from).bytes, 6);
	net_port_send(&ends[from].port, f);
}

static void work_is_done_for_those_who_do_not_take_it(void **state)
{
	(void)state;
	ends[1].port.takes_checksum = true;
	ends[1].port.takes_tso4 = true;
	ends[2].port.takes_checksum = true;
	ends[2].port.takes_tso6 = true;
	for (unsigned i = 0; i < 4; i++) {
		guest(i);
		ends[i].promiscuous = true;
	}
	/* One long frame to all: as it is to the first, in 11 pieces to the others. */
	send_tcp(0, outside, 15000);
	assert_int_equal(got(1), 1);
	assert_int_equal(ends[1].last_offload.gso, NET_GSO_TCPV4);
	assert_true(ends[1].last_offload.needs_checksum);
	for (unsigned i = 2; i < 4; i++) {
		assert_int_equal(got(i), 11);
		assert_false(ends[i].last_offload.needs_checksum);
		assert_int_equal(ends[i].last_offload.gso, NET_GSO_NONE);
		assert_int_equal(ends[i].last_len, 54 + 15000 - 10 * 1448);
		assert_int_equal(ends[i].port.stats.rx_frames, 11);
	}
	assert_int_equal(ends[0].port.stats.tx_frames, 1);
	assert_int_equal(net_frames_bytes(), 0);
}

static void a_long_frame_to_a_group_is_refused(void **state)
{
	(void)state;
	guest(0);
	guest(1);
	send_tcp(0, broadcast, 15000);
	send_tcp(0, group, 15000);
	assert_int_equal(got(1), 0);
	assert_int_equal(DROPS(0, malformed), 2);
	send_tcp(0, mac_of(1), 15000);
	assert_int_equal(got(1), 11);
}

static void a_checksum_is_left_to_those_who_take_it(void **state)
{
	struct net_frame *f;

	(void)state;
	ends[1].port.takes_checksum = true;
	guest(0);
	guest(1);
	guest(2);
	for (unsigned i = 1; i < 3; i++) {
		uint32_t seed = 5;

		f = net_frame_alloc(200);
		oracle_udp(f, 50, false, &seed);
		memcpy(f->data, mac_of(i).bytes, 6);
		memcpy(f->data + 6, mac_of(0).bytes, 6);
		net_port_send(&ends[0].port, f);
	}
	assert_true(ends[1].last_offload.needs_checksum);
	assert_false(ends[2].last_offload.needs_checksum);
	assert_true(ends[2].last_offload.checksum_good);
	f = net_frame_alloc(200);
	memcpy(f->data, ends[2].last, ends[2].last_len);
	f->len = ends[2].last_len;
	assert_true(oracle_transport_good(f));
	net_frame_put(f);
}

/* --- networks and ports --- */

static void tables_have_their_bounds(void **state)
{
	struct network_config cfg = {.storm = 1};
	struct network_port_config port = {.name = "one too many"};

	(void)state;
	assert_int_equal(network_add(&net->cfg), HV_E_EXISTS);
	for (unsigned i = network_count(); i < NETWORKS_MAX; i++) {
		fmt_snprintf(cfg.name, sizeof(cfg.name), "more%u", i);
		assert_int_equal(network_add(&cfg), HV_OK);
		assert_string_equal(network_at(i)->cfg.name, cfg.name);
	}
	fmt_snprintf(cfg.name, sizeof(cfg.name), "too many");
	assert_int_equal(network_add(&cfg), HV_E_RANGE);
	assert_null(network_at(NETWORKS_MAX));
	assert_null(network_find(span_of("too many")));
	for (unsigned i = 0; i < NETWORK_PORTS_MAX; i++) {
		guest(i);
	}
	ends[NETWORK_PORTS_MAX].port.ops = &guest_ops;
	assert_int_equal(network_connect(net, &ends[NETWORK_PORTS_MAX].port, &port), HV_E_RANGE);
	assert_null(network_port_of(&ends[NETWORK_PORTS_MAX].port));
	send(0, broadcast);
	for (unsigned i = 1; i < NETWORK_PORTS_MAX; i++) {
		assert_int_equal(got(i), 1);
	}
	network_disconnect(&ends[7].port);
	assert_int_equal(network_connect(net, &ends[NETWORK_PORTS_MAX].port, &port), HV_OK);
	send(0, mac_of(NETWORK_PORTS_MAX));
	assert_int_equal(got(NETWORK_PORTS_MAX), 1);
}

static void addresses_and_uplinks_are_there_once(void **state)
{
	const struct network_port_config cfg = {.name = "x", .uplink = true};

	(void)state;
	guest(0);
	uplink(1);
	ends[2].port.ops = &nic_ops;
	assert_int_equal(network_connect(net, &ends[2].port, &cfg), HV_E_EXISTS);
	ends[3].port.ops = &guest_ops;
	ends[3].port.mac = mac_of(0);
	assert_int_equal(
		network_connect(net, &ends[3].port, &(struct network_port_config){.name = "y"}),
		HV_E_EXISTS);
	network_disconnect(&ends[1].port);
	assert_int_equal(network_connect(net, &ends[2].port, &cfg), HV_OK);
}

static void who_is_pulled_gets_nothing_and_sends_nothing(void **state)
{
	(void)state;
	guest(0);
	guest(1);
	network_disconnect(&ends[1].port);
	assert_int_equal(ends[1].link, 0);
	send(0, mac_of(1));
	send(0, broadcast);
	assert_int_equal(got(1), 0);
	send(1, mac_of(0));
	assert_int_equal(got(0), 0);
	assert_int_equal(net_frames_bytes(), 0);
	network_disconnect(&ends[1].port);
	guest(1);
	send(0, mac_of(1));
	assert_int_equal(got(1), 1);
}

static void a_capture_sees_what_passes(void **state)
{
	uint8_t out[4096];
	struct network_capture_info info;
	struct pcap_record r;
	uint64_t pos = 0;

	(void)state;
	guest(0);
	guest(1);
	assert_int_equal(network_capture_start(net), HV_OK);
	send(0, mac_of(1));
	send_bytes(0, outside, mac_of(1), LEN); /* spoofed: did not pass */
	assert_int_equal(network_capture_read(net, &pos, out, sizeof(out)), sizeof(r) + LEN);
	memcpy(&r, out, sizeof(r));
	assert_int_equal(r.seconds, 77);
	assert_int_equal(r.nanoseconds, 5);
	assert_memory_equal(out + sizeof(r), mac_of(1).bytes, 6);
	network_capture_info(net, &info);
	assert_true(info.running);
	assert_int_equal(info.frames, 1);
	assert_int_equal(info.bytes, sizeof(r) + LEN);
	assert_int_equal(info.end, pos);
	network_capture_stop(net);
	send(0, mac_of(1));
	network_capture_info(net, &info);
	assert_false(info.running);
	assert_int_equal(info.frames, 1);
	capture_free(&net->capture);
}

/* --- a slow switch that is plainly right, beside it --- */

#define MODEL_PORTS 12u
#define MODEL_HOSTS 20u /* addresses MODEL_PORTS .. are behind uplinks */
#define MODEL_MACS (MODEL_PORTS + MODEL_HOSTS)

struct model {
	bool connected[MODEL_PORTS], isolated[MODEL_PORTS], uplink[MODEL_PORTS];
	bool any_mac;
	int heard_at[MODEL_MACS];
	uint64_t heard[MODEL_MACS];
	unsigned expected[MODEL_PORTS];
};

static struct model model;
static uint32_t seed = 7;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static bool model_fixed(unsigned port)
{
	return !model.uplink[port] && !model.any_mac;
}

/* Whether a frame from `src` may come in at `port`. */
static bool model_admits(unsigned port, unsigned src)
{
	if (model_fixed(port)) {
		return src == port;
	}
	return src >= MODEL_PORTS || !model.connected[src] || !model_fixed(src);
}

static bool model_reaches(unsigned from, unsigned to, int dst, uint64_t now)
{
	bool is_group = dst < 0;
	unsigned d = is_group ? 0 : (unsigned)dst;
	bool fixed = !is_group && d < MODEL_PORTS && model.connected[d] && model_fixed(d);
	bool known =
		!is_group && !fixed && model.heard_at[d] >= 0 && now - model.heard[d] < 300 * HZ;

	if (to == from || !model.connected[to] || (model.isolated[from] && model.isolated[to])) {
		return false;
	}
	if ((fixed && d != to) || (known && model.heard_at[d] != (int)to)) {
		return false;
	}
	return model.uplink[to] || ends[to].promiscuous || (is_group && ends[to].wants_groups) ||
	       (!is_group && d == to);
}

static void model_send(unsigned from, unsigned src, int dst, uint64_t now)
{
	if (!model_admits(from, src)) {
		return;
	}
	if (!model_fixed(from)) {
		model.heard_at[src] = (int)from;
		model.heard[src] = now;
	}
	for (unsigned to = 0; to < MODEL_PORTS; to++) {
		model.expected[to] += model_reaches(from, to, dst, now) ? 1 : 0;
	}
}

static void model_replug(unsigned i)
{
	if (model.connected[i]) {
		network_disconnect(&ends[i].port);
		model.connected[i] = false;
		for (unsigned m = 0; m < MODEL_MACS; m++) {
			if (model.heard_at[m] == (int)i) {
				model.heard_at[m] = -1;
			}
		}
		return;
	}
	model.uplink[i] = i == 0;
	model.isolated[i] = i != 0 && chance(3) == 0;
	ends[i].promiscuous = chance(4) == 0;
	ends[i].wants_groups = chance(4) != 0;
	plug_in(i, (struct network_port_config){.uplink = model.uplink[i],
						.isolated = model.isolated[i]});
	model.connected[i] = true;
}

static void model_step(void)
{
	unsigned from = chance(MODEL_PORTS);
	unsigned src = chance(3) != 0 ? from : chance(MODEL_MACS);
	int dst = chance(4) == 0 ? -1 : (int)chance(MODEL_MACS);

	fake_cpu.tsc += chance(100) == 0 ? chance(400) * HZ : chance(1000);
	if (chance(50) == 0) {
		model_replug(from);
	}
	if (from == 0 && src == 0) {
		src = MODEL_PORTS + chance(MODEL_HOSTS);
	}
	if (model.connected[from]) {
		model_send(from, src, dst, fake_cpu.tsc);
		send_bytes(from, mac_of(src), dst < 0 ? group : mac_of((unsigned)dst), LEN);
	}
	for (unsigned i = 0; i < MODEL_PORTS; i++) {
		assert_int_equal(ends[i].got, model.expected[i]);
	}
}

static void frames_reach_exactly_whom_a_slow_switch_says(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		const struct network_config cfg = {.storm = 100000000, .any_mac = round % 3 == 0};

		fresh(&cfg);
		memset(&model, 0, sizeof(model));
		memset(model.heard_at, 0xff, sizeof(model.heard_at));
		model.any_mac = cfg.any_mac;
		for (unsigned i = 0; i < MODEL_PORTS; i++) {
			model_replug(i);
		}
		for (unsigned i = 0; i < 3000; i++) {
			model_step();
		}
		(void)teardown(state);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_reach_their_address_alone),
		TEST(groups_reach_all_that_want_them),
		TEST(what_is_behind_the_uplink_is_learnt_and_forgotten),
		TEST(isolated_guests_reach_the_others_only),
		TEST(an_isolated_network_isolates_all_guests),
		TEST(nobody_sends_from_anothers_address),
		TEST(any_address_may_be_sent_from_where_the_network_says_so),
		TEST(what_is_no_frame_is_dropped),
		TEST(a_storm_is_cut_down),
		TEST(what_exceeds_a_rate_waits_in_order),
		TEST(the_rate_holds_over_a_long_time),
		TEST(what_waits_is_bounded),
		TEST(a_full_receiver_loses_its_own_alone),
		TEST(work_is_done_for_those_who_do_not_take_it),
		TEST(a_long_frame_to_a_group_is_refused),
		TEST(a_checksum_is_left_to_those_who_take_it),
		TEST(tables_have_their_bounds),
		TEST(addresses_and_uplinks_are_there_once),
		TEST(who_is_pulled_gets_nothing_and_sends_nothing),
		TEST(a_capture_sees_what_passes),
		TEST(frames_reach_exactly_whom_a_slow_switch_says),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
