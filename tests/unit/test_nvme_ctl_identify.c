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

static uint16_t identify(uint32_t what, uint32_t nsid)
{
	memset(rig_at(DRIVER_PAGE), 0xee, 4096);
	return driver_admin((struct nvme_command){
		.opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .prp1 = DRIVER_PAGE, .dw10 = what});
}

static uint64_t field(unsigned offset, unsigned size)
{
	return rig_get(DRIVER_PAGE + offset, size);
}

static void test_controller(void **state)
{
	(void)state;
	assert_int_equal(identify(NVME_IDENTIFY_CONTROLLER, 0), 0);
	assert_memory_equal(rig_at(DRIVER_PAGE + NVME_IDC_SN), "RIG-0123456789      ", 20);
	assert_memory_equal(rig_at(DRIVER_PAGE + NVME_IDC_MN), "Bulkhead NVMe     ", 18);
	assert_int_equal(field(NVME_IDC_MDTS, 1), 7);
	assert_int_equal(field(NVME_IDC_VER, 4), driver_read(NVME_VS, 4));
	assert_int_equal(field(NVME_IDC_SQES, 2), 0x4466);
	assert_int_equal(field(NVME_IDC_NN, 4), 1);
	assert_int_equal(field(NVME_IDC_OACS, 2), 0x100);
	assert_int_equal(field(NVME_IDC_ONCS, 2), 0x1d);
	assert_int_equal(field(NVME_IDC_WCTEMP, 2), 343);
	assert_int_equal(field(4095, 1), 0);
	assert_memory_equal(rig_at(DRIVER_PAGE + NVME_IDC_SUBNQN), "nqn.", 4);
	assert_int_equal(field(NVME_IDC_SUBNQN + 255, 1), 0);
	/* Two disks are two subsystems. */
	assert_non_null(strstr(rig_at(DRIVER_PAGE + NVME_IDC_SUBNQN), "RIG-0123456789"));
	rig_disk.readonly = true;
	assert_int_equal(identify(NVME_IDENTIFY_CONTROLLER, 0), 0);
	assert_int_equal(field(NVME_IDC_ONCS, 2), 0x11);
}

static void test_namespace(void **state)
{
	(void)state;
	assert_int_equal(identify(NVME_IDENTIFY_NAMESPACE, 1), 0);
	assert_int_equal(field(NVME_IDN_NSZE, 8), RIG_DISK_SECTORS);
	assert_int_equal(field(NVME_IDN_NCAP, 8), RIG_DISK_SECTORS);
	assert_int_equal(field(NVME_IDN_NLBAF, 2), 0);
	assert_int_equal(field(NVME_IDN_LBAF, 4), 9u << 16);
	assert_int_equal(field(NVME_IDN_NPWG, 2), 7);
	assert_int_equal(field(NVME_IDN_NSATTR, 1), 0);
	rig_disk.readonly = true;
	rig_disk.block_size = 4096;
	assert_int_equal(identify(NVME_IDENTIFY_NAMESPACE, 1), 0);
	assert_int_equal(field(NVME_IDN_NSZE, 8), RIG_DISK_SECTORS / 8);
	assert_int_equal(field(NVME_IDN_LBAF, 4), 12u << 16);
	assert_int_equal(field(NVME_IDN_NPWG, 2), 0);
	assert_int_equal(field(NVME_IDN_NSATTR, 1), 1);
}

/* The same identifier in both places, another one for another serial number. */
static void test_identifier(void **state)
{
	uint64_t first[2];

	(void)state;
	assert_int_equal(identify(NVME_IDENTIFY_DESCRIPTORS, 1), 0);
	assert_int_equal(field(0, 4), 0x1002);
	assert_int_equal(field(20, 4), 0);
	memcpy(first, rig_at(DRIVER_PAGE + 4), 16);
	assert_true(first[0] != 0 && first[1] != 0 && first[0] != first[1]);
	assert_int_equal(identify(NVME_IDENTIFY_NAMESPACE, 1), 0);
	assert_memory_equal(rig_at(DRIVER_PAGE + NVME_IDN_NGUID), first, 16);
	rig_disk.serial[0]++;
	assert_int_equal(identify(NVME_IDENTIFY_DESCRIPTORS, 1), 0);
	assert_memory_not_equal(rig_at(DRIVER_PAGE + 4), first, 16);
}

static void test_lists(void **state)
{
	(void)state;
	assert_int_equal(identify(NVME_IDENTIFY_ACTIVE, 0), 0);
	assert_int_equal(field(0, 8), 1);
	assert_int_equal(identify(NVME_IDENTIFY_ACTIVE, 1), 0);
	assert_int_equal(field(0, 8), 0);
	assert_int_equal(identify(NVME_IDENTIFY_ACTIVE, 0xfffffffd), 0);
	assert_int_equal(identify(NVME_IDENTIFY_ACTIVE, 0xfffffffe), DNR(NVME_SC_BAD_NAMESPACE));
	assert_int_equal(identify(NVME_IDENTIFY_COMMAND_SET, 0), 0);
	assert_int_equal(field(0, 8), 0);
}

static void test_refused(void **state)
{
	static const uint32_t wrong[] = {0, 2, NVME_NSID_ALL};
	static const uint32_t unknown[] = {4, 5, 7, 8, 0x10, 0x11, 0x13, 0x1c, 0xff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(identify(NVME_IDENTIFY_NAMESPACE, wrong[i]),
				 DNR(NVME_SC_BAD_NAMESPACE));
		assert_int_equal(identify(NVME_IDENTIFY_DESCRIPTORS, wrong[i]),
				 DNR(NVME_SC_BAD_NAMESPACE));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_int_equal(identify(unknown[i], 1), DNR(NVME_SC_BAD_FIELD));
	}
	assert_int_equal(field(0, 8), 0xeeeeeeeeeeeeeeee);
	assert_int_equal(driver_admin((struct nvme_command){
				 .opcode = NVME_ADMIN_IDENTIFY, .prp1 = RIG_RAM_END, .dw10 = 1}),
			 DNR(NVME_SC_DATA_TRANSFER));
	assert_int_equal(driver_admin((struct nvme_command){.opcode = NVME_ADMIN_IDENTIFY,
							    .prp1 = DRIVER_PAGE,
							    .dw10 = NVME_IDENTIFY_COMMAND_SET,
							    .dw11 = 2u << 24}),
			 DNR(NVME_SC_BAD_FIELD));
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	(void)identify(0x7f, 1);
	assert_int_equal(lacks_told("nvme", LACKS_IDENTIFY, 0x7f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_controller, setup),
		cmocka_unit_test_setup(test_namespace, setup),
		cmocka_unit_test_setup(test_identifier, setup),
		cmocka_unit_test_setup(test_lists, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
