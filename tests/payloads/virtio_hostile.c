/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver gone mad, by the numbers of a seed: rings of random content in random places, changed
 * and moved while the device works on them, random registers, random interrupts. A round ends with
 * a reset; now and then a disk and a NIC must then work for a driver that does all right.
 *
 * What a device may write to by mistake of this driver is RAM behind the image alone.
 */
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_blk.h"
#include "tests/payloads/rt_net.h"
#include "tests/payloads/rt_pci.h"
#include "tests/payloads/rt_smp.h"
#include "tests/payloads/rt_wild.h"

#define DEVICES_MAX 24u
#define BARS 3u
#define STEPS 24u
#define CHECK_EVERY 8u
#define REPORT_EVERY 500u
#define HEADERS 32u
#define RING_ENTRIES 128u
#define RING_BYTES 0x2000u
#define DATA_BYTES 0x100000u
#define REGISTER_BYTES 0x140u

struct target {
	struct rt_virtio device;
	uint32_t bars[BARS];
	unsigned queues;
};

static struct target targets[DEVICES_MAX];
static unsigned target_count;
static struct rt_disk disk;
static struct rt_nic nic;
static uint64_t seeds[RT_CPUS_MAX + 1];
/* For the other processors: what to work on, until when. */
static const struct target *current;
static atomic_bool stop;

static uint64_t number(void)
{
	return rt_random(&seeds[rt_cpu()]);
}

/* A number below `n`. */
static uint32_t pick(uint32_t n)
{
	return rt_pick(&seeds[rt_cpu()], n);
}

static bool one_in(uint32_t n)
{
	return pick(n) == 0;
}

#define COMMON(d, field) ((d)->common + offsetof(struct virtio_pci_common, field))

/* --- places and lengths --- */

/* Rings of queue i, then headers of requests, then data. */
static uint64_t ring_place(unsigned queue)
{
	return rt_free_ram() + (uint64_t)queue * RING_BYTES;
}

static uint64_t headers_place(void)
{
	return ring_place(RT_QUEUES_MAX + 1);
}

static uint64_t data_place(void)
{
	return headers_place() + RING_BYTES;
}

static uint64_t wild_address(void)
{
	return rt_wild_address(&seeds[rt_cpu()]);
}

static uint64_t some_address(void)
{
	if (one_in(12)) {
		return wild_address();
	}
	return data_place() + pick(DATA_BYTES);
}

static uint32_t some_length(void)
{
	const uint32_t lengths[] = {0, 1, 16, 512, 0x7fffffff, 0xfffffff0, UINT32_MAX};

	return one_in(10) ? lengths[pick(ARRAY_SIZE(lengths))] : (1 + pick(16)) * 512;
}

/* --- rings --- */

/* Requests of disks, commands and headers of NICs: most of them such that a device goes on. */
static void fill_headers(void)
{
	const uint32_t types[] = {VIRTIO_BLK_T_IN,
				  VIRTIO_BLK_T_OUT,
				  VIRTIO_BLK_T_FLUSH,
				  VIRTIO_BLK_T_GET_ID,
				  VIRTIO_BLK_T_DISCARD,
				  VIRTIO_BLK_T_WRITE_ZEROES,
				  0x1000};

	for (uint64_t i = 0; i < HEADERS; i++) {
		uint64_t at = headers_place() + i * 16;

		mmio_write64(at, types[pick(ARRAY_SIZE(types))]);
		mmio_write64(at + 8, one_in(8) ? number() : pick(0x1000));
	}
}

static void random_descriptor(uint64_t table, unsigned index, unsigned size)
{
	uint64_t at = table + index * sizeof(struct virtq_desc);
	bool first = one_in(3);
	uint32_t flags = one_in(8) ? pick(8) : pick(4);
	uint32_t next = one_in(6) ? pick(0x10000) : (index + 1) % size;

	mmio_write64(at, first ? headers_place() + pick(HEADERS) * 16 : some_address());
	mmio_write32(at + 8, first ? 16 : some_length());
	mmio_write16(at + 12, (uint16_t)flags);
	mmio_write16(at + 14, (uint16_t)next);
}

