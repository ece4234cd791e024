/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/nvme_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/nvme_ctl_rig.h"

static int setup(void **state)
{
	(void)state;
	driver_start();
	return 0;
}

static struct nvme_command read_block(void)
{
	return driver_transfer(NVME_READ, 1, 1);
}

/* Many times around, with answers of the right phase and order. */
static void test_wraps(void **state)
{
	struct driver_answer a;

	(void)state;
	for (unsigned shadows = 0; shadows < 2; shadows++) {
		if (shadows != 0) {
			driver_use_shadows();
		}
		for (unsigned i = 0; i < 200; i++) {
			unsigned many = i % 7 + 1;
			uint32_t first = driver_queues[1].tail;

			for (unsigned n = 0; n < many; n++) {
				driver_put(1, read_block());
			}
			driver_ring(1);
			for (unsigned n = 0; n < many; n++) {
				assert_true(driver_take(1, &a));
				assert_int_equal(a.id, (first + n) % DRIVER_ENTRIES);
				assert_int_equal(a.status, 0);
			}
			assert_false(driver_peek(1, &a));
		}
	}
	driver_all_free();
}

/* A batch costs one interrupt. */
static void test_interrupts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		driver_put(1, read_block());
	}
	driver_ring(1);
	assert_int_equal(nvme_messages[1], 1);
	assert_int_equal(nvme_messages[0], 4);
}

/* A full completion queue holds commands back until its doorbell says that there is room. */
static void fill_small_queue(unsigned at_once)
{
	struct driver_answer a;
	unsigned taken = 0;

	for (unsigned i = 0; i < 9; i++) {
		driver_put(1, read_block());
	}
	driver_ring(1);
	while (taken < 9) {
		assert_int_equal(rig_disk_seen[BLK_READ], min_u64(taken + 3, 9));
		for (unsigned i = 0; i < at_once; i++, taken++) {
			assert_true(driver_peek(1, &a));
			assert_int_equal(a.id, taken);
			driver_advance(1);
		}
		driver_doorbell(1, 1, driver_queues[1].head);
		driver_work();
	}
	driver_all_free();
}

static void test_full(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		(void)setup(state);
		assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_DELETE_SQ,
								    .dw10 = 1}),
				 0);
		assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_DELETE_CQ,
								    .dw10 = 1}),
				 0);
		assert_int_equal(driver_create_cq(1, 4), 0);
		assert_int_equal(driver_create_sq(1, 16), 0);
		if (i % 2 != 0) {
			driver_use_shadows();
		}
		fill_small_queue(i < 2 ? 1 : 3);
	}
}

/* Two queues share completions, and wait for the same room. */
static void test_shared_completions(void **state)
{
	struct driver_answer a;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(
		driver_admin((struct nvme_command){.opcode = NVME_ADMIN_DELETE_SQ, .dw10 = 2}), 0);
	assert_int_equal(driver_admin((struct nvme_command){
				 .opcode = NVME_ADMIN_CREATE_SQ,
				 .prp1 = DRIVER_SQ(2),
				 .dw10 = 2 | (DRIVER_ENTRIES - 1) << 16,
				 .dw11 = 1u << 16 | NVME_QUEUE_CONTIGUOUS,
			 }),
			 0);
	driver_queues[2].tail = 0;
	for (unsigned i = 0; i < 12; i++) {
		driver_put(1, read_block());
		driver_put(2, read_block());
	}
	driver_ring(1);
	driver_ring(2);
	assert_int_equal(rig_disk_seen[BLK_READ], DRIVER_ENTRIES - 1);
	while (driver_take(1, &a)) {
		seen += a.sq;
		driver_work();
	}
	assert_int_equal(seen, 12 * 1 + 12 * 2);
	assert_int_equal(nvme_messages[2], 0);
	driver_all_free();
}

/* An idle controller is told of each batch; heads are told once in a turn of the queue. */
static void test_doorbells_of_shadows(void **state)
{
	struct driver_answer a;

	(void)state;
	driver_use_shadows();
	driver_queues[1].doorbells = 0;
	for (unsigned i = 0; i < 10 * DRIVER_ENTRIES; i++) {
		driver_put(1, read_block());
		driver_ring(1);
		assert_true(driver_take(1, &a));
	}
	assert_in_range(driver_queues[1].doorbells, 10 * DRIVER_ENTRIES, 11 * DRIVER_ENTRIES);
}

/* A controller that has enough to do is not told of more, and finds it. */
static void test_quiet_at_work(void **state)
{
	struct driver_answer a;
	unsigned seen = 0;

	(void)state;
	driver_use_shadows();
	driver_queues[1].doorbells = 0;
	for (unsigned i = 0; i < 5; i++) {
		driver_put(1, driver_transfer(NVME_READ, 0, 512));
	}
	driver_ring(1);
	for (unsigned i = 0; i < 5; i++) {
		driver_put(1, read_block());
		driver_ring(1);
	}
	assert_int_equal(driver_queues[1].doorbells, 1);
	driver_work();
	while (driver_peek(1, &a)) {
		driver_advance(1);
		seen++;
	}
	assert_int_equal(seen, 10);
	driver_put(1, read_block());
	driver_ring(1);
	assert_int_equal(driver_queues[1].doorbells, 2);
	driver_all_free();
}

