/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot CPU's side against a second processor played by the IPI callbacks: it takes the mailbox
 * by the rules of ap_trampoline.S and calls the entry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/ap_mailbox.h"
#include "hv/cpu/ap_start.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define PAGE_AT 0x9f000ull
#define HZ 1000000000ull

static _Alignas(4096) uint8_t page[4096];
static _Alignas(4096) uint8_t area[CPU_AREA_SIZE];
static struct cpu_local *boot, *ap;
static unsigned init_count, startup_count;
static uint64_t init_at, first_startup_at;
/* What the second processor does on a start-up IPI. */
static unsigned answer_on; /* the how-manieth; 0: never */
static uint32_t its_apic_id;
static unsigned mains;
static struct cpu_local *main_cpu;

static struct ap_mailbox *mailbox(void)
{
	return (struct ap_mailbox *)(void *)(page + AP_MAILBOX_OFFSET);
}

static void set_apic_id(uint32_t id)
{
	fake_cpuid_set(1, 0, (struct cpuid_regs){.ebx = id << 24});
}

static void ap_main(struct cpu_local *cpu)
{
	mains++;
	main_cpu = cpu;
}

/* False when the mailbox was not open. */
static bool second_cpu_arrives(void)
{
	struct ap_mailbox *m = mailbox();
	uint32_t open = AP_SLOT_OPEN;
	void (*entry)(struct cpu_local *);

	if (!atomic_compare_exchange_strong(&m->slot, &open, AP_SLOT_TAKEN)) {
		return false;
	}
	entry = (void (*)(struct cpu_local *))(uintptr_t)m->entry;
	set_apic_id(its_apic_id);
	EXPECT_STOP(entry((struct cpu_local *)(uintptr_t)m->argument));
	set_apic_id(0);
	fake_msr_set(MSR_GS_BASE, (uint64_t)(uintptr_t)boot);
	return true;
}

static void send_init(uint32_t apic_id)
{
	assert_int_equal(apic_id, ap->apic_id);
	init_count++;
	init_at = fake_tsc;
}

static void send_startup(uint32_t apic_id, uint8_t number)
{
	assert_int_equal(apic_id, ap->apic_id);
	assert_int_equal(number, PAGE_AT >> 12);
	if (++startup_count == 1) {
		first_startup_at = fake_tsc;
	}
	if (startup_count == answer_on) {
		second_cpu_arrives();
	}
}

static struct ap_start start = {
	.trampoline = {PAGE_AT},
	.page = page,
	.cr3 = 0x123456789000ull,
	.tsc_hz = HZ,
	.send_init = send_init,
	.send_startup = send_startup,
	.main = ap_main,
};

static int setup(void **state)
{
	(void)state;
	fake_cpu_reset();
	fake_cpu.tsc_step = 1000;
	fake_cpu.cr0 = CR0_PG | CR0_PE | CR0_WP;
	fake_cpu.cr4 = CR4_PAE | CR4_PGE;
	fake_msr_set(MSR_EFER, EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME);
	memset(area, 0, sizeof(area));
	boot = percpu_init_boot(0x1000, 0x2000, 0);
	ap = percpu_add(area, 5);
	percpu_activate(boot);
	init_count = startup_count = mains = 0;
	answer_on = 1;
	its_apic_id = 5;
	start.trampoline.v = PAGE_AT;
	memset(page, 0xcc, sizeof(page));
	assert_int_equal(ap_start_prepare(&start), HV_OK);
	ap_start_reset();
	return 0;
}

/* Walks the page as the CPU would, all tables being this page. */
static uint64_t translate(uint64_t va)
{
	uint64_t entry = 0;

	for (unsigned shift = 39; shift >= 12; shift -= 9) {
		memcpy(&entry, page + (va >> shift & 0x1ff) * 8, 8);
		if ((entry & PTE_P) == 0) {
			return ~0ull;
		}
		assert_int_equal(entry & PTE_NX, 0);
		assert_int_equal(entry & PTE_ADDR, PAGE_AT);
		if (shift > 12) {
			assert_int_equal(entry & PTE_PS, 0);
		}
	}
	return (entry & PTE_ADDR) | (va & 0xfff);
}

