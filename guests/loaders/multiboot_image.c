/* SPDX-License-Identifier: Apache-2.0 */
/* Judging a file with a Multiboot header. Every byte of it is hostile. */
#include "guests/loaders/multiboot_image.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

/* "Header layout": offsets of the fields, and what bit 16 adds. */
#define MB_FLAGS 4u
#define MB_CHECKSUM 8u
#define MB_BASIC_SIZE 12u
#define MB_HEADER_ADDR 12u
#define MB_LOAD_ADDR 16u
#define MB_LOAD_END_ADDR 20u
#define MB_BSS_END_ADDR 24u
#define MB_ENTRY_ADDR 28u
#define MB_ADDRESSES_SIZE 32u

#define DEMANDS_MASK 0xffffu
#define DEMANDS_MET (MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO)

#define ADDRESS_END GIB(4)

/* ---------------------------------------------------------------- reading */

static uint64_t read_number(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static uint32_t read32(const uint8_t *p)
{
	return (uint32_t)read_number(p, 4);
}

static bool fits(uint64_t base, uint64_t size, uint64_t limit)
{
	return size <= limit && base <= limit - size;
}

/* ---------------------------------------------------------------- header */

/* The header's offset; false when there is none. */
static bool find_header(const uint8_t *file, uint64_t size, uint64_t *offset)
{
	uint64_t end = min_u64(size, MULTIBOOT_SEARCH);

	for (uint64_t at = 0; fits(at, MB_BASIC_SIZE, end); at += 4) {
		const uint8_t *h = file + at;

		if (read32(h) == MULTIBOOT_HEADER_MAGIC &&
		    read32(h) + read32(h + MB_FLAGS) + read32(h + MB_CHECKSUM) == 0) {
			*offset = at;
			return true;
		}
	}
	return false;
}

bool multiboot_image_is(const uint8_t *file, uint64_t size)
{
	uint64_t offset;

	return find_header(file, size, &offset);
}

/* "If the boot loader ... can't fulfill the requirements ..., it must ... fail to load". */
static enum hv_status check_demands(uint32_t flags, struct load_error *err)
{
	if ((flags & MULTIBOOT_VIDEO_MODE) != 0) {
		return load_fail(err, HV_E_UNSUPPORTED,
				 "its Multiboot header demands a video mode (flag bit 2): guests "
				 "have no screen");
	}
	if ((flags & DEMANDS_MASK & ~DEMANDS_MET) != 0) {
		return load_fail(err, HV_E_UNSUPPORTED,
				 "its Multiboot header demands unknown things: flags 0x%x", flags);
	}
	return HV_OK;
}

/* ---------------------------------------------------------------- segments */

/* Checks one segment against file, address space and the others, and adds it. */
static enum hv_status add_segment(struct multiboot_image *out, const struct multiboot_segment *s,
				  uint64_t size, struct load_error *err)
{
	if (s->file_size > s->memory_size) {
		return load_fail(err, HV_E_INVALID,
				 "broken: the segment at 0x%lx is larger in the file than in "
				 "memory",
				 s->gpa);
	}
	if (!fits(s->file_offset, s->file_size, size)) {
		return load_fail(err, HV_E_TRUNCATED,
				 "truncated: the segment at 0x%lx ends behind the file's %lu bytes",
				 s->gpa, size);
	}
	if (!fits(s->gpa, s->memory_size, ADDRESS_END)) {
		return load_fail(err, HV_E_INVALID,
				 "a segment of %lu bytes at 0x%lx does not end below 4 GiB",
				 s->memory_size, s->gpa);
	}
	for (unsigned i = 0; i < out->segment_count; i++) {
		if (ranges_overlap(s->gpa, s->memory_size, out->segments[i].gpa,
				   out->segments[i].memory_size)) {
			return load_fail(err, HV_E_INVALID,
					 "broken: the segments at 0x%lx and 0x%lx overlap",
					 out->segments[i].gpa, s->gpa);
		}
	}
	if (out->segment_count == MULTIBOOT_SEGMENTS_MAX) {
		return load_fail(err, HV_E_UNSUPPORTED, "more than %u segments",
				 MULTIBOOT_SEGMENTS_MAX);
	}
	out->segments[out->segment_count++] = *s;
	return HV_OK;
}

static enum hv_status check_entry(const struct multiboot_image *image, struct load_error *err)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct multiboot_segment *s = &image->segments[i];

		if (image->entry - s->gpa < s->memory_size) {
			return HV_OK;
		}
	}
	return load_fail(err, HV_E_INVALID,
			 "broken: the entry point 0x%lx is in none of its %u "
			 "segments",
			 image->entry, image->segment_count);
}

