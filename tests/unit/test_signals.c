/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vCPUs of one guest, and timers, ask of a vCPU that is on another CPU: INIT and start-up
 * messages, NMIs, interrupts, flushes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "tests/fakes/smp_rig.h"

/* --- INIT and start-up messages --- */

/* web with two vCPUs, the first in its code on CPU 1; CPU 2 sleeps. */
static void start_two(void)
{
	configs[0].cpus = 2;
	vm_rig_start(web);
	space_switch(space_core());
	smp_until(1, SMP_GUEST);
	if (smp_guest(1) != vcpu_of(web, 0)) {
		fail_msg("a vCPU that waits for a start-up message has run");
	}
	smp_until(2, SMP_IDLE);
	assert_true(vcpu_of(web, 1)->wait_for_sipi);
	assert_int_equal(web->tasks[1].entity.state, SCHED_BLOCKED);
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
}

/* And the second in real-mode code on CPU 2. */
static void start_both(void)
{
	start_two();
	send_ipi(web, 0, 1, ICR_INIT);
	smp_until(2, SMP_IDLE);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x9a);
	smp_until(2, SMP_GUEST);
	assert_ptr_equal(smp_guest(2), vcpu_of(web, 1));
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
}

static void an_ap_waits_for_its_start_up_message(void **state)
{
	struct vcpu *ap;
	struct vcpu_segment cs;

	(void)state;
	start_two();
	ap = vcpu_of(web, 1);
	/* Nothing else starts it. */
	guest_request(web, 1, VCPU_REQ_NMI);
	guest_kick(web, 1);
	smp_until(2, SMP_IDLE);
	assert_int_equal(ap->exit_count, 0);
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	send_ipi(web, 0, 1, ICR_INIT);
	assert_int_equal(all_kicks(), 1);
	smp_until(2, SMP_IDLE);
	assert_true(ap->wait_for_sipi);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x9a);
	assert_int_equal(all_kicks(), 2);
	/* The sender goes on, undisturbed. */
	assert_int_equal(vm_rig.kicks[1], 0);
	smp_until(2, SMP_GUEST);
	assert_ptr_equal(smp_guest(2), ap);
	assert_false(ap->wait_for_sipi);
	the_backend->get_seg(ap, VCPU_SEG_CS, &cs);
	assert_int_equal(cs.selector, 0x9a00);
	assert_int_equal(cs.base, 0x9a000);
	assert_int_equal(ap->rip, 0);
}

/* Linux sends INIT and two start-up messages without looking. */
static void the_second_start_up_message_does_nothing(void **state)
{
	struct vcpu *ap;
	struct vcpu_segment cs;

	(void)state;
	start_both();
	ap = vcpu_of(web, 1);
	ap->rip = 0x77;
	send_ipi(web, 0, 1, ICR_STARTUP | 0x55);
	assert_int_equal(smp_go(2), SMP_GUEST);
	assert_ptr_equal(smp_guest(2), ap);
	the_backend->get_seg(ap, VCPU_SEG_CS, &cs);
	assert_int_equal(cs.base, 0x9a000);
	assert_int_equal(ap->rip, 0x77);
	assert_false(ap->wait_for_sipi);
}

/* In the order of the messages: the start-up message counted for the state that INIT ended. */
static void init_wipes_a_start_up_message_before_it(void **state)
{
	struct vcpu *ap;

	(void)state;
	start_two();
	ap = vcpu_of(web, 1);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x9a);
	send_ipi(web, 0, 1, ICR_INIT);
	smp_until(2, SMP_IDLE);
	assert_true(ap->wait_for_sipi);
	assert_int_equal(ap->exit_count, 0);
	assert_int_equal(atomic_load(&ap->requests), 0);
	/* The other way round both count, also when they come together. */
	send_ipi(web, 0, 1, ICR_INIT);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x55);
	smp_until(2, SMP_GUEST);
	assert_ptr_equal(smp_guest(2), ap);
	assert_int_equal(fake_vcpu(ap)->segs[VCPU_SEG_CS].base, 0x55000);
}

