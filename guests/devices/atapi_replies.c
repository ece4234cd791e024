/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that a CD drive answers with data of its own. Sources: MMC-5, "Commands", "Features and
 * Profiles"; SPC-3. */
#include "guests/devices/atapi_replies.h"

#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/str.h"

/* A CD of 80 minutes has fewer blocks; what has more is a DVD. */
#define CD_BLOCKS_MAX 360000u
#define PROFILE_NONE 0x0000u
#define PROFILE_CD 0x0008u
#define PROFILE_DVD 0x0010u

#define SENSE_BYTES 18u
#define SENSE_CURRENT_FIXED 0x70u
#define INQUIRY_BYTES 36u
#define INQUIRY_EVPD 0x01u
#define TYPE_CD_DVD 0x05u
#define REMOVABLE 0x80u

#define FRAMES 75u
#define SECONDS 60u
#define MSF 0x02u

/* READ TOC/PMA/ATIP. */
#define TOC_TRACKS 0u
#define TOC_SESSIONS 1u
#define TOC_FULL 2u
#define POINT_FIRST_TRACK 0xa0u
#define POINT_LAST_TRACK 0xa1u
#define POINT_LEAD_OUT 0xa2u
#define TRACK_LEAD_OUT 0xaau
#define TRACK_DATA 0x14u /* digital, may not be copied; position in the Q sub-channel */

/* GET CONFIGURATION. */
#define FEATURES_CURRENT 1u
#define FEATURES_ONE 2u
#define FEATURE_HEADER 8u
#define FEATURE_CURRENT 0x01u
#define FEATURE_CD_READ 0x001eu
#define FEATURE_DVD_READ 0x001fu
#define CORE_ATAPI 2u
#define CORE_SATA 7u

/* GET EVENT STATUS NOTIFICATION. */
#define EVENT_POLLED 0x01u
#define EVENT_CLASS_MEDIA 4u
#define EVENT_NONE_AVAILABLE 0x80u
#define MEDIA_PRESENT 0x02u
#define MEDIA_TRAY_OPEN 0x01u

/* READ SUB-CHANNEL. */
#define SUB_Q 0x40u
#define SUB_POSITION 1u
#define SUB_CATALOGUE 2u
#define SUB_RECORDING 3u

/* READ DISC STRUCTURE. */
#define STRUCTURE_COPYRIGHT 0x01u

/* MODE SENSE. */
#define PAGE_ERROR_RECOVERY 0x01u
#define PAGE_CD 0x0du
#define PAGE_AUDIO 0x0eu
#define PAGE_POWER 0x1au
#define PAGE_TIMEOUT 0x1du
#define PAGE_CAPABILITIES 0x2au
#define PAGES_ALL 0x3fu
#define PAGE_CODE 0x3fu
#define PAGE_CONTROL MASK(7, 6)
#define CONTROL_CHANGEABLE 1u
#define CONTROL_SAVED 3u
#define HEADER_6 4u
#define HEADER_10 8u
#define MEDIUM_DATA 0x01u
#define MEDIUM_NONE 0x70u
#define MEDIUM_TRAY_OPEN 0x71u
#define LOCK_STATE 0x02u
#define LOCK_STATE_AT 6u

/* A reply of `bytes`, of which the host takes `allowed`. */
static uint8_t *begin_reply(struct atapi_drive *d, uint32_t bytes, uint32_t allowed)
{
	memset(d->reply, 0, sizeof(d->reply));
	d->reply_bytes = (uint32_t)min_u64(bytes, allowed);
	return d->reply;
}

static uint32_t profile(const struct atapi_drive *d)
{
	if (!atapi_is_loaded(d)) {
		return PROFILE_NONE;
	}
	return atapi_blocks(d) > CD_BLOCKS_MAX ? PROFILE_DVD : PROFILE_CD;
}

/* ---- any device has these ---- */

