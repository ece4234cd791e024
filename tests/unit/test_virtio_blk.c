/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/virtio_blk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/blk_rig.h"
#include "tests/fakes/virtio_pci_rig.h"

#define SIZE VIRTIO_BLK_QUEUE_SIZE
#define QUEUES 2u
/* Per request of the driver: header, status, descriptor table; then data. */
#define META (RIG_RAM_BASE + 0x10000u)
#define META_BYTES 0x100u
#define DATA (RIG_RAM_BASE + 0x20000u)
#define DATA_BYTES (RIG_RAM_END - DATA)

static struct virtio_blk blk;
static struct virtio_blk_queue queues[QUEUES];
static _Alignas(4096) uint8_t buffers[QUEUES][BOUNCE_BYTES];
static struct vwork_queue work_queue;
static unsigned asked;
static unsigned asked_vcpu;

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	asked++;
	asked_vcpu = vcpu;
}

static enum hv_status init(unsigned queue_count)
{
	struct virtio_blk_config cfg = {
		.wiring = rig_wiring(),
		.work = &work_queue,
		.device = &rig_disk,
		.vcpu_count = 2,
		.queue_count = queue_count,
	};

	for (unsigned i = 0; i < queue_count; i++) {
		cfg.queues[i] = &queues[i];
		cfg.buffers[i] = buffers[i];
	}
	vwork_queue_init(&work_queue, ask, NULL);
	asked = 0;
	return virtio_blk_init(&blk, &cfg);
}

/* Up and running with all that is offered, but `without`. */
static void start_without(uint64_t without)
{
	rig_start(&blk.transport, blk.transport.offered & ~without, SIZE);
	rig_msix_on(&blk.transport);
}

static int setup(void **state)
{
	(void)state;
	rig_disk_init();
	memset(rig_ram, 0, sizeof(rig_ram));
	assert_int_equal(init(QUEUES), HV_OK);
	start_without(0);
	return 0;
}

/* ---- the driver ---- */

static uint64_t meta(unsigned id)
{
	return META + id * META_BYTES;
}

/* Makes request `id` (its first descriptor on the queue) available: header, data, status. */
static void put(unsigned queue, unsigned id, uint32_t type, uint64_t sector, uint64_t data,
		uint32_t bytes)
{
	uint64_t at = meta(id);
	uint64_t table = at + 0x40;
	uint32_t write = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID ? RIG_WRITE : 0;

	rig_put(at, type, 8);
	rig_put(at + 8, sector, 8);
	rig_put(at + 16, 0xee, 1);
	rig_desc(table, 0, at, 16, rig_link(0, bytes != 0 ? 1 : 2));
	rig_desc(table, 1, data, bytes, rig_link(write, 2));
	rig_desc(table, 2, at + 16, 1, RIG_WRITE);
	rig_desc(rig_queues[queue].desc, id, table, 48, RIG_INDIRECT);
	rig_offer(&rig_queues[queue], (uint16_t)id);
}

static uint8_t status_of(unsigned id)
{
	return (uint8_t)rig_get(meta(id) + 16, 1);
}

/* The next used element is `id`, with `len` bytes and this status. */
static void assert_used(unsigned queue, unsigned id, uint32_t len, uint8_t status)
{
	uint32_t got_id;
	uint32_t got_len;

	assert_true(rig_take(&rig_queues[queue], &got_id, &got_len));
	assert_int_equal(got_id, id);
	assert_int_equal(got_len, len);
	assert_int_equal(status_of(id), status);
}

static void assert_nothing_used(unsigned queue)
{
	assert_int_equal(rig_used_index(&rig_queues[queue]), rig_queues[queue].used_seen);
}

/* One request from notification to the end. */
static void once(uint32_t type, uint64_t sector, uint32_t bytes, uint32_t len, uint8_t status)
{
	put(0, 0, type, sector, DATA, bytes);
	rig_notify(&blk.transport, 0);
	assert_used(0, 0, len, status);
}

