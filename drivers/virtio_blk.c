/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio disks. */
#include "drivers/virtio_blk.h"

#include <stddef.h>

#include "hv/api/clock.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "mm/pool.h"

#define FEATURES_WANTED \
	(BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_BLK_SIZE) | \
	 BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))

#define CONFIG(field) ((unsigned)offsetof(struct virtio_blk_space, field))

#define STATUS_NONE 0xffu /* what we put there */

#define REQUEST_LIMIT_NS 15000000000ull
#define ID_LIMIT_NS 2000000000ull
#define RESET_LIMIT_NS 2000000000ull
#define WATCH_NS 1000000000ull
#define STEP_NS 1000000ull
#define RESETS_MAX 3u
#define SECTORS_MAX (UINT64_MAX / BLK_SECTOR)

static bool has(const struct virtio_blk *v, uint64_t feature)
{
	return (v->transport.features & feature) != 0;
}

/* --- requests --- */

static uint32_t type_of(enum blk_op op)
{
	static const uint32_t types[BLK_OP_COUNT] = {
		[BLK_READ] = VIRTIO_BLK_T_IN,
		[BLK_WRITE] = VIRTIO_BLK_T_OUT,
		[BLK_FLUSH] = VIRTIO_BLK_T_FLUSH,
		[BLK_DISCARD] = VIRTIO_BLK_T_DISCARD,
		[BLK_WRITE_ZEROES] = VIRTIO_BLK_T_WRITE_ZEROES,
	};

	return types[op];
}

static bool has_range(const struct blk_request *r)
{
	return r->op == BLK_DISCARD || r->op == BLK_WRITE_ZEROES;
}

/* Sectors of the next command of a request that takes several. */
static uint32_t piece_of(const struct virtio_blk *v, const struct disk_slot *s)
{
	uint32_t most = v->range_max[s->request->op == BLK_WRITE_ZEROES];

	return (uint32_t)min_u64(s->request->count - s->progress, most);
}

/* Cannot fail: the queue has three descriptors for each slot. */
static void issue(struct virtio_blk *v, unsigned index)
{
	struct disk_slot *s = &v->requests.slots[index];
	const struct blk_request *r = s->request;
	struct virtio_blk_slot *slot = &v->slots[index];
	struct virtio_buffer parts[3] = {{&slot->header, sizeof(slot->header), false}};
	unsigned count = 1;

	slot->header = (struct virtio_blk_header){.type = type_of(r->op)};
	slot->status = STATUS_NONE;
	if (has_range(r)) {
		slot->range = (struct virtio_blk_range){r->sector + s->progress, piece_of(v, s), 0};
		parts[count++] = (struct virtio_buffer){&slot->range, sizeof(slot->range), false};
	} else if (r->op != BLK_FLUSH) {
		slot->header.sector = r->sector;
		parts[count++] =
			(struct virtio_buffer){r->buffer, r->count * BLK_SECTOR, r->op == BLK_READ};
	}
	parts[count++] = (struct virtio_buffer){&slot->status, 1, true};
	(void)virtio_queue_add(&v->queue, parts, count, s);
}

/* A disk without a cache of its own has nothing to flush. */
static bool needs_device(const struct virtio_blk *v, unsigned slot)
{
	return v->requests.slots[slot].request->op != BLK_FLUSH || v->flushes;
}

static void start_waiting(struct virtio_blk *v, struct list_node *done)
{
	unsigned started = 0;
	unsigned slot;

	while (!v->resetting && disk_queue_start(&v->requests, &slot)) {
		if (needs_device(v, slot)) {
			issue(v, slot);
			started++;
		} else {
			disk_queue_end(&v->requests, slot, HV_OK, done);
		}
	}
	if (started != 0) {
		virtio_queue_notify(&v->queue);
	}
}

/* Whether the request goes on with another command. */
static bool goes_on(struct virtio_blk *v, unsigned slot)
{
	struct disk_slot *s = &v->requests.slots[slot];

	if (!has_range(s->request)) {
		return false;
	}
	s->progress += piece_of(v, s);
	if (s->progress >= s->request->count) {
		return false;
	}
	issue(v, slot);
	virtio_queue_notify(&v->queue);
	return true;
}

static void take(struct virtio_blk *v, unsigned slot, uint32_t written, struct list_node *done)
{
	const struct blk_request *r = v->requests.slots[slot].request;
	uint32_t data = r->op == BLK_READ ? r->count * BLK_SECTOR : 0;
	uint8_t status = *(volatile uint8_t *)&v->slots[slot].status;
	bool ok = status == VIRTIO_BLK_S_OK && written > data;

	v->resets = 0;
	if (!ok && disk_queue_complain(&v->requests)) {
		log_warn("%s: request %u, %u sectors at %lu: status %u", v->name, r->op, r->count,
			 r->sector, status);
	}
	if (!ok || !goes_on(v, slot)) {
		disk_queue_end(&v->requests, slot, ok ? HV_OK : HV_E_IO, done);
	}
}

