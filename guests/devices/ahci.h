/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AHCI controller of an ICH9, with a disk or CD drive on each of up to six ports. Sources:
 * Serial ATA AHCI 1.3.1 Specification; Serial ATA Revision 3; ATA8-ACS; data sheet of the ICH9,
 * "SATA Controller Registers (D31:F2)".
 *
 *	ahci.c		PCI function, generic host control, the interrupt
 *	ahci_unit.c	registers of a port; link, engine, resets
 *	ahci_command.c	command list --> ATA command --> parts --> completion
 *	ahci_piece.c	parts of a command at the disk, each with a buffer
 *	ahci_fis.c	what the device says: FISes in guest memory, errors
 *	ahci_data.c	physical regions
 *	ahci_saved.c	saved state
 *
 *	PxCI --fetch--> command --cut--> pieces --blk_submit--> disk
 *	                  ^ |                                     |
 *	                  | +--blk_copy, where the disk is memory |
 *	                  +--all done-- pieces <-- done, or vwork-+
 *
 * Queued commands run side by side. Any other is alone, as its device is busy: it waits until those
 * before it are done. What completes in one go is told with one FIS and one interrupt.
 *
 * A reset, a stop of the engine or an error ends all commands as far as the guest can see. What the
 * disk still has of them keeps its buffers and never touches the guest again; until the disk is
 * done with it no command begins, so that no old write overtakes a new one.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/ata.h"
#include "guests/devices/atapi.h"
#include "guests/devices/blk_pieces.h"
#include "guests/devices/pci_device.h"
#include "hv/api/blk.h"
#include "hv/api/vwork.h"
#include "hv/base/ahci_format.h"

#define AHCI_UNITS_MAX 6u
#define AHCI_RANGES_BYTES (ATA_DSM_BLOCKS_MAX * BLK_SECTOR)

struct vm;
struct ahci_hba;
struct ahci_unit;

/* A place in a table of physical regions. */
struct ahci_cursor {
	uint64_t next;	  /* guest address of the entry behind the present one */
	uint32_t entries; /* from there on */
	uint64_t address; /* of the next byte */
	uint32_t left;	  /* bytes of the present entry */
	bool marked;	  /* one that was reached has its interrupt bit set */
};

/* What a slot of the command list came to. */
struct ahci_command {
	struct ata_registers registers;
	struct ata_operation op;
	struct ahci_cursor data; /* of what is not sent */
	uint64_t header;	 /* guest address */
	uint32_t moved;		 /* bytes of data, for the header */
	uint64_t sent;		 /* bytes */
	uint64_t trim_sector;	 /* of a trim's present range */
	uint64_t trim_count;	 /* sectors of it that are left */
	uint16_t trim_index;	 /* of the next one */
	uint16_t open;		 /* pieces at the disk, and one while it is not all sent */
	bool live;		 /* it may touch the guest */
	bool begun;		 /* `op` is known */
	bool queued;		 /* by its code */
	bool flush;		 /* a flush is still to be sent */
	bool overflow;		 /* there was more data than the regions hold */
	enum hv_status status;
	uint64_t error_sector;
	uint8_t packet[ATAPI_PACKET_BYTES];
};

/* All that a guest sees of a port. */
struct ahci_unit_state {
	uint64_t list;	   /* PxCLB */
	uint64_t received; /* PxFB */
	uint32_t is, ie, cmd, tfd, sig, sctl, serr, sact, ci;
	uint32_t ccs;	/* the slot that was begun last */
	uint32_t first; /* the slot that has its turn next */
	bool stopped;	/* by an error, until the engine is started anew */
	bool soft_held; /* the host holds the device in a software reset */
	bool greeting;	/* the FIS that follows a reset is still to come, or to be stored */
};

