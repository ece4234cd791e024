/* SPDX-License-Identifier: Apache-2.0 */
/* A writer of boot catalogs of CDs. Sectors have 2,048 bytes. */
#pragma once

#include <stdint.h>
#include <string.h>

#define EL_TORITO_SECTOR 2048u

/* A bootable entry; `number` counts entries of 32 bytes from the catalog's start. */
static inline void el_torito_rig_entry(uint8_t *cd, uint32_t catalog, unsigned number)
{
	cd[catalog * EL_TORITO_SECTOR + number * 32] = 0x88;
}

/* A section's header, `kind` 0x90 or 0x91, and one bootable entry behind it. */
static inline void el_torito_rig_section(uint8_t *cd, uint32_t catalog, unsigned number,
					 uint8_t kind, uint8_t platform)
{
	uint8_t *header = cd + catalog * EL_TORITO_SECTOR + number * 32;

	header[0] = kind;
	header[1] = platform;
	header[2] = 1;
	el_torito_rig_entry(cd, catalog, number + 1);
}

/* A boot record, and a catalog in sector `catalog` with one bootable entry. */
static inline void el_torito_rig_make(uint8_t *cd, uint32_t catalog, uint8_t platform)
{
	static const char id[] = "CD001\1EL TORITO SPECIFICATION";
	uint8_t *record = cd + 17 * EL_TORITO_SECTOR;
	uint8_t *validation = cd + catalog * EL_TORITO_SECTOR;
	uint16_t sum = (uint16_t)(1 + platform * 0x100 + 0xaa55);

	memset(record, 0, EL_TORITO_SECTOR);
	memset(validation, 0, EL_TORITO_SECTOR);
	memcpy(record + 1, id, sizeof(id));
	memcpy(record + 0x47, &catalog, sizeof(catalog));
	validation[0] = 1;
	validation[1] = platform;
	validation[30] = 0x55;
	validation[31] = 0xaa;
	sum = (uint16_t)-sum;
	memcpy(validation + 28, &sum, sizeof(sum));
	el_torito_rig_entry(cd, catalog, 1);
}
