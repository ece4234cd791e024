/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/blk/el_torito.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/el_torito_rig.h"

#define SECTORS 30u
#define CATALOG 20u

static uint8_t cd[SECTORS * EL_TORITO_SECTOR];
static uint8_t scratch[GPT_BLOCK_MAX];
static uint32_t block_size;

static enum hv_status read_blocks(void *ctx, uint64_t block, uint32_t count, void *buffer)
{
	(void)ctx;
	assert_true((block + count) * block_size <= sizeof(cd));
	assert_true(count * block_size <= sizeof(scratch));
	memcpy(buffer, cd + block * block_size, count * block_size);
	return HV_OK;
}

static void expect(bool bios, bool uefi)
{
	const struct gpt_source source = {
		.read = read_blocks, .blocks = sizeof(cd) / block_size, .block_size = block_size};
	struct el_torito found = el_torito_read(&source, scratch);

	assert_int_equal(found.bios, bios);
	assert_int_equal(found.uefi, uefi);
}

static int setup(void **state)
{
	(void)state;
	block_size = 512;
	memset(cd, 0, sizeof(cd));
	el_torito_rig_make(cd, CATALOG, 0x00);
	return 0;
}

static void platforms(void **state)
{
	(void)state;
	expect(true, false);
	el_torito_rig_section(cd, CATALOG, 2, 0x91, 0xef);
	expect(true, true);
	cd[CATALOG * EL_TORITO_SECTOR + 32] = 0; /* the initial entry does not boot */
	expect(false, true);
	el_torito_rig_make(cd, CATALOG, 0xef);
	expect(false, true);
	el_torito_rig_make(cd, CATALOG, 0x01); /* a PowerPC's */
	expect(false, false);
}

static void several_sections(void **state)
{
	(void)state;
	el_torito_rig_section(cd, CATALOG, 2, 0x90, 0x02);
	cd[CATALOG * EL_TORITO_SECTOR + 4 * 32] = 0x44; /* more about the entry before */
	el_torito_rig_section(cd, CATALOG, 5, 0x91, 0xef);
	expect(true, true);
	/* The last that one sector holds. */
	el_torito_rig_make(cd, CATALOG, 0x00);
	el_torito_rig_section(cd, CATALOG, 62, 0x91, 0xef);
	expect(true, true);
}

static void blocks_of_other_sizes(void **state)
{
	(void)state;
	block_size = 2048;
	expect(true, false);
	block_size = 4096; /* no CD */
	expect(false, false);
}

static void damaged(void **state)
{
	uint32_t beyond = SECTORS;

	(void)state;
	cd[CATALOG * EL_TORITO_SECTOR + 5] = 1; /* the sum is wrong */
	expect(false, false);
	setup(NULL);
	memcpy(cd + 17 * EL_TORITO_SECTOR + 0x47, &beyond, sizeof(beyond));
	expect(false, false);
	beyond = UINT32_MAX;
	memcpy(cd + 17 * EL_TORITO_SECTOR + 0x47, &beyond, sizeof(beyond));
	expect(false, false);
	setup(NULL);
	cd[17 * EL_TORITO_SECTOR + 1] = 'X';
	expect(false, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(platforms, setup),
		cmocka_unit_test_setup(several_sections, setup),
		cmocka_unit_test_setup(blocks_of_other_sizes, setup),
		cmocka_unit_test_setup(damaged, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
