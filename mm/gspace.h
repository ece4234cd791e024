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

#define GSPACE_REGIONS 12u

struct gspace_region {
	uint64_t base; /* guest-physical */
	uint64_t size;
	uint64_t populated; /* bytes from base on that were taken */
	uint64_t holes;	    /* bytes of these that the guest has given back; under lock */
	/* `populated` while there are no holes and it is not hidden, else 0: for gspace_hit */
	uint64_t solid;
	bool writable; /* false: ROM, also for guest_mem_write */
	bool device;   /* gspace_add_page: no code */
	bool hidden;   /* gspace_hide_rom; under lock, read without */
};

/* RAM that the guest has given back while some CPU may still reach its frames. */
struct gspace_parked {
	uint64_t addr; /* guest-physical */
	hpa_t frame;
	uint64_t size;
};

#define GSPACE_PARKED_MAX 1024u

enum gspace_release_phase {
	GSPACE_RELEASE_IDLE,
	GSPACE_RELEASE_STAGE2, /* the batch is out of the second stage */
	GSPACE_RELEASE_BOTH,   /* and out of the window */
};

/* Covered by gspace.lock. */
struct gspace_release {
	enum gspace_release_phase phase;
	unsigned batch; /* the first so many are on their way; the others wait */
	unsigned count;
	struct gspace_parked parked[GSPACE_PARKED_MAX];
};

/* Where the guest sees a part of its device memory. */
struct gspace_view {
	uint64_t base;	 /* guest-physical */
	uint64_t offset; /* into the device memory */
	uint64_t size;	 /* 0: nowhere; read without the lock */
	bool read_only;	 /* writes exit, as those to a ROM */
};

#define GSPACE_VIEWS 10u
/* In the window, beyond any address of a guest's RAM. */
#define GSPACE_DEVMEM_MAX 0x10000000ull
#define GSPACE_DEVMEM_HOME (VM_WINDOW_SIZE - GSPACE_DEVMEM_MAX)

/* Covered by gspace.lock, once vCPUs run. */
struct gspace_devmem {
	uint64_t size;	     /* taken */
	unsigned view_count; /* of those that were ever asked for; read without the lock */
	struct gspace_view views[GSPACE_VIEWS];
};

struct gspace {
	uint16_t owner; /* frame owner id of the VM */
	struct pt stage2;
	unsigned code_level; /* the largest second-stage leaf that may be executable */
	struct space host;
	struct gspace_region regions[GSPACE_REGIONS]; /* sorted, RAM and ROM declared so far */
	unsigned region_count;
	unsigned hot;	     /* region of the last search; any value below GSPACE_REGIONS will do */
	uint64_t ram_bytes;  /* populated so far and not given back */
	uint64_t cow_frames; /* frames still mapped copy-on-write; under lock */
	struct spinlock lock; /* covers both tables once vCPUs run */

