/* SPDX-License-Identifier: Apache-2.0 */
/* All disks of the machine that there are drivers for, and a list of them for people. */
#pragma once

#include "drivers/pci.h"
#include "hv/api/blk.h"

#define HOST_DISKS_MAX 32u

/*
 * Starts the controllers among the functions that host_pci_scan has found and calls `found` for
 * each disk, ready for requests, which stays for ever (NULL: nobody to tell); once, with interrupts
 * and the other CPUs up.
 */
void host_disks_init(void (*found)(struct blk_device *d));
/*
 * Before power goes or the machine starts anew: flushes all disks and tells them. Waits, for each
 * disk 10 s at most; with no lock held.
 */
void host_disks_stop(void);
unsigned host_disks_count(void);
/* NULL: beyond the last. */
struct blk_device *host_disks_at(unsigned index);