static void init_resets_a_running_vcpu(void **state)
{
	struct fake_vcpu *f;
	struct vcpu *ap;
	struct lapic *lapic;
	uint64_t svr;
	uint64_t id;

	(void)state;
	start_both();
	ap = vcpu_of(web, 1);
	f = fake_vcpu(ap);
	lapic = board_lapic(web->board, 1);
	/* It has set up a lot. */
	assert_true(bus_write(&web->vm.mmio, LAPIC_SVR, 4, 1, 0x1ff));
	assert_true(bus_read(&web->vm.mmio, LAPIC_SVR, 4, 1, &svr));
	assert_int_equal(svr, 0x1ff);
	f->regs[VCPU_REG_CR0] |= CR0_PE | CR0_PG;
	f->regs[VCPU_REG_CR3] = 0x123000;
	f->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	ap->dr[0] = 0x4711;
	ap->tsc_adjust = 99;
	ap->events.nmi_pending = 1;
	ap->rip = 0x1234;
	fake_cpu_switch(2);
	fake_cpu.dr[0] = 0x4711;
	fake_cpu_switch(0);
	send_ipi(web, 0, 1, ICR_INIT);
	assert_int_equal(vm_rig.kicks[2], 1);
	/* By its own CPU, and not under it. */
	assert_int_equal(ap->rip, 0x1234);
	smp_until(2, SMP_IDLE);
	assert_true(ap->wait_for_sipi);
	assert_int_equal(web->tasks[1].entity.state, SCHED_BLOCKED);
	assert_int_equal(f->regs[VCPU_REG_CR0] & (CR0_PE | CR0_PG), 0);
	assert_int_equal(f->regs[VCPU_REG_CR3], 0);
	assert_int_equal(ap->events.nmi_pending, 0);
	fake_cpu_switch(2);
	assert_int_equal(fake_cpu.dr[0], 0);
	fake_cpu_switch(0);
	/* Its LAPIC begins again, too, but is still its own. */
	assert_true(bus_read(&web->vm.mmio, LAPIC_SVR, 4, 1, &svr));
	assert_int_equal(svr, 0xff);
	assert_true(bus_read(&web->vm.mmio, 0xfee00020, 4, 1, &id));
	assert_int_equal(id >> 24, 1);
	assert_int_equal(lapic->id, 1);
	/* The TSC runs on. */
	assert_int_equal(ap->tsc_adjust, 99);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x20);
	smp_until(2, SMP_GUEST);
	assert_int_equal(f->segs[VCPU_SEG_CS].base, 0x20000);
}

static void init_ends_a_halt(void **state)
{
	struct vcpu *ap;

	(void)state;
	start_both();
	ap = vcpu_of(web, 1);
	/* Interrupts off: with siblings that is not the end of the guest. */
	assert_int_equal(smp_exit(2, hlt), SMP_OUT);
	smp_until(2, SMP_IDLE);
	assert_true(ap->halted);
	assert_int_equal(web->state, GUEST_RUNNING);
	send_ipi(web, 0, 1, ICR_INIT);
	smp_until(2, SMP_IDLE);
	assert_false(ap->halted);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x20);
	smp_until(2, SMP_GUEST);
}

static void nmis_go_to_the_vcpu_they_are_for(void **state)
{
	(void)state;
	start_both();
	send_ipi(web, 0, 1, ICR_NMI);
	assert_int_equal(vm_rig.kicks[2], 1);
	assert_int_equal(vm_rig.kicks[1], 0);
	assert_int_equal(smp_go(2), SMP_GUEST);
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_NMI);
	assert_int_equal(fake_backend.delivered_count, 1);
	/* From an AP to the first. */
	send_ipi(web, 1, 0, ICR_NMI);
	assert_int_equal(vm_rig.kicks[1], 1);
	assert_int_equal(smp_go(1), SMP_GUEST);
	assert_int_equal(fake_backend.delivered_count, 2);
	/* Two before it looks are two. */
	send_ipi(web, 0, 1, ICR_NMI);
	send_ipi(web, 0, 1, ICR_NMI);
	assert_int_equal(smp_go(2), SMP_GUEST);
	assert_int_equal(fake_backend.delivered_count, 3);
	assert_int_equal(vcpu_of(web, 1)->events.nmi_pending, 1);
}

