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
#include "tests/fakes/access.h"
#include "tests/fakes/fake_cpu.h"

#define MACHINE MIB(32)
#define ACPI (MACHINE - 0x10000)

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MACHINE);
	return 0;
}

static void a_new_space_is_the_core_and_nothing_more(void **state)
{
	struct space s;
	uint64_t before = pool_bytes_used();
	struct fake_translation t;

	(void)state;
	assert_int_equal(space_init(&s), HV_OK);
	assert_true(space_shares_core(&s));
	space_switch(&s);
	assert_int_equal(fake_cpu.cr3, pool_hpa(s.pt.root).v);
	assert_true(fake_translate(hva(HV_IMAGE_BASE), &t));
	assert_true(fake_translate(hva(FAKE_TRAMPOLINE), &t));
	assert_false(fake_translate(hva(VM_WINDOW_BASE), &t));
	space_switch(space_core());
	space_fini(&s);
	assert_int_equal(pool_bytes_used(), before);
	/* The core's tables were not freed with it. */
	assert_true(fake_translate(hva(HV_IMAGE_BASE), &t));
}

static void growth_of_the_core_shows_everywhere(void **state)
{
	struct space s;
	struct fake_translation t;
	char *regs;
	void *block;

	(void)state;
	assert_int_equal(space_init(&s), HV_OK);
	block = pool_pages(FRAME_ORDER_2M);
	regs = space_map_device(hpa(0xfee00000), 0x1000, PT_UC);
	space_switch(&s);
	assert_true(fake_translate(hva(HV_DIRECT_BASE + pool_hpa(block).v), &t));
	assert_true(fake_translate(hva_of_ptr(regs), &t));
	assert_int_equal(t.pa.v, 0xfee00000);
	assert_true(space_shares_core(&s));
	space_switch(space_core());
	space_fini(&s);
}

static void a_vm_window_is_private(void **state)
{
	struct space s;
	struct space other;
	struct fake_translation t;

	(void)state;
	assert_int_equal(space_init(&s), HV_OK);
	assert_int_equal(space_init(&other), HV_OK);
	assert_int_equal(pt_map(&s.pt, VM_WINDOW_BASE, hpa(MIB(16)), PAGE_SIZE,
				(struct pt_attr){.rights = PT_RW}),
			 HV_OK);
	assert_int_equal(pt_map(&s.pt, VM_WINDOW_BASE + VM_WINDOW_SIZE - PAGE_SIZE, hpa(MIB(16)),
				PAGE_SIZE, (struct pt_attr){.rights = PT_RW}),
			 HV_OK);
	assert_true(space_shares_core(&s));
	space_switch(&s);
	assert_true(fake_translate(hva(VM_WINDOW_BASE), &t));
	space_switch(&other);
	assert_false(fake_translate(hva(VM_WINDOW_BASE), &t));
	assert_false(fake_translate(hva(VM_WINDOW_BASE + VM_WINDOW_SIZE - PAGE_SIZE), &t));
	space_switch(space_core());
	assert_false(fake_translate(hva(VM_WINDOW_BASE), &t));
	space_fini(&s);
	space_fini(&other);
}

static void extra_mappings_do_not_count_as_core(void **state)
{
	struct space s;

	(void)state;
	assert_int_equal(space_init(&s), HV_OK);
	assert_int_equal(pt_map(&s.pt, 0xffffd00000000000ull + GIB(8192), hpa(MIB(16)), PAGE_SIZE,
				(struct pt_attr){.rights = PT_RW}),
			 HV_OK);
	assert_false(space_shares_core(&s));
}

static void cr3_is_loaded_only_for_a_change(void **state)
{
	struct space s;
	unsigned loads;

	(void)state;
	assert_int_equal(space_init(&s), HV_OK);
	loads = fake_cpu.cr3_writes;
	space_switch(space_core());
	assert_int_equal(fake_cpu.cr3_writes, loads);
	space_switch(&s);
	space_switch(&s);
	assert_int_equal(fake_cpu.cr3_writes, loads + 1);
	assert_ptr_equal(space_current(), &s);
	space_switch(space_core());
	space_fini(&s);
}

static void current_is_per_cpu(void **state)
{
	static struct cpu_local second;
	struct space s;

	(void)state;
	assert_int_equal(space_init(&s), HV_OK);
	space_switch(&s);
	second.self = &second;
	second.index = 1;
	fake_msr_set(MSR_GS_BASE, (uint64_t)(uintptr_t)&second);
	space_cpu_init();
	assert_ptr_equal(space_current(), space_core());
	fake_msr_set(MSR_GS_BASE, 0);
	assert_ptr_equal(space_current(), &s);
	space_switch(space_core());
}

static void flush_is_for_the_current_space(void **state)
{
	struct space s;
	unsigned pages;
	unsigned loads;

	(void)state;
	assert_int_equal(space_init(&s), HV_OK);
	pages = fake_cpu.invlpg_count;
	space_flush(&s, VM_WINDOW_BASE, MIB(1));
	assert_int_equal(fake_cpu.invlpg_count, pages);
	space_switch(&s);
	loads = fake_cpu.cr3_writes;
	space_flush(&s, VM_WINDOW_BASE, 3 * PAGE_SIZE);
	assert_int_equal(fake_cpu.invlpg_count, pages + 3);
	assert_int_equal(fake_cpu.invlpg_last.v, VM_WINDOW_BASE + 2 * PAGE_SIZE);
	assert_int_equal(fake_cpu.cr3_writes, loads);
	space_flush(&s, VM_WINDOW_BASE, MIB(64));
	assert_int_equal(fake_cpu.cr3_writes, loads + 1);
	assert_int_equal(fake_cpu.invlpg_count, pages + 3);
	space_switch(space_core());
	space_fini(&s);
}

