/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's line editor: what each key does to the line, and to the screen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/base/log.h"
#include "hv/monitor.h"
#include "tests/fakes/vm_rig.h"

#define PROMPT "bulkhead> "
#define CLEARED "\r\x1b[K"

static struct guest_config config;
static struct guest *g;

static int machine(void **state)
{
	(void)state;
	vm_rig_machine(false);
	g = vm_rig_guest("web", &config);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	console_detach();
	monitor_init(monitor_actions(), true);
	vm_rig_clear();
	return 0;
}

static int clean(void **state)
{
	(void)state;
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	return vm_rig_leaks();
}

/* Types `keys` and compares all that was printed from there on. */
static void shows(const char *keys, const char *want)
{
	vm_rig_clear();
	vm_rig_type(keys);
	assert_string_equal(vm_rig_text(), want);
}

static unsigned count_of(const char *words)
{
	unsigned count = 0;

	for (const char *at = vm_rig_text(); (at = strstr(at, words)) != NULL; at++) {
		count++;
	}
	return count;
}

static const char *refusal(const char *word)
{
	static char text[512];

	fmt_snprintf(text, sizeof(text), "\r\nno command '%s'; `help` lists them\r\n" PROMPT, word);
	return text;
}

/* --- lines --- */

static void a_line_is_echoed_and_executed(void **state)
{
	(void)state;
	shows("no", "no");
	shows("pe", "pe");
	shows("\r", refusal("nope"));
	/* Nothing of it is left. */
	shows("x\n", "x\r\nno command 'x'; `help` lists them\r\n" PROMPT);
}

static void an_empty_line_only_prompts(void **state)
{
	(void)state;
	shows("\r", "\r\n" PROMPT);
	shows("   \r", "   \r\n" PROMPT);
}

static void blanks_around_words_do_not_matter(void **state)
{
	(void)state;
	vm_rig_type("   pause    web  \r");
	assert_non_null(strstr(vm_rig_text(), "cannot pause web: it is stopped\r\n"));
}

static void commands_are_whole_words(void **state)
{
	(void)state;
	shows("hel", "hel");
	shows("\r", refusal("hel"));
	shows("helpp", "helpp");
	shows("\r", refusal("helpp"));
	shows("HELP", "HELP");
	shows("\r", refusal("HELP"));
}

static void backspace_takes_the_last_character(void **state)
{
	(void)state;
	shows("abc", "abc");
	shows("\x7f", "\b \b");
	shows("\b", "\b \b");
	shows("z\r", "z\r\nno command 'az'; `help` lists them\r\n" PROMPT);
}

static void backspace_at_the_start_does_nothing(void **state)
{
	(void)state;
	shows("\x7f\b\x7f", "");
	shows("a\x7f\x7f\x7f", "a\b \b");
	shows("b\r", "b\r\nno command 'b'; `help` lists them\r\n" PROMPT);
}

static void control_and_eight_bit_characters_are_ignored(void **state)
{
	(void)state;
	shows("a\x01\t\x1a\xc3\xa4\xff"
	      "b",
	      "ab");
	shows("\r", refusal("ab"));
}

