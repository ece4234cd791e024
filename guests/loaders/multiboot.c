/* SPDX-License-Identifier: Apache-2.0 */
/* Placing a Multiboot kernel and its modules in guest RAM, and telling it about its machine. */
#include "guests/loaders/multiboot.h"

#include "guests/layout.h"
#include "guests/tables/legacy.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"

/* "Boot information format": offsets, and the flags that say which fields are there. */
#define MBI_FLAGS 0u
#define MBI_MEM_LOWER 4u
#define MBI_MEM_UPPER 8u
#define MBI_CMDLINE 16u
#define MBI_MODS_COUNT 20u
#define MBI_MODS_ADDR 24u
#define MBI_MMAP_LENGTH 44u
#define MBI_MMAP_ADDR 48u
#define MBI_BOOT_LOADER_NAME 64u
#define MBI_SIZE 120u

#define MBI_HAS_MEMORY (1u << 0)
#define MBI_HAS_CMDLINE (1u << 2)
#define MBI_HAS_MODS (1u << 3)
#define MBI_HAS_MMAP (1u << 6)
#define MBI_HAS_BOOT_LOADER_NAME (1u << 9)

/* An entry of the map: its `size` field counts what follows the field. */
#define MMAP_SIZE 24ull
#define MMAP_SIZE_FIELD (MMAP_SIZE - 4)
#define MOD_SIZE 16ull

/* Where things are in the loader's part, after the structure. */
#define INFO_MMAP MBI_SIZE
#define INFO_MODS(plan) (INFO_MMAP + (plan)->map.count * MMAP_SIZE)
#define INFO_STRINGS(plan) (INFO_MODS(plan) + (plan)->module_count * MOD_SIZE)

#define BOOTLOADER_MAGIC 0x2badb002u
#define BOOT_LOADER_NAME "Bulkhead"

/* Interrupt vectors and BIOS data stay free. */
#define LOW_BASE PAGE_SIZE

/* Flat selectors; what their numbers are is the loader's choice. */
#define BOOT_CS 0x08u
#define BOOT_DS 0x10u

/* ---------------------------------------------------------------- placing */

static_assert(MULTIBOOT_PARTS_MAX <= LOAD_TAKEN_MAX, "all parts can be taken");

static void take(struct load_taken *t, uint64_t base, uint64_t size)
{
	t->ranges[t->count++] = (struct ram_range){base, size};
}

static bool is_ram(const struct e820_map *map, uint64_t base, uint64_t size)
{
	for (unsigned i = 0; i < map->count; i++) {
		if (load_ram_within(map, i, base, base + size).size == size) {
			return true;
		}
	}
	return false;
}

static void add_part(struct multiboot_plan *out, uint64_t gpa, uint64_t size, const void *data)
{
	out->parts[out->part_count++] = (struct load_part){gpa, size, data};
}

/* The segments, at the addresses they have. */
static enum hv_status plan_kernel(const struct multiboot_source *src,
				  const struct multiboot_image *image, struct multiboot_plan *out,
				  struct load_taken *taken, struct load_error *err)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct multiboot_segment *s = &image->segments[i];

		if (!is_ram(src->map, s->gpa, s->memory_size)) {
			return load_fail(err, HV_E_NO_MEMORY,
					 "the kernel's segment 0x%lx - 0x%lx is not in RAM (guest "
					 "memory %lu MiB)",
					 s->gpa, s->gpa + s->memory_size,
					 load_mib_up(load_ram_bytes(src->map)));
		}
		add_part(out, s->gpa, s->file_size, (const uint8_t *)src->kernel + s->file_offset);
		take(taken, s->gpa, s->memory_size);
		out->low_taken = out->low_taken || s->gpa < LEGACY_LOW_SIZE;
	}
	return HV_OK;
}

/* The end of the kernel, but not below extended memory. */
static uint64_t kernel_end(const struct multiboot_image *image)
{
	uint64_t end = LAYOUT_HIGH_BASE;

	for (unsigned i = 0; i < image->segment_count; i++) {
		end = max_u64(end, image->segments[i].gpa + image->segments[i].memory_size);
	}
	return end;
}