static void assert_all_free(void)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_int_equal(queues[i].free_requests, UINT32_MAX);
		assert_int_equal(queues[i].transfers.pieces.free, UINT64_MAX);
		assert_int_equal(queues[i].transfers.pieces.bounce.free[0], UINT64_MAX);
		assert_int_equal(queues[i].transfers.pieces.bounce.free[1], UINT64_MAX);
		assert_null(queues[i].current);
	}
	assert_true(virtio_blk_is_idle(&blk));
}

static void work_now(void)
{
	vwork_run(&work_queue);
}

/* ---- set-up ---- */

static void test_configuration(void **state)
{
	struct virtio_blk_space space;

	(void)state;
	assert_int_equal(blk.transport.offered & MASK(15, 0),
			 BIT(2) | BIT(6) | BIT(9) | BIT(10) | BIT(12) | BIT(13) | BIT(14));
	for (unsigned i = 0; i < sizeof(space); i += 8) {
		uint64_t v = rig_bar_read(&blk.transport, VIRTIO_PCI_BAR_REGS, 0x100 + i, 8);

		memcpy((uint8_t *)&space + i, &v, 8);
	}
	assert_int_equal(space.capacity, RIG_DISK_SECTORS);
	assert_int_equal(space.seg_max, 126);
	assert_int_equal(space.blk_size, 512);
	assert_int_equal(space.physical_block_exp, 3);
	assert_int_equal(space.min_io_size, 8);
	assert_int_equal(space.num_queues, QUEUES);
	assert_int_equal(space.max_discard_sectors, VIRTIO_BLK_RANGE_MAX);

	rig_disk.readonly = true;
	assert_int_equal(init(1), HV_OK);
	assert_int_equal(blk.transport.offered & MASK(15, 0),
			 BIT(2) | BIT(5) | BIT(6) | BIT(9) | BIT(10));
	rig_disk.block_size = 8192;
	assert_int_equal(init(1), HV_E_UNSUPPORTED);
	rig_disk.block_size = 4096;
	rig_disk.max_count = 7;
	assert_int_equal(init(1), HV_E_UNSUPPORTED);
	assert_int_equal(virtio_blk_queue_count(3), 3);
	assert_int_equal(virtio_blk_queue_count(64), 8);
}

/* ---- what is done at once ---- */

static void test_read(void **state)
{
	(void)state;
	once(VIRTIO_BLK_T_IN, 77, 4096, 4097, VIRTIO_BLK_S_OK);
	assert_memory_equal(rig_at(DATA), rig_disk_data + 77 * 512, 4096);
	assert_int_equal(rig_messages[0], 1);
	assert_int_equal(asked, 0);
	assert_all_free();
}

static void test_write(void **state)
{
	(void)state;
	memset(rig_at(DATA), 0xc3, 1024);
	once(VIRTIO_BLK_T_OUT, RIG_DISK_SECTORS - 2, 1024, 1, VIRTIO_BLK_S_OK);
	assert_memory_equal(rig_disk_data + RIG_DISK_BYTES - 1024, rig_at(DATA), 1024);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 0);
	assert_int_equal(rig_disk_data[RIG_DISK_BYTES - 1025], 0x5a);
}

/* A driver that does not know flushes gets them, after its data and before the status. */
static void test_write_through(void **state)
{
	(void)state;
	start_without(BIT(VIRTIO_BLK_F_FLUSH));
	once(VIRTIO_BLK_T_OUT, 0, 1024, 1, VIRTIO_BLK_S_OK);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	once(VIRTIO_BLK_T_IN, 0, 1024, 1025, VIRTIO_BLK_S_OK);
	once(VIRTIO_BLK_T_OUT, 0, 0, 1, VIRTIO_BLK_S_OK);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);

	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_OUT, 0, DATA, 512);
	rig_notify(&blk.transport, 0);
	rig_disk_finish(0, HV_OK);
	work_now();
	assert_nothing_used(0);
	assert_int_equal(rig_disk_open[0]->op, BLK_FLUSH);
	rig_disk_finish(0, HV_E_IO);
	work_now();
	assert_used(0, 0, 1, VIRTIO_BLK_S_IOERR);
	assert_all_free();
}

