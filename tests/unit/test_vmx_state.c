/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and segments by their neutral names, loaded and not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fakes/vmx_rig.h"

static struct vmx_vcpu *v;
static struct vm_exit out;

static int start(void **state)
{
	(void)state;
	v = rig_start(&vmx_bochs);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return rig_stop();
}

static uint64_t get(enum vcpu_reg reg)
{
	return rig.backend->get_reg(rig.vcpu, reg);
}

static void set(enum vcpu_reg reg, uint64_t value)
{
	rig.backend->set_reg(rig.vcpu, reg, value);
}

static const struct {
	enum vcpu_reg reg;
	uint64_t value;
} values[] = {
	{VCPU_REG_RFLAGS, 0x202},
	{VCPU_REG_CR0, 0x60000010},
	{VCPU_REG_CR2, 0x1234},
	{VCPU_REG_CR3, 0x5000},
	{VCPU_REG_CR4, 0x6f0},
	{VCPU_REG_CR8, 9},
	{VCPU_REG_DR6, 0xffff0ff1},
	{VCPU_REG_DR7, 0x401},
	{VCPU_REG_EFER, 0xd01},
	{VCPU_REG_PAT, 0x0007010600070106ull},
	{VCPU_REG_STAR, 0x0023001000000000ull},
	{VCPU_REG_LSTAR, 0xffffffff81000000ull},
	{VCPU_REG_CSTAR, 0xffffffff81000100ull},
	{VCPU_REG_SFMASK, 0x47700},
	{VCPU_REG_FS_BASE, 0x7f0000000000ull},
	{VCPU_REG_GS_BASE, 0xffff888000000000ull},
	{VCPU_REG_KERNEL_GS_BASE, 0x7f0000001000ull},
	{VCPU_REG_SYSENTER_CS, 0x10},
	{VCPU_REG_SYSENTER_ESP, 0xffff800000000000ull},
	{VCPU_REG_SYSENTER_EIP, 0xffffffff81000200ull},
	{VCPU_REG_DEBUGCTL, 1},
};

static void every_register_comes_back(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(values), VCPU_REG_COUNT);
	for (unsigned loaded = 0; loaded < 2; loaded++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			set(values[i].reg, 0);
		}
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			set(values[i].reg, values[i].value);
		}
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			assert_int_equal(get(values[i].reg), values[i].value);
		}
		if (loaded == 0) {
			rig.backend->vcpu_put(rig.vcpu);
		}
	}
	/* What was written while unloaded is there when it is loaded. */
	rig.backend->vcpu_load(rig.vcpu, 0);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_int_equal(get(values[i].reg), values[i].value);
	}
}

/* An access from outside leaves the CPU with the VMCS it had, and this one in memory. */
static void borrowing_disturbs_nobody(void **state)
{
	struct vcpu *other = rig.backend->vcpu_create(&rig.vm);
	hpa_t mine = v->vmcs_hpa;
	struct vcpu_segment cs;
	struct vcpu_context context;

	(void)state;
	rig.backend->vcpu_run(rig.vcpu, &out);
	rig.backend->vcpu_reset(other);
	rig.backend->set_reg(other, VCPU_REG_CR3, 0x7000);
	rig.backend->get_seg(other, VCPU_SEG_CS, &cs);
	rig.backend->get_context(other, &context);
	(void)rig.backend->blocked(other, VCPU_EVENT_NMI);
	rig.backend->set_tsc_offset(other, 5);
	assert_int_equal(rig.backend->get_reg(other, VCPU_REG_CR3), 0x7000);
	assert_int_equal(vmx_vmptrst().v, mine.v);
	assert_false(fake_vmcs_at(vmx_vcpu(other)->vmcs_hpa)->active);
	assert_int_equal(get(VCPU_REG_CR3), 0);
	/* Still launched: the run after it resumes. */
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_false(fake_vmx.entered_by_launch);
	assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
	rig.backend->vcpu_destroy(other);
	/* With nobody loaded, none is current afterwards. */
	rig.backend->vcpu_put(rig.vcpu);
	assert_int_equal(get(VCPU_REG_RFLAGS), 2);
	assert_int_equal(vmx_vmptrst().v, VMX_NO_VMCS);
}

