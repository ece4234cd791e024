/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/disks.h"
#include "drivers/pci.h"
#include "tests/fakes/fake_ahci.h"
#include "tests/fakes/fake_nvme.h"
#include "tests/fakes/host_disk_rig.h"

static struct fake_nvme nvme[2];
static struct fake_ahci ahci;
static struct fake_pci ide;

static int setup(void **state)
{
	(void)state;
	fake_pci_reset(1);
	rig_reset();
	return 0;
}

static void disks_of_all_drivers(void **state)
{
	(void)state;
	fake_nvme_add(&nvme[0], 0x10);
	fake_ahci_add(&ahci, 0x18);
	fake_nvme_add(&nvme[1], 0x20);
	/* One that nobody drives. */
	fake_pci_add(&ide, 0, 0x28, 0x70108086, 0x010180);
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 4);
	host_disks_init(rig_found);
	assert_int_equal(rig_disk_count, 3);
	assert_int_equal(host_disks_count(), 3);
	assert_string_equal(host_disks_at(0)->name, "nvme0n1");
	assert_string_equal(host_disks_at(1)->name, "ahci0.1");
	assert_string_equal(host_disks_at(2)->name, "nvme1n1");
	assert_null(host_disks_at(3));
	assert_ptr_equal(rig_disks[2], host_disks_at(2));
	assert_null(host_pci_at(3)->owner);
}

static void what_has_an_owner_is_left_alone(void **state)
{
	(void)state;
	fake_nvme_add(&nvme[0], 0x10);
	(void)host_pci_scan(&fake_pci_machine.acpi);
	host_pci_at(0)->owner = "somebody";
	host_disks_init(NULL);
	assert_int_equal(host_disks_count(), 0);
	assert_int_equal(nvme[0].resets, 0);
	host_pci_at(0)->owner = NULL;
	host_disks_init(NULL);
	assert_int_equal(host_disks_count(), 1);
}

/* Disks that answer once they are polled. */
static const struct blk_ops *nvme_ops;
static const struct blk_ops *ahci_ops;

static void poll_nvme(struct blk_device *d)
{
	(void)d;
	assert_int_equal(nvme[0].shutdowns, 0);
	(void)fake_nvme_run(&nvme[0]);
}

static void poll_ahci(struct blk_device *d)
{
	(void)d;
	(void)fake_ahci_run(&ahci);
}

static void answer_when_polled(void)
{
	static struct blk_ops own[2];

	nvme_ops = host_disks_at(0)->ops;
	ahci_ops = host_disks_at(1)->ops;
	own[0] = (struct blk_ops){
		.submit = nvme_ops->submit, .poll = poll_nvme, .stop = nvme_ops->stop};
	own[1] = (struct blk_ops){
		.submit = ahci_ops->submit, .poll = poll_ahci, .stop = ahci_ops->stop};
	host_disks_at(0)->ops = &own[0];
	host_disks_at(1)->ops = &own[1];
}

static void before_power_goes_all_are_flushed(void **state)
{
	(void)state;
	fake_nvme_add(&nvme[0], 0x10);
	fake_ahci_add(&ahci, 0x18);
	fake_nvme_add(&nvme[1], 0x20);
	(void)host_pci_scan(&fake_pci_machine.acpi);
	host_disks_init(NULL);
	assert_int_equal(host_disks_count(), 3);
	answer_when_polled();
	host_disks_stop();
	assert_int_equal(nvme[0].flushed, 1);
	assert_int_equal(ahci.flushed, 1);
	assert_int_equal(nvme[0].shutdowns, 1);
	/* A disk that does not answer is told all the same. */
	assert_int_equal(nvme[1].flushed, 0);
	assert_int_equal(nvme[1].shutdowns, 1);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(disks_of_all_drivers),
		T(what_has_an_owner_is_left_alone),
		T(before_power_goes_all_are_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
