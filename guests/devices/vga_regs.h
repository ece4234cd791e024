/* SPDX-License-Identifier: Apache-2.0 */
/* The VGA's registers at ports 0x3b0 to 0x3df, without what lies behind them. */
#pragma once

#include "guests/devices/vga_state.h"
#include "hv/api/lacks.h"

#define VGA_PORTS 0x3b0u
#define VGA_PORTS_COUNT 0x30u

/* All zero but what hardware gives a value: monochrome, blank, DAC mask open. */
void vga_regs_reset(struct vga_state *s);
/* One byte of the ports; `ns` is guest time, which the retrace bits follow. 0xff where none is. */
uint8_t vga_regs_read(struct vga_state *s, uint16_t port, uint64_t ns);
void vga_regs_write(struct vga_state *s, uint16_t port, uint8_t value);
/*
 * What an access to `port` that is about to be made asks for and a VGA does not have: the port, or
 * the register that is selected. *what is as for lacks_note.
 */
enum lacks_kind vga_regs_lack(const struct vga_state *s, uint16_t port, bool write, uint32_t *what);
/* Whether a program can have brought the registers into this state; DISPI's are not looked at. */
bool vga_regs_are_sound(const struct vga_state *s);
