/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose device holds anything, then puts, writes, failures and restarts in any order. A
 * device that is refused is not written; what is settled is there after a restart.
 */
#include <assert.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/crc32.h"
#include "hv/blk/varstore.h"
#include "tests/fakes/blk_rig.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fuzz/device_input.h"

#define BLOCKS 3u
#define SIZE (BLOCKS * VARSTORE_BLOCK)
#define DEVICE_BYTES ((BLOCKS + 1) * 2 * VARSTORE_BLOCK)
/* Of a header. */
#define CRCS_AT 24u
#define CRC_AT (CRCS_AT + VARSTORE_BLOCKS_MAX * 4)

static struct varstore v;
static uint8_t contents[SIZE];
static _Alignas(4096) uint8_t staging[SIZE + VARSTORE_BLOCK];
static bool is_open;
static bool damaged; /* the device was changed behind its back, or failed */

static void poke(struct input *in)
{
	uint32_t at = (uint32_t)take(in, 2) % DEVICE_BYTES;

	rig_disk_data[at] = (uint8_t)take(in, 1);
	damaged = true;
}

/* As whoever wants to get bad numbers past the checksums would. */
static void seal(unsigned copy)
{
	uint8_t *header = rig_disk_data + copy * VARSTORE_BLOCK;
	uint32_t crc;

	for (unsigned i = 0; i < BLOCKS; i++) {
		const uint8_t *block =
			rig_disk_data + (size_t)(2 + copy * BLOCKS + i) * VARSTORE_BLOCK;

		crc = crc32(0, block, VARSTORE_BLOCK);
		memcpy(header + CRCS_AT + (size_t)i * 4, &crc, 4);
	}
	crc = crc32(0, header, CRC_AT);
	memcpy(header + CRC_AT, &crc, 4);
	damaged = true;
}

/* Power goes: what is under way is lost. */
static void restart(void)
{
	static uint8_t before[DEVICE_BYTES];
	static uint8_t wanted[SIZE];
	char why[VARSTORE_WHY_MAX] = "";
	bool settled = is_open && !damaged && !rig_disk_holds && varstore_settled(&v);
	enum varstore_origin origin;
	enum hv_status status;

	rig_disk_open_count = 0;
	rig_disk_holds = false;
	memcpy(before, rig_disk_data, sizeof(before));
	memcpy(wanted, contents, sizeof(wanted));
	memset(contents, 0x77, sizeof(contents));
	varstore_init(&v, "guest web", contents, BLOCKS);
	status = varstore_open(&v, &rig_disk, staging, &origin, why);
	is_open = status == HV_OK;
	assert(is_open == (why[0] == '\0'));
	assert(memcmp(before, rig_disk_data, sizeof(before)) == 0);
	assert(!settled || (is_open && memcmp(wanted, contents, sizeof(wanted)) == 0));
	damaged = false;
}

static void put(struct input *in)
{
	uint8_t data[64];
	uint32_t offset = (uint32_t)take(in, 2) % SIZE;
	uint32_t n = (uint32_t)min_u64(1 + take(in, 1) % sizeof(data), SIZE - offset);

	memset(data, (int)take(in, 1), sizeof(data));
	varstore_put(&v, offset, data, n);
}

static void use(struct input *in, uint8_t op)
{
	switch (op % 5) {
	case 0:
		put(in);
		break;
	case 1:
		varstore_sync(&v);
		break;
	case 2:
		if (rig_disk_open_count != 0) {
			bool fails = take(in, 1) > 0xe0;

			damaged |= fails;
			rig_disk_finish(0, fails ? HV_E_IO : HV_OK);
		}
		break;
	case 3:
		rig_disk_holds = true;
		break;
	default:
		(void)varstore_settled(&v);
		break;
	}
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);

	switch (op & 15) {
	case 0:
		poke(in);
		break;
	case 1:
		seal(op >> 7);
		break;
	case 2:
		restart();
		break;
	default:
		if (is_open) {
			use(in, op);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	fake_cpu_reset();
	clock_init(1000000000);
	rig_disk_init();
	memset(rig_disk_data, 0, DEVICE_BYTES);
	rig_disk_holds = false;
	rig_disk_open_count = 0;
	rig_disk.max_count = 16;
	is_open = false;
	damaged = false;
	restart();
	while (in.n != 0) {
		step(&in);
	}
	restart();
	return 0;
}
