/* SPDX-License-Identifier: Apache-2.0 */
/* Permission maps, bit for bit against a naive model. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/cpu/msr.h"
#include "svm/permissions.h"

static uint8_t map[SVM_IOPM_SIZE];

static bool passes(const struct msr_pass_range *list, uint32_t index, unsigned bit)
{
	if (index == MSR_EFER || index == MSR_AMD_VM_CR || index == MSR_AMD_VM_HSAVE_PA) {
		return false;
	}
	for (; list->count != 0; list++) {
		if (index >= list->first && index - list->first < list->count &&
		    (list->pass & bit) != 0) {
			return true;
		}
	}
	return false;
}

/* The manual: MSR n of a range has bits 2n (read) and 2n+1 (write) of its 2 KiB. */
static void compare_msrs(const struct msr_pass_range *list)
{
	static const uint32_t first[] = {0, 0xc0000000u, 0xc0010000u};
	uint8_t expected[SVM_MSRPM_SIZE];

	memset(expected, 0xff, sizeof(expected));
	for (unsigned r = 0; r < 3; r++) {
		for (uint32_t n = 0; n < 0x2000; n++) {
			for (unsigned w = 0; w < 2; w++) {
				unsigned bit = 2 * n + w;
				bool pass = passes(list, first[r] + n, w != 0 ? 2 : 1);

				if (pass) {
					expected[r * 0x800 + bit / 8] &= (uint8_t) ~(1u << bit % 8);
				}
				assert_int_equal(pass, svm_msrpm_passes(map, first[r] + n, w != 0));
			}
		}
	}
	assert_memory_equal(map, expected, sizeof(expected));
}

static void build_and_compare(const struct msr_pass_range *list)
{
	memset(map, 0x5a, sizeof(map));
	svm_msrpm_build(map, list);
	compare_msrs(list);
	/* Nothing behind the map was touched. */
	assert_int_equal(map[SVM_MSRPM_SIZE], 0x5a);
}

static void msr_lists(void **state)
{
	static const struct msr_pass_range none[] = {{0, 0, 0}};
	static const struct msr_pass_range linux_like[] = {
		{MSR_IA32_SYSENTER_CS, 3, MSR_PASS_BOTH}, {MSR_STAR, 4, MSR_PASS_BOTH},
		{MSR_FS_BASE, 4, MSR_PASS_BOTH},	  {MSR_IA32_APERF, 1, MSR_PASS_READ},
		{0xc0010015u, 1, MSR_PASS_WRITE},	  {0, 0, 0}};
	/* Over the edges of the ranges, over all of them, wrapping, and what must never pass. */
	static const struct msr_pass_range edges[] = {
		{0x1fff, 2, MSR_PASS_BOTH},	      {0xbfffffffu, 3, MSR_PASS_READ},
		{0xc0001ffeu, 0xe003, MSR_PASS_BOTH}, {0xc0011fffu, 0xffffffffu, MSR_PASS_BOTH},
		{0x40000000u, 256, MSR_PASS_BOTH},    {0, 0, 0}};
	static const struct msr_pass_range all[] = {{0, 0xffffffffu, MSR_PASS_BOTH}, {0, 0, 0}};

	(void)state;
	build_and_compare(none);
	build_and_compare(linux_like);
	build_and_compare(edges);
	build_and_compare(all);
	svm_msrpm_build(map, NULL);
	compare_msrs(none);
}

static void random_msr_lists(void **state)
{
	struct msr_pass_range list[6];

	(void)state;
	srand(1);
	for (int round = 0; round < 20; round++) {
		memset(list, 0, sizeof(list));
		for (int i = 0; i < 5; i++) {
			static const uint32_t bases[] = {0, 0xc0000000u, 0xc0010000u};

			list[i].first = bases[rand() % 3] + (uint32_t)(rand() % 0x2100);
			list[i].count = 1 + (uint32_t)(rand() % 0x300);
			list[i].pass = (enum msr_pass)(rand() % 4);
		}
		build_and_compare(list);
	}
}

static void msrs_outside_the_map_exit(void **state)
{
	static const uint32_t outside[] = {0x2000,     0x40000000, 0x4b564d01, 0xbfffffff,
					   0xc0002000, 0xc000ffff, 0xc0012000, 0xffffffff};

	(void)state;
	memset(map, 0, sizeof(map));
	for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		assert_false(svm_msrpm_passes(map, outside[i], false));
		assert_false(svm_msrpm_passes(map, outside[i], true));
	}
}

static void port_lists(void **state)
{
	static const struct port_pass_range list[] = {{0x80, 1}, {0x3f8, 8}, {0xfffe, 100}, {0, 0}};
	uint8_t expected[SVM_IOPM_SIZE];

	(void)state;
	svm_iopm_build(map, NULL);
	memset(expected, 0xff, sizeof(expected));
	assert_memory_equal(map, expected, sizeof(expected));
	svm_iopm_build(map, list);
	for (unsigned port = 0; port < 0x10000; port++) {
		bool pass = port == 0x80 || (port >= 0x3f8 && port <= 0x3ff) || port >= 0xfffe;

		if (pass) {
			expected[port / 8] &= (uint8_t) ~(1u << port % 8);
		}
	}
	/* Accesses that run past port 0xffff hit the third page: always an exit. */
	assert_memory_equal(map, expected, sizeof(expected));
	assert_int_equal(map[0x2000], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msr_lists),
		cmocka_unit_test(random_msr_lists),
		cmocka_unit_test(msrs_outside_the_map_exit),
		cmocka_unit_test(port_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
