/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-up of memory: memory map -> frame table -> pool -> core space -> CR3. Until the switch all
 * memory of the map is reachable through the loader's direct window, afterwards what is ours.
 */
#include "boot/handoff.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "mm/access.h"
#include "mm/core.h"
#include "mm/frame.h"
#include "mm/plan.h"
#include "mm/pool.h"
#include "mm/space.h"
#include "mm/window.h"

static_assert(HANDOFF_DIRECT_BASE == HV_DIRECT_BASE, "one direct window");

/* UEFI specification, "EFI_BOOT_SERVICES.GetMemoryMap()". */
#define EFI_MEMORY_WB BIT32(3)
#define EFI_MEMORY_XP BIT32(14)
#define EFI_MEMORY_RO BIT32(17)

/* Device registers that firmware may use at run time are mapped for it up to this size. */
#define FIRMWARE_MMIO_MAX MIB(256)

typedef enum hv_status part_fn(const struct handoff_memory *m, const struct plan *p);

/* Calls `fn` for each believable part of the map below the plan's top. */
static enum hv_status for_each_part(const struct handoff *h, const struct plan *p, bool quiet,
				    part_fn *fn)
{
	struct plan_walk w;
	struct handoff_memory m;
	enum hv_status status = HV_OK;

	plan_walk_init(&w, pool_ptr(hpa(h->memory)), h->memory_count);
	w.quiet = quiet;
	while (status == HV_OK && plan_walk_next(&w, &m)) {
		status = fn(&m, p);
	}
	return status;
}

/* Free memory but what the plan took out of it. */
static void add_free(uint64_t base, uint64_t end, const struct plan *p)
{
	const uint64_t taken[2][2] = {
		{p->chunk_base, p->chunk_base + p->chunk_size},
		{p->table_base, p->table_base + p->table_size},
	};

	for (unsigned i = 0; i < 2; i++) {
		if (taken[i][0] >= base && taken[i][0] < end) {
			add_free(base, taken[i][0], p);
			frame_add_used(hpa(taken[i][0]), taken[i][1] - taken[i][0]);
			base = taken[i][1];
		}
	}
	if (base < end) {
		frame_add_free(hpa(base), end - base);
	}
}

static enum hv_status add_frames(const struct handoff_memory *m, const struct plan *p)
{
	if (m->base + m->size > p->top) {
		return HV_OK;
	}
	switch (m->type) {
	case HANDOFF_MEM_FREE:
		add_free(m->base, m->base + m->size, p);
		break;
	case HANDOFF_MEM_LOADER:
	case HANDOFF_MEM_IMAGE:
	case HANDOFF_MEM_MODULE:
		frame_add_used(hpa(m->base), m->size);
		break;
	default:
		break;
	}
	return HV_OK;
}

static enum hv_status map_direct(uint64_t base, uint64_t size, uint8_t rights)
{
	return core_map(HV_DIRECT_BASE + base, hpa(base), size, (struct pt_attr){.rights = rights});
}

/* 1:1, with the rights that the firmware says its code and data need. */
static enum hv_status map_firmware(const struct handoff_memory *m, bool device)
{
	struct pt_attr attr = {.rights = PT_RWX};

	if (device || (m->attributes & EFI_MEMORY_XP) != 0) {
		attr.rights &= (uint8_t)~PT_X;
	}
	if (!device && (m->attributes & EFI_MEMORY_RO) != 0) {
		attr.rights &= (uint8_t)~PT_W;
	}
	if (device || (m->attributes & EFI_MEMORY_WB) == 0) {
		attr.type = PT_UC;
	}
	return core_map(m->base, hpa(m->base), m->size, attr);
}

static enum hv_status map_part(const struct handoff_memory *m, const struct plan *p)
{
	switch (m->type) {
	case HANDOFF_MEM_LOADER:
	case HANDOFF_MEM_MODULE:
		/* What lies above the top has no frames and stays unreachable. */
		return m->base + m->size <= p->top ? map_direct(m->base, m->size, PT_R) : HV_OK;
	case HANDOFF_MEM_RUNTIME:
		return map_firmware(m, false);
	case HANDOFF_MEM_MMIO:
		return m->size <= FIRMWARE_MMIO_MAX ? map_firmware(m, true) : HV_OK;
	default:
		return HV_OK;
	}
}

static enum hv_status map_image(const struct handoff *h)
{
	struct access_section sections[ACCESS_SECTIONS];
	enum hv_status status = HV_OK;

