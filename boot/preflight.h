/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this machine can run Bulkhead, decided before anything is changed; a refusal says what
 * is missing and what a person can do about it.
 */
#pragma once

#include "boot/cpu_facts.h"

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

struct preflight_verdict preflight_check(const struct cpu_facts *facts);
