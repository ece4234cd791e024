/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setup header of a bzImage, read and judged. Field names and offsets are those of "The
 * Linux/x86 Boot Protocol", section "Details of Header Fields".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guests/loaders/linux.h"

/* Offsets in the image's first sectors and in boot_params alike. */
#define HDR_SETUP_SECTS 0x1f1u
#define HDR_SYSSIZE 0x1f4u
#define HDR_BOOT_FLAG 0x1feu
#define HDR_JUMP_LENGTH 0x201u
#define HDR_MAGIC 0x202u
#define HDR_VERSION 0x206u
#define HDR_TYPE_OF_LOADER 0x210u
#define HDR_LOADFLAGS 0x211u
#define HDR_CODE32_START 0x214u
#define HDR_RAMDISK_IMAGE 0x218u
#define HDR_RAMDISK_SIZE 0x21cu
#define HDR_CMD_LINE_PTR 0x228u
#define HDR_INITRD_ADDR_MAX 0x22cu
#define HDR_KERNEL_ALIGNMENT 0x230u
#define HDR_RELOCATABLE 0x234u
#define HDR_XLOADFLAGS 0x236u
#define HDR_CMDLINE_SIZE 0x238u
#define HDR_SETUP_DATA 0x250u
#define HDR_PREF_ADDRESS 0x258u
#define HDR_INIT_SIZE 0x260u
/* The end of the last field that is needed. */
#define HDR_NEEDED_END 0x264u

#define LOADFLAGS_LOADED_HIGH 0x01u
#define XLF_KERNEL_64 0x0001u
#define XLF_CAN_BE_LOADED_ABOVE_4G 0x0002u

struct linux_header {
	uint64_t setup_bytes;  /* boot sector and real-mode code before the kernel proper */
	uint64_t kernel_bytes; /* the protected-mode part that is copied */
	uint64_t pref_address;
	uint64_t initrd_end; /* first address the initrd must not reach */
	uint64_t cmdline_max;
	uint32_t init_size;
	uint32_t alignment; /* a power of two, at least 4 KiB */
	bool relocatable;
	bool entry_64; /* it can be entered in 64-bit mode; else in 32-bit mode, as any bzImage */
	bool above_4g; /* initrd may lie anywhere */
	unsigned size; /* bytes from LINUX_HEADER_OFFSET on that are the header */
};

/* Whether the file has the marks of a bzImage, whatever else is wrong with it. */
bool linux_header_is(const uint8_t *image, uint64_t size);

/* Reads the header of `size` bytes of image; errors as linux_plan for the image alone. */
enum hv_status linux_header_read(const uint8_t *image, uint64_t size, struct linux_header *out,
				 struct load_error *err) HV_MUST_CHECK;
