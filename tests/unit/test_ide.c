/* SPDX-License-Identifier: Apache-2.0 */
/* The IDE function: configuration space, set-up, resets, media. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ide_rig.h"

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

static void test_configuration_space(void **state)
{
	(void)state;
	assert_int_equal(rig_config_read(PCI_VENDOR_ID, 4), 0x70108086);
	assert_int_equal(rig_config_read(PCI_CLASS, 4) & 0xffffff, 0x010180);
	assert_int_equal(rig_config_read(PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(rig_config_read(0x40, 4), 0x80008000); /* both decode */
	rig_config_write(0x40, 2, 0x2307);
	assert_int_equal(rig_config_read(0x40, 2), 0xa307);
	rig_config_write(PCI_BAR0 + 16, 4, 0xffffffff);
	assert_int_equal(rig_config_read(PCI_BAR0 + 16, 4), 0xfffffff1);
	assert_int_equal(rig_config_read(PCI_BAR0, 4), 0);
}

/* Its timing registers are where capabilities of other functions begin. */
static void test_timing_registers_are_no_capabilities(void **state)
{
	unsigned at = rig_config_read(PCI_CAPABILITIES, 1);

	(void)state;
	rig_config_write(0x40, 4, 0xffffffff);
	rig_config_write(0x44, 1, 0xff);
	assert_int_equal(rig_config_read(0x44, 1), 0xff);
	for (unsigned i = 0; i < 2; i++) {
		assert_in_range(at, 0x48, 0xfc);
		assert_int_equal(rig_config_read(at, 1), i == 0 ? PCI_CAP_ADVANCED : PCI_CAP_POWER);
		at = rig_config_read(at + 1, 1);
	}
	assert_int_equal(at, 0);
}

static void test_not_every_disk(void **state)
{
	struct ide_config cfg = {.units = {{.kind = IDE_DISK, .device = &rig_disk}}};

	(void)state;
	rig_disk.block_size = 8192;
	assert_int_equal(rig_ide(&cfg), HV_E_UNSUPPORTED);
	rig_disk.block_size = 4096;
	rig_disk.max_count = 4;
	assert_int_equal(rig_ide(&cfg), HV_E_UNSUPPORTED);
	cfg.units[0].kind = IDE_CDROM;
	rig_disk.max_count = 2048;
	assert_int_equal(rig_ide(&cfg), HV_E_UNSUPPORTED);
	rig_disk.block_size = 2048;
	assert_int_equal(rig_ide(&cfg), HV_OK);
}

static void test_reset(void **state)
{
	(void)state;
	rig_write_at(0, 2, 1, 4);
	rig_write_at(0, 7, 1, ATA_SET_MULTIPLE);
	rig_master_write(4, 4, 0x1000);
	rig_control(0, ATA_CONTROL_NIEN);
	rig_command(0, ATA_READ_SECTORS, 0, 1);
	rig_disk_holds = true;
	rig_host.dev.ops->reset(&rig_host.dev);
	assert_false(rig_lines[0].level);
	assert_int_equal(rig_status(0), 0xff); /* not decoded any more */
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(rig_status(0), ATA_STATUS_DRDY | ATA_STATUS_DSC);
	assert_int_equal(ide.channels[0].units[0].disk.state.multiple, ATA_MULTIPLE_MAX);
	assert_int_equal(ide.channels[0].control, 0);
	assert_int_equal(rig_master_read(4, 4), 0);
}

/* A soft reset forgets no setting. */
static void test_soft_reset_keeps_settings(void **state)
{
	(void)state;
	rig_write_at(0, 2, 1, 4);
	rig_write_at(0, 7, 1, ATA_SET_MULTIPLE);
	rig_control(0, ATA_CONTROL_SRST);
	rig_control(0, 0);
	assert_int_equal(ide.channels[0].units[0].disk.state.multiple, 4);
}

static void test_media(void **state)
{
	(void)state;
	assert_int_equal(ide_eject(&ide, RIG_DISK, true), HV_E_UNSUPPORTED);
	assert_int_equal(ide_eject(&ide, 99, true), HV_E_UNSUPPORTED);
	assert_int_equal(ide_insert(&ide, RIG_DISK, &rig_disk), HV_E_UNSUPPORTED);
	assert_int_equal(ide_eject(&ide, RIG_CD, false), HV_OK);
	assert_int_equal(ide_eject(&ide, RIG_CD, false), HV_E_NOT_FOUND);
	rig_disk.block_size = 4096;
	assert_int_equal(ide_insert(&ide, RIG_CD, &rig_disk), HV_E_UNSUPPORTED);
	rig_disk.block_size = 512;
	assert_int_equal(ide_insert(&ide, RIG_CD, &rig_disk), HV_OK);
	assert_ptr_equal(ide.channels[1].units[0].drive.medium, &rig_disk);
	ide.channels[1].units[0].drive.state.locked = true;
	assert_int_equal(ide_eject(&ide, RIG_CD, false), HV_E_BUSY);
	assert_int_equal(ide_eject(&ide, RIG_CD, true), HV_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_configuration_space, setup),
		cmocka_unit_test_setup(test_timing_registers_are_no_capabilities, setup),
		cmocka_unit_test_setup(test_not_every_disk, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(test_soft_reset_keeps_settings, setup),
		cmocka_unit_test_setup(test_media, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
