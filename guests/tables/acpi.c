/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a guest's ACPI tables. Section titles are those of the ACPI specification. */
#include "guests/tables/acpi.h"

#include "guests/devices/hpet.h"
#include "guests/tables/dsdt.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"

#define OEM_ID "BLKHD "
#define OEM_TABLE_ID "BULKHEAD"
#define CREATOR_ID "BLKH"

#define RSDP_AT 0u
#define FACS_AT (GUEST_FACS - LAYOUT_ACPI_BASE)
#define TABLES_AT LAYOUT_ACPI_NVS_SIZE
#define TABLE_ALIGN 16u
#define ROOT_ENTRIES_MAX 8u

/* A QWord address space descriptor: offsets and size. */
#define QWORD_MIN 14u
#define QWORD_MAX 22u
#define QWORD_LENGTH 38u
/* Likewise of a DWord one. */
#define DWORD_MIN 10u
#define DWORD_MAX 14u
#define DWORD_LENGTH 22u

/* The image being filled; an append past its end only sets `full`. */
struct builder {
	uint8_t *image;
	size_t cap;
	size_t at;    /* where the next byte goes */
	size_t table; /* where the table under construction begins */
	bool full;
	unsigned count;
	uint32_t root[ROOT_ENTRIES_MAX]; /* what XSDT and RSDT list */
	uint32_t base;			 /* guest-physical, of the image; modulo 2^32 */
	struct acpi_links *links;	 /* NULL: nothing is to be corrected */
};

static uint32_t address_of(const struct builder *b, size_t offset)
{
	return (uint32_t)(b->base + offset);
}

/* ---------------------------------------------------------------- appending */

static void append(struct builder *b, const void *src, size_t n)
{
	if (b->full || n > b->cap - b->at) {
		b->full = true;
		return;
	}
	memcpy(b->image + b->at, src, n);
	b->at += n;
}

/* The low `size` bytes of `value`, little-endian. */
static void append_number(struct builder *b, uint64_t value, size_t size)
{
	append(b, &value, size);
}

static void append_zeros(struct builder *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		append_number(b, 0, 1);
	}
}

/* Overwrites bytes of the table under construction. */
static void set_bytes(struct builder *b, size_t offset, const void *src, size_t n)
{
	if (!b->full) {
		CHECK(b->table + offset + n <= b->at);
		memcpy(b->image + b->table + offset, src, n);
	}
}

static void set_number(struct builder *b, size_t offset, uint64_t value, size_t size)
{
	set_bytes(b, offset, &value, size);
}

/* What is appended next, or stands at `offset` of the image, is the address of a table. */
static void note_pointer(struct builder *b, size_t at, size_t size)
{
	struct acpi_links *l = b->links;

	if (l != NULL && !b->full) {
		CHECK(l->pointer_count < ACPI_POINTERS_MAX);
		l->pointers[l->pointer_count++] =
			(struct acpi_pointer){(uint16_t)at, (uint8_t)size};
	}
}

static void note_checksum(struct builder *b, size_t at, size_t start, size_t length)
{
	struct acpi_links *l = b->links;

	if (l != NULL && !b->full) {
		CHECK(l->checksum_count < ACPI_CHECKSUMS_MAX);
		l->checksums[l->checksum_count++] =
			(struct acpi_checksum){(uint16_t)at, (uint16_t)start, (uint16_t)length};
	}
}

static void set_pointer(struct builder *b, size_t offset, size_t target, size_t size)
{
	set_number(b, offset, address_of(b, target), size);
	note_pointer(b, b->table + offset, size);
}

/* A register block in I/O space of `width` bits, reached `access` bytes at a time (1, 2, 4). */
static void set_io_gas(struct builder *b, size_t offset, unsigned port, unsigned width,
		       unsigned access)
{
	set_number(b, offset + GAS_SPACE, GAS_SPACE_IO, 1);
	set_number(b, offset + GAS_WIDTH, width, 1);
	set_number(b, offset + GAS_ACCESS, access == 4 ? 3 : access, 1);
	set_number(b, offset + GAS_ADDRESS, port, 8);
}

/* ---------------------------------------------------------------- tables */

static void table_begin(struct builder *b, const char *signature, unsigned revision)
{
	append_zeros(b, align_up(b->at, TABLE_ALIGN) - b->at);
	b->table = b->at;
	append(b, signature, 4);
	append_number(b, 0, 4); /* length: table_end */
	append_number(b, revision, 1);
	append_number(b, 0, 1); /* checksum: table_end */
	append(b, OEM_ID, 6);
	append(b, OEM_TABLE_ID, 8);
	append_number(b, 1, 4);
	append(b, CREATOR_ID, 4);
	append_number(b, 1, 4);
}

