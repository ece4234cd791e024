/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of the e1000 model: causes, masks, throttles, and the delays that make one cause of
 * several frames. Sources: 8254x manual, "Interrupt Cause Read Register", "Interrupt Throttling
 * Register", "Receive Interrupts", "Transmit Interrupt Delay Value"; 82574 datasheet, "Interrupts",
 * "Interrupt Cause Read Register - ICR", "Interrupt Auto Clear", "Interrupt Vector Allocation
 * Registers".
 *
 *	event --delay--> ICR & IMS --ITR--> line, or one MSI while it would be up
 *				   --IVAR, EITR--> MSI-X message of a vector
 *
 * One timer stands for all of it: it is armed for the next moment at which something would be told.
 * A cause whose delay is over before the throttle lets it through needs none of its own.
 */
#include "guests/devices/e1000_internal.h"

#include "hv/api/clock.h"

#define CAUSES_82540EM 0x0001ffffu
#define CAUSES_82574L 0x01f7ffffu
#define RECEIVED (E1000_ICR_RXT0 | E1000_ICR_RXQ0)
#define OTHER_CAUSES (E1000_ICR_LSC | E1000_ICR_RXO | E1000_ICR_MDAC | E1000_ICR_SRPD)
/* Causes that MSI-X knows: a field of IVAR each. */
#define MESSAGE_CAUSES 5u
#define IVAR_FIELD_BITS 4u

static uint64_t throttle(const struct e1000 *e, unsigned reg)
{
	return clock_ns_to_ticks((uint64_t)e1000_get(e, reg) * E1000_ITR_NS);
}

static bool by_message(const struct e1000 *e)
{
	return e->kind == E1000_82574L && pci_device_uses_msix(&e->pci);
}

/* What the driver wants to hear of. */
static uint32_t wanted(const struct e1000 *e)
{
	return e1000_get(e, E1000_ICR) & e1000_get(e, E1000_IMS);
}

static void add_causes(struct e1000 *e, uint32_t causes)
{
	if ((causes & OTHER_CAUSES) != 0) {
		causes |= E1000_ICR_OTHER;
	}
	*e1000_reg(e, E1000_ICR) |=
		causes & (e->kind == E1000_82574L ? CAUSES_82574L : CAUSES_82540EM);
}

/* --- telling; each returns when to look again, TIMER_NEVER if nothing waits --- */

static void set_line(struct e1000 *e, bool level)
{
	if (e->state.irq.line != level) {
		e->state.irq.line = level;
		pci_device_intx(&e->pci, level);
	}
}

static uint64_t tell_by_line(struct e1000 *e, uint64_t now)
{
	struct e1000_irq *irq = &e->state.irq;

	if (wanted(e) == 0) {
		set_line(e, false);
		return TIMER_NEVER;
	}
	if (irq->line) {
		return TIMER_NEVER;
	}
	if (now < irq->line_again) {
		return irq->line_again;
	}
	irq->line_again = now + throttle(e, E1000_ITR);
	e1000_count(e, E1000_IAC, 1);
	set_line(e, true);
	return TIMER_NEVER;
}

/* The causes that are sent to `vector`. */
static uint32_t causes_of(const struct e1000 *e, unsigned vector)
{
	uint32_t ivar = e1000_get(e, E1000_IVAR);
	uint32_t causes = 0;

	for (unsigned i = 0; i < MESSAGE_CAUSES; i++) {
		uint32_t field = ivar >> (i * IVAR_FIELD_BITS);

		if ((field & E1000_IVAR_VALID) != 0 && (field & E1000_IVAR_VECTOR) == vector) {
			causes |= E1000_ICR_RXQ0 << i;
		}
	}
	return causes;
}

/* The message goes; what is cleared and masked by itself then is. */
static void send_message(struct e1000 *e, unsigned vector, uint32_t causes)
{
	e->state.irq.told |= causes;
	*e1000_reg(e, E1000_ICR) &= ~(causes & e1000_get(e, E1000_EIAC));
	if ((e1000_get(e, E1000_CTRL_EXT) & E1000_CTRL_EXT_EIAME) != 0) {
		*e1000_reg(e, E1000_IMS) &= ~(causes & e1000_get(e, E1000_IAM));
	}
	e->state.irq.told &= wanted(e);
	e1000_count(e, E1000_IAC, 1);
	pci_device_msix(&e->pci, vector);
}

static uint64_t tell_by_message(struct e1000 *e, uint64_t now)
{
	struct e1000_irq *irq = &e->state.irq;
	uint64_t next = TIMER_NEVER;

	set_line(e, false);
	irq->told &= wanted(e);
	for (unsigned v = 0; v < E1000_VECTORS; v++) {
		uint32_t causes = wanted(e) & ~irq->told & causes_of(e, v);

		if (causes == 0) {
			continue;
		}
		if (now < irq->again[v]) {
			next = min_u64(next, irq->again[v]);
			continue;
		}
		irq->again[v] = now + throttle(e, E1000_EITR0 + 4 * v);
		send_message(e, v, causes);
	}
	return next;
}

