/* SPDX-License-Identifier: Apache-2.0 */
/* Guest-virtual addresses of a vCPU. */
#include "hv/gaddr.h"

#include "hv/api/gmem.h"
#include "hv/cpu/features.h"
#include "hv/guest.h"
#include "hv/vcpu.h"

#define EXT1_EDX_PAGES_1G BIT32(26)

/* container_of that keeps const. */
static const struct vcpu_walk *self(const struct gwalk *w)
{
	return (const struct vcpu_walk *)(const void *)((const char *)w -
							offsetof(struct vcpu_walk, walk));
}

bool gaddr_read_entry_slow(struct vm *vm, gpa_t addr, unsigned size, uint64_t *entry)
{
	*entry = 0;
	return guest_mem_read(vm, addr, entry, size) == HV_OK;
}

/* Entries change under us only from other vCPUs, so the exchange must be atomic there. */
bool gaddr_update_entry(struct vm *vm, gpa_t addr, unsigned size, uint64_t expected, uint64_t entry)
{
	void *p = gspace_ptr(&vm->gspace, addr, size, true);
	uint32_t expected32 = (uint32_t)expected;

	if (p == NULL) {
		return true;
	}
	if (size == 8) {
		return __atomic_compare_exchange_n((uint64_t *)p, &expected, entry, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	return __atomic_compare_exchange_n((uint32_t *)p, &expected32, (uint32_t)entry, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool read_entry(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t *entry)
{
	return gaddr_read_entry(self(w)->vm, addr, size, entry);
}

static bool update_entry(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t expected,
			 uint64_t entry)
{
	return gaddr_update_entry(self(w)->vm, addr, size, expected, entry);
}

static const struct gwalk_ops walk_ops = {read_entry, update_entry};

void gaddr_fill_walk(struct gwalk *w, const struct vcpu *vcpu, const struct vcpu_context *context)
{
	const struct cpu_features *f = cpu_features();
	const struct guest *g = guest_of(vcpu->vm);

	w->cr0 = context->cr0;
	w->cr3 = context->cr3;
	w->cr4 = context->cr4;
	w->efer = context->efer;
	w->phys_bits = (uint8_t)f->physical_bits;
	w->gib_pages = (g->cpuid.extended[1].edx & EXT1_EDX_PAGES_1G) != 0;
	w->amd = f->vendor == CPU_VENDOR_AMD;
}

void vcpu_walk_begin(struct vcpu_walk *w, const struct vcpu *vcpu,
		     const struct vcpu_context *context)
{
	w->vm = vcpu->vm;
	w->walk.ops = &walk_ops;
	gaddr_fill_walk(&w->walk, vcpu, context);
	w->long_mode = (w->walk.efer & EFER_LMA) != 0 && (w->walk.cr0 & CR0_PG) != 0;
	gwalk_prepare(&w->walk);
}

enum gwalk_status vcpu_translate(const struct vcpu_walk *w, gva_t va, unsigned access,
				 struct gwalk_result *out)
{
	if (w->long_mode) {
		return gwalk_long(&w->walk, va, access, read_entry, out);
	}
	return gwalk(&w->walk, va, access, out);
}