static void table_end(struct builder *b)
{
	size_t n = b->at - b->table;

	set_number(b, SDT_LENGTH, n, 4);
	set_number(b, SDT_CHECKSUM, 0, 1);
	if (!b->full) {
		set_number(b, SDT_CHECKSUM, 0u - acpi_sum(b->image + b->table, n), 1);
	}
}

/* The same for one with pointers in it. */
static void table_end_pointers(struct builder *b)
{
	table_end(b);
	note_checksum(b, b->table + SDT_CHECKSUM, b->table, b->at - b->table);
}

/* Ends the table and has XSDT and RSDT name it. */
static void table_end_listed(struct builder *b)
{
	CHECK(b->count < ROOT_ENTRIES_MAX);
	table_end(b);
	b->root[b->count++] = address_of(b, b->table);
}

/* Where the next of these bytes stand in the DSDT, from offset `from` on; 0: nowhere. */
static size_t dsdt_next(const void *bytes, size_t n, size_t from)
{
	for (size_t i = from; i + n <= dsdt_aml_size; i++) {
		if (memcmp(dsdt_aml + i, bytes, n) == 0) {
			return i;
		}
	}
	return 0;
}

/* The first of them, which is there. */
static size_t dsdt_find(const void *bytes, size_t n)
{
	size_t at = dsdt_next(bytes, n, SDT_HEADER_SIZE);

	CHECK(at != 0);
	return at;
}

/* The offset of FLGS' value in the DSDT: NameOp, "FLGS", DWordPrefix, value. */
static size_t dsdt_flags_offset(void)
{
	static const uint8_t name[] = {0x08, 'F', 'L', 'G', 'S', 0x0c};

	return dsdt_find(name, sizeof(name)) + sizeof(name);
}

/* "QWord Address Space Descriptor" of memory; there is one. */
static void dsdt_set_window64(struct builder *b, const struct acpi_config *c)
{
	static const uint8_t head[] = {0x8a, 0x2b, 0x00, 0x00};
	size_t at = dsdt_find(head, sizeof(head));
	uint64_t size =
		c->window64_size != 0 ? c->window64_size : layout_pci_window64_size(c->window64);

	set_number(b, at + QWORD_MIN, c->window64, 8);
	set_number(b, at + QWORD_MAX, c->window64 + size - 1, 8);
	set_number(b, at + QWORD_LENGTH, size, 8);
}

/*
 * "DWord Address Space Descriptor" of memory that is not to be cached; one for old systems, one for
 * others. That of a VGA's window, which never moves, is of memory that may be.
 */
static void dsdt_set_window32(struct builder *b, const struct acpi_config *c)
{
	static const uint8_t head[] = {0x87, 0x17, 0x00, 0x00, 0x0c, 0x01};

	for (size_t at = dsdt_find(head, sizeof(head)); at != 0;
	     at = dsdt_next(head, sizeof(head), at + sizeof(head))) {
		set_number(b, at + DWORD_MIN, c->window32, 4);
		set_number(b, at + DWORD_MAX, c->window32 + (c->window32_size - 1), 4);
		set_number(b, at + DWORD_LENGTH, c->window32_size, 4);
	}
}

/* "32-Bit Fixed Memory Range Descriptor", writable; there is one, ECAM. */
static void dsdt_set_ecam(struct builder *b, uint32_t base)
{
	static const uint8_t head[] = {0x86, 0x09, 0x00, 0x01};

	set_number(b, dsdt_find(head, sizeof(head)) + sizeof(head), base, 4);
}

/* A sleep state is there if its object has that name. */
static void dsdt_hide_s3(struct builder *b)
{
	set_bytes(b, dsdt_find("_S3_", 4), "X", 1);
}

/* Returns the table's offset in the image; the FADT points at it. */
static size_t build_dsdt(struct builder *b, const struct acpi_config *c)
{
	uint32_t flags = DSDT_FLAG_KEYBOARD | (c->serial ? DSDT_FLAG_COM1 : 0) |
			 (c->mouse ? DSDT_FLAG_MOUSE : 0) |
			 (c->window64 != 0 ? DSDT_FLAG_WINDOW64 : 0) |
			 (c->hpet ? DSDT_FLAG_HPET : 0);

	for (unsigned i = 0; i < ARRAY_SIZE(c->floppies); i++) {
		flags |= (uint32_t)c->floppies[i]
			 << (DSDT_FLAG_FLOPPY_SHIFT + i * DSDT_FLAG_FLOPPY_BITS);
	}
	append_zeros(b, align_up(b->at, TABLE_ALIGN) - b->at);
	b->table = b->at;
	append(b, dsdt_aml, dsdt_aml_size);
	set_number(b, dsdt_flags_offset(), flags, 4);
	if (c->window64 != 0) {
		dsdt_set_window64(b, c);
	}
	if (c->window32 != 0) {
		dsdt_set_window32(b, c);
	}
	if (c->ecam_base != 0) {
		dsdt_set_ecam(b, c->ecam_base);
	}
	if (c->no_s3) {
		dsdt_hide_s3(b);
	}
	table_end(b);
	return b->table;
}

