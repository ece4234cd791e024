/* SPDX-License-Identifier: Apache-2.0 */
/* Finding \_S5 by its bytes: every way iasl writes it, and every way it can be cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "hv/base/acpi_format.h"

static uint8_t type_a;
static uint8_t type_b;

/* Searches a table of header and these AML bytes, in a block of exactly that size. */
static bool find(const void *aml, size_t n)
{
	uint8_t *table = calloc(1, SDT_HEADER_SIZE + n);
	bool found;

	assert_non_null(table);
	memcpy(table + SDT_HEADER_SIZE, aml, n);
	type_a = 0xee;
	type_b = 0xee;
	found = acpi_find_s5(table, SDT_HEADER_SIZE + n, &type_a, &type_b);
	free(table);
	return found;
}

#define FIND(literal) find(literal, sizeof(literal) - 1)

static void test_forms(void **state)
{
	(void)state;
	assert_true(FIND("\x08_S5_\x12\x07\x04\x0a\x05\x00\x00\x00"));
	assert_int_equal(type_a, 5);
	assert_int_equal(type_b, 0);
	assert_true(FIND("\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x07\x00\x00"));
	assert_int_equal(type_b, 7);
	assert_true(FIND("\x08_S5_\x12\x06\x04\x00\x01\x00\x00"));
	assert_int_equal(type_a, 0);
	assert_int_equal(type_b, 1);
	/* Package length in two bytes; a word and a double word. */
	assert_true(FIND("\x08_S5_\x12\x4b\x00\x02\x0b\x03\x00\x0c\x04\x00\x00\x00"));
	assert_int_equal(type_a, 3);
	assert_int_equal(type_b, 4);
	/* Elements left out. */
	assert_true(FIND("\x08_S5_\x12\x04\x01\x0a\x06"));
	assert_int_equal(type_a, 6);
	assert_int_equal(type_b, 0);
	assert_true(FIND("\x08_S5_\x12\x04\x04\x0a\x06"));
	assert_int_equal(type_b, 0);
}

static void test_what_it_is_not(void **state)
{
	(void)state;
	assert_false(FIND(""));
	assert_false(FIND("\x08_S4_\x12\x07\x04\x0a\x05\x00\x00\x00"));
	assert_false(FIND("x_S5_\x12\x07\x04\x0a\x05\x00\x00\x00"));
	assert_false(FIND("\x08_S5_\x0a\x05"));
	assert_false(FIND("\x08_S5_\x12\x07\x00\x0a\x05\x00\x00\x00"));
	assert_false(FIND("\x08_S5_\x12\x07\x04\x0a\x08\x00\x00\x00")); /* three bits only */
	assert_false(FIND("\x08_S5_\x12\x08\x04\x0b\x05\x01\x00\x00\x00"));
	assert_false(FIND("\x08_S5_\x12\x07\x04\xff\x05\x00\x00\x00"));
	/* A package that ends before its element. */
	assert_false(FIND("\x08_S5_\x12\x03\x04\x0a\x05\x00\x00\x00"));
	assert_int_equal(type_a, 0xee);
}

static void test_a_false_start_is_passed_over(void **state)
{
	(void)state;
	assert_true(FIND("\x08_S5_\x0a\x05 \x08_S5_\x12\x07\x04\x0a\x02\x00\x00\x00"));
	assert_int_equal(type_a, 2);
}

static void test_every_cut(void **state)
{
	static const char aml[] = "\x08_S5_\x12\x4b\x00\x02\x0b\x03\x00\x0c\x04\x00\x00\x00";

	(void)state;
	for (size_t n = 0; n < sizeof(aml) - 1; n++) {
		/* Cut right behind the first element it is whole, the rest left out. */
		assert_int_equal(find(aml, n), n == 12);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_what_it_is_not),
		cmocka_unit_test(test_a_false_start_is_passed_over),
		cmocka_unit_test(test_every_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