static enum hv_status plan_modules(const struct multiboot_source *src, uint64_t from,
				   struct multiboot_plan *out, struct load_taken *taken,
				   struct load_error *err)
{
	struct ram_range above = {from, LAYOUT_4G - from};

	out->first_module = out->part_count;
	out->module_count = src->module_count;
	for (unsigned i = 0; i < src->module_count; i++) {
		const struct multiboot_module *m = &src->modules[i];
		uint64_t at;

		if (!load_place(src->map, above, m->size, PAGE_SIZE, taken, &at)) {
			return load_fail(err, HV_E_NO_MEMORY,
					 "no room for module %u, %lu MiB, above the kernel (guest "
					 "memory %lu MiB)",
					 i + 1, load_mib_up(m->size),
					 load_mib_up(load_ram_bytes(src->map)));
		}
		add_part(out, at, m->size, m->data);
		take(taken, at, m->size);
		out->module_strings[i] = m->string;
	}
	return HV_OK;
}

static uint64_t info_size(const struct multiboot_plan *plan)
{
	uint64_t size = INFO_STRINGS(plan) + sizeof(BOOT_LOADER_NAME) + str_len(plan->cmdline) + 1;

	for (unsigned i = 0; i < plan->module_count; i++) {
		size += str_len(plan->module_strings[i]) + 1;
	}
	return size;
}

static enum hv_status plan_info(uint64_t from, struct multiboot_plan *out,
				const struct load_taken *taken, struct load_error *err)
{
	struct ram_range low = {LOW_BASE, LAYOUT_EBDA_BASE - LOW_BASE};
	struct ram_range above = {from, LAYOUT_4G - from};
	struct load_part *info = &out->parts[MULTIBOOT_PART_INFO];
	uint64_t size = info_size(out);

	if (!load_place(&out->map, low, size, PAGE_SIZE, taken, &info->gpa) &&
	    !load_place(&out->map, above, size, PAGE_SIZE, taken, &info->gpa)) {
		return load_fail(err, HV_E_NO_MEMORY,
				 "no room for the Multiboot information, %lu bytes", size);
	}
	info->size = size;
	return HV_OK;
}

enum hv_status multiboot_plan(const struct multiboot_source *src, struct multiboot_plan *out,
			      struct load_error *err)
{
	struct multiboot_image image;
	struct load_taken taken = {0};
	enum hv_status status = multiboot_image_read(src->kernel, src->kernel_size, &image, err);

	if (status == HV_OK && src->module_count > MULTIBOOT_MODULES_MAX) {
		status = load_fail(err, HV_E_RANGE, "more than %u modules", MULTIBOOT_MODULES_MAX);
	}
	if (status != HV_OK) {
		return status;
	}
	out->part_count = 1;
	out->parts[MULTIBOOT_PART_INFO] = (struct load_part){0, 0, NULL};
	out->entry = image.entry;
	out->low_taken = false;
	out->cmdline = src->cmdline;
	out->map = *src->map;
	status = plan_kernel(src, &image, out, &taken, err);
	if (status == HV_OK) {
		status = plan_modules(src, kernel_end(&image), out, &taken, err);
	}
	if (status == HV_OK) {
		status = plan_info(kernel_end(&image), out, &taken, err);
	}
	if (status == HV_OK) {
		err->text[0] = '\0';
	}
	return status;
}

/* ---------------------------------------------------------------- the information */

/* KiB of RAM in one run from `base` on. */
static uint64_t kib_from(const struct e820_map *map, uint64_t base)
{
	for (unsigned i = 0; i < map->count; i++) {
		uint64_t size = load_ram_within(map, i, base, LAYOUT_4G).size;

		if (size != 0 && map->entries[i].base <= base) {
			return size / KIB(1);
		}
	}
	return 0;
}