static void cr0_keeps_what_is_the_hosts(void **state)
{
	(void)state;
	set(VCPU_REG_CR0, CR0_CD | CR0_NW | CR0_ET);
	assert_int_equal(get(VCPU_REG_CR0), CR0_CD | CR0_NW | CR0_ET);
	/* The CPU's own: caches stay on, NE as VMX operation wants it. */
	assert_int_equal(vmcs_read(VMCS_GUEST_CR0), CR0_ET | CR0_NE);
	/* What the guest changes itself shows; its CD is the shadow's. */
	vmcs_write(VMCS_GUEST_CR0, CR0_ET | CR0_NE | CR0_PE | CR0_TS);
	assert_int_equal(get(VCPU_REG_CR0), CR0_CD | CR0_NW | CR0_ET | CR0_PE | CR0_TS);
	assert_int_equal(vmcs_read(VMCS_CR0_MASK) & (CR0_CD | CR0_NW | CR0_NE),
			 CR0_CD | CR0_NW | CR0_NE);
	assert_int_equal(vmcs_read(VMCS_CR0_MASK) >> 32, 0xffffffff);
}

static void cr4_keeps_what_is_the_hosts(void **state)
{
	uint64_t mask;

	(void)state;
	set(VCPU_REG_CR4, CR4_PAE | CR4_PGE);
	assert_int_equal(get(VCPU_REG_CR4), CR4_PAE | CR4_PGE);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR4), CR4_PAE | CR4_PGE | CR4_VMXE | CR4_MCE);
	mask = vmcs_read(VMCS_CR4_MASK);
	assert_int_equal(mask & (CR4_VMXE | CR4_MCE | CR4_SMXE | CR4_LA57),
			 CR4_VMXE | CR4_MCE | CR4_SMXE | CR4_LA57);
	/* Bits this CPU lacks exit, so that the guest gets its #GP from the policy. */
	assert_int_equal(mask & ~vmx.caps.cr4_fixed1, ~vmx.caps.cr4_fixed1);
	set(VCPU_REG_CR4, CR4_LA57 | CR4_PKE);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR4) & (CR4_LA57 | CR4_PKE), 0);
}

static void long_mode_follows_efer(void **state)
{
	(void)state;
	set(VCPU_REG_EFER, EFER_LME);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E, 0);
	set(VCPU_REG_EFER, EFER_LME | EFER_LMA);
	assert_true(vmcs_read(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_IA32E,
			 vmx.caps.entry | VMX_ENTRY_IA32E);
	set(VCPU_REG_EFER, 0);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CONTROLS), vmx.caps.entry);
}

/* The order of hv/guest.c; the fake's entry makes the CPU's checks. */
static void a_64_bit_start_can_be_entered(void **state)
{
	static const struct vcpu_segment code = {0, 0xffffffff, 0x10, 0xa09b};
	static const struct vcpu_segment data = {0, 0xffffffff, 0x18, 0xc093};
	static const struct vcpu_segment tr = {0, 0x67, 0, 0x8b};
	static const struct vcpu_segment none = {0, 0, 0, SEG_UNUSABLE};
	static const struct vcpu_segment gdt = {0x7000, 0x1f, 0, 0};
	static const struct vcpu_segment idt = {0, 0, 0, 0};

	(void)state;
	rig.backend->vcpu_put(rig.vcpu);
	set(VCPU_REG_EFER, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE);
	set(VCPU_REG_CR4, CR4_PAE);
	set(VCPU_REG_CR3, 0x2000);
	set(VCPU_REG_CR0, CR0_PG | CR0_PE | CR0_ET);
	set(VCPU_REG_RFLAGS, 0);
	for (unsigned i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
		rig.backend->set_seg(rig.vcpu, (enum vcpu_seg)i, i == VCPU_SEG_CS ? &code : &data);
	}
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_TR, &tr);
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_LDTR, &none);
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_GDTR, &gdt);
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_IDTR, &idt);
	rig.vcpu->rip = 0xffffffff81000000ull;
	rig.backend->vcpu_load(rig.vcpu, 0);
	rig.backend->vcpu_run(rig.vcpu, &out);
	assert_int_equal(out.kind, VM_EXIT_HOST_INTERRUPT);
}

static void segments_come_back(void **state)
{
	struct vcpu_segment s = {0x12345678, 0xffffffff, 0x23, 0xc0f3};
	struct vcpu_segment back;

	(void)state;
	for (unsigned i = 0; i < VCPU_SEG_COUNT; i++) {
		s.base += 0x1000;
		rig.backend->set_seg(rig.vcpu, (enum vcpu_seg)i, &s);
	}
	for (unsigned i = 0; i < VCPU_SEG_COUNT; i++) {
		rig.backend->get_seg(rig.vcpu, (enum vcpu_seg)i, &back);
		assert_int_equal(back.base, 0x12345678 + 0x1000 * (i + 1));
		if (i < VCPU_SEG_GDTR) {
			assert_int_equal(back.limit, 0xffffffff);
			assert_int_equal(back.selector, 0x23);
			assert_int_equal(back.attr, 0xc0f3);
		} else {
			assert_int_equal(back.limit, 0xffff);
			assert_int_equal(back.attr, 0);
		}
	}
	assert_int_equal(get(VCPU_REG_FS_BASE), 0x12345678 + 0x1000 * (VCPU_SEG_FS + 1));
}

