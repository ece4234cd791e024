/* SPDX-License-Identifier: Apache-2.0 */
/* Who owns the serial port: prompts, guests' lines, attaching, input that waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/fmt.h"
#include "hv/console.h"

/* What reached the devices, the monitor's keys, and the monitor's unfinished line. */
static char out[4 * CONSOLE_SCROLLBACK];
static size_t out_len;
static char keys[64];
static size_t keys_len;
static const char *prompt_text;

static struct guest_console web;
static struct guest_console db;

/* The guest's UART: takes `room` bytes. */
static char uart[2 * CONSOLE_INPUT_MAX];
static size_t uart_len;
static size_t uart_room;

static void take_output(const char *data, size_t n)
{
	assert_true(out_len + n < sizeof(out));
	if (n > 0) {
		memcpy(out + out_len, data, n);
	}
	out_len += n;
	out[out_len] = '\0';
}

static void take_command(char c)
{
	keys[keys_len++] = c;
}

static size_t give_prompt(char *buf, size_t cap)
{
	return fmt_snprintf(buf, cap, "%s", prompt_text);
}

static size_t take_input(void *ctx, const char *data, size_t n)
{
	size_t taken = n < uart_room ? n : uart_room;

	assert_ptr_equal(ctx, &uart);
	memcpy(uart + uart_len, data, taken);
	uart_len += taken;
	uart_room -= taken;
	return taken;
}

static struct guest_console *front_told;
static unsigned fronts_told;

static void take_front(struct guest_console *c)
{
	front_told = c;
	fronts_told++;
}

static const struct console_ops ops = {take_output, take_command, give_prompt, take_front};

static void begin(bool all)
{
	out_len = keys_len = uart_len = uart_room = 0;
	out[0] = '\0';
	prompt_text = "> sta";
	console_init(&ops, all);
	console_guest_init(&web, "web");
	console_guest_init(&db, "db");
	web.receive = take_input;
	web.receive_ctx = &uart;
}

static int setup(void **state)
{
	(void)state;
	begin(false);
	return 0;
}

static int setup_all(void **state)
{
	(void)state;
	begin(true);
	return 0;
}

static void assert_output(const char *want)
{
	assert_string_equal(out, want);
	out_len = 0;
	out[0] = '\0';
}

static void say(struct guest_console *c, const char *text)
{
	console_guest_output(c, text, strlen(text));
}

static void before_init_text_is_dropped(void **state)
{
	(void)state;
	console_init(NULL, false);
	console_write("x\n", 2);
	console_print("x\n", 2);
	say(&web, "x\n");
	assert_int_equal(out_len, 0);
	assert_int_equal(web.scrollback.end, 2);
}

static void the_prompt_is_drawn_again_after_text(void **state)
{
	(void)state;
	console_write("info: one\ntwo\n", 14);
	assert_output("\r\x1b[Kinfo: one\r\ntwo\r\n> sta");
	prompt_text = "";
	console_write("info: three\n", 12);
	assert_output("info: three\r\n");
}

static void an_answer_leaves_the_prompt_alone(void **state)
{
	(void)state;
	console_print("NAME\nweb\n", 9);
	assert_output("NAME\r\nweb\r\n");
	console_print("", 0);
	assert_output("");
}

static void keys_go_to_the_monitor_or_the_guest_in_front(void **state)
{
	(void)state;
	uart_room = 100;
	console_key('a');
	console_attach(&web);
	console_key('b');
	console_key('\r');
	console_key(CONSOLE_ESCAPE);
	console_key('c');
	/* Leaving a console presses return for the monitor, which shows its prompt. */
	assert_int_equal(keys_len, 3);
	assert_memory_equal(keys, "a\rc", 3);
	assert_int_equal(uart_len, 2);
	assert_memory_equal(uart, "b\r", 2);
}

static void the_front_guest_is_shown_as_it_is(void **state)
{
	(void)state;
	say(&web, "hidden\r\n");
	assert_output("");
	fronts_told = 0;
	console_attach(&web);
	assert_ptr_equal(console_front(), &web);
	assert_ptr_equal(front_told, &web);
	assert_output("[web: Ctrl-] returns to the monitor]\r\nhidden\r\n");
	say(&web, "\x1b[1mlogin\n");
	say(&db, "not in front\n");
	assert_output("\x1b[1mlogin\n");
	/* No prompt is drawn into a guest's screen. */
	console_write("info: x\n", 8);
	assert_output("info: x\r\n");
	console_detach();
	assert_null(console_front());
	assert_output("\r\n[web: detached]\r\n");
	assert_null(front_told);
	console_detach();
	assert_output("");
	assert_int_equal(fronts_told, 2);
}

