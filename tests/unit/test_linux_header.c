/* SPDX-License-Identifier: Apache-2.0 */
/* The setup header of a bzImage: every field comes from its place, random bytes harm nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guests/loaders/linux_header.h"

#define IMAGE_BYTES 4096u

static uint8_t image[IMAGE_BYTES];
static struct linux_header h;
static struct load_error err;

static void poke(size_t at, uint64_t value, size_t size)
{
	memcpy(image + at, &value, size);
}

static int setup(void **state)
{
	(void)state;
	memset(image, 0, sizeof(image));
	poke(HDR_SETUP_SECTS, 1, 1);
	poke(HDR_SYSSIZE, (IMAGE_BYTES - 1024) / 16, 4);
	poke(HDR_BOOT_FLAG, 0xaa55, 2);
	poke(0x200, 0x66eb, 2);
	poke(HDR_MAGIC, 0x53726448, 4);
	poke(HDR_VERSION, 0x020c, 2);
	poke(HDR_LOADFLAGS, 0x81, 1);
	poke(HDR_INITRD_ADDR_MAX, 0xffffffff, 4);
	poke(HDR_KERNEL_ALIGNMENT, 0x1000000, 4);
	poke(HDR_RELOCATABLE, 1, 1);
	poke(HDR_XLOADFLAGS, XLF_KERNEL_64, 2);
	poke(HDR_CMDLINE_SIZE, 4095, 4);
	poke(HDR_PREF_ADDRESS, 0x123456000, 8);
	poke(HDR_INIT_SIZE, 0xabcd0, 4);
	return 0;
}

static void test_fields(void **state)
{
	(void)state;
	assert_int_equal(linux_header_read(image, IMAGE_BYTES, &h, &err), HV_OK);
	assert_int_equal(h.setup_bytes, 1024);
	assert_int_equal(h.kernel_bytes, IMAGE_BYTES - 1024);
	assert_int_equal(h.pref_address, 0x123456000);
	assert_int_equal(h.initrd_end, 0x100000000);
	assert_int_equal(h.cmdline_max, 4095);
	assert_int_equal(h.init_size, 0xabcd0);
	assert_int_equal(h.alignment, 0x1000000);
	assert_true(h.relocatable);
	assert_true(h.entry_64);
	assert_false(h.above_4g);
	assert_int_equal(h.size, 0x268 - 0x1f1);
}

static void test_header_is_cut_where_boot_params_needs_the_room(void **state)
{
	(void)state;
	poke(HDR_JUMP_LENGTH, 0xff, 1);
	assert_int_equal(linux_header_read(image, IMAGE_BYTES, &h, &err), HV_OK);
	assert_int_equal(h.size, LINUX_HEADER_MAX);
}

static void test_no_sectors_means_four(void **state)
{
	(void)state;
	poke(HDR_SETUP_SECTS, 0, 1);
	poke(HDR_SYSSIZE, (IMAGE_BYTES - 5 * 512) / 16, 4);
	assert_int_equal(linux_header_read(image, IMAGE_BYTES, &h, &err), HV_OK);
	assert_int_equal(h.setup_bytes, 5 * 512);
	poke(HDR_SYSSIZE, (IMAGE_BYTES - 5 * 512) / 16 + 1, 4);
	assert_int_equal(linux_header_read(image, IMAGE_BYTES, &h, &err), HV_E_TRUNCATED);
}

/* Flags of a protocol that has none are somebody else's bytes. */
static void test_the_way_in(void **state)
{
	static const struct {
		unsigned version;
		unsigned flags;
		enum hv_status status;
		bool entry_64;
		bool above_4g;
	} cases[] = {
		{0x020c, XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G, HV_OK, true, true},
		{0x020c, XLF_KERNEL_64, HV_OK, true, false},
		{0x020c, 0, HV_OK, false, false},
		{0x020c, XLF_CAN_BE_LOADED_ABOVE_4G, HV_OK, false, false},
		{0x020b, XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G, HV_OK, false, false},
		{0x020a, XLF_KERNEL_64, HV_OK, false, false},
		{0x0209, XLF_KERNEL_64, HV_E_UNSUPPORTED, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&h, 0, sizeof(h));
		poke(HDR_VERSION, cases[i].version, 2);
		poke(HDR_XLOADFLAGS, cases[i].flags, 2);
		assert_int_equal(linux_header_read(image, IMAGE_BYTES, &h, &err), cases[i].status);
		assert_int_equal(h.entry_64, cases[i].entry_64);
		assert_int_equal(h.above_4g, cases[i].above_4g);
	}
}

static void test_names_what_the_file_is(void **state)
{
	static const struct {
		const char *magic;
		size_t n;
		const char *words;
	} cases[] = {
		{"\x7f\x45LF", 4, "ELF"},
		{"\x1f\x8b\x08", 3, "gzip"},
		{"\xfd\x37zXZ", 5, "xz"},
		{"\x28\xb5\x2f\xfd", 4, "zstd"},
		{"070701", 6, "cpio"},
		{"MZ", 2, "EFI program"},
		{"GARBAGE", 7, "something else"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(image, 0, sizeof(image));
		memcpy(image, cases[i].magic, cases[i].n);
		assert_int_equal(linux_header_read(image, IMAGE_BYTES, &h, &err), HV_E_INVALID);
		assert_non_null(strstr(err.text, cases[i].words));
	}
}

static void test_random_headers(void **state)
{
	uint64_t seed = 1;
	unsigned accepted = 0;

	for (unsigned i = 0; i < 50000; i++) {
		(void)setup(state);
		for (unsigned k = 0; k < 4; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			image[0x1f1 + (seed >> 33) % 0x80] = (uint8_t)(seed >> 56);
		}
		if (linux_header_read(image, IMAGE_BYTES, &h, &err) == HV_OK) {
			accepted++;
			assert_true(h.setup_bytes + h.kernel_bytes <= IMAGE_BYTES);
			assert_true(h.size <= LINUX_HEADER_MAX);
			assert_true(h.alignment >= 4096);
			assert_int_equal(h.alignment & (h.alignment - 1), 0);
		}
	}
	assert_true(accepted > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fields, setup),
		cmocka_unit_test_setup(test_header_is_cut_where_boot_params_needs_the_room, setup),
		cmocka_unit_test_setup(test_no_sectors_means_four, setup),
		cmocka_unit_test_setup(test_the_way_in, setup),
		cmocka_unit_test_setup(test_names_what_the_file_is, setup),
		cmocka_unit_test_setup(test_random_headers, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
