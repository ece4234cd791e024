/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/recorder.h"
#include "tests/fakes/fake_cpu.h"

static struct recorder_entry entries[RECORDER_ENTRIES];
static struct vcpu vcpu;
static char lines[RECORDER_ENTRIES][160];
static unsigned line_count;

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	clock_init(1000000000); /* a tick is a nanosecond */
	memset(&vcpu, 0, sizeof(vcpu));
	memset(entries, 0xee, sizeof(entries));
	vcpu.recorder.entries = entries;
	line_count = 0;
	return 0;
}

static void take_line(void *ctx, const char *text)
{
	assert_ptr_equal(ctx, &vcpu);
	strcpy(lines[line_count++], text);
}

static void assert_shown(const struct vm_exit *exit, const char *want)
{
	char text[160];

	recorder_note(&vcpu, exit, 0);
	recorder_format(&entries[(vcpu.recorder.count - 1) % RECORDER_ENTRIES], text, sizeof(text));
	assert_string_equal(text, want);
}

/* The vCPU exits while a line is printed. */
static void record_on(void *ctx, const char *text)
{
	struct vm_exit e = {.kind = VM_EXIT_HLT};

	take_line(ctx, text);
	assert_true(line_count <= 10);
	recorder_note(&vcpu, &e, 0);
	recorder_note(&vcpu, &e, 0);
}

static void a_vcpu_that_runs_is_printed_once(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_HLT};

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		recorder_note(&vcpu, &e, 0);
	}
	recorder_print(&vcpu.recorder, 10, 0, record_on, &vcpu);
	assert_int_equal(line_count, 10);
}

static void each_kind_shows_what_matters(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_IO, .io = {.port = 0x3f8, .size = 1}};

	(void)state;
	vcpu.rip = 0xffffffff81000000;
	vcpu.gpr[GPR_RAX] = 0x1234567890;
	vcpu.gpr[GPR_RDX] = 0xaaaaaaaa00000001;
	vcpu.gpr[GPR_RCX] = 0x7700000003;
	assert_shown(&e, "rip 0xffffffff81000000 io           out port 0x3f8 size 1 rax "
			 "0x1234567890");
	e.io = (struct vm_exit_io){.port = 0xcfc, .size = 4, .in = true, .string = true};
	assert_shown(&e, "rip 0xffffffff81000000 io           string in port 0xcfc size 4 rax "
			 "0x1234567890");
	e = (struct vm_exit){.kind = VM_EXIT_MSR_WRITE, .msr = {0xc0000080}};
	assert_shown(&e, "rip 0xffffffff81000000 wrmsr        msr 0xc0000080 edx:eax "
			 "0x134567890");
	e = (struct vm_exit){.kind = VM_EXIT_NESTED_FAULT, .fault = {.gpa = {0xfee00080}}};
	assert_shown(&e, "rip 0xffffffff81000000 nested-fault gpa 0xfee00080 read");
	e.fault.fetch = true;
	assert_shown(&e, "rip 0xffffffff81000000 nested-fault gpa 0xfee00080 fetch");
	e.kind = VM_EXIT_APIC_ACCESS;
	assert_shown(&e, "rip 0xffffffff81000000 apic-access  gpa 0xfee00080 fetch");
	e = (struct vm_exit){.kind = VM_EXIT_APIC_WRITE, .apic = {.offset = 0x300}};
	assert_shown(&e, "rip 0xffffffff81000000 apic-write   offset 0x300");
	e = (struct vm_exit){.kind = VM_EXIT_VIRTUAL_EOI, .apic = {.vector = 0x31}};
	assert_shown(&e, "rip 0xffffffff81000000 virtual-eoi  vector 0x31");
	e.kind = VM_EXIT_NESTED_FAULT;
	e.fault = (struct vm_exit_nested_fault){.gpa = {16}, .write = true};
	assert_shown(&e, "rip 0xffffffff81000000 nested-fault gpa 0x10 write");
	e = (struct vm_exit){.kind = VM_EXIT_CPUID};
	assert_shown(&e, "rip 0xffffffff81000000 cpuid        leaf 0x34567890 subleaf 0x3");
	e = (struct vm_exit){.kind = VM_EXIT_EXCEPTION, .exception = {.vector = 14, .error = 2}};
	assert_shown(&e, "rip 0xffffffff81000000 exception    vector 14 error 0x2");
	e = (struct vm_exit){.kind = VM_EXIT_UNKNOWN, .raw = {0x400, 5}};
	assert_shown(&e, "rip 0xffffffff81000000 unknown      reason 0x400 info 0x5");
	e = (struct vm_exit){.kind = VM_EXIT_HLT};
	assert_shown(&e, "rip 0xffffffff81000000 hlt          ");
}

