/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The six modes of an 8254 counter. A count that was written is loaded on the next cycle; from
 * there (`start`) the counter's value and OUT follow from the cycles that have passed. N is the
 * count:
 *
 *	mode 0, 1   OUT low for N cycles, then high; the count runs on
 *	mode 2      N cycles, OUT low in the last of each
 *	mode 3      OUT high for (N + 1) / 2 cycles, low for N / 2; counts by two in each half
 *	mode 4, 5   OUT low in cycle N alone; the count runs on
 *
 * Mode 1 and 5 are started by a rising gate, mode 0 and 4 stand while it is low, mode 2 and 3 are
 * reset by it. Source: Intel 8254 datasheet, "Mode Definitions".
 */
#include "guests/devices/pit_channel.h"

#include "hv/base/bits.h"

#define CONTROL_BCD 0x01u
#define CONTROL_MODE MASK(3, 1)
#define CONTROL_ALL 0x3fu
#define CONTROL_SQUARE (PIT_CONTROL_ACCESS | 3u << 1)

#define STATUS_OUT 0x80u
#define STATUS_NULL_COUNT 0x40u

enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };

/* Mode numbers 6 and 7 mean 2 and 3. */
static unsigned mode_of(const struct pit_channel *c)
{
	unsigned mode = (unsigned)bits_get(c->control, CONTROL_MODE);

	return mode > 5 ? mode - 4 : mode;
}

static unsigned access_of(const struct pit_channel *c)
{
	return (unsigned)bits_get(c->control, PIT_CONTROL_ACCESS);
}

/* --- counts as software writes them --- */

static uint32_t modulus(const struct pit_channel *c)
{
	return (c->control & CONTROL_BCD) != 0 ? 10000 : 65536;
}

/* Digits above nine count for what they are. 0 stands for the modulus. */
static uint32_t decode(const struct pit_channel *c, uint16_t value)
{
	uint32_t n = value;

	if ((c->control & CONTROL_BCD) != 0) {
		n = (n & 0xf) + (n >> 4 & 0xf) * 10 + (n >> 8 & 0xf) * 100 + (n >> 12) * 1000;
		n %= 10000;
	}
	return n == 0 ? modulus(c) : n;
}

static uint16_t encode(const struct pit_channel *c, uint32_t n)
{
	n %= modulus(c);
	if ((c->control & CONTROL_BCD) != 0) {
		n = n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 << 12;
	}
	return (uint16_t)n;
}

/* --- counting --- */

/* Whether the counting element was loaded and counts or stands. */
static bool loaded(const struct pit_channel *c, uint64_t now)
{
	return c->phase == PIT_PAUSED || (c->phase == PIT_RUNNING && now >= c->start);
}

static uint64_t elapsed(const struct pit_channel *c, uint64_t now)
{
	if (c->phase == PIT_PAUSED) {
		return c->elapsed;
	}
	return now > c->start ? now - c->start : 0;
}

/* What the counter shows at `now`. */
static uint16_t value_at(const struct pit_channel *c, uint64_t now)
{
	uint64_t e = elapsed(c, now);

	if (!loaded(c, now)) {
		return c->rest;
	}
	switch (mode_of(c)) {
	case 2:
		return encode(c, c->count - (uint32_t)e);
	case 3:
		return encode(c, (c->count & ~1u) - 2 * (uint32_t)e);
	default:
		return encode(c, c->count + modulus(c) - (uint32_t)(e % modulus(c)));
	}
}

/* Mode 3: the length of the half it is in. */
static uint32_t half_length(const struct pit_channel *c)
{
	return c->low_half ? c->count / 2 : c->count - c->count / 2;
}

/* Mode 3: to the next half, which takes a new count if there is one. */
static void next_half(struct pit_channel *c)
{
	c->start += half_length(c);
	c->low_half = !c->low_half;
	c->count = c->next;
	c->has_next = false;
}

void pit_channel_sync(struct pit_channel *c, uint64_t now)
{
	unsigned mode = mode_of(c);

	if (c->phase != PIT_RUNNING || now < c->start || (mode != 2 && mode != 3)) {
		return;
	}
	if (mode == 3 && c->has_next && now - c->start >= half_length(c)) {
		next_half(c);
	} else if (mode == 2 && c->has_next && now - c->start >= c->count) {
		c->start += c->count;
		c->count = c->next;
		c->has_next = false;
	}
	c->start += (now - c->start) / c->count * c->count;
	if (mode == 3 && now - c->start >= half_length(c)) {
		next_half(c);
	}
}

