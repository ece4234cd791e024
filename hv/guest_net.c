/* SPDX-License-Identifier: Apache-2.0 */
/* NICs of guests. */
#include "hv/guest_net.h"

#include "hv/base/fmt.h"
#include "mm/pool.h"

static struct guest_nic *nic_of(struct pci_device *d)
{
	return container_of(d, struct guest_nic, device.virtio.pci);
}

/* Nobody delivers once it is disconnected; what has been delivered is let go then. */
static void stop(struct pci_device *d)
{
	struct guest_nic *nic = nic_of(d);

	network_disconnect(&nic->device.port);
	virtio_net_stop(&nic->device);
}

static void release(struct pci_device *d)
{
	struct guest_nic *nic = nic_of(d);

	nic->guest->nics[nic->index] = NULL;
	pool_free(nic, sizeof(*nic));
}

static const struct board_pci_owner owner = {stop, release};

static enum hv_status put_on_board(struct guest_nic *nic, const struct config_net *c,
				   const struct network *network)
{
	struct guest *g = nic->guest;
	struct virtio_pci_wiring wiring = {.vm = &g->vm, .guest = g->vm.name};
	const struct virtio_net_config cfg = {
		.mac = c->mac,
		.mac_fixed = !network->cfg.any_mac,
		.work = &g->vm.work,
		.time = &g->vm.time,
	};
	enum hv_status status = board_place_pci(g->board, &wiring.place);

	if (status == HV_OK) {
		status = virtio_net_init(&nic->device, &cfg, &wiring);
	}
	if (status == HV_OK) {
		board_add_pci(g->board, &nic->device.virtio.pci, &owner);
		g->nics[nic->index] = nic;
	}
	return status;
}

static enum hv_status create(struct guest *g, unsigned index)
{
	const struct config_net *c = &g->config->nets[index];
	struct network *network = network_find(span_of(c->network));
	struct guest_nic *nic = network != NULL ? pool_alloc(sizeof(*nic)) : NULL;
	struct network_port_config port = {.isolated = c->isolated, .rate = c->rate};
	enum hv_status status;

	if (nic == NULL) {
		return network == NULL ? HV_E_NOT_FOUND : HV_E_NO_MEMORY;
	}
	nic->guest = g;
	nic->index = index;
	fmt_snprintf(nic->name, sizeof(nic->name), "%s/%u", g->vm.name, index);
	status = put_on_board(nic, c, network);
	if (status != HV_OK) {
		pool_free(nic, sizeof(*nic));
		return status;
	}
	port.name = nic->name;
	return network_connect(network, &nic->device.port, &port);
}

enum hv_status guest_net_create(struct guest *g)
{
	enum hv_status status = HV_OK;

	for (unsigned i = 0; i < g->config->net_count && status == HV_OK; i++) {
		status = create(g, i);
	}
	return status;
}
