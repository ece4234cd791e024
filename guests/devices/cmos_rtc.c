/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818. Source: Motorola MC146818 data sheet, "Registers", "Update Cycle", "Periodic
 * Interrupt Selection". Time base: a divider of 32,768 Hz,
 *
 *	... bit 15 | 14 ........... 2 1 0      cycles since the divider was zero
 *	    |                       |
 *	    a second: update        each change of bit RS-1 upwards: periodic interrupt
 */
#include "guests/devices/cmos_rtc.h"

#include "guests/devices/bytewise.h"
#include "guests/devices/calendar.h"
#include "guests/devices/cmos_memory.h"
#include "guests/layout.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define DIVIDER_HZ 32768u
#define SECOND_SHIFT 15u
/*
 * UIP rises 244 us before an update and stays for the 1984 us that one takes; the new time shows
 * when it falls.
 */
#define UIP_CYCLES (8u + 65u)

#define ALARM_ANY 0xc0u
#define HOUR_PM 0x80u
#define INDEX_MASK 0x7fu
#define INDEX_NMI 0x80u

#define INTERRUPTS (RTC_C_PF | RTC_C_AF | RTC_C_UF)

static struct cmos_rtc *to_rtc(struct vdev *dev)
{
	return container_of(dev, struct cmos_rtc, dev);
}

/* ---- registers and what they mean ---- */

static bool divider_held(const struct cmos_rtc *r)
{
	return (r->ram[RTC_A] & RTC_A_DIVIDER_HELD) == RTC_A_DIVIDER_HELD;
}

static bool updates_stopped(const struct cmos_rtc *r)
{
	return divider_held(r) || (r->ram[RTC_B] & RTC_B_SET) != 0;
}

static unsigned decode(const struct cmos_rtc *r, uint8_t value)
{
	if ((r->ram[RTC_B] & RTC_B_BINARY) != 0) {
		return value;
	}
	return (value >> 4) * 10u + (value & 15u);
}

/* value < 100 */
static uint8_t encode(const struct cmos_rtc *r, unsigned value)
{
	if ((r->ram[RTC_B] & RTC_B_BINARY) != 0) {
		return (uint8_t)value;
	}
	return (uint8_t)(value / 10 << 4 | value % 10);
}

/* 0 .. 23 where the register holds an hour. */
static unsigned decode_hour(const struct cmos_rtc *r, uint8_t value)
{
	unsigned hour;

	if ((r->ram[RTC_B] & RTC_B_24H) != 0) {
		return decode(r, value);
	}
	hour = decode(r, value & (uint8_t)~HOUR_PM);
	if (hour == 12) {
		hour = 0;
	}
	return (value & HOUR_PM) != 0 ? hour + 12 : hour;
}

static uint8_t encode_hour(const struct cmos_rtc *r, unsigned hour)
{
	uint8_t pm = hour >= 12 ? HOUR_PM : 0;

	if ((r->ram[RTC_B] & RTC_B_24H) != 0) {
		return encode(r, hour);
	}
	hour %= 12;
	return encode(r, hour == 0 ? 12 : hour) | pm;
}

static uint64_t get_time(const struct cmos_rtc *r)
{
	struct calendar c = {
		.year = decode(r, r->ram[LAYOUT_CMOS_CENTURY]) * 100 + decode(r, r->ram[RTC_YEAR]),
		.month = decode(r, r->ram[RTC_MONTH]),
		.day = decode(r, r->ram[RTC_DAY]),
		.hour = decode_hour(r, r->ram[RTC_HOURS]),
		.minute = decode(r, r->ram[RTC_MINUTES]),
		.second = decode(r, r->ram[RTC_SECONDS]),
	};

	return calendar_to_seconds(&c);
}

/* All but the weekday, which counts by itself. */
static void set_time(struct cmos_rtc *r, uint64_t seconds)
{
	struct calendar c;

	calendar_from_seconds(seconds, &c);
	r->ram[LAYOUT_CMOS_CENTURY] = encode(r, c.year / 100);
	r->ram[RTC_YEAR] = encode(r, c.year % 100);
	r->ram[RTC_MONTH] = encode(r, c.month);
	r->ram[RTC_DAY] = encode(r, c.day);
	r->ram[RTC_HOURS] = encode_hour(r, c.hour);
	r->ram[RTC_MINUTES] = encode(r, c.minute);
	r->ram[RTC_SECONDS] = encode(r, c.second);
}

