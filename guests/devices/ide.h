/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IDE function of a PIIX3 (8086:7010) with disks and CD drives: two channels in compatibility
 * mode, each with two places, programmed I/O, and bus master DMA.
 *
 *	ports 1f0-1f7, 3f6, IRQ 14 --> channel 0 --+-- device 0, device 1
 *	ports 170-177, 376, IRQ 15 --> channel 1 --+-- device 0, device 1
 *	BAR 4: bus master registers of both, 8 ports each
 *
 * A channel does one command at a time. Its data pass through the channel's buffer in chunks:
 *
 *	disk --pieces, blk_submit--> buffer --DRQ by DRQ, or along the PRD table--> host
 *
 * and the other way for a write. A piece that the disk does not do at once is finished by a vCPU of
 * the guest (hv/api/vwork.h); the device is busy meanwhile. A reset does not wait for it: what
 * comes back is dropped, and only then a new command begins.
 *
 * Sources: 82371SB (PIIX3) data sheet, "IDE Controller"; Programming Interface for Bus Master IDE
 * Controller, revision 1.0; ATA/ATAPI-6 (T13/1410D), "Interface register definitions and
 * descriptions", "Protocol".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/ata.h"
#include "guests/devices/atapi.h"
#include "guests/devices/blk_single.h"
#include "guests/devices/pci_device.h"
#include "hv/api/blk.h"
#include "hv/api/vdev.h"
#include "hv/api/vwork.h"

#define IDE_CHANNELS 2u
#define IDE_UNITS 2u /* per channel */
#define IDE_BUFFER_BYTES 0x20000u
#define IDE_COMMAND_PORTS 8u
#define IDE_BUS_MASTER_BAR 4u
#define IDE_BUS_MASTER_PORTS 8u /* of a channel */

struct vm;
struct ide;

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CDROM };

/* A place for a device. */
struct ide_unit {
	enum ide_kind kind;
	struct ata_disk disk;	  /* if it is one */
	struct atapi_drive drive; /* or the other */
	struct ata_registers registers;
};

enum ide_phase {
	IDE_IDLE,
	IDE_PACKET, /* the host writes a packet */
	IDE_WORK,   /* busy: the disk, or a bus master transfer */
	IDE_HOST,   /* the host reads or writes a part of the buffer */
};

/* "Bus Master IDE Register Description", and where in the table it is. */
struct ide_bus_master {
	uint8_t command;
	uint8_t status;
	uint32_t table;
	uint32_t next;	  /* descriptor */
	uint32_t address; /* what is left of the present one */
	uint32_t left;	  /* bytes */
	bool last;	  /* it is the table's last */
	bool failed;	  /* since the start: memory was not there */
};

/* What the present command has got done. */
struct ide_progress {
	uint64_t moved;	     /* bytes of the chunks that are over */
	uint32_t chunk;	     /* bytes of the present one; 0: none */
	uint32_t host;	     /* bytes of it that the host has read or written */
	uint32_t disk;	     /* and the disk */
	uint32_t drq;	     /* where in the chunk the present DRQ ends */
	uint32_t ranges;     /* of a trim: those that are over */
	uint64_t range_done; /* sectors of the present one */
	bool flushed;
};

/* Covered by dev.lock, but for what is atomic. */
struct ide_channel {
	struct vdev dev; /* of the command and control blocks */
	struct ide *ide;
	unsigned index;
	struct irq_line irq;
	struct ide_unit units[IDE_UNITS];
	/* Registers of the channel. */
	uint8_t control;
	unsigned selected;
	bool interrupt; /* a device has something to tell: INTRQ, if nIEN allows */
	unsigned interrupt_unit;
	bool level; /* of the line */
	struct ide_bus_master master;
	/* The command. */
	enum ide_phase phase;
	unsigned active; /* unit */
	struct ata_operation op;
	struct ide_progress progress;
	uint8_t packet[ATAPI_PACKET_BYTES];
	uint8_t *buffer;
	struct blk_single request; /* while it is open the disk has the buffer */
	struct vwork work;
};

struct ide {
	struct pci_device pci;
	struct vm *vm;
	unsigned vcpu_count;
	struct ide_channel channels[IDE_CHANNELS];
	struct saved_device saved;
};

