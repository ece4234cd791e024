/* SPDX-License-Identifier: Apache-2.0 */
/* Exits of a 64-bit guest and what each does to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/trap.h"
#include "hv/exit.h"
#include "hv/fpu.h"
#include "tests/fakes/vm_rig.h"

static struct guest_config config;
static struct guest *g;
static struct vcpu *vcpu;
static struct fake_vcpu *cpu;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(true);
	g = vm_rig_guest("web", &config);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	vm_rig_start(g);
	vm_rig_clear();
	vcpu = g->vm.vcpus[0];
	cpu = fake_vcpu(vcpu);
	atomic_store(&vcpu->requests, 0);
	fake_backend.dumps = 0;
	return 0;
}

static int clean(void **state)
{
	(void)state;
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	return vm_rig_leaks();
}

static struct vm_exit kind(enum vm_exit_kind k, uint8_t length)
{
	return (struct vm_exit){.kind = k, .insn_len = length};
}

static void assert_raised(unsigned vector, int error)
{
	const struct vcpu_event *e = &vcpu->events.exception;

	assert_int_equal(e->type, VCPU_EVENT_EXCEPTION);
	assert_int_equal(e->vector, vector);
	assert_int_equal(e->has_error, error >= 0);
	assert_int_equal(e->error, error >= 0 ? error : 0);
}

static void assert_nothing_raised(void)
{
	assert_int_equal(vcpu->events.exception.type, VCPU_EVENT_NONE);
}

static void assert_stopped(const char *reason)
{
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_string_equal(g->reason, reason);
}

/* --- dispatch --- */

static uint32_t lapic_page[APIC_PAGE_SIZE / 4];

static void every_kind_has_a_handler_and_is_counted(void **state)
{
	(void)state;
	for (unsigned k = 0; k < VM_EXIT_KIND_COUNT; k++) {
		struct vm_exit e = kind((enum vm_exit_kind)k, 1);

		if (k == VM_EXIT_IO) {
			e.io = (struct vm_exit_io){.port = 0x80, .size = 1};
		}
		if (k == VM_EXIT_APIC_WRITE) {
			lapic_use_page(board_lapic(g->board, 0), lapic_page);
		}
		vm_rig_exit(g, e);
		assert_int_equal(vcpu->exits_by_kind[k], 1);
		if (g->state != GUEST_RUNNING) {
			vm_rig_work();
			(void)setup(state);
			vcpu->exit_count = k + 1;
		}
		vcpu->events.exception.type = VCPU_EVENT_NONE;
	}
	assert_int_equal(vcpu->exit_count, VM_EXIT_KIND_COUNT);
}

