/* SPDX-License-Identifier: Apache-2.0 */
/* The bzImage loader: refusals, placement, boot_params, resumable copying, random layouts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "guests/loaders/linux.h"
#include "guests/loaders/linux_header.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"

#define SETUP_SECTS 3u
#define SETUP_BYTES ((SETUP_SECTS + 1) * 512u)
#define KERNEL_BYTES 0x3000u
#define IMAGE_BYTES (SETUP_BYTES + KERNEL_BYTES)

static uint8_t image[IMAGE_BYTES];
static struct e820_map map;
static struct load_error err;

static void poke(size_t at, uint64_t value, size_t size)
{
	memcpy(image + at, &value, size);
}

/* A small, correct 64-bit bzImage, and a map of 64 MiB. */
static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(image); i++) {
		image[i] = i < SETUP_BYTES ? 0x5a : (uint8_t)(i * 7 + i / 256);
	}
	poke(HDR_SETUP_SECTS, SETUP_SECTS, 1);
	poke(HDR_SYSSIZE, KERNEL_BYTES / 16, 4);
	poke(HDR_BOOT_FLAG, 0xaa55, 2);
	poke(0x200, 0x6aeb, 2);
	poke(HDR_MAGIC, 0x53726448, 4);
	poke(HDR_VERSION, 0x020f, 2);
	poke(HDR_LOADFLAGS, LOADFLAGS_LOADED_HIGH, 1);
	poke(HDR_INITRD_ADDR_MAX, 0x7fffffff, 4);
	poke(HDR_KERNEL_ALIGNMENT, 0x200000, 4);
	poke(HDR_RELOCATABLE, 1, 1);
	poke(HDR_XLOADFLAGS, XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G, 2);
	poke(HDR_CMDLINE_SIZE, 2047, 4);
	poke(HDR_SETUP_DATA, 0x1234, 8);
	poke(HDR_PREF_ADDRESS, MIB(16), 8);
	poke(HDR_INIT_SIZE, MIB(20), 4);
	assert_int_equal(e820_build(MIB(64), &map), HV_OK);
	return 0;
}

static struct linux_source source(const void *initrd, uint64_t initrd_size)
{
	return (struct linux_source){image,	  IMAGE_BYTES, initrd, initrd_size,
				     "console=x", 0xe0000,     &map,   false};
}

static enum hv_status plan_image(uint64_t size, struct linux_plan *plan)
{
	struct linux_source src = source(NULL, 0);

	src.kernel_size = size;
	err.text[0] = 'x';
	return linux_plan(&src, plan, &err);
}

static void assert_says(const char *words)
{
	assert_non_null(strstr(err.text, words));
}

/* ---------------------------------------------------------------- refusals */

static void test_refuses_what_is_no_kernel(void **state)
{
	struct linux_plan plan;

	(void)state;
	assert_int_equal(plan_image(0, &plan), HV_E_TRUNCATED);
	assert_says("empty");
	assert_int_equal(plan_image(100, &plan), HV_E_INVALID);
	assert_says("bzImage");
	poke(HDR_MAGIC, 0, 4);
	memcpy(image,
	       "\x7f"
	       "ELF",
	       4);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_INVALID);
	assert_says("ELF");
	memcpy(image, "\x1f\x8b", 2);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_INVALID);
	assert_says("gzip");
}

static void test_refuses_every_truncation(void **state)
{
	struct linux_plan plan;

	(void)state;
	for (uint64_t n = HDR_VERSION; n < IMAGE_BYTES; n++) {
		uint8_t *cut = malloc(n); /* exact, so that an over-read is seen */
		struct linux_source src = source(NULL, 0);

		assert_non_null(cut);
		memcpy(cut, image, n);
		src.kernel = cut;
		src.kernel_size = n;
		assert_int_equal(linux_plan(&src, &plan, &err), HV_E_TRUNCATED);
		assert_says("truncated");
		free(cut);
	}
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	assert_int_equal(err.text[0], '\0');
}

