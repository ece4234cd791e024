/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps all CPUs of a Linux guest busy in every way that needs them together, and checks what comes
 * out. One static program without libc:
 *
 *	smp-load SECONDS
 *
 * Every CPU has a worker of each kind, pinned to it:
 *
 *	compute  integers, floating point and memory with a known result: registers and FPU survive
 *	pipe     a token goes round all CPUs by pipes: wake-ups by IPI
 *	fork     children that exit with a number
 *	sleep    short timers: never early; CLOCK_MONOTONIC never goes back, whichever CPU tells it
 *	share    threads of one address space that replace a page in turn, the turn by futex; others
 *		 that go on reading it may see no page that is gone: TLB shootdown
 *
 * and the first process measures CLOCK_MONOTONIC against the PM timer meanwhile. The last line is
 * `load: ok` or `load: FAILED: WHY`; before it a line of counts per CPU and one about the clock.
 */
#include <stdatomic.h>

#include "tests/load/sys.h"
#include "tests/load/text.h"

#define CPUS_MAX 64u
#define PAGE 4096ul
#define STACK_BYTES 16384ul
#define COMPUTE_ROUNDS 20000u
#define WORDS 8192u
#define SLEEP_NS 1000000ull
#define SHARED_PAGE 0x700000000000ul

#define PM_TIMER_PORT 0x608u
#define PM_TIMER_HZ 3579545ull
#define PM_TIMER_MASK 0xffffffull
/* A reading of both clocks counts when they were looked at within this time. */
#define READING_NS 20000ull
#define READING_TRIES 20000u
#define PPM_MAX 100

enum kind { COMPUTE, PIPE, FORK, SLEEP, SHARE, KINDS };
static const char *const kind_names[KINDS] = {"compute", "pipe", "fork", "sleep", "share"};

struct shared {
	_Atomic uint32_t failed;
	const char *why;
	_Atomic uint32_t stop;
	_Atomic uint64_t latest; /* CLOCK_MONOTONIC that somebody has seen */
	_Atomic uint64_t counts[CPUS_MAX][KINDS];
};

static struct shared *shared;
static unsigned cpu_count;
static int ring[CPUS_MAX][2];

static void note_failure(const char *why)
{
	if (atomic_exchange(&shared->failed, 1) == 0) {
		shared->why = why;
	}
	atomic_store(&shared->stop, 1);
}

static void fail(const char *why)
{
	note_failure(why);
	sys_exit(1);
}

static int stopped(void)
{
	return atomic_load(&shared->stop) != 0;
}

static void count(unsigned cpu, enum kind kind)
{
	atomic_fetch_add(&shared->counts[cpu][kind], 1);
}

static void pin(unsigned cpu)
{
	if (sys_pin(cpu) < 0) {
		fail("a CPU is not there");
	}
}

/* --- compute --- */

static uint64_t integers(uint64_t v)
{
	for (unsigned i = 0; i < COMPUTE_ROUNDS; i++) {
		v = (v * 0x41 + i) << 7 | (v * 0x41 + i) >> 57;
	}
	return v;
}

static double floats(double v)
{
	for (unsigned i = 0; i < COMPUTE_ROUNDS; i++) {
		v = v * 0.75 + (double)i / 3;
	}
	return v;
}

static uint64_t memory(uint64_t *words, uint64_t seed)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORDS; i++) {
		words[i] = seed + i;
	}
	for (unsigned i = 0; i < WORDS; i++) {
		sum += words[i * 4099 % WORDS] ^ i;
	}
	return sum;
}

/* The same again and again, so that the first time tells what must come out. */
static void compute(unsigned cpu)
{
	uint64_t *words = sys_map(0, WORDS * 8, MAP_PRIVATE);
	uint64_t integer = integers(cpu + 1);
	double real = floats(cpu);
	uint64_t sum = memory(words, cpu);

	while (!stopped()) {
		if (integers(cpu + 1) != integer) {
			fail("integers differ");
		}
		if (floats(cpu) != real) {
			fail("floating point differs");
		}
		if (memory(words, cpu) != sum) {
			fail("memory differs");
		}
		count(cpu, COMPUTE);
	}
}

