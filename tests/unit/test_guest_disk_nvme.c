/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/guest_disk_nvme.h"

#include "guests/devices/nvme_ctl.h"
#include "hv/api/gmem.h"
#include "tests/fakes/guest_disk_rig.h"

/* Queues and data in the guest. */
#define ADMIN_SQ 0x900000u
#define ADMIN_CQ 0x901000u
#define IO_SQ 0x902000u
#define IO_CQ 0x903000u
#define DATA 0x904000u

static void lives(void **state)
{
	(void)state;
	bus_lives(bus_guest("four", CONFIG_DISK_NVME, 4), NVME_CLASS);
}

static void reg_write(struct guest *g, unsigned reg, unsigned size, uint64_t value)
{
	unsigned devfn = bus_find_class(g, NVME_CLASS);
	uint64_t base = bus_config_read(g, devfn, PCI_BAR0) & ~0xfu;

	assert_true(bus_write(&g->vm.mmio, base + reg, size, 0, value));
}

static void put(struct guest *g, uint64_t queue, unsigned place, struct nvme_command c)
{
	assert_int_equal(guest_mem_write(&g->vm, gpa(queue + place * sizeof(c)), &c, sizeof(c)),
			 HV_OK);
}

/* From power-on to a Read of the first 4 KiB. */
static void read_something(struct guest *g)
{
	unsigned devfn = bus_find_class(g, NVME_CLASS);

	(void)bus_config_read(g, devfn, PCI_COMMAND);
	(void)bus_write(&g->vm.pio, 0xcfc, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	reg_write(g, NVME_AQA, 4, 0x000f000f);
	reg_write(g, NVME_ASQ, 8, ADMIN_SQ);
	reg_write(g, NVME_ACQ, 8, ADMIN_CQ);
	reg_write(g, NVME_CC, 4, NVME_CC_ON);
	put(g, ADMIN_SQ, 0,
	    (struct nvme_command){
		    .opcode = NVME_ADMIN_CREATE_CQ, .prp1 = IO_CQ, .dw10 = 0x70001, .dw11 = 1});
	put(g, ADMIN_SQ, 1,
	    (struct nvme_command){.opcode = NVME_ADMIN_CREATE_SQ,
				  .prp1 = IO_SQ,
				  .dw10 = 0x70001,
				  .dw11 = 0x10001});
	reg_write(g, NVME_DOORBELLS, 4, 2);
	put(g, IO_SQ, 0,
	    (struct nvme_command){.opcode = NVME_READ, .nsid = 1, .prp1 = DATA, .dw12 = 7});
	reg_write(g, NVME_DOORBELLS + 8, 4, 1);
}

static void stopping_waits_for_the_disk(void **state)
{
	(void)state;
	bus_stop_waits(bus_guest("waiting", CONFIG_DISK_NVME, 1), read_something);
}

static void without_memory(void **state)
{
	(void)state;
	bus_without_memory(bus_guest("poor", CONFIG_DISK_NVME, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(lives, bus_clean),
		cmocka_unit_test_teardown(stopping_waits_for_the_disk, bus_clean),
		cmocka_unit_test_teardown(without_memory, bus_clean),
	};

	return cmocka_run_group_tests(tests, bus_machine, NULL);
}