static void a_slot_shows_nothing_of_its_last_use(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_UNKNOWN, .raw = {1, 2}};

	(void)state;
	recorder_note(&vcpu, &e, 0);
	vcpu.recorder.count = 0;
	e.kind = VM_EXIT_PAUSE;
	recorder_note(&vcpu, &e, 0);
	assert_int_equal(entries[0].detail[0], 0);
	assert_int_equal(entries[0].detail[1], 0);
}

static void lines_end_in_the_buffer(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_IO, .io = {.port = 0x3f8, .size = 1}};
	char text[64];

	(void)state;
	recorder_note(&vcpu, &e, 0);
	for (size_t cap = 1; cap < sizeof(text); cap++) {
		memset(text, '#', sizeof(text));
		recorder_format(&entries[0], text, cap);
		assert_int_equal(strlen(text), cap - 1 < 62 ? cap - 1 : strlen(text));
		assert_int_equal(text[cap], '#');
	}
}

static void only_what_was_recorded_is_printed(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_HLT};

	(void)state;
	recorder_print(&vcpu.recorder, 10, 0, take_line, &vcpu);
	assert_int_equal(line_count, 0);
	for (unsigned i = 0; i < 3; i++) {
		vcpu.rip = i;
		recorder_note(&vcpu, &e, i * 1000000);
	}
	recorder_print(&vcpu.recorder, 10, 5000000, take_line, &vcpu);
	assert_int_equal(line_count, 3);
	assert_string_equal(lines[0], "-    5000 us  rip 0x0000000000000000 hlt          ");
	assert_string_equal(lines[2], "-    3000 us  rip 0x0000000000000002 hlt          ");
	line_count = 0;
	recorder_print(&vcpu.recorder, 2, 5000000, take_line, &vcpu);
	assert_int_equal(line_count, 2);
	assert_non_null(strstr(lines[0], "rip 0x0000000000000001"));
	line_count = 0;
	recorder_print(&vcpu.recorder, 0, 0, take_line, &vcpu);
	assert_int_equal(line_count, 0);
}

static void old_entries_give_way(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_HLT};
	char want[32];

	(void)state;
	for (unsigned i = 0; i < RECORDER_ENTRIES + 5; i++) {
		vcpu.rip = i;
		recorder_note(&vcpu, &e, i);
	}
	recorder_print(&vcpu.recorder, UINT64_MAX, 0, take_line, &vcpu);
	assert_int_equal(line_count, RECORDER_ENTRIES);
	for (unsigned i = 0; i < RECORDER_ENTRIES; i++) {
		snprintf(want, sizeof(want), "rip 0x%016x", i + 5);
		assert_non_null(strstr(lines[i], want));
	}
}

/* The vCPU runs on, elsewhere, and makes more exits than are printed meanwhile. */
static void take_line_and_go_on(void *ctx, const char *text)
{
	struct vm_exit e = {.kind = VM_EXIT_CPUID};

	take_line(ctx, text);
	for (unsigned i = 0; i < RECORDER_ENTRIES / 4; i++) {
		recorder_note(&vcpu, &e, 0);
	}
}

static void a_vcpu_that_runs_on_makes_no_endless_list(void **state)
{
	struct vm_exit e = {.kind = VM_EXIT_HLT};

	(void)state;
	for (unsigned i = 0; i < RECORDER_ENTRIES; i++) {
		recorder_note(&vcpu, &e, 0);
	}
	/* By the time the fifth would be printed, it has been overwritten. */
	recorder_print(&vcpu.recorder, 5, 0, take_line_and_go_on, &vcpu);
	assert_int_equal(line_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_non_null(strstr(lines[i], " hlt "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_kind_shows_what_matters, setup),
		cmocka_unit_test_setup(a_slot_shows_nothing_of_its_last_use, setup),
		cmocka_unit_test_setup(lines_end_in_the_buffer, setup),
		cmocka_unit_test_setup(only_what_was_recorded_is_printed, setup),
		cmocka_unit_test_setup(old_entries_give_way, setup),
		cmocka_unit_test_setup(a_vcpu_that_runs_is_printed_once, setup),
		cmocka_unit_test_setup(a_vcpu_that_runs_on_makes_no_endless_list, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
