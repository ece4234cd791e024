/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floppy controller's commands that have to do with sectors, one sector at a time: it is found,
 * its data pass between disk and host, the next one is looked for when it comes by.
 */
#include "guests/devices/fdc_internal.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define UNIT 0x03u
#define OPCODE 0x1fu
#define OP_DELETED 0x0cu
#define OP_SCAN_LOW 0x19u
#define OP_SCAN_HIGH 0x1du
#define MULTI_TRACK 0x80u
#define MFM 0x40u
#define SKIP 0x20u
#define VERIFY_COUNT 0x80u /* in the second byte: the last one is a number of sectors */
#define ID_BYTES 4u
#define SCAN_ANY 0xffu /* a byte that fits every other */

enum kind { READ, WRITE, VERIFY, SCAN, TRACK, READ_ID, FORMAT };

static enum kind kind_of(const struct fdc_state *s)
{
	switch (s->command[0] & OPCODE) {
	case 0x02:
		return TRACK;
	case 0x05:
	case 0x09:
		return WRITE;
	case 0x0a:
		return READ_ID;
	case 0x0d:
		return FORMAT;
	case 0x11:
	case OP_SCAN_LOW:
	case OP_SCAN_HIGH:
		return SCAN;
	case 0x16:
		return VERIFY;
	default:
		return READ;
	}
}

static unsigned unit_of(const struct fdc *c)
{
	return c->state.command[1] & UNIT;
}

/* EOT, the last sector of a track; of a format the number of sectors. */
static uint8_t last_of(const struct fdc *c)
{
	return c->state.command[kind_of(&c->state) == FORMAT ? 3 : 6];
}

/* --- the end --- */

static void finish(struct fdc *c, uint8_t ic)
{
	struct fdc_state *s = &c->state;
	const uint8_t result[] = {(uint8_t)(ic | (unsigned)s->head << 2 | unit_of(c)),
				  s->st1,
				  s->st2,
				  s->c,
				  s->h,
				  s->r,
				  s->n};

	memcpy(s->result, result, sizeof(result));
	fdc_begin_result(c, sizeof(result), true);
}

static void fail(struct fdc *c, uint8_t st1, uint8_t st2)
{
	c->state.st1 |= st1;
	c->state.st2 |= st2;
	finish(c, FDC_ST0_ABNORMAL);
}

/* --- the disk --- */

/* The request is back. A medium that fails, either way, is told as one whose data are bad. */
static void take_request(struct fdc *c)
{
	if (c->request.r.status != HV_OK) {
		fail(c, FDC_ST1_DATA, FDC_ST2_DATA);
	}
}

/* Sector `r` of the track that the heads are on, if the medium is still there. */
static void submit(struct fdc *c, enum blk_op op, unsigned r)
{
	const struct floppy_drive *d = &c->drives[unit_of(c)];
	uint64_t track = (uint64_t)d->cylinder * d->format->heads + c->state.head;
	const struct blk_request request = {
		.op = op,
		.sector = track * d->format->sectors + r - 1,
		.count = 1,
		.buffer = c->buffer,
	};

	if (d->medium == NULL) {
		fail(c, FDC_ST1_NO_MARK, 0);
		return;
	}
	c->state.stage = op == BLK_READ ? FDC_READ_DONE : FDC_WRITE_DONE;
	if (blk_single_send(&c->request, d->medium, &request)) {
		take_request(c);
	}
}

/* --- from sector to sector --- */

/* The next ID, as "Result Phase Table" has it; false: the cylinder is over. */
static bool next_id(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	bool multi = (s->command[0] & MULTI_TRACK) != 0;
	unsigned step = kind_of(&c->state) == SCAN && s->command[8] != 0 ? s->command[8] : 1;

	s->passed++;
	if (kind_of(&c->state) == TRACK || s->r + step <= last_of(c)) {
		s->r = (uint8_t)(s->r + step);
		return true;
	}
	s->r = 1;
	if (!multi || s->head != 0) {
		s->c++;
		s->h ^= multi ? 1 : 0;
		return false;
	}
	s->head = 1;
	s->h ^= 1;
	return true;
}

static void wait_for_sector(struct fdc *c, uint64_t ns)
{
	c->state.stage = FDC_FIND;
	c->state.due = fdc_after(c, ns);
	fdc_arm(c);
}

