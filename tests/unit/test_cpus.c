/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting processors that are played by the boot CPU's own start-up messages and looks at its
 * TSC: those that answer take the mailbox, say "online" and tell their time when they are asked.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/cpu/ap_mailbox.h"
#include "hv/cpu/features.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/topology.h"
#include "hv/cpus.h"
#include "tests/fakes/access.h"
#include "tests/fakes/check.h"
#include "tests/fakes/fake_cpu.h"

#define HZ 2000000000ull
#define TRAMPOLINE 0x90000ull
#define ICR 0x830u

static struct acpi_info acpi;
static struct handoff handoff;
static struct {
	bool x2apic;
	uint32_t dead;	      /* the APIC id of one that does not answer; 0: all do */
	uint32_t skewed;      /* and of one whose TSC is ahead */
	int64_t ahead;	      /* by this much */
	unsigned inits;	      /* INIT messages */
	unsigned resets_late; /* of these, after the first start-up */
	unsigned startups;
	unsigned nmis;
	struct cpu_local *asked; /* whom the boot CPU talks with */
} pc;
static uint64_t log_mark;

static const char *logged(void)
{
	static char text[65536];
	uint64_t pos = log_mark;

	text[ring_read(log_ring(), &pos, text, sizeof(text) - 1)] = '\0';
	return text;
}

static void assert_logged(const char *words)
{
	if (strstr(logged(), words) == NULL) {
		fail_msg("no '%s' in:\n%s", words, logged());
	}
}

static void processor_starts(uint32_t apic_id)
{
	struct ap_mailbox *m = (void *)(uintptr_t)(TRAMPOLINE + AP_MAILBOX_OFFSET);
	struct cpu_local *cpu = (struct cpu_local *)(uintptr_t)m->argument;
	uint32_t open = AP_SLOT_OPEN;

	pc.startups++;
	if (apic_id != pc.dead && atomic_compare_exchange_strong(&m->slot, &open, AP_SLOT_TAKEN)) {
		assert_int_equal(cpu->apic_id, apic_id);
		cpu_set_state(cpu, CPU_ONLINE);
		cpu->tsc_channel.turn = 2;
		pc.asked = cpu;
	}
}

static uint64_t read_tsc(void)
{
	fake_tsc += 1000;
	if (pc.asked != NULL && pc.asked->tsc_channel.turn == 1) {
		pc.asked->tsc_channel.stamp =
			fake_tsc + (pc.asked->apic_id == pc.skewed ? (uint64_t)pc.ahead : 0);
		pc.asked->tsc_channel.turn = 2;
	}
	return fake_tsc;
}

static bool read_msr(uint32_t index, uint64_t *value, bool *handled)
{
	*handled = index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST;
	*value = 0;
	return true;
}

static bool write_msr(uint32_t index, uint64_t value, bool *handled)
{
	*handled = (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) ||
		   index == MSR_IA32_TSC_DEADLINE;
	if (index == ICR && (value & 0x700) == 0x600) {
		processor_starts((uint32_t)(value >> 32));
	} else if (index == ICR && (value & 0x700) == 0x500) {
		pc.inits++;
		pc.resets_late += pc.startups != 0;
	}
	pc.nmis += index == ICR && (value & 0x700) == 0x400;
	return true;
}

static uint32_t mmio_read(hva_t addr)
{
	(void)addr;
	return 0;
}

static void mmio_write(hva_t addr, uint32_t value)
{
	(void)addr;
	(void)value;
}

