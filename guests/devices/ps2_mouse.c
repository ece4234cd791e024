/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mouse. Sources: IBM PS/2 Technical Reference, "Mouse": commands, status and data formats;
 * Microsoft, "Windows and the 5-Button Wheel Mouse" for the identities 3 and 4.
 */
#include "guests/devices/ps2_mouse.h"

#include "hv/api/saved.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define CMD_SCALING_1 0xe6u
#define CMD_SCALING_2 0xe7u
#define CMD_RESOLUTION 0xe8u
#define CMD_STATUS 0xe9u
#define CMD_STREAM 0xeau
#define CMD_READ 0xebu
#define CMD_WRAP_OFF 0xecu
#define CMD_WRAP_ON 0xeeu
#define CMD_REMOTE 0xf0u
#define CMD_IDENTIFY 0xf2u
#define CMD_RATE 0xf3u
#define CMD_ENABLE 0xf4u
#define CMD_DISABLE 0xf5u
#define CMD_DEFAULTS 0xf6u
#define CMD_RESEND 0xfeu
#define CMD_RESET 0xffu

#define REPLY_ACK 0xfau
#define REPLY_NACK 0xfeu
#define REPLY_TEST_PASSED 0xaau

#define RATE_DEFAULT 100u
#define RESOLUTION_DEFAULT 2u /* 4 counts a millimetre */
#define RESOLUTION_MAX 3u

/* Status byte; the buttons are left, middle, right from bit 2 down. */
#define STATUS_REMOTE 0x40u
#define STATUS_REPORTING 0x20u
#define STATUS_TWICE 0x10u

/* First byte of a packet. */
#define PACKET_ALWAYS 0x08u
#define PACKET_X_NEGATIVE 0x10u
#define PACKET_Y_NEGATIVE 0x20u
#define PACKET_BUTTONS 0x07u
#define MOVE_MIN (-255)
#define MOVE_MAX 255
#define WHEEL_MIN (-8)
#define WHEEL_MAX 7
/* What accumulates while nobody asks. */
#define HELD_MAX 4096

static void reply(struct ps2_mouse *m, uint8_t byte)
{
	m->reply[m->reply_count++] = byte;
}

/* All but the identity, which only Reset takes back. */
static void set_defaults(struct ps2_mouse *m)
{
	m->rates[0] = RATE_DEFAULT;
	m->resolution = RESOLUTION_DEFAULT;
	m->twice = false;
	m->remote = false;
	m->reporting = false;
	m->packet_head = 0;
	m->packet_count = 0;
	m->x = 0;
	m->y = 0;
	m->wheel = 0;
	m->told_buttons = m->buttons;
}

void ps2_mouse_init(struct ps2_mouse *m)
{
	*m = (struct ps2_mouse){0};
	set_defaults(m);
}

/* ---- movement ---- */

static int32_t clamp(int32_t value, int32_t low, int32_t high)
{
	return value < low ? low : value > high ? high : value;
}

static int32_t take(int32_t *held, int32_t low, int32_t high)
{
	int32_t part = clamp(*held, low, high);

	*held -= part;
	return part;
}

/* "Set Scaling 2:1": what a count of movement becomes. */
static int32_t scale(int32_t count)
{
	static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
	int32_t size = count < 0 ? -count : count;
	int32_t scaled = size < (int32_t)ARRAY_SIZE(small) ? small[size] : 2 * size;

	return count < 0 ? -scaled : scaled;
}

/* Takes as much of a movement as a packet holds. */
static int32_t take_move(int32_t *held, bool twice)
{
	if (!twice) {
		return take(held, MOVE_MIN, MOVE_MAX);
	}
	return scale(take(held, MOVE_MIN / 2, MOVE_MAX / 2));
}

/* A packet of what was not reported, which may be nothing. */
static void make_packet(struct ps2_mouse *m, bool twice)
{
	int32_t x = take_move(&m->x, twice);
	int32_t y = take_move(&m->y, twice);
	int32_t wheel = take(&m->wheel, WHEEL_MIN, WHEEL_MAX);

	m->packet_head = 0;
	m->packet_count = m->id == 0 ? 3 : 4;
	m->packet[0] = (uint8_t)(PACKET_ALWAYS | (x < 0 ? PACKET_X_NEGATIVE : 0) |
				 (y < 0 ? PACKET_Y_NEGATIVE : 0) | (m->buttons & PACKET_BUTTONS));
	m->packet[1] = (uint8_t)x;
	m->packet[2] = (uint8_t)y;
	m->packet[3] = (uint8_t)wheel;
	if (m->id == 4) {
		m->packet[3] = (uint8_t)((wheel & 0x0f) | (m->buttons & 0x18) << 1);
	}
	m->told_buttons = m->buttons;
}

