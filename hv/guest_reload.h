/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A diagnostic: all devices of a running guest are saved, reset, and loaded again, and the guest
 * goes on. What a device forgets to save shows at once. Memory and vCPUs stay as they are.
 *
 *	hold the vCPUs, stop time -> work until all devices are quiet -> save, reset, load -> go on
 *
 * Everything here is called with the baton.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/base/status.h"
#include "hv/work.h"

struct guest;

/* Of one guest; owned by hv/guest_reload.c. */
struct guest_reload {
	struct work work;
	bool active;
	uint64_t since; /* host ticks at its begin */
	uint64_t count; /* reloads of this guest, ever */
};

void guest_reload_init(struct guest *g);
/*
 * Begins it; an event line tells the end. HV_E_BUSY: the guest is not running, or one is under way.
 */
enum hv_status guest_reload(struct guest *g) HV_MUST_CHECK;