static void attaching_shows_the_last_lines(void **state)
{
	char line[16];

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		size_t n = fmt_snprintf(line, sizeof(line), "line %u\n", i);

		console_guest_output(&web, line, n);
	}
	say(&web, "unfinished");
	console_attach(&web);
	assert_non_null(strstr(out, "]\r\nline 11\n"));
	assert_non_null(strstr(out, "line 29\nunfinished"));
}

static void tails_have_the_lines_asked_for(void **state)
{
	(void)state;
	say(&web, "a\nb\nc\n");
	console_print_tail(&web.scrollback, 2);
	assert_output("b\r\nc\r\n");
	console_print_tail(&web.scrollback, 0);
	assert_output("");
	console_print_tail(&web.scrollback, 3);
	assert_output("a\r\nb\r\nc\r\n");
	console_print_tail(&web.scrollback, 1000);
	assert_output("a\r\nb\r\nc\r\n");
	say(&web, "d");
	console_print_tail(&web.scrollback, 2);
	assert_output("c\r\nd");
	console_print_tail(&db.scrollback, 5);
	assert_output("");
}

static void a_tail_ends_at_the_rings_beginning(void **state)
{
	char line[101];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[100] = '\n';
	for (unsigned i = 0; i < 1000; i++) {
		console_guest_output(&web, line, sizeof(line));
	}
	console_print_tail(&web.scrollback, 100000);
	/* All the ring holds, each LF as two characters. */
	assert_int_equal(out_len, CONSOLE_SCROLLBACK + 1000 - (101000 - CONSOLE_SCROLLBACK) / 101);
}

/* A guest that prints faster than the serial port. */
static void print_on(const char *data, size_t n)
{
	take_output(data, n);
	ring_write(&db.scrollback, "more and more\n", 14);
}

static void a_tail_ends_though_the_guest_prints_on(void **state)
{
	static const struct console_ops slow = {print_on, take_command, give_prompt, NULL};

	(void)state;
	say(&db, "a\nb\nc\n");
	console_init(&slow, false);
	console_print_tail(&db.scrollback, 2);
	assert_output("b\r\nc\r\n");
}

/* --- console = all --- */

static void lines_are_put_together_and_named(void **state)
{
	(void)state;
	prompt_text = "";
	say(&web, "Linux ver");
	say(&db, "starting\r\n");
	say(&web, "sion 6.1\r\nok\n\n");
	assert_output("db| starting\r\nweb| Linux version 6.1\r\nweb| ok\r\nweb| \r\n");
}

static void typed_text_survives_guests_lines(void **state)
{
	(void)state;
	say(&web, "hello\n");
	assert_output("\r\x1b[Kweb| hello\r\n> sta");
}

static void long_lines_come_in_pieces(void **state)
{
	char line[2 * CONSOLE_LINE_MAX + 10];
	char want[3 * CONSOLE_LINE_MAX];
	size_t n = 0;

	(void)state;
	prompt_text = "";
	memset(line, 'y', sizeof(line));
	console_guest_output(&web, line, sizeof(line));
	console_guest_output(&web, "\n", 1);
	for (unsigned i = 0; i < 3; i++) {
		n += fmt_snprintf(want + n, sizeof(want) - n, "web| %.*s\r\n",
				  i < 2 ? (int)CONSOLE_LINE_MAX : 10, line);
	}
	assert_output(want);
}

static void a_guest_cannot_forge_a_line(void **state)
{
	(void)state;
	prompt_text = "";
	console_guest_output(&web, "x\rbulkhead: guest db: stopped\0\n", 31);
	assert_output("web| xbulkhead: guest db: stopped\r\n");
}

static void half_a_line_from_before_is_not_continued(void **state)
{
	(void)state;
	prompt_text = "";
	say(&web, "before ");
	say(&db, "db before ");
	console_attach(&db);
	say(&web, "while nobody looked\nand ");
	say(&db, "shown raw\n");
	console_detach();
	out_len = 0;
	say(&web, "after\n");
	say(&db, "after\n");
	assert_output("web| after\r\ndb| after\r\n");
}

