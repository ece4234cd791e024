/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Temporary windows. CPU n has entry n of one page directory (2 MiB) and entries 2n and 2n + 1 of
 * one page table (4 KiB each); no other CPU uses or caches them, so INVLPG here is enough.
 */
#include "mm/window.h"

#include <stddef.h>

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "mm/access.h"
#include "mm/space.h"

#define SMALL_BASE (HV_TEMP_BASE + PAGE_SIZE_1G)
static_assert(CPU_MAX <= PT_ENTRIES / 2, "one table of each kind");

static uint64_t *large_entries; /* of a page directory, set once */
static uint64_t *small_entries; /* of a page table, set once */

enum hv_status window_init(struct pt *core)
{
	large_entries = pt_table(core, HV_TEMP_BASE, PT_LEVEL_2M);
	small_entries = pt_table(core, SMALL_BASE, PT_LEVEL_4K);
	return large_entries != NULL && small_entries != NULL ? HV_OK : HV_E_NO_MEMORY;
}

struct window {
	uint64_t *entry;
	hva_t va;
};

static struct window large_window(void)
{
	unsigned cpu = cpu_this()->index;

	return (struct window){&large_entries[cpu], hva(HV_TEMP_BASE + cpu * PAGE_SIZE_2M)};
}

/* `which`: 0 or 1. */
static struct window small_window(unsigned which)
{
	unsigned i = 2 * cpu_this()->index + which;

	return (struct window){&small_entries[i], hva(SMALL_BASE + i * PAGE_SIZE)};
}

static void *window_open(struct window w, unsigned level, hpa_t pa, uint8_t rights)
{
	uint64_t leaf = pt_format_host.make_leaf(pa, level, (struct pt_attr){.rights = rights});

	CHECK(*w.entry == 0);
	__atomic_store_n(w.entry, leaf, __ATOMIC_RELEASE);
	return access_ptr(w.va, (rights & PT_W) != 0);
}

static void window_close(struct window w)
{
	__atomic_store_n(w.entry, 0, __ATOMIC_RELEASE);
	cpu_invlpg(w.va);
}

void window_zero(hpa_t base, uint64_t size)
{
	CHECK(is_aligned(base.v | size, PAGE_SIZE));
	while (size != 0) {
		bool large = is_aligned(base.v, PAGE_SIZE_2M) && size >= PAGE_SIZE_2M;
		uint64_t n = large ? PAGE_SIZE_2M : PAGE_SIZE;
		struct window w = large ? large_window() : small_window(0);
		void *p = window_open(w, large ? PT_LEVEL_2M : PT_LEVEL_4K, base, PT_RW);

		memset(p, 0, n);
		window_close(w);
		base.v += n;
		size -= n;
	}
}

void window_copy_frame(hpa_t dst, hpa_t src)
{
	struct window to = small_window(0);
	struct window from = small_window(1);
	void *p = window_open(to, PT_LEVEL_4K, dst, PT_RW);

	memcpy(p, window_open(from, PT_LEVEL_4K, src, PT_R), PAGE_SIZE);
	window_close(from);
	window_close(to);
}
