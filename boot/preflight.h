/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this machine can run Bulkhead, decided before anything is changed; a refusal says what
 * is missing and what a person can do about it.
 */
#pragma once

#include "boot/cpu_facts.h"

/* Backends the hypervisor image was built with. */
#define PREFLIGHT_SVM 1u
#define PREFLIGHT_VMX 2u

enum preflight_result {
	PREFLIGHT_GO_SVM,
	PREFLIGHT_GO_VMX,
	PREFLIGHT_REFUSED,
};

struct preflight_verdict {
	enum preflight_result result;
	const char *reason; /* one line; of a refusal what is missing, else what was found */
	const char *remedy; /* one line; NULL unless refused */
};

/* `backends` is a set of PREFLIGHT_SVM and PREFLIGHT_VMX. */
struct preflight_verdict preflight_check(const struct cpu_facts *facts, unsigned backends);
