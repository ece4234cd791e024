/* SPDX-License-Identifier: Apache-2.0 */
/* From `network = lan, uplink=00:02.0` to a card that sends and receives. */
#include "hv/setup_uplink.h"

#include "drivers/nic.h"
#include "hv/base/log.h"
#include "hv/config.h"
#include "hv/config_net.h"
#include "hv/net/switch.h"

static struct host_nic *find(const struct config_network *c)
{
	return c->uplink == CONFIG_UPLINK_MAC ? host_nic_by_mac(&c->mac)
					      : host_nic_by_pci(c->segment, c->bus, c->devfn);
}

/* Connected first: frames come as soon as the card has started. */
static enum hv_status use(struct network *network, struct host_nic *nic)
{
	const struct network_port_config cfg = {.name = nic->name, .uplink = true};
	enum hv_status status;

	/* Another network may name the same card in another way. */
	if (nic->state != NIC_OFF) {
		return HV_E_EXISTS;
	}
	status = network_connect(network, &nic->port, &cfg);
	if (status != HV_OK) {
		return status;
	}
	status = host_nic_start(nic);
	if (status != HV_OK) {
		network_disconnect(&nic->port);
	}
	return status;
}

static void setup_uplink(const struct config_network *c)
{
	struct network *network = network_find(span_of(c->net.name));
	struct host_nic *nic = find(c);
	enum hv_status status = HV_E_NOT_FOUND;
	char wanted[32];

	config_format_uplink(c, wanted);
	if (network == NULL) {
		return; /* setup_networks has said why */
	}
	if (nic != NULL) {
		status = use(network, nic);
	}
	if (status == HV_OK) {
		log_info("network %s: uplink %s", c->net.name, nic->name);
	} else {
		log_event("network %s: no uplink: network card %s: %s", c->net.name, wanted,
			  hv_status_name(status));
	}
}

void setup_uplinks(const struct machine_config *machine)
{
	for (unsigned i = 0; i < machine->network_count; i++) {
		if (machine->networks[i].uplink != CONFIG_UPLINK_NONE) {
			setup_uplink(&machine->networks[i]);
		}
	}
}
