/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs and vCPUs as the floors above hv/api see them.
 *
 * The vCPUs of a VM run on several CPUs at once, without a lock around the VM: a vCPU's state
 * belongs to the CPU that runs it, what others want of it is a bit in `requests`, and what they
 * share has its own lock. Global lock order, outermost first; a lock is taken only while none
 * below it is held:
 *
 *	the baton (hv/run.c)	guests' lives, monitor, input, work. Only ever tried, never
 *				waited for; its holder may wait for other CPUs to leave a guest
 *	a device model		vdev.lock; those that others wire to: RTC before ACPI, both,
 *				8254 and HPET before the board's shared lines, then 8259 and
 *				IOAPIC; a floppy controller, then the 8237s; a PCI device
 *				model, the PCI host, its MSI-X table, in this order, before
 *				8259 and IOAPIC; of a virtio device first the
 *				registers, then one of its queues; of an AHCI controller
 *				a port, then what the ports share
 *	a network		hv/net/switch.c, never two; then what receives from it: the
 *				queue of a guest's NIC, a network card
 *	Hyper-V's interface	a partition's MSRs, or its clock's page; connections, then the SynIC
 *				of a vCPU, no two at once
 *	the LAPIC of a vCPU	no two at once
 *	vtime			what is armed in a VM
 *	a VM's deferred work	nothing is taken under it
 *	what a VM lacks		hv/api/lacks.h; nothing is taken under it
 *	a layer of a disk	hv/blk/: no two at once, not held while a request goes down; then
 *				the machine's disk
 *	a guest's `ending`	hv/guest.c; nothing is taken under it
 *	gspace			second stage and VM window of a VM
 *	a network card		drivers/nic.h: its state and rings
 *	the machine's devices	a controller, then its queues or ports; an interrupt line; PCI's
 *				ports. Nobody is told of a completion under them
 *	the log, the console	in this order; then the real serial port and screen
 *	a timer queue		no two at once
 *	the scheduler		hv/run.c
 *	the frames' lists	hv/net/frame.c; nothing is taken under them
 *	mm			core space, pool, slab, frames, in this order
 *
 * Nothing is logged under the last three. A device calls out (irq_line_set, console bytes) with its
 * own lock held; callbacks only set flags, or take locks further down.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/backend.h"
#include "hv/api/exit.h"
#include "hv/api/saved.h"
#include "hv/api/vdev.h"
#include "hv/api/vtime.h"
#include "hv/api/vwork.h"
#include "hv/base/bits.h"
#include "mm/gspace.h"

#define VM_NAME_MAX 32u
#define VM_VCPUS_MAX 64u

enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	GPR_COUNT
};

/* Work to do before the next entry; bits of vcpu->requests. */
#define VCPU_REQ_EVENT BIT32(0) /* interrupt state changed: look again */
#define VCPU_REQ_STOP BIT32(1)	/* the VM stops: do not enter again */
#define VCPU_REQ_TLB_FLUSH BIT32(2)
#define VCPU_REQ_NMI BIT32(3)
#define VCPU_REQ_INIT BIT32(4)	     /* an INIT message; goes before a STARTUP */
#define VCPU_REQ_STARTUP BIT32(5)    /* a start-up message, with vcpu->startup_vector */
#define VCPU_REQ_SUSPEND BIT32(6)    /* S3: as INIT, for every vCPU; goes before WAKE */
#define VCPU_REQ_WAKE BIT32(7)	     /* S3 is over: to the guest's waking vector */
#define VCPU_REQ_CLOCK BIT32(8)	     /* the paravirtual clock's page is to be written */
#define VCPU_REQ_UNHALT BIT32(9)     /* another vCPU ends this one's HLT, or the next one */
#define VCPU_REQ_NMI_AGAIN BIT32(10) /* an NMI that came while VCPU_REQ_NMI was set */
#define VCPU_REQ_DEVICE BIT32(11)    /* vm->work: what only a vCPU of this VM can do */
/* The VM gave RAM back: as TLB_FLUSH, and pointers into the window that are kept (hv/fetch.h). */
#define VCPU_REQ_RELEASED BIT32(12)
#define VCPU_REQ_HYPERV BIT32(13) /* hv/hyperv*.c: timers went off */
#define VCPU_REQ_RESTED BIT32(14) /* a device model's time of rest is over */
#define VCPU_REQ_HALTED BIT32(15) /* just now: devices do what they put off until then */
#define VCPU_REQ_FLUSHES (VCPU_REQ_TLB_FLUSH | VCPU_REQ_RELEASED)
/* Those that change what the vCPU executes (guest_vcpu_signals). */
#define VCPU_REQ_NMIS (VCPU_REQ_NMI | VCPU_REQ_NMI_AGAIN)
#define VCPU_REQ_SIGNALS \
	(VCPU_REQ_NMIS | VCPU_REQ_INIT | VCPU_REQ_STARTUP | VCPU_REQ_SUSPEND | VCPU_REQ_WAKE)
