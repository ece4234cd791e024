/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers and queues of a virtio device on PCI. Source: VIRTIO 1.2, "Virtio Over PCI Bus" and
 * "General Initialization And Operation".
 *
 * A reset races with vCPUs that work on a queue, and with what they find broken: the status is
 * cleared first, so that nobody enters a queue any more, then each queue is stopped under its lock,
 * then the status is cleared of what happened meanwhile.
 */
#include "guests/devices/virtio_pci.h"

#include "guests/devices/virtio_cfg_window.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/log.h"
#include "hv/base/str.h"

#define VIRTIO_REVISION 1u
#define VIRTIO_SUBSYSTEM 0x40u

#define CONFIG_BYTES_MAX 256u
#define COMPLAINTS_MAX 8u

#define STATUS_WRITABLE \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | \
	 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

static struct virtio_pci *to_virtio(struct pci_device *p)
{
	return container_of(p, struct virtio_pci, pci);
}

static uint8_t status_of(const struct virtio_pci *d)
{
	return atomic_load_explicit(&d->status, memory_order_acquire);
}

/* ---- interrupts ---- */

static void interrupt(struct virtio_pci *d, uint16_t vector, uint8_t isr)
{
	if (pci_device_uses_msix(&d->pci)) {
		pci_device_msix(&d->pci, vector);
		return;
	}
	lock_acquire(&d->isr_lock);
	d->isr |= isr;
	pci_device_intx(&d->pci, true);
	lock_release(&d->isr_lock);
}

static void interrupt_config(struct virtio_pci *d)
{
	interrupt(d, atomic_load_explicit(&d->config_vector, memory_order_relaxed),
		  VIRTIO_ISR_CONFIG);
}

/* Reading clears ("ISR status capability"). */
static uint8_t isr_take(struct virtio_pci *d)
{
	uint8_t isr;

	lock_acquire(&d->isr_lock);
	isr = d->isr;
	d->isr = 0;
	pci_device_intx(&d->pci, false);
	lock_release(&d->isr_lock);
	return isr;
}

/* ---- queues ---- */

/* Queue's lock held. */
static void queue_broke(struct virtqueue *ring, const char *why)
{
	struct virtio_pci_queue *q = container_of(ring, struct virtio_pci_queue, ring);
	struct virtio_pci *d = q->device;

	if (atomic_fetch_add(&d->complaints, 1) < COMPLAINTS_MAX) {
		log_warn("%s: %s at %02x.%x, queue %u: %s; it waits for a reset", d->guest,
			 d->ops->name, d->pci.devfn >> 3, d->pci.devfn & 7u,
			 (unsigned)(q - d->queues), why);
	}
	if ((atomic_fetch_or(&d->status, VIRTIO_STATUS_NEEDS_RESET) & VIRTIO_STATUS_DRIVER_OK) !=
	    0) {
		interrupt_config(d);
	}
}

bool virtio_queue_enter(struct virtio_pci *d, unsigned index)
{
	struct virtio_pci_queue *q = &d->queues[index];

	lock_acquire(&q->lock);
	if (q->ring.running && virtio_is_live(d) && pci_device_is_master(&d->pci)) {
		return true;
	}
	lock_release(&q->lock);
	return false;
}

void virtio_queue_leave(struct virtio_pci *d, unsigned index)
{
	lock_release(&d->queues[index].lock);
}

void virtio_queue_publish(struct virtio_pci *d, unsigned index)
{
	struct virtio_pci_queue *q = &d->queues[index];

	if (virtqueue_publish(&q->ring)) {
		interrupt(d, atomic_load_explicit(&q->vector, memory_order_relaxed),
			  VIRTIO_ISR_QUEUE);
	}
}

void virtio_pci_resume(struct virtio_pci *d, unsigned index)
{
	if (virtio_queue_enter(d, index)) {
		d->ops->notify(d, index);
		virtio_queue_leave(d, index);
	}
}

static void notified(struct virtio_pci *d, uint64_t index)
{
	if (index < d->queue_count) {
		virtio_pci_resume(d, (unsigned)index);
	}
}

/* To what the driver finds before it sets the queue up. Registers' lock held. */
static void queue_reset(struct virtio_pci *d, unsigned index)
{
	struct virtio_pci_queue *q = &d->queues[index];

	lock_acquire(&q->lock);
	virtqueue_stop(&q->ring);
	if (d->ops->queue_reset != NULL) {
		d->ops->queue_reset(d, index);
	}
	lock_release(&q->lock);
	q->setup = (struct virtqueue_setup){.size = (uint16_t)d->queue_size};
	q->enabled = false;
	atomic_store(&q->vector, VIRTIO_NO_VECTOR);
}

