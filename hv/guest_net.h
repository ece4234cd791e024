/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NICs of a guest: devices on its board, connected to the networks that its configuration
 * names. They come and go with its VM.
 */
#pragma once

#include "guests/devices/virtio_net.h"
#include "hv/guest.h"

struct guest_nic {
	struct virtio_net device;
	struct guest *guest;
	unsigned index;			/* among the guest's NICs */
	char name[CONFIG_NAME_MAX + 4]; /* "web/0" */
};

/*
 * Puts the NICs of g->config on the board and connects them; before the guest runs. What was done
 * before a failure goes with the board. HV_E_NO_MEMORY; HV_E_RANGE: the board is full; as
 * network_connect.
 */
enum hv_status guest_net_create(struct guest *g) HV_MUST_CHECK;
