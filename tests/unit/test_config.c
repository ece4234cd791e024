/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead.conf, guest.conf and folders without one: what is taken, what is refused, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/config.h"

static const char *paths[16];
static struct config_entry entries[16];
static struct config_tree tree;
static char reports[4096];
static unsigned report_count;
static struct guest_config guest;
static struct machine_config machine;

static void collect(void *ctx, const struct config_error *error)
{
	size_t at = strlen(reports);

	(void)ctx;
	config_error_format(error, reports + at, sizeof(reports) - at - 1);
	strcat(reports, "\n");
	report_count++;
}

static const struct config_reporter reporter = {collect, NULL};

/* Paths ending in '/' are folders; files have 100 bytes. */
static void make_tree(const char *const *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t n = strlen(list[i]);

		paths[i] = list[i];
		entries[i] = (struct config_entry){{list[i], n}, 100, false, NULL};
		if (list[i][n - 1] == '/') {
			entries[i] = (struct config_entry){{list[i], n - 1}, 0, true, NULL};
		}
	}
	tree = (struct config_tree){entries, count};
}

#define TREE(...) \
	do { \
		static const char *const list_[] = {__VA_ARGS__}; \
		make_tree(list_, ARRAY_SIZE(list_)); \
	} while (0)

static int setup(void **state)
{
	(void)state;
	TREE("bulkhead.conf", "web/", "web/vmlinuz", "web/initrd.img", "web/guest.conf", "db/",
	     "db/bzImage-6.1", "shared/", "shared/vmlinuz");
	return 0;
}

static enum hv_status load(const char *name, const char *text)
{
	reports[0] = '\0';
	report_count = 0;
	return config_load_guest(&tree, span_of(name), span_of(text), &reporter, &guest);
}

static enum hv_status parse(const char *text)
{
	reports[0] = '\0';
	report_count = 0;
	return config_parse_machine(&tree, span_of(text), &reporter, &machine);
}

static void refused(const char *text, const char *exactly)
{
	assert_int_equal(load("web", text), HV_E_INVALID);
	assert_string_equal(reports, exactly);
}

/* ---------------------------------------------------------------- guest.conf */

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(load("web", ""), HV_OK);
	assert_string_equal(guest.name, "web");
	assert_int_equal(guest.memory, MIB(512));
	assert_int_equal(guest.cpus, 1);
	assert_int_equal(guest.weight, 100);
	assert_int_equal(guest.cap, 0);
	for (unsigned cpu = 0; cpu < SCHED_CPUS_MAX; cpu++) {
		assert_true(sched_cpumask_has(&guest.pin, cpu));
	}
	assert_true(guest.autostart);
	assert_true(guest.serial);
	assert_false(guest.virtio_console);
	assert_false(guest.rng);
	assert_false(guest.balloon);
	assert_false(guest.debug_exit);
	assert_false(guest.test_device);
	assert_int_equal(guest.module_count, 0);
	assert_true(guest.paravirt);
	assert_int_equal(guest.restart, GUEST_RESTART_NEVER);
	assert_string_equal(guest.cmdline, "console=ttyS0");
	assert_string_equal(paths[guest.kernel], "web/vmlinuz");
	assert_string_equal(paths[guest.initrd], "web/initrd.img");
	assert_int_equal(load("db", ""), HV_OK);
	assert_string_equal(paths[guest.kernel], "db/bzImage-6.1");
	assert_int_equal(guest.initrd, CONFIG_NO_ENTRY);
	assert_int_equal(report_count, 0);
}

