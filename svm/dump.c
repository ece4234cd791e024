/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCB for people: one log line per group, names instead of numbers where there are names. */
#include "hv/base/log.h"
#include "svm/decode.h"
#include "svm/internal.h"

#define INTERCEPT_LINE_MAX 224u

static const char *const exit_names[] = {
	[SVM_EXIT_INTR] = "INTR",
	[SVM_EXIT_NMI] = "NMI",
	[SVM_EXIT_SMI] = "SMI",
	[SVM_EXIT_INIT] = "INIT",
	[SVM_EXIT_VINTR] = "VINTR",
	[SVM_EXIT_CR0_SEL_WRITE] = "CR0_SEL_WRITE",
	[SVM_EXIT_RDTSC] = "RDTSC",
	[SVM_EXIT_RDPMC] = "RDPMC",
	[SVM_EXIT_CPUID] = "CPUID",
	[SVM_EXIT_RSM] = "RSM",
	[SVM_EXIT_IRET] = "IRET",
	[SVM_EXIT_SWINT] = "SWINT",
	[SVM_EXIT_INVD] = "INVD",
	[SVM_EXIT_PAUSE] = "PAUSE",
	[SVM_EXIT_HLT] = "HLT",
	[SVM_EXIT_INVLPG] = "INVLPG",
	[SVM_EXIT_INVLPGA] = "INVLPGA",
	[SVM_EXIT_IOIO] = "IOIO",
	[SVM_EXIT_MSR] = "MSR",
	[SVM_EXIT_TASK_SWITCH] = "TASK_SWITCH",
	[SVM_EXIT_FERR_FREEZE] = "FERR_FREEZE",
	[SVM_EXIT_SHUTDOWN] = "SHUTDOWN",
	[SVM_EXIT_VMRUN] = "VMRUN",
	[SVM_EXIT_VMMCALL] = "VMMCALL",
	[SVM_EXIT_VMLOAD] = "VMLOAD",
	[SVM_EXIT_VMSAVE] = "VMSAVE",
	[SVM_EXIT_STGI] = "STGI",
	[SVM_EXIT_CLGI] = "CLGI",
	[SVM_EXIT_SKINIT] = "SKINIT",
	[SVM_EXIT_RDTSCP] = "RDTSCP",
	[SVM_EXIT_ICEBP] = "ICEBP",
	[SVM_EXIT_WBINVD] = "WBINVD",
	[SVM_EXIT_MONITOR] = "MONITOR",
	[SVM_EXIT_MWAIT] = "MWAIT",
	[SVM_EXIT_MWAIT_ARMED] = "MWAIT_ARMED",
	[SVM_EXIT_XSETBV] = "XSETBV",
	[SVM_EXIT_RDPRU] = "RDPRU",
};

static const char *exit_name(uint64_t code)
{
	if ((int32_t)code < 0) {
		return "INVALID";
	}
	if (code == SVM_EXIT_NPF) {
		return "NPF";
	}
	if (code >= SVM_EXIT_EXCEPTION && code < SVM_EXIT_INTR) {
		return "EXCEPTION";
	}
	return code < ARRAY_SIZE(exit_names) && exit_names[code] != NULL ? exit_names[code] : "?";
}

static void dump_exit(const struct vmcb *v)
{
	log_info("  exit 0x%llx %s info1 0x%llx info2 0x%llx int_info 0x%llx nrip 0x%llx",
		 (unsigned long long)v->exit_code, exit_name(v->exit_code),
		 (unsigned long long)v->exit_info1, (unsigned long long)v->exit_info2,
		 (unsigned long long)v->exit_int_info, (unsigned long long)v->nrip);
}

/* Intercept n of words 3 and 4 carries the name of exit code 0x60 + n. */
static void dump_intercepts(const struct vmcb *v)
{
	char line[INTERCEPT_LINE_MAX];
	size_t used = 0;

	line[0] = '\0';
	for (unsigned i = SVM_INTERCEPT_INTR; i <= SVM_INTERCEPT_RDPRU; i++) {
		uint64_t code = SVM_EXIT_INTR + (i - SVM_INTERCEPT_INTR);

		if (vmcb_intercepts(v, i) && used < sizeof(line)) {
			used += fmt_snprintf(line + used, sizeof(line) - used, " %s",
					     exit_name(code));
		}
	}
	log_info("  intercepts%s", line);
	log_info("  intercepts: CR 0x%x DR 0x%x exceptions 0x%x, words 0x%x 0x%x 0x%x",
		 v->_intercepts[0], v->_intercepts[1], v->_intercepts[2], v->_intercepts[3],
		 v->_intercepts[4], v->_intercepts[5]);
}

