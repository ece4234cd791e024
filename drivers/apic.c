/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's local APICs. */
#include "drivers/apic.h"

#include "hv/base/addr.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/base/log.h"
#include "hv/cpu/features.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/percpu.h"
#include "hv/cpu/trap.h"

/* Register offsets in the page; x2APIC's MSR is 0x800 + offset / 16. */
#define APIC_ID 0x020u
#define APIC_VERSION 0x030u
#define APIC_TPR 0x080u
#define APIC_EOI 0x0b0u
#define APIC_SVR 0x0f0u
#define APIC_ISR 0x100u
#define APIC_ESR 0x280u
#define APIC_LVT_CMCI 0x2f0u
#define APIC_ICR 0x300u
#define APIC_ICR_HIGH 0x310u
#define APIC_LVT_TIMER 0x320u
#define APIC_LVT_THERMAL 0x330u
#define APIC_LVT_PERF 0x340u
#define APIC_LVT_LINT0 0x350u
#define APIC_LVT_LINT1 0x360u
#define APIC_LVT_ERROR 0x370u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE 0x3e0u

#define BASE_ADDRESS MASK(51, 12)
#define BASE_ENABLE BIT(11)
#define BASE_X2APIC BIT(10)
#define VERSION_LVT_MAX MASK(23, 16)
#define SVR_ENABLE BIT32(8)
#define LVT_MASKED BIT32(16)
#define LVT_DELIVERY MASK(10, 8)
#define LVT_DELIVERY_SMI 2u
#define LVT_TIMER_DEADLINE BIT32(18)
#define LVT_MAX_THERMAL 5u
#define LVT_MAX_PERF 4u
#define LVT_MAX_CMCI 6u
#define DIVIDE_BY_1 0xbu

#define ICR_FIXED 0x000u
#define ICR_NMI 0x400u
#define ICR_INIT 0x500u
#define ICR_STARTUP 0x600u
#define ICR_PENDING BIT32(12)
#define ICR_ASSERT BIT32(14)

#define XAPIC_ID_ALL 0xffu

#define ISR_WORDS 8u
/* Interrupts that can be nested in service: one per priority class at most, with some to spare. */
#define EOI_MAX 64u
#define ICR_WAIT_READS 1000000u
#define CALIBRATION_ROUNDS 3u
#define CALIBRATION_US 2000u

static struct {
	struct host_apic_config config;
	bool x2apic;
	bool deadline;
	/* Timer ticks per TSC tick, 32.32 fixed point; 0 with TSC deadlines. */
	uint64_t timer_ratio;
	uint64_t timer_horizon; /* TSC ticks that surely fit into the timer's 32 bits */
} apic;

static uint32_t reg_read(unsigned reg)
{
	if (apic.x2apic) {
		return (uint32_t)cpu_rdmsr(MSR_X2APIC_FIRST + reg / 16);
	}
	return cpu_mmio_read32(hva_of_ptr((char *)apic.config.registers + reg));
}

static void reg_write(unsigned reg, uint32_t value)
{
	if (apic.x2apic) {
		cpu_wrmsr(MSR_X2APIC_FIRST + reg / 16, value);
	} else {
		cpu_mmio_write32(hva_of_ptr((char *)apic.config.registers + reg), value);
	}
}

uint64_t host_apic_base(void)
{
	return cpu_rdmsr(MSR_IA32_APIC_BASE) & BASE_ADDRESS;
}

bool host_apic_is_x2apic(void)
{
	return apic.x2apic;
}

bool host_apic_has_deadline(void)
{
	return apic.deadline;
}

uint32_t host_apic_id(void)
{
	uint32_t id = reg_read(APIC_ID);

	return apic.x2apic ? id : id >> 24;
}

void host_apic_eoi(void)
{
	reg_write(APIC_EOI, 0);
}

static bool in_service(unsigned vector)
{
	return (reg_read(APIC_ISR + vector / 32 * 16) >> vector % 32 & 1) != 0;
}

void host_apic_stray(unsigned vector)
{
	if (vector < 256 && in_service(vector)) {
		host_apic_eoi();
	}
	log_debug("external interrupt 0x%x has no handler", vector);
}

