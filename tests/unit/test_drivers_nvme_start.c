/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/nvme_disk_rig.h"

static void a_request_that_takes_too_long(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake_pci_pass(10 * SECOND, SECOND / 2);
	assert_int_equal(rig_done_count, 0);
	fake.stays_ready = true;
	wait_for_reset();
	/* Not before the controller is off: it may still read the buffer. */
	assert_int_equal(fake.cc, 0);
	assert_int_equal(rig_done_count, 0);
	rig_submit(1, BLK_READ, 8, 8, 0);
	fake.csts = 0;
	fake_pci_pass(100 * MS, MS);
	rig_assert_done(0, HV_E_IO);
	assert_int_equal(rig_requests[1].done, 0);
	assert_int_equal(fake_nvme_run(&fake), 1);
	rig_assert_done(1, HV_OK);
	assert_false(rig_disks[0]->removed);
	assert_int_equal(fake.resets, 2);
}

static void one_that_does_not_stop_is_cut_off(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_WRITE, 0, 8, 0);
	fake.stays_ready = true;
	wait_for_reset();
	assert_int_equal(rig_done_count, 0);
	rig_submit(1, BLK_WRITE, 0, 8, 0);
	fake_pci_pass(2 * SECOND, 10 * MS);
	rig_assert_done(0, HV_E_IO);
	rig_assert_done(1, HV_E_IO);
	assert_false(fake_pci_is_master(&fake.pci));
	assert_true(rig_disks[0]->removed);
	rig_submit(2, BLK_READ, 0, 1, 0);
	rig_assert_done(2, HV_E_IO);
}

static void controllers_that_do_not_start(void **state)
{
	(void)state;
	fake.stays_ready = true;
	probe();
	assert_int_equal(rig_disk_count, 0);
	assert_false(fake_pci_is_master(&fake.pci));
	setup(NULL);
	fake.never_ready = true;
	probe();
	setup(NULL);
	fake.admin_silent = true;
	probe();
	setup(NULL);
	fake.admin_floods = true;
	probe();
	for (unsigned opcode = 1; opcode < 10; opcode++) {
		setup(NULL);
		fake.admin_refuses = (uint8_t)opcode;
		probe();
		assert_int_equal(rig_disk_count, fake.admin_count[opcode] == 0);
	}
	/* No queue of two entries, large pages, another command set. */
	setup(NULL);
	fake.cap &= ~0xffffull;
	probe();
	setup(NULL);
	fake.cap |= 1ull << 48;
	probe();
	setup(NULL);
	fake.cap &= ~(1ull << 37);
	probe();
	setup(NULL);
	fake.pci.bar_size[0] = 0x1000;
	probe();
	assert_int_equal(rig_disk_count, 0);
}

static void by_its_line(void **state)
{
	struct nvme_command c;

	(void)state;
	fake.pci.config[0x34] = 0;
	fake_pci_put(&fake.pci, 0x3c, 2, 0x010b);
	probe_one();
	assert_int_equal(fake.queues[2].vector, 0);
	assert_int_equal(fake.intms, 0);
	rig_submit(0, BLK_READ, 0, 8, 0);
	assert_true(fake_nvme_take(&fake, 1, &c));
	fake_nvme_post(&fake, 1, c.id, 0);
	assert_true(fake_pci_line(11));
	rig_assert_done(0, HV_OK);
	/* Quiet while it is reset. */
	fake.csts |= 2;
	fake.stays_ready = true;
	fake_pci_pass(1100 * MS, 50 * MS);
	fake.csts = 0;
	fake_pci_pass(2 * MS, MS);
	assert_int_equal(fake.intms, UINT32_MAX);
	fake_pci_pass(50 * MS, MS);
	assert_int_equal(fake.intms, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_that_takes_too_long),
		T(one_that_does_not_stop_is_cut_off),
		T(controllers_that_do_not_start),
		T(by_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
