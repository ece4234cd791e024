/* SPDX-License-Identifier: Apache-2.0 */
/* Variables on a device: reading them when the machine starts, writing the older copy. */
#include "hv/blk/varstore.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/crc32.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"

#define READ_LIMIT_NS 5000000000ull
#define HEADER_VERSION 1u
#define BLOCK_SECTORS (VARSTORE_BLOCK / BLK_SECTOR)

#define SOMETHING_ELSE \
	"holds something else than variables; if it may go, fill the first %u KiB with zeros"
#define DAMAGED "holds variables that are damaged; to begin anew, fill the first %u KiB with zeros"

static const uint8_t magic[8] = {'B', 'H', 'V', 'A', 'R', 'S', 0x1a, '\n'};

/* A block on the device; what follows it there is zero. */
struct header {
	uint8_t magic[8];
	uint32_t version;
	uint32_t blocks;
	uint64_t number; /* of the write; the first is 1 */
	uint32_t crcs[VARSTORE_BLOCKS_MAX];
	uint32_t crc; /* of all before */
};
static_assert(sizeof(struct header) == 24 + VARSTORE_BLOCKS_MAX * 4 + 4, "wire size");
static_assert(sizeof(struct header) <= VARSTORE_BLOCK, "a header is one block");

/* --- sets of blocks --- */

static bool set_has(const struct varstore_set *s, unsigned block)
{
	return (s->words[block / 64] & BIT(block % 64)) != 0;
}

static void set_add(struct varstore_set *s, unsigned block)
{
	s->words[block / 64] |= BIT(block % 64);
}

static bool set_empty(const struct varstore_set *s)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(s->words); i++) {
		any |= s->words[i];
	}
	return any == 0;
}

static void set_join(struct varstore_set *s, const struct varstore_set *other)
{
	for (unsigned i = 0; i < ARRAY_SIZE(s->words); i++) {
		s->words[i] |= other->words[i];
	}
}

/* --- places --- */

uint64_t varstore_staging_bytes(unsigned blocks)
{
	return (uint64_t)(blocks + 1) * VARSTORE_BLOCK;
}

/* Of a device that is large enough. */
static uint64_t device_bytes(unsigned blocks)
{
	return (uint64_t)(blocks + 1) * VARSTORE_COPIES * VARSTORE_BLOCK;
}

/* First block of a copy on the device. */
static unsigned copy_start(const struct varstore *v, unsigned copy)
{
	return VARSTORE_COPIES + copy * v->blocks;
}

static uint8_t *staged(const struct varstore *v, unsigned block)
{
	return v->staging + (size_t)block * VARSTORE_BLOCK;
}

/* The block for headers. */
static struct header *staged_header(const struct varstore *v)
{
	return (struct header *)(void *)staged(v, v->blocks);
}

static uint32_t header_crc(const struct header *h)
{
	return crc32(0, h, offsetof(struct header, crc));
}

void varstore_init(struct varstore *v, const char *owner, uint8_t *contents, unsigned blocks)
{
	CHECK(blocks >= 1 && blocks <= VARSTORE_BLOCKS_MAX);
	*v = (struct varstore){.owner = owner, .contents = contents, .blocks = blocks};
}

/* --- reading --- */

/* Blocks of the device into `to`, which is in `staging`. */
static enum hv_status read_blocks(struct varstore *v, unsigned start, unsigned count, uint8_t *to)
{
	enum hv_status status = HV_OK;

	while (count != 0 && status == HV_OK) {
		unsigned n = (unsigned)min_u64(count, v->device->max_count / BLOCK_SECTORS);

		v->request = (struct blk_request){
			.op = BLK_READ,
			.sector = (uint64_t)start * BLOCK_SECTORS,
			.count = n * BLOCK_SECTORS,
			.buffer = to,
		};
		status = blk_sync(v->device, &v->request, READ_LIMIT_NS);
		start += n;
		count -= n;
		to += (size_t)n * VARSTORE_BLOCK;
	}
	return status;
}

/* What the headers say; `number` 0: not a whole header. */
struct copies {
	struct {
		bool present; /* begins as one */
		uint64_t number;
		unsigned blocks;
	} of[VARSTORE_COPIES];
};

static enum hv_status read_headers(struct varstore *v, struct copies *c)
{
	const struct header *h = staged_header(v);

	for (unsigned i = 0; i < VARSTORE_COPIES; i++) {
		enum hv_status status = read_blocks(v, i, 1, staged(v, v->blocks));
		bool whole;

		if (status != HV_OK) {
			return status;
		}
		c->of[i].present = memcmp(h->magic, magic, sizeof(magic)) == 0;
		whole = c->of[i].present && h->version == HEADER_VERSION && h->crc == header_crc(h);
		c->of[i].number = whole ? h->number : 0;
		c->of[i].blocks = whole ? h->blocks : 0;
	}
	return HV_OK;
}

