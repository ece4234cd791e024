/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM that a running guest gives back through its balloon (hv/guest_virtio.c): frames go when no
 * CPU knows of them any more, which is a job of several steps (mm/gspace.h tells which).
 */
#pragma once

#include "hv/guest.h"

/* Before its first start. */
void guest_memory_init(struct guest *g);
/* As gspace_release; the rest follows by itself. By a vCPU of the guest, in its space. */
enum hv_status guest_memory_release(void *ctx, uint64_t base, uint64_t size,
				    uint64_t *done) HV_MUST_CHECK;
/* Begins what guest_memory_release has asked for. With the baton. */
void guest_memory_wanted(struct guest *g);
