/* SPDX-License-Identifier: Apache-2.0 */
/* The boot CPU's side of starting another one, and the new CPU's first C code. */
#include "hv/cpu/ap_start.h"

#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/log.h"
#include "hv/base/str.h"
#include "hv/cpu/ap_mailbox.h"
#include "hv/cpu/features.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/regs.h"
#include "hv/cpu/trap.h"

#define TRAMPOLINE_LIMIT MIB(1)

#define GDT_FLAT_CODE64 0x00af9b000000ffffull
#define GDT_FLAT_CODE32 0x00cf9b000000ffffull
#define GDT_FLAT_DATA 0x00cf93000000ffffull
#define SELECTOR_CODE64 0x08u
#define SELECTOR_CODE32 0x10u

/*
 * Delays by the MP start-up example, and how long a CPU may take: as a thread of a busy host it may
 * have to wait for its turn.
 */
#define INIT_DELAY_US 10000u
#define STARTUP_DELAY_US 200u
#define ANSWER_LIMIT_US 5000000u

extern const char ap_trampoline[];
extern const char ap_trampoline_start32[];
extern const char ap_trampoline_start64[];
extern const char ap_trampoline_end[];
extern const char ap_lost[];

static const struct ap_start *config;
static struct ap_mailbox *mailbox;
/* What the boot CPU runs with and the others shall too. */
static struct {
	uint64_t cr0;
	uint64_t cr4;
	uint64_t pat;
} shared;

/*
 * CR3 takes only 32 bits before long mode is on, and the real tables may lie above 4 GiB. So the
 * trampoline page is its own page table, at all four levels at once: linear addresses below 2 MiB
 * use entry 0 of levels 4, 3 and 2, which points back at this page, and entry `page number` of
 * level 1, which maps it.
 *
 * Entry 0 is also where a start-up IPI begins to execute. Bits 11:8 and 62:52 of an entry are
 * ignored, and in real mode, registers being zero after INIT, these bytes do no harm:
 *
 *	25 00 PP	and $page >> 8, %ax	present, user, accessed; page address
 *	00 00		add %al, (%bx,%si)	adds zero to the byte at 0
 *	00 c0		add %al, %al
 *	40		inc %ax
 *
 * (The page address is below 1 MiB, so its bits are within the second and third byte.) Execution
 * goes on with the jump at offset 8, which is entry 1: hence no trampoline at 0x1000.
 */
#define ENTRY0_CODE 0x40c0000000000025ull
#define ENTRY_LEAF (PTE_P | PTE_W | PTE_A | PTE_D)

static void write_page_table(uint64_t page, void *memory)
{
	uint64_t self = page | ENTRY0_CODE;
	uint64_t leaf = page | ENTRY_LEAF;

	memcpy(memory, &self, sizeof(self));
	memcpy((char *)memory + (page >> PAGE_SHIFT) * sizeof(leaf), &leaf, sizeof(leaf));
}

static uint32_t linear(uint64_t page, const char *label)
{
	return (uint32_t)(page + ((uintptr_t)label - (uintptr_t)ap_trampoline));
}

static void fill_mailbox(struct ap_mailbox *m, uint64_t page)
{
	uint64_t efer = cpu_rdmsr(MSR_EFER);

	*m = (struct ap_mailbox){
		.slot = AP_SLOT_CLOSED,
		.efer = (uint32_t)(efer & EFER_NXE) | (uint32_t)EFER_LME,
		.cr3 = config->cr3,
		.lost = (uint64_t)(uintptr_t)ap_lost,
		.gdt = {0, GDT_FLAT_CODE64, GDT_FLAT_CODE32, GDT_FLAT_DATA},
		.gdt_ptr = {.limit = sizeof(m->gdt) - 1,
			    .base = page + AP_MAILBOX_OFFSET + offsetof(struct ap_mailbox, gdt)},
		.far32 = {linear(page, ap_trampoline_start32), SELECTOR_CODE32},
		.far64 = {linear(page, ap_trampoline_start64), SELECTOR_CODE64},
	};
}

enum hv_status ap_start_prepare(const struct ap_start *start)
{
	uint64_t page = start->trampoline.v;
	uintptr_t code = (uintptr_t)ap_trampoline_end - (uintptr_t)ap_trampoline;

