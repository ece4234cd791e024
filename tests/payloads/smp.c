/* SPDX-License-Identifier: Apache-2.0 */
/* Several processors: starting and stopping them, messages between them, and what they share. */
#include "hv/base/bits.h"
#include "hv/cpu/msr.h"
#include "tests/payloads/cases.h"
#include "tests/payloads/hw.h"
#include "tests/payloads/rt.h"
#include "tests/payloads/rt_smp.h"

#define VECTOR 0x61u
#define VECTOR_FLUSH 0x71u
#define VECTOR_NMI 2u
#define APIC_BASE_EN BIT(11)
#define APIC_BASE_EXTD BIT(10)
#define APIC_LDR 0xd0u
#define APIC_DFR 0xe0u
#define DFR_FLAT 0xffffffffu
#define DFR_CLUSTER 0x0fffffffu
#define SELF_IPI_MSR 0x83fu
#define IOAPIC 0xfec00000ull
#define IOAPIC_WINDOW 0x10u
#define BUSY_PRIORITY 0x30u
#define OPCODE_HLT 0xf4u

/* No two processors' in one cache line. */
struct __attribute__((aligned(64))) per_cpu {
	_Atomic uint64_t hits; /* VECTOR */
	_Atomic uint64_t nmis;
	_Atomic uint64_t flushes;
	_Atomic uint64_t count;
};

static struct per_cpu per[RT_CPUS_MAX];
static _Atomic bool stop;
static uint64_t sent;	/* VECTOR, to all together */
static uint64_t rounds; /* `rounds=N`: how thorough */

static uint32_t everyone(void)
{
	return (uint32_t)(BIT(rt_cpu_count()) - 1);
}

/* --- start, stop, start again --- */

static void count_until_stop(unsigned cpu)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&per[cpu].count, 1);
	}
}

static void count_for_ever(unsigned cpu)
{
	for (;;) {
		atomic_fetch_add(&per[cpu].count, 1);
	}
}

static void halt_for_ever(unsigned cpu)
{
	(void)cpu;
	for (;;) {
		atomic_fetch_add(&per[cpu].count, 1);
		__asm__ volatile("cli; hlt");
	}
}

static void expect_counting(unsigned cpu)
{
	uint64_t before = atomic_load(&per[cpu].count);

	RT_WAIT(atomic_load(&per[cpu].count) - before > 1000, "CPU %u does not count", cpu);
}

static void test_start(void)
{
	rt_start_others();
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		rt_give(i, count_until_stop);
	}
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		expect_counting(i);
	}
	/* A start-up message to one that runs is no matter. */
	rt_ipi(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | RT_AP_PAGE >> 12);
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		expect_counting(i);
		EXPECT(rt_arrivals(i) == 1, "CPU %u started again", i);
	}
	atomic_store(&stop, true);
}

#define SETTLE_US 300000u

/* INIT whatever it does, then a start from the beginning. */
static void restart(unsigned cpu, rt_job job)
{
	unsigned arrivals = rt_arrivals(cpu);
	uint64_t count;

	atomic_store(&per[cpu].count, 0);
	rt_give(cpu, job);
	RT_WAIT(atomic_load(&per[cpu].count) != 0, "CPU %u does not begin", cpu);
	rt_ipi(cpu, ICR_LEVEL | ICR_ASSERT | ICR_INIT);
	rt_ipi(cpu, ICR_LEVEL | ICR_INIT); /* the de-assert of old */
	/* Long enough for the machine below to have given each of its CPUs a turn. */
	rt_delay_us(SETTLE_US);
	count = atomic_load(&per[cpu].count);
	rt_ipi(cpu, ICR_ASSERT | VECTOR); /* its APIC is off: for nobody */
	rt_delay_us(20000);
	EXPECT(atomic_load(&per[cpu].count) == count, "CPU %u counts after INIT", cpu);
	EXPECT(rt_arrivals(cpu) == arrivals, "CPU %u starts by itself", cpu);
	rt_start_cpu(cpu);
	RT_WAIT(rt_arrivals(cpu) == arrivals + 1, "CPU %u does not start again", cpu);
}

static void test_restart(void)
{
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		restart(i, count_for_ever);
		restart(i, halt_for_ever);
		restart(i, count_for_ever);
	}
}

/* --- messages --- */