/* Features are agreed upon: they say how the ring is read. Registers' lock held. */
static void queue_begin(const struct virtio_pci *d, struct virtio_pci_queue *q)
{
	q->setup.event_idx = virtio_has(d, VIRTIO_F_EVENT_IDX);
	q->setup.indirect = virtio_has(d, VIRTIO_F_INDIRECT_DESC);
	lock_acquire(&q->lock);
	(void)virtqueue_start(&q->ring, &q->setup);
	lock_release(&q->lock);
}

/* SeaBIOS before 1.16.2 sets its queue up first and agrees upon features then. */
static void queue_enable(const struct virtio_pci *d, struct virtio_pci_queue *q)
{
	if (q->enabled) {
		return;
	}
	q->enabled = true;
	if ((status_of(d) & VIRTIO_STATUS_FEATURES_OK) != 0) {
		queue_begin(d, q);
	}
}

static void begin_enabled_queues(struct virtio_pci *d)
{
	for (unsigned i = 0; i < d->queue_count; i++) {
		if (d->queues[i].enabled) {
			queue_begin(d, &d->queues[i]);
		}
	}
}

/* ---- status ---- */

/* Registers' lock held. */
static void device_reset(struct virtio_pci *d)
{
	atomic_store(&d->status, 0);
	for (unsigned i = 0; i < d->queue_count; i++) {
		queue_reset(d, i);
	}
	d->features = 0;
	d->device_feature_select = 0;
	d->driver_feature_select = 0;
	d->queue_select = 0;
	atomic_store(&d->config_vector, VIRTIO_NO_VECTOR);
	(void)isr_take(d);
	if (d->ops->reset != NULL) {
		d->ops->reset(d);
	}
	atomic_store(&d->status, 0);
}

static bool features_are_possible(const struct virtio_pci *d)
{
	return (d->features & ~d->offered) == 0 && virtio_has(d, VIRTIO_F_VERSION_1);
}

/*
 * A driver only ever adds bits. FEATURES_OK stays clear when the choice cannot be, and without it
 * there is no DRIVER_OK.
 */
static void write_status(struct virtio_pci *d, uint8_t value)
{
	uint8_t old = status_of(d);
	uint8_t added = (uint8_t)(value & STATUS_WRITABLE & ~old);

	if (value == 0) {
		device_reset(d);
		return;
	}
	if ((added & VIRTIO_STATUS_FEATURES_OK) != 0 && !features_are_possible(d)) {
		added &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	}
	if (((old | added) & VIRTIO_STATUS_FEATURES_OK) == 0) {
		added &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	}
	if ((added & VIRTIO_STATUS_FEATURES_OK) != 0) {
		begin_enabled_queues(d);
	}
	if ((added & VIRTIO_STATUS_DRIVER_OK) != 0 && d->ops->activate != NULL) {
		d->ops->activate(d);
	}
	atomic_fetch_or(&d->status, added);
}

/* ---- common configuration ---- */

/* The half of 64 bits that a feature select register points at; others read 0. */
static uint32_t feature_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (select * 32)) : 0;
}

