/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing another CPU's TSC with the boot CPU's, when it comes up. The boot CPU asks, the other
 * answers with its stamp:
 *
 *	boot CPU	before ──ask──>		       <──answer── after
 *	other CPU			     there
 *
 * The other CPU read its TSC at some moment between `before` and `after`, so its TSC is ahead by
 * at least there - after and at most there - before. Each round narrows that down; what remains
 * is about one round trip between the CPUs, and less than that no program can see.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Between two CPUs, in a cache line of its own; all zero before the first use. */
struct tsc_channel {
	_Alignas(64) _Atomic uint32_t turn; /* enum tsc_turn */
	_Atomic uint64_t stamp;		    /* the other CPU's answer */
};

/* How far the other TSC is ahead: low <= ahead <= high, when rounds != 0. */
struct tsc_bounds {
	int64_t low;
	int64_t high;
	unsigned rounds;
};

struct tsc_verdict {
	bool in_step;	/* no difference can be seen: the offset is 0 */
	bool steady;	/* all rounds agree; else the TSCs run or jump apart */
	int64_t offset; /* to be added to the other TSC */
	uint64_t bound; /* no more than this many ticks apart, after adding */
};

/* Takes one round in. */
void tsc_bounds_add(struct tsc_bounds *b, uint64_t before, uint64_t there, uint64_t after);
/* Needs one round at least. */
struct tsc_verdict tsc_bounds_judge(const struct tsc_bounds *b);

/*
 * The boot CPU's side: measures, then checks the verdict with as many rounds again. False when
 * the other CPU does not answer within five seconds of `hz` ticks. The other CPU goes on waiting
 * until tsc_sync_release.
 */
bool tsc_sync_measure(struct tsc_channel *channel, uint64_t hz, struct tsc_verdict *out);
/* What was written before is visible to the other CPU when it goes on. */
void tsc_sync_release(struct tsc_channel *channel);

/*
 * The other CPU's side: answers until it is released; false when that does not happen within
 * five seconds of `hz` ticks.
 */
bool tsc_sync_answer(struct tsc_channel *channel, uint64_t hz);
