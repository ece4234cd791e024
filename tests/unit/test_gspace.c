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
#include "mm/gspace.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define MACHINE MIB(64)

static struct gspace a;
static struct gspace b;
static struct gspace c;
static struct frame_stats start;
static uint64_t pool_start;

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_machine(MACHINE);
	frame_stats(&start);
	pool_start = pool_bytes_used();
	assert_int_equal(gspace_init(&a, 1, &pt_format_npt, PT_LEVEL_1G), HV_OK);
	assert_int_equal(gspace_init(&b, 2, &pt_format_ept, PT_LEVEL_2M), HV_OK);
	return 0;
}

static void finish(struct gspace *g)
{
	space_switch(space_core());
	while (!gspace_fini_step(g, MIB(2))) {
	}
}

static void expect_isolated(void)
{
	struct gspace *const spaces[] = {&a, &b};
	struct isolation_report report;

	gspace_isolation_check(spaces, 2, &report);
	if (report.violations != 0) {
		fail_msg("isolation: %s at 0x%llx", report.what,
			 (unsigned long long)report.first_violation.v);
	}
}

static int teardown(void **state)
{
	struct frame_stats now;

	(void)state;
	finish(&a);
	finish(&b);
	frame_stats(&now);
	assert_int_equal(now.guest, 0);
	/* What the pool took it keeps; everything else is free again. */
	assert_int_equal(now.free + now.hv, start.free + start.hv);
	assert_int_equal(pool_bytes_used(), pool_start);
	return 0;
}

static void add(struct gspace *g, uint64_t base, uint64_t size)
{
	assert_int_equal(gspace_add_region(g, base, size, true), HV_OK);
	assert_int_equal(gspace_populate(g, base, size), HV_OK);
}

static void regions_are_disjoint_and_aligned(void **state)
{
	(void)state;
	assert_int_equal(gspace_add_region(&a, MIB(1), MIB(4), true), HV_OK);
	assert_int_equal(gspace_add_region(&a, 0, MIB(1) + PAGE_SIZE, true), HV_E_EXISTS);
	assert_int_equal(gspace_add_region(&a, MIB(5) - PAGE_SIZE, MIB(1), true), HV_E_EXISTS);
	assert_int_equal(gspace_add_region(&a, 0x800, MIB(1), true), HV_E_RANGE);
	assert_int_equal(gspace_add_region(&a, 0, 0, true), HV_E_RANGE);
	assert_int_equal(gspace_add_region(&a, VM_WINDOW_SIZE - PAGE_SIZE, 2 * PAGE_SIZE, true),
			 HV_E_RANGE);
	assert_int_equal(gspace_add_region(&a, UINT64_MAX - 0xfff, 0x1000, true), HV_E_RANGE);
	for (unsigned i = 1; i < GSPACE_REGIONS; i++) {
		assert_int_equal(gspace_add_region(&a, GIB(GSPACE_REGIONS - i), PAGE_SIZE, true),
				 HV_OK);
	}
	assert_int_equal(gspace_add_region(&a, GIB(GSPACE_REGIONS + 1), PAGE_SIZE, true),
			 HV_E_RANGE);
	for (unsigned i = 1; i < a.region_count; i++) {
		assert_true(a.regions[i - 1].base < a.regions[i].base);
	}
}

static void populated_memory_is_zero_and_large(void **state)
{
	struct pt_leaf leaf;
	struct pt_leaf window;

	(void)state;
	add(&a, 0, 0xa0000);
	add(&a, MIB(1), MIB(7));
	assert_int_equal(a.ram_bytes, 0xa0000 + MIB(7));
	assert_true(pt_lookup(&a.stage2, MIB(2) + 5, &leaf));
	assert_int_equal(leaf.size, PAGE_SIZE_2M);
	assert_int_equal(leaf.attr.rights, PT_RWX);
	assert_true(pt_lookup(&a.host.pt, VM_WINDOW_BASE + MIB(2), &window));
	assert_int_equal(window.size, PAGE_SIZE_2M);
	assert_int_equal(window.pa.v, leaf.pa.v);
	assert_int_equal(window.attr.rights, PT_RW);
	assert_true(pt_lookup(&a.stage2, MIB(1), &leaf));
	assert_int_equal(leaf.size, PAGE_SIZE);
	assert_false(pt_lookup(&a.stage2, 0xa0000, &leaf));
	assert_false(pt_lookup(&a.host.pt, VM_WINDOW_BASE + 0xa0000, &window));
	for (uint64_t at = MIB(1); at < MIB(8); at += PAGE_SIZE) {
		static const char zero[PAGE_SIZE];

		assert_true(pt_lookup(&a.stage2, at, &leaf));
		assert_memory_equal(fake_ram(hpa(leaf.pa.v + (at - leaf.va))), zero, PAGE_SIZE);
	}
	expect_isolated();
}

