/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AHCI adapter and a disk that say what they like: identify data, and any event at any time. In
 * the end the adapter is pulled out: all requests are over then.
 */
#include "drivers/ahci.h"
#include "tests/fakes/fake_ahci.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fuzz/disk_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_ahci fake;
static struct input in;

static void set_up(void)
{
	fake_pci_reset(1);
	fake_cpu.tsc_step = 10000000;
	fake_ahci_add(&fake, 0xf8);
	fake.cap ^= (uint32_t)take(&in, 1) << (take(&in, 1) % 25);
	for (unsigned n = (unsigned)take(&in, 1) % 16; n > 0; n--) {
		fake.identify[take(&in, 1)] = (uint16_t)take(&in, 2);
	}
	fake.never_resets = (take(&in, 1) & 15) == 1;
	fuzz_disk_reset();
	(void)host_pci_scan(&fake_pci_machine.acpi);
	ahci_probe(host_pci_at(0), 0, fuzz_found);
}

static void step(void)
{
	struct fake_ahci_port *p = &fake.ports[FAKE_AHCI_DISK];
	uint32_t slots;

	switch (take(&in, 1) % 6) {
	case 0:
	case 1:
		fuzz_submit(&in);
		break;
	case 2:
		slots = (uint32_t)take(&in, 4);
		p->ci &= slots;
		p->sact &= slots;
		(void)fake_ahci_interrupt(&fake, 9);
		break;
	case 3:
		p->tfd = (uint32_t)take(&in, 1);
		(void)fake_ahci_interrupt(&fake, (uint32_t)take(&in, 4));
		break;
	case 4:
		fake_pci_pass(take_ticks(&in), 100000000);
		break;
	default:
		fake.no_link = (take(&in, 1) & 1) != 0;
		fake.never_stops = (take(&in, 1) & 7) == 7;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = (struct input){data, size};
	set_up();
	while (fuzz_disk != NULL && in.n != 0) {
		step();
	}
	fake.pci.gone = true;
	fake_pci_pass(100000000000, 500000000);
	if (!fuzz_all_done()) {
		abort();
	}
	return 0;
}
