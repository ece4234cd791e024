/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller with one namespace (NVM Express Base Specification 1.4) on any struct
 * blk_device: a pair of I/O queues per vCPU up to eight, flush, compare, deallocate and
 * write-zeroes, and shadow doorbells ("Doorbell Buffer Config command"), with which a driver that
 * finds the controller at work does not exit at all.
 *
 *	doorbell --> submission queue --fetch--> command --transfer----> disk
 *	                                            |                     |
 *	interrupt <-- completion queue <--post-- command <----- done, or vwork
 *
 *	nvme_ctl.c           registers, the life of the controller, PCI
 *	nvme_ctl_ring.c      queues in the guest's memory, doorbells, interrupts
 *	nvme_ctl_io.c        the NVM command set        nvme_ctl_prp.c   where a command's data is
 *	nvme_ctl_admin.c     the admin command set, with nvme_ctl_identify.c,
 *	                     nvme_ctl_features.c and nvme_ctl_log.c
 *	nvme_ctl_saved.c     saved state
 *
 * A reset waits for what is open: CSTS.RDY falls when the disk is done with all of it, so no write
 * of before lands behind one that the next driver asks for.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/blk_transfer.h"
#include "guests/devices/pci_device.h"
#include "hv/api/blk.h"
#include "hv/api/vwork.h"
#include "hv/base/nvme_format.h"

#define NVME_CTL_VENDOR 0x1af4u
#define NVME_CTL_DEVICE 0x10f0u /* of the range that is free for such uses */
#define NVME_CTL_IO_QUEUES_MAX 8u
#define NVME_CTL_QUEUES (NVME_CTL_IO_QUEUES_MAX + 1) /* with the admin queues, number 0 */
#define NVME_CTL_ENTRIES_MAX 1024u		     /* of a queue */
/* Open at once, per queue. */
#define NVME_CTL_COMMANDS 32u
/* What one command transfers at most, as a power of two of pages. */
#define NVME_CTL_MDTS 7u
#define NVME_CTL_TRANSFER_MAX (PAGE_SIZE << NVME_CTL_MDTS)
#define NVME_CTL_PAGES ((1u << NVME_CTL_MDTS) + 1)
#define NVME_CTL_HELD_EVENTS 4u
#define NVME_CTL_ERRORS 16u
#define NVME_CTL_FEATURES 12u /* by feature identifier */

#define NVME_CTL_BAR_REGS 0u
#define NVME_CTL_BAR_MSIX 4u
#define NVME_CTL_REGS_SIZE 0x4000u

/* ---- what the guest sees: all there is to save and load when nothing is open ---- */

/* A queue of either kind in the guest's memory; covered by the queue's lock. */
struct nvme_ctl_ring {
	bool made;
	bool shadowed; /* the next two are meaningful */
	uint64_t shadow;
	uint64_t event;
	uint64_t base;
	uint32_t entries;
	uint32_t head;
	uint32_t tail;
};

struct nvme_ctl_sq {
	struct nvme_ctl_ring ring;
	uint16_t cq;
	/* A Delete command waits for what is open; covered by the controller's lock, too. */
	bool deleting;
	uint16_t delete_id;
};

struct nvme_ctl_cq {
	struct nvme_ctl_ring ring;
	bool phase;
	bool interrupts;
	uint16_t vector;
};

enum nvme_ctl_shutdown {
	NVME_CTL_UP,
	NVME_CTL_DRAINING,
	NVME_CTL_FLUSHING,
	NVME_CTL_DOWN,
};

/* Covered by the controller's lock, but for the queues and the errors. */
struct nvme_ctl_state {
	uint32_t cc;
	uint32_t aqa;
	uint64_t asq;
	uint64_t acq;
	_Atomic uint32_t intms;
	_Atomic bool ready; /* CSTS.RDY */
	bool stopping;	    /* on its way to not ready */
	enum nvme_ctl_shutdown shutdown;
	bool shadowed;
	uint64_t shadow; /* "Doorbell Buffer Config": the two buffers */
	uint64_t event;
	uint32_t features[NVME_CTL_FEATURES];
	uint32_t coalescing_off; /* by vector */
	uint16_t held[NVME_CTL_HELD_EVENTS];
	unsigned held_count;
	bool event_told; /* and its log page not read since */
	/* Under log_lock; the last one is at error_count - 1. */
	struct nvme_error errors[NVME_CTL_ERRORS];
	uint64_t error_count;
	struct nvme_ctl_sq sq[NVME_CTL_QUEUES];
	struct nvme_ctl_cq cq[NVME_CTL_QUEUES];
};

/* The same as bytes, when nothing is open. */
#define NVME_CTL_SAVED_VERSION 1u
struct nvme_ctl_ring_saved {
	uint64_t base;
	uint32_t entries;
	uint32_t head;
	uint32_t tail;
	uint8_t made; /* 0: all of it is 0 */
	uint8_t zero[3];
};

struct nvme_ctl_sq_saved {
	struct nvme_ctl_ring_saved ring;
	uint16_t cq;
	uint16_t delete_id;
	uint8_t deleting;
	uint8_t zero[3];
};
static_assert(sizeof(struct nvme_ctl_sq_saved) == 32, "no padding");

struct nvme_ctl_cq_saved {
	struct nvme_ctl_ring_saved ring;
	uint16_t vector;
	uint8_t phase;
	uint8_t interrupts;
	uint32_t starving; /* submission queues that wait for a place */
};
static_assert(sizeof(struct nvme_ctl_cq_saved) == 32, "no padding");

