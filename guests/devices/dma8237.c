/* SPDX-License-Identifier: Apache-2.0 */
/* The DMA controllers: their registers, and data on their way between a device and memory. */
#include "guests/devices/dma8237.h"

#include "guests/devices/bytewise.h"
#include "hv/api/gmem.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

/* Bytes that pass through the hypervisor at once; a page is a whole number of them. */
#define PIECE_BYTES 256u
#define CHANNEL_BITS 0x0fu
#define FLOATING 0xffu /* what the bus reads as when nobody drives it */

/* A channel and where it is, while it is worked on. */
struct cursor {
	struct dma8237 *dma;
	struct dma_controller *controller;
	struct dma_channel *channel;
	unsigned number; /* 0 .. 7 */
	unsigned shift;	 /* bytes of a transfer: 1 << shift */
};

static struct cursor cursor_at(struct dma8237 *d, unsigned number)
{
	struct dma_controller *controller = &d->controllers[number / DMA_CONTROLLER_CHANNELS];

	return (struct cursor){
		.dma = d,
		.controller = controller,
		.channel = &controller->channels[number % DMA_CONTROLLER_CHANNELS],
		.number = number,
		.shift = number / DMA_CONTROLLER_CHANNELS,
	};
}

static uint8_t bit_of(const struct cursor *c)
{
	return (uint8_t)BIT32(c->number % DMA_CONTROLLER_CHANNELS);
}

static bool is_down(const struct cursor *c)
{
	return (c->channel->mode & DMA_MODE_DOWN) != 0;
}

/* --- transfers --- */

/* Where the next transfer goes: a word's channel has no use for its page's lowest bit. */
static uint64_t address_of(const struct cursor *c)
{
	static const uint8_t pages[DMA_CHANNELS] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};
	uint64_t page = c->dma->pages[pages[c->number]];

	page = page >> c->shift << c->shift;
	return page << 16 | (uint64_t)c->channel->address << c->shift;
}

/* Transfers until the page of memory ends; where the address register wraps, one does. */
static uint32_t units_in_page(const struct cursor *c)
{
	uint32_t units = PAGE_SIZE >> c->shift;
	uint32_t at = c->channel->address % units;

	return is_down(c) ? at + 1 : units - at;
}

/* Bytes between `piece`, whose address rises, and `data`, which is in the order of transfers. */
static void copy_units(const struct cursor *c, uint8_t *to, const uint8_t *from, uint32_t units)
{
	if (!is_down(c)) {
		memcpy(to, from, (size_t)units << c->shift);
		return;
	}
	for (uint32_t i = 0; i < units; i++) {
		memcpy(to + ((size_t)i << c->shift), from + ((size_t)(units - 1 - i) << c->shift),
		       (size_t)1 << c->shift);
	}
}

/* Moves up to a piece, all in one page; false: there is no frame for it. */
static bool move_piece(const struct cursor *c, bool to_memory, uint8_t *data, uint32_t units)
{
	struct vm *vm = c->dma->cfg.vm;
	size_t bytes = (size_t)units << c->shift;
	gpa_t at = gpa(address_of(c) - (is_down(c) ? (uint64_t)(units - 1) << c->shift : 0));
	uint8_t piece[PIECE_BYTES];
	enum hv_status status;

	if (to_memory) {
		copy_units(c, piece, data, units);
		return guest_mem_write(vm, at, piece, bytes) != HV_E_NO_MEMORY;
	}
	status = guest_mem_read(vm, at, piece, bytes);
	if (status != HV_OK) {
		memset(piece, FLOATING, bytes);
	}
	copy_units(c, data, piece, units);
	return status != HV_E_NO_MEMORY;
}

/* Accounts for transfers, of which there are no more than the count allows; true: it is reached. */
static bool count_down(const struct cursor *c, uint32_t units)
{
	struct dma_channel *ch = c->channel;
	bool reached = units == ch->count + 1u;

	ch->address = (uint16_t)(is_down(c) ? ch->address - units : ch->address + units);
	ch->count = (uint16_t)(ch->count - units);
	if (!reached) {
		return false;
	}
	c->controller->terminal |= bit_of(c);
	c->controller->requests &= (uint8_t)~bit_of(c);
	if ((ch->mode & DMA_MODE_AUTOINIT) != 0) {
		ch->address = ch->base_address;
		ch->count = ch->base_count;
	} else {
		c->controller->mask |= bit_of(c);
	}
	return true;
}