/* --- delays --- */

static void put_off(struct e1000 *e, struct e1000_delay *d, unsigned packet, unsigned absolute)
{
	uint64_t now = vtime_now(e->time);
	uint64_t limit = (uint64_t)e1000_get(e, absolute) * E1000_DELAY_NS;

	if (!d->waits) {
		d->waits = true;
		d->limit = limit != 0 ? now + clock_ns_to_ticks(limit) : UINT64_MAX;
	}
	d->due = min_u64(d->limit,
			 now + clock_ns_to_ticks((uint64_t)e1000_get(e, packet) * E1000_DELAY_NS));
}

/* Delayed causes that are due by `now`. */
static void end_delays(struct e1000 *e, uint64_t now)
{
	struct e1000_irq *irq = &e->state.irq;

	if (irq->rx.waits && irq->rx.due <= now) {
		irq->rx.waits = false;
		add_causes(e, RECEIVED);
	}
	if (irq->tx.waits && irq->tx.due <= now) {
		irq->tx.waits = false;
		add_causes(e, E1000_ICR_TXDW | E1000_ICR_TXQ0);
	}
}

/* When the next delay is over, as far as that could be told then. */
static uint64_t next_delay(const struct e1000 *e)
{
	const struct e1000_irq *irq = &e->state.irq;
	uint64_t next = min_u64(irq->rx.waits ? irq->rx.due : TIMER_NEVER,
				irq->tx.waits ? irq->tx.due : TIMER_NEVER);

	return next == TIMER_NEVER || by_message(e) ? next : max_u64(next, irq->line_again);
}

/* --- for the other files --- */

void e1000_update_interrupts(struct e1000 *e)
{
	uint64_t now = vtime_now(e->time);
	uint64_t next;

	end_delays(e, now);
	next = by_message(e) ? tell_by_message(e, now) : tell_by_line(e, now);
	next = min_u64(next, next_delay(e));
	if (next != e->state.irq.armed) {
		e->state.irq.armed = next;
		vtimer_arm(&e->timer, next);
	}
}

void e1000_raise(struct e1000 *e, uint32_t causes)
{
	add_causes(e, causes);
	e1000_update_interrupts(e);
}

void e1000_raise_received(struct e1000 *e)
{
	if (e1000_get(e, E1000_RDTR) == 0) {
		e1000_raise(e, RECEIVED);
		return;
	}
	put_off(e, &e->state.irq.rx, E1000_RDTR, E1000_RADV);
	e1000_update_interrupts(e);
}

void e1000_raise_sent(struct e1000 *e, unsigned queue, bool may_wait)
{
	if (!may_wait || e1000_get(e, E1000_TIDV) == 0 || queue != 0) {
		e1000_raise(e, E1000_ICR_TXDW | E1000_ICR_TXQ0 << queue);
		return;
	}
	put_off(e, &e->state.irq.tx, E1000_TIDV, E1000_TADV);
	e1000_update_interrupts(e);
}

void e1000_flush_delays(struct e1000 *e)
{
	end_delays(e, UINT64_MAX);
	e1000_update_interrupts(e);
}

/*
 * The 82540EM clears what is read. The 82574L does so only when all is masked or its interrupt is
 * asserted, so that a handler of another device on the line takes nothing away.
 */
uint32_t e1000_read_icr(struct e1000 *e)
{
	uint32_t causes;
	bool asserted;

	end_delays(e, vtime_now(e->time));
	causes = e1000_get(e, E1000_ICR);
	asserted = wanted(e) != 0;
	if (e->kind == E1000_82540EM || asserted || e1000_get(e, E1000_IMS) == 0) {
		e1000_write_icr(e, causes);
	}
	return e->kind == E1000_82574L && asserted ? causes | E1000_ICR_INT_ASSERTED : causes;
}

void e1000_write_icr(struct e1000 *e, uint32_t value)
{
	if ((e1000_get(e, E1000_CTRL_EXT) & E1000_CTRL_EXT_IAME) != 0 && wanted(e) != 0) {
		*e1000_reg(e, E1000_IMS) &= ~e1000_get(e, E1000_IAM);
	}
	*e1000_reg(e, E1000_ICR) &= ~value;
	e1000_update_interrupts(e);
}

void e1000_reset_interrupts(struct e1000 *e)
{
	vtimer_cancel(&e->timer);
	set_line(e, false);
	e->state.irq = (struct e1000_irq){.armed = TIMER_NEVER};
}
