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
#define DATA rig_at(DRIVER_DATA)
#define LAST_BLOCK (RIG_DISK_SECTORS - 1)

static int setup(void **state)
{
	(void)state;
	driver_start();
	return 0;
}

/* One command on the first I/O queue. */
static uint16_t once(struct nvme_command c)
{
	uint16_t status = driver_do(1, c, NULL);

	driver_all_free();
	return status;
}

static uint16_t transfer(uint8_t opcode, uint64_t block, uint32_t blocks)
{
	return once(driver_transfer(opcode, block, blocks));
}

static void test_read_write(void **state)
{
	(void)state;
	for (unsigned copies = 0; copies < 2; copies++) {
		rig_disk.copies = copies != 0;
		assert_int_equal(transfer(NVME_READ, 77, 8), 0);
		assert_memory_equal(DATA, rig_disk_data + 77 * 512, 4096);
		assert_int_equal(transfer(NVME_READ, 5, 512), 0);
		assert_memory_equal(DATA, rig_disk_data + 5 * 512, 512 * 512);
		memset(DATA, 0xc3, 1024);
		assert_int_equal(transfer(NVME_WRITE, LAST_BLOCK, 1), 0);
		assert_memory_equal(rig_disk_data + RIG_DISK_BYTES - 512, DATA, 512);
	}
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 0);
	assert_true(nvme_messages[1] >= 6);
	assert_int_equal(nvme_messages[2], 0);
}