static void test_refuses_other_kernels(void **state)
{
	struct linux_plan plan;

	(void)state;
	poke(HDR_LOADFLAGS, 0, 1);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_UNSUPPORTED);
	assert_says("zImage");
	poke(HDR_VERSION, 0x0209, 2);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_UNSUPPORTED);
	assert_says("2.09");
}

static void test_refuses_broken_headers(void **state)
{
	struct linux_plan plan;

	(void)state;
	poke(HDR_JUMP_LENGTH, 0x61, 1);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_INVALID);
	poke(HDR_JUMP_LENGTH, 0x62, 1);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	poke(HDR_KERNEL_ALIGNMENT, 0x300000, 4);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_INVALID);
	assert_says("0x300000");
	poke(HDR_KERNEL_ALIGNMENT, 0, 4);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_INVALID);
	poke(HDR_KERNEL_ALIGNMENT, 0x1000, 4);
	poke(HDR_SYSSIZE, 0, 4);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_INVALID);
}

static void test_command_line_limit(void **state)
{
	struct linux_plan plan;
	struct linux_source src = source(NULL, 0);

	(void)state;
	poke(HDR_CMDLINE_SIZE, 9, 4);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	poke(HDR_CMDLINE_SIZE, 8, 4);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_E_INVALID);
	assert_says("9 characters");
	assert_says("takes 8");
}

static void test_memory_too_small(void **state)
{
	struct linux_plan plan;

	(void)state;
	assert_int_equal(e820_build(MIB(36), &map), HV_OK);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	assert_int_equal(e820_build(MIB(36) - PAGE_SIZE, &map), HV_OK);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_NO_MEMORY);
	assert_says("20 MiB");
	assert_says("0x1000000");
}

static void test_initrd_too_large(void **state)
{
	struct linux_plan plan;
	struct linux_source src = source(image, MIB(28) + 1);

	(void)state;
	/* 64 MiB: the kernel has 16 to 36, the larger free run is 36 to 64. */
	assert_int_equal(linux_plan(&src, &plan, &err), HV_E_NO_MEMORY);
	assert_says("needs 29 MiB");
	assert_says("28 MiB are free");
	src.initrd_size = MIB(28);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.parts[LINUX_PART_INITRD].gpa, MIB(36));
	src.initrd_size = UINT64_MAX;
	assert_int_equal(linux_plan(&src, &plan, &err), HV_E_NO_MEMORY);
}

/* ---------------------------------------------------------------- placement */

static void test_kernel_goes_where_it_prefers(void **state)
{
	struct linux_plan plan;

	(void)state;
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	assert_int_equal(plan.parts[LINUX_PART_KERNEL].gpa, MIB(16));
	assert_int_equal(plan.parts[LINUX_PART_KERNEL].size, KERNEL_BYTES);
	assert_ptr_equal(plan.parts[LINUX_PART_KERNEL].data, image + SETUP_BYTES);
	assert_int_equal(plan.kernel_span, MIB(20));
	assert_int_equal(plan.parts[LINUX_PART_INITRD].size, 0);
}

static void test_kernel_is_relocated_upwards_only(void **state)
{
	struct linux_plan plan;

	(void)state;
	/* The preferred address is a hole: on to the next RAM that is aligned. */
	map.entries[6].base = MIB(17);
	map.entries[6].size = MIB(47);
	assert_int_equal(map.entries[6].type, E820_RAM);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	assert_int_equal(plan.parts[LINUX_PART_KERNEL].gpa, MIB(18));
	poke(HDR_RELOCATABLE, 0, 1);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_NO_MEMORY);
}

static void test_hostile_preferences(void **state)
{
	static const uint64_t addresses[] = {0, 1, 0x9f000, LAYOUT_4G, UINT64_MAX - 4095};
	struct linux_plan plan;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		poke(HDR_PREF_ADDRESS, addresses[i], 8);
		if (plan_image(IMAGE_BYTES, &plan) == HV_OK) {
			assert_in_range(plan.parts[LINUX_PART_KERNEL].gpa, MIB(2), MIB(44));
		} else {
			assert_true(addresses[i] >= LAYOUT_4G);
		}
	}
	/* init_size below what is copied counts for nothing. */
	poke(HDR_PREF_ADDRESS, MIB(16), 8);
	poke(HDR_INIT_SIZE, 16, 4);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	assert_int_equal(plan.kernel_span, KERNEL_BYTES);
	poke(HDR_INIT_SIZE, 0xffffffff, 4);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_E_NO_MEMORY);
}

