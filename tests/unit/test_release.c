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
#include "tests/fakes/gspace_rig.h"

#define MACHINE MIB(64)
#define RAM MIB(16)
#define PAGES (RAM / PAGE_SIZE)

static void begin(const struct pt_format *format, unsigned max_level)
{
	start_empty(MACHINE, format, max_level);
	assert_int_equal(gspace_add_region(&g, 0, RAM, true), HV_OK);
	assert_int_equal(gspace_populate(&g, 0, RAM), HV_OK);
	assert_int_equal(gspace_allow_release(&g), HV_OK);
	space_switch(&g.host);
}

static int setup(void **state)
{
	(void)state;
	begin(&pt_format_npt, PT_LEVEL_1G);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end();
	return 0;
}

static uint64_t guest_frames(void)
{
	struct frame_stats now;

	frame_stats(&now);
	return now.guest;
}

static void release(uint64_t base, uint64_t size)
{
	uint64_t done;

	assert_int_equal(gspace_release(&g, base, size, &done), HV_OK);
	assert_int_equal(done, size);
}

static void finish_release(void)
{
	while (gspace_release_step(&g, MIB(2)) != GSPACE_RELEASE_DONE) {
	}
}

static char *at(uint64_t addr)
{
	char *p = gspace_ptr(&g, gpa(addr), 1, true);

	assert_non_null(p);
	return p;
}

static uint64_t leaf_size(uint64_t addr)
{
	struct pt_leaf leaf;

	return pt_lookup(&g.stage2, addr, &leaf) ? leaf.size : 0;
}

static void frames_go_after_two_flushes(void **state)
{
	struct fake_translation t;
	hpa_t frame;

	(void)state;
	memset(at(MIB(4)), 0x77, PAGE_SIZE);
	release(MIB(4), MIB(2));
	assert_int_equal(leaf_size(MIB(4)), 0);
	assert_int_equal(g.ram_bytes, RAM - MIB(2));
	/* Whoever has a pointer from before may go on. */
	assert_true(fake_translate(hva(VM_WINDOW_BASE + MIB(4)), &t));
	frame = t.pa;
	expect_isolated();
	assert_int_equal(gspace_release_step(&g, MIB(8)), GSPACE_RELEASE_FLUSH);
	assert_true(fake_translate(hva(VM_WINDOW_BASE + MIB(4)), &t));
	assert_int_equal(gspace_release_step(&g, MIB(8)), GSPACE_RELEASE_FLUSH);
	assert_false(fake_translate(hva(VM_WINDOW_BASE + MIB(4)), &t));
	assert_int_equal(guest_frames(), PAGES);
	expect_isolated();
	assert_int_equal(gspace_release_step(&g, MIB(8)), GSPACE_RELEASE_AGAIN);
	assert_int_equal(guest_frames(), PAGES - 512);
	assert_int_equal(*(char *)fake_ram(frame), 0);
	assert_int_equal(gspace_release_step(&g, MIB(8)), GSPACE_RELEASE_DONE);
	expect_isolated();
}

static void a_large_hole_is_filled_by_a_large_page(void **state)
{
	(void)state;
	*at(MIB(4)) = 'x';
	release(MIB(4), MIB(4));
	finish_release();
	assert_int_equal(gspace_fault(&g, gpa(MIB(4) + 0x5123), false), GSPACE_FAULT_RETRY);
	assert_int_equal(leaf_size(MIB(4)), PAGE_SIZE_2M);
	assert_int_equal(leaf_size(MIB(6)), 0);
	assert_int_equal(*at(MIB(4)), 0);
	assert_int_equal(g.ram_bytes, RAM - MIB(2));
	expect_isolated();
	/* An access of the hypervisor, across both. */
	assert_int_equal(gspace_access(&g, gpa(MIB(8) - 4), 8, false), HV_OK);
	assert_int_equal(leaf_size(MIB(6)), PAGE_SIZE_2M);
	assert_int_equal(g.ram_bytes, RAM);
	assert_int_equal(gspace_fetch_fault(&g, gpa(MIB(6))), GSPACE_FAULT_RETRY);
}

