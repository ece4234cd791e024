/* SPDX-License-Identifier: Apache-2.0 */
/* Hypervisor address spaces: the core, its growth, and the spaces of VMs that share it. */
#include "mm/space.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/lock.h"
#include "hv/base/log.h"
#include "hv/cpu/features.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"
#include "mm/access.h"
#include "mm/core.h"
#include "mm/frame.h"
#include "mm/pool.h"

#define SLOT_SIZE BIT(39) /* of one entry of the root */
#define DEVICE_MAPPINGS 64u
/* Beyond this many pages reloading CR3 is cheaper than INVLPG. */
#define FLUSH_PAGES_MAX 32u

/* A mapping that was asked for from outside, kept for ever. */
struct device_mapping {
	uint64_t base; /* physical, page-aligned */
	uint64_t size;
	struct pt_attr attr;
	uint64_t va;
};

static struct {
	struct space space;
	struct spinlock lock; /* covers what follows and the tables below the root */
	uint64_t device_next; /* first unused address of the device area */
	struct device_mapping mappings[DEVICE_MAPPINGS];
	unsigned mapping_count;
} core;

struct space *_Atomic space_of_cpu[CPU_MAX];

static void set_current(struct space *s)
{
	atomic_store_explicit(&space_of_cpu[cpu_this()->index], s, memory_order_release);
}

static unsigned slot_of(uint64_t va)
{
	return (unsigned)(va >> 39) % PT_ENTRIES;
}

static bool is_private_slot(unsigned slot)
{
	return slot >= slot_of(VM_WINDOW_BASE) && slot < slot_of(VM_WINDOW_BASE + VM_WINDOW_SIZE);
}

enum hv_status core_init(uint64_t top)
{
	static const uint64_t areas[] = {0, HV_DEVICE_BASE, HV_TEMP_BASE, HV_IMAGE_BASE};
	unsigned max_level = cpu_features()->pages_1g ? PT_LEVEL_1G : PT_LEVEL_2M;
	enum hv_status status = pt_init(&core.space.pt, &pt_format_host, max_level);

	if (status != HV_OK) {
		return status;
	}
	core.space.pt.reserve = true;
	core.device_next = HV_DEVICE_BASE;
	core.mapping_count = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(areas); i++) {
		if (pt_table(&core.space.pt, areas[i], PT_LEVEL_1G) == NULL) {
			return HV_E_NO_MEMORY;
		}
	}
	for (uint64_t pa = 0; pa < top; pa += SLOT_SIZE) {
		if (pt_table(&core.space.pt, HV_DIRECT_BASE + pa, PT_LEVEL_1G) == NULL) {
			return HV_E_NO_MEMORY;
		}
	}
	return HV_OK;
}

/* How many tables mapping [va, va + size) may need at most; those of level 3 are there. */
static uint64_t tables_needed(uint64_t va, hpa_t pa, uint64_t size)
{
	uint64_t directories = size / PAGE_SIZE_1G + 2;
	uint64_t tables = is_aligned(va - pa.v, PAGE_SIZE_2M) ? 2 : size / PAGE_SIZE_2M + 2;

	return directories + tables + 1;
}

static enum hv_status map_locked(uint64_t va, hpa_t pa, uint64_t size, struct pt_attr attr)
{
	enum hv_status status;

	lock_acquire(&core.lock);
	status = pt_map(&core.space.pt, va, pa, size, attr);
	lock_release(&core.lock);
	return status;
}

enum hv_status core_map(uint64_t va, hpa_t pa, uint64_t size, struct pt_attr attr)
{
	enum hv_status status = pool_prepare_tables(tables_needed(va, pa, size));

	return status == HV_OK ? map_locked(va, pa, size, attr) : status;
}

enum hv_status core_map_direct(hpa_t base, uint64_t size)
{
	return map_locked(HV_DIRECT_BASE + base.v, base, size, (struct pt_attr){.rights = PT_RW});
}

enum hv_status core_unmap(uint64_t va, uint64_t size)
{
	enum hv_status status;

	lock_acquire(&core.lock);
	status = pt_unmap(&core.space.pt, va, size);
	lock_release(&core.lock);
	space_flush(space_current(), va, size);
	return status;
}

struct space *space_core(void)
{
	return &core.space;
}

uint64_t space_core_cr3(void)
{
	return pool_hpa(core.space.pt.root).v;
}

void space_cpu_init(void)
{
	cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_NXE);
	cpu_write_cr0(cpu_read_cr0() | CR0_WP);
	/* Only entry 5 differs from the value after reset, and nothing uses it yet. */
	cpu_wrmsr(MSR_IA32_PAT, PT_PAT_VALUE);
	set_current(&core.space);
	cpu_write_cr3(space_core_cr3());
}

enum hv_status space_init(struct space *s)
{
	enum hv_status status = pt_init(&s->pt, &pt_format_host, core.space.pt.max_level);

	if (status != HV_OK) {
		return status;
	}
	/* Entries of the core's root are all made by mm_init and never change again. */
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (!is_private_slot(i)) {
			s->pt.root[i] = core.space.pt.root[i];
		}
	}
	return HV_OK;
}

