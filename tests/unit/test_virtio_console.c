/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/virtio_console.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_pci_rig.h"

#define RX VIRTIO_CONSOLE_RX
#define TX VIRTIO_CONSOLE_TX
#define SIZE VIRTIO_CONSOLE_QUEUE_SIZE
#define DATA (RIG_RAM_BASE + 0x10000u)

static struct virtio_console console;
static struct vwork_queue work_queue;
static unsigned asked;
static char out[65536];
static size_t out_count;
static unsigned rooms;
static const char *held; /* what was refused */

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
	asked++;
}

static void transmit(void *ctx, const char *data, size_t n)
{
	assert_ptr_equal(ctx, &console);
	assert_false(lock_try(&console.transport.queues[TX].lock));
	assert_true(n >= 1 && out_count + n <= sizeof(out));
	memcpy(out + out_count, data, n);
	out_count += n;
}

static void room(void *ctx)
{
	assert_ptr_equal(ctx, &console);
	rooms++;
	if (held != NULL) {
		held += virtio_console_receive(&console, held, strlen(held));
	}
}

static int setup(void **state)
{
	struct virtio_console_config cfg = {
		.wiring = rig_wiring(),
		.work = &work_queue,
		.transmit = transmit,
		.room = room,
		.ctx = &console,
	};

	(void)state;
	vwork_queue_init(&work_queue, ask, NULL);
	asked = 0;
	out_count = 0;
	rooms = 0;
	held = NULL;
	memset(rig_ram, 0, sizeof(rig_ram));
	assert_int_equal(virtio_console_init(&console, &cfg), HV_OK);
	rig_start(&console.transport, BIT(VIRTIO_F_EVENT_IDX), SIZE);
	rig_msix_on(&console.transport);
	return 0;
}

static void offer(unsigned queue, unsigned id, uint64_t addr, uint32_t len)
{
	rig_desc(rig_queues[queue].desc, id, addr, len, queue == RX ? RIG_WRITE : 0);
	rig_offer(&rig_queues[queue], (uint16_t)id);
}

static void assert_used(unsigned queue, uint32_t id, uint32_t len)
{
	uint32_t got_id;
	uint32_t got_len;

	assert_true(rig_take(&rig_queues[queue], &got_id, &got_len));
	assert_int_equal(got_id, id);
	assert_int_equal(got_len, len);
}

static void test_output(void **state)
{
	(void)state;
	memcpy(rig_at(DATA), "hello, world", 12);
	offer(TX, 0, DATA, 7);
	offer(TX, 1, DATA + 7, 5);
	rig_notify(&console.transport, TX);
	assert_int_equal(out_count, 12);
	assert_memory_equal(out, "hello, world", 12);
	assert_used(TX, 0, 0);
	assert_used(TX, 1, 0);
	assert_int_equal(rig_messages[TX], 1);
	assert_int_equal(rig_avail_event(&rig_queues[TX]), 2);
}

/* Much at once goes out in order, a bounded part at a time. */
static void test_much_output(void **state)
{
	unsigned runs = 0;

	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		rig_put(DATA + i, i * 7 + (i >> 8), 1);
	}
	offer(TX, 0, DATA, 40000);
	offer(TX, 1, DATA + 40000, 10000);
	rig_notify(&console.transport, TX);
	assert_in_range(out_count, 512, 1024);
	while (out_count < 50000) {
		assert_int_equal(asked, ++runs);
		assert_true(runs < 100);
		vwork_run(&work_queue);
	}
	assert_memory_equal(out, rig_at(DATA), 50000);
	assert_used(TX, 0, 0);
	assert_used(TX, 1, 0);
}

/* So does what comes in many chains: taking one is work, however short it is. */
static void test_many_chains(void **state)
{
	(void)state;
	rig_start(&console.transport, 0, 256);
	for (unsigned i = 0; i < 200; i++) {
		rig_put(DATA + i, i, 1);
		offer(TX, i, DATA + i, 1);
	}
	rig_notify(&console.transport, TX);
	assert_in_range(out_count, 32, 64);
	for (unsigned i = 0; i < 6; i++) {
		vwork_run(&work_queue);
	}
	assert_int_equal(out_count, 200);
	assert_memory_equal(out, rig_at(DATA), 200);
	assert_int_equal(rig_used_index(&rig_queues[TX]), 200);
}

static void test_emergency_write(void **state)
{
	(void)state;
	rig_common_write(&console.transport, device_status, 0);
	rig_bar_write(&console.transport, VIRTIO_PCI_BAR_REGS, 0x108, 4, '!');
	rig_bar_write(&console.transport, VIRTIO_PCI_BAR_REGS, 0x100, 4, '?');
	assert_int_equal(out_count, 1);
	assert_int_equal(out[0], '!');
}

static void test_input(void **state)
{
	(void)state;
	assert_int_equal(virtio_console_receive(&console, "early", 5), 5);
	assert_int_equal(asked, 1);
	vwork_run(&work_queue);
	/* The driver has to tell of buffers now. */
	assert_int_equal(rig_avail_event(&rig_queues[RX]), 0);
	offer(RX, 3, DATA, 3);
	rig_notify(&console.transport, RX);
	assert_used(RX, 3, 3);
	offer(RX, 4, DATA + 3, 100);
	offer(RX, 5, DATA + 200, 100);
	rig_notify(&console.transport, RX);
	assert_used(RX, 4, 2);
	assert_memory_equal(rig_at(DATA), "early", 5);
	/* With a buffer there, a key is work and an interrupt. */
	rig_set_used_event(&rig_queues[RX], 2);
	assert_int_equal(virtio_console_receive(&console, "k", 1), 1);
	vwork_run(&work_queue);
	assert_used(RX, 5, 1);
	assert_int_equal(rig_get(DATA + 200, 1), 'k');
	assert_int_equal(rig_messages[RX], 2);
}

