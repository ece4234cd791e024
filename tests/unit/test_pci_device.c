/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/devices/pci_device.h"
#include "guests/devices/pci_window.h"
#include "guests/layout.h"
#include "tests/fakes/device_rig.h"

#define DEVFN 0x18u
#define VECTORS 5u
#define MSIX_BAR 1u
#define OWN_BAR 4u
#define PBA 0x800u

static struct rig_line line;
static struct pci_host host;
static struct pci_device dev;
static unsigned resets;
static unsigned master_changes;
static bool last_master;
static unsigned messages;
static uint64_t last_address;
static uint32_t last_data;
static struct {
	unsigned bar;
	uint64_t offset;
	unsigned size;
	uint64_t value;
} seen;

static uint64_t bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	assert_ptr_equal(d, &dev);
	seen.bar = bar;
	seen.offset = offset;
	seen.size = size;
	return 0x1122334455667788;
}

static void bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	(void)bar_read(d, bar, offset, size);
	seen.value = value;
}

/* No lock is held, and nothing of the device works any more. */
static void reset(struct pci_device *d)
{
	assert_ptr_equal(d, &dev);
	assert_true(lock_try(&host.dev.lock));
	lock_release(&host.dev.lock);
	assert_false(pci_device_is_master(d));
	assert_false(pci_device_uses_msix(d));
	resets++;
}

static void master_changed(struct pci_device *d, bool master)
{
	assert_int_equal(pci_device_is_master(d), master);
	last_master = master;
	master_changes++;
}

static bool message(void *ctx, uint64_t address, uint32_t data)
{
	assert_ptr_equal(ctx, &messages);
	messages++;
	last_address = address;
	last_data = data;
	return true;
}

static const struct pci_device_ops ops = {
	.name = "test",
	.bar_read = bar_read,
	.bar_write = bar_write,
	.reset = reset,
	.master_changed = master_changed,
};

static struct pci_device_config config(void)
{
	return (struct pci_device_config){
		.ops = &ops,
		.identity = {.vendor = 0x1af4, .device = 0x1042, .class_code = 0x010000},
		.host = &host,
		.devfn = DEVFN,
		.msix_count = VECTORS,
		.msix_bar = MSIX_BAR,
		.intx = true,
		.express = true,
		.message = message,
		.message_ctx = &messages,
		.intx_line = rig_irq(&line),
	};
}

static int setup(void **state)
{
	const struct pci_host_config host_config = {.ecam_base = LAYOUT_ECAM_BASE};
	const struct pci_device_config cfg = config();

	(void)state;
	line = (struct rig_line){0};
	resets = 0;
	master_changes = 0;
	messages = 0;
	memset(&seen, 0, sizeof(seen));
	pci_host_init(&host, &host_config);
	assert_int_equal(pci_device_init(&dev, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&dev), HV_OK);
	assert_int_equal(pci_function_add_bar(&dev.function, OWN_BAR, PCI_BAR_64, 0x4000), HV_OK);
	return 0;
}

/* ---- the guest ---- */

static uint32_t get(unsigned reg, unsigned size)
{
	struct vdev_access a = {.space = BUS_MMIO, .offset = DEVFN * 4096 + reg, .size = size};

	return (uint32_t)(host.dev.ops->read(&host.dev, &a) & size_mask(size));
}

static void put(unsigned reg, unsigned size, uint32_t value)
{
	struct vdev_access a = {.space = BUS_MMIO, .offset = DEVFN * 4096 + reg, .size = size};

	host.dev.ops->write(&host.dev, &a, value);
}

static unsigned capability(uint8_t id)
{
	unsigned at = get(PCI_CAPABILITIES, 1);

	while (at != 0 && get(at, 1) != id) {
		at = get(at + 1, 1);
	}
	assert_int_not_equal(at, 0);
	return at;
}

static uint64_t table_read(uint64_t offset, unsigned size)
{
	return dev.function.ops->bar_read(&dev.function, MSIX_BAR, offset, size);
}

static void table_write(uint64_t offset, unsigned size, uint64_t value)
{
	dev.function.ops->bar_write(&dev.function, MSIX_BAR, offset, size, value);
}

static void set_vector(unsigned vector, uint64_t address, uint32_t data, uint32_t control)
{
	table_write(vector * 16, 8, address);
	table_write(vector * 16 + 8, 4, data);
	table_write(vector * 16 + 12, 4, control);
}

