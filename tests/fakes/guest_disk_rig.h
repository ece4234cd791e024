/* SPDX-License-Identifier: Apache-2.0 */
/* Guests with one disk on a bus, in a whole hypervisor (vm_rig.h), and their way to PCI. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/pci_format.h"
#include "hv/guest_disks.h"
#include "hv/work.h"
#include "mm/pool.h"
#include "tests/fakes/disk_rig.h"
#include "tests/fakes/vm_rig.h"

#define BUS_DISK_BLOCKS 300u

static struct disk_rig bus_disk;
static struct guest_config bus_configs[8];
static unsigned bus_config_count;

static inline int bus_machine(void **state)
{
	(void)state;
	vm_rig_machine(true);
	disk_rig_init(&bus_disk, "nvme0", BUS_DISK_BLOCKS, 512);
	strcpy(bus_disk.dev.serial, "S1");
	blk_registry_add(&bus_disk.dev);
	blk_registry_scan();
	return 0;
}

/* Guests cannot be taken out again: each test has its own, and gives its claims back. */
static inline int bus_clean(void **state)
{
	(void)state;
	for (unsigned i = 0; i < guest_count(); i++) {
		blk_registry_release(guest_at(i)->vm.name);
	}
	bus_disk.holds = false;
	return 0;
}

/* A guest that has the machine's disk. */
static inline struct guest *bus_guest(const char *name, enum config_disk_bus bus, unsigned cpus)
{
	struct guest_config *config = &bus_configs[bus_config_count++];
	struct guest *g = vm_rig_guest(name, config);

	config->cpus = cpus;
	config->disks[config->disk_count++] = (struct config_disk){
		.source = CONFIG_DISK_WHOLE, .name = "S1", .serial = "disk0", .bus = bus};
	assert_true(guest_disks_open(g));
	vm_rig.pool_bytes = pool_bytes_used();
	return g;
}

static inline uint32_t bus_config_read(struct guest *g, unsigned devfn, unsigned offset)
{
	uint64_t value = 0;

	(void)bus_write(&g->vm.pio, 0xcf8, 4, 0, 0x80000000u | devfn << 8 | offset);
	(void)bus_read(&g->vm.pio, 0xcfc, 4, 0, &value);
	return (uint32_t)value;
}

/* Where a function of this class (24 bits) is; 256: nowhere. */
static inline unsigned bus_find_class(struct guest *g, uint32_t class_code)
{
	unsigned devfn = 0;

	while (devfn < 256 && bus_config_read(g, devfn, 8) >> 8 != class_code) {
		devfn++;
	}
	return devfn;
}

/* Starts and ends a guest twice: the device is there, and nothing is left of it. */
static inline void bus_lives(struct guest *g, uint32_t class_code)
{
	for (unsigned i = 0; i < 2; i++) {
		vm_rig_start(g);
		assert_non_null(g->disks[0]->model);
		assert_true(bus_find_class(g, class_code) < 256);
		vm_rig_end(g);
		assert_null(g->disks[0]->model);
		assert_false(vm_rig_leaks());
	}
}

/* The VM's memory stays until the machine's disk is done with what the guest asked for by `read`.
 */
static inline void bus_stop_waits(struct guest *g, void (*read)(struct guest *g))
{
	vm_rig_start(g);
	bus_disk.holds = true;
	read(g);
	assert_int_equal(bus_disk.open_count, 1);
	guest_stop(g, GUEST_END_REQUEST, "by request");
	for (unsigned i = 0; i < 20; i++) {
		work_step();
		assert_int_equal(g->state, GUEST_STOPPING);
		assert_non_null(g->board);
	}
	disk_rig_finish(&bus_disk, 0);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_false(vm_rig_leaks());
}

/* Memory that gives out anywhere in between is given back, and the guest stops with a reason. */
static inline void bus_without_memory(struct guest *g)
{
	void *taken[64];
	unsigned count = 0;

	while (count < 64 && (taken[count] = pool_pages(9)) != NULL) {
		count++;
	}
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	while (count > 0) {
		pool_pages_free(taken[--count], 9);
	}
	assert_false(vm_rig_leaks());
}
