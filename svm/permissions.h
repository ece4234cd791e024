/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two bitmaps by which the CPU decides whether RDMSR/WRMSR and IN/OUT exit, generated from the
 * policy's lists. A set bit means exit; whatever the maps do not cover exits too.
 *
 * Sources: AMD APM volume 2 "MSR Intercepts" and "IOIO Intercepts".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/backend.h"

/* Two bits per MSR (read, write); 2 KiB for each of three ranges, 2 KiB unused. */
#define SVM_MSRPM_SIZE 0x2000u
/* One bit per port; the third page stands for accesses that run past port 0xffff. */
#define SVM_IOPM_SIZE 0x3000u

/*
 * Fills `map` (SVM_MSRPM_SIZE bytes): exit everywhere but in `pass` (NULL: none). MSRs outside the
 * ranges that the map covers, and those with which a guest could reach the host's SVM state, exit
 * whatever the list says.
 */
void svm_msrpm_build(uint8_t *map, const struct msr_pass_range *pass);
/* Whether the map lets a guest access this MSR without an exit. */
bool svm_msrpm_passes(const uint8_t *map, uint32_t index, bool write);

/* Fills `map` (SVM_IOPM_SIZE bytes): exit everywhere but in `pass` (NULL: none). */
void svm_iopm_build(uint8_t *map, const struct port_pass_range *pass);
