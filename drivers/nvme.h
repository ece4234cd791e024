/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVMe controllers and their namespaces. Source: NVM Express Base Specification 1.4.
 *
 *	submit --> queue of this CPU --> controller --> completion queue --> message --> owner
 *
 * A command that takes too long, a fatal status or a controller that is gone leads to a reset. It
 * goes on by timer, in phases, and nothing is given back before the controller has said that it is
 * off: until then it may still write into buffers.
 *
 *	READY --> DISABLING --> ENABLING --> SETUP --> READY
 *	              |             |          |
 *	              +-------------+----------+----> FAILED
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drivers/disk_queue.h"
#include "drivers/pci.h"
#include "hv/api/blk.h"
#include "hv/api/timer.h"
#include "hv/base/lock.h"
#include "hv/base/nvme_format.h"

#define NVME_QUEUES_MAX 32u
#define NVME_NAMESPACES_MAX 8u
#define NVME_DEPTH 64u /* entries of a queue: one page of commands */
/* One transfer at most; its list of pages has a place of its own for each slot. */
#define NVME_TRANSFER_MAX KIB(512)
#define NVME_LIST_BYTES 1024u

enum nvme_phase { NVME_DISABLING, NVME_ENABLING, NVME_SETUP, NVME_READY, NVME_FAILED };

struct nvme;

struct nvme_queue {
	struct nvme *controller;
	uint16_t number; /* 0: admin */
	uint16_t entries;
	/* Everything below is under `lock`, which comes after the controller's. */
	struct spinlock lock;
	bool running;
	struct nvme_command *commands;
	struct nvme_completion *completions;
	char *lists; /* NVME_LIST_BYTES for each slot */
	uint16_t tail;
	uint16_t head;
	bool phase; /* of new completions */
	struct disk_queue requests;
};

struct nvme_namespace {
	struct nvme *controller;
	uint32_t nsid;
	unsigned block_shift; /* from sectors to blocks: 0 or 3 */
	struct blk_device device;
};

struct nvme {
	struct host_pci *pci;
	char name[16]; /* "nvme0" */
	char *registers;
	uint64_t cap;
	unsigned stride; /* bytes between doorbells */
	unsigned messages;
	bool msix;
	unsigned queues_wanted;
	struct timer timer;
	/* Under `lock`. */
	struct spinlock lock;
	enum nvme_phase phase;
	uint64_t phase_limit;  /* when to give up on it */
	unsigned setup_step;   /* the admin command of SETUP that comes next or is open */
	bool admin_open;       /* one has been sent */
	uint16_t admin_id;     /* the next one's */
	unsigned resets;       /* since a request was answered last */
	_Atomic bool progress; /* one has been answered */
	/* Const once the controller was ready. */
	struct nvme_queue admin;
	struct nvme_queue *queues; /* queue_count of them */
	_Atomic unsigned queue_count;
	uint32_t transfer_max; /* bytes */
	uint32_t oncs;
	uint32_t namespaces_max;
	char serial[BLK_SERIAL_MAX];
	char model[NVME_IDC_MN_SIZE + 1];
	struct nvme_namespace *namespaces[NVME_NAMESPACES_MAX];
	unsigned namespace_count;
};

/*
 * Starts the controller and calls `found` for each namespace that can be used. At start only: waits
 * for the controller, as long as it says that it may take. What cannot be used stays off, with a
 * line in the log.
 */
void nvme_probe(struct host_pci *f, unsigned index, void (*found)(struct blk_device *d));

/* --- between nvme.c, nvme_start.c and nvme_queue.c --- */

uint32_t nvme_read(const struct nvme *c, unsigned reg);
void nvme_write(const struct nvme *c, unsigned reg, uint32_t value);

/* Gives a queue its memory; false: there is none. */
bool nvme_queue_alloc(struct nvme *c, struct nvme_queue *q, unsigned number);
/* Empty, as a queue is after it was made. */
void nvme_queue_clear(struct nvme_queue *q);
/* Puts a command into the queue and tells the controller; with the queue's lock. */
void nvme_queue_send(struct nvme_queue *q, const struct nvme_command *command);
/* The next completion, if there is one. Its entry goes back to the controller with
 * nvme_queue_release. With the queue's lock. */
bool nvme_queue_pop(struct nvme_queue *q, uint32_t *last, uint32_t *result);
void nvme_queue_release(struct nvme_queue *q);
/* Takes what is done and starts what waits; takes the queue's lock. */
void nvme_queue_serve(struct nvme_queue *q);
/* struct blk_ops. */
void nvme_submit(struct blk_device *d, struct blk_request *r);

/* All with the controller's lock. */

/* The controller begins to reset; the next phases come by nvme_advance. */
void nvme_begin_reset(struct nvme *c);
/* One look at the controller in a phase of the reset. What is over goes to `done`. */
void nvme_advance(struct nvme *c, struct list_node *done);
/* It is of no use any more. */
void nvme_fail(struct nvme *c, const char *why, struct list_node *done);
/* At start only: sends an admin command and waits. HV_E_IO: refused, or it took too long. */
enum hv_status nvme_admin(struct nvme *c, const struct nvme_command *command) HV_MUST_CHECK;
