/* SPDX-License-Identifier: Apache-2.0 */
/* Both vendors, the same logical exit, the same vm_exit. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/backend.h"
#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "svm/decode.h"
#include "svm/vmcb.h"
#include "tests/fakes/exit_meaning.h"
#include "vmx/decode.h"
#include "vmx/vmcs.h"

#define RIP 0x7c00ull
#define LENGTH 3u

/* What AMD-V and VT-x report for one and the same thing. */
struct pair {
	const char *what;
	struct svm_raw_exit svm;
	struct vmx_raw_exit vmx;
};

/* An instruction without operands, LENGTH bytes long. */
#define INSN(name, svm_code, vmx_reason) \
	{ \
		(name), {.code = (svm_code)}, \
		{ \
			.reason = (vmx_reason) \
		} \
	}

static const struct pair pairs[] = {
	INSN("CPUID", SVM_EXIT_CPUID, VMX_EXIT_CPUID),
	INSN("HLT", SVM_EXIT_HLT, VMX_EXIT_HLT),
	INSN("INVD", SVM_EXIT_INVD, VMX_EXIT_INVD),
	INSN("WBINVD", SVM_EXIT_WBINVD, VMX_EXIT_WBINVD),
	INSN("RDPMC", SVM_EXIT_RDPMC, VMX_EXIT_RDPMC),
	INSN("RSM", SVM_EXIT_RSM, VMX_EXIT_RSM),
	INSN("PAUSE", SVM_EXIT_PAUSE, VMX_EXIT_PAUSE),
	INSN("MONITOR", SVM_EXIT_MONITOR, VMX_EXIT_MONITOR),
	INSN("MWAIT", SVM_EXIT_MWAIT, VMX_EXIT_MWAIT),
	INSN("XSETBV", SVM_EXIT_XSETBV, VMX_EXIT_XSETBV),
	INSN("hypercall", SVM_EXIT_VMMCALL, VMX_EXIT_VMCALL),
	INSN("own enter", SVM_EXIT_VMRUN, VMX_EXIT_VMLAUNCH),
	INSN("own load", SVM_EXIT_VMLOAD, VMX_EXIT_VMPTRLD),
	{"triple fault", {.code = SVM_EXIT_SHUTDOWN}, {.reason = VMX_EXIT_TRIPLE_FAULT}},
	{"INIT", {.code = SVM_EXIT_INIT}, {.reason = VMX_EXIT_INIT}},
	{"physical NMI",
	 {.code = SVM_EXIT_NMI},
	 {.reason = VMX_EXIT_EXCEPTION_NMI, .interruption = 0x80000202}},
	{"interrupt window", {.code = SVM_EXIT_VINTR}, {.reason = VMX_EXIT_INTERRUPT_WINDOW}},
	{"machine check",
	 {.code = SVM_EXIT_EXCEPTION + EXC_MC},
	 {.reason = VMX_EXIT_EXCEPTION_NMI, .interruption = 0x80000312}},
	{"RDMSR", {.code = SVM_EXIT_MSR, .ecx = 0x1b}, {.reason = VMX_EXIT_RDMSR, .ecx = 0x1b}},
	{"WRMSR",
	 {.code = SVM_EXIT_MSR, .info1 = 1, .ecx = 0xc0000080u},
	 {.reason = VMX_EXIT_WRMSR, .ecx = 0xc0000080u}},
	{"in al, dx",
	 {.code = SVM_EXIT_IOIO, .info1 = 0x3fdu << 16 | 1u << 4 | 1, .info2 = RIP + LENGTH},
	 {.reason = VMX_EXIT_IO, .qualification = 0x3fdu << 16 | 1u << 3}},
	{"out dx, eax",
	 {.code = SVM_EXIT_IOIO, .info1 = 0xcf8u << 16 | 1u << 6, .info2 = RIP + LENGTH},
	 {.reason = VMX_EXIT_IO, .qualification = 0xcf8u << 16 | 3}},
	{"rep outsw from FS",
	 {.code = SVM_EXIT_IOIO,
	  .info1 = 0x1f0u << 16 | 4u << 10 | 1u << 8 | 1u << 5 | 1u << 3 | 1u << 2,
	  .info2 = RIP + LENGTH},
	 {.reason = VMX_EXIT_IO,
	  .qualification = 0x1f0u << 16 | 1u << 5 | 1u << 4 | 1,
	  .insn_info = 4u << 15 | 1u << 7}},
	{"insd",
	 {.code = SVM_EXIT_IOIO,
	  .info1 = 0x1f0u << 16 | 0u << 10 | 1u << 9 | 1u << 6 | 1u << 2 | 1,
	  .info2 = RIP + LENGTH},
	 {.reason = VMX_EXIT_IO,
	  .qualification = 0x1f0u << 16 | 1u << 4 | 1u << 3 | 3,
	  .insn_info = 2u << 7}},
	{"mov cr4, r9",
	 {.code = SVM_EXIT_CR0_WRITE + 4, .info1 = 1ull << 63 | 9},
	 {.reason = VMX_EXIT_CR_ACCESS, .qualification = 4 | 9u << 8}},
	{"mov rbx, cr8",
	 {.code = SVM_EXIT_CR0_READ + 8, .info1 = 1ull << 63 | 3},
	 {.reason = VMX_EXIT_CR_ACCESS, .qualification = 8 | 1u << 4 | 3u << 8}},
	{"invlpg",
	 {.code = SVM_EXIT_INVLPG, .info1 = 0xffff800000001000ull},
	 {.reason = VMX_EXIT_INVLPG, .qualification = 0xffff800000001000ull}},
	{"#AC",
	 {.code = SVM_EXIT_EXCEPTION + EXC_AC, .info1 = 0},
	 {.reason = VMX_EXIT_EXCEPTION_NMI, .interruption = 0x80000b11}},
	{"#PF",
	 {.code = SVM_EXIT_EXCEPTION + EXC_PF, .info1 = 7, .info2 = 0x1234},
	 {.reason = VMX_EXIT_EXCEPTION_NMI,
	  .interruption = 0x80000b0e,
	  .error_code = 7,
	  .qualification = 0x1234}},
	{"#DB of a step",
	 {.code = SVM_EXIT_EXCEPTION + EXC_DB, .dr6 = DR6_BS},
	 {.reason = VMX_EXIT_EXCEPTION_NMI, .interruption = 0x80000301, .qualification = DR6_BS}},
	{"read of nothing",
	 {.code = SVM_EXIT_NPF, .info1 = 1ull << 32 | 4, .info2 = 0xfee00020},
	 {.reason = VMX_EXIT_EPT_VIOLATION, .qualification = 1u << 0, .gpa = 0xfee00020}},
	{"write to read-only memory",
	 {.code = SVM_EXIT_NPF, .info1 = 1ull << 32 | 7, .info2 = 0xf0000},
	 {.reason = VMX_EXIT_EPT_VIOLATION, .qualification = 1u << 1 | 5u << 3, .gpa = 0xf0000}},
	{"fetch from nothing",
	 {.code = SVM_EXIT_NPF, .info1 = 1ull << 32 | 0x14, .info2 = 0xe0000},
	 {.reason = VMX_EXIT_EPT_VIOLATION, .qualification = 1u << 2, .gpa = 0xe0000}},
	{"read while an interrupt was delivered",
	 {.code = SVM_EXIT_NPF, .info1 = 1ull << 32 | 4, .info2 = 0x5000, .int_info = 0x80000031},
	 {.reason = VMX_EXIT_EPT_VIOLATION,
	  .qualification = 1u << 0,
	  .gpa = 0x5000,
	  .vectoring = 0x80000031}},
	{"read while a #PF was delivered",
	 {.code = SVM_EXIT_NPF,
	  .info1 = 1ull << 32 | 4,
	  .info2 = 0x5000,
	  .int_info = 0x1580000b0eull},
	 {.reason = VMX_EXIT_EPT_VIOLATION,
	  .qualification = 1u << 0,
	  .gpa = 0x5000,
	  .vectoring = 0x80000b0e,
	  .vectoring_error = 0x15}},
	{"read while an NMI was delivered",
	 {.code = SVM_EXIT_NPF, .info1 = 1ull << 32 | 4, .info2 = 0x5000, .int_info = 0x80000202},
	 {.reason = VMX_EXIT_EPT_VIOLATION,
	  .qualification = 1u << 0,
	  .gpa = 0x5000,
	  .vectoring = 0x80000202}},
};

