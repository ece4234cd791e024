/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The out-of-line parts of the guest page-table walk: choosing the paging mode, trees of 8-byte
 * entries in all their cases, the 32-bit format (PSE and PSE-36), PAE's top level, rights, error
 * codes, accessed and dirty bits.
 */
#include "hv/emul/gwalk.h"

/*
 * PAE's top-level entries: bits 2:1, 8:5 and 63:MAXPHYADDR are reserved. Bit 5 is let pass: QEMU's
 * TCG sets it as if it were an accessed bit (docs/platforms.md).
 */
#define PDPTE_RESERVED (MASK(2, 1) | MASK(8, 6) | MASK(63, 52))
/* A 4 MiB entry holds address bits 39:32 in bits 20:13 (PSE-36); bit 21 is reserved. */
#define PDE_4M_RESERVED BIT(21)
#define PDE_4M_HIGH MASK(20, 13)
#define PDE_4M_BASE MASK(31, 22)
#define PAGE_SHIFT_4M 22u

#define LEVELS_MAX 5u

/* Where a walk has been; index 0 is level 1. */
struct trail {
	uint64_t entry[LEVELS_MAX];
	uint64_t addr[LEVELS_MAX];
	uint64_t all; /* entries and-ed: W, U and A of the whole path */
	uint64_t any; /* entries or-ed: NX */
};

static enum gwalk_status fault(const struct gwalk *w, unsigned access, uint32_t why,
			       struct gwalk_result *out)
{
	bool fetch_known =
		(w->cr4 & CR4_SMEP) != 0 || ((w->cr4 & CR4_PAE) != 0 && (w->efer & EFER_NXE) != 0);

	out->error = why;
	out->error |= (access & GWALK_WRITE) != 0 ? PF_WRITE : 0;
	out->error |= (access & GWALK_USER) != 0 ? PF_USER : 0;
	out->error |= (access & GWALK_FETCH) != 0 && fetch_known ? PF_FETCH : 0;
	return GWALK_FAULT;
}

/* SDM volume 3 "Determination of Access Rights". */
static bool is_permitted(const struct gwalk *w, unsigned access, const struct trail *t)
{
	bool user_page = (t->all & PTE_U) != 0;
	bool write = (access & GWALK_WRITE) != 0;

	if ((access & GWALK_FETCH) != 0 && (w->efer & EFER_NXE) != 0 && (t->any & PTE_NX) != 0) {
		return false;
	}
	if ((access & GWALK_USER) != 0) {
		return user_page && (!write || (t->all & PTE_W) != 0);
	}
	if (write && (t->all & PTE_W) == 0 && (w->cr0 & CR0_WP) != 0) {
		return false;
	}
	if (!user_page) {
		return true;
	}
	if ((access & GWALK_FETCH) != 0) {
		return (w->cr4 & CR4_SMEP) == 0;
	}
	return (w->cr4 & CR4_SMAP) == 0 || (access & (GWALK_AC | GWALK_IMPLICIT)) == GWALK_AC;
}

/* Sets the missing accessed bits from the top down, and the leaf's dirty bit for a write. */
static enum gwalk_status mark(const struct gwalk *w, const struct trail *t, unsigned leaf,
			      unsigned top, bool write)
{
	for (unsigned level = top; level >= leaf; level--) {
		uint64_t old = t->entry[level - 1];
		uint64_t new = old | PTE_A | (level == leaf && write ? PTE_D : 0);

		if (new != old && !w->ops->update(w, gpa(t->addr[level - 1]), 8, old, new)) {
			return GWALK_CONFLICT;
		}
	}
	return GWALK_OK;
}

/* Whether a present entry has a bit that is reserved at its level. */
static bool is_reserved(const struct gwalk *w, uint64_t entry, unsigned level)
{
	uint64_t reserved = w->reserved;

	if (level >= 4) {
		reserved |= w->amd ? PTE_PS | PTE_G : PTE_PS;
	} else if (level >= 2 && (entry & PTE_PS) != 0) {
		unsigned shift = PAGE_SHIFT + 9 * (level - 1);

		reserved |= MASK(29, 13) & (BIT(shift) - 1);
		reserved |= level == 3 && !w->gib_pages ? PTE_PS : 0;
	}
	return (entry & reserved) != 0;
}

/* Walks 8-byte entries from the table at `table`, of `level` levels. */
static enum gwalk_status walk_tree(const struct gwalk *w, uint64_t table, unsigned level,
				   uint64_t va, unsigned access, struct gwalk_result *out)
{
	struct trail t;
	unsigned top = level;
	unsigned shift = PAGE_SHIFT + 9 * (level - 1);
	uint64_t entry;
	uint64_t missing;

	t.all = ~0ull;
	t.any = 0;
	for (;; level--, shift -= 9) {
		uint64_t addr = table + ((va >> shift) & 511) * 8;

		if (!w->ops->read(w, gpa(addr), 8, &entry)) {
			out->gpa = gpa(addr);
			return GWALK_NOT_RAM;
		}
		if ((entry & PTE_P) == 0) {
			return fault(w, access, 0, out);
		}
		if (is_reserved(w, entry, level)) {
			return fault(w, access, PF_PRESENT | PF_RESERVED, out);
		}
		t.entry[level - 1] = entry;
		t.addr[level - 1] = addr;
		t.all &= entry;
		t.any |= entry;
		if (level == 1 || (entry & PTE_PS) != 0) {
			break;
		}
		table = entry & PTE_ADDR;
	}
	if (!is_permitted(w, access, &t)) {
		return fault(w, access, PF_PRESENT, out);
	}
	out->gpa = gpa((entry & PTE_ADDR & ~(BIT(shift) - 1)) | (va & (BIT(shift) - 1)));
	missing = (~t.all & PTE_A) | ((access & GWALK_WRITE) != 0 ? ~entry & PTE_D : 0);
	if (missing != 0 && (access & GWALK_PROBE) == 0) {
		return mark(w, &t, level, top, (access & GWALK_WRITE) != 0);
	}
	return GWALK_OK;
}

