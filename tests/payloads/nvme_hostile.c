/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of NVMe controllers gone mad, by the numbers of a seed: queues of random commands,
 * created over each other and moved while they run, lists of pages that lead in circles or out of
 * RAM, any doorbell and register with any value, resets in between. Now and then a controller must
 * then work for a driver that does all right: a block that it writes reads the same.
 *
 * What goes where: tests/payloads/rt_wild.h.
 */
#include "hv/base/bits.h"
#include "hv/base/nvme_format.h"
#include "hv/base/str.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_pci.h"
#include "tests/payloads/rt_wild.h"

#define CONTROLLERS_MAX 8u
#define STEPS 40u
#define CHECK_EVERY 8u
#define REPORT_EVERY 500u
#define QUEUES 5u /* a guest of one vCPU has three */
#define ENTRIES 64u
#define QUEUE_BYTES (ENTRIES * (uint32_t)sizeof(struct nvme_command))
#define PAGE 4096u
#define LIST_ENTRIES (PAGE / 8)
#define BLOCK 512u
#define WAIT_US 10000000u
#define REGISTER_BYTES 0x2000u

struct controller {
	unsigned devfn;
	uint64_t registers;
};

static struct controller controllers[CONTROLLERS_MAX];
static unsigned controller_count;
static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	return rt_pick(&seed, n);
}

static bool one_in(uint32_t n)
{
	return rt_one_in(&seed, n);
}

/* The first half of the lists are queues, the second are lists of pages. */
static uint64_t pages_place(void)
{
	return rt_lists_place() + RT_LISTS_BYTES / 2;
}

static uint64_t some_queue(void)
{
	return one_in(24)
		       ? rt_wild_address(&seed)
		       : rt_lists_place() + (pick(RT_LISTS_BYTES / 2 - QUEUE_BYTES) & ~(PAGE - 1));
}

/* --- commands --- */

/* Pages of the data. The last of each list is another list, or the same one. */
static void fill_page_lists(void)
{
	for (uint64_t i = 0; i < RT_LISTS_BYTES / 2 / 8; i++) {
		bool last = i % LIST_ENTRIES == LIST_ENTRIES - 1;
		uint64_t next = pages_place() + (pick(RT_LISTS_BYTES / 2) & ~(PAGE - 1));
		uint64_t page = rt_some_address(&seed);

		mmio_write64(pages_place() + i * 8, last	 ? next
						    : one_in(16) ? page
								 : page & ~0xfffull);
	}
}

/* Where a command's data are: to the controller the second is a page, or a list if there are more
 * than two. */
static void place_data(struct nvme_command *c, uint64_t bytes)
{
	c->prp1 = rt_some_address(&seed);
	c->prp2 = (c->prp1 & (PAGE - 1)) + bytes <= 2 * PAGE
			  ? rt_some_address(&seed)
			  : pages_place() + (pick(RT_LISTS_BYTES / 2) & ~7u);
}

static struct nvme_command io_command(void)
{
	static const uint8_t opcodes[] = {NVME_READ,  NVME_READ,    NVME_WRITE,	       NVME_WRITE,
					  NVME_FLUSH, NVME_COMPARE, NVME_WRITE_ZEROES, NVME_DSM};
	uint32_t blocks = one_in(16) ? pick(NVME_BLOCKS_MAX) : pick(64);
	struct nvme_command c = {
		.opcode = one_in(24) ? (uint8_t)pick(256) : opcodes[pick(ARRAY_SIZE(opcodes))],
		.flags = one_in(32) ? (uint8_t)pick(256) : 0,
		.id = (uint16_t)pick(0x10000),
		.nsid = one_in(24) ? (uint32_t)rt_random(&seed) : 1,
		.dw10 = one_in(24) ? (uint32_t)rt_random(&seed) : pick(0x2000),
		.dw11 = one_in(24) ? (uint32_t)rt_random(&seed) : pick(8) & NVME_DSM_DEALLOCATE,
		.dw12 = blocks | (one_in(4) ? NVME_FUA : 0),
	};

	place_data(&c, (blocks + 1ull) * BLOCK);
	return c;
}

static struct nvme_command admin_command(void)
{
	static const uint8_t opcodes[] = {
		NVME_ADMIN_CREATE_CQ,	    NVME_ADMIN_CREATE_CQ,    NVME_ADMIN_CREATE_SQ,
		NVME_ADMIN_CREATE_SQ,	    NVME_ADMIN_DELETE_SQ,    NVME_ADMIN_DELETE_CQ,
		NVME_ADMIN_IDENTIFY,	    NVME_ADMIN_GET_LOG,	     NVME_ADMIN_ABORT,
		NVME_ADMIN_SET_FEATURES,    NVME_ADMIN_GET_FEATURES, NVME_ADMIN_ASYNC_EVENT,
		NVME_ADMIN_DOORBELL_BUFFERS};
	struct nvme_command c = {
		.opcode = one_in(24) ? (uint8_t)pick(256) : opcodes[pick(ARRAY_SIZE(opcodes))],
		.id = (uint16_t)pick(0x10000),
		.nsid = pick(3),
		.prp1 = rt_some_address(&seed),
		.prp2 = rt_some_address(&seed),
		.dw10 = one_in(8) ? (uint32_t)rt_random(&seed) : (ENTRIES - 1) << 16 | pick(QUEUES),
		.dw11 = one_in(8) ? (uint32_t)rt_random(&seed) : pick(QUEUES) << 16 | pick(4),
		.dw12 = one_in(8) ? (uint32_t)rt_random(&seed) : 0,
	};

