/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors, data area and handlers of a BIOS that has nothing to say. */
#include "guests/tables/legacy.h"

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

/* Where each handler begins in the ROM. */
#define HANDLER_RETURN 0x00u
#define HANDLER_MASTER 0x08u
#define HANDLER_SLAVE 0x10u
#define HANDLER_TIMER 0x20u

static const struct {
	uint8_t at;
	uint8_t size;
	uint8_t code[20];
} handlers[] = {
	/* iret */
	{HANDLER_RETURN, 1, {0xcf}},
	/* push ax; mov al, 0x20; out 0x20, al; pop ax; iret */
	{HANDLER_MASTER, 7, {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf}},
	/* push ax; mov al, 0x20; out 0xa0, al; out 0x20, al; pop ax; iret */
	{HANDLER_SLAVE, 9, {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf}},
	/* push ds; push ax; xor ax, ax; mov ds, ax; inc dword [0x46c]; mov al, 0x20; out 0x20, al;
	 * pop ax; pop ds; iret */
	{HANDLER_TIMER,
	 18,
	 {0x1e, 0x50, 0x31, 0xc0, 0x8e, 0xd8, 0x66, 0xff, 0x06, 0x6c, 0x04, 0xb0, 0x20, 0xe6, 0x20,
	  0x58, 0x1f, 0xcf}},
};

/* BIOS data area. */
#define BDA_COM1 0x400u
#define BDA_EBDA_SEGMENT 0x40eu
#define BDA_EQUIPMENT 0x410u
#define BDA_MEMORY_KIB 0x413u

#define EQUIPMENT_FPU BIT32(1)
#define EQUIPMENT_SERIAL_PORT BIT32(9)

static void put16(uint8_t *low, unsigned at, uint64_t value)
{
	memcpy(low + at, &value, 2);
}

static unsigned handler_of(unsigned vector)
{
	if (vector == LEGACY_MASTER_BASE) {
		return HANDLER_TIMER;
	}
	if (vector - LEGACY_MASTER_BASE < 8) {
		return HANDLER_MASTER;
	}
	return vector - LEGACY_SLAVE_BASE < 8 ? HANDLER_SLAVE : HANDLER_RETURN;
}

void legacy_build_low(bool serial, uint8_t low[LEGACY_LOW_SIZE])
{
	memset(low, 0, LEGACY_LOW_SIZE);
	for (unsigned vector = 0; vector < 256; vector++) {
		put16(low, vector * 4, handler_of(vector));
		put16(low, vector * 4 + 2, LAYOUT_BIOS_BASE >> 4);
	}
	put16(low, BDA_COM1, serial ? LAYOUT_COM1 : 0);
	put16(low, BDA_EBDA_SEGMENT, LAYOUT_EBDA_BASE >> 4);
	put16(low, BDA_EQUIPMENT, EQUIPMENT_FPU | (serial ? EQUIPMENT_SERIAL_PORT : 0));
	put16(low, BDA_MEMORY_KIB, LAYOUT_EBDA_BASE >> 10);
}

void legacy_build_rom(uint8_t rom[LEGACY_ROM_SIZE])
{
	memset(rom, 0, LEGACY_ROM_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		memcpy(rom + handlers[i].at, handlers[i].code, handlers[i].size);
	}
}