static void a_line_ends_where_its_buffer_does(void **state)
{
	char long_word[MONITOR_LINE_MAX];

	(void)state;
	memset(long_word, 'x', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	shows(long_word, long_word);
	/* Full: neither echoed nor kept. */
	shows("yyy", "");
	shows("\r", refusal(long_word));
	/* One may be taken back and replaced. */
	vm_rig_type(long_word);
	shows("\x7fzz", "\b \bz");
	long_word[sizeof(long_word) - 2] = 'z';
	shows("\r", refusal(long_word));
}

static void ctrl_u_and_ctrl_c_forget_the_line(void **state)
{
	(void)state;
	shows("reboot", "reboot");
	shows("\x15", CLEARED PROMPT);
	shows("poweroff", "poweroff");
	shows("\x03", CLEARED PROMPT);
	shows("\r", "\r\n" PROMPT);
	assert_int_equal(vm_rig.reboots + vm_rig.power_offs, 0);
}

/* --- history --- */

static void arrow_up_brings_the_last_command_back(void **state)
{
	(void)state;
	vm_rig_type("one two\r");
	shows("\033[A", CLEARED PROMPT "one two");
	/* It is not executed before Enter, and can be edited. */
	shows("\x7f\x7f\x7f\x7f", "\b \b\b \b\b \b\b \b");
	shows("s\r", "s\r\nno command 'ones'; `help` lists them\r\n" PROMPT);
	/* What was edited is the last command now; what is typed already gives way. */
	vm_rig_type("junk");
	shows("\033[A", CLEARED PROMPT "ones");
	shows("\r", refusal("ones"));
}

static void empty_lines_are_no_history(void **state)
{
	(void)state;
	shows("\033[A", CLEARED PROMPT);
	vm_rig_type("first\r\r  \r");
	shows("\033[A", CLEARED PROMPT "first");
	/* Twice is no different. */
	shows("\033[A", CLEARED PROMPT "first");
}

static void the_longest_line_comes_back_whole(void **state)
{
	char text[MONITOR_LINE_MAX];
	char want[MONITOR_LINE_MAX + 32];

	(void)state;
	memset(text, 'q', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	vm_rig_type(text);
	vm_rig_type("\r");
	fmt_snprintf(want, sizeof(want), CLEARED PROMPT "%s", text);
	shows("\033[A", want);
}

static void other_keys_that_send_sequences_do_nothing(void **state)
{
	(void)state;
	vm_rig_type("older\rab");
	shows("\033[B\033[C\033[D\033[H\033[F\033[5~\033[1;5C\033[3~\033x", "");
	shows("\r", refusal("ab"));
}

static void a_control_key_ends_an_unfinished_sequence(void **state)
{
	(void)state;
	vm_rig_type("ab\033");
	shows("\r", refusal("ab"));
	vm_rig_type("cd\033[1;");
	shows("\x15", CLEARED PROMPT);
	vm_rig_type("ef\033[\r");
	/* Escape pressed twice: the second one begins anew. */
	shows("\033\033[A", CLEARED PROMPT "ef");
}

/* --- together with other text --- */

static void log_lines_go_above_the_line(void **state)
{
	(void)state;
	vm_rig_type("sta");
	vm_rig_clear();
	log_info("one");
	assert_string_equal(vm_rig_text(), CLEARED "info: one\r\n" PROMPT "sta");
	shows("rt\r", "rt\r\nwhich guest? `list` shows them\r\n" PROMPT);
}

static void a_command_that_prints_an_event_prompts_once(void **state)
{
	(void)state;
	vm_rig_start(g);
	vm_rig_clear();
	vm_rig_type("pause web\r");
	assert_string_equal(vm_rig_text(), "pause web\r\nbulkhead: guest web: paused\r\n" PROMPT);
	shows("stop web\r", "stop web\r\nbulkhead: guest web: stopped: by request\r\n" PROMPT);
	assert_int_equal(count_of(PROMPT), 1);
}

static void no_prompt_while_a_guest_is_in_front(void **state)
{
	(void)state;
	vm_rig_type("console web\r");
	assert_int_equal(count_of(PROMPT), 0);
	assert_ptr_equal(console_front(), &g->console);
	vm_rig_clear();
	log_info("seen");
	assert_string_equal(vm_rig_text(), "info: seen\r\n");
	/* Ctrl-] comes back with one prompt and an empty line. */
	shows("\x1d", "\r\n[web: detached]\r\n\r\n" PROMPT);
	assert_null(console_front());
	shows("x\r", "x\r\nno command 'x'; `help` lists them\r\n" PROMPT);
	/* In the monitor it is no key at all. */
	shows("\x1d", "");
}

static void without_a_prompt_only_a_begun_line_is_redrawn(void **state)
{
	(void)state;
	monitor_init(monitor_actions(), false);
	log_info("quiet");
	assert_string_equal(vm_rig_text(), "info: quiet\r\n");
	shows("\r", "\r\n");
	shows("no", "no");
	vm_rig_clear();
	log_info("loud");
	assert_string_equal(vm_rig_text(), CLEARED "info: loud\r\nno");
	shows("\r", "\r\nno command 'no'; `help` lists them\r\n");
	shows("\033[A", CLEARED "no");
	shows("\x03", CLEARED);
}

static void the_prompt_fits_any_buffer(void **state)
{
	char small[8];
	char large[256];

	(void)state;
	vm_rig_type("status");
	assert_int_equal(monitor_prompt(small, sizeof(small)), 7);
	assert_string_equal(small, "bulkhea");
	assert_int_equal(monitor_prompt(large, sizeof(large)), strlen(PROMPT "status"));
	assert_string_equal(large, PROMPT "status");
}

static void answers_are_cut_at_their_buffer(void **state)
{
	char text[700];

	(void)state;
	memset(text, 'm', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	monitor_print("%s", text);
	assert_int_equal(strlen(vm_rig_text()), 511);
	vm_rig_clear();
	monitor_print("a\nb\n");
	assert_string_equal(vm_rig_text(), "a\r\nb\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_is_echoed_and_executed),
		TEST(an_empty_line_only_prompts),
		TEST(blanks_around_words_do_not_matter),
		TEST(commands_are_whole_words),
		TEST(backspace_takes_the_last_character),
		TEST(backspace_at_the_start_does_nothing),
		TEST(control_and_eight_bit_characters_are_ignored),
		TEST(a_line_ends_where_its_buffer_does),
		TEST(ctrl_u_and_ctrl_c_forget_the_line),
		TEST(arrow_up_brings_the_last_command_back),
		TEST(empty_lines_are_no_history),
		TEST(the_longest_line_comes_back_whole),
		TEST(other_keys_that_send_sequences_do_nothing),
		TEST(a_control_key_ends_an_unfinished_sequence),
		TEST(log_lines_go_above_the_line),
		TEST(a_command_that_prints_an_event_prompts_once),
		TEST(no_prompt_while_a_guest_is_in_front),
		TEST(without_a_prompt_only_a_begun_line_is_redrawn),
		TEST(the_prompt_fits_any_buffer),
		TEST(answers_are_cut_at_their_buffer),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
