/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving: descriptors of all kinds, buffers, what is told of a frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fakes/e1000_fixture.h"

#include "guests/devices/e1000_internal.h"
#include "hv/base/net_sum.h"

/* The legacy descriptor `index`. */
static struct e1000_rx_desc desc(unsigned index)
{
	struct e1000_rx_desc d;

	memcpy(&d, rig_at(CARD_RX + 16ull * index), sizeof(d));
	return d;
}

static const uint8_t *buffer(unsigned index)
{
	return rig_at(CARD_BUFFERS + (uint64_t)CARD_BUFFER_BYTES * index);
}

static void receive(uint32_t len, uint8_t seed)
{
	assert_true(card_deliver(&card_mac, len, seed));
	vwork_run(&card_work);
}

/* The byte of a frame that card_deliver makes. */
static void check_bytes(const uint8_t *data, uint32_t from, uint32_t to, uint8_t seed)
{
	for (uint32_t i = from; i < to; i++) {
		assert_int_equal(data[i - from], (uint8_t)(seed + i * 7));
	}
}

static void a_frame_comes_with_its_descriptor(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_RXT0);
	receive(1000, 3);
	assert_int_equal(desc(0).status, E1000_RXD_DD | E1000_RXD_EOP | E1000_RXD_IXSM);
	assert_int_equal(desc(0).errors, 0);
	assert_int_equal(desc(0).length, 1000);
	assert_memory_equal(buffer(0), &card_mac, 6);
	check_bytes(buffer(0) + 6, 6, 1000, 3);
	assert_int_equal(buffer(0)[1000], 0);
	assert_int_equal(desc(1).status, 0);
	assert_int_equal(card_read(E1000_RDH), 1);
	assert_true(rig_intx.level);
	assert_int_equal(card_read(E1000_GPRC), 1);
	assert_int_equal(net_frames_bytes(), 0);
}

static void a_batch_is_one_interrupt(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_IMS, E1000_ICR_RXT0);
	for (uint8_t i = 0; i < 10; i++) {
		assert_true(card_deliver(&card_mac, 100, i));
	}
	vwork_run(&card_work);
	assert_int_equal(card_read(E1000_RDH), 10);
	assert_int_equal(rig_intx.rises, 1);
	check_bytes(buffer(9) + 6, 6, 100, 9);
}

static void short_frames_are_padded(void **state)
{
	(void)state;
	card_start(0);
	memset(rig_at(CARD_BUFFERS), 0xaa, 100);
	receive(20, 1);
	assert_int_equal(desc(0).length, 60);
	for (unsigned i = 20; i < 60; i++) {
		assert_int_equal(buffer(0)[i], 0);
	}
	assert_int_equal(buffer(0)[60], 0xaa);
}

static void the_sum_at_the_end_is_there_unless_stripped(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_RCTL, E1000_RCTL_EN);
	memset(rig_at(CARD_BUFFERS), 0xaa, 200);
	receive(100, 1);
	assert_int_equal(desc(0).length, 104);
	assert_int_equal(buffer(0)[103], 0);
	assert_int_equal(buffer(0)[104], 0xaa);
}

static void a_long_frame_takes_several_buffers(void **state)
{
	(void)state;
	card_start(3u << 16); /* of 256 bytes */
	receive(1000, 5);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(desc(i).status & 3, E1000_RXD_DD);
		assert_int_equal(desc(i).length, 256);
	}
	assert_int_equal(desc(3).status & 3, E1000_RXD_DD | E1000_RXD_EOP);
	assert_int_equal(desc(3).length, 1000 - 3 * 256);
	check_bytes(buffer(3), 768, 1000, 5);
	assert_int_equal(card_read(E1000_RDH), 4);
}

static void frames_wait_for_buffers(void **state)
{
	(void)state;
	card_start(3u << 16);
	card_write(E1000_RDT, 3);
	receive(1000, 5); /* needs four */
	assert_int_equal(card_read(E1000_RDH), 0);
	assert_int_equal(desc(0).status, 0);
	assert_int_equal(card_read(E1000_RNBC), 1);
	card_write(E1000_RDT, 4);
	assert_int_equal(card_read(E1000_RDH), 4);
}

static void what_never_fits_is_dropped(void **state)
{
	(void)state;
	card_start(3u << 16);
	card_write(E1000_RDLEN, 128); /* 8 descriptors, 7 buffers of 256 */
	card_write(E1000_RDT, 7);
	card_write(E1000_RCTL, card_read(E1000_RCTL) & ~E1000_RCTL_SECRC);
	receive(1514, 5);
	assert_int_equal(card_read(E1000_RDH), 6);
	card_write(E1000_RDLEN, 0);
	card_write(E1000_RDH, 0);
	receive(100, 5);
	assert_int_equal(net_frames_bytes(), 0);
	assert_int_equal(atomic_load(&card.port.stats.rx_dropped), 1);
}

