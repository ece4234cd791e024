/* SPDX-License-Identifier: Apache-2.0 */
/* The HPET: registers, matches, interrupts. Section titles are those of the HPET specification. */
#include "guests/devices/hpet.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"

#define REG_CAPABILITIES 0x000u
#define REG_CONFIG 0x010u
#define REG_STATUS 0x020u
#define REG_COUNTER 0x0f0u
#define REG_TIMERS 0x100u
#define TIMER_STRIDE 0x20u
#define TIMER_CONFIG 0x00u
#define TIMER_COMPARATOR 0x08u
#define TIMER_MESSAGE 0x10u

#define CONFIG_WRITABLE (HPET_ENABLE | HPET_LEGACY)
#define TN_WRITABLE \
	(HPET_TN_LEVEL | HPET_TN_INTERRUPT | HPET_TN_PERIODIC | HPET_TN_SET_VALUE | HPET_TN_32 | \
	 HPET_TN_ROUTE | HPET_TN_MESSAGE)
/* Periodic, 64 bits, messages; what its line may be. */
#define TN_CAPABILITIES ((uint64_t)HPET_ROUTES << 32 | 0x8030u)

#define NO_MATCH UINT64_MAX

/* --- time --- */

static uint64_t cycles_now(const struct hpet *h)
{
	return clock_muldiv(vtime_now(h->cfg.time), HPET_HZ, clock_hz());
}

/* The first guest tick at which `cycle` has begun, or the one after. */
static uint64_t tick_of(uint64_t cycle)
{
	uint64_t tick = clock_muldiv(cycle, clock_hz(), HPET_HZ);

	return tick < TIMER_NEVER - 1 ? tick + 1 : TIMER_NEVER;
}

static bool is_enabled(const struct hpet *h)
{
	return (h->state.config & HPET_ENABLE) != 0;
}

static uint64_t counter_at(const struct hpet *h, uint64_t now)
{
	return h->state.counter + (is_enabled(h) ? now - h->state.since : 0);
}

/* The counter goes on from what it is, or from `value`. */
static void set_counter(struct hpet *h, uint64_t value, uint64_t now)
{
	h->state.counter = value;
	h->state.since = now;
}

static uint64_t mask_of(const struct hpet_timer_state *s)
{
	return (s->config & HPET_TN_32) != 0 ? UINT32_MAX : UINT64_MAX;
}

/* --- interrupts --- */

static unsigned index_of(const struct hpet_timer *t)
{
	return (unsigned)(t - t->owner->timers);
}

static struct hpet_timer_state *state_of(struct hpet_timer *t)
{
	return &t->owner->state.timers[index_of(t)];
}

/* Several timers may have one line. */
static bool is_held_by_other(const struct hpet_timer *t)
{
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		const struct hpet_timer *other = &t->owner->timers[i];

		if (other != t && other->asserted && !other->legacy && other->route == t->route) {
			return true;
		}
	}
	return false;
}

static void drive(struct hpet_timer *t, bool level)
{
	const struct hpet_config *cfg = &t->owner->cfg;

	t->asserted = level;
	if (t->legacy) {
		cfg->legacy(cfg->ctx, t->route, level);
	} else if (!is_held_by_other(t)) {
		cfg->gsi(cfg->ctx, t->route, level);
	}
}

/* "LegacyReplacement Route", "Timer N Interrupt Route"; false: it has no line. */
static bool find_line(struct hpet_timer *t)
{
	static const unsigned irqs[] = {HPET_LEGACY_IRQ0, HPET_LEGACY_IRQ8};
	uint64_t config = state_of(t)->config;

	if ((config & HPET_TN_MESSAGE) != 0) {
		return false;
	}
	t->legacy = (t->owner->state.config & HPET_LEGACY) != 0 && index_of(t) < ARRAY_SIZE(irqs);
	t->route = t->legacy ? irqs[index_of(t)] : (unsigned)bits_get(config, HPET_TN_ROUTE);
	return t->legacy || (HPET_ROUTES & BIT32(t->route)) != 0;
}

