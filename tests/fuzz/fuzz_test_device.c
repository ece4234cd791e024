/* SPDX-License-Identifier: Apache-2.0 */
/* The devices for test programs on the buses they stand on, against a plain model of each. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "guests/devices/debug_exit.h"
#include "guests/devices/test_device.h"
#include "hv/base/bits.h"
#include "tests/fuzz/device_input.h"

static struct test_device test;
static struct debug_exit debug;
static uint8_t memory[TEST_DEVICE_MEMORY_SIZE];
static uint8_t model[TEST_DEVICE_MEMORY_SIZE];
static uint32_t lines;
static unsigned ends;

static void set_line(void *ctx, unsigned line, bool level)
{
	(void)ctx;
	assert(line < TEST_DEVICE_LINES);
	lines = level ? lines | BIT32(line) : lines & ~BIT32(line);
}

static void end(void *ctx, uint32_t status)
{
	(void)ctx;
	(void)status;
	ends++;
}

static void port_step(struct input *in, struct bus *pio)
{
	static const uint16_t bases[] = {0xdc, 0xe0,   0xe4,   0xe8,  0xf0,
					 0xf4, 0x1ffc, 0x2000, 0x2014};
	uint8_t op = (uint8_t)take(in, 1);
	uint64_t port = bases[(op >> 4) % ARRAY_SIZE(bases)] + (op & 7u);
	unsigned size = take_size(in);
	uint64_t value;
	unsigned before = ends;

	if ((op & 8) != 0) {
		bool claimed = bus_write(pio, port, size, 0, take(in, size));
		bool exits = port >= 0xf4 && port + size <= 0xf8;

		assert(ends == before + (exits ? 1 : 0));
		assert(claimed || !exits);
	} else {
		(void)bus_read(pio, port, size, 0, &value);
		assert(ends == before);
	}
}

static void memory_step(struct input *in, struct bus *mmio)
{
	uint8_t op = (uint8_t)take(in, 1);
	uint64_t offset = take(in, 2);
	unsigned size = 1u << (op & 3);
	bool fits = offset + size <= sizeof(model);
	uint64_t value = take(in, size);
	uint64_t expected = 0;

	if ((op & 4) != 0) {
		assert(bus_write(mmio, TEST_DEVICE_MEMORY_BASE + offset, size, 0, value) == fits);
		if (fits) {
			memcpy(model + offset, &value, size);
		}
	} else if (bus_read(mmio, TEST_DEVICE_MEMORY_BASE + offset, size, 0, &value)) {
		memcpy(&expected, model + offset, size);
		assert(fits && value == expected);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct test_device_config cfg = {.line = set_line, .memory = memory};
	struct debug_exit_config exit_cfg = {.end = end};
	struct bus pio;
	struct bus mmio;

	memset(memory, 0, sizeof(memory));
	memset(model, 0, sizeof(model));
	lines = 0;
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	test_device_init(&test, &cfg);
	debug_exit_init(&debug, &exit_cfg);
	assert(bus_register(&pio, TEST_DEVICE_PORT, TEST_DEVICE_PORTS, &test.dev) == HV_OK);
	assert(bus_register(&pio, TEST_DEVICE_LINES_PORT, TEST_DEVICE_LINES, &test.dev) == HV_OK);
	assert(bus_register(&mmio, TEST_DEVICE_MEMORY_BASE, TEST_DEVICE_MEMORY_SIZE, &test.dev) ==
	       HV_OK);
	assert(bus_register(&pio, DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, &debug.dev) == HV_OK);
	while (in.n != 0) {
		if ((take(&in, 1) & 1) != 0) {
			port_step(&in, &pio);
		} else {
			memory_step(&in, &mmio);
		}
		assert(lines == test.lines);
	}
	test.dev.ops->reset(&test.dev);
	assert(lines == 0);
	return 0;
}