	if (c.opcode == NVME_ADMIN_CREATE_SQ || c.opcode == NVME_ADMIN_CREATE_CQ) {
		c.prp1 = some_queue();
	} else if (c.opcode == NVME_ADMIN_GET_LOG) {
		c.dw10 = pick(8) | pick(1024) << 16; /* one page, or a little of a second */
	}
	return c;
}

static void fill_queues(void)
{
	for (uint64_t at = rt_lists_place(); at < pages_place();
	     at += sizeof(struct nvme_command)) {
		struct nvme_command c = one_in(3) ? admin_command() : io_command();

		memcpy(rt_pointer(at), &c, sizeof(c));
	}
}

/* --- what a mad driver does --- */

/* Submission and completion doorbells in turns. */
static void ring(const struct controller *c)
{
	uint64_t doorbell = c->registers + NVME_DOORBELLS + pick(QUEUES * 2) * 4ull;

	mmio_write32(doorbell, one_in(24) ? (uint32_t)rt_random(&seed) : pick(ENTRIES));
}

static void command_administration(const struct controller *c)
{
	mmio_write32(c->registers + NVME_DOORBELLS, pick(ENTRIES));
	mmio_write32(c->registers + NVME_DOORBELLS + 4, pick(ENTRIES));
}

static void change_commands(const struct controller *c)
{
	(void)c;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = rt_lists_place() + (pick(RT_LISTS_BYTES / 2) & ~63u);
		struct nvme_command command = one_in(4) ? admin_command() : io_command();

		memcpy(rt_pointer(at), &command, sizeof(command));
	}
}

static void change_page_lists(const struct controller *c)
{
	(void)c;
	mmio_write64(pages_place() + (pick(RT_LISTS_BYTES / 2) & ~7u), rt_some_address(&seed));
}

static void move_administration(const struct controller *c)
{
	mmio_write32(c->registers + NVME_AQA,
		     one_in(8) ? (uint32_t)rt_random(&seed) : (ENTRIES - 1) << 16 | (ENTRIES - 1));
	mmio_write64(c->registers + NVME_ASQ, some_queue());
	mmio_write64(c->registers + NVME_ACQ, some_queue());
}

static void switch_on(const struct controller *c)
{
	mmio_write32(c->registers + NVME_CC, NVME_CC_ON);
}

static void restart(const struct controller *c)
{
	mmio_write32(c->registers + NVME_CC, one_in(2) ? 0 : (uint32_t)rt_random(&seed));
	move_administration(c);
	switch_on(c);
}

static void shut_down(const struct controller *c)
{
	mmio_write32(c->registers + NVME_CC, NVME_CC_ON | pick(4) << 14);
}

/* Anything but what says where the administration's queues are. */
static void write_anything(const struct controller *c)
{
	if (one_in(2)) {
		rt_write_anywhere(&seed, c->registers, NVME_CC + 4);
	} else {
		rt_write_anywhere(&seed, c->registers + 0x38, REGISTER_BYTES - 0x38);
	}
}

static void look(const struct controller *c)
{
	rt_read_anywhere(&seed, c->registers, REGISTER_BYTES);
	rt_take_interrupts();
}

static void disturb(const struct controller *c)
{
	rt_disturb_function(&seed, c->devfn);
}

static void (*const deeds[])(const struct controller *c) = {
	ring,
	ring,
	ring,
	ring,
	ring,
	ring,
	command_administration,
	command_administration,
	command_administration,
	change_commands,
	change_page_lists,
	move_administration,
	restart,
	switch_on,
	shut_down,
	write_anything,
	look,
	disturb,
};

/* --- a driver that does all right --- */

static void await_ready(const struct controller *c, uint32_t wanted)
{
	uint64_t end = rdtsc() + rt_us_to_tsc(WAIT_US);

	while ((mmio_read32(c->registers + NVME_CSTS) & NVME_CSTS_RDY) != wanted) {
		EXPECT(rdtsc() < end, "CSTS stays 0x%x", mmio_read32(c->registers + NVME_CSTS));
	}
}

static void reset(const struct controller *c)
{
	rt_calm_function(c->devfn);
	mmio_write32(c->registers + NVME_CC, 0);
	await_ready(c, 0);
}

