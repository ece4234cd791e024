/* SPDX-License-Identifier: Apache-2.0 */
/* ATA commands of a CD drive, the packets that move the tray or read, and what goes with every one
 * of them. Sources: ATA/ATAPI-6; MMC-5; SPC-3. */
#include "guests/devices/atapi.h"

#include "guests/devices/atapi_replies.h"
#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/str.h"

/* Features of the PACKET command. */
#define PACKET_DMA 0x01u
#define PACKET_OVERLAP 0x02u
#define BYTE_COUNT_MAX 0xfffeu

/* What a packet device shows as reason when a command is over. */
#define REASON_STATUS (ATA_REASON_CD | ATA_REASON_IO)

/* START STOP UNIT. */
#define START_START 0x01u
#define START_LOAD_EJECT 0x02u
#define START_POWER 0xf0u

/* READ CD: which parts of a sector. */
#define PARTS_NONE 0x00u
#define PARTS_USER_DATA 0x10u
#define PARTS_MAIN 0xf8u
#define PARTS_ERRORS 0x06u
#define SUB_CHANNEL 0x07u

#define MODEL "Bulkhead CD-ROM"
#define FIRMWARE_REVISION "1.0"
/* A packet device, CD-ROM, removable; DRQ comes within 50 us; packets of 12 bytes. */
#define GENERAL_CDROM 0x85c0u
#define VALID_MODES 0x0006u
#define MAJOR_ATA4_TO_ATA6 0x0070u
#define COMMANDS_1 (ATA_ID_PACKET | ATA_ID_POWER | ATA_ID_RESET | ATA_ID_NOP)
#define RESET_RESULT_80_WIRES 0x600bu
#define SATA_SPEEDS (ATA_ID_SATA_GEN1 | ATA_ID_SATA_GEN2 | ATA_ID_SATA_GEN3)

/* ---- how packets end ---- */

static void end_packet(struct atapi_drive *d, struct ata_registers *r, uint32_t sense)
{
	d->state.sense = sense;
	r->count = (uint16_t)((r->count & ~0xffu) | REASON_STATUS);
	ata_succeed(r);
	if (sense != ATAPI_SENSE_NONE) {
		r->status |= ATA_STATUS_ERR;
		r->error = (uint8_t)bits_set(0, ATA_ERROR_SENSE, sense >> 16);
	}
}

static uint32_t not_loaded(const struct atapi_drive *d)
{
	return d->state.tray_open ? ATAPI_SENSE_TRAY_OPEN : ATAPI_SENSE_TRAY_CLOSED;
}

bool atapi_is_loaded(const struct atapi_drive *d)
{
	return d->medium != NULL && d->medium->sectors >= ATAPI_SECTORS && !d->state.tray_open;
}

uint32_t atapi_blocks(const struct atapi_drive *d)
{
	return (uint32_t)min_u64(d->medium->sectors / ATAPI_SECTORS, UINT32_MAX);
}

/* ---- packets that read ---- */

static uint32_t read_blocks(struct atapi_drive *d, struct ata_operation *op, uint32_t block,
			    uint32_t count)
{
	if (!range_fits(block, count, atapi_blocks(d))) {
		return ATAPI_SENSE_ADDRESS;
	}
	if (count != 0) {
		op->action = ATA_DO_READ;
		op->device = d->medium;
		op->sector = (uint64_t)block * ATAPI_SECTORS;
		op->bytes = (uint64_t)count * ATAPI_BLOCK;
	}
	return ATAPI_SENSE_NONE;
}

static uint32_t do_read_10(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	return read_blocks(d, op, get_be32(p + 2), get_be16(p + 7));
}

static uint32_t do_read_12(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	return read_blocks(d, op, get_be32(p + 2), get_be32(p + 6));
}

/* Sectors as they lie on the medium are not kept: there is the user's part of them alone. */
static uint32_t read_parts(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op,
			   uint32_t block, uint32_t count)
{
	uint8_t parts = p[9] & PARTS_MAIN;

	if ((parts != PARTS_NONE && parts != PARTS_USER_DATA) || (p[9] & PARTS_ERRORS) != 0 ||
	    (p[10] & SUB_CHANNEL) != 0) {
		return ATAPI_SENSE_FIELD;
	}
	if (parts == PARTS_NONE) {
		return ATAPI_SENSE_NONE;
	}
	return read_blocks(d, op, block, count);
}

