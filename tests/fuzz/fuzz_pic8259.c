/* SPDX-License-Identifier: Apache-2.0 */
/* Ports, lines and acknowledge cycles of the 8259 pair; INTR is worked out again, the slow way. */
#include "guests/devices/pic8259.h"
#include "hv/base/bits.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

static struct rig_line intr;
static struct pic8259 pic;

/* The input a chip wants served, by going through all in order of priority; 8: none. */
static unsigned wanted(const struct pic_chip *c, bool master)
{
	for (unsigned n = 1; n <= 8; n++) {
		unsigned input = (c->lowest + n) % 8;
		unsigned bit = BIT32(input);
		bool in_service = (c->isr & bit) != 0;

		if (c->special_mask && (c->imr & bit) != 0) {
			in_service = false;
		}
		if (c->nested && master && input == PIC_CASCADE_IRQ) {
			in_service = false;
		}
		if (in_service) {
			return 8;
		}
		if ((c->irr & ~c->imr & bit) != 0) {
			return input;
		}
	}
	return 8;
}

static void check(void)
{
	const struct pic_chip *master = &pic.chips[0];
	const struct pic_chip *slave = &pic.chips[1];

	assert(intr.level == (wanted(master, true) != 8));
	assert(((master->irr >> PIC_CASCADE_IRQ & 1) != 0) == (wanted(slave, false) != 8));
	for (unsigned i = 0; i < 2; i++) {
		const struct pic_chip *c = &pic.chips[i];

		assert(c->lowest < 8 && (c->base & 7) == 0);
		assert((c->elcr & (i == 0 ? 0x07 : 0x21)) == 0);
		/* A level-triggered request is the line itself. */
		assert(((c->irr ^ c->lines) & c->elcr) == 0);
	}
}

static void acknowledge(void)
{
	bool asked = intr.level;
	unsigned want = wanted(&pic.chips[0], true);
	bool cascade = want == PIC_CASCADE_IRQ && !pic.chips[0].single;
	const struct pic_chip *c = &pic.chips[cascade];
	unsigned input = cascade ? wanted(c, false) : want;
	uint8_t vector = pic_ack(&pic);

	assert(vector == c->base + (input == 8 ? 7 : input));
	assert(asked || vector == c->base + 7);
	assert(!asked || c->auto_eoi || (c->isr >> (vector & 7) & 1) != 0);
}

static void step(struct input *in)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x20, 0xa0};
	uint8_t op = (uint8_t)take(in, 1);
	uint16_t port = ports[op & 7];

	switch (op >> 5) {
	case 0:
		(void)rig_in(&pic.dev, port);
		break;
	case 1:
	case 2:
		rig_out(&pic.dev, port, (uint8_t)take(in, 1));
		break;
	case 3:
		rig_write(&pic.dev, BUS_PIO, port & 0xfffe, 2, take(in, 2));
		break;
	case 4:
		pic8259_set_irq(&pic, op & 0x1f, true);
		break;
	case 5:
		pic8259_set_irq(&pic, op & 0x1f, false);
		break;
	case 6:
		acknowledge();
		break;
	default:
		if (op == 0xff) {
			pic.dev.ops->reset(&pic.dev);
		} else {
			(void)pic8259_waiting(&pic, op & 0x1f);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct irq_line line = rig_irq(&intr);

	intr = (struct rig_line){0};
	pic8259_init(&pic, &line);
	while (in.n != 0) {
		step(&in);
		check();
	}
	return 0;
}