static void small_holes_keep_their_table(void **state)
{
	uint64_t tables;

	(void)state;
	for (uint64_t addr = MIB(4); addr < MIB(6); addr += PAGE_SIZE) {
		release(addr, PAGE_SIZE);
	}
	tables = g.stage2.table_count + g.host.pt.table_count;
	finish_release();
	*at(MIB(4) + 0x3000) = 'y';
	assert_int_equal(leaf_size(MIB(4) + 0x3000), PAGE_SIZE);
	assert_int_equal(g.stage2.table_count + g.host.pt.table_count, tables);
	assert_int_equal(g.ram_bytes, RAM - MIB(2) + PAGE_SIZE);
}

static void what_is_touched_in_between_comes_back(void **state)
{
	(void)state;
	for (unsigned steps = 0; steps < 3; steps++) {
		*at(MIB(4)) = 'x';
		release(MIB(4), MIB(2));
		for (unsigned i = 0; i < steps; i++) {
			assert_int_equal(gspace_release_step(&g, MIB(2)), GSPACE_RELEASE_FLUSH);
		}
		/* It is the guest's own, so it may be what it was. */
		assert_int_equal(*at(MIB(4)), 'x');
		assert_int_equal(leaf_size(MIB(4)), PAGE_SIZE_2M);
		assert_int_equal(g.ram_bytes, RAM);
		assert_true(gspace_hit(&g, gpa(MIB(4)), 8, true));
		expect_isolated();
		finish_release();
		assert_int_equal(*at(MIB(4)), 'x');
	}
}

/* What is given back while a batch is on its way waits for flushes of its own. */
static void a_later_release_waits_for_its_own_flushes(void **state)
{
	struct fake_translation t;

	(void)state;
	release(MIB(4), MIB(2));
	assert_int_equal(gspace_release_step(&g, MIB(2)), GSPACE_RELEASE_FLUSH);
	release(MIB(8), MIB(2));
	assert_int_equal(gspace_release_step(&g, MIB(2)), GSPACE_RELEASE_FLUSH);
	assert_true(fake_translate(hva(VM_WINDOW_BASE + MIB(8)), &t));
	expect_isolated();
	assert_int_equal(gspace_release_step(&g, MIB(2)), GSPACE_RELEASE_AGAIN);
	assert_int_equal(gspace_release_step(&g, MIB(2)), GSPACE_RELEASE_AGAIN);
	assert_int_equal(guest_frames(), PAGES - 512);
	assert_int_equal(gspace_release_step(&g, MIB(2)), GSPACE_RELEASE_FLUSH);
	finish_release();
	assert_int_equal(guest_frames(), PAGES - 1024);
}

static void only_ram_can_be_given_back(void **state)
{
	uint64_t done = 1;

	(void)state;
	assert_int_equal(gspace_release(&g, RAM - PAGE_SIZE, 2 * PAGE_SIZE, &done), HV_E_RANGE);
	assert_int_equal(done, 0);
	assert_int_equal(gspace_release(&g, 0x800, PAGE_SIZE, &done), HV_E_RANGE);
	assert_int_equal(gspace_release(&g, 0, UINT64_MAX & ~(PAGE_SIZE - 1), &done), HV_E_RANGE);
	assert_int_equal(gspace_release(&g, UINT64_MAX & ~(PAGE_SIZE - 1), PAGE_SIZE, &done),
			 HV_E_RANGE);
	assert_int_equal(gspace_add_region(&g, MIB(32), MIB(2), true), HV_OK);
	assert_int_equal(gspace_release(&g, MIB(32), PAGE_SIZE, &done), HV_E_RANGE);
	assert_int_equal(gspace_populate(&g, MIB(32), MIB(2)), HV_OK);
	assert_int_equal(gspace_make_rom(&g, MIB(32)), HV_OK);
	assert_int_equal(gspace_release(&g, MIB(32), PAGE_SIZE, &done), HV_E_RANGE);
	assert_int_equal(g.ram_bytes, RAM + MIB(2));
}

