/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exits that need the instruction emulator: accesses to device registers in guest-physical memory
 * and string port I/O. Binds hv/emul to a vCPU, its memory and its buses.
 */
#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/regs.h"
#include "hv/emul/emulate.h"
#include "hv/event.h"
#include "hv/exit.h"
#include "hv/gaddr.h"
#include "hv/guest.h"
#include "hv/vcpu.h"

#define UNCLAIMED_LOG_MAX 32u
/* More than a VGA wants: 16 to clear its memory, or to show text. */
#define READS_UNTIL_SHOWN 32u

struct emul_run {
	struct emul_ctx c;
	struct vcpu *vcpu;
};

static struct vcpu *vcpu_of(struct emul_ctx *c)
{
	return container_of(c, struct emul_run, c)->vcpu;
}

/* --- memory --- */

/* Before anything is said about memory: a backend may have put a page there (hv/api/apic_page.h).
 */
static bool is_lapic(gpa_t addr)
{
	return addr.v - LAYOUT_LAPIC_BASE < PAGE_SIZE;
}

static void note_unclaimed(const struct vcpu *vcpu, gpa_t addr, const char *what, uint64_t value)
{
	if (vcpu->vm->mmio.unclaimed.total <= UNCLAIMED_LOG_MAX) {
		log_debug("%s: address 0x%lx: no device or register, %s 0x%lx", vcpu->vm->name,
			  addr.v, what, value);
	}
}

/* RAM whose frame is shared, or was given back, and no frame is left. */
static void stop_without_memory(struct vcpu *vcpu)
{
	exit_stop(vcpu, "the machine has no memory left for its page tables, a private copy of a "
			"page, or a page that it had given back");
}

/* What an access to guest memory came to: anything but HV_E_RANGE is the end of it. */
static enum hv_status settled(struct vcpu *vcpu, enum hv_status status)
{
	if (status == HV_E_NO_MEMORY) {
		stop_without_memory(vcpu);
	}
	return status;
}

static enum emul_access do_read(struct emul_ctx *c, gpa_t addr, unsigned size, uint64_t *value)
{
	struct vcpu *vcpu = vcpu_of(c);

	*value = 0;
	if (!is_lapic(addr) &&
	    settled(vcpu, guest_mem_read(vcpu->vm, addr, value, size)) != HV_E_RANGE) {
		return EMUL_ACCESS_OK;
	}
	if (is_lapic(addr)) {
		exit_sync_tpr_from_hw(vcpu);
	}
	if (!bus_read(&vcpu->vm->mmio, addr.v, size, vcpu->index, value)) {
		note_unclaimed(vcpu, addr, "reads", *value);
	}
	return EMUL_ACCESS_OK;
}

/*
 * Is there memory at all, of whatever rights? Then a failed write was one to a ROM, and means
 * nothing where no device takes the ROM's writes.
 */
static bool is_plain_rom(struct vcpu *vcpu, gpa_t addr, unsigned size)
{
	return gspace_ptr(&vcpu->vm->gspace, addr, size, false) != NULL &&
	       bus_find(&vcpu->vm->mmio, addr.v) == NULL;
}

static enum emul_access do_write(struct emul_ctx *c, gpa_t addr, unsigned size, uint64_t value)
{
	struct vcpu *vcpu = vcpu_of(c);

	if (!is_lapic(addr) &&
	    (settled(vcpu, guest_mem_write(vcpu->vm, addr, &value, size)) != HV_E_RANGE ||
	     is_plain_rom(vcpu, addr, size))) {
		return EMUL_ACCESS_OK;
	}
	if (is_lapic(addr)) {
		exit_sync_tpr_from_hw(vcpu);
	}
	if (!bus_write(&vcpu->vm->mmio, addr.v, size, vcpu->index, value)) {
		note_unclaimed(vcpu, addr, "drops", value);
	}
	if (is_lapic(addr)) {
		exit_sync_tpr_to_hw(vcpu);
	}
	return EMUL_ACCESS_OK;
}

