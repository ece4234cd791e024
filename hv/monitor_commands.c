/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's commands. */
#include "hv/api/clock.h"
#include "hv/base/log.h"
#include "hv/console.h"
#include "hv/guest.h"
#include "hv/monitor.h"
#include "hv/recorder.h"

#define LOG_LINES_DEFAULT 40u
#define TRACE_DEFAULT 32u

static void cmd_help(struct span args)
{
	size_t count;
	const struct monitor_command *c = monitor_commands(&count);

	(void)args;
	for (size_t i = 0; i < count; i++) {
		char usage[40];

		fmt_snprintf(usage, sizeof(usage), "%s %s", c[i].name, c[i].arguments);
		monitor_print("  %-24s %s\n", usage, c[i].what);
	}
	monitor_print("Ctrl-] returns from a guest's console to the monitor.\n");
}

static void list_one(struct guest *g)
{
	uint64_t ticks = 0;
	uint64_t exits = 0;

	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		struct run_task_info info;

		run_task_info(&g->tasks[i], &info);
		ticks += info.run_ticks;
		exits += g->vm.vcpus[i]->exit_count;
	}
	monitor_print("%-16s %-9s %5u %7lu MiB %9lu ms %10lu  %s\n", g->vm.name,
		      guest_state_name(g->state), g->config->cpus, g->config->memory >> 20,
		      clock_ticks_to_ns(ticks) / 1000000, exits, g->reason);
}

static void cmd_list(struct span args)
{
	(void)args;
	if (guest_count() == 0) {
		monitor_print("no guests: add a folder with a kernel below \\bulkhead\\\n");
		return;
	}
	monitor_print("%-16s %-9s %5s %11s %12s %10s  %s\n", "NAME", "STATE", "VCPUS", "MEMORY",
		      "CPU TIME", "EXITS", "LAST END");
	for (unsigned i = 0; i < guest_count(); i++) {
		list_one(guest_at(i));
	}
}

static void say_state(const struct guest *g, enum hv_status status, const char *verb)
{
	if (status != HV_OK) {
		monitor_print("cannot %s %s: it is %s\n", verb, g->vm.name,
			      guest_state_name(g->state));
	}
}

/* Whether the guest may start; says why not. */
static bool may_start(const struct guest *g, const char *verb)
{
	if (g->refused) {
		monitor_print("cannot %s %s: %s\n", verb, g->vm.name, g->reason);
	}
	return !g->refused;
}

static void cmd_start(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g != NULL && may_start(g, "start")) {
		say_state(g, guest_start(g), "start");
	}
}

static void cmd_stop(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g == NULL) {
		return;
	}
	if (g->state == GUEST_STOPPED || (g->state == GUEST_STOPPING && !g->start_again)) {
		say_state(g, HV_E_BUSY, "stop");
		return;
	}
	if (g->state == GUEST_STOPPING) {
		monitor_print("%s will not start again\n", g->vm.name);
	}
	guest_stop(g, GUEST_END_REQUEST, "by request");
}

/* The guest that is named, if it runs; else says why it is not `verb`ed. */
static struct guest *running_guest(struct span *args, const char *verb)
{
	struct guest *g = monitor_guest(args);

	if (g != NULL && g->state != GUEST_RUNNING) {
		say_state(g, HV_E_BUSY, verb);
		return NULL;
	}
	return g;
}

static void cmd_shutdown(struct span args)
{
	struct guest *g = running_guest(&args, "press the power button of");

	if (g != NULL) {
		board_press_power_button(g->board);
	}
}

static void cmd_nmi(struct span args)
{
	struct guest *g = running_guest(&args, "interrupt");

	if (g != NULL) {
		board_nmi(g->board);
	}
}

static void cmd_break(struct span args)
{
	struct guest *g = running_guest(&args, "send a break to");

	if (g != NULL && !board_serial_break(g->board)) {
		monitor_print("cannot send a break to %s: its serial port %s\n", g->vm.name,
			      g->config->serial ? "is full" : "is missing");
	}
}

static void cmd_reset(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g != NULL && may_start(g, "reset")) {
		guest_reset(g, "by request");
	}
}

static void cmd_pause(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g != NULL) {
		say_state(g, guest_pause(g), "pause");
	}
}

static void cmd_resume(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g != NULL) {
		say_state(g, guest_resume(g), "resume");
	}
}

static void cmd_reload(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g != NULL) {
		say_state(g, guest_reload(g), "reload the devices of");
	}
}

static void cmd_console(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g != NULL) {
		console_attach(&g->console);
	}
}

