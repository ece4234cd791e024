/* SPDX-License-Identifier: Apache-2.0 */
/* The DISPI registers. */
#include "guests/devices/vga_dispi.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define BANK_BYTES 0x10000u
#define WIDTH_UNIT 8u
#define ID_OLDEST 0xb0c0u
#define ENABLE_WRITABLE \
	(VGA_DISPI_ENABLED | VGA_DISPI_GETCAPS | VGA_DISPI_8BIT_DAC | VGA_DISPI_LFB | \
	 VGA_DISPI_NOCLEAR)

unsigned vga_dispi_pixel_bits(const struct vga_state *s)
{
	return s->dispi[VGA_DISPI_BPP] == 15 ? 16 : s->dispi[VGA_DISPI_BPP];
}

uint32_t vga_dispi_line_bytes(const struct vga_state *s)
{
	return s->dispi[VGA_DISPI_VIRT_WIDTH] * vga_dispi_pixel_bits(s) / 8;
}

static uint16_t clamp(uint16_t value, uint32_t low, uint32_t high)
{
	return (uint16_t)(value < low ? low : value > high ? high : value);
}

static uint16_t clamp_width(uint16_t value, uint32_t low, uint32_t high)
{
	return clamp((uint16_t)(value & ~(WIDTH_UNIT - 1)), low, high);
}

/*
 * Makes all registers fit together and the memory: a line of 4096 pixels takes 16 KiB at most, so
 * a line always fits.
 */
static void fit(struct vga_state *s, const struct vga_memory *m)
{
	uint16_t *r = s->dispi;
	uint32_t lines;

	switch (r[VGA_DISPI_BPP]) {
	case 4:
	case 8:
	case 15:
	case 16:
	case 24:
	case 32:
		break;
	default:
		r[VGA_DISPI_BPP] = 8;
		break;
	}
	r[VGA_DISPI_XRES] = clamp_width(r[VGA_DISPI_XRES], WIDTH_UNIT, VGA_WIDTH_MAX);
	r[VGA_DISPI_VIRT_WIDTH] =
		clamp_width(r[VGA_DISPI_VIRT_WIDTH], r[VGA_DISPI_XRES], VGA_WIDTH_MAX);
	lines = m->size / vga_dispi_line_bytes(s);
	r[VGA_DISPI_YRES] = clamp(r[VGA_DISPI_YRES], 1, (uint32_t)min_u64(lines, VGA_HEIGHT_MAX));
	r[VGA_DISPI_VIRT_HEIGHT] = (uint16_t)min_u64(lines, UINT16_MAX);
	r[VGA_DISPI_X_OFFSET] =
		clamp(r[VGA_DISPI_X_OFFSET], 0, r[VGA_DISPI_VIRT_WIDTH] - r[VGA_DISPI_XRES]);
	r[VGA_DISPI_Y_OFFSET] =
		clamp(r[VGA_DISPI_Y_OFFSET], 0, r[VGA_DISPI_VIRT_HEIGHT] - r[VGA_DISPI_YRES]);
}

static uint32_t enable(struct vga_state *s, const struct vga_memory *m, uint16_t value)
{
	bool was_on = vga_dispi_on(s);

	s->dispi[VGA_DISPI_ENABLE] = value & ENABLE_WRITABLE;
	if ((value & VGA_DISPI_ENABLED) == 0) {
		s->dispi[VGA_DISPI_BANK] = 0;
		return 0;
	}
	if (was_on) {
		return 0;
	}
	s->dispi[VGA_DISPI_VIRT_WIDTH] = s->dispi[VGA_DISPI_XRES];
	s->dispi[VGA_DISPI_X_OFFSET] = 0;
	s->dispi[VGA_DISPI_Y_OFFSET] = 0;
	fit(s, m);
	return (value & VGA_DISPI_NOCLEAR) == 0 ? vga_dispi_line_bytes(s) * s->dispi[VGA_DISPI_YRES]
						: 0;
}

uint16_t vga_dispi_read(const struct vga_state *s, const struct vga_memory *m, unsigned index)
{
	bool caps = (s->dispi[VGA_DISPI_ENABLE] & VGA_DISPI_GETCAPS) != 0;

	switch (index) {
	case VGA_DISPI_ID:
		return s->dispi[VGA_DISPI_ID] != 0 ? s->dispi[VGA_DISPI_ID] : VGA_DISPI_ID_NEWEST;
	case VGA_DISPI_XRES:
		return caps ? VGA_WIDTH_MAX : s->dispi[index];
	case VGA_DISPI_YRES:
		return caps ? VGA_HEIGHT_MAX : s->dispi[index];
	case VGA_DISPI_BPP:
		return caps ? 32 : s->dispi[index];
	case VGA_DISPI_MEMORY:
		return (uint16_t)(m->size / BANK_BYTES);
	default:
		return index < VGA_DISPI_COUNT ? s->dispi[index] : 0;
	}
}

uint32_t vga_dispi_write(struct vga_state *s, const struct vga_memory *m, unsigned index,
			 uint16_t value)
{
	switch (index) {
	case VGA_DISPI_ID:
		if (value >= ID_OLDEST && value <= VGA_DISPI_ID_NEWEST) {
			s->dispi[index] = value;
		}
		break;
	case VGA_DISPI_ENABLE:
		return enable(s, m, value);
	case VGA_DISPI_BANK:
		s->dispi[index] = value & (uint16_t)(m->size / BANK_BYTES - 1);
		break;
	case VGA_DISPI_XRES:
	case VGA_DISPI_YRES:
	case VGA_DISPI_BPP:
	case VGA_DISPI_VIRT_WIDTH:
	case VGA_DISPI_X_OFFSET:
	case VGA_DISPI_Y_OFFSET:
		s->dispi[index] = value;
		if (vga_dispi_on(s)) {
			fit(s, m);
		}
		break;
	default:
		break;
	}
	return 0;
}

bool vga_dispi_is_sound(const struct vga_state *s, const struct vga_memory *m)
{
	struct vga_state fitted = *s;
	uint16_t id = s->dispi[VGA_DISPI_ID];
	unsigned wrong = s->dispi[VGA_DISPI_ENABLE] & ~(unsigned)ENABLE_WRITABLE;

	wrong |= s->dispi[VGA_DISPI_BANK] & ~(m->size / BANK_BYTES - 1);
	for (unsigned i = VGA_DISPI_MEMORY; i < VGA_DISPI_REGS; i++) {
		wrong |= s->dispi[i];
	}
	if (wrong != 0 || (id != 0 && (id < ID_OLDEST || id > VGA_DISPI_ID_NEWEST))) {
		return false;
	}
	if (vga_dispi_on(s)) {
		fit(&fitted, m);
	}
	return memcmp(fitted.dispi, s->dispi, sizeof(s->dispi)) == 0;
}
