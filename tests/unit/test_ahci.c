/* SPDX-License-Identifier: Apache-2.0 */
/* The guests' AHCI controller as a PCI function, and its generic host control. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/ahci_rig.h"
#include "tests/fakes/lacks_rig.h"

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

static void put_read(unsigned unit)
{
	const struct rig_command c = {.command = ATA_READ_DMA_EXT, .count = 1, .lba = 5};

	rig_put_command(unit, 0, &c, (struct rig_region){RIG_DATA, 512});
}

static void read_once(unsigned unit)
{
	put_read(unit);
	rig_port_write(unit, AHCI_PXCI, 1);
}

static void identity(void **state)
{
	unsigned sata = rig_capability(0x12);

	(void)state;
	assert_int_equal(rig_config_read(0, 4), 0x29228086);
	assert_int_equal(rig_config_read(PCI_REVISION, 4) >> 8, 0x010601);
	assert_int_equal(rig_config_read(PCI_INTERRUPT_PIN, 1), 1);
	assert_int_not_equal(rig_capability(PCI_CAP_MSI), 0);
	assert_int_equal(rig_capability(PCI_CAP_MSIX), 0);
	assert_int_not_equal(sata, 0);
	assert_int_equal(rig_config_read(sata + 2, 2), 0x10);
	assert_int_equal(rig_config_read(sata + 4, 4), 0x48);
	assert_int_equal(rig_config_read(0x90, 1), 0x40);
	assert_int_equal(rig_config_read(0x92, 2), 0x0303);
	rig_config_write(0x24, 4, UINT32_MAX);
	assert_int_equal(rig_config_read(0x24, 4), 0xfffff800);
	rig_config_write(0x20, 4, UINT32_MAX);
	assert_int_equal(rig_config_read(0x20, 4) & 0xffff, 0xffe1);
}

static void capabilities(void **state)
{
	(void)state;
	assert_int_equal(rig_host_read(AHCI_CAP), 0xc1241f01);
	assert_int_equal(rig_host_read(AHCI_PI), 3);
	assert_int_equal(rig_host_read(AHCI_VS), 0x10200);
	assert_int_equal(rig_host_read(AHCI_CAP2), 0);
	assert_int_equal(rig_host_read(AHCI_BOHC), 0);
	assert_int_equal(rig_host_read(AHCI_GHC), 0x80000002);
	rig_host_write(AHCI_GHC, 0);
	assert_int_equal(rig_host_read(AHCI_GHC), 0x80000000);
	/* Ports that are not there. */
	assert_int_equal(rig_port_read(2, AHCI_PXSSTS), 0);
	rig_port_write(2, AHCI_PXCLB, UINT32_MAX);
	assert_int_equal(rig_port_read(2, AHCI_PXCLB), 0);
}

/* PxIS, then IS, is what lowers the line; not one alone. */
static void the_line(void **state)
{
	(void)state;
	read_once(1);
	assert_true(rig_intx.level);
	assert_int_equal(rig_host_read(AHCI_IS), 2);
	rig_host_write(AHCI_IS, 2);
	assert_int_equal(rig_host_read(AHCI_IS), 2);
	assert_true(rig_intx.level);
	rig_port_write(1, AHCI_PXIS, UINT32_MAX);
	assert_int_equal(rig_host_read(AHCI_IS), 2);
	assert_true(rig_intx.level);
	rig_host_write(AHCI_IS, 2);
	assert_int_equal(rig_host_read(AHCI_IS), 0);
	assert_false(rig_intx.level);
}

static void who_may_interrupt(void **state)
{
	(void)state;
	rig_port_write(0, AHCI_PXIE, AHCI_PXIS_TFES);
	read_once(0);
	assert_int_equal(rig_host_read(AHCI_IS), 0);
	rig_host_write(AHCI_GHC, 0);
	rig_port_write(0, AHCI_PXIE, AHCI_PXIS_DHRS);
	assert_int_equal(rig_host_read(AHCI_IS), 1);
	assert_false(rig_intx.level);
	rig_host_write(AHCI_GHC, AHCI_GHC_IE);
	assert_true(rig_intx.level);
	assert_int_equal(rig_take_events(0), AHCI_PXIS_DHRS);
	assert_false(rig_intx.level);
}

