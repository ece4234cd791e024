/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register writes, accesses to the window and BARs, and rows drawn, in any order. No access may
 * leave the video memory, no row its width; where the window is shown as plain memory, an emulated
 * access finds the same.
 */
#include <stdlib.h>
#include <string.h>

#include "guests/devices/pci_window.h"
#include "guests/devices/vga.h"
#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_planes.h"
#include "guests/devices/vga_regs.h"
#include "guests/devices/vga_screen.h"
#include "guests/layout.h"
#include "tests/fakes/device_rig.h"
#include "tests/fuzz/device_input.h"

#define BAR0 0xc8000000u
#define BAR2 0xc9000000u
#define ROWS 8u

static struct device_rig rig;
static struct pci_host host;
static struct pci_window window;
static struct vga v;
static uint8_t *memory; /* on the heap: what lies around it is poisoned */
static uint32_t memory_size;

static struct {
	uint32_t offset, size;
} shown;
static bool framebuffer_shown;

static void show(void *ctx, enum vga_view view, uint64_t address, uint32_t offset, uint32_t size)
{
	(void)ctx;
	(void)address;
	assert((uint64_t)offset + size <= memory_size && (offset | size) % 0x10000 == 0);
	if (view == VGA_VIEW_WINDOW) {
		assert(address == LAYOUT_VIDEO_BASE);
		shown.offset = offset;
		shown.size = size;
	} else {
		framebuffer_shown = size != 0;
	}
}

static void set_config(unsigned reg, uint32_t value)
{
	struct vdev_access a = {.space = BUS_MMIO, .size = 4};

	a.offset = LAYOUT_DEVFN_VGA * PCI_EXPRESS_BYTES + reg;
	host.dev.ops->write(&host.dev, &a, value);
}

static void draw(struct input *in)
{
	unsigned blink = (unsigned)take(in, 1) & 3;
	struct vga_state state;
	struct vga_mode mode;
	uint32_t *row;

	vga_copy_state(&v, &state);
	vga_mode_of(&state, &mode);
	assert(mode.width >= 1 && mode.width <= VGA_WIDTH_MAX);
	assert(mode.height >= 1 && mode.height <= VGA_HEIGHT_MAX);
	row = malloc(mode.width * sizeof(*row));
	assert(row != NULL);
	for (uint32_t i = 0; i < ROWS; i++) {
		uint32_t y = i == 0 ? mode.height - 1 : (uint32_t)take(in, 2) % mode.height;

		vga_row(&state, &v.cfg.memory, &mode, y, blink, row);
		for (uint32_t x = 0; x < mode.width; x++) {
			assert(row[x] <= 0xffffff);
		}
	}
	free(row);
}

/* Everything emulated must find what the guest finds by itself. */
static void compare_window(uint32_t offset)
{
	if (offset < shown.size) {
		uint64_t value = rig_read(&v.dev, BUS_MMIO, LAYOUT_VIDEO_BASE + offset, 1);

		assert(value == memory[shown.offset + offset]);
	}
}

static void access_window(struct input *in, bool write)
{
	unsigned size = take_size(in);
	uint32_t offset = (uint32_t)(take(in, 3) % (LAYOUT_VIDEO_SIZE - size + 1));

	if (write) {
		rig_write(&v.dev, BUS_MMIO, LAYOUT_VIDEO_BASE + offset, size, take(in, size));
	} else {
		(void)rig_read(&v.dev, BUS_MMIO, LAYOUT_VIDEO_BASE + offset, size);
	}
	compare_window(offset);
}

static void access_port(struct input *in, uint16_t first, uint16_t count, bool write)
{
	unsigned size = take_size(in);
	uint16_t port = (uint16_t)(first + take(in, 1) % (count - size + 1));

	if (write) {
		rig_write(&v.dev, BUS_PIO, port, size, take(in, size));
	} else {
		(void)rig_read(&v.dev, BUS_PIO, port, size);
	}
}

