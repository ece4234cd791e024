/* SPDX-License-Identifier: Apache-2.0 */
/* Guest-physical addresses that are not RAM, by every kind of access. */
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"

#define HOLE 0xd0000000ull
#define PAGE 0x1000ull
#define CHUNK 0x8000u

static bool device_page(uint64_t gpa)
{
	return gpa - LAYOUT_ECAM_BASE < LAYOUT_ECAM_SIZE || gpa == LAYOUT_IOAPIC_BASE ||
	       gpa == LAYOUT_LAPIC_BASE;
}

static void touch_page(uint64_t gpa, uint64_t va)
{
	uint64_t before = mmio_read64(va);

	mmio_write64(va + PAGE - 8, 0x0123456789abcdefull);
	EXPECT(before == ~0ull && mmio_read64(va + PAGE - 8) == ~0ull,
	       "0x%lx reads 0x%lx, then 0x%lx", gpa, before, mmio_read64(va + PAGE - 8));
}

/* Pages from `from` on, `step` bytes apart. */
static uint64_t scan(uint64_t from, uint64_t to, uint64_t step)
{
	uint64_t pages = 0;

	for (uint64_t gpa = from; gpa < to; gpa += step) {
		if (!device_page(gpa)) {
			touch_page(gpa, gpa);
			pages++;
		}
	}
	return pages;
}

/* Every unassigned page between RAM and 4 GiB, and some above. */
void case_mmio_scan(void)
{
	uint64_t step = rt_option("step", PAGE);
	uint64_t pages = scan(LAYOUT_VIDEO_BASE, LAYOUT_VIDEO_BASE + LAYOUT_VIDEO_SIZE, PAGE);

	pages += scan(rt_low_ram_end(), LAYOUT_MMIO_BASE, step);
	pages += scan(LAYOUT_MMIO_BASE, LAYOUT_4G, rt_option("mmio-step", PAGE));
	for (uint64_t gib = 4; gib < 1024; gib *= 2) {
		uint64_t va = rt_window(gib << 30);

		for (uint64_t offset = 0; offset < 1ull << 30; offset += 1ull << 24) {
			touch_page((gib << 30) + offset, va + offset);
			pages++;
		}
	}
	rt_print("%lu pages\n", pages);
}

/* --- string instructions --- */

static uint8_t buffer[CHUNK] __attribute__((aligned(4096)));

struct move {
	uint64_t to, from, count;
};

#define MOVE(name, insn) \
	static void name(struct move *m) \
	{ \
		__asm__ volatile(insn \
				 : "+D"(m->to), "+S"(m->from), "+c"(m->count) \
				 : "a"(~0ull) \
				 : "memory", "cc"); \
	}

MOVE(rep_movsb, "rep movsb")
MOVE(rep_movsq_down, "std; rep movsq; cld")
MOVE(rep_stosq, "rep stosq")
MOVE(repe_scasb, "repe scasb")
MOVE(repe_cmpsb, "repe cmpsb")
MOVE(rep_lodsb, "rep lodsb")

static uint64_t buffer_address(void)
{
	return (uint64_t)(uintptr_t)buffer;
}

void case_mmio_strings(void)
{
	struct move m = {HOLE, buffer_address(), CHUNK};

	rep_movsb(&m);
	EXPECT(m.count == 0 && m.to == HOLE + CHUNK && m.from == buffer_address() + CHUNK,
	       "RAM to nowhere: 0x%lx left", m.count);
	m = (struct move){buffer_address(), HOLE, CHUNK};
	rep_movsb(&m);
	EXPECT(m.count == 0, "nowhere to RAM: 0x%lx left", m.count);
	for (unsigned i = 0; i < CHUNK; i++) {
		EXPECT(buffer[i] == 0xff, "nowhere to RAM: byte %u is 0x%x", i, buffer[i]);
	}
	m = (struct move){HOLE + 0x123456, HOLE, CHUNK};
	rep_movsb(&m);
	EXPECT(m.count == 0, "nowhere to nowhere: 0x%lx left", m.count);
	m = (struct move){HOLE + CHUNK - 8, buffer_address() + CHUNK - 8, CHUNK / 8};
	rep_movsq_down(&m);
	EXPECT(m.count == 0 && m.to == HOLE - 8, "downwards: 0x%lx left", m.count);
	m = (struct move){HOLE + 3, 0, CHUNK / 8};
	rep_stosq(&m);
	EXPECT(m.count == 0, "STOSQ: 0x%lx left", m.count);
	m = (struct move){HOLE, 0, 0x800};
	repe_scasb(&m);
	EXPECT(m.count == 0, "SCASB: 0x%lx left", m.count);
	m = (struct move){HOLE, buffer_address(), 0x800};
	repe_cmpsb(&m);
	EXPECT(m.count == 0, "CMPSB: 0x%lx left", m.count);
	m = (struct move){0, HOLE, 0x800};
	rep_lodsb(&m);
	EXPECT(m.count == 0, "LODSB: 0x%lx left", m.count);
}

