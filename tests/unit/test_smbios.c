/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS structures, read back as an operating system does. */
#include "guests/tables/smbios.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/addr.h"

static uint8_t tables[SMBIOS_TABLES_MAX];
static uint8_t anchor[SMBIOS_ANCHOR_SIZE];
static uint8_t uuid[SMBIOS_UUID_SIZE];
static size_t used;
static struct smbios_config config;

static int setup(void **state)
{
	(void)state;
	smbios_uuid("web", uuid);
	config = (struct smbios_config){
		.name = "web",
		.uuid = uuid,
		.vcpu_count = 3,
		.cpu_signature = 0x00a20f10,
		.cpu_features = 0x178bfbff,
		.ram_below_4g = MIB(640),
	};
	memset(tables, 0xee, sizeof(tables));
	return 0;
}

static void build(void)
{
	assert_int_equal(smbios_build(&config, tables, sizeof(tables), &used, anchor), HV_OK);
}

static uint64_t get(const uint8_t *from, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, from, size);
	return value;
}

/* The structure behind this one. */
static const uint8_t *next(const uint8_t *s)
{
	s += s[1];
	while (s[0] != 0 || s[1] != 0) {
		s++;
	}
	return s + 2;
}

static const uint8_t *find(unsigned type, unsigned index)
{
	for (const uint8_t *s = tables; s < tables + used; s = next(s)) {
		if (s[0] == type && index-- == 0) {
			return s;
		}
	}
	return NULL;
}

static const char *string(const uint8_t *s, unsigned at)
{
	const char *text = (const char *)s + s[1];

	for (unsigned i = 1; i < s[at]; i++) {
		text += strlen(text) + 1;
	}
	return text;
}

static uint8_t sum(const uint8_t *bytes, size_t n)
{
	uint8_t total = 0;

	for (size_t i = 0; i < n; i++) {
		total = (uint8_t)(total + bytes[i]);
	}
	return total;
}

static void test_anchor(void **state)
{
	unsigned count = 0;
	size_t largest = 0;

	(void)state;
	build();
	assert_memory_equal(anchor, "_SM_", 4);
	assert_memory_equal(anchor + 16, "_DMI_", 5);
	assert_int_equal(sum(anchor, SMBIOS_ANCHOR_SIZE), 0);
	assert_int_equal(sum(anchor + 16, 15), 0);
	assert_int_equal(anchor[6] << 8 | anchor[7], 0x0208);
	assert_int_equal(get(anchor + 22, 2), used);
	assert_int_equal(get(anchor + 24, 4), 0);
	for (const uint8_t *s = tables; s < tables + used; s = next(s)) {
		largest = (size_t)(next(s) - s) > largest ? (size_t)(next(s) - s) : largest;
		count++;
	}
	assert_int_equal(get(anchor + 28, 2), count);
	assert_int_equal(get(anchor + 8, 2), largest);
}

/* Lengths as the specification has them for version 2.8. */
static void test_structures(void **state)
{
	static const uint8_t expected[][2] = {{0, 0x18},  {1, 0x1b},  {3, 0x16},
					      {4, 0x2a},  {16, 0x17}, {17, 0x28},
					      {19, 0x1f}, {32, 0x0b}, {127, 4}};
	const uint8_t *s = tables;

	(void)state;
	build();
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++, s = next(s)) {
		assert_int_equal(s[0], expected[i][0]);
		assert_int_equal(s[1], expected[i][1]);
		assert_int_equal(get(s + 2, 2), expected[i][0] << 8);
	}
	assert_ptr_equal(s, tables + used);
}

static void test_contents(void **state)
{
	(void)state;
	config.ram_below_4g = GIB(2);
	config.ram_above_4g = GIB(1);
	build();
	assert_string_equal(string(find(0, 0), 4), "Bulkhead");
	assert_string_equal(string(find(1, 0), 5), "Virtual machine");
	assert_string_equal(string(find(1, 0), 7), "web");
	assert_memory_equal(find(1, 0) + 8, uuid, SMBIOS_UUID_SIZE);
	assert_int_equal(get(find(4, 0) + 8, 4), 0x00a20f10);
	assert_int_equal(find(4, 0)[0x23], 3);
	assert_int_equal(get(find(16, 0) + 0x0f, 8), GIB(3));
	assert_int_equal(get(find(17, 0) + 0x0c, 2), 3072);
	assert_int_equal(get(find(19, 0) + 0x17, 8), GIB(2) - 1);
	assert_int_equal(get(find(19, 1) + 0x0f, 8), GIB(4));
	assert_int_equal(get(find(19, 1) + 0x17, 8), GIB(5) - 1);
	/* A BIOS, in a virtual machine. */
	assert_int_equal(find(0, 0)[0x13] & 0x18, 0x10);
	config.uefi = true;
	build();
	assert_int_equal(find(0, 0)[0x13] & 0x18, 0x18);
}

static void test_much_memory(void **state)
{
	(void)state;
	config.ram_above_4g = GIB(100);
	build();
	assert_int_equal(get(find(17, 0) + 0x0c, 2), 0x7fff);
	assert_int_equal(get(find(17, 0) + 0x1c, 4), 100 * 1024 + 640);
}

static void test_limits(void **state)
{
	char name[200];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	config.name = name;
	build();
	assert_int_equal(strlen(string(find(1, 0), 7)), 63);
	for (size_t cap = 0; cap < used; cap++) {
		size_t n = 0;

		assert_int_equal(smbios_build(&config, tables, cap, &n, anchor), HV_E_NO_MEMORY);
	}
}

static void test_uuid(void **state)
{
	uint8_t other[SMBIOS_UUID_SIZE];

	(void)state;
	smbios_uuid("web", other);
	assert_memory_equal(uuid, other, sizeof(other));
	smbios_uuid("wec", other);
	assert_memory_not_equal(uuid, other, sizeof(other));
	assert_int_equal(uuid[7] >> 4, 8);
	assert_int_equal(uuid[8] >> 6, 2);
}

/* "Processor Characteristics": 64-bit, and whether there are several cores. */
static void test_processor(void **state)
{
	(void)state;
	build();
	assert_int_equal(get(find(4, 0) + 0x23, 3), 0x030303);
	assert_int_equal(get(find(4, 0) + 0x26, 2), 0x0c);
	config.vcpu_count = 1;
	build();
	assert_int_equal(get(find(4, 0) + 0x26, 2), 0x04);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_anchor, setup),
		cmocka_unit_test_setup(test_structures, setup),
		cmocka_unit_test_setup(test_processor, setup),
		cmocka_unit_test_setup(test_contents, setup),
		cmocka_unit_test_setup(test_much_memory, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_uuid, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
