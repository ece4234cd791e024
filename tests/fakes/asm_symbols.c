/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that .S files define; host programs only pass them on. */
#include "hv/cpu/trap.h"

const char trap_stubs[256 * TRAP_STUB_SIZE];
