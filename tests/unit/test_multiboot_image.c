/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot headers and ELF files: what is found in them, and everything they are refused for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guests/loaders/multiboot_image.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"

#define FILE_BYTES 16384u
#define HEADER_AT 0x100u

static uint8_t file[FILE_BYTES];
static struct multiboot_image image;
static struct load_error err;

static void poke(size_t at, uint64_t value, size_t size)
{
	memcpy(file + at, &value, size);
}

static void put_header(size_t at, uint32_t flags)
{
	poke(at, MULTIBOOT_HEADER_MAGIC, 4);
	poke(at + 4, flags, 4);
	poke(at + 8, 0u - MULTIBOOT_HEADER_MAGIC - flags, 4);
}

/* Program header `i` of an ELF32 file. */
static void put_segment32(unsigned i, uint32_t offset, uint32_t vaddr, uint32_t paddr,
			  uint32_t filesz, uint32_t memsz)
{
	size_t at = 52 + i * 32u;

	poke(at, 1, 4);
	poke(at + 4, offset, 4);
	poke(at + 8, vaddr, 4);
	poke(at + 12, paddr, 4);
	poke(at + 16, filesz, 4);
	poke(at + 20, memsz, 4);
}

static void put_segment64(unsigned i, uint64_t offset, uint64_t vaddr, uint64_t paddr,
			  uint64_t filesz, uint64_t memsz)
{
	size_t at = 64 + i * 56u;

	poke(at, 1, 4);
	poke(at + 8, offset, 8);
	poke(at + 16, vaddr, 8);
	poke(at + 24, paddr, 8);
	poke(at + 32, filesz, 8);
	poke(at + 40, memsz, 8);
}

/* A correct ELF32 kernel with two segments. */
static int setup(void **state)
{
	static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 1, 1, 1};

	(void)state;
	memset(file, 0, sizeof(file));
	memcpy(file, ident, sizeof(ident));
	poke(16, 2, 2);
	poke(18, 3, 2);
	poke(24, 0x100040, 4);
	poke(28, 52, 4);
	poke(42, 32, 2);
	poke(44, 2, 2);
	put_segment32(0, 0x100, 0x100000, 0x100000, 0x1000, 0x1000);
	put_segment32(1, 0x1100, 0x200000, 0x200000, 0x500, 0x9000);
	put_header(HEADER_AT, MULTIBOOT_MEMORY_INFO);
	return 0;
}

static int setup64(void **state)
{
	static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

	(void)state;
	memset(file, 0, sizeof(file));
	memcpy(file, ident, sizeof(ident));
	poke(16, 2, 2);
	poke(18, 62, 2);
	poke(24, 0xffffffff80100010, 8);
	poke(32, 64, 8);
	poke(54, 56, 2);
	poke(56, 1, 2);
	put_segment64(0, 0x1000, 0xffffffff80100000, 0x400000, 0x800, 0x2000);
	put_header(HEADER_AT, 0);
	return 0;
}

static enum hv_status read_file(uint64_t size)
{
	uint8_t *exact = malloc(size); /* so that an over-read is seen */
	enum hv_status status;

	assert_non_null(exact);
	memcpy(exact, file, size);
	err.text[0] = '\0';
	status = multiboot_image_read(exact, size, &image, &err);
	free(exact);
	return status;
}

static void refused(enum hv_status status, const char *words)
{
	assert_int_equal(read_file(FILE_BYTES), status);
	if (strstr(err.text, words) == NULL) {
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	}
}

/* ---------------------------------------------------------------- what is found */

static void elf32_by_program_headers(void **state)
{
	(void)state;
	assert_true(multiboot_image_is(file, FILE_BYTES));
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	assert_int_equal(image.flags, MULTIBOOT_MEMORY_INFO);
	assert_int_equal(image.segment_count, 2);
	assert_int_equal(image.segments[1].gpa, 0x200000);
	assert_int_equal(image.segments[1].file_offset, 0x1100);
	assert_int_equal(image.segments[1].file_size, 0x500);
	assert_int_equal(image.segments[1].memory_size, 0x9000);
	assert_int_equal(image.entry, 0x100040);
}

static void elf64_linked_high_is_entered_low(void **state)
{
	(void)state;
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	assert_int_equal(image.segment_count, 1);
	assert_int_equal(image.segments[0].gpa, 0x400000);
	assert_int_equal(image.entry, 0x400010);
	/* Some name the physical address. */
	poke(24, 0x400020, 8);
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	assert_int_equal(image.entry, 0x400020);
}

static void headers_other_than_load_are_passed_over(void **state)
{
	(void)state;
	poke(52 + 32, 4, 4); /* PT_NOTE, however wrong */
	poke(52 + 32 + 4, 0xffffffff, 4);
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	assert_int_equal(image.segment_count, 1);
	put_segment32(1, 0xffffffff, 0, 0, 0, 0); /* empty */
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	assert_int_equal(image.segment_count, 1);
}

