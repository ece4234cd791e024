/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller that says what it likes: capabilities, identify data, and completions of any
 * command with any status. In the end it is pulled out: all requests are over then.
 */
#include "drivers/nvme.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/fake_nvme.h"
#include "tests/fuzz/disk_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_nvme fake;
static struct input in;

/* Some bytes of it, where it matters. */
static void scramble(void *page)
{
	uint8_t *p = page;

	for (unsigned n = (unsigned)take(&in, 1) % 8; n > 0; n--) {
		p[take(&in, 2) % 4096] = (uint8_t)take(&in, 1);
	}
	for (unsigned n = (unsigned)take(&in, 1) % 8; n > 0; n--) {
		p[take(&in, 1) % 140] = (uint8_t)take(&in, 1);
	}
}

static void set_up(void)
{
	fake_pci_reset(2);
	fake_cpu.tsc_step = 10000000;
	fake_nvme_add(&fake, 0x28);
	fake.cap ^= take(&in, 2) << (take(&in, 1) % 49);
	fake.queues_given = 1 + (unsigned)take(&in, 1) % FAKE_NVME_QUEUES;
	fake.no_active_list = (take(&in, 1) & 1) != 0;
	fake.admin_refuses = (uint8_t)(take(&in, 1) % 32);
	fake.namespaces[1] =
		(struct fake_nvme_namespace){take(&in, 4), (uint8_t)take(&in, 1), 0, 0};
	fake.on_identify = scramble;
	fuzz_disk_reset();
	(void)host_pci_scan(&fake_pci_machine.acpi);
	nvme_probe(host_pci_at(0), 0, fuzz_found);
}

static void step(void)
{
	unsigned queue = 1 + (unsigned)take(&in, 1) % 2;
	struct nvme_command c;

	switch (take(&in, 1) % 6) {
	case 0:
	case 1:
		fuzz_submit(&in);
		break;
	case 2:
		if (fake_nvme_has_room(&fake, queue)) {
			fake_nvme_post(&fake, queue, (unsigned)take(&in, 2),
				       (unsigned)take(&in, 2) & 0x7fff);
			(void)fake_nvme_interrupt(&fake, queue);
		}
		break;
	case 3:
		if (fake_nvme_has_room(&fake, queue) && fake_nvme_take(&fake, queue, &c)) {
			fake_nvme_post(&fake, queue, c.id, (unsigned)take(&in, 1) & 1);
			(void)fake_nvme_interrupt(&fake, queue);
		}
		break;
	case 4:
		fake_pci_pass(take_ticks(&in), 100000000);
		break;
	default:
		fake.csts = (uint32_t)take(&in, 1) & 3;
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
