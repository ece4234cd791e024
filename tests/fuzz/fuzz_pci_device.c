/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two PCI devices whose BARs a guest moves anywhere, also over each other, with accesses through
 * the windows, interrupts and resets. Who answers is compared with a plain search, what leaves the
 * devices with what their registers allow. The first has an expansion ROM, the BARs of the other
 * can be reached through its configuration space.
 */
#include <string.h>

#include "guests/devices/pci_device.h"
#include "guests/devices/pci_window.h"
#include "guests/devices/virtio_cfg_window.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/virtio_format.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

#define DEVICES 2u
#define VECTORS 7u
#define MSIX_BAR 1u
/* Where the capabilities lie: of the first device, which is PCI Express, and of the other. */
#define EXPRESS_CONTROL 0x48u
#define EXPRESS_POWER 0x7cu
#define ADVANCED_CONTROL 0x44u
#define ADVANCED_POWER 0x48u
#define ADVANCED_MSI 0x5cu

static struct pci_host host;
static struct pci_window window;
static struct pci_device devices[DEVICES];
static bool lines[DEVICES];

/* What a handler saw since the last look. */
static struct {
	const struct pci_device *device;
	unsigned bar;
	uint64_t offset;
} seen;

static uint64_t bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	assert(bar != MSIX_BAR && bar < PCI_BARS);
	assert(range_fits(offset, size, d->function.bars[bar].size));
	assert(lock_try(&host.dev.lock));
	lock_release(&host.dev.lock);
	seen.device = d;
	seen.bar = bar;
	seen.offset = offset;
	return offset;
}

static void bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	(void)value;
	(void)bar_read(d, bar, offset, size);
}

static void reset(struct pci_device *d)
{
	assert(!pci_device_is_master(d) && !pci_device_uses_msix(d));
	pci_device_intx(d, false);
}

static unsigned power(const struct pci_device *d)
{
	return d == &devices[0] ? EXPRESS_POWER : ADVANCED_POWER;
}

static unsigned msix(const struct pci_device *d)
{
	return power(d) + 8;
}

static bool msi_is_on(const struct pci_device *d)
{
	return d->msi_capability != 0 &&
	       (pci_function_read(&d->function, d->msi_capability + 2, 2) & 1) != 0;
}

static bool message(void *ctx, uint64_t address, uint32_t data)
{
	const struct pci_device *d = ctx;
	uint64_t control = pci_function_read(&d->function, msix(d) + 2, 2);

	(void)data;
	assert((address & 3) == 0);
	assert((control & 0xc000) == 0x8000 || ((control & 0x8000) == 0 && msi_is_on(d)));
	assert((pci_function_read(&d->function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER) != 0);
	assert((pci_function_read(&d->function, power(d) + 4, 2) & 3) == 0);
	return (address & 4) != 0;
}

static void set_line(void *ctx, unsigned line, bool level)
{
	(void)ctx;
	assert(lines[line] != level);
	lines[line] = level;
}

static const struct pci_device_ops ops = {.name = "fuzz",
					  .bar_read = bar_read,
					  .bar_write = bar_write,
					  .window = virtio_cfg_window_access,
					  .reset = reset};

static uint8_t rom[512];

/* One image, for vendor 1af4, device 0. */
static void make_rom(void)
{
	memcpy(rom, "\x55\xaa", 2);
	rom[0x18] = 0x1c;
	memcpy(rom + 0x1c, "PCIR\xf4\x1a", 6);
	rom[0x2c] = 1;
	rom[0x31] = 0x80;
}

static void setup(void)
{
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE};

	memset(lines, 0, sizeof(lines));
	make_rom();
	pci_host_init(&host, &cfg);
	pci_window_init(&window, &host);
	for (unsigned i = 0; i < DEVICES; i++) {
		struct pci_device *d = &devices[i];
		const struct pci_device_config device = {
			.ops = &ops,
			.identity = {.vendor = 0x1af4},
			.host = &host,
			.devfn = LAYOUT_DEVFN_FIRST + i * 8,
			.msix_count = VECTORS,
			.msix_bar = MSIX_BAR,
			.intx = true,
			.express = i == 0,
			.msi = i == 1,
			.message = message,
			.message_ctx = d,
			.intx_line = {set_line, NULL, i},
			.rom = {.data = rom, .size = i == 0 ? sizeof(rom) : 0}};

		assert(pci_device_init(d, &device) == HV_OK);
		assert(pci_device_add(d) == HV_OK);
		assert(d->power_capability == power(d) && d->msix_capability == power(d) + 8);
		assert(d->msi_capability == (i == 1 ? ADVANCED_MSI : 0));
		assert(pci_function_add_bar(&d->function, 0, PCI_BAR_IO, 16u << i * 2) == HV_OK);
		assert(pci_function_add_bar(&d->function, 2, 0, 64) == HV_OK);
		assert(pci_function_add_bar(&d->function, 4, PCI_BAR_64, 0x4000u << i) == HV_OK);
	}
	assert(virtio_cfg_window_add(&devices[1].function) == HV_OK);
}