static void page_maps_itself_and_executes(void **state)
{
	const uint8_t code[8] = {0x25, 0xf0, 0x09, 0x00, 0x00, 0x00, 0xc0, 0x40};

	(void)state;
	assert_memory_equal(page, code, sizeof(code));
	assert_int_equal(translate(PAGE_AT), PAGE_AT);
	assert_int_equal(translate(PAGE_AT + 0x934), PAGE_AT + 0x934);
	assert_int_equal(translate(PAGE_AT + 0x1000), ~0ull);
	assert_int_equal(page[8], 0x90); /* the code copied behind entry 0 */
}

static void mailbox_is_complete(void **state)
{
	const struct ap_mailbox *m = mailbox();

	(void)state;
	assert_int_equal(m->slot, AP_SLOT_CLOSED);
	assert_int_equal(m->efer, EFER_LME | EFER_NXE);
	assert_int_equal(m->cr3, start.cr3);
	assert_int_equal(m->gdt_ptr.base, PAGE_AT + 0x800 + offsetof(struct ap_mailbox, gdt));
	assert_int_equal(m->gdt_ptr.limit, 31);
	assert_int_equal(m->far32.offset, PAGE_AT + 0x920);
	assert_int_equal(m->far32.selector, 0x10);
	assert_int_equal(m->far64.offset, PAGE_AT + 0x940);
	assert_int_equal(m->far64.selector, 0x08);
}

static void impossible_pages_are_refused(void **state)
{
	const uint64_t bad[] = {0, 0x1000, 0x100000, 0x9f800, 0x10009f000ull};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start.trampoline.v = bad[i];
		assert_int_equal(ap_start_prepare(&start), HV_E_UNSUPPORTED);
	}
}

static void answering_cpu_is_online(void **state)
{
	(void)state;
	fake_cpu.idt = (struct desc_ptr){0};
	assert_int_equal(ap_start_cpu(ap), HV_OK);
	assert_int_equal(cpu_get_state(ap), CPU_ONLINE);
	assert_int_equal(init_count, 1);
	assert_int_equal(startup_count, 1);
	assert_int_equal(mains, 1);
	assert_ptr_equal(main_cpu, ap);
	assert_true(first_startup_at - init_at >= HZ / 100);
	assert_int_equal(mailbox()->stack, ap->stack_high);
	assert_int_equal(fake_cpu.gdt.base, (uint64_t)(uintptr_t)&ap->gdt);
	assert_int_equal(fake_cpu.idt.limit, 4095);
	assert_int_equal(fake_cpu.cr4, CR4_PAE | CR4_PGE);
}

static void second_startup_serves_a_slow_cpu(void **state)
{
	(void)state;
	answer_on = 2;
	assert_int_equal(ap_start_cpu(ap), HV_OK);
	assert_int_equal(startup_count, 2);
}

static void silent_cpu_is_skipped_in_bounded_time(void **state)
{
	uint64_t before = fake_tsc;

	(void)state;
	answer_on = 0;
	assert_int_equal(ap_start_cpu(ap), HV_E_IO);
	assert_int_equal(cpu_get_state(ap), CPU_FAILED);
	assert_int_equal(init_count, 2); /* the last one sends it back to waiting */
	assert_true(fake_tsc - before < 6 * HZ);
	assert_int_equal(mains, 0);
	/* It wakes up after all: the mailbox is closed. */
	assert_false(second_cpu_arrives());
	assert_int_equal(cpu_get_state(ap), CPU_FAILED);
}

static void another_cpu_does_not_get_in(void **state)
{
	(void)state;
	its_apic_id = 6;
	assert_int_equal(ap_start_cpu(ap), HV_E_IO);
	assert_int_equal(cpu_get_state(ap), CPU_FAILED);
	assert_int_equal(mains, 0);
	/* The right one comes late and finds the offer taken. */
	its_apic_id = 5;
	assert_false(second_cpu_arrives());
}

static void a_cpu_is_started_once(void **state)
{
	volatile enum hv_status status;

	(void)state;
	assert_int_equal(ap_start_cpu(ap), HV_OK);
	EXPECT_CHECK(status = ap_start_cpu(ap));
	(void)status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(page_maps_itself_and_executes, setup),
		cmocka_unit_test_setup(mailbox_is_complete, setup),
		cmocka_unit_test_setup(impossible_pages_are_refused, setup),
		cmocka_unit_test_setup(answering_cpu_is_online, setup),
		cmocka_unit_test_setup(second_startup_serves_a_slow_cpu, setup),
		cmocka_unit_test_setup(silent_cpu_is_skipped_in_bounded_time, setup),
		cmocka_unit_test_setup(another_cpu_does_not_get_in, setup),
		cmocka_unit_test_setup(a_cpu_is_started_once, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
