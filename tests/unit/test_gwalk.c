/* SPDX-License-Identifier: Apache-2.0 */
/* Guest page walks in all paging modes: translations, rights, error codes, accessed and dirty. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/fakes/emul_guest.h"

#define ROOT 0x3000u
#define L3 0x4000u
#define L2 0x5000u
#define L1 0x6000u
#define L5 0x7000u
#define PAE_ROOT 0x8020u
#define FULL (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

/* One address whose index differs at every level. */
#define VA 0xffff818140605123ull
#define INDEX(va, level) ((va) >> (12 + 9 * ((level)-1)) & 511)

struct rig {
	struct emul_guest g;
	struct gwalk *w;
	struct gwalk_result r;
};

static int setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	emul_guest_init(&rig->g, INSN_LONG64);
	rig->w = &rig->g.c.walk;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static uint64_t entry_addr(uint64_t table, unsigned level)
{
	return table + INDEX(VA, level) * 8;
}

static void set_entry(struct rig *rig, uint64_t table, unsigned level, uint64_t entry)
{
	emul_guest_poke(&rig->g, entry_addr(table, level), 8, entry);
}

static uint64_t get_entry(struct rig *rig, uint64_t table, unsigned level)
{
	return emul_guest_peek(&rig->g, entry_addr(table, level), 8);
}

static void long_mode(struct rig *rig)
{
	rig->w->cr0 = CR0_PE | CR0_PG | CR0_WP;
	rig->w->cr4 = CR4_PAE;
	rig->w->cr3 = ROOT | 0x18; /* PWT and PCD are no part of the address */
	rig->w->efer = EFER_LME | EFER_LMA | EFER_NXE;
	set_entry(rig, ROOT, 4, L3 | FULL);
	set_entry(rig, L3, 3, L2 | FULL);
	set_entry(rig, L2, 2, L1 | FULL);
	set_entry(rig, L1, 1, 0x1234567000 | FULL);
	gwalk_prepare(rig->w);
}

static void assert_ok(struct rig *rig, uint64_t va, unsigned access, uint64_t want)
{
	assert_int_equal(gwalk(rig->w, gva(va), access, &rig->r), GWALK_OK);
	assert_int_equal(rig->r.gpa.v, want);
}

static void assert_fault(struct rig *rig, unsigned access, uint32_t error)
{
	assert_int_equal(gwalk(rig->w, gva(VA), access, &rig->r), GWALK_FAULT);
	assert_int_equal(rig->r.error, error);
}

static void test_paging_off(void **state)
{
	struct rig *rig = *state;

	rig->w->cr0 = CR0_PE;
	assert_ok(rig, 0xfee00020, GWALK_WRITE, 0xfee00020);
	assert_int_equal(rig->g.entry_reads, 0);
}

static bool read_entry(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t *entry)
{
	return w->ops->read(w, addr, size, entry);
}

static void test_long_mode(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	assert_ok(rig, VA, 0, 0x1234567123);
	assert_int_equal(rig->g.entry_reads, 4);
	assert_ok(rig, VA, GWALK_WRITE | GWALK_USER, 0x1234567123);
	assert_ok(rig, VA, GWALK_FETCH | GWALK_USER, 0x1234567123);
	assert_int_equal(gwalk_long(rig->w, gva(VA), 0, read_entry, &rig->r), GWALK_OK);
	assert_int_equal(rig->r.gpa.v, 0x1234567123);
}

static void test_five_levels(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	rig->w->cr4 |= CR4_LA57;
	rig->w->cr3 = L5;
	assert_fault(rig, 0, 0); /* nothing in the fifth level yet */
	set_entry(rig, L5, 5, ROOT | FULL);
	assert_ok(rig, VA, 0, 0x1234567123);
	assert_int_equal(gwalk_long(rig->w, gva(VA), 0, read_entry, &rig->r), GWALK_OK);
	assert_int_equal(rig->r.gpa.v, 0x1234567123);
	set_entry(rig, L5, 5, ROOT | FULL | PTE_PS);
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
}

static void test_large_pages(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	set_entry(rig, L2, 2, 0x1234600000 | FULL | PTE_PS | BIT(12)); /* PAT bit */
	assert_ok(rig, VA, 0, 0x1234600000 + (VA & MASK(20, 0)));
	set_entry(rig, L2, 2, 0x1234602000 | FULL | PTE_PS);
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
	set_entry(rig, L3, 3, 0x1240000000 | FULL | PTE_PS);
	assert_ok(rig, VA, 0, 0x1240000000 + (VA & MASK(29, 0)));
	rig->w->gib_pages = false;
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
}