/* At most `units` transfers, and no more than to the channel's count; returns how many. */
static uint32_t move(const struct cursor *c, bool to_memory, uint8_t *data, uint32_t units,
		     bool *terminal)
{
	bool verify = (c->channel->mode & DMA_MODE_TYPE) == DMA_MODE_VERIFY;
	uint32_t done = 0;

	*terminal = false;
	while (done < units && !*terminal) {
		uint32_t n = (uint32_t)min_u64(units - done, c->channel->count + 1u);
		uint8_t *piece = data + ((size_t)done << c->shift);

		n = (uint32_t)min_u64(n, min_u64(units_in_page(c), PIECE_BYTES >> c->shift));
		if (!verify && !move_piece(c, to_memory, piece, n)) {
			break;
		}
		if (verify && !to_memory) {
			memset(piece, FLOATING, (size_t)n << c->shift);
		}
		*terminal = count_down(c, n);
		done += n;
	}
	return done;
}

/* Whether requests of this channel's controller get through to the bus. */
static bool is_wired(const struct cursor *c)
{
	const struct dma_controller *master = &c->dma->controllers[1];
	bool open = (master->command & DMA_COMMAND_DISABLE) == 0 && (master->mask & 1) == 0;

	return (c->controller->command & DMA_COMMAND_DISABLE) == 0 && c->number != DMA_CASCADE &&
	       (c->number > DMA_CASCADE || open);
}

/* Whether it is set up to move data that way, or to move none. */
static bool serves(const struct cursor *c, bool to_memory)
{
	uint8_t type = c->channel->mode & DMA_MODE_TYPE;

	return (c->channel->mode & DMA_MODE_KIND) != DMA_MODE_CASCADE &&
	       (type == DMA_MODE_VERIFY ||
		type == (to_memory ? DMA_MODE_TO_MEMORY : DMA_MODE_FROM_MEMORY));
}

uint32_t dma8237_transfer(struct dma8237 *d, unsigned channel, bool to_memory, void *data,
			  uint32_t bytes, bool *terminal)
{
	const struct cursor c = cursor_at(d, channel);
	uint32_t units = 0;

	*terminal = false;
	lock_acquire(&d->dev.lock);
	if (is_wired(&c) && (c.controller->mask & bit_of(&c)) == 0 && serves(&c, to_memory)) {
		units = move(&c, to_memory, data, bytes >> c.shift, terminal);
	}
	lock_release(&d->dev.lock);
	return units << c.shift;
}

/* --- requests by software --- */

/*
 * "Request Register": a block that nobody answers for, masked or not. What is read goes nowhere,
 * and what is written is what the bus floats at.
 */
static void run_block(const struct cursor *c)
{
	uint8_t nobody[PIECE_BYTES];
	bool terminal = false;

	if ((c->channel->mode & DMA_MODE_TYPE) != DMA_MODE_TO_MEMORY) {
		(void)count_down(c, c->channel->count + 1u);
		return;
	}
	memset(nobody, FLOATING, sizeof(nobody));
	while (!terminal) {
		if (move(c, true, nobody, PIECE_BYTES >> c->shift, &terminal) == 0) {
			return; /* no frame is left; it stays requested */
		}
	}
}

static void serve_requests(struct dma8237 *d)
{
	for (unsigned i = 0; i < DMA_CHANNELS; i++) {
		const struct cursor c = cursor_at(d, i);

		if ((c.controller->requests & bit_of(&c)) != 0 && is_wired(&c) &&
		    (c.channel->mode & DMA_MODE_KIND) == DMA_MODE_BLOCK) {
			run_block(&c);
		}
	}
}

/* --- registers --- */

static bool flip(struct dma_controller *c)
{
	c->high = !c->high;
	return !c->high;
}

static uint8_t read_channel(struct dma_controller *c, unsigned reg)
{
	const struct dma_channel *ch = &c->channels[reg / 2];
	uint16_t value = reg % 2 == 0 ? ch->address : ch->count;

	return (uint8_t)(flip(c) ? value >> 8 : value);
}