/* ---------------------------------------------------------------- addresses in the header */

/* "The address fields of Multiboot header": one segment, which holds the header. */
static enum hv_status read_addresses(const uint8_t *file, uint64_t size, uint64_t header,
				     struct multiboot_image *out, struct load_error *err)
{
	const uint8_t *h = file + header;
	uint64_t header_addr = read32(h + MB_HEADER_ADDR);
	uint64_t load = read32(h + MB_LOAD_ADDR);
	uint64_t load_end = read32(h + MB_LOAD_END_ADDR);
	uint64_t bss_end = read32(h + MB_BSS_END_ADDR);
	struct multiboot_segment s = {.gpa = load};

	if (load > header_addr || header_addr - load > header) {
		return load_fail(err, HV_E_INVALID,
				 "broken: Multiboot header_addr 0x%lx and load_addr 0x%lx do not "
				 "fit its place in the file",
				 header_addr, load);
	}
	s.file_offset = header - (header_addr - load);
	/* "If this field is zero": all of the file; no bss. */
	load_end = load_end != 0 ? load_end : load + (size - s.file_offset);
	bss_end = bss_end != 0 ? bss_end : load_end;
	if (load_end <= load || bss_end < load_end) {
		return load_fail(err, HV_E_INVALID,
				 "broken: Multiboot load_addr 0x%lx, load_end_addr 0x%lx, "
				 "bss_end_addr 0x%lx",
				 load, load_end, bss_end);
	}
	s.file_size = load_end - load;
	s.memory_size = bss_end - load;
	out->entry = read32(h + MB_ENTRY_ADDR);
	return add_segment(out, &s, size, err);
}

/* ---------------------------------------------------------------- ELF */

#define ET_EXEC 2u
#define EM_386 3u
#define EM_X86_64 62u
#define PT_LOAD 1u

/* Where the two classes of ELF keep what matters here. */
struct elf_class {
	uint8_t class;
	uint8_t word; /* bytes of an address, offset or size */
	uint16_t machine;
	uint8_t header_size;
	uint8_t phoff;
	uint8_t phentsize;
	uint8_t phnum;
	uint8_t segment_size; /* of a program header, and its fields */
	uint8_t offset;
	uint8_t vaddr;
	uint8_t paddr;
	uint8_t filesz;
	uint8_t memsz;
};

#define ELF_TYPE 16u
#define ELF_MACHINE 18u
#define ELF_ENTRY 24u

static const struct elf_class elf_classes[] = {
	{1, 4, EM_386, 52, 28, 42, 44, 32, 4, 8, 12, 16, 20},
	{2, 8, EM_X86_64, 64, 32, 54, 56, 56, 8, 16, 24, 32, 40},
};

static const struct elf_class *elf_class_of(const uint8_t *file, uint64_t size)
{
	static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};

	for (size_t i = 0; i < ARRAY_SIZE(elf_classes); i++) {
		const struct elf_class *c = &elf_classes[i];

		/* Little-endian, version 1. */
		if (size >= c->header_size && memcmp(file, magic, sizeof(magic)) == 0 &&
		    file[4] == c->class && file[5] == 1 && file[6] == 1) {
			return c;
		}
	}
	return NULL;
}