/* An interrupt from one vCPU to another that runs: exit, and in it goes. */
static void interrupts_reach_a_running_sibling(void **state)
{
	(void)state;
	start_both();
	assert_true(bus_write(&web->vm.mmio, LAPIC_SVR, 4, 1, 0x1ff));
	fake_vcpu(vcpu_of(web, 1))->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	send_ipi(web, 0, 1, 0x4061);
	assert_int_equal(vm_rig.kicks[2], 1);
	assert_int_equal(smp_go(2), SMP_GUEST);
	assert_int_equal(fake_backend.delivered.type, VCPU_EVENT_INTERRUPT);
	assert_int_equal(fake_backend.delivered.vector, 0x61);
}

/* --- suspend to RAM --- */

#define PM1_CNT 0x604u
#define S3 (LAYOUT_SLP_TYP_S3 << 10 | ACPI_PM1_CNT_SLP_EN)

/* Where the guest wants to wake up. */
static void set_waking_vector(uint32_t vector)
{
	space_switch(&web->vm.gspace.host);
	assert_int_equal(guest_mem_write(&web->vm, gpa(0xe004c), &vector, sizeof(vector)), HV_OK);
	space_switch(space_core());
}

static void suspend(unsigned vcpu)
{
	assert_true(bus_write(&web->vm.pio, PM1_CNT, 2, vcpu, S3));
	smp_settle();
}

static void s3_stops_all_and_the_first_goes_on_at_the_vector(void **state)
{
	struct vcpu *bsp;
	uint64_t value;

	(void)state;
	start_both();
	bsp = vcpu_of(web, 0);
	assert_true(bus_write(&web->vm.mmio, LAPIC_SVR, 4, 0, 0x1e7));
	fake_vcpu(bsp)->regs[VCPU_REG_CR0] |= CR0_PE | CR0_PG;
	set_waking_vector(0x9a102);
	vm_rig_clear();
	suspend(0);
	assert_non_null(strstr(vm_rig_text(), "guest web: suspended"));
	assert_int_equal(web->state, GUEST_RUNNING);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(vcpu_of(web, i)->wait_for_sipi);
		pin(web, i, i + 1);
	}
	/* Nothing else wakes it. */
	guest_request(web, 0, VCPU_REQ_NMI);
	guest_kick(web, 0);
	smp_until(1, SMP_IDLE);
	board_press_power_button(web->board);
	assert_non_null(strstr(vm_rig_text(), "guest web: woke up"));
	smp_until(1, SMP_GUEST);
	assert_ptr_equal(smp_guest(1), bsp);
	assert_int_equal(fake_vcpu(bsp)->regs[VCPU_REG_CR0] & (CR0_PE | CR0_PG), 0);
	assert_int_equal(fake_vcpu(bsp)->segs[VCPU_SEG_CS].selector, 0x9a10);
	assert_int_equal(fake_vcpu(bsp)->segs[VCPU_SEG_CS].base, 0x9a100);
	assert_int_equal(bsp->rip, 2);
	/* Its LAPIC lets the 8259s through, as firmware leaves it. */
	assert_true(bus_read(&web->vm.mmio, LAPIC_SVR, 4, 0, &value));
	assert_int_equal(value, 0x1ff);
	assert_true(bus_read(&web->vm.mmio, 0xfee00350, 4, 0, &value));
	assert_int_equal(value, 0x700);
	/* The other is started as ever. */
	assert_true(vcpu_of(web, 1)->wait_for_sipi);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x20);
	smp_until(2, SMP_GUEST);
	assert_ptr_equal(smp_guest(2), vcpu_of(web, 1));
}

