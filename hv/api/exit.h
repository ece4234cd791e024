/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neutral description of why a vCPU stopped running guest code, and of the events that are
 * injected into it. Backends produce a vm_exit with a pure decoder from their raw exit fields; hv
 * dispatches on `kind` and never sees a vendor's reason code.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"

/* kind, short name as `trace` and `stats` print it */
#define VM_EXIT_KINDS(X) \
	X(INVALID, "invalid")	      /* not filled in: a backend's mistake */ \
	X(HOST_INTERRUPT, "host-irq") /* a physical interrupt is pending or was acknowledged */ \
	X(HOST_NMI, "host-nmi") \
	X(INTERRUPT_WINDOW, "irq-window") /* the guest can take an interrupt now */ \
	X(NMI_WINDOW, "nmi-window") \
	X(CPUID, "cpuid") \
	X(HLT, "hlt") \
	X(IO, "io") \
	X(MSR_READ, "rdmsr") \
	X(MSR_WRITE, "wrmsr") \
	X(NESTED_FAULT, "nested-fault") /* second-stage translation failed */ \
	X(EXCEPTION, "exception")	/* one that was intercepted */ \
	X(CR_ACCESS, "cr") \
	X(HYPERCALL, "hypercall") /* VMCALL or VMMCALL */ \
	X(TRIPLE_FAULT, "triple-fault") \
	X(XSETBV, "xsetbv") \
	X(PAUSE, "pause") \
	X(INVLPG, "invlpg") \
	X(WBINVD, "wbinvd") \
	X(RDPMC, "rdpmc") \
	X(MONITOR, "monitor") \
	X(MWAIT, "mwait") \
	X(UNDEFINED_INSN, "undefined") /* the instructions of virtualization: #UD */ \
	X(TASK_SWITCH, "task-switch") \
	X(INIT, "init") \
	X(ENTRY_FAILED, "entry-failed") /* the CPU refused the guest state */ \
	X(MACHINE_CHECK, "machine-check") \
	X(TPR_BELOW, "tpr-below")     /* TPR fell below the threshold that was set */ \
	X(APIC_ACCESS, "apic-access") /* to the xAPIC page, not virtualized: not executed yet */ \
	X(APIC_WRITE, "apic-write")   /* of a register in the LAPIC's page, which holds it now */ \
	X(VIRTUAL_EOI, "virtual-eoi") /* of a vector whose EOI was to exit; carried out */ \
	X(SPURIOUS, "spurious")	      /* nothing to do: enter again */ \
	X(UNKNOWN, "unknown")	      /* a reason this hypervisor does not know */

enum vm_exit_kind {
#define X(kind, name) VM_EXIT_##kind,
	VM_EXIT_KINDS(X)
#undef X
		VM_EXIT_KIND_COUNT
};

/* The short name of a kind; "?" when out of range. */
const char *vm_exit_kind_name(enum vm_exit_kind kind);

/* How an event enters the guest. */
enum vcpu_event_type {
	VCPU_EVENT_NONE = 0,
	VCPU_EVENT_INTERRUPT, /* external, maskable */
	VCPU_EVENT_NMI,
	VCPU_EVENT_EXCEPTION, /* hardware exception: fault, trap or abort */
	VCPU_EVENT_SOFT_INT,  /* INT n */
	VCPU_EVENT_SOFT_EXC,  /* INT3, INTO; INT1 where hardware tells it apart */
};

struct vcpu_event {
	enum vcpu_event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint8_t insn_len; /* of the INT instruction, for SOFT_* */
};

/* String and register port I/O. */
struct vm_exit_io {
	uint16_t port;
	uint8_t size; /* 1, 2 or 4 */
	bool in;
	bool string;
	bool rep;
	/* For string forms where hardware tells them; otherwise the emulator decodes. */
	uint8_t addr_size; /* 2, 4, 8; 0 unknown */
	uint8_t segment;   /* enum vcpu_seg of the memory operand; 0xff unknown */
};

struct vm_exit_nested_fault {
	gpa_t gpa;
	gva_t gva;
	bool gva_valid;
	bool write;
	bool fetch;
	bool present;	    /* the translation existed and the rights were missing */
	bool table_walk;    /* the access was the CPU's walk of the guest's page tables */
	bool misconfigured; /* a malformed entry: our mistake */
};

struct vm_exit_cr {
	uint8_t cr; /* 0, 3, 4 or 8 */
	bool write;
	bool decoded; /* `gpr` is valid; otherwise the emulator decodes */
	uint8_t gpr;
	bool clts; /* CLTS */
	bool lmsw; /* LMSW, source in lmsw_value */
	uint16_t lmsw_value;
};

struct vm_exit_task_switch {
	uint16_t selector;
	enum { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE } source;
	bool has_error;
	uint32_t error;
};

#define INSN_BYTES_MAX 15u

struct vm_exit {
	enum vm_exit_kind kind;
	/* Length of the instruction that exited; 0 when hardware does not tell. */
	uint8_t insn_len;
	/* Instruction bytes when hardware fetched them (decode assists); count 0 otherwise. */
	uint8_t insn_bytes_count;
	uint8_t insn_bytes[INSN_BYTES_MAX];
	/* The event whose delivery this exit interrupted (EXITINTINFO, IDT-vectoring); to be
	 * injected again unless the exit's own fault supersedes it. */
	struct vcpu_event vectoring;
	union {
		struct {
			bool acknowledged; /* the exit acknowledged it: vector is valid */
			uint8_t vector;
		} host_interrupt;
		struct vm_exit_io io;
		struct {
			uint32_t index;
		} msr;
		struct vm_exit_nested_fault fault; /* APIC_ACCESS too, without gva */
		struct {
			uint16_t offset; /* APIC_WRITE: in the page */
			uint8_t vector;	 /* VIRTUAL_EOI */
		} apic;
		struct {
			uint8_t vector;
			bool has_error;
			uint32_t error;
			uint64_t cr2; /* #PF */
			uint64_t dr6; /* #DB */
		} exception;
		struct vm_exit_cr cr;
		struct {
			uint64_t addr;
		} invlpg;
		struct vm_exit_task_switch task;
		struct {
			uint64_t reason; /* raw, for the message only */
			uint64_t info;
		} raw; /* UNKNOWN, ENTRY_FAILED */
	};
};