static enum hv_status check_elf(const struct elf_class *c, const uint8_t *file, uint64_t size,
				struct load_error *err)
{
	uint64_t type = read_number(file + ELF_TYPE, 2);
	uint64_t machine = read_number(file + ELF_MACHINE, 2);
	uint64_t phentsize = read_number(file + c->phentsize, 2);
	uint64_t phnum = read_number(file + c->phnum, 2);

	if (type != ET_EXEC) {
		return load_fail(err, HV_E_UNSUPPORTED, "an ELF file, but no executable: type %lu",
				 type);
	}
	if (machine != c->machine) {
		return load_fail(err, HV_E_UNSUPPORTED, "an ELF file for another CPU: machine %lu",
				 machine);
	}
	if (phentsize != c->segment_size) {
		return load_fail(err, HV_E_INVALID, "broken: ELF program headers of %lu bytes",
				 phentsize);
	}
	if (!fits(read_number(file + c->phoff, c->word), phnum * phentsize, size)) {
		return load_fail(err, HV_E_TRUNCATED,
				 "truncated: the ELF program headers end behind the file's %lu "
				 "bytes",
				 size);
	}
	return HV_OK;
}

/*
 * Segments go to their physical addresses. The entry point is a virtual address if it lies in a
 * segment's virtual range, which is how kernels linked high mean it; else it is physical.
 */
static enum hv_status read_elf(const struct elf_class *c, const uint8_t *file, uint64_t size,
			       struct multiboot_image *out, struct load_error *err)
{
	enum hv_status status = check_elf(c, file, size, err);
	uint64_t entry = read_number(file + ELF_ENTRY, c->word);

	out->entry = entry;
	for (uint64_t i = 0; status == HV_OK && i < read_number(file + c->phnum, 2); i++) {
		const uint8_t *p =
			file + read_number(file + c->phoff, c->word) + i * c->segment_size;
		uint64_t vaddr = read_number(p + c->vaddr, c->word);
		struct multiboot_segment s = {
			.gpa = read_number(p + c->paddr, c->word),
			.memory_size = read_number(p + c->memsz, c->word),
			.file_offset = read_number(p + c->offset, c->word),
			.file_size = read_number(p + c->filesz, c->word),
		};

		if (read32(p) != PT_LOAD || s.memory_size == 0) {
			continue;
		}
		status = add_segment(out, &s, size, err);
		if (entry - vaddr < s.memory_size) {
			out->entry = entry - vaddr + s.gpa;
		}
	}
	return status;
}

/* ---------------------------------------------------------------- all of it */

enum hv_status multiboot_image_read(const uint8_t *file, uint64_t size, struct multiboot_image *out,
				    struct load_error *err)
{
	const struct elf_class *elf = elf_class_of(file, size);
	enum hv_status status;
	uint64_t header;

	*out = (struct multiboot_image){0};
	if (!find_header(file, size, &header)) {
		return load_fail(err, HV_E_INVALID, "no Multiboot header");
	}
	out->flags = read32(file + header + MB_FLAGS);
	status = check_demands(out->flags, err);
	if (status != HV_OK) {
		return status;
	}
	if ((out->flags & MULTIBOOT_AOUT_KLUDGE) != 0) {
		if (!fits(header, MB_ADDRESSES_SIZE, min_u64(size, MULTIBOOT_SEARCH))) {
			return load_fail(err, HV_E_TRUNCATED,
					 "truncated: the Multiboot header ends behind byte %lu",
					 min_u64(size, MULTIBOOT_SEARCH));
		}
		status = read_addresses(file, size, header, out, err);
	} else if (elf != NULL) {
		status = read_elf(elf, file, size, out, err);
	} else {
		status = load_fail(err, HV_E_INVALID,
				   "a Multiboot header without addresses (flag bit 16), and no ELF "
				   "file");
	}
	return status == HV_OK ? check_entry(out, err) : status;
}
