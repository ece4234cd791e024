/* SPDX-License-Identifier: Apache-2.0 */
/* Every exit reason, raw to neutral. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/backend.h"
#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "vmx/decode.h"
#include "vmx/vmcs.h"

static struct vm_exit out;

static const struct vm_exit *decode(const struct vmx_raw_exit *raw)
{
	memset(&out, 0xa5, sizeof(out));
	vmx_decode(raw, &out);
	return &out;
}

/* Kind, and whether the instruction's length counts. Reasons that are not listed are unknown. */
static const struct {
	uint32_t reason;
	enum vm_exit_kind kind;
	bool insn;
} simple[] = {
	{2, VM_EXIT_TRIPLE_FAULT, false},
	{3, VM_EXIT_INIT, false},
	{7, VM_EXIT_INTERRUPT_WINDOW, false},
	{8, VM_EXIT_NMI_WINDOW, false},
	{9, VM_EXIT_TASK_SWITCH, false},
	{10, VM_EXIT_CPUID, true},
	{11, VM_EXIT_UNDEFINED_INSN, true},
	{12, VM_EXIT_HLT, true},
	{13, VM_EXIT_WBINVD, true},
	{14, VM_EXIT_INVLPG, true},
	{15, VM_EXIT_RDPMC, true},
	{17, VM_EXIT_UNDEFINED_INSN, true},
	{18, VM_EXIT_HYPERCALL, true},
	{19, VM_EXIT_UNDEFINED_INSN, true},
	{20, VM_EXIT_UNDEFINED_INSN, true},
	{21, VM_EXIT_UNDEFINED_INSN, true},
	{22, VM_EXIT_UNDEFINED_INSN, true},
	{23, VM_EXIT_UNDEFINED_INSN, true},
	{24, VM_EXIT_UNDEFINED_INSN, true},
	{25, VM_EXIT_UNDEFINED_INSN, true},
	{26, VM_EXIT_UNDEFINED_INSN, true},
	{27, VM_EXIT_UNDEFINED_INSN, true},
	{28, VM_EXIT_CR_ACCESS, true},
	{30, VM_EXIT_IO, true},
	{31, VM_EXIT_MSR_READ, true},
	{32, VM_EXIT_MSR_WRITE, true},
	{36, VM_EXIT_MWAIT, true},
	{39, VM_EXIT_MONITOR, true},
	{40, VM_EXIT_PAUSE, true},
	{43, VM_EXIT_TPR_BELOW, false},
	{44, VM_EXIT_APIC_ACCESS, false},
	{45, VM_EXIT_VIRTUAL_EOI, false},
	{48, VM_EXIT_NESTED_FAULT, false},
	{49, VM_EXIT_NESTED_FAULT, false},
	{50, VM_EXIT_UNDEFINED_INSN, true},
	{52, VM_EXIT_HOST_INTERRUPT, false},
	{53, VM_EXIT_UNDEFINED_INSN, true},
	{54, VM_EXIT_WBINVD, true},
	{55, VM_EXIT_XSETBV, true},
	{56, VM_EXIT_APIC_WRITE, false},
	{59, VM_EXIT_UNDEFINED_INSN, true},
	{60, VM_EXIT_UNDEFINED_INSN, true},
	{76, VM_EXIT_UNDEFINED_INSN, true},
	{77, VM_EXIT_UNDEFINED_INSN, true},
};

static void reasons(void **state)
{
	size_t next = 0;

	(void)state;
	for (uint32_t reason = 2; reason < 0x10000; reason++) {
		struct vmx_raw_exit raw = {.reason = reason, .insn_length = 3};
		bool listed = next < ARRAY_SIZE(simple) && simple[next].reason == reason;

		decode(&raw);
		assert_int_equal(out.kind, listed ? simple[next].kind : VM_EXIT_UNKNOWN);
		assert_int_equal(out.insn_len, listed && simple[next].insn ? 3 : 0);
		assert_int_equal(out.vectoring.type, VCPU_EVENT_NONE);
		if (!listed) {
			assert_int_equal(out.raw.reason, reason);
		}
		next += listed;
	}
	assert_int_equal(next, ARRAY_SIZE(simple));
}

