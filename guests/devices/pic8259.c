/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8259A pair. Edges are latched until they are acknowledged even when the line has fallen again
 * (a bare 8259A would then report a spurious IRQ 7): device models here pulse their lines.
 */
#include "guests/devices/pic8259.h"

#include "guests/devices/bytewise.h"
#include "hv/base/bits.h"

#define ICW1_ICW4 0x01u
#define ICW1_SINGLE 0x02u
#define ICW1_MARK 0x10u
#define ICW4_AUTO_EOI 0x02u
#define ICW4_NESTED 0x10u
#define OCW3_MARK 0x08u
#define OCW3_READ_ISR 0x01u
#define OCW3_READ_SET 0x02u
#define OCW3_POLL 0x04u
#define OCW3_SPECIAL 0x20u
#define OCW3_SPECIAL_SET 0x40u

/* Commands in bits 7:5 of OCW2. */
#define OCW2_COMMAND MASK(7, 5)
enum {
	OCW2_ROTATE_AUTO_CLEAR,
	OCW2_EOI,
	OCW2_NOTHING,
	OCW2_EOI_SPECIFIC,
	OCW2_ROTATE_AUTO_SET,
	OCW2_ROTATE_EOI,
	OCW2_SET_PRIORITY,
	OCW2_ROTATE_EOI_SPECIFIC,
};

/* Inputs that are never level-triggered: timer, keyboard, cascade; RTC (8) and FPU (13). */
#define ELCR_MASTER 0xf8u
#define ELCR_SLAVE 0xdeu

#define SPURIOUS 7u
#define NONE 8u

/* How many inputs stand before the highest-priority one of `mask`; NONE when it is empty. */
static unsigned rank(const struct pic_chip *c, unsigned mask)
{
	unsigned first = (c->lowest + 1u) & 7;

	if (mask == 0) {
		return NONE;
	}
	/* Rotated so that the highest priority becomes bit 0. */
	mask = (mask | mask << 8) >> first;
	return (unsigned)__builtin_ctz(mask);
}

static unsigned input_of(const struct pic_chip *c, unsigned rank_of_input)
{
	return (c->lowest + 1u + rank_of_input) & 7;
}

/* The input that the chip wants served now, or NONE. */
static unsigned request(const struct pic_chip *c, bool master)
{
	unsigned want = rank(c, c->irr & (uint8_t)~c->imr);
	unsigned in_service = c->isr;

	if (c->special_mask) {
		/* What is in service and masked holds nobody back. */
		in_service &= (uint8_t)~c->imr;
	}
	if (c->nested && master) {
		/* The slave may interrupt itself with a higher priority. */
		in_service &= ~BIT32(PIC_CASCADE_IRQ);
	}
	return want < rank(c, in_service) ? input_of(c, want) : NONE;
}

/* Passes the slave's output to the master's input 2, and the master's to INTR. */
static void update(struct pic8259 *pic)
{
	struct pic_chip *master = &pic->chips[0];
	bool slave = request(&pic->chips[1], false) != NONE;
	bool intr;

	/* The cascade input follows the slave, whatever the trigger mode. */
	if (slave) {
		master->irr |= BIT32(PIC_CASCADE_IRQ);
	} else {
		master->irr &= (uint8_t)~BIT32(PIC_CASCADE_IRQ);
	}
	intr = request(master, true) != NONE;
	if (intr != pic->intr_level) {
		pic->intr_level = intr;
		irq_line_set(&pic->intr, intr);
	}
}

/* After a change of what pulls the input. */
static void drive(struct pic_chip *c, unsigned input)
{
	uint8_t bit = (uint8_t)BIT32(input);
	bool level = ((c->own | c->shared) & bit) != 0;
	bool rose = level && (c->lines & bit) == 0;

	c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
	if (rose || (level && (c->elcr & bit) != 0)) {
		c->irr |= bit;
	} else if (!level && (c->elcr & bit) != 0) {
		c->irr &= (uint8_t)~bit;
	}
}

void pic8259_set_irq(struct pic8259 *pic, unsigned irq, bool level)
{
	struct pic_chip *c;
	uint8_t bit;

	if (irq >= PIC_IRQS || irq == PIC_CASCADE_IRQ) {
		return;
	}
	c = &pic->chips[irq / 8];
	bit = (uint8_t)BIT32(irq % 8);
	lock_acquire(&pic->dev.lock);
	c->own = level ? c->own | bit : c->own & (uint8_t)~bit;
	drive(c, irq % 8);
	update(pic);
	lock_release(&pic->dev.lock);
}

