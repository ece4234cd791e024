/* SPDX-License-Identifier: Apache-2.0 */
/* Exit decoding: a table for single exit codes, ranges for registers and exceptions. */
#include "svm/decode.h"

#include "hv/api/backend.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/regs.h"
#include "svm/vmcb.h"

#define ROW_FIRST SVM_EXIT_INTR
#define ROW_LAST SVM_EXIT_TLBSYNC

/* exit_info1 of MOV CR with decode assists: bit 63 set, register number below. */
#define CR_INFO_MOV BIT(63)
#define CR_INFO_GPR MASK(3, 0)

/* exit_info2 of a task switch. */
#define TASK_INFO_IRET BIT(36)
#define TASK_INFO_JMP BIT(38)
#define TASK_INFO_HAS_ERROR BIT(44)

struct row {
	enum vm_exit_kind kind; /* INVALID: not an exit we know */
	bool insn;		/* an instruction exited: nRIP is meaningful */
	void (*fill)(const struct svm_raw_exit *raw, struct vm_exit *out);
};

struct vcpu_event svm_event_decode(uint64_t int_info)
{
	static const enum vcpu_event_type types[8] = {
		[SVM_EVENT_TYPE_INTR] = VCPU_EVENT_INTERRUPT,
		[SVM_EVENT_TYPE_NMI] = VCPU_EVENT_NMI,
		[SVM_EVENT_TYPE_EXCEPTION] = VCPU_EVENT_EXCEPTION,
		[SVM_EVENT_TYPE_SOFT_INT] = VCPU_EVENT_SOFT_INT,
	};
	struct vcpu_event e = {.type = VCPU_EVENT_NONE};

	if ((int_info & SVM_EVENT_VALID) == 0) {
		return e;
	}
	e.type = types[bits_get(int_info, SVM_EVENT_TYPE)];
	e.vector = (uint8_t)bits_get(int_info, SVM_EVENT_VECTOR);
	if (e.type == VCPU_EVENT_NMI) {
		e.vector = EXC_NMI;
	} else if (e.type == VCPU_EVENT_EXCEPTION && e.vector == EXC_NMI) {
		e.type = VCPU_EVENT_NMI;
	} else if (e.type == VCPU_EVENT_EXCEPTION && e.vector > 31) {
		/* No exception has such a vector; QEMU's TCG reports virtual interrupts so. */
		e.type = VCPU_EVENT_INTERRUPT;
	} else if (e.type == VCPU_EVENT_EXCEPTION && (e.vector == EXC_BP || e.vector == EXC_OF)) {
		e.type = VCPU_EVENT_SOFT_EXC;
	}
	if (e.type == VCPU_EVENT_EXCEPTION && (int_info & SVM_EVENT_HAS_ERROR) != 0) {
		e.has_error = true;
		e.error = (uint32_t)bits_get(int_info, SVM_EVENT_ERROR);
	}
	return e;
}

uint64_t svm_event_encode(const struct vcpu_event *event)
{
	static const uint8_t types[] = {
		[VCPU_EVENT_INTERRUPT] = SVM_EVENT_TYPE_INTR,
		[VCPU_EVENT_NMI] = SVM_EVENT_TYPE_NMI,
		[VCPU_EVENT_EXCEPTION] = SVM_EVENT_TYPE_EXCEPTION,
		[VCPU_EVENT_SOFT_INT] = SVM_EVENT_TYPE_SOFT_INT,
		[VCPU_EVENT_SOFT_EXC] = SVM_EVENT_TYPE_EXCEPTION,
	};
	uint64_t info;

	if (event->type == VCPU_EVENT_NONE) {
		return 0;
	}
	info = SVM_EVENT_VALID | event->vector;
	info = bits_set(info, SVM_EVENT_TYPE, types[event->type]);
	if (event->has_error) {
		info |= SVM_EVENT_HAS_ERROR;
		info = bits_set(info, SVM_EVENT_ERROR, event->error);
	}
	return info;
}

/*
 * Bytes from rip to `next`; 0 when that is no length an instruction can have. The low halves tell
 * it also where RIP wraps at 4 GiB, and without asking for the mode.
 */
static uint8_t insn_length(const struct svm_raw_exit *raw, uint64_t next)
{
	uint32_t n = (uint32_t)next - (uint32_t)raw->rip;

	return (uint8_t)(n <= INSN_BYTES_MAX ? n : 0);
}

static void copy_insn_bytes(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	if (raw->decode_assist && raw->insn_count != 0) {
		out->insn_bytes_count = (uint8_t)min_u64(raw->insn_count, INSN_BYTES_MAX);
		memcpy(out->insn_bytes, raw->insn, out->insn_bytes_count);
	}
}

static void unknown(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	out->kind = VM_EXIT_UNKNOWN;
	out->insn_len = 0;
	out->raw.reason = raw->code;
	out->raw.info = raw->info1;
}

