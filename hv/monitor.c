/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's line editor and dispatch. */
#include "hv/monitor.h"

#include "hv/console.h"
#include "hv/guest.h"

#define PROMPT "bulkhead> "
#define KEY_CTRL_C 0x03
#define KEY_BACKSPACE 0x08
#define KEY_CTRL_U 0x15
#define KEY_ESC 0x1b
#define KEY_QUIT 'q' /* of `top` */
#define KEY_DELETE 0x7f

/* Where the editor is in an escape sequence of an arrow key. */
enum escape_state {
	ESCAPE_NONE,
	ESCAPE_SEEN,
	ESCAPE_BRACKET,
};

static struct {
	const struct monitor_ops *ops;
	bool show_prompt;
	char line[MONITOR_LINE_MAX];
	size_t len;
	char last[MONITOR_LINE_MAX]; /* the command before, for the up arrow */
	enum escape_state escape;
	bool executing; /* text printed meanwhile goes where the cursor is */
} mon;

void monitor_init(const struct monitor_ops *ops, bool show_prompt)
{
	mon.ops = ops;
	mon.show_prompt = show_prompt;
	mon.len = 0;
	mon.last[0] = '\0';
	mon.escape = ESCAPE_NONE;
}

const struct monitor_ops *monitor_actions(void)
{
	return mon.ops;
}

void monitor_print(const char *fmt, ...)
{
	char text[512];
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = fmt_vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	console_print(text, n < sizeof(text) ? n : sizeof(text) - 1);
}

/* A command's answer is still to come: there is no prompt until then. */
static bool is_busy(void)
{
	return monitor_top_active() || monitor_dump_active() || monitor_screenshot_active();
}

size_t monitor_prompt(char *buf, size_t cap)
{
	size_t n;

	if (mon.executing || is_busy() || (!mon.show_prompt && mon.len == 0)) {
		return 0;
	}
	n = fmt_snprintf(buf, cap, "%s%.*s", mon.show_prompt ? PROMPT : "", (int)mon.len, mon.line);
	return n < cap ? n : cap - 1;
}

static void draw_prompt(void)
{
	if (mon.show_prompt && console_front() == NULL && !is_busy()) {
		monitor_print(PROMPT);
	}
}

struct guest *monitor_guest(struct span *args)
{
	struct span name;
	struct guest *g;

	if (!span_next_word(args, &name)) {
		monitor_print("which guest? `list` shows them\n");
		return NULL;
	}
	g = guest_find(name);
	if (g == NULL) {
		monitor_print("no guest is named '%.*s'; `list` shows them\n", (int)name.n, name.p);
	}
	return g;
}

static void execute(struct span line)
{
	const struct monitor_command *commands;
	struct span word;
	size_t count;

	if (!span_next_word(&line, &word)) {
		return;
	}
	commands = monitor_commands(&count);
	for (size_t i = 0; i < count; i++) {
		if (span_eq(word, commands[i].name)) {
			commands[i].run(span_trim(line));
			return;
		}
	}
	monitor_print("no command '%.*s'; `help` lists them\n", (int)word.n, word.p);
}

static void replace_line(struct span with)
{
	monitor_print("\r\x1b[K");
	mon.len = min_u64(with.n, sizeof(mon.line) - 1);
	memcpy(mon.line, with.p, mon.len);
	draw_prompt();
	console_print(mon.line, mon.len);
}

static void enter(void)
{
	struct span line = {mon.line, mon.len};

	monitor_print("\n");
	mon.len = 0;
	if (span_trim(line).n > 0) {
		(void)str_copy(mon.last, sizeof(mon.last), line);
		mon.executing = true;
		execute((struct span){mon.last, line.n});
		mon.executing = false;
	}
	draw_prompt();
}

static void erase(void)
{
	if (mon.len > 0) {
		mon.len--;
		monitor_print("\b \b");
	}
}

static void add(char c)
{
	if (c >= ' ' && mon.len + 1 < sizeof(mon.line)) {
		mon.line[mon.len++] = c;
		console_print(&c, 1);
	}
}

/* True when the key belongs to an escape sequence. A control key ends an unfinished one. */
static bool in_escape(char c)
{
	if ((unsigned char)c < ' ') {
		mon.escape = ESCAPE_NONE;
	}
	switch (mon.escape) {
	case ESCAPE_NONE:
		mon.escape = c == KEY_ESC ? ESCAPE_SEEN : ESCAPE_NONE;
		return c == KEY_ESC;
	case ESCAPE_SEEN:
		mon.escape = c == '[' ? ESCAPE_BRACKET : ESCAPE_NONE;
		return true;
	case ESCAPE_BRACKET:
		if (c >= '@' && c <= '~') {
			mon.escape = ESCAPE_NONE;
		}
		if (c == 'A') {
			replace_line(span_of(mon.last));
		}
		return true;
	}
	return false;
}

/*
 * A key ends what is being answered; returns whether that is all it does. What can begin a command
 * does, so that nothing is lost of what a script types. LF is no key: it may belong to the CR that
 * began it.
 */
static bool ends_answer(char c)
{
	if (!is_busy()) {
		return false;
	}
	if (c != '\n') {
		monitor_top_end();
		monitor_dump_end();
		monitor_screenshot_end();
		draw_prompt();
	}
	return (c <= ' ' && c != KEY_ESC) || c == KEY_QUIT || c == KEY_DELETE;
}

void monitor_poll(void)
{
	if (is_busy()) {
		monitor_top_refresh();
		monitor_dump_refresh();
		monitor_screenshot_refresh();
		if (!is_busy()) {
			draw_prompt();
		}
	}
}

void monitor_key(char c)
{
	if (ends_answer(c) || in_escape(c)) {
		return;
	}
	switch (c) {
	case '\r':
	case '\n':
		enter();
		break;
	case KEY_BACKSPACE:
	case KEY_DELETE:
		erase();
		break;
	case KEY_CTRL_C:
	case KEY_CTRL_U:
		replace_line(span_of(""));
		break;
	default:
		add(c);
		break;
	}
}