static void test_every_key(void **state)
{
	(void)state;
	assert_int_equal(load("web", "# a comment\n"
				     "memory = 1G\r\n"
				     "\tcpus=3\n"
				     "\n"
				     "  # another = comment\n"
				     "kernel = /shared/VMLINUZ\n"
				     "initrd = none\n"
				     "cmdline = root=/dev/ram0 # quiet = yes  \n"
				     "weight = 0x10\n"
				     "cap = 250\n"
				     "pin = 2\n"
				     "autostart = off\n"
				     "restart = on-crash\n"
				     "serial = off\n"
				     "rng = on\n"
				     "balloon = on\n"
				     "hpet = on\n"
				     "paravirt = off"),
			 HV_OK);
	assert_string_equal(reports, "");
	assert_int_equal(guest.memory, GIB(1));
	assert_string_equal(paths[guest.kernel], "shared/vmlinuz");
	assert_int_equal(guest.initrd, CONFIG_NO_ENTRY);
	assert_string_equal(guest.cmdline, "root=/dev/ram0 # quiet = yes");
	assert_int_equal(guest.cpus, 3);
	assert_int_equal(guest.weight, 16);
	assert_int_equal(guest.cap, 250);
	assert_true(sched_cpumask_has(&guest.pin, 2));
	assert_int_equal(sched_cpumask_next(&guest.pin, 0), 2);
	assert_int_equal(sched_cpumask_next(&guest.pin, 3), SCHED_CPUS_MAX);
	assert_false(guest.autostart);
	assert_int_equal(guest.restart, GUEST_RESTART_ON_CRASH);
	assert_false(guest.serial);
	assert_false(guest.virtio_console);
	assert_true(guest.rng);
	assert_true(guest.balloon);
	assert_false(guest.paravirt);
	assert_int_equal(guest.hpet, CONFIG_HPET_ON);
	/* Microsoft's interface takes the place of KVM's. */
	assert_false(guest.hyperv);
	assert_int_equal(load("web", "paravirt = on\nhyperv = on"), HV_OK);
	assert_true(guest.hyperv);
	assert_false(guest.paravirt);
	assert_int_equal(load("web", "serial = virtio\n"), HV_OK);
	assert_false(guest.serial);
	assert_true(guest.virtio_console);
}

static void test_what_notepad_writes(void **state)
{
	(void)state;
	assert_int_equal(load("web", "\xef\xbb\xbfmemory = 64M\r\ncmdline = caf\xc3\xa9\r\n"),
			 HV_OK);
	assert_int_equal(guest.memory, MIB(64));
	assert_string_equal(guest.cmdline, "caf\xc3\xa9");
	assert_int_equal(load("web", "cmdline =\n"), HV_OK);
	assert_string_equal(guest.cmdline, "");
}

static void test_modules(void **state)
{
	char text[CONFIG_MODULES_MAX * 32 + 64] = "";
	char longest[400];

	(void)state;
	assert_int_equal(load("web", "module = initrd.img  root=x, y\nmodule = /shared/vmlinuz"),
			 HV_OK);
	assert_int_equal(guest.module_count, 2);
	assert_string_equal(paths[guest.modules[0].file], "web/initrd.img");
	assert_string_equal(guest.modules[0].string, "initrd.img  root=x, y");
	assert_string_equal(paths[guest.modules[1].file], "shared/vmlinuz");
	assert_string_equal(guest.modules[1].string, "/shared/vmlinuz");
	refused("module = gone a b",
		"web/guest.conf:1: module: there is no file \"web/gone\" below \\bulkhead\n");
	refused("module =", "web/guest.conf:1: module: found \"\"; allowed: the name of a file in "
			    "this folder\n");
	for (unsigned i = 0; i < CONFIG_MODULES_MAX; i++) {
		strcat(text, "module = vmlinuz\n");
	}
	assert_int_equal(load("web", text), HV_OK);
	assert_int_equal(guest.module_count, CONFIG_MODULES_MAX);
	strcat(text, "module = vmlinuz\n");
	refused(text, "web/guest.conf:9: module: more than 8 modules\n");
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "module = vmlinuz ", 17);
	longest[9 + 255] = '\0';
	assert_int_equal(load("web", longest), HV_OK);
	assert_int_equal(strlen(guest.modules[0].string), 255);
	longest[9 + 255] = 'x';
	longest[9 + 256] = '\0';
	refused(longest, "web/guest.conf:1: module: 256 characters; allowed: up to 255\n");
}