static void test_not_present(void **state)
{
	struct rig *rig = *state;
	static const uint64_t tables[] = {L1, L2, L3, ROOT};

	for (unsigned level = 1; level <= 4; level++) {
		long_mode(rig);
		set_entry(rig, tables[level - 1], level, ~1ull & ~BIT(7));
		assert_fault(rig, 0, 0);
		assert_fault(rig, GWALK_WRITE, PF_WRITE);
		assert_fault(rig, GWALK_USER | GWALK_FETCH, PF_USER | PF_FETCH);
	}
	rig->w->efer &= ~EFER_NXE;
	gwalk_prepare(rig->w);
	assert_fault(rig, GWALK_FETCH, 0); /* I/D is reported with NXE or SMEP only */
	rig->w->cr4 |= CR4_SMEP;
	assert_fault(rig, GWALK_FETCH, PF_FETCH);
}

static void test_reserved_bits(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	set_entry(rig, L1, 1, 0x1000 | FULL | BIT(40)); /* MAXPHYADDR is 40 */
	assert_fault(rig, GWALK_WRITE | GWALK_USER, PF_PRESENT | PF_RESERVED | PF_WRITE | PF_USER);
	set_entry(rig, L1, 1, 0x1000 | FULL | MASK(62, 52)); /* free for software */
	assert_ok(rig, VA, 0, 0x1123);
	set_entry(rig, ROOT, 4, L3 | FULL | PTE_PS);
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
	set_entry(rig, ROOT, 4, L3 | FULL | PTE_G);
	assert_ok(rig, VA, 0, 0x1123);
	rig->w->amd = true;
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
	long_mode(rig);
	set_entry(rig, L2, 2, L1 | FULL | PTE_NX);
	assert_ok(rig, VA, 0, 0x1234567123);
	rig->w->efer &= ~EFER_NXE;
	gwalk_prepare(rig->w);
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
}

static void test_write_rights(void **state)
{
	struct rig *rig = *state;
	static const uint64_t tables[] = {L1, L2, L3, ROOT};

	for (unsigned level = 1; level <= 4; level++) {
		long_mode(rig);
		set_entry(rig, tables[level - 1], level,
			  get_entry(rig, tables[level - 1], level) & ~PTE_W);
		assert_ok(rig, VA, GWALK_USER, 0x1234567123);
		assert_fault(rig, GWALK_WRITE, PF_PRESENT | PF_WRITE);
		assert_fault(rig, GWALK_WRITE | GWALK_USER, PF_PRESENT | PF_WRITE | PF_USER);
		rig->w->cr0 &= ~CR0_WP;
		assert_ok(rig, VA, GWALK_WRITE, 0x1234567123);
		assert_fault(rig, GWALK_WRITE | GWALK_USER, PF_PRESENT | PF_WRITE | PF_USER);
	}
}

static void test_user_rights(void **state)
{
	struct rig *rig = *state;
	static const uint64_t tables[] = {L1, L2, L3, ROOT};

	for (unsigned level = 1; level <= 4; level++) {
		long_mode(rig);
		set_entry(rig, tables[level - 1], level,
			  get_entry(rig, tables[level - 1], level) & ~PTE_U);
		rig->w->cr4 |= CR4_SMEP | CR4_SMAP;
		assert_fault(rig, GWALK_USER, PF_PRESENT | PF_USER);
		assert_fault(rig, GWALK_USER | GWALK_FETCH, PF_PRESENT | PF_USER | PF_FETCH);
		assert_ok(rig, VA, GWALK_FETCH, 0x1234567123); /* a supervisor page */
		assert_ok(rig, VA, GWALK_WRITE, 0x1234567123);
	}
}

static void test_execute_rights(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	set_entry(rig, L3, 3, L2 | FULL | PTE_NX);
	assert_fault(rig, GWALK_FETCH, PF_PRESENT | PF_FETCH);
	assert_fault(rig, GWALK_FETCH | GWALK_USER, PF_PRESENT | PF_FETCH | PF_USER);
	assert_ok(rig, VA, 0, 0x1234567123);
}

