/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AHCI host bus adapter with two ports, a disk at port 1, on the fake PCI bus. IDENTIFY is done
 * at once; other commands stay in the registers until a test ends them, in the order and with the
 * outcome it wants. What breaks the specification's rules aborts the test.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/fakes/fake_pci.h"

#define FAKE_AHCI_PORTS 2u
#define FAKE_AHCI_DISK 1u /* the port with the disk */
#define FAKE_AHCI_BYTES (1u << 20)

struct fake_ahci_port {
	uint32_t clb, clbu, fb, fbu, is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
	unsigned link_resets;
};

struct fake_ahci {
	struct fake_pci pci;
	uint32_t cap, ghc, is, cap2, bohc;
	struct fake_ahci_port ports[FAKE_AHCI_PORTS];
	uint16_t identify[256];
	uint8_t disk[FAKE_AHCI_BYTES];
	unsigned resets;
	unsigned flushed;
	uint64_t trimmed_ranges, trimmed_blocks, trimmed_first;
	/* Misbehaviour. */
	bool never_resets;
	bool never_stops; /* the engine keeps running */
	bool half_linked; /* a device shows at the port without a disk, and no link comes */
	bool no_link;	  /* after the next link reset */
	bool identify_fails;
	bool identify_silent;
};

/* A disk of 1 MiB with NCQ of 32, TRIM and sectors of 512 bytes. MSI. */
void fake_ahci_add(struct fake_ahci *a, unsigned devfn);
/* Commands that the disk has, as a mask of slots. */
uint32_t fake_ahci_open(const struct fake_ahci *a);
/* The command's code, its FIS checked against its kind. */
uint8_t fake_ahci_command(struct fake_ahci *a, unsigned slot);
/* Moves the command's data and ends it well; no interrupt yet. */
void fake_ahci_finish(struct fake_ahci *a, unsigned slot);
/* The command fails: the slot stays, the engine halts. */
void fake_ahci_error(struct fake_ahci *a, unsigned slot);
bool fake_ahci_interrupt(struct fake_ahci *a, uint32_t events);
/* Ends everything, also what is started meanwhile, with interrupts. Returns how many. */
unsigned fake_ahci_run(struct fake_ahci *a);
