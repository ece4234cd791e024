/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of bulkhead.conf and guest.conf, and what a folder without one means. */
#include "hv/config.h"

#include "guests/tables/e820.h"
#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/config_firmware.h"
#include "hv/config_text.h"
#include "hv/config_tree.h"

#define MEMORY_DEFAULT MIB(512)
#define MEMORY_MIN MIB(16)
#define WEIGHT_DEFAULT 100u
#define WEIGHT_MAX 10000u
#define CPUS_MAX 64u
#define CAP_MAX (100u * CPUS_MAX)
#define CMDLINE_DEFAULT "console=ttyS0"
#define NAMES_SHOWN 160u /* bytes of a list of guests in an error */

static_assert(MEMORY_MIN >= GUEST_MEMORY_MIN, "a configured guest can be laid out");
static_assert(GUEST_MEMORY_MAX == GIB(1024), "the message below says 1T");

/* ---------------------------------------------------------------- values */

/* Looks `value` up among `count` words; on failure reports `allowed` and returns -1. */
static int pick_word(struct config_parser *p, struct span value, const char *const *words,
		     unsigned count, const char *allowed)
{
	for (unsigned i = 0; i < count; i++) {
		if (span_eq(value, words[i])) {
			return (int)i;
		}
	}
	config_fail_value(p, value, allowed);
	return -1;
}

static void set_switch(struct config_parser *p, struct span value, bool *out)
{
	static const char *const words[] = {"off", "on"};
	int word = pick_word(p, value, words, ARRAY_SIZE(words), "on, off");

	*out = word < 0 ? *out : word == 1;
}

static void set_number(struct config_parser *p, struct span value, unsigned max, unsigned *out)
{
	char allowed[32];
	uint64_t number;

	if (span_to_u64(value, &number) != HV_OK || number == 0 || number > max) {
		(void)fmt_snprintf(allowed, sizeof(allowed), max > 1 ? "1 to %u" : "%u", max);
		config_fail_value(p, value, allowed);
		return;
	}
	*out = (unsigned)number;
}

/* Whether a guest folder of this name is there, and how it is spelt. When it is not, reports what
 * is: `allowed`, and the guests as far as there is room. */
static bool find_guest_name(struct config_parser *p, struct span name, const char *allowed,
			    struct span *folder)
{
	char list[NAMES_SHOWN];
	size_t n = fmt_snprintf(list, sizeof(list), "%s", allowed);
	unsigned cursor = 0;

	while (config_next_folder(p->tree, &cursor, folder)) {
		if (config_same_name(*folder, name) && folder->n < CONFIG_NAME_MAX) {
			return true;
		}
		if (n < sizeof(list)) {
			n += fmt_snprintf(list + n, sizeof(list) - n, " %.*s", (int)folder->n,
					  folder->p);
		}
	}
	config_fail_value(p, name, list);
	return false;
}

/* ---------------------------------------------------------------- bulkhead.conf */

static void set_console(struct config_parser *p, struct span value)
{
	struct machine_config *m = p->out;
	struct span folder;

	if (span_eq(value, "monitor")) {
		m->console = CONFIG_CONSOLE_MONITOR;
	} else if (span_eq(value, "all")) {
		m->console = CONFIG_CONSOLE_ALL;
	} else if (find_guest_name(p, value, "monitor, all, or a guest:", &folder)) {
		m->console = CONFIG_CONSOLE_GUEST;
		(void)str_copy(m->console_guest, sizeof(m->console_guest), folder);
	}
}

static void set_log(struct config_parser *p, struct span value)
{
	struct machine_config *m = p->out;

	for (unsigned i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (span_eq(value, log_level_name((enum log_level)i))) {
			m->log = (enum log_level)i;
			return;
		}
	}
	config_fail_value(p, value, "error, warn, info, debug");
}

static void set_autostart(struct config_parser *p, struct span value)
{
	struct machine_config *m = p->out;
	struct span name;
	struct span folder;

	if (span_eq(value, "all")) {
		m->autostart = CONFIG_AUTOSTART_ALL;
		return;
	}
	if (span_eq(value, "none")) {
		m->autostart = CONFIG_AUTOSTART_NONE;
		return;
	}
	if (value.n == 0) {
		config_fail_value(p, value, "all, none, names of guests");
		return;
	}
	m->autostart = CONFIG_AUTOSTART_LIST;
	while (span_next_word(&value, &name)) {
		if (!find_guest_name(p, name,
				     "all, none, or guests with blanks between:", &folder)) {
			continue;
		}
		if (m->autostart_count == CONFIG_AUTOSTART_MAX) {
			config_fail(p, "more than %u names", CONFIG_AUTOSTART_MAX);
			return;
		}
		(void)str_copy(m->autostart_names[m->autostart_count++], CONFIG_NAME_MAX, folder);
	}
}

