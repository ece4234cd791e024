/* SPDX-License-Identifier: Apache-2.0 */
/* The C half of exception and interrupt entry; trap.S is the other. */
#include "hv/cpu/trap.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/fmt.h"
#include "hv/cpu/features.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/mce.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/regs.h"

#define VECTORS 256u
#define LINE_CHARS 168
#define BACKTRACE_MAX 24

static struct idt_gate idt[IDT_GATES];
static void (*irq_fn[VECTORS])(void);
static struct {
	void (*fn)(unsigned vector);
	unsigned first;
	unsigned last;
} irq_range;
static const struct trap_hooks no_hooks;
static const struct trap_hooks *hooks = &no_hooks;

static const char *const names[TRAP_IRQ_FIRST] = {
	[EXC_DE] = "#DE", [EXC_DB] = "#DB", [EXC_NMI] = "NMI", [EXC_BP] = "#BP", [EXC_OF] = "#OF",
	[EXC_BR] = "#BR", [EXC_UD] = "#UD", [EXC_NM] = "#NM",  [EXC_DF] = "#DF", [EXC_TS] = "#TS",
	[EXC_NP] = "#NP", [EXC_SS] = "#SS", [EXC_GP] = "#GP",  [EXC_PF] = "#PF", [EXC_MF] = "#MF",
	[EXC_AC] = "#AC", [EXC_MC] = "#MC", [EXC_XM] = "#XM",
};

const char *trap_name(unsigned vector)
{
	return vector < TRAP_IRQ_FIRST && names[vector] != NULL ? names[vector] : "?";
}

static enum desc_ist ist_of(unsigned vector)
{
	switch (vector) {
	case EXC_DF:
		return DESC_IST_DOUBLE_FAULT;
	case EXC_NMI:
		return DESC_IST_NMI;
	case EXC_MC:
		return DESC_IST_MACHINE_CHECK;
	default:
		return DESC_IST_NONE;
	}
}

void trap_init(void)
{
	uint64_t stub = (uint64_t)(uintptr_t)trap_stubs;

	for (unsigned v = 0; v < IDT_GATES; v++) {
		idt[v] = desc_gate(stub + (uint64_t)v * TRAP_STUB_SIZE, ist_of(v));
	}
}

void trap_set_hooks(const struct trap_hooks *h)
{
	hooks = h;
}

void trap_load(void)
{
	struct desc_ptr desc = {
		.limit = sizeof(idt) - 1,
		.base = (uint64_t)(uintptr_t)idt,
	};

	cpu_lidt(&desc);
	/* A machine check must come here: without the bit it shuts the machine down. */
	if (cpu_features()->mce) {
		mce_cpu_init();
		cpu_write_cr4(cpu_read_cr4() | CR4_MCE);
	}
}

void trap_set_irq(unsigned vector, void (*fn)(void))
{
	CHECK(vector >= TRAP_IRQ_FIRST && vector < VECTORS);
	irq_fn[vector] = fn;
}

void trap_set_irq_range(unsigned first, unsigned last, void (*fn)(unsigned vector))
{
	CHECK(first >= TRAP_IRQ_FIRST && first <= last && last < VECTORS);
	irq_range.first = first;
	irq_range.last = last;
	irq_range.fn = fn;
}

void trap_irq_dispatch(unsigned vector)
{
	struct cpu_local *cpu = cpu_this();

	cpu->irq_count++;
	if (vector < VECTORS && irq_fn[vector] != NULL) {
		irq_fn[vector]();
		return;
	}
	if (irq_range.fn != NULL && vector >= irq_range.first && vector <= irq_range.last) {
		irq_range.fn(vector);
		return;
	}
	cpu->stray_irq_count++;
	if (hooks->stray_irq != NULL) {
		hooks->stray_irq(vector);
	}
}

