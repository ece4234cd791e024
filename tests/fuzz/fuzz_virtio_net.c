/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio NIC and a driver that does what the input says: rings with any content, notifications,
 * frames from the network, resets. What it sends goes through the switch's judgement; nothing may
 * be left over at the end.
 */
#include <stdlib.h>

#include "tests/fakes/virtio_net_rig.h"
#include "tests/fuzz/saved_input.h"

#define SIZE 16u
#define STEPS_MAX 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An address: mostly in RAM, now and then at its end, or nowhere. */
static uint64_t take_address(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (how < 0xe0) {
		return NIC_DATA + take(in, 2) % (NIC_DATA_END - NIC_DATA);
	}
	return how < 0xf0 ? RIG_RAM_END - (how & 0xfu) * 4 : take(in, 8);
}

static uint32_t take_length(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	return how < 0xc0 ? how : how < 0xf0 ? (uint32_t)take(in, 2) * 2 : (uint32_t)take(in, 4);
}

static void write_descriptor(struct input *in)
{
	const struct rig_queue *q = &rig_queues[take(in, 1) % VIRTIO_NET_QUEUES];
	unsigned index = (unsigned)take(in, 1) % SIZE;
	uint64_t addr = take_address(in);
	uint32_t len = take_length(in);
	uint32_t flags = (uint32_t)take(in, 1) & 7;

	if (q->desc != 0) {
		rig_desc(q->desc, index, addr, len, flags | (uint32_t)take(in, 1) % 20 << 16);
	}
}

static void offer(struct input *in)
{
	struct rig_queue *q = &rig_queues[take(in, 1) % VIRTIO_NET_QUEUES];

	if (q->desc != 0) {
		rig_offer(q, (uint16_t)(take(in, 1) % (SIZE + 1)));
	}
}

static void write_memory(struct input *in)
{
	uint64_t addr = NIC_DATA + take(in, 2) % (NIC_DATA_END - NIC_DATA - 8);

	rig_put(addr, take(in, 8), 8);
}

static void deliver(struct input *in)
{
	uint32_t len = NET_FRAME_MIN + (uint32_t)take(in, 2);
	struct net_frame *f = net_frame_alloc(len);
	uint8_t kind = (uint8_t)take(in, 1);

	if (f == NULL) {
		abort();
	}
	memset(f->data, kind, len);
	f->len = len;
	f->offload.needs_checksum = (kind & 1) != 0;
	f->offload.csum_start = 14;
	f->offload.gso = (kind & 2) != 0 && len > 60 ? NET_GSO_TCPV4 : NET_GSO_NONE;
	(void)nic_deliver_frame(f);
	net_frame_put(f);
}

/* Any write to a register or port of the device. */
static void poke(struct input *in)
{
	unsigned bar = take(in, 1) & 1 ? VIRTIO_PCI_BAR_REGS : VIRTIO_PCI_BAR_PORTS;
	uint64_t offset = take(in, 2) % (bar == VIRTIO_PCI_BAR_REGS ? 0x200 : 8);
	unsigned size = 1u << (take(in, 1) & 1);

	rig_bar_write(&nic.virtio, bar, offset, size, take(in, size));
	(void)rig_bar_read(&nic.virtio, bar, offset, size);
}

static void step(struct input *in)
{
	switch (take(in, 1) % 13) {
	case 0:
	case 1:
	case 2:
		write_descriptor(in);
		break;
	case 3:
	case 4:
		offer(in);
		break;
	case 5:
	case 6:
		rig_notify(&nic.virtio, (unsigned)take(in, 1) % 4);
		break;
	case 7:
		write_memory(in);
		break;
	case 8:
		deliver(in);
		break;
	case 9:
		vwork_run(&nic_work);
		if (take(in, 1) & 1) {
			(void)vwork_idle(&nic_work);
		} else {
			nic_pass(take(in, 3));
		}
		break;
	case 10:
		poke(in);
		break;
	case 11:
		(void)fuzz_reload(in, &nic.saved, sizeof(struct pci_device_saved));
		break;
	default:
		rig_start(&nic.virtio, take(in, 4) & (NIC_ALL_FEATURES | BIT(28) | BIT(29)), SIZE);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct input in = {data, size};

	if (!started) {
		nic_machine();
		started = true;
	}
	memset(rig_ram, 0, sizeof(rig_ram));
	nic_setup(take(&in, 1) & 1);
	rig_start(&nic.virtio, NIC_ALL_FEATURES, SIZE);
	for (unsigned i = 0; i < STEPS_MAX && in.n > 0; i++) {
		step(&in);
	}
	nic_teardown();
	return 0;
}