static void cmd_send(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g == NULL) {
		return;
	}
	if (!g->config->serial && !g->config->virtio_console) {
		monitor_print("cannot type into %s: it has no serial port\n", g->vm.name);
		return;
	}
	if (g->console.receive == NULL) {
		say_state(g, HV_E_BUSY, "type into");
		return;
	}
	args = span_trim(args);
	console_guest_input(&g->console, args.p, args.n);
	console_guest_input(&g->console, "\r", 1);
}

static void trace_line(void *ctx, const char *text)
{
	(void)ctx;
	monitor_print("  %s\n", text);
}

bool monitor_number(struct span args, uint64_t fallback, uint64_t *out)
{
	struct span word;

	*out = fallback;
	if (!span_next_word(&args, &word) || span_to_u64(word, out) == HV_OK) {
		return true;
	}
	monitor_print("'%.*s' is not a number\n", (int)word.n, word.p);
	return false;
}

static void cmd_trace(struct span args)
{
	struct guest *g = monitor_guest(&args);
	uint64_t count;

	if (g == NULL || !monitor_number(args, TRACE_DEFAULT, &count)) {
		return;
	}
	if (g->vm.vcpu_count == 0) {
		monitor_print("%s has no vCPU now: its last exits are in `log`\n", g->vm.name);
	}
	for (unsigned i = 0; i < g->vm.vcpu_count; i++) {
		const struct recorder *r = &g->vm.vcpus[i]->recorder;

		monitor_print("vCPU %u: %lu exits, the last ones:\n", i, r->count);
		recorder_print(r, count, clock_now(), trace_line, NULL);
	}
}

static void cmd_log(struct span args)
{
	const struct ring *ring = log_ring();
	struct span word;
	struct span rest = args;
	uint64_t lines;

	if (span_next_word(&rest, &word)) {
		const struct guest *g = guest_find(word);

		if (g != NULL) {
			ring = &g->console.scrollback;
			args = rest;
		}
	}
	if (monitor_number(args, LOG_LINES_DEFAULT, &lines)) {
		console_print_tail(ring, (unsigned)min_u64(lines, 100000));
		monitor_print("\n");
	}
}

static void cmd_poweroff(struct span args)
{
	(void)args;
	monitor_actions()->power_off();
}

static void cmd_reboot(struct span args)
{
	(void)args;
	monitor_actions()->reboot();
}

static const struct monitor_command commands[] = {
	{"help", "", "this list", cmd_help},
	{"list", "", "all guests and how they are", cmd_list},
	{"start", "NAME", "start a stopped guest", cmd_start},
	{"stop", "NAME", "end a guest at once, like pulling its plug", cmd_stop},
	{"shutdown", "NAME", "press a guest's power button", cmd_shutdown},
	{"nmi", "NAME", "press the NMI button of a guest that hangs", cmd_nmi},
	{"reset", "NAME", "start a guest again from the beginning", cmd_reset},
	{"pause", "NAME", "let a guest and its time stand still", cmd_pause},
	{"resume", "NAME", "let a paused guest go on", cmd_resume},
	{"reload", "NAME", "diagnostic: save, reset and load all devices of a guest", cmd_reload},
	{"console", "NAME", "show a guest's console and screen, and type into it", cmd_console},
	{"send", "NAME TEXT", "type a line into a guest's console", cmd_send},
	{"break", "NAME", "send a break to a guest's serial port", cmd_break},
	{"keys", "NAME KEY ...", "press keys of a guest's keyboard, as ctrl-alt-del", monitor_keys},
	{"type", "NAME TEXT", "type a line on a guest's keyboard", monitor_type},
	{"mouse", "NAME X Y [BUTTONS]", "move a guest's mouse to the right and up", monitor_mouse},
	{"screenshot", "NAME", "print what a guest's screen shows, as PNG", monitor_screenshot},
	{"top", "[N]", "what guests and CPUs do in a second, N times", monitor_top},
	{"stats", "NAME", "counters of a guest, one `key value` a line", monitor_stats},
	{"set", "NAME KEY VALUE", "change a guest's weight, cap, pin or memory", monitor_set},
	{"trace", "NAME [N]", "the last N exits of a guest", cmd_trace},
	{"log", "[NAME] [N]", "the last N lines of the log, or of a guest's console", cmd_log},
	{"info", "WHAT",
	 "machine, cpus, memory, disks, networks, isolation, policy or windows NAME", monitor_info},
	{"capture", "NETWORK [HOW]", "start, stop or dump what goes over a network",
	 monitor_capture},
	{"eject", "NAME [N] [force]", "take the medium out of a CD or floppy drive", monitor_eject},
	{"insert", "NAME [N]", "put it back", monitor_insert},
	{"reboot", "", "end all guests and restart the machine", cmd_reboot},
	{"poweroff", "", "end all guests and switch the machine off", cmd_poweroff},
};

const struct monitor_command *monitor_commands(size_t *count)
{
	*count = ARRAY_SIZE(commands);
	return commands;
}
