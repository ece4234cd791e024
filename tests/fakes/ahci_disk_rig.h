/* SPDX-License-Identifier: Apache-2.0 */
/* A fake AHCI adapter and its driver, for the tests of its files. */
#pragma once

#include "drivers/ahci.h"
#include "tests/fakes/fake_ahci.h"
#include "tests/fakes/host_disk_rig.h"

#define SECOND 1000000000ull
#define MS 1000000ull

static struct fake_ahci fake;
static struct fake_ahci_port *port = &fake.ports[FAKE_AHCI_DISK];

static inline int setup(void **state)
{
	(void)state;
	fake_pci_reset(1);
	fake_ahci_add(&fake, 0xf8);
	rig_reset();
	return 0;
}

static inline void probe(void)
{
	rig_disk_count = 0;
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 1);
	ahci_probe(host_pci_at(0), 0, rig_found);
}

static inline void probe_one(void)
{
	probe();
	assert_int_equal(rig_disk_count, 1);
}
