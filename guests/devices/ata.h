/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ATA disk apart from how its registers are reached: what it says of itself, and what a command
 * asks for. Used by the IDE and AHCI controllers of guests, which move the data.
 *
 *	controller --registers--> ata_execute --> operation: sectors to read or write, a page, ...
 *	    |                                         |
 *	    +--what the operation says, in pieces-----+--> ata_finish --registers--> controller
 *
 * Pure: no lock, no request, no guest memory. Source: ATA/ATAPI-6 (T13/1410D) and ATA/ATAPI Command
 * Set (ACS-3), "Command descriptions".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/blk.h"
#include "hv/api/lacks.h"
#include "hv/base/ata_format.h"
#include "hv/base/status.h"

#define ATA_MULTIPLE_MAX 16u /* blocks that one DRQ of READ MULTIPLE moves at most */
#define ATA_QUEUE_MAX 32u
#define ATA_PAGE_BYTES 512u
#define ATA_DSM_BLOCKS_MAX 8u /* of ranges, in one DATA SET MANAGEMENT */

/*
 * The command block as the device holds it. Registers of 16 bits have in the lower byte what was
 * written last, in the upper what was before that; of `lba` bytes 0 .. 2 and 3 .. 5 are so.
 */
struct ata_registers {
	uint8_t command;
	uint8_t device;
	uint16_t features;
	uint16_t count;
	uint8_t lba[6];
	/* Answers. */
	uint8_t status;
	uint8_t error;
};

enum ata_action {
	ATA_DONE,      /* nothing is left to do: the registers tell how it went */
	ATA_DO_READ,   /* sectors of the disk go to the host */
	ATA_DO_WRITE,  /* the host's data go to sectors */
	ATA_DO_VERIFY, /* sectors are read, for nobody */
	ATA_DO_FLUSH,
	ATA_DO_TRIM,   /* the host sends ranges: ata_trim_range */
	ATA_DO_PAGE,   /* the host gets what ata_page or the packet device has made */
	ATA_DO_PACKET, /* the host sends a packet: atapi_packet */
};

enum ata_protocol { ATA_NO_DATA, ATA_PIO_IN, ATA_PIO_OUT, ATA_DMA_IN, ATA_DMA_OUT };

enum ata_page_kind {
	ATA_PAGE_IDENTIFY,
	ATA_PAGE_SMART_DATA,
	ATA_PAGE_SMART_THRESHOLDS,
	ATA_PAGE_SMART_LOG,
	ATA_PAGE_LOG,
	ATA_PAGE_REPLY, /* of a packet device: atapi_page */
};

/* What a command came to. */
struct ata_operation {
	enum ata_action action;
	enum ata_protocol protocol;
	struct blk_device *device; /* of sectors */
	uint64_t sector;	   /* READ, WRITE, VERIFY: in units of BLK_SECTOR */
	uint64_t bytes;		   /* that are moved between host and device, or verified */
	uint32_t drq_bytes;	   /* that PIO moves with one DRQ, but the last */
	bool is_ext;		   /* addresses have 48 bits */
	bool flush_after;	   /* what is written has to be on the medium at the end */
	bool queued;		   /* NCQ */
	uint8_t tag;		   /* of a queued command */
	enum ata_page_kind page;
	uint8_t log; /* of the two pages of logs */
	/* What the host asked for and the device does not have. */
	enum lacks_kind lacks;
	uint8_t lacked;
};

/* What READ LOG tells of the queued command that failed last. */
struct ata_queued_error {
	bool valid;
	uint8_t tag;
	struct ata_registers registers;
};

/* All that a guest has set. */
struct ata_state {
	uint8_t heads; /* of the addresses by cylinder, head and sector */
	uint8_t sectors;
	uint8_t multiple;  /* blocks; 0: READ MULTIPLE is off */
	uint8_t multiword; /* mode that is selected; ATA_MODE_NONE */
	uint8_t ultra;
	bool write_cache;
	bool look_ahead;
	bool smart;
	bool standby;
	struct ata_queued_error queued_error;
};

#define ATA_MODE_NONE 0xffu
/*
 * Multiword DMA that is selected from the start, as firmware would do it for a PIIX3. Some systems
 * (9front, Haiku) look at what is selected, and use no DMA if nothing is.
 */
