/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page-table format that no CPU has: every field elsewhere, addresses inverted, rights mixed with
 * the level. A walker that knows anything but struct pt_format gets it wrong.
 */
#pragma once

#include "mm/ptw.h"

extern const struct pt_format pt_format_scrambled;
