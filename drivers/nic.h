/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's network cards, each a port for the switch (hv/api/net.h). They are found on PCI at
 * start and stay off, without interrupts or DMA, until a network wants one. All that cards have in
 * common is here; a driver is a const table of what differs (struct nic_driver).
 *
 *	wire -> ring -> receive -> list of frames -> net_port_send -> switch
 *	wire <- ring <- transmit <----------------- deliver <-------- switch
 *
 * One interrupt takes NIC_BATCH frames at most. Where more wait, the card's interrupts stay off and
 * a timer goes on after NIC_PAUSE_NS, so that a flood from the wire cannot keep a CPU. A card that
 * has sent nothing of what it was given for NIC_STUCK_NS, while its link is up, is reset.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/pci.h"
#include "hv/api/net.h"
#include "hv/api/timer.h"
#include "hv/base/lock.h"
#include "hv/base/status.h"

#define HOST_NICS_MAX 16u
#define HOST_NIC_NAME_MAX 16u

#define NIC_BATCH 64u
#define NIC_PAUSE_NS 200000u
#define NIC_STUCK_NS 2000000000ull
#define NIC_WATCH_NS 1000000000ull
/* From a reset to the start after it. */
#define NIC_RESET_NS 20000000ull
/* One that had to be reset so often, without sending a frame in between, has failed. */
#define NIC_RESETS_MAX 8u

enum nic_state {
	NIC_OFF,
	NIC_RUNNING,
	NIC_RESETTING,
	NIC_FAILED, /* for good */
};

struct host_nic;

/* A driver. All functions but `matches` and `probe` are called with the card's lock held. */
struct nic_driver {
	const char *name;
	/* Whether the function is one of the driver's. */
	bool (*matches)(const struct host_pci *f);
	/*
	 * Makes a card of it: the device is reset and off, its MAC is known. NULL when it cannot be
	 * used, with a line in the log. At start only: may wait for the device, bounded.
	 */
	struct host_nic *(*probe)(struct host_pci *f);
	/*
	 * Takes rings into use, receives everything from then on, interrupts on. The function is
	 * enabled (host_pci_enable) and has its interrupts. HV_E_NO_MEMORY; HV_E_IO.
	 */
	enum hv_status (*start)(struct host_nic *n);
	/*
	 * Begins a reset and lets go of the frames in flight: no DMA any more when it returns.
	 * `start` comes NIC_RESET_NS later, or never.
	 */
	void (*reset)(struct host_nic *n);
	void (*interrupts)(struct host_nic *n, bool on);
	/* Sees to what the card interrupts for besides frames. False: it cannot be used. */
	bool (*acknowledge)(struct host_nic *n);
	/*
	 * Looks at the link of a card that does not interrupt for it: once a second, while frames
	 * are in flight or the link is down. NULL: it interrupts.
	 */
	void (*look)(struct host_nic *n);
	/* Takes the next frame off the ring; *f is NULL for one that was dropped. False: none. */
	bool (*receive)(struct host_nic *n, struct net_frame **f);
	/* Gives the buffers of what was received back to the card. */
	void (*refill)(struct host_nic *n);
	/* Sends a frame, and holds it until that is done (host_nic_hold). False: no room. */
	bool (*transmit)(struct host_nic *n, struct net_frame *f);
	/* Lets go of what was sent. */
	void (*reap)(struct host_nic *n);
};

struct host_nic_stats {
	_Atomic uint64_t rx_bad;       /* wire errors, lengths that no frame has */
	_Atomic uint64_t rx_no_memory; /* no frame was to be had */
	_Atomic uint64_t tx_refused;   /* ring full, link down, or being reset */
	_Atomic uint64_t pauses;       /* interrupts that left frames for later */
	_Atomic uint64_t resets;
};

/* Made by a driver's probe, which sets the first three; the next three are host_nics_init's. */
struct host_nic {
	struct net_port port; /* its mac and what it takes */
	struct host_pci *pci;
	const char *model;
	const struct nic_driver *driver;
	char name[HOST_NIC_NAME_MAX]; /* "e1000-0" */
	char address[HOST_PCI_NAME_MAX];
	struct host_nic_stats stats;
	/* Set under `lock`, read by anybody. */
	_Atomic enum nic_state state;
	_Atomic bool link_up;
	_Atomic uint32_t speed; /* Mbit/s; 0: not known */
	/* Covers what follows and the driver's rings; what may be taken under it: hv/api/vm.h. */
	struct spinlock lock;
	bool paused;	    /* interrupts are off, `pause` is armed */
	unsigned in_flight; /* frames given to the card and not sent yet */
	uint64_t held;	    /* bytes that they take */
	unsigned fruitless; /* resets since a frame was sent */
	uint64_t progress;  /* tick when the last one was sent, or the first one given */
	struct timer pause;
	struct timer watch;
};

/* Finds the cards and leaves them off. After host_pci_scan; once. Returns how many. */
unsigned host_nics_init(void);
unsigned host_nic_count(void);
struct host_nic *host_nic_at(unsigned index);
/* By PCI address, by MAC; NULL: no such card. */
struct host_nic *host_nic_by_pci(uint16_t segment, uint8_t bus, uint8_t devfn);
struct host_nic *host_nic_by_mac(const struct net_mac *mac);
/*
 * Takes a card into use; its port is connected already. HV_E_EXISTS: somebody else uses it;
 * HV_E_IO: it does not answer; HV_E_NO_MEMORY: no memory, or no interrupt.
 */
enum hv_status host_nic_start(struct host_nic *n) HV_MUST_CHECK;
/* "e1000-0 at 00:02.0, Intel 82540EM, 52:54:00:12:34:56, link up", cut to cap. */
void host_nic_describe(const struct host_nic *n, char *buf, size_t cap);

/* --- for drivers --- */

/* The card has a frame, with a reference, between these two. */
void host_nic_hold(struct host_nic *n, struct net_frame *f);
void host_nic_release(struct host_nic *n, struct net_frame *f);
/* A copy of what was received; NULL, and counted, when it is no frame or there is no memory. */
struct net_frame *host_nic_copy(struct host_nic *n, const void *data, uint32_t len);
/* The link as the card reports it; says in the log what changed. */
void host_nic_set_link(struct host_nic *n, bool up, uint32_t speed);
/* Whether a card may have this address: not zero, not a group's. */
bool host_nic_mac_valid(const struct net_mac *mac);
