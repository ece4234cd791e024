/* SPDX-License-Identifier: Apache-2.0 */
/* Every number from the disk is checked against the disk before it is used. */
#include "hv/blk/gpt.h"

#include "hv/base/bits.h"
#include "hv/base/crc32.h"

/* UEFI, "Protective MBR". */
#define MBR_ENTRIES 446u
#define MBR_ENTRY_SIZE 16u
#define MBR_ENTRY_COUNT 4u
#define MBR_ENTRY_TYPE 4u
#define MBR_TYPE_PROTECTIVE 0xeeu
#define MBR_SIGNATURE 510u

#define GPT_SIGNATURE 0x5452415020494645ull /* "EFI PART" */
#define GPT_REVISION_1 0x00010000u
#define GPT_PRIMARY_BLOCK 1u
#define ENTRY_SIZE_MIN 128u
/* Bytes of entries that are looked at: eight times what partitioning tools make. */
#define ENTRIES_BYTES_MAX (1u << 17)
#define LABEL_UNITS 36u
#define REPLACEMENT 0xfffdu

/* UEFI, "GPT Header". */
struct header {
	uint64_t signature;
	uint32_t revision;
	uint32_t header_size;
	uint32_t header_crc;
	uint32_t reserved;
	uint64_t my_block;
	uint64_t alternate_block;
	uint64_t first_usable;
	uint64_t last_usable;
	uint8_t disk_guid[GPT_GUID_SIZE];
	uint64_t entries_block;
	uint32_t entry_count;
	uint32_t entry_size;
	uint32_t entries_crc;
	uint32_t end;
};
static_assert(offsetof(struct header, header_crc) == 16, "wire offset");
static_assert(offsetof(struct header, entries_block) == 72, "wire offset");
static_assert(offsetof(struct header, entries_crc) == 88, "wire offset");
#define HEADER_SIZE_MIN offsetof(struct header, end)

/* UEFI, "GPT Partition Entry". */
struct entry {
	uint8_t type[GPT_GUID_SIZE];
	uint8_t unique[GPT_GUID_SIZE];
	uint64_t first;
	uint64_t last;
	uint64_t attributes;
	uint16_t label[LABEL_UNITS];
};
static_assert(sizeof(struct entry) == ENTRY_SIZE_MIN, "wire size");

/* --- checksums --- */

/* Of the header as it lies in `block`, its own field counting as zero. */
static uint32_t header_crc(const uint8_t *block, uint32_t size)
{
	static const uint8_t zero[sizeof(uint32_t)];
	const size_t at = offsetof(struct header, header_crc);
	uint32_t crc = crc32(crc32(0, block, at), zero, sizeof(zero));

	return crc32(crc, block + at + sizeof(zero), size - at - sizeof(zero));
}

/* --- labels --- */

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | (c >> 6));
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | (c >> 12));
		out[1] = (char)(0x80 | ((c >> 6) & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | (c >> 18));
	out[1] = (char)(0x80 | ((c >> 12) & 0x3f));
	out[2] = (char)(0x80 | ((c >> 6) & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static bool is_high_surrogate(uint32_t c)
{
	return c >= 0xd800 && c < 0xdc00;
}

static bool is_low_surrogate(uint32_t c)
{
	return c >= 0xdc00 && c < 0xe000;
}

/* Control characters, which would move a cursor, and halves of pairs become U+FFFD. */
static uint32_t presentable(uint32_t c)
{
	bool control = c < ' ' || (c >= 0x7f && c < 0xa0);

	return control || is_high_surrogate(c) || is_low_surrogate(c) ? REPLACEMENT : c;
}

static void read_label(const uint16_t units[LABEL_UNITS], char out[GPT_LABEL_MAX])
{
	size_t n = 0;

	for (unsigned i = 0; i < LABEL_UNITS && units[i] != 0; i++) {
		uint32_t c = units[i];

		if (is_high_surrogate(c) && i + 1 < LABEL_UNITS && is_low_surrogate(units[i + 1])) {
			i++;
			c = 0x10000 + ((c - 0xd800) << 10) + (units[i] - 0xdc00u);
		}
		n += put_utf8(out + n, presentable(c));
	}
	out[n] = '\0';
}

/* --- the table --- */

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != 0) {
			return false;
		}
	}
	return true;
}

bool gpt_is_mbr(const uint8_t *block)
{
	return block[MBR_SIGNATURE] == 0x55 && block[MBR_SIGNATURE + 1] == 0xaa;
}

bool gpt_mbr_has(const uint8_t *mbr, uint8_t type)
{
	if (!gpt_is_mbr(mbr)) {
		return false;
	}
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		if (mbr[MBR_ENTRIES + i * MBR_ENTRY_SIZE + MBR_ENTRY_TYPE] == type) {
			return true;
		}
	}
	return false;
}

/* What is wrong with a header that was read from `block`; NULL: nothing. */
static const char *header_problem(const struct gpt_source *s, const struct header *h,
				  const uint8_t *raw, uint64_t block)
{
	uint64_t entries_bytes = (uint64_t)h->entry_count * h->entry_size;
	uint64_t entries_blocks = (entries_bytes + s->block_size - 1) / s->block_size;

	if (h->signature != GPT_SIGNATURE) {
		return "no header";
	}
	if (h->revision != GPT_REVISION_1 || h->header_size < HEADER_SIZE_MIN ||
	    h->header_size > s->block_size) {
		return "a header of an unknown kind";
	}
	if (header_crc(raw, h->header_size) != h->header_crc) {
		return "the header's checksum is wrong";
	}
	if (h->my_block != block || h->first_usable > h->last_usable ||
	    h->last_usable >= s->blocks) {
		return "the header is not made for this disk";
	}
	if (h->entry_size < ENTRY_SIZE_MIN || h->entry_size > s->block_size ||
	    (h->entry_size & (h->entry_size - 1)) != 0 || entries_bytes > ENTRIES_BYTES_MAX) {
		return "more or larger entries than there is room for";
	}
	if (h->entries_block <= GPT_PRIMARY_BLOCK ||
	    !range_fits(h->entries_block, entries_blocks, s->blocks)) {
		return "the entries do not lie on the disk";
	}
	return NULL;
}