static void hit(struct rt_frame *f)
{
	(void)f;
	/* First: whoever sees the count may count on this one not being busy any more. */
	apic_eoi();
	atomic_fetch_add(&per[rt_cpu()].hits, 1);
}

static void nmi(struct rt_frame *f)
{
	const uint8_t *next = (const uint8_t *)(uintptr_t)f->rip;

	atomic_fetch_add(&per[rt_cpu()].nmis, 1);
	/* It was about to wait for this one. */
	if (*next == OPCODE_HLT) {
		f->rip++;
	}
}

static unsigned bits_in(uint32_t set)
{
	unsigned n = 0;

	for (; set != 0; set &= set - 1) {
		n++;
	}
	return n;
}

static uint64_t hits_of_all(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rt_cpu_count(); i++) {
		sum += atomic_load(&per[i].hits);
	}
	return sum;
}

/* Sends, and exactly the CPUs in `set` get it, once. */
static void expect_ipi(const char *what, uint32_t dest, uint32_t low, uint32_t set)
{
	uint64_t before[RT_CPUS_MAX];

	EXPECT(hits_of_all() == sent, "before %s: %lu came of %lu", what, hits_of_all(), sent);
	for (unsigned i = 0; i < rt_cpu_count(); i++) {
		before[i] = atomic_load(&per[i].hits);
	}
	sent += bits_in(set);
	rt_ipi(dest, low | ICR_ASSERT | VECTOR);
	RT_WAIT(hits_of_all() >= sent, "%s: %lu too few came", what, sent - hits_of_all());
	for (unsigned i = 0; i < rt_cpu_count(); i++) {
		EXPECT(atomic_load(&per[i].hits) == before[i] + (set >> i & 1),
		       "%s: CPU %u got %lu", what, i, atomic_load(&per[i].hits) - before[i]);
	}
}

static void expect_physical(const char *mode)
{
	for (unsigned i = 0; i < rt_cpu_count(); i++) {
		expect_ipi(mode, i, 0, BIT32(i));
	}
	expect_ipi("self", 0, ICR_SELF, 1);
	expect_ipi("all", 0, ICR_ALL, everyone());
	expect_ipi("all but self", 0, ICR_OTHERS, everyone() & ~1u);
}

static void set_flat(unsigned cpu)
{
	apic_write(APIC_DFR, DFR_FLAT);
	apic_write(APIC_LDR, BIT32(cpu) << 24);
}

/* Two to a cluster. */
static void set_cluster(unsigned cpu)
{
	apic_write(APIC_DFR, DFR_CLUSTER);
	apic_write(APIC_LDR, (cpu / 2 << 4 | BIT32(cpu % 2)) << 24);
}

static void test_flat(void)
{
	rt_on_all(set_flat);
	for (uint32_t set = 1; set <= everyone(); set++) {
		expect_ipi("flat", set, ICR_LOGICAL, set);
	}
	expect_ipi("flat broadcast", 0xff, ICR_LOGICAL, everyone());
	expect_ipi("physical broadcast", 0xff, 0, everyone());
}

static void test_cluster(void)
{
	rt_on_all(set_cluster);
	for (unsigned i = 0; i < rt_cpu_count(); i += 2) {
		expect_ipi("cluster, first", i / 2 << 4 | 1, ICR_LOGICAL, BIT32(i));
		expect_ipi("cluster, second", i / 2 << 4 | 2, ICR_LOGICAL, BIT32(i + 1));
		expect_ipi("cluster, both", i / 2 << 4 | 3, ICR_LOGICAL, BIT32(i) * 3);
	}
	expect_ipi("cluster broadcast", 0xff, ICR_LOGICAL, everyone());
}

static void be_busy(unsigned cpu)
{
	(void)cpu;
	apic_write(APIC_TPR, BUSY_PRIORITY);
}

static void be_free(unsigned cpu)
{
	(void)cpu;
	apic_write(APIC_TPR, 0);
}

/* The least busy one gets it; among equals anybody, but each only once. */
static void test_lowest(void)
{
	rt_on_all(set_flat);
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		rt_on_all(be_busy);
		rt_give(i, be_free);
		rt_finish(i);
		for (unsigned n = 0; n < rounds; n++) {
			expect_ipi("lowest priority", everyone(), ICR_LOGICAL | ICR_LOWEST,
				   BIT32(i));
		}
	}
	rt_on_all(be_free);
	for (unsigned n = 0; n < rounds; n++) {
		sent++;
		rt_ipi(everyone(), ICR_LOGICAL | ICR_LOWEST | ICR_ASSERT | VECTOR);
		RT_WAIT(hits_of_all() >= sent, "lowest priority: nobody got it");
		EXPECT(hits_of_all() == sent, "lowest priority: several got it");
	}
}

