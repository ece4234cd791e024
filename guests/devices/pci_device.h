/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI device model: a function in configuration space, its BARs as handlers, and its interrupts:
 * MSI-X messages, or while those are off INTx or one MSI in its place. Embedded by virtio devices,
 * AHCI, NVMe and the like.
 *
 *	model's lock -> host's lock (pci_host) -> msix_lock -> message(), the interrupt line
 *
 * Locking: the host's lock covers configuration space; bar_read and bar_write are called without
 * it. What a model asks for while it works (bus mastering, whether messages are on) is published in
 * atomics.
 *
 * Below D0 the function decodes no BAR, is no bus master and interrupts nobody; it keeps its state
 * (No_Soft_Reset), and what was to be told is told in D0. Messages wait likewise while the guest
 * forbids bus mastering, as they are writes to memory.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/pci_config.h"
#include "guests/devices/pci_host.h"
#include "guests/devices/pci_rom.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/base/lock.h"
#include "hv/base/status.h"

#define PCI_MSIX_VECTORS_MAX 64u

struct pci_device;

struct pci_device_ops {
	const char *name; /* "virtio-blk": for `info` and the log */
	/* Accesses to a BAR of the model's own (not the one with the MSI-X table); `size` is 1, 2,
	 * 4 or (memory) 8, and the access ends inside the BAR. No lock is held. */
	uint64_t (*bar_read)(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size);
	void (*bar_write)(struct pci_device *d, unsigned bar, uint64_t offset, unsigned size,
			  uint64_t value);
	/* To the state after power-on: reset of the machine, function-level reset. No lock held. */
	void (*reset)(struct pci_device *d);
	/* The guest switched bus mastering on or off. Host's lock held: the model's own must not be
	 * taken. May be NULL. */
	void (*master_changed)(struct pci_device *d, bool master);
	/* As in struct pci_function_ops; may be NULL. */
	void (*window)(struct pci_device *d, bool write);
	/* A BAR appeared, moved or vanished, see d->function.bars[bar]. Host's lock held, as above.
	 * May be NULL. */
	void (*bar_changed)(struct pci_device *d, unsigned bar);
};

struct pci_msix_entry {
	uint64_t address;
	uint32_t data;
	uint32_t control; /* bit 0: masked */
};

struct pci_device {
	const struct pci_device_ops *ops;
	struct pci_host *host;
	unsigned devfn;
	struct pci_function function; /* under the host's lock */
	struct pci_extended extended; /* only when it is a PCI Express function */
	/* Published. */
	_Atomic bool master;
	_Atomic bool ports;	  /* decodes ports */
	_Atomic bool msix_on;	  /* enabled */
	_Atomic bool msix_masked; /* the function as a whole, or it may not write to memory */
	_Atomic bool intx_asserted;
	/* Under the host's lock. */
	bool intx_level;     /* of the line */
	bool msi_told;	     /* the interrupt that lasts was sent as a message */
	bool reset_asked;    /* function-level reset, to be done without the lock */
	uint8_t power_state; /* 0: D0, 3: D3hot */
	/* Where a message goes: apic_bus_msi. False: nobody took it. */
	bool (*message)(void *ctx, uint64_t address, uint32_t data);
	void *message_ctx;
	struct irq_line intx;
	struct pci_rom rom; /* const */
	unsigned msix_bar;  /* 0 .. 5; meaningful when msix_count > 0 */
	unsigned msix_count;
	/* Places in configuration space. */
	unsigned reset_register; /* and the bit in it that asks for function-level reset */
	uint32_t reset_bit;
	unsigned power_capability;
	unsigned msi_capability; /* 0: none */
	unsigned msix_capability;
	struct spinlock msix_lock; /* the table, and all that decides whether a message goes */
	struct pci_msix_entry msix[PCI_MSIX_VECTORS_MAX];
	uint64_t msix_pending; /* a bit per vector */
};

