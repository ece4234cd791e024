/* SPDX-License-Identifier: Apache-2.0 */
/* Lines, keys and error places of configuration files. */
#include "hv/config_text.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/config_tree.h"

#define VALUE_SHOWN 40
#define WORD_MAX 31u
#define TOO_FAR 255u
#define SIMILAR_MAX 2u /* letters off in what was probably meant */

/* Names of files may hold anything; what is printed may not: one line, no escape sequences. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if ((*text > '\0' && *text < ' ') || *text == 0x7f) {
			*text = '?';
		}
	}
}

void config_parser_init(struct config_parser *p, const struct config_tree *tree,
			const struct config_reporter *reporter, struct span folder,
			const char *name)
{
	*p = (struct config_parser){.tree = tree, .reporter = reporter, .folder = folder};
	(void)fmt_snprintf(p->error.file, sizeof(p->error.file), "%.*s%s%s", (int)folder.n,
			   folder.n > 0 ? folder.p : "", folder.n > 0 ? "/" : "", name);
	make_printable(p->error.file);
}

size_t config_error_format(const struct config_error *error, char *buf, size_t cap)
{
	char line[16] = "";

	if (error->line != 0) {
		(void)fmt_snprintf(line, sizeof(line), ":%u", error->line);
	}
	return fmt_snprintf(buf, cap, "%s%s: %.*s%s%s", error->file, line, (int)error->key.n,
			    error->key.n > 0 ? error->key.p : "", error->key.n > 0 ? ": " : "",
			    error->text);
}

void config_fail(struct config_parser *p, const char *fmt, ...)
{
	va_list args;

	p->error_count++;
	if (p->error_count > CONFIG_ERRORS_MAX) {
		return;
	}
	va_start(args, fmt);
	(void)fmt_vsnprintf(p->error.text, sizeof(p->error.text), fmt, args);
	va_end(args);
	make_printable(p->error.text);
	p->reporter->report(p->reporter->ctx, &p->error);
}

void config_fail_value(struct config_parser *p, struct span value, const char *allowed)
{
	int shown = value.n < VALUE_SHOWN ? (int)value.n : VALUE_SHOWN;

	config_fail(p, "found \"%.*s%s\"; allowed: %s", shown, value.n > 0 ? value.p : "",
		    value.n > VALUE_SHOWN ? "..." : "", allowed);
}

/* ---------------------------------------------------------------- is it text? */

/* Tabs and line ends are text; a carriage return only as part of a line end. */
static bool ascii_is_text(struct span s)
{
	if (s.p[0] == '\r') {
		return s.n == 1 || s.p[1] == '\n';
	}
	return s.p[0] == '\t' || s.p[0] == '\n' || (s.p[0] >= ' ' && s.p[0] != 0x7f);
}

/* Length of the UTF-8 sequence at the start of `s`; 0 when it is none, or a control character. */
static size_t utf8_length(struct span s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (p[0] < 0x80) {
		return ascii_is_text(s) ? 1 : 0;
	}
	if (n == 0 || n > s.n || p[0] > 0xf4) {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return n;
}

/* False, with one error, when the file is not text: its lines would only be noise. */
static bool check_text(struct config_parser *p, struct span text)
{
	const char *start = text.p;
	unsigned line = 1;

	while (text.n > 0) {
		size_t n = utf8_length(text);

		if (n == 0) {
			p->error.line = line;
			config_fail(p,
				    "not a text file: byte 0x%02x at offset %zu is not UTF-8 text",
				    (unsigned)(uint8_t)text.p[0], (size_t)(text.p - start));
			return false;
		}
		line += text.p[0] == '\n' ? 1 : 0;
		text.p += n;
		text.n -= n;
	}
	return true;
}

/* ---------------------------------------------------------------- keys */

unsigned config_distance(struct span a, struct span b)
{
	unsigned row[WORD_MAX + 1];

	if (a.n > WORD_MAX || b.n > WORD_MAX) {
		return TOO_FAR;
	}
	for (unsigned k = 0; k <= b.n; k++) {
		row[k] = k;
	}
	for (unsigned i = 1; i <= a.n; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned k = 1; k <= b.n; k++) {
			unsigned change = diagonal + (a.p[i - 1] == b.p[k - 1] ? 0 : 1);
			unsigned other = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;

			diagonal = row[k];
			row[k] = change < other ? change : other;
		}
	}
	return row[b.n];
}

static const struct config_key *find_key(const struct config_key *keys, unsigned count,
					 struct span name)
{
	for (unsigned i = 0; i < count; i++) {
		if (span_eq(name, keys[i].name)) {
			return &keys[i];
		}
	}
	return NULL;
}

