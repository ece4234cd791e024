/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/vdev.h"
#include "hv/base/bits.h"

struct echo {
	struct vdev dev;
	struct vdev_access last;
	uint64_t written;
	unsigned calls;
};

static uint64_t echo_read(struct vdev *dev, const struct vdev_access *a)
{
	struct echo *e = container_of(dev, struct echo, dev);

	e->last = *a;
	e->calls++;
	return 0x1122334455667788ull;
}

static void echo_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	struct echo *e = container_of(dev, struct echo, dev);

	e->last = *a;
	e->calls++;
	e->written = value;
}

static const struct vdev_ops echo_ops = {.name = "echo", .read = echo_read, .write = echo_write};

static struct bus bus;
static struct echo a = {.dev = {.ops = &echo_ops}};
static struct echo b = {.dev = {.ops = &echo_ops}};

static void register_refuses_overlap(void **state)
{
	(void)state;
	bus_init(&bus, BUS_PIO);
	assert_int_equal(bus_register(&bus, 0x60, 1, &a.dev), HV_OK);
	assert_int_equal(bus_register(&bus, 0x64, 1, &a.dev), HV_OK);
	assert_int_equal(bus_register(&bus, 0x61, 3, &b.dev), HV_OK);
	assert_int_equal(bus_register(&bus, 0x60, 1, &b.dev), HV_E_EXISTS);
	assert_int_equal(bus_register(&bus, 0x5f, 2, &b.dev), HV_E_EXISTS);
	assert_int_equal(bus_register(&bus, 0x63, 8, &b.dev), HV_E_EXISTS);
	assert_int_equal(bus_register(&bus, 0x40, 0x100, &b.dev), HV_E_EXISTS);
	assert_int_equal(bus_register(&bus, 0xfff0, 0x11, &b.dev), HV_E_RANGE);
	assert_int_equal(bus_register(&bus, 0xfff0, 0x10, &b.dev), HV_OK);
	assert_int_equal(bus_register(&bus, 0x70, 0, &b.dev), HV_E_RANGE);
	bus_init(&bus, BUS_MMIO);
	assert_int_equal(bus_register(&bus, ~0xfffull, 0x2000, &b.dev), HV_E_RANGE);
	assert_int_equal(bus_register(&bus, 0, UINT64_MAX, &b.dev), HV_OK);
}

static void find_is_exact_and_sorted(void **state)
{
	(void)state;
	bus_init(&bus, BUS_MMIO);
	assert_null(bus_find(&bus, 0));
	for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
		/* In an order that inserts at the front, in the middle and at the end. */
		uint64_t base = 0x1000ull * (1 + (i * 29) % BUS_RANGES_MAX);

		assert_int_equal(bus_register(&bus, base, 0x800, &a.dev), HV_OK);
	}
	assert_int_equal(bus_register(&bus, 0x900000, 1, &a.dev), HV_E_RANGE);
	for (uint64_t i = 1; i <= BUS_RANGES_MAX; i++) {
		assert_null(bus_find(&bus, i * 0x1000 - 1));
		assert_int_equal(bus_find(&bus, i * 0x1000)->base, i * 0x1000);
		assert_int_equal(bus_find(&bus, i * 0x1000 + 0x7ff)->base, i * 0x1000);
		assert_null(bus_find(&bus, i * 0x1000 + 0x800));
	}
	assert_null(bus_find(&bus, UINT64_MAX));
}

static void accesses_reach_the_owner(void **state)
{
	uint64_t value = 0;

	(void)state;
	bus_init(&bus, BUS_PIO);
	assert_int_equal(bus_register(&bus, 0x3f8, 8, &a.dev), HV_OK);
	assert_int_equal(bus_register(&bus, 0x400, 4, &b.dev), HV_OK);
	assert_true(bus_read(&bus, 0x3fa, 2, 5, &value));
	assert_int_equal(value, 0x7788);
	assert_int_equal(a.last.offset, 2);
	assert_int_equal(a.last.addr, 0x3fa);
	assert_int_equal(a.last.size, 2);
	assert_int_equal(a.last.vcpu, 5);
	assert_int_equal(a.last.space, BUS_PIO);
	assert_true(bus_write(&bus, 0x403, 1, 0, 0xfff5));
	assert_int_equal(b.written, 0xf5);
	assert_int_equal(bus.unclaimed.total, 0);
}

static void unclaimed_reads_all_ones(void **state)
{
	uint64_t value = 0;
	unsigned calls = a.calls;

	(void)state;
	bus_init(&bus, BUS_MMIO);
	assert_int_equal(bus_register(&bus, 0x1000, 0x10, &a.dev), HV_OK);
	assert_false(bus_read(&bus, 0x2000, 1, 0, &value));
	assert_int_equal(value, 0xff);
	/* Crosses the end, and starts before the range. */
	assert_false(bus_read(&bus, 0x100d, 4, 0, &value));
	assert_int_equal(value, 0xffffffff);
	assert_false(bus_read(&bus, 0xffe, 8, 0, &value));
	assert_int_equal(value, UINT64_MAX);
	assert_false(bus_write(&bus, 0x100f, 2, 0, 0));
	assert_false(bus_write(&bus, UINT64_MAX, 8, 0, 0));
	assert_int_equal(bus.unclaimed.total, 5);
	assert_int_equal(a.calls, calls);
	assert_true(bus_read(&bus, 0x1008, 8, 0, &value));
	assert_int_equal(value, 0x1122334455667788ull);
}

