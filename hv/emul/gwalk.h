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

typedef bool gwalk_read_fn(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t *entry);

/* The walk without short cuts: any mode, any outcome. Out of line. */
enum gwalk_status gwalk_careful(const struct gwalk *w, gva_t va, unsigned access,
				struct gwalk_result *out);

/* What a walk has seen on its way down. */
struct gwalk_path {
	uint64_t entry; /* the last one */
	uint64_t all;	/* entries and-ed: W, U and A of the whole path */
	uint64_t any;	/* entries or-ed: NX */
};

/* One step down; false when the entry needs a closer look. */
static inline __attribute__((always_inline)) bool
gwalk_step(const struct gwalk *w, uint64_t index, gwalk_read_fn *read, struct gwalk_path *p)
{
	uint64_t addr = (p->entry & PTE_ADDR) + (index & 511) * 8;

	if (!read(w, gpa(addr), 8, &p->entry) || (p->entry & (w->reserved | PTE_P)) != PTE_P) {
		return false;
	}
	p->all &= p->entry;
	p->any |= p->entry;
	return true;
}

/* Whether the path allows the access in the ordinary way and has nothing to be marked. */
static inline bool gwalk_is_clear(const struct gwalk *w, unsigned access,
				  const struct gwalk_path *p)
{
	uint64_t need = PTE_A;

	if ((access & GWALK_WRITE) != 0) {
		need |= PTE_W;
		if ((p->entry & PTE_D) == 0) {
			return false;
		}
	}
	if ((access & GWALK_FETCH) != 0 && (p->any & PTE_NX) != 0) {
		return false;
	}
	if ((access & GWALK_USER) != 0) {
		need |= PTE_U;
	} else if ((p->all & PTE_U) != 0 && (w->cr4 & (CR4_SMEP | CR4_SMAP)) != 0) {
		return false;
	}
	return (p->all & need) == need;
}

/*
 * The usual case of a walk through four levels: nothing reserved, all rights there, nothing to
 * mark. False in any other case, having changed nothing.
 */
static inline __attribute__((always_inline)) bool
gwalk_usual(const struct gwalk *w, uint64_t va, unsigned access, gwalk_read_fn *read, gpa_t *out)
{
	struct gwalk_path p = {.entry = w->cr3, .all = ~0ull};
	uint64_t offset = PAGE_SIZE - 1;

	if (!gwalk_step(w, va >> 39, read, &p) || (p.entry & (PTE_PS | PTE_G)) != 0 ||
	    !gwalk_step(w, va >> 30, read, &p)) {
		return false;
	}
	if ((p.entry & PTE_PS) != 0) {
		offset = PAGE_SIZE_1G - 1;
	} else if (!gwalk_step(w, va >> 21, read, &p)) {
		return false;
	} else if ((p.entry & PTE_PS) != 0) {
		offset = PAGE_SIZE_2M - 1;
	} else if (!gwalk_step(w, va >> 12, read, &p)) {
		return false;
	}
	if ((p.entry & offset & MASK(29, 13)) != 0 || !gwalk_is_clear(w, access, &p)) {
		return false;
	}
	*out = gpa((p.entry & PTE_ADDR & ~offset) | (va & offset));
	return offset != PAGE_SIZE_1G - 1 || w->gib_pages;
}

/*
 * The walk of long mode: EFER.LMA and CR0.PG are set. `read` is a parameter so that a caller whose
 * reader is visible gets it inlined.
 */
static inline __attribute__((always_inline)) enum gwalk_status gwalk_long(const struct gwalk *w,
									  gva_t va, unsigned access,
									  gwalk_read_fn *read,
									  struct gwalk_result *out)
{
	if (__builtin_expect((w->cr4 & CR4_LA57) == 0, 1) &&
	    __builtin_expect(gwalk_usual(w, va.v, access, read, &out->gpa), 1)) {
		return GWALK_OK;
	}
	return gwalk_careful(w, va, access, out);
}

/* gwalk() for any mode, with the reader as in gwalk_long. */
static inline __attribute__((always_inline)) enum gwalk_status gwalk_with(const struct gwalk *w,
									  gva_t va, unsigned access,
									  gwalk_read_fn *read,
									  struct gwalk_result *out)
{
	if ((w->cr0 & CR0_PG) != 0 && (w->efer & EFER_LMA) != 0) {
		return gwalk_long(w, va, access, read, out);
	}
	return gwalk_careful(w, va, access, out);
}
