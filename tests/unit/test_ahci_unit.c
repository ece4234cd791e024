/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of an AHCI port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ahci_rig.h"

static int setup(void **state)
{
	struct ahci_config cfg;

	(void)state;
	memset(rig_ram, 0, sizeof(rig_ram));
	rig_disk_init();
	cfg = rig_config(RIG_UNITS);
	rig_ahci_init(&cfg);
	return 0;
}

static uint32_t command_flags(void)
{
	return rig_port_read(0, AHCI_PXCMD);
}

static void read_once(unsigned slot)
{
	const struct rig_command c = {.command = ATA_READ_DMA_EXT, .count = 1, .lba = 5};

	rig_put_command(0, slot, &c, (struct rig_region){RIG_DATA, 512});
	rig_port_write(0, AHCI_PXCI, BIT32(slot));
}

static void after_power_on(void **state)
{
	struct ahci_config cfg = rig_config(1);

	(void)state;
	assert_int_equal(ahci_init(&rig_hba, &cfg), HV_OK);
	assert_int_equal(command_flags(), AHCI_PXCMD_SUD | AHCI_PXCMD_POD);
	assert_int_equal(rig_port_read(0, AHCI_PXSSTS), 0x123);
	assert_int_equal(rig_port_read(0, AHCI_PXSIG), 0x101);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x150);
	assert_int_equal(rig_port_read(0, AHCI_PXIE), 0);
	assert_int_equal(rig_port_read(0, AHCI_PXIS), AHCI_PXIS_PCS | AHCI_PXIS_PRCS);
	assert_int_equal(rig_port_read(0, 0x40), 0); /* PxFBS */
}

static void addresses(void **state)
{
	(void)state;
	rig_port_write(0, AHCI_PXCLB, UINT32_MAX);
	rig_port_write(0, AHCI_PXCLBU, 0x12345678);
	rig_port_write(0, AHCI_PXFB, UINT32_MAX);
	rig_port_write(0, AHCI_PXFBU, 0x9abcdef0);
	assert_int_equal(rig_port_read(0, AHCI_PXCLB), 0xfffffc00);
	assert_int_equal(rig_port_read(0, AHCI_PXCLBU), 0x12345678);
	assert_int_equal(rig_port_read(0, AHCI_PXFB), 0xffffff00);
	assert_int_equal(rig_port_read(0, AHCI_PXFBU), 0x9abcdef0);
	assert_int_equal(rig_units[0].state.list, 0x12345678fffffc00);
	assert_int_equal(rig_port_read(1, AHCI_PXCLB), rig_list(1));
}

static void what_may_be_written(void **state)
{
	(void)state;
	rig_port_write(0, AHCI_PXIE, UINT32_MAX);
	assert_int_equal(rig_port_read(0, AHCI_PXIE), 0x7dc0007f);
	rig_stop(0);
	rig_port_write(0, AHCI_PXCMD, UINT32_MAX & ~AHCI_PXCMD_ST);
	assert_int_equal(command_flags(), AHCI_PXCMD_SUD | AHCI_PXCMD_POD | AHCI_PXCMD_FRE |
						  AHCI_PXCMD_FR | AHCI_PXCMD_ATAPI |
						  AHCI_PXCMD_DLAE);
	rig_port_write(0, AHCI_PXSSTS, 0);
	rig_port_write(0, AHCI_PXSIG, 0);
	rig_port_write(0, AHCI_PXTFD, 0);
	assert_int_equal(rig_port_read(0, AHCI_PXSSTS), 0x123);
	assert_int_equal(rig_port_read(0, AHCI_PXSIG), 0x101);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x150);
}

static void the_engine(void **state)
{
	(void)state;
	assert_int_equal(command_flags() & AHCI_PXCMD_CR, AHCI_PXCMD_CR);
	read_once(9);
	assert_int_equal(bits_get(command_flags(), AHCI_PXCMD_CCS), 9);
	rig_stop(0);
	assert_int_equal(command_flags() & (AHCI_PXCMD_CR | AHCI_PXCMD_CCS), 0);
}