/* Loads the count register on the next cycle. */
static void load(struct pit_channel *c, uint64_t now)
{
	c->rest = value_at(c, now);
	c->count = c->next;
	c->has_next = false;
	c->low_half = false;
	c->start = now + 1;
	c->elapsed = 0;
	c->phase = PIT_RUNNING;
}

/* Stops counting and shows what was reached. */
static void halt(struct pit_channel *c, uint64_t now, enum pit_phase phase)
{
	c->rest = value_at(c, now);
	c->elapsed = elapsed(c, now);
	c->phase = phase;
}

void pit_channel_gate(struct pit_channel *c, bool level, uint64_t now)
{
	unsigned mode = mode_of(c);

	if (level == c->gate) {
		return;
	}
	c->gate = level;
	if (mode == 1 || mode == 5) {
		if (level && c->next != 0) {
			load(c, now);
		}
	} else if (!level) {
		if (c->phase == PIT_RUNNING) {
			halt(c, now, PIT_PAUSED);
		}
	} else if (mode == 2 || mode == 3) {
		if (c->next != 0) {
			load(c, now);
		}
	} else if (c->phase == PIT_PAUSED) {
		c->start = now - c->elapsed;
		c->phase = PIT_RUNNING;
	}
}

/* A whole count was written. */
static void set_count(struct pit_channel *c, uint16_t value, uint64_t now)
{
	c->next = decode(c, value);
	c->has_next = true;
	switch (mode_of(c)) {
	case 0:
	case 4:
		/* Loaded even while the gate is low. */
		load(c, now);
		if (!c->gate) {
			c->phase = PIT_PAUSED;
		}
		break;
	case 2:
	case 3:
		/* A running period ends first. */
		if (c->phase == PIT_IDLE && c->gate) {
			load(c, now);
		}
		break;
	default:
		break; /* mode 1 and 5 wait for the gate */
	}
}

void pit_channel_write(struct pit_channel *c, uint8_t value, uint64_t now)
{
	switch (access_of(c)) {
	case ACCESS_LOW:
		set_count(c, value, now);
		break;
	case ACCESS_HIGH:
		set_count(c, (uint16_t)(value << 8), now);
		break;
	default:
		if (c->write_high) {
			set_count(c, (uint16_t)(value << 8 | c->low_byte), now);
		} else {
			c->low_byte = value;
			if (mode_of(c) == 0) {
				halt(c, now, PIT_IDLE);
			}
		}
		c->write_high = !c->write_high;
		break;
	}
}

void pit_channel_control(struct pit_channel *c, uint8_t value, uint64_t now)
{
	uint16_t rest = value_at(c, now);
	bool gate = c->gate;

	*c = (struct pit_channel){.control = value & CONTROL_ALL, .gate = gate, .rest = rest};
}

void pit_channel_init(struct pit_channel *c, bool gate, uint64_t now)
{
	*c = (struct pit_channel){.control = PIT_CONTROL_ACCESS, .gate = gate};
	if (gate) {
		pit_channel_control(c, CONTROL_SQUARE, now);
		set_count(c, 0, now);
	}
}

/* --- reading --- */

void pit_channel_latch_count(struct pit_channel *c, uint64_t now)
{
	if (c->latched_bytes == 0) {
		c->latch = value_at(c, now);
		c->latched_bytes = access_of(c) == ACCESS_BOTH ? 2 : 1;
	}
}

void pit_channel_latch_status(struct pit_channel *c, uint64_t now)
{
	if (c->status_latched) {
		return;
	}
	c->status = c->control;
	c->status |= pit_channel_out(c, now) ? STATUS_OUT : 0;
	c->status |= c->has_next || !loaded(c, now) ? STATUS_NULL_COUNT : 0;
	c->status_latched = true;
}

uint8_t pit_channel_read(struct pit_channel *c, uint64_t now)
{
	uint16_t value = c->latched_bytes != 0 ? c->latch : value_at(c, now);
	bool high = access_of(c) == ACCESS_HIGH;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (access_of(c) == ACCESS_BOTH) {
		/* A latched count is read from its low byte on. */
		high = c->latched_bytes != 0 ? c->latched_bytes == 1 : c->read_high;
		c->read_high = !high;
	}
	if (c->latched_bytes != 0) {
		c->latched_bytes--;
	}
	return (uint8_t)(high ? value >> 8 : value);
}

