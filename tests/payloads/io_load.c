/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that others may not harm: it writes and reads a disk and exchanges frames with a peer,
 * all of it bytes that it can check, and its heart beats once a second as in the case `heartbeat`.
 *
 * Each guest numbers its frames; the peer answers each with its number alone. One that is not
 * answered is sent again: frames may be lost, but never wrong, and there must be progress.
 */
#include "guests/layout.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_blk.h"
#include "tests/payloads/rt_net.h"

#define VECTOR_TIMER 0x41u
#define BLOCK 4096u
#define SECTORS (BLOCK / RT_SECTOR)
#define BLOCKS 128u
#define PIECES_MAX 8u /* blocks of a request */
#define FRAME_BYTES 1400u
#define TYPE_TEST 0x88b5u
#define TYPE_AT 12u
#define KIND_AT 14u
#define NUMBER_AT 16u
#define DATA_AT 24u
#define KIND_DATA 1u
#define KIND_ANSWER 2u
#define AGAIN_US 100000u
#define SLEEP_US 5000u
/* What a beat's time must have seen done at least, on average over all of them. */
#define PROGRESS 1u

static struct rt_disk disk;
static struct rt_nic nic;
static uint64_t seed;

/* What was written last to each block; 0: nothing. */
static uint64_t versions[BLOCKS];
static uint64_t requests;

static uint8_t peer[NET_MAC_BYTES];
static uint8_t frame[FRAME_BYTES];
static uint64_t number;	  /* of the frame that waits for its answer */
static uint64_t sent_at;  /* TSC */
static uint64_t received; /* frames of the peer that were right */
static uint64_t answered;

/* --- the disk --- */

static uint64_t word(uint64_t block, uint64_t version, uint64_t i)
{
	return version == 0 ? 0 : (block << 48 | version << 16 | i) * 0x9e3779b97f4a7c15ull;
}

static void write_blocks(unsigned first, unsigned count)
{
	uint64_t at = rt_free_ram();

	for (unsigned b = 0; b < count; b++) {
		versions[first + b] = requests + 1;
		for (uint64_t i = 0; i < BLOCK / 8; i++) {
			mmio_write64(at + b * BLOCK + i * 8,
				     word(first + b, versions[first + b], i));
		}
	}
	EXPECT(rt_disk_move(&disk, 0, VIRTIO_BLK_T_OUT, first * SECTORS, at, count * BLOCK) ==
		       VIRTIO_BLK_S_OK,
	       "a write failed");
}

static void read_blocks(unsigned first, unsigned count)
{
	uint64_t at = rt_free_ram() + PIECES_MAX * BLOCK;

	EXPECT(rt_disk_move(&disk, 0, VIRTIO_BLK_T_IN, first * SECTORS, at, count * BLOCK) ==
		       VIRTIO_BLK_S_OK,
	       "a read failed");
	for (unsigned b = 0; b < count; b++) {
		for (uint64_t i = 0; i < BLOCK / 8; i++) {
			uint64_t found = mmio_read64(at + b * BLOCK + i * 8);

			EXPECT(found == word(first + b, versions[first + b], i),
			       "block %u, version %lu: word %lu is 0x%lx", first + b,
			       versions[first + b], i, found);
		}
	}
}

static void use_disk(void)
{
	uint64_t r = rt_random(&seed);
	unsigned count = (unsigned)(r % PIECES_MAX) + 1;
	unsigned first = (unsigned)((r >> 8) % (BLOCKS - count));

	if ((r >> 32) % 2 == 0) {
		write_blocks(first, count);
	} else {
		read_blocks(first, count);
	}
	requests++;
}

/* --- the network --- */

static uint8_t data_byte(uint64_t n, uint32_t i)
{
	return (uint8_t)((n * 0x9e3779b97f4a7c15ull) >> 56) ^ (uint8_t)(i * 3);
}

