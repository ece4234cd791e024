/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU's way to video memory. Source: IBM VGA XGA Technical Reference Manual, "Graphics
 * Controller Registers", "Sequencer Registers", "Memory Mode", "Programming Considerations".
 *
 * In chain 4 the two low bits of an address choose the plane, and the rest of it is the place in
 * the plane: four bytes in a row are one place. IBM's hardware leaves three places out of four
 * unused there; no program that stays in a mode can tell, and a picture of 320x200 is 64,000 bytes
 * in a row.
 */
#include "guests/devices/vga_planes.h"

#include "hv/base/bits.h"
#include "hv/base/str.h"

#define ROTATE_COUNT 0x07u
#define ROTATE_FUNCTION 0x18u
#define PLANE_BYTES 0x10000u /* what a VGA has of each */
#define ALL_PLANES 0x0fu
#define TEXT_PLANES 0x03u /* characters and attributes */

enum { MAP_128K, MAP_64K, MAP_MONO, MAP_COLOUR };
enum { FUNCTION_COPY, FUNCTION_AND, FUNCTION_OR, FUNCTION_XOR };

static const struct {
	uint32_t base, size;
} maps[] = {[MAP_128K] = {0, 0x20000},
	    [MAP_64K] = {0, 0x10000},
	    [MAP_MONO] = {0x10000, 0x8000},
	    [MAP_COLOUR] = {0x18000, 0x8000}};

/* Where a byte of the window lies. */
struct place {
	uint32_t address; /* behind the start of what is decoded, bank included */
	bool packed;	  /* in one run of bytes, without planes */
};

/* The first byte decoded and how many; false: none. */
static bool decode(const struct vga_state *s, uint32_t offset, struct place *p)
{
	unsigned map = (unsigned)bits_get(s->graphics[VGA_GC_MISC], VGA_MISC_MAP);
	uint32_t bank = 0;

	if (vga_dispi_on(s)) {
		map = MAP_64K;
		bank = s->dispi[VGA_DISPI_BANK] * VGA_WINDOW_BANK;
	} else if ((s->misc & VGA_MISC_RAM) == 0) {
		return false;
	}
	if (offset - maps[map].base >= maps[map].size) {
		return false;
	}
	p->address = offset - maps[map].base + bank;
	p->packed = vga_dispi_packed(s);
	return true;
}

static bool is_chained(const struct vga_state *s)
{
	return (s->sequencer[VGA_SEQ_MEMORY_MODE] & VGA_MEMORY_CHAIN_4) != 0;
}

/* A place in the planes as a place in memory: of the byte of plane 0. */
static uint32_t in_memory(const struct vga_state *s, const struct vga_memory *m, uint32_t offset)
{
	uint32_t bytes = vga_dispi_on(s) ? m->size / VGA_PLANES : PLANE_BYTES;

	return (offset & (bytes - 1)) * VGA_PLANES;
}

/* ---- reading ---- */

