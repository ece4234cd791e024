/* SPDX-License-Identifier: Apache-2.0 */
/* Building the core space: what mm/init.c asks of mm/space.c. Not for other folders. */
#pragma once

#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"
#include "mm/ptw.h"

/* Makes the core's root and the second-level tables of all its areas, for memory below `top`. */
enum hv_status core_init(uint64_t top) HV_MUST_CHECK;
enum hv_status core_map(uint64_t va, hpa_t pa, uint64_t size, struct pt_attr attr) HV_MUST_CHECK;
enum hv_status core_unmap(uint64_t va, uint64_t size) HV_MUST_CHECK;
/* As pool_map_fn: a chunk of the pool into the direct window, from the reserve alone. */
enum hv_status core_map_direct(hpa_t base, uint64_t size) HV_MUST_CHECK;