static void accesses_to_the_apic_page(void **state)
{
	/* type, and what it is */
	static const struct {
		uint64_t type;
		bool write, fetch, table_walk;
	} cases[] = {
		{0, false, false, false}, {1, true, false, false},  {2, false, true, false},
		{3, false, false, false}, {10, false, false, true}, {15, false, false, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmx_raw_exit raw = {.reason = VMX_EXIT_APIC_ACCESS,
					   .qualification = BIT(40) | cases[i].type << 12 | 0x390};

		decode(&raw);
		assert_int_equal(out.fault.gpa.v, 0xfee00390);
		assert_int_equal(out.fault.write, cases[i].write);
		assert_int_equal(out.fault.fetch, cases[i].fetch);
		assert_int_equal(out.fault.table_walk, cases[i].table_walk);
		assert_false(out.fault.gva_valid || out.fault.misconfigured);
	}
}

static void what_the_apic_page_tells(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_APIC_WRITE, .qualification = 0xabcdef300};

	(void)state;
	assert_int_equal(decode(&raw)->apic.offset, 0x300);
	raw.reason = VMX_EXIT_VIRTUAL_EOI;
	raw.qualification = 0xff31;
	assert_int_equal(decode(&raw)->apic.vector, 0x31);
}

static void odd_lengths_are_dropped(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_CPUID, .insn_length = 15};

	(void)state;
	assert_int_equal(decode(&raw)->insn_len, 15);
	raw.insn_length = 16;
	assert_int_equal(decode(&raw)->insn_len, 0);
	raw.insn_length = 0x102;
	assert_int_equal(decode(&raw)->insn_len, 0);
}

static void interrupts_come_acknowledged(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_INTERRUPT,
				   .interruption = VMX_EVENT_VALID | 0xec};

	(void)state;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_HOST_INTERRUPT);
	assert_true(out.host_interrupt.acknowledged);
	assert_int_equal(out.host_interrupt.vector, 0xec);
	raw.interruption = 0xec;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_HOST_INTERRUPT);
	assert_false(out.host_interrupt.acknowledged);
}

static void exceptions(void **state)
{
	struct vmx_raw_exit raw = {.reason = 0, .interruption = VMX_EVENT_VALID | 2u << 8 | 2};

	(void)state;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_HOST_NMI);
	raw.interruption = VMX_EVENT_VALID | 3u << 8 | EXC_MC;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_MACHINE_CHECK);
	/* #AC(0x11) */
	raw.interruption = VMX_EVENT_VALID | 1u << 11 | 3u << 8 | EXC_AC;
	raw.error_code = 0x11;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_EXCEPTION);
	assert_int_equal(out.exception.vector, EXC_AC);
	assert_true(out.exception.has_error);
	assert_int_equal(out.exception.error, 0x11);
	/* #PF: the qualification is CR2. */
	raw.interruption = VMX_EVENT_VALID | 1u << 11 | 3u << 8 | EXC_PF;
	raw.qualification = 0xffff800000001234ull;
	assert_int_equal(decode(&raw)->exception.cr2, 0xffff800000001234ull);
	/* #DB: only bits DR6 has; the trap of a step is no instruction's exit. */
	raw.interruption = VMX_EVENT_VALID | 3u << 8 | EXC_DB;
	raw.qualification = 0xffffffffffffffffull;
	raw.insn_length = 2;
	decode(&raw);
	assert_int_equal(out.exception.dr6, 0x600f);
	assert_false(out.exception.has_error);
	assert_int_equal(out.insn_len, 0);
	/* INT1: it returns behind the instruction. */
	raw.interruption = VMX_EVENT_VALID | 5u << 8 | EXC_DB;
	raw.insn_length = 1;
	raw.qualification = 0;
	assert_int_equal(decode(&raw)->insn_len, 1);
	assert_int_equal(out.exception.dr6, 0);
	/* Bochs tells the step that would have come behind it; breakpoints are another matter. */
	raw.qualification = DR6_BS | 2;
	assert_int_equal(decode(&raw)->exception.dr6, 2);
	/* No exception has such a vector. */
	raw.interruption = VMX_EVENT_VALID | 3u << 8 | 32;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
}

