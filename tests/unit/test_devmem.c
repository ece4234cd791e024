/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/bits.h"
#include "mm/access.h"
#include "mm/frame.h"
#include "mm/gspace.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/gspace_rig.h"

#define MACHINE MIB(64)
#define RAM MIB(8)
#define VIDEO MIB(4)
#define BAR 0xc0000000ull
#define WINDOW 0xa0000ull
#define WINDOW_SIZE 0x10000ull

enum { VIEW_BAR, VIEW_WINDOW, VIEW_ROM };

static void begin(unsigned i)
{
	uint64_t offset = 1;

	start_empty(MACHINE, formats[i].format, formats[i].max_level);
	assert_int_equal(gspace_add_region(&g, 0, WINDOW, true), HV_OK);
	assert_int_equal(gspace_add_region(&g, MIB(1), RAM, true), HV_OK);
	assert_int_equal(gspace_populate(&g, 0, WINDOW), HV_OK);
	assert_int_equal(gspace_populate(&g, MIB(1), RAM), HV_OK);
	assert_int_equal(gspace_add_devmem(&g, VIDEO, &offset), HV_OK);
	assert_int_equal(offset, 0);
	space_switch(&g.host);
}

static void with_each_format(void (*test)(void))
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		begin(i);
		test();
		end();
	}
}

static enum hv_status show(unsigned view, uint64_t base, uint64_t offset, uint64_t size)
{
	const struct gspace_view wanted = {.base = base, .offset = offset, .size = size};
	enum hv_status status = gspace_show_devmem(&g, view, &wanted);

	expect_isolated();
	return status;
}

/* The frame that the guest reaches at an address is the one the window has at `offset`. */
static void expect_shown(uint64_t addr, uint64_t offset)
{
	struct pt_leaf stage2;
	struct pt_leaf home;

	assert_true(pt_lookup(&g.stage2, addr, &stage2));
	assert_true(pt_lookup(&g.host.pt, VM_WINDOW_BASE + GSPACE_DEVMEM_HOME + offset, &home));
	assert_int_equal(stage2.pa.v + (addr - stage2.va),
			 home.pa.v + (VM_WINDOW_BASE + GSPACE_DEVMEM_HOME + offset - home.va));
	assert_int_equal(stage2.attr.rights, PT_RW);
	assert_int_equal(gspace_fault(&g, gpa(addr), true), GSPACE_FAULT_RETRY);
	assert_int_equal(gspace_fetch_fault(&g, gpa(addr)), GSPACE_FAULT_MMIO);
}

static void expect_nothing(uint64_t addr)
{
	struct pt_leaf leaf;

	assert_false(pt_lookup(&g.stage2, addr, &leaf));
	assert_int_equal(gspace_fault(&g, gpa(addr), false), GSPACE_FAULT_MMIO);
}

static void moves(void)
{
	expect_nothing(BAR);
	for (uint64_t base = BAR; base < BAR + MIB(64); base += MIB(12)) {
		assert_int_equal(show(VIEW_BAR, base, 0, VIDEO), HV_OK);
		expect_shown(base, 0);
		expect_shown(base + VIDEO - PAGE_SIZE, VIDEO - PAGE_SIZE);
		expect_nothing(base - PAGE_SIZE);
		expect_nothing(base + VIDEO);
		expect_nothing(base == BAR ? BAR + MIB(12) : base - MIB(12));
	}
	assert_int_equal(show(VIEW_BAR, 0, 0, 0), HV_OK);
	expect_nothing(BAR + MIB(60));
}

static void it_moves_with_the_registers(void **state)
{
	(void)state;
	with_each_format(moves);
}

