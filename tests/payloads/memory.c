/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's memory holds at its start, and whether another's can be found anywhere. */
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define PAGE 0x1000ull
#define PORTS 0x10000u
/* Kept inverted, so that no image holds the mark itself. */
#define MARK_INVERTED 0x9c84b3a7d1e2f065ull

static uint64_t mark(void)
{
	uint64_t inverted = MARK_INVERTED;

	__asm__("" : "+r"(inverted));
	return ~inverted;
}

/* Calls fn for each page of RAM that nothing uses, with where it is mapped now. */
static uint64_t for_each_free_page(void (*fn)(uint64_t gpa, uint64_t *page))
{
	uint64_t pages = 0;

	for (uint64_t gpa = 0; gpa < rt_low_ram_end(); gpa += PAGE) {
		if (!rt_in_use(gpa, PAGE)) {
			fn(gpa, (uint64_t *)(uintptr_t)gpa);
			pages++;
		}
	}
	for (uint64_t gpa = LAYOUT_4G; gpa < rt_ram_end(); gpa += PAGE) {
		static uint64_t window;

		if (is_aligned(gpa, 1ull << 30)) {
			window = rt_window(gpa);
		}
		fn(gpa, (uint64_t *)(uintptr_t)(window + (gpa & ((1ull << 30) - 1))));
		pages++;
	}
	return pages;
}

static void expect_zero(uint64_t gpa, uint64_t *page)
{
	for (unsigned i = 0; i < PAGE / 8; i++) {
		EXPECT(page[i] == 0, "0x%lx holds 0x%lx", gpa + i * sizeof(*page), page[i]);
	}
}

static void write_mark(uint64_t gpa, uint64_t *page)
{
	(void)gpa;
	for (unsigned i = 0; i < PAGE / 8; i++) {
		page[i] = mark();
	}
}

/*
 * These compute for seconds without an exit. Interrupts are on meanwhile, although there is no
 * source of any: Bochs' AMD-V would not let the host's timer through (docs/platforms.md).
 */
void case_memory_zero(void)
{
	interrupts_on();
	rt_print("%lu pages of zeros\n", for_each_free_page(expect_zero));
}

/* Marks all memory; with `hold` it stays asleep, else the guest ends. */
void case_memory_fill(void)
{
	interrupts_on();
	rt_print("%lu pages marked\n", for_each_free_page(write_mark));
	while (rt_option("hold", 0) != 0) {
		wait_for_interrupt();
	}
}

static void expect_no_mark(uint64_t gpa, uint64_t *page)
{
	for (unsigned i = 0; i < PAGE / 8; i++) {
		EXPECT(page[i] != mark(), "0x%lx holds another guest's mark",
		       gpa + i * sizeof(*page));
	}
}

static void look_at(uint64_t gpa, uint64_t va)
{
	uint64_t first = mmio_read64(va);

	EXPECT(first != mark(), "0x%lx holds another guest's mark", gpa);
}

/* All RAM, every page up to 4 GiB (or one every `step` bytes) and some above, and every port. */
void case_memory_search(void)
{
	uint64_t step = rt_option("step", PAGE);
	uint64_t pages;

	interrupts_on();
	pages = for_each_free_page(expect_no_mark);
	for (uint64_t gpa = rt_low_ram_end(); gpa < LAYOUT_4G; gpa += step) {
		look_at(gpa, gpa);
		pages++;
	}
	for (uint64_t gib = align_up(rt_ram_end(), 1ull << 30) >> 30; gib < 1024; gib *= 2) {
		uint64_t base = max_u64(gib, 4) << 30;
		uint64_t va = rt_window(base);

		for (uint64_t offset = 0; offset < 1ull << 30; offset += 1ull << 21) {
			look_at(base + offset, va + offset);
			pages++;
		}
	}
	for (uint32_t port = 0; port < PORTS; port++) {
		EXPECT(in32((uint16_t)port) != (uint32_t)mark(), "port 0x%x shows a mark", port);
	}
	rt_print("%lu pages and every port searched\n", pages);
}