static void the_header_is_found_where_it_may_be(void **state)
{
	(void)state;
	memset(file + HEADER_AT, 0, 12);
	assert_false(multiboot_image_is(file, FILE_BYTES));
	put_header(0x102, 0); /* not aligned */
	assert_false(multiboot_image_is(file, FILE_BYTES));
	memset(file + 0x102, 0, 12);
	put_header(8192 - 8, 0); /* reaches past the first 8192 bytes */
	assert_false(multiboot_image_is(file, FILE_BYTES));
	put_header(8192 - 12, 0);
	assert_true(multiboot_image_is(file, FILE_BYTES));
	assert_false(multiboot_image_is(file, 8191));
	poke(8192 - 4, 1, 4); /* checksum */
	assert_false(multiboot_image_is(file, FILE_BYTES));
	assert_false(multiboot_image_is(file, 0));
	/* A wrong one before the right one. */
	put_header(HEADER_AT, 0);
	poke(0x80, MULTIBOOT_HEADER_MAGIC, 4);
	assert_true(multiboot_image_is(file, FILE_BYTES));
}

/* ---------------------------------------------------------------- addresses in the header */

static void put_addresses(uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end,
			  uint32_t entry)
{
	put_header(HEADER_AT, MULTIBOOT_AOUT_KLUDGE);
	poke(HEADER_AT + 12, header, 4);
	poke(HEADER_AT + 16, load, 4);
	poke(HEADER_AT + 20, load_end, 4);
	poke(HEADER_AT + 24, bss_end, 4);
	poke(HEADER_AT + 28, entry, 4);
}

static void addresses_in_the_header_come_before_elf(void **state)
{
	(void)state;
	put_addresses(0x300020, 0x300000, 0x301000, 0x305000, 0x300080);
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	assert_int_equal(image.segment_count, 1);
	assert_int_equal(image.segments[0].gpa, 0x300000);
	assert_int_equal(image.segments[0].file_offset, HEADER_AT - 0x20);
	assert_int_equal(image.segments[0].file_size, 0x1000);
	assert_int_equal(image.segments[0].memory_size, 0x5000);
	assert_int_equal(image.entry, 0x300080);
	/* Zero: to the end of the file, and no bss. */
	put_addresses(0x300020, 0x300000, 0, 0, 0x300080);
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	assert_int_equal(image.segments[0].file_size, FILE_BYTES - HEADER_AT + 0x20);
	assert_int_equal(image.segments[0].memory_size, image.segments[0].file_size);
}

static void wrong_addresses_are_refused(void **state)
{
	(void)state;
	put_addresses(0x2fffff, 0x300000, 0, 0, 0x300080);
	refused(HV_E_INVALID, "header_addr");
	put_addresses(0x300000 + HEADER_AT + 1, 0x300000, 0, 0, 0x300080);
	refused(HV_E_INVALID, "header_addr");
	put_addresses(0x300020, 0x300000, 0x2fffff, 0, 0x300080);
	refused(HV_E_INVALID, "load_end_addr");
	put_addresses(0x300020, 0x300000, 0x300000, 0, 0x300080);
	refused(HV_E_INVALID, "load_end_addr");
	put_addresses(0x300020, 0x300000, 0x301000, 0x300fff, 0x300080);
	refused(HV_E_INVALID, "bss_end_addr");
	put_addresses(0x300020, 0x300000, 0x310000, 0, 0x300080);
	refused(HV_E_TRUNCATED, "truncated");
	put_addresses(0x300020, 0x300000, 0, 0, 0x2fffff);
	refused(HV_E_INVALID, "entry point");
	put_addresses(0xfffffff0, 0xffffff00, 0, 0, 0xffffff10);
	refused(HV_E_INVALID, "below 4 GiB");
	/* The longer header is cut off by the end of the search. */
	memset(file + HEADER_AT, 0, 32);
	put_header(8192 - 12, MULTIBOOT_AOUT_KLUDGE);
	refused(HV_E_TRUNCATED, "byte 8192");
}

/* ---------------------------------------------------------------- refusals */

static void demands_that_cannot_be_met(void **state)
{
	(void)state;
	put_header(HEADER_AT, 7);
	refused(HV_E_UNSUPPORTED, "video");
	put_header(HEADER_AT, 0x8001);
	refused(HV_E_UNSUPPORTED, "0x8001");
	put_header(HEADER_AT, 0x80000003); /* the upper half is no demand */
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
}

