/* SPDX-License-Identifier: Apache-2.0 */
/* Judging a file that claims to be a Linux kernel. Every byte of it is hostile. */
#include "guests/loaders/linux_header.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define SECTOR 512u
#define BOOT_FLAG 0xaa55u
#define MAGIC_HDRS 0x53726448u /* "HdrS" */
#define VERSION_MIN 0x020au    /* init_size came with 2.10 */
#define VERSION_XLOADFLAGS 0x020cu

static uint16_t read16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t read32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t read64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* What people mistake for a bzImage, by its first bytes. */
static const char *known_format(const uint8_t *image, uint64_t size)
{
	static const struct {
		const char *name;
		uint8_t magic[4];
		uint8_t length;
	} formats[] = {
		{"an ELF file (vmlinux?)", {0x7f, 'E', 'L', 'F'}, 4},
		{"gzip data", {0x1f, 0x8b}, 2},
		{"xz data", {0xfd, '7', 'z', 'X'}, 4},
		{"zstd data", {0x28, 0xb5, 0x2f, 0xfd}, 4},
		{"a cpio archive (initrd?)", {'0', '7', '0', '7'}, 4},
		{"a Windows or EFI program", {'M', 'Z'}, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t n = formats[i].length;

		if (size >= n && memcmp(image, formats[i].magic, n) == 0) {
			return formats[i].name;
		}
	}
	return "something else";
}

bool linux_header_is(const uint8_t *image, uint64_t size)
{
	return size >= HDR_VERSION && read16(image + HDR_BOOT_FLAG) == BOOT_FLAG &&
	       read32(image + HDR_MAGIC) == MAGIC_HDRS;
}

/* Whether this is a bzImage whose header is all there. */
static enum hv_status check_identity(const uint8_t *image, uint64_t size, struct load_error *err)
{
	if (size == 0) {
		return load_fail(err, HV_E_TRUNCATED, "the file is empty");
	}
	if (!linux_header_is(image, size)) {
		return load_fail(
			err, HV_E_INVALID,
			"neither a Linux bzImage nor a Multiboot kernel but %s (%lu bytes)",
			known_format(image, size), size);
	}
	if (size < LINUX_HEADER_OFFSET + LINUX_HEADER_MAX) {
		return load_fail(err, HV_E_TRUNCATED,
				 "truncated: %lu bytes end within the setup header", size);
	}
	return HV_OK;
}

/* Whether the header has what is needed to place the kernel. */
static enum hv_status check_protocol(const uint8_t *image, struct load_error *err)
{
	unsigned version = read16(image + HDR_VERSION);

	if (version < VERSION_MIN) {
		return load_fail(err, HV_E_UNSUPPORTED,
				 "boot protocol %u.%02u is too old: 2.10 (Linux 2.6.31) is needed",
				 version >> 8, version & 0xff);
	}
	if ((image[HDR_LOADFLAGS] & LOADFLAGS_LOADED_HIGH) == 0) {
		return load_fail(err, HV_E_UNSUPPORTED, "a zImage: a bzImage is needed");
	}
	return HV_OK;
}

static void read_fields(const uint8_t *image, struct linux_header *out)
{
	unsigned sectors = image[HDR_SETUP_SECTS];
	bool has_flags = read16(image + HDR_VERSION) >= VERSION_XLOADFLAGS;
	unsigned flags = has_flags ? read16(image + HDR_XLOADFLAGS) : 0;

	/* "If the setup_sects field contains 0, the real value is 4"; plus the boot sector. */
	out->setup_bytes = ((sectors == 0 ? 4u : sectors) + 1u) * (uint64_t)SECTOR;
	out->kernel_bytes = (uint64_t)read32(image + HDR_SYSSIZE) * 16;
	out->pref_address = read64(image + HDR_PREF_ADDRESS);
	out->initrd_end = (uint64_t)read32(image + HDR_INITRD_ADDR_MAX) + 1;
	out->cmdline_max = read32(image + HDR_CMDLINE_SIZE);
	out->init_size = read32(image + HDR_INIT_SIZE);
	out->alignment = read32(image + HDR_KERNEL_ALIGNMENT);
	out->relocatable = image[HDR_RELOCATABLE] != 0;
	out->entry_64 = (flags & XLF_KERNEL_64) != 0;
	out->above_4g = out->entry_64 && (flags & XLF_CAN_BE_LOADED_ABOVE_4G) != 0;
}

static enum hv_status check_fields(const uint8_t *image, uint64_t size, struct linux_header *h,
				   struct load_error *err)
{
	/* "The end of setup header can be calculated": behind the short jump at 0x200. */
	unsigned end = HDR_MAGIC + image[HDR_JUMP_LENGTH];

	if (end < HDR_NEEDED_END) {
		return load_fail(err, HV_E_INVALID, "broken: the setup header ends at 0x%x", end);
	}
	end = (unsigned)min_u64(end, LINUX_HEADER_OFFSET + LINUX_HEADER_MAX);
	h->size = end - LINUX_HEADER_OFFSET;
	if (h->alignment < PAGE_SIZE || (h->alignment & (h->alignment - 1)) != 0) {
		return load_fail(err, HV_E_INVALID, "broken: kernel_alignment is 0x%x",
				 h->alignment);
	}
	if (h->kernel_bytes == 0) {
		return load_fail(err, HV_E_INVALID, "broken: syssize is 0");
	}
	if (size < h->setup_bytes || size - h->setup_bytes < h->kernel_bytes) {
		return load_fail(err, HV_E_TRUNCATED,
				 "truncated: %lu bytes, its header announces %lu", size,
				 h->setup_bytes + h->kernel_bytes);
	}
	return HV_OK;
}

enum hv_status linux_header_read(const uint8_t *image, uint64_t size, struct linux_header *out,
				 struct load_error *err)
{
	enum hv_status status = check_identity(image, size, err);

	if (status == HV_OK) {
		status = check_protocol(image, err);
	}
	if (status != HV_OK) {
		return status;
	}
	read_fields(image, out);
	return check_fields(image, size, out, err);
}
