/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that the test device makes, and what is posted and signalled on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/hyperv_rig.h"

#define SINT 8u
#define VECTOR 0x77u
#define TARGET 1u /* the vCPU that receives */
#define EVENTS 0x1000u

enum { ROUTE_SET = 3, MESSAGE_CREATE, MESSAGE_DESTROY, EVENT_CREATE, EVENT_DESTROY };

/* By the port, as the guest does. */
static void command(unsigned what, unsigned vp, unsigned sint, unsigned connection)
{
	assert_true(bus_write(&g->vm.pio, 0x3000, 4, 0,
			      connection << 24 | what << 16 | vp << 8 | sint));
}

static void set_up(void)
{
	struct vcpu *target = g->vm.vcpus[TARGET];

	assert_true(msr_write(target, MSR_HV_SIMP, HYPERV_PAGE | 1));
	assert_true(msr_write(target, MSR_HV_SIEFP, (HYPERV_PAGE + EVENTS) | 1));
	assert_true(msr_write(target, MSR_HV_SCONTROL, 1));
	assert_true(msr_write(target, MSR_HV_SINT0 + SINT, VECTOR));
}

static enum hv_call_status post(uint32_t connection, uint32_t type, uint32_t size)
{
	struct hv_post_message message = {
		.connection = connection, .type = type, .payload_size = size, .payload = "abc"};

	return port_post(g->vm.hyperv, &message);
}

static struct hv_message slot(void)
{
	struct hv_message message;

	hyperv_peek(SINT * sizeof(message), &message, sizeof(message));
	return message;
}

static void end_message(void)
{
	const uint32_t none = 0;

	hyperv_poke(SINT * sizeof(struct hv_message), &none, sizeof(none));
	assert_true(msr_write(g->vm.vcpus[TARGET], MSR_HV_EOM, 0));
}

static void nobody_listens(void **state)
{
	(void)state;
	assert_int_equal(post(0, 1, 8), HV_CALL_INVALID_CONNECTION_ID);
	assert_int_equal(post(17, 1, 8), HV_CALL_INVALID_CONNECTION_ID);
	assert_int_equal(port_signal(g->vm.hyperv, 17, 0), HV_CALL_INVALID_CONNECTION_ID);
}

static void messages_that_are_none(void **state)
{
	(void)state;
	set_up();
	command(MESSAGE_CREATE, TARGET, SINT, 17);
	assert_int_equal(post(17, 1, 241), HV_CALL_INVALID_PARAMETER);
	assert_int_equal(post(17, 1, UINT32_MAX), HV_CALL_INVALID_PARAMETER);
	assert_int_equal(post(17, 0, 8), HV_CALL_INVALID_PARAMETER);
	assert_int_equal(post(17, HV_MESSAGE_TIMER_EXPIRED, 8), HV_CALL_INVALID_PARAMETER);
	assert_int_equal(post(17, 1, 240), HV_CALL_SUCCESS);
}

static void one_message_is_kept(void **state)
{
	(void)state;
	set_up();
	command(MESSAGE_CREATE, TARGET, SINT, 17);
	assert_int_equal(post(17, 1, 8), HV_CALL_SUCCESS);
	assert_true(hyperv_got(TARGET, VECTOR));
	assert_int_equal(slot().type, 1);
	assert_int_equal(slot().payload_size, 8);
	assert_memory_equal(slot().payload, "abc", 4);
	assert_int_equal(post(17, 2, 8), HV_CALL_SUCCESS);
	assert_int_equal(slot().flags, HV_MESSAGE_PENDING);
	assert_int_equal(post(17, 3, 8), HV_CALL_INSUFFICIENT_BUFFERS);
	assert_false(hyperv_got(TARGET, VECTOR));
	end_message();
	assert_true(hyperv_got(TARGET, VECTOR));
	assert_int_equal(slot().type, 2);
	end_message();
	assert_false(hyperv_got(TARGET, VECTOR));
	assert_int_equal(post(17, 4, 8), HV_CALL_SUCCESS);
	assert_int_equal(slot().type, 4);
}

static void an_event(void **state)
{
	uint8_t flags[HV_EVENT_BYTES];

	(void)state;
	set_up();
	command(EVENT_CREATE, TARGET, SINT, 33);
	assert_int_equal(port_signal(g->vm.hyperv, 33, 1), HV_CALL_INVALID_PARAMETER);
	assert_int_equal(port_signal(g->vm.hyperv, 33, 0), HV_CALL_SUCCESS);
	assert_true(hyperv_got(TARGET, VECTOR));
	hyperv_peek(EVENTS + SINT * HV_EVENT_BYTES, flags, sizeof(flags));
	assert_int_equal(flags[33 / 8], 1 << 33 % 8);
	/* Each kind of port takes its own. */
	assert_int_equal(post(33, 1, 8), HV_CALL_INVALID_PORT_ID);
	command(MESSAGE_CREATE, TARGET, SINT, 34);
	assert_int_equal(port_signal(g->vm.hyperv, 34, 0), HV_CALL_INVALID_PORT_ID);
}

static void ports_come_and_go(void **state)
{
	(void)state;
	set_up();
	for (unsigned round = 0; round < 3; round++) {
		/* More than there are. */
		for (unsigned i = 0; i < HYPERV_PORTS + 8; i++) {
			command(MESSAGE_CREATE, TARGET, SINT, i);
		}
		assert_int_equal(post(HYPERV_PORTS - 1, 1, 8), HV_CALL_SUCCESS);
		assert_int_equal(post(HYPERV_PORTS, 1, 8), HV_CALL_INVALID_CONNECTION_ID);
		for (unsigned i = 0; i < HYPERV_PORTS + 8; i++) {
			command(MESSAGE_DESTROY, 0, 0, i);
			assert_int_equal(post(i, 1, 8), HV_CALL_INVALID_CONNECTION_ID);
		}
	}
}

static void commands_that_are_none(void **state)
{
	(void)state;
	set_up();
	command(MESSAGE_CREATE, HYPERV_CPUS, SINT, 1);
	command(EVENT_CREATE, TARGET, HV_SINT_COUNT, 2);
	command(99, TARGET, SINT, 3);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(post(i, 1, 8), HV_CALL_INVALID_CONNECTION_ID);
	}
	command(ROUTE_SET, TARGET, SINT, 0);
	assert_true(hyperv_got(TARGET, VECTOR));
	/* Only the whole word is a command. */
	assert_true(bus_write(&g->vm.pio, 0x3000, 2, 0, ROUTE_SET << 16));
	assert_true(bus_write(&g->vm.pio, 0x3002, 2, 0, ROUTE_SET));
	assert_false(hyperv_got(TARGET, VECTOR));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(nobody_listens),	  HYPERV_TEST(messages_that_are_none),
		HYPERV_TEST(one_message_is_kept), HYPERV_TEST(an_event),
		HYPERV_TEST(ports_come_and_go),	  HYPERV_TEST(commands_that_are_none),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