static void set_when_idle(struct config_parser *p, struct span value)
{
	static const char *const words[] = {
		[CONFIG_IDLE_STAY] = "stay", [CONFIG_IDLE_POWEROFF] = "poweroff"};
	struct machine_config *m = p->out;
	int word = pick_word(p, value, words, ARRAY_SIZE(words), "stay, poweroff");

	m->when_idle = word < 0 ? m->when_idle : (enum config_idle)word;
}

static void set_smt(struct config_parser *p, struct span value)
{
	static const char *const words[] = {"private", "shared"};
	struct machine_config *m = p->out;
	int word = pick_word(p, value, words, ARRAY_SIZE(words), "private, shared");

	m->smt_shared = word < 0 ? m->smt_shared : word == 1;
}

static void set_virtual_interrupts(struct config_parser *p, struct span value)
{
	static const char *const words[] = {[CONFIG_VIRTUAL_INTERRUPTS_AUTO] = "auto",
					    [CONFIG_VIRTUAL_INTERRUPTS_ON] = "on",
					    [CONFIG_VIRTUAL_INTERRUPTS_OFF] = "off"};
	struct machine_config *m = p->out;
	int word = pick_word(p, value, words, ARRAY_SIZE(words), "auto, on, off");

	m->virtual_interrupts =
		word < 0 ? m->virtual_interrupts : (enum config_virtual_interrupts)word;
}

/* ---------------------------------------------------------------- guest.conf */

static void set_memory(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;
	uint64_t bytes;

	if (span_to_size(value, &bytes) != HV_OK || bytes < MEMORY_MIN ||
	    bytes > GUEST_MEMORY_MAX || !is_aligned(bytes, MIB(1))) {
		config_fail_value(p, value, "16M to 1T in whole MiB, as 512M or 2G");
		return;
	}
	g->memory = bytes;
	g->memory_line = p->error.line;
}

static void set_cpus(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_number(p, value, CPUS_MAX, &g->cpus);
}

static void set_cap(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_number(p, value, CAP_MAX, &g->cap);
}

/* The part of `text` before the first `c`, which *text then begins behind; whether one is there. */
static struct span take_until(struct span *text, char c, bool *found)
{
	struct span part = *text;
	size_t n = 0;

	while (n < text->n && text->p[n] != c) {
		n++;
	}
	part.n = n;
	*found = n < text->n;
	n = min_u64(n + 1, text->n);
	*text = (struct span){text->p + n, text->n - n};
	return span_trim(part);
}

/* Adds "N" or "N-M" to the set. */
static bool add_cpus(struct span text, struct sched_cpumask *set)
{
	bool range;
	struct span first = take_until(&text, '-', &range);
	uint64_t from;
	uint64_t to;

	if (span_to_u64(first, &from) != HV_OK) {
		return false;
	}
	to = from;
	if (range && span_to_u64(span_trim(text), &to) != HV_OK) {
		return false;
	}
	if (from > to || to >= SCHED_CPUS_MAX) {
		return false;
	}
	for (uint64_t cpu = from; cpu <= to; cpu++) {
		sched_cpumask_set(set, (unsigned)cpu);
	}
	return true;
}

bool config_parse_cpus(struct span text, struct sched_cpumask *out)
{
	struct sched_cpumask set = {{0}};
	bool more;

	do {
		if (!add_cpus(take_until(&text, ',', &more), &set)) {
			return false;
		}
	} while (more);
	*out = set;
	return true;
}

/* The first CPU at or above `from` that is not in the set. */
static unsigned end_of_run(const struct sched_cpumask *cpus, unsigned from)
{
	while (from < SCHED_CPUS_MAX && sched_cpumask_has(cpus, from)) {
		from++;
	}
	return from;
}

