/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/virtio_pci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/lacks_rig.h"
#include "tests/fakes/virtio_pci_rig.h"

#define QUEUES 3u
#define TYPE_FEATURE 5u
#define DATA (RIG_RAM_BASE + 0x40000u)

static struct virtio_pci dev;
static uint8_t config_bytes[12];
static unsigned notified[QUEUES];
static unsigned queue_resets[QUEUES];
static unsigned activated;
static unsigned resets;
static unsigned config_offset;
static uint64_t config_value;
static bool echo; /* gives each chain back */

static bool lock_is_free(struct spinlock *l)
{
	bool is_free = lock_try(l);

	if (is_free) {
		lock_release(l);
	}
	return is_free;
}

static void notify(struct virtio_pci *d, unsigned index)
{
	struct virtqueue *ring = virtio_ring(d, index);
	struct virtqueue_chain chain;

	assert_ptr_equal(d, &dev);
	assert_false(lock_is_free(&d->queues[index].lock));
	assert_true(lock_is_free(&d->lock));
	notified[index]++;
	while (echo && virtqueue_poll(ring) && virtqueue_pop(ring, &chain)) {
		virtqueue_push(ring, chain.head, 0);
	}
	virtio_queue_publish(d, index);
}

static void activate(struct virtio_pci *d)
{
	assert_true(virtio_has(d, VIRTIO_F_VERSION_1));
	activated++;
}

static void queue_reset(struct virtio_pci *d, unsigned index)
{
	assert_false(lock_is_free(&d->queues[index].lock));
	assert_false(d->queues[index].ring.running);
	queue_resets[index]++;
}

static void reset(struct virtio_pci *d)
{
	assert_false(virtio_is_live(d));
	resets++;
}

static void config_write(struct virtio_pci *d, unsigned offset, unsigned size, uint64_t value)
{
	assert_true(offset + size <= d->config_size);
	config_offset = offset;
	config_value = value;
}

static const struct virtio_device_ops ops = {
	.name = "virtio-test",
	.notify = notify,
	.activate = activate,
	.queue_reset = queue_reset,
	.reset = reset,
	.config_write = config_write,
};

static int setup(void **state)
{
	const struct virtio_pci_wiring w = rig_wiring();
	const struct virtio_pci_config cfg = {
		.ops = &ops,
		.type = VIRTIO_TYPE_BLOCK,
		.class_code = 0x010000,
		.queue_count = QUEUES,
		.queue_size = 64,
		.features = BIT(TYPE_FEATURE),
		.config = config_bytes,
		.config_size = sizeof(config_bytes),
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(config_bytes); i++) {
		config_bytes[i] = (uint8_t)(0xa0 + i);
	}
	memset(notified, 0, sizeof(notified));
	activated = 0;
	echo = false;
	assert_int_equal(virtio_pci_init(&dev, &cfg, &w), HV_OK);
	memset(queue_resets, 0, sizeof(queue_resets));
	resets = 0;
	return 0;
}

static void start(void)
{
	rig_start(&dev, 0, 16);
	memset(queue_resets, 0, sizeof(queue_resets));
	resets = 0;
}

/* ---- what a driver finds ---- */

/* The first structure of a type from `at` on. */
static unsigned structure_from(unsigned at, uint8_t type)
{
	while (at != 0 && (rig_config_read(at, 1) != 0x09 || rig_config_read(at + 3, 1) != type)) {
		at = rig_config_read(at + 1, 1);
	}
	assert_int_not_equal(at, 0);
	return at;
}

static unsigned structure(uint8_t type)
{
	return structure_from(rig_capability(0x09), type);
}

static unsigned next_structure(uint8_t type)
{
	return structure_from(rig_config_read(structure(type) + 1, 1), type);
}

static void assert_structure(unsigned at, unsigned bar, unsigned offset, unsigned length)
{
	assert_int_equal(rig_config_read(at + 2, 1), rig_config_read(at + 3, 1) == 2 ? 20 : 16);
	assert_int_equal(rig_config_read(at + 4, 1), bar);
	assert_int_equal(rig_config_read(at + 8, 4), offset);
	assert_int_equal(rig_config_read(at + 12, 4), length);
}

