/* SPDX-License-Identifier: Apache-2.0 */
/* From a list of files in memory, as the loader leaves it, to guests that run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/setup.h"
#include "mm/pool.h"
#include "tests/fakes/access.h"
#include "tests/fakes/vm_rig.h"

/* The loader's arrays; the files' contents have the module memory, a page or more each. */
#define MODULES_AT (FAKE_LOADER_BASE + 0x2000)
#define MODULES_MAX 40u

static struct handoff handoff;
static struct handoff_module *modules;
static uint64_t content;

/* Guests cannot be taken out again, so each test has names of its own. */
static int machine(void **state)
{
	(void)state;
	vm_rig_machine(true);
	log_set_threshold(LOG_INFO);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	modules = fake_ram(hpa(MODULES_AT));
	memset(modules, 0, MODULES_MAX * sizeof(*modules));
	content = FAKE_MODULE_BASE;
	handoff = (struct handoff){.modules = MODULES_AT};
	vm_rig_clear();
	return 0;
}

static struct handoff_module *add(const char *path, const void *data, size_t n)
{
	struct handoff_module *m = &modules[handoff.module_count++];

	assert_true(handoff.module_count <= MODULES_MAX);
	(void)snprintf(m->path, sizeof(m->path), "%s", path);
	m->size = n;
	if (n > 0) {
		m->base = content;
		content += (n + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
		assert_true(content <= FAKE_MODULE_BASE + FAKE_MODULE_SIZE);
		memcpy(fake_ram(hpa(m->base)), data, n);
	}
	return m;
}

static void text(const char *path, const char *words)
{
	(void)add(path, words, strlen(words));
}

static void folder(const char *path)
{
	add(path, NULL, 0)->is_directory = 1;
}

static void kernel(const char *path)
{
	struct guest_file file = vm_rig_kernel();

	(void)add(path, file.data, file.size);
}

/* A folder with a kernel and a configuration. */
static void guest(const char *name, const char *conf)
{
	char path[64];

	folder(name);
	(void)snprintf(path, sizeof(path), "%s/vmlinuz", name);
	kernel(path);
	(void)snprintf(path, sizeof(path), "%s/guest.conf", name);
	text(path, conf);
}

static void read_it(void)
{
	assert_int_equal(setup_read(&handoff), HV_OK);
}

static struct guest *found(const char *name)
{
	return guest_find(span_of(name));
}

static void assert_says(const char *words)
{
	if (strstr(vm_rig_text(), words) == NULL) {
		fail_msg("no '%s' in:\n%s", words, vm_rig_text());
	}
}

/* Does what setup_autostart began and ends it; returns the names in the order of their start. */
static const char *started(void)
{
	static char names[256];
	static const char before[] = "bulkhead: guest ";

	vm_rig_clear();
	setup_autostart();
	vm_rig_work();
	names[0] = '\0';
	for (const char *at = vm_rig_text(); (at = strstr(at, before)) != NULL;) {
		const char *name = at + strlen(before);
		const char *end = strstr(name, ": started\r\n");

		at = name;
		if (end != NULL && end - name < 32 &&
		    memchr(name, '\n', (size_t)(end - name)) == NULL) {
			size_t n = strlen(names);

			(void)snprintf(names + n, sizeof(names) - n, "%.*s ", (int)(end - name),
				       name);
		}
	}
	for (unsigned i = 0; i < guest_count(); i++) {
		if (guest_at(i)->state != GUEST_STOPPED) {
			vm_rig_end(guest_at(i));
		}
	}
	return names;
}

/* --- nothing to do --- */

static void an_empty_stick(void **state)
{
	(void)state;
	read_it();
	assert_int_equal(guest_count(), 0);
	assert_int_equal(setup_machine()->autostart, CONFIG_AUTOSTART_ALL);
	assert_string_equal(vm_rig_text(), "");
	setup_autostart();
	assert_string_equal(vm_rig_text(),
			    "bulkhead: no guests: put a kernel into a folder below \\bulkhead\\ on "
			    "the boot volume\r\n");
}

static void files_beside_folders_are_no_guests(void **state)
{
	(void)state;
	text("bulkhead.conf", "log = debug\n");
	text("readme.txt", "hello");
	kernel("vmlinuz");
	folder(".trash");
	read_it();
	assert_int_equal(guest_count(), 0);
	assert_int_equal(setup_machine()->log, LOG_DEBUG);
	assert_string_equal(vm_rig_text(), "");
}

/* --- disks --- */

/* A missing disk keeps one guest out, by name; an image is in memory once for the others. */
static void disks_of_guests(void **state)
{
	static const char sectors[1024];

	(void)state;
	folder("images");
	(void)add("images/x.img", sectors, sizeof(sectors));
	guest("disk-a", "memory = 16M\ndisk = /images/x.img\nautostart = off");
	guest("disk-b", "memory = 16M\ndisk = /images/x.img, readonly\ndisk = /images/x.img\n"
			"autostart = off");
	guest("disk-c", "memory = 16M\ndisk = partition:root");
	read_it();
	setup_disks();
	assert_says(
		"bulkhead: guest disk-c: not started: disk 0: no partition has the label or UUID "
		"\"root\"; there are: none\r\n");
	assert_ptr_equal(found("disk-a")->disks[0]->extent.dev,
			 found("disk-b")->disks[1]->extent.dev);
	assert_int_equal(found("disk-a")->disk_images[0].size, sizeof(sectors));
	assert_string_equal(started(), "");
	assert_int_equal(guest_start(found("disk-c")), HV_E_NOT_FOUND);
}

/* --- guests --- */

static void a_folder_becomes_a_guest(void **state)
{
	struct guest *g;
	struct guest_file file = vm_rig_kernel();

	(void)state;
	guest("one", "memory = 16M\r\nweight = 7\r\ncmdline = a=b # c");
	text("one/initrd.img", "ramdisk");
	read_it();
	assert_int_equal(guest_count(), 1);
	g = found("one");
	assert_non_null(g);
	assert_int_equal(g->config->memory, MIB(16));
	assert_int_equal(g->config->weight, 7);
	assert_string_equal(g->config->cmdline, "a=b # c");
	assert_int_equal(g->kernel.size, file.size);
	assert_memory_equal(g->kernel.data, file.data, file.size);
	assert_int_equal(g->initrd.size, 7);
	assert_memory_equal(g->initrd.data, "ramdisk", 7);
	assert_int_equal(g->state, GUEST_STOPPED);
	assert_string_equal(vm_rig_text(), "");
}

static void the_handoff_may_go_afterwards(void **state)
{
	(void)state;
	guest("kept", "memory = 16M");
	read_it();
	memset(modules, 0xff, MODULES_MAX * sizeof(*modules));
	memset(&handoff, 0xff, sizeof(handoff));
	assert_non_null(found("kept"));
	assert_string_equal(started(), "one kept ");
}

static void an_error_keeps_one_guest_out(void **state)
{
	unsigned before = guest_count();

	(void)state;
	guest("bad", "memory = 16M\nwieght = 3\nrestart = maybe\n");
	guest("good", "memory = 16M");
	read_it();
	assert_int_equal(guest_count(), before + 1);
	assert_null(found("bad"));
	assert_non_null(found("good"));
	assert_says("bulkhead: config: bad/guest.conf:2: wieght: unknown key; did you mean "
		    "\"weight\"?\r\n");
	assert_says("bulkhead: config: bad/guest.conf:3: restart: found \"maybe\"; allowed: never, "
		    "on-crash, always\r\n");
	assert_says("bulkhead: guest bad: not started: its configuration has errors\r\n");
	assert_null(strstr(vm_rig_text(), "good"));
}

/* A file that is no ROM is said before the guest exists; one that is goes to its NIC. */
static void roms_of_network_cards(void **state)
{
	uint8_t bytes[512] = {[0] = 0x55, [1] = 0xaa, [0x18] = 0x20, [0x30] = 1, [0x35] = 0x80};

	(void)state;
	memcpy(bytes + 0x20, "PCIR\x86\x80\x0e\x10", 8);
	guest("pxe", "memory = 16M\nnet = a\nnet = a, model=e1000, rom=card.rom\n");
	(void)add("pxe/card.rom", bytes, sizeof(bytes));
	guest("wrong", "memory = 16M\nnet = a, model=e1000e, rom=/pxe/card.rom\n");
	guest("norom", "memory = 16M\nnet = a, rom=vmlinuz\n");
	read_it();
	assert_non_null(found("pxe"));
	assert_int_equal(found("pxe")->nic_roms[0].size, 0);
	assert_int_equal(found("pxe")->nic_roms[1].size, sizeof(bytes));
	assert_null(found("wrong"));
	assert_null(found("norom"));
	assert_says("bulkhead: config: wrong/guest.conf:2: net: the ROM of NIC 0 is for another "
		    "card\r\n");
	assert_says("bulkhead: config: norom/guest.conf:2: net: the ROM of NIC 0 has an image");
}

static void more_memory_than_the_machine_has(void **state)
{
	(void)state;
	guest("huge", "memory = 64M");
	guest("fits", "memory = 16M");
	read_it();
	assert_null(found("huge"));
	assert_non_null(found("fits"));
	assert_says("bulkhead: config: huge/guest.conf:1: memory: 64 MiB is more than this machine "
		    "can give: ");
	assert_says(" MiB are free\r\n");
	assert_says("bulkhead: guest huge: not started: its configuration has errors\r\n");
}

static void files_that_could_not_be_read(void **state)
{
	static const struct {
		const char *name;
		uint32_t error;
		const char *why;
	} cases[] = {
		{"io", HANDOFF_FILE_IO, "could not be read from the boot volume"},
		{"big", HANDOFF_FILE_NO_MEMORY, "there is no piece of free memory as large"},
		{"long", HANDOFF_FILE_NAME_LONG, "its path is too long"},
		{"odd", 77, "could not be read from the boot volume"},
	};
	unsigned before = guest_count();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[64];
		struct handoff_module *m;

		(void)snprintf(path, sizeof(path), "%s/vmlinuz", cases[i].name);
		m = add(path, NULL, 0);
		m->size = 5000;
		m->error = cases[i].error;
	}
	read_it();
	assert_int_equal(guest_count(), before);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[256];

