/* SPDX-License-Identifier: Apache-2.0 */
/* Microsoft's interface, saved and loaded in the middle of messages and timers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/hyperv_rig.h"
#include "tests/fakes/saved_rig.h"

#define SINT 3u
#define TIMER_COUNT (MSR_HV_STIMER0_CONFIG + 1)
#define VECTOR 0x66u
#define MS 10000u /* in units of 100 ns */
#define DIRECT (HV_STIMER_DIRECT | (uint64_t)VECTOR << 4)

static const struct saved_device *partition(void)
{
	return &g->vm.hyperv->saved;
}

static const struct saved_device *processor(void)
{
	return &g->vm.hyperv->vps[0].saved;
}

static void set_up(void)
{
	assert_true(hyperv_put(MSR_HV_GUEST_OS_ID, 0x8100000000000000));
	assert_true(hyperv_put(MSR_HV_HYPERCALL, HYPERV_PAGE | 1));
	assert_true(hyperv_put(MSR_HV_SIMP, (HYPERV_PAGE + 0x1000) | 1));
	assert_true(hyperv_put(MSR_HV_SCONTROL, 1));
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, VECTOR));
}

/* The page's scale is that of this machine's TSC. */
static void a_page_of_another_rate_is_written_again(void **state)
{
	struct hv_tsc_page page;
	uint32_t sequence;

	(void)state;
	assert_true(hyperv_put(MSR_HV_REFERENCE_TSC, (HYPERV_PAGE + 0x2000) | 1));
	hyperv_peek(0x2000, &page, sizeof(page));
	sequence = page.sequence;
	saved_reload(partition());
	pv_requests(vcpu, VCPU_REQ_HYPERV);
	hyperv_peek(0x2000, &page, sizeof(page));
	assert_int_equal(page.sequence, sequence);
	g->vm.time.loaded_hz /= 2;
	saved_reload(partition());
	hyperv_peek(0x2000, &page, sizeof(page));
	assert_int_equal(page.sequence, sequence);
	pv_requests(vcpu, VCPU_REQ_HYPERV);
	hyperv_peek(0x2000, &page, sizeof(page));
	assert_int_equal(page.sequence, sequence + 1);
}

static void wait_for(uint64_t units)
{
	vm_rig_advance(units * (VM_RIG_HZ / HV_TIME_HZ) + 400);
	if ((atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_HYPERV) & VCPU_REQ_HYPERV) != 0) {
		pv_requests(vcpu, VCPU_REQ_HYPERV);
	}
}

static void the_partition_is_kept(void **state)
{
	uint8_t code[4];

	(void)state;
	set_up();
	assert_true(hyperv_put(MSR_HV_CRASH_P0 + 2, 0x1234));
	saved_reload(partition());
	assert_int_equal(hyperv_get(MSR_HV_GUEST_OS_ID), 0x8100000000000000);
	assert_int_equal(hyperv_get(MSR_HV_HYPERCALL), HYPERV_PAGE | 1);
	assert_int_equal(hyperv_get(MSR_HV_CRASH_P0 + 2), 0x1234);
	/* The page's code stays, and what was there comes back when it goes. */
	hyperv_peek(0, code, sizeof(code));
	assert_int_equal(code[3], 0xc3);
	assert_true(hyperv_put(MSR_HV_HYPERCALL, 0));
	hyperv_peek(0, code, sizeof(code));
	assert_int_equal(code[3], 0);
}

static void a_timer_goes_on(void **state)
{
	(void)state;
	set_up();
	assert_true(hyperv_put(TIMER_COUNT, 10 * MS));
	assert_true(
		hyperv_put(MSR_HV_STIMER0_CONFIG, DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE));
	wait_for(4 * MS);
	saved_reload(processor());
	wait_for(5 * MS);
	assert_false(hyperv_got(0, VECTOR));
	wait_for(1 * MS);
	assert_true(hyperv_got(0, VECTOR));
	saved_reload(processor());
	wait_for(10 * MS);
	assert_true(hyperv_got(0, VECTOR));
}

/* One that went off, which the vCPU has not looked at yet. */
static void what_went_off_is_not_lost(void **state)
{
	(void)state;
	set_up();
	assert_true(hyperv_put(TIMER_COUNT, hyperv_get(MSR_HV_TIME_REF_COUNT) + MS));
	assert_true(hyperv_put(MSR_HV_STIMER0_CONFIG, DIRECT | HV_STIMER_ENABLE));
	vm_rig_advance(2 * MS * (VM_RIG_HZ / HV_TIME_HZ));
	saved_reload(processor());
	wait_for(0);
	assert_true(hyperv_got(0, VECTOR));
}

static void a_message_that_waits_is_kept(void **state)
{
	const uint32_t taken = 1;
	const uint32_t none = 0;
	struct hv_post_message post = {.connection = 7, .type = 5, .payload_size = 8};

	(void)state;
	set_up();
	hyperv_test_command(&g->vm, 7u << 24 | 4u << 16 | SINT); /* a connection */
	hyperv_poke(0x1000 + SINT * sizeof(struct hv_message), &taken, sizeof(taken));
	memcpy(post.payload, "messages", 8);
	assert_int_equal(port_post(g->vm.hyperv, &post), HV_CALL_SUCCESS);
	saved_reload(partition());
	hyperv_poke(0x1000 + SINT * sizeof(struct hv_message), &none, sizeof(none));
	assert_true(hyperv_put(MSR_HV_EOM, 0));
	assert_true(hyperv_got(0, VECTOR));
}

static void what_no_guest_can_make_of_it_is_refused(void **state)
{
	(void)state;
#define VP_TAKES(field, value) SAVED_TAKES(processor(), struct hyperv_vp_saved, field, value)
	assert_true(VP_TAKES(sint[2], HV_SINT_MASKED));
	assert_false(VP_TAKES(sint[2], 0x0f));
	assert_false(VP_TAKES(fired, 0x10));
	assert_false(VP_TAKES(zero, 1));
	assert_false(VP_TAKES(timers[1].message_waits, 2));
	assert_false(VP_TAKES(timers[1].due, 1)); /* without a count */
	assert_false(VP_TAKES(timers[1].config, 1ull << 63));
#undef VP_TAKES
#define TAKES(field, value) SAVED_TAKES(partition(), struct hyperv_saved, field, value)
	assert_true(TAKES(ports[0].kind, PORT_EVENT));
	assert_false(TAKES(ports[0].kind, PORT_EVENT + 1));
	assert_false(TAKES(ports[0].vp, HYPERV_CPUS));
	assert_false(TAKES(ports[0].sint, HV_SINT_COUNT));
	assert_false(TAKES(ports[0].flag, HV_EVENT_FLAGS));
	assert_false(TAKES(ports[0].waits, 1)); /* of no port */
	assert_false(TAKES(ports[0].message.type, 1));
#undef TAKES
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(the_partition_is_kept),
		HYPERV_TEST(a_page_of_another_rate_is_written_again),
		HYPERV_TEST(a_timer_goes_on),
		HYPERV_TEST(what_went_off_is_not_lost),
		HYPERV_TEST(a_message_that_waits_is_kept),
		HYPERV_TEST(what_no_guest_can_make_of_it_is_refused),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