static bool alarm_field_is(uint8_t alarm, unsigned decoded, unsigned now)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || decoded == now;
}

/* Seconds from `seconds` to the next moment that the alarm registers describe; 0: none. */
static unsigned alarm_distance(const struct cmos_rtc *r, uint64_t seconds)
{
	const uint8_t *ram = r->ram;
	unsigned hour = decode_hour(r, ram[RTC_HOURS_ALARM]);
	unsigned minute = decode(r, ram[RTC_MINUTES_ALARM]);
	unsigned second = decode(r, ram[RTC_SECONDS_ALARM]);
	unsigned distance = 1;

	/* In strides of hours and minutes, so that a day is searched in some 150 steps. */
	while (distance <= CALENDAR_DAY) {
		unsigned t = (unsigned)((seconds + distance) % CALENDAR_DAY);

		if (!alarm_field_is(ram[RTC_HOURS_ALARM], hour, t / 3600)) {
			distance += 3600 - t % 3600;
		} else if (!alarm_field_is(ram[RTC_MINUTES_ALARM], minute, t / 60 % 60)) {
			distance += 60 - t % 60;
		} else if (!alarm_field_is(ram[RTC_SECONDS_ALARM], second, t % 60)) {
			if (second >= 60) {
				return 0;
			}
			distance++;
		} else {
			return distance;
		}
	}
	return 0;
}

/* ---- the divider ---- */

static uint64_t divider_now(const struct cmos_rtc *r)
{
	return clock_muldiv(vtime_now(r->cfg.time) - r->origin, DIVIDER_HZ, clock_hz());
}

/* The first guest tick at which the divider shows `cycles`. */
static uint64_t tick_of(const struct cmos_rtc *r, uint64_t cycles)
{
	uint64_t ticks = clock_muldiv(cycles, clock_hz(), DIVIDER_HZ);

	if (ticks == UINT64_MAX) {
		return TIMER_NEVER;
	}
	if (clock_muldiv(ticks, DIVIDER_HZ, clock_hz()) < cycles) {
		ticks++;
	}
	return ticks + r->origin;
}

/* The periodic interrupt comes each 2^shift cycles; 0: not at all. */
static unsigned periodic_shift(const struct cmos_rtc *r)
{
	unsigned rate = r->ram[RTC_A] & RTC_A_RATE;

	if (rate == 1 || rate == 2) {
		return rate + 6; /* the two that a faster crystal shifts down: 256 and 128 Hz */
	}
	return rate == 0 ? 0 : rate - 1;
}

/* `seconds` updates, however many: the alarm rings if any of them meets it. */
static void update(struct cmos_rtc *r, uint64_t seconds)
{
	uint64_t before = get_time(r);
	unsigned alarm = alarm_distance(r, before);
	uint64_t days = before % CALENDAR_DAY + seconds % CALENDAR_DAY >= CALENDAR_DAY;
	unsigned weekday = decode(r, r->ram[RTC_WEEKDAY]) + 6;

	days += seconds / CALENDAR_DAY;
	if (days != 0) {
		r->ram[RTC_WEEKDAY] = encode(r, (unsigned)((weekday + days % 7) % 7) + 1);
	}
	set_time(r, before + seconds);
	r->ram[RTC_C] |= RTC_C_UF;
	if (alarm != 0 && alarm <= seconds) {
		r->ram[RTC_C] |= RTC_C_AF;
	}
}

/* Brings registers and flags up to now. */
static void catch_up(struct cmos_rtc *r)
{
	unsigned shift = periodic_shift(r);
	uint64_t before = r->cycles_seen;
	uint64_t now;

	if (divider_held(r)) {
		return;
	}
	/* The CPUs' TSCs may differ a little: time stands still then, as a step back would be read
	 * as one forward by ages. */
	now = max_u64(divider_now(r), before);
	r->cycles_seen = now;
	if (shift != 0 && now >> shift != before >> shift) {
		r->ram[RTC_C] |= RTC_C_PF;
	}
	if (now >> SECOND_SHIFT != before >> SECOND_SHIFT && !updates_stopped(r)) {
		update(r, (now >> SECOND_SHIFT) - (before >> SECOND_SHIFT));
	}
}