static void what_cannot_go_on_is_named(void **state)
{
	static const struct {
		struct vm_exit exit;
		const char *reason;
	} cases[] = {
		{{.kind = VM_EXIT_TASK_SWITCH, .task = {.selector = 0x28, .source = TASK_JMP}},
		 "hardware task switch (0x28, 0x2) at rip 0x777"},
		{{.kind = VM_EXIT_ENTRY_FAILED, .raw = {0xffffffffffffffff, 3}},
		 "the CPU refused the guest's state (0xffffffffffffffff, 0x3) at rip 0x777"},
		{{.kind = VM_EXIT_UNKNOWN, .raw = {0x401, 9}},
		 "unhandled exit (0x401, 0x9) at rip 0x777"},
		{{.kind = VM_EXIT_INVALID, .raw = {0, 0}},
		 "unhandled exit (0x0, 0x0) at rip 0x777"},
		{{.kind = VM_EXIT_TRIPLE_FAULT}, "triple fault"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vcpu->rip = 0x777;
		vm_rig_exit(g, cases[i].exit);
		assert_stopped(cases[i].reason);
		vm_rig_work();
		(void)setup(state);
	}
}

static void a_machine_check_dumps_the_state(void **state)
{
	(void)state;
	/* One that the guest survives: no bank, and its code can be resumed. */
	fake_msr_set(MSR_IA32_MCG_CAP, 0);
	fake_msr_set(MSR_IA32_MCG_STATUS, 5);
	vm_rig_exit(g, kind(VM_EXIT_MACHINE_CHECK, 0));
	assert_int_equal(g->state, GUEST_RUNNING);
	fake_msr_set(MSR_IA32_MCG_STATUS, 4);
	vm_rig_exit(g, kind(VM_EXIT_MACHINE_CHECK, 0));
	assert_int_equal(fake_backend.dumps, 1);
	assert_true(span_starts(span_of(g->reason), "machine check while the guest ran"));
}

/* --- the host's interrupts --- */

static unsigned dispatched;

static void on_irq(void)
{
	dispatched++;
}

static void host_interrupts_are_let_in_or_dispatched(void **state)
{
	struct vm_exit e = kind(VM_EXIT_HOST_INTERRUPT, 0);
	unsigned windows = fake_cpu.window_count;
	uint64_t rip = vcpu->rip;

	(void)state;
	trap_init();
	trap_set_irq(0x55, on_irq);
	vm_rig_exit(g, e);
	assert_int_equal(fake_cpu.window_count, windows + 1);
	e.host_interrupt.acknowledged = true;
	e.host_interrupt.vector = 0x55;
	dispatched = 0;
	vm_rig_exit(g, e);
	assert_int_equal(dispatched, 1);
	assert_int_equal(fake_cpu.window_count, windows + 1);
	vm_rig_exit(g, kind(VM_EXIT_HOST_NMI, 0));
	assert_int_equal(fake_cpu.window_count, windows + 2);
	assert_int_equal(vcpu->rip, rip);
	trap_set_irq(0x55, NULL);
}

/* --- CPUID --- */

static void cpuid_fills_the_low_halves(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		vcpu->gpr[i] = 0xaaaaaaaa00000000;
	}
	vcpu->rip = 0x1000;
	cpu->shadow = true;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 2));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0xd);
	assert_int_equal(vcpu->gpr[GPR_RBX], 0x68747541);
	assert_int_equal(vcpu->gpr[GPR_RDX], 0x69746e65);
	assert_int_equal(vcpu->gpr[GPR_RCX], 0x444d4163);
	assert_int_equal(vcpu->gpr[GPR_RSI], 0xaaaaaaaa00000000);
	assert_int_equal(vcpu->rip, 0x1002);
	assert_false(cpu->shadow);
}

static void cpuid_shows_the_vcpus_state(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RAX] = 1;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 2));
	assert_int_equal(vcpu->gpr[GPR_RCX] & BIT(27), 0);
	cpu->regs[VCPU_REG_CR4] |= CR4_OSXSAVE;
	vcpu->gpr[GPR_RAX] = 1;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 2));
	assert_true((vcpu->gpr[GPR_RCX] & BIT(27)) != 0);
	fake_cpu.xcr0 = 7;
	vcpu->gpr[GPR_RAX] = 0xd;
	vcpu->gpr[GPR_RCX] = 0;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 2));
	assert_int_equal(vcpu->gpr[GPR_RBX], 832);
	fake_cpu.xcr0 = 1;
	vcpu->gpr[GPR_RAX] = 0xd;
	vcpu->gpr[GPR_RCX] = 0;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 2));
	assert_int_equal(vcpu->gpr[GPR_RBX], 576);
}

/* Hardware without next RIP: the bytes in memory decide, and may have changed. */
static void without_a_length_the_bytes_are_read(void **state)
{
	static const uint8_t cpuid[] = {0x66, 0x0f, 0xa2};
	static const uint8_t nop[] = {0x90, 0x90};

	(void)state;
	vm_rig_code(g, cpuid, sizeof(cpuid));
	vcpu->gpr[GPR_RAX] = 0;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 0));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 3);
	assert_int_equal(vcpu->gpr[GPR_RAX], 0xd);
	vm_rig_code(g, nop, sizeof(nop));
	vcpu->gpr[GPR_RAX] = 0x40000000;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 0));
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x40000000);
	assert_nothing_raised();
}

/* --- HLT --- */

