/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device for programs that test the machine below them, after QEMU's pc-testdev:
 *
 *	0x00e0	4 ports	 data: reads back what was written, in whatever widths
 *	0x00e4	4 ports	 flush: the guest-physical page written there is to be translated anew
 *	0x00e8	4 ports	 the same data, a byte at a time
 *	0x2000	24 ports interrupt lines: any bit of the value raises the line, zero lowers it
 *	0x3000	4 ports	 the SynIC: what is written, 32 bits at once, is a command for
 *			 hyperv_test_command; after QEMU's hyperv-testdev
 *	0xff000000	 64 KiB of bytes that are not RAM: each access is emulated
 */
#pragma once

#include "hv/api/saved.h"
#include "hv/api/vdev.h"

#define TEST_DEVICE_PORT 0xe0u
#define TEST_DEVICE_PORTS 12u
#define TEST_DEVICE_FLUSH 0xe4u
#define TEST_DEVICE_BYTES 0xe8u
#define TEST_DEVICE_DATA_SIZE 4u
#define TEST_DEVICE_LINES_PORT 0x2000u
#define TEST_DEVICE_LINES 24u
#define TEST_DEVICE_SYNIC_PORT 0x3000u
#define TEST_DEVICE_SYNIC_PORTS 4u
#define TEST_DEVICE_MEMORY_BASE 0xff000000ull
#define TEST_DEVICE_MEMORY_SIZE 0x10000ull

struct test_device_config {
	void (*line)(void *ctx, unsigned line, bool level);
	void (*flush)(void *ctx, uint64_t gpa);	    /* may be NULL */
	void (*synic)(void *ctx, uint32_t command); /* likewise */
	void *ctx;
	uint8_t *memory; /* TEST_DEVICE_MEMORY_SIZE bytes */
};

struct test_device {
	struct vdev dev; /* its lock covers all below */
	struct test_device_config cfg;
	uint8_t data[TEST_DEVICE_DATA_SIZE];
	uint32_t lines; /* raised now, one bit each */
	struct saved_device saved;
};

#define TEST_DEVICE_SAVED_VERSION 1u
struct test_device_saved {
	uint32_t lines;
	uint8_t data[TEST_DEVICE_DATA_SIZE];
	uint8_t memory[TEST_DEVICE_MEMORY_SIZE];
};
_Static_assert(sizeof(struct test_device_saved) == 8 + TEST_DEVICE_MEMORY_SIZE, "no padding");

/* To be registered at the places above. */
void test_device_init(struct test_device *t, const struct test_device_config *cfg);
