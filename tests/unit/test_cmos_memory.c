/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/cmos_memory.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

static uint8_t ram[CMOS_BYTES];

static void fill(const struct cmos_disk *disks)
{
	struct cmos_rtc_config cfg = {.ram_below_4g = 64u << 20, .cpu_count = 1};
	unsigned sum = 0;

	memcpy(cfg.disks, disks, sizeof(cfg.disks));
	memset(ram, 0, sizeof(ram));
	ram[CMOS_SHUTDOWN] = 0x0a;
	cmos_memory_fill(ram, &cfg);
	assert_int_equal(ram[CMOS_SHUTDOWN], 0x0a);
	for (unsigned i = 0x10; i <= 0x2d; i++) {
		sum += ram[i];
	}
	assert_int_equal(ram[0x2e] << 8 | ram[0x2f], sum);
}

/* Without disks none of the bytes says anything. */
static void no_disks(void **state)
{
	const struct cmos_disk disks[CMOS_DISKS] = {{0}};

	(void)state;
	fill(disks);
	assert_int_equal(ram[0x12], 0);
	assert_int_equal(ram[0x19] | ram[0x1a] | ram[0x1b] | ram[0x24], 0);
	assert_int_equal(ram[0x39], 0);
}

/* The first two, in the bytes of type 47. */
static void disks_of_an_at(void **state)
{
	const struct cmos_disk disks[CMOS_DISKS] = {{0x3fff, 16, 63}, {615, 4, 17}};
	const uint8_t first[] = {0xff, 0x3f, 16, 0xff, 0xff, 0xc8, 0xff, 0x3f, 63};
	const uint8_t second[] = {0x67, 0x02, 4, 0xff, 0xff, 0xc0, 0x67, 0x02, 17};
	const struct cmos_disk only[CMOS_DISKS] = {[1] = {615, 4, 17}};

	(void)state;
	fill(disks);
	assert_int_equal(ram[0x12], 0xff);
	assert_int_equal(ram[0x19], 47);
	assert_int_equal(ram[0x1a], 47);
	assert_memory_equal(ram + 0x1b, first, sizeof(first));
	assert_memory_equal(ram + 0x24, second, sizeof(second));
	fill(only);
	assert_int_equal(ram[0x12], 0x0f);
	assert_int_equal(ram[0x19], 0);
	assert_int_equal(ram[0x1b], 0);
	assert_memory_equal(ram + 0x24, second, sizeof(second));
}

/* One that goes leaves nothing behind. */
static void a_disk_goes(void **state)
{
	struct cmos_rtc_config cfg = {.cpu_count = 1, .disks = {{615, 4, 17}, {615, 4, 17}}};

	(void)state;
	memset(ram, 0, sizeof(ram));
	cmos_memory_fill(ram, &cfg);
	cfg.disks[0] = cfg.disks[1] = (struct cmos_disk){0};
	cmos_memory_fill(ram, &cfg);
	for (unsigned i = 0x19; i < 0x2d; i++) {
		assert_int_equal(ram[i], 0);
	}
	assert_int_equal(ram[0x12], 0);
}

/* Two bits each: by LBA what has more than 1024 cylinders. */
static void translation(void **state)
{
	const struct cmos_disk disks[CMOS_DISKS] = {
		{1024, 16, 63}, {1025, 16, 63}, {0}, {0x3fff, 16, 63}};

	(void)state;
	fill(disks);
	assert_int_equal(ram[0x39], 1u << 2 | 1u << 6);
	assert_int_equal(ram[0x12], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_disks),
		cmocka_unit_test(disks_of_an_at),
		cmocka_unit_test(a_disk_goes),
		cmocka_unit_test(translation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
