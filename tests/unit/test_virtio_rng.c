/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/virtio_rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_pci_rig.h"

#define SIZE VIRTIO_RNG_QUEUE_SIZE
#define DATA (RIG_RAM_BASE + 0x10000u)
#define HZ 1000000000u

static struct device_rig rig;
static struct virtio_rng rng;
static struct vwork_queue work_queue;
static unsigned asked;
static uint64_t made; /* bytes */

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
	asked++;
}

/* 1, 2, .. 250, 1, ..: never 0, and what is skipped shows. */
static void fill(void *dst, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		((uint8_t *)dst)[i] = (uint8_t)(1 + made++ % 250);
	}
}

static int setup(void **state)
{
	struct virtio_rng_config cfg = {
		.wiring = rig_wiring(), .work = &work_queue, .time = &rig.time, .fill = fill};

	(void)state;
	rig_init(&rig, HZ);
	vwork_queue_init(&work_queue, ask, NULL);
	asked = 0;
	made = 0;
	memset(rig_ram, 0, sizeof(rig_ram));
	assert_int_equal(virtio_rng_init(&rng, &cfg), HV_OK);
	rig_start(&rng.transport, BIT(VIRTIO_F_EVENT_IDX), SIZE);
	rig_msix_on(&rng.transport);
	return 0;
}

static void offer(uint32_t len)
{
	rig_desc(rig_queues[0].desc, 0, DATA, len, RIG_WRITE);
	rig_offer(&rig_queues[0], 0);
	rig_notify(&rng.transport, 0);
}

/* How many bytes the next used buffer got. */
static uint32_t got(void)
{
	uint32_t id;
	uint32_t len;

	assert_true(rig_take(&rig_queues[0], &id, &len));
	return len;
}

static bool waits(void)
{
	return rig_used_index(&rig_queues[0]) == rig_queues[0].used_seen;
}

static void use_up(void)
{
	for (unsigned i = 0; i < VIRTIO_RNG_BURST / VIRTIO_RNG_BUFFER_MAX; i++) {
		offer(VIRTIO_RNG_BUFFER_MAX);
		assert_int_equal(got(), VIRTIO_RNG_BUFFER_MAX);
	}
}

static void test_fills(void **state)
{
	(void)state;
	offer(300);
	assert_int_equal(got(), 300);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(rig_get(DATA + i, 1), 1 + i % 250);
	}
	assert_int_equal(rig_get(DATA + 300, 1), 0);
	assert_int_equal(rig_messages[0], 1);
	offer(5000);
	assert_int_equal(got(), VIRTIO_RNG_BUFFER_MAX);
	assert_false(vtimer_armed(&rng.timer));
}

static void test_waits_for_more(void **state)
{
	(void)state;
	use_up();
	offer(64);
	assert_true(waits());
	assert_true(vtimer_armed(&rng.timer));
	rig_advance_ns(&rig, 15000000);
	assert_int_equal(asked, 0);
	rig_advance_ns(&rig, 1000000); /* 1024 bytes of 65536 in a second */
	assert_int_equal(asked, 1);
	assert_true(waits());
	vwork_run(&work_queue);
	assert_int_equal(got(), 64);
	assert_false(vtimer_armed(&rng.timer));
	/* The driver tells again. */
	assert_int_equal(rig_avail_event(&rig_queues[0]), rig_queues[0].avail_index);
}

/* However small the buffers are, one run fills only so many. */
static void test_many_buffers(void **state)
{
	(void)state;
	rig_start(&rng.transport, 0, 256);
	for (unsigned i = 0; i < 200; i++) {
		rig_desc(rig_queues[0].desc, i, DATA + i, 1, RIG_WRITE);
		rig_offer(&rig_queues[0], (uint16_t)i);
	}
	rig_notify(&rng.transport, 0);
	assert_int_equal(rig_used_index(&rig_queues[0]), 64);
	assert_int_equal(asked, 1);
	assert_false(vtimer_armed(&rng.timer));
	for (unsigned i = 0; i < 3; i++) {
		vwork_run(&work_queue);
	}
	assert_int_equal(rig_used_index(&rig_queues[0]), 200);
	assert_int_equal(asked, 3);
}

