/* SPDX-License-Identifier: Apache-2.0 */
/* A byte ring with monotonic positions. */
#include "hv/base/ring.h"

#include "hv/base/check.h"

void ring_init(struct ring *r, char *buf, size_t cap)
{
	CHECK(cap != 0 && (cap & (cap - 1)) == 0);
	r->buf = buf;
	r->cap = cap;
	r->end = 0;
}

void ring_write(struct ring *r, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		r->buf[(r->end + i) & (r->cap - 1)] = data[i];
	}
	r->end += n;
}

uint64_t ring_start(const struct ring *r)
{
	return r->end > r->cap ? r->end - r->cap : 0;
}

size_t ring_read(const struct ring *r, uint64_t *pos, char *out, size_t n)
{
	size_t got = 0;

	if (*pos < ring_start(r)) {
		*pos = ring_start(r);
	}
	while (got < n && *pos < r->end) {
		out[got++] = r->buf[(*pos)++ & (r->cap - 1)];
	}
	return got;
}
