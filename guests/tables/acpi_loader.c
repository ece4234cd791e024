/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of the table loader's script. */
#include "guests/tables/acpi_loader.h"

#include "hv/base/str.h"

#define AT_COMMAND 0u
#define AT_FILE 4u
/* ALLOCATE. */
#define AT_ALIGN 60u
#define AT_ZONE 64u
/* ADD_POINTER. */
#define AT_SOURCE 60u
#define AT_POINTER_OFFSET 116u
#define AT_POINTER_SIZE 120u
/* ADD_CHECKSUM. */
#define AT_SUM_OFFSET 60u
#define AT_SUM_START 64u
#define AT_SUM_LENGTH 68u

_Static_assert(AT_FILE + ACPI_LOADER_NAME_MAX == AT_SOURCE, "names follow each other");
_Static_assert(AT_SOURCE + ACPI_LOADER_NAME_MAX == AT_POINTER_OFFSET, "numbers follow the names");

/* The FACS wants 64; a page keeps the tables together. */
#define TABLES_ALIGN 4096u
#define RSDP_ALIGN 16u

struct script {
	uint8_t *out;
	size_t at;
};

static void put(uint8_t *entry, size_t at, uint32_t value, size_t size)
{
	memcpy(entry + at, &value, size);
}

static void put_name(uint8_t *entry, size_t at, const char *name)
{
	(void)str_copy((char *)entry + at, ACPI_LOADER_NAME_MAX, span_of(name));
}

static uint8_t *add(struct script *s, uint32_t command, const char *file)
{
	uint8_t *entry = s->out + s->at;

	memset(entry, 0, ACPI_LOADER_ENTRY);
	put(entry, AT_COMMAND, command, 4);
	put_name(entry, AT_FILE, file);
	s->at += ACPI_LOADER_ENTRY;
	return entry;
}

static void allocate(struct script *s, const char *file, uint32_t align, uint32_t zone)
{
	uint8_t *entry = add(s, ACPI_LOADER_ALLOCATE, file);

	put(entry, AT_ALIGN, align, 4);
	put(entry, AT_ZONE, zone, 1);
}

/* The file that holds offset `at` of the image, and where in it. */
static const char *file_of(uint16_t at, uint32_t *offset)
{
	if (at < ACPI_LINKED_TABLES_AT) {
		*offset = at;
		return ACPI_LOADER_RSDP;
	}
	*offset = at - ACPI_LINKED_TABLES_AT;
	return ACPI_LOADER_TABLES;
}

static void add_pointer(struct script *s, const struct acpi_pointer *p)
{
	uint32_t offset;
	uint8_t *entry = add(s, ACPI_LOADER_ADD_POINTER, file_of(p->at, &offset));

	put_name(entry, AT_SOURCE, ACPI_LOADER_TABLES);
	put(entry, AT_POINTER_OFFSET, offset, 4);
	put(entry, AT_POINTER_SIZE, p->size, 1);
}

static void add_checksum(struct script *s, const struct acpi_checksum *c)
{
	uint32_t offset;
	uint32_t start;
	uint8_t *entry = add(s, ACPI_LOADER_ADD_CHECKSUM, file_of(c->at, &offset));

	(void)file_of(c->start, &start);
	put(entry, AT_SUM_OFFSET, offset, 4);
	put(entry, AT_SUM_START, start, 4);
	put(entry, AT_SUM_LENGTH, c->length, 4);
}

size_t acpi_loader_build(const struct acpi_links *links, uint8_t *out)
{
	struct script s = {.out = out};

	allocate(&s, ACPI_LOADER_TABLES, TABLES_ALIGN, ACPI_LOADER_ZONE_HIGH);
	allocate(&s, ACPI_LOADER_RSDP, RSDP_ALIGN, ACPI_LOADER_ZONE_FSEG);
	for (unsigned i = 0; i < links->pointer_count; i++) {
		add_pointer(&s, &links->pointers[i]);
	}
	for (unsigned i = 0; i < links->checksum_count; i++) {
		add_checksum(&s, &links->checksums[i]);
	}
	return s.at;
}