static void assert_event(uint32_t info)
{
	struct driver_answer a;

	driver_work();
	assert_true(driver_take(0, &a));
	assert_int_equal(a.result, NVME_EVENT_ERROR | info << 8 | NVME_LOG_ERRORS << 16);
	assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_GET_LOG,
							    .prp1 = DRIVER_PAGE,
							    .dw10 = NVME_LOG_ERRORS | 15u << 16}),
			 0);
	assert_int_equal(rig_get(DRIVER_PAGE + 10, 2), 0xffff);
	driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_ASYNC_EVENT});
	driver_ring(0);
}

static void test_wrong_doorbells(void **state)
{
	const struct {
		unsigned index;
		uint32_t value;
		uint32_t info;
	} cases[] = {
		{2, DRIVER_ENTRIES, NVME_EVENT_BAD_DOORBELL},
		{2, UINT32_MAX, NVME_EVENT_BAD_DOORBELL},
		{3, DRIVER_ENTRIES, NVME_EVENT_BAD_DOORBELL},
		{3, 1, NVME_EVENT_BAD_DOORBELL}, /* nothing was posted */
		{0, DRIVER_ENTRIES, NVME_EVENT_BAD_DOORBELL},
		{6, 0, NVME_EVENT_NO_DOORBELL},
		{7, 0, NVME_EVENT_NO_DOORBELL},
		{1000, 0, NVME_EVENT_NO_DOORBELL},
	};

	(void)state;
	driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_ASYNC_EVENT});
	driver_ring(0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		driver_write(NVME_DOORBELLS + 4 * cases[i].index, 4, cases[i].value);
		assert_event(cases[i].info);
	}
	driver_use_shadows();
	rig_put(DRIVER_SHADOW + 8, 99, 4);
	driver_write(NVME_DOORBELLS + 8, 4, 0);
	assert_event(NVME_EVENT_BAD_DOORBELL);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY);
	/* A controller that is off does not care. */
	driver_write(NVME_CC, 4, 0);
	driver_write(NVME_DOORBELLS, 4, 1);
	driver_write(NVME_DOORBELLS + 8, 4, 1);
	driver_write(NVME_DOORBELLS + 12, 4, 1);
	driver_enable();
	assert_int_equal(nvme.events, 0);
}

static void assert_fatal(void)
{
	struct driver_answer a;

	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_CSTS_CFS);
	/* Nothing moves until a reset, and then everything does. */
	driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_ABORT});
	driver_ring(0);
	driver_work();
	assert_false(driver_peek(0, &a));
	driver_write(NVME_CC, 4, 0);
	assert_int_equal(driver_read(NVME_CSTS, 4), 0);
	driver_all_free();
	driver_enable();
	driver_create_queues(DRIVER_ENTRIES);
}

static void test_queues_outside_ram(void **state)
{
	struct driver_answer a;

	(void)state;
	nvme.state.sq[1].ring.base = RIG_RAM_END;
	driver_put(1, read_block());
	driver_ring(1);
	assert_fatal();
	nvme.state.cq[1].ring.base = RIG_RAM_END;
	driver_put(1, read_block());
	driver_ring(1);
	assert_fatal();
	driver_use_shadows();
	nvme.state.sq[1].ring.shadow = RIG_RAM_END;
	driver_put(1, read_block());
	driver_ring(1);
	assert_fatal();
	driver_use_shadows();
	nvme.state.sq[1].ring.event = RIG_RAM_END;
	driver_put(1, read_block());
	driver_ring(1);
	assert_fatal();
	nvme.state.sq[0].ring.base = RIG_RAM_END;
	driver_ring(0);
	driver_put(0, read_block());
	driver_ring(0);
	assert_fatal();
	driver_put(1, read_block());
	driver_ring(1);
	assert_true(driver_take(1, &a));
}

/* Without MSI-X the line is up while there are completions that were not read. */
static void test_line(void **state)
{
	struct driver_answer a;

	(void)state;
	rig_config_write(rig_capability(PCI_CAP_MSIX) + PCI_MSIX_CONTROL, 2, 0);
	for (unsigned shadows = 0; shadows < 2; shadows++) {
		if (shadows != 0) {
			driver_use_shadows();
		}
		assert_false(nvme_line.level);
		driver_put(1, read_block());
		driver_put(2, read_block());
		driver_put(2, read_block());
		driver_ring(1);
		driver_ring(2);
		assert_true(nvme_line.level);
		driver_write(NVME_INTMS, 4, 0x6);
		assert_int_equal(driver_read(NVME_INTMC, 4), 0x6);
		assert_false(nvme_line.level);
		driver_write(NVME_INTMC, 4, 0x4);
		assert_true(nvme_line.level);
		driver_write(NVME_INTMC, 4, 0x2);
		assert_true(driver_take(1, &a));
		assert_true(driver_take(2, &a));
		assert_true(nvme_line.level);
		assert_true(driver_take(2, &a));
		assert_false(nvme_line.level);
	}
	driver_put(1, read_block());
	driver_ring(1);
	driver_write(NVME_CC, 4, 0);
	assert_false(nvme_line.level);
	assert_int_equal(nvme_messages[1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_wraps, setup),
		cmocka_unit_test_setup(test_interrupts, setup),
		cmocka_unit_test(test_full),
		cmocka_unit_test_setup(test_shared_completions, setup),
		cmocka_unit_test_setup(test_doorbells_of_shadows, setup),
		cmocka_unit_test_setup(test_quiet_at_work, setup),
		cmocka_unit_test_setup(test_wrong_doorbells, setup),
		cmocka_unit_test_setup(test_queues_outside_ram, setup),
		cmocka_unit_test_setup(test_line, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