/* More than fits is offered again, all arrives in order, over the end of the buffer. */
static void test_refused_input(void **state)
{
	static char text[1000];
	size_t got = 0;
	unsigned id = 0;

	(void)state;
	for (unsigned i = 0; i + 1 < sizeof(text); i++) {
		text[i] = (char)('a' + i % 26);
	}
	held = text + virtio_console_receive(&console, text, sizeof(text) - 1);
	assert_ptr_equal(held, text + VIRTIO_CONSOLE_IN);
	vwork_run(&work_queue);
	assert_int_equal(rooms, 0);
	while (got < sizeof(text) - 1) {
		uint32_t used_id;
		uint32_t len;

		assert_true(id < 200);
		offer(RX, id % SIZE, DATA + 4096, 60);
		id++;
		rig_notify(&console.transport, RX);
		vwork_run(&work_queue);
		while (rig_take(&rig_queues[RX], &used_id, &len)) {
			assert_memory_equal(rig_at(DATA + 4096), text + got, len);
			got += len;
		}
	}
	assert_int_equal(*held, '\0');
	assert_true(rooms >= 3);
	vwork_run(&work_queue);
	assert_false(console.refused);
}

/* In the middle of a chain, with input that waits: nothing is lost, nothing comes twice. */
static void test_saved(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		rig_put(DATA + i, i * 7 + (i >> 8), 1);
	}
	offer(TX, 0, DATA, 3000);
	offer(TX, 1, DATA + 3000, 1000);
	rig_notify(&console.transport, TX);
	assert_in_range(out_count, 512, 1024);
	assert_int_equal(virtio_console_receive(&console, "keys", 4), 4);
	saved_reload(&console.saved);
	saved_reload(&console.saved);
	for (unsigned runs = 0; out_count < 4000; runs++) {
		assert_true(runs < 10);
		vwork_run(&work_queue);
	}
	assert_memory_equal(out, rig_at(DATA), 4000);
	assert_used(TX, 0, 0);
	assert_used(TX, 1, 0);
	offer(RX, 0, DATA + 8192, 16);
	rig_notify(&console.transport, RX);
	assert_used(RX, 0, 4);
	assert_memory_equal(rig_at(DATA + 8192), "keys", 4);
}

static void test_saved_is_checked(void **state)
{
	struct virtio_console_saved *bytes;

	(void)state;
	assert_int_equal(virtio_console_receive(&console, "keys", 4), 4);
#define TAKES(field, value) SAVED_TAKES(&console.saved, struct virtio_console_saved, field, value)
	assert_true(TAKES(in_count, 4));
	assert_false(TAKES(in_count, 3));
	assert_false(TAKES(in_count, VIRTIO_CONSOLE_IN + 1));
	assert_false(TAKES(refused, 2));
	assert_false(TAKES(zero, 1));
	assert_false(TAKES(tx_offset, 1));
	assert_false(TAKES(transport.queues[TX].ring.avail_next, 1));
	assert_false(TAKES(transport.queues[RX].ring.state, VIRTQUEUE_STOPPED));
	/* More is out than there is of the chain. */
	memcpy(rig_at(DATA), "hello", 5);
	rig_set_master(false);
	offer(TX, 0, DATA, 5);
	bytes = saved_bytes(&console.saved);
	bytes->transport.queues[TX].ring.avail_seen++;
	bytes->tx_offset = UINT32_MAX;
	assert_null(console.saved.ops->check(&console, bytes));
	console.saved.ops->load(&console, bytes);
	free(bytes);
	rig_set_master(true);
	vwork_run(&work_queue);
	assert_int_equal(out_count, 0);
	assert_used(TX, 0, 0);
}

static void test_broken(void **state)
{
	(void)state;
	rig_desc(rig_queues[TX].desc, 0, DATA, 8, RIG_WRITE);
	rig_offer(&rig_queues[TX], 0);
	rig_notify(&console.transport, TX);
	assert_true(virtio_ring(&console.transport, TX)->broken);

	(void)setup(state);
	(void)virtio_console_receive(&console, "x", 1);
	rig_desc(rig_queues[RX].desc, 0, DATA, 8, 0);
	rig_offer(&rig_queues[RX], 0);
	vwork_run(&work_queue);
	assert_true(virtio_ring(&console.transport, RX)->broken);

	(void)setup(state);
	offer(TX, 0, RIG_RAM_END - 8, 16);
	rig_notify(&console.transport, TX);
	assert_true(virtio_ring(&console.transport, TX)->broken);
	/* Begun again, what was being sent is forgotten. */
	rig_start(&console.transport, 0, SIZE);
	assert_false(console.sending);
	memcpy(rig_at(DATA), "ok", 2);
	offer(TX, 0, DATA, 2);
	rig_notify(&console.transport, TX);
	assert_memory_equal(out, "ok", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_output, setup),
		cmocka_unit_test_setup(test_much_output, setup),
		cmocka_unit_test_setup(test_many_chains, setup),
		cmocka_unit_test_setup(test_emergency_write, setup),
		cmocka_unit_test_setup(test_input, setup),
		cmocka_unit_test_setup(test_refused_input, setup),
		cmocka_unit_test_setup(test_saved, setup),
		cmocka_unit_test_setup(test_saved_is_checked, setup),
		cmocka_unit_test_setup(test_broken, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
