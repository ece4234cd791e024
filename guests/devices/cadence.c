/* SPDX-License-Identifier: Apache-2.0 */
/* Periods that do not drift: Bresenham's line with guest ticks as one axis. */
#include "guests/devices/cadence.h"

#include "hv/api/clock.h"

/* Nobody is late by this. */
#define CADENCE_STALE_SECONDS 1000u

/* Moves `n` periods on. Callers keep n small enough that n * rest does not overflow. */
static void cadence_step(struct cadence *c, uint64_t n)
{
	uint64_t carry = c->carry + n * c->rest;

	c->next += n * c->whole + carry / c->hz;
	c->carry = carry % c->hz;
}

void cadence_start(struct cadence *c, uint64_t start, uint64_t count, uint64_t hz)
{
	c->hz = hz;
	c->whole = clock_muldiv(count, clock_hz(), hz);
	/* The remainder is below hz, so arithmetic modulo 2^64 gives it exactly. */
	c->rest = count * clock_hz() - c->whole * hz;
	c->carry = 0;
	c->next = start;
	cadence_step(c, 1);
}

/* Periods that surely fit between `next` and `now`; at least 1, the one that `next` ends. */
static uint64_t cadence_estimate(const struct cadence *c, uint64_t now)
{
	uint64_t n = c->whole != 0 ? (now - c->next) / (c->whole + 1)
				   : clock_muldiv(now - c->next, c->hz, c->rest);

	/* The upper bound keeps n * rest within 64 bits. */
	n = n == 0 ? 1 : n;
	return n > UINT32_MAX ? UINT32_MAX : n;
}

uint64_t cadence_skip(struct cadence *c, uint64_t now)
{
	uint64_t passed = 0;

	/* An estimate leaves less than half of the distance, mostly less than one period. */
	while (c->next <= now) {
		uint64_t n = cadence_estimate(c, now);

		cadence_step(c, n);
		passed += n;
	}
	return passed;
}

void cadence_load(struct cadence *c, uint64_t next, uint64_t carry, uint64_t now)
{
	/* Skipping from there would take as many steps as the time is long. */
	bool stale = next < now && now - next > CADENCE_STALE_SECONDS * clock_hz();

	c->next = stale ? now : next;
	c->carry = carry;
}