/* PAE: four top entries without rights or accessed bits, then two levels as in long mode. */
static enum gwalk_status walk_pae(const struct gwalk *w, uint64_t va, unsigned access,
				  struct gwalk_result *out)
{
	uint64_t addr = (w->cr3 & MASK(31, 5)) + ((va >> 30) & 3) * 8;
	uint64_t entry;

	if (!w->ops->read(w, gpa(addr), 8, &entry)) {
		out->gpa = gpa(addr);
		return GWALK_NOT_RAM;
	}
	if ((entry & PTE_P) == 0) {
		return fault(w, access, 0, out);
	}
	if ((entry & (PDPTE_RESERVED | (w->reserved & MASK(51, 0)))) != 0) {
		return fault(w, access, PF_PRESENT | PF_RESERVED, out);
	}
	return walk_tree(w, entry & PTE_ADDR, 2, va, access, out);
}

/* The two levels of 32-bit paging and what they lead to. */
struct walk32 {
	struct trail t;
	bool large;
};

static enum gwalk_status mark32(const struct gwalk *w, const struct walk32 *k, bool write)
{
	for (unsigned level = 2; level >= (k->large ? 2u : 1u); level--) {
		bool leaf = level == 1 || k->large;
		uint64_t old = k->t.entry[level - 1];
		uint64_t new = old | PTE_A | (leaf && write ? PTE_D : 0);

		if (new != old && !w->ops->update(w, gpa(k->t.addr[level - 1]), 4, old, new)) {
			return GWALK_CONFLICT;
		}
	}
	return GWALK_OK;
}

/* Reads one level into k->t; GWALK_OK when the entry is present and allowed. */
static enum gwalk_status read32(const struct gwalk *w, struct walk32 *k, unsigned level,
				uint64_t addr, unsigned access, struct gwalk_result *out)
{
	uint64_t entry;
	uint64_t reserved;

	if (!w->ops->read(w, gpa(addr), 4, &entry)) {
		out->gpa = gpa(addr);
		return GWALK_NOT_RAM;
	}
	if ((entry & PTE_P) == 0) {
		return fault(w, access, 0, out);
	}
	if (level == 2 && (entry & PTE_PS) != 0 && (w->cr4 & CR4_PSE) != 0) {
		k->large = true;
		reserved = PDE_4M_RESERVED;
		if (w->phys_bits < 40) { /* bits 39:MAXPHYADDR of the address */
			reserved |= MASK(20, 13 + (w->phys_bits - 32u));
		}
		if ((entry & reserved) != 0) {
			return fault(w, access, PF_PRESENT | PF_RESERVED, out);
		}
	}
	k->t.entry[level - 1] = entry;
	k->t.addr[level - 1] = addr;
	k->t.all &= entry;
	return GWALK_OK;
}

static enum gwalk_status walk_32bit(const struct gwalk *w, uint64_t va, unsigned access,
				    struct gwalk_result *out)
{
	struct walk32 k = {.t = {.all = ~0ull}};
	uint64_t pde;
	uint64_t addr = (w->cr3 & MASK(31, 12)) + ((va >> 22) & 1023) * 4;
	enum gwalk_status status = read32(w, &k, 2, addr, access, out);

	if (status != GWALK_OK) {
		return status;
	}
	pde = k.t.entry[1];
	if (!k.large) {
		addr = (pde & MASK(31, 12)) + ((va >> 12) & 1023) * 4;
		status = read32(w, &k, 1, addr, access, out);
		if (status != GWALK_OK) {
			return status;
		}
	}
	if (!is_permitted(w, access, &k.t)) {
		return fault(w, access, PF_PRESENT, out);
	}
	if (k.large) {
		out->gpa = gpa((pde & PDE_4M_BASE) | bits_get(pde, PDE_4M_HIGH) << 32 |
			       (va & (BIT(PAGE_SHIFT_4M) - 1)));
	} else {
		out->gpa = gpa((k.t.entry[0] & MASK(31, 12)) | (va & (PAGE_SIZE - 1)));
	}
	if ((access & GWALK_PROBE) != 0) {
		return GWALK_OK;
	}
	return mark32(w, &k, (access & GWALK_WRITE) != 0);
}

/* Out of line, so that callers of the short path need no large frame. */
__attribute__((noinline)) enum gwalk_status gwalk_careful(const struct gwalk *w, gva_t va,
							  unsigned access, struct gwalk_result *out)
{
	unsigned levels = (w->cr4 & CR4_LA57) != 0 ? 5 : 4;

	if ((w->cr0 & CR0_PG) == 0) {
		out->gpa = gpa(va.v);
		return GWALK_OK;
	}
	if ((w->efer & EFER_LMA) != 0) {
		return walk_tree(w, w->cr3 & PTE_ADDR, levels, va.v, access, out);
	}
	if ((w->cr4 & CR4_PAE) != 0) {
		return walk_pae(w, va.v & MASK(31, 0), access, out);
	}
	return walk_32bit(w, va.v & MASK(31, 0), access, out);
}

enum gwalk_status gwalk(const struct gwalk *w, gva_t va, unsigned access, struct gwalk_result *out)
{
	return gwalk_with(w, va, access, w->ops->read, out);
}
