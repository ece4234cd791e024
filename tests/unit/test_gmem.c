/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/api/gmem.h"
#include "hv/api/vm.h"
#include "mm/frame.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

static struct vm vm;

/* Leaves every second frame free, so that neighbours of the guest are no neighbours here. */
static void fragment(void)
{
	static hpa_t taken[MIB(32) / PAGE_SIZE];
	unsigned count = 0;

	while (frame_alloc(0, FRAME_HV, OWNER_HV, &taken[count]) == HV_OK) {
		count++;
	}
	for (unsigned i = 0; i < count; i++) {
		if ((taken[i].v >> PAGE_SHIFT) % 2 == 0) {
			frame_put(taken[i]);
		}
	}
}

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MIB(32));
	fragment();
	memset(&vm, 0, sizeof(vm));
	assert_int_equal(gspace_init(&vm.gspace, 1, &pt_format_npt, PT_LEVEL_2M), HV_OK);
	assert_int_equal(gspace_add_region(&vm.gspace, 0, MIB(1), true), HV_OK);
	assert_int_equal(gspace_add_region(&vm.gspace, MIB(1), MIB(1), true), HV_OK);
	assert_int_equal(gspace_add_region(&vm.gspace, MIB(4), MIB(2), true), HV_OK);
	assert_int_equal(gspace_populate(&vm.gspace, 0, MIB(1)), HV_OK);
	assert_int_equal(gspace_populate(&vm.gspace, MIB(1), MIB(1)), HV_OK);
	assert_int_equal(gspace_populate(&vm.gspace, MIB(4), MIB(2)), HV_OK);
	space_switch(&vm.gspace.host);
	return 0;
}

static void every_size_and_offset_round_trips(void **state)
{
	uint8_t out[300];
	uint8_t in[300];

	(void)state;
	for (size_t n = 0; n < 300; n += n < 20 ? 1 : 93) {
		for (uint64_t at = 0x3000 - 20; at < 0x3004; at++) {
			for (size_t i = 0; i < n; i++) {
				out[i] = (uint8_t)rand();
			}
			assert_int_equal(guest_mem_write(&vm, gpa(at), out, n), HV_OK);
			assert_int_equal(guest_mem_read(&vm, gpa(at), in, n), HV_OK);
			assert_memory_equal(in, out, n);
		}
	}
}

static void large_copies_cross_many_pages(void **state)
{
	static uint8_t out[MIB(2)];
	static uint8_t in[MIB(2)];
	struct pt_leaf leaf;

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++) {
		out[i] = (uint8_t)(i * 7 + i / 4096);
	}
	assert_int_equal(guest_mem_write(&vm, gpa(MIB(4)), out, sizeof(out)), HV_OK);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(4)), in, sizeof(in)), HV_OK);
	assert_memory_equal(in, out, sizeof(in));
	/* What the guest itself would see. */
	assert_true(pt_lookup(&vm.gspace.stage2, MIB(5) + 0x123, &leaf));
	assert_int_equal(*(uint8_t *)fake_ram(hpa(leaf.pa.v + (MIB(5) + 0x123 - leaf.va))),
			 out[MIB(1) + 0x123]);
}

static void what_is_not_all_ram_is_refused_whole(void **state)
{
	uint8_t in[8] = {9, 9, 9, 9, 9, 9, 9, 9};
	uint8_t zero[8] = {0};

	(void)state;
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(6) - 4), in, 8), HV_E_RANGE);
	assert_int_equal(in[0], 9);
	memset(in, 0xff, sizeof(in));
	assert_int_equal(guest_mem_write(&vm, gpa(MIB(6) - 4), in, 8), HV_E_RANGE);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(6) - 8), in, 8), HV_OK);
	assert_memory_equal(in, zero, 8);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(2)), in, 1), HV_E_RANGE);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(4) - 1), in, 2), HV_E_RANGE);
	assert_int_equal(guest_mem_read(&vm, gpa(UINT64_MAX), in, 1), HV_E_RANGE);
	assert_int_equal(guest_mem_read(&vm, gpa(UINT64_MAX - 3), in, 8), HV_E_RANGE);
	assert_int_equal(guest_mem_read(&vm, gpa(0), in, SIZE_MAX), HV_E_RANGE);
	assert_int_equal(guest_mem_write(&vm, gpa(VM_WINDOW_SIZE), in, 1), HV_E_RANGE);
}