/* What gets a vCPU going again that is `stranded`. */
#define VCPU_REQ_REVIVE (VCPU_REQ_SIGNALS | VCPU_REQ_UNHALT)

/* One exit in the flight recorder: 64 bytes. */
struct recorder_entry {
	uint64_t tsc;
	uint64_t rip;
	uint64_t detail[5]; /* by kind; hv/recorder.c prints them */
	uint32_t kind;
	uint32_t spare;
};
_Static_assert(sizeof(struct recorder_entry) == 64, "one cache line");

#define RECORDER_ENTRIES 1024u

struct recorder {
	struct recorder_entry *entries; /* RECORDER_ENTRIES of them */
	uint64_t count;			/* exits ever recorded */
};

/* Events waiting for the guest; owned by hv/event.c. */
struct vcpu_events {
	struct vcpu_event exception; /* to deliver next; type NONE when there is none */
	struct vcpu_event reinject;  /* delivery was interrupted: comes first */
	uint64_t exception_payload;  /* CR2 for #PF, DR6 bits for #DB */
	int late_vector;	     /* interrupt that an exception overtook: waits for IF; -1 */
	/* NMIs to deliver: one, or two while none is being handled. */
	uint8_t nmi_pending;
	/* The windows asked for last: vector or -1, and whether for an NMI. */
	int window_vector;
	bool window_nmi;
};

#define VCPU_NOT_LOADED (-1)

/* What the guest has set up of the paravirtual interfaces; owned by hv/pv*.c. */
struct vcpu_pv {
	/* The MSRs: an address and, in bit 0, whether it is enabled. */
	uint64_t system_time;
	uint64_t steal_time;
	uint64_t eoi;
	uint64_t poll_control;
	_Atomic uint64_t tsc_adjust; /* vcpu->tsc_adjust, for the other vCPUs to read */
	uint64_t steal_ticks;	     /* what the steal-time page tells */
	uint64_t eoi_saved;	     /* EOIs that were no exit */
	unsigned complaints;	     /* logged about addresses that are not RAM */
	bool eoi_offered;	     /* the guest may end the interrupt in service by itself */
	bool told_preempted;	     /* in the steal-time page */
	bool was_paused;	     /* to be told in the clock's page */
	bool unhalt;		     /* the next HLT is over at once */
	bool idle;		     /* halted by MSR_HV_GUEST_IDLE: any interrupt ends it */
	struct saved_device saved;
};

#define FETCH_LEVELS 4u
#define FETCH_PAGES 8u

#define FETCH_NO_PAGE (~0ull)