static void twice_is_once(void **state)
{
	(void)state;
	release(MIB(4), MIB(2));
	release(MIB(4), MIB(2));
	assert_int_equal(g.release->count, 1);
	finish_release();
	release(MIB(3), MIB(4));
	assert_int_equal(g.ram_bytes, RAM - MIB(4));
	finish_release();
	assert_int_equal(guest_frames(), PAGES - 1024);
}

static void what_is_parked_is_bounded(void **state)
{
	uint64_t done;
	uint64_t before;

	(void)state;
	/* Small pages of their own: every second first. */
	for (unsigned i = 0; i < 2 * GSPACE_PARKED_MAX - 2; i += 2) {
		release(i * PAGE_SIZE, PAGE_SIZE);
	}
	assert_int_equal(gspace_release(&g, 0, 8 * PAGE_SIZE, &done), HV_E_BUSY);
	assert_int_equal(done, 3 * PAGE_SIZE);
	before = g.ram_bytes;
	finish_release();
	release(3 * PAGE_SIZE, 5 * PAGE_SIZE);
	assert_int_equal(g.ram_bytes, before - 3 * PAGE_SIZE);
	expect_isolated();
	/* teardown ends the guest while that is parked. */
}

static void shared_frames_stay(void **state)
{
	struct pt_leaf leaf;

	(void)state;
	assert_int_equal(gspace_share(&g, MIB(2), MIB(2)), HV_OK);
	release(0, MIB(6));
	assert_int_equal(g.ram_bytes, RAM - MIB(4));
	assert_true(pt_lookup(&g.stage2, MIB(2), &leaf));
	assert_true(leaf.attr.cow);
	assert_int_equal(gspace_share(&g, MIB(8), MIB(2)), HV_E_BUSY);
	expect_isolated();
	for (uint64_t n = 0; n < MIB(2); n += PAGE_SIZE) {
		frame_put(hpa(leaf.pa.v + n));
	}
}

static void it_has_to_be_allowed(void **state)
{
	struct gspace_release *allowed = g.release;
	uint64_t done;

	(void)state;
	g.release = NULL;
	assert_int_equal(gspace_release(&g, 0, PAGE_SIZE, &done), HV_E_NOT_FOUND);
	assert_int_equal(gspace_release_step(&g, MIB(2)), GSPACE_RELEASE_DONE);
	g.release = allowed;
}

static void without_frames_a_hole_is_refused(void **state)
{
	static hpa_t taken[MACHINE / PAGE_SIZE];
	unsigned count = 0;

	(void)state;
	release(MIB(4), MIB(2));
	finish_release();
	while (frame_alloc(0, FRAME_HV, OWNER_HV, &taken[count]) == HV_OK) {
		count++;
	}
	assert_int_equal(gspace_fault(&g, gpa(MIB(4)), false), GSPACE_FAULT_NO_MEMORY);
	assert_int_equal(gspace_fetch_fault(&g, gpa(MIB(4))), GSPACE_FAULT_NO_MEMORY);
	assert_int_equal(gspace_access(&g, gpa(MIB(4) - 1), 2, false), HV_E_NO_MEMORY);
	expect_isolated();
	while (count != 0) {
		frame_put(taken[--count]);
	}
	assert_int_equal(*at(MIB(4)), 0);
}

/* --- at random, with CPUs that remember what they once translated --- */

#define CPUS 4
#define KNOWN 24

struct known {
	uint64_t addr;
	hpa_t frame;
	bool window;
};

static struct {
	struct known known[CPUS][KNOWN];
	unsigned count[CPUS];
	bool waiting; /* gspace_release_step wants all to flush */
	bool flushed[CPUS];
	char content[PAGES];
	bool given[PAGES]; /* back: reads what it was, or 0 */
} m;