static void test_test_devices(void **state)
{
	(void)state;
	assert_int_equal(load("web", "debug-exit = on\ntest-device = on"), HV_OK);
	assert_true(guest.debug_exit);
	assert_true(guest.test_device);
	assert_int_equal(load("web", "debug-exit = on"), HV_OK);
	assert_false(guest.test_device);
	refused("test-device = 1",
		"web/guest.conf:1: test-device: found \"1\"; allowed: on, off\n");
}

static void test_bad_values_say_what_is_allowed(void **state)
{
	static const char *const bad_memory[] = {"0",	  "512", "15M",	     "1.5G", "12x", "-1",
						 "1025G", "17T", "16777217", "",     "M"};
	char text[64];
	char expected[160];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad_memory); i++) {
		snprintf(text, sizeof(text), "\nmemory = %s", bad_memory[i]);
		snprintf(expected, sizeof(expected),
			 "web/guest.conf:2: memory: found \"%s\"; allowed: 16M to 1T in whole MiB, "
			 "as 512M or 2G\n",
			 bad_memory[i]);
		refused(text, expected);
	}
	refused("cpus = 0", "web/guest.conf:1: cpus: found \"0\"; allowed: 1 to 64\n");
	refused("cpus = 65", "web/guest.conf:1: cpus: found \"65\"; allowed: 1 to 64\n");
	/* Not cut to 32 bits first. */
	refused("cpus = 4294967297",
		"web/guest.conf:1: cpus: found \"4294967297\"; allowed: 1 to 64\n");
	refused("cap = 0", "web/guest.conf:1: cap: found \"0\"; allowed: 1 to 6400\n");
	refused("cap = 6401", "web/guest.conf:1: cap: found \"6401\"; allowed: 1 to 6400\n");
	refused("cap = 50%", "web/guest.conf:1: cap: found \"50%\"; allowed: 1 to 6400\n");
	refused("weight = 0", "web/guest.conf:1: weight: found \"0\"; allowed: 1 to 10000\n");
	refused("weight = 10001",
		"web/guest.conf:1: weight: found \"10001\"; allowed: 1 to 10000\n");
	refused("serial = yes",
		"web/guest.conf:1: serial: found \"yes\"; allowed: on, off, virtio\n");
	refused("rng = 1", "web/guest.conf:1: rng: found \"1\"; allowed: on, off\n");
	refused("restart = Always", "web/guest.conf:1: restart: found \"Always\"; allowed: never, "
				    "on-crash, always\n");
}

static void test_numbers_up_to_their_limits(void **state)
{
	(void)state;
	assert_int_equal(load("web", "cpus = 64\ncap = 6400\nweight = 10000"), HV_OK);
	assert_int_equal(guest.cpus, 64);
	assert_int_equal(guest.cap, 6400);
	assert_int_equal(guest.weight, 10000);
	assert_int_equal(load("web", "cpus = 1\ncap = 1\nweight = 1"), HV_OK);
	assert_int_equal(guest.cpus, 1);
	assert_int_equal(guest.cap, 1);
	assert_int_equal(guest.weight, 1);
}

