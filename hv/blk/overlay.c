/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the overlay alone can serve are done at once. The others become a job: a read has
 * the base fill the buffer and then lays over it what the overlay has; a write that covers a
 * granule in part, which is absent, first reads that granule from the base. While the base works
 * other requests may change the tree, so a job looks at it anew when it goes on.
 *
 * What needs no job can be copied without a buffer, piece by piece, granules under the lock: a
 * discard frees them.
 */
#include "hv/blk/overlay.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "mm/pool.h"

#define GRANULE_SECTORS (BLK_OVERLAY_GRANULE / BLK_SECTOR)
/* Keeps what one request copies under the lock small. */
#define OVERLAY_COUNT_MAX 2048u
/* Far beyond any disk; numbers of granules and sectors cannot overflow. */
#define OVERLAY_SECTORS_MAX BIT(48)

enum { FIRST, LAST, ENDS };

/* A request for which the base has to be read. */
struct job {
	struct blk_request below;
	struct blk_overlay *overlay;
	struct blk_request *asked;
	/* WRITE, WRITE_ZEROES: what the base has of the granules at both ends; NULL: not read. */
	uint8_t *fill[ENDS];
};

/* The part of a request that lies in one granule. */
struct piece {
	uint64_t granule;
	uint32_t offset; /* bytes */
	uint32_t bytes;
};

static struct blk_overlay *overlay_of(struct blk_device *d)
{
	return container_of(d, struct blk_overlay, dev);
}

/* The piece that begins `done` sectors into the request. */
static struct piece piece_at(const struct blk_request *r, uint32_t done)
{
	uint64_t sector = r->sector + done;
	uint32_t skip = (uint32_t)(sector % GRANULE_SECTORS);
	uint32_t count = (uint32_t)min_u64(GRANULE_SECTORS - skip, r->count - done);

	return (struct piece){
		.granule = sector / GRANULE_SECTORS,
		.offset = skip * BLK_SECTOR,
		.bytes = count * BLK_SECTOR,
	};
}

/* Where the data of a READ or WRITE is from `done` sectors on. */
static uint8_t *data_at(const struct blk_request *r, uint32_t done)
{
	return (uint8_t *)r->buffer + (size_t)done * BLK_SECTOR;
}

/*
 * The whole granules in a request, which become absent or zeros; what lies behind the last sector
 * counts as covered. False: no memory. Under the lock.
 */
static bool mark_granules(struct blk_overlay *o, const struct blk_request *r, bool zeros)
{
	uint64_t first = align_up(r->sector, GRANULE_SECTORS) / GRANULE_SECTORS;
	uint64_t end = r->sector + r->count;

	end = end == o->dev.sectors ? overlay_tree_granules(&o->tree) : end / GRANULE_SECTORS;
	return first >= end || overlay_tree_mark(&o->tree, first, end, zeros);
}

/* --- copying, under the lock --- */

/* Lays what the overlay has over the buffer of a READ. */
static void copy_out(const struct blk_overlay *o, const struct blk_request *r)
{
	for (uint32_t done = 0; done < r->count;) {
		struct piece p = piece_at(r, done);
		const uint8_t *page = overlay_tree_lookup(&o->tree, p.granule);

		if (page != NULL) {
			memcpy(data_at(r, done), page + p.offset, p.bytes);
		}
		done += p.bytes / BLK_SECTOR;
	}
}

/* Where the piece is to be written, as overlay_tree_open says. NULL: no memory. */
static uint8_t *open_piece(struct blk_overlay *o, const struct piece *p, const uint8_t *fill)
{
	uint8_t *page = overlay_tree_open(&o->tree, p->granule, fill);

	return page == NULL ? NULL : page + p->offset;
}

/* --- writing --- */

/* The sector where the granule at this end of the request begins. */
static uint64_t end_sector(const struct blk_request *r, unsigned end)
{
	return align_down(end == FIRST ? r->sector : r->sector + r->count - 1, GRANULE_SECTORS);
}

/* Sectors of the granule that begins at `sector`: fewer at the end of the device. */
static uint32_t granule_count(const struct blk_overlay *o, uint64_t sector)
{
	return (uint32_t)min_u64(GRANULE_SECTORS, o->dev.sectors - sector);
}

/* Whether the request covers only a part of the granule at this end. */
static bool is_partial(const struct blk_overlay *o, const struct blk_request *r, unsigned end)
{
	uint64_t sector = end_sector(r, end);

	return r->sector > sector || r->sector + r->count < sector + granule_count(o, sector);
}

