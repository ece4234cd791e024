/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/nvme_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/nvme_ctl_rig.h"

static int setup(void **state)
{
	(void)state;
	driver_start();
	return 0;
}

static void test_registers(void **state)
{
	(void)state;
	assert_int_equal(rig_config_read(PCI_CLASS - 1, 4) >> 8, NVME_CLASS);
	assert_int_equal(rig_config_read(PCI_BAR0, 4) & 0xf, PCI_BAR_64);
	assert_true(rig_capability(PCI_CAP_EXPRESS) != 0);
	assert_int_equal(driver_read(NVME_CAP, 8), 0x00000020280103ff);
	assert_int_equal(driver_read(NVME_CAP, 4), 0x280103ff);
	assert_int_equal(driver_read(NVME_CAP + 4, 4), 0x20);
	assert_int_equal(driver_read(NVME_CAP + 1, 2), 0x0103);
	assert_int_equal(driver_read(NVME_VS, 4), 0x00010400);
	assert_int_equal(driver_read(NVME_CC, 4), NVME_CC_ON);
	assert_int_equal(driver_read(NVME_ASQ, 8), DRIVER_SQ(0));
	/* NSSR, a controller memory buffer, doorbells, what is behind: nothing. */
	assert_int_equal(driver_read(0x20, 4), 0);
	assert_int_equal(driver_read(0x38, 8), 0);
	assert_int_equal(driver_read(0x4c, 8), 0);
	assert_int_equal(driver_read(NVME_DOORBELLS, 4), 0);
	assert_int_equal(driver_read(NVME_CTL_REGS_SIZE - 8, 8), 0);
	/* The admin queues do not move under a controller that is on. */
	driver_write(NVME_AQA, 4, 0);
	driver_write(NVME_ASQ, 8, 0);
	assert_int_equal(driver_read(NVME_ASQ, 8), DRIVER_SQ(0));
	assert_int_equal(driver_read(NVME_AQA, 4), 0x000f000f);
	driver_write(NVME_CC, 4, 0);
	driver_write(NVME_ASQ + 4, 4, 0x12345678);
	driver_write(NVME_ASQ, 4, 0x9abcdeff);
	driver_write(NVME_ACQ, 8, UINT64_MAX);
	driver_write(NVME_AQA, 4, UINT32_MAX);
	driver_write(NVME_CAP, 8, 0);
	driver_write(NVME_CC + 1, 4, NVME_CC_ON);
	driver_write(NVME_CC, 2, NVME_CC_EN);
	assert_int_equal(driver_read(NVME_ASQ, 8), 0x123456789abcd000);
	assert_int_equal(driver_read(NVME_ACQ, 8), 0xfffffffffffff000);
	assert_int_equal(driver_read(NVME_AQA, 4), 0x0fff0fff);
	assert_int_equal(driver_read(NVME_CC, 4), 0);
}

static void test_refused_settings(void **state)
{
	const struct {
		uint32_t cc;
		uint32_t aqa;
	} cases[] = {
		{1u << 7, 0x000f000f},	{1u << 4, 0x000f000f}, {6u << 4, 0x000f000f},
		{1u << 11, 0x000f000f}, {0, 0x000f0000},       {0, 0x0000000f},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		driver_write(NVME_CC, 4, 0);
		assert_int_equal(driver_read(NVME_CSTS, 4), 0);
		driver_write(NVME_AQA, 4, cases[i].aqa);
		driver_write(NVME_CC, 4, NVME_CC_EN | cases[i].cc);
		assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_CFS);
	}
	driver_write(NVME_CC, 4, 0);
	driver_enable();
}

static void open_command(void)
{
	rig_disk_holds = true;
	driver_put(1, driver_transfer(NVME_READ, 1, 512));
	driver_put(1, driver_transfer(NVME_READ, 1, 512));
	driver_put(1, driver_transfer(NVME_READ, 1, 512));
	driver_ring(1);
	assert_int_equal(rig_disk_open_count, 2);
}

static void finish_open(void)
{
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
}

