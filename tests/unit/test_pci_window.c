/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/pci_window.h"
#include "guests/layout.h"
#include "tests/fakes/device_rig.h"

#define BAR_IO 0u
#define BAR_32 1u
#define BAR_64 2u
#define HIGH 0x1000000000ull

static struct pci_host host;
static struct pci_window window;
static struct pci_function low;	 /* 00:02.0 */
static struct pci_function high; /* 00:03.0 */
static struct pci_function *seen;
static unsigned seen_bar;
static uint64_t seen_offset;
static uint64_t seen_value;

static void note(struct pci_function *f, unsigned bar, uint64_t offset)
{
	/* A model may take its own lock and then the host's. */
	assert_true(lock_try(&host.dev.lock));
	lock_release(&host.dev.lock);
	seen = f;
	seen_bar = bar;
	seen_offset = offset;
}

static uint64_t bar_read(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size)
{
	note(f, bar, offset);
	return size;
}

static void bar_write(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	(void)size;
	note(f, bar, offset);
	seen_value = value;
}

static void add(struct pci_function *f, unsigned devfn)
{
	static const struct pci_function_ops ops = {.bar_read = bar_read, .bar_write = bar_write};
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1042};

	pci_function_init(f, &id, &ops, NULL);
	assert_int_equal(pci_function_add_bar(f, BAR_IO, PCI_BAR_IO, 0x40), HV_OK);
	assert_int_equal(pci_function_add_bar(f, BAR_32, 0, 0x1000), HV_OK);
	assert_int_equal(pci_function_add_bar(f, BAR_64, PCI_BAR_64, 0x10000), HV_OK);
	assert_int_equal(pci_host_add(&host, devfn, f), HV_OK);
}

static int setup(void **state)
{
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE};

	(void)state;
	pci_host_init(&host, &cfg);
	pci_window_init(&window, &host);
	add(&high, 0x18);
	add(&low, 0x10);
	return 0;
}

static void put(unsigned devfn, unsigned reg, uint32_t value)
{
	struct vdev_access a = {.space = BUS_MMIO, .offset = devfn * 4096 + reg, .size = 4};

	host.dev.ops->write(&host.dev, &a, value);
}

static unsigned devfn_of(const struct pci_function *f)
{
	return f == &low ? 0x10 : 0x18;
}

static void move(const struct pci_function *f, unsigned bar, uint64_t address)
{
	put(devfn_of(f), PCI_BAR0 + bar * 4, (uint32_t)address);
	if (bar == BAR_64) {
		put(devfn_of(f), PCI_BAR0 + bar * 4 + 4, (uint32_t)(address >> 32));
	}
}

static void decode(const struct pci_function *f, uint32_t command)
{
	put(devfn_of(f), PCI_COMMAND, command);
}