/* A message for each bit that IS gets, and one when some are left. */
static void messages(void **state)
{
	(void)state;
	rig_msi_on();
	read_once(0);
	assert_int_equal(rig_messages, 1);
	read_once(1);
	assert_int_equal(rig_messages, 2);
	rig_take_events(0);
	assert_int_equal(rig_messages, 3);
	rig_take_events(1);
	assert_int_equal(rig_messages, 3);
	read_once(0);
	assert_int_equal(rig_messages, 4);
	/* What comes between the two is not lost. */
	rig_port_write(0, AHCI_PXIS, UINT32_MAX);
	read_once(0);
	assert_int_equal(rig_messages, 4);
	rig_host_write(AHCI_IS, 1);
	assert_int_equal(rig_messages, 5);
	rig_take_events(0);
	assert_int_equal(rig_messages, 5);
	assert_int_equal(rig_intx.rises, 0);
}

static void a_reset_of_the_host(void **state)
{
	(void)state;
	read_once(0);
	rig_disk_holds = true;
	read_once(1);
	rig_host_write(AHCI_GHC, AHCI_GHC_HR);
	assert_int_equal(rig_host_read(AHCI_GHC), AHCI_GHC_AE);
	assert_int_equal(rig_host_read(AHCI_IS), 0);
	assert_false(rig_intx.level);
	assert_int_equal(rig_port_read(0, AHCI_PXCMD), AHCI_PXCMD_SUD | AHCI_PXCMD_POD);
	assert_int_equal(rig_port_read(0, AHCI_PXIE), 0);
	assert_int_equal(rig_port_read(0, AHCI_PXCLB), rig_list(0));
	assert_int_equal(rig_port_read(0, AHCI_PXFB), rig_received(0));
	assert_int_equal(rig_port_read(0, AHCI_PXTFD), 0x150);
	assert_int_equal(rig_port_read(1, AHCI_PXTFD), 0x80);
	rig_disk_finish(0, HV_OK);
	rig_work_now();
	assert_int_equal(rig_port_read(1, AHCI_PXTFD), 0x150);
	assert_true(rig_all_free(1));
}

static void a_reset_of_the_function(void **state)
{
	(void)state;
	read_once(0);
	rig_hba.pci.function.ops->reset(&rig_hba.pci.function);
	assert_int_equal(rig_port_read(0, AHCI_PXCLB), 0);
	assert_int_equal(rig_host_read(AHCI_GHC), AHCI_GHC_AE);
	assert_false(rig_intx.level);
}

static void accesses_of_any_size(void **state)
{
	(void)state;
	assert_int_equal(rig_bar_read(RIG_ABAR, AHCI_VS, 8), 0x10200);
	assert_int_equal(rig_bar_read(RIG_ABAR, AHCI_VS + 1, 1), 2);
	assert_int_equal(rig_bar_read(RIG_ABAR, AHCI_VS + 1, 2), 0x102);
	assert_int_equal(rig_bar_read(RIG_ABAR, AHCI_VS - 2, 4), 0x02000000);
	rig_bar_write(RIG_ABAR, AHCI_PORTS + AHCI_PXCLB, 8, 0x1234567800);
	assert_int_equal(rig_units[0].state.list, 0x1234567800);
	rig_bar_write(RIG_ABAR, AHCI_PORTS + AHCI_PXCLB + 1, 1, 0xfc);
	rig_bar_write(RIG_ABAR, AHCI_PORTS + AHCI_PXCLBU + 3, 2, 0xaabb);
	assert_int_equal(rig_units[0].state.list, 0xbb0000123456fc00);
	assert_int_equal(rig_units[0].state.received & 0xff, 0);
	/* What is not written clears nothing. */
	rig_units[0].state.is = 0x0500000f;
	rig_bar_write(RIG_ABAR, AHCI_PORTS + AHCI_PXIS + 3, 1, 0xff);
	assert_int_equal(rig_port_read(0, AHCI_PXIS), 0xf);
	rig_bar_write(RIG_ABAR, AHCI_PORTS + AHCI_PXIS, 1, 3);
	assert_int_equal(rig_port_read(0, AHCI_PXIS), 0xc);
}

