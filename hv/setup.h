/* SPDX-License-Identifier: Apache-2.0 */
/* From the files on the stick to guests: reads the configuration and reports what is wrong in it.
 */
#pragma once

#include "boot/handoff.h"
#include "hv/base/status.h"
#include "hv/config.h"

/*
 * Takes over the list of files; `handoff` may go afterwards, the files' contents stay.
 * HV_E_NO_MEMORY.
 */
enum hv_status setup_read(const struct handoff *handoff) HV_MUST_CHECK;
/* The machine's configuration, after setup_read. */
const struct machine_config *setup_machine(void);
/*
 * Finds the guests' disks, when those of the machine have been added to the registry. A guest with
 * a disk that is missing or refused will not start, with an event line that says why.
 */
void setup_disks(void);
/* Starts the guests that start with the machine, and says so when there are none. */
void setup_autostart(void);
