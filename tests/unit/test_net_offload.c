/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "hv/net/offload.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/net_oracle.h"

static uint32_t seed = 1;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static int machine(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(128));
	return 0;
}

static void a_plain_frame_is_judged_by_its_length(void **state)
{
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);

	(void)state;
	memset(f->data, 0, f->capacity);
	for (uint32_t len = 0; len < 2000; len++) {
		f->len = len;
		assert_int_equal(net_offload_valid(f), len >= 14 && len <= 1518);
	}
	net_frame_put(f);
}

static void a_checksum_has_to_lie_inside(void **state)
{
	struct net_frame *f = net_frame_alloc(200);
	static const struct {
		uint16_t start, offset;
		bool valid;
	} cases[] = {{34, 6, true},	{14, 0, true},	       {13, 0, false},	  {0, 0, false},
		     {98, 0, true},	{99, 0, false},	       {14, 84, true},	  {14, 85, false},
		     {65535, 0, false}, {65535, 65535, false}, {34, 65535, false}};

	(void)state;
	memset(f->data, 0, 200);
	f->len = 100;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		f->offload = (struct net_offload){.needs_checksum = true,
						  .csum_start = cases[i].start,
						  .csum_offset = cases[i].offset};
		assert_int_equal(net_offload_valid(f), cases[i].valid);
	}
	net_frame_put(f);
}

static void a_checksum_is_finished_in_a_copy(void **state)
{
	struct net_frame *f = net_frame_alloc(200);
	struct net_frame *done;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t before[200];

		oracle_udp(f, chance(100), chance(2) != 0, &seed);
		memcpy(before, f->data, f->len);
		assert_true(net_offload_valid(f));
		done = net_offload_finish(f);
		assert_memory_equal(f->data, before, f->len);
		assert_int_equal(done->len, f->len);
		assert_null(done->next);
		assert_false(done->offload.needs_checksum);
		assert_true(done->offload.checksum_good);
		assert_true(oracle_transport_good(done));
		/* Nothing else was touched. */
		memcpy(before + f->offload.csum_start + 6, done->data + f->offload.csum_start + 6,
		       2);
		assert_memory_equal(done->data, before, f->len);
		net_frame_put(done);
	}
	net_frame_put(f);
}

/* A UDP checksum that comes out as 0 is written as its other form: 0 would say "none". */
static void a_checksum_of_zero_is_not_zero(void **state)
{
	struct net_frame *f = net_frame_alloc(64);
	struct net_frame *done;

	(void)state;
	memset(f->data, 0, 64);
	f->len = 60;
	f->data[34] = 0xff;
	f->data[35] = 0xff;
	f->offload =
		(struct net_offload){.needs_checksum = true, .csum_start = 34, .csum_offset = 6};
	done = net_offload_finish(f);
	assert_int_equal(done->data[40] << 8 | done->data[41], 0xffff);
	net_frame_put(done);
	net_frame_put(f);
}

static void segments_are_what_the_slow_way_makes(void **state)
{
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		struct oracle_tcp t = {
			.v6 = chance(2) != 0,
			.vlan = chance(4) == 0,
			.ip_options = chance(3) * 4,
			.tcp_options = chance(11) * 4,
			.payload = chance(3) == 0 ? chance(65000) : chance(5000),
			.gso_size = (uint16_t)(NET_GSO_SIZE_MIN + chance(1300)),
		};
		struct net_frame *parts;

		oracle_tcp(f, &t, &seed);
		assert_true(net_offload_valid(f));
		parts = net_offload_finish(f);
		assert_non_null(parts);
		assert_null(oracle_compare(f, parts));
	}
	net_frame_put(f);
	assert_int_equal(net_frames_bytes(), 0);
}

static void lies_about_a_long_frame_are_refused(void **state)
{
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);
	const struct oracle_tcp t = {.payload = 5000, .gso_size = 1448};
	const struct oracle_tcp t6 = {.v6 = true, .payload = 5000, .gso_size = 1428};

	(void)state;
#define REFUSED(frame, change) \
	do { \
		oracle_tcp(f, &(frame), &seed); \
		assert_true(net_offload_valid(f)); \
		change; \
		assert_false(net_offload_valid(f)); \
	} while (0)
	REFUSED(t, f->offload.gso_size = 0);
	REFUSED(t, f->offload.gso_size = NET_GSO_SIZE_MIN - 1);
	REFUSED(t, f->offload.gso_size = 1461); /* more than the MTU with its headers */
	REFUSED(t, f->offload.gso = 3);
	REFUSED(t, f->offload.gso = 255);
	REFUSED(t, f->offload.gso = NET_GSO_TCPV6);
	REFUSED(t6, f->offload.gso = NET_GSO_TCPV4);
	REFUSED(t, f->offload.needs_checksum = false);
	REFUSED(t, f->offload.csum_start++);
	REFUSED(t, f->offload.csum_offset = 6);
	REFUSED(t, f->offload.csum_start = 65535);
	REFUSED(t, f->data[12] = 0x86); /* of no type we know */
	REFUSED(t, f->data[14] = 0x65); /* version 6 under the type of 4 */
	REFUSED(t, f->data[14] = 0x44); /* header of 16 bytes */
	REFUSED(t, f->data[14] = 0x4f); /* TCP is somewhere else then */
	REFUSED(t, f->data[23] = 17);	/* UDP */
	REFUSED(t, f->data[20] = 0x20); /* more fragments */
	REFUSED(t, f->data[21] = 1);	/* a later fragment */
	REFUSED(t, f->data[46] = 0x40); /* TCP header of 16 bytes */
	REFUSED(t, f->len = 53);	/* cut inside the TCP header */
	REFUSED(t, f->len = 33);	/* and the IP header */
	REFUSED(t, f->len = 14);
	REFUSED(t6, f->data[14] = 0x45);
	REFUSED(t6, f->data[20] = 0); /* hop-by-hop options */
	REFUSED(t6, f->len = 53);
#undef REFUSED
	/* Long, with nothing said about cutting it. */
	oracle_tcp(f, &t, &seed);
	f->offload = (struct net_offload){0};
	assert_false(net_offload_valid(f));
	/* All header, no payload: one segment. */
	oracle_tcp(f, &t, &seed);
	f->len = 54;
	assert_true(net_offload_valid(f));
	f->data[46] = 0x60; /* a header that ends behind the frame */
	assert_false(net_offload_valid(f));
	net_frame_put(f);
}

static void without_memory_nothing_is_made(void **state)
{
	static struct net_frame *taken[NET_FRAMES_BYTES_MAX / KIB(128) + 1];
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);
	const struct oracle_tcp t = {.payload = 60000, .gso_size = 1448};
	unsigned count = 0;
	uint64_t before;

	(void)state;
	oracle_tcp(f, &t, &seed);
	while ((taken[count] = net_frame_alloc(NET_FRAME_MAX)) != NULL) {
		count++;
	}
	net_frame_put(taken[--count]); /* room for some of the segments */
	before = net_frames_bytes();
	assert_null(net_offload_finish(f));
	assert_int_equal(net_frames_bytes(), before);
	while (count > 0) {
		net_frame_put(taken[--count]);
	}
	net_frame_put(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_frame_is_judged_by_its_length),
		cmocka_unit_test(a_checksum_has_to_lie_inside),
		cmocka_unit_test(a_checksum_is_finished_in_a_copy),
		cmocka_unit_test(a_checksum_of_zero_is_not_zero),
		cmocka_unit_test(segments_are_what_the_slow_way_makes),
		cmocka_unit_test(lies_about_a_long_frame_are_refused),
		cmocka_unit_test(without_memory_nothing_is_made),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
