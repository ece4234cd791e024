/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microsoft's CPUID leaves. Source: TLFS, "Feature and Interface Discovery". Only what is there is
 * said: Windows takes a missing privilege as it is, and a wrong one as a broken machine.
 */
#include "hv/base/hyperv_format.h"
#include "hv/hyperv.h"

/* The version that the TLFS 5.0 describes, Windows Server 2016. */
#define VERSION_BUILD 14393u
#define VERSION_MAJOR_MINOR 0x000a0000u

#define PRIVILEGES \
	(HV_ACCESS_VP_RUNTIME | HV_ACCESS_REFERENCE_COUNTER | HV_ACCESS_SYNIC | \
	 HV_ACCESS_SYNTHETIC_TIMERS | HV_ACCESS_INTR_CTRL | HV_ACCESS_HYPERCALL_MSRS | \
	 HV_ACCESS_VP_INDEX | HV_ACCESS_RESET | HV_ACCESS_REFERENCE_TSC | HV_ACCESS_GUEST_IDLE | \
	 HV_ACCESS_FREQUENCY)
#define FEATURES \
	(HV_XMM_INPUT | HV_GUEST_IDLE_STATE | HV_FREQUENCY_MSRS | HV_CRASH_MSRS | \
	 HV_SINT_POLLING | HV_HYPERCALL_LOCK | HV_DIRECT_TIMERS)
#define RECOMMENDATIONS \
	(HV_RECOMMEND_REMOTE_FLUSH | HV_RECOMMEND_RELAXED_TIMING | HV_RECOMMEND_CLUSTER_IPI | \
	 HV_RECOMMEND_EX_MASKS)

/* How often to spin for a lock before HV_CALL_LONG_SPIN_WAIT, which yields to who may hold it. */
#define SPIN_RETRIES 0xfffu

void hyperv_cpuid(struct cpuid_regs *h, const struct cpuid_config *config)
{
	uint32_t recommended = RECOMMENDATIONS;

	/*
	 * Where the CPU works on the LAPIC's registers by itself their MSRs would be exits, and an
	 * automatic EOI comes late.
	 */
	recommended |=
		config->virtual_interrupts ? HV_RECOMMEND_NO_AUTO_EOI : HV_RECOMMEND_APIC_MSRS;
	/* "Microsoft Hv" */
	h[0] = (struct cpuid_regs){HV_CPUID_MAX, 0x7263694du, 0x666f736fu, 0x76482074u};
	h[1] = (struct cpuid_regs){.eax = HV_INTERFACE};
	h[2] = (struct cpuid_regs){.eax = VERSION_BUILD, .ebx = VERSION_MAJOR_MINOR};
	h[3] = (struct cpuid_regs){
		.eax = PRIVILEGES, .ebx = HV_POST_MESSAGES | HV_SIGNAL_EVENTS, .edx = FEATURES};
	h[4] = (struct cpuid_regs){.eax = recommended, .ebx = SPIN_RETRIES};
	h[5] = (struct cpuid_regs){.eax = VM_VCPUS_MAX, .ebx = VM_VCPUS_MAX};
	h[6] = (struct cpuid_regs){.eax = HV_USES_MSR_BITMAPS | HV_USES_SLAT};
}