static void by_index_and_data(void **state)
{
	(void)state;
	rig_bar_write(4, 0x10, 4, AHCI_VS | 3);
	assert_int_equal(rig_bar_read(4, 0x10, 4), AHCI_VS);
	assert_int_equal(rig_bar_read(4, 0x14, 4), 0x10200);
	rig_bar_write(4, 0x10, 4, AHCI_PORTS + AHCI_PXFBU);
	rig_bar_write(4, 0x14, 4, 77);
	assert_int_equal(rig_port_read(0, AHCI_PXFBU), 77);
	rig_bar_write(4, 0x10, 4, UINT32_MAX);
	assert_int_equal(rig_bar_read(4, 0x14, 4), 0);
	assert_int_equal(rig_bar_read(4, 0x00, 4), 0);
}

static void the_end(void **state)
{
	(void)state;
	rig_disk_holds = true;
	read_once(0);
	assert_false(ahci_is_idle(&rig_hba));
	rig_disk_finish(0, HV_OK);
	assert_true(ahci_is_idle(&rig_hba));
}

static void what_is_not_there_is_told(void **state)
{
	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	for (unsigned reg = AHCI_CAP; reg <= AHCI_VS; reg += 4) {
		(void)rig_host_read(reg);
	}
	(void)rig_host_read(AHCI_CAP2);
	for (unsigned reg = AHCI_PXCLB; reg <= AHCI_PXCI; reg += 4) {
		if (reg != AHCI_PXRESERVED) {
			(void)rig_port_read(1, reg);
		}
	}
	assert_int_equal(lacks_rig.total, 0);
	(void)rig_host_read(AHCI_BOHC);
	(void)rig_host_read(AHCI_BOHC);
	assert_int_equal(lacks_told("AHCI", LACKS_READ, AHCI_BOHC), 2);
	rig_host_write(0x14, 1); /* CCC_CTL */
	assert_int_equal(lacks_told("AHCI", LACKS_WRITE, 0x14), 1);
	(void)rig_port_read(2, AHCI_PXSSTS);
	assert_int_equal(lacks_told("AHCI", LACKS_READ, 0x228), 1);
	rig_port_write(2, AHCI_PXCMD, 0);
	assert_int_equal(lacks_told("AHCI", LACKS_WRITE, 0x218), 1);
	/* PxFBS, as an offset in the port. */
	(void)rig_port_read(0, 0x40);
	assert_int_equal(lacks_told("AHCI", LACKS_READ, 0x40), 1);
	rig_port_write(0, 0x44, 0);
	assert_int_equal(lacks_told("AHCI", LACKS_WRITE, 0x44), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(identity, setup),
		cmocka_unit_test_setup(capabilities, setup),
		cmocka_unit_test_setup(the_line, setup),
		cmocka_unit_test_setup(who_may_interrupt, setup),
		cmocka_unit_test_setup(messages, setup),
		cmocka_unit_test_setup(a_reset_of_the_host, setup),
		cmocka_unit_test_setup(a_reset_of_the_function, setup),
		cmocka_unit_test_setup(accesses_of_any_size, setup),
		cmocka_unit_test_setup(by_index_and_data, setup),
		cmocka_unit_test_setup(the_end, setup),
		cmocka_unit_test_setup(what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