/* The line of a timer with level interrupts is what its status and its enable bit say. */
static void update_line(struct hpet_timer *t)
{
	const uint64_t wanted = HPET_TN_LEVEL | HPET_TN_INTERRUPT;
	bool active = (state_of(t)->config & wanted) == wanted && is_enabled(t->owner) &&
		      (t->owner->state.status & BIT(index_of(t))) != 0;

	if (t->asserted) {
		bool legacy = t->legacy;
		unsigned route = t->route;

		if (active && find_line(t) && t->legacy == legacy && t->route == route) {
			return;
		}
		t->legacy = legacy;
		t->route = route;
		drive(t, false);
	}
	if (active && find_line(t)) {
		drive(t, true);
	}
}

static void interrupt(struct hpet_timer *t)
{
	const struct hpet_config *cfg = &t->owner->cfg;
	const struct hpet_timer_state *s = state_of(t);

	if ((s->config & HPET_TN_LEVEL) != 0) {
		t->owner->state.status |= BIT(index_of(t));
		update_line(t);
	} else if ((s->config & HPET_TN_INTERRUPT) == 0) {
		return;
	} else if ((s->config & HPET_TN_MESSAGE) != 0) {
		cfg->message(cfg->ctx, s->message >> 32, (uint32_t)s->message);
	} else if (find_line(t)) {
		drive(t, true);
		drive(t, false);
	}
}

/* --- matches --- */

static bool is_periodic(const struct hpet_timer_state *s)
{
	return (s->config & HPET_TN_PERIODIC) != 0 && (s->period & mask_of(s)) != 0;
}

static void arm(struct hpet_timer *t)
{
	uint64_t cycle = max_u64(t->match, t->quiet);

	vtimer_arm(&t->timer, t->match == NO_MATCH ? TIMER_NEVER : tick_of(cycle));
}

/* The next match behind `now`: the whole way round when the comparator is where the counter is. */
static void find_match(struct hpet_timer *t, uint64_t now)
{
	const struct hpet_timer_state *s = state_of(t);
	uint64_t mask = mask_of(s);
	uint64_t left = (s->comparator - counter_at(t->owner, now)) & mask;

	if (left == 0 && mask == UINT32_MAX) {
		left = mask + 1;
	}
	t->match =
		is_enabled(t->owner) && left != 0 && left < NO_MATCH - now ? now + left : NO_MATCH;
}

/* The comparator of a periodic timer is that of the next match, whoever took the last ones. */
static void take_match(struct hpet_timer *t, uint64_t now)
{
	struct hpet_timer_state *s = state_of(t);

	if (is_periodic(s)) {
		uint64_t period = s->period & mask_of(s);
		uint64_t passed = 1 + (now - t->match) / period;

		s->comparator = (s->comparator + passed * period) & mask_of(s);
	}
	find_match(t, now);
	if (now >= t->quiet) {
		t->quiet = now + HPET_MERGE_CYCLES;
		interrupt(t);
	}
}

static void sync_timer(struct hpet_timer *t, uint64_t now)
{
	if (t->match <= now) {
		take_match(t, now);
		arm(t);
	}
}

/* Brings all up to date; returns the cycle. */
static uint64_t sync(struct hpet *h)
{
	uint64_t now = cycles_now(h);

	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		sync_timer(&h->timers[i], now);
	}
	return now;
}

static void timer_fired(struct vtimer *timer)
{
	struct hpet_timer *t = container_of(timer, struct hpet_timer, timer);

	lock_acquire(&t->owner->dev.lock);
	sync_timer(t, cycles_now(t->owner));
	lock_release(&t->owner->dev.lock);
}

/* What decides when it matches has changed. */
static void restart(struct hpet_timer *t, uint64_t now)
{
	t->quiet = 0;
	find_match(t, now);
	arm(t);
	update_line(t);
}

static void restart_all(struct hpet *h, uint64_t now)
{
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		restart(&h->timers[i], now);
	}
}

