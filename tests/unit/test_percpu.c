/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

static _Alignas(4096) uint8_t areas[2][CPU_AREA_SIZE];

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	memset(areas, 0, sizeof(areas));
	return 0;
}

static void indices_are_dense_and_ids_are_found(void **state)
{
	struct cpu_local *boot = percpu_init_boot(0x1000, 0x5000, 7);
	struct cpu_local *a = percpu_add(areas[0], 3);
	struct cpu_local *b = percpu_add(areas[1], 300);

	(void)state;
	assert_int_equal(percpu_count(), 3);
	assert_int_equal(boot->index, 0);
	assert_int_equal(a->index, 1);
	assert_int_equal(b->index, 2);
	assert_ptr_equal(percpu_get(2), b);
	assert_ptr_equal(percpu_by_apic_id(300), b);
	assert_ptr_equal(percpu_by_apic_id(7), boot);
	assert_null(percpu_by_apic_id(1));
	assert_int_equal(cpu_get_state(boot), CPU_ONLINE);
	assert_int_equal(cpu_get_state(a), CPU_OFFLINE);
	EXPECT_CHECK(percpu_get(3));
}

static void stacks_do_not_overlap(void **state)
{
	struct cpu_local *boot = percpu_init_boot(0x1000, 0x5000, 0);
	struct cpu_local *c = percpu_add(areas[0], 1);
	uint64_t low = (uint64_t)(uintptr_t)areas[0];

	(void)state;
	assert_int_equal(boot->stack_low, 0x1000);
	assert_int_equal(boot->stack_high, 0x5000);
	for (unsigned i = 0; i < DESC_IST_COUNT; i++) {
		assert_int_equal(c->tss.ist[i], low + (i + 1) * CPU_IST_STACK_SIZE);
	}
	assert_int_equal(c->stack_low, c->tss.ist[DESC_IST_COUNT - 1]);
	assert_int_equal(c->stack_high, (uint64_t)(uintptr_t)c);
	assert_int_equal(c->stack_high % 16, 0);
	assert_true((uint64_t)(uintptr_t)(c + 1) <= low + CPU_AREA_SIZE);
}

static void activation_loads_tables_and_gs(void **state)
{
	struct cpu_local *c = percpu_init_boot(0x1000, 0x5000, 0);

	(void)state;
	fake_cpu.tr = 0;
	percpu_activate(c);
	assert_int_equal(fake_cpu.gdt.base, (uint64_t)(uintptr_t)&c->gdt);
	assert_int_equal(fake_cpu.gdt.limit, 39);
	assert_int_equal(fake_cpu.cs, GDT_CODE);
	assert_int_equal(fake_cpu.ds, GDT_DATA);
	assert_int_equal(fake_cpu.tr, GDT_TSS);
	assert_int_equal(fake_msr_get(MSR_GS_BASE), (uint64_t)(uintptr_t)c);
	assert_ptr_equal(cpu_this(), c);
	/* LTR has marked the TSS busy; a second activation must not meet that. */
	c->gdt.slot[GDT_TSS / 8] |= 2ull << 40;
	percpu_activate(c);
	assert_int_equal(c->gdt.slot[GDT_TSS / 8] >> 40 & 0xf, 9);
}

static void no_more_than_cpu_max(void **state)
{
	(void)state;
	percpu_init_boot(0x1000, 0x5000, 0);
	for (unsigned i = 1; i < CPU_MAX; i++) {
		assert_non_null(percpu_add(areas[0], i));
	}
	assert_null(percpu_add(areas[1], CPU_MAX));
	assert_int_equal(percpu_count(), CPU_MAX);
}

static void parking_says_so_and_stops(void **state)
{
	struct cpu_local *c = percpu_init_boot(0x1000, 0x5000, 0);

	(void)state;
	EXPECT_STOP(cpu_park(c));
	assert_int_equal(cpu_get_state(c), CPU_PARKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(indices_are_dense_and_ids_are_found, setup),
		cmocka_unit_test_setup(stacks_do_not_overlap, setup),
		cmocka_unit_test_setup(activation_loads_tables_and_gs, setup),
		cmocka_unit_test_setup(no_more_than_cpu_max, setup),
		cmocka_unit_test_setup(parking_says_so_and_stops, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
