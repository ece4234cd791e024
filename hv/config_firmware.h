/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys `firmware` and `boot` of guest.conf, and what a folder without a kernel boots from.
 *
 *	none	the kernel is started without firmware; default where there is a kernel
 *	bios	SeaBIOS from \bulkhead\firmware\
 *	uefi	OVMF from there
 *	FILE	an image of whole pages, up to 16 MiB, in the folder or /path below \bulkhead\
 *	auto	default where there is no kernel: by the first disk that boots, hv/blk/boot_kind.h
 *
 * `boot` names what firmware tries, disk and net, the first choice first. By default the disks, and
 * after them the NICs if one has a ROM or there is no disk.
 */
#pragma once

#include "hv/config.h"
#include "hv/config_text.h"

/* The files of \bulkhead\firmware\, by Debian's names. */
#define CONFIG_FIRMWARE_BIOS CONFIG_FIRMWARE_FOLDER "/bios-256k.bin"
#define CONFIG_FIRMWARE_CODE CONFIG_FIRMWARE_FOLDER "/OVMF_CODE_4M.fd"
#define CONFIG_FIRMWARE_VARS CONFIG_FIRMWARE_FOLDER "/OVMF_VARS_4M.fd"
#define CONFIG_FIRMWARE_LINUXBOOT CONFIG_FIRMWARE_FOLDER "/linuxboot_dma.bin"
#define CONFIG_FIRMWARE_VGABIOS CONFIG_FIRMWARE_FOLDER "/vgabios-stdvga.bin"

/* The keys' functions. */
void config_set_firmware(struct config_parser *p, struct span value);
void config_set_boot(struct config_parser *p, struct span value);
/* Whether a kernel is looked for in the folder. */
bool config_may_have_kernel(const struct guest_config *g);
/*
 * When all keys are read and a kernel has been looked for: `auto` is settled as far as the folder
 * tells, a folder's one disk image becomes its disk, and the firmware's files are found. Reports
 * what is missing.
 */
void config_finish_firmware(struct config_parser *p, struct guest_config *g);
