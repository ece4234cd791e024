/* SPDX-License-Identifier: Apache-2.0 */
/* Writing SMBIOS structures: formatted areas, then their strings. */
#include "guests/tables/smbios.h"

#include "hv/base/acpi_format.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/str.h"

#define MAKER "Bulkhead"
#define PRODUCT "Virtual machine"
#define VERSION "1.0"
#define RELEASE_DATE "01/01/2026"
#define NAME_MAX 64u

/* Anchor ("SMBIOS 2.1 (32-bit) Entry Point"). */
#define ANCHOR_CHECKSUM 0x04u
#define ANCHOR_MAX_STRUCTURE 0x08u
#define ANCHOR_INTERMEDIATE 0x10u
#define ANCHOR_INTERMEDIATE_CHECKSUM 0x15u
#define ANCHOR_TABLE_LENGTH 0x16u
#define ANCHOR_COUNT 0x1cu
#define ANCHOR_REVISION 0x1eu
#define MAJOR 2u
#define MINOR 8u

enum smbios_type {
	TYPE_BIOS = 0,
	TYPE_SYSTEM = 1,
	TYPE_CHASSIS = 3,
	TYPE_PROCESSOR = 4,
	TYPE_MEMORY_ARRAY = 16,
	TYPE_MEMORY_DEVICE = 17,
	TYPE_MEMORY_RANGE = 19,
	TYPE_BOOT = 32,
	TYPE_END = 127,
};

/* A structure's handle: its type, and which one of that type. */
#define HANDLE(type, index) ((unsigned)(type) << 8 | (index))
#define NO_ERRORS_KNOWN 0xfffeu

/* Values of several structures. */
#define UNKNOWN 2u
#define OTHER 1u
#define SAFE 3u

struct builder {
	uint8_t *out;
	size_t cap;
	size_t at;
	size_t start; /* of the structure under construction */
	bool full;
	unsigned count;
	size_t largest;
	unsigned strings; /* of this structure */
	char text[4 * NAME_MAX];
	size_t text_length;
};

static void append(struct builder *b, const void *src, size_t n)
{
	if (b->full || n > b->cap - b->at) {
		b->full = true;
		return;
	}
	memcpy(b->out + b->at, src, n);
	b->at += n;
}

/* Little-endian. */
static void number(struct builder *b, uint64_t value, size_t size)
{
	append(b, &value, size);
}

/* The number by which the formatted area names the string. */
static void string(struct builder *b, const char *text)
{
	size_t n = min_u64(str_len(text), NAME_MAX - 1);

	if (b->text_length + n + 1 > sizeof(b->text)) {
		b->full = true;
		return;
	}
	memcpy(b->text + b->text_length, text, n);
	b->text[b->text_length + n] = '\0';
	b->text_length += n + 1;
	number(b, ++b->strings, 1);
}

static void begin(struct builder *b, enum smbios_type type, unsigned index)
{
	b->start = b->at;
	b->strings = 0;
	b->text_length = 0;
	number(b, type, 1);
	number(b, 0, 1); /* length: end */
	number(b, HANDLE(type, index), 2);
}

/* "Structure organization": strings end in a zero byte each, the list in one more. */
static void end(struct builder *b)
{
	if (!b->full) {
		b->out[b->start + 1] = (uint8_t)(b->at - b->start);
	}
	append(b, b->text, b->text_length);
	number(b, 0, b->strings == 0 ? 2 : 1);
	b->count++;
	b->largest = max_u64(b->largest, b->at - b->start);
}

/* "BIOS Information (Type 0)". */
static void build_bios(struct builder *b, bool uefi)
{
	begin(b, TYPE_BIOS, 0);
	string(b, MAKER);
	string(b, VERSION);
	number(b, 0xe800, 2); /* segment */
	string(b, RELEASE_DATE);
	number(b, 0, 1);      /* 64 KiB */
	number(b, BIT(3), 8); /* characteristics are not given */
	number(b, 0, 1);
	/* Targeted content, a virtual machine. */
	number(b, BIT(2) | BIT(4) | (uefi ? BIT(3) : 0), 1);
	number(b, 0, 1); /* release 0.0 */
	number(b, 0, 1);
	number(b, 0xffff, 2); /* no embedded controller */
	end(b);
}

