/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A card that writes what it likes into its registers and its half of the descriptors. Whatever it
 * does: frames that reach the switch are frames, no frame is lost track of, and the driver gets
 * along with the next one or gives the card up.
 */
#include <stdlib.h>

#include "hv/base/bits.h"
#include "tests/fakes/fake_e1000.h"
#include "tests/fuzz/device_input.h"

static struct host_nic *card;

/* The same card each time, as new: its memory would not last for many. */
static void fresh(bool pcie)
{
	if (card == NULL) {
		rig_init();
		(void)fake_add(0x10d3, true);
		assert(host_nics_init() == 1);
		card = host_nic_at(0);
	}
	nic[0].dead = false;
	/* What was sent, the input says: the model insists on its head. */
	nic[0].stuck = true;
	nic[0].reset_hangs = false;
	rig.f[0].msix = pcie;
	rig.f[0].fn = NULL;
	fake_power_on(&nic[0]);
	card->state = NIC_OFF;
	card->fruitless = 0;
	assert(rig_use(card) == HV_OK);
}

/* Bytes 8 to 15 of a descriptor: length, checksum, status, errors. */
static void scribble(struct input *in, unsigned ring)
{
	uint64_t index = take(in, 1);
	uint64_t value = take(in, 8);

	if (rig.f[0].enabled) {
		memcpy(fake_dma(&nic[0], ring) + index * 16 + 8, &value, 8);
	}
}

static void poke(struct input *in)
{
	static const unsigned anything[] = {0x0, 0x8, 0x14, 0xc0, 0xd0, 0x5400, 0x5404};

	switch (take(in, 1) % 3) {
	case 0:
		REG(&nic[0], anything[take(in, 1) % ARRAY_SIZE(anything)]) = (uint32_t)take(in, 4);
		break;
	case 1:
		REG(&nic[0], 0x2810) = (uint32_t)take(in, 1);
		break;
	default:
		REG(&nic[0], 0x3810) = (uint32_t)take(in, 1);
		break;
	}
}

static void misbehave(struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);

	nic[0].reset_hangs = (how & 1) != 0;
	nic[0].dead = (how & 2) != 0;
}

static void step(struct input *in)
{
	uint8_t op = (uint8_t)take(in, 1);

	switch (op % 8) {
	case 0:
		(void)(rig.f[0].enabled && fake_receive(&nic[0], take(in, 2) % 2049, op));
		break;
	case 1:
		(void)(rig.f[0].enabled && fake_fill(&nic[0], (uint16_t)take(in, 2),
						     (uint8_t)take(in, 1), (uint8_t)take(in, 1)));
		break;
	case 2:
		scribble(in, op & 8 ? 0x2800 : 0x3800);
		break;
	case 3:
		poke(in);
		break;
	case 4:
		rig.f[0].fn(rig.f[0].ctx, 0);
		break;
	case 5:
		(void)rig_deliver(card, (uint32_t)take(in, 2) % 2048, op);
		break;
	case 6:
		rig_advance(take(in, 1) << 24);
		break;
	default:
		misbehave(in);
		break;
	}
}

static void invariants(void)
{
	for (unsigned i = 0; i < rig.sent_count; i++) {
		assert(rig.sent[i]->len >= NET_FRAME_MIN && rig.sent[i]->len <= NET_WIRE_MAX);
		assert(!rig.sent[i]->offload.needs_checksum);
		assert(rig.sent[i]->offload.gso == NET_GSO_NONE);
	}
	rig_drop_sent();
	assert(card->in_flight <= 255);
	assert(card->state != NIC_RUNNING || card->in_flight == 0 || card->watch.armed);
	assert(card->state != NIC_RUNNING || !card->paused || card->pause.armed);
	assert(card->state != NIC_FAILED || (card->in_flight == 0 && !rig.f[0].enabled));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	fresh((take(&in, 1) & 1) != 0);
	while (in.n != 0) {
		step(&in);
		invariants();
	}
	/* Pulled out: everything comes back. */
	nic[0].dead = true;
	rig_advance(NIC_RESET_NS * 2);
	rig.f[0].fn(rig.f[0].ctx, 0);
	invariants();
	assert(card->in_flight == 0 && card->held == 0 && net_frames_bytes() == 0);
	rig_advance(NIC_STUCK_NS * 2);
	assert(timer_queue_next(&rig.queue) == TIMER_NEVER);
	return 0;
}
