/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring bytes, register accesses, notifications, completions and resets in any order against the
 * block device. It writes nothing that the driver of the present did not give, keeps to its bounds,
 * and when the disk has done everything nothing is missing.
 */
#include "guests/devices/virtio_blk.h"
#include "tests/fakes/blk_rig.h"
#include "tests/fakes/virtio_pci_rig.h"
#include "tests/fuzz/saved_input.h"
#include "tests/fuzz/virtio_driver.h"

#define QUEUES 2u

static struct virtio_blk blk;
static struct virtio_blk_queue queues[QUEUES];
static _Alignas(4096) uint8_t buffers[QUEUES][BOUNCE_BYTES];
static struct vwork_queue work_queue;
static bool asked;

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu < QUEUES);
	asked = true;
}

/* The driver's past is over: what it gave is its own again. */
static void start(uint64_t without)
{
	memset(rig_given, 0, sizeof(rig_given));
	rig_start(&blk.transport, blk.transport.offered & ~without, 16);
}

static void init(uint8_t how)
{
	struct virtio_blk_config cfg = {
		.wiring = rig_wiring(),
		.work = &work_queue,
		.device = &rig_disk,
		.vcpu_count = QUEUES,
		.queue_count = QUEUES,
	};
	enum hv_status status;

	rig_disk_init();
	rig_disk.readonly = (how & 1) != 0;
	rig_disk.block_size = (how & 2) != 0 ? 4096 : 512;
	rig_disk.max_count = (how & 4) != 0 ? 8 : 2048;
	rig_disk_holds = (how & 8) != 0;
	rig_disk.copies = (how & 64) != 0;
	for (unsigned i = 0; i < QUEUES; i++) {
		cfg.queues[i] = &queues[i];
		cfg.buffers[i] = buffers[i];
	}
	vwork_queue_init(&work_queue, ask, NULL);
	status = virtio_blk_init(&blk, &cfg);
	assert(status == HV_OK);
	start((how & 16) != 0 ? BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_F_EVENT_IDX) : 0);
	if ((how & 32) != 0) {
		rig_msix_on(&blk.transport);
	}
}

/* Both queues may be looked at by whatever comes. */
static void give(void)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		driver_give_available(virtio_ring(&blk.transport, i));
	}
}

/* A request as a driver that knows how makes it. */
static void whole_request(struct input *in, unsigned queue)
{
	static const uint8_t types[] = {0, 1, 4, 8, 11, 13, 0, 1};
	struct rig_queue *q = &rig_queues[queue];
	uint8_t type = types[take(in, 1) % sizeof(types)];
	uint64_t header = DRIVER_TABLES + 0x2000;
	uint64_t table = DRIVER_TABLES;

	rig_put(header, type, 8);
	rig_put(header + 8, take(in, 2), 8);
	rig_desc(table, 0, header, 16, rig_link(0, 1));
	rig_desc(table, 1, driver_address(in), driver_length(in),
		 rig_link(type == 0 || type == 8 ? RIG_WRITE : 0, 2));
	rig_desc(table, 2, header + 16, 1, RIG_WRITE);
	rig_desc(q->desc, 0, table, 48, RIG_INDIRECT);
	rig_offer(q, 0);
}

static void disk_finishes(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	if (rig_disk_open_count != 0) {
		rig_disk_finish(how % rig_disk_open_count, how > 0xf0 ? HV_E_IO : HV_OK);
	}
}

static void access_register(struct input *in)
{
	unsigned bar = (unsigned)take(in, 1) % 3;
	uint64_t offset = take(in, 1);
	unsigned size = 1u << take(in, 1) % 4;

	if (bar == VIRTIO_PCI_BAR_PORTS) {
		offset %= VIRTIO_PCI_PORTS;
		size = 1;
	}
	if (bar == VIRTIO_PCI_BAR_MSIX) {
		return; /* pci_device's own target does that */
	}
	if ((take(in, 1) & 1) != 0) {
		give();
		rig_bar_write(&blk.transport, bar, offset, size, take(in, 4));
	} else {
		(void)rig_bar_read(&blk.transport, bar, offset, size);
	}
}

static void run_work(void)
{
	give();
	asked = false;
	vwork_run(&work_queue);
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);
	unsigned queue = op >> 4 & 1;

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		driver_write_descriptor(in, &rig_queues[queue]);
		break;
	case 3:
		driver_offer(in, &rig_queues[queue]);
		break;
	case 4:
	case 5:
		whole_request(in, queue);
		break;
	case 6:
	case 7:
	case 8:
		give();
		rig_notify(&blk.transport, queue);
		break;
	case 9:
	case 10:
		disk_finishes(in);
		break;
	case 11:
	case 12:
		run_work();
		break;
	case 13:
		access_register(in);
		break;
	case 14:
		rig_set_master((op & 0x20) != 0);
		break;
	default:
		if ((op & 0x80) != 0) {
			(void)fuzz_reload(in, &blk.saved, sizeof(struct pci_device_saved));
		} else {
			start(0);
		}
		break;
	}
}

static void invariants(void)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < QUEUES; i++) {
		const struct virtio_blk_queue *q = &queues[i];

		open += q->transfers.pieces.opened - q->transfers.pieces.closed;
		assert(q->transfers.pieces.opened - q->transfers.pieces.closed <= BLK_PIECES);
		/* What waits is waited for. */
		assert(!q->stalled || q->transfers.pieces.opened != q->transfers.pieces.closed ||
		       asked || !virtio_ring(&blk.transport, i)->running ||
		       !pci_device_is_master(&blk.transport.pci) ||
		       !virtio_is_live(&blk.transport));
		assert(q->transfers.pieces.finished == NULL || asked ||
		       (q->waits_for_master && !pci_device_is_master(&blk.transport.pci)));
	}
	assert(open == rig_disk_open_count);
	assert(virtio_blk_is_idle(&blk) == (open == 0));
}

static void end(void)
{
	rig_common_write(&blk.transport, device_status, 0);
	memset(rig_given, 0, sizeof(rig_given));
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	vwork_run(&work_queue);
	for (unsigned i = 0; i < QUEUES; i++) {
		assert(queues[i].free_requests == UINT32_MAX);
		assert(queues[i].transfers.pieces.free == UINT64_MAX);
		assert((queues[i].transfers.pieces.bounce.free[0] &
			queues[i].transfers.pieces.bounce.free[1]) == UINT64_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	memset(rig_ram, 0, sizeof(rig_ram));
	rig_watch = false;
	asked = false;
	init((uint8_t)take(&in, 1));
	rig_watch = true;
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	end();
	return 0;
}
