/* SPDX-License-Identifier: Apache-2.0 */
/* What a vCPU does for its VM's device models before it enters the guest, or sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/cpu/regs.h"
#include "mm/space.h"
#include "tests/fakes/guest_rig.h"

static const struct vm_exit hlt = {.kind = VM_EXIT_HLT, .insn_len = 1};
static const struct vm_exit yield = {.kind = VM_EXIT_PAUSE, .insn_len = 2};

static void allow_interrupts(void)
{
	cpu()->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
}

static void halt(void)
{
	fake_backend_push(&hlt);
	run_once();
	assert_true(g->vm.vcpus[0]->halted);
	assert_int_equal(g->tasks[0].entity.state, SCHED_BLOCKED);
}

/* Work of a device model, as a host driver's completion asks for it. */
static unsigned works;
static unsigned asks_again;

static void device_work(struct vwork *w)
{
	assert_ptr_equal(space_current(), &g->vm.gspace.host);
	works++;
	if (asks_again != 0) {
		asks_again--;
		vwork_ask(w, 0);
	}
}

static void work_that_interrupts(struct vwork *w)
{
	(void)w;
	works++;
	assert_true(apic_bus_msi(&g->board->apic_bus, 0xfee00000, 0x51));
}

static void enable_lapic(void)
{
	assert_true(bus_write(&g->vm.mmio, 0xfee000f0, 4, 0, 0x1ff));
}

static void device_work_is_done_before_the_entry(void **state)
{
	struct vwork w;
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	works = 0;
	vwork_init(&w, &g->vm.work, device_work);
	vwork_ask(&w, 7); /* there is no such vCPU */
	assert_int_equal(works, 0);
	runs = fake_backend.runs;
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(works, 1);
	assert_int_equal(fake_backend.runs, runs + 1);
	assert_int_equal(atomic_load(&g->vm.vcpus[0]->requests), 0);
}

/* All of it, but interrupts get in between. */
static void much_device_work_is_done_in_parts(void **state)
{
	struct vwork w[2 * VWORK_RUN_MAX + 1];
	unsigned windows = fake_cpu.window_count;
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	works = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		vwork_init(&w[i], &g->vm.work, device_work);
		vwork_ask(&w[i], 0);
	}
	runs = fake_backend.runs;
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(works, ARRAY_SIZE(w));
	assert_true(fake_cpu.window_count >= windows + 2);
	assert_int_equal(fake_backend.runs, runs + 1);
}

static void device_work_is_done_in_hlt(void **state)
{
	struct vwork w;
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	allow_interrupts();
	halt();
	works = 0;
	asks_again = 1;
	runs = fake_backend.runs;
	vwork_init(&w, &g->vm.work, device_work);
	vwork_ask(&w, 0);
	run_once();
	assert_int_equal(works, 2);
	assert_int_equal(fake_backend.runs, runs);
	assert_int_equal(g->tasks[0].entity.state, SCHED_BLOCKED);
}

/* The whole way of a completed request: to the interrupt, in one turn. */
static void device_work_wakes_by_its_interrupt(void **state)
{
	struct vwork w;

	(void)state;
	vm_rig_start(g);
	allow_interrupts();
	enable_lapic();
	halt();
	works = 0;
	vwork_init(&w, &g->vm.work, work_that_interrupts);
	vwork_ask(&w, 0);
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(works, 1);
	assert_false(g->vm.vcpus[0]->halted);
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_INTERRUPT);
	assert_int_equal(fake_backend.delivered.vector, 0x51);
	assert_int_equal(atomic_load(&g->vm.vcpus[0]->requests), 0);
}

/* What a device put off until a vCPU halts is done before it sleeps, and may keep it awake. */
static void what_was_put_off_is_done_before_the_sleep(void **state)
{
	struct vwork w;

	(void)state;
	vm_rig_start(g);
	allow_interrupts();
	enable_lapic();
	works = 0;
	vwork_init(&w, &g->vm.work, device_work);
	w.idle = device_work;
	vwork_watch(&w, true);
	halt();
	assert_int_equal(works, 1);
	/* Not when it wakes. */
	assert_true(apic_bus_msi(&g->board->apic_bus, 0xfee00000, 0x42));
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(works, 1);
	w.idle = work_that_interrupts;
	fake_backend_push(&hlt);
	fake_backend_push(&yield);
	run_once();
	assert_int_equal(works, 2);
	assert_false(g->vm.vcpus[0]->halted);
	vwork_cancel(&w);
}

/* In S3, for one: a device will wake the guest. */
static void device_work_is_done_while_waiting_for_start_up(void **state)
{
	struct vwork w;
	unsigned runs;

	(void)state;
	vm_rig_start(g);
	atomic_store(&g->vm.suspended, true);
	g->vm.vcpus[0]->wait_for_sipi = true;
	vcpu_request(g->vm.vcpus[0], VCPU_REQ_EVENT);
	run_once();
	assert_int_equal(g->tasks[0].entity.state, SCHED_BLOCKED);
	works = 0;
	runs = fake_backend.runs;
	vwork_init(&w, &g->vm.work, device_work);
	vwork_ask(&w, 0);
	run_once();
	assert_int_equal(works, 1);
	assert_int_equal(fake_backend.runs, runs);
	assert_int_equal(g->tasks[0].entity.state, SCHED_BLOCKED);
}

/* What waits when the guest ends is the device's to cancel; it is not done any more. */
static void a_vcpu_that_stops_does_no_device_work(void **state)
{
	struct vwork w;

	(void)state;
	vm_rig_start(g);
	works = 0;
	vwork_init(&w, &g->vm.work, device_work);
	vwork_ask(&w, 0);
	vcpu_request(g->vm.vcpus[0], VCPU_REQ_STOP);
	run_once();
	assert_true(g->tasks[0].held);
	assert_int_equal(works, 0);
	vwork_cancel(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(device_work_is_done_before_the_entry),
		TEST(much_device_work_is_done_in_parts),
		TEST(device_work_is_done_in_hlt),
		TEST(device_work_wakes_by_its_interrupt),
		TEST(device_work_is_done_while_waiting_for_start_up),
		TEST(what_was_put_off_is_done_before_the_sleep),
		TEST(a_vcpu_that_stops_does_no_device_work),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
