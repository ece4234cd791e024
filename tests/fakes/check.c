/* SPDX-License-Identifier: Apache-2.0 */
/* check_failed for host programs: aborts, or jumps back to the test that expects it. */
#include "tests/fakes/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "hv/base/check.h"

jmp_buf fake_exit_env;
enum fake_exit fake_exit_expected;
const char *fake_check_text;

noreturn void fake_exit_take(enum fake_exit how, const char *what)
{
	if (fake_exit_expected == how) {
		fake_exit_expected = FAKE_EXIT_NONE;
		longjmp(fake_exit_env, 1);
	}
	fprintf(stderr, "unexpected: %s\n", what);
	abort();
}

noreturn void fake_exit_missed(const char *file, int line, const char *statement)
{
	fprintf(stderr, "%s:%d: returned: %s\n", file, line, statement);
	abort();
}

noreturn void check_failed(const char *file, int line, const char *what)
{
	fake_check_text = what;
	if (fake_exit_expected != FAKE_EXIT_CHECK) {
		fprintf(stderr, "%s:%d: CHECK failed\n", file, line);
	}
	fake_exit_take(FAKE_EXIT_CHECK, what);
}
