/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/dma8237.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_rig.h"

static struct dma8237 d;

static void out(uint16_t port, uint8_t value)
{
	rig_out(&d.dev, port, value);
}

static uint8_t in(uint16_t port)
{
	return rig_in(&d.dev, port);
}

static int setup(void **state)
{
	const struct dma8237_config cfg = {.vm = NULL};

	(void)state;
	memset(rig_ram, 0, sizeof(rig_ram));
	rig_reads = 0;
	rig_writes = 0;
	dma8237_init(&d, &cfg);
	out(0xde, 0x0e); /* as firmware does: the cascade is open */
	return 0;
}

static uint16_t in16(uint16_t port)
{
	uint8_t low = in(port);

	return (uint16_t)(low | in(port) << 8);
}

/* A channel as a driver sets it up: mode without the channel's number, first address, count. */
static void program(unsigned channel, uint8_t mode, uint32_t address, uint32_t bytes)
{
	static const uint8_t pages[] = {0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a};
	bool word = channel >= 4;
	uint16_t base = word ? 0xc0 : 0;
	unsigned step = word ? 2 : 1;
	uint32_t at = word ? address >> 1 : address;
	uint32_t count = (word ? bytes / 2 : bytes) - 1;
	uint16_t port = (uint16_t)(base + (channel % 4) * 2 * step);

	out((uint16_t)(base + 0xa * step), (uint8_t)(4 | channel % 4));
	out((uint16_t)(base + 0xc * step), 0);
	out((uint16_t)(base + 0xb * step), (uint8_t)(mode | channel % 4));
	out(port, (uint8_t)at);
	out(port, (uint8_t)(at >> 8));
	out((uint16_t)(port + step), (uint8_t)count);
	out((uint16_t)(port + step), (uint8_t)(count >> 8));
	out(pages[channel], (uint8_t)(address >> 16));
	out((uint16_t)(base + 0xa * step), (uint8_t)(channel % 4));
}

static uint32_t give(unsigned channel, const char *data, bool *terminal)
{
	char copy[64];

	memcpy(copy, data, strlen(data));
	return dma8237_transfer(&d, channel, true, copy, (uint32_t)strlen(data), terminal);
}

static void registers_are_bytes_behind_a_flip_flop(void **state)
{
	(void)state;
	out(0x0c, 0);
	out(0x04, 0x34);
	assert_int_equal(in(0x04), 0); /* the upper half now */
	out(0x04, 0xff);
	out(0x04, 0x12);
	out(0x0c, 0);
	assert_int_equal(in16(0x04), 0x12ff);
	out(0x15, 0x78); /* an alias of the count of channel 2 */
	out(0x15, 0x56);
	assert_int_equal(in16(0x05), 0x5678);
	/* The other controller has a flip-flop of its own, and two ports for a register. */
	out(0xc5, 0xcd);
	out(0xc4, 0xab);
	out(0x00, 1);
	assert_int_equal(in16(0xc5), 0xabcd);
	out(0x0d, 0);
	assert_int_equal(in(0x04), 0xff);
	assert_int_equal(rig_read(&d.dev, BUS_PIO, 0xc4, 2), 0xabcd);
}

static void pages_and_latches_hold_what_is_written(void **state)
{
	(void)state;
	for (uint16_t port = 0x81; port <= 0x8f; port++) {
		assert_int_equal(in(port), 0);
		out(port, (uint8_t)(port ^ 0x55));
	}
	for (uint16_t port = 0x81; port <= 0x8f; port++) {
		assert_int_equal(in(port), port ^ 0x55);
		if (port != 0x82) {
			assert_int_equal(in((uint16_t)(port + 0x10)), port ^ 0x55);
		}
	}
	d.dev.ops->reset(&d.dev);
	assert_int_equal(in(0x8f), 0);
}

static void masks_and_what_clears_them(void **state)
{
	(void)state;
	assert_int_equal(in(0x0f), 0x0f);
	out(0x0a, 2);
	assert_int_equal(in(0x0f), 0x0b);
	out(0x0a, 6);
	assert_int_equal(in(0x0f), 0x0f);
	out(0x0e, 0);
	assert_int_equal(in(0x0f), 0);
	out(0x0f, 0xf5);
	assert_int_equal(in(0x0f), 0x05);
	out(0x0d, 0);
	assert_int_equal(in(0x0f), 0x0f);
	assert_int_equal(in(0xde), 0x0e);
	out(0xda, 0);
	assert_int_equal(in(0xde), 0x0f);
	assert_int_equal(in(0x0d), 0);
	assert_int_equal(in(0x0b), 0xff);
}

