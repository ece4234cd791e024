/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/api/clock.h"
#include "hv/platform.h"
#include "hv/screen.h"
#include "hv/work.h"
#include "tests/fakes/guest_rig.h"

/* ---- the machine's screen ---- */

#define WIDTH 1500u
#define HEIGHT 900u
#define STRIDE 1536u
#define OTHERS 0x00bada55u /* pixels of whoever had the screen before */

static uint32_t pixels[STRIDE * HEIGHT];
static bool present, red_first;
static unsigned takes, returns;

bool platform_screen_take(struct platform_canvas *out)
{
	*out = (struct platform_canvas){pixels, WIDTH, HEIGHT, STRIDE, red_first};
	takes += present;
	platform_screen_blank();
	return present;
}

void platform_screen_blank(void)
{
	memset(pixels, 0, sizeof(pixels));
}

void platform_screen_give_back(void)
{
	returns++;
	for (unsigned i = 0; i < STRIDE * HEIGHT; i++) {
		pixels[i] = OTHERS;
	}
}

static void front(struct guest_console *c)
{
	screen_front(c != NULL ? container_of(c, struct guest, console) : NULL);
}

static void write_nothing(const char *data, size_t n)
{
	(void)data;
	(void)n;
}

static void no_command(char c)
{
	(void)c;
}

static size_t no_prompt(char *buf, size_t cap)
{
	(void)buf;
	(void)cap;
	return 0;
}

static const struct console_ops console = {write_nothing, no_command, no_prompt, front};

static struct guest_config other_config;
static struct guest *other;

static int rig(void **state)
{
	vm_rig_machine(false);
	g = vm_rig_guest("web", &config);
	other = vm_rig_guest("db", &other_config);
	console_init(&console, false);
	(void)state;
	return 0;
}

static int setup_screen(void **state)
{
	int status = setup(state);

	config.vga = true;
	present = true;
	red_first = false;
	takes = 0;
	returns = 0;
	for (unsigned i = 0; i < STRIDE * HEIGHT; i++) {
		pixels[i] = OTHERS;
	}
	return status;
}

static int clean_screen(void **state)
{
	console_detach();
	return clean(state);
}

static void start(void)
{
	vm_rig_start(g);
	space_switch(space_core());
}

/* A picture's time has come; returns the steps that drawing it took. */
static unsigned next_picture(void)
{
	unsigned steps = 0;

	vm_rig_advance(clock_ns_to_ticks(34000000));
	screen_poll();
	for (; work_pending(); steps++) {
		work_step();
	}
	return steps;
}

static void put_cell(unsigned row, uint64_t cell)
{
	space_switch(&g->vm.gspace.host);
	assert_true(bus_write(&g->vm.mmio, 0xb8000 + row * 160, 2, 0, cell));
	space_switch(space_core());
}

/* Of the guest's picture of 720 x 400, twice as large in the middle. */
static uint32_t pixel(unsigned x, unsigned y)
{
	return pixels[(50 + 2 * y) * STRIDE + 30 + 2 * x];
}

/* ---- whose picture ---- */

static void the_guest_in_front_is_shown(void **state)
{
	(void)state;
	start();
	put_cell(0, 0x1020);
	console_attach(&g->console);
	assert_int_equal(takes, 1);
	(void)next_picture();
	assert_int_equal(pixel(0, 0), 0x0000aa);
	assert_int_equal(pixels[50 * STRIDE + 31], 0x0000aa);
	assert_int_equal(pixels[51 * STRIDE + 30], 0x0000aa);
	assert_int_equal(pixels[49 * STRIDE + 30], 0);
	assert_int_equal(pixels[50 * STRIDE + 29], 0);
	for (unsigned i = 0; i < STRIDE * HEIGHT; i++) {
		assert_int_not_equal(pixels[i], OTHERS);
	}
	console_detach();
	assert_int_equal(returns, 1);
	assert_int_equal(next_picture(), 0);
	assert_int_equal(pixel(0, 0), OTHERS);
}

static void only_rows_that_change_are_drawn(void **state)
{
	(void)state;
	start();
	console_attach(&g->console);
	assert_in_range(next_picture(), 2, 20);
	/* Somebody spoils two rows; the one that changes comes back. */
	pixels[50 * STRIDE + 30] = OTHERS;
	pixels[(50 + 2 * 16 * 3) * STRIDE + 31] = OTHERS;
	put_cell(3, 0x4020);
	(void)next_picture();
	assert_int_equal(pixels[50 * STRIDE + 30], OTHERS);
	assert_int_equal(pixel(0, 48), 0xaa0000);
	assert_int_equal(pixels[(50 + 2 * 16 * 3) * STRIDE + 31], 0xaa0000);
}

static void nothing_is_drawn_before_its_time(void **state)
{
	(void)state;
	start();
	console_attach(&g->console);
	(void)next_picture();
	put_cell(0, 0x1020);
	vm_rig_advance(clock_ns_to_ticks(10000000));
	screen_poll();
	assert_false(work_pending());
	(void)next_picture();
	assert_int_equal(pixel(0, 0), 0x0000aa);
}