/* However often it asks and whatever is saved up, a guest gets no more than its rate. */
static void test_rate(void **state)
{
	uint64_t before;

	(void)state;
	use_up();
	before = made;
	for (unsigned i = 0; i < 100000; i++) {
		offer(7 + i % 50);
		while (waits()) {
			rig_advance_ns(&rig, 99991);
			vwork_run(&work_queue);
		}
		(void)got();
		rig_advance_ns(&rig, 1237);
		if (vtime_now_ns(&rig.time) > 3000000000u) {
			break;
		}
	}
	assert_in_range(made - before, 3 * VIRTIO_RNG_RATE - 2048, 3 * VIRTIO_RNG_RATE + 64);
	/* No more than the burst is saved up. */
	rig_advance_ns(&rig, 100000000000u);
	before = made;
	use_up();
	offer(1);
	assert_true(waits());
	assert_int_equal(made - before, VIRTIO_RNG_BURST);
}

/* Another CPU's clock may be some ticks behind: that is no time at all. */
static void test_time_goes_back(void **state)
{
	(void)state;
	rig_advance_ns(&rig, 1000000);
	use_up();
	fake_tsc -= 100;
	offer(64);
	assert_true(waits());
	assert_int_equal(made, VIRTIO_RNG_BURST);
}

/* A buffer waits for bytes; they come when they would have. */
static void test_saved(void **state)
{
	(void)state;
	use_up();
	offer(64);
	saved_reload(&rng.saved);
	vwork_run(&work_queue);
	assert_true(waits());
	assert_true(vtimer_armed(&rng.timer));
	rig_advance_ns(&rig, 15000000);
	vwork_run(&work_queue);
	assert_true(waits());
	rig_advance_ns(&rig, 1000000);
	vwork_run(&work_queue);
	assert_int_equal(got(), 64);
#define TAKES(field, value) SAVED_TAKES(&rng.saved, struct virtio_rng_saved, field, value)
	assert_true(TAKES(left, VIRTIO_RNG_BURST));
	assert_false(TAKES(left, VIRTIO_RNG_BURST + 1));
	assert_false(TAKES(zero, 1));
	assert_false(TAKES(transport.queues[0].ring.avail_next, 3));
	assert_false(TAKES(transport.status, 0x10));
}

/* Bytes of a time to come are not counted twice. */
static void test_saved_in_the_future(void **state)
{
	struct virtio_rng_saved *bytes;

	(void)state;
	use_up();
	bytes = saved_bytes(&rng.saved);
	bytes->filled = UINT64_MAX;
	assert_null(rng.saved.ops->check(&rng, bytes));
	rng.saved.ops->load(&rng, bytes);
	free(bytes);
	offer(64);
	assert_true(waits());
	rig_advance_ns(&rig, 16000000);
	vwork_run(&work_queue);
	assert_int_equal(got(), 64);
}

static void test_broken(void **state)
{
	(void)state;
	rig_desc(rig_queues[0].desc, 0, DATA, 8, rig_link(0, 1));
	rig_desc(rig_queues[0].desc, 1, DATA, 8, RIG_WRITE);
	rig_offer(&rig_queues[0], 0);
	rig_notify(&rng.transport, 0);
	assert_true(waits());
	assert_true(rng.transport.queues[0].ring.broken);
	rig_start(&rng.transport, 0, SIZE);
	offer(8);
	assert_int_equal(got(), 8);
	rig_start(&rng.transport, 0, SIZE);
	rig_desc(rig_queues[0].desc, 0, RIG_RAM_END - 4, 8, RIG_WRITE);
	rig_offer(&rig_queues[0], 0);
	rig_notify(&rng.transport, 0);
	assert_true(waits());
	assert_true(rng.transport.queues[0].ring.broken);
}

static void test_reset_and_end(void **state)
{
	(void)state;
	use_up();
	offer(64);
	assert_true(vtimer_armed(&rng.timer));
	rig_common_write(&rng.transport, device_status, 0);
	assert_false(vtimer_armed(&rng.timer));

	rig_start(&rng.transport, 0, SIZE);
	offer(64);
	assert_true(vtimer_armed(&rng.timer));
	virtio_rng_fini(&rng);
	assert_false(vtimer_armed(&rng.timer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fills, setup),
		cmocka_unit_test_setup(test_waits_for_more, setup),
		cmocka_unit_test_setup(test_many_buffers, setup),
		cmocka_unit_test_setup(test_rate, setup),
		cmocka_unit_test_setup(test_time_goes_back, setup),
		cmocka_unit_test_setup(test_saved, setup),
		cmocka_unit_test_setup(test_saved_in_the_future, setup),
		cmocka_unit_test_setup(test_broken, setup),
		cmocka_unit_test_setup(test_reset_and_end, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
