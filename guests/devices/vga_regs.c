/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VGA's registers. Source: IBM VGA XGA Technical Reference Manual, "General Registers",
 * "Sequencer Registers", "CRT Controller Registers", "Graphics Controller Registers", "Attribute
 * Controller Registers", "Video Digital-to-Analog Converter".
 */
#include "guests/devices/vga_regs.h"

#include <stddef.h>

#include "hv/base/bits.h"

#define PORT_ATTRIBUTE 0x3c0u
#define PORT_ATTRIBUTE_READ 0x3c1u
#define PORT_MISC_WRITE 0x3c2u /* reading: input status 0 */
#define PORT_ENABLE 0x3c3u
#define PORT_SEQUENCER_INDEX 0x3c4u
#define PORT_SEQUENCER 0x3c5u
#define PORT_DAC_MASK 0x3c6u
#define PORT_DAC_READ_INDEX 0x3c7u /* reading: DAC state */
#define PORT_DAC_WRITE_INDEX 0x3c8u
#define PORT_DAC_DATA 0x3c9u
#define PORT_FEATURE_READ 0x3cau
#define PORT_MISC_READ 0x3ccu
#define PORT_GRAPHICS_INDEX 0x3ceu
#define PORT_GRAPHICS 0x3cfu
/* These four are at 0x3b? for monochrome and at 0x3d? for colour. */
#define MONO 0x3b0u
#define COLOUR 0x3d0u
#define CRTC_INDEX 4u
#define CRTC_DATA 5u
#define STATUS_1 0xau /* writing: feature control */

#define STATUS_0_SENSE 0x10u /* a monitor is there */
#define STATUS_1_BLANK 0x01u
#define STATUS_1_RETRACE 0x08u
#define DAC_STATE_READ 0x03u

/* 640x480 at 60 Hz: 525 lines of 31.8 us, 45 of them without a picture. */
#define LINE_NS 31778u
#define LINE_SHOWN_NS 25422u
#define FRAME_LINES 525u
#define FRAME_SHOWN_LINES 480u

