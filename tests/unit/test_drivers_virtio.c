/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/virtio.h"
#include "hv/base/bits.h"
#include "mm/pool.h"
#include "tests/fakes/fake_virtio.h"

static struct fake_virtio fake;
static struct virtio_device device;
static struct virtio_queue queue;
static unsigned interrupts;
static char *memory;

static int setup(void **state)
{
	(void)state;
	fake_pci_reset(2);
	fake_virtio_add(&fake, 0x20, VIRTIO_TYPE_BLOCK, 0x010000, 2);
	memset(&queue, 0, sizeof(queue));
	interrupts = 0;
	memory = pool_pages(0);
	return 0;
}

static enum hv_status open(uint64_t wanted)
{
	(void)host_pci_scan(&fake_pci_machine.acpi);
	return virtio_open(&device, host_pci_at(0), wanted);
}

static void on_interrupt(void *ctx, unsigned index)
{
	assert_ptr_equal(ctx, &device);
	(void)index;
	virtio_ack(&device);
	interrupts++;
}

static void start(unsigned max_size)
{
	unsigned count = 1;

	assert_int_equal(open(0), HV_OK);
	assert_int_equal(virtio_interrupts(&device, &count, on_interrupt, &device), HV_OK);
	assert_int_equal(virtio_queue_init(&device, &queue, 1, max_size, 0), HV_OK);
	virtio_start(&device);
}

/* A chain of `count` parts, the last `writable` of which the device writes. */
static bool add(unsigned count, unsigned writable, void *token)
{
	struct virtio_buffer b[8];

	for (unsigned i = 0; i < count; i++) {
		b[i] = (struct virtio_buffer){memory + (size_t)64 * i, 16 + i,
					      i >= count - writable};
	}
	return virtio_queue_add(&queue, b, count, token);
}

static int tokens[16];

static void negotiation(void **state)
{
	(void)state;
	fake.offers |= 0x3f0 | 1ull << 33;
	assert_int_equal(open(0x131), HV_OK);
	assert_int_equal(device.features, 3ull << 32 | 0x130);
	assert_int_equal(fake.accepted, 3ull << 32 | 0x130);
	assert_int_equal(fake.status, 1 | 2 | 8);
	assert_int_equal(fake.resets, 1);
	virtio_start(&device);
	assert_int_equal(fake.status, 1 | 2 | 8 | 4);
	assert_int_equal(virtio_reopen(&device), HV_OK);
	assert_int_equal(fake.accepted, 3ull << 32 | 0x130);
	fake.offers &= ~0x10ull;
	assert_int_equal(virtio_reopen(&device), HV_E_UNSUPPORTED);
}

static void devices_that_cannot_be_used(void **state)
{
	(void)state;
	fake.offers = 0x3f;
	assert_int_equal(open(0x3f), HV_E_UNSUPPORTED);
	assert_int_equal(fake.status & 128, 128);
	fake.offers = 1ull << 32;
	fake.refuses_features = true;
	assert_int_equal(open(0), HV_E_UNSUPPORTED);
	fake.refuses_features = false;
	fake.never_resets = true;
	fake.status = 15;
	assert_int_equal(open(0), HV_E_IO);
	/* Legacy only: no capabilities. */
	setup(NULL);
	fake.pci.config[0x34] = 0;
	assert_int_equal(open(0), HV_E_UNSUPPORTED);
}

static void structures_outside_of_their_bar(void **state)
{
	(void)state;
	/* The common structure was added first: it is the last of the list. */
	fake_pci_put(&fake.pci, 0x40 + 8, 4, 0x3ff0);
	assert_int_equal(open(0), HV_E_UNSUPPORTED);
	fake_pci_put(&fake.pci, 0x40 + 8, 4, 0);
	fake_pci_put(&fake.pci, 0x40 + 12, 4, 40);
	assert_int_equal(open(0), HV_E_UNSUPPORTED);
	fake_pci_put(&fake.pci, 0x40 + 12, 4, 0xffffffff);
	assert_int_equal(open(0), HV_OK);
	fake_pci_put(&fake.pci, 0x40 + 4, 1, 6);
	assert_int_equal(open(0), HV_E_UNSUPPORTED);
}