/* Nothing that can be executed is larger than the limit, and what is executed becomes small. */
static void expect_code(struct gspace *g, uint64_t addr, uint64_t size, unsigned rights)
{
	struct pt_leaf leaf;

	assert_true(pt_lookup(&g->stage2, addr, &leaf));
	assert_int_equal(leaf.size, size);
	assert_int_equal(leaf.attr.rights, rights);
}

static void code_is_kept_in_small_pages(void **state)
{
	struct pt_leaf shared;

	(void)state;
	gspace_limit_code(&b, PT_LEVEL_4K);
	add(&b, 0, 0x8000);
	add(&b, MIB(2), MIB(8));
	expect_code(&b, 0, PAGE_SIZE, PT_RWX);
	expect_code(&b, MIB(2), PAGE_SIZE_2M, PT_RW);
	assert_int_equal(gspace_fault(&b, gpa(MIB(4)), false), GSPACE_FAULT_RETRY);
	expect_code(&b, MIB(4), PAGE_SIZE_2M, PT_RW);
	b.stage2.changed = false;
	assert_int_equal(gspace_fetch_fault(&b, gpa(MIB(4) + 0x1234)), GSPACE_FAULT_RETRY);
	assert_true(b.stage2.changed);
	/* The whole large page, so that its other pages need no fault of their own. */
	expect_code(&b, MIB(4), PAGE_SIZE, PT_RWX);
	expect_code(&b, MIB(6) - 1, PAGE_SIZE, PT_RWX);
	expect_code(&b, MIB(6), PAGE_SIZE_2M, PT_RW);
	expect_code(&b, MIB(4) - 1, PAGE_SIZE_2M, PT_RW);
	assert_int_equal(gspace_fetch_fault(&b, gpa(MIB(2) - 1)), GSPACE_FAULT_MMIO);
	assert_int_equal(gspace_fetch_fault(&b, gpa(MIB(4))), GSPACE_FAULT_RETRY);
	/* Shared and read-only memory keep to it. */
	assert_true(pt_lookup(&b.stage2, MIB(8), &shared));
	assert_int_equal(gspace_share(&b, MIB(8), MIB(2)), HV_OK);
	expect_code(&b, MIB(8), PAGE_SIZE_2M, PT_R);
	assert_int_equal(gspace_fetch_fault(&b, gpa(MIB(8))), GSPACE_FAULT_RETRY);
	expect_code(&b, MIB(8) + 0x5000, PAGE_SIZE, PT_RX);
	assert_int_equal(gspace_fault(&b, gpa(MIB(8)), true), GSPACE_FAULT_RETRY);
	expect_code(&b, MIB(8), PAGE_SIZE, PT_RWX);
	expect_isolated();
	/* The other holder's references. */
	for (uint64_t at = 0; at < MIB(2); at += PAGE_SIZE) {
		frame_put(hpa(shared.pa.v + at));
	}
}

static void code_may_be_limited_to_2m(void **state)
{
	(void)state;
	gspace_limit_code(&a, PT_LEVEL_2M);
	add(&a, MIB(2), MIB(2));
	expect_code(&a, MIB(2), PAGE_SIZE_2M, PT_RWX);
	assert_int_equal(gspace_fetch_fault(&a, gpa(MIB(2))), GSPACE_FAULT_RETRY);
	expect_code(&a, MIB(2), PAGE_SIZE_2M, PT_RWX);
}

