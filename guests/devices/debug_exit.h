/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug-exit port: what is written there ends the guest with that status. As QEMU's
 * isa-debug-exit it decodes four ports and reads zero; there the emulator's exit code becomes
 * status * 2 + 1, here the status is passed on as it is.
 */
#pragma once

#include "hv/api/vdev.h"

#define DEBUG_EXIT_PORT 0xf4u
#define DEBUG_EXIT_PORTS 4u

struct debug_exit_config {
	void (*end)(void *ctx, uint32_t status);
	void *ctx;
};

struct debug_exit {
	struct vdev dev;
	struct debug_exit_config cfg;
};

void debug_exit_init(struct debug_exit *d, const struct debug_exit_config *cfg);
