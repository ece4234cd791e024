/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two NICs of one guest on one network: what goes in at one comes out at the other. The TCP segment
 * is of this file's own making, so checksums and cuts are judged without the switch's code. And a
 * guest that sends all it can to others.
 */
#include "hv/base/bits.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_net.h"

#define TYPE_TEST 0x88b5u /* "Local Experimental Ethertype" */
#define TYPE_IPV4 0x0800u
#define ETHERNET 14u
#define IP_BYTES 20u
#define TCP_BYTES 20u
#define TCP (ETHERNET + IP_BYTES)
#define PAYLOAD (TCP + TCP_BYTES)
#define SEQUENCE 0x12345678u
#define DATA 8000u
#define SEGMENT 1448u
#define HDR_F_NEEDS_CSUM 1u
#define CTRL_RX 0u
#define CTRL_RX_PROMISC 0u
#define CTRL_UNKNOWN 99u

#define FLOOD_EVERY 64u /* frames between looks at the clock */

static struct rt_nic nics[2];
static uint8_t frame[NET_FRAME_MAX];

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* One's complement sum, not complemented ("Computing the Internet Checksum"). */
static uint32_t sum_of(const uint8_t *p, uint32_t n, uint32_t sum)
{
	for (uint32_t i = 0; i < n; i++) {
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* Addresses, protocol and length, as TCP's checksum counts them in. */
static uint32_t pseudo_header(const uint8_t *f, uint32_t tcp_bytes)
{
	return sum_of(f + ETHERNET + 12, 8, 6 + tcp_bytes);
}

static uint8_t data_byte(uint32_t i)
{
	return (uint8_t)(i * 7 + (i >> 8));
}

static void address(const uint8_t *to, const uint8_t *from, uint32_t type)
{
	memcpy(frame, to, NET_MAC_BYTES);
	memcpy(frame + NET_MAC_BYTES, from, NET_MAC_BYTES);
	put16(frame + 12, type);
}

static void send(struct rt_nic *n, uint32_t bytes)
{
	const struct virtio_net_hdr h = {0};

	rt_nic_send(n, &h, frame, bytes);
}

static void expect_same(uint32_t sent, uint32_t received)
{
	EXPECT(received == sent, "%u of %u bytes came", received, sent);
	for (uint32_t i = 0; i < sent; i++) {
		EXPECT(nics[1].frame[i] == frame[i], "byte %u of %u is 0x%x, not 0x%x", i, sent,
		       nics[1].frame[i], frame[i]);
	}
}

static void expect_nothing(const char *what)
{
	uint32_t bytes;

	/* Whatever comes was there before: sending is done when the notification's exit is. */
	(void)pm_timer();
	EXPECT(!rt_nic_receive(&nics[1], &bytes), "%s came", what);
}

static uint32_t receive(const char *what)
{
	uint32_t bytes;

	EXPECT(rt_nic_await(&nics[1], &bytes), "%s did not come", what);
	return bytes;
}

/* --- frames as they are --- */

static void check_lengths(void)
{
	const uint32_t lengths[] = {14, 15, 60, 511, 512, 1000, 1513, 1514};

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (uint32_t k = ETHERNET; k < lengths[i]; k++) {
			frame[k] = data_byte(k + i);
		}
		address(nics[1].mac, nics[0].mac, TYPE_TEST);
		send(&nics[0], lengths[i]);
		expect_same(lengths[i], receive("a frame"));
	}
}

static void check_addresses(void)
{
	const uint8_t all[NET_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const uint8_t other[NET_MAC_BYTES] = {2, 0, 0, 0, 0, 99};

	address(all, nics[0].mac, TYPE_TEST);
	send(&nics[0], 60);
	expect_same(60, receive("a broadcast"));
	address(nics[1].mac, other, TYPE_TEST);
	send(&nics[0], 60);
	expect_nothing("a frame from an address that is not the NIC's");
	address(other, nics[0].mac, TYPE_TEST);
	send(&nics[0], 60);
	expect_nothing("a frame for another address");
	EXPECT(rt_nic_command(&nics[1], CTRL_RX, CTRL_RX_PROMISC, 1), "promiscuous: refused");
	send(&nics[0], 60);
	expect_same(60, receive("a frame for another address, promiscuously"));
	EXPECT(rt_nic_command(&nics[1], CTRL_RX, CTRL_RX_PROMISC, 0), "not promiscuous: refused");
	EXPECT(!rt_nic_command(&nics[1], CTRL_UNKNOWN, 0, 0), "an unknown command was obeyed");
}

/* Too short, too long, or with work that was not agreed on: dropped, and the device goes on. */
static void check_malformed(void)
{
	const struct virtio_net_hdr gso = {.gso_type = 3, .gso_size = 100};

	address(nics[1].mac, nics[0].mac, TYPE_TEST);
	send(&nics[0], ETHERNET - 1);
	send(&nics[0], NET_WIRE_MAX + 1);
	rt_nic_send(&nics[0], &gso, frame, 200);
	expect_nothing("a malformed frame");
	send(&nics[0], 60);
	expect_same(60, receive("a frame after malformed ones"));
}

/* --- work that is left to do --- */

/* A TCP segment; its checksum field holds the sum of the pseudo-header. */
static void build_segment(uint32_t data)
{
	uint8_t *ip = frame + ETHERNET;
	uint8_t *tcp = frame + TCP;

	memset(frame, 0, PAYLOAD);
	address(nics[1].mac, nics[0].mac, TYPE_IPV4);
	ip[0] = 0x45;
	put16(ip + 2, IP_BYTES + TCP_BYTES + data);
	ip[8] = 64;
	ip[9] = 6;
	put32(ip + 12, 0x0a000001);
	put32(ip + 16, 0x0a000002);
	put16(ip + 10, ~sum_of(ip, IP_BYTES, 0) & 0xffff);
	put32(tcp + 4, SEQUENCE);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = 0x10;
	put16(tcp + 16, pseudo_header(frame, TCP_BYTES + data));
	for (uint32_t i = 0; i < data; i++) {
		frame[PAYLOAD + i] = data_byte(i);
	}
}

static void send_segment(uint32_t data, uint8_t gso)
{
	const struct virtio_net_hdr h = {.flags = HDR_F_NEEDS_CSUM,
					 .gso_type = gso,
					 .hdr_len = PAYLOAD,
					 .gso_size = gso != 0 ? SEGMENT : 0,
					 .csum_start = TCP,
					 .csum_offset = 16};

	build_segment(data);
	rt_nic_send(&nics[0], &h, frame, PAYLOAD + data);
}

/* A whole segment, whose data is that from `at` on; returns where the next one begins. */
static uint32_t check_segment(uint32_t at, uint32_t bytes)
{
	const uint8_t *f = nics[1].frame;
	uint32_t data = bytes - PAYLOAD;

	EXPECT(bytes > PAYLOAD && data <= SEGMENT, "a segment of %u bytes", bytes);
	EXPECT(get16(f + ETHERNET + 2) == bytes - ETHERNET, "IP says %u bytes, there are %u",
	       get16(f + ETHERNET + 2), bytes - ETHERNET);
	EXPECT(sum_of(f + ETHERNET, IP_BYTES, 0) == 0xffff, "IP checksum");
	EXPECT(sum_of(f + TCP, bytes - TCP, pseudo_header(f, bytes - TCP)) == 0xffff,
	       "TCP checksum");
	EXPECT(get32(f + TCP + 4) == SEQUENCE + at, "sequence number 0x%x", get32(f + TCP + 4));
	for (uint32_t i = 0; i < data; i++) {
		EXPECT(f[PAYLOAD + i] == data_byte(at + i), "byte %u of the stream", at + i);
	}
	return at + data;
}

/* The receiver takes nothing but finished frames. */
static void check_finished(void)
{
	uint32_t at = 0;

	send_segment(SEGMENT, 0);
	EXPECT(check_segment(0, receive("a segment")) == SEGMENT, "a short segment");
	send_segment(DATA, NET_GSO_TCPV4);
	while (at < DATA) {
		at = check_segment(at, receive("a segment of many"));
	}
	EXPECT(at == DATA, "%u bytes, not %u", at, DATA);
	expect_nothing("one more segment");
}

/* The receiver takes frames with work left: they come as they were sent. */
static void check_whole(void)
{
	const struct virtio_net_hdr *h = &nics[1].header;

	send_segment(SEGMENT, 0);
	expect_same(PAYLOAD + SEGMENT, receive("a segment"));
	EXPECT(h->flags == HDR_F_NEEDS_CSUM && h->csum_start == TCP && h->csum_offset == 16,
	       "flags 0x%x, checksum at %u + %u", h->flags, h->csum_start, h->csum_offset);
	send_segment(DATA, NET_GSO_TCPV4);
	expect_same(PAYLOAD + DATA, receive("a long segment"));
	EXPECT(h->gso_type == NET_GSO_TCPV4 && h->gso_size == SEGMENT && h->hdr_len == PAYLOAD,
	       "GSO type %u, size %u, header %u", h->gso_type, h->gso_size, h->hdr_len);
	EXPECT(h->num_buffers == 2, "%u buffers", h->num_buffers);
}

/* --- the case --- */

static void start(uint64_t common, uint64_t of_receiver)
{
	rt_nic_open(&nics[0], 0, common | RT_NIC_CSUM | RT_NIC_HOST_TSO4);
	rt_nic_open(&nics[1], 1, common | of_receiver | RT_NIC_CTRL_VQ | RT_NIC_CTRL_RX);
}

void case_virtio_net_loop(void)
{
	const uint64_t choices[] = {0, BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_INDIRECT_DESC)};

	for (unsigned i = 0; i < ARRAY_SIZE(choices); i++) {
		start(choices[i], 0);
		check_lengths();
		check_addresses();
		check_malformed();
		check_finished();
		start(choices[i], RT_NIC_MRG_RXBUF | RT_NIC_GUEST_CSUM | RT_NIC_GUEST_TSO4);
		check_lengths();
		check_whole();
		/* With merging alone, the long frame is cut all the same. */
		start(choices[i], RT_NIC_MRG_RXBUF);
		check_finished();
	}
	rt_virtio_reset(&nics[0].device);
	rt_virtio_reset(&nics[1].device);
}

/* --- a flood --- */

/* To everybody, to a neighbour, to nobody, in turn. */
static void choose_target(uint64_t turn, uint8_t last)
{
	memset(nics[1].mac, turn % 3 == 0 ? 0xff : 0x02, NET_MAC_BYTES);
	if (turn % 3 == 1) {
		memcpy(nics[1].mac, nics[0].mac, NET_MAC_BYTES);
		nics[1].mac[NET_MAC_BYTES - 1] = last;
	}
}

/* For `seconds`, as fast as it goes: short frames, and long ones that the switch has to cut. */
void case_net_flood(void)
{
	uint64_t end = rdtsc() + rt_option("seconds", 10) * rt_tsc_hz();
	uint8_t last = (uint8_t)rt_option("to", 0);
	uint64_t sent = 0;

	rt_nic_open(&nics[0], 0, BIT(VIRTIO_F_EVENT_IDX) | RT_NIC_CSUM | RT_NIC_HOST_TSO4);
	while ((int64_t)(end - rdtsc()) > 0) {
		for (unsigned i = 0; i < FLOOD_EVERY; i++, sent++) {
			choose_target(sent, last);
			if (sent % 4 == 0) {
				send_segment(DATA, NET_GSO_TCPV4);
			} else {
				address(nics[1].mac, nics[0].mac, TYPE_TEST);
				send(&nics[0], 60);
			}
		}
	}
	rt_print("%lu frames sent\n", sent);
	rt_virtio_reset(&nics[0].device);
}