uint32_t atapi_request_sense(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	uint8_t *reply = begin_reply(d, SENSE_BYTES, p[4]);
	uint32_t sense = d->state.sense;

	(void)op;
	if (sense == ATAPI_SENSE_NONE) {
		sense = d->state.attention;
		d->state.attention = ATAPI_SENSE_NONE;
	}
	reply[0] = SENSE_CURRENT_FIXED;
	reply[2] = (uint8_t)(sense >> 16);
	reply[7] = SENSE_BYTES - 8;
	reply[12] = (uint8_t)(sense >> 8);
	reply[13] = (uint8_t)sense;
	return ATAPI_SENSE_NONE;
}

/* Text of SCSI is padded with blanks. */
static void put_text(uint8_t *p, size_t size, const char *text)
{
	memset(p, ' ', size);
	memcpy(p, text, min_u64(str_len(text), size));
}

uint32_t atapi_inquiry(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	uint8_t *reply;

	(void)op;
	if ((p[1] & INQUIRY_EVPD) != 0 || p[2] != 0) {
		return ATAPI_SENSE_FIELD;
	}
	reply = begin_reply(d, INQUIRY_BYTES, get_be16(p + 3));
	reply[0] = TYPE_CD_DVD;
	reply[1] = REMOVABLE;
	reply[2] = 5; /* SPC-3 */
	reply[3] = 2; /* the form of this reply */
	reply[4] = INQUIRY_BYTES - 5;
	put_text(reply + 8, 8, "BULKHEAD");
	put_text(reply + 16, 16, "CD-ROM");
	put_text(reply + 32, 4, "1.0");
	return ATAPI_SENSE_NONE;
}

/* ---- MODE SENSE ---- */

/* Code, length behind these two, and what follows; in the order in which all are sent. */
static const uint8_t pages[][20] = {
	{PAGE_ERROR_RECOVERY, 10, 0, 5 /* retries */},
	{PAGE_CD, 6, 0, 0, 0, SECONDS, 0, FRAMES},
	/* Immediate; no analogue output: all four ports are silent. */
	{PAGE_AUDIO, 14, 0x04},
	{PAGE_POWER, 10},
	/* A command takes 20 s at most, of either group: so long may the machine's disk. */
	{PAGE_TIMEOUT, 8, 0, 0, 0, 0, 0, 20, 0, 20},
	/*
	 * Reads CD-R, CD-RW, CD-R of method 2, DVD-ROM, DVD-R; mode 2 form 1 and 2, several
	 * sessions; a tray, can eject and lock; 7056 kB/s at most, 40 times an audio CD, and at
	 * present; 512 kB of buffer.
	 */
	{PAGE_CAPABILITIES, 18, 0x3b, 0, 0x70, 0, 0x29, 0, 0x1b, 0x90, 0, 0, 2, 0, 0x1b, 0x90},
};

static uint8_t *put_pages(const struct atapi_drive *d, unsigned code, uint8_t *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		const uint8_t *page = pages[i];

		if (code != page[0] && code != PAGES_ALL) {
			continue;
		}
		memcpy(p, page, 2u + page[1]);
		if (page[0] == PAGE_CAPABILITIES && d->state.locked) {
			p[LOCK_STATE_AT] |= LOCK_STATE;
		}
		p += 2 + page[1];
	}
	return p;
}

/* Nothing can be changed: behind the code and length of each page are zeros then. */
static void clear_pages(uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		unsigned length = p[1];

		memset(p + 2, 0, length);
		p += 2 + length;
	}
}

static uint8_t medium_type(const struct atapi_drive *d)
{
	if (d->state.tray_open) {
		return MEDIUM_TRAY_OPEN;
	}
	return d->medium == NULL ? MEDIUM_NONE : MEDIUM_DATA;
}