static void test_identity(void **state)
{
	(void)state;
	assert_int_equal(rig_config_read(PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(rig_config_read(PCI_REVISION, 4), 0x01000001);
	assert_int_equal(rig_config_read(PCI_SUBSYSTEM_VENDOR, 4), 0x00401af4);
	assert_structure(structure(1), 2, 0, 64);
	assert_structure(structure(2), 0, 0, 4);
	assert_structure(structure(3), 0, 4, 1);
	assert_structure(structure(4), 2, 0x100, sizeof(config_bytes));
	assert_int_equal(rig_config_read(structure(2) + 16, 4), 0);
	assert_int_equal(rig_config_read(rig_capability(0x11) + 2, 2), QUEUES);
	assert_int_equal(rig_config_read(PCI_BAR0, 4), 1);
}

/* For drivers that take the last of a type: OVMF's, and those for Windows. */
static void test_the_last_notification_is_a_port(void **state)
{
	unsigned last = 0;

	(void)state;
	for (unsigned at = rig_capability(0x09); at != 0; at = rig_config_read(at + 1, 1)) {
		if (rig_config_read(at, 1) == 0x09 && rig_config_read(at + 3, 1) == 2) {
			last = at;
		}
	}
	assert_structure(last, 0, 0, 4);
	assert_int_equal(rig_config_read(last + 16, 4), 0);
}

/* For drivers that use no ports, as that of 9front: behind what others take. */
static void test_structures_in_memory(void **state)
{
	(void)state;
	assert_structure(next_structure(2), 2, VIRTIO_PCI_REGS_NOTIFY, 4);
	assert_int_equal(rig_config_read(next_structure(2) + 16, 4), 0);
	assert_structure(next_structure(3), 2, VIRTIO_PCI_REGS_ISR, 1);
	echo = true;
	start();
	rig_desc(rig_queues[1].desc, 0, DATA, 16, 0);
	rig_offer(&rig_queues[1], 0);
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, VIRTIO_PCI_REGS_NOTIFY, 2, 1);
	assert_int_equal(notified[1], 1);
	assert_true(rig_intx.level);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, VIRTIO_PCI_REGS_ISR, 1),
			 VIRTIO_ISR_QUEUE);
	assert_false(rig_intx.level);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_PORTS, VIRTIO_PCI_PORT_ISR, 1), 0);
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, VIRTIO_PCI_REGS_NOTIFY, 2, QUEUES);
	assert_int_equal(notified[0] + notified[1] + notified[2], 1);
}

static void test_registers_at_start(void **state)
{
	(void)state;
	assert_int_equal(rig_device_features(&dev),
			 BIT(TYPE_FEATURE) | BIT(28) | BIT(29) | BIT(32) | BIT(40));
	rig_common_write(&dev, device_feature_select, 2);
	assert_int_equal(rig_common_read(&dev, device_feature), 0);
	assert_int_equal(rig_common_read(&dev, num_queues), QUEUES);
	assert_int_equal(rig_common_read(&dev, config_msix_vector), 0xffff);
	assert_int_equal(rig_common_read(&dev, device_status), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		rig_common_write(&dev, queue_select, i);
		assert_int_equal(rig_common_read(&dev, queue_size), 64);
		assert_int_equal(rig_common_read(&dev, queue_msix_vector), 0xffff);
		assert_int_equal(rig_common_read(&dev, queue_enable), 0);
	}
	rig_common_write(&dev, queue_select, QUEUES);
	assert_int_equal(rig_common_read(&dev, queue_size), 0);
	rig_common_write(&dev, queue_enable, 1);
	rig_common_write(&dev, queue_size, 8);
	assert_int_equal(rig_common_read(&dev, queue_size), 0);
	/* Bytes of registers, and what lies behind them. */
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, 18, 1), QUEUES);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, 60, 8), 0);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, 0xf8, 8), 0);
}

static void test_queue_addresses(void **state)
{
	(void)state;
	assert_true(rig_negotiate(&dev, BIT(VIRTIO_F_VERSION_1)));
	rig_common_write(&dev, queue_select, 1);
	rig_common_write(&dev, queue_desc, 0x1111222233334440);
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, RIG_COMMON(queue_driver), 4, 0x55556666);
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, RIG_COMMON(queue_driver) + 4, 4, 0x77778888);
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, RIG_COMMON(queue_device) + 4, 4, 0x9999);
	/* Not a width of the register. */
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, RIG_COMMON(queue_desc), 2, 0);
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, RIG_COMMON(queue_size), 4, 1);
	assert_int_equal(rig_common_read(&dev, queue_desc), 0x1111222233334440);
	assert_int_equal(rig_common_read(&dev, queue_driver), 0x7777888855556666);
	assert_int_equal(rig_common_read(&dev, queue_device), 0x999900000000);
	assert_int_equal(rig_common_read(&dev, queue_size), 64);
	rig_common_write(&dev, queue_select, 0);
	assert_int_equal(rig_common_read(&dev, queue_desc), 0);
}

