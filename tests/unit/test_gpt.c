/* SPDX-License-Identifier: Apache-2.0 */
/* Partition tables made here, made by sgdisk, and broken in every way that a field allows. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/bits.h"
#include "hv/blk/gpt.h"
#include "tests/fakes/gpt_rig.h"

#define BLOCKS 300u

static uint8_t bytes[BLOCKS * GPT_BLOCK_MAX];
static struct gpt_rig rig;
static struct gpt_table table;
static unsigned reads;
static uint64_t bad_block; /* reading it fails; 0: none */

static enum hv_status read_blocks(void *ctx, uint64_t block, uint32_t count, void *buffer)
{
	const struct gpt_rig *g = ctx;

	reads++;
	assert_true(count == 1 && block < g->blocks);
	if (bad_block != 0 && block == bad_block) {
		return HV_E_IO;
	}
	memcpy(buffer, g->bytes + block * g->block, g->block);
	return HV_OK;
}

static enum hv_status read_it(void)
{
	static uint8_t scratch[GPT_BLOCK_MAX];
	struct gpt_source source = {read_blocks, &rig, rig.blocks, rig.block};

	reads = 0;
	return gpt_read(&source, scratch, &table);
}

static void make(uint32_t block)
{
	rig = (struct gpt_rig){bytes, BLOCKS, block, 128};
	gpt_rig_make(&rig);
	gpt_rig_partition(&rig, 1, 40, 99, "root", 0x21);
	gpt_rig_partition(&rig, 5, 100, 100, "data", 0x22);
}

static int setup(void **state)
{
	(void)state;
	bad_block = 0;
	make(512);
	return 0;
}

static void assert_the_two(void)
{
	assert_int_equal(table.count, 2);
	assert_int_equal(table.partitions[0].number, 1);
	assert_int_equal(table.partitions[0].start, 40);
	assert_int_equal(table.partitions[0].count, 60);
	assert_string_equal(table.partitions[0].label, "root");
	assert_int_equal(table.partitions[0].unique[7], 0x21);
	assert_int_equal(table.partitions[0].type[3], 0x11);
	assert_int_equal(table.partitions[1].number, 5);
	assert_int_equal(table.partitions[1].count, 1);
	assert_string_equal(table.partitions[1].label, "data");
	assert_int_equal(table.left_out, 0);
}

static void reads_what_is_there(void **state)
{
	(void)state;
	assert_int_equal(read_it(), HV_OK);
	assert_the_two();
	assert_false(table.backup);
	assert_null(table.problem);
	assert_int_equal(reads, 1 + 1 + 32);
	make(4096);
	assert_int_equal(read_it(), HV_OK);
	assert_the_two();
	assert_int_equal(reads, 1 + 1 + 4);
}

static void a_disk_without_a_table(void **state)
{
	(void)state;
	bytes[446 + 4] = 0x83; /* the GPT behind it is left over */
	assert_int_equal(read_it(), HV_E_NOT_FOUND);
	bytes[446 + 3 * 16 + 4] = 0xee; /* any of the four */
	assert_int_equal(read_it(), HV_OK);
	bytes[511] = 0;
	assert_int_equal(read_it(), HV_E_NOT_FOUND);
	rig.blocks = 1;
	assert_int_equal(read_it(), HV_E_NOT_FOUND);
	rig.blocks = 0;
	assert_int_equal(read_it(), HV_E_NOT_FOUND);
	assert_int_equal(reads, 0);
	make(512);
	rig.block = 8192;
	assert_int_equal(read_it(), HV_E_NOT_FOUND);
}

