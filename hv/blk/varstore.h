/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's UEFI variables: the contents of its flash in memory, and behind them a block device, if
 * the guest has one for that. On the device are two copies, of which the older is overwritten:
 *
 *	block 0		header of copy 0: number, checksum of each block   (blocks of 4 KiB)
 *	block 1		header of copy 1
 *	block 2 ..	copy 0
 *	behind it	copy 1
 *
 * A write takes what the contents are at one moment: the blocks that the older copy lacks, a flush,
 * its header with the next number, a flush. Whenever power goes, the copy with the highest number
 * that has all its checksums is what the guest had at one moment, as flash would be; what firmware
 * does to survive power cuts in the middle of a change works as it does on flash.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/api/blk.h"
#include "hv/base/lock.h"

#define VARSTORE_BLOCK 4096u
#define VARSTORE_BLOCKS_MAX 255u
#define VARSTORE_COPIES 2u
#define VARSTORE_WHY_MAX 160u

/* Bits, one for each block. */
struct varstore_set {
	uint64_t words[(VARSTORE_BLOCKS_MAX + 63) / 64];
};

enum varstore_phase {
	VARSTORE_IDLE,
	VARSTORE_CONTENTS,
	VARSTORE_CONTENTS_FLUSH,
	VARSTORE_HEADER,
	VARSTORE_HEADER_FLUSH,
};

struct varstore {
	const char *owner; /* for people: whose it is */
	unsigned blocks;
	struct blk_device *device; /* NULL: the contents live as long as the machine runs */
	struct spinlock lock;	   /* covers the next five */
	uint8_t *contents;
	struct varstore_set missing[VARSTORE_COPIES]; /* where a copy differs from the contents */
	bool busy;				      /* a write is under way */
	bool again;				      /* another one is wanted behind it */
	bool failing;				      /* the last one failed, which was logged */
	/* Of the write under way; between writes, under the lock. */
	enum varstore_phase phase;
	unsigned copy; /* that is written; between writes, the newer one */
	uint64_t number;
	struct varstore_set todo;
	struct varstore_set written; /* `missing` is these again when it fails */
	uint32_t crcs[VARSTORE_BLOCKS_MAX];
	uint8_t *staging; /* blocks + 1 of them, the last for the header */
	struct blk_request request;
	_Atomic unsigned turns; /* of who asks and who is told: the second goes on */
};

/* Bytes of pool memory that `staging` takes. */
uint64_t varstore_staging_bytes(unsigned blocks);

/* A store without a device, that begins as what is in `contents`. All outlives it. */
void varstore_init(struct varstore *v, const char *owner, uint8_t *contents, unsigned blocks);

enum varstore_origin {
	VARSTORE_STORED, /* the contents come from the device */
	VARSTORE_BLANK,	 /* the device holds nothing: they are what they were before */
};
/*
 * Gives the store its device and reads it; only while the machine starts (blk_sync). `staging` is
 * varstore_staging_bytes of pool memory. HV_E_RANGE: the device is too small. HV_E_INVALID: it
 * holds something else, or is damaged; HV_E_UNSUPPORTED: its blocks are too large; HV_E_IO, after
 * which the device may still write to `staging`. `why` says so for people. Nothing is ever written
 * here.
 */
enum hv_status varstore_open(struct varstore *v, struct blk_device *device, uint8_t *staging,
			     enum varstore_origin *origin,
			     char why[VARSTORE_WHY_MAX]) HV_MUST_CHECK;

/* Changes the contents, within them. From anywhere; no device needs to be ready. */
void varstore_put(struct varstore *v, uint32_t offset, const uint8_t *data, uint32_t n);
/* Begins to write what has changed, at once or behind the write under way. From anywhere. */
void varstore_sync(struct varstore *v);
/*
 * Whether all that was put is on the medium. If not it is being written: ask again; but where the
 * last write failed this is given up, and true.
 */
bool varstore_settled(struct varstore *v);
/* Whether the last write failed. */
bool varstore_fails(struct varstore *v);
