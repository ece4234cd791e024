/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSR policy table and the small stores behind it.
 * Sources: Intel SDM volume 3 "Memory Type Range Registers (MTRRs)" and "Page Attribute Table
 * (PAT)"; AMD APM volume 2 "MSR Cross-Reference".
 */
#include "hv/msr_policy.h"

#include "hv/base/bits.h"
#include "hv/base/hyperv_format.h"
#include "hv/cpu/msr.h"

#define ONE(index) (index), (index)
#define READ_BY_WINDOWS "read early by Windows, before it has a #GP handler"
#define READ_BY_AMD_KERNELS "read unguarded by kernels on AMD families"
#define TOUCHED_BY_WINDOWS "touched by Windows whatever CPUID says"
#define LAST_BRANCHES "last branches: cleared by Windows 10"
#define P6_CACHE "L2 control of the P6: read by Windows started by a BIOS"

/* Eight variable ranges, fixed ranges, write-combining. */
#define MTRRCAP_VALUE (MTRR_VARIABLE_COUNT | BIT(8) | BIT(10))
/* TSC counts at the P0 rate. */
#define HWCR_VALUE BIT(24)
#define VM_CR_SVMDIS BIT(4)
#define FEATURE_CONTROL_LOCKED 1

static const struct msr_rule rules[] = {
	{ONE(MSR_IA32_TSC), MSR_ACT_TSC, 0, 0, NULL},
	{MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, MSR_ACT_PV, 0, 0, NULL},
	{ONE(MSR_IA32_PLATFORM_ID), MSR_ACT_CONST, 0, 0, READ_BY_WINDOWS},
	{ONE(MSR_IA32_APIC_BASE), MSR_ACT_APIC_BASE, 0, 0, NULL},
	{ONE(0x2a), MSR_ACT_CONST, 0, 0, "EBL_CR_POWERON: " READ_BY_WINDOWS},
	{ONE(0x33), MSR_ACT_CONST_STRICT, 0, 0, "TEST_CTRL: " READ_BY_WINDOWS},
	{ONE(0x34), MSR_ACT_CONST_STRICT, 0, 0, "SMI_COUNT: no SMI ever happens"},
	{ONE(MSR_IA32_FEATURE_CONTROL), MSR_ACT_CONST_STRICT, 0, FEATURE_CONTROL_LOCKED, NULL},
	{ONE(MSR_IA32_TSC_ADJUST), MSR_ACT_TSC_ADJUST, 0, 0, NULL},
	{ONE(MSR_IA32_BIOS_UPDT_TRIG), MSR_ACT_WRITE_ONLY, 0, 0, "microcode is the host's affair"},
	{0x88, 0x8a, MSR_ACT_CONST, 0, 0, P6_CACHE},
	{ONE(MSR_IA32_BIOS_SIGN_ID), MSR_ACT_MICROCODE, 0, 0xffffffff00000000ull, NULL},
	{0xc1, 0xc2, MSR_ACT_CONST, 0, 0, "performance counters: " TOUCHED_BY_WINDOWS},
	{ONE(0xcd), MSR_ACT_CONST_STRICT, 0, 0, "FSB_FREQ: " READ_BY_WINDOWS},
	{ONE(MSR_PLATFORM_INFO), MSR_ACT_CONST_STRICT, 0, 0, READ_BY_WINDOWS},
	{MSR_IA32_MPERF, MSR_IA32_APERF, MSR_ACT_WINDOWS, 0, 0,
	 "MPERF, APERF: " TOUCHED_BY_WINDOWS},
	{ONE(MSR_IA32_MTRRCAP), MSR_ACT_CONST_STRICT, 0, MTRRCAP_VALUE, NULL},
	{ONE(0x116), MSR_ACT_CONST, 0, 0, P6_CACHE},
	{0x118, 0x11b, MSR_ACT_CONST, 0, 0, P6_CACHE},
	{ONE(0x11e), MSR_ACT_CONST, 0, 0, P6_CACHE},
	{ONE(MSR_MISC_FEATURES_ENABLES), MSR_ACT_CONST, 0, 0, READ_BY_WINDOWS},
	{ONE(MSR_IA32_SYSENTER_CS), MSR_ACT_PASS, VCPU_REG_SYSENTER_CS, 0, NULL},
	{ONE(MSR_IA32_SYSENTER_ESP), MSR_ACT_PASS, VCPU_REG_SYSENTER_ESP, 0, NULL},
	{ONE(MSR_IA32_SYSENTER_EIP), MSR_ACT_PASS, VCPU_REG_SYSENTER_EIP, 0, NULL},
	{ONE(MSR_IA32_MCG_CAP), MSR_ACT_CONST_STRICT, 0, 0, NULL},
	{ONE(MSR_IA32_MCG_STATUS), MSR_ACT_CONST, 0, 0, NULL},
	{ONE(MSR_IA32_MCG_CTL), MSR_ACT_CONST, 0, 0, "read by memtest86+ 5.01 on AMD's family 0Fh"},
	{0x186, 0x187, MSR_ACT_CONST, 0, 0, "performance events: " TOUCHED_BY_WINDOWS},
	{ONE(MSR_IA32_PERF_STATUS), MSR_ACT_CONST, 0, 0, READ_BY_WINDOWS},
	{ONE(MSR_IA32_PERF_CTL), MSR_ACT_CONST, 0, 0, READ_BY_WINDOWS},
	{ONE(MSR_IA32_MISC_ENABLE), MSR_ACT_MISC_ENABLE, 0, 0, NULL},
	{0x1a6, 0x1a7, MSR_ACT_CONST, 0, 0, "off-core responses: " TOUCHED_BY_WINDOWS},
	{ONE(0x1c9), MSR_ACT_CONST, 0, 0, "top of the last branches: none are kept"},
	{ONE(MSR_IA32_DEBUGCTL), MSR_ACT_CONST, 0, 0, "written often by Windows 10"},
	{0x1db, 0x1de, MSR_ACT_WINDOWS, 0, 0, LAST_BRANCHES},
	{MSR_IA32_MTRR_PHYSBASE0, MSR_IA32_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE_COUNT - 1,
	 MSR_ACT_MTRR, 0, 0, NULL},
	{ONE(MSR_IA32_MTRR_FIX64K_00000), MSR_ACT_MTRR, 0, 0, NULL},
	{MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000, MSR_ACT_MTRR, 0, 0, NULL},
	{MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000, MSR_ACT_MTRR, 0, 0, NULL},
	{ONE(MSR_IA32_PAT), MSR_ACT_PAT, VCPU_REG_PAT, 0, NULL},
	{ONE(MSR_IA32_MTRR_DEF_TYPE), MSR_ACT_MTRR, 0, 0, NULL},
	{0x309, 0x30b, MSR_ACT_WINDOWS, 0, 0, "fixed counters: " TOUCHED_BY_WINDOWS},
	{0x38d, 0x390, MSR_ACT_CONST, 0, 0, "performance control: " TOUCHED_BY_WINDOWS},
	{ONE(0x606), MSR_ACT_CONST_STRICT, 0, 0x000a1003, "RAPL units: " READ_BY_WINDOWS},
	{0x610, 0x611, MSR_ACT_CONST_STRICT, 0, 0, "RAPL power and energy: " READ_BY_WINDOWS},
	{ONE(0x619), MSR_ACT_CONST_STRICT, 0, 0, "RAPL DRAM energy: " READ_BY_WINDOWS},
	{ONE(0x639), MSR_ACT_CONST_STRICT, 0, 0, "RAPL core energy: " READ_BY_WINDOWS},
	{ONE(0x641), MSR_ACT_CONST_STRICT, 0, 0, "RAPL graphics energy: " READ_BY_WINDOWS},
	{0x680, 0x69f, MSR_ACT_WINDOWS, 0, 0, LAST_BRANCHES},
	{0x6c0, 0x6df, MSR_ACT_WINDOWS, 0, 0, LAST_BRANCHES},
	{ONE(MSR_IA32_TSC_DEADLINE), MSR_ACT_TSC_DEADLINE, 0, 0, NULL},
	{MSR_X2APIC_FIRST, MSR_X2APIC_LAST, MSR_ACT_X2APIC, 0, 0, NULL},
	{ONE(0xc24), MSR_ACT_CONST, 0, 0, TOUCHED_BY_WINDOWS},
	{ONE(0xd04), MSR_ACT_CONST, 0, 0, TOUCHED_BY_WINDOWS},
	{MSR_HV_GUEST_OS_ID, MSR_HV_LAST, MSR_ACT_HYPERV, 0, 0, NULL},
	{MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW, MSR_ACT_PV, 0, 0, NULL},
	{MSR_KVM_STEAL_TIME, MSR_KVM_POLL_CONTROL, MSR_ACT_PV, 0, 0, NULL},
	{ONE(MSR_EFER), MSR_ACT_EFER, VCPU_REG_EFER, 0, NULL},
	{ONE(MSR_STAR), MSR_ACT_PASS, VCPU_REG_STAR, 0, NULL},
	{ONE(MSR_LSTAR), MSR_ACT_PASS, VCPU_REG_LSTAR, 0, NULL},
	{ONE(MSR_CSTAR), MSR_ACT_PASS, VCPU_REG_CSTAR, 0, NULL},
	{ONE(MSR_SFMASK), MSR_ACT_PASS, VCPU_REG_SFMASK, 0, NULL},
	{ONE(MSR_FS_BASE), MSR_ACT_PASS, VCPU_REG_FS_BASE, 0, NULL},
	{ONE(MSR_GS_BASE), MSR_ACT_PASS, VCPU_REG_GS_BASE, 0, NULL},
	{ONE(MSR_KERNEL_GS_BASE), MSR_ACT_PASS, VCPU_REG_KERNEL_GS_BASE, 0, NULL},
	{ONE(MSR_TSC_AUX), MSR_ACT_TSC_AUX, 0, 0, NULL},
	{0xc0010000u, 0xc0010007u, MSR_ACT_CONST, 0, 0, "K7 performance: " TOUCHED_BY_WINDOWS},
	{ONE(MSR_AMD_SYSCFG), MSR_ACT_CONST, 0, 0, READ_BY_AMD_KERNELS},
	{ONE(MSR_AMD_HWCR), MSR_ACT_CONST, 0, HWCR_VALUE, READ_BY_AMD_KERNELS},
	{ONE(MSR_AMD_NB_CFG), MSR_ACT_CONST, 0, 0, READ_BY_AMD_KERNELS},
	{ONE(0xc0010055u), MSR_ACT_CONST, 0, 0, "INT_PENDING_MSG: " READ_BY_AMD_KERNELS},
	{0xc0010061u, 0xc0010064u, MSR_ACT_CONST, 0, 0, "P-states: " READ_BY_AMD_KERNELS},
	{0xc0010111u, 0xc0010113u, MSR_ACT_CONST, 0, 0, "SMM base, address, mask: no SMM"},
	{ONE(MSR_AMD_VM_CR), MSR_ACT_CONST, 0, VM_CR_SVMDIS,
	 "Windows reads it whatever CPUID says"},
	{ONE(MSR_AMD_IGNNE), MSR_ACT_CONST, 0, 0, READ_BY_AMD_KERNELS},
	{MSR_AMD_OSVW_ID_LENGTH, MSR_AMD_OSVW_STATUS, MSR_ACT_CONST, 0, 0, READ_BY_AMD_KERNELS},
	{MSR_AMD_LS_CFG, MSR_AMD_BU_CFG, MSR_ACT_CONST, 0, 0, READ_BY_AMD_KERNELS},
	{ONE(MSR_AMD_DE_CFG), MSR_ACT_CONST, 0, DE_CFG_LFENCE_SERIALIZES, READ_BY_AMD_KERNELS},
	{ONE(0xc001102au), MSR_ACT_CONST, 0, 0, "CU_CFG: " READ_BY_AMD_KERNELS},
};

