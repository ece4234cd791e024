/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/virtio_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/net_oracle.h"
#include "tests/fakes/virtio_net_fixture.h"

#define SIZE 64u
#define NEEDS_CSUM 1u
#define DATA_VALID 2u

static void start(uint64_t features)
{
	rig_start(&nic.virtio, features, SIZE);
	memset(rig_at(NIC_DATA), 0, NIC_HDR);
}

/* --- sending --- */

/* A frame of `len` bytes behind the header at NIC_DATA, in `parts` descriptors, offered. */
static void offer_tx(const struct virtio_net_hdr *h, uint32_t len, unsigned parts)
{
	struct rig_queue *q = &rig_queues[NIC_TX];
	uint32_t total = NIC_HDR + len;
	uint32_t piece = total / parts;

	memcpy(rig_at(NIC_DATA), h, sizeof(*h));
	for (unsigned i = 0; i < parts; i++) {
		bool last = i + 1 == parts;

		rig_desc(q->desc, i, NIC_DATA + i * piece, last ? total - i * piece : piece,
			 last ? 0 : rig_link(0, i + 1));
	}
	rig_offer(q, 0);
}

static void fill(uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		rig_put(NIC_DATA + NIC_HDR + i, (i * 7 + 1) & 0xff, 1);
	}
}

static const struct virtio_net_hdr plain = {0};

/* Sends one; the ring has it back afterwards, whatever became of it. */
static void send(const struct virtio_net_hdr *h, uint32_t len)
{
	uint32_t id;
	uint32_t written;

	offer_tx(h, len, 1);
	rig_notify(&nic.virtio, NIC_TX);
	assert_true(rig_take(&rig_queues[NIC_TX], &id, &written));
	assert_int_equal(written, 0);
	assert_false(rig_common_read(&nic.virtio, device_status) & VIRTIO_STATUS_NEEDS_RESET);
}

static void what_a_driver_finds(void **state)
{
	(void)state;
	assert_int_equal(rig_config_read(PCI_VENDOR_ID, 4), 0x10411af4);
	assert_int_equal(rig_config_read(PCI_CLASS, 2), 0);
	assert_int_equal(rig_config_read(PCI_CLASS + 2, 1), 2);
	assert_int_equal(rig_device_features(&nic.virtio) & 0xffffff, NIC_ALL_FEATURES);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(rig_bar_read(&nic.virtio, VIRTIO_PCI_BAR_REGS, 0x100 + i, 1),
				 nic_mac.bytes[i]);
	}
	assert_int_equal(rig_bar_read(&nic.virtio, VIRTIO_PCI_BAR_REGS, 0x106, 2), 1);
	assert_int_equal(rig_bar_read(&nic.virtio, VIRTIO_PCI_BAR_REGS, 0x10a, 2), 1500);
	nic.port.ops->link_changed(&nic.port, false);
	assert_int_equal(rig_bar_read(&nic.virtio, VIRTIO_PCI_BAR_REGS, 0x106, 2), 0);
}

static void a_cable_that_is_pulled_interrupts(void **state)
{
	(void)state;
	start(0);
	rig_msix_on(&nic.virtio);
	nic.port.ops->link_changed(&nic.port, false);
	assert_int_equal(rig_messages[VIRTIO_NET_QUEUES], 1);
}

static void frames_go_out_as_they_are(void **state)
{
	static const uint32_t lengths[] = {14, 60, 1514, 1518, 9000, 65000};

	(void)state;
	start(0);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		fill(lengths[i]);
		send(&plain, lengths[i]);
		assert_int_equal(nic_sent, i + 1);
		assert_int_equal(nic_last->len, lengths[i]);
		assert_memory_equal(nic_last->data, rig_at(NIC_DATA + NIC_HDR), lengths[i]);
		assert_false(nic_last->offload.needs_checksum);
	}
}

static void a_frame_may_be_in_pieces(void **state)
{
	(void)state;
	start(0);
	fill(1000);
	for (unsigned parts = 2; parts < 60; parts++) {
		offer_tx(&plain, 1000, parts);
		rig_notify(&nic.virtio, NIC_TX);
		assert_int_equal(nic_last->len, 1000);
		assert_memory_equal(nic_last->data, rig_at(NIC_DATA + NIC_HDR), 1000);
	}
	assert_int_equal(nic_sent, 58);
}