static void test_other_requests(void **state)
{
	const struct {
		uint64_t sector;
		uint32_t count;
		uint32_t flags;
		uint8_t discard;
		uint8_t zeroes;
	} ranges[] = {
		{8, 16, 0, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK},
		{8, 16, 1, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_OK},
		{8, 16, 2, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP},
		{8, 0, 0, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR},
		{8, VIRTIO_BLK_RANGE_MAX + 1, 0, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR},
		{RIG_DISK_SECTORS - 15, 16, 0, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR},
	};

	(void)state;
	once(VIRTIO_BLK_T_FLUSH, 5, 0, 1, VIRTIO_BLK_S_OK);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	once(VIRTIO_BLK_T_GET_ID, 0, 20, 21, VIRTIO_BLK_S_OK);
	assert_string_equal(rig_at(DATA), rig_disk.serial);
	once(VIRTIO_BLK_T_GET_ID, 0, 30, 20, VIRTIO_BLK_S_OK);
	once(VIRTIO_BLK_T_GET_ID, 0, 2, 3, VIRTIO_BLK_S_OK);
	once(3, 0, 512, 1, VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(lacks_told("virtio-blk", LACKS_COMMAND, 3), 1);
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		rig_put(DATA, ranges[i].sector, 8);
		rig_put(DATA + 8, ranges[i].count, 4);
		rig_put(DATA + 12, ranges[i].flags, 4);
		once(VIRTIO_BLK_T_DISCARD, 0, 16, 1, ranges[i].discard);
		once(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 1, ranges[i].zeroes);
	}
	assert_int_equal(rig_disk_seen[BLK_DISCARD], 1);
	assert_int_equal(rig_disk_seen[BLK_WRITE_ZEROES], 2);
	assert_int_equal(rig_disk_data[8 * 512], 0);
	assert_int_equal(rig_disk_data[24 * 512 - 1], 0);
	assert_int_equal(rig_disk_data[24 * 512], 24);
	/* Two ranges are more than was offered; not negotiated is not there. */
	once(VIRTIO_BLK_T_DISCARD, 0, 32, 1, VIRTIO_BLK_S_IOERR);
	start_without(BIT(VIRTIO_BLK_F_DISCARD));
	once(VIRTIO_BLK_T_DISCARD, 0, 16, 1, VIRTIO_BLK_S_UNSUPP);
	assert_all_free();
}

static void test_bad_requests(void **state)
{
	(void)state;
	once(VIRTIO_BLK_T_IN, 0, 513, 0, VIRTIO_BLK_S_IOERR);
	once(VIRTIO_BLK_T_OUT, 0, 511, 1, VIRTIO_BLK_S_IOERR);
	once(VIRTIO_BLK_T_IN, RIG_DISK_SECTORS, 512, 0, VIRTIO_BLK_S_IOERR);
	/* Nothing of it is written, even where its first pieces would fit. */
	once(VIRTIO_BLK_T_OUT, RIG_DISK_SECTORS - 600, DATA_BYTES, 1, VIRTIO_BLK_S_IOERR);
	once(VIRTIO_BLK_T_OUT, UINT64_MAX, 1024, 1, VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_disk_seen[BLK_READ] + rig_disk_seen[BLK_WRITE], 0);
	rig_disk.readonly = true;
	once(VIRTIO_BLK_T_OUT, 0, 512, 1, VIRTIO_BLK_S_IOERR);
	rig_disk.removed = true;
	once(VIRTIO_BLK_T_IN, 0, 512, 0, VIRTIO_BLK_S_IOERR);
	assert_all_free();
}

static void assert_needs_reset(void)
{
	assert_true((rig_common_read(&blk.transport, device_status) & VIRTIO_STATUS_NEEDS_RESET) !=
		    0);
	assert_int_equal(rig_messages[QUEUES], 1);
	assert_nothing_used(0);
	assert_all_free();
}

