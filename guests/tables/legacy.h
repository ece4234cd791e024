/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a BIOS would leave behind for a kernel that was booted by one and may go back to real mode:
 * interrupt vectors, a few words of the BIOS data area, and handlers in the ROM area that do
 * nothing but end the interrupt. There are no BIOS services. Sources: Multiboot Specification
 * 0.6.96, "Machine state"; IBM PC/AT Technical Reference, "ROM BIOS".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Vectors and BIOS data area, at address 0. */
#define LEGACY_LOW_SIZE 0x500u
/* The handlers, at LAYOUT_BIOS_BASE. */
#define LEGACY_ROM_SIZE 0x40u

/* Vectors of the 8259s as a BIOS programs them. */
#define LEGACY_MASTER_BASE 0x08u
#define LEGACY_SLAVE_BASE 0x70u
/* What it leaves masked: all but timer, keyboard, cascade and diskette; all but mouse, FPU, disk.
 */
#define LEGACY_MASTER_MASK 0xb8u
#define LEGACY_SLAVE_MASK 0x8fu

void legacy_build_low(bool serial, uint8_t low[LEGACY_LOW_SIZE]);
void legacy_build_rom(uint8_t rom[LEGACY_ROM_SIZE]);
