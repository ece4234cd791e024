/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register writes, accesses to the window and BARs, and rows drawn, in any order. No access may
 * leave the video memory, no row its width; where the window is shown as plain memory, an emulated
 * access finds the same. A second VGA is shown nothing, so that it emulates each access: both have
 * the same contents.
 */
#include <stdlib.h>
#include <string.h>

#include "guests/devices/pci_window.h"
#include "guests/devices/vga.h"
#include "guests/devices/vga_dispi.h"
#include "guests/devices/vga_planes.h"
#include "guests/devices/vga_regs.h"
#include "guests/devices/vga_screen.h"
#include "guests/devices/vga_views.h"
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
static uint8_t *text;
static uint32_t memory_size;
static struct pci_host plain_host;
static struct vga plain; /* without views */
static uint8_t *plain_memory;

static struct vga_window shown;
static bool framebuffer_shown;

static void show(void *ctx, enum vga_view view, uint64_t address, uint32_t offset, uint32_t size)
{
	(void)ctx;
	assert((uint64_t)offset + size <= memory_size + VGA_TEXT_BYTES);
	assert((offset | size) % 0x1000 == 0);
	if (view == VGA_VIEW_WINDOW) {
		shown = (struct vga_window){address, offset, size};
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

/* What the guest reaches by itself at an address of the window; NULL: nothing. */
static uint8_t *reached(uint64_t addr)
{
	if (addr - shown.address >= shown.size) {
		return NULL;
	}
	return shown.offset == memory_size ? text + (addr - shown.address)
					   : memory + shown.offset + (addr - shown.address);
}

/* Reading memory that is shown does not fill the latches. */
static void copy_latch(void)
{
	v.state.latch = plain.state.latch;
}

/* As the guest does, without an exit where it can. */
static void write_window(uint64_t addr, uint8_t value)
{
	uint8_t *byte = reached(addr);

	if (byte != NULL) {
		*byte = value;
	} else {
		rig_write(&v.dev, BUS_MMIO, addr, 1, value);
	}
	rig_write(&plain.dev, BUS_MMIO, addr, 1, value);
}

/* Everything emulated must find what the guest finds by itself. */
static void read_window(uint64_t addr)
{
	uint64_t value = rig_read(&v.dev, BUS_MMIO, addr, 1);
	const uint8_t *byte = reached(addr);

	assert(byte == NULL || *byte == value);
	assert(rig_read(&plain.dev, BUS_MMIO, addr, 1) == value);
	copy_latch();
}

/* Some bytes in a row, so that text comes to be shown. */
static void access_window(struct input *in, bool write)
{
	unsigned count = (unsigned)take(in, 1);
	uint64_t addr = LAYOUT_VIDEO_BASE + take(in, 3) % (LAYOUT_VIDEO_SIZE - count);
	uint8_t value = (uint8_t)take(in, 1);

	for (unsigned i = 0; i < count; i++) {
		if (write) {
			write_window(addr + i, (uint8_t)(value + i));
		} else {
			read_window(addr + i);
		}
	}
}

static void compare_memory(void)
{
	struct vga_state s;

	vga_copy_state(&v, &s);
	if (!vga_clear_pending(&v.clear) && !vga_clear_pending(&plain.clear)) {
		assert(memcmp(memory, plain_memory, memory_size) == 0);
	}
}

/* A write to both; what they read is of each alone. */
static void write_both(enum bus_space space, uint64_t addr, unsigned size, uint64_t value)
{
	rig_write(&v.dev, space, addr, size, value);
	rig_write(&plain.dev, space, addr, size, value);
}

static void access_port(struct input *in, uint16_t first, uint16_t count, bool write)
{
	unsigned size = take_size(in);
	uint16_t port = (uint16_t)(first + take(in, 1) % (count - size + 1));

	if (write) {
		write_both(BUS_PIO, port, size, take(in, size));
	} else {
		assert(rig_read(&v.dev, BUS_PIO, port, size) ==
		       rig_read(&plain.dev, BUS_PIO, port, size));
	}
}

static void access_mmio(struct input *in)
{
	unsigned size = take_size(in);
	uint64_t offset = take(in, 2) % (VGA_MMIO_BYTES - size + 1);
	uint64_t value = take(in, size);

	(void)v.pci.ops->bar_read(&v.pci, 2, offset, size);
	(void)plain.pci.ops->bar_read(&plain.pci, 2, offset, size);
	v.pci.ops->bar_write(&v.pci, 2, offset, size, value);
	plain.pci.ops->bar_write(&plain.pci, 2, offset, size, value);
}

/* What is written is there, cleared as the rest may be meanwhile. */
static void access_framebuffer(struct input *in)
{
	unsigned size = take_size(in);
	uint64_t offset = take(in, 3) % (memory_size - size + 1);
	uint64_t value = take(in, size);

	/* While text is shown it lies elsewhere. */
	if (shown.size == VGA_TEXT_BYTES) {
		return;
	}
	(void)rig_read(&window.dev, BUS_MMIO, BAR0 + offset, size);
	rig_write(&window.dev, BUS_MMIO, BAR0 + offset, size, value);
	plain.pci.ops->bar_write(&plain.pci, 0, offset, size, value);
	assert(rig_read(&window.dev, BUS_MMIO, BAR0 + offset, size) == value);
	assert(memcmp(memory + offset, &value, size) == 0);
}

/* Registers at once: modes that single writes hardly come to. */
static void fill_registers(struct input *in)
{
	for (unsigned i = 0; i < VGA_CRTC_COUNT; i++) {
		write_both(BUS_PIO, 0x3d4, 2, i | take(in, 1) << 8);
	}
	for (unsigned i = 0; i < 5; i++) {
		write_both(BUS_PIO, 0x3c4, 2, i | take(in, 1) << 8);
	}
	for (unsigned i = 0; i < 9; i++) {
		write_both(BUS_PIO, 0x3ce, 2, i | take(in, 1) << 8);
	}
}

static void set_dispi(struct input *in)
{
	write_both(BUS_PIO, VGA_DISPI_PORT_INDEX, 2, take(in, 1) % 16);
	write_both(BUS_PIO, VGA_DISPI_PORT_DATA, 2, take(in, 2));
}

/* What the window needs to be one of text; the rest stays as it is. */
static void set_text_mode(void)
{
	static const uint16_t sequencer[] = {0x0302, 0x0204};
	static const uint16_t graphics[] = {0x0001, 0x0003, 0x0004, 0x1005, 0x0e06, 0xff08};

	write_both(BUS_PIO, VGA_DISPI_PORT_INDEX, 2, VGA_DISPI_ENABLE);
	write_both(BUS_PIO, VGA_DISPI_PORT_DATA, 2, 0);
	for (unsigned i = 0; i < 2; i++) {
		write_both(BUS_PIO, 0x3c4, 2, sequencer[i]);
	}
	for (unsigned i = 0; i < 6; i++) {
		write_both(BUS_PIO, 0x3ce, 2, graphics[i]);
	}
}

static void step(struct input *in)
{
	switch (take(in, 1) % 11) {
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
		set_text_mode();
		break;
	case 9:
		access_framebuffer(in);
		break;
	default:
		rig_advance(&rig, take_ticks(in));
		compare_memory();
		draw(in);
		break;
	}
	copy_latch();
	assert(framebuffer_shown != vga_clear_pending(&v.clear));
	assert(shown.size == 0 || !vga_clear_pending(&v.clear));
}

static void make_memory(struct input *in)
{
	memory_size = VGA_MEMORY_MIN << take(in, 1) % 5;
	memory = malloc(memory_size);
	plain_memory = malloc(memory_size);
	text = malloc(VGA_TEXT_BYTES);
	assert(memory != NULL && plain_memory != NULL && text != NULL);
	memset(memory, 0x5a, memory_size);
	memset(plain_memory, 0x5a, memory_size);
	memset(text, 0x77, VGA_TEXT_BYTES);
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
	make_memory(&in);
	vga.memory = (struct vga_memory){memory, memory_size};
	vga.text = text;
	pci_host_init(&host, &cfg);
	pci_window_init(&window, &host);
	assert(vga_init(&v, &vga) == HV_OK);
	vga = (struct vga_config){.time = &rig.time,
				  .host = &plain_host,
				  .devfn = LAYOUT_DEVFN_VGA,
				  .memory = {plain_memory, memory_size}};
	pci_host_init(&plain_host, &cfg);
	assert(vga_init(&plain, &vga) == HV_OK);
	set_config(PCI_BAR0, BAR0);
	set_config(PCI_BAR0 + 8, BAR2);
	set_config(PCI_COMMAND, PCI_COMMAND_MEMORY);
	write_both(BUS_PIO, 0x3c2, 1, VGA_MISC_COLOUR | VGA_MISC_RAM);
	for (unsigned steps = 0; in.n != 0 && steps < 500; steps++) {
		step(&in);
	}
	compare_memory();
	draw(&in);
	free(memory);
	free(plain_memory);
	free(text);
	return 0;
}