/* A request as it should be, at descriptor `index`: what devices get far with. */
static void sane_chain(uint64_t table, unsigned index)
{
	uint64_t at = table + index * sizeof(struct virtq_desc);
	uint16_t write = one_in(2) ? VIRTQ_DESC_F_WRITE : 0;

	mmio_write64(at, headers_place() + pick(HEADERS) * 16);
	mmio_write64(at + 8, 16 | (uint64_t)VIRTQ_DESC_F_NEXT << 32 | (uint64_t)(index + 1) << 48);
	mmio_write64(at + 16, data_place() + pick(DATA_BYTES));
	mmio_write64(at + 24, (uint64_t)(1 + pick(64)) * 512 |
				      (uint64_t)(VIRTQ_DESC_F_NEXT | write) << 32 |
				      (uint64_t)(index + 2) << 48);
	mmio_write64(at + 32, data_place() + pick(DATA_BYTES));
	mmio_write64(at + 40, 1 | (uint64_t)VIRTQ_DESC_F_WRITE << 32);
}

static void fill_ring(uint64_t rings)
{
	uint64_t avail = rings + RING_ENTRIES * sizeof(struct virtq_desc);
	bool sane = one_in(2);

	for (unsigned i = 0; i < RING_ENTRIES; i++) {
		if (sane && i % 3 == 0 && i + 2 < RING_ENTRIES) {
			sane_chain(rings, i);
		} else if (!sane) {
			random_descriptor(rings, i, RING_ENTRIES);
		}
		mmio_write16(avail + 4 + i * 2,
			     (uint16_t)(one_in(40) ? pick(0x10000) : pick(40) * 3));
	}
	mmio_write32(avail, (1 + pick(16)) << 16 | pick(2));
}

/* --- the device's life --- */

static void write_register(const struct rt_virtio *d, unsigned offset, unsigned size, uint64_t v)
{
	uint64_t at = d->common + offset;

	switch (size) {
	case 1:
		mmio_write8(at, (uint8_t)v);
		break;
	case 2:
		mmio_write16(at, (uint16_t)v);
		break;
	case 4:
		mmio_write32(at, (uint32_t)v);
		break;
	default:
		mmio_write64(at, v);
		break;
	}
}

static uint64_t place_or_wild(uint64_t place)
{
	return one_in(24) ? wild_address() : place;
}

static void place_queue(const struct rt_virtio *d, unsigned queue)
{
	uint64_t rings = ring_place(queue);
	uint64_t avail = rings + RING_ENTRIES * sizeof(struct virtq_desc);

	mmio_write16(COMMON(d, queue_select), (uint16_t)queue);
	mmio_write16(COMMON(d, queue_size), (uint16_t)(one_in(16) ? pick(0x10000) : RING_ENTRIES));
	mmio_write64(COMMON(d, queue_desc), place_or_wild(rings));
	mmio_write64(COMMON(d, queue_driver), place_or_wild(avail));
	mmio_write64(COMMON(d, queue_device), place_or_wild(rings + RING_BYTES / 2));
	mmio_write16(COMMON(d, queue_msix_vector), (uint16_t)pick(8));
	mmio_write16(COMMON(d, queue_enable), 1);
}

static void start(struct target *t)
{
	const uint64_t features = number() | BIT(VIRTIO_F_RING_RESET);

	rt_virtio_start(&t->device, features);
	for (unsigned q = 0; q < t->queues; q++) {
		fill_ring(ring_place(q));
		place_queue(&t->device, q);
	}
	if (!one_in(16)) {
		rt_virtio_ready(&t->device);
	}
}

/* --- what a mad driver does --- */

static void notify(const struct target *t)
{
	out16(t->device.notify, (uint16_t)(one_in(16) ? pick(0x10000) : pick(t->queues)));
}

static void change_descriptor(const struct target *t)
{
	random_descriptor(ring_place(pick(t->queues)), pick(RING_ENTRIES), RING_ENTRIES);
}