/*
 * Notes until when time changes nothing but A, which shows the divider, and C, whose flags are
 * brought up to date when it is read: until the next second. Spares reads the division, a tenth of
 * the whole exit.
 */
static void note_quiet(struct cmos_rtc *r)
{
	uint64_t next = ((r->cycles_seen >> SECOND_SHIFT) + 1) << SECOND_SHIFT;

	r->quiet_until = divider_held(r) ? TIMER_NEVER : tick_of(r, next);
}

static bool is_quiet(const struct cmos_rtc *r)
{
	return r->index != RTC_A && r->index != RTC_C && vtime_now(r->cfg.time) < r->quiet_until;
}

static void update_irq(struct cmos_rtc *r)
{
	bool level = (r->ram[RTC_C] & r->ram[RTC_B] & INTERRUPTS) != 0;

	r->ram[RTC_C] = (uint8_t)((r->ram[RTC_C] & INTERRUPTS) | (level ? RTC_C_IRQF : 0));
	if (level != r->irq_level) {
		r->irq_level = level;
		irq_line_set(&r->cfg.irq, level);
	}
}

/*
 * Arms for the first enabled interrupt whose flag is clear. A set flag needs no timer: what comes
 * until the guest reads register C is one interrupt, as on the chip.
 */
static void arm(struct cmos_rtc *r)
{
	unsigned wanted = r->ram[RTC_B] & ~r->ram[RTC_C] & INTERRUPTS;
	uint64_t second = r->cycles_seen >> SECOND_SHIFT;
	unsigned shift = periodic_shift(r);
	uint64_t next = UINT64_MAX;

	if ((wanted & RTC_C_PF) != 0 && shift != 0) {
		next = ((r->cycles_seen >> shift) + 1) << shift;
	}
	if ((wanted & RTC_C_UF) != 0 && !updates_stopped(r)) {
		next = min_u64(next, (second + 1) << SECOND_SHIFT);
	}
	if ((wanted & RTC_C_AF) != 0 && !updates_stopped(r)) {
		unsigned distance = alarm_distance(r, get_time(r));

		next = distance == 0 ? next : min_u64(next, (second + distance) << SECOND_SHIFT);
	}
	if (next == UINT64_MAX || divider_held(r)) {
		vtimer_cancel(&r->timer);
	} else {
		vtimer_arm(&r->timer, tick_of(r, next));
	}
}

static void timer_fired(struct vtimer *t)
{
	struct cmos_rtc *r = container_of(t, struct cmos_rtc, timer);

	lock_acquire(&r->dev.lock);
	catch_up(r);
	update_irq(r);
	arm(r);
	lock_release(&r->dev.lock);
}

/* ---- accesses ---- */

static uint8_t read_a(const struct cmos_rtc *r)
{
	uint64_t left = DIVIDER_HZ - r->cycles_seen % DIVIDER_HZ;
	bool updating = !updates_stopped(r) && left <= UIP_CYCLES;

	return r->ram[RTC_A] | (updating ? RTC_A_UIP : 0);
}

static uint8_t read_register(struct cmos_rtc *r)
{
	uint8_t value = r->ram[r->index];

	if (r->index == RTC_A) {
		return read_a(r);
	}
	if (r->index == RTC_C) {
		r->ram[RTC_C] = 0;
	}
	return value;
}

/* A divider that is let go runs on from its middle: the first update comes after half a second. */
static void write_a(struct cmos_rtc *r, uint8_t value)
{
	bool was_held = divider_held(r);

	r->ram[RTC_A] = value & (uint8_t)~RTC_A_UIP;
	if (was_held && !divider_held(r)) {
		uint64_t half = tick_of(r, DIVIDER_HZ / 2) - r->origin;

		r->origin = vtime_now(r->cfg.time) - half;
		r->cycles_seen = DIVIDER_HZ / 2;
	}
}

