/* SPDX-License-Identifier: Apache-2.0 */
/* What network cards have in common, tried with cards of the e1000 kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "tests/fakes/fake_e1000.h"

static int setup(void **state)
{
	(void)state;
	rig_init();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_drop_sent();
	assert_int_equal(net_frames_bytes(), 0);
	return 0;
}

/* One card in use. */
static struct host_nic *one(void)
{
	struct host_nic *n;

	(void)fake_add(0x100e, true);
	assert_int_equal(host_nics_init(), 1);
	n = host_nic_at(0);
	assert_int_equal(rig_use(n), HV_OK);
	return n;
}

static void only_ethernet_that_is_known_and_free_is_taken(void **state)
{
	(void)state;
	(void)fake_add(0x100e, true);
	(void)fake_add(0x10d3, true);
	(void)rig_add(0x10ec, 0x8168);
	rig_add(0x8086, 0x100e)->pci.class_code = 0x028000;
	rig_add(0x8086, 0x100e)->pci.owner = "other";
	assert_int_equal(host_nics_init(), 2);
	assert_int_equal(host_nic_count(), 2);
	assert_string_equal(host_nic_at(0)->name, "e1000-0");
	assert_string_equal(host_nic_at(1)->name, "e1000-1");
	assert_string_equal(rig.f[0].pci.owner, "e1000");
	assert_null(rig.f[2].pci.owner);
	assert_null(host_nic_at(2));
}

static char said[256];

static void keep_line(const char *line, size_t n)
{
	fmt_snprintf(said, sizeof(said), "%.*s", (int)n, line);
}

/* Whoever names it as an uplink reads why there is none. */
static void a_card_without_a_driver_is_named(void **state)
{
	(void)state;
	(void)rig_add(0x8086, 0x10c9);
	log_set_sink(keep_line);
	assert_int_equal(host_nics_init(), 0);
	log_set_sink(NULL);
	assert_non_null(strstr(said, "network card: no driver for 8086:10c9 at 00:02.0"));
	assert_null(rig.f[0].pci.owner);
}

static void more_cards_than_the_table_has_are_left_alone(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HOST_NICS_MAX + 2; i++) {
		(void)fake_add(0x100e, true);
	}
	assert_int_equal(host_nics_init(), HOST_NICS_MAX);
	assert_non_null(host_nic_at(HOST_NICS_MAX - 1));
	assert_null(host_nic_at(HOST_NICS_MAX));
	assert_null(rig.f[HOST_NICS_MAX].pci.owner);
}

static void found_by_address_and_by_mac(void **state)
{
	struct net_mac mac = {{0x52, 0x54, 0, 0xab, 0xcd, 1}};

	(void)state;
	(void)fake_add(0x100e, true);
	(void)fake_add(0x10d3, true);
	rig.f[1].pci.bus = 1;
	(void)host_nics_init();
	assert_ptr_equal(host_nic_by_pci(0, 0, 2 << 3), host_nic_at(0));
	assert_ptr_equal(host_nic_by_pci(0, 1, 3 << 3), host_nic_at(1));
	assert_null(host_nic_by_pci(0, 0, 3 << 3));
	assert_null(host_nic_by_pci(1, 0, 2 << 3));
	assert_null(host_nic_by_pci(0, 0, 2 << 3 | 1));
	assert_ptr_equal(host_nic_by_mac(&mac), host_nic_at(1));
	mac.bytes[5] = 2;
	assert_null(host_nic_by_mac(&mac));
}

