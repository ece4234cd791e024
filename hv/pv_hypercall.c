/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's hypercalls: number in RAX, arguments in RBX, RCX, RDX, RSI; RAX returns 0, a count or
 * -error.
 */
#include "hv/api/gmem.h"
#include "hv/cpu/regs.h"
#include "hv/guest.h"
#include "hv/pv.h"
#include "hv/vcpu.h"
#include "hv/wallclock.h"

#define PV_EPERM (-1)
#define PV_EFAULT (-14)
#define PV_EINVAL (-22)
#define PV_EOPNOTSUPP (-95)
#define PV_ENOSYS (-1000)

enum hypercall {
	HC_VAPIC_POLL_IRQ = 1,
	HC_KICK_CPU = 5,
	HC_CLOCK_PAIRING = 9,
	HC_SEND_IPI = 10,
	HC_SCHED_YIELD = 11,
	HC_COUNT
};

/* A call's registers, as wide as the caller's mode has them. */
struct call {
	uint64_t arg[4];
	bool wide; /* 64-bit code */
};

/* The vCPU with this APIC ID; NULL when there is none. */
static struct vcpu *vcpu_with(const struct vm *vm, struct board *board, uint64_t apic_id)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (board_lapic(board, i)->id == apic_id) {
			return vm->vcpus[i];
		}
	}
	return NULL;
}

/* An exit so that what is pending is looked at. */
static int64_t poll_irq(struct vcpu *vcpu, const struct call *call)
{
	(void)call;
	vcpu_request(vcpu, VCPU_REQ_EVENT);
	return 0;
}

/* Arguments: flags (none defined), APIC ID. */
static int64_t kick_cpu(struct vcpu *vcpu, const struct call *call)
{
	struct guest *g = guest_of(vcpu->vm);
	struct vcpu *target = vcpu_with(vcpu->vm, g->board, call->arg[1]);

	if (target != NULL) {
		vcpu_request(target, VCPU_REQ_UNHALT);
		guest_kick(g, target->index);
	}
	return 0;
}

struct clock_pairing {
	int64_t sec;
	int64_t nsec;
	uint64_t tsc;
	uint32_t flags;
	uint32_t pad[9];
};
static_assert(sizeof(struct clock_pairing) == 64, "ABI");

#define CLOCK_PAIRING_WALLCLOCK 0u

/* Arguments: where to write, which clock. */
static int64_t clock_pairing(struct vcpu *vcpu, const struct call *call)
{
	struct clock_pairing pair = {0};
	uint32_t nanoseconds;

	if (call->arg[1] != CLOCK_PAIRING_WALLCLOCK) {
		return PV_EOPNOTSUPP;
	}
	pair.tsc = guest_tsc(guest_of(vcpu->vm), vcpu);
	pair.sec = (int64_t)wallclock_read(&nanoseconds);
	pair.nsec = nanoseconds;
	return guest_mem_write(vcpu->vm, gpa(call->arg[0]), &pair, sizeof(pair)) == HV_OK
		       ? 0
		       : PV_EFAULT;
}

#define ICR_VECTOR MASK(7, 0)
#define ICR_DELIVERY MASK(10, 8)
#define ICR_LOGICAL BIT(11)
#define ICR_SHORTHAND MASK(19, 18)

/* Arguments: a map of APIC IDs in two words, the ID of its first bit, what to write to the ICR. */
static int64_t send_ipi(struct vcpu *vcpu, const struct call *call)
{
	struct guest *g = guest_of(vcpu->vm);
	uint64_t icr = call->arg[3];
	struct apic_message msg = {.delivery = (uint8_t)bits_get(icr, ICR_DELIVERY),
				   .vector = (uint8_t)bits_get(icr, ICR_VECTOR)};
	uint64_t ids[2] = {call->arg[0], call->arg[1]};

	if ((icr & (ICR_LOGICAL | ICR_SHORTHAND)) != 0 ||
	    (msg.delivery != APIC_FIXED && msg.delivery != APIC_NMI)) {
		return PV_EINVAL;
	}
	if (!call->wide) {
		ids[0] |= ids[1] << 32;
		ids[1] = 0;
	}
	return apic_bus_send_ids(&g->board->apic_bus, (uint32_t)call->arg[2], ids, &msg);
}

/* Argument: the APIC ID of a vCPU that the caller waits for. */
static int64_t yield_to(struct vcpu *vcpu, const struct call *call)
{
	struct guest *g = guest_of(vcpu->vm);
	const struct vcpu *target = vcpu_with(vcpu->vm, g->board, call->arg[0]);

	if (target != NULL && target != vcpu) {
		run_yield_to(&g->tasks[target->index]);
	}
	return 0;
}

static int64_t (*const calls[HC_COUNT])(struct vcpu *, const struct call *) = {
	[HC_VAPIC_POLL_IRQ] = poll_irq,	    [HC_KICK_CPU] = kick_cpu,
	[HC_CLOCK_PAIRING] = clock_pairing, [HC_SEND_IPI] = send_ipi,
	[HC_SCHED_YIELD] = yield_to,
};

/*
 * One that there is, at least by the low half of RAX, which is all that 32-bit code shows. Out of
 * line: what it takes to ask would cost those that there are not.
 */
static __attribute__((noinline)) uint64_t known_call(struct vcpu *vcpu, uint32_t number)
{
	bool wide = the_backend->code_root(vcpu) != CODE_ROOT_NONE;
	uint64_t mask = wide ? ~0ull : 0xffffffffull;
	struct call call = {.arg = {vcpu->gpr[GPR_RBX] & mask, vcpu->gpr[GPR_RCX] & mask,
				    vcpu->gpr[GPR_RDX] & mask, vcpu->gpr[GPR_RSI] & mask},
			    .wide = wide};
	int64_t result = PV_ENOSYS;

	if (!wide || vcpu->gpr[GPR_RAX] == number) {
		result = vcpu_cpl(vcpu) != 0 ? PV_EPERM : calls[number](vcpu, &call);
	}
	return wide ? (uint64_t)result : (uint32_t)result;
}

/*
 * A number that nobody knows is that to user mode, too, where KVM speaks of permission. Its error
 * fills RAX whatever the mode: 32-bit code cannot see the upper half, and no manual keeps it.
 */
void pv_hypercall(struct vcpu *vcpu, struct vm_exit *exit)
{
	uint32_t number;

	if (!guest_of(vcpu->vm)->config->paravirt) {
		vcpu_raise(vcpu, EXC_UD);
		return;
	}
	if (!vcpu_skip(vcpu, exit, INSN_VMMCALL)) {
		return;
	}
	number = (uint32_t)vcpu->gpr[GPR_RAX];
	vcpu->gpr[GPR_RAX] = number < HC_COUNT && calls[number] != NULL ? known_call(vcpu, number)
									: (uint64_t)PV_ENOSYS;
}

#define HYPERCALL_LENGTH 3u

static bool is_hypercall(const uint8_t *bytes)
{
	return bytes[0] == 0x0f && bytes[1] == 0x01 && (bytes[2] == 0xc1 || bytes[2] == 0xd9);
}

bool pv_hypercall_undefined(struct vcpu *vcpu, struct vm_exit *exit)
{
	uint8_t bytes[INSN_BYTES_MAX];

	if (!guest_of(vcpu->vm)->config->paravirt || vcpu_fetch(vcpu, bytes) < HYPERCALL_LENGTH ||
	    !is_hypercall(bytes)) {
		return false;
	}
	exit->insn_len = HYPERCALL_LENGTH;
	pv_hypercall(vcpu, exit);
	return true;
}