	/* A block that gspace_populate has taken and not zeroed to its end: mapped nowhere yet. */
	hpa_t pending;
	uint64_t pending_size; /* 0: none */
	uint64_t pending_zeroed;
	uint64_t fini_at; /* guest-physical: what gspace_fini_step has given back so far */
	struct gspace_devmem devmem;
	struct gspace_release *release; /* NULL: RAM cannot be given back while the guest runs */
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

/*
 * ROM is memory that only the hypervisor writes (guest_rom_write). A guest's write to it exits and
 * goes to the device that the bus has at that address; where there is none it is dropped. While
 * such a device has something else to show, it hides the ROM, and reads exit to it, too. As the
 * guest sees it:
 *
 *		second stage	  reads			writes
 *	shown	read-only	  without an exit	exit
 *	hidden	not present	  exit			exit
 */

/*
 * Declares and populates a ROM, zeroed, which does not count as RAM. As gspace_add_region and
 * gspace_populate.
 */
enum hv_status gspace_add_rom(struct gspace *g, uint64_t base, uint64_t size) HV_MUST_CHECK;
/*
 * Hides the ROM that starts at `base` and is smaller than 1 GiB; nothing happens when it is hidden.
 * CPUs may read from it until its vCPUs have flushed, which is up to the caller. HV_E_NOT_FOUND;
 * HV_E_NO_MEMORY when shared frames could not be copied: it stays shown then.
 */
enum hv_status gspace_hide_rom(struct gspace *g, uint64_t base) HV_MUST_CHECK;
/* Shows what gspace_hide_rom has hidden; no flush is needed. HV_E_NOT_FOUND: no such ROM. */
enum hv_status gspace_show_rom(struct gspace *g, uint64_t base) HV_MUST_CHECK;
/*
 * Makes [addr, addr + size) of one ROM, hidden or not, ready for the hypervisor to write through
 * the window. HV_E_RANGE when it is anything else; HV_E_NO_MEMORY.
 */
enum hv_status gspace_access_rom(struct gspace *g, gpa_t addr, uint64_t size) HV_MUST_CHECK;

/*
 * Device memory, as that of a display or a card's ROM, is the guest's own and lies where the
 * device's registers say, at several places or nowhere. The hypervisor always has it in the window,
 * at GSPACE_DEVMEM_HOME. It is not RAM: guest_mem_read and guest_mem_write do not find it, and no
 * code runs from it.
 */

/*
 * Takes `size` bytes more of it, zeroed, which begin at *offset; before vCPUs run. HV_E_RANGE;
 * HV_E_NO_MEMORY leaves what was taken.
 */
enum hv_status gspace_add_devmem(struct gspace *g, uint64_t size, uint64_t *offset) HV_MUST_CHECK;
/* The byte at `offset`, valid while g->host is current. */
void *gspace_devmem_ptr(uint64_t offset);
/*
 * Moves view `view` to where `wanted` says; size 0: nowhere. The vCPUs have to flush before the old
 * place is gone for good, which is up to the caller. Then the guest sees nothing at the new place:
 * HV_E_RANGE when it is not all device memory, or not page-aligned, HV_E_EXISTS when memory of the
 * guest or another view is there, HV_E_NO_MEMORY.
 */
enum hv_status gspace_show_devmem(struct gspace *g, unsigned view,
				  const struct gspace_view *wanted) HV_MUST_CHECK;

enum gspace_fault {
	GSPACE_FAULT_RETRY,	/* resolved: run the guest again */
	GSPACE_FAULT_MMIO,	/* no memory there: emulate the access */
	GSPACE_FAULT_ROM,	/* a write to a ROM: emulate, for a device or for nothing */
	GSPACE_FAULT_NO_MEMORY, /* a frame was needed and none is left */
};
/*
 * Decides what a second-stage fault at `addr` means; breaks copy-on-write or fills a hole when that
 * is it.
 */
enum gspace_fault gspace_fault(struct gspace *g, gpa_t addr, bool write);
/*
 * The same for an instruction fetch; splits a large page that may not be executable as a whole.
 * A page that stands for a device is no memory to fetch from: GSPACE_FAULT_MMIO.
 */
enum gspace_fault gspace_fetch_fault(struct gspace *g, gpa_t addr);

/*
 * Makes [addr, addr + size) ready for an access through the window: HV_E_RANGE when it is not all
 * populated RAM, or (for write) ROM; HV_E_NO_MEMORY when a copy-on-write frame could
 * not be copied, or a hole not be filled.
 */
enum hv_status gspace_access(struct gspace *g, gpa_t addr, uint64_t size, bool write) HV_MUST_CHECK;

/* Whether gspace_access is sure to say HV_OK: the short way for the emulator's small accesses. */
static inline bool gspace_hit(const struct gspace *g, gpa_t addr, uint64_t size, bool write)
{
	const struct gspace_region *r = &g->regions[__atomic_load_n(&g->hot, __ATOMIC_RELAXED)];
	uint64_t solid = __atomic_load_n(&r->solid, __ATOMIC_RELAXED);
	uint64_t offset = addr.v - r->base;

	return offset < solid && size <= solid - offset &&
	       (!write || (r->writable && g->cow_frames == 0));
}

/*
 * Where [addr, addr + size) lies in the VM window; NULL when gspace_access refuses it. Valid while
 * g->host is current and, where RAM can be given back, until this CPU flushes for that.
 */
void *gspace_ptr(struct gspace *g, gpa_t addr, uint64_t size, bool write);

/*
 * Marks [base, base + size) of populated RAM shared: both tables go read-only + cow, each frame
 * gains a reference, which belongs to whoever maps it next, and is owned by OWNER_SHARED.
 * HV_E_BUSY when it has holes or is hidden.
 */
enum hv_status gspace_share(struct gspace *g, uint64_t base, uint64_t size) HV_MUST_CHECK;

/*
 * Giving RAM back while the guest runs. What is given back becomes a hole: still RAM, without
 * frames. Whoever touches it, guest or hypervisor, gets new ones, zeroed; or the old ones, as long
 * as they are parked:
 *
 *	gspace_release	   out of the second stage, parked          -- all CPUs flush -->
 *	gspace_release_step	 out of the window, too             -- all CPUs flush -->
 *	gspace_release_step	 frames zeroed and free
 *
 * The first flush ends what CPUs do with pointers and second-stage translations from before, the
 * second what they know of the window. A CPU flushes where it holds no pointer into the window.
 * Tables below the second level stay, as CPUs may be walking them.
 */

/* Before vCPUs run. HV_E_NO_MEMORY. */
enum hv_status gspace_allow_release(struct gspace *g) HV_MUST_CHECK;
/*
 * Gives back [base, base + size), which is populated RAM of one region, not ROM, page-aligned;
 * holes and frames shared copy-on-write stay what they are. *done, a multiple of the page size, is
 * how far it came: HV_E_BUSY when too much is parked, HV_E_NO_MEMORY when a large page could not be
 * split; HV_E_RANGE for anything else, with 0 done. HV_E_NOT_FOUND when it is not allowed.
 */
enum hv_status gspace_release(struct gspace *g, uint64_t base, uint64_t size,
			      uint64_t *done) HV_MUST_CHECK;

enum gspace_release_next {
	GSPACE_RELEASE_DONE,  /* nothing is parked */
	GSPACE_RELEASE_AGAIN, /* call again */
	GSPACE_RELEASE_FLUSH, /* call again when all CPUs and vCPUs have flushed */
};
/* The next step for what is parked; frees `budget` bytes, or a little more. One caller at a time.
 */
enum gspace_release_next gspace_release_step(struct gspace *g, uint64_t budget);

/* Bytes of the guest's RAM that it has given back and not taken into use again. */
uint64_t gspace_holes(const struct gspace *g);

/*
 * The self-check behind `info isolation`: walks both tables of each VM and the core and proves that
 *  - every frame a guest or its window reaches is FRAME_GUEST and owned by that VM, or shared
 *    copy-on-write and then read-only;
 *  - window and second stage agree, but for what is being given back or is hidden, and the window
 *    is not executable;
 *  - views of device memory show that memory, read-only ones without writes;
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