static void neighbouring_regions_are_one_memory(void **state)
{
	uint64_t value = 0x1122334455667788ull;
	uint64_t back = 0;

	(void)state;
	assert_int_equal(guest_mem_write(&vm, gpa(MIB(1) - 3), &value, 8), HV_OK);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(1) - 3), &back, 8), HV_OK);
	assert_int_equal(back, value);
}

static void rom_can_be_read_only(void **state)
{
	uint32_t value = 0xaa55aa55;
	uint32_t back = 0;

	(void)state;
	assert_int_equal(guest_mem_write(&vm, gpa(MIB(4)), &value, 4), HV_OK);
	assert_int_equal(gspace_make_rom(&vm.gspace, MIB(4)), HV_OK);
	assert_int_equal(guest_mem_write(&vm, gpa(MIB(4)), &back, 4), HV_E_RANGE);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(4)), &back, 4), HV_OK);
	assert_int_equal(back, value);
}

static void rom_is_written_on_its_own_way(void **state)
{
	char text[PAGE_SIZE + 8] = "";
	char back[sizeof(text)];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(guest_rom_write(&vm, gpa(MIB(4)), text, sizeof(text)), HV_E_RANGE);
	assert_int_equal(gspace_make_rom(&vm.gspace, MIB(4)), HV_OK);
	assert_int_equal(guest_rom_write(&vm, gpa(MIB(4) + 9), text, sizeof(text)), HV_OK);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(4) + 9), back, sizeof(back)), HV_OK);
	assert_memory_equal(back, text, sizeof(text));
	assert_int_equal(guest_rom_write(&vm, gpa(MIB(6) - 8), text, 9), HV_E_RANGE);
	/* While it is hidden, too. */
	assert_int_equal(gspace_hide_rom(&vm.gspace, MIB(4)), HV_OK);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(4)), back, 1), HV_E_RANGE);
	assert_int_equal(guest_rom_write(&vm, gpa(MIB(4)), "y", 1), HV_OK);
	assert_int_equal(gspace_show_rom(&vm.gspace, MIB(4)), HV_OK);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(4)), back, 1), HV_OK);
	assert_int_equal(back[0], 'y');
}

static void writing_breaks_copy_on_write(void **state)
{
	struct pt_leaf before;
	struct pt_leaf after;
	uint64_t value = 42;

	(void)state;
	assert_int_equal(gspace_share(&vm.gspace, MIB(4), MIB(2)), HV_OK);
	assert_int_equal(guest_mem_read(&vm, gpa(MIB(4)), &value, 8), HV_OK);
	assert_int_equal(vm.gspace.cow_frames, 512);
	value = 42;
	assert_true(pt_lookup(&vm.gspace.stage2, MIB(4) + 0x1000, &before));
	assert_int_equal(guest_mem_write(&vm, gpa(MIB(4) + 0x1ffc), &value, 4), HV_OK);
	assert_int_equal(vm.gspace.cow_frames, 511);
	assert_int_equal(guest_mem_write(&vm, gpa(MIB(4) + 0x4ffc), &value, 8), HV_OK);
	assert_int_equal(vm.gspace.cow_frames, 509);
	assert_true(pt_lookup(&vm.gspace.stage2, MIB(4) + 0x1000, &after));
	assert_true(after.pa.v != before.pa.v);
	/* The other holder's frame is as it was. */
	assert_int_equal(*(uint32_t *)fake_ram(hpa(before.pa.v + 0xffc)), 0);
	assert_int_equal(*(uint32_t *)fake_ram(hpa(after.pa.v + 0xffc)), 42);
}

static uint16_t read_u16(uint64_t at)
{
	uint16_t value = 0;

	assert_int_equal(guest_mem_read_u16(&vm, gpa(at), &value), HV_OK);
	return value;
}