/* "System Information (Type 1)". */
static void build_system(struct builder *b, const struct smbios_config *c)
{
	begin(b, TYPE_SYSTEM, 0);
	string(b, MAKER);
	string(b, PRODUCT);
	string(b, VERSION);
	string(b, c->name);
	append(b, c->uuid, SMBIOS_UUID_SIZE);
	number(b, 6, 1); /* woken by the power switch */
	number(b, 0, 1); /* SKU, family: none */
	number(b, 0, 1);
	end(b);
}

/* "System Enclosure or Chassis (Type 3)". */
static void build_chassis(struct builder *b)
{
	begin(b, TYPE_CHASSIS, 0);
	string(b, MAKER);
	number(b, OTHER, 1);
	string(b, VERSION);
	number(b, 0, 2);       /* serial number, asset tag: none */
	number(b, SAFE, 1);    /* boot-up */
	number(b, SAFE, 1);    /* power supply */
	number(b, SAFE, 1);    /* thermal */
	number(b, UNKNOWN, 1); /* security */
	number(b, 0, 4);
	number(b, 0, 4); /* height, cords, contained elements, their size */
	number(b, 0, 1); /* SKU */
	end(b);
}

/* "Processor Information (Type 4)": one, with as many cores as there are vCPUs. */
static void build_processor(struct builder *b, const struct smbios_config *c)
{
	begin(b, TYPE_PROCESSOR, 0);
	string(b, "CPU 0");
	number(b, 3, 1);     /* central processor */
	number(b, OTHER, 1); /* family */
	string(b, MAKER);
	number(b, c->cpu_signature, 4);
	number(b, c->cpu_features, 4);
	string(b, PRODUCT);
	number(b, 0, 1); /* voltage */
	number(b, 0, 2); /* clock, and frequencies: unknown */
	number(b, 0, 2);
	number(b, 0, 2);
	number(b, 0x41, 1);   /* populated, enabled */
	number(b, OTHER, 1);  /* upgrade */
	number(b, 0xffff, 2); /* caches: not given */
	number(b, 0xffff, 2);
	number(b, 0xffff, 2);
	number(b, 0, 3); /* serial number, asset tag, part number: none */
	number(b, c->vcpu_count, 1);
	number(b, c->vcpu_count, 1);
	number(b, c->vcpu_count, 1);
	/* 64-bit; several cores. */
	number(b, BIT(2) | (c->vcpu_count > 1 ? BIT(3) : 0), 2);
	number(b, OTHER, 2); /* family, again */
	end(b);
}

/* "Physical Memory Array (Type 16)". */
static void build_array(struct builder *b, uint64_t bytes)
{
	begin(b, TYPE_MEMORY_ARRAY, 0);
	number(b, OTHER, 1);	   /* location */
	number(b, 3, 1);	   /* system memory */
	number(b, 6, 1);	   /* multi-bit ECC: what systems take for granted */
	number(b, 0x80000000u, 4); /* the size is in the last field */
	number(b, NO_ERRORS_KNOWN, 2);
	number(b, 1, 2); /* devices */
	number(b, bytes, 8);
	end(b);
}

/* "Memory Device (Type 17)". */
static void build_device(struct builder *b, uint64_t bytes)
{
	uint64_t mib = bytes / MIB(1);
	bool large = mib >= 0x7fff;

	begin(b, TYPE_MEMORY_DEVICE, 0);
	number(b, HANDLE(TYPE_MEMORY_ARRAY, 0), 2);
	number(b, NO_ERRORS_KNOWN, 2);
	number(b, 0xffff, 2); /* widths: unknown */
	number(b, 0xffff, 2);
	number(b, large ? 0x7fff : mib, 2);
	number(b, 9, 1); /* DIMM */
	number(b, 0, 1); /* of no set */
	string(b, "DIMM 0");
	number(b, 0, 1);      /* bank: none */
	number(b, 7, 1);      /* RAM */
	number(b, BIT(1), 2); /* detail: other */
	number(b, 0, 2);      /* speed: unknown */
	string(b, MAKER);
	number(b, 0, 3); /* serial number, asset tag, part number: none */
	number(b, 0, 1); /* rank: unknown */
	number(b, large ? mib : 0, 4);
	number(b, 0, 2); /* clock, voltages: unknown */
	number(b, 0, 6);
	end(b);
}

