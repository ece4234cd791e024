/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic interrupt controller: sources, slots for messages, event flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/hyperv_rig.h"

#define SINT 5u
#define VECTOR 0x55u
#define EVENTS 0x1000u /* behind HYPERV_PAGE, where the messages are */

static struct hyperv_vp *vp;

static void set_up(uint64_t sint)
{
	vp = hyperv_vp(vcpu);
	assert_true(hyperv_put(MSR_HV_SIMP, HYPERV_PAGE | 1));
	assert_true(hyperv_put(MSR_HV_SIEFP, (HYPERV_PAGE + EVENTS) | 1));
	assert_true(hyperv_put(MSR_HV_SCONTROL, 1));
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, sint));
}

static struct hv_message slot(void)
{
	struct hv_message message;

	hyperv_peek(SINT * sizeof(message), &message, sizeof(message));
	return message;
}

static void free_slot(void)
{
	const uint32_t none = 0;

	hyperv_poke(SINT * sizeof(struct hv_message), &none, sizeof(none));
}

static const struct hv_message hello = {
	.type = 0x1234, .payload_size = 5, .origin = 9, .payload = "hello"};

static void registers_after_reset(void **state)
{
	(void)state;
	assert_int_equal(hyperv_get(MSR_HV_SCONTROL), 0);
	assert_int_equal(hyperv_get(MSR_HV_SVERSION), 1);
	assert_int_equal(hyperv_get(MSR_HV_SIEFP), 0);
	assert_int_equal(hyperv_get(MSR_HV_SIMP), 0);
	assert_int_equal(hyperv_get(MSR_HV_EOM), 0);
	for (uint32_t i = 0; i < HV_SINT_COUNT; i++) {
		assert_int_equal(hyperv_get(MSR_HV_SINT0 + i), HV_SINT_MASKED);
		assert_true(hyperv_put(MSR_HV_SINT0 + i, 0x20 + i));
		assert_int_equal(hyperv_get(MSR_HV_SINT0 + i), 0x20 + i);
		/* The CPU's own vectors only while nothing is raised. */
		assert_false(hyperv_put(MSR_HV_SINT0 + i, 15));
		assert_true(hyperv_put(MSR_HV_SINT0 + i, HV_SINT_MASKED | 15));
	}
}

static void pages_begin_empty_and_are_ram(void **state)
{
	uint8_t junk[4096];

	(void)state;
	memset(junk, 0xaa, sizeof(junk));
	hyperv_poke(0, junk, sizeof(junk));
	assert_true(hyperv_put(MSR_HV_SIMP, HYPERV_PAGE)); /* not enabled: not touched */
	hyperv_peek(0, junk, sizeof(junk));
	assert_int_equal(junk[0], 0xaa);
	assert_true(hyperv_put(MSR_HV_SIMP, HYPERV_PAGE | 1));
	hyperv_peek(0, junk, sizeof(junk));
	for (size_t i = 0; i < sizeof(junk); i++) {
		assert_int_equal(junk[i], 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(hyperv_not_ram); i++) {
		assert_false(hyperv_put(MSR_HV_SIMP, hyperv_not_ram[i] | 1));
		assert_false(hyperv_put(MSR_HV_SIEFP, hyperv_not_ram[i] | 1));
	}
	assert_true(hyperv_get(MSR_HV_SIMP) == (HYPERV_PAGE | 1));
}

static void a_message_and_its_interrupt(void **state)
{
	struct hv_message got;

	(void)state;
	set_up(VECTOR);
	assert_true(synic_post(vp, SINT, &hello));
	got = slot();
	assert_memory_equal(&got, &hello, sizeof(got));
	assert_true(hyperv_got(0, VECTOR));
	/* Nothing beside the slot. */
	hyperv_peek((SINT + 1) * sizeof(got), &got, sizeof(got));
	assert_int_equal(got.type, 0);
}

static void a_full_slot_says_that_more_waits(void **state)
{
	(void)state;
	set_up(VECTOR);
	assert_true(synic_post(vp, SINT, &hello));
	assert_true(hyperv_got(0, VECTOR));
	assert_int_equal(slot().flags, 0);
	assert_false(synic_post(vp, SINT, &hello));
	assert_int_equal(slot().flags, HV_MESSAGE_PENDING);
	assert_false(hyperv_got(0, VECTOR));
	free_slot();
	assert_true(synic_post(vp, SINT, &hello));
	assert_int_equal(slot().flags, 0);
	assert_true(hyperv_got(0, VECTOR));
}

static void off_and_masked_take_none(void **state)
{
	(void)state;
	set_up(VECTOR);
	assert_true(hyperv_put(MSR_HV_SCONTROL, 0));
	assert_false(synic_post(vp, SINT, &hello));
	assert_false(synic_signal(vp, SINT, 0));
	synic_raise(vp, SINT);
	assert_true(hyperv_put(MSR_HV_SCONTROL, 1));
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, VECTOR | HV_SINT_MASKED));
	assert_false(synic_post(vp, SINT, &hello));
	assert_false(synic_signal(vp, SINT, 0));
	synic_raise(vp, SINT);
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, VECTOR));
	assert_true(hyperv_put(MSR_HV_SIMP, 0));
	assert_true(hyperv_put(MSR_HV_SIEFP, 0));
	assert_false(synic_post(vp, SINT, &hello));
	assert_false(synic_signal(vp, SINT, 0));
	assert_false(hyperv_got(0, VECTOR));
	assert_int_equal(slot().type, 0);
}

