/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a standard VGA as a program sees it: registers and latches, without the video
 * memory. Plain data, so that it can be copied for drawing and saved.
 *
 *	ports 0x3b0-0x3df -> vga_regs.c ----+
 *	ports 0x1ce-0x1d1 -> vga_dispi.c ---+--> struct vga_state --> vga_screen.c: pixels
 *	0xa0000-0xbffff --> vga_planes.c ---+--> video memory ------^
 *
 * Video memory holds the four planes side by side: byte `offset` of plane p is byte 4 * offset + p.
 * In chain 4 and in the packed modes of the DISPI registers it is one run of bytes.
 *
 * Sources: IBM VGA XGA Technical Reference Manual, "VGA Function"; IBM PS/2 Hardware Interface
 * Technical Reference, "Video Subsystem".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VGA_SEQUENCER_REGS 8u
#define VGA_GRAPHICS_REGS 16u
#define VGA_CRTC_REGS 32u
#define VGA_ATTRIBUTE_REGS 32u
#define VGA_DISPI_REGS 16u
#define VGA_DAC_BYTES 768u
#define VGA_PLANES 4u

/* Miscellaneous output. */
#define VGA_MISC_COLOUR 0x01u /* CRTC and status at 0x3d?, else at 0x3b? */
#define VGA_MISC_RAM 0x02u    /* the CPU may access video memory */

/* Sequencer. */
enum vga_sequencer {
	VGA_SEQ_RESET,
	VGA_SEQ_CLOCKING,
	VGA_SEQ_MAP_MASK,
	VGA_SEQ_CHARACTER_MAP,
	VGA_SEQ_MEMORY_MODE,
};
#define VGA_RESET_RUN 0x03u
#define VGA_CLOCKING_8_DOTS 0x01u
#define VGA_CLOCKING_SCREEN_OFF 0x20u
#define VGA_MEMORY_SEQUENTIAL 0x04u /* no odd/even for writes */
#define VGA_MEMORY_CHAIN_4 0x08u

/* Graphics controller. */
enum vga_graphics {
	VGA_GC_SET_RESET,
	VGA_GC_ENABLE_SET_RESET,
	VGA_GC_COLOUR_COMPARE,
	VGA_GC_ROTATE,
	VGA_GC_READ_MAP,
	VGA_GC_MODE,
	VGA_GC_MISC,
	VGA_GC_DONT_CARE,
	VGA_GC_BIT_MASK,
};
#define VGA_MODE_WRITE 0x03u
#define VGA_MODE_READ_COMPARE 0x08u
#define VGA_MODE_ODD_EVEN 0x10u
#define VGA_MODE_SHIFT_4 0x20u	 /* two bits a pixel, as the CGA has them */
#define VGA_MODE_SHIFT_256 0x40u /* eight bits a pixel */
#define VGA_MISC_GRAPHICS 0x01u
#define VGA_MISC_MAP 0x0cu /* which addresses: 128K, 64K, 32K at 0xb0000, 32K at 0xb8000 */

/* CRT controller. */
enum vga_crtc {
	VGA_CRTC_DISPLAY_END = 0x01,
	VGA_CRTC_OVERFLOW = 0x07,
	VGA_CRTC_PRESET_ROW = 0x08,
	VGA_CRTC_MAX_SCAN = 0x09,
	VGA_CRTC_CURSOR_START = 0x0a,
	VGA_CRTC_CURSOR_END = 0x0b,
	VGA_CRTC_START_HIGH = 0x0c,
	VGA_CRTC_START_LOW = 0x0d,
	VGA_CRTC_CURSOR_HIGH = 0x0e,
	VGA_CRTC_CURSOR_LOW = 0x0f,
	VGA_CRTC_RETRACE_END = 0x11,
	VGA_CRTC_VERTICAL_END = 0x12,
	VGA_CRTC_OFFSET = 0x13,
	VGA_CRTC_UNDERLINE = 0x14,
	VGA_CRTC_MODE = 0x17,
	VGA_CRTC_LINE_COMPARE = 0x18,
	VGA_CRTC_COUNT,		   /* behind the last one of the manual */
	VGA_CRTC_LATCH = 0x22,	   /* read-only: the latch of the plane that is read */
	VGA_CRTC_FLIP_FLOP = 0x24, /* read-only: of the attribute controller */
	VGA_CRTC_INDEX_MASK = 0x3f,
};
#define VGA_OVERFLOW_LINE_COMPARE 0x10u /* what protection leaves writable */
#define VGA_RETRACE_PROTECT 0x80u
#define VGA_SCAN_DOUBLE 0x80u
#define VGA_CURSOR_OFF 0x20u
#define VGA_UNDERLINE_DWORD 0x40u
#define VGA_CRTC_MODE_ROW_0 0x01u /* 0: address bit 13 is bit 0 of the row's scan line */
#define VGA_CRTC_MODE_ROW_1 0x02u /* 0: address bit 14 is bit 1 */
#define VGA_CRTC_MODE_COUNT_2 0x08u
#define VGA_CRTC_MODE_WRAP_15 0x20u
#define VGA_CRTC_MODE_BYTE 0x40u

