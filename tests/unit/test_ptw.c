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
#include "mm/pool.h"
#include "mm/ptw.h"
#include "mm/space.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"
#include "tests/fakes/scrambled_format.h"

/* Each test runs once per format. */
static const struct pt_format *const formats[] = {&pt_format_host, &pt_format_ept, &pt_format_npt,
						  &pt_format_scrambled};

static const struct pt_format *format;
static struct pt pt;
static uint64_t pool_start;

static const struct pt_attr rwx = {.rights = PT_RWX};
static const struct pt_attr ro_cow = {.rights = PT_R, .cow = true};
static const struct pt_attr device = {.rights = PT_RW, .type = PT_UC};

/* Pool memory but for the tables with which the core maps the pool itself. */
static uint64_t used(void)
{
	return pool_bytes_used() - space_core()->pt.table_count * PAGE_SIZE;
}

static int setup(void **state)
{
	format = *state;
	fake_cpu_reset();
	fake_machine(MIB(32));
	pool_start = used();
	assert_int_equal(pt_init(&pt, format, PT_LEVEL_1G), HV_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(used(), pool_start + pt.table_count * PAGE_SIZE);
	pt_fini(&pt);
	assert_int_equal(used(), pool_start);
	assert_int_equal(pt.table_count, 0);
	return 0;
}

static void map(uint64_t va, uint64_t pa, uint64_t size, struct pt_attr attr)
{
	assert_int_equal(pt_map(&pt, va, hpa(pa), size, attr), HV_OK);
}

static void expect(uint64_t va, uint64_t pa, uint64_t size, struct pt_attr attr)
{
	struct pt_leaf leaf;

	assert_true(pt_lookup(&pt, va, &leaf));
	assert_int_equal(leaf.va, align_down(va, size));
	assert_int_equal(leaf.pa.v + (va - leaf.va), pa);
	assert_int_equal(leaf.size, size);
	assert_int_equal(leaf.attr.rights, attr.rights);
	assert_int_equal(leaf.attr.type, attr.type);
	assert_int_equal(leaf.attr.cow, attr.cow);
}

static void expect_hole(uint64_t va)
{
	struct pt_leaf leaf;

	assert_false(pt_lookup(&pt, va, &leaf));
}

static void an_empty_tree_is_one_table(void **state)
{
	(void)state;
	assert_int_equal(pt.table_count, 1);
	expect_hole(0);
	expect_hole(0xffffffffffffffff);
	assert_int_equal(pt_unmap(&pt, 0, BIT(48)), HV_OK);
	assert_int_equal(pt_protect(&pt, 0, BIT(48), rwx), HV_OK);
	assert_int_equal(pt_unmap(&pt, PAGE_SIZE, PAGE_SIZE), HV_OK);
	assert_int_equal(pt_protect(&pt, PAGE_SIZE, PAGE_SIZE, rwx), HV_OK);
	assert_int_equal(pt_split(&pt, PAGE_SIZE), HV_OK);
	assert_false(pt.changed);
	assert_int_equal(pt.table_count, 1);
}

static void the_largest_leaf_that_fits_is_taken(void **state)
{
	(void)state;
	/* 4 KiB + 2 MiB up to the first GiB, then 1 GiB, then what is left. */
	map(GIB(1) - MIB(2) - PAGE_SIZE, GIB(5) - MIB(2) - PAGE_SIZE,
	    PAGE_SIZE + MIB(2) + GIB(1) + MIB(4) + 2 * PAGE_SIZE, rwx);
	expect(GIB(1) - MIB(2) - 1, GIB(5) - MIB(2) - 1, PAGE_SIZE, rwx);
	expect(GIB(1) - 1, GIB(5) - 1, PAGE_SIZE_2M, rwx);
	expect(GIB(1) + 12345, GIB(5) + 12345, PAGE_SIZE_1G, rwx);
	expect(GIB(2) + MIB(3), GIB(6) + MIB(3), PAGE_SIZE_2M, rwx);
	expect(GIB(2) + MIB(4) + PAGE_SIZE, GIB(6) + MIB(4) + PAGE_SIZE, PAGE_SIZE, rwx);
	expect_hole(GIB(1) - MIB(2) - PAGE_SIZE - 1);
	expect_hole(GIB(2) + MIB(4) + 2 * PAGE_SIZE);
	assert_false(pt.changed);
}

static void a_hole_is_as_large_as_its_entry(void **state)
{
	(void)state;
	assert_int_equal(pt_hole(&pt, GIB(1)), PT_LEVELS);
	map(GIB(1), GIB(1), MIB(2), rwx);
	assert_int_equal(pt_hole(&pt, GIB(1) + 5), 0);
	assert_int_equal(pt_hole(&pt, GIB(2)), PT_LEVEL_1G);
	assert_int_equal(pt_hole(&pt, GIB(1) + MIB(2)), PT_LEVEL_2M);
	assert_int_equal(pt_unmap(&pt, GIB(1) + PAGE_SIZE, PAGE_SIZE), HV_OK);
	assert_int_equal(pt_hole(&pt, GIB(1) + PAGE_SIZE), PT_LEVEL_4K);
	assert_int_equal(pt_hole(&pt, GIB(1)), 0);
}

static void physical_alignment_counts_too(void **state)
{
	(void)state;
	map(GIB(4), MIB(2), GIB(1), rwx);
	expect(GIB(4) + 7, MIB(2) + 7, PAGE_SIZE_2M, rwx);
	map(GIB(8), PAGE_SIZE, MIB(2), rwx);
	expect(GIB(8), PAGE_SIZE, PAGE_SIZE, rwx);
}

static void max_level_limits_leaves(void **state)
{
	(void)state;
	pt.max_level = PT_LEVEL_2M;
	map(0, 0, GIB(1), rwx);
	expect(MIB(7), MIB(7), PAGE_SIZE_2M, rwx);
	pt.max_level = PT_LEVEL_4K;
	map(GIB(1), 0, MIB(2), rwx);
	expect(GIB(1) + MIB(1), MIB(1), PAGE_SIZE, rwx);
}

static void both_ends_of_the_address_space_work(void **state)
{
	const uint64_t last = 0xfffffffffffff000ull;

	(void)state;
	map(last, MIB(1), PAGE_SIZE, rwx);
	map(0, MIB(3), PAGE_SIZE, rwx);
	map(0xffff800000000000ull, MIB(2), MIB(2), device);
	expect(last + 0xfff, MIB(1) + 0xfff, PAGE_SIZE, rwx);
	expect(0, MIB(3), PAGE_SIZE, rwx);
	expect(0xffff800000000000ull + 5, MIB(2) + 5, PAGE_SIZE_2M, device);
	assert_int_equal(pt_unmap(&pt, last, PAGE_SIZE), HV_OK);
	expect_hole(last);
}

static void unmapping_a_part_splits(void **state)
{
	(void)state;
	map(0, GIB(2), GIB(1), ro_cow);
	pt.changed = false;
	assert_int_equal(pt_unmap(&pt, MIB(4) + PAGE_SIZE, PAGE_SIZE), HV_OK);
	assert_true(pt.changed);
	expect(MIB(4), GIB(2) + MIB(4), PAGE_SIZE, ro_cow);
	expect_hole(MIB(4) + PAGE_SIZE);
	expect(MIB(4) + 2 * PAGE_SIZE, GIB(2) + MIB(4) + 2 * PAGE_SIZE, PAGE_SIZE, ro_cow);
	expect(MIB(2), GIB(2) + MIB(2), PAGE_SIZE_2M, ro_cow);
	expect(GIB(1) - 1, GIB(3) - 1, PAGE_SIZE_2M, ro_cow);
	assert_int_equal(pt.table_count, 4);
}

static void a_large_leaf_replaces_tables_and_frees_them(void **state)
{
	(void)state;
	map(0, PAGE_SIZE, MIB(4), rwx);
	assert_int_equal(pt.table_count, 5);
	assert_false(pt.changed);
	map(0, GIB(1), GIB(1), rwx);
	assert_true(pt.changed);
	expect(MIB(3), GIB(1) + MIB(3), PAGE_SIZE_1G, rwx);
	assert_int_equal(pt.table_count, 2);
	assert_int_equal(pt_unmap(&pt, 0, BIT(39)), HV_OK);
	assert_int_equal(pt.table_count, 1);
}

static void changed_means_an_old_translation_went(void **state)
{
	(void)state;
	map(0, 0, MIB(4), rwx);
	assert_false(pt.changed);
	map(0, 0, MIB(4), rwx);
	assert_int_equal(pt_protect(&pt, 0, MIB(4), rwx), HV_OK);
	/* A part that says the same needs no split either. */
	assert_int_equal(pt_protect(&pt, MIB(1), PAGE_SIZE, rwx), HV_OK);
	assert_int_equal(pt_unmap(&pt, MIB(4), MIB(4)), HV_OK);
	assert_false(pt.changed);
	assert_int_equal(pt.table_count, 3);
	assert_int_equal(pt_protect(&pt, MIB(2), MIB(2), ro_cow), HV_OK);
	assert_true(pt.changed);
	expect(MIB(2), MIB(2), PAGE_SIZE_2M, ro_cow);
	expect(MIB(2) - 1, MIB(2) - 1, PAGE_SIZE_2M, rwx);
	pt.changed = false;
	map(0, MIB(8), MIB(2), rwx);
	assert_true(pt.changed);
}

static void protect_leaves_holes(void **state)
{
	(void)state;
	map(0, 0, PAGE_SIZE, rwx);
	map(2 * PAGE_SIZE, MIB(1), PAGE_SIZE, rwx);
	assert_int_equal(pt_protect(&pt, 0, GIB(1), device), HV_OK);
	expect(0, 0, PAGE_SIZE, device);
	expect_hole(PAGE_SIZE);
	expect(2 * PAGE_SIZE, MIB(1), PAGE_SIZE, device);
	expect_hole(3 * PAGE_SIZE);
}

static void split_makes_boundaries(void **state)
{
	uint64_t tables;

	(void)state;
	map(0, 0, GIB(1), ro_cow);
	assert_int_equal(pt_split(&pt, 0), HV_OK);
	assert_int_equal(pt_split(&pt, GIB(1)), HV_OK);
	expect(0, 0, PAGE_SIZE_1G, ro_cow);
	assert_int_equal(pt_split(&pt, MIB(2)), HV_OK);
	expect(MIB(2), MIB(2), PAGE_SIZE_2M, ro_cow);
	assert_int_equal(pt_split(&pt, MIB(4) + PAGE_SIZE), HV_OK);
	assert_int_equal(pt_split(&pt, MIB(6) - PAGE_SIZE), HV_OK);
	expect(MIB(4), MIB(4), PAGE_SIZE, ro_cow);
	/* What lies between boundaries changes without a new table. */
	tables = pt.table_count;
	assert_int_equal(pt_protect(&pt, MIB(4) + PAGE_SIZE, MIB(2) - 2 * PAGE_SIZE, rwx), HV_OK);
	assert_int_equal(pt.table_count, tables);
	expect(MIB(6) - PAGE_SIZE, MIB(6) - PAGE_SIZE, PAGE_SIZE, ro_cow);
}

static void tables_can_be_made_ahead(void **state)
{
	uint64_t *table = pt_table(&pt, GIB(600), PT_LEVEL_1G);
	uint64_t count = pt.table_count;

	(void)state;
	assert_non_null(table);
	assert_int_equal(count, 2);
	map(GIB(601), 0, GIB(1), rwx);
	assert_int_equal(pt.table_count, count);
	assert_true(format->present(table[601 - 512]));
	assert_null(pt_table(&pt, GIB(601), PT_LEVEL_2M));
	assert_ptr_equal(pt_table(&pt, GIB(600), PT_LEVEL_1G), table);
}

struct log {
	struct pt_leaf leaves[16];
	unsigned count;
	unsigned limit;
};

static bool note(void *ctx, const struct pt_leaf *leaf)
{
	struct log *log = ctx;

	log->leaves[log->count++] = *leaf;
	return log->count < log->limit;
}

static void walks_visit_in_order_and_stop(void **state)
{
	const uint64_t base = 0xffff900000000000ull;
	struct log log = {.limit = 16};

	(void)state;
	map(base + GIB(1), GIB(1), GIB(1), rwx);
	map(base + MIB(2), MIB(6), MIB(2), rwx);
	map(base + PAGE_SIZE, MIB(1), 2 * PAGE_SIZE, device);
	pt_walk(&pt, base, GIB(4), note, &log);
	assert_int_equal(log.count, 4);
	assert_int_equal(log.leaves[0].va, base + PAGE_SIZE);
	assert_int_equal(log.leaves[1].va, base + 2 * PAGE_SIZE);
	assert_int_equal(log.leaves[1].pa.v, MIB(1) + PAGE_SIZE);
	assert_int_equal(log.leaves[2].va, base + MIB(2));
	assert_int_equal(log.leaves[2].size, PAGE_SIZE_2M);
	assert_int_equal(log.leaves[3].va, base + GIB(1));
	/* From the middle of a leaf: the whole leaf is named. */
	log = (struct log){.limit = 1};
	pt_walk(&pt, base + MIB(3), GIB(2), note, &log);
	assert_int_equal(log.count, 1);
	assert_int_equal(log.leaves[0].va, base + MIB(2));
	log = (struct log){.limit = 16};
	pt_walk(&pt, base, PAGE_SIZE, note, &log);
	pt_walk(&pt, base + 3 * PAGE_SIZE, MIB(1), note, &log);
	assert_int_equal(log.count, 0);
}

static void without_memory_nothing_breaks(void **state)
{
	static void *pages[8192];
	unsigned count = 0;

	(void)state;
	map(0, 0, GIB(1), rwx);
	while ((pages[count] = pool_pages(0)) != NULL) {
		count++;
	}
	assert_int_equal(pt_map(&pt, GIB(600), hpa(0), PAGE_SIZE, rwx), HV_E_NO_MEMORY);
	assert_int_equal(pt_unmap(&pt, MIB(1), PAGE_SIZE), HV_E_NO_MEMORY);
	assert_int_equal(pt_protect(&pt, MIB(1), PAGE_SIZE, ro_cow), HV_E_NO_MEMORY);
	assert_int_equal(pt_split(&pt, MIB(1)), HV_E_NO_MEMORY);
	assert_null(pt_table(&pt, GIB(600), PT_LEVEL_4K));
	expect(MIB(1), MIB(1), PAGE_SIZE_1G, rwx);
	expect_hole(GIB(600));
	/* One page: a split to 2 MiB works, the one to 4 KiB below it does not. */
	pool_pages_free(pages[--count], 0);
	assert_int_equal(pt_unmap(&pt, MIB(1), PAGE_SIZE), HV_E_NO_MEMORY);
	expect(MIB(1), MIB(1), PAGE_SIZE_2M, rwx);
	while (count != 0) {
		pool_pages_free(pages[--count], 0);
	}
}

static void misuse_is_caught(void **state)
{
	(void)state;
	EXPECT_CHECK((void)!pt_map(&pt, 1, hpa(0), PAGE_SIZE, rwx));
	EXPECT_CHECK((void)!pt_map(&pt, 0, hpa(8), PAGE_SIZE, rwx));
	EXPECT_CHECK((void)!pt_map(&pt, 0, hpa(0), 100, rwx));
	EXPECT_CHECK((void)!pt_unmap(&pt, BIT(47), BIT(48)));
}

/* --- against a naive model: one record per page of 2 GiB + 8 MiB --- */

#define MODEL_BASE (GIB(3) - MIB(4))
#define MODEL_PAGES (unsigned)((GIB(2) + MIB(8)) >> PAGE_SHIFT)

struct page {
	uint64_t pa;
	struct pt_attr attr;
	bool mapped;
};

static struct page model[MODEL_PAGES];

static struct pt_attr random_attr(void)
{
	static const uint8_t rights[] = {PT_R, PT_RW, PT_RX, PT_RWX};

	return (struct pt_attr){
		.rights = rights[rand() % 4],
		.type = (uint8_t)(rand() % 3),
		.cow = rand() % 2 == 0,
	};
}

static bool same_attr(struct pt_attr x, struct pt_attr y)
{
	return x.rights == y.rights && x.type == y.type && x.cow == y.cow;
}

/* A range of the model: small, around 2 MiB, or around 1 GiB, aligned or not. */
static void random_range(unsigned *first, unsigned *count)
{
	static const unsigned grain[] = {1, 1, 512, 512, 262144};
	unsigned g = grain[rand() % 5];
	unsigned start = (unsigned)rand() % MODEL_PAGES;
	/* The second GiB boundary is 1024 pages into the model. */
	unsigned aligned = g == 262144 ? 1024 : start / g * g;

	*first = rand() % 8 == 0 ? start : aligned;
	*count = g == 262144 ? g : g * (1 + (unsigned)rand() % 4);
	if (*count > MODEL_PAGES - *first) {
		*count = MODEL_PAGES - *first;
	}
}

/* Does one random change to both; whether an old translation changed. */
static bool random_change(void)
{
	unsigned first;
	unsigned count;
	unsigned kind = (unsigned)rand() % 3;
	struct pt_attr attr = random_attr();
	uint64_t pa;
	uint64_t va;
	bool changed = false;

	random_range(&first, &count);
	va = MODEL_BASE + ((uint64_t)first << PAGE_SHIFT);
	/* Often as aligned as the virtual address. */
	pa = rand() % 2 == 0 ? va + GIB(8) : (uint64_t)((unsigned)rand() % 100000) << PAGE_SHIFT;
	for (unsigned i = first; i < first + count; i++) {
		struct page old = model[i];
		struct page *p = &model[i];

		if (kind == 0) {
			*p = (struct page){pa + ((uint64_t)(i - first) << PAGE_SHIFT), attr, true};
		} else if (kind == 1) {
			p->mapped = false;
		} else {
			p->attr = attr;
		}
		changed |= old.mapped &&
			   (!p->mapped || old.pa != p->pa || !same_attr(old.attr, p->attr));
	}
	if (kind == 0) {
		map(va, pa, (uint64_t)count << PAGE_SHIFT, attr);
	} else if (kind == 1) {
		assert_int_equal(pt_unmap(&pt, va, (uint64_t)count << PAGE_SHIFT), HV_OK);
	} else {
		assert_int_equal(pt_protect(&pt, va, (uint64_t)count << PAGE_SHIFT, attr), HV_OK);
	}
	return changed;
}

static void compare_page(unsigned i)
{
	uint64_t va = MODEL_BASE + ((uint64_t)i << PAGE_SHIFT);
	struct pt_leaf leaf;
	bool found = pt_lookup(&pt, va, &leaf);

	assert_int_equal(found, model[i].mapped);
	if (found) {
		assert_int_equal(leaf.pa.v + (va - leaf.va), model[i].pa);
		assert_true(same_attr(leaf.attr, model[i].attr));
	}
}

/* Ticks off each page of a visited leaf. */
struct coverage {
	unsigned next; /* first page not passed yet */
	bool good;
};

static bool cover(void *ctx, const struct pt_leaf *leaf)
{
	struct coverage *c = ctx;
	unsigned first = (unsigned)((leaf->va - MODEL_BASE) >> PAGE_SHIFT);
	unsigned count = (unsigned)(leaf->size >> PAGE_SHIFT);

	c->good = c->good && first >= c->next && is_aligned(leaf->pa.v, leaf->size);
	for (; c->next < first; c->next++) {
		c->good = c->good && !model[c->next].mapped;
	}
	for (; c->next < first + count; c->next++) {
		const struct page *p = &model[c->next];
		uint64_t offset = (uint64_t)(c->next - first) << PAGE_SHIFT;

		c->good = c->good && p->mapped && p->pa == leaf->pa.v + offset &&
			  same_attr(p->attr, leaf->attr);
	}
	return true;
}

static void compare_all(void)
{
	struct coverage c = {.good = true};

	pt_walk(&pt, MODEL_BASE, (uint64_t)MODEL_PAGES << PAGE_SHIFT, cover, &c);
	assert_true(c.good);
	for (; c.next < MODEL_PAGES; c.next++) {
		assert_false(model[c.next].mapped);
	}
}

static void random_changes_agree_with_a_model(void **state)
{
	(void)state;
	srand(17);
	memset(model, 0, sizeof(model));
	for (unsigned step = 0; step < 150; step++) {
		bool changed;

		pt.changed = false;
		changed = random_change();
		assert_true(pt.changed || !changed);
		for (unsigned i = 0; i < 20; i++) {
			compare_page((unsigned)rand() % MODEL_PAGES);
		}
		if (step % 25 == 0) {
			compare_all();
		}
	}
	compare_all();
}

#define TEST(f, i) \
	{ \
#f, f, setup, teardown, (void *)(uintptr_t)formats[i] \
	}

int main(void)
{
	int failed = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct CMUnitTest tests[] = {
			TEST(an_empty_tree_is_one_table, i),
			TEST(the_largest_leaf_that_fits_is_taken, i),
			TEST(a_hole_is_as_large_as_its_entry, i),
			TEST(physical_alignment_counts_too, i),
			TEST(max_level_limits_leaves, i),
			TEST(both_ends_of_the_address_space_work, i),
			TEST(unmapping_a_part_splits, i),
			TEST(a_large_leaf_replaces_tables_and_frees_them, i),
			TEST(changed_means_an_old_translation_went, i),
			TEST(protect_leaves_holes, i),
			TEST(split_makes_boundaries, i),
			TEST(tables_can_be_made_ahead, i),
			TEST(walks_visit_in_order_and_stop, i),
			TEST(without_memory_nothing_breaks, i),
			TEST(misuse_is_caught, i),
			TEST(random_changes_agree_with_a_model, i),
		};

		failed += cmocka_run_group_tests_name(formats[i]->name, tests, NULL, NULL);
	}
	return failed;
}
