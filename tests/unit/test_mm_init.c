/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "hv/cpu/features.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "mm/space.h"
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

#define MACHINE MIB(32)

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	return 0;
}

static uint8_t type_at(uint64_t pa)
{
	return frame_info(hpa(pa))->type;
}

static void frames_follow_the_map(void **state)
{
	struct frame_stats stats;
	uint64_t counts[FRAME_TYPE_COUNT] = {0};

	(void)state;
	fake_machine(MACHINE);
	assert_int_equal(frame_top(), MACHINE - FAKE_FIRMWARE_SIZE);
	assert_int_equal(type_at(0), FRAME_ABSENT);
	assert_int_equal(type_at(0x9e000), FRAME_ABSENT);
	assert_int_equal(type_at(0xa0000), FRAME_ABSENT);
	assert_int_equal(type_at(0x100000), FRAME_FREE);
	assert_int_equal(type_at(FAKE_IMAGE_BASE), FRAME_HV);
	assert_int_equal(type_at(FAKE_IMAGE_BASE + FAKE_IMAGE_SIZE - 1), FRAME_HV);
	assert_int_equal(type_at(FAKE_LOADER_BASE), FRAME_HV);
	assert_int_equal(type_at(FAKE_MODULE_BASE + FAKE_MODULE_SIZE - 1), FRAME_HV);
	for (uint64_t pa = 0; pa < frame_top(); pa += PAGE_SIZE) {
		counts[type_at(pa)]++;
	}
	frame_stats(&stats);
	assert_int_equal(stats.free, counts[FRAME_FREE]);
	assert_int_equal(stats.guest, 0);
	assert_int_equal(stats.hv, counts[FRAME_POOL] + counts[FRAME_HV] + counts[FRAME_TABLE]);
	assert_int_equal(stats.total, stats.free + stats.hv);
	assert_true(stats.free > (MACHINE - MIB(8)) / PAGE_SIZE);
}

static void the_cpu_is_prepared(void **state)
{
	(void)state;
	fake_machine(MACHINE);
	assert_true((cpu_rdmsr(MSR_EFER) & EFER_NXE) != 0);
	assert_true((fake_cpu.cr0 & CR0_WP) != 0);
	assert_int_equal(cpu_rdmsr(MSR_IA32_PAT), PT_PAT_VALUE);
	assert_int_equal(fake_cpu.cr3, space_core_cr3());
	assert_true(space_core_cr3() < GIB(4));
	assert_ptr_equal(space_current(), space_core());
}

static void expect_page(uint64_t va, uint64_t pa, bool write, bool exec)
{
	struct fake_translation t;

	assert_true(fake_translate(hva(va), &t));
	assert_int_equal(t.pa.v, pa);
	assert_int_equal(t.write, write);
	assert_int_equal(t.exec, exec);
}

static void expect_nothing(uint64_t va)
{
	struct fake_translation t;

	assert_false(fake_translate(hva(va), &t));
}

static void the_image_is_write_xor_execute(void **state)
{
	(void)state;
	fake_machine(MACHINE);
	expect_page(HV_IMAGE_BASE, FAKE_IMAGE_BASE, false, true);
	expect_page(HV_IMAGE_BASE + 0xf000, FAKE_IMAGE_BASE + 0xf000, false, true);
	expect_page(HV_IMAGE_BASE + 0x10000, FAKE_IMAGE_BASE + 0x10000, false, false);
	expect_page(HV_IMAGE_BASE + 0x18000, FAKE_IMAGE_BASE + 0x18000, true, false);
	expect_nothing(HV_IMAGE_BASE + 0x20000);
	expect_page(HV_IMAGE_BASE + 0x21000, FAKE_IMAGE_BASE + 0x21000, true, false);
	expect_nothing(HV_IMAGE_BASE + FAKE_IMAGE_SIZE);
	/* No alias of the image through which it could be written. */
	expect_nothing(HV_DIRECT_BASE + FAKE_IMAGE_BASE);
}

