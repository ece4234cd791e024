/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four address types and page-size constants. Mixing host-physical, guest-physical,
 * host-virtual and guest-virtual addresses is a compile error because each is its own struct.
 */
#pragma once

#include <stdint.h>

/* Host-physical address, as the CPU puts it on the bus. */
typedef struct {
	uint64_t v;
} hpa_t;

/* Guest-physical address: what a guest believes to be physical. */
typedef struct {
	uint64_t v;
} gpa_t;

/* Host-virtual address: valid in the hypervisor's current address space. */
typedef struct {
	uint64_t v;
} hva_t;

/* Guest-virtual address: a linear address of a guest. */
typedef struct {
	uint64_t v;
} gva_t;

static inline hpa_t hpa(uint64_t v)
{
	return (hpa_t){v};
}

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline hva_t hva(uint64_t v)
{
	return (hva_t){v};
}

static inline gva_t gva(uint64_t v)
{
	return (gva_t){v};
}

static inline void *hva_ptr(hva_t a)
{
	return (void *)(uintptr_t)a.v;
}

static inline hva_t hva_of_ptr(const void *p)
{
	return (hva_t){(uint64_t)(uintptr_t)p};
}

#define PAGE_SHIFT 12u
#define PAGE_SIZE (UINT64_C(1) << PAGE_SHIFT)
#define PAGE_SHIFT_2M 21u
#define PAGE_SIZE_2M (UINT64_C(1) << PAGE_SHIFT_2M)
#define PAGE_SHIFT_1G 30u
#define PAGE_SIZE_1G (UINT64_C(1) << PAGE_SHIFT_1G)

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