static void test_bounds(void **state)
{
	const struct {
		uint64_t block;
		uint32_t blocks;
		uint16_t status;
	} cases[] = {
		{LAST_BLOCK, 2, DNR(NVME_SC_LBA_RANGE)},
		{RIG_DISK_SECTORS, 1, DNR(NVME_SC_LBA_RANGE)},
		{UINT64_MAX, 1, DNR(NVME_SC_LBA_RANGE)},
		{UINT64_MAX, 65536, DNR(NVME_SC_LBA_RANGE)},
		{0, 1025, DNR(NVME_SC_BAD_FIELD)},
		{0, 1024, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nvme_command c = driver_transfer(NVME_READ, cases[i].block, 8);

		/* The same page again and again: RAM is smaller than what may be transferred. */
		for (unsigned n = 0; n < 128; n++) {
			rig_put(DRIVER_LIST + 8 * n, DRIVER_DATA, 8);
		}
		c.prp2 = DRIVER_LIST;
		c.dw12 = cases[i].blocks - 1;
		assert_int_equal(once(c), cases[i].status);
	}
	assert_int_equal(rig_disk_seen[BLK_READ], 2);
}

static void test_refused(void **state)
{
	const struct {
		uint8_t opcode;
		uint8_t flags;
		uint32_t nsid;
		uint16_t status;
	} cases[] = {
		{NVME_READ, 0, 0, DNR(NVME_SC_BAD_NAMESPACE)},
		{NVME_READ, 0, 2, DNR(NVME_SC_BAD_NAMESPACE)},
		{NVME_WRITE, 0, NVME_NSID_ALL, DNR(NVME_SC_BAD_NAMESPACE)},
		{NVME_FLUSH, 0, NVME_NSID_ALL, 0},
		{NVME_FLUSH, 0, 2, DNR(NVME_SC_BAD_NAMESPACE)},
		{NVME_READ, 0x01, 1, DNR(NVME_SC_BAD_FIELD)},
		{NVME_READ, 0x40, 1, DNR(NVME_SC_BAD_FIELD)},
		{0x04, 0, 1, DNR(NVME_SC_BAD_OPCODE)},
		{0x80, 0, 1, DNR(NVME_SC_BAD_OPCODE)},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nvme_command c = driver_transfer(cases[i].opcode, 0, 1);

		c.flags = cases[i].flags;
		c.nsid = cases[i].nsid;
		assert_int_equal(once(c), cases[i].status);
	}
	assert_int_equal(rig_disk_seen[BLK_READ] + rig_disk_seen[BLK_WRITE], 0);
	/* Each failure is in the log. */
	assert_int_equal(nvme.state.error_count, 8);
	assert_int_equal(nvme.state.errors[7].status, DNR(NVME_SC_BAD_OPCODE) << 1 & 0xffff);
	assert_int_equal(nvme.state.errors[7].queue, 1);
}

static void test_readonly(void **state)
{
	(void)state;
	rig_disk.readonly = true;
	assert_int_equal(transfer(NVME_WRITE, 0, 1), DNR(NVME_SC_WRITE_PROTECTED));
	assert_int_equal(transfer(NVME_WRITE_ZEROES, 0, 1), DNR(NVME_SC_WRITE_PROTECTED));
	assert_int_equal(transfer(NVME_DSM, 0, 1), DNR(NVME_SC_WRITE_PROTECTED));
	assert_int_equal(transfer(NVME_READ, 0, 1), 0);
}

/* Blocks of 4 KiB. */
static void test_large_blocks(void **state)
{
	(void)state;
	rig_disk.block_size = 4096;
	assert_int_equal(once((struct nvme_command){
				 .opcode = NVME_READ, .nsid = 1, .prp1 = DRIVER_DATA, .dw10 = 3}),
			 0);
	assert_memory_equal(DATA, rig_disk_data + 3 * 4096, 4096);
	assert_int_equal(once((struct nvme_command){.opcode = NVME_READ,
						    .nsid = 1,
						    .prp1 = DRIVER_DATA,
						    .dw10 = RIG_DISK_SECTORS / 8}),
			 DNR(NVME_SC_LBA_RANGE));
}

static void test_compare(void **state)
{
	(void)state;
	for (unsigned copies = 0; copies < 2; copies++) {
		rig_disk.copies = copies != 0;
		memcpy(DATA, rig_disk_data + 8 * 512, 8192);
		assert_int_equal(transfer(NVME_COMPARE, 8, 16), 0);
		((uint8_t *)DATA)[8191]++;
		assert_int_equal(transfer(NVME_COMPARE, 8, 16), DNR(NVME_SC_COMPARE));
		assert_int_equal(transfer(NVME_COMPARE, 8, 8), 0);
	}
	assert_int_equal(rig_disk_data[24 * 512 - 1], 0x5a);
}

/* With FUA, and without a write cache, data is on the medium before the answer. */
static void test_write_through(void **state)
{
	struct nvme_command c = driver_transfer(NVME_WRITE, 0, 1);

	(void)state;
	c.dw12 |= NVME_FUA;
	assert_int_equal(once(c), 0);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_SET_FEATURES,
							    .dw10 = NVME_FEATURE_WRITE_CACHE}),
			 0);
	assert_int_equal(transfer(NVME_WRITE, 0, 1), 0);
	assert_int_equal(transfer(NVME_WRITE_ZEROES, 0, 1), 0);
	assert_int_equal(transfer(NVME_READ, 0, 1), 0);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 3);
}

static void test_zeroes(void **state)
{
	(void)state;
	assert_int_equal(transfer(NVME_WRITE_ZEROES, 8, 16), 0);
	assert_int_equal(rig_disk_data[8 * 512], 0);
	assert_int_equal(rig_disk_data[24 * 512 - 1], 0);
	assert_int_equal(rig_disk_data[24 * 512], 24);
	assert_int_equal(transfer(NVME_WRITE_ZEROES, LAST_BLOCK, 2), DNR(NVME_SC_LBA_RANGE));
	rig_disk.write_zeroes = false;
	assert_int_equal(transfer(NVME_WRITE_ZEROES, 8, 16), DNR(NVME_SC_BAD_OPCODE));
}

static void put_range(unsigned index, uint64_t start, uint32_t blocks)
{
	rig_put(DRIVER_DATA + 16 * index, 0, 4);
	rig_put(DRIVER_DATA + 16 * index + 4, blocks, 4);
	rig_put(DRIVER_DATA + 16 * index + 8, start, 8);
}

static uint16_t manage(uint32_t ranges, uint32_t what)
{
	return once((struct nvme_command){.opcode = NVME_DSM,
					  .nsid = 1,
					  .prp1 = DRIVER_DATA,
					  .dw10 = ranges - 1,
					  .dw11 = what});
}

