/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818 real-time clock and 128 bytes of CMOS memory behind ports 0x70 and 0x71.
 *
 * The time registers are the clock: they are brought up to date when somebody looks, by the number
 * of seconds that the divider, itself computed from guest time, has passed since. Nothing drifts,
 * whatever the guest writes into them stays, and an idle clock costs no timer.
 */
#pragma once

#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define CMOS_RTC_PORTS 2u
#define CMOS_BYTES 128u

/* Registers. */
#define RTC_SECONDS 0x00u
#define RTC_SECONDS_ALARM 0x01u
#define RTC_MINUTES 0x02u
#define RTC_MINUTES_ALARM 0x03u
#define RTC_HOURS 0x04u
#define RTC_HOURS_ALARM 0x05u
#define RTC_WEEKDAY 0x06u /* 1 is Sunday */
#define RTC_DAY 0x07u
#define RTC_MONTH 0x08u
#define RTC_YEAR 0x09u
#define RTC_A 0x0au
#define RTC_B 0x0bu
#define RTC_C 0x0cu
#define RTC_D 0x0du

#define RTC_A_UIP 0x80u
#define RTC_A_DIVIDER 0x70u
#define RTC_A_DIVIDER_RUN 0x20u
#define RTC_A_DIVIDER_HELD 0x60u /* both bits: the divider is held at zero */
#define RTC_A_RATE 0x0fu
#define RTC_B_SET 0x80u
#define RTC_B_PIE 0x40u
#define RTC_B_AIE 0x20u
#define RTC_B_UIE 0x10u
#define RTC_B_SQWE 0x08u
#define RTC_B_BINARY 0x04u
#define RTC_B_24H 0x02u
#define RTC_B_DST 0x01u
#define RTC_C_IRQF 0x80u
#define RTC_C_PF 0x40u
#define RTC_C_AF 0x20u
#define RTC_C_UF 0x10u
#define RTC_D_VALID 0x80u

/* Of the memory behind them. */
#define CMOS_SHUTDOWN 0x0fu
#define CMOS_FLOPPIES 0x10u   /* types of the drives, the first one's in the high digit */
#define CMOS_DISK_TYPES 0x12u /* of the first two disks, the first one's in the high digit */
#define CMOS_EQUIPMENT 0x14u
#define CMOS_BASE_KB 0x15u
#define CMOS_EXTENDED_KB 0x17u
#define CMOS_DISK_TYPES_MORE 0x19u /* a byte for each of the two */
#define CMOS_DISK_TABLES 0x1bu	   /* 9 bytes for each of the two */
#define CMOS_CHECKSUM 0x2eu	   /* high byte first, of 0x10 .. 0x2d */
#define CMOS_EXTENDED_KB_FOUND 0x30u
#define CMOS_ABOVE_16M 0x34u /* in 64 KiB */
#define CMOS_ABOVE_4G 0x5bu  /* three bytes, in 64 KiB */
#define CMOS_CPUS 0x5fu	     /* less one */
/* As SeaBIOS reads them: the third device to boot from, and flags; the second and the first. */
#define CMOS_BOOT_FLAGS 0x38u
/* Two bits for each IDE disk: how a BIOS shows its cylinders. */
#define CMOS_DISK_TRANSLATION 0x39u
#define CMOS_BOOT_ORDER 0x3du

#define CMOS_DISKS 4u

/* An IDE disk by its own geometry. */
struct cmos_disk {
	uint16_t cylinders; /* 0: there is none */
	uint8_t heads;
	uint8_t sectors;
};

struct cmos_rtc_config {
	struct vtime *time;
	struct irq_line irq;
	uint64_t wall_seconds; /* since 1970 at guest time 0, UTC or local as the guest wants it */
	uint64_t ram_below_4g; /* bytes, the first MiB included */
	uint64_t ram_above_4g;
	unsigned cpu_count;
	uint8_t floppies[2]; /* types of the drives, 1 .. 5; 0: none */
	struct cmos_disk disks[CMOS_DISKS];
};

struct cmos_rtc {
	struct vdev dev; /* its lock covers all below but cfg */
	struct cmos_rtc_config cfg;
	uint8_t index;
	bool nmi_masked; /* bit 7 of port 0x70 */
	uint8_t ram[CMOS_BYTES];
	uint64_t origin;      /* guest tick at which the divider was zero, modulo 2^64 */
	uint64_t cycles_seen; /* divider value that registers and flags account for */
	uint64_t quiet_until; /* guest tick: until then reads but of A and C need no catching up */
	struct vtimer timer;  /* the next interrupt that is enabled and not pending */
	bool irq_level;
	struct saved_device saved;
};

#define CMOS_RTC_SAVED_VERSION 1u
/* The interrupt and its timer follow from the registers. */
struct cmos_rtc_saved {
	uint64_t origin;
	uint64_t cycles_seen;
	uint8_t ram[CMOS_BYTES];
	uint8_t index;
	uint8_t nmi_masked;
	uint8_t zero[6];
};
_Static_assert(sizeof(struct cmos_rtc_saved) == 152, "no padding");

/* First power-on: the clock runs with the wall-clock time, BCD, 24 hours. */
void cmos_rtc_init(struct cmos_rtc *r, const struct cmos_rtc_config *cfg);
/* As if its configuration had said that time from the start; before the guest runs. */
void cmos_rtc_set_wall(struct cmos_rtc *r, uint64_t wall_seconds);
/* The same of an IDE disk: `unit` counts the places of the first channel, then the second's. */
void cmos_rtc_set_disk(struct cmos_rtc *r, unsigned unit, const struct cmos_disk *disk);
bool cmos_rtc_nmi_masked(struct cmos_rtc *r);
