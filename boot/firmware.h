/* SPDX-License-Identifier: Apache-2.0 */
/* Facts that only the firmware knows, gathered into the handoff. Each may be missing. */
#pragma once

#include "boot/handoff.h"

/* RSDP and SMBIOS entry points from the configuration table. */
void firmware_find_tables(struct handoff *handoff);
/* The GOP's present mode, when it has a linear framebuffer of 32 bits per pixel. */
void firmware_find_framebuffer(struct handoff *handoff);
/* The processors that MP services know. */
void firmware_list_cpus(struct handoff *handoff);