static void control_registers(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_CR_ACCESS, .insn_length = 3};

	(void)state;
	raw.qualification = 4 | 0u << 4 | 9u << 8; /* mov cr4, r9 */
	decode(&raw);
	assert_true(out.cr.decoded && out.cr.write && !out.cr.clts && !out.cr.lmsw);
	assert_int_equal(out.cr.cr, 4);
	assert_int_equal(out.cr.gpr, 9);
	raw.qualification = 8 | 1u << 4 | 3u << 8; /* mov rbx, cr8 */
	decode(&raw);
	assert_true(out.cr.decoded && !out.cr.write);
	assert_int_equal(out.cr.cr, 8);
	assert_int_equal(out.cr.gpr, 3);
	raw.qualification = 2u << 4;
	decode(&raw);
	assert_true(out.cr.clts && out.cr.write && !out.cr.decoded);
	raw.qualification = 3u << 4 | 0xfff1u << 16;
	decode(&raw);
	assert_true(out.cr.lmsw && out.cr.write && !out.cr.decoded);
	assert_int_equal(out.cr.lmsw_value, 0xfff1);
	raw.qualification = 2;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
}

static void io_without_strings(void **state)
{
	/* in al, 0x60 */
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_IO,
				   .qualification = 0x60u << 16 | 1u << 6 | 1u << 3,
				   .insn_length = 2,
				   .insn_info = ~0u,
				   .io_info = true};

	(void)state;
	decode(&raw);
	assert_int_equal(out.insn_len, 2);
	assert_int_equal(out.io.port, 0x60);
	assert_int_equal(out.io.size, 1);
	assert_true(out.io.in && !out.io.string && !out.io.rep);
	assert_int_equal(out.io.addr_size, 0);
	assert_int_equal(out.io.segment, 0xff);
	raw.qualification = 0xcf8u << 16 | 3; /* out dx, eax */
	decode(&raw);
	assert_int_equal(out.io.port, 0xcf8);
	assert_int_equal(out.io.size, 4);
	assert_false(out.io.in);
	raw.qualification = 0xcf8u << 16 | 2;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
}

static void string_io(void **state)
{
	/* rep outsw, 32-bit addresses, FS */
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_IO,
				   .qualification = 0x1f0u << 16 | 1u << 5 | 1u << 4 | 1,
				   .insn_length = 4,
				   .insn_info = 4u << 15 | 1u << 7};

	(void)state;
	decode(&raw);
	assert_true(out.io.string && out.io.rep && !out.io.in);
	assert_int_equal(out.io.size, 2);
	assert_int_equal(out.io.addr_size, 0);
	assert_int_equal(out.io.segment, 0xff);
	raw.io_info = true;
	decode(&raw);
	assert_int_equal(out.io.addr_size, 4);
	assert_int_equal(out.io.segment, VCPU_SEG_FS);
	raw.insn_info = 7u << 15 | 2u << 7;
	decode(&raw);
	assert_int_equal(out.io.addr_size, 8);
	assert_int_equal(out.io.segment, 0xff);
	raw.insn_info = 3u << 15 | 3u << 7;
	assert_int_equal(decode(&raw)->io.addr_size, 0);
	/* INS writes to ES, whatever lies in the field. */
	raw.qualification |= 1u << 3;
	raw.insn_info = 4u << 15;
	decode(&raw);
	assert_int_equal(out.io.segment, VCPU_SEG_ES);
	assert_int_equal(out.io.addr_size, 2);
}

