/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's physical address space: its second-stage tables (EPT or NPT) and the hypervisor's own
 * view of the same RAM, the VM window of its space, kept in step. RAM is taken in the largest
 * blocks that fit. Frames shared copy-on-write are mapped read-only in both.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/addr.h"
#include "hv/base/status.h"
#include "mm/ptw.h"
#include "mm/space.h"

#define GSPACE_REGIONS 8u

struct gspace_region {
	uint64_t base; /* guest-physical */
	uint64_t size;
	bool writable; /* false: ROM, also for guest_mem_write */
};

struct gspace {
	uint16_t owner; /* frame owner id of the VM */
	struct pt stage2;
	struct space host;
	struct gspace_region regions[GSPACE_REGIONS]; /* sorted, RAM and ROM declared so far */
	unsigned region_count;
	uint64_t ram_bytes;  /* populated so far */
	uint64_t cow_frames; /* frames still mapped copy-on-write */
};

/* `format` is EPT or NPT; `max_level` the largest leaf the CPU supports there. */
enum hv_status gspace_init(struct gspace *g, uint16_t owner, const struct pt_format *format,
			   unsigned max_level) HV_MUST_CHECK;
/*
 * Gives back at most `budget` bytes of RAM per call, zeroed, so that a large guest's end does not
 * stall the others. True when everything is gone and `g` may be reused. The space must be current
 * on no CPU and its vCPUs must not run again.
 */
bool gspace_fini_step(struct gspace *g, uint64_t budget);

/* Declares a region (page-aligned, not overlapping). Its frames come with gspace_populate. */
enum hv_status gspace_add_region(struct gspace *g, uint64_t base, uint64_t size,
				 bool writable) HV_MUST_CHECK;
/*
 * Takes zeroed frames for [base, base + size) inside a declared region and maps them in both
 * tables. HV_E_NO_MEMORY leaves what was mapped so far; gspace_fini_step returns it.
 */
enum hv_status gspace_populate(struct gspace *g, uint64_t base, uint64_t size) HV_MUST_CHECK;

enum gspace_fault {
	GSPACE_FAULT_RETRY,	/* resolved: run the guest again */
	GSPACE_FAULT_MMIO,	/* no memory there: emulate the access */
	GSPACE_FAULT_ROM,	/* a write to read-only memory: emulate, drop the write */
	GSPACE_FAULT_NO_MEMORY, /* a copy was needed and no frame is left */
};
/* Decides what a second-stage fault at `addr` means; breaks copy-on-write when that is it. */
enum gspace_fault gspace_fault(struct gspace *g, gpa_t addr, bool write);

/*
 * Where [addr, addr + size) lies in the VM window; NULL when it is not all RAM of one region, or
 * (for write) not writable. Valid while g->host is current; copy-on-write is broken first.
 */
void *gspace_ptr(struct gspace *g, gpa_t addr, uint64_t size, bool write);

/* Marks [base, base + size) shared: both tables go read-only + cow, each frame gains a reference.
 */
enum hv_status gspace_share(struct gspace *g, uint64_t base, uint64_t size) HV_MUST_CHECK;

/*
 * The self-check behind `info isolation`: calls pt_walk over both tables of each VM and proves that
 * every frame reached is FRAME_GUEST, owned by that VM (or shared read-only with refs > 1), and
 * that no hypervisor frame is reachable through a second-stage table.
 */
struct isolation_report {
	uint64_t frames_checked;
	uint64_t violations;
	hpa_t first_violation;
	const char *what; /* of the first violation; NULL when there is none */
};
void gspace_isolation_check(struct gspace *const *spaces, unsigned count,
			    struct isolation_report *out);
