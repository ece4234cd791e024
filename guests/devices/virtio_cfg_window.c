/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capability's fields are the guest's to write, together with any other access that another
 * vCPU makes: what they say is taken once, and means nothing unless it is whole inside of a BAR.
 */
#include "guests/devices/virtio_cfg_window.h"

#include "hv/base/bits.h"
#include "hv/base/virtio_format.h"

/* What the fields say. */
struct target {
	unsigned bar;
	uint64_t offset;
	unsigned length;
	uint32_t data;
};

enum hv_status virtio_cfg_window_add(struct pci_function *f)
{
	unsigned at;
	enum hv_status status =
		pci_function_add_capability(f, PCI_CAP_VENDOR, VIRTIO_PCI_CFG_CAP_BYTES, &at);

	if (status == HV_OK) {
		pci_function_define(f, at + VIRTIO_PCI_CAP_LEN, 1, VIRTIO_PCI_CFG_CAP_BYTES, 0);
		pci_function_define(f, at + VIRTIO_PCI_CAP_TYPE, 1, VIRTIO_PCI_CAP_PCI_CFG, 0);
		pci_function_define(f, at + VIRTIO_PCI_CAP_BAR, 1, 0, 0xff);
		pci_function_define(f, at + VIRTIO_PCI_CAP_OFFSET, 4, 0, 0xffffffff);
		pci_function_define(f, at + VIRTIO_PCI_CAP_LENGTH, 4, 0, 0xffffffff);
		pci_function_define(f, at + VIRTIO_PCI_CAP_DATA, 4, 0, 0xffffffff);
		f->window = (uint16_t)(at + VIRTIO_PCI_CAP_DATA);
	}
	return status;
}

static uint32_t field(const struct pci_function *f, unsigned reg, unsigned size)
{
	unsigned capability = f->window - VIRTIO_PCI_CAP_DATA;

	return (uint32_t)pci_function_read(f, capability + reg, size);
}

/* False: there is nothing at that place, as in a low power state. Host's lock held. */
static bool find_target(const struct pci_function *f, struct target *t)
{
	uint32_t length = field(f, VIRTIO_PCI_CAP_LENGTH, 4);

	*t = (struct target){
		.bar = field(f, VIRTIO_PCI_CAP_BAR, 1),
		.offset = field(f, VIRTIO_PCI_CAP_OFFSET, 4),
		.length = length,
		.data = field(f, VIRTIO_PCI_CAP_DATA, 4),
	};
	return !f->quiet && t->bar < PCI_BARS && (length == 1 || length == 2 || length == 4) &&
	       is_aligned(t->offset, length) && range_fits(t->offset, length, f->bars[t->bar].size);
}

void virtio_cfg_window_access(struct pci_device *d, bool write)
{
	struct pci_function *f = &d->function;
	struct target t;
	uint64_t value;
	bool found;

	lock_acquire(&d->host->dev.lock);
	found = find_target(f, &t);
	lock_release(&d->host->dev.lock);
	if (!found) {
		return;
	}
	if (write) {
		f->ops->bar_write(f, t.bar, t.offset, t.length, t.data & MASK(t.length * 8 - 1, 0));
		return;
	}
	value = f->ops->bar_read(f, t.bar, t.offset, t.length);
	lock_acquire(&d->host->dev.lock);
	pci_function_set(f, f->window, t.length, (uint32_t)value);
	lock_release(&d->host->dev.lock);
}
