/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NICs of a guest: devices on its board, connected to the networks that its configuration
 * names. They come and go with its VM.
 */
#pragma once

#include "guests/devices/e1000.h"
#include "guests/devices/virtio_net.h"
#include "hv/guest.h"
#include "hv/guest_devmem.h"

struct guest_nic {
	union { /* by the model that its configuration names */
		struct virtio_net virtio;
		struct e1000 e1000;
	};
	/* Of either: const once it is on the board. */
	struct net_port *port;
	const struct pci_device *pci;
	const _Atomic uint64_t *tx_malformed;
	struct guest *guest;
	struct guest_rom rom;
	unsigned index;			/* among the guest's NICs */
	char name[CONFIG_NAME_MAX + 4]; /* "web/0" */
};

/*
 * Puts the NICs of g->config on the board and connects them; before the guest runs. What was done
 * before a failure goes with the board. HV_E_NO_MEMORY; HV_E_RANGE: the board is full; as
 * network_connect.
 */
enum hv_status guest_net_create(struct guest *g) HV_MUST_CHECK;
/*
 * What is wrong with a ROM for a NIC of this model, as the end of a sentence; NULL: nothing, or
 * there is none.
 */
const char *guest_net_rom_problem(enum config_nic model, const struct guest_file *rom);
/* NIC `index`, which is on the board, as fw_cfg's boot order has it. */
void guest_net_boot_path(const struct guest *g, unsigned index, char *out, size_t cap);