/* --- OUT --- */

bool pit_channel_out(const struct pit_channel *c, uint64_t now)
{
	uint64_t e = elapsed(c, now);
	unsigned mode = mode_of(c);

	if (c->phase == PIT_IDLE) {
		return mode != 0;
	}
	if (mode == 0) {
		return e >= c->count;
	}
	/*
	 * In mode 1 it falls with the trigger, not one cycle later: a look at port 0x61 takes
	 * longer than that on a real bus, and who waits for the rise must not take its first look
	 * for it.
	 */
	if (!loaded(c, now)) {
		return mode != 1;
	}
	switch (mode) {
	case 1:
		return e >= c->count;
	case 2:
		return c->phase == PIT_PAUSED || e != c->count - 1;
	case 3:
		return c->phase == PIT_PAUSED || !c->low_half;
	default:
		return e != c->count;
	}
}

bool pit_channel_periodic(const struct pit_channel *c)
{
	return c->phase == PIT_RUNNING && (mode_of(c) == 2 || mode_of(c) == 3);
}

uint64_t pit_channel_next_rise(const struct pit_channel *c, uint64_t now)
{
	uint64_t rise = c->start + c->count;

	if (c->phase != PIT_RUNNING) {
		return UINT64_MAX;
	}
	switch (mode_of(c)) {
	case 2:
		break;
	case 3:
		/* A new count takes over at the end of this half. */
		rise = c->start + half_length(c) + (c->low_half ? 0 : c->next / 2);
		break;
	case 4:
	case 5:
		rise++;
		break;
	default:
		break;
	}
	return rise > now ? rise : UINT64_MAX;
}

/* --- saved state --- */

void pit_channel_save(const struct pit_channel *c, struct pit_channel_saved *out)
{
	*out = (struct pit_channel_saved){
		.start = c->start,
		.elapsed = c->elapsed,
		.count = c->count,
		.next = c->next,
		.rest = c->rest,
		.latch = c->latch,
		.control = c->control,
		.phase = (uint8_t)c->phase,
		.low_half = c->low_half,
		.has_next = c->has_next,
		.write_high = c->write_high,
		.read_high = c->read_high,
		.low_byte = c->low_byte,
		.status_latched = c->status_latched,
		.status = c->status,
		.latched_bytes = c->latched_bytes,
	};
}

const char *pit_channel_check(const struct pit_channel_saved *in)
{
	bool counts = in->phase != PIT_IDLE;

	if ((in->control & ~CONTROL_ALL) != 0 || (in->control & PIT_CONTROL_ACCESS) == 0) {
		return "no control word leaves a channel so";
	}
	if (in->phase > PIT_PAUSED || in->latched_bytes > 2) {
		return "a channel has 3 phases and latches up to 2 bytes";
	}
	if (in->count > 65536 || (counts && in->count == 0) || in->next > 65536 ||
	    ((counts || in->has_next != 0) && in->next == 0)) {
		return "a channel counts 1 to 65536";
	}
	if (!saved_is_bool(in->low_half) || !saved_is_bool(in->has_next) ||
	    !saved_is_bool(in->write_high) || !saved_is_bool(in->read_high) ||
	    !saved_is_bool(in->status_latched) || !saved_is_zero(in->zero, sizeof(in->zero))) {
		return "a flag of a channel is neither 0 nor 1";
	}
	return NULL;
}

void pit_channel_load(struct pit_channel *c, const struct pit_channel_saved *in, bool gate)
{
	*c = (struct pit_channel){
		.control = in->control,
		.gate = gate,
		.phase = (enum pit_phase)in->phase,
		.start = in->start,
		.elapsed = in->elapsed,
		.count = in->count,
		.low_half = in->low_half != 0,
		.rest = in->rest,
		.next = in->next,
		.has_next = in->has_next != 0,
		.write_high = in->write_high != 0,
		.read_high = in->read_high != 0,
		.low_byte = in->low_byte,
		.status_latched = in->status_latched != 0,
		.status = in->status,
		.latched_bytes = in->latched_bytes,
		.latch = in->latch,
	};
}