static void the_ring_goes_round(void **state)
{
	(void)state;
	card_start(0);
	for (uint8_t i = 0; i < 100; i++) {
		unsigned at = i % CARD_RING;

		receive(200, i);
		assert_int_equal(desc(at).status & 3, 3);
		check_bytes(buffer(at) + 6, 6, 200, i);
		card_give(at);
		card_write(E1000_RDT, at);
	}
	assert_int_equal(card_read(E1000_GPRC), 100);
}

static void few_descriptors_are_told_of(void **state)
{
	(void)state;
	card_start(1u << 8); /* a quarter of 16 */
	for (uint8_t i = 0; i < 10; i++) {
		receive(60, i);
		assert_int_equal(card_read(E1000_ICR) & E1000_ICR_RXDMT0, 0);
	}
	receive(60, 0);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_RXDMT0, E1000_ICR_RXDMT0);
}

static void an_overrun_is_told_of(void **state)
{
	unsigned refused = 0;

	(void)state;
	card_start(0);
	card_write(E1000_RDT, 0);
	for (unsigned i = 0; i < NET_QUEUE_FRAMES_MAX + 3; i++) {
		refused += !card_deliver(&card_mac, 60, 0);
	}
	assert_int_equal(refused, 3);
	vwork_run(&card_work);
	assert_int_equal(card_read(E1000_MPC), 3);
	assert_int_equal(card_read(E1000_ICR) & E1000_ICR_RXO, E1000_ICR_RXO);
}

static void work_is_bounded(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_RDBAL, CARD_RX);
	card_write(E1000_RDLEN, 256 * 16);
	card_write(E1000_RDT, 255);
	card_write(E1000_TCTL, 0);
	for (unsigned i = 0; i < 256; i++) {
		rig_put(CARD_RX + 16ull * i, CARD_BUFFERS, 8);
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_true(card_deliver(&card_mac, 60, 0));
	}
	card.work.fn(&card.work);
	assert_int_equal(card_read(E1000_RDH), E1000_BATCH);
	card.work.fn(&card.work);
	assert_int_equal(card_read(E1000_RDH), 100);
}

static void tags_are_stripped_when_asked(void **state)
{
	struct net_frame *f = net_frame_alloc(100);

	(void)state;
	card_start(0);
	memset(f->data, 0x55, 100);
	memcpy(f->data, &card_mac, 6);
	memcpy(f->data + 12, "\x81\x00\x21\x43\x08\x00", 6);
	f->len = 100;
	assert_true(card.port.ops->deliver(&card.port, f));
	vwork_run(&card_work);
	assert_int_equal(desc(0).length, 100);
	assert_int_equal(desc(0).status & E1000_RXD_VP, 0);
	card_write(E1000_CTRL, card_read(E1000_CTRL) | E1000_CTRL_VME);
	assert_true(card.port.ops->deliver(&card.port, f));
	vwork_run(&card_work);
	assert_int_equal(desc(1).length, 96);
	assert_int_equal(desc(1).status & E1000_RXD_VP, E1000_RXD_VP);
	assert_int_equal(desc(1).special, 0x2143);
	assert_memory_equal(buffer(1) + 12, "\x08\x00\x55", 3);
	net_frame_put(f);
}

static void checksums_that_were_verified_are_told_of(void **state)
{
	struct net_frame *f = net_frame_alloc(100);

	(void)state;
	card_start(0);
	memset(f->data, 0x31, 100);
	memcpy(f->data, &card_mac, 6);
	f->len = 100;
	f->offload.checksum_good = true;
	card_write(E1000_RXCSUM, E1000_RXCSUM_TUOFL | 14);
	assert_true(card.port.ops->deliver(&card.port, f));
	vwork_run(&card_work);
	assert_int_equal(desc(0).status & (E1000_RXD_IXSM | E1000_RXD_TCPCS), E1000_RXD_TCPCS);
	assert_int_equal(desc(0).checksum, (uint16_t)~net_sum_fold(net_sum(f->data + 14, 86, 0)));
	card_write(E1000_RXCSUM, 0);
	assert_true(card.port.ops->deliver(&card.port, f));
	vwork_run(&card_work);
	assert_int_equal(desc(1).status & (E1000_RXD_IXSM | E1000_RXD_TCPCS), 0);
	net_frame_put(f);
}

static void a_group_by_the_table_is_marked(void **state)
{
	static const struct net_mac group = {{0x01, 0, 0x5e, 1, 2, 3}};

	(void)state;
	card_start(E1000_RCTL_MPE);
	assert_true(card_deliver(&group, 60, 0));
	vwork_run(&card_work);
	assert_int_equal(desc(0).status & E1000_RXD_PIF, E1000_RXD_PIF);
	/* The driver changed its mind while frames waited. */
	assert_true(card_deliver(&group, 60, 0));
	card_write(E1000_RCTL, E1000_RCTL_EN);
	vwork_run(&card_work);
	assert_int_equal(card_read(E1000_RDH), 1);
}

