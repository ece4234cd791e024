/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/virtio_balloon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/saved_rig.h"
#include "tests/fakes/virtio_pci_rig.h"

#define SIZE 16u
#define DATA (RIG_RAM_BASE + 0x20000u)
#define HZ 1000000000u
#define MIB2 0x200000ull
#define RELEASES_MAX 4096u
/* The guest of these tests: what is above is not its RAM. */
#define RAM_END 0x40000000ull
#define LINUX_REPORTING 3u /* without free page hints */

static struct device_rig rig;
static struct virtio_balloon balloon;
static struct vwork_queue work_queue;
static unsigned asked;

static struct {
	uint64_t base, size;
} released[RELEASES_MAX];
static unsigned released_count;
static uint64_t room;	/* bytes that may be released before HV_E_BUSY */
static bool room_comes; /* between a refusal and the next try */

static void ask(void *ctx, unsigned vcpu)
{
	(void)ctx;
	(void)vcpu;
	asked++;
}

static enum hv_status take_back(void *ctx, uint64_t base, uint64_t size, uint64_t *done)
{
	assert_ptr_equal(ctx, &rig);
	assert_int_equal((base | size) % 4096, 0);
	assert_true(size != 0 && size <= MIB2 && base / MIB2 == (base + size - 1) / MIB2);
	*done = 0;
	if (base + size > RAM_END) {
		return HV_E_RANGE;
	}
	if (room < size) {
		*done = room;
		room = room_comes ? RAM_END : 0;
		room_comes = false;
		return HV_E_BUSY;
	}
	room -= size;
	assert_true(released_count < RELEASES_MAX);
	released[released_count].base = base;
	released[released_count++].size = size;
	*done = size;
	return HV_OK;
}

static void start(uint64_t features)
{
	rig_start(&balloon.transport, features, SIZE);
	rig_msix_on(&balloon.transport);
}

#define ALL \
	(BIT(VIRTIO_BALLOON_F_STATS_VQ) | BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) | \
	 BIT(VIRTIO_BALLOON_F_PAGE_REPORTING))

static int setup(void **state)
{
	struct virtio_balloon_config cfg = {
		.wiring = rig_wiring(),
		.work = &work_queue,
		.time = &rig.time,
		.release = take_back,
		.ctx = &rig,
	};

	(void)state;
	rig_init(&rig, HZ);
	vwork_queue_init(&work_queue, ask, NULL);
	asked = 0;
	released_count = 0;
	room = RAM_END;
	room_comes = false;
	memset(rig_ram, 0, sizeof(rig_ram));
	assert_int_equal(virtio_balloon_init(&balloon, &cfg), HV_OK);
	start(ALL);
	return 0;
}

/* One chain of `n` page numbers from `first` on. */
static void name_pages(unsigned queue, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		rig_put(DATA + 4ull * i, first + i, 4);
	}
	rig_desc(rig_queues[queue].desc, 0, DATA, 4 * n, 0);
	rig_offer(&rig_queues[queue], 0);
	rig_notify(&balloon.transport, queue);
}

static void report(unsigned queue, uint64_t addr, uint32_t len)
{
	rig_desc(rig_queues[queue].desc, 0, addr, len, RIG_WRITE);
	rig_offer(&rig_queues[queue], 0);
	rig_notify(&balloon.transport, queue);
}

static bool answered(unsigned queue)
{
	uint32_t id;
	uint32_t len;

	return rig_take(&rig_queues[queue], &id, &len);
}

static void run_work(void)
{
	vwork_run(&work_queue);
}

static struct virtio_balloon_info info(void)
{
	struct virtio_balloon_info i;

	virtio_balloon_info(&balloon, &i);
	return i;
}