static void test_pins(void **state)
{
	static const struct {
		const char *text;
		unsigned cpus[9]; /* in ascending order; 999 ends it */
	} good[] = {
		{"pin = 0", {0, 999}},
		{"pin = 255", {255, 999}},
		{"pin = 0-3,8", {0, 1, 2, 3, 8, 999}},
		{"pin = 8,0-1", {0, 1, 8, 999}},
		{"pin = 63-65", {63, 64, 65, 999}},
		{"pin = 254-255", {254, 255, 999}},
		{"pin =  1 , 3 - 5 ", {1, 3, 4, 5, 999}},
		{"pin = 4-4,4,3-5", {3, 4, 5, 999}},
		{"pin = 0x10", {16, 999}},
	};
	static const char *const bad[] = {"",	  "all", "-",	"3-1",	     "256", "0-256",
					  "1,,2", ",1",	 "1,",	"1-",	     "-1",  "1-2-3",
					  "1;2",  "0 1", "1.5", "4294967296"};
	char text[64];
	char expected[160];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		unsigned next = 0;

		assert_int_equal(load("web", good[i].text), HV_OK);
		for (unsigned cpu = 0; cpu < SCHED_CPUS_MAX; cpu++) {
			bool in = cpu == good[i].cpus[next];

			assert_int_equal(sched_cpumask_has(&guest.pin, cpu), in);
			next += in;
		}
		assert_int_equal(good[i].cpus[next], 999);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "pin = %s", bad[i]);
		snprintf(expected, sizeof(expected),
			 "web/guest.conf:1: pin: found \"%s\"; allowed: numbers of CPUs from 0 to "
			 "255, as 0-3,8\n",
			 bad[i]);
		refused(text, expected);
	}
}

static void test_keys_that_are_not_ours(void **state)
{
	(void)state;
	refused("memroy = 1G", "web/guest.conf:1: memroy: unknown key; did you mean \"memory\"?\n");
	refused("Kernel = x", "web/guest.conf:1: Kernel: unknown key; did you mean \"kernel\"?\n");
	refused("colour = red",
		"web/guest.conf:1: colour: unknown key; allowed: kernel initrd vga module memory "
		"cpus "
		"cmdline weight cap pin autostart restart serial rng balloon paravirt hyperv debug-exit test-device "
		"disk floppy "
		"net varstore hpet firmware boot\n");
	refused("smt = shared", "web/guest.conf:1: smt: this key belongs into bulkhead.conf\n");
	refused("log = debug", "web/guest.conf:1: log: this key belongs into bulkhead.conf\n");
	refused("memory = 1G\ncpus = 1\nmemory = 2G",
		"web/guest.conf:3: memory: given twice; the first is in line 1\n");
	refused("memory 1G", "web/guest.conf:1: found \"memory 1G\"; allowed: lines of the form "
			     "\"key = value\", and # comments\n");
	refused(" = 1G", "web/guest.conf:1: found \"= 1G\"; allowed: lines of the form "
			 "\"key = value\", and # comments\n");
}

static void test_every_error_is_reported_up_to_a_limit(void **state)
{
	char text[4096] = "";

	(void)state;
	assert_int_equal(load("web", "memory = 0\nweight = 0\nserial = 0\n"), HV_E_INVALID);
	assert_int_equal(report_count, 3);
	for (unsigned i = 0; i < 200; i++) {
		strcat(text, "what is this?\n");
	}
	assert_int_equal(load("web", text), HV_E_INVALID);
	assert_int_equal(report_count, CONFIG_ERRORS_MAX);
}

static void test_rubbish_gives_one_error(void **state)
{
	static const char zip[] = "PK\x03\x04\n\n\x00\x00\n=\n=\n\xff\n";
	static const char utf16[] = "\xff\xfem\0e\0m\0";

	(void)state;
	reports[0] = '\0';
	assert_int_equal(config_load_guest(&tree, span_of("web"), (struct span){zip, sizeof(zip)},
					   &reporter, &guest),
			 HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:1: not a text file: byte 0x03 at offset 2 is "
				     "not UTF-8 text\n");
	reports[0] = '\0';
	assert_int_equal(config_load_guest(&tree, span_of("web"),
					   (struct span){utf16, sizeof(utf16)}, &reporter, &guest),
			 HV_E_INVALID);
	assert_string_equal(reports, "web/guest.conf:1: not a text file: byte 0xff at offset 0 is "
				     "not UTF-8 text\n");
	refused("memory = 1G\ncmdline = \xc3\x28",
		"web/guest.conf:2: not a text file: byte 0xc3 at offset 22 is not UTF-8 text\n");
}