/* --- pipe --- */

static int transfer(long call, int fd, uint64_t *token)
{
	return sys3(call, (unsigned long)fd, address_of(token), sizeof(*token)) == sizeof(*token);
}

/* The first one starts the token and counts its rounds; a token of 0 ends it all. */
static void pass_on(unsigned cpu)
{
	int from = ring[cpu][0];
	int to = ring[(cpu + 1) % cpu_count][1];
	uint64_t expected = 1;
	uint64_t token = 1;

	if (cpu == 0 && !transfer(SYS_WRITE, to, &token)) {
		fail("a pipe takes nothing");
	}
	while (transfer(SYS_READ, from, &token) && token != 0) {
		if (token != expected) {
			fail("the token differs");
		}
		count(cpu, PIPE);
		expected++;
		if (cpu == 0) {
			token = stopped() ? 0 : expected;
		}
		if (!transfer(SYS_WRITE, to, &token)) {
			fail("a pipe takes nothing");
		}
	}
	if (cpu != 0) {
		(void)transfer(SYS_WRITE, to, &token);
	}
}

/* --- fork --- */

static void breed(unsigned cpu)
{
	for (unsigned n = 0; !stopped(); n++) {
		long child = sys3(SYS_FORK, 0, 0, 0);
		int status = -1;

		if (child == 0) {
			sys_exit((int)(n & 0x7f));
		}
		if (child < 0 ||
		    sys3(SYS_WAIT4, (unsigned long)child, address_of(&status), 0) != child ||
		    status != (int)(n & 0x7f) << 8) {
			fail("a child ended otherwise");
		}
		count(cpu, FORK);
	}
}

/* --- sleep --- */

/* What somebody has seen before is not later than what the clock says now. */
static uint64_t checked_now(void)
{
	uint64_t before = atomic_load(&shared->latest);
	uint64_t now = sys_now();

	if (now < before) {
		fail("CLOCK_MONOTONIC went back");
	}
	while (before < now && !atomic_compare_exchange_weak(&shared->latest, &before, now)) {
	}
	return now;
}

static void doze(unsigned cpu)
{
	while (!stopped()) {
		uint64_t start = checked_now();

		sys_sleep(SLEEP_NS);
		if (checked_now() - start < SLEEP_NS) {
			fail("a sleep was too short");
		}
		count(cpu, SLEEP);
	}
}

/* --- share --- */

/* Of one address space; its page holds the number of the turn, or 0 when it is new. */
static struct {
	_Atomic uint32_t turn;
	_Atomic uint32_t published; /* the page has held this */
} space;

static volatile uint32_t *const page = (volatile uint32_t *)SHARED_PAGE;

/* A page that was replaced before `published` was read may not be seen any more. */
static void look_at_page(void)
{
	uint32_t published = atomic_load(&space.published);
	uint32_t seen = *page;

	if (seen != 0 && (int32_t)(seen - published) < 0) {
		fail("a page that is gone was read");
	}
}

static void replace_page(uint32_t turn)
{
	if (sys_map(SHARED_PAGE, PAGE, MAP_PRIVATE) != (void *)SHARED_PAGE) {
		fail("no page");
	}
	if (*page != 0) {
		fail("a new page is not empty");
	}
	*page = turn;
	atomic_store(&space.published, turn);
}

static void share(unsigned cpu)
{
	for (;;) {
		uint32_t turn = atomic_load(&space.turn);

		/* In this order: who stops changes `turn` after it, so nobody waits for ever. */
		if (stopped()) {
			break;
		}
		look_at_page();
		if (turn % cpu_count == cpu) {
			replace_page(turn + 1);
			atomic_store(&space.turn, turn + 1);
			futex_wake(&space.turn);
			count(cpu, SHARE);
		} else if ((turn + 1) % cpu_count == cpu && turn % 4 < 2) {
			/* The next one waits now and then, else all but one read. */
			futex_wait(&space.turn, turn);
		} else {
			(void)sys3(SYS_SCHED_YIELD, 0, 0, 0);
		}
	}
	atomic_fetch_add(&space.turn, cpu_count);
	futex_wake(&space.turn);
}