static void the_last_words_of_a_guest_are_a_line(void **state)
{
	(void)state;
	prompt_text = "";
	say(&web, "reboot: Power down");
	console_guest_input(&web, "x", 1);
	console_guest_close(&web);
	assert_output("web| reboot: Power down\r\n");
	assert_int_equal(web.input_len, 0);
	assert_null(web.receive);
	console_guest_close(&web);
	assert_output("");
	say(&web, "Linux version\n");
	assert_output("web| Linux version\r\n");
}

/* --- input --- */

static void input_waits_for_the_uart(void **state)
{
	(void)state;
	uart_room = 3;
	console_guest_input(&web, "uname -a\r", 9);
	assert_int_equal(uart_len, 3);
	console_guest_ready(&web);
	assert_int_equal(uart_len, 3);
	uart_room = 4;
	console_guest_ready(&web);
	uart_room = 100;
	console_guest_input(&web, "!", 1);
	assert_int_equal(uart_len, 10);
	assert_memory_equal(uart, "uname -a\r!", 10);
	assert_int_equal(web.input_len, 0);
}

static void too_much_input_is_lost_at_its_end(void **state)
{
	char text[CONSOLE_INPUT_MAX + 50];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char)('a' + i % 26);
	}
	console_guest_input(&web, text, sizeof(text));
	assert_int_equal(web.input_len, CONSOLE_INPUT_MAX);
	uart_room = sizeof(uart);
	console_guest_ready(&web);
	assert_int_equal(uart_len, CONSOLE_INPUT_MAX);
	assert_memory_equal(uart, text, CONSOLE_INPUT_MAX);
}

static void without_a_vm_keys_are_lost(void **state)
{
	(void)state;
	console_guest_input(&db, "reboot\r", 7);
	console_guest_ready(&db);
	assert_int_equal(db.input_len, 0);
}

/* U+009b is CSI, too; letters of two bytes pass. */
static void eight_bit_controls_are_swallowed(void **state)
{
	(void)state;
	prompt_text = "";
	say(&web, "a\xc2\x9b"
		  "31mb\xc2\x85"
		  "c\xc3\xa9\n");
	assert_output("web| a\xc2"
		      "b\xc2"
		      "c\xc3\xa9\r\n");
}

static void tails_are_shown_without_controls(void **state)
{
	(void)state;
	say(&web, "one\x1b[2J\r\ntwo\x1b[31m\x07\r\n");
	out_len = 0;
	console_print_tail(&web.scrollback, 5);
	assert_output("one\r\ntwo\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(before_init_text_is_dropped, setup),
		cmocka_unit_test_setup(the_prompt_is_drawn_again_after_text, setup),
		cmocka_unit_test_setup(an_answer_leaves_the_prompt_alone, setup),
		cmocka_unit_test_setup(keys_go_to_the_monitor_or_the_guest_in_front, setup),
		cmocka_unit_test_setup(the_front_guest_is_shown_as_it_is, setup),
		cmocka_unit_test_setup(attaching_shows_the_last_lines, setup),
		cmocka_unit_test_setup(tails_have_the_lines_asked_for, setup),
		cmocka_unit_test_setup(a_tail_ends_at_the_rings_beginning, setup),
		cmocka_unit_test_setup(lines_are_put_together_and_named, setup_all),
		cmocka_unit_test_setup(typed_text_survives_guests_lines, setup_all),
		cmocka_unit_test_setup(long_lines_come_in_pieces, setup_all),
		cmocka_unit_test_setup(a_guest_cannot_forge_a_line, setup_all),
		cmocka_unit_test_setup(eight_bit_controls_are_swallowed, setup_all),
		cmocka_unit_test_setup(tails_are_shown_without_controls, setup),
		cmocka_unit_test_setup(a_tail_ends_though_the_guest_prints_on, setup),
		cmocka_unit_test_setup(half_a_line_from_before_is_not_continued, setup_all),
		cmocka_unit_test_setup(the_last_words_of_a_guest_are_a_line, setup_all),
		cmocka_unit_test_setup(input_waits_for_the_uart, setup),
		cmocka_unit_test_setup(too_much_input_is_lost_at_its_end, setup),
		cmocka_unit_test_setup(without_a_vm_keys_are_lost, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
