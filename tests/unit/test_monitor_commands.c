/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's commands, each on a guest that is there, missing, or in the wrong state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "guests/devices/acpi_pm.h"
#include "hv/base/log.h"
#include "hv/monitor.h"
#include "hv/recorder.h"
#include "tests/fakes/vm_rig.h"

static struct guest_config config;
static struct guest_config other_config;
static struct guest *g;
static struct guest *other;

static int setup(void **state)
{
	(void)state;
	config.serial = true;
	console_detach();
	monitor_init(monitor_actions(), true);
	vm_rig.power_offs = vm_rig.reboots = 0;
	vm_rig_clear();
	return 0;
}

static int clean(void **state)
{
	(void)state;
	console_detach();
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	return vm_rig_leaks() || other->state != GUEST_STOPPED;
}

/* Types a line and compares what came between it and the next prompt. */
static const char *answer(const char *line)
{
	static char text[65536];
	size_t skip = strlen(line) + 2;
	char *prompt;

	vm_rig_clear();
	vm_rig_type(line);
	vm_rig_type("\r");
	assert_true(strlen(vm_rig_text()) >= skip && strlen(vm_rig_text()) - skip < sizeof(text));
	(void)snprintf(text, sizeof(text), "%s", vm_rig_text() + skip);
	prompt = strstr(text, "bulkhead> ");
	if (prompt != NULL) {
		assert_string_equal(prompt, "bulkhead> ");
		*prompt = '\0';
	}
	return text;
}

static void answers(const char *line, const char *want)
{
	assert_string_equal(answer(line), want);
}

static void answer_has(const char *line, const char *words)
{
	const char *text = answer(line);

	if (strstr(text, words) == NULL) {
		fail_msg("'%s': no '%s' in:\n%s", line, words, text);
	}
}

static unsigned lines_of(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++) {
		n += *text == '\n';
	}
	return n;
}

/* --- before there is a guest --- */

static int empty_machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	return 0;
}

static void list_without_guests_says_what_to_do(void **state)
{
	(void)state;
	answers("list", "no guests: add a folder with a kernel below \\bulkhead\\\r\n");
	answers("start web", "no guest is named 'web'; `list` shows them\r\n");
}

static void guests_come(void **state)
{
	(void)state;
	g = vm_rig_guest("web", &config);
	other = vm_rig_guest("db-2", &other_config);
}

/* --- names --- */

static void every_command_is_in_help(void **state)
{
	size_t count;
	const struct monitor_command *c = monitor_commands(&count);
	char text[4096];

	(void)state;
	(void)snprintf(text, sizeof(text), "%s", answer("help"));
	assert_int_equal(lines_of(text), count + 1);
	for (size_t i = 0; i < count; i++) {
		char usage[64];

		(void)snprintf(usage, sizeof(usage), "  %s %s", c[i].name, c[i].arguments);
		assert_non_null(strstr(text, usage));
		assert_non_null(strstr(text, c[i].what));
	}
	assert_non_null(strstr(text, "Ctrl-]"));
}

static void commands_on_a_guest_need_its_name(void **state)
{
	static const char *const names[] = {"start", "stop",  "shutdown", "reset",
					    "pause", "break", "resume",	  "console",
					    "send",  "stats", "trace",	  "nmi"};

	(void)state;
	vm_rig_start(g);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char line[64];

		answers(names[i], "which guest? `list` shows them\r\n");
		(void)snprintf(line, sizeof(line), "%s we", names[i]);
		answers(line, "no guest is named 'we'; `list` shows them\r\n");
		(void)snprintf(line, sizeof(line), "%s webb x", names[i]);
		answers(line, "no guest is named 'webb'; `list` shows them\r\n");
	}
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(other->state, GUEST_STOPPED);
}

/* --- states --- */

static void each_state_refuses_what_it_cannot_do(void **state)
{
	(void)state;
	answers("stop web", "cannot stop web: it is stopped\r\n");
	answers("shutdown web", "cannot press the power button of web: it is stopped\r\n");
	answers("nmi web", "cannot interrupt web: it is stopped\r\n");
	answers("break web", "cannot send a break to web: it is stopped\r\n");
	answers("pause web", "cannot pause web: it is stopped\r\n");
	answers("resume web", "cannot resume web: it is stopped\r\n");
	answers("send web x", "cannot type into web: it is stopped\r\n");
	answers("start web", "");
	answers("start web", "cannot start web: it is starting\r\n");
	answers("shutdown web", "cannot press the power button of web: it is starting\r\n");
	answers("pause web", "cannot pause web: it is starting\r\n");
	answers("resume web", "cannot resume web: it is starting\r\n");
	vm_rig_work();
	answers("start web", "cannot start web: it is running\r\n");
	answers("resume web", "cannot resume web: it is running\r\n");
	answers("pause web", "bulkhead: guest web: paused\r\n");
	answers("start web", "cannot start web: it is paused\r\n");
	answers("pause web", "cannot pause web: it is paused\r\n");
	answers("shutdown web", "cannot press the power button of web: it is paused\r\n");
	answers("resume web", "bulkhead: guest web: resumed\r\n");
	answers("stop web", "bulkhead: guest web: stopped: by request\r\n");
	answers("stop web", "cannot stop web: it is stopping\r\n");
	answers("pause web", "cannot pause web: it is stopping\r\n");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
}