static void hlt_sleeps(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	vcpu->rip = 0x2000;
	vm_rig_exit(g, kind(VM_EXIT_HLT, 1));
	assert_true(vcpu->halted);
	assert_int_equal(vcpu->rip, 0x2001);
	assert_true((atomic_load(&vcpu->requests) & VCPU_REQ_EVENT) != 0);
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void hlt_without_interrupts_is_the_end(void **state)
{
	(void)state;
	vm_rig_exit(g, kind(VM_EXIT_HLT, 1));
	assert_stopped("halted with interrupts off");
	assert_int_equal(g->end, GUEST_END_POWER_OFF);
}

static void hlt_without_interrupts_may_wait_for_an_nmi(void **state)
{
	(void)state;
	event_nmi(vcpu, the_backend);
	vm_rig_exit(g, kind(VM_EXIT_HLT, 1));
	assert_int_equal(g->state, GUEST_RUNNING);
}

/* --- ports --- */

static void io(uint16_t port, uint8_t size, bool in)
{
	vm_rig_exit(g, (struct vm_exit){.kind = VM_EXIT_IO,
					.insn_len = 1,
					.io = {.port = port, .size = size, .in = in}});
}

static void input_merges_as_the_manual_says(void **state)
{
	const uint64_t before = 0x1122334455667788;

	(void)state;
	vcpu->gpr[GPR_RAX] = 0xa5;
	io(0x80, 1, false);
	vcpu->rip = 0x1000;
	vcpu->gpr[GPR_RAX] = before;
	io(0x80, 1, true);
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x11223344556677a5);
	vcpu->gpr[GPR_RAX] = before;
	io(0xcf8, 2, true);
	assert_int_equal(vcpu->gpr[GPR_RAX] & ~0xffffull, before & ~0xffffull);
	/* A 32-bit result clears the upper half, as every 32-bit operation does. */
	vcpu->gpr[GPR_RAX] = before;
	io(0x608, 4, true);
	assert_int_equal(vcpu->gpr[GPR_RAX] >> 32, 0);
	assert_int_equal(vcpu->rip, 0x1003);
}

static void output_passes_the_low_bytes(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RAX] = 0xffffffffffffff41;
	io(0x3f8, 1, false);
	vcpu->gpr[GPR_RAX] = '\n';
	io(0x3f8, 1, false);
	assert_string_equal(vm_rig_text(), "web| A\r\n");
	vcpu->gpr[GPR_RAX] = 0xdeadbeef80000000;
	io(0xcf8, 4, false);
	io(0xcfc, 4, true);
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x29c08086);
}

static void empty_ports_read_ones_and_are_noted(void **state)
{
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		vcpu->gpr[GPR_RAX] = 0x1122334455667788;
		io(0x5658, 4, true);
		assert_int_equal(vcpu->gpr[GPR_RAX], 0xffffffff);
		io(0x5658, 2, false);
	}
	assert_int_equal(g->vm.pio.unclaimed.total, 200);
	for (const char *s = vm_rig_text(); (s = strstr(s, "no device")) != NULL; s++) {
		lines++;
	}
	assert_in_range(lines, 1, 40);
	assert_non_null(strstr(vm_rig_text(), "web: port 0x5658 size 4: no device or register, "
					      "reads 0xffffffff"));
	assert_non_null(strstr(vm_rig_text(), "web: port 0x5658 size 2: no device or register, "
					      "drops 0xffff"));
}

/* --- exceptions and events --- */

static unsigned windows;

static void count_window(void)
{
	windows++;
}

/* A guest whose #DB handler raises #DB never gets to where an interrupt ends its run. */
static void interrupts_are_taken_between_exceptions(void **state)
{
	struct vm_exit e = kind(VM_EXIT_EXCEPTION, 0);

	(void)state;
	windows = 0;
	fake_cpu.on_window = count_window;
	e.exception.vector = EXC_DB;
	vm_rig_exit(g, e);
	assert_int_equal(windows, 1);
	vcpu->events.exception.type = VCPU_EVENT_NONE;
	e = kind(VM_EXIT_CPUID, 2);
	vm_rig_exit(g, e);
	assert_int_equal(windows, 1);
	e.vectoring = (struct vcpu_event){.type = VCPU_EVENT_EXCEPTION, .vector = EXC_UD};
	vm_rig_exit(g, e);
	assert_int_equal(windows, 2);
	fake_cpu.on_window = NULL;
}

