/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the other processors. */
#include "hv/cpus.h"

#include <stdatomic.h>

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/log.h"
#include "hv/cpu/ap_start.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/topology.h"
#include "hv/monitor.h"
#include "mm/pool.h"
#include "mm/space.h"

static struct cpus {
	const struct cpus_config *config;
	struct ap_start ap;
	unsigned started;
	unsigned failed;
	unsigned corrected; /* of those started, with a TSC that needed it */
	unsigned unsteady;  /* with one that no offset can correct */
	uint64_t tsc_bound; /* no two TSCs are further apart, corrections added */
} cpus;

static atomic_bool stopping;

/* As many as their IDs leave room for. */
static unsigned threads_per_core(void)
{
	return 1u << topology_thread_bits();
}

/* --- on the new processor --- */

static void ap_main(struct cpu_local *cpu)
{
	space_cpu_init();
	host_apic_init_ap();
	(void)tsc_sync_answer(&cpu->tsc_channel, clock_hz());
	cpus.config->main(cpu);
}

/* --- on the boot processor --- */

static void take_verdict(struct cpu_local *cpu, const struct tsc_verdict *v)
{
	cpu->tsc_offset = v->offset;
	cpus.tsc_bound = max_u64(cpus.tsc_bound, v->bound);
	if (!v->in_step) {
		log_event("CPU %u is off by %ld ticks: corrected, within %lu", cpu->index,
			  -v->offset, v->bound);
		cpus.corrected++;
		clock_correct();
	}
	if (!v->steady) {
		log_warn("CPU %u: its TSC does not keep in step: time may jump there", cpu->index);
		cpus.unsteady++;
	}
}

static void compare_tsc(struct cpu_local *cpu)
{
	struct tsc_verdict verdict;

	if (tsc_sync_measure(&cpu->tsc_channel, clock_hz(), &verdict)) {
		take_verdict(cpu, &verdict);
	} else {
		log_warn("CPU %u: its TSC could not be compared", cpu->index);
		cpus.unsteady++;
	}
	tsc_sync_release(&cpu->tsc_channel);
}

/* Gives a processor its area, once, however often firmware lists it. */
static void add_cpu(uint32_t apic_id)
{
	void *area;

	if (percpu_by_apic_id(apic_id) != NULL) {
		return;
	}
	if (!host_apic_reaches(apic_id)) {
		log_warn("CPU with APIC id %u: out of reach without x2APIC", apic_id);
		cpus.failed++;
		return;
	}
	area = percpu_count() < CPU_MAX ? pool_pages(CPU_AREA_ORDER) : NULL;
	if (area == NULL || percpu_add(area, apic_id) == NULL) {
		log_warn("CPU with APIC id %u: no room for it", apic_id);
		cpus.failed++;
	}
}

static void add_acpi_cpus(const struct acpi_info *acpi)
{
	for (unsigned i = 0; i < acpi->cpu_count; i++) {
		if (acpi->cpus[i].enabled) {
			add_cpu(acpi->cpus[i].apic_id);
		}
	}
	if (acpi->cpus_dropped != 0) {
		log_warn("CPUs: %u more than the %u that are supported", acpi->cpus_dropped,
			 ACPI_CPUS_MAX);
		cpus.failed += acpi->cpus_dropped;
	}
}

static void add_efi_cpus(const struct handoff *handoff)
{
	const struct handoff_cpu *list;

	if (handoff->cpu_count == 0) {
		return;
	}
	list = pool_ptr(hpa(handoff->cpus));
	for (uint64_t i = 0; i < handoff->cpu_count; i++) {
		if ((list[i].flags & HANDOFF_CPU_ENABLED) != 0) {
			add_cpu(list[i].apic_id);
		}
	}
}

static void start_cpu(struct cpu_local *cpu)
{
	if (ap_start_cpu(cpu) != HV_OK) {
		log_warn("CPU with APIC id %u did not answer", cpu->apic_id);
		cpus.failed++;
	} else {
		compare_tsc(cpu);
		cpus.started++;
	}
}

static void start_all(void)
{
	uint64_t before = clock_now();

	ap_start_reset();
	for (unsigned i = 1; i < percpu_count(); i++) {
		start_cpu(percpu_get(i));
	}
	log_info("CPUs: started in %lu us", clock_ticks_to_ns(clock_now() - before) / 1000);
	if (cpus.unsteady == 0) {
		log_info("TSCs: in step within %lu ticks%s", cpus.tsc_bound,
			 cpus.corrected != 0 ? ", corrections added" : "");
	}
}

void cpus_find(const struct cpus_config *config)
{
	cpus = (struct cpus){.config = config};
	if (config->acpi->has_madt) {
		add_acpi_cpus(config->acpi);
	} else {
		add_efi_cpus(config->handoff);
	}
}

void cpus_cores(uint16_t cores[CPU_MAX])
{
	for (unsigned i = 0; i < percpu_count(); i++) {
		uint32_t key = topology_core_of(percpu_get(i)->apic_id);
		unsigned first = 0;

		/* A core is named by its first thread. */
		while (topology_core_of(percpu_get(first)->apic_id) != key) {
			first++;
		}
		cores[i] = (uint16_t)first;
	}
}

unsigned cpus_start(void)
{
	const struct handoff *handoff = cpus.config->handoff;

	cpus.ap = (struct ap_start){
		.trampoline = hpa(handoff->trampoline),
		.page = (void *)(uintptr_t)handoff->trampoline,
		.cr3 = space_core_cr3(),
		.tsc_hz = clock_hz(),
		.send_init = host_apic_send_init,
		.send_startup = host_apic_send_startup,
		.main = ap_main,
	};
	if (ap_start_prepare(&cpus.ap) != HV_OK) {
		log_warn("CPUs: no page below 1 MiB to start others with: using one");
		return 0;
	}
	if (percpu_count() > 1) {
		start_all();
	}
	log_info("CPUs: %u, from %s: %u running, %u failed; %u thread%s per core",
		 cpus.started + cpus.failed + 1,
		 cpus.config->acpi->has_madt ? "ACPI" : "EFI MP services", cpus.started + 1,
		 cpus.failed, threads_per_core(), threads_per_core() == 1 ? "" : "s");
	return cpus.started;
}

_Noreturn void cpus_stop_all(void)
{
	const struct cpu_local *self = cpu_this();

	/* Only the first to come tells the others. */
	if (!atomic_exchange(&stopping, true)) {
		for (unsigned i = 0; i < percpu_count(); i++) {
			struct cpu_local *cpu = percpu_get(i);

			if (cpu != self && cpu_get_state(cpu) == CPU_ONLINE) {
				host_apic_send_nmi(cpu->apic_id);
			}
		}
	}
	cpu_stop();
}

void cpus_obey_stop(void)
{
	if (atomic_load(&stopping)) {
		cpu_stop();
	}
}

void cpus_describe(void)
{
	monitor_print("cpus          %u running, %u failed, %u thread%s per core\n",
		      cpus.started + 1, cpus.failed, threads_per_core(),
		      threads_per_core() == 1 ? "" : "s");
	monitor_print("tscs          within %lu ticks, %u corrected, %u unsteady\n", cpus.tsc_bound,
		      cpus.corrected, cpus.unsteady);
}