/* Small leaves, then large ones at the same place: tables stay. */
static void window_and_bar(void)
{
	for (uint64_t bank = 0; bank < VIDEO; bank += MIB(1)) {
		assert_int_equal(show(VIEW_WINDOW, WINDOW, bank, WINDOW_SIZE), HV_OK);
		expect_shown(WINDOW, bank);
		expect_shown(WINDOW + WINDOW_SIZE - 1, bank + WINDOW_SIZE - 1);
		assert_int_equal(show(VIEW_BAR, BAR, 0, VIDEO), HV_OK);
		expect_shown(BAR + bank, bank);
	}
	assert_int_equal(show(VIEW_BAR, BAR, WINDOW_SIZE, MIB(2)), HV_OK);
	expect_shown(BAR, WINDOW_SIZE);
	assert_int_equal(show(VIEW_BAR, BAR, 0, VIDEO), HV_OK);
	expect_shown(BAR + MIB(2), MIB(2));
}

static void two_views_show_the_same_memory(void **state)
{
	(void)state;
	with_each_format(window_and_bar);
}

static void refusals(void)
{
	assert_int_equal(show(VIEW_BAR, MIB(4), 0, VIDEO), HV_E_EXISTS);
	assert_int_equal(gspace_fault(&g, gpa(MIB(4)), true), GSPACE_FAULT_RETRY);
	assert_int_equal(show(VIEW_BAR, WINDOW - PAGE_SIZE, 0, VIDEO), HV_E_EXISTS);
	assert_int_equal(show(VIEW_WINDOW, WINDOW, 0, WINDOW_SIZE), HV_OK);
	assert_int_equal(show(VIEW_BAR, WINDOW, 0, PAGE_SIZE), HV_E_EXISTS);
	assert_int_equal(show(VIEW_BAR, BAR + 1, 0, VIDEO), HV_E_RANGE);
	assert_int_equal(show(VIEW_BAR, BAR, PAGE_SIZE, VIDEO), HV_E_RANGE);
	assert_int_equal(show(VIEW_BAR, UINT64_MAX - 0xfff, 0, PAGE_SIZE), HV_E_RANGE);
	expect_nothing(BAR);
	expect_shown(WINDOW, 0);
	/* What is refused takes the view from where it was. */
	assert_int_equal(show(VIEW_WINDOW, MIB(1), 0, WINDOW_SIZE), HV_E_EXISTS);
	expect_nothing(WINDOW);
	assert_int_equal(gspace_access(&g, gpa(BAR), 8, false), HV_E_RANGE);
}

static void memory_goes_before_it(void **state)
{
	(void)state;
	with_each_format(refusals);
}

static void contents(void)
{
	uint8_t *bytes = gspace_devmem_ptr(0);

	for (unsigned i = 0; i < PAGE_SIZE; i++) {
		assert_int_equal(bytes[i], 0);
	}
	memcpy(bytes, "pixels", 7);
	assert_int_equal(show(VIEW_BAR, BAR, 0, VIDEO), HV_OK);
	assert_int_equal(show(VIEW_BAR, BAR + VIDEO, 0, VIDEO), HV_OK);
	assert_string_equal((const char *)gspace_devmem_ptr(0), "pixels");
	assert_int_equal(g.ram_bytes, WINDOW + RAM);
}

static void it_begins_zeroed_and_keeps_what_it_holds(void **state)
{
	(void)state;
	with_each_format(contents);
}

static void sizes_are_checked(void **state)
{
	uint64_t offset;

	(void)state;
	begin(0);
	assert_int_equal(gspace_add_devmem(&g, 0, &offset), HV_E_RANGE);
	assert_int_equal(gspace_add_devmem(&g, 100, &offset), HV_E_RANGE);
	assert_int_equal(gspace_add_devmem(&g, GSPACE_DEVMEM_MAX - VIDEO + PAGE_SIZE, &offset),
			 HV_E_RANGE);
	assert_int_equal(g.devmem.size, VIDEO);
	end();
}

