/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statistics registers: they stay at their highest value, and reading clears them; pairs are
 * cleared by reading the upper half. Source: "Statistics Registers".
 */
#include "guests/devices/e1000_internal.h"

#include "hv/base/str.h"

#define SIZE_CLASSES 6u
#define FCS_BYTES 4u /* which lengths and octets include */

static const uint8_t broadcast[NET_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool is_pair(unsigned reg)
{
	return reg == E1000_GORCL || reg == E1000_GOTCL || reg == E1000_TORL || reg == E1000_TOTL;
}

void e1000_count(struct e1000 *e, unsigned reg, uint32_t n)
{
	uint32_t *low = e1000_reg(e, reg);
	uint32_t sum = *low + n;
	bool carry = sum < n;

	if (!is_pair(reg)) {
		*low = carry ? UINT32_MAX : sum;
		return;
	}
	*low = sum;
	*e1000_reg(e, reg + 4) += carry;
}

uint32_t e1000_read_statistic(struct e1000 *e, unsigned reg)
{
	uint32_t value = e1000_get(e, reg);

	if (!is_pair(reg)) {
		*e1000_reg(e, reg) = 0;
		if (is_pair(reg - 4)) {
			*e1000_reg(e, reg - 4) = 0;
		}
	}
	return value;
}

/* The first register of six, by the length on the wire. */
static void count_size(struct e1000 *e, unsigned first, uint32_t len)
{
	static const uint32_t up_to[SIZE_CLASSES - 1] = {64, 127, 255, 511, 1023};
	unsigned i = 0;

	while (i < SIZE_CLASSES - 1 && len > up_to[i]) {
		i++;
	}
	e1000_count(e, first + 4 * i, 1);
}

/* Whether the frame is for a group: `all` of them, or another. */
static void count_group(struct e1000 *e, const uint8_t *frame, unsigned all, unsigned other)
{
	if ((frame[0] & 1) != 0) {
		e1000_count(e, memcmp(frame, broadcast, NET_MAC_BYTES) == 0 ? all : other, 1);
	}
}

void e1000_count_sent(struct e1000 *e, const uint8_t *frame, uint32_t len)
{
	len = (uint32_t)max_u64(len, E1000_FRAME_MIN) + FCS_BYTES;
	count_size(e, E1000_PTC64, len);
	count_group(e, frame, E1000_BPTC, E1000_MPTC);
	e1000_count(e, E1000_TPT, 1);
	e1000_count(e, E1000_GPTC, 1);
	e1000_count(e, E1000_TOTL, len);
	e1000_count(e, E1000_GOTCL, len);
}

void e1000_count_received(struct e1000 *e, const uint8_t *frame, uint32_t len)
{
	len = (uint32_t)max_u64(len, E1000_FRAME_MIN) + FCS_BYTES;
	count_size(e, E1000_PRC64, len);
	count_group(e, frame, E1000_BPRC, E1000_MPRC);
	e1000_count(e, E1000_TPR, 1);
	e1000_count(e, E1000_GPRC, 1);
	e1000_count(e, E1000_TORL, len);
	e1000_count(e, E1000_GORCL, len);
}