static void bytes_go_to_memory_until_the_count(void **state)
{
	bool terminal;

	(void)state;
	program(2, 0x44, RIG_RAM_BASE + 0x1ffc, 8);
	assert_int_equal(give(2, "abcde", &terminal), 5);
	assert_false(terminal);
	assert_int_equal(in(0x08), 0);
	assert_int_equal(in16(0x04), 0x2001);
	assert_int_equal(in16(0x05), 2);
	assert_int_equal(give(2, "fghij", &terminal), 3);
	assert_true(terminal);
	assert_memory_equal(rig_at(RIG_RAM_BASE + 0x1ffc), "abcdefgh\0", 9);
	assert_int_equal(in(0x08), 0x04);
	assert_int_equal(in(0x08), 0); /* reading clears it */
	assert_int_equal(in(0x0f), 0x0f);
	assert_int_equal(in16(0x05), 0xffff);
	assert_int_equal(give(2, "x", &terminal), 0);
	assert_false(terminal);
}

static void autoinit_begins_again(void **state)
{
	bool terminal;

	(void)state;
	program(1, 0x54, RIG_RAM_BASE, 3);
	assert_int_equal(give(1, "abcd", &terminal), 3);
	assert_true(terminal);
	assert_int_equal(in(0x0f) & 2, 0);
	assert_int_equal(give(1, "xy", &terminal), 2);
	assert_memory_equal(rig_at(RIG_RAM_BASE), "xyc", 3);
	assert_int_equal(in16(0x02), 2);
}

static void words_have_a_page_of_128_kib(void **state)
{
	char data[8];
	bool terminal;

	(void)state;
	/* The lowest bit of the page register is not part of the address. */
	program(6, 0x48, RIG_RAM_BASE + 0x10002, 6);
	out(0x89, 0x11);
	memcpy(rig_at(RIG_RAM_BASE + 0x10002), "abcdef", 6);
	assert_int_equal(dma8237_transfer(&d, 6, false, data, 5, &terminal), 4);
	assert_memory_equal(data, "abcd", 4);
	assert_int_equal(dma8237_transfer(&d, 6, false, data, 8, &terminal), 2);
	assert_true(terminal);
	assert_memory_equal(data, "ef", 2);
	assert_int_equal(in(0xd0), 0x04);
}

static void addresses_wrap_in_their_page(void **state)
{
	bool terminal;

	(void)state;
	program(3, 0x44, RIG_RAM_BASE + 0xfffe, 4);
	assert_int_equal(give(3, "abcd", &terminal), 4);
	assert_memory_equal(rig_at(RIG_RAM_BASE + 0xfffe), "ab\0\0", 4);
	assert_memory_equal(rig_at(RIG_RAM_BASE), "cd", 2);
}

static void addresses_count_down_if_asked(void **state)
{
	char data[6];
	bool terminal;

	(void)state;
	program(0, 0x64, RIG_RAM_BASE + 0x1001, 4);
	assert_int_equal(give(0, "abcd", &terminal), 4);
	assert_memory_equal(rig_at(RIG_RAM_BASE + 0xffe), "dcba", 4);
	program(5, 0x68, RIG_RAM_BASE + 0x1000, 6);
	memcpy(rig_at(RIG_RAM_BASE + 0xffc), "efcdab", 6);
	assert_int_equal(dma8237_transfer(&d, 5, false, data, 6, &terminal), 6);
	assert_memory_equal(data, "abcdef", 6);
}

static void who_is_not_let_through_moves_nothing(void **state)
{
	bool terminal;

	(void)state;
	program(2, 0x44, RIG_RAM_BASE, 64);
	out(0x08, 0x04); /* disabled */
	assert_int_equal(give(2, "a", &terminal), 0);
	out(0x08, 0);
	out(0xd0, 0x04); /* and the one behind it */
	assert_int_equal(give(2, "a", &terminal), 0);
	out(0xd0, 0);
	out(0xd4, 0x04); /* the cascade is masked */
	assert_int_equal(give(2, "a", &terminal), 0);
	out(0xd4, 0);
	out(0x0b, 0x4a); /* for the other direction */
	assert_int_equal(give(2, "a", &terminal), 0);
	out(0x0b, 0xc6); /* a cascade */
	assert_int_equal(give(2, "a", &terminal), 0);
	assert_int_equal(give(4, "ab", &terminal), 0);
	assert_int_equal(in16(0x05), 63);
	out(0x0b, 0x46);
	assert_int_equal(give(2, "a", &terminal), 1);
}

