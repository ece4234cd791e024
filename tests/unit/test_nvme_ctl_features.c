/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/nvme_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/nvme_ctl_rig.h"

#define DNR(status) ((status) | NVME_SC_DNR)
#define WARNING 343u /* Identify's WCTEMP, "Temperature Threshold": the default */

static int setup(void **state)
{
	(void)state;
	driver_start();
	return 0;
}

static uint16_t get(uint32_t id, uint32_t select, uint32_t dw11, uint32_t *result)
{
	return driver_do(0,
			 (struct nvme_command){.opcode = NVME_ADMIN_GET_FEATURES,
					       .dw10 = id | select << 8,
					       .dw11 = dw11},
			 result);
}

static uint16_t set(uint32_t id, uint32_t dw11, uint32_t *result)
{
	return driver_do(
		0,
		(struct nvme_command){.opcode = NVME_ADMIN_SET_FEATURES, .dw10 = id, .dw11 = dw11},
		result);
}

/* All that may be set reads as it was set, and as before after a reset. */
static void test_plain(void **state)
{
	const struct {
		uint32_t id;
		uint32_t initial;
		uint32_t written;
		uint32_t read;
	} cases[] = {
		{NVME_FEATURE_ARBITRATION, 0x7, 0x01020303, 0x01020303},
		{NVME_FEATURE_POWER, 0, 0x20, 0x20},
		{NVME_FEATURE_TEMPERATURE, WARNING, 0x150, 0x150},
		{NVME_FEATURE_ERROR_RECOVERY, 0, 0x00020005, 0x0005},
		{NVME_FEATURE_WRITE_CACHE, 1, 0, 0},
		{NVME_FEATURE_COALESCING, 0, 0x1234, 0x1234},
		{NVME_FEATURE_ATOMICITY, 0, 1, 1},
		{NVME_FEATURE_EVENTS, 0, 0x11f, 0x11f},
	};
	uint32_t v;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(get(cases[i].id, 0, 0, &v), 0);
		assert_int_equal(v, cases[i].initial);
		assert_int_equal(set(cases[i].id, cases[i].written, NULL), 0);
		assert_int_equal(get(cases[i].id, 0, 0, &v), 0);
		assert_int_equal(v, cases[i].read);
		for (uint32_t select = 1; select <= 2; select++) {
			assert_int_equal(get(cases[i].id, select, 0, &v), 0);
			assert_int_equal(v, cases[i].initial);
		}
		assert_int_equal(get(cases[i].id, 3, 0, &v), 0);
		assert_int_equal(v, 4);
		assert_int_equal(get(cases[i].id, 4, 0, &v), DNR(NVME_SC_BAD_FIELD));
	}
	assert_true(nvme.write_through);
	driver_write(NVME_CC, 4, 0);
	assert_false(nvme.write_through);
	driver_enable();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(get(cases[i].id, 0, 0, &v), 0);
		assert_int_equal(v, cases[i].initial);
	}
}

static void test_queues(void **state)
{
	uint32_t v;

	(void)state;
	assert_int_equal(set(NVME_FEATURE_QUEUES, 0, NULL), DNR(NVME_SC_SEQUENCE));
	assert_int_equal(get(NVME_FEATURE_QUEUES, 0, 0, &v), 0);
	assert_int_equal(v, 0x00010001);
	driver_write(NVME_CC, 4, 0);
	driver_enable();
	assert_int_equal(set(NVME_FEATURE_QUEUES, 0x003f003f, &v), 0);
	assert_int_equal(v, 0x00010001);
	assert_int_equal(set(NVME_FEATURE_QUEUES, 0xffff0000, NULL), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(set(NVME_FEATURE_QUEUES, 0x0000ffff, NULL), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(get(NVME_FEATURE_QUEUES, 1, 0, &v), 0);
	assert_int_equal(v, 0x00010001);
}

static void test_vectors(void **state)
{
	uint32_t v;

	(void)state;
	assert_int_equal(set(NVME_FEATURE_VECTOR, 0x10002, NULL), 0);
	assert_int_equal(get(NVME_FEATURE_VECTOR, 0, 2, &v), 0);
	assert_int_equal(v, 0x10002);
	assert_int_equal(get(NVME_FEATURE_VECTOR, 1, 2, &v), 0);
	assert_int_equal(v, 2);
	assert_int_equal(get(NVME_FEATURE_VECTOR, 0, 1, &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(set(NVME_FEATURE_VECTOR, 2, NULL), 0);
	assert_int_equal(get(NVME_FEATURE_VECTOR, 0, 2, &v), 0);
	assert_int_equal(v, 2);
	assert_int_equal(get(NVME_FEATURE_VECTOR, 0, 3, &v), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(set(NVME_FEATURE_VECTOR, 0xffff, NULL), DNR(NVME_SC_BAD_FIELD));
}

static void test_refused(void **state)
{
	static const uint32_t unknown[] = {0x00, 0x03, 0x0c, 0x0e, 0x80, 0xff};
	uint32_t v;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_int_equal(get(unknown[i], 0, 0, &v), DNR(NVME_SC_BAD_FIELD));
		assert_int_equal(set(unknown[i], 0, NULL), DNR(NVME_SC_BAD_FIELD));
	}
	assert_int_equal(set(NVME_FEATURE_POWER, 1, NULL), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(set(NVME_FEATURE_WRITE_CACHE | NVME_FEATURE_SAVE, 0, NULL),
			 DNR(NVME_SC_NOT_SAVEABLE));
	/* Sensors that are not there, and the threshold for cold. */
	assert_int_equal(set(NVME_FEATURE_TEMPERATURE, 0x10150, NULL), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(get(NVME_FEATURE_TEMPERATURE, 0, 0x10000, &v), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(set(NVME_FEATURE_TEMPERATURE, 0x100005, NULL), 0);
	for (uint32_t select = 0; select <= 2; select++) {
		assert_int_equal(get(NVME_FEATURE_TEMPERATURE, select, 0x100000, &v), 0);
		assert_int_equal(v, 0);
	}
	assert_int_equal(get(NVME_FEATURE_TEMPERATURE, 0, 0, &v), 0);
	assert_int_equal(v, WARNING);
}

static void test_what_is_not_there_is_told(void **state)
{
	uint32_t v;

	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	(void)get(0x7f, 0, 0, &v);
	(void)set(0x7f, 0, &v);
	assert_int_equal(lacks_told("nvme", LACKS_FEATURE, 0x7f), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_plain, setup),
		cmocka_unit_test_setup(test_queues, setup),
		cmocka_unit_test_setup(test_vectors, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
