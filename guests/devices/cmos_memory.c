/* SPDX-License-Identifier: Apache-2.0 */
/* Memory sizes, drives and boot order in CMOS. */
#include "guests/devices/cmos_memory.h"

#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/bytes.h"
#include "hv/base/str.h"

#define EQUIPMENT_FLOPPY 0x01u
#define EQUIPMENT_FPU 0x02u
#define EQUIPMENT_SECOND_FLOPPY 0x40u
#define BOOT_NO_FLOPPY_CHECK 0x01u
#define BOOT_DISK_THEN_CD 0x32u

/* The two disks that an AT knew. Type 15 stands for the byte of types above it, there 47 for the
 * table of the disk's own numbers. */
#define AT_DISKS 2u
#define TYPE_MORE 15u
#define TYPE_OWN 47u
#define TABLE_BYTES 9ul
#define NO_PRECOMPENSATION 0xffffu
#define CONTROL_NO_RETRIES 0xc0u
#define CONTROL_MANY_HEADS 0x08u
#define FEW_HEADS 8u

/* What a BIOS that counts cylinders in ten bits can show unchanged. */
#define BIOS_CYLINDERS 1024u
#define TRANSLATION_LBA 1u
#define TRANSLATION_BITS 2u

static void put16(uint8_t *ram, unsigned at, uint64_t value)
{
	value = min_u64(value, 0xffff);
	put_le16(ram + at, (uint32_t)value);
}

static void fill_sizes(uint8_t *ram, const struct cmos_rtc_config *cfg)
{
	uint64_t below = cfg->ram_below_4g;
	uint64_t above = cfg->ram_above_4g / 0x10000;
	uint64_t extended = below > LAYOUT_HIGH_BASE ? (below - LAYOUT_HIGH_BASE) / 1024 : 0;

	put16(ram, CMOS_BASE_KB, 640);
	put16(ram, CMOS_EXTENDED_KB, extended);
	put16(ram, CMOS_EXTENDED_KB_FOUND, extended);
	put16(ram, CMOS_ABOVE_16M, below > 0x1000000 ? (below - 0x1000000) / 0x10000 : 0);
	put16(ram, CMOS_ABOVE_4G, above & 0xffff);
	ram[CMOS_ABOVE_4G + 2] = (uint8_t)min_u64(above >> 16, 0xff);
	ram[CMOS_CPUS] = (uint8_t)(cfg->cpu_count - 1);
}

static void fill_floppies(uint8_t *ram, const struct cmos_rtc_config *cfg)
{
	ram[CMOS_FLOPPIES] = (uint8_t)(cfg->floppies[0] << 4 | cfg->floppies[1]);
	ram[CMOS_EQUIPMENT] =
		(uint8_t)(EQUIPMENT_FPU | (cfg->floppies[0] != 0 ? EQUIPMENT_FLOPPY : 0) |
			  (cfg->floppies[1] != 0 ? EQUIPMENT_SECOND_FLOPPY : 0));
}

/* "Fixed Disk Type 47": what the parameter table of a disk says that is of none of the types. */
static void fill_table(uint8_t *table, const struct cmos_disk *d)
{
	put16(table, 0, d->cylinders);
	table[2] = d->heads;
	put16(table, 3, NO_PRECOMPENSATION);
	table[5] = (uint8_t)(CONTROL_NO_RETRIES | (d->heads > FEW_HEADS ? CONTROL_MANY_HEADS : 0));
	put16(table, 6, d->cylinders); /* where the heads land */
	table[8] = d->sectors;
}

/*
 * Which translation a BIOS chooses by itself, which SeaBIOS leaves to this byte: none would hide
 * all of a disk behind its first 504 MiB from systems that read it by cylinders, and show another
 * geometry than the one that its partitions were made with.
 */
static void fill_disks(uint8_t *ram, const struct cmos_rtc_config *cfg)
{
	unsigned types = 0;
	unsigned translation = 0;

	memset(ram + CMOS_DISK_TYPES_MORE, 0, (1 + TABLE_BYTES) * AT_DISKS);
	for (unsigned i = 0; i < CMOS_DISKS; i++) {
		const struct cmos_disk *d = &cfg->disks[i];

		if (d->cylinders > BIOS_CYLINDERS) {
			translation |= TRANSLATION_LBA << i * TRANSLATION_BITS;
		}
		if (i < AT_DISKS && d->cylinders != 0) {
			types |= TYPE_MORE << (1 - i) * 4;
			ram[CMOS_DISK_TYPES_MORE + i] = TYPE_OWN;
			fill_table(&ram[CMOS_DISK_TABLES + i * TABLE_BYTES], d);
		}
	}
	ram[CMOS_DISK_TYPES] = (uint8_t)types;
	ram[CMOS_DISK_TRANSLATION] = (uint8_t)translation;
}

void cmos_memory_fill(uint8_t *ram, const struct cmos_rtc_config *cfg)
{
	unsigned sum = 0;

	fill_sizes(ram, cfg);
	fill_floppies(ram, cfg);
	fill_disks(ram, cfg);
	ram[CMOS_BOOT_FLAGS] = BOOT_NO_FLOPPY_CHECK;
	ram[CMOS_BOOT_ORDER] = BOOT_DISK_THEN_CD;
	for (unsigned i = 0x10; i < CMOS_CHECKSUM; i++) {
		sum += ram[i];
	}
	ram[CMOS_CHECKSUM] = (uint8_t)(sum >> 8);
	ram[CMOS_CHECKSUM + 1] = (uint8_t)sum;
}