/* More in the available ring: some, as much as it holds, or more than that. */
static void advance(const struct target *t)
{
	uint64_t index = ring_place(pick(t->queues)) + RING_ENTRIES * sizeof(struct virtq_desc) + 2;
	uint32_t more = one_in(12) ? pick(0x10000) : 1 + pick(8);

	mmio_write16(index, (uint16_t)(mmio_read16(index) + more));
}

static void write_anything(const struct target *t)
{
	unsigned size = 1u << pick(4);
	unsigned offset = pick(REGISTER_BYTES);

	/* DRIVER_OK again after a mere reset would have no rings to be wrong with. */
	if (offset != offsetof(struct virtio_pci_common, device_status)) {
		write_register(&t->device, offset & ~(size - 1), size, number());
	}
}

static void move_rings(const struct target *t)
{
	place_queue(&t->device, pick(t->queues));
}

static void reset_queue(const struct target *t)
{
	unsigned queue = pick(t->queues);

	mmio_write16(COMMON(&t->device, queue_select), (uint16_t)queue);
	mmio_write16(COMMON(&t->device, queue_reset), 1);
	place_queue(&t->device, queue);
}

static void toggle_master(const struct target *t)
{
	uint32_t command = pci_config(t->device.devfn, PCI_COMMAND) & 0xffff;

	pci_set_config(t->device.devfn, PCI_COMMAND, command ^ PCI_COMMAND_MASTER);
}

/* To a vector that nothing hangs on, to nobody, or to no APIC at all. */
static void random_message(const struct target *t)
{
	uint64_t entry = t->device.table + pick(8) * PCI_MSIX_ENTRY;
	bool to_apic = one_in(2);
	uint64_t address = to_apic ? APIC_BASE | pick(4) << 12 : some_address();
	uint32_t data = rt_some_vector(&seeds[rt_cpu()]);

	/* With another delivery mode it would be an INIT or NMI for this CPU. */
	mmio_write32(entry, (uint32_t)(one_in(4) ? wild_address() : address) & ~0xcu);
	mmio_write32(entry + 4, one_in(4) ? (uint32_t)number() : 0);
	mmio_write32(entry + 8, data);
	mmio_write32(entry + PCI_MSIX_ENTRY_CONTROL, one_in(4));
	pci_set_config(
		t->device.devfn, pci_capability(t->device.devfn, PCI_CAP_MSIX, 0),
		one_in(4) ? 0 : PCI_MSIX_DWORD(PCI_MSIX_ENABLE | (one_in(4) ? PCI_MSIX_MASK : 0)));
}

static void look(const struct target *t)
{
	(void)in8(t->device.isr);
	(void)in32(t->device.notify);
	(void)mmio_read64(t->device.common + (pick(REGISTER_BYTES) & ~7u));
	rt_take_interrupts();
}

static void (*const deeds[])(const struct target *t) = {
	notify,
	notify,
	notify,
	notify,
	advance,
	advance,
	advance,
	advance,
	change_descriptor,
	change_descriptor,
	look,
	write_anything,
	move_rings,
	reset_queue,
	toggle_master,
	random_message,
};

/* Of these the first are for all processors, as none of them disturbs a set-up. */
#define DEEDS_OF_OTHERS 11u

static void disturb(unsigned cpu)
{
	(void)cpu;
	while (!atomic_load(&stop)) {
		deeds[pick(DEEDS_OF_OTHERS)](current);
	}
}

/* --- the end of a round --- */

static void restore(struct target *t)
{
	unsigned msix = pci_capability(t->device.devfn, PCI_CAP_MSIX, 0);

	if (one_in(4)) {
		EXPECT(pci_function_level_reset(t->device.devfn), "no function-level reset");
	}
	for (unsigned i = 0; i < BARS; i++) {
		pci_set_config(t->device.devfn, PCI_BAR0 + i * 4, t->bars[i]);
	}
	pci_set_config(t->device.devfn, msix, 0);
	rt_virtio_map(&t->device);
	rt_virtio_reset(&t->device);
}

