/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processor says about itself, read once from CPUID. Every field is false or 0 when the
 * leaf that would tell is missing. Sources: Intel SDM volume 2 "CPUID", AMD APM volume 3
 * "Obtaining Processor Information Via the CPUID Instruction".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cpu_vendor {
	CPU_VENDOR_OTHER = 0,
	CPU_VENDOR_INTEL,
	CPU_VENDOR_AMD, /* and Hygon, whose processors are AMD's design */
};

struct cpu_features {
	enum cpu_vendor vendor;
	char vendor_name[13];
	char brand[49]; /* without leading blanks; empty when there is none */
	char hypervisor_name[13];

	uint32_t max_basic;	 /* highest leaf below 0x40000000 */
	uint32_t max_extended;	 /* 0x8000xxxx, 0 when there are none */
	uint32_t max_hypervisor; /* 0x4000xxxx, 0 when there are none */

	uint32_t family; /* extended fields added in */
	uint32_t model;
	uint32_t stepping;
	uint32_t apic_id; /* of the CPU that was asked: the x2APIC ID where there is one */

	unsigned physical_bits; /* 36 when not told */
	unsigned linear_bits;	/* 48 when not told */

	/* Leaf 1. */
	bool apic, x2apic, tsc_deadline, rdrand, xsave, fxsr, pat, mtrr, mce, mca, hypervisor;
	/* Leaf 7. */
	bool smep, smap, umip, fsgsbase, tsc_adjust, pku, spec_ctrl;
	/* Extended leaves. */
	bool nx, pages_1g, rdtscp, invariant_tsc, long_mode;
	bool svm;  /* AMD-V; the backend's own probe says whether it can be used */
	bool vmx;  /* VT-x */
	bool arat; /* the LAPIC timer runs in every sleep state */

	/* XSAVE: zero without it. */
	uint64_t xcr0_mask;   /* components that XCR0 can enable */
	uint64_t xss_mask;    /* supervisor components */
	uint32_t xsave_bytes; /* area for all of xcr0_mask, standard format; >= 576 */
	bool xsaveopt, xsavec, xsaves;
};

/* Asks the CPU it runs on. */
void cpu_features_read(struct cpu_features *f);

/* The boot CPU's, after cpu_features_init. */
void cpu_features_init(void);
const struct cpu_features *cpu_features(void);

/* The APIC ID of the CPU it runs on. */
uint32_t cpu_apic_id(void);
