/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/bounce.h"
#include "hv/base/bits.h"
#include "hv/guest_disk_queues.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

#define QUEUE_BYTES 5000u

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(32));
	return 0;
}

static void each_queue_has_memory_of_its_own(void **state)
{
	uint64_t before = pool_bytes_used();
	struct guest_disk_queues q;
	static const uint8_t zeros[QUEUE_BYTES];

	(void)state;
	assert_true(guest_disk_queues_alloc(&q, GUEST_DISK_QUEUES_MAX, QUEUE_BYTES));
	assert_int_equal(q.count, GUEST_DISK_QUEUES_MAX);
	for (unsigned i = 0; i < q.count; i++) {
		assert_memory_equal(q.queues[i], zeros, QUEUE_BYTES);
		memset(q.queues[i], 0xff, QUEUE_BYTES);
		memset(q.buffers[i], 0xff, BOUNCE_BYTES);
	}
	guest_disk_queues_free(&q);
	assert_int_equal(q.count, 0);
	assert_int_equal(pool_bytes_used(), before);
}

static unsigned fill(struct guest_disk_queues *disks, unsigned most)
{
	unsigned n = 0;

	while (n < most && guest_disk_queues_alloc(&disks[n], 3, QUEUE_BYTES)) {
		n++;
	}
	return n;
}

/* A machine has room for some disks, not for a hundred, and for as many the next time. */
static void without_memory_nothing_is_kept(void **state)
{
	static struct guest_disk_queues disks[100];
	unsigned n = fill(disks, 100);
	uint64_t full = pool_bytes_used();

	(void)state;
	assert_in_range(n, 1, 99);
	assert_int_equal(disks[n].count, 0);
	assert_false(guest_disk_queues_alloc(&disks[n], 3, QUEUE_BYTES));
	assert_int_equal(pool_bytes_used(), full);
	for (unsigned i = 0; i < n; i++) {
		guest_disk_queues_free(&disks[i]);
	}
	assert_int_equal(fill(disks, 100), n);
	assert_int_equal(pool_bytes_used(), full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_queue_has_memory_of_its_own, setup),
		cmocka_unit_test_setup(without_memory_nothing_is_kept, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