static const struct msr_pass_range pass_ranges[] = {
	{MSR_IA32_SYSENTER_CS, 3, MSR_PASS_BOTH},
	{MSR_STAR, 4, MSR_PASS_BOTH},
	{MSR_FS_BASE, 4, MSR_PASS_BOTH}, /* and GS_BASE, KERNEL_GS_BASE, TSC_AUX */
	{0, 0, MSR_PASS_NONE},
};

const struct msr_rule *msr_rules(size_t *count)
{
	*count = ARRAY_SIZE(rules);
	return rules;
}

const struct msr_pass_range *msr_pass_ranges(void)
{
	return pass_ranges;
}

static const struct msr_rule *search(uint32_t index)
{
	size_t low = 0;
	size_t high = ARRAY_SIZE(rules);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (index < rules[mid].first) {
			high = mid;
		} else if (index > rules[mid].last) {
			low = mid + 1;
		} else {
			return &rules[mid];
		}
	}
	return NULL;
}

/*
 * Where rules were found last, by a hash of the MSR: guests use a handful, and a search takes 70
 * instructions, a hint 12. Hints may be wrong, and any CPU may change them.
 */
#define HINTS 64u
static uint8_t hints[HINTS];
static_assert(ARRAY_SIZE(rules) <= UINT8_MAX, "hints are bytes");

