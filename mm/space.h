/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hypervisor address spaces. The core (image, direct window of hypervisor-owned frames, frame
 * table, device mappings, temporary windows) is the same in all of them; the VM window holds the
 * RAM of one VM, at VM_WINDOW_BASE + guest-physical address, and exists only in that VM's space.
 *
 *   0xffff8000_00000000  direct window: hypervisor-owned frames at base + physical address
 *   0xffffa000_00000000  frame table
 *   0xffffb000_00000000  device registers and framebuffer
 *   0xffffc000_00000000  VM window (private to a space, up to 16 TiB)
 *   0xffffe000_00000000  temporary windows, one 4 MiB stride per CPU
 *   0xffffffff_80000000  hypervisor image
 *   0x00000000_........  1:1 mapping of EFI runtime services and the AP trampoline (core)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"
#include "mm/ptw.h"

#define HV_DIRECT_BASE 0xffff800000000000ull
#define HV_FRAMES_BASE 0xffffa00000000000ull
#define HV_DEVICE_BASE 0xffffb00000000000ull
#define VM_WINDOW_BASE 0xffffc00000000000ull
#define VM_WINDOW_SIZE 0x0000100000000000ull
#define HV_TEMP_BASE 0xffffe00000000000ull
#define HV_TEMP_STRIDE MIB(4)
#define HV_IMAGE_BASE 0xffffffff80000000ull

struct handoff;

/*
 * Builds the frame table and the core space from the memory map and leaves the loader's page
 * tables for it: from here on no guest-owned frame is mapped anywhere. Called once, on the BSP.
 */
enum hv_status mm_init(const struct handoff *handoff) HV_MUST_CHECK;

struct space {
	struct pt pt; /* upper half shared with the core except the VM window */
};

/* The space that holds nothing but the core; what idle CPUs run in. */
struct space *space_core(void);
enum hv_status space_init(struct space *s) HV_MUST_CHECK;
/* The space must be current on no CPU. */
void space_fini(struct space *s);
/* Loads CR3 on this CPU unless `s` is current already. */
void space_switch(struct space *s);
struct space *space_current(void);

/* Maps device registers or a framebuffer into the core. NULL when out of window or memory. */
void *space_map_device(hpa_t base, uint64_t size, enum pt_memory_type type);
/* Maps memory that is not ours (ACPI tables) read-only into the core; cached. */
const void *space_map_readonly(hpa_t base, uint64_t size);
