/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest asked a device model for that the model does not have: registers in its window,
 * indices, commands. A system that hangs often waits for one of those; `stats` lists them by the
 * model's name. For ports and addresses where there is no device see hv/api/missed.h.
 */
#pragma once

#include <stdint.h>

#include "hv/base/lock.h"

/* What is lacking; `what` of lacks_note is a number of that kind. */
enum lacks_kind {
	LACKS_NOTHING,
	LACKS_READ,  /* a register that was read: its offset in the model's window */
	LACKS_WRITE, /* and one that was written to */
	/* A register behind an index register; where a device has several of these, the port of
	 * its data register << 16 | index. */
	LACKS_INDEX,
	LACKS_COMMAND,	/* an opcode in a command register or a queue of commands */
	LACKS_REQUEST,	/* one in a queue of requests, where a device has both */
	LACKS_PACKET,	/* an operation code of SCSI */
	LACKS_SMART,	/* what SMART is to do */
	LACKS_FEATURE,	/* what SET FEATURES or Get Features is to set or tell */
	LACKS_LOG,	/* a log page */
	LACKS_IDENTIFY, /* a page that tells what the device is */
	LACKS_KEYBOARD, /* a command to the keyboard */
	LACKS_MOUSE,	/* a command to the mouse */
	LACKS_CALL,	/* a hypercall */
	LACKS_KINDS
};

struct lack {
	const char *device;
	enum lacks_kind kind;
	uint32_t what;
	uint64_t count;
};

#define LACKS_MAX 64u
/* Of one device, so that it leaves places for the others. */
#define LACKS_OF_DEVICE_MAX 12u

/* Of a VM. All zeros: nothing yet. */
struct lacks {
	struct spinlock lock; /* covers the rest; nothing is taken under it */
	uint64_t total;	      /* also of what found no place */
	unsigned count;
	struct lack list[LACKS_MAX];
};

/*
 * Notes it once; of LACKS_NOTHING nothing. `device`: the model's name, which lives as long as the
 * list. `l` may be NULL: nobody wants to know. With any lock of a model held. Its time is bounded
 * by LACKS_MAX.
 */
void lacks_note(struct lacks *l, const char *device, enum lacks_kind kind, uint32_t what);
/* The total; fills out[LACKS_MAX] with *count entries in the order in which they came. */
uint64_t lacks_copy(struct lacks *l, struct lack *out, unsigned *count);
/* "read", "command": for `stats`. */
const char *lacks_kind_name(enum lacks_kind kind);
