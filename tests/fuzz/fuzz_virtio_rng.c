/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring bytes, registers, notifications, time and resets against the entropy device: it writes only
 * what the driver gave, and never makes more bytes than the guest's share.
 */
#include "guests/devices/virtio_rng.h"
#include "tests/fakes/virtio_pci_rig.h"
#include "tests/fuzz/saved_input.h"
#include "tests/fuzz/virtio_driver.h"

#define HZ 1000000000u

static struct device_rig rig;
static struct virtio_rng rng;
static struct vwork_queue work_queue;
static uint64_t made;
static bool loaded; /* bytes and time are the input's */

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
}

static void fill(void *dst, size_t n)
{
	assert(n >= 1 && n <= VIRTIO_RNG_BUFFER_MAX);
	memset(dst, 0xa5, n);
	made += n;
}

static void start(void)
{
	memset(rig_given, 0, sizeof(rig_given));
	rig_start(&rng.transport, rng.transport.offered, VIRTIO_RNG_QUEUE_SIZE);
}

static void step(struct input *in)
{
	struct virtqueue *ring = virtio_ring(&rng.transport, 0);

	switch (take(in, 1) & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		driver_write_descriptor(in, &rig_queues[0]);
		break;
	case 4:
	case 5:
		driver_offer(in, &rig_queues[0]);
		break;
	case 6:
		rig_desc(rig_queues[0].desc, 0, driver_address(in), driver_length(in), RIG_WRITE);
		rig_offer(&rig_queues[0], 0);
		break;
	case 7:
	case 8:
	case 9:
		driver_give_available(ring);
		rig_notify(&rng.transport, 0);
		break;
	case 10:
		rig_advance(&rig, take_ticks(in));
		break;
	case 11:
		driver_give_available(ring);
		vwork_run(&work_queue);
		break;
	case 12:
		rig_bar_write(&rng.transport, VIRTIO_PCI_BAR_REGS, take(in, 1),
			      1u << take(in, 1) % 4, take(in, 4));
		break;
	case 13:
		if (fuzz_reload(in, &rng.saved, sizeof(struct pci_device_saved))) {
			rig_watch = false;
			loaded = true;
		}
		break;
	default:
		start();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct virtio_rng_config cfg = {
		.wiring = rig_wiring(), .work = &work_queue, .time = &rig.time, .fill = fill};
	enum hv_status status;

	memset(rig_ram, 0, sizeof(rig_ram));
	rig_init(&rig, HZ);
	made = 0;
	loaded = false;
	vwork_queue_init(&work_queue, ask, NULL);
	status = virtio_rng_init(&rng, &cfg);
	assert(status == HV_OK);
	rig_watch = true;
	start();
	while (in.n != 0) {
		step(&in);
		assert(rng.left <= VIRTIO_RNG_BURST);
		assert(loaded ||
		       made <= VIRTIO_RNG_BURST +
				       VIRTIO_RNG_RATE * (__uint128_t)vtime_now(&rig.time) / HZ);
	}
	virtio_rng_fini(&rng);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
