/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /init of the measured Linux guest: marks the end of the boot, then times CPU-bound loops. It is
 * one static program without libc. Words after `--` on the kernel's command line say what to do
 * beyond the mark; none of them: nothing, the machine is left idle.
 *
 *	print    print the TSC of the mark:    BENCH init TICKS
 *	loops    time the loops:               BENCH loop NAME TICKS
 *	spin     spin instead of sleeping when done: no timer of the kernel ends that often
 *	silent   reset the machine at once, before a line is printed
 *	exit     reset the machine when done
 *
 * The mark is CPUID with leaf MARK: an exit under every hypervisor, which a flight recorder or a
 * tracer shows, and which needs no privilege.
 */
#include <stddef.h>
#include <stdint.h>

#define MARK 0xb007b007u

#define SYS_WRITE 1
#define SYS_MMAP 9
#define SYS_MUNMAP 11
#define SYS_PAUSE 34
#define SYS_REBOOT 169
#define REBOOT_MAGIC1 0xfee1deadul
#define REBOOT_MAGIC2 672274793ul
#define REBOOT_RESTART 0x1234567ul
#define PROT_RW 3
#define MAP_PRIVATE_ANONYMOUS 0x22

#define INTEGER_ROUNDS 40000000ul /* of 5 instructions */
#define MEMORY_WORDS (2ul << 20)  /* 16 MiB */
#define MEMORY_PASSES 12ul
#define FAULT_PAGES 2048ul
#define FAULT_ROUNDS 12ul
#define PAGE 4096ul
#define SETTLE_ROUNDS 5000000ul /* of 4 instructions */

static long syscall6(long number, unsigned long a, unsigned long b, unsigned long c,
		     unsigned long d, unsigned long e, unsigned long f)
{
	register unsigned long r10 __asm__("r10") = d;
	register unsigned long r8 __asm__("r8") = e;
	register unsigned long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static long syscall3(long number, unsigned long a, unsigned long b, unsigned long c)
{
	return syscall6(number, a, b, c, 0, 0, 0);
}

static uint64_t rdtsc(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void mark_end_of_boot(void)
{
	uint32_t eax = MARK;
	uint32_t ecx = 0;

	__asm__ volatile("cpuid" : "+a"(eax), "+c"(ecx) : : "ebx", "edx", "memory");
}

static void reset_machine(void)
{
	(void)syscall3(SYS_REBOOT, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_RESTART);
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n] != 0) {
		n++;
	}
	return n;
}

static void print(const char *s)
{
	(void)syscall3(SYS_WRITE, 1, (unsigned long)s, length(s));
}

static void print_number(uint64_t v)
{
	char text[24];
	size_t at = sizeof(text) - 1;

	text[at] = 0;
	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	print(text + at);
}

static int has_word(char **argv, const char *word)
{
	for (; *argv != NULL; argv++) {
		size_t i = 0;

		while (word[i] != 0 && (*argv)[i] == word[i]) {
			i++;
		}
		if (word[i] == 0 && (*argv)[i] == 0) {
			return 1;
		}
	}
	return 0;
}

static void report(const char *name, uint64_t ticks)
{
	print("BENCH loop ");
	print(name);
	print(" ");
	print_number(ticks);
	print("\n");
}

/* Lets pass what the last line of output still costs, here and below. */
static void settle(void)
{
	for (volatile unsigned long i = 0; i < SETTLE_ROUNDS; i++) {
	}
}

static void loop_integer(void)
{
	uint64_t start = rdtsc();
	uint64_t count = INTEGER_ROUNDS;
	uint64_t value = 1;

	__asm__ volatile(
		"1: imulq $0x41, %1, %1\n\taddq %0, %1\n\trolq $7, %1\n\tsubq $1, %0\n\tjnz 1b"
		: "+r"(count), "+r"(value)
		:
		: "cc");
	report("integer", rdtsc() - start);
}

static volatile uint64_t *map(unsigned long bytes)
{
	return (volatile uint64_t *)syscall6(SYS_MMAP, 0, bytes, PROT_RW, MAP_PRIVATE_ANONYMOUS,
					     ~0ul, 0);
}

/* Reads and writes in two orders over memory that is there already. */
static void loop_memory(void)
{
	volatile uint64_t *words = map(MEMORY_WORDS * 8);
	uint64_t start;

	for (unsigned long i = 0; i < MEMORY_WORDS; i++) {
		words[i] = i;
	}
	start = rdtsc();
	for (unsigned long pass = 0; pass < MEMORY_PASSES; pass++) {
		for (unsigned long i = 0; i < MEMORY_WORDS; i++) {
			words[i * 4099 % MEMORY_WORDS] += words[i];
		}
	}
	report("memory", rdtsc() - start);
}

/* The first touch of fresh pages, again and again. */
static void loop_faults(void)
{
	uint64_t start = rdtsc();

	for (unsigned long round = 0; round < FAULT_ROUNDS; round++) {
		volatile uint64_t *words = map(FAULT_PAGES * PAGE);

		for (unsigned long i = 0; i < FAULT_PAGES; i++) {
			words[i * (PAGE / 8)] = i;
		}
		(void)syscall3(SYS_MUNMAP, (unsigned long)words, FAULT_PAGES * PAGE, 0);
	}
	report("page-faults", rdtsc() - start);
}

__attribute__((used)) _Noreturn void bench_init(unsigned long *stack);
_Noreturn void bench_init(unsigned long *stack)
{
	char **argv = (char **)(stack + 1);
	uint64_t mark = rdtsc();

	mark_end_of_boot();
	if (has_word(argv, "silent")) {
		reset_machine();
	}
	if (has_word(argv, "print")) {
		print("BENCH init ");
		print_number(mark);
		print("\n");
	}
	if (has_word(argv, "loops")) {
		settle();
		loop_integer();
		settle();
		loop_memory();
		settle();
		loop_faults();
	}
	print("BENCH end\n");
	if (has_word(argv, "exit")) {
		reset_machine();
	}
	if (has_word(argv, "spin")) {
		for (;;) {
			__asm__ volatile("");
		}
	}
	for (;;) {
		(void)syscall3(SYS_PAUSE, 0, 0, 0);
	}
}

__asm__(".globl _start\n_start:\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall bench_init\n");
