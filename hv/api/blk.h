/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices: the one interface between whoever has sectors (drivers of real disks, images in
 * memory, and the layers between: partitions, overlays, limits) and whoever asks for them (the disk
 * models of guests).
 *
 *	virtio-blk --blk_submit--> limit --> partition --> NVMe
 *	     ^                                               |
 *	     +------------------- done ----------------------+
 *
 * A layer changes the request and hands it on to the device below, whose `done` call goes to who
 * asked first. Data is in hypervisor memory, never in a guest's: a disk never reaches into a guest,
 * and a completion may come while any VM's space, or none, is current.
 *
 * A device whose data lies in hypervisor memory itself also has a shorter way, blk_copy: it shows
 * where the data is, and who asks copies it, at once and without a buffer between.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/list.h"
#include "hv/base/status.h"

#define BLK_SECTOR 512u
#define BLK_NAME_MAX 64u
#define BLK_SERIAL_MAX 41u /* with terminator; ATA has 20 characters, NVMe 20, model names 40 */

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,	  /* all writes that were done before are on the medium when this is done */
	BLK_DISCARD,	  /* the content of these sectors is of no interest any more */
	BLK_WRITE_ZEROES, /* they read zero afterwards */
	BLK_OP_COUNT
};

struct blk_device;

struct blk_request {
	/* Set by who asks; a layer may move `sector` for the device below, and leaves it so. */
	enum blk_op op;
	uint32_t count;	 /* sectors of BLK_SECTOR bytes; 0 for a flush */
	uint64_t sector; /* the first one, from the device's start */
	/* READ and WRITE: count * BLK_SECTOR bytes of pool memory, physically contiguous, at a
	 * multiple of BLK_SECTOR. */
	void *buffer;
	/*
	 * Called once, with `status` set: perhaps before blk_submit returns, on any CPU, in any
	 * space, with no lock of the device held. Does little: it may not touch guest memory.
	 */
	void (*done)(struct blk_request *r);
	/* Set by the device: HV_OK, HV_E_IO; HV_E_RANGE, HV_E_INVALID, HV_E_UNSUPPORTED. */
	enum hv_status status;
	/* By blk_submit: the uppermost device, where an error counts, too; NULL: nobody has it. */
	struct blk_device *asked;
	/* Belongs to the device that has the request at present. */
	struct list_node node;
	uint64_t cookie;
};

/*
 * Who copies the data of a READ or WRITE, in order, in as many goes as the device has pieces.
 * False: it cannot, and the request ends. The device may hold a layer's lock (hv/api/vm.h).
 */
struct blk_copier {
	/* READ: the next `bytes` are at `memory`. */
	bool (*from)(struct blk_copier *c, const void *memory, uint32_t bytes);
	/* WRITE: the next `bytes` go to `memory`. */
	bool (*to)(struct blk_copier *c, void *memory, uint32_t bytes);
};

struct blk_ops {
	/* Takes a request that blk_submit has found in order. Never fails but through r->status. */
	void (*submit)(struct blk_device *d, struct blk_request *r);
	/* Does what the device's interrupts and timers would; NULL: nothing is ever open. */
	void (*poll)(struct blk_device *d);
	/* Power is about to go, all is flushed: tells the device; waits, bounded. May be NULL. */
	void (*stop)(struct blk_device *d);
	/* Does what blk_copy has found in order; NULL where `copies` is never set. */
	enum hv_status (*copy)(struct blk_device *d, const struct blk_request *r,
			       struct blk_copier *c);
};

/* What happened at a device since it exists. */
struct blk_stats {
	_Atomic uint64_t requests[BLK_OP_COUNT];
	_Atomic uint64_t sectors[BLK_OP_COUNT];
	_Atomic uint64_t errors;
};

/* Set by who makes the device, const afterwards but for the stats. */
struct blk_device {
	const struct blk_ops *ops;
	char name[BLK_NAME_MAX];     /* for people: "nvme0", "nvme0 partition 2", "web/root.img" */
	char serial[BLK_SERIAL_MAX]; /* "" when it has none */
	uint64_t sectors;	     /* size in units of BLK_SECTOR */
	uint32_t block_size; /* bytes, a power of two >= BLK_SECTOR: requests are multiples */
	uint32_t max_count;  /* sectors of one READ or WRITE at most */
	bool readonly;
	bool discards;	   /* has BLK_DISCARD */
	bool write_zeroes; /* has BLK_WRITE_ZEROES */
	bool copies;	   /* blk_copy is worth a try */
	bool removed;	   /* it failed for good: every request ends in HV_E_IO */
	struct blk_stats stats;
};

/*
 * Checks the request against the device (range, alignment, read-only, what the device has) and
 * hands it over; one that is not in order is done at once, with a status that says why. Sectors
 * past the end: HV_E_RANGE. A write to a read-only device: HV_E_INVALID. An op that it lacks:
 * HV_E_UNSUPPORTED.
 */
void blk_submit(struct blk_device *d, struct blk_request *r);
/*
 * Does a READ or WRITE, of which `op`, `sector` and `count` are set, through `c` before it returns.
 * Checked and counted as by blk_submit, with the same statuses; HV_E_IO also when `c` could not
 * copy. HV_E_UNSUPPORTED, which counts nothing: not all of the data is in memory, and blk_submit
 * has to do the whole of it, whatever was copied.
 */
enum hv_status blk_copy(struct blk_device *d, const struct blk_request *r,
			struct blk_copier *c) HV_MUST_CHECK;
/* For devices: sets the status, counts an error here and where it was asked, calls `done`. */
void blk_done(struct blk_device *d, struct blk_request *r, enum hv_status status);
/*
 * Submits and polls until the request is done; for the start of the machine, when nothing else runs
 * yet. HV_E_IO also when it takes longer than `limit_ns`, after which the request is lost: the
 * device has failed and so has to be left alone.
 */
enum hv_status blk_sync(struct blk_device *d, struct blk_request *r,
			uint64_t limit_ns) HV_MUST_CHECK;
