/* SPDX-License-Identifier: Apache-2.0 */
/* The files below \bulkhead\: finding them by name, and which folders are guests. */
#include "hv/config_tree.h"

char config_lower(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return (char)(c - 'A' + 'a');
	}
	return c;
}

bool config_same_name(struct span a, struct span b)
{
	if (a.n != b.n) {
		return false;
	}
	for (size_t i = 0; i < a.n; i++) {
		if (config_lower(a.p[i]) != config_lower(b.p[i])) {
			return false;
		}
	}
	return true;
}

unsigned config_find(const struct config_tree *tree, struct span path)
{
	for (unsigned i = 0; i < tree->count; i++) {
		if (config_same_name(tree->entries[i].path, path)) {
			return i;
		}
	}
	return CONFIG_NO_ENTRY;
}

/* The path before its first '/', or all of it. */
static struct span first_component(struct span path)
{
	size_t n = 0;

	while (n < path.n && path.p[n] != '/') {
		n++;
	}
	return (struct span){path.p, n};
}

bool config_in_folder(const struct config_entry *entry, struct span folder, struct span *file)
{
	struct span first = first_component(entry->path);

	if (first.n == entry->path.n || !config_same_name(first, folder)) {
		return false;
	}
	*file = (struct span){entry->path.p + first.n + 1, entry->path.n - first.n - 1};
	/* Folders within a guest's folder are the guest's own affair. */
	return !entry->directory && first_component(*file).n == file->n;
}

unsigned config_find_in(const struct config_tree *tree, struct span folder, const char *file)
{
	struct span name;

	for (unsigned i = 0; i < tree->count; i++) {
		if (config_in_folder(&tree->entries[i], folder, &name) &&
		    config_same_name(name, span_of(file))) {
			return i;
		}
	}
	return CONFIG_NO_ENTRY;
}

/* The top-level folder that this entry is, or lies in; empty when it is a top-level file. */
static struct span folder_of(const struct config_entry *entry)
{
	struct span first = first_component(entry->path);

	if (first.n == entry->path.n && !entry->directory) {
		first.n = 0;
	}
	return first;
}

static bool same_bytes(struct span a, struct span b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

bool config_next_folder(const struct config_tree *tree, unsigned *cursor, struct span *name)
{
	for (; *cursor < tree->count; (*cursor)++) {
		struct span folder = folder_of(&tree->entries[*cursor]);
		bool seen = folder.n == 0 || folder.p[0] == '.' ||
			    config_same_name(folder, span_of(CONFIG_IMAGES_FOLDER)) ||
			    config_same_name(folder, span_of(CONFIG_FIRMWARE_FOLDER));

		for (unsigned i = 0; i < *cursor && !seen; i++) {
			seen = same_bytes(folder_of(&tree->entries[i]), folder);
		}
		if (!seen) {
			*name = folder;
			(*cursor)++;
			return true;
		}
	}
	return false;
}

bool config_other_spelling(const struct config_tree *tree, struct span folder, struct span *other)
{
	unsigned cursor = 0;

	while (config_next_folder(tree, &cursor, other) && !same_bytes(*other, folder)) {
		if (config_same_name(*other, folder)) {
			return true;
		}
	}
	return false;
}
