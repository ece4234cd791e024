/* SPDX-License-Identifier: Apache-2.0 */
/* Placing a Linux kernel in guest RAM, copying it there and stating how it is entered. */
#include "guests/loaders/linux.h"

#include "guests/layout.h"
#include "guests/loaders/linux_header.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"

/* The loader's own structures, all in conventional memory, which the kernel leaves alone. */
#define BOOT_PARAMS_BASE 0x7000ull
#define GDT_BASE 0x8000ull
#define PAGE_TABLES_BASE 0x9000ull
#define CMDLINE_BASE 0x10000ull
#define CMDLINE_ROOM 0x80000ull
#define LOW_END (CMDLINE_BASE + CMDLINE_ROOM)

/* One PML4, one PDPT, and a directory of 2 MiB pages for each of four GiB. */
#define MAPPED_GIB 4u
#define PAGE_TABLES_SIZE ((2 + MAPPED_GIB) * PAGE_SIZE)

/* boot_params fields outside the setup header ("The Zero Page"). */
#define BP_VIDEO_MODE 0x006u
#define BP_VIDEO_COLUMNS 0x007u
#define BP_VIDEO_MEMORY 0x00au /* as EGA's BIOS says it */
#define BP_VIDEO_LINES 0x00eu
#define BP_VIDEO_IS_VGA 0x00fu
#define BP_VIDEO_POINTS 0x010u
#define BP_ACPI_RSDP_ADDR 0x070u
#define BP_EXT_RAMDISK_IMAGE 0x0c0u
#define BP_EXT_RAMDISK_SIZE 0x0c4u
#define BP_E820_COUNT 0x1e8u
#define BP_E820_TABLE 0x2d0u
#define BP_E820_ENTRY_SIZE 20u

#define TYPE_OF_LOADER_UNDEFINED 0xffu
#define ENTRY_64_OFFSET 0x200u

/* Selectors the protocols prescribe, and their flat code and data descriptors. */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_CODE32 0x00cf9b000000ffffull
#define DESCRIPTOR_DATA 0x00cf93000000ffffull

/* ---------------------------------------------------------------- placing */

/*
 * The highest page-aligned place for `size` bytes in extended RAM below `limit` that is clear of
 * `taken`. When there is none, out->size is the largest run there was.
 */
static bool place_high(const struct e820_map *map, uint64_t limit, struct ram_range taken,
		       uint64_t size, struct ram_range *out)
{
	uint64_t best = 0;

	for (unsigned i = map->count; i-- > 0;) {
		struct ram_range above = load_ram_within(map, i, taken.base + taken.size, limit);
		struct ram_range below =
			load_ram_within(map, i, LAYOUT_HIGH_BASE, min_u64(limit, taken.base));
		struct ram_range runs[] = {above, below};

		for (unsigned k = 0; k < ARRAY_SIZE(runs); k++) {
			uint64_t end = align_down(runs[k].base + runs[k].size, PAGE_SIZE);
			uint64_t room = end > runs[k].base ? end - runs[k].base : 0;

			if (room >= size && room != 0) {
				*out = (struct ram_range){align_down(end - size, PAGE_SIZE), size};
				return true;
			}
			best = max_u64(best, room);
		}
	}
	*out = (struct ram_range){0, best};
	return false;
}

/* Conventional memory for the loader's own parts. */
static enum hv_status plan_low(const struct linux_source *src, const struct linux_header *h,
			       struct linux_plan *out, struct load_error *err)
{
	uint64_t length = str_len(src->cmdline);
	uint64_t allowed = min_u64(h->cmdline_max, CMDLINE_ROOM - 1);
	uint64_t base;

	if (length > allowed) {
		return load_fail(err, HV_E_INVALID,
				 "the command line has %lu characters, this kernel takes %lu",
				 length, allowed);
	}
	if (!load_place(src->map, (struct ram_range){BOOT_PARAMS_BASE, LOW_END - BOOT_PARAMS_BASE},
			LOW_END - BOOT_PARAMS_BASE, PAGE_SIZE, NULL, &base)) {
		return load_fail(err, HV_E_NO_MEMORY, "no RAM at 0x%llx - 0x%llx for the loader",
				 BOOT_PARAMS_BASE, LOW_END);
	}
	out->parts[LINUX_PART_BOOT_PARAMS] = (struct load_part){BOOT_PARAMS_BASE, PAGE_SIZE, NULL};
	out->parts[LINUX_PART_GDT] = (struct load_part){GDT_BASE, BOOT_DS + 8, NULL};
	out->parts[LINUX_PART_PAGE_TABLES] =
		(struct load_part){PAGE_TABLES_BASE, h->entry_64 ? PAGE_TABLES_SIZE : 0, NULL};
	out->parts[LINUX_PART_CMDLINE] =
		(struct load_part){CMDLINE_BASE, length + 1, (const uint8_t *)src->cmdline};
	return HV_OK;
}