static void populate_goes_in_order(void **state)
{
	(void)state;
	assert_int_equal(gspace_add_region(&a, MIB(2), MIB(6), true), HV_OK);
	assert_int_equal(gspace_populate(&a, MIB(1), MIB(1)), HV_E_RANGE);
	assert_int_equal(gspace_populate(&a, MIB(4), MIB(2)), HV_E_INVALID);
	assert_int_equal(gspace_populate(&a, MIB(2), MIB(7)), HV_E_RANGE);
	assert_int_equal(gspace_populate(&a, MIB(2) + 8, MIB(1)), HV_E_RANGE);
	/* Half a block: taken, zeroed in part, mapped nowhere. */
	assert_int_equal(gspace_populate(&a, MIB(2), MIB(1)), HV_OK);
	assert_int_equal(gspace_fault(&a, gpa(MIB(2)), false), GSPACE_FAULT_MMIO);
	assert_null(gspace_ptr(&a, gpa(MIB(2)), 1, false));
	assert_int_equal(gspace_populate(&a, MIB(2), MIB(1)), HV_E_INVALID);
	expect_isolated();
	assert_int_equal(gspace_populate(&a, MIB(3), MIB(2)), HV_OK);
	assert_int_equal(gspace_fault(&a, gpa(MIB(4) - 1), false), GSPACE_FAULT_RETRY);
	assert_int_equal(gspace_fault(&a, gpa(MIB(4)), false), GSPACE_FAULT_MMIO);
	/* teardown gives back the half block. */
}

/* A page that stands for a device: the guest's like RAM, and counted as none. */
static void a_page_for_a_device(void **state)
{
	char *contents = pool_pages(0);
	hpa_t frame = hpa(0);
	struct pt_leaf leaf;

	(void)state;
	memset(contents, 0x5a, PAGE_SIZE);
	add(&a, 0, MIB(4));
	assert_int_equal(gspace_add_page(&a, 0xfee00000, pool_hpa(contents), &frame), HV_OK);
	assert_int_equal(a.ram_bytes, MIB(4));
	assert_true(pt_lookup(&a.stage2, 0xfee00000, &leaf));
	assert_int_equal(leaf.pa.v, frame.v);
	assert_int_equal(leaf.size, PAGE_SIZE);
	assert_int_equal(leaf.attr.rights & (PT_R | PT_W | PT_X), PT_R | PT_W);
	assert_int_equal(gspace_fetch_fault(&a, gpa(0xfee00010)), GSPACE_FAULT_MMIO);
	assert_int_equal(gspace_fetch_fault(&a, gpa(0x1000)), GSPACE_FAULT_RETRY);
	assert_int_equal(frame_info(frame)->owner, 1);
	assert_memory_equal(fake_ram(frame), contents, PAGE_SIZE);
	expect_isolated();
	assert_int_equal(gspace_add_page(&a, 0xfee00000, pool_hpa(contents), &frame), HV_E_EXISTS);
	pool_pages_free(contents, 0);
}

static void fragmented_memory_falls_back_to_small_pages(void **state)
{
	static hpa_t taken[MACHINE / PAGE_SIZE];
	unsigned count = 0;
	struct pt_leaf leaf;

	(void)state;
	while (frame_alloc(0, FRAME_HV, OWNER_HV, &taken[count]) == HV_OK) {
		count++;
	}
	/* Every second frame: no two neighbours. */
	for (unsigned i = 0; i < count; i++) {
		if ((taken[i].v >> PAGE_SHIFT) % 2 == 0) {
			frame_put(taken[i]);
		}
	}
	add(&a, 0, MIB(2));
	assert_true(pt_lookup(&a.stage2, 0, &leaf));
	assert_int_equal(leaf.size, PAGE_SIZE);
	expect_isolated();
	for (unsigned i = 0; i < count; i++) {
		if ((taken[i].v >> PAGE_SHIFT) % 2 != 0) {
			frame_put(taken[i]);
		}
	}
}

static void running_out_leaves_a_reserve_and_everything_comes_back(void **state)
{
	struct frame_stats now;

	(void)state;
	assert_int_equal(gspace_add_region(&b, 0, GIB(1), true), HV_OK);
	assert_int_equal(gspace_populate(&b, 0, GIB(1)), HV_E_NO_MEMORY);
	frame_stats(&now);
	assert_true(now.free >= FRAME_HV_RESERVE);
	assert_true(now.free < FRAME_HV_RESERVE + 512);
	assert_true(b.ram_bytes > MIB(48));
	expect_isolated();
	finish(&b);
	assert_int_equal(gspace_init(&b, 2, &pt_format_ept, PT_LEVEL_2M), HV_OK);
	frame_stats(&now);
	assert_int_equal(now.guest, 0);
}