	access_image(sections);
	if (!is_aligned(h->image_base, PAGE_SIZE)) {
		return HV_E_INVALID;
	}
	for (unsigned i = 0; i < ACCESS_SECTIONS && status == HV_OK; i++) {
		const struct access_section *s = &sections[i];
		uint64_t offset = s->start - sections[0].start;

		if (!range_fits(offset, s->end - s->start, h->image_size)) {
			log_error("memory: the loaded image is smaller than its sections");
			return HV_E_INVALID;
		}
		status = core_map(s->start, hpa(h->image_base + offset), s->end - s->start,
				  (struct pt_attr){.rights = s->rights});
	}
	return status;
}

static enum hv_status map_trampoline(const struct handoff *h)
{
	if (h->trampoline == 0) {
		return HV_OK;
	}
	if (!is_aligned(h->trampoline, PAGE_SIZE) || h->trampoline >= MIB(1)) {
		return HV_E_INVALID;
	}
	return core_map(h->trampoline, hpa(h->trampoline), PAGE_SIZE,
			(struct pt_attr){.rights = PT_RWX});
}

static enum hv_status build_core(const struct handoff *h, const struct plan *p)
{
	enum hv_status status = core_init(p->top);

	if (status == HV_OK) {
		status = map_image(h);
	}
	if (status == HV_OK) {
		status = map_direct(p->table_base, p->table_size, PT_RW);
	}
	if (status == HV_OK) {
		status = map_direct(p->chunk_base, p->chunk_size, PT_RW);
	}
	if (status == HV_OK) {
		status = for_each_part(h, p, true, map_part);
	}
	if (status == HV_OK) {
		status = map_trampoline(h);
	}
	if (status == HV_OK) {
		status = window_init(&space_core()->pt);
	}
	return status;
}

static void report(const struct plan *p)
{
	struct frame_stats stats;

	frame_stats(&stats);
	log_info("memory: %llu MiB, %llu MiB free, up to 0x%llx; frame table %llu KiB",
		 (unsigned long long)(stats.total >> (20 - PAGE_SHIFT)),
		 (unsigned long long)(stats.free >> (20 - PAGE_SHIFT)), (unsigned long long)p->top,
		 (unsigned long long)(p->table_size >> 10));
}

enum hv_status mm_init(const struct handoff *handoff)
{
	struct plan plan;
	struct frame *table;
	enum hv_status status =
		plan_make(pool_ptr(hpa(handoff->memory)), handoff->memory_count, &plan);

	if (status != HV_OK) {
		return status;
	}
	table = pool_ptr(hpa(plan.table_base));
	memset(table, 0, plan.table_size);
	frame_init(table, plan.top);
	status = for_each_part(handoff, &plan, false, add_frames);
	CHECK(status == HV_OK);
	pool_init(hpa(plan.chunk_base), plan.chunk_size, core_map_direct);
	status = build_core(handoff, &plan);
	if (status != HV_OK) {
		log_error("memory: cannot build the address space: %s", hv_status_name(status));
		return status;
	}
	space_cpu_init();
	report(&plan);
	return HV_OK;
}

/* Where mm_reclaim_loader remembers what to free, because the map itself is part of it. */
struct loader_memory {
	uint64_t count;
	struct {
		uint64_t base;
		uint64_t size;
	} parts[];
};

/* Writes the parts to `out` unless NULL; returns how many there are. */
static uint64_t list_loader_parts(const struct handoff *h, struct loader_memory *out)
{
	struct plan_walk w;
	struct handoff_memory m;
	uint64_t count = 0;

	plan_walk_init(&w, pool_ptr(hpa(h->memory)), h->memory_count);
	w.quiet = true;
	while (plan_walk_next(&w, &m)) {
		/* Memory below 1 MiB is for AP start-up and firmware for good. */
		if (m.type != HANDOFF_MEM_LOADER || m.base < MIB(1) ||
		    m.base + m.size > frame_top()) {
			continue;
		}
		if (out != NULL) {
			out->parts[count].base = m.base;
			out->parts[count].size = m.size;
		}
		count++;
	}
	return count;
}

enum hv_status mm_reclaim_loader(const struct handoff *handoff)
{
	uint64_t count = list_loader_parts(handoff, NULL);
	size_t bytes = sizeof(struct loader_memory) + count * 2 * sizeof(uint64_t);
	struct loader_memory *loader = bytes <= PAGE_SIZE_2M ? pool_alloc(bytes) : NULL;
	enum hv_status status = HV_OK;

	if (loader == NULL) {
		return HV_E_NO_MEMORY;
	}
	loader->count = list_loader_parts(handoff, loader);
	for (uint64_t i = 0; i < loader->count && status == HV_OK; i++) {
		status = core_unmap(HV_DIRECT_BASE + loader->parts[i].base, loader->parts[i].size);
		if (status == HV_OK) {
			frame_put_range(hpa(loader->parts[i].base), loader->parts[i].size);
		}
	}
	pool_free(loader, bytes);
	return status;
}