/*
 * A relocatable kernel runs where it is loaded, but never below pref_address: loaded below, it
 * moves itself there. Others always run at pref_address. Either needs init_size bytes from there.
 */
static enum hv_status plan_kernel(const struct linux_source *src, const struct linux_header *h,
				  struct linux_plan *out, struct load_error *err)
{
	uint64_t from = max_u64(h->pref_address, LAYOUT_HIGH_BASE);
	uint64_t span = max_u64(h->init_size, h->kernel_bytes);
	uint64_t base;
	bool placed = false;

	if (from < LAYOUT_4G) {
		placed = load_place(src->map, (struct ram_range){from, LAYOUT_4G - from}, span,
				    h->relocatable ? h->alignment : 1, NULL, &base);
	}
	if (!placed || (!h->relocatable && base != h->pref_address)) {
		return load_fail(err, HV_E_NO_MEMORY,
				 "the kernel needs %lu MiB of RAM from 0x%lx on, the guest has "
				 "%lu MiB in all",
				 load_mib_up(span), from, load_mib_up(load_ram_bytes(src->map)));
	}
	out->parts[LINUX_PART_KERNEL] = (struct load_part){
		base, h->kernel_bytes, (const uint8_t *)src->kernel + h->setup_bytes};
	out->kernel_span = span;
	return HV_OK;
}

static enum hv_status plan_initrd(const struct linux_source *src, const struct linux_header *h,
				  struct linux_plan *out, struct load_error *err)
{
	struct ram_range taken = {out->parts[LINUX_PART_KERNEL].gpa, out->kernel_span};
	uint64_t limit = h->initrd_end;
	struct ram_range place;

	out->parts[LINUX_PART_INITRD] = (struct load_part){0, 0, NULL};
	if (src->initrd_size == 0) {
		return HV_OK;
	}
	if (!place_high(src->map, limit, taken, src->initrd_size, &place)) {
		limit = h->above_4g ? UINT64_MAX : limit;
		if (!place_high(src->map, limit, taken, src->initrd_size, &place)) {
			return load_fail(err, HV_E_NO_MEMORY,
					 "the initrd needs %lu MiB, beside the kernel %lu MiB are "
					 "free (guest memory %lu MiB)",
					 load_mib_up(src->initrd_size), place.size >> 20,
					 load_mib_up(load_ram_bytes(src->map)));
		}
	}
	out->parts[LINUX_PART_INITRD] =
		(struct load_part){place.base, src->initrd_size, src->initrd};
	return HV_OK;
}

enum hv_status linux_plan(const struct linux_source *src, struct linux_plan *out,
			  struct load_error *err)
{
	struct linux_header h;
	enum hv_status status = linux_header_read(src->kernel, src->kernel_size, &h, err);

	if (status == HV_OK) {
		status = plan_low(src, &h, out, err);
	}
	if (status == HV_OK) {
		status = plan_kernel(src, &h, out, err);
	}
	if (status == HV_OK) {
		status = plan_initrd(src, &h, out, err);
	}
	if (status != HV_OK) {
		return status;
	}
	memcpy(out->header, (const uint8_t *)src->kernel + LINUX_HEADER_OFFSET, h.size);
	out->header_size = h.size;
	out->rsdp = src->rsdp;
	out->vga = src->vga;
	out->entry_64 = h.entry_64;
	out->map = *src->map;
	err->text[0] = '\0';
	return HV_OK;
}

/* ---------------------------------------------------------------- making the loader's parts */

/* What setup code would have found out from the VGA BIOS ("screen_info"). */
static void put_screen(const struct load_piece *p)
{
	load_put_number(p, BP_VIDEO_MODE, 3, 1);
	load_put_number(p, BP_VIDEO_COLUMNS, 80, 1);
	load_put_number(p, BP_VIDEO_MEMORY, 3, 2); /* 256 KiB, colour */
	load_put_number(p, BP_VIDEO_LINES, 25, 1);
	load_put_number(p, BP_VIDEO_IS_VGA, 1, 1);
	load_put_number(p, BP_VIDEO_POINTS, 16, 2);
}