static bool translate(bool window, uint64_t addr, hpa_t *frame)
{
	struct fake_translation t;
	struct pt_leaf leaf;

	if (window) {
		bool there = fake_translate(hva(VM_WINDOW_BASE + addr), &t);

		*frame = t.pa;
		return there;
	}
	if (!pt_lookup(&g.stage2, addr, &leaf)) {
		return false;
	}
	*frame = hpa(leaf.pa.v + (addr - leaf.va));
	return true;
}

static void remember(unsigned cpu, uint64_t addr)
{
	struct known k = {.addr = addr, .window = rand() % 2 != 0};

	if (m.count[cpu] < KNOWN && translate(k.window, addr, &k.frame)) {
		m.known[cpu][m.count[cpu]++] = k;
	}
}

/* A frame that a CPU can reach is the guest's; where a page is mapped, it is that frame. */
static void expect_safe(void)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		for (unsigned i = 0; i < m.count[cpu]; i++) {
			const struct known *k = &m.known[cpu][i];
			hpa_t now;

			assert_int_equal(frame_info(k->frame)->type, FRAME_GUEST);
			assert_int_equal(frame_info(k->frame)->owner, 1);
			if (translate(k->window, k->addr, &now)) {
				assert_int_equal(now.v, k->frame.v);
			}
		}
	}
}

static void flush(unsigned cpu)
{
	m.count[cpu] = 0;
	m.flushed[cpu] = true;
}

static bool all_flushed(void)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		if (!m.flushed[cpu]) {
			return false;
		}
	}
	return true;
}

static void step(void)
{
	if (m.waiting && !all_flushed()) {
		return;
	}
	m.waiting = gspace_release_step(&g, MIB(2)) == GSPACE_RELEASE_FLUSH;
	memset(m.flushed, 0, sizeof(m.flushed));
}

static void touch(unsigned page)
{
	char *p = at(page * PAGE_SIZE);

	if (!m.given[page] || *p != 0) {
		assert_int_equal(*p, m.content[page]);
	}
	*p = (char)rand();
	m.content[page] = *p;
	m.given[page] = false;
}

static void give(unsigned page)
{
	unsigned n = rand() % 3 == 0 ? 512 : 1 + (unsigned)rand() % 40;
	uint64_t done;

	page = n == 512 ? page & ~511u : page;
	n = (unsigned)min_u64(n, PAGES - page);
	(void)!gspace_release(&g, page * PAGE_SIZE, n * PAGE_SIZE, &done);
	for (unsigned i = 0; i < done / PAGE_SIZE; i++) {
		m.given[page + i] = true;
	}
}

static void play(const struct pt_format *format, unsigned max_level)
{
	begin(format, max_level);
	memset(&m, 0, sizeof(m));
	for (unsigned n = 0; n < 6000; n++) {
		unsigned page = (unsigned)rand() % PAGES;

		switch (rand() % 8) {
		case 0:
			give(page);
			break;
		case 1:
		case 2:
			step();
			break;
		case 3:
			flush((unsigned)rand() % CPUS);
			break;
		case 4:
		case 5:
			touch(page);
			break;
		default:
			remember((unsigned)rand() % CPUS, page * PAGE_SIZE);
			break;
		}
		expect_safe();
		if (n % 500 == 0) {
			expect_isolated();
		}
	}
	for (unsigned page = 0; page < PAGES; page++) {
		touch(page);
	}
	assert_int_equal(g.ram_bytes, RAM);
	give(0);
	end();
}

static void frames_stay_while_a_cpu_can_reach_them(void **state)
{
	(void)state;
	srand(7);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		play(formats[i].format, formats[i].max_level);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_go_after_two_flushes),
		TEST(a_large_hole_is_filled_by_a_large_page),
		TEST(small_holes_keep_their_table),
		TEST(what_is_touched_in_between_comes_back),
		TEST(a_later_release_waits_for_its_own_flushes),
		TEST(only_ram_can_be_given_back),
		TEST(twice_is_once),
		TEST(what_is_parked_is_bounded),
		TEST(shared_frames_stay),
		TEST(it_has_to_be_allowed),
		TEST(without_frames_a_hole_is_refused),
		cmocka_unit_test(frames_stay_while_a_cpu_can_reach_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