/* Each flipped bit of header or entries is found, and the backup takes over. */
static void the_backup_takes_over(void **state)
{
	uint8_t *h = gpt_rig_header(&rig, false);

	(void)state;
	for (unsigned bit = 0; bit < 92 * 8; bit += 3) {
		h[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(read_it(), HV_OK);
		assert_true(table.backup);
		assert_non_null(table.problem);
		assert_the_two();
		h[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (unsigned at = 0; at < 128 * 128; at += 61) {
		gpt_rig_entry(&rig, false, 1)[at] ^= 4;
		assert_int_equal(read_it(), HV_OK);
		assert_true(table.backup);
		assert_the_two();
		gpt_rig_entry(&rig, false, 1)[at] ^= 4;
	}
	bad_block = 1;
	assert_int_equal(read_it(), HV_OK);
	assert_true(table.backup);
	bad_block = 20;
	assert_int_equal(read_it(), HV_OK);
	assert_the_two();
}

static void both_damaged(void **state)
{
	(void)state;
	gpt_rig_header(&rig, false)[40] ^= 1;
	gpt_rig_header(&rig, true)[40] ^= 1;
	assert_int_equal(read_it(), HV_E_INVALID);
	assert_int_equal(table.count, 0);
	assert_string_equal(table.problem, "the header's checksum is wrong");
	make(512);
	bad_block = BLOCKS - 1;
	gpt_rig_entry(&rig, false, 1)[0] ^= 1;
	assert_int_equal(read_it(), HV_E_IO);
	assert_int_equal(table.count, 0);
}

/* A header whose checksum is right and whose numbers are not: never read beyond the disk. */
static void numbers_that_cannot_be(void **state)
{
	static const struct {
		unsigned offset, bytes;
		uint64_t value;
	} cases[] = {
		{8, 4, 0x20000},     {12, 4, 91},     {12, 4, 513},	   {12, 4, 0xffffffff},
		{24, 8, 2},	     {40, 8, BLOCKS}, {48, 8, BLOCKS},	   {48, 8, ~0ull},
		{72, 8, 0},	     {72, 8, 1},      {72, 8, ~0ull},	   {72, 8, BLOCKS - 31},
		{80, 4, 0xffffffff}, {80, 4, 1025},   {84, 4, 0},	   {84, 4, 64},
		{84, 4, 192},	     {84, 4, 1024},   {84, 4, 0x80000000}, {84, 4, 0xffffffff},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned backup = 0; backup < 2; backup++) {
			uint8_t *h = gpt_rig_header(&rig, backup != 0);
			uint64_t size = cases[i].offset == 12 ? cases[i].value : 92;

			gpt_rig_put(h + cases[i].offset, cases[i].value, cases[i].bytes);
			gpt_rig_put(h + 16, 0, 4);
			gpt_rig_put(h + 16, gpt_rig_crc(h, min_u64(size, 512)), 4);
		}
		if (read_it() != HV_E_INVALID) {
			fail_msg("case %u is accepted", i);
		}
		make(512);
	}
}

static void partitions_that_do_not_fit(void **state)
{
	(void)state;
	gpt_rig_partition(&rig, 2, 33, 50, "over the entries", 1);
	gpt_rig_partition(&rig, 3, 60, 59, "backwards", 1);
	gpt_rig_partition(&rig, 4, 200, BLOCKS - 33, "over the backup", 1);
	gpt_rig_partition(&rig, 6, ~0ull, ~0ull, "far away", 1);
	gpt_rig_partition(&rig, 7, 34, BLOCKS - 34, "all of it", 1);
	assert_int_equal(read_it(), HV_OK);
	assert_int_equal(table.count, 3);
	assert_int_equal(table.left_out, 4);
	assert_string_equal(table.partitions[2].label, "all of it");
}

static void more_than_there_is_room_for(void **state)
{
	(void)state;
	rig.entries = 160;
	gpt_rig_make(&rig);
	for (unsigned i = 1; i <= 160; i++) {
		gpt_rig_partition(&rig, i, 50, 50, "x", 1);
	}
	assert_int_equal(read_it(), HV_OK);
	assert_int_equal(table.count, GPT_PARTITIONS_MAX);
	assert_int_equal(table.left_out, 32);
}

static void labels_become_utf8(void **state)
{
	static const struct {
		uint16_t units[6];
		const char *text;
	} cases[] = {
		{{'a', 0xe4, 0x20ac}, "a\xc3\xa4\xe2\x82\xac"},
		{{0xd83d, 0xde00, 'x'}, "\xf0\x9f\x98\x80x"},
		{{0xd83d, 'x'}, "\xef\xbf\xbdx"},
		{{0xde00, 0xd83d}, "\xef\xbf\xbd\xef\xbf\xbd"},
		{{'a', 0x1b, '[', 0x7f, 0x9b}, "a\xef\xbf\xbd[\xef\xbf\xbd\xef\xbf\xbd"},
		{{0, 'x'}, ""},
	};
	uint8_t *e = gpt_rig_entry(&rig, false, 1);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(e + 56, 0, 72);
		memcpy(e + 56, cases[i].units, sizeof(cases[i].units));
		gpt_rig_seal(&rig);
		assert_int_equal(read_it(), HV_OK);
		assert_string_equal(table.partitions[0].label, cases[i].text);
	}
	/* The longest there is: 36 units of three bytes, and none behind them. */
	memset(e + 56, 0x30, 72);
	gpt_rig_seal(&rig);
	assert_int_equal(read_it(), HV_OK);
	assert_int_equal(strlen(table.partitions[0].label), 108);
	/* A pair whose second half is not there any more. */
	gpt_rig_put(e + 56 + 70, 0xd83d, 2);
	gpt_rig_seal(&rig);
	assert_int_equal(read_it(), HV_OK);
	assert_string_equal(table.partitions[0].label + 105, "\xef\xbf\xbd");
}

static void guids_as_text(void **state)
{
	static const char text[] = "0fc63daf-8483-4772-8e79-3d69d8477de4";
	static const uint8_t linux_data[GPT_GUID_SIZE] = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84,
							  0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69,
							  0xd8, 0x47, 0x7d, 0xe4};
	char out[GPT_GUID_TEXT_MAX];
	uint8_t guid[GPT_GUID_SIZE];

	(void)state;
	gpt_guid_format(linux_data, out);
	assert_string_equal(out, text);
	assert_true(gpt_guid_parse(span_of(text), guid));
	assert_memory_equal(guid, linux_data, sizeof(guid));
	assert_true(gpt_guid_parse(span_of("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), guid));
	assert_memory_equal(guid, linux_data, sizeof(guid));
	assert_false(gpt_guid_parse(span_of("0fc63daf-8483-4772-8e79-3d69d8477de"), guid));
	assert_false(gpt_guid_parse(span_of("0fc63daf-8483-4772-8e79-3d69d8477dg4"), guid));
	assert_false(gpt_guid_parse(span_of("0fc63daf08483-4772-8e79-3d69d8477de4"), guid));
	assert_false(gpt_guid_parse(span_of("root"), guid));
	assert_false(gpt_guid_parse(span_of(""), guid));
}

/* What the tool that people use writes. */
static void sgdisk_agrees(void **state)
{
	char name[] = "/tmp/bulkhead-gpt-XXXXXX";
	char command[256];
	char guid[GPT_GUID_TEXT_MAX];
	FILE *f;
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	assert_int_equal(fseek(f, BLOCKS * 512 - 1, SEEK_SET), 0);
	assert_int_equal(fputc(0, f), 0);
	(void)fclose(f);
	(void)snprintf(command, sizeof(command),
		       "sgdisk -a 8 -n 2:40:103 -c 2:r\303\266\303\266t "
		       "-u 2:01234567-89ab-cdef-0123-456789abcdef %s >/dev/null 2>&1",
		       name);
	if (system(command) != 0) { /* NOLINT(cert-env33-c): a fixed command */
		(void)remove(name);
		skip();
	}
	f = fopen(name, "r");
	assert_non_null(f);
	assert_int_equal(fread(bytes, 512, BLOCKS, f), BLOCKS);
	(void)fclose(f);
	(void)remove(name);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(read_it(), HV_OK);
		assert_int_equal(table.count, 1);
		assert_int_equal(table.partitions[0].number, 2);
		assert_int_equal(table.partitions[0].start, 40);
		assert_int_equal(table.partitions[0].count, 64);
		assert_string_equal(table.partitions[0].label, "r\303\266\303\266t");
		gpt_guid_format(table.partitions[0].unique, guid);
		assert_string_equal(guid, "01234567-89ab-cdef-0123-456789abcdef");
		assert_int_equal(table.backup, round == 1);
		memset(bytes + 512, 0, 512); /* and its backup */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_what_is_there, setup),
		cmocka_unit_test_setup(a_disk_without_a_table, setup),
		cmocka_unit_test_setup(the_backup_takes_over, setup),
		cmocka_unit_test_setup(both_damaged, setup),
		cmocka_unit_test_setup(numbers_that_cannot_be, setup),
		cmocka_unit_test_setup(partitions_that_do_not_fit, setup),
		cmocka_unit_test_setup(more_than_there_is_room_for, setup),
		cmocka_unit_test_setup(labels_become_utf8, setup),
		cmocka_unit_test_setup(guids_as_text, setup),
		cmocka_unit_test_setup(sgdisk_agrees, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