static uint32_t do_read_cd(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	return read_parts(d, p, op, get_be32(p + 2), get_be32(p + 5) & 0xffffff);
}

/* From one address up to another, which is not read any more. */
static uint32_t do_read_cd_msf(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	uint32_t first = atapi_frames(p + 3);
	uint32_t end = atapi_frames(p + 6);

	if (first < ATAPI_LEAD_IN_FRAMES || end < first) {
		return ATAPI_SENSE_ADDRESS;
	}
	return read_parts(d, p, op, first - ATAPI_LEAD_IN_FRAMES, end - first);
}

static uint32_t do_seek(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	(void)op;
	return get_be32(p + 2) < atapi_blocks(d) ? ATAPI_SENSE_NONE : ATAPI_SENSE_ADDRESS;
}

/* What an image holds is as good as what it reads: only the range is looked at. */
static uint32_t do_verify(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	(void)op;
	return range_fits(get_be32(p + 2), get_be16(p + 7), atapi_blocks(d)) ? ATAPI_SENSE_NONE
									     : ATAPI_SENSE_ADDRESS;
}

/* ---- packets that move the tray ---- */

static uint32_t do_nothing(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	(void)d;
	(void)p;
	(void)op;
	return ATAPI_SENSE_NONE;
}

static uint32_t do_start_stop(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	bool open = (p[4] & START_START) == 0;

	(void)op;
	if ((p[4] & START_POWER) != 0 || (p[4] & START_LOAD_EJECT) == 0) {
		return ATAPI_SENSE_NONE;
	}
	if (open && d->state.locked) {
		return ATAPI_SENSE_LOCKED;
	}
	if (open != d->state.tray_open) {
		d->state.tray_open = open;
		d->state.event = open ? ATAPI_EVENT_REMOVED : ATAPI_EVENT_NEW;
		d->state.attention =
			!open && d->medium != NULL ? ATAPI_SENSE_CHANGED : d->state.attention;
	}
	return ATAPI_SENSE_NONE;
}

static uint32_t do_prevent(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	(void)op;
	d->state.locked = (p[4] & 1) != 0;
	return ATAPI_SENSE_NONE;
}

/* ---- the table ---- */

enum packet_needs {
	NEEDS_NOTHING = 0,
	NEEDS_MEDIUM = 1,
	TELLS_NO_ATTENTION = 2, /* is answered though there is something to be told */
};

struct packet_command {
	uint8_t code;
	uint8_t needs;
	/* The sense data; with ATAPI_SENSE_NONE *op says what is left to do, if anything. */
	uint32_t (*run)(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op);
};

static const struct packet_command packets[] = {
	{0x00, NEEDS_MEDIUM, do_nothing}, /* TEST UNIT READY */
	{0x03, TELLS_NO_ATTENTION, atapi_request_sense},
	{0x12, TELLS_NO_ATTENTION, atapi_inquiry},
	{0x1a, NEEDS_NOTHING, atapi_mode_sense_6},
	{0x1b, NEEDS_NOTHING, do_start_stop},
	{0x1e, NEEDS_NOTHING, do_prevent},
	{0x25, NEEDS_MEDIUM, atapi_read_capacity},
	{0x28, NEEDS_MEDIUM, do_read_10},
	{0x2b, NEEDS_MEDIUM, do_seek},
	{0x2f, NEEDS_MEDIUM, do_verify},
	{0x35, NEEDS_MEDIUM, do_nothing}, /* SYNCHRONIZE CACHE */
	{0x42, NEEDS_MEDIUM, atapi_read_sub_channel},
	{0x43, NEEDS_MEDIUM, atapi_read_toc},
	{0x46, TELLS_NO_ATTENTION, atapi_get_configuration},
	{0x4a, TELLS_NO_ATTENTION, atapi_get_event},
	{0x51, NEEDS_MEDIUM, atapi_disc_information},
	{0x52, NEEDS_MEDIUM, atapi_track_information},
	{0x5a, NEEDS_NOTHING, atapi_mode_sense_10},
	{0xa8, NEEDS_MEDIUM, do_read_12},
	{0xad, NEEDS_MEDIUM, atapi_disc_structure},
	{0xb9, NEEDS_MEDIUM, do_read_cd_msf},
	{0xbb, NEEDS_NOTHING, do_nothing}, /* SET CD SPEED */
	{0xbd, NEEDS_NOTHING, atapi_mechanism_status},
	{0xbe, NEEDS_MEDIUM, do_read_cd},
};

