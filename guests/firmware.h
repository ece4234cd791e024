/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's firmware finds beside the board: fw_cfg with all that SeaBIOS and OVMF look for in
 * it, and their debug port. The ACPI tables are written anew whenever firmware asks for them, as
 * it has placed ECAM and the BARs by then.
 *
 *	etc/table-loader, etc/acpi/rsdp, etc/acpi/tables	guests/tables/acpi_loader.h
 *	etc/smbios/smbios-anchor, etc/smbios/smbios-tables	guests/tables/smbios.h
 *	etc/e820	RAM		etc/system-states	no S3, no S4
 *	bootorder	disks, NICs	etc/sercon-port		SeaBIOS' console on COM1
 *	kernel, initrd and command line by their numbers
 *	genroms/linuxboot_dma.bin	what SeaBIOS starts these with
 *	pci1234,1111.rom		the VGA BIOS
 */
#pragma once

#include "guests/board.h"
#include "guests/devices/debug_port.h"
#include "guests/devices/fw_cfg.h"
#include "guests/tables/acpi.h"
#include "guests/tables/acpi_loader.h"
#include "guests/tables/e820.h"
#include "guests/tables/smbios.h"

#define FIRMWARE_BOOT_MAX 20u
/* Its path in the boot order. */
#define FIRMWARE_LINUXBOOT_PATH "/rom@genroms/linuxboot_dma.bin"
/* A bzImage's real-mode part: at most 64 sectors, as boot loaders have always assumed. */
#define FIRMWARE_SETUP_MAX 0x8200u
#define FIRMWARE_BOOT_TEXT_MAX (FIRMWARE_BOOT_MAX * 48u)

struct firmware_span {
	const void *data; /* outlives the device */
	uint64_t size;	  /* 0: none */
};

struct firmware_config {
	struct vm *vm;
	struct vwork_queue *work;
	struct board *board; /* with all PCI devices in place */
	const struct ram_layout *ram;
	const char *name; /* of the guest */
	bool uefi;
	uint32_t cpu_signature; /* EAX and EDX of CPUID leaf 1 */
	uint32_t cpu_features;
	unsigned physical_bits;
	/* What to boot from, the first choice first; paths of Open Firmware as SeaBIOS and OVMF
	 * read them, without the root. */
	unsigned boot_count;
	char boot[FIRMWARE_BOOT_MAX][48];
	struct firmware_span vgabios;
	struct firmware_span linuxboot; /* an option ROM that starts the kernel, for SeaBIOS */
	/* Handed to the firmware to start in place of a disk. */
	struct firmware_span kernel; /* a bzImage */
	struct firmware_span initrd;
	const char *cmdline;
	void (*line)(void *ctx, const char *text); /* of the debug port */
	void *ctx;
};

struct firmware_e820 {
	uint64_t base;
	uint64_t size;
	uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct firmware_e820) == 20, "as BIOS' e820 call returns it");

struct firmware {
	struct fw_cfg cfg;
	struct debug_port debug;
	struct firmware_config config;
	uint8_t uuid[SMBIOS_UUID_SIZE];
	unsigned e820_count;
	struct firmware_e820 e820[RAM_RANGES_MAX];
	struct acpi_links links;
	size_t tables_used;
	size_t loader_used;
	size_t smbios_used;
	uint8_t anchor[SMBIOS_ANCHOR_SIZE];
	uint8_t smbios[SMBIOS_TABLES_MAX];
	uint8_t tables[LAYOUT_ACPI_SIZE];
	uint8_t loader[ACPI_LOADER_SIZE_MAX];
	char boot[FIRMWARE_BOOT_TEXT_MAX];
	uint8_t setup[FIRMWARE_SETUP_MAX]; /* of the kernel, with a boot loader's fields filled in
					    */
};

/*
 * Fills in everything from `config`. Nothing is on a bus yet: `cfg` belongs at FW_CFG_PORT, `debug`
 * at DEBUG_PORT. HV_E_RANGE or HV_E_NO_MEMORY when something does not fit. A kernel that is no
 * bzImage: HV_E_INVALID.
 */
enum hv_status firmware_init(struct firmware *f,
			     const struct firmware_config *config) HV_MUST_CHECK;