/* --- trouble --- */

static void begin_reset(struct virtio_blk *v, const char *why)
{
	log_warn("%s: %s: reset", v->name, why);
	v->resets++;
	v->resetting = true;
	v->reset_limit = clock_now() + clock_ns_to_ticks(RESET_LIMIT_NS);
	virtio_begin_reset(&v->transport);
	timer_arm(&v->timer, clock_now() + clock_ns_to_ticks(STEP_NS));
}

/* With bus mastering off the device reaches no buffer. */
static void fail(struct virtio_blk *v, const char *why, struct list_node *done)
{
	log_error("%s: %s: not used any more", v->name, why);
	host_pci_disable(v->transport.pci);
	v->device.removed = true;
	disk_queue_fail(&v->requests, done);
}

/* The device has forgotten its queue: all that it had is over. */
static void restart(struct virtio_blk *v, struct list_node *done)
{
	disk_queue_end_open(&v->requests, done);
	if (v->resets > RESETS_MAX) {
		fail(v, "resets do not help", done);
	} else if (virtio_reopen(&v->transport) != HV_OK ||
		   virtio_queue_init(&v->transport, &v->queue, 0, VIRTIO_QUEUE_SIZE_MAX, 0) !=
			   HV_OK) {
		fail(v, "it does not start again", done);
	} else {
		virtio_start(&v->transport);
		v->resetting = false;
		start_waiting(v, done);
	}
}

static void continue_reset(struct virtio_blk *v, struct list_node *done)
{
	if (virtio_is_reset(&v->transport)) {
		restart(v, done);
	} else if (clock_now() > v->reset_limit) {
		fail(v, "it does not reset", done);
	}
}

/* --- interrupts and the timer --- */

static void serve(struct virtio_blk *v, struct list_node *done)
{
	struct disk_slot *s;
	uint32_t written;

	while (!v->resetting && (s = virtio_queue_take(&v->queue, &written)) != NULL) {
		take(v, (unsigned)(s - v->requests.slots), written, done);
	}
	start_waiting(v, done);
}

static void serve_locked(struct virtio_blk *v)
{
	struct list_node done;

	list_init(&done);
	lock_acquire(&v->lock);
	serve(v, &done);
	lock_release(&v->lock);
	disk_finish(&done);
}

static void on_interrupt(void *ctx, unsigned index)
{
	struct virtio_blk *v = ctx;

	(void)index;
	virtio_ack(&v->transport);
	serve_locked(v);
}

static void check(struct virtio_blk *v)
{
	if (v->queue.broken) {
		begin_reset(v, "its queue makes no sense");
	} else if (disk_queue_is_overdue(&v->requests, clock_now())) {
		begin_reset(v, "a request took too long");
	}
}

static void on_timer(struct timer *t)
{
	struct virtio_blk *v = container_of(t, struct virtio_blk, timer);
	struct list_node done;

	list_init(&done);
	lock_acquire(&v->lock);
	if (v->resetting) {
		continue_reset(v, &done);
	} else {
		serve(v, &done);
		check(v);
	}
	if (!v->device.removed) {
		uint64_t ns = v->resetting ? STEP_NS : WATCH_NS;

		timer_arm(t, clock_now() + clock_ns_to_ticks(ns));
	}
	lock_release(&v->lock);
	disk_finish(&done);
}

/* A reset has to go on, too, while no timer runs. */
static void poll(struct blk_device *d)
{
	if (!d->removed) {
		on_timer(&container_of(d, struct virtio_blk, device)->timer);
	}
}

static void submit(struct blk_device *d, struct blk_request *r)
{
	struct virtio_blk *v = container_of(d, struct virtio_blk, device);
	struct list_node done;

	list_init(&done);
	lock_acquire(&v->lock);
	disk_queue_put(&v->requests, d, r, &done);
	start_waiting(v, &done);
	lock_release(&v->lock);
	disk_finish(&done);
}

/* --- start --- */

/*
 * Asks for the serial number; a device that has none says so. Nothing else is open. False: it does
 * not answer at all, and may still write to what it was given.
 */
static bool read_serial(struct virtio_blk *v)
{
	uint64_t limit = clock_now() + clock_ns_to_ticks(ID_LIMIT_NS);
	struct virtio_blk_slot *slot = &v->slots[0];
	char *id = pool_alloc(VIRTIO_BLK_ID_BYTES);
	const struct virtio_buffer parts[3] = {{&slot->header, sizeof(slot->header), false},
					       {id, VIRTIO_BLK_ID_BYTES, true},
					       {&slot->status, 1, true}};
	uint32_t written;

	slot->header = (struct virtio_blk_header){.type = VIRTIO_BLK_T_GET_ID};
	slot->status = STATUS_NONE;
	if (id == NULL || !virtio_queue_add(&v->queue, parts, ARRAY_SIZE(parts), slot)) {
		return false;
	}
	virtio_queue_notify(&v->queue);
	while (virtio_queue_take(&v->queue, &written) == NULL) {
		if (clock_now() > limit) {
			return false;
		}
	}
	if (slot->status == VIRTIO_BLK_S_OK) {
		disk_text(id, VIRTIO_BLK_ID_BYTES, v->device.serial, sizeof(v->device.serial));
	}
	pool_free(id, VIRTIO_BLK_ID_BYTES);
	return true;
}

