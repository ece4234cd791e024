/* SPDX-License-Identifier: Apache-2.0 */
/* Names of files: from the firmware's UTF-16 to the UTF-8 paths of boot/handoff.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"

/*
 * Writes "folder/name", or just "name" when `folder` is empty, always terminated. `name` is UTF-16
 * with a terminator; a lone surrogate becomes U+FFFD. False when the path had to be cut to
 * HANDOFF_PATH_MAX - 1 bytes, which happens between two characters.
 */
bool path_join(char out[HANDOFF_PATH_MAX], const char *folder, const uint16_t *name);