static void write_config(struct input *in)
{
	static const uint8_t registers[DEVICES][13] = {
		{PCI_COMMAND, 0x10, 0x14, 0x18, 0x20, 0x24, EXPRESS_POWER + 10, EXPRESS_POWER + 4,
		 EXPRESS_CONTROL, EXPRESS_CONTROL + 1, PCI_STATUS, PCI_INTERRUPT_LINE,
		 PCI_COMMAND + 1},
		{PCI_COMMAND, 0x10, 0x14, 0x18, 0x20, 0x24, ADVANCED_POWER + 10, ADVANCED_POWER + 4,
		 ADVANCED_CONTROL, ADVANCED_CONTROL + 1, PCI_STATUS, PCI_INTERRUPT_LINE,
		 ADVANCED_MSI + 2},
	};
	uint8_t which = (uint8_t)take(in, 1);
	unsigned device = which % DEVICES;
	unsigned reg = which < 0xf0 ? registers[device][which / 2 % 13]
				    : (unsigned)take(in, 2) % PCI_EXPRESS_BYTES;
	struct vdev_access a = {.space = BUS_MMIO, .size = take_size(in)};

	a.offset = (uint64_t)devices[device].devfn * PCI_EXPRESS_BYTES + reg;
	host.dev.ops->write(&host.dev, &a, take(in, a.size));
}

static void put(unsigned device, unsigned reg, uint32_t value)
{
	struct vdev_access a = {.space = BUS_MMIO, .size = 4};

	a.offset = (uint64_t)devices[device].devfn * PCI_EXPRESS_BYTES + reg;
	host.dev.ops->write(&host.dev, &a, value);
}

/* Places the ROM, or goes through configuration space: bar_read looks that it ends in a BAR. */
static void use_config(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);
	unsigned capability = devices[1].function.window - VIRTIO_PCI_CAP_DATA;
	uint64_t place = (uint64_t)devices[1].devfn * PCI_EXPRESS_BYTES + capability;
	const struct vdev_access data = {
		.space = BUS_MMIO, .size = 4, .offset = place + VIRTIO_PCI_CAP_DATA};

	if ((how & 3) == 0) {
		put(0, PCI_ROM_BASE, (uint32_t)take(in, 4));
		return;
	}
	put(1, capability + VIRTIO_PCI_CAP_BAR, how >> 4);
	put(1, capability + VIRTIO_PCI_CAP_OFFSET, (uint32_t)take(in, 2));
	put(1, capability + VIRTIO_PCI_CAP_LENGTH, how >> 2 & 7);
	if ((how & 1) != 0) {
		host.dev.ops->write(&host.dev, &data, take(in, 4));
	} else {
		(void)host.dev.ops->read(&host.dev, &data);
	}
}