static uint64_t nobody_read(struct vdev *dev, const struct vdev_access *at)
{
	(void)dev;
	*at->nobody = at->offset >= 8;
	return ~0ull;
}

static void nobody_write(struct vdev *dev, const struct vdev_access *at, uint64_t value)
{
	(void)value;
	(void)nobody_read(dev, at);
}

/* A range whose device stands for others, of whom none answers there. */
static void what_a_device_passes_on_may_find_nobody(void **state)
{
	static const struct vdev_ops ops = {
		.name = "window", .read = nobody_read, .write = nobody_write};
	struct vdev window = {.ops = &ops};
	uint64_t value = 0;

	(void)state;
	bus_init(&bus, BUS_MMIO);
	assert_int_equal(bus_register(&bus, 0x1000, 0x10, &window), HV_OK);
	assert_true(bus_read(&bus, 0x1000, 4, 0, &value));
	assert_true(bus_write(&bus, 0x1004, 4, 0, 0));
	assert_int_equal(bus.unclaimed.total, 0);
	assert_false(bus_read(&bus, 0x1008, 4, 0, &value));
	assert_int_equal(value, 0xffffffff);
	assert_false(bus_write(&bus, 0x1008, 4, 0, 0));
	assert_int_equal(bus.unclaimed.total, 2);
}

static void devices_tell_what_they_lack(void **state)
{
	static struct lacks lacks;
	struct echo on_bus = {.dev = {.ops = a.dev.ops}};

	(void)state;
	bus_init(&bus, BUS_MMIO);
	bus.lacks = &lacks;
	vdev_lacks(&on_bus.dev, LACKS_READ, 4); /* on no bus: nobody is told */
	assert_int_equal(bus_register(&bus, 0x1000, 0x10, &on_bus.dev), HV_OK);
	vdev_lacks(&on_bus.dev, LACKS_READ, 8);
	assert_int_equal(lacks.total, 1);
	assert_string_equal(lacks.list[0].device, a.dev.ops->name);
	assert_int_equal(lacks.list[0].what, 8);
}

static unsigned strings;

static void fast_read(struct vdev *dev, const struct vdev_access *at, void *data, unsigned count)
{
	(void)dev;
	assert_int_equal(at->offset, 1);
	memset(data, 0x5a, (size_t)at->size * count);
	strings++;
}

static void fast_write(struct vdev *dev, const struct vdev_access *at, const void *data,
		       unsigned count)
{
	(void)dev;
	assert_int_equal(at->size * count, 6);
	assert_memory_equal(data, "ZZZZZZ", 6);
	strings++;
}

/* In one call where the device can, else one by one. */
static void strings_of_accesses(void **state)
{
	static const struct vdev_ops fast_ops = {.name = "fast",
						 .read = echo_read,
						 .write = echo_write,
						 .read_string = fast_read,
						 .write_string = fast_write};
	struct echo fast = {.dev = {.ops = &fast_ops}};
	uint8_t data[6];

	(void)state;
	bus_init(&bus, BUS_PIO);
	a.calls = 0;
	assert_int_equal(bus_register(&bus, 0x10, 4, &a.dev), HV_OK);
	assert_int_equal(bus_register(&bus, 0x20, 4, &fast.dev), HV_OK);
	bus_read_string(&bus, 0x12, 2, 3, data, 3);
	assert_int_equal(a.calls, 3);
	assert_int_equal(a.last.vcpu, 3);
	assert_memory_equal(data, "\x88\x77\x88\x77\x88\x77", 6);
	bus_write_string(&bus, 0x12, 2, 0, "abcdef", 3);
	assert_int_equal(a.calls, 6);
	assert_int_equal(a.written, 0x6665);
	bus_read_string(&bus, 0x21, 2, 0, data, 3);
	bus_write_string(&bus, 0x21, 2, 0, data, 3);
	assert_int_equal(strings, 2);
	assert_int_equal(fast.calls, 0);
	/* Past the range's end, and where nobody is. */
	bus_read_string(&bus, 0x23, 2, 0, data, 3);
	bus_write_string(&bus, 0x30, 2, 0, data, 3);
	assert_int_equal(strings, 2);
	assert_int_equal(data[5], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(register_refuses_overlap),
		cmocka_unit_test(strings_of_accesses),
		cmocka_unit_test(find_is_exact_and_sorted),
		cmocka_unit_test(accesses_reach_the_owner),
		cmocka_unit_test(unclaimed_reads_all_ones),
		cmocka_unit_test(what_a_device_passes_on_may_find_nobody),
		cmocka_unit_test(devices_tell_what_they_lack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
