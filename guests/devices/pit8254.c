/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254: ports, latches, and interrupts of channel 0. What a counter does is in pit_channel.c.
 */
#include "guests/devices/pit8254.h"

#include "guests/devices/bytewise.h"
#include "guests/devices/pit_channel.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"

#define CONTROL_PORT 3u
#define CONTROL_SELECT MASK(7, 6)
#define SELECT_READ_BACK 3u
#define READ_BACK_NO_COUNT 0x20u
#define READ_BACK_NO_STATUS 0x10u

#define PORT_B_GATE 0x01u
#define PORT_B_WRITABLE 0x0fu
#define PORT_B_REFRESH 0x10u
#define PORT_B_OUT2 0x20u
/* DRAM refresh, which toggles bit 4 of port 0x61: every 18 cycles. */
#define REFRESH_CYCLES 18u

/* Interrupts of channel 0 closer than this (20 us) are merged. */
#define MERGE_CYCLES 24u

static struct pit8254 *to_pit(struct vdev *dev)
{
	return container_of(dev, struct pit8254, dev);
}

static uint64_t cycles_at(uint64_t tick)
{
	return clock_muldiv(tick, PIT_HZ, clock_hz());
}

static uint64_t cycles_now(const struct pit8254 *p)
{
	return cycles_at(vtime_now(p->time));
}

/* The first guest tick at which `cycle` has begun, or the one after. */
static uint64_t tick_of(uint64_t cycle)
{
	uint64_t tick = clock_muldiv(cycle, clock_hz(), PIT_HZ);

	return tick < TIMER_NEVER - 1 ? tick + 1 : TIMER_NEVER;
}

/* --- interrupts --- */

static void drive_irq0(struct pit8254 *p, bool level)
{
	if (level != p->irq_level) {
		p->irq_level = level;
		irq_line_set(&p->irq0, level);
	}
}

static void pulse_irq0(struct pit8254 *p)
{
	drive_irq0(p, false);
	drive_irq0(p, true);
}

/* Arms for the next edge, or earlier to make up for what is owed. */
static void arm(struct pit8254 *p, uint64_t now, bool delivered)
{
	uint64_t cycle = p->edge;

	if (p->owed > 0 && delivered) {
		uint64_t step = p->channels[0].count / PIT_CATCH_UP;

		cycle = min_u64(cycle, now + max_u64(step, MERGE_CYCLES));
	}
	vtimer_arm(&p->timer, cycle == UINT64_MAX ? TIMER_NEVER : tick_of(cycle));
}

/* Delivers one tick of those owed, unless the last one still waits. */
static bool deliver_owed(struct pit8254 *p)
{
	if (p->owed == 0 || (p->waiting != NULL && p->waiting(p->waiting_ctx))) {
		return false;
	}
	p->owed--;
	pulse_irq0(p);
	return true;
}

/* Takes the edges of OUT 0 up to `now`. */
static void take_edges(struct pit8254 *p, uint64_t now)
{
	struct pit_channel *c = &p->channels[0];
	uint32_t period = c->count;

	if (!pit_channel_periodic(c)) {
		pulse_irq0(p);
	} else if (period < MERGE_CYCLES) {
		p->owed = 1;
	} else {
		uint64_t passed = 1 + (now - p->edge) / period;

		p->owed = (unsigned)min_u64(p->owed + passed, PIT_OWED_MAX);
	}
	pit_channel_sync(c, now);
	p->edge = pit_channel_next_rise(c, now);
	if (pit_channel_periodic(c) && period < MERGE_CYCLES) {
		p->edge = max_u64(p->edge, now + MERGE_CYCLES);
	}
}

/* Brings interrupts and counters up to date; returns the cycle. */
static uint64_t sync(struct pit8254 *p)
{
	uint64_t now = cycles_now(p);

	if (p->edge <= now) {
		take_edges(p, now);
		arm(p, now, deliver_owed(p));
	}
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		pit_channel_sync(&p->channels[i], now);
	}
	return now;
}

static void timer_fired(struct vtimer *timer)
{
	struct pit8254 *p = container_of(timer, struct pit8254, timer);
	uint64_t now;

	lock_acquire(&p->dev.lock);
	now = cycles_now(p);
	if (p->edge <= now) {
		take_edges(p, now);
	}
	arm(p, now, deliver_owed(p));
	lock_release(&p->dev.lock);
}

