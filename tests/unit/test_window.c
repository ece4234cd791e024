/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "mm/space.h"
#include "mm/window.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

static struct cpu_local cpu;

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	memset(&cpu, 0, sizeof(cpu));
	cpu.self = &cpu;
	fake_msr_set(MSR_GS_BASE, (uint64_t)(uintptr_t)&cpu);
	fake_machine(MIB(32));
	return 0;
}

/* An aligned free block of 4 MiB to play with, dirty. */
static hpa_t playground(void)
{
	hpa_t block;

	assert_int_equal(frame_alloc(FRAME_ORDER_2M + 1, FRAME_HV, OWNER_HV, &block), HV_OK);
	memset(fake_ram(block), 0xee, MIB(4));
	return block;
}

static unsigned count_mapped(void)
{
	unsigned mapped = 0;

	for (uint64_t at = 0; at < GIB(2); at += PAGE_SIZE) {
		struct fake_translation t;

		mapped += fake_translate(hva(HV_TEMP_BASE + at), &t);
	}
	return mapped;
}

static void zeroes_exactly_the_range(void **state)
{
	hpa_t block = playground();
	const uint8_t *p = fake_ram(block);
	/* Two small pages, 2 MiB as one, one small page. */
	const uint64_t first = MIB(2) - 2 * PAGE_SIZE;
	const uint64_t size = MIB(2) + 3 * PAGE_SIZE;
	unsigned flushes = fake_cpu.invlpg_count;

	(void)state;
	window_zero(hpa(block.v + first - MIB(1)), PAGE_SIZE);
	window_zero(hpa(block.v + first), MIB(2) + 2 * PAGE_SIZE);
	assert_int_equal(fake_cpu.invlpg_count - flushes, 4);
	for (uint64_t i = 0; i < MIB(4); i++) {
		bool zero = (i >= first && i < first + size - PAGE_SIZE) ||
			    (i >= first - MIB(1) && i < first - MIB(1) + PAGE_SIZE);

		assert_int_equal(p[i], zero ? 0 : 0xee);
	}
}

static void copies_one_frame(void **state)
{
	hpa_t block = playground();
	uint8_t *p = fake_ram(block);

	(void)state;
	memset(p + 5 * PAGE_SIZE, 0x31, PAGE_SIZE);
	window_copy_frame(hpa(block.v + 8 * PAGE_SIZE), hpa(block.v + 5 * PAGE_SIZE));
	for (uint64_t i = 0; i < MIB(1); i++) {
		uint64_t page = i / PAGE_SIZE;

		assert_int_equal(p[i], page == 5 || page == 8 ? 0x31 : 0xee);
	}
}

static void nothing_stays_mapped(void **state)
{
	hpa_t block = playground();

	(void)state;
	window_zero(block, MIB(4));
	window_copy_frame(block, hpa(block.v + PAGE_SIZE));
	assert_int_equal(count_mapped(), 0);
}

static void each_cpu_has_its_own(void **state)
{
	hpa_t block = playground();
	hva_t seen[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		cpu.index = i == 2 ? CPU_MAX - 1 : i;
		window_zero(block, MIB(2));
		seen[i] = fake_cpu.invlpg_last;
		window_copy_frame(block, hpa(block.v + PAGE_SIZE));
		assert_true(fake_cpu.invlpg_last.v >= HV_TEMP_BASE + GIB(1));
	}
	cpu.index = 0;
	assert_true(seen[0].v != seen[1].v && seen[1].v != seen[2].v);
	assert_true(seen[2].v + PAGE_SIZE_2M <= HV_TEMP_BASE + GIB(1));
	assert_int_equal(count_mapped(), 0);
}

static void only_whole_pages(void **state)
{
	(void)state;
	EXPECT_CHECK(window_zero(hpa(MIB(16) + 8), PAGE_SIZE));
	EXPECT_CHECK(window_zero(hpa(MIB(16)), 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(zeroes_exactly_the_range, setup),
		cmocka_unit_test_setup(copies_one_frame, setup),
		cmocka_unit_test_setup(nothing_stays_mapped, setup),
		cmocka_unit_test_setup(each_cpu_has_its_own, setup),
		cmocka_unit_test_setup(only_whole_pages, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
