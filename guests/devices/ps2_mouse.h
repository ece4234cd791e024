/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PS/2 mouse as its controller sees it: three buttons, and after the right sequence of sample
 * rates a wheel (IntelliMouse) and two more buttons (IntelliMouse Explorer). Replies go before
 * movement. No lock of its own: the controller's covers it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PS2_MOUSE_REPLY 5u
#define PS2_MOUSE_PACKET 4u

#define PS2_MOUSE_LEFT 0x01u
#define PS2_MOUSE_RIGHT 0x02u
#define PS2_MOUSE_MIDDLE 0x04u
#define PS2_MOUSE_FOURTH 0x08u
#define PS2_MOUSE_FIFTH 0x10u

struct ps2_mouse {
	uint8_t reply[PS2_MOUSE_REPLY];
	uint8_t reply_head, reply_count;
	uint8_t packet[PS2_MOUSE_PACKET];
	uint8_t packet_head, packet_count;
	uint8_t command;  /* the one whose argument comes next; 0: none */
	uint8_t last;	  /* byte sent last, for Resend */
	uint8_t id;	  /* 0, 3 with a wheel, 4 with five buttons */
	uint8_t rates[3]; /* set last, the latest one first */
	uint8_t resolution;
	bool twice;	/* scaling 2:1 of what is sent without being asked for */
	bool remote;	/* movement only when asked for */
	bool wrap;	/* bytes come back as they are */
	bool reporting; /* movement is sent as it happens */
	/* What was not reported yet. */
	int32_t x, y, wheel; /* right, up, towards the user */
	uint8_t buttons;     /* PS2_MOUSE_* */
	uint8_t told_buttons;
};

struct ps2_mouse_saved {
	int32_t x, y, wheel;
	uint8_t reply[PS2_MOUSE_REPLY];
	uint8_t packet[PS2_MOUSE_PACKET];
	uint8_t reply_head, reply_count;
	uint8_t packet_head, packet_count;
	uint8_t command, last, id;
	uint8_t rates[3];
	uint8_t resolution;
	uint8_t twice, remote, wrap, reporting;
	uint8_t buttons, told_buttons;
	uint8_t zero[2];
};
_Static_assert(sizeof(struct ps2_mouse_saved) == 40, "no padding");

/* As after power-on, self-test reported and taken. */
void ps2_mouse_init(struct ps2_mouse *m);
/* A byte from the host: a command or an argument. False: it is a command that there is not. */
bool ps2_mouse_receive(struct ps2_mouse *m, uint8_t byte);
/* The next byte to the host; false when there is none. */
bool ps2_mouse_send(struct ps2_mouse *m, uint8_t *byte);

/* Movement to the right, up and of the wheel since the last call, and the buttons that are down. */
struct ps2_movement {
	int x, y, wheel;
	uint8_t buttons;
};
void ps2_mouse_move(struct ps2_mouse *m, const struct ps2_movement *by);

/* Saved state, a part of its controller's: as in struct saved_ops. */
void ps2_mouse_save(const struct ps2_mouse *m, struct ps2_mouse_saved *out);
const char *ps2_mouse_check(const struct ps2_mouse_saved *in);
void ps2_mouse_load(struct ps2_mouse *m, const struct ps2_mouse_saved *in);
