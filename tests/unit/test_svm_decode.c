/* SPDX-License-Identifier: Apache-2.0 */
/* Every exit code, raw to neutral. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/backend.h"
#include "hv/base/bits.h"
#include "hv/cpu/regs.h"
#include "svm/decode.h"
#include "svm/vmcb.h"

static struct vm_exit out;

static const struct vm_exit *decode(const struct svm_raw_exit *raw)
{
	memset(&out, 0xa5, sizeof(out));
	svm_decode(raw, &out);
	return &out;
}

/* Kind, and whether nRIP gives the length. Codes that are not listed are unknown. */
static const struct {
	uint64_t code;
	enum vm_exit_kind kind;
	bool insn;
} simple[] = {
	{0x60, VM_EXIT_HOST_INTERRUPT, false},
	{0x61, VM_EXIT_HOST_NMI, false},
	{0x62, VM_EXIT_SPURIOUS, false},
	{0x63, VM_EXIT_INIT, false},
	{0x64, VM_EXIT_INTERRUPT_WINDOW, false},
	{0x65, VM_EXIT_CR_ACCESS, true},
	{0x6f, VM_EXIT_RDPMC, true},
	{0x72, VM_EXIT_CPUID, true},
	{0x73, VM_EXIT_UNDEFINED_INSN, true},
	{0x74, VM_EXIT_SPURIOUS, false},
	{0x76, VM_EXIT_WBINVD, true},
	{0x77, VM_EXIT_PAUSE, true},
	{0x78, VM_EXIT_HLT, true},
	{0x7a, VM_EXIT_UNDEFINED_INSN, true},
	{0x7c, VM_EXIT_MSR_READ, true},
	{0x7d, VM_EXIT_TASK_SWITCH, false},
	{0x7f, VM_EXIT_TRIPLE_FAULT, false},
	{0x80, VM_EXIT_UNDEFINED_INSN, true},
	{0x81, VM_EXIT_HYPERCALL, true},
	{0x82, VM_EXIT_UNDEFINED_INSN, true},
	{0x83, VM_EXIT_UNDEFINED_INSN, true},
	{0x84, VM_EXIT_UNDEFINED_INSN, true},
	{0x85, VM_EXIT_UNDEFINED_INSN, true},
	{0x86, VM_EXIT_UNDEFINED_INSN, true},
	{0x89, VM_EXIT_WBINVD, true},
	{0x8a, VM_EXIT_MONITOR, true},
	{0x8b, VM_EXIT_MWAIT, true},
	{0x8c, VM_EXIT_MWAIT, true},
	{0x8d, VM_EXIT_XSETBV, true},
	{0x8e, VM_EXIT_UNDEFINED_INSN, true},
	{0xa0, VM_EXIT_UNDEFINED_INSN, true},
	{0xa1, VM_EXIT_UNDEFINED_INSN, true},
	{0xa3, VM_EXIT_UNDEFINED_INSN, true},
	{0xa4, VM_EXIT_UNDEFINED_INSN, true},
};

static void codes_without_operands(void **state)
{
	size_t next = 0;

	(void)state;
	for (uint64_t code = 0x60; code < 0x400; code++) {
		struct svm_raw_exit raw = {.code = code, .rip = 0x1000, .nrip = 0x1003, .info1 = 0};
		bool listed = next < ARRAY_SIZE(simple) && simple[next].code == code;

		if (code == 0x7b) {
			continue; /* I/O has operands: below */
		}
		decode(&raw);
		assert_int_equal(out.kind, listed ? simple[next].kind : VM_EXIT_UNKNOWN);
		assert_int_equal(out.insn_len, 0);
		assert_int_equal(out.vectoring.type, VCPU_EVENT_NONE);
		if (!listed) {
			assert_int_equal(out.raw.reason, code);
		}
		raw.has_nrip = true;
		decode(&raw);
		assert_int_equal(out.insn_len, listed && simple[next].insn ? 3 : 0);
		next += listed;
	}
	assert_int_equal(next, ARRAY_SIZE(simple));
}

static void odd_lengths_are_dropped(void **state)
{
	struct svm_raw_exit raw = {.code = SVM_EXIT_CPUID, .has_nrip = true};

	(void)state;
	raw.rip = 0x1000;
	raw.nrip = 0x1000 + 15;
	assert_int_equal(decode(&raw)->insn_len, 15);
	raw.nrip = 0x1000 + 16;
	assert_int_equal(decode(&raw)->insn_len, 0);
	raw.nrip = 0xfff;
	assert_int_equal(decode(&raw)->insn_len, 0);
	/* EIP wraps at 4 GiB, RIP passes it. */
	raw.rip = 0xfffffffe;
	raw.nrip = 1;
	assert_int_equal(decode(&raw)->insn_len, 3);
	raw.nrip = 0x100000001;
	assert_int_equal(decode(&raw)->insn_len, 3);
}

