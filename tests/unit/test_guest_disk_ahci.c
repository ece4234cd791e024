/* SPDX-License-Identifier: Apache-2.0 */
/* All disks of a guest on one AHCI controller, over the life of the guest. */
#include "hv/guest_disk_ahci.h"

#include "guests/devices/ahci.h"
#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "tests/fakes/guest_disk_rig.h"

#define ABAR 0x24u
/* In the guest. */
#define LIST 0x900000u
#define RECEIVED 0x901000u
#define TABLE 0x902000u
#define DATA 0x904000u

static _Alignas(BLK_SECTOR) uint8_t image[64 * BLK_SECTOR];

/* A guest with the machine's disk and an image, and one disk on another bus between them. */
static struct guest *guest_with_two(const char *name)
{
	struct guest_config *config = &bus_configs[bus_config_count++];
	struct guest *g = vm_rig_guest(name, config);
	const struct config_disk disk = {.source = CONFIG_DISK_WHOLE,
					 .name = "S1",
					 .serial = "one",
					 .bus = CONFIG_DISK_AHCI};
	struct config_disk on_image = {.source = CONFIG_DISK_IMAGE,
				       .name = "images/x.img",
				       .readonly = true,
				       .serial = "two"};

	config->cpus = 2;
	config->disks[0] = disk;
	config->disks[1] = on_image;
	on_image.bus = CONFIG_DISK_AHCI;
	strcpy(on_image.serial, "three");
	config->disks[2] = on_image;
	config->disk_count = 3;
	g->disk_images[1] = g->disk_images[2] = (struct guest_file){image, sizeof(image)};
	assert_true(guest_disks_open(g));
	vm_rig.pool_bytes = pool_bytes_used();
	return g;
}

static void lives(void **state)
{
	(void)state;
	bus_lives(bus_guest("four", CONFIG_DISK_AHCI, 4), AHCI_CLASS);
}

static void without_memory(void **state)
{
	(void)state;
	bus_without_memory(bus_guest("poor", CONFIG_DISK_AHCI, 4));
}

static uint64_t reg_read(struct guest *g, unsigned reg)
{
	uint64_t base = bus_config_read(g, LAYOUT_DEVFN_SATA, ABAR) & ~0xfu;
	uint64_t value = 0;

	assert_true(bus_read(&g->vm.mmio, base + reg, 4, 0, &value));
	return value;
}

static void reg_write(struct guest *g, unsigned reg, uint64_t value)
{
	uint64_t base = bus_config_read(g, LAYOUT_DEVFN_SATA, ABAR) & ~0xfu;

	assert_true(bus_write(&g->vm.mmio, base + reg, 4, 0, value));
}

static void enable(struct guest *g)
{
	(void)bus_config_read(g, LAYOUT_DEVFN_SATA, PCI_COMMAND);
	(void)bus_write(&g->vm.pio, 0xcfc, 2, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* A port for each disk on this bus, none for the other, and the function where a q35 has it. */
static void one_controller_for_all(void **state)
{
	struct guest *g = guest_with_two("both");
	char path[80];

	(void)state;
	vm_rig_start(g);
	assert_int_equal(bus_find_class(g, AHCI_CLASS), LAYOUT_DEVFN_SATA);
	assert_int_equal(bus_config_read(g, 0x10, 0) & 0xffff, 0x1af4);
	enable(g);
	assert_int_equal(reg_read(g, AHCI_PI), 3);
	assert_ptr_equal(g->disks[0]->model, g->disks[2]->model);
	assert_ptr_not_equal(g->disks[0]->model, g->disks[1]->model);
	assert_true(guest_disks_boot_path(g, 2, path, sizeof(path)));
	assert_string_equal(path, "/pci@i0cf8/pci8086,2922@1f,2/drive@1/disk@0");
	vm_rig_end(g);
	assert_null(g->disks[2]->model);
	assert_false(vm_rig_leaks());
}

static void put(struct guest *g, uint64_t addr, const void *bytes, size_t n)
{
	assert_int_equal(guest_mem_write(&g->vm, gpa(addr), bytes, n), HV_OK);
}

/* From power-on to a read of the first 4 KiB. */
static void read_something(struct guest *g)
{
	static const uint8_t fis[20] = {0x27, 0x80, ATA_READ_DMA_EXT, [7] = 0x40, [12] = 8};
	const struct ahci_header header = {.flags = 5, .prd_count = 1, .table = TABLE};
	const struct ahci_prd region = {.address = DATA, .size = 4095};

	enable(g);
	put(g, LIST, &header, sizeof(header));
	put(g, TABLE, fis, sizeof(fis));
	put(g, TABLE + AHCI_TABLE_REGIONS, &region, sizeof(region));
	reg_write(g, AHCI_PORTS + AHCI_PXCLB, LIST);
	reg_write(g, AHCI_PORTS + AHCI_PXFB, RECEIVED);
	reg_write(g, AHCI_PORTS + AHCI_PXCMD, AHCI_PXCMD_FRE | AHCI_PXCMD_ST);
	reg_write(g, AHCI_PORTS + AHCI_PXCI, 1);
}

static void stopping_waits_for_the_disk(void **state)
{
	(void)state;
	bus_stop_waits(bus_guest("waiting", CONFIG_DISK_AHCI, 1), read_something);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(lives, bus_clean),
		cmocka_unit_test_teardown(one_controller_for_all, bus_clean),
		cmocka_unit_test_teardown(stopping_waits_for_the_disk, bus_clean),
		/* The pool keeps what it took of the machine's memory. */
		cmocka_unit_test_teardown(without_memory, bus_clean),
	};

	return cmocka_run_group_tests(tests, bus_machine, NULL);
}
