/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's 82540EM and 82574L network cards, for guests whose systems bring drivers for them and
 * none for virtio, at a port of a network. Sources: hv/base/e1000_format.h.
 *
 *	guest --TDT--> descriptors --> frame --net_port_send--> switch
 *	switch --deliver--> net_queue --work--> descriptors --> cause --throttle--> interrupt
 *
 * The guest's memory is touched by its own vCPUs alone: sending in the exit of the tail register,
 * receiving as deferred work; either handles a bounded number of frames at once. Where the wire
 * would come in there is none: a link is 1000 Mbit/s and up, negotiation is over when it begins,
 * the sums at the ends of frames are zeros for drivers that want to see them. EEPROM and flash
 * cannot be written. With several receive queues all goes to the first.
 *
 * Bad use has an outcome: what is not in order is dropped and counted, a ring whose tail is
 * outside of it is empty, addresses that are no RAM lose the frame.
 *
 * Locks: `lock`, then those of pci_device and of the switch. What the switch calls takes `rx_lock`
 * alone, which comes after the switch's.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/net_queue.h"
#include "guests/devices/pci_device.h"
#include "hv/api/net.h"
#include "hv/api/vtime.h"
#include "hv/api/vwork.h"
#include "hv/base/e1000_format.h"

#define E1000_VENDOR 0x8086u
#define E1000_DEVICE_82540EM 0x100eu
#define E1000_DEVICE_82574L 0x10d3u
#define E1000_BAR_REGISTERS 0u
#define E1000_BAR_PORTS 2u
#define E1000_BAR_MSIX 3u
#define E1000_BAR_SIZE 0x20000u
#define E1000_TX_QUEUES 2u /* the 82540EM has one */

struct vm;

enum e1000_kind {
	E1000_82540EM,
	E1000_82574L,
};

/* The EEPROM: its words, and where a command that comes bit by bit has got to. */
struct e1000_rom {
	uint16_t words[E1000_ROM_WORDS];
	uint32_t in;	  /* bits taken since it was selected, the last one lowest */
	uint8_t in_count; /* how many */
	bool reading;
	bool out;	   /* the level of its output */
	uint16_t position; /* of the next bit to be read, from the first word's highest */
};

/* What a context descriptor said. */
struct e1000_tx_context {
	uint64_t offsets;
	uint32_t low;
	uint32_t high;
};

/* A transmit queue beyond its registers: the packet that is being put together. */
struct e1000_tx_queue {
	struct e1000_tx_context context[2]; /* the second one for segmentation */
	bool begun;			    /* a descriptor of it was seen */
	uint32_t limit;			    /* bytes that it may have */
	bool bad;			    /* it is dropped at its end */
	bool tagged;
	uint16_t tag;
	bool segment;
	uint8_t options; /* IXSM and TXSM, shifted down by 8 */
	bool stamp;	 /* its moment is wanted */
	bool legacy_sum; /* as the two following say */
	uint8_t checksum_start;
	uint8_t checksum_offset;
};

/* An interrupt cause that waits, so that several events become one. */
struct e1000_delay {
	bool waits;
	uint64_t due;	/* guest ticks */
	uint64_t limit; /* to here it may be put off by further events */
};

/* Interrupts beyond their registers; times are guest ticks. */
struct e1000_irq {
	bool line;	     /* as it was told: INTx, or the MSI in its place */
	uint32_t told;	     /* causes whose MSI-X messages were sent */
	uint64_t line_again; /* no sooner than this */
	uint64_t again[E1000_VECTORS];
	struct e1000_delay rx;
	struct e1000_delay tx;
	uint64_t armed; /* the timer's moment */
};

/* The 82574L's clock: SYSTIM was `time` at `since`, in nanoseconds of the guest. */
struct e1000_clock {
	uint64_t time;
	uint64_t since;
	uint32_t high; /* SYSTIMH, as of the last read of SYSTIML */
	uint32_t reg[E1000_TIME_SYNC_REGISTERS];
};

/* All that the guest can see, frames on their way aside. Under `lock`. */
struct e1000_state {
	uint32_t reg[E1000_REGISTERS_SIZE / 4];
	uint16_t phy[E1000_PHY_REGISTERS];
	uint32_t io_address; /* IOADDR */
	bool link;	     /* as the guest was told */
	struct e1000_rom rom;
	struct e1000_irq irq;
	struct e1000_clock clock;
	struct e1000_tx_queue tx[E1000_TX_QUEUES];
};