static void make_boot_params(const struct linux_plan *plan, const struct load_piece *p)
{
	const struct load_part *initrd = &plan->parts[LINUX_PART_INITRD];
	const struct load_part *kernel = &plan->parts[LINUX_PART_KERNEL];
	uint8_t loadflags = plan->header[HDR_LOADFLAGS - LINUX_HEADER_OFFSET];

	load_put(p, LINUX_HEADER_OFFSET, plan->header, plan->header_size);
	load_put_number(p, HDR_TYPE_OF_LOADER, TYPE_OF_LOADER_UNDEFINED, 1);
	load_put_number(p, HDR_LOADFLAGS, loadflags | LOADFLAGS_LOADED_HIGH, 1);
	load_put_number(p, HDR_CODE32_START, kernel->gpa, 4);
	load_put_number(p, HDR_RAMDISK_IMAGE, initrd->gpa, 4);
	load_put_number(p, BP_EXT_RAMDISK_IMAGE, initrd->gpa >> 32, 4);
	load_put_number(p, HDR_RAMDISK_SIZE, initrd->size, 4);
	load_put_number(p, BP_EXT_RAMDISK_SIZE, initrd->size >> 32, 4);
	load_put_number(p, HDR_CMD_LINE_PTR, plan->parts[LINUX_PART_CMDLINE].gpa, 4);
	load_put_number(p, HDR_SETUP_DATA, 0, 8);
	load_put_number(p, BP_ACPI_RSDP_ADDR, plan->rsdp, 8);
	if (plan->vga) {
		put_screen(p);
	}
	load_put_number(p, BP_E820_COUNT, plan->map.count, 1);
	for (unsigned i = 0; i < plan->map.count; i++) {
		uint64_t at = BP_E820_TABLE + i * BP_E820_ENTRY_SIZE;

		load_put_number(p, at, plan->map.entries[i].base, 8);
		load_put_number(p, at + 8, plan->map.entries[i].size, 8);
		load_put_number(p, at + 16, plan->map.entries[i].type, 4);
	}
}

static void make_gdt(const struct linux_plan *plan, const struct load_piece *p)
{
	load_put_number(p, BOOT_CS, plan->entry_64 ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32, 8);
	load_put_number(p, BOOT_DS, DESCRIPTOR_DATA, 8);
}

/* The entry at `index`, counted over all tables one after another; 512 to a table. */
static uint64_t page_table_entry(uint64_t index)
{
	const uint64_t pdpt = PAGE_TABLES_BASE + PAGE_SIZE;

	if (index == 0) {
		return pdpt | PTE_P | PTE_W;
	}
	if (index >= 512 && index < 512 + MAPPED_GIB) {
		return (pdpt + (index - 511) * PAGE_SIZE) | PTE_P | PTE_W;
	}
	if (index >= 1024) {
		return ((index - 1024) << PAGE_SHIFT_2M) | PTE_P | PTE_W | PTE_PS;
	}
	return 0;
}

static void make_page_tables(const struct load_piece *p)
{
	for (uint64_t at = p->offset; at < p->offset + p->n; at += 8) {
		load_put_number(p, at, page_table_entry(at / 8), 8);
	}
}

/* ---------------------------------------------------------------- copying */

static void make(const void *plan, unsigned part, const struct load_piece *p)
{
	if (part == LINUX_PART_BOOT_PARAMS) {
		make_boot_params(plan, p);
	} else if (part == LINUX_PART_GDT) {
		make_gdt(plan, p);
	} else {
		make_page_tables(p);
	}
}

enum hv_status linux_load_step(const struct linux_plan *plan, struct load_progress *progress,
			       uint64_t budget, const struct guest_writer *writer, bool *done)
{
	struct load_list list = {plan->parts, LINUX_PART_COUNT, make, plan};

	return load_step(&list, progress, budget, writer, done);
}

/* ---------------------------------------------------------------- entering */

void linux_entry_state(const struct linux_plan *plan, struct load_entry *out)
{
	const struct vcpu_segment code = {0, 0xffffffffu, BOOT_CS,
					  0xb | SEG_S | SEG_P | SEG_G |
						  (plan->entry_64 ? SEG_L : SEG_DB)};
	const struct vcpu_segment data = {0, 0xffffffffu, BOOT_DS,
					  0x3 | SEG_S | SEG_P | SEG_DB | SEG_G};

	*out = (struct load_entry){
		.rip = plan->parts[LINUX_PART_KERNEL].gpa,
		.rsi = plan->parts[LINUX_PART_BOOT_PARAMS].gpa,
		.rflags = RFLAGS_FIXED1,
		.cr0 = CR0_PE | CR0_ET | CR0_NE,
	};
	if (plan->entry_64) {
		out->rip += ENTRY_64_OFFSET;
		out->cr0 |= CR0_PG;
		out->cr3 = plan->parts[LINUX_PART_PAGE_TABLES].gpa;
		out->cr4 = CR4_PAE;
		out->efer = EFER_LME | EFER_LMA;
	}
	for (unsigned i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		out->segments[i] = i == VCPU_SEG_CS ? code : data;
	}
	/* No task is ever entered through it, but a CPU in long mode must have a busy 64-bit TSS.
	 */
	out->segments[VCPU_SEG_TR] = (struct vcpu_segment){0, 0x67, 0, 0xb | SEG_P};
	out->segments[VCPU_SEG_LDTR] = (struct vcpu_segment){0, 0, 0, SEG_UNUSABLE};
	out->segments[VCPU_SEG_GDTR].base = plan->parts[LINUX_PART_GDT].gpa;
	out->segments[VCPU_SEG_GDTR].limit = (uint32_t)plan->parts[LINUX_PART_GDT].size - 1;
}
