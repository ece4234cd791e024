/* SPDX-License-Identifier: Apache-2.0 */
/* Each entry check: state that passes, one field changed, the sentence it breaks. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/regs.h"
#include "vmx/check.h"

static struct vmcs_image v;
static struct vmx_caps caps;

#define SET(name, x) (v.value[VMCS_AT_##name] = (x))

static void set_segment(unsigned i, uint64_t selector, uint64_t limit, uint64_t rights)
{
	v.value[VMCS_AT_GUEST_ES_SELECTOR + i] = selector;
	v.value[VMCS_AT_GUEST_ES_LIMIT + i] = limit;
	v.value[VMCS_AT_GUEST_ES_RIGHTS + i] = rights;
	v.value[VMCS_AT_GUEST_ES_BASE + i] = 0;
}

static void good_controls(void)
{
	SET(PIN_CONTROLS, caps.pin);
	SET(PROC_CONTROLS, caps.proc);
	SET(PROC2_CONTROLS, caps.proc2);
	SET(EXIT_CONTROLS, caps.exit);
	SET(ENTRY_CONTROLS, caps.entry | VMX_ENTRY_IA32E);
	SET(IO_BITMAP_A, 0x1000);
	SET(IO_BITMAP_B, 0x2000);
	SET(MSR_BITMAP, 0x3000);
	SET(VIRTUAL_APIC, 0x4000);
	SET(EPTP, 0x5000 | caps.eptp);
	SET(VPID, 1);
}

static void good_host(void)
{
	SET(HOST_CR0, 0x80050033);
	SET(HOST_CR3, 0x6000);
	SET(HOST_CR4, CR4_PAE | CR4_VMXE);
	SET(HOST_CS_SELECTOR, 8);
	SET(HOST_TR_SELECTOR, 0x18);
	SET(HOST_PAT, 0x0007010600070406ull);
	SET(HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	SET(HOST_RIP, 0xffffffff80001000ull);
}

/* 64-bit code at ring 0, as a kernel runs. */
static void good_guest(void)
{
	SET(GUEST_CR0, 0x80050033);
	SET(GUEST_CR3, 0x7000);
	SET(GUEST_CR4, CR4_PAE | CR4_VMXE);
	SET(GUEST_EFER, EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE);
	SET(GUEST_PAT, 0x0007040600070406ull);
	SET(GUEST_DR7, 0x400);
	SET(GUEST_RFLAGS, 0x202);
	SET(GUEST_RIP, 0xffffffff81000000ull);
	SET(GUEST_LINK, VMX_NO_LINK);
	for (unsigned i = 0; i < 6; i++) {
		set_segment(i, 0x18, 0xffffffff, i == 1 ? 0xa09b : 0xc093);
	}
	set_segment(6, 0, 0, SEG_UNUSABLE);
	set_segment(7, 0x40, 0x67, 0x8b);
}

static int setup(void **state)
{
	(void)state;
	memset(&v, 0, sizeof(v));
	caps = (struct vmx_caps){
		.phys_bits = 39,
		.pin = VMX_PIN_INTERRUPT | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI,
		.proc = VMX_PROC_SECONDARY | VMX_PROC_TPR_SHADOW | VMX_PROC_IO_BITMAPS |
			VMX_PROC_MSR_BITMAPS,
		.proc2 = VMX_PROC2_EPT | VMX_PROC2_VPID | VMX_PROC2_UNRESTRICTED,
		.exit = VMX_EXIT_HOST64,
		.entry = VMX_ENTRY_LOAD_EFER,
		.eptp = 0x5e,
		.cr0_fixed0 = CR0_NE,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = 0x3727ff,
	};
	good_controls();
	good_host();
	good_guest();
	return 0;
}

static void good_state_breaks_nothing(void **state)
{
	(void)state;
	assert_null(vmx_check(&v, &caps));
}

/* One field of the good state, a value that breaks it, and a word of the sentence. */
struct wrong {
	enum vmcs_index at;
	uint64_t value;
	const char *says;
};

#define WRONG(name, value, says) \
	{ \
		VMCS_AT_##name, (value), (says) \
	}

