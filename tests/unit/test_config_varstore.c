/* SPDX-License-Identifier: Apache-2.0 */
/* The key `varstore`: what is taken, and each mistake with the text that names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/config.h"

static const struct config_entry entries[] = {
	{{"web", 3}, 0, true, NULL},
	{{"web/vmlinuz", 11}, 100, false, NULL},
	{{"web/vars.fd", 11}, 540672, false, NULL},
	{{"web/odd.fd", 10}, 540671, false, NULL},
	{{"web/large.fd", 12}, 1048576, false, NULL},
	{{"firmware", 8}, 0, true, NULL},
	{{"firmware/vars.fd", 16}, 131072, false, NULL},
};
static const struct config_tree tree = {entries, ARRAY_SIZE(entries)};
static char reports[4096];
static struct guest_config guest;

static void collect(void *ctx, const struct config_error *error)
{
	size_t at = strlen(reports);

	(void)ctx;
	config_error_format(error, reports + at, sizeof(reports) - at - 1);
	strcat(reports, "\n");
}

static enum hv_status load(const char *value)
{
	static const struct config_reporter reporter = {collect, NULL};
	char text[300];

	fmt_snprintf(text, sizeof(text), "varstore = %s", value);
	reports[0] = '\0';
	return config_load_guest(&tree, span_of("web"), span_of(text), &reporter, &guest);
}

static const struct config_varstore *taken(const char *value)
{
	if (load(value) != HV_OK) {
		fail_msg("%s: %s", value, reports);
	}
	return &guest.varstore;
}

/* `exactly` stands behind file, line and key. */
static void refused(const char *value, const char *exactly)
{
	char expected[600];

	fmt_snprintf(expected, sizeof(expected), "web/guest.conf:1: varstore: %s\n", exactly);
	assert_int_equal(load(value), HV_E_INVALID);
	assert_string_equal(reports, expected);
}

static void places(void **state)
{
	const struct config_varstore *v = taken("memory");

	(void)state;
	assert_false(v->partition);
	assert_false(v->own_template);
	v = taken("partition: web vars ");
	assert_true(v->partition);
	assert_string_equal(v->name, "web vars");
	v = taken("partition:01234567-89ab-cdef-0123-456789abcdef, template = vars.fd");
	assert_true(v->partition);
	assert_string_equal(v->name, "01234567-89ab-cdef-0123-456789abcdef");
	assert_true(v->own_template);
	assert_int_equal(v->template, 2);
	v = taken("memory,template=/firmware/VARS.FD");
	assert_false(v->partition);
	assert_int_equal(v->template, 6);
}

static void mistakes(void **state)
{
	char text[200] = "partition:";

	(void)state;
	refused("disk", "found \"disk\"; allowed: memory, partition:LABEL, partition:UUID");
	refused("partition:", "the name has 0 bytes; allowed: 1 to 108");
	memset(text + 10, 'x', 109);
	refused(text, "the name has 109 bytes; allowed: 1 to 108");
	refused("memory, template", "found \"template\"; allowed: template=FILE");
	refused("memory, overlay", "found \"overlay\"; allowed: template=FILE");
	refused("memory, template=vars.fd, template=vars.fd", "template is given twice");
	refused("memory, template=odd.fd",
		"the template has 540671 bytes; allowed: 4K to 1020K in whole 4K");
	refused("memory, template=large.fd",
		"the template has 1048576 bytes; allowed: 4K to 1020K in whole 4K");
	refused("memory, template=none.fd", "there is no file \"web/none.fd\" below \\bulkhead");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