/* As Redox and uniata issue them. */
static void a_command_before_the_start(void **state)
{
	(void)state;
	rig_stop(0);
	read_once(3);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 8);
	assert_int_equal(rig_disk_seen[BLK_READ], 0);
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_ST | AHCI_PXCMD_FRE);
	assert_int_equal(rig_disk_seen[BLK_READ], 1);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
}

static void bits_are_only_set(void **state)
{
	(void)state;
	rig_disk_holds = true;
	read_once(4);
	rig_port_write(0, AHCI_PXCI, 0);
	rig_port_write(0, AHCI_PXSACT, 8);
	rig_port_write(0, AHCI_PXSACT, 0);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0x10);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 8);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
}

static void a_reset_of_the_link(void **state)
{
	const struct rig_command off = {.command = ATA_SET_FEATURES, .features = 0x82};

	(void)state;
	rig_put_command(0, 0, &off, (struct rig_region){0, 0});
	rig_port_write(0, AHCI_PXCI, 1);
	assert_false(rig_units[0].disk.state.write_cache);
	rig_take_events(0);
	rig_stop(0);
	rig_port_write(0, AHCI_PXSCTL, 0x301);
	assert_int_equal(rig_port_read(0, AHCI_PXSCTL), 0x301);
	assert_int_equal(rig_port_read(0, AHCI_PXSSTS), 0);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x7f);
	assert_int_equal(rig_port_read(0, AHCI_PXSIG), UINT32_MAX);
	rig_port_write(0, AHCI_PXSCTL, 0x300);
	assert_int_equal(rig_port_read(0, AHCI_PXSSTS), 0x123);
	assert_int_equal(rig_port_read(0, AHCI_PXSIG), 0x101);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x150);
	assert_true(rig_units[0].disk.state.write_cache);
	rig_port_write(0, AHCI_PXSCTL, 0x311);
	rig_port_write(0, AHCI_PXSCTL, 0x310);
	assert_int_equal(rig_port_read(0, AHCI_PXSSTS), 0x113);
	/* Seen in PxSERR, and from there in PxIS, which cannot clear it. */
	rig_port_write(0, AHCI_PXIS, UINT32_MAX);
	assert_int_equal(rig_port_read(0, AHCI_PXIS), AHCI_PXIS_PCS | AHCI_PXIS_PRCS);
	rig_port_write(0, AHCI_PXSERR, AHCI_PXSERR_DIAG_N);
	assert_int_equal(rig_port_read(0, AHCI_PXIS), AHCI_PXIS_PCS);
	rig_port_write(0, AHCI_PXSERR, AHCI_PXSERR_DIAG_X);
	assert_int_equal(rig_port_read(0, AHCI_PXIS), 0);
}

static void a_link_that_is_off(void **state)
{
	(void)state;
	rig_port_write(0, AHCI_PXSCTL, 4);
	assert_int_equal(rig_port_read(0, AHCI_PXSSTS), 4);
	read_once(0);
	assert_int_equal(rig_disk_seen[BLK_READ], 0);
	rig_port_write(0, AHCI_PXSCTL, 0);
	assert_int_equal(rig_disk_seen[BLK_READ], 1);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
}

/* The device greets when the disk is done with what was before. */
static void a_reset_waits_for_the_disk(void **state)
{
	(void)state;
	rig_disk_holds = true;
	read_once(0);
	rig_port_write(0, AHCI_PXSCTL, 1);
	rig_port_write(0, AHCI_PXSCTL, 0);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x80);
	assert_int_equal(rig_port_read(0, AHCI_PXSIG), UINT32_MAX);
	memset(rig_at(rig_received(0)), 0, 256);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x150);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 0), 0x34);
	assert_int_equal(rig_get(RIG_DATA, 4), 0);
	assert_true(rig_all_free(0));
}

