/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/nvme_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/nvme_ctl_rig.h"

#define DNR(status) ((status) | NVME_SC_DNR)

static int setup(void **state)
{
	(void)state;
	driver_start();
	return 0;
}

/* A Create command that is in order but for what a case changes. */
static struct nvme_command create(uint8_t opcode, uint32_t id)
{
	return (struct nvme_command){
		.opcode = opcode,
		.prp1 = DRIVER_SQ(2),
		.dw10 = id | (DRIVER_ENTRIES - 1) << 16,
		.dw11 = 2u << 16 | NVME_QUEUE_CONTIGUOUS,
	};
}

static uint16_t drop(uint8_t opcode, uint32_t id)
{
	return driver_admin((struct nvme_command){.opcode = opcode, .dw10 = id});
}

static void test_create(void **state)
{
	const struct {
		uint32_t id;
		uint32_t entries;
		uint32_t dw11;
		uint64_t prp1;
		uint16_t cq_status;
		uint16_t sq_status;
	} cases[] = {
		{0, 16, 0x20001, 0x1000, DNR(NVME_SC_QUEUE_ID), DNR(NVME_SC_QUEUE_ID)},
		{1, 16, 0x20001, 0x1000, DNR(NVME_SC_QUEUE_ID), DNR(NVME_SC_QUEUE_ID)},
		{3, 16, 0x20001, 0x1000, DNR(NVME_SC_QUEUE_ID), DNR(NVME_SC_QUEUE_ID)},
		{0xffff, 16, 0x20001, 0x1000, DNR(NVME_SC_QUEUE_ID), DNR(NVME_SC_QUEUE_ID)},
		{2, 1, 0x20001, 0x1000, DNR(NVME_SC_QUEUE_SIZE), DNR(NVME_SC_QUEUE_SIZE)},
		{2, 1025, 0x20001, 0x1000, DNR(NVME_SC_QUEUE_SIZE), DNR(NVME_SC_QUEUE_SIZE)},
		{2, 16, 0x20000, 0x1000, DNR(NVME_SC_BAD_FIELD), DNR(NVME_SC_BAD_FIELD)},
		{2, 16, 0x20001, 0x1008, DNR(NVME_SC_PRP_OFFSET), DNR(NVME_SC_PRP_OFFSET)},
		{2, 16, 0x30001, 0x1000, DNR(NVME_SC_VECTOR), DNR(NVME_SC_NO_CQ)},
		{2, 16, 0x00001, 0x1000, 0, DNR(NVME_SC_NO_CQ)},
		{2, 1024, 0x20001, 0x1000, DNR(NVME_SC_QUEUE_ID), 0},
	};

	(void)state;
	assert_int_equal(drop(NVME_ADMIN_DELETE_SQ, 2), 0);
	assert_int_equal(drop(NVME_ADMIN_DELETE_CQ, 2), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nvme_command c = {.opcode = NVME_ADMIN_CREATE_CQ,
					 .prp1 = cases[i].prp1,
					 .dw10 = cases[i].id | (cases[i].entries - 1) << 16,
					 .dw11 = cases[i].dw11};

		assert_int_equal(driver_admin(c), cases[i].cq_status);
		c.opcode = NVME_ADMIN_CREATE_SQ;
		assert_int_equal(driver_admin(c), cases[i].sq_status);
	}
	assert_int_equal(nvme.state.sq[2].ring.entries, 1024);
	assert_int_equal(nvme.state.sq[2].cq, 2);
}

/* Sizes of entries are set before queues are made. */
static void test_entry_sizes(void **state)
{
	(void)state;
	assert_int_equal(drop(NVME_ADMIN_DELETE_SQ, 2), 0);
	driver_write(NVME_CC, 4, NVME_CC_EN | NVME_CC_IOCQES);
	assert_int_equal(driver_admin(create(NVME_ADMIN_CREATE_SQ, 2)), DNR(NVME_SC_BAD_FIELD));
	driver_write(NVME_CC, 4, NVME_CC_EN | NVME_CC_IOSQES);
	assert_int_equal(driver_admin(create(NVME_ADMIN_CREATE_SQ, 2)), 0);
	assert_int_equal(drop(NVME_ADMIN_DELETE_SQ, 2), 0);
	assert_int_equal(drop(NVME_ADMIN_DELETE_CQ, 2), 0);
	assert_int_equal(driver_admin(create(NVME_ADMIN_CREATE_CQ, 2)), DNR(NVME_SC_BAD_FIELD));
}

