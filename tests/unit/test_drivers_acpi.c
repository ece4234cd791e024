/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the host's ACPI tables: a made-up machine, our own guests' tables, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "guests/layout.h"
#include "guests/tables/acpi.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"

#define BASE 0x7f000000ull
#define RAM_SIZE 0x8000u

/* Physical memory from BASE on; a bump allocator of tables. */
static uint8_t ram[RAM_SIZE];
static size_t ram_used;
static uint64_t root[16];
static unsigned root_count;
static struct acpi_info info;

/* Every mapping is its own block of exactly the size asked for, so that over-reads are seen. */
static void *blocks[512];
static unsigned block_count;

static const void *map_copy(void *ctx, uint64_t address, size_t size)
{
	uint64_t base = *(const uint64_t *)ctx;
	void *copy;

	if (address < base || !range_fits(address - base, size, RAM_SIZE)) {
		return NULL;
	}
	copy = malloc(size);
	assert_non_null(copy);
	assert_true(block_count < ARRAY_SIZE(blocks));
	blocks[block_count++] = copy;
	memcpy(copy, ram + (address - base), size);
	return copy;
}

static enum hv_status parse_at(uint64_t base, uint64_t rsdp)
{
	struct acpi_mapper mapper = {map_copy, &base};
	enum hv_status status = acpi_parse(rsdp, &mapper, &info);

	while (block_count > 0) {
		free(blocks[--block_count]);
	}
	return status;
}

static void set(size_t at, uint64_t value, size_t size)
{
	memcpy(ram + at, &value, size);
}

static void fix_sum(size_t at, size_t n, size_t sum_at)
{
	ram[at + sum_at] = 0;
	ram[at + sum_at] = (uint8_t)(0u - acpi_sum(ram + at, n));
}

/* Adds a table with this body; returns its offset. It starts at an odd address on purpose. */
static size_t add_table(const char *signature, const void *body, size_t n)
{
	size_t at = ram_used | 1;

	memset(ram + at, 0, SDT_HEADER_SIZE);
	memcpy(ram + at, signature, 4);
	set(at + SDT_LENGTH, SDT_HEADER_SIZE + n, 4);
	if (n > 0) {
		memcpy(ram + at + SDT_HEADER_SIZE, body, n);
	}
	fix_sum(at, SDT_HEADER_SIZE + n, SDT_CHECKSUM);
	ram_used = at + SDT_HEADER_SIZE + n;
	return at;
}

static size_t add_listed(const char *signature, const void *body, size_t n)
{
	size_t at = add_table(signature, body, n);

	root[root_count++] = BASE + at;
	return at;
}

/* Writes the root tables and the RSDP at BASE; returns the offsets of XSDT and RSDT. */
static void add_roots(unsigned revision, size_t *xsdt, size_t *rsdt)
{
	uint32_t root32[16];

	for (unsigned i = 0; i < root_count; i++) {
		root32[i] = (uint32_t)root[i];
	}
	*xsdt = add_table("XSDT", root, root_count * 8ul);
	*rsdt = add_table("RSDT", root32, root_count * 4ul);
	memcpy(ram, "RSD PTR ", 8);
	set(RSDP_REVISION, revision, 1);
	set(RSDP_RSDT, BASE + *rsdt, 4);
	set(RSDP_LENGTH, RSDP_V2_SIZE, 4);
	set(RSDP_XSDT, BASE + *xsdt, 8);
	fix_sum(0, RSDP_V1_SIZE, RSDP_CHECKSUM);
	fix_sum(0, RSDP_V2_SIZE, RSDP_CHECKSUM_EXT);
}

