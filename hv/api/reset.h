/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a CPU's registers hold after RESET, for both backends.
 *
 * Source: Intel SDM volume 3 "Processor State After Reset"; AMD APM volume 2 "Processor
 * Initialization State".
 */
#pragma once

#include <stdint.h>

#include "hv/api/vm.h"

/*
 * Puts every register and segment of `vcpu` into its state after RESET, by the backend's own
 * setters and in struct vcpu. `signature` is what RDX shows: family, model and stepping as in CPUID
 * leaf 1.
 */
void vcpu_reset_registers(struct vcpu *vcpu, uint32_t signature,
			  void (*set_reg)(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value),
			  void (*set_seg)(struct vcpu *vcpu, enum vcpu_seg seg,
					  const struct vcpu_segment *in));
