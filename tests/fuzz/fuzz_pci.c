/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses to configuration space through ports and ECAM, with a function that has every kind of
 * BAR. The two ways must agree, and a mapped BAR must lie where its registers say.
 */
#include "guests/devices/pci_host.h"
#include "guests/layout.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct pci_host host;
static struct pci_function function;
static struct pci_extended extended;

static const unsigned devfns[3] = {LAYOUT_DEVFN_HOST_BRIDGE, LAYOUT_DEVFN_ISA_BRIDGE, 0x10};

static void bar_changed(struct pci_function *f, unsigned bar)
{
	const struct pci_bar *b = &f->bars[bar];

	assert(f == &function && bar < PCI_BARS && b->size != 0);
	assert(!b->mapped || (b->address != 0 && b->address % b->size == 0));
}

static void setup(bool firmware)
{
	static const struct pci_function_ops ops = {.bar_changed = bar_changed};
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1042};
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE, .firmware = firmware};
	unsigned at = 0;

	pci_host_init(&host, &cfg);
	pci_function_init(&function, &id, &ops, &extended);
	assert(pci_function_add_bar(&function, 0, PCI_BAR_IO, 64) == HV_OK);
	assert(pci_function_add_bar(&function, 1, 0, 4096) == HV_OK);
	assert(pci_function_add_bar(&function, 4, PCI_BAR_64 | PCI_BAR_PREFETCH, 16384) == HV_OK);
	assert(pci_function_add_capability(&function, 0x11, 12, &at) == HV_OK);
	pci_function_define(&function, at + 2, 2, 3, 0xc000);
	pci_function_set_pin(&function, 1);
	pci_function_define(&function, 0x104, 4, 0, 0x00ff00ff);
	assert(pci_host_add(&host, devfns[2], &function) == HV_OK);
}

static uint64_t ecam_offset(struct input *in)
{
	uint64_t offset = take(in, 3);
	unsigned which = (unsigned)(offset >> 20) & 3;

	offset &= LAYOUT_ECAM_SIZE - 1;
	if (which < 3) {
		offset = devfns[which] * PCI_EXPRESS_BYTES + (offset & 0x1ff);
	}
	return offset;
}

static void access_ecam(struct input *in, bool write)
{
	struct vdev_access a = {.space = BUS_MMIO, .size = 1u << (take(in, 1) & 3)};

	a.offset = ecam_offset(in);
	a.addr = LAYOUT_ECAM_BASE + a.offset;
	if (a.offset + a.size > LAYOUT_ECAM_SIZE) {
		return;
	}
	if (write) {
		host.dev.ops->write(&host.dev, &a, take(in, a.size));
	} else {
		(void)host.dev.ops->read(&host.dev, &a);
	}
}

static void access_port(struct input *in, bool write)
{
	unsigned size = take_size(in);
	uint16_t port = (uint16_t)(LAYOUT_PCI_CONFIG_ADDRESS + (take(in, 1) & 7));

	if (port + size > LAYOUT_PCI_CONFIG_ADDRESS + PCI_HOST_PORTS) {
		return;
	}
	if (write) {
		rig_write(&host.dev, BUS_PIO, port, size, take(in, size));
	} else {
		(void)rig_read(&host.dev, BUS_PIO, port, size);
	}
}

static void select_register(struct input *in)
{
	uint32_t devfn = devfns[take(in, 1) % 3];

	rig_write(&host.dev, BUS_PIO, LAYOUT_PCI_CONFIG_ADDRESS, 4,
		  0x80000000u | devfn << 8 | (uint32_t)take(in, 1));
}

/* Under firmware ECAM is where PCIEXBAR says; else it never moves. */
static void check_place(void)
{
	uint64_t offset;

	if (host.ecam_size == 0) {
		assert(host.cfg.firmware && pci_host_ecam_base(&host) == 0);
		return;
	}
	assert(host.ecam_base % host.ecam_size == 0);
	assert(pci_host_ecam(&host, host.ecam_base, &offset) && offset == 0);
	assert(!pci_host_ecam(&host, host.ecam_base + host.ecam_size, &offset));
	assert(host.cfg.firmware || host.ecam_base == LAYOUT_ECAM_BASE);
}

/* ECAM and the ports tell the same. */
static void compare(void)
{
	check_place();
	if ((host.address & 0x80ff0000u) == 0x80000000u) {
		struct vdev_access a = {.space = BUS_MMIO, .size = 4};

		a.offset = (uint64_t)(host.address & 0xff00u) << 4 | (host.address & 0xfcu);
		assert((uint32_t)host.dev.ops->read(&host.dev, &a) ==
		       rig_read(&host.dev, BUS_PIO, LAYOUT_PCI_CONFIG_DATA, 4));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	/* Not consumed: what the bytes mean does not depend on it. */
	setup(size != 0 && (data[size - 1] & 1) != 0);
	while (in.n != 0) {
		uint8_t op = (uint8_t)take(&in, 1);

		switch (op & 7) {
		case 0:
		case 1:
			select_register(&in);
			break;
		case 2:
		case 3:
			access_port(&in, true);
			break;
		case 4:
			access_port(&in, false);
			break;
		case 5:
			access_ecam(&in, true);
			break;
		case 6:
			access_ecam(&in, false);
			break;
		default:
			if (op >> 3 == 31) {
				host.dev.ops->reset(&host.dev);
			}
			break;
		}
		compare();
	}
	return 0;
}
