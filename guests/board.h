/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board of a guest's machine, a lean q35: all device models, wired to each other and put on the
 * VM's buses. One const table lists them. The board knows device models only; what the hypervisor
 * must do (stop the guest, wake a vCPU, show a character) goes out through callbacks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/board_lines.h"
#include "guests/devices/acpi_pm.h"
#include "guests/devices/cmos_rtc.h"
#include "guests/devices/debug_exit.h"
#include "guests/devices/dma8237.h"
#include "guests/devices/hpet.h"
#include "guests/devices/i8042.h"
#include "guests/devices/lapic.h"
#include "guests/devices/misc_ports.h"
#include "guests/devices/pci_device.h"
#include "guests/devices/pci_host.h"
#include "guests/devices/pci_window.h"
#include "guests/devices/pit8254.h"
#include "guests/devices/test_device.h"
#include "guests/devices/uart16550.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

/* What the board asks of the hypervisor. Called with a device's lock held, so they only set flags,
 * wake, or begin to stop. */
struct board_ops {
	void (*kick)(void *ctx, unsigned vcpu); /* an interrupt may be deliverable */
	/* One was posted: asked where a LAPIC was told to (lapic_use_post). */
	void (*notify)(void *ctx, unsigned vcpu);
	void (*nmi)(void *ctx, unsigned vcpu);
	void (*init)(void *ctx, unsigned vcpu);
	void (*startup)(void *ctx, unsigned vcpu, uint8_t vector);
	/* This vCPU, whose access is under way, waits for nothing but time: it may sleep until
	 * `rested`, or until it has an event to take. */
	void (*rest)(void *ctx, unsigned vcpu);
	void (*rested)(void *ctx, unsigned vcpu);
	void (*power_off)(void *ctx);
	/* S3: all vCPUs stop, their LAPICs as after power-on; the first goes on where firmware
	 * would. */
	void (*suspend)(void *ctx);
	void (*wake)(void *ctx);
	void (*set_suspended)(void *ctx, bool suspended); /* by a state that was loaded */
	void (*reset)(void *ctx, const char *how); /* `how`: which path, for the event line */
	void (*debug_exit)(void *ctx, uint32_t status);
	void (*test_synic)(void *ctx, uint32_t command); /* of the test device; may be NULL */
	void (*serial_output)(void *ctx, const char *data, size_t n);
	void (*serial_room)(void *ctx); /* input that was refused may be offered again */
};

struct board_config {
	struct vm *vm; /* whose memory it is */
	struct vtime *time;
	struct bus *pio;
	struct bus *mmio;
	struct saved_set *saved; /* gets the board's devices; may be NULL */
	unsigned vcpu_count;
	uint64_t memory; /* bytes, for the CMOS */
	bool serial;	 /* COM1 exists */
	bool vga;	 /* it gets a VGA (hv/guest_vga.h), and has a mouse */
	bool debug_exit;
	bool test_device;
	bool hpet;
	uint8_t floppies[2]; /* types of the drives as CMOS has them; 0: none */
	bool xapic_only;     /* the local APICs have no x2APIC mode */
	bool firmware;	     /* the guest starts in one, which programs the chipset */
	const struct board_ops *ops;
	void *ctx;
};

/* 00:02.0 to 00:1d.0; what lies above is the chipset's on a q35. */
#define BOARD_PCI_MAX 28u
/* Functions of the chipset's that a guest may have besides. */
#define BOARD_PCI_CHIPSET_MAX 4u

/* What becomes of a PCI device at the board's end. */
struct board_pci_owner {
	/* board_fini: timers cancelled, nothing outside knows the device any more. No vCPU of the
	 * VM runs. May be NULL. */
	void (*stop)(struct pci_device *d);
	/* board_release: timers that were on their way are over. May be NULL. */
	void (*release)(struct pci_device *d);
};

struct board_pci {
	struct pci_device *device;
	const struct board_pci_owner *owner;
};

