/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio disk saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/virtio_blk.h"
#include "tests/fakes/blk_rig.h"
#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_pci_rig.h"

#define QUEUES 2u
#define SIZE 16u
#define META (RIG_RAM_BASE + 0x10000u)
#define DATA (RIG_RAM_BASE + 0x40000u)

static struct virtio_blk blk;
static struct virtio_blk_queue queues[QUEUES];
static _Alignas(4096) uint8_t buffers[QUEUES][BOUNCE_BYTES];
static struct vwork_queue work_queue;

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
}

static int setup(void **state)
{
	struct virtio_blk_config cfg = {
		.wiring = rig_wiring(),
		.work = &work_queue,
		.device = &rig_disk,
		.vcpu_count = QUEUES,
		.queue_count = QUEUES,
	};

	(void)state;
	rig_disk_init();
	memset(rig_ram, 0, sizeof(rig_ram));
	for (unsigned i = 0; i < QUEUES; i++) {
		cfg.queues[i] = &queues[i];
		cfg.buffers[i] = buffers[i];
	}
	vwork_queue_init(&work_queue, ask, NULL);
	assert_int_equal(virtio_blk_init(&blk, &cfg), HV_OK);
	rig_start(&blk.transport, blk.transport.offered, SIZE);
	rig_msix_on(&blk.transport);
	return 0;
}

/* Request `id` reads a sector. */
static void put_read(unsigned queue, unsigned id, uint64_t sector)
{
	uint64_t at = META + id * 0x100;

	rig_put(at, VIRTIO_BLK_T_IN, 8);
	rig_put(at + 8, sector, 8);
	rig_put(at + 16, 0xee, 1);
	rig_desc(at + 0x40, 0, at, 16, rig_link(0, 1));
	rig_desc(at + 0x40, 1, DATA + id * 512, 512, rig_link(RIG_WRITE, 2));
	rig_desc(at + 0x40, 2, at + 16, 1, RIG_WRITE);
	rig_desc(rig_queues[queue].desc, id, at + 0x40, 48, RIG_INDIRECT);
	rig_offer(&rig_queues[queue], (uint16_t)id);
}

static bool is_quiet(void)
{
	return blk.saved.ops->quiet(blk.saved.dev);
}

/* Nothing is saved while the disk has something, or work waits; then it goes on where it was. */
static void test_drained(void **state)
{
	uint32_t id, len;

	(void)state;
	rig_disk_holds = true;
	put_read(0, 0, 40);
	put_read(0, 1, 41);
	put_read(1, 2, 42);
	rig_notify(&blk.transport, 0);
	assert_false(is_quiet());
	rig_disk_finish(1, HV_OK);
	rig_disk_finish(0, HV_E_IO);
	assert_false(is_quiet());
	vwork_run(&work_queue);
	assert_true(is_quiet());
	saved_reload(&blk.saved);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(rig_take(&rig_queues[0], &id, &len));
		assert_int_equal(rig_get(META + id * 0x100 + 16, 1),
				 id == 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	}
	assert_int_equal(rig_get(DATA + 512, 4), 41);
	/* What the other queue had, and nobody had told of yet. */
	rig_disk_holds = false;
	rig_notify(&blk.transport, 1);
	assert_true(rig_take(&rig_queues[1], &id, &len));
	assert_int_equal(rig_get(DATA + 1024, 4), 42);
	put_read(0, 3, 43);
	rig_notify(&blk.transport, 0);
	assert_true(rig_take(&rig_queues[0], &id, &len));
	assert_int_equal(rig_get(DATA + 3 * 512, 4), 43);
}

/* A request that waits for bus mastering is not lost: the state has no place for it. */
static void test_master_off(void **state)
{
	uint32_t id, len;

	(void)state;
	rig_disk_holds = true;
	put_read(0, 0, 40);
	rig_notify(&blk.transport, 0);
	rig_set_master(false);
	rig_disk_finish(0, HV_OK);
	vwork_run(&work_queue);
	assert_false(is_quiet());
	rig_set_master(true);
	vwork_run(&work_queue);
	assert_true(is_quiet());
	saved_reload(&blk.saved);
	assert_true(rig_take(&rig_queues[0], &id, &len));
	assert_int_equal(rig_get(DATA, 4), 40);
}

/* A driver that broke its queue cannot keep the device from being saved. */
static void test_broken(void **state)
{
	(void)state;
	rig_offer(&rig_queues[0], SIZE);
	rig_notify(&blk.transport, 0);
	assert_true(is_quiet());
	saved_reload(&blk.saved);
	assert_false(virtio_is_live(&blk.transport));
	assert_int_equal(rig_common_read(&blk.transport, device_status),
			 15 | VIRTIO_STATUS_NEEDS_RESET);
}

static void test_checks(void **state)
{
	(void)state;
#define TAKES(field, value) SAVED_TAKES(&blk.saved, struct virtio_blk_saved, field, value)
	assert_true(TAKES(sectors, RIG_DISK_SECTORS));
	assert_false(TAKES(sectors, RIG_DISK_SECTORS - 1));
	assert_false(TAKES(block_size, 4096));
	assert_false(TAKES(queue_count, 1));
	assert_false(TAKES(transport.isr, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_drained, setup),
		cmocka_unit_test_setup(test_master_off, setup),
		cmocka_unit_test_setup(test_broken, setup),
		cmocka_unit_test_setup(test_checks, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
