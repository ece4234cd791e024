/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended processor state (x87, SSE, AVX, AVX-512, PKRU). The hypervisor is compiled without
 * vector registers, so they always hold the state of the vCPU loaded last; it is saved and replaced
 * whole when another vCPU comes onto the CPU, never lazily.
 *
 * Source: Intel SDM volume 1 "Managing State Using the XSAVE Feature Set".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* Turns XSAVE on for this CPU with everything it supports; every CPU calls it once. */
void fpu_cpu_init(void);
/* Components that are saved and restored, all that this CPU's XCR0 can hold; 3 without XSAVE. */
uint64_t fpu_supported(void);
/* Bytes of a save area. */
uint32_t fpu_area_size(void);
/*
 * Tries whether XSAVEC writes components where XRSTOR reads them, once per machine, behind
 * fpu_cpu_init; the registers are in their initial state afterwards. Bochs 2.7 writes AVX and what
 * is behind it 160 bytes too low.
 */
void fpu_try_xsavec(void);
/* What that found; true where there is no XSAVEC, or no AVX. */
bool fpu_xsavec_works(void);
/* Puts the reset state into vcpu->fpu, xcr0 and xss; the vCPU is not loaded. */
void fpu_reset(struct vcpu *vcpu);
/* XCR0 as the guest has it now; the vCPU is loaded on this CPU. */
uint64_t fpu_xcr0(const struct vcpu *vcpu);
/* To and from the CPU. Saving reads XCR0 back: not every CPU lets XSETBV be intercepted (QEMU 7.2's
 * emulated AMD-V does not). */
void fpu_save(struct vcpu *vcpu);
void fpu_load(const struct vcpu *vcpu);
/*
 * XSETBV by the guest: false when the value is not allowed (#GP). `allowed` is the CPUID mask.
 * The vCPU is loaded on this CPU.
 */
bool fpu_write_xcr0(struct vcpu *vcpu, uint64_t value, uint64_t allowed);