/* The first is in its code when another one suspends; what wakes it is there already. */
static void any_vcpu_may_suspend(void **state)
{
	(void)state;
	start_both();
	set_waking_vector(0x1000);
	assert_true(bus_write(&web->vm.pio, 0x602, 2, 1, ACPI_PM1_RTC));
	acpi_pm_rtc_event(&web->board->pm);
	memset(vm_rig.kicks, 0, sizeof(vm_rig.kicks));
	assert_true(bus_write(&web->vm.pio, PM1_CNT, 2, 1, S3));
	assert_true(vm_rig.kicks[1] > 0 && vm_rig.kicks[2] > 0);
	smp_until(2, SMP_IDLE);
	assert_int_equal(smp_go(1), SMP_GUEST);
	assert_ptr_equal(smp_guest(1), vcpu_of(web, 0));
	assert_int_equal(fake_vcpu(vcpu_of(web, 0))->segs[VCPU_SEG_CS].base, 0x1000);
	assert_int_equal(vcpu_of(web, 0)->rip, 0);
	assert_true(vcpu_of(web, 1)->wait_for_sipi);
}

/* A start-up message or a wake-up from before a suspend is none after it. */
static void s3_wipes_what_came_before_it(void **state)
{
	(void)state;
	start_both();
	set_waking_vector(0x1000);
	assert_true(bus_write(&web->vm.pio, PM1_CNT, 2, 1, S3));
	board_press_power_button(web->board);
	send_ipi(web, 0, 1, ICR_STARTUP | 0x20);
	suspend(1);
	assert_true(vcpu_of(web, 0)->wait_for_sipi);
	assert_true(vcpu_of(web, 1)->wait_for_sipi);
}

static void a_bad_waking_vector_is_a_reset(void **state)
{
	static const uint32_t bad[] = {0, 0x100000, 0xffffffff};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start_on_1(web);
		set_waking_vector(bad[i]);
		vm_rig_clear();
		suspend(0);
		board_press_power_button(web->board);
		smp_settle();
		assert_non_null(
			strstr(vm_rig_text(), "guest web: reset: woke up without a waking"));
		vm_rig_end(web);
	}
}

/* --- timers --- */

static struct timer raw;
static unsigned raw_fired;

static void fire_raw(struct timer *t)
{
	(void)t;
	raw_fired++;
}

static void arm_raw(void)
{
	timer_arm(&raw, fake_tsc + 10 * MS);
}

static void a_timer_belongs_to_the_cpu_that_arms_it(void **state)
{
	(void)state;
	raw_fired = 0;
	timer_init(&raw, run_timers(), fire_raw);
	(void)smp_call(1, arm_raw);
	assert_true(timer_queue_next(run_timers()) == TIMER_NEVER);
	smp_until(1, SMP_IDLE);
	assert_true(vm_rig.host_timer[1] == fake_tsc + 10 * MS);
	/* Cancelled from here: nobody is told, the host timer fires for nothing. */
	timer_cancel(&raw);
	assert_int_equal(all_kicks(), 0);
	fake_tsc += 20 * MS;
	assert_int_equal(smp_go(1), SMP_OUT);
	smp_until(1, SMP_IDLE);
	assert_int_equal(raw_fired, 0);
	assert_true(vm_rig.host_timer[1] == TIMER_NEVER);
	/* Armed on one, then on another. */
	smp_rest();
	(void)smp_call(1, arm_raw);
	(void)smp_call(2, arm_raw);
	smp_until(1, SMP_IDLE);
	smp_until(2, SMP_IDLE);
	assert_true(vm_rig.host_timer[1] == TIMER_NEVER);
	fake_tsc += 20 * MS;
	assert_int_equal(smp_go(2), SMP_OUT);
	smp_until(2, SMP_IDLE);
	assert_int_equal(raw_fired, 1);
}

/* A vCPU's timer fires on the CPU where it was armed, and wakes the vCPU wherever it is then. */
static void a_lapic_timer_wakes_its_vcpu_from_another_cpu(void **state)
{
	(void)state;
	start_on_1(web);
	smp_until(2, SMP_IDLE);
	assert_int_equal(smp_exit(1, hlt), SMP_OUT);
	/* On CPU 0: 10 ms, vector 0x40. */
	assert_true(bus_write(&web->vm.mmio, LAPIC_SVR, 4, 0, 0x1ff));
	assert_true(bus_write(&web->vm.mmio, 0xfee003e0, 4, 0, 0xb));
	assert_true(bus_write(&web->vm.mmio, 0xfee00320, 4, 0, 0x40));
	assert_true(bus_write(&web->vm.mmio, 0xfee00380, 4, 0, LAPIC_TIMER_HZ / 100));
	smp_until(1, SMP_IDLE);
	vm_rig_advance(11 * MS);
	assert_int_equal(vm_rig.kicks[1], 1);
	smp_until(1, SMP_GUEST);
	assert_int_equal(fake_backend.delivered.vector, 0x40);
}

