/* SPDX-License-Identifier: Apache-2.0 */
/* What descriptors ask for, judged by what comes out of the switch in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

#include "guests/devices/e1000_internal.h"
#include "tests/fakes/net_oracle.h"

#define IXSM 1u
#define TXSM 2u

static uint32_t seed = 1;
static struct e1000_tx_queue queue;

static uint64_t offsets(uint64_t ipcss, uint64_t ipcso, uint64_t ipcse, uint64_t tucss,
			uint64_t tucso, uint64_t tucse)
{
	return ipcss | ipcso << 8 | ipcse << 16 | tucss << 32 | tucso << 40 | tucse << 48;
}

/* A UDP frame over IPv4 without its sums, and a queue that knows where they are. */
static struct net_frame *udp(uint32_t payload)
{
	struct net_frame *f = net_frame_alloc(300);

	queue = (struct e1000_tx_queue){.options = IXSM | TXSM, .limit = 300};
	queue.context[0].offsets = offsets(14, 24, 33, 34, 40, 0);
	oracle_udp(f, payload, false, &seed);
	f->data[24] = 0;
	f->data[25] = 0;
	f->offload = (struct net_offload){0};
	return f;
}

/* All that is left to do is done, and right. */
static void comes_out_right(struct net_frame *f)
{
	struct net_frame *done;

	assert_true(net_offload_valid(f));
	done = net_offload_finish(f);
	assert_non_null(done);
	assert_true(oracle_transport_good(done));
	net_frame_put_list(done);
	net_frame_put(f);
}

static void sums_are_left_to_the_switch(void **state)
{
	(void)state;
	for (uint32_t payload = 0; payload < 100; payload++) {
		struct net_frame *f = udp(payload);

		assert_true(e1000_offload(&queue, 0x8100, f, false));
		assert_true(f->offload.needs_checksum);
		comes_out_right(f);
	}
}

static void or_done_here(void **state)
{
	(void)state;
	for (uint32_t payload = 0; payload < 100; payload++) {
		struct net_frame *f = udp(payload);

		assert_true(e1000_offload(&queue, 0x8100, f, true));
		assert_false(f->offload.needs_checksum);
		comes_out_right(f);
	}
}

static void a_sum_that_ends_early_is_done_here(void **state)
{
	struct net_frame *f = udp(40);
	uint16_t expected;

	(void)state;
	queue.context[0].offsets = offsets(14, 24, 33, 34, 40, 61);
	memset(f->data + 40, 0, 2);
	expected = oracle_checksum(f->data + 34, 62 - 34);
	assert_true(e1000_offload(&queue, 0x8100, f, false));
	assert_false(f->offload.needs_checksum);
	assert_int_equal(f->data[40] << 8 | f->data[41], expected);
	net_frame_put(f);
}

static void sums_that_lie_outside_are_not_put_in(void **state)
{
	static const struct {
		uint64_t start, at, last;
	} cases[] = {{0xff, 40, 0}, {34, 0xff, 0}, {34, 40, 20}, {34, 81, 0}, {34, 40, 0xffff}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_frame *f = udp(40); /* 82 bytes */
		uint8_t before[82];

		queue.options = TXSM;
		queue.context[0].offsets =
			offsets(0, 0, 0, cases[i].start, cases[i].at, cases[i].last);
		memcpy(before, f->data, f->len);
		assert_int_equal(f->len, sizeof(before));
		assert_true(e1000_offload(&queue, 0x8100, f, false));
		assert_true(net_offload_valid(f));
		if (i < 4) {
			assert_false(f->offload.needs_checksum);
			assert_memory_equal(before, f->data, f->len);
		}
		net_frame_put(f);
	}
}

static void legacy_descriptors_have_one_sum(void **state)
{
	struct net_frame *f = udp(40);

	(void)state;
	queue.options = 0;
	queue.legacy_sum = true;
	queue.checksum_start = 34;
	queue.checksum_offset = 40;
	assert_true(e1000_offload(&queue, 0x8100, f, false));
	assert_true(f->offload.needs_checksum);
	assert_int_equal(f->offload.csum_start, 34);
	assert_int_equal(f->offload.csum_offset, 6);
	net_frame_put(f);
}

static void a_tag_moves_all_offsets(void **state)
{
	struct net_frame *f = udp(40);

	(void)state;
	queue.tagged = true;
	queue.tag = 0x0123;
	assert_true(e1000_offload(&queue, 0x8100, f, false));
	assert_memory_equal(f->data + 12, "\x81\x00\x01\x23\x08\x00", 6);
	assert_int_equal(f->offload.csum_start, 38);
	comes_out_right(f);
}

static void a_tag_needs_room(void **state)
{
	struct net_frame *f = udp(40);

	(void)state;
	queue.tagged = true;
	queue.limit = f->len + 3;
	assert_false(e1000_offload(&queue, 0x8100, f, false));
	net_frame_put(f);
}

/* --- segmentation --- */

/* A frame to be cut, with the headers as drivers leave them: no lengths, sums without a length. */
static struct net_frame *tcp(const struct oracle_tcp *t)
{
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);
	uint32_t ip = 14;
	uint32_t header;

	oracle_tcp(f, t, &seed);
	header = ip + (t->v6 ? 40 : 20 + t->ip_options);
	queue = (struct e1000_tx_queue){.segment = true, .limit = NET_FRAME_MAX};
	queue.context[1].offsets = offsets(ip, ip + 10, header - 1, header, header + 16, 0);
	queue.context[1].low = (0x24u | 1u | (t->v6 ? 0 : 2u)) << 24;
	queue.context[1].high = (header + 20 + t->tcp_options) << 8 | (uint32_t)t->gso_size << 16;
	memset(f->data + ip + (t->v6 ? 4 : 2), 0, 2);
	if (!t->v6) {
		memset(f->data + ip + 10, 0, 2);
	}
	memset(f->data + header + 16, 0x77, 2);
	f->offload = (struct net_offload){0};
	return f;
}

