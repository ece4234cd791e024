/* SPDX-License-Identifier: Apache-2.0 */
/* Code bytes at RIP: the remembered translation must never differ from a walk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/api/gmem.h"
#include "hv/fetch.h"
#include "tests/fakes/exit_rig.h"

/* Tables of 4 KiB pages for VA, made by the tests. */
#define TABLES 0x800000ull
#define LEAF (TABLES + 0x2000)
#define VA 0x7f8040201000ull
#define PAGE_ONE 0x900000ull
#define PAGE_TWO 0xa00000ull

static void poke(uint64_t addr, uint64_t value, unsigned size)
{
	assert_int_equal(guest_mem_write(&g->vm, gpa(addr), &value, size), HV_OK);
}

static int setup(void **state)
{
	int failed = exit_setup(state);

	poke((cpu->regs[VCPU_REG_CR3] & PTE_ADDR) + 255 * 8, TABLES | 7, 8);
	poke(TABLES + 8, (TABLES + 0x1000) | 7, 8);
	poke(TABLES + 0x1000 + 8, LEAF | 7, 8);
	poke(LEAF + 8, PAGE_ONE | 7, 8);
	poke(LEAF + 16, PAGE_TWO | 7, 8);
	for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
		poke(PAGE_ONE + i, 0x1111111100000000 + i, 8);
		poke(PAGE_TWO + i, 0x2222222200000000 + i, 8);
	}
	cpu->regs[VCPU_REG_EFER] |= EFER_NXE;
	vcpu->rip = VA;
	return failed;
}

/*
 * What both ways say; the quick one may give up, but not say anything else. The walk is the
 * supervisor's without SMEP: rights are no question where the CPU has just executed.
 */
static bool quick(uint32_t *value)
{
	struct vcpu_context context;
	uint32_t walked = 0;
	const uint8_t *place;
	uint64_t root;
	size_t n;
	bool ok;

	the_backend->get_context(vcpu, &context);
	context.cpl = 0;
	context.cr4 &= ~CR4_SMEP;
	root = the_backend->code_root(vcpu);
	place = fetch_held(vcpu, root);
	if (place == NULL && fetch_fill(vcpu, root)) {
		place = fetch_held(vcpu, root);
	}
	ok = place != NULL;
	if (ok) {
		memcpy(value, place, sizeof(*value));
	}
	n = fetch_code(vcpu, &context, (uint8_t *)&walked, sizeof(walked));
	if (ok) {
		assert_int_equal(n, sizeof(walked));
		assert_int_equal(*value, walked);
	}
	return ok;
}

static void assert_quick(uint32_t want)
{
	uint32_t value = 0xbad;

	assert_true(quick(&value));
	assert_int_equal(value, want);
}

static void assert_not_quick(void)
{
	uint32_t value;

	assert_false(quick(&value));
}

static void the_second_fetch_needs_no_walk(void **state)
{
	(void)state;
	assert_quick(0);
	assert_non_null(fetch_held(vcpu, the_backend->code_root(vcpu)));
	vcpu->rip = VA + 0x124;
	assert_quick(0x11111111);
	vcpu->rip = VA + 0x123; /* at any offset */
	assert_quick(0x11111100);
	vcpu->rip = VA + PAGE_SIZE + 0x124;
	assert_quick(0x22222222);
}

static void two_pages_in_turn_are_both_held(void **state)
{
	(void)state;
	vcpu->rip = VA;
	assert_quick(0);
	vcpu->rip = VA + PAGE_SIZE;
	assert_quick(0);
	for (unsigned i = 0; i < 4; i++) {
		vcpu->rip = VA + PAGE_SIZE * (i & 1) + 4;
		assert_non_null(fetch_held(vcpu, the_backend->code_root(vcpu)));
		assert_quick((i & 1) == 0 ? 0x11111111 : 0x22222222);
	}
	/* Of another page in the same place nothing is told. */
	vcpu->rip = VA + PAGE_SIZE * FETCH_PAGES;
	assert_null(fetch_held(vcpu, the_backend->code_root(vcpu)));
	fetch_clear(vcpu);
	vcpu->rip = VA;
	assert_null(fetch_held(vcpu, the_backend->code_root(vcpu)));
}

static void the_end_of_a_page_goes_the_long_way(void **state)
{
	struct vcpu_context context;
	uint8_t bytes[8];

	(void)state;
	vcpu->rip = VA + PAGE_SIZE - 4;
	assert_quick(0x11111111);
	vcpu->rip = VA + PAGE_SIZE - 3;
	assert_not_quick();
	the_backend->get_context(vcpu, &context);
	assert_int_equal(fetch_code(vcpu, &context, bytes, 8), 8);
	assert_int_equal(bytes[2], 0x11);
	assert_int_equal(bytes[7], 0x22);
}

