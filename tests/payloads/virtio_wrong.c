/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mistake of a driver after another, each of which the device must answer with NEEDS_RESET and
 * with nothing else; after the reset it works.
 */
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_blk.h"

#define HOLE 0xd0000000ull
#define HEADER 16u
#define BYTES 4096u
#define VECTOR 0x70u
#define FEATURES (RT_DISK_FEATURES | BIT(VIRTIO_F_INDIRECT_DESC))

static struct rt_disk disk;

static struct virtq_desc *desc(unsigned i)
{
	return &disk.rings[0].desc[i];
}

/* Shows the device `count` chains with the same head. */
static void show(uint16_t head, uint16_t count)
{
	struct rt_queue *q = &disk.queues[0];

	for (unsigned i = 0; i < q->size; i++) {
		q->rings->avail.ring[i] = head;
	}
	q->avail = (uint16_t)(q->avail + count);
	mmio_write16(rt_address(&q->rings->avail.index), q->avail);
}

/* A read of the first sectors in descriptors 0 to 2. */
static void good_request(void)
{
	struct rt_disk_slot *s = &disk.slots[0][0];

	s->header.type = VIRTIO_BLK_T_IN;
	s->header.sector = 0;
	*desc(0) = (struct virtq_desc){rt_address(&s->header), HEADER, VIRTQ_DESC_F_NEXT, 1};
	*desc(1) = (struct virtq_desc){rt_free_ram(), BYTES, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE,
				       2};
	*desc(2) = (struct virtq_desc){rt_address(&s->status), 1, VIRTQ_DESC_F_WRITE, 0};
}

/* --- mistakes in descriptors --- */

static void header_in_hole(void)
{
	desc(0)->addr = HOLE;
}

static void header_in_apic(void)
{
	desc(0)->addr = LAYOUT_LAPIC_BASE;
}

static void data_in_hole(void)
{
	desc(1)->addr = HOLE;
}

static void data_over_the_end(void)
{
	desc(1)->addr = rt_low_ram_end() - BYTES / 2;
}

static void data_at_top(void)
{
	desc(1)->addr = ~0ull - BYTES;
}

static void data_wraps(void)
{
	desc(1)->addr = ~0ull - BYTES + 2;
}

static void status_in_hole(void)
{
	desc(2)->addr = HOLE;
}

static void no_length(void)
{
	desc(1)->len = 0;
}

static void four_gib(void)
{
	desc(1)->len = UINT32_MAX;
}

static void loop(void)
{
	desc(1)->next = 1;
}

static void long_loop(void)
{
	desc(2)->flags |= VIRTQ_DESC_F_NEXT;
	desc(2)->next = 1;
}

static void next_too_high(void)
{
	desc(0)->next = disk.queues[0].size;
}

static void read_behind_write(void)
{
	desc(0)->flags |= VIRTQ_DESC_F_WRITE;
	desc(1)->flags = VIRTQ_DESC_F_NEXT;
}

static void nothing_to_write(void)
{
	desc(1)->flags = 0;
}

static void short_header(void)
{
	desc(0)->len = HEADER - 1;
}

/* --- mistakes with indirect tables --- */

static void table_at(uint64_t addr, uint32_t bytes, unsigned more)
{
	memcpy(disk.slots[0][1].table, disk.rings[0].desc, 3 * sizeof(struct virtq_desc));
	*desc(0) = (struct virtq_desc){addr, bytes, (uint16_t)(VIRTQ_DESC_F_INDIRECT | more), 1};
}

static uint64_t table(void)
{
	return rt_address(disk.slots[0][1].table);
}

static void table_in_hole(void)
{
	table_at(HOLE, 48, 0);
}

static void table_of_odd_size(void)
{
	table_at(table(), 47, 0);
}

static void table_of_nothing(void)
{
	table_at(table(), 0, 0);
}

static void table_and_more(void)
{
	table_at(table(), 48, VIRTQ_DESC_F_NEXT);
}

static void table_too_short(void)
{
	table_at(table(), 32, 0);
}

static void table_in_table(void)
{
	table_at(table(), 48, 0);
	disk.slots[0][1].table[1].flags |= VIRTQ_DESC_F_INDIRECT;
}

static void table_of_four_gib(void)
{
	table_at(table(), 0xfffffff0, 0);
	disk.slots[0][1].table[2].next = 0x4000;
	disk.slots[0][1].table[2].flags |= VIRTQ_DESC_F_NEXT;
}

static const struct {
	const char *name;
	void (*make)(void);
} in_chain[] = {
	{"header in a hole", header_in_hole},
	{"header in the APIC", header_in_apic},
	{"data in a hole", data_in_hole},
	{"data over the end of RAM", data_over_the_end},
	{"data at the top", data_at_top},
	{"data that wraps", data_wraps},
	{"status in a hole", status_in_hole},
	{"length 0", no_length},
	{"length of 4 GiB", four_gib},
	{"loop", loop},
	{"long loop", long_loop},
	{"next too high", next_too_high},
	{"readable behind writable", read_behind_write},
	{"nothing to write", nothing_to_write},
	{"short header", short_header},
	{"table in a hole", table_in_hole},
	{"table of an odd size", table_of_odd_size},
	{"table of nothing", table_of_nothing},
	{"table and more", table_and_more},
	{"table too short", table_too_short},
	{"table in a table", table_in_table},
	{"table of 4 GiB", table_of_four_gib},
};

