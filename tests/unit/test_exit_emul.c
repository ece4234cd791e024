/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory and string I/O through the emulator, in a 64-bit guest with its own page tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guests/layout.h"
#include "hv/api/gmem.h"
#include "hv/exit.h"
#include "mm/frame.h"
#include "mm/pool.h"
#include "tests/fakes/exit_rig.h"

#define LAPIC LAYOUT_LAPIC_BASE
#define IOAPIC LAYOUT_IOAPIC_BASE
#define ECAM LAYOUT_ECAM_BASE
#define HOLE 0xd0000000ull
#define DATA 0x900000ull
#define NO_MEMORY \
	"the machine has no memory left for its page tables, a private copy of a page, or a page " \
	"that it had given back"

#define CODE(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct vm_exit fault_at(uint64_t addr, bool write)
{
	return (struct vm_exit){
		.kind = VM_EXIT_NESTED_FAULT,
		.fault = {.gpa = gpa(addr), .gva = gva(addr), .gva_valid = true, .write = write}};
}

/* The instruction with RBX at the device; it must complete. */
static void run(uint64_t addr, bool write, const uint8_t *code, size_t n)
{
	vm_rig_code(g, code, n);
	vcpu->gpr[GPR_RBX] = addr;
	vm_rig_exit(g, fault_at(addr, write));
	exit_raised_nothing();
	assert_int_equal(vcpu->rip, VM_RIG_CODE + n);
}

static uint64_t peek(uint64_t addr, unsigned size)
{
	uint64_t value = 0;

	assert_int_equal(guest_mem_read(&g->vm, gpa(addr), &value, size), HV_OK);
	return value;
}

static void poke(uint64_t addr, uint64_t value, unsigned size)
{
	assert_int_equal(guest_mem_write(&g->vm, gpa(addr), &value, size), HV_OK);
}

/* --- device memory --- */

static void loads_of_each_width_merge(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RAX] = 0x1122334455667788;
	run(ECAM, false, CODE(0x8a, 0x03)); /* mov al, [rbx] */
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x1122334455667786);
	run(ECAM, false, CODE(0x66, 0x8b, 0x03)); /* mov ax, [rbx] */
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x1122334455668086);
	run(ECAM, false, CODE(0x8b, 0x03)); /* mov eax, [rbx] */
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x29c08086);
	run(ECAM + 2, false, CODE(0x0f, 0xb7, 0x03)); /* movzx eax, word [rbx] */
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x29c0);
}

static void stores_reach_the_device(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RAX] = 0xffffffff000001ff;
	run(LAPIC + 0xf0, true, CODE(0x89, 0x03)); /* mov [rbx], eax */
	vcpu->gpr[GPR_RAX] = 0;
	run(LAPIC + 0xf0, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x1ff);
	vcpu->gpr[GPR_RAX] = 1;
	run(IOAPIC, true, CODE(0x89, 0x03));
	run(IOAPIC + 0x10, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x00170020);
}

static void read_and_write_in_one_instruction(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RAX] = 0xff;
	run(LAPIC + 0xf0, true, CODE(0x89, 0x03));
	run(LAPIC + 0xf0, true, CODE(0x81, 0x0b, 0x00, 0x01, 0x00, 0x00)); /* or [rbx], 0x100 */
	vcpu->gpr[GPR_RAX] = 0x12e;
	run(LAPIC + 0xf0, true, CODE(0x87, 0x03)); /* xchg [rbx], eax */
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x1ff);
	vcpu->gpr[GPR_RAX] = 0x12e;
	vcpu->gpr[GPR_RCX] = 0x130;
	run(LAPIC + 0xf0, true, CODE(0xf0, 0x0f, 0xb1, 0x0b)); /* lock cmpxchg [rbx], ecx */
	assert_true((cpu->regs[VCPU_REG_RFLAGS] & RFLAGS_ZF) != 0);
	run(LAPIC + 0xf0, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x130);
}

