/* SPDX-License-Identifier: Apache-2.0 */
/* The transport of virtio devices on PCI. */
#include "drivers/virtio.h"

#include <assert.h>
#include <stddef.h>

#include "hv/api/clock.h"
#include "hv/base/log.h"
#include "hv/base/pci_format.h"
#include "hv/cpu/insn.h"
#include "mm/pool.h"

#define COMMON(field) ((unsigned)offsetof(struct virtio_pci_common, field))

#define RESET_LIMIT_NS 100000000ull
#define GENERATION_TRIES 16u

/* "The Virtqueue Available Ring". */
struct virtio_avail {
	_Atomic uint16_t flags;
	_Atomic uint16_t index;
	uint16_t ring[VIRTIO_QUEUE_SIZE_MAX];
};
static_assert(offsetof(struct virtio_avail, ring) == 4, "wire format");

/* "The Virtqueue Used Ring". */
struct virtio_used {
	_Atomic uint16_t flags;
	_Atomic uint16_t index;
	struct {
		_Atomic uint32_t id;
		_Atomic uint32_t written;
	} ring[VIRTIO_QUEUE_SIZE_MAX];
};
static_assert(offsetof(struct virtio_used, ring) == 4, "wire format");

/* The queue's memory, which the device reaches. */
struct rings {
	struct virtq_desc desc[VIRTIO_QUEUE_SIZE_MAX];
	struct virtio_avail avail;
	_Alignas(4) struct virtio_used used;
};

static uint32_t window_read(const struct virtio_window *w, unsigned offset, unsigned size)
{
	hva_t at = hva(hva_of_ptr(w->base).v + offset);

	if (w->base == NULL || !range_fits(offset, size, w->size)) {
		return 0;
	}
	return size == 1   ? cpu_mmio_read8(at)
	       : size == 2 ? cpu_mmio_read16(at)
			   : cpu_mmio_read32(at);
}

static uint16_t common_read16(const struct virtio_device *d, unsigned reg)
{
	return (uint16_t)window_read(&d->common, reg, 2);
}

static void common_write16(const struct virtio_device *d, unsigned reg, unsigned value)
{
	cpu_mmio_write16(hva_of_ptr(d->common.base + reg), (uint16_t)value);
}

static void common_write32(const struct virtio_device *d, unsigned reg, uint32_t value)
{
	cpu_mmio_write32(hva_of_ptr(d->common.base + reg), value);
}

static void common_write64(const struct virtio_device *d, unsigned reg, uint64_t value)
{
	common_write32(d, reg, (uint32_t)value);
	common_write32(d, reg + 4, (uint32_t)(value >> 32));
}

static uint8_t status_read(const struct virtio_device *d)
{
	return (uint8_t)window_read(&d->common, COMMON(device_status), 1);
}

static void status_write(const struct virtio_device *d, unsigned value)
{
	cpu_mmio_write8(hva_of_ptr(d->common.base + COMMON(device_status)), (uint8_t)value);
}

static void status_add(const struct virtio_device *d, unsigned bits)
{
	status_write(d, status_read(d) | bits);
}

/* --- finding the registers --- */

/* Maps what a capability describes, if it has `min` bytes at least. */
static void map_window(const struct host_pci *f, unsigned cap, uint32_t min,
		       struct virtio_window *w)
{
	unsigned bar = host_pci_read(f, cap + VIRTIO_PCI_CAP_BAR, 1);
	uint64_t offset = host_pci_read(f, cap + VIRTIO_PCI_CAP_OFFSET, 4);
	uint32_t length = host_pci_read(f, cap + VIRTIO_PCI_CAP_LENGTH, 4);
	char *base;

	if (w->base != NULL || length < min || bar >= HOST_PCI_BARS || offset % 4 != 0) {
		return;
	}
	base = host_pci_map(f, bar, offset + min);
	if (base != NULL) {
		uint64_t mapped = min_u64(f->bars[bar].size, HOST_PCI_MAP_MAX) - offset;

		*w = (struct virtio_window){base + offset, (uint32_t)min_u64(length, mapped)};
	}
}