/* The last sector of the cylinder, and nobody has said that it is enough. */
static void end_cylinder(struct fdc *c)
{
	if (kind_of(&c->state) == VERIFY) {
		finish(c, 0);
	} else if (kind_of(&c->state) == SCAN) {
		c->state.st2 |= FDC_ST2_SCAN_MISS;
		finish(c, 0);
	} else {
		fail(c, FDC_ST1_END, 0);
	}
}

/* All marks are those of normal data: what reads deleted ones stops after one, or skips it. */
static bool is_skipped(const struct fdc *c)
{
	return (c->state.command[0] & OPCODE) == OP_DELETED && (c->state.command[0] & SKIP) != 0;
}

/* Whether the sector that is over was the last, cylinder or not. */
static bool was_last(const struct fdc *c)
{
	const struct fdc_state *s = &c->state;

	if (kind_of(s) == VERIFY) {
		return (s->command[1] & VERIFY_COUNT) != 0 && s->passed == s->command[8];
	}
	if (kind_of(s) == TRACK) {
		return s->terminal || s->passed == last_of(c);
	}
	return s->terminal || ((s->st2 & FDC_ST2_MARK) != 0 && !is_skipped(c));
}

static void end_sector(struct fdc *c)
{
	bool more = next_id(c);

	if (was_last(c)) {
		finish(c, (c->state.st1 & FDC_ST1_NO_DATA) != 0 ? FDC_ST0_ABNORMAL : 0);
	} else if (!more) {
		end_cylinder(c);
	} else {
		wait_for_sector(c, FDC_SECTOR_NS);
	}
}

/* An ID of a format has been written; it is over when SC have been. */
static void end_format(struct fdc *c)
{
	struct fdc_state *s = &c->state;

	s->passed++;
	if (s->terminal || s->passed == last_of(c)) {
		finish(c, 0);
	} else {
		wait_for_sector(c, FDC_SECTOR_NS);
	}
}

/* --- the host --- */

/* Below 0, 0, above 0: the disk's sector against the host's; 0xff fits any byte. */
static int compare(const uint8_t *disk, const uint8_t *host)
{
	for (unsigned i = 0; i < BLK_SECTOR; i++) {
		if (disk[i] != host[i] && disk[i] != SCAN_ANY && host[i] != SCAN_ANY) {
			return disk[i] < host[i] ? -1 : 1;
		}
	}
	return 0;
}

static void scan(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	uint8_t op = s->command[0] & OPCODE;
	int order = compare(c->buffer, c->buffer + BLK_SECTOR);
	bool found =
		order == 0 || (order < 0 && op == OP_SCAN_LOW) || (order > 0 && op == OP_SCAN_HIGH);

	if (!found && !s->terminal) {
		end_sector(c);
		return;
	}
	s->st2 |= order == 0 ? FDC_ST2_SCAN_HIT : 0;
	s->st2 |= found ? 0 : FDC_ST2_SCAN_MISS;
	(void)next_id(c);
	finish(c, 0);
}

/* An image has room for its own sectors only: with other IDs a track cannot be had. */
static void format_sector(struct fdc *c)
{
	const uint8_t *id = c->buffer + BLK_SECTOR;
	const struct floppy_drive *d = &c->drives[unit_of(c)];
	struct fdc_state *s = &c->state;

	s->c = id[0];
	s->h = id[1];
	s->r = id[2];
	s->n = id[3];
	if (s->c != d->cylinder || s->h != s->head || s->r == 0 || s->r > d->format->sectors ||
	    s->n != FLOPPY_SECTOR_CODE) {
		fail(c, FDC_ST1_NO_DATA, 0);
		return;
	}
	memset(c->buffer, s->command[5], BLK_SECTOR);
	submit(c, BLK_WRITE, s->r);
}

/* The host has moved its part of the sector. */
static void host_done(struct fdc *c)
{
	switch (kind_of(&c->state)) {
	case WRITE:
		submit(c, BLK_WRITE, c->state.r);
		break;
	case FORMAT:
		format_sector(c);
		break;
	case SCAN:
		scan(c);
		break;
	case READ:
	case TRACK:
	case VERIFY:
	case READ_ID:
		end_sector(c);
		break;
	}
}

