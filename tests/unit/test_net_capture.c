/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "hv/net/capture.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

#define PIECE 4096u

static struct capture capture;
static struct net_frame *frame;

static int machine(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(64));
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&capture, 0, sizeof(capture));
	frame = net_frame_alloc(NET_FRAME_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_frame_put(frame);
	capture_free(&capture);
	return 0;
}

/* Adds a frame of `len` bytes whose bytes and time follow from `number`. */
static void add(unsigned number, uint32_t len)
{
	frame->len = len;
	for (uint32_t i = 0; i < len; i++) {
		frame->data[i] = (uint8_t)(number + i);
	}
	capture_frame(&capture, frame, 1000 + number, number * 1000 % 1000000000);
}

/* Reads one record at `p` and checks that it is frame `number` of `len` bytes; returns its end. */
static const uint8_t *check_record(const uint8_t *p, unsigned number, uint32_t len)
{
	struct pcap_record r;
	uint32_t kept = len < CAPTURE_SNAP ? len : CAPTURE_SNAP;

	memcpy(&r, p, sizeof(r));
	assert_int_equal(r.seconds, 1000 + number);
	assert_int_equal(r.nanoseconds, number * 1000 % 1000000000);
	assert_int_equal(r.len, len);
	assert_int_equal(r.kept, kept);
	p += sizeof(r);
	for (uint32_t i = 0; i < kept; i++) {
		assert_int_equal(p[i], (uint8_t)(number + i));
	}
	return p + kept;
}

static void the_file_begins_as_libpcap_wants_it(void **state)
{
	static const uint8_t expected[24] = {0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0,
					     0,	   0,	 0,    0,    0, 8, 0, 0, 1, 0, 0, 0};
	struct pcap_header h;

	(void)state;
	capture_header(&h);
	assert_memory_equal(&h, expected, sizeof(expected));
}

static void frames_come_back_whole_but_long_ones_cut(void **state)
{
	static const uint32_t lengths[] = {14, 60, 1518, CAPTURE_SNAP, CAPTURE_SNAP + 1, 65000};
	uint8_t out[16384];
	const uint8_t *p = out;
	uint64_t pos = 0;
	size_t n;

	(void)state;
	assert_int_equal(capture_start(&capture), HV_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		add(i, lengths[i]);
	}
	n = capture_read(&capture, &pos, out, sizeof(out));
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		p = check_record(p, i, lengths[i]);
	}
	assert_int_equal(n, p - out);
	assert_int_equal(capture_read(&capture, &pos, out, sizeof(out)), 0);
	assert_int_equal(capture.frames, ARRAY_SIZE(lengths));
}

static void only_what_comes_while_it_runs_counts(void **state)
{
	uint8_t out[PIECE];
	uint64_t pos = 0;

	(void)state;
	add(0, 100);
	assert_int_equal(capture_read(&capture, &pos, out, sizeof(out)), 0);
	assert_int_equal(capture_start(&capture), HV_OK);
	add(1, 100);
	capture_stop(&capture);
	add(2, 100);
	assert_int_equal(capture_read(&capture, &pos, out, sizeof(out)), 116);
	(void)check_record(out, 1, 100);
	/* Started again it is empty, also for who was reading the old one. */
	assert_int_equal(capture_start(&capture), HV_OK);
	pos = 0;
	assert_int_equal(capture_read(&capture, &pos, out, sizeof(out)), 0);
}

/* Over a long run of many sizes the ring always holds the last frames, whole and in order. */
static void the_last_ones_are_kept(void **state)
{
	static uint32_t lengths[3000];
	uint8_t out[PIECE];
	uint64_t pos = 0;
	unsigned first;
	unsigned number;
	uint64_t held = 0;
	size_t n;

	(void)state;
	assert_int_equal(capture_start(&capture), HV_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		lengths[i] = 14 + i * 7919 % 3000;
		add(i, lengths[i]);
	}
	/* The first that still fits, from the end. */
	for (first = ARRAY_SIZE(lengths); first > 0; first--) {
		uint64_t bytes = 16 + min_u64(lengths[first - 1], CAPTURE_SNAP);

		if (held + bytes > CAPTURE_BYTES) {
			break;
		}
		held += bytes;
	}
	number = first;
	while ((n = capture_read(&capture, &pos, out, sizeof(out))) != 0) {
		const uint8_t *p = out;

		while (p < out + n) {
			p = check_record(p, number, lengths[number]);
			number++;
		}
		assert_ptr_equal(p, out + n);
	}
	assert_int_equal(number, ARRAY_SIZE(lengths));
}

static void a_reader_that_is_overtaken_goes_on_with_whole_records(void **state)
{
	uint8_t out[PIECE];
	uint64_t pos = 0;
	struct pcap_record r;
	unsigned next;

	(void)state;
	assert_int_equal(capture_start(&capture), HV_OK);
	for (unsigned i = 0; i < 100; i++) {
		add(i, 1000);
	}
	(void)capture_read(&capture, &pos, out, sizeof(out));
	for (unsigned i = 100; i < 1000; i++) {
		add(i, 1000);
	}
	assert_true(capture_read(&capture, &pos, out, sizeof(out)) > 0);
	memcpy(&r, out, sizeof(r));
	next = r.seconds - 1000;
	assert_true(next > 100);
	(void)check_record(out, next, 1000);
}

static void memory_goes_back(void **state)
{
	uint64_t before = pool_bytes_used();

	(void)state;
	assert_int_equal(capture_start(&capture), HV_OK);
	assert_int_equal(pool_bytes_used(), before + CAPTURE_BYTES);
	capture_free(&capture);
	assert_int_equal(pool_bytes_used(), before);
	add(1, 60);
}

static void no_memory_is_said(void **state)
{
	static void *taken[MIB(64) >> 18];
	unsigned count = 0;

	(void)state;
	while (count < ARRAY_SIZE(taken) && (taken[count] = pool_pages(6)) != NULL) {
		count++;
	}
	while (pool_pages(6) != NULL) {
	}
	assert_int_equal(capture_start(&capture), HV_E_NO_MEMORY);
	assert_false(capture.running);
	while (count > 0) {
		pool_pages_free(taken[--count], 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_file_begins_as_libpcap_wants_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(frames_come_back_whole_but_long_ones_cut, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_what_comes_while_it_runs_counts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_last_ones_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_reader_that_is_overtaken_goes_on_with_whole_records, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_goes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(no_memory_is_said, setup, teardown),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
