/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that go to two controllers, that two devices have, or that another one takes over. */
#include "guests/board_lines.h"

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

static uint32_t with_bit(uint32_t bits, unsigned n, bool on)
{
	return on ? bits | BIT32(n) : bits & ~BIT32(n);
}

/* --- ISA --- */

void board_lines_isa(void *ctx, unsigned irq, bool level)
{
	const struct board_lines *l = ctx;
	unsigned gsi = irq == LAYOUT_IRQ_TIMER ? LAYOUT_GSI_TIMER : irq;

	pic8259_set_irq(l->pic, irq, level);
	ioapic_set_line(l->ioapic, gsi, level);
}

void board_lines_replaceable(void *ctx, unsigned irq, bool level)
{
	struct board_lines *l = ctx;

	lock_acquire(&l->lock);
	l->isa = with_bit(l->isa, irq, level);
	if (!l->replaced) {
		board_lines_isa(l, irq, level);
	}
	lock_release(&l->lock);
}

void board_lines_replace(void *ctx, bool on)
{
	static const unsigned irqs[] = {LAYOUT_IRQ_TIMER, LAYOUT_IRQ_RTC};
	struct board_lines *l = ctx;

	lock_acquire(&l->lock);
	l->replaced = on;
	for (unsigned i = 0; i < ARRAY_SIZE(irqs); i++) {
		board_lines_isa(l, irqs[i], !on && (l->isa & BIT32(irqs[i])) != 0);
	}
	lock_release(&l->lock);
}

/* --- PCI and HPET --- */

static void set_shared(struct board_lines *l, enum board_line_source source, unsigned gsi,
		       bool level)
{
	uint32_t any = 0;

	lock_acquire(&l->lock);
	l->gsis[source] = with_bit(l->gsis[source], gsi, level);
	for (unsigned i = 0; i < BOARD_LINE_SOURCES; i++) {
		any |= l->gsis[i];
	}
	ioapic_set_line(l->ioapic, gsi, (any & BIT32(gsi)) != 0);
	lock_release(&l->lock);
}

void board_lines_pci(void *ctx, unsigned gsi, bool level)
{
	set_shared(ctx, BOARD_LINE_PCI, gsi, level);
}

void board_lines_hpet(void *ctx, unsigned gsi, bool level)
{
	set_shared(ctx, BOARD_LINE_HPET, gsi, level);
}

void board_lines_pci_inputs(void *ctx, uint16_t levels)
{
	const struct board_lines *l = ctx;

	pic8259_set_shared(l->pic, levels);
	ioapic_set_shared(l->ioapic, levels);
}

/* --- saved state --- */

static void save(void *dev, void *out)
{
	struct board_lines *l = dev;
	struct board_lines_saved *saved = out;

	lock_acquire(&l->lock);
	memcpy(saved->gsis, l->gsis, sizeof(saved->gsis));
	saved->isa = l->isa;
	saved->replaced = l->replaced;
	lock_release(&l->lock);
}

static const char *check(void *dev, const void *in)
{
	const struct board_lines_saved *saved = in;
	const uint32_t replaceable = BIT32(LAYOUT_IRQ_TIMER) | BIT32(LAYOUT_IRQ_RTC);

	(void)dev;
	for (unsigned i = 0; i < BOARD_LINE_SOURCES; i++) {
		if (saved->gsis[i] >> IOAPIC_PINS != 0) {
			return "the IOAPIC has 24 inputs";
		}
	}
	if ((saved->isa & ~replaceable) != 0 || !saved_is_bool(saved->replaced) ||
	    !saved_is_zero(saved->zero, sizeof(saved->zero))) {
		return "the HPET replaces the lines of the 8254 and the RTC";
	}
	return NULL;
}

/* The interrupt controllers know the levels from their own records. */
static void load(void *dev, const void *in)
{
	struct board_lines *l = dev;
	const struct board_lines_saved *saved = in;

	lock_acquire(&l->lock);
	memcpy(l->gsis, saved->gsis, sizeof(l->gsis));
	l->isa = saved->isa;
	l->replaced = saved->replaced != 0;
	lock_release(&l->lock);
}

/*
 * The levels belong to those who drive them. Those of the 8254 and the RTC are not told to the
 * controllers: these are reset next.
 */
static void reset(void *dev)
{
	struct board_lines *l = dev;

	lock_acquire(&l->lock);
	l->replaced = false;
	lock_release(&l->lock);
}

static const struct saved_ops saved_ops = {
	.name = "interrupt lines",
	.kind = SAVED_KIND('L', 'I', 'N', 'E'),
	.version = BOARD_LINES_SAVED_VERSION,
	.bytes = sizeof(struct board_lines_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

void board_lines_init(struct board_lines *l, struct pic8259 *pic, struct ioapic *ioapic)
{
	*l = (struct board_lines){.pic = pic, .ioapic = ioapic};
	saved_device_init(&l->saved, &saved_ops, l);
}
