/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/test_device.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

static struct test_device t;
static uint8_t memory[TEST_DEVICE_MEMORY_SIZE];
static uint32_t lines;
static uint64_t flushed;

static void set_line(void *ctx, unsigned line, bool level)
{
	assert_ptr_equal(ctx, &t);
	assert_true(line < 24);
	lines = level ? lines | 1u << line : lines & ~(1u << line);
}

static void flush(void *ctx, uint64_t gpa)
{
	assert_ptr_equal(ctx, &t);
	flushed = gpa;
}

static int setup(void **state)
{
	struct test_device_config cfg = {
		.line = set_line, .flush = flush, .ctx = &t, .memory = memory};

	(void)state;
	memset(memory, 0, sizeof(memory));
	lines = 0;
	flushed = 0;
	test_device_init(&t, &cfg);
	return 0;
}

static uint64_t access_at(enum bus_space space, uint64_t base, uint64_t offset, unsigned size,
			  const uint64_t *write)
{
	struct vdev_access a = {
		.space = space, .addr = base + offset, .offset = offset, .size = size};

	if (write != NULL) {
		t.dev.ops->write(&t.dev, &a, *write);
		return 0;
	}
	return t.dev.ops->read(&t.dev, &a) & (size >= 8 ? ~0ull : (1ull << (size * 8)) - 1);
}

static void data_reads_back_in_any_width(void **state)
{
	(void)state;
	rig_write(&t.dev, BUS_PIO, 0xe0, 4, 0x44332211);
	assert_int_equal(rig_read(&t.dev, BUS_PIO, 0xe0, 4), 0x44332211);
	assert_int_equal(rig_in(&t.dev, 0xe1), 0x22);
	assert_int_equal(rig_read(&t.dev, BUS_PIO, 0xe2, 2), 0x4433);
	assert_int_equal(rig_read(&t.dev, BUS_PIO, 0xe8, 4), 0x44332211);
	rig_out(&t.dev, 0xeb, 0x99);
	assert_int_equal(rig_read(&t.dev, BUS_PIO, 0xe0, 4), 0x99332211);
	/* The flush register between them holds nothing. */
	rig_write(&t.dev, BUS_PIO, 0xe6, 2, 0xffff);
	assert_int_equal(rig_read(&t.dev, BUS_PIO, 0xe4, 4), 0);
	assert_int_equal(rig_read(&t.dev, BUS_PIO, 0xe0, 4), 0x99332211);
}

static void a_flush_tells_the_address(void **state)
{
	(void)state;
	rig_write(&t.dev, BUS_PIO, 0xe4, 4, 0xffffffff12345000);
	assert_int_equal(flushed, 0x12345000);
	t.cfg.flush = NULL;
	rig_write(&t.dev, BUS_PIO, 0xe4, 4, 0);
	assert_int_equal(flushed, 0x12345000);
}

static void ports_are_lines(void **state)
{
	uint64_t high = 0x100;
	uint64_t zero = 0;
	uint64_t one = 1;

	(void)state;
	(void)access_at(BUS_PIO, 0x2000, 0, 1, &one);
	(void)access_at(BUS_PIO, 0x2000, 23, 1, &one);
	assert_int_equal(lines, 1u << 23 | 1);
	assert_int_equal(access_at(BUS_PIO, 0x2000, 23, 1, NULL), 1);
	assert_int_equal(access_at(BUS_PIO, 0x2000, 22, 1, NULL), 0);
	/* Only what the width can hold counts. */
	(void)access_at(BUS_PIO, 0x2000, 5, 1, &high);
	assert_int_equal(lines, 1u << 23 | 1);
	(void)access_at(BUS_PIO, 0x2000, 5, 2, &high);
	assert_int_equal(lines, 1u << 23 | 1u << 5 | 1);
	(void)access_at(BUS_PIO, 0x2000, 0, 4, &zero);
	assert_int_equal(lines, 1u << 23 | 1u << 5);
	t.dev.ops->reset(&t.dev);
	assert_int_equal(lines, 0);
}

static void memory_holds_bytes(void **state)
{
	uint64_t value = 0x8877665544332211;

	(void)state;
	(void)access_at(BUS_MMIO, 0xff000000, 0xfff8, 8, &value);
	assert_int_equal(access_at(BUS_MMIO, 0xff000000, 0xfffb, 4, NULL), 0x77665544);
	(void)access_at(BUS_MMIO, 0xff000000, 3, 1, &value);
	assert_int_equal(access_at(BUS_MMIO, 0xff000000, 0, 8, NULL), 0x11000000);
	t.dev.ops->reset(&t.dev);
	assert_int_equal(access_at(BUS_MMIO, 0xff000000, 0xfff8, 8, NULL), 0);
}

static void all_of_it_is_saved(void **state)
{
	uint64_t one = 1;

	(void)state;
	rig_write(&t.dev, BUS_PIO, 0xe0, 4, 0x44332211);
	(void)access_at(BUS_PIO, 0x2000, 23, 1, &one);
	(void)access_at(BUS_MMIO, 0xff000000, 0xffff, 1, &one);
	saved_reload(&t.saved);
	assert_int_equal(lines, 1u << 23);
	assert_int_equal(rig_read(&t.dev, BUS_PIO, 0xe0, 4), 0x44332211);
	assert_int_equal(access_at(BUS_MMIO, 0xff000000, 0xffff, 1, NULL), 1);
	assert_false(SAVED_TAKES(&t.saved, struct test_device_saved, lines, 1u << 24));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(data_reads_back_in_any_width, setup),
		cmocka_unit_test_setup(a_flush_tells_the_address, setup),
		cmocka_unit_test_setup(ports_are_lines, setup),
		cmocka_unit_test_setup(memory_holds_bytes, setup),
		cmocka_unit_test_setup(all_of_it_is_saved, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
