/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/ioapic.h"
#include "hv/base/bits.h"
#include "tests/fakes/apic_rig.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"

#define SELECT 0x00u
#define WINDOW 0x10u
#define EOI 0x40u
#define LEVEL 0x8000u
#define MASKED 0x10000u
#define REMOTE_IRR 0x4000u
#define LOGICAL 0x800u

static struct apic_rig r;
static struct ioapic io;
static struct lapic *const l = &r.lapics[0];

static int setup(void **state)
{
	(void)state;
	apic_rig_start(&r);
	ioapic_init(&io, &r.bus);
	return 0;
}

static uint64_t mmio_read(uint32_t offset, unsigned size)
{
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = IOAPIC_MMIO_BASE + offset,
				.offset = offset,
				.size = size};

	return io.dev.ops->read(&io.dev, &a) & size_mask(size);
}

static void mmio_write(uint32_t offset, unsigned size, uint64_t value)
{
	struct vdev_access a = {.space = BUS_MMIO,
				.addr = IOAPIC_MMIO_BASE + offset,
				.offset = offset,
				.size = size};

	io.dev.ops->write(&io.dev, &a, value);
}

static uint32_t get(uint32_t index)
{
	mmio_write(SELECT, 4, index);
	return (uint32_t)mmio_read(WINDOW, 4);
}

static void set(uint32_t index, uint32_t value)
{
	mmio_write(SELECT, 4, index);
	mmio_write(WINDOW, 4, value);
}

/* Low half last, as a driver does. */
static void route(unsigned pin, uint32_t low, uint8_t dest)
{
	set(0x11 + 2 * pin, (uint32_t)dest << 24);
	set(0x10 + 2 * pin, low);
}

static uint32_t low_half(unsigned pin)
{
	return get(0x10 + 2 * pin);
}

/* Takes and ends an interrupt of vCPU `cpu`; its vector or -1. */
static int serve(unsigned cpu)
{
	int vector = apic_rig_take(&r, cpu);

	if (vector >= 0) {
		lapic_eoi(&r.lapics[cpu]);
	}
	return vector;
}

static void test_registers(void **state)
{
	(void)state;
	assert_int_equal(get(1), 0x00170020);
	set(1, 0);
	assert_int_equal(get(1), 0x00170020);
	set(0, 0xffffffff);
	assert_int_equal(get(0), 0x0f000000);
	assert_int_equal(get(2), 0x0f000000);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(low_half(pin), MASKED);
		assert_int_equal(get(0x11 + 2 * pin), 0);
	}
	/* Neither before nor behind the table is anything. */
	assert_int_equal(get(0x0f), 0);
	assert_int_equal(get(0x40), 0);
	set(0x40, 0xffffffff);
	set(0xff, 0xffffffff);
	set(0x03, 0xffffffff);
	assert_int_equal(get(0x3e), MASKED);
}

static bool is_missed(uint64_t offset, uint32_t index)
{
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = 4};

	io.dev.lacks = &lacks_rig;
	mmio_write(SELECT, 4, index);
	(void)io.dev.ops->read(&io.dev, &a);
	return offset == WINDOW ? lacks_told("IOAPIC", LACKS_INDEX, index) == 1
				: lacks_told("IOAPIC", LACKS_READ, (uint32_t)offset) == 1;
}

static void test_misses(void **state)
{
	(void)state;
	assert_false(is_missed(SELECT, 0x0f));
	assert_false(is_missed(WINDOW, 2));
	assert_false(is_missed(WINDOW, 0x3f));
	assert_true(is_missed(WINDOW, 3));
	assert_true(is_missed(WINDOW, 0x40));
	assert_true(is_missed(0x20, 0));
}

static void test_entry_bits(void **state)
{
	(void)state;
	set(0x10, 0xffffffff);
	set(0x11, 0xffffffff);
	/* Delivery status and remote IRR are read-only. */
	assert_int_equal(get(0x10), 0x0001afff);
	assert_int_equal(get(0x11), 0xff000000);
	assert_int_equal(low_half(1), MASKED);
}

