/* SPDX-License-Identifier: Apache-2.0 */
/* PCI devices on the board: places, interrupt wires, BARs on the buses, the end. */
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
#define IO_BAR 0u
#define MSIX_BAR 1u
#define BIG_BAR 2u
#define PCI_EXPRESS_CONTROL 0x48u /* the capability is the first, at 0x40 */
#define MSIX_CONTROL 0x86u	  /* behind it and power management */

static struct device_rig rig;
static struct bus pio;
static struct bus mmio;
static struct board *board;
static struct pci_device devices[BOARD_PCI_MAX + 1];
static unsigned kicks;
static unsigned stops;
static unsigned releases;

static void kick(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
	kicks++;
}

static uint64_t bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	(void)size;
	return d->devfn << 16 | bar << 12 | offset;
}

static void bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	(void)bar;
	(void)offset;
	(void)size;
	pci_device_intx(d, value != 0);
}

static void reset(struct pci_device *d)
{
	pci_device_intx(d, false);
}

static void stop(struct pci_device *d)
{
	assert_ptr_equal(d, &devices[stops]);
	assert_int_equal(releases, 0);
	stops++;
}

static void release(struct pci_device *d)
{
	assert_ptr_equal(d, &devices[releases]);
	releases++;
}

static const struct pci_device_ops ops = {
	.name = "test", .bar_read = bar_read, .bar_write = bar_write, .reset = reset};
static const struct board_pci_owner owner = {.stop = stop, .release = release};

static struct pci_device *plug(void)
{
	struct pci_device *d = &devices[board->pci_count];
	struct pci_device_config cfg = {.ops = &ops,
					.identity = {.vendor = 0x1af4, .device = 0x1042},
					.msix_count = 2,
					.msix_bar = MSIX_BAR,
					.intx = true,
					.express = true};

	assert_int_equal(board_place_pci(board, &cfg), HV_OK);
	assert_int_equal(pci_device_init(d, &cfg), HV_OK);
	assert_int_equal(pci_device_add(d), HV_OK);
	assert_int_equal(pci_function_add_bar(&d->function, IO_BAR, PCI_BAR_IO, 32), HV_OK);
	assert_int_equal(pci_function_add_bar(&d->function, BIG_BAR, PCI_BAR_64, 0x10000), HV_OK);
	board_add_pci(board, d, NULL, &owner);
	return d;
}

static int build(bool tests)
{
	static const struct board_ops board_ops = {.kick = kick};
	struct board_config cfg = {.time = &rig.time,
				   .pio = &pio,
				   .mmio = &mmio,
				   .vcpu_count = 1,
				   .memory = 0x10000000,
				   .test_device = tests,
				   .ops = &board_ops};

	kicks = stops = releases = 0;
	rig_init(&rig, HZ);
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	board = calloc(1, board_size(1, tests));
	return board == NULL || board_init(board, &cfg) != HV_OK;
}

static int setup(void **state)
{
	(void)state;
	return build(false);
}

static int teardown(void **state)
{
	(void)state;
	board_fini(board);
	board_release(board);
	free(board);
	return 0;
}

static void config_write(const struct pci_device *d, unsigned reg, unsigned size, uint32_t value)
{
	assert_true(bus_write(&mmio, LAYOUT_ECAM_BASE + d->devfn * 4096 + reg, size, 0, value));
}

static void outb(uint64_t port, uint64_t value)
{
	assert_true(bus_write(&pio, port, 1, 0, value));
}

