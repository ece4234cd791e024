/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boundary between hv and the two backends (VT-x, AMD-V): one const table per backend. Designed
 * against both manuals. Everything above it is vendor-neutral; everything the CPU keeps of a vCPU
 * is reached through it.
 *
 * Registers: the sixteen general registers and RIP live in struct vcpu and are current whenever the
 * vCPU is not running; the backend loads them before and stores them after each run. All other
 * state is read and written through the calls below and takes effect at the next run.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/apic_page.h"
#include "hv/api/exit.h"
#include "hv/base/addr.h"
#include "hv/base/status.h"
#include "mm/ptw.h"

struct vm;
struct vcpu;

/* Registers behind get_reg/set_reg. */
enum vcpu_reg {
	VCPU_REG_RFLAGS,
	VCPU_REG_CR0, /* what the guest believes it wrote */
	VCPU_REG_CR2,
	VCPU_REG_CR3,
	VCPU_REG_CR4,
	VCPU_REG_CR8, /* TPR bits 7:4 as the hardware shadow holds them */
	VCPU_REG_DR6,
	VCPU_REG_DR7,
	VCPU_REG_EFER,
	VCPU_REG_PAT,
	VCPU_REG_STAR,
	VCPU_REG_LSTAR,
	VCPU_REG_CSTAR,
	VCPU_REG_SFMASK,
	VCPU_REG_FS_BASE,
	VCPU_REG_GS_BASE,
	VCPU_REG_KERNEL_GS_BASE,
	VCPU_REG_SYSENTER_CS,
	VCPU_REG_SYSENTER_ESP,
	VCPU_REG_SYSENTER_EIP,
	VCPU_REG_DEBUGCTL,
	VCPU_REG_COUNT
};

enum vcpu_seg {
	VCPU_SEG_ES,
	VCPU_SEG_CS,
	VCPU_SEG_SS,
	VCPU_SEG_DS,
	VCPU_SEG_FS,
	VCPU_SEG_GS,
	VCPU_SEG_LDTR,
	VCPU_SEG_TR,
	VCPU_SEG_GDTR, /* base and limit only */
	VCPU_SEG_IDTR,
	VCPU_SEG_COUNT
};

struct vcpu_segment {
	uint64_t base;
	uint32_t limit; /* in bytes, already scaled by G */
	uint16_t selector;
	uint32_t attr; /* SEG_* of hv/cpu/regs.h */
};

/* All that decides how the vCPU's next instruction is fetched and translated, read at once. */
struct vcpu_context {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t rflags;
	uint64_t cs_base;
	uint32_t cs_attr; /* SEG_* */
	uint8_t cpl;	  /* 0..3 */
};

/* No CR3: see code_root. */
#define CODE_ROOT_NONE (~0ull)

/* Why an event cannot be delivered now; 0 when it can. */
#define VCPU_BLOCKED_IF 1u	/* RFLAGS.IF is clear */
#define VCPU_BLOCKED_SHADOW 2u	/* STI or MOV SS shadow */
#define VCPU_BLOCKED_NMI 4u	/* an NMI handler has not executed IRET */
#define VCPU_BLOCKED_PENDING 8u /* an injected event has not been taken yet */

/* What the CPU offers, filled in by probe; const afterwards. */
struct hv_backend_info {
	const char *vendor; /* "AMD-V" or "VT-x" */
	const struct pt_format *stage2_format;
	unsigned stage2_max_level; /* 1, 2, 3: largest leaf */
	bool small_code;	   /* a guest could stop this CPU by executing from large pages */
	uint32_t tag_count;	   /* ASIDs or VPIDs; 0: none, flush on every switch */
	bool next_rip;		   /* exits tell the instruction length */
	bool decode_assist;	   /* nested faults carry instruction bytes */
	bool flush_by_tag;
	bool virtual_gif;
	bool pause_filter;
	bool virtual_interrupts; /* the CPU works on the LAPIC's registers by itself */
	bool posts_interrupts;	 /* and takes interrupts while a guest runs: vcpu->post */
	/* What the CPU could do, used or not; people are told. */
	bool could_post;
	bool tsc_scaling;
	/* Instructions that CPUID shows and a guest cannot be given. */
	bool no_rdtscp; /* nor RDPID */
	bool no_invpcid;
};

struct hv_backend {
	struct hv_backend_info info;

	/* --- per CPU --- */
	/* Turns the extension on for this CPU. */
	enum hv_status (*cpu_enable)(unsigned cpu) HV_MUST_CHECK;
	void (*cpu_disable)(unsigned cpu);

	/* --- per VM --- */
	/* Permission maps and the like; vm->gspace is initialised already. */
	enum hv_status (*vm_init)(struct vm *vm) HV_MUST_CHECK;
	void (*vm_fini)(struct vm *vm);

