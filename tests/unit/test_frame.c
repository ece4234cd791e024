/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/base/bits.h"
#include "mm/frame.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define MACHINE MIB(32)

static struct frame_stats start;

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MACHINE);
	frame_stats(&start);
	return 0;
}

static hpa_t take(unsigned order, uint16_t owner)
{
	hpa_t block;

	assert_int_equal(frame_alloc(order, FRAME_GUEST, owner, &block), HV_OK);
	return block;
}

static bool all_bytes(hpa_t base, uint64_t size, uint8_t value)
{
	const uint8_t *p = fake_ram(base);

	for (uint64_t i = 0; i < size; i++) {
		if (p[i] != value) {
			return false;
		}
	}
	return true;
}

static void table_size_is_16_bytes_per_frame(void **state)
{
	(void)state;
	assert_int_equal(frame_table_bytes(MIB(1)), 4096);
	assert_int_equal(frame_table_bytes(MIB(1) + 1), 4096 + 16);
	assert_int_equal(frame_table_bytes(GIB(1024)), GIB(4));
}

static void a_block_is_aligned_owned_and_zero(void **state)
{
	hpa_t block = take(FRAME_ORDER_2M, 7);
	struct frame_stats now;

	(void)state;
	assert_true(is_aligned(block.v, PAGE_SIZE_2M));
	/* Memory of the fake machine is dirty from the start. */
	assert_true(all_bytes(block, PAGE_SIZE_2M, 0));
	for (uint64_t at = 0; at < PAGE_SIZE_2M; at += PAGE_SIZE) {
		const struct frame *f = frame_info(hpa(block.v + at));

		assert_int_equal(f->type, FRAME_GUEST);
		assert_int_equal(f->owner, 7);
		assert_int_equal(f->refs, 1);
	}
	frame_stats(&now);
	assert_int_equal(now.guest, 512);
	assert_int_equal(now.free, start.free - 512);
	assert_int_equal(now.total, start.total);
	frame_put_block(block, FRAME_ORDER_2M);
}

static void what_is_taken_back_is_zeroed(void **state)
{
	hpa_t block = take(4, 1);
	hpa_t dirty;

	(void)state;
	memset(fake_ram(block), 0x33, PAGE_SIZE << 4);
	frame_put_block(block, 4);
	assert_true(all_bytes(block, PAGE_SIZE << 4, 0));
	assert_int_equal(frame_alloc_dirty(0, FRAME_GUEST, 1, &dirty), HV_OK);
	memset(fake_ram(dirty), 0x44, PAGE_SIZE);
	frame_put(dirty);
	assert_true(all_bytes(dirty, PAGE_SIZE, 0));
}

static void a_block_can_be_put_back_frame_by_frame(void **state)
{
	hpa_t block = take(3, 1);
	struct frame_stats now;

	(void)state;
	frame_put(hpa(block.v + 3 * PAGE_SIZE));
	assert_int_equal(frame_refs(hpa(block.v + 3 * PAGE_SIZE)), 0);
	assert_int_equal(frame_refs(hpa(block.v + 2 * PAGE_SIZE)), 1);
	frame_put_range(block, 3 * PAGE_SIZE);
	frame_put_range(hpa(block.v + 4 * PAGE_SIZE), 4 * PAGE_SIZE);
	frame_stats(&now);
	assert_int_equal(now.free, start.free);
	assert_int_equal(now.guest, 0);
}