static void fini_is_budgeted_and_zeroes(void **state)
{
	struct frame_stats now;
	unsigned steps = 1;

	(void)state;
	add(&a, 0, MIB(16));
	space_switch(&a.host);
	memset(gspace_ptr(&a, gpa(MIB(4)), PAGE_SIZE, true), 0x77, PAGE_SIZE);
	space_switch(space_core());
	while (!gspace_fini_step(&a, MIB(4))) {
		steps++;
		frame_stats(&now);
		assert_int_equal(now.guest, (MIB(20) - steps * MIB(4)) / PAGE_SIZE);
		/* A VM half gone is no violation. */
		expect_isolated();
	}
	assert_int_equal(steps, 5);
	for (uint64_t pa = MIB(4); pa < frame_top(); pa += PAGE_SIZE) {
		if (frame_info(hpa(pa))->type == FRAME_FREE) {
			assert_int_not_equal(*(uint8_t *)fake_ram(hpa(pa)), 0x77);
		}
	}
	assert_int_equal(gspace_init(&a, 1, &pt_format_npt, PT_LEVEL_1G), HV_OK);
}

static void faults_tell_ram_from_mmio_and_rom(void **state)
{
	(void)state;
	add(&a, 0, MIB(2));
	add(&a, MIB(4), MIB(2));
	space_switch(&a.host);
	strcpy(gspace_ptr(&a, gpa(MIB(4)), 16, true), "firmware");
	assert_int_equal(gspace_make_rom(&a, MIB(5)), HV_E_NOT_FOUND);
	assert_int_equal(gspace_make_rom(&a, MIB(4)), HV_OK);
	assert_int_equal(gspace_fault(&a, gpa(0), true), GSPACE_FAULT_RETRY);
	assert_int_equal(gspace_fault(&a, gpa(MIB(2)), false), GSPACE_FAULT_MMIO);
	assert_int_equal(gspace_fault(&a, gpa(MIB(2)), true), GSPACE_FAULT_MMIO);
	assert_int_equal(gspace_fault(&a, gpa(MIB(4)), false), GSPACE_FAULT_RETRY);
	assert_int_equal(gspace_fault(&a, gpa(MIB(4)), true), GSPACE_FAULT_ROM);
	assert_int_equal(gspace_fault(&a, gpa(UINT64_MAX), true), GSPACE_FAULT_MMIO);
	assert_null(gspace_ptr(&a, gpa(MIB(4)), 1, true));
	assert_string_equal(gspace_ptr(&a, gpa(MIB(4)), 16, false), "firmware");
	/* Across the edge of a region, and wrapping. */
	assert_null(gspace_ptr(&a, gpa(MIB(2) - 1), 2, false));
	assert_null(gspace_ptr(&a, gpa(UINT64_MAX), 2, false));
	assert_null(gspace_ptr(&a, gpa(0), UINT64_MAX, false));
	assert_true(a.stage2.changed);
	expect_isolated();
}

/* Lets `b` map what `a` shared, as a fork would: the references that gspace_share added. */
static void adopt(uint64_t base, uint64_t size)
{
	assert_int_equal(gspace_add_region(&b, base, size, true), HV_OK);
	for (uint64_t at = base; at < base + size; at += PAGE_SIZE) {
		struct pt_leaf leaf;
		hpa_t frame;

		assert_true(pt_lookup(&a.stage2, at, &leaf));
		assert_true(leaf.attr.cow);
		frame = hpa(leaf.pa.v + (at - leaf.va));
		assert_int_equal(pt_map(&b.stage2, at, frame, PAGE_SIZE,
					(struct pt_attr){.rights = PT_RX, .cow = true}),
				 HV_OK);
		assert_int_equal(pt_map(&b.host.pt, VM_WINDOW_BASE + at, frame, PAGE_SIZE,
					(struct pt_attr){.rights = PT_R, .cow = true}),
				 HV_OK);
		b.cow_frames++;
	}
	for (unsigned i = 0; i < b.region_count; i++) {
		if (b.regions[i].base == base) {
			b.regions[i].populated = size;
		}
	}
	b.ram_bytes += size;
}