static void test_deallocate(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		put_range(i, i * 16, i % 3);
	}
	assert_int_equal(manage(256, NVME_DSM_DEALLOCATE), 0);
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 170);
	assert_int_equal(rig_disk.stats.sectors[BLK_DISCARD], 255);
	assert_int_equal(manage(1, 1), 0);
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 170);
	/* What is behind a range that is not in order is left. */
	put_range(0, 0, 1);
	put_range(1, RIG_DISK_SECTORS, 1);
	put_range(2, 0, 1);
	assert_int_equal(manage(3, NVME_DSM_DEALLOCATE), DNR(NVME_SC_LBA_RANGE));
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 171);
	rig_disk.discards = false;
	assert_int_equal(manage(1, NVME_DSM_DEALLOCATE), DNR(NVME_SC_BAD_OPCODE));
}

static void test_data_missing(void **state)
{
	struct nvme_command c = driver_transfer(NVME_READ, 0, 16);

	(void)state;
	for (unsigned copies = 0; copies < 2; copies++) {
		rig_disk.copies = copies != 0;
		c.opcode = NVME_READ;
		c.prp2 = RIG_RAM_END;
		assert_int_equal(once(c), DNR(NVME_SC_DATA_TRANSFER));
		c.opcode = NVME_WRITE;
		assert_int_equal(once(c), DNR(NVME_SC_DATA_TRANSFER));
		c.opcode = NVME_COMPARE;
		memcpy(DATA, rig_disk_data, 4096);
		assert_int_equal(once(c), DNR(NVME_SC_DATA_TRANSFER));
	}
	c = (struct nvme_command){
		.opcode = NVME_DSM, .nsid = 1, .prp1 = RIG_RAM_END, .dw11 = NVME_DSM_DEALLOCATE};
	assert_int_equal(once(c), DNR(NVME_SC_DATA_TRANSFER));
	c = driver_transfer(NVME_READ, 0, 1);
	c.prp1++;
	assert_int_equal(once(c), DNR(NVME_SC_PRP_OFFSET));
}

static void test_disk_errors(void **state)
{
	(void)state;
	rig_disk.removed = true;
	assert_int_equal(transfer(NVME_READ, 0, 1), NVME_SC_READ_ERROR);
	assert_int_equal(transfer(NVME_WRITE, 0, 1), NVME_SC_WRITE_FAULT);
	assert_int_equal(transfer(NVME_FLUSH, 0, 1), NVME_SC_WRITE_FAULT);
}

/* ---- what takes time ---- */

static void test_later(void **state)
{
	struct driver_answer a;

	(void)state;
	rig_disk_holds = true;
	for (unsigned i = 0; i < 4; i++) {
		driver_put(1, driver_transfer(NVME_READ, 100 + i, 1));
	}
	driver_ring(1);
	assert_int_equal(rig_disk_open_count, 4);
	rig_disk_finish(2, HV_OK);
	rig_disk_finish(0, HV_E_IO);
	assert_int_equal(rig_get(DRIVER_DATA, 4), 0);
	assert_false(driver_peek(1, &a));
	driver_work();
	assert_int_equal(nvme_messages[1], 1);
	assert_int_equal(rig_get(DRIVER_DATA, 4), 102);
	assert_true(driver_take(1, &a));
	assert_true(driver_take(1, &a));
	assert_int_equal(a.sq_head, 4);
	assert_false(driver_take(1, &a));
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	driver_work();
	driver_all_free();
}

/* More commands than may be open, on both queues: none is lost. */
static void test_many(void **state)
{
	unsigned seen = 0;
	struct driver_answer a;

	(void)state;
	driver_write(NVME_CC, 4, 0);
	driver_enable();
	driver_create_queues(64);
	rig_disk_holds = true;
	for (unsigned i = 0; i < 50; i++) {
		driver_put(1, driver_transfer(NVME_READ, i, 8));
		driver_put(2, driver_transfer(NVME_READ, i, 8));
	}
	driver_ring(1);
	driver_ring(2);
	assert_int_equal(rig_disk_open_count, 2 * NVME_CTL_COMMANDS);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(seen % rig_disk_open_count, HV_OK);
		driver_work();
		assert_true(driver_take(1, &a) || driver_take(2, &a));
		assert_int_equal(a.status, 0);
		seen++;
	}
	assert_int_equal(seen, 100);
	driver_all_free();
}

