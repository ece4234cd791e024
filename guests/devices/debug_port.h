/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug port that stock firmware writes its messages to, a byte at a time. Source: SeaBIOS and
 * OVMF, which both take a port that reads 0xe9 for one. Whole lines are handed on; of those that a
 * guest writes faster than DEBUG_PORT_RATE some are lost, and counted.
 */
#pragma once

#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define DEBUG_PORT 0x402u
#define DEBUG_PORT_ID 0xe9u
#define DEBUG_PORT_LINE_MAX 128u /* with terminator; longer ones are broken */
#define DEBUG_PORT_RATE 50u	 /* lines in a second of guest time */
#define DEBUG_PORT_BURST 400u	 /* lines at once, after a time of silence */

struct debug_port_config {
	struct vtime *time;
	/* Printable characters only. Device's lock held. */
	void (*line)(void *ctx, const char *text);
	void *ctx;
};

struct debug_port {
	struct vdev dev; /* its lock covers all below but cfg */
	struct debug_port_config cfg;
	unsigned length; /* of the line so far */
	char text[DEBUG_PORT_LINE_MAX];
	unsigned allowed; /* lines, as of `counted` */
	uint64_t counted; /* guest ticks */
	uint64_t lost;	  /* lines since one was handed on */
	struct saved_device saved;
};

#define DEBUG_PORT_SAVED_VERSION 1u
struct debug_port_saved {
	uint64_t counted;
	uint64_t lost;
	uint32_t allowed;
	uint32_t length;
	char text[DEBUG_PORT_LINE_MAX]; /* `length` characters, the rest is 0 */
};
_Static_assert(sizeof(struct debug_port_saved) == 152, "no padding");

/* To be registered at DEBUG_PORT, one port. */
void debug_port_init(struct debug_port *d, const struct debug_port_config *cfg);
