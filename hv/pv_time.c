/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in the guest's own memory: the clock's page for each vCPU and the wall clock at its start.
 *
 * The clock's page never goes out of date: guest time 0 is guest TSC tsc_adjust, through pauses and
 * on whichever CPU. It is written again when the guest moves its TSC, and to tell of a pause.
 */
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/guest.h"
#include "hv/pv.h"
#include "hv/pvclock.h"

/*
 * Writes the `size` bytes behind a version that the guest reads before and after them: it is odd
 * while they change. Stores become visible in order on x86; the fences are for the compiler.
 */
static bool write_versioned(struct vm *vm, gpa_t version_at, gpa_t at, const void *body,
			    size_t size)
{
	uint32_t version = 0;

	if (guest_mem_read(vm, version_at, &version, sizeof(version)) != HV_OK) {
		return false;
	}
	version |= 1;
	if (guest_mem_write(vm, version_at, &version, sizeof(version)) != HV_OK) {
		return false;
	}
	atomic_thread_fence(memory_order_release);
	if (guest_mem_write(vm, at, body, size) != HV_OK) {
		return false;
	}
	atomic_thread_fence(memory_order_release);
	version++;
	return guest_mem_write(vm, version_at, &version, sizeof(version)) == HV_OK;
}

static void note_no_ram(const struct vcpu *vcpu, const char *what, uint64_t address)
{
	log_debug("%s: %s at 0x%lx is not RAM", vcpu->vm->name, what, address);
}

/* --- the wall clock --- */

void pv_write_wall_clock(struct vcpu *vcpu, uint64_t address)
{
	const struct guest *g = guest_of(vcpu->vm);
	struct pvclock_wall_clock wall = {.sec = (uint32_t)g->wall_base};
	gpa_t at = gpa(address & ~3ull);

	if (!write_versioned(vcpu->vm, at, gpa(at.v + sizeof(wall.version)), &wall.sec,
			     sizeof(wall) - sizeof(wall.version))) {
		note_no_ram(vcpu, "wall clock", address);
	}
}

/* --- the clock --- */

/* Whether one vCPU's page serves all: the vDSO reads the first one's, wherever it runs. */
static bool tscs_agree(const struct vm *vm)
{
	uint64_t first = atomic_load_explicit(&vm->vcpus[0]->pv.tsc_adjust, memory_order_relaxed);

	for (unsigned i = 1; i < vm->vcpu_count; i++) {
		if (atomic_load_explicit(&vm->vcpus[i]->pv.tsc_adjust, memory_order_relaxed) !=
		    first) {
			return false;
		}
	}
	return true;
}

/* "Paused" stays until the guest has taken it back. */
static uint8_t clock_flags(struct vcpu *vcpu, gpa_t page)
{
	uint8_t old = 0;
	uint8_t flags = tscs_agree(vcpu->vm) ? PVCLOCK_TSC_STABLE : 0;

	if (guest_mem_read(vcpu->vm, gpa(page.v + offsetof(struct pvclock_vcpu_time_info, flags)),
			   &old, sizeof(old)) != HV_OK) {
		return flags;
	}
	return flags | (vcpu->pv.was_paused ? PVCLOCK_GUEST_STOPPED : old & PVCLOCK_GUEST_STOPPED);
}

void pv_update_clock(struct vcpu *vcpu)
{
	uint64_t msr = vcpu->pv.system_time;
	gpa_t page = gpa(msr & ~3ull);
	struct pvclock_vcpu_time_info info;

	if ((msr & PV_ENABLED) != 0) {
		pvclock_fill(&info, clock_hz(), vcpu->tsc_adjust, 0, clock_flags(vcpu, page));
		if (!write_versioned(vcpu->vm, page, gpa(page.v + PVCLOCK_BODY), &info.pad0,
				     sizeof(info) - PVCLOCK_BODY)) {
			note_no_ram(vcpu, "system time", msr);
		}
	}
	vcpu->pv.was_paused = false;
}

bool pv_write_system_time(struct vcpu *vcpu, uint64_t value)
{
	vcpu->pv.system_time = value;
	pv_update_clock(vcpu);
	return true;
}

void pv_tsc_changed(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	atomic_store_explicit(&vcpu->pv.tsc_adjust, vcpu->tsc_adjust, memory_order_relaxed);
	pv_update_clock(vcpu);
	/* The others' pages may have to gain or lose "stable". */
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (i != vcpu->index) {
			vcpu_request(vm->vcpus[i], VCPU_REQ_CLOCK);
			guest_kick(guest_of(vm), i);
		}
	}
}