static void send(const uint8_t *to, uint8_t kind, uint64_t n, uint32_t bytes)
{
	static const struct virtio_net_hdr none;

	memcpy(frame, to, NET_MAC_BYTES);
	memcpy(frame + NET_MAC_BYTES, nic.mac, NET_MAC_BYTES);
	frame[TYPE_AT] = TYPE_TEST >> 8;
	frame[TYPE_AT + 1] = TYPE_TEST & 0xff;
	frame[KIND_AT] = kind;
	memcpy(frame + NUMBER_AT, &n, sizeof(n));
	for (uint32_t i = DATA_AT; i < bytes; i++) {
		frame[i] = data_byte(n, i);
	}
	rt_nic_send(&nic, &none, frame, bytes);
}

static void send_next(void)
{
	sent_at = rdtsc();
	send(peer, KIND_DATA, number, FRAME_BYTES);
}

/* A frame of the peer's, by its source address. */
static void take_frame(uint32_t bytes)
{
	uint64_t n;

	EXPECT(bytes >= DATA_AT, "a frame of %u bytes from the peer", bytes);
	memcpy(&n, nic.frame + NUMBER_AT, sizeof(n));
	if (nic.frame[KIND_AT] == KIND_ANSWER) {
		answered += n == number;
		number += n == number;
		sent_at = n + 1 == number ? 0 : sent_at;
		return;
	}
	EXPECT(bytes == FRAME_BYTES && nic.frame[KIND_AT] == KIND_DATA,
	       "a frame of %u bytes, kind %u from the peer", bytes, nic.frame[KIND_AT]);
	for (uint32_t i = DATA_AT; i < bytes; i++) {
		EXPECT(nic.frame[i] == data_byte(n, i), "frame %lu: byte %u is wrong", n, i);
	}
	received++;
	send(peer, KIND_ANSWER, n, DATA_AT);
}

/* Bounded, so that a flood of others' frames does not keep the rest from being done. */
static void use_network(void)
{
	uint32_t bytes;

	for (unsigned i = 0; i < RT_NIC_SLOTS && rt_nic_receive(&nic, &bytes); i++) {
		if (memcmp(nic.frame + NET_MAC_BYTES, peer, NET_MAC_BYTES) == 0) {
			take_frame(bytes);
		}
	}
	if (sent_at == 0 || rdtsc() - sent_at > rt_us_to_tsc(AGAIN_US)) {
		send_next();
	}
}

/* --- the heart --- */

static void wake(struct rt_frame *f)
{
	(void)f;
	apic_eoi();
}

static void rest(void)
{
	apic_timer_start(VECTOR_TIMER, 0, SLEEP_US);
	wait_for_interrupt();
}

static void beat(uint64_t *n, uint64_t *next)
{
	int64_t late = (int64_t)(rdtsc() - *next);

	if (late >= 0) {
		*n += 1;
		*next += rt_tsc_hz();
		rt_print("beat %lu late %lu ms\n", *n, (uint64_t)late / (rt_tsc_hz() / 1000));
	}
}

/* `beats` of them, with the peer whose MAC ends in `peer`. */
void case_io_load(void)
{
	uint64_t beats = rt_option("beats", 30);
	uint64_t next = rdtsc() + rt_tsc_hz();
	uint64_t n = 0;

	seed = rt_option("seed", 1);
	rt_handle(VECTOR_TIMER, wake);
	apic_enable();
	rt_disk_open(&disk, 0, RT_DISK_FEATURES | BIT(VIRTIO_F_EVENT_IDX));
	rt_nic_open(&nic, 0, BIT(VIRTIO_F_EVENT_IDX));
	memcpy(peer, nic.mac, sizeof(peer));
	peer[NET_MAC_BYTES - 1] = (uint8_t)rt_option("peer", 0);
	while (n < beats) {
		use_disk();
		use_network();
		rest();
		beat(&n, &next);
	}
	read_blocks(0, PIECES_MAX);
	rt_print("%lu requests, %lu frames right, %lu answered\n", requests, received, answered);
	EXPECT(requests >= beats * PROGRESS && answered >= beats * PROGRESS, "no progress");
	rt_virtio_reset(&nic.device);
	rt_virtio_reset(&disk.device);
}