static void test_smep_smap(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	rig->w->cr4 |= CR4_SMEP;
	assert_fault(rig, GWALK_FETCH, PF_PRESENT | PF_FETCH);
	assert_ok(rig, VA, 0, 0x1234567123);
	rig->w->cr4 ^= CR4_SMEP | CR4_SMAP;
	assert_ok(rig, VA, GWALK_FETCH, 0x1234567123);
	assert_fault(rig, 0, PF_PRESENT);
	assert_fault(rig, GWALK_WRITE, PF_PRESENT | PF_WRITE);
	assert_ok(rig, VA, GWALK_AC, 0x1234567123);
	assert_fault(rig, GWALK_AC | GWALK_IMPLICIT, PF_PRESENT);
	assert_ok(rig, VA, GWALK_USER, 0x1234567123);
}

static void test_accessed_dirty(void **state)
{
	struct rig *rig = *state;
	uint64_t bare = PTE_P | PTE_W | PTE_U;

	long_mode(rig);
	set_entry(rig, ROOT, 4, L3 | bare);
	set_entry(rig, L3, 3, L2 | bare);
	set_entry(rig, L2, 2, L1 | bare);
	set_entry(rig, L1, 1, 0x1000 | bare);
	assert_ok(rig, VA, GWALK_WRITE | GWALK_PROBE, 0x1123);
	assert_int_equal(get_entry(rig, L1, 1), 0x1000 | bare);
	assert_ok(rig, VA, 0, 0x1123);
	assert_int_equal(get_entry(rig, ROOT, 4), L3 | bare | PTE_A);
	assert_int_equal(get_entry(rig, L3, 3), L2 | bare | PTE_A);
	assert_int_equal(get_entry(rig, L2, 2), L1 | bare | PTE_A);
	assert_int_equal(get_entry(rig, L1, 1), 0x1000 | bare | PTE_A);
	assert_ok(rig, VA, GWALK_WRITE, 0x1123);
	assert_int_equal(get_entry(rig, L2, 2), L1 | bare | PTE_A);
	assert_int_equal(get_entry(rig, L1, 1), 0x1000 | bare | PTE_A | PTE_D);
}

/* A walk that ends in a fault marks nothing. */
static void test_fault_marks_nothing(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	set_entry(rig, ROOT, 4, L3 | PTE_P | PTE_W);
	assert_fault(rig, GWALK_USER, PF_PRESENT | PF_USER);
	assert_int_equal(get_entry(rig, ROOT, 4), L3 | PTE_P | PTE_W);
}

static void test_conflict(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	set_entry(rig, L1, 1, 0x1000 | PTE_P);
	rig->g.exchange_fails = true;
	assert_int_equal(gwalk(rig->w, gva(VA), 0, &rig->r), GWALK_CONFLICT);
}

static void test_tables_outside_ram(void **state)
{
	struct rig *rig = *state;

	long_mode(rig);
	set_entry(rig, L3, 3, 0xfee00000 | FULL);
	assert_int_equal(gwalk(rig->w, gva(VA), 0, &rig->r), GWALK_NOT_RAM);
	assert_int_equal(rig->r.gpa.v, 0xfee00000 + INDEX(VA, 2) * 8);
	rig->w->cr3 = 0x100000000000;
	assert_int_equal(gwalk(rig->w, gva(VA), 0, &rig->r), GWALK_NOT_RAM);
}

static void pae_mode(struct rig *rig)
{
	rig->w->cr0 = CR0_PE | CR0_PG | CR0_WP;
	rig->w->cr4 = CR4_PAE;
	rig->w->cr3 = PAE_ROOT;
	rig->w->efer = 0;
	emul_guest_poke(&rig->g, PAE_ROOT + ((VA >> 30) & 3) * 8, 8, L2 | PTE_P);
	set_entry(rig, L2, 2, L1 | FULL);
	set_entry(rig, L1, 1, 0x1234567000 | FULL);
	gwalk_prepare(rig->w);
}

static void test_pae(void **state)
{
	struct rig *rig = *state;
	uint64_t top = PAE_ROOT + ((VA >> 30) & 3) * 8;

	pae_mode(rig);
	assert_ok(rig, VA, GWALK_USER | GWALK_WRITE, 0x1234567123);
	assert_int_equal(emul_guest_peek(&rig->g, top, 8), L2 | PTE_P); /* no accessed bit */
	set_entry(rig, L1, 1, 0x1000 | FULL | BIT(52)); /* reserved here, free in long mode */
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
	set_entry(rig, L2, 2, 0x1200000 | FULL | PTE_PS);
	assert_ok(rig, VA, 0, 0x1200000 + (VA & MASK(20, 0)));
	emul_guest_poke(&rig->g, top, 8, L2 | PTE_P | PTE_W);
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
	emul_guest_poke(&rig->g, top, 8, L2 | PTE_P | BIT(6));
	assert_fault(rig, 0, PF_PRESENT | PF_RESERVED);
	emul_guest_poke(&rig->g, top, 8, L2 | PTE_P | PTE_A); /* as QEMU's TCG leaves it */
	assert_ok(rig, VA, 0, 0x1200000 + (VA & MASK(20, 0)));
	emul_guest_poke(&rig->g, top, 8, 0);
	assert_fault(rig, GWALK_WRITE, PF_WRITE);
	rig->w->cr3 = 0xfff00000;
	assert_int_equal(gwalk(rig->w, gva(VA), 0, &rig->r), GWALK_NOT_RAM);
}