/* Of several that describe the same structure the first that can be used counts. */
static bool find_windows(struct virtio_device *d)
{
	const struct host_pci *f = d->pci;
	unsigned cap = 0;

	while ((cap = host_pci_capability(f, PCI_CAP_VENDOR, cap)) != 0) {
		switch (host_pci_read(f, cap + VIRTIO_PCI_CAP_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			map_window(f, cap, COMMON(queue_notify_data), &d->common);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			if (d->notify.base == NULL) {
				d->notify_multiplier =
					host_pci_read(f, cap + VIRTIO_PCI_CAP_MULTIPLIER, 4);
			}
			map_window(f, cap, 2, &d->notify);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			map_window(f, cap, 1, &d->isr);
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			map_window(f, cap, 1, &d->config);
			break;
		default:
			break;
		}
	}
	return d->common.base != NULL && d->notify.base != NULL && d->isr.base != NULL;
}

/* --- the device --- */

void virtio_begin_reset(struct virtio_device *d)
{
	status_write(d, 0);
}

bool virtio_is_reset(const struct virtio_device *d)
{
	return status_read(d) == 0;
}

enum hv_status virtio_reset(struct virtio_device *d)
{
	uint64_t limit = clock_now() + clock_ns_to_ticks(RESET_LIMIT_NS);

	virtio_begin_reset(d);
	while (!virtio_is_reset(d)) {
		if (clock_now() > limit) {
			return HV_E_IO;
		}
	}
	return HV_OK;
}

static uint64_t device_features(const struct virtio_device *d)
{
	uint64_t features;

	common_write32(d, COMMON(device_feature_select), 1);
	features = (uint64_t)window_read(&d->common, COMMON(device_feature), 4) << 32;
	common_write32(d, COMMON(device_feature_select), 0);
	return features | window_read(&d->common, COMMON(device_feature), 4);
}

static void driver_features(const struct virtio_device *d)
{
	common_write32(d, COMMON(driver_feature_select), 0);
	common_write32(d, COMMON(driver_feature), (uint32_t)d->features);
	common_write32(d, COMMON(driver_feature_select), 1);
	common_write32(d, COMMON(driver_feature), (uint32_t)(d->features >> 32));
}

static enum hv_status negotiate(struct virtio_device *d, uint64_t wanted)
{
	enum hv_status status = virtio_reset(d);

	if (status != HV_OK) {
		return status;
	}
	status_add(d, VIRTIO_STATUS_ACKNOWLEDGE);
	status_add(d, VIRTIO_STATUS_DRIVER);
	d->features = device_features(d) &
		      (wanted | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM));
	driver_features(d);
	status_add(d, VIRTIO_STATUS_FEATURES_OK);
	if ((d->features & BIT(VIRTIO_F_VERSION_1)) == 0 ||
	    (status_read(d) & VIRTIO_STATUS_FEATURES_OK) == 0) {
		status_add(d, VIRTIO_STATUS_FAILED);
		return HV_E_UNSUPPORTED;
	}
	return HV_OK;
}

enum hv_status virtio_open(struct virtio_device *d, struct host_pci *f, uint64_t wanted)
{
	*d = (struct virtio_device){.pci = f};
	host_pci_enable(f);
	if (!find_windows(d)) {
		return HV_E_UNSUPPORTED;
	}
	return negotiate(d, wanted);
}

enum hv_status virtio_reopen(struct virtio_device *d)
{
	uint64_t features = d->features;
	enum hv_status status = negotiate(d, features);

	return status == HV_OK && d->features != features ? HV_E_UNSUPPORTED : status;
}

enum hv_status virtio_interrupts(struct virtio_device *d, unsigned *count,
				 void (*fn)(void *ctx, unsigned index), void *ctx)
{
	enum hv_status status = host_pci_interrupts(d->pci, count, fn, ctx);

	d->msix = status == HV_OK && host_pci_uses_msix(d->pci);
	return status;
}