	if (page < 2 * PAGE_SIZE || page >= TRAMPOLINE_LIMIT || !is_aligned(page, PAGE_SIZE)) {
		log_warn("no usable page for starting processors (0x%llx)",
			 (unsigned long long)page);
		return HV_E_UNSUPPORTED;
	}
	CHECK(code <= PAGE_SIZE);
	config = start;
	shared.cr0 = cpu_read_cr0();
	shared.cr4 = cpu_read_cr4();
	shared.pat = cpu_rdmsr(MSR_IA32_PAT);
	memset(start->page, 0, PAGE_SIZE);
	memcpy(start->page, ap_trampoline, code);
	write_page_table(page, start->page);
	mailbox = (void *)((char *)start->page + AP_MAILBOX_OFFSET);
	fill_mailbox(mailbox, page);
	return HV_OK;
}

/* The new CPU's first C code; it owns the mailbox from taking it until it says "online". */
static void ap_entry(struct cpu_local *cpu)
{
	cpu_write_cr0(shared.cr0);
	cpu_write_cr4(shared.cr4);
	cpu_wrmsr(MSR_IA32_PAT, shared.pat);
	percpu_activate(cpu);
	trap_load();
	if (cpu_apic_id() != cpu->apic_id) {
		cpu_set_state(cpu, CPU_FAILED);
		cpu_stop();
	}
	cpu_set_state(cpu, CPU_ONLINE);
	config->main(cpu);
	cpu_stop();
}

static uint64_t ticks(uint64_t us)
{
	return config->tsc_hz / 1000000 * us;
}

static void delay(uint64_t us)
{
	uint64_t start = cpu_rdtsc();

	while (cpu_rdtsc() - start < ticks(us)) {
		__builtin_ia32_pause();
	}
}

/* Until the new CPU is online or has failed; false when neither happened in time. */
static bool wait_for(const struct cpu_local *cpu, uint64_t us)
{
	uint64_t start = cpu_rdtsc();

	do {
		if (cpu_get_state(cpu) != CPU_STARTING) {
			return true;
		}
		__builtin_ia32_pause();
	} while (cpu_rdtsc() - start < ticks(us));
	return false;
}

/* Waiting once for all: ten milliseconds each would be seconds on a large machine. */
void ap_start_reset(void)
{
	CHECK(config != NULL);
	for (unsigned i = 0; i < percpu_count(); i++) {
		if (cpu_get_state(percpu_get(i)) == CPU_OFFLINE) {
			config->send_init(percpu_get(i)->apic_id);
		}
	}
	delay(INIT_DELAY_US);
}

static void send_startup(const struct cpu_local *cpu)
{
	uint8_t number = (uint8_t)(config->trampoline.v >> PAGE_SHIFT);

	config->send_startup(cpu->apic_id, number);
	if (!wait_for(cpu, STARTUP_DELAY_US)) {
		/* Ignored by a CPU that has heard the first. */
		config->send_startup(cpu->apic_id, number);
	}
}

/* Takes the offer back. False when somebody has accepted it in the meantime. */
static bool close_mailbox(void)
{
	uint32_t open = AP_SLOT_OPEN;

	return atomic_compare_exchange_strong(&mailbox->slot, &open, AP_SLOT_CLOSED);
}

static enum hv_status give_up(struct cpu_local *cpu, const char *why)
{
	cpu_set_state(cpu, CPU_FAILED);
	log_warn("processor with APIC ID %u not started: %s", cpu->apic_id, why);
	return HV_E_IO;
}

enum hv_status ap_start_cpu(struct cpu_local *cpu)
{
	CHECK(config != NULL && cpu_get_state(cpu) == CPU_OFFLINE);
	mailbox->stack = cpu->stack_high;
	mailbox->argument = (uint64_t)(uintptr_t)cpu;
	mailbox->entry = (uint64_t)(uintptr_t)ap_entry;
	cpu_set_state(cpu, CPU_STARTING);
	atomic_store(&mailbox->slot, AP_SLOT_OPEN);
	send_startup(cpu);
	if (!wait_for(cpu, ANSWER_LIMIT_US) &&
	    (close_mailbox() || !wait_for(cpu, ANSWER_LIMIT_US))) {
		/* Back to waiting for a SIPI: whatever it does now, it will not run any more. */
		config->send_init(cpu->apic_id);
		return give_up(cpu, "no answer");
	}
	return cpu_get_state(cpu) == CPU_FAILED ? give_up(cpu, "another processor answered")
						: HV_OK;
}
