/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the AHCI controller share. All with the unit's lock, unless said otherwise. */
#pragma once

#include "guests/devices/ahci.h"
#include "hv/base/bits.h"

/* Of the index-data pair. */
#define AHCI_INDEX_WRITABLE 0x7fcu
/* Registers of a port: what a driver can write, and what of them comes from the link. */
#define AHCI_PXIE_WRITABLE \
	(AHCI_PXIS_DHRS | AHCI_PXIS_PSS | AHCI_PXIS_DSS | AHCI_PXIS_SDBS | AHCI_PXIS_UFS | \
	 AHCI_PXIS_DPS | AHCI_PXIS_PCS | AHCI_PXIS_PRCS | AHCI_PXIS_IPMS | AHCI_PXIS_OFS | \
	 AHCI_PXIS_INFS | AHCI_PXIS_ERRORS)
/* Cleared by way of PxSERR. */
#define AHCI_PXIS_LINK (AHCI_PXIS_PCS | AHCI_PXIS_PRCS)
#define AHCI_PXCMD_WRITABLE (AHCI_PXCMD_ST | AHCI_PXCMD_FRE | AHCI_PXCMD_ATAPI | AHCI_PXCMD_DLAE)
#define AHCI_PXSCTL_WRITABLE 0xfffu
#define AHCI_PXSERR_LINK (AHCI_PXSERR_DIAG_N | AHCI_PXSERR_DIAG_X)

/* What a region counts for besides its data. */
#define AHCI_COST_REGION 128u

static inline unsigned ahci_slot(const struct ahci_unit *u, const struct ahci_command *c)
{
	return (unsigned)(c - u->commands);
}

/* Whether the command may touch the guest. */
static inline bool ahci_is_live(const struct ahci_unit *u, const struct ahci_command *c)
{
	return c->live && !u->state.stopped;
}

/* ---- ahci.c ---- */

/* The guest's memory as the function reaches it. False: no RAM there, or it is no bus master. */
bool ahci_read(const struct ahci_unit *u, uint64_t addr, void *dst, size_t n);
bool ahci_write(const struct ahci_unit *u, uint64_t addr, const void *src, size_t n);
/* Whether a port has an interrupt pending has changed. Takes the HBA's lock. */
void ahci_pend(struct ahci_hba *h, unsigned index, bool pending);

/* ---- ahci_data.c ---- */

void ahci_cursor_init(struct ahci_cursor *cur, uint64_t regions, uint32_t count);
/*
 * How many of the next `bytes` there are, looking at `entries` regions at most. *ok is cleared if
 * the table is not in RAM.
 */
uint32_t ahci_cursor_measure(const struct ahci_unit *u, const struct ahci_cursor *cur,
			     uint32_t bytes, uint32_t entries, bool *ok);
/*
 * Moves the next `bytes` to or from memory of ours, or passes over them; *moved: how many there
 * were. False: something is not RAM.
 */
bool ahci_cursor_read(const struct ahci_unit *u, struct ahci_cursor *cur, void *dst, uint32_t bytes,
		      uint32_t *moved);
bool ahci_cursor_write(const struct ahci_unit *u, struct ahci_cursor *cur, const void *src,
		       uint32_t bytes, uint32_t *moved);
bool ahci_cursor_skip(const struct ahci_unit *u, struct ahci_cursor *cur, uint32_t bytes,
		      uint32_t *moved);

/* ---- ahci_fis.c ---- */

void ahci_registers_from_fis(struct ata_registers *r, const uint8_t *fis);
/* A fatal event of PxIS: nothing goes on until the engine is started anew. */
void ahci_stop(struct ahci_unit *u, uint32_t event);
/* A command that is not queued is over. */
void ahci_tell_done(struct ahci_unit *u, struct ahci_command *c);
/* Queued commands that were taken, and that went well. */
void ahci_tell_queued(struct ahci_unit *u);
/* A queued command has failed, and with it all that are queued. */
void ahci_tell_queued_error(struct ahci_unit *u, const struct ahci_command *c);
/* The device says that it is there, after a reset. */
void ahci_greet(struct ahci_unit *u);
/* Tells all that was not told, and of the interrupt. Before the lock is released. */
void ahci_publish(struct ahci_unit *u);

/* ---- ahci_piece.c ---- */

void ahci_pieces_init(struct ahci_unit *u, void *buffers);
/* The next part of a command's data; *cost as the budget counts. False: something is used up. */
bool ahci_send_data(struct ahci_unit *u, struct ahci_command *c, uint64_t *cost);
/* Flush, trim. False: no piece is left. */
bool ahci_send_bare(struct ahci_unit *u, struct ahci_command *c, enum blk_op op, uint64_t sector,
		    uint32_t count);
/* Sees to what the disk is done with; as blk_pieces_collect. */
bool ahci_collect(struct ahci_unit *u, uint32_t *budget) HV_MUST_CHECK;

/* ---- ahci_command.c ---- */

/* Does what the command list asks for, until it is enough for now: BLK_RUN_BYTES, or what is left.
 */
void ahci_run(struct ahci_unit *u, uint32_t budget);
/* One piece less, or all is sent. */
void ahci_drop(struct ahci_unit *u, struct ahci_command *c);
/* The device is not busy any more with a command that was ended. */
void ahci_become_ready(struct ahci_unit *u);
/* All commands are over, as far as the guest can see. */
void ahci_end_commands(struct ahci_unit *u);

/* ---- ahci_saved.c ---- */

extern const struct saved_ops ahci_saved_ops;

/* ---- ahci_unit.c ---- */

enum hv_status ahci_unit_init(struct ahci_hba *h, unsigned index,
			      const struct ahci_config *cfg) HV_MUST_CHECK;
/* Of a dword; takes the lock. `mask`: the bits that are written. */
uint32_t ahci_unit_read(struct ahci_unit *u, unsigned reg);
void ahci_unit_write(struct ahci_unit *u, unsigned reg, uint32_t value, uint32_t mask);
/* As after power-on, or as by GHC.HR, which leaves the addresses. Takes the lock. */
void ahci_unit_reset(struct ahci_unit *u, bool power_on);
/* A reset of the device, by whatever way: all is as it was, and it greets. */
void ahci_unit_reset_device(struct ahci_unit *u);