/* Reads a copy, whose header was whole, into staging. HV_E_INVALID: a checksum is wrong. */
static enum hv_status read_copy(struct varstore *v, unsigned copy)
{
	enum hv_status status = read_blocks(v, copy, 1, staged(v, v->blocks));

	if (status == HV_OK) {
		status = read_blocks(v, copy_start(v, copy), v->blocks, v->staging);
	}
	for (unsigned i = 0; i < v->blocks && status == HV_OK; i++) {
		if (crc32(0, staged(v, i), VARSTORE_BLOCK) != staged_header(v)->crcs[i]) {
			status = HV_E_INVALID;
		}
	}
	return status;
}

/* The copy in staging becomes the contents; the other one may differ in any block. */
static void take_copy(struct varstore *v, unsigned copy)
{
	memcpy(v->contents, v->staging, (size_t)v->blocks * VARSTORE_BLOCK);
	memcpy(v->crcs, staged_header(v)->crcs, sizeof(v->crcs));
	v->number = staged_header(v)->number;
	v->copy = copy;
	for (unsigned i = 0; i < v->blocks; i++) {
		set_add(&v->missing[1 - copy], i);
	}
}

static bool is_blank(const uint8_t *sector)
{
	for (unsigned i = 0; i < BLK_SECTOR; i++) {
		if (sector[i] != sector[0] || (sector[i] != 0 && sector[i] != 0xff)) {
			return false;
		}
	}
	return true;
}

/* What the first write, of the template to copy 1, puts into that block; NULL: nothing. */
static const uint8_t *first_write(const struct varstore *v, unsigned block)
{
	unsigned start = copy_start(v, 1);

	if (block == 1) {
		return (const uint8_t *)staged_header(v);
	}
	return block >= start ? v->contents + (size_t)(block - start) * VARSTORE_BLOCK : NULL;
}

/* Each sector of the block, which was read, is blank, or is there from a first write. */
static bool may_take(const struct varstore *v, unsigned block)
{
	const uint8_t *ours = first_write(v, block);

	for (unsigned at = 0; at < VARSTORE_BLOCK; at += BLK_SECTOR) {
		const uint8_t *sector = v->staging + at;

		if (!is_blank(sector) &&
		    (ours == NULL || memcmp(sector, ours + at, BLK_SECTOR) != 0)) {
			return false;
		}
	}
	return true;
}

static void fill_header(struct varstore *v, uint64_t number)
{
	struct header *h = staged_header(v);

	memset(h, 0, VARSTORE_BLOCK);
	memcpy(h->magic, magic, sizeof(magic));
	h->version = HEADER_VERSION;
	h->blocks = v->blocks;
	h->number = number;
	memcpy(h->crcs, v->crcs, sizeof(v->crcs));
	h->crc = header_crc(h);
}

static void sum_block(struct varstore *v, unsigned block, const uint8_t *bytes)
{
	v->crcs[block] = crc32(0, bytes, VARSTORE_BLOCK);
}

/*
 * All the device's blocks that a store would use are zero, or all ones, but for what a first write
 * has left there that was cut off.
 */
static enum hv_status check_blank(struct varstore *v)
{
	const unsigned all = (v->blocks + 1) * VARSTORE_COPIES;

	for (unsigned i = 0; i < v->blocks; i++) {
		sum_block(v, i, v->contents + (size_t)i * VARSTORE_BLOCK);
	}
	fill_header(v, 1);
	for (unsigned i = 0; i < all; i++) {
		enum hv_status status = read_blocks(v, i, 1, v->staging);

		if (status != HV_OK) {
			return status;
		}
		if (!may_take(v, i)) {
			return HV_E_INVALID;
		}
	}
	return HV_OK;
}

/* No header is whole; `present`: there was one. */
static enum hv_status begin_blank(struct varstore *v, bool present, char why[VARSTORE_WHY_MAX])
{
	const unsigned kib = (v->blocks + 1) * VARSTORE_COPIES * (VARSTORE_BLOCK >> 10);
	enum hv_status status = check_blank(v);

	if (status == HV_E_INVALID) {
		fmt_snprintf(why, VARSTORE_WHY_MAX, present ? DAMAGED : SOMETHING_ELSE, kib);
	} else if (status != HV_OK) {
		fmt_snprintf(why, VARSTORE_WHY_MAX, "cannot be read");
	}
	for (unsigned i = 0; i < v->blocks && status == HV_OK; i++) {
		set_add(&v->missing[0], i);
		set_add(&v->missing[1], i);
	}
	return status;
}

