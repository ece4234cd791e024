/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller with a disk in memory, on the fake PCI bus. Admin commands are done at once;
 * commands of I/O queues are taken when a test says so and completed in the order it wants, with
 * the status it wants. What breaks the specification's rules aborts the test: pages that are not
 * memory, lists out of place, commands for queues that were not made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/nvme_format.h"
#include "tests/fakes/fake_pci.h"

#define FAKE_NVME_QUEUES 8u
#define FAKE_NVME_BYTES (1u << 20)
#define FAKE_NVME_NAMESPACES 3u

struct fake_nvme_queue {
	bool cq_made, sq_made;
	uint64_t cq, sq;
	uint32_t cq_entries, sq_entries;
	uint16_t vector;
	uint16_t sq_head, sq_tail, cq_tail, cq_head;
	bool phase;
};

struct fake_nvme_namespace {
	uint64_t blocks; /* 0: not active */
	uint8_t block_bits;
	uint8_t metadata;
	uint8_t attributes;
};

struct fake_nvme {
	struct fake_pci pci;
	uint64_t cap;
	uint32_t cc, csts, aqa, intms;
	uint64_t asq, acq;
	struct fake_nvme_queue queues[FAKE_NVME_QUEUES + 1];
	unsigned queues_given; /* pairs; at most FAKE_NVME_QUEUES */
	uint8_t mdts;
	uint16_t oncs;
	struct fake_nvme_namespace namespaces[FAKE_NVME_NAMESPACES];
	uint8_t disk[FAKE_NVME_BYTES]; /* of all namespaces, for reads and writes */
	unsigned admin_count[256];     /* commands, by opcode */
	unsigned resets;
	unsigned shutdowns;
	uint64_t flushed, deallocated_start, deallocated_blocks, zeroed_blocks, zeroed_commands;
	/* Changes what is identified; NULL: nothing. */
	void (*on_identify)(void *page);
	/* Misbehaviour. */
	bool stays_ready;      /* does not stop */
	bool never_ready;      /* does not start */
	bool never_shut;       /* does not get its shutdown done */
	bool admin_silent;     /* answers no admin command */
	uint8_t admin_refuses; /* this opcode; 0: none */
	bool no_active_list;   /* as NVMe 1.0 */
	bool admin_floods;     /* completes others without end instead */
};

/* Two queue pairs, MSI-X for each, one namespace of 1 MiB with blocks of 512 bytes. */
void fake_nvme_add(struct fake_nvme *n, unsigned devfn);
/* The next command of an I/O queue; false when none waits. */
bool fake_nvme_take(struct fake_nvme *n, unsigned queue, struct nvme_command *out);
/* Moves the command's data, as the controller would. */
void fake_nvme_transfer(struct fake_nvme *n, const struct nvme_command *command);
/* Puts a completion into the queue, whatever it says. */
void fake_nvme_post(struct fake_nvme *n, unsigned queue, unsigned id, unsigned status);
/* Whether a completion fits; false for a queue that was not made. */
bool fake_nvme_has_room(const struct fake_nvme *n, unsigned queue);
bool fake_nvme_interrupt(struct fake_nvme *n, unsigned queue);
/* All commands of all queues, in order, each with its interrupt. Returns how many. */
unsigned fake_nvme_run(struct fake_nvme *n);
