/* SPDX-License-Identifier: Apache-2.0 */
/* A good ELF file, and one with each thing broken that boot/elf.h refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/elf.h"

#define HEADER 64
#define PHDR 56
#define BASE ELF_IMAGE_MIN

static uint8_t file[0x5000];

static void put(size_t at, uint64_t value, unsigned bytes)
{
	memcpy(file + at, &value, bytes);
}

static void put_segment(unsigned index, uint64_t address, uint64_t file_size, uint64_t memory_size,
			uint32_t flags)
{
	size_t at = HEADER + index * PHDR;

	put(at, 1, 4);
	put(at + 4, flags, 4);
	put(at + 8, 0x1000 * (index + 1), 8);
	put(at + 16, address, 8);
	put(at + 32, file_size, 8);
	put(at + 40, memory_size, 8);
}

/* Text, data, and bss behind a hole of one page. */
static int good_file(void **state)
{
	(void)state;
	memset(file, 0, sizeof(file));
	memcpy(file,
	       "\x7f"
	       "ELF\x02\x01\x01",
	       7);
	put(16, 2, 2);
	put(18, 62, 2);
	put(24, BASE + 0x10, 8);
	put(32, HEADER, 8);
	put(54, PHDR, 2);
	put(56, 3, 2);
	put_segment(0, BASE, 0x1000, 0x1000, ELF_R | ELF_X);
	put_segment(1, BASE + 0x1000, 0x800, 0x800, ELF_R | ELF_W);
	put_segment(2, BASE + 0x3000, 0, 0x1234, ELF_R | ELF_W);
	memset(file + 0x1000, 0xaa, 0x1000);
	memset(file + 0x2000, 0xbb, 0x800);
	return 0;
}

static const char *wrong(void)
{
	struct elf_plan plan;

	return elf_plan(file, sizeof(file), &plan);
}

static void good_file_is_planned_and_loaded(void **state)
{
	static uint8_t memory[0x6000];
	struct elf_plan plan;

	(void)state;
	assert_null(elf_plan(file, sizeof(file), &plan));
	assert_int_equal(plan.base, BASE);
	assert_int_equal(plan.span, 0x5000);
	assert_int_equal(plan.entry, BASE + 0x10);
	assert_int_equal(plan.segment_count, 3);
	assert_int_equal(plan.segments[0].flags, ELF_R | ELF_X);
	assert_int_equal(plan.segments[2].memory_size, 0x1234);

	memset(memory, 0xee, sizeof(memory));
	elf_load(&plan, file, memory);
	assert_int_equal(memory[0], 0xaa);
	assert_int_equal(memory[0xfff], 0xaa);
	assert_int_equal(memory[0x1000], 0xbb);
	assert_int_equal(memory[0x17ff], 0xbb);
	for (size_t i = 0x1800; i < 0x5000; i++) {
		assert_int_equal(memory[i], 0);
	}
	assert_int_equal(memory[0x5000], 0xee);
}

static void header_is_checked(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
		unsigned bytes;
	} broken[] = {
		{0, 0, 1},
		{4, 1, 1},
		{5, 2, 1},
		{6, 0, 1},
		{16, 3, 2},
		{18, 3, 2},
		{54, 32, 2},
		{56, 0, 2},
		{32, ~0ull, 8},
		{56, 0xffff, 2},
		{32, sizeof(file) - 100, 8},
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		good_file(state);
		assert_null(wrong());
		put(broken[i].at, broken[i].value, broken[i].bytes);
		assert_non_null(wrong());
	}
}

static void short_files_are_refused(void **state)
{
	struct elf_plan plan;

	(void)state;
	for (size_t size = 0; size < HEADER + 3 * PHDR; size++) {
		uint8_t *copy = malloc(size + 1); /* its end is where the sanitizer looks */

		assert_non_null(copy);
		memcpy(copy + 1, file, size);
		assert_non_null(elf_plan(copy + 1, size, &plan));
		free(copy);
	}
}

static void segments_are_checked(void **state)
{
	static const struct {
		size_t at; /* in the second program header */
		uint64_t value;
	} broken[] = {
		{8, sizeof(file) - 0x7ff}, /* ends one byte behind the file */
		{8, ~0ull},
		{32, 0x801},	     /* more in the file than in memory */
		{16, BASE + 0x1010}, /* not on a page */
		{16, BASE},	     /* over the first */
		{16, BASE - 0x1000}, /* below the top 2 GiB */
		{16, 0x100000},
		{40, 1ull << 31},
		{40, ~0ull},
		{40, 0x2001}, /* its last page is the third's first */
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		good_file(state);
		put(HEADER + PHDR + broken[i].at, broken[i].value, 8);
		assert_non_null(wrong());
	}
}

static void order_and_span_are_checked(void **state)
{
	(void)state;
	put_segment(2, BASE + 0x3000, 0, ELF_IMAGE_SPAN_MAX - 0x3000, ELF_W);
	assert_null(wrong());
	put_segment(2, BASE + 0x3000, 0, ELF_IMAGE_SPAN_MAX - 0x2fff, ELF_W);
	assert_non_null(wrong());
	good_file(state);
	put_segment(0, BASE + 0x8000, 0x1000, 0x1000, ELF_R | ELF_X);
	put(24, BASE + 0x8010, 8);
	assert_non_null(wrong());
}

static void writable_code_is_refused(void **state)
{
	(void)state;
	put_segment(1, BASE + 0x1000, 0x800, 0x800, ELF_W | ELF_X);
	assert_non_null(wrong());
}

static void entry_must_be_code(void **state)
{
	static const uint64_t entries[] = {BASE - 1, BASE + 0x1000, BASE + 0x2000, 0, ~0ull};

	(void)state;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		put(24, entries[i], 8);
		assert_non_null(wrong());
	}
	put(24, BASE + 0xfff, 8);
	assert_null(wrong());
}

static void other_headers_are_passed_over(void **state)
{
	struct elf_plan plan;

	(void)state;
	put(HEADER + PHDR, 0x6474e551, 4); /* PT_GNU_STACK */
	put(HEADER + 2 * PHDR + 40, 0, 8); /* an empty segment */
	put(HEADER + 2 * PHDR + 16, 3, 8);
	assert_null(elf_plan(file, sizeof(file), &plan));
	assert_int_equal(plan.segment_count, 1);
	assert_int_equal(plan.span, 0x1000);
}

static void too_many_segments_are_refused(void **state)
{
	(void)state;
	put(56, ELF_SEGMENTS_MAX + 1, 2);
	for (unsigned i = 0; i <= ELF_SEGMENTS_MAX; i++) {
		put_segment(i, BASE + i * 0x1000ull, 0, 0x1000, ELF_R | ELF_X);
		put(HEADER + i * PHDR + 8, 0, 8);
	}
	assert_non_null(wrong());
	put(56, ELF_SEGMENTS_MAX, 2);
	assert_null(wrong());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(good_file_is_planned_and_loaded, good_file),
		cmocka_unit_test_setup(header_is_checked, good_file),
		cmocka_unit_test_setup(short_files_are_refused, good_file),
		cmocka_unit_test_setup(segments_are_checked, good_file),
		cmocka_unit_test_setup(order_and_span_are_checked, good_file),
		cmocka_unit_test_setup(writable_code_is_refused, good_file),
		cmocka_unit_test_setup(entry_must_be_code, good_file),
		cmocka_unit_test_setup(other_headers_are_passed_over, good_file),
		cmocka_unit_test_setup(too_many_segments_are_refused, good_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
