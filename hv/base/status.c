/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the status codes. */
#include "hv/base/status.h"

#include <stddef.h>

static const char *const status_names[HV_STATUS_COUNT] = {
	[HV_OK] = "ok",
	[HV_E_INVALID] = "invalid",
	[HV_E_RANGE] = "out of range",
	[HV_E_NO_MEMORY] = "no memory",
	[HV_E_NOT_FOUND] = "not found",
	[HV_E_EXISTS] = "exists already",
	[HV_E_TRUNCATED] = "truncated",
	[HV_E_UNSUPPORTED] = "unsupported",
	[HV_E_BUSY] = "busy",
	[HV_E_IO] = "input/output error",
};

const char *hv_status_name(enum hv_status status)
{
	if ((unsigned)status >= HV_STATUS_COUNT || status_names[status] == NULL) {
		return "unknown status";
	}
	return status_names[status];
}
