/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-CPU temporary window: the only way the hypervisor touches a frame that is mapped nowhere,
 * to zero it or to copy it (copy-on-write). One 2 MiB window and two 4 KiB windows per CPU; a
 * mapping lives for the length of one call here.
 */
#pragma once

#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"
#include "mm/ptw.h"

/* Makes the tables of all CPUs' windows in the core. Called once, by mm_init. */
enum hv_status window_init(struct pt *core) HV_MUST_CHECK;
/* Zeroes [base, base + size), both multiples of 4 KiB. */
void window_zero(hpa_t base, uint64_t size);
/* Copies one 4 KiB frame. */
void window_copy_frame(hpa_t dst, hpa_t src);