static void references_keep_a_frame(void **state)
{
	hpa_t block = take(1, 1);
	hpa_t second = hpa(block.v + PAGE_SIZE);

	(void)state;
	memset(fake_ram(block), 0x11, 2 * PAGE_SIZE);
	frame_share(second, PAGE_SIZE);
	assert_int_equal(frame_refs(second), 2);
	assert_int_equal(frame_info(second)->owner, OWNER_SHARED);
	assert_int_equal(frame_info(block)->owner, 1);
	EXPECT_CHECK(frame_claim(second, 9));
	/* Drops one of each: the first is free, the second lives on with its content. */
	frame_put_block(block, 1);
	assert_int_equal(frame_info(block)->type, FRAME_FREE);
	assert_int_equal(frame_info(second)->type, FRAME_GUEST);
	assert_true(all_bytes(second, PAGE_SIZE, 0x11));
	frame_claim(second, 9);
	assert_int_equal(frame_info(second)->owner, 9);
	frame_put(second);
	assert_int_equal(frame_info(second)->type, FRAME_FREE);
}

static void our_own_mistakes_are_caught(void **state)
{
	hpa_t block = take(1, 1);

	(void)state;
	frame_put(block);
	EXPECT_CHECK(frame_put(block));
	EXPECT_CHECK(frame_put_block(block, 1));
	EXPECT_CHECK(frame_share(block, PAGE_SIZE));
	EXPECT_CHECK(frame_claim(block, 1));
	EXPECT_CHECK(frame_claim(hpa(block.v + PAGE_SIZE), 2));
	EXPECT_CHECK(frame_put(hpa(0)));
	EXPECT_CHECK(frame_put(hpa(0xa0000)));
	EXPECT_CHECK(frame_put(hpa(frame_top())));
	EXPECT_CHECK(frame_put(hpa(block.v + PAGE_SIZE + 8)));
	/* Not a guest's: nothing to share; page tables and pool pages have their own ways. */
	EXPECT_CHECK(frame_share(hpa(FAKE_MODULE_BASE), PAGE_SIZE));
	EXPECT_CHECK(frame_add_free(hpa(FAKE_MODULE_BASE), PAGE_SIZE));
	EXPECT_CHECK((void)!frame_alloc(0, FRAME_GUEST, OWNER_HV, &block));
	EXPECT_CHECK((void)!frame_alloc(0, FRAME_GUEST, 0, &block));
	EXPECT_CHECK((void)!frame_alloc(0, FRAME_HV, 1, &block));
	EXPECT_CHECK((void)!frame_alloc(19, FRAME_GUEST, 1, &block));
}

static void questions_outside_the_table_are_allowed(void **state)
{
	(void)state;
	assert_null(frame_info(hpa(frame_top())));
	assert_null(frame_info(hpa(UINT64_MAX)));
	assert_non_null(frame_info(hpa(frame_top() - 1)));
	assert_int_equal(frame_refs(hpa(UINT64_MAX)), 0);
}

static void guests_leave_a_reserve(void **state)
{
	struct frame_stats now;
	hpa_t frame;
	uint64_t count = 0;

	(void)state;
	while (frame_alloc(0, FRAME_GUEST, 1, &frame) == HV_OK) {
		count++;
	}
	frame_stats(&now);
	assert_int_equal(now.free, FRAME_HV_RESERVE);
	assert_int_equal(now.guest, count);
	while (frame_alloc(0, FRAME_HV, OWNER_HV, &frame) == HV_OK) {
	}
	frame_stats(&now);
	assert_int_equal(now.free, 0);
	assert_int_equal(now.total, now.hv + now.guest);
}

/* What a test holds of each frame: owner, or 0 when free. */
static uint16_t model[MACHINE / PAGE_SIZE];
static uint16_t model_owner[MACHINE / PAGE_SIZE];
static unsigned extra_refs[MACHINE / PAGE_SIZE];

static void take_at_random(void)
{
	unsigned order = (unsigned)rand() % 10;
	uint16_t owner = (uint16_t)(1 + rand() % 5);
	hpa_t block;

	if (frame_alloc(order, FRAME_GUEST, owner, &block) != HV_OK) {
		return;
	}
	assert_true(is_aligned(block.v, PAGE_SIZE << order));
	assert_true(all_bytes(block, PAGE_SIZE << order, 0));
	memset(fake_ram(block), owner, PAGE_SIZE << order);
	for (uint64_t i = 0; i < BIT(order); i++) {
		assert_int_equal(model[(block.v >> PAGE_SHIFT) + i], 0);
		model[(block.v >> PAGE_SHIFT) + i] = owner;
		model_owner[(block.v >> PAGE_SHIFT) + i] = owner;
	}
}