static uint16_t with_byte(uint16_t old, bool high, uint8_t value)
{
	return (uint16_t)(high ? (old & 0x00ff) | value << 8 : (old & 0xff00) | value);
}

/* "Base Address and Base Word Count": a write sets the current register, too. */
static void write_channel(struct dma_controller *c, unsigned reg, uint8_t value)
{
	struct dma_channel *ch = &c->channels[reg / 2];
	bool high = flip(c);

	if (reg % 2 == 0) {
		ch->base_address = with_byte(ch->base_address, high, value);
		ch->address = with_byte(ch->address, high, value);
	} else {
		ch->base_count = with_byte(ch->base_count, high, value);
		ch->count = with_byte(ch->count, high, value);
	}
}

/* What can only be written reads as the bus floats. */
static uint8_t read_controller(struct dma_controller *c, unsigned reg)
{
	uint8_t value = FLOATING;

	if (reg < DMA_REG_COMMAND) {
		return read_channel(c, reg);
	}
	if (reg == DMA_REG_COMMAND) {
		value = (uint8_t)(c->requests << 4 | c->terminal);
		c->terminal = 0;
	} else if (reg == DMA_REG_MASTER_CLEAR) {
		value = 0; /* memory to memory is not there: nothing comes into it */
	} else if (reg == DMA_REG_ALL_MASK) {
		value = c->mask;
	}
	return value;
}

/* Bit 2 of `value` for the channel in its lowest two. */
static uint8_t with_channel(uint8_t old, uint8_t value)
{
	uint8_t bit = (uint8_t)BIT32(value & 3);

	return (uint8_t)((value & 4) != 0 ? old | bit : old & ~bit);
}

static void master_clear(struct dma_controller *c)
{
	c->command = 0;
	c->terminal = 0;
	c->requests = 0;
	c->mask = CHANNEL_BITS;
	c->high = false;
}

static void write_controller(struct dma_controller *c, unsigned reg, uint8_t value)
{
	switch (reg) {
	case DMA_REG_COMMAND:
		c->command = value;
		break;
	case DMA_REG_REQUEST:
		c->requests = with_channel(c->requests, value);
		break;
	case DMA_REG_SINGLE_MASK:
		c->mask = with_channel(c->mask, value);
		break;
	case DMA_REG_MODE:
		c->channels[value & 3].mode = value & (uint8_t)~3u;
		break;
	case DMA_REG_CLEAR_BYTE:
		c->high = false;
		break;
	case DMA_REG_MASTER_CLEAR:
		master_clear(c);
		break;
	case DMA_REG_CLEAR_MASK:
		c->mask = 0;
		break;
	case DMA_REG_ALL_MASK:
		c->mask = value & CHANNEL_BITS;
		break;
	default:
		write_channel(c, reg, value);
		break;
	}
}

/* The controller whose register, *reg, a port is; DMA_CONTROLLERS: it is that of a page. */
static unsigned find(uint64_t port, unsigned *reg)
{
	if (port >= DMA_MASTER_PORT) {
		*reg = (unsigned)(port - DMA_MASTER_PORT) / 2;
		return 1;
	}
	*reg = (unsigned)port & 0xf;
	return port < DMA_SLAVE_PORT + DMA_PORTS ? 0 : DMA_CONTROLLERS;
}

static uint8_t read_byte(struct vdev *dev, uint64_t port)
{
	struct dma8237 *d = container_of(dev, struct dma8237, dev);
	unsigned reg;
	unsigned which = find(port, &reg);

	return which < DMA_CONTROLLERS ? read_controller(&d->controllers[which], reg)
				       : d->pages[reg];
}

static void write_byte(struct vdev *dev, uint64_t port, uint8_t value)
{
	struct dma8237 *d = container_of(dev, struct dma8237, dev);
	unsigned reg;
	unsigned which = find(port, &reg);

	if (which == DMA_CONTROLLERS) {
		d->pages[reg] = value;
		return;
	}
	write_controller(&d->controllers[which], reg, value);
	serve_requests(d);
}

static uint64_t dma_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_byte);
	lock_release(&dev->lock);
	return value;
}

static void dma_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_byte);
	lock_release(&dev->lock);
}

