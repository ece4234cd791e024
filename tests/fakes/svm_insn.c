/* SPDX-License-Identifier: Apache-2.0 */
/* svm/svm_insn.h in host programs: VMRUN runs a C function. */
#include <string.h>

#include "mm/pool.h"
#include "svm/decode.h"
#include "tests/fakes/fake_svm.h"

struct fake_svm fake_svm;

void fake_svm_reset(void)
{
	memset(&fake_svm, 0, sizeof(fake_svm));
}

void svm_enter(struct vcpu *vcpu, hpa_t vmcb_hpa, hpa_t host)
{
	struct vmcb *vmcb = pool_ptr(vmcb_hpa);

	fake_svm.enter_count++;
	fake_svm.entered = *vmcb;
	fake_svm.vmcb = vmcb_hpa;
	fake_svm.host = host;
	vmcb->exit_code = SVM_EXIT_INTR;
	vmcb->exit_info1 = 0;
	vmcb->exit_info2 = 0;
	vmcb->exit_int_info = 0;
	vmcb->nrip = 0;
	vmcb->insn_count = 0;
	vmcb->event_inj &= ~SVM_EVENT_VALID;
	if (fake_svm.guest != NULL) {
		fake_svm.guest(vcpu, vmcb);
	}
}

void svm_vmsave(hpa_t vmcb)
{
	fake_svm.vmsave_count++;
	fake_svm.vmsave_last = vmcb;
}