static void an_unused_card_does_nothing(void **state)
{
	struct fake_e1000 *d = fake_add(0x100e, true);

	(void)state;
	(void)host_nics_init();
	assert_false(rig.f[0].enabled);
	assert_null(rig.f[0].fn);
	assert_int_equal(REG(d, 0xd0), 0);
	assert_false(fake_receive(d, 100, 1));
	assert_false(rig_deliver(host_nic_at(0), 100, 1));
	assert_int_equal(host_nic_at(0)->stats.tx_refused, 1);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

static void one_user_only(void **state)
{
	(void)state;
	assert_int_equal(host_nic_start(one()), HV_E_EXISTS);
}

static void without_an_interrupt_it_is_not_used(void **state)
{
	struct host_nic *n;

	(void)state;
	(void)fake_add(0x100e, true);
	rig.f[0].no_interrupt = true;
	(void)host_nics_init();
	n = host_nic_at(0);
	assert_int_equal(rig_use(n), HV_E_NO_MEMORY);
	assert_false(rig.f[0].enabled);
	assert_int_equal(host_nic_start(n), HV_E_EXISTS);
	assert_false(rig_deliver(n, 100, 1));
}

static void frames_arrive_in_order_and_whole(void **state)
{
	struct host_nic *n = one();

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		assert_true(fake_receive(&nic[0], 60 + i, (uint8_t)i));
	}
	assert_int_equal(fake_interrupt(&nic[0]), 1);
	assert_int_equal(rig.sent_count, 10);
	for (unsigned i = 0; i < 10; i++) {
		struct net_frame *want = rig_frame(60 + i, (uint8_t)i);

		assert_int_equal(rig.sent[i]->len, want->len);
		assert_memory_equal(rig.sent[i]->data, want->data, want->len);
		assert_int_equal(rig.sent[i]->offload.gso, NET_GSO_NONE);
		net_frame_put(want);
	}
	assert_int_equal(n->stats.pauses, 0);
}

static void a_flood_is_taken_in_batches(void **state)
{
	struct host_nic *n = one();
	unsigned arrived = 0;

	(void)state;
	while (fake_receive(&nic[0], 60, 0)) {
		arrived++;
	}
	assert_int_equal(arrived, 255);
	assert_int_equal(fake_interrupt(&nic[0]), 1);
	assert_int_equal(rig.sent_count, NIC_BATCH);
	/* What comes now does not interrupt; the timer goes on. */
	assert_true(fake_receive(&nic[0], 60, 0));
	assert_false(fake_asserted(&nic[0]));
	rig_advance(NIC_PAUSE_NS / 2);
	assert_int_equal(rig.sent_count, NIC_BATCH);
	rig_advance(NIC_PAUSE_NS);
	assert_int_equal(rig.sent_count, 2 * NIC_BATCH);
	rig_advance(10 * NIC_PAUSE_NS);
	assert_int_equal(rig.sent_count, 256);
	assert_int_equal(n->stats.pauses, 4);
	/* And then interrupts are on again. */
	assert_true(fake_receive(&nic[0], 60, 0));
	assert_int_equal(fake_interrupt(&nic[0]), 1);
	assert_int_equal(rig.sent_count, 257);
}

static void without_memory_frames_are_dropped_and_counted(void **state)
{
	struct host_nic *n = one();
	struct net_frame *hoard = NULL;
	struct net_frame *f;

	(void)state;
	while ((f = net_frame_alloc(NET_FRAME_MAX)) != NULL || (f = net_frame_alloc(60)) != NULL) {
		f->next = hoard;
		hoard = f;
	}
	assert_true(fake_receive(&nic[0], 60, 0));
	assert_int_equal(fake_interrupt(&nic[0]), 1);
	assert_int_equal(rig.sent_count, 0);
	assert_int_equal(n->stats.rx_no_memory, 1);
	while (hoard != NULL) {
		f = hoard->next;
		net_frame_put(hoard);
		hoard = f;
	}
	assert_true(fake_receive(&nic[0], 60, 0));
	(void)fake_interrupt(&nic[0]);
	assert_int_equal(rig.sent_count, 1);
}

static void what_was_sent_is_let_go(void **state)
{
	struct host_nic *n = one();

	(void)state;
	assert_true(rig_deliver(n, 60, 1));
	assert_true(rig_deliver(n, 1514, 2));
	assert_int_equal(nic[0].wire_count, 2);
	/* The first was freed when the second came, the second is when the timer looks. */
	assert_int_equal(n->in_flight, 1);
	assert_int_not_equal(n->held, 0);
	rig_advance(NIC_WATCH_NS + 1000000);
	assert_int_equal(n->in_flight, 0);
	assert_int_equal(n->held, 0);
	assert_int_equal(net_frames_bytes(), 0);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
	assert_int_equal(n->stats.resets, 0);
}

