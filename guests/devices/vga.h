/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard VGA as a device: PCI function 1234:1111 with its BARs, the legacy ports and the
 * legacy window. Drivers: QemuVideoDxe of OVMF, the stdvga build of SeaBIOS' VGA BIOS, Linux'
 * bochs, and whatever knows a VGA.
 *
 *	BAR 0   video memory			ports 0x3b0-0x3df    VGA registers
 *	BAR 2   0x400 VGA registers 0x3c0-0x3df	ports 0x1ce-0x1d1    DISPI index and data
 *		0x500 DISPI registers		0xa0000-0xbffff      video memory, through the modes
 *		0x600 size, byte order
 *
 * Where an access to video memory needs no model, the guest is shown the memory itself (`show`);
 * not while some of it is still to be cleared.
 *
 * Source for the PCI part: QEMU, "QEMU Standard VGA".
 */
#pragma once

#include "guests/devices/pci_device.h"
#include "guests/devices/vga_clear.h"
#include "guests/devices/vga_saved.h"
#include "guests/devices/vga_state.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define VGA_MEMORY_MIN 0x40000u
#define VGA_MEMORY_MAX (VGA_CHUNK * VGA_CHUNKS_MAX)
#define VGA_MMIO_BYTES 0x1000u

#define VGA_BAR_MEMORY 0u
/* What the window shows in text mode. */
#define VGA_TEXT_BYTES 0x8000u

/* Addresses at which a guest sees video memory by itself. */
enum vga_view {
	VGA_VIEW_FRAMEBUFFER, /* BAR 0 */
	VGA_VIEW_WINDOW,      /* 64 KiB at 0xa0000, or 32 KiB at 0xb0000 or 0xb8000 */
	VGA_VIEWS,
};

struct vga_config {
	struct vtime *time;
	struct pci_host *host;
	unsigned devfn;
	/* Reachable whenever an access is made to the device. */
	struct vga_memory memory;
	/* VGA_TEXT_BYTES, likewise: what `show` means by the bytes behind the memory. May be NULL.
	 */
	uint8_t *text;
	/*
	 * From now on `size` bytes of video memory from `offset` on are to be seen at `address`,
	 * and nowhere else of this view; size 0: nowhere. Both are multiples of 4 KiB. What is not
	 * shown is emulated. When it returns, no vCPU reaches memory any more where it was. The
	 * device's or the host's lock is held. May be NULL.
	 */
	void (*show)(void *ctx, enum vga_view view, uint64_t address, uint32_t offset,
		     uint32_t size);
	void *ctx;
};

/* What a view shows, as `show` is told. */
struct vga_window {
	uint64_t address;
	uint32_t offset;
	uint32_t size;
};

struct vga {
	struct vdev dev; /* its lock covers all but `pci` and `cfg` */
	struct pci_device pci;
	struct vga_config cfg;
	struct vga_state state;
	struct vga_clear clear;
	uint64_t clear_next; /* guest time in ns: from then on registers clear, too */
	/* As vga_clear_pending when views were last looked at; for those who have not the lock. */
	_Atomic bool clearing;
	struct vga_window window;
	unsigned text_bytes; /* accessed by emulation since the window is text and not shown */
	struct saved_device saved;
};

#define VGA_SAVED_VERSION 1u
struct vga_saved {
	struct pci_device_saved pci;
	struct vga_state_saved state;
};
_Static_assert(sizeof(struct vga_saved) == 2208, "no padding");

/*
 * Power-on state; adds the function to the host. The vdev serves three ranges: VGA_PORTS_COUNT
 * ports at VGA_PORTS, VGA_DISPI_PORTS at VGA_DISPI_PORT_INDEX, and LAYOUT_VIDEO_SIZE bytes of MMIO
 * at LAYOUT_VIDEO_BASE. Errors as pci_device_init; HV_E_INVALID for a memory size that is no power
 * of two, or not in VGA_MEMORY_MIN .. VGA_MEMORY_MAX.
 */
enum hv_status vga_init(struct vga *v, const struct vga_config *cfg) HV_MUST_CHECK;
/* The registers as they are now, to draw from, and memory made to fit, which is reachable: with the
 * screen off while memory is cleared. */
void vga_copy_state(struct vga *v, struct vga_state *out);
