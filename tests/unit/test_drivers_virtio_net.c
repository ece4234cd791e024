/* SPDX-License-Identifier: Apache-2.0 */
/* virtio network cards against a device whose queues have eight descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/virtio.h"
#include "drivers/virtio_net.h"
#include "hv/base/bits.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/fake_virtio.h"
#include "tests/fakes/frames.h"

#define RECEIVE 0u
#define SEND 1u
#define HEADER 12u
#define QUEUE_SIZE 8u
#define CSUM BIT(0)
#define GUEST_CSUM BIT(1)
#define MAC BIT(5)
#define TSO4 BIT(11)
#define TSO6 BIT(12)
#define ECN BIT(13)
#define STATUS BIT(16)

static struct fake_virtio fake;
static struct net_frame *last;
static unsigned sent;

static void to_switch(struct net_port *p, struct net_frame *f)
{
	(void)p;
	if (last != NULL) {
		net_frame_put(last);
	}
	last = f;
	sent++;
}

static int setup(void **state)
{
	static const uint8_t config[] = {0x52, 0x54, 0, 1, 2, 3, 1, 0};

	(void)state;
	fake_pci_reset(2);
	fake_virtio_add(&fake, 0x20, VIRTIO_TYPE_NET, 0x020000, 2);
	memcpy(fake.config, config, sizeof(config));
	fake.offers |= MAC | STATUS;
	last = NULL;
	sent = 0;
	frames_alive = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (last != NULL) {
		net_frame_put(last);
	}
	assert_int_equal(frames_alive, 0);
	return 0;
}

static struct host_nic *find(void)
{
	(void)host_pci_scan(&fake_pci_machine.acpi);
	return host_nics_init() == 1 ? host_nic_at(0) : NULL;
}

static struct host_nic *in_use(void)
{
	struct host_nic *n = find();

	assert_non_null(n);
	n->port.send = to_switch;
	assert_int_equal(host_nic_start(n), HV_OK);
	return n;
}

static bool deliver(struct host_nic *n, uint32_t len, const struct net_offload *o)
{
	struct net_frame *f = net_frame_alloc(len);
	bool taken;

	memset(f->data, 0x5a, len);
	f->len = len;
	f->offload = *o;
	taken = n->port.ops->deliver(&n->port, f);
	net_frame_put(f);
	return taken;
}

static const struct net_offload nothing;

/* The device fills the next buffer: a header and `len` bytes of `seed`. */
static void receive(const uint8_t header[HEADER], uint32_t len, uint8_t seed)
{
	struct fake_virtio_chain c;

	assert_true(fake_virtio_take(&fake, RECEIVE, &c));
	assert_int_equal(c.count, 1);
	assert_true(c.parts[0].writable && HEADER + len <= c.parts[0].size);
	memcpy(c.parts[0].data, header, HEADER);
	memset((uint8_t *)c.parts[0].data + HEADER, seed, len);
	fake_virtio_use(&fake, RECEIVE, c.head, HEADER + len);
}

static const uint8_t plain[HEADER] = {[10] = 1};

static void what_it_offers_is_used(void **state)
{
	struct host_nic *n;

	(void)state;
	fake.offers |= CSUM | GUEST_CSUM | TSO4 | TSO6 | ECN | BIT(15) | BIT(17) | BIT(22);
	n = find();
	assert_non_null(n);
	assert_string_equal(n->name, "virtio-net-0");
	assert_memory_equal(n->port.mac.bytes, fake.config, 6);
	assert_true(n->port.takes_checksum && n->port.takes_tso4 && n->port.takes_tso6);
	/* Off until it is used. */
	assert_int_equal(fake.status, 0);
	assert_false(fake_pci_is_master(&fake.pci));
	n->port.send = to_switch;
	assert_int_equal(host_nic_start(n), HV_OK);
	assert_int_equal(fake.status, 1 | 2 | 8 | 4);
	/* Neither mergeable buffers nor a control queue. */
	assert_int_equal(fake.accepted & ~BIT(32),
			 CSUM | GUEST_CSUM | TSO4 | TSO6 | ECN | MAC | STATUS);
}

static void what_it_does_not_offer_is_left_to_the_switch(void **state)
{
	struct host_nic *n;

	(void)state;
	fake.offers |= CSUM | TSO4;
	n = find();
	assert_true(n->port.takes_checksum);
	assert_false(n->port.takes_tso4 || n->port.takes_tso6);
	setup(NULL);
	fake.offers |= TSO4 | ECN;
	n = find();
	assert_false(n->port.takes_checksum || n->port.takes_tso4);
}

static void cards_that_cannot_be_used(void **state)
{
	(void)state;
	fake.offers &= ~MAC;
	assert_null(find());
	setup(NULL);
	fake.config[0] = 1;
	assert_null(find());
	setup(NULL);
	fake.offers = 0;
	assert_null(find());
	assert_false(fake_pci_is_master(&fake.pci));
}

