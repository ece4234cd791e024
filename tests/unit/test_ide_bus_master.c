/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of the bus master, and tables of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ide_rig.h"

#define READY (ATA_STATUS_DRDY | ATA_STATUS_DSC)
#define BUFFER (RIG_RAM_BASE + 0x10000u)
#define ACTIVE 1u
#define ERROR 2u
#define INTERRUPT 4u

static int setup(void **state)
{
	(void)state;
	rig_start();
	return 0;
}

static void test_registers(void **state)
{
	(void)state;
	assert_int_equal(rig_master_read(0, 1), 0);
	(void)rig_master_read(9, 1);
	assert_int_equal(lacks_told("IDE", LACKS_READ, 9), 1);
	rig_master_write(4, 4, 0xffffffff);
	assert_int_equal(rig_master_read(4, 4), 0xfffffffc);
	rig_master_write(5, 1, 0x12);
	assert_int_equal(rig_master_read(4, 4), 0xffff12fc);
	rig_master_write(2, 1, 0x60);
	assert_int_equal(rig_master_read(2, 1), 0x60);
	rig_master_write(2, 1, 0x9f); /* neither active nor simplex can be written */
	assert_int_equal(rig_master_read(2, 1), 0);
	rig_master_write(0, 1, 0xff);
	assert_int_equal(rig_master_read(0, 1), 9);
	assert_int_equal(rig_master_read(2, 1), ACTIVE);
	rig_master_write(0, 1, 0);
	assert_int_equal(rig_master_read(2, 1), 0);
	assert_int_equal(rig_master_read(1, 1), 0);
	/* The other channel has its own. */
	rig_master_write(12, 4, 0x1000);
	assert_int_equal(rig_master_read(4, 4), 0xffff12fc);
	assert_int_equal(rig_master_read(12, 4), 0x1000);
}

static void test_status_is_cleared_by_ones(void **state)
{
	(void)state;
	rig_prd(0, BUFFER, 512, true);
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 0, 1);
	assert_int_equal(rig_master_read(2, 1), INTERRUPT);
	rig_master_write(2, 1, 0);
	assert_int_equal(rig_master_read(2, 1), INTERRUPT);
	rig_master_write(2, 1, INTERRUPT);
	assert_int_equal(rig_master_read(2, 1), 0);
}

static void test_scattered(void **state)
{
	(void)state;
	rig_prd(0, BUFFER + 2, 6, false);
	rig_prd(1, BUFFER + 0x1000, 506, false);
	rig_prd(2, BUFFER + 0x2001, 512, true); /* bit 0 of an address does not count */
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 0x1234, 2);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_ram[0x10002], 0x34);
	assert_int_equal(rig_ram[0x10007], 0x5a);
	assert_int_equal(rig_ram[0x10008], 0);
	assert_int_equal(rig_ram[0x11000], 0x5a);
	assert_int_equal(rig_ram[0x12000], 0x35);
}

static void test_larger_table(void **state)
{
	(void)state;
	rig_prd(0, BUFFER, 0, true); /* 64 KiB */
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 0, 1);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_master_read(2, 1), INTERRUPT | ACTIVE);
}

/* The device waits for more; a table that has it ends the command. */
static void test_smaller_table(void **state)
{
	(void)state;
	rig_prd(0, BUFFER, 512, true);
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 10, 2);
	assert_int_equal(rig_master_read(2, 1), 0);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	assert_int_equal(rig_lines[0].rises, 0);
	rig_master_write(0, 1, 0);
	rig_prd(0, BUFFER + 0x1000, 512, true);
	rig_master_start(0, true);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_ram[0x10000], 10);
	assert_int_equal(rig_ram[0x11000], 11);
}

static void test_no_memory_there(void **state)
{
	(void)state;
	rig_prd(0, 0x1000, 512, true);
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 0, 1);
	assert_int_equal(rig_master_read(2, 1), ERROR | INTERRUPT);
	assert_int_equal(rig_status(0), READY | ATA_STATUS_ERR);
	/* A table that is not there. */
	rig_master_write(4, 4, 0);
	rig_master_write(2, 1, 6);
	rig_master_write(0, 1, 0);
	rig_master_write(0, 1, 9);
	rig_command(0, ATA_READ_DMA, 0, 1);
	assert_int_equal(rig_master_read(2, 1), ERROR | INTERRUPT);
	/* And one that is, again; the command comes before the start. */
	rig_prd(0, BUFFER, 512, true);
	rig_master_write(0, 1, 0);
	rig_command(0, ATA_READ_DMA, 0, 1);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	rig_master_start(0, true);
	assert_int_equal(rig_status(0), READY);
}

static void test_waits_for_bus_mastering(void **state)
{
	(void)state;
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO);
	rig_prd(0, BUFFER, 512, true);
	rig_master_start(0, true);
	rig_command(0, ATA_READ_DMA, 77, 1);
	assert_int_equal(rig_status(0), ATA_STATUS_BSY);
	rig_ram[0x10000] = 0;
	rig_config_write(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	rig_run_work();
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_ram[0x10000], 77);
}

/* A table does not leave its 64 KiB: it begins again there. */
static void test_table_wraps(void **state)
{
	uint32_t prd[2] = {BUFFER, 512};

	(void)state;
	memcpy(rig_ram + 0xfff8, prd, sizeof(prd));
	rig_prd(0, BUFFER + 0x1000, 512, true);
	rig_master_write(4, 4, RIG_RAM_BASE + 0xfff8);
	rig_master_write(0, 1, 9);
	rig_command(0, ATA_READ_DMA, 20, 2);
	assert_int_equal(rig_status(0), READY);
	assert_int_equal(rig_ram[0x10000], 20);
	assert_int_equal(rig_ram[0x11000], 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_registers, setup),
		cmocka_unit_test_setup(test_status_is_cleared_by_ones, setup),
		cmocka_unit_test_setup(test_scattered, setup),
		cmocka_unit_test_setup(test_larger_table, setup),
		cmocka_unit_test_setup(test_smaller_table, setup),
		cmocka_unit_test_setup(test_no_memory_there, setup),
		cmocka_unit_test_setup(test_waits_for_bus_mastering, setup),
		cmocka_unit_test_setup(test_table_wraps, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
