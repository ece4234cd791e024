/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small virtio devices of a guest: random bytes (`rng`), a balloon (`balloon`), and a console
 * in COM1's place (`serial = virtio`). They come and go with its VM.
 */
#pragma once

#include <stddef.h>

#include "hv/guest.h"

/*
 * Puts what g->config wants on the board; before the guest runs. What was done before a failure
 * goes with the board. HV_E_NO_MEMORY; HV_E_RANGE: the board is full.
 */
enum hv_status guest_virtio_create(struct guest *g) HV_MUST_CHECK;
/* Bytes for the virtio console, which the guest has; `ctx` is the guest. Returns how many it took.
 */
size_t guest_virtio_input(void *ctx, const char *data, size_t n);
