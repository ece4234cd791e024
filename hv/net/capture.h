/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went over a network lately: a ring of packet records as a pcap file has them, oldest first
 * out, so that it always holds the last CAPTURE_BYTES. Read in pieces through a position that stays
 * right while frames come in. Source: the pcap file format as libpcap describes it
 * (pcap-savefile(5)), with nanoseconds.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/net.h"
#include "hv/base/status.h"

#define CAPTURE_BYTES (256u << 10) /* a power of two */
/* Bytes of a frame that are kept; its whole length is noted. */
#define CAPTURE_SNAP 2048u

#define PCAP_MAGIC_NS 0xa1b23c4du
#define PCAP_LINKTYPE_ETHERNET 1u

struct pcap_header {
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	uint32_t reserved[2];
	uint32_t snap;
	uint32_t linktype;
};
static_assert(sizeof(struct pcap_header) == 24, "the file's first bytes");

struct pcap_record {
	uint32_t seconds; /* since 1970 */
	uint32_t nanoseconds;
	uint32_t kept; /* bytes that follow */
	uint32_t len;  /* bytes that the frame had */
};
static_assert(sizeof(struct pcap_record) == 16, "before each frame");
static_assert(offsetof(struct pcap_record, kept) == 8, "before each frame");

/* Covered by its user's lock. */
struct capture {
	uint8_t *ring;	/* CAPTURE_BYTES of the pool; NULL: never started */
	bool running;	/* frames are added */
	uint64_t start; /* position of the oldest record; positions only grow */
	uint64_t end;
	uint64_t frames; /* added since it was started */
};

/* Begins with an empty ring. HV_E_NO_MEMORY. */
enum hv_status capture_start(struct capture *c) HV_MUST_CHECK;
/* Keeps what there is. */
void capture_stop(struct capture *c);
/* Forgets it and gives the memory back. */
void capture_free(struct capture *c);
/* Adds a frame if it is running. */
void capture_frame(struct capture *c, const struct net_frame *f, uint64_t seconds,
		   uint32_t nanoseconds);
/* The first bytes of the file. */
void capture_header(struct pcap_header *h);
/*
 * Copies up to `n` (> sizeof record + CAPTURE_SNAP) bytes of whole records from *pos on and moves
 * *pos past them; a position that fell out of the ring goes on with the oldest record. Returns the
 * bytes copied, 0 at the end. Start with *pos 0.
 */
size_t capture_read(const struct capture *c, uint64_t *pos, uint8_t *out, size_t n);
