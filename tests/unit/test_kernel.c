/* SPDX-License-Identifier: Apache-2.0 */
/* Which loader takes a file, and that all steps then go to that one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guests/loaders/kernel.h"
#include "hv/base/addr.h"
#include "tests/fakes/vm_rig.h"

static uint8_t multiboot[4096];
static uint8_t initrd[16];
static struct e820_map map;
static struct load_error err;
static struct kernel_plan plan;
static uint64_t written;

static enum hv_status count(void *ctx, uint64_t gpa, const void *src, size_t n)
{
	(void)ctx;
	(void)gpa;
	(void)src;
	written += n;
	return HV_OK;
}

static struct kernel_source source(const void *kernel, uint64_t size)
{
	return (struct kernel_source){
		.kernel = kernel,
		.kernel_size = size,
		.initrd = initrd,
		.initrd_size = sizeof(initrd),
		.cmdline = "x",
		.map = &map,
	};
}

static int setup(void **state)
{
	const uint32_t words[] = {0x1badb002, 1u << 16, 0u - 0x1badb002 - (1u << 16),
				  0x100000,   0x100000, 0x101000,
				  0x101000,   0x100020};

	(void)state;
	memcpy(multiboot, words, sizeof(words));
	return e820_build(MIB(64), &map) == HV_OK ? 0 : -1;
}

static void load_all(void)
{
	const struct guest_writer writer = {count, NULL};
	struct load_progress progress = {0, 0};
	bool done = false;

	written = 0;
	while (!done) {
		assert_int_equal(kernel_load_step(&plan, &progress, 4096, &writer, &done), HV_OK);
	}
}

static uint64_t bytes_of(const struct linux_plan *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LINUX_PART_COUNT; i++) {
		sum += p->parts[i].size;
	}
	return sum;
}

static void a_bzimage_is_booted_as_linux(void **state)
{
	struct guest_file file = vm_rig_kernel();
	struct kernel_source src = source(file.data, file.size);
	struct load_entry e;

	(void)state;
	assert_int_equal(kernel_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.kind, KERNEL_LINUX);
	assert_false(kernel_expects_bios(&plan));
	load_all();
	assert_int_equal(written, bytes_of(&plan.bzimage));
	kernel_entry_state(&plan, &e);
	assert_int_equal(e.rsi, plan.bzimage.parts[LINUX_PART_BOOT_PARAMS].gpa);
	/* One with a Multiboot header somewhere stays a bzImage. */
	memcpy((uint8_t *)(uintptr_t)file.data + 1024, multiboot, 32);
	assert_int_equal(kernel_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.kind, KERNEL_LINUX);
}

static void modules_are_not_for_linux(void **state)
{
	const struct multiboot_module module = {initrd, 1, "m"};
	struct guest_file file = vm_rig_kernel();
	struct kernel_source src = source(file.data, file.size);

	(void)state;
	src.modules = &module;
	src.module_count = 1;
	assert_int_equal(kernel_plan(&src, &plan, &err), HV_E_INVALID);
	assert_non_null(strstr(err.text, "module = is for Multiboot kernels"));
}

static void the_initrd_is_the_first_module(void **state)
{
	struct multiboot_module modules[MULTIBOOT_MODULES_MAX];
	struct kernel_source src = source(multiboot, sizeof(multiboot));
	struct load_entry e;

	(void)state;
	for (unsigned i = 0; i < MULTIBOOT_MODULES_MAX; i++) {
		modules[i] = (struct multiboot_module){initrd, 1, "m"};
	}
	src.modules = modules;
	src.module_count = MULTIBOOT_MODULES_MAX - 1;
	assert_int_equal(kernel_plan(&src, &plan, &err), HV_OK);
	assert_int_equal(plan.kind, KERNEL_MULTIBOOT);
	assert_true(kernel_expects_bios(&plan));
	assert_true(kernel_leaves_low_memory(&plan));
	assert_int_equal(plan.multiboot.module_count, MULTIBOOT_MODULES_MAX);
	assert_string_equal(plan.multiboot.module_strings[0], "initrd");
	assert_string_equal(plan.multiboot.module_strings[1], "m");
	load_all();
	assert_true(written > 4096 + sizeof(initrd) + 15);
	kernel_entry_state(&plan, &e);
	assert_int_equal(e.rax, 0x2badb002);
	src.module_count = MULTIBOOT_MODULES_MAX;
	assert_int_equal(kernel_plan(&src, &plan, &err), HV_E_RANGE);
	src.initrd_size = 0;
	assert_int_equal(kernel_plan(&src, &plan, &err), HV_OK);
	assert_string_equal(plan.multiboot.module_strings[0], "m");
}

static void anything_else_is_named(void **state)
{
	static const uint8_t elf[600] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	struct kernel_source src = source(elf, sizeof(elf));

	(void)state;
	assert_int_equal(kernel_plan(&src, &plan, &err), HV_E_INVALID);
	assert_non_null(strstr(err.text, "neither a Linux bzImage nor a Multiboot kernel but an "
					 "ELF file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_bzimage_is_booted_as_linux, setup),
		cmocka_unit_test_setup(modules_are_not_for_linux, setup),
		cmocka_unit_test_setup(the_initrd_is_the_first_module, setup),
		cmocka_unit_test_setup(anything_else_is_named, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
