/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that tests whether virtual interrupts wait for RFLAGS.IF, on CPUs of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/api/apic_page.h"
#include "hv/api/gmem.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/trap.h"
#include "hv/probe.h"
#include "mm/frame.h"
#include "tests/fakes/vm_rig.h"

#define STI 0xfbu
#define CLI 0xfau

static struct hv_backend backend;
static unsigned interrupts; /* sent to this CPU */
static unsigned taken;	    /* of them, by the host */
static uint64_t frames_before;

static void interrupt(unsigned cpu)
{
	assert_int_equal(cpu, 0);
	interrupts++;
}

static void take(void)
{
	taken += interrupts;
	interrupts = 0;
}

static uint64_t frames_free(void)
{
	struct frame_stats stats;

	frame_stats(&stats);
	return stats.free;
}

static int start(void **state)
{
	(void)state;
	vm_rig_machine(true);
	backend = fake_hv_backend;
	backend.info.virtual_interrupts = true;
	vcpu_set_backend(&backend);
	fake_cpu.on_window = take;
	memset(fake_backend.apic_page, 0, sizeof(fake_backend.apic_page));
	interrupts = taken = 0;
	frames_before = frames_free();
	return 0;
}

/* Whatever was found, nothing is left over. */
static int clean(void **state)
{
	(void)state;
	fake_cpu.on_window = NULL;
	vcpu_set_backend(&fake_hv_backend);
	if (fake_backend.vms != 0 || fake_backend.vcpus != 0 || vm_rig_leaks() ||
	    frames_free() != frames_before) {
		return 1;
	}
	fake_backend_reset();
	return 0;
}

static uint8_t byte_at(struct vcpu *vcpu, uint64_t address)
{
	uint8_t byte;

	assert_int_equal(guest_mem_read(vcpu->vm, gpa(address), &byte, 1), HV_OK);
	return byte;
}

/* What the requested vector's entry in the real-mode table points to. */
static uint64_t handler_of(struct vcpu *vcpu)
{
	uint16_t entry[2];

	assert_int_equal(guest_mem_read(vcpu->vm, gpa(fake_backend.apic_loaded.requested * 4ull),
					entry, sizeof(entry)),
			 HV_OK);
	return entry[1] * 16ull + entry[0];
}

/* --- CPUs --- */

/* The host's interrupt comes first; and the guest is what it has to be for the others. */
static void does_it_right(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct fake_vcpu *f = fake_vcpu(vcpu);
	unsigned vector = fake_backend.apic_loaded.requested;

	assert_int_equal(interrupts, 1);
	assert_int_equal(fake_backend.apic_loaded.mode, APIC_MODE_XAPIC);
	assert_true((fake_backend.apic_page[(0x200 + vector / 32 * 16) / 4] >> vector % 32 & 1) !=
		    0);
	assert_int_equal(f->segs[VCPU_SEG_CS].base, 0);
	assert_int_equal(f->regs[VCPU_REG_RFLAGS] & RFLAGS_IF, 0);
	assert_int_equal(byte_at(vcpu, vcpu->rip), STI);
	assert_int_equal(byte_at(vcpu, vcpu->rip + 1), CLI);
	assert_true(handler_of(vcpu) > vcpu->rip + 8 && handler_of(vcpu) < vcpu->gpr[GPR_RSP] - 6);
	*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
}

static void takes_its_time(struct vcpu *vcpu, struct vm_exit *exit)
{
	vcpu->rip += 5;
	*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
}

static void delivers_and_goes_on(struct vcpu *vcpu, struct vm_exit *exit)
{
	vcpu->rip = handler_of(vcpu);
	*exit = (struct vm_exit){.kind = VM_EXIT_HLT, .insn_len = 1};
}

/* Bochs: the host's interrupt is still there. */
static void delivers_first(struct vcpu *vcpu, struct vm_exit *exit)
{
	vcpu->rip = handler_of(vcpu);
	*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
}

static void forgets_the_host(struct vcpu *vcpu, struct vm_exit *exit)
{
	vcpu->rip += 7;
	*exit = (struct vm_exit){.kind = VM_EXIT_HLT, .insn_len = 1};
}

/* --- tests --- */

static void good_cpus_are_trusted(void **state)
{
	(void)state;
	fake_backend.guest = does_it_right;
	assert_true(probe_virtual_interrupts(interrupt));
	assert_int_equal(taken, 1);
	fake_backend.guest = takes_its_time;
	assert_true(probe_virtual_interrupts(interrupt));
	assert_int_equal(taken, 2);
	assert_string_equal(vm_rig_text(), "");
}

static void a_delivery_with_if_clear_is_seen(void **state)
{
	(void)state;
	log_set_threshold(LOG_INFO);
	fake_backend.guest = delivers_first;
	assert_false(probe_virtual_interrupts(interrupt));
	assert_non_null(strstr(vm_rig_text(), "delivers them though RFLAGS.IF is clear"));
	fake_backend.guest = delivers_and_goes_on;
	assert_false(probe_virtual_interrupts(interrupt));
	assert_int_equal(taken, 2);
}

