/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/pci_window.h"
#include "guests/devices/vga.h"
#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_regs.h"
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/saved_rig.h"

#define MEMORY 0x400000u
#define BAR0 0xc8000000u
#define BAR2 0xc9000000u

static uint8_t bytes[MEMORY];
static struct device_rig rig;
static struct pci_host host;
static struct pci_window window;
static struct vga v;

static struct {
	uint64_t address;
	uint32_t offset, size;
	unsigned calls;
} shown[VGA_VIEWS];

static void show(void *ctx, enum vga_view view, uint64_t address, uint32_t offset, uint32_t size)
{
	assert_ptr_equal(ctx, &v);
	shown[view].address = address;
	shown[view].offset = offset;
	shown[view].size = size;
	shown[view].calls++;
}

static void set_config(unsigned reg, unsigned size, uint32_t value)
{
	struct vdev_access a = {.space = BUS_MMIO, .size = size};

	a.offset = LAYOUT_DEVFN_VGA * PCI_EXPRESS_BYTES + reg;
	host.dev.ops->write(&host.dev, &a, value);
}

static uint32_t config(unsigned reg)
{
	return (uint32_t)pci_function_read(&v.pci.function, reg, 4);
}

static struct vga_config make_config(void)
{
	return (struct vga_config){.time = &rig.time,
				   .host = &host,
				   .devfn = LAYOUT_DEVFN_VGA,
				   .memory = {bytes, MEMORY},
				   .show = show,
				   .ctx = &v};
}

static int setup(void **state)
{
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE};
	const struct vga_config vga = make_config();

	(void)state;
	rig_init(&rig, 1000000000);
	memset(bytes, 0, sizeof(bytes));
	memset(shown, 0, sizeof(shown));
	pci_host_init(&host, &cfg);
	pci_window_init(&window, &host);
	assert_int_equal(vga_init(&v, &vga), HV_OK);
	set_config(PCI_BAR0, 4, BAR0);
	set_config(PCI_BAR0 + 8, 4, BAR2);
	set_config(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	return 0;
}

static void out16(uint16_t port, uint16_t value)
{
	rig_write(&v.dev, BUS_PIO, port, 2, value);
}

static void dispi(unsigned index, uint16_t value)
{
	out16(0x1ce, (uint16_t)index);
	out16(0x1cf, value);
}

static uint64_t mmio(uint64_t addr, unsigned size)
{
	return rig_read(&window.dev, BUS_MMIO, addr, size);
}

static void set_mmio(uint64_t addr, unsigned size, uint64_t value)
{
	rig_write(&window.dev, BUS_MMIO, addr, size, value);
}

static void drivers_find_it(void **state)
{
	(void)state;
	assert_int_equal(config(PCI_VENDOR_ID), 0x11111234);
	assert_int_equal(config(8) >> 8, 0x030000);
	assert_int_equal(config(PCI_BAR0), BAR0 | PCI_BAR_PREFETCH);
	set_config(PCI_BAR0, 4, ~0u);
	set_config(PCI_BAR0 + 4, 4, ~0u);
	set_config(PCI_BAR0 + 8, 4, ~0u);
	assert_int_equal(config(PCI_BAR0), (0u - MEMORY) | PCI_BAR_PREFETCH);
	assert_int_equal(config(PCI_BAR0 + 4), 0);
	assert_int_equal(config(PCI_BAR0 + 8), 0xfffff000);
	/* Firmware and Linux' arbiter find out which decoders it has. */
	set_config(PCI_COMMAND, 2, 0xffff);
	assert_int_equal(config(PCI_COMMAND) & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY),
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

/* SeaBIOS takes a display that does not decode ports and memory for one that is not in use. */
static void its_ports_have_their_bit(void **state)
{
	const uint32_t both = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

	(void)state;
	set_config(PCI_COMMAND, 2, both);
	assert_int_equal(config(PCI_COMMAND) & 0xffff, both);
}

static void memory_sizes_are_checked(void **state)
{
	static struct vga other;
	struct vga_config cfg = make_config();

	(void)state;
	cfg.memory.size = MEMORY - 0x1000;
	assert_int_equal(vga_init(&other, &cfg), HV_E_INVALID);
	cfg.memory.size = VGA_MEMORY_MIN / 2;
	assert_int_equal(vga_init(&other, &cfg), HV_E_INVALID);
	cfg.memory.size = VGA_MEMORY_MAX * 2;
	assert_int_equal(vga_init(&other, &cfg), HV_E_INVALID);
	cfg.memory.size = MEMORY;
	assert_int_equal(vga_init(&other, &cfg), HV_E_EXISTS);
}

static void the_framebuffer_follows_its_bar(void **state)
{
	(void)state;
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].address, BAR0);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, MEMORY);
	set_config(PCI_BAR0, 4, BAR0 + MEMORY);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].address, BAR0 + MEMORY);
	set_config(PCI_COMMAND, 2, 0);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, 0);
	set_config(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, MEMORY);
	assert_int_equal(shown[VGA_VIEW_WINDOW].calls, 0);
	/* And is emulated where it is not shown. */
	set_mmio(BAR0 + MEMORY + 5, 4, 0x44332211);
	assert_memory_equal(bytes + 5, "\x11\x22\x33\x44", 4);
	assert_int_equal(mmio(BAR0 + 2 * MEMORY - 8, 8), 0);
	assert_int_equal(mmio(BAR0 + MEMORY + 6, 2), 0x3322);
}

