/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expansion ROM of a PCI function: a file with code for firmware to run, as a network card's
 * boot program. Source: PCI Local Bus Specification, "PCI Expansion ROMs".
 *
 *	0	       image	      image (the last)		   file's end	BAR's end
 *	| 55 aa .. PCIR | 55 aa .. PCIR |	whatever follows	| all-ones	|
 *
 * The file comes from the stick, so that it is checked before a guest can see it. Here nothing runs
 * it; the check is for people, who learn why firmware would pass over it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/pci_format.h"

struct pci_rom {
	const uint8_t *data; /* outlives the function, and does not change */
	uint64_t size;	     /* 0: none */
	/*
	 * From now on the guest is to see the bytes at `address`, or nowhere, without an exit where
	 * it can be shown memory; what it reads all the same comes to pci_rom_read. Writes do
	 * nothing. The PCI host's lock is held. May be NULL.
	 */
	void (*show)(void *ctx, uint64_t address, bool mapped);
	void *ctx;
};

/* What its code is for. */
struct pci_rom_card {
	uint16_t vendor;
	uint16_t device;
};

/*
 * NULL when the ROM is a chain of whole images, up to one that says it is the last, and one of them
 * is for this card; otherwise what is wrong, as the end of a sentence. Reads no byte outside of it.
 */
const char *pci_rom_problem(const struct pci_rom *rom, const struct pci_rom_card *card);
/* Bytes of address space for the ROM, a power of two; its size is 1 .. PCI_ROM_BYTES_MAX. */
uint64_t pci_rom_space(const struct pci_rom *rom);
/* A read of 1 .. 8 bytes; what is behind the file's end reads all-ones. */
uint64_t pci_rom_read(const struct pci_rom *rom, uint64_t offset, unsigned size);
