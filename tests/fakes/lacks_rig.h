/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of device models: what a model said that it does not have. */
#pragma once

#include <stdint.h>

#include "hv/api/lacks.h"
#include "hv/base/str.h"

static struct lacks lacks_rig;

/* How often `device` told of it since the last call; all that was told is forgotten. */
static inline uint64_t lacks_told(const char *device, enum lacks_kind kind, uint32_t what)
{
	struct lack list[LACKS_MAX];
	uint64_t told = 0;
	unsigned count;

	(void)lacks_copy(&lacks_rig, list, &count);
	for (unsigned i = 0; i < count; i++) {
		if (list[i].kind == kind && list[i].what == what &&
		    str_eq(list[i].device, device)) {
			told = list[i].count;
		}
	}
	lacks_rig = (struct lacks){.total = 0};
	return told;
}