/* What the base has of a granule, if it was read. Both ends may be the same one. */
static const uint8_t *fill_for(const struct blk_request *r, const struct job *job, uint64_t granule)
{
	for (unsigned end = FIRST; job != NULL && end < ENDS; end++) {
		if (job->fill[end] != NULL && end_sector(r, end) / GRANULE_SECTORS == granule) {
			return job->fill[end];
		}
	}
	return NULL;
}

/* An end whose granule has to be read from the base first; ENDS: none. */
static unsigned missing_fill(const struct blk_overlay *o, const struct blk_request *r,
			     const struct job *job)
{
	for (unsigned end = FIRST; end < ENDS; end++) {
		uint64_t granule = end_sector(r, end) / GRANULE_SECTORS;

		if (is_partial(o, r, end) && fill_for(r, job, granule) == NULL &&
		    overlay_tree_lookup(&o->tree, granule) == NULL) {
			return end;
		}
	}
	return ENDS;
}

static bool write_data(struct blk_overlay *o, const struct blk_request *r, const struct job *job)
{
	for (uint32_t done = 0; done < r->count;) {
		struct piece p = piece_at(r, done);
		uint8_t *to = open_piece(o, &p, fill_for(r, job, p.granule));

		if (to == NULL) {
			return false;
		}
		memcpy(to, data_at(r, done), p.bytes);
		done += p.bytes / BLK_SECTOR;
	}
	return true;
}

/* Whole granules only need the mark; those at the ends that are not are written. */
static bool write_zeros(struct blk_overlay *o, const struct blk_request *r, const struct job *job)
{
	if (!mark_granules(o, r, true)) {
		return false;
	}
	for (unsigned end = FIRST; end < ENDS; end++) {
		uint64_t sector = max_u64(end_sector(r, end), r->sector);
		struct piece p = piece_at(r, (uint32_t)(sector - r->sector));
		uint8_t *to;

		if (!is_partial(o, r, end)) {
			continue;
		}
		to = open_piece(o, &p, fill_for(r, job, p.granule));
		if (to == NULL) {
			return false;
		}
		memset(to, 0, p.bytes);
	}
	return true;
}

/* --- jobs --- */

static void finish(struct blk_overlay *o, struct blk_request *r, struct job *job,
		   enum hv_status status)
{
	for (unsigned end = FIRST; job != NULL && end < ENDS; end++) {
		if (job->fill[end] != NULL) {
			pool_pages_free(job->fill[end], 0);
		}
	}
	pool_free(job, sizeof(*job));
	blk_done(&o->dev, r, status);
}

/* There was no memory: said once, as a full overlay fails write after write. */
static void complain(struct blk_overlay *o)
{
	uint64_t bytes;
	bool first;

	lock_acquire(&o->lock);
	first = !o->complained;
	o->complained = true;
	o->failed_writes++;
	bytes = o->tree.bytes;
	lock_release(&o->lock);
	if (first) {
		log_event("%s: writes fail: its overlay takes %lu KiB and cannot get more%s",
			  o->owner, bytes >> 10, o->tree.limit != 0 ? " (overlay= limits it)" : "");
	}
}

static void fail_write(struct blk_overlay *o, struct blk_request *r, struct job *job)
{
	complain(o);
	finish(o, r, job, HV_E_IO);
}

static struct job *new_job(struct blk_overlay *o, struct blk_request *r)
{
	struct job *job = pool_alloc(sizeof(*job));

	if (job != NULL) {
		job->overlay = o;
		job->asked = r;
	}
	return job;
}

static void advance_write(struct blk_overlay *o, struct blk_request *r, struct job *job);

static void fill_done(struct blk_request *below)
{
	struct job *job = container_of(below, struct job, below);

	if (below->status != HV_OK) {
		finish(job->overlay, job->asked, job, below->status);
		return;
	}
	advance_write(job->overlay, job->asked, job);
}

static void read_fill(struct blk_overlay *o, struct blk_request *r, struct job *job, unsigned end)
{
	uint64_t sector = end_sector(r, end);

	job = job != NULL ? job : new_job(o, r);
	if (job != NULL) {
		job->fill[end] = pool_pages(0);
	}
	if (job == NULL || job->fill[end] == NULL) {
		fail_write(o, r, job);
		return;
	}
	job->below = (struct blk_request){
		.op = BLK_READ,
		.sector = sector,
		.count = granule_count(o, sector),
		.buffer = job->fill[end],
		.done = fill_done,
	};
	blk_submit(o->base, &job->below);
}

