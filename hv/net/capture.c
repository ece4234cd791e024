/* SPDX-License-Identifier: Apache-2.0 */
/* The ring behind `capture`. */
#include "hv/net/capture.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "mm/pool.h"

static_assert(sizeof(struct pcap_record) + CAPTURE_SNAP <= CAPTURE_BYTES / 2, "many fit");

enum hv_status capture_start(struct capture *c)
{
	if (c->ring == NULL) {
		c->ring = pool_alloc(CAPTURE_BYTES);
	}
	if (c->ring == NULL) {
		return HV_E_NO_MEMORY;
	}
	/* Positions go on, so that who reads an older capture notices. */
	c->start = c->end;
	c->frames = 0;
	c->running = true;
	return HV_OK;
}

void capture_stop(struct capture *c)
{
	c->running = false;
}

void capture_free(struct capture *c)
{
	pool_free(c->ring, CAPTURE_BYTES);
	*c = (struct capture){.start = c->end, .end = c->end};
}

static void copy_in(struct capture *c, const void *src, size_t n)
{
	size_t at = (size_t)(c->end % CAPTURE_BYTES);
	size_t first = (size_t)min_u64(n, CAPTURE_BYTES - at);

	memcpy(c->ring + at, src, first);
	memcpy(c->ring, (const uint8_t *)src + first, n - first);
	c->end += n;
}

static void copy_out(const struct capture *c, uint64_t pos, void *dst, size_t n)
{
	size_t at = (size_t)(pos % CAPTURE_BYTES);
	size_t first = (size_t)min_u64(n, CAPTURE_BYTES - at);

	memcpy(dst, c->ring + at, first);
	memcpy((uint8_t *)dst + first, c->ring, n - first);
}

/* Bytes of the record at `pos`, frame included. */
static size_t record_bytes(const struct capture *c, uint64_t pos)
{
	struct pcap_record r;

	copy_out(c, pos, &r, sizeof(r));
	return sizeof(r) + r.kept;
}

void capture_frame(struct capture *c, const struct net_frame *f, uint64_t seconds,
		   uint32_t nanoseconds)
{
	struct pcap_record r = {
		.seconds = (uint32_t)seconds,
		.nanoseconds = nanoseconds,
		.kept = (uint32_t)min_u64(f->len, CAPTURE_SNAP),
		.len = f->len,
	};

	if (!c->running) {
		return;
	}
	while (c->end + sizeof(r) + r.kept - c->start > CAPTURE_BYTES) {
		c->start += record_bytes(c, c->start);
	}
	copy_in(c, &r, sizeof(r));
	copy_in(c, f->data, r.kept);
	c->frames++;
}

void capture_header(struct pcap_header *h)
{
	*h = (struct pcap_header){
		.magic = PCAP_MAGIC_NS,
		.major = 2,
		.minor = 4,
		.snap = CAPTURE_SNAP,
		.linktype = PCAP_LINKTYPE_ETHERNET,
	};
}

size_t capture_read(const struct capture *c, uint64_t *pos, uint8_t *out, size_t n)
{
	size_t done = 0;

	*pos = max_u64(*pos, c->start);
	while (*pos < c->end) {
		size_t bytes = record_bytes(c, *pos);

		if (bytes > n - done) {
			break;
		}
		copy_out(c, *pos, out + done, bytes);
		done += bytes;
		*pos += bytes;
	}
	return done;
}
