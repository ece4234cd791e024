/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys on their way to a guest's PS/2 keyboard, whose buffer is as small as a real one's: what it
 * does not take now waits. What a program types (`type`, `keys`) is given out at the speed of a
 * fast person, as firmware and boot loaders lose what comes faster. With the baton.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/api/timer.h"

#define GUEST_KEYS_MAX 2048u

struct guest;

struct guest_keys {
	uint8_t bytes[GUEST_KEYS_MAX]; /* whole sequences of set 1, a ring */
	unsigned head, count;
	bool paced;	  /* something of it was typed by a program */
	bool waiting;	  /* for the timer: nothing is given out before */
	bool timer_ready; /* the timer was initialised */
	struct timer timer;
	_Atomic bool due;
};

/*
 * Whole sequences of set 1, each as for i8042_key. False, and nothing is queued: there is no room
 * for all, or the guest does not run.
 */
bool guest_keys_put(struct guest *g, const uint8_t *set1, unsigned n, bool paced);
/* Gives out what it is time for; now and then, after RUN_CHORE_INPUT. */
void guest_keys_feed(struct guest *g);
/* The guest's VM is gone: nothing waits any more. */
void guest_keys_clear(struct guest *g);
