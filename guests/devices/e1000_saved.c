/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A card of Intel's as bytes, and back. It never has to be waited for. Not saved is what the board
 * gives it (the EEPROM's words) and what follows from its registers (the filter, whether it is
 * open).
 */
#include "guests/devices/e1000_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

/* --- saving --- */

static struct e1000_rom_saved save_rom(const struct e1000_rom *r)
{
	return (struct e1000_rom_saved){
		.in = r->in,
		.position = r->position,
		.in_count = r->in_count,
		.reading = r->reading,
		.out = r->out,
	};
}

static struct e1000_delay_saved save_delay(const struct e1000_delay *d)
{
	return (struct e1000_delay_saved){d->due, d->limit, d->waits};
}

static void save_irq(const struct e1000_irq *irq, struct e1000_irq_saved *out)
{
	*out = (struct e1000_irq_saved){
		.line_again = irq->line_again,
		.rx = save_delay(&irq->rx),
		.tx = save_delay(&irq->tx),
		.armed = irq->armed,
		.told = irq->told,
		.line = irq->line,
	};
	memcpy(out->again, irq->again, sizeof(out->again));
}

static void save_clock(const struct e1000_clock *c, struct e1000_clock_saved *out)
{
	*out = (struct e1000_clock_saved){.time = c->time, .since = c->since, .high = c->high};
	memcpy(out->reg, c->reg, sizeof(out->reg));
}

static void save(void *dev, void *out)
{
	struct e1000 *e = dev;
	struct e1000_saved *saved = out;

	lock_acquire(&e->lock);
	memcpy(saved->reg, e->state.reg, sizeof(saved->reg));
	memcpy(saved->phy, e->state.phy, sizeof(saved->phy));
	saved->rom = save_rom(&e->state.rom);
	save_irq(&e->state.irq, &saved->irq);
	save_clock(&e->state.clock, &saved->clock);
	for (unsigned i = 0; i < E1000_TX_QUEUES; i++) {
		memcpy(saved->tx[i].context, e->state.tx[i].context, sizeof(saved->tx[i].context));
		saved->tx[i].begun = e->state.tx[i].begun;
	}
	saved->io_address = e->state.io_address;
	saved->link = e->state.link;
	lock_release(&e->lock);
	saved->mac = e->port.mac;
	saved->kind = (uint8_t)e->kind;
	pci_device_save(&e->pci, &saved->pci);
}

/* --- checking --- */

static const char *check_card(const struct e1000 *e, const struct e1000_saved *in)
{
	if (in->kind != e->kind) {
		return "it is of another kind";
	}
	if (memcmp(&in->mac, &e->port.mac, sizeof(in->mac)) != 0) {
		return "it has another address";
	}
	return saved_is_bool(in->link) && saved_is_zero(in->zero, sizeof(in->zero))
		       ? NULL
		       : "its link is neither up nor down";
}

static const char *check_registers(const struct e1000 *e, const struct e1000_saved *in)
{
	for (unsigned i = 0; i < ARRAY_SIZE(in->reg); i++) {
		if (!e1000_register_is_possible(e, 4 * i, in->reg[i])) {
			return "a register has bits that it does not have";
		}
	}
	for (unsigned i = 0; i < E1000_PHY_REGISTERS; i++) {
		if (!e1000_phy_is_possible(e, i, in->phy[i])) {
			return "a register of its PHY has bits that it does not have";
		}
	}
	return e1000_rom_is_possible(&in->rom) ? NULL : "its EEPROM is read at no place";
}

/* The line is pulled exactly while the card thinks so. */
static const char *check_irq(const struct e1000_saved *in)
{
	const struct e1000_irq_saved *irq = &in->irq;

	if (irq->rx.waits > 1 || irq->tx.waits > 1 || !saved_is_bool(irq->line) ||
	    !saved_is_zero(irq->zero, sizeof(irq->zero))) {
		return "an interrupt is neither there nor not";
	}
	return irq->line == in->pci.intx_asserted ? NULL : "its interrupt line is not its own";
}

