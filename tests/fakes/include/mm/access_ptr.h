/* SPDX-License-Identifier: Apache-2.0 */
/* For host programs, in place of mm/access_ptr.h: tests/fakes/access.c has the function. */
#pragma once

#include <stdbool.h>

#include "hv/base/addr.h"

void *access_ptr(hva_t va, bool write);
