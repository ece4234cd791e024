/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables, and the boot catalog of a CD. The input is what the disk's blocks hold from the
 * first on; the first byte chooses the blocks' size, bit 1 whether the checksums are made right, so
 * that what lies behind them is reached, bit 2 whether the last block repeats the first header, bit
 * 3 whether they begin with a CD's boot record.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/blk/boot_kind.h"
#include "tests/fakes/gpt_rig.h"

#define BLOCKS 96u
/* Where a CD's boot record stands. */
#define BOOT_RECORD ((size_t)17 * 2048)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t disk[BLOCKS * GPT_BLOCK_MAX];
static uint32_t block_size;
static unsigned reads;

static enum hv_status read_blocks(void *ctx, uint64_t block, uint32_t count, void *buffer)
{
	(void)ctx;
	if (count > GPT_BLOCK_MAX / block_size || block >= BLOCKS || count > BLOCKS - block ||
	    ++reads > 600) {
		abort(); /* beyond the disk or the buffer, or without end */
	}
	memcpy(buffer, disk + block * block_size, count * block_size);
	return HV_OK;
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static void seal(uint8_t *header)
{
	uint64_t entries = get(header + 72, 8);
	uint64_t bytes = get(header + 80, 4) * get(header + 84, 4);
	uint64_t header_size = get(header + 12, 4);

	if (entries < BLOCKS && bytes <= (BLOCKS - entries) * block_size) {
		gpt_rig_put(header + 88, gpt_rig_crc(disk + entries * block_size, bytes), 4);
	}
	gpt_rig_put(header + 16, 0, 4);
	if (header_size <= block_size) {
		gpt_rig_put(header + 16, gpt_rig_crc(header, header_size), 4);
	}
}

/* What its users take for granted. */
static void check(const struct gpt_table *table)
{
	if (table->count > GPT_PARTITIONS_MAX) {
		abort();
	}
	for (unsigned i = 0; i < table->count; i++) {
		const struct gpt_partition *p = &table->partitions[i];

		if (p->count == 0 || p->count > BLOCKS || p->start > BLOCKS - p->count ||
		    strlen(p->label) >= GPT_LABEL_MAX || p->number == 0) {
			abort();
		}
		for (const char *c = p->label; *c != '\0'; c++) {
			if ((*c > 0 && *c < ' ') || *c == 0x7f) {
				abort(); /* it is printed */
			}
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t scratch[GPT_BLOCK_MAX];
	static struct gpt_table table;
	struct gpt_source source = {.read = read_blocks, .blocks = BLOCKS};
	size_t at;
	size_t room;

	if (size < 1) {
		return 0;
	}
	block_size = data[0] & 1 ? 4096 : 512;
	source.block_size = block_size;
	memset(disk, 0, sizeof(disk));
	at = data[0] & 8 ? BOOT_RECORD : 0;
	room = BLOCKS * block_size - at;
	memcpy(disk + at, data + 1, size - 1 < room ? size - 1 : room);
	if ((data[0] & 4) != 0) {
		memcpy(disk + (BLOCKS - 1) * block_size, disk + block_size, block_size);
	}
	if ((data[0] & 2) != 0) {
		seal(disk + block_size);
		seal(disk + (BLOCKS - 1) * block_size);
	}
	reads = 0;
	if (gpt_read(&source, scratch, &table) != HV_OK && table.count != 0) {
		abort();
	}
	check(&table);
	(void)boot_kind_of(&source, scratch, &table);
	return 0;
}
