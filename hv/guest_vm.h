/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine of a guest, in steps that are bounded so that the other guests run on. For
 * hv/guest.c, which owns the guest's life.
 */
#pragma once

#include "hv/guest.h"

/* The memory that one step takes, loads or gives back: about a millisecond on real hardware. */
#define GUEST_STEP_BYTES MIB(8)

/*
 * One step of STARTING, as g->phase says; true: more to do. After the last one the guest is
 * RUNNING. A failure stops it, with the reason.
 */
bool guest_vm_step(struct guest *g);
/* Gives back everything but the RAM; what does not exist is passed over. */
void guest_vm_destroy(struct guest *g);