static void an_intercepted_exception_goes_on(void **state)
{
	struct vm_exit e = kind(VM_EXIT_EXCEPTION, 0);

	(void)state;
	e.exception.vector = EXC_PF;
	e.exception.has_error = true;
	e.exception.error = PF_WRITE;
	e.exception.cr2 = 0xdead000;
	e.exception.dr6 = 0x4000;
	vm_rig_exit(g, e);
	assert_raised(EXC_PF, PF_WRITE);
	assert_int_equal(vcpu->events.exception_payload, 0xdead000);
	vcpu->events.exception.type = VCPU_EVENT_NONE;
	e.exception.vector = EXC_DB;
	e.exception.has_error = false;
	e.exception.error = 0;
	vm_rig_exit(g, e);
	assert_raised(EXC_DB, -1);
	assert_int_equal(vcpu->events.exception_payload, 0x4000);
}

static void faults_while_delivering_escalate(void **state)
{
	struct vm_exit e = kind(VM_EXIT_EXCEPTION, 0);

	(void)state;
	e.exception.vector = EXC_GP;
	e.exception.has_error = true;
	e.vectoring = (struct vcpu_event){
		.type = VCPU_EVENT_EXCEPTION, .vector = EXC_PF, .has_error = true};
	vm_rig_exit(g, e);
	assert_raised(EXC_DF, 0);
	vcpu->events.exception.type = VCPU_EVENT_NONE;
	e.vectoring.vector = EXC_DF;
	vm_rig_exit(g, e);
	assert_stopped("triple fault");
}

/* An interrupt whose delivery met a nested fault enters again when that is resolved. */
static void an_interrupted_delivery_is_repeated(void **state)
{
	struct vm_exit e = kind(VM_EXIT_SPURIOUS, 0);

	(void)state;
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	e.vectoring = (struct vcpu_event){.type = VCPU_EVENT_INTERRUPT, .vector = 0x31};
	fake_backend_push(&e);
	fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
	run_once();
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_INTERRUPT);
	assert_int_equal(fake_backend.delivered.vector, 0x31);
}

static void a_window_is_closed_and_asked_for_again(void **state)
{
	(void)state;
	cpu->window_vector = vcpu->events.window_vector = 0x40;
	cpu->window_nmi = vcpu->events.window_nmi = true;
	vm_rig_exit(g, kind(VM_EXIT_INTERRUPT_WINDOW, 0));
	assert_int_equal(cpu->window_vector, -1);
	assert_false(cpu->window_nmi);
	assert_true((atomic_load(&vcpu->requests) & VCPU_REQ_EVENT) != 0);
	atomic_store(&vcpu->requests, 0);
	vm_rig_exit(g, kind(VM_EXIT_TPR_BELOW, 0));
	assert_true((atomic_load(&vcpu->requests) & VCPU_REQ_EVENT) != 0);
}

static void single_steps_trap_behind_the_instruction(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_TF;
	vcpu->rip = 0x3000;
	vm_rig_exit(g, kind(VM_EXIT_CPUID, 2));
	assert_int_equal(vcpu->rip, 0x3002);
	assert_raised(EXC_DB, -1);
	assert_int_equal(vcpu->events.exception_payload, DR6_BS);
}

/* --- instructions that are not there --- */

static void hidden_instructions_fault(void **state)
{
	static const struct {
		enum vm_exit_kind kind;
		unsigned vector;
		int error;
	} cases[] = {
		{VM_EXIT_MONITOR, EXC_UD, -1},
		{VM_EXIT_MWAIT, EXC_UD, -1},
		{VM_EXIT_UNDEFINED_INSN, EXC_UD, -1},
		{VM_EXIT_RDPMC, EXC_GP, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vcpu->rip = 0x4000;
		vm_rig_exit(g, kind(cases[i].kind, 3));
		assert_raised(cases[i].vector, cases[i].error);
		assert_int_equal(vcpu->rip, 0x4000);
		vcpu->events.exception.type = VCPU_EVENT_NONE;
	}
}

/* Which ones there are: test_pv_hypercall.c. */
static void an_unknown_hypercall_answers_enosys(void **state)
{
	static const uint8_t vmmcall[] = {0x0f, 0x01, 0xd9};

	(void)state;
	vm_rig_code(g, vmmcall, sizeof(vmmcall));
	vcpu->gpr[GPR_RAX] = 12;
	vm_rig_exit(g, kind(VM_EXIT_HYPERCALL, 0));
	assert_int_equal((int64_t)vcpu->gpr[GPR_RAX], -1000);
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 3);
}

