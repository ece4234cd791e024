/* SPDX-License-Identifier: Apache-2.0 */
/* An NVMe controller saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/nvme_ctl_rig.h"
#include "tests/fakes/saved_rig.h"

static int setup(void **state)
{
	(void)state;
	driver_start();
	return 0;
}

static bool is_quiet(void)
{
	return nvme.saved.ops->quiet(nvme.saved.dev);
}

static void read_block(unsigned queue, uint64_t block)
{
	driver_put(queue, driver_transfer(NVME_READ, block, 1));
	driver_ring(queue);
}

static void put_event_request(void)
{
	driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_ASYNC_EVENT});
	driver_ring(0);
}

/* Not while the disk has a command; then with answers that are unread, and an error to be told. */
static void test_goes_on(void **state)
{
	struct driver_answer a;

	(void)state;
	put_event_request();
	rig_disk_holds = true;
	read_block(1, 4);
	read_block(2, 5);
	assert_false(is_quiet());
	rig_disk_finish(0, HV_OK);
	rig_disk_finish(0, HV_E_IO);
	assert_false(is_quiet());
	driver_work();
	assert_true(is_quiet());
	driver_put(2, driver_transfer(NVME_READ, 6, 1)); /* not told yet */
	saved_reload(&nvme.saved);
	assert_true(driver_take(1, &a));
	assert_int_equal(a.status, NVME_SC_SUCCESS);
	assert_true(driver_take(2, &a));
	assert_int_equal(a.status, NVME_SC_READ_ERROR);
	rig_disk_holds = false;
	driver_ring(2);
	assert_true(driver_take(2, &a));
	assert_int_equal(rig_get(DRIVER_DATA, 4), 6);
	/* The event request is still held. */
	driver_write(NVME_DOORBELLS + 8, 4, 999);
	driver_work();
	assert_true(driver_take(0, &a));
	assert_int_equal(a.result & 7, NVME_EVENT_ERROR);
	driver_all_free();
}

/* Around the ends of its queues, with shadow doorbells, while a completion queue is full. */
static void test_full_queue(void **state)
{
	struct driver_answer a;
	unsigned taken = 0;

	(void)state;
	driver_use_shadows();
	for (unsigned i = 0; i < DRIVER_ENTRIES - 2; i++) {
		read_block(1, i);
		assert_true(driver_take(1, &a));
	}
	for (unsigned i = 0; i < DRIVER_ENTRIES - 1; i++) {
		read_block(1, i);
	}
	read_block(1, 77); /* finds no place */
	assert_true(nvme.answers[1].starving != 0);
	driver_work();
	assert_true(is_quiet());
	saved_reload(&nvme.saved);
	while (driver_take(1, &a)) {
		assert_int_equal(a.status, NVME_SC_SUCCESS);
		taken++;
		driver_work();
	}
	assert_int_equal(taken, DRIVER_ENTRIES);
	assert_int_equal(rig_get(DRIVER_DATA, 4), 77);
	driver_all_free();
}

static void test_settings(void **state)
{
	uint32_t result;

	(void)state;
	assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_SET_FEATURES,
							    .dw10 = NVME_FEATURE_WRITE_CACHE}),
			 0);
	assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_SET_FEATURES,
							    .dw10 = NVME_FEATURE_VECTOR,
							    .dw11 = 0x10001}),
			 0);
	driver_write(NVME_INTMS, 4, 6);
	saved_reload(&nvme.saved);
	assert_true(nvme.write_through);
	assert_int_equal(driver_do(0,
				   (struct nvme_command){.opcode = NVME_ADMIN_GET_FEATURES,
							 .dw10 = NVME_FEATURE_VECTOR,
							 .dw11 = 1},
				   &result),
			 0);
	assert_int_equal(result, 0x10001);
	assert_int_equal(driver_read(NVME_INTMC, 4), 6);
	assert_int_equal(driver_do(1, driver_transfer(NVME_WRITE, 3, 1), NULL), 0);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
}

