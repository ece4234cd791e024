/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's ACPI tables: reachable, summed, bounded, and saying what the machine is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "guests/tables/acpi.h"
#include "guests/tables/dsdt.h"
#include "guests/tables/e820.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"

static uint8_t image[LAYOUT_ACPI_SIZE];
static size_t used;

static const struct acpi_config full = {
	.vcpu_count = 3,
	.serial = true,
	.mouse = true,
};

static void build(const struct acpi_config *m)
{
	memset(image, 0xee, sizeof(image));
	assert_int_equal(acpi_build(m, image, sizeof(image), &used), HV_OK);
}

static uint64_t get(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

/* The table at a guest-physical address, checked for bounds, sum and signature. */
static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
	const uint8_t *t;
	size_t n;

	assert_in_range(gpa, LAYOUT_ACPI_BASE + LAYOUT_ACPI_NVS_SIZE, LAYOUT_ACPI_BASE + used - 36);
	t = image + (gpa - LAYOUT_ACPI_BASE);
	n = get(t + SDT_LENGTH, 4);
	assert_true(range_fits(gpa - LAYOUT_ACPI_BASE, n, used));
	assert_int_equal(acpi_sum(t, n), 0);
	if (signature != NULL) {
		assert_memory_equal(t, signature, 4);
	}
	return t;
}

/* Found as an OS does: RSDP, XSDT (and the same through the RSDT). */
static const uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = table_at(get(image + RSDP_XSDT, 8), "XSDT");
	const uint8_t *rsdt = table_at(get(image + RSDP_RSDT, 4), "RSDT");
	size_t count = (get(xsdt + SDT_LENGTH, 4) - SDT_HEADER_SIZE) / 8;

	assert_int_equal((get(rsdt + SDT_LENGTH, 4) - SDT_HEADER_SIZE) / 4, count);
	for (size_t i = 0; i < count; i++) {
		uint64_t gpa = get(xsdt + SDT_HEADER_SIZE + i * 8, 8);

		assert_int_equal(get(rsdt + SDT_HEADER_SIZE + i * 4, 4), gpa);
		if (memcmp(table_at(gpa, NULL), signature, 4) == 0) {
			return table_at(gpa, signature);
		}
	}
	fail_msg("no %s", signature);
	return NULL;
}

static void test_rsdp_and_facs(void **state)
{
	const uint8_t *fadt;
	uint64_t facs;

	(void)state;
	build(&full);
	assert_memory_equal(image, "RSD PTR ", 8);
	assert_int_equal(acpi_sum(image, RSDP_V1_SIZE), 0);
	assert_int_equal(acpi_sum(image, RSDP_V2_SIZE), 0);
	assert_int_equal(image[RSDP_REVISION], 2);
	assert_true(GUEST_RSDP >= 0xe0000 && is_aligned(GUEST_RSDP, 16));
	fadt = find("FACP");
	facs = get(fadt + FADT_FIRMWARE_CTRL, 4);
	assert_true(is_aligned(facs, 64));
	assert_in_range(facs, LAYOUT_ACPI_BASE, LAYOUT_ACPI_BASE + LAYOUT_ACPI_NVS_SIZE - 64);
	assert_memory_equal(image + (facs - LAYOUT_ACPI_BASE), "FACS", 4);
	assert_int_equal(get(image + (facs - LAYOUT_ACPI_BASE) + 4, 4), 64);
}

