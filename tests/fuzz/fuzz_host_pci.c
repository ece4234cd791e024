/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's PCI functions with arbitrary configuration space: 256 bytes of the input each. They
 * are found, their capabilities walked, their BARs mapped, their interrupts set up, and whatever
 * looks like a virtio device is opened.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "hv/base/bits.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/fake_pci.h"

#define FUNCTIONS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_pci functions[FUNCTIONS];

static void on_interrupt(void *ctx, unsigned index)
{
	(void)ctx;
	(void)index;
}

static void add(unsigned i, const uint8_t *data, size_t size)
{
	static const uint8_t places[FUNCTIONS][2] = {{0, 0}, {0, 0x10}, {1, 0}, {2, 9}};
	struct fake_pci *f = &functions[i];

	fake_pci_add(f, places[i][0], places[i][1], 0, 0);
	memcpy(f->config, data, size < 256 ? size : 256);
	for (unsigned bar = 0; bar < 6; bar++) {
		f->bar_size[bar] = 1ull << (f->config[0xc0 + bar] % 40);
	}
}

static void use(struct host_pci *f)
{
	static struct virtio_device device;
	static struct virtio_queue queue;
	unsigned count = 3;

	for (unsigned id = 0; id < 32; id++) {
		unsigned at = 0;

		while ((at = host_pci_capability(f, (uint8_t)id, at)) != 0) {
		}
	}
	host_pci_enable(f);
	for (unsigned bar = 0; bar <= HOST_PCI_BARS; bar++) {
		(void)host_pci_map(f, bar, 16);
	}
	memset(&queue, 0, sizeof(queue));
	if (virtio_open(&device, f, 0) == HV_OK) {
		(void)virtio_queue_init(&device, &queue, 0, 64, 0);
		(void)virtio_config_read(&device, 0, 8);
	}
	if (host_pci_interrupts(f, &count, on_interrupt, f) == HV_OK && count == 0) {
		__builtin_trap();
	}
	host_pci_disable(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fake_pci_reset(2);
	fake_cpu.tsc_step = 10000000;
	for (unsigned i = 0; i < FUNCTIONS && size > 0; i++) {
		size_t part = size < 256 ? size : 256;

		add(i, data, part);
		data += part;
		size -= part;
	}
	(void)host_pci_scan(size % 2 == 0 ? &fake_pci_machine.acpi : NULL);
	for (unsigned i = 0; i < host_pci_count(); i++) {
		use(host_pci_at(i));
	}
	fake_pci_pass(10000000, 1000000);
	return 0;
}
