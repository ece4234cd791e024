/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of a device that are reached through its configuration space. */
#include "guests/devices/virtio_cfg_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/virtio_format.h"

#define DEVFN LAYOUT_DEVFN_FIRST
#define BAR 2u
#define BAR_SIZE 64u

static struct pci_host host;
static struct pci_device dev;
static uint8_t registers[BAR_SIZE];
static unsigned accesses;

/* No lock is held. */
static void assert_access(unsigned bar, uint64_t offset, unsigned size)
{
	assert_int_equal(bar, BAR);
	assert_true(range_fits(offset, size, BAR_SIZE) && offset % size == 0);
	assert_true(lock_try(&host.dev.lock));
	lock_release(&host.dev.lock);
	accesses++;
}

static uint64_t bar_read(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	assert_ptr_equal(d, &dev);
	assert_access(bar, offset, size);
	memcpy(&value, registers + offset, size);
	return value;
}

static void bar_write(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
		      uint64_t value)
{
	assert_ptr_equal(d, &dev);
	assert_access(bar, offset, size);
	assert_true(size == 8 || value >> (size * 8) == 0);
	memcpy(registers + offset, &value, size);
}

static void reset(struct pci_device *d)
{
	(void)d;
}

static uint64_t get(unsigned reg, unsigned size)
{
	uint64_t offset = DEVFN * PCI_EXPRESS_BYTES + reg;
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	return host.dev.ops->read(&host.dev, &a) & MASK(size * 8 - 1, 0);
}

static void put(unsigned reg, unsigned size, uint64_t value)
{
	uint64_t offset = DEVFN * PCI_EXPRESS_BYTES + reg;
	const struct vdev_access a = {.space = BUS_MMIO, .offset = offset, .size = size};

	host.dev.ops->write(&host.dev, &a, value);
}

static unsigned capability(void)
{
	unsigned at = (unsigned)get(PCI_CAPABILITIES, 1);

	while (get(at, 1) != PCI_CAP_VENDOR) {
		at = (unsigned)get(at + 1, 1);
		assert_int_not_equal(at, 0);
	}
	return at;
}

static unsigned data_register(void)
{
	return capability() + VIRTIO_PCI_CAP_DATA;
}

static void aim(unsigned bar, uint32_t offset, uint32_t length)
{
	unsigned at = capability();

	put(at + VIRTIO_PCI_CAP_BAR, 1, bar);
	put(at + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	put(at + VIRTIO_PCI_CAP_LENGTH, 4, length);
}

static int setup(void **state)
{
	static const struct pci_device_ops ops = {
		.name = "test",
		.bar_read = bar_read,
		.bar_write = bar_write,
		.reset = reset,
		.window = virtio_cfg_window_access,
	};
	const struct pci_host_config host_config = {.ecam_base = LAYOUT_ECAM_BASE};
	const struct pci_device_config cfg = {.ops = &ops, .host = &host, .devfn = DEVFN};

	(void)state;
	pci_host_init(&host, &host_config);
	assert_int_equal(pci_device_init(&dev, &cfg), HV_OK);
	assert_int_equal(pci_function_add_bar(&dev.function, BAR, 0, BAR_SIZE), HV_OK);
	assert_int_equal(virtio_cfg_window_add(&dev.function), HV_OK);
	assert_int_equal(pci_device_add(&dev), HV_OK);
	for (unsigned i = 0; i < BAR_SIZE; i++) {
		registers[i] = (uint8_t)(i + 1);
	}
	accesses = 0;
	return 0;
}

static void the_capability_says_what_it_is(void **state)
{
	unsigned at = capability();

	(void)state;
	assert_int_equal(get(at + VIRTIO_PCI_CAP_LEN, 1), 20);
	assert_int_equal(get(at + VIRTIO_PCI_CAP_TYPE, 1), 5);
	assert_int_equal(accesses, 0);
}

/* Decoding is off: the way is there for drivers that cannot use BARs. */
static void each_length_reads_and_writes_the_bar(void **state)
{
	(void)state;
	aim(BAR, 8, 4);
	assert_int_equal(get(data_register(), 4), 0x0c0b0a09);
	aim(BAR, 10, 2);
	assert_int_equal(get(data_register(), 2), 0x0c0b);
	/* The upper half is what it was. */
	assert_int_equal(get(data_register(), 4), 0x0c0b0c0b);
	aim(BAR, 63, 1);
	assert_int_equal(get(data_register(), 1), 64);
	put(data_register(), 1, 0xee);
	assert_int_equal(registers[63], 0xee);
	aim(BAR, 4, 4);
	put(data_register(), 4, 0x44332211);
	assert_memory_equal(registers + 4, "\x11\x22\x33\x44\x09", 5);
	aim(BAR, 4, 2);
	put(data_register(), 4, 0x88776655);
	assert_memory_equal(registers + 4, "\x55\x66\x33\x44\x09", 5);
	/* The same value again is a write as well. */
	accesses = 0;
	put(data_register(), 4, 0x88776655);
	assert_int_equal(accesses, 1);
}

/* Any part of the register is a use of it, and nothing beside it is. */
static void only_the_data_reaches_out(void **state)
{
	(void)state;
	aim(BAR, 0, 4);
	assert_int_equal(accesses, 0);
	(void)get(data_register() - 4, 4);
	assert_int_equal(accesses, 0);
	assert_int_equal(get(data_register() + 3, 1), 4);
	assert_int_equal(accesses, 1);
}

static void places_that_are_not_there_are_left_alone(void **state)
{
	static const uint32_t wrong[][3] = {
		{BAR, BAR_SIZE, 1}, {BAR, BAR_SIZE - 2, 4},
		{BAR, 2, 4},	    {BAR, 1, 2},
		{BAR, 0, 0},	    {BAR, 0, 3},
		{BAR, 0, 8},	    {BAR, 0, 0xffffffff},
		{0, 0, 4},	    {6, 0, 4},
		{255, 0, 4},	    {BAR, 0xfffffffc, 4},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		aim(wrong[i][0], wrong[i][1], wrong[i][2]);
		put(data_register(), 4, 0x12345678);
		assert_int_equal(get(data_register(), 4), 0x12345678);
	}
	assert_int_equal(accesses, 0);
	aim(BAR, 0, 4);
	pci_function_set_quiet(&dev.function, true);
	(void)get(data_register(), 4);
	assert_int_equal(accesses, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_capability_says_what_it_is, setup),
		cmocka_unit_test_setup(each_length_reads_and_writes_the_bar, setup),
		cmocka_unit_test_setup(only_the_data_reaches_out, setup),
		cmocka_unit_test_setup(places_that_are_not_there_are_left_alone, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
