/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8042 keyboard controller at ports 0x60 and 0x64 with a keyboard and maybe a mouse, and system
 * control port A (0x92). Every command is answered at once: guests wait half a second for a
 * missing answer. Its outputs reset the machine and gate A20.
 */
#pragma once

#include "guests/devices/ps2_keyboard.h"
#include "guests/devices/ps2_mouse.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"

#define I8042_PORT_A 0x92u
#define I8042_RAM 32u

/* Status register. */
#define I8042_STATUS_OUTPUT 0x01u /* port 0x60 has a byte */
#define I8042_STATUS_INPUT 0x02u  /* never: bytes are taken at once */
#define I8042_STATUS_SYSTEM 0x04u
#define I8042_STATUS_COMMAND 0x08u /* the last write was to port 0x64 */
#define I8042_STATUS_UNLOCKED 0x10u
#define I8042_STATUS_MOUSE 0x20u /* the byte comes from the mouse port */
#define I8042_STATUS_TIMEOUT 0x40u

/* Command byte, byte 0 of the controller's memory. */
#define I8042_MODE_KEYBOARD_IRQ 0x01u
#define I8042_MODE_MOUSE_IRQ 0x02u
#define I8042_MODE_SYSTEM 0x04u
#define I8042_MODE_KEYBOARD_OFF 0x10u
#define I8042_MODE_MOUSE_OFF 0x20u
#define I8042_MODE_TRANSLATE 0x40u

/* Output port. */
#define I8042_OUT_RUN 0x01u /* low: reset */
#define I8042_OUT_A20 0x02u
#define I8042_OUT_KEYBOARD_FULL 0x10u
#define I8042_OUT_MOUSE_FULL 0x20u

/* System control port A. */
#define I8042_A_RESET 0x01u
#define I8042_A_A20 0x02u

struct i8042_config {
	struct irq_line keyboard_irq;
	struct irq_line mouse_irq;
	bool mouse; /* there is one */
	/* The guest pulls the reset line. Lock not held. May be NULL. */
	void (*reset)(void *ctx);
	/* The A20 gate changed; it is open at power-on. Lock held. May be NULL. */
	void (*a20)(void *ctx, bool open);
	void *ctx;
};

struct i8042_byte {
	uint8_t value;
	bool valid;
	bool mouse;
	bool timeout;
};

struct i8042 {
	struct vdev dev; /* its lock covers all below but cfg */
	struct i8042_config cfg;
	struct ps2_keyboard keyboard;
	struct ps2_mouse mouse;
	uint8_t ram[I8042_RAM];
	uint8_t command;	  /* the one whose data byte comes next at port 0x60; 0: none */
	bool command_written;	  /* I8042_STATUS_COMMAND */
	uint8_t polled;		  /* the command by which the status shows the input port; 0 */
	struct i8042_byte output; /* what port 0x60 holds */
	struct i8042_byte answer; /* the controller's own, waiting for the output buffer */
	bool released;		  /* translation has seen a break prefix */
	uint8_t output_port;
	uint8_t port_a;
	bool a20;
	bool keyboard_level, mouse_level; /* of the interrupt lines */
	bool wants_reset;		  /* callback to make when the lock is released */
	struct saved_device saved;
};

#define I8042_SAVED_VERSION 2u
struct i8042_byte_saved {
	uint8_t value;
	uint8_t valid;
	uint8_t mouse;
	uint8_t timeout;
};

/* Interrupts and the A20 gate follow. */
struct i8042_saved {
	struct ps2_keyboard_saved keyboard;
	struct ps2_mouse_saved mouse;
	uint8_t ram[I8042_RAM];
	struct i8042_byte_saved output;
	struct i8042_byte_saved answer;
	uint8_t command;
	uint8_t command_written;
	uint8_t released;
	uint8_t output_port;
	uint8_t port_a;
	uint8_t polled;
	uint8_t zero[2];
};
_Static_assert(sizeof(struct i8042_saved) == 120, "no padding");

/*
 * Power-on state, the keyboard on and translated as a BIOS leaves it. To be registered at ports
 * LAYOUT_I8042_DATA, LAYOUT_I8042_STATUS and I8042_PORT_A, one each.
 */
void i8042_init(struct i8042 *k, const struct i8042_config *cfg);
/* ps2_keyboard_key: a sequence of set 1 bytes; false when the keyboard's buffer is full. */
bool i8042_key(struct i8042 *k, const uint8_t *set1, size_t n);
/* ps2_mouse_move; nothing happens when there is no mouse. */
void i8042_move(struct i8042 *k, const struct ps2_movement *by);
