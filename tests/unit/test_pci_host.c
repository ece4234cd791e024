/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "guests/devices/acpi_pm.h"
#include "guests/devices/pci_host.h"
#include "guests/layout.h"
#include "tests/fakes/device_rig.h"
#include "tests/fakes/saved_rig.h"

static struct device_rig rig;
static struct bus pio;
static struct bus mmio;
static struct acpi_pm pm;
static struct pci_host host;
static struct pci_function function;
static unsigned resets;

static void count_reset(void *ctx)
{
	(void)ctx;
	resets++;
}

static int setup(void **state)
{
	struct acpi_pm_config pm_cfg = {.time = &rig.time, .reset = count_reset};
	struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE, .reset_port = &pm.dev};

	(void)state;
	rig_init(&rig, 1000000000);
	resets = 0;
	acpi_pm_init(&pm, &pm_cfg);
	pci_host_init(&host, &cfg);
	bus_init(&pio, BUS_PIO);
	bus_init(&mmio, BUS_MMIO);
	assert_int_equal(bus_register(&pio, LAYOUT_PCI_CONFIG_ADDRESS, PCI_HOST_PORTS, &host.dev),
			 HV_OK);
	assert_int_equal(bus_register(&mmio, LAYOUT_ECAM_BASE, LAYOUT_ECAM_SIZE, &host.dev), HV_OK);
	return 0;
}

static uint32_t in(uint16_t port, unsigned size)
{
	uint64_t value = 0;

	(void)bus_read(&pio, port, size, 0, &value);
	return (uint32_t)value;
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
	(void)bus_write(&pio, port, size, 0, value);
}

static uint32_t conf1(unsigned bus, unsigned device, unsigned fn, unsigned reg)
{
	out(0xcf8, 4, 0x80000000u | bus << 16 | device << 11 | fn << 8 | (reg & 0xfc));
	return in(0xcfc, 4);
}

static uint64_t ecam(unsigned device, unsigned fn, unsigned reg, unsigned size)
{
	uint64_t value = 0;

	(void)bus_read(&mmio, LAYOUT_ECAM_BASE + (device << 15 | fn << 12 | reg), size, 0, &value);
	return value;
}

/* pci_check_type1 of Linux. */
static void linux_finds_configuration_type_1(void **state)
{
	(void)state;
	out(0xcfb, 1, 1);
	assert_int_equal(in(0xcf8, 4), 0);
	out(0xcf8, 4, 0x80000000);
	assert_int_equal(in(0xcf8, 4), 0x80000000);
	assert_int_equal(in(0xcfc, 4), 0x29c08086);
	/* Nor is it taken for type 2. */
	out(0xcfb, 1, 0);
	out(0xcf8, 1, 0);
	out(0xcfa, 1, 0);
	assert_int_not_equal(in(0xcf8, 1), 0);
	assert_int_equal(in(0xcf8, 4), 0x80000000);
}

static void bridges_are_a_q35(void **state)
{
	(void)state;
	assert_int_equal(conf1(0, 0, 0, 0x00), 0x29c08086);
	assert_int_equal(conf1(0, 0, 0, 0x08), 0x06000002);
	assert_int_equal(conf1(0, 0, 0, 0x04), 0x00000006);
	assert_int_equal(conf1(0, 0, 0, 0x0c), 0);
	assert_int_equal(conf1(0, 0, 0, 0x2c), 0x11001af4);
	assert_int_equal(conf1(0, 0, 0, 0x34), 0);
	assert_int_equal(conf1(0, 0, 0, 0x60), LAYOUT_ECAM_BASE | 5);
	assert_int_equal(conf1(0, 0, 0, 0x64), 0);
	assert_int_equal(conf1(0, 0, 0, 0x90), 0x33333330);
	assert_int_equal(conf1(0, 0, 0, 0x94), 0x00333333);
	assert_int_equal(conf1(0, 0, 0, 0xb0) & 0xffff, 0xc000);
	assert_int_equal(conf1(0, 31, 0, 0x00), 0x29188086);
	assert_int_equal(conf1(0, 31, 0, 0x08), 0x06010002);
	assert_int_equal(conf1(0, 31, 0, 0x04), 0x00000007);
	assert_int_equal(conf1(0, 31, 0, 0x0c), 0);
	assert_int_equal(conf1(0, 31, 0, 0x40), LAYOUT_PM_BASE | 1);
	assert_int_equal(conf1(0, 31, 0, 0x44), 0x80);
	assert_int_equal(conf1(0, 31, 0, 0x60), 0x80808080);
	/* No generic decode ranges, which Linux would report, and no GPIO. */
	for (unsigned reg = 0x84; reg <= 0x90; reg += 4) {
		assert_int_equal(conf1(0, 31, 0, reg), 0);
	}
	assert_int_equal(conf1(0, 31, 0, 0x4c), 0);
}

