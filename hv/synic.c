/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic interrupt controller of a virtual processor: 16 sources (SINTs), each with a
 * vector, a slot for a message and 2,048 event flags in pages of the guest:
 *
 *	SIMP   16 x 256 bytes   a message; its type is 0 while the slot is free
 *	SIEFP  16 x 2,048 bits  flags, which the guest clears
 *
 * A message that finds its slot in use sets a flag in it; the guest then writes EOM when it has
 * freed the slot. Registers are written by the vCPU itself; slots and flags are also filled from
 * other CPUs, of the same VM, under the VP's lock.
 *
 * Source: TLFS, "Virtual Interrupt Control", "Synthetic Interrupt Controller (SynIC)".
 */
#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/str.h"
#include "hv/hyperv_internal.h"

#define FIRST_VECTOR 16u

/* --- automatic EOI --- */

/*
 * A CPU that delivers interrupts by itself leaves such a vector in service, and keeps away what is
 * below it, until somebody hands over to it again. While there is one the vCPU is made to look.
 */
#define SWEEP_NS 100000u

static void arm_sweep_locked(struct hyperv_vp *vp)
{
	if (lapic_page_auto_eoi_waits(hyperv_lapic(vp))) {
		vtimer_arm(&vp->sweep, vtime_now(&vp->vm->time) + clock_ns_to_ticks(SWEEP_NS));
	}
}

/* On any CPU, where other guests pay for it: the vCPU itself asks for the next one. */
static void sweep(struct vtimer *vtimer)
{
	struct hyperv_vp *vp = container_of(vtimer, struct hyperv_vp, sweep);

	atomic_fetch_or(&vp->fired, HYPERV_FIRED_SWEEP);
	guest_request(guest_of(vp->vm), vp->index, VCPU_REQ_HYPERV | VCPU_REQ_EVENT);
}

void synic_sweep(struct hyperv_vp *vp)
{
	lock_acquire(&vp->lock);
	arm_sweep_locked(vp);
	lock_release(&vp->lock);
}

/* --- life --- */

void synic_init(struct hyperv_vp *vp)
{
	vtimer_init(&vp->sweep, &vp->vm->time, sweep);
	synic_reset(vp);
}

void synic_reset(struct hyperv_vp *vp)
{
	vtimer_cancel(&vp->sweep);
	lock_acquire(&vp->lock);
	vp->state.scontrol = 0;
	vp->state.siefp = 0;
	vp->state.simp = 0;
	for (unsigned i = 0; i < HV_SINT_COUNT; i++) {
		vp->state.sint[i] = HV_SINT_MASKED;
	}
	lock_release(&vp->lock);
}

/* --- interrupts --- */

/* Whether messages and events may be put there: a masked SINT that is polled takes them, too. */
static bool takes_locked(const struct hyperv_vp *vp, unsigned sint)
{
	return (vp->state.scontrol & HV_SCONTROL_ENABLE) != 0 &&
	       ((vp->state.sint[sint] & HV_SINT_MASKED) == 0 ||
		(vp->state.sint[sint] & HV_SINT_POLLED) != 0);
}

static void raise_locked(struct hyperv_vp *vp, unsigned sint)
{
	uint64_t value = vp->state.sint[sint];

	if ((value & (HV_SINT_MASKED | HV_SINT_POLLED)) == 0) {
		lapic_interrupt(hyperv_lapic(vp), (uint8_t)(value & HV_SINT_VECTOR));
		if ((value & HV_SINT_AUTO_EOI) != 0) {
			arm_sweep_locked(vp);
		}
	}
}

void synic_raise(struct hyperv_vp *vp, unsigned sint)
{
	lock_acquire(&vp->lock);
	if (takes_locked(vp, sint)) {
		raise_locked(vp, sint);
	}
	lock_release(&vp->lock);
}

/* Which vectors need no EOI. */
static void show_auto_eoi(struct hyperv_vp *vp)
{
	struct vecset set = {0};

	for (unsigned i = 0; i < HV_SINT_COUNT; i++) {
		if ((vp->state.sint[i] & (HV_SINT_MASKED | HV_SINT_AUTO_EOI)) == HV_SINT_AUTO_EOI) {
			vecset_add(&set, (uint8_t)(vp->state.sint[i] & HV_SINT_VECTOR));
		}
	}
	lapic_set_auto_eoi(hyperv_lapic(vp), &set);
}

/* --- messages --- */

/* Which type is in the slot; 0 when the slot is no RAM, where nobody will free it. */
static uint32_t type_in(struct vm *vm, gpa_t slot)
{
	uint32_t type;

	return guest_mem_read(vm, slot, &type, sizeof(type)) == HV_OK ? type : HV_MESSAGE_NONE;
}

/*
 * Whether the slot is free. If not, the guest is told to write EOM; it may have freed the slot just
 * before that and not look again, so the type is read once more behind the flag.
 */
static bool slot_free(struct vm *vm, gpa_t slot)
{
	const uint8_t flags = HV_MESSAGE_PENDING;

	if (type_in(vm, slot) == HV_MESSAGE_NONE) {
		return true;
	}
	if (guest_mem_write(vm, gpa(slot.v + offsetof(struct hv_message, flags)), &flags,
			    sizeof(flags)) != HV_OK) {
		return false;
	}
	atomic_thread_fence(memory_order_seq_cst);
	return type_in(vm, slot) == HV_MESSAGE_NONE;
}