void pic8259_set_shared(struct pic8259 *pic, uint16_t levels)
{
	lock_acquire(&pic->dev.lock);
	for (unsigned irq = 0; irq < PIC_IRQS; irq++) {
		struct pic_chip *c = &pic->chips[irq / 8];
		uint8_t bit = (uint8_t)BIT32(irq % 8);
		bool level = (levels & BIT32(irq)) != 0;

		if (irq != PIC_CASCADE_IRQ && level != ((c->shared & bit) != 0)) {
			c->shared ^= bit;
			drive(c, irq % 8);
		}
	}
	update(pic);
	lock_release(&pic->dev.lock);
}

bool pic8259_waiting(struct pic8259 *pic, unsigned irq)
{
	bool waiting = false;

	if (irq < PIC_IRQS) {
		const struct pic_chip *c = &pic->chips[irq / 8];

		lock_acquire(&pic->dev.lock);
		waiting = (c->irr & (uint8_t)~c->imr & BIT32(irq % 8)) != 0;
		lock_release(&pic->dev.lock);
	}
	return waiting;
}

/* The chip's part of an acknowledge cycle or a poll: `input` goes into service. */
static void serve(struct pic_chip *c, unsigned input)
{
	uint8_t bit = (uint8_t)BIT32(input);

	if ((c->elcr & bit) == 0) {
		c->irr &= (uint8_t)~bit;
	}
	if (!c->auto_eoi) {
		c->isr |= bit;
	} else if (c->rotate_on_auto_eoi) {
		c->lowest = (uint8_t)input;
	}
}

uint8_t pic_ack(struct pic8259 *pic)
{
	struct pic_chip *chip = &pic->chips[0];
	unsigned input;
	uint8_t vector;

	lock_acquire(&pic->dev.lock);
	input = request(chip, true);
	if (input != NONE) {
		serve(chip, input);
	}
	if (input == PIC_CASCADE_IRQ && !chip->single) {
		chip = &pic->chips[1];
		input = request(chip, false);
		if (input != NONE) {
			serve(chip, input);
		}
	}
	vector = (uint8_t)(chip->base + (input == NONE ? SPURIOUS : input));
	update(pic);
	lock_release(&pic->dev.lock);
	return vector;
}

static void write_icw1(struct pic_chip *c, uint8_t value)
{
	/* Edges are forgotten; a level that is still there asks again. */
	c->irr = c->lines & c->elcr;
	c->imr = 0;
	c->isr = 0;
	c->lowest = 7;
	c->auto_eoi = false;
	c->rotate_on_auto_eoi = false;
	c->nested = false;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->single = (value & ICW1_SINGLE) != 0;
	c->with_icw4 = (value & ICW1_ICW4) != 0;
	c->init = PIC_EXPECT_ICW2;
}

/* Ends the service of the highest-priority input; returns it, or NONE. */
static unsigned end_highest(struct pic_chip *c)
{
	/* In special mask mode a masked input is not ended unless it is named. */
	unsigned mask = c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr;
	unsigned highest = rank(c, mask);

	if (highest == NONE) {
		return NONE;
	}
	highest = input_of(c, highest);
	c->isr &= (uint8_t)~BIT32(highest);
	return highest;
}

static void write_ocw2(struct pic_chip *c, uint8_t value)
{
	unsigned input = value & 7;

	switch (bits_get(value, OCW2_COMMAND)) {
	case OCW2_ROTATE_AUTO_CLEAR:
		c->rotate_on_auto_eoi = false;
		break;
	case OCW2_ROTATE_AUTO_SET:
		c->rotate_on_auto_eoi = true;
		break;
	case OCW2_EOI:
		(void)end_highest(c);
		break;
	case OCW2_ROTATE_EOI:
		input = end_highest(c);
		c->lowest = input == NONE ? c->lowest : (uint8_t)input;
		break;
	case OCW2_EOI_SPECIFIC:
		c->isr &= (uint8_t)~BIT32(input);
		break;
	case OCW2_ROTATE_EOI_SPECIFIC:
		c->isr &= (uint8_t)~BIT32(input);
		c->lowest = (uint8_t)input;
		break;
	case OCW2_SET_PRIORITY:
		c->lowest = (uint8_t)input;
		break;
	default:
		break;
	}
}