static void test_cmdline_length(void **state)
{
	char text[CONFIG_CMDLINE_MAX + 32] = "cmdline = ";
	size_t n = strlen(text);

	(void)state;
	memset(text + n, 'a', CONFIG_CMDLINE_MAX - 1);
	assert_int_equal(load("web", text), HV_OK);
	assert_int_equal(strlen(guest.cmdline), CONFIG_CMDLINE_MAX - 1);
	text[n + CONFIG_CMDLINE_MAX - 1] = 'a';
	refused(text, "web/guest.conf:1: cmdline: 2048 characters; allowed: up to 2047\n");
}

static void test_named_files(void **state)
{
	(void)state;
	refused("kernel = linux",
		"web/guest.conf:1: kernel: there is no file \"web/linux\" below \\bulkhead\n");
	refused("kernel = ../db/bzImage-6.1", "web/guest.conf:1: kernel: there is no file "
					      "\"web/../db/bzImage-6.1\" below \\bulkhead\n");
	refused("kernel = /shared",
		"web/guest.conf:1: kernel: there is no file \"shared\" below \\bulkhead\n");
	refused("kernel =", "web/guest.conf:1: kernel: found \"\"; allowed: the name of a file in "
			    "this folder\n");
	entries[2].size = 0;
	refused("kernel = vmlinuz", "web/guest.conf:1: kernel: \"web/vmlinuz\" is empty\n");
	entries[3].problem = "read error";
	refused("kernel = \\shared\\vmlinuz\ninitrd = initrd.img",
		"web/guest.conf:2: initrd: \"web/initrd.img\" could not be read: read error\n");
}

static void test_similar_names(void **state)
{
	(void)state;
	refused("kernel = vmlinux",
		"web/guest.conf:1: kernel: there is no file \"web/vmlinux\" below "
		"\\bulkhead; did you mean \"vmlinuz\"?\n");
	refused("kernel = /shared/vmlinux", "web/guest.conf:1: kernel: there is no file "
					    "\"shared/vmlinux\" below \\bulkhead; did you mean "
					    "\"vmlinuz\"?\n");
	/* Not one of another folder, and not one that has nothing in common. */
	refused("kernel = bzImage-6.2", "web/guest.conf:1: kernel: there is no file "
					"\"web/bzImage-6.2\" below \\bulkhead\n");
	refused("kernel = x",
		"web/guest.conf:1: kernel: there is no file \"web/x\" below \\bulkhead\n");
}

/* A configuration under another name would be passed over without a word. */
static void test_misnamed_configurations(void **state)
{
	(void)state;
	TREE("bulkhead.conf.txt", "a/vmlinuz", "a/guest.conf.txt", "b/vmlinuz", "b/guest.cfg",
	     "c/vmlinuz", "c/guest.conf", "c/guest.conf.old", "d/vmlinuz", "d/guest.img",
	     "d/guest.conf/x");
	assert_int_equal(load("a", ""), HV_E_INVALID);
	assert_string_equal(reports, "a/: \"guest.conf.txt\" is not read: the configuration's name "
				     "is guest.conf\n");
	assert_int_equal(load("b", ""), HV_E_INVALID);
	assert_non_null(strstr(reports, "b/: \"guest.cfg\" is not read"));
	assert_int_equal(load("c", "memory = 16M"), HV_OK);
	assert_int_equal(load("d", ""), HV_OK);
	assert_int_equal(parse(""), HV_E_INVALID);
	assert_string_equal(reports, "bulkhead.conf: \"bulkhead.conf.txt\" is not read: the "
				     "configuration's name is bulkhead.conf\n");
}

/* ---------------------------------------------------------------- folders */