/* Puts back what is held in an aligned block around a random frame, or shares one frame. */
static void put_at_random(void)
{
	uint64_t i = (unsigned)rand() % (unsigned)(MACHINE / PAGE_SIZE);
	unsigned order = (unsigned)rand() % 6;

	if (model[i] == 0) {
		return;
	}
	if (rand() % 4 == 0) {
		frame_share(hpa(i << PAGE_SHIFT), PAGE_SIZE);
		model_owner[i] = OWNER_SHARED;
		extra_refs[i]++;
		return;
	}
	i = align_down(i, BIT(order));
	for (uint64_t k = i; k < i + BIT(order); k++) {
		if (model[k] == 0) {
			return;
		}
	}
	frame_put_block(hpa(i << PAGE_SHIFT), order);
	for (uint64_t k = i; k < i + BIT(order); k++) {
		if (extra_refs[k] != 0) {
			extra_refs[k]--;
			assert_true(all_bytes(hpa(k << PAGE_SHIFT), PAGE_SIZE, (uint8_t)model[k]));
		} else {
			model[k] = 0;
			assert_true(all_bytes(hpa(k << PAGE_SHIFT), PAGE_SIZE, 0));
		}
	}
}

static void compare_with_model(void)
{
	struct frame_stats now;
	uint64_t held = 0;

	for (uint64_t i = 0; i < frame_top() >> PAGE_SHIFT; i++) {
		const struct frame *f = frame_info(hpa(i << PAGE_SHIFT));

		assert_int_equal(f->type == FRAME_GUEST, model[i] != 0);
		if (model[i] != 0) {
			assert_int_equal(f->owner, model_owner[i]);
			assert_int_equal(f->refs, 1 + extra_refs[i]);
			held++;
		}
	}
	frame_stats(&now);
	assert_int_equal(now.guest, held);
	assert_int_equal(now.free, start.free - held);
}

static void random_use_agrees_with_a_model(void **state)
{
	(void)state;
	srand(11);
	memset(model, 0, sizeof(model));
	memset(extra_refs, 0, sizeof(extra_refs));
	for (unsigned step = 0; step < 6000; step++) {
		if (rand() % 6 == 0) {
			take_at_random();
		} else {
			put_at_random();
		}
		if (step % 300 == 0) {
			compare_with_model();
		}
	}
	for (uint64_t i = 0; i < frame_top() >> PAGE_SHIFT; i++) {
		for (; model[i] != 0 && extra_refs[i] != 0; extra_refs[i]--) {
			frame_put(hpa(i << PAGE_SHIFT));
		}
		if (model[i] != 0) {
			frame_put(hpa(i << PAGE_SHIFT));
			model[i] = 0;
		}
	}
	compare_with_model();
	/* Everything joined again: a 2 MiB block for each that lies free. */
	for (unsigned i = 0; i < (MACHINE - MIB(10)) / PAGE_SIZE_2M; i++) {
		(void)take(FRAME_ORDER_2M, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_size_is_16_bytes_per_frame),
		cmocka_unit_test_setup(a_block_is_aligned_owned_and_zero, setup),
		cmocka_unit_test_setup(what_is_taken_back_is_zeroed, setup),
		cmocka_unit_test_setup(a_block_can_be_put_back_frame_by_frame, setup),
		cmocka_unit_test_setup(references_keep_a_frame, setup),
		cmocka_unit_test_setup(our_own_mistakes_are_caught, setup),
		cmocka_unit_test_setup(questions_outside_the_table_are_allowed, setup),
		cmocka_unit_test_setup(guests_leave_a_reserve, setup),
		cmocka_unit_test_setup(random_use_agrees_with_a_model, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