/* A disk in RAM does not keep the vCPU: the rest comes when the guest has had a chance. */
static void test_enough_for_now(void **state)
{
	struct driver_answer a;
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		driver_put(1, driver_transfer(NVME_READ, 0, 512));
	}
	driver_ring(1);
	for (unsigned runs = 0; seen < 10; runs++) {
		assert_true(runs < 4);
		seen += driver_take(1, &a);
		while (driver_take(1, &a)) {
			seen++;
		}
		driver_work();
	}
	driver_all_free();
}

/* Deleted with commands open: answered when the disk is done, and nothing reaches the guest. */
static void test_delete_while_open(void **state)
{
	const struct nvme_command delete = {.opcode = NVME_ADMIN_DELETE_SQ, .dw10 = 1};
	struct driver_answer a;

	(void)state;
	rig_disk_holds = true;
	driver_put(1, driver_transfer(NVME_READ, 1, 8));
	driver_put(1, driver_transfer(NVME_READ, 1, 512));
	driver_ring(1);
	driver_put(0, delete);
	driver_ring(0);
	assert_false(driver_take(0, &a));
	/* The number is not free yet, nor is the completion queue. */
	assert_int_equal(driver_create_sq(1, 16), DNR(NVME_SC_QUEUE_ID));
	assert_int_equal(
		driver_admin((struct nvme_command){.opcode = NVME_ADMIN_DELETE_CQ, .dw10 = 1}),
		DNR(NVME_SC_QUEUE_DELETION));
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	driver_work();
	driver_work();
	assert_true(driver_take(0, &a));
	assert_int_equal(a.status, 0);
	assert_int_equal(rig_get(DRIVER_DATA, 8), 0);
	assert_false(driver_peek(1, &a));
	driver_all_free();
	assert_int_equal(driver_create_sq(1, DRIVER_ENTRIES), 0);
}

/* Without bus mastering nothing moves; with it, everything goes on. */
static void test_bus_master_off(void **state)
{
	struct driver_answer a;

	(void)state;
	rig_disk_holds = true;
	driver_put(1, driver_transfer(NVME_READ, 1, 1));
	driver_ring(1);
	rig_set_master(false);
	rig_disk_finish(0, HV_OK);
	driver_put(1, driver_transfer(NVME_READ, 2, 1));
	driver_ring(1);
	driver_work();
	assert_int_equal(rig_get(DRIVER_DATA, 4), 0);
	assert_int_equal(rig_disk_open_count, 0);
	rig_set_master(true);
	driver_work();
	assert_true(driver_take(1, &a));
	assert_int_equal(rig_get(DRIVER_DATA, 4), 1);
	assert_int_equal(rig_disk_open_count, 1);
	rig_disk_finish(0, HV_OK);
	driver_work();
	assert_true(driver_take(1, &a));
	driver_all_free();
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	(void)driver_do(1, (struct nvme_command){.opcode = 0x0d, .nsid = 1}, NULL);
	assert_int_equal(lacks_told("nvme", LACKS_REQUEST, 0x0d), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_read_write, setup),
		cmocka_unit_test_setup(test_bounds, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_readonly, setup),
		cmocka_unit_test_setup(test_large_blocks, setup),
		cmocka_unit_test_setup(test_compare, setup),
		cmocka_unit_test_setup(test_write_through, setup),
		cmocka_unit_test_setup(test_zeroes, setup),
		cmocka_unit_test_setup(test_deallocate, setup),
		cmocka_unit_test_setup(test_data_missing, setup),
		cmocka_unit_test_setup(test_disk_errors, setup),
		cmocka_unit_test_setup(test_later, setup),
		cmocka_unit_test_setup(test_many, setup),
		cmocka_unit_test_setup(test_enough_for_now, setup),
		cmocka_unit_test_setup(test_delete_while_open, setup),
		cmocka_unit_test_setup(test_bus_master_off, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
