/* SPDX-License-Identifier: Apache-2.0 */
/* The field list, and access to fields of the current VMCS. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>

#include "hv/base/log.h"
#include "hv/base/ring.h"
#include "tests/fakes/check.h"
#include "tests/fakes/vmx_rig.h"

static int start(void **state)
{
	(void)state;
	(void)rig_start(&vmx_bochs);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

/* SDM "Structure of VMCS Component Encoding". */
static void encodings_say_what_the_names_say(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
		uint32_t e = vmcs_fields[i].encoding;
		const char *name = vmcs_fields[i].name;

		assert_int_equal(e & 1, 0);
		assert_int_equal(e >> 12 & 1, 0);
		assert_int_equal(e >> 15, 0);
		assert_int_equal(fake_vmcs_find(e), i);
		if (strncmp(name, "HOST_", 5) == 0) {
			assert_int_equal(vmcs_class_of(e), VMCS_CLASS_HOST);
		} else if (strncmp(name, "EXIT_INSN", 9) == 0 || strncmp(name, "VECTOR", 6) == 0) {
			assert_int_equal(vmcs_class_of(e), VMCS_CLASS_READ_ONLY);
		}
		if (strstr(name, "_SELECTOR") != NULL) {
			assert_int_equal(fake_vmcs_width(e), FAKE_VMCS_WIDTH_16);
		} else if (strstr(name, "_LIMIT") != NULL || strstr(name, "_RIGHTS") != NULL) {
			assert_int_equal(fake_vmcs_width(e), FAKE_VMCS_WIDTH_32);
		} else if (strstr(name, "_BASE") != NULL) {
			assert_int_equal(fake_vmcs_width(e), FAKE_VMCS_WIDTH_NATURAL);
		}
	}
	assert_int_equal(fake_vmcs_find(0x7ffe), VMCS_FIELD_COUNT);
	/* A few by the manual's table. */
	assert_int_equal(VMCS_GUEST_RIP, 0x681e);
	assert_int_equal(VMCS_HOST_RSP, 0x6c14);
	assert_int_equal(VMCS_EXIT_REASON, 0x4402);
	assert_int_equal(VMCS_EPTP, 0x201a);
}

static void reads_what_was_written(void **state)
{
	(void)state;
	vmcs_write(VMCS_GUEST_CR3, 0x12345000);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR3), 0x12345000);
	vmcs_write(VMCS_GUEST_CS_SELECTOR, 0x12340008);
	assert_int_equal(vmcs_read(VMCS_GUEST_CS_SELECTOR), 8);
}

static void what_cannot_be_accessed_is_our_own_mistake(void **state)
{
	(void)state;
	EXPECT_CHECK(vmcs_write(VMCS_EXIT_REASON, 1));
	fake_vmx.missing = VMCS_GUEST_PDPTE0;
	EXPECT_CHECK((void)vmcs_read(VMCS_GUEST_PDPTE0));
	fake_vmx.missing = 0;
}

static void a_snapshot_bears_missing_fields(void **state)
{
	struct vmcs_image image;

	(void)state;
	vmcs_write(VMCS_GUEST_RIP, 0x1234);
	vmcs_write(VMCS_PLE_GAP, 77);
	fake_vmx.missing = VMCS_PLE_GAP;
	vmcs_snapshot(&image);
	fake_vmx.missing = 0;
	assert_int_equal(image.value[VMCS_AT_GUEST_RIP], 0x1234);
	assert_int_equal(image.value[VMCS_AT_PLE_GAP], 0);
	assert_int_equal(image.value[VMCS_AT_GUEST_LINK], VMX_NO_LINK);
}

static const char *log_since(uint64_t from)
{
	static char buf[32768 + 1];
	size_t n = ring_read(log_ring(), &from, buf, sizeof(buf) - 1);

	buf[n] = '\0';
	return buf;
}

static void a_dump_names_what_is_not_zero(void **state)
{
	static struct vmcs_image image;
	uint64_t from = log_ring()->end;
	const char *text;

	(void)state;
	memset(&image, 0, sizeof(image));
	image.value[VMCS_AT_GUEST_CR0] = 0x80000031;
	image.value[VMCS_AT_HOST_CR0] = 0x80050033;
	image.value[VMCS_AT_EPTP] = 0x10005e;
	vmcs_dump(&image, VMCS_CLASS_GUEST);
	text = log_since(from);
	assert_non_null(strstr(text, "GUEST_CR0 0x80000031"));
	assert_null(strstr(text, "HOST_CR0"));
	assert_null(strstr(text, "GUEST_CR3"));
	/* All fields at once: no line is cut, none is missing. */
	for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
		image.value[i] = ~0ull;
	}
	from = log_ring()->end;
	vmcs_dump(&image, VMCS_CLASS_CONTROL);
	vmcs_dump(&image, VMCS_CLASS_READ_ONLY);
	vmcs_dump(&image, VMCS_CLASS_GUEST);
	vmcs_dump(&image, VMCS_CLASS_HOST);
	text = log_since(from);
	assert_null(strstr(text, "..."));
	for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
		char item[64];

		snprintf(item, sizeof(item), " %s 0xffffffffffffffff", vmcs_fields[i].name);
		assert_non_null(strstr(text, item));
	}
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings_say_what_the_names_say),
		WITH(reads_what_was_written),
		WITH(what_cannot_be_accessed_is_our_own_mistake),
		WITH(a_snapshot_bears_missing_fields),
		cmocka_unit_test(a_dump_names_what_is_not_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