void config_format_cpus(const struct sched_cpumask *cpus, char *buf, size_t cap)
{
	unsigned from = sched_cpumask_next(cpus, 0);
	size_t n = 0;

	(void)fmt_snprintf(buf, cap, "%s", sched_cpumask_full(cpus) ? "all" : "");
	if (sched_cpumask_full(cpus)) {
		return;
	}
	while (from < SCHED_CPUS_MAX && n < cap) {
		unsigned end = end_of_run(cpus, from);

		n += fmt_snprintf(buf + n, cap - n, "%s%u", n > 0 ? "," : "", from);
		if (end - from > 1 && n < cap) {
			n += fmt_snprintf(buf + n, cap - n, "-%u", end - 1);
		}
		from = sched_cpumask_next(cpus, end);
	}
}

static void set_pin(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	if (!config_parse_cpus(value, &g->pin)) {
		config_fail_value(p, value, "numbers of CPUs from 0 to 255, as 0-3,8");
	}
}

static void set_weight(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_number(p, value, WEIGHT_MAX, &g->weight);
}

static void set_guest_autostart(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->autostart);
}

static void set_serial(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	static const char *const words[] = {"off", "on", "virtio"};
	int word = pick_word(p, value, words, ARRAY_SIZE(words), "on, off, virtio");

	if (word >= 0) {
		g->serial = word == 1;
		g->virtio_console = word == 2;
	}
}

static void set_rng(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->rng);
}

static void set_balloon(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->balloon);
}

static void set_vga(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->vga);
}

static void set_paravirt(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->paravirt);
}

static void set_hyperv(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->hyperv);
}

static void set_hpet(struct config_parser *p, struct span value)
{
	static const char *const words[] = {
		[CONFIG_HPET_AUTO] = "auto", [CONFIG_HPET_ON] = "on", [CONFIG_HPET_OFF] = "off"};
	struct guest_config *g = p->out;
	int word = pick_word(p, value, words, ARRAY_SIZE(words), "auto, on, off");

	g->hpet = word < 0 ? g->hpet : (enum config_hpet)word;
}

static void set_restart(struct config_parser *p, struct span value)
{
	static const char *const words[] = {[GUEST_RESTART_NEVER] = "never",
					    [GUEST_RESTART_ON_CRASH] = "on-crash",
					    [GUEST_RESTART_ALWAYS] = "always"};
	struct guest_config *g = p->out;
	int word = pick_word(p, value, words, ARRAY_SIZE(words), "never, on-crash, always");

	g->restart = word < 0 ? g->restart : (enum guest_restart)word;
}

static void set_cmdline(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	if (!str_copy(g->cmdline, sizeof(g->cmdline), value)) {
		config_fail(p, "%zu characters; allowed: up to %u", value.n,
			    CONFIG_CMDLINE_MAX - 1);
	}
}

static void set_kernel(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	g->kernel = config_find_file(p, value);
}

static void set_initrd(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	g->initrd = span_eq(value, "none") ? CONFIG_NO_ENTRY : config_find_file(p, value);
}

/* The first word names the file; the value as a whole is what the kernel is told. */
static void set_module(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;
	struct config_module *m = &g->modules[g->module_count];
	struct span rest = value;
	struct span file = {"", 0};

	if (g->module_count == CONFIG_MODULES_MAX) {
		config_fail(p, "more than %u modules", CONFIG_MODULES_MAX);
		return;
	}
	if (!str_copy(m->string, sizeof(m->string), value)) {
		config_fail(p, "%zu characters; allowed: up to %u", value.n,
			    CONFIG_MODULE_STRING_MAX - 1);
		return;
	}
	(void)span_next_word(&rest, &file);
	m->file = config_find_file(p, file);
	g->module_count += m->file != CONFIG_NO_ENTRY ? 1 : 0;
}

static void set_debug_exit(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->debug_exit);
}

static void set_test_device(struct config_parser *p, struct span value)
{
	struct guest_config *g = p->out;

	set_switch(p, value, &g->test_device);
}

/* ---------------------------------------------------------------- the two tables */

static const struct config_key machine_keys[] = {
	{"console", set_console, false},
	{"log", set_log, false},
	{"autostart", set_autostart, false},
	{"when-idle", set_when_idle, false},
	{"smt", set_smt, false},
	{"virtual-interrupts", set_virtual_interrupts, false},
	{"network", config_set_network, true},
};

enum guest_key { KEY_KERNEL, KEY_INITRD, KEY_VGA };

