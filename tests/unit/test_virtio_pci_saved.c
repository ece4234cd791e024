/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of a virtio device with its queues, saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_pci_rig.h"

#define QUEUES 2u
#define SIZE 16u
#define DATA (RIG_RAM_BASE + 0x40000u)

/* A device that takes a chain per notification, and gives it back if `gives`. */
struct toy {
	struct virtio_pci transport;
	struct saved_device saved;
	unsigned taken;
	unsigned resets;
};

static struct toy toy, other;
static bool gives;

static struct toy *toy_of(struct virtio_pci *d)
{
	return container_of(d, struct toy, transport);
}

static void notify(struct virtio_pci *d, unsigned index)
{
	struct virtqueue *ring = virtio_ring(d, index);
	struct virtqueue_chain chain;

	virtqueue_quiet(ring);
	if (virtqueue_poll(ring) && virtqueue_pop(ring, &chain)) {
		toy_of(d)->taken++;
		if (gives) {
			virtqueue_push(ring, chain.head, 0);
		}
	}
	virtio_queue_publish(d, index);
}

static void queue_reset(struct virtio_pci *d, unsigned index)
{
	(void)index;
	toy_of(d)->resets++;
}

static const struct virtio_device_ops ops = {
	.name = "virtio-toy", .notify = notify, .queue_reset = queue_reset};

static void save(void *dev, void *out)
{
	virtio_pci_save(&((struct toy *)dev)->transport, out);
}

static const char *check(void *dev, const void *in)
{
	return virtio_pci_check(&((struct toy *)dev)->transport, in);
}

static void load(void *dev, const void *in)
{
	virtio_pci_load(&((struct toy *)dev)->transport, in);
}

static void reset(void *dev)
{
	pci_device_reset(&((struct toy *)dev)->transport.pci);
}

static const struct saved_ops toy_ops = {
	.name = "toy",
	.bytes = sizeof(struct virtio_pci_saved),
	.save = save,
	.check = check,
	.load = load,
	.reset = reset,
};

static void make(struct toy *t, struct virtio_pci_wiring *w)
{
	const struct virtio_pci_config cfg = {.ops = &ops,
					      .type = VIRTIO_TYPE_BLOCK,
					      .queue_count = QUEUES,
					      .queue_size = 64,
					      .features = BIT(5)};

	memset(t, 0, sizeof(*t));
	assert_int_equal(virtio_pci_init(&t->transport, &cfg, w), HV_OK);
	saved_device_init(&t->saved, &toy_ops, t);
}

static int setup(void **state)
{
	struct virtio_pci_wiring w = rig_wiring();

	(void)state;
	make(&toy, &w);
	w.place.devfn += 8;
	make(&other, &w);
	gives = true;
	return 0;
}

static void offer(unsigned queue, uint16_t head)
{
	rig_desc(rig_queues[queue].desc, head, DATA, 16, 0);
	rig_offer(&rig_queues[queue], head);
}

/* One chain given back and told by the line, one kept, one still to be taken. */
static void half_way(uint64_t features)
{
	rig_start(&toy.transport, features, SIZE);
	offer(1, 0);
	rig_notify(&toy.transport, 1);
	gives = false;
	offer(1, 1);
	offer(1, 2);
	rig_notify(&toy.transport, 1);
	assert_int_equal(toy.taken, 2);
	assert_true(rig_intx.level);
}

static void test_goes_on(void **state)
{
	static const uint64_t features[] = {0, BIT(VIRTIO_F_EVENT_IDX)};
	uint32_t id, len;

	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		(void)setup(state);
		half_way(features[i]);
		saved_reload(&toy.saved);
		assert_int_equal(toy.resets,
				 3 * QUEUES); /* the driver's, its own, and the load's */
		assert_true(rig_intx.level);
		assert_int_equal(
			rig_bar_read(&toy.transport, VIRTIO_PCI_BAR_PORTS, VIRTIO_PCI_PORT_ISR, 1),
			VIRTIO_ISR_QUEUE);
		assert_false(rig_intx.level);
		assert_int_equal(virtio_ring(&toy.transport, 1)->event_idx, i);
		/* The kept chain is taken back first, then comes the one that waited. */
		virtqueue_unpop(virtio_ring(&toy.transport, 1), 1);
		gives = true;
		rig_notify(&toy.transport, 1);
		rig_notify(&toy.transport, 1);
		for (unsigned head = 0; head < 3; head++) {
			assert_true(rig_take(&rig_queues[1], &id, &len));
			assert_int_equal(id, head);
		}
		assert_int_equal(rig_common_read(&toy.transport, device_status), 15);
	}
}