#define VA32 0x40605123u

static void mode32(struct rig *rig)
{
	rig->w->cr0 = CR0_PE | CR0_PG;
	rig->w->cr4 = 0;
	rig->w->cr3 = ROOT | 0xfff;
	rig->w->efer = 0;
	emul_guest_poke(&rig->g, ROOT + (VA32 >> 22) * 4, 4, L1 | PTE_P | PTE_W | PTE_U);
	emul_guest_poke(&rig->g, L1 + ((VA32 >> 12) & 1023) * 4, 4, 0xabcde000 | PTE_P | PTE_W);
	gwalk_prepare(rig->w);
}

static void test_32bit(void **state)
{
	struct rig *rig = *state;
	uint64_t pte = L1 + ((VA32 >> 12) & 1023) * 4;

	mode32(rig);
	emul_guest_poke(&rig->g, pte + 4, 4, 0x5a5a5a5a); /* the neighbour stays */
	assert_ok(rig, VA32, GWALK_WRITE, 0xabcde123);
	assert_int_equal(emul_guest_peek(&rig->g, pte, 4),
			 0xabcde000 | PTE_P | PTE_W | PTE_A | PTE_D);
	assert_int_equal(emul_guest_peek(&rig->g, pte + 4, 4), 0x5a5a5a5a);
	assert_int_equal(emul_guest_peek(&rig->g, ROOT + (VA32 >> 22) * 4, 4),
			 L1 | PTE_P | PTE_W | PTE_U | PTE_A);
	assert_int_equal(gwalk(rig->w, gva(VA32), GWALK_USER, &rig->r), GWALK_FAULT);
	assert_int_equal(rig->r.error, PF_PRESENT | PF_USER);
}

static void test_4mib_pages(void **state)
{
	struct rig *rig = *state;
	uint64_t pde = ROOT + (VA32 >> 22) * 4;

	mode32(rig);
	emul_guest_poke(&rig->g, pde, 4, 0x80000000 | PTE_P | PTE_PS | 0x34u << 13);
	/* Without CR4.PSE the entry is an ordinary table; it lies outside RAM. */
	assert_int_equal(gwalk(rig->w, gva(VA32), 0, &rig->r), GWALK_NOT_RAM);
	rig->w->cr4 = CR4_PSE;
	assert_ok(rig, VA32, 0, 0x3480000000 + (VA32 & MASK(21, 0)));
	assert_int_equal(emul_guest_peek(&rig->g, pde, 4) & (PTE_A | PTE_D), PTE_A);
	emul_guest_poke(&rig->g, pde, 4, 0x80000000 | PTE_P | PTE_PS | BIT(21));
	assert_int_equal(gwalk(rig->w, gva(VA32), 0, &rig->r), GWALK_FAULT);
	assert_int_equal(rig->r.error, PF_PRESENT | PF_RESERVED);
	rig->w->phys_bits = 36; /* address bits 39:36 become reserved */
	emul_guest_poke(&rig->g, pde, 4, 0x80000000 | PTE_P | PTE_PS | 0x0fu << 13);
	assert_ok(rig, VA32, 0, 0xf80000000 + (VA32 & MASK(21, 0)));
	emul_guest_poke(&rig->g, pde, 4, 0x80000000 | PTE_P | PTE_PS | 0x10u << 13);
	assert_int_equal(gwalk(rig->w, gva(VA32), 0, &rig->r), GWALK_FAULT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_paging_off),   T(test_long_mode),	  T(test_five_levels),
		T(test_large_pages),  T(test_not_present),	  T(test_reserved_bits),
		T(test_write_rights), T(test_user_rights),	  T(test_execute_rights),
		T(test_smep_smap),    T(test_accessed_dirty),	  T(test_fault_marks_nothing),
		T(test_conflict),     T(test_tables_outside_ram), T(test_pae),
		T(test_32bit),	      T(test_4mib_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