/* Attribute controller. */
enum vga_attribute {
	VGA_ATTR_PALETTE_COUNT = 0x10,
	VGA_ATTR_MODE = 0x10,
	VGA_ATTR_OVERSCAN,
	VGA_ATTR_PLANES,
	VGA_ATTR_PAN,
	VGA_ATTR_COLOUR_SELECT,
};
#define VGA_ATTR_INDEX 0x1fu
#define VGA_ATTR_SHOW 0x20u /* of the index: the screen is on, the palette closed */
#define VGA_ATTR_MODE_MONO 0x02u
#define VGA_ATTR_MODE_LINE_GRAPHICS 0x04u
#define VGA_ATTR_MODE_BLINK 0x08u
#define VGA_ATTR_MODE_SPLIT_PAN 0x20u
#define VGA_ATTR_MODE_SELECT 0x80u /* two bits of a colour are in the colour select register */

/* DISPI. */
enum vga_dispi {
	VGA_DISPI_ID,
	VGA_DISPI_XRES,
	VGA_DISPI_YRES,
	VGA_DISPI_BPP,
	VGA_DISPI_ENABLE,
	VGA_DISPI_BANK,
	VGA_DISPI_VIRT_WIDTH,
	VGA_DISPI_VIRT_HEIGHT,
	VGA_DISPI_X_OFFSET,
	VGA_DISPI_Y_OFFSET,
	VGA_DISPI_MEMORY, /* in units of 64 KiB */
	VGA_DISPI_COUNT,
};
#define VGA_DISPI_ENABLED 0x01u
#define VGA_DISPI_GETCAPS 0x02u
#define VGA_DISPI_8BIT_DAC 0x20u
#define VGA_DISPI_LFB 0x40u
#define VGA_DISPI_NOCLEAR 0x80u

struct vga_dac {
	uint8_t mask;
	uint8_t read_index;
	uint8_t write_index;
	uint8_t step;	 /* which of red, green, blue comes next */
	bool reading;	 /* the index was set for reading */
	uint8_t wait[2]; /* red and green, until blue comes */
	uint8_t colour[VGA_DAC_BYTES];
};

struct vga_state {
	uint8_t misc;
	uint8_t feature;
	uint8_t sequencer_index;
	uint8_t graphics_index;
	uint8_t crtc_index;
	uint8_t attribute_index;
	bool attribute_data; /* the flip-flop: the next write to 0x3c0 is data */
	bool big_endian;     /* of the packed modes with 16 and 32 bits */
	uint8_t sequencer[VGA_SEQUENCER_REGS];
	uint8_t graphics[VGA_GRAPHICS_REGS];
	uint8_t crtc[VGA_CRTC_REGS];
	uint8_t attribute[VGA_ATTRIBUTE_REGS];
	uint32_t latch; /* a byte per plane, plane 0 the lowest */
	uint16_t dispi_index;
	uint16_t dispi[VGA_DISPI_REGS];
	struct vga_dac dac;
};

/* The video memory: `size` is a power of two, 256 KiB at least. */
struct vga_memory {
	uint8_t *bytes;
	uint32_t size;
};

/* Whether the DISPI registers decide about the picture. */
static inline bool vga_dispi_on(const struct vga_state *s)
{
	return (s->dispi[VGA_DISPI_ENABLE] & VGA_DISPI_ENABLED) != 0;
}

/* Whether a picture of one run of bytes is shown, with 8 bits a pixel at least. */
static inline bool vga_dispi_packed(const struct vga_state *s)
{
	return vga_dispi_on(s) && s->dispi[VGA_DISPI_BPP] != 4;
}

/* Each of the low four bits as a byte of ones or zeros. */
static inline uint32_t vga_expand(uint32_t bits)
{
	return ((bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21) * 0xffu;
}