static void expect_each(const struct wrong *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t good = v.value[table[i].at];
		const char *why;

		v.value[table[i].at] = table[i].value;
		why = vmx_check(&v, &caps);
		if (why == NULL || strstr(why, table[i].says) == NULL) {
			fail_msg("%s = 0x%llx: \"%s\", not \"%s\"", vmcs_fields[table[i].at].name,
				 (unsigned long long)table[i].value, why != NULL ? why : "fine",
				 table[i].says);
		}
		v.value[table[i].at] = good;
		assert_null(vmx_check(&v, &caps));
	}
}

static void apic_virtualization(void **state)
{
	const uint64_t base = VMX_PROC2_EPT | VMX_PROC2_VPID | VMX_PROC2_UNRESTRICTED;
	const struct wrong table[] = {
		WRONG(APIC_ACCESS, 0x9008, "APIC-access page"),
		WRONG(APIC_ACCESS, BIT(39), "APIC-access page"),
		WRONG(PROC2_CONTROLS, base | VMX_PROC2_APIC_ACCESSES | VMX_PROC2_X2APIC, "both"),
		WRONG(PROC_CONTROLS, VMX_PROC_SECONDARY, "without a TPR shadow"),
		WRONG(PIN_CONTROLS, VMX_PIN_NMI, "external-interrupt exiting"),
	};

	(void)state;
	/* So that no other rule wants them. */
	caps.proc = VMX_PROC_SECONDARY;
	caps.pin = VMX_PIN_NMI;
	SET(APIC_ACCESS, 0x9000);
	SET(PROC2_CONTROLS, base | VMX_PROC2_APIC_ACCESSES | VMX_PROC2_APIC_REGISTERS |
				    VMX_PROC2_VIRTUAL_INTERRUPTS);
	expect_each(table, ARRAY_SIZE(table));
}

static void control_fields(void **state)
{
	static const struct wrong table[] = {
		WRONG(PIN_CONTROLS, 0, "pin-based"),
		WRONG(PROC_CONTROLS, 0, "execution control"),
		WRONG(EXIT_CONTROLS, 0, "VM-exit control"),
		WRONG(ENTRY_CONTROLS, VMX_ENTRY_IA32E, "VM-entry control"),
		WRONG(IO_BITMAP_A, 0x1001, "I/O bitmap"),
		WRONG(IO_BITMAP_B, BIT(39), "I/O bitmap"),
		WRONG(MSR_BITMAP, 0x800, "MSR bitmap"),
		WRONG(VIRTUAL_APIC, 4, "virtual-APIC"),
		WRONG(TPR_THRESHOLD, 0x10, "TPR threshold"),
		WRONG(VPID, 0, "VPID"),
		WRONG(EPTP, BIT(39) | 0x5e, "EPT pointer"),
		WRONG(EPTP, 0x5018, "EPT pointer"),
		WRONG(CR3_TARGET_COUNT, 5, "CR3 targets"),
		WRONG(ENTRY_INTERRUPTION, 0x80000130, "reserved type"),
		WRONG(ENTRY_INTERRUPTION, 0x80000700, "monitor-trap"),
		WRONG(ENTRY_INTERRUPTION, 0x80000203, "vector other than 2"),
		WRONG(ENTRY_INTERRUPTION, 0x80000320, "above 31"),
		WRONG(ENTRY_INTERRUPTION, 0x8000030d, "error code"),
		WRONG(ENTRY_INTERRUPTION, 0x80000b06, "error code"),
		WRONG(ENTRY_INTERRUPTION, 0x80000480, "instruction length"),
		WRONG(ENTRY_INTERRUPTION, 0x80001031, "reserved bits"),
	};

	(void)state;
	expect_each(table, ARRAY_SIZE(table));
	/* No error code in real mode, one in protected mode. */
	SET(ENTRY_INTERRUPTION, 0x80000b0d);
	assert_null(vmx_check_controls(&v, &caps));
	SET(ENTRY_ERROR_CODE, 0x8000);
	assert_non_null(strstr(vmx_check_controls(&v, &caps), "15 bits"));
	SET(ENTRY_ERROR_CODE, 0);
	SET(GUEST_CR0, CR0_NE);
	assert_non_null(strstr(vmx_check_controls(&v, &caps), "error code"));
	SET(ENTRY_INTERRUPTION, 0x8000030d);
	assert_null(vmx_check_controls(&v, &caps));
}

