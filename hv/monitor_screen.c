/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor about a guest's screen, keyboard and mouse: `screenshot`, `keys`, `type`, `mouse`. A
 * screenshot is printed in pieces that a serial port keeps up with, as a capture is;
 * tools/screenshot-from-log makes a file of the lines.
 *
 *	screenshot web begin
 *	screenshot web iVBORw0KGgoAAAANSUhEUgAAAtAAAAGQCAIAAAC1...
 *	screenshot web end 1234 bytes
 */
#include "hv/api/clock.h"
#include "hv/guest.h"
#include "hv/keynames.h"
#include "hv/monitor.h"
#include "hv/monitor_dump.h"
#include "hv/screenshot.h"

/* Some 11,000 characters a second: what a serial port of 115,200 baud sends. */
#define PERIOD_NS 500000000ull
#define PIECE 4104u /* whole lines */
static_assert(PIECE % MONITOR_DUMP_LINE == 0, "only the last line of the file is short");

static struct {
	const struct guest *guest; /* NULL: nothing is being printed */
	size_t printed;
	struct timer timer;
	bool timer_ready;
	_Atomic bool due;
	uint8_t piece[PIECE];
} out;

/* --- screenshot --- */

static void on_timer(struct timer *t)
{
	(void)t;
	atomic_store(&out.due, true);
	run_chore(RUN_CHORE_INPUT);
}

static void arm(void)
{
	if (!out.timer_ready) {
		timer_init(&out.timer, run_timers(), on_timer);
		out.timer_ready = true;
	}
	atomic_store(&out.due, false);
	timer_arm(&out.timer, clock_now() + clock_ns_to_ticks(PERIOD_NS));
}

void monitor_screenshot(struct span args)
{
	struct guest *g = monitor_guest(&args);

	if (g == NULL) {
		return;
	}
	if (!screenshot_begin(g)) {
		monitor_print("%s has no screen: %s\n", g->vm.name,
			      g->config->vga ? "it does not run" : "its vga is off");
		return;
	}
	out.guest = g;
	out.printed = 0;
	monitor_print("screenshot %s begin\n", g->vm.name);
	arm();
}

bool monitor_screenshot_active(void)
{
	return out.guest != NULL;
}

static void forget(void)
{
	timer_cancel(&out.timer);
	screenshot_end();
	out.guest = NULL;
}

void monitor_screenshot_end(void)
{
	if (out.guest != NULL) {
		monitor_print("screenshot %s cut short\n", out.guest->vm.name);
		forget();
	}
}

void monitor_screenshot_refresh(void)
{
	size_t n;

	if (out.guest == NULL || !atomic_load(&out.due)) {
		return;
	}
	switch (screenshot_state()) {
	case SCREENSHOT_DRAWING:
		arm();
		return;
	case SCREENSHOT_FAILED:
		monitor_print("no picture: the guest has ended, or there is no memory for it\n");
		forget();
		return;
	case SCREENSHOT_READY:
	case SCREENSHOT_NONE:
		break;
	}
	n = screenshot_read(out.printed, out.piece, PIECE);
	monitor_dump("screenshot", out.guest->vm.name, out.piece, n);
	out.printed += n;
	if (n < PIECE) {
		monitor_print("screenshot %s end %zu bytes\n", out.guest->vm.name, out.printed);
		forget();
	} else {
		arm();
	}
}

/* --- keys --- */

/*
 * All keys down, in this order, and up in the reverse one; all of it or nothing, so that no key
 * stays down.
 */
static bool press(struct guest *g, const struct key *keys, unsigned count)
{
	uint8_t bytes[2 * KEY_CHORD_MAX * KEY_SEQUENCE_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		n += key_sequence(&keys[i], false, bytes + n);
	}
	for (unsigned i = count; i-- > 0;) {
		n += key_sequence(&keys[i], true, bytes + n);
	}
	if (guest_keys_put(g, bytes, n, true)) {
		return true;
	}
	monitor_print("%s does not take keys now\n", g->vm.name);
	return false;
}