static void dma_reset(struct vdev *dev)
{
	struct dma8237 *d = container_of(dev, struct dma8237, dev);

	lock_acquire(&dev->lock);
	memset(d->controllers, 0, sizeof(d->controllers));
	memset(d->pages, 0, sizeof(d->pages));
	master_clear(&d->controllers[0]);
	master_clear(&d->controllers[1]);
	d->controllers[1].channels[0].mode = DMA_MODE_CASCADE;
	if (d->cfg.cascade_open) {
		d->controllers[1].mask &= (uint8_t)~1u;
	}
	lock_release(&dev->lock);
}

static const struct vdev_ops dma_ops = {
	.name = "8237",
	.read = dma_read,
	.write = dma_write,
	.reset = dma_reset,
};

/* --- saved state --- */

static void save_controller(const struct dma_controller *c, struct dma_controller_saved *out)
{
	for (unsigned i = 0; i < DMA_CONTROLLER_CHANNELS; i++) {
		const struct dma_channel *ch = &c->channels[i];

		out->channels[i] = (struct dma_channel_saved){
			.base_address = ch->base_address,
			.base_count = ch->base_count,
			.address = ch->address,
			.count = ch->count,
			.mode = ch->mode,
		};
	}
	out->command = c->command;
	out->terminal = c->terminal;
	out->requests = c->requests;
	out->mask = c->mask;
	out->high = c->high;
}

static void save(void *dev, void *out)
{
	struct dma8237 *d = dev;
	struct dma8237_saved *saved = out;

	lock_acquire(&d->dev.lock);
	for (unsigned i = 0; i < DMA_CONTROLLERS; i++) {
		save_controller(&d->controllers[i], &saved->controllers[i]);
	}
	memcpy(saved->pages, d->pages, sizeof(saved->pages));
	lock_release(&d->dev.lock);
}

static const char *check_controller(const struct dma_controller_saved *in)
{
	for (unsigned i = 0; i < DMA_CONTROLLER_CHANNELS; i++) {
		const struct dma_channel_saved *ch = &in->channels[i];

		if ((ch->mode & 3) != 0 || !saved_is_zero(ch->zero, sizeof(ch->zero))) {
			return "a channel's mode names a channel";
		}
	}
	if (((in->terminal | in->requests | in->mask) & ~CHANNEL_BITS) != 0 ||
	    !saved_is_bool(in->high) || !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a controller has four channels";
	}
	return NULL;
}

static const char *check(void *dev, const void *in)
{
	const struct dma8237_saved *saved = in;
	const char *wrong = NULL;

	(void)dev;
	for (unsigned i = 0; i < DMA_CONTROLLERS && wrong == NULL; i++) {
		wrong = check_controller(&saved->controllers[i]);
	}
	return wrong;
}

static void load_controller(struct dma_controller *c, const struct dma_controller_saved *in)
{
	for (unsigned i = 0; i < DMA_CONTROLLER_CHANNELS; i++) {
		const struct dma_channel_saved *ch = &in->channels[i];

		c->channels[i] = (struct dma_channel){
			.base_address = ch->base_address,
			.base_count = ch->base_count,
			.address = ch->address,
			.count = ch->count,
			.mode = ch->mode,
		};
	}
	c->command = in->command;
	c->terminal = in->terminal;
	c->requests = in->requests;
	c->mask = in->mask;
	c->high = in->high != 0;
}

static void load(void *dev, const void *in)
{
	struct dma8237 *d = dev;
	const struct dma8237_saved *saved = in;

	lock_acquire(&d->dev.lock);
	for (unsigned i = 0; i < DMA_CONTROLLERS; i++) {
		load_controller(&d->controllers[i], &saved->controllers[i]);
	}
	memcpy(d->pages, saved->pages, sizeof(d->pages));
	lock_release(&d->dev.lock);
}

static void reset_saved(void *dev)
{
	dma_reset(&((struct dma8237 *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "8237",
	.kind = SAVED_KIND('D', 'M', 'A', ' '),
	.version = DMA8237_SAVED_VERSION,
	.bytes = sizeof(struct dma8237_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void dma8237_init(struct dma8237 *d, const struct dma8237_config *cfg)
{
	*d = (struct dma8237){.dev.ops = &dma_ops, .cfg = *cfg};
	saved_device_init(&d->saved, &saved_ops, d);
	dma_reset(&d->dev);
}