/* With interrupts off, running and halted. */
static void wait_for_nmis(unsigned cpu)
{
	uint64_t before = atomic_load(&per[cpu].nmis);

	atomic_fetch_add(&per[cpu].count, 1);
	while (atomic_load(&per[cpu].nmis) == before) {
		__asm__ volatile("pause");
	}
	atomic_fetch_add(&per[cpu].count, 1);
	while (atomic_load(&per[cpu].nmis) == before + 1) {
		__asm__ volatile("hlt");
	}
}

static void send_nmi(unsigned cpu)
{
	uint64_t before = atomic_load(&per[cpu].nmis);

	rt_ipi(cpu, ICR_ASSERT | ICR_NMI);
	RT_WAIT(atomic_load(&per[cpu].nmis) == before + 1, "CPU %u got no NMI", cpu);
}

static void test_nmi(void)
{
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		uint64_t count = atomic_load(&per[i].count);

		rt_give(i, wait_for_nmis);
		RT_WAIT(atomic_load(&per[i].count) == count + 1, "CPU %u does not wait", i);
		send_nmi(i);
		RT_WAIT(atomic_load(&per[i].count) == count + 2, "CPU %u does not go on", i);
		rt_delay_us(1000);
		send_nmi(i);
		rt_finish(i);
	}
}

/* --- x2APIC --- */

static void enter_x2apic(unsigned cpu)
{
	uint32_t ldr;

	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_EXTD);
	EXPECT(apic_read(APIC_ID) == cpu, "CPU %u has x2APIC ID %u", cpu, apic_read(APIC_ID));
	ldr = apic_read(APIC_LDR);
	EXPECT(ldr == BIT32(cpu % 16), "CPU %u has x2APIC LDR 0x%x", cpu, ldr);
}

static void leave_x2apic(unsigned cpu)
{
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE) & ~(APIC_BASE_EXTD | APIC_BASE_EN);

	(void)cpu;
	wrmsr(MSR_IA32_APIC_BASE, base);
	wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EN);
	apic_enable();
}

static void test_x2apic(void)
{
	rt_on_all(enter_x2apic);
	expect_physical("x2APIC physical");
	for (uint32_t set = 1; set <= everyone(); set++) {
		expect_ipi("x2APIC logical", set, ICR_LOGICAL, set);
	}
	expect_ipi("x2APIC broadcast", ~0u, 0, everyone());
	sent++;
	wrmsr(SELF_IPI_MSR, VECTOR);
	RT_WAIT(hits_of_all() == sent, "no SELF IPI");
	rt_on_all(leave_x2apic);
	expect_physical("physical after x2APIC");
}

/* --- sleeping and waking --- */

static _Atomic uint64_t turn;

/* CPU 1 of the game: halted until the turn is odd, then makes it even. */
static void return_ball(unsigned cpu)
{
	(void)cpu;
	for (uint64_t n = 0; n < rounds * 10; n++) {
		while (atomic_load(&turn) % 2 == 0) {
			wait_for_interrupt();
		}
		atomic_fetch_add(&turn, 1);
		rt_ipi(0, ICR_ASSERT | VECTOR);
	}
}

/* Each sleeps while the other has the ball: a wake-up that is lost ends the game. */
static void test_wake(void)
{
	uint64_t start = rdtsc();

	atomic_store(&turn, 0);
	interrupts_off();
	rt_give(1, return_ball);
	for (uint64_t n = 0; n < rounds * 10; n++) {
		atomic_fetch_add(&turn, 1);
		rt_ipi(1, ICR_ASSERT | VECTOR);
		while (atomic_load(&turn) % 2 != 0) {
			wait_for_interrupt();
		}
	}
	interrupts_on();
	rt_finish(1);
	rt_print("smp: %lu us for there and back again\n",
		 rt_tsc_to_us(rdtsc() - start) / (rounds * 10));
}

/* --- time --- */

static _Atomic uint64_t latest;