void virtio_start(struct virtio_device *d)
{
	status_add(d, VIRTIO_STATUS_DRIVER_OK);
}

void virtio_ack(struct virtio_device *d)
{
	/* Reading lets the line fall. */
	if (!d->msix) {
		(void)window_read(&d->isr, 0, 1);
	}
}

static uint64_t config_read_once(const struct virtio_device *d, unsigned offset, unsigned size)
{
	if (size == 8) {
		return window_read(&d->config, offset, 4) |
		       (uint64_t)window_read(&d->config, offset + 4, 4) << 32;
	}
	return window_read(&d->config, offset, size);
}

/* The generation changes when a field changed between two reads. */
uint64_t virtio_config_read(const struct virtio_device *d, unsigned offset, unsigned size)
{
	uint64_t value = 0;

	if (!range_fits(offset, size, d->config.size)) {
		return 0;
	}
	for (unsigned i = 0; i < GENERATION_TRIES; i++) {
		uint32_t before = window_read(&d->common, COMMON(config_generation), 1);

		value = config_read_once(d, offset, size);
		if (window_read(&d->common, COMMON(config_generation), 1) == before) {
			break;
		}
	}
	return value;
}

/* --- queues --- */

/* Takes back whatever the device had. */
static void clear_queue(struct virtio_queue *q)
{
	q->free_count = q->size;
	q->free_head = 0;
	q->avail_next = 0;
	q->used_next = 0;
	q->broken = false;
	for (unsigned i = 0; i < q->size; i++) {
		q->slots[i] = (struct virtio_slot){.next = (uint16_t)(i + 1)};
	}
	atomic_store(&q->avail->flags, 0);
	atomic_store(&q->avail->index, 0);
	atomic_store(&q->used->index, 0);
}

/* The largest power of two that neither side minds; 0: no queue. */
static uint16_t choose_size(unsigned theirs, unsigned ours)
{
	unsigned limit = (unsigned)min_u64(min_u64(theirs, ours), VIRTIO_QUEUE_SIZE_MAX);
	unsigned size = 1;

	while (size * 2 <= limit) {
		size *= 2;
	}
	return limit == 0 ? 0 : (uint16_t)size;
}

static bool find_doorbell(struct virtio_device *d, struct virtio_queue *q)
{
	uint64_t offset =
		(uint64_t)common_read16(d, COMMON(queue_notify_off)) * d->notify_multiplier;

	if (!range_fits(offset, 2, d->notify.size)) {
		return false;
	}
	q->doorbell = d->notify.base + offset;
	return true;
}

static bool have_memory(struct virtio_queue *q)
{
	struct rings *r;

	if (q->desc != NULL) {
		return true;
	}
	r = pool_alloc(sizeof(*r));
	if (r == NULL) {
		return false;
	}
	q->desc = r->desc;
	q->avail = &r->avail;
	q->used = &r->used;
	return true;
}

static bool set_vector(const struct virtio_device *d, unsigned message)
{
	unsigned vector = d->msix ? message : VIRTIO_NO_VECTOR;

	common_write16(d, COMMON(config_msix_vector), VIRTIO_NO_VECTOR);
	common_write16(d, COMMON(queue_msix_vector), vector);
	return common_read16(d, COMMON(queue_msix_vector)) == vector;
}

enum hv_status virtio_queue_init(struct virtio_device *d, struct virtio_queue *q, unsigned index,
				 unsigned max_size, unsigned message)
{
	common_write16(d, COMMON(queue_select), index);
	q->device = d;
	q->index = (uint16_t)index;
	q->size = choose_size(common_read16(d, COMMON(queue_size)), max_size);
	if (q->size == 0) {
		return HV_E_NOT_FOUND;
	}
	if (!have_memory(q)) {
		return HV_E_NO_MEMORY;
	}
	clear_queue(q);
	if (!find_doorbell(d, q) || !set_vector(d, message)) {
		return HV_E_IO;
	}
	common_write16(d, COMMON(queue_size), q->size);
	common_write64(d, COMMON(queue_desc), pool_hpa(q->desc).v);
	common_write64(d, COMMON(queue_driver), pool_hpa(q->avail).v);
	common_write64(d, COMMON(queue_device), pool_hpa(q->used).v);
	common_write16(d, COMMON(queue_enable), 1);
	return HV_OK;
}

