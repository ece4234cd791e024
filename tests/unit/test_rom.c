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
/* As firmware's flash: large pages, and small ones before them. */
#define ROM (GIB(4) - MIB(4) - 0x84000)
#define ROM_SIZE (MIB(4) + 0x84000)
#define ROM_END (ROM + ROM_SIZE)

static void begin(unsigned i)
{
	start_empty(MACHINE, formats[i].format, formats[i].max_level);
	assert_int_equal(gspace_add_region(&g, 0, RAM, true), HV_OK);
	assert_int_equal(gspace_populate(&g, 0, RAM), HV_OK);
	assert_int_equal(gspace_add_rom(&g, ROM, ROM_SIZE), HV_OK);
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

static void put(uint64_t addr, const char *text)
{
	assert_int_equal(gspace_access_rom(&g, gpa(addr), 16), HV_OK);
	memcpy(access_ptr(hva(VM_WINDOW_BASE + addr), true), text, strlen(text) + 1);
}

static const char *get(uint64_t addr)
{
	return gspace_ptr(&g, gpa(addr), 16, false);
}

static struct pt_leaf leaf_at(uint64_t addr)
{
	struct pt_leaf leaf;

	assert_true(pt_lookup(&g.stage2, addr, &leaf));
	return leaf;
}

static bool is_mapped(uint64_t addr)
{
	struct pt_leaf leaf;

	return pt_lookup(&g.stage2, addr, &leaf);
}

static void read_only(void)
{
	assert_int_equal(g.ram_bytes, RAM);
	put(ROM_END - 16, "reset vector");
	assert_string_equal(get(ROM_END - 16), "reset vector");
	assert_null(gspace_ptr(&g, gpa(ROM), 16, true));
	assert_int_equal(gspace_fault(&g, gpa(ROM), true), GSPACE_FAULT_ROM);
	assert_int_equal(gspace_fault(&g, gpa(ROM), false), GSPACE_FAULT_RETRY);
	for (uint64_t at = ROM; at < ROM_END; at += leaf_at(at).size) {
		assert_int_equal(leaf_at(at).attr.rights, PT_RX);
	}
	/* What is no ROM, or not all of one. */
	assert_int_equal(gspace_access_rom(&g, gpa(0), 1), HV_E_RANGE);
	assert_int_equal(gspace_access_rom(&g, gpa(ROM_END - 8), 9), HV_E_RANGE);
	assert_int_equal(gspace_access_rom(&g, gpa(ROM - 1), 2), HV_E_RANGE);
	assert_int_equal(gspace_access_rom(&g, gpa(ROM + 1), UINT64_MAX), HV_E_RANGE);
}

static void rom_is_written_by_the_hypervisor_only(void **state)
{
	(void)state;
	with_each_format(read_only);
}

static void hidden(void)
{
	uint64_t tables = g.stage2.table_count;
	uint64_t size = leaf_at(ROM_END - 1).size;

	put(ROM + 0x1000, "variables");
	g.stage2.changed = false;
	assert_int_equal(gspace_hide_rom(&g, ROM), HV_OK);
	assert_int_equal(gspace_hide_rom(&g, ROM), HV_OK);
	assert_true(g.stage2.changed);
	for (uint64_t at = ROM; at < ROM_END; at += PAGE_SIZE) {
		assert_false(is_mapped(at));
	}
	assert_true(is_mapped(RAM - 1));
	/* All accesses are the device's, by whatever way. */
	assert_int_equal(gspace_fault(&g, gpa(ROM), false), GSPACE_FAULT_MMIO);
	assert_int_equal(gspace_fault(&g, gpa(ROM), true), GSPACE_FAULT_MMIO);
	assert_int_equal(gspace_fetch_fault(&g, gpa(ROM_END - 1)), GSPACE_FAULT_MMIO);
	assert_null(gspace_ptr(&g, gpa(ROM), 1, false));
	assert_false(gspace_hit(&g, gpa(ROM), 1, false));
	assert_int_equal(gspace_share(&g, ROM, PAGE_SIZE), HV_E_BUSY);
	expect_isolated();
	put(ROM + 0x1000, "meanwhile");
	assert_int_equal(gspace_show_rom(&g, ROM), HV_OK);
	assert_int_equal(gspace_show_rom(&g, ROM), HV_OK);
	assert_string_equal(get(ROM + 0x1000), "meanwhile");
	/* In the tables from before, as a CPU may be walking them. */
	assert_int_equal(g.stage2.table_count, tables);
	assert_int_equal(leaf_at(ROM_END - 1).size, size);
	read_only();
}

static void a_hidden_rom_is_its_devices(void **state)
{
	(void)state;
	with_each_format(hidden);
}

static void hide(void)
{
	assert_int_equal(gspace_hide_rom(&g, ROM), HV_OK);
}

static void a_guest_may_end_while_it_is_hidden(void **state)
{
	(void)state;
	with_each_format(hide);
}

/* Where code may not be in large pages, fetches split what the window has in one piece. */
static void code_in_small_pages_stays_small(void **state)
{
	uint64_t tables;

	(void)state;
	start_empty(MACHINE, &pt_format_ept, PT_LEVEL_2M);
	gspace_limit_code(&g, PT_LEVEL_4K);
	assert_int_equal(gspace_add_rom(&g, ROM, ROM_SIZE), HV_OK);
	space_switch(&g.host);
	assert_int_equal(leaf_at(ROM_END - 16).size, PAGE_SIZE_2M);
	assert_int_equal(leaf_at(ROM_END - 16).attr.rights, PT_R);
	assert_int_equal(gspace_fetch_fault(&g, gpa(ROM_END - 16)), GSPACE_FAULT_RETRY);
	assert_int_equal(leaf_at(ROM_END - 16).size, PAGE_SIZE);
	tables = g.stage2.table_count;
	assert_int_equal(gspace_hide_rom(&g, ROM), HV_OK);
	assert_int_equal(gspace_show_rom(&g, ROM), HV_OK);
	assert_int_equal(g.stage2.table_count, tables);
	assert_int_equal(leaf_at(ROM_END - 16).size, PAGE_SIZE);
	assert_int_equal(leaf_at(ROM_END - MIB(2) - 1).size, PAGE_SIZE_2M);
	assert_int_equal(leaf_at(ROM_END - MIB(2) - 1).attr.rights, PT_R);
	end();
}

static void shared(void)
{
	const hpa_t before[] = {leaf_at(ROM).pa, leaf_at(ROM + PAGE_SIZE).pa};

	put(ROM, "template");
	/* One reference for whoever maps it next, as a fork of this guest would. */
	assert_int_equal(gspace_share(&g, ROM, 2 * PAGE_SIZE), HV_OK);
	put(ROM, "own");
	assert_int_equal(leaf_at(ROM).attr.rights & PT_W, 0);
	assert_false(leaf_at(ROM).attr.cow);
	assert_int_not_equal(leaf_at(ROM).pa.v, before[0].v);
	assert_true(leaf_at(ROM + PAGE_SIZE).attr.cow);
	assert_string_equal(get(ROM), "own");
	/* Hidden, nothing of it is shared any more. */
	assert_int_equal(gspace_hide_rom(&g, ROM), HV_OK);
	assert_int_equal(g.cow_frames, 0);
	assert_int_equal(gspace_show_rom(&g, ROM), HV_OK);
	read_only();
	frame_put(before[0]);
	frame_put(before[1]);
}

static void shared_rom_is_copied_when_it_is_written(void **state)
{
	(void)state;
	with_each_format(shared);
}

static void only_roms(void)
{
	assert_int_equal(gspace_hide_rom(&g, 0), HV_E_NOT_FOUND);
	assert_int_equal(gspace_show_rom(&g, 0), HV_E_NOT_FOUND);
	assert_int_equal(gspace_hide_rom(&g, ROM + PAGE_SIZE), HV_E_NOT_FOUND);
	assert_int_equal(gspace_hide_rom(&g, GIB(5)), HV_E_NOT_FOUND);
	assert_int_equal(gspace_add_rom(&g, RAM - PAGE_SIZE, MIB(1)), HV_E_EXISTS);
	assert_int_equal(gspace_add_region(&g, GIB(8), GIB(1), false), HV_OK);
	assert_int_equal(gspace_hide_rom(&g, GIB(8)), HV_E_NOT_FOUND);
	/* RAM that was filled and made ROM is one. */
	assert_int_equal(gspace_make_rom(&g, 0), HV_OK);
	assert_int_equal(gspace_hide_rom(&g, 0), HV_OK);
	assert_int_equal(gspace_show_rom(&g, 0), HV_OK);
	assert_int_equal(gspace_add_rom(&g, GIB(16), MACHINE), HV_E_NO_MEMORY);
}

static void only_a_rom_can_be_hidden(void **state)
{
	(void)state;
	with_each_format(only_roms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rom_is_written_by_the_hypervisor_only),
		cmocka_unit_test(a_hidden_rom_is_its_devices),
		cmocka_unit_test(a_guest_may_end_while_it_is_hidden),
		cmocka_unit_test(code_in_small_pages_stays_small),
		cmocka_unit_test(shared_rom_is_copied_when_it_is_written),
		cmocka_unit_test(only_a_rom_can_be_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
