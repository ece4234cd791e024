/* SPDX-License-Identifier: Apache-2.0 */
/* Disks by virtio, as a driver that does all right finds them, with each choice of features. */
#include "guests/devices/virtio_blk.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_blk.h"
#include "tests/payloads/rt_pci.h"

#define LARGE (2u << 20) /* more than a queue of the device has buffers for */
#define BATCH 16u
#define VECTOR 0x70u
#define FIRST_SECTOR 64u
#define BLOCK 4096u
#define SECTORS_PER_BLOCK (BLOCK / RT_SECTOR)

static struct rt_disk disk;

/* --- contents --- */

static void fill(uint64_t at, uint32_t bytes, uint64_t seed)
{
	for (uint64_t end = at + bytes; at < end; at += 8) {
		mmio_write64(at, rt_random(&seed));
	}
}

static void expect_filled(uint64_t at, uint32_t bytes, uint64_t seed, const char *what)
{
	for (uint32_t i = 0; i < bytes; i += 8) {
		EXPECT(mmio_read64(at + i) == rt_random(&seed), "%s: byte %u is wrong", what, i);
	}
}

static void expect_zeros(uint64_t at, uint32_t bytes, const char *what)
{
	for (uint32_t i = 0; i < bytes; i += 8) {
		EXPECT(mmio_read64(at + i) == 0, "%s: byte %u is 0x%lx", what, i,
		       mmio_read64(at + i));
	}
}

static void expect_status(uint8_t status, uint8_t expected, const char *what)
{
	EXPECT(status == expected, "%s: status %u, not %u", what, status, expected);
}

/* --- requests that succeed --- */

static void move(unsigned queue, uint32_t type, uint64_t sector, uint64_t at, uint32_t bytes)
{
	expect_status(rt_disk_move(&disk, queue, type, sector, at, bytes), VIRTIO_BLK_S_OK,
		      type == VIRTIO_BLK_T_IN ? "read" : "write");
}

static void write_and_read(unsigned queue, uint64_t sector, uint32_t bytes)
{
	uint64_t from = rt_free_ram();
	uint64_t to = from + LARGE;

	fill(from, bytes, sector + bytes);
	move(queue, VIRTIO_BLK_T_OUT, sector, from, bytes);
	move(queue, VIRTIO_BLK_T_IN, sector, to, bytes);
	expect_filled(to, bytes, sector + bytes, "what was written");
}

/* Two requests of several pieces each, over the end of a granule of an overlay and all of it. */
static void check_transfers(void)
{
	for (unsigned q = 0; q < disk.queue_count; q++) {
		write_and_read(q, FIRST_SECTOR + q * 3, RT_SECTOR);
		write_and_read(q, FIRST_SECTOR + q * 5 + 1, 5 * BLOCK + RT_SECTOR);
		expect_status(rt_disk_bare(&disk, q, VIRTIO_BLK_T_FLUSH, NULL), VIRTIO_BLK_S_OK,
			      "flush");
	}
	if (rt_virtio_has(&disk.device, VIRTIO_F_INDIRECT_DESC)) {
		write_and_read(0, FIRST_SECTOR, LARGE);
	}
	/* The last sector. */
	write_and_read(0, disk.sectors - 1, RT_SECTOR);
}

static uint8_t change_range(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
	const struct rt_disk_range range = {sector, count, flags};

	return rt_disk_bare(&disk, 0, type, &range);
}

static void check_ranges(void)
{
	uint64_t at = rt_free_ram();
	uint32_t too_many = VIRTIO_BLK_RANGE_MAX + 1;

	fill(at, 4 * BLOCK, 1);
	move(0, VIRTIO_BLK_T_OUT, FIRST_SECTOR, at, 4 * BLOCK);
	expect_status(change_range(VIRTIO_BLK_T_WRITE_ZEROES, FIRST_SECTOR + SECTORS_PER_BLOCK,
				   2 * SECTORS_PER_BLOCK, 0),
		      VIRTIO_BLK_S_OK, "write-zeroes");
	expect_status(change_range(VIRTIO_BLK_T_DISCARD, FIRST_SECTOR + 3 * SECTORS_PER_BLOCK,
				   SECTORS_PER_BLOCK, 0),
		      VIRTIO_BLK_S_OK, "discard");
	move(0, VIRTIO_BLK_T_IN, FIRST_SECTOR, at, 4 * BLOCK);
	expect_filled(at, BLOCK, 1, "in front of zeros");
	/* The image behind the overlay holds zeros, and shows where a block was discarded. */
	expect_zeros(at + BLOCK, 3 * BLOCK, "zeros");
	expect_status(change_range(VIRTIO_BLK_T_DISCARD, 0, too_many, 0), VIRTIO_BLK_S_IOERR,
		      "discard of too much");
	expect_status(change_range(VIRTIO_BLK_T_DISCARD, disk.sectors, 1, 0), VIRTIO_BLK_S_IOERR,
		      "discard behind the end");
	expect_status(change_range(VIRTIO_BLK_T_DISCARD, 0, 8, 2), VIRTIO_BLK_S_UNSUPP,
		      "discard with flags");
	expect_status(change_range(VIRTIO_BLK_T_WRITE_ZEROES, ~0ull, 1, 0), VIRTIO_BLK_S_IOERR,
		      "write-zeroes behind the end");
}

/* --- requests that cannot be --- */

static void refuse(uint32_t type, uint64_t sector, uint32_t bytes, const char *what)
{
	expect_status(rt_disk_move(&disk, 0, type, sector, rt_free_ram(), bytes),
		      VIRTIO_BLK_S_IOERR, what);
}

