/* SPDX-License-Identifier: Apache-2.0 */
/* What `info` and `stats` say, and that the isolation check sees a planted hole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "guests/layout.h"
#include "hv/monitor.h"
#include "mm/frame.h"
#include "tests/fakes/vm_rig.h"

static struct guest_config config;
static struct guest_config other_config;
static struct guest *g;
static struct guest *other;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	g = vm_rig_guest("web", &config);
	other = vm_rig_guest("db", &other_config);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	vm_rig.descriptions = 0;
	vm_rig_clear();
	return 0;
}

static int clean(void **state)
{
	(void)state;
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	if (other->state != GUEST_STOPPED) {
		vm_rig_end(other);
	}
	return vm_rig_leaks();
}

static const char *info(const char *args)
{
	vm_rig_clear();
	monitor_info(span_of(args));
	return vm_rig_text();
}

static const char *stats(const char *args)
{
	vm_rig_clear();
	monitor_stats(span_of(args));
	return vm_rig_text();
}

static void info_has(const char *args, const char *words)
{
	if (strstr(info(args), words) == NULL) {
		fail_msg("info %s: no '%s' in:\n%s", args, words, vm_rig_text());
	}
}

/* --- topics --- */

static void other_topics_are_refused(void **state)
{
	static const char *const wrong[] = {"", "machin", "machines", "Memory", "memory x", "list"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_string_equal(
			info(wrong[i]),
			"info about what? machine, cpus, memory, disks, networks, isolation, policy or windows NAME\r\n");
	}
	/* The monitor hands the rest of the line over without blanks around it. */
	vm_rig_clear();
	vm_rig_type("info   memory  \r");
	assert_non_null(strstr(vm_rig_text(), "  free  "));
}

static void machine_is_described_by_the_platform(void **state)
{
	(void)state;
	assert_string_equal(info("machine"), "cpu fake\r\n");
	assert_int_equal(vm_rig.descriptions, 1);
}

static void policy_lists_what_reads_are_answered_with(void **state)
{
	size_t count;
	const struct msr_rule *rules = msr_rules(&count);
	const char *at = info("policy");
	unsigned shown = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		char line[256];

		if (rules[i].why == NULL) {
			continue;
		}
		(void)snprintf(line, sizeof(line), "MSR 0x%x..0x%x reads 0x%llx: %s\r\n",
			       rules[i].first, rules[i].last, (unsigned long long)rules[i].value,
			       rules[i].why);
		assert_int_equal(strncmp(at, line, strlen(line)), 0);
		at += strlen(line);
		shown++;
	}
	assert_string_equal(at, "");
	assert_true(shown > 0);
}

/* --- memory --- */

static unsigned long number_after(const char *text, const char *label)
{
	const char *at = strstr(text, label);
	unsigned long value = 0;

	assert_non_null(at);
	assert_int_equal(sscanf(at + strlen(label), " %lu", &value), 1);
	return value;
}

static void memory_adds_up(void **state)
{
	struct frame_stats s;
	const char *text;

	(void)state;
	assert_null(strstr(info("memory"), "overhead"));
	assert_int_equal(number_after(vm_rig_text(), "  guests "), 0);
	vm_rig_start(g);
	frame_stats(&s);
	text = info("memory");
	assert_int_equal(number_after(text, "memory "), s.total * PAGE_SIZE >> 20);
	assert_int_equal(number_after(text, "  free "), s.free * PAGE_SIZE >> 20);
	assert_int_equal(number_after(text, "  guests "), s.guest * PAGE_SIZE >> 20);
	assert_int_equal(number_after(text, "  hypervisor "), s.hv * PAGE_SIZE >> 10);
	/* 16 MiB but for the video hole. */
	assert_int_equal(number_after(text, "  guests "), 15);
	assert_int_equal(number_after(text, "RAM "), g->vm.gspace.ram_bytes >> 10);
	assert_int_equal(number_after(text, "overhead "), guest_overhead_bytes(g) >> 10);
	assert_true(number_after(text, "page tables ") > 0);
	assert_non_null(strstr(text, "  web "));
	assert_null(strstr(text, "  db "));
}

/* --- isolation --- */