/* In the FXSAVE area: XMM1 at 176, MM1 at 48, the abridged tags at 4, the stack's top in 3. */
static void vector_registers_are_the_cpus(void **state)
{
	uint64_t value = 0;

	(void)state;
	cpu->regs[VCPU_REG_CR4] |= CR4_OSFXSR;
	memset(fake_cpu.fx, 0x5a, sizeof(fake_cpu.fx));
	run(ECAM, false, CODE(0x0f, 0x10, 0x0b)); /* movups xmm1, [rbx] */
	memcpy(&value, fake_cpu.fx + 176, 8);
	assert_int_equal(value & 0xffffffff, 0x29c08086);
	assert_int_equal(fake_cpu.fx[175], 0x5a);
	assert_int_equal(fake_cpu.fx[192], 0x5a);
	assert_int_equal(fake_cpu.fx[4], 0x5a);
	run(ECAM, false, CODE(0x0f, 0x6f, 0x0b)); /* movq mm1, [rbx] */
	memcpy(&value, fake_cpu.fx + 48, 8);
	assert_int_equal(value & 0xffffffff, 0x29c08086);
	assert_int_equal(fake_cpu.fx[56] & fake_cpu.fx[57] & fake_cpu.fx[4], 0xff);
	assert_int_equal(fake_cpu.fx[3], 0x5a & ~0x38);
	vcpu->gpr[GPR_RAX] = 0x1ff;
	memcpy(fake_cpu.fx + 176, &vcpu->gpr[GPR_RAX], 8);
	run(LAPIC + 0xf0, true, CODE(0x66, 0x0f, 0x7e, 0x0b)); /* movd [rbx], xmm1 */
	run(LAPIC + 0xf0, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x1ff);
}

static void flags_of_a_comparison_are_the_guests(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RAX] = 0x29c08086;
	run(ECAM, false, CODE(0x3b, 0x03)); /* cmp eax, [rbx] */
	assert_true((cpu->regs[VCPU_REG_RFLAGS] & RFLAGS_ZF) != 0);
	vcpu->gpr[GPR_RAX] = 0;
	run(ECAM, false, CODE(0x3b, 0x03));
	assert_true((cpu->regs[VCPU_REG_RFLAGS] & RFLAGS_ZF) == 0);
	assert_true((cpu->regs[VCPU_REG_RFLAGS] & RFLAGS_CF) != 0);
}

/* CR8 in the hardware and the TPR in the page are one register. */
static void the_task_priority_is_in_step(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RAX] = 0x53;
	run(LAPIC + 0x80, true, CODE(0x89, 0x03));
	assert_int_equal(cpu->regs[VCPU_REG_CR8], 5);
	/* Unchanged by the guest: the low half is still there. */
	run(LAPIC + 0x80, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x53);
	cpu->regs[VCPU_REG_CR8] = 9;
	run(LAPIC + 0x80, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x90);
}

/* Where a backend has put memory behind the xAPIC page, the model answers all the same. */
static void memory_behind_the_lapic_is_not_seen(void **state)
{
	uint8_t *ones = pool_pages(0);
	struct vm_exit exit = fault_at(LAPIC + 0xf0, true);
	hpa_t frame;

	(void)state;
	memset(ones, 0xff, PAGE_SIZE);
	assert_int_equal(gspace_add_page(&g->vm.gspace, LAPIC, pool_hpa(ones), &frame), HV_OK);
	pool_pages_free(ones, 0);
	exit.kind = VM_EXIT_APIC_ACCESS;
	exit.fault.gva_valid = false;
	vcpu->gpr[GPR_RAX] = 0x1f1;
	vm_rig_code(g, CODE(0x89, 0x03));
	vcpu->gpr[GPR_RBX] = LAPIC + 0xf0;
	vm_rig_exit(g, exit);
	exit_raised_nothing();
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
	assert_int_equal(board_lapic(g->board, 0)->svr, 0x1f1);
	exit.fault.write = false;
	vcpu->gpr[GPR_RAX] = 0;
	vm_rig_code(g, CODE(0x8b, 0x03));
	vm_rig_exit(g, exit);
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x1f1);
	/* An exchange is a read and a write, of the register. */
	vcpu->gpr[GPR_RAX] = 0x1f2;
	vm_rig_code(g, CODE(0x87, 0x03));
	vm_rig_exit(g, exit);
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x1f1);
	assert_int_equal(board_lapic(g->board, 0)->svr, 0x1f2);
}

static void code_in_the_lapics_page(void **state)
{
	struct vm_exit exit = fault_at(LAPIC, false);

	(void)state;
	exit.kind = VM_EXIT_APIC_ACCESS;
	exit.fault.fetch = true;
	vm_rig_exit(g, exit);
	exit_stopped("jumped to 0xfee00000, where there is no memory");
}

