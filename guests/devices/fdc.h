/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floppy controller of a PC: an 82077AA with the commands that the 82078 has besides, IRQ 6,
 * channel 2 of the DMA controllers, up to two drives.
 *
 *	3f0 SRA, 3f1 SRB, 3f2 DOR, 3f3 TDR, 3f4 MSR/DSR, 3f5 FIFO, 3f7 DIR/CCR
 *
 *	        FIFO           timer, vwork       done      last sector, or an error
 *	COMMAND ----> EXECUTE -----------> disk ------+---> RESULT ----> COMMAND
 *	                 ^      next sector           |
 *	                 +--------- HOST <------------+     (without DMA)
 *
 * Time passes between a command and what it does, and from sector to sector: each is a deadline in
 * guest time, upon which a vCPU of the guest does one sector (hv/api/vwork.h). It is much less than
 * a disk takes to turn. The motor need not run, and is on speed at once. Without DMA a host is late
 * only when it does nothing for a long while: its CPU may not have run. Behind its last byte of a
 * sector there is time to leave its handler: what follows has an interrupt of its own.
 *
 * DMAGATE counts, as in AT mode; SRA, SRB and DIR are those of PS/2 mode, so that no bit floats.
 * Images have no place for deleted marks: all data are read as normal ones.
 *
 * Sources: Intel 82077AA data sheet; Intel 82078 data sheet, "Command Set/Descriptions", for PART
 * ID, OPTION, SAVE, RESTORE, DRIVE SPECIFICATION and POWERDOWN MODE.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/blk_single.h"
#include "guests/devices/dma8237.h"
#include "guests/devices/floppy_drive.h"
#include "hv/api/blk.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"
#include "hv/api/vwork.h"

#define FDC_PORT 0x3f0u
#define FDC_PORTS 6u
#define FDC_PORT_DIR 0x3f7u /* the port before is the disks' */
#define FDC_DRIVES 2u
#define FDC_UNITS 4u /* that a command can name */
#define FDC_DMA_CHANNEL 2u
#define FDC_BUFFER_BYTES 4096u
#define FDC_COMMAND_MAX 17u
#define FDC_RESULT_MAX 16u

#define FDC_DOR_SELECT 0x03u
#define FDC_DOR_RUN 0x04u /* RESET# */
#define FDC_DOR_DMAGATE 0x08u
#define FDC_MSR_RQM 0x80u
#define FDC_MSR_DIO 0x40u
#define FDC_MSR_NON_DMA 0x20u
#define FDC_MSR_BUSY 0x10u
#define FDC_DSR_RESET 0x80u
#define FDC_RATE 0x03u
#define FDC_RATE_DEFAULT 0x02u
#define FDC_DIR_CHANGED 0x80u

#define FDC_ST0_ABNORMAL 0x40u
#define FDC_ST0_INVALID 0x80u
#define FDC_ST0_POLLING 0xc0u
#define FDC_ST0_SEEK_END 0x20u
#define FDC_ST0_CHECK 0x10u
#define FDC_ST1_END 0x80u
#define FDC_ST1_OVERRUN 0x10u
#define FDC_ST1_NO_DATA 0x04u
#define FDC_ST1_PROTECTED 0x02u
#define FDC_ST1_NO_MARK 0x01u
#define FDC_ST1_DATA 0x20u
#define FDC_ST2_MARK 0x40u
#define FDC_ST2_DATA 0x20u
#define FDC_ST2_CYLINDER 0x10u
#define FDC_ST2_SCAN_HIT 0x08u
#define FDC_ST2_SCAN_MISS 0x04u
#define FDC_ST3_PROTECTED 0x40u
#define FDC_ST3_TRACK_0 0x10u

/* Nanoseconds of guest time. */
#define FDC_START_NS 500000ull /* from a command to its first sector, or the end of a seek */
#define FDC_SECTOR_NS 100000ull
#define FDC_RESET_NS 250000ull
#define FDC_HOST_NS 50000000ull /* in which a host that has to move bytes moves one */
/* From a sector's last byte that a host moved to what follows: checksum and gap take that long. */
#define FDC_GAP_NS 1000000ull

