/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The high precision event timer: a counter of 64 bits at 14.31818 MHz and three comparators, each
 * of which can be periodic, count 32 or 64 bits, and interrupt by a line or a message. Sources:
 * IA-PC HPET Specification 1.0a; Intel I/O Controller Hub 9 datasheet, "High-Precision Event Timer
 * Registers", for the clock and the identification.
 *
 *	0x000  capabilities, period in fs	0x100 + 0x20 * n  configuration of timer n
 *	0x010  enable, legacy replacement	0x108 + 0x20 * n  comparator
 *	0x020  status of level interrupts	0x110 + 0x20 * n  message: data, address
 *	0x0f0  main counter
 *
 * Nothing counts: the counter follows from guest time when somebody looks. A match is the moment at
 * which the counter becomes the comparator's value; matches that pass while nobody could run are
 * one interrupt, and those closer than HPET_MERGE_CYCLES are merged.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define HPET_MMIO_SIZE 0x400ull
#define HPET_TIMERS 3u
#define HPET_HZ 14318180ull
#define HPET_PERIOD_FS 69841279u /* 10^15 / HPET_HZ */
#define HPET_MERGE_CYCLES 286u	 /* 20 us */
/* What comparators' own lines may be: inputs of the IOAPIC, one bit each. */
#define HPET_ROUTES 0x00f00000u
/* Legacy replacement: timers 0 and 1 in the place of these ISA interrupts. */
#define HPET_LEGACY_IRQ0 0u
#define HPET_LEGACY_IRQ8 8u
/* The low half of the capabilities: revision, timers, 64 bits, legacy replacement, vendor. */
#define HPET_ID (0x80860000u | 0x8000u | 0x2000u | (HPET_TIMERS - 1) << 8 | 0x01u)

#define HPET_ENABLE 0x1u
#define HPET_LEGACY 0x2u

#define HPET_TN_LEVEL 0x0002u
#define HPET_TN_INTERRUPT 0x0004u
#define HPET_TN_PERIODIC 0x0008u
#define HPET_TN_SET_VALUE \
	0x0040u /* the next write to the comparator sets it, not the period only */
#define HPET_TN_32 0x0100u
#define HPET_TN_ROUTE 0x3e00u
#define HPET_TN_MESSAGE 0x4000u

/* A comparator as a program sees it. */
struct hpet_timer_state {
	uint64_t config;     /* HPET_TN_* */
	uint64_t comparator; /* of the next match */
	uint64_t period;     /* cycles, if periodic */
	uint64_t message;    /* address << 32 | data */
};

struct hpet_state {
	uint64_t config;  /* HPET_ENABLE, HPET_LEGACY */
	uint64_t status;  /* a bit for each timer */
	uint64_t counter; /* what it was, or is while it stands still, ... */
	uint64_t since;	  /* ... at this cycle of guest time */
	struct hpet_timer_state timers[HPET_TIMERS];
};

struct hpet_config {
	struct vtime *time;
	/* Called with the lock held. */
	void (*gsi)(void *ctx, unsigned gsi, bool level);    /* one of HPET_ROUTES */
	void (*legacy)(void *ctx, unsigned irq, bool level); /* HPET_LEGACY_IRQ* */
	/* Whether the 8254 and the RTC are cut off from these two; told when it changes. */
	void (*replace)(void *ctx, bool on);
	void (*message)(void *ctx, uint64_t address, uint32_t data);
	void *ctx;
};

struct hpet;

struct hpet_timer {
	struct hpet *owner;
	struct vtimer timer;
	uint64_t match; /* cycle of guest time of the next match; UINT64_MAX: none */
	uint64_t quiet; /* no interrupt before this cycle */
	bool asserted;	/* its line is, ... */
	bool legacy;	/* ... which was this one */
	unsigned route; /* IRQ or GSI */
};

struct hpet {
	struct vdev dev; /* its lock covers all below */
	struct hpet_config cfg;
	struct hpet_state state;
	struct hpet_timer timers[HPET_TIMERS];
	struct saved_device saved;
};

#define HPET_SAVED_VERSION 1u
struct hpet_timer_saved {
	struct hpet_timer_state state;
	uint64_t match;
	uint64_t quiet;
	uint16_t route; /* 0 while the line is not asserted */
	uint8_t asserted;
	uint8_t legacy; /* the same */
	uint8_t zero[4];
};
_Static_assert(sizeof(struct hpet_timer_saved) == 56, "no padding");

/* That the 8254 and the RTC are cut off, the board's lines know themselves. */
struct hpet_saved {
	uint64_t config;
	uint64_t status;
	uint64_t counter;
	uint64_t since;
	struct hpet_timer_saved timers[HPET_TIMERS];
};
_Static_assert(sizeof(struct hpet_saved) == 200, "no padding");

/* To be registered over HPET_MMIO_SIZE bytes. */
void hpet_init(struct hpet *h, const struct hpet_config *cfg);
