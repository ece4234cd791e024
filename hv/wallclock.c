/* SPDX-License-Identifier: Apache-2.0 */
/* Time of day. */
#include "hv/wallclock.h"

#include "hv/api/clock.h"

static uint64_t base_seconds;
static uint64_t base_ticks;

void wallclock_set(uint64_t seconds)
{
	base_seconds = seconds;
	base_ticks = clock_now();
}

uint64_t wallclock_read(uint32_t *nanoseconds)
{
	uint64_t ticks = clock_now() - base_ticks;

	*nanoseconds = (uint32_t)clock_muldiv(ticks % clock_hz(), 1000000000, clock_hz());
	return base_seconds + ticks / clock_hz();
}

uint64_t wallclock_now(void)
{
	uint32_t nanoseconds;

	return wallclock_read(&nanoseconds);
}
