/* SPDX-License-Identifier: Apache-2.0 */
/* NICs come with a guest's VM and go with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/guest_net.h"
#include "hv/setup_net.h"
#include "mm/pool.h"
#include "tests/fakes/guest_rig.h"

static struct machine_config machine_config;

static int rig(void **state)
{
	(void)machine(state);
	machine_config.network_count = 2;
	config_default_network(span_of("lan"), &machine_config.networks[0].net);
	config_default_network(span_of("any"), &machine_config.networks[1].net);
	machine_config.networks[1].net.any_mac = true;
	setup_networks(&machine_config);
	/* Networks stay, so does what frames have left in their lists. */
	vm_rig.pool_bytes = pool_bytes_used();
	return 0;
}

static void set_nic(unsigned i, const char *network)
{
	config.nets[i] = (struct config_net){.mac = config_make_mac(span_of("web"), i)};
	(void)str_copy(config.nets[i].network, NETWORK_NAME_MAX, span_of(network));
	config.net_count = i + 1;
}

static int setup_net(void **state)
{
	memset(config.nets, 0, sizeof(config.nets));
	config.net_count = 0;
	return setup(state);
}

static struct network *lan(void)
{
	return network_find(span_of("lan"));
}

static unsigned ports(void)
{
	return (unsigned)__builtin_popcountll(lan()->connected);
}

static void a_guest_without_nics_has_none(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_null(g->nics[0]);
	assert_int_equal(g->board->pci_count, 0);
	assert_int_equal(ports(), 0);
}

static void nics_are_on_the_board_and_on_their_networks(void **state)
{
	uint64_t value;

	(void)state;
	set_nic(0, "lan");
	set_nic(1, "any");
	set_nic(2, "lan");
	config.nets[2].rate = 4096;
	config.nets[2].isolated = true;
	vm_rig_start(g);
	assert_int_equal(g->board->pci_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct network_port *port = network_port_of(g->nics[i]->port);

		assert_string_equal(port->network->cfg.name, config.nets[i].network);
		assert_memory_equal(&g->nics[i]->port->mac, &config.nets[i].mac, 6);
		assert_int_equal(port->cfg.rate, config.nets[i].rate);
		/* Vendor and device of a virtio NIC. */
		assert_true(
			bus_read(&g->vm.mmio,
				 LAYOUT_ECAM_BASE + ((uint64_t)LAYOUT_DEVFN_FIRST + i * 8) * 4096,
				 4, 0, &value));
		assert_int_equal(value, 0x10411af4);
	}
	assert_string_equal(g->nics[2]->name, "web/2");
	assert_int_equal(ports(), 2);
	assert_int_equal(__builtin_popcountll(lan()->isolated), 1);
	/* Only where the network leaves it to guests may they choose an address. */
	assert_true(g->nics[0]->virtio.mac_fixed);
	assert_false(g->nics[1]->virtio.mac_fixed);
}

static uint32_t identity_of(unsigned nic)
{
	uint64_t value;

	assert_true(bus_read(&g->vm.mmio,
			     LAYOUT_ECAM_BASE + ((uint64_t)LAYOUT_DEVFN_FIRST + nic * 8) * 4096, 4,
			     0, &value));
	return (uint32_t)value;
}

static void each_is_of_the_model_that_was_asked_for(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		set_nic(i, "lan");
	}
	config.nets[1].model = CONFIG_NIC_E1000;
	config.nets[2].model = CONFIG_NIC_E1000E;
	vm_rig_start(g);
	assert_int_equal(identity_of(0), 0x10411af4);
	assert_int_equal(identity_of(1), 0x100e8086);
	assert_int_equal(identity_of(2), 0x10d38086);
	assert_int_equal(identity_of(3), 0x10411af4);
	assert_int_equal(ports(), 4);
	assert_memory_equal(&g->nics[2]->port->mac, &config.nets[2].mac, 6);
	/* What the guest reads from the card is the address that the switch knows. */
	assert_memory_equal(&g->nics[2]->e1000.state.rom.words, &config.nets[2].mac, 6);
}

/* The ROM's register is there; firmware is told of the NICs by their places. */
static void a_nic_has_its_rom(void **state)
{
	static uint8_t bytes[512] = {
		[0] = 0x55, [1] = 0xaa, [0x18] = 0x20, [0x30] = 1, [0x35] = 0x80};
	char path[48];

	(void)state;
	memcpy(bytes + 0x20, "PCIR\x86\x80\x0e\x10", 8);
	set_nic(0, "lan");
	set_nic(1, "lan");
	config.nets[1].model = CONFIG_NIC_E1000;
	g->nic_roms[1] = (struct guest_file){bytes, sizeof(bytes)};
	vm_rig_start(g);
	assert_int_equal(g->nics[0]->pci->function.bars[PCI_BAR_ROM].size, 0);
	assert_int_equal(g->nics[1]->pci->function.bars[PCI_BAR_ROM].size, 2048);
	guest_net_boot_path(g, 1, path, sizeof(path));
	assert_string_equal(path, "/pci@i0cf8/ethernet@3/ethernet-phy@0");
	vm_rig_end(g);
	g->nic_roms[1] = (struct guest_file){NULL, 0};
}

static void they_go_with_the_vm_and_come_back(void **state)
{
	(void)state;
	set_nic(0, "lan");
	set_nic(1, "any");
	set_nic(2, "any");
	config.nets[1].model = CONFIG_NIC_E1000;
	config.nets[2].model = CONFIG_NIC_E1000E;
	for (unsigned i = 0; i < 3; i++) {
		vm_rig_start(g);
		assert_int_equal(ports(), 1);
		vm_rig_end(g);
		assert_int_equal(ports(), 0);
		assert_null(g->nics[0]);
		assert_null(g->nics[2]);
		assert_false(vm_rig_leaks());
	}
}

static void work_for_a_nic_is_dropped_with_it(void **state)
{
	(void)state;
	set_nic(0, "lan");
	vm_rig_start(g);
	vwork_ask(&g->nics[0]->virtio.work[0].vwork, 0);
	assert_false(list_empty(&g->vm.work.waiting));
}

static void so_is_the_work_of_a_card(void **state)
{
	(void)state;
	set_nic(0, "lan");
	config.nets[0].model = CONFIG_NIC_E1000E;
	vm_rig_start(g);
	vwork_ask(&g->nics[0]->e1000.work, 0);
	assert_false(list_empty(&g->vm.work.waiting));
}

static void a_network_that_is_missing_stops_the_start(void **state)
{
	(void)state;
	set_nic(0, "lan");
	set_nic(1, "nowhere");
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_says("guest web: stopped: cannot start: creating the machine: ");
	assert_int_equal(ports(), 0);
}

static void an_address_that_is_taken_stops_the_start(void **state)
{
	(void)state;
	set_nic(0, "lan");
	set_nic(1, "lan");
	config.nets[1].mac = config.nets[0].mac;
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_int_equal(ports(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_net, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_without_nics_has_none),
		TEST(nics_are_on_the_board_and_on_their_networks),
		TEST(each_is_of_the_model_that_was_asked_for),
		TEST(a_nic_has_its_rom),
		TEST(they_go_with_the_vm_and_come_back),
		TEST(work_for_a_nic_is_dropped_with_it),
		TEST(so_is_the_work_of_a_card),
		TEST(a_network_that_is_missing_stops_the_start),
		TEST(an_address_that_is_taken_stops_the_start),
	};

	return cmocka_run_group_tests(tests, rig, NULL);
}
