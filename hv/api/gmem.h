/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory, read once into a local and written from one: bounds-checked, never in place, never
 * validated on one read and used on another. The VM's space must be current on this CPU.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"

struct vm;

/* HV_E_RANGE when any byte is not RAM, HV_E_NO_MEMORY when one lies in a page that the guest had
 * given back and no frame is left; then nothing was copied. */
enum hv_status guest_mem_read(struct vm *vm, gpa_t addr, void *dst, size_t n) HV_MUST_CHECK;
/* As above; read-only memory counts as out of range. HV_E_NO_MEMORY when a shared frame could not
 * be copied; then nothing was written. */
enum hv_status guest_mem_write(struct vm *vm, gpa_t addr, const void *src, size_t n) HV_MUST_CHECK;
/* The same for the number of two bytes that rings consist of: quicker where its address is even. */
enum hv_status guest_mem_read_u16(struct vm *vm, gpa_t addr, uint16_t *value) HV_MUST_CHECK;
enum hv_status guest_mem_write_u16(struct vm *vm, gpa_t addr, uint16_t value) HV_MUST_CHECK;
/*
 * Changes what a ROM holds (gspace_add_rom, gspace_make_rom), hidden or not. HV_E_RANGE when not
 * all of the range is one ROM; HV_E_NO_MEMORY as above.
 */
enum hv_status guest_rom_write(struct vm *vm, gpa_t addr, const void *src, size_t n) HV_MUST_CHECK;
