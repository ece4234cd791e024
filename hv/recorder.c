/* SPDX-License-Identifier: Apache-2.0 */
/* The flight recorder. */
#include "hv/recorder.h"

#include <stdatomic.h>

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"

#define IO_IN BIT(32)
#define IO_STRING BIT(33)
#define FAULT_WRITE BIT(0)
#define FAULT_FETCH BIT(1)

/* detail[0..1] by kind; recorder_format is the other half. */
static void fill_detail(uint64_t detail[5], const struct vcpu *vcpu, const struct vm_exit *exit)
{
	switch ((unsigned)exit->kind) {
	case VM_EXIT_IO:
		detail[0] = exit->io.port | (uint64_t)exit->io.size << 16 |
			    (exit->io.in ? IO_IN : 0) | (exit->io.string ? IO_STRING : 0);
		detail[1] = vcpu->gpr[GPR_RAX];
		break;
	case VM_EXIT_MSR_READ:
	case VM_EXIT_MSR_WRITE:
		detail[0] = exit->msr.index;
		detail[1] = vcpu->gpr[GPR_RDX] << 32 | (uint32_t)vcpu->gpr[GPR_RAX];
		break;
	case VM_EXIT_NESTED_FAULT:
	case VM_EXIT_APIC_ACCESS:
		detail[0] = exit->fault.gpa.v;
		detail[1] = (exit->fault.write ? FAULT_WRITE : 0) |
			    (exit->fault.fetch ? FAULT_FETCH : 0);
		break;
	case VM_EXIT_CPUID:
		detail[0] = (uint32_t)vcpu->gpr[GPR_RAX];
		detail[1] = (uint32_t)vcpu->gpr[GPR_RCX];
		break;
	case VM_EXIT_EXCEPTION:
		detail[0] = exit->exception.vector;
		detail[1] = exit->exception.error;
		break;
	case VM_EXIT_APIC_WRITE:
		detail[0] = exit->apic.offset;
		detail[1] = 0;
		break;
	case VM_EXIT_VIRTUAL_EOI:
		detail[0] = exit->apic.vector;
		detail[1] = 0;
		break;
	case VM_EXIT_ENTRY_FAILED:
	case VM_EXIT_UNKNOWN:
		detail[0] = exit->raw.reason;
		detail[1] = exit->raw.info;
		break;
	default:
		detail[0] = 0;
		detail[1] = 0;
		break;
	}
}

void recorder_note(struct vcpu *vcpu, const struct vm_exit *exit, uint64_t tsc)
{
	struct recorder *r = &vcpu->recorder;
	struct recorder_entry *e = &r->entries[r->count++ % RECORDER_ENTRIES];

	e->tsc = tsc;
	e->rip = vcpu->rip;
	e->kind = exit->kind;
	fill_detail(e->detail, vcpu, exit);
}

static size_t format_detail(const struct recorder_entry *e, char *buf, size_t cap)
{
	const uint64_t *d = e->detail;

	switch (e->kind) {
	case VM_EXIT_IO:
		return fmt_snprintf(buf, cap, "%s%s port 0x%x size %u rax 0x%lx",
				    (d[0] & IO_STRING) != 0 ? "string " : "",
				    (d[0] & IO_IN) != 0 ? "in" : "out", (unsigned)(d[0] & 0xffff),
				    (unsigned)(d[0] >> 16) & 0xff, d[1]);
	case VM_EXIT_MSR_READ:
	case VM_EXIT_MSR_WRITE:
		return fmt_snprintf(buf, cap, "msr 0x%lx edx:eax 0x%lx", d[0], d[1]);
	case VM_EXIT_NESTED_FAULT:
	case VM_EXIT_APIC_ACCESS:
		return fmt_snprintf(buf, cap, "gpa 0x%lx %s", d[0],
				    (d[1] & FAULT_WRITE) != 0	? "write"
				    : (d[1] & FAULT_FETCH) != 0 ? "fetch"
								: "read");
	case VM_EXIT_CPUID:
		return fmt_snprintf(buf, cap, "leaf 0x%lx subleaf 0x%lx", d[0], d[1]);
	case VM_EXIT_EXCEPTION:
		return fmt_snprintf(buf, cap, "vector %lu error 0x%lx", d[0], d[1]);
	case VM_EXIT_APIC_WRITE:
		return fmt_snprintf(buf, cap, "offset 0x%lx", d[0]);
	case VM_EXIT_VIRTUAL_EOI:
		return fmt_snprintf(buf, cap, "vector 0x%lx", d[0]);
	case VM_EXIT_ENTRY_FAILED:
	case VM_EXIT_UNKNOWN:
		return fmt_snprintf(buf, cap, "reason 0x%lx info 0x%lx", d[0], d[1]);
	default:
		return fmt_snprintf(buf, cap, "%s", "");
	}
}

void recorder_format(const struct recorder_entry *e, char *buf, size_t cap)
{
	size_t n = fmt_snprintf(buf, cap, "rip 0x%016lx %-12s ", e->rip,
				vm_exit_kind_name((enum vm_exit_kind)e->kind));

	if (n < cap) {
		(void)format_detail(e, buf + n, cap - n);
	}
}

/* The vCPU may run meanwhile, elsewhere, and record on. */
static uint64_t recorded(const struct recorder *r)
{
	return *(const volatile uint64_t *)&r->count;
}

/* Copies exit `i`; false when it has been overwritten. */
static bool take_entry(const struct recorder *r, uint64_t i, struct recorder_entry *out)
{
	*out = r->entries[i % RECORDER_ENTRIES];
	atomic_signal_fence(memory_order_seq_cst);
	return recorded(r) <= i + RECORDER_ENTRIES;
}

void recorder_print(const struct recorder *r, uint64_t count, uint64_t now,
		    void (*line)(void *ctx, const char *text), void *ctx)
{
	uint64_t end = recorded(r);
	struct recorder_entry e;
	char text[160];

	count = min_u64(count, min_u64(end, RECORDER_ENTRIES));
	for (uint64_t i = end - count; i < end; i++) {
		if (take_entry(r, i, &e)) {
			uint64_t age = now > e.tsc ? now - e.tsc : 0;
			size_t n = fmt_snprintf(text, sizeof(text), "-%8lu us  ",
						clock_ticks_to_ns(age) / 1000);

			recorder_format(&e, text + n, sizeof(text) - n);
			line(ctx, text);
		}
	}
}
