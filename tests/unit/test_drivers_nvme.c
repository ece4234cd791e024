/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/nvme_disk_rig.h"

static void a_disk_is_found(void **state)
{
	const struct blk_device *d;

	(void)state;
	probe_one();
	d = rig_disks[0];
	assert_int_equal(fake.resets, 1);
	assert_string_equal(d->name, "nvme0n1");
	assert_string_equal(d->serial, "SN-1234");
	assert_int_equal(d->sectors, FAKE_NVME_BYTES / 512);
	assert_int_equal(d->block_size, 512);
	assert_int_equal(d->max_count, 1024);
	assert_true(d->discards && d->write_zeroes);
	assert_false(d->readonly || d->removed);
	/* A queue for each CPU. */
	assert_int_equal(fake.admin_count[5], 2);
	assert_int_equal(fake.queues[2].vector, 1);
	assert_string_equal(host_pci_at(0)->owner, "nvme");
}

static void what_the_controller_offers(void **state)
{
	(void)state;
	fake.oncs = 0;
	fake.mdts = 2;
	fake.queues_given = 1;
	fake.cap = (fake.cap & ~0xffffull) | 7 | 1ull << 32;
	fake.namespaces[0].attributes = 1;
	probe_one();
	assert_int_equal(rig_disks[0]->max_count, 32);
	assert_false(rig_disks[0]->discards || rig_disks[0]->write_zeroes);
	assert_true(rig_disks[0]->readonly);
	assert_int_equal(fake.admin_count[5], 1);
	assert_int_equal(fake.queues[1].sq_entries, 8);
}

static void namespaces_and_their_formats(void **state)
{
	(void)state;
	fake.namespaces[1] = (struct fake_nvme_namespace){256, 12, 0, 0};
	fake.namespaces[2] = (struct fake_nvme_namespace){256, 12, 8, 0};
	probe();
	assert_int_equal(rig_disk_count, 2);
	assert_string_equal(rig_disks[1]->name, "nvme0n2");
	assert_int_equal(rig_disks[1]->block_size, 4096);
	assert_int_equal(rig_disks[1]->sectors, 2048);
	/* Odd block sizes, sizes that no number holds. */
	setup(NULL);
	fake.namespaces[0].block_bits = 10;
	fake.namespaces[1] = (struct fake_nvme_namespace){UINT64_MAX, 9, 0, 0};
	probe();
	assert_int_equal(rig_disk_count, 0);
	setup(NULL);
	fake.no_active_list = true;
	fake.namespaces[2] = (struct fake_nvme_namespace){256, 9, 0, 0};
	probe();
	assert_int_equal(rig_disk_count, 2);
	assert_string_equal(rig_disks[1]->name, "nvme0n3");
}

/* Of a namespace with blocks of 512 bytes: format 17 of many, with blocks of 4096. */
static void use_format_17(void *page)
{
	uint8_t *p = page;

	if (p[26] == 1 && p[128 + 4 + 2] == 9) {
		p[25] = 63;
		p[26] = 0x21;
		p[128 + 4 * 17 + 2] = 12;
	}
}

static void more_than_16_formats(void **state)
{
	(void)state;
	fake.on_identify = use_format_17;
	probe_one();
	assert_int_equal(rig_disks[0]->block_size, 4096);
}

static void one_that_is_pulled_out(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.pci.gone = true;
	fake_pci_pass(2 * SECOND, SECOND / 4);
	rig_assert_done(0, HV_E_IO);
	assert_true(rig_disks[0]->removed);
}

static void a_fatal_status_leads_to_a_reset(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.csts |= 2;
	fake_pci_pass(2 * SECOND, 10 * MS);
	rig_assert_done(0, HV_E_IO);
	assert_int_equal(fake.resets, 2);
	rig_submit(1, BLK_READ, 0, 8, 0);
	assert_int_equal(fake_nvme_run(&fake), 1);
	rig_assert_done(1, HV_OK);
}

static void a_reset_while_no_timer_runs(void **state)
{
	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	fake.csts |= 2;
	for (unsigned i = 0; i < 20; i++) {
		rig_disks[0]->ops->poll(rig_disks[0]);
	}
	rig_assert_done(0, HV_E_IO);
	rig_submit(1, BLK_READ, 0, 8, 0);
	assert_int_equal(fake_nvme_run(&fake), 1);
	rig_assert_done(1, HV_OK);
}

static void resets_that_do_not_help_end(void **state)
{
	(void)state;
	probe_one();
	for (unsigned i = 0; i < 10 && !rig_disks[0]->removed; i++) {
		rig_submit(i, BLK_READ, 0, 8, 0);
		fake_pci_pass(20 * SECOND, 100 * MS);
		rig_assert_done(i, HV_E_IO);
	}
	assert_true(rig_disks[0]->removed);
	assert_in_range(fake.resets, 3, 5);
}

static void a_lost_interrupt_costs_a_second(void **state)
{
	struct nvme_command c;

	(void)state;
	probe_one();
	rig_submit(0, BLK_READ, 0, 8, 0);
	assert_true(fake_nvme_take(&fake, 1, &c));
	fake_nvme_post(&fake, 1, c.id, 0);
	fake_pci_pass(1100 * MS, 50 * MS);
	rig_assert_done(0, HV_OK);
	assert_int_equal(fake.resets, 1);
}

static void power_goes(void **state)
{
	uint64_t start;

	(void)state;
	fake.namespaces[1] = fake.namespaces[0];
	probe();
	assert_int_equal(rig_disk_count, 2);
	rig_disks[0]->ops->stop(rig_disks[0]);
	rig_disks[1]->ops->stop(rig_disks[1]);
	assert_int_equal(fake.csts, 1 | 2u << 2);
	assert_int_not_equal(fake.shutdowns, 0);
	/* One that never says so is not waited for. */
	fake.never_shut = true;
	fake.csts = 1;
	start = fake_cpu.tsc;
	rig_disks[0]->ops->stop(rig_disks[0]);
	assert_in_range(fake_cpu.tsc - start, 4 * SECOND, 6 * SECOND);
	/* One that is off is left alone. */
	fake.shutdowns = 0;
	fake.csts = UINT32_MAX;
	fake_pci_pass(2 * SECOND, SECOND);
	rig_disks[0]->ops->stop(rig_disks[0]);
	assert_int_equal(fake.shutdowns, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_disk_is_found),
		T(what_the_controller_offers),
		T(namespaces_and_their_formats),
		T(more_than_16_formats),
		T(one_that_is_pulled_out),
		T(a_fatal_status_leads_to_a_reset),
		T(a_reset_while_no_timer_runs),
		T(resets_that_do_not_help_end),
		T(a_lost_interrupt_costs_a_second),
		T(power_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