struct pci_device_config {
	const struct pci_device_ops *ops;
	struct pci_identity identity;
	struct pci_host *host;
	unsigned devfn;
	unsigned msix_count; /* 0 .. PCI_MSIX_VECTORS_MAX; table and PBA get a BAR of 4 KiB */
	unsigned msix_bar;
	bool intx; /* has INTA */
	bool msi;  /* has one MSI, sent by pci_device_intx */
	/* Where registers of the model's own end, from 0x40 on, in configuration space; or 0. */
	unsigned registers_end;
	/*
	 * A PCI Express endpoint, for devices whose specification asks for one (NVMe). Otherwise a
	 * conventional function: a system looks for some twenty capabilities in the extended
	 * configuration space of the former, each an emulated access.
	 */
	bool express;
	/* Connections of the board. */
	bool (*message)(void *ctx, uint64_t address, uint32_t data);
	void *message_ctx;
	struct irq_line intx_line;
	struct pci_rom rom; /* size 0: none */
};

/*
 * Sets up configuration space with capabilities (PCI Express endpoint of the root complex, or
 * advanced features, both with FLR; power management; MSI-X). The model then declares its BARs and
 * further capabilities with pci_function_* on d->function. HV_E_RANGE: too many vectors;
 * HV_E_INVALID: there is no such BAR for their table, or a ROM that pci_rom_problem finds fault
 * with.
 */
enum hv_status pci_device_init(struct pci_device *d,
			       const struct pci_device_config *cfg) HV_MUST_CHECK;
/*
 * Adds the function to the host, before the guest runs: the last step of a model's set-up, as what
 * was added stays. HV_E_EXISTS, HV_E_RANGE as pci_host_add.
 */
enum hv_status pci_device_add(struct pci_device *d) HV_MUST_CHECK;

/* Whether the device may reach into memory and send messages. */
static inline bool pci_device_is_master(const struct pci_device *d)
{
	return atomic_load_explicit(&d->master, memory_order_acquire);
}

/* Whether it answers at ports; for those that no BAR says. */
static inline bool pci_device_decodes_ports(const struct pci_device *d)
{
	return atomic_load_explicit(&d->ports, memory_order_acquire);
}

/* Whether interrupts are MSI-X messages now. */
static inline bool pci_device_uses_msix(const struct pci_device *d)
{
	return atomic_load_explicit(&d->msix_on, memory_order_acquire);
}

/*
 * Sends the vector's message, or keeps it pending while it is masked. Out of range, or messages
 * off: nothing. May be called with the model's lock held.
 */
void pci_device_msix(struct pci_device *d, unsigned vector);
/*
 * The level of INTA; kept while INTx is off or MSI-X is on, and shown in the status register. While
 * the guest has MSI on, a rise is a message instead. For a given device from one place at a time:
 * with the model's lock held.
 */
void pci_device_intx(struct pci_device *d, bool level);

/* The model has no such register, command …: as vdev_lacks. With any of its locks held. */
static inline void pci_device_lacks(const struct pci_device *d, enum lacks_kind kind, uint64_t what)
{
	lacks_note(d->host->dev.lacks, d->ops->name, kind, (uint32_t)what);
}

/* Saved state: a part of the struct of each model that embeds a pci_device. */
struct pci_device_saved {
	struct pci_function_saved function;
	struct pci_msix_entry msix[PCI_MSIX_VECTORS_MAX];
	uint64_t msix_pending;
	uint8_t intx_asserted;
	uint8_t msi_told;
	uint8_t zero[6];
};
_Static_assert(sizeof(struct pci_device_saved) == 1296, "no padding");

/*
 * As in struct saved_ops; the model's own lock is not held. Loading calls master_changed and
 * bar_changed for what differs from before, and pulls the interrupt line: the model loads its own
 * state first, and does not call pci_device_intx for it.
 */
void pci_device_save(struct pci_device *d, struct pci_device_saved *out);
const char *pci_device_check(const struct pci_device *d, const struct pci_device_saved *in);
void pci_device_load(struct pci_device *d, const struct pci_device_saved *in);
/* To the state after power-on, the model with it (ops->reset). No lock held. */
void pci_device_reset(struct pci_device *d);
