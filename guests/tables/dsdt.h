/* SPDX-License-Identifier: Apache-2.0 */
/* The DSDT as iasl compiled it from guests/tables/dsdt.asl (build/gen/dsdt.c). */
#pragma once

#include <stddef.h>
#include <stdint.h>

extern const uint8_t dsdt_aml[];
extern const size_t dsdt_aml_size;

/* FLGS: which of the optional devices this guest has. */
#define DSDT_FLAG_COM1 0x1u
#define DSDT_FLAG_KEYBOARD 0x2u
#define DSDT_FLAG_MOUSE 0x4u
#define DSDT_FLAG_WINDOW64 0x8u
#define DSDT_FLAG_HPET 0x10u
#define DSDT_FLAG_FLOPPY_SHIFT 8u /* the type of the first floppy drive, above it the second's */
#define DSDT_FLAG_FLOPPY_BITS 4u
