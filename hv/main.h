/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's C entry point, called by hv/cpu/entry.S on the boot CPU. */
#pragma once

#include <stdnoreturn.h>

#include "boot/handoff.h"

/* `handoff` lies in the loader's direct window. */
noreturn void hv_main(const struct handoff *handoff);
