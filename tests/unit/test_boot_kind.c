/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/blk/boot_kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/el_torito_rig.h"
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

static enum boot_kind kind_on(uint64_t blocks, uint32_t block_size)
{
	const struct gpt_source source = {
		.read = read_blocks, .ctx = &rig, .blocks = blocks, .block_size = block_size};

	return boot_kind_of(&source, scratch, &table);
}

static enum boot_kind kind(void)
{
	return kind_on(BLOCKS, 512);
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
	static const uint8_t grub[16] = "Hah!IdontNeedEFI";

	(void)state;
	gpt_rig_make(&rig);
	gpt_rig_partition(&rig, 1, 40, 99, "root", 0x21);
	gpt_rig_partition(&rig, 2, 104, 199, "efi", 0x22);
	gpt_rig_seal(&rig);
	assert_int_equal(kind(), BOOT_BIOS);
	memcpy(gpt_rig_entry(&rig, false, 2), esp, sizeof(esp));
	memcpy(gpt_rig_entry(&rig, true, 2), esp, sizeof(esp));
	gpt_rig_seal(&rig);
	assert_int_equal(kind(), BOOT_UEFI);
	/* With a place for GRUB's BIOS part. */
	memcpy(gpt_rig_entry(&rig, false, 1), grub, sizeof(grub));
	memcpy(gpt_rig_entry(&rig, true, 1), grub, sizeof(grub));
	gpt_rig_seal(&rig);
	assert_int_equal(kind(), BOOT_EITHER);
	broken = true;
	assert_int_equal(kind(), BOOT_NOTHING);
}

static void test_mbr(void **state)
{
	(void)state;
	assert_int_equal(kind(), BOOT_NOTHING);
	bytes[446 + 3 * 16 + 4] = 0xef;
	assert_int_equal(kind(), BOOT_NOTHING); /* no signature */
	bytes[510] = 0x55;
	bytes[511] = 0xaa;
	assert_int_equal(kind(), BOOT_UEFI);
	bytes[446 + 3 * 16 + 4] = 0x83;
	assert_int_equal(kind(), BOOT_BIOS);
	assert_int_equal(kind_on(0, 512), BOOT_NOTHING);
	/* Blocks that do not fit scratch are not read into it. */
	bytes[446 + 3 * 16 + 4] = 0xef;
	assert_int_equal(kind_on(BLOCKS, GPT_BLOCK_MAX), BOOT_UEFI);
	assert_int_equal(kind_on(BLOCKS, 2 * GPT_BLOCK_MAX), BOOT_NOTHING);
}

/* A CD that is no disk; one that was made to be written to a stick, for a BIOS only. */
static void test_cd(void **state)
{
	(void)state;
	el_torito_rig_make(bytes, 20, 0x00);
	assert_int_equal(kind(), BOOT_BIOS);
	el_torito_rig_section(bytes, 20, 2, 0x91, 0xef);
	assert_int_equal(kind(), BOOT_EITHER);
	bytes[510] = 0x55;
	bytes[511] = 0xaa;
	assert_int_equal(kind(), BOOT_EITHER);
	bytes[446 + 4] = 0xef;
	assert_int_equal(kind(), BOOT_EITHER);
	el_torito_rig_make(bytes, 20, 0xef);
	assert_int_equal(kind(), BOOT_UEFI);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_gpt, setup),
		cmocka_unit_test_setup(test_mbr, setup),
		cmocka_unit_test_setup(test_cd, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