/* --- registers --- */

static uint64_t read_timer(const struct hpet_timer_state *s, unsigned reg)
{
	switch (reg) {
	case TIMER_CONFIG:
		return (s->config & ~(uint64_t)HPET_TN_SET_VALUE) | TN_CAPABILITIES;
	case TIMER_COMPARATOR:
		return s->comparator & mask_of(s);
	case TIMER_MESSAGE:
		return s->message;
	default:
		return 0;
	}
}

/* Reserved registers are 0. */
static uint64_t read_register(const struct hpet *h, unsigned reg, uint64_t now)
{
	unsigned n = (reg - REG_TIMERS) / TIMER_STRIDE;

	switch (reg) {
	case REG_CAPABILITIES:
		return (uint64_t)HPET_PERIOD_FS << 32 | HPET_ID;
	case REG_CONFIG:
		return h->state.config;
	case REG_STATUS:
		return h->state.status;
	case REG_COUNTER:
		return counter_at(h, now);
	default:
		break;
	}
	return reg >= REG_TIMERS && n < HPET_TIMERS
		       ? read_timer(&h->state.timers[n], reg % TIMER_STRIDE)
		       : 0;
}

static void write_config(struct hpet *h, uint64_t value, uint64_t now)
{
	bool was_legacy = (h->state.config & HPET_LEGACY) != 0;
	bool legacy = (value & HPET_LEGACY) != 0;

	set_counter(h, counter_at(h, now), now);
	h->state.config = value & CONFIG_WRITABLE;
	/* First nobody has the two lines, then the other one. */
	if (was_legacy && !legacy) {
		restart_all(h, now);
		h->cfg.replace(h->cfg.ctx, false);
	} else if (legacy && !was_legacy) {
		h->cfg.replace(h->cfg.ctx, true);
		restart_all(h, now);
	} else {
		restart_all(h, now);
	}
}

static void write_status(struct hpet *h, uint64_t ones)
{
	h->state.status &= ~ones;
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		update_line(&h->timers[i]);
	}
}

/*
 * "Timer N Comparator": a periodic timer takes a write as its period, and as its comparator only if
 * it was told so just before.
 */
static void write_comparator(struct hpet_timer *t, uint64_t value, uint64_t mask, uint64_t now)
{
	struct hpet_timer_state *s = state_of(t);
	bool periodic = (s->config & HPET_TN_PERIODIC) != 0;

	value &= mask;
	if (periodic) {
		s->period = (s->period & ~mask) | value;
	}
	if (!periodic || (s->config & HPET_TN_SET_VALUE) != 0) {
		s->comparator = (s->comparator & ~mask) | value;
	}
	s->config &= ~(uint64_t)HPET_TN_SET_VALUE;
	restart(t, now);
}

/* A line that it cannot have reads back as another; a timer that turns to edges has no status. */
static void write_timer_config(struct hpet_timer *t, uint64_t value, uint64_t now)
{
	if ((HPET_ROUTES & BIT32(bits_get(value, HPET_TN_ROUTE))) == 0) {
		value &= ~(uint64_t)HPET_TN_ROUTE;
	}
	state_of(t)->config = value & TN_WRITABLE;
	if ((value & HPET_TN_LEVEL) == 0) {
		t->owner->state.status &= ~BIT(index_of(t));
	}
	restart(t, now);
}

/* The bits of `value` under `mask`. */
static void write_timer(struct hpet_timer *t, unsigned reg, uint64_t value, uint64_t mask)
{
	uint64_t now = cycles_now(t->owner);
	struct hpet_timer_state *s = state_of(t);

	switch (reg) {
	case TIMER_CONFIG:
		write_timer_config(t, (s->config & ~mask) | (value & mask), now);
		break;
	case TIMER_COMPARATOR:
		write_comparator(t, value, mask, now);
		break;
	case TIMER_MESSAGE:
		s->message = (s->message & ~mask) | (value & mask);
		break;
	default:
		break;
	}
}