	/* --- per vCPU --- */
	/* Allocates the vendor's structure, which embeds struct vcpu, zeroed. NULL: no memory. */
	struct vcpu *(*vcpu_create)(struct vm *vm);
	void (*vcpu_destroy)(struct vcpu *vcpu);
	/* Architectural state after RESET (SDM "Processor State After Reset"), DR6/DR7, PAT and all
	 * controls; general registers and RIP are set in struct vcpu. */
	void (*vcpu_reset)(struct vcpu *vcpu);
	/* Called when the vCPU comes onto this CPU, `cpu` as in cpu_enable, and when it leaves it
	 * (host MSRs, the control structure). */
	void (*vcpu_load)(struct vcpu *vcpu, unsigned cpu);
	void (*vcpu_put)(struct vcpu *vcpu);
	/* Enters the guest and fills *exit. Interrupts are off before and after. */
	void (*vcpu_run)(struct vcpu *vcpu, struct vm_exit *exit);

	/* --- state --- */
	void (*get_context)(const struct vcpu *vcpu, struct vcpu_context *out);
	/* CR3 while the vCPU runs 64-bit code below four-level page tables: with RIP, all that
	 * tells where its code lies. CODE_ROOT_NONE otherwise. */
	uint64_t (*code_root)(const struct vcpu *vcpu);
	uint64_t (*get_reg)(const struct vcpu *vcpu, enum vcpu_reg reg);
	void (*set_reg)(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
	void (*get_seg)(const struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out);
	void (*set_seg)(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in);
	/* Guest TSC = host TSC + offset (two's complement). */
	void (*set_tsc_offset)(struct vcpu *vcpu, uint64_t offset);

	/* --- events --- */
	/* VCPU_BLOCKED_* for an event of this type. */
	unsigned (*blocked)(const struct vcpu *vcpu, enum vcpu_event_type type);
	/* Delivers at the next run; at most one per run, and only when nothing blocks it
	 * (exceptions and re-injected events ignore IF and shadows). */
	void (*inject)(struct vcpu *vcpu, const struct vcpu_event *event);
	/* Clears the STI / MOV SS shadow: the instruction behind it was completed here. Returns
	 * RFLAGS, whose TF asks for a trap then: one call, as every exit of an instruction ends so.
	 */
	uint64_t (*clear_shadow)(struct vcpu *vcpu);
	/* Asks for INTERRUPT_WINDOW when an interrupt of this vector's priority class could be
	 * taken (-1: no longer), and for NMI_WINDOW. */
	void (*set_windows)(struct vcpu *vcpu, int vector, bool nmi);
	/* The next four exist where info.virtual_interrupts says so. */
	/* Leaves interrupts to hv/ as if the CPU had no such thing, or no way to post them; before
	 * there are vCPUs. */
	void (*forgo_virtual_interrupts)(void);
	void (*forgo_posted_interrupts)(void);
	/* The vCPU's page of LAPIC registers (hv/api/apic_page.h), zero at first. Until apic_load
	 * says more the LAPIC is in xAPIC mode; a reset of the vCPU leaves the mode as it is. */
	uint32_t *(*apic_page)(struct vcpu *vcpu);
	/* Before an entry that follows a change: the CPU delivers what the page's IRR holds, as
	 * soon as IF, ISR and TPR allow, lets registers be accessed as `entry->mode` wants, and
	 * gives the exits APIC_ACCESS, APIC_WRITE and VIRTUAL_EOI for the rest. */
	void (*apic_load)(struct vcpu *vcpu, const struct apic_entry *entry);

	/* --- translation caches --- */
	/* Forgets all guest translations of this vCPU before its next entry. */
	void (*tlb_flush)(struct vcpu *vcpu);

	/* --- diagnosis --- */
	/* Prints the control structure, symbolically, one log line per group. */
	void (*dump)(const struct vcpu *vcpu);
};

/* Decided by policy in hv, needed by backends to build permission maps. */
enum msr_pass {
	MSR_PASS_NONE = 0,
	MSR_PASS_READ = 1,
	MSR_PASS_WRITE = 2,
	MSR_PASS_BOTH = 3,
};

/* One run of MSRs the guest reaches without an exit; the list ends with count 0. */
struct msr_pass_range {
	uint32_t first;
	uint32_t count;
	enum msr_pass pass;
};

/* Ports the guest reaches without an exit; the list ends with count 0. */
struct port_pass_range {
	uint16_t first;
	uint32_t count;
};

/* What a backend's probe is given. The lists outlive the backend; NULL means an empty one. */
struct hv_backend_policy {
	const struct msr_pass_range *msrs;
	const struct port_pass_range *ports;
	uint8_t post_vector; /* what tells a CPU to take what was posted to the vCPU it runs */
};