static void test_inflates(void **state)
{
	(void)state;
	name_pages(VIRTIO_BALLOON_INFLATE, 0x300, 70);
	assert_true(answered(VIRTIO_BALLOON_INFLATE));
	assert_int_equal(released_count, 70);
	for (unsigned i = 0; i < 70; i++) {
		assert_int_equal(released[i].base, (0x300 + i) * 4096ull);
		assert_int_equal(released[i].size, 4096);
	}
	assert_int_equal(info().inflated, 70 * 4096);
	assert_int_equal(rig_messages[VIRTIO_BALLOON_INFLATE], 1);
	/* Taking back needs nothing. */
	name_pages(VIRTIO_BALLOON_DEFLATE, 0x300, 70);
	assert_true(answered(VIRTIO_BALLOON_DEFLATE));
	assert_int_equal(released_count, 70);
}

static void test_numbers_that_are_no_pages(void **state)
{
	(void)state;
	name_pages(VIRTIO_BALLOON_INFLATE, UINT32_MAX - 1, 3);
	assert_true(answered(VIRTIO_BALLOON_INFLATE));
	/* The third is 0. */
	assert_int_equal(released_count, 1);
	assert_int_equal(released[0].base, 0);
	assert_int_equal(info().refused, 2);
	/* Half a number is none. */
	rig_desc(rig_queues[0].desc, 0, DATA, 3, 0);
	rig_offer(&rig_queues[0], 0);
	rig_notify(&balloon.transport, 0);
	assert_true(answered(VIRTIO_BALLOON_INFLATE));
	assert_int_equal(released_count, 1);
}

static void test_a_run_is_bounded(void **state)
{
	(void)state;
	name_pages(VIRTIO_BALLOON_INFLATE, 0, 2 * VIRTIO_BALLOON_RUN_PAGES + 5);
	for (unsigned run = 1; run <= 2; run++) {
		assert_int_equal(released_count, run * VIRTIO_BALLOON_RUN_PAGES);
		assert_false(answered(VIRTIO_BALLOON_INFLATE));
		assert_int_equal(asked, run);
		run_work();
	}
	assert_int_equal(released_count, 2 * VIRTIO_BALLOON_RUN_PAGES + 5);
	assert_true(answered(VIRTIO_BALLOON_INFLATE));
	assert_int_equal(asked, 2);
}

static void test_it_waits_for_room(void **state)
{
	(void)state;
	room = 10 * 4096;
	name_pages(VIRTIO_BALLOON_INFLATE, 0x100, 40);
	assert_false(answered(VIRTIO_BALLOON_INFLATE));
	assert_int_equal(released_count, 10);
	assert_int_equal(asked, 0);
	virtio_balloon_room(NULL);
	room = RAM_END;
	virtio_balloon_room(&balloon);
	assert_int_equal(asked, 1);
	run_work();
	assert_true(answered(VIRTIO_BALLOON_INFLATE));
	assert_int_equal(released_count, 40);
	assert_int_equal(released[39].base, (0x100 + 39) * 4096ull);
	/* Nobody waits. */
	virtio_balloon_room(&balloon);
	assert_int_equal(asked, 1);
}

/* There is room again after it was refused, and before anybody knows that it waits. */
static void test_room_is_not_missed(void **state)
{
	(void)state;
	room = 0;
	room_comes = true;
	name_pages(VIRTIO_BALLOON_INFLATE, 0x100, 4);
	assert_true(answered(VIRTIO_BALLOON_INFLATE));
	assert_int_equal(released_count, 4);
}

static void test_reports_whole_pages(void **state)
{
	(void)state;
	report(LINUX_REPORTING, 0x1ff800, 0x401000);
	assert_true(answered(LINUX_REPORTING));
	assert_int_equal(released_count, 2);
	assert_int_equal(released[0].base, 0x200000);
	assert_int_equal(released[0].size, MIB2);
	assert_int_equal(released[1].base, 0x400000);
	assert_int_equal(released[1].size, MIB2);
}

