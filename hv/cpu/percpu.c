/* SPDX-License-Identifier: Apache-2.0 */
/* Per-CPU areas: laying them out, finding them, making one current. */
#include "hv/cpu/percpu.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/cpu/msr.h"

struct cpu_area {
	uint8_t ist_stack[DESC_IST_COUNT][CPU_IST_STACK_SIZE];
	uint8_t stack[CPU_STACK_SIZE];
	struct cpu_local local;
};
static_assert(offsetof(struct cpu_area, local) == CPU_AREA_SIZE - PAGE_SIZE, "as drawn");
static_assert(sizeof(struct cpu_area) <= CPU_AREA_SIZE, "as drawn");

static _Alignas(4096) uint8_t boot_area[CPU_AREA_SIZE];
static struct cpu_local *cpus[CPU_MAX];
static unsigned cpu_count;

static struct cpu_local *area_init(void *memory, uint32_t apic_id)
{
	struct cpu_area *area = memory;
	struct cpu_local *cpu = &area->local;
	uint64_t ist_top[DESC_IST_COUNT];

	CHECK(is_aligned((uint64_t)(uintptr_t)memory, PAGE_SIZE));
	for (unsigned i = 0; i < DESC_IST_COUNT; i++) {
		ist_top[i] = (uint64_t)(uintptr_t)(area->ist_stack[i] + CPU_IST_STACK_SIZE);
	}
	cpu->self = cpu;
	cpu->index = cpu_count;
	cpu->apic_id = apic_id;
	cpu->stack_low = (uint64_t)(uintptr_t)area->stack;
	cpu->stack_high = cpu->stack_low + CPU_STACK_SIZE;
	desc_build_tss(&cpu->tss, ist_top);
	desc_build_gdt(&cpu->gdt, &cpu->tss);
	cpus[cpu_count++] = cpu;
	return cpu;
}

struct cpu_local *percpu_init_boot(uint64_t stack_low, uint64_t stack_high, uint32_t apic_id)
{
	struct cpu_local *cpu;

	cpu_count = 0;
	cpu = area_init(boot_area, apic_id);
	cpu->stack_low = stack_low;
	cpu->stack_high = stack_high;
	cpu_set_state(cpu, CPU_ONLINE);
	return cpu;
}

struct cpu_local *percpu_add(void *area, uint32_t apic_id)
{
	return cpu_count < CPU_MAX ? area_init(area, apic_id) : NULL;
}

unsigned percpu_count(void)
{
	return cpu_count;
}

struct cpu_local *percpu_get(unsigned index)
{
	CHECK(index < cpu_count);
	return cpus[index];
}

struct cpu_local *percpu_by_apic_id(uint32_t apic_id)
{
	for (unsigned i = 0; i < cpu_count; i++) {
		if (cpus[i]->apic_id == apic_id) {
			return cpus[i];
		}
	}
	return NULL;
}

void percpu_activate(struct cpu_local *cpu)
{
	struct desc_ptr gdt = {
		.limit = sizeof(cpu->gdt) - 1,
		.base = (uint64_t)(uintptr_t)&cpu->gdt,
	};

	/* LTR marks the descriptor busy and refuses one that is. */
	desc_build_gdt(&cpu->gdt, &cpu->tss);
	cpu_lgdt(&gdt);
	cpu_load_segments(GDT_CODE, GDT_DATA);
	cpu_ltr(GDT_TSS);
	/* Behind the segments: loading a null GS clears its base on some CPUs. */
	cpu_wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
}

_Noreturn void cpu_park(struct cpu_local *cpu)
{
	cpu_set_state(cpu, CPU_PARKED);
	cpu_stop();
}