static void test_fadt(void **state)
{
	const uint8_t *f;

	(void)state;
	build(&full);
	f = find("FACP");
	assert_int_equal(get(f + SDT_LENGTH, 4), 244);
	assert_int_equal(get(f + FADT_SCI_INT, 2), 9);
	assert_int_equal(get(f + FADT_SMI_CMD, 4), 0);
	assert_int_equal(get(f + FADT_PM1A_EVT, 4), 0x600);
	assert_int_equal(get(f + FADT_PM1A_CNT, 4), 0x604);
	assert_int_equal(get(f + FADT_PM_TMR, 4), 0x608);
	assert_int_equal(get(f + FADT_GPE0, 4), 0x620);
	/* Generic addresses agree with the plain ones: space, width, offset, access, port. */
	assert_int_equal(get(f + FADT_X_PM1A_EVT, 4), 0x02002001);
	assert_int_equal(get(f + FADT_X_PM1A_EVT + 4, 8), 0x600);
	assert_int_equal(get(f + FADT_X_PM1A_CNT, 4), 0x02001001);
	assert_int_equal(get(f + FADT_X_PM1A_CNT + 4, 8), 0x604);
	assert_int_equal(get(f + FADT_X_PM_TMR, 4), 0x03002001);
	assert_int_equal(get(f + FADT_X_PM_TMR + 4, 8), 0x608);
	assert_int_equal(get(f + FADT_RESET_REG, 4), 0x01000801);
	assert_int_equal(get(f + FADT_RESET_REG + 4, 8), 0xcf9);
	assert_int_equal(f[FADT_RESET_VALUE], 6);
	assert_int_equal(f[FADT_CENTURY], 0x32);
	assert_int_equal(get(f + FADT_FLAGS, 4), 0x525);
	assert_int_equal(get(f + FADT_BOOT_ARCH, 2), 7);
	table_at(get(f + FADT_DSDT, 4), "DSDT");
	assert_int_equal(get(f + FADT_X_DSDT, 8), get(f + FADT_DSDT, 4));
}

static void test_fadt_with_vga(void **state)
{
	struct acpi_config m = full;

	(void)state;
	m.vga = true;
	build(&m);
	assert_int_equal(get(find("FACP") + FADT_BOOT_ARCH, 2), 3);
}

static void test_madt(void **state)
{
	static const uint8_t tail[] = {
		1, 12, 0,    0, 0x00, 0x00, 0xc0, 0xfe, 0,   0, 0, 0, /* IOAPIC */
		2, 10, 0,    0, 2,    0,    0,	  0,	0,   0,	      /* timer */
		2, 10, 0,    9, 9,    0,    0,	  0,	0xf, 0,	      /* SCI */
		4, 6,  0xff, 0, 0,    1,			      /* LINT1 */
	};
	const uint8_t *madt;

	(void)state;
	build(&full);
	madt = find("APIC");
	assert_int_equal(get(madt + MADT_LAPIC_BASE, 4), 0xfee00000);
	assert_int_equal(get(madt + MADT_FLAGS, 4), 1);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t entry[8] = {0, 8, (uint8_t)i, (uint8_t)i, 1, 0, 0, 0};

		assert_memory_equal(madt + MADT_ENTRIES + (size_t)i * 8, entry, 8);
	}
	assert_memory_equal(madt + MADT_ENTRIES + 24, tail, sizeof(tail));
	assert_int_equal(get(madt + SDT_LENGTH, 4), MADT_ENTRIES + 24 + sizeof(tail));
}

static void test_mcfg_names_bus_0_only(void **state)
{
	const uint8_t *mcfg;

	(void)state;
	build(&full);
	mcfg = find("MCFG");
	assert_int_equal(get(mcfg + SDT_LENGTH, 4), 60);
	assert_int_equal(get(mcfg + MCFG_ENTRIES, 8), 0xe0000000);
	assert_int_equal(get(mcfg + MCFG_ENTRIES + 8, 4), 0);
}

static void test_hpet_where_there_is_one(void **state)
{
	struct acpi_config with = full;
	const uint8_t *hpet;

	(void)state;
	with.hpet = true;
	build(&with);
	hpet = find("HPET");
	assert_int_equal(get(hpet + SDT_LENGTH, 4), HPET_SIZE);
	assert_int_equal(get(hpet + 36, 4), 0x8086a201);
	assert_int_equal(get(hpet + HPET_BASE_GAS, 4), 0x00004000); /* memory, 64 bits */
	assert_int_equal(get(hpet + HPET_BASE_GAS + 4, 8), 0xfed00000);
	assert_int_equal(get(hpet + 52, 4), 286 << 8);
}

static uint32_t dsdt_flags(void)
{
	const uint8_t *dsdt = table_at(get(find("FACP") + FADT_DSDT, 4), "DSDT");

	for (size_t i = 36; i + 10 < get(dsdt + SDT_LENGTH, 4); i++) {
		if (memcmp(dsdt + i,
			   "\x08"
			   "FLGS\x0c",
			   6) == 0) {
			return (uint32_t)get(dsdt + i + 6, 4);
		}
	}
	return ~0u;
}

