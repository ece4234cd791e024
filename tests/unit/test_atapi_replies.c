/* SPDX-License-Identifier: Apache-2.0 */
#include "guests/devices/atapi_replies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct blk_device medium;
static struct atapi_drive drive;
static struct ata_registers regs;
static struct ata_operation op;
static uint8_t reply[ATAPI_REPLY_MAX];

static int setup(void **state)
{
	(void)state;
	medium = (struct blk_device){.sectors = 4000, .block_size = BLK_SECTOR};
	atapi_init(&drive, &medium, "cd0", false);
	drive.state.attention = ATAPI_SENSE_NONE;
	return 0;
}

/* The sense key; the answer is in reply[], op.bytes of it. */
static unsigned ask(const uint8_t packet[ATAPI_PACKET_BYTES])
{
	memset(reply, 0xee, sizeof(reply));
	regs = (struct ata_registers){.command = ATA_PACKET};
	atapi_execute(&drive, &regs, &op);
	atapi_packet(&drive, &regs, packet, &op);
	if (op.action == ATA_DO_PAGE) {
		atapi_page(&drive, &op, reply);
		atapi_finish(&drive, &regs, &op, HV_OK);
	}
	return regs.error >> 4;
}

static unsigned at16(unsigned at)
{
	return (unsigned)(reply[at] << 8 | reply[at + 1]);
}

static void test_sense(void **state)
{
	const uint8_t bad[12] = {0xff};
	const uint8_t sense[12] = {0x03, 0, 0, 0, 18};

	(void)state;
	assert_int_equal(ask(bad), 5);
	assert_int_equal(ask(sense), 0);
	assert_int_equal(op.bytes, 18);
	assert_int_equal(reply[0], 0x70);
	assert_int_equal(reply[2], 5);
	assert_int_equal(reply[12], 0x20);
	assert_int_equal(ask(sense), 0);
	assert_int_equal(reply[2], 0);
	drive.state.attention = ATAPI_SENSE_CHANGED;
	assert_int_equal(ask(sense), 0);
	assert_int_equal(reply[12], 0x28);
	assert_int_equal(drive.state.attention, ATAPI_SENSE_NONE);
}

static void test_inquiry(void **state)
{
	uint8_t inquiry[12] = {0x12, 0, 0, 0, 96};

	(void)state;
	assert_int_equal(ask(inquiry), 0);
	assert_int_equal(op.bytes, 36);
	assert_int_equal(reply[0], 5);
	assert_int_equal(reply[1], 0x80);
	assert_memory_equal(reply + 8, "BULKHEADCD-ROM          1.0 ", 28);
	inquiry[4] = 5; /* no more than was asked for */
	assert_int_equal(ask(inquiry), 0);
	assert_int_equal(op.bytes, 5);
	inquiry[4] = 0;
	assert_int_equal(ask(inquiry), 0);
	assert_int_equal(op.action, ATA_DONE);
	inquiry[1] = 1;
	assert_int_equal(ask(inquiry), 5);
}

static void test_capacity(void **state)
{
	const uint8_t capacity[12] = {0x25};

	(void)state;
	assert_int_equal(ask(capacity), 0);
	assert_int_equal(op.bytes, 8);
	assert_memory_equal(reply, "\0\0\x03\xe7\0\0\x08\0", 8);
}

