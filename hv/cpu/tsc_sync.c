/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring how far another CPU's TSC is ahead. */
#include "hv/cpu/tsc_sync.h"

#include "hv/base/bits.h"
#include "hv/cpu/insn.h"

/*
 * A pass is many rounds where they are quick. Where whoever runs us makes them slow it is few; the
 * first pass, which measures, then goes on for longer, so that one of them happens to be quick.
 */
#define ROUNDS_MIN 2u
#define ROUNDS_MAX 64u
#define PASS_US 2000u
#define PASS_MAX_US 20000u
#define NARROW_US 10u
/* For each answer: whoever runs us may have the other CPU wait for its turn. */
#define LIMIT_SECONDS 5u

enum tsc_turn {
	TURN_NOBODY = 0, /* the other CPU is not there yet */
	TURN_ASKED,
	TURN_ANSWERED, /* or ready to */
	TURN_OVER,
};

static int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Half of what they are apart, rounded up. */
static uint64_t half_width(int64_t a, int64_t b)
{
	return ((uint64_t)max_i64(a, b) - (uint64_t)min_i64(a, b) + 1) / 2;
}

void tsc_bounds_add(struct tsc_bounds *b, uint64_t before, uint64_t there, uint64_t after)
{
	int64_t low = (int64_t)(there - after);
	int64_t high = (int64_t)(there - before);

	b->low = b->rounds == 0 ? low : max_i64(b->low, low);
	b->high = b->rounds == 0 ? high : min_i64(b->high, high);
	b->rounds++;
}

struct tsc_verdict tsc_bounds_judge(const struct tsc_bounds *b)
{
	struct tsc_verdict v = {.steady = b->low <= b->high};

	v.in_step = b->low <= 0 && b->high >= 0;
	if (v.in_step) {
		v.bound = (uint64_t)max_i64(-b->low, b->high);
		return v;
	}
	v.bound = half_width(b->low, b->high);
	v.offset = -(int64_t)((uint64_t)min_i64(b->low, b->high) + v.bound);
	return v;
}

/* Waits while it is `turn`'s turn; false when that lasts too long. */
static bool wait_while(struct tsc_channel *channel, enum tsc_turn turn, uint64_t limit)
{
	uint64_t start = cpu_rdtsc();

	while (atomic_load_explicit(&channel->turn, memory_order_acquire) == turn) {
		if (cpu_rdtsc() - start > limit) {
			return false;
		}
		__builtin_ia32_pause();
	}
	return true;
}

static void set_turn(struct tsc_channel *channel, enum tsc_turn turn)
{
	atomic_store_explicit(&channel->turn, turn, memory_order_release);
}

static bool take_round(struct tsc_channel *channel, uint64_t limit, struct tsc_bounds *b)
{
	uint64_t before = cpu_rdtsc_ordered();
	uint64_t after;

	set_turn(channel, TURN_ASKED);
	if (!wait_while(channel, TURN_ASKED, limit)) {
		return false;
	}
	after = cpu_rdtsc_ordered();
	tsc_bounds_add(b, before, atomic_load_explicit(&channel->stamp, memory_order_relaxed),
		       after);
	return true;
}

static bool enough(const struct tsc_bounds *b, uint64_t us, uint64_t patience_us, int64_t narrow)
{
	if (b->rounds < ROUNDS_MIN) {
		return false;
	}
	if (b->high - b->low > narrow) {
		return us > patience_us;
	}
	return b->rounds >= ROUNDS_MAX || us > PASS_US;
}

static bool take_rounds(struct tsc_channel *channel, uint64_t hz, uint64_t patience_us,
			struct tsc_bounds *b)
{
	uint64_t start = cpu_rdtsc();
	uint64_t per_us = hz / 1000000;

	do {
		if (!take_round(channel, LIMIT_SECONDS * hz, b)) {
			return false;
		}
	} while (!enough(b, (cpu_rdtsc() - start) / per_us, patience_us,
			 (int64_t)(NARROW_US * per_us)));
	return true;
}

bool tsc_sync_measure(struct tsc_channel *channel, uint64_t hz, struct tsc_verdict *out)
{
	struct tsc_bounds first = {0};
	struct tsc_bounds second = {0};
	int64_t corrected;

	if (!wait_while(channel, TURN_NOBODY, LIMIT_SECONDS * hz) ||
	    !take_rounds(channel, hz, PASS_MAX_US, &first) ||
	    !take_rounds(channel, hz, PASS_US, &second)) {
		return false;
	}
	*out = tsc_bounds_judge(&first);
	/* The second pass is a check: with the correction it must not show a difference. */
	corrected = (int64_t)out->bound;
	if ((int64_t)((uint64_t)second.low + (uint64_t)out->offset) > corrected ||
	    (int64_t)((uint64_t)second.high + (uint64_t)out->offset) < -corrected) {
		out->steady = false;
	}
	return true;
}

void tsc_sync_release(struct tsc_channel *channel)
{
	set_turn(channel, TURN_OVER);
}

bool tsc_sync_answer(struct tsc_channel *channel, uint64_t hz)
{
	uint32_t turn = TURN_NOBODY;

	/* Released already: nobody has waited for us. */
	if (!atomic_compare_exchange_strong(&channel->turn, &turn, TURN_ANSWERED)) {
		return false;
	}
	while (wait_while(channel, TURN_ANSWERED, LIMIT_SECONDS * hz)) {
		if (atomic_load_explicit(&channel->turn, memory_order_acquire) == TURN_OVER) {
			return true;
		}
		atomic_store_explicit(&channel->stamp, cpu_rdtsc_ordered(), memory_order_relaxed);
		set_turn(channel, TURN_ANSWERED);
	}
	return false;
}
