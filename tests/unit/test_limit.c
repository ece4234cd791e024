/* SPDX-License-Identifier: Apache-2.0 */
/* Limits against a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "hv/api/clock.h"
#include "hv/blk/limit.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/fake_cpu.h"

#define HZ 1000000000ull /* a tick is a nanosecond */
#define MS 1000000ull
#define REQUESTS 400u

static struct disk_rig disk;
static struct blk_limit limit;
static struct timer_queue queue;
static struct disk_rig_request requests[REQUESTS];
static unsigned asked;
static _Alignas(BLK_SECTOR) uint8_t buffer[1024 * BLK_SECTOR];

static struct timer_queue *local(void)
{
	return &queue;
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.tsc = 5000 * MS;
	clock_init(HZ);
	timer_queue_init(&queue);
	timer_set_local_queue(local);
	disk_rig_init(&disk, "nvme0", 4096, 512);
	asked = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_rig_fini(&disk);
	timer_set_local_queue(NULL);
	return 0;
}

static struct disk_rig_request *ask(enum blk_op op, uint64_t sector, uint32_t count)
{
	struct disk_rig_request *q = &requests[asked++];

	assert_true(asked <= REQUESTS);
	disk_rig_ask(&limit.dev, q, op, sector, count, buffer);
	return q;
}

static void advance(uint64_t ticks)
{
	uint64_t end = fake_cpu.tsc + ticks;

	while (timer_queue_next(&queue) <= end) {
		fake_cpu.tsc = timer_queue_next(&queue);
		timer_queue_run(&queue, fake_cpu.tsc);
	}
	fake_cpu.tsc = end;
}

static unsigned done_count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < asked; i++) {
		assert_true(requests[i].done <= 1);
		n += requests[i].done;
	}
	return n;
}

static void a_burst_and_then_the_rate(void **state)
{
	(void)state;
	blk_limit_init(&limit, &disk.dev, 100, 0);
	for (unsigned i = 0; i < 300; i++) {
		(void)ask(BLK_READ, i, 1);
	}
	/* A tenth of a second's worth. */
	assert_int_equal(done_count(), 10);
	advance(1001 * MS);
	assert_int_equal(done_count(), 110);
	advance(1000 * MS);
	assert_int_equal(done_count(), 210);
	advance(5000 * MS);
	assert_int_equal(done_count(), 300);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	/* Idle time does not add up to more than the burst. */
	asked = 0;
	advance(60000 * MS);
	for (unsigned i = 0; i < 50; i++) {
		(void)ask(BLK_READ, i, 1);
	}
	assert_int_equal(done_count(), 10);
	advance(1000 * MS);
}

static void bytes_in_a_second(void **state)
{
	unsigned before;

	(void)state;
	blk_limit_init(&limit, &disk.dev, 0, 1u << 20);
	for (unsigned i = 0; i < 100; i++) {
		(void)ask(i % 2 ? BLK_READ : BLK_WRITE, 0, 128); /* 64 KiB: 16 a second */
	}
	before = done_count();
	assert_true(before >= 1 && before <= 3);
	advance(2000 * MS);
	assert_int_equal(done_count(), before + 32);
	advance(10000 * MS);
	assert_int_equal(done_count(), 100);
}

/* One that is larger than the bucket passes, and the next ones wait for it. */
static void a_request_larger_than_the_burst(void **state)
{
	(void)state;
	blk_limit_init(&limit, &disk.dev, 0, 64u << 10);
	(void)ask(BLK_WRITE, 0, 1024); /* half a MiB: eight seconds */
	assert_int_equal(done_count(), 1);
	(void)ask(BLK_READ, 0, 1);
	advance(7800 * MS);
	assert_int_equal(done_count(), 1);
	advance(200 * MS);
	assert_int_equal(done_count(), 2);
}

static void flushes_keep_their_place(void **state)
{
	(void)state;
	blk_limit_init(&limit, &disk.dev, 10, 0);
	while (done_count() == asked) {
		(void)ask(BLK_WRITE, 1, 1);
	}
	(void)ask(BLK_FLUSH, 0, 0);
	(void)ask(BLK_WRITE, 2, 1);
	for (unsigned i = asked - 3; i < asked; i++) {
		assert_int_equal(requests[i].done, 0);
		advance(101 * MS);
		assert_int_equal(requests[i].done, 1);
		assert_int_equal(disk.last_op, requests[i].r.op);
	}
	/* Discards carry no bytes. */
	blk_limit_init(&limit, &disk.dev, 0, 512);
	for (unsigned i = 0; i < 20; i++) {
		(void)ask(BLK_DISCARD, 0, 512);
	}
	assert_int_equal(done_count(), asked);
}

/* Both limits hold at once, for any mix, and the order is kept. */
static void random_mixes(void **state)
{
	uint64_t start = fake_cpu.tsc;
	uint64_t moved = 0;
	unsigned passed = 0;

	(void)state;
	srand(7);
	blk_limit_init(&limit, &disk.dev, 200, 512u << 10);
	while (asked < REQUESTS) {
		for (unsigned i = (unsigned)rand() % 20; i > 0 && asked < REQUESTS; i--) {
			bool read = rand() % 2 != 0;

			(void)ask(read ? BLK_READ : BLK_FLUSH, 0,
				  read ? 1 + (uint32_t)rand() % 64 : 0);
		}
		advance((uint64_t)rand() % 50 * MS);
		while (passed < asked && requests[passed].done == 1) {
			const struct blk_request *r = &requests[passed++].r;

			moved += r->op == BLK_READ ? r->count * BLK_SECTOR : 0;
		}
		assert_int_equal(done_count(), passed); /* none before one that came first */
		assert_true(passed <= 200 * (fake_cpu.tsc - start) / HZ + 22);
		assert_true(moved <= (512u << 10) * ((fake_cpu.tsc - start) / MS + 100) / 1000 +
					     64 * BLK_SECTOR);
	}
	advance(60000 * MS);
	assert_int_equal(done_count(), REQUESTS);
}

static void closing_ends_what_waits(void **state)
{
	(void)state;
	blk_limit_init(&limit, &disk.dev, 10, 0);
	disk.holds = true;
	for (unsigned i = 0; i < 10; i++) {
		(void)ask(BLK_WRITE, i, 1);
	}
	assert_int_equal(disk.open_count, 1);
	blk_limit_close(&limit);
	assert_int_equal(done_count(), 9);
	assert_int_equal(requests[9].r.status, HV_E_IO);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	assert_int_equal(ask(BLK_WRITE, 0, 1)->r.status, HV_E_IO);
	while (disk.open_count > 0) {
		disk_rig_finish(&disk, 0);
	}
	assert_int_equal(done_count(), asked);
	assert_int_equal(requests[0].r.status, HV_OK);
	blk_limit_open(&limit);
	disk.holds = false;
	advance(1000 * MS);
	assert_int_equal(ask(BLK_WRITE, 0, 1)->r.status, HV_OK);
}

/* Nothing passes it by. */
static void a_limited_disk_does_not_copy(void **state)
{
	(void)state;
	disk.dev.copies = true;
	blk_limit_init(&limit, &disk.dev, 10, 0);
	assert_int_equal(disk_rig_try_copy(&limit.dev, BLK_READ, 0, 1, buffer), HV_E_UNSUPPORTED);
	assert_int_equal(disk.requests, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_burst_and_then_the_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_in_a_second, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_larger_than_the_burst, setup, teardown),
		cmocka_unit_test_setup_teardown(flushes_keep_their_place, setup, teardown),
		cmocka_unit_test_setup_teardown(random_mixes, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_ends_what_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_limited_disk_does_not_copy, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
