/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the CPU wrote into the VMCB at an exit to the neutral vm_exit: a pure function, for any
 * input. Raw exit codes are known here and in dump.c only.
 *
 * Sources: AMD APM volume 2 "SVM Intercept Exit Codes", "Nested Page Faults, Guest/Host page
 * faults", "IOIO Intercepts", "Event Injection", "Decode Assists".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/api/exit.h"

enum svm_exit_code {
	SVM_EXIT_CR0_READ = 0x00,
	SVM_EXIT_CR0_WRITE = 0x10,
	SVM_EXIT_DR0_READ = 0x20,
	SVM_EXIT_DR0_WRITE = 0x30,
	SVM_EXIT_EXCEPTION = 0x40, /* + vector */
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI,
	SVM_EXIT_SMI,
	SVM_EXIT_INIT,
	SVM_EXIT_VINTR,
	SVM_EXIT_CR0_SEL_WRITE,
	SVM_EXIT_RDTSC = 0x6e,
	SVM_EXIT_RDPMC,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_RSM,
	SVM_EXIT_IRET,
	SVM_EXIT_SWINT,
	SVM_EXIT_INVD,
	SVM_EXIT_PAUSE,
	SVM_EXIT_HLT,
	SVM_EXIT_INVLPG,
	SVM_EXIT_INVLPGA,
	SVM_EXIT_IOIO,
	SVM_EXIT_MSR,
	SVM_EXIT_TASK_SWITCH,
	SVM_EXIT_FERR_FREEZE,
	SVM_EXIT_SHUTDOWN,
	SVM_EXIT_VMRUN,
	SVM_EXIT_VMMCALL,
	SVM_EXIT_VMLOAD,
	SVM_EXIT_VMSAVE,
	SVM_EXIT_STGI,
	SVM_EXIT_CLGI,
	SVM_EXIT_SKINIT,
	SVM_EXIT_RDTSCP,
	SVM_EXIT_ICEBP,
	SVM_EXIT_WBINVD,
	SVM_EXIT_MONITOR,
	SVM_EXIT_MWAIT,
	SVM_EXIT_MWAIT_ARMED,
	SVM_EXIT_XSETBV,
	SVM_EXIT_RDPRU,
	SVM_EXIT_INVLPGB = 0xa0,
	SVM_EXIT_INVLPGB_ILLEGAL,
	SVM_EXIT_INVPCID,
	SVM_EXIT_MCOMMIT,
	SVM_EXIT_TLBSYNC,
	SVM_EXIT_NPF = 0x400,
};

/* exit_info1 of a nested page fault. */
#define SVM_NPF_PRESENT BIT(0)
#define SVM_NPF_WRITE BIT(1)
#define SVM_NPF_RESERVED BIT(3)
#define SVM_NPF_FETCH BIT(4)
#define SVM_NPF_TABLE_WALK BIT(33)

/* exit_info1 of an I/O instruction. */
#define SVM_IOIO_IN BIT(0)
#define SVM_IOIO_STRING BIT(2)
#define SVM_IOIO_REP BIT(3)
#define SVM_IOIO_SIZE MASK(6, 4)  /* one-hot: 1, 2, 4 bytes */
#define SVM_IOIO_ASIZE MASK(9, 7) /* one-hot: 16, 32, 64 bits */
#define SVM_IOIO_SEGMENT MASK(12, 10)
#define SVM_IOIO_PORT MASK(31, 16)

struct svm_raw_exit {
	uint64_t code;
	uint64_t info1;
	uint64_t info2;
	uint64_t int_info;
	uint64_t rip;
	uint64_t nrip;
	uint64_t dr6;
	uint32_t ecx;	    /* the guest's: an MSR's number */
	bool has_nrip;	    /* `nrip` is valid; the same at each exit, as the next */
	bool decode_assist; /* instruction bytes, CR and string-I/O operands are valid */
	bool window_early;  /* VINTR although the TPR still masks (svm/event.h) */
	bool nmi_window;    /* #DB of our own single step: an NMI can be taken (svm/nmi.h) */
	uint8_t insn_count; /* as the VMCB holds it; not trusted; with decode assists */
	uint8_t insn[INSN_BYTES_MAX];
};

/*
 * Fills of *out what its kind gives a meaning (hv/api/exit.h); the kind is never VM_EXIT_INVALID,
 * lengths are at most 15.
 */
void svm_decode(const struct svm_raw_exit *raw, struct vm_exit *out);

/* The event an EXITINTINFO or EVENTINJ value stands for; type NONE when it is not valid. */
struct vcpu_event svm_event_decode(uint64_t int_info);
/* The EVENTINJ value for an event; 0 for VCPU_EVENT_NONE. */
uint64_t svm_event_encode(const struct vcpu_event *event);