static uint8_t compare(const struct vga_state *s)
{
	uint32_t wanted = vga_expand(s->graphics[VGA_GC_COLOUR_COMPARE]);
	uint32_t differ = (s->latch ^ wanted) & vga_expand(s->graphics[VGA_GC_DONT_CARE]);

	return (uint8_t) ~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

uint8_t vga_window_read(struct vga_state *s, const struct vga_memory *m, uint32_t offset)
{
	unsigned plane = s->graphics[VGA_GC_READ_MAP];
	struct place p;

	if (!decode(s, offset, &p)) {
		return 0xff;
	}
	if (p.packed) {
		return m->bytes[p.address & (m->size - 1)];
	}
	if (is_chained(s)) {
		plane = p.address & 3;
		p.address >>= 2;
	} else if ((s->graphics[VGA_GC_MODE] & VGA_MODE_ODD_EVEN) != 0) {
		plane = (plane & 2) | (p.address & 1);
		p.address &= ~1u;
	}
	memcpy(&s->latch, m->bytes + in_memory(s, m, p.address), sizeof(s->latch));
	if ((s->graphics[VGA_GC_MODE] & VGA_MODE_READ_COMPARE) != 0) {
		return compare(s);
	}
	return (uint8_t)(s->latch >> (plane * 8));
}

/* ---- writing ---- */

static uint8_t rotate(uint8_t value, unsigned count)
{
	return (uint8_t)(value >> count | value << (8 - count));
}

static uint32_t apply_function(unsigned function, uint32_t value, uint32_t latch)
{
	switch (function) {
	case FUNCTION_AND:
		return value & latch;
	case FUNCTION_OR:
		return value | latch;
	case FUNCTION_XOR:
		return value ^ latch;
	default:
		return value;
	}
}

/* What the four planes get for a byte of the CPU, before the map mask. */
static uint32_t planes_for(const struct vga_state *s, uint8_t value)
{
	const uint8_t *gc = s->graphics;
	uint32_t set_reset = vga_expand(gc[VGA_GC_SET_RESET]);
	uint32_t enabled = vga_expand(gc[VGA_GC_ENABLE_SET_RESET]);
	uint8_t turned = rotate(value, gc[VGA_GC_ROTATE] & ROTATE_COUNT);
	uint32_t mask = gc[VGA_GC_BIT_MASK] * 0x01010101u;
	uint32_t planes;

	switch (gc[VGA_GC_MODE] & VGA_MODE_WRITE) {
	case 1:
		return s->latch;
	case 2:
		planes = vga_expand(value);
		break;
	case 3:
		mask &= turned * 0x01010101u;
		planes = set_reset;
		break;
	default:
		planes = ((turned * 0x01010101u) & ~enabled) | (set_reset & enabled);
		break;
	}
	planes = apply_function((unsigned)bits_get(gc[VGA_GC_ROTATE], ROTATE_FUNCTION), planes,
				s->latch);
	return (planes & mask) | (s->latch & ~mask);
}

void vga_window_write(struct vga_state *s, const struct vga_memory *m, uint32_t offset,
		      uint8_t value)
{
	unsigned map = s->sequencer[VGA_SEQ_MAP_MASK];
	uint32_t mask;
	uint32_t old;
	struct place p;

	if (!decode(s, offset, &p)) {
		return;
	}
	if (p.packed) {
		m->bytes[p.address & (m->size - 1)] = value;
		return;
	}
	if (is_chained(s)) {
		map &= BIT32(p.address & 3);
		p.address >>= 2;
	} else if ((s->sequencer[VGA_SEQ_MEMORY_MODE] & VGA_MEMORY_SEQUENTIAL) == 0) {
		map &= (p.address & 1) != 0 ? 0xa : 0x5;
		p.address &= ~1u;
	}
	mask = vga_expand(map);
	p.address = in_memory(s, m, p.address);
	memcpy(&old, m->bytes + p.address, sizeof(old));
	old = (old & ~mask) | (planes_for(s, value) & mask);
	memcpy(m->bytes + p.address, &old, sizeof(old));
}

/* ---- the window as plain memory ---- */

/* Whether the graphics controller hands bytes through as they are. */
static bool is_plain(const struct vga_state *s)
{
	const uint8_t *gc = s->graphics;

	return gc[VGA_GC_ENABLE_SET_RESET] == 0 && gc[VGA_GC_ROTATE] == 0 &&
	       (gc[VGA_GC_MODE] & (VGA_MODE_WRITE | VGA_MODE_READ_COMPARE)) == 0 &&
	       gc[VGA_GC_BIT_MASK] == 0xff;
}

bool vga_window_linear(const struct vga_state *s, const struct vga_memory *m, uint32_t *at)
{
	struct place p;

	if (!decode(s, 0, &p)) {
		return false;
	}
	*at = p.address & (m->size - 1);
	return p.packed ||
	       (is_chained(s) && is_plain(s) && s->sequencer[VGA_SEQ_MAP_MASK] == ALL_PLANES);
}

bool vga_window_text(const struct vga_state *s, uint32_t *at)
{
	bool odd_even = (s->graphics[VGA_GC_MODE] & VGA_MODE_ODD_EVEN) != 0 &&
			(s->sequencer[VGA_SEQ_MEMORY_MODE] &
			 (VGA_MEMORY_SEQUENTIAL | VGA_MEMORY_CHAIN_4)) == 0;
	unsigned map = (unsigned)bits_get(s->graphics[VGA_GC_MISC], VGA_MISC_MAP);

	*at = maps[map].base;
	return (map == MAP_MONO || map == MAP_COLOUR) && odd_even && is_plain(s) &&
	       !vga_dispi_on(s) && (s->misc & VGA_MISC_RAM) != 0 &&
	       s->sequencer[VGA_SEQ_MAP_MASK] == TEXT_PLANES &&
	       (s->graphics[VGA_GC_READ_MAP] & 2) == 0;
}
