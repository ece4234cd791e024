/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8254 interval timer and system control port B (0x61), which gates its channel 2. Sources:
 * Intel 8254 datasheet; IBM PC/AT Technical Reference, "System Timers".
 *
 * Nothing counts: the state of a counter follows from guest time when somebody looks, in cycles of
 * the 1,193,182 Hz clock. Only rising edges of OUT 0 have a timer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define PIT_HZ 1193182ull
/* One vdev, registered for both ranges. */
#define PIT_PORT 0x40u
#define PIT_PORTS 4u
#define PIT_GATE_PORT 0x61u
#define PIT_GATE_PORTS 1u

#define PIT_CHANNELS 3u

enum pit_phase {
	PIT_IDLE,    /* no whole count written, or not triggered: OUT at rest */
	PIT_RUNNING, /* counts since cycle `start` */
	PIT_PAUSED,  /* the gate is low; `elapsed` cycles were counted */
};

struct pit_channel {
	uint8_t control; /* access, mode, BCD as written in the control word */
	bool gate;
	/* The counting element. */
	enum pit_phase phase;
	uint64_t start;	  /* cycle at which it was loaded with `count` */
	uint64_t elapsed; /* while paused */
	uint32_t count;	  /* 1 .. 65536 */
	bool low_half;	  /* mode 3: in the half with OUT low */
	uint16_t rest;	  /* what it shows while idle */
	/* The count register. */
	uint32_t next;
	bool has_next; /* written, not loaded yet: "null count" */
	/* Byte sequences of access mode 3. */
	bool write_high;
	bool read_high;
	uint8_t low_byte;
	/* Latches. */
	bool status_latched;
	uint8_t status;
	uint8_t latched_bytes; /* still to be read */
	uint16_t latch;
};

/* Who lets vCPUs sleep; called with the PIT's lock held. */
struct pit_rest {
	void (*rest)(void *ctx, unsigned vcpu); /* whose access is under way */
	void (*rested)(void *ctx, unsigned vcpu);
	void *ctx;
};

struct pit8254 {
	struct vdev dev; /* its lock covers all below */
	struct vtime *time;
	struct irq_line irq0;
	struct pit_rest rest;
	/* A vCPU sleeps and is yet to be woken: the timer may have gone off, and wait for the lock.
	 */
	bool rests;
	unsigned resting; /* which */
	struct vtimer rested;
	bool (*waiting)(void *ctx);
	void *waiting_ctx;
	struct vtimer timer;
	struct pit_channel channels[PIT_CHANNELS];
	uint64_t edge; /* cycle of the next rising edge of OUT 0; UINT64_MAX: none */
	unsigned owed; /* periodic interrupts that passed while one was waiting */
	bool irq_level;
	uint8_t port_b; /* bits 3:0 of port 0x61 */
	struct saved_device saved;
};

#define PIT_SAVED_VERSION 1u
struct pit_channel_saved {
	uint64_t start;
	uint64_t elapsed;
	uint32_t count;
	uint32_t next;
	uint16_t rest;
	uint16_t latch;
	uint8_t control;
	uint8_t phase;
	uint8_t low_half;
	uint8_t has_next;
	uint8_t write_high;
	uint8_t read_high;
	uint8_t low_byte;
	uint8_t status_latched;
	uint8_t status;
	uint8_t latched_bytes;
	uint8_t zero[2];
};
_Static_assert(sizeof(struct pit_channel_saved) == 40, "no padding");

/* The gates are not in it: they follow from port B. */
struct pit8254_saved {
	struct pit_channel_saved channels[PIT_CHANNELS];
	uint64_t edge;
	uint64_t deadline; /* of the timer, guest ticks */
	uint32_t owed;
	uint8_t irq_level;
	uint8_t port_b;
	uint8_t zero[2];
};
_Static_assert(sizeof(struct pit8254_saved) == 144, "no padding");

/* `irq0` follows OUT of channel 0. */
void pit8254_init(struct pit8254 *p, struct vtime *time, const struct irq_line *irq0);
/*
 * `waiting` says whether the last interrupt still waits, unmasked, to be taken by the guest. Ticks
 * that pass meanwhile (the vCPU did not run) are made up for, at most PIT_OWED_MAX of them, at up
 * to PIT_CATCH_UP times the programmed rate. Without `waiting`, ticks are made up for only when the
 * timer itself ran late. Called with the PIT's lock held.
 */
#define PIT_OWED_MAX 32u
#define PIT_CATCH_UP 4u
void pit8254_set_waiting(struct pit8254 *p, bool (*waiting)(void *ctx), void *ctx);
/*
 * Guests measure time by looking at OUT 2 until a count of their own has run out. With `rest` they
 * sleep after each look, for a part of the count, when that is worth it; OUT 2 ends the sleep as
 * soon as it rises, and so does a reset, or state that is loaded. One vCPU at a time. Counts of
 * less than 50.3 ms get no rest: Linux wants to look a thousand times in 10 ms, or 5,000 times in
 * 50 ms, or takes the measurement for disturbed.
 */
#define PIT_REST_PART 400u
#define PIT_REST_CYCLES_MIN 150u
void pit8254_set_rest(struct pit8254 *p, const struct pit_rest *rest);
