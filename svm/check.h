/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why VMRUN refused a VMCB: the checks the CPU makes before it enters, as sentences. Consulted
 * after a failed entry only, for the message.
 *
 * Source: AMD APM volume 2 "Canonicalization and Consistency Checks".
 */
#pragma once

#include <stdint.h>

#include "svm/vmcb.h"

/* The first rule that `vmcb` breaks; NULL when it breaks none of those known here. */
const char *svm_check(const struct vmcb *vmcb, unsigned phys_bits);