static FMT_PRINTF(1, 2) void report(const char *fmt, ...)
{
	char line[LINE_CHARS];
	va_list args;

	if (hooks->print == NULL) {
		return;
	}
	va_start(args, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	hooks->print(line);
}

/*
 * Frames lie at rising addresses: [rbp] holds the caller's rbp, [rbp + 8] the return address. What
 * breaks that rule ends the walk, so a damaged stack costs some lines and nothing else.
 */
void trap_backtrace(uint64_t rbp, uint64_t low, uint64_t high)
{
	for (unsigned i = 0; i < BACKTRACE_MAX; i++) {
		const uint64_t *frame;

		if (rbp < low || rbp >= high || high - rbp < 16 || !is_aligned(rbp, 8)) {
			return;
		}
		frame = hva_ptr(hva(rbp));
		report("  called from 0x%016llx", (unsigned long long)frame[1]);
		low = rbp + 16;
		rbp = frame[0];
	}
}

void trap_backtrace_here(void)
{
	const struct cpu_local *cpu = cpu_this();

	trap_backtrace((uint64_t)(uintptr_t)__builtin_frame_address(0), cpu->stack_low,
		       cpu->stack_high);
}

static void report_pair(const char *a, uint64_t va, const char *b, uint64_t vb)
{
	report("  %-6s 0x%016llx  %-6s 0x%016llx", a, (unsigned long long)va, b,
	       (unsigned long long)vb);
}

static void report_registers(const struct trap_frame *f)
{
	report_pair("rax", f->rax, "rbx", f->rbx);
	report_pair("rcx", f->rcx, "rdx", f->rdx);
	report_pair("rsi", f->rsi, "rdi", f->rdi);
	report_pair("rbp", f->rbp, "rsp", f->rsp);
	report_pair("r8", f->r8, "r9", f->r9);
	report_pair("r10", f->r10, "r11", f->r11);
	report_pair("r12", f->r12, "r13", f->r13);
	report_pair("r14", f->r14, "r15", f->r15);
	report_pair("rflags", f->rflags, "cs", f->cs);
	report_pair("cr0", cpu_read_cr0(), "cr2", cpu_read_cr2());
	report_pair("cr3", cpu_read_cr3(), "cr4", cpu_read_cr4());
}

static _Noreturn void unforeseen(struct cpu_local *cpu, const struct trap_frame *f)
{
	/* A second exception while the first is reported: the report itself is broken. */
	if (cpu->fault_depth++ == 0) {
		report("cpu %u: unforeseen exception %s (%u), error 0x%llx, at 0x%016llx",
		       cpu->index, trap_name((unsigned)f->vector), (unsigned)f->vector,
		       (unsigned long long)f->error, (unsigned long long)f->rip);
		report_registers(f);
		trap_backtrace(f->rbp, cpu->stack_low, cpu->stack_high);
	}
	if (hooks->fatal != NULL && cpu->fault_depth < 3) {
		hooks->fatal();
	}
	cpu_stop();
}

static void report_machine_check(const struct cpu_local *cpu, const struct mce_record *r)
{
	char text[MCE_TEXT_MAX];

	report("cpu %u: machine check at 0x%016llx: MCG_CAP 0x%llx MCG_STATUS 0x%llx, %u banks",
	       cpu->index, (unsigned long long)r->rip, (unsigned long long)r->cap,
	       (unsigned long long)r->status, r->count);
	for (unsigned i = 0; i < r->count && i < MCE_BANKS_KEPT; i++) {
		mce_bank_text(&r->bank[i], text, sizeof(text));
		report("  %s", text);
	}
}

/*
 * Stops the machine when the error reaches as far as `worst_bearable` says not; else keeps what the
 * banks say for somebody who can log. Many CPUs are told of an error that only one of them has.
 */
static enum mce_verdict take_machine_check(struct cpu_local *cpu, uint64_t rip,
					   enum mce_verdict worst_bearable)
{
	struct mce_record record;

	mce_collect(rip, &record);
	if (record.verdict > worst_bearable) {
		report_machine_check(cpu, &record);
		return record.verdict;
	}
	if (record.count != 0 || record.verdict != MCE_HARMLESS) {
		mce_post(&cpu->mce, &record);
	}
	mce_clear(&record);
	return record.verdict;
}

enum mce_verdict trap_guest_machine_check(void)
{
	struct cpu_local *cpu = cpu_this();
	enum mce_verdict verdict = take_machine_check(cpu, 0, MCE_CODE_LOST);

	if (verdict == MCE_FATAL) {
		if (hooks->fatal != NULL) {
			hooks->fatal();
		}
		cpu_stop();
	}
	return verdict;
}

static void on_nmi(struct cpu_local *cpu, const struct trap_frame *f)
{
	atomic_store_explicit(&cpu->nmi_rip, f->rip, memory_order_relaxed);
	atomic_fetch_add_explicit(&cpu->nmi_count, 1, memory_order_release);
	if (hooks->nmi != NULL) {
		hooks->nmi();
	}
}

/* Exceptions an instruction of ours may be meant to raise; the others abort or trap behind it. */
static bool may_be_foreseen(uint64_t vector)
{
	return vector == EXC_UD || vector == EXC_GP || vector == EXC_PF || vector == EXC_SS;
}

void trap_handle(struct trap_frame *f)
{
	struct cpu_local *cpu = cpu_this();
	uint64_t resume;

	if (f->vector >= TRAP_IRQ_FIRST) {
		trap_irq_dispatch((unsigned)f->vector);
		return;
	}
	if (f->vector == EXC_NMI) {
		on_nmi(cpu, f);
		return;
	}
	if (f->vector == EXC_MC && take_machine_check(cpu, f->rip, MCE_HARMLESS) == MCE_HARMLESS) {
		return;
	}
	resume = may_be_foreseen(f->vector) ? cpu_fixup(f->rip) : 0;
	if (resume == 0) {
		unforeseen(cpu, f);
	}
	f->rip = resume;
}
