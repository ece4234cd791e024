/* SPDX-License-Identifier: Apache-2.0 */
/* AMD-V instructions outside the run path, which is svm_entry.S. */
#include "svm/svm_insn.h"

void svm_vmsave(hpa_t vmcb)
{
	__asm__ volatile("vmsave %%rax" : : "a"(vmcb.v) : "memory");
}