static void test_initrd_respects_its_limit(void **state)
{
	struct linux_plan plan;
	struct linux_source src = source(image, 5000);

	(void)state;
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.parts[LINUX_PART_INITRD].gpa, MIB(64) - 2 * PAGE_SIZE);
	/* Below the kernel when the limit says so. */
	poke(HDR_INITRD_ADDR_MAX, MIB(30) - 1, 4);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.parts[LINUX_PART_INITRD].gpa, MIB(16) - 2 * PAGE_SIZE);
	/* Nothing below the limit: only with the kernel's consent above it. */
	poke(HDR_INITRD_ADDR_MAX, MIB(1) - 1, 4);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.parts[LINUX_PART_INITRD].gpa, MIB(64) - 2 * PAGE_SIZE);
	poke(HDR_XLOADFLAGS, XLF_KERNEL_64, 2);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_E_NO_MEMORY);
}

static void test_initrd_above_4g(void **state)
{
	struct linux_plan plan;
	struct linux_source src = source(image, GIB(4));

	(void)state;
	assert_int_equal(e820_build(GIB(8), &map), HV_OK);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.parts[LINUX_PART_INITRD].gpa, LAYOUT_4G + GIB(1));
	poke(HDR_XLOADFLAGS, XLF_KERNEL_64, 2);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_E_NO_MEMORY);
	assert_says("needs 4096 MiB");
}

/* ---------------------------------------------------------------- loading */

struct memory {
	uint8_t *bytes;
	uint64_t size;
	unsigned calls;
	unsigned fail_at; /* the call that is refused once; 0: none */
};

static enum hv_status memory_write(void *ctx, uint64_t gpa, const void *src, size_t n)
{
	struct memory *m = ctx;

	m->calls++;
	if (m->calls == m->fail_at) {
		return HV_E_IO;
	}
	assert_true(range_fits(gpa, n, m->size));
	memcpy(m->bytes + gpa, src, n);
	return HV_OK;
}

static uint64_t peek(const struct memory *m, uint64_t at, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, m->bytes + at, size);
	return v;
}

static void load_all(const struct linux_plan *plan, struct memory *m, uint64_t budget)
{
	struct load_progress progress = {0, 0};
	struct guest_writer writer = {memory_write, m};
	bool done = false;

	while (!done) {
		enum hv_status status = linux_load_step(plan, &progress, budget, &writer, &done);

		assert_true(status == HV_OK || (status == HV_E_IO && m->calls == m->fail_at));
	}
	/* Once done, nothing more is written. */
	m->calls = 0;
	assert_int_equal(linux_load_step(plan, &progress, budget, &writer, &done), HV_OK);
	assert_true(done);
	assert_int_equal(m->calls, 0);
}

/* Only where the guest has a VGA does the kernel hear of a screen. */
static void check_screen_info(const struct memory *m, bool vga)
{
	const uint64_t bp = 0x7000;

	assert_int_equal(peek(m, bp + 6, 2), vga ? 80 << 8 | 3 : 0);
	assert_int_equal(peek(m, bp + 0xe, 2), vga ? 1 << 8 | 25 : 0);
	assert_int_equal(peek(m, bp + 0x10, 2), vga ? 16 : 0);
}