static void test_folders_without_a_kernel(void **state)
{
	(void)state;
	TREE("web/", "empty/", "two/vmlinuz-1", "two/vmlinuz-2", "init/bzImage", "init/initrd-1",
	     "init/initramfs", "deep/a/vmlinuz");
	assert_int_equal(load("empty", ""), HV_E_INVALID);
	assert_string_equal(reports, "empty/: no kernel in the folder (a file named vmlinuz*, "
				     "bzImage* or kernel*), and no disk to boot from\n");
	assert_int_equal(load("two", ""), HV_E_INVALID);
	assert_string_equal(reports, "two/: both \"vmlinuz-1\" and \"vmlinuz-2\" could be the "
				     "kernel; say which with kernel = in guest.conf\n");
	assert_int_equal(load("init", ""), HV_E_INVALID);
	assert_string_equal(reports, "init/: both \"initrd-1\" and \"initramfs\" could be the "
				     "initrd; say which with initrd = in guest.conf\n");
	assert_int_equal(load("deep", ""), HV_E_INVALID);
	assert_int_equal(load("two", "kernel = vmlinuz-2"), HV_OK);
	assert_string_equal(paths[guest.kernel], "two/vmlinuz-2");
}

static void test_folder_names(void **state)
{
	static const char long_name[] = "a234567890123456789012345678901x";

	(void)state;
	TREE("Web/", "Web/vmlinuz", "wEB/vmlinuz", "b d/vmlinuz", "all/vmlinuz", "a\x01/vmlinuz",
	     "a234567890123456789012345678901x/vmlinuz", "a-b_C.9/vmlinuz");
	assert_int_equal(load("wEB", ""), HV_E_INVALID);
	assert_non_null(strstr(reports, "wEB/: a guest named \"Web\" is there already\n"));
	assert_int_equal(load("b d", ""), HV_E_INVALID);
	assert_string_equal(reports,
			    "b d/: a guest's folder may be named with A-Z a-z 0-9 . _ - only\n");
	assert_int_equal(load("a\x01", ""), HV_E_INVALID);
	assert_string_equal(reports,
			    "a?/: a guest's folder may be named with A-Z a-z 0-9 . _ - only\n");
	assert_int_equal(load("all", ""), HV_E_INVALID);
	assert_int_equal(load(long_name, ""), HV_E_INVALID);
	assert_non_null(strstr(reports, "32 characters; allowed: 1 to 31"));
	assert_int_equal(load("a-b_C.9", ""), HV_OK);
}

static void test_unreadable_guest_conf(void **state)
{
	(void)state;
	entries[4].problem = "read error";
	assert_int_equal(load("web", ""), HV_E_INVALID);
	assert_string_equal(reports, "web/: guest.conf could not be read: read error\n");
}

/* ---------------------------------------------------------------- bulkhead.conf */

static void test_machine_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse(""), HV_OK);
	assert_int_equal(machine.console, CONFIG_CONSOLE_MONITOR);
	assert_int_equal(machine.log, LOG_INFO);
	assert_int_equal(machine.autostart, CONFIG_AUTOSTART_ALL);
	assert_int_equal(machine.when_idle, CONFIG_IDLE_STAY);
	assert_false(machine.smt_shared);
	assert_int_equal(machine.virtual_interrupts, CONFIG_VIRTUAL_INTERRUPTS_AUTO);
}

static void test_machine_keys(void **state)
{
	(void)state;
	assert_int_equal(parse("console=all\nlog = debug\nautostart = db  web\n"
			       "when-idle = poweroff\nsmt = shared\n"
			       "virtual-interrupts = off\n"),
			 HV_OK);
	assert_true(machine.smt_shared);
	assert_int_equal(machine.virtual_interrupts, CONFIG_VIRTUAL_INTERRUPTS_OFF);
	assert_int_equal(machine.console, CONFIG_CONSOLE_ALL);
	assert_int_equal(machine.log, LOG_DEBUG);
	assert_int_equal(machine.autostart, CONFIG_AUTOSTART_LIST);
	assert_int_equal(machine.autostart_count, 2);
	assert_string_equal(machine.autostart_names[0], "db");
	assert_string_equal(machine.autostart_names[1], "web");
	assert_int_equal(machine.when_idle, CONFIG_IDLE_POWEROFF);
	/* As the folders are spelt: guests are looked up by that. */
	assert_int_equal(parse("console=WEB\nautostart = Db\n"), HV_OK);
	assert_string_equal(machine.console_guest, "web");
	assert_string_equal(machine.autostart_names[0], "db");
	assert_int_equal(parse("console = web\nautostart = none\nsmt = private"), HV_OK);
	assert_false(machine.smt_shared);
	assert_int_equal(machine.console, CONFIG_CONSOLE_GUEST);
	assert_string_equal(machine.console_guest, "web");
	assert_int_equal(machine.autostart, CONFIG_AUTOSTART_NONE);
}