static void msr_accesses_name_the_msr(void **state)
{
	struct svm_raw_exit raw = {.code = SVM_EXIT_MSR, .ecx = 0xc0000080u, .info1 = 1};

	(void)state;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_MSR_WRITE);
	assert_int_equal(out.msr.index, 0xc0000080u);
	raw.info1 = 0;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_MSR_READ);
}

static void io_without_strings(void **state)
{
	/* in al, 0x60: port << 16, 8 bits wide, IN. Next RIP in info2, with or without nRIP. */
	struct svm_raw_exit raw = {.code = SVM_EXIT_IOIO,
				   .info1 = 0x60u << 16 | 1u << 4 | 1,
				   .rip = 0x7c00,
				   .info2 = 0x7c02};

	(void)state;
	decode(&raw);
	assert_int_equal(out.kind, VM_EXIT_IO);
	assert_int_equal(out.insn_len, 2);
	assert_int_equal(out.io.port, 0x60);
	assert_int_equal(out.io.size, 1);
	assert_true(out.io.in && !out.io.string && !out.io.rep);
	assert_int_equal(out.io.addr_size, 0);
	assert_int_equal(out.io.segment, 0xff);
	/* out dx, eax */
	raw.info1 = 0xcf8u << 16 | 1u << 6;
	raw.info2 = 0x7c01;
	decode(&raw);
	assert_int_equal(out.io.port, 0xcf8);
	assert_int_equal(out.io.size, 4);
	assert_false(out.io.in);
	assert_int_equal(out.insn_len, 1);
	/* A next RIP that cannot be is not believed. */
	raw.info2 = 0;
	assert_int_equal(decode(&raw)->insn_len, 0);
	/* Neither is a size that no instruction has. */
	raw.info1 = 0xcf8u << 16 | 3u << 4;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
	raw.info1 = 0xcf8u << 16;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
}

static void string_io(void **state)
{
	/* rep outsw, 32-bit addresses, FS. */
	struct svm_raw_exit raw = {.code = SVM_EXIT_IOIO,
				   .info1 = 0x1f0u << 16 | 4u << 10 | 1u << 8 | 1u << 5 | 1u << 3 |
					    1u << 2,
				   .rip = 0x10,
				   .info2 = 0x14};

	(void)state;
	decode(&raw);
	assert_true(out.io.string && out.io.rep && !out.io.in);
	assert_int_equal(out.io.size, 2);
	assert_int_equal(out.io.addr_size, 4);
	assert_int_equal(out.io.segment, 0xff);
	raw.decode_assist = true;
	assert_int_equal(decode(&raw)->io.segment, VCPU_SEG_FS);
	raw.info1 |= 7u << 10; /* no such segment */
	assert_int_equal(decode(&raw)->io.segment, 0xff);
	raw.info1 ^= 1u << 8 | 1u << 9;
	assert_int_equal(decode(&raw)->io.addr_size, 8);
	raw.info1 ^= 1u << 9 | 1u << 7;
	assert_int_equal(decode(&raw)->io.addr_size, 2);
	raw.info1 |= 3u << 8;
	assert_int_equal(decode(&raw)->io.addr_size, 0);
}

