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

uint64_t wallclock_now(void)
{
	return base_seconds + (clock_now() - base_ticks) / clock_hz();
}
