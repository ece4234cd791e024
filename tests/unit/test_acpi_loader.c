/* SPDX-License-Identifier: Apache-2.0 */
/* The table loader's script, carried out as firmware does, both ways of doing checksums. */
#include "guests/tables/acpi_loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guests/tables/dsdt.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"

#define RSDP_ADDRESS 0xf5000u
#define TABLES_ADDRESS 0x1fffe000u

static uint8_t image[LAYOUT_ACPI_SIZE];
static uint8_t script[ACPI_LOADER_SIZE_MAX];
static struct acpi_links links;
static size_t image_size;
static size_t script_size;
static bool subtracts;

/* A file and where firmware has put it. */
struct file {
	uint8_t *bytes;
	size_t size;
	uint32_t address;
	unsigned allocations;
};

static struct file rsdp;
static struct file tables;

static const struct acpi_config config = {.vcpu_count = 3,
					  .serial = true,
					  .window32 = 0xc0000000,
					  .window32_size = 0x3ec00000,
					  .window64 = 0x800000000,
					  .window64_size = 0x40000000,
					  .ecam_base = 0xb0000000,
					  .no_s3 = true};

static uint32_t get(const uint8_t *from, size_t size)
{
	uint32_t value = 0;

	memcpy(&value, from, size);
	return value;
}

static struct file *file_of(const uint8_t *name)
{
	assert_non_null(memchr(name, 0, ACPI_LOADER_NAME_MAX));
	if (strcmp((const char *)name, "etc/acpi/rsdp") == 0) {
		return &rsdp;
	}
	assert_string_equal((const char *)name, "etc/acpi/tables");
	return &tables;
}

static void allocate(const uint8_t *e)
{
	struct file *f = file_of(e + 4);

	f->allocations++;
	assert_int_equal(f->address % get(e + 60, 4), 0);
	assert_int_equal(e[64], f == &rsdp ? ACPI_LOADER_ZONE_FSEG : ACPI_LOADER_ZONE_HIGH);
}

static void add_pointer(const uint8_t *e)
{
	struct file *at = file_of(e + 4);
	const struct file *to = file_of(e + 60);
	uint32_t offset = get(e + 116, 4);
	uint8_t size = e[120];
	uint64_t value = 0;

	assert_int_equal(to->allocations, 1);
	assert_true(size == 4 || size == 8);
	assert_true(offset + size <= at->size);
	memcpy(&value, at->bytes + offset, size);
	assert_true(value < to->size);
	value += to->address;
	memcpy(at->bytes + offset, &value, size);
}

static void add_checksum(const uint8_t *e)
{
	struct file *f = file_of(e + 4);
	uint32_t offset = get(e + 60, 4);
	uint32_t start = get(e + 64, 4);
	uint32_t length = get(e + 68, 4);
	uint8_t sum = 0;

	assert_true(start + length <= f->size && offset >= start && offset < start + length);
	for (uint32_t i = 0; i < length; i++) {
		sum = (uint8_t)(sum + f->bytes[start + i]);
	}
	f->bytes[offset] = (uint8_t)(subtracts ? f->bytes[offset] - sum : -sum);
}

static void run(void)
{
	for (size_t at = 0; at < script_size; at += ACPI_LOADER_ENTRY) {
		switch (get(script + at, 4)) {
		case ACPI_LOADER_ALLOCATE:
			allocate(script + at);
			break;
		case ACPI_LOADER_ADD_POINTER:
			add_pointer(script + at);
			break;
		case ACPI_LOADER_ADD_CHECKSUM:
			add_checksum(script + at);
			break;
		default:
			fail_msg("command %u", get(script + at, 4));
		}
	}
}

static void load(void)
{
	memset(image, 0xee, sizeof(image));
	assert_int_equal(acpi_build_linked(&config, image, sizeof(image), &image_size, &links),
			 HV_OK);
	script_size = acpi_loader_build(&links, script);
	assert_true(script_size <= sizeof(script));
	assert_int_equal(script_size % ACPI_LOADER_ENTRY, 0);
	rsdp = (struct file){image, ACPI_LINKED_RSDP_SIZE, RSDP_ADDRESS, 0};
	tables = (struct file){image + ACPI_LINKED_TABLES_AT, image_size - ACPI_LINKED_TABLES_AT,
			       TABLES_ADDRESS, 0};
	run();
}

static const uint8_t *at_address(uint32_t address)
{
	assert_in_range(address, TABLES_ADDRESS, TABLES_ADDRESS + tables.size - 36);
	return tables.bytes + (address - TABLES_ADDRESS);
}

/* A table with that signature, checked. */
static const uint8_t *table(uint32_t address, const char *signature)
{
	const uint8_t *t = at_address(address);

	assert_memory_equal(t, signature, 4);
	assert_int_equal(acpi_sum(t, get(t + SDT_LENGTH, 4)), 0);
	return t;
}

