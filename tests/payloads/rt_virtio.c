/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side of virtio. Sources: VIRTIO 1.2, "Virtio Over PCI Bus", "Split Virtqueues". */
#include "tests/payloads/rt_virtio.h"

#include "guests/devices/pci_config.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"

#define VENDOR 0x1af4u
#define DEVICE_BASE 0x1040u
/* "Virtio Structure PCI Capabilities" */
#define CAP_COMMON 1u
#define CAP_NOTIFY 2u
#define CAP_ISR 3u
#define CAP_DEVICE 4u
#define CAP_BAR 4u
#define CAP_OFFSET 8u
#define VECTOR_FIRST 0x70u
#define VECTORS 16u
#define WAIT_US 10000000u

#define COMMON(d, field) ((d)->common + offsetof(struct virtio_pci_common, field))

static volatile uint64_t interrupts[VECTORS];

/* --- finding --- */

/* Where the structure of this type is; 0: there is none. */
static uint64_t structure(unsigned devfn, uint8_t type)
{
	unsigned at = pci_capability(devfn, PCI_CAP_VENDOR, 0);

	while (at != 0 && pci_config(devfn, at) >> 24 != type) {
		at = pci_capability(devfn, PCI_CAP_VENDOR, at);
	}
	return at == 0 ? 0
		       : pci_bar(devfn, pci_config(devfn, at + CAP_BAR) & 0xff) +
				 pci_config(devfn, at + CAP_OFFSET);
}

