/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any cycles against the flash. What is shown is what the mode says, only an erase sets bits, and
 * fixed blocks never change. Whatever was written, it can be read again.
 */
#include <assert.h>
#include <string.h>

#include "guests/devices/pflash.h"
#include "tests/fuzz/device_input.h"

#define BLOCKS 3u
#define FIXED 2u
#define BYTES (BLOCKS * PFLASH_BLOCK)

static struct pflash f;
static uint8_t contents[BYTES];
static bool shown;

static void put(void *ctx, uint32_t offset, const uint8_t *data, uint32_t n)
{
	(void)ctx;
	assert(n >= 1 && n <= PFLASH_BUFFER && offset <= BYTES && n <= BYTES - offset);
	assert(offset / PFLASH_BLOCK == (offset + n - 1) / PFLASH_BLOCK);
	assert(offset / PFLASH_BLOCK < FIXED);
	for (uint32_t i = 0; i < n; i++) {
		assert(data[i] == 0xff || (data[i] & ~contents[offset + i]) == 0);
	}
	memcpy(contents + offset, data, n);
}

static void show(void *ctx, bool array)
{
	(void)ctx;
	assert(array != shown);
	shown = array;
}

static void write_at(uint32_t offset, unsigned size, uint64_t value)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	f.dev.ops->write(&f.dev, &a, value);
}

static uint64_t read_at(uint32_t offset, unsigned size)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	return f.dev.ops->read(&f.dev, &a);
}

/* Near the edges of blocks and of the query table more often than elsewhere. */
static uint32_t take_offset(struct input *in)
{
	uint32_t where = (uint32_t)take(in, 1);
	uint32_t block = where % BLOCKS * PFLASH_BLOCK;
	uint32_t offset = block + (uint32_t)take(in, 1) % 0x60;

	return where < 0xc0 ? offset : block + PFLASH_BLOCK - 8 + offset % 8;
}

static void step(struct input *in)
{
	static const uint8_t commands[] = {0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98,
					   0xb0, 0xc0, 0xd0, 0xe8, 0xff, 0x01, 0x2f, 0x03};
	uint8_t op = (uint8_t)take(in, 1);
	uint32_t offset = take_offset(in);
	unsigned size = 1u << (op >> 4 & 3);

	offset -= offset % size;
	switch (op & 15) {
	case 0:
		write_at(offset, size, take(in, size));
		break;
	case 1:
		(void)read_at(offset, size);
		break;
	case 2:
		f.dev.ops->reset(&f.dev);
		break;
	default:
		write_at(offset, 1, commands[take(in, 1) % sizeof(commands)]);
		break;
	}
}

static void invariants(void)
{
	assert(shown == (f.state.mode == PFLASH_ARRAY));
	assert(f.state.pending == PFLASH_IDLE || f.state.mode == PFLASH_STATUS);
	assert(f.state.buffer_taken <= f.state.buffer_count);
	assert(f.state.buffer_count <= PFLASH_BUFFER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pflash_config cfg = {.contents = contents,
					  .blocks = BLOCKS,
					  .first_fixed = FIXED,
					  .put = put,
					  .show = show};
	struct input in = {data, size};

	for (unsigned i = 0; i < BYTES; i++) {
		contents[i] = (uint8_t)(i | i >> 4);
	}
	shown = true;
	pflash_init(&f, &cfg);
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	/* A buffer may want to be filled to its end before anything is a command again. */
	for (unsigned i = 0; i < PFLASH_BUFFER + 3 && !shown; i++) {
		write_at(0, 1, 0xff);
	}
	assert(shown && read_at(BYTES - 1, 1) == contents[BYTES - 1]);
	return 0;
}
