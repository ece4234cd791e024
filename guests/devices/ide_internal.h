/* SPDX-License-Identifier: Apache-2.0 */
/* What ide.c, ide_channel.c and ide_transfer.c share. All with the channel's lock held. */
#pragma once

#include "guests/devices/ide.h"

/* Bus master registers. */
#define IDE_MASTER_START 0x01u
#define IDE_MASTER_TO_MEMORY 0x08u
#define IDE_MASTER_ACTIVE 0x01u
#define IDE_MASTER_ERROR 0x02u
#define IDE_MASTER_INTERRUPT 0x04u
#define IDE_MASTER_CAPABLE 0x60u /* what the host notes about its devices */

/* ide_channel.c */
extern const struct vdev_ops ide_channel_ops;
/* As after power-on; `hard`: settings of the devices, too, as opposed to SRST. */
void ide_channel_reset(struct ide_channel *c, bool hard);
/* Gives the host the next part of the chunk, or asks it for that. */
void ide_begin_drq(struct ide_channel *c);
/* The command is over; `sector`: where, if it went wrong. */
void ide_complete(struct ide_channel *c, enum hv_status status, uint64_t sector);

static inline struct ide_unit *ide_active(struct ide_channel *c)
{
	return &c->units[c->active];
}

/* ide_transfer.c */
/* Does what can be done of the command at present. */
void ide_advance(struct ide_channel *c);
/* Nobody waits for the command any more. */
void ide_abandon(struct ide_channel *c);
void ide_transfer_init(struct ide_channel *c, struct vwork_queue *work, void *buffer);

/* ide_saved.c */
extern const struct saved_ops ide_saved_ops;

/* ide_bus_master.c */
/*
 * Moves up to `bytes` between `buffer` and the host's memory, in the direction of the command;
 * *spent: what it cost. Fewer than asked for: the bus master is off, at the table's end, has met an
 * error, or *spent has reached `budget`.
 */
uint32_t ide_master_move(struct ide_channel *c, uint8_t *buffer, uint32_t bytes, uint32_t budget,
			 uint32_t *spent);
/* The device has no more data. */
void ide_master_done(struct ide_channel *c);
/* Whether there is such a register; others read 0. */
bool ide_master_has(unsigned reg);
uint8_t ide_master_read(const struct ide_channel *c, unsigned reg);
void ide_master_write(struct ide_channel *c, unsigned reg, uint8_t value);
