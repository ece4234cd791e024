/* SPDX-License-Identifier: Apache-2.0 */
/* ROMs of NICs in a guest's device memory, seen by it where the card's register says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/guest_devmem.h"
#include "hv/guest_net.h"
#include "hv/setup_net.h"
#include "mm/pool.h"
#include "tests/fakes/guest_rig.h"

#define DEVICE (LAYOUT_ECAM_BASE + ((uint64_t)LAYOUT_DEVFN_FIRST << 12))
#define ROM 0xd0000000u
#define ROM_BYTES 10240u /* two pages and a half, in a space of four */
#define LAST_PAGE 8192u

static struct machine_config machine_config;
static uint8_t file[ROM_BYTES];

static int rig(void **state)
{
	(void)machine(state);
	machine_config.network_count = 1;
	config_default_network(span_of("lan"), &machine_config.networks[0].net);
	setup_networks(&machine_config);
	vm_rig.pool_bytes = pool_bytes_used();
	return 0;
}

/* One image, for a virtio NIC. */
static void make_rom(void)
{
	for (unsigned i = 0; i < ROM_BYTES; i++) {
		file[i] = (uint8_t)(i * 7 + 1);
	}
	memset(file, 0, 0x100);
	file[0] = 0x55;
	file[1] = 0xaa;
	file[0x18] = 0x20;
	memcpy(file + 0x20, "PCIR\xf4\x1a\x41\x10", 8);
	file[0x30] = ROM_BYTES / 512;
	file[0x35] = 0x80;
}

static int setup_rom(void **state)
{
	int status = setup(state);

	make_rom();
	config.nets[0] = (struct config_net){.mac = config_make_mac(span_of("web"), 0)};
	(void)str_copy(config.nets[0].network, NETWORK_NAME_MAX, span_of("lan"));
	config.net_count = 1;
	g->nic_roms[0] = (struct guest_file){file, ROM_BYTES};
	return status;
}

static void set_config(unsigned reg, uint64_t value)
{
	assert_true(bus_write(&g->vm.mmio, DEVICE + reg, 4, 0, value));
}

static uint64_t read_bus(uint64_t addr)
{
	uint64_t value = 0;

	assert_true(bus_read(&g->vm.mmio, addr, 1, 0, &value));
	return value;
}

static bool sees(uint64_t addr)
{
	struct pt_leaf leaf;

	return pt_lookup(&g->vm.gspace.stage2, addr, &leaf) && leaf.attr.rights == PT_R;
}

static void map_rom(uint32_t where)
{
	set_config(PCI_ROM_BASE, where | PCI_ROM_ENABLE);
	set_config(PCI_COMMAND, PCI_COMMAND_MEMORY);
}

static void the_guest_reads_it_without_exits(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_false(sees(ROM));
	map_rom(ROM);
	assert_true(sees(ROM) && sees(ROM + LAST_PAGE) && !sees(ROM + LAST_PAGE + PAGE_SIZE));
	assert_true((atomic_load(&g->vm.vcpus[0]->requests) & VCPU_REQ_TLB_FLUSH) != 0);
	/* The same as a read that is emulated finds. */
	space_switch(&g->vm.gspace.host);
	for (unsigned i = 0; i < LAST_PAGE + PAGE_SIZE; i++) {
		const uint8_t *byte = gspace_devmem_ptr(g->nics[0]->rom.offset + i);

		assert_int_equal(*byte, i < ROM_BYTES ? file[i] : 0xff);
		assert_int_equal(*byte, read_bus(ROM + i));
	}
	space_switch(space_core());
}

static void it_moves_and_goes_with_its_register(void **state)
{
	(void)state;
	vm_rig_start(g);
	map_rom(ROM);
	map_rom(ROM + 0x4000);
	assert_true(!sees(ROM) && sees(ROM + 0x4000));
	/* While its size is looked for it lies over the LAPICs. */
	set_config(PCI_ROM_BASE, 0xffffffff);
	assert_true(!sees(ROM + 0x4000) && !sees(0xffffc000));
	map_rom(ROM);
	assert_true(sees(ROM));
	set_config(PCI_ROM_BASE, ROM);
	assert_false(sees(ROM));
	map_rom(ROM);
	set_config(PCI_COMMAND, 0);
	assert_false(sees(ROM));
}

static void small_ones_stay_emulated(void **state)
{
	(void)state;
	g->nic_roms[0].size = 2048;
	file[0x30] = 2048 / 512;
	vm_rig_start(g);
	assert_int_equal(g->vm.gspace.devmem.size, 0);
	map_rom(ROM);
	assert_false(sees(ROM));
	assert_int_equal(read_bus(ROM + 2047), file[2047]);
}

static void it_goes_with_the_vm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		vm_rig_start(g);
		map_rom(ROM);
		vm_rig_end(g);
		assert_false(vm_rig_leaks());
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_rom, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_guest_reads_it_without_exits),
		TEST(it_moves_and_goes_with_its_register),
		TEST(small_ones_stay_emulated),
		TEST(it_goes_with_the_vm),
	};

	return cmocka_run_group_tests(tests, rig, NULL);
}