static void a_name_means_that_guest_only(void **state)
{
	(void)state;
	answers("start db-2", "");
	vm_rig_work();
	assert_int_equal(other->state, GUEST_RUNNING);
	assert_int_equal(g->state, GUEST_STOPPED);
	answers("start web", "");
	vm_rig_work();
	answers("stop db-2", "bulkhead: guest db-2: stopped: by request\r\n");
	vm_rig_work();
	assert_int_equal(other->state, GUEST_STOPPED);
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void a_stopping_guest_may_be_started(void **state)
{
	(void)state;
	vm_rig_start(g);
	(void)answer("stop web");
	answers("start web", "");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
}

/* Or nobody could end a guest that resets itself all the time. */
static void stop_wins_over_a_reset_under_way(void **state)
{
	(void)state;
	vm_rig_start(g);
	(void)answer("reset web");
	assert_int_equal(g->state, GUEST_STOPPING);
	answers("stop web", "web will not start again\r\n");
	answers("stop web", "cannot stop web: it is stopping\r\n");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
}

static void stop_ends_a_start_and_a_pause(void **state)
{
	(void)state;
	(void)answer("start web");
	answers("stop web", "bulkhead: guest web: stopped: by request\r\n");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_STOPPED);
	vm_rig_start(g);
	(void)answer("pause web");
	answers("stop web", "bulkhead: guest web: stopped: by request\r\n");
}

