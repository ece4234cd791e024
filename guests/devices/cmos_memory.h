/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a BIOS finds out about the machine at power-on and leaves in CMOS memory for everybody.
 * Sources: IBM Personal Computer AT Technical Reference, "Real-Time Clock/CMOS RAM Information";
 * SeaBIOS for what it reads of the rest.
 */
#pragma once

#include "guests/devices/cmos_rtc.h"

/* Writes these bytes of CMOS_BYTES, among them the checksum; the others stay. */
void cmos_memory_fill(uint8_t *ram, const struct cmos_rtc_config *cfg);
