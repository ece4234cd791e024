/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and judging machine-check banks. */
#include "hv/cpu/mce.h"

#include <stdatomic.h>

#include "hv/base/bits.h"
#include "hv/base/fmt.h"
#include "hv/base/log.h"
#include "hv/cpu/features.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/msr.h"

#define CAP_COUNT MASK(7, 0)
#define CAP_CTL_P BIT(8)  /* there is an MCG_CTL */
#define CAP_SER_P BIT(24) /* S and AR in a bank's status mean something */

#define MCG_RIPV BIT(0) /* the interrupted code can be resumed */

#define BANK_VAL BIT(63)
#define BANK_OVER BIT(62)
#define BANK_UC BIT(61)
#define BANK_EN BIT(60)
#define BANK_MISCV BIT(59)
#define BANK_ADDRV BIT(58)
#define BANK_PCC BIT(57)
#define BANK_S BIT(56)
#define BANK_AR BIT(55)

#define BANK_CTL(i) (MSR_IA32_MC0_CTL + 4 * (i))
#define BANK_STATUS(i) (MSR_IA32_MC0_CTL + 4 * (i) + 1)
#define BANK_ADDR(i) (MSR_IA32_MC0_CTL + 4 * (i) + 2)
#define BANK_MISC(i) (MSR_IA32_MC0_CTL + 4 * (i) + 3)

static enum mce_verdict worse(enum mce_verdict a, enum mce_verdict b)
{
	return a > b ? a : b;
}

/*
 * "Uncorrected recoverable": S = 0 needs nothing, S = 1 and AR = 0 is damage that nobody has used,
 * AR = 1 is damage that the interrupted code was about to use.
 */
enum mce_verdict mce_judge_bank(uint64_t cap, uint64_t status)
{
	if ((status & BANK_VAL) == 0 || (status & BANK_UC) == 0 || (status & BANK_EN) == 0) {
		return MCE_HARMLESS;
	}
	if ((status & BANK_PCC) != 0 || (cap & CAP_SER_P) == 0) {
		return MCE_FATAL;
	}
	if ((status & BANK_S) == 0 || (status & BANK_AR) == 0) {
		return MCE_HARMLESS;
	}
	/* One error more in the same bank, of which nothing is known. */
	return (status & BANK_OVER) != 0 ? MCE_FATAL : MCE_CODE_LOST;
}

enum mce_verdict mce_judge(uint64_t mcg_status, enum mce_verdict worst_bank)
{
	return worse(worst_bank, (mcg_status & MCG_RIPV) != 0 ? MCE_HARMLESS : MCE_CODE_LOST);
}

void mce_bank_text(const struct mce_bank *b, char *out, size_t size)
{
	const char *what = (b->status & BANK_UC) != 0 ? "uncorrected" : "corrected";

	fmt_snprintf(out, size, "bank %u: status 0x%lx (%s%s%s) address 0x%lx misc 0x%lx", b->index,
		     b->status, what, (b->status & BANK_PCC) != 0 ? ", context corrupt" : "",
		     (b->status & BANK_OVER) != 0 ? ", and more" : "", b->address, b->misc);
}

static unsigned bank_count(uint64_t cap)
{
	return (unsigned)bits_get(cap, CAP_COUNT);
}

void mce_cpu_init(void)
{
	uint64_t cap;

	if (!cpu_features()->mca || !cpu_rdmsr_safe(MSR_IA32_MCG_CAP, &cap)) {
		return;
	}
	if ((cap & CAP_CTL_P) != 0) {
		(void)cpu_wrmsr_safe(MSR_IA32_MCG_CTL, UINT64_MAX);
	}
	for (unsigned i = 0; i < bank_count(cap); i++) {
		(void)cpu_wrmsr_safe(BANK_CTL(i), UINT64_MAX);
		(void)cpu_wrmsr_safe(BANK_STATUS(i), 0);
	}
}

/* An address or misc register exists only when the status says so. */
static struct mce_bank read_bank(unsigned i, uint64_t status)
{
	struct mce_bank b = {.index = i, .status = status};

	if ((status & BANK_ADDRV) != 0) {
		b.address = cpu_rdmsr(BANK_ADDR(i));
	}
	if ((status & BANK_MISCV) != 0) {
		b.misc = cpu_rdmsr(BANK_MISC(i));
	}
	return b;
}

void mce_clear(const struct mce_record *r)
{
	if (!cpu_features()->mca) {
		return;
	}
	for (unsigned i = 0; i < bank_count(r->cap); i++) {
		if ((cpu_rdmsr(BANK_STATUS(i)) & BANK_VAL) != 0) {
			cpu_wrmsr(BANK_STATUS(i), 0);
		}
	}
	/* Last: MCIP. */
	cpu_wrmsr(MSR_IA32_MCG_STATUS, 0);
}

void mce_collect(uint64_t rip, struct mce_record *out)
{
	enum mce_verdict worst = MCE_HARMLESS;

	*out = (struct mce_record){.rip = rip, .verdict = MCE_CODE_LOST};
	if (!cpu_features()->mca) {
		return;
	}
	out->cap = cpu_rdmsr(MSR_IA32_MCG_CAP);
	out->status = cpu_rdmsr(MSR_IA32_MCG_STATUS);
	for (unsigned i = 0; i < bank_count(out->cap); i++) {
		uint64_t status = cpu_rdmsr(BANK_STATUS(i));

		if ((status & BANK_VAL) == 0) {
			continue;
		}
		worst = worse(worst, mce_judge_bank(out->cap, status));
		if (out->count < MCE_BANKS_KEPT) {
			out->bank[out->count] = read_bank(i, status);
		}
		out->count++;
	}
	out->verdict = mce_judge(out->status, worst);
}

void mce_post(struct mce_slot *slot, const struct mce_record *record)
{
	if (atomic_load_explicit(&slot->full, memory_order_acquire) != 0) {
		atomic_fetch_add_explicit(&slot->missed, 1, memory_order_relaxed);
		return;
	}
	slot->record = *record;
	atomic_store_explicit(&slot->full, 1, memory_order_release);
}

static void log_record(const struct mce_record *r, unsigned cpu)
{
	char text[MCE_TEXT_MAX];

	if (r->count == 0) {
		log_event("CPU %u: machine check, and no bank says why (MCG_STATUS 0x%lx)", cpu,
			  r->status);
	}
	for (unsigned i = 0; i < min_u64(r->count, MCE_BANKS_KEPT); i++) {
		mce_bank_text(&r->bank[i], text, sizeof(text));
		log_event("CPU %u: machine check: %s", cpu, text);
	}
}

void mce_report(struct mce_slot *slot, unsigned cpu)
{
	uint32_t missed;

	if (atomic_load_explicit(&slot->full, memory_order_acquire) == 0) {
		return;
	}
	log_record(&slot->record, cpu);
	missed = atomic_exchange_explicit(&slot->missed, 0, memory_order_relaxed);
	if (missed != 0) {
		log_event("CPU %u: %u more machine checks at the same time", cpu, missed);
	}
	atomic_store_explicit(&slot->full, 0, memory_order_release);
}