void space_fini(struct space *s)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (!is_private_slot(i)) {
			s->pt.root[i] = 0;
		}
	}
	pt_fini(&s->pt);
}

void space_switch(struct space *s)
{
	if (space_current() != s) {
		/* Who waits until this CPU has left a space may free its tables then. */
		cpu_write_cr3(pool_hpa(s->pt.root).v);
		set_current(s);
	}
}

bool space_is_current_on(const struct space *s, unsigned cpu)
{
	return atomic_load_explicit(&space_of_cpu[cpu], memory_order_acquire) == s;
}

void space_flush(const struct space *s, uint64_t va, uint64_t size)
{
	if (s == NULL || s != space_current()) {
		return;
	}
	if (size > FLUSH_PAGES_MAX * PAGE_SIZE) {
		cpu_write_cr3(pool_hpa(s->pt.root).v);
		return;
	}
	for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
		cpu_invlpg(hva(va + at));
	}
}

bool space_shares_core(const struct space *s)
{
	/* The CPU may have set the accessed bit in either. */
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (!is_private_slot(i) &&
		    (s->pt.root[i] | PTE_A) != (core.space.pt.root[i] | PTE_A)) {
			return false;
		}
	}
	return true;
}

/* Whether no frame of the range is memory that the frame table gives out or uses. */
static bool is_foreign(uint64_t base, uint64_t size)
{
	for (uint64_t at = base; at < base + size && at < frame_top(); at += PAGE_SIZE) {
		if (frame_info(hpa(at))->type != FRAME_ABSENT) {
			return false;
		}
	}
	return true;
}

/* The address of a page-aligned range that an earlier mapping holds; 0 when none does. */
static uint64_t find_mapping(const struct device_mapping *want)
{
	for (unsigned i = 0; i < core.mapping_count; i++) {
		const struct device_mapping *m = &core.mappings[i];

		if (m->attr.rights == want->attr.rights && m->attr.type == want->attr.type &&
		    want->base >= m->base &&
		    range_fits(want->base - m->base, want->size, m->size)) {
			return m->va + (want->base - m->base);
		}
	}
	return 0;
}

/* Under the core's lock. */
static enum hv_status add_mapping(struct device_mapping *m)
{
	/* The same place within a large page as in physical memory, so that large pages fit. */
	uint64_t va = align_up(core.device_next, PAGE_SIZE_2M) + m->base % PAGE_SIZE_2M;
	enum hv_status status;

	if (!range_fits(va - HV_DEVICE_BASE, m->size, HV_DEVICE_SIZE)) {
		return HV_E_RANGE;
	}
	status = pt_map(&core.space.pt, va, hpa(m->base), m->size, m->attr);
	m->va = va;
	core.device_next = va + m->size;
	if (status == HV_OK && core.mapping_count < DEVICE_MAPPINGS) {
		core.mappings[core.mapping_count++] = *m;
	}
	return status;
}

static enum hv_status map_foreign(struct device_mapping *m)
{
	enum hv_status status;
	uint64_t va;

	if (!range_fits(m->base, m->size, BIT(52)) || m->size > HV_DEVICE_SIZE / 2) {
		return HV_E_RANGE;
	}
	if (!is_foreign(m->base, m->size)) {
		return HV_E_INVALID;
	}
	/* add_mapping keeps the place within a large page. */
	status = pool_prepare_tables(tables_needed(m->base, hpa(m->base), m->size));
	if (status != HV_OK) {
		return status;
	}
	lock_acquire(&core.lock);
	va = find_mapping(m);
	if (va != 0) {
		m->va = va;
	} else {
		status = add_mapping(m);
	}
	lock_release(&core.lock);
	return status;
}

static hva_t map_pages(hpa_t base, uint64_t size, struct pt_attr attr)
{
	uint64_t end = 0;
	struct device_mapping m = {.base = align_down(base.v, PAGE_SIZE), .attr = attr};
	enum hv_status status = HV_E_RANGE;

	if (size != 0 && !__builtin_add_overflow(base.v, size - 1, &end)) {
		m.size = align_down(end, PAGE_SIZE) - m.base + PAGE_SIZE;
		status = map_foreign(&m);
	}
	if (status != HV_OK) {
		log_error("memory: cannot map 0x%llx + 0x%llx: %s", (unsigned long long)base.v,
			  (unsigned long long)size, hv_status_name(status));
		return hva(0);
	}
	return hva(m.va + base.v % PAGE_SIZE);
}

void *space_map_device(hpa_t base, uint64_t size, enum pt_memory_type type)
{
	struct pt_attr attr = {.rights = PT_RW, .type = (uint8_t)type};
	hva_t va = map_pages(base, size, attr);

	return va.v != 0 ? access_ptr(va, true) : NULL;
}

const void *space_map_readonly(hpa_t base, uint64_t size)
{
	hva_t va = map_pages(base, size, (struct pt_attr){.rights = PT_R});

	return va.v != 0 ? access_ptr(va, false) : NULL;
}