/* The newest copy that is whole. */
static enum hv_status read_newest(struct varstore *v, struct copies *c, char why[VARSTORE_WHY_MAX])
{
	for (unsigned round = 0; round < VARSTORE_COPIES; round++) {
		unsigned copy = c->of[1].number > c->of[0].number ? 1 : 0;
		enum hv_status status;

		if (c->of[copy].number == 0) {
			break;
		}
		if (c->of[copy].blocks != v->blocks) {
			fmt_snprintf(why, VARSTORE_WHY_MAX,
				     "holds variables of another size, %u KiB; wanted: %u KiB",
				     c->of[copy].blocks * (VARSTORE_BLOCK >> 10),
				     v->blocks * (VARSTORE_BLOCK >> 10));
			return HV_E_INVALID;
		}
		status = read_copy(v, copy);
		if (status == HV_OK) {
			take_copy(v, copy);
			return HV_OK;
		}
		if (status != HV_E_INVALID) {
			fmt_snprintf(why, VARSTORE_WHY_MAX, "cannot be read");
			return status;
		}
		log_warn("%s: copy %u of the variables on %s is damaged", v->owner, copy,
			 v->device->name);
		c->of[copy].number = 0;
	}
	fmt_snprintf(why, VARSTORE_WHY_MAX, DAMAGED,
		     (v->blocks + 1) * VARSTORE_COPIES * (VARSTORE_BLOCK >> 10));
	return HV_E_INVALID;
}

enum hv_status varstore_open(struct varstore *v, struct blk_device *device, uint8_t *staging,
			     enum varstore_origin *origin, char why[VARSTORE_WHY_MAX])
{
	struct copies c;
	enum hv_status status;

	if (device->block_size > VARSTORE_BLOCK || device->max_count < BLOCK_SECTORS) {
		fmt_snprintf(why, VARSTORE_WHY_MAX, "has blocks of %u bytes; allowed: up to %u",
			     device->block_size, VARSTORE_BLOCK);
		return HV_E_UNSUPPORTED;
	}
	if (device->sectors * BLK_SECTOR < device_bytes(v->blocks)) {
		fmt_snprintf(why, VARSTORE_WHY_MAX, "has %lu KiB; needed: %lu KiB",
			     device->sectors * BLK_SECTOR >> 10, device_bytes(v->blocks) >> 10);
		return HV_E_RANGE;
	}
	v->device = device;
	v->staging = staging;
	status = read_headers(v, &c);
	if (status != HV_OK) {
		fmt_snprintf(why, VARSTORE_WHY_MAX, "cannot be read");
		return status;
	}
	*origin = c.of[0].number != 0 || c.of[1].number != 0 ? VARSTORE_STORED : VARSTORE_BLANK;
	return *origin == VARSTORE_STORED ? read_newest(v, &c, why)
					  : begin_blank(v, c.of[0].present || c.of[1].present, why);
}

/* --- writing --- */

static void ask(struct varstore *v, enum blk_op op, unsigned start, unsigned count, void *buffer)
{
	v->request.op = op;
	v->request.sector = (uint64_t)start * BLOCK_SECTORS;
	v->request.count = count * BLOCK_SECTORS;
	v->request.buffer = buffer;
}

/* The next run of blocks that are to be written; false: there is none. */
static bool ask_blocks(struct varstore *v)
{
	unsigned max = v->device->max_count / BLOCK_SECTORS;
	unsigned first = 0;
	unsigned n = 0;

	while (first < v->blocks && !set_has(&v->todo, first)) {
		first++;
	}
	while (first + n < v->blocks && n < max && set_has(&v->todo, first + n)) {
		v->todo.words[(first + n) / 64] &= ~BIT((first + n) % 64);
		n++;
	}
	if (n != 0) {
		ask(v, BLK_WRITE, copy_start(v, v->copy) + first, n, staged(v, first));
	}
	return n != 0;
}

static void ask_header(struct varstore *v)
{
	fill_header(v, v->number);
	ask(v, BLK_WRITE, v->copy, 1, staged_header(v));
}

/* Under the lock: whether even the newer copy lacks something. */
static bool has_changed(const struct varstore *v)
{
	return v->device != NULL && !set_empty(&v->missing[v->copy]);
}

/*
 * Under the lock: takes a picture of what has changed, for the older copy. That lacks all that the
 * newer one lacks, and more.
 */