static void configuration_is_read(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	memcpy(fake.config, bytes, sizeof(bytes));
	assert_int_equal(open(0), HV_OK);
	assert_int_equal(virtio_config_read(&device, 0, 8), 0x0807060504030201);
	assert_int_equal(virtio_config_read(&device, 4, 4), 0x08070605);
	assert_int_equal(virtio_config_read(&device, 2, 2), 0x0403);
	assert_int_equal(virtio_config_read(&device, 7, 1), 8);
	assert_int_equal(virtio_config_read(&device, 64, 1), 0);
	assert_int_equal(virtio_config_read(&device, 60, 8), 0);
}

static void queues_take_what_both_sides_can(void **state)
{
	unsigned count = 1;

	(void)state;
	start(256);
	assert_int_equal(queue.size, 8);
	assert_int_equal(fake.queues[1].enabled, 1);
	assert_int_equal(fake.queues[1].vector, 0);
	start(6);
	assert_int_equal(queue.size, 4);
	assert_int_equal(fake.queues[1].size, 4);
	assert_int_equal(virtio_queue_init(&device, &queue, 9, 8, 0), HV_E_NOT_FOUND);
	fake.refuses_vectors = true;
	assert_int_equal(virtio_queue_init(&device, &queue, 2, 8, 0), HV_E_IO);
	/* The doorbell of a queue beyond the notification structure. */
	setup(NULL);
	fake_pci_put(&fake.pci, 0x40 + 20 + 16, 4, 0x10000);
	assert_int_equal(open(0), HV_OK);
	assert_int_equal(virtio_interrupts(&device, &count, on_interrupt, &device), HV_OK);
	assert_int_equal(virtio_queue_init(&device, &queue, 0, 8, 0), HV_OK);
	assert_int_equal(virtio_queue_init(&device, &queue, 1, 8, 0), HV_E_IO);
}

static void chains_come_back_in_any_order(void **state)
{
	struct fake_virtio_chain a;
	struct fake_virtio_chain b;
	uint32_t written = 0;

	(void)state;
	start(8);
	assert_true(add(3, 1, &tokens[0]));
	assert_true(add(2, 2, &tokens[1]));
	assert_int_equal(fake.queues[1].notifies, 0);
	virtio_queue_notify(&queue);
	assert_int_equal(fake.queues[1].notifies, 1);
	assert_null(virtio_queue_take(&queue, &written));
	assert_true(fake_virtio_take(&fake, 1, &a));
	assert_true(fake_virtio_take(&fake, 1, &b));
	assert_int_equal(a.count, 3);
	assert_ptr_equal(a.parts[1].data, memory + 64);
	assert_int_equal(a.parts[2].size, 18);
	assert_true(a.parts[2].writable && !a.parts[1].writable);
	assert_true(b.parts[0].writable && b.parts[1].writable);
	fake_virtio_use(&fake, 1, b.head, 20);
	fake_virtio_use(&fake, 1, a.head, 4000);
	assert_true(fake_virtio_interrupt(&fake, 1));
	assert_int_equal(interrupts, 1);
	assert_ptr_equal(virtio_queue_take(&queue, &written), &tokens[1]);
	assert_int_equal(written, 20);
	/* No more than the chain has. */
	assert_ptr_equal(virtio_queue_take(&queue, &written), &tokens[0]);
	assert_int_equal(written, 18);
	assert_null(virtio_queue_take(&queue, &written));
}

static void descriptors_are_never_lost(void **state)
{
	struct fake_virtio_chain c;
	uint32_t written;

	(void)state;
	start(8);
	for (unsigned round = 0; round < 70000; round++) {
		unsigned count = 1 + round % 4;

		assert_true(add(count, 1, &tokens[0]));
		assert_true(add(8 - count, 0, &tokens[1]));
		assert_false(add(1, 0, &tokens[2]));
		assert_true(fake_virtio_take(&fake, 1, &c));
		assert_int_equal(c.count, count);
		fake_virtio_use(&fake, 1, c.head, 0);
		assert_true(fake_virtio_take(&fake, 1, &c));
		fake_virtio_use(&fake, 1, c.head, 0);
		assert_ptr_equal(virtio_queue_take(&queue, &written), &tokens[0]);
		assert_ptr_equal(virtio_queue_take(&queue, &written), &tokens[1]);
	}
	assert_false(add(0, 0, &tokens[0]));
}

/* After it not even what does make sense is taken. */
static void assert_broken_by(uint32_t id, uint16_t head)
{
	uint32_t written;

	fake_virtio_use(&fake, 1, id, 0);
	fake_virtio_use(&fake, 1, head, 1);
	assert_null(virtio_queue_take(&queue, &written));
	assert_true(queue.broken);
	assert_null(virtio_queue_take(&queue, &written));
	assert_ptr_equal(virtio_queue_drain(&queue), &tokens[0]);
	assert_null(virtio_queue_drain(&queue));
	assert_int_equal(queue.free_count, 8);
}