unsigned fdc_host_bytes(const struct fdc_state *s)
{
	enum kind kind = kind_of(s);

	if (kind == VERIFY || kind == READ_ID) {
		return 0;
	}
	return kind == FORMAT ? ID_BYTES : BLK_SECTOR;
}

bool fdc_host_writes(const struct fdc *c)
{
	enum kind kind = kind_of(&c->state);

	return kind == WRITE || kind == FORMAT || kind == SCAN;
}

static uint8_t *host_data(const struct fdc *c)
{
	enum kind kind = kind_of(&c->state);

	return c->buffer + (kind == FORMAT || kind == SCAN ? BLK_SECTOR : 0);
}

/* The host is late, for it is not there: the FIFO overflows, or runs empty. */
static void move_by_dma(struct fdc *c)
{
	bool writes = fdc_host_writes(c);
	unsigned bytes = fdc_host_bytes(&c->state);
	uint8_t *data = host_data(c);
	bool terminal = false;
	uint32_t moved = 0;

	if ((c->state.dor & FDC_DOR_DMAGATE) != 0) {
		moved = dma8237_transfer(c->dma, FDC_DMA_CHANNEL, !writes, data, bytes, &terminal);
	}
	c->state.terminal = terminal;
	if (moved < bytes && !terminal) {
		fail(c, FDC_ST1_OVERRUN, 0);
		return;
	}
	if (writes) {
		memset(data + moved, 0, bytes - moved);
	}
	host_done(c);
}

static void host_part(struct fdc *c)
{
	if (fdc_host_bytes(&c->state) == 0) {
		host_done(c);
	} else if (fdc_by_dma(c)) {
		move_by_dma(c);
	} else {
		c->state.phase = FDC_HOST;
		c->state.at = 0;
		c->state.seen = 0;
		c->state.due = fdc_after(c, FDC_HOST_NS);
		fdc_arm(c);
		fdc_set_interrupt(c, true);
	}
}

/*
 * Without DMA the interrupt asks for each byte, or for as many as CONFIGURE says. Drivers move what
 * they can in their handler (Linux does all of a sector), and would take a result that is there at
 * once for the end of what this interrupt was for: its own would then find nobody who waits.
 */
static void next_byte(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	unsigned burst =
		(s->config & FDC_CONFIG_NO_FIFO) != 0 ? 1 : (s->config & FDC_CONFIG_THRESHOLD) + 1u;

	s->at++;
	if (s->at == fdc_host_bytes(&c->state)) {
		fdc_set_interrupt(c, false);
		s->due = fdc_after(c, FDC_GAP_NS);
		fdc_arm(c);
	} else if (s->at % burst == 0) {
		fdc_set_interrupt(c, false);
		fdc_set_interrupt(c, true);
	}
}

uint8_t fdc_give_byte(struct fdc *c)
{
	uint8_t value = host_data(c)[c->state.at];

	next_byte(c);
	return value;
}

void fdc_put_byte(struct fdc *c, uint8_t value)
{
	host_data(c)[c->state.at] = value;
	next_byte(c);
}

/* --- steps --- */

/* Whether there is a track below the head that can be read as the command wants to. */
static bool has_track(struct fdc *c)
{
	const struct floppy_drive *d = fdc_drive(c, unit_of(c));

	return d != NULL && d->medium != NULL && d->cylinder < d->format->cylinders &&
	       c->state.head < d->format->heads && (c->state.dsr & FDC_RATE) == d->format->rate &&
	       (c->state.command[0] & MFM) != 0;
}

static void read_id(struct fdc *c)
{
	const struct floppy_drive *d = &c->drives[unit_of(c)];
	struct fdc_state *s = &c->state;

	s->rotation++;
	s->c = d->cylinder;
	s->h = s->head;
	s->r = (uint8_t)(s->rotation % d->format->sectors + 1);
	s->n = FLOPPY_SECTOR_CODE;
	finish(c, 0);
}

/* Of the ID that is looked for: FDC_ST2_* or 0, and whether the track has it. */
static bool has_id(struct fdc *c, uint8_t *st2)
{
	const struct floppy_drive *d = &c->drives[unit_of(c)];
	const struct fdc_state *s = &c->state;

	*st2 = s->c != d->cylinder ? FDC_ST2_CYLINDER : 0;
	return s->c == d->cylinder && s->h == s->head && s->n == FLOPPY_SECTOR_CODE && s->r != 0 &&
	       s->r <= d->format->sectors;
}

