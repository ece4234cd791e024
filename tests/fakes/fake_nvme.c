/* SPDX-License-Identifier: Apache-2.0 */
/* An NVMe controller for tests of its driver; layouts are the specification's. */
#include "tests/fakes/fake_nvme.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR 0x900000000ull
#define BAR_SIZE 0x8000u
#define TABLE 0x4000u
#define PAGE 4096ull

static _Noreturn void fail(const char *what, uint64_t detail)
{
	fprintf(stderr, "fake NVMe: %s 0x%llx\n", what, (unsigned long long)detail);
	abort();
}

static void post(struct fake_nvme *n, unsigned queue, unsigned id, unsigned status, uint32_t result)
{
	struct fake_nvme_queue *q = &n->queues[queue];
	uint32_t *entry;

	if ((q->cq_tail + 1u) % q->cq_entries == q->cq_head) {
		fail("completion queue is full:", queue);
	}
	entry = (uint32_t *)fake_pci_dma(q->cq + q->cq_tail * 16ull, 16);
	entry[0] = result;
	entry[2] = (uint32_t)queue << 16 | q->sq_head;
	entry[3] = id | (q->phase ? 1u << 16 : 0) | status << 17;
	q->cq_tail = (uint16_t)((q->cq_tail + 1) % q->cq_entries);
	q->phase = q->cq_tail == 0 ? !q->phase : q->phase;
}

void fake_nvme_post(struct fake_nvme *n, unsigned queue, unsigned id, unsigned status)
{
	post(n, queue, id, status, 0);
}

/* --- admin commands --- */

static void identify_controller(const struct fake_nvme *n, char *page)
{
	memcpy(page + 4, "SN-1234             ", 20);
	memcpy(page + 24, "A model of a disk                       ", 40);
	page[77] = (char)n->mdts;
	page[516] = FAKE_NVME_NAMESPACES;
	memcpy(page + 520, &n->oncs, 2);
}

static void identify_namespace(const struct fake_nvme *n, uint32_t nsid, char *page)
{
	const struct fake_nvme_namespace *ns;

	if (nsid == 0 || nsid > FAKE_NVME_NAMESPACES) {
		return;
	}
	ns = &n->namespaces[nsid - 1];
	memcpy(page, &ns->blocks, 8);
	page[26] = 1; /* format 1 is in use */
	page[99] = (char)ns->attributes;
	page[128 + 2] = 15;
	page[132] = (char)ns->metadata;
	page[132 + 2] = (char)ns->block_bits;
}

static unsigned identify(const struct fake_nvme *n, const struct nvme_command *c)
{
	char *page = fake_pci_dma(c->prp1, PAGE);
	unsigned count = 0;

	if (c->prp1 % PAGE != 0) {
		fail("identify data not at a page:", c->prp1);
	}
	memset(page, 0, PAGE);
	if (c->dw10 == 1) {
		identify_controller(n, page);
	} else if (c->dw10 == 0) {
		identify_namespace(n, c->nsid, page);
	} else if (c->dw10 == 2 && !n->no_active_list) {
		for (uint32_t i = 1; i <= FAKE_NVME_NAMESPACES; i++) {
			if (n->namespaces[i - 1].blocks != 0) {
				memcpy(page + (size_t)4 * count++, &i, 4);
			}
		}
	} else {
		return 2;
	}
	if (n->on_identify != NULL) {
		n->on_identify(page);
	}
	return 0;
}

static unsigned make_queue(struct fake_nvme *n, const struct nvme_command *c, bool completions)
{
	unsigned number = c->dw10 & 0xffff;
	uint32_t entries = (c->dw10 >> 16) + 1;
	struct fake_nvme_queue *q = &n->queues[number];

	if (number == 0 || number > n->queues_given || (c->dw11 & 1) == 0 || c->prp1 % PAGE != 0 ||
	    entries > (n->cap & 0xffff) + 1) {
		fail("queue cannot be made:", number);
	}
	if (completions) {
		*q = (struct fake_nvme_queue){.cq_made = true,
					      .cq = c->prp1,
					      .cq_entries = entries,
					      .vector = (uint16_t)(c->dw11 >> 16),
					      .phase = true};
	} else if (!q->cq_made || c->dw11 >> 16 != number) {
		fail("submission queue without completions:", number);
	} else {
		q->sq_made = true;
		q->sq = c->prp1;
		q->sq_entries = entries;
	}
	return 0;
}