static void banks_are_shown_in_the_window(void **state)
{
	(void)state;
	dispi(VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	assert_int_equal(shown[VGA_VIEW_WINDOW].address, 0xa0000);
	assert_int_equal(shown[VGA_VIEW_WINDOW].size, 0x10000);
	dispi(VGA_DISPI_BANK, 3);
	assert_int_equal(shown[VGA_VIEW_WINDOW].offset, 0x30000);
	assert_int_equal(shown[VGA_VIEW_WINDOW].calls, 2);
	out16(0x3c4, 0x0f02);
	assert_int_equal(shown[VGA_VIEW_WINDOW].calls, 2);
	rig_write(&v.dev, BUS_MMIO, 0xa0001, 2, 0xbeef);
	assert_int_equal(bytes[0x30002], 0xbe);
	dispi(VGA_DISPI_ENABLE, 0);
	assert_int_equal(shown[VGA_VIEW_WINDOW].size, 0);
	dispi(VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	pci_host_reset_function(&host, &v.pci.function);
	v.pci.function.ops->reset(&v.pci.function);
	assert_int_equal(shown[VGA_VIEW_WINDOW].size, 0);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, 0);
}

/* A picture of all 4 MiB, switched on: 1 MiB an access, and nothing seen that is not zero. */
static void begin_large_mode(void)
{
	memset(bytes, 0xaa, sizeof(bytes));
	dispi(VGA_DISPI_XRES, 1024);
	dispi(VGA_DISPI_YRES, 1024);
	dispi(VGA_DISPI_BPP, 32);
	v.state.attribute_index = VGA_ATTR_SHOW;
	dispi(VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_LFB);
}

static size_t uncleared(void)
{
	size_t n = 0;

	for (size_t i = 0; i < MEMORY; i++) {
		n += bytes[i] == 0xaa;
	}
	return n;
}

static void a_large_mode_is_cleared_in_steps(void **state)
{
	struct vga_state s;

	(void)state;
	begin_large_mode();
	assert_int_equal(uncleared(), MEMORY - 0x100000);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, 0);
	assert_int_equal(shown[VGA_VIEW_WINDOW].calls, 0);
	vga_copy_state(&v, &s);
	assert_int_equal(s.attribute_index & VGA_ATTR_SHOW, 0);
	/* A BAR that moves meanwhile does not show it. */
	set_config(PCI_BAR0, 4, BAR0 + MEMORY);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, 0);
	assert_int_equal(mmio(BAR0 + MEMORY + MEMORY - 8, 8), 0);
	set_mmio(BAR0 + MEMORY + 0x350000, 4, 0x12345678);
	assert_int_equal(mmio(BAR0 + MEMORY + 0x350000, 8), 0x12345678);
	assert_int_equal(uncleared(), 0);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].address, BAR0 + MEMORY);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, MEMORY);
	assert_int_equal(shown[VGA_VIEW_WINDOW].size, 0x10000);
	vga_copy_state(&v, &s);
	assert_int_equal(s.attribute_index, VGA_ATTR_SHOW);
	assert_int_equal(mmio(BAR0 + MEMORY + 0x350000, 4), 0x12345678);
}