static void write_ocw3(struct pic_chip *c, uint8_t value)
{
	c->poll = (value & OCW3_POLL) != 0;
	if ((value & OCW3_READ_SET) != 0) {
		c->read_isr = (value & OCW3_READ_ISR) != 0;
	}
	if ((value & OCW3_SPECIAL_SET) != 0) {
		c->special_mask = (value & OCW3_SPECIAL) != 0;
	}
}

/* The command port (A0 = 0). */
static void write_command(struct pic_chip *c, uint8_t value)
{
	if ((value & ICW1_MARK) != 0) {
		write_icw1(c, value);
	} else if ((value & OCW3_MARK) != 0) {
		write_ocw3(c, value);
	} else {
		write_ocw2(c, value);
	}
}

/* The data port (A0 = 1): the mask, or the rest of an initialisation. */
static void write_data(struct pic_chip *c, uint8_t value)
{
	switch (c->init) {
	case PIC_EXPECT_ICW2:
		c->base = value & 0xf8;
		c->init = !c->single ? PIC_EXPECT_ICW3 : c->with_icw4 ? PIC_EXPECT_ICW4 : PIC_READY;
		break;
	case PIC_EXPECT_ICW3:
		/* Who is cascaded where is wired. */
		c->init = c->with_icw4 ? PIC_EXPECT_ICW4 : PIC_READY;
		break;
	case PIC_EXPECT_ICW4:
		c->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
		c->nested = (value & ICW4_NESTED) != 0;
		c->init = PIC_READY;
		break;
	case PIC_READY:
	default:
		c->imr = value;
		break;
	}
}

/* A poll stands for an acknowledge cycle: bit 7 says whether bits 2:0 are an input now in service.
 */
static uint8_t poll(struct pic_chip *c, bool master)
{
	unsigned input = request(c, master);

	c->poll = false;
	if (input == NONE) {
		return SPURIOUS;
	}
	serve(c, input);
	return (uint8_t)(0x80 | input);
}

static void write_elcr(struct pic_chip *c, uint8_t value)
{
	uint8_t changed = c->elcr ^ value;

	c->elcr = value;
	/* An input that changes its kind asks if it is a level and high. */
	c->irr = (uint8_t)((c->irr & ~changed) | (changed & value & c->lines));
}

static uint8_t read_port(struct vdev *dev, uint64_t port)
{
	struct pic8259 *pic = container_of(dev, struct pic8259, dev);
	unsigned which = (port & ~1ull) == PIC_SLAVE_PORT;
	struct pic_chip *c = &pic->chips[which];

	if ((port & ~1ull) == PIC_ELCR_PORT) {
		return pic->chips[port & 1].elcr;
	}
	if (c->poll) {
		uint8_t value = poll(c, which == 0);

		update(pic);
		return value;
	}
	if ((port & 1) != 0) {
		return c->imr;
	}
	return c->read_isr ? c->isr : c->irr;
}

static void write_port(struct vdev *dev, uint64_t port, uint8_t value)
{
	struct pic8259 *pic = container_of(dev, struct pic8259, dev);
	struct pic_chip *c = &pic->chips[(port & ~1ull) == PIC_SLAVE_PORT];

	if ((port & ~1ull) == PIC_ELCR_PORT) {
		write_elcr(&pic->chips[port & 1],
			   value & ((port & 1) == 0 ? ELCR_MASTER : ELCR_SLAVE));
	} else if ((port & 1) == 0) {
		write_command(c, value);
	} else {
		write_data(c, value);
	}
	update(pic);
}

static uint64_t pic8259_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_port);
	lock_release(&dev->lock);
	return value;
}

static void pic8259_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_port);
	lock_release(&dev->lock);
}

/* The datasheet leaves the state after power-on open: here all is masked. */
static void reset_chip(struct pic_chip *c)
{
	*c = (struct pic_chip){
		.lines = c->lines, .own = c->own, .shared = c->shared, .imr = 0xff, .lowest = 7};
}

static void pic8259_reset(struct vdev *dev)
{
	struct pic8259 *pic = container_of(dev, struct pic8259, dev);

	lock_acquire(&dev->lock);
	reset_chip(&pic->chips[0]);
	reset_chip(&pic->chips[1]);
	update(pic);
	lock_release(&dev->lock);
}

