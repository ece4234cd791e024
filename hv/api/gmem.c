/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory through the VM window of the current space. */
#include "hv/api/gmem.h"

#include <stdatomic.h>

#include "hv/api/vm.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/str.h"
#include "mm/access.h"

/*
 * Copies within one page; the usual sizes without a call. The fence is for the compiler alone: what
 * was read is not read again from guest memory, where it may have changed after it was checked, and
 * no copy moves past another one. A look at the whole program at link time would allow both.
 */
static inline void copy(void *dst, const void *src, size_t n)
{
	switch (n) {
	case 1:
		__builtin_memcpy(dst, src, 1);
		break;
	case 2:
		__builtin_memcpy(dst, src, 2);
		break;
	case 4:
		__builtin_memcpy(dst, src, 4);
		break;
	case 8:
		__builtin_memcpy(dst, src, 8);
		break;
	case 12: /* a virtio NIC's header */
		__builtin_memcpy(dst, src, 12);
		break;
	case 16: /* a descriptor of a virtqueue */
		__builtin_memcpy(dst, src, 16);
		break;
	default:
		memcpy(dst, src, n);
		break;
	}
	atomic_signal_fence(memory_order_seq_cst);
}

/* Bytes up to the next page boundary, at most n. */
static size_t page_part(uint64_t addr, size_t n)
{
	size_t left = (size_t)(PAGE_SIZE - addr % PAGE_SIZE);

	return n < left ? n : left;
}

/* Whether the access needs no more than one copy. */
static inline bool is_simple(const struct gspace *g, gpa_t addr, size_t n, bool write)
{
	return n <= PAGE_SIZE - addr.v % PAGE_SIZE && gspace_hit(g, addr, n, write);
}

/* Out of line, and with it the registers that the short way need not save. */
static __attribute__((noinline)) enum hv_status read_pages(struct gspace *g, gpa_t addr, void *dst,
							   size_t n)
{
	enum hv_status status = gspace_access(g, addr, n, false);
	uint64_t va = VM_WINDOW_BASE + addr.v;
	char *to = dst;

	while (status == HV_OK && n != 0) {
		size_t part = page_part(va, n);

		copy(to, access_ptr(hva(va), false), part);
		to += part;
		va += part;
		n -= part;
	}
	return status;
}

/* Into the window, where the range was made ready. */
static void write_ready(gpa_t addr, const void *src, size_t n)
{
	uint64_t va = VM_WINDOW_BASE + addr.v;
	const char *from = src;

	while (n != 0) {
		size_t part = page_part(va, n);

		copy(access_ptr(hva(va), true), from, part);
		from += part;
		va += part;
		n -= part;
	}
}

static __attribute__((noinline)) enum hv_status write_pages(struct gspace *g, gpa_t addr,
							    const void *src, size_t n)
{
	enum hv_status status = gspace_access(g, addr, n, true);

	if (status == HV_OK) {
		write_ready(addr, src, n);
	}
	return status;
}

enum hv_status guest_mem_read(struct vm *vm, gpa_t addr, void *dst, size_t n)
{
	struct gspace *g = &vm->gspace;

	CHECK(space_current() == &g->host);
	if (is_simple(g, addr, n, false)) {
		copy(dst, access_ptr(hva(VM_WINDOW_BASE + addr.v), false), n);
		return HV_OK;
	}
	return read_pages(g, addr, dst, n);
}

enum hv_status guest_mem_write(struct vm *vm, gpa_t addr, const void *src, size_t n)
{
	struct gspace *g = &vm->gspace;

	CHECK(space_current() == &g->host);
	if (is_simple(g, addr, n, true)) {
		copy(access_ptr(hva(VM_WINDOW_BASE + addr.v), true), src, n);
		return HV_OK;
	}
	return write_pages(g, addr, src, n);
}

/* At an even address two bytes never cross the end of a page. */
static inline bool is_simple_u16(const struct gspace *g, gpa_t addr, bool write)
{
	return is_aligned(addr.v, sizeof(uint16_t)) && space_current() == &g->host &&
	       gspace_hit(g, addr, sizeof(uint16_t), write);
}

enum hv_status guest_mem_read_u16(struct vm *vm, gpa_t addr, uint16_t *value)
{
	if (is_simple_u16(&vm->gspace, addr, false)) {
		copy(value, access_ptr(hva(VM_WINDOW_BASE + addr.v), false), sizeof(*value));
		return HV_OK;
	}
	return guest_mem_read(vm, addr, value, sizeof(*value));
}

/* The long way out of line: it needs the number in memory. */
static __attribute__((noinline)) enum hv_status write_u16(struct vm *vm, gpa_t addr, uint16_t value)
{
	return guest_mem_write(vm, addr, &value, sizeof(value));
}

enum hv_status guest_mem_write_u16(struct vm *vm, gpa_t addr, uint16_t value)
{
	if (is_simple_u16(&vm->gspace, addr, true)) {
		copy(access_ptr(hva(VM_WINDOW_BASE + addr.v), true), &value, sizeof(value));
		return HV_OK;
	}
	return write_u16(vm, addr, value);
}

enum hv_status guest_rom_write(struct vm *vm, gpa_t addr, const void *src, size_t n)
{
	enum hv_status status;

	CHECK(space_current() == &vm->gspace.host);
	status = gspace_access_rom(&vm->gspace, addr, n);
	if (status == HV_OK) {
		write_ready(addr, src, n);
	}
	return status;
}