static uint32_t run_packet(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	const struct packet_command *c = NULL;
	uint32_t attention = d->state.attention;

	for (size_t i = 0; i < ARRAY_SIZE(packets) && c == NULL; i++) {
		c = packets[i].code == p[0] ? &packets[i] : NULL;
	}
	if (attention != ATAPI_SENSE_NONE && (c == NULL || (c->needs & TELLS_NO_ATTENTION) == 0)) {
		d->state.attention = ATAPI_SENSE_NONE;
		return attention;
	}
	if (c == NULL) {
		ata_lacks(op, LACKS_PACKET, p[0]);
		return ATAPI_SENSE_OPCODE;
	}
	if ((c->needs & NEEDS_MEDIUM) != 0 && !atapi_is_loaded(d)) {
		return not_loaded(d);
	}
	return c->run(d, p, op);
}

/* "Byte Count": how much the host takes with one DRQ. */
static uint32_t byte_count(const struct ata_registers *r)
{
	uint32_t limit = (uint32_t)(r->lba[1] | r->lba[2] << 8) & BYTE_COUNT_MAX;

	if (limit == 0) {
		limit = BYTE_COUNT_MAX;
	}
	return limit < ATAPI_BLOCK ? limit : limit - limit % ATAPI_BLOCK;
}

void atapi_packet(struct atapi_drive *d, struct ata_registers *r,
		  const uint8_t packet[ATAPI_PACKET_BYTES], struct ata_operation *op)
{
	uint32_t sense;

	op->action = ATA_DONE;
	op->bytes = 0;
	op->drq_bytes = byte_count(r);
	d->reply_bytes = 0;
	sense = run_packet(d, packet, op);
	if (sense == ATAPI_SENSE_NONE && d->reply_bytes != 0) {
		op->action = ATA_DO_PAGE;
		op->page = ATA_PAGE_REPLY;
		op->bytes = d->reply_bytes;
	}
	if (op->action == ATA_DONE) {
		op->protocol = ATA_NO_DATA;
	}
	end_packet(d, r, sense);
}

void atapi_finish(struct atapi_drive *d, struct ata_registers *r, const struct ata_operation *op,
		  enum hv_status status)
{
	if (op->page == ATA_PAGE_IDENTIFY && op->action == ATA_DO_PAGE) {
		ata_succeed(r);
		return;
	}
	end_packet(d, r, status == HV_OK ? ATAPI_SENSE_NONE : ATAPI_SENSE_READ_ERROR);
}

/* ---- ATA commands ---- */

static void begin_packet(struct ata_registers *r, struct ata_operation *op)
{
	if ((r->features & PACKET_OVERLAP) != 0) {
		ata_abort(r);
		return;
	}
	ata_succeed(r);
	op->action = ATA_DO_PACKET;
	op->protocol = (r->features & PACKET_DMA) != 0 ? ATA_DMA_IN : ATA_PIO_IN;
	op->bytes = ATAPI_PACKET_BYTES;
}

static void begin_identify(struct ata_registers *r, struct ata_operation *op)
{
	ata_succeed(r);
	op->action = ATA_DO_PAGE;
	op->protocol = ATA_PIO_IN;
	op->page = ATA_PAGE_IDENTIFY;
	op->bytes = ATA_PAGE_BYTES;
	op->drq_bytes = ATA_PAGE_BYTES;
}

static void set_features(struct atapi_drive *d, struct ata_registers *r, struct ata_operation *op)
{
	uint8_t multiword = d->state.multiword;
	uint8_t ultra = d->state.ultra;

	if ((r->features & 0xffu) != ATA_FEATURE_MODE ||
	    !ata_select_mode(r->count & 0xffu, &multiword, &ultra)) {
		ata_lacks(op, LACKS_FEATURE, r->features);
		ata_abort(r);
		return;
	}
	d->state.multiword = multiword;
	d->state.ultra = ultra;
	ata_succeed(r);
}