static void what_is_no_ram_takes_nothing_and_reads_as_ones(void **state)
{
	char data[4];
	bool terminal;

	(void)state;
	program(2, 0x44, RIG_RAM_BASE - 2, 4);
	assert_int_equal(give(2, "abcd", &terminal), 4);
	assert_true(terminal);
	assert_int_equal(rig_get(RIG_RAM_BASE, 4), 0); /* it wrapped in its page before that */
	program(2, 0x48, RIG_RAM_BASE - 0x1000, 4);
	assert_int_equal(dma8237_transfer(&d, 2, false, data, 4, &terminal), 4);
	assert_memory_equal(data, "\xff\xff\xff\xff", 4);
}

static void verify_counts_only(void **state)
{
	char data[2];
	bool terminal;

	(void)state;
	program(2, 0x40, RIG_RAM_BASE, 4);
	assert_int_equal(give(2, "ab", &terminal), 2);
	assert_int_equal(dma8237_transfer(&d, 2, false, data, 2, &terminal), 2);
	assert_true(terminal);
	assert_memory_equal(data, "\xff\xff", 2);
	assert_int_equal(rig_reads + rig_writes, 0);
}

static void software_requests_run_whole_blocks(void **state)
{
	(void)state;
	program(1, 0x44, RIG_RAM_BASE, 0x300);
	out(0x09, 5); /* in single mode it waits */
	assert_int_equal(in(0x08), 0x20);
	out(0x0a, 5);
	out(0x0b, 0x85); /* and masks do not count */
	assert_int_equal(in(0x08), 0x02);
	assert_int_equal(rig_get(RIG_RAM_BASE + 0x2ff, 2), 0xff);
	program(3, 0x88, RIG_RAM_BASE, 0x300);
	out(0x09, 7);
	assert_int_equal(in(0x08), 0x08);
	assert_int_equal(rig_reads, 0);
	out(0x0b, 0x41);
	out(0x09, 5);
	out(0x09, 1); /* taken back */
	assert_int_equal(in(0x08), 0);
}

static void without_firmware_the_cascade_is_open(void **state)
{
	const struct dma8237_config cfg = {.cascade_open = true};

	(void)state;
	d.dev.ops->reset(&d.dev);
	assert_int_equal(in(0xde), 0x0f);
	dma8237_init(&d, &cfg);
	assert_int_equal(in(0xde), 0x0e);
	out(0xda, 0);
	assert_int_equal(in(0xde), 0x0f);
}

static void all_of_it_is_saved(void **state)
{
	bool terminal;

	(void)state;
	program(2, 0x54, RIG_RAM_BASE + 0x10, 8);
	assert_int_equal(give(2, "abc", &terminal), 3);
	program(6, 0x64, RIG_RAM_BASE + 0x20, 8);
	out(0x09, 4);
	out(0x04, 0);
	saved_reload(&d.saved);
	assert_true(d.controllers[0].high);
	out(0x0c, 0);
	assert_int_equal(in(0x08), 0x10);
	assert_int_equal(in16(0x05), 4);
	assert_int_equal(in(0x81), RIG_RAM_BASE >> 16);
}

static void what_cannot_be_is_refused(void **state)
{
	(void)state;
	assert_true(SAVED_TAKES(&d.saved, struct dma8237_saved, pages[15], 0xff));
	assert_true(SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[0].command, 0xff));
	assert_false(
		SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[1].channels[3].mode, 1));
	assert_false(
		SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[0].channels[0].zero[6], 1));
	assert_false(SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[0].terminal, 0x10));
	assert_false(SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[0].requests, 0x10));
	assert_false(SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[1].mask, 0x10));
	assert_false(SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[1].high, 2));
	assert_false(SAVED_TAKES(&d.saved, struct dma8237_saved, controllers[1].zero[0], 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_are_bytes_behind_a_flip_flop, setup),
		cmocka_unit_test_setup(pages_and_latches_hold_what_is_written, setup),
		cmocka_unit_test_setup(masks_and_what_clears_them, setup),
		cmocka_unit_test_setup(bytes_go_to_memory_until_the_count, setup),
		cmocka_unit_test_setup(autoinit_begins_again, setup),
		cmocka_unit_test_setup(words_have_a_page_of_128_kib, setup),
		cmocka_unit_test_setup(addresses_wrap_in_their_page, setup),
		cmocka_unit_test_setup(addresses_count_down_if_asked, setup),
		cmocka_unit_test_setup(who_is_not_let_through_moves_nothing, setup),
		cmocka_unit_test_setup(what_is_no_ram_takes_nothing_and_reads_as_ones, setup),
		cmocka_unit_test_setup(verify_counts_only, setup),
		cmocka_unit_test_setup(software_requests_run_whole_blocks, setup),
		cmocka_unit_test_setup(without_firmware_the_cascade_is_open, setup),
		cmocka_unit_test_setup(all_of_it_is_saved, setup),
		cmocka_unit_test_setup(what_cannot_be_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