static void nothing_reads_ones_and_swallows(void **state)
{
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		vcpu->gpr[GPR_RAX] = 0;
		run(HOLE + i * 4, false, CODE(0x48, 0x8b, 0x03)); /* mov rax, [rbx] */
		assert_true(vcpu->gpr[GPR_RAX] == ~0ull);
		run(HOLE + i * 4, true, CODE(0x48, 0x89, 0x03));
	}
	assert_int_equal(g->vm.mmio.unclaimed.total, 100);
	for (const char *s = vm_rig_text(); (s = strstr(s, "no device")) != NULL; s++) {
		lines++;
	}
	assert_in_range(lines, 1, 40);
	assert_non_null(strstr(vm_rig_text(), "web: address 0xd0000000: no device or register, "
					      "reads 0xffffffffffffffff"));
}

static void an_access_may_leave_its_device(void **state)
{
	(void)state;
	run(ECAM + LAYOUT_ECAM_SIZE - 2, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0xffffffff);
	/* And page boundaries between nothing and nothing. */
	run(HOLE + PAGE_SIZE - 3, true, CODE(0x48, 0x89, 0x03));
}

static void writes_to_rom_are_dropped(void **state)
{
	(void)state;
	poke(DATA, 0x77, 8);
	/* mov [rbx], rax; ... lock cmpxchg [rbx], rcx */
	vm_rig_code(g, CODE(0x48, 0x89, 0x03, 0x90, 0x90, 0x90, 0x90, 0x90, 0xf0, 0x48, 0x0f, 0xb1,
			    0x0b));
	assert_int_equal(gspace_make_rom(&g->vm.gspace, LAYOUT_HIGH_BASE), HV_E_NOT_FOUND);
	assert_int_equal(gspace_make_rom(&g->vm.gspace, LAYOUT_ROM_BASE), HV_OK);
	vcpu->gpr[GPR_RBX] = DATA;
	vcpu->gpr[GPR_RAX] = 5;
	vm_rig_exit(g, fault_at(DATA, true));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 3);
	assert_int_equal(peek(DATA, 8), 0x77);
	/* Exchanges too, which compare with what is there. */
	assert_int_equal(vcpu->gpr[GPR_RAX], 5);
	vcpu->rip = VM_RIG_CODE + 8;
	vcpu->gpr[GPR_RAX] = 0x77;
	vcpu->gpr[GPR_RCX] = 9;
	vm_rig_exit(g, fault_at(DATA, true));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 13);
	assert_true((cpu->regs[VCPU_REG_RFLAGS] & RFLAGS_ZF) != 0);
	assert_int_equal(peek(DATA, 8), 0x77);
	assert_int_equal(g->vm.mmio.unclaimed.total, 0);
}

/* A device that lies where a ROM is. */
#define CHIP 0xffc00000ull
static struct {
	struct vdev dev;
	uint64_t offset;
	uint64_t written;
} chip;

static uint64_t chip_read(struct vdev *dev, const struct vdev_access *a)
{
	(void)dev;
	return 0xd0 + a->offset;
}

static void chip_write(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	(void)dev;
	chip.offset = a->offset;
	chip.written = value;
}

static void a_device_takes_a_roms_writes(void **state)
{
	static const struct vdev_ops ops = {.name = "chip", .read = chip_read, .write = chip_write};

	(void)state;
	chip.dev.ops = &ops;
	assert_int_equal(gspace_add_rom(&g->vm.gspace, CHIP, PAGE_SIZE), HV_OK);
	assert_int_equal(bus_register(&g->vm.mmio, CHIP, PAGE_SIZE, &chip.dev), HV_OK);
	assert_int_equal(guest_rom_write(&g->vm, gpa(CHIP), "\x55", 1), HV_OK);
	vcpu->gpr[GPR_RAX] = 0x1234;
	run(CHIP + 8, true, CODE(0x89, 0x03));
	assert_int_equal(chip.offset, 8);
	assert_int_equal(chip.written, 0x1234);
	/* An instruction that also reads finds the memory, or the device once that is hidden. */
	run(CHIP, true, CODE(0x83, 0x03, 0x01)); /* add dword [rbx], 1 */
	assert_int_equal(chip.written, 0x56);
	assert_int_equal(gspace_hide_rom(&g->vm.gspace, CHIP), HV_OK);
	run(CHIP + 4, true, CODE(0x83, 0x03, 0x01));
	assert_int_equal(chip.written, 0xd5);
	run(CHIP + 4, false, CODE(0x8b, 0x03));
	assert_int_equal(vcpu->gpr[GPR_RAX], 0xd4);
}