static void frames_arrive(void **state)
{
	struct host_nic *n = in_use();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		receive(plain, 60 + i, (uint8_t)i);
		assert_true(fake_virtio_interrupt(&fake, RECEIVE));
		assert_int_equal(sent, i + 1);
		assert_int_equal(last->len, 60 + i);
		assert_int_equal(last->data[0], (uint8_t)i);
		assert_int_equal(last->data[last->len - 1], (uint8_t)i);
	}
	assert_int_equal(n->stats.rx_bad, 0);
}

static void checksums_on_the_way_in(void **state)
{
	static const uint8_t needs[HEADER] = {[0] = 1, [6] = 34, [8] = 16, [10] = 1};
	static const uint8_t valid[HEADER] = {[0] = 2, [10] = 1};

	(void)state;
	fake.offers |= GUEST_CSUM;
	(void)in_use();
	receive(needs, 100, 0);
	assert_true(fake_virtio_interrupt(&fake, RECEIVE));
	assert_true(last->offload.needs_checksum);
	assert_false(last->offload.checksum_good);
	assert_int_equal(last->offload.csum_start, 34);
	assert_int_equal(last->offload.csum_offset, 16);
	receive(valid, 100, 0);
	assert_true(fake_virtio_interrupt(&fake, RECEIVE));
	assert_true(last->offload.checksum_good);
	assert_false(last->offload.needs_checksum);
}

static void checksums_that_were_not_agreed_on_are_ignored(void **state)
{
	static const uint8_t needs[HEADER] = {[0] = 3, [6] = 34, [8] = 16, [10] = 1};

	(void)state;
	(void)in_use();
	receive(needs, 100, 0);
	assert_true(fake_virtio_interrupt(&fake, RECEIVE));
	assert_false(last->offload.needs_checksum || last->offload.checksum_good);
}

static void what_is_no_frame_is_dropped(void **state)
{
	static const uint8_t long_one[HEADER] = {[1] = 1, [4] = 100, [10] = 1};
	static const uint32_t written[] = {0, 11, 12, 25, 12 + 1519, 2048, 0xffffffff};
	struct host_nic *n = in_use();
	struct fake_virtio_chain c;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(written); i++) {
		assert_true(fake_virtio_take(&fake, RECEIVE, &c));
		memset(c.parts[0].data, 0, c.parts[0].size);
		fake_virtio_use(&fake, RECEIVE, c.head, written[i]);
		assert_true(fake_virtio_interrupt(&fake, RECEIVE));
		assert_int_equal(n->stats.rx_bad, i + 1);
	}
	receive(long_one, 100, 0);
	assert_true(fake_virtio_interrupt(&fake, RECEIVE));
	assert_int_equal(sent, 0);
	/* All buffers are the device's again. */
	for (unsigned i = 0; i < QUEUE_SIZE; i++) {
		assert_true(fake_virtio_take(&fake, RECEIVE, &c));
	}
}

static void headers_on_the_way_out(void **state)
{
	const struct net_offload o = {
		.needs_checksum = true,
		.csum_start = 34,
		.csum_offset = 16,
		.gso = NET_GSO_TCPV4,
		.ecn = true,
		.gso_size = 1448,
		.header_bytes = 66,
	};
	static const uint8_t want[HEADER] = {1, 0x81, 66, 0, 0xa8, 0x05, 34, 0, 16, 0, 0, 0};
	static const uint8_t none[HEADER];
	struct host_nic *n;
	struct fake_virtio_chain c;

	(void)state;
	fake.offers |= CSUM | TSO4 | ECN;
	n = in_use();
	assert_true(deliver(n, 60000, &o));
	assert_true(fake_virtio_take(&fake, SEND, &c));
	assert_int_equal(c.count, 2);
	assert_int_equal(c.parts[0].size, HEADER);
	assert_memory_equal(c.parts[0].data, want, HEADER);
	assert_int_equal(c.parts[1].size, 60000);
	assert_int_equal(((uint8_t *)c.parts[1].data)[59999], 0x5a);
	fake_virtio_use(&fake, SEND, c.head, 0);
	assert_true(deliver(n, 60, &nothing));
	assert_true(fake_virtio_take(&fake, SEND, &c));
	assert_memory_equal(c.parts[0].data, none, HEADER);
	fake_virtio_use(&fake, SEND, c.head, 0);
	assert_int_equal(frames_alive, 1);
	fake_pci_pass(2 * NIC_WATCH_NS, NIC_WATCH_NS / 4);
	assert_int_equal(frames_alive, 0);
	/* Too long without being cut. */
	assert_false(deliver(n, NET_WIRE_MAX + 1, &nothing));
}