static void access_mmio(struct input *in)
{
	unsigned size = take_size(in);
	uint64_t addr = BAR2 + take(in, 2) % (VGA_MMIO_BYTES - size + 1);

	(void)rig_read(&window.dev, BUS_MMIO, addr, size);
	rig_write(&window.dev, BUS_MMIO, addr, size, take(in, size));
}

/* What is written is there, cleared as the rest may be meanwhile. */
static void access_framebuffer(struct input *in)
{
	unsigned size = take_size(in);
	uint64_t addr = BAR0 + take(in, 3) % (memory_size - size + 1);
	uint64_t value = take(in, size);

	(void)rig_read(&window.dev, BUS_MMIO, addr, size);
	rig_write(&window.dev, BUS_MMIO, addr, size, value);
	assert(rig_read(&window.dev, BUS_MMIO, addr, size) == value);
	assert(memcmp(memory + (addr - BAR0), &value, size) == 0);
}

/* Registers at once: modes that single writes hardly come to. */
static void fill_registers(struct input *in)
{
	for (unsigned i = 0; i < VGA_CRTC_COUNT; i++) {
		rig_write(&v.dev, BUS_PIO, 0x3d4, 2, i | take(in, 1) << 8);
	}
	for (unsigned i = 0; i < 5; i++) {
		rig_write(&v.dev, BUS_PIO, 0x3c4, 2, i | take(in, 1) << 8);
	}
	for (unsigned i = 0; i < 9; i++) {
		rig_write(&v.dev, BUS_PIO, 0x3ce, 2, i | take(in, 1) << 8);
	}
}

static void set_dispi(struct input *in)
{
	rig_write(&v.dev, BUS_PIO, VGA_DISPI_PORT_INDEX, 2, take(in, 1) % 16);
	rig_write(&v.dev, BUS_PIO, VGA_DISPI_PORT_DATA, 2, take(in, 2));
}

static void step(struct input *in)
{
	switch (take(in, 1) % 10) {
	case 0:
		access_port(in, VGA_PORTS, VGA_PORTS_COUNT, true);
		break;
	case 1:
		access_port(in, VGA_PORTS, VGA_PORTS_COUNT, false);
		break;
	case 2:
		access_port(in, VGA_DISPI_PORT_INDEX, VGA_DISPI_PORTS, true);
		break;
	case 3:
		set_dispi(in);
		break;
	case 4:
		access_window(in, true);
		break;
	case 5:
		access_window(in, false);
		break;
	case 6:
		access_mmio(in);
		break;
	case 7:
		fill_registers(in);
		break;
	case 8:
		access_framebuffer(in);
		break;
	default:
		rig_advance(&rig, take_ticks(in));
		draw(in);
		break;
	}
	assert(framebuffer_shown != vga_clear_pending(&v.clear));
	assert(shown.size == 0 || !vga_clear_pending(&v.clear));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pci_host_config cfg = {.ecam_base = LAYOUT_ECAM_BASE};
	struct input in = {data, size};
	struct vga_config vga = {
		.time = &rig.time, .host = &host, .devfn = LAYOUT_DEVFN_VGA, .show = show};

	rig_init(&rig, 1000000000);
	memset(&shown, 0, sizeof(shown));
	memory_size = VGA_MEMORY_MIN << take(&in, 1) % 5;
	memory = malloc(memory_size);
	assert(memory != NULL);
	memset(memory, 0x5a, memory_size);
	vga.memory = (struct vga_memory){memory, memory_size};
	pci_host_init(&host, &cfg);
	pci_window_init(&window, &host);
	assert(vga_init(&v, &vga) == HV_OK);
	set_config(PCI_BAR0, BAR0);
	set_config(PCI_BAR0 + 8, BAR2);
	set_config(PCI_COMMAND, PCI_COMMAND_MEMORY);
	rig_out(&v.dev, 0x3c2, VGA_MISC_COLOUR | VGA_MISC_RAM);
	for (unsigned steps = 0; in.n != 0 && steps < 500; steps++) {
		step(&in);
	}
	draw(&in);
	free(memory);
	return 0;
}