/* The interrupt is still pending: the host takes it as soon as it lets interrupts in. */
static void fill_intr(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	(void)raw;
	out->host_interrupt.acknowledged = false;
}

static void fill_vintr(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	out->kind = raw->window_early ? VM_EXIT_SPURIOUS : VM_EXIT_INTERRUPT_WINDOW;
}

static void fill_cr(const struct svm_raw_exit *raw, struct vm_exit *out, unsigned cr, bool write)
{
	if (cr != 0 && cr != 3 && cr != 4 && cr != 8) {
		unknown(raw, out);
		return;
	}
	out->kind = VM_EXIT_CR_ACCESS;
	out->cr = (struct vm_exit_cr){.cr = (uint8_t)cr, .write = write};
	/* CLTS and LMSW come here with bit 63 clear: the emulator tells them apart. */
	if (raw->decode_assist && (raw->info1 & CR_INFO_MOV) != 0) {
		out->cr.decoded = true;
		out->cr.gpr = (uint8_t)bits_get(raw->info1, CR_INFO_GPR);
	}
}

static void fill_cr0_selective(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	fill_cr(raw, out, 0, true);
}

/* Without decode assists the CPU does not say which address. */
static void fill_invlpg(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	if (raw->decode_assist) {
		out->invlpg.addr = raw->info1;
	} else {
		unknown(raw, out);
	}
}

static void fill_msr(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	out->msr.index = raw->ecx;
	out->kind = (raw->info1 & 1) != 0 ? VM_EXIT_MSR_WRITE : VM_EXIT_MSR_READ;
}

static void fill_io(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	unsigned size = (unsigned)bits_get(raw->info1, SVM_IOIO_SIZE);
	unsigned addr = (unsigned)bits_get(raw->info1, SVM_IOIO_ASIZE);
	unsigned segment = (unsigned)bits_get(raw->info1, SVM_IOIO_SEGMENT);

	if (size != 1 && size != 2 && size != 4) {
		unknown(raw, out);
		return;
	}
	out->insn_len = insn_length(raw, raw->info2);
	out->io = (struct vm_exit_io){
		.port = (uint16_t)bits_get(raw->info1, SVM_IOIO_PORT),
		.size = (uint8_t)size,
		.in = (raw->info1 & SVM_IOIO_IN) != 0,
		.string = (raw->info1 & SVM_IOIO_STRING) != 0,
		.segment = 0xff,
	};
	if (!out->io.string) {
		return;
	}
	out->io.rep = (raw->info1 & SVM_IOIO_REP) != 0;
	if (addr == 1 || addr == 2 || addr == 4) {
		out->io.addr_size = (uint8_t)(addr * 2);
	}
	if (raw->decode_assist && segment <= VCPU_SEG_GS) {
		out->io.segment = (uint8_t)segment;
	}
}

static void fill_task_switch(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	out->task = (struct vm_exit_task_switch){
		.selector = (uint16_t)raw->info1,
		.has_error = (raw->info2 & TASK_INFO_HAS_ERROR) != 0,
		.error = (uint32_t)raw->info2,
	};
	if ((raw->info2 & TASK_INFO_IRET) != 0) {
		out->task.source = TASK_IRET;
	} else if ((raw->info2 & TASK_INFO_JMP) != 0) {
		out->task.source = TASK_JMP;
	} else if ((raw->int_info & SVM_EVENT_VALID) != 0) {
		out->task.source = TASK_GATE;
	} else {
		out->task.source = TASK_CALL;
	}
}

static void fill_nested_fault(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	out->kind = VM_EXIT_NESTED_FAULT;
	out->fault = (struct vm_exit_nested_fault){
		.gpa = gpa(raw->info2),
		.present = (raw->info1 & SVM_NPF_PRESENT) != 0,
		.write = (raw->info1 & SVM_NPF_WRITE) != 0,
		.fetch = (raw->info1 & SVM_NPF_FETCH) != 0,
		.table_walk = (raw->info1 & SVM_NPF_TABLE_WALK) != 0,
		.misconfigured = (raw->info1 & SVM_NPF_RESERVED) != 0,
	};
	copy_insn_bytes(raw, out);
}

