/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/pci_config.h"

static struct pci_function f;
static struct pci_extended extended;
static unsigned bar_calls;
static unsigned last_bar;
static unsigned write_calls;
static unsigned last_reg;
static unsigned last_size;

static void bar_changed(struct pci_function *fn, unsigned bar)
{
	assert_ptr_equal(fn, &f);
	bar_calls++;
	last_bar = bar;
}

static void written(struct pci_function *fn, unsigned reg, unsigned size)
{
	assert_ptr_equal(fn, &f);
	write_calls++;
	last_reg = reg;
	last_size = size;
}

static const struct pci_function_ops ops = {.bar_changed = bar_changed, .written = written};
static const struct pci_identity identity = {.vendor = 0x1234,
					     .device = 0x5678,
					     .class_code = 0x010802,
					     .revision = 0x9a,
					     .subsystem_vendor = 0xbcde,
					     .subsystem = 0xf012};

static int setup(void **state)
{
	(void)state;
	bar_calls = 0;
	write_calls = 0;
	pci_function_init(&f, &identity, &ops, NULL);
	return 0;
}

static uint32_t get(unsigned reg)
{
	return (uint32_t)pci_function_read(&f, reg, 4);
}

static void put(unsigned reg, uint32_t value)
{
	(void)pci_function_write(&f, reg, 4, value);
}

static void add_bar(unsigned bar, uint8_t flags, uint64_t size)
{
	assert_int_equal(pci_function_add_bar(&f, bar, flags, size), HV_OK);
}

static void identity_is_in_its_place(void **state)
{
	(void)state;
	assert_int_equal(get(0x00), 0x56781234);
	assert_int_equal(get(0x08), 0x0108029a);
	assert_int_equal(get(0x2c), 0xf012bcde);
	assert_int_equal(get(0x04), 0);
	assert_int_equal(pci_function_read(&f, 0x0b, 1), 0x01);
	assert_int_equal(pci_function_read(&f, 0x0a, 2), 0x0108);
}

static void undeclared_bits_are_read_only(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg < 256; reg += 4) {
		uint32_t before = get(reg);

		assert_false(pci_function_write(&f, reg, 4, 0xffffffff));
		assert_false(pci_function_write(&f, reg, 4, 0));
		assert_int_equal(get(reg), before);
	}
	assert_int_equal(write_calls, 0);
}

static void masks_hold_for_each_width(void **state)
{
	(void)state;
	pci_function_define(&f, 0x50, 4, 0x11223344, 0x00ff0ff0);
	assert_true(pci_function_write(&f, 0x50, 4, 0xffffffff));
	assert_int_equal(get(0x50), 0x11ff3ff4);
	assert_int_equal(last_reg, 0x50);
	assert_int_equal(last_size, 4);
	assert_true(pci_function_write(&f, 0x52, 1, 0x5a));
	assert_int_equal(get(0x50), 0x115a3ff4);
	assert_int_equal(last_reg, 0x52);
	assert_true(pci_function_write(&f, 0x51, 2, 0));
	assert_int_equal(get(0x50), 0x110030f4);
	assert_false(pci_function_write(&f, 0x51, 2, 0));
	assert_int_equal(write_calls, 3);
	pci_function_define(&f, 0x54, 4, 0xffffffff, 0xffffffff);
	for (unsigned size = 1; size <= 4; size *= 2) {
		(void)pci_function_write(&f, 0x54 - size, size, 0);
		assert_int_equal(get(0x54), 0xffffffff); /* the neighbour is left alone */
	}
	pci_function_reset(&f);
	assert_int_equal(get(0x50), 0x11223344);
}

static void accesses_past_the_end(void **state)
{
	(void)state;
	pci_function_define(&f, 0xfc, 4, 0, 0xffffffff);
	put(0xfc, 0x01020304);
	assert_int_equal(get(0xfe), 0xffff0102);
	assert_int_equal(get(0x100), 0xffffffff);
	assert_int_equal(get(0xffc), 0xffffffff);
	assert_int_equal(get(0xfffffffe), 0xffffffff);
	assert_true(pci_function_read(&f, 0xfc, 8) == 0xffffffff01020304ull);
	put(0xfe, 0x55667788);
	put(0x100, 0);
	put(0xfffffffe, 0);
	assert_int_equal(get(0xfc), 0x77880304);
}