/* The BAR that ought to answer: the first in order that holds the byte. */
static const struct pci_device *who(const struct vdev_access *a, unsigned *bar)
{
	for (unsigned i = 0; i < DEVICES * PCI_BARS_AND_ROM; i++) {
		const struct pci_device *d = &devices[i / PCI_BARS_AND_ROM];
		const struct pci_bar *b = &d->function.bars[i % PCI_BARS_AND_ROM];

		if (b->mapped && ((b->flags & PCI_BAR_IO) != 0) == (a->space == BUS_PIO) &&
		    a->addr >= b->address && a->addr - b->address < b->size) {
			*bar = i % PCI_BARS_AND_ROM;
			return d;
		}
	}
	return NULL;
}

static void access_window(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);
	const struct pci_bar *near =
		&devices[how % DEVICES].function.bars[how / 2 % PCI_BARS_AND_ROM];
	struct vdev_access a = {.size = 1u << how / 16 % 4};
	const struct pci_device *expected;
	bool nobody = false;
	unsigned bar = 0;

	a.space = (near->flags & PCI_BAR_IO) != 0 ? BUS_PIO : BUS_MMIO;
	a.size = a.space == BUS_PIO && a.size == 8 ? 4 : a.size;
	a.addr = near->address + take(in, 2) - 8;
	a.nobody = &nobody;
	expected = who(&a, &bar);
	if (expected != NULL && !range_fits(a.addr - expected->function.bars[bar].address, a.size,
					    expected->function.bars[bar].size)) {
		expected = NULL;
	}
	seen.device = NULL;
	if ((how & 0x80) != 0) {
		window.dev.ops->write(&window.dev, &a, take(in, a.size));
	} else {
		(void)window.dev.ops->read(&window.dev, &a);
	}
	assert(nobody == (expected == NULL));
	if (expected == NULL || bar == MSIX_BAR || bar == PCI_BAR_ROM) {
		assert(seen.device == NULL);
	} else {
		assert(seen.device == expected && seen.bar == bar);
		assert(seen.offset == a.addr - expected->function.bars[bar].address);
	}
}

/* What is published is what the registers say. */
static void check(const struct pci_device *d, bool line)
{
	uint64_t command = pci_function_read(&d->function, PCI_COMMAND, 2);
	uint64_t state = pci_function_read(&d->function, power(d) + 4, 2) & 3;
	bool on = (pci_function_read(&d->function, msix(d) + 2, 2) & 0x8000) != 0;
	bool messages = on || msi_is_on(d);
	bool shown = (pci_function_read(&d->function, PCI_STATUS, 2) & PCI_STATUS_INTX) != 0;

	assert(state == 0 || state == 3);
	assert(pci_device_is_master(d) == (state == 0 && (command & PCI_COMMAND_MASTER) != 0));
	assert(pci_device_uses_msix(d) == on);
	assert(line == (shown && !messages && state == 0 && (command & PCI_COMMAND_INTX_OFF) == 0));
	assert((pci_function_read(&d->function, d->reset_register, 2) & d->reset_bit) == 0);
	assert(d->msix_pending >> VECTORS == 0);
	for (unsigned i = 0; i < PCI_BARS_AND_ROM; i++) {
		assert(state == 0 || !d->function.bars[i].mapped);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	setup();
	while (in.n != 0) {
		uint8_t op = (uint8_t)take(&in, 1);
		struct pci_device *d = &devices[op / 8 % DEVICES];

		switch (op & 7) {
		case 0:
		case 1:
		case 2:
			write_config(&in);
			break;
		case 3:
		case 4:
			access_window(&in);
			break;
		case 5:
			pci_device_intx(d, op >> 7 != 0);
			break;
		case 6:
			pci_device_msix(d, op >> 4);
			break;
		default:
			if (op == 0xff) {
				host.dev.ops->reset(&host.dev);
			} else {
				use_config(&in);
			}
			break;
		}
		for (unsigned i = 0; i < DEVICES; i++) {
			check(&devices[i], lines[i]);
		}
	}
	return 0;
}