static void nothing_else_is_there(void **state)
{
	unsigned found = 0;

	(void)state;
	for (unsigned bus = 0; bus < 256; bus += 51) {
		for (unsigned devfn = 0; devfn < 256; devfn++) {
			found += conf1(bus, devfn >> 3, devfn & 7, 0) != 0xffffffff;
		}
	}
	assert_int_equal(found, 2);
	assert_int_equal(conf1(1, 0, 0, 0), 0xffffffff);
	out(0xcf8, 4, 0x00000000); /* not enabled */
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	assert_int_equal(ecam(1, 0, 0, 4), 0xffffffff);
	assert_int_equal(ecam(0, 1, 0, 2), 0xffff);
	assert_int_equal(pio.unclaimed.total, 0);
	assert_int_equal(mmio.unclaimed.total, 0);
	/* Nor do writes find anything. */
	out(0xcf8, 4, 0x0000f860);
	out(0xcfc, 4, 0);
	out(0xcf8, 4, 0x8001f860);
	out(0xcfc, 4, 0);
	assert_int_equal(conf1(0, 31, 0, 0x60), 0x80808080);
}

static void data_port_takes_all_widths(void **state)
{
	(void)state;
	(void)conf1(0, 31, 0, 0);
	assert_int_equal(in(0xcfc, 1), 0x86);
	assert_int_equal(in(0xcfd, 1), 0x80);
	assert_int_equal(in(0xcfe, 1), 0x18);
	assert_int_equal(in(0xcff, 1), 0x29);
	assert_int_equal(in(0xcfc, 2), 0x8086);
	assert_int_equal(in(0xcfd, 2), 0x1880);
	assert_int_equal(in(0xcfe, 2), 0x2918);
	/* Past the last port: no access at all. */
	assert_int_equal(in(0xcff, 2), 0xffff);
	assert_int_equal(in(0xcfe, 4), 0xffffffff);
	assert_int_equal(pio.unclaimed.total, 2);
	/* Over the border of address and data. */
	assert_int_equal(in(0xcfa, 4), 0xffffffff);
	out(0xcfa, 4, 0);
	assert_int_equal(in(0xcf8, 4), 0x8000f800);
}

static void byte_writes_reach_their_byte(void **state)
{
	(void)state;
	(void)conf1(0, 31, 0, 0x60);
	out(0xcfe, 1, 0x0b);
	assert_int_equal(in(0xcfc, 4), 0x800b8080);
	out(0xcfd, 2, 0xff05);
	assert_int_equal(in(0xcfc, 4), 0x808f0580);
	out(0xcfd, 2, 0xff05);
	(void)conf1(0, 31, 0, 0x40);
	out(0xcfc, 4, 0);
	assert_int_equal(in(0xcfc, 4), LAYOUT_PM_BASE | 1);
}

static void address_register_is_a_dword(void **state)
{
	(void)state;
	out(0xcf8, 4, 0xffffffff);
	assert_int_equal(in(0xcf8, 4), 0x80fffffc);
	out(0xcf8, 2, 0);
	out(0xcfa, 2, 0);
	out(0xcf8, 1, 0);
	assert_int_equal(in(0xcf8, 4), 0x80fffffc);
	assert_int_equal(in(0xcf8, 2), 0xffff);
	assert_int_equal(in(0xcfa, 1), 0xff);
}