static uint64_t ordered_tsc(void)
{
	__asm__ volatile("lfence" : : : "memory");
	return rdtsc();
}

/* Each says what its TSC is, in turn; the next one must not see less. */
static void compare_tsc(unsigned cpu)
{
	for (uint64_t n = 0; n < rounds; n++) {
		uint64_t then;
		uint64_t now;

		RT_WAIT(atomic_load(&turn) % rt_cpu_count() == cpu, "the TSCs' turn does not come");
		then = atomic_load(&latest);
		now = ordered_tsc();
		EXPECT(now >= then, "the TSC of CPU %u is %lu ticks behind", cpu, then - now);
		atomic_store(&latest, ordered_tsc());
		atomic_fetch_add(&turn, 1);
	}
}

static void test_tsc(void)
{
	atomic_store(&turn, 0);
	rt_on_all(compare_tsc);
}

/* --- translations --- */

#define PAGE_2M (2ull << 20)
#define WINDOW_PAGE 3u /* of the window: what it shows in turn is at 8 and 10 MiB */
#define OLD_PAGE (4 * PAGE_2M)

static volatile uint64_t *view;
static _Atomic uint64_t shown; /* what the page in view holds, or is about to no longer */

static void flush(struct rt_frame *f)
{
	(void)f;
	__asm__ volatile("invlpg (%0)" : : "r"(view) : "memory");
	atomic_fetch_add(&per[rt_cpu()].flushes, 1);
	apic_eoi();
}

/* Who has flushed sees the new page, from then on. */
static void watch_page(unsigned cpu)
{
	interrupts_on();
	while (!atomic_load(&stop)) {
		uint64_t before = atomic_load(&shown);
		uint64_t seen = *view;

		EXPECT(seen >= before, "CPU %u sees page %lu after %lu", cpu, seen, before);
		atomic_fetch_add(&per[cpu].count, 1);
	}
}

static void show(uint64_t n)
{
	uint64_t target = OLD_PAGE + n % 2 * PAGE_2M;

	*(volatile uint64_t *)(uintptr_t)target = n;
	rt_window_map(WINDOW_PAGE, target);
	__asm__ volatile("invlpg (%0)" : : "r"(view) : "memory");
}

static void shoot_down(uint64_t n)
{
	uint64_t before[RT_CPUS_MAX];

	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		before[i] = atomic_load(&per[i].flushes);
	}
	show(n);
	rt_ipi(0, ICR_OTHERS | ICR_ASSERT | VECTOR_FLUSH);
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		RT_WAIT(atomic_load(&per[i].flushes) > before[i], "CPU %u does not flush", i);
	}
	atomic_store(&shown, n);
}

static void test_shootdown(void)
{
	view = (volatile uint64_t *)(uintptr_t)(rt_window(0) + WINDOW_PAGE * PAGE_2M);
	atomic_store(&stop, false);
	show(1);
	atomic_store(&shown, 1);
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		rt_give(i, watch_page);
		expect_counting(i);
	}
	for (uint64_t n = 2; n < rounds; n++) {
		shoot_down(n);
	}
	atomic_store(&stop, true);
}

/* --- locks --- */

static _Atomic uint32_t lock;
static _Atomic uint32_t next_ticket, now_served;
static volatile uint64_t guarded;

static void pause_while(bool spinning)
{
	if (spinning) {
		__asm__ volatile("pause");
	}
}

static void take_turns(unsigned cpu)
{
	(void)cpu;
	for (uint64_t n = 0; n < rounds * 1000; n++) {
		while (atomic_exchange(&lock, 1) != 0) {
			pause_while(true);
		}
		guarded++;
		atomic_store(&lock, 0);
	}
}

/* The hard way: the lock goes to one in particular, who may not be running. */
static void take_tickets(unsigned cpu)
{
	(void)cpu;
	for (uint64_t n = 0; n < rounds; n++) {
		uint32_t ticket = atomic_fetch_add(&next_ticket, 1);

		while (atomic_load(&now_served) != ticket) {
			pause_while(true);
		}
		guarded++;
		atomic_fetch_add(&now_served, 1);
	}
}