/* "Memory Array Mapped Address (Type 19)": the place in the extended fields. */
static void build_range(struct builder *b, unsigned index, uint64_t base, uint64_t bytes)
{
	if (bytes == 0) {
		return;
	}
	begin(b, TYPE_MEMORY_RANGE, index);
	number(b, UINT32_MAX, 4);
	number(b, UINT32_MAX, 4);
	number(b, HANDLE(TYPE_MEMORY_ARRAY, 0), 2);
	number(b, 1, 1); /* partition width */
	number(b, base, 8);
	number(b, base + bytes - 1, 8);
	end(b);
}

/* "System Boot Information (Type 32)": no errors. */
static void build_boot(struct builder *b)
{
	begin(b, TYPE_BOOT, 0);
	number(b, 0, 6);
	number(b, 0, 1);
	end(b);
}

static void build_end(struct builder *b)
{
	begin(b, TYPE_END, 0);
	end(b);
}

/* Without the terminator. */
static void put_name(uint8_t *at, const char *name)
{
	memcpy(at, name, str_len(name));
}

static void build_anchor(const struct builder *b, uint8_t *a)
{
	uint16_t largest = (uint16_t)b->largest;
	uint16_t length = (uint16_t)b->at;
	uint16_t count = (uint16_t)b->count;

	memset(a, 0, SMBIOS_ANCHOR_SIZE);
	put_name(a, "_SM_");
	a[ANCHOR_CHECKSUM + 1] = SMBIOS_ANCHOR_SIZE;
	a[ANCHOR_CHECKSUM + 2] = MAJOR;
	a[ANCHOR_CHECKSUM + 3] = MINOR;
	memcpy(a + ANCHOR_MAX_STRUCTURE, &largest, sizeof(largest));
	put_name(a + ANCHOR_INTERMEDIATE, "_DMI_");
	memcpy(a + ANCHOR_TABLE_LENGTH, &length, sizeof(length));
	memcpy(a + ANCHOR_COUNT, &count, sizeof(count));
	a[ANCHOR_REVISION] = MAJOR << 4 | MINOR;
	a[ANCHOR_INTERMEDIATE_CHECKSUM] =
		(uint8_t)(0u - acpi_sum(a + ANCHOR_INTERMEDIATE,
					SMBIOS_ANCHOR_SIZE - ANCHOR_INTERMEDIATE));
	a[ANCHOR_CHECKSUM] = (uint8_t)(0u - acpi_sum(a, SMBIOS_ANCHOR_SIZE));
}

enum hv_status smbios_build(const struct smbios_config *c, uint8_t *tables, size_t cap,
			    size_t *used, uint8_t *anchor)
{
	struct builder b = {.out = tables, .cap = cap};
	uint64_t bytes = c->ram_below_4g + c->ram_above_4g;

	build_bios(&b, c->uefi);
	build_system(&b, c);
	build_chassis(&b);
	build_processor(&b, c);
	build_array(&b, bytes);
	build_device(&b, bytes);
	build_range(&b, 0, 0, c->ram_below_4g);
	build_range(&b, 1, GIB(4), c->ram_above_4g);
	build_boot(&b);
	build_end(&b);
	if (b.full) {
		return HV_E_NO_MEMORY;
	}
	*used = b.at;
	build_anchor(&b, anchor);
	return HV_OK;
}

/* FNV-1a, with a bias of its own for each half. */
static uint64_t hash(const char *text, uint64_t h)
{
	for (; *text != '\0'; text++) {
		h = (h ^ (uint8_t)*text) * 0x100000001b3ull;
	}
	return h;
}

void smbios_uuid(const char *name, uint8_t out[SMBIOS_UUID_SIZE])
{
	uint64_t halves[2] = {hash(name, 0xcbf29ce484222325ull), hash(name, 0x9ae16a3b2f90404full)};

	memcpy(out, halves, SMBIOS_UUID_SIZE);
	/* The third field is little-endian in SMBIOS: its upper byte has the version. */
	out[7] = (uint8_t)((out[7] & 0x0f) | 0x80);
	out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}