static unsigned admin(struct fake_nvme *n, const struct nvme_command *c, uint32_t *result)
{
	n->admin_count[c->opcode]++;
	if (n->admin_refuses != 0 && c->opcode == n->admin_refuses) {
		return 1;
	}
	switch (c->opcode) {
	case 0x01:
		return make_queue(n, c, false);
	case 0x05:
		return make_queue(n, c, true);
	case 0x06:
		return identify(n, c);
	case 0x09:
		if ((c->dw10 & 0xff) != 7) {
			fail("feature", c->dw10);
		}
		*result = (n->queues_given - 1) << 16 | (n->queues_given - 1);
		return 0;
	default:
		fail("admin command", c->opcode);
	}
}

static void run_admin(struct fake_nvme *n)
{
	struct fake_nvme_queue *q = &n->queues[0];

	while (q->sq_head != q->sq_tail && !n->admin_silent) {
		struct nvme_command c;
		uint32_t result = 0;
		unsigned status;

		memcpy(&c, fake_pci_dma(q->sq + q->sq_head * 64ull, 64), 64);
		q->sq_head = (uint16_t)((q->sq_head + 1) % q->sq_entries);
		status = admin(n, &c, &result);
		post(n, 0, c.id, status, result);
	}
}

/* --- registers --- */

static void write_cc(struct fake_nvme *n, uint32_t value)
{
	bool was = (n->cc & 1) != 0;

	n->cc = value;
	if ((value & 1) == 0) {
		n->resets += was;
		n->csts = n->stays_ready ? n->csts : 0;
		memset(n->queues, 0, sizeof(n->queues));
	} else if (was && (value >> 14 & 3) == 1) {
		if ((value & ~(3u << 14)) != (1 | 6u << 16 | 4u << 20)) {
			fail("CC", value);
		}
		n->shutdowns++;
		n->csts |= n->never_shut ? 1u << 2 : 2u << 2;
	} else if (!was) {
		if (value != (1 | 6u << 16 | 4u << 20)) {
			fail("configuration", value);
		}
		n->csts = n->never_ready ? 0 : 1;
		n->queues[0] = (struct fake_nvme_queue){.cq_made = true,
							.sq_made = true,
							.cq = n->acq,
							.sq = n->asq,
							.cq_entries = (n->aqa >> 16) + 1,
							.sq_entries = (n->aqa & 0xffff) + 1,
							.phase = true};
	}
}

static void ring(struct fake_nvme *n, uint64_t place, uint32_t value)
{
	unsigned stride = 4u << (n->cap >> 32 & 15);
	unsigned number = (unsigned)(place / stride / 2);
	struct fake_nvme_queue *q = &n->queues[number];

	if (place % stride != 0 || number > FAKE_NVME_QUEUES || !q->sq_made) {
		fail("doorbell at", place);
	}
	if (place / stride % 2 != 0) {
		q->cq_head = (uint16_t)value;
		if (number == 0 && n->admin_floods) {
			post(n, 0, UINT16_MAX, 0, 0);
		}
		return;
	}
	if (value >= q->sq_entries) {
		fail("tail beyond the queue:", value);
	}
	q->sq_tail = (uint16_t)value;
	if (number == 0 && n->admin_floods) {
		post(n, 0, UINT16_MAX, 0, 0);
	} else if (number == 0) {
		run_admin(n);
	}
}

static uint32_t bar_read(void *ctx, unsigned bar, uint64_t offset, unsigned size)
{
	const struct fake_nvme *n = ctx;

	if (bar != 0 || size != 4) {
		fail("read at", offset);
	}
	return offset == 0	? (uint32_t)n->cap
	       : offset == 4	? (uint32_t)(n->cap >> 32)
	       : offset == 0x14 ? n->cc
	       : offset == 0x1c ? n->csts
				: 0;
}

static void bar_write(void *ctx, unsigned bar, uint64_t offset, unsigned size, uint32_t value)
{
	struct fake_nvme *n = ctx;

	if (bar != 0 || size != 4) {
		fail("write at", offset);
	}
	switch (offset) {
	case 0x0c:
		n->intms |= value;
		break;
	case 0x10:
		n->intms &= ~value;
		break;
	case 0x14:
		write_cc(n, value);
		break;
	case 0x24:
		n->aqa = value;
		break;
	case 0x28:
	case 0x2c:
		memcpy((char *)&n->asq + (offset - 0x28), &value, 4);
		break;
	case 0x30:
	case 0x34:
		memcpy((char *)&n->acq + (offset - 0x30), &value, 4);
		break;
	default:
		if (offset < 0x1000) {
			fail("write at", offset);
		}
		ring(n, offset - 0x1000, value);
		break;
	}
}

