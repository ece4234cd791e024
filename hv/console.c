/* SPDX-License-Identifier: Apache-2.0 */
/* The multiplexer between the machine's serial port and screen, the monitor and the guests. */
#include "hv/console.h"

#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/lock.h"
#include "hv/base/str.h"

#define ATTACH_LINES 20u
#define KEY_ESC 0x1b
#define KEY_DELETE 0x7f
/* The C1 controls, U+0080 .. U+009f, in UTF-8. */
#define UTF8_LEAD_C1 0xc2u
#define C1_FIRST 0x80u
#define C1_LAST 0x9fu
#define C1_CSI 0x9bu

static struct {
	/* Covers what is shown, the guests' lines and scrollbacks, and what is in front. */
	struct spinlock lock;
	const struct console_ops *ops;
	bool all;
	struct guest_console *front; /* NULL: the monitor */
} con;

void console_init(const struct console_ops *ops, bool all)
{
	con.ops = ops;
	con.all = all;
	con.front = NULL;
}

void console_guest_init(struct guest_console *c, const char *name)
{
	c->name = name;
	c->line_len = 0;
	c->input_len = 0;
	c->receive = NULL;
	c->filter = (struct console_filter){0};
	ring_init(&c->scrollback, c->buf, sizeof(c->buf));
}

/* Writes with LF as CR LF. */
static void write_text(const char *data, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			con.ops->write(data + from, i - from);
			con.ops->write("\r\n", 2);
			from = i + 1;
		}
	}
	con.ops->write(data + from, n - from);
}

void console_print(const char *data, size_t n)
{
	if (con.ops != NULL && n > 0) {
		lock_acquire(&con.lock);
		write_text(data, n);
		lock_release(&con.lock);
	}
}

/* A line above the prompt, which may be drawn as it was a moment ago when somebody types. */
static void write_line(const char *data, size_t n)
{
	char prompt[CONSOLE_LINE_MAX];
	size_t prompt_len;

	prompt_len = con.front == NULL ? con.ops->prompt(prompt, sizeof(prompt)) : 0;
	if (prompt_len > 0) {
		con.ops->write("\r\x1b[K", 4);
	}
	write_text(data, n);
	con.ops->write(prompt, prompt_len);
}

void console_write(const char *data, size_t n)
{
	if (con.ops != NULL) {
		lock_acquire(&con.lock);
		write_line(data, n);
		lock_release(&con.lock);
	}
}

/* Prints the collected line of a guest as `name| text`. */
static void flush_line(struct guest_console *c)
{
	char out[CONSOLE_LINE_MAX + 64];
	size_t n = fmt_snprintf(out, sizeof(out), "%s| %.*s\n", c->name, (int)c->line_len, c->line);

	c->line_len = 0;
	write_line(out, n < sizeof(out) ? n : sizeof(out) - 1);
}

/*
 * Whether a byte belongs to a terminal control sequence. These are swallowed, or a guest could draw
 * lines that look like another's or like an event.
 */
static bool is_control(struct console_filter *f, char byte)
{
	unsigned char b = (unsigned char)byte;
	unsigned char last = (unsigned char)f->last;

	f->last = byte;
	if (f->in_csi) {
		f->in_csi = b < '@' || b > '~';
		return true;
	}
	if (f->in_escape) {
		f->in_escape = false;
		f->in_csi = b == '[';
		return true;
	}
	if (last == UTF8_LEAD_C1 && b >= C1_FIRST && b <= C1_LAST) {
		f->in_csi = b == C1_CSI;
		return true;
	}
	f->in_escape = b == KEY_ESC;
	return f->in_escape || (b < ' ' && b != '\t') || b == KEY_DELETE;
}

void console_guest_close(struct guest_console *c)
{
	c->receive = NULL;
	c->input_len = 0;
	lock_acquire(&con.lock);
	if (c->line_len > 0) {
		flush_line(c);
	}
	lock_release(&con.lock);
}

static void collect_lines(struct guest_console *c, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			c->filter = (struct console_filter){0};
			flush_line(c);
		} else if (!is_control(&c->filter, data[i])) {
			c->line[c->line_len++] = data[i];
			if (c->line_len == sizeof(c->line)) {
				flush_line(c);
			}
		}
	}
}