static void extended_space(void **state)
{
	(void)state;
	pci_function_init(&f, &identity, &ops, &extended);
	assert_int_equal(get(0x100), 0);
	pci_function_define(&f, 0x100, 4, 0x14010001, 0);
	pci_function_define(&f, 0xffc, 4, 7, 0xffff0000);
	put(0xffc, 0xabcdef00);
	assert_int_equal(get(0xffc), 0xabcd0007);
	assert_int_equal(get(0x100), 0x14010001);
	assert_int_equal(get(0xffe), 0xffffabcd);
	assert_int_equal(get(0x1000), 0xffffffff);
	put(0xffe, 0x12345678);
	assert_int_equal(get(0xffc), 0x56780007);
	pci_function_reset(&f);
	assert_int_equal(get(0xffc), 7);
	/* One access over the border of the two arrays. */
	pci_function_define(&f, 0xfe, 4, 0x11223344, 0xffffffff);
	assert_int_equal(get(0xfe), 0x11223344);
}

/* What Linux and Windows do: all ones, read the mask, put the address back. */
static uint32_t size_mask_of(unsigned reg)
{
	uint32_t before = get(reg);
	uint32_t mask;

	put(reg, 0xffffffff);
	mask = get(reg);
	put(reg, before);
	assert_int_equal(get(reg), before);
	return mask;
}

static void bars_tell_their_size(void **state)
{
	(void)state;
	add_bar(0, PCI_BAR_IO, 32);
	add_bar(1, 0, 4096);
	add_bar(2, PCI_BAR_64 | PCI_BAR_PREFETCH, 1ull << 33);
	add_bar(5, 0, 0x80000000);
	assert_int_equal(size_mask_of(0x10), 0xffffffe1);
	assert_int_equal(size_mask_of(0x14), 0xfffff000);
	assert_int_equal(size_mask_of(0x18), 0x0000000c);
	assert_int_equal(size_mask_of(0x1c), 0xfffffffe);
	assert_int_equal(size_mask_of(0x20), 0);
	assert_int_equal(size_mask_of(0x24), 0x80000000);
	assert_int_equal(size_mask_of(0x30), 0);
	assert_int_equal(bar_calls, 0); /* decoding is off */
	put(PCI_COMMAND, 0xffffffff);
	assert_int_equal(get(PCI_COMMAND), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

static void ports_without_a_bar_can_be_switched_on(void **state)
{
	(void)state;
	put(PCI_COMMAND, PCI_COMMAND_IO);
	assert_int_equal(get(PCI_COMMAND), 0);
	pci_function_add_ports(&f);
	put(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	assert_int_equal(get(PCI_COMMAND), PCI_COMMAND_IO);
	assert_int_equal(bar_calls, 0);
}

static void sizes_that_no_bar_can_say(void **state)
{
	(void)state;
	assert_int_equal(pci_function_add_bar(&f, 6, 0, 4096), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 5, PCI_BAR_64, 4096), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 0, 0, 8), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 0, 0, 0), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 0, 0, 0x1800), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 0, 0, 1ull << 32), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 0, PCI_BAR_IO, 512), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 0, PCI_BAR_IO | PCI_BAR_64, 64), HV_E_INVALID);
	assert_int_equal(pci_function_add_bar(&f, 0, 2, 64), HV_E_INVALID);
	add_bar(2, PCI_BAR_64, 16);
	assert_int_equal(pci_function_add_bar(&f, 2, 0, 16), HV_E_EXISTS);
	assert_int_equal(pci_function_add_bar(&f, 3, 0, 16), HV_E_EXISTS);
	assert_int_equal(pci_function_add_bar(&f, 1, PCI_BAR_64, 16), HV_E_EXISTS);
}

static void memory_bar_moves(void **state)
{
	(void)state;
	add_bar(1, 0, 4096);
	put(0x14, 0xc0001234);
	assert_int_equal(get(0x14), 0xc0001000);
	assert_int_equal(bar_calls, 0);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_int_equal(bar_calls, 1);
	assert_int_equal(last_bar, 1);
	assert_true(f.bars[1].mapped);
	assert_true(f.bars[1].address == 0xc0001000);
	put(0x14, 0xc0002000);
	assert_int_equal(bar_calls, 2);
	assert_true(f.bars[1].address == 0xc0002000);
	put(0x14, 0xffffffff); /* asked for its size while decoded */
	assert_int_equal(bar_calls, 3);
	assert_false(f.bars[1].mapped);
	put(0x14, 0xc0002000);
	assert_int_equal(bar_calls, 4);
	put(PCI_COMMAND, 0);
	assert_int_equal(bar_calls, 5);
	assert_false(f.bars[1].mapped);
	put(0x14, 0);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_int_equal(bar_calls, 5); /* zero is no place */
}

