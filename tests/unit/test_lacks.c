/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what device models do not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/lacks.h"

static struct lacks l;
static struct lack copy[LACKS_MAX];
static unsigned count;

static int setup(void **state)
{
	(void)state;
	l = (struct lacks){.total = 0};
	return 0;
}

static void entries_come_in_order_with_their_counts(void **state)
{
	char other[] = "HPET"; /* the same name at another place */

	(void)state;
	lacks_note(&l, "HPET", LACKS_READ, 0x18);
	lacks_note(&l, "HPET", LACKS_WRITE, 0x18);
	lacks_note(&l, "AHCI", LACKS_READ, 0x18);
	lacks_note(&l, other, LACKS_READ, 0x18);
	assert_int_equal(lacks_copy(&l, copy, &count), 4);
	assert_int_equal(count, 3);
	assert_string_equal(copy[0].device, "HPET");
	assert_int_equal(copy[0].kind, LACKS_READ);
	assert_int_equal(copy[0].what, 0x18);
	assert_int_equal(copy[0].count, 2);
	assert_int_equal(copy[1].kind, LACKS_WRITE);
	assert_int_equal(copy[1].count, 1);
	assert_string_equal(copy[2].device, "AHCI");
}

static void one_device_leaves_places_for_the_others(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		lacks_note(&l, "AHCI", LACKS_READ, i);
	}
	lacks_note(&l, "HPET", LACKS_READ, 0x18);
	lacks_note(&l, "AHCI", LACKS_READ, 0); /* one that has its place still counts */
	assert_int_equal(lacks_copy(&l, copy, &count), 1002);
	assert_int_equal(count, LACKS_OF_DEVICE_MAX + 1);
	assert_int_equal(copy[0].count, 2);
	assert_string_equal(copy[count - 1].device, "HPET");
}

static void the_list_ends(void **state)
{
	static const char names[][2] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		for (uint32_t what = 0; what < LACKS_OF_DEVICE_MAX; what++) {
			lacks_note(&l, names[i], LACKS_COMMAND, what);
		}
	}
	assert_int_equal(lacks_copy(&l, copy, &count), 9 * LACKS_OF_DEVICE_MAX);
	assert_int_equal(count, LACKS_MAX);
}

static void nobody_need_listen(void **state)
{
	(void)state;
	lacks_note(NULL, "HPET", LACKS_READ, 0);
	lacks_note(&l, "HPET", LACKS_NOTHING, 0);
	assert_int_equal(lacks_copy(&l, copy, &count), 0);
	assert_int_equal(count, 0);
}

static void each_kind_has_a_name(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < LACKS_KINDS; kind++) {
		assert_non_null(lacks_kind_name((enum lacks_kind)kind));
	}
	assert_string_equal(lacks_kind_name(LACKS_PACKET), "packet");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries_come_in_order_with_their_counts, setup),
		cmocka_unit_test_setup(one_device_leaves_places_for_the_others, setup),
		cmocka_unit_test_setup(the_list_ends, setup),
		cmocka_unit_test_setup(nobody_need_listen, setup),
		cmocka_unit_test_setup(each_kind_has_a_name, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