static void place_all(void)
{
	move(&low, BAR_IO, 0x1000);
	move(&low, BAR_32, 0xc0000000);
	move(&low, BAR_64, HIGH);
	move(&high, BAR_IO, 0x1040);
	move(&high, BAR_32, 0xc0001000);
	move(&high, BAR_64, HIGH + 0x10000);
	decode(&low, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	decode(&high, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

/* Who answers at an address: reads and writes must find the same. */
static struct pci_function *who(enum bus_space space, uint64_t addr, unsigned size)
{
	struct pci_function *reader;

	seen = NULL;
	if (rig_read(&window.dev, space, addr, size) == size_mask(size)) {
		assert_null(seen);
	}
	reader = seen;
	seen = NULL;
	rig_write(&window.dev, space, addr, size, 0x5a);
	assert_ptr_equal(seen, reader);
	return reader;
}

static void assert_at(enum bus_space space, uint64_t addr, const struct pci_function *f,
		      unsigned bar, uint64_t offset)
{
	assert_ptr_equal(who(space, addr, 1), f);
	if (f != NULL) {
		assert_int_equal(seen_bar, bar);
		assert_int_equal(seen_offset, offset);
	}
}

static void each_bar_answers_where_it_lies(void **state)
{
	(void)state;
	place_all();
	assert_at(BUS_PIO, 0x0fff, NULL, 0, 0);
	assert_at(BUS_PIO, 0x1000, &low, BAR_IO, 0);
	assert_at(BUS_PIO, 0x103f, &low, BAR_IO, 0x3f);
	assert_at(BUS_PIO, 0x1040, &high, BAR_IO, 0);
	assert_at(BUS_PIO, 0x1080, NULL, 0, 0);
	assert_at(BUS_MMIO, 0xbfffffff, NULL, 0, 0);
	assert_at(BUS_MMIO, 0xc0000abc, &low, BAR_32, 0xabc);
	assert_at(BUS_MMIO, 0xc0001abc, &high, BAR_32, 0xabc);
	assert_at(BUS_MMIO, HIGH, &low, BAR_64, 0);
	assert_at(BUS_MMIO, HIGH + 0x1ffff, &high, BAR_64, 0xffff);
	assert_at(BUS_MMIO, HIGH + 0x20000, NULL, 0, 0);
	assert_int_equal(seen_value, 0x5a);
}

/* Ports and memory are different spaces with the same numbers. */
static void spaces_are_apart(void **state)
{
	(void)state;
	place_all();
	assert_at(BUS_MMIO, 0x1000, NULL, 0, 0);
	move(&low, BAR_32, 0x2000);
	assert_at(BUS_PIO, 0x2000, NULL, 0, 0);
	assert_at(BUS_MMIO, 0x2000, &low, BAR_32, 0);
}

static void bars_are_decoded_only_when_enabled(void **state)
{
	(void)state;
	place_all();
	assert_at(BUS_PIO, 0x1000, &low, BAR_IO, 0);
	decode(&low, PCI_COMMAND_MEMORY);
	assert_at(BUS_PIO, 0x1000, NULL, 0, 0);
	assert_at(BUS_MMIO, 0xc0000000, &low, BAR_32, 0);
	decode(&low, PCI_COMMAND_IO);
	assert_at(BUS_PIO, 0x1000, &low, BAR_IO, 0);
	assert_at(BUS_MMIO, 0xc0000000, NULL, 0, 0);
	assert_at(BUS_MMIO, HIGH, NULL, 0, 0);
	pci_function_set_quiet(&low, true);
	assert_at(BUS_PIO, 0x1000, NULL, 0, 0);
}

static void a_bar_that_moves_takes_its_accesses_along(void **state)
{
	(void)state;
	place_all();
	assert_at(BUS_MMIO, 0xc0000010, &low, BAR_32, 0x10);
	move(&low, BAR_32, 0xc8000000);
	assert_at(BUS_MMIO, 0xc0000010, NULL, 0, 0);
	assert_at(BUS_MMIO, 0xc8000010, &low, BAR_32, 0x10);
	move(&high, BAR_32, 0xc0000000);
	assert_at(BUS_MMIO, 0xc0000010, &high, BAR_32, 0x10);
	host.dev.ops->reset(&host.dev);
	assert_at(BUS_MMIO, 0xc0000010, NULL, 0, 0);
}

static void an_access_across_the_end_of_a_bar_finds_nobody(void **state)
{
	(void)state;
	place_all();
	assert_ptr_equal(who(BUS_MMIO, 0xc0000ff8, 8), &low);
	assert_null(who(BUS_MMIO, 0xc0000ffc, 8));
	assert_null(who(BUS_PIO, 0x103e, 4)); /* although the next one follows */
	assert_null(who(BUS_MMIO, 0xbffffffc, 8));
}

/* The lower function goes first, wherever accesses went before. */
static void overlaps_are_settled_by_number(void **state)
{
	(void)state;
	place_all();
	move(&high, BAR_64, HIGH); /* 64 KiB, as the lower function's */
	move(&low, BAR_64, HIGH + 0x100000);
	move(&low, BAR_32, 0xc0000000);
	move(&high, BAR_32, 0xc0000000);
	assert_at(BUS_MMIO, 0xc0000000, &low, BAR_32, 0);
	move(&low, BAR_64, 0xc0000000); /* its own lower BAR goes before */
	assert_at(BUS_MMIO, 0xc0000000, &low, BAR_32, 0);
	assert_at(BUS_MMIO, 0xc0001000, &low, BAR_64, 0x1000);
	decode(&low, 0);
	assert_at(BUS_MMIO, 0xc0000000, &high, BAR_32, 0);
}

/* What is remembered of a large BAR must not hide a small one inside it. */
static void memory_of_hits_does_not_change_who_answers(void **state)
{
	(void)state;
	place_all();
	move(&high, BAR_64, 0xd0000000);
	move(&low, BAR_32, 0xd0008000);
	for (unsigned round = 0; round < 2; round++) {
		for (uint64_t at = 0; at < 0x10000; at += 0x40) {
			bool inside = at >= 0x8000 && at < 0x9000;

			assert_at(BUS_MMIO, 0xd0000000 + at, inside ? &low : &high,
				  inside ? BAR_32 : BAR_64, inside ? at - 0x8000 : at);
		}
	}
}

static void functions_without_handlers_read_all_ones(void **state)
{
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1042};
	static struct pci_function bare;

	(void)state;
	pci_function_init(&bare, &id, NULL, NULL);
	assert_int_equal(pci_function_add_bar(&bare, 0, 0, 0x1000), HV_OK);
	assert_int_equal(pci_host_add(&host, 0x20, &bare), HV_OK);
	put(0x20, PCI_BAR0, 0xc0000000);
	put(0x20, PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_true(bare.bars[0].mapped);
	assert_null(who(BUS_MMIO, 0xc0000000, 4));
	assert_true(rig_read(&window.dev, BUS_MMIO, 0xc0000000, 4) == 0xffffffff);
}

/* Sizing with decoding on puts a BAR nowhere. */
static void all_ones_is_no_place(void **state)
{
	(void)state;
	place_all();
	move(&low, BAR_32, 0xffffffff);
	assert_at(BUS_MMIO, 0xfffff000, NULL, 0, 0);
	move(&low, BAR_64, ~0ull);
	assert_at(BUS_MMIO, 0xffffffffffff0000, NULL, 0, 0);
	move(&low, BAR_IO, 0);
	assert_at(BUS_PIO, 0, NULL, 0, 0);
}

static uint32_t host_get(uint32_t reg)
{
	rig_write(&host.dev, BUS_PIO, LAYOUT_PCI_CONFIG_ADDRESS, 4, 0x80000000u | reg);
	return (uint32_t)rig_read(&host.dev, BUS_PIO, LAYOUT_PCI_CONFIG_DATA, 4);
}

static void host_put(uint32_t reg, uint32_t value)
{
	rig_write(&host.dev, BUS_PIO, LAYOUT_PCI_CONFIG_ADDRESS, 4, 0x80000000u | reg);
	rig_write(&host.dev, BUS_PIO, LAYOUT_PCI_CONFIG_DATA, 4, value);
}

/* Under firmware: ECAM is where PCIEXBAR says, and nowhere before that. */
static void ecam_follows_its_register(void **state)
{
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE, .firmware = true};

	(void)state;
	pci_host_init(&host, &cfg);
	pci_window_init(&window, &host);
	add(&low, 0x10);
	assert_int_equal(pci_host_ecam_base(&host), 0);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, LAYOUT_ECAM_BASE, 4), 0xffffffff);
	host_put(0x64, 0);
	host_put(0x60, 0xb0000001);
	assert_int_equal(pci_host_ecam_base(&host), 0xb0000000);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xb0000000, 4), 0x29c08086);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xb0010000, 4), 0x10421af4);
	/* Of another bus, and behind the end. */
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xb0110000, 4), 0xffffffff);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xbffffffc, 4), 0xffffffff);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xc0000000, 4), 0xffffffff);
	/* A write reaches the function: its BAR moves. */
	rig_write(&window.dev, BUS_MMIO, 0xb0010000 + PCI_BAR0 + 4 * BAR_32, 4, 0xc1000000);
	rig_write(&window.dev, BUS_MMIO, 0xb0010000 + PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xc1000010, 4), 4);
	assert_ptr_equal(seen, &low);
	/* 64 MiB elsewhere; the reserved length and a cleared enable are nowhere. */
	host_put(0x60, 0xe4000005);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xe4000000, 4), 0x29c08086);
	assert_int_equal(rig_read(&window.dev, BUS_MMIO, 0xb0000000, 4), 0xffffffff);
	host_put(0x60, 0xe4000007);
	assert_int_equal(pci_host_ecam_base(&host), 0);
	host_put(0x60, 0xe4000004);
	assert_int_equal(pci_host_ecam_base(&host), 0);
	host_put(0x60, 0xe4000005);
	host.dev.ops->reset(&host.dev);
	assert_int_equal(pci_host_ecam_base(&host), 0);
}

