/* SPDX-License-Identifier: Apache-2.0 */
/* The fake virtualization extension. */
#include "tests/fakes/fake_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/reset.h"
#include "hv/cpu/regs.h"
#include "hv/run.h"
#include "hv/vcpu.h"
#include "mm/pool.h"
#include "tests/fakes/fake_cpu.h"

#define QUEUE_MAX 64u

struct fake_backend fake_backend;

static struct vm_exit queue[QUEUE_MAX];
static unsigned queue_first;
static unsigned queue_end;

static void need(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fake backend: %s\n", what);
		abort();
	}
}

void fake_backend_reset(void)
{
	need(fake_backend.vms == 0 && fake_backend.vcpus == 0, "reset while a VM exists");
	fake_backend = (struct fake_backend){.run_ticks = 1000};
	queue_first = queue_end = 0;
}

void fake_backend_push(const struct vm_exit *exit)
{
	need(queue_end - queue_first < QUEUE_MAX, "too many exits queued");
	queue[queue_end++ % QUEUE_MAX] = *exit;
}

unsigned fake_backend_queued(void)
{
	return queue_end - queue_first;
}

static const struct fake_vcpu *view(const struct vcpu *vcpu)
{
	return (const void *)vcpu;
}
static_assert(offsetof(struct fake_vcpu, vcpu) == 0, "view");

static enum hv_status cpu_enable(unsigned cpu)
{
	(void)cpu;
	return HV_OK;
}

static void cpu_disable(unsigned cpu)
{
	(void)cpu;
}

static enum hv_status vm_init(struct vm *vm)
{
	enum hv_status status = fake_backend.on_vm_init ? fake_backend.on_vm_init(vm) : HV_OK;

	if (status != HV_OK) {
		return status;
	}
	vm->backend_vm = pool_pages(1);
	if (vm->backend_vm == NULL) {
		return HV_E_NO_MEMORY;
	}
	fake_backend.vms++;
	return HV_OK;
}

static void vm_fini(struct vm *vm)
{
	need(vm->backend_vm != NULL, "vm_fini without vm_init");
	pool_pages_free(vm->backend_vm, 1);
	vm->backend_vm = NULL;
	fake_backend.vms--;
}

static struct vcpu *vcpu_create(struct vm *vm)
{
	struct fake_vcpu *f = fake_backend.no_vcpu ? NULL : pool_alloc(sizeof(*f));

	need(vm->backend_vm != NULL, "a vCPU without a VM");
	if (f == NULL) {
		return NULL;
	}
	if (the_backend->info.posts_interrupts) {
		f->vcpu.post = pool_alloc(sizeof(*f->vcpu.post));
	}
	fake_backend.vcpus++;
	return &f->vcpu;
}

static bool loaded_anywhere(const struct vcpu *vcpu)
{
	for (unsigned i = 0; i < FAKE_CPUS_MAX; i++) {
		if (fake_backend.loaded[i] == vcpu) {
			return true;
		}
	}
	return false;
}

static void vcpu_destroy(struct vcpu *vcpu)
{
	need(!loaded_anywhere(vcpu), "destroyed while loaded");
	fake_backend.vcpus--;
	pool_free(vcpu->post, sizeof(*vcpu->post));
	pool_free(fake_vcpu(vcpu), sizeof(struct fake_vcpu));
}

static void vcpu_load(struct vcpu *vcpu, unsigned cpu)
{
	need(cpu == fake_cpu_index(), "loaded for another CPU");
	need(fake_loaded() == NULL, "loaded while another vCPU is");
	need(!loaded_anywhere(vcpu), "loaded on two CPUs");
	fake_backend.loaded[cpu] = vcpu;
	fake_backend.loads++;
}

static void vcpu_put(struct vcpu *vcpu)
{
	need(fake_loaded() == vcpu, "put without load");
	fake_backend.loaded[fake_cpu_index()] = NULL;
	fake_backend.puts++;
}

static void vcpu_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct fake_vcpu *f = fake_vcpu(vcpu);

	need(fake_loaded() == vcpu, "run without load");
	need(!f->running, "run on two CPUs");
	need(space_current() == &vcpu->vm->gspace.host, "run in a foreign space");
	fake_backend.runs++;
	fake_backend.ran_last = vcpu;
	if (f->injected.type != VCPU_EVENT_NONE) {
		fake_backend.delivered = f->injected;
		fake_backend.delivered_count++;
		f->injected = (struct vcpu_event){0};
	}
	fake_tsc += fake_backend.run_ticks;
	*exit = (struct vm_exit){.kind = VM_EXIT_HOST_INTERRUPT};
	if (queue_first != queue_end) {
		*exit = queue[queue_first++ % QUEUE_MAX];
	} else if (fake_backend.guest != NULL) {
		f->running = true;
		fake_backend.guest(vcpu, exit);
		f->running = false;
	}
	/* How tests end a slice: somebody types while the guest spins. */
	if (exit->kind == VM_EXIT_PAUSE) {
		run_chore(RUN_CHORE_INPUT);
	}
}

static uint32_t *apic_page(struct vcpu *vcpu)
{
	(void)vcpu;
	return fake_backend.apic_page;
}

static void apic_load(struct vcpu *vcpu, const struct apic_entry *entry)
{
	(void)vcpu;
	fake_backend.apic_loaded = *entry;
}

static uint64_t get_reg(const struct vcpu *vcpu, enum vcpu_reg reg)
{
	need((unsigned)reg < VCPU_REG_COUNT, "no such register");
	return view(vcpu)->regs[reg];
}