/* The key that was probably meant: at most two letters off, and not all of them. */
static const char *similar_key(const struct config_schema *schema, struct span name)
{
	const char *best = NULL;
	unsigned best_distance = SIMILAR_MAX + 1;

	for (unsigned i = 0; i < schema->count; i++) {
		unsigned d = config_distance(name, span_of(schema->keys[i].name));

		if (d < best_distance && d < name.n) {
			best = schema->keys[i].name;
			best_distance = d;
		}
	}
	return best;
}

static void fail_unknown(struct config_parser *p, const struct config_schema *schema,
			 struct span name)
{
	const char *similar = similar_key(schema, name);
	char list[240] = "";
	size_t at = 0;

	if (find_key(schema->other_keys, schema->other_count, name) != NULL) {
		config_fail(p, "this key belongs into %s", schema->other_file);
		return;
	}
	if (similar != NULL) {
		config_fail(p, "unknown key; did you mean \"%s\"?", similar);
		return;
	}
	for (unsigned i = 0; i < schema->count && at < sizeof(list); i++) {
		if (schema->keys[i].set != NULL) {
			at += fmt_snprintf(list + at, sizeof(list) - at, " %s",
					   schema->keys[i].name);
		}
	}
	config_fail(p, "unknown key; allowed:%s", list);
}

/* Acts on one `key = value`. */
static void take(struct config_parser *p, const struct config_schema *schema, struct span key,
		 struct span value)
{
	const struct config_key *known = find_key(schema->keys, schema->count, key);
	unsigned index;

	if (known == NULL) {
		fail_unknown(p, schema, key);
		return;
	}
	index = (unsigned)(known - schema->keys);
	if (p->seen[index] != 0 && !known->repeats) {
		config_fail(p, "given twice; the first is in line %u", p->seen[index]);
	} else {
		known->set(p, value);
	}
	p->seen[index] = p->seen[index] != 0 ? p->seen[index] : p->error.line;
}

static void take_line(struct config_parser *p, const struct config_schema *schema, struct span line)
{
	size_t equals = 0;
	struct span key;

	line = span_trim(line);
	if (line.n == 0 || line.p[0] == '#') {
		return;
	}
	while (equals < line.n && line.p[equals] != '=') {
		equals++;
	}
	key = span_trim((struct span){line.p, equals});
	if (equals == line.n || key.n == 0) {
		config_fail_value(p, line, "lines of the form \"key = value\", and # comments");
		return;
	}
	/* Long ones are shown cut; none that long is known. */
	p->error.key = (struct span){key.p, key.n < VALUE_SHOWN ? key.n : VALUE_SHOWN};
	take(p, schema, key, span_trim((struct span){line.p + equals + 1, line.n - equals - 1}));
	p->error.key = (struct span){NULL, 0};
}

void config_read(struct config_parser *p, const struct config_schema *schema, struct span text)
{
	struct span line;

	CHECK(schema->count <= CONFIG_KEYS_MAX);
	if (span_starts(text, "\xef\xbb\xbf")) { /* the byte order mark some editors write */
		text.p += 3;
		text.n -= 3;
	}
	if (!check_text(p, text)) {
		return;
	}
	p->error.line = 0;
	while (p->error_count < CONFIG_ERRORS_MAX && span_next_line(&text, &line)) {
		p->error.line++;
		take_line(p, schema, line);
	}
	p->error.line = 0;
}

/* ---------------------------------------------------------------- values */

bool config_check_content(struct config_parser *p, unsigned index)
{
	const struct config_entry *entry = &p->tree->entries[index];

	if (entry->problem != NULL) {
		config_fail(p, "\"%.*s\" could not be read: %s", (int)entry->path.n, entry->path.p,
			    entry->problem);
	} else if (entry->size == 0) {
		config_fail(p, "\"%.*s\" is empty", (int)entry->path.n, entry->path.p);
	} else {
		return true;
	}
	return false;
}

/* The path below \bulkhead that `value` means, with '/' between its parts; false: no such name can
 * be. */
static bool path_of(const struct config_parser *p, struct span value, char path[CONFIG_PATH_MAX])
{
	bool absolute = value.n > 0 && (value.p[0] == '/' || value.p[0] == '\\');

	if (value.n == 0 || value.n >= CONFIG_PATH_MAX) {
		return false;
	}
	(void)fmt_snprintf(path, CONFIG_PATH_MAX, "%.*s%s%.*s", absolute ? 0 : (int)p->folder.n,
			   p->folder.p, absolute || p->folder.n == 0 ? "" : "/",
			   (int)value.n - (absolute ? 1 : 0), value.p + (absolute ? 1 : 0));
	for (; *path != '\0'; path++) {
		if (*path == '\\') {
			*path = '/';
		}
	}
	return true;
}