static void switch_on(bool x2apic)
{
	const struct host_apic_config config = {
		(void *)0x7000000000, HZ, 0xef, 0xfe, 0xff,
	};
	void *page = mmap((void *)(uintptr_t)TRAMPOLINE, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	assert_int_equal((uintptr_t)page, TRAMPOLINE);
	fake_cpu_reset();
	fake_cpuid_set(0, 0, (struct cpuid_regs){.eax = 1});
	fake_cpuid_set(1, 0,
		       (struct cpuid_regs){.ecx = (x2apic ? BIT32(21) : 0) | BIT32(24),
					   .edx = BIT32(9) | BIT32(16)});
	fake_cpu.on_rdmsr = read_msr;
	fake_cpu.on_wrmsr = write_msr;
	fake_cpu.on_mmio_read = mmio_read;
	fake_cpu.on_mmio_write = mmio_write;
	fake_machine(MIB(64));
	cpu_features_init();
	topology_init();
	percpu_activate(percpu_init_boot(0x1000, 0x2000, 0));
	clock_init(HZ);
	assert_int_equal(host_apic_init(&config), HV_OK);
	fake_cpu.on_rdtsc = read_tsc;
	handoff.trampoline = TRAMPOLINE;
}

static int setup(void **state)
{
	(void)state;
	memset(&pc, 0, sizeof(pc));
	acpi = (struct acpi_info){0};
	handoff = (struct handoff){0};
	log_set_sink(NULL);
	log_set_threshold(LOG_INFO);
	log_mark = log_ring()->end;
	switch_on(true);
	return 0;
}

static void no_main(struct cpu_local *cpu)
{
	(void)cpu;
}

static const struct cpus_config config = {&acpi, &handoff, no_main};

/* `count` processors, the boot CPU among them, with IDs far apart. */
static void list_in_acpi(unsigned count, uint32_t stride)
{
	acpi.has_madt = true;
	acpi.cpu_count = count;
	for (unsigned i = 0; i < count; i++) {
		acpi.cpus[i] = (struct acpi_cpu){i * stride, i, true};
	}
}

static void many_processors_with_sparse_ids(void **state)
{
	(void)state;
	list_in_acpi(64, 0x101);
	acpi.cpus[9].enabled = false;
	cpus_find(&config);
	(void)cpus_start();
	assert_int_equal(percpu_count(), 63);
	assert_logged("info: CPUs: 63, from ACPI: 63 running, 0 failed; 1 thread per core\n");
	assert_logged("info: TSCs: in step within ");
	/* All are reset first, with one wait; each answers the first start-up message. */
	assert_int_equal(pc.inits, 62);
	assert_int_equal(pc.resets_late, 0);
	assert_int_equal(pc.startups, 62);
	assert_null(percpu_by_apic_id(9 * 0x101));
	for (unsigned i = 1; i < percpu_count(); i++) {
		assert_int_equal(cpu_get_state(percpu_get(i)), CPU_ONLINE);
		assert_int_equal(percpu_get(i)->tsc_channel.turn, 3);
		assert_int_equal(percpu_get(i)->tsc_offset, 0);
	}
	assert_true(fake_tsc < HZ / 2);
}

static void a_tsc_out_of_step_is_corrected(void **state)
{
	int64_t left;

	(void)state;
	list_in_acpi(4, 2);
	pc.skewed = 4;
	pc.ahead = 500000000;
	cpus_find(&config);
	(void)cpus_start();
	assert_logged("bulkhead: CPU 2 is off by ");
	assert_logged(" ticks, corrections added\n");
	left = percpu_get(2)->tsc_offset + pc.ahead;
	assert_in_range(left + 10000, 0, 20000);
	assert_int_equal(percpu_get(1)->tsc_offset, 0);
	assert_int_equal(percpu_get(3)->tsc_offset, 0);
}

static void a_dead_one_does_not_stop_the_others(void **state)
{
	(void)state;
	list_in_acpi(4, 1);
	pc.dead = 2;
	cpus_find(&config);
	(void)cpus_start();
	assert_logged("warn: CPU with APIC id 2 did not answer\n");
	assert_logged("info: CPUs: 4, from ACPI: 3 running, 1 failed; ");
	assert_int_equal(cpu_get_state(percpu_by_apic_id(2)), CPU_FAILED);
	assert_int_equal(cpu_get_state(percpu_by_apic_id(3)), CPU_ONLINE);
}

static void one_listed_twice_is_started_once(void **state)
{
	static const struct handoff_cpu list[] = {
		{0, HANDOFF_CPU_BSP | HANDOFF_CPU_ENABLED},
		{4, HANDOFF_CPU_ENABLED},
		{5, HANDOFF_CPU_HEALTHY},
		{4, HANDOFF_CPU_ENABLED},
		{0, HANDOFF_CPU_ENABLED},
	};

	(void)state;
	handoff.cpus = FAKE_LOADER_BASE + 0x3000;
	handoff.cpu_count = ARRAY_SIZE(list);
	memcpy(fake_ram(hpa(handoff.cpus)), list, sizeof(list));
	cpus_find(&config);
	(void)cpus_start();
	assert_logged("info: CPUs: 2, from EFI MP services: 2 running, 0 failed; ");
	assert_int_equal(percpu_count(), 2);
	assert_int_equal(pc.startups, 1);
	assert_null(percpu_by_apic_id(5));
}

static void ids_out_of_reach_are_left_alone(void **state)
{
	(void)state;
	switch_on(false);
	list_in_acpi(3, 255);
	acpi.cpus_dropped = 2;
	cpus_find(&config);
	(void)cpus_start();
	assert_logged("warn: CPU with APIC id 255: out of reach without x2APIC\n");
	assert_logged("warn: CPUs: 2 more than the 256 that are supported\n");
	assert_logged("info: CPUs: 5, from ACPI: 1 running, 4 failed; ");
	assert_int_equal(percpu_count(), 1);
}

static void all_stop_together(void **state)
{
	(void)state;
	list_in_acpi(4, 1);
	pc.dead = 2;
	cpus_find(&config);
	(void)cpus_start();
	cpus_obey_stop(); /* not yet */
	EXPECT_STOP(cpus_stop_all());
	/* The caller and the dead one are not told. */
	assert_int_equal(pc.nmis, 2);
	EXPECT_STOP(cpus_obey_stop());
	/* Another CPU that meets trouble meanwhile adds none. */
	EXPECT_STOP(cpus_stop_all());
	assert_int_equal(pc.nmis, 2);
}

static void alone(void **state)
{
	(void)state;
	list_in_acpi(1, 1);
	cpus_find(&config);
	(void)cpus_start();
	assert_logged("info: CPUs: 1, from ACPI: 1 running, 0 failed; ");
	assert_int_equal(pc.inits, 0);
	assert_null(strstr(logged(), "TSCs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(many_processors_with_sparse_ids, setup),
		cmocka_unit_test_setup(a_tsc_out_of_step_is_corrected, setup),
		cmocka_unit_test_setup(a_dead_one_does_not_stop_the_others, setup),
		cmocka_unit_test_setup(one_listed_twice_is_started_once, setup),
		cmocka_unit_test_setup(ids_out_of_reach_are_left_alone, setup),
		cmocka_unit_test_setup(alone, setup),
		/* Last: a stopped machine stays stopped. */
		cmocka_unit_test_setup(all_stop_together, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