static void a_forgotten_host_interrupt_is_seen(void **state)
{
	(void)state;
	log_set_threshold(LOG_INFO);
	fake_backend.guest = forgets_the_host;
	assert_false(probe_virtual_interrupts(interrupt));
	assert_non_null(strstr(vm_rig_text(), "does not end a guest's run"));
}

static enum hv_status refuse(struct vm *vm)
{
	(void)vm;
	return HV_E_NO_MEMORY;
}

static void without_memory_they_are_not_used(void **state)
{
	(void)state;
	fake_backend.no_vcpu = true;
	assert_false(probe_virtual_interrupts(interrupt));
	fake_backend.no_vcpu = false;
	fake_backend.on_vm_init = refuse;
	assert_false(probe_virtual_interrupts(interrupt));
	assert_int_equal(taken + interrupts, 0);
}

/* --- posting --- */

/* Its loop is over, and no handler was entered. */
static void reaches_its_hlt(struct vcpu *vcpu, struct vm_exit *exit)
{
	vcpu->rip += 6;
	*exit = (struct vm_exit){.kind = VM_EXIT_HLT, .insn_len = 1};
}

/* The guest has IF set by its first instruction, and its handler is where the vector points. */
static void takes_what_is_posted(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct apic_post *post = vcpu->post;

	assert_int_equal(interrupts, 1);
	assert_int_equal(byte_at(vcpu, vcpu->rip), STI);
	assert_true(byte_at(vcpu, vcpu->rip + 1) != CLI);
	assert_int_equal(fake_vcpu(vcpu)->regs[VCPU_REG_RFLAGS] & RFLAGS_IF, 0);
	fake_vcpu(vcpu)->regs[VCPU_REG_RFLAGS] |= RFLAGS_IF;
	if (!apic_post_outstanding(post)) {
		interrupts = 0;
		reaches_its_hlt(vcpu, exit);
		return;
	}
	assert_int_equal(fake_backend.apic_loaded.mode, APIC_MODE_XAPIC);
	interrupts = 0;
	apic_post_look(post);
	for (unsigned i = 0; i < APIC_POST_WORDS; i++) {
		uint32_t word = apic_post_take(post, i);

		if (word != 0) {
			fake_backend.apic_loaded.requested =
				(uint8_t)(i * 32 + (unsigned)__builtin_ctz(word));
		}
	}
	vcpu->rip = handler_of(vcpu);
	*exit = (struct vm_exit){.kind = VM_EXIT_HLT, .insn_len = 1};
}

/* Another host interrupt comes first, two times. */
static void is_interrupted_before(struct vcpu *vcpu, struct vm_exit *exit)
{
	static unsigned count;

	if (count++ % 3 != 2) {
		unsigned waits = interrupts;

		*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
		fake_cpu.on_window = NULL;
		interrupts = waits;
		return;
	}
	fake_cpu.on_window = take;
	takes_what_is_posted(vcpu, exit);
}

static void exits_for_it(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (interrupts != 0) {
		*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
		return;
	}
	reaches_its_hlt(vcpu, exit);
}

static void always_exits(struct vcpu *vcpu, struct vm_exit *exit)
{
	(void)vcpu;
	*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
}

/* As Bochs 3.1: the highest of no vectors is -1, which is 255. */
static void makes_one_up(struct vcpu *vcpu, struct vm_exit *exit)
{
	bool any = apic_post_outstanding(vcpu->post);

	takes_what_is_posted(vcpu, exit);
	if (!any) {
		fake_backend.apic_loaded.requested = 255;
		vcpu->rip = handler_of(vcpu);
	}
}

/* The handler runs, and the CPU says that it is to be told again: or the vector is still there. */
static void forgets_to_clear(struct vcpu *vcpu, struct vm_exit *exit)
{
	takes_what_is_posted(vcpu, exit);
	(void)apic_post_add(vcpu->post, fake_backend.apic_loaded.requested);
}

static void posting_is_tried_out(void **state)
{
	static const struct {
		void (*guest)(struct vcpu *vcpu, struct vm_exit *exit);
		bool good;
	} cpus[] = {
		{takes_what_is_posted, true}, {is_interrupted_before, true}, {exits_for_it, false},
		{always_exits, false},	      {forgets_to_clear, false},     {makes_one_up, false},
	};

	(void)state;
	backend.info.posts_interrupts = true;
	log_set_threshold(LOG_INFO);
	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		vm_rig_clear();
		fake_backend.guest = cpus[i].guest;
		assert_int_equal(probe_posted_interrupts(interrupt), cpus[i].good);
		assert_int_equal(strstr(vm_rig_text(), "posted interrupts: ") == NULL,
				 cpus[i].good);
	}
	assert_non_null(strstr(vm_rig_text(), "nobody posted"));
	fake_backend.no_vcpu = true;
	assert_false(probe_posted_interrupts(interrupt));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_cpus_are_trusted),
		TEST(a_delivery_with_if_clear_is_seen),
		TEST(a_forgotten_host_interrupt_is_seen),
		TEST(without_memory_they_are_not_used),
		TEST(posting_is_tried_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