static unsigned find_file(const struct config_tree *tree, const char *path)
{
	unsigned index = config_find(tree, span_of(path));

	return index != CONFIG_NO_ENTRY && tree->entries[index].directory ? CONFIG_NO_ENTRY : index;
}

bool config_has_file(const struct config_parser *p, struct span value)
{
	char path[CONFIG_PATH_MAX];

	return path_of(p, value, path) && find_file(p->tree, path) != CONFIG_NO_ENTRY;
}

/* Cuts the path behind its last '/': its folder is what returns. */
static struct span cut_folder(struct span *path)
{
	size_t n = path->n;
	struct span folder;

	while (n > 0 && path->p[n - 1] != '/') {
		n--;
	}
	folder = (struct span){path->p, n};
	*path = (struct span){path->p + n, path->n - n};
	return folder;
}

/* The file of the same folder that was probably meant; of no characters: none is that close. */
static struct span similar_file(const struct config_tree *tree, const char *path)
{
	struct span name = span_of(path);
	struct span folder = cut_folder(&name);
	struct span best = {"", 0};
	unsigned best_distance = SIMILAR_MAX + 1;

	for (unsigned i = 0; i < tree->count; i++) {
		struct span other = tree->entries[i].path;
		unsigned d;

		if (tree->entries[i].directory || !config_same_name(cut_folder(&other), folder)) {
			continue;
		}
		d = config_distance(name, other);
		if (d < best_distance && d < name.n) {
			best = other;
			best_distance = d;
		}
	}
	return best;
}

unsigned config_find_file(struct config_parser *p, struct span value)
{
	char path[CONFIG_PATH_MAX];
	struct span similar;
	unsigned index;

	if (!path_of(p, value, path)) {
		config_fail_value(p, value, "the name of a file in this folder");
		return CONFIG_NO_ENTRY;
	}
	index = find_file(p->tree, path);
	if (index == CONFIG_NO_ENTRY) {
		similar = similar_file(p->tree, path);
		config_fail(p, "there is no file \"%s\" below \\bulkhead%s%.*s%s", path,
			    similar.n > 0 ? "; did you mean \"" : "", (int)similar.n, similar.p,
			    similar.n > 0 ? "\"?" : "");
		return CONFIG_NO_ENTRY;
	}
	return config_check_content(p, index) ? index : CONFIG_NO_ENTRY;
}

/* "guest.conf.txt", "guest.cfg" and "guests.conf" are to be "guest.conf"; "guest.img" is not. */
static bool looks_like(struct span name, struct span wanted)
{
	size_t stem = 0;
	unsigned most = SIMILAR_MAX;

	if (name.n > wanted.n && config_same_name((struct span){name.p, wanted.n}, wanted)) {
		return true;
	}
	while (stem < wanted.n && wanted.p[stem] != '.') {
		stem++;
	}
	if (name.n > stem && name.p[stem] == '.' &&
	    config_same_name((struct span){name.p, stem}, (struct span){wanted.p, stem})) {
		most++;
	}
	return config_distance(name, wanted) <= most;
}

void config_check_name(struct config_parser *p, const char *file)
{
	char path[CONFIG_PATH_MAX];
	struct span wanted = span_of(file);

	if (!path_of(p, wanted, path) || config_find(p->tree, span_of(path)) != CONFIG_NO_ENTRY) {
		return;
	}
	for (unsigned i = 0; i < p->tree->count; i++) {
		struct span name = p->tree->entries[i].path;
		struct span folder = cut_folder(&name);

		if (folder.n > 0) {
			folder.n--;
		}
		if (!p->tree->entries[i].directory && config_same_name(folder, p->folder) &&
		    looks_like(name, wanted)) {
			config_fail(p, "\"%.*s\" is not read: the configuration's name is %s",
				    (int)name.n, name.p, file);
			return;
		}
	}
}

bool config_next_part(struct span *rest, struct span *part)
{
	size_t n = 0;

	if (rest->p == NULL) {
		return false;
	}
	while (n < rest->n && rest->p[n] != ',') {
		n++;
	}
	*part = span_trim((struct span){rest->p, n});
	*rest = n < rest->n ? (struct span){rest->p + n + 1, rest->n - n - 1}
			    : (struct span){NULL, 0};
	return true;
}

void config_split_option(struct span part, struct span *name, struct span *value)
{
	size_t n = 0;

	while (n < part.n && part.p[n] != '=') {
		n++;
	}
	*name = span_trim((struct span){part.p, n});
	*value = n < part.n ? span_trim((struct span){part.p + n + 1, part.n - n - 1})
			    : (struct span){NULL, 0};
}