static const struct config_key guest_keys[] = {
	[KEY_KERNEL] = {"kernel", set_kernel, false},
	[KEY_INITRD] = {"initrd", set_initrd, false},
	[KEY_VGA] = {"vga", set_vga, false},
	{"module", set_module, true},
	{"memory", set_memory, false},
	{"cpus", set_cpus, false},
	{"cmdline", set_cmdline, false},
	{"weight", set_weight, false},
	{"cap", set_cap, false},
	{"pin", set_pin, false},
	{"autostart", set_guest_autostart, false},
	{"restart", set_restart, false},
	{"serial", set_serial, false},
	{"rng", set_rng, false},
	{"balloon", set_balloon, false},
	{"paravirt", set_paravirt, false},
	{"hyperv", set_hyperv, false},
	{"debug-exit", set_debug_exit, false},
	{"test-device", set_test_device, false},
	{"disk", config_set_disk, true},
	{"floppy", config_set_floppy, true},
	{"net", config_set_net, true},
	{"varstore", config_set_varstore, false},
	{"hpet", set_hpet, false},
	{"firmware", config_set_firmware, false},
	{"boot", config_set_boot, false},
};

static const struct config_schema machine_schema = {machine_keys, ARRAY_SIZE(machine_keys),
						    guest_keys, ARRAY_SIZE(guest_keys),
						    "a guest's guest.conf"};
static const struct config_schema guest_schema = {guest_keys, ARRAY_SIZE(guest_keys), machine_keys,
						  ARRAY_SIZE(machine_keys), CONFIG_MACHINE_FILE};

enum hv_status config_parse_machine(const struct config_tree *tree, struct span text,
				    const struct config_reporter *reporter,
				    struct machine_config *out)
{
	struct config_parser p;

	memset(out, 0, sizeof(*out));
	out->log = LOG_INFO;
	config_parser_init(&p, tree, reporter, (struct span){NULL, 0}, CONFIG_MACHINE_FILE);
	p.out = out;
	config_check_name(&p, CONFIG_MACHINE_FILE);
	config_read(&p, &machine_schema, text);
	return p.error_count == 0 ? HV_OK : HV_E_INVALID;
}

/* ---------------------------------------------------------------- folders */