static unsigned cpl(const struct fake_vcpu *f)
{
	if ((f->regs[VCPU_REG_CR0] & CR0_PE) == 0) {
		return 0;
	}
	return (f->regs[VCPU_REG_RFLAGS] & RFLAGS_VM) != 0
		       ? 3
		       : (unsigned)bits_get(f->segs[VCPU_SEG_SS].attr, SEG_DPL);
}

static void get_context(const struct vcpu *vcpu, struct vcpu_context *out)
{
	const struct fake_vcpu *f = view(vcpu);

	*out = (struct vcpu_context){
		.cr0 = f->regs[VCPU_REG_CR0],
		.cr3 = f->regs[VCPU_REG_CR3],
		.cr4 = f->regs[VCPU_REG_CR4],
		.efer = f->regs[VCPU_REG_EFER],
		.rflags = f->regs[VCPU_REG_RFLAGS],
		.cs_base = f->segs[VCPU_SEG_CS].base,
		.cs_attr = f->segs[VCPU_SEG_CS].attr,
		.cpl = (uint8_t)cpl(f),
	};
}

static void set_reg(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
	need((unsigned)reg < VCPU_REG_COUNT, "no such register");
	fake_vcpu(vcpu)->regs[reg] = value;
}

static void get_seg(const struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out)
{
	need((unsigned)seg < VCPU_SEG_COUNT, "no such segment");
	*out = view(vcpu)->segs[seg];
}

static void set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in)
{
	need((unsigned)seg < VCPU_SEG_COUNT, "no such segment");
	fake_vcpu(vcpu)->segs[seg] = *in;
}

static void reset_vcpu(struct vcpu *vcpu)
{
	struct fake_vcpu *f = fake_vcpu(vcpu);

	vcpu_reset_registers(vcpu, 0, set_reg, set_seg);
	f->regs[VCPU_REG_RFLAGS] = RFLAGS_FIXED1;
	f->injected = (struct vcpu_event){0};
	f->window_vector = -1;
	f->window_nmi = false;
}

static void set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	fake_vcpu(vcpu)->tsc_offset = offset;
}

static unsigned blocked(const struct vcpu *vcpu, enum vcpu_event_type type)
{
	const struct fake_vcpu *f = view(vcpu);
	unsigned why = 0;

	if (type == VCPU_EVENT_INTERRUPT && (f->regs[VCPU_REG_RFLAGS] & RFLAGS_IF) == 0) {
		why |= VCPU_BLOCKED_IF;
	}
	if ((type == VCPU_EVENT_INTERRUPT || type == VCPU_EVENT_NMI) && f->shadow) {
		why |= VCPU_BLOCKED_SHADOW;
	}
	if (type == VCPU_EVENT_NMI && f->nmi_blocked) {
		why |= VCPU_BLOCKED_NMI;
	}
	return why | (f->injected.type != VCPU_EVENT_NONE ? VCPU_BLOCKED_PENDING : 0);
}

static void inject(struct vcpu *vcpu, const struct vcpu_event *event)
{
	struct fake_vcpu *f = fake_vcpu(vcpu);

	need(event->type != VCPU_EVENT_NONE, "injected nothing");
	need(f->injected.type == VCPU_EVENT_NONE, "injected two events for one run");
	f->injected = *event;
}

static uint64_t clear_shadow(struct vcpu *vcpu)
{
	fake_vcpu(vcpu)->shadow = false;
	return view(vcpu)->regs[VCPU_REG_RFLAGS];
}

static uint64_t code_root(const struct vcpu *vcpu)
{
	const struct fake_vcpu *f = view(vcpu);
	bool plain = (f->regs[VCPU_REG_EFER] & EFER_LMA) != 0 &&
		     (f->segs[VCPU_SEG_CS].attr & SEG_L) != 0 &&
		     (f->regs[VCPU_REG_CR4] & CR4_LA57) == 0;

	return plain ? f->regs[VCPU_REG_CR3] : CODE_ROOT_NONE;
}

static void set_windows(struct vcpu *vcpu, int vector, bool nmi)
{
	need(vector >= -1 && vector <= 255, "a window for no vector");
	fake_vcpu(vcpu)->window_vector = vector;
	fake_vcpu(vcpu)->window_nmi = nmi;
}

static void tlb_flush(struct vcpu *vcpu)
{
	fake_vcpu(vcpu)->flushes++;
}

static void dump(const struct vcpu *vcpu)
{
	(void)vcpu;
	fake_backend.dumps++;
}

const struct hv_backend fake_hv_backend = {
	.info = {.vendor = "fake",
		 .stage2_format = &pt_format_npt,
		 .stage2_max_level = PT_LEVEL_2M,
		 .tag_count = 8},
	.cpu_enable = cpu_enable,
	.cpu_disable = cpu_disable,
	.vm_init = vm_init,
	.vm_fini = vm_fini,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.vcpu_reset = reset_vcpu,
	.vcpu_load = vcpu_load,
	.vcpu_put = vcpu_put,
	.vcpu_run = vcpu_run,
	.get_context = get_context,
	.get_reg = get_reg,
	.set_reg = set_reg,
	.get_seg = get_seg,
	.set_seg = set_seg,
	.set_tsc_offset = set_tsc_offset,
	.blocked = blocked,
	.inject = inject,
	.code_root = code_root,
	.clear_shadow = clear_shadow,
	.set_windows = set_windows,
	.apic_page = apic_page,
	.apic_load = apic_load,
	.tlb_flush = tlb_flush,
	.dump = dump,
};