static const char *check(void *dev, const void *in)
{
	const struct e1000 *e = dev;
	const struct e1000_saved *saved = in;
	const char *wrong = check_card(e, saved);

	for (unsigned i = 0; i < E1000_TX_QUEUES && wrong == NULL; i++) {
		const struct e1000_tx_saved *tx = &saved->tx[i];

		if (!saved_is_bool(tx->begun) || !saved_is_zero(tx->zero, sizeof(tx->zero))) {
			wrong = "a packet has neither begun nor not";
		}
	}
	if (wrong == NULL) {
		wrong = check_registers(e, saved);
	}
	if (wrong == NULL) {
		wrong = check_irq(saved);
	}
	return wrong != NULL ? wrong : pci_device_check(&e->pci, &saved->pci);
}

/* --- loading --- */

static void load_rom(struct e1000_rom *r, const struct e1000_rom_saved *in)
{
	r->in = in->in;
	r->position = in->position;
	r->in_count = in->in_count;
	r->reading = in->reading != 0;
	r->out = in->out != 0;
}

static void load_delay(const struct e1000 *e, struct e1000_delay *d,
		       const struct e1000_delay_saved *in)
{
	*d = (struct e1000_delay){
		.waits = in->waits != 0,
		.due = vtime_of_loaded(e->time, in->due),
		.limit = vtime_of_loaded(e->time, in->limit),
	};
}

static void load_irq(struct e1000 *e, const struct e1000_irq_saved *in)
{
	struct e1000_irq *irq = &e->state.irq;

	irq->line = in->line != 0;
	irq->told = in->told;
	irq->line_again = vtime_of_loaded(e->time, in->line_again);
	for (unsigned i = 0; i < ARRAY_SIZE(irq->again); i++) {
		irq->again[i] = vtime_of_loaded(e->time, in->again[i]);
	}
	load_delay(e, &irq->rx, &in->rx);
	load_delay(e, &irq->tx, &in->tx);
	irq->armed = vtime_of_loaded(e->time, in->armed);
	vtimer_arm(&e->timer, irq->armed);
}

/* Guest time that was converted may round to just before `since`: it never runs backwards. */
static void load_clock(struct e1000 *e, const struct e1000_clock_saved *in)
{
	struct e1000_clock *c = &e->state.clock;

	*c = (struct e1000_clock){
		.time = in->time,
		.since = min_u64(in->since, vtime_now_ns(e->time)),
		.high = in->high,
	};
	memcpy(c->reg, in->reg, sizeof(c->reg));
}

static void load_transmit(struct e1000 *e, const struct e1000_saved *in)
{
	e1000_reset_transmit(e);
	for (unsigned i = 0; i < E1000_TX_QUEUES; i++) {
		struct e1000_tx_queue *q = &e->state.tx[i];

		memcpy(q->context, in->tx[i].context, sizeof(q->context));
		q->begun = in->tx[i].begun != 0;
		q->bad = q->begun;
	}
}

static void load(void *dev, const void *in)
{
	struct e1000 *e = dev;
	const struct e1000_saved *saved = in;

	lock_acquire(&e->lock);
	memcpy(e->state.reg, saved->reg, sizeof(e->state.reg));
	memcpy(e->state.phy, saved->phy, sizeof(e->state.phy));
	load_rom(&e->state.rom, &saved->rom);
	load_irq(e, &saved->irq);
	load_clock(e, &saved->clock);
	load_transmit(e, saved);
	e->state.io_address = saved->io_address;
	e->state.link = saved->link != 0;
	e1000_update_filter(e);
	e1000_update_open(e);
	e1000_drop_received(e);
	atomic_store(&e->missed, 0);
	lock_release(&e->lock);
	pci_device_load(&e->pci, &saved->pci);
	e1000_ask(e);
}

static void reset(void *dev)
{
	pci_device_reset(&((struct e1000 *)dev)->pci);
}

#define OPS(model, letters) \
	{ \
		.name = (model), .kind = (letters), .version = E1000_SAVED_VERSION, \
		.bytes = sizeof(struct e1000_saved), .save = save, .check = check, .load = load, \
		.reset = reset, \
	}

const struct saved_ops e1000_saved_ops[] = {
	[E1000_82540EM] = OPS("e1000", SAVED_KIND('E', '1', 'K', ' ')),
	[E1000_82574L] = OPS("e1000e", SAVED_KIND('E', '1', 'K', 'E')),
};