/* --- mistakes with rings --- */

#define COMMON(field) (disk.device.common + offsetof(struct virtio_pci_common, field))

/* Queue 0 set up with one register as `reg` and `value` say, of `size` bytes. */
static void start_with(unsigned reg, unsigned size, uint64_t value)
{
	static struct rt_rings *const r = &disk.rings[0];

	rt_virtio_start(&disk.device, FEATURES);
	memset(r, 0, sizeof(*r));
	mmio_write16(COMMON(queue_select), 0);
	mmio_write64(COMMON(queue_desc), rt_address(r->desc));
	mmio_write64(COMMON(queue_driver), rt_address(&r->avail));
	mmio_write64(COMMON(queue_device), rt_address(&r->used));
	if (size == 2) {
		mmio_write16(disk.device.common + reg, (uint16_t)value);
	} else {
		mmio_write64(disk.device.common + reg, value);
	}
	mmio_write16(COMMON(queue_enable), 1);
	rt_virtio_ready(&disk.device);
	good_request();
	show(0, 1);
	rt_queue_notify(&disk.queues[0]);
}

static const struct {
	const char *name;
	unsigned reg, size;
	uint64_t value;
} in_setup[] = {
	{"descriptors in a hole", offsetof(struct virtio_pci_common, queue_desc), 8, HOLE},
	{"descriptors at an odd place", offsetof(struct virtio_pci_common, queue_desc), 8,
	 0x200008},
	{"descriptors at the top", offsetof(struct virtio_pci_common, queue_desc), 8, ~15ull},
	{"available ring in a hole", offsetof(struct virtio_pci_common, queue_driver), 8, HOLE},
	{"available ring at an odd place", offsetof(struct virtio_pci_common, queue_driver), 8,
	 0x200001},
	{"available ring in ECAM", offsetof(struct virtio_pci_common, queue_driver), 8,
	 LAYOUT_ECAM_BASE},
	{"used ring in a hole", offsetof(struct virtio_pci_common, queue_device), 8, HOLE},
	{"used ring in the APIC", offsetof(struct virtio_pci_common, queue_device), 8,
	 LAYOUT_LAPIC_BASE},
	{"used ring at an odd place", offsetof(struct virtio_pci_common, queue_device), 8,
	 0x200002},
	{"queue of 0", offsetof(struct virtio_pci_common, queue_size), 2, 0},
	{"queue of 3", offsetof(struct virtio_pci_common, queue_size), 2, 3},
	{"queue of 32768", offsetof(struct virtio_pci_common, queue_size), 2, 0x8000},
};

/* --- the case --- */

static void expect_broken(const char *what)
{
	uint8_t status = rt_virtio_status(&disk.device);

	EXPECT((status & VIRTIO_STATUS_NEEDS_RESET) != 0, "%s: status 0x%x", what, status);
}

static void expect_works(const char *what)
{
	rt_disk_start(&disk, FEATURES);
	EXPECT(rt_disk_move(&disk, 0, VIRTIO_BLK_T_IN, 0, rt_free_ram(), BYTES) == VIRTIO_BLK_S_OK,
	       "after %s: a read failed", what);
}

static void check_index(const char *what, uint16_t index)
{
	expect_works(what);
	good_request();
	show(0, index);
	rt_queue_notify(&disk.queues[0]);
	expect_broken(what);
	expect_works(what);
}

/* The driver is told by an interrupt of the configuration. */
static void check_interrupt(void)
{
	uint64_t before = rt_virtio_interrupts(VECTOR);

	rt_disk_start(&disk, FEATURES);
	rt_virtio_count_interrupts(&disk.device, VIRTIO_NO_VECTOR, VECTOR);
	show(disk.queues[0].size, 1);
	rt_queue_notify(&disk.queues[0]);
	interrupts_on();
	(void)pm_timer();
	interrupts_off();
	expect_broken("a head that is too high");
	EXPECT(rt_virtio_interrupts(VECTOR) == before + 1, "%lu interrupts",
	       rt_virtio_interrupts(VECTOR) - before);
}

void case_virtio_wrong(void)
{
	rt_disk_open(&disk, 0, FEATURES);
	for (unsigned i = 0; i < ARRAY_SIZE(in_chain); i++) {
		rt_disk_start(&disk, FEATURES);
		good_request();
		in_chain[i].make();
		show(0, 1);
		rt_queue_notify(&disk.queues[0]);
		expect_broken(in_chain[i].name);
		expect_works(in_chain[i].name);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(in_setup); i++) {
		start_with(in_setup[i].reg, in_setup[i].size, in_setup[i].value);
		expect_broken(in_setup[i].name);
		expect_works(in_setup[i].name);
	}
	check_index("an index too far ahead", (uint16_t)(disk.queues[0].size + 1));
	check_index("an index that goes back", 0xffff);
	check_interrupt();
	expect_works("an interrupt");
	rt_virtio_reset(&disk.device);
}