static void test_dsdt_tells_which_devices_are_there(void **state)
{
	struct acpi_config m = {.vcpu_count = 1};

	(void)state;
	build(&m);
	assert_int_equal(dsdt_flags(), DSDT_FLAG_KEYBOARD);
	m.serial = true;
	build(&m);
	assert_int_equal(dsdt_flags(), DSDT_FLAG_COM1 | DSDT_FLAG_KEYBOARD);
	build(&full);
	assert_int_equal(dsdt_flags(), DSDT_FLAG_COM1 | DSDT_FLAG_KEYBOARD | DSDT_FLAG_MOUSE |
					       (full.hpet ? DSDT_FLAG_HPET : 0));
	m = (struct acpi_config){.vcpu_count = 1, .hpet = true};
	build(&m);
	assert_int_equal(dsdt_flags(), DSDT_FLAG_KEYBOARD | DSDT_FLAG_HPET);
	m = (struct acpi_config){.vcpu_count = 1, .floppies = {4, 3}};
	build(&m);
	assert_int_equal(dsdt_flags(), DSDT_FLAG_KEYBOARD | 0x3400);
}

/* "QWord Address Space Descriptor": minimum, maximum, translation, length. */
static void test_dsdt_tells_the_64_bit_window(void **state)
{
	struct acpi_config m = {.vcpu_count = 1, .window64 = 0x800000000};
	const uint8_t *dsdt;
	size_t at = 36;

	(void)state;
	build(&m);
	assert_int_equal(dsdt_flags(), DSDT_FLAG_KEYBOARD | DSDT_FLAG_WINDOW64);
	dsdt = table_at(get(find("FACP") + FADT_DSDT, 4), "DSDT");
	while (memcmp(dsdt + at, "\x8a\x2b\x00\x00", 4) != 0) {
		at++;
		assert_true(at + 46 < get(dsdt + SDT_LENGTH, 4));
	}
	assert_true(get(dsdt + at + 14, 8) == 0x800000000);
	assert_true(get(dsdt + at + 22, 8) == 0xbffffffff);
	assert_true(get(dsdt + at + 30, 8) == 0);
	assert_true(get(dsdt + at + 38, 8) == 0x400000000);
}

static void test_ssdt_lists_every_cpu(void **state)
{
	static const unsigned counts[] = {1, 2, 3, 16, 64};

	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
		struct acpi_config m = full;
		const uint8_t *ssdt;
		size_t n;

		m.vcpu_count = counts[c];
		build(&m);
		ssdt = find("SSDT");
		n = get(ssdt + SDT_LENGTH, 4);
		/* The scope's package ends where the table ends. */
		assert_int_equal(ssdt[36], 0x10);
		if (ssdt[37] < 64) {
			assert_int_equal(ssdt[37], n - 37);
		} else {
			assert_int_equal((ssdt[37] & 15u) | (unsigned)ssdt[38] << 4, n - 37);
		}
		assert_int_equal(ssdt[n - 1], counts[c] - 1);
	}
}

static void test_bounds(void **state)
{
	struct acpi_config m = full;

	(void)state;
	build(&m);
	for (size_t cap = 0; cap < used; cap += cap < 4000 ? 97 : 1) {
		uint8_t *small = malloc(cap + 1);
		size_t n;

		assert_non_null(small);
		small[cap] = 0x77;
		assert_int_equal(acpi_build(&m, small, cap, &n), HV_E_NO_MEMORY);
		assert_int_equal(small[cap], 0x77);
		free(small);
	}
	m.vcpu_count = 0;
	assert_int_equal(acpi_build(&m, image, sizeof(image), &used), HV_E_RANGE);
	m.vcpu_count = ACPI_VCPUS_MAX + 1;
	assert_int_equal(acpi_build(&m, image, sizeof(image), &used), HV_E_RANGE);
	m.vcpu_count = ACPI_VCPUS_MAX;
	assert_int_equal(acpi_build(&m, image, sizeof(image), &used), HV_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsdp_and_facs),
		cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_fadt_with_vga),
		cmocka_unit_test(test_madt),
		cmocka_unit_test(test_mcfg_names_bus_0_only),
		cmocka_unit_test(test_hpet_where_there_is_one),
		cmocka_unit_test(test_dsdt_tells_which_devices_are_there),
		cmocka_unit_test(test_dsdt_tells_the_64_bit_window),
		cmocka_unit_test(test_ssdt_lists_every_cpu),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