/* Bits that exist. */
static const uint8_t sequencer_mask[VGA_SEQUENCER_REGS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t graphics_mask[VGA_GRAPHICS_REGS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03,
							 0x7b, 0x0f, 0x0f, 0xff};

void vga_regs_reset(struct vga_state *s)
{
	*s = (struct vga_state){.dac.mask = 0xff};
	s->dispi[VGA_DISPI_XRES] = 640;
	s->dispi[VGA_DISPI_YRES] = 480;
	s->dispi[VGA_DISPI_BPP] = 8;
}

/* ---- attribute controller ---- */

static uint8_t attribute_mask(unsigned index)
{
	switch (index) {
	case VGA_ATTR_MODE:
		return 0xef;
	case VGA_ATTR_OVERSCAN:
		return 0xff;
	case VGA_ATTR_PAN:
	case VGA_ATTR_COLOUR_SELECT:
		return 0x0f;
	default:
		return index <= VGA_ATTR_COLOUR_SELECT ? 0x3f : 0;
	}
}

/* One port for index and data in turns; the palette is closed while the screen is on. */
static void write_attribute(struct vga_state *s, uint8_t value)
{
	unsigned index = s->attribute_index & VGA_ATTR_INDEX;
	bool closed = index < VGA_ATTR_PALETTE_COUNT && (s->attribute_index & VGA_ATTR_SHOW) != 0;

	if (!s->attribute_data) {
		s->attribute_index = value & (VGA_ATTR_INDEX | VGA_ATTR_SHOW);
	} else if (!closed) {
		s->attribute[index] = value & attribute_mask(index);
	}
	s->attribute_data = !s->attribute_data;
}

/* ---- DAC ---- */

/* Six bits a colour, unless the DISPI registers say eight. */
static uint8_t dac_bits(const struct vga_state *s)
{
	return (s->dispi[VGA_DISPI_ENABLE] & VGA_DISPI_8BIT_DAC) != 0 ? 0xff : 0x3f;
}

static uint8_t read_dac(struct vga_state *s)
{
	struct vga_dac *d = &s->dac;
	uint8_t value = d->colour[d->read_index * (size_t)3 + d->step];

	if (++d->step == 3) {
		d->step = 0;
		d->read_index++;
	}
	return value & dac_bits(s);
}

/* A colour changes as a whole, with its third byte. */
static void write_dac(struct vga_state *s, uint8_t value)
{
	struct vga_dac *d = &s->dac;
	uint8_t *colour = &d->colour[d->write_index * (size_t)3];

	value &= dac_bits(s);
	if (d->step < 2) {
		d->wait[d->step++] = value;
		return;
	}
	colour[0] = d->wait[0];
	colour[1] = d->wait[1];
	colour[2] = value;
	d->step = 0;
	d->write_index++;
}

/* ---- CRT controller ---- */

static uint8_t read_crtc(const struct vga_state *s)
{
	unsigned index = s->crtc_index;

	if (index < VGA_CRTC_COUNT) {
		return s->crtc[index];
	}
	if (index == VGA_CRTC_LATCH) {
		return (uint8_t)(s->latch >> (s->graphics[VGA_GC_READ_MAP] * 8));
	}
	return index == VGA_CRTC_FLIP_FLOP && s->attribute_data ? 0x80 : 0;
}

static void write_crtc(struct vga_state *s, uint8_t value)
{
	unsigned index = s->crtc_index;
	bool protected = (s->crtc[VGA_CRTC_RETRACE_END] & VGA_RETRACE_PROTECT) != 0;

	if (index >= VGA_CRTC_COUNT) {
		return;
	}
	if (protected && index == VGA_CRTC_OVERFLOW) {
		s->crtc[index] = (uint8_t)bits_set(s->crtc[index], VGA_OVERFLOW_LINE_COMPARE,
						   bits_get(value, VGA_OVERFLOW_LINE_COMPARE));
	} else if (!protected || index > VGA_CRTC_OVERFLOW) {
		s->crtc[index] = value;
	}
}

/* Reading it sets the attribute controller's flip-flop back. */
static uint8_t read_status_1(struct vga_state *s, uint64_t ns)
{
	uint64_t line = ns / LINE_NS % FRAME_LINES;
	uint8_t status = 0;

	s->attribute_data = false;
	if (line >= FRAME_SHOWN_LINES) {
		status = STATUS_1_RETRACE | STATUS_1_BLANK;
	} else if (ns % LINE_NS >= LINE_SHOWN_NS) {
		status = STATUS_1_BLANK;
	}
	return status;
}

/* ---- ports ---- */

/* The address of the CRTC's group that answers now. */
static uint16_t group(const struct vga_state *s)
{
	return (s->misc & VGA_MISC_COLOUR) != 0 ? COLOUR : MONO;
}

static uint8_t read_group(struct vga_state *s, unsigned offset, uint64_t ns)
{
	switch (offset) {
	case CRTC_INDEX:
		return s->crtc_index;
	case CRTC_DATA:
		return read_crtc(s);
	case STATUS_1:
		return read_status_1(s, ns);
	default:
		return 0xff;
	}
}

static void write_group(struct vga_state *s, unsigned offset, uint8_t value)
{
	switch (offset) {
	case CRTC_INDEX:
		s->crtc_index = value & VGA_CRTC_INDEX_MASK;
		break;
	case CRTC_DATA:
		write_crtc(s, value);
		break;
	case STATUS_1:
		s->feature = value & 0x0b;
		break;
	default:
		break;
	}
}

uint8_t vga_regs_read(struct vga_state *s, uint16_t port, uint64_t ns)
{
	switch (port) {
	case PORT_ATTRIBUTE:
		return s->attribute_index;
	case PORT_ATTRIBUTE_READ:
		return s->attribute[s->attribute_index & VGA_ATTR_INDEX];
	case PORT_MISC_WRITE:
		return STATUS_0_SENSE;
	case PORT_ENABLE:
		return 1;
	case PORT_SEQUENCER_INDEX:
		return s->sequencer_index;
	case PORT_SEQUENCER:
		return s->sequencer[s->sequencer_index];
	case PORT_DAC_MASK:
		return s->dac.mask;
	case PORT_DAC_READ_INDEX:
		return s->dac.reading ? DAC_STATE_READ : 0;
	case PORT_DAC_WRITE_INDEX:
		return s->dac.write_index;
	case PORT_DAC_DATA:
		return read_dac(s);
	case PORT_FEATURE_READ:
		return s->feature;
	case PORT_MISC_READ:
		return s->misc;
	case PORT_GRAPHICS_INDEX:
		return s->graphics_index;
	case PORT_GRAPHICS:
		return s->graphics[s->graphics_index];
	default:
		return (port & 0xfff0u) == group(s) ? read_group(s, port & 0xfu, ns) : 0xff;
	}
}

static void set_dac_index(struct vga_state *s, uint8_t index, bool reading)
{
	*(reading ? &s->dac.read_index : &s->dac.write_index) = index;
	s->dac.reading = reading;
	s->dac.step = 0;
}

void vga_regs_write(struct vga_state *s, uint16_t port, uint8_t value)
{
	switch (port) {
	case PORT_ATTRIBUTE:
		write_attribute(s, value);
		break;
	case PORT_MISC_WRITE:
		s->misc = value & 0xef;
		break;
	case PORT_SEQUENCER_INDEX:
		s->sequencer_index = value & (VGA_SEQUENCER_REGS - 1);
		break;
	case PORT_SEQUENCER:
		s->sequencer[s->sequencer_index] = value & sequencer_mask[s->sequencer_index];
		break;
	case PORT_DAC_MASK:
		s->dac.mask = value;
		break;
	case PORT_DAC_READ_INDEX:
	case PORT_DAC_WRITE_INDEX:
		set_dac_index(s, value, port == PORT_DAC_READ_INDEX);
		break;
	case PORT_DAC_DATA:
		write_dac(s, value);
		break;
	case PORT_GRAPHICS_INDEX:
		s->graphics_index = value & (VGA_GRAPHICS_REGS - 1);
		break;
	case PORT_GRAPHICS:
		s->graphics[s->graphics_index] = value & graphics_mask[s->graphics_index];
		break;
	default:
		if ((port & 0xfff0u) == group(s)) {
			write_group(s, port & 0xfu, value);
		}
		break;
	}
}

/* ---- what is not there ---- */

static bool has_crtc(unsigned index)
{
	return index < VGA_CRTC_COUNT || index == VGA_CRTC_LATCH || index == VGA_CRTC_FLIP_FLOP;
}

/* The register behind a data port; -1: it is there, or this is no data port. */
static int missing_register(const struct vga_state *s, uint16_t port, bool write)
{
	unsigned attribute = s->attribute_index & VGA_ATTR_INDEX;
	bool data =
		write ? port == PORT_ATTRIBUTE && s->attribute_data : port == PORT_ATTRIBUTE_READ;

	if (data) {
		return attribute > VGA_ATTR_COLOUR_SELECT ? (int)attribute : -1;
	}
	if (port == PORT_SEQUENCER) {
		return sequencer_mask[s->sequencer_index] == 0 ? s->sequencer_index : -1;
	}
	if (port == PORT_GRAPHICS) {
		return graphics_mask[s->graphics_index] == 0 ? s->graphics_index : -1;
	}
	return port == group(s) + CRTC_DATA && !has_crtc(s->crtc_index) ? s->crtc_index : -1;
}

static bool has_port(const struct vga_state *s, uint16_t port, bool write)
{
	if ((port & 0xfff0u) == PORT_ATTRIBUTE) {
		/* A bit for each: some are for reading, some for writing alone. */
		return ((write ? 0xc3fdu : 0xd7ffu) >> (port & 0xfu) & 1) != 0;
	}
	return port == group(s) + CRTC_INDEX || port == group(s) + CRTC_DATA ||
	       port == group(s) + STATUS_1;
}

enum lacks_kind vga_regs_lack(const struct vga_state *s, uint16_t port, bool write, uint32_t *what)
{
	int index = missing_register(s, port, write);

	*what = port;
	if (!has_port(s, port, write)) {
		return write ? LACKS_WRITE : LACKS_READ;
	}
	if (index < 0) {
		return LACKS_NOTHING;
	}
	*what = (uint32_t)port << 16 | (uint32_t)index;
	return LACKS_INDEX;
}

/* ---- saved state ---- */

static bool indices_are_sound(const struct vga_state *s)
{
	return s->sequencer_index < VGA_SEQUENCER_REGS && s->graphics_index < VGA_GRAPHICS_REGS &&
	       s->crtc_index <= VGA_CRTC_INDEX_MASK &&
	       (s->attribute_index & ~(VGA_ATTR_INDEX | VGA_ATTR_SHOW)) == 0 && s->dac.step < 3;
}

bool vga_regs_are_sound(const struct vga_state *s)
{
	unsigned wrong = (s->misc & ~0xefu) | (s->feature & ~0x0bu);

	for (unsigned i = 0; i < VGA_SEQUENCER_REGS; i++) {
		wrong |= s->sequencer[i] & ~(unsigned)sequencer_mask[i];
	}
	for (unsigned i = 0; i < VGA_GRAPHICS_REGS; i++) {
		wrong |= s->graphics[i] & ~(unsigned)graphics_mask[i];
	}
	for (unsigned i = VGA_CRTC_COUNT; i < VGA_CRTC_REGS; i++) {
		wrong |= s->crtc[i];
	}
	for (unsigned i = 0; i < VGA_ATTRIBUTE_REGS; i++) {
		wrong |= s->attribute[i] & ~(unsigned)attribute_mask(i);
	}
	return wrong == 0 && indices_are_sound(s);
}