static void test_moves(void **state)
{
	(void)state;
	rig_msix_on(&toy.transport);
	rig_start(&toy.transport, BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_RING_RESET), SIZE);
	rig_common_write(&toy.transport, queue_select, 0);
	rig_common_write(&toy.transport, queue_reset, 1);
	rig_common_write(&toy.transport, queue_size, 8);
	rig_common_write(&toy.transport, queue_desc, 0x123456789abcdef0);
	rig_common_write(&toy.transport, device_feature_select, 7);
	rig_offer(&rig_queues[1], SIZE); /* breaks the queue */
	rig_notify(&toy.transport, 1);
	saved_move(&toy.saved, &other.saved);
	assert_int_equal(rig_common_read(&other.transport, device_status),
			 15 | VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(rig_common_read(&other.transport, queue_desc), 0x123456789abcdef0);
	assert_int_equal(rig_common_read(&other.transport, queue_size), 8);
	rig_common_write(&other.transport, queue_select, 1);
	assert_int_equal(rig_common_read(&other.transport, queue_msix_vector), 1);
	assert_true(virtio_ring(&other.transport, 1)->broken);
	/* Nothing of before stays. */
	saved_reload(&other.saved);
	pci_device_reset(&toy.transport.pci);
	saved_move(&toy.saved, &other.saved);
	assert_int_equal(rig_common_read(&other.transport, device_status), 0);
	assert_false(virtio_ring(&other.transport, 1)->broken);
}

/* What SeaBIOS before 1.16.2 leaves between two of its writes. */
static void test_enabled_before_features(void **state)
{
	(void)state;
	rig_common_write(&toy.transport, device_status, 0);
	rig_enable_queue(&toy.transport, 1, SIZE);
	saved_move(&toy.saved, &other.saved);
	rig_common_write(&other.transport, queue_select, 1);
	assert_int_equal(rig_common_read(&other.transport, queue_enable), 1);
	assert_false(virtio_ring(&other.transport, 1)->running);
	assert_false(SAVED_TAKES(&toy.saved, struct virtio_pci_saved, status,
				 3 | VIRTIO_STATUS_FEATURES_OK));
}

static void test_checks(void **state)
{
	(void)state;
	half_way(BIT(VIRTIO_F_EVENT_IDX));
#define TAKES(field, value) SAVED_TAKES(&toy.saved, struct virtio_pci_saved, field, value)
	assert_true(TAKES(status, 11));
	assert_false(TAKES(status, 31));
	assert_false(TAKES(status, 7)); /* no agreement */
	assert_false(TAKES(features, BIT(5)));
	assert_false(TAKES(features, BIT(VIRTIO_F_VERSION_1) | BIT(6)));
	assert_true(TAKES(features, BIT(VIRTIO_F_VERSION_1) | BIT(5)));
	assert_false(TAKES(isr, 4));
	assert_false(TAKES(zero, 1));
	assert_true(TAKES(config_vector, VIRTIO_NO_VECTOR));
	assert_false(TAKES(config_vector, QUEUES + 1));
	assert_false(TAKES(queues[0].vector, QUEUES + 1));
	assert_false(TAKES(queues[0].enabled, 0)); /* and it runs */
	assert_false(TAKES(queues[0].enabled, 2));
	assert_false(TAKES(queues[0].size, 24));
	assert_false(TAKES(queues[0].size, 0));
	assert_false(TAKES(queues[0].size, 512));
	assert_false(TAKES(queues[0].desc, 8));
	assert_false(TAKES(queues[0].used, BIT(52)));
	assert_false(TAKES(queues[QUEUES].size, 1));
	assert_true(TAKES(pci.intx_asserted, 0));
	assert_false(TAKES(pci.intx_asserted, 2));
}

static void test_checks_rings(void **state)
{
	(void)state;
	half_way(0);
	assert_false(TAKES(queues[1].ring.state, 3));
	assert_false(TAKES(queues[1].ring.state, VIRTQUEUE_STOPPED));
	assert_true(TAKES(queues[1].ring.state, VIRTQUEUE_BROKEN));
	assert_false(TAKES(queues[1].ring.quiet, 2));
	/* 1 pushed, 2 popped, 3 seen. */
	assert_true(TAKES(queues[1].ring.avail_seen, 1 + SIZE));
	assert_false(TAKES(queues[1].ring.avail_seen, 2 + SIZE));
	assert_false(TAKES(queues[1].ring.avail_seen, 1));
	assert_false(TAKES(queues[1].ring.avail_next, 0));
	assert_false(TAKES(queues[1].ring.avail_next, 4));
	assert_false(TAKES(queues[1].ring.used_next, 3));
	assert_true(TAKES(queues[1].ring.used_published, 0));
	assert_false(TAKES(queues[1].ring.used_published, 2));
	assert_true(TAKES(queues[1].ring.used_signalled, 0x8000));
	assert_false(TAKES(queues[1].ring.zero[3], 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test_setup(test_moves, setup),
		cmocka_unit_test_setup(test_enabled_before_features, setup),
		cmocka_unit_test_setup(test_checks, setup),
		cmocka_unit_test_setup(test_checks_rings, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
