/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/pci.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/fake_pci.h"

#define BRIDGE_CLASS 0x060400u

static struct fake_pci host_bridge, disk, second, bridge, behind, far_root;

static void add_bridge(struct fake_pci *f, unsigned bus, unsigned devfn, unsigned secondary)
{
	fake_pci_add(f, bus, devfn, 0x0d008086, BRIDGE_CLASS);
	fake_pci_put(f, 0x0e, 1, 1);
	fake_pci_put(f, 0x19, 1, secondary);
}

static int setup(void **state)
{
	(void)state;
	fake_pci_reset(1);
	fake_pci_add(&host_bridge, 0, 0, 0x29c08086, 0x060000);
	fake_pci_add(&disk, 0, 0x10, 0x00101b36, 0x010802);
	fake_pci_put(&disk, 4, 2, 3);
	fake_pci_bar(&disk, 0, 0x12340000000, 0x4000);
	return 0;
}

static const struct host_pci *find(unsigned bus, unsigned devfn)
{
	for (unsigned i = 0; i < host_pci_count(); i++) {
		if (host_pci_at(i)->bus == bus && host_pci_at(i)->devfn == devfn) {
			return host_pci_at(i);
		}
	}
	return NULL;
}

static void a_function_is_read(void **state)
{
	const struct host_pci *f;
	char name[HOST_PCI_NAME_MAX];

	(void)state;
	fake_pci_put(&disk, 0x2c, 4, 0x11001af4);
	fake_pci_put(&disk, 0x3c, 2, 0x010b);
	fake_pci_put(&disk, 8, 1, 7);
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 2);
	f = find(0, 0x10);
	assert_non_null(f);
	assert_int_equal(f->vendor, 0x1b36);
	assert_int_equal(f->device, 0x0010);
	assert_int_equal(f->class_code, 0x010802);
	assert_int_equal(f->revision, 7);
	assert_int_equal(f->subsystem_vendor, 0x1af4);
	assert_int_equal(f->subsystem, 0x1100);
	assert_int_equal(f->irq_line, 11);
	assert_int_equal(f->irq_pin, 1);
	assert_non_null(f->ecam);
	host_pci_name(f, name);
	assert_string_equal(name, "00:02.0");
	assert_null(host_pci_at(2));
}

static void bars_are_sized_while_off(void **state)
{
	const struct host_pci *f;

	(void)state;
	/* A 32-bit one, one of ports, one that firmware left out, one with nonsense. */
	fake_pci_put(&disk, 0x18, 4, 0xfeb00008);
	disk.bar_size[2] = 0x1000;
	fake_pci_put(&disk, 0x1c, 4, 0xc001);
	disk.bar_size[3] = 0x20;
	disk.bar_size[4] = 0x100;
	fake_pci_put(&disk, 0x24, 4, 0xfeb00100);
	disk.bar_size[5] = 0x1000;
	(void)host_pci_scan(&fake_pci_machine.acpi);
	f = find(0, 0x10);
	assert_int_equal(f->bars[0].base, 0x12340000000);
	assert_int_equal(f->bars[0].size, 0x4000);
	assert_int_equal(f->bars[1].size, 0);
	assert_int_equal(f->bars[2].base, 0xfeb00000);
	assert_int_equal(f->bars[2].size, 0x1000);
	assert_true(f->bars[2].prefetch);
	assert_true(f->bars[3].io);
	assert_int_equal(f->bars[3].base, 0xc000);
	assert_int_equal(f->bars[3].size, 0x20);
	assert_int_equal(f->bars[4].base, 0);
	assert_int_equal(f->bars[4].size, 0x100);
	assert_int_equal(f->bars[5].size, 0);
	assert_int_equal(disk.live_sizings, 0);
	/* And all is as it was. */
	assert_int_equal(fake_pci_get(&disk, 4, 2), 3);
	assert_int_equal(fake_pci_get(&disk, 0x10, 4), 0x40000004);
	assert_int_equal(fake_pci_get(&disk, 0x14, 4), 0x123);
	assert_int_equal(fake_pci_get(&disk, 0x1c, 4), 0xc001);
}

static void functions_and_buses_are_found(void **state)
{
	(void)state;
	fake_pci_add(&second, 0, 0x13, 0x12345678, 0x020000);
	add_bridge(&bridge, 0, 0x18, 3);
	fake_pci_add(&behind, 3, 0x00, 0x10d38086, 0x020000);
	fake_pci_add(&far_root, 8, 0x08, 0x10d38086, 0x020000);
	/* 00:02.3 is found only where 00:02.0 says that there are more. */
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 4);
	assert_null(find(0, 0x13));
	fake_pci_put(&disk, 0x0e, 1, 0x80);
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 5);
	assert_non_null(find(0, 0x13));
	assert_non_null(find(3, 0));
	assert_non_null(find(8, 8));
	/* Bridges are no functions for drivers. */
	assert_null(find(0, 0x18));
}

static void bridges_in_circles_end(void **state)
{
	static struct fake_pci back;

	(void)state;
	add_bridge(&bridge, 0, 0x18, 1);
	add_bridge(&back, 1, 0x00, 0);
	fake_pci_add(&behind, 1, 0x08, 0x10d38086, 0x020000);
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 3);
}