static void test_toc(void **state)
{
	uint8_t toc[12] = {0x43, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	(void)state;
	assert_int_equal(ask(toc), 0);
	assert_int_equal(op.bytes, 20);
	assert_memory_equal(reply, "\0\x12\1\1\0\x14\1\0\0\0\0\0\0\x14\xaa\0\0\0\x03\xe8", 20);
	toc[1] = 2; /* 150 frames and 1000 more: 15 seconds and 25 frames */
	toc[6] = 0xaa;
	assert_int_equal(ask(toc), 0);
	assert_memory_equal(reply, "\0\x0a\1\1\0\x14\xaa\0\0\0\x0f\x19", 12);
	toc[9] = 1 << 6; /* sessions, as hosts from before MMC-2 ask */
	assert_int_equal(ask(toc), 0);
	assert_memory_equal(reply, "\0\x0a\1\1\0\x14\1\0\0\0\2\0", 12);
	toc[2] = 4;
	assert_int_equal(ask(toc), 5);
	toc[2] = 0;
	toc[9] = 0;
	toc[6] = 2;
	assert_int_equal(ask(toc), 5);
}

static void test_full_toc(void **state)
{
	const uint8_t toc[12] = {0x43, 0, 2, 0, 0, 0, 1, 0, 255};

	(void)state;
	assert_int_equal(ask(toc), 0);
	assert_int_equal(op.bytes, 4 + 4 * 11);
	assert_memory_equal(reply, "\0\x2e\1\1", 4);
	assert_memory_equal(reply + 4, "\1\x14\0\xa0\0\0\0\0\1\0\0", 11);
	assert_memory_equal(reply + 15, "\1\x14\0\xa1\0\0\0\0\1\0\0", 11);
	assert_memory_equal(reply + 26, "\1\x14\0\xa2\0\0\0\0\0\x0f\x19", 11);
	assert_memory_equal(reply + 37, "\1\x14\0\1\0\0\0\0\0\2\0", 11);
	medium.sectors = 4 * 400000; /* a DVD has none */
	assert_int_equal(ask(toc), 5);
}

static void test_sub_channel(void **state)
{
	uint8_t sub[12] = {0x42, 2, 0x40, 1, 0, 0, 0, 0, 255};

	(void)state;
	assert_int_equal(ask(sub), 0);
	assert_int_equal(op.bytes, 16);
	assert_memory_equal(reply, "\0\0\0\x0c\1\x14\1\1\0\0\2\0\0\0\0\0", 16);
	sub[3] = 2;
	assert_int_equal(ask(sub), 0);
	assert_int_equal(op.bytes, 24);
	assert_memory_equal(reply, "\0\0\0\x14\2\0\0\0\0", 9);
	sub[3] = 4;
	assert_int_equal(ask(sub), 5);
	sub[2] = 0; /* the head alone, whatever the format */
	assert_int_equal(ask(sub), 0);
	assert_int_equal(op.bytes, 4);
	assert_int_equal(at16(2), 0);
	drive.state.tray_open = true;
	assert_int_equal(ask(sub), 2);
}

static void test_protection_of_a_dvd(void **state)
{
	const uint8_t ask_it[12] = {0xad, 0, 0, 0, 0, 0, 0, 1, 0, 8};
	const uint8_t other[12] = {0xad, 0, 0, 0, 0, 0, 0, 5, 0, 8};

	(void)state;
	assert_int_equal(ask(ask_it), 5);
	medium.sectors = 4 * 400000;
	assert_int_equal(ask(ask_it), 0);
	assert_int_equal(op.bytes, 8);
	assert_memory_equal(reply, "\0\6\0\0\0\0\0\0", 8);
	assert_int_equal(ask(other), 5);
}

static void test_configuration(void **state)
{
	uint8_t get[12] = {0x46, 0, 0, 0, 0, 0, 0, 1, 0};

	(void)state;
	assert_int_equal(ask(get), 0);
	assert_int_equal(at16(2) + 4, op.bytes);
	assert_int_equal(at16(6), 8);
	assert_int_equal(reply[10] & 3, 3);
	assert_memory_equal(reply + 12, "\0\x10\0\0\0\x08\1\0", 8);
	medium.sectors = 4 * 400000;
	get[1] = 2; /* DVD read alone */
	get[3] = 0x1f;
	assert_int_equal(ask(get), 0);
	assert_int_equal(op.bytes, 16);
	assert_int_equal(at16(6), 0x10);
	assert_memory_equal(reply + 8, "\0\x1f\x05\4", 4);
	get[1] = 1; /* current ones, from there on */
	get[3] = 0x1e;
	assert_int_equal(ask(get), 0);
	assert_int_equal(at16(8), 0x1f);
	drive.medium = NULL;
	assert_int_equal(ask(get), 0);
	assert_int_equal(at16(6), 0);
	assert_int_equal(at16(8), 0x100);
	get[1] = 3;
	assert_int_equal(ask(get), 5);
}

static void test_events(void **state)
{
	uint8_t get[12] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8};

	(void)state;
	drive.state.event = ATAPI_EVENT_NEW;
	assert_int_equal(ask(get), 0);
	assert_memory_equal(reply, "\0\6\4\x10\2\2\0\0", 8);
	assert_int_equal(ask(get), 0);
	assert_memory_equal(reply, "\0\6\4\x10\0\2\0\0", 8);
	assert_int_equal(atapi_eject(&drive, false), HV_OK);
	get[8] = 4; /* the header alone takes no event */
	assert_int_equal(ask(get), 0);
	get[8] = 8;
	assert_int_equal(ask(get), 0);
	assert_memory_equal(reply + 4, "\3\1", 2);
	get[4] = 2; /* a class that there is not */
	assert_int_equal(ask(get), 0);
	assert_memory_equal(reply, "\0\2\x80\x10", 4);
	get[1] = 0;
	assert_int_equal(ask(get), 5);
}

