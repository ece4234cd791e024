/* SPDX-License-Identifier: Apache-2.0 */
/* The job that takes a guest's devices through saving, reset and loading. */
#include "hv/guest_reload.h"

#include "hv/api/clock.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "hv/run.h"
#include "mm/pool.h"
#include "mm/space.h"

/* Disks that have not answered by then do not. */
#define QUIET_NS 10000000000ull

/* What was saved, and what is saved of it when it has been loaded. */
struct states {
	size_t bytes;
	uint8_t *before;
	uint8_t *after;
};

static bool allocate(struct states *s, const struct saved_set *set)
{
	s->bytes = saved_size(set);
	s->before = pool_alloc(s->bytes);
	s->after = pool_alloc(s->bytes);
	return s->before != NULL && s->after != NULL;
}

static void release(struct states *s)
{
	pool_free(s->before, s->bytes);
	pool_free(s->after, s->bytes);
}

/* The record with the first byte that differs; NULL: none does. */
static const struct saved_record *first_difference(const struct states *s)
{
	size_t at = sizeof(struct saved_head);

	for (;;) {
		size_t begin = at;
		const struct saved_record *r = saved_next_record(s->before, s->bytes, &at);

		if (r == NULL || memcmp(r, s->after + begin, at - begin) != 0) {
			return r;
		}
	}
}

/* Nothing is lost of a guest whose state is refused: that is known before the reset. */
static bool put_through(const struct saved_set *set, const struct states *s, char *error,
			size_t cap)
{
	saved_save(set, s->before);
	if (!saved_check(set, s->before, s->bytes, error, cap)) {
		return false;
	}
	saved_reset(set);
	return saved_load(set, s->before, s->bytes, error, cap);
}

/* In the VM's space. Whether the devices are what they were. */
static bool go_through(struct guest *g, const struct states *s)
{
	const struct saved_record *r;
	char error[160];

	if (!put_through(&g->vm.saved, s, error, sizeof(error))) {
		log_event("guest %s: reload: %s", g->vm.name, error);
		return false;
	}
	saved_save(&g->vm.saved, s->after);
	r = first_difference(s);
	if (r != NULL) {
		log_event("guest %s: reload: '%c%c%c%c' %u is not what it was", g->vm.name,
			  (char)r->kind, (char)(r->kind >> 8), (char)(r->kind >> 16),
			  (char)(r->kind >> 24), r->instance);
	}
	return r == NULL;
}

static void reload(struct guest *g)
{
	struct states s;

	if (!allocate(&s, &g->vm.saved)) {
		log_event("guest %s: reload: no memory for the state of its devices", g->vm.name);
	} else if (go_through(g, &s)) {
		g->reload.count++;
		log_event("guest %s: reload %lu: %u devices, %zu bytes", g->vm.name,
			  g->reload.count, ((const struct saved_head *)(void *)s.before)->records,
			  s.bytes);
	}
	release(&s);
}

/* What completes elsewhere ends here, as no vCPU comes to do it. Whether all is quiet. */
static bool becomes_quiet(struct guest *g)
{
	const struct saved_device *busy = NULL;

	if (!vwork_run(&g->vm.work) && saved_quiet(&g->vm.saved, &busy)) {
		return true;
	}
	if (clock_ticks_to_ns(clock_now() - g->reload.since) > QUIET_NS) {
		log_event("guest %s: reload: given up, %s %u does not become quiet", g->vm.name,
			  busy != NULL ? busy->ops->name : "device",
			  busy != NULL ? busy->instance : 0);
		g->reload.active = false;
	}
	return false;
}

static bool step(struct work *w)
{
	struct guest *g = container_of(w, struct guest, reload.work);
	bool quiet;

	if (g->state != GUEST_PAUSED || g->wants_end) {
		g->reload.active = false; /* it ends */
		return false;
	}
	space_switch(&g->vm.gspace.host);
	quiet = becomes_quiet(g);
	if (quiet) {
		reload(g);
		g->reload.active = false;
	}
	space_switch(space_core());
	if (!g->reload.active) {
		guest_thaw(g);
	}
	return g->reload.active;
}

void guest_reload_init(struct guest *g)
{
	work_init(&g->reload.work, step);
}

enum hv_status guest_reload(struct guest *g)
{
	if (g->state != GUEST_RUNNING || g->reload.active) {
		return HV_E_BUSY;
	}
	guest_freeze(g);
	run_settle_timers();
	g->reload.active = true;
	g->reload.since = clock_now();
	work_start(&g->reload.work);
	return HV_OK;
}