static void test_broken(void **state)
{
	/* What stands where: header, data, status. */
	const struct {
		uint64_t header, data, status;
		uint32_t header_bytes;
		uint32_t type;
	} cases[] = {
		{META, DATA, META + 16, 15, VIRTIO_BLK_T_IN},
		{0, DATA, META + 16, 16, VIRTIO_BLK_T_IN},
		{META, 0, META + 16, 16, VIRTIO_BLK_T_IN},
		{META, 0, META + 16, 16, VIRTIO_BLK_T_OUT},
		{META, 0, META + 16, 16, VIRTIO_BLK_T_GET_ID},
		{META, RIG_RAM_END - 256, META + 16, 16, VIRTIO_BLK_T_IN},
		{META, DATA, 0, 16, VIRTIO_BLK_T_IN},
		{META, DATA, 0, 16, VIRTIO_BLK_T_FLUSH},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t table = rig_queues[0].desc;

		(void)setup(state);
		put(0, 0, cases[i].type, 0, cases[i].data, 512);
		rig_desc(table, 0, cases[i].header, cases[i].header_bytes, rig_link(0, 1));
		rig_desc(table, 1, cases[i].data, 512,
			 rig_link(cases[i].type == VIRTIO_BLK_T_OUT ? 0 : RIG_WRITE, 2));
		rig_desc(table, 2, cases[i].status, 1, RIG_WRITE);
		rig_notify(&blk.transport, 0);
		assert_needs_reset();
	}
	/* Nothing writable: no place for a status. */
	(void)setup(state);
	rig_desc(rig_queues[0].desc, 0, META, 16, 0);
	rig_offer(&rig_queues[0], 0);
	rig_notify(&blk.transport, 0);
	assert_needs_reset();
}

/* ---- a disk that is memory ---- */

/* Nothing is submitted, and no buffer is used. */
static void test_copied(void **state)
{
	(void)state;
	rig_disk.copies = true;
	memset(buffers, 0xdd, sizeof(buffers));
	once(VIRTIO_BLK_T_IN, 77, 0x40000 + 512, 0x40000 + 513, VIRTIO_BLK_S_OK);
	assert_memory_equal(rig_at(DATA), rig_disk_data + 77 * 512, 0x40000 + 512);
	assert_int_equal(rig_disk_copied, 2);
	memset(rig_at(DATA), 0xc3, 1024);
	once(VIRTIO_BLK_T_OUT, RIG_DISK_SECTORS - 2, 1024, 1, VIRTIO_BLK_S_OK);
	assert_memory_equal(rig_disk_data + RIG_DISK_BYTES - 1024, rig_at(DATA), 1024);
	assert_int_equal(rig_disk_data[RIG_DISK_BYTES - 1025], 0x5a);
	assert_int_equal(rig_disk_copied, 3);
	assert_int_equal(rig_disk_seen[BLK_READ] + rig_disk_seen[BLK_WRITE], 0);
	for (size_t i = 0; i < sizeof(buffers); i++) {
		assert_int_equal(((const uint8_t *)buffers)[i], 0xdd);
	}
	rig_disk.removed = true;
	once(VIRTIO_BLK_T_IN, 0, 512, 0, VIRTIO_BLK_S_IOERR);
	assert_all_free();
}

/* The second half of the data is no RAM: what is before it was copied, what is behind it was not.
 */
static void test_copied_breaks(void **state)
{
	uint64_t table = rig_queues[0].desc;

	for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
		uint32_t write = type == VIRTIO_BLK_T_IN ? RIG_WRITE : 0;

		(void)setup(state);
		rig_disk.copies = true;
		memset(rig_at(DATA), 0x77, 4096);
		put(0, 0, type, 8, DATA, 512);
		rig_desc(table, 0, META, 16, rig_link(0, 1));
		rig_desc(table, 1, DATA, 4096, rig_link(write, 2));
		rig_desc(table, 2, RIG_RAM_END, 4096, rig_link(write, 3));
		rig_desc(table, 3, META + 16, 1, RIG_WRITE);
		rig_notify(&blk.transport, 0);
		assert_needs_reset();
		assert_int_equal(status_of(0), 0xee);
		assert_int_equal(rig_disk_copied, 1);
		assert_memory_equal(rig_disk_data + 8 * 512, rig_at(DATA), 4096);
		assert_int_equal(rig_disk_data[16 * 512], 16);
	}
}

