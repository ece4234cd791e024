/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bits.h"
#include "hv/cpu/features.h"
#include "tests/fakes/fake_cpu.h"

static uint32_t four(const char *s)
{
	uint32_t v;

	memcpy(&v, s, 4);
	return v;
}

static void brand(const char *text)
{
	char padded[48] = {0};

	strncpy(padded, text, sizeof(padded));
	for (uint32_t i = 0; i < 3; i++) {
		const char *p = padded + 16 * i;

		fake_cpuid_set(
			0x80000002u + i, 0,
			(struct cpuid_regs){four(p), four(p + 4), four(p + 8), four(p + 12)});
	}
}

/* An EPYC of the first generation, as QEMU shows it. */
static void amd(void)
{
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){0xd, four("Auth"), four("cAMD"), four("enti")});
	fake_cpuid_set(1, 0, (struct cpuid_regs){0x00800f12, 0x05000000, 0xf7fa3203, 0x178bfbff});
	fake_cpuid_set(7, 0, (struct cpuid_regs){0, 0x209c01ab, 4, 0});
	fake_cpuid_set(0xd, 0, (struct cpuid_regs){7, 0x240, 0x340, 0});
	fake_cpuid_set(0xd, 1, (struct cpuid_regs){0xf, 0x340, 0x1800, 0});
	fake_cpuid_set(0x40000000, 0,
		       (struct cpuid_regs){0x40000001, four("TCGT"), four("CGTC"), four("GTCG")});
	fake_cpuid_set(0x80000000, 0, (struct cpuid_regs){0x8000001f, 0, 0, 0});
	fake_cpuid_set(0x80000001, 0, (struct cpuid_regs){0x00800f12, 0, 0x3f7, 0x2e500800});
	fake_cpuid_set(0x80000007, 0, (struct cpuid_regs){0, 0, 0, 0x100});
	fake_cpuid_set(0x80000008, 0, (struct cpuid_regs){0x3028, 0, 0, 0});
	brand("  AMD EPYC Processor ");
}

static void reads_an_amd_cpu(void **state)
{
	struct cpu_features f;

	(void)state;
	amd();
	cpu_features_read(&f);
	assert_int_equal(f.vendor, CPU_VENDOR_AMD);
	assert_string_equal(f.vendor_name, "AuthenticAMD");
	assert_string_equal(f.brand, "AMD EPYC Processor");
	assert_string_equal(f.hypervisor_name, "TCGTCGTCGTCG");
	assert_int_equal(f.max_hypervisor, 0x40000001);
	assert_int_equal(f.family, 0x17);
	assert_int_equal(f.model, 1);
	assert_int_equal(f.stepping, 2);
	assert_int_equal(f.physical_bits, 40);
	assert_int_equal(f.linear_bits, 48);
	assert_int_equal(f.apic_id, 5);
	assert_true(f.svm && f.nx && f.pages_1g && f.rdtscp && f.invariant_tsc && f.long_mode);
	assert_true(f.apic && f.x2apic && f.tsc_deadline && f.rdrand && f.xsave && f.hypervisor);
	assert_true(f.smep && f.smap && f.fsgsbase && f.tsc_adjust && f.umip);
	assert_false(f.vmx || f.pku || f.spec_ctrl || f.arat);
	assert_int_equal(f.xcr0_mask, 7);
	assert_int_equal(f.xsave_bytes, 0x340);
	assert_true(f.xsaveopt && f.xsavec && f.xsaves);
	assert_int_equal(f.xss_mask, 0x1800);
}

static void reads_an_intel_cpu(void **state)
{
	struct cpu_features f;

	(void)state;
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){0x16, four("Genu"), four("ntel"), four("ineI")});
	fake_cpuid_set(1, 0, (struct cpuid_regs){0x000506e3, 0x02000000, BIT(5), 0});
	fake_cpuid_set(0xb, 0, (struct cpuid_regs){1, 2, 0x100, 0x1234});
	cpu_features_read(&f);
	assert_int_equal(f.vendor, CPU_VENDOR_INTEL);
	assert_int_equal(f.family, 6);
	assert_int_equal(f.model, 0x5e);
	assert_int_equal(f.stepping, 3);
	assert_true(f.vmx);
	assert_false(f.svm);
	assert_int_equal(f.apic_id, 0x1234);
}

static void missing_leaves_are_not_believed(void **state)
{
	struct cpu_features f;

	(void)state;
	amd();
	/* The leaves stay in the table but are out of range: a CPU may answer anything there. */
	fake_cpuid_set(0, 0, (struct cpuid_regs){1, 0, 0, 0});
	fake_cpuid_set(0x80000000, 0, (struct cpuid_regs){0x12345678, 0, 0, 0});
	fake_cpuid_set(1, 0, (struct cpuid_regs){0x00000f4a, 0x05000000, BIT(26), 0});
	cpu_features_read(&f);
	assert_int_equal(f.vendor, CPU_VENDOR_OTHER);
	assert_int_equal(f.family, 15);
	assert_int_equal(f.model, 4);
	assert_string_equal(f.brand, "");
	assert_string_equal(f.hypervisor_name, "");
	assert_int_equal(f.max_extended, 0);
	assert_int_equal(f.physical_bits, 36);
	assert_int_equal(f.linear_bits, 48);
	assert_false(f.smep || f.nx || f.invariant_tsc || f.xsave || f.xsaves);
	assert_int_equal(f.xsave_bytes, 0);
}

static void full_length_brand_fits(void **state)
{
	struct cpu_features f;

	(void)state;
	amd();
	brand("123456789012345678901234567890123456789012345678");
	cpu_features_read(&f);
	assert_string_equal(f.brand, "123456789012345678901234567890123456789012345678");
}

static void boot_copy(void **state)
{
	(void)state;
	amd();
	cpu_features_init();
	assert_int_equal(cpu_features()->family, 0x17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_amd_cpu),
		cmocka_unit_test(reads_an_intel_cpu),
		cmocka_unit_test(missing_leaves_are_not_believed),
		cmocka_unit_test(full_length_brand_fits),
		cmocka_unit_test(boot_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