/* Even and odd addresses, the last ones of pages and regions, ROM, what is no RAM. */
static void two_bytes_are_as_any_others(void **state)
{
	uint8_t bytes[4];
	uint16_t value;

	(void)state;
	for (uint64_t at = 0x3000 - 3; at < 0x3002; at++) {
		assert_int_equal(guest_mem_write_u16(&vm, gpa(at), (uint16_t)(0x1200 + at)), HV_OK);
		assert_int_equal(guest_mem_read(&vm, gpa(at), bytes, 2), HV_OK);
		assert_int_equal(bytes[0] | bytes[1] << 8, (uint16_t)(0x1200 + at));
		assert_int_equal(read_u16(at), (uint16_t)(0x1200 + at));
	}
	assert_int_equal(guest_mem_write_u16(&vm, gpa(MIB(2) - 2), 0xbeef), HV_OK);
	assert_int_equal(read_u16(MIB(2) - 2), 0xbeef);
	assert_int_equal(guest_mem_read_u16(&vm, gpa(MIB(2) - 1), &value), HV_E_RANGE);
	assert_int_equal(guest_mem_write_u16(&vm, gpa(MIB(2)), 1), HV_E_RANGE);
	assert_int_equal(guest_mem_read_u16(&vm, gpa(~1ull), &value), HV_E_RANGE);
}

/* Nothing of an access is kept for the next: it finds what a page has become meanwhile. */
static void two_bytes_of_a_page_that_was_given_back_are_new(void **state)
{
	uint64_t done;

	(void)state;
	assert_int_equal(gspace_allow_release(&vm.gspace), HV_OK);
	assert_int_equal(guest_mem_write_u16(&vm, gpa(0x5000), 0xbeef), HV_OK);
	assert_int_equal(gspace_release(&vm.gspace, 0x5000, PAGE_SIZE, &done), HV_OK);
	while (gspace_release_step(&vm.gspace, MIB(1)) != GSPACE_RELEASE_DONE) {
		space_flush(&vm.gspace.host, VM_WINDOW_BASE, MIB(2));
	}
	assert_int_equal(gspace_holes(&vm.gspace), PAGE_SIZE);
	assert_int_equal(read_u16(0x5000), 0);
	assert_int_equal(gspace_holes(&vm.gspace), 0);
	assert_int_equal(guest_mem_write_u16(&vm, gpa(0x5000), 0xcafe), HV_OK);
	assert_int_equal(read_u16(0x5000), 0xcafe);
}

static void two_bytes_break_copy_on_write(void **state)
{
	(void)state;
	assert_int_equal(guest_mem_write_u16(&vm, gpa(0x6000), 0xbeef), HV_OK);
	assert_int_equal(gspace_share(&vm.gspace, 0x6000, PAGE_SIZE), HV_OK);
	assert_int_equal(read_u16(0x6000), 0xbeef);
	assert_int_equal(guest_mem_write_u16(&vm, gpa(0x6000), 0xcafe), HV_OK);
	assert_int_equal(read_u16(0x6000), 0xcafe);
	assert_int_equal(vm.gspace.cow_frames, 0);
}

static void the_space_must_be_current(void **state)
{
	uint16_t word;
	uint8_t byte;

	(void)state;
	space_switch(space_core());
	EXPECT_CHECK((void)!guest_mem_read(&vm, gpa(0), &byte, 1));
	EXPECT_CHECK((void)!guest_mem_write(&vm, gpa(0), &byte, 1));
	EXPECT_CHECK((void)!guest_mem_read_u16(&vm, gpa(0), &word));
	EXPECT_CHECK((void)!guest_mem_write_u16(&vm, gpa(0), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_size_and_offset_round_trips, setup),
		cmocka_unit_test_setup(large_copies_cross_many_pages, setup),
		cmocka_unit_test_setup(what_is_not_all_ram_is_refused_whole, setup),
		cmocka_unit_test_setup(neighbouring_regions_are_one_memory, setup),
		cmocka_unit_test_setup(rom_can_be_read_only, setup),
		cmocka_unit_test_setup(rom_is_written_on_its_own_way, setup),
		cmocka_unit_test_setup(writing_breaks_copy_on_write, setup),
		cmocka_unit_test_setup(two_bytes_are_as_any_others, setup),
		cmocka_unit_test_setup(two_bytes_of_a_page_that_was_given_back_are_new, setup),
		cmocka_unit_test_setup(two_bytes_break_copy_on_write, setup),
		cmocka_unit_test_setup(the_space_must_be_current, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