static void a_buffer_in_no_memory_loses_the_frame(void **state)
{
	(void)state;
	card_start(0);
	rig_put(CARD_RX, RIG_RAM_END - 10, 8);
	receive(100, 0);
	assert_int_equal(desc(0).status & 3, 3);
	assert_int_equal(desc(0).errors, 0x80);
	card_write(E1000_RDBAL, RIG_RAM_END);
	receive(100, 0);
	assert_int_equal(net_frames_bytes(), 0);
}

static void a_tail_outside_the_ring_is_none(void **state)
{
	(void)state;
	card_start(0);
	card_write(E1000_RDT, CARD_RING);
	receive(100, 0);
	assert_int_equal(card_read(E1000_RDH), 0);
	card_write(E1000_RDH, 1000);
	card_write(E1000_RDT, 3);
	assert_int_equal(card_read(E1000_RDH), 1000);
}

/* --- 82574L --- */

static void extended_descriptors(void **state)
{
	struct e1000_rx_extended d;

	(void)state;
	card_start(0);
	card_write(E1000_RFCTL, E1000_RFCTL_EXSTEN);
	receive(300, 9);
	memcpy(&d, rig_at(CARD_RX), sizeof(d));
	assert_int_equal(d.status, E1000_RXD_DD | E1000_RXD_EOP | E1000_RXD_IXSM);
	assert_int_equal(d.length, 300);
	assert_int_equal(d.mrq, 0);
	assert_int_not_equal(d.checksum, 0);
	check_bytes(buffer(0) + 6, 6, 300, 9);
	card_write(E1000_RXCSUM, E1000_RXCSUM_PCSD);
	rig_put(CARD_RX + 16, RIG_RAM_END, 8);
	receive(300, 9);
	memcpy(&d, rig_at(CARD_RX + 16), sizeof(d));
	assert_int_equal(d.checksum, 0);
	assert_int_equal(d.status, 0x80000000 | E1000_RXD_DD | E1000_RXD_EOP | E1000_RXD_IXSM);
}

static void packet_split_fills_buffers_in_turn(void **state)
{
	struct e1000_rx_split_done d;

	(void)state;
	card_start(E1000_RCTL_DTYP_PS);
	card_write(E1000_RFCTL, E1000_RFCTL_EXSTEN);
	card_write(E1000_PSRCTL, 1 | 1 << 8); /* 128 bytes and 1 KiB */
	card_write(E1000_RDT, 4);	      /* two: each takes the place of two */
	for (unsigned i = 0; i < 2; i++) {
		rig_put(CARD_RX + 32ull * i, CARD_BUFFERS + 0x1000ull * i, 8);
		rig_put(CARD_RX + 32ull * i + 8, CARD_BUFFERS + 0x1000ull * i + 0x800, 8);
	}
	receive(1000, 4);
	memcpy(&d, rig_at(CARD_RX), sizeof(d));
	assert_int_equal(d.status & 3, 3);
	assert_int_equal(d.length0, 128);
	assert_int_equal(d.length[0], 1000 - 128);
	assert_int_equal(d.length[1], 0);
	check_bytes(rig_at(CARD_BUFFERS + 6), 6, 128, 4);
	check_bytes(rig_at(CARD_BUFFERS + 0x800), 128, 1000, 4);
	receive(60, 4);
	memcpy(&d, rig_at(CARD_RX + 32), sizeof(d));
	assert_int_equal(d.length0, 60);
	assert_int_equal(card_read(E1000_RDH), 4);
	receive(60, 4);
	assert_int_equal(card_read(E1000_RDH), 4);
}

static void buffers_may_be_of_any_kib(void **state)
{
	(void)state;
	card_start(1u << 27);
	card_write(E1000_RDT, 3);
	receive(1500, 4);
	assert_int_equal(desc(0).length, 1024);
	assert_int_equal(desc(1).length, 1500 - 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OLD(a_frame_comes_with_its_descriptor),
		NEW(a_frame_comes_with_its_descriptor),
		OLD(a_batch_is_one_interrupt),
		OLD(short_frames_are_padded),
		OLD(the_sum_at_the_end_is_there_unless_stripped),
		OLD(a_long_frame_takes_several_buffers),
		OLD(frames_wait_for_buffers),
		OLD(what_never_fits_is_dropped),
		OLD(the_ring_goes_round),
		OLD(few_descriptors_are_told_of),
		OLD(an_overrun_is_told_of),
		OLD(work_is_bounded),
		OLD(tags_are_stripped_when_asked),
		OLD(checksums_that_were_verified_are_told_of),
		OLD(a_group_by_the_table_is_marked),
		OLD(a_buffer_in_no_memory_loses_the_frame),
		OLD(a_tail_outside_the_ring_is_none),
		NEW(extended_descriptors),
		NEW(packet_split_fills_buffers_in_turn),
		NEW(buffers_may_be_of_any_kib),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
