/* SPDX-License-Identifier: Apache-2.0 */
/* L1TF and MDS, judged and dealt with. */
#include "vmx/mitigate.h"

#include "hv/base/bits.h"
#include "hv/cpu/insn.h"
#include "vmx/vmx_insn.h"

#define MSR_IA32_FLUSH_CMD 0x10bu
#define FLUSH_CMD_L1D 1u

/* CPUID 7.0 EDX. */
#define EDX_MD_CLEAR BIT32(10)
#define EDX_L1D_FLUSH BIT32(28)

/* IA32_ARCH_CAPABILITIES. */
#define ARCH_RDCL_NO BIT(0)
#define ARCH_SKIP_L1DFL BIT(3) /* the hypervisor below does it */
#define ARCH_MDS_NO BIT(5)
#define ARCH_PSCHANGE_MC_NO BIT(6)

static bool l1tf(uint64_t arch)
{
	return (arch & (ARCH_RDCL_NO | ARCH_SKIP_L1DFL)) == 0;
}

static bool mds(uint64_t arch)
{
	return (arch & ARCH_MDS_NO) == 0;
}

struct vmx_mitigations vmx_mitigations_judge(uint32_t leaf7_edx, uint64_t arch)
{
	struct vmx_mitigations m = {
		.flush_l1d = l1tf(arch) && (leaf7_edx & EDX_L1D_FLUSH) != 0,
	};

	/* Also where MDS_NO is set: TSX and MMIO leave data in the same buffers. */
	m.clear_buffers = !m.flush_l1d && (leaf7_edx & EDX_MD_CLEAR) != 0;
	return m;
}

bool vmx_small_code_needed(uint64_t arch)
{
	return (arch & ARCH_PSCHANGE_MC_NO) == 0;
}

bool vmx_mitigations_lacking(uint32_t leaf7_edx, uint64_t arch)
{
	return (l1tf(arch) && (leaf7_edx & EDX_L1D_FLUSH) == 0) ||
	       (mds(arch) && (leaf7_edx & EDX_MD_CLEAR) == 0);
}

void vmx_mitigations_apply(struct vmx_mitigations m)
{
	if (m.flush_l1d) {
		cpu_wrmsr(MSR_IA32_FLUSH_CMD, FLUSH_CMD_L1D);
	}
	if (m.clear_buffers) {
		vmx_verw();
	}
}
