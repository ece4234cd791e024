/* SPDX-License-Identifier: Apache-2.0 */
/* Items, the two ways to read them, and the way to write them. */
#include "guests/devices/fw_cfg.h"

#include "guests/devices/bytewise.h"
#include "hv/api/gmem.h"
#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

/* Ports from FW_CFG_PORT on. */
#define PORT_SELECT 0u
#define PORT_DATA 1u
#define PORT_DMA_HIGH 4u
#define PORT_DMA_LOW 8u

#define SIGNATURE 0x554d4551u		    /* "QEMU" */
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG", big-endian */
#define NUMBER_MAX 8u
/* QEMU knows bits 14 and 15: the first is not part of the number. */
#define KEY_MASK 0xbfffu

#define ENTRY_SELECT 4u
#define ENTRY_NAME 8u
static_assert(ENTRY_NAME + FW_CFG_NAME_MAX == FW_CFG_DIRECTORY_ENTRY, "as the specification says");

static struct fw_cfg *to_fw_cfg(struct vdev *dev)
{
	return container_of(dev, struct fw_cfg, dev);
}

/* ---- items ---- */

static struct fw_cfg_item *find(struct fw_cfg *f, uint16_t key)
{
	for (unsigned i = 0; i < f->item_count; i++) {
		if (f->items[i].key == key) {
			return &f->items[i];
		}
	}
	return NULL;
}

static const uint8_t *bytes_of(const struct fw_cfg_item *item)
{
	return item->data != NULL ? item->data : (const uint8_t *)&item->number;
}

/* Bytes of the selected item from the present offset on; 0: it ends before that, or is not. */
static uint32_t available(struct fw_cfg *f, struct fw_cfg_item **item)
{
	*item = find(f, f->state.key);
	return *item != NULL && f->state.offset < (*item)->size ? (*item)->size - f->state.offset
								: 0;
}

static void advance(struct fw_cfg *f, uint32_t n)
{
	f->state.offset = (uint32_t)min_u64((uint64_t)f->state.offset + n, UINT32_MAX);
}

static void select_item(struct fw_cfg *f, uint16_t key)
{
	const struct fw_cfg_item *item;

	f->state.key = key & KEY_MASK;
	f->state.offset = 0;
	item = find(f, f->state.key);
	if (item == NULL) {
		vdev_lacks(&f->dev, LACKS_INDEX, f->state.key);
	} else if (item->selected != NULL) {
		item->selected(item->ctx);
	}
}

static enum hv_status add(struct fw_cfg *f, const struct fw_cfg_item *item)
{
	if (f->item_count == FW_CFG_ITEMS_MAX || item->key != (item->key & KEY_MASK)) {
		return HV_E_RANGE;
	}
	if (find(f, item->key) != NULL) {
		return HV_E_EXISTS;
	}
	f->items[f->item_count++] = *item;
	return HV_OK;
}

static enum hv_status add_bytes(struct fw_cfg *f, struct fw_cfg_item *item, uint64_t size)
{
	if (size > UINT32_MAX) {
		return HV_E_RANGE;
	}
	item->size = (uint32_t)size;
	return add(f, item);
}

enum hv_status fw_cfg_add(struct fw_cfg *f, uint16_t key, const void *data, uint64_t size)
{
	struct fw_cfg_item item = {.key = key, .data = data};

	return add_bytes(f, &item, size);
}

enum hv_status fw_cfg_add_number(struct fw_cfg *f, uint16_t key, uint64_t number, unsigned size)
{
	const struct fw_cfg_item item = {.key = key, .number = number, .size = size};

	return size == 0 || size > NUMBER_MAX ? HV_E_RANGE : add(f, &item);
}

/* ---- files ---- */

static uint8_t *entry_at(struct fw_cfg *f, unsigned index)
{
	return f->directory + 4 + (size_t)index * FW_CFG_DIRECTORY_ENTRY;
}

static bool has_file(struct fw_cfg *f, const char *name)
{
	for (unsigned i = 0; i < f->file_count; i++) {
		if (str_eq((const char *)entry_at(f, i) + ENTRY_NAME, name)) {
			return true;
		}
	}
	return false;
}

static enum hv_status add_file(struct fw_cfg *f, const char *name, struct fw_cfg_item *item,
			       uint64_t size)
{
	uint8_t *entry = entry_at(f, f->file_count);
	enum hv_status status;

	if (f->file_count == FW_CFG_FILES_MAX || str_len(name) >= FW_CFG_NAME_MAX) {
		return HV_E_RANGE;
	}
	if (has_file(f, name)) {
		return HV_E_EXISTS;
	}
	item->key = (uint16_t)(FW_CFG_FILE_FIRST + f->file_count);
	status = add_bytes(f, item, size);
	if (status != HV_OK) {
		return status;
	}
	put_be32(entry, item->size);
	put_be16(entry + ENTRY_SELECT, item->key);
	(void)str_copy((char *)entry + ENTRY_NAME, FW_CFG_NAME_MAX, span_of(name));
	f->file_count++;
	put_be32(f->directory, f->file_count);
	find(f, FW_CFG_FILE_DIR)->size = 4 + f->file_count * FW_CFG_DIRECTORY_ENTRY;
	return HV_OK;
}