static bool take_picture(struct varstore *v)
{
	unsigned copy = 1 - v->copy;

	if (!has_changed(v)) {
		return false;
	}
	v->todo = v->missing[copy];
	v->written = v->todo;
	v->missing[copy] = (struct varstore_set){{0}};
	for (unsigned i = 0; i < v->blocks; i++) {
		if (set_has(&v->todo, i)) {
			memcpy(staged(v, i), v->contents + (size_t)i * VARSTORE_BLOCK,
			       VARSTORE_BLOCK);
		}
	}
	v->copy = copy;
	v->number++;
	v->busy = true;
	v->again = false;
	v->phase = VARSTORE_CONTENTS;
	return true;
}

/* The first request for the picture. */
static void begin(struct varstore *v)
{
	for (unsigned i = 0; i < v->blocks; i++) {
		if (set_has(&v->todo, i)) {
			sum_block(v, i, staged(v, i));
		}
	}
	(void)ask_blocks(v);
}

/* Whether there is another picture to write behind this one. */
static bool write_done(struct varstore *v)
{
	bool more;
	bool was_failing;

	lock_acquire(&v->lock);
	was_failing = v->failing;
	v->failing = false;
	v->phase = VARSTORE_IDLE;
	v->busy = false;
	more = v->again && take_picture(v);
	lock_release(&v->lock);
	if (was_failing) {
		log_event("%s: variables are written to %s again", v->owner, v->device->name);
	}
	if (more) {
		begin(v);
	}
	return more;
}

/* The other copy is as it was, and stays the newer one. */
static void write_failed(struct varstore *v)
{
	bool first;

	lock_acquire(&v->lock);
	set_join(&v->missing[v->copy], &v->written);
	v->copy = 1 - v->copy;
	v->phase = VARSTORE_IDLE;
	v->busy = false;
	first = !v->failing;
	v->failing = true;
	lock_release(&v->lock);
	if (first) {
		log_event("%s: variables cannot be written to %s: %s; they are kept in memory",
			  v->owner, v->device->name, hv_status_name(v->request.status));
	}
}

/* What comes behind the request that is done; false: nothing. */
static bool next_request(struct varstore *v)
{
	if (v->request.status != HV_OK) {
		write_failed(v);
		return false;
	}
	switch (v->phase) {
	case VARSTORE_CONTENTS:
		if (!ask_blocks(v)) {
			v->phase = VARSTORE_CONTENTS_FLUSH;
			ask(v, BLK_FLUSH, 0, 0, NULL);
		}
		return true;
	case VARSTORE_CONTENTS_FLUSH:
		v->phase = VARSTORE_HEADER;
		ask_header(v);
		return true;
	case VARSTORE_HEADER:
		v->phase = VARSTORE_HEADER_FLUSH;
		ask(v, BLK_FLUSH, 0, 0, NULL);
		return true;
	case VARSTORE_HEADER_FLUSH:
		return write_done(v);
	case VARSTORE_IDLE:
		break;
	}
	return false;
}

static void request_done(struct blk_request *r);

/* Requests until one is not done at once: then whoever is told of it goes on. */
static void submit(struct varstore *v)
{
	do {
		v->request.done = request_done;
		atomic_store(&v->turns, 0);
		blk_submit(v->device, &v->request);
	} while (atomic_fetch_add(&v->turns, 1) == 1 && next_request(v));
}

static void request_done(struct blk_request *r)
{
	struct varstore *v = container_of(r, struct varstore, request);

	if (atomic_fetch_add(&v->turns, 1) == 1 && next_request(v)) {
		submit(v);
	}
}

void varstore_put(struct varstore *v, uint32_t offset, const uint8_t *data, uint32_t n)
{
	CHECK(range_fits(offset, n, (uint64_t)v->blocks * VARSTORE_BLOCK));
	lock_acquire(&v->lock);
	memcpy(v->contents + offset, data, n);
	for (uint32_t at = offset; at < offset + n;
	     at = (at / VARSTORE_BLOCK + 1) * VARSTORE_BLOCK) {
		set_add(&v->missing[0], at / VARSTORE_BLOCK);
		set_add(&v->missing[1], at / VARSTORE_BLOCK);
	}
	lock_release(&v->lock);
}

void varstore_sync(struct varstore *v)
{
	bool first;

	lock_acquire(&v->lock);
	v->again = v->busy;
	first = !v->busy && take_picture(v);
	lock_release(&v->lock);
	if (first) {
		begin(v);
		submit(v);
	}
}

bool varstore_settled(struct varstore *v)
{
	bool wanting;
	bool busy;

	lock_acquire(&v->lock);
	wanting = has_changed(v) && !v->failing;
	busy = v->busy;
	lock_release(&v->lock);
	if (wanting && !busy) {
		varstore_sync(v);
	}
	return !wanting && !busy;
}

bool varstore_fails(struct varstore *v)
{
	bool failing;

	lock_acquire(&v->lock);
	failing = v->failing;
	lock_release(&v->lock);
	return failing;
}