static void lengths_that_no_wire_takes_are_refused(void **state)
{
	struct host_nic *n = one();

	(void)state;
	assert_false(rig_deliver(n, NET_FRAME_MIN - 1, 0));
	assert_false(rig_deliver(n, NET_WIRE_MAX + 1, 0));
	assert_true(rig_deliver(n, NET_FRAME_MIN, 0));
	assert_true(rig_deliver(n, NET_WIRE_MAX, 0));
	assert_int_equal(n->stats.tx_refused, 2);
	rig_advance(2 * NIC_WATCH_NS);
}

static void a_full_ring_refuses_until_there_is_room(void **state)
{
	struct host_nic *n = one();
	unsigned taken = 0;

	(void)state;
	nic[0].stuck = true;
	while (rig_deliver(n, 60, 0)) {
		taken++;
	}
	assert_int_equal(taken, 255);
	assert_int_equal(n->in_flight, 255);
	nic[0].stuck = false;
	fake_transmit(&nic[0]);
	assert_true(rig_deliver(n, 60, 0));
	assert_int_equal(n->in_flight, 1);
	assert_int_equal(nic[0].wire_count, 256);
	rig_advance(2 * NIC_WATCH_NS);
}

static void a_card_that_sends_nothing_is_reset(void **state)
{
	struct host_nic *n = one();
	unsigned resets = nic[0].resets;

	(void)state;
	nic[0].stuck = true;
	assert_true(rig_deliver(n, 60, 0));
	rig_advance(NIC_STUCK_NS - NIC_WATCH_NS / 2);
	assert_int_equal(n->stats.resets, 0);
	rig_advance(NIC_WATCH_NS);
	assert_int_equal(n->stats.resets, 1);
	assert_int_equal(nic[0].resets, resets + 1);
	assert_int_equal(net_frames_bytes(), 0);
	nic[0].stuck = false;
	rig_advance(NIC_RESET_NS);
	assert_int_equal(n->state, NIC_RUNNING);
	assert_true(rig_deliver(n, 60, 0));
	assert_int_equal(nic[0].wire_count, 1);
	assert_true(fake_receive(&nic[0], 60, 0));
	assert_int_equal(fake_interrupt(&nic[0]), 1);
	assert_int_equal(rig.sent_count, 1);
	rig_advance(2 * NIC_WATCH_NS);
	assert_int_equal(n->fruitless, 0);
}

static void while_it_is_reset_nothing_is_taken(void **state)
{
	struct host_nic *n = one();

	(void)state;
	nic[0].stuck = true;
	assert_true(rig_deliver(n, 60, 0));
	while (n->state != NIC_RESETTING) {
		rig_advance(NIC_RESET_NS / 4);
	}
	assert_false(rig_deliver(n, 60, 0));
	/* An interrupt that others of its line get. */
	rig.f[0].fn(rig.f[0].ctx, 0);
	assert_int_equal(n->state, NIC_RESETTING);
	rig_advance(NIC_RESET_NS);
	assert_int_equal(n->state, NIC_RUNNING);
}

static void a_card_that_no_reset_helps_has_failed(void **state)
{
	struct host_nic *n = one();

	(void)state;
	nic[0].stuck = true;
	for (unsigned i = 0; i < 1000 && n->state != NIC_FAILED; i++) {
		(void)rig_deliver(n, 60, 0);
		rig_advance(NIC_WATCH_NS);
	}
	assert_int_equal(n->state, NIC_FAILED);
	assert_int_equal(n->stats.resets, NIC_RESETS_MAX + 1);
	assert_false(n->link_up);
	assert_false(rig.f[0].enabled);
	assert_int_equal(net_frames_bytes(), 0);
	rig_advance(10 * NIC_WATCH_NS);
	assert_int_equal(timer_queue_next(&rig.queue), TIMER_NEVER);
}