static const uint8_t madt_body[] = {
	0x00, 0x00, 0xe0, 0xfe, 1,    0,    0,	  0, /* LAPIC base, PCAT */
	0,    8,    0,	  0,	1,    0,    0,	  0, /* CPU 0 */
	0,    8,    1,	  2,	1,    0,    0,	  0, /* CPU 1, APIC id 2 */
	0,    8,    2,	  4,	0,    0,    0,	  0, /* not there */
	0,    8,    3,	  6,	2,    0,    0,	  0, /* may come later */
	0,    8,    4,	  0xff, 1,    0,    0,	  0, /* broadcast id */
	9,    16,   0,	  0,	0x00, 1,    0,	  0,	1,   0, 0, 0,
	7,    0,    0,	  0, /* x2APIC id 256 */
	9,    16,   0,	  0,	0x02, 0,    0,	  0,	1,   0, 0, 0,
	1,    0,    0,	  0,					      /* id 2 again */
	1,    12,   5,	  0,	0x00, 0x00, 0xc0, 0xfe, 0,   0, 0, 0, /* IOAPIC */
	1,    12,   6,	  0,	0x00, 0x10, 0xc0, 0xfe, 24,  0, 0, 0, /* second IOAPIC */
	0x7e, 5,    1,	  2,	3,				      /* unknown type */
	2,    10,   0,	  0,	2,    0,    0,	  0,	0,   0,	      /* timer */
	2,    10,   0,	  9,	20,   0,    0,	  0,	0xd, 0,	      /* SCI */
	3,    8,    5,	  0,	17,   0,    0,	  0,		      /* NMI source */
	4,    6,    0xff, 5,	0,    1,			      /* LINT1 of all */
	10,   12,   5,	  0,	7,    0,    0,	  0,	0,   0, 0, 0, /* LINT0 of x2APIC CPU 7 */
	2,    9,    0,	  1,	1,    0,    0,	  0,	0,	      /* override too short */
	5,    12,   0,	  0,	0,    0,    0xe0, 0xfe, 1,   0, 0, 0, /* LAPIC base, 64 bits */
};

static const uint8_t dsdt_body[] = {0x10, 0x05, '_', 'S', '5',	'_', 0x08, '_', 'S', '5',
				    '_',  0x12, 7,   4,	  0x0a, 5,   1,	   0,	0};

static size_t fadt_at;
static size_t madt_at;
static size_t mcfg_at;

static void add_fadt(size_t dsdt)
{
	uint8_t body[FADT_V4_SIZE - SDT_HEADER_SIZE] = {0};

	fadt_at = add_listed("FACP", body, sizeof(body));
	set(fadt_at + FADT_DSDT, BASE + dsdt, 4);
	set(fadt_at + FADT_SCI_INT, 9, 2);
	set(fadt_at + FADT_SMI_CMD, 0xb2, 4);
	set(fadt_at + FADT_ACPI_ENABLE, 0xa0, 1);
	set(fadt_at + FADT_PM1A_CNT, 0x404, 4);
	set(fadt_at + FADT_PM_TMR, 0x408, 4);
	set(fadt_at + FADT_PM_TMR_LEN, 4, 1);
	set(fadt_at + FADT_CENTURY, 0x32, 1);
	set(fadt_at + FADT_BOOT_ARCH, FADT_BOOT_8042, 2);
	set(fadt_at + FADT_FLAGS, FADT_FLAG_TMR_32BIT | FADT_FLAG_RESET_REG, 4);
	set(fadt_at + FADT_RESET_REG, GAS_SPACE_IO | 8 << 8, 4);
	set(fadt_at + FADT_RESET_REG + GAS_ADDRESS, 0xcf9, 8);
	set(fadt_at + FADT_RESET_VALUE, 6, 1);
	fix_sum(fadt_at, FADT_V4_SIZE, SDT_CHECKSUM);
}

static int setup(void **state)
{
	uint8_t mcfg[8 + 32] = {0};
	uint8_t hpet[20] = {0};
	size_t xsdt;
	size_t rsdt;

	(void)state;
	memset(ram, 0, sizeof(ram));
	ram_used = RSDP_V2_SIZE;
	root_count = 0;
	madt_at = add_listed("APIC", madt_body, sizeof(madt_body));
	add_fadt(add_table("DSDT", dsdt_body, sizeof(dsdt_body)));
	mcfg[8 + 3] = 0xe0;
	mcfg[8 + 11] = 0x3f;
	mcfg[24 + 3] = 0xd0;
	mcfg[24 + 8] = 1;
	mcfg[24 + 10] = 9; /* last bus below the first: ignored */
	mcfg_at = add_listed("MCFG", mcfg, sizeof(mcfg));
	hpet[10] = 0xd0;
	hpet[11] = 0xfe;
	add_listed("HPET", hpet, sizeof(hpet));
	add_listed("XYZ!", NULL, 0);
	add_roots(2, &xsdt, &rsdt);
	return 0;
}