static void write_register(struct cmos_rtc *r, uint8_t value)
{
	switch (r->index) {
	case RTC_A:
		write_a(r, value);
		break;
	case RTC_B:
		if ((value & ~r->ram[RTC_B] & RTC_B_SET) != 0) {
			value &= (uint8_t)~RTC_B_UIE;
		}
		r->ram[RTC_B] = value;
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		r->ram[r->index] = value;
		break;
	}
}

/* Whether the byte that `index` selects has to do with time. */
static bool is_clock(const struct cmos_rtc *r)
{
	return r->index <= RTC_D || r->index == LAYOUT_CMOS_CENTURY;
}

static uint8_t read_byte(struct vdev *dev, uint64_t addr)
{
	struct cmos_rtc *r = to_rtc(dev);
	uint8_t value;

	if (addr == LAYOUT_RTC) {
		return 0xff; /* the index is write-only: OVMF looks at it all the same, often */
	}
	if (!is_clock(r)) {
		return r->ram[r->index];
	}
	if (is_quiet(r)) {
		return r->ram[r->index];
	}
	catch_up(r);
	update_irq(r);
	value = read_register(r);
	if (r->index == RTC_C) {
		update_irq(r);
		arm(r);
	}
	note_quiet(r);
	return value;
}

static void write_byte(struct vdev *dev, uint64_t addr, uint8_t value)
{
	struct cmos_rtc *r = to_rtc(dev);

	if (addr == LAYOUT_RTC) {
		r->index = value & INDEX_MASK;
		r->nmi_masked = (value & INDEX_NMI) != 0;
	} else if (!is_clock(r)) {
		r->ram[r->index] = value;
	} else {
		catch_up(r);
		write_register(r, value);
		update_irq(r);
		arm(r);
		r->quiet_until = 0;
	}
}

static uint64_t rtc_read(struct vdev *dev, const struct vdev_access *a)
{
	uint64_t value;

	lock_acquire(&dev->lock);
	value = bytewise_read(dev, a, read_byte);
	lock_release(&dev->lock);
	return value;
}

static void rtc_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	lock_acquire(&dev->lock);
	bytewise_write(dev, a, value, write_byte);
	lock_release(&dev->lock);
}

/* ---- life ---- */

/* The clock's mode as a power-on self-test leaves it; the time shown is the same as before. */
static void restart_clock(struct cmos_rtc *r)
{
	uint64_t seconds;
	unsigned weekday;

	catch_up(r);
	seconds = get_time(r);
	weekday = decode(r, r->ram[RTC_WEEKDAY]);
	write_a(r, RTC_A_DIVIDER_RUN | 6);
	r->ram[RTC_B] = RTC_B_24H;
	r->ram[RTC_C] = 0;
	set_time(r, seconds);
	r->ram[RTC_WEEKDAY] = encode(r, weekday % 10);
	r->quiet_until = 0;
}

/* The battery keeps clock and memory through a reset. */
static void rtc_reset(struct vdev *dev)
{
	struct cmos_rtc *r = to_rtc(dev);

	lock_acquire(&dev->lock);
	restart_clock(r);
	r->index = 0;
	r->nmi_masked = false;
	update_irq(r);
	arm(r);
	lock_release(&dev->lock);
}

static void rtc_fini(struct vdev *dev)
{
	struct cmos_rtc *r = to_rtc(dev);

	lock_acquire(&dev->lock);
	vtimer_cancel(&r->timer);
	lock_release(&dev->lock);
}

static const struct vdev_ops rtc_ops = {
	.name = "RTC",
	.read = rtc_read,
	.write = rtc_write,
	.reset = rtc_reset,
	.fini = rtc_fini,
};

bool cmos_rtc_nmi_masked(struct cmos_rtc *r)
{
	bool masked;

	lock_acquire(&r->dev.lock);
	masked = r->nmi_masked;
	lock_release(&r->dev.lock);
	return masked;
}

