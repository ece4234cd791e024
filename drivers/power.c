/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to switch a PC off, from the proper to the desperate. */
#include "drivers/power.h"

#include <stddef.h>

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"

#define PM1_SCI_ENABLE BIT32(0)
#define PM1_SLEEP_TYPE MASK(12, 10)
#define PM1_SLEEP_ENABLE BIT32(13)

/* UEFI Specification, "EFI System Table" and "EFI Runtime Services Table": offsets for 64 bits. */
#define EFI_SYSTEM_TABLE_SIGNATURE 0x5453595320494249ull
#define EFI_RUNTIME_SIGNATURE 0x56524553544e5552ull
#define EFI_SYSTEM_RUNTIME 88u
#define EFI_RUNTIME_RESET 104u
#define EFI_RESET_COLD 0u
#define EFI_RESET_SHUTDOWN 2u

/* Power-off ports of emulators: QEMU and Bochs of old, with the value that means S5 there. */
#define QEMU_PM_CONTROL 0x604
#define BOCHS_PM_CONTROL 0xb004
#define EMULATOR_S5 0x2000u

#define RESET_CONTROL 0xcf9
#define RESET_CONTROL_HARD 0x02u
#define RESET_CONTROL_GO 0x04u
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_INPUT_FULL 0x02u
#define KEYBOARD_PULSE_RESET 0xfeu
#define KEYBOARD_WAIT_READS 100000u

#define ATTEMPT_MS 500u

static const struct power_config no_config;
static const struct power_config *config = &no_config;

void power_init(const struct power_config *c)
{
	config = c;
}

static void say(const char *line)
{
	if (config->say != NULL) {
		config->say(line);
	}
}

static void flush(void)
{
	if (config->flush != NULL) {
		config->flush();
	}
}

/* Gives the last attempt time to take effect. */
static void wait(void)
{
	uint64_t ticks = config->tsc_hz / 1000 * ATTEMPT_MS;
	uint64_t start = cpu_rdtsc();

	while (cpu_rdtsc() - start < ticks) {
		__builtin_ia32_pause();
	}
}

/* Without SCI_EN the control registers are not ACPI's to write: the firmware owns them. */
static void enter_acpi_mode(const struct power_acpi *a)
{
	if (a->smi_command != 0 && a->acpi_enable != 0 &&
	    (cpu_in16(a->pm1a_control) & PM1_SCI_ENABLE) == 0) {
		cpu_out8(a->smi_command, a->acpi_enable);
		wait();
	}
}

static uint16_t sleep_value(uint16_t port, uint8_t type)
{
	uint64_t value = bits_set(cpu_in16(port), PM1_SLEEP_TYPE, type);

	return (uint16_t)(value | PM1_SLEEP_ENABLE);
}

static void off_by_acpi(void)
{
	const struct power_acpi *a = &config->acpi;

	if (!a->s5_known || a->pm1a_control == 0) {
		return;
	}
	enter_acpi_mode(a);
	cpu_out16(a->pm1a_control, sleep_value(a->pm1a_control, a->s5_type_a));
	if (a->pm1b_control != 0) {
		cpu_out16(a->pm1b_control, sleep_value(a->pm1b_control, a->s5_type_b));
	}
	wait();
}

static uint64_t read_u64(uint64_t address)
{
	uint64_t value;

	memcpy(&value, hva_ptr(hva(address)), sizeof(value));
	return value;
}

static void by_efi(uint64_t type)
{
	const uint64_t args[4] = {type, 0, 0, 0};
	uint64_t system = config->efi_system_table;
	uint64_t runtime;

	if (system == 0 || read_u64(system) != EFI_SYSTEM_TABLE_SIGNATURE) {
		return;
	}
	runtime = read_u64(system + EFI_SYSTEM_RUNTIME);
	if (runtime == 0 || read_u64(runtime) != EFI_RUNTIME_SIGNATURE) {
		return;
	}
	(void)cpu_call_ms(read_u64(runtime + EFI_RUNTIME_RESET), args);
	wait();
}

static void off_by_emulator_ports(void)
{
	cpu_out16(QEMU_PM_CONTROL, EMULATOR_S5);
	cpu_out16(BOCHS_PM_CONTROL, EMULATOR_S5);
	wait();
}

_Noreturn void power_off(void)
{
	flush();
	off_by_acpi();
	by_efi(EFI_RESET_SHUTDOWN);
	off_by_emulator_ports();
	say("The machine cannot be switched off by software. It is safe to switch it off now.");
	flush();
	cpu_stop();
}

static void reset_by_acpi(void)
{
	if (config->acpi.reset_port != 0) {
		cpu_out8(config->acpi.reset_port, config->acpi.reset_value);
		wait();
	}
}

static void reset_by_chipset(void)
{
	cpu_out8(RESET_CONTROL, RESET_CONTROL_HARD);
	cpu_out8(RESET_CONTROL, RESET_CONTROL_HARD | RESET_CONTROL_GO);
	wait();
}

static void reset_by_keyboard_controller(void)
{
	for (unsigned i = 0; i < KEYBOARD_WAIT_READS; i++) {
		if ((cpu_in8(KEYBOARD_COMMAND) & KEYBOARD_INPUT_FULL) == 0) {
			break;
		}
	}
	cpu_out8(KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
	wait();
}

_Noreturn void power_reset(void)
{
	flush();
	reset_by_acpi();
	by_efi(EFI_RESET_COLD);
	reset_by_chipset();
	reset_by_keyboard_controller();
	cpu_triple_fault();
}
