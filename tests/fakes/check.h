/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that never return, in host programs: check_failed and cpu_stop print and abort, unless
 * the test expects them:
 *
 *	EXPECT_CHECK(frame_put(hpa(0)));      // a CHECK must fail in here
 *	EXPECT_STOP(power_off(&how));	      // cpu_stop must be reached in here
 */
#pragma once

#include <setjmp.h>
#include <stdnoreturn.h>

enum fake_exit { FAKE_EXIT_NONE = 0, FAKE_EXIT_CHECK, FAKE_EXIT_STOP, FAKE_EXIT_TRIPLE_FAULT };

extern jmp_buf fake_exit_env;
extern enum fake_exit fake_exit_expected;
/* The text of the CHECK that failed last; NULL when none did. */
extern const char *fake_check_text;

/* Ends the statement in EXPECT_...; aborts with `what` when that exit is not expected. */
noreturn void fake_exit_take(enum fake_exit how, const char *what);
/* The statement returned although it should not have: aborts. */
noreturn void fake_exit_missed(const char *file, int line, const char *statement);

#define FAKE_EXPECT_EXIT(how, statement) \
	do { \
		fake_exit_expected = (how); \
		if (setjmp(fake_exit_env) == 0) { \
			statement; \
			fake_exit_missed(__FILE__, __LINE__, #statement); \
		} \
		fake_exit_expected = FAKE_EXIT_NONE; \
	} while (0)

#define EXPECT_CHECK(statement) FAKE_EXPECT_EXIT(FAKE_EXIT_CHECK, statement)
#define EXPECT_STOP(statement) FAKE_EXPECT_EXIT(FAKE_EXIT_STOP, statement)
#define EXPECT_TRIPLE_FAULT(statement) FAKE_EXPECT_EXIT(FAKE_EXIT_TRIPLE_FAULT, statement)
