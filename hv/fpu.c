/* SPDX-License-Identifier: Apache-2.0 */
/* Switching of extended processor state. */
#include "hv/fpu.h"

#include "hv/api/vm.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/regs.h"

#define FCW_OFFSET 0
#define MXCSR_OFFSET 24
#define FCW_INIT 0x037fu
#define MXCSR_INIT 0x1f80u
#define LEAF1_ECX_XSAVE BIT32(26)
#define AVX_OFFSET XSAVE_LEGACY_BYTES /* of component 2, always */

static struct {
	bool xsave;
	uint64_t mask;
	uint32_t size;
} host;

/* Each CPU finds the same. Others may be switching vCPUs by it: it never holds anything else. */
void fpu_cpu_init(void)
{
	bool xsave = (cpu_cpuid(1, 0).ecx & LEAF1_ECX_XSAVE) != 0;
	uint64_t mask = XCR0_X87 | XCR0_SSE;
	uint32_t size = FXSAVE_BYTES;

	cpu_write_cr0((cpu_read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	cpu_write_cr4(cpu_read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	if (xsave) {
		struct cpuid_regs leaf = cpu_cpuid(0xd, 0);

		cpu_write_cr4(cpu_read_cr4() | CR4_OSXSAVE);
		/* No guest gets tiles: areas are 8 KiB smaller without, and XFD is no matter. */
		mask = (leaf.eax | (uint64_t)leaf.edx << 32) & ~XCR0_AMX;
		cpu_xsetbv(0, mask);
		size = cpu_cpuid(0xd, 0).ebx;
	}
	host.xsave = xsave;
	host.mask = mask;
	host.size = size;
}

uint64_t fpu_supported(void)
{
	return host.mask;
}

static bool xsavec_fails;

bool fpu_xsavec_works(void)
{
	return !xsavec_fails;
}

void fpu_try_xsavec(void)
{
	static _Alignas(64) uint8_t in[AVX_OFFSET + XSAVE_AVX_BYTES];
	static _Alignas(64) uint8_t out[AVX_OFFSET + XSAVE_AVX_BYTES];
	const uint64_t mask = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	uint64_t in_use = XCR0_AVX;
	uint32_t mxcsr = MXCSR_INIT;

	xsavec_fails = false;
	if (!host.xsave || (host.mask & XCR0_AVX) == 0 ||
	    (cpu_cpuid(0xd, 1).eax & LEAFD1_EAX_XSAVEC) == 0) {
		return;
	}
	memcpy(in + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
	memcpy(in + XSAVE_HEADER_OFFSET, &in_use, sizeof(in_use));
	for (unsigned i = 0; i < XSAVE_AVX_BYTES; i++) {
		in[AVX_OFFSET + i] = (uint8_t)~i;
	}
	memset(out, 0, sizeof(out));
	cpu_xrstor(in, mask);
	cpu_xsavec(out, mask);
	xsavec_fails = memcmp(in + AVX_OFFSET, out + AVX_OFFSET, XSAVE_AVX_BYTES) != 0;
	in_use = 0;
	memcpy(in + XSAVE_HEADER_OFFSET, &in_use, sizeof(in_use));
	cpu_xrstor(in, mask);
	if (xsavec_fails) {
		log_info("cpu: XSAVEC misplaces AVX state: guests are not offered it");
	}
}

uint32_t fpu_area_size(void)
{
	return host.size;
}

void fpu_reset(struct vcpu *vcpu)
{
	uint8_t *area = vcpu->fpu;
	uint16_t fcw = FCW_INIT;
	uint32_t mxcsr = MXCSR_INIT;

	memset(area, 0, host.size);
	memcpy(area + FCW_OFFSET, &fcw, sizeof(fcw));
	memcpy(area + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
	vcpu->xcr0 = XCR0_X87;
	vcpu->xss = 0;
}

uint64_t fpu_xcr0(const struct vcpu *vcpu)
{
	return host.xsave ? cpu_xgetbv(0) : vcpu->xcr0;
}

void fpu_save(struct vcpu *vcpu)
{
	if (!host.xsave) {
		cpu_fxsave(vcpu->fpu);
		return;
	}
	vcpu->xcr0 = cpu_xgetbv(0);
	if (vcpu->xcr0 != host.mask) {
		cpu_xsetbv(0, host.mask);
	}
	cpu_xsave(vcpu->fpu, host.mask);
}

void fpu_load(const struct vcpu *vcpu)
{
	if (!host.xsave) {
		cpu_fxrstor(vcpu->fpu);
		return;
	}
	cpu_xrstor(vcpu->fpu, host.mask);
	if (vcpu->xcr0 != host.mask) {
		cpu_xsetbv(0, vcpu->xcr0);
	}
}

bool fpu_write_xcr0(struct vcpu *vcpu, uint64_t value, uint64_t allowed)
{
	uint64_t avx512 = value & XCR0_AVX512;

	if ((value & XCR0_X87) == 0 || (value & ~allowed) != 0 ||
	    ((value & XCR0_AVX) != 0 && (value & XCR0_SSE) == 0) ||
	    (avx512 != 0 && (avx512 != XCR0_AVX512 || (value & XCR0_AVX) == 0))) {
		return false;
	}
	vcpu->xcr0 = value;
	cpu_xsetbv(0, value);
	return true;
}