/* What the disk cannot copy goes the other way; a request may be made of both. */
static void test_copied_in_part(void **state)
{
	(void)state;
	rig_disk.max_count = 1;
	assert_int_equal(init(QUEUES), HV_OK);
	start_without(0);
	rig_disk.copies = true;
	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_IN, 10, DATA, 4096);
	rig_notify(&blk.transport, 0);
	assert_int_equal(rig_disk_copied, 4);
	assert_int_equal(rig_disk_open_count, 4);
	assert_nothing_used(0);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
	}
	work_now();
	assert_used(0, 0, 4097, VIRTIO_BLK_S_OK);
	assert_memory_equal(rig_at(DATA), rig_disk_data + 10 * 512, 4096);
	assert_all_free();
}

/* A write that is copied while all pieces are open waits, as its flush needs one. */
static void test_copied_write_through(void **state)
{
	(void)state;
	rig_disk.max_count = 1;
	assert_int_equal(init(QUEUES), HV_OK);
	start_without(BIT(VIRTIO_BLK_F_FLUSH));
	rig_disk.copies = true;
	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_IN, 1, DATA, (2 * BLK_PIECES - 1) * 512);
	put(0, 1, VIRTIO_BLK_T_OUT, 0, DATA, 512);
	rig_notify(&blk.transport, 0);
	assert_int_equal(rig_disk_open_count, BLK_PIECES);
	assert_int_equal(rig_disk_copied, BLK_PIECES - 1);
	rig_disk_finish(0, HV_OK);
	work_now();
	assert_int_equal(rig_disk_copied, BLK_PIECES);
	assert_int_equal(rig_disk_seen[BLK_FLUSH], 1);
	assert_nothing_used(0);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(rig_disk_open_count - 1, HV_OK);
		work_now();
	}
	assert_used(0, 1, 1, VIRTIO_BLK_S_OK);
	assert_used(0, 0, (2 * BLK_PIECES - 1) * 512 + 1, VIRTIO_BLK_S_OK);
	assert_all_free();
}

/* ---- many at once ---- */

static void test_batch(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		put(0, i, VIRTIO_BLK_T_IN, i, DATA + i * 512, 512);
	}
	rig_notify(&blk.transport, 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_used(0, i, 513, VIRTIO_BLK_S_OK);
		assert_int_equal(rig_get(DATA + i * 512, 4), i);
	}
	assert_int_equal(rig_messages[0], 1);
	assert_int_equal(rig_avail_event(&rig_queues[0]), 20);
}

static void test_queues(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put(1, 3, VIRTIO_BLK_T_IN, 9, DATA, 512);
	rig_notify(&blk.transport, 1);
	rig_disk_finish(0, HV_OK);
	assert_int_equal(asked, 1);
	assert_int_equal(asked_vcpu, 1);
	work_now();
	assert_used(1, 3, 513, VIRTIO_BLK_S_OK);
	assert_int_equal(rig_messages[1], 1);
	assert_int_equal(rig_messages[0], 0);
}