/* Which frames are received: copies of registers. */
struct e1000_filter {
	uint32_t rctl;
	uint32_t addresses[2 * E1000_ADDRESSES];
	uint32_t mta[E1000_MTA_WORDS];
};

struct e1000 {
	struct pci_device pci;
	struct net_port port;
	enum e1000_kind kind;
	struct vm *vm;
	struct vtime *time;
	struct vtimer timer; /* for throttled interrupts and delayed causes */
	struct vwork work;
	struct spinlock lock;
	struct e1000_state state;
	struct net_frame *tx_frame[E1000_TX_QUEUES]; /* put together; under `lock` */
	bool stopped;				     /* likewise */
	uint8_t scratch[NET_WIRE_MAX + 4];	     /* a frame as it is received; likewise */
	_Atomic bool cable;
	_Atomic bool open;	 /* frames of the network are received */
	_Atomic uint32_t missed; /* frames for which there was no room */
	struct spinlock rx_lock; /* covers the two following */
	struct e1000_filter filter;
	struct net_queue queue;
	_Atomic uint64_t tx_malformed; /* packets that were not in order */
	struct saved_device saved;
};

/*
 * Frames on their way are not in it: those to the guest are lost, as on a wire, and so is a packet
 * of which not all descriptors have come yet. What the card was about to look at it looks at again.
 */
#define E1000_SAVED_VERSION 2u
struct e1000_rom_saved {
	uint32_t in;
	uint16_t position;
	uint8_t in_count;
	uint8_t reading;
	uint8_t out;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct e1000_rom_saved) == 16, "no padding");

struct e1000_delay_saved {
	uint64_t due;
	uint64_t limit;
	uint64_t waits;
};
_Static_assert(sizeof(struct e1000_delay_saved) == 24, "no padding");

struct e1000_irq_saved {
	uint64_t line_again;
	uint64_t again[E1000_VECTORS];
	struct e1000_delay_saved rx;
	struct e1000_delay_saved tx;
	uint64_t armed;
	uint32_t told;
	uint8_t line;
	uint8_t zero[3];
};
_Static_assert(sizeof(struct e1000_irq_saved) == 6 * 8 + 2 * 24 + 16, "no padding");

struct e1000_tx_saved {
	struct e1000_tx_context context[2];
	uint8_t begun; /* it is dropped at its end */
	uint8_t zero[7];
};
_Static_assert(sizeof(struct e1000_tx_saved) == 2 * 16 + 8, "no padding");

struct e1000_clock_saved {
	uint64_t time;
	uint64_t since;
	uint32_t high;
	uint32_t reg[E1000_TIME_SYNC_REGISTERS];
};
_Static_assert(sizeof(struct e1000_clock_saved) == 2 * 8 + 4 + 15 * 4, "no padding");

struct e1000_saved {
	struct pci_device_saved pci;
	uint32_t reg[E1000_REGISTERS_SIZE / 4];
	uint16_t phy[E1000_PHY_REGISTERS];
	struct e1000_rom_saved rom;
	struct e1000_irq_saved irq;
	struct e1000_clock_saved clock;
	struct e1000_tx_saved tx[E1000_TX_QUEUES];
	uint32_t io_address;
	struct net_mac mac; /* of the port: only one with the same will do */
	uint8_t kind;
	uint8_t link;
	uint8_t zero[4];
};
_Static_assert(sizeof(struct e1000_saved) == 1296 + 0x6000 + 64 + 16 + 112 + 80 + 2 * 40 + 16,
	       "no padding");

struct e1000_config {
	enum e1000_kind kind;
	struct net_mac mac;
	struct vm *vm;
	struct vwork_queue *work; /* of the VM */
	struct vtime *time;	  /* likewise */
	/* Host, devfn, message, message_ctx and intx_line: what board_place_pci tells. */
	struct pci_device_config place;
};

/*
 * Sets up the card and its port, which can then be connected; `e` is zeroed memory. HV_E_EXISTS,
 * HV_E_RANGE as pci_device_init.
 */
enum hv_status e1000_init(struct e1000 *e, const struct e1000_config *cfg) HV_MUST_CHECK;
/*
 * Lets go of all frames, timers and deferred work; the port is disconnected and no vCPU of the VM
 * runs.
 */
void e1000_stop(struct e1000 *e);