/* Either vendor's instruction is one on any CPU; any other #UD is the guest's own. */
static void the_other_vendors_hypercall_works(void **state)
{
	static const uint8_t code[][3] = {
		{0x0f, 0x01, 0xc1}, {0x0f, 0x01, 0xd9}, {0x0f, 0x01, 0xda}, {0x0f, 0x0b, 0x00}};
	struct vm_exit undefined = {.kind = VM_EXIT_EXCEPTION, .exception = {.vector = EXC_UD}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(code); i++) {
		vm_rig_code(g, code[i], sizeof(code[i]));
		vcpu->gpr[GPR_RAX] = 12;
		vm_rig_exit(g, undefined);
		if (i < 2) {
			assert_int_equal((int64_t)vcpu->gpr[GPR_RAX], -1000);
			assert_int_equal(vcpu->rip, VM_RIG_CODE + 3);
			assert_nothing_raised();
		} else {
			assert_int_equal(vcpu->gpr[GPR_RAX], 12);
			assert_int_equal(vcpu->rip, VM_RIG_CODE);
			assert_raised(EXC_UD, -1);
			vcpu->events.exception.type = VCPU_EVENT_NONE;
		}
	}
	/* Bytes that cannot be read are none. */
	vcpu->rip = 0xdead00000000;
	vm_rig_exit(g, undefined);
	assert_raised(EXC_UD, -1);
}

static void cache_flushes_do_nothing(void **state)
{
	static const uint8_t wbinvd[] = {0x0f, 0x09};
	static const uint8_t invd[] = {0x0f, 0x08};

	(void)state;
	vm_rig_code(g, wbinvd, sizeof(wbinvd));
	vm_rig_exit(g, kind(VM_EXIT_WBINVD, 0));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
	vm_rig_code(g, invd, sizeof(invd));
	vm_rig_exit(g, kind(VM_EXIT_WBINVD, 0));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
}

static void xsetbv_is_for_the_kernel_and_what_cpuid_shows(void **state)
{
	static const struct {
		uint64_t rcx, rdx, rax;
		unsigned cpl;
		bool ok;
	} cases[] = {
		{0, 0, 7, 0, true},
		{0, 0, 7, 3, false},
		{1, 0, 7, 0, false},
		{0, 0, 6, 0, false},
		{0, 1, 7, 0, false},
		{0, 0, 0xff, 0, false},
		{BIT(32), BIT(33), 3, 0, true}, /* only the low halves count */
	};

	(void)state;
	cpu->regs[VCPU_REG_CR4] |= CR4_OSXSAVE;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_cpu.xcr0 = 1;
		vcpu->rip = 0x5000;
		vcpu->gpr[GPR_RCX] = cases[i].rcx;
		vcpu->gpr[GPR_RDX] = cases[i].rdx;
		vcpu->gpr[GPR_RAX] = cases[i].rax;
		cpu->segs[VCPU_SEG_SS].attr =
			(uint32_t)bits_set(cpu->segs[VCPU_SEG_SS].attr, SEG_DPL, cases[i].cpl);
		vm_rig_exit(g, kind(VM_EXIT_XSETBV, 3));
		if (cases[i].ok) {
			assert_nothing_raised();
			assert_int_equal(fake_cpu.xcr0, cases[i].rax);
			assert_int_equal(vcpu->rip, 0x5003);
		} else {
			assert_raised(EXC_GP, 0);
			assert_int_equal(fake_cpu.xcr0, 1);
			assert_int_equal(vcpu->rip, 0x5000);
			vcpu->events.exception.type = VCPU_EVENT_NONE;
		}
	}
}