/*
 * "Firmware ACPI Control Structure (FACS)". Version 0 has only the waking vector for real mode,
 * which is the one that systems use; hv/guest.c reads it.
 */
static void build_facs(struct builder *b)
{
	b->table = b->at;
	append_zeros(b, FACS_SIZE);
	set_bytes(b, 0, "FACS", 4);
	set_number(b, FACS_LENGTH, FACS_SIZE, 4);
}

/* No flag says that the power button is missing, so it is in PM1. */
#define FADT_FLAGS_HERE \
	(FADT_FLAG_WBINVD | FADT_FLAG_PROC_C1 | FADT_FLAG_NO_SLEEP_BUTTON | FADT_FLAG_TMR_32BIT | \
	 FADT_FLAG_RESET_REG)
#define FADT_BOOT_ARCH_HERE (FADT_BOOT_LEGACY_DEVICES | FADT_BOOT_8042)

/* The register blocks, once as plain port numbers and once as generic addresses. */
static void fadt_set_blocks(struct builder *b)
{
	set_number(b, FADT_PM1A_EVT, LAYOUT_PM1_EVT, 4);
	set_number(b, FADT_PM1A_CNT, LAYOUT_PM1_CNT, 4);
	set_number(b, FADT_PM_TMR, LAYOUT_PM_TMR, 4);
	set_number(b, FADT_GPE0, LAYOUT_GPE0, 4);
	set_number(b, FADT_PM1_EVT_LEN, 4, 1);
	set_number(b, FADT_PM1_CNT_LEN, 2, 1);
	set_number(b, FADT_PM_TMR_LEN, 4, 1);
	set_number(b, FADT_GPE0_LEN, 4, 1);
	set_io_gas(b, FADT_X_PM1A_EVT, LAYOUT_PM1_EVT, 32, 2);
	set_io_gas(b, FADT_X_PM1A_CNT, LAYOUT_PM1_CNT, 16, 2);
	set_io_gas(b, FADT_X_PM_TMR, LAYOUT_PM_TMR, 32, 4);
	set_io_gas(b, FADT_X_GPE0, LAYOUT_GPE0, 32, 1);
}

/*
 * SMI_CMD is 0: the machine is in ACPI mode from the start. The two latencies say that there are
 * no C2 and C3.
 */
static void build_fadt(struct builder *b, const struct acpi_config *c, size_t dsdt)
{
	table_begin(b, "FACP", 4);
	append_zeros(b, FADT_V4_SIZE - SDT_HEADER_SIZE);
	set_pointer(b, FADT_FIRMWARE_CTRL, FACS_AT, 4);
	set_pointer(b, FADT_DSDT, dsdt, 4);
	set_pointer(b, FADT_X_DSDT, dsdt, 8);
	set_number(b, FADT_PM_PROFILE, 4, 1); /* enterprise server */
	set_number(b, FADT_SCI_INT, LAYOUT_IRQ_SCI, 2);
	fadt_set_blocks(b);
	set_number(b, FADT_P_LVL2_LAT, 0xffff, 2);
	set_number(b, FADT_P_LVL3_LAT, 0xffff, 2);
	set_number(b, FADT_CENTURY, LAYOUT_CMOS_CENTURY, 1);
	set_number(b, FADT_BOOT_ARCH, FADT_BOOT_ARCH_HERE | (c->vga ? 0 : FADT_BOOT_NO_VGA), 2);
	set_number(b, FADT_FLAGS, FADT_FLAGS_HERE, 4);
	set_io_gas(b, FADT_RESET_REG, LAYOUT_RESET_PORT, 8, 1);
	set_number(b, FADT_RESET_VALUE, LAYOUT_RESET_VALUE, 1);
	table_end_listed(b);
	note_checksum(b, b->table + SDT_CHECKSUM, b->table, b->at - b->table);
}

