/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/disk_queue.h"
#include "hv/api/clock.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define COUNT 8u

static struct disk_queue queue;
static struct blk_device device;
static struct blk_request requests[COUNT];
static struct list_node done;
static unsigned told;

static void on_done(struct blk_request *r)
{
	/* Its owner may use it again at once. */
	assert_true(list_empty(&r->node));
	r->cookie = 0;
	told++;
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	clock_init(1000000000);
	memset(&device, 0, sizeof(device));
	for (unsigned i = 0; i < COUNT; i++) {
		requests[i] = (struct blk_request){.op = BLK_READ, .done = on_done};
	}
	disk_queue_init(&queue, 3, 1000);
	list_init(&done);
	told = 0;
	return 0;
}

static void put(unsigned i)
{
	disk_queue_put(&queue, &device, &requests[i], &done);
}

static unsigned start(void)
{
	unsigned slot = 99;

	assert_true(disk_queue_start(&queue, &slot));
	return slot;
}

static bool starts(void)
{
	unsigned slot;

	return disk_queue_start(&queue, &slot);
}

static void requests_go_in_order(void **state)
{
	(void)state;
	assert_false(starts());
	for (unsigned i = 0; i < 5; i++) {
		put(i);
	}
	for (unsigned i = 0; i < 3; i++) {
		unsigned slot = start();

		assert_ptr_equal(queue.slots[slot].request, &requests[i]);
		assert_ptr_equal(queue.slots[slot].device, &device);
	}
	assert_false(starts());
	disk_queue_end(&queue, 1, HV_OK, &done);
	assert_int_equal(start(), 1);
	assert_ptr_equal(queue.slots[1].request, &requests[3]);
	assert_false(starts());
	assert_int_equal(told, 0);
	disk_finish(&done);
	assert_int_equal(told, 1);
	assert_int_equal(requests[1].status, HV_OK);
	EXPECT_CHECK(disk_queue_end(&queue, 3, HV_OK, &done));
}

static void generations_tell_requests_apart(void **state)
{
	unsigned generation;

	(void)state;
	put(0);
	assert_int_equal(start(), 0);
	generation = queue.slots[0].generation;
	assert_true(disk_queue_is_open(&queue, 0, generation));
	assert_false(disk_queue_is_open(&queue, 0, generation + 1));
	assert_false(disk_queue_is_open(&queue, 1, queue.slots[1].generation));
	assert_false(disk_queue_is_open(&queue, 1000, generation));
	disk_queue_end(&queue, 0, HV_OK, &done);
	assert_false(disk_queue_is_open(&queue, 0, generation));
	put(1);
	assert_int_equal(start(), 0);
	assert_false(disk_queue_is_open(&queue, 0, generation));
}

static bool flushes_alone(struct blk_device *d, const struct blk_request *r)
{
	assert_ptr_equal(d, &device);
	return r->op == BLK_FLUSH;
}

static void some_suffer_nothing_beside_them(void **state)
{
	unsigned first;

	(void)state;
	queue.alone = flushes_alone;
	requests[1].op = BLK_FLUSH;
	put(0);
	put(1);
	put(2);
	first = start();
	assert_false(starts());
	disk_queue_end(&queue, first, HV_OK, &done);
	first = start();
	assert_ptr_equal(queue.slots[first].request, &requests[1]);
	assert_false(starts());
	disk_queue_end(&queue, first, HV_OK, &done);
	assert_true(starts());
}

static void time_is_counted_from_the_slot_on(void **state)
{
	(void)state;
	fake_tsc = 5000;
	put(0);
	fake_tsc = 100000;
	assert_false(disk_queue_is_overdue(&queue, clock_now()));
	(void)start();
	assert_false(disk_queue_is_overdue(&queue, 101000));
	assert_true(disk_queue_is_overdue(&queue, 101001));
	disk_queue_end(&queue, 0, HV_OK, &done);
	assert_false(disk_queue_is_overdue(&queue, 999999));
}

static void retries_come_first_and_alone(void **state)
{
	unsigned slot;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		put(i);
	}
	for (unsigned i = 0; i < 3; i++) {
		(void)start();
	}
	disk_queue_end(&queue, 0, HV_OK, &done);
	disk_queue_retry_open(&queue);
	assert_int_equal(queue.open_count, 0);
	for (unsigned i = 1; i < 3; i++) {
		slot = start();
		assert_ptr_equal(queue.slots[slot].request, &requests[i]);
		assert_false(starts());
		disk_queue_end(&queue, slot, HV_OK, &done);
		assert_int_equal(requests[i].status, HV_OK);
	}
	/* The others are as they were; and so is one that its owner asks for anew. */
	disk_finish(&done);
	put(1);
	assert_ptr_equal(queue.slots[start()].request, &requests[3]);
	assert_true(starts());
}

static void all_end_when_it_fails(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		put(i);
	}
	(void)start();
	(void)start();
	disk_queue_end_open(&queue, &done);
	disk_finish(&done);
	assert_int_equal(told, 2);
	(void)start();
	disk_queue_fail(&queue, &done);
	put(5);
	disk_finish(&done);
	assert_int_equal(told, 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(requests[i].status, HV_E_IO);
	}
	assert_int_equal(device.stats.errors, 6);
	assert_false(starts());
}

static void complaints_end(void **state)
{
	unsigned count = 0;

	(void)state;
	while (count < 1000 && disk_queue_complain(&queue)) {
		count++;
	}
	assert_int_equal(count, DISK_COMPLAINTS_MAX);
}

static void text_of_devices(void **state)
{
	char out[8];

	(void)state;
	disk_text("  AB C  ", 8, out, sizeof(out));
	assert_string_equal(out, "AB C");
	disk_text("\1\x80x\n      ", 10, out, sizeof(out));
	assert_string_equal(out, "??x?");
	disk_text("0123456789", 10, out, sizeof(out));
	assert_string_equal(out, "0123456");
	disk_text("        ", 8, out, sizeof(out));
	assert_string_equal(out, "");
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(requests_go_in_order),
		T(generations_tell_requests_apart),
		T(some_suffer_nothing_beside_them),
		T(time_is_counted_from_the_slot_on),
		T(retries_come_first_and_alone),
		T(all_end_when_it_fails),
		T(complaints_end),
		T(text_of_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
