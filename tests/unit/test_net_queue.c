/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/net_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

static struct net_queue queue;

static int machine(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(128));
	return 0;
}

/* Keeps one of `bytes`; whether there was room. */
static bool keep(uint32_t bytes)
{
	struct net_frame *f = net_frame_alloc(bytes);
	bool kept = net_queue_keep(&queue, f);

	f->len = bytes;
	net_frame_put(f);
	return kept;
}

static void empty(void)
{
	while (net_queue_first(&queue) != NULL) {
		net_frame_put(net_queue_take(&queue));
	}
	assert_int_equal(queue.count, 0);
	assert_int_equal(queue.bytes, 0);
	assert_int_equal(net_frames_bytes(), 0);
}

static void first_in_first_out(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 200; i++) {
			assert_true(keep(60 + i));
		}
		for (uint32_t i = 0; i < 200; i++) {
			struct net_frame *f = net_queue_first(&queue);

			assert_int_equal(f->len, 60 + i);
			assert_ptr_equal(net_queue_take(&queue), f);
			net_frame_put(f);
		}
		assert_null(net_queue_first(&queue));
	}
	empty();
}

static void the_number_is_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NET_QUEUE_FRAMES_MAX; i++) {
		assert_true(keep(60));
	}
	assert_false(keep(60));
	net_frame_put(net_queue_take(&queue));
	assert_true(keep(60));
	empty();
}

static void memory_is_bounded(void **state)
{
	unsigned kept = 0;

	(void)state;
	while (keep(60000)) {
		kept++;
	}
	assert_in_range(kept, 10, NET_QUEUE_BYTES_MAX / 60000);
	empty();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_in_first_out),
		cmocka_unit_test(the_number_is_bounded),
		cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
