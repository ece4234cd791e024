/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in the guest's own memory: the clock's page for each vCPU, the wall clock at its start, and
 * the time that a vCPU was ready to run and did not.
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

#define COMPLAINTS_MAX 4u /* of each vCPU */

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

/* A guest must not fill the log. */
static void note_no_ram(struct vcpu *vcpu, const char *what, uint64_t address)
{
	if (vcpu->pv.complaints < COMPLAINTS_MAX) {
		vcpu->pv.complaints++;
		log_debug("%s: %s at 0x%lx is not RAM", vcpu->vm->name, what, address);
	}
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

bool pv_tscs_agree(const struct vm *vm)
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
	uint8_t flags = pv_tscs_agree(vcpu->vm) ? PVCLOCK_TSC_STABLE : 0;

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
	hyperv_tsc_changed(vcpu);
	/* The others' pages may have to gain or lose "stable". */
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (i != vcpu->index) {
			vcpu_request(vm->vcpus[i], VCPU_REQ_CLOCK);
			guest_kick(guest_of(vm), i);
		}
	}
}

/* --- stolen time --- */

#define STEAL_RESERVED MASK(5, 1)
/*
 * Less than this waits for more before it is written: a kernel looks once in a tick of a
 * millisecond or more, and a vCPU that is woken waits for a moment each time.
 */
#define STEAL_STEP_NS 50000u

static uint64_t steal_page(const struct vcpu *vcpu)
{
	return vcpu->pv.steal_time & ~(PV_ENABLED | STEAL_RESERVED);
}

static void write_steal(struct vcpu *vcpu)
{
	const struct guest *g = guest_of(vcpu->vm);
	uint64_t ticks = run_wait_ticks(&g->tasks[vcpu->index]);
	uint64_t ns = clock_ticks_to_ns(ticks);
	uint64_t page = steal_page(vcpu);

	if (!write_versioned(vcpu->vm, gpa(page + offsetof(struct pv_steal_time, version)),
			     gpa(page), &ns, sizeof(ns))) {
		note_no_ram(vcpu, "steal time", page);
	}
	vcpu->pv.steal_ticks = ticks;
}

/* The guest sets PV_FLUSH_TLB by compare-and-exchange, only while it sees PV_PREEMPTED. */
static uint8_t *preempted_byte(struct vcpu *vcpu)
{
	return gspace_ptr(&vcpu->vm->gspace,
			  gpa(steal_page(vcpu) + offsetof(struct pv_steal_time, preempted)), 1,
			  true);
}

void pv_steal_load(struct vcpu *vcpu)
{
	const struct guest *g = guest_of(vcpu->vm);
	uint8_t *preempted = vcpu->pv.told_preempted ? preempted_byte(vcpu) : NULL;

	vcpu->pv.told_preempted = false;
	/* From here on the guest sends interrupts again: no flush is lost. */
	if (preempted != NULL &&
	    (__atomic_exchange_n(preempted, 0, __ATOMIC_SEQ_CST) & PV_FLUSH_TLB) != 0) {
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
	}
	if (run_wait_ticks(&g->tasks[vcpu->index]) - vcpu->pv.steal_ticks >=
	    clock_ns_to_ticks(STEAL_STEP_NS)) {
		write_steal(vcpu);
	}
}

/*
 * A halted vCPU is not called preempted: to Linux that would make an idle CPU a busy one, and the
 * kernel's own lazy TLB mode spares it most flushes.
 */
void pv_steal_put(struct vcpu *vcpu)
{
	uint8_t *preempted = preempted_byte(vcpu);

	if (preempted != NULL) {
		__atomic_store_n(preempted, PV_PREEMPTED, __ATOMIC_SEQ_CST);
		vcpu->pv.told_preempted = true;
	}
}

bool pv_write_steal_time(struct vcpu *vcpu, uint64_t value)
{
	if ((value & STEAL_RESERVED) != 0) {
		return false;
	}
	vcpu->pv.steal_time = value;
	vcpu->pv.told_preempted = false;
	if ((value & PV_ENABLED) != 0) {
		write_steal(vcpu);
	}
	return true;
}
