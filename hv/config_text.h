/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax under hv/config.c: lines of `key = value`, a table of known keys, and errors with
 * their place. What a value means is the business of the table's functions.
 */
#pragma once

#include <stdbool.h>

#include "hv/base/fmt.h"
#include "hv/config.h"

#define CONFIG_KEYS_MAX 32u

/* One file being read. */
struct config_parser {
	const struct config_reporter *reporter;
	const struct config_tree *tree;
	unsigned error_count;
	struct config_error error;	/* file, line and key of what is being read */
	void *out;			/* what the keys' functions fill in */
	struct span folder;		/* for guest.conf */
	unsigned seen[CONFIG_KEYS_MAX]; /* line of each key's first use */
};

struct config_key {
	const char *name;
	/* Takes the value over or calls config_fail. */
	void (*set)(struct config_parser *p, struct span value);
	bool repeats; /* may be given several times; each adds */
};

struct config_schema {
	const struct config_key *keys;
	unsigned count;
	/* The other kind of file, to point at when a key belongs there. */
	const struct config_key *other_keys;
	unsigned other_count;
	const char *other_file;
};

/* For the file `name` in `folder` (may be empty); `name` empty means the folder itself. */
void config_parser_init(struct config_parser *p, const struct config_tree *tree,
			const struct config_reporter *reporter, struct span folder,
			const char *name);

/* Reports an error at the current line and key; beyond CONFIG_ERRORS_MAX it only counts. */
void config_fail(struct config_parser *p, const char *fmt, ...) FMT_PRINTF(2, 3);

/* As config_fail: `found "VALUE"; allowed: ALLOWED`, the value cut to a readable length. */
void config_fail_value(struct config_parser *p, struct span value, const char *allowed);

/* Reads the whole text, calling the keys' functions. */
void config_read(struct config_parser *p, const struct config_schema *schema, struct span text);

/*
 * The entry of a file that a value names: in the parser's folder, or below \bulkhead\ when it
 * begins with '/'. CONFIG_NO_ENTRY, and an error, when there is none or it has no content.
 */
unsigned config_find_file(struct config_parser *p, struct span value);
/* Whether there is such a file; nothing is reported. */
bool config_has_file(const struct config_parser *p, struct span value);
/* Reports a file of the parser's folder that was probably meant to be `file`, if that is not there:
 * "guest.conf.txt", "guest.cfg". */
void config_check_name(struct config_parser *p, const char *file);
/* Reports unless the file at `index` has content. */
bool config_check_content(struct config_parser *p, unsigned index);

/*
 * Cuts the text before the first ',' off *rest, trimmed; rest->p is NULL when nothing is left, and
 * false is returned from then on.
 */
bool config_next_part(struct span *rest, struct span *part);
/* Takes NAME=VALUE apart, both trimmed; value->p is NULL when there is no '='. */
void config_split_option(struct span part, struct span *name, struct span *value);

/* Edit distance of two words, at most 255; words longer than 31 are infinitely far (255). */
unsigned config_distance(struct span a, struct span b);