/* Shut down, and failed: neither keeps it from being saved. */
static void test_ends(void **state)
{
	(void)state;
	driver_write(NVME_CC, 4, NVME_CC_ON | NVME_CC_SHN_NORMAL);
	saved_reload(&nvme.saved);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_SHST_COMPLETE << 2);
	driver_write(NVME_CC, 4, 0);
	assert_int_equal(driver_read(NVME_CSTS, 4), 0);
	driver_write(NVME_ASQ, 8, RIG_RAM_END);
	driver_write(NVME_CC, 4, NVME_CC_ON);
	driver_write(NVME_DOORBELLS, 4, 1);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_CSTS_CFS);
	driver_work();
	assert_true(is_quiet());
	saved_reload(&nvme.saved);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_CSTS_CFS);
	driver_write(NVME_CC, 4, 0);
	driver_enable();
	driver_all_free();
}

static void test_checks(void **state)
{
	(void)state;
	put_event_request();
#define TAKES(field, value) SAVED_TAKES(&nvme.saved, struct nvme_ctl_saved, field, value)
	assert_true(TAKES(intms, UINT32_MAX));
	assert_false(TAKES(sectors, 1));
	assert_false(TAKES(queue_count, 1));
	assert_false(TAKES(cc, NVME_CC_ON | BIT32(24)));
	assert_false(TAKES(cc, 0));
	assert_false(TAKES(aqa, BIT32(12)));
	assert_false(TAKES(asq, 8));
	assert_false(TAKES(shadow, 4));
	assert_false(TAKES(unread, BIT32(DRIVER_QUEUES + 1)));
	assert_false(TAKES(events, 4));
	assert_false(TAKES(held_count, 5));
	assert_true(TAKES(held_count, 2));
	assert_true(TAKES(held[0], 7));
	assert_false(TAKES(held[1], 7));
	assert_false(TAKES(ready, 0));
	assert_false(TAKES(stopping, 1));
	assert_false(TAKES(shutdown, NVME_CTL_DRAINING));
	assert_false(TAKES(shutdown, 4));
	assert_false(TAKES(features[NVME_FEATURE_POWER], 1));
	assert_false(TAKES(features[0], 1));
	assert_true(TAKES(features[NVME_FEATURE_WRITE_CACHE], 0));
}

static void test_checks_queues(void **state)
{
	(void)state;
	assert_true(TAKES(sq[1].ring.head, DRIVER_ENTRIES - 1));
	assert_false(TAKES(sq[1].ring.head, DRIVER_ENTRIES));
	assert_false(TAKES(cq[1].ring.tail, DRIVER_ENTRIES));
	assert_false(TAKES(sq[1].ring.entries, NVME_CTL_ENTRIES_MAX + 1));
	assert_true(TAKES(sq[0].ring.entries, 4096));
	assert_false(TAKES(sq[1].ring.base, 16));
	assert_false(TAKES(sq[1].ring.made, 0));
	assert_false(TAKES(sq[DRIVER_QUEUES + 1].cq, 1));
	assert_false(TAKES(sq[0].cq, 1));
	assert_true(TAKES(sq[1].cq, 2));
	assert_false(TAKES(sq[1].cq, 0));
	assert_false(TAKES(sq[1].cq, DRIVER_QUEUES + 1));
	assert_false(TAKES(sq[1].deleting, 1));
	assert_false(TAKES(cq[2].vector, DRIVER_QUEUES + 1));
	assert_false(TAKES(cq[2].starving, BIT32(DRIVER_QUEUES + 1)));
	assert_false(TAKES(cq[2].phase, 2));
	assert_false(TAKES(cq[DRIVER_QUEUES + 1].vector, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_goes_on, setup),
		cmocka_unit_test_setup(test_full_queue, setup),
		cmocka_unit_test_setup(test_settings, setup),
		cmocka_unit_test_setup(test_ends, setup),
		cmocka_unit_test_setup(test_checks, setup),
		cmocka_unit_test_setup(test_checks_queues, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