static void reset_register_is_inside(void **state)
{
	(void)state;
	out(0xcf8, 4, 0x80000004);
	out(0xcf9, 1, 0x02);
	assert_int_equal(in(0xcf9, 1), 0x02);
	assert_int_equal(in(0xcf8, 4), 0x80000004);
	out(0xcf8, 4, 0x80000600); /* its byte 1 is not the reset register's */
	assert_int_equal(resets, 0);
	out(0xcf9, 2, 0x0606); /* nor is any wider access */
	assert_int_equal(resets, 0);
	assert_int_equal(in(0xcf9, 2), 0xffff);
	out(0xcf9, 1, 0x06);
	assert_int_equal(resets, 1);
	assert_int_equal(in(0xcf8, 4), 0x80000600);
}

static void without_a_reset_device(void **state)
{
	struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE};

	(void)state;
	pci_host_init(&host, &cfg);
	out(0xcf9, 1, 0x06);
	assert_int_equal(in(0xcf9, 1), 0xff);
	assert_int_equal(resets, 0);
	(void)conf1(0, 31, 0, 0x60);
	out(0xcfc, 1, 1); /* nobody to tell */
	assert_int_equal(in(0xcfc, 1), 1);
	host.dev.ops->reset(&host.dev);
}

static void ecam_is_the_same_space(void **state)
{
	(void)state;
	assert_int_equal(ecam(0, 0, 0, 4), 0x29c08086);
	assert_int_equal(ecam(31, 0, 0, 8), 0x0000000729188086ull);
	assert_int_equal(ecam(31, 0, 3, 1), 0x29);
	assert_int_equal(ecam(31, 0, 1, 2), 0x1880);
	assert_true(bus_write(&mmio, LAYOUT_ECAM_BASE + 0xf8061, 1, 0, 0x0a));
	assert_int_equal(conf1(0, 31, 0, 0x60), 0x80800a80);
	assert_int_equal(ecam(0, 0, 0x100, 4), 0xffffffff); /* conventional PCI */
	assert_int_equal(ecam(0, 0, 0xffe, 4), 0xffffffff); /* over the page's end */
	assert_int_equal(ecam(31, 7, 0xffc, 4), 0xffffffff);
	assert_int_equal(mmio.unclaimed.total, 0);
}

static void each_function_has_its_page(void **state)
{
	(void)state;
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		bool there = ecam(devfn >> 3, devfn & 7, 0, 4) != 0xffffffff;

		assert_int_equal(there, devfn == 0 || devfn == 0xf8);
	}
	/* The host bridge never changes. */
	for (unsigned reg = 0; reg < 256; reg += 4) {
		uint64_t before = ecam(0, 0, reg, 4);

		(void)bus_write(&mmio, LAYOUT_ECAM_BASE + reg, 4, 0, ~(uint32_t)before);
		assert_int_equal(ecam(0, 0, reg, 4), before);
	}
}

static void an_express_function_has_all_of_its_page(void **state)
{
	static const struct pci_identity id = {.vendor = 1, .device = 2};
	static struct pci_extended extended;

	(void)state;
	pci_function_init(&function, &id, NULL, &extended);
	pci_function_define(&function, 0x100, 4, 0x12345678, 0);
	pci_function_define(&function, 0xfff, 1, 0x9a, 0);
	assert_int_equal(pci_host_add(&host, 0x18, &function), HV_OK);
	assert_int_equal(ecam(3, 0, 0x103, 1), 0x12);
	assert_int_equal(ecam(3, 0, 0xfff, 1), 0x9a);
	assert_int_equal(ecam(3, 0, 0x200, 1), 0);
}