__attribute__((used)) _Noreturn void load_thread(unsigned long cpu);
_Noreturn void load_thread(unsigned long cpu)
{
	pin((unsigned)cpu);
	share((unsigned)cpu);
	sys_exit(0);
}

/* The child begins on its own stack, with its argument on top. */
static long start_thread(unsigned long cpu)
{
	char *stack = sys_map(0, STACK_BYTES, MAP_PRIVATE);
	unsigned long *top = (unsigned long *)(void *)(stack + STACK_BYTES - 16);
	long result;

	top[0] = cpu;
	__asm__ volatile("xorl %%r10d, %%r10d\n\txorl %%r8d, %%r8d\n\tsyscall\n\t"
			 "testq %%rax, %%rax\n\tjnz 1f\n\t"
			 "movq (%%rsp), %%rdi\n\tcall load_thread\n1:"
			 : "=a"(result)
			 : "a"(SYS_CLONE), "D"(CLONE_VM_FS_FILES | SIGCHLD), "S"(top), "d"(0)
			 : "rcx", "r8", "r10", "r11", "memory");
	return result;
}

static void share_all(void)
{
	(void)sys_map(SHARED_PAGE, PAGE, MAP_PRIVATE);
	for (unsigned i = 0; i < cpu_count; i++) {
		if (start_thread(i) < 0) {
			fail("no thread");
		}
	}
	for (unsigned i = 0; i < cpu_count; i++) {
		int status = 0;

		if (sys3(SYS_WAIT4, ~0ul, address_of(&status), 0) < 0) {
			fail("a thread is lost");
		}
	}
}

/* --- the clock --- */

struct reading {
	uint64_t ns; /* CLOCK_MONOTONIC, in the middle of */
	uint64_t width;
	uint64_t pm;
};

static uint32_t pm_timer(void)
{
	uint32_t v;

	__asm__ volatile("inl %w1, %0" : "=a"(v) : "Nd"((uint16_t)PM_TIMER_PORT));
	return v;
}

/* Both clocks at once, as nearly as it goes. */
static struct reading read_clocks(void)
{
	struct reading best = {.width = ~0ull};

	for (unsigned i = 0; i < READING_TRIES && best.width > READING_NS; i++) {
		uint64_t before = sys_now();
		uint64_t pm = pm_timer();
		uint64_t after = sys_now();

		if (after - before < best.width) {
			best = (struct reading){before + (after - before) / 2, after - before, pm};
		}
	}
	return best;
}

/* The PM timer's ticks, of which only the lowest 24 bits show, between two readings. */
static uint64_t pm_between(const struct reading *from, const struct reading *to)
{
	uint64_t expected = (to->ns - from->ns) / 1000 * PM_TIMER_HZ / 1000000;
	uint64_t low = (to->pm - from->pm) & PM_TIMER_MASK;
	uint64_t wraps = (expected - low + PM_TIMER_MASK / 2) / (PM_TIMER_MASK + 1);

	return expected < low ? low : low + wraps * (PM_TIMER_MASK + 1);
}

static void judge_clock(const struct reading *from, const struct reading *to)
{
	int64_t ns = (int64_t)(to->ns - from->ns);
	int64_t pm_ns = (int64_t)(pm_between(from, to) * NS / PM_TIMER_HZ);
	int64_t slack = (int64_t)(from->width + to->width) / 2 + 280;
	int64_t apart = ns > pm_ns ? ns - pm_ns : pm_ns - ns;
	struct line l = {.n = 0};

	add(&l, "load: clock ");
	add_number(&l, ns / 1000);
	add(&l, " us, PM timer ");
	add_number(&l, pm_ns / 1000);
	add(&l, " us, ");
	add_number(&l, (ns - pm_ns) * 1000 / (ns / 1000));
	add(&l, " ppm, read within ");
	add_number(&l, slack);
	add(&l, " ns");
	say(&l);
	if (apart > ns / 1000000 * PPM_MAX + slack) {
		note_failure("CLOCK_MONOTONIC and the PM timer disagree");
	}
}