/* The error status is latched by a write before it can be read. */
static uint32_t take_errors(void)
{
	reg_write(APIC_ESR, 0);
	return reg_read(APIC_ESR);
}

static void error_interrupt(void)
{
	log_debug("APIC error 0x%x", take_errors());
	host_apic_eoi();
}

/* The spurious vector is not in service: no EOI. */
static void spurious_interrupt(void)
{
}

/* An entry the firmware routes to its SMI handler stays as it is. */
static void mask_lvt(unsigned reg)
{
	uint32_t value = reg_read(reg);

	if (bits_get(value, LVT_DELIVERY) != LVT_DELIVERY_SMI) {
		reg_write(reg, value | LVT_MASKED);
	}
}

static void mask_sources(void)
{
	unsigned lvt_max = (unsigned)bits_get(reg_read(APIC_VERSION), VERSION_LVT_MAX);

	reg_write(APIC_LVT_TIMER, LVT_MASKED);
	reg_write(APIC_LVT_LINT0, LVT_MASKED);
	reg_write(APIC_LVT_LINT1, LVT_MASKED);
	if (lvt_max >= LVT_MAX_PERF) {
		mask_lvt(APIC_LVT_PERF);
	}
	if (lvt_max >= LVT_MAX_THERMAL) {
		mask_lvt(APIC_LVT_THERMAL);
	}
	if (lvt_max >= LVT_MAX_CMCI) {
		mask_lvt(APIC_LVT_CMCI);
	}
}

/* Ends what the firmware had in service, or lower priorities would wait for ever. */
static void end_leftovers(void)
{
	for (unsigned i = 0; i < EOI_MAX; i++) {
		uint32_t any = 0;

		for (unsigned word = 0; word < ISR_WORDS; word++) {
			any |= reg_read(APIC_ISR + word * 16);
		}
		if (any == 0) {
			return;
		}
		host_apic_eoi();
	}
}

static void enable_mode(void)
{
	uint64_t base = cpu_rdmsr(MSR_IA32_APIC_BASE);

	/* From "disabled" x2APIC mode is reached through xAPIC mode only. */
	cpu_wrmsr(MSR_IA32_APIC_BASE, base | BASE_ENABLE);
	if (apic.x2apic) {
		cpu_wrmsr(MSR_IA32_APIC_BASE, base | BASE_ENABLE | BASE_X2APIC);
	}
}

static void set_timer_mode(void)
{
	reg_write(APIC_LVT_TIMER,
		  apic.config.timer_vector | (apic.deadline ? LVT_TIMER_DEADLINE : 0));
	/* The mode must have reached the APIC before the first deadline does. */
	cpu_mfence();
}

static void set_up(void)
{
	enable_mode();
	/* The LVT can be written only while the APIC is enabled. */
	reg_write(APIC_SVR, SVR_ENABLE | apic.config.spurious_vector);
	reg_write(APIC_TPR, 0);
	mask_sources();
	reg_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	(void)take_errors();
	reg_write(APIC_LVT_ERROR, apic.config.error_vector);
	end_leftovers();
	set_timer_mode();
	host_apic_timer_stop();
}

/* Timer ticks per TSC tick, 32.32, over one short run; 0 when the timer stands still. */
static uint64_t calibrate_once(void)
{
	uint64_t want = apic.config.tsc_hz / 1000000 * CALIBRATION_US;
	uint64_t start;
	uint64_t passed;
	uint32_t left;

	reg_write(APIC_TIMER_INITIAL, UINT32_MAX);
	start = cpu_rdtsc();
	do {
		passed = cpu_rdtsc() - start;
	} while (passed < want);
	left = reg_read(APIC_TIMER_CURRENT);
	/* The read comes behind the last look at the TSC by about half of its own duration. */
	passed += (cpu_rdtsc() - start - passed) / 2;
	reg_write(APIC_TIMER_INITIAL, 0);
	return ((uint64_t)(UINT32_MAX - left) << 32) / passed;
}

static enum hv_status calibrate(void)
{
	uint64_t r[CALIBRATION_ROUNDS];

