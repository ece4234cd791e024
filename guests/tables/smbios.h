/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SMBIOS structures of a guest, as firmware copies them into memory: BIOS (0), system (1),
 * chassis (3), processor (4), memory array (16), memory device (17), mapped ranges (19), boot (32),
 * end (127). Source: DMTF, System Management BIOS Reference Specification 2.8. Pure: builds into
 * the caller's buffers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/status.h"

#define SMBIOS_ANCHOR_SIZE 31u
#define SMBIOS_TABLES_MAX 1024u
#define SMBIOS_UUID_SIZE 16u

struct smbios_config {
	const char *name;	/* of the guest: the serial number, at most 63 characters of it */
	const uint8_t *uuid;	/* SMBIOS_UUID_SIZE bytes, as they lie in the table */
	bool uefi;		/* the firmware is */
	unsigned vcpu_count;	/* 1 .. 255 */
	uint32_t cpu_signature; /* EAX and EDX of CPUID leaf 1 */
	uint32_t cpu_features;
	uint64_t ram_below_4g; /* bytes, whole MiB */
	uint64_t ram_above_4g;
};

/*
 * Builds the structures into `tables` (`cap` bytes, SMBIOS_TABLES_MAX always suffice), sets *used,
 * and the entry point into `anchor` (SMBIOS_ANCHOR_SIZE bytes), whose table address is 0: firmware
 * sets it, and the checksums after it. HV_E_NO_MEMORY when `cap` is too small.
 */
enum hv_status smbios_build(const struct smbios_config *config, uint8_t *tables, size_t cap,
			    size_t *used, uint8_t *anchor) HV_MUST_CHECK;

/* A UUID that is always the same for this name: version 8 of RFC 9562, as SMBIOS stores it. */
void smbios_uuid(const char *name, uint8_t out[SMBIOS_UUID_SIZE]);