void fake_nvme_add(struct fake_nvme *n, unsigned devfn)
{
	memset(n, 0, sizeof(*n));
	fake_pci_add(&n->pci, 0, devfn, 0x00101b36, 0x010802);
	fake_pci_bar(&n->pci, 0, BAR + devfn * 0x10000ull, BAR_SIZE);
	fake_pci_msix(&n->pci, 0, TABLE, FAKE_NVME_QUEUES);
	n->pci.read = bar_read;
	n->pci.write = bar_write;
	n->pci.ctx = n;
	/* 256 entries, a second to start, the NVM command set. */
	n->cap = 0xff | 2u << 24 | 1ull << 37;
	n->queues_given = 2;
	n->oncs = 0xc;
	n->namespaces[0] = (struct fake_nvme_namespace){FAKE_NVME_BYTES / 512, 9, 0, 0};
	/* As firmware may leave it: running. */
	n->csts = 1;
	n->cc = 1;
}

/* --- I/O --- */

bool fake_nvme_take(struct fake_nvme *n, unsigned queue, struct nvme_command *out)
{
	struct fake_nvme_queue *q = &n->queues[queue];

	if (!q->sq_made || q->sq_head == q->sq_tail || !fake_pci_is_master(&n->pci)) {
		return false;
	}
	memcpy(out, fake_pci_dma(q->sq + q->sq_head * 64ull, 64), 64);
	q->sq_head = (uint16_t)((q->sq_head + 1) % q->sq_entries);
	return true;
}

/* Where byte `at` of the command's data is. */
static uint64_t data_address(const struct nvme_command *c, uint64_t at, uint64_t total)
{
	uint64_t first = PAGE - c->prp1 % PAGE;
	uint64_t page = at < first ? 0 : (at - first) / PAGE;
	uint64_t rest = at < first ? 0 : (at - first) % PAGE;
	uint64_t entry;

	if (at < first) {
		return c->prp1 + at;
	}
	if (total <= first + PAGE) {
		entry = c->prp2;
	} else if (c->prp2 % 8 != 0 || c->prp2 % PAGE + page * 8 >= PAGE) {
		fail("list of pages out of its page:", c->prp2);
	} else {
		memcpy(&entry, fake_pci_dma(c->prp2 + page * 8, 8), 8);
	}
	if (entry % PAGE != 0) {
		fail("page that is none:", entry);
	}
	return entry + rest;
}

void fake_nvme_transfer(struct fake_nvme *n, const struct nvme_command *c)
{
	unsigned bits = n->namespaces[c->nsid - 1].block_bits;
	uint64_t start = (c->dw10 | (uint64_t)c->dw11 << 32) << bits;
	uint64_t total = ((uint64_t)(c->dw12 & 0xffff) + 1) << bits;
	uint64_t range[2];

	switch (c->opcode) {
	case 0:
		n->flushed++;
		return;
	case 8:
		n->zeroed_blocks += total >> bits;
		n->zeroed_commands++;
		return;
	case 9:
		memcpy(range, fake_pci_dma(c->prp1, 16), 16);
		n->deallocated_blocks = range[0] >> 32;
		n->deallocated_start = range[1];
		if (c->dw10 != 0 || c->dw11 != 4) {
			fail("dataset management", c->dw11);
		}
		return;
	default:
		break;
	}
	if (start + total > FAKE_NVME_BYTES || (c->opcode != 1 && c->opcode != 2)) {
		fail("command", c->opcode);
	}
	for (uint64_t at = 0; at < total; at += 512) {
		void *data = fake_pci_dma(data_address(c, at, total), 512);

		if (c->opcode == 1) {
			memcpy(n->disk + start + at, data, 512);
		} else {
			memcpy(data, n->disk + start + at, 512);
		}
	}
}

bool fake_nvme_has_room(const struct fake_nvme *n, unsigned queue)
{
	const struct fake_nvme_queue *q = &n->queues[queue];

	return q->cq_made && (q->cq_tail + 1u) % q->cq_entries != q->cq_head;
}

bool fake_nvme_interrupt(struct fake_nvme *n, unsigned queue)
{
	return fake_pci_message(&n->pci, n->queues[queue].vector);
}

unsigned fake_nvme_run(struct fake_nvme *n)
{
	struct nvme_command c;
	unsigned count = 0;

	for (unsigned q = 1; q <= FAKE_NVME_QUEUES; q++) {
		while (fake_nvme_take(n, q, &c)) {
			fake_nvme_transfer(n, &c);
			fake_nvme_post(n, q, c.id, 0);
			(void)fake_nvme_interrupt(n, q);
			count++;
		}
	}
	return count;
}