/* The pages behind a header of 4 or 8 bytes. */
static uint32_t mode_sense(struct atapi_drive *d, const uint8_t *p, uint32_t header,
			   uint32_t allowed)
{
	uint8_t *reply = begin_reply(d, sizeof(d->reply), allowed);
	unsigned control = (unsigned)bits_get(p[2], PAGE_CONTROL);
	uint8_t *end = put_pages(d, p[2] & PAGE_CODE, reply + header);
	uint32_t bytes = (uint32_t)(end - reply);

	d->reply_bytes = 0;
	if (control == CONTROL_SAVED) {
		return ATAPI_SENSE_SAVING;
	}
	if (bytes == header) {
		return ATAPI_SENSE_FIELD;
	}
	if (control == CONTROL_CHANGEABLE) {
		clear_pages(reply + header, end);
	}
	if (header == HEADER_6) {
		reply[0] = (uint8_t)(bytes - 1);
		reply[1] = medium_type(d);
	} else {
		put_be16(reply, bytes - 2);
		reply[2] = medium_type(d);
	}
	d->reply_bytes = (uint32_t)min_u64(bytes, allowed);
	return ATAPI_SENSE_NONE;
}

uint32_t atapi_mode_sense_6(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	(void)op;
	return mode_sense(d, p, HEADER_6, p[4]);
}

uint32_t atapi_mode_sense_10(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	(void)op;
	return mode_sense(d, p, HEADER_10, get_be16(p + 7));
}

/* ---- the medium ---- */

uint32_t atapi_read_capacity(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	uint8_t *reply = begin_reply(d, 8, 8);

	(void)p;
	(void)op;
	put_be32(reply, atapi_blocks(d) - 1);
	put_be32(reply + 4, ATAPI_BLOCK);
	return ATAPI_SENSE_NONE;
}

uint32_t atapi_frames(const uint8_t *msf)
{
	return (msf[0] * SECONDS + msf[1]) * FRAMES + msf[2];
}

static void put_address(uint8_t *p, uint32_t block, bool msf)
{
	uint32_t frames = block + ATAPI_LEAD_IN_FRAMES;

	if (!msf) {
		put_be32(p, block);
		return;
	}
	p[0] = 0;
	p[1] = (uint8_t)min_u64(frames / (FRAMES * SECONDS), UINT8_MAX);
	p[2] = (uint8_t)(frames / FRAMES % SECONDS);
	p[3] = (uint8_t)(frames % FRAMES);
}

static uint8_t *put_track(uint8_t *p, uint8_t track, uint32_t block, bool msf)
{
	memset(p, 0, 8);
	p[1] = TRACK_DATA;
	p[2] = track;
	put_address(p + 4, block, msf);
	return p + 8;
}

/* An entry of the lead-in: the point, and what it says. */
static uint8_t *put_point(uint8_t *p, uint8_t point, uint8_t minute, uint8_t second, uint8_t frame)
{
	memset(p, 0, 11);
	p[0] = 1; /* session */
	p[1] = TRACK_DATA;
	p[3] = point;
	p[8] = minute;
	p[9] = second;
	p[10] = frame;
	return p + 11;
}

/* "Raw TOC", which discs other than CDs do not have. */
static uint8_t *put_points(const struct atapi_drive *d, uint8_t *p)
{
	uint8_t address[4];

	p = put_point(p, POINT_FIRST_TRACK, 1, 0, 0);
	p = put_point(p, POINT_LAST_TRACK, 1, 0, 0);
	put_address(address, atapi_blocks(d), true);
	p = put_point(p, POINT_LEAD_OUT, address[1], address[2], address[3]);
	put_address(address, 0, true);
	return put_point(p, 1, address[1], address[2], address[3]);
}

static uint8_t *put_tracks(const struct atapi_drive *d, uint8_t *p, unsigned format, uint8_t first,
			   bool msf)
{
	if (format == TOC_SESSIONS || first <= 1) {
		p = put_track(p, 1, 0, msf);
	}
	return format == TOC_TRACKS ? put_track(p, TRACK_LEAD_OUT, atapi_blocks(d), msf) : p;
}