static void check_boot_params(const struct memory *m)
{
	const uint64_t bp = 0x7000;

	assert_int_equal(peek(m, bp + HDR_MAGIC, 4), 0x53726448);
	assert_int_equal(peek(m, bp + HDR_TYPE_OF_LOADER, 1), 0xff);
	assert_int_equal(peek(m, bp + HDR_LOADFLAGS, 1), 1);
	assert_int_equal(peek(m, bp + HDR_CODE32_START, 4), MIB(16));
	assert_int_equal(peek(m, bp + HDR_RAMDISK_IMAGE, 4), MIB(64) - 2 * PAGE_SIZE);
	assert_int_equal(peek(m, bp + HDR_RAMDISK_SIZE, 4), 5000);
	assert_int_equal(peek(m, bp + 0xc0, 8), 0);
	assert_int_equal(peek(m, bp + HDR_SETUP_DATA, 8), 0);
	assert_int_equal(peek(m, bp + 0x70, 8), 0xe0000);
	/* Only the header is taken from the image: what is around it would be misread. */
	assert_int_equal(peek(m, bp + 0x1ef, 1), 0);
	assert_int_equal(peek(m, bp + 0x26c, 1), 0);
	assert_int_equal(peek(m, bp + 0x26b, 1), 0x5a);
	assert_int_equal(peek(m, bp + 0x1e8, 1), map.count);
	for (unsigned i = 0; i < map.count; i++) {
		uint64_t at = bp + 0x2d0 + 20ull * i;

		assert_int_equal(peek(m, at, 8), map.entries[i].base);
		assert_int_equal(peek(m, at + 8, 8), map.entries[i].size);
		assert_int_equal(peek(m, at + 16, 4), map.entries[i].type);
	}
	assert_string_equal((char *)m->bytes + peek(m, bp + HDR_CMD_LINE_PTR, 4), "console=x");
}

static void check_page_tables(const struct memory *m, uint64_t cr3)
{
	for (uint64_t addr = 0; addr < GIB(4); addr += MIB(2)) {
		uint64_t pml4e = peek(m, cr3, 8);
		uint64_t pdpte = peek(m, (pml4e & PTE_ADDR) + (addr >> 30) * 8, 8);
		uint64_t pde = peek(m, (pdpte & PTE_ADDR) + ((addr >> 21) & 511) * 8, 8);

		assert_int_equal(pml4e & 0xfff, PTE_P | PTE_W);
		assert_int_equal(pdpte & 0xfff, PTE_P | PTE_W);
		assert_int_equal(pde, addr | PTE_P | PTE_W | PTE_PS);
	}
	assert_int_equal(peek(m, cr3 + 8, 8), 0);
}