static void the_core_maps_what_is_ours_alone(void **state)
{
	uint64_t firmware = MACHINE - FAKE_FIRMWARE_SIZE;

	(void)state;
	fake_machine(MACHINE);
	expect_page(HV_DIRECT_BASE + FAKE_MODULE_BASE, FAKE_MODULE_BASE, false, false);
	expect_page(HV_DIRECT_BASE + FAKE_LOADER_BASE, FAKE_LOADER_BASE, false, false);
	expect_page(FAKE_TRAMPOLINE, FAKE_TRAMPOLINE, true, true);
	/* Code the firmware marked read-only, data it marked execute-protected, its flash. */
	expect_page(firmware, firmware, false, true);
	expect_page(firmware + 0x8000, firmware + 0x8000, true, false);
	expect_page(0xffc00000, 0xffc00000, true, false);
	expect_nothing(0);
	expect_nothing(0x1000);
	for (uint64_t pa = 0; pa < frame_top(); pa += PAGE_SIZE) {
		struct fake_translation t;
		uint8_t type = type_at(pa);
		bool mapped = fake_translate(hva(HV_DIRECT_BASE + pa), &t);

		if (type == FRAME_POOL || type == FRAME_TABLE) {
			assert_true(mapped && t.write && !t.exec && t.pa.v == pa);
		} else if (type != FRAME_HV) {
			assert_false(mapped);
		}
	}
}

static void without_1g_pages(void **state)
{
	struct handoff *h = fake_handoff(MACHINE);

	(void)state;
	cpu_features_init();
	assert_false(cpu_features()->pages_1g);
	assert_int_equal(mm_init(h), HV_OK);
	assert_int_equal(space_core()->pt.max_level, PT_LEVEL_2M);
}

static void a_bad_image_or_trampoline_is_refused(void **state)
{
	struct handoff *h = fake_handoff(MACHINE);

	(void)state;
	h->image_size = 0x3f000;
	assert_int_equal(mm_init(h), HV_E_INVALID);
	h = fake_handoff(MACHINE);
	h->image_base += 8;
	assert_int_equal(mm_init(h), HV_E_INVALID);
	h = fake_handoff(MACHINE);
	h->trampoline = MIB(1);
	assert_int_equal(mm_init(h), HV_E_INVALID);
	h = fake_handoff(MACHINE);
	h->trampoline = 0;
	assert_int_equal(mm_init(h), HV_OK);
}

static void reclaim_frees_the_loader_and_zeroes_it(void **state)
{
	struct handoff *h = fake_machine(MACHINE);
	struct frame_stats before;
	struct frame_stats after;

	(void)state;
	frame_stats(&before);
	assert_int_equal(mm_reclaim_loader(h), HV_OK);
	frame_stats(&after);
	assert_int_equal(after.free, before.free + FAKE_LOADER_SIZE / PAGE_SIZE);
	assert_int_equal(type_at(FAKE_LOADER_BASE), FRAME_FREE);
	expect_nothing(HV_DIRECT_BASE + FAKE_LOADER_BASE);
	expect_nothing(HV_DIRECT_BASE + FAKE_LOADER_BASE + FAKE_LOADER_SIZE - 1);
	for (uint64_t i = 0; i < FAKE_LOADER_SIZE; i++) {
		assert_int_equal(((uint8_t *)fake_ram(hpa(FAKE_LOADER_BASE)))[i], 0);
	}
	/* Modules stay. */
	expect_page(HV_DIRECT_BASE + FAKE_MODULE_BASE, FAKE_MODULE_BASE, false, false);
	assert_int_equal(*(uint8_t *)pool_ptr(hpa(FAKE_MODULE_BASE)), 0x5a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(frames_follow_the_map, setup),
		cmocka_unit_test_setup(the_cpu_is_prepared, setup),
		cmocka_unit_test_setup(the_image_is_write_xor_execute, setup),
		cmocka_unit_test_setup(the_core_maps_what_is_ours_alone, setup),
		cmocka_unit_test_setup(without_1g_pages, setup),
		cmocka_unit_test_setup(a_bad_image_or_trampoline_is_refused, setup),
		cmocka_unit_test_setup(reclaim_frees_the_loader_and_zeroes_it, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