static void attributes_are_made_to_fit(void **state)
{
	static const struct {
		uint32_t limit, attr, stored;
	} table[] = {
		{0xffff, 0x93, 0x93},	      /* 16-bit */
		{0xfffff, 0x8093, 0x8093},    /* either G would do */
		{0xffffffff, 0x4093, 0xc093}, /* G must be set */
		{0x67, 0x808b, 0x8b},	      /* G must be clear */
		{0, 0, 0x10000},	      /* not present: unusable */
		{0, 0x10000, 0x10000},
		{0xffff, 0xfffe0f93, 0x93}, /* reserved bits */
	};
	struct vcpu_segment back;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct vcpu_segment s = {.limit = table[i].limit, .attr = table[i].attr};

		rig.backend->set_seg(rig.vcpu, VCPU_SEG_DS, &s);
		rig.backend->get_seg(rig.vcpu, VCPU_SEG_DS, &back);
		assert_int_equal(back.attr, table[i].stored);
	}
}

static void the_context_is_all_of_it(void **state)
{
	struct vcpu_segment cs = {0xffff0000, 0xffff, 0xf000, 0x9b};
	struct vcpu_segment ss = {0, 0xffff, 0x2b, 0xf3};
	struct vcpu_context c;

	(void)state;
	set(VCPU_REG_CR0, CR0_PE | CR0_ET | CR0_CD);
	set(VCPU_REG_CR3, 0x3000);
	set(VCPU_REG_CR4, CR4_PSE);
	set(VCPU_REG_RFLAGS, RFLAGS_IF);
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_CS, &cs);
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_SS, &ss);
	rig.backend->get_context(rig.vcpu, &c);
	assert_int_equal(c.cr0, CR0_PE | CR0_ET | CR0_CD);
	assert_int_equal(c.cr3, 0x3000);
	assert_int_equal(c.cr4, CR4_PSE);
	assert_int_equal(c.efer, 0);
	assert_int_equal(c.rflags, RFLAGS_IF | RFLAGS_FIXED1);
	assert_int_equal(c.cs_base, 0xffff0000);
	assert_int_equal(c.cs_attr, 0x9b);
	assert_int_equal(c.cpl, 3);
}

static void what_would_fault_in_the_host_is_cut(void **state)
{
	(void)state;
	set(VCPU_REG_LSTAR, 0x8000000000000000ull);
	assert_int_equal(fake_msr_get(MSR_LSTAR), 0);
	set(VCPU_REG_KERNEL_GS_BASE, 0x0000800000000000ull);
	assert_int_equal(fake_msr_get(MSR_KERNEL_GS_BASE), 0xffff800000000000ull);
	set(VCPU_REG_SFMASK, ~0ull);
	assert_int_equal(fake_msr_get(MSR_SFMASK), 0xffffffff);
	set(VCPU_REG_DR6, ~0ull);
	assert_int_equal(fake_vmx.dr6, 0xffffffff);
	set(VCPU_REG_DR7, ~0ull);
	assert_int_equal(get(VCPU_REG_DR7), 0xffffffff);
}

/* A 32-bit kernel with PAE paging: the CPU takes the four topmost entries at MOV CR3. */
static void pae_paging_loads_its_directory(void **state)
{
	static const uint64_t entries[4] = {0x1001, 0x21e7, ~0ull, 0};

	(void)state;
	memcpy(rig_ram + 0x2020, entries, sizeof(entries));
	set(VCPU_REG_CR4, CR4_PAE);
	set(VCPU_REG_CR3, 0x2020);
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE0), 0); /* not yet: paging is off */
	set(VCPU_REG_CR0, CR0_PG | CR0_PE);
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE0), 0x1001);
	/* Reserved bits would be refused at entry. */
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE1), 0x2001);
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE2), 0x7ffffffe19ull);
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE3), 0);
	/* A directory that is no memory maps nothing. */
	set(VCPU_REG_CR3, 0x40000000);
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE0), 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE2), 0);
	/* Long mode has none. */
	set(VCPU_REG_EFER, EFER_LMA | EFER_LME);
	set(VCPU_REG_CR3, 0x2020);
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE0), 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(every_register_comes_back),
		WITH(borrowing_disturbs_nobody),
		WITH(cr0_keeps_what_is_the_hosts),
		WITH(cr4_keeps_what_is_the_hosts),
		WITH(long_mode_follows_efer),
		WITH(a_64_bit_start_can_be_entered),
		WITH(segments_come_back),
		WITH(attributes_are_made_to_fit),
		WITH(the_context_is_all_of_it),
		WITH(what_would_fault_in_the_host_is_cut),
		WITH(pae_paging_loads_its_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