static void write_features(struct virtio_pci *d, uint32_t value)
{
	unsigned shift = d->driver_feature_select * 32;

	if (d->driver_feature_select < 2 && (status_of(d) & VIRTIO_STATUS_FEATURES_OK) == 0) {
		d->features = (d->features & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value
											 << shift;
	}
}

static uint16_t possible_vector(const struct virtio_pci *d, uint16_t vector)
{
	return vector < d->pci.msix_count ? vector : VIRTIO_NO_VECTOR;
}

/* The selected queue; NULL when there is none. */
static struct virtio_pci_queue *selected(struct virtio_pci *d)
{
	return d->queue_select < d->queue_count ? &d->queues[d->queue_select] : NULL;
}

static void fill_common(struct virtio_pci *d, struct virtio_pci_common *c)
{
	const struct virtio_pci_queue *q = selected(d);

	*c = (struct virtio_pci_common){
		.device_feature_select = d->device_feature_select,
		.device_feature = feature_half(d->offered, d->device_feature_select),
		.driver_feature_select = d->driver_feature_select,
		.driver_feature = feature_half(d->features, d->driver_feature_select),
		.config_msix_vector = atomic_load(&d->config_vector),
		.num_queues = (uint16_t)d->queue_count,
		.device_status = status_of(d),
		.config_generation = d->generation,
		.queue_select = d->queue_select,
	};
	if (q != NULL) {
		c->queue_size = q->setup.size;
		c->queue_msix_vector = atomic_load(&q->vector);
		c->queue_enable = q->enabled;
		c->queue_desc = q->setup.desc;
		c->queue_driver = q->setup.avail;
		c->queue_device = q->setup.used;
	}
}

/* A write of `size` bytes at an offset, as one number; the registers want their own width. */
#define WRITE_OF(offset, size) ((offset) << 4 | (size))
#define WRITE_TO(field) \
	WRITE_OF(offsetof(struct virtio_pci_common, field), \
		 sizeof(((struct virtio_pci_common *)NULL)->field))
/* Of 64-bit registers also either half ("Driver Requirements: PCI Device Layout"). */
#define WRITE_TO_LOW(field) WRITE_OF(offsetof(struct virtio_pci_common, field), 4u)
#define WRITE_TO_HIGH(field) WRITE_OF(offsetof(struct virtio_pci_common, field) + 4u, 4u)
#define LOW_MASK MASK(31, 0)
#define HIGH_MASK MASK(63, 32)

/* Registers of a queue that is not enabled. */
static void write_setup(struct virtqueue_setup *s, unsigned write, uint64_t value)
{
	switch (write) {
	case WRITE_TO(queue_size):
		s->size = (uint16_t)value;
		break;
	case WRITE_TO(queue_desc):
		s->desc = value;
		break;
	case WRITE_TO_LOW(queue_desc):
		s->desc = bits_set(s->desc, LOW_MASK, value);
		break;
	case WRITE_TO_HIGH(queue_desc):
		s->desc = bits_set(s->desc, HIGH_MASK, value);
		break;
	case WRITE_TO(queue_driver):
		s->avail = value;
		break;
	case WRITE_TO_LOW(queue_driver):
		s->avail = bits_set(s->avail, LOW_MASK, value);
		break;
	case WRITE_TO_HIGH(queue_driver):
		s->avail = bits_set(s->avail, HIGH_MASK, value);
		break;
	case WRITE_TO(queue_device):
		s->used = value;
		break;
	case WRITE_TO_LOW(queue_device):
		s->used = bits_set(s->used, LOW_MASK, value);
		break;
	case WRITE_TO_HIGH(queue_device):
		s->used = bits_set(s->used, HIGH_MASK, value);
		break;
	default:
		break;
	}
}

static void write_queue(struct virtio_pci *d, unsigned write, uint64_t value)
{
	struct virtio_pci_queue *q = selected(d);

	if (q == NULL) {
		return;
	}
	switch (write) {
	case WRITE_TO(queue_msix_vector):
		atomic_store(&q->vector, possible_vector(d, (uint16_t)value));
		break;
	case WRITE_TO(queue_enable):
		if (value == 1) {
			queue_enable(d, q);
		}
		break;
	case WRITE_TO(queue_reset):
		if (value == 1 && virtio_has(d, VIRTIO_F_RING_RESET)) {
			queue_reset(d, d->queue_select);
		}
		break;
	default:
		if (!q->enabled) {
			write_setup(&q->setup, write, value);
		}
		break;
	}
}

static void write_common(struct virtio_pci *d, unsigned write, uint64_t value)
{
	switch (write) {
	case WRITE_TO(device_feature_select):
		d->device_feature_select = (uint32_t)value;
		break;
	case WRITE_TO(driver_feature_select):
		d->driver_feature_select = (uint32_t)value;
		break;
	case WRITE_TO(driver_feature):
		write_features(d, (uint32_t)value);
		break;
	case WRITE_TO(config_msix_vector):
		atomic_store(&d->config_vector, possible_vector(d, (uint16_t)value));
		break;
	case WRITE_TO(device_status):
		write_status(d, (uint8_t)value);
		break;
	case WRITE_TO(queue_select):
		d->queue_select = (uint16_t)value;
		break;
	default:
		write_queue(d, write, value);
		break;
	}
}

/* ---- accesses ---- */

/* `size` bytes at `offset` of a structure of `limit` bytes; those behind its end read 0. */
static uint64_t read_bytes(const void *bytes, unsigned limit, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	if (offset < limit) {
		memcpy(&value, (const uint8_t *)bytes + offset, min_u64(size, limit - offset));
	}
	return value;
}

/* Notes an access to what lies in none of the structures. */
static void note(const struct virtio_pci *d, uint64_t offset, enum lacks_kind kind)
{
	bool there = offset < sizeof(struct virtio_pci_common) ||
		     (offset >= VIRTIO_PCI_REGS_DEVICE &&
		      offset < VIRTIO_PCI_REGS_DEVICE + d->config_size) ||
		     offset == VIRTIO_PCI_REGS_ISR || offset == VIRTIO_PCI_REGS_NOTIFY;

	if (!there) {
		pci_device_lacks(&d->pci, kind, offset);
	}
}

static uint64_t regs_read(struct virtio_pci *d, uint64_t offset, unsigned size)
{
	struct virtio_pci_common common;
	uint64_t value;

	note(d, offset, LACKS_READ);
	lock_acquire(&d->lock);
	if (offset < VIRTIO_PCI_REGS_DEVICE) {
		fill_common(d, &common);
		value = read_bytes(&common, sizeof(common), offset, size);
	} else {
		value = read_bytes(d->config, d->config_size, offset - VIRTIO_PCI_REGS_DEVICE,
				   size);
	}
	lock_release(&d->lock);
	return value;
}

static void regs_write(struct virtio_pci *d, uint64_t offset, unsigned size, uint64_t value)
{
	note(d, offset, LACKS_WRITE);
	lock_acquire(&d->lock);
	if (offset < sizeof(struct virtio_pci_common)) {
		write_common(d, WRITE_OF((unsigned)offset, size), value);
	} else if (offset >= VIRTIO_PCI_REGS_DEVICE && d->ops->config_write != NULL &&
		   range_fits(offset - VIRTIO_PCI_REGS_DEVICE, size, d->config_size)) {
		d->ops->config_write(d, (unsigned)(offset - VIRTIO_PCI_REGS_DEVICE), size, value);
	}
	lock_release(&d->lock);
}

static uint64_t bar_read(struct pci_device *p, unsigned bar, uint64_t offset, unsigned size)
{
	struct virtio_pci *d = to_virtio(p);

	if (bar == VIRTIO_PCI_BAR_REGS && offset != VIRTIO_PCI_REGS_ISR) {
		return regs_read(d, offset, size);
	}
	return bar == VIRTIO_PCI_BAR_REGS || offset == VIRTIO_PCI_PORT_ISR ? isr_take(d) : 0;
}

static void bar_write(struct pci_device *p, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	struct virtio_pci *d = to_virtio(p);

	if (bar == VIRTIO_PCI_BAR_PORTS ? offset == VIRTIO_PCI_PORT_NOTIFY
					: offset == VIRTIO_PCI_REGS_NOTIFY) {
		notified(d, value & size_mask(size));
	} else if (bar == VIRTIO_PCI_BAR_REGS) {
		regs_write(d, offset, size, value & size_mask(size));
	}
}

static void pci_reset(struct pci_device *p)
{
	struct virtio_pci *d = to_virtio(p);

	lock_acquire(&d->lock);
	device_reset(d);
	lock_release(&d->lock);
}

void virtio_pci_set_config(struct virtio_pci *d, unsigned offset, const void *bytes, unsigned n)
{
	CHECK(range_fits(offset, n, d->config_size));
	lock_acquire(&d->lock);
	memcpy(d->config + offset, bytes, n);
	d->generation++;
	lock_release(&d->lock);
	if (virtio_is_live(d)) {
		interrupt_config(d);
	}
}

/* ---- set-up ---- */

/* Where one of the device's structures lies. */
struct structure {
	uint8_t type;
	uint8_t bar;
	uint16_t offset;
	uint16_t length;
	uint8_t cap_bytes;
};

static enum hv_status add_structure(struct pci_function *f, const struct structure *s)
{
	unsigned at;
	enum hv_status status = pci_function_add_capability(f, PCI_CAP_VENDOR, s->cap_bytes, &at);

	if (status == HV_OK) {
		pci_function_define(f, at + VIRTIO_PCI_CAP_LEN, 1, s->cap_bytes, 0);
		pci_function_define(f, at + VIRTIO_PCI_CAP_TYPE, 1, s->type, 0);
		pci_function_define(f, at + VIRTIO_PCI_CAP_BAR, 1, s->bar, 0);
		pci_function_define(f, at + VIRTIO_PCI_CAP_OFFSET, 4, s->offset, 0);
		pci_function_define(f, at + VIRTIO_PCI_CAP_LENGTH, 4, s->length, 0);
	}
	return status;
}

static enum hv_status add_structures(struct virtio_pci *d)
{
	/* A port is an exit, and memory three times that. Drivers take the first or the last of a
	 * type, or the only one that they can use. */
	const struct structure port = {VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_BAR_PORTS,
				       VIRTIO_PCI_PORT_NOTIFY, 4, VIRTIO_PCI_NOTIFY_CAP_BYTES};
	const struct structure all[] = {
		{VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_BAR_REGS, VIRTIO_PCI_REGS_COMMON,
		 sizeof(struct virtio_pci_common), VIRTIO_PCI_CAP_BYTES},
		port,
		{VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_BAR_PORTS, VIRTIO_PCI_PORT_ISR, 1,
		 VIRTIO_PCI_CAP_BYTES},
		{VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_BAR_REGS, VIRTIO_PCI_REGS_NOTIFY, 4,
		 VIRTIO_PCI_NOTIFY_CAP_BYTES},
		{VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_BAR_REGS, VIRTIO_PCI_REGS_ISR, 1,
		 VIRTIO_PCI_CAP_BYTES},
		port,
		{VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_BAR_REGS, VIRTIO_PCI_REGS_DEVICE,
		 (uint16_t)d->config_size, VIRTIO_PCI_CAP_BYTES},
	};
	/* A device without configuration has no such structure: the last one. */
	unsigned count = ARRAY_SIZE(all) - (d->config_size == 0);
	enum hv_status status = HV_OK;

	for (unsigned i = 0; i < count && status == HV_OK; i++) {
		status = add_structure(&d->pci.function, &all[i]);
	}
	return status == HV_OK ? virtio_cfg_window_add(&d->pci.function) : status;
}

static void master_changed(struct pci_device *p, bool master)
{
	struct virtio_pci *d = to_virtio(p);

	if (master && d->ops->master_on != NULL) {
		d->ops->master_on(d);
	}
}

static enum hv_status add_bars(struct pci_function *f)
{
	enum hv_status status =
		pci_function_add_bar(f, VIRTIO_PCI_BAR_PORTS, PCI_BAR_IO, VIRTIO_PCI_PORTS);

	return status != HV_OK
		       ? status
		       : pci_function_add_bar(f, VIRTIO_PCI_BAR_REGS, 0, VIRTIO_PCI_REGS_SIZE);
}

static void init_state(struct virtio_pci *d, const struct virtio_pci_config *cfg,
		       const struct virtio_pci_wiring *w)
{
	*d = (struct virtio_pci){
		.ops = cfg->ops,
		.pci_ops = {.name = cfg->ops->name,
			    .bar_read = bar_read,
			    .bar_write = bar_write,
			    .window = virtio_cfg_window_access,
			    .reset = pci_reset,
			    .master_changed = master_changed},
		.guest = w->guest,
		.vm = w->vm,
		.config = cfg->config,
		.config_size = cfg->config_size,
		.queue_count = cfg->queue_count,
		.queue_size = cfg->queue_size,
		.offered = cfg->features | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX) |
			   BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_RESET),
		.config_vector = VIRTIO_NO_VECTOR,
	};
	for (unsigned i = 0; i < d->queue_count; i++) {
		struct virtio_pci_queue *q = &d->queues[i];

		q->device = d;
		q->vector = VIRTIO_NO_VECTOR;
		q->setup.size = (uint16_t)d->queue_size;
		virtqueue_init(&q->ring, d->vm, queue_broke);
	}
}