/* Nor does it greet a host that takes FISes while it has a command: it is not ready for others. */
static void a_busy_device_does_not_greet(void **state)
{
	const struct rig_command verify = {.command = ATA_VERIFY_EXT, .count = 1024};
	const struct rig_command identify = {.command = ATA_IDENTIFY};

	(void)state;
	rig_port_write(0, AHCI_PXCMD, 0);
	rig_port_write(0, AHCI_PXSCTL, 1);
	rig_port_write(0, AHCI_PXSCTL, 0);
	rig_disk.max_count = 512;
	rig_disk_holds = true;
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_ST);
	/* All buffers are at the disk. */
	rig_put_command(0, 0, &verify, (struct rig_region){0, 0});
	rig_put_command(0, 1, &identify, (struct rig_region){RIG_DATA, 512});
	rig_port_write(0, AHCI_PXCI, 3);
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_ST | AHCI_PXCMD_FRE);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x80);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 3);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x50);
	assert_true(rig_all_free(0));
}

static void clears_a_device_that_is_busy(void **state)
{
	(void)state;
	rig_disk_holds = true;
	read_once(0);
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_FRE | AHCI_PXCMD_ST | AHCI_PXCMD_CLO);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x80); /* not while it runs */
	rig_stop(0);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x80);
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_FRE | AHCI_PXCMD_CLO);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0);
	assert_int_equal(command_flags() & AHCI_PXCMD_CLO, 0);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	/* By itself, too, when the disk is done. */
	rig_start(0);
	read_once(0);
	rig_stop(0);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x50);
}

static void media_come_and_go(void **state)
{
	struct ahci_config cfg = rig_config(RIG_UNITS);

	(void)state;
	cfg.units[1].is_packet = true;
	rig_ahci_init(&cfg);
	assert_int_equal(ahci_eject(&rig_hba, 0, true), HV_E_UNSUPPORTED);
	assert_int_equal(ahci_insert(&rig_hba, 0, &rig_disk), HV_E_UNSUPPORTED);
	assert_int_equal(ahci_eject(&rig_hba, 1, false), HV_OK);
	assert_false(atapi_is_loaded(&rig_units[1].drive));
	assert_int_equal(ahci_eject(&rig_hba, 1, false), HV_E_NOT_FOUND);
	rig_disk.block_size = 4096;
	assert_int_equal(ahci_insert(&rig_hba, 1, &rig_disk), HV_E_UNSUPPORTED);
	rig_disk.block_size = 2048;
	assert_int_equal(ahci_insert(&rig_hba, 1, &rig_disk), HV_OK);
	assert_true(atapi_is_loaded(&rig_units[1].drive));
}

static void disks_that_cannot_be(void **state)
{
	struct ahci_config cfg = rig_config(1);

	(void)state;
	rig_disk.block_size = 1024;
	assert_int_equal(ahci_init(&rig_hba, &cfg), HV_E_UNSUPPORTED);
	rig_disk.block_size = 4096;
	rig_disk.max_count = 7;
	assert_int_equal(ahci_init(&rig_hba, &cfg), HV_E_UNSUPPORTED);
	rig_disk.max_count = 8;
	cfg = rig_config(1);
	assert_int_equal(ahci_init(&rig_hba, &cfg), HV_OK);
	/* Nor every medium. */
	cfg = rig_config(1);
	cfg.units[0].is_packet = true;
	assert_int_equal(ahci_init(&rig_hba, &cfg), HV_E_UNSUPPORTED);
	rig_disk.block_size = 2048;
	assert_int_equal(ahci_init(&rig_hba, &cfg), HV_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(after_power_on, setup),
		cmocka_unit_test_setup(addresses, setup),
		cmocka_unit_test_setup(what_may_be_written, setup),
		cmocka_unit_test_setup(the_engine, setup),
		cmocka_unit_test_setup(a_command_before_the_start, setup),
		cmocka_unit_test_setup(bits_are_only_set, setup),
		cmocka_unit_test_setup(a_reset_of_the_link, setup),
		cmocka_unit_test_setup(a_link_that_is_off, setup),
		cmocka_unit_test_setup(a_reset_waits_for_the_disk, setup),
		cmocka_unit_test_setup(a_busy_device_does_not_greet, setup),
		cmocka_unit_test_setup(clears_a_device_that_is_busy, setup),
		cmocka_unit_test_setup(media_come_and_go, setup),
		cmocka_unit_test_setup(disks_that_cannot_be, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