static void bytes_of_the_hardware_are_used(void **state)
{
	struct vm_exit e = fault_at(ECAM, false);

	(void)state;
	/* In memory stands something else by now. */
	vm_rig_code(g, CODE(0x90, 0x90, 0x90));
	e.insn_bytes_count = 15;
	e.insn_bytes[0] = 0x8b;
	e.insn_bytes[1] = 0x03;
	vcpu->gpr[GPR_RBX] = ECAM;
	vm_rig_exit(g, e);
	assert_int_equal(vcpu->gpr[GPR_RAX], 0x29c08086);
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
}

static void single_step_traps_behind_it(void **state)
{
	(void)state;
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_TF;
	cpu->shadow = true;
	vm_rig_code(g, CODE(0x8b, 0x03));
	vcpu->gpr[GPR_RBX] = ECAM;
	vm_rig_exit(g, fault_at(ECAM, false));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
	assert_int_equal(vcpu->events.exception_payload, DR6_BS);
	exit_raised(EXC_DB, -1);
	assert_false(cpu->shadow);
}

/* The guest rewrote its instruction meanwhile: it works on memory, and in one piece. */
static void an_exchange_may_be_on_memory_by_now(void **state)
{
	static const struct {
		uint8_t code[5];
		size_t n;
		uint64_t mask;
	} widths[] = {
		{{0xf0, 0x0f, 0xb0, 0x0b}, 4, 0xff},
		{{0x66, 0xf0, 0x0f, 0xb1, 0x0b}, 5, 0xffff},
		{{0xf0, 0x0f, 0xb1, 0x0b}, 4, 0xffffffff},
		{{0xf0, 0x48, 0x0f, 0xb1, 0x0b}, 5, ~0ull},
	};
	const uint64_t old = 0x1122334455667788;
	const uint64_t new = 0xa1a2a3a4a5a6a7a8;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		/* Aligned, and across every boundary there is. */
		for (uint64_t at = DATA; at < DATA + 10; at++) {
			poke(at, old, 8);
			vcpu->gpr[GPR_RAX] = old & widths[i].mask;
			vcpu->gpr[GPR_RCX] = new;
			vm_rig_code(g, widths[i].code, widths[i].n);
			vcpu->gpr[GPR_RBX] = at;
			vm_rig_exit(g, fault_at(ECAM + 0x800, true));
			assert_int_equal(vcpu->rip, VM_RIG_CODE + widths[i].n);
			assert_true((cpu->regs[VCPU_REG_RFLAGS] & RFLAGS_ZF) != 0);
			assert_true(peek(at, 8) ==
				    ((old & ~widths[i].mask) | (new &widths[i].mask)));
		}
	}
	/* Across a page, too. */
	poke(DATA + PAGE_SIZE - 3, old, 8);
	vcpu->gpr[GPR_RAX] = old;
	vcpu->gpr[GPR_RCX] = new;
	vm_rig_code(g, widths[3].code, widths[3].n);
	vcpu->gpr[GPR_RBX] = DATA + PAGE_SIZE - 3;
	vm_rig_exit(g, fault_at(ECAM + 0x800, true));
	assert_true(peek(DATA + PAGE_SIZE - 3, 8) == new);
}

static void segments_count_outside_of_64_bit_mode(void **state)
{
	(void)state;
	exit_mode(true);
	cpu->segs[VCPU_SEG_DS] = (struct vcpu_segment){.limit = ~0u, .attr = 0xc093};
	cpu->segs[VCPU_SEG_ES] = cpu->segs[VCPU_SEG_FS] = cpu->segs[VCPU_SEG_DS];
	cpu->segs[VCPU_SEG_FS].base = (uint32_t)ECAM;
	vm_rig_code(g, CODE(0x64, 0x66, 0x8b, 0x03)); /* mov ax, fs:[ebx] */
	vcpu->gpr[GPR_RBX] = 2;
	vm_rig_exit(g, fault_at(ECAM + 2, false));
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 4);
	assert_int_equal(vcpu->gpr[GPR_RAX] & 0xffff, 0x29c0);
	/* Beyond the limit the access faults as on the CPU. */
	cpu->segs[VCPU_SEG_FS].limit = 0xfff;
	vm_rig_code(g, CODE(0x64, 0x8b, 0x03));
	vcpu->gpr[GPR_RBX] = 0x2000;
	vm_rig_exit(g, fault_at(ECAM + 0x2000, false));
	exit_raised(EXC_GP, 0);
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
}