static void without_ecam_there_are_ports(void **state)
{
	const struct host_pci *f;

	(void)state;
	assert_int_equal(host_pci_scan(NULL), 2);
	f = find(0, 0x10);
	assert_null(f->ecam);
	assert_int_equal(f->bars[0].size, 0x4000);
	assert_int_equal(host_pci_read(f, 0x0b, 1), 1);
	assert_int_equal(host_pci_read(f, 0x0a, 2), 0x0108);
	assert_int_equal(host_pci_read(f, 0x100, 4), UINT32_MAX);
	host_pci_write(f, 4, 2, 6);
	assert_int_equal(fake_pci_get(&disk, 4, 2), 6);
	host_pci_write(f, 0x3c, 1, 5);
	assert_int_equal(fake_pci_get(&disk, 0x3c, 4), 5);
}

static void a_window_that_lies_is_not_used(void **state)
{
	(void)state;
	/* Nothing answers there. */
	fake_pci_machine.acpi.ecams[0].base = 0xd0000000;
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 2);
	assert_null(find(0, 0x10)->ecam);
	/* Our own memory. */
	fake_pci_machine.acpi.ecams[0].base = 0x100000;
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 2);
	assert_null(find(0, 0x10)->ecam);
	/* No buses. */
	fake_pci_machine.acpi.ecams[0] =
		(struct acpi_ecam){.base = FAKE_PCI_ECAM, .bus_first = 4, .bus_last = 3};
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), 2);
}

static void odd_accesses_are_refused(void **state)
{
	const struct host_pci *f;

	(void)state;
	(void)host_pci_scan(&fake_pci_machine.acpi);
	f = find(0, 0x10);
	assert_int_equal(host_pci_read(f, 1, 2), 0xffff);
	assert_int_equal(host_pci_read(f, 2, 4), UINT32_MAX);
	assert_int_equal(host_pci_read(f, 4096, 4), UINT32_MAX);
	assert_int_equal(host_pci_read(f, 0x100, 4), 0);
	host_pci_write(f, 5, 2, 0xffff);
	assert_int_equal(fake_pci_get(&disk, 4, 4), 3);
}

static void capabilities_are_listed(void **state)
{
	const struct host_pci *f;
	unsigned first = fake_pci_capability(&disk, 9, 16);
	unsigned msi = fake_pci_capability(&disk, 5, 14);
	unsigned last = fake_pci_capability(&disk, 9, 16);

	(void)state;
	(void)host_pci_scan(&fake_pci_machine.acpi);
	f = find(0, 0x10);
	/* The list begins with what was added last. */
	assert_int_equal(host_pci_capability(f, 9, 0), last);
	assert_int_equal(host_pci_capability(f, 9, last), first);
	assert_int_equal(host_pci_capability(f, 9, first), 0);
	assert_int_equal(host_pci_capability(f, 5, 0), msi);
	assert_int_equal(host_pci_capability(f, 0x11, 0), 0);
	/* Back to its start: the list and whoever walks it end. */
	disk.config[first + 1] = (uint8_t)last;
	assert_int_equal(host_pci_capability(f, 0x11, 0), 0);
	assert_int_equal(host_pci_capability(f, 9, first), 0);
	disk.config[first + 1] = 0x20;
	assert_int_equal(host_pci_capability(f, 0x11, 0), 0);
	fake_pci_put(&disk, 6, 2, 0);
	assert_int_equal(host_pci_capability(f, 9, 0), 0);
}

static void on_and_off(void **state)
{
	const struct host_pci *f;

	(void)state;
	(void)host_pci_scan(&fake_pci_machine.acpi);
	f = find(0, 0x10);
	host_pci_enable(f);
	assert_int_equal(fake_pci_get(&disk, 4, 2), 0x407);
	host_pci_disable(f);
	assert_int_equal(fake_pci_get(&disk, 4, 2), 0x403);
}

static uint32_t bar_read(void *ctx, unsigned bar, uint64_t offset, unsigned size)
{
	(void)ctx;
	(void)size;
	return bar == 0 ? (uint32_t)offset : 0;
}

static void bars_are_mapped(void **state)
{
	const struct host_pci *f;
	char *at;

	(void)state;
	disk.read = bar_read;
	fake_pci_put(&disk, 0x18, 4, 0xc001);
	disk.bar_size[2] = 0x20;
	(void)host_pci_scan(&fake_pci_machine.acpi);
	f = find(0, 0x10);
	at = host_pci_map(f, 0, 0x4000);
	assert_non_null(at);
	assert_int_equal(cpu_mmio_read32(hva_of_ptr(at + 0x3ffc)), 0x3ffc);
	assert_null(host_pci_map(f, 0, 0x4001));
	assert_null(host_pci_map(f, 1, 1));
	assert_null(host_pci_map(f, 2, 1));
	assert_null(host_pci_map(f, 6, 1));
}

static void more_functions_than_fit_are_left_out(void **state)
{
	static struct fake_pci many[HOST_PCI_FUNCTIONS_MAX];

	(void)state;
	for (unsigned i = 0; i < HOST_PCI_FUNCTIONS_MAX; i++) {
		fake_pci_add(&many[i], 1 + i / 30, i % 30 * 8, 0x12345678, 0x020000);
	}
	assert_int_equal(host_pci_scan(&fake_pci_machine.acpi), HOST_PCI_FUNCTIONS_MAX);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_function_is_read),
		T(bars_are_sized_while_off),
		T(functions_and_buses_are_found),
		T(bridges_in_circles_end),
		T(without_ecam_there_are_ports),
		T(a_window_that_lies_is_not_used),
		T(odd_accesses_are_refused),
		T(capabilities_are_listed),
		T(on_and_off),
		T(bars_are_mapped),
		T(more_functions_than_fit_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