static void offloads_are_passed_on(void **state)
{
	const struct virtio_net_hdr h = {.flags = NEEDS_CSUM,
					 .gso_type = NET_GSO_TCPV4,
					 .hdr_len = 54,
					 .gso_size = 1448,
					 .csum_start = 34,
					 .csum_offset = 16};

	(void)state;
	start(NIC_ALL_FEATURES);
	send(&h, 20000);
	assert_true(nic_last->offload.needs_checksum);
	assert_int_equal(nic_last->offload.gso, NET_GSO_TCPV4);
	assert_int_equal(nic_last->offload.gso_size, 1448);
	assert_int_equal(nic_last->offload.csum_start, 34);
	assert_int_equal(nic_last->offload.csum_offset, 16);
	assert_int_equal(nic_last->offload.header_bytes, 54);
}

static void bad_frames_are_dropped_and_nothing_else(void **state)
{
	static const struct {
		struct virtio_net_hdr h;
		uint32_t len;
	} bad[] = {
		{{0}, 13},
		{{0}, 0},
		{{0}, NET_FRAME_MAX + 1},
		{{.gso_type = 3}, 100},	   /* UDP fragmentation was not offered */
		{{.gso_type = 0x81}, 100}, /* nor was ECN */
		{{.gso_type = 0xff}, 100},
	};

	(void)state;
	start(NIC_ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		send(&bad[i].h, bad[i].len);
		assert_int_equal(nic_sent, 0);
		assert_int_equal(nic.tx_malformed, i + 1);
		assert_int_equal(nic.port.stats.tx_dropped, i + 1);
	}
	send(&plain, 100);
	assert_int_equal(nic_sent, 1);
}