/* ---- negotiation ---- */

static void test_features(void **state)
{
	(void)state;
	assert_false(rig_negotiate(&dev, BIT(TYPE_FEATURE)));
	assert_false(rig_negotiate(&dev, BIT(VIRTIO_F_VERSION_1) | BIT(6)));
	/* Without FEATURES_OK there is no DRIVER_OK, and no queue runs. */
	rig_enable_queue(&dev, 0, 8);
	assert_false(virtio_ring(&dev, 0)->running);
	rig_common_write(&dev, device_status, 0x0f);
	assert_false(virtio_ring(&dev, 0)->running);
	assert_int_equal(rig_common_read(&dev, device_status), 0x03);
	assert_int_equal(activated, 0);

	assert_true(rig_negotiate(&dev, BIT(VIRTIO_F_VERSION_1) | BIT(TYPE_FEATURE)));
	/* The choice is made. */
	rig_common_write(&dev, driver_feature, 0);
	assert_int_equal(rig_common_read(&dev, driver_feature), 1);
	rig_common_write(&dev, device_status, 0x0f);
	assert_int_equal(rig_common_read(&dev, device_status), 0x0f);
	assert_int_equal(activated, 1);
	/* Bits stay; NEEDS_RESET is not the driver's. */
	rig_common_write(&dev, device_status, 0xc1);
	assert_int_equal(rig_common_read(&dev, device_status), 0x8f);
	assert_int_equal(activated, 1);
}

/* ---- queues ---- */

static void test_queue_before_features(void **state)
{
	(void)state;
	rig_set_master(true);
	rig_enable_queue(&dev, 1, 8);
	assert_int_equal(rig_common_read(&dev, queue_enable), 1);
	rig_common_write(&dev, queue_size, 16); /* it is set up */
	assert_int_equal(rig_common_read(&dev, queue_size), 8);
	assert_false(virtio_ring(&dev, 1)->running);
	assert_true(rig_agree(&dev, BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_EVENT_IDX)));
	assert_true(virtio_ring(&dev, 1)->running);
	assert_true(virtio_ring(&dev, 1)->event_idx);
	assert_false(virtio_ring(&dev, 0)->running);
	rig_common_write(&dev, device_status, 0x0f);
	rig_notify(&dev, 1);
	assert_int_equal(notified[1], 1);
}

static void test_notification(void **state)
{
	(void)state;
	assert_true(rig_negotiate(&dev, BIT(VIRTIO_F_VERSION_1)));
	rig_set_master(true);
	rig_enable_queue(&dev, 1, 8);
	rig_notify(&dev, 1);
	assert_int_equal(notified[1], 0); /* before DRIVER_OK */
	rig_common_write(&dev, device_status, 0x0f);
	rig_notify(&dev, 1);
	assert_int_equal(notified[1], 1);
	rig_notify(&dev, 0); /* not enabled */
	rig_notify(&dev, QUEUES);
	rig_notify(&dev, 0xffff);
	assert_int_equal(notified[0] + notified[2], 0);
	rig_set_master(false);
	rig_notify(&dev, 1);
	assert_int_equal(notified[1], 1);
	rig_set_master(true);
	virtio_pci_resume(&dev, 1);
	assert_int_equal(notified[1], 2);
	assert_true(lock_is_free(&dev.queues[1].lock));
}

static void offer(unsigned queue)
{
	rig_desc(rig_queues[queue].desc, 0, DATA, 16, 0);
	rig_offer(&rig_queues[queue], 0);
	rig_notify(&dev, queue);
}