enum hv_status fw_cfg_add_file(struct fw_cfg *f, const char *name, const void *data, uint64_t size)
{
	struct fw_cfg_item item = {.data = data};

	return add_file(f, name, &item, size);
}

enum hv_status fw_cfg_add_file_number(struct fw_cfg *f, const char *name, uint64_t number,
				      unsigned size)
{
	struct fw_cfg_item item = {.number = number};

	return size == 0 || size > NUMBER_MAX ? HV_E_RANGE : add_file(f, name, &item, size);
}

void fw_cfg_on_select(struct fw_cfg *f, void (*selected)(void *ctx), void *ctx)
{
	struct fw_cfg_item *last = &f->items[f->item_count - 1];

	CHECK(f->item_count > 0);
	last->selected = selected;
	last->ctx = ctx;
}

/* ---- DMA ---- */

/* The next bytes of the item to the guest; behind its end come zeros. */
static enum hv_status dma_read(struct fw_cfg *f, uint32_t *n)
{
	static const uint8_t zeros[512];
	struct fw_cfg_item *item;
	uint32_t have = available(f, &item);

	if (have == 0) {
		*n = (uint32_t)min_u64(*n, sizeof(zeros));
		return guest_mem_write(f->vm, gpa(f->state.address), zeros, *n);
	}
	*n = (uint32_t)min_u64(*n, have);
	return guest_mem_write(f->vm, gpa(f->state.address), bytes_of(item) + f->state.offset, *n);
}

/* Moves *n bytes, or fewer, which *n then says. */
static enum hv_status dma_move(struct fw_cfg *f, uint32_t *n)
{
	if ((f->state.control & FW_CFG_DMA_READ) != 0) {
		return dma_read(f, n);
	}
	/* There is no item that a guest may write. */
	return (f->state.control & FW_CFG_DMA_WRITE) != 0 ? HV_E_RANGE : HV_OK;
}

/* The guest waits for these four bytes: they are written last. */
static void dma_finish(struct fw_cfg *f, bool failed)
{
	uint8_t control[4];

	f->state.busy = false;
	put_be32(control, failed ? FW_CFG_DMA_ERROR : 0);
	/* A guest that has taken the descriptor away meanwhile does not wait for it. */
	(void)!guest_mem_write(f->vm, gpa(f->state.descriptor), control, sizeof(control));
}

/* At most FW_CFG_STEP_BYTES of the transfer. Lock held, the VM's space is current. */
static void dma_step(struct fw_cfg *f)
{
	struct fw_cfg_state *s = &f->state;
	uint32_t budget = FW_CFG_STEP_BYTES;

	while (s->left != 0 && budget != 0) {
		uint32_t n = (uint32_t)min_u64(s->left, budget);

		if (dma_move(f, &n) != HV_OK) {
			dma_finish(f, true);
			return;
		}
		advance(f, n);
		s->left -= n;
		s->address += n;
		budget -= n;
	}
	if (s->left == 0) {
		dma_finish(f, false);
	} else {
		vwork_ask(&f->work, 0);
	}
}

/* Passing over bytes takes no time, whatever their number; nor does nothing at all. */
static void dma_skip(struct fw_cfg *f)
{
	if ((f->state.control & FW_CFG_DMA_SKIP) != 0) {
		advance(f, f->state.left);
	}
	dma_finish(f, false);
}

/* Lock held. */
static void dma_start(struct fw_cfg *f, uint64_t descriptor)
{
	struct fw_cfg_state *s = &f->state;
	uint8_t bytes[FW_CFG_DMA_BYTES];

	s->descriptor = descriptor;
	if (guest_mem_read(f->vm, gpa(descriptor), bytes, sizeof(bytes)) != HV_OK) {
		dma_finish(f, true);
		return;
	}
	s->busy = true;
	s->control = get_be32(bytes);
	s->left = get_be32(bytes + 4);
	s->address = get_be64(bytes + 8);
	if ((s->control & FW_CFG_DMA_SELECT) != 0) {
		select_item(f, (uint16_t)(s->control >> 16));
	}
	if ((s->control & (FW_CFG_DMA_READ | FW_CFG_DMA_WRITE)) != 0) {
		dma_step(f);
	} else {
		dma_skip(f);
	}
}

static void work(struct vwork *w)
{
	struct fw_cfg *f = container_of(w, struct fw_cfg, work);

	lock_acquire(&f->dev.lock);
	if (f->state.busy) {
		dma_step(f);
	}
	lock_release(&f->dev.lock);
}

/* ---- ports ---- */

