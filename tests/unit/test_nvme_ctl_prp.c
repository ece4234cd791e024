/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/nvme_ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/nvme_ctl_rig.h"

#define DNR(status) ((status) | NVME_SC_DNR)

static struct nvme_ctl_prps prps;

static int setup(void **state)
{
	(void)state;
	memset(rig_ram, 0, sizeof(rig_ram));
	memset(&prps, 0xff, sizeof(prps));
	return 0;
}

static uint16_t read_prps(uint64_t prp1, uint64_t prp2, uint32_t bytes)
{
	const struct nvme_command c = {.prp1 = prp1, .prp2 = prp2};

	return nvme_ctl_prps_read(NULL, &c, bytes, &prps);
}

static void test_without_list(void **state)
{
	(void)state;
	assert_int_equal(read_prps(0x1000, 0x777, 4096), 0);
	assert_int_equal(prps.first, 0);
	assert_int_equal(prps.pages[0], 0x1000);
	assert_int_equal(read_prps(0x1ffc, 0x777, 4), 0);
	assert_int_equal(prps.first, 0xffc);
	assert_int_equal(read_prps(0x1ffc, 0x8000, 8), 0);
	assert_int_equal(prps.pages[1], 0x8000);
	assert_int_equal(read_prps(0x1004, 0x8000, 4096), 0);
	assert_int_equal(prps.pages[1], 0x8000);
	/* Nothing needs no page. */
	assert_int_equal(read_prps(0x1000, DRIVER_LIST, 0), 0);
	assert_int_equal(rig_reads, 0);
}

static void test_offsets(void **state)
{
	(void)state;
	assert_int_equal(read_prps(0x1002, 0x8000, 512), DNR(NVME_SC_PRP_OFFSET));
	assert_int_equal(read_prps(0x1000, 0x8004, 8192), DNR(NVME_SC_PRP_OFFSET));
	assert_int_equal(read_prps(0x1000, DRIVER_LIST + 4, 12288), DNR(NVME_SC_PRP_OFFSET));
	rig_put(DRIVER_LIST, 0x5008, 8);
	assert_int_equal(read_prps(0x1000, DRIVER_LIST, 12288), DNR(NVME_SC_PRP_OFFSET));
	rig_put(DRIVER_LIST, 0x5000, 8);
	rig_put(DRIVER_LIST + 8, 0x6000, 8);
	assert_int_equal(read_prps(0x1000, DRIVER_LIST, 12288), 0);
	assert_int_equal(read_prps(0x1000, RIG_RAM_END, 12288), NVME_SC_DATA_TRANSFER);
	assert_int_equal(read_prps(0x1000, RIG_RAM_END - 8, 12288), NVME_SC_DATA_TRANSFER);
}

/* A list that begins anywhere in its page and goes on in others, each entry once. */
static void test_chained_lists(void **state)
{
	(void)state;
	for (uint32_t room = 1; room <= 5; room++) {
		uint64_t at = DRIVER_LIST + 4096 - 8 * room;
		uint64_t list = at;

		for (uint64_t i = 0; i < 128; i++) {
			if ((at & 4095) == 4088 && i != 127) {
				rig_put(at, DRIVER_DATA, 8);
				at = DRIVER_DATA;
			}
			rig_put(at, 0x100000 + i * 0x3000, 8);
			at += 8;
		}
		assert_int_equal(read_prps(0x1ff0, list, NVME_CTL_TRANSFER_MAX), 0);
		for (uint64_t i = 0; i < 128; i++) {
			assert_int_equal(prps.pages[1 + i], 0x100000 + i * 0x3000);
		}
	}
	/* The next list begins with its page, or at least with an entry. */
	rig_put(DRIVER_LIST + 4088, DRIVER_DATA + 4, 8);
	assert_int_equal(read_prps(0x1000, DRIVER_LIST + 4088, 12288), DNR(NVME_SC_PRP_OFFSET));
	rig_put(DRIVER_LIST + 4088, RIG_RAM_END, 8);
	assert_int_equal(read_prps(0x1000, DRIVER_LIST + 4088, 12288), NVME_SC_DATA_TRANSFER);
}

/* Every offset and length, against pages in the wrong order; neighbours take one access. */
static void test_copies(void **state)
{
	static const uint64_t pages[] = {DRIVER_DATA + 0x3000, DRIVER_DATA, DRIVER_DATA + 0x1000};
	uint8_t bytes[9000];
	uint8_t back[9000];

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	}
	prps.first = 100;
	memcpy(prps.pages, pages, sizeof(pages));
	assert_true(nvme_ctl_prps_put(NULL, &prps, 0, bytes, sizeof(bytes)));
	assert_memory_equal(rig_at(pages[0] + 100), bytes, 3996);
	assert_memory_equal(rig_at(pages[1]), bytes + 3996, 9000 - 3996);
	for (uint32_t offset = 0; offset < sizeof(bytes); offset += 333) {
		uint32_t n = (uint32_t)sizeof(bytes) - offset;

		memset(back, 0, sizeof(back));
		assert_true(nvme_ctl_prps_get(NULL, &prps, offset, back, n));
		assert_memory_equal(back, bytes + offset, n);
	}
	rig_writes = 0;
	assert_true(nvme_ctl_prps_put(NULL, &prps, 3996, bytes, 5004));
	assert_int_equal(rig_writes, 1);
	prps.pages[2] = RIG_RAM_END;
	assert_false(nvme_ctl_prps_put(NULL, &prps, 0, bytes, sizeof(bytes)));
	assert_false(nvme_ctl_prps_get(NULL, &prps, 8000, back, 512));
	assert_true(nvme_ctl_prps_get(NULL, &prps, 0, back, 3996 + 4096));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_without_list, setup),
		cmocka_unit_test_setup(test_offsets, setup),
		cmocka_unit_test_setup(test_chained_lists, setup),
		cmocka_unit_test_setup(test_copies, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