/* The instruction at RIP did not make the access: a guest would get on by it for ever. */
static void delivery_through_a_hole_ends_it(void **state)
{
	struct vm_exit e = fault_at(ECAM, true);

	(void)state;
	vm_rig_code(g, CODE(0x88, 0x07)); /* mov [rdi], al */
	vcpu->gpr[GPR_RDI] = ECAM;
	e.vectoring = (struct vcpu_event){.type = VCPU_EVENT_EXCEPTION, .vector = EXC_UD};
	vm_rig_exit(g, e);
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	exit_stopped("event delivery through 0xe0000000, where there is no memory");
}

static void a_damaged_entry_is_no_endless_retry(void **state)
{
	struct vm_exit e = fault_at(DATA, false);

	(void)state;
	e.fault.misconfigured = true;
	vm_rig_exit(g, e);
	exit_stopped("its second-stage page tables are damaged: please report this");
}

/* --- strings --- */

static void strings_between_device_and_memory(void **state)
{
	(void)state;
	/* 8259 state has no order; PCI configuration space does. */
	vm_rig_code(g, CODE(0xf3, 0xa5)); /* rep movsd */
	vcpu->gpr[GPR_RSI] = ECAM;
	vcpu->gpr[GPR_RDI] = DATA;
	vcpu->gpr[GPR_RCX] = 16;
	vm_rig_exit(g, fault_at(ECAM, false));
	assert_int_equal(vcpu->gpr[GPR_RCX], 0);
	assert_int_equal(vcpu->gpr[GPR_RSI], ECAM + 64);
	assert_int_equal(vcpu->gpr[GPR_RDI], DATA + 64);
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
	assert_int_equal(peek(DATA, 4), 0x29c08086);
	assert_int_equal(peek(DATA + 8, 4) >> 24, 0x06); /* a bridge */
	vm_rig_code(g, CODE(0xa5));			 /* movsd, to the IOAPIC's index */
	poke(DATA, 1, 4);
	vcpu->gpr[GPR_RSI] = DATA;
	vcpu->gpr[GPR_RDI] = IOAPIC;
	vm_rig_exit(g, fault_at(IOAPIC, true));
	assert_int_equal(g->board->ioapic.select, 1);
}

static void a_fault_in_the_middle_keeps_what_was_done(void **state)
{
	const uint64_t table = 0x9000;
	uint64_t pde;
	uint64_t at;

	(void)state;
	/* Take the 2 MiB page behind DATA's out of the page tables. */
	at = peek(peek(table, 8) & ~0xfffull, 8) & ~0xfffull;
	pde = peek(at + (0xa00000 >> 21) * 8, 8);
	assert_true((pde & PTE_PS) != 0);
	poke(at + (0xa00000 >> 21) * 8, 0, 8);
	vm_rig_code(g, CODE(0xf3, 0xa5));
	vcpu->gpr[GPR_RSI] = ECAM;
	vcpu->gpr[GPR_RDI] = 0xa00000 - 8;
	vcpu->gpr[GPR_RCX] = 5;
	vm_rig_exit(g, fault_at(ECAM, false));
	assert_int_equal(vcpu->events.exception_payload, 0xa00000);
	exit_raised(EXC_PF, PF_WRITE);
	assert_int_equal(vcpu->gpr[GPR_RCX], 3);
	assert_int_equal(vcpu->gpr[GPR_RDI], 0xa00000);
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	assert_int_equal(peek(0xa00000 - 8, 4), 0x29c08086);
}

static struct vm_exit string_io(uint16_t port, uint8_t size, bool in)
{
	return (struct vm_exit){
		.kind = VM_EXIT_IO,
		.io = {.port = port, .size = size, .in = in, .string = true, .rep = true}};
}

