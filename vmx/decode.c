/* SPDX-License-Identifier: Apache-2.0 */
/* Exit decoding: one table over the basic exit reasons. */
#include "vmx/decode.h"

#include "hv/api/apic_page.h"
#include "hv/api/backend.h"
#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "vmx/vmcs.h"

/* Exit qualification of control-register accesses. */
#define CRQ_NUMBER MASK(3, 0)
#define CRQ_TYPE MASK(5, 4)
#define CRQ_GPR MASK(11, 8)
#define CRQ_LMSW MASK(31, 16)
#define CRQ_TYPE_TO 0u
#define CRQ_TYPE_FROM 1u
#define CRQ_TYPE_CLTS 2u

/* Exit qualification of I/O instructions. */
#define IOQ_SIZE MASK(2, 0) /* minus one */
#define IOQ_IN BIT(3)
#define IOQ_REP BIT(5)
#define IOQ_PORT MASK(31, 16)

/* Instruction information of INS and OUTS. */
#define IO_INFO_ADDRESS MASK(9, 7) /* 0, 1, 2: 16, 32, 64 bits */
#define IO_INFO_SEGMENT MASK(17, 15)

/* Exit qualification of task switches. */
#define TASKQ_SELECTOR MASK(15, 0)
#define TASKQ_SOURCE MASK(31, 30)

/* Exit qualification of APIC accesses, APIC writes and virtual EOIs. */
#define APICQ_OFFSET MASK(11, 0)
#define APICQ_TYPE MASK(15, 12)
#define APICQ_TYPE_WRITE 1u
#define APICQ_TYPE_FETCH 2u
#define APICQ_TYPE_DELIVERY 3u /* of an event; beyond: by guest-physical address */
#define APICQ_VECTOR MASK(7, 0)

/* Bits of a #DB's qualification that DR6 gets: B3-B0, BD, BS. */
#define DBQ_DR6 (MASK(3, 0) | BIT(13) | BIT(14))

struct row {
	enum vm_exit_kind kind; /* INVALID: not an exit we know */
	bool insn;		/* an instruction exited: its length is meaningful */
	void (*fill)(const struct vmx_raw_exit *raw, struct vm_exit *out);
};