static void reset_starts_again_from_any_state(void **state)
{
	uint64_t starts = g->start_count;

	(void)state;
	answers("reset web", "");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(g->start_count, starts + 1);
	answers("reset web", "bulkhead: guest web: reset: by request\r\n");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(g->start_count, starts + 2);
	(void)answer("pause web");
	answers("reset web", "bulkhead: guest web: reset: by request\r\n");
	vm_rig_work();
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void shutdown_presses_the_button_and_no_more(void **state)
{
	uint64_t sts;

	(void)state;
	vm_rig_start(g);
	assert_true(bus_read(&g->vm.pio, LAYOUT_PM1_EVT, 2, 0, &sts));
	assert_int_equal(sts & ACPI_PM1_PWRBTN, 0);
	answers("shutdown web", "");
	assert_true(bus_read(&g->vm.pio, LAYOUT_PM1_EVT, 2, 0, &sts));
	assert_int_equal(sts & ACPI_PM1_PWRBTN, ACPI_PM1_PWRBTN);
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void nmi_and_break_reach_the_guest(void **state)
{
	uint64_t lsr;

	(void)state;
	vm_rig_start(g);
	lapic_virtual_wire(board_lapic(g->board, 0));
	answers("nmi web", "");
	assert_true((g->vm.vcpus[0]->requests & VCPU_REQ_NMI) != 0);
	answers("break web", "");
	assert_true(bus_read(&g->vm.pio, 0x3fd, 1, 0, &lsr));
	assert_int_equal(lsr & UART_LSR_BI, UART_LSR_BI);
	while (board_serial_break(g->board)) {
	}
	answers("break web", "cannot send a break to web: its serial port is full\r\n");
}

static void the_machine_is_switched_off_and_restarted(void **state)
{
	(void)state;
	answers("poweroff", "");
	assert_int_equal(vm_rig.power_offs, 1);
	assert_int_equal(vm_rig.reboots, 0);
	answers("reboot", "");
	assert_int_equal(vm_rig.power_offs, 1);
	assert_int_equal(vm_rig.reboots, 1);
}

/* --- list --- */

static void list_has_a_line_for_each_guest(void **state)
{
	const char *text;

	(void)state;
	vm_rig_start(g);
	vm_rig_exit(g, (struct vm_exit){.kind = VM_EXIT_CPUID, .insn_len = 2});
	g->vm.vcpus[0]->exit_count = 4711;
	g->tasks[0].entity.run_ticks = VM_RIG_HZ * 3;
	text = answer("list");
	assert_int_equal(lines_of(text), 3);
	assert_int_equal(strncmp(text, "NAME ", 5), 0);
	assert_non_null(strstr(text, "\r\nweb "));
	assert_non_null(strstr(text, " running "));
	assert_non_null(strstr(text, " 16 MiB "));
	assert_non_null(strstr(text, " 3000 ms "));
	assert_non_null(strstr(text, " 4711 "));
	assert_non_null(strstr(text, "\r\ndb-2 "));
	assert_non_null(strstr(text, " stopped "));
	/* In the order of the configuration. */
	assert_true(strstr(text, "\r\nweb ") < strstr(text, "\r\ndb-2 "));
}

static void list_tells_why_a_guest_ended(void **state)
{
	(void)state;
	vm_rig_start(g);
	guest_stop(g, GUEST_END_CRASH, "triple fault");
	vm_rig_work();
	answer_has("list", "  triple fault\r\n");
	/* The next start forgets it. */
	vm_rig_start(g);
	assert_null(strstr(answer("list"), "triple fault"));
}

/* --- the guest's console --- */

/* Sends it and waits for the UART to hand it on. */
static void guest_says(const char *text)
{
	for (; *text != '\0'; text++) {
		assert_true(bus_write(&g->vm.pio, LAYOUT_COM1, 1, 0, (uint8_t)*text));
	}
	vm_rig_advance(VM_RIG_HZ / 10);
}

/* What the guest finds in its UART. */
static void guest_reads(const char *want)
{
	uint64_t value;

	for (; *want != '\0'; want++) {
		assert_true(bus_read(&g->vm.pio, LAYOUT_COM1 + 5, 1, 0, &value));
		if ((value & 1) == 0) {
			/* The FIFO was full: more comes between two slices. */
			fake_backend_push(&(struct vm_exit){.kind = VM_EXIT_PAUSE, .insn_len = 2});
			run_once();
			assert_true(bus_read(&g->vm.pio, LAYOUT_COM1 + 5, 1, 0, &value));
		}
		assert_int_equal(value & 1, 1);
		assert_true(bus_read(&g->vm.pio, LAYOUT_COM1, 1, 0, &value));
		assert_int_equal(value, *want);
	}
	assert_true(bus_read(&g->vm.pio, LAYOUT_COM1 + 5, 1, 0, &value));
	assert_int_equal(value & 1, 0);
}

/* 8N1, and the FIFO on. */
static void guest_sets_its_uart_up(void)
{
	vm_rig_start(g);
	assert_true(bus_write(&g->vm.pio, LAYOUT_COM1 + 3, 1, 0, 3));
	assert_true(bus_write(&g->vm.pio, LAYOUT_COM1 + 2, 1, 0, 1));
}

static void console_shows_what_was_and_passes_keys_on(void **state)
{
	(void)state;
	guest_sets_its_uart_up();
	guest_says("login: ");
	answers("console web", "[web: Ctrl-] returns to the monitor]\r\nlogin: ");
	vm_rig_clear();
	vm_rig_type("root\x03\x15\x1b[A\r");
	/* The guest echoes, the monitor does not. */
	assert_string_equal(vm_rig_text(), "");
	guest_reads("root\x03\x15\x1b[A\r");
	guest_says("Password: ");
	assert_string_equal(vm_rig_text(), "Password: ");
	vm_rig_clear();
	vm_rig_type("\x1d");
	assert_string_equal(vm_rig_text(), "\r\n[web: detached]\r\n\r\nbulkhead> ");
	guest_says("unseen");
	answers("stop web", "bulkhead: guest web: stopped: by request\r\n");
	guest_reads("");
}

static void console_of_a_stopped_guest_swallows_keys(void **state)
{
	(void)state;
	answer_has("console web", "[web: Ctrl-] returns to the monitor]\r\n");
	vm_rig_clear();
	vm_rig_type("poweroff\r");
	assert_string_equal(vm_rig_text(), "");
	assert_int_equal(vm_rig.power_offs, 0);
	vm_rig_type("\x1d");
	guest_sets_its_uart_up();
	guest_reads("");
}

static void send_types_a_line(void **state)
{
	(void)state;
	guest_sets_its_uart_up();
	answers("send web ls", "");
	guest_reads("ls\r");
	answers("send web   a  b ", "");
	guest_reads("a  b\r");
	/* Only Enter. */
	answers("send web", "");
	guest_reads("\r");
	assert_null(console_front());
}

static void send_waits_for_room(void **state)
{
	char line[160];
	char want[160];

	(void)state;
	guest_sets_its_uart_up();
	memset(want, '-', 120);
	(void)snprintf(want + 120, sizeof(want) - 120, "end\r");
	(void)snprintf(line, sizeof(line), "send web %.123s", want);
	answers(line, "");
	guest_reads(want);
}

static void send_to_a_paused_guest_arrives_later(void **state)
{
	(void)state;
	guest_sets_its_uart_up();
	(void)answer("pause web");
	answers("send web hi", "");
	(void)answer("resume web");
	guest_reads("hi\r");
}

static void send_without_a_serial_port_says_so(void **state)
{
	(void)state;
	config.serial = false;
	vm_rig_start(g);
	answers("send web x", "cannot type into web: it has no serial port\r\n");
}

/* --- log and trace --- */

static void log_shows_the_last_lines(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		log_info("line %u.", i);
	}
	answers("log 1", "info: line 59.\r\n\r\n");
	answers("log 2", "info: line 58.\r\ninfo: line 59.\r\n\r\n");
	assert_int_equal(lines_of(answer("log")), 41);
	answer_has("log", "info: line 20.\r\n");
	assert_null(strstr(answer("log"), "line 19."));
	answers("log 0", "\r\n");
	answer_has("log 0x3", "line 57.");
	assert_true(lines_of(answer("log 18446744073709551615")) >= 61);
	/* Looking changes nothing. */
	answers("log 1", "info: line 59.\r\n\r\n");
}

static void log_of_a_guest_is_its_console(void **state)
{
	(void)state;
	vm_rig_start(g);
	guest_says("one\ntwo\nthree\n");
	log_info("not a guest's");
	answers("log web 2", "two\r\nthree\r\n\r\n");
	answer_has("log web", "one\r\ntwo\r\nthree\r\n");
	assert_null(strstr(answer("log web"), "not a guest's"));
	answers("log db-2 1", "\r\n");
	answers("log web two", "'two' is not a number\r\n");
}

static void numbers_are_checked(void **state)
{
	(void)state;
	answers("log wep", "'wep' is not a number\r\n");
	answers("log -1", "'-1' is not a number\r\n");
	answers("log 3x", "'3x' is not a number\r\n");
	answers("log 18446744073709551616", "'18446744073709551616' is not a number\r\n");
	answers("trace web all", "'all' is not a number\r\n");
}

static void trace_prints_the_last_exits(void **state)
{
	const struct vm_exit io = {.kind = VM_EXIT_IO, .io = {.port = 0x70, .size = 1}};

	(void)state;
	answers("trace web", "web has no vCPU now: its last exits are in `log`\r\n");
	vm_rig_start(g);
	answers("trace web", "vCPU 0: 0 exits, the last ones:\r\n");
	for (unsigned i = 0; i < 50; i++) {
		g->vm.vcpus[0]->rip = 0x1000 + i;
		recorder_note(g->vm.vcpus[0], &io, fake_tsc);
	}
	assert_int_equal(lines_of(answer("trace web")), 33);
	answer_has("trace web", "vCPU 0: 50 exits, the last ones:\r\n");
	assert_int_equal(lines_of(answer("trace web 2")), 3);
	answer_has("trace web 2", "rip 0x0000000000001031 io ");
	answer_has("trace web 2", "out port 0x70 size 1");
	assert_null(strstr(answer("trace web 2"), "0x000000000000102f"));
	assert_int_equal(lines_of(answer("trace web 5000")), 51);
	assert_int_equal(lines_of(answer("trace web 0")), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_without_guests_says_what_to_do),
		cmocka_unit_test(guests_come),
		TEST(every_command_is_in_help),
		TEST(commands_on_a_guest_need_its_name),
		TEST(each_state_refuses_what_it_cannot_do),
		TEST(a_name_means_that_guest_only),
		TEST(a_stopping_guest_may_be_started),
		TEST(stop_wins_over_a_reset_under_way),
		TEST(stop_ends_a_start_and_a_pause),
		TEST(reset_starts_again_from_any_state),
		TEST(shutdown_presses_the_button_and_no_more),
		TEST(nmi_and_break_reach_the_guest),
		TEST(the_machine_is_switched_off_and_restarted),
		TEST(list_has_a_line_for_each_guest),
		TEST(list_tells_why_a_guest_ended),
		TEST(console_shows_what_was_and_passes_keys_on),
		TEST(console_of_a_stopped_guest_swallows_keys),
		TEST(send_types_a_line),
		TEST(send_waits_for_room),
		TEST(send_to_a_paused_guest_arrives_later),
		TEST(send_without_a_serial_port_says_so),
		TEST(log_shows_the_last_lines),
		TEST(log_of_a_guest_is_its_console),
		TEST(numbers_are_checked),
		TEST(trace_prints_the_last_exits),
	};

	return cmocka_run_group_tests(tests, empty_machine, NULL);
}
