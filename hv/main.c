/* SPDX-License-Identifier: Apache-2.0 */
/* The start of the hypervisor: takes what the loader hands over, and says what it is. */
#include "hv/main.h"

#include "hv/base/log.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/stack_guard.h"

#define UART_LSR 5u
#define UART_LSR_THR_EMPTY 0x20u

static uint16_t uart;

static void uart_write(const char *line, size_t n)
{
	for (size_t i = 0; uart != 0 && i < n; i++) {
		while ((cpu_in8((uint16_t)(uart + UART_LSR)) & UART_LSR_THR_EMPTY) == 0) {
			__builtin_ia32_pause();
		}
		cpu_out8(uart, (uint8_t)line[i]);
	}
}

static const void *direct(uint64_t physical)
{
	return (const void *)(uintptr_t)(HANDOFF_DIRECT_BASE + physical);
}

static void log_memory(const struct handoff *handoff)
{
	const struct handoff_memory *map = direct(handoff->memory);

	for (uint64_t i = 0; i < handoff->memory_count; i++) {
		log_info("memory 0x%llx +0x%llx type %u attributes 0x%x",
			 (unsigned long long)map[i].base, (unsigned long long)map[i].size,
			 map[i].type, map[i].attributes);
	}
}

static void log_modules(const struct handoff *handoff)
{
	const struct handoff_module *modules = direct(handoff->modules);

	for (uint64_t i = 0; i < handoff->module_count; i++) {
		log_info("module %s at 0x%llx, %llu bytes%s, error %u", modules[i].path,
			 (unsigned long long)modules[i].base, (unsigned long long)modules[i].size,
			 modules[i].is_directory != 0 ? ", folder" : "", modules[i].error);
	}
}

static void log_cpus(const struct handoff *handoff)
{
	const struct handoff_cpu *cpus = direct(handoff->cpus);

	for (uint64_t i = 0; i < handoff->cpu_count; i++) {
		log_info("cpu %llu: APIC id %u flags 0x%x", (unsigned long long)i, cpus[i].apic_id,
			 cpus[i].flags);
	}
}

void hv_main(const struct handoff *handoff)
{
	stack_guard_init();
	uart = (uint16_t)handoff->serial_port;
	log_set_sink(uart_write);
	log_set_threshold(LOG_INFO);
	log_event("hypervisor entered");
	log_info(
		"image 0x%llx +0x%llx, rsdp 0x%llx, smbios 0x%llx, trampoline 0x%llx, framebuffer 0x%llx",
		(unsigned long long)handoff->image_base, (unsigned long long)handoff->image_size,
		(unsigned long long)handoff->rsdp, (unsigned long long)handoff->smbios,
		(unsigned long long)handoff->trampoline,
		(unsigned long long)handoff->framebuffer.base);
	log_memory(handoff);
	log_modules(handoff);
	log_cpus(handoff);
	cpu_stop();
}