/* Channel 0 was reprogrammed at `now`: its line and its next edge are new. */
static void channel0_changed(struct pit8254 *p, uint64_t now)
{
	const struct pit_channel *c = &p->channels[0];

	p->owed = 0;
	drive_irq0(p, pit_channel_out(c, now));
	p->edge = pit_channel_next_rise(c, now);
	arm(p, now, false);
}

/* --- ports --- */

static void read_back(struct pit8254 *p, uint8_t value, uint64_t now)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		struct pit_channel *c = &p->channels[i];

		if ((value & BIT32(i + 1)) == 0) {
			continue;
		}
		if ((value & READ_BACK_NO_COUNT) == 0) {
			pit_channel_latch_count(c, now);
		}
		if ((value & READ_BACK_NO_STATUS) == 0) {
			pit_channel_latch_status(c, now);
		}
	}
}

static void write_control(struct pit8254 *p, uint8_t value, uint64_t now)
{
	unsigned select = (unsigned)bits_get(value, CONTROL_SELECT);

	if (select == SELECT_READ_BACK) {
		read_back(p, value, now);
	} else if ((value & PIT_CONTROL_ACCESS) == 0) {
		pit_channel_latch_count(&p->channels[select], now);
	} else {
		pit_channel_control(&p->channels[select], value, now);
		if (select == 0) {
			channel0_changed(p, now);
		}
	}
}

static uint8_t read_port_b(const struct pit8254 *p, uint64_t now)
{
	uint8_t value = p->port_b;

	value |= (now / REFRESH_CYCLES & 1) != 0 ? PORT_B_REFRESH : 0;
	value |= pit_channel_out(&p->channels[2], now) ? PORT_B_OUT2 : 0;
	return value;
}

static uint8_t read_port(struct vdev *dev, uint64_t port)
{
	struct pit8254 *p = to_pit(dev);
	uint64_t now = sync(p);

	if (port == PIT_GATE_PORT) {
		return read_port_b(p, now);
	}
	if (port - PIT_PORT >= PIT_CHANNELS) {
		vdev_lacks(dev, LACKS_READ, port); /* the control word cannot be read */
		return 0xff;
	}
	return pit_channel_read(&p->channels[port - PIT_PORT], now);
}

static void write_port(struct vdev *dev, uint64_t port, uint8_t value)
{
	struct pit8254 *p = to_pit(dev);
	uint64_t now = sync(p);

	if (port == PIT_GATE_PORT) {
		p->port_b = value & PORT_B_WRITABLE;
		pit_channel_gate(&p->channels[2], (value & PORT_B_GATE) != 0, now);
	} else if (port == PIT_PORT + CONTROL_PORT) {
		write_control(p, value, now);
	} else if (port - PIT_PORT < PIT_CHANNELS) {
		pit_channel_write(&p->channels[port - PIT_PORT], value, now);
		if (port == PIT_PORT) {
			channel0_changed(p, now);
		}
	}
}

/* --- sleep between looks --- */

/* Nobody sleeps on when what the sleep was reckoned from is gone: the vCPU looks again. */
static void end_rest(struct pit8254 *p)
{
	if (p->rests) {
		p->rests = false;
		vtimer_cancel(&p->rested);
		p->rest.rested(p->rest.ctx, p->resting);
	}
}

static void rest_over(struct vtimer *timer)
{
	struct pit8254 *p = container_of(timer, struct pit8254, rested);

	lock_acquire(&p->dev.lock);
	end_rest(p);
	lock_release(&p->dev.lock);
}

/* Behind a look at port B; what it found was right, and stays so until the sleep is over. */
static void rest(struct pit8254 *p, unsigned vcpu)
{
	const struct pit_channel *c = &p->channels[2];
	uint64_t part = c->count / PIT_REST_PART;
	uint64_t now;
	uint64_t rise;

	if (p->rest.rest == NULL || part < PIT_REST_CYCLES_MIN || pit_channel_periodic(c) ||
	    p->rests) {
		return;
	}
	now = sync(p);
	if (pit_channel_out(c, now)) {
		return;
	}
	rise = pit_channel_next_rise(c, now);
	if (rise != UINT64_MAX) {
		p->rests = true;
		p->resting = vcpu;
		vtimer_arm(&p->rested, tick_of(min_u64(now + part, rise)));
		p->rest.rest(p->rest.ctx, vcpu);
	}
}

static uint64_t pit8254_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_port);
	if (a->addr == PIT_GATE_PORT) {
		rest(to_pit(dev), a->vcpu);
	}
	lock_release(&dev->lock);
	return value;
}