static bool has_error_code(unsigned vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

static void fill_exception(const struct svm_raw_exit *raw, struct vm_exit *out, unsigned vector)
{
	if (vector == EXC_MC) {
		out->kind = VM_EXIT_MACHINE_CHECK;
		return;
	}
	if (vector == EXC_DB && raw->nmi_window) {
		out->kind = VM_EXIT_NMI_WINDOW;
		return;
	}
	out->kind = VM_EXIT_EXCEPTION;
	out->exception.vector = (uint8_t)vector;
	out->exception.has_error = has_error_code(vector);
	out->exception.error = out->exception.has_error ? (uint32_t)raw->info1 : 0;
	if (vector == EXC_PF) {
		out->exception.cr2 = raw->info2;
		copy_insn_bytes(raw, out);
	} else if (vector == EXC_DB) {
		out->exception.dr6 = raw->dr6;
	}
}

#define AT(code) [SVM_EXIT_##code - ROW_FIRST]

static const struct row rows[ROW_LAST - ROW_FIRST + 1] = {
	AT(INTR) = {VM_EXIT_HOST_INTERRUPT, false, fill_intr},
	AT(NMI) = {VM_EXIT_HOST_NMI, false, NULL},
	/* The SMI is still pending and is taken by the host as soon as GIF is set. */
	AT(SMI) = {VM_EXIT_SPURIOUS, false, NULL},
	AT(INIT) = {VM_EXIT_INIT, false, NULL},
	AT(VINTR) = {VM_EXIT_INTERRUPT_WINDOW, false, fill_vintr},
	AT(CR0_SEL_WRITE) = {VM_EXIT_CR_ACCESS, true, fill_cr0_selective},
	AT(RDPMC) = {VM_EXIT_RDPMC, true, NULL},
	AT(CPUID) = {VM_EXIT_CPUID, true, NULL},
	AT(RSM) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	/* Intercepted to learn that an NMI handler ends; nmi.c has seen it already. */
	AT(IRET) = {VM_EXIT_SPURIOUS, false, NULL},
	/* INVD would drop the host's dirty cache lines; as WBINVD it is harmless. */
	AT(INVD) = {VM_EXIT_WBINVD, true, NULL},
	AT(PAUSE) = {VM_EXIT_PAUSE, true, NULL},
	AT(HLT) = {VM_EXIT_HLT, true, NULL},
	AT(INVLPG) = {VM_EXIT_INVLPG, true, fill_invlpg},
	AT(INVLPGA) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(IOIO) = {VM_EXIT_IO, false, fill_io},
	AT(MSR) = {VM_EXIT_MSR_READ, true, fill_msr},
	AT(TASK_SWITCH) = {VM_EXIT_TASK_SWITCH, false, fill_task_switch},
	AT(SHUTDOWN) = {VM_EXIT_TRIPLE_FAULT, false, NULL},
	AT(VMRUN) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMMCALL) = {VM_EXIT_HYPERCALL, true, NULL},
	AT(VMLOAD) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(VMSAVE) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(STGI) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(CLGI) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(SKINIT) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(WBINVD) = {VM_EXIT_WBINVD, true, NULL},
	AT(MONITOR) = {VM_EXIT_MONITOR, true, NULL},
	AT(MWAIT) = {VM_EXIT_MWAIT, true, NULL},
	AT(MWAIT_ARMED) = {VM_EXIT_MWAIT, true, NULL},
	AT(XSETBV) = {VM_EXIT_XSETBV, true, NULL},
	AT(RDPRU) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(INVLPGB) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(INVLPGB_ILLEGAL) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(MCOMMIT) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
	AT(TLBSYNC) = {VM_EXIT_UNDEFINED_INSN, true, NULL},
};

static void decode_row(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	const struct row *row = &rows[raw->code - ROW_FIRST];

	if (row->kind == VM_EXIT_INVALID) {
		unknown(raw, out);
		return;
	}
	out->kind = row->kind;
	if (row->insn && raw->has_nrip) {
		out->insn_len = insn_length(raw, raw->nrip);
	}
	if (row->fill != NULL) {
		row->fill(raw, out);
	}
}

/* What is not in the table: registers, exceptions, errors. */
static void decode_range(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	if (raw->code < SVM_EXIT_DR0_READ) {
		if (raw->has_nrip) {
			out->insn_len = insn_length(raw, raw->nrip);
		}
		fill_cr(raw, out, raw->code & 0xf, raw->code >= SVM_EXIT_CR0_WRITE);
	} else if (raw->code >= SVM_EXIT_EXCEPTION && raw->code < SVM_EXIT_INTR) {
		fill_exception(raw, out, (unsigned)(raw->code - SVM_EXIT_EXCEPTION));
	} else if ((int32_t)raw->code < 0) {
		/* -1: the guest state is not allowed; -2: the VMCB is in use. Some implementations
		 * write 32 bits of it only. Nothing else in the VMCB is defined. */
		unknown(raw, out);
		out->kind = VM_EXIT_ENTRY_FAILED;
		out->vectoring.type = VCPU_EVENT_NONE;
	} else {
		unknown(raw, out);
	}
}

void svm_decode(const struct svm_raw_exit *raw, struct vm_exit *out)
{
	/* Not the whole structure: that would cost every exit ten instructions. */
	out->insn_len = 0;
	out->insn_bytes_count = 0;
	out->vectoring.type = VCPU_EVENT_NONE;
	if ((raw->int_info & SVM_EVENT_VALID) != 0) {
		out->vectoring = svm_event_decode(raw->int_info);
	}
	if (raw->code >= ROW_FIRST && raw->code <= ROW_LAST) {
		decode_row(raw, out);
	} else if (raw->code == SVM_EXIT_NPF) {
		fill_nested_fault(raw, out);
	} else {
		decode_range(raw, out);
	}
}