enum hv_status virtio_pci_init(struct virtio_pci *d, const struct virtio_pci_config *cfg,
			       const struct virtio_pci_wiring *w)
{
	struct pci_device_config pci = w->place;
	enum hv_status status;

	CHECK(cfg->queue_count >= 1 && cfg->queue_count <= VIRTIO_QUEUES_MAX &&
	      cfg->queue_size <= VIRTQUEUE_SIZE_MAX && cfg->config_size <= CONFIG_BYTES_MAX);
	init_state(d, cfg, w);
	pci.ops = &d->pci_ops;
	pci.identity = (struct pci_identity){
		.vendor = VIRTIO_VENDOR,
		.device = (uint16_t)(VIRTIO_DEVICE_BASE + cfg->type),
		.class_code = cfg->class_code,
		.revision = VIRTIO_REVISION,
		.subsystem_vendor = VIRTIO_VENDOR,
		.subsystem = VIRTIO_SUBSYSTEM,
	};
	pci.msix_count = cfg->queue_count + 1;
	pci.msix_bar = VIRTIO_PCI_BAR_MSIX;
	pci.intx = true;
	status = pci_device_init(&d->pci, &pci);
	if (status == HV_OK) {
		status = add_bars(&d->pci.function);
	}
	if (status == HV_OK) {
		status = add_structures(d);
	}
	return status == HV_OK ? pci_device_add(&d->pci) : status;
}