/* One session with one track, and the lead-out behind it. */
uint32_t atapi_read_toc(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	/* Before MMC-2 the format was in the last byte. */
	unsigned format = (p[2] & 0xfu) != 0 ? p[2] & 0xfu : p[9] >> 6;
	bool msf = (p[1] & MSF) != 0;
	uint8_t first = p[6];
	uint8_t *reply;
	uint8_t *end;

	(void)op;
	if (format > TOC_FULL || (format == TOC_FULL && profile(d) != PROFILE_CD) ||
	    (format == TOC_TRACKS && first > 1 && first != TRACK_LEAD_OUT)) {
		return ATAPI_SENSE_FIELD;
	}
	reply = begin_reply(d, sizeof(d->reply), get_be16(p + 7));
	reply[2] = 1;
	reply[3] = 1;
	end = format == TOC_FULL ? put_points(d, reply + 4)
				 : put_tracks(d, reply + 4, format, first, msf);
	put_be16(reply, (uint32_t)(end - reply) - 2);
	d->reply_bytes = (uint32_t)min_u64((uint64_t)(end - reply), d->reply_bytes);
	return ATAPI_SENSE_NONE;
}

/* Nothing plays, at the disc's first sector; it has no catalogue number and no recording code. */
uint32_t atapi_read_sub_channel(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	bool msf = (p[1] & MSF) != 0;
	bool wanted = (p[2] & SUB_Q) != 0;
	uint8_t format = p[3];
	uint32_t bytes = !wanted ? 0 : format == SUB_POSITION ? 12 : 20;
	uint8_t *reply;

	(void)op;
	if (wanted && (format < SUB_POSITION || format > SUB_RECORDING)) {
		return ATAPI_SENSE_FIELD;
	}
	reply = begin_reply(d, 4 + bytes, get_be16(p + 7));
	put_be16(reply + 2, bytes);
	if (wanted) {
		reply[4] = format;
	}
	if (wanted && format != SUB_CATALOGUE) {
		reply[5] = TRACK_DATA;
		reply[6] = 1; /* track */
	}
	if (wanted && format == SUB_POSITION) {
		reply[7] = 1; /* index */
		put_address(reply + 8, 0, msf);
	}
	return ATAPI_SENSE_NONE;
}

/* Of a DVD, and of that alone whether it is protected. */
uint32_t atapi_disc_structure(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	(void)op;
	if (profile(d) != PROFILE_DVD || p[7] != STRUCTURE_COPYRIGHT) {
		return ATAPI_SENSE_FIELD;
	}
	put_be16(begin_reply(d, 8, get_be16(p + 8)), 6);
	return ATAPI_SENSE_NONE;
}

uint32_t atapi_disc_information(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	uint8_t *reply = begin_reply(d, 34, get_be16(p + 7));

	(void)op;
	put_be16(reply, 32);
	reply[2] = 0x0e; /* the last session is complete, and so is the disc */
	reply[3] = 1;	 /* the first track */
	reply[4] = 1;	 /* sessions */
	reply[5] = 1;	 /* the first and the last track of the last one */
	reply[6] = 1;
	reply[7] = 0x20;	     /* for any use */
	memset(reply + 16, 0xff, 8); /* nothing can be written behind it */
	return ATAPI_SENSE_NONE;
}

uint32_t atapi_track_information(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	uint8_t *reply = begin_reply(d, 36, get_be16(p + 7));

	(void)op;
	put_be16(reply, 34);
	reply[2] = 1;	 /* track */
	reply[3] = 1;	 /* session */
	reply[5] = 0x04; /* data */
	reply[6] = 0x01; /* mode 1 */
	put_be32(reply + 24, atapi_blocks(d));
	return ATAPI_SENSE_NONE;
}

/* ---- the drive ---- */

uint32_t atapi_mechanism_status(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	uint8_t *reply = begin_reply(d, 8, get_be16(p + 8));

	(void)op;
	reply[1] = d->state.tray_open ? 0x10 : 0;
	return ATAPI_SENSE_NONE;
}