static uint8_t next_byte(struct fw_cfg *f)
{
	struct fw_cfg_item *item;
	uint8_t value = 0;

	if (available(f, &item) != 0) {
		value = bytes_of(item)[f->state.offset];
	}
	advance(f, 1);
	return value;
}

static uint8_t read_byte(struct vdev *dev, uint64_t addr)
{
	uint64_t offset = addr - FW_CFG_PORT;

	if (offset == PORT_DATA) {
		return next_byte(to_fw_cfg(dev));
	}
	if (offset >= PORT_DMA_HIGH && offset < PORT_DMA_HIGH + 8) {
		return (uint8_t)(DMA_SIGNATURE >> (7 - (offset - PORT_DMA_HIGH)) * 8);
	}
	return 0;
}

static uint64_t fw_cfg_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_byte);
	lock_release(&dev->lock);
	return value;
}

/* A descriptor's address comes as two big-endian words: as the CPU writes them, swapped. */
static void write_port(struct fw_cfg *f, uint64_t offset, unsigned size, uint32_t value)
{
	if (offset == PORT_SELECT && size == 2) {
		select_item(f, (uint16_t)value);
	} else if (offset == PORT_DMA_HIGH && size == 4) {
		f->state.dma_high = __builtin_bswap32(value);
	} else if (offset == PORT_DMA_LOW && size == 4) {
		uint64_t high = f->state.dma_high;

		f->state.dma_high = 0;
		dma_start(f, high << 32 | __builtin_bswap32(value));
	}
}

static void fw_cfg_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct fw_cfg *f = to_fw_cfg(dev);

	lock_acquire(&dev->lock);
	/* A transfer under way has the item: a guest that does not wait for its end is not heard.
	 */
	if (!f->state.busy) {
		write_port(f, a->addr - FW_CFG_PORT, a->size, (uint32_t)value);
	}
	lock_release(&dev->lock);
}

static void fw_cfg_reset(struct vdev *dev)
{
	struct fw_cfg *f = to_fw_cfg(dev);

	vwork_cancel(&f->work);
	lock_acquire(&dev->lock);
	f->state = (struct fw_cfg_state){0};
	lock_release(&dev->lock);
}

static const struct vdev_ops fw_cfg_ops = {
	.name = "fw_cfg",
	.read = fw_cfg_read,
	.write = fw_cfg_write,
	.reset = fw_cfg_reset,
};

/* ---- saved state ---- */

static bool is_quiet(void *dev)
{
	struct fw_cfg *f = dev;
	bool quiet;

	lock_acquire(&f->dev.lock);
	quiet = !f->state.busy;
	lock_release(&f->dev.lock);
	return quiet;
}

static void save(void *dev, void *out)
{
	struct fw_cfg *f = dev;
	struct fw_cfg_saved *saved = out;

	lock_acquire(&f->dev.lock);
	saved->offset = f->state.offset;
	saved->dma_high = f->state.dma_high;
	saved->key = f->state.key;
	lock_release(&f->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct fw_cfg_saved *saved = in;

	(void)dev;
	return (saved->key & ~KEY_MASK) == 0 && saved_is_zero(saved->zero, sizeof(saved->zero))
		       ? NULL
		       : "no item has such a number";
}

/* The item that is being read may have to be made as it was when it was selected. */
static void load(void *dev, const void *in)
{
	struct fw_cfg *f = dev;
	const struct fw_cfg_saved *saved = in;

	vwork_cancel(&f->work);
	lock_acquire(&f->dev.lock);
	f->state = (struct fw_cfg_state){.dma_high = saved->dma_high};
	select_item(f, saved->key);
	f->state.offset = saved->offset;
	lock_release(&f->dev.lock);
}

static void reset_saved(void *dev)
{
	fw_cfg_reset(&((struct fw_cfg *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "fw_cfg",
	.kind = SAVED_KIND('F', 'W', 'C', 'F'),
	.version = FW_CFG_SAVED_VERSION,
	.bytes = sizeof(struct fw_cfg_saved),
	.quiet = is_quiet,
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void fw_cfg_init(struct fw_cfg *f, struct vm *vm, struct vwork_queue *queue)
{
	*f = (struct fw_cfg){.dev.ops = &fw_cfg_ops, .vm = vm};
	vwork_init(&f->work, queue, work);
	saved_device_init(&f->saved, &saved_ops, f);
	f->items[f->item_count++] =
		(struct fw_cfg_item){.key = FW_CFG_SIGNATURE, .number = SIGNATURE, .size = 4};
	f->items[f->item_count++] = (struct fw_cfg_item){
		.key = FW_CFG_ID, .number = FW_CFG_ID_TRADITIONAL | FW_CFG_ID_DMA, .size = 4};
	f->items[f->item_count++] =
		(struct fw_cfg_item){.key = FW_CFG_FILE_DIR, .data = f->directory, .size = 4};
}
