/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns the machine's serial port and screen right now: the monitor or one guest's console.
 * Every guest's output goes to its scrollback; the one in front is also shown as it is. With
 * `console = all` every complete line of every guest is printed as `name| text`.
 *
 * What guests and the log print comes from any CPU; keys, and what becomes of them, are a matter
 * for who holds the baton (hv/run.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/ring.h"

#define CONSOLE_SCROLLBACK 32768u
#define CONSOLE_LINE_MAX 240u
#define CONSOLE_INPUT_MAX 512u
/* Ctrl-]: back to the monitor. */
#define CONSOLE_ESCAPE 0x1d

/* Swallows the control sequences of a text, byte by byte. */
struct console_filter {
	char last;
	bool in_escape;
	bool in_csi;
};

/* One guest's console. */
struct guest_console {
	const char *name;
	struct ring scrollback;
	char buf[CONSOLE_SCROLLBACK];
	char line[CONSOLE_LINE_MAX]; /* unfinished line, for `console = all` */
	size_t line_len;
	struct console_filter filter; /* of that line */
	/* Typed but not taken by the guest's UART yet. */
	char input[CONSOLE_INPUT_MAX];
	size_t input_len;
	/* Offers bytes to the guest; returns how many it took. NULL while it has no VM. */
	size_t (*receive)(void *ctx, const char *data, size_t n);
	void *receive_ctx;
};

/* Where the hypervisor's text goes and who reads its keys. */
struct console_ops {
	void (*write)(const char *data, size_t n); /* raw, to every output device */
	void (*command)(char c);		   /* a key for the monitor */
	/* The monitor's unfinished line, to be drawn again after other text; returns its length. */
	size_t (*prompt)(char *buf, size_t cap);
	/* This guest is in front from now on, NULL: the monitor. With no lock held. May be NULL. */
	void (*front)(struct guest_console *c);
};

/* `all`: print every guest's lines. */
void console_init(const struct console_ops *ops, bool all);
void console_guest_init(struct guest_console *c, const char *name);

/* The guest's VM is gone: prints its unfinished line and forgets keys that nobody took. */
void console_guest_close(struct guest_console *c);

/* Text of the hypervisor: '\n' becomes CR LF; never mixed into the middle of a prompt. */
void console_write(const char *data, size_t n);
/* Text of the monitor itself: as console_write, but the prompt is left alone. */
void console_print(const char *data, size_t n);
/* What a guest's UART sent. */
void console_guest_output(struct guest_console *c, const char *data, size_t n);
/* Keys for a guest; what its UART does not take now waits. Beyond CONSOLE_INPUT_MAX, and while the
 * guest has no VM, they are lost. */
void console_guest_input(struct guest_console *c, const char *data, size_t n);
/* The guest's UART has room again. */
void console_guest_ready(struct guest_console *c);
/* One byte from the serial port or the keyboard. */
void console_key(char c);

/* Brings a guest to the front and shows the end of its scrollback. */
void console_attach(struct guest_console *c);
/* Back to the monitor; harmless when it is in front. */
void console_detach(void);
struct guest_console *console_front(void);
/* Prints the last `lines` lines of a ring through console_print, without control sequences. */
void console_print_tail(const struct ring *r, unsigned lines);