static bool exchange(void *p, unsigned size, uint64_t expected, uint64_t desired)
{
	uint8_t e8 = (uint8_t)expected;
	uint16_t e16 = (uint16_t)expected;
	uint32_t e32 = (uint32_t)expected;

	switch (size) {
	case 1:
		return __atomic_compare_exchange_n((uint8_t *)p, &e8, (uint8_t)desired, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	case 2:
		return __atomic_compare_exchange_n((uint16_t *)p, &e16, (uint16_t)desired, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	case 4:
		return __atomic_compare_exchange_n((uint32_t *)p, &e32, (uint32_t)desired, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	default:
		return __atomic_compare_exchange_n((uint64_t *)p, &expected, desired, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
}

static enum emul_access do_exchange(struct emul_ctx *c, gpa_t addr, unsigned size,
				    uint64_t expected, uint64_t desired)
{
	void *p = is_lapic(addr) ? NULL : gspace_ptr(&vcpu_of(c)->vm->gspace, addr, size, true);

	if (p == NULL) {
		return do_write(c, addr, size, desired);
	}
	return exchange(p, size, expected, desired) ? EMUL_ACCESS_OK : EMUL_ACCESS_CHANGED;
}

static enum emul_access do_fetch(struct emul_ctx *c, gpa_t addr, uint8_t *bytes, size_t n)
{
	struct vcpu *vcpu = vcpu_of(c);

	return settled(vcpu, guest_mem_read(vcpu->vm, addr, bytes, n)) == HV_OK ? EMUL_ACCESS_OK
										: EMUL_ACCESS_STOP;
}

static bool walk_read(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t *entry)
{
	const struct emul_run *run =
		(const void *)((const char *)w - offsetof(struct emul_run, c.walk));

	return gaddr_read_entry(run->vcpu->vm, addr, size, entry);
}

static enum gwalk_status walk(const struct gwalk *w, gva_t va, unsigned access,
			      struct gwalk_result *out)
{
	return gwalk_with(w, va, access, walk_read, out);
}

static bool walk_update(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t expected,
			uint64_t entry)
{
	const struct emul_run *run =
		(const void *)((const char *)w - offsetof(struct emul_run, c.walk));

	return gaddr_update_entry(run->vcpu->vm, addr, size, expected, entry);
}

/* --- ports and registers --- */

static enum emul_access do_in(struct emul_ctx *c, uint16_t port, unsigned size, uint64_t *value)
{
	struct vcpu *vcpu = vcpu_of(c);

	(void)bus_read(&vcpu->vm->pio, port, size, vcpu->index, value);
	return EMUL_ACCESS_OK;
}

static enum emul_access do_out(struct emul_ctx *c, uint16_t port, unsigned size, uint64_t value)
{
	struct vcpu *vcpu = vcpu_of(c);

	(void)bus_write(&vcpu->vm->pio, port, size, vcpu->index, value);
	return EMUL_ACCESS_OK;
}

/* Whether [addr, addr + bytes) is memory that can be written or, for OUTS, read. */
static bool is_string_memory(struct vcpu *vcpu, gpa_t addr, unsigned bytes, bool write)
{
	return !is_lapic(addr) && gspace_ptr(&vcpu->vm->gspace, addr, bytes, write) != NULL;
}

static bool do_in_string(struct emul_ctx *c, uint16_t port, unsigned size, gpa_t addr,
			 unsigned count)
{
	struct vcpu *vcpu = vcpu_of(c);
	uint8_t data[EMUL_STRING_BYTES];

	if (!is_string_memory(vcpu, addr, size * count, true)) {
		return false;
	}
	bus_read_string(&vcpu->vm->pio, port, size, vcpu->index, data, count);
	(void)settled(vcpu, guest_mem_write(vcpu->vm, addr, data, (size_t)size * count));
	return true;
}

static bool do_out_string(struct emul_ctx *c, uint16_t port, unsigned size, gpa_t addr,
			  unsigned count)
{
	struct vcpu *vcpu = vcpu_of(c);
	uint8_t data[EMUL_STRING_BYTES];

	if (!is_string_memory(vcpu, addr, size * count, false) ||
	    settled(vcpu, guest_mem_read(vcpu->vm, addr, data, (size_t)size * count)) != HV_OK) {
		return false;
	}
	bus_write_string(&vcpu->vm->pio, port, size, vcpu->index, data, count);
	return true;
}

static void get_segment(struct emul_ctx *c, enum vcpu_seg seg, struct vcpu_segment *out)
{
	the_backend->get_seg(vcpu_of(c), seg, out);
}

static void set_segment(struct emul_ctx *c, enum vcpu_seg seg, const struct vcpu_segment *s)
{
	the_backend->set_seg(vcpu_of(c), seg, s);
}

/* The FXSAVE area ("Layout of the 64-bit-mode FXSAVE64 Map"). */
#define FX_STATUS_WORD 2u
#define FX_TAGS 4u
#define FX_ST 32u
#define FX_XMM 160u
#define FX_REG_SIZE 16u
#define FX_TOP MASK(13, 11)

struct fx_area {
	uint8_t bytes[512];
} __attribute__((aligned(16)));

static unsigned fx_offset(unsigned reg)
{
	return reg < EMUL_MMX_FIRST ? FX_XMM + reg * FX_REG_SIZE
				    : FX_ST + (reg - EMUL_MMX_FIRST) * FX_REG_SIZE;
}

/* The guest's registers are in the CPU while it is the one that runs here. */
static void get_xmm(struct emul_ctx *c, unsigned reg, uint64_t value[2])
{
	struct fx_area fx;

	(void)c;
	cpu_fxsave(&fx);
	memcpy(value, fx.bytes + fx_offset(reg), FX_REG_SIZE);
}

static void set_xmm(struct emul_ctx *c, unsigned reg, const uint64_t value[2])
{
	struct fx_area fx;
	uint16_t status;

	(void)c;
	cpu_fxsave(&fx);
	memcpy(fx.bytes + fx_offset(reg), value, FX_REG_SIZE);
	if (reg >= EMUL_MMX_FIRST) {
		/* All registers valid, the stack's top at 0, the exponent all ones. */
		memcpy(&status, fx.bytes + FX_STATUS_WORD, sizeof(status));
		status &= (uint16_t)~FX_TOP;
		memcpy(fx.bytes + FX_STATUS_WORD, &status, sizeof(status));
		fx.bytes[FX_TAGS] = 0xff;
		memset(fx.bytes + fx_offset(reg) + 8, 0xff, 2);
	}
	cpu_fxrstor(&fx);
}

static const struct gwalk_ops walk_ops = {walk_read, walk_update};

static const struct emul_ops emul_ops = {
	.read = do_read,
	.write = do_write,
	.compare_exchange = do_exchange,
	.fetch = do_fetch,
	.io_in = do_in,
	.io_out = do_out,
	.io_in_string = do_in_string,
	.io_out_string = do_out_string,
	.get_segment = get_segment,
	.set_segment = set_segment,
	.walk = walk,
	.get_xmm = get_xmm,
	.set_xmm = set_xmm,
};

static void begin(struct emul_run *run, struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct emul_ctx *c = &run->c;
	struct vcpu_context context;

	the_backend->get_context(vcpu, &context);
	run->vcpu = vcpu;
	c->ops = &emul_ops;
	c->walk.ops = &walk_ops;
	gaddr_fill_walk(&c->walk, vcpu, &context);
	c->gpr = vcpu->gpr;
	c->rip = vcpu->rip;
	c->rflags = context.rflags;
	c->mode = vcpu_insn_mode(&context);
	c->cpl = context.cpl;
	emul_begin(c);
	c->bytes_count = exit->insn_bytes_count;
	c->bytes = exit->insn_bytes;
}

/* --- results --- */

static void raise(struct vcpu *vcpu, const struct vcpu_event *event, uint64_t payload)
{
	if (event_exception(vcpu, event, payload) == EVENT_TRIPLE_FAULT) {
		exit_stop(vcpu, "triple fault");
	}
}

static void stop_unhandled(struct vcpu *vcpu, const struct emul_ctx *c, const char *why)
{
	char text[GUEST_REASON_MAX];
	uint8_t bytes[INSN_BYTES_MAX] = {0};
	size_t n = vcpu_fetch(vcpu, bytes);
	size_t at;

	at = fmt_snprintf(text, sizeof(text), "%s at rip 0x%lx:", why, vcpu->rip);
	for (size_t i = 0; i < n && i < 8 && at < sizeof(text); i++) {
		at += fmt_snprintf(text + at, sizeof(text) - at, " %02x", bytes[i]);
	}
	(void)c;
	exit_stop(vcpu, text);
}

static void finish(struct emul_run *run, enum emul_status status)
{
	static const struct vcpu_event step = {.type = VCPU_EVENT_EXCEPTION, .vector = EXC_DB};
	struct emul_ctx *c = &run->c;
	struct vcpu *vcpu = run->vcpu;

	switch (status) {
	case EMUL_OK:
		vcpu->rip = c->rip;
		the_backend->clear_shadow(vcpu);
		the_backend->set_reg(vcpu, VCPU_REG_RFLAGS, c->rflags);
		break;
	case EMUL_RESTART:
		the_backend->set_reg(vcpu, VCPU_REG_RFLAGS, c->rflags);
		break;
	case EMUL_EXCEPTION:
		raise(vcpu, &c->exception, c->exception_payload);
		return;
	case EMUL_UNHANDLED:
		stop_unhandled(vcpu, c, "instruction on device memory not emulated");
		return;
	case EMUL_STOP:
		stop_unhandled(vcpu, c, "code or page tables outside of memory");
		return;
	}
	if (c->single_step) {
		raise(vcpu, &step, DR6_BS);
	}
}

/* --- the exits --- */

static void stop_in_hole(struct vcpu *vcpu, const char *what, gpa_t where)
{
	char text[GUEST_REASON_MAX];

	fmt_snprintf(text, sizeof(text), "%s 0x%lx, where there is no memory", what, where.v);
	exit_stop(vcpu, text);
}

/*
 * Whether an instruction that is not known here is the CPU's to carry out: a device that prepares
 * memory before it shows it, as a VGA does, goes on with that at each access.
 */
static bool becomes_memory(struct vcpu *vcpu, const struct vm_exit_nested_fault *fault)
{
	struct gspace *space = &vcpu->vm->gspace;
	enum gspace_fault now = gspace_fault(space, fault->gpa, fault->write);
	uint64_t value;

	for (unsigned i = 0; i < READS_UNTIL_SHOWN && now == GSPACE_FAULT_MMIO; i++) {
		if (!bus_read(&vcpu->vm->mmio, align_down(fault->gpa.v, sizeof(value)),
			      sizeof(value), vcpu->index, &value)) {
			return false;
		}
		now = gspace_fault(space, fault->gpa, fault->write);
	}
	return now == GSPACE_FAULT_RETRY && !is_lapic(fault->gpa);
}

static void emulate_access(struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct emul_run run;
	enum emul_status status;

	begin(&run, vcpu, exit);
	run.c.fault_valid = true;
	run.c.fault_write = exit->fault.write;
	run.c.fault_gpa = exit->fault.gpa;
	status = emulate(&run.c);
	if (status == EMUL_UNHANDLED && becomes_memory(vcpu, &exit->fault)) {
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
		return;
	}
	finish(&run, status);
}

/* An access that no memory answers. */
static void access_device(struct vcpu *vcpu, const struct vm_exit *exit)
{
	const struct vm_exit_nested_fault *fault = &exit->fault;

	if (fault->table_walk) {
		/* In a hole or device memory the walk would read reserved bits. */
		stop_in_hole(vcpu, "page table at", fault->gpa);
	} else if (fault->fetch) {
		stop_in_hole(vcpu, "jumped to", fault->gpa);
	} else if (exit->vectoring.type != VCPU_EVENT_NONE) {
		/* The IDT, a stack or a TSS: no instruction made this access. */
		stop_in_hole(vcpu, "event delivery through", fault->gpa);
	} else {
		emulate_access(vcpu, exit);
	}
}

void exit_apic_access(struct vcpu *vcpu, struct vm_exit *exit)
{
	access_device(vcpu, exit);
}

void exit_nested_fault(struct vcpu *vcpu, struct vm_exit *exit)
{
	const struct vm_exit_nested_fault *fault = &exit->fault;
	struct gspace *space = &vcpu->vm->gspace;

	if (fault->misconfigured) {
		exit_stop(vcpu, "its second-stage page tables are damaged: please report this");
		return;
	}
	switch (fault->fetch ? gspace_fetch_fault(space, fault->gpa)
			     : gspace_fault(space, fault->gpa, fault->write)) {
	case GSPACE_FAULT_RETRY:
		vcpu_request(vcpu, VCPU_REQ_TLB_FLUSH);
		break;
	case GSPACE_FAULT_NO_MEMORY:
		stop_without_memory(vcpu);
		break;
	case GSPACE_FAULT_MMIO:
	case GSPACE_FAULT_ROM:
		access_device(vcpu, exit);
		break;
	}
}

void exit_string_io(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct emul_run run;

	begin(&run, vcpu, exit);
	run.c.io_port = exit->io.port;
	run.c.io_size = exit->io.size;
	finish(&run, emulate(&run.c));
}

bool exit_decode_cr(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct emul_run run;
	enum emul_status status;

	begin(&run, vcpu, exit);
	status = emul_cr_access(&run.c, &exit->cr);
	exit->insn_len = run.c.insn.length;
	if (status == EMUL_EXCEPTION || status == EMUL_STOP) {
		finish(&run, status);
	}
	/* Anything else is another instruction by now: the guest runs on from it. */
	return status == EMUL_OK;
}