static void isolated_guests_have_no_violations(void **state)
{
	unsigned long alone;

	(void)state;
	info_has("isolation", "isolation: 0 VMs, ");
	info_has("isolation", ", 0 violations\r\n");
	vm_rig_start(g);
	info_has("isolation", "isolation: 1 VMs, ");
	info_has("isolation", ", 0 violations\r\n");
	alone = number_after(vm_rig_text(), "VMs, ");
	assert_true(alone >= 2 * g->vm.gspace.ram_bytes / PAGE_SIZE);
	vm_rig_start(other);
	info_has("isolation", "isolation: 2 VMs, ");
	info_has("isolation", ", 0 violations\r\n");
	assert_true(number_after(vm_rig_text(), "VMs, ") >=
		    alone + 2 * other->vm.gspace.ram_bytes / PAGE_SIZE);
	assert_null(strstr(vm_rig_text(), "first"));
}

static void isolation_is_checked_while_a_guest_starts(void **state)
{
	(void)state;
	assert_int_equal(guest_start(g), HV_OK);
	for (unsigned i = 0; work_pending(); i++) {
		work_step();
		info_has("isolation", ", 0 violations\r\n");
	}
	info_has("isolation", "isolation: 1 VMs, ");
}

static void a_page_of_another_guest_is_a_violation(void **state)
{
	const struct pt_attr rwx = {.rights = PT_RWX};
	struct pt_leaf mine;
	struct pt_leaf foreign;
	char frame[64];
	hpa_t stolen;

	(void)state;
	vm_rig_start(g);
	vm_rig_start(other);
	assert_true(pt_lookup(&g->vm.gspace.stage2, MIB(9), &mine));
	assert_true(pt_lookup(&other->vm.gspace.stage2, MIB(9), &foreign));
	stolen = hpa(foreign.pa.v + (MIB(9) - foreign.va));
	assert_int_equal(pt_map(&g->vm.gspace.stage2, MIB(9), stolen, PAGE_SIZE, rwx), HV_OK);
	assert_null(strstr(info("isolation"), ", 0 violations"));
	(void)snprintf(frame, sizeof(frame),
		       "isolation: first: frame 0x%llx: ", (unsigned long long)stolen.v);
	info_has("isolation", frame);
	/* Back, or the frame would be given back twice. */
	assert_int_equal(pt_map(&g->vm.gspace.stage2, MIB(9), hpa(mine.pa.v + (MIB(9) - mine.va)),
				PAGE_SIZE, rwx),
			 HV_OK);
	info_has("isolation", ", 0 violations\r\n");
}

/* --- stats --- */

/* Each line is a key, a blank and a value; no key comes twice. */
static void assert_key_values(const char *text)
{
	const char *line = text;

	while (*line != '\0') {
		const char *end = strstr(line, "\r\n");
		const char *blank = strchr(line, ' ');
		size_t key;

		assert_non_null(end);
		assert_true(blank != NULL && blank > line && blank + 1 < end);
		for (const char *c = blank + 1; c < end; c++) {
			assert_true(*c > ' ' && *c < 0x7f);
		}
		key = (size_t)(blank + 1 - line);
		for (const char *l = text; l < line; l = strstr(l, "\r\n") + 2) {
			assert_true(strncmp(l, line, key) != 0);
		}
		line = end + 2;
	}
}

static void stats_has(const char *line)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "\r\n%s\r\n", line);
	if (strstr(vm_rig_text(), text) == NULL) {
		fail_msg("no line '%s' in:\n%s", line, vm_rig_text());
	}
}

static void a_stopped_guest_has_few_numbers(void **state)
{
	char want[256];

	(void)state;
	(void)snprintf(want, sizeof(want),
		       "name db\r\nstate stopped\r\nstarts %llu\r\nstarted_ticks %llu\r\n"
		       "memory_bytes 16777216\r\nweight 100\r\ncap 0\r\npin all\r\n",
		       (unsigned long long)other->start_count,
		       (unsigned long long)other->started_ticks);
	assert_string_equal(stats("db"), want);
}

