/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/vga.h"
#include "hv/guest_vga.h"
#include "tests/fakes/guest_rig.h"

#define DEVICE (LAYOUT_ECAM_BASE + ((uint64_t)LAYOUT_DEVFN_VGA << 12))

static int setup_vga(void **state)
{
	int status = setup(state);

	config.vga = true;
	return status;
}

static uint64_t config_read(unsigned reg)
{
	uint64_t value;

	(void)bus_read(&g->vm.mmio, DEVICE + reg, 4, 0, &value);
	return value;
}

static void set_config(unsigned reg, uint64_t value)
{
	(void)bus_write(&g->vm.mmio, DEVICE + reg, 4, 0, value);
}

static void it_is_there_if_wanted(void **state)
{
	uint64_t value = 0;

	(void)state;
	config.vga = false;
	vm_rig_start(g);
	assert_null(g->vga);
	assert_int_equal(config_read(0), 0xffffffff);
	vm_rig_end(g);
	config.vga = true;
	vm_rig_start(g);
	assert_int_equal(config_read(0), 0x11111234);
	/* In text mode, as a BIOS leaves it, with a font. */
	assert_true(bus_read(&g->vm.pio, 0x3cc, 1, 0, &value));
	assert_int_equal(value, 0x67);
	assert_true(bus_read(&g->vm.mmio, 0xb8000, 2, 0, &value));
	assert_int_equal(value, 0x0720);
	assert_true(bus_write(&g->vm.mmio, 0xb8f9e, 2, 0, 0x1f41));
	assert_true(bus_read(&g->vm.mmio, 0xb8f9e, 2, 0, &value));
	assert_int_equal(value, 0x1f41);
	assert_true(bus_read(&g->vm.pio, 0x1ce, 2, 0, &value));
	assert_true(g->board->i8042.cfg.mouse);
}

static void it_goes_with_the_vm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		vm_rig_start(g);
		assert_int_equal(g->vm.gspace.devmem.size, MIB(16) + VGA_TEXT_BYTES);
		vm_rig_end(g);
		assert_null(g->vga);
		assert_false(vm_rig_leaks());
	}
}

static bool sees(uint64_t addr)
{
	struct pt_leaf leaf;

	return pt_lookup(&g->vm.gspace.stage2, addr, &leaf);
}

/* The guest reaches the framebuffer by itself, and is made to forget where it was. */
static void the_framebuffer_is_memory(void **state)
{
	(void)state;
	vm_rig_start(g);
	set_config(PCI_BAR0, 0xd0000000);
	set_config(PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_true(sees(0xd0000000) && sees(0xd0ffffff) && !sees(0xd1000000));
	assert_true((atomic_load(&g->vm.vcpus[0]->requests) & VCPU_REQ_TLB_FLUSH) != 0);
	atomic_store(&g->vm.vcpus[0]->requests, 0);
	set_config(PCI_BAR0, 0xd1000000);
	assert_true(!sees(0xd0000000) && sees(0xd1000000));
	assert_true((atomic_load(&g->vm.vcpus[0]->requests) & VCPU_REQ_TLB_FLUSH) != 0);
	/* Over the IOAPIC and the LAPICs, as while its size is looked for: not there. */
	set_config(PCI_BAR0, 0xffffffff);
	assert_true(!sees(0xd1000000) && !sees(0xff000000) && !sees(0xfec00000));
	set_config(PCI_BAR0, 0);
	assert_true(!sees(0xff000000));
}

static void a_mode_of_bytes_needs_no_exits(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_false(sees(0xa0000));
	(void)bus_write(&g->vm.pio, 0x1ce, 2, 0, 4);
	(void)bus_write(&g->vm.pio, 0x1cf, 2, 0, 1 | 0x80);
	assert_true(sees(0xa0000) && sees(0xaffff) && !sees(0xb0000));
	(void)bus_write(&g->vm.pio, 0x1cf, 2, 0, 0);
	assert_false(sees(0xa0000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_vga, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_there_if_wanted),
		TEST(it_goes_with_the_vm),
		TEST(the_framebuffer_is_memory),
		TEST(a_mode_of_bytes_needs_no_exits),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