/* Sectors as they come by, from the index on, whatever their IDs. */
static void find_by_place(struct fdc *c)
{
	const struct floppy_drive *d = &c->drives[unit_of(c)];
	uint8_t st2;

	c->state.st1 |= has_id(c, &st2) ? 0 : FDC_ST1_NO_DATA;
	submit(c, BLK_READ, c->state.passed % d->format->sectors + 1u);
}

static void find_by_id(struct fdc *c)
{
	uint8_t st2;

	if (!has_id(c, &st2)) {
		fail(c, FDC_ST1_NO_DATA, st2);
		return;
	}
	if ((c->state.command[0] & OPCODE) == OP_DELETED) {
		c->state.st2 |= FDC_ST2_MARK;
	}
	if (is_skipped(c)) {
		end_sector(c);
	} else if (kind_of(&c->state) == WRITE) {
		host_part(c);
	} else {
		submit(c, BLK_READ, c->state.r);
	}
}

static void find_sector(struct fdc *c)
{
	enum kind kind = kind_of(&c->state);

	if (!has_track(c)) {
		fail(c, FDC_ST1_NO_MARK, 0);
	} else if ((kind == WRITE || kind == FORMAT) && c->drives[unit_of(c)].medium->readonly) {
		fail(c, FDC_ST1_PROTECTED, 0);
	} else if (kind == READ_ID) {
		read_id(c);
	} else if (kind == FORMAT) {
		host_part(c);
	} else if (kind == TRACK) {
		find_by_place(c);
	} else {
		find_by_id(c);
	}
}

/* Does what can be done of the command at present. */
static void advance(struct fdc *c)
{
	const struct fdc_state *s = &c->state;

	while (s->phase == FDC_EXECUTE && s->due == TIMER_NEVER && !c->request.open) {
		switch ((enum fdc_stage)s->stage) {
		case FDC_FIND:
			find_sector(c);
			break;
		case FDC_READ_DONE:
			host_part(c);
			break;
		case FDC_WRITE_DONE:
			if (kind_of(&c->state) == FORMAT) {
				end_format(c);
			} else {
				end_sector(c);
			}
			break;
		}
	}
}

void fdc_begin_transfer(struct fdc *c)
{
	struct fdc_state *s = &c->state;
	enum kind kind = kind_of(&c->state);

	s->phase = FDC_EXECUTE;
	s->head = s->command[1] >> 2 & 1;
	s->passed = 0;
	s->terminal = 0;
	s->st1 = 0;
	s->st2 = 0;
	if (kind != READ_ID) {
		s->last = last_of(c);
	}
	if (kind != READ_ID && kind != FORMAT) {
		memcpy(&s->c, &s->command[2], ID_BYTES);
		if ((s->config & FDC_CONFIG_SEEK) != 0) {
			fdc_seek(c, unit_of(c), s->c);
		}
	}
	wait_for_sector(c, FDC_START_NS);
}

/* The host has had its time: it moved all, or something, or will not. */
static void look_after_host(struct fdc *c)
{
	struct fdc_state *s = &c->state;

	if (!fdc_is_asking(c)) {
		s->phase = FDC_EXECUTE;
		host_done(c);
		return;
	}
	if (s->at == s->seen) {
		fdc_set_interrupt(c, false); /* that it asked for data is over */
		fail(c, FDC_ST1_OVERRUN, 0);
		return;
	}
	s->seen = s->at;
	s->due = fdc_after(c, FDC_HOST_NS);
}

/* A deadline is over, or the request has come back. */
static void work(struct vwork *w)
{
	struct fdc *c = container_of(w, struct fdc, work);
	uint64_t now;

	lock_acquire(&c->dev.lock);
	now = vtime_now(c->timer.time);
	if (blk_single_collect(&c->request)) {
		take_request(c);
	}
	fdc_end_seeks(c, now);
	if (c->state.due <= now) {
		c->state.due = TIMER_NEVER;
		if (c->state.phase == FDC_HOST) {
			look_after_host(c);
		}
	}
	advance(c);
	fdc_arm(c);
	lock_release(&c->dev.lock);
}

void fdc_transfer_init(struct fdc *c, struct vwork_queue *queue)
{
	vwork_init(&c->work, queue, work);
	blk_single_init(&c->request, &c->work, 0);
}
