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

static int setup(void **state)
{
	(void)state;
	driver_start();
	return 0;
}

static uint16_t get_log(uint32_t id, uint32_t dwords, uint32_t offset)
{
	return driver_admin((struct nvme_command){.opcode = NVME_ADMIN_GET_LOG,
						  .nsid = NVME_NSID_ALL,
						  .prp1 = DRIVER_PAGE,
						  .prp2 = DRIVER_LIST,
						  .dw10 = id | (dwords - 1) << 16,
						  .dw11 = (dwords - 1) >> 16,
						  .dw12 = offset});
}

/* The newest first; what is older than the log is lost. */
static void test_errors(void **state)
{
	(void)state;
	assert_int_equal(get_log(NVME_LOG_ERRORS, 16, 0), 0);
	assert_int_equal(rig_get(DRIVER_PAGE, 8), 0);
	for (unsigned i = 0; i < NVME_CTL_ERRORS + 3; i++) {
		assert_int_equal(
			driver_do(1, driver_transfer(NVME_READ, RIG_DISK_SECTORS + i, 1), NULL),
			DNR(NVME_SC_LBA_RANGE));
	}
	memset(rig_at(DRIVER_PAGE), 0xee, 4096);
	assert_int_equal(get_log(NVME_LOG_ERRORS, 512, 0), 0);
	for (unsigned i = 0; i < NVME_CTL_ERRORS; i++) {
		uint64_t at = DRIVER_PAGE + 64 * i;

		assert_int_equal(rig_get(at, 8), NVME_CTL_ERRORS + 3 - i);
		assert_int_equal(rig_get(at + 8, 2), 1);
		assert_int_equal(rig_get(at + 12, 2), DNR(NVME_SC_LBA_RANGE) << 1);
		assert_int_equal(rig_get(at + 16, 8), RIG_DISK_SECTORS + NVME_CTL_ERRORS + 2 - i);
		assert_int_equal(rig_get(at + 24, 4), 1);
	}
	assert_int_equal(rig_get(DRIVER_PAGE + 1024, 8), 0xeeeeeeeeeeeeeeee);
	/* From the second entry on. */
	assert_int_equal(get_log(NVME_LOG_ERRORS, 2, 64), 0);
	assert_int_equal(rig_get(DRIVER_PAGE, 8), NVME_CTL_ERRORS + 2);
}

static void test_health(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		(void)driver_do(1, driver_transfer(NVME_READ, 0, 512), NULL);
	}
	(void)driver_do(1, driver_transfer(NVME_WRITE, 0, 1), NULL);
	rig_disk.removed = true;
	(void)driver_do(1, driver_transfer(NVME_WRITE, 0, 1), NULL);
	assert_int_equal(get_log(NVME_LOG_HEALTH, 128, 0), 0);
	assert_int_equal(rig_get(DRIVER_PAGE, 1), 0);
	assert_int_equal(rig_get(DRIVER_PAGE + NVME_HEALTH_TEMPERATURE, 2), 300);
	assert_int_equal(rig_get(DRIVER_PAGE + NVME_HEALTH_SPARE, 1), 100);
	assert_int_equal(rig_get(DRIVER_PAGE + NVME_HEALTH_UNITS_READ, 8), 2);
	assert_int_equal(rig_get(DRIVER_PAGE + NVME_HEALTH_UNITS_WRITTEN, 8), 1);
	assert_int_equal(rig_get(DRIVER_PAGE + NVME_HEALTH_READS, 8), 2);
	assert_int_equal(rig_get(DRIVER_PAGE + NVME_HEALTH_MEDIA_ERRORS, 8), 1);
	assert_int_equal(rig_get(DRIVER_PAGE + NVME_HEALTH_ERROR_ENTRIES, 8), 1);
}

static void test_firmware(void **state)
{
	(void)state;
	assert_int_equal(get_log(NVME_LOG_FIRMWARE, 128, 0), 0);
	assert_int_equal(rig_get(DRIVER_PAGE, 1), 1);
	assert_memory_equal(rig_at(DRIVER_PAGE + 8), "1.0     ", 8);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(get_log(0, 1, 0), DNR(NVME_SC_LOG_PAGE));
	assert_int_equal(get_log(5, 1, 0), DNR(NVME_SC_LOG_PAGE));
	assert_int_equal(get_log(0x80, 1, 0), DNR(NVME_SC_LOG_PAGE));
	assert_int_equal(get_log(NVME_LOG_HEALTH, 1, 516), DNR(NVME_SC_BAD_FIELD));
	/* Not even one byte is left there, and so nothing says where it would go. */
	assert_int_equal(get_log(NVME_LOG_HEALTH, 1, 512), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(get_log(NVME_LOG_HEALTH, 1, 2), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(get_log(NVME_LOG_HEALTH, 0x20001, 0), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(get_log(NVME_LOG_HEALTH, 0, 0), DNR(NVME_SC_BAD_FIELD));
	assert_int_equal(get_log(NVME_LOG_HEALTH, 0x20000, 0), 0);
}

static void hold(void)
{
	driver_put(0, (struct nvme_command){.opcode = NVME_ADMIN_ASYNC_EVENT});
	driver_ring(0);
}

/* Told once, then not before the log is read; events wait for requests, requests for events. */
static void test_events(void **state)
{
	struct driver_answer a;

	(void)state;
	nvme_ctl_event(&nvme, NVME_EVENT_BAD_DOORBELL);
	driver_work();
	assert_false(driver_peek(0, &a));
	for (unsigned i = 0; i < NVME_CTL_HELD_EVENTS; i++) {
		hold();
	}
	assert_true(driver_take(0, &a));
	assert_int_equal(a.result, 0x00010100);
	assert_int_equal(a.status, 0);
	nvme_ctl_event(&nvme, NVME_EVENT_NO_DOORBELL);
	driver_work();
	assert_false(driver_peek(0, &a));
	assert_int_equal(get_log(NVME_LOG_ERRORS | NVME_LOG_RETAIN, 16, 0), 0);
	assert_false(driver_peek(0, &a));
	assert_int_equal(get_log(NVME_LOG_HEALTH, 16, 0), 0);
	assert_false(driver_peek(0, &a));
	assert_int_equal(get_log(NVME_LOG_ERRORS, 16, 0), 0);
	assert_true(driver_take(0, &a));
	assert_int_equal(a.result, 0x00010000);
	assert_false(driver_peek(0, &a));
	/* More than are held are refused; a reset forgets them all. */
	hold();
	hold();
	assert_false(driver_peek(0, &a));
	assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_ASYNC_EVENT}),
			 DNR(NVME_SC_TOO_MANY_EVENTS));
	driver_all_free();
	driver_write(NVME_CC, 4, 0);
	driver_enable();
	nvme_ctl_event(&nvme, NVME_EVENT_BAD_DOORBELL);
	driver_work();
	assert_false(driver_peek(0, &a));
	hold();
	assert_true(driver_take(0, &a));
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	(void)get_log(0x7f, 16, 0);
	assert_int_equal(lacks_told("nvme", LACKS_LOG, 0x7f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_errors, setup),
		cmocka_unit_test_setup(test_health, setup),
		cmocka_unit_test_setup(test_firmware, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_events, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