static void place_io(const struct pci_device *d, uint32_t port)
{
	config_write(d, PCI_BAR0 + IO_BAR * 4, 4, port);
	config_write(d, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static bool gsi_is_up(unsigned gsi)
{
	return (board->ioapic.lines & BIT32(gsi)) != 0;
}

static void devices_take_places_in_order(void **state)
{
	struct pci_device_config cfg = {0};

	(void)state;
	for (unsigned i = 0; i < BOARD_PCI_MAX; i++) {
		assert_int_equal(plug()->devfn, (i + 2) * 8);
	}
	assert_int_equal(board_place_pci(board, &cfg), HV_E_RANGE);
	assert_null(board->pci.functions[0xf0]);
}

static void a_place_is_taken_only_by_adding(void **state)
{
	struct pci_device_config first = {0};
	struct pci_device_config again = {0};

	(void)state;
	assert_int_equal(board_place_pci(board, &first), HV_OK);
	assert_int_equal(board_place_pci(board, &again), HV_OK);
	assert_int_equal(first.devfn, again.devfn);
}

/* A function of the chipset's, in the place of the SATA controller. */
static struct pci_device *plug_sata(void)
{
	struct pci_device *d = &devices[board->pci_count];
	struct pci_device_config cfg = {.ops = &ops, .intx = true};

	board_place_pci_at(board, LAYOUT_DEVFN_SATA, &cfg);
	assert_int_equal(pci_device_init(d, &cfg), HV_OK);
	assert_int_equal(pci_device_add(d), HV_OK);
	board_add_pci(board, d, NULL, &owner);
	return d;
}

/* A function of the chipset's takes none of the places of the others. */
static void the_chipsets_places_are_its_own(void **state)
{
	struct pci_device *d = plug_sata();

	(void)state;
	assert_ptr_equal(board->pci.functions[0xfa], &d->function);
	assert_int_equal(plug()->devfn, LAYOUT_DEVFN_FIRST);
	assert_int_equal(plug()->devfn, LAYOUT_DEVFN_FIRST + 8);
	pci_device_intx(d, true);
	assert_true(gsi_is_up(16)); /* INTA of device 31 */
	pci_device_intx(d, false);
}

static void bars_answer_in_all_windows(void **state)
{
	const struct pci_device *d = plug();
	uint64_t value;

	(void)state;
	place_io(d, 0x2000);
	config_write(d, PCI_BAR0 + MSIX_BAR * 4, 4, 0xc0000000);
	config_write(d, PCI_BAR0 + BIG_BAR * 4, 4, 0x10000);
	config_write(d, PCI_BAR0 + BIG_BAR * 4 + 4, 4, 0xfffff);
	assert_true(bus_read(&pio, 0x2004, 4, 0, &value));
	assert_int_equal(value, 0x100004);
	assert_true(bus_read(&mmio, 0xc000000c, 4, 0, &value));
	assert_int_equal(value, 1); /* masked */
	assert_true(bus_read(&mmio, 0xfffff00010008, 8, 0, &value));
	assert_int_equal(value, 0x102008);
	assert_false(bus_read(&pio, 0x3000, 4, 0, &value));
	assert_int_equal(value, 0xffffffff);
	assert_int_equal(pio.unclaimed.total, 1);
}

static void the_boards_own_addresses_stay_its_own(void **state)
{
	const struct pci_device *d = plug();
	uint64_t value;

	(void)state;
	place_io(d, 0x600);
	config_write(d, PCI_BAR0 + MSIX_BAR * 4, 4, LAYOUT_IOAPIC_BASE);
	assert_true(bus_read(&pio, 0x608, 4, 0, &value));
	assert_int_not_equal(value >> 16, 0x10);
	assert_true(bus_read(&mmio, LAYOUT_IOAPIC_BASE, 4, 0, &value));
	assert_int_equal(value, 0); /* its index register */
}

static void the_test_devices_lines_go_before_bars(void **state)
{
	const struct pci_device *d;
	uint64_t value;

	(void)state;
	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(build(true), 0);
	d = plug();
	place_io(d, 0x2000);
	assert_ptr_equal(bus_find(&pio, 0x2000)->dev, &board->test.dev);
	assert_true(bus_read(&pio, 0x2018, 4, 0, &value));
	assert_int_equal(value, 0x100018);
}

static void a_pin_reaches_its_gsi(void **state)
{
	const struct pci_device *d = plug();
	const struct pci_device *other = plug();

	(void)state;
	place_io(d, 0x1000);
	place_io(other, 0x1020);
	outb(0x1000, 1);
	assert_int_equal(board->ioapic.lines, BIT32(18));
	outb(0x1020, 1);
	assert_int_equal(board->ioapic.lines, BIT32(18) | BIT32(19));
	outb(0x1000, 0);
	outb(0x1020, 0);
	assert_int_equal(board->ioapic.lines, 0);
}

static void devices_of_one_line_share_it(void **state)
{
	struct pci_device *first = plug();
	struct pci_device *ninth;

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		(void)plug();
	}
	ninth = plug(); /* 00:0a.0 after 00:02.0 */
	assert_int_equal(ninth->devfn, 0x50);
	pci_device_intx(first, true);
	pci_device_intx(ninth, true);
	pci_device_intx(first, false);
	assert_true(gsi_is_up(18));
	pci_device_intx(ninth, false);
	assert_false(gsi_is_up(18));
}

/* For systems without an IOAPIC: PIRQC to IRQ 11, level-triggered. */
static void a_pin_reaches_the_8259_where_it_is_routed(void **state)
{
	struct pci_device *d = plug();

	(void)state;
	board_set_bios_state(board);
	outb(0xa1, 0);
	outb(0x4d1, 0x08);
	pci_device_intx(d, true);
	assert_false(pic8259_waiting(&board->pic, 11));
	assert_true(bus_write(&mmio, LAYOUT_ECAM_BASE + 0xf8062, 1, 0, 0x0b));
	assert_true(pic8259_waiting(&board->pic, 11));
	assert_true(bus_write(&mmio, LAYOUT_ECAM_BASE + 0xf8062, 1, 0, 0x8b));
	assert_false(pic8259_waiting(&board->pic, 11));
	assert_true(bus_write(&mmio, LAYOUT_ECAM_BASE + 0xf8062, 1, 0, 0x0a));
	board->pci.dev.ops->reset(&board->pci.dev);
	assert_int_equal(board->pic.chips[1].shared, 0);
}

/*
 * SeaBIOS' MP table names the input that it routed a line to as the IOAPIC's pin: here SATA's, by
 * the line register that it writes for a device from 25 on.
 */
static void a_routed_pin_reaches_the_ioapic_there_as_well(void **state)
{
	static const uint8_t seabios[] = {10, 10, 11, 11};
	struct pci_device *d = plug_sata();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(seabios); i++) {
		assert_true(bus_write(&mmio, LAYOUT_ECAM_BASE + 0xf8060 + i, 1, 0, seabios[i]));
		assert_true(bus_write(&mmio, LAYOUT_ECAM_BASE + 0xf8068 + i, 1, 0, seabios[i]));
	}
	pci_device_intx(d, true);
	assert_int_equal(board->ioapic.shared, BIT32(10));
	assert_int_equal(board->pic.chips[1].shared, BIT32(10 - 8));
	pci_device_intx(d, false);
	assert_int_equal(board->ioapic.shared, 0);
}

