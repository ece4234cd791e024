/* SPDX-License-Identifier: Apache-2.0 */
/* A fake NVMe controller and its driver, for the tests of its files. */
#pragma once

#include "drivers/nvme.h"
#include "tests/fakes/fake_nvme.h"
#include "tests/fakes/host_disk_rig.h"

#define SECOND 1000000000ull
#define MS 1000000ull

static struct fake_nvme fake;

static inline int setup(void **state)
{
	(void)state;
	fake_pci_reset(2);
	fake_nvme_add(&fake, 0x28);
	rig_reset();
	return 0;
}

static inline void probe(void)
{
	rig_disk_count = 0;
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 1);
	nvme_probe(host_pci_at(0), 0, rig_found);
}

static inline void probe_one(void)
{
	probe();
	assert_int_equal(rig_disk_count, 1);
}

/* Commands that wait in the first queue. */
static inline unsigned take_all(struct nvme_command *c, unsigned max)
{
	unsigned count = 0;

	while (count < max && fake_nvme_take(&fake, 1, &c[count])) {
		count++;
	}
	return count;
}

/* Until the driver wants the controller off. */
static inline void wait_for_reset(void)
{
	for (unsigned i = 0; fake.cc != 0; i++) {
		assert_true(i < 100);
		fake_pci_pass(SECOND / 4, SECOND / 4);
	}
}