static void test_access_sizes(void **state)
{
	(void)state;
	mmio_write(SELECT, 1, 1);
	assert_int_equal(mmio_read(SELECT, 4), 1);
	assert_int_equal(mmio_read(WINDOW, 1), 0x20);
	assert_int_equal(mmio_read(WINDOW + 2, 2), 0x17);
	assert_int_equal(mmio_read(WINDOW + 4, 4), 0);
	set(0x10, MASKED | 0x55);
	mmio_write(WINDOW, 1, 0x66);
	mmio_write(WINDOW, 2, 0x66);
	assert_int_equal(mmio_read(WINDOW, 4), MASKED | 0x55);
	assert_int_equal(mmio_read(0x800, 4), 0);
	mmio_write(SELECT, 4, 0x101);
	assert_int_equal(mmio_read(WINDOW, 4), 0x00170020);
}

static void test_edge(void **state)
{
	(void)state;
	route(4, 0x44, 1);
	ioapic_set_line(&io, 4, true);
	assert_int_equal(serve(1), 0x44);
	ioapic_set_line(&io, 4, true);
	assert_int_equal(serve(1), -1);
	assert_int_equal(low_half(4), 0x44);
	ioapic_set_line(&io, 4, false);
	assert_int_equal(serve(1), -1);
	ioapic_set_line(&io, 4, true);
	assert_int_equal(serve(1), 0x44);
	assert_int_equal(lapic_pending(l), -1);
}

static void test_edge_while_masked_is_lost(void **state)
{
	(void)state;
	route(4, MASKED | 0x44, 0);
	ioapic_set_line(&io, 4, true);
	route(4, 0x44, 0);
	assert_int_equal(serve(0), -1);
	ioapic_set_line(&io, 4, false);
	ioapic_set_line(&io, 4, true);
	assert_int_equal(serve(0), 0x44);
}

static void test_level(void **state)
{
	(void)state;
	route(9, LEVEL | 0x59, 0);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(low_half(9), LEVEL | REMOTE_IRR | 0x59);
	/* No second one before the EOI, whatever the line does. */
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	ioapic_set_line(&io, 9, false);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(lapic_highest_irr(l), -1);
	assert_false(vecset_test(&l->irr, 0x59));
	/* Still asserted: it fires again at EOI. */
	lapic_eoi(l);
	assert_int_equal(low_half(9), LEVEL | REMOTE_IRR | 0x59);
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	ioapic_set_line(&io, 9, false);
	lapic_eoi(l);
	assert_int_equal(low_half(9), LEVEL | 0x59);
	assert_int_equal(serve(0), -1);
}

static void test_level_while_masked_fires_when_unmasked(void **state)
{
	(void)state;
	route(9, MASKED | LEVEL | 0x59, 0);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(serve(0), -1);
	route(9, LEVEL | 0x59, 0);
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	/* Masked during service: the EOI clears remote IRR and nothing follows until unmasked. */
	route(9, MASKED | LEVEL | 0x59, 0);
	assert_int_equal(low_half(9), MASKED | LEVEL | REMOTE_IRR | 0x59);
	lapic_eoi(l);
	assert_int_equal(low_half(9), MASKED | LEVEL | 0x59);
	assert_int_equal(serve(0), -1);
	route(9, LEVEL | 0x59, 0);
	assert_int_equal(serve(0), 0x59);
}

/* A pin with a device of its own and PCI lines routed to it. */
static void test_shared_pin(void **state)
{
	(void)state;
	route(11, LEVEL | 0x59, 0);
	route(5, 0x45, 0);
	ioapic_set_shared(&io, BIT32(11) | BIT32(5));
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	assert_int_equal(serve(0), -1); /* a lower class waits */
	ioapic_set_line(&io, 11, true);
	ioapic_set_shared(&io, BIT32(5));
	lapic_eoi(l);
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	ioapic_set_line(&io, 11, false);
	lapic_eoi(l);
	assert_int_equal(serve(0), 0x45);
	/* Up already: no edge, whoever pulls it. */
	ioapic_set_line(&io, 5, true);
	ioapic_set_shared(&io, 0);
	ioapic_set_shared(&io, BIT32(5));
	assert_int_equal(serve(0), -1);
	ioapic_set_shared(&io, 0);
	ioapic_set_line(&io, 5, false);
	ioapic_set_shared(&io, BIT32(5));
	assert_int_equal(serve(0), 0x45);
}