/* The name in front of the next '-', which *chord then begins behind. */
static struct span next_name(struct span *chord)
{
	struct span name = {chord->p, 0};

	while (name.n < chord->n && (chord->p[name.n] != '-' || name.n == 0)) {
		name.n++;
	}
	chord->p += name.n;
	chord->n -= name.n;
	if (chord->n != 0) {
		chord->p++;
		chord->n--;
	}
	return name;
}

/* Keys joined by '-', as ctrl-alt-del; returns how many, 0 after it said what is wrong. */
static unsigned parse_chord(struct span chord, struct key keys[KEY_CHORD_MAX])
{
	unsigned count = 0;

	while (chord.n != 0) {
		struct span whole = chord;
		struct span name = next_name(&chord);

		/* kp-enter has a '-' of its own. */
		if (count < KEY_CHORD_MAX && key_by_name(whole, &keys[count])) {
			return count + 1;
		}
		if (count == KEY_CHORD_MAX || !key_by_name(name, &keys[count])) {
			monitor_print("no key '%.*s', or more than %u at a time\n", (int)name.n,
				      name.p, KEY_CHORD_MAX);
			return 0;
		}
		count++;
	}
	return count;
}

void monitor_keys(struct span args)
{
	struct guest *g = monitor_guest(&args);
	struct span word;
	bool going = g != NULL;

	while (going && span_next_word(&args, &word)) {
		struct key keys[KEY_CHORD_MAX];
		unsigned count = parse_chord(word, keys);

		going = count != 0 && press(g, keys, count);
	}
}

static bool type_char(struct guest *g, char c)
{
	struct key keys[2] = {{.code = 0x2a}};

	if (!key_by_char(c, &keys[1])) {
		monitor_print("no key has the character '%c'\n", c);
		return false;
	}
	return keys[1].shift ? press(g, keys, 2) : press(g, &keys[1], 1);
}

void monitor_type(struct span args)
{
	struct guest *g = monitor_guest(&args);
	bool going = g != NULL;

	args = span_trim(args);
	for (size_t i = 0; i < args.n && going; i++) {
		going = type_char(g, args.p[i]);
	}
	if (going) {
		(void)type_char(g, '\r');
	}
}

/* --- mouse --- */

#define MOUSE_MAX 4096u
#define BUTTONS_MAX 31u

/* A number with or without a sign, 0 when there is none left. */
static bool next_number(struct span *args, unsigned max, int *number)
{
	struct span word;
	uint64_t value;
	bool minus;

	*number = 0;
	if (!span_next_word(args, &word)) {
		return true;
	}
	minus = word.n > 1 && word.p[0] == '-';
	word.p += minus ? 1 : 0;
	word.n -= minus ? 1 : 0;
	if (span_to_u64(word, &value) != HV_OK || value > max) {
		monitor_print("'%.*s' is not a number up to %u\n", (int)word.n, word.p, max);
		return false;
	}
	*number = minus ? -(int)value : (int)value;
	return true;
}

static bool next_buttons(struct span *args, uint8_t *buttons)
{
	int number;

	if (!next_number(args, BUTTONS_MAX, &number)) {
		return false;
	}
	if (number < 0) {
		monitor_print("%d is not a set of buttons\n", number);
		return false;
	}
	*buttons = (uint8_t)number;
	return true;
}

void monitor_mouse(struct span args)
{
	struct guest *g = monitor_guest(&args);
	struct ps2_movement by = {.x = 0};

	if (g == NULL || !next_number(&args, MOUSE_MAX, &by.x) ||
	    !next_number(&args, MOUSE_MAX, &by.y) || !next_buttons(&args, &by.buttons) ||
	    !next_number(&args, MOUSE_MAX, &by.wheel)) {
		return;
	}
	if (g->state != GUEST_RUNNING || !g->config->vga) {
		monitor_print("%s has no mouse now\n", g->vm.name);
		return;
	}
	i8042_move(&g->board->i8042, &by);
}