static void what_was_not_negotiated_is_not_done(void **state)
{
	const struct virtio_net_hdr sum = {
		.flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	const struct virtio_net_hdr tso = {.flags = NEEDS_CSUM,
					   .gso_type = NET_GSO_TCPV6,
					   .gso_size = 1400,
					   .csum_start = 54,
					   .csum_offset = 16};

	(void)state;
	start(0);
	send(&sum, 100);
	assert_int_equal(nic_sent, 0);
	start(BIT(0) | BIT(11));
	send(&sum, 100);
	assert_int_equal(nic_sent, 1);
	send(&tso, 3000);
	assert_int_equal(nic_sent, 1);
	start(BIT(0) | BIT(12));
	send(&tso, 3000);
	assert_int_equal(nic_sent, 2);
}

static void one_notification_sends_a_batch_and_puts_off_the_rest(void **state)
{
	struct rig_queue *q = &rig_queues[NIC_TX];

	(void)state;
	start(0);
	rig_start(&nic.virtio, 0, 256);
	rig_msix_on(&nic.virtio);
	for (uint16_t i = 0; i < 200; i++) {
		rig_desc(q->desc, i, NIC_DATA, NIC_HDR + 60, 0);
		rig_offer(q, i);
	}
	rig_notify(&nic.virtio, NIC_TX);
	assert_int_equal(nic_sent, 64);
	assert_int_equal(rig_used_index(q), 64);
	assert_int_equal(rig_messages[NIC_TX], 1);
	assert_int_equal(nic_asked, 1);
	/* It need not tell of more meanwhile. */
	assert_int_equal(rig_get(q->used, 2), 1);
	for (unsigned i = 0; i < 10; i++) {
		vwork_run(&nic_work);
	}
	assert_int_equal(nic_sent, 200);
	assert_int_equal(rig_used_index(q), 200);
	assert_int_equal(rig_get(q->used, 2), 0);
}

static void long_frames_make_a_shorter_batch(void **state)
{
	struct rig_queue *q = &rig_queues[NIC_TX];

	(void)state;
	start(0);
	for (uint16_t i = 0; i < 20; i++) {
		rig_desc(q->desc, i, NIC_DATA, NIC_HDR + 65000, 0);
		rig_offer(q, i);
	}
	rig_notify(&nic.virtio, NIC_TX);
	assert_in_range(nic_sent, 2, 6);
}

static void a_ring_that_lies_breaks_the_device_alone(void **state)
{
	struct rig_queue *q = &rig_queues[NIC_TX];

	(void)state;
	start(0);
	rig_desc(q->desc, 0, NIC_DATA, 100, 0);
	rig_desc(q->desc, 1, 0x10, 100, 0); /* no RAM */
	rig_offer(q, 0);
	rig_offer(q, 1);
	rig_notify(&nic.virtio, NIC_TX);
	assert_int_equal(nic_sent, 1);
	assert_true(rig_common_read(&nic.virtio, device_status) & VIRTIO_STATUS_NEEDS_RESET);
	start(0);
	send(&plain, 100);
	assert_int_equal(nic_sent, 2);
}

static void without_memory_frames_are_dropped(void **state)
{
	static struct net_frame *taken[NET_FRAMES_BYTES_MAX / (128u << 10) + 1];
	unsigned count = 0;

	(void)state;
	start(0);
	while ((taken[count] = net_frame_alloc(NET_FRAME_MAX)) != NULL) {
		count++;
	}
	send(&plain, 100);
	assert_int_equal(nic_sent, 0);
	assert_int_equal(nic.port.stats.tx_dropped, 1);
	while (count > 0) {
		net_frame_put(taken[--count]);
	}
}

/* --- receiving --- */

/* Buffers `first` .. `first + count - 1` of `bytes` each. */
static void offer_rx(unsigned first, unsigned count, uint32_t bytes)
{
	struct rig_queue *q = &rig_queues[NIC_RX];

	for (unsigned i = first; i < first + count; i++) {
		rig_desc(q->desc, i, NIC_DATA + i * bytes, bytes, RIG_WRITE);
		rig_offer(q, (uint16_t)i);
	}
}

static struct net_frame *frame(uint32_t len, unsigned number)
{
	struct net_frame *f = net_frame_alloc(len);

	for (uint32_t i = 0; i < len; i++) {
		f->data[i] = (uint8_t)(number + i * 3);
	}
	f->len = len;
	return f;
}

static bool deliver(uint32_t len, unsigned number)
{
	struct net_frame *f = frame(len, number);
	bool taken = nic_deliver_frame(f);

	net_frame_put(f);
	return taken;
}

/* Takes one received frame out of the buffers and checks it; returns its header. */
static struct virtio_net_hdr take_frame(uint32_t len, unsigned number)
{
	struct rig_queue *q = &rig_queues[NIC_RX];
	struct virtio_net_hdr h = {.num_buffers = 1};
	uint32_t at = 0;

	for (unsigned i = 0; i < h.num_buffers; i++) {
		uint32_t id;
		uint32_t written;
		uint64_t addr;
		uint32_t skip = i == 0 ? NIC_HDR : 0;

		assert_true(rig_take(q, &id, &written));
		addr = rig_get(q->desc + 16 * id, 8);
		if (i == 0) {
			memcpy(&h, rig_at(addr), sizeof(h));
		}
		for (uint32_t k = skip; k < written; k++, at++) {
			assert_int_equal(rig_get(addr + k, 1), (uint8_t)(number + at * 3));
		}
	}
	assert_int_equal(at, len);
	return h;
}

static void frames_come_in_by_deferred_work(void **state)
{
	struct virtio_net_hdr h;

	(void)state;
	start(BIT(15));
	rig_msix_on(&nic.virtio);
	offer_rx(0, 8, 2048);
	assert_true(deliver(60, 1));
	assert_true(deliver(1514, 2));
	/* No guest memory is touched by who sends. */
	assert_int_equal(rig_used_index(&rig_queues[NIC_RX]), 0);
	assert_int_equal(nic_asked, 1);
	vwork_run(&nic_work);
	assert_int_equal(rig_messages[NIC_RX], 1);
	h = take_frame(60, 1);
	assert_int_equal(h.num_buffers, 1);
	assert_int_equal(h.flags, 0);
	assert_int_equal(h.gso_type, 0);
	(void)take_frame(1514, 2);
}

static void a_long_frame_fills_several_buffers(void **state)
{
	struct virtio_net_hdr h;

	(void)state;
	start(BIT(15));
	offer_rx(0, 40, 1536);
	assert_true(deliver(50000, 5));
	assert_true(deliver(100, 6));
	vwork_run(&nic_work);
	h = take_frame(50000, 5);
	assert_int_equal(h.num_buffers, (50000 + NIC_HDR + 1535) / 1536);
	(void)take_frame(100, 6);
}

/* Buffers of one byte would make much work of few frames; what is left over is put off. */
static void one_run_fills_a_bounded_number_of_buffers(void **state)
{
	struct rig_queue *q = &rig_queues[NIC_RX];

	(void)state;
	rig_start(&nic.virtio, BIT(15), 256);
	offer_rx(0, 240, NIC_HDR + 1);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(deliver(60, i));
	}
	vwork_run(&nic_work);
	assert_in_range(rig_used_index(q), 64, 70);
	assert_int_equal(nic_asked, 2);
	for (unsigned i = 0; i < 3; i++) {
		vwork_run(&nic_work);
	}
	assert_int_equal(rig_used_index(q), 240);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(take_frame(60, i).num_buffers, 6);
	}
}