static void io_bar_stays_within_64k(void **state)
{
	(void)state;
	add_bar(0, PCI_BAR_IO, 16);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	put(0x10, 0xc041);
	assert_int_equal(get(0x10), 0xc041);
	assert_true(f.bars[0].mapped);
	assert_true(f.bars[0].address == 0xc040);
	put(0x10, 0xfff0);
	assert_true(f.bars[0].mapped);
	put(0x10, 0x10000);
	assert_false(f.bars[0].mapped);
	put(0x10, 0xffffffff);
	assert_false(f.bars[0].mapped);
}

/* Its own enable bit and memory space both have to be on. */
static void a_rom_is_decoded_when_it_is_enabled(void **state)
{
	(void)state;
	assert_int_equal(pci_function_add_rom(&f, 1024), HV_E_INVALID);
	assert_int_equal(pci_function_add_rom(&f, 3 * 1024), HV_E_INVALID);
	assert_int_equal(pci_function_add_rom(&f, 0x2000000), HV_E_INVALID);
	assert_int_equal(pci_function_add_rom(&f, 0x40000), HV_OK);
	assert_int_equal(get(PCI_ROM_BASE), 0);
	put(PCI_ROM_BASE, 0xfffff800);
	assert_int_equal(get(PCI_ROM_BASE), 0xfffc0000);
	put(PCI_ROM_BASE, 0xfffffffe);
	assert_int_equal(get(PCI_ROM_BASE), 0xfffc0000);
	put(PCI_ROM_BASE, 0xc0040001);
	assert_int_equal(get(PCI_ROM_BASE), 0xc0040001);
	assert_false(f.bars[PCI_BAR_ROM].mapped);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_true(f.bars[PCI_BAR_ROM].mapped);
	assert_true(f.bars[PCI_BAR_ROM].address == 0xc0040000);
	put(PCI_ROM_BASE, 0xc0040000);
	assert_false(f.bars[PCI_BAR_ROM].mapped);
	put(PCI_ROM_BASE, 0xc0080001);
	assert_true(f.bars[PCI_BAR_ROM].address == 0xc0080000);
	pci_function_reset(&f);
	assert_int_equal(get(PCI_ROM_BASE), 0);
	assert_false(f.bars[PCI_BAR_ROM].mapped);
}

static void wide_bar_is_one_address(void **state)
{
	(void)state;
	add_bar(4, PCI_BAR_64, 0x4000);
	put(0x20, 0x10000000);
	put(0x24, 0x12);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_int_equal(bar_calls, 1);
	assert_true(f.bars[4].address == 0x1210000000ull);
	put(0x24, 0x13);
	assert_int_equal(bar_calls, 2);
	assert_int_equal(last_bar, 4);
	assert_true(f.bars[4].address == 0x1310000000ull);
	put(0x20, 0xffffffff);
	put(0x24, 0xffffffff);
	assert_false(f.bars[4].mapped);
	assert_int_equal(get(0x20), 0xffffc004);
	/* Both halves in one access, as ECAM allows. */
	(void)pci_function_write(&f, 0x20, 8, 0x2200000000ull);
	assert_true(f.bars[4].mapped);
	assert_true(f.bars[4].address == 0x2200000000ull);
}

static void callbacks_are_optional(void **state)
{
	static const struct pci_function_ops none;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		pci_function_init(&f, &identity, i == 0 ? NULL : &none, NULL);
		add_bar(0, 0, 4096);
		put(0x10, 0xc0000000);
		put(PCI_COMMAND, PCI_COMMAND_MEMORY);
		assert_true(f.bars[0].mapped);
	}
}