static void check_loaded(uint64_t budget, unsigned fail_at)
{
	static uint8_t initrd[5000];
	struct memory m = {calloc(1, MIB(64)), MIB(64), 0, fail_at};
	struct linux_source src = source(initrd, sizeof(initrd));
	struct linux_plan plan;
	struct load_entry entry;

	assert_non_null(m.bytes);
	for (size_t i = 0; i < sizeof(initrd); i++) {
		initrd[i] = (uint8_t)(i * 3 + 1);
	}
	/* RAM need not be zero beforehand. */
	memset(m.bytes + 0x7000, 0xcc, 0x9000);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	load_all(&plan, &m, budget);
	linux_entry_state(&plan, &entry);
	check_boot_params(&m);
	check_screen_info(&m, src.vga);
	check_page_tables(&m, entry.cr3);
	assert_memory_equal(m.bytes + MIB(16), image + SETUP_BYTES, KERNEL_BYTES);
	assert_memory_equal(m.bytes + MIB(64) - 2 * PAGE_SIZE, initrd, sizeof(initrd));
	assert_int_equal(peek(&m, 0x8000 + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(peek(&m, 0x8000 + 0x18, 8), 0x00cf93000000ffff);
	free(m.bytes);
}

static void test_loads_everything(void **state)
{
	(void)state;
	check_loaded(UINT64_MAX, 0);
}

static void test_tells_of_a_vga(void **state)
{
	struct memory m = {calloc(1, MIB(64)), MIB(64), 0, 0};
	struct linux_source src = source(NULL, 0);
	struct linux_plan plan;

	(void)state;
	src.vga = true;
	assert_non_null(m.bytes);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	load_all(&plan, &m, UINT64_MAX);
	check_screen_info(&m, true);
	free(m.bytes);
}

static void test_loads_in_any_steps(void **state)
{
	(void)state;
	check_loaded(0, 0);
	check_loaded(1, 0);
	check_loaded(700, 0);
	check_loaded(4096, 0);
}

static void test_resumes_after_a_refused_write(void **state)
{
	(void)state;
	for (unsigned call = 1; call < 20; call++) {
		check_loaded(2048, call);
	}
}

static void test_a_step_keeps_to_its_budget(void **state)
{
	struct memory m = {calloc(1, MIB(64)), MIB(64), 0, 0};
	struct guest_writer writer = {memory_write, &m};
	struct linux_source src = source(NULL, 0);
	struct load_progress progress = {LINUX_PART_KERNEL, 0};
	struct linux_plan plan;
	bool done = true;

	(void)state;
	assert_non_null(m.bytes);
	assert_int_equal(linux_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(linux_load_step(&plan, &progress, 5000, &writer, &done), HV_OK);
	assert_false(done);
	assert_int_equal(progress.offset, 5000);
	assert_int_equal(peek(&m, MIB(16) + 5000, 8), 0);
	free(m.bytes);
}

static void test_entry_state(void **state)
{
	struct linux_plan plan;
	struct load_entry e;

	(void)state;
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	linux_entry_state(&plan, &e);
	assert_int_equal(e.rip, MIB(16) + 0x200);
	assert_int_equal(e.rsi, 0x7000);
	assert_int_equal(e.rflags, 2);
	assert_true((e.cr0 & (CR0_PE | CR0_PG)) == (CR0_PE | CR0_PG));
	assert_int_equal(e.cr4, CR4_PAE);
	assert_int_equal(e.efer, EFER_LME | EFER_LMA);
	assert_int_equal(e.segments[VCPU_SEG_CS].selector, 0x10);
	assert_int_equal(e.segments[VCPU_SEG_CS].attr, 0xa09b);
	assert_int_equal(e.segments[VCPU_SEG_SS].selector, 0x18);
	assert_int_equal(e.segments[VCPU_SEG_GS].attr, 0xc093);
	assert_int_equal(e.segments[VCPU_SEG_TR].attr, 0x8b);
	assert_int_equal(e.segments[VCPU_SEG_LDTR].attr, SEG_UNUSABLE);
	assert_int_equal(e.segments[VCPU_SEG_GDTR].limit, 0x1f);
}

/* "32-bit Boot Protocol": flat segments of 4 GiB, no paging, boot_params in ESI, nothing in EBP,
 * EDI, EBX. */
static void test_entry_state_of_32_bits(void **state)
{
	struct memory m = {calloc(1, MIB(64)), MIB(64), 0, 0};
	struct linux_plan plan;
	struct load_entry e;

	(void)state;
	assert_non_null(m.bytes);
	poke(HDR_XLOADFLAGS, 0, 2);
	assert_int_equal(plan_image(IMAGE_BYTES, &plan), HV_OK);
	load_all(&plan, &m, UINT64_MAX);
	linux_entry_state(&plan, &e);
	assert_int_equal(e.rip, MIB(16));
	assert_int_equal(e.rsi, 0x7000);
	assert_int_equal(e.rbx, 0);
	assert_int_equal(e.rflags, 2);
	assert_int_equal(e.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(e.cr3 | e.cr4 | e.efer, 0);
	assert_int_equal(e.segments[VCPU_SEG_CS].selector, 0x10);
	assert_int_equal(e.segments[VCPU_SEG_CS].attr, 0xc09b);
	assert_int_equal(e.segments[VCPU_SEG_CS].limit, UINT32_MAX);
	assert_int_equal(e.segments[VCPU_SEG_SS].selector, 0x18);
	assert_int_equal(e.segments[VCPU_SEG_DS].attr, 0xc093);
	/* The kernel loads the segments again before it has a table of its own. */
	assert_int_equal(peek(&m, 0x8000 + 0x10, 8), 0x00cf9b000000ffff);
	assert_int_equal(peek(&m, 0x8000 + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(peek(&m, 0x9000, 8), 0);
	free(m.bytes);
}

/* ---------------------------------------------------------------- properties */

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static bool in_ram(uint64_t base, uint64_t size)
{
	for (unsigned i = 0; i < map.count; i++) {
		const struct e820_entry *e = &map.entries[i];

		if (e->type == E820_RAM && base >= e->base && size <= e->size &&
		    base - e->base <= e->size - size) {
			return true;
		}
	}
	return false;
}

/* Every part lies in RAM and shares no byte with another. */
static void check_plan(const struct linux_plan *plan)
{
	for (unsigned i = 0; i < LINUX_PART_COUNT; i++) {
		const struct load_part *a = &plan->parts[i];
		uint64_t span = i == LINUX_PART_KERNEL ? plan->kernel_span : a->size;

		assert_true(a->size == 0 || in_ram(a->gpa, span));
		assert_true(span >= a->size);
		for (unsigned k = i + 1; k < LINUX_PART_COUNT; k++) {
			const struct load_part *b = &plan->parts[k];
			uint64_t other = k == LINUX_PART_KERNEL ? plan->kernel_span : b->size;

			assert_false(ranges_overlap(a->gpa, span, b->gpa, other));
		}
	}
	assert_true(plan->parts[LINUX_PART_KERNEL].gpa >= LAYOUT_HIGH_BASE);
}

static void test_random_layouts_never_overlap(void **state)
{
	unsigned placed = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t memory =
			align_down(GUEST_MEMORY_MIN + rnd() % GIB(1ull << rnd() % 5), PAGE_SIZE);
		uint64_t align = 0x1000ull << rnd() % 14;
		struct linux_source src = source(image, rnd() % MIB(1ull << rnd() % 13));
		struct linux_plan plan;

		assert_int_equal(e820_build(memory, &map), HV_OK);
		poke(HDR_PREF_ADDRESS, rnd() % MIB(1ull << rnd() % 13), 8);
		poke(HDR_INIT_SIZE, rnd() % MIB(1ull << rnd() % 12), 4);
		poke(HDR_INITRD_ADDR_MAX, rnd(), 4);
		poke(HDR_KERNEL_ALIGNMENT, align, 4);
		poke(HDR_RELOCATABLE, rnd() % 4 != 0, 1);
		poke(HDR_XLOADFLAGS, rnd() % 4, 2);
		if (linux_plan(&src, &plan, &err) == HV_OK) {
			placed++;
			check_plan(&plan);
			assert_true(image[HDR_RELOCATABLE] == 0 ||
				    is_aligned(plan.parts[LINUX_PART_KERNEL].gpa, align));
		}
	}
	assert_true(placed > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_refuses_what_is_no_kernel, setup),
		cmocka_unit_test_setup(test_refuses_every_truncation, setup),
		cmocka_unit_test_setup(test_refuses_other_kernels, setup),
		cmocka_unit_test_setup(test_refuses_broken_headers, setup),
		cmocka_unit_test_setup(test_command_line_limit, setup),
		cmocka_unit_test_setup(test_memory_too_small, setup),
		cmocka_unit_test_setup(test_initrd_too_large, setup),
		cmocka_unit_test_setup(test_kernel_goes_where_it_prefers, setup),
		cmocka_unit_test_setup(test_kernel_is_relocated_upwards_only, setup),
		cmocka_unit_test_setup(test_hostile_preferences, setup),
		cmocka_unit_test_setup(test_initrd_respects_its_limit, setup),
		cmocka_unit_test_setup(test_initrd_above_4g, setup),
		cmocka_unit_test_setup(test_loads_everything, setup),
		cmocka_unit_test_setup(test_tells_of_a_vga, setup),
		cmocka_unit_test_setup(test_loads_in_any_steps, setup),
		cmocka_unit_test_setup(test_resumes_after_a_refused_write, setup),
		cmocka_unit_test_setup(test_a_step_keeps_to_its_budget, setup),
		cmocka_unit_test_setup(test_entry_state, setup),
		cmocka_unit_test_setup(test_entry_state_of_32_bits, setup),
		cmocka_unit_test_setup(test_random_layouts_never_overlap, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
