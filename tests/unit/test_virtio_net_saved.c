/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio NIC saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_net_fixture.h"

#define TAKES(field, value) SAVED_TAKES(&nic.saved, struct virtio_net_saved, field, value)
#define CTRL_HEADER (NIC_DATA + 0x1000u)

static void start(void)
{
	memset(rig_ram, 0, sizeof(rig_ram));
	rig_start(&nic.virtio, NIC_ALL_FEATURES, 256);
	rig_msix_on(&nic.virtio);
}

static void send_one(void)
{
	rig_desc(rig_queues[NIC_TX].desc, 0, NIC_DATA, NIC_HDR + 60, 0);
	rig_offer(&rig_queues[NIC_TX], 0);
	rig_notify(&nic.virtio, NIC_TX);
}

static bool deliver(uint8_t first_byte)
{
	struct net_frame *f = net_frame_alloc(60);
	bool taken;

	assert_non_null(f);
	memset(f->data, first_byte, 60);
	f->len = 60;
	taken = nic_deliver_frame(f);
	net_frame_put(f);
	return taken;
}

static void give_buffer(void)
{
	rig_desc(rig_queues[NIC_RX].desc, 0, NIC_DATA + 0x2000, 2048, RIG_WRITE);
	rig_offer(&rig_queues[NIC_RX], 0);
	rig_notify(&nic.virtio, NIC_RX);
}

/* Class, command and one byte, or a table of one unicast address. */
static void command(const void *bytes, uint32_t n)
{
	const uint64_t desc = rig_queues[NIC_CTRL].desc;

	memcpy(rig_at(CTRL_HEADER), bytes, n);
	rig_desc(desc, 0, CTRL_HEADER, n, rig_link(0, 1));
	rig_desc(desc, 1, CTRL_HEADER + 0x100, 1, RIG_WRITE);
	rig_put(CTRL_HEADER + 0x100, 0xff, 1);
	rig_offer(&rig_queues[NIC_CTRL], 0);
	rig_notify(&nic.virtio, NIC_CTRL);
	assert_int_equal(rig_get(CTRL_HEADER + 0x100, 1), 0);
}

static void frames_go_on_in_both_directions(void **state)
{
	uint32_t id;
	uint32_t len;

	(void)state;
	start();
	send_one();
	give_buffer();
	saved_reload(&nic.saved);
	(void)vwork_run(&nic_work);
	assert_true(deliver(2));
	(void)vwork_run(&nic_work);
	assert_true(rig_take(&rig_queues[NIC_RX], &id, &len));
	assert_int_equal(len, NIC_HDR + 60);
	assert_int_equal(rig_get(NIC_DATA + 0x2000 + NIC_HDR, 1), 2);
	send_one();
	assert_int_equal(nic_sent, 2);
}

/* A frame that waits for a buffer is lost; what comes after it is not. */
static void what_waits_for_the_guest_is_lost(void **state)
{
	uint32_t id;
	uint32_t len;

	(void)state;
	start();
	assert_true(deliver(2));
	(void)vwork_run(&nic_work);
	saved_reload(&nic.saved);
	assert_int_equal(net_frames_bytes(), 0);
	assert_true(deliver(4));
	(void)vwork_run(&nic_work);
	give_buffer();
	assert_true(rig_take(&rig_queues[NIC_RX], &id, &len));
	assert_int_equal(rig_get(NIC_DATA + 0x2000 + NIC_HDR, 1), 4);
	assert_false(rig_take(&rig_queues[NIC_RX], &id, &len));
}

/* A driver that was told not to notify has its frames sent, and its interrupt. */
static void a_queue_that_is_looked_at_goes_on(void **state)
{
	(void)state;
	start();
	send_one();
	send_one();
	assert_int_equal(rig_get(rig_queues[NIC_TX].used + 4 + 8 * 256, 2), 0);
	assert_true(nic.tx.polling);
	rig_desc(rig_queues[NIC_TX].desc, 0, NIC_DATA, NIC_HDR + 60, 0);
	rig_offer(&rig_queues[NIC_TX], 0);
	saved_reload(&nic.saved);
	assert_true(nic.tx.polling && vtimer_armed(&nic.tx.timer));
	nic_pass(200000);
	assert_int_equal(nic_sent, 3);
	nic_pass(200000);
	nic_pass(200000);
	assert_false(nic.tx.polling);
}

static void the_filter_and_the_offloads_are_as_they_were(void **state)
{
	static const uint8_t tables[] = {1, 0, 1, 0, 0, 0, 2, 4, 4, 4, 4, 4, 0, 0, 0, 0};
	static const uint8_t no_broadcast[] = {0, 5, 1};
	static const struct net_mac listed = {{2, 4, 4, 4, 4, 4}};
	static const struct net_mac other = {{2, 4, 4, 4, 4, 5}};
	static const struct net_mac all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	(void)state;
	start();
	command(tables, sizeof(tables));
	command(no_broadcast, sizeof(no_broadcast));
	saved_reload(&nic.saved);
	assert_true(nic.port.ops->wants(&nic.port, &listed));
	assert_true(nic.port.ops->wants(&nic.port, &nic_mac));
	assert_false(nic.port.ops->wants(&nic.port, &other));
	assert_false(nic.port.ops->wants(&nic.port, &all));
	assert_true(atomic_load(&nic.port.takes_tso4));
	nic.saved.ops->reset(&nic);
	assert_false(atomic_load(&nic.port.takes_tso4));
	assert_true(nic.port.ops->wants(&nic.port, &all));
}

/* The driver knew of a link that is not there any more. */
static void a_link_that_differs_is_told(void **state)
{
	void *bytes;

	(void)state;
	start();
	bytes = saved_bytes(&nic.saved);
	nic.saved.ops->reset(&nic);
	nic.port.ops->link_changed(&nic.port, false);
	memset(rig_messages, 0, sizeof(rig_messages));
	nic.saved.ops->load(&nic, bytes);
	free(bytes);
	assert_int_equal(nic.config.status, VIRTIO_NET_S_LINK_UP);
	(void)vwork_run(&nic_work);
	assert_int_equal(nic.config.status, 0);
	assert_int_equal(rig_messages[VIRTIO_NET_QUEUES], 1);
}

static void every_field_is_checked(void **state)
{
	(void)state;
	start();
	assert_true(TAKES(notified, UINT64_MAX));
	assert_true(TAKES(link, 0));
	assert_false(TAKES(link, 2));
	assert_false(TAKES(mac.bytes[5], 0));
	assert_false(TAKES(filter.own.bytes[5], 0)); /* it may not take another */
	assert_false(TAKES(filter.own.bytes[0], 3));
	assert_false(TAKES(filter.promiscuous, 2));
	assert_false(TAKES(filter.unicast.count, 65));
	assert_true(TAKES(filter.unicast.overflow, 1));
	assert_false(TAKES(filter.multicast.macs[0].bytes[0], 1));
	assert_false(TAKES(filter.zero[3], 1));
	assert_false(TAKES(deadline, 1));
	assert_false(TAKES(polling, 2));
	assert_true(TAKES(empty_looks, 1));
	assert_false(TAKES(empty_looks, 2));
	assert_false(TAKES(zero, 1));
	assert_false(TAKES(transport.queues[NIC_RX].ring.avail_next, 1));
	assert_false(TAKES(transport.features, BIT(63)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_go_on_in_both_directions, setup, teardown),
		cmocka_unit_test_setup_teardown(what_waits_for_the_guest_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(a_queue_that_is_looked_at_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(the_filter_and_the_offloads_are_as_they_were, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_link_that_differs_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(every_field_is_checked, setup, teardown),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