void atapi_execute(struct atapi_drive *d, struct ata_registers *r, struct ata_operation *op)
{
	*op = (struct ata_operation){.action = ATA_DONE};
	switch (r->command) {
	case ATA_PACKET:
		begin_packet(r, op);
		break;
	case ATA_IDENTIFY_PACKET:
		begin_identify(r, op);
		break;
	case ATA_DEVICE_RESET:
		ata_set_signature(r, true);
		break;
	case ATA_IDENTIFY:
	case ATA_READ_SECTORS:
		/* Hosts from before packets find out here. */
		ata_set_signature(r, true);
		ata_abort(r);
		break;
	case ATA_SET_FEATURES:
		set_features(d, r, op);
		break;
	case ATA_CHECK_POWER:
		r->count = ATA_POWER_ACTIVE;
		ata_succeed(r);
		break;
	case ATA_STANDBY_NOW:
	case ATA_IDLE_NOW:
	case ATA_STANDBY:
	case ATA_IDLE:
	case ATA_SLEEP:
		ata_succeed(r);
		break;
	default:
		ata_lacks(op, r->command == ATA_NOP ? LACKS_NOTHING : LACKS_COMMAND, r->command);
		ata_abort(r);
		break;
	}
}

static void fill_identify(const struct atapi_drive *d, uint8_t *page)
{
	memset(page, 0, ATA_PAGE_BYTES);
	ata_put_word(page, ATA_ID_GENERAL, GENERAL_CDROM);
	ata_put_text(page, ATA_ID_SERIAL, ATA_ID_SERIAL_CHARS, d->serial);
	ata_put_text(page, ATA_ID_FIRMWARE, ATA_ID_FIRMWARE_CHARS, FIRMWARE_REVISION);
	ata_put_text(page, ATA_ID_MODEL, ATA_ID_MODEL_CHARS, MODEL);
	ata_put_word(page, ATA_ID_CAPABILITIES, ATA_ID_DMA | ATA_ID_LBA | ATA_ID_IORDY);
	ata_put_word(page, ATA_ID_VALID, VALID_MODES);
	ata_put_modes(page, d->state.multiword, d->state.ultra);
	ata_put_word(page, ATA_ID_MAJOR, MAJOR_ATA4_TO_ATA6);
	ata_put_word(page, ATA_ID_COMMANDS_1, COMMANDS_1);
	ata_put_word(page, ATA_ID_COMMANDS_2, ATA_ID_WORD_VALID);
	ata_put_word(page, ATA_ID_COMMANDS_3, ATA_ID_WORD_VALID);
	ata_put_word(page, ATA_ID_ENABLED_1, COMMANDS_1);
	ata_put_word(page, ATA_ID_ENABLED_3, ATA_ID_WORD_VALID);
	if (d->serial_ata) {
		ata_put_word(page, ATA_ID_SATA, SATA_SPEEDS);
	} else {
		ata_put_word(page, ATA_ID_RESET_RESULT, RESET_RESULT_80_WIRES);
	}
	ata_put_integrity(page);
}

void atapi_page(const struct atapi_drive *d, const struct ata_operation *op, uint8_t *out)
{
	if (op->page == ATA_PAGE_IDENTIFY) {
		fill_identify(d, out);
	} else {
		memcpy(out, d->reply, op->bytes);
	}
}

/* ---- the medium ---- */

bool atapi_can_read(const struct blk_device *medium)
{
	return medium->block_size <= ATAPI_BLOCK &&
	       (uint64_t)medium->max_count * BLK_SECTOR >= medium->block_size;
}

enum hv_status atapi_eject(struct atapi_drive *d, bool force)
{
	if (d->medium == NULL) {
		return HV_E_NOT_FOUND;
	}
	if (d->state.locked && !force) {
		d->state.event = ATAPI_EVENT_EJECT;
		return HV_E_BUSY;
	}
	if (!d->state.tray_open) {
		d->state.event = ATAPI_EVENT_REMOVED;
	}
	d->medium = NULL;
	d->state.locked = false;
	d->state.tray_open = true;
	return HV_OK;
}

void atapi_insert(struct atapi_drive *d, struct blk_device *medium)
{
	d->medium = medium;
	d->given = medium;
	d->state.tray_open = false;
	d->state.event = ATAPI_EVENT_NEW;
	d->state.attention = ATAPI_SENSE_CHANGED;
}

void atapi_reset(struct atapi_drive *d)
{
	d->state = (struct atapi_state){
		.attention = ATAPI_SENSE_RESET,
		.multiword = ATA_MULTIWORD_FIRST,
		.ultra = ATA_MODE_NONE,
	};
	d->reply_bytes = 0;
}

void atapi_init(struct atapi_drive *d, struct blk_device *medium, const char *serial,
		bool serial_ata)
{
	*d = (struct atapi_drive){.medium = medium, .given = medium, .serial_ata = serial_ata};
	(void)str_copy(d->serial, sizeof(d->serial), span_of(serial));
	atapi_reset(d);
}