	reg_write(APIC_LVT_TIMER, LVT_MASKED | apic.config.timer_vector);
	for (unsigned i = 0; i < CALIBRATION_ROUNDS; i++) {
		r[i] = calibrate_once();
	}
	apic.timer_ratio = max_u64(min_u64(r[0], r[1]), min_u64(max_u64(r[0], r[1]), r[2]));
	if (apic.timer_ratio == 0) {
		log_error("the local APIC's timer does not run");
		return HV_E_IO;
	}
	set_timer_mode();
	/* Half of what fits, so that neither the product nor the count can overflow. */
	apic.timer_horizon = (BIT(63) - 1) / apic.timer_ratio;
	return HV_OK;
}

static enum hv_status choose_mode(const struct host_apic_config *config)
{
	const struct cpu_features *f = cpu_features();

	apic.config = *config;
	apic.x2apic = f->x2apic;
	apic.deadline = f->tsc_deadline;
	apic.timer_ratio = 0;
	if (!f->apic || (!apic.x2apic && config->registers == NULL)) {
		log_error("this CPU has no local APIC that can be reached");
		return HV_E_UNSUPPORTED;
	}
	return HV_OK;
}

enum hv_status host_apic_init(const struct host_apic_config *config)
{
	enum hv_status status = choose_mode(config);

	CHECK((config->spurious_vector & 0xf) == 0xf);
	if (status != HV_OK) {
		return status;
	}
	trap_set_irq(config->error_vector, error_interrupt);
	trap_set_irq(config->spurious_vector, spurious_interrupt);
	set_up();
	return apic.deadline ? HV_OK : calibrate();
}

void host_apic_init_ap(void)
{
	set_up();
}

bool host_apic_reaches(uint32_t id)
{
	return id < (apic.x2apic ? UINT32_MAX : XAPIC_ID_ALL);
}

/* Two writes, the second of which sends: nothing may come between them. Interrupts are off. */
static void send_xapic(uint32_t id, uint32_t command)
{
	for (unsigned i = 0; i < ICR_WAIT_READS; i++) {
		if ((reg_read(APIC_ICR) & ICR_PENDING) == 0) {
			break;
		}
	}
	reg_write(APIC_ICR_HIGH, id << 24);
	reg_write(APIC_ICR, command);
}

/* What was written to memory before must be visible to the CPU that is interrupted. */
static void send(uint32_t id, uint32_t command)
{
	if (!host_apic_reaches(id)) {
		log_error("APIC ID %u is out of reach", id);
		return;
	}
	cpu_mfence();
	if (apic.x2apic) {
		cpu_wrmsr(MSR_X2APIC_FIRST + APIC_ICR / 16, command | (uint64_t)id << 32);
	} else {
		send_xapic(id, command);
	}
}

void host_apic_send_init(uint32_t id)
{
	send(id, ICR_INIT | ICR_ASSERT);
}

void host_apic_send_startup(uint32_t id, uint8_t page_number)
{
	send(id, ICR_STARTUP | ICR_ASSERT | page_number);
}

void host_apic_send_nmi(uint32_t id)
{
	send(id, ICR_NMI | ICR_ASSERT);
}

void host_apic_send_ipi(uint32_t id, uint8_t vector)
{
	send(id, ICR_FIXED | ICR_ASSERT | vector);
}

/* Rounded up: a timer that fires early makes the handler arm it again for nothing. */
static uint32_t timer_count(uint64_t ticks)
{
	uint64_t product = min_u64(ticks, apic.timer_horizon) * apic.timer_ratio;

	return (uint32_t)((product >> 32) + 1);
}

void host_apic_timer_arm(uint64_t deadline)
{
	/* The timer knows this CPU's TSC only. */
	deadline -= (uint64_t)cpu_this()->tsc_offset;
	if (apic.deadline) {
		/* 0 would disarm. */
		cpu_wrmsr(MSR_IA32_TSC_DEADLINE, deadline != 0 ? deadline : 1);
	} else {
		uint64_t now = cpu_rdtsc();

		reg_write(APIC_TIMER_INITIAL, deadline > now ? timer_count(deadline - now) : 1);
	}
}

void host_apic_timer_stop(void)
{
	if (apic.deadline) {
		cpu_wrmsr(MSR_IA32_TSC_DEADLINE, 0);
	} else {
		reg_write(APIC_TIMER_INITIAL, 0);
	}
}