/* What the XSDT lists, and the RSDT the same. */
static const uint8_t *listed(unsigned index, const char *signature)
{
	const uint8_t *xsdt = table(get(image + RSDP_XSDT, 4), "XSDT");
	const uint8_t *rsdt = table(get(image + RSDP_RSDT, 4), "RSDT");
	uint32_t address = get(xsdt + SDT_HEADER_SIZE + index * 8, 4);

	assert_int_equal(get(rsdt + SDT_HEADER_SIZE + index * 4, 4), address);
	return table(address, signature);
}

static void test_tables_are_reachable(void **state)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG", "WAET", "SSDT"};
	const uint8_t *fadt;

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		subtracts = way != 0;
		load();
		assert_int_equal(acpi_sum(image, RSDP_V1_SIZE), 0);
		assert_int_equal(acpi_sum(image, RSDP_V2_SIZE), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
			(void)listed(i, names[i]);
		}
		fadt = listed(0, "FACP");
		(void)table(get(fadt + FADT_DSDT, 4), "DSDT");
		assert_int_equal(get(fadt + FADT_DSDT, 4), get(fadt + FADT_X_DSDT, 4));
		assert_memory_equal(at_address(get(fadt + FADT_FIRMWARE_CTRL, 4)), "FACS", 4);
		assert_int_equal(get(fadt + FADT_FIRMWARE_CTRL, 4) % 64, 0);
	}
}

/* How often these bytes are in the DSDT; *at is the last one. */
static unsigned occurrences(const void *bytes, size_t n, const uint8_t **at)
{
	const uint8_t *dsdt = table(get(listed(0, "FACP") + FADT_DSDT, 4), "DSDT");
	unsigned count = 0;

	for (size_t i = 0; i + n <= get(dsdt + SDT_LENGTH, 4); i++) {
		if (memcmp(dsdt + i, bytes, n) == 0) {
			*at = dsdt + i;
			count++;
		}
	}
	return count;
}

static void test_tables_follow_the_firmware(void **state)
{
	static const uint8_t dword[] = {0x87, 0x17, 0, 0, 0x0c, 0x01};
	static const uint8_t vga[] = {0x87, 0x17, 0, 0, 0x0c, 0x03};
	static const uint8_t qword[] = {0x8a, 0x2b, 0, 0};
	static const uint8_t fixed[] = {0x86, 0x09, 0, 1, 0, 0, 0, 0xb0, 0, 0, 0x10, 0};
	const uint8_t *at = NULL;

	(void)state;
	load();
	assert_int_equal(get(listed(2, "MCFG") + MCFG_ENTRIES, 4), 0xb0000000);
	assert_int_equal(occurrences(fixed, sizeof(fixed), &at), 1);
	assert_int_equal(occurrences(dword, sizeof(dword), &at), 2);
	assert_int_equal(get(at + 10, 4), 0xc0000000);
	assert_int_equal(get(at + 14, 4), 0xfebfffff);
	assert_int_equal(get(at + 22, 4), 0x3ec00000);
	assert_int_equal(occurrences(vga, sizeof(vga), &at), 2);
	assert_int_equal(get(at + 10, 4), LAYOUT_VIDEO_BASE);
	assert_int_equal(occurrences(qword, sizeof(qword), &at), 1);
	assert_int_equal(get(at + 14, 4), 0);
	assert_int_equal(get(at + 18, 4), 8);
	assert_int_equal(get(at + 38, 4), 0x40000000);
	assert_int_equal(occurrences("_S3_", 4, &at), 0);
	assert_int_equal(occurrences("_S5_", 4, &at), 1);
}

static void test_size_does_not_depend_on_places(void **state)
{
	struct acpi_config other = config;
	size_t size = 0;
	uint8_t before[sizeof(script)];

	(void)state;
	load();
	memcpy(before, script, sizeof(before));
	other.ecam_base = 0xe0000000;
	other.window64 = 0;
	assert_int_equal(acpi_build_linked(&other, image, sizeof(image), &size, &links), HV_OK);
	assert_int_equal(size, image_size);
	assert_int_equal(acpi_loader_build(&links, script), script_size);
	assert_memory_equal(script, before, script_size);
}

static void test_errors(void **state)
{
	struct acpi_config none = {.vcpu_count = 0};
	size_t size = 0;

	(void)state;
	assert_int_equal(acpi_build_linked(&none, image, sizeof(image), &size, &links), HV_E_RANGE);
	for (size_t cap = 0; cap < image_size; cap += 7) {
		assert_int_equal(acpi_build_linked(&config, image, cap, &size, &links),
				 HV_E_NO_MEMORY);
	}
	/* As many CPUs as there can be fit. */
	none = config;
	none.vcpu_count = ACPI_VCPUS_MAX;
	assert_int_equal(acpi_build_linked(&none, image, sizeof(image), &size, &links), HV_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_are_reachable),
		cmocka_unit_test(test_tables_follow_the_firmware),
		cmocka_unit_test(test_size_does_not_depend_on_places),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
