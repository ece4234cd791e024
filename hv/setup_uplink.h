/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's network cards as uplinks of the networks that ask for them. */
#pragma once

struct machine_config;

/*
 * Connects and starts the uplink of each network of bulkhead.conf; one that cannot be had is said
 * as an event, and its network goes on without. After platform_devices; once.
 */
void setup_uplinks(const struct machine_config *machine);