bool vmx_has_error_code(unsigned vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

static uint8_t insn_length(uint32_t length)
{
	return (uint8_t)(length <= INSN_BYTES_MAX ? length : 0);
}

struct vcpu_event vmx_event_decode(uint32_t info, uint32_t error, uint32_t length)
{
	static const enum vcpu_event_type types[8] = {
		[VMX_EVENT_INTERRUPT] = VCPU_EVENT_INTERRUPT,
		[VMX_EVENT_NMI] = VCPU_EVENT_NMI,
		[VMX_EVENT_EXCEPTION] = VCPU_EVENT_EXCEPTION,
		[VMX_EVENT_SOFT_INT] = VCPU_EVENT_SOFT_INT,
		[VMX_EVENT_PRIV_SOFT_EXC] = VCPU_EVENT_SOFT_EXC,
		[VMX_EVENT_SOFT_EXC] = VCPU_EVENT_SOFT_EXC,
	};
	struct vcpu_event e = {.type = VCPU_EVENT_NONE};

	if ((info & VMX_EVENT_VALID) == 0) {
		return e;
	}
	e.type = types[bits_get(info, VMX_EVENT_TYPE)];
	e.vector = (uint8_t)bits_get(info, VMX_EVENT_VECTOR);
	if (e.type == VCPU_EVENT_NMI) {
		e.vector = EXC_NMI;
	} else if (e.type == VCPU_EVENT_EXCEPTION && (e.vector > 31 || e.vector == EXC_NMI)) {
		e.type = VCPU_EVENT_NONE; /* the CPU has no such exception */
	} else if (e.type == VCPU_EVENT_EXCEPTION && (info & VMX_EVENT_HAS_ERROR) != 0) {
		e.has_error = true;
		e.error = error;
	} else if (e.type == VCPU_EVENT_SOFT_INT || e.type == VCPU_EVENT_SOFT_EXC) {
		e.insn_len = insn_length(length);
	}
	return e;
}

uint32_t vmx_event_encode(const struct vcpu_event *event)
{
	static const uint8_t types[] = {
		[VCPU_EVENT_INTERRUPT] = VMX_EVENT_INTERRUPT,
		[VCPU_EVENT_NMI] = VMX_EVENT_NMI,
		[VCPU_EVENT_EXCEPTION] = VMX_EVENT_EXCEPTION,
		[VCPU_EVENT_SOFT_INT] = VMX_EVENT_SOFT_INT,
		[VCPU_EVENT_SOFT_EXC] = VMX_EVENT_SOFT_EXC,
	};
	uint64_t type = types[event->type];

	if (event->type == VCPU_EVENT_NONE) {
		return 0;
	}
	if (event->type == VCPU_EVENT_SOFT_EXC && event->vector == EXC_DB) {
		type = VMX_EVENT_PRIV_SOFT_EXC;
	}
	return (uint32_t)(VMX_EVENT_VALID | bits_set(event->vector, VMX_EVENT_TYPE, type) |
			  (event->has_error ? VMX_EVENT_HAS_ERROR : 0));
}

bool vmx_iret_faulted(const struct vmx_raw_exit *raw)
{
	if ((raw->vectoring & VMX_EVENT_VALID) != 0) {
		return false;
	}
	switch (raw->reason) {
	case VMX_EXIT_EXCEPTION_NMI:
		return (raw->interruption & VMX_EVENT_VALID) != 0 &&
		       (raw->interruption & VMX_EVENT_NMI_UNBLOCKED) != 0 &&
		       bits_get(raw->interruption, VMX_EVENT_VECTOR) != EXC_DF;
	case VMX_EXIT_EPT_VIOLATION:
		return (raw->qualification & VMX_EPTQ_NMI_UNBLOCKED) != 0;
	default:
		return false;
	}
}

static void unknown(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->kind = VM_EXIT_UNKNOWN;
	out->insn_len = 0;
	out->raw.reason = raw->reason;
	out->raw.info = raw->qualification;
}

static void fill_exception(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	uint64_t type = bits_get(raw->interruption, VMX_EVENT_TYPE);
	unsigned vector = (unsigned)bits_get(raw->interruption, VMX_EVENT_VECTOR);

	if (type == VMX_EVENT_NMI) {
		out->kind = VM_EXIT_HOST_NMI;
		return;
	}
	if (vector > 31) {
		unknown(raw, out);
		return;
	}
	if (vector == EXC_MC) {
		out->kind = VM_EXIT_MACHINE_CHECK;
		return;
	}
	out->exception.vector = (uint8_t)vector;
	out->exception.has_error = (raw->interruption & VMX_EVENT_HAS_ERROR) != 0;
	out->exception.error = out->exception.has_error ? raw->error_code : 0;
	if (vector == EXC_PF) {
		out->exception.cr2 = raw->qualification;
	} else if (vector == EXC_DB) {
		out->exception.dr6 = raw->qualification & DBQ_DR6;
	}
	if (type == VMX_EVENT_PRIV_SOFT_EXC) {
		/* INT1 is no single step, whatever waited for its end. */
		out->exception.dr6 &= ~DR6_BS;
	}
	if (type == VMX_EVENT_PRIV_SOFT_EXC || type == VMX_EVENT_SOFT_EXC) {
		out->insn_len = insn_length(raw->insn_length);
	}
}

static void fill_interrupt(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->host_interrupt.acknowledged = (raw->interruption & VMX_EVENT_VALID) != 0;
	out->host_interrupt.vector = (uint8_t)bits_get(raw->interruption, VMX_EVENT_VECTOR);
}

static void fill_task_switch(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->task = (struct vm_exit_task_switch){
		.selector = (uint16_t)bits_get(raw->qualification, TASKQ_SELECTOR),
	};
	switch (bits_get(raw->qualification, TASKQ_SOURCE)) {
	case 0:
		out->task.source = TASK_CALL;
		break;
	case 1:
		out->task.source = TASK_IRET;
		break;
	case 2:
		out->task.source = TASK_JMP;
		break;
	default:
		out->task.source = TASK_GATE;
		break;
	}
	if (out->task.source == TASK_GATE) {
		if (out->vectoring.type != VCPU_EVENT_NONE) {
			out->task.has_error = out->vectoring.has_error;
			out->task.error = out->vectoring.error;
		}
	}
}

/* Behind the last instruction, not acknowledged: there is nothing to acknowledge. */
static void fill_timer(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	(void)raw;
	out->host_interrupt.acknowledged = false;
}

static void fill_invlpg(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->invlpg.addr = raw->qualification;
}

static void fill_cr(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	uint64_t q = raw->qualification;
	unsigned cr = (unsigned)bits_get(q, CRQ_NUMBER);
	unsigned type = (unsigned)bits_get(q, CRQ_TYPE);

	if (cr != 0 && cr != 3 && cr != 4 && cr != 8) {
		unknown(raw, out);
		return;
	}
	out->cr = (struct vm_exit_cr){.cr = (uint8_t)cr, .write = type != CRQ_TYPE_FROM};
	if (type == CRQ_TYPE_TO || type == CRQ_TYPE_FROM) {
		out->cr.decoded = true;
		out->cr.gpr = (uint8_t)bits_get(q, CRQ_GPR);
	} else if (type == CRQ_TYPE_CLTS) {
		out->cr.clts = true;
	} else {
		out->cr.lmsw = true;
		out->cr.lmsw_value = (uint16_t)bits_get(q, CRQ_LMSW);
	}
}

static void fill_string_io(const struct vmx_raw_exit *raw, struct vm_exit_io *io)
{
	uint64_t addr = bits_get(raw->insn_info, IO_INFO_ADDRESS);
	uint64_t segment = bits_get(raw->insn_info, IO_INFO_SEGMENT);

	if (!raw->io_info) {
		return;
	}
	if (addr <= 2) {
		io->addr_size = (uint8_t)(2u << addr);
	}
	/* INS always writes to ES and does not say so. */
	if (io->in) {
		io->segment = VCPU_SEG_ES;
	} else if (segment <= VCPU_SEG_GS) {
		io->segment = (uint8_t)segment;
	}
}

static void fill_io(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	uint64_t q = raw->qualification;
	unsigned size = (unsigned)bits_get(q, IOQ_SIZE) + 1;

	if (size != 1 && size != 2 && size != 4) {
		unknown(raw, out);
		return;
	}
	out->io = (struct vm_exit_io){
		.port = (uint16_t)bits_get(q, IOQ_PORT),
		.size = (uint8_t)size,
		.in = (q & IOQ_IN) != 0,
		.string = (q & VMX_IOQ_STRING) != 0,
		.segment = 0xff,
	};
	if (out->io.string) {
		out->io.rep = (q & IOQ_REP) != 0;
		fill_string_io(raw, &out->io);
	}
}

static void fill_msr(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->msr.index = raw->ecx;
}

static void fill_ept_violation(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	uint64_t q = raw->qualification;
	bool gva_valid = (q & VMX_EPTQ_GVA_VALID) != 0;

	out->fault = (struct vm_exit_nested_fault){
		.gpa = gpa(raw->gpa),
		.gva = gva(gva_valid ? raw->gva : 0),
		.gva_valid = gva_valid,
		.write = (q & VMX_EPTQ_WRITE) != 0,
		.fetch = (q & VMX_EPTQ_FETCH) != 0,
		.present = (q & VMX_EPTQ_RIGHTS) != 0,
		.table_walk = gva_valid && (q & VMX_EPTQ_FINAL) == 0,
	};
}

static void fill_ept_misconfig(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->fault = (struct vm_exit_nested_fault){.gpa = gpa(raw->gpa), .misconfigured = true};
}

static void fill_apic_access(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	uint64_t type = bits_get(raw->qualification, APICQ_TYPE);

	out->fault = (struct vm_exit_nested_fault){
		.gpa = gpa(APIC_PAGE_GPA + bits_get(raw->qualification, APICQ_OFFSET)),
		.write = type == APICQ_TYPE_WRITE,
		.fetch = type == APICQ_TYPE_FETCH,
		.table_walk = type > APICQ_TYPE_DELIVERY,
		.present = true,
	};
}

static void fill_apic_write(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->apic.offset = (uint16_t)bits_get(raw->qualification, APICQ_OFFSET);
}

static void fill_virtual_eoi(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	out->apic.vector = (uint8_t)bits_get(raw->qualification, APICQ_VECTOR);
}

#define AT(reason) [VMX_EXIT_##reason]

static const struct row rows[VMX_EXIT_REASON_COUNT] = {
	AT(EXCEPTION_NMI) = {VM_EXIT_EXCEPTION, false, fill_exception},
	AT(INTERRUPT) = {VM_EXIT_HOST_INTERRUPT, false, fill_interrupt},
	AT(TRIPLE_FAULT) = {VM_EXIT_TRIPLE_FAULT, false, NULL},
	AT(INIT) = {VM_EXIT_INIT, false, NULL},
	AT(INTERRUPT_WINDOW) = {VM_EXIT_INTERRUPT_WINDOW, false, NULL},
	AT(NMI_WINDOW) = {VM_EXIT_NMI_WINDOW, false, NULL},
	AT(TASK_SWITCH) = {VM_EXIT_TASK_SWITCH, false, fill_task_switch},
	AT(CPUID) = {VM_EXIT_CPUID, true, NULL},
	AT(GETSEC) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(HLT) = {VM_EXIT_HLT, true, NULL},
	/* INVD would drop the host's dirty cache lines; as WBINVD it is harmless. */
	AT(INVD) = {VM_EXIT_WBINVD, true, NULL},
	AT(INVLPG) = {VM_EXIT_INVLPG, true, fill_invlpg},
	AT(RDPMC) = {VM_EXIT_RDPMC, true, NULL},
	AT(RSM) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMCALL) = {VM_EXIT_HYPERCALL, true, NULL},
	AT(VMCLEAR) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMLAUNCH) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMPTRLD) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMPTRST) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMREAD) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMRESUME) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMWRITE) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMXOFF) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMXON) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(CR_ACCESS) = {VM_EXIT_CR_ACCESS, true, fill_cr},
	AT(IO) = {VM_EXIT_IO, true, fill_io},
	AT(RDMSR) = {VM_EXIT_MSR_READ, true, fill_msr},
	AT(WRMSR) = {VM_EXIT_MSR_WRITE, true, fill_msr},
	AT(MWAIT) = {VM_EXIT_MWAIT, true, NULL},
	AT(MONITOR) = {VM_EXIT_MONITOR, true, NULL},
	AT(PAUSE) = {VM_EXIT_PAUSE, true, NULL},
	/* Time to look for interrupts (vmx/run.c). */
	AT(PREEMPTION_TIMER) = {VM_EXIT_HOST_INTERRUPT, false, fill_timer},
	/* Behind the instruction that lowered the TPR. */
	AT(TPR_BELOW) = {VM_EXIT_TPR_BELOW, false, NULL},
	AT(APIC_ACCESS) = {VM_EXIT_APIC_ACCESS, false, fill_apic_access},
	/* Behind the instruction that wrote. */
	AT(VIRTUAL_EOI) = {VM_EXIT_VIRTUAL_EOI, false, fill_virtual_eoi},
	AT(APIC_WRITE) = {VM_EXIT_APIC_WRITE, false, fill_apic_write},
	AT(EPT_VIOLATION) = {VM_EXIT_NESTED_FAULT, false, fill_ept_violation},
	AT(EPT_MISCONFIG) = {VM_EXIT_NESTED_FAULT, false, fill_ept_misconfig},
	AT(INVEPT) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(INVVPID) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(WBINVD) = {VM_EXIT_WBINVD, true, NULL},
	AT(XSETBV) = {VM_EXIT_XSETBV, true, NULL},
	AT(VMFUNC) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(ENCLS) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	/* These exit wherever the CPU knows them, and no guest is told of them. */
	AT(SEAMCALL) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(TDCALL) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
};