static char read_byte(struct gspace *g, uint64_t addr)
{
	space_switch(&g->host);
	return *(char *)gspace_ptr(g, gpa(addr), 1, false);
}

static void write_byte(struct gspace *g, uint64_t addr, char value)
{
	space_switch(&g->host);
	*(char *)gspace_ptr(g, gpa(addr), 1, true) = value;
}

static void sharing_makes_copies_on_write(void **state)
{
	struct pt_leaf leaf;
	hpa_t shared;

	(void)state;
	add(&a, 0, MIB(4));
	write_byte(&a, MIB(2) + 0x3000, 'x');
	a.stage2.changed = false;
	assert_int_equal(gspace_share(&a, MIB(2), MIB(1)), HV_OK);
	assert_true(a.stage2.changed);
	assert_int_equal(a.cow_frames, 256);
	adopt(MIB(2), MIB(1));
	expect_isolated();
	assert_true(pt_lookup(&a.stage2, MIB(2) + 0x3000, &leaf));
	shared = hpa(leaf.pa.v + (MIB(2) + 0x3000 - leaf.va));
	assert_int_equal(frame_refs(shared), 2);
	assert_int_equal(frame_info(shared)->owner, OWNER_SHARED);
	assert_int_equal(leaf.attr.rights, PT_RX);

	/* A write through the window of b, then one by b's guest elsewhere. */
	write_byte(&b, MIB(2) + 0x3001, 'y');
	assert_int_equal(read_byte(&b, MIB(2) + 0x3000), 'x');
	assert_int_equal(read_byte(&b, MIB(2) + 0x3001), 'y');
	assert_int_equal(read_byte(&a, MIB(2) + 0x3001), 0);
	assert_int_equal(frame_refs(shared), 1);
	assert_int_equal(b.cow_frames, 255);
	assert_int_equal(gspace_fault(&b, gpa(MIB(2) + 0x5fff), true), GSPACE_FAULT_RETRY);
	assert_true(pt_lookup(&b.stage2, MIB(2) + 0x5000, &leaf));
	assert_int_equal(leaf.attr.rights, PT_RWX);
	assert_false(leaf.attr.cow);
	assert_int_equal(b.cow_frames, 254);
	expect_isolated();

	/* The last one to write takes the frame over instead of copying it. */
	write_byte(&a, MIB(2) + 0x3000, 'z');
	assert_true(pt_lookup(&a.stage2, MIB(2) + 0x3000, &leaf));
	assert_int_equal(leaf.pa.v, shared.v);
	assert_int_equal(frame_info(shared)->owner, 1);
	assert_int_equal(read_byte(&b, MIB(2) + 0x3000), 'x');
	/* A second fault at a place already resolved, by another vCPU, changes nothing. */
	assert_int_equal(gspace_fault(&a, gpa(MIB(2) + 0x3000), true), GSPACE_FAULT_RETRY);
	assert_int_equal(a.cow_frames, 255);
	expect_isolated();
	/* Memory that was never shared stayed large and writable. */
	assert_true(pt_lookup(&a.stage2, 0, &leaf));
	assert_int_equal(leaf.size, PAGE_SIZE_2M);
	assert_int_equal(leaf.attr.rights, PT_RWX);
}

static void the_child_outlives_the_parent(void **state)
{
	(void)state;
	add(&a, 0, MIB(2));
	write_byte(&a, 0x1234, 'p');
	assert_int_equal(gspace_share(&a, 0, MIB(2)), HV_OK);
	adopt(0, MIB(2));
	finish(&a);
	assert_int_equal(gspace_init(&a, 1, &pt_format_npt, PT_LEVEL_1G), HV_OK);
	expect_isolated();
	assert_int_equal(read_byte(&b, 0x1234), 'p');
	write_byte(&b, 0x1234, 'c');
	assert_int_equal(b.cow_frames, 511);
	expect_isolated();
	assert_int_equal(gspace_make_rom(&b, 0), HV_E_BUSY);
}

