/* SPDX-License-Identifier: Apache-2.0 */
/* When a NIC looks at its transmit queue, and when it interrupts for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/virtio_net_fixture.h"

/* Offers a frame; the driver may notify if it is asked to. */
static void offer_frame(void)
{
	struct rig_queue *q = &rig_queues[NIC_TX];

	rig_desc(q->desc, 0, NIC_DATA, NIC_HDR + 60, 0);
	rig_offer(q, 0);
}

static bool may_notify(void)
{
	return rig_get(rig_queues[NIC_TX].used, 2) == 0;
}

static void send_one(void)
{
	offer_frame();
	rig_notify(&nic.virtio, NIC_TX);
}

/* Two notifications within 200 us. */
static void start_polling(void)
{
	rig_start(&nic.virtio, 0, 256);
	rig_msix_on(&nic.virtio);
	send_one();
	assert_true(may_notify());
	assert_int_equal(rig_messages[NIC_TX], 1);
	fake_cpu.tsc += 150000;
	send_one();
	assert_false(may_notify());
	assert_int_equal(nic_sent, 2);
}

static void a_driver_that_sends_now_and_then_is_served_at_once(void **state)
{
	(void)state;
	rig_start(&nic.virtio, 0, 256);
	rig_msix_on(&nic.virtio);
	for (unsigned i = 1; i <= 5; i++) {
		fake_cpu.tsc += 200000;
		send_one();
		assert_int_equal(nic_sent, i);
		assert_int_equal(rig_messages[NIC_TX], i);
		assert_true(may_notify());
		assert_false(vwork_idle(&nic_work));
	}
}

static void a_driver_that_sends_often_need_not_notify(void **state)
{
	(void)state;
	start_polling();
	/* When a vCPU halts. */
	for (unsigned i = 3; i < 10; i++) {
		fake_cpu.tsc += 50000;
		offer_frame();
		assert_true(vwork_idle(&nic_work));
		assert_int_equal(nic_sent, i);
		assert_int_equal(rig_used_index(&rig_queues[NIC_TX]), i);
		assert_false(may_notify());
	}
	/* When it runs on. */
	nic_pass(100000);
	offer_frame();
	offer_frame();
	nic_pass(24000);
	assert_int_equal(nic_sent, 9);
	nic_pass(80000);
	assert_int_equal(nic_sent, 11);
	offer_frame();
	nic_pass(26000);
	assert_int_equal(nic_sent, 12);
}

static void one_that_stops_sending_is_to_notify_again(void **state)
{
	(void)state;
	start_polling();
	vwork_idle(&nic_work);
	assert_false(may_notify());
	/* What comes just before the second look in vain is not lost. */
	nic_pass(200000);
	assert_true(may_notify());
	assert_false(vtimer_armed(&nic.tx.timer));
	assert_false(vwork_idle(&nic_work));
	fake_cpu.tsc += 1000000;
	send_one();
	assert_int_equal(nic_sent, 3);
	assert_true(may_notify());
}

static void interrupts_for_what_was_sent_wait_but_come(void **state)
{
	unsigned messages;

	(void)state;
	start_polling();
	messages = rig_messages[NIC_TX];
	for (unsigned i = 0; i < 4; i++) {
		offer_frame();
		vwork_idle(&nic_work);
		fake_cpu.tsc += 10000;
	}
	assert_int_equal(rig_messages[NIC_TX], messages);
	/* 100 us after the first that the driver has not seen. */
	nic_pass(61000);
	assert_int_equal(rig_messages[NIC_TX], messages + 1);
	/* A driver that wants none gets none. */
	rig_set_avail_flags(&rig_queues[NIC_TX], 1);
	offer_frame();
	vwork_idle(&nic_work);
	nic_pass(200000);
	nic_pass(200000);
	assert_int_equal(rig_messages[NIC_TX], messages + 1);
	assert_true(may_notify());
}

static void a_reset_ends_the_looks(void **state)
{
	(void)state;
	start_polling();
	offer_frame();
	rig_common_write(&nic.virtio, device_status, 0);
	assert_false(vtimer_armed(&nic.tx.timer));
	assert_false(vwork_idle(&nic_work));
	nic_pass(1000000);
	assert_int_equal(nic_sent, 2);
}

/* The network, and another vCPU of the guest that is as quick as the device. */
static void send_and_offer(struct net_port *p, struct net_frame *f)
{
	nic_send(p, f);
	if (nic_sent < 1000) {
		offer_frame();
	}
}

static void a_driver_that_never_stops_is_served_by_the_batch(void **state)
{
	(void)state;
	rig_start(&nic.virtio, 0, 256);
	rig_msix_on(&nic.virtio);
	nic.port.send = send_and_offer;
	send_one();
	assert_int_equal(nic_sent, 64);
	assert_int_equal(rig_used_index(&rig_queues[NIC_TX]), 64);
	assert_true(vwork_is_asked(&nic.work[NIC_TX].vwork));
	assert_false(vwork_run(&nic_work));
	assert_int_equal(nic_sent, 128);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_driver_that_sends_now_and_then_is_served_at_once),
		TEST(a_driver_that_sends_often_need_not_notify),
		TEST(one_that_stops_sending_is_to_notify_again),
		TEST(interrupts_for_what_was_sent_wait_but_come),
		TEST(a_reset_ends_the_looks),
		TEST(a_driver_that_never_stops_is_served_by_the_batch),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
