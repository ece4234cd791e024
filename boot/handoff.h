/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one meeting point of the UEFI loader and the hypervisor: what the loader found out, as a
 * versioned structure of fixed-width fields. All addresses are host-physical; all memory named
 * here stays untouched until the hypervisor frees it.
 *
 * Entry state: long mode, interrupts off, EFER.NXE and CR0.WP set, CR4.PGE clear, CR3 = `boot_cr3`.
 * Mapped, and nothing else: all memory of the map (not MMIO, not RESERVED) 1:1 and once more, not
 * executable, at HANDOFF_DIRECT_BASE + physical, both writable and rounded out to 2 MiB; and the
 * segments of the hypervisor ELF at their link addresses, each with its own rights. RDI holds this
 * structure's address in the direct window; the image's entry code sets up its own stack. GDT and
 * IDT are still the firmware's and lie in FREE memory: replace them before giving any of it away.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define HANDOFF_MAGIC 0x31304b4c55420a0dull
#define HANDOFF_VERSION 1u
/* Where the loader maps all memory of the map for the hypervisor's first steps. */
#define HANDOFF_DIRECT_BASE 0xffff800000000000ull

enum handoff_memory_type {
	HANDOFF_MEM_FREE = 1,	  /* usable, also what boot services leave behind */
	HANDOFF_MEM_LOADER = 2,	  /* this structure, its arrays, boot page tables: reclaimable */
	HANDOFF_MEM_IMAGE = 3,	  /* the hypervisor's ELF segments */
	HANDOFF_MEM_MODULE = 4,	  /* contents of files */
	HANDOFF_MEM_ACPI = 5,	  /* tables and NVS: mapped read-only when needed */
	HANDOFF_MEM_RUNTIME = 6,  /* EFI runtime services code and data */
	HANDOFF_MEM_MMIO = 7,	  /* device registers named by the firmware */
	HANDOFF_MEM_RESERVED = 8, /* anything else: never touched */
};

/* Sorted by base, 4 KiB granular, no overlaps. */
struct handoff_memory {
	uint64_t base;
	uint64_t size;
	uint32_t type;	     /* enum handoff_memory_type */
	uint32_t attributes; /* low half of the EFI attribute mask */
};
static_assert(sizeof(struct handoff_memory) == 24, "wire size");

#define HANDOFF_PATH_MAX 128
/* Files and folders that are listed at most; a stick that holds more was not made for this. */
#define HANDOFF_MODULES_MAX 4096

/* One file below \bulkhead\, with its path relative to that folder, '/' between components. */
struct handoff_module {
	char path[HANDOFF_PATH_MAX]; /* UTF-8, terminated; "web/vmlinuz", "bulkhead.conf" */
	uint64_t base;		     /* 4 KiB aligned; 0 when the file is empty or was not read */
	uint64_t size;		     /* bytes; the rest of the last page is zero */
	uint32_t is_directory;
	uint32_t error; /* 0, or why the file could not be read: enum handoff_file_error */
};
static_assert(sizeof(struct handoff_module) == HANDOFF_PATH_MAX + 24, "wire size");

enum handoff_file_error {
	HANDOFF_FILE_OK = 0,
	HANDOFF_FILE_IO = 1,	    /* the medium or file system failed */
	HANDOFF_FILE_NO_MEMORY = 2, /* larger than the free memory */
	HANDOFF_FILE_NAME_LONG = 3, /* path cut to HANDOFF_PATH_MAX - 1 */
};

/* A processor as EFI_MP_SERVICES_PROTOCOL reports it. */
struct handoff_cpu {
	uint32_t apic_id;
	uint32_t flags; /* HANDOFF_CPU_* */
};
#define HANDOFF_CPU_BSP 1u
#define HANDOFF_CPU_ENABLED 2u
#define HANDOFF_CPU_HEALTHY 4u

enum handoff_pixel_format {
	HANDOFF_PIXEL_RGBX = 0,
	HANDOFF_PIXEL_BGRX = 1,
};

struct handoff_framebuffer {
	uint64_t base; /* 0 when there is no linear framebuffer */
	uint64_t size; /* bytes */
	uint32_t width;
	uint32_t height;
	uint32_t stride; /* pixels per scan line */
	uint32_t format; /* enum handoff_pixel_format; 32 bits per pixel */
};
static_assert(sizeof(struct handoff_framebuffer) == 32, "wire size");

struct handoff {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* sizeof(struct handoff) on the loader's side */
	uint64_t memory;
	uint64_t memory_count;
	uint64_t modules;
	uint64_t module_count;
	uint64_t cpus; /* from MP services; count 0 when the protocol is absent */
	uint64_t cpu_count;
	struct handoff_framebuffer framebuffer;
	uint64_t rsdp;	     /* 0 when the firmware has no ACPI tables */
	uint64_t smbios;     /* SMBIOS 3 entry point, else 2, else 0 */
	uint64_t trampoline; /* one page below 640 KiB for AP start-up, in LOADER memory; 0: none */
	uint64_t boot_cr3;
	uint64_t image_base; /* physical base and size of the loaded ELF segments */
	uint64_t image_size;
	uint64_t efi_system_table; /* 0 when runtime services must not be called */
	uint64_t tsc_at_entry;	   /* TSC when efi_main began */
	uint64_t tsc_images_read;  /* TSC when the last file had been read */
	uint32_t serial_port;	   /* I/O base of the UART the loader printed to; 0 when none */
	uint32_t boot_flags;	   /* 0 */
};
static_assert(sizeof(struct handoff) == 176, "wire size");
static_assert(offsetof(struct handoff, framebuffer) == 64, "wire offset");
static_assert(offsetof(struct handoff, rsdp) == 96, "wire offset");
static_assert(offsetof(struct handoff, serial_port) == 168, "wire offset");
