/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's requests to an overlay, against the whole disk in memory. Four bytes a request: what,
 * and whether by copying, where, how much, and which of the base's open requests to finish; two
 * requests are open at a time at most, and only if they have no sector in common. The base is
 * memory itself if the first byte's highest bit says so.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/addr.h"
#include "hv/blk/overlay.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/fake_cpu.h"

#define SECTORS 77u /* the last granule is not whole */
#define SLOTS 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct slot {
	struct disk_rig_request q;
	bool busy;
	_Alignas(BLK_SECTOR) uint8_t buffer[SECTORS * BLK_SECTOR];
};

static struct disk_rig base;
static struct blk_overlay overlay;
static uint8_t model[SECTORS * BLK_SECTOR];
static struct slot slots[SLOTS];
static uint8_t next_byte;

static void settle(struct slot *s)
{
	const struct blk_request *r = &s->q.r;

	if (!s->busy || s->q.done == 0) {
		return;
	}
	if (s->q.done != 1 || r->status != HV_OK ||
	    (r->op == BLK_READ && memcmp(s->buffer, model + r->sector * BLK_SECTOR,
					 (size_t)r->count * BLK_SECTOR) != 0)) {
		abort();
	}
	s->busy = false;
}

static bool overlaps(uint64_t sector, uint32_t count)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (slots[i].busy &&
		    ranges_overlap(sector, count, slots[i].q.r.sector, slots[i].q.r.count)) {
			return true;
		}
	}
	return false;
}

static void apply(enum blk_op op, uint64_t sector, uint32_t count, const uint8_t *buffer)
{
	for (uint64_t s = sector; s < sector + count; s++) {
		uint64_t first = s - s % 8;
		uint64_t end = first + 8 < SECTORS ? first + 8 : SECTORS;

		if (op == BLK_WRITE) {
			memcpy(model + s * BLK_SECTOR, buffer + (s - sector) * BLK_SECTOR,
			       BLK_SECTOR);
		} else if (op == BLK_WRITE_ZEROES) {
			memset(model + s * BLK_SECTOR, 0, BLK_SECTOR);
		} else if (op == BLK_DISCARD && first >= sector && end <= sector + count) {
			memcpy(model + s * BLK_SECTOR, base.bytes + s * BLK_SECTOR, BLK_SECTOR);
		}
	}
}

static void take(const uint8_t *step)
{
	static const enum blk_op ops[] = {BLK_READ, BLK_WRITE, BLK_DISCARD, BLK_WRITE_ZEROES};
	struct slot *s = &slots[step[0] / 4 % SLOTS];
	enum blk_op op = ops[step[0] % 4];
	uint64_t sector = step[1] % SECTORS;
	uint32_t count = 1 + step[2] % (uint32_t)(SECTORS - sector);

	if (!s->busy && !overlaps(sector, count)) {
		memset(s->buffer, ++next_byte, sizeof(s->buffer));
		apply(op, sector, count, s->buffer);
		s->busy = true;
		if ((step[0] & 8) != 0) {
			disk_rig_ask_or_copy(&overlay.dev, &s->q, op, sector, count, s->buffer);
		} else {
			disk_rig_ask(&overlay.dev, &s->q, op, sector, count, s->buffer);
		}
	}
	if (base.open_count > 0 && step[3] % 3 != 0) {
		disk_rig_finish(&base, step[3] % base.open_count);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		settle(&slots[i]);
	}
}

static void begin(void)
{
	static bool running;

	if (!running) {
		fake_cpu_reset();
		fake_machine(MIB(32));
		running = true;
	}
	disk_rig_init(&base, "base", SECTORS, 512);
	for (size_t i = 0; i < sizeof(model); i++) {
		base.bytes[i] = (uint8_t)(i / BLK_SECTOR + 128);
	}
	memcpy(model, base.bytes, sizeof(model));
	base.holds = true;
	memset(slots, 0, sizeof(slots));
	if (blk_overlay_init(&overlay, &base.dev, "guest x: disk 0", 0) != HV_OK) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before;

	begin();
	base.dev.copies = size != 0 && (data[0] & 0x80) != 0;
	before = pool_bytes_used();
	for (size_t i = 0; i + 4 <= size && i < 4000; i += 4) {
		take(data + i);
	}
	while (base.open_count > 0) {
		disk_rig_finish(&base, 0);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		settle(&slots[i]);
		if (slots[i].busy) {
			abort(); /* lost */
		}
	}
	base.holds = false;
	for (uint8_t sector = 0; sector < SECTORS; sector++) {
		take((uint8_t[]){0, sector, 0, 0});
	}
	blk_overlay_fini(&overlay);
	if (pool_bytes_used() != before) {
		abort();
	}
	disk_rig_fini(&base);
	return 0;
}