static void buffers_that_fit_exactly(void **state)
{
	(void)state;
	start(BIT(15));
	offer_rx(0, 3, 1000);
	assert_true(deliver(1000 - NIC_HDR, 1));
	assert_true(deliver(2000 - NIC_HDR, 2));
	vwork_run(&nic_work);
	assert_int_equal(take_frame(1000 - NIC_HDR, 1).num_buffers, 1);
	assert_int_equal(take_frame(2000 - NIC_HDR, 2).num_buffers, 2);
}

static void a_frame_waits_for_buffers_and_is_told_of_them(void **state)
{
	struct rig_queue *q = &rig_queues[NIC_RX];

	(void)state;
	start(BIT(15) | BIT(VIRTIO_F_EVENT_IDX));
	assert_true(deliver(3000, 1));
	vwork_run(&nic_work);
	assert_int_equal(rig_used_index(q), 0);
	offer_rx(0, 2, 1024);
	assert_int_equal(rig_avail_event(q), 0);
	rig_notify(&nic.virtio, NIC_RX);
	/* Still one short: nothing is used, and the next one is to be told of. */
	assert_int_equal(rig_used_index(q), 0);
	assert_int_equal(rig_avail_event(q), 2);
	offer_rx(2, 1, 1024);
	rig_notify(&nic.virtio, NIC_RX);
	assert_int_equal(take_frame(3000, 1).num_buffers, 3);
}

static void without_mergeable_buffers_a_frame_has_one(void **state)
{
	(void)state;
	start(0);
	offer_rx(0, 4, 1024);
	assert_true(deliver(1024 - NIC_HDR + 1, 1));
	assert_true(deliver(1024 - NIC_HDR, 2));
	vwork_run(&nic_work);
	assert_int_equal(nic.port.stats.rx_dropped, 1);
	assert_int_equal(take_frame(1024 - NIC_HDR, 2).num_buffers, 1);
	assert_int_equal(rig_used_index(&rig_queues[NIC_RX]), 1);
}

static void what_waits_is_bounded(void **state)
{
	unsigned taken = 0;

	(void)state;
	start(BIT(15));
	while (taken < 1000 && deliver(60, taken)) {
		taken++;
	}
	assert_int_equal(taken, NET_QUEUE_FRAMES_MAX);
	assert_int_equal(nic_asked, 1);
	offer_rx(0, SIZE, 128);
	for (unsigned i = 0; i < 5; i++) {
		vwork_run(&nic_work);
	}
	for (unsigned i = 0; i < SIZE; i++) {
		(void)take_frame(60, i);
	}
	/* Reset: what waits for the old driver is gone. */
	start(BIT(15));
	assert_int_equal(net_frames_bytes(), 0);
	taken = 0;
	while (taken < 1000 && deliver(65000, taken)) {
		taken++;
	}
	assert_in_range(taken, 8, 16);
}

static void work_is_done_in_batches(void **state)
{
	(void)state;
	rig_start(&nic.virtio, BIT(15), 256);
	rig_msix_on(&nic.virtio);
	offer_rx(0, 200, 128);
	for (unsigned i = 0; i < 200; i++) {
		assert_true(deliver(60, i));
	}
	vwork_run(&nic_work);
	assert_int_equal(rig_used_index(&rig_queues[NIC_RX]), 64);
	assert_int_equal(rig_messages[NIC_RX], 1);
	for (unsigned i = 0; i < 5; i++) {
		vwork_run(&nic_work);
	}
	for (unsigned i = 0; i < 200; i++) {
		(void)take_frame(60, i);
	}
}

