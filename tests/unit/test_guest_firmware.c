/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that start in firmware: which, where it lies, where they begin. */
#include "hv/guest_firmware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/fw_cfg.h"
#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/guest_varstore.h"
#include "tests/fakes/el_torito_rig.h"
#include "tests/fakes/guest_rig.h"

#define BIOS_SIZE 0x40000u
#define CODE_SIZE 0x30000u
#define VARS_SIZE 0x10000u
#define SECTORS 128u /* the boot catalog of a CD is at 40 KiB */

static uint8_t bios[BIOS_SIZE];
static uint8_t code[CODE_SIZE];
static uint8_t vars[VARS_SIZE];
static _Alignas(BLK_SECTOR) uint8_t image[SECTORS * BLK_SECTOR];

static int firmware_setup(void **state)
{
	(void)setup(state);
	memset(bios, 0xb1, sizeof(bios));
	memset(code, 0xc0, sizeof(code));
	memset(vars, 0x5a, sizeof(vars));
	bios[BIOS_SIZE - 16] = 0xea;
	g->bios = (struct guest_file){bios, sizeof(bios)};
	g->uefi_code = (struct guest_file){code, sizeof(code)};
	g->uefi_vars = (struct guest_file){vars, sizeof(vars)};
	g->kernel = (struct guest_file){NULL, 0};
	g->firmware_kind = CONFIG_FIRMWARE_IS_BIOS;
	g->refused = false;
	return 0;
}

static int firmware_clean(void **state)
{
	int result = clean(state);

	g->firmware_kind = CONFIG_FIRMWARE_NONE;
	config.firmware = CONFIG_FIRMWARE_NONE;
	return result;
}

/* The guest's disks and variables stay with it: what they take is no leak. */
static int disk_clean(void **state)
{
	(void)firmware_clean(state);
	return 0;
}

static uint8_t byte_at(uint64_t address)
{
	uint8_t value = 0;

	assert_int_equal(guest_mem_read(&g->vm, gpa(address), &value, 1), HV_OK);
	return value;
}

static void begins_at_the_reset_vector(void **state)
{
	struct vcpu_segment cs;

	(void)state;
	vm_rig_start(g);
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(g->vm.vcpus[0]->rip, 0xfff0);
	the_backend->get_seg(g->vm.vcpus[0], VCPU_SEG_CS, &cs);
	assert_int_equal(cs.base, 0xffff0000);
	assert_int_equal(byte_at(0xfffffff0), 0xea);
	assert_int_equal(byte_at(LAYOUT_4G - BIOS_SIZE), 0xb1);
	/* Its end below 1 MiB can be written, itself not. */
	assert_int_equal(byte_at(0xffff0), 0xea);
	assert_int_equal(byte_at(0xe0000), 0xb1);
	assert_int_equal(byte_at(0xdffff), 0);
	assert_int_equal(guest_mem_write(&g->vm, gpa(0xffff0), "x", 1), HV_OK);
	assert_int_equal(guest_mem_write(&g->vm, gpa(0xfffffff0), "x", 1), HV_E_RANGE);
}

static void uefi_has_two_parts(void **state)
{
	(void)state;
	g->firmware_kind = CONFIG_FIRMWARE_IS_UEFI;
	assert_true(guest_varstore_open(g));
	vm_rig_start(g);
	assert_int_equal(byte_at(LAYOUT_4G - CODE_SIZE), 0xc0);
	assert_int_equal(byte_at(LAYOUT_4G - CODE_SIZE - 1), 0x5a);
	assert_int_equal(byte_at(LAYOUT_4G - CODE_SIZE - VARS_SIZE), 0x5a);
	assert_int_equal(byte_at(0xfffff), 0xc0);
}

static void is_told_about_the_machine(void **state)
{
	uint64_t value = 0;

	(void)state;
	vm_rig_start(g);
	assert_true(bus_write(&g->vm.pio, FW_CFG_PORT, 2, 0, FW_CFG_SIGNATURE));
	assert_true(bus_read(&g->vm.pio, FW_CFG_PORT + 1, 1, 0, &value));
	assert_int_equal(value, 'Q');
}

/* SeaBIOS looks whether somebody is there before it says anything. */
static void the_debug_port_is_there_for_who_listens(void **state)
{
	uint64_t value = 0;

	(void)state;
	log_set_threshold(LOG_INFO);
	vm_rig_start(g);
	assert_false(bus_read(&g->vm.pio, 0x402, 1, 0, &value));
	vm_rig_end(g);
	log_set_threshold(LOG_DEBUG);
	vm_rig_start(g);
	assert_true(bus_read(&g->vm.pio, 0x402, 1, 0, &value));
	assert_int_equal(value, 0xe9);
}

