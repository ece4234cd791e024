/* SPDX-License-Identifier: Apache-2.0 */
/* The Multiboot loader: placement, the information structure as a kernel reads it, entry state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guests/loaders/multiboot.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/cpu/regs.h"

#define MEMORY_BYTES MIB(64)

static uint8_t file[8192];
static uint8_t *memory;
static struct e820_map map;
static struct multiboot_source src;
static struct multiboot_plan plan;
static struct load_error err;

static void poke(size_t at, uint64_t value, size_t size)
{
	memcpy(file + at, &value, size);
}

/* A file that is one segment: load address, bytes in the file, bytes in memory. */
static void put_kernel(uint32_t load, uint32_t file_bytes, uint32_t memory_bytes)
{
	const uint32_t words[] = {
		MULTIBOOT_HEADER_MAGIC,
		MULTIBOOT_AOUT_KLUDGE,
		0u - MULTIBOOT_HEADER_MAGIC - MULTIBOOT_AOUT_KLUDGE,
		load,
		load,
		load + file_bytes,
		load + memory_bytes,
		load + 0x20,
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		poke(i * 4, words[i], 4);
	}
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(file); i++) {
		file[i] = (uint8_t)(i * 5 + 1);
	}
	put_kernel(0x100000, 0x1000, 0x3456);
	assert_int_equal(e820_build(MEMORY_BYTES, &map), HV_OK);
	memory = calloc(1, MEMORY_BYTES);
	src = (struct multiboot_source){
		.kernel = file, .kernel_size = sizeof(file), .cmdline = "a b=c", .map = &map};
	return memory == NULL;
}

static int teardown(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static enum hv_status write_memory(void *ctx, uint64_t gpa, const void *from, size_t n)
{
	(void)ctx;
	assert_true(gpa + n <= MEMORY_BYTES);
	memcpy(memory + gpa, from, n);
	return HV_OK;
}

static void load(void)
{
	const struct guest_writer writer = {write_memory, NULL};
	struct load_progress progress = {0, 0};
	bool done = false;

	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_OK);
	assert_string_equal(err.text, "");
	while (!done) {
		assert_int_equal(multiboot_load_step(&plan, &progress, 512, &writer, &done), HV_OK);
	}
}

static uint64_t number(uint64_t at, size_t size)
{
	uint64_t v = 0;

	assert_true(at + size <= MEMORY_BYTES);
	memcpy(&v, memory + at, size);
	return v;
}

static const char *string_at(uint64_t pointer)
{
	return (const char *)memory + number(pointer, 4);
}

/* ---------------------------------------------------------------- what a kernel reads */

static void the_kernel_is_where_it_wants_to_be(void **state)
{
	(void)state;
	load();
	assert_memory_equal(memory + 0x100000, file, 0x1000);
	assert_int_equal(memory[0x101000], 0);
	assert_int_equal(plan.entry, 0x100020);
}