/* Two pins with one vector: the EOI frees both. */
static void test_shared_vector(void **state)
{
	(void)state;
	route(10, LEVEL | 0x59, 0);
	route(11, LEVEL | 0x59, 0);
	ioapic_set_line(&io, 10, true);
	ioapic_set_line(&io, 11, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	ioapic_set_line(&io, 10, false);
	lapic_eoi(l);
	assert_int_equal(low_half(10), LEVEL | 0x59);
	assert_int_equal(low_half(11), LEVEL | REMOTE_IRR | 0x59);
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	ioapic_set_line(&io, 11, false);
	lapic_eoi(l);
	assert_int_equal(serve(0), -1);
}

static void test_eoi_of_another_vector(void **state)
{
	(void)state;
	route(9, LEVEL | 0x59, 0);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	ioapic_eoi(&io, 0x58);
	assert_int_equal(low_half(9), LEVEL | REMOTE_IRR | 0x59);
}

static void test_eoi_register(void **state)
{
	(void)state;
	route(9, LEVEL | 0x59, 0);
	ioapic_set_line(&io, 9, true);
	ioapic_set_line(&io, 9, false);
	mmio_write(EOI, 4, 0x59);
	assert_int_equal(low_half(9), LEVEL | 0x59);
	assert_int_equal(mmio_read(EOI, 4), 0);
}

/* Older drivers end a level interrupt by making the entry an edge for a moment. */
static void test_edge_trick_clears_remote_irr(void **state)
{
	(void)state;
	route(9, LEVEL | 0x59, 0);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x59);
	set(0x10 + 18, MASKED | 0x59);
	set(0x10 + 18, MASKED | LEVEL | 0x59);
	assert_int_equal(low_half(9), MASKED | LEVEL | 0x59);
	set(0x10 + 18, LEVEL | 0x59);
	assert_true(vecset_test(&l->irr, 0x59));
}

/* A level interrupt that nobody can take does not block the pin. */
static void test_refused_level_is_tried_again(void **state)
{
	(void)state;
	apic_rig_write(&r, 2, APIC_SVR, 0xff);
	route(9, LEVEL | 0x59, 2);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(low_half(9), LEVEL | 0x59);
	apic_rig_enable(&r, 2);
	ioapic_set_line(&io, 9, false);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(serve(2), 0x59);
}

static void test_destinations(void **state)
{
	(void)state;
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		apic_rig_write(&r, i, APIC_LDR, BIT32(24 + i));
	}
	route(4, LOGICAL | 0x44, 0x0a);
	ioapic_set_line(&io, 4, true);
	assert_int_equal(serve(0), -1);
	assert_int_equal(serve(1), 0x44);
	assert_int_equal(serve(3), 0x44);
	route(5, 0x55, 0xff);
	ioapic_set_line(&io, 5, true);
	for (unsigned i = 0; i < APIC_RIG_CPUS; i++) {
		assert_int_equal(serve(i), 0x55);
	}
	/* Lowest priority: one of them. */
	route(6, LOGICAL | 0x100 | 0x66, 0x0f);
	ioapic_set_line(&io, 6, true);
	assert_int_equal((serve(0) > 0) + (serve(1) > 0) + (serve(2) > 0) + (serve(3) > 0), 1);
}

/* NMI is an edge even where the entry says level. */
static void test_nmi(void **state)
{
	(void)state;
	route(2, LEVEL | 0x400, 1);
	ioapic_set_line(&io, 2, true);
	assert_int_equal(r.calls[1].nmis, 1);
	assert_int_equal(low_half(2), LEVEL | 0x400);
	route(2, LEVEL | 0x400, 1);
	assert_int_equal(r.calls[1].nmis, 1);
}