static void check_errors(void)
{
	refuse(VIRTIO_BLK_T_IN, disk.sectors, RT_SECTOR, "read behind the end");
	refuse(VIRTIO_BLK_T_IN, disk.sectors - 1, 2 * RT_SECTOR, "read over the end");
	refuse(VIRTIO_BLK_T_OUT, disk.sectors - 1, 2 * RT_SECTOR, "write over the end");
	refuse(VIRTIO_BLK_T_IN, ~0ull, RT_SECTOR, "read at the last number");
	refuse(VIRTIO_BLK_T_OUT, 0, RT_SECTOR + 8, "write of a part of a sector");
	refuse(VIRTIO_BLK_T_IN, 0, RT_SECTOR - 1, "read of a part of a sector");
	expect_status(rt_disk_bare(&disk, 0, 99, NULL), VIRTIO_BLK_S_UNSUPP, "unknown request");
}

static void check_readonly(void)
{
	uint64_t at = rt_free_ram();

	fill(at, BLOCK, 7);
	refuse(VIRTIO_BLK_T_OUT, 0, BLOCK, "write to a read-only disk");
	expect_status(change_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP,
		      "write-zeroes of a read-only disk");
	move(0, VIRTIO_BLK_T_IN, 0, at, BLOCK);
	expect_zeros(at, BLOCK, "a read-only disk");
}

static void check_id(unsigned nth)
{
	char name[VIRTIO_BLK_ID_BYTES + 1] = {0};
	char expected[VIRTIO_BLK_ID_BYTES + 1];

	fmt_snprintf(expected, sizeof(expected), "disk%u", nth);
	expect_status(rt_disk_move(&disk, 0, VIRTIO_BLK_T_GET_ID, 0, rt_address(name),
				   VIRTIO_BLK_ID_BYTES),
		      VIRTIO_BLK_S_OK, "ID");
	EXPECT(str_eq(name, expected), "ID '%s', not '%s'", name, expected);
}

/* --- notifications --- */

/* Asks for an interrupt when the last of so many more requests is done; 0: for none. */
static void ask_for_interrupt(struct rt_queue *q, unsigned requests)
{
	if (q->event_idx) {
		q->rings->avail.ring[q->size] = (uint16_t)(q->used + requests - 1);
	} else {
		mmio_write16(rt_address(&q->rings->avail.flags), requests == 0);
	}
}

/* Many requests in one go. */
static void run_batch(void)
{
	struct rt_queue *q = &disk.queues[0];

	for (unsigned slot = 0; slot < BATCH; slot++) {
		rt_disk_put(&disk, 0, slot, VIRTIO_BLK_T_IN, slot * 8,
			    (struct rt_buffer){rt_free_ram() + slot * BLOCK, BLOCK, true});
	}
	rt_queue_tell(q);
	for (unsigned i = 0; i < BATCH; i++) {
		expect_status(rt_disk_wait(&disk, 0), VIRTIO_BLK_S_OK, "one of many");
	}
	interrupts_on();
	(void)pm_timer();
	interrupts_off();
}

/* The driver notifies once for all, and the device interrupts once, or not at all. */
static void check_batch(unsigned wanted)
{
	struct rt_queue *q = &disk.queues[0];
	uint64_t notifications = q->notifications;
	uint64_t before = rt_virtio_interrupts(VECTOR);

	ask_for_interrupt(q, wanted == 0 ? 0 : BATCH);
	run_batch();
	EXPECT(q->notifications == notifications + 1, "%lu notifications for %u requests",
	       q->notifications - notifications, BATCH);
	EXPECT(rt_virtio_interrupts(VECTOR) == before + wanted,
	       "%lu interrupts for %u requests, not %u", rt_virtio_interrupts(VECTOR) - before,
	       BATCH, wanted);
}

/* Without MSI-X: what was done shows in the ISR, once. */
static void check_isr(void)
{
	EXPECT(in8(disk.device.isr) == VIRTIO_ISR_QUEUE, "no interrupt in the ISR");
	EXPECT(in8(disk.device.isr) == 0, "reading the ISR does not clear it");
}

/* --- the case --- */

static void check_disk(unsigned nth, uint64_t features)
{
	rt_disk_open(&disk, nth, features);
	rt_print("disk %u: %lu sectors, %u queues, features 0x%lx\n", nth, disk.sectors,
		 disk.queue_count, disk.device.features);
	check_id(nth);
	if (rt_virtio_has(&disk.device, VIRTIO_BLK_F_RO)) {
		check_readonly();
	} else {
		check_transfers();
		check_ranges();
		check_errors();
	}
	check_isr();
	rt_virtio_count_interrupts(&disk.device, 0, VECTOR);
	check_batch(1);
	check_batch(0);
	check_batch(1);
	rt_virtio_reset(&disk.device);
	pci_set_config(disk.device.devfn, pci_capability(disk.device.devfn, PCI_CAP_MSIX, 0), 0);
}

/* Disk 0 can be written, disk 1 is read-only; both are of zeros. */
void case_virtio_blk(void)
{
	const uint64_t choices[] = {0, BIT(VIRTIO_F_EVENT_IDX), BIT(VIRTIO_F_INDIRECT_DESC),
				    BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_INDIRECT_DESC)};

	for (unsigned i = 0; i < ARRAY_SIZE(choices); i++) {
		check_disk(0, RT_DISK_FEATURES | choices[i]);
		check_disk(1, RT_DISK_FEATURES | choices[i]);
	}
	EXPECT(rt_virtio_has(&disk.device, VIRTIO_BLK_F_RO), "disk 1 is not read-only");
}