static void test_later(void **state)
{
	(void)state;
	rig_disk_holds = true;
	for (unsigned i = 0; i < 4; i++) {
		put(0, i, VIRTIO_BLK_T_IN, 100 + i, DATA + i * 4096, 512);
	}
	rig_notify(&blk.transport, 0);
	assert_int_equal(rig_disk_open_count, 4);
	assert_false(virtio_blk_is_idle(&blk));
	rig_disk_finish(2, HV_OK);
	rig_disk_finish(0, HV_E_IO);
	rig_disk_finish(0, HV_OK);
	/* Nothing reaches the guest from there. */
	assert_nothing_used(0);
	assert_int_equal(rig_get(DATA + 2 * 4096, 4), 0);
	assert_int_equal(asked, 1);
	work_now();
	assert_int_equal(rig_messages[0], 1);
	assert_int_equal(rig_used_index(&rig_queues[0]), 3);
	assert_int_equal(rig_get(DATA + 2 * 4096, 4), 102);
	assert_int_equal(rig_get(DATA + 3 * 4096, 4), 0);
	assert_int_equal(status_of(0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(status_of(3), 0xee);
	rig_disk_finish(0, HV_OK);
	assert_true(virtio_blk_is_idle(&blk));
	work_now();
	assert_int_equal(status_of(3), VIRTIO_BLK_S_OK);
	assert_all_free();
}

/* More than buffers hold: cut, and all of it arrives whatever the order of completions. */
static void test_large(void **state)
{
	unsigned turn = 0;

	(void)state;
	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_IN, 40, DATA, DATA_BYTES);
	put(0, 1, VIRTIO_BLK_T_IN, 40, DATA, DATA_BYTES);
	put(0, 2, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	rig_notify(&blk.transport, 0);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(turn++ % 2 != 0 ? 0 : rig_disk_open_count - 1, HV_OK);
		work_now();
	}
	assert_int_equal(rig_disk_longest, BOUNCE_RUN_MAX * 8);
	assert_int_equal(rig_used_index(&rig_queues[0]), 3);
	assert_int_equal(status_of(0) | status_of(1) | status_of(2), VIRTIO_BLK_S_OK);
	assert_memory_equal(rig_at(DATA), rig_disk_data + 40 * 512, DATA_BYTES);
	assert_all_free();
}

/* A disk that takes little at once, and one piece that fails. */
static void test_small_pieces(void **state)
{
	(void)state;
	rig_disk.max_count = 3;
	rig_disk.block_size = 1024;
	assert_int_equal(init(QUEUES), HV_OK);
	start_without(0);
	rig_disk_holds = true;
	memset(rig_at(DATA), 0x11, 0x20000);
	put(0, 0, VIRTIO_BLK_T_OUT, 0, DATA, 0x20000);
	rig_notify(&blk.transport, 0);
	assert_int_equal(rig_disk_open_count, BLK_PIECES);
	rig_disk_finish(1, HV_E_IO);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(0, HV_OK);
		work_now();
	}
	assert_used(0, 0, 1, VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_disk_seen[BLK_WRITE], 128);
	assert_int_equal(rig_disk_longest, 2);
	assert_memory_equal(rig_disk_data + 2048, rig_at(DATA), 0x20000 - 2048);
	assert_int_equal(rig_disk_data[1024], 2);
	assert_all_free();
}

/* More requests than may be open: none is lost, and the driver is not asked to tell of more. */
static void test_many(void **state)
{
	unsigned done = 0;

	(void)state;
	rig_disk_holds = true;
	for (unsigned i = 0; i < 100; i++) {
		put(0, i, VIRTIO_BLK_T_IN, i, DATA + i * 512, 512);
	}
	rig_notify(&blk.transport, 0);
	assert_int_equal(rig_disk_open_count, VIRTIO_BLK_REQUESTS);
	assert_int_equal(rig_avail_event(&rig_queues[0]), 0);
	while (rig_disk_open_count != 0) {
		rig_disk_finish(done++ % rig_disk_open_count, HV_OK);
		work_now();
		assert_true(rig_disk_open_count <= VIRTIO_BLK_REQUESTS);
	}
	assert_int_equal(rig_used_index(&rig_queues[0]), 100);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(rig_get(DATA + i * 512, 4), i);
		assert_int_equal(status_of(i), VIRTIO_BLK_S_OK);
	}
	assert_int_equal(rig_avail_event(&rig_queues[0]), 100);
	assert_all_free();
}

/* A disk in RAM does not keep the vCPU: the rest comes when the guest has had a chance. */
static void test_enough_for_now(void **state)
{
	unsigned runs = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		put(0, i, VIRTIO_BLK_T_IN, 0, DATA, DATA_BYTES);
	}
	rig_notify(&blk.transport, 0);
	assert_in_range(rig_used_index(&rig_queues[0]), 2, 3);
	assert_int_equal(asked, 1);
	while (rig_used_index(&rig_queues[0]) < 10) {
		assert_true(runs++ < 5);
		work_now();
	}
	assert_all_free();
	asked = 0;
	work_now();
	assert_int_equal(asked, 0);
}

/* ---- resets ---- */