static void pit8254_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_port);
	lock_release(&dev->lock);
}

/* The datasheet leaves the state after power-on open: here channels 0 and 1 count, but 0 interrupts
 * only once it is programmed, as nobody may ever do that. */
static void pit8254_reset(struct vdev *dev)
{
	struct pit8254 *p = to_pit(dev);
	uint64_t now = cycles_now(p);

	lock_acquire(&dev->lock);
	vtimer_cancel(&p->timer);
	end_rest(p);
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		/* Gates 0 and 1 are tied high, gate 2 follows port 0x61. */
		pit_channel_init(&p->channels[i], i != 2, now);
	}
	p->port_b = 0;
	p->edge = UINT64_MAX;
	p->owed = 0;
	drive_irq0(p, false);
	lock_release(&dev->lock);
}

static void pit8254_fini(struct vdev *dev)
{
	struct pit8254 *p = to_pit(dev);

	vtimer_cancel(&p->timer);
	vtimer_cancel(&p->rested);
}

static const struct vdev_ops pit8254_ops = {
	.name = "8254",
	.read = pit8254_read,
	.write = pit8254_write,
	.reset = pit8254_reset,
	.fini = pit8254_fini,
};

/* --- saved state --- */

static void save(void *dev, void *out)
{
	struct pit8254 *p = dev;
	struct pit8254_saved *saved = out;

	lock_acquire(&p->dev.lock);
	*saved = (struct pit8254_saved){
		.edge = p->edge,
		.deadline = vtimer_deadline(&p->timer),
		.owed = p->owed,
		.irq_level = p->irq_level,
		.port_b = p->port_b,
	};
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		pit_channel_save(&p->channels[i], &saved->channels[i]);
	}
	lock_release(&p->dev.lock);
}

/* Any edge goes with any deadline: a timer that finds no edge is over, or owes some. */
static const char *check(void *dev, const void *in)
{
	const struct pit8254_saved *saved = in;
	const char *wrong = NULL;

	(void)dev;
	for (unsigned i = 0; i < PIT_CHANNELS && wrong == NULL; i++) {
		wrong = pit_channel_check(&saved->channels[i]);
	}
	if (wrong != NULL) {
		return wrong;
	}
	if (saved->owed > PIT_OWED_MAX) {
		return "at most 32 ticks are owed";
	}
	if (!saved_is_bool(saved->irq_level) || (saved->port_b & ~PORT_B_WRITABLE) != 0 ||
	    !saved_is_zero(saved->zero, sizeof(saved->zero))) {
		return "port B has 4 bits, the line 1";
	}
	return NULL;
}

static bool gate_of(unsigned channel, uint8_t port_b)
{
	return channel != 2 || (port_b & PORT_B_GATE) != 0;
}

static void load(void *dev, const void *in)
{
	struct pit8254 *p = dev;
	const struct pit8254_saved *saved = in;

	lock_acquire(&p->dev.lock);
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		pit_channel_load(&p->channels[i], &saved->channels[i], gate_of(i, saved->port_b));
	}
	p->edge = saved->edge;
	p->owed = saved->owed;
	p->port_b = saved->port_b;
	vtimer_arm(&p->timer, vtime_of_loaded(p->time, saved->deadline));
	end_rest(p);
	drive_irq0(p, saved->irq_level != 0);
	lock_release(&p->dev.lock);
}

static void saved_reset_device(void *dev)
{
	pit8254_reset(&((struct pit8254 *)dev)->dev);
}

static const struct saved_ops pit8254_saved_ops = {
	.name = "8254",
	.kind = SAVED_KIND('P', 'I', 'T', ' '),
	.version = PIT_SAVED_VERSION,
	.bytes = sizeof(struct pit8254_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = saved_reset_device,
};

void pit8254_init(struct pit8254 *p, struct vtime *time, const struct irq_line *irq0)
{
	*p = (struct pit8254){.dev = {.ops = &pit8254_ops}, .time = time, .irq0 = *irq0};
	vtimer_init(&p->timer, time, timer_fired);
	vtimer_init(&p->rested, time, rest_over);
	saved_device_init(&p->saved, &pit8254_saved_ops, p);
	pit8254_reset(&p->dev);
}

void pit8254_set_waiting(struct pit8254 *p, bool (*waiting)(void *ctx), void *ctx)
{
	p->waiting = waiting;
	p->waiting_ctx = ctx;
}

void pit8254_set_rest(struct pit8254 *p, const struct pit_rest *rest)
{
	p->rest = *rest;
}