static void registers_and_the_window_clear_as_well(void **state)
{
	(void)state;
	begin_large_mode();
	dispi(VGA_DISPI_BANK, 63);
	assert_int_equal(uncleared(), MEMORY - 0x100000);
	for (unsigned i = 0; i < 2; i++) {
		rig_advance_ns(&rig, 1000000);
		out16(0x1cf, 63);
	}
	assert_int_equal(uncleared(), MEMORY - 0x300000);
	rig_write(&v.dev, BUS_MMIO, 0xa0001, 1, 0x55);
	assert_int_equal(rig_read(&v.dev, BUS_MMIO, 0xa0000, 4), 0x5500);
	assert_int_equal(uncleared(), 0);
	assert_int_equal(shown[VGA_VIEW_WINDOW].offset, 0x3f0000);
}

/* As by REP OUTSW, in one exit. */
static void a_mode_that_comes_and_goes_is_not_cleared_each_time(void **state)
{
	(void)state;
	begin_large_mode();
	bytes[0] = 0xaa;
	for (unsigned i = 0; i < 128; i++) {
		out16(0x1cf, 0);
		out16(0x1cf, VGA_DISPI_ENABLED);
	}
	assert_int_equal(bytes[0], 0xaa);
	rig_advance_ns(&rig, 1000000);
	out16(0x1cf, VGA_DISPI_ENABLED);
	assert_int_equal(bytes[0], 0);
}

static void a_mode_that_is_saved_is_cleared_before(void **state)
{
	(void)state;
	begin_large_mode();
	saved_reload(&v.saved);
	assert_int_equal(uncleared(), 0);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, MEMORY);
	assert_int_equal(shown[VGA_VIEW_WINDOW].size, 0x10000);
}

static void dispi_ports_take_words(void **state)
{
	(void)state;
	out16(0x1ce, VGA_DISPI_XRES);
	assert_int_equal(rig_read(&v.dev, BUS_PIO, 0x1ce, 2), VGA_DISPI_XRES);
	out16(0x1cf, 1024);
	assert_int_equal(rig_read(&v.dev, BUS_PIO, 0x1cf, 2), 1024);
	assert_int_equal(rig_read(&v.dev, BUS_PIO, 0x1d0, 2), 1024);
}

static void index_and_data_go_in_one_word(void **state)
{
	(void)state;
	rig_out(&v.dev, 0x3c2, 0x01);
	out16(0x3ce, 0x3c08);
	out16(0x3d4, 0x5a13);
	assert_int_equal(rig_read(&v.dev, BUS_PIO, 0x3ce, 2), 0x3c08);
	assert_int_equal(rig_read(&v.dev, BUS_PIO, 0x3d4, 2), 0x5a13);
}

static void registers_are_memory_mapped_too(void **state)
{
	struct vga_state s;

	(void)state;
	set_mmio(BAR2 + 0x402, 1, 0x67);
	set_mmio(BAR2 + 0x404, 2, 0x0f02);
	assert_int_equal(mmio(BAR2 + 0x40c, 1), 0x67);
	assert_int_equal(mmio(BAR2 + 0x404, 2), 0x0f02);
	set_mmio(BAR2 + 0x500 + 2 * VGA_DISPI_XRES, 4, 800 | 600 << 16);
	vga_copy_state(&v, &s);
	assert_int_equal(s.dispi[VGA_DISPI_XRES], 800);
	assert_int_equal(s.dispi[VGA_DISPI_YRES], 600);
	assert_int_equal(mmio(BAR2 + 0x500, 2), 0xb0c5);
	assert_int_equal(mmio(BAR2 + 0x501, 1), 0xb0);
	assert_int_equal(mmio(BAR2 + 0x514, 2), MEMORY / 0x10000);
	assert_int_equal(mmio(BAR2 + 0x600, 4), 8);
	assert_int_equal(mmio(BAR2 + 0x604, 4), 0x1e1e1e1e);
	set_mmio(BAR2 + 0x604, 4, 0xbebebebe);
	assert_int_equal(mmio(BAR2 + 0x604, 4), 0xbebebebe);
	assert_true(v.state.big_endian);
	set_mmio(BAR2 + 0x604, 4, 7);
	assert_true(v.state.big_endian);
	set_mmio(BAR2 + 0x604, 4, 0x1e1e1e1e);
	assert_false(v.state.big_endian);
	assert_int_equal(mmio(BAR2, 4), 0);
	assert_int_equal(mmio(BAR2 + 0xff8, 8), 0);
}