static void firmware_leaves_all_in_place(void **state)
{
	const struct pci_device *d = plug();

	(void)state;
	board_set_firmware_state(board, true);
	assert_true(d->function.bars[IO_BAR].mapped);
	assert_int_equal(d->function.bars[IO_BAR].address, 0xc000);
	assert_int_equal(d->function.bars[BIG_BAR].address, 0xc0000000);
	assert_int_equal(pci_function_read(&d->function, PCI_INTERRUPT_LINE, 1), 11);
	assert_int_equal(board->pic.chips[0].elcr, 0);
	assert_int_equal(board->pic.chips[1].elcr, 0x0c);
	outb(0xc000, 1);
	assert_int_equal(board->pic.chips[1].shared, 0x08);
}

static void messages_reach_the_lapic(void **state)
{
	struct pci_device *d = plug();

	(void)state;
	place_io(d, 0x1000);
	config_write(d, PCI_BAR0 + MSIX_BAR * 4, 4, 0xc0000000);
	assert_true(bus_write(&mmio, LAYOUT_LAPIC_BASE + 0xf0, 4, 0, 0x1ff));
	assert_true(bus_write(&mmio, 0xc0000010, 8, 0, 0xfee00000));
	assert_true(bus_write(&mmio, 0xc0000018, 8, 0, 0x51));
	config_write(d, MSIX_CONTROL, 2, 0x8000);
	assert_true(pci_device_uses_msix(d));
	kicks = 0;
	pci_device_msix(d, 1);
	assert_int_equal(kicks, 1);
	assert_int_equal(board_pending(board, 0), 0x51);
}

/* The model lowers its line in its reset, with no lock held, and the wire follows. */
static void function_level_reset_frees_the_line(void **state)
{
	struct pci_device *d = plug();

	(void)state;
	pci_device_intx(d, true);
	assert_true(gsi_is_up(18));
	config_write(d, PCI_EXPRESS_CONTROL, 2, 0x8000);
	assert_false(gsi_is_up(18));
}

static void the_end_stops_and_then_releases(void **state)
{
	(void)state;
	(void)plug();
	(void)plug();
	board_fini(board);
	assert_int_equal(stops, 2);
	assert_int_equal(releases, 0);
	board_release(board);
	assert_int_equal(releases, 2);
	assert_int_equal(board->pci_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(devices_take_places_in_order),
		TEST(a_place_is_taken_only_by_adding),
		TEST(the_chipsets_places_are_its_own),
		TEST(bars_answer_in_all_windows),
		TEST(the_boards_own_addresses_stay_its_own),
		TEST(the_test_devices_lines_go_before_bars),
		TEST(a_pin_reaches_its_gsi),
		TEST(devices_of_one_line_share_it),
		TEST(a_pin_reaches_the_8259_where_it_is_routed),
		TEST(a_routed_pin_reaches_the_ioapic_there_as_well),
		TEST(firmware_leaves_all_in_place),
		TEST(messages_reach_the_lapic),
		TEST(function_level_reset_frees_the_line),
		TEST(the_end_stops_and_then_releases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
