/* SPDX-License-Identifier: Apache-2.0 */
/* The way out of boot services. */
#pragma once

#include <efi.h>

#include "boot/elf.h"
#include "boot/handoff.h"

/*
 * Builds the page tables for the image that lies planned at handoff->image_base, leaves boot
 * services and completes the handoff with the final memory map. On failure says why, and boot
 * services may be used as before. After success no firmware service but runtime services exists.
 */
EFI_STATUS leave_boot_services(EFI_HANDLE image, const struct elf_plan *plan,
			       struct handoff *handoff);
