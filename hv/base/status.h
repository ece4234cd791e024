/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one status type of fallible functions. An error is logged where it is born, once; callers
 * pass the status up.
 */
#pragma once

#define HV_MUST_CHECK __attribute__((warn_unused_result))

enum hv_status {
	HV_OK = 0,
	HV_E_INVALID,	  /* an argument or a file's content is not allowed */
	HV_E_RANGE,	  /* outside what the object covers */
	HV_E_NO_MEMORY,	  /* the machine, or this owner's share of it, is used up */
	HV_E_NOT_FOUND,	  /* no such name, file, leaf or register */
	HV_E_EXISTS,	  /* overlaps or repeats something registered before */
	HV_E_TRUNCATED,	  /* input ends before what it announces */
	HV_E_UNSUPPORTED, /* well formed, but this machine or build cannot do it */
	HV_E_BUSY,	  /* cannot be done in the present state */
	HV_E_IO,	  /* a device failed or did not answer */
	HV_STATUS_COUNT
};

/* A short lower-case name for messages; never NULL. */
const char *hv_status_name(enum hv_status status);
