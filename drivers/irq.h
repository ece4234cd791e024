/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of the machine's devices: a pool of vectors for messages, interrupt lines that several
 * devices share, and polling where there is neither.
 *
 *	message --> vector --> handler                    one handler per vector
 *	line ----> IOAPIC --> vector --> handlers         all that share the line
 *	timer, every millisecond ------> handlers         a line that has not fired yet, or no line
 *
 * Handlers run on any CPU, with interrupts masked, outside of all locks; two CPUs may be in the
 * same one, where a line is both polled and fires.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drivers/acpi.h"
#include "hv/base/status.h"

#define HOST_IRQ_VECTOR_FIRST 0x40u
#define HOST_IRQ_VECTOR_LAST 0xdfu
#define HOST_IRQ_LINES_MAX 24u
#define HOST_IRQ_SHARERS_MAX 16u /* per line */

struct host_irq_handler {
	void (*fn)(void *ctx, unsigned index);
	void *ctx;
	unsigned index; /* handed to fn */
};

/*
 * Takes the vectors; once, when interrupt controllers and the other CPUs are up. `acpi` may be NULL
 * and must live on: its overrides say where ISA lines arrive.
 */
void host_irq_init(const struct acpi_info *acpi);
/* The next free vector, for this handler; 0: none is left. */
uint8_t host_irq_alloc(const struct host_irq_handler *h);
/*
 * The APIC ID for message `index`: CPU index modulo their number, among those that run and that a
 * message can name (eight bits). False: there is none.
 */
bool host_irq_target(unsigned index, uint32_t *apic_id);
/*
 * Calls the handler when ISA line `irq` is asserted, as PCI functions do: level, active low, shared
 * with others. Until the line has fired for the first time it is polled too, as firmware may have
 * told nonsense; a line that never falls is masked and polled. HV_E_NO_MEMORY: too many lines or
 * handlers.
 */
enum hv_status host_irq_line(uint32_t irq, const struct host_irq_handler *h) HV_MUST_CHECK;
/* Calls the handler every millisecond. HV_E_NO_MEMORY. */
enum hv_status host_irq_poll(const struct host_irq_handler *h) HV_MUST_CHECK;
