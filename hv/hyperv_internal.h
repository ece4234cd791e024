/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of hv/hyperv.h share and nobody else sees. What a guest can see is in plain
 * structures, apart from what wires it up.
 *
 * Locks, outermost first: ports, a VP's SynIC (no two at once), a LAPIC. `time_lock` is taken with
 * nothing held. What is marked "owner" belongs to the CPU that runs the vCPU.
 */
#pragma once

#include "hv/api/vtime.h"
#include "hv/base/hyperv_format.h"
#include "hv/base/lock.h"
#include "hv/guest.h"
#include "hv/hyperv.h"

/* What a guest can see of a synthetic timer; owner. */
struct stimer_state {
	uint64_t config;
	uint64_t count;
	uint64_t due;	    /* reference time of the next expiry; 0: not running */
	uint64_t expired;   /* that of the expiry whose message waits */
	bool message_waits; /* the slot was not free */
};

/* And of its virtual processor: plain data, whole. */
struct hyperv_vp_state {
	uint64_t assist; /* MSR_HV_VP_ASSIST_PAGE; owner */
	/* The SynIC's registers; under the VP's lock, written by the owner only. */
	uint64_t scontrol, siefp, simp;
	uint64_t sint[HV_SINT_COUNT];
	struct stimer_state timers[HV_STIMER_COUNT];
};

struct stimer {
	struct vtimer vtimer;
	struct hyperv_vp *vp;
	unsigned index;
};

#define HYPERV_FIRED_SWEEP BIT32(31)

struct hyperv_vp {
	struct vm *vm;
	unsigned index;
	struct spinlock lock;
	struct hyperv_vp_state state;
	struct vtimer sweep; /* looks after automatic EOIs; armed under `lock` */
	struct stimer timers[HV_STIMER_COUNT];
	_Atomic uint32_t fired; /* timers that went off, one bit each, and HYPERV_FIRED_SWEEP */
	struct saved_device saved;
};

/* Who receives what a guest posts to, or signals on, a connection. */
enum port_kind { PORT_FREE, PORT_MESSAGE, PORT_EVENT };

struct hyperv_port {
	enum port_kind kind;
	uint32_t connection;
	uint8_t vp;
	uint8_t sint;
	uint16_t flag;		   /* of events */
	bool waits;		   /* `message` found no free slot */
	struct hv_message message; /* the one that is kept */
};

#define HYPERV_PORTS 32u
#define HYPERV_CODE_BYTES 4u

/* What a guest can see of the partition: plain data, whole. */
struct hyperv_state {
	/* Under `lock`, but `hypercall` is also read without. */
	uint64_t os_id;
	uint64_t hypercall;
	uint8_t code_before[HYPERV_CODE_BYTES]; /* what lay where the hypercall page begins */
	uint64_t crash[MSR_HV_CRASH_P4 - MSR_HV_CRASH_P0 + 1];
	/* Under `time_lock`, as the page. */
	uint64_t reference_tsc;
	uint32_t sequence;
};

struct hyperv {
	struct vm *vm;
	struct spinlock lock;
	struct spinlock time_lock;
	struct hyperv_state state;
	unsigned crash_count;	  /* told so far; under `lock` */
	_Atomic bool page_is_old; /* the reference TSC's: a state of another rate was loaded */
	struct spinlock ports_lock;
	struct hyperv_port ports[HYPERV_PORTS];
	struct saved_device saved;
	unsigned vp_count;
	struct hyperv_vp vps[]; /* vp_count of them */
};

/* --- as it is saved --- */

#define HYPERV_SAVED_VERSION 1u

struct stimer_saved {
	uint64_t config;
	uint64_t count;
	uint64_t due;
	uint64_t expired;
	uint64_t deadline; /* guest ticks */
	uint8_t message_waits;
	uint8_t zero[7];
};
_Static_assert(sizeof(struct stimer_saved) == 48, "no padding");

struct hyperv_vp_saved {
	uint64_t assist;
	uint64_t scontrol, siefp, simp;
	uint64_t sint[HV_SINT_COUNT];
	uint64_t sweep; /* guest ticks */
	struct stimer_saved timers[HV_STIMER_COUNT];
	uint32_t fired;
	uint32_t zero;
};
_Static_assert(sizeof(struct hyperv_vp_saved) == 368, "no padding");

/* All 0: there is none. */
struct hyperv_port_saved {
	uint32_t connection;
	uint16_t flag;
	uint8_t kind;
	uint8_t vp;
	uint8_t sint;
	uint8_t waits;
	uint8_t zero[6];
	struct hv_message message; /* while it waits */
};
_Static_assert(sizeof(struct hyperv_port_saved) == 16 + sizeof(struct hv_message), "no padding");

