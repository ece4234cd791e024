/* SPDX-License-Identifier: Apache-2.0 */
/* From what the configuration says about networks to networks, and to NICs that fit on them. */
#pragma once

#include <stdbool.h>

#include "hv/config.h"

/* Makes the networks of bulkhead.conf; what cannot be made is said as an event. */
void setup_networks(const struct machine_config *machine);
/*
 * Whether the NICs of a guest can be connected beside those of the guests that were added before:
 * networks exist or can be made, no MAC is on a network twice, ports are left. Reports what is
 * wrong. Networks that nobody has described are made.
 */
bool setup_nets_fit(const struct machine_config *machine, const struct guest_config *g,
		    const struct config_reporter *reporter);