static void nested_faults(void **state)
{
	static const struct {
		uint64_t info1;
		bool present, write, fetch, walk, reserved;
	} table[] = {
		{1ull << 32 | 0x4, false, false, false, false, false},
		{1ull << 32 | 0x5, true, false, false, false, false},
		{1ull << 32 | 0x6, false, true, false, false, false},
		{1ull << 32 | 0x14, false, false, true, false, false},
		{1ull << 33 | 0x6, false, true, false, true, false},
		{1ull << 32 | 0xd, true, false, false, false, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct svm_raw_exit raw = {
			.code = 0x400, .info1 = table[i].info1, .info2 = 0xfee00030};

		decode(&raw);
		assert_int_equal(out.kind, VM_EXIT_NESTED_FAULT);
		assert_int_equal(out.fault.gpa.v, 0xfee00030);
		assert_int_equal(out.fault.present, table[i].present);
		assert_int_equal(out.fault.write, table[i].write);
		assert_int_equal(out.fault.fetch, table[i].fetch);
		assert_int_equal(out.fault.table_walk, table[i].walk);
		assert_int_equal(out.fault.misconfigured, table[i].reserved);
		assert_false(out.fault.gva_valid);
		assert_int_equal(out.insn_len, 0);
		assert_int_equal(out.insn_bytes_count, 0);
	}
}

static void instruction_bytes_come_with_decode_assists_only(void **state)
{
	struct svm_raw_exit raw = {.code = 0x400, .insn_count = 15, .insn = {0x8b, 0x07}};

	(void)state;
	raw.insn[14] = 0x99;
	assert_int_equal(decode(&raw)->insn_bytes_count, 0);
	raw.decode_assist = true;
	assert_int_equal(decode(&raw)->insn_bytes_count, 15);
	assert_memory_equal(out.insn_bytes, raw.insn, 15);
	raw.insn_count = 200;
	assert_int_equal(decode(&raw)->insn_bytes_count, 15);
	raw.insn_count = 2;
	decode(&raw);
	assert_int_equal(out.insn_bytes_count, 2);
	assert_int_equal(out.insn_bytes[1], 0x07);
}

static void exceptions(void **state)
{
	(void)state;
	for (unsigned vector = 0; vector < 32; vector++) {
		struct svm_raw_exit raw = {.code = 0x40 + vector,
					   .info1 = 0xabcd,
					   .info2 = 0x1234567890,
					   .dr6 = 0xffff4ff0};
		bool error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

		decode(&raw);
		if (vector == 18) {
			assert_int_equal(out.kind, VM_EXIT_MACHINE_CHECK);
			continue;
		}
		assert_int_equal(out.kind, VM_EXIT_EXCEPTION);
		assert_int_equal(out.exception.vector, vector);
		assert_int_equal(out.exception.has_error, error);
		assert_int_equal(out.exception.error, error ? 0xabcd : 0);
		if (vector == 14) {
			assert_int_equal(out.exception.cr2, 0x1234567890);
		} else if (vector == 1) {
			assert_int_equal(out.exception.dr6, 0xffff4ff0);
		}
	}
}

static void our_own_step_is_an_nmi_window(void **state)
{
	struct svm_raw_exit raw = {.code = 0x41, .nmi_window = true};

	(void)state;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_NMI_WINDOW);
	raw.code = 0x42;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_EXCEPTION);
}

static void an_early_window_is_no_window(void **state)
{
	struct svm_raw_exit raw = {.code = SVM_EXIT_VINTR, .window_early = true};

	(void)state;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_SPURIOUS);
}

static void control_registers(void **state)
{
	(void)state;
	for (unsigned code = 0; code < 0x20; code++) {
		struct svm_raw_exit raw = {.code = code, .info1 = BIT(63) | 11};
		unsigned cr = code & 15;

		decode(&raw);
		if (cr != 0 && cr != 3 && cr != 4 && cr != 8) {
			assert_int_equal(out.kind, VM_EXIT_UNKNOWN);
			continue;
		}
		assert_int_equal(out.kind, VM_EXIT_CR_ACCESS);
		assert_int_equal(out.cr.cr, cr);
		assert_int_equal(out.cr.write, code >= 16);
		assert_false(out.cr.decoded);
		raw.decode_assist = true;
		decode(&raw);
		assert_true(out.cr.decoded);
		assert_int_equal(out.cr.gpr, 11);
		raw.info1 = 11; /* CLTS, LMSW, SMSW */
		assert_false(decode(&raw)->cr.decoded);
	}
}

static void debug_registers_are_not_ours(void **state)
{
	(void)state;
	for (unsigned code = 0x20; code < 0x40; code++) {
		struct svm_raw_exit raw = {.code = code, .info1 = 3};

		assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
		assert_int_equal(out.raw.reason, code);
		assert_int_equal(out.raw.info, 3);
	}
}

static void invlpg_needs_decode_assists(void **state)
{
	struct svm_raw_exit raw = {.code = SVM_EXIT_INVLPG, .info1 = 0xffff800000001000ull};

	(void)state;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_UNKNOWN);
	raw.decode_assist = true;
	assert_int_equal(decode(&raw)->kind, VM_EXIT_INVLPG);
	assert_int_equal(out.invlpg.addr, 0xffff800000001000ull);
}

