/* SPDX-License-Identifier: Apache-2.0 */
/* Constants for vmx_entry.S. Compiled to assembly only; the Makefile turns each
 * "@define NAME value" of it into a line of build/gen/vmx_offsets.h. */
#include "vmx/vmcs.h"
#include "vmx/vmx_insn.h"

#define DEFINE(name, value) __asm__ volatile("#@define " #name " %c0" : : "i"(value))

void vmx_offsets(void);

void vmx_offsets(void)
{
	DEFINE(FIELD_HOST_RSP, VMCS_HOST_RSP);
	DEFINE(RESULT_OK, VMX_OK);
	DEFINE(RESULT_FAIL_VALID, VMX_FAIL_VALID);
	DEFINE(RESULT_FAIL_INVALID, VMX_FAIL_INVALID);
}