static bool waits_in_timer;

static void wait_in_timer(struct timer *t)
{
	(void)t;
	waits_in_timer = true;
	cpu_relax();
	cpu_relax();
	waits_in_timer = false;
	raw_fired++;
}

/* Whoever takes a VM apart waits for functions that run elsewhere. */
static void settling_waits_for_what_runs_elsewhere(void **state)
{
	(void)state;
	raw_fired = 0;
	timer_init(&raw, run_timers(), wait_in_timer);
	(void)smp_call(1, arm_raw);
	fake_tsc += 10 * MS;
	assert_int_equal(smp_go(1), SMP_WAIT);
	assert_true(waits_in_timer);
	timer_cancel(&raw);
	assert_int_equal(raw_fired, 0);
	run_settle_timers();
	assert_int_equal(raw_fired, 1);
}

static void flush_from_cpu_0(void)
{
	unsigned here = fake_cpu_index();

	vm_rig.on_arm = NULL;
	fake_cpu_switch(0);
	run_flush_cpus();
	fake_cpu_switch(here);
}

/* Between the last look and the sleep: it has not said yet that it must be interrupted. */
static void a_cpu_that_is_asked_on_the_way_to_sleep_stays_up(void **state)
{
	unsigned writes;

	(void)state;
	timer_init(&raw, run_timers(), fire_raw);
	(void)smp_call(1, arm_raw);
	vm_rig.on_arm = flush_from_cpu_0;
	writes = fake_cpu.cr3_writes;
	assert_int_equal(smp_go(1), SMP_OUT);
	assert_null(vm_rig.on_arm);
	assert_int_equal(vm_rig.kicks[1], 0);
	assert_int_equal(smp_go(1), SMP_IDLE);
	assert_int_equal(fake_cpu.cr3_writes, writes + 1);
	timer_cancel(&raw);
}

/* --- translations --- */

static void the_others_flush_when_they_come_round(void **state)
{
	unsigned writes;

	(void)state;
	start_on_1(web);
	smp_until(2, SMP_IDLE);
	writes = fake_cpu.cr3_writes;
	run_flush_cpus();
	assert_int_equal(fake_cpu.cr3_writes, writes);
	/* Those that would not look by themselves are told. */
	assert_int_equal(vm_rig.kicks[1], 1);
	assert_int_equal(vm_rig.kicks[2], 1);
	assert_int_equal(vm_rig.kicks[3], 0);
	smp_until(1, SMP_OUT);
	assert_int_equal(smp_go(1), SMP_GUEST);
	assert_int_equal(fake_cpu.cr3_writes, writes + 1);
	smp_until(2, SMP_OUT);
	assert_int_equal(smp_go(2), SMP_IDLE);
	assert_int_equal(fake_cpu.cr3_writes, writes + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_ap_waits_for_its_start_up_message),
		TEST(the_second_start_up_message_does_nothing),
		TEST(init_wipes_a_start_up_message_before_it),
		TEST(init_resets_a_running_vcpu),
		TEST(init_ends_a_halt),
		TEST(nmis_go_to_the_vcpu_they_are_for),
		TEST(interrupts_reach_a_running_sibling),
		TEST(s3_stops_all_and_the_first_goes_on_at_the_vector),
		TEST(any_vcpu_may_suspend),
		TEST(s3_wipes_what_came_before_it),
		TEST(a_bad_waking_vector_is_a_reset),
		TEST(a_timer_belongs_to_the_cpu_that_arms_it),
		TEST(a_lapic_timer_wakes_its_vcpu_from_another_cpu),
		TEST(settling_waits_for_what_runs_elsewhere),
		TEST(a_cpu_that_is_asked_on_the_way_to_sleep_stays_up),
		TEST(the_others_flush_when_they_come_round),
	};

	return cmocka_run_group_tests(tests, machine, shut_down);
}
