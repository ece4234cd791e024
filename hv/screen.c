/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's screen and keyboard between monitor and guests. */
#include "hv/screen.h"

#include "guests/devices/scancode.h"
#include "hv/api/clock.h"
#include "hv/base/str.h"
#include "hv/guest.h"
#include "hv/keynames.h"
#include "hv/picture.h"
#include "hv/platform.h"
#include "hv/work.h"

#define FRAME_NS 33333333ull
#define STEP_PIXELS 131072u /* a millisecond or less */
#define HASH_FACTOR 0x9e3779b97f4a7c15ull

#define CODE_CTRL 0x1du
#define CODE_F1 0x3bu
#define CODE_F10 0x44u
#define CODE_F11 0x57u
#define CODE_BRACKET 0x1bu

static struct {
	struct guest *front; /* NULL: the monitor */
	/* The screen. */
	bool taken; /* it shows the guest in front */
	struct platform_canvas canvas;
	bool drawing; /* a picture was begun */
	struct picture picture;
	struct vga_mode shown_mode;
	uint32_t row; /* the next one */
	uint32_t scale, left, top;
	uint64_t shown[VGA_HEIGHT_MAX]; /* a hash of each row on the screen; 0: none */
	struct work work;
	struct timer timer;
	bool ready; /* the two before are initialised */
	_Atomic bool due;
	/* The keyboard. */
	struct key_bytes {
		uint8_t bytes[3];
		unsigned count;
	} sequence;
	uint8_t down[2][128]; /* pressed for the guest in front, by extended and code */
	bool ctrl_left, ctrl_right;
} screen;

/* --- drawing --- */

static uint64_t hash(const uint32_t *pixels, uint32_t n)
{
	uint64_t h = n;

	for (uint32_t i = 0; i < n; i++) {
		h = (h ^ pixels[i]) * HASH_FACTOR;
		h ^= h >> 32;
	}
	return h | 1;
}

/* Red and blue change places where the screen has red first. */
static uint32_t as_on_screen(uint32_t pixel)
{
	if (!screen.canvas.red_first) {
		return pixel;
	}
	return (pixel & 0xff00) | (pixel >> 16 & 0xff) | (pixel & 0xff) << 16;
}

/* One line of the screen; what does not fit on it is cut off. */
static void put_line(uint32_t y, const uint32_t *pixels, uint32_t width)
{
	uint32_t *line = screen.canvas.pixels + (size_t)y * screen.canvas.stride + screen.left;
	uint32_t limit = screen.canvas.width - screen.left;

	for (uint32_t x = 0; x < width && x * screen.scale < limit; x++) {
		uint32_t pixel = as_on_screen(pixels[x]);

		for (uint32_t i = 0; i < screen.scale && x * screen.scale + i < limit; i++) {
			line[x * screen.scale + i] = pixel;
		}
	}
}

static void put_row(void *ctx, uint32_t y, const uint32_t *pixels)
{
	uint32_t width = screen.picture.mode.width;
	uint64_t now = hash(pixels, width);
	uint32_t first = screen.top + y * screen.scale;

	(void)ctx;
	if (screen.shown[y] == now) {
		return;
	}
	screen.shown[y] = now;
	for (uint32_t i = 0; i < screen.scale && first + i < screen.canvas.height; i++) {
		put_line(first + i, pixels, width);
	}
}

/* As large as whole pixels allow, in the middle of a blank screen. */
static void lay_out(const struct vga_mode *mode)
{
	uint32_t across = screen.canvas.width / mode->width;
	uint32_t down = screen.canvas.height / mode->height;

	screen.scale = across < down ? across : down;
	screen.scale = screen.scale == 0 ? 1 : screen.scale;
	screen.left = across == 0 ? 0 : (screen.canvas.width - mode->width * screen.scale) / 2;
	screen.top = down == 0 ? 0 : (screen.canvas.height - mode->height * screen.scale) / 2;
	screen.shown_mode = *mode;
	memset(screen.shown, 0, sizeof(screen.shown));
	platform_screen_blank();
}

static void begin_picture(void)
{
	if (!picture_begin(screen.front, &screen.picture)) {
		return;
	}
	if (screen.picture.mode.width != screen.shown_mode.width ||
	    screen.picture.mode.height != screen.shown_mode.height) {
		lay_out(&screen.picture.mode);
	}
	screen.row = 0;
	screen.drawing = true;
	work_start(&screen.work);
}

static void on_timer(struct timer *t)
{
	(void)t;
	atomic_store(&screen.due, true);
	run_chore(RUN_CHORE_INPUT);
}

static void arm(void)
{
	atomic_store(&screen.due, false);
	timer_arm(&screen.timer, clock_now() + clock_ns_to_ticks(FRAME_NS));
}