static void take_entry(const struct header *h, const uint8_t *raw, unsigned number,
		       struct gpt_table *out)
{
	struct gpt_partition *p = &out->partitions[out->count];
	struct entry e;

	memcpy(&e, raw, sizeof(e));
	if (is_zero(e.type, sizeof(e.type))) {
		return;
	}
	if (out->count == GPT_PARTITIONS_MAX || e.first > e.last || e.first < h->first_usable ||
	    e.last > h->last_usable) {
		out->left_out++;
		return;
	}
	p->number = number;
	p->start = e.first;
	p->count = e.last - e.first + 1;
	memcpy(p->type, e.type, sizeof(p->type));
	memcpy(p->unique, e.unique, sizeof(p->unique));
	read_label(e.label, p->label);
	out->count++;
}

/* Reads the entries block by block; *right says whether their checksum is. */
static enum hv_status read_entries(const struct gpt_source *s, const struct header *h,
				   uint8_t *scratch, struct gpt_table *out, bool *right)
{
	uint32_t left = h->entry_count * h->entry_size;
	uint64_t block = h->entries_block;
	unsigned number = 0;
	uint32_t crc = 0;

	while (left > 0) {
		uint32_t n = (uint32_t)min_u64(left, s->block_size);
		enum hv_status status = s->read(s->ctx, block++, 1, scratch);

		if (status != HV_OK) {
			return status;
		}
		crc = crc32(crc, scratch, n);
		for (uint32_t at = 0; at < n; at += h->entry_size) {
			take_entry(h, scratch + at, ++number, out);
		}
		left -= n;
	}
	*right = crc == h->entries_crc;
	return HV_OK;
}

/* Reads the table with its header in `block`. HV_E_INVALID: it is damaged, *problem says how. */
static enum hv_status read_table(const struct gpt_source *s, uint64_t block, uint8_t *scratch,
				 struct gpt_table *out, const char **problem)
{
	struct header h;
	bool right = false;
	enum hv_status status = s->read(s->ctx, block, 1, scratch);

	out->count = 0;
	out->left_out = 0;
	if (status != HV_OK) {
		*problem = "it cannot be read";
		return status;
	}
	memcpy(&h, scratch, sizeof(h));
	*problem = header_problem(s, &h, scratch, block);
	if (*problem != NULL) {
		return HV_E_INVALID;
	}
	status = read_entries(s, &h, scratch, out, &right);
	if (status != HV_OK) {
		*problem = "its entries cannot be read";
		return status;
	}
	*problem = right ? NULL : "the entries' checksum is wrong";
	return right ? HV_OK : HV_E_INVALID;
}

enum hv_status gpt_read(const struct gpt_source *source, void *scratch, struct gpt_table *out)
{
	const char *backup_problem;
	enum hv_status status;

	*out = (struct gpt_table){.count = 0};
	if (source->block_size < GPT_BLOCK_MIN || source->block_size > GPT_BLOCK_MAX ||
	    source->blocks <= GPT_PRIMARY_BLOCK) {
		return HV_E_NOT_FOUND;
	}
	status = source->read(source->ctx, 0, 1, scratch);
	if (status != HV_OK) {
		return status;
	}
	if (!gpt_mbr_has(scratch, MBR_TYPE_PROTECTIVE)) {
		return HV_E_NOT_FOUND;
	}
	status = read_table(source, GPT_PRIMARY_BLOCK, scratch, out, &out->problem);
	if (status != HV_OK) {
		out->backup = true;
		status = read_table(source, source->blocks - 1, scratch, out, &backup_problem);
	}
	if (status != HV_OK) {
		out->count = 0;
	}
	return status;
}

/* --- GUIDs --- */

/* The first three groups are little-endian numbers: where each byte of the text comes from. */
static const uint8_t guid_order[GPT_GUID_SIZE] = {3, 2, 1,  0,	5,  4,	7,  6,
						  8, 9, 10, 11, 12, 13, 14, 15};

/* Whether a dash stands before byte `i` of the text. */
static bool dash_before(unsigned i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

void gpt_guid_format(const uint8_t guid[GPT_GUID_SIZE], char out[GPT_GUID_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < GPT_GUID_SIZE; i++) {
		uint8_t byte = guid[guid_order[i]];

		if (dash_before(i)) {
			*out++ = '-';
		}
		*out++ = digits[byte >> 4];
		*out++ = digits[byte & 15];
	}
	*out = '\0';
}

/* The value of a hexadecimal digit; -1: it is none. */
static int digit_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool gpt_guid_parse(struct span text, uint8_t out[GPT_GUID_SIZE])
{
	size_t at = 0;

	if (text.n != GPT_GUID_TEXT_MAX - 1) {
		return false;
	}
	for (unsigned i = 0; i < GPT_GUID_SIZE; i++) {
		int high;
		int low;

		if (dash_before(i) && text.p[at++] != '-') {
			return false;
		}
		high = digit_value(text.p[at++]);
		low = digit_value(text.p[at++]);
		if (high < 0 || low < 0) {
			return false;
		}
		out[guid_order[i]] = (uint8_t)(high << 4 | low);
	}
	return true;
}