/* --- all of it --- */

static void worker(enum kind kind, unsigned cpu)
{
	if (sys3(SYS_FORK, 0, 0, 0) != 0) {
		return;
	}
	if (kind == SHARE) {
		share_all();
		sys_exit(0);
	}
	pin(cpu);
	if (kind == COMPUTE) {
		compute(cpu);
	} else if (kind == PIPE) {
		pass_on(cpu);
	} else if (kind == FORK) {
		breed(cpu);
	} else {
		doze(cpu);
	}
	sys_exit(0);
}

static unsigned count_cpus(void)
{
	unsigned n = 0;

	while (n < CPUS_MAX && sys_pin(n) >= 0) {
		n++;
	}
	return n;
}

static void start_workers(void)
{
	for (unsigned i = 0; i < cpu_count; i++) {
		if (sys3(SYS_PIPE2, address_of(ring[i]), 0, 0) < 0) {
			fail("no pipe");
		}
	}
	for (unsigned i = 0; i < cpu_count; i++) {
		worker(COMPUTE, i);
		worker(PIPE, i);
		worker(FORK, i);
		worker(SLEEP, i);
	}
	worker(SHARE, 0);
}

static void print_counts(void)
{
	for (unsigned i = 0; i < cpu_count; i++) {
		struct line l = {.n = 0};

		add(&l, "load: cpu ");
		add_number(&l, (int64_t)i);
		for (unsigned k = 0; k < KINDS; k++) {
			uint64_t n = atomic_load(&shared->counts[i][k]);

			add(&l, " ");
			add(&l, kind_names[k]);
			add(&l, " ");
			add_number(&l, (int64_t)n);
			if (n == 0) {
				note_failure("a worker did nothing");
			}
		}
		say(&l);
	}
}

/* Everybody ends by himself, so one that does not is a hang that shows. */
static void run_for(uint64_t ns)
{
	struct reading from;
	struct reading to;
	int status;

	/* On two CPUs, so that their TSCs have to agree, too. */
	pin(0);
	from = read_clocks();
	start_workers();
	pin(cpu_count - 1);
	while (!stopped() && sys_now() - from.ns < ns) {
		sys_sleep(NS / 10);
	}
	to = read_clocks();
	atomic_store(&shared->stop, 1);
	/* After a failure somebody may wait for one that has gone. */
	while (atomic_load(&shared->failed) == 0 &&
	       sys3(SYS_WAIT4, ~0ul, address_of(&status), 0) > 0) {
	}
	print_counts();
	judge_clock(&from, &to);
}

__attribute__((used)) _Noreturn void load_main(unsigned long *stack);
_Noreturn void load_main(unsigned long *stack)
{
	char **argv = (char **)(stack + 1);
	struct line l = {.n = 0};

	shared = sys_map(0, sizeof(*shared), MAP_SHARED);
	cpu_count = count_cpus();
	add(&l, "load: CPUs ");
	add_number(&l, cpu_count);
	say(&l);
	l.n = 0;
	if (stack[0] < 2 || sys3(SYS_IOPERM, PM_TIMER_PORT, 4, 1) < 0) {
		add(&l, "load: FAILED: needs SECONDS and a PM timer");
		say(&l);
		sys_exit(1);
	}
	run_for(number_of(argv[1]) * NS);
	add(&l, "load: ");
	add(&l, atomic_load(&shared->failed) != 0 ? "FAILED: " : "ok");
	add(&l, atomic_load(&shared->failed) != 0 ? shared->why : "");
	say(&l);
	sys_exit(0);
}

__asm__(".globl _start\n_start:\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall load_main\n");
