/* SPDX-License-Identifier: Apache-2.0 */
/* ELF64 of the hypervisor image: checks first, then a copy that cannot fail. */
#include "boot/elf.h"

#include <stdbool.h>
#include <string.h>

#define PAGE 4096ull

struct elf_header {
	uint8_t ident[16];
	uint16_t type;
	uint16_t machine;
	uint32_t version;
	uint64_t entry;
	uint64_t phoff;
	uint64_t shoff;
	uint32_t flags;
	uint16_t ehsize;
	uint16_t phentsize;
	uint16_t phnum;
	uint16_t shentsize;
	uint16_t shnum;
	uint16_t shstrndx;
};
_Static_assert(sizeof(struct elf_header) == 64, "ELF64's size");

struct elf_phdr {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};
_Static_assert(sizeof(struct elf_phdr) == 56, "ELF64's size");

#define ET_EXEC 2
#define EM_X86_64 62
#define PT_LOAD 1u

static bool fits(uint64_t base, uint64_t size, uint64_t limit)
{
	return size <= limit && base <= limit - size;
}

static const char *check_header(const struct elf_header *h, size_t size)
{
	/* Magic, 64-bit, little-endian, version 1. */
	static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

	for (size_t i = 0; i < sizeof(ident); i++) {
		if (h->ident[i] != ident[i]) {
			return "not a little-endian ELF64 file";
		}
	}
	if (h->type != ET_EXEC || h->machine != EM_X86_64) {
		return "not an executable for x86-64";
	}
	if (h->phentsize != sizeof(struct elf_phdr)) {
		return "odd program header size";
	}
	if (!fits(h->phoff, (uint64_t)h->phnum * sizeof(struct elf_phdr), size)) {
		return "program headers outside the file";
	}
	return NULL;
}

static const char *check_segment(const struct elf_phdr *p, size_t size)
{
	if (p->filesz > p->memsz) {
		return "a segment is larger in the file than in memory";
	}
	if (!fits(p->offset, p->filesz, size)) {
		return "a segment lies outside the file";
	}
	if (p->vaddr % PAGE != 0) {
		return "a segment does not start on a page";
	}
	if (p->vaddr < ELF_IMAGE_MIN || !fits(p->vaddr - ELF_IMAGE_MIN, p->memsz, 1ull << 31)) {
		return "a segment lies outside the top 2 GiB";
	}
	if ((p->flags & ELF_W) != 0 && (p->flags & ELF_X) != 0) {
		return "a segment is both writable and executable";
	}
	return NULL;
}

/* Where the segment's last page ends, counted from ELF_IMAGE_MIN: cannot wrap. */
static uint64_t page_end(const struct elf_segment *s)
{
	return (s->address - ELF_IMAGE_MIN + s->memory_size + PAGE - 1) & ~(PAGE - 1);
}

static const char *add_segment(struct elf_plan *plan, const struct elf_phdr *p)
{
	struct elf_segment *s = &plan->segments[plan->segment_count];

	if (plan->segment_count == ELF_SEGMENTS_MAX) {
		return "too many segments";
	}
	*s = (struct elf_segment){.address = p->vaddr,
				  .memory_size = p->memsz,
				  .file_offset = p->offset,
				  .file_size = p->filesz,
				  .flags = p->flags & (ELF_R | ELF_W | ELF_X)};
	if (plan->segment_count > 0 && s->address - ELF_IMAGE_MIN < page_end(s - 1)) {
		return "segments overlap or are out of order";
	}
	plan->segment_count++;
	return NULL;
}

static bool entry_is_code(const struct elf_plan *plan)
{
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *s = &plan->segments[i];

		if ((s->flags & ELF_X) != 0 && plan->entry >= s->address &&
		    plan->entry - s->address < s->memory_size) {
			return true;
		}
	}
	return false;
}

static const char *finish_plan(struct elf_plan *plan)
{
	const struct elf_segment *last;

	if (plan->segment_count == 0) {
		return "nothing to load";
	}
	last = &plan->segments[plan->segment_count - 1];
	plan->base = plan->segments[0].address;
	plan->span = page_end(last) - (plan->base - ELF_IMAGE_MIN);
	if (plan->span > ELF_IMAGE_SPAN_MAX) {
		return "the segments span more than 64 MiB";
	}
	return entry_is_code(plan) ? NULL : "the entry point is not in an executable segment";
}

const char *elf_plan(const void *file, size_t size, struct elf_plan *plan)
{
	struct elf_header header;
	const char *wrong;

	*plan = (struct elf_plan){0};
	if (size < sizeof(header)) {
		return "shorter than an ELF header";
	}
	memcpy(&header, file, sizeof(header));
	wrong = check_header(&header, size);
	plan->entry = header.entry;
	for (size_t i = 0; wrong == NULL && i < header.phnum; i++) {
		struct elf_phdr p;

		memcpy(&p, (const char *)file + header.phoff + i * sizeof(p), sizeof(p));
		if (p.type != PT_LOAD || p.memsz == 0) {
			continue;
		}
		wrong = check_segment(&p, size);
		if (wrong == NULL) {
			wrong = add_segment(plan, &p);
		}
	}
	return wrong != NULL ? wrong : finish_plan(plan);
}

void elf_load(const struct elf_plan *plan, const void *file, void *memory)
{
	memset(memory, 0, plan->span);
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *s = &plan->segments[i];

		memcpy((char *)memory + (s->address - plan->base),
		       (const char *)file + s->file_offset, s->file_size);
	}
}