static void nobody_looks_and_nothing_happens(void **state)
{
	(void)state;
	start();
	screen_poll();
	assert_false(work_pending());
	assert_int_equal(takes, 0);
}

static void red_may_come_first(void **state)
{
	(void)state;
	red_first = true;
	start();
	put_cell(0, 0x1020);
	console_attach(&g->console);
	(void)next_picture();
	assert_int_equal(pixel(0, 0), 0xaa0000);
}

static void set_dispi(unsigned index, unsigned value)
{
	(void)bus_write(&g->vm.pio, 0x1ce, 2, 0, index);
	(void)bus_write(&g->vm.pio, 0x1cf, 2, 0, value);
}

static void a_new_size_begins_with_a_blank_screen(void **state)
{
	(void)state;
	start();
	put_cell(0, 0x1020);
	console_attach(&g->console);
	(void)next_picture();
	space_switch(&g->vm.gspace.host);
	set_dispi(1, 320);
	set_dispi(2, 200);
	set_dispi(3, 32);
	set_dispi(4, 1);
	space_switch(space_core());
	(void)next_picture();
	/* Four times as large: 1280 x 800, at 110, 50. */
	assert_int_equal(pixel(0, 0), 0);
	pixels[STRIDE * 50 + 109] = 7;
	(void)next_picture();
	assert_int_equal(pixels[STRIDE * 50 + 109], 7);
}

static void a_larger_picture_is_cut(void **state)
{
	(void)state;
	start();
	space_switch(&g->vm.gspace.host);
	set_dispi(1, 1600);
	set_dispi(2, 1200);
	set_dispi(3, 8);
	set_dispi(4, 1);
	space_switch(space_core());
	console_attach(&g->console);
	assert_true(next_picture() > 4);
}

static void a_guest_that_ends_gives_the_screen_back(void **state)
{
	(void)state;
	start();
	console_attach(&g->console);
	vm_rig_advance(clock_ns_to_ticks(34000000));
	screen_poll();
	vm_rig_end(g);
	screen_poll();
	assert_int_equal(returns, 1);
	start();
	screen_poll();
	assert_int_equal(takes, 2);
}

static void a_machine_without_a_screen(void **state)
{
	(void)state;
	present = false;
	start();
	console_attach(&g->console);
	assert_int_equal(next_picture(), 0);
	console_detach();
	assert_int_equal(returns, 0);
}

/* ---- whose keys ---- */

static int next(void)
{
	uint64_t value = 0;

	(void)bus_read(&g->vm.pio, 0x64, 1, 0, &value);
	if ((value & 1) == 0) {
		return -1;
	}
	(void)bus_read(&g->vm.pio, 0x60, 1, 0, &value);
	return (int)value;
}

static bool press(const char *codes)
{
	bool taken = false;

	for (; *codes != '\0'; codes++) {
		taken = screen_code((uint8_t)*codes);
	}
	return taken;
}

static void keys_are_the_guests_in_front(void **state)
{
	(void)state;
	start();
	assert_false(press("\x1e\x9e"));
	assert_int_equal(next(), -1);
	console_attach(&g->console);
	assert_true(press("\x1e\x9e\xe0\x48"));
	assert_int_equal(next(), 0x1e);
	assert_int_equal(next(), 0x9e);
	assert_int_equal(next(), 0xe0);
	assert_int_equal(next(), 0x48);
	/* The cursor key is still down when the guest is left. */
	console_detach();
	assert_int_equal(next(), 0xe0);
	assert_int_equal(next(), 0xc8);
	assert_int_equal(next(), -1);
	assert_false(press("\xe0\xc8"));
}

static void hot_keys_switch(void **state)
{
	(void)state;
	start();
	assert_true(press("\xe0\x1d\x3c") || true); /* right Ctrl, F2 */
	assert_ptr_equal(console_front(), &g->console);
	assert_true(press("\xbc\x3b"));
	assert_null(console_front());
	(void)press("\xbb\x3d");
	assert_ptr_equal(console_front(), &other->console);
	(void)press("\xbd\x3e"); /* there is no third guest */
	assert_ptr_equal(console_front(), &other->console);
	(void)press("\xbe\x3c\xbc\xe0\x9d");
	assert_ptr_equal(console_front(), &g->console);
	while (next() >= 0) {
	}
	/* Without Ctrl they are the guest's. */
	assert_true(press("\x3b\xbb"));
	assert_int_equal(next(), 0x3b);
	assert_ptr_equal(console_front(), &g->console);
	assert_true(press("\x1d\x1b"));
	assert_null(console_front());
	(void)press("\x9b\x9d");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_screen, clean_screen)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_guest_in_front_is_shown),
		TEST(only_rows_that_change_are_drawn),
		TEST(nothing_is_drawn_before_its_time),
		TEST(nobody_looks_and_nothing_happens),
		TEST(red_may_come_first),
		TEST(a_new_size_begins_with_a_blank_screen),
		TEST(a_larger_picture_is_cut),
		TEST(a_guest_that_ends_gives_the_screen_back),
		TEST(a_machine_without_a_screen),
		TEST(keys_are_the_guests_in_front),
		TEST(hot_keys_switch),
	};

	return cmocka_run_group_tests(tests, rig, NULL);
}