static void set_msix(uint32_t control)
{
	put(capability(0x11) + 2, 2, control);
}

static void set_power(uint32_t state)
{
	put(capability(0x01) + 4, 2, state);
}

static void ask_for_reset(void)
{
	unsigned reg = capability(0x10) + 8;

	put(reg, 2, get(reg, 2) | 0x8000);
}

/* ---- configuration space ---- */

static void capabilities_say_what_there_is(void **state)
{
	unsigned express = capability(0x10);
	unsigned power = capability(0x01);
	unsigned msix = capability(0x11);

	(void)state;
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(get(express + 2, 2), 0x92); /* version 2, integrated endpoint */
	assert_int_equal(get(express + 4, 4), 0x10008000);
	assert_int_equal(get(power + 2, 2), 3); /* neither D1 nor D2, no PME */
	assert_int_equal(get(power + 4, 2), 8);
	assert_int_equal(get(msix + 2, 2), VECTORS - 1);
	assert_int_equal(get(msix + 4, 4), MSIX_BAR);
	assert_int_equal(get(msix + 8, 4), PBA | MSIX_BAR);
	assert_int_equal(get(0x100, 4), 0); /* no extended capability */
}

static void only_the_bits_of_the_command_register_that_mean_something_stick(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, 0xffff);
	assert_int_equal(get(PCI_COMMAND, 2),
			 PCI_COMMAND_INTX_OFF | 0x140 | PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	/* PCI Express keeps a cache line size and has no latency timer. */
	put(PCI_CACHE_LINE, 2, 0x4010);
	assert_int_equal(get(PCI_CACHE_LINE, 2), 0x0010);
}

static void bus_mastering_is_published(void **state)
{
	(void)state;
	assert_false(pci_device_is_master(&dev));
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_true(pci_device_is_master(&dev));
	assert_int_equal(master_changes, 1);
	assert_true(last_master);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_int_equal(master_changes, 1);
	put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_false(pci_device_is_master(&dev));
	assert_int_equal(master_changes, 2);
	assert_false(last_master);
}

static void what_does_not_fit_is_refused(void **state)
{
	static struct pci_device other;
	struct pci_device_config cfg = config();

	(void)state;
	assert_int_equal(pci_device_init(&other, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&other), HV_E_EXISTS);
	cfg.devfn = 0x100;
	assert_int_equal(pci_device_init(&other, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&other), HV_E_RANGE);
	cfg.devfn = DEVFN + 8;
	cfg.msix_count = PCI_MSIX_VECTORS_MAX + 1;
	assert_int_equal(pci_device_init(&other, &cfg), HV_E_RANGE);
	cfg.msix_count = PCI_MSIX_VECTORS_MAX;
	cfg.msix_bar = 6;
	assert_int_equal(pci_device_init(&other, &cfg), HV_E_INVALID);
	assert_null(host.functions[DEVFN + 8]); /* what failed is nowhere */
	cfg.msix_bar = 0;
	assert_int_equal(pci_device_init(&other, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&other), HV_OK);
}

