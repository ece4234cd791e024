/* SPDX-License-Identifier: Apache-2.0 */
/* Time of day: read once from the machine's RTC, carried on by the TSC. */
#pragma once

#include <stdint.h>

/* `seconds` since 1970 (UTC) at this moment. */
void wallclock_set(uint64_t seconds);
/* Seconds since 1970 now, and the nanoseconds of the one that has begun. */
uint64_t wallclock_read(uint32_t *nanoseconds);
/* Seconds since 1970 now. */
uint64_t wallclock_now(void);