static void every_line_is_a_key_and_a_value(void **state)
{
	char line[64];

	(void)state;
	vm_rig_start(g);
	vm_rig_advance(VM_RIG_HZ / 1000);
	g->vm.vcpus[0]->exit_count = 30;
	g->vm.vcpus[0]->exits_by_kind[VM_EXIT_CPUID] = 10;
	g->vm.vcpus[0]->exits_by_kind[VM_EXIT_NESTED_FAULT] = 20;
	g->vm.vcpus[0]->rip = 0xffffffff81000000ull;
	g->tasks[0].entity.run_ticks = VM_RIG_HZ;
	g->tasks[0].entity.wait_ticks = VM_RIG_HZ / 2;
	missed_note(&g->unknown_msrs, 0x1a4);
	lacks_note(&g->vm.lacks, "ACPI PM", LACKS_READ, 0x34);
	lacks_note(&g->vm.lacks, "ACPI PM", LACKS_READ, 0x34);
	assert_false(bus_write(&g->vm.pio, 0x5555, 1, 0, 0));
	assert_false(bus_write(&g->vm.mmio, 0xd0000000, 4, 0, 0));
	assert_false(bus_write(&g->vm.mmio, 0xd0000000, 4, 0, 0));
	assert_key_values(stats("web"));
	stats_has("state running");
	stats_has("memory_bytes 16777216");
	(void)snprintf(line, sizeof(line), "ram_bytes %llu",
		       (unsigned long long)g->vm.gspace.ram_bytes);
	stats_has(line);
	stats_has("guest_time_us 1000");
	stats_has("unknown_msrs 1");
	stats_has("unknown_msrs.0x1a4 1");
	stats_has("unclaimed_ports 1");
	stats_has("unclaimed_ports.0x5555 1");
	stats_has("unclaimed_mmio 2");
	stats_has("unclaimed_mmio.0xd0000000 2");
	stats_has("missed 2");
	stats_has("missed.acpi-pm.read.0x34 2");
	stats_has("vcpu0.exits 30");
	stats_has("vcpu0.exits.cpuid 10");
	stats_has("vcpu0.exits.nested-fault 20");
	stats_has("vcpu0.run_us 1000000");
	/* And the millisecond that it has been waiting for since then. */
	stats_has("vcpu0.wait_us 501000");
	stats_has("vcpu0.rip 0xffffffff81000000");
	/* Kinds that never came are left out. */
	assert_null(strstr(vm_rig_text(), "exits.io"));
}

static void yields(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)vcpu;
	*exit = (struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2};
}

/* The slice that is not over yet counts, too. */
static void time_on_the_cpu_is_up_to_date(void **state)
{
	(void)state;
	vm_rig_start(g);
	fake_backend.guest = yields;
	run_once();
	fake_backend.guest = NULL;
	g->tasks[0].entity.run_ticks = 0;
	(void)stats("web");
	stats_has("vcpu0.run_us 0");
	fake_tsc += VM_RIG_HZ;
	(void)stats("web");
	stats_has("vcpu0.run_us 1000000");
	/* So it does in `list`. */
	fake_tsc += VM_RIG_HZ;
	vm_rig_clear();
	vm_rig_type("list\r");
	assert_non_null(strstr(vm_rig_text(), " 2000 ms "));
}

static void stats_work_at_every_step_of_start_and_stop(void **state)
{
	(void)state;
	assert_int_equal(guest_start(g), HV_OK);
	while (work_pending()) {
		assert_key_values(stats("web"));
		(void)info("memory");
		work_step();
	}
	guest_stop(g, GUEST_END_REQUEST, "enough");
	while (work_pending()) {
		assert_key_values(stats("web"));
		(void)info("memory");
		work_step();
	}
	assert_key_values(stats("web"));
}

static void a_run_that_is_over_can_be_asked_for(void **state)
{
	(void)state;
	vm_rig_start(g);
	vm_rig_advance(1000);
	g->vm.vcpus[0]->exits_by_kind[VM_EXIT_CPUID] = 4;
	g->vm.vcpus[0]->exits_by_kind[VM_EXIT_HLT] = 5;
	vm_rig_end(g);
	assert_key_values(stats("web"));
	stats_has("past.exits 9");
	stats_has("past.exits.cpuid 4");
	stats_has("past.exits.hlt 5");
	assert_null(strstr(vm_rig_text(), "past.exits.io"));
}

static void counters_go_on_with_the_next_start(void **state)
{
	uint64_t starts = g->start_count;
	char line[64];

	(void)state;
	vm_rig_start(g);
	g->vm.vcpus[0]->exit_count = 5;
	vm_rig_end(g);
	vm_rig_start(g);
	(void)stats("web");
	(void)snprintf(line, sizeof(line), "starts %llu", (unsigned long long)starts + 2);
	stats_has(line);
	stats_has("vcpu0.exits 0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(other_topics_are_refused),
		TEST(machine_is_described_by_the_platform),
		TEST(policy_lists_what_reads_are_answered_with),
		TEST(memory_adds_up),
		TEST(isolated_guests_have_no_violations),
		TEST(isolation_is_checked_while_a_guest_starts),
		TEST(a_page_of_another_guest_is_a_violation),
		TEST(a_stopped_guest_has_few_numbers),
		TEST(every_line_is_a_key_and_a_value),
		TEST(time_on_the_cpu_is_up_to_date),
		TEST(stats_work_at_every_step_of_start_and_stop),
		TEST(a_run_that_is_over_can_be_asked_for),
		TEST(counters_go_on_with_the_next_start),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
