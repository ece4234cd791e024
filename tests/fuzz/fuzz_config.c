/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files and folder listings. The input up to its first zero byte is a list of paths,
 * one to a line (a final '/' makes a folder); the rest is the text, read as bulkhead.conf and as
 * the guest.conf of every folder.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guests/layout.h"
#include "guests/tables/e820.h"
#include "hv/api/vm.h"
#include "hv/config.h"

#define ENTRIES_MAX 32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned reported;

static void check_error(void *ctx, const struct config_error *error)
{
	char line[512];

	(void)ctx;
	reported++;
	if (config_error_format(error, line, sizeof(line)) >= sizeof(line) || reported > 32) {
		abort();
	}
	for (size_t i = 0; line[i] != '\0'; i++) {
		if (line[i] == '\n' || line[i] == '\r' || line[i] == 0x1b) {
			abort(); /* one error is one line, and moves no cursor */
		}
	}
}

static const struct config_reporter reporter = {check_error, NULL};

static bool is_entry(const struct config_tree *tree, unsigned entry)
{
	return entry < tree->count && !tree->entries[entry].directory;
}

static bool is_usable_disk(const struct config_tree *tree, const struct config_disk *d)
{
	bool image = d->source == CONFIG_DISK_IMAGE;

	if (image ? !is_entry(tree, d->file) || tree->entries[d->file].size % 512 != 0
		  : d->name[0] == '\0') {
		return false;
	}
	return d->serial[0] != '\0' && !(d->overlay && d->readonly) &&
	       (d->overlay || !image || d->readonly) && d->iops <= 10000000 &&
	       d->bandwidth <= 100ull << 30 && d->overlay_limit <= 1ull << 40;
}

static bool are_usable_disks(const struct config_tree *tree, const struct guest_config *guest)
{
	for (unsigned i = 0; i < guest->disk_count; i++) {
		if (!is_usable_disk(tree, &guest->disks[i])) {
			return false;
		}
	}
	return guest->disk_count <= CONFIG_DISKS_MAX;
}

/* A partition has a name, a template is whole blocks. */
static bool is_usable_varstore(const struct config_tree *tree, const struct config_varstore *v)
{
	return v->partition == (v->name[0] != '\0') &&
	       (!v->own_template || (is_entry(tree, v->template) &&
				     config_varstore_fits(tree->entries[v->template].size)));
}

/* What the networks take for granted. */
static bool nets_fit(const struct config_tree *tree, const struct guest_config *guest)
{
	for (unsigned i = 0; i < guest->net_count && i < CONFIG_NETS_MAX; i++) {
		const struct config_net *n = &guest->nets[i];
		size_t name = strlen(n->network);

		if (name == 0 || name >= NETWORK_NAME_MAX || (n->mac.bytes[0] & 1) != 0 ||
		    (n->rate != 0 && n->rate < 1024) ||
		    (n->rom != CONFIG_NO_ENTRY && !is_entry(tree, n->rom))) {
			return false;
		}
	}
	return guest->net_count <= CONFIG_NETS_MAX;
}

static bool is_absent_or_entry(const struct config_tree *tree, unsigned entry)
{
	return entry == CONFIG_NO_ENTRY || is_entry(tree, entry);
}

/* Something to begin with, of a size that memory has room for. */
static bool has_beginning(const struct config_tree *tree, const struct guest_config *guest)
{
	if (!is_absent_or_entry(tree, guest->kernel) || !is_absent_or_entry(tree, guest->bios) ||
	    !is_absent_or_entry(tree, guest->uefi_code) ||
	    !is_absent_or_entry(tree, guest->uefi_vars)) {
		return false;
	}
	switch (guest->firmware) {
	case CONFIG_FIRMWARE_NONE:
		return is_entry(tree, guest->kernel);
	case CONFIG_FIRMWARE_AUTO:
		return guest->disk_count > 0;
	case CONFIG_FIRMWARE_IS_BIOS:
	case CONFIG_FIRMWARE_IMAGE:
		return is_entry(tree, guest->bios) && tree->entries[guest->bios].size % 4096 == 0;
	case CONFIG_FIRMWARE_IS_UEFI:
		return is_entry(tree, guest->uefi_code) && is_entry(tree, guest->uefi_vars);
	}
	return false;
}

/* What the code that starts a guest takes for granted. */
static bool is_startable(const struct config_tree *tree, const struct guest_config *guest)
{
	struct ram_layout ram;
	struct sched_cpumask again;
	char pin[CONFIG_CPUS_TEXT_MAX];

	if (guest->cpus < 1 || guest->cpus > VM_VCPUS_MAX || guest->weight < SCHED_WEIGHT_MIN ||
	    guest->weight > SCHED_WEIGHT_MAX || guest->cap > SCHED_CAP_MAX ||
	    guest->module_count > CONFIG_MODULES_MAX || !nets_fit(tree, guest) ||
	    guest->boot_count < 1 || guest->boot_count > CONFIG_BOOT_KINDS) {
		return false;
	}
	for (unsigned i = 0; i < guest->module_count; i++) {
		if (!is_entry(tree, guest->modules[i].file)) {
			return false;
		}
	}
	config_format_cpus(&guest->pin, pin, sizeof(pin));
	if (strcmp(pin, "all") != 0 && strlen(pin) + 1 < sizeof(pin) &&
	    (!config_parse_cpus((struct span){pin, strlen(pin)}, &again) ||
	     memcmp(&again, &guest->pin, sizeof(again)) != 0)) {
		return false; /* a list as it is printed is read back as the same list */
	}
	return has_beginning(tree, guest) &&
	       (guest->initrd == CONFIG_NO_ENTRY || is_entry(tree, guest->initrd)) &&
	       ram_layout_build(guest->memory, LAYOUT_MMIO_BASE, &ram) == HV_OK;
}

static void check_guest(const struct config_tree *tree, struct span name, struct span text)
{
	static struct guest_config guest;

	reported = 0;
	if (config_load_guest(tree, name, text, &reporter, &guest) != HV_OK) {
		if (reported == 0) {
			abort();
		}
		return;
	}
	if (reported != 0 || !is_startable(tree, &guest) || !are_usable_disks(tree, &guest) ||
	    !is_usable_varstore(tree, &guest.varstore)) {
		abort();
	}
}

static unsigned make_entries(struct span list, struct config_entry *entries)
{
	struct span line;
	unsigned count = 0;

	while (count < ENTRIES_MAX && span_next_line(&list, &line)) {
		bool directory = line.n > 0 && line.p[line.n - 1] == '/';

		line.n -= directory ? 1 : 0;
		entries[count++] = (struct config_entry){line, line.n % 7 * 512 + (line.n % 5 == 4),
							 directory, NULL};
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine_config machine;
	struct config_entry entries[ENTRIES_MAX];
	struct span list = {(const char *)data, 0};
	struct span text;
	struct span name;
	unsigned cursor = 0;

	while (list.n < size && data[list.n] != 0) {
		list.n++;
	}
	text.p = (const char *)data + list.n + (list.n < size ? 1 : 0);
	text.n = list.n < size ? size - list.n - 1 : 0;
	struct config_tree tree = {entries, make_entries(list, entries)};

	reported = 0;
	if ((config_parse_machine(&tree, text, &reporter, &machine) == HV_OK) != (reported == 0)) {
		abort();
	}
	while (config_next_folder(&tree, &cursor, &name)) {
		check_guest(&tree, name, text);
	}
	return 0;
}