/* A device that only lets itself be read has some of it, too. */
static void read_only(void)
{
	struct gspace_view wanted = {
		.base = BAR + MIB(2), .size = 3 * PAGE_SIZE, .read_only = true};
	struct pt_leaf leaf;

	assert_int_equal(gspace_add_devmem(&g, wanted.size, &wanted.offset), HV_OK);
	assert_int_equal(wanted.offset, VIDEO);
	memcpy(gspace_devmem_ptr(wanted.offset), "program", 8);
	assert_int_equal(show(VIEW_BAR, BAR - VIDEO, 0, VIDEO), HV_OK);
	assert_int_equal(gspace_show_devmem(&g, VIEW_ROM, &wanted), HV_OK);
	expect_isolated();
	assert_true(pt_lookup(&g.stage2, wanted.base, &leaf));
	assert_int_equal(leaf.attr.rights, PT_R);
	assert_int_equal(gspace_fault(&g, gpa(wanted.base), false), GSPACE_FAULT_RETRY);
	assert_int_equal(gspace_fault(&g, gpa(wanted.base), true), GSPACE_FAULT_ROM);
	assert_int_equal(gspace_fault(&g, gpa(wanted.base + wanted.size), true), GSPACE_FAULT_MMIO);
	/* What others see is theirs to write, and the view can become such a one. */
	assert_int_equal(gspace_fault(&g, gpa(BAR - VIDEO), true), GSPACE_FAULT_RETRY);
	assert_int_equal(show(VIEW_ROM, BAR, 0, PAGE_SIZE), HV_OK);
	expect_shown(BAR, 0);
	expect_nothing(wanted.base);
}

static void writes_to_what_is_read_only_exit(void **state)
{
	(void)state;
	with_each_format(read_only);
}

/* What `info isolation` would say of a view that lets the guest write, or shows other memory. */
static void damage(void)
{
	struct gspace_view wanted = {.base = BAR, .size = 2 * PAGE_SIZE, .read_only = true};
	struct gspace *const spaces[] = {&g};
	struct isolation_report report;
	struct pt_leaf leaf;

	assert_int_equal(gspace_show_devmem(&g, VIEW_ROM, &wanted), HV_OK);
	expect_isolated();
	assert_int_equal(pt_protect(&g.stage2, BAR + PAGE_SIZE, PAGE_SIZE,
				    (struct pt_attr){.rights = PT_RW}),
			 HV_OK);
	gspace_isolation_check(spaces, 1, &report);
	assert_int_equal(report.violations, 1);
	assert_true(pt_lookup(&g.stage2, BAR, &leaf));
	assert_int_equal(pt_map(&g.stage2, BAR + PAGE_SIZE, leaf.pa, PAGE_SIZE, leaf.attr), HV_OK);
	gspace_isolation_check(spaces, 1, &report);
	assert_int_equal(report.violations, 1);
	assert_string_equal(report.what, "a view of device memory is another one");
	assert_int_equal(show(VIEW_ROM, 0, 0, 0), HV_OK);
}

static void the_isolation_check_knows_views(void **state)
{
	(void)state;
	with_each_format(damage);
}

static void running_out_of_memory_gives_back_what_was_taken(void **state)
{
	uint64_t offset;

	(void)state;
	start_empty(MACHINE, &pt_format_npt, PT_LEVEL_1G);
	assert_int_equal(gspace_add_devmem(&g, MIB(128), &offset), HV_E_NO_MEMORY);
	assert_true(g.devmem.size > MIB(16));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_moves_with_the_registers),
		cmocka_unit_test(two_views_show_the_same_memory),
		cmocka_unit_test(memory_goes_before_it),
		cmocka_unit_test(it_begins_zeroed_and_keeps_what_it_holds),
		cmocka_unit_test(sizes_are_checked),
		cmocka_unit_test(writes_to_what_is_read_only_exit),
		cmocka_unit_test(the_isolation_check_knows_views),
		cmocka_unit_test(running_out_of_memory_gives_back_what_was_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
