/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest may do with each MSR, as one const table for both vendors. An MSR that is not in it
 * raises #GP. The backends' permission bitmaps are generated from the rows that say PASS.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/api/backend.h"
#include "hv/base/bits.h"

enum msr_action {
	MSR_ACT_FAULT = 0,    /* #GP: absent */
	MSR_ACT_PASS,	      /* the guest reaches its own copy without an exit */
	MSR_ACT_REGISTER,     /* kept by the backend: `arg` is an enum vcpu_reg */
	MSR_ACT_CONST,	      /* reads `value`, writes are ignored */
	MSR_ACT_CONST_STRICT, /* reads `value`, writes raise #GP */
	MSR_ACT_WRITE_ONLY,   /* writes are ignored, reads raise #GP */
	MSR_ACT_MTRR,	      /* stored per VM, valid types only */
	MSR_ACT_EFER,
	MSR_ACT_PAT,
	MSR_ACT_TSC,
	MSR_ACT_TSC_ADJUST,
	MSR_ACT_TSC_AUX,
	MSR_ACT_TSC_DEADLINE,
	MSR_ACT_APIC_BASE,
	MSR_ACT_X2APIC,
	MSR_ACT_MISC_ENABLE, /* kept in struct vcpu, without effect */
	MSR_ACT_MICROCODE,   /* revision: write 0 is allowed, reads `value` */
	MSR_ACT_PV,	     /* hv/pv_msr.c */
	MSR_ACT_HYPERV,	     /* hv/hyperv.c */
	MSR_ACT_WINDOWS,     /* as CONST for guests with `hyperv = on`, absent for others */
	MSR_ACT_COUNT
};

struct msr_rule {
	uint32_t first;
	uint32_t last; /* inclusive */
	enum msr_action action;
	uint32_t arg;
	uint64_t value;
	const char *why; /* for rows that tolerate an MSR the machine does not have */
};

/* The rule for an MSR; NULL means #GP. */
const struct msr_rule *msr_rule_find(uint32_t index);
/* All rules in ascending order, for tests and `info`. */
const struct msr_rule *msr_rules(size_t *count);
/* The runs that need no exit; ends with count 0. */
const struct msr_pass_range *msr_pass_ranges(void);

/* MTRRs: stored, honoured by nobody but the guest itself (its memory is write-back throughout). */
#define MTRR_VARIABLE_COUNT 8u
#define MTRR_FIXED_COUNT 11u

struct mtrr_store {
	uint64_t variable[2 * MTRR_VARIABLE_COUNT];
	uint64_t fixed[MTRR_FIXED_COUNT];
	uint64_t def_type;
};

/* MTRRs enabled, everything write-back: what firmware leaves behind. */
void mtrr_reset(struct mtrr_store *m);
/* False when the MSR does not exist here or the value is not allowed: #GP. `phys_bits` 32..52. */
bool mtrr_read(const struct mtrr_store *m, uint32_t index, uint64_t *value);
bool mtrr_write(struct mtrr_store *m, uint32_t index, uint64_t value, unsigned phys_bits);

/* IA32_MISC_ENABLE after reset: fast strings on; no branch trace, no precise event sampling. */
#define MISC_ENABLE_RESET (BIT(0) | BIT(11) | BIT(12))
/* Takes a guest's write over; false: reserved bits, #GP. */
bool misc_enable_write(uint64_t *reg, uint64_t value);

/* Whether each byte of an IA32_PAT value is a memory type the SDM allows. */
bool pat_valid(uint64_t value);