struct nvme_ctl_saved {
	struct pci_device_saved pci;
	uint64_t sectors; /* of the disk: only one like it will do */
	uint64_t asq;
	uint64_t acq;
	uint64_t shadow;
	uint64_t event;
	uint64_t error_count;
	uint32_t block_size;
	uint32_t queue_count;
	uint32_t cc;
	uint32_t aqa;
	uint32_t intms;
	uint32_t coalescing_off;
	uint32_t events; /* that nobody was told */
	uint32_t unread;
	uint32_t features[NVME_CTL_FEATURES];
	uint16_t held[NVME_CTL_HELD_EVENTS];
	uint8_t held_count;
	uint8_t ready;
	uint8_t stopping;
	uint8_t shutdown; /* enum nvme_ctl_shutdown */
	uint8_t shadowed;
	uint8_t event_told;
	uint8_t fatal;
	uint8_t zero[1];
	struct nvme_error errors[NVME_CTL_ERRORS];
	struct nvme_ctl_sq_saved sq[NVME_CTL_QUEUES];
	struct nvme_ctl_cq_saved cq[NVME_CTL_QUEUES];
};
static_assert(sizeof(struct nvme_ctl_saved) == 3040, "no padding");

/* ---- how it works ---- */

/* Where the data of a command is: read once, when the command begins. */
struct nvme_ctl_prps {
	uint32_t first; /* offset in the first page */
	uint64_t pages[NVME_CTL_PAGES];
};

struct nvme_ctl_queue;

struct nvme_ctl_command {
	struct blk_transfer transfer;
	uint16_t id;
	uint16_t status; /* NVME_SC_*, found before the disk was asked */
	uint16_t range;	 /* the next one of a Dataset Management command */
	uint16_t range_count;
	uint64_t block;
	bool compare;
	bool differs;
	struct nvme_ctl_prps prps;
	struct nvme_ctl_queue *queue; /* behind the pages: fuzzing looks whether it is whole */
};

/* A submission queue at work, but for the admin queue. Covered by `lock`. */
struct nvme_ctl_queue {
	struct nvme_ctl *ctl;
	unsigned id;
	struct spinlock lock;
	struct vwork work;
	bool stalled;			  /* goes on when `work` runs */
	struct nvme_ctl_command *current; /* not all of it is sent; NULL: none */
	uint32_t free_commands;
	struct blk_transfers transfers;
	struct nvme_ctl_command commands[NVME_CTL_COMMANDS];
};

/* A completion queue at work. */
struct nvme_ctl_answers {
	struct spinlock lock; /* covers this and the queue's state */
	uint32_t reserved;    /* places for commands that were fetched */
	uint32_t starving;    /* submission queues that wait for a place */
	bool fresh;	      /* something was posted that nobody was interrupted for */
};

/*
 * Lock order: lock, a queue's, answers[].lock; then intx_lock, log_lock, the work queue's and what
 * pci_device takes.
 */
struct nvme_ctl {
	struct pci_device pci;
	struct vm *vm;
	const char *guest;
	struct blk_device *device;
	unsigned vcpu_count;
	unsigned queue_count; /* pairs, without the admin's */
	struct spinlock lock; /* registers and the admin queue */
	struct spinlock log_lock;
	struct spinlock intx_lock;
	uint32_t unread; /* completion queues with entries, while there is no MSI-X: by intx_lock */
	_Atomic bool fatal;	    /* CSTS.CFS: nothing is done until a reset */
	_Atomic bool write_through; /* the volatile write cache is off */
	_Atomic uint32_t events;    /* error events that nobody was told, a bit each */
	_Atomic uint32_t complaints;
	_Atomic bool flushing; /* of a shutdown */
	struct blk_request flush;
	struct vwork work; /* of the admin queue */
	/* Scratch of admin commands. */
	struct nvme_ctl_prps prps;
	uint8_t page[PAGE_SIZE];
	struct nvme_ctl_state state;
	struct nvme_ctl_answers answers[NVME_CTL_QUEUES];
	struct nvme_ctl_queue *queues[NVME_CTL_IO_QUEUES_MAX]; /* number n at n - 1 */
	struct saved_device saved;
};

struct nvme_ctl_config {
	struct vm *vm;
	const char *guest;		/* name for the log; stays */
	struct pci_device_config place; /* what board_place_pci tells */
	struct vwork_queue *work;	/* of the VM */
	struct blk_device *device;
	unsigned vcpu_count;
	unsigned queue_count; /* nvme_ctl_queue_count(vcpu_count) */
	/* Memory per queue: sizeof(struct nvme_ctl_queue), and BOUNCE_BYTES of pool pages. */
	struct nvme_ctl_queue *queues[NVME_CTL_IO_QUEUES_MAX];
	void *buffers[NVME_CTL_IO_QUEUES_MAX];
};

/* OVMF's driver makes two pairs on whatever machine, and does without the disk if it cannot. */
#define NVME_CTL_IO_QUEUES_MIN 2u

static inline unsigned nvme_ctl_queue_count(unsigned vcpu_count)
{
	if (vcpu_count < NVME_CTL_IO_QUEUES_MIN) {
		return NVME_CTL_IO_QUEUES_MIN;
	}
	return vcpu_count < NVME_CTL_IO_QUEUES_MAX ? vcpu_count : NVME_CTL_IO_QUEUES_MAX;
}

/*
 * HV_E_UNSUPPORTED: the disk's blocks are larger than a page, or it takes less than a block at
 * once; else as pci_device_init. Memory stays the caller's.
 */
enum hv_status nvme_ctl_init(struct nvme_ctl *c, const struct nvme_ctl_config *cfg) HV_MUST_CHECK;
/* No vCPU runs any more: whether the disk is done with all that was open. To be waited for. */
bool nvme_ctl_is_idle(const struct nvme_ctl *c);
