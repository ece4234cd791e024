/* SPDX-License-Identifier: Apache-2.0 */
/* Long jobs, one bounded step at a time. */
#include "hv/work.h"

#include "hv/run.h"

static struct list_node jobs = {&jobs, &jobs};

void work_init(struct work *w, bool (*step)(struct work *w))
{
	list_init(&w->node);
	w->step = step;
}

void work_start(struct work *w)
{
	if (list_empty(&w->node)) {
		list_append(&jobs, &w->node);
		run_chore(RUN_CHORE_WORK);
	}
}

bool work_pending(void)
{
	return !list_empty(&jobs);
}

void work_step(void)
{
	struct work *w;

	if (list_empty(&jobs)) {
		return;
	}
	w = list_entry(jobs.next, struct work, node);
	list_remove(&w->node);
	if (w->step(w)) {
		work_start(w);
	}
}