static void rep_outs_prints_a_line(void **state)
{
	static const char text[] = "from OUTS\n";

	(void)state;
	assert_int_equal(guest_mem_write(&g->vm, gpa(DATA), text, sizeof(text)), HV_OK);
	vm_rig_code(g, CODE(0xf3, 0x6e)); /* rep outsb */
	vcpu->gpr[GPR_RDX] = 0x3f8;
	vcpu->gpr[GPR_RSI] = DATA;
	vcpu->gpr[GPR_RCX] = sizeof(text) - 1;
	vm_rig_exit(g, string_io(0x3f8, 1, false));
	assert_string_equal(vm_rig_text(), "web| from OUTS\r\n");
	assert_int_equal(vcpu->gpr[GPR_RCX], 0);
	assert_int_equal(vcpu->gpr[GPR_RSI], DATA + sizeof(text) - 1);
	assert_int_equal(vcpu->rip, VM_RIG_CODE + 2);
}

static void ins_of_each_width(void **state)
{
	(void)state;
	vcpu->gpr[GPR_RDI] = DATA;
	assert_true(bus_write(&g->vm.pio, 0xcf8, 4, 0, 0x80000000));
	vcpu->gpr[GPR_RDX] = 0xcfc;
	vm_rig_code(g, CODE(0x6d)); /* insd */
	vm_rig_exit(g, string_io(0xcfc, 4, true));
	assert_int_equal(peek(DATA, 8), 0x29c08086);
	vm_rig_code(g, CODE(0x66, 0x6d)); /* insw */
	vm_rig_exit(g, string_io(0xcfc, 2, true));
	assert_int_equal(peek(DATA + 4, 4), 0x8086);
	assert_int_equal(vcpu->gpr[GPR_RDI], DATA + 6);
	/* Downwards, and nobody there. */
	cpu->regs[VCPU_REG_RFLAGS] |= RFLAGS_DF;
	vcpu->gpr[GPR_RDX] = 0x5658;
	vcpu->gpr[GPR_RCX] = 3;
	vm_rig_code(g, CODE(0xf3, 0x6c)); /* rep insb */
	vm_rig_exit(g, string_io(0x5658, 1, true));
	assert_int_equal(vcpu->gpr[GPR_RDI], DATA + 3);
	assert_int_equal(peek(DATA + 4, 3), 0xffffff);
}

/* However long: other guests and timers must get their turn. */
static void huge_counts_come_back_in_between(void **state)
{
	unsigned exits = 0;

	(void)state;
	vm_rig_code(g, CODE(0xf3, 0x6c));
	vcpu->gpr[GPR_RDX] = 0x5658;
	vcpu->gpr[GPR_RDI] = DATA;
	vcpu->gpr[GPR_RCX] = 100000;
	while (vcpu->rip == VM_RIG_CODE) {
		uint64_t before = vcpu->gpr[GPR_RCX];

		vm_rig_exit(g, string_io(0x5658, 1, true));
		exit_raised_nothing();
		assert_true(vcpu->gpr[GPR_RCX] < before);
		exits++;
	}
	assert_in_range(exits, 2, 100000);
	assert_int_equal(vcpu->gpr[GPR_RCX], 0);
	assert_int_equal(vcpu->gpr[GPR_RDI], DATA + 100000);
}

/* --- what cannot go on --- */

static void page_tables_where_nothing_is(void **state)
{
	struct vm_exit e = fault_at(0x20000000, false);

	(void)state;
	e.fault.table_walk = true;
	vm_rig_exit(g, e);
	exit_stopped("page table at 0x20000000, where there is no memory");
}

static void a_jump_to_where_nothing_is(void **state)
{
	struct vm_exit e = fault_at(HOLE, false);

	(void)state;
	e.fault.fetch = true;
	vm_rig_exit(g, e);
	exit_stopped("jumped to 0xd0000000, where there is no memory");
}

static void code_behind_no_page_tables(void **state)
{
	(void)state;
	vm_rig_code(g, CODE(0x8b, 0x03));
	cpu->regs[VCPU_REG_CR3] = 0x30000000;
	vm_rig_exit(g, fault_at(ECAM, false));
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_true(
		span_starts(span_of(g->reason), "code or page tables outside of memory at rip"));
}

