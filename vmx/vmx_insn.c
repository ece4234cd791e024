/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VT-x instructions outside the run path, which is vmx_entry.S. Each tells its result in CF (no
 * current VMCS) and ZF (its error field says more).
 */
#include "vmx/vmx_insn.h"

#include "hv/base/check.h"
#include "hv/cpu/desc.h"

/* A descriptor as INVEPT wants it. */
struct inv_descriptor {
	uint64_t low;
	uint64_t high;
};

extern const char vmx_exited[];

static enum vmx_result result_of(bool carry, bool zero)
{
	if (carry) {
		return VMX_FAIL_INVALID;
	}
	return zero ? VMX_FAIL_VALID : VMX_OK;
}

enum vmx_result vmx_vmxon(hpa_t region)
{
	bool carry, zero;

	__asm__ volatile("vmxon %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region.v) : "memory");
	return result_of(carry, zero);
}

void vmx_vmxoff(void)
{
	__asm__ volatile("vmxoff" : : : "cc", "memory");
}

enum vmx_result vmx_vmclear(hpa_t vmcs)
{
	bool carry, zero;

	__asm__ volatile("vmclear %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs.v) : "memory");
	return result_of(carry, zero);
}

enum vmx_result vmx_vmptrld(hpa_t vmcs)
{
	bool carry, zero;

	__asm__ volatile("vmptrld %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs.v) : "memory");
	return result_of(carry, zero);
}

hpa_t vmx_vmptrst(void)
{
	hpa_t vmcs;

	__asm__ volatile("vmptrst %0" : "=m"(vmcs.v) : : "cc", "memory");
	return vmcs;
}

enum vmx_result vmx_vmread(uint32_t field, uint64_t *value)
{
	bool carry, zero;
	uint64_t out;

	__asm__ volatile("vmread %3, %2"
			 : "=@ccc"(carry), "=@ccz"(zero), "=r"(out)
			 : "r"((uint64_t)field)
			 : "memory");
	*value = out;
	return result_of(carry, zero);
}

/* CF and ZF both clear is success: JNA takes either. */
uint64_t vmcs_read(enum vmcs_field field)
{
	const bool vmread_worked = false;
	uint64_t value;

	__asm__ goto("vmread %1, %0\n\tjna %l[failed]"
		     : "=r"(value)
		     : "r"((uint64_t)field)
		     : "cc", "memory"
		     : failed);
	return value;
failed:
	CHECK(vmread_worked);
	return 0;
}

void vmcs_write(enum vmcs_field field, uint64_t value)
{
	const bool vmwrite_worked = false;

	__asm__ goto("vmwrite %1, %0\n\tjna %l[failed]"
		     :
		     : "r"((uint64_t)field), "r"(value)
		     : "cc", "memory"
		     : failed);
	return;
failed:
	CHECK(vmwrite_worked);
}

enum vmx_result vmx_invept(uint64_t type, uint64_t eptp)
{
	struct inv_descriptor d = {.low = eptp};
	bool carry, zero;

	__asm__ volatile("invept %2, %3"
			 : "=@ccc"(carry), "=@ccz"(zero)
			 : "m"(d), "r"(type)
			 : "memory");
	return result_of(carry, zero);
}

uint64_t vmx_exit_address(void)
{
	return (uint64_t)(uintptr_t)vmx_exited;
}

/* The handler's IRET ends the blocking that the exit left behind. */
void vmx_host_nmi(void)
{
	__asm__ volatile("int $2" : : : "memory");
}

void vmx_sidt(struct desc_ptr *desc)
{
	__asm__ volatile("sidt %0" : "=m"(*desc) : : "memory");
}

uint64_t vmx_read_dr6(void)
{
	uint64_t value;

	__asm__ volatile("mov %%db6, %0" : "=r"(value));
	return value;
}

void vmx_write_dr6(uint64_t value)
{
	__asm__ volatile("mov %0, %%db6" : : "r"(value));
}

void vmx_verw(void)
{
	uint16_t selector = GDT_DATA;

	__asm__ volatile("verw %0" : : "m"(selector) : "cc", "memory");
}