static bool has_news(const struct ps2_mouse *m)
{
	return m->x != 0 || m->y != 0 || (m->wheel != 0 && m->id != 0) ||
	       m->buttons != m->told_buttons;
}

void ps2_mouse_move(struct ps2_mouse *m, const struct ps2_movement *by)
{
	m->x = clamp(m->x + clamp(by->x, -HELD_MAX, HELD_MAX), -HELD_MAX, HELD_MAX);
	m->y = clamp(m->y + clamp(by->y, -HELD_MAX, HELD_MAX), -HELD_MAX, HELD_MAX);
	m->wheel = clamp(m->wheel + clamp(by->wheel, -HELD_MAX, HELD_MAX), -HELD_MAX, HELD_MAX);
	m->buttons = by->buttons;
	/* In remote mode it counts whether reporting is on or not. */
	if (!m->reporting && !m->remote) {
		m->x = 0;
		m->y = 0;
		m->wheel = 0;
	}
}

/* ---- commands ---- */

/* Three rates in a row change what the mouse is. */
static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
	m->rates[2] = m->rates[1];
	m->rates[1] = m->rates[0];
	m->rates[0] = rate;
	if (m->rates[2] == 200 && m->rates[0] == 80) {
		m->id = m->rates[1] == 100 ? 3 : m->rates[1] == 200 && m->id == 3 ? 4 : m->id;
	}
}

static void take_argument(struct ps2_mouse *m, uint8_t byte)
{
	uint8_t command = m->command;

	m->command = 0;
	if (command == CMD_RESOLUTION && byte > RESOLUTION_MAX) {
		reply(m, REPLY_NACK);
		return;
	}
	if (command == CMD_RATE) {
		set_rate(m, byte);
	} else {
		m->resolution = byte;
	}
	reply(m, REPLY_ACK);
}

static void reply_status(struct ps2_mouse *m)
{
	uint8_t b = m->buttons;
	uint8_t buttons = (uint8_t)((b & PS2_MOUSE_LEFT) << 2 | (b & PS2_MOUSE_MIDDLE) >> 1 |
				    (b & PS2_MOUSE_RIGHT) >> 1);

	reply(m, (uint8_t)((m->remote ? STATUS_REMOTE : 0) | (m->reporting ? STATUS_REPORTING : 0) |
			   (m->twice ? STATUS_TWICE : 0) | buttons));
	reply(m, m->resolution);
	reply(m, m->rates[0]);
}

/* What comes behind the acknowledgement. */
static void do_command(struct ps2_mouse *m, uint8_t command)
{
	switch (command) {
	case CMD_SCALING_1:
	case CMD_SCALING_2:
		m->twice = command == CMD_SCALING_2;
		break;
	case CMD_RESOLUTION:
	case CMD_RATE:
		m->command = command;
		break;
	case CMD_STATUS:
		reply_status(m);
		break;
	case CMD_STREAM:
	case CMD_REMOTE:
		m->remote = command == CMD_REMOTE;
		break;
	case CMD_READ: /* what is asked for is not scaled */
		make_packet(m, false);
		break;
	case CMD_WRAP_ON:
		m->wrap = true;
		break;
	case CMD_IDENTIFY:
		reply(m, m->id);
		break;
	case CMD_ENABLE:
	case CMD_DISABLE:
		m->reporting = command == CMD_ENABLE;
		m->told_buttons = m->buttons;
		break;
	case CMD_DEFAULTS:
		set_defaults(m);
		break;
	case CMD_RESET:
		m->id = 0;
		set_defaults(m);
		reply(m, REPLY_TEST_PASSED);
		reply(m, m->id);
		break;
	default: /* Reset Wrap Mode */
		break;
	}
}

static bool is_command(uint8_t byte)
{
	switch (byte) {
	case CMD_WRAP_OFF:
	case CMD_WRAP_ON:
	case CMD_REMOTE:
		return true;
	default:
		return (byte >= CMD_SCALING_1 && byte <= CMD_READ) ||
		       (byte >= CMD_IDENTIFY && byte <= CMD_DEFAULTS) || byte == CMD_RESET;
	}
}

