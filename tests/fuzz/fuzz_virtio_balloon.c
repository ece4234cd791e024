/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring bytes, registers, notifications and resets against the balloon: it releases only whole pages
 * that the driver named, in a queue for that, as the driver's memory had them at some time, and
 * never a page twice for one naming.
 */
#include "guests/devices/virtio_balloon.h"
#include "tests/fakes/virtio_pci_rig.h"
#include "tests/fuzz/saved_input.h"
#include "tests/fuzz/virtio_driver.h"

#define HZ 1000000000u
#define SIZE 16u
/* Page numbers that inputs name come from here: 1 GiB. */
#define PAGES 0x40000u
#define REPORTING 3u /* with statistics and without hints */

static struct device_rig rig;
static struct virtio_balloon balloon;
static struct vwork_queue work_queue;
/* How often the driver has named a page, and how often it was released for that. */
static uint16_t named[PAGES];
static bool anything; /* the input wrote descriptors freely: all memory may be named */
static uint64_t room;
static uint64_t run_pages, run_calls; /* since the last entry into the device */

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	assert(vcpu == 0);
}

static enum hv_status take_back(void *ctx, uint64_t base, uint64_t size, uint64_t *done)
{
	(void)ctx;
	assert(size != 0 && (base | size) % 4096 == 0);
	assert(size <= VIRTIO_BALLOON_PIECE &&
	       base / VIRTIO_BALLOON_PIECE == (base + size - 1) / VIRTIO_BALLOON_PIECE);
	run_calls++;
	*done = 0;
	if (base >= (uint64_t)PAGES * 4096) {
		return HV_E_RANGE;
	}
	*done = min_u64(room, size);
	room -= *done;
	for (uint64_t page = base / 4096; page < (base + *done) / 4096 && !anything; page++) {
		assert(named[page] != 0);
		named[page]--;
	}
	run_pages += *done / 4096;
	return *done == size ? HV_OK : HV_E_BUSY;
}

static void start(uint64_t features)
{
	rig_start(&balloon.transport, features & balloon.transport.offered, SIZE);
	/* What was named before is void. */
	memset(named, 0, sizeof(named));
	anything = false;
}

/* Before a chain is built: one that the device still has may change under it. */
static void expect_idle(unsigned queue)
{
	anything |= rig_used_index(&rig_queues[queue]) != rig_queues[queue].avail_index;
}

/* A chain of page numbers, which stay as they are. */
static void inflate(struct input *in)
{
	uint64_t table = DRIVER_DATA + take(in, 1) % 16 * 0x400;
	uint32_t n = (uint32_t)take(in, 1) + 1;
	uint32_t pfn = (uint32_t)take(in, 4);

	expect_idle(0);
	for (uint32_t i = 0; i < n; i++) {
		rig_put(table + 4ull * i, pfn + i, 4);
		if (pfn + i < PAGES) {
			named[pfn + i]++;
		}
	}
	rig_desc(rig_queues[0].desc, 0, table, 4 * n, 0);
	rig_offer(&rig_queues[0], 0);
	rig_notify(&balloon.transport, 0);
}

static void report(struct input *in)
{
	uint64_t addr = take(in, 4);
	uint32_t len = (uint32_t)take(in, 3) + 1;

	expect_idle(REPORTING);
	if (take(in, 1) % 8 == 0) {
		addr = UINT64_MAX - addr;
	}
	for (uint64_t page = (addr + 4095) / 4096; page < PAGES && (page + 1) * 4096 <= addr + len;
	     page++) {
		named[page]++;
	}
	rig_desc(rig_queues[REPORTING].desc, 0, addr, len, RIG_WRITE);
	rig_offer(&rig_queues[REPORTING], 0);
	rig_notify(&balloon.transport, REPORTING);
}

static void step(struct input *in)
{
	unsigned index = (unsigned)take(in, 1);

	switch (index & 15) {
	case 0:
	case 1:
	case 2:
		inflate(in);
		break;
	case 3:
	case 4:
	case 5:
		report(in);
		break;
	case 6:
	case 7:
		anything = true;
		driver_write_descriptor(in, &rig_queues[(index >> 4) % VIRTIO_BALLOON_QUEUES]);
		break;
	case 8:
		anything = true;
		driver_offer(in, &rig_queues[(index >> 4) % VIRTIO_BALLOON_QUEUES]);
		break;
	case 9:
		rig_notify(&balloon.transport, (index >> 4) % VIRTIO_BALLOON_QUEUES);
		break;
	case 10:
		vwork_run(&work_queue);
		break;
	case 11:
		room = take(in, 3) * 4096;
		virtio_balloon_room(&balloon);
		break;
	case 12:
		virtio_balloon_ask_stats(&balloon);
		virtio_balloon_set_target(&balloon, take(in, 6));
		break;
	case 13:
		if ((index & 0x80) != 0) {
			anything |=
				fuzz_reload(in, &balloon.saved, sizeof(struct pci_device_saved));
			break;
		}
		rig_bar_write(&balloon.transport, VIRTIO_PCI_BAR_REGS,
			      VIRTIO_PCI_REGS_DEVICE + take(in, 1) % 20, 1u << take(in, 1) % 4,
			      take(in, 4));
		break;
	case 14:
		anything = true;
		rig_bar_write(&balloon.transport, VIRTIO_PCI_BAR_REGS, take(in, 1),
			      1u << take(in, 1) % 4, take(in, 4));
		break;
	default:
		start(take(in, 1) | BIT(VIRTIO_F_INDIRECT_DESC));
		break;
	}
}

/* Any queue, five at most in one run of deferred work. */
static void expect_bounded(void)
{
	assert(run_calls <= VIRTIO_BALLOON_QUEUES * (VIRTIO_BALLOON_RUN_PAGES + 2));
	assert(run_pages <= VIRTIO_BALLOON_RUN_PAGES + (VIRTIO_BALLOON_QUEUES - 2) *
							       (VIRTIO_BALLOON_RUN_PIECES + 1) *
							       512ull);
	run_calls = 0;
	run_pages = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct virtio_balloon_config cfg = {
		.wiring = rig_wiring(),
		.work = &work_queue,
		.time = &rig.time,
		.release = take_back,
	};
	struct virtio_balloon_info info;
	enum hv_status status;

	memset(rig_ram, 0, sizeof(rig_ram));
	rig_init(&rig, HZ);
	room = (uint64_t)PAGES * 4096;
	vwork_queue_init(&work_queue, ask, NULL);
	status = virtio_balloon_init(&balloon, &cfg);
	assert(status == HV_OK);
	start(BIT(VIRTIO_BALLOON_F_STATS_VQ) | BIT(VIRTIO_BALLOON_F_PAGE_REPORTING));
	while (in.n != 0) {
		step(&in);
		expect_bounded();
		virtio_balloon_info(&balloon, &info);
		assert(info.valid < BIT32(VIRTIO_BALLOON_STATS_MAX));
	}
	return 0;
}