static const struct vdev_ops pic8259_ops = {
	.name = "8259",
	.read = pic8259_read,
	.write = pic8259_write,
	.reset = pic8259_reset,
};

/* --- saved state --- */

static void save_chip(const struct pic_chip *c, struct pic_chip_saved *out)
{
	*out = (struct pic_chip_saved){
		.own = c->own,
		.shared = c->shared,
		.irr = c->irr,
		.imr = c->imr,
		.isr = c->isr,
		.elcr = c->elcr,
		.base = c->base,
		.lowest = c->lowest,
		.init = (uint8_t)c->init,
		.single = c->single,
		.with_icw4 = c->with_icw4,
		.auto_eoi = c->auto_eoi,
		.rotate_on_auto_eoi = c->rotate_on_auto_eoi,
		.nested = c->nested,
		.special_mask = c->special_mask,
		.read_isr = c->read_isr,
		.poll = c->poll,
	};
}

static void save(void *dev, void *out)
{
	struct pic8259 *pic = dev;
	struct pic8259_saved *saved = out;

	lock_acquire(&pic->dev.lock);
	save_chip(&pic->chips[0], &saved->chips[0]);
	save_chip(&pic->chips[1], &saved->chips[1]);
	lock_release(&pic->dev.lock);
}

static const char *check_chip(const struct pic_chip_saved *in, uint8_t elcr)
{
	uint8_t flags = in->single | in->with_icw4 | in->auto_eoi | in->rotate_on_auto_eoi |
			in->nested | in->special_mask | in->read_isr | in->poll;

	if (in->init > PIC_EXPECT_ICW4) {
		return "its initialisation has 4 steps";
	}
	if (in->lowest > 7 || (in->base & 7) != 0 || (in->elcr & ~elcr) != 0) {
		return "a register has bits that it cannot have";
	}
	if (!saved_is_bool(flags) || !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag is neither 0 nor 1";
	}
	return NULL;
}

static const char *check(void *dev, const void *in)
{
	const struct pic8259_saved *saved = in;
	const struct pic_chip_saved *master = &saved->chips[0];
	const char *wrong = check_chip(master, ELCR_MASTER);

	(void)dev;
	if (wrong == NULL && ((master->own | master->shared) & BIT32(PIC_CASCADE_IRQ)) != 0) {
		wrong = "input 2 is the cascade";
	}
	return wrong != NULL ? wrong : check_chip(&saved->chips[1], ELCR_SLAVE);
}

static void load_chip(struct pic_chip *c, const struct pic_chip_saved *in)
{
	*c = (struct pic_chip){
		.lines = in->own | in->shared,
		.own = in->own,
		.shared = in->shared,
		.irr = in->irr,
		.imr = in->imr,
		.isr = in->isr,
		.elcr = in->elcr,
		.base = in->base,
		.lowest = in->lowest,
		.init = (enum pic_init)in->init,
		.single = in->single != 0,
		.with_icw4 = in->with_icw4 != 0,
		.auto_eoi = in->auto_eoi != 0,
		.rotate_on_auto_eoi = in->rotate_on_auto_eoi != 0,
		.nested = in->nested != 0,
		.special_mask = in->special_mask != 0,
		.read_isr = in->read_isr != 0,
		.poll = in->poll != 0,
	};
}

static void load(void *dev, const void *in)
{
	struct pic8259 *pic = dev;
	const struct pic8259_saved *saved = in;

	lock_acquire(&pic->dev.lock);
	load_chip(&pic->chips[0], &saved->chips[0]);
	load_chip(&pic->chips[1], &saved->chips[1]);
	update(pic);
	lock_release(&pic->dev.lock);
}

static void reset_saved(void *dev)
{
	pic8259_reset(&((struct pic8259 *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "8259",
	.kind = SAVED_KIND('P', 'I', 'C', ' '),
	.version = PIC_SAVED_VERSION,
	.bytes = sizeof(struct pic8259_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void pic8259_init(struct pic8259 *pic, const struct irq_line *intr)
{
	*pic = (struct pic8259){.dev = {.ops = &pic8259_ops}, .intr = *intr};
	saved_device_init(&pic->saved, &saved_ops, pic);
	pic8259_reset(&pic->dev);
}