static void madt_append_override(struct builder *b, unsigned irq, unsigned gsi, unsigned flags)
{
	append_number(b, MADT_TYPE_OVERRIDE, 1);
	append_number(b, 10, 1);
	append_number(b, 0, 1); /* ISA */
	append_number(b, irq, 1);
	append_number(b, gsi, 4);
	append_number(b, flags, 2);
}

static void build_madt(struct builder *b, const struct acpi_config *c)
{
	table_begin(b, "APIC", 3);
	append_number(b, LAYOUT_LAPIC_BASE, 4);
	append_number(b, MADT_FLAG_PCAT, 4);
	for (unsigned i = 0; i < c->vcpu_count; i++) {
		append_number(b, MADT_TYPE_LAPIC, 1);
		append_number(b, 8, 1);
		append_number(b, i, 1); /* processor UID, as in the SSDT */
		append_number(b, i, 1); /* APIC id */
		append_number(b, MADT_CPU_ENABLED, 4);
	}
	append_number(b, MADT_TYPE_IOAPIC, 1);
	append_number(b, 12, 1);
	append_number(b, LAYOUT_IOAPIC_ID, 2);
	append_number(b, LAYOUT_IOAPIC_BASE, 4);
	append_number(b, 0, 4); /* first GSI */
	madt_append_override(b, LAYOUT_IRQ_TIMER, LAYOUT_GSI_TIMER, 0);
	madt_append_override(b, LAYOUT_IRQ_SCI, LAYOUT_IRQ_SCI,
			     MADT_INTI_ACTIVE_LOW | MADT_INTI_LEVEL);
	append_number(b, MADT_TYPE_LAPIC_NMI, 1);
	append_number(b, 6, 1);
	append_number(b, 0xff, 1); /* all processors */
	append_number(b, 0, 2);
	append_number(b, 1, 1); /* LINT1 */
	table_end_listed(b);
}

static void build_mcfg(struct builder *b, const struct acpi_config *c)
{
	table_begin(b, "MCFG", 1);
	append_zeros(b, MCFG_ENTRIES - SDT_HEADER_SIZE);
	append_number(b, c->ecam_base != 0 ? c->ecam_base : LAYOUT_ECAM_BASE, 8);
	append_number(b, 0, 2); /* segment */
	append_number(b, 0, 1); /* first bus */
	append_number(b, LAYOUT_PCI_BUS_LAST, 1);
	append_zeros(b, 4);
	table_end_listed(b);
}

/* "IA-PC HPET Description Table"; the pages around it hold nothing that is to be protected. */
static void build_hpet(struct builder *b)
{
	table_begin(b, "HPET", 1);
	append_zeros(b, HPET_SIZE - SDT_HEADER_SIZE);
	set_number(b, HPET_BLOCK_ID, HPET_ID, 4);
	set_number(b, HPET_BASE_GAS + GAS_WIDTH, 64, 1);
	set_number(b, HPET_BASE_GAS + GAS_ADDRESS, LAYOUT_HPET_BASE, 8);
	set_number(b, HPET_MIN_TICK, HPET_MERGE_CYCLES, 2);
	table_end_listed(b);
}

/* Windows ACPI Emulated Devices Table: one read of the PM timer suffices, it never glitches. */
static void build_waet(struct builder *b)
{
	table_begin(b, "WAET", 1);
	append_number(b, 2, 4);
	table_end_listed(b);
}

/* "AML Package Length Encoding" for a length below 4096, its own bytes included. */
static void append_pkg_length(struct builder *b, unsigned body)
{
	if (body + 1 < 64) {
		append_number(b, body + 1, 1);
	} else {
		unsigned length = body + 2;

		append_number(b, 0x40u | (length & 0xf), 1);
		append_number(b, length >> 4, 1);
	}
}

static char hex_digit(unsigned v)
{
	return "0123456789ABCDEF"[v & 0xf];
}

/* Device (C0nn) { Name (_HID, "ACPI0007") Name (_UID, nn) } */
#define CPU_DEVICE_BODY 26u
#define CPU_DEVICE_SIZE (2 + 1 + CPU_DEVICE_BODY)

static void append_cpu_device(struct builder *b, unsigned index)
{
	const char name[4] = {'C', '0', hex_digit(index >> 4), hex_digit(index)};

	append(b, "\x5b\x82", 2);
	append_pkg_length(b, CPU_DEVICE_BODY);
	append(b, name, sizeof(name));
	append(b,
	       "\x08_HID\x0d"
	       "ACPI0007",
	       15);
	append(b, "\x08_UID\x0a", 6);
	append_number(b, index, 1);
}