/* Writes, or has the base read what is missing for it; `job` is NULL at first. */
static void advance_write(struct blk_overlay *o, struct blk_request *r, struct job *job)
{
	unsigned missing;
	bool written = false;

	lock_acquire(&o->lock);
	missing = missing_fill(o, r, job);
	if (missing == ENDS) {
		written = r->op == BLK_WRITE ? write_data(o, r, job) : write_zeros(o, r, job);
	}
	lock_release(&o->lock);
	if (missing != ENDS) {
		read_fill(o, r, job, missing);
	} else if (written) {
		finish(o, r, job, HV_OK);
	} else {
		fail_write(o, r, job);
	}
}

static void read_done(struct blk_request *below)
{
	struct job *job = container_of(below, struct job, below);
	struct blk_overlay *o = job->overlay;

	if (below->status == HV_OK) {
		lock_acquire(&o->lock);
		copy_out(o, job->asked);
		lock_release(&o->lock);
	}
	finish(o, job->asked, job, below->status);
}

/* The sectors of the request from the first absent granule to the last; count 0: none is. */
static void find_absent(const struct blk_overlay *o, const struct blk_request *r,
			struct blk_request *out)
{
	uint32_t end = 0;

	out->count = 0;
	for (uint32_t done = 0; done < r->count;) {
		struct piece p = piece_at(r, done);
		bool absent = overlay_tree_lookup(&o->tree, p.granule) == NULL;

		if (absent && end == 0) {
			out->sector = r->sector + done;
		}
		done += p.bytes / BLK_SECTOR;
		end = absent ? done : end;
	}
	if (end != 0) {
		out->count = (uint32_t)(r->sector + end - out->sector);
	}
}

static void overlay_read(struct blk_overlay *o, struct blk_request *r)
{
	struct blk_request below = {.op = BLK_READ, .done = read_done};
	struct job *job;

	lock_acquire(&o->lock);
	find_absent(o, r, &below);
	if (below.count == 0) {
		copy_out(o, r);
	}
	lock_release(&o->lock);
	if (below.count == 0) {
		blk_done(&o->dev, r, HV_OK);
		return;
	}
	job = new_job(o, r);
	if (job == NULL) {
		blk_done(&o->dev, r, HV_E_IO);
		return;
	}
	job->below = below;
	job->below.buffer = data_at(r, (uint32_t)(below.sector - r->sector));
	blk_submit(o->base, &job->below);
}

/* What is discarded shows the base again; without memory for that it stays as it is. */
static void overlay_discard(struct blk_overlay *o, struct blk_request *r)
{
	lock_acquire(&o->lock);
	(void)mark_granules(o, r, false);
	lock_release(&o->lock);
	blk_done(&o->dev, r, HV_OK);
}

static void overlay_submit(struct blk_device *d, struct blk_request *r)
{
	struct blk_overlay *o = overlay_of(d);

	switch (r->op) {
	case BLK_READ:
		overlay_read(o, r);
		break;
	case BLK_WRITE:
	case BLK_WRITE_ZEROES:
		advance_write(o, r, NULL);
		break;
	case BLK_DISCARD:
		overlay_discard(o, r);
		break;
	case BLK_FLUSH:
	case BLK_OP_COUNT:
		blk_done(d, r, HV_OK);
		break;
	}
}

/* --- without a buffer --- */

/* Under the lock: the sectors from `done` on that only the base has, up to the first it has not. */
static uint32_t count_absent(const struct blk_overlay *o, const struct blk_request *r,
			     uint32_t done)
{
	uint32_t end = done;

	while (end < r->count) {
		struct piece p = piece_at(r, end);

		if (overlay_tree_lookup(&o->tree, p.granule) != NULL) {
			break;
		}
		end += p.bytes / BLK_SECTOR;
	}
	return end - done;
}

/* The next granule from `done` on, or what the base has before it; *n: sectors. */
static enum hv_status copy_next(struct blk_overlay *o, const struct blk_request *r, uint32_t done,
				struct blk_copier *c, uint32_t *n)
{
	struct blk_request below = {.op = BLK_READ, .sector = r->sector + done};
	struct piece p = piece_at(r, done);
	enum hv_status status = HV_OK;

