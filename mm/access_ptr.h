/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to an address on the target, where it is a pointer already: inline, as each access to
 * guest memory takes it. Host programs include tests/fakes/include/mm/access_ptr.h in its place.
 */
#pragma once

#include <stdbool.h>

#include "hv/base/addr.h"

/* A pointer to what is mapped at `va`; good up to the end of the page that maps it. */
static inline void *access_ptr(hva_t va, bool write)
{
	(void)write;
	return hva_ptr(va);
}