		(void)snprintf(line, sizeof(line),
			       "bulkhead: config: %s/: \"%s/vmlinuz\" could not be read: %s\r\n",
			       cases[i].name, cases[i].name, cases[i].why);
		assert_says(line);
	}
}

static void a_guest_conf_that_could_not_be_read_is_not_absent(void **state)
{
	struct handoff_module *m;

	(void)state;
	kernel("lost/vmlinuz");
	m = add("lost/guest.conf", NULL, 0);
	m->size = 20;
	m->error = HANDOFF_FILE_IO;
	read_it();
	assert_null(found("lost"));
	assert_says("guest.conf could not be read: could not be read from the boot volume");
}

static void nor_is_the_machine_s(void **state)
{
	struct handoff_module *m = add("bulkhead.conf", NULL, 0);

	(void)state;
	m->size = 20;
	m->error = HANDOFF_FILE_IO;
	guest("still", "memory = 16M");
	read_it();
	assert_says("bulkhead: config: bulkhead.conf: could not be read from the boot volume\r\n");
	assert_non_null(found("still"));
	assert_int_equal(setup_machine()->autostart, CONFIG_AUTOSTART_ALL);
}

static void an_empty_kernel_is_none(void **state)
{
	(void)state;
	(void)add("hollow/vmlinuz", NULL, 0);
	read_it();
	assert_null(found("hollow"));
	assert_says("bulkhead: config: hollow/: \"hollow/vmlinuz\" is empty\r\n");
}

