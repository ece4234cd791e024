/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device on PCI, modern only (Virtual I/O Device (VIRTIO) 1.2, "Virtio Over PCI Bus"):
 * registers, feature negotiation, the life of its queues, interrupts. A device model embeds it and
 * provides what is special.
 *
 *	BAR 0  ports   0: notify, the value written is the queue's number   4: ISR
 *	BAR 1  memory  MSI-X table and PBA
 *	BAR 2  memory  0x000: common configuration   0x100: the device's own
 *	               0x200: ISR   0x300: notify
 *
 * A notification is a port write, as an exit for a port costs a fraction of one for memory. Drivers
 * that use no ports find both in memory, too: "The first instance of each structure that they can
 * support" is theirs.
 *
 * Locks, outermost first: `lock` (registers), one lock per queue (the queue and what the model
 * keeps for it), then those of pci_device. A queue is handled with its own lock alone, so that
 * several vCPUs submit at once. Status and vectors are published in atomics.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/devices/pci_device.h"
#include "guests/devices/virtqueue.h"
#include "hv/base/virtio_format.h"

#define VIRTIO_QUEUES_MAX 17u /* eight pairs and a control queue */

#define VIRTIO_PCI_BAR_PORTS 0u
#define VIRTIO_PCI_BAR_MSIX 1u
#define VIRTIO_PCI_BAR_REGS 2u
#define VIRTIO_PCI_PORT_NOTIFY 0u
#define VIRTIO_PCI_PORT_ISR 4u
#define VIRTIO_PCI_PORTS 8u
#define VIRTIO_PCI_REGS_COMMON 0x000u
#define VIRTIO_PCI_REGS_DEVICE 0x100u
#define VIRTIO_PCI_REGS_ISR 0x200u
#define VIRTIO_PCI_REGS_NOTIFY 0x300u
#define VIRTIO_PCI_REGS_SIZE 0x1000u

struct virtio_pci;

struct virtio_device_ops {
	const char *name; /* "virtio-blk" */
	/*
	 * The driver says that queue `index` has something, or virtio_pci_resume was called. The
	 * queue runs, its lock is held, the VM's space is current. Handles a bounded amount.
	 */
	void (*notify)(struct virtio_pci *d, unsigned index);
	/*
	 * The driver is ready; d->features has what it accepted. Registers' lock held. May be NULL.
	 */
	void (*activate)(struct virtio_pci *d);
	/*
	 * The queue's content is void: what is in flight may not touch the guest any more. Queue's
	 * lock held, and perhaps the registers'. May be NULL.
	 */
	void (*queue_reset)(struct virtio_pci *d, unsigned index);
	/* The device is reset, its queues are already. Registers' lock held. May be NULL. */
	void (*reset)(struct virtio_pci *d);
	/*
	 * The driver writes its device's configuration at `offset`, inside it; the value is not
	 * stored. Registers' lock held. NULL: nothing is writable.
	 */
	void (*config_write)(struct virtio_pci *d, unsigned offset, unsigned size, uint64_t value);
	/*
	 * Bus mastering is on again: what waited for it is to be asked for. Host's lock held: the
	 * device's own must not be taken. May be NULL.
	 */
	void (*master_on)(struct virtio_pci *d);
};

struct virtio_pci_queue {
	struct spinlock lock; /* covers ring, and what the model keeps for this queue */
	struct virtqueue ring;
	struct virtio_pci *device;
	/* Under the registers' lock, as the driver writes them. */
	struct virtqueue_setup setup;
	bool enabled;
	_Atomic uint16_t vector; /* VIRTIO_NO_VECTOR: none */
};

struct virtio_pci {
	struct pci_device pci;
	struct pci_device_ops pci_ops; /* by the model's name */
	const struct virtio_device_ops *ops;
	const char *guest; /* whose it is, for the log */
	struct vm *vm;
	uint8_t *config; /* of the device type, little-endian; under `lock` once it runs */
	unsigned config_size;
	unsigned queue_count;
	unsigned queue_size; /* the largest that is offered */
	uint64_t offered;    /* bits of features */

	struct spinlock lock; /* covers the registers below */
	uint64_t features;    /* what the driver accepted; fixed from FEATURES_OK on */
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
	uint8_t generation; /* of the configuration */

	_Atomic uint8_t status; /* written under `lock`, but for NEEDS_RESET */
	_Atomic uint16_t config_vector;
	_Atomic uint32_t complaints; /* logged so far */
	struct spinlock isr_lock;    /* covers isr and the level of INTx; comes after a queue's */
	uint8_t isr;
	struct virtio_pci_queue queues[VIRTIO_QUEUES_MAX];
};