static void devices_are_uncached_and_mapped_once(void **state)
{
	char *apic = space_map_device(hpa(0xfee00020), 0x10, PT_UC);
	char *again = space_map_device(hpa(0xfee00f00), 0x100, PT_UC);
	char *frame = space_map_device(hpa(0xc0000000), MIB(8), PT_WC);
	struct pt_leaf leaf;

	(void)state;
	assert_int_equal((uintptr_t)apic % PAGE_SIZE, 0x20);
	assert_ptr_equal(again, apic - 0x20 + 0xf00);
	assert_true(pt_lookup(&space_core()->pt, (uintptr_t)apic, &leaf));
	assert_int_equal(leaf.pa.v, 0xfee00000);
	assert_int_equal(leaf.attr.type, PT_UC);
	assert_int_equal(leaf.attr.rights, PT_RW);
	assert_true(pt_lookup(&space_core()->pt, (uintptr_t)frame + MIB(3), &leaf));
	assert_int_equal(leaf.size, PAGE_SIZE_2M);
	assert_int_equal(leaf.attr.type, PT_WC);
	/* The same page with another type is another mapping. */
	assert_ptr_not_equal(space_map_device(hpa(0xfee00020), 0x10, PT_WC), apic);
	/* A range across a page boundary gets both pages. */
	apic = space_map_device(hpa(0xfec00ff8), 0x10, PT_UC);
	assert_true(pt_lookup(&space_core()->pt, (uintptr_t)apic + 0xf, &leaf));
	assert_int_equal(leaf.pa.v, 0xfec01000);
}

static void firmware_tables_can_be_read(void **state)
{
	struct fake_translation t;
	const char *table;

	(void)state;
	strcpy(fake_ram(hpa(ACPI + 0x24)), "RSDT");
	table = space_map_readonly(hpa(ACPI + 0x24), 36);
	assert_string_equal(table, "RSDT");
	assert_true(fake_translate(hva(HV_DEVICE_BASE + ACPI % PAGE_SIZE_2M), &t));
	assert_int_equal(t.pa.v, ACPI);
	assert_false(t.write);
	assert_false(t.exec);
}

static void what_firmware_says_may_be_anything(void **state)
{
	hpa_t guest;

	(void)state;
	assert_int_equal(frame_alloc(0, FRAME_GUEST, 1, &guest), HV_OK);
	/* Guest memory, free memory, our own, in part or whole. */
	assert_null(space_map_readonly(guest, 36));
	assert_null(space_map_readonly(hpa(guest.v - 16), 36));
	assert_null(space_map_readonly(hpa(MIB(16)), 36));
	assert_null(space_map_readonly(hpa(FAKE_IMAGE_BASE), 36));
	assert_null(space_map_readonly(hpa(frame_top() - 4), 36));
	assert_null(space_map_device(hpa(pool_hpa(pool_pages(0)).v), 16, PT_UC));
	/* Nothing, too much, wrapping, beyond what a CPU can address. */
	assert_null(space_map_readonly(hpa(0xf0000), 0));
	assert_null(space_map_readonly(hpa(GIB(64)), HV_DEVICE_SIZE));
	assert_null(space_map_readonly(hpa(UINT64_MAX - 8), 36));
	assert_null(space_map_readonly(hpa(UINT64_MAX), 1));
	assert_null(space_map_readonly(hpa(BIT(52)), 36));
	assert_null(space_map_readonly(hpa(GIB(64)), UINT64_MAX));
	assert_non_null(space_map_readonly(hpa(0xf0000), 36));
}

static void the_device_window_ends(void **state)
{
	unsigned count = 0;

	(void)state;
	/* Another 8 GiB each time; the pool's memory for tables is not the limit: 1 GiB pages. */
	while (space_map_device(hpa(GIB(64) + count * GIB(8)), GIB(8), PT_UC) != NULL) {
		count++;
		assert_true(count <= 64);
	}
	assert_int_equal(count, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_space_is_the_core_and_nothing_more, setup),
		cmocka_unit_test_setup(growth_of_the_core_shows_everywhere, setup),
		cmocka_unit_test_setup(a_vm_window_is_private, setup),
		cmocka_unit_test_setup(extra_mappings_do_not_count_as_core, setup),
		cmocka_unit_test_setup(cr3_is_loaded_only_for_a_change, setup),
		cmocka_unit_test_setup(current_is_per_cpu, setup),
		cmocka_unit_test_setup(flush_is_for_the_current_space, setup),
		cmocka_unit_test_setup(devices_are_uncached_and_mapped_once, setup),
		cmocka_unit_test_setup(firmware_tables_can_be_read, setup),
		cmocka_unit_test_setup(what_firmware_says_may_be_anything, setup),
		cmocka_unit_test_setup(the_device_window_ends, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