static void host_fields(void **state)
{
	static const struct wrong table[] = {
		WRONG(HOST_CR0, 0x80050013, "host CR0"),
		WRONG(HOST_CR0, 0x50033, "host CR0"),
		WRONG(HOST_CR4, CR4_PAE, "host CR4"),
		WRONG(HOST_CR4, CR4_VMXE, "PAE"),
		WRONG(HOST_CR3, BIT(39), "host CR3"),
		WRONG(HOST_SYSENTER_ESP, BIT(63), "SYSENTER"),
		WRONG(HOST_PAT, 2, "host PAT"),
		WRONG(HOST_EFER, EFER_LMA, "host EFER"),
		WRONG(HOST_CS_SELECTOR, 9, "RPL"),
		WRONG(HOST_CS_SELECTOR, 0, "host CS"),
		WRONG(HOST_TR_SELECTOR, 0, "host TR"),
		WRONG(HOST_GS_BASE, BIT(47), "not canonical"),
		WRONG(HOST_RIP, 0, "host RIP"),
	};

	(void)state;
	expect_each(table, ARRAY_SIZE(table));
}

static void guest_registers(void **state)
{
	static const struct wrong table[] = {
		WRONG(GUEST_CR0, 0x80050013, "CR0 has a bit"),
		WRONG(GUEST_CR0, 0x80050032, "CR0.PE is clear"),
		WRONG(GUEST_CR0, 0x50033, "CR0.PG is clear"),
		WRONG(GUEST_CR4, CR4_PAE, "CR4 has a bit"),
		WRONG(GUEST_CR4, CR4_VMXE, "CR4.PAE is clear"),
		WRONG(GUEST_CR4, CR4_PAE | CR4_VMXE | CR4_PKE, "CR4 has a bit"),
		WRONG(GUEST_DEBUGCTL, 4, "DEBUGCTL"),
		WRONG(GUEST_CR3, BIT(39), "CR3"),
		WRONG(GUEST_DR7, BIT(32), "DR7"),
		WRONG(GUEST_SYSENTER_EIP, BIT(62), "SYSENTER"),
		WRONG(GUEST_PAT, 0x0300, "PAT"),
		WRONG(GUEST_EFER, EFER_LME | EFER_LMA | EFER_SVME, "EFER has reserved"),
		WRONG(GUEST_EFER, EFER_LME, "EFER.LMA"),
		WRONG(GUEST_EFER, EFER_LMA, "EFER.LME"),
		WRONG(GUEST_RIP, BIT(47), "RIP is not canonical"),
		WRONG(GUEST_RFLAGS, 0, "RFLAGS"),
		WRONG(GUEST_RFLAGS, 0x8002, "RFLAGS"),
		WRONG(GUEST_ACTIVITY, 4, "activity"),
		WRONG(GUEST_INTERRUPTIBILITY, 0x20, "interruptibility"),
		WRONG(GUEST_INTERRUPTIBILITY, 3, "at once"),
		WRONG(GUEST_PENDING_DEBUG, 0x2000, "pending debug"),
		WRONG(GUEST_LINK, 0, "link"),
	};

	(void)state;
	expect_each(table, ARRAY_SIZE(table));
}

