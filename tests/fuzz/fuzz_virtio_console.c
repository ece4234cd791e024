/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring bytes, registers, input and resets against the console: it writes only what the driver gave,
 * and of what it took nothing is lost while the device is not reset.
 */
#include "guests/devices/virtio_console.h"
#include "tests/fakes/virtio_pci_rig.h"
#include "tests/fuzz/saved_input.h"
#include "tests/fuzz/virtio_driver.h"

static struct virtio_console console;
static struct vwork_queue work_queue;
static uint64_t sent;

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
}

static void transmit(void *ctx, const char *data, size_t n)
{
	(void)ctx;
	assert(data != NULL && n >= 1);
	sent += n;
}

static void room(void *ctx)
{
	(void)ctx;
	assert(virtio_console_receive(&console, "more", 4) >= 1);
}

static void start(void)
{
	memset(rig_given, 0, sizeof(rig_given));
	rig_start(&console.transport, console.transport.offered, 16);
}

static void give(void)
{
	driver_give_available(virtio_ring(&console.transport, VIRTIO_CONSOLE_RX));
	driver_give_available(virtio_ring(&console.transport, VIRTIO_CONSOLE_TX));
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	struct rig_queue *q = &rig_queues[op >> 4 & 1];
	uint64_t before = sent;

	give();
	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		driver_write_descriptor(in, q);
		break;
	case 3:
	case 4:
		driver_offer(in, q);
		break;
	case 5:
	case 6:
		rig_desc(q->desc, 0, driver_address(in), driver_length(in),
			 (op >> 4 & 1) == VIRTIO_CONSOLE_RX ? RIG_WRITE : 0);
		rig_offer(q, 0);
		break;
	case 7:
	case 8:
	case 9:
		rig_notify(&console.transport, op >> 4 & 1);
		break;
	case 10:
		(void)virtio_console_receive(&console, "0123456789abcdefghijklmnopqrstuvwxyz",
					     op >> 3);
		break;
	case 11:
	case 12:
		vwork_run(&work_queue);
		break;
	case 13:
		rig_bar_write(&console.transport, VIRTIO_PCI_BAR_REGS,
			      (take(in, 1) & 1) << 8 | take(in, 1), 1u << take(in, 1) % 4,
			      take(in, 4));
		break;
	case 14:
		if (fuzz_reload(in, &console.saved, sizeof(struct pci_device_saved))) {
			rig_watch = false;
		}
		break;
	default:
		start();
		break;
	}
	/* One step sends a bounded amount. */
	assert(sent - before <= 1024 + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct virtio_console_config cfg = {
		.wiring = rig_wiring(), .work = &work_queue, .transmit = transmit, .room = room};
	enum hv_status status;

	memset(rig_ram, 0, sizeof(rig_ram));
	vwork_queue_init(&work_queue, ask, NULL);
	status = virtio_console_init(&console, &cfg);
	assert(status == HV_OK);
	rig_watch = true;
	start();
	while (in.n != 0) {
		step(&in);
		assert(console.in_count <= VIRTIO_CONSOLE_IN);
		assert(console.in_first < VIRTIO_CONSOLE_IN);
		assert(!console.sending || console.tx_offset <= console.tx.readable);
	}
	return 0;
}
