/* SPDX-License-Identifier: Apache-2.0 */
/* From the files on the stick to guests. */
#include "hv/setup.h"

#include "hv/base/log.h"
#include "hv/config_tree.h"
#include "hv/guest.h"
#include "hv/guest_firmware.h"
#include "hv/guest_net.h"
#include "hv/guest_varstore.h"
#include "hv/setup_net.h"
#include "mm/frame.h"
#include "mm/pool.h"

static struct {
	struct config_tree tree;
	struct handoff_module *modules; /* our copy, same order as the tree's entries */
	struct machine_config machine;
	struct guest_config *guests;
} setup;

/* Text of a configuration file is at most this long; a longer one counts as unreadable. */
#define CONFIG_BYTES_MAX KIB(64)

static void report(void *ctx, const struct config_error *error)
{
	char text[CONFIG_PATH_MAX + 256];

	(void)ctx;
	(void)config_error_format(error, text, sizeof(text));
	log_event("config: %s", text);
}

static const struct config_reporter reporter = {report, NULL};

static const char *file_problem(uint32_t error)
{
	switch (error) {
	case HANDOFF_FILE_OK:
		return NULL;
	case HANDOFF_FILE_NO_MEMORY:
		return "there is no piece of free memory as large";
	case HANDOFF_FILE_NAME_LONG:
		return "its path is too long";
	default:
		return "could not be read from the boot volume";
	}
}

/* Whether the file is a configuration, by its name. */
static bool is_config(struct span path)
{
	size_t folder = path.n;

	while (folder > 0 && path.p[folder - 1] != '/') {
		folder--;
	}
	path = (struct span){path.p + folder, path.n - folder};
	return config_same_name(path, span_of(CONFIG_GUEST_FILE)) ||
	       config_same_name(path, span_of(CONFIG_MACHINE_FILE));
}

static const char *problem_of(const struct handoff_module *m)
{
	if (m->error == HANDOFF_FILE_OK && m->size > CONFIG_BYTES_MAX &&
	    is_config(span_of(m->path))) {
		return "a configuration file may have at most 64 KiB";
	}
	return file_problem(m->error);
}

static enum hv_status copy_modules(const struct handoff *handoff)
{
	const struct handoff_module *from = pool_ptr(hpa(handoff->modules));
	uint64_t count = handoff->module_count;
	struct config_entry *entries;

	if (count == 0) {
		return HV_OK;
	}
	setup.modules = pool_alloc(count * sizeof(*setup.modules));
	entries = pool_alloc(count * sizeof(*entries));
	if (setup.modules == NULL || entries == NULL) {
		return HV_E_NO_MEMORY;
	}
	memcpy(setup.modules, from, count * sizeof(*from));
	for (uint64_t i = 0; i < count; i++) {
		struct handoff_module *m = &setup.modules[i];

		m->path[HANDOFF_PATH_MAX - 1] = '\0';
		entries[i] = (struct config_entry){
			.path = span_of(m->path),
			.size = m->size,
			.directory = m->is_directory != 0,
			.problem = problem_of(m),
		};
	}
	setup.tree = (struct config_tree){entries, (unsigned)count};
	return HV_OK;
}

static struct guest_file file_at(unsigned entry)
{
	struct guest_file none = {NULL, 0};
	const struct handoff_module *m;

	if (entry == CONFIG_NO_ENTRY) {
		return none;
	}
	m = &setup.modules[entry];
	if (m->base == 0 || m->size == 0) {
		return none;
	}
	return (struct guest_file){pool_ptr(hpa(m->base)), m->size};
}

/* The text of a configuration file; empty when there is none that can be read. */
static struct span text_of(unsigned entry)
{
	struct span none = {NULL, 0};
	struct guest_file f = file_at(entry);

	if (entry == CONFIG_NO_ENTRY || setup.tree.entries[entry].problem != NULL) {
		return none;
	}
	return (struct span){f.data, (size_t)f.size};
}

/* Memory that the machine can never give is an error of the file, not of the start. */
static bool fits_machine(struct span name, const struct guest_config *g)
{
	struct config_error error = {.line = g->memory_line, .key = span_of("memory")};
	struct frame_stats stats;

	frame_stats(&stats);
	if (g->memory <= stats.free * PAGE_SIZE) {
		return true;
	}
	fmt_snprintf(error.file, sizeof(error.file), "%.*s/" CONFIG_GUEST_FILE, (int)name.n,
		     name.p);
	fmt_snprintf(error.text, sizeof(error.text),
		     "%lu MiB is more than this machine can give: %lu MiB are free",
		     g->memory >> 20, stats.free * PAGE_SIZE >> 20);
	report(NULL, &error);
	return false;
}

/* What is wrong with a file's content is an error of the configuration that names it. */
static bool roms_are_right(struct span name, const struct guest_config *g)
{
	struct config_error error = {.key = span_of("net")};

	fmt_snprintf(error.file, sizeof(error.file), "%.*s/" CONFIG_GUEST_FILE, (int)name.n,
		     name.p);
	for (unsigned i = 0; i < g->net_count; i++) {
		struct guest_file rom = file_at(g->nets[i].rom);
		const char *problem = guest_net_rom_problem(g->nets[i].model, &rom);

		if (problem != NULL) {
			error.line = g->nets[i].line;
			fmt_snprintf(error.text, sizeof(error.text), "the ROM of NIC %u %s", i,
				     problem);
			report(NULL, &error);
			return false;
		}
	}
	return true;
}

