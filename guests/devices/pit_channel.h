/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One counter of an 8254, as a function of time: `now` is in cycles of its clock and never runs
 * backwards. pit_channel_sync is called with `now` before any other function looks at the counter.
 */
#pragma once

#include "guests/devices/pit8254.h"

#define PIT_CONTROL_ACCESS 0x30u

/*
 * The state after power-on, as chosen here. With the gate high: mode 3 at the lowest rate, so that
 * who looks at a counter that nobody programmed, for time to pass or for its status to say that it
 * has a count, sees it move. Else idle, OUT low, mode 0.
 */
void pit_channel_init(struct pit_channel *c, bool gate, uint64_t now);
/* Loads of a new count that have come due in the periodic modes. */
void pit_channel_sync(struct pit_channel *c, uint64_t now);
/* A control word with an access mode: the channel waits for a count. */
void pit_channel_control(struct pit_channel *c, uint8_t value, uint64_t now);
/* One byte written to, or read from, the channel's port. */
void pit_channel_write(struct pit_channel *c, uint8_t value, uint64_t now);
uint8_t pit_channel_read(struct pit_channel *c, uint64_t now);
void pit_channel_gate(struct pit_channel *c, bool level, uint64_t now);
/* A latch that is still unread stays. */
void pit_channel_latch_count(struct pit_channel *c, uint64_t now);
void pit_channel_latch_status(struct pit_channel *c, uint64_t now);
/* Saved state: as in struct saved_ops. The gate is not part of it. */
void pit_channel_save(const struct pit_channel *c, struct pit_channel_saved *out);
const char *pit_channel_check(const struct pit_channel_saved *in);
void pit_channel_load(struct pit_channel *c, const struct pit_channel_saved *in, bool gate);
bool pit_channel_out(const struct pit_channel *c, uint64_t now);
/* Counting in mode 2 or 3: OUT rises every c->count cycles. */
bool pit_channel_periodic(const struct pit_channel *c);
/* The first cycle after `now` at which OUT rises by itself; UINT64_MAX: none. */
uint64_t pit_channel_next_rise(const struct pit_channel *c, uint64_t now);
