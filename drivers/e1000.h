/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel's gigabit network cards from the 8254x to the I219, as far as they are programmed alike:
 * one ring of legacy descriptors each way, everything received, VLAN tags left in the frames,
 * checksums verified on the way in. Source: Intel PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual; Intel 82574 GbE Controller Family Datasheet.
 */
#pragma once

#include "drivers/nic.h"

extern const struct nic_driver e1000_driver;
