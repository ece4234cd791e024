/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hypervisor address spaces. The core (image, direct window of hypervisor-owned frames, device
 * mappings, temporary windows) is the same in all of them; the VM window holds the RAM of one VM,
 * at VM_WINDOW_BASE + guest-physical address, and exists only in that VM's space.
 *
 *   0xffff8000_00000000  direct window: hypervisor-owned frames at base + physical address; the
 *                        frame table is among them
 *   0xffffb000_00000000  device registers and framebuffer
 *   0xffffc000_00000000  VM window (private to a space, up to 16 TiB)
 *   0xffffe000_00000000  temporary windows, 2 MiB and twice 4 KiB per CPU
 *   0xffffffff_80000000  hypervisor image
 *   0x00000000_........  1:1 mapping of EFI runtime services and the AP trampoline (core)
 *
 * Nothing is both writable and executable but what the firmware and the trampoline need. The
 * second-level tables of all core areas are made by mm_init and shared by all spaces: what the
 * core maps later shows in each of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"
#include "hv/cpu/percpu.h"
#include "mm/ptw.h"

#define HV_DIRECT_BASE 0xffff800000000000ull
#define HV_DEVICE_BASE 0xffffb00000000000ull
#define HV_DEVICE_SIZE 0x0000008000000000ull
#define VM_WINDOW_BASE 0xffffc00000000000ull
#define VM_WINDOW_SIZE 0x0000100000000000ull
#define HV_TEMP_BASE 0xffffe00000000000ull
#define HV_IMAGE_BASE 0xffffffff80000000ull

struct handoff;

/*
 * Builds the frame table and the core space from the memory map and leaves the loader's page
 * tables for it: from here on no guest-owned frame is mapped anywhere. Called once, on the BSP,
 * after percpu_activate; `handoff` is reached through the direct window.
 */
enum hv_status mm_init(const struct handoff *handoff) HV_MUST_CHECK;
/*
 * Frees what the loader left (HANDOFF_MEM_LOADER): the handoff structure, its arrays, the boot page
 * tables. None of it may be used afterwards. Modules stay.
 */
enum hv_status mm_reclaim_loader(const struct handoff *handoff) HV_MUST_CHECK;

struct space {
	struct pt pt; /* upper half shared with the core except the VM window */
};

/* The space that holds nothing but the core; what idle CPUs run in. */
struct space *space_core(void);
/* The core's CR3 for a CPU that is being started; below 4 GiB. */
uint64_t space_core_cr3(void);
/*
 * Prepares the CPU that executes this for our tables (NX, write protection, PAT) and switches to
 * the core. mm_init does it on the BSP; each AP calls it after percpu_activate.
 */
void space_cpu_init(void);
enum hv_status space_init(struct space *s) HV_MUST_CHECK;
/* The space must be current on no CPU. */
void space_fini(struct space *s);
/* Loads CR3 on this CPU unless `s` is current already. */
void space_switch(struct space *s);
/* The space of each CPU, for space_current; written by its CPU alone, in mm/space.c. */
extern struct space *_Atomic space_of_cpu[CPU_MAX];
/* The space that this CPU is in. */
static inline struct space *space_current(void)
{
	return atomic_load_explicit(&space_of_cpu[cpu_this()->index], memory_order_relaxed);
}
/* Whether CPU `cpu` is in the space: another CPU's answer may be old, but false stays false as long
 * as nobody there switches to it. */
bool space_is_current_on(const struct space *s, unsigned cpu);
/* Forgets this CPU's translations of [va, va + size) in `s`. */
void space_flush(const struct space *s, uint64_t va, uint64_t size);

/* Whether everything but the VM window is the core's: part of the isolation check. */
bool space_shares_core(const struct space *s);

/*
 * Maps device registers or a framebuffer into the core; an equal mapping is made only once. NULL
 * when out of window or memory, or when the range touches memory of the frame table.
 */
void *space_map_device(hpa_t base, uint64_t size, enum pt_memory_type type);
/* Maps memory that is not ours (ACPI tables) read-only into the core; cached. NULL as above. */
const void *space_map_readonly(hpa_t base, uint64_t size);