static void an_instruction_that_is_not_emulated(void **state)
{
	(void)state;
	vm_rig_code(g, CODE(0xd9, 0x03)); /* fld dword [rbx] */
	vcpu->gpr[GPR_RBX] = ECAM;
	vm_rig_exit(g, fault_at(ECAM, false));
	assert_int_equal(g->state, GUEST_STOPPING);
	assert_true(span_starts(span_of(g->reason), "instruction on device memory not emulated at "
						    "rip 0x800000: d9 03"));
	/* And the rest of the bytes at RIP, as far as the reason has room. */
	assert_true(strlen(g->reason) < GUEST_REASON_MAX);
}

/* --- memory that a device shows when it was asked often enough --- */

static unsigned reads_left;

static uint64_t read_hidden(struct vdev *dev, const struct vdev_access *a)
{
	const struct gspace_view wanted = {.base = LAYOUT_VIDEO_BASE, .size = PAGE_SIZE};

	(void)dev;
	assert_true(a->addr == LAYOUT_VIDEO_BASE + 8 && a->size == 8);
	if (--reads_left == 0) {
		assert_int_equal(gspace_show_devmem(&g->vm.gspace, 0, &wanted), HV_OK);
	}
	return 0;
}

static void write_hidden(struct vdev *dev, const struct vdev_access *a, uint64_t value)
{
	(void)dev;
	(void)a;
	(void)value;
	fail();
}

static void vmovdqu_to_the_device(unsigned reads)
{
	static const struct vdev_ops ops = {
		.name = "hidden", .read = read_hidden, .write = write_hidden};
	static struct vdev dev = {.ops = &ops};
	uint64_t offset;

	reads_left = reads;
	assert_int_equal(gspace_add_devmem(&g->vm.gspace, PAGE_SIZE, &offset), HV_OK);
	assert_int_equal(bus_register(&g->vm.mmio, LAYOUT_VIDEO_BASE, LAYOUT_VIDEO_SIZE, &dev),
			 HV_OK);
	vm_rig_code(g, CODE(0xc5, 0xfe, 0x7f, 0x03)); /* vmovdqu [rbx], ymm0 */
	vcpu->gpr[GPR_RBX] = LAYOUT_VIDEO_BASE + 12;
	vm_rig_exit(g, fault_at(LAYOUT_VIDEO_BASE + 12, true));
}

static void the_cpu_does_it_when_memory_is_shown(void **state)
{
	(void)state;
	vmovdqu_to_the_device(16);
	exit_raised_nothing();
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
	assert_int_equal(vcpu->rip, VM_RIG_CODE);
	assert_int_equal(g->state, GUEST_RUNNING);
}

static void it_does_not_wait_for_ever(void **state)
{
	(void)state;
	vmovdqu_to_the_device(1000);
	assert_int_equal(reads_left, 1000 - 32);
	assert_int_equal(g->state, GUEST_STOPPING);
}

/* --- copy-on-write --- */

static void a_shared_page_is_copied_and_retried(void **state)
{
	(void)state;
	poke(DATA, 0x1234, 8);
	assert_int_equal(gspace_share(&g->vm.gspace, 0x800000, MIB(2)), HV_OK);
	vcpu->rip = 0x1000;
	vm_rig_exit(g, fault_at(DATA, true));
	assert_true(exit_requested(VCPU_REQ_TLB_FLUSH));
	assert_int_equal(vcpu->rip, 0x1000);
	assert_int_equal(g->vm.gspace.cow_frames, 511);
	assert_int_equal(peek(DATA, 8), 0x1234);
	/* The other holder, who does not exist here, keeps its references. */
	vm_rig_end(g);
}

/* Where large pages may not hold code, a guest that executes there goes on: no hole, no copy. */
static void code_in_a_large_page_runs_on(void **state)
{
	struct vm_exit e = fault_at(DATA, false);
	struct pt_leaf leaf;

	(void)state;
	assert_true(pt_lookup(&g->vm.gspace.stage2, DATA, &leaf));
	assert_int_equal(leaf.size, PAGE_SIZE_2M);
	leaf.attr.rights = PT_RW;
	assert_int_equal(pt_protect(&g->vm.gspace.stage2, leaf.va, leaf.size, leaf.attr), HV_OK);
	g->vm.gspace.code_level = PT_LEVEL_4K;
	g->vm.gspace.stage2.changed = false;
	e.fault.fetch = true;
	vm_rig_exit(g, e);
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_true(pt_lookup(&g->vm.gspace.stage2, DATA, &leaf));
	assert_int_equal(leaf.size, PAGE_SIZE);
	assert_int_equal(leaf.attr.rights, PT_RWX);
}

