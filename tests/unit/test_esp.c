/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/blk/esp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/gpt_rig.h"

#define BLOCKS 300u

static uint8_t bytes[BLOCKS * 512];
static uint8_t scratch[GPT_BLOCK_MAX];
static struct gpt_table table;
static struct gpt_rig rig;
static bool broken;

static enum hv_status read_blocks(void *ctx, uint64_t block, uint32_t count, void *buffer)
{
	assert_ptr_equal(ctx, &rig);
	assert_true(block + count <= BLOCKS);
	if (broken) {
		return HV_E_IO;
	}
	memcpy(buffer, bytes + block * 512, count * 512);
	return HV_OK;
}

static bool found_on(uint64_t blocks, uint32_t block_size)
{
	const struct gpt_source source = {
		.read = read_blocks, .ctx = &rig, .blocks = blocks, .block_size = block_size};

	return esp_found(&source, scratch, &table);
}

static bool found(uint64_t blocks)
{
	return found_on(blocks, 512);
}

static int setup(void **state)
{
	(void)state;
	broken = false;
	rig = (struct gpt_rig){bytes, BLOCKS, 512, 128};
	memset(bytes, 0, sizeof(bytes));
	return 0;
}

static void test_gpt(void **state)
{
	static const uint8_t esp[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
					0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};

	(void)state;
	gpt_rig_make(&rig);
	gpt_rig_partition(&rig, 1, 40, 99, "root", 0x21);
	gpt_rig_partition(&rig, 2, 104, 199, "efi", 0x22);
	gpt_rig_seal(&rig);
	assert_false(found(BLOCKS));
	memcpy(gpt_rig_entry(&rig, false, 2), esp, sizeof(esp));
	memcpy(gpt_rig_entry(&rig, true, 2), esp, sizeof(esp));
	gpt_rig_seal(&rig);
	assert_true(found(BLOCKS));
	broken = true;
	assert_false(found(BLOCKS));
}

static void test_mbr(void **state)
{
	(void)state;
	assert_false(found(BLOCKS));
	bytes[446 + 3 * 16 + 4] = 0xef;
	assert_false(found(BLOCKS)); /* no signature */
	bytes[510] = 0x55;
	bytes[511] = 0xaa;
	assert_true(found(BLOCKS));
	bytes[446 + 3 * 16 + 4] = 0x83;
	assert_false(found(BLOCKS));
	assert_false(found(0));
	/* Blocks that do not fit scratch are not read into it. */
	bytes[446 + 3 * 16 + 4] = 0xef;
	assert_true(found_on(BLOCKS, GPT_BLOCK_MAX));
	assert_false(found_on(BLOCKS, 2 * GPT_BLOCK_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_gpt, setup),
		cmocka_unit_test_setup(test_mbr, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
