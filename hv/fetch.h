/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instruction bytes at a vCPU's RIP, for hardware that gives neither length nor bytes. The last
 * translation is kept with the page-table entries it came from: as long as they all still hold the
 * same values, a walk would end at the same page, so it is as exact as a walk and costs four loads.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/api/vm.h"

/* Reads up to `want` bytes (at most INSN_BYTES_MAX); returns how many translate. */
size_t fetch_code(struct vcpu *vcpu, const struct vcpu_context *context, uint8_t *bytes,
		  size_t want);
/*
 * The first four bytes as a little-endian number; false when they are not all in one page or do not
 * translate, and fetch_code has to be asked.
 */
bool fetch_quick(struct vcpu *vcpu, const struct vcpu_context *context, uint32_t *bytes);