static bool step(struct work *w)
{
	uint32_t rows = STEP_PIXELS / screen.picture.mode.width;

	(void)w;
	if (!screen.drawing || screen.front->vga == NULL) {
		screen.drawing = false;
		/* A guest that has ended gives the screen back. */
		run_chore(RUN_CHORE_INPUT);
		return false;
	}
	picture_rows(screen.front, &screen.picture, screen.row, rows, put_row, NULL);
	screen.row += rows;
	screen.drawing = screen.row < screen.picture.mode.height;
	if (!screen.drawing) {
		arm();
	}
	return screen.drawing;
}

/* --- whose screen it is --- */

static void prepare(void)
{
	if (!screen.ready) {
		work_init(&screen.work, step);
		timer_init(&screen.timer, run_timers(), on_timer);
		screen.ready = true;
	}
}

static void take(void)
{
	prepare();
	screen.taken = platform_screen_take(&screen.canvas);
	screen.shown_mode = (struct vga_mode){.picture = VGA_PICTURE_BLANK};
	atomic_store(&screen.due, true);
}

static void give_back(void)
{
	if (screen.taken) {
		timer_cancel(&screen.timer);
		screen.drawing = false;
		screen.taken = false;
		platform_screen_give_back();
	}
}

void screen_poll(void)
{
	bool wanted = screen.front != NULL && screen.front->vga != NULL;

	if (!wanted) {
		give_back();
		return;
	}
	if (!screen.taken) {
		take();
	}
	if (screen.taken && !screen.drawing && atomic_load(&screen.due)) {
		begin_picture();
	}
}

/* --- whose keyboard it is --- */

static bool guest_has_keys(void)
{
	return screen.front != NULL && screen.front->vga != NULL;
}

/* Nothing stays pressed in a guest whose keyboard is taken away. */
static void release_all(void)
{
	for (unsigned i = 0; i < 2 * 128; i++) {
		const struct key k = {.code = i % 128, .extended = i / 128 != 0};
		uint8_t sequence[KEY_SEQUENCE_MAX];

		if (screen.down[k.extended][k.code] != 0 && screen.front != NULL) {
			(void)guest_keys_put(screen.front, sequence,
					     key_sequence(&k, true, sequence), false);
		}
		screen.down[k.extended][k.code] = 0;
	}
}

void screen_front(struct guest *g)
{
	if (g != screen.front) {
		release_all();
		give_back();
		screen.front = g;
	}
	screen_poll();
}

/* Goes to the monitor, or to the guest of that number, as the function keys count them. */
static void switch_to(unsigned number)
{
	struct guest *g = number == 0 ? NULL : guest_at(number - 1);

	if (number == 0) {
		console_detach();
	} else if (g != NULL && g != screen.front) {
		console_attach(&g->console);
	}
}

/* Which of F1 to F12, counted from 0; -1: none. */
static int function_key(uint8_t code)
{
	if (code >= CODE_F1 && code <= CODE_F10) {
		return code - (int)CODE_F1;
	}
	return code == CODE_F11 || code == CODE_F11 + 1 ? 10 + code - (int)CODE_F11 : -1;
}

/* What the keys of this hypervisor are; true: the key was one. */
static bool hot_key(uint8_t code, bool extended, bool pressed)
{
	int number = extended ? -1 : function_key(code);

	if (code == CODE_CTRL) {
		*(extended ? &screen.ctrl_right : &screen.ctrl_left) = pressed;
		return false;
	}
	if (screen.ctrl_right && number >= 0) {
		if (pressed) {
			switch_to((unsigned)number);
		}
		return true;
	}
	if (code == CODE_BRACKET && !extended && pressed && guest_has_keys() &&
	    (screen.ctrl_left || screen.ctrl_right)) {
		console_detach();
		return true;
	}
	return false;
}

/* A whole sequence for the guest in front. */
static void give(const struct key_bytes *s, uint8_t code, bool extended, bool pressed)
{
	if (s->count < 3) {
		screen.down[extended][code] = pressed;
	}
	(void)guest_keys_put(screen.front, s->bytes, s->count, false);
}

bool screen_code(uint8_t code)
{
	struct key_bytes *s = &screen.sequence;
	struct key_bytes whole;
	bool extended;
	unsigned length;

	s->bytes[s->count++] = code;
	extended = s->bytes[0] == SCANCODE_EXTENDED;
	length = s->bytes[0] == SCANCODE_PAUSE ? 3 : extended ? 2 : 1;
	if (s->count < length) {
		return guest_has_keys();
	}
	whole = *s;
	s->count = 0;
	if (length < 3 && hot_key(code & 0x7f, extended, (code & SCANCODE_1_RELEASED) == 0)) {
		return true;
	}
	if (!guest_has_keys()) {
		return false;
	}
	give(&whole, code & 0x7f, extended, (code & SCANCODE_1_RELEASED) == 0);
	return true;
}