/* Whoever asks: there is no such instruction until the kernel says that it knows XSAVE. */
static void without_osxsave_there_is_no_xsetbv(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_CR4] &= ~(uint64_t)CR4_OSXSAVE;
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		fake_cpu.xcr0 = 1;
		vcpu->rip = 0x5000;
		vcpu->gpr[GPR_RAX] = 3;
		vcpu->gpr[GPR_RCX] = vcpu->gpr[GPR_RDX] = 0;
		cpu->segs[VCPU_SEG_SS].attr =
			(uint32_t)bits_set(cpu->segs[VCPU_SEG_SS].attr, SEG_DPL, cpl);
		vm_rig_exit(g, kind(VM_EXIT_XSETBV, 3));
		assert_raised(EXC_UD, -1);
		assert_int_equal(fake_cpu.xcr0, 1);
		assert_int_equal(vcpu->rip, 0x5000);
		vcpu->events.exception.type = VCPU_EVENT_NONE;
	}
}

static void an_xsetbv_that_is_none_any_more_runs_on(void **state)
{
	static const uint8_t nops[] = {0x90, 0x90, 0x90};

	(void)state;
	vm_rig_code(g, nops, sizeof(nops));
	cpu->regs[VCPU_REG_CR4] |= CR4_OSXSAVE;
	vcpu->gpr[GPR_RAX] = 3;
	vcpu->gpr[GPR_RCX] = vcpu->gpr[GPR_RDX] = 0;
	vm_rig_exit(g, kind(VM_EXIT_XSETBV, 0));
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	assert_nothing_raised();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

/* --- a LAPIC in the CPU's hands --- */

/* Bad news from a CPU that was never given the page. */
static void exits_of_a_page_that_is_not_there_stop_the_guest(void **state)
{
	(void)state;
	vm_rig_exit(g, kind(VM_EXIT_APIC_WRITE, 0));
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_non_null(strstr(g->reason, "unhandled exit (0x"));
}

static void the_cpus_side_of_the_lapic(void **state)
{
	struct lapic *l = board_lapic(g->board, 0);
	struct vm_exit write = {.kind = VM_EXIT_APIC_WRITE, .apic = {.offset = 0xf0}};
	struct vm_exit eoi = {.kind = VM_EXIT_VIRTUAL_EOI, .apic = {.vector = 0x31}};
	uint64_t rip = vcpu->rip;

	(void)state;
	lapic_use_page(l, lapic_page);
	lapic_page[0xf0 / 4] = 0x1234;
	vm_rig_exit(g, write);
	assert_int_equal(l->svr, 0x234);
	assert_int_equal(lapic_page[0xf0 / 4], 0x234);
	/* Behind the instruction already. */
	assert_int_equal(vcpu->rip, rip);
	l->svr = 0x1ff;
	l->lvt[LVT_LINT0] = 0xc031;
	vm_rig_exit(g, eoi);
	assert_int_equal(vcpu->rip, rip);
	assert_int_equal(l->lvt[LVT_LINT0], 0x8031);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_has_a_handler_and_is_counted),
		TEST(what_cannot_go_on_is_named),
		TEST(a_machine_check_dumps_the_state),
		TEST(host_interrupts_are_let_in_or_dispatched),
		TEST(cpuid_fills_the_low_halves),
		TEST(cpuid_shows_the_vcpus_state),
		TEST(without_a_length_the_bytes_are_read),
		TEST(hlt_sleeps),
		TEST(hlt_without_interrupts_is_the_end),
		TEST(hlt_without_interrupts_may_wait_for_an_nmi),
		TEST(input_merges_as_the_manual_says),
		TEST(output_passes_the_low_bytes),
		TEST(empty_ports_read_ones_and_are_noted),
		TEST(interrupts_are_taken_between_exceptions),
		TEST(an_intercepted_exception_goes_on),
		TEST(faults_while_delivering_escalate),
		TEST(an_interrupted_delivery_is_repeated),
		TEST(a_window_is_closed_and_asked_for_again),
		TEST(single_steps_trap_behind_the_instruction),
		TEST(hidden_instructions_fault),
		TEST(an_unknown_hypercall_answers_enosys),
		TEST(the_other_vendors_hypercall_works),
		TEST(cache_flushes_do_nothing),
		TEST(xsetbv_is_for_the_kernel_and_what_cpuid_shows),
		TEST(exits_of_a_page_that_is_not_there_stop_the_guest),
		TEST(the_cpus_side_of_the_lapic),
		TEST(without_osxsave_there_is_no_xsetbv),
		TEST(an_xsetbv_that_is_none_any_more_runs_on),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