static void check_disk(void)
{
	uint64_t at = headers_place();
	uint64_t mark = number();

	rt_disk_start(&disk, RT_DISK_FEATURES | (one_in(2) ? BIT(VIRTIO_F_EVENT_IDX) : 0));
	mmio_write64(at, mark);
	mmio_write64(at + RT_SECTOR, 0);
	EXPECT(rt_disk_move(&disk, 0, VIRTIO_BLK_T_OUT, 0, at, RT_SECTOR) == VIRTIO_BLK_S_OK &&
		       rt_disk_move(&disk, 0, VIRTIO_BLK_T_IN, 0, at + RT_SECTOR, RT_SECTOR) ==
			       VIRTIO_BLK_S_OK,
	       "the disk does not work any more");
	EXPECT(mmio_read64(at + RT_SECTOR) == mark, "the disk holds 0x%lx, not 0x%lx",
	       mmio_read64(at + RT_SECTOR), mark);
	rt_virtio_reset(&disk.device);
}

/* It takes a frame; whether the switch passes on one more broadcast is another matter. */
static void check_nic(void)
{
	static const struct virtio_net_hdr none;
	uint8_t frame[60];

	rt_nic_start(&nic, 0);
	memset(frame, 0xff, sizeof(frame));
	memcpy(frame + NET_MAC_BYTES, nic.mac, NET_MAC_BYTES);
	rt_nic_send(&nic, &none, frame, sizeof(frame));
	rt_virtio_reset(&nic.device);
}

/* --- the case --- */

static void add_targets(unsigned type)
{
	for (unsigned i = 0; target_count < DEVICES_MAX; i++) {
		struct target *t = &targets[target_count];

		if (!rt_virtio_find(&t->device, type, i)) {
			return;
		}
		for (unsigned bar = 0; bar < BARS; bar++) {
			t->bars[bar] = pci_config(t->device.devfn, PCI_BAR0 + bar * 4);
		}
		t->queues = mmio_read16(COMMON(&t->device, num_queues));
		EXPECT(t->queues >= 1 && t->queues <= RT_QUEUES_MAX, "%u queues", t->queues);
		target_count++;
	}
}

static void round_of(struct target *t, unsigned cpus)
{
	unsigned steps = 1 + pick(STEPS);

	fill_headers();
	start(t);
	current = t;
	atomic_store(&stop, false);
	for (unsigned i = 1; i < cpus; i++) {
		rt_give(i, disturb);
	}
	for (unsigned i = 0; i < steps; i++) {
		deeds[pick(ARRAY_SIZE(deeds))](t);
	}
	rt_virtio_reset(&t->device);
	atomic_store(&stop, true);
	for (unsigned i = 1; i < cpus; i++) {
		rt_finish(i);
	}
	restore(t);
}

static void set_up(uint64_t seed, unsigned cpus)
{
	for (unsigned i = 0; i < ARRAY_SIZE(seeds); i++) {
		seeds[i] = seed + i;
	}
	rt_ignore_vectors();
	if (cpus > 1) {
		rt_start_others();
	}
	for (unsigned type = VIRTIO_TYPE_NET; type <= VIRTIO_TYPE_BALLOON; type++) {
		add_targets(type);
	}
	EXPECT(rt_virtio_find(&disk.device, VIRTIO_TYPE_BLOCK, 0), "there is no disk");
	EXPECT(rt_virtio_find(&nic.device, VIRTIO_TYPE_NET, 0), "there is no NIC");
	rt_print("%u devices, seed %lu\n", target_count, seed);
}

void case_virtio_hostile(void)
{
	uint64_t rounds = rt_option("rounds", 200);
	unsigned cpus = (unsigned)rt_option("cpus", 1);

	set_up(rt_option("seed", 1), cpus);
	for (uint64_t i = 1; i <= rounds; i++) {
		round_of(&targets[pick(target_count)], cpus);
		if (i % CHECK_EVERY == 0) {
			check_disk();
			check_nic();
		}
		if (i % REPORT_EVERY == 0) {
			rt_print("round %lu\n", i);
		}
	}
}
