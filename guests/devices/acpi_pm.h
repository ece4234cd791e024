/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware at the ports of an ICH9 (guests/layout.h): PM1 events and control, the 32-bit
 * power management timer, GPE0 and the reset register. The machine is always in ACPI mode: SCI_EN
 * reads one and there is no SMI command port. S3 and S5 are the sleep states.
 *
 *	+0x00 PM1_STS   +0x02 PM1_EN   +0x04 PM1_CNT   +0x08 PM_TMR   +0x20 GPE0_STS   +0x22 GPE0_EN
 */
#pragma once

#include "guests/layout.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"

#define ACPI_PM_TIMER_HZ 3579545u

/* PM1_STS and PM1_EN (ACPI, "PM1 Event Grouping"). */
#define ACPI_PM1_TMR 0x0001u
#define ACPI_PM1_GBL 0x0020u
#define ACPI_PM1_PWRBTN 0x0100u
#define ACPI_PM1_SLPBTN 0x0200u
#define ACPI_PM1_RTC 0x0400u
#define ACPI_PM1_WAK 0x8000u /* status only */

/* PM1_CNT. */
#define ACPI_PM1_CNT_SCI_EN 0x0001u
#define ACPI_PM1_CNT_BM_RLD 0x0002u
#define ACPI_PM1_CNT_SLP_TYP 0x1c00u
#define ACPI_PM1_CNT_SLP_EN 0x2000u

/* Bytes of the GPE0 block: half of them status, half enable. */
#define ACPI_PM_GPE0_BYTES 4u
#define ACPI_PM_GPE_COUNT 16u

/* The reset register. A 0 -> 1 change of RST_CPU resets; SYS_RST and FULL_RST are remembered. */
#define ACPI_PM_RESET_SYS_RST 0x02u
#define ACPI_PM_RESET_RST_CPU 0x04u
#define ACPI_PM_RESET_FULL_RST 0x08u

struct acpi_pm_config {
	struct vtime *time;
	struct irq_line sci;
	/* The guest enters S5, or writes the reset register. Lock not held. May be NULL. */
	void (*power_off)(void *ctx);
	void (*reset)(void *ctx);
	/*
	 * The guest enters S3, and what ends that has happened: one after the other, so the lock is
	 * held. All three or none; without them S3 does nothing.
	 */
	void (*suspend)(void *ctx);
	void (*wake)(void *ctx);
	/* A state was loaded, in which the guest is in S3 or is not. */
	void (*set_suspended)(void *ctx, bool suspended);
	void *ctx;
};

struct acpi_pm {
	struct vdev dev; /* its lock covers all below but cfg and timer_factor */
	struct acpi_pm_config cfg;
	uint64_t timer_factor; /* PM timer counts per tick, in 2^-60; set by init */
	uint16_t pm1_sts, pm1_en, pm1_cnt;
	uint16_t gpe_sts, gpe_en;
	uint8_t reset_control;
	uint64_t half_turns;  /* changes of the timer's top bit that TMR_STS knows */
	struct vtimer carry;  /* armed while the next such change is to interrupt */
	uint32_t timer_latch; /* the timer at this access, for narrow reads */
	bool sci_level;
	bool asleep;		     /* in S3 */
	bool wants_off, wants_reset; /* callbacks to make when the lock is released */
	struct saved_device saved;
};

#define ACPI_PM_SAVED_VERSION 1u
/* The timer is guest time; the SCI follows from the events. */
struct acpi_pm_saved {
	uint64_t half_turns;
	uint32_t timer_latch;
	uint16_t pm1_sts;
	uint16_t pm1_en;
	uint16_t pm1_cnt;
	uint16_t gpe_sts;
	uint16_t gpe_en;
	uint8_t reset_control;
	uint8_t asleep;
};
_Static_assert(sizeof(struct acpi_pm_saved) == 24, "no padding");

/*
 * Power-on state. To be registered over LAYOUT_PM_SIZE ports at LAYOUT_PM_BASE; the port
 * LAYOUT_RESET_PORT belongs to it too and reaches it through pci_host, or by registration where
 * there is no configuration port.
 */
void acpi_pm_init(struct acpi_pm *p, const struct acpi_pm_config *cfg);
/* The user pushes the power button; it ends S3 whatever is enabled. */
void acpi_pm_press_power_button(struct acpi_pm *p);
/* The RTC's alarm rings: sets RTC_STS. */
void acpi_pm_rtc_event(struct acpi_pm *p);
/* General-purpose event 0 .. ACPI_PM_GPE_COUNT-1 happens; others are ignored. */
void acpi_pm_gpe(struct acpi_pm *p, unsigned gpe);