static void power_on(struct cmos_rtc *r)
{
	uint64_t seconds = CALENDAR_1970 + r->cfg.wall_seconds;

	memset(r->ram, 0, sizeof(r->ram));
	r->cycles_seen = 0;
	r->ram[RTC_A] = RTC_A_DIVIDER_RUN | 6;
	r->ram[RTC_B] = RTC_B_24H;
	r->ram[RTC_D] = RTC_D_VALID;
	set_time(r, seconds);
	r->ram[RTC_WEEKDAY] = (uint8_t)(calendar_weekday(seconds) + 1);
	cmos_memory_fill(r->ram, &r->cfg);
	/* Guest time may have run for a while: the wall clock was right at 0. */
	catch_up(r);
	r->ram[RTC_C] = 0;
}

void cmos_rtc_set_wall(struct cmos_rtc *r, uint64_t wall_seconds)
{
	lock_acquire(&r->dev.lock);
	r->cfg.wall_seconds = wall_seconds;
	power_on(r);
	lock_release(&r->dev.lock);
}

void cmos_rtc_set_disk(struct cmos_rtc *r, unsigned unit, const struct cmos_disk *disk)
{
	CHECK(unit < CMOS_DISKS);
	lock_acquire(&r->dev.lock);
	r->cfg.disks[unit] = *disk;
	cmos_memory_fill(r->ram, &r->cfg);
	lock_release(&r->dev.lock);
}

/* ---- saved state ---- */

static void save(void *dev, void *out)
{
	struct cmos_rtc *r = dev;
	struct cmos_rtc_saved *saved = out;

	lock_acquire(&r->dev.lock);
	saved->origin = r->origin;
	saved->cycles_seen = r->cycles_seen;
	memcpy(saved->ram, r->ram, sizeof(saved->ram));
	saved->index = r->index;
	saved->nmi_masked = r->nmi_masked;
	lock_release(&r->dev.lock);
}

static const char *check(void *dev, const void *in)
{
	const struct cmos_rtc_saved *saved = in;
	const uint8_t *ram = saved->ram;
	bool irq = (ram[RTC_C] & ram[RTC_B] & INTERRUPTS) != 0;

	(void)dev;
	if ((ram[RTC_A] & RTC_A_UIP) != 0 || ram[RTC_D] != RTC_D_VALID ||
	    (ram[RTC_C] & ~INTERRUPTS) != (irq ? RTC_C_IRQF : 0)) {
		return "a register has bits that it cannot have";
	}
	if (saved->index > INDEX_MASK || !saved_is_bool(saved->nmi_masked) ||
	    !saved_is_zero(saved->zero, sizeof(saved->zero))) {
		return "port 0x70 has 7 bits and a flag";
	}
	return NULL;
}

/* A divider that counts from the future, or is ahead of time, begins now. */
static void load_divider(struct cmos_rtc *r, const struct cmos_rtc_saved *in)
{
	uint64_t now = vtime_now(r->cfg.time);
	uint64_t origin = vtime_of_loaded(r->cfg.time, in->origin);

	r->origin = now - origin < VTIME_MAX ? origin : now;
	r->cycles_seen = in->cycles_seen;
	if (!divider_held(r)) {
		r->cycles_seen = min_u64(in->cycles_seen, divider_now(r));
	}
}

static void load(void *dev, const void *in)
{
	struct cmos_rtc *r = dev;
	const struct cmos_rtc_saved *saved = in;

	lock_acquire(&r->dev.lock);
	memcpy(r->ram, saved->ram, sizeof(r->ram));
	r->index = saved->index;
	r->nmi_masked = saved->nmi_masked != 0;
	r->quiet_until = 0;
	load_divider(r, saved);
	update_irq(r);
	arm(r);
	lock_release(&r->dev.lock);
}

static void reset_saved(void *dev)
{
	rtc_reset(&((struct cmos_rtc *)dev)->dev);
}

static const struct saved_ops saved_ops = {
	.name = "RTC",
	.kind = SAVED_KIND('R', 'T', 'C', ' '),
	.version = CMOS_RTC_SAVED_VERSION,
	.bytes = sizeof(struct cmos_rtc_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset_saved,
};

void cmos_rtc_init(struct cmos_rtc *r, const struct cmos_rtc_config *cfg)
{
	*r = (struct cmos_rtc){.dev.ops = &rtc_ops, .cfg = *cfg};
	vtimer_init(&r->timer, cfg->time, timer_fired);
	saved_device_init(&r->saved, &saved_ops, r);
	power_on(r);
}
