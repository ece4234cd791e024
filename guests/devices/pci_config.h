/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration space of one PCI function: values, which bits the guest may write, which it
 * clears by writing one, and what they were at reset; BARs and the capability list on top. A device
 * model embeds a struct pci_function and declares its registers once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/pci_format.h"
#include "hv/base/status.h"

#define PCI_EXTENDED_BYTES (PCI_EXPRESS_BYTES - PCI_CONFIG_BYTES)
#define PCI_BARS 6u
#define PCI_WINDOW_BYTES 4u
/* The expansion ROM's base address register, in the place of a seventh BAR. */
#define PCI_BAR_ROM PCI_BARS
#define PCI_BARS_AND_ROM (PCI_BARS + 1)

enum pci_plane { PCI_VALUE, PCI_INITIAL, PCI_WRITABLE, PCI_PLANES };

/* Bytes 256 .. 4095 of a PCI Express function. */
struct pci_extended {
	uint8_t plane[PCI_PLANES][PCI_EXTENDED_BYTES];
};

struct pci_bar {
	uint64_t size;	  /* 0: no such BAR, or the upper half of a 64-bit one */
	uint8_t flags;	  /* PCI_BAR_*: the constant low bits */
	bool mapped;	  /* decoded at present */
	uint64_t address; /* meaningful while mapped */
};

struct pci_function;

/* Each may be NULL; the last two only together. */
struct pci_function_ops {
	/* With the host's lock held: a BAR appeared, moved or vanished, see f->bars[bar]. */
	void (*bar_changed)(struct pci_function *f, unsigned bar);
	/* With the host's lock held: the guest changed one of the bytes reg .. reg + size - 1. */
	void (*written)(struct pci_function *f, unsigned reg, unsigned size);
	/* No lock held, after a write that `written` was called for: what takes other locks. */
	void (*settle)(struct pci_function *f);
	/* No lock held: all registers were reset with the machine. */
	void (*reset)(struct pci_function *f);
	/* No lock held: the guest is about to read the bytes of f->window, or has written to them.
	 * May be NULL where there is none. */
	void (*window)(struct pci_function *f, bool write);
	/* No lock held: an access that lies in a decoded BAR; `size` is 1, 2, 4 or (memory) 8. */
	uint64_t (*bar_read)(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size);
	void (*bar_write)(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
			  uint64_t value);
};

/* Covered by the lock of the pci_host it is added to. */
struct pci_function {
	const struct pci_function_ops *ops;
	uint8_t plane[PCI_PLANES][PCI_CONFIG_BYTES];
	struct pci_extended *extended; /* NULL: conventional PCI, reads all-ones there */
	struct pci_bar bars[PCI_BARS_AND_ROM];
	uint16_t capability_end;  /* first byte behind the last capability */
	uint16_t capability_last; /* where the next one is linked from */
	uint16_t window; /* const: a register of PCI_WINDOW_BYTES that stands for others, or 0 */
	bool quiet;	 /* decodes no BAR, whatever the command register says */
};

struct pci_identity {
	uint16_t vendor;
	uint16_t device;
	uint32_t class_code; /* base class << 16 | sub-class << 8 | interface */
	uint8_t revision;
	uint16_t subsystem_vendor;
	uint16_t subsystem;
};

/* All registers read-only and zero but the identity. `ops` and `extended` may be NULL. */
void pci_function_init(struct pci_function *f, const struct pci_identity *id,
		       const struct pci_function_ops *ops, struct pci_extended *extended);
/*
 * Declares a register of 1, 2 or 4 bytes inside the space: its value at reset and the bits that
 * the guest may write. Declaring again replaces.
 */
void pci_function_define(struct pci_function *f, unsigned reg, unsigned size, uint32_t value,
			 uint32_t writable);
/*
 * Declares BAR 0..5 of `size` bytes, a power of two; `flags` are PCI_BAR_*. A 64-bit BAR takes
 * the next one too. HV_E_INVALID for what the format cannot say, HV_E_EXISTS when taken.
 */
enum hv_status pci_function_add_bar(struct pci_function *f, unsigned bar, uint8_t flags,
				    uint64_t size) HV_MUST_CHECK;
/*
 * Declares the expansion ROM's register, for `size` bytes, a power of two from 2 KiB to 16 MiB. It
 * is decoded while its own enable bit and memory space are on, and answers as BAR PCI_BAR_ROM.
 * HV_E_INVALID for other sizes.
 */
enum hv_status pci_function_add_rom(struct pci_function *f, uint64_t size) HV_MUST_CHECK;
/*
 * Says that the function has ports of its own, outside of BARs: their bit in the command register
 * can be written then. Firmware takes a display without that bit for one that is switched off.
 */
void pci_function_add_ports(struct pci_function *f);
/* INTA .. INTD as 1 .. 4; makes the interrupt line register writable. */
void pci_function_set_pin(struct pci_function *f, uint8_t pin);
/* Keeps what is below `end` (up to 256) for registers of the model's own: no capability goes there.
 */
void pci_function_keep_free(struct pci_function *f, unsigned end);
/*
 * Appends a capability of `size` bytes (header included) to the list; its registers are then
 * defined at *at. HV_E_RANGE when the first 256 bytes are full.
 */
enum hv_status pci_function_add_capability(struct pci_function *f, uint8_t id, unsigned size,
					   unsigned *at) HV_MUST_CHECK;

/* A device's own change of a register while the guest runs. */
void pci_function_set(struct pci_function *f, unsigned reg, unsigned size, uint32_t value);

/* Whether BARs may be decoded: not in the power states below D0. */
void pci_function_set_quiet(struct pci_function *f, bool quiet);

/* The guest's accesses; any reg and size 1..8. Bytes outside the space read all-ones. */
uint64_t pci_function_read(const struct pci_function *f, unsigned reg, unsigned size);
/* True when a register has changed. */
bool pci_function_write(struct pci_function *f, unsigned reg, unsigned size, uint64_t value);
/* To the declared values and D0; BARs vanish. */
void pci_function_reset(struct pci_function *f);

/* Saved state: bytes 0 to 255. No function has anything to write behind them. */
struct pci_function_saved {
	uint8_t value[PCI_CONFIG_BYTES];
};
_Static_assert(sizeof(struct pci_function_saved) == 256, "no padding");

/* As in struct saved_ops. What a device sets by itself (INTx in the status register) is left out.
 */
void pci_function_save(const struct pci_function *f, struct pci_function_saved *out);
const char *pci_function_check(const struct pci_function *f, const struct pci_function_saved *in);
/* BARs are as after pci_function_set_quiet(f, quiet). */
void pci_function_load(struct pci_function *f, const struct pci_function_saved *in, bool quiet);
