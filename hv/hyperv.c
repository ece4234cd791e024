/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic MSRs of a partition, who answers which, and the life of the interface's state. */
#include "hv/hyperv.h"

#include "hv/api/clock.h"
#include "hv/api/gmem.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/hyperv_internal.h"
#include "hv/pv.h"
#include "mm/pool.h"

/* --- the guest's life --- */

static size_t size_for(unsigned vcpu_count)
{
	return sizeof(struct hyperv) + vcpu_count * sizeof(struct hyperv_vp);
}

enum hv_status hyperv_create(struct vm *vm, unsigned vcpu_count)
{
	struct hyperv *h = pool_alloc(size_for(vcpu_count));

	if (h == NULL) {
		return HV_E_NO_MEMORY;
	}
	h->vm = vm;
	h->vp_count = vcpu_count;
	for (unsigned i = 0; i < vcpu_count; i++) {
		h->vps[i].vm = vm;
		h->vps[i].index = i;
		stimer_init(&h->vps[i]);
		synic_init(&h->vps[i]);
	}
	vm->hyperv = h;
	hyperv_add_saved(h);
	return HV_OK;
}

void hyperv_stop(struct vm *vm)
{
	for (unsigned i = 0; vm->hyperv != NULL && i < vm->hyperv->vp_count; i++) {
		stimer_reset(&vm->hyperv->vps[i]);
		synic_reset(&vm->hyperv->vps[i]);
	}
}

void hyperv_destroy(struct vm *vm)
{
	if (vm->hyperv != NULL) {
		pool_free(vm->hyperv, size_for(vm->hyperv->vp_count));
		vm->hyperv = NULL;
	}
}

void hyperv_reset(struct vcpu *vcpu)
{
	struct hyperv_vp *vp;

	vcpu->pv.idle = false;
	if (vcpu->vm->hyperv == NULL) {
		return;
	}
	vp = hyperv_vp(vcpu);
	vp->state.assist = 0;
	stimer_reset(vp);
	synic_reset(vp);
	/* At the VM's creation there is no board yet. */
	if (guest_of(vcpu->vm)->board != NULL) {
		lapic_set_auto_eoi(hyperv_lapic(vp), &(struct vecset){0});
		lapic_watch(hyperv_lapic(vp), false);
	}
}

/* --- the hypercall page --- */

/*
 * The page is the guest's own RAM, of which four bytes become code. They come back when the page
 * goes away, unless the guest has written there since.
 */
static const uint8_t code_intel[HYPERV_CODE_BYTES] = {0x0f, 0x01, 0xc1, 0xc3}; /* VMCALL, RET */
static const uint8_t code_amd[HYPERV_CODE_BYTES] = {0x0f, 0x01, 0xd9, 0xc3};   /* VMMCALL, RET */

static const uint8_t *code_of(const struct hyperv *h)
{
	return guest_of(h->vm)->cpuid.intel ? code_intel : code_amd;
}

static void set_hypercall_msr(struct hyperv *h, uint64_t value)
{
	__atomic_store_n(&h->state.hypercall, value, __ATOMIC_RELAXED);
}

static void take_page_away(struct hyperv *h)
{
	uint64_t old = hyperv_hypercall_msr(h);
	gpa_t page = gpa(old & HV_PAGE_ADDRESS);
	uint8_t now[HYPERV_CODE_BYTES];

	set_hypercall_msr(h, old & ~HV_PAGE_ENABLE);
	if ((old & HV_PAGE_ENABLE) == 0 || guest_mem_read(h->vm, page, now, sizeof(now)) != HV_OK ||
	    memcmp(now, code_of(h), sizeof(now)) != 0) {
		return;
	}
	if (guest_mem_write(h->vm, page, h->state.code_before, sizeof(now)) != HV_OK) {
		log_debug("%s: the hypercall page is not RAM any more", h->vm->name);
	}
}

static bool show_page(struct hyperv *h, uint64_t value)
{
	gpa_t page = gpa(value & HV_PAGE_ADDRESS);

	if (gspace_ptr(&h->vm->gspace, page, PAGE_SIZE, true) == NULL) {
		return false;
	}
	take_page_away(h);
	if (guest_mem_read(h->vm, page, h->state.code_before, HYPERV_CODE_BYTES) != HV_OK ||
	    guest_mem_write(h->vm, page, code_of(h), HYPERV_CODE_BYTES) != HV_OK) {
		return false;
	}
	set_hypercall_msr(h, value);
	return true;
}

