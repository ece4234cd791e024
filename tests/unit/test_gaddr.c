/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU's paging state bound to the walker: real page tables in a guest's RAM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "hv/gaddr.h"
#include "tests/fakes/exit_rig.h"

/* Tables that the tests make: three levels below the kernel's top table, or two of 32 bits. */
#define TABLES 0x800000ull
#define VA 0x7f8040201234ull /* another index at each level: 255, 1, 1, 1 */

static uint64_t peek(uint64_t addr, unsigned size)
{
	uint64_t value = 0;

	assert_int_equal(guest_mem_read(&g->vm, gpa(addr), &value, size), HV_OK);
	return value;
}

static void poke(uint64_t addr, uint64_t value, unsigned size)
{
	assert_int_equal(guest_mem_write(&g->vm, gpa(addr), &value, size), HV_OK);
}

static enum gwalk_status walk(uint64_t va, unsigned access, struct gwalk_result *out)
{
	struct vcpu_context context;
	struct vcpu_walk w;

	the_backend->get_context(vcpu, &context);
	vcpu_walk_begin(&w, vcpu, &context);
	return vcpu_translate(&w, gva(va), access, out);
}

/* Maps VA to `page` through four levels with all rights. */
static void map(uint64_t page)
{
	poke((cpu->regs[VCPU_REG_CR3] & PTE_ADDR) + 255 * 8, TABLES | 7, 8);
	poke(TABLES + 8, (TABLES + 0x1000) | 7, 8);
	poke(TABLES + 0x1000 + 8, (TABLES + 0x2000) | 7, 8);
	poke(TABLES + 0x2000 + 8, page | 7, 8);
}

