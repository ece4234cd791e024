/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SATA disks behind AHCI host bus adapters, a queue for each port; with native command queuing
 * where both sides have it. Source: Serial ATA AHCI 1.3.1; ATA/ATAPI Command Set (ACS-3).
 *
 * An error, a request that takes too long and a link that goes down stop the port's engine and
 * reset the link, in phases by timer. All open requests end with HV_E_IO, but not before the engine
 * stands still: until then it may still move data. When the disk failed one command of several
 * these are tried again one by one, so that a bad sector is only the matter of who reads it.
 *
 *	READY --> STOPPING --> RESETTING --> LINKING --> READY
 *	              |                          |
 *	              +--------------------------+----> FAILED
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drivers/disk_queue.h"
#include "drivers/pci.h"
#include "hv/api/blk.h"
#include "hv/api/timer.h"
#include "hv/base/addr.h"
#include "hv/base/ahci_format.h"
#include "hv/base/ata_format.h"
#include "hv/base/lock.h"

#define AHCI_TRANSFER_MAX KIB(512)

enum ahci_phase { AHCI_STOPPING, AHCI_RESETTING, AHCI_LINKING, AHCI_READY, AHCI_FAILED };

struct ahci;

/* "Command Table". One buffer is one stretch of memory: a descriptor suffices. */
struct ahci_table {
	uint8_t fis[64];
	uint8_t atapi[16];
	uint8_t reserved[48];
	struct ahci_prd prd;
	uint8_t pad[112];
};
static_assert(offsetof(struct ahci_table, atapi) == AHCI_TABLE_PACKET, "wire format");
static_assert(offsetof(struct ahci_table, prd) == AHCI_TABLE_REGIONS, "wire format");
static_assert(sizeof(struct ahci_table) % AHCI_TABLE_ALIGN == 0, "tables lie behind each other");

/* What the HBA reads and writes of a port. */
struct ahci_memory {
	struct ahci_header headers[AHCI_PORTS_MAX];
	uint8_t received[1024]; /* FISes; 256 bytes count */
	uint64_t ranges[ATA_TRIM_RANGES];
	uint8_t pad[1536];
	struct ahci_table tables[AHCI_PORTS_MAX];
};
static_assert(offsetof(struct ahci_memory, received) == 1024, "headers fill their kilobyte");
static_assert(sizeof(struct ahci_memory) == 12288, "whole pages");

struct ahci_port {
	struct ahci *hba;
	unsigned number;
	char name[BLK_NAME_MAX]; /* "ahci0.1" */
	struct ahci_memory *memory;
	struct timer timer;
	/* Const once the disk was identified. */
	bool ncq;
	unsigned block_shift; /* from sectors to the disk's */
	struct blk_device device;
	char model[ATA_ID_MODEL_CHARS + 1];
	/* Under `lock`. */
	struct spinlock lock;
	enum ahci_phase phase;
	uint64_t phase_limit;
	uint32_t issued; /* slots that the HBA has */
	bool retries;	 /* after this reset */
	unsigned resets; /* since a request was answered last */
	struct disk_queue requests;
};

struct ahci {
	struct host_pci *pci;
	char *registers;
	unsigned index;
	unsigned slots;
	bool ncq;
	struct ahci_port *ports[AHCI_PORTS_MAX]; /* NULL: no disk */
};

/*
 * Resets the HBA and calls `found` for each disk. At start only: waits for links and disks. What
 * cannot be used stays off, with a line in the log.
 */
void ahci_probe(struct host_pci *f, unsigned index, void (*found)(struct blk_device *d));

/* --- between ahci.c and ahci_port.c --- */

uint32_t ahci_port_read(const struct ahci_port *p, unsigned reg);
void ahci_port_write(const struct ahci_port *p, unsigned reg, uint32_t value);

/* Stops the engine; with the port's lock. The next phases come by ahci_port_advance. */
void ahci_port_begin_reset(struct ahci_port *p);
/* One look at the port in a phase of its reset; with its lock. What is over goes to `done`. */
void ahci_port_advance(struct ahci_port *p, struct list_node *done);
/* At start only: IDENTIFY DEVICE into `words`, ATA_ID_WORDS of pool memory. HV_E_IO. */
enum hv_status ahci_port_identify(struct ahci_port *p, uint16_t *words) HV_MUST_CHECK;
/* What the interrupt of the port does; takes its lock. */
void ahci_port_serve(struct ahci_port *p);
/* The port's timer function. */
void ahci_port_watch(struct timer *t);
/* struct blk_ops. */
void ahci_port_submit(struct blk_device *d, struct blk_request *r);
