/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of the key `varstore` (hv/config.h), where the variables of UEFI firmware are kept:
 *
 *	varstore = memory | partition:LABEL | partition:UUID [, template=FILE]
 *
 *	memory		  as long as the machine runs; default
 *	partition:…	  on a partition of one of the machine's disks
 *	template=FILE	  what they are at first, in the folder or /path below \bulkhead\; default:
 *			  the file that belongs to the firmware
 */
#pragma once

#include <stdbool.h>

#include "hv/base/str.h"
#include "hv/config_disk.h"

struct config_parser;

struct config_varstore {
	bool partition;
	char name[CONFIG_DISK_NAME_MAX]; /* its label or UUID */
	bool own_template;
	unsigned template; /* if own_template: index into the tree's entries */
};

/* What the keys' table calls. */
void config_set_varstore(struct config_parser *p, struct span value);
/* Whether a file of so many bytes can be the contents of flash, whole blocks of it. */
bool config_varstore_fits(uint64_t bytes);
#define CONFIG_VARSTORE_SIZES "4K to 1020K in whole 4K"
