/* SPDX-License-Identifier: Apache-2.0 */
/* NICs of guests. */
#include "hv/guest_net.h"

#include "hv/base/fmt.h"
#include "mm/pool.h"

static void release(struct guest_nic *nic)
{
	nic->guest->nics[nic->index] = NULL;
	pool_free(nic, sizeof(*nic));
}

/* --- boot programs --- */

/* A place on the board for the NIC, with its ROM. */
static enum hv_status place(struct guest_nic *nic, struct pci_device_config *out)
{
	struct guest *g = nic->guest;
	enum hv_status status =
		guest_rom_create(g, nic->index, &g->nic_roms[nic->index], &nic->rom, &out->rom);

	return status == HV_OK ? board_place_pci(g->board, out) : status;
}

const char *guest_net_rom_problem(enum config_nic model, const struct guest_file *rom)
{
	static const struct pci_rom_card cards[CONFIG_NIC_COUNT] = {
		[CONFIG_NIC_VIRTIO] = {VIRTIO_VENDOR, VIRTIO_DEVICE_BASE + VIRTIO_TYPE_NET},
		[CONFIG_NIC_E1000] = {E1000_VENDOR, E1000_DEVICE_82540EM},
		[CONFIG_NIC_E1000E] = {E1000_VENDOR, E1000_DEVICE_82574L},
	};
	const struct pci_rom bytes = {.data = rom->data, .size = rom->size};

	return rom->size == 0 ? NULL : pci_rom_problem(&bytes, &cards[model]);
}

void guest_net_boot_path(const struct guest *g, unsigned index, char *out, size_t cap)
{
	(void)fmt_snprintf(out, cap, "/pci@i0cf8/ethernet@%x/ethernet-phy@0",
			   g->nics[index]->pci->devfn / 8);
}

/* --- virtio --- */

static struct guest_nic *of_virtio(struct pci_device *d)
{
	return container_of(d, struct guest_nic, virtio.virtio.pci);
}

/* Nobody delivers once it is disconnected; what has been delivered is let go then. */
static void stop_virtio(struct pci_device *d)
{
	struct guest_nic *nic = of_virtio(d);

	network_disconnect(nic->port);
	virtio_net_stop(&nic->virtio);
}

static void release_virtio(struct pci_device *d)
{
	release(of_virtio(d));
}

static enum hv_status put_virtio(struct guest_nic *nic, const struct config_net *c,
				 const struct network *network)
{
	static const struct board_pci_owner owner = {stop_virtio, release_virtio};
	struct guest *g = nic->guest;
	struct virtio_pci_wiring wiring = {.vm = &g->vm, .guest = g->vm.name};
	const struct virtio_net_config cfg = {
		.mac = c->mac,
		.mac_fixed = !network->cfg.any_mac,
		.work = &g->vm.work,
		.time = &g->vm.time,
	};
	enum hv_status status = place(nic, &wiring.place);

	if (status == HV_OK) {
		status = virtio_net_init(&nic->virtio, &cfg, &wiring);
	}
	if (status == HV_OK) {
		nic->port = &nic->virtio.port;
		nic->pci = &nic->virtio.virtio.pci;
		nic->tx_malformed = &nic->virtio.tx_malformed;
		board_add_pci(g->board, &nic->virtio.virtio.pci, &nic->virtio.saved, &owner);
	}
	return status;
}

/* --- Intel's --- */

static struct guest_nic *of_e1000(struct pci_device *d)
{
	return container_of(d, struct guest_nic, e1000.pci);
}

static void stop_e1000(struct pci_device *d)
{
	struct guest_nic *nic = of_e1000(d);

	network_disconnect(nic->port);
	e1000_stop(&nic->e1000);
}

static void release_e1000(struct pci_device *d)
{
	release(of_e1000(d));
}

static enum hv_status put_e1000(struct guest_nic *nic, const struct config_net *c,
				enum e1000_kind kind)
{
	static const struct board_pci_owner owner = {stop_e1000, release_e1000};
	struct guest *g = nic->guest;
	struct e1000_config cfg = {
		.kind = kind,
		.mac = c->mac,
		.vm = &g->vm,
		.work = &g->vm.work,
		.time = &g->vm.time,
	};
	enum hv_status status = place(nic, &cfg.place);

	if (status == HV_OK) {
		status = e1000_init(&nic->e1000, &cfg);
	}
	if (status == HV_OK) {
		nic->port = &nic->e1000.port;
		nic->pci = &nic->e1000.pci;
		nic->tx_malformed = &nic->e1000.tx_malformed;
		board_add_pci(g->board, &nic->e1000.pci, &nic->e1000.saved, &owner);
	}
	return status;
}

static enum hv_status put_82540em(struct guest_nic *nic, const struct config_net *c,
				  const struct network *network)
{
	(void)network;
	return put_e1000(nic, c, E1000_82540EM);
}

static enum hv_status put_82574l(struct guest_nic *nic, const struct config_net *c,
				 const struct network *network)
{
	(void)network;
	return put_e1000(nic, c, E1000_82574L);
}

/* --- all of them --- */

/* Puts a NIC of this model on the board. */
static enum hv_status (*const models[])(struct guest_nic *nic, const struct config_net *c,
					const struct network *network) = {
	[CONFIG_NIC_VIRTIO] = put_virtio,
	[CONFIG_NIC_E1000] = put_82540em,
	[CONFIG_NIC_E1000E] = put_82574l,
};

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
	status = models[c->model](nic, c, network);
	if (status != HV_OK) {
		pool_free(nic, sizeof(*nic));
		return status;
	}
	g->nics[index] = nic;
	port.name = nic->name;
	return network_connect(network, nic->port, &port);
}

enum hv_status guest_net_create(struct guest *g)
{
	enum hv_status status = HV_OK;

	for (unsigned i = 0; i < g->config->net_count && status == HV_OK; i++) {
		status = create(g, i);
	}
	return status;
}
