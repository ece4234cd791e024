/* SPDX-License-Identifier: Apache-2.0 */
/* `set NAME memory`, and what the balloon tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/devices/virtio_balloon.h"
#include "hv/monitor.h"
#include "tests/fakes/guest_rig.h"

#define RANGE "memory is 16M to 20M, which is what the guest was started with\r\n"

static int setup_balloon(void **state)
{
	int result = setup(state);

	config.memory = MIB(20);
	config.balloon = true;
	return result;
}

static void answers(const char *args, const char *want)
{
	vm_rig_clear();
	monitor_set(span_of(args));
	assert_string_equal(vm_rig_text(), want);
}

/* As a driver that has started. */
static void make_live(void)
{
	atomic_store(&g->balloon->transport.status, VIRTIO_STATUS_DRIVER_OK);
}

static void the_target_is_what_is_left(void **state)
{
	(void)state;
	vm_rig_start(g);
	make_live();
	answers("web memory 16M", "web: asked to do with 16 MiB of 20 MiB\r\n");
	assert_int_equal(g->balloon->space.num_pages, MIB(4) / PAGE_SIZE);
	answers("web memory 20M", "web: asked to do with 20 MiB of 20 MiB\r\n");
	assert_int_equal(g->balloon->space.num_pages, 0);
}

static void what_cannot_be_is_refused(void **state)
{
	static const char *const bad[] = {"web memory",	    "web memory 15M", "web memory 21M",
					  "web memory -1M", "web memory all", "web memory 1T"};

	(void)state;
	vm_rig_start(g);
	make_live();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		answers(bad[i], RANGE);
	}
	assert_int_equal(g->balloon->space.num_pages, 0);
}

static void it_says_what_is_missing(void **state)
{
	(void)state;
	answers("web memory 16M", "web is not running\r\n");
	vm_rig_start(g);
	answers("web memory 16M", "web has loaded no driver for its balloon (virtio_balloon)\r\n");
	vm_rig_end(g);
	config.balloon = false;
	answers("web memory 16M",
		"web has no balloon; balloon = on in its guest.conf gives it one\r\n");
}

static void statistics_are_shown_and_asked_for(void **state)
{
	(void)state;
	vm_rig_start(g);
	make_live();
	g->balloon->space.actual = 3;
	g->balloon->valid = BIT32(4);
	g->balloon->stats[4] = 12345;
	vm_rig_clear();
	monitor_stats(span_of("web"));
	assert_says("\r\nballoon.driver 1\r\n");
	assert_says("\r\nballoon.actual_bytes 12288\r\n");
	assert_says("\r\nballoon.free_bytes 12345\r\n");
	assert_says("\r\nballoon.age_us ");
	assert_says("\r\ngiven_back_bytes 0\r\n");
	assert_silent_about("balloon.total_bytes");
	assert_true(g->balloon->asked);
	assert_false(list_empty(&g->vm.work.waiting));
}

static void a_guest_without_one_has_no_lines(void **state)
{
	(void)state;
	config.balloon = false;
	vm_rig_start(g);
	vm_rig_clear();
	monitor_stats(span_of("web"));
	assert_silent_about("balloon.");
}

static void what_is_given_back_shows(void **state)
{
	uint64_t done;

	(void)state;
	vm_rig_start(g);
	assert_int_equal(gspace_release(&g->vm.gspace, MIB(8), MIB(2), &done), HV_OK);
	vm_rig_clear();
	vm_rig_type("info memory\r");
	monitor_stats(span_of("web"));
	assert_says("\r\ngiven_back_bytes 2097152\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_balloon, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_target_is_what_is_left),	TEST(what_cannot_be_is_refused),
		TEST(it_says_what_is_missing),		TEST(statistics_are_shown_and_asked_for),
		TEST(a_guest_without_one_has_no_lines), TEST(what_is_given_back_shows),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
