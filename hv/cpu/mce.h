/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine checks: what the banks of this CPU report, and whether the machine can go on. Sources:
 * Intel SDM volume 3 "Machine-Check Architecture", AMD APM volume 2 "Machine Check Architecture".
 *
 * The functions that read banks run in the #MC handler: they raise no exceptions and take no locks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MCE_BANKS_KEPT 8u
#define MCE_TEXT_MAX 160u

enum mce_verdict {
	MCE_HARMLESS = 0, /* corrected, or nothing has used the damaged data yet */
	MCE_CODE_LOST,	  /* the code that was interrupted cannot go on; others can */
	MCE_FATAL,	  /* nothing can be relied on */
};

struct mce_bank {
	unsigned index;
	uint64_t status;
	uint64_t address; /* 0 unless status says that it is valid; so is misc */
	uint64_t misc;
};

struct mce_record {
	enum mce_verdict verdict;
	uint64_t cap;			      /* MCG_CAP */
	uint64_t status;		      /* MCG_STATUS */
	uint64_t rip;			      /* what was interrupted; 0: a guest */
	unsigned count;			      /* banks that report an error */
	struct mce_bank bank[MCE_BANKS_KEPT]; /* the first of them */
};

/* What one bank's status means, by the abilities in MCG_CAP. Pure. */
enum mce_verdict mce_judge_bank(uint64_t cap, uint64_t status);
/* The worst of all banks and of what MCG_STATUS says. Pure. */
enum mce_verdict mce_judge(uint64_t mcg_status, enum mce_verdict worst_bank);
/* One bank in words, without '\n'. */
void mce_bank_text(const struct mce_bank *bank, char *out, size_t size);

/* Turns the reporting of all banks on, on this CPU; forgets errors from before. */
void mce_cpu_init(void);
/*
 * Reads all banks of this CPU and judges. Without banks nothing is known: the code is lost. CPUs
 * that share a bank may be told of the same error (Intel tells all CPUs of each); the first to
 * clear it has it, and MCG_STATUS alone decides for the others.
 */
void mce_collect(uint64_t rip, struct mce_record *out);
/*
 * Clears what was collected: until then another machine check shuts the CPU down. Not called when
 * the machine is to stop: the firmware may look at the banks after a reset.
 */
void mce_clear(const struct mce_record *r);

/* One record on its way from a #MC handler to somebody who may log. */
struct mce_slot {
	_Atomic uint32_t full;
	_Atomic uint32_t missed; /* since the slot was full */
	struct mce_record record;
};

/* In the handler. */
void mce_post(struct mce_slot *slot, const struct mce_record *record);
/* Elsewhere, by one reader at a time: logs what is in the slot as event lines and empties it. */
void mce_report(struct mce_slot *slot, unsigned cpu);
