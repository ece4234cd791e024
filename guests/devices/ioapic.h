/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IOAPIC: 24 inputs, each with a redirection entry, at 0xfec00000. Sources: Intel 82093AA
 * datasheet; Intel I/O Controller Hub datasheets, "Advanced Programmable Interrupt Controller", for
 * the EOI register.
 *
 * It reports version 0x20 and has the EOI register, as every chipset since the ICH2: a guest that
 * must end a level interrupt by hand then writes one register, where version 0x11 makes it flip the
 * entry to edge and back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/lapic.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"

#define IOAPIC_PINS 24u
#define IOAPIC_MMIO_BASE 0xfec00000ull
#define IOAPIC_MMIO_SIZE 0x1000ull

struct ioapic {
	struct vdev dev; /* its lock covers all below */
	struct apic_bus *bus;
	uint32_t select; /* IOREGSEL */
	uint32_t id;
	uint32_t lines;	 /* inputs asserted by their own devices now, one bit each */
	uint32_t shared; /* the same by PCI lines routed there */
	uint64_t entries[IOAPIC_PINS];
	struct saved_device saved;
};

#define IOAPIC_SAVED_VERSION 2u
struct ioapic_saved {
	uint32_t select;
	uint32_t id;
	uint32_t lines;
	uint32_t shared;
	uint64_t entries[IOAPIC_PINS];
};
_Static_assert(sizeof(struct ioapic_saved) == 208, "no padding");

/* Resets, and makes itself the receiver of the bus's EOIs. `bus` has been initialised. */
void ioapic_init(struct ioapic *io, struct apic_bus *bus);
/*
 * Asserts or releases an input (gsi below 24; others are ignored). `level` is the logical state:
 * the entry's polarity bit is kept for the guest and changes nothing. A rising edge at a masked
 * edge-triggered entry is lost, as in the 82093AA.
 */
void ioapic_set_line(struct ioapic *io, unsigned gsi, bool level);
/*
 * What PCI lines pull inputs 0 to 15 to, a bit each, as pic8259_set_shared. An input is up while
 * these or its own device pull it.
 */
void ioapic_set_shared(struct ioapic *io, uint16_t levels);
/* A level-triggered vector reached its EOI: entries with it may fire again. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);
/* Whether the last interrupt of an unmasked entry still waits in a LAPIC to be taken. */
bool ioapic_waiting(struct ioapic *io, unsigned gsi);