/* The type comes last: the guest polls it. */
static bool fill_slot(struct vm *vm, gpa_t slot, const struct hv_message *message)
{
	const uint8_t *body = (const uint8_t *)message + sizeof(message->type);

	if (guest_mem_write(vm, gpa(slot.v + sizeof(message->type)), body,
			    sizeof(*message) - sizeof(message->type)) != HV_OK) {
		return false;
	}
	atomic_thread_fence(memory_order_release);
	return guest_mem_write(vm, slot, &message->type, sizeof(message->type)) == HV_OK;
}

static gpa_t part_of(uint64_t page, unsigned sint, size_t size)
{
	return gpa((page & HV_PAGE_ADDRESS) + sint * size);
}

bool synic_post(struct hyperv_vp *vp, unsigned sint, const struct hv_message *message)
{
	bool done = false;

	lock_acquire(&vp->lock);
	if (takes_locked(vp, sint) && (vp->state.simp & HV_PAGE_ENABLE) != 0) {
		gpa_t slot = part_of(vp->state.simp, sint, sizeof(*message));

		done = slot_free(vp->vm, slot) && fill_slot(vp->vm, slot, message);
		if (done) {
			raise_locked(vp, sint);
		}
	}
	lock_release(&vp->lock);
	return done;
}

/* --- events --- */

bool synic_signal(struct hyperv_vp *vp, unsigned sint, unsigned flag)
{
	uint32_t *word = NULL;
	uint32_t bit = BIT32(flag % 32);

	lock_acquire(&vp->lock);
	if (takes_locked(vp, sint) && (vp->state.siefp & HV_PAGE_ENABLE) != 0) {
		gpa_t flags = part_of(vp->state.siefp, sint, HV_EVENT_BYTES);

		word = gspace_ptr(&vp->vm->gspace, gpa(flags.v + flag / 32 * sizeof(*word)),
				  sizeof(*word), true);
	}
	/* The guest clears flags with locked instructions. */
	if (word != NULL && (__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit) == 0) {
		raise_locked(vp, sint);
	}
	lock_release(&vp->lock);
	return word != NULL;
}

/* --- registers --- */

bool synic_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	const struct hyperv_vp *vp = hyperv_vp(vcpu);

	switch (index) {
	case MSR_HV_SCONTROL:
		*value = vp->state.scontrol;
		return true;
	case MSR_HV_SVERSION:
		*value = HV_SVERSION;
		return true;
	case MSR_HV_SIEFP:
		*value = vp->state.siefp;
		return true;
	case MSR_HV_SIMP:
		*value = vp->state.simp;
		return true;
	case MSR_HV_EOM:
		*value = 0;
		return true;
	default:
		if (index < MSR_HV_SINT0) {
			return false;
		}
		*value = vp->state.sint[index - MSR_HV_SINT0];
		return true;
	}
}

/* The page is the guest's own RAM and begins empty. */
static bool write_page(struct hyperv_vp *vp, uint64_t *page, uint64_t value)
{
	static const uint8_t zeros[PAGE_SIZE];
	bool enable = (value & HV_PAGE_ENABLE) != 0;
	bool fresh = enable && (*page & HV_PAGE_ENABLE) == 0;

	if (fresh &&
	    guest_mem_write(vp->vm, gpa(value & HV_PAGE_ADDRESS), zeros, sizeof(zeros)) != HV_OK) {
		return false;
	}
	if (enable &&
	    gspace_ptr(&vp->vm->gspace, gpa(value & HV_PAGE_ADDRESS), PAGE_SIZE, true) == NULL) {
		return false;
	}
	*page = value;
	return true;
}

static bool write_sint(struct hyperv_vp *vp, unsigned sint, uint64_t value)
{
	if ((value & HV_SINT_MASKED) == 0 && (value & HV_SINT_VECTOR) < FIRST_VECTOR) {
		return false;
	}
	vp->state.sint[sint] = value;
	show_auto_eoi(vp);
	return true;
}

static bool write_locked(struct hyperv_vp *vp, uint32_t index, uint64_t value)
{
	switch (index) {
	case MSR_HV_SCONTROL:
		vp->state.scontrol = value;
		return true;
	case MSR_HV_SIEFP:
		return write_page(vp, &vp->state.siefp, value);
	case MSR_HV_SIMP:
		return write_page(vp, &vp->state.simp, value);
	case MSR_HV_EOM:
		return true;
	default:
		return index >= MSR_HV_SINT0 && write_sint(vp, index - MSR_HV_SINT0, value);
	}
}

bool synic_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct hyperv_vp *vp = hyperv_vp(vcpu);
	bool ok;

	lock_acquire(&vp->lock);
	ok = write_locked(vp, index, value);
	lock_release(&vp->lock);
	/* Each of them may have made room, or shown where there is some. */
	if (ok) {
		stimer_retry(vcpu);
		port_retry(vcpu->vm->hyperv, vp->index);
	}
	return ok;
}