static void dump_control(const struct vmcb *v)
{
	uint64_t ctl = v->_int_ctl;

	log_info("  ASID %u tlb_control %u clean 0x%x iopm 0x%llx msrpm 0x%llx tsc_offset 0x%llx",
		 v->_asid, v->tlb_control, v->clean, (unsigned long long)v->_iopm,
		 (unsigned long long)v->_msrpm, (unsigned long long)v->_tsc_offset);
	log_info("  V_TPR %u V_IRQ %u prio %u vector 0x%x ign_tpr %u masking %u shadow %u "
		 "inject 0x%llx",
		 (unsigned)bits_get(ctl, SVM_INT_V_TPR), (unsigned)bits_get(ctl, SVM_INT_V_IRQ),
		 (unsigned)bits_get(ctl, SVM_INT_V_PRIO), (unsigned)bits_get(ctl, SVM_INT_V_VECTOR),
		 (unsigned)bits_get(ctl, SVM_INT_V_IGN_TPR),
		 (unsigned)bits_get(ctl, SVM_INT_V_MASKING),
		 (unsigned)bits_get(v->int_state, SVM_INT_SHADOW),
		 (unsigned long long)v->event_inj);
	log_info("  np 0x%llx nCR3 0x%llx PAT 0x%llx lbr 0x%llx debugctl 0x%llx",
		 (unsigned long long)v->_np_ctl, (unsigned long long)v->_ncr3,
		 (unsigned long long)v->_pat, (unsigned long long)v->lbr_ctl,
		 (unsigned long long)v->_debugctl);
}

static void dump_registers(const struct vmcb *v)
{
	log_info("  CR0 0x%llx CR2 0x%llx CR3 0x%llx CR4 0x%llx EFER 0x%llx CPL %u",
		 (unsigned long long)v->_cr0, (unsigned long long)v->_cr2,
		 (unsigned long long)v->_cr3, (unsigned long long)v->_cr4,
		 (unsigned long long)v->_efer, v->_cpl);
	log_info("  RIP 0x%llx RSP 0x%llx RAX 0x%llx RFLAGS 0x%llx DR6 0x%llx DR7 0x%llx",
		 (unsigned long long)v->rip, (unsigned long long)v->rsp, (unsigned long long)v->rax,
		 (unsigned long long)v->rflags, (unsigned long long)v->_dr6,
		 (unsigned long long)v->_dr7);
	log_info("  STAR 0x%llx LSTAR 0x%llx CSTAR 0x%llx SFMASK 0x%llx KERNEL_GS 0x%llx",
		 (unsigned long long)v->star, (unsigned long long)v->lstar,
		 (unsigned long long)v->cstar, (unsigned long long)v->sfmask,
		 (unsigned long long)v->kernel_gs_base);
	log_info("  SYSENTER CS 0x%llx ESP 0x%llx EIP 0x%llx", (unsigned long long)v->sysenter_cs,
		 (unsigned long long)v->sysenter_esp, (unsigned long long)v->sysenter_eip);
}

static void dump_segment(const char *name, const struct vmcb_seg *s)
{
	log_info("  %-4s 0x%04x base 0x%llx limit 0x%x attr 0x%03x", name, s->selector,
		 (unsigned long long)s->base, s->limit, s->attr);
}

static void dump_segments(const struct vmcb *v)
{
	dump_segment("ES", &v->_es);
	dump_segment("CS", &v->_cs);
	dump_segment("SS", &v->_ss);
	dump_segment("DS", &v->_ds);
	dump_segment("FS", &v->fs);
	dump_segment("GS", &v->gs);
	dump_segment("LDTR", &v->ldtr);
	dump_segment("TR", &v->tr);
	dump_segment("GDTR", &v->_gdtr);
	dump_segment("IDTR", &v->_idtr);
}

void svm_dump(const struct vcpu *vcpu)
{
	const struct svm_vcpu *v = svm_vcpu_const(vcpu);

	log_info("%s: vCPU %u: VMCB at 0x%llx", vcpu->vm->name, vcpu->index,
		 (unsigned long long)v->vmcb_hpa.v);
	dump_exit(v->vmcb);
	dump_intercepts(v->vmcb);
	dump_control(v->vmcb);
	dump_registers(v->vmcb);
	dump_segments(v->vmcb);
	log_info("  NMI state %u, windows: vector %d, NMI %u", (unsigned)v->nmi.state,
		 v->window_vector, v->window_nmi);
}