/* Saved state: when it is quiet the disks have nothing, but a command may be half done. */
#define IDE_SAVED_VERSION 1u
struct ide_unit_saved {
	struct ata_saved disk;	  /* 0 unless it is one */
	struct atapi_saved drive; /* likewise */
	struct ata_registers registers;
	uint8_t kind; /* enum ide_kind */
	uint8_t zero;
};
_Static_assert(sizeof(struct ide_unit_saved) == 344, "no padding");

struct ide_master_saved {
	uint32_t table;
	uint32_t next;
	uint32_t address;
	uint32_t left;
	uint8_t command;
	uint8_t status;
	uint8_t last;
	uint8_t failed;
};
_Static_assert(sizeof(struct ide_master_saved) == 20, "no padding");

/* The command of a channel that is not idle; else all of it is 0. */
struct ide_command_saved {
	uint64_t sector;
	uint64_t bytes;
	uint64_t moved;
	uint64_t range_done;
	uint32_t drq_bytes;
	uint32_t chunk;
	uint32_t host;
	uint32_t disk;
	uint32_t drq;
	uint32_t ranges;
	uint8_t action;	  /* enum ata_action */
	uint8_t protocol; /* enum ata_protocol */
	uint8_t is_ext;
	uint8_t flush_after;
	uint8_t page; /* enum ata_page_kind */
	uint8_t log;
	uint8_t flushed;
	uint8_t zero[5];
	uint8_t packet[ATAPI_PACKET_BYTES];
	uint8_t buffer[IDE_BUFFER_BYTES]; /* 0 behind the chunk */
};
_Static_assert(sizeof(struct ide_command_saved) == 80 + IDE_BUFFER_BYTES, "no padding");

struct ide_channel_saved {
	struct ide_unit_saved units[IDE_UNITS];
	struct ide_command_saved command;
	struct ide_master_saved master;
	uint8_t control;
	uint8_t selected;
	uint8_t interrupt;
	uint8_t interrupt_unit;
	uint8_t phase; /* enum ide_phase */
	uint8_t active;
	uint8_t zero[6];
};
_Static_assert(sizeof(struct ide_channel_saved) == 2 * 344 + 80 + IDE_BUFFER_BYTES + 32,
	       "no padding");

struct ide_saved {
	struct pci_device_saved pci;
	struct ide_channel_saved channels[IDE_CHANNELS];
};
_Static_assert(sizeof(struct ide_saved) == 1296 + 2 * (800 + IDE_BUFFER_BYTES), "no padding");

struct ide_unit_config {
	enum ide_kind kind;
	struct blk_device *device; /* a CD drive's may be NULL: it is empty */
	char serial[ATA_ID_SERIAL_CHARS + 1];
};

struct ide_config {
	struct vm *vm;
	struct pci_device_config place; /* host, devfn and messages are set */
	struct vwork_queue *work;	/* of the VM */
	unsigned vcpu_count;
	struct irq_line irqs[IDE_CHANNELS]; /* ISA interrupts 14 and 15 */
	/* By channel * IDE_UNITS + place. */
	struct ide_unit_config units[IDE_CHANNELS * IDE_UNITS];
	void *buffers[IDE_CHANNELS]; /* IDE_BUFFER_BYTES of pool pages each */
};

/*
 * HV_E_UNSUPPORTED: a disk with blocks that ATA does not have, or that takes less than a block at
 * once; else as pci_device_init. Memory stays the caller's. The caller registers each channel's
 * `dev` for its ports.
 */
enum hv_status ide_init(struct ide *ide, const struct ide_config *cfg) HV_MUST_CHECK;
/* No vCPU runs any more: whether the disks are done with all that was open. To be waited for. */
bool ide_is_idle(const struct ide *ide);

/* As atapi_eject for unit 0 .. 3; HV_E_UNSUPPORTED: that is no CD drive. From any CPU. */
enum hv_status ide_eject(struct ide *ide, unsigned unit, bool force) HV_MUST_CHECK;
/* As atapi_insert. HV_E_UNSUPPORTED also for a medium with blocks of more than 2048 bytes. */
enum hv_status ide_insert(struct ide *ide, unsigned unit, struct blk_device *medium) HV_MUST_CHECK;
