/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference counter: 100 ns since the VM's start, by MSR or from the guest's own TSC with the
 * help of a page:
 *
 *	time = (TSC * scale >> 64) + offset
 *
 * It stands still while the guest is paused, as the guest's TSC does, and is the same on whichever
 * CPU: the page is written again only when the guest moves its TSCs, and is not valid while they
 * differ. Source: TLFS, "Reference Time Enlightenment".
 */
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/hyperv_internal.h"
#include "hv/pv.h"

/* Units per TSC tick, times 2^64; 0: the TSC is too slow for that. */
static uint64_t scale(void)
{
	return clock_hz() > HV_TIME_HZ ? clock_muldiv(HV_TIME_HZ << 40, 1ull << 24, clock_hz()) : 0;
}

static uint64_t high_of(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 64);
}

/*
 * What makes guest TSC `adjust` time 0. A TSC that the guest has set back has gone past 2^64 since
 * then, as it is told.
 */
static int64_t offset_for(uint64_t adjust, uint64_t now)
{
	bool wrapped = now + adjust < now;

	return wrapped ? (int64_t)high_of(-adjust, scale()) : -(int64_t)high_of(adjust, scale());
}

uint64_t hyperv_reference_time(struct vcpu *vcpu)
{
	uint64_t now = vtime_now(&vcpu->vm->time);
	uint64_t by = scale();

	if (by == 0) {
		return clock_ticks_to_ns(now) / 100;
	}
	return high_of(now + vcpu->tsc_adjust, by) + (uint64_t)offset_for(vcpu->tsc_adjust, now);
}

/* One unit later, as both conversions round. */
uint64_t hyperv_tick_of(uint64_t time)
{
	return time == UINT64_MAX ? TIMER_NEVER : clock_muldiv(time + 1, clock_hz(), HV_TIME_HZ);
}

/* --- the page --- */

/* Neither 0 nor all-ones, which some guests take for 0. */
static uint32_t next_sequence(struct hyperv *h)
{
	h->state.sequence = h->state.sequence >= UINT32_MAX - 1 ? 1 : h->state.sequence + 1;
	return h->state.sequence;
}

/* Not valid while it changes. Stores become visible in order; the fences are for the compiler. */
static bool write_page_locked(struct hyperv *h)
{
	gpa_t at = gpa(h->state.reference_tsc & HV_PAGE_ADDRESS);
	struct hv_tsc_page page = {.scale = scale()};
	uint32_t sequence;

	if (guest_mem_write(h->vm, at, &page.sequence, sizeof(page.sequence)) != HV_OK) {
		return false;
	}
	if (page.scale == 0 || !pv_tscs_agree(h->vm)) {
		return true;
	}
	page.offset =
		offset_for(atomic_load(&h->vm->vcpus[0]->pv.tsc_adjust), vtime_now(&h->vm->time));
	atomic_thread_fence(memory_order_release);
	if (guest_mem_write(h->vm, at, &page, sizeof(page)) != HV_OK) {
		return false;
	}
	atomic_thread_fence(memory_order_release);
	sequence = next_sequence(h);
	return guest_mem_write(h->vm, at, &sequence, sizeof(sequence)) == HV_OK;
}

bool hyperv_write_reference_tsc(struct vcpu *vcpu, uint64_t value)
{
	struct hyperv *h = vcpu->vm->hyperv;
	uint64_t old;
	bool ok = true;

	lock_acquire(&h->time_lock);
	old = h->state.reference_tsc;
	h->state.reference_tsc = value;
	if ((value & HV_PAGE_ENABLE) != 0 && !write_page_locked(h)) {
		h->state.reference_tsc = old;
		ok = false;
	}
	lock_release(&h->time_lock);
	return ok;
}

void hyperv_tsc_changed(struct vcpu *vcpu)
{
	struct hyperv *h = vcpu->vm->hyperv;

	if (h == NULL) {
		return;
	}
	lock_acquire(&h->time_lock);
	if ((h->state.reference_tsc & HV_PAGE_ENABLE) != 0) {
		/* A page that is no RAM any more is not read either. */
		(void)write_page_locked(h);
	}
	lock_release(&h->time_lock);
}