static void test_mode_sense(void **state)
{
	uint8_t sense[12] = {0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255};

	(void)state;
	drive.state.locked = true;
	assert_int_equal(ask(sense), 0);
	assert_int_equal(op.bytes, 28);
	assert_int_equal(at16(0), 26);
	assert_int_equal(reply[2], 1);
	assert_int_equal(reply[8], 0x2a);
	assert_int_equal(reply[8 + 6], 0x2b);
	sense[2] = 0x3f;
	assert_int_equal(ask(sense), 0);
	assert_int_equal(op.bytes, 8 + 12 + 8 + 16 + 12 + 10 + 20);
	assert_int_equal(reply[8 + 20 + 2], 0x04);
	assert_int_equal(reply[8 + 58 + 6], 0x2b);
	sense[2] = 0x40 | 0x3f; /* what can be changed */
	assert_int_equal(ask(sense), 0);
	assert_int_equal(reply[8 + 20], 0x0e);
	assert_int_equal(reply[8 + 20 + 2], 0);
	assert_int_equal(reply[8 + 58], 0x2a);
	assert_int_equal(reply[8 + 58 + 6], 0);
	sense[2] = 0x0d; /* 60 seconds, 75 frames */
	assert_int_equal(ask(sense), 0);
	assert_int_equal(op.bytes, 16);
	assert_memory_equal(reply + 8, "\x0d\6\0\0\0\x3c\0\x4b", 8);
	/* What the features of power management and timeout come with. */
	sense[2] = 0x1a;
	assert_int_equal(ask(sense), 0);
	assert_memory_equal(reply + 8, "\x1a\x0a", 2);
	sense[2] = 0x1d;
	assert_int_equal(ask(sense), 0);
	assert_memory_equal(reply + 8, "\x1d\x08", 2);
	assert_int_equal(op.bytes, 18);
	sense[2] = 0xc0 | 0x2a;
	assert_int_equal(ask(sense), 5);
	assert_int_equal(drive.state.sense, ATAPI_SENSE_SAVING);
	sense[2] = 0x05;
	assert_int_equal(ask(sense), 5);
	memcpy(sense, "\x1a\0\x01\0\xff\0\0\0\0", 9);
	assert_int_equal(ask(sense), 0);
	assert_int_equal(op.bytes, 16);
	assert_int_equal(reply[0], 15);
	assert_int_equal(reply[4], 1);
}

static void test_disc(void **state)
{
	const uint8_t disc[12] = {0x51, 0, 0, 0, 0, 0, 0, 0, 34};
	const uint8_t track[12] = {0x52, 1, 0, 0, 0, 1, 0, 0, 36};
	const uint8_t mechanism[12] = {0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8};

	(void)state;
	assert_int_equal(ask(disc), 0);
	assert_int_equal(op.bytes, 34);
	assert_int_equal(reply[2], 0x0e);
	assert_int_equal(ask(track), 0);
	assert_memory_equal(reply + 24, "\0\0\x03\xe8", 4);
	assert_int_equal(ask(mechanism), 0);
	assert_int_equal(reply[1], 0);
	drive.state.tray_open = true;
	assert_int_equal(ask(mechanism), 0);
	assert_int_equal(reply[1], 0x10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sense, setup),
		cmocka_unit_test_setup(test_inquiry, setup),
		cmocka_unit_test_setup(test_capacity, setup),
		cmocka_unit_test_setup(test_toc, setup),
		cmocka_unit_test_setup(test_full_toc, setup),
		cmocka_unit_test_setup(test_sub_channel, setup),
		cmocka_unit_test_setup(test_protection_of_a_dvd, setup),
		cmocka_unit_test_setup(test_configuration, setup),
		cmocka_unit_test_setup(test_events, setup),
		cmocka_unit_test_setup(test_mode_sense, setup),
		cmocka_unit_test_setup(test_disc, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
