/* SPDX-License-Identifier: Apache-2.0 */
/* EFI system partitions, by their types. */
#include "hv/blk/esp.h"

#include "hv/base/str.h"

/* c12a7328-f81f-11d2-ba4b-00a0c93ec93b, as it lies on the disk. */
static const uint8_t esp_type[GPT_GUID_SIZE] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
						0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};

#define MBR_TYPE_ESP 0xefu

static bool gpt_has_esp(const struct gpt_table *table)
{
	for (unsigned i = 0; i < table->count; i++) {
		if (memcmp(table->partitions[i].type, esp_type, sizeof(esp_type)) == 0) {
			return true;
		}
	}
	return false;
}

bool esp_found(const struct gpt_source *source, void *scratch, struct gpt_table *table)
{
	if (gpt_read(source, scratch, table) == HV_OK) {
		return gpt_has_esp(table);
	}
	/* Blocks that gpt_read has refused may not fit scratch. */
	return source->blocks != 0 && source->block_size >= GPT_BLOCK_MIN &&
	       source->block_size <= GPT_BLOCK_MAX &&
	       source->read(source->ctx, 0, 1, scratch) == HV_OK &&
	       gpt_mbr_has(scratch, MBR_TYPE_ESP);
}