static void write_os_id(struct hyperv *h, uint64_t value)
{
	lock_acquire(&h->lock);
	h->state.os_id = value;
	if (value == 0) {
		take_page_away(h);
	}
	lock_release(&h->lock);
}

/* Source: TLFS, "Establishing the Hypercall Interface". */
static bool write_hypercall(struct hyperv *h, uint64_t value)
{
	bool ok = true;

	lock_acquire(&h->lock);
	/* Ignored while nobody has said who he is, and once it is locked. */
	if (h->state.os_id != 0 && (hyperv_hypercall_msr(h) & HV_HYPERCALL_LOCKED) == 0) {
		if ((value & HV_PAGE_ENABLE) != 0) {
			ok = show_page(h, value);
		} else {
			take_page_away(h);
			set_hypercall_msr(h, value);
		}
	}
	lock_release(&h->lock);
	return ok;
}

/* --- the end, well or not --- */

static void write_reset(struct vm *vm, uint64_t value)
{
	if ((value & HV_RESET_NOW) != 0) {
		guest_end(guest_of(vm), GUEST_END_RESET, "by the Hyper-V reset MSR");
	}
}

#define CRASHES_MAX 4u /* told of each start: a guest must not fill the log */
#define CRASH_TEXT_MAX 120u

/* The guest's message, one line of it, as far as it can be printed. */
static void crash_text(struct vm *vm, uint64_t address, uint64_t size, char *text)
{
	size_t n = min_u64(size, CRASH_TEXT_MAX - 1);

	text[0] = '\0';
	if (n == 0 || guest_mem_read(vm, gpa(address), text, n) != HV_OK) {
		return;
	}
	text[n] = '\0';
	for (size_t i = 0; i < n && text[i] != '\0'; i++) {
		if (text[i] == '\r' || text[i] == '\n') {
			text[i] = '\0';
		} else if (text[i] < ' ' || text[i] > '~') {
			text[i] = '?';
		}
	}
}

/* Source: TLFS, "Guest Crash Enlightenment Interface". */
static void write_crash_control(struct hyperv *h, uint64_t value)
{
	uint64_t p[ARRAY_SIZE(h->state.crash)];
	char text[CRASH_TEXT_MAX] = "";
	bool tell;

	if ((value & HV_CRASH_NOTIFY) == 0) {
		return;
	}
	lock_acquire(&h->lock);
	memcpy(p, h->state.crash, sizeof(p));
	tell = h->crash_count < CRASHES_MAX;
	h->crash_count += tell ? 1 : 0;
	lock_release(&h->lock);
	if (!tell) {
		return;
	}
	if ((value & HV_CRASH_MESSAGE) != 0) {
		crash_text(h->vm, p[3], p[4], text);
	}
	log_event("guest %s: crash: bugcheck 0x%lx (0x%lx, 0x%lx, 0x%lx, 0x%lx)%s%s", h->vm->name,
		  p[0], p[1], p[2], p[3], p[4], text[0] != '\0' ? ": " : "", text);
}

/* --- idle --- */

/* Until an interrupt comes, whatever RFLAGS.IF says. Source: TLFS, "Virtual Processor Idle". */
static void begin_idle(struct vcpu *vcpu)
{
	lapic_watch(hyperv_lapic(hyperv_vp(vcpu)), true);
	vcpu->pv.idle = true;
	vcpu->halted = true;
	vcpu_request(vcpu, VCPU_REQ_EVENT | VCPU_REQ_HALTED);
}

bool hyperv_idle_over(struct vcpu *vcpu)
{
	struct lapic *l = hyperv_lapic(hyperv_vp(vcpu));

	return lapic_any_requested(l) || lapic_extint_pending(l);
}

void hyperv_end_idle(struct vcpu *vcpu)
{
	vcpu->pv.idle = false;
	lapic_watch(hyperv_lapic(hyperv_vp(vcpu)), false);
}

/* --- all MSRs --- */

static uint64_t locked_read(struct spinlock *lock, const uint64_t *from)
{
	uint64_t value;

	lock_acquire(lock);
	value = *from;
	lock_release(lock);
	return value;
}

static void locked_write(struct spinlock *lock, uint64_t *to, uint64_t value)
{
	lock_acquire(lock);
	*to = value;
	lock_release(lock);
}

static uint64_t run_time(struct vcpu *vcpu)
{
	struct guest *g = guest_of(vcpu->vm);
	struct run_task_info info;

	run_task_info(&g->tasks[vcpu->index], &info);
	return clock_ticks_to_ns(info.run_ticks) / 100;
}

