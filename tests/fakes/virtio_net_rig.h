/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio NIC with its driver for unit tests and fuzz targets. The network is the test: what the
 * NIC sends is counted and the last of it kept, what it is to receive comes from rig_deliver.
 */
#pragma once

#include "guests/devices/virtio_net.h"
#include "hv/api/clock.h"
#include "hv/net/offload.h"
#include "tests/fakes/access.h"
#include "tests/fakes/virtio_pci_rig.h"

#define NIC_RX 0u
#define NIC_TX 1u
#define NIC_CTRL 2u
#define NIC_HDR 12u
/* Behind the rings. */
#define NIC_DATA (RIG_RAM_BASE + 0x10000u)
#define NIC_DATA_END RIG_RAM_END
#define NIC_ALL_FEATURES \
	(BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(11) | BIT(12) | BIT(15) | \
	 BIT(16) | BIT(17) | BIT(18) | BIT(20) | BIT(23))

static struct virtio_net nic;
static struct vwork_queue nic_work;
static struct timer_queue nic_timers;
static struct vtime nic_time;
static unsigned nic_asked; /* times that deferred work was asked for */
static unsigned nic_sent;
static struct net_frame *nic_last; /* what was sent last */
static const struct net_mac nic_mac = {{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}};

static inline void nic_ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
	nic_asked++;
}

static inline void nic_send(struct net_port *p, struct net_frame *f)
{
	assert(p == &nic.port && f->len >= NET_FRAME_MIN && f->len <= NET_FRAME_MAX);
	/* What the switch asks of everything that guests send; it has to stand that. */
	(void)net_offload_valid(f);
	if (nic_last != NULL) {
		net_frame_put(nic_last);
	}
	nic_last = f;
	nic_sent++;
}

/* The time in which drivers sometimes do nothing: a second. */
#define NIC_HZ 1000000000ull
#define NIC_START NIC_HZ

/* Lets time pass and does what timers ask for. */
static inline void nic_pass(uint64_t ns)
{
	fake_cpu.tsc += ns;
	timer_queue_run(&nic_timers, clock_now());
	(void)vwork_run(&nic_work);
}

/* Memory for frames; once. */
static inline void nic_machine(void)
{
	fake_cpu_reset();
	clock_init(NIC_HZ);
	fake_machine(128u << 20);
}

/* A NIC at a network, no driver yet. */
static inline void nic_setup(bool mac_fixed)
{
	const struct virtio_pci_wiring w = rig_wiring();
	const struct virtio_net_config cfg = {
		.mac = nic_mac, .mac_fixed = mac_fixed, .work = &nic_work, .time = &nic_time};
	enum hv_status status;

	memset(&nic, 0, sizeof(nic));
	vwork_queue_init(&nic_work, nic_ask, NULL);
	timer_queue_init(&nic_timers);
	fake_cpu.tsc = NIC_START;
	vtime_init(&nic_time, &nic_timers);
	fake_cpu.tsc += NIC_START;
	nic_asked = 0;
	nic_sent = 0;
	status = virtio_net_init(&nic, &cfg, &w);
	assert(status == HV_OK);
	nic.port.send = nic_send;
	nic.port.ops->link_changed(&nic.port, true);
}

/* Nothing of it is left. */
static inline void nic_teardown(void)
{
	if (nic_last != NULL) {
		net_frame_put(nic_last);
		nic_last = NULL;
	}
	virtio_net_stop(&nic);
	assert(list_empty(&nic_work.waiting) && !vtimer_armed(&nic.tx.timer));
	assert(net_frames_bytes() == 0);
}

static inline bool nic_deliver_frame(struct net_frame *f)
{
	return nic.port.ops->deliver(&nic.port, f);
}