/* Leaves no memory to the machine: last, and in a machine of its own. */
static void no_memory_for_a_copy_stops_the_guest(void **state)
{
	(void)state;
	exit_machine(state);
	exit_setup(state);
	assert_int_equal(gspace_share(&g->vm.gspace, 0x800000, MIB(2)), HV_OK);
	while (pool_pages(0) != NULL) {
	}
	vm_rig_exit(g, fault_at(DATA, true));
	exit_stopped(NO_MEMORY);
	vm_rig_work();
}

/* A hole is filled for the guest and for the emulator, and without frames for neither. */
static void no_memory_for_a_hole_stops_the_guest(void **state)
{
	uint64_t done;

	(void)state;
	exit_machine(state);
	exit_setup(state);
	assert_int_equal(gspace_allow_release(&g->vm.gspace), HV_OK);
	poke(DATA, 5, 8);
	vm_rig_code(g, CODE(0x8b, 0x03));
	assert_int_equal(gspace_release(&g->vm.gspace, VM_RIG_CODE, MIB(2), &done), HV_OK);
	while (gspace_release_step(&g->vm.gspace, MIB(2)) != GSPACE_RELEASE_DONE) {
	}
	vm_rig_exit(g, fault_at(DATA, false));
	assert_int_equal(g->state, GUEST_RUNNING);
	assert_int_equal(peek(DATA, 8), 0);
	assert_int_equal(gspace_release(&g->vm.gspace, VM_RIG_CODE, MIB(2), &done), HV_OK);
	while (gspace_release_step(&g->vm.gspace, MIB(2)) != GSPACE_RELEASE_DONE) {
	}
	while (pool_pages(0) != NULL) {
	}
	/* The emulator wants the instruction. */
	vm_rig_exit(g, fault_at(ECAM, false));
	exit_stopped(NO_MEMORY);
	vm_rig_work();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXIT_TEST(loads_of_each_width_merge),
		EXIT_TEST(stores_reach_the_device),
		EXIT_TEST(read_and_write_in_one_instruction),
		EXIT_TEST(vector_registers_are_the_cpus),
		EXIT_TEST(flags_of_a_comparison_are_the_guests),
		EXIT_TEST(the_task_priority_is_in_step),
		EXIT_TEST(memory_behind_the_lapic_is_not_seen),
		EXIT_TEST(code_in_the_lapics_page),
		EXIT_TEST(nothing_reads_ones_and_swallows),
		EXIT_TEST(an_access_may_leave_its_device),
		EXIT_TEST(writes_to_rom_are_dropped),
		EXIT_TEST(a_device_takes_a_roms_writes),
		EXIT_TEST(bytes_of_the_hardware_are_used),
		EXIT_TEST(single_step_traps_behind_it),
		EXIT_TEST(an_exchange_may_be_on_memory_by_now),
		EXIT_TEST(segments_count_outside_of_64_bit_mode),
		EXIT_TEST(delivery_through_a_hole_ends_it),
		EXIT_TEST(a_damaged_entry_is_no_endless_retry),
		EXIT_TEST(strings_between_device_and_memory),
		EXIT_TEST(a_fault_in_the_middle_keeps_what_was_done),
		EXIT_TEST(rep_outs_prints_a_line),
		EXIT_TEST(ins_of_each_width),
		EXIT_TEST(huge_counts_come_back_in_between),
		EXIT_TEST(page_tables_where_nothing_is),
		EXIT_TEST(a_jump_to_where_nothing_is),
		EXIT_TEST(code_behind_no_page_tables),
		EXIT_TEST(an_instruction_that_is_not_emulated),
		EXIT_TEST(the_cpu_does_it_when_memory_is_shown),
		EXIT_TEST(it_does_not_wait_for_ever),
		EXIT_TEST(code_in_a_large_page_runs_on),
		cmocka_unit_test_setup(a_shared_page_is_copied_and_retried, exit_setup),
		cmocka_unit_test(no_memory_for_a_copy_stops_the_guest),
		cmocka_unit_test(no_memory_for_a_hole_stops_the_guest),
	};

	return cmocka_run_group_tests(tests, exit_machine, NULL);
}
