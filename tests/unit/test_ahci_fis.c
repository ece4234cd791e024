/* SPDX-License-Identifier: Apache-2.0 */
/* What a driver finds of the FISes that a device sent. */
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

static void once(const struct rig_command *c, uint32_t bytes)
{
	rig_put_command(0, 0, c, (struct rig_region){RIG_DATA, bytes});
	rig_port_write(0, AHCI_PXCI, 1);
}

/* Registers come back as ATA has them: the error, and where. */
static void registers_after_an_error(void **state)
{
	const struct rig_command c = {
		.command = ATA_READ_DMA_EXT, .count = 1, .lba = 0x060504030201, .device = 0xe0};
	static const uint8_t fis[20] = {0x34, 0x40, 0x51, ATA_ERROR_IDNF, 1, 2, 3, 0xe0, 4, 5, 6, 0,
					1,    0,    0};

	(void)state;
	once(&c, 512);
	assert_memory_equal(rig_at(rig_received(0) + AHCI_RECEIVED_D2H), fis, sizeof(fis));
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x51 | ATA_ERROR_IDNF << 8);
}

static void a_queued_read(void **state)
{
	static const uint8_t setup_fis[28] = {0x41, 0x20, 0, 0, 3, [20] = 0x00, [21] = 0x04};
	static const uint8_t bits[8] = {0xa1, 0x40, 0x50, 0, 8};

	(void)state;
	rig_put_queued(0, 3, false, 9, 2, RIG_DATA);
	rig_issue_queued(0, 8);
	assert_memory_equal(rig_at(rig_received(0) + AHCI_RECEIVED_DMA_SETUP), setup_fis, 28);
	assert_memory_equal(rig_at(rig_received(0) + AHCI_RECEIVED_SDB), bits, 8);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 1), 0); /* taken: no interrupt */
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 2), 0x50);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_SDBS);
	assert_int_equal(rig_moved(0, 3), 0xeeeeeeee); /* not used of queued ones */
}

/* Also when another command, which waits for it, was fetched in the same go. */
static void a_queued_read_with_another_behind(void **state)
{
	const struct rig_command identify = {.command = ATA_IDENTIFY};

	(void)state;
	rig_disk_holds = true;
	rig_put_queued(0, 3, false, 9, 2, RIG_DATA);
	rig_put_command(0, 4, &identify, (struct rig_region){RIG_DATA + 1024, 512});
	rig_issue_queued(0, 8 | 16);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_DMA_SETUP, 4), 3);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_DMA_SETUP, 21), 4);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 2), 0x50);
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x50);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
}

static void a_queued_error(void **state)
{
	static const uint8_t bits[8] = {0xa1, 0x40, 0x51, ATA_ERROR_IDNF};

	(void)state;
	rig_put_queued(0, 0, true, 9, 2, RIG_DATA);
	rig_put_queued(0, 1, true, RIG_DISK_SECTORS, 2, RIG_DATA);
	rig_issue_queued(0, 3);
	assert_memory_equal(rig_at(rig_received(0) + AHCI_RECEIVED_SDB), bits, 8);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 2); /* the first went well */
	assert_int_equal(rig_take_events(0), AHCI_PXIS_SDBS | AHCI_PXIS_TFES);
}

/* While no FIS is taken none is stored; what follows a reset waits. */
static void without_a_place(void **state)
{
	const struct rig_command c = {.command = ATA_READ_DMA_EXT, .count = 1};

	(void)state;
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_ST);
	memset(rig_at(rig_received(0)), 0, 256);
	once(&c, 512);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 0), 0);
	rig_port_write(0, AHCI_PXCMD, 0);
	rig_port_write(0, AHCI_PXSCTL, 1);
	rig_port_write(0, AHCI_PXSCTL, 0);
	assert_int_equal(rig_port_read(0, AHCI_PXSIG), AHCI_PXSIG_DISK);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 0), 0);
	rig_port_write(0, AHCI_PXCMD, AHCI_PXCMD_FRE);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 0), 0x34);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 3), 1);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 4), 1);
}

static void a_place_that_is_not_ram(void **state)
{
	const struct rig_command c = {.command = ATA_READ_DMA_EXT, .count = 1};

	(void)state;
	rig_port_write(0, AHCI_PXFB, 0);
	once(&c, 512);
	assert_int_equal(rig_port_read(0, AHCI_PXIS) & AHCI_PXIS_HBFS, AHCI_PXIS_HBFS);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 1);
	rig_stop(0);
	rig_start(0);
	rig_put_queued(0, 0, false, 1, 1, RIG_DATA);
	rig_issue_queued(0, 1);
	assert_true(rig_all_free(0));
	rig_port_write(0, AHCI_PXFB, 0);
	rig_issue_queued(0, 1);
	assert_int_equal(rig_port_read(0, AHCI_PXIS) & AHCI_PXIS_HBFS, AHCI_PXIS_HBFS);
	assert_true(rig_all_free(0));
}

static void pio_of_several_sectors(void **state)
{
	const struct rig_command c = {.command = 0x34, .count = 5, .lba = 1};
	const uint8_t *fis = rig_at(rig_received(0) + AHCI_RECEIVED_PIO_SETUP);

	(void)state;
	once(&c, 5 * 512);
	assert_int_equal(fis[1], 0);
	assert_int_equal(fis[2], 0x58);
	assert_int_equal(fis[15], 0x80); /* busy with the data */
	assert_int_equal(rig_get(rig_received(0) + AHCI_RECEIVED_PIO_SETUP + 16, 2), 512);
	assert_int_equal(rig_fis(0, AHCI_RECEIVED_D2H, 2), 0x50);
	assert_int_equal(rig_moved(0, 0), 5 * 512);
}

static void regions_with_an_interrupt(void **state)
{
	const struct rig_command c = {.command = ATA_READ_DMA_EXT, .count = 2};

	(void)state;
	rig_put_fis(0, 0, &c);
	rig_put_region(0, 0, 0, (struct rig_region){RIG_DATA, 512}, AHCI_PRD_INTERRUPT);
	rig_put_region(0, 0, 1, (struct rig_region){RIG_DATA + 512, 512}, 0);
	rig_put_header(0, 0, 5, 2);
	rig_port_write(0, AHCI_PXCI, 1);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS | AHCI_PXIS_DPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_after_an_error, setup),
		cmocka_unit_test_setup(a_queued_read, setup),
		cmocka_unit_test_setup(a_queued_read_with_another_behind, setup),
		cmocka_unit_test_setup(a_queued_error, setup),
		cmocka_unit_test_setup(without_a_place, setup),
		cmocka_unit_test_setup(a_place_that_is_not_ram, setup),
		cmocka_unit_test_setup(pio_of_several_sectors, setup),
		cmocka_unit_test_setup(regions_with_an_interrupt, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
