/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host time: the TSC, calibrated once. Ticks are TSC ticks of the boot CPU; conversions use a
 * 32.32 fixed-point factor and are exact to one part in 2^32.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_HZ_MIN 1000000ull
#define CLOCK_HZ_MAX 100000000000ull

/* `hz` is the TSC frequency, CLOCK_HZ_MIN .. CLOCK_HZ_MAX. Called once, before any other function
 * here. */
void clock_init(uint64_t hz);
uint64_t clock_hz(void);
/* Ticks now. */
uint64_t clock_now(void);
/*
 * From now on clock_now adds the calling CPU's cpu_local.tsc_offset to its TSC: some are out of
 * step.
 */
void clock_correct(void);
bool clock_is_corrected(void);
/* What clock_now adds on CPU `cpu`. */
int64_t clock_correction(unsigned cpu);
/* Converts durations; saturate instead of wrapping. */
uint64_t clock_ns_to_ticks(uint64_t ns);
uint64_t clock_ticks_to_ns(uint64_t ticks);
/* a * b / c, rounded down, with a 128-bit product, saturating; c != 0. */
uint64_t clock_muldiv(uint64_t a, uint64_t b, uint64_t c);
