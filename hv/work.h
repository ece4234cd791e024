/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long jobs of the hypervisor itself (filling a guest's memory, giving it back) cut into steps of
 * at most a few milliseconds, which the run loop takes one at a time between the slices of the
 * guests. There are no threads inside the hypervisor; this is what it has instead.
 */
#pragma once

#include <stdbool.h>

#include "hv/base/list.h"

struct work {
	struct list_node node;
	/* Does a bounded piece; false when the job is done. May free the work. */
	bool (*step)(struct work *w);
};

void work_init(struct work *w, bool (*step)(struct work *w));
/* Queues the job; harmless when it is queued already. */
void work_start(struct work *w);
/* Whether a job waits. */
bool work_pending(void);
/* Takes one step of the job in front and sends it to the back of the queue. */
void work_step(void);