static void msrs(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_RDMSR, .ecx = 0xc0000080u};

	(void)state;
	assert_int_equal(decode(&raw)->msr.index, 0xc0000080u);
	raw.reason = VMX_EXIT_WRMSR;
	assert_int_equal(decode(&raw)->msr.index, 0xc0000080u);
}

static void nested_faults(void **state)
{
	static const struct {
		uint64_t q;
		bool write, fetch, present, walk, gva;
	} table[] = {
		{1u << 0 | 1u << 7 | 1u << 8, false, false, false, false, true},
		{1u << 1 | 1u << 7 | 1u << 8, true, false, false, false, true},
		{1u << 1 | 5u << 3 | 1u << 7 | 1u << 8, true, false, true, false, true},
		{1u << 2 | 1u << 7 | 1u << 8, false, true, false, false, true},
		{3u << 0 | 1u << 7, true, false, false, true, true},
		{1u << 0, false, false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct vmx_raw_exit raw = {.reason = VMX_EXIT_EPT_VIOLATION,
					   .qualification = table[i].q,
					   .gpa = 0xfee00030,
					   .gva = 0xffff8000fee00030ull,
					   .insn_length = 7};

		decode(&raw);
		assert_int_equal(out.fault.gpa.v, 0xfee00030);
		assert_int_equal(out.fault.write, table[i].write);
		assert_int_equal(out.fault.fetch, table[i].fetch);
		assert_int_equal(out.fault.present, table[i].present);
		assert_int_equal(out.fault.table_walk, table[i].walk);
		assert_int_equal(out.fault.gva_valid, table[i].gva);
		assert_int_equal(out.fault.gva.v, table[i].gva ? 0xffff8000fee00030ull : 0);
		assert_false(out.fault.misconfigured);
		/* Undefined for faults: not believed. */
		assert_int_equal(out.insn_len, 0);
	}
}

static void misconfigurations_are_our_mistake(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_EPT_MISCONFIG, .gpa = 0x5000};

	(void)state;
	assert_true(decode(&raw)->fault.misconfigured);
	assert_int_equal(out.fault.gpa.v, 0x5000);
}

static void task_switches(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_TASK_SWITCH, .qualification = 0x28};

	(void)state;
	assert_int_equal(decode(&raw)->task.source, TASK_CALL);
	assert_int_equal(out.task.selector, 0x28);
	raw.qualification = 0x28 | 1u << 30;
	assert_int_equal(decode(&raw)->task.source, TASK_IRET);
	raw.qualification = 0x28 | 2u << 30;
	assert_int_equal(decode(&raw)->task.source, TASK_JMP);
	/* A task gate for #DF: the error code is the one being delivered. */
	raw.qualification = 0x28 | 3u << 30;
	raw.vectoring = VMX_EVENT_VALID | 1u << 11 | 3u << 8 | EXC_DF;
	raw.vectoring_error = 0;
	decode(&raw);
	assert_int_equal(out.task.source, TASK_GATE);
	assert_true(out.task.has_error);
	assert_int_equal(out.vectoring.vector, EXC_DF);
}

static void failed_entries(void **state)
{
	struct vmx_raw_exit raw = {.reason = 0x80000021, .qualification = 4};

	(void)state;
	raw.vectoring = VMX_EVENT_VALID | 0x30; /* of some earlier exit */
	assert_int_equal(decode(&raw)->kind, VM_EXIT_ENTRY_FAILED);
	assert_int_equal(out.raw.reason, 0x80000021);
	assert_int_equal(out.raw.info, 4);
	assert_int_equal(out.vectoring.type, VCPU_EVENT_NONE);
	raw.reason = 0x80000029;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_MACHINE_CHECK);
	/* Without bit 31 these reasons do not exist. */
	raw.reason = 0x21;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
}