/* Off, when the disk is done; nothing of before reaches the guest. */
static void test_reset_while_open(void **state)
{
	(void)state;
	open_command();
	driver_write(NVME_CC, 4, 0);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY);
	assert_false(nvme_ctl_is_idle(&nvme));
	rig_disk_finish(0, HV_OK);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY);
	/* On again too soon: first it is off. */
	driver_write(NVME_CC, 4, NVME_CC_ON);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY);
	assert_false(nvme.state.sq[0].ring.made);
	driver_write(NVME_CC, 4, 0);
	rig_disk_finish(0, HV_OK);
	assert_int_equal(driver_read(NVME_CSTS, 4), 0);
	assert_int_equal(rig_get(DRIVER_DATA, 8), 0);
	driver_all_free();
	driver_work();
	rig_disk_holds = false;
	driver_enable();
	driver_create_queues(DRIVER_ENTRIES);
	assert_int_equal(driver_do(1, driver_transfer(NVME_READ, 1, 1), NULL), 0);
}

/* A deletion that waits when the reset comes is forgotten. */
static void test_reset_while_deleting(void **state)
{
	(void)state;
	open_command();
	driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_DELETE_SQ, .dw10 = 1});
	driver_ring(0);
	driver_write(NVME_CC, 4, 0);
	finish_open();
	assert_int_equal(driver_read(NVME_CSTS, 4), 0);
	driver_work();
	driver_all_free();
	driver_enable();
}

static void test_function_reset(void **state)
{
	unsigned control = rig_capability(PCI_CAP_EXPRESS) + 8;

	(void)state;
	open_command();
	rig_config_write(control, 2, 0xa810);
	assert_int_equal(driver_read(NVME_CC, 4), 0);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY);
	finish_open();
	assert_int_equal(driver_read(NVME_CSTS, 4), 0);
	assert_int_equal(driver_read(NVME_ASQ, 8), 0);
	driver_all_free();
}

/* What was written is on the medium before the shutdown is complete. */
static void test_shutdown(void **state)
{
	(void)state;
	open_command();
	driver_write(NVME_CC, 4, NVME_CC_ON | NVME_CC_SHN_NORMAL);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_SHST_RUNNING << 2);
	finish_open();
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_SHST_RUNNING << 2);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_false(nvme_ctl_is_idle(&nvme));
	finish_open();
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_SHST_COMPLETE << 2);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_CSTS_RDY | NVME_SHST_COMPLETE << 2);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	driver_write(NVME_CC, 4, 0);
	assert_int_equal(driver_read(NVME_CSTS, 4), 0);
	/* Of one that is off, too. */
	rig_disk_holds = false;
	driver_write(NVME_CC, 4, NVME_CC_SHN_NORMAL);
	assert_int_equal(driver_read(NVME_CSTS, 4), NVME_SHST_COMPLETE << 2);
	driver_enable();
	driver_all_free();
}

static void test_init(void **state)
{
	(void)state;
	rig_disk.block_size = 8192;
	assert_int_equal(driver_make(1), HV_E_UNSUPPORTED);
	rig_disk.block_size = 512;
	assert_int_equal(driver_make(1), HV_OK);
	assert_int_equal(nvme_ctl_queue_count(1), 2);
	assert_int_equal(nvme_ctl_queue_count(3), 3);
	assert_int_equal(nvme_ctl_queue_count(64), 8);
	assert_int_equal(driver_read(NVME_CSTS, 4), 0);
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	(void)driver_read(NVME_CSTS, 4);
	(void)driver_read(NVME_ACQ, 8);
	(void)driver_read(0x38, 8); /* CMBLOC, CMBSZ: none, which they say */
	assert_int_equal(lacks_rig.total, 0);
	(void)driver_read(NVME_NSSR, 4);
	assert_int_equal(lacks_told("nvme", LACKS_READ, NVME_NSSR), 1);
	driver_write(NVME_NSSR, 4, 0x4e564d65);
	assert_int_equal(lacks_told("nvme", LACKS_WRITE, NVME_NSSR), 1);
	(void)driver_read(0xe00, 4); /* PMRCAP */
	assert_int_equal(lacks_told("nvme", LACKS_READ, 0xe00), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_registers, setup),
		cmocka_unit_test_setup(test_refused_settings, setup),
		cmocka_unit_test_setup(test_reset_while_open, setup),
		cmocka_unit_test_setup(test_reset_while_deleting, setup),
		cmocka_unit_test_setup(test_function_reset, setup),
		cmocka_unit_test_setup(test_shutdown, setup),
		cmocka_unit_test_setup(test_init, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
