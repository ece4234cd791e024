/* SPDX-License-Identifier: Apache-2.0 */
/* Frames through a virtio NIC. Source: VIRTIO 1.2, "Network Device". */
#include "tests/payloads/rt_net.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define HDR_BYTES ((uint32_t)sizeof(struct virtio_net_hdr))
#define AWAIT_US 1000000u
#define COMMAND_OK 0u

static void give_slot(struct rt_nic *n, uint16_t slot)
{
	const struct rt_buffer b = {rt_address(n->slots[slot]), RT_NIC_SLOT_BYTES, true};

	rt_queue_put(&n->rx, slot, &b, 1);
}

void rt_nic_start(struct rt_nic *n, uint64_t features)
{
	rt_virtio_start(&n->device, features);
	for (unsigned i = 0; i < NET_MAC_BYTES; i++) {
		n->mac[i] = mmio_read8(n->device.special + i);
	}
	rt_queue_open(&n->rx, &n->device, RT_NIC_RX, &n->rings[RT_NIC_RX]);
	rt_queue_open(&n->tx, &n->device, RT_NIC_TX, &n->rings[RT_NIC_TX]);
	if (rt_virtio_has(&n->device, 17)) {
		rt_queue_open(&n->ctrl, &n->device, RT_NIC_CTRL, &n->rings[RT_NIC_CTRL]);
	}
	for (uint16_t i = 0; i < RT_NIC_SLOTS; i++) {
		give_slot(n, i);
	}
	rt_virtio_ready(&n->device);
	rt_queue_tell(&n->rx);
}

void rt_nic_open(struct rt_nic *n, unsigned nth, uint64_t features)
{
	EXPECT(rt_virtio_find(&n->device, VIRTIO_TYPE_NET, nth), "there is no NIC %u", nth);
	rt_nic_start(n, features);
}

void rt_nic_send(struct rt_nic *n, const struct virtio_net_hdr *h, const uint8_t *frame,
		 uint32_t bytes)
{
	const struct rt_buffer b[] = {{rt_address(&n->out), HDR_BYTES, false},
				      {rt_address(frame), bytes, false}};

	n->out = *h;
	rt_queue_put(&n->tx, 0, b, ARRAY_SIZE(b));
	rt_queue_tell(&n->tx);
	(void)rt_queue_wait(&n->tx);
}

/* The rest of a frame in a further buffer; where it ends then. */
static uint32_t add_buffer(struct rt_nic *n, const struct virtq_used_elem *e, uint32_t at,
			   uint32_t skip)
{
	EXPECT(e->id < RT_NIC_SLOTS && e->len >= skip && e->len <= RT_NIC_SLOT_BYTES &&
		       at + e->len - skip <= sizeof(n->frame),
	       "buffer %u with %u bytes", e->id, e->len);
	memcpy(n->frame + at, n->slots[e->id] + skip, e->len - skip);
	give_slot(n, (uint16_t)e->id);
	return at + e->len - skip;
}

bool rt_nic_receive(struct rt_nic *n, uint32_t *bytes)
{
	struct virtq_used_elem e;
	unsigned more = 0;

	if (!rt_queue_take(&n->rx, &e)) {
		return false;
	}
	EXPECT(e.id < RT_NIC_SLOTS, "buffer %u", e.id);
	memcpy(&n->header, n->slots[e.id], HDR_BYTES);
	*bytes = add_buffer(n, &e, 0, HDR_BYTES);
	if ((n->device.features & RT_NIC_MRG_RXBUF) != 0) {
		more = n->header.num_buffers - 1u;
	}
	for (; more > 0; more--) {
		/* All of a frame comes at once. */
		EXPECT(rt_queue_take(&n->rx, &e), "%u buffers of a frame are missing", more);
		*bytes = add_buffer(n, &e, *bytes, 0);
	}
	rt_queue_tell(&n->rx);
	return true;
}

bool rt_nic_await(struct rt_nic *n, uint32_t *bytes)
{
	uint64_t end = rdtsc() + rt_us_to_tsc(AWAIT_US);

	while (!rt_nic_receive(n, bytes)) {
		(void)pm_timer();
		if ((int64_t)(end - rdtsc()) <= 0) {
			return false;
		}
	}
	return true;
}

bool rt_nic_command(struct rt_nic *n, uint8_t class_code, uint8_t command, uint8_t value)
{
	const uint8_t bytes[] = {class_code, command, value};
	uint8_t ack = ~COMMAND_OK & 0xff;
	const struct rt_buffer b[] = {{rt_address(bytes), sizeof(bytes), false},
				      {rt_address(&ack), sizeof(ack), true}};

	rt_queue_put(&n->ctrl, 0, b, ARRAY_SIZE(b));
	rt_queue_tell(&n->ctrl);
	(void)rt_queue_wait(&n->ctrl);
	return mmio_read8(rt_address(&ack)) == COMMAND_OK;
}