static void test_reset_while_open(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
	put(0, 1, VIRTIO_BLK_T_IN, 1, DATA, DATA_BYTES);
	put(0, 2, VIRTIO_BLK_T_IN, 1, DATA, DATA_BYTES);
	rig_notify(&blk.transport, 0);
	assert_non_null(queues[0].current);
	rig_disk_finish(0, HV_OK); /* waits for work already */
	start_without(0);
	memset(rig_at(DATA), 0, DATA_BYTES);
	rig_watch = true;
	memset(rig_given, 0, sizeof(rig_given));
	work_now();
	/* A new request beside the old ones. */
	rig_give_ring(rig_queues[0].used, SIZE);
	rig_give(meta(5) + 16, 1, true);
	put(0, 5, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	rig_notify(&blk.transport, 0);
	while (rig_disk_open_count > 1) {
		rig_disk_finish(0, HV_OK);
	}
	assert_int_equal(rig_disk_open[0]->op, BLK_FLUSH);
	rig_watch = false;
	rig_disk_finish(0, HV_OK);
	work_now();
	assert_used(0, 5, 1, VIRTIO_BLK_S_OK);
	assert_nothing_used(0);
	assert_int_equal(rig_get(DATA, 8), 0);
	assert_all_free();
}

/* What is back, and what was not sent yet, waits for it. */
static void test_bus_master_off(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
	put(0, 1, VIRTIO_BLK_T_OUT, 0, DATA, DATA_BYTES);
	put(0, 2, VIRTIO_BLK_T_OUT, 0, DATA, DATA_BYTES);
	rig_notify(&blk.transport, 0);
	assert_non_null(queues[0].current);
	rig_set_master(false);
	assert_false(blk.saved.ops->quiet(blk.saved.dev));
	rig_put(DATA, 0x77, 8);
	rig_disk_finish(0, HV_OK);
	work_now();
	assert_nothing_used(0);
	assert_int_equal(rig_get(DATA, 8), 0x77);
	rig_disk_holds = false;
	while (rig_disk_open_count > 0) {
		rig_disk_finish(0, HV_OK);
	}
	work_now();
	assert_nothing_used(0);
	rig_set_master(true);
	work_now();
	assert_int_equal(rig_used_index(&rig_queues[0]), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(status_of(i), VIRTIO_BLK_S_OK);
	}
	assert_int_equal(rig_get(DATA, 4), 1);
	assert_all_free();
}

/* Nothing of it reaches a driver that comes without having let the old one's requests end. */
static void test_reset_with_bus_master_off(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
	rig_notify(&blk.transport, 0);
	rig_set_master(false);
	rig_disk_finish(0, HV_OK);
	work_now();
	start_without(0);
	work_now();
	assert_nothing_used(0);
	assert_int_equal(rig_get(DATA, 8), 0);
	assert_all_free();
	rig_disk_holds = false;
	once(VIRTIO_BLK_T_IN, 3, 512, 513, VIRTIO_BLK_S_OK);
}

static void test_idle(void **state)
{
	(void)state;
	rig_disk_holds = true;
	put(0, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
	rig_notify(&blk.transport, 0);
	assert_false(virtio_blk_is_idle(&blk));
	rig_disk_finish(0, HV_OK);
	assert_true(virtio_blk_is_idle(&blk));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_configuration, setup),
		cmocka_unit_test_setup(test_read, setup),
		cmocka_unit_test_setup(test_write, setup),
		cmocka_unit_test_setup(test_write_through, setup),
		cmocka_unit_test_setup(test_other_requests, setup),
		cmocka_unit_test_setup(test_bad_requests, setup),
		cmocka_unit_test(test_broken),
		cmocka_unit_test_setup(test_copied, setup),
		cmocka_unit_test(test_copied_breaks),
		cmocka_unit_test_setup(test_copied_in_part, setup),
		cmocka_unit_test_setup(test_copied_write_through, setup),
		cmocka_unit_test_setup(test_batch, setup),
		cmocka_unit_test_setup(test_queues, setup),
		cmocka_unit_test_setup(test_later, setup),
		cmocka_unit_test_setup(test_large, setup),
		cmocka_unit_test_setup(test_small_pieces, setup),
		cmocka_unit_test_setup(test_many, setup),
		cmocka_unit_test_setup(test_enough_for_now, setup),
		cmocka_unit_test_setup(test_reset_while_open, setup),
		cmocka_unit_test_setup(test_bus_master_off, setup),
		cmocka_unit_test_setup(test_reset_with_bus_master_off, setup),
		cmocka_unit_test_setup(test_idle, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
