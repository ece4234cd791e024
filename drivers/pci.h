/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's PCI functions: found through ECAM where ACPI names it, else through ports, across
 * bridges; their BARs, capabilities and interrupts. Firmware has assigned BARs already; one that it
 * has left out makes that function unusable, with a line in the log. Source: PCI Local Bus
 * Specification; PCI Express Base Specification.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/acpi.h"
#include "hv/base/status.h"

#define HOST_PCI_FUNCTIONS_MAX 256u
#define HOST_PCI_BARS 6u

struct host_pci_bar {
	uint64_t base; /* port or physical address; 0: not there or not assigned */
	uint64_t size; /* bytes; 0: not there, out of order, or the upper half of a 64-bit one */
	bool io;
	bool prefetch;
};

/* One function; what was read when it was found. */
struct host_pci {
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn; /* device << 3 | function */
	uint16_t vendor;
	uint16_t device;
	uint32_t class_code; /* base class << 16 | sub-class << 8 | interface */
	uint8_t revision;
	uint16_t subsystem_vendor;
	uint16_t subsystem;
	uint8_t irq_line; /* as firmware left it; 0 or 255: none */
	uint8_t irq_pin;  /* 1 .. 4; 0: none */
	struct host_pci_bar bars[HOST_PCI_BARS];
	void *ecam;	   /* its 4 KiB; NULL: through ports, 256 bytes */
	const char *owner; /* the driver that has it; NULL: nobody */
};

/* Finds all functions; once. `acpi` may be NULL. Returns how many there are. */
unsigned host_pci_scan(const struct acpi_info *acpi);
unsigned host_pci_count(void);
struct host_pci *host_pci_at(unsigned index);
/* "00:1f.2" (with "0001:" before it on other segments than 0) into buf of HOST_PCI_NAME_MAX. */
#define HOST_PCI_NAME_MAX 13u
void host_pci_name(const struct host_pci *f, char *buf);

/* Configuration space; size 1, 2 or 4. All-ones where nothing answers. */
uint32_t host_pci_read(const struct host_pci *f, unsigned reg, unsigned size);
void host_pci_write(const struct host_pci *f, unsigned reg, unsigned size, uint32_t value);
/* The place of a capability behind `after` (0: the first); 0 when there is none. */
unsigned host_pci_capability(const struct host_pci *f, uint8_t id, unsigned after);

/* Memory decoding, port decoding and bus mastering on, INTx off until it is asked for. */
void host_pci_enable(const struct host_pci *f);
/* Bus mastering and INTx off: the function reaches nothing any more. */
void host_pci_disable(const struct host_pci *f);
/*
 * Maps a memory BAR uncached, its first HOST_PCI_MAP_MAX bytes at most; NULL when it is absent, a
 * port BAR, smaller than `min_size`, or cannot be mapped.
 */
#define HOST_PCI_MAP_MAX 0x1000000ull
void *host_pci_map(const struct host_pci *f, unsigned bar, uint64_t min_size);

/*
 * Interrupts of a function: `fn(ctx, index)` is called for message `index` of 0 .. *count - 1, on
 * any CPU, with interrupts masked, outside of all locks. In order of preference MSI-X, MSI (one
 * message), the line that firmware assigned, polling by timer every millisecond; *count comes down
 * to what was got, 1 at least. Message i goes to CPU i modulo their number. Says in the log what
 * was chosen. HV_E_NO_MEMORY: no vector is left.
 */
enum hv_status host_pci_interrupts(struct host_pci *f, unsigned *count,
				   void (*fn)(void *ctx, unsigned index), void *ctx) HV_MUST_CHECK;
/* Whether its messages are MSI-X. */
bool host_pci_uses_msix(const struct host_pci *f);