static void a_path_without_an_end_is_cut(void **state)
{
	struct handoff_module *m = add("x", NULL, 0);

	(void)state;
	memset(m->path, 'y', sizeof(m->path));
	m->is_directory = 1;
	read_it();
	assert_says("the folder's name has 127 characters; allowed: 1 to 31\r\n");
}

static void errors_of_the_machine_leave_the_defaults(void **state)
{
	(void)state;
	text("bulkhead.conf", "log = loud\nwhen-idle = poweroff\nmemory = 5\n");
	read_it();
	assert_says("bulkhead: config: bulkhead.conf:1: log: found \"loud\"; allowed: ");
	assert_says("bulkhead: config: bulkhead.conf:3: memory: this key belongs into a guest's "
		    "guest.conf\r\n");
	assert_says(
		"bulkhead: config: what is wrong in bulkhead.conf is ignored, the rest holds\r\n");
	assert_int_equal(setup_machine()->log, LOG_INFO);
	assert_int_equal(setup_machine()->when_idle, CONFIG_IDLE_POWEROFF);
}

/* Cut off in the middle of a line it might mean anything. */
static void a_configuration_has_a_limit(void **state)
{
	static const char words[] = "memory = 16M";
	struct handoff_module *longest;

	(void)state;
	folder("wordy");
	kernel("wordy/kernel");
	longest = add("wordy/guest.conf", words, sizeof(words) - 1);
	folder("chatty");
	kernel("chatty/kernel");
	*add("chatty/Guest.conf", NULL, 0) =
		(struct handoff_module){"chatty/Guest.conf", longest->base, KIB(64) + 1, 0, 0};
	*add("bulkhead.conf", NULL, 0) =
		(struct handoff_module){"bulkhead.conf", longest->base, KIB(64) + 1, 0, 0};
	read_it();
	assert_non_null(found("wordy"));
	assert_null(found("chatty"));
	assert_says("chatty/: guest.conf could not be read: a configuration file may have at most "
		    "64 KiB\r\n");
	assert_says("bulkhead.conf: a configuration file may have at most 64 KiB\r\n");
}