static void a_changed_page_table_is_seen(void **state)
{
	(void)state;
	vcpu->rip = VA + 4;
	assert_quick(0x11111111);
	poke(LEAF + 8, PAGE_TWO | 7, 8);
	assert_quick(0x22222222);
	/* At each level. */
	poke(TABLES + 0x1000 + 8, 0, 8);
	assert_not_quick();
	poke(TABLES + 0x1000 + 8, LEAF | 7, 8);
	assert_quick(0x22222222);
	poke(TABLES + 8, 0, 8);
	assert_not_quick();
	poke(TABLES + 8, (TABLES + 0x1000) | 7, 8);
	assert_quick(0x22222222);
	poke((cpu->regs[VCPU_REG_CR3] & PTE_ADDR) + 255 * 8, 0, 8);
	assert_not_quick();
}

static void changed_rights_in_the_tables_are_seen(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_EFER] |= EFER_NXE;
	assert_quick(0);
	poke(LEAF + 8, PAGE_ONE | 7 | PTE_NX, 8);
	assert_not_quick();
	poke(LEAF + 8, PAGE_ONE | 3, 8);
	assert_quick(0);
	poke(LEAF + 8, PAGE_ONE | 7 | PTE_NX, 8);
	cpu->regs[VCPU_REG_EFER] &= ~EFER_NXE; /* reserved now */
	assert_not_quick();
}

/* The CPU has just executed there; a walk that says it may not tells of a race, not of another
 * page. */
static void rights_are_the_cpus_affair(void **state)
{
	(void)state;
	assert_quick(0);
	cpu->regs[VCPU_REG_CR4] |= CR4_SMEP; /* a user's page under the supervisor */
	assert_quick(0);
	/* Not of a page that was not seen before. */
	vcpu->rip = VA + PAGE_SIZE;
	assert_not_quick();
}

static void another_address_space_is_seen(void **state)
{
	uint64_t cr3 = cpu->regs[VCPU_REG_CR3];

	(void)state;
	assert_quick(0);
	cpu->regs[VCPU_REG_CR3] = 0xb00000;
	assert_not_quick();
	cpu->regs[VCPU_REG_CR3] = cr3;
	assert_quick(0);
}

static void changed_code_is_seen(void **state)
{
	(void)state;
	assert_quick(0);
	poke(PAGE_ONE, 0x90909090, 4);
	assert_quick(0x90909090);
}

static void large_pages_are_remembered_too(void **state)
{
	(void)state;
	vcpu->rip = PAGE_TWO + 4; /* the kernel's own 1:1 map */
	assert_quick(0x22222222);
	vcpu->rip = PAGE_ONE + 4;
	assert_quick(0x11111111);
}

static void other_modes_go_the_long_way(void **state)
{
	struct vcpu_context context;
	uint8_t bytes[4];

	(void)state;
	cpu->segs[VCPU_SEG_CS].attr = 0xc09b;
	vcpu->rip = PAGE_ONE + 4;
	assert_not_quick();
	the_backend->get_context(vcpu, &context);
	assert_int_equal(fetch_code(vcpu, &context, bytes, 4), 4);
	assert_int_equal(bytes[3], 0x11);
	exit_mode(true);
	assert_not_quick();
}

static void code_outside_of_memory_is_none(void **state)
{
	(void)state;
	poke(LEAF + 8, 0xfee00000 | 7, 8);
	assert_not_quick();
	poke(LEAF + 8, 0xd0000000 | 7, 8);
	assert_not_quick();
}

/* Anything may happen between two fetches. */
static void random_changes_never_fool_it(void **state)
{
	static const uint64_t entries[] = {PAGE_ONE | 7,   PAGE_TWO | 7,	  PAGE_ONE | 3,
					   PAGE_TWO | 5,   PAGE_ONE | 7 | PTE_NX, 0,
					   0xd0000000 | 7, PAGE_ONE | 7 | BIT(50)};
	unsigned hits = 0;

	(void)state;
	srand(3);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t value;

		switch (rand() % 6) {
		case 0:
			poke(LEAF + 8, entries[rand() % (int)ARRAY_SIZE(entries)], 8);
			break;
		case 1:
			cpu->regs[VCPU_REG_CR4] ^= CR4_SMEP;
			break;
		case 2:
			cpu->segs[VCPU_SEG_SS].attr ^= 3 << 5;
			break;
		case 3:
			cpu->regs[VCPU_REG_EFER] ^= EFER_NXE;
			break;
		case 4:
			poke(PAGE_ONE + 4, (uint64_t)rand(), 4);
			break;
		default:
			vcpu->rip = VA + (uint64_t)(rand() % 2) * PAGE_SIZE + (uint64_t)rand() % 64;
			break;
		}
		hits += quick(&value);
	}
	assert_true(hits > 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, exit_clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_second_fetch_needs_no_walk),	     TEST(two_pages_in_turn_are_both_held),
		TEST(the_end_of_a_page_goes_the_long_way),   TEST(a_changed_page_table_is_seen),
		TEST(changed_rights_in_the_tables_are_seen), TEST(rights_are_the_cpus_affair),
		TEST(another_address_space_is_seen),	     TEST(changed_code_is_seen),
		TEST(large_pages_are_remembered_too),	     TEST(other_modes_go_the_long_way),
		TEST(code_outside_of_memory_is_none),	     TEST(random_changes_never_fool_it),
	};

	return cmocka_run_group_tests(tests, exit_machine, NULL);
}