static void test_reports_pieces(void **state)
{
	(void)state;
	report(VIRTIO_BALLOON_REPORTING, 0x1ff000, 0x202000);
	assert_true(answered(VIRTIO_BALLOON_REPORTING));
	assert_int_equal(released_count, 3);
	assert_int_equal(released[0].base, 0x1ff000);
	assert_int_equal(released[0].size, 0x1000);
	assert_int_equal(released[1].size, MIB2);
	assert_int_equal(released[2].base, 0x400000);
	assert_int_equal(released[2].size, 0x1000);
	assert_int_equal(info().reported, 0x202000);
}

static void test_reports_that_are_no_ram(void **state)
{
	(void)state;
	report(LINUX_REPORTING, BIT(52) - 0x1000, 0x4000);
	assert_true(answered(LINUX_REPORTING));
	report(LINUX_REPORTING, RAM_END - 0x1000, 0x2000);
	assert_true(answered(LINUX_REPORTING));
	report(LINUX_REPORTING, 0x1800, 0x1000);
	assert_true(answered(LINUX_REPORTING));
	assert_int_equal(released_count, 1);
	assert_int_equal(released[0].base, RAM_END - 0x1000);
	assert_int_equal(info().refused, 2);
	/* For the device to read: a driver that means something else. */
	rig_desc(rig_queues[LINUX_REPORTING].desc, 0, 0x200000, 0x200000, 0);
	rig_offer(&rig_queues[LINUX_REPORTING], 0);
	rig_notify(&balloon.transport, LINUX_REPORTING);
	assert_false(answered(LINUX_REPORTING));
	assert_false(info().live);
}

static void test_a_report_is_bounded_and_waits(void **state)
{
	const unsigned pieces = 2 * VIRTIO_BALLOON_RUN_PIECES;

	(void)state;
	room = (VIRTIO_BALLOON_RUN_PIECES + 1) * MIB2 + 0x3000;
	report(LINUX_REPORTING, MIB2, pieces * MIB2);
	assert_int_equal(released_count, VIRTIO_BALLOON_RUN_PIECES);
	assert_int_equal(asked, 1);
	run_work();
	assert_int_equal(released_count, VIRTIO_BALLOON_RUN_PIECES + 1);
	room = RAM_END;
	virtio_balloon_room(&balloon);
	run_work();
	assert_true(answered(LINUX_REPORTING));
	/* From where it stood on. */
	assert_int_equal(released[VIRTIO_BALLOON_RUN_PIECES + 1].base,
			 (VIRTIO_BALLOON_RUN_PIECES + 2) * MIB2 + 0x3000);
	assert_int_equal(info().reported, pieces * MIB2);
}

static void poison(uint32_t value)
{
	rig_bar_write(&balloon.transport, VIRTIO_PCI_BAR_REGS,
		      VIRTIO_PCI_REGS_DEVICE + offsetof(struct virtio_balloon_space, poison_val), 4,
		      value);
}

static void test_poisoned_pages_stay(void **state)
{
	(void)state;
	start(ALL | BIT(VIRTIO_BALLOON_F_PAGE_POISON));
	poison(0xaa);
	report(LINUX_REPORTING, MIB2, MIB2);
	assert_true(answered(LINUX_REPORTING));
	assert_int_equal(released_count, 0);
	/* What the driver puts into the balloon it fills anew. */
	name_pages(VIRTIO_BALLOON_INFLATE, 1, 1);
	assert_int_equal(released_count, 1);
	poison(0);
	report(LINUX_REPORTING, MIB2, MIB2);
	assert_int_equal(released_count, 2);
	/* A value that is not negotiated is none. */
	start(ALL);
	poison(0xaa);
	report(LINUX_REPORTING, 2 * MIB2, MIB2);
	assert_int_equal(released_count, 3);
}

static void test_without_statistics_queue_2_reports(void **state)
{
	(void)state;
	start(BIT(VIRTIO_BALLOON_F_PAGE_REPORTING));
	report(VIRTIO_BALLOON_STATS, MIB2, MIB2);
	assert_true(answered(VIRTIO_BALLOON_STATS));
	assert_int_equal(released_count, 1);
	/* Without reporting nothing is. */
	start(0);
	report(VIRTIO_BALLOON_STATS, MIB2, MIB2);
	assert_int_equal(released_count, 1);
}