static void offloads_are_told(void **state)
{
	const struct oracle_tcp t = {.payload = 5000, .gso_size = 1448, .tcp_options = 12};
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);
	struct virtio_net_hdr h;
	uint32_t seed = 3;

	(void)state;
	start(NIC_ALL_FEATURES);
	assert_true(nic.port.takes_checksum && nic.port.takes_tso4 && nic.port.takes_tso6);
	offer_rx(0, 8, 2048);
	oracle_tcp(f, &t, &seed);
	assert_true(nic_deliver_frame(f));
	net_frame_put(f);
	f = frame(60, 1);
	f->offload.checksum_good = true;
	assert_true(nic_deliver_frame(f));
	net_frame_put(f);
	vwork_run(&nic_work);
	memcpy(&h, rig_at(NIC_DATA), sizeof(h));
	assert_int_equal(h.flags, NEEDS_CSUM);
	assert_int_equal(h.csum_start, 34);
	assert_int_equal(h.csum_offset, 16);
	assert_int_equal(h.gso_type, NET_GSO_TCPV4);
	assert_int_equal(h.gso_size, 1448);
	assert_int_equal(h.hdr_len, 34 + 32);
	assert_int_equal(h.num_buffers, 3);
	memcpy(&h, rig_at(NIC_DATA + 3 * 2048), sizeof(h));
	assert_int_equal(h.flags, DATA_VALID);
	assert_int_equal(h.gso_type, 0);
}

static void another_driver_takes_less(void **state)
{
	const struct oracle_tcp t = {.payload = 5000, .gso_size = 1448};
	struct net_frame *f = net_frame_alloc(NET_FRAME_MAX);
	uint32_t seed = 3;

	(void)state;
	start(BIT(15));
	assert_false(nic.port.takes_checksum || nic.port.takes_tso4 || nic.port.takes_tso6);
	offer_rx(0, 8, 2048);
	/* Was on its way while the driver changed. */
	oracle_tcp(f, &t, &seed);
	assert_true(nic_deliver_frame(f));
	net_frame_put(f);
	assert_true(deliver(60, 4));
	vwork_run(&nic_work);
	assert_int_equal(nic.port.stats.rx_dropped, 1);
	(void)take_frame(60, 4);
}

static void a_device_without_a_driver_takes_nothing(void **state)
{
	(void)state;
	assert_false(deliver(60, 1));
	start(0);
	assert_true(deliver(60, 1));
	rig_common_write(&nic.virtio, device_status, 0);
	assert_false(deliver(60, 1));
	vwork_run(&nic_work);
	assert_int_equal(net_frames_bytes(), 0);
}

static void a_buffer_without_room_for_the_header_breaks_the_ring(void **state)
{
	(void)state;
	start(BIT(15));
	offer_rx(0, 1, NIC_HDR);
	assert_true(deliver(60, 1));
	vwork_run(&nic_work);
	assert_true(rig_common_read(&nic.virtio, device_status) & VIRTIO_STATUS_NEEDS_RESET);
}

static void groups_and_own_frames_are_wanted(void **state)
{
	const struct net_mac other = {{2, 9, 9, 9, 9, 9}};
	const struct net_mac group = {{0x33, 0x33, 0, 0, 0, 1}};

	(void)state;
	assert_true(nic.port.ops->wants(&nic.port, &nic_mac));
	assert_true(nic.port.ops->wants(&nic.port, &group));
	assert_false(nic.port.ops->wants(&nic.port, &other));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_driver_finds),
		TEST(a_cable_that_is_pulled_interrupts),
		TEST(frames_go_out_as_they_are),
		TEST(a_frame_may_be_in_pieces),
		TEST(offloads_are_passed_on),
		TEST(bad_frames_are_dropped_and_nothing_else),
		TEST(what_was_not_negotiated_is_not_done),
		TEST(one_notification_sends_a_batch_and_puts_off_the_rest),
		TEST(long_frames_make_a_shorter_batch),
		TEST(a_ring_that_lies_breaks_the_device_alone),
		TEST(without_memory_frames_are_dropped),
		TEST(frames_come_in_by_deferred_work),
		TEST(a_long_frame_fills_several_buffers),
		TEST(one_run_fills_a_bounded_number_of_buffers),
		TEST(buffers_that_fit_exactly),
		TEST(a_frame_waits_for_buffers_and_is_told_of_them),
		TEST(without_mergeable_buffers_a_frame_has_one),
		TEST(what_waits_is_bounded),
		TEST(work_is_done_in_batches),
		TEST(offloads_are_told),
		TEST(another_driver_takes_less),
		TEST(a_device_without_a_driver_takes_nothing),
		TEST(a_buffer_without_room_for_the_header_breaks_the_ring),
		TEST(groups_and_own_frames_are_wanted),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
