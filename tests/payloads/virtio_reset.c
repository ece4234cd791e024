/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resets of each kind while requests are in flight, on a disk that answers late (it has a limit of
 * bandwidth): nothing of them may show afterwards, and the next driver finds a working device.
 */
#include "guests/devices/pci_config.h"
#include "hv/base/bits.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_blk.h"
#include "tests/payloads/rt_pci.h"

#define REQUESTS 16u
#define BYTES 0x4000u
#define PATTERN 0x5a5aa5a55a5aa5a5ull
#define WATCH_TICKS (PM_TIMER_HZ / 50)
#define STORM 200u
#define BARS 3u

static struct rt_disk disk;
static uint32_t bars[BARS];

static void set_command(uint32_t command)
{
	pci_set_config(disk.device.devfn, PCI_COMMAND, command);
}

/* --- kinds of resets --- */

static void by_status(void)
{
	rt_virtio_reset(&disk.device);
}

static void by_many(void)
{
	for (unsigned i = 0; i < STORM; i++) {
		rt_virtio_reset(&disk.device);
	}
}

static void by_function(void)
{
	EXPECT(pci_function_level_reset(disk.device.devfn), "no function-level reset");
	for (unsigned i = 0; i < BARS; i++) {
		pci_set_config(disk.device.devfn, PCI_BAR0 + i * 4, bars[i]);
	}
	rt_virtio_map(&disk.device);
	EXPECT(rt_virtio_status(&disk.device) == 0, "status 0x%x after a function's reset",
	       rt_virtio_status(&disk.device));
}

/* Each queue by itself; the device stays. */
static void by_queue(void)
{
	uint64_t common = disk.device.common;

	for (unsigned i = 0; i < disk.queue_count; i++) {
		mmio_write16(common + offsetof(struct virtio_pci_common, queue_select),
			     (uint16_t)i);
		mmio_write16(common + offsetof(struct virtio_pci_common, queue_reset), 1);
		EXPECT(mmio_read16(common + offsetof(struct virtio_pci_common, queue_enable)) == 0,
		       "queue %u is enabled after its reset", i);
	}
}

/* No reset, but no bus master any more: nothing may reach memory. */
static void by_command(void)
{
	set_command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

static void by_power(void)
{
	unsigned at = pci_capability(disk.device.devfn, PCI_CAP_POWER, 0);

	pci_set_config(disk.device.devfn, at + PCI_POWER_CONTROL, PCI_POWER_D3HOT);
}

static void power_on(void)
{
	unsigned at = pci_capability(disk.device.devfn, PCI_CAP_POWER, 0);

	pci_set_config(disk.device.devfn, at + PCI_POWER_CONTROL, 0);
}

/* --- what is in flight --- */

static void fill_buffers(void)
{
	for (uint64_t i = 0; i < REQUESTS * BYTES; i += 8) {
		mmio_write64(rt_free_ram() + i, PATTERN);
	}
}

static void submit(void)
{
	for (unsigned slot = 0; slot < REQUESTS; slot++) {
		const struct rt_buffer data = {rt_free_ram() + slot * BYTES, BYTES, slot % 4 != 0};

		rt_disk_put(&disk, slot % disk.queue_count, slot,
			    data.write ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, slot * 64, data);
	}
	for (unsigned i = 0; i < disk.queue_count; i++) {
		rt_queue_tell(&disk.queues[i]);
	}
}

/* For a while, neither buffers nor used rings change. */
static void watch(const char *kind)
{
	uint32_t from = pm_timer();
	uint16_t used[RT_DISK_QUEUES];

	for (unsigned i = 0; i < disk.queue_count; i++) {
		used[i] = mmio_read16(rt_address(&disk.rings[i].used.index));
	}
	fill_buffers();
	while (pm_elapsed(from, pm_timer()) < WATCH_TICKS) {
	}
	for (uint64_t i = 0; i < REQUESTS * BYTES; i += 8) {
		EXPECT(mmio_read64(rt_free_ram() + i) == PATTERN,
		       "by %s: a request wrote after the reset, at byte %lu", kind, i);
	}
	for (unsigned i = 0; i < disk.queue_count; i++) {
		EXPECT(mmio_read16(rt_address(&disk.rings[i].used.index)) == used[i],
		       "by %s: queue %u went on after the reset", kind, i);
	}
}

/* --- the case --- */

struct kind {
	const char *name;
	void (*reset)(void);
	void (*restore)(void);
};

static const struct kind kinds[] = {
	{"status", by_status, NULL}, {"many", by_many, NULL},	    {"function", by_function, NULL},
	{"queue", by_queue, NULL},   {"command", by_command, NULL}, {"power", by_power, power_on},
};

static void round_of(const struct kind *k, uint64_t features)
{
	rt_disk_start(&disk, features);
	submit();
	k->reset();
	watch(k->name);
	if (k->restore != NULL) {
		k->restore();
	}
	set_command(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	rt_disk_start(&disk, features);
	EXPECT(rt_disk_move(&disk, 0, VIRTIO_BLK_T_IN, 0, rt_free_ram(), BYTES) == VIRTIO_BLK_S_OK,
	       "by %s: the next driver's read failed", k->name);
}

void case_virtio_reset(void)
{
	uint64_t rounds = rt_option("rounds", 24);
	const uint64_t features = RT_DISK_FEATURES | BIT(VIRTIO_F_RING_RESET);

	rt_disk_open(&disk, 0, features);
	for (unsigned i = 0; i < BARS; i++) {
		bars[i] = pci_config(disk.device.devfn, PCI_BAR0 + i * 4);
	}
	for (uint64_t i = 0; i < rounds; i++) {
		bool events = i / ARRAY_SIZE(kinds) % 2 != 0;

		round_of(&kinds[i % ARRAY_SIZE(kinds)],
			 features | (events ? BIT(VIRTIO_F_EVENT_IDX) : 0));
	}
}