static void make_memory_map(const struct multiboot_plan *plan, const struct load_piece *p)
{
	for (unsigned i = 0; i < plan->map.count; i++) {
		const struct e820_entry *e = &plan->map.entries[i];
		uint64_t at = INFO_MMAP + i * MMAP_SIZE;

		load_put_number(p, at, MMAP_SIZE_FIELD, 4);
		load_put_number(p, at + 4, e->base, 8);
		load_put_number(p, at + 12, e->size, 8);
		load_put_number(p, at + 20, e->type, 4);
	}
}

/* Puts a string with its end at `at`; returns where the next one goes. */
static uint64_t make_string(const struct load_piece *p, uint64_t at, const char *text)
{
	size_t n = str_len(text) + 1;

	load_put(p, at, text, n);
	return at + n;
}

static void make_info(const void *opaque, unsigned part, const struct load_piece *p)
{
	const struct multiboot_plan *plan = opaque;
	uint64_t base = plan->parts[part].gpa;
	uint64_t flags = MBI_HAS_MEMORY | MBI_HAS_CMDLINE | MBI_HAS_MODS | MBI_HAS_MMAP |
			 MBI_HAS_BOOT_LOADER_NAME;
	uint64_t text = INFO_STRINGS(plan);

	load_put_number(p, MBI_FLAGS, flags, 4);
	load_put_number(p, MBI_MEM_LOWER, kib_from(&plan->map, 0), 4);
	load_put_number(p, MBI_MEM_UPPER, kib_from(&plan->map, LAYOUT_HIGH_BASE), 4);
	load_put_number(p, MBI_MODS_COUNT, plan->module_count, 4);
	load_put_number(p, MBI_MODS_ADDR, base + INFO_MODS(plan), 4);
	load_put_number(p, MBI_MMAP_LENGTH, plan->map.count * MMAP_SIZE, 4);
	load_put_number(p, MBI_MMAP_ADDR, base + INFO_MMAP, 4);
	make_memory_map(plan, p);
	load_put_number(p, MBI_BOOT_LOADER_NAME, base + text, 4);
	text = make_string(p, text, BOOT_LOADER_NAME);
	load_put_number(p, MBI_CMDLINE, base + text, 4);
	text = make_string(p, text, plan->cmdline);
	for (unsigned i = 0; i < plan->module_count; i++) {
		const struct load_part *m = &plan->parts[plan->first_module + i];
		uint64_t at = INFO_MODS(plan) + i * MOD_SIZE;

		load_put_number(p, at, m->gpa, 4);
		load_put_number(p, at + 4, m->gpa + m->size, 4);
		load_put_number(p, at + 8, base + text, 4);
		text = make_string(p, text, plan->module_strings[i]);
	}
}

enum hv_status multiboot_load_step(const struct multiboot_plan *plan,
				   struct load_progress *progress, uint64_t budget,
				   const struct guest_writer *writer, bool *done)
{
	struct load_list list = {plan->parts, plan->part_count, make_info, plan};

	return load_step(&list, progress, budget, writer, done);
}

/* ---------------------------------------------------------------- entering */

void multiboot_entry_state(const struct multiboot_plan *plan, struct load_entry *out)
{
	const struct vcpu_segment code = {0, 0xffffffffu, BOOT_CS,
					  0xb | SEG_S | SEG_P | SEG_DB | SEG_G};
	const struct vcpu_segment data = {0, 0xffffffffu, BOOT_DS,
					  0x3 | SEG_S | SEG_P | SEG_DB | SEG_G};

	*out = (struct load_entry){
		.rip = plan->entry,
		.rax = BOOTLOADER_MAGIC,
		.rbx = plan->parts[MULTIBOOT_PART_INFO].gpa,
		.rflags = RFLAGS_FIXED1,
		.cr0 = CR0_PE | CR0_ET,
	};
	for (unsigned i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		out->segments[i] = i == VCPU_SEG_CS ? code : data;
	}
	out->segments[VCPU_SEG_TR] = (struct vcpu_segment){0, 0x67, 0, 0xb | SEG_P};
	out->segments[VCPU_SEG_LDTR] = (struct vcpu_segment){0, 0, 0, SEG_UNUSABLE};
}
