/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consistency checker on arbitrary VMCBs: it answers with a sentence or NULL, reads nothing
 * outside, and what it passes keeps the rules that can be restated in one line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/cpu/regs.h"
#include "svm/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Input: records of {offset in 8-byte words, 8 bytes}, written over a VMCB that passes. */
#define RECORD 10u

static void base(struct vmcb *vmcb)
{
	memset(vmcb, 0, sizeof(*vmcb));
	vmcb_set_intercept(vmcb, SVM_INTERCEPT_VMRUN, true);
	vmcb->_asid = 1;
	vmcb->_efer = EFER_SVME;
	vmcb->_cr0 = CR0_ET;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmcb vmcb;
	unsigned phys_bits = 32;
	const char *why;

	base(&vmcb);
	if (size > 0) {
		phys_bits += data[0] % 21;
		data++;
		size--;
	}
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		unsigned word = (data[0] | (unsigned)data[1] << 8) % (sizeof(vmcb) / 8);

		memcpy((char *)&vmcb + (size_t)word * 8, data + 2, 8);
	}
	why = svm_check(&vmcb, phys_bits);
	if (why != NULL) {
		if (strlen(why) < 10) {
			abort();
		}
	} else if (vmcb._asid == 0 || (vmcb._efer & EFER_SVME) == 0 || vmcb._dr7 >> 32 != 0 ||
		   (vmcb._cr0 & (CR0_CD | CR0_NW)) == CR0_NW) {
		abort();
	}
	return 0;
}
