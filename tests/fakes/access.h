/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical memory of host programs, and a machine to start mm on. Addresses that hypervisor
 * code uses are translated through the tables that fake CR3 points at, like an MMU would: what is
 * not mapped, or not writable, aborts the test. Before the first CR3 write the direct window
 * reaches all of memory, as the loader leaves it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/base/addr.h"

/* Gives the program `size` bytes of physical memory from address 0 on, filled with 0xa5. */
void fake_ram_init(uint64_t size);
uint64_t fake_ram_size(void);
/* The host's pointer to physical address `pa`; aborts beyond the memory. */
void *fake_ram(hpa_t pa);

/* What the tables below fake CR3 say of `va`; false when it is not mapped. */
struct fake_translation {
	hpa_t pa;
	bool write;
	bool exec;
};
bool fake_translate(hva_t va, struct fake_translation *out);

/*
 * A machine with `size` bytes of memory (at least 16 MiB), a handoff that describes it, and mm_init
 * called: image at 2 MiB, loader memory with the handoff behind it, one 64 KiB module filled with
 * 0x5a, ACPI and runtime memory at the end. Returns the handoff.
 */
struct handoff *fake_machine(uint64_t size);
/* The handoff alone, for tests that change it before mm_init. */
struct handoff *fake_handoff(uint64_t size);

#define FAKE_IMAGE_BASE 0x200000ull
#define FAKE_IMAGE_SIZE 0x40000ull
#define FAKE_LOADER_BASE 0x300000ull
#define FAKE_LOADER_SIZE 0x10000ull
#define FAKE_MODULE_BASE 0x321000ull
#define FAKE_MODULE_SIZE 0x10000ull
#define FAKE_TRAMPOLINE 0x8000ull
/* Below the end of memory: runtime services, then ACPI tables. */
#define FAKE_FIRMWARE_SIZE 0x20000ull
