/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's wall clock: the MC146818-compatible RTC behind ports 0x70 and 0x71, taken to run
 * in UTC. Source: Motorola MC146818A data sheet.
 */
#pragma once

#include <stdint.h>

#include "hv/base/status.h"

/*
 * Seconds since 1970-01-01 00:00:00. `century_register` is the FADT's CMOS index of the century, 0
 * when there is none (years are then 1970-2069). HV_E_IO: no clock answers, or what it says is no
 * date. Takes up to a few milliseconds while the clock updates itself.
 */
enum hv_status host_rtc_read(uint8_t century_register, uint64_t *seconds) HV_MUST_CHECK;