static void check_madt(void)
{
	assert_true(info.has_madt);
	assert_true(info.has_8259);
	assert_int_equal(info.lapic_base, 0x1fee00000);
	assert_int_equal(info.cpu_count, 4);
	assert_int_equal(info.cpus[0].apic_id, 0);
	assert_int_equal(info.cpus[1].apic_id, 2);
	assert_int_equal(info.cpus[1].uid, 1);
	assert_true(info.cpus[1].enabled);
	assert_int_equal(info.cpus[2].apic_id, 6);
	assert_false(info.cpus[2].enabled);
	assert_int_equal(info.cpus[3].apic_id, 256);
	assert_int_equal(info.cpus[3].uid, 7);
	assert_int_equal(info.ioapic_count, 2);
	assert_int_equal(info.ioapics[1].base, 0xfec01000);
	assert_int_equal(info.ioapics[1].first_gsi, 24);
	assert_int_equal(info.ioapics[1].id, 6);
	assert_int_equal(info.override_count, 2);
	assert_int_equal(info.overrides[1].irq, 9);
	assert_int_equal(info.overrides[1].gsi, 20);
	assert_int_equal(info.overrides[1].flags, 0xd);
	assert_int_equal(info.nmi_source_count, 1);
	assert_int_equal(info.nmi_sources[0].gsi, 17);
	assert_int_equal(info.lapic_nmi_count, 2);
	assert_int_equal(info.lapic_nmis[0].uid, ACPI_ALL_CPUS);
	assert_int_equal(info.lapic_nmis[0].lint, 1);
	assert_int_equal(info.lapic_nmis[1].uid, 7);
	assert_int_equal(info.lapic_nmis[1].lint, 0);
}

static void check_rest(void)
{
	assert_true(info.fixed.present);
	assert_false(info.fixed.hw_reduced);
	assert_int_equal(info.fixed.pm1a_control.address, 0x404);
	assert_true(info.fixed.pm1a_control.io);
	assert_int_equal(info.fixed.pm1b_control.address, 0);
	assert_int_equal(info.fixed.pm_timer.address, 0x408);
	assert_true(info.fixed.pm_timer_32bit);
	assert_int_equal(info.fixed.reset.address, 0xcf9);
	assert_int_equal(info.fixed.reset_value, 6);
	assert_int_equal(info.fixed.smi_command, 0xb2);
	assert_int_equal(info.fixed.acpi_enable, 0xa0);
	assert_int_equal(info.fixed.century, 0x32);
	assert_int_equal(info.fixed.sci, 9);
	assert_true(info.fixed.has_s5);
	assert_int_equal(info.fixed.s5_type_a, 5);
	assert_int_equal(info.fixed.s5_type_b, 1);
	assert_int_equal(info.ecam_count, 1);
	assert_int_equal(info.ecams[0].base, 0xe0000000);
	assert_int_equal(info.ecams[0].bus_last, 0x3f);
	assert_int_equal(info.hpet_base, 0xfed00000);
}

static void test_reads_everything(void **state)
{
	(void)state;
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	check_madt();
	check_rest();
}

static void test_rsdt_when_there_is_no_xsdt(void **state)
{
	(void)state;
	set(RSDP_REVISION, 0, 1);
	set(RSDP_LENGTH, 0xffffffff, 4); /* not part of revision 0 */
	fix_sum(0, RSDP_V1_SIZE, RSDP_CHECKSUM);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	check_madt();
	check_rest();
}

static void test_rsdt_when_the_xsdt_is_broken(void **state)
{
	size_t xsdt = 0;

	(void)state;
	memcpy(&xsdt, ram + RSDP_XSDT, 8);
	ram[xsdt - BASE + SDT_HEADER_SIZE] ^= 1;
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	check_madt();
	ram[xsdt - BASE + SDT_HEADER_SIZE] ^= 1;
	/* Likewise when the extended part of the RSDP is. */
	ram[RSDP_CHECKSUM_EXT] ^= 1;
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	check_rest();
}

static void test_no_tables(void **state)
{
	(void)state;
	assert_int_equal(parse_at(BASE, 0), HV_E_NOT_FOUND);
	assert_int_equal(parse_at(BASE, 0x1000), HV_E_NOT_FOUND);
	assert_int_equal(parse_at(BASE, UINT64_MAX - 3), HV_E_NOT_FOUND);
	ram[0] ^= 1;
	assert_int_equal(parse_at(BASE, BASE), HV_E_INVALID);
	ram[0] ^= 1;
	set(RSDP_RSDT, 0, 4);
	set(RSDP_XSDT, 0, 8);
	fix_sum(0, RSDP_V1_SIZE, RSDP_CHECKSUM);
	fix_sum(0, RSDP_V2_SIZE, RSDP_CHECKSUM_EXT);
	assert_int_equal(parse_at(BASE, BASE), HV_E_INVALID);
	assert_int_equal(info.cpu_count, 0);
}

