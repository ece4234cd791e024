/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bitmaps by which the CPU decides whether RDMSR/WRMSR and IN/OUT exit, generated from the
 * policy's lists. A set bit means exit; MSRs that the map does not cover exit too.
 *
 * Source: Intel SDM volume 3 "MSR-Bitmap Address" and "I/O-Bitmap Addresses".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/backend.h"

/* 1 KiB each: reads of MSRs 0 on, reads of 0xc0000000 on, writes of both. */
#define VMX_MSRPM_SIZE 0x1000u
/* One bit per port: bitmaps A and B side by side. */
#define VMX_IOPM_SIZE 0x2000u

/*
 * Fills `map` (VMX_MSRPM_SIZE bytes): exit everywhere but in `pass` (NULL: none). MSRs that the map
 * does not cover, and EFER, exit whatever the list says.
 */
void vmx_msrpm_build(uint8_t *map, const struct msr_pass_range *pass);
/* Adds `pass` to what the map lets through. */
void vmx_msrpm_pass(uint8_t *map, const struct msr_pass_range *pass);
/* Whether the map lets a guest access this MSR without an exit. */
bool vmx_msrpm_passes(const uint8_t *map, uint32_t index, bool write);

/* Fills `map` (VMX_IOPM_SIZE bytes): exit everywhere but in `pass` (NULL: none). */
void vmx_iopm_build(uint8_t *map, const struct port_pass_range *pass);