/* A reset brings back what the guest has changed. */
static void a_reset_starts_it_again(void **state)
{
	(void)state;
	vm_rig_start(g);
	assert_int_equal(guest_mem_write(&g->vm, gpa(0xffff0), "x", 1), HV_OK);
	guest_reset(g, "by the test");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	space_switch(&g->vm.gspace.host);
	assert_int_equal(byte_at(0xffff0), 0xea);
	assert_int_equal(g->vm.vcpus[0]->rip, 0xfff0);
}

static void bad_kernel_is_said(void **state)
{
	(void)state;
	g->kernel = (struct guest_file){bios, 100};
	assert_int_equal(guest_start(g), HV_OK);
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_says("cannot start: telling the firmware about the machine: ");
}

/* The choice by the first disk that boots. */
static void the_disk_decides(void **state)
{
	size_t size = g->uefi_vars.size;

	(void)state;
	blk_registry_init();
	config.firmware = CONFIG_FIRMWARE_AUTO;
	config.disks[0] = (struct config_disk){
		.source = CONFIG_DISK_IMAGE, .name = "images/x.img", .overlay = true};
	config.disk_count = 1;
	g->disk_images[0] = (struct guest_file){image, sizeof(image)};
	assert_true(guest_disks_open(g));
	assert_true(guest_firmware_choose(g));
	assert_int_equal(g->firmware_kind, CONFIG_FIRMWARE_IS_BIOS);
	image[446 + 4] = 0xef;
	image[510] = 0x55;
	image[511] = 0xaa;
	assert_true(guest_firmware_choose(g));
	assert_int_equal(g->firmware_kind, CONFIG_FIRMWARE_IS_UEFI);
	g->uefi_vars.size = 0;
	/* A CD for both, written to a disk: by the firmware that is there. */
	el_torito_rig_make(image, 20, 0x00);
	assert_true(guest_firmware_choose(g));
	assert_int_equal(g->firmware_kind, CONFIG_FIRMWARE_IS_BIOS);
	g->uefi_vars.size = size;
	assert_true(guest_firmware_choose(g));
	assert_int_equal(g->firmware_kind, CONFIG_FIRMWARE_IS_UEFI);
	g->uefi_vars.size = 0;
	image[17 * EL_TORITO_SECTOR] = 1;
	assert_false(guest_firmware_choose(g));
	assert_true(g->refused);
	assert_string_equal(g->reason, "disk 0 boots by UEFI, and there is no "
				       "firmware/OVMF_VARS_4M.fd below \\bulkhead");
	config.firmware = CONFIG_FIRMWARE_IS_BIOS;
	assert_true(guest_firmware_choose(g));
	assert_int_equal(g->firmware_kind, CONFIG_FIRMWARE_IS_BIOS);
}

/* The code in its first sector may look like an MBR's type. */
static void a_floppy_is_for_a_bios(void **state)
{
	(void)state;
	blk_registry_init();
	config.firmware = CONFIG_FIRMWARE_AUTO;
	config.disks[0] = (struct config_disk){.source = CONFIG_DISK_IMAGE,
					       .bus = CONFIG_DISK_FLOPPY,
					       .name = "images/x.img",
					       .overlay = true};
	config.disk_count = 1;
	memset(image, 0, sizeof(image));
	image[446 + 4] = 0xef;
	image[510] = 0x55;
	image[511] = 0xaa;
	g->disk_images[0] = (struct guest_file){image, sizeof(image)};
	assert_true(guest_disks_open(g));
	assert_true(guest_firmware_choose(g));
	assert_int_equal(g->firmware_kind, CONFIG_FIRMWARE_IS_BIOS);
}

static void boots_from_its_disk(void **state)
{
	char path[48];

	(void)state;
	assert_false(guest_disks_boot_path(g, 0, path, sizeof(path)));
	vm_rig_start(g);
	assert_true(guest_disks_boot_path(g, 0, path, sizeof(path)));
	assert_string_equal(path, "/pci@i0cf8/scsi@2/disk@0,0");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, firmware_setup, firmware_clean)
#define WITH_DISK(name) cmocka_unit_test_setup_teardown(name, firmware_setup, disk_clean)
	const struct CMUnitTest tests[] = {
		T(begins_at_the_reset_vector),
		T(is_told_about_the_machine),
		T(the_debug_port_is_there_for_who_listens),
		T(a_reset_starts_it_again),
		T(bad_kernel_is_said),
		WITH_DISK(the_disk_decides),
		WITH_DISK(boots_from_its_disk),
		WITH_DISK(a_floppy_is_for_a_bios),
		WITH_DISK(uefi_has_two_parts),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
