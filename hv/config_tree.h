/* SPDX-License-Identifier: Apache-2.0 */
/* Names and folders of the configuration tree, shared by the files of hv/config. */
#pragma once

#include <stdbool.h>

#include "hv/config.h"

/* ASCII only: FAT folds more, but guests' names are ASCII. */
char config_lower(char c);
bool config_same_name(struct span a, struct span b);

/* Whether `entry` is a file directly in `folder`, and its name there. */
bool config_in_folder(const struct config_entry *entry, struct span folder, struct span *file);

/* Whether an earlier folder differs from `folder` in upper and lower case only. */
bool config_other_spelling(const struct config_tree *tree, struct span folder, struct span *other);
