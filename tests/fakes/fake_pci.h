/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for tests of device drivers: memory, a clock that tests move, timers, a local APIC, an
 * I/O APIC, and PCI functions whose BARs are models. Messages and lines go through what the driver
 * has programmed, so a wrong address, vector or mask is an interrupt that does not arrive.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drivers/acpi.h"
#include "hv/api/timer.h"

#define FAKE_PCI_HZ 1000000000ull /* one tick is a nanosecond */
#define FAKE_PCI_MEMORY (32ull << 20)
#define FAKE_PCI_ECAM 0xe0000000ull
#define FAKE_PCI_BUSES 16u
#define FAKE_PCI_MSIX_MAX 64u
#define FAKE_PCI_LINES 24u

struct fake_pci {
	uint8_t bus;
	uint8_t devfn;
	uint8_t config[4096];
	uint64_t bar_size[6]; /* 0: none, or the upper half */
	unsigned caps_end;    /* where the next capability goes */
	unsigned msix_bar;
	uint32_t msix_offset;
	unsigned msix_count;
	uint32_t msix[FAKE_PCI_MSIX_MAX][4];
	/* Accesses to the BARs but for the MSI-X table. */
	uint32_t (*read)(void *ctx, unsigned bar, uint64_t offset, unsigned size);
	void (*write)(void *ctx, unsigned bar, uint64_t offset, unsigned size, uint32_t value);
	void *ctx;
	unsigned live_sizings; /* BARs were written while they were decoded: never right */
	unsigned messages;     /* that arrived */
	bool gone;	       /* pulled out: reads are all-ones */
};

struct fake_pci_machine {
	struct acpi_info acpi; /* with one ECAM window, unless taken away */
	struct timer_queue timers;
	unsigned eois;
	uint32_t redirection[2 * FAKE_PCI_LINES];
	uint32_t ioapic_index;
};
extern struct fake_pci_machine fake_pci_machine;

/* The machine with `cpus` CPUs (APIC IDs 0, 1 ...) online, without any function. */
void fake_pci_reset(unsigned cpus);
/* `f` must live on; it is cleared. `devfn`: device << 3 | function. */
void fake_pci_add(struct fake_pci *f, unsigned bus, unsigned devfn, uint32_t id,
		  uint32_t class_code);
/* A 64-bit memory BAR; with `bar` 5 one of 32 bits. */
void fake_pci_bar(struct fake_pci *f, unsigned bar, uint64_t base, uint64_t size);
/* Returns its place; `size` includes the two bytes of the header. */
unsigned fake_pci_capability(struct fake_pci *f, uint8_t id, unsigned size);
void fake_pci_msix(struct fake_pci *f, unsigned bar, uint32_t offset, unsigned count);
void fake_pci_put(struct fake_pci *f, unsigned reg, unsigned size, uint32_t value);
uint32_t fake_pci_get(const struct fake_pci *f, unsigned reg, unsigned size);

/* The function sends message `index`, MSI-X or MSI; false when it goes nowhere. */
bool fake_pci_message(struct fake_pci *f, unsigned index);
/* The line is asserted, once; false when it is masked. */
bool fake_pci_line(unsigned line);
/* Whether the function may reach into memory. */
bool fake_pci_is_master(const struct fake_pci *f);
/* Moves the clock on in steps of `step` ns, running timers. */
void fake_pci_pass(uint64_t ns, uint64_t step);
/* The bytes at physical `address`; aborts unless all of them are memory. */
void *fake_pci_dma(uint64_t address, uint64_t size);