enum fdc_phase { FDC_COMMAND, FDC_EXECUTE, FDC_HOST, FDC_RESULT };
/* What the next step of EXECUTE is, when no time has to pass and the disk is done. */
enum fdc_stage { FDC_FIND, FDC_READ_DONE, FDC_WRITE_DONE };

/* All that a guest makes of it: saved as it is. Times are guest ticks, TIMER_NEVER: none. */
struct fdc_state {
	uint64_t due;	    /* the command goes on; in HOST: the host is looked after, or done */
	uint64_t reset_due; /* it begins to poll the drives after a reset */
	uint64_t seek_due[FDC_UNITS]; /* a seek is over */
	uint16_t at;   /* in HOST: bytes of the sector that have been moved, all: done; */
	uint16_t seen; /* and when that was looked at last */
	uint8_t dor;
	uint8_t dsr;
	uint8_t tdr;
	uint8_t config; /* CONFIGURE */
	uint8_t precomp;
	uint8_t specify[2];
	uint8_t perpendicular;
	uint8_t lock;
	uint8_t power;
	uint8_t option;
	uint8_t last; /* the last SC or EOT, for DUMPREG */
	uint8_t specs[FDC_UNITS];
	uint8_t pcn[FDC_UNITS];
	uint8_t seek_st0[FDC_UNITS]; /* of seeks that are over and not sensed; 0: none */
	uint8_t polled;		     /* drives of which a reset's status is still to be sensed */
	uint8_t interrupt;
	uint8_t phase; /* enum fdc_phase */
	uint8_t stage; /* enum fdc_stage */
	uint8_t command_count;
	uint8_t result_count;
	uint8_t result_at;
	/* The sector that is looked for, its head, and what there is to say of the command. */
	uint8_t c;
	uint8_t h;
	uint8_t r;
	uint8_t n;
	uint8_t head;
	uint8_t passed;	  /* sectors that are over */
	uint8_t terminal; /* the DMA channel has reached its count */
	uint8_t st1;
	uint8_t st2;
	uint8_t rotation; /* sectors that went by READ ID */
	uint8_t command[FDC_COMMAND_MAX];
	uint8_t result[FDC_RESULT_MAX];
	uint8_t zero[2];
};
_Static_assert(sizeof(struct fdc_state) == 128, "no padding");

struct fdc {
	struct vdev dev; /* its lock covers all below but what is atomic */
	struct dma8237 *dma;
	struct irq_line irq;
	bool level; /* of the line */
	struct vtimer timer;
	struct fdc_state state;
	struct floppy_drive drives[FDC_DRIVES];
	uint8_t *buffer;	   /* the sector; behind it, what a scan compares with */
	struct blk_single request; /* while it is open the disk has the buffer */
	struct vwork work;
	struct saved_device saved;
};

#define FDC_SAVED_VERSION 1u
struct floppy_drive_saved {
	uint8_t present;
	uint8_t inserted;
	uint8_t cylinder;
	uint8_t changed;
};
_Static_assert(sizeof(struct floppy_drive_saved) == 4, "no padding");

struct fdc_saved {
	struct fdc_state state;
	struct floppy_drive_saved drives[FDC_DRIVES];
	uint8_t buffer[2 * BLK_SECTOR];
};
_Static_assert(sizeof(struct fdc_saved) == 1160, "no padding");

struct fdc_config {
	struct vtime *time;
	struct vwork_queue *work; /* of the VM */
	struct dma8237 *dma;
	struct irq_line irq;
	/* Each of a size that floppy_format_of knows; NULL: no such drive. */
	struct blk_device *media[FDC_DRIVES];
	void *buffer; /* FDC_BUFFER_BYTES of pool pages */
};

/* To be registered at its two places. Memory stays the caller's. */
void fdc_init(struct fdc *c, const struct fdc_config *cfg);
/* No vCPU runs any more: whether the disks are done with all that was open. To be waited for. */
bool fdc_is_idle(const struct fdc *c);
/* Takes the medium out of a drive that there is. HV_E_NOT_FOUND: none is in. From any CPU. */
enum hv_status fdc_eject(struct fdc *c, unsigned drive) HV_MUST_CHECK;
/* Puts it back. */
void fdc_insert(struct fdc *c, unsigned drive);