static void test_waiting(void **state)
{
	(void)state;
	route(2, 0x30, 1);
	assert_false(ioapic_waiting(&io, 2));
	ioapic_set_line(&io, 2, true);
	assert_true(ioapic_waiting(&io, 2));
	assert_int_equal(apic_rig_take(&r, 1), 0x30);
	assert_false(ioapic_waiting(&io, 2));
	ioapic_set_line(&io, 2, false);
	ioapic_set_line(&io, 2, true);
	route(2, MASKED | 0x30, 1);
	assert_false(ioapic_waiting(&io, 2));
	assert_false(ioapic_waiting(&io, IOAPIC_PINS));
}

static void test_reset(void **state)
{
	(void)state;
	route(9, LEVEL | 0x59, 3);
	set(0, 0x05000000);
	ioapic_set_line(&io, 9, true);
	io.dev.ops->reset(&io.dev);
	assert_int_equal(mmio_read(SELECT, 4), 0);
	assert_int_equal(get(0), 0);
	assert_int_equal(low_half(9), MASKED);
	assert_int_equal(get(0x11 + 18), 0);
	/* The line is the device's: it is still asserted. */
	route(9, LEVEL | 0x5a, 1);
	assert_int_equal(serve(1), 0x5a);
}

static void test_pins_that_do_not_exist(void **state)
{
	(void)state;
	ioapic_set_line(&io, IOAPIC_PINS, true);
	ioapic_set_line(&io, UINT32_MAX, true);
	assert_int_equal(io.lines, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

static void a_loaded_one_goes_on(void **state)
{
	(void)state;
	route(17, LEVEL | 0x61, 0);
	route(4, 0x62, 1);
	set(0, 3u << 24);
	ioapic_set_line(&io, 17, true);
	ioapic_set_shared(&io, BIT32(5));
	mmio_write(SELECT, 4, 0x33);
	saved_reload(&io.saved);
	assert_int_equal(mmio_read(SELECT, 4), 0x33);
	/* A line that was up is no edge, and a level is sent once. */
	ioapic_set_line(&io, 17, true);
	ioapic_set_line(&io, 5, true);
	assert_int_equal(apic_rig_take(&r, 0), 0x61);
	assert_int_equal(apic_rig_take(&r, 0), -1);
	lapic_eoi(l);
	assert_int_equal(apic_rig_take(&r, 0), 0x61);
	assert_int_equal(get(0), 3u << 24);
}

static void what_no_driver_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&io.saved, struct ioapic_saved, field, value)
	assert_false(TAKES(select, 0x100));
	assert_false(TAKES(id, 1));
	assert_false(TAKES(lines, 1u << 24));
	assert_true(TAKES(shared, 0x8000));
	assert_false(TAKES(shared, 0x10000));
	assert_true(TAKES(entries[3], LEVEL | REMOTE_IRR | 0x30));
	assert_false(TAKES(entries[3], REMOTE_IRR | 0x30)); /* an edge waits for no EOI */
	assert_false(TAKES(entries[3], 1ull << 17));
#undef TAKES
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_registers),
		T(test_misses),
		T(test_entry_bits),
		T(test_access_sizes),
		T(test_edge),
		T(test_edge_while_masked_is_lost),
		T(test_level),
		T(test_level_while_masked_fires_when_unmasked),
		T(test_shared_pin),
		T(test_shared_vector),
		T(test_eoi_of_another_vector),
		T(test_eoi_register),
		T(test_edge_trick_clears_remote_irr),
		T(test_refused_level_is_tried_again),
		T(test_destinations),
		T(test_nmi),
		T(test_waiting),
		T(test_reset),
		T(test_pins_that_do_not_exist),
		cmocka_unit_test_setup(a_loaded_one_goes_on, setup),
		cmocka_unit_test_setup(what_no_driver_can_make_of_it_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
