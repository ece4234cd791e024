/* SPDX-License-Identifier: Apache-2.0 */
/* Block requests on their way to a device and back. */
#include "hv/api/blk.h"

#include "hv/api/clock.h"
#include "hv/base/bits.h"

static bool writes(enum blk_op op)
{
	return op == BLK_WRITE || op == BLK_DISCARD || op == BLK_WRITE_ZEROES;
}

static bool has(const struct blk_device *d, enum blk_op op)
{
	return (op != BLK_DISCARD || d->discards) && (op != BLK_WRITE_ZEROES || d->write_zeroes);
}

static bool transfers(enum blk_op op)
{
	return op == BLK_READ || op == BLK_WRITE;
}

/* The part that only requests with sectors have. */
static enum hv_status check_sectors(const struct blk_device *d, const struct blk_request *r)
{
	uint32_t unit = d->block_size / BLK_SECTOR;

	if (r->count == 0 || !is_aligned(r->sector | r->count, unit) ||
	    (transfers(r->op) && r->count > d->max_count)) {
		return HV_E_INVALID;
	}
	return range_fits(r->sector, r->count, d->sectors) ? HV_OK : HV_E_RANGE;
}

/* All but the buffer. */
static enum hv_status check(const struct blk_device *d, const struct blk_request *r)
{
	if (d->removed) {
		return HV_E_IO;
	}
	if (r->op >= BLK_OP_COUNT || (d->readonly && writes(r->op))) {
		return HV_E_INVALID;
	}
	if (!has(d, r->op)) {
		return HV_E_UNSUPPORTED;
	}
	if (r->op == BLK_FLUSH) {
		return r->count == 0 ? HV_OK : HV_E_INVALID;
	}
	return check_sectors(d, r);
}

static bool has_buffer(const struct blk_request *r)
{
	return !transfers(r->op) ||
	       (r->buffer != NULL && is_aligned((uintptr_t)r->buffer, BLK_SECTOR));
}

static void count_request(struct blk_device *d, const struct blk_request *r)
{
	atomic_fetch_add_explicit(&d->stats.requests[r->op], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->stats.sectors[r->op], r->count, memory_order_relaxed);
}

static void count_error(struct blk_device *d, enum hv_status status)
{
	if (status != HV_OK) {
		atomic_fetch_add_explicit(&d->stats.errors, 1, memory_order_relaxed);
	}
}

void blk_submit(struct blk_device *d, struct blk_request *r)
{
	enum hv_status status = check(d, r);

	r->asked = r->asked != NULL ? r->asked : d;
	if (status == HV_OK && !has_buffer(r)) {
		status = HV_E_INVALID;
	}
	if (status != HV_OK) {
		blk_done(d, r, status);
		return;
	}
	count_request(d, r);
	d->ops->submit(d, r);
}

enum hv_status blk_copy(struct blk_device *d, const struct blk_request *r, struct blk_copier *c)
{
	enum hv_status status;

	if (!d->copies || !transfers(r->op)) {
		return HV_E_UNSUPPORTED;
	}
	status = check(d, r);
	if (status == HV_OK) {
		status = d->ops->copy(d, r, c);
		if (status == HV_E_UNSUPPORTED) {
			return status;
		}
		count_request(d, r);
	}
	count_error(d, status);
	return status;
}

void blk_done(struct blk_device *d, struct blk_request *r, enum hv_status status)
{
	struct blk_device *asked = r->asked;

	r->asked = NULL;
	count_error(d, status);
	if (asked != NULL && asked != d) {
		count_error(asked, status);
	}
	r->status = status;
	r->done(r);
}

/* That the request is done shows by its function being gone: nothing else is left to say it. */
static void sync_done(struct blk_request *r)
{
	__atomic_store_n(&r->done, NULL, __ATOMIC_RELEASE);
}

enum hv_status blk_sync(struct blk_device *d, struct blk_request *r, uint64_t limit_ns)
{
	uint64_t start = clock_now();
	uint64_t limit = clock_ns_to_ticks(limit_ns);

	r->done = sync_done;
	blk_submit(d, r);
	while (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) != NULL) {
		if (clock_now() - start > limit) {
			return HV_E_IO;
		}
		if (d->ops->poll != NULL) {
			d->ops->poll(d);
		}
		__builtin_ia32_pause();
	}
	return r->status;
}
