/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ATAPI CD or DVD drive apart from how its registers are reached: ATA commands of a packet
 * device, and the packets. Used like guests/devices/ata.h by the IDE and AHCI controllers of
 * guests.
 *
 *	atapi_execute(A0h) --> ATA_DO_PACKET; 12 bytes --> atapi_packet --> sectors, a page, done
 *
 * The medium is any block device, read in blocks of 2048 bytes; it comes and goes while the guest
 * runs. Pure: no lock, no request, no guest memory. Sources: ATA/ATAPI-6, "PACKET Command feature
 * set"; Multi-Media Commands (MMC-5); SCSI Primary Commands (SPC-3).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/ata.h"

#define ATAPI_PACKET_BYTES 12u
#define ATAPI_BLOCK 2048u
#define ATAPI_REPLY_MAX 256u

/* What a command that failed leaves for REQUEST SENSE: key << 16 | code << 8 | qualifier. */
#define ATAPI_SENSE_NONE 0x000000u
#define ATAPI_SENSE_TRAY_CLOSED 0x023a01u /* no medium */
#define ATAPI_SENSE_TRAY_OPEN 0x023a02u
#define ATAPI_SENSE_READ_ERROR 0x031100u
#define ATAPI_SENSE_OPCODE 0x052000u
#define ATAPI_SENSE_ADDRESS 0x052100u
#define ATAPI_SENSE_FIELD 0x052400u
#define ATAPI_SENSE_SAVING 0x053900u
#define ATAPI_SENSE_LOCKED 0x055302u
#define ATAPI_SENSE_CHANGED 0x062800u
#define ATAPI_SENSE_RESET 0x062900u

/* Media events of GET EVENT STATUS NOTIFICATION. */
enum atapi_event { ATAPI_EVENT_NONE, ATAPI_EVENT_EJECT, ATAPI_EVENT_NEW, ATAPI_EVENT_REMOVED };

/* All that a guest has set or was told. */
struct atapi_state {
	uint32_t sense;	    /* of the last command */
	uint32_t attention; /* what the next command is told instead of its answer */
	enum atapi_event event;
	bool tray_open;
	bool locked; /* PREVENT ALLOW MEDIUM REMOVAL */
	uint8_t multiword;
	uint8_t ultra;
};

struct atapi_drive {
	struct blk_device *medium; /* NULL: none */
	struct blk_device *given;  /* the last one that was put in; it may be out */
	bool serial_ata;
	char serial[ATA_ID_SERIAL_CHARS + 1];
	struct atapi_state state;
	/* Of the last packet: what ATA_DO_PAGE sends. */
	uint8_t reply[ATAPI_REPLY_MAX];
	uint32_t reply_bytes;
};

/* Whether the device's blocks make up those of a CD, and it takes one of its own at once. */
bool atapi_can_read(const struct blk_device *medium);
/* `medium`, one that can be read, may be NULL. After power-on. */
void atapi_init(struct atapi_drive *d, struct blk_device *medium, const char *serial,
		bool serial_ata);
/* To the state after power-on; the medium stays, the tray closes. */
void atapi_reset(struct atapi_drive *d);

/* As ata_execute. */
void atapi_execute(struct atapi_drive *d, struct ata_registers *r, struct ata_operation *op);
/*
 * The packet of an ATA_DO_PACKET has come. *op becomes ATA_DO_READ, ATA_DO_PAGE or ATA_DONE; its
 * protocol is ATA_PIO_IN or ATA_DMA_IN as the command said.
 */
void atapi_packet(struct atapi_drive *d, struct ata_registers *r,
		  const uint8_t packet[ATAPI_PACKET_BYTES], struct ata_operation *op);
/* The registers at the end of what atapi_execute or atapi_packet have left to do. */
void atapi_finish(struct atapi_drive *d, struct ata_registers *r, const struct ata_operation *op,
		  enum hv_status status);
/* Makes the op->bytes of an ATA_DO_PAGE. */
void atapi_page(const struct atapi_drive *d, const struct ata_operation *op, uint8_t *out);

/*
 * Takes the medium out. HV_E_BUSY: the guest has locked the drive; it was told that somebody wants
 * the medium, and most systems then let go of it, or eject it themselves. `force` asks nobody.
 * HV_E_NOT_FOUND: there is none. Reads that are on their way go on: whoever owns the medium waits
 * for them.
 */
enum hv_status atapi_eject(struct atapi_drive *d, bool force) HV_MUST_CHECK;
/* Puts a medium in that can be read, instead of the one that is there. */
void atapi_insert(struct atapi_drive *d, struct blk_device *medium);
/* Whether a medium is in and the tray is closed. */
bool atapi_is_loaded(const struct atapi_drive *d);

/* Saved state: a part of the struct of each controller. */
struct atapi_saved {
	uint64_t sectors; /* of the medium; 0: none is in */
	uint32_t sense;
	uint32_t attention;
	uint32_t reply_bytes;
	uint8_t event; /* enum atapi_event */
	uint8_t tray_open;
	uint8_t locked;
	uint8_t multiword;
	uint8_t ultra;
	uint8_t zero[7];
	uint8_t reply[ATAPI_REPLY_MAX]; /* 0 behind reply_bytes */
};
_Static_assert(sizeof(struct atapi_saved) == 32 + ATAPI_REPLY_MAX, "no padding");

/*
 * As in struct saved_ops. A medium that was in is in again: the one that the drive was given last,
 * which must be as large.
 */
void atapi_save(const struct atapi_drive *d, struct atapi_saved *out);
const char *atapi_check(const struct atapi_drive *d, const struct atapi_saved *in);
void atapi_load(struct atapi_drive *d, const struct atapi_saved *in);