/* Scope (\_SB) with a device for each CPU, which MADT entries name by _UID. */
static void build_ssdt(struct builder *b, const struct acpi_config *c)
{
	table_begin(b, "SSDT", 1);
	append(b, "\x10", 1);
	append_pkg_length(b, 5 + c->vcpu_count * CPU_DEVICE_SIZE);
	append(b, "\\_SB_", 5);
	for (unsigned i = 0; i < c->vcpu_count; i++) {
		append_cpu_device(b, i);
	}
	table_end_listed(b);
}

/* XSDT (entries of 8 bytes) or RSDT (of 4); returns its offset. */
static size_t build_root(struct builder *b, const char *signature, size_t entry_size)
{
	table_begin(b, signature, 1);
	for (unsigned i = 0; i < b->count; i++) {
		note_pointer(b, b->at, entry_size);
		append_number(b, b->root[i], entry_size);
	}
	table_end_pointers(b);
	return b->table;
}

/* "Root System Description Pointer (RSDP)", at the image's start, which is already there. */
static void build_rsdp(struct builder *b, size_t rsdt, size_t xsdt)
{
	const uint8_t *rsdp = b->image + RSDP_AT;

	b->table = RSDP_AT;
	set_bytes(b, 0, RSDP_SIGNATURE, 8);
	set_bytes(b, RSDP_OEM_ID, OEM_ID, 6);
	set_number(b, RSDP_REVISION, 2, 1);
	set_pointer(b, RSDP_RSDT, rsdt, 4);
	set_number(b, RSDP_LENGTH, RSDP_V2_SIZE, 4);
	set_pointer(b, RSDP_XSDT, xsdt, 8);
	note_checksum(b, RSDP_CHECKSUM, RSDP_AT, RSDP_V1_SIZE);
	note_checksum(b, RSDP_CHECKSUM_EXT, RSDP_AT, RSDP_V2_SIZE);
	if (!b->full) {
		set_number(b, RSDP_CHECKSUM, 0u - acpi_sum(rsdp, RSDP_V1_SIZE), 1);
		set_number(b, RSDP_CHECKSUM_EXT, 0u - acpi_sum(rsdp, RSDP_V2_SIZE), 1);
	}
}

/* Tables begin at `tables_at` of the image. */
static enum hv_status build(struct builder *b, const struct acpi_config *config, size_t tables_at,
			    size_t *used)
{
	size_t dsdt;
	size_t xsdt;

	if (config->vcpu_count == 0 || config->vcpu_count > ACPI_VCPUS_MAX) {
		return HV_E_RANGE;
	}
	append_zeros(b, FACS_AT);
	build_facs(b);
	append_zeros(b, tables_at - b->at);
	dsdt = build_dsdt(b, config);
	build_fadt(b, config, dsdt);
	build_madt(b, config);
	build_mcfg(b, config);
	if (config->hpet) {
		build_hpet(b);
	}
	build_waet(b);
	build_ssdt(b, config);
	xsdt = build_root(b, "XSDT", 8);
	build_rsdp(b, build_root(b, "RSDT", 4), xsdt);
	if (b->full) {
		return HV_E_NO_MEMORY;
	}
	*used = b->at;
	return HV_OK;
}

enum hv_status acpi_build(const struct acpi_config *config, uint8_t *image, size_t cap,
			  size_t *used)
{
	struct builder b = {.image = image, .cap = cap, .base = LAYOUT_ACPI_BASE};

	return build(&b, config, TABLES_AT, used);
}

static_assert(ACPI_LINKED_TABLES_AT == FACS_AT, "the FACS is the first of the tables");
static_assert(ACPI_LINKED_RSDP_SIZE == RSDP_V2_SIZE, "the file is the RSDP");
static_assert(LAYOUT_ACPI_SIZE <= UINT16_MAX, "offsets fit");

enum hv_status acpi_build_linked(const struct acpi_config *config, uint8_t *image, size_t cap,
				 size_t *used, struct acpi_links *links)
{
	struct builder b = {
		.image = image, .cap = cap, .base = 0u - ACPI_LINKED_TABLES_AT, .links = links};
	enum hv_status status;

	b.cap = min_u64(cap, LAYOUT_ACPI_SIZE);
	*links = (struct acpi_links){0};
	status = build(&b, config, FACS_AT + FACS_SIZE, used);
	/* Some firmware puts the sum there, some subtracts it: both are right from 0. */
	for (unsigned i = 0; status == HV_OK && i < links->checksum_count; i++) {
		image[links->checksums[i].at] = 0;
	}
	return status;
}