static void the_kernels_tables_map_1_to_1(void **state)
{
	struct gwalk_result r;

	(void)state;
	assert_int_equal(walk(0x123456, 0, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, 0x123456);
	assert_int_equal(walk(LAYOUT_LAPIC_BASE + 0x30, GWALK_WRITE, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, LAYOUT_LAPIC_BASE + 0x30);
	assert_int_equal(walk(GIB(4), GWALK_WRITE, &r), GWALK_FAULT);
	assert_int_equal(r.error, PF_WRITE);
}

static void four_levels_are_walked_and_marked(void **state)
{
	struct gwalk_result r;

	(void)state;
	map(0x456000);
	assert_int_equal(walk(VA, 0, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, 0x456234);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(peek(TABLES + i * 0x1000 + 8, 8) & (PTE_A | PTE_D), PTE_A);
	}
	assert_int_equal(walk(VA, GWALK_WRITE, &r), GWALK_OK);
	assert_int_equal(peek(TABLES + 0x2008, 8), 0x456000 | 7 | PTE_A | PTE_D);
	assert_int_equal(peek(TABLES + 0x1008, 8) & PTE_D, 0);
}

static void rights_are_the_vcpus(void **state)
{
	struct gwalk_result r;

	(void)state;
	map(0x456000);
	poke(TABLES + 0x2008, 0x456000 | PTE_P | PTE_NX, 8);
	cpu->regs[VCPU_REG_EFER] |= EFER_NXE;
	cpu->regs[VCPU_REG_CR0] |= CR0_WP;
	assert_int_equal(walk(VA, 0, &r), GWALK_OK);
	assert_int_equal(walk(VA, GWALK_USER, &r), GWALK_FAULT);
	assert_int_equal(r.error, PF_PRESENT | PF_USER);
	assert_int_equal(walk(VA, GWALK_FETCH, &r), GWALK_FAULT);
	assert_int_equal(r.error, PF_PRESENT | PF_FETCH);
	assert_int_equal(walk(VA, GWALK_WRITE, &r), GWALK_FAULT);
	assert_int_equal(r.error, PF_PRESENT | PF_WRITE);
	cpu->regs[VCPU_REG_CR0] &= ~CR0_WP;
	assert_int_equal(walk(VA, GWALK_WRITE, &r), GWALK_OK);
	/* Without NXE bit 63 is reserved. */
	cpu->regs[VCPU_REG_EFER] &= ~EFER_NXE;
	assert_int_equal(walk(VA, 0, &r), GWALK_FAULT);
	assert_int_equal(r.error & PF_RESERVED, PF_RESERVED);
}

/* As many physical address bits as CPUID tells the guest: 48 in the rig. */
static void addresses_are_as_wide_as_cpuid_says(void **state)
{
	struct gwalk_result r;

	(void)state;
	map(0x456000);
	poke(TABLES + 0x2008, BIT(47) | 7, 8);
	assert_int_equal(walk(VA, 0, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, BIT(47) | 0x234);
	poke(TABLES + 0x2008, BIT(48) | 7, 8);
	assert_int_equal(walk(VA, 0, &r), GWALK_FAULT);
	assert_int_equal(r.error, PF_PRESENT | PF_RESERVED);
}

static void gib_pages_are_there_when_cpuid_has_them(void **state)
{
	struct gwalk_result r;

	(void)state;
	map(0x456000);
	poke(TABLES + 8, 7 | PTE_PS, 8);
	assert_int_equal(walk(VA, 0, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, VA & (PAGE_SIZE_1G - 1));
	g->cpuid.extended[1].edx &= ~BIT32(26);
	assert_int_equal(walk(VA, 0, &r), GWALK_FAULT);
	assert_int_equal(r.error, PF_PRESENT | PF_RESERVED);
}

static void tables_outside_of_memory(void **state)
{
	struct gwalk_result r;

	(void)state;
	map(0x456000);
	poke(TABLES + 8, 0xd0000000 | 7, 8);
	assert_int_equal(walk(VA, 0, &r), GWALK_NOT_RAM);
	assert_int_equal(r.gpa.v, 0xd0000008);
	cpu->regs[VCPU_REG_CR3] = BIT(46);
	assert_int_equal(walk(VA, 0, &r), GWALK_NOT_RAM);
	assert_int_equal(r.gpa.v, BIT(46) + 255 * 8);
}

static void without_paging_addresses_are_physical(void **state)
{
	struct gwalk_result r;

	(void)state;
	exit_mode(true);
	assert_int_equal(walk(0xfee00080, GWALK_WRITE | GWALK_USER, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, 0xfee00080);
}

static void entries_of_32_bit_paging_have_four_bytes(void **state)
{
	struct gwalk_result r;

	(void)state;
	exit_mode(true);
	cpu->regs[VCPU_REG_CR0] |= CR0_PG;
	cpu->regs[VCPU_REG_CR3] = TABLES;
	poke(TABLES + 4, (TABLES + 0x1000) | 7, 4);
	poke(TABLES + 0x1000 + 8, 0x654000 | 7, 4);
	poke(TABLES + 0x1000 + 12, 0x55aa55aa, 4);
	assert_int_equal(walk(0x402abc, GWALK_WRITE, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, 0x654abc);
	assert_int_equal(peek(TABLES + 0x1008, 4), 0x654000 | 7 | PTE_A | PTE_D);
	assert_int_equal(peek(TABLES + 0x100c, 4), 0x55aa55aa);
	assert_int_equal(walk(0x400abc, 0, &r), GWALK_FAULT);
	assert_int_equal(r.error, 0);
}

static void pae_has_a_third_level(void **state)
{
	struct gwalk_result r;

	(void)state;
	exit_mode(true);
	cpu->regs[VCPU_REG_CR0] |= CR0_PG;
	cpu->regs[VCPU_REG_CR4] = CR4_PAE;
	cpu->regs[VCPU_REG_CR3] = TABLES + 0x20;
	poke(TABLES + 0x20 + 3 * 8, (TABLES + 0x1000) | 1, 8);
	poke(TABLES + 0x1000 + 8, 0x600000 | PTE_PS | 7, 8);
	assert_int_equal(walk(0xc0212345, GWALK_WRITE, &r), GWALK_OK);
	assert_int_equal(r.gpa.v, 0x612345);
}

/* Tables in ROM: the CPU's marks are dropped, the walk goes on. */
static void marks_in_rom_are_dropped(void **state)
{
	struct gwalk_result r;

	(void)state;
	map(0x456000);
	assert_int_equal(gspace_make_rom(&g->vm.gspace, LAYOUT_ROM_BASE), HV_OK);
	assert_int_equal(walk(VA, GWALK_WRITE, &r), GWALK_OK);
	assert_int_equal(peek(TABLES + 0x2008, 8), 0x456000 | 7);
}

static void an_update_needs_the_old_entry(void **state)
{
	(void)state;
	poke(TABLES, 0x1111222233334444, 8);
	assert_false(gaddr_update_entry(&g->vm, gpa(TABLES), 8, 0x1111222233334445, 5));
	assert_int_equal(peek(TABLES, 8), 0x1111222233334444);
	assert_true(gaddr_update_entry(&g->vm, gpa(TABLES), 8, 0x1111222233334444, 5));
	assert_int_equal(peek(TABLES, 8), 5);
	assert_false(gaddr_update_entry(&g->vm, gpa(TABLES), 4, 6, 7));
	assert_true(gaddr_update_entry(&g->vm, gpa(TABLES + 4), 4, 0, 7));
	assert_int_equal(peek(TABLES, 8), 0x700000005);
	assert_true(gaddr_update_entry(&g->vm, gpa(0xd0000000), 8, 0, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXIT_TEST(the_kernels_tables_map_1_to_1),
		EXIT_TEST(four_levels_are_walked_and_marked),
		EXIT_TEST(rights_are_the_vcpus),
		EXIT_TEST(addresses_are_as_wide_as_cpuid_says),
		EXIT_TEST(gib_pages_are_there_when_cpuid_has_them),
		EXIT_TEST(tables_outside_of_memory),
		EXIT_TEST(without_paging_addresses_are_physical),
		EXIT_TEST(entries_of_32_bit_paging_have_four_bytes),
		EXIT_TEST(pae_has_a_third_level),
		EXIT_TEST(marks_in_rom_are_dropped),
		EXIT_TEST(an_update_needs_the_old_entry),
	};

	return cmocka_run_group_tests(tests, exit_machine, NULL);
}