static void a_full_queue_refuses(void **state)
{
	struct host_nic *n = in_use();
	struct fake_virtio_chain c;

	(void)state;
	for (unsigned i = 0; i < QUEUE_SIZE / 2; i++) {
		assert_true(deliver(n, 60, &nothing));
	}
	assert_false(deliver(n, 60, &nothing));
	assert_int_equal(frames_alive, QUEUE_SIZE / 2);
	for (unsigned i = 0; i < QUEUE_SIZE / 2; i++) {
		assert_true(fake_virtio_take(&fake, SEND, &c));
		fake_virtio_use(&fake, SEND, c.head, 0);
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_true(deliver(n, 60, &nothing));
		assert_true(fake_virtio_take(&fake, SEND, &c));
		fake_virtio_use(&fake, SEND, c.head, 0);
	}
	fake_pci_pass(2 * NIC_WATCH_NS, NIC_WATCH_NS / 4);
}

static void sending_does_not_interrupt(void **state)
{
	const uint16_t *avail;

	(void)state;
	(void)in_use();
	avail = fake_pci_dma(fake.queues[SEND].avail, 4);
	assert_int_equal(avail[0], 1);
	avail = fake_pci_dma(fake.queues[RECEIVE].avail, 4);
	assert_int_equal(avail[0], 0);
}

static void a_deaf_device_is_reset_and_used_again(void **state)
{
	struct host_nic *n = in_use();
	unsigned resets = fake.resets;
	struct fake_virtio_chain c;

	(void)state;
	assert_true(deliver(n, 60, &nothing));
	fake_pci_pass(NIC_STUCK_NS + 2 * NIC_WATCH_NS, NIC_WATCH_NS / 100);
	assert_int_equal(n->stats.resets, 1);
	assert_true(fake.resets > resets);
	assert_int_equal(frames_alive, 0);
	assert_int_equal(n->state, NIC_RUNNING);
	assert_true(deliver(n, 60, &nothing));
	assert_true(fake_virtio_take(&fake, SEND, &c));
	fake_virtio_use(&fake, SEND, c.head, 0);
	receive(plain, 60, 1);
	assert_true(fake_virtio_interrupt(&fake, RECEIVE));
	assert_int_equal(sent, 1);
	fake_pci_pass(2 * NIC_WATCH_NS, NIC_WATCH_NS / 4);
}

static void one_that_never_resets_has_failed(void **state)
{
	struct host_nic *n = in_use();

	(void)state;
	assert_true(deliver(n, 60, &nothing));
	fake.never_resets = true;
	fake_cpu.tsc_step = 1000000;
	fake_pci_pass(NIC_STUCK_NS + 2 * NIC_WATCH_NS, NIC_WATCH_NS / 100);
	assert_int_equal(n->state, NIC_FAILED);
	assert_false(fake_pci_is_master(&fake.pci));
	assert_int_equal(frames_alive, 0);
}

static void a_used_ring_that_makes_no_sense_ends_it(void **state)
{
	struct host_nic *n = in_use();

	(void)state;
	for (unsigned i = 0; i < QUEUE_SIZE + 1; i++) {
		fake_virtio_use(&fake, RECEIVE, 0, 100);
	}
	assert_true(fake_virtio_interrupt(&fake, RECEIVE));
	assert_true(fake_virtio_interrupt(&fake, RECEIVE));
	assert_int_equal(n->state, NIC_FAILED);
	assert_false(deliver(n, 60, &nothing));
}

/* Nobody interrupts for the link. */
static void the_link_is_looked_at(void **state)
{
	struct host_nic *n;

	(void)state;
	fake.config[6] = 0;
	n = in_use();
	assert_false(n->link_up);
	assert_false(deliver(n, 60, &nothing));
	fake_pci_pass(NIC_WATCH_NS * 2, NIC_WATCH_NS / 4);
	assert_false(n->link_up);
	fake.config[6] = 1;
	fake_pci_pass(NIC_WATCH_NS * 2, NIC_WATCH_NS / 4);
	assert_true(n->link_up);
	/* Then nobody looks any more, but while something is sent. */
	assert_int_equal(timer_queue_next(&fake_pci_machine.timers), TIMER_NEVER);
	assert_true(deliver(n, 60, &nothing));
	fake.config[6] = 0;
	fake_pci_pass(NIC_STUCK_NS * 4, NIC_WATCH_NS / 4);
	assert_false(n->link_up);
	assert_int_equal(n->stats.resets, 0);
	fake.config[6] = 1;
	fake_pci_pass(NIC_STUCK_NS * 4, NIC_WATCH_NS / 4);
	assert_int_not_equal(n->stats.resets, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_it_offers_is_used, setup, teardown),
		cmocka_unit_test_setup_teardown(what_it_does_not_offer_is_left_to_the_switch, setup,
						teardown),
		cmocka_unit_test_setup_teardown(cards_that_cannot_be_used, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(checksums_on_the_way_in, setup, teardown),
		cmocka_unit_test_setup_teardown(checksums_that_were_not_agreed_on_are_ignored,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_frame_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(headers_on_the_way_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_queue_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(sending_does_not_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deaf_device_is_reset_and_used_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_never_resets_has_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_used_ring_that_makes_no_sense_ends_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_link_is_looked_at, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