static void the_information_is_complete(void **state)
{
	uint64_t info;

	(void)state;
	load();
	info = plan.parts[MULTIBOOT_PART_INFO].gpa;
	assert_int_equal(info, 0x1000);
	assert_int_equal(number(info, 4), 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(number(info + 4, 4), 639);
	assert_int_equal(number(info + 8, 4), 63 * 1024);
	assert_string_equal(string_at(info + 16), "a b=c");
	assert_int_equal(number(info + 20, 4), 0);
	assert_string_equal(string_at(info + 64), "Bulkhead");
}

static void the_memory_map_is_the_e820_map(void **state)
{
	uint64_t info;
	uint64_t at;
	unsigned i = 0;

	(void)state;
	load();
	info = plan.parts[MULTIBOOT_PART_INFO].gpa;
	at = number(info + 48, 4);
	/* As kernels walk it: by each entry's size, which does not count itself. */
	while (at < number(info + 48, 4) + number(info + 44, 4)) {
		assert_true(i < map.count);
		assert_int_equal(number(at + 4, 8), map.entries[i].base);
		assert_int_equal(number(at + 12, 8), map.entries[i].size);
		assert_int_equal(number(at + 20, 4), map.entries[i].type);
		at += number(at, 4) + 4;
		i++;
	}
	assert_int_equal(i, map.count);
}

static void modules_come_with_their_strings(void **state)
{
	static uint8_t first[5000];
	static const uint8_t second[3] = "ab";
	uint64_t info;
	uint64_t mods;

	(void)state;
	memset(first, 0x77, sizeof(first));
	src.module_count = 2;
	src.modules[0] = (struct multiboot_module){first, sizeof(first), "one with words"};
	src.modules[1] = (struct multiboot_module){second, sizeof(second), ""};
	load();
	info = plan.parts[MULTIBOOT_PART_INFO].gpa;
	assert_int_equal(number(info + 20, 4), 2);
	mods = number(info + 24, 4);
	/* The page after the kernel's bss, then the next free page. */
	assert_int_equal(number(mods, 4), 0x104000);
	assert_int_equal(number(mods + 4, 4), 0x104000 + 5000);
	assert_string_equal(string_at(mods + 8), "one with words");
	assert_memory_equal(memory + 0x104000, first, sizeof(first));
	assert_int_equal(number(mods + 16, 4), 0x106000);
	assert_int_equal(number(mods + 20, 4), 0x106003);
	assert_string_equal(string_at(mods + 24), "");
	assert_memory_equal(memory + 0x106000, second, 3);
}

/* ---------------------------------------------------------------- placing */

static void the_information_avoids_a_low_kernel(void **state)
{
	(void)state;
	put_kernel(0x1080, 0x1000, 0x9000);
	load();
	assert_int_equal(plan.parts[MULTIBOOT_PART_INFO].gpa, 0xb000);
	put_kernel(0x1000, 0x1000, 0x9ec00);
	load();
	/* No room left: above 1 MiB. */
	assert_int_equal(plan.parts[MULTIBOOT_PART_INFO].gpa, 0x100000);
}

static void a_kernel_may_lie_at_the_bottom(void **state)
{
	(void)state;
	put_kernel(0x500, 0x100, 0x100);
	load();
	assert_false(plan.low_taken);
	put_kernel(0x4ff, 0x100, 0x100);
	load();
	assert_true(plan.low_taken);
	put_kernel(0x100000, 0x100, 0x100);
	load();
	assert_false(plan.low_taken);
}

static void what_does_not_fit_is_refused(void **state)
{
	static uint8_t byte;

	(void)state;
	put_kernel(0x9f000, 0x100, 0x1000); /* into the EBDA */
	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_E_NO_MEMORY);
	assert_non_null(strstr(err.text, "0x9f000 - 0xa0000"));
	put_kernel(0x3fff000, 0x1000, 0x1001); /* past the end */
	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_E_NO_MEMORY);
	assert_non_null(strstr(err.text, "64 MiB"));
	put_kernel(0x3fff000, 0x1000, 0x1000);
	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_OK);
	src.module_count = 1;
	src.modules[0] = (struct multiboot_module){&byte, 1, ""};
	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_E_NO_MEMORY);
	assert_non_null(strstr(err.text, "module 1"));
	put_kernel(0x100000, 0x100, 0x1000);
	src.module_count = MULTIBOOT_MODULES_MAX + 1;
	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_E_RANGE);
	src.module_count = 0;
	file[8] ^= 1;
	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_E_INVALID);
}

static void modules_stay_below_4_gib(void **state)
{
	static uint8_t byte;

	(void)state;
	assert_int_equal(e820_build(GIB(8), &map), HV_OK);
	put_kernel(0xbffff000, 0x1000, 0x1000); /* the last page of RAM there */
	src.module_count = 1;
	src.modules[0] = (struct multiboot_module){&byte, 1, ""};
	assert_int_equal(multiboot_plan(&src, &plan, &err), HV_E_NO_MEMORY);
}

/* ---------------------------------------------------------------- entering */

static void the_entry_state_is_the_specifications(void **state)
{
	struct load_entry e;

	(void)state;
	load();
	multiboot_entry_state(&plan, &e);
	assert_int_equal(e.rip, 0x100020);
	assert_int_equal(e.rax, 0x2badb002);
	assert_int_equal(e.rbx, 0x1000);
	assert_int_equal(e.rsi, 0);
	assert_int_equal(e.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(e.cr4, 0);
	assert_int_equal(e.efer, 0);
	assert_int_equal(e.rflags, 2); /* interrupts off, no VM86 */
	for (unsigned i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		assert_int_equal(e.segments[i].base, 0);
		assert_int_equal(e.segments[i].limit, 0xffffffff);
		assert_int_equal(e.segments[i].attr & 0xf, i == VCPU_SEG_CS ? 0xb : 0x3);
		assert_int_equal(e.segments[i].attr & (SEG_DB | SEG_L | SEG_P | SEG_G),
				 SEG_DB | SEG_P | SEG_G);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_kernel_is_where_it_wants_to_be),	  T(the_information_is_complete),
		T(the_memory_map_is_the_e820_map),	  T(modules_come_with_their_strings),
		T(the_information_avoids_a_low_kernel),	  T(a_kernel_may_lie_at_the_bottom),
		T(what_does_not_fit_is_refused),	  T(modules_stay_below_4_gib),
		T(the_entry_state_is_the_specifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