/* The event is told once. */
uint32_t atapi_get_event(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	bool media = (p[4] & BIT32(EVENT_CLASS_MEDIA)) != 0;
	uint8_t *reply;

	(void)op;
	if ((p[1] & EVENT_POLLED) == 0) {
		return ATAPI_SENSE_FIELD;
	}
	reply = begin_reply(d, media ? 8 : 4, get_be16(p + 7));
	put_be16(reply, media ? 6 : 2);
	reply[2] = media ? EVENT_CLASS_MEDIA : EVENT_NONE_AVAILABLE;
	reply[3] = BIT32(EVENT_CLASS_MEDIA);
	if (media && d->reply_bytes > 4) {
		reply[4] = (uint8_t)d->state.event;
		reply[5] = (uint8_t)((d->state.tray_open ? MEDIA_TRAY_OPEN : 0) |
				     (atapi_is_loaded(d) ? MEDIA_PRESENT : 0));
		d->state.event = ATAPI_EVENT_NONE;
	}
	return ATAPI_SENSE_NONE;
}

/* Descriptors that are the same for every medium: code, flags, length, data. */
struct feature {
	uint16_t code;
	uint8_t flags;
	uint8_t length;
	uint8_t data[8];
};

static const struct feature features[] = {
	/* The list of profiles; which one is current is filled in. */
	{0x0000, 0x03, 8, {0x00, PROFILE_DVD, 0, 0, 0x00, PROFILE_CD, 0, 0}},
	{0x0001, 0x0b, 8, {0, 0, 0, CORE_ATAPI, 0x01, 0, 0, 0}}, /* version 2, DBEvent */
	{0x0002, 0x07, 4, {0x02, 0, 0, 0}}, /* morphing: events of operational changes */
	{0x0003, 0x03, 4, {0x29, 0, 0, 0}}, /* a tray; ejects, locks */
	{0x0010, 0x00, 8, {0, 0, ATAPI_BLOCK >> 8, 0, 0, 1, 0, 0}}, /* reads at random */
	{0x001d, 0x00, 0, {0}},					    /* multi-read */
	{FEATURE_CD_READ, 0x08, 4, {0}},
	{FEATURE_DVD_READ, 0x04, 4, {0}},
	{0x0100, 0x03, 0, {0}}, /* power management */
	{0x0105, 0x07, 4, {0}}, /* timeout */
};

/* Whether it is about the medium that is in. */
static bool is_current(const struct atapi_drive *d, const struct feature *f)
{
	if ((f->flags & FEATURE_CURRENT) != 0) {
		return true;
	}
	if (f->code == FEATURE_CD_READ) {
		return profile(d) == PROFILE_CD;
	}
	if (f->code == FEATURE_DVD_READ) {
		return profile(d) == PROFILE_DVD;
	}
	return profile(d) != PROFILE_NONE;
}

static uint8_t *put_feature(const struct atapi_drive *d, const struct feature *f, uint8_t *p)
{
	put_be16(p, f->code);
	p[2] = (uint8_t)(f->flags | (is_current(d, f) ? FEATURE_CURRENT : 0));
	p[3] = f->length;
	memcpy(p + 4, f->data, f->length);
	if (f->code == 0x0000) {
		p[6] = profile(d) == PROFILE_DVD;
		p[10] = profile(d) == PROFILE_CD;
	} else if (f->code == 0x0001 && d->serial_ata) {
		p[7] = CORE_SATA;
	}
	return p + 4 + f->length;
}

uint32_t atapi_get_configuration(struct atapi_drive *d, const uint8_t *p, struct ata_operation *op)
{
	unsigned which = p[1] & 3u;
	uint32_t first = get_be16(p + 2);
	uint8_t *reply = begin_reply(d, sizeof(d->reply), get_be16(p + 7));
	uint8_t *end = reply + FEATURE_HEADER;

	(void)op;
	if (which > FEATURES_ONE) {
		d->reply_bytes = 0;
		return ATAPI_SENSE_FIELD;
	}
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];
		bool wanted = which == FEATURES_ONE ? f->code == first : f->code >= first;

		if (wanted && (which != FEATURES_CURRENT || is_current(d, f))) {
			end = put_feature(d, f, end);
		}
	}
	put_be32(reply, (uint32_t)(end - reply) - 4);
	put_be16(reply + 6, profile(d));
	d->reply_bytes = (uint32_t)min_u64((uint64_t)(end - reply), d->reply_bytes);
	return ATAPI_SENSE_NONE;
}
