/* SPDX-License-Identifier: Apache-2.0 */
/* An AHCI controller with a disk and a CD drive, saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ahci_rig.h"
#include "tests/fakes/saved_rig.h"

#define CD 1u

static int setup(void **state)
{
	struct ahci_config cfg;

	(void)state;
	memset(rig_ram, 0, sizeof(rig_ram));
	rig_disk_init();
	cfg = rig_config(RIG_UNITS);
	cfg.units[CD].is_packet = true;
	rig_ahci_init(&cfg);
	return 0;
}

static bool is_quiet(void)
{
	return rig_hba.saved.ops->quiet(rig_hba.saved.dev);
}

/* What another machine would do: reset, load, and let deferred work run. */
static void reload(void)
{
	assert_true(is_quiet());
	saved_reload(&rig_hba.saved);
	rig_work_now();
	assert_true(is_quiet());
}

/* Not while the disk has something; then with an interrupt that nobody took, and it goes on. */
static void goes_on_behind_queued_commands(void **state)
{
	unsigned rises;

	(void)state;
	rig_disk_holds = true;
	rig_put_queued(0, 3, false, 4, 8, RIG_DATA);
	rig_put_queued(0, 9, true, 100, 8, RIG_DATA + 0x8000);
	rig_issue_queued(0, 1u << 3 | 1u << 9);
	assert_false(is_quiet());
	rig_disk_finish(1, HV_OK);
	rig_disk_finish(0, HV_OK);
	assert_false(is_quiet());
	rig_work_now();
	assert_true(rig_intx.level);
	rises = rig_intx.rises;
	reload();
	assert_true(rig_intx.level);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 0);
	assert_true((rig_take_events(0) & AHCI_PXIS_SDBS) != 0);
	assert_false(rig_intx.level);
	assert_true(rig_intx.rises <= rises + 1);
	rig_disk_holds = false;
	rig_put_queued(0, 10, false, 7, 1, RIG_DATA);
	rig_issue_queued(0, 1u << 10);
	assert_int_equal(rig_get(RIG_DATA, 4), 7);
	assert_true(rig_all_free(0));
}

/* A command that failed keeps the port stopped, with what READ LOG will tell. */
static void stays_stopped_by_an_error(void **state)
{
	(void)state;
	rig_disk_holds = true;
	rig_put_queued(0, 5, false, 4, 8, RIG_DATA);
	rig_issue_queued(0, 1u << 5);
	rig_disk_finish(0, HV_E_IO);
	rig_work_now();
	reload();
	assert_true((rig_port_read(0, AHCI_PXIS) & AHCI_PXIS_TFES) != 0);
	assert_int_equal(rig_port_read(0, AHCI_PXSACT), 1u << 5);
	assert_true(rig_units[0].disk.state.queued_error.valid);
	assert_int_equal(rig_units[0].disk.state.queued_error.tag, 5);
	rig_put_queued(0, 6, false, 4, 8, RIG_DATA);
	rig_issue_queued(0, 1u << 6);
	assert_int_equal(rig_disk_open_count, 0);
	rig_stop(0);
	rig_start(0);
	rig_disk_holds = false;
	rig_issue_queued(0, 1u << 6);
	assert_int_equal(rig_get(RIG_DATA, 4), 4);
}

/* Issued while it could not be done, and done after the load; the CD is out meanwhile. */
static void waits_with_an_ejected_medium(void **state)
{
	const struct rig_command read = {.command = ATA_READ_DMA_EXT, .count = 1, .lba = 11};

	(void)state;
	rig_work_now();
	assert_int_equal(ahci_eject(&rig_hba, CD, true), HV_OK);
	rig_set_master(false);
	rig_put_command(0, 2, &read, (struct rig_region){RIG_DATA, 512});
	rig_port_write(0, AHCI_PXCI, 4);
	reload();
	assert_null(rig_units[CD].drive.medium);
	assert_true(rig_units[CD].drive.state.tray_open);
	rig_set_master(true);
	rig_work_now();
	assert_int_equal(rig_get(RIG_DATA, 4), 11);
	assert_int_equal(rig_port_read(0, AHCI_PXCI), 0);
	assert_int_equal(ahci_insert(&rig_hba, CD, &rig_disk), HV_OK);
}

static void refuses_what_cannot_be(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&rig_hba.saved, struct ahci_saved, field, value)
	assert_true(TAKES(units[0].list, 0x400));
	assert_false(TAKES(units[0].list, 0x200));
	assert_false(TAKES(units[0].received, 0x80));
	assert_false(TAKES(units[0].is, BIT32(31)));
	assert_false(TAKES(units[0].ie, BIT32(10)));
	assert_false(TAKES(units[0].cmd, AHCI_PXCMD_CR));
	assert_false(TAKES(units[0].tfd, 0x10000));
	assert_false(TAKES(units[0].sctl, 0x1000));
	assert_false(TAKES(units[0].serr, 1));
	assert_true(TAKES(units[0].ci, UINT32_MAX));
	assert_false(TAKES(units[0].ccs, 32));
	assert_false(TAKES(units[0].first, 32));
	assert_false(TAKES(units[0].greeting, 2));
	assert_false(TAKES(units[0].is_packet, 1));
	assert_false(TAKES(units[0].drive.sense, 1));
	assert_false(TAKES(units[0].disk.heads, 17));
	assert_false(TAKES(units[CD].disk.heads, 1));
	assert_false(TAKES(units[CD].drive.event, 9));
	assert_false(TAKES(units[RIG_UNITS].ie, 1));
	assert_false(TAKES(unit_count, 1));
	assert_false(TAKES(index, 3));
	assert_false(TAKES(ghc, AHCI_GHC_HR));
	assert_false(TAKES(is, BIT32(RIG_UNITS)));
	assert_false(TAKES(is, 1)); /* and the line is down */
	assert_false(TAKES(pci.intx_asserted, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(goes_on_behind_queued_commands, setup),
		cmocka_unit_test_setup(stays_stopped_by_an_error, setup),
		cmocka_unit_test_setup(waits_with_an_ejected_medium, setup),
		cmocka_unit_test_setup(refuses_what_cannot_be, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
