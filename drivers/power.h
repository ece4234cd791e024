/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switching the machine off or restarting it: ACPI, then EFI, then what emulators and old chipsets
 * know. Sources: ACPI Specification "Power Management 1 Control Registers", "Reset Register"; UEFI
 * Specification "ResetSystem()".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Facts from the FADT and the DSDT's \_S5 package; zeros mean "not there". */
struct power_acpi {
	uint16_t pm1a_control; /* I/O ports */
	uint16_t pm1b_control;
	uint8_t s5_type_a; /* SLP_TYP values */
	uint8_t s5_type_b;
	bool s5_known;
	uint16_t smi_command; /* port and value that turn ACPI mode on; 0: always on */
	uint8_t acpi_enable;
	uint8_t reset_value;
	uint16_t reset_port; /* the reset register, when it is an I/O port */
};

struct power_config {
	struct power_acpi acpi;
	/* Physical address of the EFI system table, mapped 1:1 with the runtime services; 0: none.
	 */
	uint64_t efi_system_table;
	/* Prints a line when nothing worked, and flushes consoles before each attempt. */
	void (*say)(const char *line);
	void (*flush)(void);
	uint64_t tsc_hz; /* how long an attempt is given is counted in it */
};

/* `config` must stay alive. */
void power_init(const struct power_config *config);

/* Both run on one CPU, the others being stopped. They do not return. */
_Noreturn void power_off(void);
_Noreturn void power_reset(void);