static void reset_unmaps(void **state)
{
	(void)state;
	add_bar(0, 0, 4096);
	put(0x10, 0xc0000000);
	put(PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_true(f.bars[0].mapped);
	pci_function_reset(&f);
	assert_false(f.bars[0].mapped);
	assert_int_equal(bar_calls, 2);
	assert_int_equal(get(0x10), 0);
	assert_int_equal(get(PCI_COMMAND), 0);
}

static void capabilities_are_linked(void **state)
{
	unsigned first = 0;
	unsigned second = 0;
	unsigned third = 0;

	(void)state;
	assert_int_equal(get(PCI_CAPABILITIES), 0);
	assert_int_equal(pci_function_add_capability(&f, 0x05, 14, &first), HV_OK);
	assert_int_equal(pci_function_add_capability(&f, 0x11, 12, &second), HV_OK);
	assert_int_equal(get(PCI_COMMAND) >> 16, PCI_STATUS_CAP_LIST);
	assert_int_equal(get(PCI_CAPABILITIES), first);
	assert_int_equal(first, 0x40);
	assert_int_equal(second, 0x50);
	assert_int_equal(get(first) & 0xffff, second << 8 | 0x05);
	assert_int_equal(get(second) & 0xffff, 0x11);
	assert_int_equal(pci_function_add_capability(&f, 9, 0xa5, &third), HV_E_RANGE);
	assert_int_equal(pci_function_add_capability(&f, 9, 0xa4, &third), HV_OK);
	assert_int_equal(third, 0x5c);
	assert_int_equal(pci_function_add_capability(&f, 9, 2, &third), HV_E_RANGE);
	assert_int_equal(pci_function_add_capability(&f, 9, 0xffffffff, &third), HV_E_RANGE);
	put(PCI_COMMAND, 0);
	put(PCI_CAPABILITIES, 0xffffffff);
	put(first, 0);
	put(second, 0xffffffff);
	assert_int_equal(get(PCI_COMMAND) >> 16, PCI_STATUS_CAP_LIST);
	assert_int_equal(get(PCI_CAPABILITIES), first);
	assert_int_equal(get(first) & 0xffff, second << 8 | 0x05);
	pci_function_reset(&f);
	assert_int_equal(get(first) & 0xffff, second << 8 | 0x05);
}

static void interrupt_pin(void **state)
{
	(void)state;
	pci_function_set_pin(&f, 1);
	assert_int_equal(get(PCI_INTERRUPT_LINE), 0x0100);
	put(PCI_INTERRUPT_LINE, 0xffffff0b);
	assert_int_equal(get(PCI_INTERRUPT_LINE), 0x010b);
	put(PCI_COMMAND, 0xffff);
	assert_int_equal(get(PCI_COMMAND), PCI_COMMAND_INTX_OFF);
}

/* Below D0 the command register stays as it is, and decodes nothing. */
static void a_quiet_function_decodes_no_bar(void **state)
{
	(void)state;
	add_bar(0, 0, 4096);
	put(0x10, 0xc0000000);
	put(0x04, PCI_COMMAND_MEMORY);
	assert_true(f.bars[0].mapped);
	pci_function_set_quiet(&f, true);
	assert_false(f.bars[0].mapped);
	assert_int_equal(bar_calls, 2);
	put(0x10, 0xc8000000);
	assert_false(f.bars[0].mapped);
	pci_function_set_quiet(&f, false);
	assert_true(f.bars[0].mapped);
	assert_int_equal(f.bars[0].address, 0xc8000000);
	pci_function_set_quiet(&f, true);
	pci_function_reset(&f);
	put(0x10, 0xc8000000);
	put(0x04, PCI_COMMAND_MEMORY);
	assert_true(f.bars[0].mapped);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(identity_is_in_its_place),
		T(undeclared_bits_are_read_only),
		T(masks_hold_for_each_width),
		T(accesses_past_the_end),
		T(extended_space),
		T(bars_tell_their_size),
		T(ports_without_a_bar_can_be_switched_on),
		T(sizes_that_no_bar_can_say),
		T(memory_bar_moves),
		T(io_bar_stays_within_64k),
		T(a_rom_is_decoded_when_it_is_enabled),
		T(wide_bar_is_one_address),
		T(callbacks_are_optional),
		T(reset_unmaps),
		T(capabilities_are_linked),
		T(interrupt_pin),
		cmocka_unit_test_setup(a_quiet_function_decodes_no_bar, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
