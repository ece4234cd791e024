/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of virtio devices on PCI for unit tests and fuzz targets: a PCI host, messages that are
 * counted, and the way from reset to DRIVER_OK as VIRTIO 1.2, "Device Initialization" tells it.
 */
#pragma once

#include "guests/devices/virtio_pci.h"
#include "hv/base/bits.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/pci_rig.h"
#include "tests/fakes/virtio_rig.h"

#define RIG_VECTORS (VIRTIO_QUEUES_MAX + 1)

static struct rig_line rig_intx;
static unsigned rig_messages[RIG_VECTORS]; /* by vector, which is the message's data */
static struct rig_queue rig_queues[VIRTIO_QUEUES_MAX];

static inline bool rig_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	assert(address == 0xfee00000 && data < RIG_VECTORS);
	rig_messages[data]++;
	return true;
}

/* A fresh host, and what a device is connected to. */
static inline struct virtio_pci_wiring rig_wiring(void)
{

	rig_intx = (struct rig_line){0};
	memset(rig_messages, 0, sizeof(rig_messages));
	memset(rig_queues, 0, sizeof(rig_queues));
	rig_host_start();
	return (struct virtio_pci_wiring){
		.guest = "rig",
		.place = {.host = &rig_host,
			  .devfn = RIG_DEVFN,
			  .message = rig_message,
			  .intx_line = rig_irq(&rig_intx)},
	};
}

/* ---- configuration space and BARs ---- */

static inline void rig_bar_write(struct virtio_pci *d, unsigned bar, uint64_t offset, unsigned size,
				 uint64_t value)
{
	d->pci.function.ops->bar_write(&d->pci.function, bar, offset, size, value);
}

static inline uint64_t rig_bar_read(struct virtio_pci *d, unsigned bar, uint64_t offset,
				    unsigned size)
{
	return d->pci.function.ops->bar_read(&d->pci.function, bar, offset, size) & size_mask(size);
}

/* MSI-X on; vector n sends n. */
static inline void rig_msix_on(struct virtio_pci *d)
{
	for (unsigned i = 0; i < d->pci.msix_count; i++) {
		rig_bar_write(d, VIRTIO_PCI_BAR_MSIX, i * 16ull, 8, 0xfee00000);
		rig_bar_write(d, VIRTIO_PCI_BAR_MSIX, i * 16ull + 8, 8, i);
	}
	rig_config_write(rig_capability(0x11) + 2, 2, 0x8000);
}

#define RIG_COMMON(field) offsetof(struct virtio_pci_common, field)
#define RIG_WIDTH(field) sizeof(((struct virtio_pci_common *)NULL)->field)
#define rig_common_read(d, field) \
	rig_bar_read(d, VIRTIO_PCI_BAR_REGS, RIG_COMMON(field), RIG_WIDTH(field))
#define rig_common_write(d, field, value) \
	rig_bar_write(d, VIRTIO_PCI_BAR_REGS, RIG_COMMON(field), RIG_WIDTH(field), value)

/* ---- the driver ---- */

static inline void rig_notify(struct virtio_pci *d, unsigned queue)
{
	rig_bar_write(d, VIRTIO_PCI_BAR_PORTS, VIRTIO_PCI_PORT_NOTIFY, 2, queue);
}

static inline uint64_t rig_device_features(struct virtio_pci *d)
{
	uint64_t features;

	rig_common_write(d, device_feature_select, 1);
	features = rig_common_read(d, device_feature) << 32;
	rig_common_write(d, device_feature_select, 0);
	return features | rig_common_read(d, device_feature);
}

/* Up to FEATURES_OK; whether the device took them. */
static inline bool rig_agree(struct virtio_pci *d, uint64_t features)
{
	rig_common_write(d, device_status, VIRTIO_STATUS_ACKNOWLEDGE);
	rig_common_write(d, device_status, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	rig_common_write(d, driver_feature_select, 0);
	rig_common_write(d, driver_feature, features & UINT32_MAX);
	rig_common_write(d, driver_feature_select, 1);
	rig_common_write(d, driver_feature, features >> 32);
	rig_common_write(d, device_status,
			 VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
				 VIRTIO_STATUS_FEATURES_OK);
	return (rig_common_read(d, device_status) & VIRTIO_STATUS_FEATURES_OK) != 0;
}

/* The same from a reset on. */
static inline bool rig_negotiate(struct virtio_pci *d, uint64_t features)
{
	rig_common_write(d, device_status, 0);
	return rig_agree(d, features);
}

/* Rings of queue `index` at the start of RAM, 16 KiB each. */
static inline void rig_enable_queue(struct virtio_pci *d, unsigned index, uint16_t size)
{
	struct rig_queue *q = &rig_queues[index];

	rig_queue_init(q, RIG_RAM_BASE + 0x4000u * index, size);
	rig_common_write(d, queue_select, index);
	rig_common_write(d, queue_size, size);
	rig_common_write(d, queue_msix_vector, index);
	rig_common_write(d, queue_desc, q->desc);
	rig_common_write(d, queue_driver, q->avail);
	rig_common_write(d, queue_device, q->used);
	rig_common_write(d, queue_enable, 1);
}

/* From reset to a device that works, with `features` and MSI-X vector n for queue n. */
static inline void rig_start(struct virtio_pci *d, uint64_t features, uint16_t size)
{
	bool taken = rig_negotiate(d, features | BIT(VIRTIO_F_VERSION_1));

	assert(taken);
	rig_set_master(true);
	rig_common_write(d, config_msix_vector, d->queue_count);
	for (unsigned i = 0; i < d->queue_count; i++) {
		rig_enable_queue(d, i, size);
	}
	rig_common_write(d, device_status,
			 VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
				 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
}
