/* SPDX-License-Identifier: Apache-2.0 */
/* A request on its way to the disk and back. */
#include "guests/devices/blk_single.h"

#include "hv/base/str.h"

/* States of the request. */
#define REQUEST_SENDING 0u /* blk_submit has not returned */
#define REQUEST_OPEN 1u	   /* it has; who completes the request asks for work */
#define REQUEST_DONE 2u

/* From the disk: any CPU, any space, perhaps with the owner's lock held by send. */
static void request_done(struct blk_request *r)
{
	struct blk_single *s = container_of(r, struct blk_single, r);

	if (atomic_exchange(&s->state, REQUEST_DONE) == REQUEST_SENDING) {
		return;
	}
	vwork_ask(s->work, s->vcpu);
	/* The last that is done with the owner: see blk_single_is_idle. */
	atomic_fetch_add(&s->closed, 1);
}

bool blk_single_send(struct blk_single *s, struct blk_device *d, const struct blk_request *r)
{
	s->r = *r;
	s->r.done = request_done;
	s->open = true;
	atomic_store_explicit(&s->state, REQUEST_SENDING, memory_order_relaxed);
	blk_submit(d, &s->r);
	if (atomic_exchange(&s->state, REQUEST_OPEN) == REQUEST_DONE) {
		s->open = false;
		return true;
	}
	s->opened++;
	return false;
}

bool blk_single_collect(struct blk_single *s)
{
	bool wanted = !s->stale;

	if (!s->open || atomic_load(&s->state) != REQUEST_DONE) {
		return false;
	}
	s->open = false;
	s->stale = false;
	return wanted;
}

void blk_single_abandon(struct blk_single *s)
{
	s->stale = s->open;
}

bool blk_single_is_idle(const struct blk_single *s)
{
	return s->opened == atomic_load(&s->closed);
}

void blk_single_init(struct blk_single *s, struct vwork *work, unsigned vcpu)
{
	memset(s, 0, sizeof(*s));
	s->work = work;
	s->vcpu = vcpu;
}
