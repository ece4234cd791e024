/* SPDX-License-Identifier: Apache-2.0 */
/* What an ATA disk says of itself. Source: ATA/ATAPI-6 (T13/1410D) and ACS-3, "IDENTIFY DEVICE",
 * "SMART READ DATA", "Log address definitions". */
#include "guests/devices/ata.h"

#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/str.h"

#define FIRMWARE_REVISION "1.0"

/* Word 0: not a packet device, fixed. */
#define GENERAL_DISK 0x0040u
#define PIO_TIMING_2 0x0200u /* the mode, for hosts from before word 64 */
#define VALID_ALL 0x0007u    /* words 54 to 58, 64 to 70, 88 */
#define PIO_MODES_3_4 0x0003u
#define CYCLE_NS 120u
#define MULTIWORD_MODES 0x0007u /* 0 to 2 */
#define ULTRA_MODES 0x003fu	/* 0 to 5 */
#define MULTIPLE_MARK 0x8000u
#define MULTIPLE_VALID 0x0100u
#define CAPABILITIES_2_STANDBY 0x4001u /* the standby timer has a least value that is ours */
#define MAJOR_ATA4_TO_ACS2 0x03f0u
/* Device 0, and a cable of 80 wires: Ultra DMA above mode 2 may be used. */
#define RESET_RESULT_80_WIRES 0x600bu
#define TRANSPORT_PARALLEL 0x001fu
#define TRANSPORT_SERIAL 0x10ffu
#define PHYSICAL_SECTORS 3u /* 8 of 512 bytes: what images and overlays are made of */

#define COMMANDS_1 \
	(ATA_ID_SMART | ATA_ID_POWER | ATA_ID_WRITE_CACHE | ATA_ID_LOOK_AHEAD | ATA_ID_NOP)
#define COMMANDS_2 (ATA_ID_WORD_VALID | ATA_ID_LBA48 | ATA_ID_FLUSH | ATA_ID_FLUSH_EXT)
#define COMMANDS_3 (ATA_ID_WORD_VALID | ATA_ID_LOGS | ATA_ID_FUA)

/* SMART data. */
#define SMART_VERSION 0x0010u
#define SMART_CAPABILITY 368u
#define SMART_SAVES 0x0003u
#define SMART_ERROR_LOGS 370u
#define BLOCK_SUM 511u

/* The queued error log: bytes. */
#define QUEUED_NOT 0x80u /* the last error was none of a queued command */

/* ---- writing pages ---- */

void ata_put_word(uint8_t *page, unsigned word, unsigned value)
{
	put_le16(page + (size_t)word * 2, value);
}

static void put_words(uint8_t *page, unsigned word, unsigned count, uint64_t value)
{
	for (unsigned i = 0; i < count; i++) {
		ata_put_word(page, word + i, (unsigned)(value >> (16 * i)) & 0xffff);
	}
}

/* The first character of two is in a word's upper byte. */
void ata_put_text(uint8_t *page, unsigned word, unsigned chars, const char *text)
{
	size_t n = str_len(text);

	for (unsigned i = 0; i < chars; i++) {
		page[word * 2 + (i ^ 1)] = (uint8_t)(i < n ? text[i] : ' ');
	}
}

/* What makes the sum of `count` bytes zero, of which the last is to be it. */
static uint8_t complement(const uint8_t *bytes, unsigned count)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i + 1 < count; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	return (uint8_t)(0 - sum);
}

void ata_put_integrity(uint8_t *page)
{
	ata_put_word(page, ATA_ID_INTEGRITY, ATA_ID_INTEGRITY_MARK);
	page[BLOCK_SUM] = complement(page, ATA_PAGE_BYTES);
}

static unsigned modes(unsigned there, uint8_t selected)
{
	return there | (selected == ATA_MODE_NONE ? 0 : 0x100u << selected);
}

void ata_put_modes(uint8_t *page, uint8_t multiword, uint8_t ultra)
{
	ata_put_word(page, ATA_ID_MULTIWORD, modes(MULTIWORD_MODES, multiword));
	ata_put_word(page, ATA_ID_ULTRA, modes(ULTRA_MODES, ultra));
	ata_put_word(page, ATA_ID_PIO_TIMING, PIO_TIMING_2);
	ata_put_word(page, ATA_ID_PIO_MODES, PIO_MODES_3_4);
	for (unsigned i = 0; i < 4; i++) {
		ata_put_word(page, ATA_ID_CYCLES + i, CYCLE_NS);
	}
}