static void test_a_broken_table_is_left_out(void **state)
{
	(void)state;
	ram[madt_at + 50] ^= 1;
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_false(info.has_madt);
	check_rest();
	ram[madt_at + 50] ^= 1;
	set(madt_at + SDT_LENGTH, 0x7fffffff, 4);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_false(info.has_madt);
	set(madt_at + SDT_LENGTH, 8, 4);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_false(info.has_madt);
}

static void test_madt_entries_that_overrun(void **state)
{
	static const uint8_t lengths[] = {0, 1, 9, 0xff};

	(void)state;
	for (unsigned i = 0; i < sizeof(lengths); i++) {
		/* The last entry of the table claims this length. */
		size_t last = madt_at + SDT_HEADER_SIZE + sizeof(madt_body) - 12;

		ram[last + 1] = lengths[i];
		fix_sum(madt_at, SDT_HEADER_SIZE + sizeof(madt_body), SDT_CHECKSUM);
		assert_int_equal(parse_at(BASE, BASE), HV_OK);
		assert_int_equal(info.cpu_count, 4);
		assert_int_equal(info.lapic_base, 0xfee00000);
	}
}

static void test_extended_fields_win(void **state)
{
	(void)state;
	set(fadt_at + FADT_X_PM1A_CNT, GAS_SPACE_IO | 16 << 8, 4);
	set(fadt_at + FADT_X_PM1A_CNT + GAS_ADDRESS, 0x1804, 8);
	set(fadt_at + FADT_X_PM_TMR, GAS_SPACE_MEMORY | 32 << 8, 4);
	set(fadt_at + FADT_X_PM_TMR + GAS_ADDRESS, 0x1fe000000, 8);
	/* No port is that large: the old field stands. */
	set(fadt_at + FADT_X_PM1B_CNT, GAS_SPACE_IO, 4);
	set(fadt_at + FADT_X_PM1B_CNT + GAS_ADDRESS, 0x10000, 8);
	set(fadt_at + FADT_PM1B_CNT, 0x444, 4);
	fix_sum(fadt_at, FADT_V4_SIZE, SDT_CHECKSUM);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_int_equal(info.fixed.pm1a_control.address, 0x1804);
	assert_int_equal(info.fixed.pm_timer.address, 0x1fe000000);
	assert_false(info.fixed.pm_timer.io);
	assert_int_equal(info.fixed.pm1b_control.address, 0x444);
}

static void test_short_fadt(void **state)
{
	(void)state;
	/* ACPI 1.0: nothing behind the flags. */
	set(fadt_at + SDT_LENGTH, FADT_V1_SIZE, 4);
	fix_sum(fadt_at, FADT_V1_SIZE, SDT_CHECKSUM);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_int_equal(info.fixed.pm1a_control.address, 0x404);
	assert_int_equal(info.fixed.reset.address, 0);
	assert_true(info.fixed.has_s5);
}

static void test_many_cpus(void **state)
{
	static uint8_t body[8 + 300 * 16];
	size_t xsdt;
	size_t rsdt;

	(void)state;
	memset(ram, 0, sizeof(ram));
	ram_used = RSDP_V2_SIZE;
	root_count = 0;
	for (unsigned i = 0; i < 300; i++) {
		uint8_t *e = body + 8 + (size_t)i * 16;

		e[0] = MADT_TYPE_X2APIC;
		e[1] = 16;
		e[4] = (uint8_t)i;
		e[5] = (uint8_t)(i >> 8);
		e[8] = 1;
	}
	add_listed("APIC", body, sizeof(body));
	add_roots(2, &xsdt, &rsdt);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_int_equal(info.cpu_count, ACPI_CPUS_MAX);
	assert_int_equal(info.cpus_dropped, 300 - ACPI_CPUS_MAX);
	assert_int_equal(info.cpus[255].apic_id, 255);
	assert_false(info.fixed.present);
	/* Room goes to processors that are there. */
	for (unsigned i = 100; i < 150; i++) {
		body[8 + (size_t)i * 16 + 8] = MADT_CPU_ONLINE_CAPABLE;
	}
	ram_used = RSDP_V2_SIZE;
	root_count = 0;
	add_listed("APIC", body, sizeof(body));
	add_roots(2, &xsdt, &rsdt);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_int_equal(info.cpu_count, ACPI_CPUS_MAX);
	assert_int_equal(info.cpus_dropped, 0);
	for (unsigned i = 150; i < 300; i++) {
		bool found = false;

		for (unsigned j = 0; j < info.cpu_count; j++) {
			found = found || (info.cpus[j].apic_id == i && info.cpus[j].enabled);
		}
		assert_true(found);
	}
}

