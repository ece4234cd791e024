/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that a device model can do only in its VM's space: what completes elsewhere (a disk of the
 * machine, a frame from another guest) is finished by one of the VM's own vCPUs before it enters
 * the guest. Asking is cheap, from anywhere and any space, and counts once until the work begins.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "hv/base/list.h"
#include "hv/base/lock.h"

struct vwork;

/* One per VM. */
struct vwork_queue {
	struct spinlock lock; /* covers the lists; nothing is taken under it */
	struct list_node waiting;
	struct list_node watching; /* of struct vwork.watch */
	_Atomic bool watched;	   /* there are some */
	/* Has vCPU `vcpu` call vwork_run soon: before its next entry, waking it if it halts. */
	void (*ask)(void *ctx, unsigned vcpu);
	void *ctx;
};

struct vwork {
	struct list_node node;
	struct vwork_queue *queue;
	void (*fn)(struct vwork *w);
	/* Called by vwork_idle while the work watches, in the VM's space, with no lock held. */
	void (*idle)(struct vwork *w);
	struct list_node watch;
	bool waiting; /* under the queue's lock */
};

void vwork_queue_init(struct vwork_queue *q, void (*ask)(void *ctx, unsigned vcpu), void *ctx);
void vwork_init(struct vwork *w, struct vwork_queue *q, void (*fn)(struct vwork *w));
/*
 * `vcpu`: which one had better do it. From anywhere, also with the device's lock held: fn runs
 * later, with no lock held, never on two CPUs for one asking; asked for again while it runs, it
 * runs again.
 */
void vwork_ask(struct vwork *w, unsigned vcpu);
/*
 * Whether `idle` is called when a vCPU is about to halt: for what had better be done then, as
 * nothing that can be put together with it comes meanwhile. `idle` is set, once, after vwork_init.
 */
void vwork_watch(struct vwork *w, bool on);
/* Whether it was asked for and has not begun. */
bool vwork_is_asked(struct vwork *w);
/* Neither waiting nor watching any more; it may still be running elsewhere. */
void vwork_cancel(struct vwork *w);
/*
 * Drops all that waits, for the end of the VM: no vCPU runs, and nobody asks any more. Devices need
 * not cancel theirs.
 */
void vwork_forget(struct vwork_queue *q);
/* What one vwork_run does at most: a piece of work may take a millisecond. */
#define VWORK_RUN_MAX 4u
/*
 * Does what waits, what was asked for first before; the VM's space is current. True: more waits,
 * and the caller has to come again, when interrupts have had a chance.
 */
bool vwork_run(struct vwork_queue *q);
/* A vCPU is about to halt; the VM's space is current. Whether anything was called. */
bool vwork_idle(struct vwork_queue *q);
