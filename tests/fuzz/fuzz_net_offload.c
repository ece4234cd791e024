/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames and offloads as a guest may give them: the first bytes are struct net_offload, the rest
 * the frame, the last byte of it repeated up to a length. What passes as valid is finished and
 * compared with the slow way.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/net/offload.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/net_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t flags;
	uint8_t gso;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t gso_size;
	uint16_t len;
};

static void start(void)
{
	static bool started;

	if (!started) {
		fake_cpu_reset();
		fake_machine(128u << 20);
		started = true;
	}
}

static void demand(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* One part, the same bytes but for the checksum, which is right. */
static void check_checksum(const struct net_frame *f, const struct net_frame *done)
{
	const struct net_offload *o = &f->offload;
	size_t at = (size_t)o->csum_start + o->csum_offset;
	uint16_t sum;

	demand(done->len == f->len && done->next == NULL);
	if (!o->needs_checksum) {
		demand(memcmp(done->data, f->data, f->len) == 0);
		return;
	}
	demand(memcmp(done->data, f->data, at) == 0);
	demand(memcmp(done->data + at + 2, f->data + at + 2, f->len - at - 2) == 0);
	sum = oracle_checksum(f->data + o->csum_start, f->len - o->csum_start);
	sum = sum == 0 ? 0xffff : sum;
	demand(done->data[at] == sum >> 8 && done->data[at + 1] == (sum & 0xff));
}

static void try_frame(struct net_frame *f)
{
	struct net_frame *parts;

	if (!net_offload_valid(f)) {
		return;
	}
	parts = net_offload_finish(f);
	demand(parts != NULL);
	if (f->offload.gso != NET_GSO_NONE) {
		demand(oracle_compare(f, parts) == NULL);
		return;
	}
	check_checksum(f, parts);
	net_frame_put(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_frame *f;
	struct input in;

	start();
	if (size < sizeof(in) + 1) {
		return 0;
	}
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	f = net_frame_alloc(in.len > size ? in.len : (uint32_t)size);
	if (f == NULL) {
		return 0;
	}
	memset(f->data, data[size - 1], f->capacity);
	memcpy(f->data, data, size);
	f->len = in.len;
	f->offload = (struct net_offload){
		.needs_checksum = (in.flags & 1) != 0,
		.checksum_good = (in.flags & 2) != 0,
		.ecn = (in.flags & 4) != 0,
		.csum_start = in.csum_start,
		.csum_offset = in.csum_offset,
		.gso = in.gso,
		.gso_size = in.gso_size,
	};
	try_frame(f);
	net_frame_put(f);
	demand(net_frames_bytes() == 0);
	return 0;
}