const struct msr_rule *msr_rule_find(uint32_t index)
{
	uint8_t *hint = &hints[(index ^ index >> 8) % HINTS];
	const struct msr_rule *rule = &rules[__atomic_load_n(hint, __ATOMIC_RELAXED)];

	if (index - rule->first <= rule->last - rule->first) {
		return rule;
	}
	rule = search(index);
	if (rule != NULL) {
		__atomic_store_n(hint, (uint8_t)(rule - rules), __ATOMIC_RELAXED);
	}
	return rule;
}

/* Performance monitoring, branch trace and event sampling are facts, and not for writing. */
#define MISC_ENABLE_FIXED (BIT(7) | BIT(11) | BIT(12))
#define MISC_ENABLE_DEFINED MASK(38, 0)

bool misc_enable_write(uint64_t *reg, uint64_t value)
{
	if ((value & ~MISC_ENABLE_DEFINED) != 0) {
		return false;
	}
	*reg = (*reg & MISC_ENABLE_FIXED) | (value & ~MISC_ENABLE_FIXED);
	return true;
}

/* Memory types: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB; PAT also 7 UC-. */
static bool mtrr_type_valid(uint64_t type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

bool pat_valid(uint64_t value)
{
	for (unsigned i = 0; i < 8; i++) {
		uint64_t type = (value >> (8 * i)) & 0xff;

		if (!mtrr_type_valid(type) && type != 7) {
			return false;
		}
	}
	return true;
}

#define TYPE_WB 6ull
#define DEF_TYPE_ENABLE BIT(11)
#define DEF_TYPE_FIXED BIT(10)

void mtrr_reset(struct mtrr_store *m)
{
	*m = (struct mtrr_store){.def_type = DEF_TYPE_ENABLE | DEF_TYPE_FIXED | TYPE_WB};
	for (unsigned i = 0; i < MTRR_FIXED_COUNT; i++) {
		m->fixed[i] = 0x0606060606060606ull;
	}
}

/* The slot of a fixed-range MTRR, or -1. */
static int fixed_slot(uint32_t index)
{
	if (index == MSR_IA32_MTRR_FIX64K_00000) {
		return 0;
	}
	if (index >= MSR_IA32_MTRR_FIX16K_80000 && index <= MSR_IA32_MTRR_FIX16K_A0000) {
		return (int)(index - MSR_IA32_MTRR_FIX16K_80000) + 1;
	}
	if (index >= MSR_IA32_MTRR_FIX4K_C0000 && index <= MSR_IA32_MTRR_FIX4K_F8000) {
		return (int)(index - MSR_IA32_MTRR_FIX4K_C0000) + 3;
	}
	return -1;
}

static bool is_variable(uint32_t index)
{
	return index - MSR_IA32_MTRR_PHYSBASE0 < 2 * MTRR_VARIABLE_COUNT;
}

bool mtrr_read(const struct mtrr_store *m, uint32_t index, uint64_t *value)
{
	int fixed = fixed_slot(index);

	if (index == MSR_IA32_MTRR_DEF_TYPE) {
		*value = m->def_type;
	} else if (is_variable(index)) {
		*value = m->variable[index - MSR_IA32_MTRR_PHYSBASE0];
	} else if (fixed >= 0) {
		*value = m->fixed[fixed];
	} else {
		return false;
	}
	return true;
}

static bool variable_valid(uint32_t index, uint64_t value, unsigned phys_bits)
{
	uint64_t address = MASK(phys_bits - 1, 12);

	if ((index & 1) != 0) {
		return (value & ~(address | BIT(11))) == 0;
	}
	return (value & ~(address | 0xff)) == 0 && mtrr_type_valid(value & 0xff);
}

bool mtrr_write(struct mtrr_store *m, uint32_t index, uint64_t value, unsigned phys_bits)
{
	int fixed = fixed_slot(index);

	if (index == MSR_IA32_MTRR_DEF_TYPE) {
		if ((value & ~(DEF_TYPE_ENABLE | DEF_TYPE_FIXED | 0xff)) != 0 ||
		    !mtrr_type_valid(value & 0xff)) {
			return false;
		}
		m->def_type = value;
	} else if (is_variable(index)) {
		if (!variable_valid(index, value, phys_bits)) {
			return false;
		}
		m->variable[index - MSR_IA32_MTRR_PHYSBASE0] = value;
	} else if (fixed >= 0) {
		for (unsigned i = 0; i < 8; i++) {
			if (!mtrr_type_valid((value >> (8 * i)) & 0xff)) {
				return false;
			}
		}
		m->fixed[fixed] = value;
	} else {
		return false;
	}
	return true;
}
