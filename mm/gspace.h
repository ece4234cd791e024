/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's physical address space: its second-stage tables (EPT or NPT) and the hypervisor's own
 * view of the same RAM, the VM window of its space, kept in step. RAM is taken in the largest
 * blocks that fit. Frames shared copy-on-write are mapped read-only in both. The window is never
 * executable; the guest may execute all of its RAM, but no page that stands for a device, where the
 * CPU wants that (gspace_limit_code) by small pages only, which a large one becomes when the guest
 * first executes there.
 *
 * Translations that a CPU may hold: this CPU's view of the window is flushed here. For the second
 * stage, and for the window on other CPUs that run this VM, stage2.changed and host.pt.changed say
 * that whoever enters the guest has to flush (and clear the flag).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/lock.h"
#include "hv/base/status.h"
#include "mm/ptw.h"
#include "mm/space.h"

#define GSPACE_REGIONS 8u

struct gspace_region {
	uint64_t base; /* guest-physical */
	uint64_t size;
	uint64_t populated; /* bytes from base on that are mapped */
	bool writable;	    /* false: ROM, also for guest_mem_write */
	bool device;	    /* gspace_add_page: no code */
};

struct gspace {
	uint16_t owner; /* frame owner id of the VM */
	struct pt stage2;
	unsigned code_level; /* the largest second-stage leaf that may be executable */
	struct space host;
	struct gspace_region regions[GSPACE_REGIONS]; /* sorted, RAM and ROM declared so far */
	unsigned region_count;
	unsigned hot;	     /* region of the last search; any value below GSPACE_REGIONS will do */
	uint64_t ram_bytes;  /* populated so far */
	uint64_t cow_frames; /* frames still mapped copy-on-write; under lock */
	struct spinlock lock; /* covers both tables once vCPUs run */

	/* A block that gspace_populate has taken and not zeroed to its end: mapped nowhere yet. */
	hpa_t pending;
	uint64_t pending_size; /* 0: none */
	uint64_t pending_zeroed;
	uint64_t fini_at; /* guest-physical: what gspace_fini_step has given back so far */
};

/* `format` is EPT or NPT; `max_level` the largest leaf the CPU supports there. */
enum hv_status gspace_init(struct gspace *g, uint16_t owner, const struct pt_format *format,
			   unsigned max_level) HV_MUST_CHECK;
/*
 * Keeps second-stage leaves above `level` from being executable: for CPUs that a guest could stop
 * by executing from a large page while it changes (Intel, "Machine Check Error on Page Size
 * Change"). Before anything is populated.
 */
void gspace_limit_code(struct gspace *g, unsigned level);
/*
 * Gives back at most `budget` bytes of RAM per call (2 MiB at least), zeroed, so that a large
 * guest's end does not stall the others. True when everything is gone and `g` may be reused. The
 * space must be current on no CPU and its vCPUs must not run again.
 */
bool gspace_fini_step(struct gspace *g, uint64_t budget);

/* Declares a region (page-aligned, not overlapping). Its frames come with gspace_populate. */
enum hv_status gspace_add_region(struct gspace *g, uint64_t base, uint64_t size,
				 bool writable) HV_MUST_CHECK;
/*
 * Takes zeroed frames for [base, base + size) inside a declared region and maps them in both
 * tables. Within a region `base` goes on where the last call ended, so that RAM can be taken step
 * by step: a 1 GiB block is then zeroed in pieces and shows up when it is complete.
 * HV_E_INVALID when out of order. HV_E_NO_MEMORY leaves what was mapped so far; gspace_fini_step
 * returns it.
 */
enum hv_status gspace_populate(struct gspace *g, uint64_t base, uint64_t size) HV_MUST_CHECK;
/*
 * Declares and populates one page that is the guest's as RAM is, but stands for a device: the
 * backend gives accesses to it a meaning. It is not executable, and begins as a copy of the frame
 * `contents`; *frame is where it lies.
 */
enum hv_status gspace_add_page(struct gspace *g, uint64_t addr, hpa_t contents,
			       hpa_t *frame) HV_MUST_CHECK;
/* Turns the region that starts at `base` into ROM, after it was filled. HV_E_NOT_FOUND, or
 * HV_E_BUSY once memory is shared. */
enum hv_status gspace_make_rom(struct gspace *g, uint64_t base) HV_MUST_CHECK;

enum gspace_fault {
	GSPACE_FAULT_RETRY,	/* resolved: run the guest again */
	GSPACE_FAULT_MMIO,	/* no memory there: emulate the access */
	GSPACE_FAULT_ROM,	/* a write to read-only memory: emulate, drop the write */
	GSPACE_FAULT_NO_MEMORY, /* a copy was needed and no frame is left */
};
/* Decides what a second-stage fault at `addr` means; breaks copy-on-write when that is it. */
enum gspace_fault gspace_fault(struct gspace *g, gpa_t addr, bool write);
/*
 * The same for an instruction fetch; splits a large page that may not be executable as a whole.
 * A page that stands for a device is no memory to fetch from: GSPACE_FAULT_MMIO.
 */
enum gspace_fault gspace_fetch_fault(struct gspace *g, gpa_t addr);

/*
 * Makes [addr, addr + size) ready for an access through the window: HV_E_RANGE when it is not all
 * populated RAM, or (for write) ROM; HV_E_NO_MEMORY when a copy-on-write frame could
 * not be copied.
 */
enum hv_status gspace_access(struct gspace *g, gpa_t addr, uint64_t size, bool write) HV_MUST_CHECK;

/* Whether gspace_access is sure to say HV_OK: the short way for the emulator's small accesses. */
static inline bool gspace_hit(const struct gspace *g, gpa_t addr, uint64_t size, bool write)
{
	const struct gspace_region *r = &g->regions[__atomic_load_n(&g->hot, __ATOMIC_RELAXED)];
	uint64_t offset = addr.v - r->base;

	return offset < r->populated && size <= r->populated - offset &&
	       (!write || (r->writable && g->cow_frames == 0));
}

/*
 * Where [addr, addr + size) lies in the VM window; NULL when gspace_access refuses it. Valid while
 * g->host is current.
 */
void *gspace_ptr(struct gspace *g, gpa_t addr, uint64_t size, bool write);

/*
 * Marks [base, base + size) of populated RAM shared: both tables go read-only + cow, each frame
 * gains a reference, which belongs to whoever maps it next, and is owned by OWNER_SHARED.
 */
enum hv_status gspace_share(struct gspace *g, uint64_t base, uint64_t size) HV_MUST_CHECK;

/*
 * The self-check behind `info isolation`: walks both tables of each VM and the core and proves that
 *  - every frame a guest or its window reaches is FRAME_GUEST and owned by that VM, or shared
 *    copy-on-write and then read-only;
 *  - window and second stage agree, and the window is not executable;
 *  - the core maps no guest's frame.
 */
struct isolation_report {
	uint64_t frames_checked;
	uint64_t violations;
	hpa_t first_violation;
	const char *what; /* of the first violation; NULL when there is none */
};
void gspace_isolation_check(struct gspace *const *spaces, unsigned count,
			    struct isolation_report *out);