static uint32_t config32(const struct virtio_blk *v, unsigned offset)
{
	return (uint32_t)virtio_config_read(&v->transport, offset, 4);
}

static bool fill_device(struct virtio_blk *v)
{
	static const struct blk_ops ops = {.submit = submit, .poll = poll};
	struct blk_device *d = &v->device;
	uint32_t most = VIRTIO_BLK_TRANSFER_MAX;
	uint32_t block =
		has(v, BIT(VIRTIO_BLK_F_BLK_SIZE)) ? config32(v, CONFIG(blk_size)) : BLK_SECTOR;

	if (has(v, BIT(VIRTIO_BLK_F_SIZE_MAX))) {
		most = (uint32_t)min_u64(most, config32(v, CONFIG(size_max)));
	}
	d->ops = &ops;
	(void)str_copy(d->name, sizeof(d->name), span_of(v->name));
	d->sectors = virtio_config_read(&v->transport, CONFIG(capacity), 8);
	d->block_size = block;
	d->max_count = most / BLK_SECTOR;
	d->readonly = has(v, BIT(VIRTIO_BLK_F_RO));
	v->flushes = has(v, BIT(VIRTIO_BLK_F_FLUSH));
	v->range_max[0] =
		has(v, BIT(VIRTIO_BLK_F_DISCARD)) ? config32(v, CONFIG(max_discard_sectors)) : 0;
	v->range_max[1] = has(v, BIT(VIRTIO_BLK_F_WRITE_ZEROES))
				  ? config32(v, CONFIG(max_write_zeroes_sectors))
				  : 0;
	/* Pieces have to be whole blocks. */
	for (unsigned i = 0; i < 2; i++) {
		v->range_max[i] -=
			v->range_max[i] % (block / BLK_SECTOR != 0 ? block / BLK_SECTOR : 1);
	}
	d->discards = v->range_max[0] != 0;
	d->write_zeroes = v->range_max[1] != 0;
	/* Overlays read a page at once. */
	return (block == BLK_SECTOR || block == PAGE_SIZE) && most >= PAGE_SIZE &&
	       d->sectors != 0 && d->sectors <= SECTORS_MAX &&
	       d->sectors % (block / BLK_SECTOR) == 0;
}

static enum hv_status start(struct virtio_blk *v, struct host_pci *f)
{
	unsigned messages = 1;
	enum hv_status status = virtio_open(&v->transport, f, FEATURES_WANTED);

	if (status == HV_OK) {
		status = virtio_interrupts(&v->transport, &messages, on_interrupt, v);
	}
	if (status == HV_OK) {
		status = virtio_queue_init(&v->transport, &v->queue, 0, VIRTIO_QUEUE_SIZE_MAX, 0);
	}
	if (status != HV_OK) {
		return status;
	}
	v->slots = pool_alloc(VIRTIO_BLK_SLOTS * sizeof(*v->slots));
	if (v->slots == NULL || v->queue.size < 4) {
		return HV_E_NO_MEMORY;
	}
	disk_queue_init(&v->requests, (unsigned)min_u64(VIRTIO_BLK_SLOTS, v->queue.size / 3u),
			REQUEST_LIMIT_NS);
	virtio_start(&v->transport);
	if (!fill_device(v)) {
		return HV_E_UNSUPPORTED;
	}
	return read_serial(v) ? HV_OK : HV_E_IO;
}

bool virtio_blk_matches(const struct host_pci *f)
{
	return virtio_is(f, VIRTIO_TYPE_BLOCK, VIRTIO_PCI_LEGACY_BLOCK);
}

void virtio_blk_probe(struct host_pci *f, unsigned index, void (*found)(struct blk_device *d))
{
	struct virtio_blk *v = pool_alloc(sizeof(*v));
	enum hv_status status;

	if (v == NULL) {
		log_warn("virtio-blk%u: no memory", index);
		return;
	}
	fmt_snprintf(v->name, sizeof(v->name), "virtio-blk%u", index);
	f->owner = "virtio-blk";
	timer_init(&v->timer, NULL, on_timer);
	/* Interrupts leave the queue alone until the disk is ready. */
	v->resetting = true;
	disk_queue_init(&v->requests, 1, REQUEST_LIMIT_NS);
	status = start(v, f);
	if (status != HV_OK) {
		log_warn("%s: cannot be used: %s", v->name, hv_status_name(status));
		host_pci_disable(f);
		return;
	}
	lock_acquire(&v->lock);
	v->resetting = false;
	lock_release(&v->lock);
	timer_arm(&v->timer, clock_now() + clock_ns_to_ticks(WATCH_NS));
	found(&v->device);
}