static void guest_segments(void **state)
{
	static const struct wrong table[] = {
		WRONG(GUEST_CS_RIGHTS, 0x1a09b, "CS is unusable"),
		WRONG(GUEST_CS_RIGHTS, 0xa09a, "CS is neither"),
		WRONG(GUEST_CS_RIGHTS, 0xa0fb, "CS.DPL is not SS.DPL"),
		WRONG(GUEST_CS_RIGHTS, 0xa0ff, "conforming"),
		WRONG(GUEST_CS_RIGHTS, 0xe09b, "CS.L and CS.D"),
		WRONG(GUEST_CS_RIGHTS, 0xa01b, "not present"),
		WRONG(GUEST_CS_BASE, BIT(32), "base of CS"),
		WRONG(GUEST_SS_RIGHTS, 0xc091, "SS is not writable"),
		WRONG(GUEST_SS_RIGHTS, 0xc083, "system segment"),
		WRONG(GUEST_DS_RIGHTS, 0xc092, "not marked accessed"),
		WRONG(GUEST_DS_RIGHTS, 0xc099, "execute-only"),
		WRONG(GUEST_DS_RIGHTS, 0x4093, "granularity"),
		WRONG(GUEST_DS_RIGHTS, 0xc193, "reserved access rights"),
		WRONG(GUEST_DS_LIMIT, 0xfffff000, "granularity"),
		WRONG(GUEST_DS_BASE, BIT(32), "DS or ES"),
		WRONG(GUEST_FS_BASE, BIT(47), "FS or GS"),
		WRONG(GUEST_TR_RIGHTS, 0x10000, "TR is unusable"),
		WRONG(GUEST_TR_RIGHTS, 0x83, "busy TSS"),
		WRONG(GUEST_TR_RIGHTS, 0x9b, "no TSS has"),
		WRONG(GUEST_TR_SELECTOR, 4, "TR comes from the LDT"),
		WRONG(GUEST_TR_BASE, BIT(47), "base of TR"),
		WRONG(GUEST_LDTR_RIGHTS, 0x83, "LDTR is not"),
		WRONG(GUEST_LDTR_RIGHTS, 0x2, "LDTR is not"),
		WRONG(GUEST_GDTR_BASE, BIT(47), "GDTR or IDTR"),
		WRONG(GUEST_IDTR_LIMIT, 0x10000, "limit of GDTR"),
	};

	(void)state;
	expect_each(table, ARRAY_SIZE(table));
	/* What is unusable may hold anything. */
	SET(GUEST_DS_RIGHTS, SEG_UNUSABLE | 0xc092);
	SET(GUEST_ES_RIGHTS, SEG_UNUSABLE);
	assert_null(vmx_check(&v, &caps));
}

static void real_and_virtual_8086_mode(void **state)
{
	(void)state;
	SET(ENTRY_CONTROLS, caps.entry);
	SET(GUEST_CR0, CR0_NE);
	SET(GUEST_EFER, 0);
	SET(GUEST_CR4, CR4_VMXE);
	SET(GUEST_RIP, 0xfff0);
	for (unsigned i = 0; i < 6; i++) {
		set_segment(i, 0, 0xffff, i == 1 ? 0x9b : 0x93);
	}
	SET(GUEST_CS_BASE, 0xffff0000);
	assert_null(vmx_check(&v, &caps));
	SET(GUEST_CS_RIGHTS, 0x93); /* a data segment, as after a far jump in real mode */
	assert_null(vmx_check(&v, &caps));
	SET(GUEST_SS_RIGHTS, 0xf3);
	assert_non_null(strstr(vmx_check(&v, &caps), "SS.DPL is not 0"));
	SET(GUEST_CR4, CR4_VMXE | CR4_PCIDE);
	assert_non_null(strstr(vmx_check(&v, &caps), "PCIDE"));
	SET(GUEST_CR4, CR4_VMXE);
	SET(GUEST_RFLAGS, RFLAGS_VM | 2);
	assert_non_null(strstr(vmx_check(&v, &caps), "virtual-8086"));
	SET(GUEST_CR0, CR0_NE | CR0_PE);
	for (unsigned i = 0; i < 6; i++) {
		set_segment(i, 0x100, 0xffff, 0xf3);
		v.value[VMCS_AT_GUEST_ES_BASE + i] = 0x1000;
	}
	assert_null(vmx_check(&v, &caps));
	SET(GUEST_RIP, BIT(32));
	assert_non_null(strstr(vmx_check(&v, &caps), "4 GiB"));
}