static void write_register(struct hpet *h, unsigned reg, uint64_t value, uint64_t mask)
{
	uint64_t now = sync(h);
	uint64_t old = read_register(h, reg, now);
	unsigned n = (reg - REG_TIMERS) / TIMER_STRIDE;

	switch (reg) {
	case REG_CONFIG:
		write_config(h, (old & ~mask) | (value & mask), now);
		return;
	case REG_STATUS:
		write_status(h, value & mask);
		return;
	case REG_COUNTER:
		set_counter(h, (old & ~mask) | (value & mask), now);
		restart_all(h, now);
		return;
	default:
		break;
	}
	if (reg >= REG_TIMERS && n < HPET_TIMERS) {
		write_timer(&h->timers[n], reg % TIMER_STRIDE, value, mask);
	}
}

/* --- accesses --- */

/* Whether the specification has a register there, or words that it keeps for one. */
static bool is_register(uint64_t reg)
{
	if (reg >= REG_TIMERS) {
		return (reg - REG_TIMERS) / TIMER_STRIDE < HPET_TIMERS;
	}
	return reg == REG_CAPABILITIES || reg == REG_CONFIG || reg == REG_STATUS ||
	       reg == REG_COUNTER;
}

/* "Register accesses": of 4 or 8 bytes at multiples of that; others have no effect, and read 0. */
static bool is_proper(const struct vdev_access *a)
{
	return (a->size == 4 || a->size == 8) && is_aligned(a->offset, a->size);
}

static uint64_t hpet_read(struct vdev *dev, const struct vdev_access *a)
{
	struct hpet *h = container_of(dev, struct hpet, dev);
	uint64_t value;

	if (!is_register(align_down(a->offset, 8))) {
		vdev_lacks(dev, LACKS_READ, a->offset);
	}
	if (!is_proper(a)) {
		return 0;
	}
	lock_acquire(&dev->lock);
	value = read_register(h, (unsigned)align_down(a->offset, 8), sync(h));
	lock_release(&dev->lock);
	return value >> (8 * (a->offset % 8));
}

static void hpet_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct hpet *h = container_of(dev, struct hpet, dev);
	unsigned shift = 8 * (unsigned)(a->offset % 8);

	if (!is_register(align_down(a->offset, 8))) {
		vdev_lacks(dev, LACKS_WRITE, a->offset);
	}
	if (!is_proper(a)) {
		return;
	}
	lock_acquire(&dev->lock);
	write_register(h, (unsigned)align_down(a->offset, 8), value << shift,
		       size_mask(a->size) << shift);
	lock_release(&dev->lock);
}

/* All timers stop and let go of their lines, which happens with `config`: 0, or HPET_LEGACY. */
static void power_on(struct hpet *h, uint64_t config)
{
	lock_acquire(&h->dev.lock);
	write_config(h, config, cycles_now(h));
	h->state = (struct hpet_state){0};
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		h->state.timers[i].comparator = UINT64_MAX;
	}
	lock_release(&h->dev.lock);
}

static void hpet_reset(struct vdev *dev)
{
	power_on(container_of(dev, struct hpet, dev), 0);
}

static void hpet_fini(struct vdev *dev)
{
	struct hpet *h = container_of(dev, struct hpet, dev);

	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		vtimer_cancel(&h->timers[i].timer);
	}
}

static const struct vdev_ops hpet_ops = {
	.name = "HPET",
	.read = hpet_read,
	.write = hpet_write,
	.reset = hpet_reset,
	.fini = hpet_fini,
};

/* --- saved state --- */

static void save(void *dev, void *out)
{
	struct hpet *h = dev;
	struct hpet_saved *saved = out;

	lock_acquire(&h->dev.lock);
	saved->config = h->state.config;
	saved->status = h->state.status;
	saved->counter = h->state.counter;
	saved->since = h->state.since;
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		const struct hpet_timer *t = &h->timers[i];

		saved->timers[i] = (struct hpet_timer_saved){
			.state = h->state.timers[i],
			.match = t->match,
			.quiet = t->quiet,
			.route = (uint16_t)(t->asserted ? t->route : 0),
			.asserted = t->asserted,
			.legacy = t->asserted && t->legacy,
		};
	}
	lock_release(&h->dev.lock);
}

