/* SPDX-License-Identifier: Apache-2.0 */
/* What the floppy controller's files share. All with its lock held. */
#pragma once

#include "guests/devices/fdc.h"
#include "hv/api/clock.h"

/* CONFIGURE, and which of it LOCK keeps through a reset. */
#define FDC_CONFIG_SEEK 0x40u /* EIS: reads and writes seek by themselves */
#define FDC_CONFIG_NO_FIFO 0x20u
#define FDC_CONFIG_THRESHOLD 0x0fu
#define FDC_CONFIG_LOCKED (FDC_CONFIG_NO_FIFO | FDC_CONFIG_THRESHOLD)
#define FDC_CONFIG_BITS 0x7fu
#define FDC_SPECIFY_NON_DMA 0x01u
#define FDC_PERPENDICULAR_DRIVES 0x3cu
#define FDC_PERPENDICULAR_BITS 0x3fu
#define FDC_SPEC_BITS 0x1fu /* what DRIVE SPECIFICATION says of a drive */

/* fdc.c */
void fdc_set_interrupt(struct fdc *c, bool on);
/* Arms the timer for the first of the deadlines. */
void fdc_arm(struct fdc *c);

static inline uint64_t fdc_after(const struct fdc *c, uint64_t ns)
{
	return vtime_now(c->timer.time) + clock_ns_to_ticks(ns);
}

/* The drive that a command names; NULL: there is none. */
static inline struct floppy_drive *fdc_drive(struct fdc *c, unsigned unit)
{
	return unit < FDC_DRIVES && c->drives[unit].format != NULL ? &c->drives[unit] : NULL;
}

static inline bool fdc_by_dma(const struct fdc *c)
{
	return (c->state.specify[1] & FDC_SPECIFY_NON_DMA) == 0;
}

/* fdc_command.c */
/* A byte of a command. */
void fdc_take_byte(struct fdc *c, uint8_t value);
/* Whether a saved command can take a further byte. */
bool fdc_command_is_open(const struct fdc_state *s);
/* Whether it is whole, and one of those that fdc_begin_transfer begins. */
bool fdc_command_is_transfer(const struct fdc_state *s);
/* The result phase: `count` bytes of state.result; `announced`: by an interrupt. */
void fdc_begin_result(struct fdc *c, unsigned count, bool announced);
/* Seeks and resets whose time has come. */
void fdc_end_seeks(struct fdc *c, uint64_t now);
/* Heads to a cylinder, by the controller's idea of where they are. */
void fdc_seek(struct fdc *c, unsigned unit, uint8_t cylinder);

/* fdc_transfer.c */
/* A command that has to do with sectors is complete: time passes, then its first step. */
void fdc_begin_transfer(struct fdc *c);
/* The host's next byte in HOST. */
uint8_t fdc_give_byte(struct fdc *c);
void fdc_put_byte(struct fdc *c, uint8_t value);
/* Of a sector, 0 for commands without data. */
unsigned fdc_host_bytes(const struct fdc_state *s);
/* Whether the host is the one that gives in HOST. */
bool fdc_host_writes(const struct fdc *c);
/* Whether the host is to move a byte. */
static inline bool fdc_is_asking(const struct fdc *c)
{
	return c->state.phase == FDC_HOST && c->state.at < fdc_host_bytes(&c->state);
}
void fdc_transfer_init(struct fdc *c, struct vwork_queue *work);

/* fdc_saved.c */
extern const struct saved_ops fdc_saved_ops;
