/* SPDX-License-Identifier: Apache-2.0 */
/* A board with what it calls of the hypervisor, for the tests of its files. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "guests/board.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/fakes/device_rig.h"

#define HZ 2400000000ull
#define CPUS 2u

static struct device_rig rig;
static uint64_t hz = HZ;
static struct bus pio;
static struct bus mmio;
static struct saved_set saved;
static struct board *board;

static struct {
	unsigned kicks[CPUS], nmis[CPUS], inits[CPUS];
	unsigned startups, startup_vcpu, startup_vector;
	unsigned suspends, wakes;
	bool suspended;
	unsigned power_offs, resets, rooms, debug_exits;
	uint32_t status;
	const char *how;
	char output[128];
	size_t output_len;
} seen;

static inline void kick(void *ctx, unsigned vcpu)
{
	assert_ptr_equal(ctx, &seen);
	seen.kicks[vcpu]++;
}

static inline void nmi(void *ctx, unsigned vcpu)
{
	(void)ctx;
	seen.nmis[vcpu]++;
}

static inline void init(void *ctx, unsigned vcpu)
{
	(void)ctx;
	seen.inits[vcpu]++;
}

static inline void startup(void *ctx, unsigned vcpu, uint8_t vector)
{
	(void)ctx;
	seen.startups++;
	seen.startup_vcpu = vcpu;
	seen.startup_vector = vector;
}

static inline void suspend(void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.suspends++;
}

static inline void wake(void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.wakes++;
}

static inline void set_suspended(void *ctx, bool suspended)
{
	assert_ptr_equal(ctx, &seen);
	seen.suspended = suspended;
}

static inline void power_off(void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.power_offs++;
}

static inline void reset(void *ctx, const char *how)
{
	assert_ptr_equal(ctx, &seen);
	seen.resets++;
	seen.how = how;
}

static inline void debug_exit(void *ctx, uint32_t status)
{
	assert_ptr_equal(ctx, &seen);
	seen.debug_exits++;
	seen.status = status;
}

static inline void output(void *ctx, const char *data, size_t n)
{
	assert_ptr_equal(ctx, &seen);
	assert_true(seen.output_len + n < sizeof(seen.output));
	memcpy(seen.output + seen.output_len, data, n);
	seen.output_len += n;
}

static inline void room(void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.rooms++;
}

static const struct board_ops ops = {
	.kick = kick,
	.nmi = nmi,
	.init = init,
	.startup = startup,
	.suspend = suspend,
	.wake = wake,
	.set_suspended = set_suspended,
	.power_off = power_off,
	.reset = reset,
	.debug_exit = debug_exit,
	.serial_output = output,
	.serial_room = room,
};

static inline int build(bool serial, uint64_t memory, bool tests)
{
	struct board_config cfg = {.time = &rig.time,
				   .pio = &pio,
				   .mmio = &mmio,
				   .saved = &saved,
				   .vcpu_count = CPUS,
				   .memory = memory,
				   .serial = serial,
				   .debug_exit = tests,
				   .test_device = tests,
				   .hpet = tests,
				   .ops = &ops,
				   .ctx = &seen};

	memset(&seen, 0, sizeof(seen));
	rig_init(&rig, hz);
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	saved_set_init(&saved);
	saved_add(&saved, &rig.time.saved, 0);
	board = calloc(1, board_size(CPUS, tests));
	return board == NULL || board_init(board, &cfg) != HV_OK;
}

static inline int setup(void **state)
{
	(void)state;
	return build(true, MIB(512), false);
}

static inline int teardown(void **state)
{
	(void)state;
	board_fini(board);
	assert_true(timer_queue_next(&rig.queue) == TIMER_NEVER);
	free(board);
	return 0;
}

static inline uint64_t in(uint64_t port, unsigned size)
{
	uint64_t value;

	(void)bus_read(&pio, port, size, 0, &value);
	return value;
}

static inline void outb(uint64_t port, uint64_t value)
{
	assert_true(bus_write(&pio, port, 1, 0, value));
}

static inline uint32_t read32(uint64_t addr)
{
	uint64_t value;

	assert_true(bus_read(&mmio, addr, 4, 0, &value));
	return (uint32_t)value;
}

static inline void write32(uint64_t addr, uint32_t value)
{
	assert_true(bus_write(&mmio, addr, 4, 0, value));
}

static inline void ioapic_write(unsigned index, uint32_t value)
{
	write32(LAYOUT_IOAPIC_BASE, index);
	write32(LAYOUT_IOAPIC_BASE + 0x10, value);
}

static inline void lapic_write(unsigned offset, uint32_t value)
{
	write32(LAYOUT_LAPIC_BASE + offset, value);
}

/* --- addresses --- */

/* The 8259 pair as a BIOS programs it: IRQ 0-7 at vector 8, IRQ 8-15 at 0x70, `imr` of the first.
 */
static inline void init_pics(uint8_t imr)
{
	outb(0x20, 0x11);
	outb(0x21, 0x08);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0xa0, 0x11);
	outb(0xa1, 0x70);
	outb(0xa1, 0x02);
	outb(0xa1, 0x01);
	outb(0x21, imr);
	outb(0xa1, 0xff);
}

static inline void assert_line(unsigned irq, unsigned gsi, bool level)
{
	assert_int_equal(board->ioapic.lines >> gsi & 1, level);
	assert_int_equal(board->pic.chips[irq / 8].lines >> irq % 8 & 1, level);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
