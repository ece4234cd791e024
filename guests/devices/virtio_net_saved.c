/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio NIC as bytes, and back. It never has to be waited for. */
#include "guests/devices/virtio_net_internal.h"
#include "hv/base/str.h"

static void save(void *dev, void *out)
{
	struct virtio_net *n = dev;
	struct virtio_net_saved *saved = out;

	virtio_pci_save(&n->virtio, &saved->transport);
	virtio_net_tx_save(n, saved);
	lock_acquire(&n->virtio.lock);
	saved->link = n->config.status;
	lock_release(&n->virtio.lock);
	lock_acquire(&n->rx_lock);
	net_filter_save(&n->filter, &saved->filter);
	lock_release(&n->rx_lock);
	saved->mac = n->port.mac;
}

static const char *check_address(const struct virtio_net *n, const struct virtio_net_saved *in)
{
	if (memcmp(&in->mac, &n->port.mac, sizeof(in->mac)) != 0) {
		return "it has another address";
	}
	return n->mac_fixed && memcmp(&in->filter.own, &in->mac, sizeof(in->mac)) != 0
		       ? "its driver took an address that is not its own"
		       : NULL;
}

static const char *check(void *dev, const void *in)
{
	const struct virtio_net *n = dev;
	const struct virtio_net_saved *saved = in;
	const char *wrong = check_address(n, saved);

	if ((saved->link & ~VIRTIO_NET_S_LINK_UP) != 0 || saved->zero != 0 ||
	    !saved_is_zero(saved->zeros, sizeof(saved->zeros))) {
		return "its link is neither up nor down";
	}
	for (unsigned i = 0; i < VIRTIO_NET_QUEUES && wrong == NULL; i++) {
		wrong = virtio_pci_saved_rests(&saved->transport, i)
				? NULL
				: "a buffer is out that it does not know";
	}
	if (wrong == NULL) {
		wrong = virtio_net_tx_check(saved);
	}
	if (wrong == NULL) {
		wrong = net_filter_check(&saved->filter);
	}
	return wrong != NULL ? wrong : virtio_pci_check(&n->virtio, &saved->transport);
}

static void load(void *dev, const void *in)
{
	struct virtio_net *n = dev;
	const struct virtio_net_saved *saved = in;

	virtio_pci_load(&n->virtio, &saved->transport);
	virtio_net_tx_load(n, saved);
	lock_acquire(&n->rx_lock);
	net_filter_load(&n->filter, &saved->filter);
	lock_release(&n->rx_lock);
	lock_acquire(&n->virtio.lock);
	n->config.status = saved->link;
	if (virtio_is_live(&n->virtio)) {
		virtio_net_activate(n);
	}
	lock_release(&n->virtio.lock);
	for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
		virtio_net_ask(n, i);
	}
}

static void reset(void *dev)
{
	pci_device_reset(&((struct virtio_net *)dev)->virtio.pci);
}

const struct saved_ops virtio_net_saved_ops = {
	.name = "virtio-net",
	.kind = SAVED_KIND('V', 'N', 'E', 'T'),
	.version = VIRTIO_NET_SAVED_VERSION,
	.bytes = sizeof(struct virtio_net_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};