static void functions_are_added(void **state)
{
	static const struct pci_identity id = {.vendor = 0x1af4, .device = 0x1041};

	(void)state;
	pci_function_init(&function, &id, NULL, NULL);
	assert_int_equal(pci_host_add(&host, 256, &function), HV_E_RANGE);
	assert_int_equal(pci_host_add(&host, 0xf8, &function), HV_E_EXISTS);
	assert_int_equal(pci_host_add(&host, 0x08, &function), HV_OK);
	assert_int_equal(conf1(0, 1, 0, 0), 0x10411af4);
	assert_int_equal(conf1(0, 1, 0, 0x0c), 0);
	setup(state);
	assert_int_equal(pci_host_add(&host, 0xfa, &function), HV_OK);
	assert_int_equal(conf1(0, 31, 0, 0x0c), 0x00800000); /* now multi-function */
	assert_int_equal(conf1(0, 31, 2, 0x0c), 0);
	out(0xcfc, 4, 0xffffffff);
	assert_int_equal(conf1(0, 31, 0, 0x0c), 0x00800000);
	out(0xcfc, 4, 0);
	assert_int_equal(conf1(0, 31, 0, 0x0c), 0x00800000);
	host.dev.ops->reset(&host.dev);
	assert_int_equal(conf1(0, 31, 0, 0x0c), 0x00800000);
}

/* Function 0 may come last. */
static void multi_function_in_any_order(void **state)
{
	static struct pci_function first;
	static const struct pci_identity id = {.vendor = 1, .device = 2};

	(void)state;
	pci_function_init(&first, &id, NULL, NULL);
	pci_function_init(&function, &id, NULL, NULL);
	assert_int_equal(pci_host_add(&host, 0x0d, &function), HV_OK);
	assert_int_equal(pci_host_add(&host, 0x08, &first), HV_OK);
	assert_int_equal(conf1(0, 1, 0, 0x0c), 0x00800000);
}

static void reset_returns_to_power_on(void **state)
{
	(void)state;
	(void)conf1(0, 31, 0, 0x60);
	out(0xcfc, 4, 0x01020304);
	host.dev.ops->reset(&host.dev);
	assert_int_equal(in(0xcf8, 4), 0);
	assert_int_equal(conf1(0, 31, 0, 0x60), 0x80808080);
}

static void a_loaded_host_is_as_it_was(void **state)
{
	static struct pci_host other;
	struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE, .firmware = true};
	uint64_t offset;

	(void)state;
	pci_host_init(&host, &cfg);
	pci_host_init(&other, &cfg);
	(void)conf1(0, 0, 0, 0x60);
	out(0xcfc, 4, 0xe0000001);
	(void)conf1(0, 31, 0, 0x60);
	out(0xcfc, 4, 0x8080800b);
	pci_irq_set(&host.irq, 4, 0, true);
	saved_move(&host.saved, &other.saved);
	assert_int_equal(other.address, 0x8000f860);
	assert_true(pci_host_ecam(&other, 0xe0001000, &offset));
	assert_int_equal(offset, 0x1000);
	assert_int_equal(other.irq.route[0], 0x0b);
	assert_int_equal(other.irq.pulled[4], 1u << 4);
	saved_reload(&other.saved);
	assert_true(pci_host_ecam(&other, 0xe0001000, &offset));
	assert_false(SAVED_TAKES(&host.saved, struct pci_host_saved, address, 1));
	assert_false(SAVED_TAKES(&host.saved, struct pci_host_saved, zero, 1));
	assert_false(SAVED_TAKES(&host.saved, struct pci_host_saved, bridge.value[0], 0));
	assert_false(SAVED_TAKES(&host.saved, struct pci_host_saved, lpc.value[0x60], 0x10));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(linux_finds_configuration_type_1),
		T(bridges_are_a_q35),
		T(nothing_else_is_there),
		T(data_port_takes_all_widths),
		T(byte_writes_reach_their_byte),
		T(address_register_is_a_dword),
		T(reset_register_is_inside),
		T(without_a_reset_device),
		T(ecam_is_the_same_space),
		T(each_function_has_its_page),
		T(an_express_function_has_all_of_its_page),
		T(functions_are_added),
		T(multi_function_in_any_order),
		T(reset_returns_to_power_on),
		cmocka_unit_test_setup(a_loaded_host_is_as_it_was, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