static void a_polled_one_does_not_interrupt(void **state)
{
	(void)state;
	set_up(VECTOR | HV_SINT_POLLED);
	assert_true(synic_post(vp, SINT, &hello));
	assert_int_equal(slot().type, hello.type);
	assert_true(synic_signal(vp, SINT, 1));
	assert_false(hyperv_got(0, VECTOR));
}

static void an_event_flag_is_set_once(void **state)
{
	uint8_t flags[HV_EVENT_BYTES];

	(void)state;
	set_up(VECTOR);
	assert_true(synic_signal(vp, SINT, 0));
	assert_true(hyperv_got(0, VECTOR));
	assert_true(synic_signal(vp, SINT, 0));
	assert_false(hyperv_got(0, VECTOR)); /* the guest has not seen to it yet */
	assert_true(synic_signal(vp, SINT, HV_EVENT_FLAGS - 1));
	assert_true(hyperv_got(0, VECTOR));
	hyperv_peek(EVENTS + SINT * HV_EVENT_BYTES, flags, sizeof(flags));
	assert_int_equal(flags[0], 1);
	assert_int_equal(flags[HV_EVENT_BYTES - 1], 0x80);
	memset(flags, 0, sizeof(flags));
	hyperv_poke(EVENTS + SINT * HV_EVENT_BYTES, flags, sizeof(flags));
	assert_true(synic_signal(vp, SINT, 0));
	assert_true(hyperv_got(0, VECTOR));
}

/* With automatic EOI nothing is in service once it is taken; without, it is. */
static void the_end_comes_by_itself(void **state)
{
	struct lapic *l = board_lapic(g->board, 0);

	(void)state;
	set_up(VECTOR | HV_SINT_AUTO_EOI);
	synic_raise(vp, SINT);
	assert_true(lapic_accept(l, VECTOR));
	assert_int_equal(vecset_highest(&l->isr), -1);
	synic_raise(vp, SINT);
	assert_int_equal(lapic_pending(l), VECTOR);
	assert_true(lapic_accept(l, VECTOR));
	/* Masked, or with another vector, it is an ordinary one again. */
	assert_true(hyperv_put(MSR_HV_SINT0 + SINT, VECTOR));
	synic_raise(vp, SINT);
	assert_true(lapic_accept(l, VECTOR));
	assert_int_equal(vecset_highest(&l->isr), VECTOR);
}

/* What a turn of the run loop does. */
static void take_requests(void)
{
	atomic_store(&vcpu->requests, 0);
	pv_requests(vcpu, VCPU_REQ_HYPERV);
}

/* Where the CPU keeps it in service: the vCPU is made to look until it is not any more. */
static void a_late_end_is_looked_after(void **state)
{
	static uint32_t page[APIC_PAGE_SIZE / 4];
	struct lapic *l = board_lapic(g->board, 0);
	struct apic_entry entry;

	(void)state;
	set_up(VECTOR | HV_SINT_AUTO_EOI);
	lapic_use_page(l, page);
	synic_raise(vp, SINT);
	lapic_page_hand_over(l, &entry);
	assert_int_equal(entry.requested, VECTOR);
	for (unsigned i = 0; i < 3; i++) {
		take_requests();
		vm_rig_advance(VM_RIG_HZ / 10000 + 1);
		assert_true(exit_requested(VCPU_REQ_EVENT | VCPU_REQ_HYPERV));
	}
	/* One that does not run is not asked again and again. */
	atomic_store(&vcpu->requests, 0);
	vm_rig_advance(VM_RIG_HZ);
	assert_false(exit_requested(VCPU_REQ_EVENT));
	take_requests();
	/* The CPU delivers it. */
	page[0x200 / 4 + VECTOR / 32 * 4] = 0;
	page[0x100 / 4 + VECTOR / 32 * 4] = BIT32(VECTOR % 32);
	assert_true(lapic_page_auto_eoi_waits(l));
	lapic_page_hand_over(l, &entry);
	assert_int_equal(entry.in_service, 0);
	vm_rig_advance(VM_RIG_HZ / 10000 + 1);
	take_requests();
	vm_rig_advance(VM_RIG_HZ);
	assert_false(exit_requested(VCPU_REQ_EVENT));
	/* The rig's CPU has no such thing. */
	l->page = NULL;
}

static void other_processors_have_their_own(void **state)
{
	struct hyperv_vp *other = &g->vm.hyperv->vps[2];

	(void)state;
	set_up(VECTOR);
	assert_false(synic_post(other, SINT, &hello));
	assert_true(msr_write(g->vm.vcpus[2], MSR_HV_SIMP, (HYPERV_PAGE + 0x3000) | 1));
	assert_true(msr_write(g->vm.vcpus[2], MSR_HV_SCONTROL, 1));
	assert_true(msr_write(g->vm.vcpus[2], MSR_HV_SINT0 + SINT, VECTOR + 1));
	assert_true(synic_post(other, SINT, &hello));
	assert_true(hyperv_got(2, VECTOR + 1));
	assert_false(hyperv_got(0, VECTOR));
	assert_int_equal(slot().type, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HYPERV_TEST(registers_after_reset),
		HYPERV_TEST(pages_begin_empty_and_are_ram),
		HYPERV_TEST(a_message_and_its_interrupt),
		HYPERV_TEST(a_full_slot_says_that_more_waits),
		HYPERV_TEST(off_and_masked_take_none),
		HYPERV_TEST(a_polled_one_does_not_interrupt),
		HYPERV_TEST(an_event_flag_is_set_once),
		HYPERV_TEST(the_end_comes_by_itself),
		HYPERV_TEST(a_late_end_is_looked_after),
		HYPERV_TEST(other_processors_have_their_own),
	};

	return cmocka_run_group_tests(tests, hyperv_machine, NULL);
}