struct hyperv_saved {
	uint64_t os_id;
	uint64_t hypercall;
	uint64_t crash[MSR_HV_CRASH_P4 - MSR_HV_CRASH_P0 + 1];
	uint64_t reference_tsc;
	uint32_t sequence;
	uint8_t code_before[HYPERV_CODE_BYTES];
	struct hyperv_port_saved ports[HYPERV_PORTS];
};
_Static_assert(sizeof(struct hyperv_saved) == 72 + HYPERV_PORTS * sizeof(struct hyperv_port_saved),
	       "no padding");

static inline uint64_t hyperv_hypercall_msr(const struct hyperv *h)
{
	return __atomic_load_n(&h->state.hypercall, __ATOMIC_RELAXED);
}

static inline struct hyperv_vp *hyperv_vp(struct vcpu *vcpu)
{
	return &vcpu->vm->hyperv->vps[vcpu->index];
}

static inline struct lapic *hyperv_lapic(const struct hyperv_vp *vp)
{
	return board_lapic(guest_of(vp->vm)->board, vp->index);
}

/* --- hyperv_saved.c --- */

/* At its creation. */
void hyperv_add_saved(struct hyperv *h);

/* --- hyperv_time.c --- */

/* In units of 100 ns; what the page says, for this vCPU. */
uint64_t hyperv_reference_time(struct vcpu *vcpu);
/* The guest tick at which it is `time` for sure; TIMER_NEVER when that is too far away. */
uint64_t hyperv_tick_of(uint64_t time);
bool hyperv_write_reference_tsc(struct vcpu *vcpu, uint64_t value) HV_MUST_CHECK;

/* --- hyperv_apic.c --- */

/* MSR_HV_EOI to MSR_HV_VP_ASSIST_PAGE. False: #GP. */
bool hyperv_apic_read(struct vcpu *vcpu, uint32_t index, uint64_t *value) HV_MUST_CHECK;
bool hyperv_apic_write(struct vcpu *vcpu, uint32_t index, uint64_t value) HV_MUST_CHECK;

/* --- synic.c --- */

void synic_init(struct hyperv_vp *vp);
void synic_reset(struct hyperv_vp *vp);
/* MSR_HV_SCONTROL to MSR_HV_SINT15. False: #GP. */
bool synic_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value) HV_MUST_CHECK;
bool synic_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value) HV_MUST_CHECK;
/*
 * Puts a message into the slot of a SINT and raises its interrupt. False: the slot is the guest's,
 * which has been told that more waits, or the SINT takes none now; try again when stimer_retry
 * or port_retry is called. The VM's space is current.
 */
bool synic_post(struct hyperv_vp *vp, unsigned sint, const struct hv_message *message);
/* Sets an event flag (below HV_EVENT_FLAGS) and raises the interrupt if it was not set. False: the
 * SINT takes none now. */
bool synic_signal(struct hyperv_vp *vp, unsigned sint, unsigned flag);
/* HYPERV_FIRED_SWEEP: goes on for as long as an automatic EOI waits. By the owner. */
void synic_sweep(struct hyperv_vp *vp);
/* The interrupt alone. */
void synic_raise(struct hyperv_vp *vp, unsigned sint);

/* --- stimer.c --- */

void stimer_init(struct hyperv_vp *vp);
void stimer_reset(struct hyperv_vp *vp);
bool stimer_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value) HV_MUST_CHECK;
bool stimer_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value) HV_MUST_CHECK;
/* Takes what is due of the timers in `fired`. */
void stimer_run(struct vcpu *vcpu, uint32_t fired);
/* A slot may be free: messages that wait. */
void stimer_retry(struct vcpu *vcpu);

/* --- hyperv_ports.c --- */

enum hv_call_status port_post(struct hyperv *h, const struct hv_post_message *post) HV_MUST_CHECK;
enum hv_call_status port_signal(struct hyperv *h, uint32_t connection, uint16_t flag) HV_MUST_CHECK;
/* A slot of this VP may be free: messages that wait. */
void port_retry(struct hyperv *h, unsigned vp);

/* --- hyperv_calls.c --- */

#define CALL_WORDS_MAX 80u

/* A hypercall, its input read once. */
struct hyperv_call {
	struct vcpu *vcpu;
	uint64_t control;
	unsigned rep_count;
	unsigned reps_done;
	unsigned variable; /* words of the variable header */
	/* Header and variable header; what a fast call does not have is 0. */
	uint64_t in[CALL_WORDS_MAX];
};

struct hyperv_call_rule {
	enum hv_call_code code;
	uint16_t header;      /* bytes */
	uint8_t rep_size;     /* bytes of a list element; 0: not a rep call */
	bool variable_header; /* it may have one */
	enum hv_call_status (*fn)(struct hyperv_call *call);
};

/* NULL: nobody knows that one. */
const struct hyperv_call_rule *hyperv_call_rule(unsigned code);
