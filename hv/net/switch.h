/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named networks: each is a learning Ethernet switch with the NICs of guests and at most one
 * uplink, a real NIC, at its ports.
 *
 *	port --send--> in order, from --> within its --> no storm? --> to whom? --deliver--> ports
 *	               its own MAC?       rate?
 *	                    |no             |no             |no
 *	                   drop         wait (bounded)     drop
 *
 * What a guest's port sends has to come from the port's own MAC, unless the network says otherwise
 * (`any_mac`). Such addresses are known without learning and cannot be taken by others; learnt are
 * those behind the uplink. A port that sends more than its rate waits for its turn in a bounded
 * queue instead of losing frames, so that TCP finds the rate by delay and keeps its window: what a
 * policer drops in bursts would cost it far more than the rate.
 *
 * Where things run: `send` and with it `deliver` on the sender's CPU, frames that waited on the CPU
 * of their timer. A network's lock is held for looking up and delivering, never for cutting frames
 * (hv/net/offload.h), so its holder is bounded by NETWORK_PORTS_MAX short calls, or as many for
 * each segment of a frame that was cut. Disconnecting takes the lock too: after it nobody calls
 * into the port. Ends of networks do not exist.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/net.h"
#include "hv/api/timer.h"
#include "hv/api/token_bucket.h"
#include "hv/base/lock.h"
#include "hv/base/status.h"
#include "hv/base/str.h"
#include "hv/net/capture.h"
#include "hv/net/mac_table.h"

#define NETWORKS_MAX 16u
#define NETWORK_PORTS_MAX 64u /* bits of a word */
#define NETWORK_NAME_MAX 32u  /* with terminator */
/* Broadcasts, multicasts and frames to addresses nobody knows, in a second, from one port. */
#define NETWORK_STORM_DEFAULT 1000u
/* Frames that wait at a port with a rate. */
#define NETWORK_HELD_MAX 256u

struct network_config {
	char name[NETWORK_NAME_MAX];
	uint32_t storm; /* frames in a second; > 0 */
	bool isolated;	/* guests reach the uplink only */
	bool any_mac;	/* guests may send from addresses that are not their own */
};

struct network_port_config {
	const char *name; /* for people: "web/0", "00:02.0"; outlives the connection */
	bool uplink;	  /* may send from any address */
	bool isolated;	  /* does not reach other isolated ports, nor they this one */
	uint64_t rate;	  /* bytes in a second that it may send; 0: no limit */
};

/* Why frames of a port were dropped, beyond what struct net_port_stats counts together. */
struct network_drops {
	_Atomic uint64_t malformed; /* no frame, offload out of order, from a group, long to one */
	_Atomic uint64_t spoofed;   /* from an address that is not the port's */
	_Atomic uint64_t storm;
	_Atomic uint64_t rate; /* more than may wait */
};

struct network;

/* Under the network's lock, but what is const while a port is connected. */
struct network_port {
	struct network *network; /* set once */
	unsigned index;		 /* set once */
	struct net_port *port;	 /* NULL: free */
	struct network_port_config cfg;
	struct network_drops drops;
	_Atomic uint64_t held_total; /* frames that had to wait */
	struct token_bucket storm;
	struct token_bucket rate;
	/* What waits for its turn, and the timer that says so. */
	struct net_frame *held, **held_end;
	unsigned held_count;
	uint64_t held_bytes;
	uint64_t held_cost; /* in memory */
	bool draining;	    /* so what is sent meanwhile has to wait behind */
	struct timer timer;
};

struct network {
	struct network_config cfg; /* const */
	/* Covers all below. Taken by one CPU at a time before a port's own receive queue. */
	struct spinlock lock;
	uint64_t connected; /* a bit per port, as the next two */
	uint64_t isolated;
	uint64_t uplink;
	unsigned port_top;			/* 1 + the highest index ever connected */
	uint64_t fixed_macs[NETWORK_PORTS_MAX]; /* 0: the port may send from any address */
	struct network_port ports[NETWORK_PORTS_MAX];
	struct mac_table macs;
	struct capture capture;
};

/* What the networks need of the core. */
struct networks_config {
	struct timer_queue *timers; /* for the switch's, until CPUs have their own; may be NULL */
	uint64_t (*wallclock)(uint32_t *nanoseconds);
};

/* No network yet. Once, before all else here. */
void networks_init(const struct networks_config *cfg);
/* HV_E_EXISTS: the name is taken; HV_E_RANGE: NETWORKS_MAX; HV_E_NO_MEMORY. */
enum hv_status network_add(const struct network_config *cfg) HV_MUST_CHECK;
/* NULL when there is none. */
struct network *network_find(struct span name);
unsigned network_count(void);
struct network *network_at(unsigned index);

/*
 * Connects a port whose ops, MAC and abilities are set; frames may come before this returns.
 * HV_E_RANGE: no port is left; HV_E_EXISTS: another one has this MAC, or is the uplink already.
 */
enum hv_status network_connect(struct network *n, struct net_port *p,
			       const struct network_port_config *cfg) HV_MUST_CHECK;
/*
 * Nobody calls into the port after this. The owner sends nothing meanwhile; frames that wait are
 * dropped. Harmless when not connected.
 */
void network_disconnect(struct net_port *p);
/* The port's place in its network, NULL when it is not connected: for its counters. */
struct network_port *network_port_of(const struct net_port *p);
/* Learnt addresses that still hold. */
unsigned network_learnt(struct network *n);

/* --- captures: hv/net/capture.h under the network's lock --- */

enum hv_status network_capture_start(struct network *n) HV_MUST_CHECK;
void network_capture_stop(struct network *n);
/* As capture_read. */
size_t network_capture_read(struct network *n, uint64_t *pos, uint8_t *out, size_t bytes);

struct network_capture_info {
	bool running;
	uint64_t frames; /* since the start */
	uint64_t bytes;	 /* held at present */
	uint64_t end;	 /* position behind the newest record */
};
void network_capture_info(struct network *n, struct network_capture_info *out);