static void retrace_follows_guest_time(void **state)
{
	unsigned seen = 0;

	(void)state;
	rig_out(&v.dev, 0x3c2, 0x01);
	for (unsigned ms = 0; ms < 170; ms++) {
		rig_advance_ns(&rig, 1000000);
		seen += (rig_in(&v.dev, 0x3da) & 8) != 0;
	}
	assert_in_range(seen, 8, 22);
}

static void a_loaded_one_shows_what_it_showed(void **state)
{
	(void)state;
	dispi(VGA_DISPI_XRES, 800);
	dispi(VGA_DISPI_YRES, 300);
	dispi(VGA_DISPI_BPP, 32);
	dispi(VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_LFB);
	bytes[5] = 0x77;
	rig_out(&v.dev, 0x3c8, 9);
	rig_out(&v.dev, 0x3c9, 1);
	saved_reload(&v.saved);
	assert_int_equal(bytes[5], 0x77);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].address, BAR0);
	assert_int_equal(shown[VGA_VIEW_FRAMEBUFFER].size, MEMORY);
	assert_int_equal(v.state.dispi[VGA_DISPI_VIRT_WIDTH], 800);
	rig_out(&v.dev, 0x3c9, 2);
	rig_out(&v.dev, 0x3c9, 3);
	assert_int_equal(v.state.dac.colour[27], 1);
	assert_int_equal(v.state.dac.colour[29], 3);
#define TAKES(field, value) SAVED_TAKES(&v.saved, struct vga_saved, field, value)
	assert_false(TAKES(pci.function.value[0], 0));
	assert_false(TAKES(state.dispi[VGA_DISPI_XRES], 808)); /* more than a line has */
#undef TAKES
}

static void what_is_not_there_is_told(void **state)
{
	(void)state;
	v.dev.lacks = &lacks_rig;
	lacks_rig = (struct lacks){.total = 0};
	(void)rig_read(&v.dev, BUS_PIO, 0x3cc, 1);
	assert_int_equal(lacks_rig.total, 0);
	(void)rig_read(&v.dev, BUS_PIO, 0x3cb, 1);
	assert_int_equal(lacks_told("VGA", LACKS_READ, 0x3cb), 1);
	out16(0x3c4, 0x1206); /* how another chip is unlocked */
	assert_int_equal(lacks_told("VGA", LACKS_INDEX, 0x3c50006), 1);
	dispi(0x20, 1);
	assert_int_equal(lacks_told("VGA", LACKS_INDEX, 0x1cf0020), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(drivers_find_it, setup),
		cmocka_unit_test_setup(its_ports_have_their_bit, setup),
		cmocka_unit_test_setup(memory_sizes_are_checked, setup),
		cmocka_unit_test_setup(the_framebuffer_follows_its_bar, setup),
		cmocka_unit_test_setup(banks_are_shown_in_the_window, setup),
		cmocka_unit_test_setup(a_large_mode_is_cleared_in_steps, setup),
		cmocka_unit_test_setup(registers_and_the_window_clear_as_well, setup),
		cmocka_unit_test_setup(a_mode_that_comes_and_goes_is_not_cleared_each_time, setup),
		cmocka_unit_test_setup(a_mode_that_is_saved_is_cleared_before, setup),
		cmocka_unit_test_setup(dispi_ports_take_words, setup),
		cmocka_unit_test_setup(index_and_data_go_in_one_word, setup),
		cmocka_unit_test_setup(registers_are_memory_mapped_too, setup),
		cmocka_unit_test_setup(retrace_follows_guest_time, setup),
		cmocka_unit_test_setup(a_loaded_one_shows_what_it_showed, setup),
		cmocka_unit_test_setup(what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