static void what_makes_no_sense_ends_it(void **state)
{
	/* The chain is 0 and 1. */
	static const uint32_t ids[] = {8, UINT32_MAX, 1, 2};
	struct fake_virtio_chain c;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		start(8);
		assert_true(add(2, 1, &tokens[0]));
		assert_true(fake_virtio_take(&fake, 1, &c));
		assert_int_equal(c.head, 0);
		assert_broken_by(ids[i], c.head);
	}
	/* An index out of the blue. */
	start(8);
	assert_true(add(2, 1, &tokens[0]));
	assert_true(fake_virtio_take(&fake, 1, &c));
	fake.queues[1].used_index = (uint16_t)(fake.queues[1].used_index + 100);
	assert_broken_by(c.head, c.head);
}

static void what_comes_twice_ends_it(void **state)
{
	struct fake_virtio_chain c;
	uint32_t written;

	(void)state;
	start(8);
	assert_true(add(2, 1, &tokens[0]));
	assert_true(fake_virtio_take(&fake, 1, &c));
	fake_virtio_use(&fake, 1, c.head, 1);
	fake_virtio_use(&fake, 1, c.head, 1);
	assert_ptr_equal(virtio_queue_take(&queue, &written), &tokens[0]);
	assert_null(virtio_queue_take(&queue, &written));
	assert_true(queue.broken);
}

static void a_reset_gives_everything_back(void **state)
{
	struct fake_virtio_chain c;
	const void *desc;
	uint32_t written;

	(void)state;
	start(8);
	assert_true(add(3, 1, &tokens[0]));
	assert_true(add(2, 1, &tokens[1]));
	desc = queue.desc;
	assert_int_equal(virtio_reopen(&device), HV_OK);
	assert_non_null(virtio_queue_drain(&queue));
	assert_non_null(virtio_queue_drain(&queue));
	assert_null(virtio_queue_drain(&queue));
	assert_int_equal(virtio_queue_init(&device, &queue, 1, 8, 0), HV_OK);
	assert_ptr_equal(queue.desc, desc);
	virtio_start(&device);
	assert_false(fake_virtio_take(&fake, 1, &c));
	assert_true(add(8, 1, &tokens[2]));
	assert_true(fake_virtio_take(&fake, 1, &c));
	fake_virtio_use(&fake, 1, c.head, 3);
	assert_ptr_equal(virtio_queue_take(&queue, &written), &tokens[2]);
	assert_int_equal(written, 3);
}

static void lines_are_acknowledged(void **state)
{
	unsigned count = 3;

	(void)state;
	fake_pci_reset(1);
	fake_virtio_add(&fake, 0x20, VIRTIO_TYPE_BLOCK, 0x010000, 0);
	fake_pci_put(&fake.pci, 0x3c, 2, 0x010a);
	assert_int_equal(open(0), HV_OK);
	assert_int_equal(virtio_interrupts(&device, &count, on_interrupt, &device), HV_OK);
	assert_int_equal(count, 1);
	memset(&queue, 0, sizeof(queue));
	assert_int_equal(virtio_queue_init(&device, &queue, 0, 8, 0), HV_OK);
	assert_int_equal(fake.queues[0].vector, 0xffff);
	assert_true(fake_virtio_interrupt(&fake, 0));
	assert_int_equal(interrupts, 1);
	assert_int_equal(fake.isr, 0);
}

static void no_notification_is_wanted(void **state)
{
	uint16_t one = 1;

	(void)state;
	start(8);
	memcpy(fake_pci_dma(fake.queues[1].used, 2), &one, 2);
	assert_true(add(1, 1, &tokens[0]));
	virtio_queue_notify(&queue);
	assert_int_equal(fake.queues[1].notifies, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(negotiation),
		T(devices_that_cannot_be_used),
		T(structures_outside_of_their_bar),
		T(configuration_is_read),
		T(queues_take_what_both_sides_can),
		T(chains_come_back_in_any_order),
		T(descriptors_are_never_lost),
		T(what_makes_no_sense_ends_it),
		T(what_comes_twice_ends_it),
		T(a_reset_gives_everything_back),
		T(lines_are_acknowledged),
		T(no_notification_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