/* Whether it can hold the line that it says it does. */
static bool line_is_sound(const struct hpet_timer_saved *in, unsigned index)
{
	static const unsigned irqs[] = {HPET_LEGACY_IRQ0, HPET_LEGACY_IRQ8};

	if (!in->asserted) {
		return in->route == 0 && in->legacy == 0;
	}
	if (in->legacy != 0) {
		return index < ARRAY_SIZE(irqs) && in->route == irqs[index];
	}
	return in->route < 32 && (HPET_ROUTES & BIT32(in->route)) != 0;
}

static const char *check_timer(const struct hpet_timer_saved *in, unsigned index)
{
	unsigned route = (unsigned)bits_get(in->state.config, HPET_TN_ROUTE);

	if ((in->state.config & ~(uint64_t)TN_WRITABLE) != 0 ||
	    (route != 0 && (HPET_ROUTES & BIT32(route)) == 0)) {
		return "a timer is configured as it cannot be";
	}
	if (!saved_is_bool(in->asserted) || !saved_is_bool(in->legacy) ||
	    !saved_is_zero(in->zero, sizeof(in->zero)) || !line_is_sound(in, index)) {
		return "a timer asserts a line that it cannot have";
	}
	return NULL;
}

static const char *check(void *dev, const void *in)
{
	const struct hpet_saved *saved = in;
	const char *wrong = NULL;

	(void)dev;
	if ((saved->config & ~(uint64_t)CONFIG_WRITABLE) != 0 ||
	    saved->status >> HPET_TIMERS != 0) {
		return "a register has bits that it cannot have";
	}
	for (unsigned i = 0; i < HPET_TIMERS && wrong == NULL; i++) {
		wrong = check_timer(&saved->timers[i], i);
	}
	return wrong;
}

/* A line that stays asserted is not told, as that would be an edge. */
static void load_line(struct hpet_timer *t, const struct hpet_timer_saved *in)
{
	bool same = in->asserted != 0 && in->route == t->route && (in->legacy != 0) == t->legacy;

	if (t->asserted && same) {
		return;
	}
	if (t->asserted) {
		drive(t, false);
	}
	t->route = in->route;
	t->legacy = in->legacy != 0;
	if (in->asserted != 0) {
		drive(t, true);
	}
}

static void load(void *dev, const void *in)
{
	struct hpet *h = dev;
	const struct hpet_saved *saved = in;

	lock_acquire(&h->dev.lock);
	h->state.config = saved->config;
	h->state.status = saved->status;
	set_counter(h, saved->counter, saved->since);
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		struct hpet_timer *t = &h->timers[i];

		h->state.timers[i] = saved->timers[i].state;
		t->match = saved->timers[i].match;
		t->quiet = saved->timers[i].quiet;
		arm(t);
		load_line(t, &saved->timers[i]);
	}
	lock_release(&h->dev.lock);
}

/*
 * Who has the two lines, the board's lines know by themselves: a level that the 8254 got back here
 * would be an edge at controllers that have not been reset yet.
 */
static void reset_saved(void *dev)
{
	struct hpet *h = dev;

	power_on(h, h->state.config & HPET_LEGACY);
}

static const struct saved_ops saved_ops = {
	.name = "HPET",
	.kind = SAVED_KIND('H', 'P', 'E', 'T'),
	.version = HPET_SAVED_VERSION,
	.bytes = sizeof(struct hpet_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void hpet_init(struct hpet *h, const struct hpet_config *cfg)
{
	*h = (struct hpet){.dev.ops = &hpet_ops, .cfg = *cfg};
	saved_device_init(&h->saved, &saved_ops, h);
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		h->timers[i].owner = h;
		vtimer_init(&h->timers[i].timer, cfg->time, timer_fired);
	}
	hpet_reset(&h->dev);
}