/* Those of the partition and of the VP itself. */
static bool read_basic(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct hyperv *h = vcpu->vm->hyperv;

	switch (index) {
	case MSR_HV_GUEST_OS_ID:
		*value = locked_read(&h->lock, &h->state.os_id);
		return true;
	case MSR_HV_HYPERCALL:
		*value = hyperv_hypercall_msr(h);
		return true;
	case MSR_HV_VP_INDEX:
		*value = vcpu->index;
		return true;
	case MSR_HV_RESET:
		*value = 0;
		return true;
	case MSR_HV_VP_RUNTIME:
		*value = run_time(vcpu);
		return true;
	case MSR_HV_TIME_REF_COUNT:
		*value = hyperv_reference_time(vcpu);
		return true;
	case MSR_HV_REFERENCE_TSC:
		*value = locked_read(&h->time_lock, &h->state.reference_tsc);
		return true;
	case MSR_HV_TSC_FREQUENCY:
		*value = clock_hz();
		return true;
	case MSR_HV_APIC_FREQUENCY:
		*value = lapic_timer_hz();
		return true;
	case MSR_HV_GUEST_IDLE:
		*value = 0;
		begin_idle(vcpu);
		return true;
	case MSR_HV_CRASH_CTL:
		*value = HV_CRASH_NOTIFY | HV_CRASH_MESSAGE;
		return true;
	default:
		return false;
	}
}

static bool is_crash_parameter(uint32_t index)
{
	return index - MSR_HV_CRASH_P0 <= MSR_HV_CRASH_P4 - MSR_HV_CRASH_P0;
}

bool hyperv_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct hyperv *h = vcpu->vm->hyperv;

	if (h == NULL) {
		return false;
	}
	if (index >= MSR_HV_EOI && index <= MSR_HV_VP_ASSIST_PAGE) {
		return hyperv_apic_read(vcpu, index, value);
	}
	if (index >= MSR_HV_SCONTROL && index <= MSR_HV_SINT15) {
		return synic_msr_read(vcpu, index, value);
	}
	if (index >= MSR_HV_STIMER0_CONFIG && index <= MSR_HV_STIMER3_COUNT) {
		return stimer_msr_read(vcpu, index, value);
	}
	if (is_crash_parameter(index)) {
		*value = locked_read(&h->lock, &h->state.crash[index - MSR_HV_CRASH_P0]);
		return true;
	}
	return read_basic(vcpu, index, value);
}

static bool write_basic(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct hyperv *h = vcpu->vm->hyperv;

	switch (index) {
	case MSR_HV_GUEST_OS_ID:
		write_os_id(h, value);
		return true;
	case MSR_HV_HYPERCALL:
		return write_hypercall(h, value);
	case MSR_HV_RESET:
		write_reset(vcpu->vm, value);
		return true;
	case MSR_HV_REFERENCE_TSC:
		return hyperv_write_reference_tsc(vcpu, value);
	case MSR_HV_CRASH_CTL:
		write_crash_control(h, value);
		return true;
	default:
		return false;
	}
}

bool hyperv_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct hyperv *h = vcpu->vm->hyperv;

	if (h == NULL) {
		return false;
	}
	if (index >= MSR_HV_EOI && index <= MSR_HV_VP_ASSIST_PAGE) {
		return hyperv_apic_write(vcpu, index, value);
	}
	if (index >= MSR_HV_SCONTROL && index <= MSR_HV_SINT15) {
		return synic_msr_write(vcpu, index, value);
	}
	if (index >= MSR_HV_STIMER0_CONFIG && index <= MSR_HV_STIMER3_COUNT) {
		/* Mostly in the timer's handler: the offer that this exit ended is made again. */
		if ((vcpu->pv.eoi & PV_ENABLED) != 0) {
			vcpu_request(vcpu, VCPU_REQ_EVENT);
		}
		return stimer_msr_write(vcpu, index, value);
	}
	if (is_crash_parameter(index)) {
		locked_write(&h->lock, &h->state.crash[index - MSR_HV_CRASH_P0], value);
		return true;
	}
	return write_basic(vcpu, index, value);
}

void hyperv_requests(struct vcpu *vcpu)
{
	struct hyperv_vp *vp;
	uint32_t fired;

	if (vcpu->vm->hyperv == NULL) {
		return;
	}
	vp = hyperv_vp(vcpu);
	if (atomic_exchange(&vcpu->vm->hyperv->page_is_old, false)) {
		hyperv_tsc_changed(vcpu);
	}
	fired = atomic_exchange(&vp->fired, 0);
	stimer_run(vcpu, fired);
	if ((fired & HYPERV_FIRED_SWEEP) != 0) {
		synic_sweep(vp);
	}
}
