/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hv/base/bits.h"
#include "hv/work.h"

struct job {
	struct work work;
	char name;
	unsigned left; /* steps to do */
	struct job *starts;
};

static char order[64];
static size_t order_len;

static bool step(struct work *w)
{
	struct job *j = container_of(w, struct job, work);

	order[order_len++] = j->name;
	order[order_len] = '\0';
	if (j->starts != NULL) {
		work_start(&j->starts->work);
	}
	return --j->left > 0;
}

static struct job *job(char name, unsigned steps)
{
	struct job *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->name = name;
	j->left = steps;
	work_init(&j->work, step);
	return j;
}

static int setup(void **state)
{
	(void)state;
	order_len = 0;
	order[0] = '\0';
	return 0;
}

static void run_all(void)
{
	while (work_pending()) {
		work_step();
	}
}

static void nothing_to_do_is_harmless(void **state)
{
	(void)state;
	assert_false(work_pending());
	work_step();
	assert_int_equal(order_len, 0);
}

static void jobs_take_turns(void **state)
{
	struct job *a = job('a', 3);
	struct job *b = job('b', 2);

	(void)state;
	work_start(&a->work);
	work_start(&b->work);
	run_all();
	assert_string_equal(order, "ababa");
	free(a);
	free(b);
}

static void starting_twice_queues_once(void **state)
{
	struct job *a = job('a', 1);

	(void)state;
	work_start(&a->work);
	work_start(&a->work);
	work_step();
	assert_false(work_pending());
	/* And a job that is done may come back. */
	a->left = 2;
	work_start(&a->work);
	run_all();
	assert_string_equal(order, "aaa");
	free(a);
}

/* guest_stop from within a step of the start queues the job; "more" must not queue it twice. */
static void a_step_may_start_itself_and_others(void **state)
{
	struct job *a = job('a', 3);
	struct job *b = job('b', 1);

	(void)state;
	a->starts = a;
	work_start(&a->work);
	work_step();
	a->starts = b;
	work_step();
	assert_true(work_pending());
	a->starts = NULL;
	run_all();
	assert_string_equal(order, "aaba");
	free(a);
	free(b);
}

static bool free_itself(struct work *w)
{
	free(container_of(w, struct job, work));
	return false;
}

static void a_finished_job_may_be_freed(void **state)
{
	struct job *a = job('a', 1);

	(void)state;
	work_init(&a->work, free_itself);
	work_start(&a->work);
	work_step();
	assert_false(work_pending());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_to_do_is_harmless, setup),
		cmocka_unit_test_setup(jobs_take_turns, setup),
		cmocka_unit_test_setup(starting_twice_queues_once, setup),
		cmocka_unit_test_setup(a_step_may_start_itself_and_others, setup),
		cmocka_unit_test_setup(a_finished_job_may_be_freed, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
