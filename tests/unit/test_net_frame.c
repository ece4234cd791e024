/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/net.h"
#include "hv/base/bits.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define MACHINE MIB(128)
#define FRAMES 2000

static int machine(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MACHINE);
	return 0;
}

static void every_length_fits_and_begins_empty(void **state)
{
	static const uint32_t lengths[] = {0,	 1,    60,    400,   480,   512,	  1514,
					   4000, 4090, 16000, 65226, 65536, NET_FRAME_MAX};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct net_frame *f = net_frame_alloc(lengths[i]);

		assert_non_null(f);
		assert_true(f->capacity >= lengths[i]);
		assert_int_equal(f->len, 0);
		assert_int_equal(atomic_load(&f->refs), 1);
		assert_int_equal(f->offload.gso, NET_GSO_NONE);
		assert_false(f->offload.needs_checksum);
		assert_int_equal(net_frames_bytes(), net_frame_cost(f));
		/* All of it is there, and the next user finds it in order. */
		memset(f->data, 0xee, f->capacity);
		f->offload.needs_checksum = true;
		f->len = 7;
		net_frame_put(f);
		assert_int_equal(net_frames_bytes(), 0);
	}
	assert_null(net_frame_alloc(NET_FRAME_MAX + 1));
	assert_null(net_frame_alloc(~0u));
	assert_int_equal(net_frames_bytes(), 0);
}

static void an_ordinary_frame_takes_a_page(void **state)
{
	struct net_frame *f = net_frame_alloc(NET_WIRE_MAX);

	(void)state;
	assert_int_equal(net_frame_cost(f), KIB(4));
	net_frame_put(f);
	/* What Linux sends at once at most, 45 segments of 1,448 bytes and headers. */
	f = net_frame_alloc(45 * 1448 + 66);
	assert_int_equal(net_frame_cost(f), KIB(64));
	net_frame_put(f);
}

static void references_keep_it(void **state)
{
	struct net_frame *f = net_frame_alloc(100);

	(void)state;
	assert_ptr_equal(net_frame_get(f), f);
	net_frame_put(f);
	assert_int_not_equal(net_frames_bytes(), 0);
	net_frame_put(f);
	assert_int_equal(net_frames_bytes(), 0);
}

static void one_reference_too_many_is_found(void **state)
{
	struct net_frame *f = net_frame_alloc(100);

	(void)state;
	net_frame_put(f);
	EXPECT_CHECK(net_frame_put(f));
}

static void the_total_is_bounded(void **state)
{
	static struct net_frame *frames[FRAMES];
	unsigned count = 0;
	struct net_frame *f;

	(void)state;
	while (count < FRAMES && (frames[count] = net_frame_alloc(NET_FRAME_MAX)) != NULL) {
		count++;
	}
	assert_int_equal(count, NET_FRAMES_BYTES_MAX / KIB(128));
	assert_null(net_frame_alloc(1));
	/* What did not fit has left no trace: the same number fits again. */
	net_frame_put(frames[--count]);
	f = net_frame_alloc(NET_FRAME_MAX);
	assert_non_null(f);
	net_frame_put(f);
	while (count > 0) {
		net_frame_put(frames[--count]);
	}
	assert_int_equal(net_frames_bytes(), 0);
}

static void blocks_are_kept_but_not_all(void **state)
{
	static struct net_frame *frames[FRAMES];
	uint64_t before;
	uint64_t kept;

	(void)state;
	before = pool_bytes_used();
	for (unsigned i = 0; i < FRAMES; i++) {
		frames[i] = net_frame_alloc(NET_WIRE_MAX);
		assert_non_null(frames[i]);
	}
	for (unsigned i = 0; i < FRAMES; i++) {
		net_frame_put(frames[i]);
	}
	kept = pool_bytes_used() - before;
	assert_true(kept <= MIB(1));
	/* The next one needs no memory of the pool. */
	frames[0] = net_frame_alloc(NET_WIRE_MAX);
	assert_int_equal(pool_bytes_used() - before, kept);
	net_frame_put(frames[0]);
}

static void memory_used_up_is_no_frame(void **state)
{
	static void *taken[MACHINE / PAGE_SIZE];
	unsigned count = 0;

	(void)state;
	while ((taken[count] = pool_pages(0)) != NULL) {
		count++;
	}
	assert_null(net_frame_alloc(NET_FRAME_MAX));
	assert_int_equal(net_frames_bytes(), 0);
	while (count > 0) {
		pool_pages_free(taken[--count], 0);
	}
}

static void a_queue_gets_no_more_than_what_is_free(void **state)
{
	struct net_frame *f = net_frame_alloc(NET_WIRE_MAX);

	(void)state;
	assert_true(net_frames_allow(0, f));
	assert_true(net_frames_allow(NET_FRAMES_BYTES_MAX - 2 * KIB(4), f));
	assert_false(net_frames_allow(NET_FRAMES_BYTES_MAX - 2 * KIB(4) + 1, f));
	net_frame_put(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_fits_and_begins_empty),
		cmocka_unit_test(an_ordinary_frame_takes_a_page),
		cmocka_unit_test(references_keep_it),
		cmocka_unit_test(the_total_is_bounded),
		cmocka_unit_test(blocks_are_kept_but_not_all),
		cmocka_unit_test(memory_used_up_is_no_frame),
		cmocka_unit_test(a_queue_gets_no_more_than_what_is_free),
		cmocka_unit_test(one_reference_too_many_is_found),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
