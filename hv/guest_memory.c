/* SPDX-License-Identifier: Apache-2.0 */
/* The job that frees what a guest has given back. */
#include "hv/guest_memory.h"

#include "guests/devices/virtio_balloon.h"
#include "hv/guest_vm.h"
#include "hv/run.h"

/*
 * All vCPUs flush before they enter again, and all CPUs in the space before anything is freed. The
 * requests come first: a CPU that has flushed finds them.
 */
static void begin_flush(struct guest *g)
{
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		vcpu_request(g->vm.vcpus[i], VCPU_REQ_RELEASED);
	}
	g->memory.ticket = run_flush_begin();
	g->memory.flushing = true;
}

static bool step(struct work *w)
{
	struct guest *g = container_of(w, struct guest, memory.work);

	if (g->state != GUEST_RUNNING && g->state != GUEST_PAUSED) {
		/* The end of a guest frees what is left. */
		g->memory.flushing = false;
		return false;
	}
	if (g->memory.flushing && !run_flush_done(&g->vm.gspace.host, g->memory.ticket)) {
		return true;
	}
	g->memory.flushing = false;
	switch (gspace_release_step(&g->vm.gspace, GUEST_STEP_BYTES)) {
	case GSPACE_RELEASE_FLUSH:
		begin_flush(g);
		return true;
	case GSPACE_RELEASE_AGAIN:
		virtio_balloon_room(g->balloon);
		return true;
	case GSPACE_RELEASE_DONE:
		break;
	}
	return false;
}

void guest_memory_init(struct guest *g)
{
	work_init(&g->memory.work, step);
}

enum hv_status guest_memory_release(void *ctx, uint64_t base, uint64_t size, uint64_t *done)
{
	struct guest *g = ctx;
	enum hv_status status = gspace_release(&g->vm.gspace, base, size, done);

	if (!atomic_exchange(&g->memory.wanted, true)) {
		run_chore(RUN_CHORE_GUESTS);
	}
	return status;
}

void guest_memory_wanted(struct guest *g)
{
	if (atomic_exchange(&g->memory.wanted, false)) {
		work_start(&g->memory.work);
	}
}