static void test_msix(void **state)
{
	(void)state;
	echo = true;
	start();
	rig_msix_on(&dev);
	assert_int_equal(rig_common_read(&dev, config_msix_vector), QUEUES);
	offer(2);
	assert_int_equal(rig_messages[2], 1);
	offer(2);
	offer(1);
	assert_int_equal(rig_messages[2], 2);
	assert_int_equal(rig_messages[1], 1);
	assert_false(rig_intx.level);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_PORTS, VIRTIO_PCI_PORT_ISR, 1), 0);
	/* A vector that is not there is none. */
	rig_common_write(&dev, queue_select, 2);
	rig_common_write(&dev, queue_msix_vector, QUEUES + 1);
	assert_int_equal(rig_common_read(&dev, queue_msix_vector), 0xffff);
	offer(2);
	assert_int_equal(rig_messages[2], 2);
	assert_int_equal(rig_used_index(&rig_queues[2]), 3);
}

static void test_intx(void **state)
{
	(void)state;
	echo = true;
	start();
	offer(0);
	assert_true(rig_intx.level);
	offer(1);
	assert_int_equal(rig_intx.rises, 1);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_PORTS, VIRTIO_PCI_PORT_ISR, 1),
			 VIRTIO_ISR_QUEUE);
	assert_false(rig_intx.level);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_PORTS, VIRTIO_PCI_PORT_ISR, 1), 0);
	/* The driver wants none. */
	rig_set_avail_flags(&rig_queues[0], 1);
	offer(0);
	assert_false(rig_intx.level);
}

static void test_queue_reset(void **state)
{
	(void)state;
	start();
	rig_common_write(&dev, queue_select, 1);
	rig_common_write(&dev, queue_reset, 1);
	assert_int_equal(queue_resets[1], 0); /* not negotiated */

	rig_start(&dev, BIT(VIRTIO_F_RING_RESET), 16);
	memset(queue_resets, 0, sizeof(queue_resets));
	rig_common_write(&dev, queue_select, 1);
	/* An enabled queue does not change. */
	rig_common_write(&dev, queue_size, 8);
	assert_int_equal(rig_common_read(&dev, queue_size), 16);
	rig_common_write(&dev, queue_reset, 1);
	assert_int_equal(queue_resets[1], 1);
	assert_int_equal(queue_resets[0] + queue_resets[2], 0);
	assert_int_equal(rig_common_read(&dev, queue_reset), 0);
	assert_int_equal(rig_common_read(&dev, queue_enable), 0);
	assert_int_equal(rig_common_read(&dev, queue_size), 64);
	rig_notify(&dev, 1);
	assert_int_equal(notified[1], 0);
	rig_enable_queue(&dev, 1, 8);
	rig_notify(&dev, 1);
	assert_int_equal(notified[1], 1);
}

static void test_broken(void **state)
{
	(void)state;
	echo = true;
	start();
	rig_msix_on(&dev);
	rig_desc(rig_queues[1].desc, 0, DATA, 0, 0);
	rig_offer(&rig_queues[1], 0);
	rig_notify(&dev, 1);
	assert_int_equal(rig_common_read(&dev, device_status), 0x4f);
	assert_int_equal(rig_messages[QUEUES], 1);
	/* Nothing works any more until a reset, and then all does. */
	notified[0] = 0;
	rig_notify(&dev, 0);
	assert_int_equal(notified[0], 0);
	start();
	assert_int_equal(rig_common_read(&dev, device_status), 0x0f);
	offer(1);
	assert_int_equal(rig_messages[1], 1);
}

static void test_impossible_queue(void **state)
{
	(void)state;
	assert_true(rig_negotiate(&dev, BIT(VIRTIO_F_VERSION_1)));
	rig_enable_queue(&dev, 0, 24);
	assert_int_equal(rig_common_read(&dev, device_status), 0x4b);
	assert_int_equal(rig_common_read(&dev, queue_enable), 1);
}

/* ---- reset ---- */

static void assert_reset(void)
{
	assert_int_equal(resets, 1);
	assert_int_equal(queue_resets[0] + queue_resets[1] + queue_resets[2], QUEUES);
	assert_false(rig_intx.level);
	assert_int_equal(dev.features, 0);
	assert_int_equal(dev.config_vector, 0xffff);
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_false(dev.queues[i].ring.running);
		assert_false(dev.queues[i].enabled);
		assert_int_equal(dev.queues[i].setup.size, 64);
		assert_int_equal(dev.queues[i].setup.desc, 0);
		assert_int_equal(dev.queues[i].vector, 0xffff);
	}
}

static void test_reset(void **state)
{
	(void)state;
	echo = true;
	start();
	offer(0);
	assert_true(rig_intx.level);
	rig_common_write(&dev, device_status, 0);
	assert_reset();
	assert_int_equal(rig_common_read(&dev, device_status), 0);
	rig_notify(&dev, 0);
	assert_int_equal(notified[0], 1);
}

