/* SPDX-License-Identifier: Apache-2.0 */
/* Finding files and guests' folders in the configuration tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/config_tree.h"

#define FILE_ENTRY(path) \
	{ \
		{path, sizeof(path) - 1}, 1, false, NULL \
	}
#define FOLDER_ENTRY(path) \
	{ \
		{path, sizeof(path) - 1}, 0, true, NULL \
	}

static const struct config_entry entries[] = {
	FILE_ENTRY("bulkhead.conf"), FOLDER_ENTRY("web"),	 FILE_ENTRY("web/VMLINUZ"),
	FILE_ENTRY("web/sub/deep"),  FOLDER_ENTRY("web/folder"), FILE_ENTRY("mail/guest.conf"),
	FOLDER_ENTRY(".Trashes"),    FOLDER_ENTRY("Mail"),	 FILE_ENTRY("webber/vmlinuz"),
	FOLDER_ENTRY("empty"),
};
static const struct config_tree tree = {entries, ARRAY_SIZE(entries)};

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(config_find(&tree, span_of("WEB/vmlinuz")), 2);
	assert_int_equal(config_find(&tree, span_of("web/vmlinu")), CONFIG_NO_ENTRY);
	assert_int_equal(config_find(&tree, span_of("")), CONFIG_NO_ENTRY);
	assert_int_equal(config_find_in(&tree, span_of("web"), "vmlinuz"), 2);
	assert_int_equal(config_find_in(&tree, span_of("webber"), "vmlinuz"), 8);
	assert_int_equal(config_find_in(&tree, span_of("we"), "vmlinuz"), CONFIG_NO_ENTRY);
	assert_int_equal(config_find_in(&tree, span_of("web"), "sub/deep"), CONFIG_NO_ENTRY);
	assert_int_equal(config_find_in(&tree, span_of("web"), "folder"), CONFIG_NO_ENTRY);
	assert_int_equal(config_find_in(&tree, span_of("MAIL"), "guest.conf"), 5);
}

static void test_folders(void **state)
{
	static const char *const expected[] = {"web", "mail", "Mail", "webber", "empty"};
	unsigned cursor = 0;
	struct span name;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_true(config_next_folder(&tree, &cursor, &name));
		assert_true(span_eq(name, expected[i]));
	}
	assert_false(config_next_folder(&tree, &cursor, &name));
	assert_false(config_next_folder(&tree, &cursor, &name));
}

/* What several guests use lies in a folder that is no guest's. */
static void test_images_are_no_guest(void **state)
{
	static const struct config_entry entries_of[] = {
		{{"Images", 6}, 0, true, NULL},
		{{"Images/debian.img", 17}, 512, false, NULL},
		{{"images2", 7}, 0, true, NULL},
	};
	const struct config_tree with_images = {entries_of, ARRAY_SIZE(entries_of)};
	unsigned cursor = 0;
	struct span name;

	(void)state;
	assert_true(config_next_folder(&with_images, &cursor, &name));
	assert_true(span_eq(name, "images2"));
	assert_false(config_next_folder(&with_images, &cursor, &name));
	assert_int_equal(config_find(&with_images, span_of("images/debian.img")), 1);
}

static void test_other_spelling(void **state)
{
	struct span other;

	(void)state;
	assert_true(config_other_spelling(&tree, span_of("Mail"), &other));
	assert_true(span_eq(other, "mail"));
	/* Only the later one is the intruder. */
	assert_false(config_other_spelling(&tree, span_of("mail"), &other));
	assert_false(config_other_spelling(&tree, span_of("web"), &other));
}

static void test_empty_tree(void **state)
{
	const struct config_tree none = {NULL, 0};
	unsigned cursor = 0;
	struct span name;

	(void)state;
	assert_false(config_next_folder(&none, &cursor, &name));
	assert_int_equal(config_find(&none, span_of("x")), CONFIG_NO_ENTRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_images_are_no_guest),
		cmocka_unit_test(test_other_spelling),
		cmocka_unit_test(test_empty_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