/* Covered by `lock`, but for what is atomic, and const after ahci_init. */
struct ahci_unit {
	struct ahci_hba *hba;
	unsigned index;
	bool is_packet; /* a CD drive */
	struct spinlock lock;
	struct vwork work;
	struct ata_disk disk;	  /* unless is_packet */
	struct atapi_drive drive; /* if is_packet */
	struct ahci_unit_state state;
	uint32_t taken;		      /* slots that were fetched and are not done */
	uint32_t queued;	      /* those of them that are queued and accepted */
	uint32_t accepted;	      /* and not told of */
	uint32_t done;		      /* queued ones that went well, and were not told of */
	bool draining;		      /* the disk has pieces of ended commands */
	bool told;		      /* the HBA was told that an interrupt is pending */
	struct ahci_command *newest;  /* that was accepted; if there is one in `accepted` */
	struct ahci_command *current; /* not all of it is sent; NULL: none */
	uint8_t ranges[AHCI_RANGES_BYTES];
	struct ahci_command commands[AHCI_SLOTS_MAX];
	struct blk_pieces pieces;
	struct ahci_cursor places[BLK_PIECES]; /* where the data of a read go, by piece */
};

struct ahci_hba {
	struct pci_device pci;
	struct vm *vm;
	unsigned vcpu_count;
	unsigned unit_count;
	struct ahci_unit *units[AHCI_UNITS_MAX];
	/* Taken under a unit's. Covers what follows. */
	struct spinlock lock;
	uint32_t ghc;
	uint32_t is;
	uint32_t pending; /* ports whose PxIS & PxIE is not 0 */
	uint32_t index;	  /* of the index-data pair */
	struct saved_device saved;
};

/* Saved state: when it is quiet no command is open, and all that happened has been told. */
#define AHCI_SAVED_VERSION 1u
struct ahci_unit_saved {
	uint64_t list;
	uint64_t received;
	uint32_t is;
	uint32_t ie;
	uint32_t cmd;
	uint32_t tfd;
	uint32_t sig;
	uint32_t sctl;
	uint32_t serr;
	uint32_t sact;
	uint32_t ci;
	uint8_t ccs;
	uint8_t first;
	uint8_t stopped;
	uint8_t soft_held;
	uint8_t greeting;
	uint8_t is_packet;
	uint8_t zero[6];
	struct ata_saved disk;	  /* 0 if is_packet */
	struct atapi_saved drive; /* or if not */
};
_Static_assert(sizeof(struct ahci_unit_saved) == 64 + 40 + 288, "no padding");

struct ahci_saved {
	struct pci_device_saved pci;
	uint32_t ghc;
	uint32_t is;
	uint32_t index;
	uint32_t unit_count;
	struct ahci_unit_saved units[AHCI_UNITS_MAX]; /* 0 behind unit_count */
};
_Static_assert(sizeof(struct ahci_saved) == 1296 + 16 + 6 * 392, "no padding");

struct ahci_unit_config {
	struct blk_device *device;
	bool is_packet; /* a CD drive with the device as its medium */
	/* Memory: sizeof(struct ahci_unit), and BOUNCE_BYTES of pool pages. */
	struct ahci_unit *unit;
	void *buffers;
};

struct ahci_config {
	struct pci_device_config place; /* board_place_pci_at: host, devfn and connections */
	struct vm *vm;
	struct vwork_queue *work; /* of the VM */
	unsigned vcpu_count;
	unsigned unit_count; /* 1 .. AHCI_UNITS_MAX */
	struct ahci_unit_config units[AHCI_UNITS_MAX];
};

/*
 * HV_E_UNSUPPORTED: a disk's blocks are of a size that ATA, or a CD, does not have, or it takes
 * less than a block at once; else as pci_device_init. Memory stays the caller's.
 */
enum hv_status ahci_init(struct ahci_hba *h, const struct ahci_config *cfg) HV_MUST_CHECK;
/*
 * As atapi_eject and atapi_insert, while the guest runs; HV_E_UNSUPPORTED: the port has no CD
 * drive, or it cannot read the medium.
 */
enum hv_status ahci_eject(struct ahci_hba *h, unsigned unit, bool force) HV_MUST_CHECK;
enum hv_status ahci_insert(struct ahci_hba *h, unsigned unit,
			   struct blk_device *medium) HV_MUST_CHECK;
/* No vCPU runs any more: whether the disks are done with all that was open. To be waited for. */
bool ahci_is_idle(const struct ahci_hba *h);