bool virtio_queue_add(struct virtio_queue *q, const struct virtio_buffer *buffers, unsigned count,
		      void *token)
{
	uint16_t head = q->free_head;
	uint16_t at = head;
	uint32_t writable = 0;

	if (count == 0 || count > q->free_count) {
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned flags = (buffers[i].device_writes ? VIRTQ_DESC_F_WRITE : 0) |
				 (i + 1 < count ? VIRTQ_DESC_F_NEXT : 0);

		q->desc[at] = (struct virtq_desc){
			.addr = pool_hpa(buffers[i].data).v,
			.len = buffers[i].size,
			.flags = (uint16_t)flags,
			.next = q->slots[at].next,
		};
		writable += buffers[i].device_writes ? buffers[i].size : 0;
		at = q->slots[at].next;
	}
	q->slots[head].token = token;
	q->slots[head].writable = writable;
	q->slots[head].count = (uint16_t)count;
	q->free_head = at;
	q->free_count = (uint16_t)(q->free_count - count);
	q->avail->ring[q->avail_next % q->size] = head;
	q->avail_next++;
	atomic_store_explicit(&q->avail->index, q->avail_next, memory_order_release);
	return true;
}

void virtio_queue_notify(struct virtio_queue *q)
{
	/* The device looks at the index after it has allowed to be told again. */
	atomic_thread_fence(memory_order_seq_cst);
	if ((atomic_load(&q->used->flags) & VIRTQ_USED_F_NO_NOTIFY) == 0) {
		cpu_mmio_write16(hva_of_ptr(q->doorbell), q->index);
	}
}

void virtio_queue_interrupts(struct virtio_queue *q, bool on)
{
	/* In this order with what the caller looks at next: the store is a full barrier. */
	atomic_store(&q->avail->flags, (uint16_t)(on ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT));
}

static void *free_chain(struct virtio_queue *q, uint16_t head)
{
	void *token = q->slots[head].token;
	uint16_t last = head;

	for (unsigned i = 1; i < q->slots[head].count; i++) {
		last = q->slots[last].next;
	}
	q->slots[last].next = q->free_head;
	q->free_head = head;
	q->free_count = (uint16_t)(q->free_count + q->slots[head].count);
	q->slots[head].token = NULL;
	return token;
}

static void give_up(struct virtio_queue *q, const char *why)
{
	q->broken = true;
	log_warn("virtio: queue %u: %s: not used any more", q->index, why);
}

/* Whether something is there to be taken that can be true. */
static bool has_used(struct virtio_queue *q)
{
	uint16_t index = atomic_load_explicit(&q->used->index, memory_order_acquire);
	uint16_t ready = (uint16_t)(index - q->used_next);

	if (ready > q->size && !q->broken) {
		give_up(q, "more is done than was asked for");
	}
	return ready != 0 && !q->broken;
}

void *virtio_queue_take(struct virtio_queue *q, uint32_t *written)
{
	uint16_t slot = q->used_next % q->size;
	uint32_t bytes;
	uint32_t id;

	if (!has_used(q)) {
		return NULL;
	}
	id = atomic_load(&q->used->ring[slot].id);
	bytes = atomic_load(&q->used->ring[slot].written);
	if (id >= q->size || q->slots[id].token == NULL) {
		give_up(q, "a chain is done that was not asked for");
		return NULL;
	}
	q->used_next++;
	*written = (uint32_t)min_u64(bytes, q->slots[id].writable);
	return free_chain(q, (uint16_t)id);
}

void *virtio_queue_drain(struct virtio_queue *q)
{
	for (unsigned i = 0; i < q->size; i++) {
		if (q->slots[i].token != NULL) {
			return free_chain(q, (uint16_t)i);
		}
	}
	return NULL;
}