static void test_machine_errors_keep_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("log = loud\nwhen-idle = sleep\nconsole = mail\nautostart = web x\n"
			       "memory = 1G\nautostrat = all\nsmt = off\n"),
			 HV_E_INVALID);
	assert_string_equal(
		reports,
		"bulkhead.conf:1: log: found \"loud\"; allowed: error, warn, info, debug\n"
		"bulkhead.conf:2: when-idle: found \"sleep\"; allowed: stay, poweroff\n"
		"bulkhead.conf:3: console: found \"mail\"; allowed: monitor, all, or a guest: web db "
		"shared\n"
		"bulkhead.conf:4: autostart: found \"x\"; allowed: all, none, or guests with blanks "
		"between: web db shared\n"
		"bulkhead.conf:5: memory: this key belongs into a guest's guest.conf\n"
		"bulkhead.conf:6: autostrat: unknown key; did you mean \"autostart\"?\n"
		"bulkhead.conf:7: smt: found \"off\"; allowed: private, shared\n");
	assert_false(machine.smt_shared);
	assert_int_equal(machine.log, LOG_INFO);
	assert_int_equal(machine.console, CONFIG_CONSOLE_MONITOR);
	assert_int_equal(machine.autostart_count, 1);
}

static void test_who_starts(void **state)
{
	(void)state;
	assert_int_equal(load("web", ""), HV_OK);
	assert_int_equal(parse(""), HV_OK);
	assert_true(config_starts(&machine, &guest));
	guest.autostart = false;
	assert_false(config_starts(&machine, &guest));
	assert_int_equal(parse("autostart = WEB"), HV_OK);
	assert_true(config_starts(&machine, &guest));
	assert_int_equal(parse("autostart = db"), HV_OK);
	guest.autostart = true;
	assert_false(config_starts(&machine, &guest));
	assert_int_equal(parse("autostart = none"), HV_OK);
	assert_false(config_starts(&machine, &guest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, setup),
		cmocka_unit_test_setup(test_every_key, setup),
		cmocka_unit_test_setup(test_what_notepad_writes, setup),
		cmocka_unit_test_setup(test_modules, setup),
		cmocka_unit_test_setup(test_test_devices, setup),
		cmocka_unit_test_setup(test_bad_values_say_what_is_allowed, setup),
		cmocka_unit_test_setup(test_numbers_up_to_their_limits, setup),
		cmocka_unit_test_setup(test_pins, setup),
		cmocka_unit_test_setup(test_keys_that_are_not_ours, setup),
		cmocka_unit_test_setup(test_every_error_is_reported_up_to_a_limit, setup),
		cmocka_unit_test_setup(test_rubbish_gives_one_error, setup),
		cmocka_unit_test_setup(test_cmdline_length, setup),
		cmocka_unit_test_setup(test_named_files, setup),
		cmocka_unit_test_setup(test_similar_names, setup),
		cmocka_unit_test_setup(test_misnamed_configurations, setup),
		cmocka_unit_test_setup(test_folders_without_a_kernel, setup),
		cmocka_unit_test_setup(test_folder_names, setup),
		cmocka_unit_test_setup(test_unreadable_guest_conf, setup),
		cmocka_unit_test_setup(test_machine_defaults, setup),
		cmocka_unit_test_setup(test_machine_keys, setup),
		cmocka_unit_test_setup(test_machine_errors_keep_defaults, setup),
		cmocka_unit_test_setup(test_who_starts, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