static void the_same_exit_twice(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct svm_raw_exit s = pairs[i].svm;
		struct vmx_raw_exit v = pairs[i].vmx;
		struct vm_exit from_svm, from_vmx;
		struct vm_exit means_svm, means_vmx;

		s.rip = RIP;
		s.nrip = RIP + LENGTH;
		s.has_nrip = true;
		s.decode_assist = true;
		v.insn_length = LENGTH;
		v.io_info = true;
		svm_decode(&s, &from_svm);
		vmx_decode(&v, &from_vmx);
		means_svm = exit_meaning(&from_svm);
		means_vmx = exit_meaning(&from_vmx);
		if (memcmp(&means_svm, &means_vmx, sizeof(means_svm)) != 0) {
			fail_msg("%s: %s here, %s there", pairs[i].what,
				 vm_exit_kind_name(from_svm.kind),
				 vm_exit_kind_name(from_vmx.kind));
		}
		assert_int_not_equal(from_svm.kind, VM_EXIT_UNKNOWN);
	}
}

/* INT n: only VT-x tells the length, which its injection needs. */
static void software_interrupts_differ_in_the_length_only(void **state)
{
	struct vcpu_event s = svm_event_decode(0x80000480);
	struct vcpu_event v = vmx_event_decode(0x80000480, 0, 2);

	(void)state;
	assert_int_equal(s.insn_len, 0);
	assert_int_equal(v.insn_len, 2);
	v.insn_len = 0;
	assert_memory_equal(&s, &v, sizeof(s));
	/* INT3 is an exception on AMD-V, a software exception on VT-x. */
	s = svm_event_decode(0x80000303);
	v = vmx_event_decode(0x80000603, 0, 0);
	assert_memory_equal(&s, &v, sizeof(s));
}

static void a_refused_entry_is_one(void **state)
{
	struct svm_raw_exit s = {.code = ~0ull};
	struct vmx_raw_exit v = {.reason = 0x80000021};
	struct vm_exit from_svm, from_vmx;

	(void)state;
	svm_decode(&s, &from_svm);
	vmx_decode(&v, &from_vmx);
	assert_int_equal(from_svm.kind, VM_EXIT_ENTRY_FAILED);
	assert_int_equal(from_vmx.kind, VM_EXIT_ENTRY_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_exit_twice),
		cmocka_unit_test(software_interrupts_differ_in_the_length_only),
		cmocka_unit_test(a_refused_entry_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