void rt_virtio_map(struct rt_virtio *d)
{
	unsigned msix = pci_capability(d->devfn, PCI_CAP_MSIX, 0);
	uint32_t table = pci_config(d->devfn, msix + PCI_MSIX_TABLE);

	d->common = structure(d->devfn, CAP_COMMON);
	d->notify = (uint16_t)structure(d->devfn, CAP_NOTIFY);
	d->isr = (uint16_t)structure(d->devfn, CAP_ISR);
	d->special = structure(d->devfn, CAP_DEVICE);
	d->table = pci_bar(d->devfn, table & 7) + (table & ~7u);
	pci_set_config(d->devfn, PCI_COMMAND,
		       PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

bool rt_virtio_find(struct rt_virtio *d, unsigned type, unsigned nth)
{
	uint32_t id = (DEVICE_BASE + type) << 16 | VENDOR;

	for (unsigned devfn = LAYOUT_DEVFN_FIRST; devfn < PCI_FUNCTIONS; devfn++) {
		if (pci_config(devfn, PCI_VENDOR_ID) == id && nth-- == 0) {
			*d = (struct rt_virtio){.devfn = devfn, .type = type};
			rt_virtio_map(d);
			return true;
		}
	}
	return false;
}

/* --- life --- */

uint8_t rt_virtio_status(const struct rt_virtio *d)
{
	return mmio_read8(COMMON(d, device_status));
}

void rt_virtio_reset(const struct rt_virtio *d)
{
	mmio_write8(COMMON(d, device_status), 0);
	EXPECT(rt_virtio_status(d) == 0, "function 0x%x: status 0x%x after a reset", d->devfn,
	       rt_virtio_status(d));
}

static uint64_t read_offer(const struct rt_virtio *d)
{
	uint64_t low;

	mmio_write32(COMMON(d, device_feature_select), 0);
	low = mmio_read32(COMMON(d, device_feature));
	mmio_write32(COMMON(d, device_feature_select), 1);
	return low | (uint64_t)mmio_read32(COMMON(d, device_feature)) << 32;
}

void rt_virtio_start(struct rt_virtio *d, uint64_t wanted)
{
	const uint8_t begun = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

	rt_virtio_reset(d);
	mmio_write8(COMMON(d, device_status), begun);
	d->features = read_offer(d) & (wanted | BIT(VIRTIO_F_VERSION_1));
	mmio_write32(COMMON(d, driver_feature_select), 0);
	mmio_write32(COMMON(d, driver_feature), (uint32_t)d->features);
	mmio_write32(COMMON(d, driver_feature_select), 1);
	mmio_write32(COMMON(d, driver_feature), (uint32_t)(d->features >> 32));
	mmio_write8(COMMON(d, device_status), begun | VIRTIO_STATUS_FEATURES_OK);
	EXPECT(rt_virtio_status(d) == (begun | VIRTIO_STATUS_FEATURES_OK),
	       "function 0x%x refuses features 0x%lx: status 0x%x", d->devfn, d->features,
	       rt_virtio_status(d));
}

void rt_virtio_ready(const struct rt_virtio *d)
{
	mmio_write8(COMMON(d, device_status),
		    (uint8_t)(rt_virtio_status(d) | VIRTIO_STATUS_DRIVER_OK));
}

static void write_address(uint64_t reg, const volatile void *p)
{
	mmio_write32(reg, (uint32_t)rt_address(p));
	mmio_write32(reg + 4, (uint32_t)(rt_address(p) >> 32));
}

void rt_queue_open(struct rt_queue *q, const struct rt_virtio *d, unsigned index,
		   struct rt_rings *rings)
{
	*q = (struct rt_queue){.device = d,
			       .rings = rings,
			       .index = index,
			       .event_idx = rt_virtio_has(d, VIRTIO_F_EVENT_IDX)};
	memset(rings, 0, sizeof(*rings));
	mmio_write16(COMMON(d, queue_select), (uint16_t)index);
	q->size = mmio_read16(COMMON(d, queue_size));
	EXPECT(q->size != 0 && q->size <= RT_QUEUE_SIZE, "function 0x%x, queue %u: size %u",
	       d->devfn, index, q->size);
	write_address(COMMON(d, queue_desc), rings->desc);
	write_address(COMMON(d, queue_driver), &rings->avail);
	write_address(COMMON(d, queue_device), &rings->used);
	mmio_write16(COMMON(d, queue_enable), 1);
}

/* --- interrupts --- */

static void count_interrupt(struct rt_frame *f)
{
	interrupts[f->vector - VECTOR_FIRST]++;
	apic_eoi();
}

uint64_t rt_virtio_interrupts(uint8_t vector)
{
	return interrupts[vector - VECTOR_FIRST];
}

void rt_virtio_count_interrupts(const struct rt_virtio *d, unsigned index, uint8_t vector)
{
	unsigned msix = pci_capability(d->devfn, PCI_CAP_MSIX, 0);
	uint16_t slot = (uint16_t)(index == VIRTIO_NO_VECTOR ? 0 : index + 1);
	uint64_t entry = d->table + slot * PCI_MSIX_ENTRY;

	rt_handle(vector, count_interrupt);
	apic_enable();
	mmio_write32(entry, APIC_BASE);
	mmio_write32(entry + 4, 0);
	mmio_write32(entry + 8, vector);
	mmio_write32(entry + PCI_MSIX_ENTRY_CONTROL, 0);
	if (index == VIRTIO_NO_VECTOR) {
		mmio_write16(COMMON(d, config_msix_vector), slot);
	} else {
		mmio_write16(COMMON(d, queue_select), (uint16_t)index);
		mmio_write16(COMMON(d, queue_msix_vector), slot);
		EXPECT(mmio_read16(COMMON(d, queue_msix_vector)) == slot, "no vector for queue %u",
		       index);
	}
	pci_set_config(d->devfn, msix, PCI_MSIX_DWORD(PCI_MSIX_ENABLE));
}

/* --- chains --- */

static void fill(struct virtq_desc *d, uint16_t first, const struct rt_buffer *b, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned flags = (i + 1 < count ? VIRTQ_DESC_F_NEXT : 0) |
				 (b[i].write ? VIRTQ_DESC_F_WRITE : 0);

		d[first + i] = (struct virtq_desc){b[i].addr, b[i].bytes, (uint16_t)flags,
						   (uint16_t)(first + i + 1)};
	}
}

static void put_head(struct rt_queue *q, uint16_t head)
{
	q->rings->avail.ring[q->avail % q->size] = head;
	q->avail++;
}

void rt_queue_put(struct rt_queue *q, uint16_t head, const struct rt_buffer *b, unsigned count)
{
	fill(q->rings->desc, head, b, count);
	put_head(q, head);
}

void rt_queue_put_indirect(struct rt_queue *q, uint16_t head, struct virtq_desc *table,
			   const struct rt_buffer *b, unsigned count)
{
	fill(table, 0, b, count);
	q->rings->desc[head] = (struct virtq_desc){
		rt_address(table), (uint32_t)(count * sizeof(*table)), VIRTQ_DESC_F_INDIRECT, 0};
	put_head(q, head);
}

void rt_queue_notify(const struct rt_queue *q)
{
	out16(q->device->notify, (uint16_t)q->index);
}

/* Where the device says at which index it wants to be told: behind the used ring. */
static uint16_t wanted_at(const struct rt_queue *q)
{
	return mmio_read16(rt_address(&q->rings->used.ring[q->size]));
}

void rt_queue_tell(struct rt_queue *q)
{
	uint16_t before = q->told;
	bool wanted;

	mmio_write16(rt_address(&q->rings->avail.index), q->avail);
	q->told = q->avail;
	memory_fence();
	if (q->event_idx) {
		wanted = (uint16_t)(q->avail - wanted_at(q) - 1) < (uint16_t)(q->avail - before);
	} else {
		wanted = (mmio_read16(rt_address(&q->rings->used.flags)) & 1) == 0;
	}
	if (wanted) {
		q->notifications++;
		rt_queue_notify(q);
	}
}

bool rt_queue_take(struct rt_queue *q, struct virtq_used_elem *e)
{
	if (mmio_read16(rt_address(&q->rings->used.index)) == q->used) {
		return false;
	}
	*e = q->rings->used.ring[q->used % q->size];
	q->used++;
	return true;
}

struct virtq_used_elem rt_queue_wait(struct rt_queue *q)
{
	uint64_t end = rdtsc() + rt_us_to_tsc(WAIT_US);
	struct virtq_used_elem e;

	while (!rt_queue_take(q, &e)) {
		/* An exit, as the device's work is done on this vCPU's way into the guest. */
		(void)pm_timer();
		EXPECT((int64_t)(end - rdtsc()) > 0,
		       "function 0x%x, queue %u: nothing came back; status 0x%x", q->device->devfn,
		       q->index, rt_virtio_status(q->device));
	}
	return e;
}
