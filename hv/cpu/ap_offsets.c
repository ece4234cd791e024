/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets into the trampoline page for ap_trampoline.S: compiled to build/gen/ap_offsets.h. */
#include "hv/cpu/ap_mailbox.h"

#define DEFINE(name, value) __asm__ volatile("# @define " #name " %0" : : "i"(value))
#define FIELD(name, field) DEFINE(name, AP_MAILBOX_OFFSET + offsetof(struct ap_mailbox, field))

void ap_offsets(void);

void ap_offsets(void)
{
	FIELD(AP_SLOT, slot);
	FIELD(AP_EFER, efer);
	FIELD(AP_CR3, cr3);
	FIELD(AP_STACK, stack);
	FIELD(AP_ENTRY, entry);
	FIELD(AP_ARGUMENT, argument);
	FIELD(AP_LOST, lost);
	FIELD(AP_GDT_PTR, gdt_ptr);
	FIELD(AP_FAR32, far32);
	FIELD(AP_FAR64, far64);
}