/* Command `nth` of a queue that is new, and its status; queue 1 has pages 2 and 3. */
static uint32_t carry_out(const struct controller *c, unsigned queue, unsigned nth,
			  const struct nvme_command *command)
{
	uint64_t sq = rt_lists_place() + queue * 2 * (uint64_t)PAGE;
	uint64_t last = sq + PAGE + nth * sizeof(struct nvme_completion) +
			offsetof(struct nvme_completion, last);
	uint64_t end = rdtsc() + rt_us_to_tsc(WAIT_US);

	memcpy(rt_pointer(sq + nth * sizeof(*command)), command, sizeof(*command));
	mmio_write32(c->registers + NVME_DOORBELLS + queue * 8, nth + 1);
	while ((mmio_read32(last) & NVME_LAST_PHASE) == 0) {
		(void)pm_timer();
		EXPECT(rdtsc() < end, "command %u of queue %u does not end", nth, queue);
	}
	mmio_write32(c->registers + NVME_DOORBELLS + queue * 8 + 4, nth + 1);
	return (uint32_t)bits_get(mmio_read32(last), NVME_LAST_STATUS);
}

static void start(const struct controller *c)
{
	struct nvme_command cq = {.opcode = NVME_ADMIN_CREATE_CQ,
				  .prp1 = rt_lists_place() + 3ull * PAGE,
				  .dw10 = (ENTRIES - 1) << 16 | 1,
				  .dw11 = NVME_QUEUE_CONTIGUOUS};
	struct nvme_command sq = {.opcode = NVME_ADMIN_CREATE_SQ,
				  .prp1 = rt_lists_place() + 2ull * PAGE,
				  .dw10 = (ENTRIES - 1) << 16 | 1,
				  .dw11 = 1u << 16 | NVME_QUEUE_CONTIGUOUS};

	memset(rt_pointer(rt_lists_place()), 0, 4ull * PAGE);
	mmio_write32(c->registers + NVME_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	mmio_write64(c->registers + NVME_ASQ, rt_lists_place());
	mmio_write64(c->registers + NVME_ACQ, rt_lists_place() + PAGE);
	switch_on(c);
	await_ready(c, NVME_CSTS_RDY);
	EXPECT(carry_out(c, 0, 0, &cq) == 0 && carry_out(c, 0, 1, &sq) == 0, "no queues");
}

static void check(const struct controller *c)
{
	uint64_t at = rt_data_place();
	struct nvme_command write = {.opcode = NVME_WRITE, .nsid = 1, .prp1 = at};
	struct nvme_command read = {.opcode = NVME_READ, .nsid = 1, .prp1 = at + PAGE};

	reset(c);
	start(c);
	for (uint64_t i = 0; i < BLOCK; i += 8) {
		mmio_write64(at + i, rt_random(&seed));
		mmio_write64(at + PAGE + i, 0);
	}
	EXPECT(carry_out(c, 1, 0, &write) == 0, "a block is not written");
	EXPECT(carry_out(c, 1, 1, &read) == 0, "a block is not read");
	for (uint64_t i = 0; i < BLOCK; i += 8) {
		EXPECT(mmio_read64(at + i) == mmio_read64(at + PAGE + i),
		       "a block reads other than it was written, at %lu", i);
	}
	/* Random bytes are not for the rounds that come. */
	rt_fill_data(&seed);
	write.prp1 = at;
	EXPECT(carry_out(c, 1, 2, &write) == 0, "a block is not written again");
	reset(c);
}

/* --- the case --- */

static void find_controllers(void)
{
	for (unsigned devfn = 0; devfn < PCI_FUNCTIONS && controller_count < CONTROLLERS_MAX;
	     devfn++) {
		if (pci_config(devfn, PCI_REVISION) >> 8 == NVME_CLASS) {
			controllers[controller_count++] =
				(struct controller){devfn, pci_bar(devfn, 0)};
		}
	}
	EXPECT(controller_count != 0, "there is no controller");
}

static void round_of(const struct controller *c)
{
	reset(c);
	fill_queues();
	fill_page_lists();
	move_administration(c);
	switch_on(c);
	for (unsigned i = 0; i < STEPS; i++) {
		deeds[pick(ARRAY_SIZE(deeds))](c);
	}
	reset(c);
}

void case_nvme_hostile(void)
{
	uint64_t rounds = rt_option("rounds", 200);

	seed = rt_option("seed", 1);
	rt_ignore_vectors();
	find_controllers();
	rt_fill_data(&seed);
	for (uint64_t i = 1; i <= rounds; i++) {
		round_of(&controllers[pick(controller_count)]);
		if (i % CHECK_EVERY == 0) {
			check(&controllers[pick(controller_count)]);
		}
		if (i % REPORT_EVERY == 0) {
			rt_print("round %lu\n", i);
		}
	}
}