static void test_target_and_actual(void **state)
{
	uint64_t at = VIRTIO_PCI_REGS_DEVICE;

	(void)state;
	virtio_balloon_set_target(&balloon, 100 * 4096 + 5);
	assert_int_equal(rig_messages[VIRTIO_BALLOON_QUEUES], 1);
	assert_int_equal(rig_bar_read(&balloon.transport, VIRTIO_PCI_BAR_REGS, at, 4), 100);
	rig_bar_write(&balloon.transport, VIRTIO_PCI_BAR_REGS, at + 4, 4, 60);
	/* Not the driver's. */
	rig_bar_write(&balloon.transport, VIRTIO_PCI_BAR_REGS, at, 4, 1);
	rig_bar_write(&balloon.transport, VIRTIO_PCI_BAR_REGS, at + 4, 2, 1);
	assert_int_equal(info().target, 100 * 4096);
	assert_int_equal(info().actual, 60 * 4096);
	/* A new driver begins with an empty balloon and the same target. */
	start(ALL);
	assert_int_equal(info().target, 100 * 4096);
	assert_int_equal(info().actual, 0);
}

static void tell_stat(unsigned i, uint16_t tag, uint64_t value)
{
	rig_put(DATA + 10ull * i, tag, 2);
	rig_put(DATA + 10ull * i + 2, value, 8);
}

static void offer_stats(unsigned n)
{
	rig_desc(rig_queues[VIRTIO_BALLOON_STATS].desc, 0, DATA, 10 * n, 0);
	rig_offer(&rig_queues[VIRTIO_BALLOON_STATS], 0);
	rig_notify(&balloon.transport, VIRTIO_BALLOON_STATS);
}

static void test_statistics(void **state)
{
	struct virtio_balloon_info i;

	(void)state;
	assert_int_equal(info().valid, 0);
	tell_stat(0, 4, 0x123456789a);
	tell_stat(1, 9, 7);
	tell_stat(2, 10, 1);
	tell_stat(3, UINT16_MAX, 1);
	offer_stats(4);
	rig_advance(&rig, 5);
	i = info();
	assert_int_equal(i.valid, BIT32(4) | BIT32(9));
	assert_int_equal(i.stats[4], 0x123456789a);
	assert_int_equal(i.stats[9], 7);
	assert_int_equal(i.age, 5);
	/* The buffer is the device's until somebody asks. */
	assert_false(answered(VIRTIO_BALLOON_STATS));
	virtio_balloon_ask_stats(&balloon);
	assert_int_equal(asked, 1);
	run_work();
	assert_true(answered(VIRTIO_BALLOON_STATS));
	tell_stat(0, 4, 99);
	offer_stats(1);
	assert_int_equal(info().stats[4], 99);
	assert_int_equal(info().valid, BIT32(4));
	assert_false(answered(VIRTIO_BALLOON_STATS));
	/* A second buffer: the first comes back. */
	offer_stats(1);
	assert_true(answered(VIRTIO_BALLOON_STATS));
	assert_false(answered(VIRTIO_BALLOON_STATS));
	start(ALL);
	assert_int_equal(info().valid, 0);
}

static void test_a_reset_forgets_what_was_open(void **state)
{
	(void)state;
	room = 2 * 4096;
	name_pages(VIRTIO_BALLOON_INFLATE, 0x100, 8);
	assert_int_equal(released_count, 2);
	rig_common_write(&balloon.transport, device_status, 0);
	room = RAM_END;
	virtio_balloon_room(&balloon);
	run_work();
	assert_int_equal(released_count, 2);
	start(ALL);
	name_pages(VIRTIO_BALLOON_INFLATE, 0x200, 1);
	assert_int_equal(released_count, 3);
	assert_int_equal(released[2].base, 0x200000);
}

