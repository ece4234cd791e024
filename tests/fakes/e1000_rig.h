/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of Intel's network cards with its driver for unit tests and fuzz targets. The network is the
 * test: what the card sends is counted and the last of it kept, what it is to receive comes from
 * card_deliver.
 */
#pragma once

#include "guests/devices/e1000.h"
#include "hv/api/clock.h"
#include "hv/net/offload.h"
#include "tests/fakes/access.h"
#include "tests/fakes/virtio_pci_rig.h"

/* The driver's rings and buffers. */
#define CARD_RING 16u
#define CARD_RX RIG_RAM_BASE
#define CARD_TX (RIG_RAM_BASE + 0x1000u)
#define CARD_DATA (RIG_RAM_BASE + 0x10000u)    /* of what it sends */
#define CARD_BUFFERS (RIG_RAM_BASE + 0x40000u) /* 2 KiB for each receive descriptor */
#define CARD_BUFFER_BYTES 2048u

static struct e1000 card;
static struct vwork_queue card_work;
static struct timer_queue card_timers;
static struct vtime card_time;
static unsigned card_asked;
static unsigned card_sent;
static struct net_frame *card_last;
static uint32_t card_rx_next; /* the driver's next descriptor */
static uint32_t card_tx_next;
static const struct net_mac card_mac = {{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}};

static inline void card_ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
	card_asked++;
}

static inline void card_send(struct net_port *p, struct net_frame *f)
{
	assert(p == &card.port && f->len >= NET_FRAME_MIN && f->len <= NET_FRAME_MAX);
	/* What the switch asks of everything that guests send; it has to stand that. */
	(void)net_offload_valid(f);
	if (card_last != NULL) {
		net_frame_put(card_last);
	}
	card_last = f;
	card_sent++;
}

/* --- time: a tick is a nanosecond --- */

#define CARD_HZ 1000000000ull

static inline void card_pass(uint64_t ns)
{
	fake_cpu.tsc += ns;
	timer_queue_run(&card_timers, clock_now());
}

/* --- registers --- */

static inline uint64_t card_bar_read(unsigned bar, uint64_t offset, unsigned size)
{
	return card.pci.function.ops->bar_read(&card.pci.function, bar, offset, size) &
	       size_mask(size);
}

static inline void card_bar_write(unsigned bar, uint64_t offset, unsigned size, uint64_t value)
{
	card.pci.function.ops->bar_write(&card.pci.function, bar, offset, size, value);
}

static inline uint32_t card_read(unsigned reg)
{
	return (uint32_t)card_bar_read(E1000_BAR_REGISTERS, reg, 4);
}

static inline void card_write(unsigned reg, uint32_t value)
{
	card_bar_write(E1000_BAR_REGISTERS, reg, 4, value);
}

/* MSI-X on; vector n sends n. */
static inline void card_msix_on(void)
{
	for (unsigned i = 0; i < E1000_VECTORS; i++) {
		card_bar_write(E1000_BAR_MSIX, i * 16ull, 8, 0xfee00000);
		card_bar_write(E1000_BAR_MSIX, i * 16ull + 8, 8, i);
	}
	rig_config_write(rig_capability(PCI_CAP_MSIX) + 2, 2, 0x8000);
}

/* --- from nothing to a card that works --- */

/* Memory for frames; once. */
static inline void card_machine(void)
{
	fake_cpu_reset();
	clock_init(CARD_HZ);
	fake_machine(128u << 20);
}

/* A card with its cable in, no driver yet. */
static inline void card_setup(enum e1000_kind kind)
{
	struct e1000_config cfg = {
		.kind = kind, .mac = card_mac, .work = &card_work, .time = &card_time};
	enum hv_status status;

	memset(&card, 0, sizeof(card));
	memset(rig_ram, 0, sizeof(rig_ram));
	cfg.place = rig_wiring().place;
	vwork_queue_init(&card_work, card_ask, NULL);
	timer_queue_init(&card_timers);
	fake_cpu.tsc = CARD_HZ;
	vtime_init(&card_time, &card_timers);
	fake_cpu.tsc += CARD_HZ;
	card_asked = 0;
	card_sent = 0;
	card_rx_next = 0;
	card_tx_next = 0;
	status = e1000_init(&card, &cfg);
	assert(status == HV_OK);
	card.port.send = card_send;
	card.port.ops->link_changed(&card.port, true);
	(void)vwork_run(&card_work);
}

/* Nothing of it is left. */
static inline void card_teardown(void)
{
	if (card_last != NULL) {
		net_frame_put(card_last);
		card_last = NULL;
	}
	e1000_stop(&card);
	assert(list_empty(&card_work.waiting) && !vtimer_armed(&card.timer));
	assert(net_frames_bytes() == 0);
}

/* A receive descriptor that has its buffer. */
static inline void card_give(uint32_t index)
{
	rig_put(CARD_RX + 16ull * index, CARD_BUFFERS + (uint64_t)CARD_BUFFER_BYTES * index, 8);
	rig_put(CARD_RX + 16ull * index + 8, 0, 8);
}

/* A driver with rings, all receive buffers but one with the card; `rctl` beyond EN. */
static inline void card_start(uint32_t rctl)
{
	rig_set_master(true);
	for (uint32_t i = 0; i < CARD_RING; i++) {
		card_give(i);
	}
	card_write(E1000_RDBAL, CARD_RX);
	card_write(E1000_RDLEN, CARD_RING * 16);
	card_write(E1000_RDH, 0);
	card_write(E1000_RDT, CARD_RING - 1);
	card_write(E1000_TDBAL, CARD_TX);
	card_write(E1000_TDLEN, CARD_RING * 16);
	card_write(E1000_TCTL, E1000_TCTL_EN);
	card_write(E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_SECRC | rctl);
	(void)card_read(E1000_ICR);
}

/* --- frames --- */

/* One of `len` bytes to `to`, told by `seed`. Whether the card took it. */
static inline bool card_deliver(const struct net_mac *to, uint32_t len, uint8_t seed)
{
	struct net_frame *f = net_frame_alloc(len);
	bool taken;

	assert(f != NULL);
	for (uint32_t i = 0; i < len; i++) {
		f->data[i] = (uint8_t)(seed + i * 7);
	}
	memcpy(f->data, to->bytes, NET_MAC_BYTES);
	f->len = len;
	taken = card.port.ops->deliver(&card.port, f);
	net_frame_put(f);
	return taken;
}

/* Puts a transmit descriptor behind the others, of any kind: its two halves. */
static inline void card_put(uint64_t low, uint64_t high)
{
	rig_put(CARD_TX + 16ull * card_tx_next, low, 8);
	rig_put(CARD_TX + 16ull * card_tx_next + 8, high, 8);
	card_tx_next = (card_tx_next + 1) % CARD_RING;
}

/* The second half of a legacy descriptor. */
static inline uint64_t card_legacy(uint32_t bytes, uint8_t command)
{
	return bytes | (uint64_t)command << 24;
}

static inline void card_go(void)
{
	card_write(E1000_TDT, card_tx_next);
}