bool ps2_mouse_receive(struct ps2_mouse *m, uint8_t byte)
{
	/* A byte from the host ends whatever is on its way. */
	m->reply_head = 0;
	m->reply_count = 0;
	m->packet_head = 0;
	m->packet_count = 0;
	if (m->wrap && byte != CMD_WRAP_OFF && byte != CMD_RESET) {
		reply(m, byte);
		return true;
	}
	m->wrap = false;
	if (m->command != 0) {
		take_argument(m, byte);
	} else if (byte == CMD_RESEND) {
		reply(m, m->last);
	} else if (!is_command(byte)) {
		reply(m, REPLY_NACK);
		return false;
	} else {
		reply(m, REPLY_ACK);
		do_command(m, byte);
	}
	return true;
}

bool ps2_mouse_send(struct ps2_mouse *m, uint8_t *byte)
{
	bool stream = m->reporting && !m->remote && !m->wrap && m->command == 0;

	if (m->reply_head < m->reply_count) {
		m->last = m->reply[m->reply_head++];
		*byte = m->last;
		return true;
	}
	if (m->packet_head >= m->packet_count && stream && has_news(m)) {
		make_packet(m, m->twice);
	}
	if (m->packet_head >= m->packet_count) {
		return false;
	}
	m->last = m->packet[m->packet_head++];
	*byte = m->last;
	return true;
}

/* ---- saved state ---- */

void ps2_mouse_save(const struct ps2_mouse *m, struct ps2_mouse_saved *out)
{
	*out = (struct ps2_mouse_saved){
		.x = m->x,
		.y = m->y,
		.wheel = m->wheel,
		.reply_head = m->reply_head,
		.reply_count = m->reply_count,
		.packet_head = m->packet_head,
		.packet_count = m->packet_count,
		.command = m->command,
		.last = m->last,
		.id = m->id,
		.resolution = m->resolution,
		.twice = m->twice,
		.remote = m->remote,
		.wrap = m->wrap,
		.reporting = m->reporting,
		.buttons = m->buttons,
		.told_buttons = m->told_buttons,
	};
	memcpy(out->reply, m->reply, sizeof(out->reply));
	memcpy(out->packet, m->packet, sizeof(out->packet));
	memcpy(out->rates, m->rates, sizeof(out->rates));
}

static bool held_is_sound(int32_t held)
{
	return held >= -HELD_MAX && held <= HELD_MAX;
}

const char *ps2_mouse_check(const struct ps2_mouse_saved *in)
{
	uint8_t flags = in->twice | in->remote | in->wrap | in->reporting;

	if (in->reply_count > PS2_MOUSE_REPLY || in->reply_head > in->reply_count ||
	    in->packet_count > PS2_MOUSE_PACKET || in->packet_head > in->packet_count) {
		return "the mouse replies with up to 5 bytes, and tells in up to 4";
	}
	if (in->command != 0 && in->command != CMD_RESOLUTION && in->command != CMD_RATE) {
		return "the mouse waits for an argument of no command";
	}
	if ((in->id != 0 && in->id != 3 && in->id != 4) || in->resolution > RESOLUTION_MAX ||
	    !held_is_sound(in->x) || !held_is_sound(in->y) || !held_is_sound(in->wheel)) {
		return "the mouse is of no kind, or has moved too far";
	}
	return saved_is_bool(flags) && saved_is_zero(in->zero, sizeof(in->zero))
		       ? NULL
		       : "a flag of the mouse is neither 0 nor 1";
}

void ps2_mouse_load(struct ps2_mouse *m, const struct ps2_mouse_saved *in)
{
	*m = (struct ps2_mouse){
		.x = in->x,
		.y = in->y,
		.wheel = in->wheel,
		.reply_head = in->reply_head,
		.reply_count = in->reply_count,
		.packet_head = in->packet_head,
		.packet_count = in->packet_count,
		.command = in->command,
		.last = in->last,
		.id = in->id,
		.resolution = in->resolution,
		.twice = in->twice != 0,
		.remote = in->remote != 0,
		.wrap = in->wrap != 0,
		.reporting = in->reporting != 0,
		.buttons = in->buttons,
		.told_buttons = in->told_buttons,
	};
	memcpy(m->reply, in->reply, sizeof(m->reply));
	memcpy(m->packet, in->packet, sizeof(m->packet));
	memcpy(m->rates, in->rates, sizeof(m->rates));
}