/* What the board provides for each virtio device. */
struct virtio_pci_wiring {
	struct vm *vm;
	const char *guest; /* name for the log; stays */
	/* Host, devfn, message, message_ctx and intx_line: what board_place_pci tells. */
	struct pci_device_config place;
};

/* What the model provides. */
struct virtio_pci_config {
	const struct virtio_device_ops *ops;
	unsigned type;	      /* VIRTIO_TYPE_* */
	uint32_t class_code;  /* of PCI */
	unsigned queue_count; /* 1 .. VIRTIO_QUEUES_MAX */
	unsigned queue_size;  /* a power of two up to VIRTQUEUE_SIZE_MAX */
	uint64_t features;    /* of the type; those of all devices are added */
	void *config;	      /* stays; up to 256 bytes */
	unsigned config_size;
};

/* Adds the function to the host. HV_E_EXISTS, HV_E_RANGE as pci_device_init. */
enum hv_status virtio_pci_init(struct virtio_pci *d, const struct virtio_pci_config *cfg,
			       const struct virtio_pci_wiring *w) HV_MUST_CHECK;

static inline bool virtio_has(const struct virtio_pci *d, unsigned feature)
{
	return (d->features >> feature & 1) != 0;
}

/* Between DRIVER_OK and a reset, and not broken. */
static inline bool virtio_is_live(const struct virtio_pci *d)
{
	uint8_t status = atomic_load_explicit(&d->status, memory_order_acquire);

	return (status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
	       VIRTIO_STATUS_DRIVER_OK;
}

/*
 * Takes the queue's lock if the queue may be worked on now (live device, running queue, bus
 * mastering on); false: it may not, and the lock is not held.
 */
bool virtio_queue_enter(struct virtio_pci *d, unsigned index);
void virtio_queue_leave(struct virtio_pci *d, unsigned index);
static inline struct virtqueue *virtio_ring(struct virtio_pci *d, unsigned index)
{
	return &d->queues[index].ring;
}
/* virtqueue_publish, and the interrupt if the driver wants it. Queue's lock held. */
void virtio_queue_publish(struct virtio_pci *d, unsigned index);
/* What a notification does: for work that was put off. No lock held, the VM's space current. */
void virtio_pci_resume(struct virtio_pci *d, unsigned index);
/*
 * Changes n bytes of the configuration at `offset` and tells the driver. From anywhere, any space,
 * without `lock`.
 */
void virtio_pci_set_config(struct virtio_pci *d, unsigned offset, const void *bytes, unsigned n);

/* Saved state: a part of the struct of each virtio device. */
struct virtio_pci_queue_saved {
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t size;
	uint16_t vector;
	uint8_t enabled;
	uint8_t zero[3];
	struct virtqueue_saved ring;
};
_Static_assert(sizeof(struct virtio_pci_queue_saved) == 48, "no padding");

struct virtio_pci_saved {
	struct pci_device_saved pci;
	uint64_t features;
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
	uint16_t config_vector;
	uint8_t generation;
	uint8_t status;
	uint8_t isr;
	uint8_t zero;
	struct virtio_pci_queue_saved queues[VIRTIO_QUEUES_MAX]; /* 0 behind queue_count */
};
_Static_assert(sizeof(struct virtio_pci_saved) == 1296 + 24 + 17 * 48, "no padding");

/*
 * As in struct saved_ops; no lock is held. The configuration of the device type is the model's to
 * save. Loading first resets the model, by queue_reset and reset; `activate` is not called: the
 * model's own part, which is loaded afterwards, knows what came of it.
 */
void virtio_pci_save(struct virtio_pci *d, struct virtio_pci_saved *out);
const char *virtio_pci_check(const struct virtio_pci *d, const struct virtio_pci_saved *in);
void virtio_pci_load(struct virtio_pci *d, const struct virtio_pci_saved *in);
/* Whether a queue that runs has no chain that was popped and not pushed, as in a model at rest. */
static inline bool virtio_pci_saved_rests(const struct virtio_pci_saved *in, unsigned index)
{
	const struct virtqueue_saved *ring = &in->queues[index].ring;

	return ring->state != VIRTQUEUE_RUNNING || virtqueue_saved_open(ring) == 0;
}
/*
 * Saves the chain that a model has popped last and not finished as one that waits still. Whoever
 * loads that pops it again, and begins where the model's own struct says.
 */
static inline void virtio_pci_saved_unpop(struct virtio_pci_saved *out, unsigned index)
{
	out->queues[index].ring.avail_next--;
}
