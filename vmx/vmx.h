/* SPDX-License-Identifier: Apache-2.0 */
/* The VT-x backend: all that the rest of Bulkhead knows of it. */
#pragma once

#include "hv/api/backend.h"

/*
 * Asks the CPU it runs on. Returns the backend, its info filled in, or NULL with *why a sentence
 * for people, remedy included. Called once, on the boot CPU; `policy` is kept.
 */
const struct hv_backend *vmx_probe(const struct hv_backend_policy *policy, const char **why);