/* A run that was not all, one that waits for room, and the statistics' buffer. */
static void test_saved(void **state)
{
	(void)state;
	room = 10 * 4096;
	name_pages(VIRTIO_BALLOON_INFLATE, 0x100, 40);
	assert_int_equal(released_count, 10);
	saved_reload(&balloon.saved);
	saved_reload(&balloon.saved);
	room = RAM_END;
	run_work();
	assert_true(answered(VIRTIO_BALLOON_INFLATE));
	assert_int_equal(released_count, 40);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(released[i].base, (0x100 + i) * 4096ull);
	}
	room = MIB2;
	report(LINUX_REPORTING, 0, 2 * MIB2);
	assert_int_equal(released_count, 41);
	saved_reload(&balloon.saved);
	room = RAM_END;
	run_work();
	assert_true(answered(LINUX_REPORTING));
	assert_int_equal(released_count, 42);
	assert_int_equal(released[41].base, MIB2);
}

/* The buffer that the device keeps is not read again: what it says is as old as it was. */
static void test_saved_statistics(void **state)
{
	(void)state;
	tell_stat(0, 4, 7);
	offer_stats(1);
	tell_stat(0, 4, 8);
	saved_reload(&balloon.saved);
	run_work();
	assert_int_equal(info().stats[4], 7);
	assert_false(answered(VIRTIO_BALLOON_STATS));
	virtio_balloon_ask_stats(&balloon);
	saved_reload(&balloon.saved);
	run_work();
	assert_true(answered(VIRTIO_BALLOON_STATS));
	offer_stats(1);
	assert_int_equal(info().stats[4], 8);
}

static void test_saved_is_checked(void **state)
{
	struct virtio_balloon_saved *bytes;

	(void)state;
#define TAKES(field, value) SAVED_TAKES(&balloon.saved, struct virtio_balloon_saved, field, value)
	assert_true(TAKES(space.actual, 99));
	assert_false(TAKES(space.free_page_hint_cmd_id, 1));
	assert_true(TAKES(valid, 0x3ff));
	assert_false(TAKES(valid, 0x400));
	assert_false(TAKES(asked, 2));
	assert_false(TAKES(known, 1));
	assert_false(TAKES(queues[0].next, 1));
	assert_false(TAKES(queues[3].offset, 1));
	assert_false(TAKES(queues[1].zero, 1));
	assert_false(TAKES(transport.queues[0].ring.avail_next, 1));
	/* A place behind the buffer's end releases nothing. */
	rig_set_master(false);
	report(LINUX_REPORTING, MIB2, (uint32_t)MIB2);
	bytes = saved_bytes(&balloon.saved);
	bytes->transport.queues[LINUX_REPORTING].ring.avail_seen++;
	bytes->queues[LINUX_REPORTING].offset = UINT64_MAX - MIB2 + 1;
	assert_null(balloon.saved.ops->check(&balloon, bytes));
	balloon.saved.ops->load(&balloon, bytes);
	free(bytes);
	rig_set_master(true);
	run_work();
	assert_int_equal(released_count, 0);
	assert_true(answered(LINUX_REPORTING));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_inflates),
		TEST(test_numbers_that_are_no_pages),
		TEST(test_a_run_is_bounded),
		TEST(test_it_waits_for_room),
		TEST(test_room_is_not_missed),
		TEST(test_reports_whole_pages),
		TEST(test_reports_pieces),
		TEST(test_reports_that_are_no_ram),
		TEST(test_a_report_is_bounded_and_waits),
		TEST(test_poisoned_pages_stay),
		TEST(test_without_statistics_queue_2_reports),
		TEST(test_target_and_actual),
		TEST(test_statistics),
		TEST(test_a_reset_forgets_what_was_open),
		TEST(test_saved),
		TEST(test_saved_statistics),
		TEST(test_saved_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