static void a_write_across_pages_breaks_each(void **state)
{
	(void)state;
	add(&a, 0, MIB(2));
	assert_int_equal(gspace_share(&a, 0, MIB(2)), HV_OK);
	adopt(0, MIB(2));
	space_switch(&b.host);
	assert_non_null(gspace_ptr(&b, gpa(0x1fff), 2, true));
	assert_int_equal(b.cow_frames, 510);
	/* Sharing again what is shared in part counts only what is new. */
	assert_int_equal(gspace_share(&b, 0, MIB(2)), HV_OK);
	assert_int_equal(b.cow_frames, 512);
	expect_isolated();
	for (uint64_t at = 0; at < MIB(2); at += PAGE_SIZE) {
		struct pt_leaf leaf;

		assert_true(pt_lookup(&b.stage2, at, &leaf));
		frame_put(leaf.pa);
	}
}

static void without_frames_a_copy_is_refused(void **state)
{
	static hpa_t taken[MACHINE / PAGE_SIZE];
	unsigned count = 0;

	(void)state;
	add(&a, 0, MIB(2));
	assert_int_equal(gspace_share(&a, 0, MIB(2)), HV_OK);
	adopt(0, MIB(2));
	while (frame_alloc(0, FRAME_HV, OWNER_HV, &taken[count]) == HV_OK) {
		count++;
	}
	assert_int_equal(gspace_fault(&b, gpa(0), true), GSPACE_FAULT_NO_MEMORY);
	assert_int_equal(gspace_access(&b, gpa(0), 8, true), HV_E_NO_MEMORY);
	assert_null(gspace_ptr(&b, gpa(0), 8, true));
	assert_int_equal(read_byte(&b, 0), 0);
	expect_isolated();
	for (unsigned i = 0; i < count; i++) {
		frame_put(taken[i]);
	}
	assert_int_equal(gspace_fault(&b, gpa(0), true), GSPACE_FAULT_RETRY);
}

static void share_needs_populated_pages(void **state)
{
	(void)state;
	assert_int_equal(gspace_add_region(&a, 0, MIB(4), true), HV_OK);
	assert_int_equal(gspace_populate(&a, 0, MIB(2)), HV_OK);
	assert_int_equal(gspace_share(&a, 0, MIB(4)), HV_E_RANGE);
	assert_int_equal(gspace_share(&a, 0x10, PAGE_SIZE), HV_E_RANGE);
	assert_int_equal(gspace_share(&a, MIB(8), PAGE_SIZE), HV_E_RANGE);
}

static void the_window_is_flushed_on_this_cpu(void **state)
{
	(void)state;
	add(&a, 0, MIB(2));
	assert_int_equal(gspace_share(&a, 0, MIB(2)), HV_OK);
	adopt(0, MIB(2));
	space_switch(&b.host);
	fake_cpu.invlpg_last = hva(0);
	assert_int_equal(gspace_fault(&b, gpa(0x4000), true), GSPACE_FAULT_RETRY);
	/* The copy's temporary windows close first, then the page of the window. */
	assert_int_equal(fake_cpu.invlpg_last.v, VM_WINDOW_BASE + 0x4000);
}

/* --- three VMs at random against a naive model --- */

#define VMS 3
#define VM_PAGES 1024u /* 4 MiB */

/* The first byte of each page, and what the VM is made of. */
static struct gspace *const vms[VMS] = {&a, &b, &c};
static char content[VMS][VM_PAGES];
static bool running[VMS];

static void expect_content(unsigned v)
{
	space_switch(&vms[v]->host);
	for (unsigned i = 0; i < VM_PAGES; i++) {
		const char *p = gspace_ptr(vms[v], gpa((uint64_t)i << PAGE_SHIFT), 1, false);

		assert_int_equal(*p, content[v][i]);
	}
}

static void start_fresh(unsigned v)
{
	assert_int_equal(gspace_init(vms[v], (uint16_t)(v + 1), &pt_format_npt, PT_LEVEL_2M),
			 HV_OK);
	assert_int_equal(gspace_add_region(vms[v], 0, VM_PAGES * PAGE_SIZE, true), HV_OK);
	for (uint64_t at = 0; at < VM_PAGES * PAGE_SIZE; at += MIB(1)) {
		assert_int_equal(gspace_populate(vms[v], at, MIB(1)), HV_OK);
	}
	memset(content[v], 0, VM_PAGES);
	running[v] = true;
}