static void test_reset_of_function(void **state)
{
	unsigned control = rig_capability(0x13) + 4; /* Advanced Features */

	(void)state;
	start();
	rig_config_write(control, 1, 1);
	assert_reset();
}

static void test_reset_of_machine(void **state)
{
	(void)state;
	echo = true;
	start();
	offer(0);
	rig_host.dev.ops->reset(&rig_host.dev);
	assert_reset();
}

/* ---- the device's own configuration ---- */

static void test_config(void **state)
{
	const uint16_t change = 0x1234;

	(void)state;
	start();
	rig_msix_on(&dev);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, 0x100, 4), 0xa3a2a1a0);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, 0x10a, 4), 0xabaa);
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, 0x10c, 8), 0);
	assert_int_equal(rig_common_read(&dev, config_generation), 0);
	virtio_pci_set_config(&dev, 2, &change, sizeof(change));
	assert_int_equal(rig_bar_read(&dev, VIRTIO_PCI_BAR_REGS, 0x100, 4), 0x1234a1a0);
	assert_int_equal(rig_common_read(&dev, config_generation), 1);
	assert_int_equal(rig_messages[QUEUES], 1);

	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, 0x104, 4, 0xffeeddcc);
	assert_int_equal(config_offset, 4);
	assert_int_equal(config_value, 0xffeeddcc);
	config_offset = 99;
	rig_bar_write(&dev, VIRTIO_PCI_BAR_REGS, 0x10a, 4, 0);
	assert_int_equal(config_offset, 99);
	/* No driver, nobody to tell. */
	rig_common_write(&dev, device_status, 0);
	virtio_pci_set_config(&dev, 2, &change, sizeof(change));
	assert_int_equal(rig_messages[QUEUES], 1);
}

static void test_taken(void **state)
{
	static struct virtio_pci second;
	struct virtio_pci_wiring w = rig_wiring();
	const struct virtio_pci_config cfg = {.ops = &ops, .queue_count = 1, .queue_size = 8};

	(void)state;
	assert_int_equal(virtio_pci_init(&second, &cfg, &w), HV_OK);
	assert_int_equal(virtio_pci_init(&dev, &cfg, &w), HV_E_EXISTS);
}

static void test_what_is_not_there_is_told(void **state)
{
	(void)state;
	lacks_rig = (struct lacks){.total = 0};
	(void)dev.pci_ops.bar_read(&dev.pci, VIRTIO_PCI_BAR_REGS, 0x3e, 2);
	(void)dev.pci_ops.bar_read(&dev.pci, VIRTIO_PCI_BAR_REGS, 0x10b, 1);
	assert_int_equal(lacks_rig.total, 0);
	(void)dev.pci_ops.bar_read(&dev.pci, VIRTIO_PCI_BAR_REGS, 0x40, 2);
	assert_int_equal(lacks_told("virtio-test", LACKS_READ, 0x40), 1);
	dev.pci_ops.bar_write(&dev.pci, VIRTIO_PCI_BAR_REGS, 0x10c, 4, 1);
	assert_int_equal(lacks_told("virtio-test", LACKS_WRITE, 0x10c), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_identity, setup),
		cmocka_unit_test_setup(test_the_last_notification_is_a_port, setup),
		cmocka_unit_test_setup(test_structures_in_memory, setup),
		cmocka_unit_test_setup(test_registers_at_start, setup),
		cmocka_unit_test_setup(test_queue_addresses, setup),
		cmocka_unit_test_setup(test_features, setup),
		cmocka_unit_test_setup(test_queue_before_features, setup),
		cmocka_unit_test_setup(test_notification, setup),
		cmocka_unit_test_setup(test_msix, setup),
		cmocka_unit_test_setup(test_intx, setup),
		cmocka_unit_test_setup(test_queue_reset, setup),
		cmocka_unit_test_setup(test_broken, setup),
		cmocka_unit_test_setup(test_impossible_queue, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(test_reset_of_function, setup),
		cmocka_unit_test_setup(test_reset_of_machine, setup),
		cmocka_unit_test_setup(test_config, setup),
		cmocka_unit_test(test_taken),
		cmocka_unit_test_setup(test_what_is_not_there_is_told, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
