/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk through a guest's own page tables, guest-virtual to guest-physical, as the CPU would do
 * it: all paging modes, rights, reserved bits, accessed and dirty bits, exact error codes. Memory
 * is reached through two callbacks. Sources: Intel SDM volume 3 "Paging", AMD APM volume 2 "Page
 * Translation and Protection".
 *
 * Not modelled, because no guest is offered them in CPUID: protection keys, shadow stacks. In PAE
 * mode the four top entries are read from memory at each walk, as AMD does under nested paging.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/cpu/regs.h"

enum gwalk_status {
	GWALK_OK,
	GWALK_FAULT,	/* #PF with result.error */
	GWALK_NOT_RAM,	/* a table lies where there is no RAM; result.gpa says where */
	GWALK_CONFLICT, /* another CPU changed an entry meanwhile: run the guest again */
};

/* What is to be done at the address. Reading data, by the supervisor, is 0. */
#define GWALK_WRITE 1u
#define GWALK_FETCH 2u
#define GWALK_USER 4u
#define GWALK_IMPLICIT 8u /* supervisor access by the CPU itself (GDT, IDT, TSS): AC is ignored */
#define GWALK_AC 16u	  /* RFLAGS.AC is set */
#define GWALK_PROBE 32u	  /* leave accessed and dirty bits alone */

struct gwalk;

struct gwalk_ops {
	/* Reads a table entry of 4 or 8 bytes, aligned; false when that is not RAM. */
	bool (*read)(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t *entry);
	/*
	 * Replaces an entry that still holds `expected`; false when it does not. In read-only
	 * memory the write is dropped and true returned.
	 */
	bool (*update)(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t expected,
		       uint64_t entry);
};

/* The paging state of a vCPU; embedded by its user, who reaches guest memory from there. */
struct gwalk {
	const struct gwalk_ops *ops;
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t reserved; /* set by gwalk_prepare: bits that no entry may have */
	uint8_t phys_bits; /* the guest's MAXPHYADDR, 32..52 */
	bool gib_pages;	   /* the guest's CPUID has 1 GiB pages */
	bool amd;	   /* bit 8 of level-4 and level-5 entries is reserved */
};

struct gwalk_result {
	gpa_t gpa;
	uint32_t error; /* PF_* */
};

/* Derives what walks need; to be called after the registers were set. */
static inline void gwalk_prepare(struct gwalk *w)
{
	w->reserved = MASK(51, 0) & ~(BIT(w->phys_bits) - 1);
	if ((w->efer & EFER_NXE) == 0) {
		w->reserved |= PTE_NX;
	}
	if ((w->efer & EFER_LMA) == 0 && (w->cr4 & CR4_PAE) != 0) {
		w->reserved |= MASK(62, 52);
	}
}

/*
 * Translates `va` (canonical; the low 32 bits count outside long mode). On GWALK_OK out->gpa is the
 * address of that byte and the accessed and dirty bits are set; out->error is set on GWALK_FAULT.
 */
enum gwalk_status gwalk(const struct gwalk *w, gva_t va, unsigned access, struct gwalk_result *out);

/* ------------------------------------------------------------------ the fast path */

#define GWALK_LEVELS_MAX 5u

/* Where a walk has been; index 0 is level 1. */
struct gwalk_trail {
	uint64_t entry[GWALK_LEVELS_MAX];
	uint64_t addr[GWALK_LEVELS_MAX];
	uint64_t all; /* entries and-ed: W, U and A of the whole path */
	uint64_t any; /* entries or-ed: NX */
};

/* The rarer halves of gwalk_tree, out of line in gwalk.c. */
enum gwalk_status gwalk_fault(const struct gwalk *w, unsigned access, uint32_t why,
			      struct gwalk_result *out);
bool gwalk_permitted(const struct gwalk *w, unsigned access, const struct gwalk_trail *t);
enum gwalk_status gwalk_mark(const struct gwalk *w, const struct gwalk_trail *t, unsigned leaf,
			     unsigned top, bool write);

typedef bool gwalk_read_fn(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t *entry);

/* Whether a present entry has a bit that is reserved at its level. */
static inline bool gwalk_is_reserved(const struct gwalk *w, uint64_t entry, unsigned level)
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

/*
 * Walks 8-byte entries from the table at `table`, of `level` levels. `read` is a parameter so that
 * a caller whose reader is visible gets it inlined.
 */