static void a_device_without_interrupts_has_neither_pin_nor_messages(void **state)
{
	static struct pci_device other;
	struct pci_device_config cfg = config();

	(void)state;
	cfg.devfn = DEVFN + 8;
	cfg.msix_count = 0;
	cfg.intx = false;
	assert_int_equal(pci_device_init(&other, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&other), HV_OK);
	assert_int_equal(pci_function_read(&other.function, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(other.function.bars[MSIX_BAR].size, 0);
	pci_device_intx(&other, true);
	pci_device_msix(&other, 0);
	assert_int_equal(line.rises + messages, 0);
	assert_int_equal(pci_function_read(&other.function, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}

/* Reset by the advanced features capability, and nothing behind the first 256 bytes. */
static void a_conventional_function_is_reset_as_well(void **state)
{
	struct pci_device_config cfg = config();
	unsigned at;

	(void)state;
	host.functions[DEVFN] = NULL;
	cfg.express = false;
	assert_int_equal(pci_device_init(&dev, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&dev), HV_OK);
	at = capability(0x13);
	assert_int_equal(get(at + 2, 4), 0x0306); /* length, both features, control */
	assert_int_equal(get(0x100, 4), 0xffffffff);
	assert_int_equal(get(capability(0x11) + 2, 2), VECTORS - 1);
	put(PCI_CACHE_LINE, 2, 0xff10);
	assert_int_equal(get(PCI_CACHE_LINE, 2), 0xf810);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	put(at + 4, 1, 0xfe);
	assert_int_equal(resets, 0);
	put(at + 4, 1, 1);
	assert_int_equal(resets, 1);
	assert_int_equal(get(at + 4, 2), 0);
	assert_int_equal(get(PCI_COMMAND, 2), 0);
	assert_int_equal(get(PCI_CACHE_LINE, 2), 0);
}

/* ---- BARs ---- */

static void accesses_to_own_bars_reach_the_model(void **state)
{
	(void)state;
	assert_true(dev.function.ops->bar_read(&dev.function, OWN_BAR, 0x3ff8, 8) ==
		    0x1122334455667788);
	assert_int_equal(seen.bar, OWN_BAR);
	assert_int_equal(seen.offset, 0x3ff8);
	assert_int_equal(seen.size, 8);
	dev.function.ops->bar_write(&dev.function, OWN_BAR, 4, 2, 0xabcd);
	assert_int_equal(seen.offset, 4);
	assert_int_equal(seen.size, 2);
	assert_int_equal(seen.value, 0xabcd);
	seen.bar = 99;
	table_write(0, 4, 1);
	(void)table_read(0, 4);
	assert_int_equal(seen.bar, 99);
}

/* ---- MSI-X ---- */

static void the_table_is_memory_with_read_only_bits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VECTORS; i++) {
		assert_int_equal(table_read(i * 16 + 12, 4), 1);
	}
	table_write(16, 8, 0xffffffffffffffff);
	table_write(24, 4, 0x12345678);
	table_write(28, 4, 0xfffffffe);
	assert_true(table_read(16, 8) == 0xfffffffffffffffc);
	assert_int_equal(table_read(20, 4), 0xffffffff);
	assert_true(table_read(24, 8) == 0x12345678);
	assert_int_equal(table_read(25, 1), 0x56);
	table_write(16 + 8, 8, 0x1aabbccdd);
	assert_true(table_read(24, 8) == 0x1aabbccdd);
}

static void odd_writes_and_what_lies_behind_the_table_do_nothing(void **state)
{
	struct pci_device before;

	(void)state;
	memcpy(&before, &dev, sizeof(dev));
	table_write(0, 1, 0xff);
	table_write(2, 2, 0xffff);
	table_write(2, 4, 0xffffffff);
	table_write(4, 8, ~0ull);
	table_write(VECTORS * 16, 4, 0xffffffff);
	table_write(VECTORS * 16 - 4, 8, ~0ull);
	table_write(PBA, 8, ~0ull);
	table_write(0xff8, 8, ~0ull);
	assert_memory_equal(before.msix, dev.msix, sizeof(dev.msix));
	assert_true(dev.msix_pending == 0);
	assert_true(table_read(VECTORS * 16, 8) == 0);
	assert_true(table_read(PBA + 8, 8) == 0);
	assert_true(table_read(PBA + 4, 8) == 0);
	assert_true(table_read(PBA - 4, 8) == 0);
	assert_true(table_read(0xff8, 8) == 0);
}

static void a_message_goes_where_the_table_says(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	set_vector(3, 0x1fee01000, 0x4031, 0);
	pci_device_msix(&dev, 3); /* messages are off */
	assert_int_equal(messages, 0);
	set_msix(0x8000);
	assert_int_equal(messages, 0);
	assert_true(pci_device_uses_msix(&dev));
	pci_device_msix(&dev, 3);
	assert_int_equal(messages, 1);
	assert_true(last_address == 0x1fee01000);
	assert_int_equal(last_data, 0x4031);
	pci_device_msix(&dev, VECTORS);
	pci_device_msix(&dev, 0xffff);
	assert_int_equal(messages, 1);
	assert_true(table_read(PBA, 8) == 0);
}

static void a_masked_vector_waits_for_its_bit(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	set_msix(0x8000);
	set_vector(4, 0xfee00000, 1, 1);
	set_vector(2, 0xfee00000, 2, 1);
	pci_device_msix(&dev, 4);
	pci_device_msix(&dev, 4);
	pci_device_msix(&dev, 2);
	assert_int_equal(messages, 0);
	assert_true(table_read(PBA, 8) == 0x14);
	assert_int_equal(table_read(PBA, 1), 0x14);
	table_write(4 * 16 + 12, 4, 0);
	assert_int_equal(messages, 1); /* once */
	assert_int_equal(last_data, 1);
	assert_true(table_read(PBA, 8) == 4);
}

static void the_function_mask_holds_all(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	set_msix(0xc000);
	for (unsigned i = 0; i < VECTORS; i++) {
		set_vector(i, 0xfee00000, i, i == 1);
		pci_device_msix(&dev, i);
	}
	assert_int_equal(messages, 0);
	assert_true(table_read(PBA, 8) == 0x1f);
	set_msix(0x8000);
	assert_int_equal(messages, VECTORS - 1);
	assert_true(table_read(PBA, 8) == 2);
}

static void messages_wait_for_bus_mastering(void **state)
{
	(void)state;
	set_msix(0x8000);
	set_vector(0, 0xfee00000, 7, 0);
	pci_device_msix(&dev, 0);
	assert_int_equal(messages, 0);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(messages, 1);
}

static void messages_that_are_switched_off_are_forgotten(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	set_msix(0xc000);
	set_vector(0, 0xfee00000, 7, 0);
	pci_device_msix(&dev, 0);
	set_msix(0);
	set_msix(0x8000);
	assert_int_equal(messages, 0);
	assert_true(table_read(PBA, 8) == 0);
}

/* ---- INTx ---- */

static void the_line_follows_the_device(void **state)
{
	(void)state;
	pci_device_intx(&dev, true);
	pci_device_intx(&dev, true);
	assert_true(line.level);
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST | PCI_STATUS_INTX);
	pci_device_intx(&dev, false);
	assert_false(line.level);
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}

static void a_line_that_is_off_is_kept_and_shown(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
	pci_device_intx(&dev, true);
	assert_false(line.level);
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST | PCI_STATUS_INTX);
	put(PCI_COMMAND, 2, 0);
	assert_true(line.level);
	put(PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
	assert_false(line.level);
}

static void messages_take_the_lines_place(void **state)
{
	(void)state;
	pci_device_intx(&dev, true);
	set_msix(0xc000); /* masked as a whole counts as on */
	assert_false(line.level);
	set_msix(0);
	assert_true(line.level);
}

/* ---- MSI ---- */

static void assert_msi(unsigned count)
{
	assert_int_equal(messages, count);
	assert_false(line.level);
	if (count != 0) {
		assert_true(last_address == 0x1fee02000);
		assert_int_equal(last_data, 0x4051);
	}
}

static void a_message_stands_for_the_line(void **state)
{
	struct pci_device_config cfg = config();
	unsigned at;

	(void)state;
	host.functions[DEVFN] = NULL;
	cfg.msi = true;
	assert_int_equal(pci_device_init(&dev, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&dev), HV_OK);
	at = capability(0x05);
	assert_int_equal(get(at + 2, 2), 0x80);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	put(at + 4, 4, 0xfee02003);
	put(at + 8, 4, 1);
	put(at + 12, 2, 0x4051);
	put(at + 2, 2, 0xffff);
	assert_int_equal(get(at + 2, 2), 0x81);
	assert_msi(0);
	pci_device_intx(&dev, true);
	assert_msi(1);
	put(PCI_INTERRUPT_LINE, 1, 5); /* no second one */
	assert_msi(1);
	pci_device_intx(&dev, false);
	pci_device_intx(&dev, true);
	assert_msi(2);
	put(at + 2, 2, 0);
	assert_true(line.level);
	put(PCI_COMMAND, 2, 0);
	put(at + 2, 2, 1);
	assert_msi(2); /* not before it may write to memory */
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_msi(3);
	set_msix(0xc000);
	pci_device_intx(&dev, false);
	pci_device_intx(&dev, true);
	assert_msi(3); /* MSI-X goes before */
}

/* ---- power ---- */

static void below_d0_nothing_leaves_the_device(void **state)
{
	(void)state;
	put(PCI_BAR0 + OWN_BAR * 4, 4, 0xc0000000);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	pci_device_intx(&dev, true);
	assert_true(dev.function.bars[OWN_BAR].mapped);
	set_power(3);
	assert_int_equal(get(capability(0x01) + 4, 2), 0xb);
	assert_false(dev.function.bars[OWN_BAR].mapped);
	assert_false(pci_device_is_master(&dev));
	assert_false(line.level);
	put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_false(dev.function.bars[OWN_BAR].mapped);
	assert_false(pci_device_is_master(&dev));
	assert_int_equal(resets, 0);
}

static void d0_brings_back_what_was(void **state)
{
	(void)state;
	put(PCI_BAR0 + OWN_BAR * 4, 4, 0xc0000000);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	set_msix(0x8000);
	set_vector(1, 0xfee00000, 9, 0);
	set_power(3);
	pci_device_msix(&dev, 1);
	assert_int_equal(messages, 0);
	set_power(0);
	assert_true(dev.function.bars[OWN_BAR].mapped);
	assert_true(pci_device_is_master(&dev));
	assert_int_equal(messages, 1);
	assert_int_equal(last_data, 9);
	assert_int_equal(resets, 0);
}

static void states_that_are_not_there_are_not_entered(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	set_power(1);
	assert_int_equal(get(capability(0x01) + 4, 2), 8);
	assert_true(pci_device_is_master(&dev));
	set_power(3);
	set_power(2);
	assert_int_equal(get(capability(0x01) + 4, 2), 0xb);
	assert_false(pci_device_is_master(&dev));
}

/* ---- resets ---- */

static void use_everything(void)
{
	put(PCI_BAR0 + OWN_BAR * 4, 4, 0xc0000000);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	put(PCI_INTERRUPT_LINE, 1, 11);
	pci_device_intx(&dev, true);
	set_msix(0x8000);
	set_vector(0, 0xfee00000, 1, 1);
	pci_device_msix(&dev, 0);
}

static void assert_as_after_power_on(void)
{
	assert_int_equal(resets, 1);
	assert_int_equal(get(PCI_COMMAND, 2), 0);
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(get(PCI_BAR0 + OWN_BAR * 4, 4), PCI_BAR_64);
	assert_int_equal(get(PCI_INTERRUPT_LINE, 1), 0);
	assert_int_equal(get(capability(0x01) + 4, 2), 8);
	assert_int_equal(get(capability(0x11) + 2, 2), VECTORS - 1);
	assert_int_equal(get(capability(0x10) + 8, 2), 0x2810);
	assert_int_equal(table_read(12, 4), 1);
	assert_true(table_read(0, 8) == 0);
	assert_true(table_read(PBA, 8) == 0);
	assert_false(line.level);
	assert_false(dev.function.bars[OWN_BAR].mapped);
	put(PCI_COMMAND, 2, 0x140);
	assert_false(line.level);
	assert_int_equal(messages, 0);
}

static void function_level_reset_is_as_power_on(void **state)
{
	(void)state;
	use_everything();
	ask_for_reset();
	assert_as_after_power_on();
}

static void function_level_reset_ends_d3(void **state)
{
	(void)state;
	use_everything();
	set_power(3);
	ask_for_reset();
	assert_as_after_power_on();
	put(PCI_BAR0 + OWN_BAR * 4, 4, 0xc0000000);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_true(dev.function.bars[OWN_BAR].mapped);
	assert_true(pci_device_is_master(&dev));
}

static void reset_of_the_machine_resets_devices(void **state)
{
	(void)state;
	use_everything();
	set_power(3);
	host.dev.ops->reset(&host.dev);
	assert_as_after_power_on();
}

static struct {
	uint64_t address;
	bool mapped;
	unsigned calls;
} rom_shown;

static void show_rom(void *ctx, uint64_t address, bool mapped)
{
	assert_ptr_equal(ctx, &rom_shown);
	rom_shown.address = address;
	rom_shown.mapped = mapped;
	rom_shown.calls++;
}

/* Read through the window like a BAR, without the model; writes change nothing. */
static void a_rom_is_read_where_its_register_says(void **state)
{
	static uint8_t bytes[512] = {
		[0] = 0x55, [1] = 0xaa, [0x18] = 0x20, [0x30] = 1, [0x35] = 0x80};
	struct pci_device_config cfg = config();
	struct vdev_access a = {
		.space = BUS_MMIO, .addr = 0xc0100000, .size = 4, .nobody = &(bool){false}};
	static struct pci_device other;
	static struct pci_window window;

	(void)state;
	memcpy(bytes + 0x20, "PCIR\xf4\x1a\x42\x10", 8);
	pci_window_init(&window, &host);
	cfg.devfn += 8;
	cfg.rom = (struct pci_rom){bytes, sizeof(bytes), show_rom, &rom_shown};
	memset(&rom_shown, 0, sizeof(rom_shown));
	bytes[0] = 0;
	assert_int_equal(pci_device_init(&other, &cfg), HV_E_INVALID);
	bytes[0] = 0x55;
	assert_int_equal(pci_device_init(&other, &cfg), HV_OK);
	assert_int_equal(pci_device_add(&other), HV_OK);
	pci_function_write(&other.function, PCI_ROM_BASE, 4, 0xc0100001);
	assert_int_equal(rom_shown.calls, 0);
	pci_function_write(&other.function, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	host.bars_version++;
	assert_true(rom_shown.calls == 1 && rom_shown.mapped);
	assert_int_equal(rom_shown.address, 0xc0100000);
	seen.size = 0;
	assert_int_equal(window.dev.ops->read(&window.dev, &a) & 0xffff, 0xaa55);
	window.dev.ops->write(&window.dev, &a, 0);
	assert_int_equal(window.dev.ops->read(&window.dev, &a) & 0xffff, 0xaa55);
	/* Behind the file, in the space. */
	a.addr += 512;
	assert_int_equal(window.dev.ops->read(&window.dev, &a) & 0xffffffff, 0xffffffff);
	assert_false(*a.nobody);
	/* Behind the space. */
	a.addr += 0x800;
	(void)window.dev.ops->read(&window.dev, &a);
	assert_true(*a.nobody);
	assert_int_equal(seen.size, 0);
	/* Its own enable bit. */
	pci_function_write(&other.function, PCI_ROM_BASE, 4, 0xc0100000);
	assert_true(rom_shown.calls == 2 && !rom_shown.mapped);
}

/* Only the bit that says so resets, and each time. */
static void other_bits_of_device_control_reset_nothing(void **state)
{
	unsigned reg = capability(0x10) + 8;

	(void)state;
	put(reg, 2, 0x7fff);
	assert_int_equal(get(reg, 2), 0x78ff);
	assert_int_equal(resets, 0);
	ask_for_reset();
	ask_for_reset();
	assert_int_equal(resets, 2);
}

/* ---- saved state ---- */

static struct pci_device_saved saved_state(void)
{
	struct pci_device_saved saved = {0};

	pci_device_save(&dev, &saved);
	return saved;
}

static void set_up_much(void)
{
	put(PCI_BAR0 + OWN_BAR * 4, 4, 0xfe000000);
	put(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	put(PCI_INTERRUPT_LINE, 1, 11);
	set_vector(0, 0xfee00000, 0x41, 0);
	set_vector(3, 0xfee01000, 0x42, 1);
}

static void a_device_that_is_loaded_goes_on_as_it_was(void **state)
{
	struct pci_device_saved before;
	struct pci_device_saved after;

	(void)state;
	set_up_much();
	set_msix(0x8000);
	pci_device_msix(&dev, 3); /* masked: it waits */
	before = saved_state();
	pci_device_reset(&dev);
	assert_int_equal(resets, 1);
	assert_int_equal(get(PCI_COMMAND, 2), 0);
	assert_null(pci_device_check(&dev, &before));
	pci_device_load(&dev, &before);
	after = saved_state();
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(messages, 0);
	assert_true(last_master);
	assert_true(dev.function.bars[OWN_BAR].mapped);
	assert_int_equal(get(PCI_INTERRUPT_LINE, 1), 11);
	pci_device_msix(&dev, 0);
	assert_int_equal(messages, 1);
	set_vector(3, 0xfee01000, 0x42, 0);
	assert_int_equal(messages, 2);
	assert_int_equal(last_data, 0x42);
}

/* What lasts is pulled again, and not told twice where it is a message. */
static void the_line_is_pulled_again(void **state)
{
	struct pci_device_saved saved;

	(void)state;
	set_up_much();
	pci_device_intx(&dev, true);
	assert_true(line.level);
	saved = saved_state();
	pci_device_reset(&dev);
	assert_false(line.level);
	pci_device_load(&dev, &saved);
	assert_true(line.level);
	assert_int_equal(get(PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	pci_device_load(&dev, &saved);
	assert_true(line.level);
	pci_device_intx(&dev, false);
	assert_false(line.level);
}

static void a_device_in_d3_is_loaded_in_d3(void **state)
{
	struct pci_device_saved saved;

	(void)state;
	set_up_much();
	set_power(3);
	pci_device_intx(&dev, true);
	saved = saved_state();
	set_power(0);
	assert_true(line.level);
	pci_device_load(&dev, &saved);
	assert_false(line.level);
	assert_false(dev.function.bars[OWN_BAR].mapped);
	assert_false(pci_device_is_master(&dev));
	set_power(0);
	assert_true(line.level);
	assert_true(dev.function.bars[OWN_BAR].mapped);
}

static bool refuses(const struct pci_device_saved *saved)
{
	return pci_device_check(&dev, saved) != NULL;
}

static void what_no_guest_can_make_of_it_is_refused(void **state)
{
	const struct pci_device_saved good = saved_state();
	struct pci_device_saved bad = good;

	(void)state;
	assert_false(refuses(&good));
	bad.function.value[0] ^= 1; /* another vendor */
	assert_true(refuses(&bad));
	bad = good;
	bad.function.value[capability(0x01) + 4] |= 1; /* D1 */
	assert_true(refuses(&bad));
	bad = good;
	bad.function.value[capability(0x10) + 9] |= 0x80; /* a reset under way */
	assert_true(refuses(&bad));
	bad = good;
	bad.msix_pending = 1u << VECTORS;
	assert_true(refuses(&bad));
	bad = good;
	bad.msix[VECTORS].control = 0;
	assert_true(refuses(&bad));
	bad = good;
	bad.msix[0].address = 2;
	assert_true(refuses(&bad));
	bad = good;
	bad.msix[0].control = 3;
	assert_true(refuses(&bad));
	bad = good;
	bad.intx_asserted = 2;
	assert_true(refuses(&bad));
	bad = good;
	bad.zero[5] = 1;
	assert_true(refuses(&bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(capabilities_say_what_there_is, setup),
		cmocka_unit_test_setup(
			only_the_bits_of_the_command_register_that_mean_something_stick, setup),
		cmocka_unit_test_setup(bus_mastering_is_published, setup),
		cmocka_unit_test_setup(what_does_not_fit_is_refused, setup),
		cmocka_unit_test_setup(a_device_without_interrupts_has_neither_pin_nor_messages,
				       setup),
		cmocka_unit_test_setup(a_conventional_function_is_reset_as_well, setup),
		cmocka_unit_test_setup(accesses_to_own_bars_reach_the_model, setup),
		cmocka_unit_test_setup(the_table_is_memory_with_read_only_bits, setup),
		cmocka_unit_test_setup(odd_writes_and_what_lies_behind_the_table_do_nothing, setup),
		cmocka_unit_test_setup(a_message_goes_where_the_table_says, setup),
		cmocka_unit_test_setup(a_masked_vector_waits_for_its_bit, setup),
		cmocka_unit_test_setup(the_function_mask_holds_all, setup),
		cmocka_unit_test_setup(messages_wait_for_bus_mastering, setup),
		cmocka_unit_test_setup(messages_that_are_switched_off_are_forgotten, setup),
		cmocka_unit_test_setup(the_line_follows_the_device, setup),
		cmocka_unit_test_setup(a_line_that_is_off_is_kept_and_shown, setup),
		cmocka_unit_test_setup(messages_take_the_lines_place, setup),
		cmocka_unit_test_setup(a_message_stands_for_the_line, setup),
		cmocka_unit_test_setup(below_d0_nothing_leaves_the_device, setup),
		cmocka_unit_test_setup(d0_brings_back_what_was, setup),
		cmocka_unit_test_setup(states_that_are_not_there_are_not_entered, setup),
		cmocka_unit_test_setup(function_level_reset_is_as_power_on, setup),
		cmocka_unit_test_setup(function_level_reset_ends_d3, setup),
		cmocka_unit_test_setup(reset_of_the_machine_resets_devices, setup),
		cmocka_unit_test_setup(other_bits_of_device_control_reset_nothing, setup),
		cmocka_unit_test_setup(a_rom_is_read_where_its_register_says, setup),
		cmocka_unit_test_setup(a_device_that_is_loaded_goes_on_as_it_was, setup),
		cmocka_unit_test_setup(the_line_is_pulled_again, setup),
		cmocka_unit_test_setup(a_device_in_d3_is_loaded_in_d3, setup),
		cmocka_unit_test_setup(what_no_guest_can_make_of_it_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
