/* SPDX-License-Identifier: Apache-2.0 */
/* Which floppy is which drive, ports and interrupt, media, what is told of them. */
#include "hv/guest_disk_floppy.h"

#include "tests/fakes/guest_disk_rig.h"

static uint8_t images[2][720 * 1024];

/* A guest with a read-only floppy of 720K and one of 360K. */
static struct guest *floppy_guest(const char *name)
{
	static const uint64_t sizes[] = {720 * 1024, 360 * 1024};
	struct guest_config *config = &bus_configs[bus_config_count++];
	struct guest *g = vm_rig_guest(name, config);

	config->cpus = 1;
	for (unsigned i = 0; i < 2; i++) {
		struct config_disk *d = &config->disks[config->disk_count++];

		*d = (struct config_disk){.source = CONFIG_DISK_IMAGE,
					  .bus = CONFIG_DISK_FLOPPY,
					  .readonly = i == 0,
					  .overlay = i == 1};
		fmt_snprintf(d->name, sizeof(d->name), "floppy%u.img", i);
		fmt_snprintf(d->serial, sizeof(d->serial), "disk%u", i);
		g->disk_images[i] = (struct guest_file){images[i], sizes[i]};
	}
	assert_true(guest_disks_open(g));
	vm_rig.pool_bytes = pool_bytes_used();
	return g;
}

static uint64_t in(struct guest *g, uint16_t port)
{
	uint64_t value = 0;

	(void)bus_read(&g->vm.pio, port, 1, 0, &value);
	return value;
}

static void out(struct guest *g, uint16_t port, uint8_t value)
{
	(void)bus_write(&g->vm.pio, port, 1, 0, value);
}

static void ports_and_drives(void **state)
{
	struct guest *g = floppy_guest("ports");
	char path[48];

	(void)state;
	vm_rig_start(g);
	assert_int_equal(in(g, 0x3f6), 0xff); /* the disks' */
	out(g, 0x3f2, 0x0c);
	assert_int_equal(in(g, 0x3f4), FDC_MSR_RQM);
	assert_int_equal(in(g, 0x3f0) & 0x42, 0); /* two drives, the first protected */
	assert_int_equal(in(g, 0x3f7) & FDC_DIR_CHANGED, FDC_DIR_CHANGED);
	assert_true(guest_disks_boot_path(g, 1, path, sizeof(path)));
	assert_string_equal(path, "/pci@i0cf8/isa@1f/fdc@03f0/floppy@1");
	vm_rig_end(g);
	assert_null(g->disks[0]->model);
	assert_null(g->disks[1]->model);
}

static void cmos_knows_them(void **state)
{
	struct guest *g = floppy_guest("cmos");

	(void)state;
	vm_rig_start(g);
	out(g, 0x70, 0x10);
	assert_int_equal(in(g, 0x71), 0x31);
	out(g, 0x70, 0x14);
	assert_int_equal(in(g, 0x71) & 0xc1, 0x41);
	vm_rig_end(g);
}

static void media_come_and_go(void **state)
{
	struct guest *g = floppy_guest("media");

	(void)state;
	assert_int_equal(guest_disks_eject(g, 0, false), HV_E_UNSUPPORTED);
	vm_rig_start(g);
	assert_int_equal(guest_disks_eject(g, 1, false), HV_OK);
	assert_int_equal(guest_disks_eject(g, 1, true), HV_E_NOT_FOUND);
	assert_int_equal(guest_disks_eject(g, 0, false), HV_OK);
	assert_int_equal(guest_disks_insert(g, 1), HV_OK);
	assert_int_equal(guest_disks_eject(g, 1, false), HV_OK);
	vm_rig_end(g);
}

static void without_floppies_there_is_nothing(void **state)
{
	struct guest *g = bus_guest("none", CONFIG_DISK_VIRTIO, 1);

	(void)state;
	vm_rig_start(g);
	assert_int_equal(in(g, 0x3f4), 0xff);
	assert_null(bus_find(&g->vm.pio, FDC_PORT));
	out(g, 0x70, 0x10);
	assert_int_equal(in(g, 0x71), 0);
	vm_rig_end(g);
}

static void without_memory(void **state)
{
	(void)state;
	bus_without_memory(floppy_guest("poor"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(ports_and_drives, bus_clean),
		cmocka_unit_test_teardown(cmos_knows_them, bus_clean),
		cmocka_unit_test_teardown(media_come_and_go, bus_clean),
		cmocka_unit_test_teardown(without_floppies_there_is_nothing, bus_clean),
		cmocka_unit_test_teardown(without_memory, bus_clean),
	};

	return cmocka_run_group_tests(tests, bus_machine, NULL);
}
