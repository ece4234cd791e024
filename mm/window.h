/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-CPU temporary window: the only way the hypervisor touches a frame that is mapped nowhere,
 * to zero it or to copy it (copy-on-write). One 2 MiB window and one 4 KiB window per CPU; a
 * mapping lives for the length of one call here.
 *
 * mm/window.c maps through the host tables; host programs link tests/fakes/window.c.
 */
#pragma once

#include <stdint.h>

#include "hv/base/addr.h"

/* Zeroes [base, base + size), both multiples of 4 KiB. */
void window_zero(hpa_t base, uint64_t size);
/* Copies one 4 KiB frame. */
void window_copy_frame(hpa_t dst, hpa_t src);
