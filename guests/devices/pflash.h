/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel NOR flash, eight bits wide, with the Intel command set: where UEFI firmware keeps its
 * variables. Sources: JEDEC JESD68.01 "Common Flash Memory Interface"; Intel "Common Flash Memory
 * Interface and Command Sets" (command set 0001h); StrataFlash P30 datasheet, "Command
 * Definitions", "Status Register", "Block Locking".
 *
 *	 0xff, reset ---> ARRAY   reads are memory's: the guest makes them without an exit
 *	 0x70		  STATUS  SR.7 ready .. SR.0; also during and after each operation
 *	 0x90		  ID	  maker, device, and at offset 2 of each block its lock bits
 *	 0x98		  QUERY	  the CFI table
 *
 *	 0x10 or 0x40, DATA			program a byte: 1 becomes 0, never the reverse
 *	 0xe8, COUNT - 1, COUNT * DATA, 0xd0	program COUNT bytes of one block
 *	 0x20, 0xd0				erase a block: all ones
 *	 0x60, 0x01 | 0xd0 | 0x2f		lock, unlock, lock down a block
 *	 0x50					clear the status
 *	 0xb0, 0xd0				suspend, resume: every operation is over already
 *
 * An access of several bytes is as many cycles of the bus, in ascending order. Two things follow
 * QEMU's model instead of the datasheets, as OVMF's driver was written for it: blocks are unlocked
 * after a reset, and clearing the status clears SR.7, too, until the next operation sets it (the
 * driver tells flash from ROM and RAM by that).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/saved.h"
#include "hv/api/vdev.h"

#define PFLASH_BLOCK 4096u
#define PFLASH_BLOCKS_MAX 1024u
/* Bytes of one 0xe8 command. */
#define PFLASH_BUFFER 256u

#define PFLASH_SR_READY 0x80u
#define PFLASH_SR_ERASE 0x20u	/* the erase failed */
#define PFLASH_SR_PROGRAM 0x10u /* programming failed; with SR_ERASE: no such command sequence */
#define PFLASH_SR_LOCKED 0x02u	/* because the block is locked */

#define PFLASH_LOCKED 1u
#define PFLASH_LOCKED_DOWN 2u /* until a reset nothing unlocks it */

enum pflash_mode { PFLASH_ARRAY, PFLASH_STATUS, PFLASH_ID, PFLASH_QUERY };

/* What the next cycle is the continuation of. */
enum pflash_pending {
	PFLASH_IDLE,
	PFLASH_PROGRAM,
	PFLASH_ERASE,
	PFLASH_LOCK,
	PFLASH_PROTECT, /* 0xc0: there are no protection registers */
	PFLASH_BUFFER_COUNT,
	PFLASH_BUFFER_DATA,
	PFLASH_BUFFER_CONFIRM,
};

/* All that a program can see of it besides the contents. */
struct pflash_state {
	uint8_t mode;	 /* enum pflash_mode */
	uint8_t pending; /* enum pflash_pending */
	uint8_t status;	 /* PFLASH_SR_* */
	uint8_t spare;
	/* Of the buffer, while something is pending. */
	uint32_t buffer_block; /* that 0xe8 was written to */
	uint32_t buffer_start; /* offset of the first byte */
	uint16_t buffer_count; /* bytes announced, up to PFLASH_BUFFER */
	uint16_t buffer_taken; /* bytes written so far */
	uint8_t buffer[PFLASH_BUFFER];
	uint8_t locks[PFLASH_BLOCKS_MAX]; /* PFLASH_LOCKED*, of each block */
};
_Static_assert(sizeof(struct pflash_state) == 16 + PFLASH_BUFFER + PFLASH_BLOCKS_MAX, "no holes");

struct pflash_config {
	const uint8_t *contents; /* of `blocks` blocks; `put` alone changes it */
	unsigned blocks;	 /* 1 .. PFLASH_BLOCKS_MAX */
	unsigned first_fixed;	 /* blocks from here on are locked down always; `blocks`: none */
	/*
	 * Puts `n` bytes, at most PFLASH_BUFFER and all of one block, at `offset` of the contents
	 * and of what the guest reads. Called with the lock held, on the CPU that runs the vCPU
	 * whose access it was.
	 */
	void (*put)(void *ctx, uint32_t offset, const uint8_t *data, uint32_t n);
	/*
	 * Whether reads are memory's (mode ARRAY), or have to come to the model. Told when that
	 * changes, in the same way; reads that come all the same are answered. Reads are memory's
	 * again behind the access that ends in that mode, be it of several cycles.
	 */
	void (*show)(void *ctx, bool array);
	void *ctx;
};

struct pflash {
	struct vdev dev; /* its lock covers all below */
	struct pflash_config cfg;
	bool shown; /* as `show` was told */
	struct pflash_state state;
	struct saved_device saved;
};

#define PFLASH_SAVED_VERSION 1u
/* The contents are memory of the VM, and a file of the guest's. */
struct pflash_saved {
	struct pflash_state state;
};

/* As after power-on: shown already, `show` is not called. */
void pflash_init(struct pflash *f, const struct pflash_config *cfg);