static void show(struct guest_console *c, const char *data, size_t n)
{
	if (con.front == c) {
		con.ops->write(data, n);
	} else if (con.all && con.front == NULL) {
		collect_lines(c, data, n);
	} else {
		c->line_len = 0;
	}
}

/* Up to the first line's end, and with it. */
static size_t first_line(const char *data, size_t n)
{
	size_t i = 0;

	while (i < n && data[i] != '\n') {
		i++;
	}
	return i < n ? i + 1 : n;
}

/*
 * A line at a time: each is drawn above the prompt and may have to wait for the serial port. The
 * lock is fair, so that others wait for one line of a guest that prints without end, not for all.
 */
void console_guest_output(struct guest_console *c, const char *data, size_t n)
{
	while (n > 0) {
		size_t part = first_line(data, n);

		lock_acquire(&con.lock);
		ring_write(&c->scrollback, data, part);
		if (con.ops != NULL) {
			show(c, data, part);
		}
		lock_release(&con.lock);
		data += part;
		n -= part;
	}
}

void console_guest_ready(struct guest_console *c)
{
	size_t taken;

	if (c->input_len == 0 || c->receive == NULL) {
		return;
	}
	taken = c->receive(c->receive_ctx, c->input, c->input_len);
	memmove(c->input, c->input + taken, c->input_len - taken);
	c->input_len -= taken;
}

void console_guest_input(struct guest_console *c, const char *data, size_t n)
{
	if (c->receive == NULL) {
		return;
	}
	for (size_t i = 0; i < n && c->input_len < sizeof(c->input); i++) {
		c->input[c->input_len++] = data[i];
	}
	console_guest_ready(c);
}

void console_key(char c)
{
	if (con.front == NULL) {
		con.ops->command(c);
	} else if (c == CONSOLE_ESCAPE) {
		console_detach();
	} else {
		console_guest_input(con.front, &c, 1);
	}
}

/* Where the last `lines` lines of a ring begin. */
static uint64_t tail_start(const struct ring *r, unsigned lines)
{
	uint64_t pos = r->end;
	unsigned seen = 0;

	while (lines > 0 && pos > ring_start(r)) {
		if (r->buf[(pos - 1) & (r->cap - 1)] == '\n' && pos != r->end && ++seen == lines) {
			break;
		}
		pos--;
	}
	return pos;
}

static void write_tail(const struct ring *r, unsigned lines, void (*out)(const char *, size_t))
{
	uint64_t pos = tail_start(r, lines);
	/* Whoever writes to the ring goes on, maybe faster than this is printed: up to here. */
	uint64_t end = __atomic_load_n(&r->end, __ATOMIC_RELAXED);
	char piece[256];

	while (pos < end) {
		size_t n = ring_read(r, &pos, piece, min_u64(sizeof(piece), end - pos));

		out(piece, n);
	}
}

static struct console_filter tail_filter;

static void print_filtered(const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n' || !is_control(&tail_filter, data[i])) {
			console_print(&data[i], 1);
		}
	}
}

void console_print_tail(const struct ring *r, unsigned lines)
{
	tail_filter = (struct console_filter){0};
	write_tail(r, lines, print_filtered);
}

static void say(const char *before, const char *name, const char *after)
{
	console_print(before, str_len(before));
	console_print(name, str_len(name));
	console_print(after, str_len(after));
}

static void tell_front(struct guest_console *c)
{
	if (con.ops->front != NULL) {
		con.ops->front(c);
	}
}

void console_attach(struct guest_console *c)
{
	say("[", c->name, ": Ctrl-] returns to the monitor]\n");
	lock_acquire(&con.lock);
	write_tail(&c->scrollback, ATTACH_LINES, con.ops->write);
	c->line_len = 0;
	con.front = c;
	lock_release(&con.lock);
	tell_front(c);
}

void console_detach(void)
{
	struct guest_console *was = con.front;

	if (was != NULL) {
		lock_acquire(&con.lock);
		con.front = NULL;
		lock_release(&con.lock);
		tell_front(NULL);
		say("\n[", was->name, ": detached]\n");
		con.ops->command('\r');
	}
}

struct guest_console *console_front(void)
{
	return con.front;
}