/* --- unaligned and page-crossing --- */

static void cross_ram_end(void)
{
	uint64_t end = rt_low_ram_end();

	for (unsigned inside = 1; inside < 8; inside++) {
		uint64_t at = end - inside;
		uint64_t expected =
			~0ull << inside * 8 | (0x8877665544332211ull & (BIT(inside * 8) - 1));

		mmio_write64(at, 0x8877665544332211ull);
		EXPECT(mmio_read64(at) == expected, "across the end of RAM at 0x%lx: 0x%lx", at,
		       mmio_read64(at));
	}
	mmio_write64(end - 8, 0);
}

/* Only that it is survived: what such accesses read is nobody's business. */
static void cross_device(uint64_t page)
{
	for (uint64_t at = page - 8; at < page + 16; at++) {
		(void)mmio_read32(at);
		(void)mmio_read64(at);
	}
	for (uint64_t at = page + PAGE - 8; at < page + PAGE + 8; at++) {
		(void)mmio_read64(at);
		mmio_write64(at, ~0ull);
	}
}

static void locked_operations(void)
{
	uint64_t old = 1;

	__asm__ volatile("lock orl $1, (%0)" : : "r"(HOLE) : "memory", "cc");
	__asm__ volatile("lock btsl $3, (%0)" : : "r"(HOLE) : "memory", "cc");
	__asm__ volatile("xchgq %0, (%1)" : "+r"(old) : "r"(HOLE) : "memory");
	EXPECT(old == ~0ull, "XCHG with nowhere read 0x%lx", old);
	old = 5;
	__asm__ volatile("lock xaddq %0, (%1)" : "+r"(old) : "r"(HOLE) : "memory", "cc");
	EXPECT(old == ~0ull, "XADD with nowhere read 0x%lx", old);
	old = 7;
	__asm__ volatile("lock cmpxchgq %2, (%1)"
			 : "+a"(old)
			 : "r"(HOLE), "r"(9ull)
			 : "memory", "cc");
	EXPECT(old == ~0ull, "CMPXCHG with nowhere read 0x%lx", old);
	__asm__ volatile("lock incl (%0)" : : "r"(HOLE + PAGE - 2) : "memory", "cc");
}

static void read_through(void *arg)
{
	(void)mmio_read64((uint64_t)(uintptr_t)arg);
}

void case_mmio_edges(void)
{
	uint64_t window;

	for (uint64_t at = HOLE + PAGE - 16; at < HOLE + PAGE + 16; at++) {
		mmio_write64(at, 0);
		EXPECT(mmio_read64(at) == ~0ull, "0x%lx reads 0x%lx", at, mmio_read64(at));
	}
	cross_ram_end();
	cross_device(LAYOUT_IOAPIC_BASE);
	cross_device(LAYOUT_ECAM_BASE);
	cross_device(LAYOUT_HPET_BASE);
	/* Its own registers are not written: only what lies around them. */
	for (uint64_t at = APIC_BASE - 8; at < APIC_BASE + PAGE + 8; at++) {
		(void)mmio_read32(at);
		(void)mmio_read64(at);
	}
	locked_operations();
	/* The top of the first 4 GiB, behind which the page tables end. */
	window = rt_window(LAYOUT_4G - (1ull << 30)) + (1ull << 30);
	EXPECT(rt_try(read_through, (void *)(uintptr_t)(window - 4)),
	       "no fault across the mapping");
	EXPECT(rt_fault.vector == RT_PF && rt_fault.cr2 == window, "exception %lu, CR2 0x%lx",
	       rt_fault.vector, rt_fault.cr2);
}

/* --- instructions that no driver uses on device memory --- */

static void odd_sse(void *arg)
{
	__asm__ volatile("movups (%0), %%xmm0; movups %%xmm0, (%0)" : : "r"(arg) : "memory");
}

static void odd_push(void *arg)
{
	__asm__ volatile("pushq (%0); popq (%0)" : : "r"(arg) : "memory");
}

static void odd_cmpxchg16b(void *arg)
{
	__asm__ volatile("lock cmpxchg16b (%0)"
			 :
			 : "r"(arg), "a"(0ull), "d"(0ull), "b"(0ull), "c"(0ull)
			 : "memory", "cc");
}

static void odd_fxsave(void *arg)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(arg) : "memory");
}

static void odd_call(void *arg)
{
	__asm__ volatile("call *(%0)" : : "r"(arg) : "memory");
}

/* May end the guest, with a named reason; must not do more. `which` picks one. */
void case_mmio_odd(void)
{
	static void (*const odd[])(void *) = {odd_push, odd_sse, odd_cmpxchg16b, odd_fxsave,
					      odd_call};
	uint64_t which = rt_option("which", 0);

	write_cr4(read_cr4() | CR4_OSFXSR);
	(void)rt_try(odd[which % ARRAY_SIZE(odd)], (void *)HOLE);
}