/* Info, error, length in; what comes out, and the info that puts it in again. */
static void events_go_round(void **state)
{
	static const struct {
		uint32_t info;
		struct vcpu_event event;
	} table[] = {
		{0x800000ec, {.type = VCPU_EVENT_INTERRUPT, .vector = 0xec}},
		{0x80000202, {.type = VCPU_EVENT_NMI, .vector = 2}},
		{0x80000306, {.type = VCPU_EVENT_EXCEPTION, .vector = 6}},
		{0x80000b0e,
		 {.type = VCPU_EVENT_EXCEPTION, .vector = 14, .has_error = true, .error = 0x15}},
		{0x80000480, {.type = VCPU_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2}},
		{0x80000501, {.type = VCPU_EVENT_SOFT_EXC, .vector = 1, .insn_len = 2}},
		{0x80000603, {.type = VCPU_EVENT_SOFT_EXC, .vector = 3, .insn_len = 2}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct vcpu_event e = vmx_event_decode(table[i].info, 0x15, 2);

		assert_memory_equal(&e, &table[i].event, sizeof(e));
		assert_int_equal(vmx_event_encode(&e), table[i].info);
	}
	assert_int_equal(vmx_event_decode(0x306, 0, 0).type, VCPU_EVENT_NONE);
	assert_int_equal(vmx_event_decode(0x80000120, 0, 0).type, VCPU_EVENT_NONE);
	assert_int_equal(vmx_event_decode(0x80000720, 0, 0).type, VCPU_EVENT_NONE);
	assert_int_equal(vmx_event_decode(0x80000320, 0, 0).type, VCPU_EVENT_NONE);
	assert_int_equal(vmx_event_encode(&(struct vcpu_event){.type = VCPU_EVENT_NONE}), 0);
}

static void a_faulting_iret_blocks_nmis_again(void **state)
{
	struct vmx_raw_exit raw = {.reason = VMX_EXIT_EXCEPTION_NMI,
				   .interruption = VMX_EVENT_VALID | 1u << 12 | 3u << 8 | EXC_AC};

	(void)state;
	assert_true(vmx_iret_faulted(&raw));
	/* "Undefined" when an event was being delivered, and for a double fault. */
	raw.vectoring = VMX_EVENT_VALID | 0x30;
	assert_false(vmx_iret_faulted(&raw));
	raw.vectoring = 0;
	raw.interruption = VMX_EVENT_VALID | 1u << 12 | 3u << 8 | EXC_DF;
	assert_false(vmx_iret_faulted(&raw));
	raw.interruption = VMX_EVENT_VALID | 3u << 8 | EXC_AC;
	assert_false(vmx_iret_faulted(&raw));
	raw = (struct vmx_raw_exit){.reason = VMX_EXIT_EPT_VIOLATION, .qualification = 1u << 12};
	assert_true(vmx_iret_faulted(&raw));
	raw.qualification = 0;
	assert_false(vmx_iret_faulted(&raw));
	raw = (struct vmx_raw_exit){.reason = VMX_EXIT_CPUID, .qualification = 1u << 12};
	assert_false(vmx_iret_faulted(&raw));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons),
		cmocka_unit_test(accesses_to_the_apic_page),
		cmocka_unit_test(what_the_apic_page_tells),
		cmocka_unit_test(odd_lengths_are_dropped),
		cmocka_unit_test(interrupts_come_acknowledged),
		cmocka_unit_test(exceptions),
		cmocka_unit_test(control_registers),
		cmocka_unit_test(io_without_strings),
		cmocka_unit_test(string_io),
		cmocka_unit_test(msrs),
		cmocka_unit_test(nested_faults),
		cmocka_unit_test(misconfigurations_are_our_mistake),
		cmocka_unit_test(task_switches),
		cmocka_unit_test(failed_entries),
		cmocka_unit_test(events_go_round),
		cmocka_unit_test(a_faulting_iret_blocks_nmis_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
