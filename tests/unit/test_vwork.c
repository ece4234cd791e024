/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/api/vwork.h"

struct job {
	struct vwork work;
	char name;
	struct job *asks;    /* asked for while this one runs */
	struct job *cancels; /* cancelled while this one runs */
	bool lock_was_free;
};

static struct vwork_queue queue;
static struct job a;
static struct job b;
static struct job c;
static char order[16];
static size_t order_len;
static unsigned asked;
static unsigned asked_vcpu;

static void ask(void *ctx, unsigned vcpu)
{
	assert_ptr_equal(ctx, &asked);
	/* The VM's vCPUs may be waked from here: no lock is held. */
	assert_true(lock_try(&queue.lock));
	lock_release(&queue.lock);
	asked++;
	asked_vcpu = vcpu;
}

static void work(struct vwork *w)
{
	struct job *j = container_of(w, struct job, work);

	order[order_len++] = j->name;
	order[order_len] = '\0';
	j->lock_was_free = lock_try(&queue.lock);
	if (j->lock_was_free) {
		lock_release(&queue.lock);
	}
	if (j->asks != NULL) {
		vwork_ask(&j->asks->work, 1);
	}
	if (j->cancels != NULL) {
		vwork_cancel(&j->cancels->work);
	}
}

static void job_init(struct job *j, char name)
{
	*j = (struct job){.name = name};
	vwork_init(&j->work, &queue, work);
}

static int setup(void **state)
{
	(void)state;
	vwork_queue_init(&queue, ask, &asked);
	job_init(&a, 'a');
	job_init(&b, 'b');
	job_init(&c, 'c');
	order_len = 0;
	order[0] = '\0';
	asked = 0;
	return 0;
}

static void runs_in_the_order_of_asking_and_once(void **state)
{
	(void)state;
	vwork_ask(&b.work, 3);
	assert_int_equal(asked, 1);
	assert_int_equal(asked_vcpu, 3);
	vwork_ask(&a.work, 0);
	vwork_ask(&b.work, 2); /* waits already: nobody is asked again */
	assert_true(vwork_is_asked(&b.work));
	assert_int_equal(asked, 2);
	assert_int_equal(asked_vcpu, 0);
	assert_string_equal(order, ""); /* never from vwork_ask */
	vwork_run(&queue);
	assert_false(vwork_is_asked(&b.work));
	assert_string_equal(order, "ba");
	vwork_run(&queue);
	assert_string_equal(order, "ba");
	assert_true(a.lock_was_free && b.lock_was_free);
}

static void asked_again_runs_again(void **state)
{
	(void)state;
	vwork_ask(&a.work, 0);
	vwork_run(&queue);
	vwork_ask(&a.work, 0);
	assert_int_equal(asked, 2);
	vwork_run(&queue);
	assert_string_equal(order, "aa");
}

/* One turn is bounded, and what was asked for in it asks for the next. */
static void work_that_asks_waits_for_the_next_turn(void **state)
{
	(void)state;
	a.asks = &a;
	b.asks = &c;
	vwork_ask(&a.work, 0);
	vwork_ask(&b.work, 0);
	asked = 0;
	vwork_run(&queue);
	assert_string_equal(order, "ab");
	assert_int_equal(asked, 2);
	assert_int_equal(asked_vcpu, 1);
	a.asks = NULL;
	vwork_run(&queue);
	assert_string_equal(order, "abac");
}

/* Asking for what waits later in the same turn adds nothing. */
static void waiting_work_is_not_doubled_within_a_turn(void **state)
{
	(void)state;
	a.asks = &b;
	vwork_ask(&a.work, 0);
	vwork_ask(&b.work, 0);
	vwork_run(&queue);
	vwork_run(&queue);
	assert_string_equal(order, "ab");
}

/* A guest with many queues does not keep its CPU for all of them at once. */
static void one_turn_does_a_bounded_part(void **state)
{
	struct job jobs[VWORK_RUN_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(jobs); i++) {
		job_init(&jobs[i], (char)('0' + i));
		vwork_ask(&jobs[i].work, 0);
	}
	assert_true(vwork_run(&queue));
	assert_string_equal(order, "0123");
	vwork_ask(&jobs[0].work, 0);
	assert_false(vwork_run(&queue));
	assert_string_equal(order, "012340");
	assert_false(vwork_run(&queue));
}

static void cancelled_work_does_not_run(void **state)
{
	(void)state;
	vwork_cancel(&a.work); /* harmless while it does not wait */
	vwork_ask(&a.work, 0);
	vwork_ask(&b.work, 0);
	vwork_cancel(&a.work);
	vwork_run(&queue);
	assert_string_equal(order, "b");
	vwork_ask(&a.work, 0);
	assert_int_equal(asked, 3);
	vwork_run(&queue);
	assert_string_equal(order, "ba");
}

static void forgotten_work_does_not_run(void **state)
{
	(void)state;
	vwork_ask(&a.work, 0);
	vwork_ask(&b.work, 0);
	vwork_forget(&queue);
	assert_false(vwork_is_asked(&a.work));
	assert_false(vwork_run(&queue));
	assert_string_equal(order, "");
}

static unsigned idles;

static void on_idle(struct vwork *w)
{
	idles++;
	if (idles == 3) {
		vwork_watch(w, false);
	}
}

static void who_watches_is_called_when_a_vcpu_halts(void **state)
{
	(void)state;
	idles = 0;
	a.work.idle = on_idle;
	b.work.idle = on_idle;
	assert_false(vwork_idle(&queue));
	vwork_watch(&a.work, true);
	vwork_watch(&a.work, true);
	assert_true(vwork_idle(&queue));
	assert_int_equal(idles, 1);
	vwork_watch(&b.work, true);
	assert_true(vwork_idle(&queue)); /* the second of these stops */
	assert_int_equal(idles, 3);
	assert_true(vwork_idle(&queue));
	assert_int_equal(idles, 4);
	/* Watching is not waiting. */
	vwork_run(&queue);
	assert_string_equal(order, "");
	vwork_cancel(&a.work);
	assert_false(vwork_idle(&queue));
}

static void work_cancels_what_waits_in_its_own_turn(void **state)
{
	(void)state;
	a.cancels = &b;
	vwork_ask(&a.work, 0);
	vwork_ask(&b.work, 0);
	vwork_ask(&c.work, 0);
	vwork_run(&queue);
	assert_string_equal(order, "ac");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(runs_in_the_order_of_asking_and_once, setup),
		cmocka_unit_test_setup(asked_again_runs_again, setup),
		cmocka_unit_test_setup(work_that_asks_waits_for_the_next_turn, setup),
		cmocka_unit_test_setup(waiting_work_is_not_doubled_within_a_turn, setup),
		cmocka_unit_test_setup(one_turn_does_a_bounded_part, setup),
		cmocka_unit_test_setup(cancelled_work_does_not_run, setup),
		cmocka_unit_test_setup(forgotten_work_does_not_run, setup),
		cmocka_unit_test_setup(who_watches_is_called_when_a_vcpu_halts, setup),
		cmocka_unit_test_setup(work_cancels_what_waits_in_its_own_turn, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