/* PAM remembers what the firmware writes; RAM's end is lower. */
static void firmware_programs_the_bridges(void **state)
{
	const struct pci_host_config cfg = {.firmware = true};

	(void)state;
	pci_host_init(&host, &cfg);
	assert_int_equal(host_get(0x90), 0);
	host_put(0x90, 0xffffffff);
	host_put(0x94, 0xffffffff);
	assert_int_equal(host_get(0x90), 0x33333330);
	assert_int_equal(host_get(0x94) & 0xffffff, 0x333333);
	assert_int_equal(host_get(0xb0) & 0xffff, LAYOUT_FIRMWARE_MMIO_BASE >> 16);
	host_put(0xf800 | 0xf0, 0xffffffff);
	assert_int_equal(host_get(0xf800 | 0xf0), 0xffffc001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_bar_answers_where_it_lies, setup),
		cmocka_unit_test_setup(spaces_are_apart, setup),
		cmocka_unit_test_setup(bars_are_decoded_only_when_enabled, setup),
		cmocka_unit_test_setup(a_bar_that_moves_takes_its_accesses_along, setup),
		cmocka_unit_test_setup(an_access_across_the_end_of_a_bar_finds_nobody, setup),
		cmocka_unit_test_setup(overlaps_are_settled_by_number, setup),
		cmocka_unit_test_setup(memory_of_hits_does_not_change_who_answers, setup),
		cmocka_unit_test_setup(functions_without_handlers_read_all_ones, setup),
		cmocka_unit_test_setup(all_ones_is_no_place, setup),
		cmocka_unit_test(ecam_follows_its_register),
		cmocka_unit_test(firmware_programs_the_bridges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