/* ---- IDENTIFY DEVICE ---- */

static void put_geometry(const struct ata_disk *d, uint8_t *page)
{
	unsigned track = d->state.heads * d->state.sectors;
	uint64_t cylinders = min_u64(d->blocks / track, ATA_CYLINDERS_MAX);

	ata_put_word(page, ATA_ID_CYLINDERS, d->cylinders);
	ata_put_word(page, ATA_ID_HEADS, d->heads);
	ata_put_word(page, ATA_ID_SECTORS, d->sectors);
	ata_put_word(page, ATA_ID_CURRENT, (unsigned)cylinders);
	ata_put_word(page, ATA_ID_CURRENT + 1, d->state.heads);
	ata_put_word(page, ATA_ID_CURRENT + 2, d->state.sectors);
	put_words(page, ATA_ID_CURRENT + 3, 2, cylinders * track);
	put_words(page, ATA_ID_SECTORS_28, 2, min_u64(d->blocks, ATA_LBA28_MAX));
	put_words(page, ATA_ID_SECTORS_48, 4, d->blocks);
}

static void put_commands(const struct ata_disk *d, uint8_t *page)
{
	unsigned off = (d->state.write_cache ? 0 : ATA_ID_WRITE_CACHE) |
		       (d->state.look_ahead ? 0 : ATA_ID_LOOK_AHEAD) |
		       (d->state.smart ? 0 : ATA_ID_SMART);

	ata_put_word(page, ATA_ID_COMMANDS_1, COMMANDS_1);
	ata_put_word(page, ATA_ID_COMMANDS_2, COMMANDS_2);
	ata_put_word(page, ATA_ID_COMMANDS_3, COMMANDS_3);
	ata_put_word(page, ATA_ID_ENABLED_1, COMMANDS_1 & ~off);
	/* Of these two words the validity bits are only in the second. */
	ata_put_word(page, ATA_ID_ENABLED_2, COMMANDS_2 & ~ATA_ID_WORD_VALID);
	ata_put_word(page, ATA_ID_ENABLED_3, COMMANDS_3);
}

static void put_sectors(const struct ata_disk *d, uint8_t *page)
{
	if (d->block_shift == 0) {
		ata_put_word(page, ATA_ID_SECTOR_SIZE,
			     ATA_ID_WORD_VALID | ATA_ID_LARGE_PHYSICAL | PHYSICAL_SECTORS);
	} else {
		ata_put_word(page, ATA_ID_SECTOR_SIZE, ATA_ID_WORD_VALID | ATA_ID_LONG_SECTORS);
		put_words(page, ATA_ID_SECTOR_WORDS, 2, ATA_BLOCK_MAX / 2);
	}
	ata_put_word(page, ATA_ID_ALIGNMENT, ATA_ID_WORD_VALID);
	ata_put_word(page, ATA_ID_ROTATION, ATA_ID_NOT_ROTATING);
	if (d->cfg.device->discards && !d->cfg.device->readonly) {
		ata_put_word(page, ATA_ID_DSM, ATA_DSM_TRIM);
		ata_put_word(page, ATA_ID_DSM_BLOCKS, ATA_DSM_BLOCKS_MAX);
	}
}

static void put_transport(const struct ata_disk *d, uint8_t *page)
{
	unsigned queued = d->cfg.queue_depth != 0 ? ATA_ID_SATA_NCQ : 0;

	if (!d->cfg.serial_ata) {
		ata_put_word(page, ATA_ID_RESET_RESULT, RESET_RESULT_80_WIRES);
		ata_put_word(page, ATA_ID_TRANSPORT, TRANSPORT_PARALLEL);
		return;
	}
	if (queued != 0) {
		ata_put_word(page, ATA_ID_QUEUE_DEPTH, d->cfg.queue_depth - 1u);
	}
	ata_put_word(page, ATA_ID_SATA,
		     ATA_ID_SATA_GEN1 | ATA_ID_SATA_GEN2 | ATA_ID_SATA_GEN3 | queued);
	ata_put_word(page, ATA_ID_TRANSPORT, TRANSPORT_SERIAL);
}

