/* SPDX-License-Identifier: Apache-2.0 */
/* Which disk is which unit, ports and interrupts, media. */
#include "hv/guest_disk_ide.h"

#include "tests/fakes/guest_disk_rig.h"

#define CLASS_IDE 0x010180u
#define STATUS_READY 0x50u

static void lives(void **state)
{
	(void)state;
	bus_lives(bus_guest("one", CONFIG_DISK_IDE, 1), CLASS_IDE);
}

static void without_memory(void **state)
{
	(void)state;
	bus_without_memory(bus_guest("poor", CONFIG_DISK_IDE, 4));
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

static void decode(struct guest *g)
{
	unsigned devfn = bus_find_class(g, CLASS_IDE);

	(void)bus_write(&g->vm.pio, 0xcf8, 4, 0, 0x80000000u | devfn << 8 | PCI_COMMAND);
	(void)bus_write(&g->vm.pio, 0xcfc, 2, 0, PCI_COMMAND_IO);
}

/* The middle of a unit's signature: 0 of a disk, 0x14 of a drive, 0x7f where the channel is empty.
 */
static uint64_t kind(struct guest *g, uint16_t base, unsigned place)
{
	out(g, base + 6, (uint8_t)(place << 4));
	return in(g, base + 4);
}

static void ports(void **state)
{
	struct guest *g = bus_guest("ports", CONFIG_DISK_IDE, 1);

	(void)state;
	vm_rig_start(g);
	assert_int_equal(in(g, 0x1f7), 0xff);
	decode(g);
	assert_int_equal(in(g, 0x1f7), STATUS_READY);
	assert_int_equal(in(g, 0x3f6), STATUS_READY);
	assert_int_equal(in(g, 0x177), 0x7f);
	assert_int_equal(in(g, 0x376), 0x7f);
	out(g, 0x1f7, 0xec); /* IDENTIFY: its serial number is the configuration's */
	for (unsigned i = 0; i < 10; i++) {
		uint64_t word;

		(void)bus_read(&g->vm.pio, 0x1f0, 2, 0, &word);
		assert_int_equal(word, i == 0 ? 0x0040 : word);
	}
	assert_int_equal(in(g, 0x1f0), 'i');
	assert_int_equal(in(g, 0x1f0), 'd');
	vm_rig_end(g);
}

/* A disk of the same image; cdrom or not. */
static void add_disk(struct guest_config *config, const char *serial, bool cdrom)
{
	struct config_disk d = {.source = CONFIG_DISK_WHOLE,
				.name = "S1",
				.bus = CONFIG_DISK_IDE,
				.readonly = true,
				.cdrom = cdrom};

	strcpy(d.serial, serial);
	config->disks[config->disk_count++] = d;
}

static struct guest *with_disks(const char *name, unsigned disks, unsigned drives)
{
	struct guest_config *config = &bus_configs[bus_config_count++];
	struct guest *g = vm_rig_guest(name, config);

	for (unsigned i = 0; i < drives; i++) {
		add_disk(config, (char[]){'c', (char)('0' + i), '\0'}, true);
	}
	for (unsigned i = 0; i < disks; i++) {
		add_disk(config, (char[]){'d', (char)('0' + i), '\0'}, false);
	}
	assert_true(guest_disks_open(g));
	vm_rig_start(g);
	decode(g);
	return g;
}

static void places(void **state)
{
	struct guest *g = with_disks("two", 1, 1);

	(void)state;
	assert_int_equal(kind(g, 0x1f0, 0), 0);
	assert_int_equal(kind(g, 0x170, 0), 0x14);
	vm_rig_end(g);
	g = with_disks("four", 1, 3);
	assert_int_equal(kind(g, 0x1f0, 0), 0);
	assert_int_equal(kind(g, 0x1f0, 1), 0x14);
	assert_int_equal(kind(g, 0x170, 0), 0x14);
	assert_int_equal(kind(g, 0x170, 1), 0x14);
	vm_rig_end(g);
}

static uint64_t cmos(struct guest *g, uint8_t at)
{
	out(g, 0x70, at);
	return in(g, 0x71);
}

/* A BIOS finds the disks in CMOS, and no drives. */
static void geometry(void **state)
{
	struct guest *g = with_disks("types", 2, 1);

	(void)state;
	assert_int_equal(cmos(g, CMOS_DISK_TYPES), 0xff);
	assert_int_equal(cmos(g, CMOS_DISK_TABLES + 2), 16);
	assert_int_equal(cmos(g, CMOS_DISK_TABLES + 9 + 8), 63);
	vm_rig_end(g);
	g = with_disks("drive", 0, 1);
	assert_int_equal(cmos(g, CMOS_DISK_TYPES), 0);
	vm_rig_end(g);
}

static void media(void **state)
{
	struct guest *g = with_disks("media", 1, 1);

	(void)state;
	assert_int_equal(guest_disks_eject(g, 1, false), HV_E_UNSUPPORTED);
	assert_int_equal(guest_disks_eject(g, 2, false), HV_E_UNSUPPORTED);
	assert_int_equal(guest_disks_eject(g, 0, false), HV_OK);
	assert_int_equal(guest_disks_eject(g, 0, false), HV_E_NOT_FOUND);
	assert_int_equal(guest_disks_insert(g, 0), HV_OK);
	assert_int_equal(guest_disks_insert(g, 1), HV_E_UNSUPPORTED);
	vm_rig_end(g);
	assert_int_equal(guest_disks_eject(g, 0, false), HV_E_UNSUPPORTED);
	assert_int_equal(guest_disks_insert(g, 0), HV_E_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(lives, bus_clean),
		cmocka_unit_test_teardown(ports, bus_clean),
		cmocka_unit_test_teardown(places, bus_clean),
		cmocka_unit_test_teardown(geometry, bus_clean),
		cmocka_unit_test_teardown(media, bus_clean),
		/* The memory does not come back. */
		cmocka_unit_test_teardown(without_memory, bus_clean),
	};

	return cmocka_run_group_tests(tests, bus_machine, NULL);
}