/* As a local APIC it may come later, as a local x2APIC it is there: it is there. */
static void test_one_cpu_in_two_entries(void **state)
{
	static const uint8_t body[] = {
		0, 0,  0, 0, 0,	   0,	 0,    0,			     /* flags: none */
		0, 8,  1, 7, 2,	   0,	 0,    0,			     /* online capable */
		9, 16, 0, 0, 7,	   0,	 0,    0,    1, 0, 0, 0, 1, 0, 0, 0, /* enabled */
		9, 16, 0, 0, 8,	   0,	 0,    0,    1, 0, 0, 0, 2, 0, 0, 0, /* enabled */
		0, 8,  2, 8, 2,	   0,	 0,    0,			     /* online capable */
		9, 16, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 3, 0, 0, 0, /* all */
	};
	size_t xsdt;
	size_t rsdt;

	(void)state;
	ram_used = RSDP_V2_SIZE;
	root_count = 0;
	add_listed("APIC", body, sizeof(body));
	add_roots(2, &xsdt, &rsdt);
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	assert_int_equal(info.cpu_count, 2);
	assert_true(info.cpus[0].enabled && info.cpus[1].enabled);
}

/* What we tell guests, read as a host would. */
static void test_reads_our_own_guests_tables(void **state)
{
	const struct acpi_config config = {.vcpu_count = 3, .serial = true};
	size_t used;

	(void)state;
	assert_int_equal(acpi_build(&config, ram, sizeof(ram), &used), HV_OK);
	assert_int_equal(parse_at(LAYOUT_ACPI_BASE, GUEST_RSDP), HV_OK);
	assert_int_equal(info.cpu_count, 3);
	assert_int_equal(info.cpus[2].apic_id, 2);
	assert_int_equal(info.ioapics[0].base, LAYOUT_IOAPIC_BASE);
	assert_int_equal(info.override_count, 2);
	assert_int_equal(info.overrides[0].gsi, LAYOUT_GSI_TIMER);
	assert_int_equal(info.fixed.pm1a_control.address, LAYOUT_PM1_CNT);
	assert_int_equal(info.fixed.pm_timer.address, LAYOUT_PM_TMR);
	assert_int_equal(info.fixed.reset.address, LAYOUT_RESET_PORT);
	assert_true(info.fixed.has_s5);
	assert_int_equal(info.fixed.s5_type_a, LAYOUT_SLP_TYP_S5);
	assert_int_equal(info.ecams[0].base, LAYOUT_ECAM_BASE);
	assert_int_equal(info.hpet_base, 0);
}

/* Any single wrong byte, with and without a repaired sum, harms nobody. */
static void test_every_byte_wrong_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ram_used; i++) {
		uint8_t before = ram[i];

		ram[i] = (uint8_t)~before;
		(void)parse_at(BASE, BASE);
		assert_true(info.cpu_count <= 4 && info.ecam_count <= 2);
		if (i >= madt_at && i < madt_at + SDT_HEADER_SIZE + sizeof(madt_body)) {
			uint8_t sum = ram[madt_at + SDT_CHECKSUM];

			fix_sum(madt_at, SDT_HEADER_SIZE + sizeof(madt_body), SDT_CHECKSUM);
			(void)parse_at(BASE, BASE);
			ram[madt_at + SDT_CHECKSUM] = sum;
		}
		ram[i] = before;
	}
	assert_int_equal(parse_at(BASE, BASE), HV_OK);
	check_madt();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reads_everything, setup),
		cmocka_unit_test_setup(test_rsdt_when_there_is_no_xsdt, setup),
		cmocka_unit_test_setup(test_rsdt_when_the_xsdt_is_broken, setup),
		cmocka_unit_test_setup(test_no_tables, setup),
		cmocka_unit_test_setup(test_a_broken_table_is_left_out, setup),
		cmocka_unit_test_setup(test_madt_entries_that_overrun, setup),
		cmocka_unit_test_setup(test_extended_fields_win, setup),
		cmocka_unit_test_setup(test_short_fadt, setup),
		cmocka_unit_test_setup(test_many_cpus, setup),
		cmocka_unit_test_setup(test_one_cpu_in_two_entries, setup),
		cmocka_unit_test_setup(test_reads_our_own_guests_tables, setup),
		cmocka_unit_test_setup(test_every_byte_wrong_once, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