/* --- which start --- */

/* Reads the configuration again with the guests that tests before have left. */
static void autostart(const char *conf, const char *want)
{
	handoff.module_count = 0;
	content = FAKE_MODULE_BASE;
	memset(modules, 0, MODULES_MAX * sizeof(*modules));
	text("bulkhead.conf", conf);
	for (unsigned i = 0; i < guest_count(); i++) {
		folder(guest_at(i)->vm.name);
		guest_at(i)->kernel = vm_rig_kernel();
		guest_at(i)->initrd = (struct guest_file){NULL, 0};
	}
	read_it();
	assert_null(strstr(vm_rig_text(), "bulkhead.conf"));
	assert_string_equal(started(), want);
}

static void autostart_in_the_order_of_the_list(void **state)
{
	(void)state;
	guest("red", "memory = 16M\nautostart = off");
	guest("blue", "memory = 16M");
	read_it();
	autostart("autostart = red", "red ");
	autostart("autostart = none", "");
	/* Memory is enough for two. */
	autostart("autostart = red one", "red one ");
	autostart("autostart = one red one", "one red ");
	/* As the folder is found on FAT, whatever its case. */
	autostart("autostart = RED", "red ");
}

static void autostart_off_is_heeded_without_a_list(void **state)
{
	(void)state;
	text("bulkhead.conf", "# nothing");
	read_it();
	(void)started();
	assert_null(strstr(vm_rig_text(), "guest red: "));
	assert_non_null(strstr(vm_rig_text(), "info: guest one: starting with 16 MiB\r\n"));
	/* Not all of them fit at once: the rest says so. */
	assert_non_null(strstr(vm_rig_text(), ": cannot start: taking memory: no memory\r\n"));
}

/* --- limits --- */

static void there_is_room_for_so_many(void **state)
{
	(void)state;
	for (unsigned i = 0; guest_count() < GUESTS_MAX; i++) {
		struct guest_file none = {NULL, 0};
		static struct guest_config filler = {.memory = MIB(16), .cpus = 1};

		(void)snprintf(filler.name, sizeof(filler.name), "filler%u", i);
		assert_non_null(guest_add(&filler, vm_rig_kernel(), none));
	}
	guest("late", "memory = 16M");
	read_it();
	assert_null(found("late"));
	assert_says("bulkhead: guest late: not started: at most 64 guests\r\n");
}

static void no_memory_for_the_list(void **state)
{
	(void)state;
	handoff.module_count = MIB(64) / sizeof(*modules);
	assert_int_equal(setup_read(&handoff), HV_E_NO_MEMORY);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_stick),
		TEST(files_beside_folders_are_no_guests),
		TEST(a_folder_becomes_a_guest),
		TEST(disks_of_guests),
		TEST(the_handoff_may_go_afterwards),
		TEST(an_error_keeps_one_guest_out),
		TEST(roms_of_network_cards),
		TEST(more_memory_than_the_machine_has),
		TEST(files_that_could_not_be_read),
		TEST(a_guest_conf_that_could_not_be_read_is_not_absent),
		TEST(nor_is_the_machine_s),
		TEST(an_empty_kernel_is_none),
		TEST(a_path_without_an_end_is_cut),
		TEST(errors_of_the_machine_leave_the_defaults),
		TEST(a_configuration_has_a_limit),
		TEST(autostart_in_the_order_of_the_list),
		TEST(autostart_off_is_heeded_without_a_list),
		TEST(there_is_room_for_so_many),
		TEST(no_memory_for_the_list),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