static void test_delete(void **state)
{
	static const uint32_t wrong[] = {0, 3, 0xffff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(drop(NVME_ADMIN_DELETE_SQ, wrong[i]), DNR(NVME_SC_QUEUE_ID));
		assert_int_equal(drop(NVME_ADMIN_DELETE_CQ, wrong[i]), DNR(NVME_SC_QUEUE_ID));
	}
	assert_int_equal(drop(NVME_ADMIN_DELETE_CQ, 2), DNR(NVME_SC_QUEUE_DELETION));
	assert_int_equal(drop(NVME_ADMIN_DELETE_SQ, 2), 0);
	assert_int_equal(drop(NVME_ADMIN_DELETE_SQ, 2), DNR(NVME_SC_QUEUE_ID));
	assert_int_equal(drop(NVME_ADMIN_DELETE_CQ, 2), 0);
	assert_int_equal(drop(NVME_ADMIN_DELETE_CQ, 2), DNR(NVME_SC_QUEUE_ID));
	driver_all_free();
}

static void test_other_commands(void **state)
{
	static const uint8_t unknown[] = {0x03, 0x0d, 0x10, 0x11, 0x14, 0x18, 0x80, 0x81, 0xff};
	uint32_t result;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_int_equal(driver_admin((struct nvme_command){.opcode = unknown[i]}),
				 DNR(NVME_SC_BAD_OPCODE));
	}
	assert_int_equal(
		driver_admin((struct nvme_command){.opcode = NVME_ADMIN_ABORT, .flags = 0x40}),
		DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(driver_do(0, (struct nvme_command){.opcode = NVME_ADMIN_ABORT}, &result),
			 0);
	assert_int_equal(result, 1);
	assert_int_equal(nvme.state.error_count, ARRAY_SIZE(unknown) + 1);
}

static void test_doorbell_buffers(void **state)
{
	struct nvme_command c = {.opcode = NVME_ADMIN_DOORBELL_BUFFERS,
				 .prp1 = DRIVER_SHADOW,
				 .prp2 = DRIVER_EVENT + 8};

	(void)state;
	assert_int_equal(driver_admin(c), DNR(NVME_SC_PRP_OFFSET));
	assert_false(nvme.state.shadowed);
	/* A queue in use goes on from where it is. */
	assert_int_equal(driver_do(1, driver_transfer(NVME_READ, 0, 1), NULL), 0);
	c.prp2 = DRIVER_EVENT;
	assert_int_equal(driver_admin(c), 0);
	assert_int_equal(rig_get(DRIVER_SHADOW + 8, 4), 1);
	assert_int_equal(rig_get(DRIVER_SHADOW + 12, 4), 1);
	driver_shadows = true;
	assert_int_equal(driver_do(1, driver_transfer(NVME_READ, 0, 1), NULL), 0);
	/* So does one that is made later, from 0 on. */
	assert_int_equal(drop(NVME_ADMIN_DELETE_SQ, 1), 0);
	assert_int_equal(drop(NVME_ADMIN_DELETE_CQ, 1), 0);
	rig_put(DRIVER_SHADOW + 8, 0, 8);
	rig_put(DRIVER_EVENT + 8, 0, 8);
	assert_int_equal(driver_create_cq(1, 8), 0);
	assert_int_equal(driver_create_sq(1, 8), 0);
	assert_int_equal(driver_do(1, driver_transfer(NVME_READ, 0, 1), NULL), 0);
	/* The admin queue's event indexes ask for each doorbell. */
	assert_int_equal(rig_get(DRIVER_EVENT, 4), driver_queues[0].tail);
	assert_int_equal(rig_get(DRIVER_EVENT + 4, 4), driver_queues[0].head);
	c.prp1 = RIG_RAM_END;
	driver_put(0, c);
	driver_ring(0);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_CSTS_CFS);
}

/* The admin queue, too, waits for room and lets the guest go on. */
static void test_many_at_once(void **state)
{
	struct driver_answer a;
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < DRIVER_ENTRIES - 1; i++) {
		driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_ABORT});
	}
	driver_ring(0);
	while (driver_peek(0, &a)) {
		driver_advance(0);
		seen++;
	}
	assert_int_equal(seen, DRIVER_ENTRIES - 1);
	for (unsigned i = 0; i < 4; i++) {
		driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_ABORT});
	}
	driver_ring(0);
	assert_false(driver_peek(0, &a));
	driver_doorbell(0, 1, driver_queues[0].head);
	driver_work();
	assert_true(driver_take(0, &a));
	driver_all_free();
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	(void)driver_admin((struct nvme_command){.opcode = 0x0d});
	assert_int_equal(lacks_told("nvme", LACKS_COMMAND, 0x0d), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_create, setup),
		cmocka_unit_test_setup(test_entry_sizes, setup),
		cmocka_unit_test_setup(test_delete, setup),
		cmocka_unit_test_setup(test_other_commands, setup),
		cmocka_unit_test_setup(test_doorbell_buffers, setup),
		cmocka_unit_test_setup(test_many_at_once, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