	lock_acquire(&o->lock);
	below.count = count_absent(o, r, done);
	if (below.count == 0) {
		const uint8_t *page = overlay_tree_lookup(&o->tree, p.granule);

		status = c->from(c, page + p.offset, p.bytes) ? HV_OK : HV_E_IO;
	}
	lock_release(&o->lock);
	*n = below.count != 0 ? below.count : p.bytes / BLK_SECTOR;
	return below.count != 0 ? blk_copy(o->base, &below, c) : status;
}

/* Whether a part of it has to come from a base that is not in memory. */
static bool needs_slow_base(struct blk_overlay *o, const struct blk_request *r)
{
	struct blk_request absent;

	if (o->base->copies) {
		return false;
	}
	lock_acquire(&o->lock);
	find_absent(o, r, &absent);
	lock_release(&o->lock);
	return absent.count != 0;
}

static enum hv_status copy_read(struct blk_overlay *o, const struct blk_request *r,
				struct blk_copier *c)
{
	enum hv_status status = needs_slow_base(o, r) ? HV_E_UNSUPPORTED : HV_OK;
	uint32_t n;

	for (uint32_t done = 0; status == HV_OK && done < r->count; done += n) {
		status = copy_next(o, r, done, c, &n);
	}
	return status;
}

static enum hv_status copy_piece_in(struct blk_overlay *o, const struct piece *p,
				    struct blk_copier *c)
{
	uint8_t *to = open_piece(o, p, NULL);

	if (to == NULL) {
		return HV_E_NO_MEMORY;
	}
	return c->to(c, to, p->bytes) ? HV_OK : HV_E_IO;
}

static enum hv_status copy_write(struct blk_overlay *o, const struct blk_request *r,
				 struct blk_copier *c)
{
	enum hv_status status;

	lock_acquire(&o->lock);
	status = missing_fill(o, r, NULL) != ENDS ? HV_E_UNSUPPORTED : HV_OK;
	for (uint32_t done = 0; status == HV_OK && done < r->count;) {
		struct piece p = piece_at(r, done);

		status = copy_piece_in(o, &p, c);
		done += p.bytes / BLK_SECTOR;
	}
	lock_release(&o->lock);
	if (status == HV_E_NO_MEMORY) {
		complain(o);
		return HV_E_IO;
	}
	return status;
}

static enum hv_status overlay_copy(struct blk_device *d, const struct blk_request *r,
				   struct blk_copier *c)
{
	struct blk_overlay *o = overlay_of(d);

	return r->op == BLK_READ ? copy_read(o, r, c) : copy_write(o, r, c);
}

static void overlay_poll(struct blk_device *d)
{
	struct blk_device *base = overlay_of(d)->base;

	if (base->ops->poll != NULL) {
		base->ops->poll(base);
	}
}

static const struct blk_ops overlay_ops = {
	.submit = overlay_submit, .poll = overlay_poll, .copy = overlay_copy};

/* --- the whole --- */

enum hv_status blk_overlay_init(struct blk_overlay *o, struct blk_device *base, const char *owner,
				uint64_t limit)
{
	if (base->block_size > BLK_OVERLAY_GRANULE || base->sectors > OVERLAY_SECTORS_MAX) {
		return HV_E_UNSUPPORTED;
	}
	*o = (struct blk_overlay){
		.dev =
			{
				.ops = &overlay_ops,
				.sectors = base->sectors,
				.block_size = base->block_size,
				.max_count = (uint32_t)min_u64(base->max_count, OVERLAY_COUNT_MAX),
				.discards = true,
				.write_zeroes = true,
				.copies = true,
			},
		.base = base,
	};
	overlay_tree_init(&o->tree, (base->sectors - 1) / GRANULE_SECTORS + 1, limit);
	(void)str_copy(o->owner, sizeof(o->owner), span_of(owner));
	(void)str_copy(o->dev.name, sizeof(o->dev.name), span_of(base->name));
	return HV_OK;
}

void blk_overlay_fini(struct blk_overlay *o)
{
	lock_acquire(&o->lock);
	overlay_tree_clear(&o->tree);
	lock_release(&o->lock);
}

uint64_t blk_overlay_bytes(struct blk_overlay *o)
{
	uint64_t bytes;

	lock_acquire(&o->lock);
	bytes = o->tree.bytes;
	lock_release(&o->lock);
	return bytes;
}
