/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files and folder listings. The input up to its first zero byte is a list of paths,
 * one to a line (a final '/' makes a folder); the rest is the text, read as bulkhead.conf and as
 * the guest.conf of every folder.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "guests/tables/e820.h"
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

static void check_guest(const struct config_tree *tree, struct span name, struct span text)
{
	static struct guest_config guest;
	struct ram_layout ram;

	reported = 0;
	if (config_load_guest(tree, name, text, &reporter, &guest) != HV_OK) {
		if (reported == 0) {
			abort();
		}
		return;
	}
	if (reported != 0 || guest.kernel >= tree->count || guest.cpus != 1 ||
	    (guest.initrd != CONFIG_NO_ENTRY && guest.initrd >= tree->count) ||
	    ram_layout_build(guest.memory, &ram) != HV_OK) {
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
		entries[count++] = (struct config_entry){line, line.n % 7, directory, NULL};
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
