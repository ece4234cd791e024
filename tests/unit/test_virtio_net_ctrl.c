/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of a driver to its NIC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/virtio_net_fixture.h"

#define ACK_AT (NIC_DATA + 0x8000u)
#define OK 0u
#define ERR 1u
#define NONE 0x55u

static uint8_t command[4096];
static uint32_t used;

static const struct net_mac other = {{2, 9, 9, 9, 9, 9}};
static const struct net_mac group = {{0x33, 0x33, 0, 0, 0, 1}};

static int setup_started(void **state)
{
	(void)setup(state);
	rig_start(&nic.virtio, NIC_ALL_FEATURES, 16);
	return 0;
}

static void begin(uint8_t class, uint8_t number)
{
	command[0] = class;
	command[1] = number;
	used = 2;
}

static void put(const void *bytes, uint32_t n)
{
	memcpy(command + used, bytes, n);
	used += n;
}

static void put_table(uint32_t entries, const struct net_mac *macs, uint32_t there)
{
	put(&entries, sizeof(entries));
	for (uint32_t i = 0; i < there; i++) {
		put(&macs[i], sizeof(macs[i]));
	}
}

/* Gives the command, cut in two descriptors at `cut`, and returns the answer. */
static unsigned give_cut(uint32_t cut)
{
	struct rig_queue *q = &rig_queues[NIC_CTRL];
	uint32_t id;
	uint32_t written;

	memcpy(rig_at(NIC_DATA), command, used);
	rig_put(ACK_AT, NONE, 1);
	rig_desc(q->desc, 0, NIC_DATA, cut, rig_link(0, 1));
	rig_desc(q->desc, 1, NIC_DATA + cut, used - cut, rig_link(0, 2));
	rig_desc(q->desc, 2, ACK_AT, 1, RIG_WRITE);
	rig_offer(q, 0);
	rig_notify(&nic.virtio, NIC_CTRL);
	assert_true(rig_take(q, &id, &written));
	assert_int_equal(written, 1);
	return (unsigned)rig_get(ACK_AT, 1);
}

static unsigned give(void)
{
	return give_cut(1);
}

static unsigned mode(uint8_t number, uint8_t on)
{
	begin(0, number);
	put(&on, 1);
	return give();
}

static bool wants(const struct net_mac *to)
{
	return nic.port.ops->wants(&nic.port, to);
}

static void modes_are_set(void **state)
{
	(void)state;
	assert_int_equal(mode(NET_CTRL_RX_PROMISC, 1), OK);
	assert_true(wants(&other));
	assert_int_equal(mode(NET_CTRL_RX_PROMISC, 0), OK);
	assert_false(wants(&other));
	assert_int_equal(mode(NET_CTRL_RX_ALLMULTI, 0), OK);
	assert_false(wants(&group));
	assert_int_equal(mode(6, 1), ERR);
	assert_int_equal(mode(0xff, 1), ERR);
	/* A mode without its byte. */
	begin(0, NET_CTRL_RX_PROMISC);
	assert_int_equal(give(), ERR);
}

static void tables_are_set(void **state)
{
	(void)state;
	(void)mode(NET_CTRL_RX_ALLMULTI, 0);
	begin(1, 0);
	put_table(1, &other, 1);
	put_table(1, &group, 1);
	for (uint32_t cut = 1; cut < 22; cut++) {
		assert_int_equal(give_cut(cut), OK);
		assert_true(wants(&other));
		assert_true(wants(&group));
	}
	begin(1, 0);
	put_table(0, NULL, 0);
	put_table(0, NULL, 0);
	assert_int_equal(give(), OK);
	assert_false(wants(&other));
	assert_false(wants(&group));
	assert_true(wants(&nic_mac));
}

static void tables_that_lie_change_nothing(void **state)
{
	static const uint32_t counts[] = {2, 3, 0x2aaaaaab, 0x80000000, 0xffffffff};

	(void)state;
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		begin(1, 0);
		put_table(counts[i], &other, 1);
		assert_int_equal(give(), ERR);
		begin(1, 0);
		put_table(1, &other, 1);
		put_table(counts[i], &group, 1);
		assert_int_equal(give(), ERR);
		assert_false(wants(&other));
	}
	begin(1, 0);
	assert_int_equal(give(), ERR);
}

static void a_table_that_is_too_long_means_all(void **state)
{
	static struct net_mac macs[NET_FILTER_MACS_MAX + 1];

	(void)state;
	(void)mode(NET_CTRL_RX_ALLMULTI, 0);
	begin(1, 0);
	put_table(NET_FILTER_MACS_MAX, macs, NET_FILTER_MACS_MAX);
	put_table(NET_FILTER_MACS_MAX, macs, NET_FILTER_MACS_MAX);
	assert_int_equal(give(), OK);
	assert_false(wants(&other));
	begin(1, 0);
	put_table(NET_FILTER_MACS_MAX + 1, macs, NET_FILTER_MACS_MAX + 1);
	put_table(1, &group, 1);
	assert_int_equal(give(), OK);
	assert_true(wants(&other));
	assert_true(wants(&group));
}

static unsigned take_address(const struct net_mac *mac)
{
	begin(1, 1);
	put(mac, sizeof(*mac));
	return give();
}

static void an_address_is_fixed_where_the_network_says_so(void **state)
{
	(void)state;
	assert_int_equal(take_address(&nic_mac), OK);
	assert_int_equal(take_address(&other), ERR);
	assert_true(wants(&nic_mac));
	assert_false(wants(&other));
	(void)teardown(state);
	nic_setup(false);
	rig_start(&nic.virtio, NIC_ALL_FEATURES, 16);
	assert_int_equal(take_address(&other), OK);
	assert_true(wants(&other));
	assert_false(wants(&nic_mac));
	assert_int_equal(take_address(&group), ERR);
	begin(1, 1);
	put(&other, 5);
	assert_int_equal(give(), ERR);
	/* The next driver finds the NIC's own again. */
	rig_start(&nic.virtio, NIC_ALL_FEATURES, 16);
	assert_true(wants(&nic_mac));
}

static void other_commands_are_refused(void **state)
{
	(void)state;
	begin(1, 2);
	assert_int_equal(give(), ERR);
	begin(4, 0); /* multiqueue */
	put("\1\0", 2);
	assert_int_equal(give(), ERR);
}

static void a_command_without_room_for_an_answer(void **state)
{
	struct rig_queue *q = &rig_queues[NIC_CTRL];
	uint32_t id;
	uint32_t written;

	(void)state;
	rig_put(NIC_DATA, 0, 2);
	rig_desc(q->desc, 0, NIC_DATA, 1, 0);
	rig_offer(q, 0);
	rig_notify(&nic.virtio, NIC_CTRL);
	assert_true(rig_take(q, &id, &written));
	assert_int_equal(written, 0);
	assert_false(rig_common_read(&nic.virtio, device_status) & VIRTIO_STATUS_NEEDS_RESET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_started, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(modes_are_set),
		TEST(tables_are_set),
		TEST(tables_that_lie_change_nothing),
		TEST(a_table_that_is_too_long_means_all),
		TEST(an_address_is_fixed_where_the_network_says_so),
		TEST(other_commands_are_refused),
		TEST(a_command_without_room_for_an_answer),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