static void task_switches(void **state)
{
	struct svm_raw_exit raw = {.code = SVM_EXIT_TASK_SWITCH, .info1 = 0x28};

	(void)state;
	assert_int_equal(decode(&raw)->task.source, TASK_CALL);
	assert_int_equal(out.task.selector, 0x28);
	assert_false(out.task.has_error);
	raw.info2 = BIT(36);
	assert_int_equal(decode(&raw)->task.source, TASK_IRET);
	raw.info2 = BIT(38);
	assert_int_equal(decode(&raw)->task.source, TASK_JMP);
	raw.info2 = BIT(44) | 0x77;
	raw.int_info = SVM_EVENT_VALID | 3u << 8 | 10;
	assert_int_equal(decode(&raw)->task.source, TASK_GATE);
	assert_true(out.task.has_error);
	assert_int_equal(out.task.error, 0x77);
}

static void a_refused_entry_is_one_in_any_width(void **state)
{
	static const uint64_t codes[] = {~0ull, 0xffffffffull, ~1ull};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct svm_raw_exit raw = {.code = codes[i], .int_info = 0x80000300};

		assert_int_equal(decode(&raw)->kind, VM_EXIT_ENTRY_FAILED);
		assert_int_equal(out.raw.reason, codes[i]);
		assert_int_equal(out.vectoring.type, VCPU_EVENT_NONE);
	}
}

static const struct {
	uint64_t info;
	struct vcpu_event event;
	bool same_back; /* encoding gives the very value */
} events[] = {
	{0x00000030, {.type = VCPU_EVENT_NONE}, false},
	{0x80000030, {.type = VCPU_EVENT_INTERRUPT, .vector = 0x30}, true},
	{0x80000202, {.type = VCPU_EVENT_NMI, .vector = 2}, true},
	{0x80000306, {.type = VCPU_EVENT_EXCEPTION, .vector = 6}, true},
	{0x1000880000b0eull,
	 {.type = VCPU_EVENT_EXCEPTION, .vector = 14, .has_error = true, .error = 0x10008},
	 true},
	{0x80000480, {.type = VCPU_EVENT_SOFT_INT, .vector = 0x80}, true},
	{0x80000303, {.type = VCPU_EVENT_SOFT_EXC, .vector = 3}, true},
	{0x80000304, {.type = VCPU_EVENT_SOFT_EXC, .vector = 4}, true},
	/* What no manual describes but some machine reports: made injectable. */
	{0x80000200, {.type = VCPU_EVENT_NMI, .vector = 2}, false},
	{0x80000302, {.type = VCPU_EVENT_NMI, .vector = 2}, false},
	{0x80000331, {.type = VCPU_EVENT_INTERRUPT, .vector = 0x31}, false},
	{0x80000100, {.type = VCPU_EVENT_NONE}, false},
	{0x80000700, {.type = VCPU_EVENT_NONE}, false},
	/* An error code that only exceptions have. */
	{0x5580000830ull, {.type = VCPU_EVENT_INTERRUPT, .vector = 0x30}, false},
};

static void interrupted_deliveries(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		struct svm_raw_exit raw = {.code = 0x400, .int_info = events[i].info};
		const struct vcpu_event *e = &decode(&raw)->vectoring;

		assert_int_equal(e->type, events[i].event.type);
		if (e->type == VCPU_EVENT_NONE) {
			continue;
		}
		assert_int_equal(e->vector, events[i].event.vector);
		assert_int_equal(e->has_error, events[i].event.has_error);
		assert_int_equal(e->error, events[i].event.error);
		if (events[i].same_back) {
			assert_int_equal(svm_event_encode(e), events[i].info);
		}
	}
	assert_int_equal(svm_event_encode(&(struct vcpu_event){.type = VCPU_EVENT_NONE}), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_without_operands),
		cmocka_unit_test(odd_lengths_are_dropped),
		cmocka_unit_test(msr_accesses_name_the_msr),
		cmocka_unit_test(io_without_strings),
		cmocka_unit_test(string_io),
		cmocka_unit_test(nested_faults),
		cmocka_unit_test(instruction_bytes_come_with_decode_assists_only),
		cmocka_unit_test(exceptions),
		cmocka_unit_test(our_own_step_is_an_nmi_window),
		cmocka_unit_test(an_early_window_is_no_window),
		cmocka_unit_test(control_registers),
		cmocka_unit_test(debug_registers_are_not_ours),
		cmocka_unit_test(invlpg_needs_decode_assists),
		cmocka_unit_test(task_switches),
		cmocka_unit_test(a_refused_entry_is_one_in_any_width),
		cmocka_unit_test(interrupted_deliveries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