struct board {
	struct board_config cfg;
	struct board_lines lines;
	struct apic_bus apic_bus;
	struct ioapic ioapic;
	struct pic8259 pic;
	struct pit8254 pit;
	struct hpet hpet;
	struct cmos_rtc rtc;
	struct acpi_pm pm;
	struct i8042 i8042;
	struct uart16550 com1;
	struct pci_host pci;
	struct pci_window pci_window;
	struct board_pci pci_devices[BOARD_PCI_MAX + BOARD_PCI_CHIPSET_MAX];
	unsigned pci_count;
	struct vdev *isa_device; /* that only some guests have; NULL: none was added */
	void (*isa_release)(struct vdev *dev);
	unsigned pci_slots; /* from 00:02.0 on that are taken */
	struct dma8237 dma;
	struct misc_ports misc;
	struct debug_exit debug_exit;
	struct test_device test;
	struct lapic lapics[]; /* cfg.vcpu_count of them */
};

/* Bytes of a board for that many vCPUs, with the test device's memory at its end if asked for. */
size_t board_size(unsigned vcpu_count, bool test_device);
/* `b` is zeroed memory of board_size() bytes for `cfg`. Puts all devices on the buses. */
enum hv_status board_init(struct board *b, const struct board_config *cfg) HV_MUST_CHECK;
/*
 * Stops all timers and PCI devices. When the timer functions on their way are over as well
 * (run_settle_timers), board_release, and the board may be freed.
 */
void board_fini(struct board *b);
void board_release(struct board *b);
/*
 * Sets where the next PCI device goes and how it is wired: host, devfn, message, message_ctx and
 * intx_line. HV_E_RANGE: all places are taken.
 */
enum hv_status board_place_pci(struct board *b, struct pci_device_config *cfg) HV_MUST_CHECK;
/* The same for a function of the chipset, whose place is fixed. */
void board_place_pci_at(struct board *b, unsigned devfn, struct pci_device_config *cfg);
/*
 * Takes a device that was set up (pci_device_init) in the place that board_place_pci or
 * board_place_pci_at told last; `saved`: its state, NULL: it has none. Before the guest runs.
 */
void board_add_pci(struct board *b, struct pci_device *d, struct saved_device *saved,
		   const struct board_pci_owner *owner);
/*
 * Takes a device of the ISA bus, of which a guest has at most one that is not the board's own:
 * board_fini calls its fini, board_release `release`. Before the guest runs.
 */
void board_add_isa(struct board *b, struct vdev *dev, void (*release)(struct vdev *dev));
/* The line of an ISA interrupt, for devices that are on the ISA bus only in some guests. */
struct irq_line board_isa_irq(struct board *b, unsigned irq);
/* Time of day, seconds since 1970, when guest time was 0. Before the guest runs. */
void board_set_wall_clock(struct board *b, uint64_t seconds);
/* An IDE disk, for what a BIOS tells of it: places count through the channels, from 0. */
void board_set_disk(struct board *b, unsigned place, const struct cmos_disk *disk);

/*
 * Leaves PCI as firmware does (guests/devices/pci_setup.h); when all devices are in place, before
 * the guest runs. `decode`: BARs are switched on.
 */
void board_set_firmware_state(struct board *b, bool decode);
/* Programs 8259s and timer as a BIOS leaves them; for kernels that expect one. */
void board_set_bios_state(struct board *b);

/* The vector to deliver to a vCPU now, -1 when none; an 8259's is not known yet: BOARD_EXTINT. */
int board_pending(const struct board *b, unsigned vcpu);
/* As board_pending without regard to the TPR. */
int board_requested(const struct board *b, unsigned vcpu);
/* Takes the interrupt that board_pending announced; returns its vector. */
uint8_t board_accept(struct board *b, unsigned vcpu);
/* Stands for an interrupt of the 8259 pair, whose vector the INTA cycle tells; TPR does not mask
 * it. */
#define BOARD_EXTINT 255

static inline struct lapic *board_lapic(struct board *b, unsigned vcpu)
{
	return &b->lapics[vcpu];
}

/* Bytes for COM1; returns how many it took. */
size_t board_serial_input(struct board *b, const char *data, size_t n);
/* A break on COM1; false: there is none, or it has no room. */
bool board_serial_break(struct board *b);
void board_press_power_button(struct board *b);
/* Whoever asks for an NMI by hand: LINT1 of all CPUs, unless port 0x70 keeps it out. */
void board_nmi(struct board *b);