static void no_header_or_no_addresses(void **state)
{
	(void)state;
	file[0] = 0;
	refused(HV_E_INVALID, "no ELF file");
	file[0] = 0x7f;
	file[4] = 3;
	refused(HV_E_INVALID, "no ELF file");
	file[4] = 1;
	file[5] = 2; /* big-endian */
	refused(HV_E_INVALID, "no ELF file");
	file[5] = 1;
	memset(file + HEADER_AT, 0, 12);
	refused(HV_E_INVALID, "no Multiboot header");
}

static void files_that_are_no_program_for_this_cpu(void **state)
{
	(void)state;
	poke(16, 3, 2);
	refused(HV_E_UNSUPPORTED, "type 3");
	poke(16, 2, 2);
	poke(18, 62, 2);
	refused(HV_E_UNSUPPORTED, "machine 62");
	poke(18, 3, 2);
	poke(42, 31, 2);
	refused(HV_E_INVALID, "31 bytes");
	poke(42, 32, 2);
	poke(44, 0xffff, 2);
	refused(HV_E_TRUNCATED, "program headers");
	poke(44, 2, 2);
	poke(28, 0xfffffff0, 4);
	refused(HV_E_TRUNCATED, "program headers");
}

static void segments_that_cannot_be(void **state)
{
	(void)state;
	put_segment32(1, 0x1100, 0x200000, 0x200000, 0x501, 0x500);
	refused(HV_E_INVALID, "larger in the file");
	put_segment32(1, FILE_BYTES - 0x4ff, 0x200000, 0x200000, 0x500, 0x500);
	refused(HV_E_TRUNCATED, "0x200000");
	put_segment32(1, 0xfffff000, 0x200000, 0x200000, 0x500, 0x500);
	refused(HV_E_TRUNCATED, "0x200000");
	put_segment32(1, 0x1100, 0x200000, 0xfffff000, 0x500, 0x1001);
	refused(HV_E_INVALID, "4 GiB");
	put_segment32(1, 0x1100, 0x200000, 0xfffff000, 0x500, 0x1000);
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	put_segment32(1, 0x1100, 0x200000, 0x100fff, 0x500, 0x500);
	refused(HV_E_INVALID, "overlap");
	put_segment32(1, 0x1100, 0x200000, 0x101000, 0x500, 0x500);
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	poke(24, 0x101500, 4);
	refused(HV_E_INVALID, "entry point 0x101500");
	poke(44, 0, 2);
	refused(HV_E_INVALID, "none of its 0");
}

static void segments_of_64_bits_that_wrap(void **state)
{
	(void)state;
	put_segment64(0, 0x1000, 0xffffffff80100000, 0xfffffffffffff000, 0x800, 0x2000);
	refused(HV_E_INVALID, "4 GiB");
	put_segment64(0, 0x1000, 0xffffffff80100000, 0x400000, 0x800, 0xffffffffffffffff);
	refused(HV_E_INVALID, "4 GiB");
	put_segment64(0, 0xfffffffffffff900, 0xffffffff80100000, 0x400000, 0x800, 0x2000);
	refused(HV_E_TRUNCATED, "truncated");
	put_segment64(0, 0x1000, 0xffffffff80100000, 0x400000, 0x800, 0x2000);
	poke(32, 0xffffffffffffffff, 8);
	refused(HV_E_TRUNCATED, "program headers");
}

static void too_many_segments(void **state)
{
	(void)state;
	memset(file + HEADER_AT, 0, 12);
	put_header(0x1000, 0);
	poke(44, MULTIBOOT_SEGMENTS_MAX, 2);
	for (unsigned i = 0; i <= MULTIBOOT_SEGMENTS_MAX; i++) {
		put_segment32(i, 0x1000, 0, 0x100000 + i * 0x1000, 0x80, 0x1000);
	}
	assert_int_equal(read_file(FILE_BYTES), HV_OK);
	poke(44, MULTIBOOT_SEGMENTS_MAX + 1, 2);
	refused(HV_E_UNSUPPORTED, "16 segments");
}

static void every_truncation_is_survived(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 0x1600; n++) {
		assert_int_not_equal(read_file(n), HV_OK);
		assert_true(err.text[0] != '\0');
	}
	assert_int_equal(read_file(0x1600), HV_OK);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(elf32_by_program_headers),
		cmocka_unit_test_setup(elf64_linked_high_is_entered_low, setup64),
		T(headers_other_than_load_are_passed_over),
		T(the_header_is_found_where_it_may_be),
		T(addresses_in_the_header_come_before_elf),
		T(wrong_addresses_are_refused),
		T(demands_that_cannot_be_met),
		T(no_header_or_no_addresses),
		T(files_that_are_no_program_for_this_cpu),
		T(segments_that_cannot_be),
		cmocka_unit_test_setup(segments_of_64_bits_that_wrap, setup64),
		T(too_many_segments),
		T(every_truncation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