/* A failed entry stores the reason and the qualification only. */
static void entry_failed(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	unknown(raw, out);
	out->kind = bits_get(raw->reason, VMX_REASON_BASIC) == VMX_EXIT_ENTRY_MACHINE_CHECK
			    ? VM_EXIT_MACHINE_CHECK
			    : VM_EXIT_ENTRY_FAILED;
}

void vmx_decode(const struct vmx_raw_exit *raw, struct vm_exit *out)
{
	/* Not the whole structure: that would cost every exit ten instructions. */
	out->insn_len = 0;
	out->insn_bytes_count = 0;
	out->vectoring.type = VCPU_EVENT_NONE;
	if ((raw->reason & VMX_REASON_ENTRY_FAILED) != 0) {
		entry_failed(raw, out);
		return;
	}
	if ((raw->vectoring & VMX_EVENT_VALID) != 0) {
		out->vectoring =
			vmx_event_decode(raw->vectoring, raw->vectoring_error, raw->insn_length);
	}
	if (raw->reason >= VMX_EXIT_REASON_COUNT || rows[raw->reason].kind == VM_EXIT_INVALID) {
		unknown(raw, out);
		return;
	}
	out->kind = rows[raw->reason].kind;
	if (rows[raw->reason].insn) {
		out->insn_len = insn_length(raw->insn_length);
	}
	if (rows[raw->reason].fill != NULL) {
		rows[raw->reason].fill(raw, out);
	}
}