static struct guest *add_guest(const struct guest_config *config)
{
	struct guest *g = guest_add(config, file_at(config->kernel), file_at(config->initrd));

	if (g != NULL) {
		g->bios = file_at(config->bios);
		g->uefi_code = file_at(config->uefi_code);
		g->uefi_vars = file_at(config->uefi_vars);
		g->vgabios = file_at(config->vgabios);
		g->linuxboot = file_at(config->linuxboot);
	}
	for (unsigned i = 0; g != NULL && i < config->module_count; i++) {
		g->modules[i] = file_at(config->modules[i].file);
	}
	for (unsigned i = 0; g != NULL && i < config->disk_count; i++) {
		g->disk_images[i] = file_at(config->disks[i].file);
	}
	for (unsigned i = 0; g != NULL && i < config->net_count; i++) {
		g->nic_roms[i] = file_at(config->nets[i].rom);
	}
	return g;
}

static void load_guest(struct span name, struct guest_config *g)
{
	struct span text = text_of(config_find_in(&setup.tree, name, CONFIG_GUEST_FILE));
	enum hv_status status = config_load_guest(&setup.tree, name, text, &reporter, g);

	if (status == HV_OK && !fits_machine(name, g)) {
		status = HV_E_RANGE;
	}
	if (status == HV_OK && !roms_are_right(name, g)) {
		status = HV_E_INVALID;
	}
	if (status == HV_OK && !setup_nets_fit(&setup.machine, g, &reporter)) {
		status = HV_E_EXISTS;
	}
	if (status != HV_OK) {
		log_event("guest %.*s: not started: its configuration has errors", (int)name.n,
			  name.p);
	} else if (guest_count() == GUESTS_MAX) {
		log_event("guest %.*s: not started: at most %u guests", (int)name.n, name.p,
			  GUESTS_MAX);
	} else if (add_guest(g) == NULL) {
		log_event("guest %.*s: not started: no memory", (int)name.n, name.p);
	}
}

/* A bulkhead.conf that is there but could not be read must not look like none. */
static void check_machine_file(unsigned entry)
{
	struct config_error error = {.line = 0};

	if (entry != CONFIG_NO_ENTRY && setup.tree.entries[entry].problem != NULL) {
		(void)str_copy(error.file, sizeof(error.file), span_of(CONFIG_MACHINE_FILE));
		(void)str_copy(error.text, sizeof(error.text),
			       span_of(setup.tree.entries[entry].problem));
		report(NULL, &error);
	}
}

enum hv_status setup_read(const struct handoff *handoff)
{
	enum hv_status status = copy_modules(handoff);
	unsigned cursor = 0;
	unsigned machine_file;
	struct span text;
	struct span name;

	if (status != HV_OK) {
		return status;
	}
	machine_file = config_find(&setup.tree, span_of(CONFIG_MACHINE_FILE));
	check_machine_file(machine_file);
	text = text_of(machine_file);
	if (config_parse_machine(&setup.tree, text, &reporter, &setup.machine) != HV_OK) {
		log_event("config: what is wrong in " CONFIG_MACHINE_FILE
			  " is ignored, the rest holds");
	}
	setup_networks(&setup.machine);
	while (config_next_folder(&setup.tree, &cursor, &name)) {
		struct guest_config *g = pool_alloc(sizeof(*g));

		if (g == NULL) {
			return HV_E_NO_MEMORY;
		}
		load_guest(name, g);
	}
	return HV_OK;
}

/* All that a guest has of the machine's disks; false: `reason` says what it lacks. */
static bool open_disks(struct guest *g)
{
	if (!guest_disks_open(g) || !guest_firmware_choose(g)) {
		return false;
	}
	return g->firmware_kind != CONFIG_FIRMWARE_IS_UEFI || guest_varstore_open(g);
}

void setup_disks(void)
{
	blk_registry_scan();
	for (unsigned i = 0; i < guest_count(); i++) {
		struct guest *g = guest_at(i);

		if (!open_disks(g)) {
			log_event("guest %s: not started: %s", g->vm.name, g->reason);
		}
	}
}

const struct machine_config *setup_machine(void)
{
	return &setup.machine;
}

static void start(struct guest *g)
{
	if (guest_start(g) == HV_OK) {
		log_info("guest %s: starting with %lu MiB", g->vm.name, g->config->memory >> 20);
	}
}

void setup_autostart(void)
{
	const struct machine_config *m = &setup.machine;

	if (guest_count() == 0) {
		log_event(
			"no guests: put a kernel into a folder below \\bulkhead\\ on the boot volume");
	}
	if (m->autostart == CONFIG_AUTOSTART_LIST) {
		for (unsigned i = 0; i < m->autostart_count; i++) {
			struct guest *g = guest_find(span_of(m->autostart_names[i]));

			if (g != NULL) {
				start(g);
			}
		}
		return;
	}
	for (unsigned i = 0; i < guest_count(); i++) {
		if (config_starts(m, guest_at(i)->config)) {
			start(guest_at(i));
		}
	}
}
