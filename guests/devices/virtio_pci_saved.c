/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of a virtio device as bytes, and back. */
#include "guests/devices/virtio_pci.h"
#include "hv/base/bits.h"

#define STATUS_KNOWN \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | \
	 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)

/* ---- saving ---- */

static void save_queue(struct virtio_pci_queue *q, struct virtio_pci_queue_saved *out)
{
	lock_acquire(&q->lock);
	*out = (struct virtio_pci_queue_saved){
		.desc = q->setup.desc,
		.avail = q->setup.avail,
		.used = q->setup.used,
		.size = q->setup.size,
		.vector = atomic_load(&q->vector),
		.enabled = q->enabled,
	};
	virtqueue_save(&q->ring, &out->ring);
	lock_release(&q->lock);
}

void virtio_pci_save(struct virtio_pci *d, struct virtio_pci_saved *out)
{
	lock_acquire(&d->lock);
	out->features = d->features;
	out->device_feature_select = d->device_feature_select;
	out->driver_feature_select = d->driver_feature_select;
	out->queue_select = d->queue_select;
	out->config_vector = atomic_load(&d->config_vector);
	out->generation = d->generation;
	out->status = atomic_load(&d->status);
	for (unsigned i = 0; i < d->queue_count; i++) {
		save_queue(&d->queues[i], &out->queues[i]);
	}
	lock_acquire(&d->isr_lock);
	out->isr = d->isr;
	lock_release(&d->isr_lock);
	lock_release(&d->lock);
	pci_device_save(&d->pci, &out->pci);
}

/* ---- checking ---- */

static bool vector_is_possible(const struct virtio_pci *d, uint16_t vector)
{
	return vector == VIRTIO_NO_VECTOR || vector < d->pci.msix_count;
}

/* As the driver wrote it; what was negotiated follows from the features. */
static struct virtqueue_setup setup_of(const struct virtio_pci_queue_saved *q, uint64_t features)
{
	return (struct virtqueue_setup){
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
		.size = q->size,
		.event_idx = q->enabled != 0 && (features & BIT(VIRTIO_F_EVENT_IDX)) != 0,
		.indirect = q->enabled != 0 && (features & BIT(VIRTIO_F_INDIRECT_DESC)) != 0,
	};
}

static const char *check_queue(const struct virtio_pci *d, const struct virtio_pci_saved *in,
			       const struct virtio_pci_queue_saved *q)
{
	const struct virtqueue_setup setup = setup_of(q, in->features);
	bool agreed = (in->status & VIRTIO_STATUS_FEATURES_OK) != 0;
	bool stopped = q->ring.state == VIRTQUEUE_STOPPED;

	if (!saved_is_bool(q->enabled) || !saved_is_zero(q->zero, sizeof(q->zero)) ||
	    stopped != (q->enabled == 0 || !agreed)) {
		return "a queue runs, or is broken, exactly while it is enabled and features are "
		       "agreed upon";
	}
	if (!vector_is_possible(d, q->vector)) {
		return "a queue has a vector that the device does not have";
	}
	return virtqueue_check(&setup, &q->ring);
}

static const char *check_status(const struct virtio_pci *d, const struct virtio_pci_saved *in)
{
	uint64_t needed = BIT(VIRTIO_F_VERSION_1);
	bool agreed = (in->status & VIRTIO_STATUS_FEATURES_OK) != 0;

	if ((in->status & ~STATUS_KNOWN) != 0 || in->zero != 0 ||
	    (in->isr & ~(VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG)) != 0) {
		return "its status has bits that do not exist";
	}
	if (agreed && ((in->features & ~d->offered) != 0 || (in->features & needed) != needed)) {
		return "the features are not those that it offers";
	}
	if (!agreed && (in->status & VIRTIO_STATUS_DRIVER_OK) != 0) {
		return "the driver is ready before the features are agreed upon";
	}
	return vector_is_possible(d, in->config_vector) ? NULL : "it does not have its vector";
}

const char *virtio_pci_check(const struct virtio_pci *d, const struct virtio_pci_saved *in)
{
	unsigned missing = VIRTIO_QUEUES_MAX - d->queue_count;
	const char *wrong = pci_device_check(&d->pci, &in->pci);

	if (wrong == NULL) {
		wrong = check_status(d, in);
	}
	for (unsigned i = 0; i < d->queue_count && wrong == NULL; i++) {
		wrong = check_queue(d, in, &in->queues[i]);
	}
	if (wrong == NULL &&
	    !saved_is_zero(&in->queues[d->queue_count], missing * sizeof(in->queues[0]))) {
		wrong = "it has more queues than this one";
	}
	return wrong;
}

/* ---- loading ---- */

/* Registers' lock held. What the interrupt line shows is left to pci_device_load. */
static void reset_model(struct virtio_pci *d)
{
	atomic_store(&d->status, 0);
	for (unsigned i = 0; i < d->queue_count; i++) {
		struct virtio_pci_queue *q = &d->queues[i];

		lock_acquire(&q->lock);
		virtqueue_stop(&q->ring);
		if (d->ops->queue_reset != NULL) {
			d->ops->queue_reset(d, i);
		}
		lock_release(&q->lock);
	}
	if (d->ops->reset != NULL) {
		d->ops->reset(d);
	}
}

static void load_queue(struct virtio_pci_queue *q, const struct virtio_pci_queue_saved *in,
		       uint64_t features)
{
	lock_acquire(&q->lock);
	q->setup = setup_of(in, features);
	q->enabled = in->enabled != 0;
	atomic_store(&q->vector, in->vector);
	virtqueue_load(&q->ring, &q->setup, &in->ring);
	lock_release(&q->lock);
}

void virtio_pci_load(struct virtio_pci *d, const struct virtio_pci_saved *in)
{
	lock_acquire(&d->lock);
	reset_model(d);
	d->features = in->features;
	d->device_feature_select = in->device_feature_select;
	d->driver_feature_select = in->driver_feature_select;
	d->queue_select = in->queue_select;
	d->generation = in->generation;
	atomic_store(&d->config_vector, in->config_vector);
	for (unsigned i = 0; i < d->queue_count; i++) {
		load_queue(&d->queues[i], &in->queues[i], in->features);
	}
	lock_acquire(&d->isr_lock);
	d->isr = in->isr;
	lock_release(&d->isr_lock);
	atomic_store(&d->status, in->status);
	lock_release(&d->lock);
	pci_device_load(&d->pci, &in->pci);
}
