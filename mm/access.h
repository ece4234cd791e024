/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How code reaches a virtual address of the hypervisor, and where the linker put the image. This is
 * all of mm that only the target can do: mm/access_ptr.h says "the address itself", and so does
 * mm/access_insn.c; host programs link tests/fakes/access.c, which translates through the page
 * tables that fake CR3 points at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "mm/access_ptr.h"

/* The reverse of access_ptr, for pointers into the direct window. */
hva_t access_va(const void *p);

/* A run of pages of the image with one set of rights; bss follows an unmapped page. */
struct access_section {
	uint64_t start; /* virtual, 4 KiB aligned, as is end */
	uint64_t end;
	uint8_t rights; /* PT_R | PT_W | PT_X of mm/ptw.h */
};

#define ACCESS_SECTIONS 4u
/* The image's sections; the first starts at the image's first byte. */
void access_image(struct access_section out[ACCESS_SECTIONS]);