static void expect_guarded(const char *what, rt_job job, uint64_t each)
{
	uint64_t start = rdtsc();

	guarded = 0;
	rt_on_all(job);
	EXPECT(guarded == each * rt_cpu_count(), "%s: %lu of %lu", what, guarded,
	       each * rt_cpu_count());
	rt_print("smp: %s: %lu us for %lu\n", what, rt_tsc_to_us(rdtsc() - start), guarded);
}

static void test_locks(void)
{
	expect_guarded("spin lock", take_turns, rounds * 1000);
	expect_guarded("ticket lock", take_tickets, rounds);
}

/* --- locked instructions --- */

/* Words that straddle a cache line and a page. */
static uint8_t locked_bytes[3 * 4096] __attribute__((aligned(4096)));
static volatile uint32_t *const locked_words[] = {
	(volatile uint32_t *)(void *)locked_bytes,
	(volatile uint32_t *)(void *)(locked_bytes + 62),
	(volatile uint32_t *)(void *)(locked_bytes + 4094),
};

static void add_locked(unsigned cpu)
{
	(void)cpu;
	for (uint64_t n = 0; n < rounds * 10; n++) {
		for (unsigned i = 0; i < ARRAY_SIZE(locked_words); i++) {
			__asm__ volatile("lock incl (%0)" : : "r"(locked_words[i]) : "memory");
		}
	}
}

/* Each register of its own, and one that they share: the device stays whole. */
static void lock_devices(unsigned cpu)
{
	for (uint64_t n = 0; n < rounds; n++) {
		uint32_t value = 1;

		__asm__ volatile("lock orl %0, (%1)"
				 :
				 : "r"(0u), "r"(APIC_BASE + APIC_TPR)
				 : "memory");
		__asm__ volatile("lock xaddl %0, (%1)" : "+r"(value) : "r"(IOAPIC) : "memory");
		__asm__ volatile("xchgl %0, (%1)" : "+r"(value) : "r"(IOAPIC) : "memory");
		atomic_fetch_add(&per[cpu].count, 1);
	}
}

static void test_locked(void)
{
	rt_on_all(add_locked);
	for (unsigned i = 0; i < ARRAY_SIZE(locked_words); i++) {
		EXPECT(*locked_words[i] == rounds * 10 * rt_cpu_count(), "locked word %u is %u", i,
		       *locked_words[i]);
	}
	rt_on_all(lock_devices);
	mmio_write32(IOAPIC, 1);
	EXPECT((mmio_read32(IOAPIC + IOAPIC_WINDOW) & 0xff) == 0x20, "IOAPIC version 0x%x",
	       mmio_read32(IOAPIC + IOAPIC_WINDOW));
}

/* --- all of it --- */

static void test_physical(void)
{
	expect_physical("physical");
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"start", test_start},	 {"restart", test_restart},	{"physical", test_physical},
	{"flat", test_flat},	 {"cluster", test_cluster},	{"lowest priority", test_lowest},
	{"NMI", test_nmi},	 {"x2APIC", test_x2apic},	{"wake", test_wake},
	{"TSC", test_tsc},	 {"shootdown", test_shootdown}, {"locks", test_locks},
	{"locked", test_locked},
};

void case_smp(void)
{
	rounds = rt_option("rounds", 100);
	rt_handle(VECTOR, hit);
	rt_handle(VECTOR_FLUSH, flush);
	rt_handle(VECTOR_NMI, nmi);
	interrupts_on();
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++) {
		uint64_t start = rdtsc();

		tests[i].run();
		rt_print("smp: %s ok after %lu us\n", tests[i].name, rt_tsc_to_us(rdtsc() - start));
	}
}

/* Everybody computes and locks for ever: a guest to be paused, stopped and started in the middle.
 */
static void toil(unsigned cpu)
{
	interrupts_on();
	for (;;) {
		take_turns(cpu);
		add_locked(cpu);
		rt_ipi((cpu + 1) % rt_cpu_count(), ICR_ASSERT | VECTOR);
		atomic_fetch_add(&per[cpu].count, 1);
	}
}

void case_smp_load(void)
{
	rounds = rt_option("rounds", 10);
	rt_handle(VECTOR, hit);
	interrupts_on();
	rt_start_others();
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		rt_give(i, toil);
	}
	for (unsigned i = 1; i < rt_cpu_count(); i++) {
		RT_WAIT(atomic_load(&per[i].count) > 10, "CPU %u does nothing", i);
	}
	rt_print("load: all %u work\n", rt_cpu_count());
	toil(0);
}