static void without_a_link_nothing_is_sent_and_nobody_resets(void **state)
{
	struct host_nic *n = one();

	(void)state;
	assert_true(n->link_up);
	assert_int_equal(n->speed, 1000);
	nic[0].stuck = true;
	assert_true(rig_deliver(n, 60, 0));
	fake_set_link(&nic[0], false);
	(void)fake_interrupt(&nic[0]);
	assert_false(n->link_up);
	assert_int_equal(n->speed, 0);
	assert_false(rig_deliver(n, 60, 0));
	rig_advance(10 * NIC_STUCK_NS);
	assert_int_equal(n->stats.resets, 0);
	nic[0].stuck = false;
	fake_transmit(&nic[0]);
	fake_set_link(&nic[0], true);
	(void)fake_interrupt(&nic[0]);
	assert_true(rig_deliver(n, 60, 0));
	assert_int_equal(nic[0].wire_count, 2);
	rig_advance(2 * NIC_WATCH_NS);
	assert_int_equal(n->in_flight, 0);
}

static void a_card_that_is_gone_has_failed(void **state)
{
	struct host_nic *n = one();

	(void)state;
	assert_true(rig_deliver(n, 60, 0));
	nic[0].dead = true;
	rig.f[0].fn(rig.f[0].ctx, 0);
	assert_int_equal(n->state, NIC_FAILED);
	assert_int_equal(net_frames_bytes(), 0);
	assert_false(rig_deliver(n, 60, 0));
	rig.f[0].fn(rig.f[0].ctx, 0);
	rig_advance(2 * NIC_WATCH_NS);
}

static void says_what_it_is(void **state)
{
	char line[128];
	char cut[8];
	struct host_nic *n;

	(void)state;
	(void)fake_add(0x10d3, true);
	(void)host_nics_init();
	n = host_nic_at(0);
	host_nic_describe(n, line, sizeof(line));
	assert_string_equal(line, "e1000-0 at 00:02.0, Intel 82574L, 52:54:00:ab:cd:00, not used");
	assert_int_equal(rig_use(n), HV_OK);
	host_nic_describe(n, line, sizeof(line));
	assert_string_equal(line, "e1000-0 at 00:02.0, Intel 82574L, 52:54:00:ab:cd:00, link up");
	host_nic_describe(n, cut, sizeof(cut));
	assert_string_equal(cut, "e1000-0");
}

static void addresses_of_groups_and_zero_are_none(void **state)
{
	const struct net_mac zero = {{0}};
	const struct net_mac group = {{1, 0, 0x5e, 0, 0, 1}};
	const struct net_mac last = {{0, 0, 0, 0, 0, 1}};

	(void)state;
	assert_false(host_nic_mac_valid(&zero));
	assert_false(host_nic_mac_valid(&group));
	assert_true(host_nic_mac_valid(&last));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_ethernet_that_is_known_and_free_is_taken,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_card_without_a_driver_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(more_cards_than_the_table_has_are_left_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(found_by_address_and_by_mac, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unused_card_does_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(one_user_only, setup, teardown),
		cmocka_unit_test_setup_teardown(without_an_interrupt_it_is_not_used, setup,
						teardown),
		cmocka_unit_test_setup_teardown(frames_arrive_in_order_and_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_is_taken_in_batches, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory_frames_are_dropped_and_counted,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_sent_is_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(lengths_that_no_wire_takes_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_full_ring_refuses_until_there_is_room, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_card_that_sends_nothing_is_reset, setup,
						teardown),
		cmocka_unit_test_setup_teardown(while_it_is_reset_nothing_is_taken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_card_that_no_reset_helps_has_failed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_a_link_nothing_is_sent_and_nobody_resets,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_card_that_is_gone_has_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(says_what_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_of_groups_and_zero_are_none, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