static bool map_shared(void *ctx, const struct pt_leaf *leaf)
{
	struct gspace *child = ctx;

	assert_true(leaf->attr.cow);
	assert_int_equal(pt_map(&child->stage2, leaf->va, leaf->pa, leaf->size,
				(struct pt_attr){.rights = PT_RX, .cow = true}),
			 HV_OK);
	assert_int_equal(pt_map(&child->host.pt, VM_WINDOW_BASE + leaf->va, leaf->pa, leaf->size,
				(struct pt_attr){.rights = PT_R, .cow = true}),
			 HV_OK);
	return true;
}

/* What a fork does: the child maps all of the parent's memory. */
static void fork_from(unsigned parent, unsigned child)
{
	struct gspace *g = vms[child];

	assert_int_equal(gspace_init(g, (uint16_t)(child + 1), &pt_format_npt, PT_LEVEL_2M), HV_OK);
	assert_int_equal(gspace_add_region(g, 0, VM_PAGES * PAGE_SIZE, true), HV_OK);
	assert_int_equal(gspace_share(vms[parent], 0, VM_PAGES * PAGE_SIZE), HV_OK);
	pt_walk(&vms[parent]->stage2, 0, VM_PAGES * PAGE_SIZE, map_shared, g);
	g->regions[0].populated = VM_PAGES * PAGE_SIZE;
	g->cow_frames = VM_PAGES;
	memcpy(content[child], content[parent], VM_PAGES);
	running[child] = true;
}

static void write_at_random(unsigned v)
{
	for (unsigned n = (unsigned)rand() % 40; n > 0; n--) {
		unsigned page = (unsigned)rand() % VM_PAGES;

		content[v][page] = (char)rand();
		write_byte(vms[v], (uint64_t)page << PAGE_SHIFT, content[v][page]);
	}
}

static void random_step(void)
{
	unsigned v = (unsigned)rand() % VMS;
	unsigned other = (unsigned)rand() % VMS;

	if (!running[v]) {
		if (running[other] && rand() % 3 != 0) {
			fork_from(other, v);
		} else {
			start_fresh(v);
		}
	} else if (rand() % 6 == 0) {
		finish(vms[v]);
		running[v] = false;
	} else {
		write_at_random(v);
	}
}

static void forks_and_ends_at_random(void **state)
{
	(void)state;
	finish(&a);
	finish(&b);
	srand(23);
	for (unsigned step = 0; step < 300; step++) {
		struct gspace *alive[VMS];
		struct isolation_report report;
		unsigned count = 0;

		random_step();
		for (unsigned v = 0; v < VMS; v++) {
			if (running[v]) {
				expect_content(v);
				alive[count++] = vms[v];
			}
		}
		gspace_isolation_check(alive, count, &report);
		assert_null(report.what);
	}
	for (unsigned v = 0; v < VMS; v++) {
		if (running[v]) {
			finish(vms[v]);
		}
	}
	assert_int_equal(gspace_init(&a, 1, &pt_format_npt, PT_LEVEL_1G), HV_OK);
	assert_int_equal(gspace_init(&b, 2, &pt_format_ept, PT_LEVEL_2M), HV_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(regions_are_disjoint_and_aligned),
		TEST(populated_memory_is_zero_and_large),
		TEST(code_is_kept_in_small_pages),
		TEST(code_may_be_limited_to_2m),
		TEST(populate_goes_in_order),
		TEST(a_page_for_a_device),
		TEST(fragmented_memory_falls_back_to_small_pages),
		TEST(running_out_leaves_a_reserve_and_everything_comes_back),
		TEST(fini_is_budgeted_and_zeroes),
		TEST(faults_tell_ram_from_mmio_and_rom),
		TEST(sharing_makes_copies_on_write),
		TEST(the_child_outlives_the_parent),
		TEST(a_write_across_pages_breaks_each),
		TEST(without_frames_a_copy_is_refused),
		TEST(share_needs_populated_pages),
		TEST(the_window_is_flushed_on_this_cpu),
		TEST(forks_and_ends_at_random),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