static void fill_identify(const struct ata_disk *d, uint8_t *page)
{
	ata_put_word(page, ATA_ID_GENERAL, GENERAL_DISK);
	ata_put_text(page, ATA_ID_SERIAL, ATA_ID_SERIAL_CHARS, d->cfg.device->serial);
	ata_put_text(page, ATA_ID_FIRMWARE, ATA_ID_FIRMWARE_CHARS, FIRMWARE_REVISION);
	ata_put_text(page, ATA_ID_MODEL, ATA_ID_MODEL_CHARS, d->cfg.model);
	ata_put_word(page, ATA_ID_MULTIPLE_MAX, MULTIPLE_MARK | ATA_MULTIPLE_MAX);
	ata_put_word(page, ATA_ID_CAPABILITIES,
		     ATA_ID_DMA | ATA_ID_LBA | ATA_ID_IORDY | ATA_ID_STANDBY_TIMER);
	ata_put_word(page, ATA_ID_CAPABILITIES_2, CAPABILITIES_2_STANDBY);
	ata_put_word(page, ATA_ID_VALID, VALID_ALL);
	if (d->state.multiple != 0) {
		ata_put_word(page, ATA_ID_MULTIPLE, MULTIPLE_VALID | d->state.multiple);
	}
	ata_put_word(page, ATA_ID_MAJOR, MAJOR_ATA4_TO_ACS2);
	ata_put_modes(page, d->state.multiword, d->state.ultra);
	put_geometry(d, page);
	put_commands(d, page);
	put_sectors(d, page);
	put_transport(d, page);
	ata_put_integrity(page);
}

/* ---- SMART and logs ---- */

/* No attribute: nothing of this disk wears out, and a number made up would be a lie. */
static void fill_smart_data(uint8_t *page)
{
	ata_put_word(page, 0, SMART_VERSION);
	page[SMART_CAPABILITY] = SMART_SAVES;
	page[SMART_ERROR_LOGS] = 1;
	page[BLOCK_SUM] = complement(page, ATA_PAGE_BYTES);
}

static void fill_smart_log(const struct ata_operation *op, uint8_t *page)
{
	page[0] = 1; /* the version of each of them */
	if (op->log == ATA_LOG_DIRECTORY) {
		ata_put_word(page, ATA_LOG_ERRORS, 1);
		ata_put_word(page, ATA_LOG_SELF_TEST, 1);
	} else {
		page[BLOCK_SUM] = complement(page, ATA_PAGE_BYTES);
	}
}

/* "Queued Error log": the registers as the host would have read them. */
static void fill_queued_error(struct ata_disk *d, uint8_t *page)
{
	const struct ata_queued_error *e = &d->state.queued_error;

	page[0] = e->valid ? e->tag : QUEUED_NOT;
	if (e->valid) {
		page[2] = e->registers.status;
		page[3] = e->registers.error;
		for (unsigned i = 0; i < 3; i++) {
			page[4 + i] = e->registers.lba[i];
			page[8 + i] = e->registers.lba[3 + i];
		}
		page[7] = e->registers.device;
		page[12] = (uint8_t)e->registers.count;
		page[13] = (uint8_t)(e->registers.count >> 8);
	}
	page[BLOCK_SUM] = complement(page, ATA_PAGE_BYTES);
	d->state.queued_error.valid = false;
}

static void fill_log(struct ata_disk *d, const struct ata_operation *op, uint8_t *page)
{
	if (op->log == ATA_LOG_DIRECTORY) {
		ata_put_word(page, 0, 1);
		ata_put_word(page, ATA_LOG_QUEUED_ERROR, d->cfg.queue_depth != 0);
	} else {
		fill_queued_error(d, page);
	}
}

void ata_page(struct ata_disk *d, const struct ata_operation *op, uint8_t *out)
{
	memset(out, 0, ATA_PAGE_BYTES);
	switch (op->page) {
	case ATA_PAGE_IDENTIFY:
		fill_identify(d, out);
		break;
	case ATA_PAGE_SMART_DATA:
		fill_smart_data(out);
		break;
	case ATA_PAGE_SMART_THRESHOLDS:
		ata_put_word(out, 0, SMART_VERSION);
		out[BLOCK_SUM] = complement(out, ATA_PAGE_BYTES);
		break;
	case ATA_PAGE_SMART_LOG:
		fill_smart_log(op, out);
		break;
	case ATA_PAGE_LOG:
		fill_log(d, op, out);
		break;
	case ATA_PAGE_REPLY:
		break;
	}
}