/* A code page and the page-table entries that led there; owned by hv/fetch.c. */
struct fetch_cache {
	const uint8_t *code; /* in the VM window */
	uint64_t page;	     /* linear address >> PAGE_SHIFT; FETCH_NO_PAGE: empty */
	uint64_t root;	     /* what the backend's code_root said */
	/* The last one repeated where a large page ends the walk early. */
	const uint64_t *where[FETCH_LEVELS];
	uint64_t entry[FETCH_LEVELS];
};

struct vcpu {
	/* Offsets of gpr and rip are known to the entry code (generated). */
	uint64_t gpr[GPR_COUNT];
	uint64_t rip;
	struct vm *vm;
	unsigned index;		   /* in the VM; also the initial APIC id */
	_Atomic uint32_t requests; /* VCPU_REQ_*, from anywhere */
	_Atomic int loaded_on;	   /* the CPU that holds its state, or VCPU_NOT_LOADED */
	/* Where a notification finds it: the CPU that is in its code, or about to be, or has just
	 * been and has not looked at `post` since; or VCPU_NOT_LOADED. */
	_Atomic int executes_on;
	struct apic_post *post; /* set by the backend; NULL: interrupts are not posted */
	_Atomic uint8_t startup_vector;
	/* Only another vCPU gets it going again, by NMI, INIT, start-up or the paravirtual kick: it
	 * halts with interrupts off, or waits for start-up. Set by the CPU that runs it. */
	_Atomic bool stranded;
	/* From here on: of the CPU that runs it, or whoever holds it (hv/run.h). */
	bool halted;	    /* in HLT, waiting for an event */
	bool resting;	    /* halted for a device model: VCPU_REQ_RESTED ends it as well */
	bool wait_for_sipi; /* after INIT, and from RESET on but for the first vCPU */
	struct vcpu_events events;
	struct vcpu_pv pv;
	/* Extended state while not loaded; sized by CPUID leaf 0xD of the host. */
	void *fpu;
	uint64_t xcr0;
	uint64_t xss;
	uint64_t dr[4];
	uint64_t tsc_aux;
	uint64_t misc_enable;
	uint64_t tsc_adjust;
	uint64_t exit_count;
	uint64_t exits_by_kind[VM_EXIT_KIND_COUNT];
	struct recorder recorder;
	struct fetch_cache fetch[FETCH_PAGES]; /* at the page's number modulo their number */
};

struct hyperv;

struct vm {
	char name[VM_NAME_MAX];
	uint16_t id; /* frame owner id, 1 .. */
	struct gspace gspace;
	struct vtime time;
	struct bus pio;
	struct bus mmio;
	struct lacks lacks;	 /* what its device models do not have */
	struct vwork_queue work; /* of its device models */
	struct saved_set saved;	 /* the same; set up before the VM runs */
	unsigned vcpu_count;
	struct vcpu *vcpus[VM_VCPUS_MAX];
	_Atomic uint32_t revivals; /* how often a vCPU has taken a VCPU_REQ_REVIVE */
	_Atomic bool suspended;	   /* S3: a device will wake it */
	/* Owned by the backend: permission maps. */
	void *backend_vm;
	struct hyperv *hyperv; /* owned by hv/hyperv*.c; NULL: the guest has no such interface */
};

/*
 * Sets request bits; safe from any CPU. A vCPU that may be asleep or in guest mode elsewhere is to
 * be told afterwards (guest_kick).
 */
static inline void vcpu_request(struct vcpu *vcpu, uint32_t bits)
{
	atomic_fetch_or(&vcpu->requests, bits);
}

/*
 * INIT or SUSPEND: what was to start the vCPU counts for nothing any more. In one step, as whoever
 * found a request counts on one being left.
 */
static inline void vcpu_request_stop(struct vcpu *vcpu, uint32_t request)
{
	uint32_t old = atomic_load(&vcpu->requests);

	while (!atomic_compare_exchange_weak(
		&vcpu->requests, &old, (old & ~(VCPU_REQ_STARTUP | VCPU_REQ_WAKE)) | request)) {
	}
}