#define ATA_MULTIWORD_FIRST 2u

struct ata_config {
	struct blk_device *device; /* of sectors up to ATA_BLOCK_MAX bytes */
	const char *model;	   /* up to 40 characters */
	bool serial_ata;
	uint8_t queue_depth; /* 0: no queued commands, .. ATA_QUEUE_MAX */
};

#define ATA_BLOCK_MAX 4096u

struct ata_disk {
	struct ata_config cfg;
	/* Of the medium. */
	unsigned block_shift; /* a block of the disk in sectors of BLK_SECTOR */
	uint64_t blocks;
	uint16_t cylinders;
	uint8_t heads;
	uint8_t sectors;
	struct ata_state state;
};

/* HV_E_UNSUPPORTED: blocks of a size that ATA disks do not have here, or no block at all. */
enum hv_status ata_init(struct ata_disk *d, const struct ata_config *cfg) HV_MUST_CHECK;
/* To the state after power-on. */
void ata_reset(struct ata_disk *d);

/*
 * Begins what the command register says, any of 256 values. `r` are the registers at that moment;
 * with ATA_DONE they are those at the end. EXECUTE DEVICE DIAGNOSTIC is the controller's.
 */
void ata_execute(struct ata_disk *d, struct ata_registers *r, struct ata_operation *op);
/*
 * The registers at the end of what ata_execute has left to do. After an error `sector` is where, in
 * units of BLK_SECTOR.
 */
void ata_finish(struct ata_disk *d, struct ata_registers *r, const struct ata_operation *op,
		enum hv_status status, uint64_t sector);
/* Makes the ATA_PAGE_BYTES of an ATA_DO_PAGE. */
void ata_page(struct ata_disk *d, const struct ata_operation *op, uint8_t *out);
/*
 * Range `index` of the op->bytes / 8 that a host sent for ATA_DO_TRIM, in units of BLK_SECTOR.
 * *count 0: nothing to do. False: it reaches past the disk's end, and the command has failed.
 */
bool ata_trim_range(const struct ata_disk *d, const uint8_t *ranges, unsigned index,
		    uint64_t *sector, uint64_t *count);

/* Registers after a reset, of whatever kind, or after EXECUTE DEVICE DIAGNOSTIC. */
void ata_set_signature(struct ata_registers *r, bool packet);
/* Says that the device does not have what the host asked for; the low byte of `what` names it. */
void ata_lacks(struct ata_operation *op, enum lacks_kind kind, uint16_t what);
/* Ends a command that is not there, or cannot be. */
void ata_abort(struct ata_registers *r);
/* Ends a command without an error. */
void ata_succeed(struct ata_registers *r);

/* Parts of pages that packet devices have, too. `text` is padded with blanks. */
void ata_put_text(uint8_t *page, unsigned word, unsigned chars, const char *text);
void ata_put_word(uint8_t *page, unsigned word, unsigned value);
/* The last word: a mark, and what makes the sum of all bytes zero. */
void ata_put_integrity(uint8_t *page);
/* Words 63 .. 68 and 88: modes that there are, and which one is selected. */
void ata_put_modes(uint8_t *page, uint8_t multiword, uint8_t ultra);
/* The transfer mode of SET FEATURES; false: there is none like it. */
bool ata_select_mode(uint16_t count, uint8_t *multiword, uint8_t *ultra);

/* Saved state: a part of the struct of each controller. */
struct ata_saved {
	uint64_t blocks; /* of the disk: only one like it will do */
	struct ata_registers error_registers;
	uint8_t error_valid;
	uint8_t error_tag;
	uint8_t heads;
	uint8_t sectors;
	uint8_t multiple;
	uint8_t multiword;
	uint8_t ultra;
	uint8_t write_cache;
	uint8_t look_ahead;
	uint8_t smart;
	uint8_t standby;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct ata_registers) == 14, "no padding");
_Static_assert(sizeof(struct ata_saved) == 40, "no padding");

/* As in struct saved_ops. */
void ata_save(const struct ata_disk *d, struct ata_saved *out);
const char *ata_check(const struct ata_disk *d, const struct ata_saved *in);
void ata_load(struct ata_disk *d, const struct ata_saved *in);