static void events_against_blocking(void **state)
{
	static const struct {
		uint64_t info, state, rflags, pending;
		const char *says; /* NULL: fine */
	} table[] = {
		{0x80000031, 0, 0x202, 0, NULL},
		{0x80000031, 0, 2, 0, "RFLAGS.IF is clear"},
		{0x80000031, 1, 0x202, 0, "shadow of STI"},
		{0x80000202, 2, 0x202, 0, "shadow of MOV SS"},
		{0x80000202, 8, 0x202, 0, "NMIs are blocked"},
		{0x80000306, 2, 0x202, 0, NULL},
		{0, 1, 2, 0, "blocked by STI while"},
		{0, 2, 0x302, 0, "pending single step"},
		{0, 2, 0x302, BIT(14), NULL},
		{0, 2, 0x202, BIT(14), "pending single step"},
		{0, 0, 0x302, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *why;

		SET(ENTRY_INTERRUPTION, table[i].info);
		SET(GUEST_INTERRUPTIBILITY, table[i].state);
		SET(GUEST_RFLAGS, table[i].rflags);
		SET(GUEST_PENDING_DEBUG, table[i].pending);
		why = vmx_check(&v, &caps);
		if (table[i].says == NULL) {
			assert_null(why);
		} else {
			assert_non_null(why);
			assert_non_null(strstr(why, table[i].says));
		}
	}
}

static void windows_need_their_controls(void **state)
{
	(void)state;
	caps.pin = VMX_PIN_INTERRUPT;
	SET(PROC_CONTROLS, caps.proc | VMX_PROC_NMI_WINDOW);
	SET(PIN_CONTROLS, VMX_PIN_INTERRUPT | VMX_PIN_NMI);
	assert_non_null(strstr(vmx_check(&v, &caps), "without virtual NMIs"));
	SET(PIN_CONTROLS, VMX_PIN_INTERRUPT | VMX_PIN_VIRTUAL_NMI);
	assert_non_null(strstr(vmx_check(&v, &caps), "without NMI exiting"));
	SET(PIN_CONTROLS, VMX_PIN_INTERRUPT | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI);
	assert_null(vmx_check(&v, &caps));
	SET(PROC2_CONTROLS, VMX_PROC2_UNRESTRICTED);
	assert_non_null(strstr(vmx_check(&v, &caps), "unrestricted guest without EPT"));
}

/* SDM "VM-Execution Control Fields", of the checks on a VM entry. */
static void posted_interrupts(void **state)
{
	(void)state;
	SET(PIN_CONTROLS, caps.pin | VMX_PIN_POSTED_INTERRUPTS);
	assert_non_null(strstr(vmx_check(&v, &caps), "without virtual-interrupt delivery"));
	SET(PROC2_CONTROLS, caps.proc2 | VMX_PROC2_VIRTUAL_INTERRUPTS);
	assert_non_null(strstr(vmx_check(&v, &caps), "acknowledge interrupt"));
	SET(EXIT_CONTROLS, caps.exit | VMX_EXIT_ACK_INTERRUPT);
	SET(POST_DESCRIPTOR, 0x40);
	SET(POST_VECTOR, 255);
	assert_null(vmx_check(&v, &caps));
	SET(POST_VECTOR, 256);
	assert_non_null(strstr(vmx_check(&v, &caps), "above 255"));
	SET(POST_VECTOR, 0);
	SET(POST_DESCRIPTOR, 0x60);
	assert_non_null(strstr(vmx_check(&v, &caps), "64 aligned bytes"));
	SET(POST_DESCRIPTOR, BIT(39));
	assert_non_null(strstr(vmx_check(&v, &caps), "64 aligned bytes"));
}

static void instruction_errors_have_names(void **state)
{
	(void)state;
	assert_non_null(strstr(vmx_insn_error_name(7), "control"));
	assert_non_null(strstr(vmx_insn_error_name(8), "host"));
	assert_string_equal(vmx_insn_error_name(0), "?");
	assert_string_equal(vmx_insn_error_name(14), "?");
	assert_string_equal(vmx_insn_error_name(~0ull), "?");
}

#define WITH(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(good_state_breaks_nothing),
		WITH(control_fields),
		WITH(apic_virtualization),
		WITH(host_fields),
		WITH(guest_registers),
		WITH(guest_segments),
		WITH(real_and_virtual_8086_mode),
		WITH(events_against_blocking),
		WITH(windows_need_their_controls),
		WITH(posted_interrupts),
		WITH(instruction_errors_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