static bool name_char_allowed(char c)
{
	char l = config_lower(c);

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* A guest is known by its folder's name, in commands, event lines and bulkhead.conf. */
static void check_folder_name(struct config_parser *p, struct span name)
{
	static const char *const taken[] = {"all", "none", "monitor"};
	struct span other;

	if (name.n == 0 || name.n >= CONFIG_NAME_MAX) {
		config_fail(p, "the folder's name has %zu characters; allowed: 1 to %u", name.n,
			    CONFIG_NAME_MAX - 1);
		return;
	}
	for (size_t i = 0; i < name.n; i++) {
		if (!name_char_allowed(name.p[i])) {
			config_fail(p, "a guest's folder may be named with A-Z a-z 0-9 . _ - only");
			return;
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(taken); i++) {
		if (config_same_name(name, span_of(taken[i]))) {
			config_fail(p, "\"%s\" has a meaning of its own and cannot name a guest",
				    taken[i]);
		}
	}
	if (config_other_spelling(p->tree, name, &other)) {
		config_fail(p, "a guest named \"%.*s\" is there already", (int)other.n, other.p);
	}
}

static bool has_prefix(struct span name, const char *prefix)
{
	size_t n = str_len(prefix);

	return name.n >= n && config_same_name((struct span){name.p, n}, span_of(prefix));
}

static bool has_suffix(struct span name, const char *suffix)
{
	size_t n = str_len(suffix);

	return name.n >= n &&
	       config_same_name((struct span){name.p + name.n - n, n}, span_of(suffix));
}

static bool looks_like_kernel(struct span name)
{
	return has_prefix(name, "vmlinuz") || has_prefix(name, "bzImage") ||
	       (has_prefix(name, "kernel") && !has_suffix(name, ".conf"));
}

static bool looks_like_initrd(struct span name)
{
	return has_prefix(name, "initrd") || has_prefix(name, "initramfs");
}

/*
 * The one file of the folder that `matches`; CONFIG_NO_ENTRY, with an error, when several do, and
 * without one when none does.
 */
static unsigned pick_file(struct config_parser *p, bool (*matches)(struct span), const char *key)
{
	unsigned found = CONFIG_NO_ENTRY;
	struct span first = {"", 0};
	struct span name;

	for (unsigned i = 0; i < p->tree->count; i++) {
		if (!config_in_folder(&p->tree->entries[i], p->folder, &name) || !matches(name)) {
			continue;
		}
		if (found != CONFIG_NO_ENTRY) {
			config_fail(p,
				    "both \"%.*s\" and \"%.*s\" could be the %s; say which with "
				    "%s = in guest.conf",
				    (int)first.n, first.p, (int)name.n, name.p, key, key);
			return CONFIG_NO_ENTRY;
		}
		found = i;
		first = name;
	}
	return found != CONFIG_NO_ENTRY && config_check_content(p, found) ? found : CONFIG_NO_ENTRY;
}

/* A guest.conf that is there but could not be read must not count as absent. */
static void check_guest_file(struct config_parser *p)
{
	unsigned index = config_find_in(p->tree, p->folder, CONFIG_GUEST_FILE);

	if (index != CONFIG_NO_ENTRY && p->tree->entries[index].problem != NULL) {
		config_fail(p, "%s could not be read: %s", CONFIG_GUEST_FILE,
			    p->tree->entries[index].problem);
	}
}

static void guest_defaults(struct guest_config *g, struct span name)
{
	memset(g, 0, sizeof(*g));
	(void)str_copy(g->name, sizeof(g->name), name);
	g->memory = MEMORY_DEFAULT;
	g->cpus = 1;
	g->weight = WEIGHT_DEFAULT;
	g->pin = sched_cpumask_all();
	g->autostart = true;
	g->serial = true;
	g->paravirt = true;
	g->kernel = CONFIG_NO_ENTRY;
	g->initrd = CONFIG_NO_ENTRY;
	g->firmware = CONFIG_FIRMWARE_AUTO;
	g->bios = CONFIG_NO_ENTRY;
	g->uefi_code = CONFIG_NO_ENTRY;
	g->uefi_vars = CONFIG_NO_ENTRY;
	g->vgabios = CONFIG_NO_ENTRY;
	g->linuxboot = CONFIG_NO_ENTRY;
	(void)str_copy(g->cmdline, sizeof(g->cmdline), span_of(CMDLINE_DEFAULT));
}

enum hv_status config_load_guest(const struct config_tree *tree, struct span name, struct span text,
				 const struct config_reporter *reporter, struct guest_config *out)
{
	struct config_parser p;
	unsigned folder_errors;

	guest_defaults(out, name);
	config_parser_init(&p, tree, reporter, name, "");
	p.out = out;
	check_folder_name(&p, name);
	folder_errors = p.error_count;
	config_parser_init(&p, tree, reporter, name, text.n > 0 ? CONFIG_GUEST_FILE : "");
	p.out = out;
	check_guest_file(&p);
	config_check_name(&p, CONFIG_GUEST_FILE);
	config_read(&p, &guest_schema, text);
	/* What guest.conf does not name is looked for; not when it could not even be read, nor for
	 * firmware that was asked for: that starts only a kernel that was, too. */
	if (p.error_count == 0 && p.seen[KEY_KERNEL] == 0 && config_may_have_kernel(out)) {
		out->kernel = pick_file(&p, looks_like_kernel, "kernel");
	}
	if (p.error_count == 0 && p.seen[KEY_INITRD] == 0) {
		out->initrd = pick_file(&p, looks_like_initrd, "initrd");
	}
	if (p.error_count == 0) {
		config_finish_firmware(&p, out);
	}
	if (p.seen[KEY_VGA] == 0) {
		out->vga = out->firmware != CONFIG_FIRMWARE_NONE;
	}
	/* A guest sees one of the two. */
	out->paravirt = out->paravirt && !out->hyperv;
	return folder_errors + p.error_count == 0 ? HV_OK : HV_E_INVALID;
}

bool config_starts(const struct machine_config *machine, const struct guest_config *guest)
{
	if (machine->autostart == CONFIG_AUTOSTART_ALL) {
		return guest->autostart;
	}
	for (unsigned i = 0; i < machine->autostart_count; i++) {
		if (config_same_name(span_of(machine->autostart_names[i]), span_of(guest->name))) {
			return true;
		}
	}
	return false;
}
