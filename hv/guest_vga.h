/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's VGA (`vga = on`): it comes and goes with its VM. */
#pragma once

#include "hv/guest.h"

/*
 * Gives the guest a VGA at 00:01.0 with video memory of its own, if its configuration wants one;
 * before it runs. HV_E_NO_MEMORY. What was done before a failure goes with guest_vga_destroy.
 */
enum hv_status guest_vga_create(struct guest *g) HV_MUST_CHECK;
/* Text mode and a font, as a VGA BIOS leaves them. The guest's space is current. */
void guest_vga_text_mode(struct guest *g);
/* The board is gone, or never was. Harmless when there is none. */
void guest_vga_destroy(struct guest *g);
