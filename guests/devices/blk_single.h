/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at the disk at a time, for models that do one thing after the other.
 *
 *	send --blk_submit--> disk --+-- at once: send says so
 *	                            +-- later, on any CPU, in any space: the owner's work is asked
 *	                                for, which collects
 *
 * A reset of the model does not wait: what comes back after blk_single_abandon is dropped.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"
#include "hv/api/vwork.h"

/* Covered by the owner's lock, but for what is atomic. */
struct blk_single {
	struct blk_request r;
	struct vwork *work; /* the owner's, that collects, */
	unsigned vcpu;	    /* and which one had better do it */
	bool open;  /* the disk has the request, or the owner has not seen that it is back */
	bool stale; /* and nobody waits for it any more */
	_Atomic uint32_t state;
	uint64_t opened; /* requests that were not done at once */
	_Atomic uint64_t closed;
};

void blk_single_init(struct blk_single *s, struct vwork *work, unsigned vcpu);
/*
 * Hands a copy of the request to the disk; none is open. `done` need not be set. True: it is back,
 * r.status says how.
 */
bool blk_single_send(struct blk_single *s, struct blk_device *d,
		     const struct blk_request *r) HV_MUST_CHECK;
/* Whether a request is back that somebody waits for. */
bool blk_single_collect(struct blk_single *s) HV_MUST_CHECK;
/* Nobody waits for it any more; while it is open it keeps its buffer. */
void blk_single_abandon(struct blk_single *s);
/* Without the lock, when nothing more is sent: whether the disk is done with all that was open. */
bool blk_single_is_idle(const struct blk_single *s);
