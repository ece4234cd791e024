/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the CPU refused a VM entry: the checks it makes before it enters, as sentences. Consulted
 * after a failed entry only, for the message.
 *
 * Source: Intel SDM volume 3 "Checks on VMX Controls", "Checks on Host Control Registers, MSRs, and
 * SSP" and "Checks on the Guest State Area".
 */
#pragma once

#include "vmx/caps.h"
#include "vmx/vmcs.h"

/*
 * The first rule that `v` breaks, controls before host before guest state; NULL when it breaks none
 * of those known here. The words of `caps` are taken as what this CPU allows.
 */
const char *vmx_check(const struct vmcs_image *v, const struct vmx_caps *caps);
/* The same for one area alone. */
const char *vmx_check_controls(const struct vmcs_image *v, const struct vmx_caps *caps);
const char *vmx_check_host(const struct vmcs_image *v, const struct vmx_caps *caps);
const char *vmx_check_guest(const struct vmcs_image *v, const struct vmx_caps *caps);

/* The text of a VM-instruction error (SDM "VM Instruction Error Numbers"); "?" when unknown. */
const char *vmx_insn_error_name(uint64_t number);
