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

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(disks_of_all_drivers),
		T(what_has_an_owner_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