static void frames_are_cut_as_the_context_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		const struct oracle_tcp t = {.v6 = (i & 1) != 0,
					     .ip_options = (i & 1) == 0 ? (i >> 1 & 1) * 8 : 0,
					     .tcp_options = (i >> 2 & 1) * 12,
					     .payload = 3000 + i * 900,
					     .gso_size = (uint16_t)(536 + (i & 7) * 100)};
		struct net_frame *f = tcp(&t);

		assert_true(e1000_offload(&queue, 0x8100, f, false));
		assert_int_equal(f->offload.gso, t.v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4);
		assert_int_equal(f->offload.gso_size, t.gso_size);
		assert_true(net_offload_valid(f));
		/* Whole, too, it is in order: some receivers take it like that. */
		assert_null(oracle_compare(f, net_offload_finish(f)));
		net_frame_put(f);
	}
}

static void the_whole_is_in_order_for_receivers_that_take_it(void **state)
{
	const struct oracle_tcp t = {.payload = 5000, .gso_size = 1448};
	struct net_frame *f = tcp(&t);

	(void)state;
	assert_true(e1000_offload(&queue, 0x8100, f, false));
	assert_int_equal(f->data[16] << 8 | f->data[17], f->len - 14);
	assert_int_equal(oracle_checksum(f->data + 14, 20), 0);
	/* With the sum of the rest in the field both sums hold. */
	f->offload.gso = NET_GSO_NONE;
	{
		uint16_t sum = oracle_checksum(f->data + 34, f->len - 34);

		f->data[50] = (uint8_t)(sum >> 8);
		f->data[51] = (uint8_t)sum;
	}
	assert_true(oracle_transport_good(f));
	net_frame_put(f);
}

static void one_segment_is_not_cut(void **state)
{
	const struct oracle_tcp t = {.payload = 900, .gso_size = 1448};
	struct net_frame *f = tcp(&t);

	(void)state;
	assert_true(e1000_offload(&queue, 0x8100, f, false));
	assert_int_equal(f->offload.gso, NET_GSO_NONE);
	comes_out_right(f);
	f = tcp(&t);
	assert_true(e1000_offload(&queue, 0x8100, f, true));
	assert_false(f->offload.needs_checksum);
	comes_out_right(f);
}

static void tagged_frames_are_cut_too(void **state)
{
	const struct oracle_tcp t = {.payload = 5000, .gso_size = 1400};
	struct net_frame *f = tcp(&t);

	(void)state;
	queue.tagged = true;
	queue.tag = 5;
	assert_true(e1000_offload(&queue, 0x8100, f, false));
	assert_true(net_offload_valid(f));
	assert_null(oracle_compare(f, net_offload_finish(f)));
	net_frame_put(f);
}

static void headers_that_cannot_be_are_refused(void **state)
{
	const struct oracle_tcp t = {.payload = 5000, .gso_size = 1400};
	const uint64_t good = offsets(14, 24, 33, 34, 50, 0);
	static const struct {
		uint64_t offsets;
		uint32_t low;
		uint32_t high;
	} cases[] = {
		{0, 0, 0},
		/* Not TCP; no segment size; a header that is too short, or longer than all. */
		{14 | 34ull << 32, 0x26000000, 54 << 8 | 1400u << 16},
		{14 | 34ull << 32, 0x27000000, 54 << 8},
		{14 | 34ull << 32, 0x27000000, 53 << 8 | 1400u << 16},
		{14 | 34ull << 32, 0x25000000, 54 << 8 | 1400u << 16},
		{0 | 34ull << 32, 0x27000000, 54 << 8 | 1400u << 16},
		{14 | 33ull << 32, 0x27000000, 54 << 8 | 1400u << 16},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_frame *f = tcp(&t);

		queue.context[1] =
			(struct e1000_tx_context){cases[i].offsets, cases[i].low, cases[i].high};
		assert_false(e1000_offload(&queue, 0x8100, f, false));
		net_frame_put(f);
	}
	{
		struct net_frame *f = tcp(&t);

		queue.context[1].offsets = good;
		f->len = 53;
		assert_false(e1000_offload(&queue, 0x8100, f, false));
		f->len = 13;
		assert_false(e1000_offload(&queue, 0x8100, f, false));
		net_frame_put(f);
	}
	/* What would have to be cut cannot be looped. */
	{
		struct net_frame *f = tcp(&t);

		assert_false(e1000_offload(&queue, 0x8100, f, true));
		net_frame_put(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_left_to_the_switch),
		cmocka_unit_test(or_done_here),
		cmocka_unit_test(a_sum_that_ends_early_is_done_here),
		cmocka_unit_test(sums_that_lie_outside_are_not_put_in),
		cmocka_unit_test(legacy_descriptors_have_one_sum),
		cmocka_unit_test(a_tag_moves_all_offsets),
		cmocka_unit_test(a_tag_needs_room),
		cmocka_unit_test(frames_are_cut_as_the_context_says),
		cmocka_unit_test(the_whole_is_in_order_for_receivers_that_take_it),
		cmocka_unit_test(one_segment_is_not_cut),
		cmocka_unit_test(tagged_frames_are_cut_too),
		cmocka_unit_test(headers_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
