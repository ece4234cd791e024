/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GUID partition tables (UEFI, "GUID Partition Table (GPT) Disk Layout"). A pure reader of bytes
 * that anybody may have written: a table is taken as a whole, with both checksums right, or not at
 * all; each partition in it lies in the disk's usable blocks, or is left out.
 *
 *	block 0          1        2 ..                                       last
 *	| protective MBR | header | entries |   usable blocks   | entries | header |
 *	                   primary                                 backup
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/status.h"
#include "hv/base/str.h"

#define GPT_PARTITIONS_MAX 128u
/* 36 UTF-16 units, each three bytes of UTF-8 at most, and a terminator. */
#define GPT_LABEL_MAX 109u
#define GPT_GUID_SIZE 16u
#define GPT_GUID_TEXT_MAX 37u /* with terminator */
/* Sizes of blocks that a disk may have. */
#define GPT_BLOCK_MIN 512u
#define GPT_BLOCK_MAX 4096u

struct gpt_partition {
	unsigned number; /* from 1, the entry's place: "nvme0 partition 2" */
	uint8_t type[GPT_GUID_SIZE];
	uint8_t unique[GPT_GUID_SIZE];
	uint64_t start; /* blocks */
	uint64_t count;
	char label[GPT_LABEL_MAX]; /* UTF-8; may be empty */
};

struct gpt_table {
	unsigned count;
	struct gpt_partition partitions[GPT_PARTITIONS_MAX];
	unsigned left_out;   /* partitions that do not lie in the usable blocks, or are too many */
	bool backup;	     /* the primary table is damaged: this is the other one */
	const char *problem; /* what is wrong with the (primary) table; NULL: nothing */
};

/* The disk: `count` blocks from `block` on into `buffer`. */
struct gpt_source {
	enum hv_status (*read)(void *ctx, uint64_t block, uint32_t count, void *buffer);
	void *ctx;
	uint64_t blocks;
	uint32_t block_size; /* a power of two, GPT_BLOCK_MIN .. GPT_BLOCK_MAX */
};

/*
 * Reads the table; `scratch` has GPT_BLOCK_MAX bytes and suits `read`. HV_E_NOT_FOUND: the disk has
 * none (no protective MBR). HV_E_INVALID: both tables are damaged, out->problem says what is wrong
 * with the primary. HV_E_IO: as `read` said.
 */
enum hv_status gpt_read(const struct gpt_source *source, void *scratch,
			struct gpt_table *out) HV_MUST_CHECK;

/* Whether block 0 of a disk is a master boot record. */
bool gpt_is_mbr(const uint8_t *block);
/*
 * Whether block 0 of a disk is a master boot record that has a partition of this type;
 * GPT_BLOCK_MIN bytes of it are looked at.
 */
bool gpt_mbr_has(const uint8_t *mbr, uint8_t type);
/* As people write it: lower case, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx". */
void gpt_guid_format(const uint8_t guid[GPT_GUID_SIZE], char out[GPT_GUID_TEXT_MAX]);
/* Its inverse, in upper or lower case; false when `text` is none. */
bool gpt_guid_parse(struct span text, uint8_t out[GPT_GUID_SIZE]);