static inline __attribute__((always_inline)) enum gwalk_status
gwalk_tree(const struct gwalk *w, uint64_t table, unsigned level, uint64_t va, unsigned access,
	   gwalk_read_fn *read, struct gwalk_result *out)
{
	struct gwalk_trail t;
	unsigned top = level;
	unsigned shift = PAGE_SHIFT + 9 * (level - 1);
	uint64_t entry;
	uint64_t missing;

	t.all = ~0ull;
	t.any = 0;
	for (;; level--, shift -= 9) {
		uint64_t addr = table + ((va >> shift) & 511) * 8;

		if (__builtin_expect(!read(w, gpa(addr), 8, &entry), 0)) {
			out->gpa = gpa(addr);
			return GWALK_NOT_RAM;
		}
		if (__builtin_expect((entry & PTE_P) == 0, 0)) {
			return gwalk_fault(w, access, 0, out);
		}
		if (__builtin_expect(gwalk_is_reserved(w, entry, level), 0)) {
			return gwalk_fault(w, access, PF_PRESENT | PF_RESERVED, out);
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
	if (!gwalk_permitted(w, access, &t)) {
		return gwalk_fault(w, access, PF_PRESENT, out);
	}
	out->gpa = gpa((entry & PTE_ADDR & ~(BIT(shift) - 1)) | (va & (BIT(shift) - 1)));
	missing = (~t.all & PTE_A) | ((access & GWALK_WRITE) != 0 ? ~entry & PTE_D : 0);
	if (__builtin_expect(missing != 0 && (access & GWALK_PROBE) == 0, 0)) {
		return gwalk_mark(w, &t, level, top, (access & GWALK_WRITE) != 0);
	}
	return GWALK_OK;
}

/* One step down; false when there is anything about the entry that needs a closer look. */
static inline __attribute__((always_inline)) bool
gwalk_step(const struct gwalk *w, uint64_t table, uint64_t index, gwalk_read_fn *read,
	   uint64_t *entry)
{
	return read(w, gpa((table & PTE_ADDR) + (index & 511) * 8), 8, entry) &&
	       (*entry & (w->reserved | PTE_P)) == PTE_P;
}

/*
 * The usual case of a walk through four levels: nothing reserved, all rights there, nothing to
 * mark. False in any other case, having changed nothing.
 */
static inline __attribute__((always_inline)) bool
gwalk_usual(const struct gwalk *w, uint64_t va, unsigned access, gwalk_read_fn *read, gpa_t *out)
{
	uint64_t need = PTE_A | ((access & GWALK_WRITE) != 0 ? (uint64_t)PTE_W : 0) |
			((access & GWALK_USER) != 0 ? (uint64_t)PTE_U : 0);
	uint64_t all;
	uint64_t any;
	uint64_t entry;
	uint64_t offset = PAGE_SIZE_2M - 1;

	if (!gwalk_step(w, w->cr3, va >> 39, read, &entry) || (entry & (PTE_PS | PTE_G)) != 0) {
		return false;
	}
	all = any = entry;
	if (!gwalk_step(w, entry, va >> 30, read, &entry) || (entry & PTE_PS) != 0) {
		return false;
	}
	all &= entry;
	any |= entry;
	if (!gwalk_step(w, entry, va >> 21, read, &entry)) {
		return false;
	}
	all &= entry;
	any |= entry;
	if ((entry & PTE_PS) == 0) {
		if (!gwalk_step(w, entry, va >> 12, read, &entry)) {
			return false;
		}
		all &= entry;
		any |= entry;
		offset = PAGE_SIZE - 1;
	} else if ((entry & MASK(20, 13)) != 0) {
		return false;
	}
	need |= (access & GWALK_WRITE) != 0 ? (uint64_t)PTE_D : 0;
	if ((all & need) != (need & ~PTE_D) && (all & need) != need) {
		return false;
	}
	*out = gpa((entry & PTE_ADDR & ~offset) | (va & offset));
	return true;
}

/* The walk of long mode alone: EFER.LMA and CR0.PG are set. See gwalk_tree about `read`. */
static inline __attribute__((always_inline)) enum gwalk_status gwalk_long(const struct gwalk *w,
									  gva_t va, unsigned access,
									  gwalk_read_fn *read,
									  struct gwalk_result *out)
{
	uint64_t root = w->cr3 & PTE_ADDR;

	if (__builtin_expect((w->cr4 & CR4_LA57) != 0, 0)) {
		return gwalk(w, va, access, out);
	}
	return gwalk_tree(w, root, 4, va.v, access, read, out);
}
