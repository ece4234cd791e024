/* SPDX-License-Identifier: Apache-2.0 */
/* Linux system calls for programs without libc. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SYS_READ 0
#define SYS_WRITE 1
#define SYS_OPEN 2
#define SYS_CLOSE 3
#define SYS_MMAP 9
#define SYS_MUNMAP 11
#define SYS_PREAD64 17
#define SYS_PWRITE64 18
#define SYS_SCHED_YIELD 24
#define SYS_NANOSLEEP 35
#define SYS_SOCKET 41
#define SYS_CONNECT 42
#define SYS_ACCEPT 43
#define SYS_SENDTO 44
#define SYS_RECVFROM 45
#define SYS_BIND 49
#define SYS_LISTEN 50
#define SYS_SETSOCKOPT 54
#define SYS_CLONE 56
#define SYS_FORK 57
#define SYS_EXIT 60
#define SYS_WAIT4 61
#define SYS_FSYNC 74
#define SYS_CHDIR 80
#define SYS_RENAME 82
#define SYS_IOPERM 173
#define SYS_FUTEX 202
#define SYS_SCHED_SETAFFINITY 203
#define SYS_IO_SETUP 206
#define SYS_IO_GETEVENTS 208
#define SYS_IO_SUBMIT 209
#define SYS_CLOCK_GETTIME 228
#define SYS_PIPE2 293

#define O_RDONLY 0
#define O_WRONLY 1
#define O_RDWR 2
#define O_CREAT 0x40
#define O_TRUNC 0x200
#define O_DIRECT 0x4000
#define PROT_RW 3
#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20
#define CLONE_VM_FS_FILES 0x700
#define SIGCHLD 17
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define CLOCK_MONOTONIC 1

#define NS 1000000000ull

static inline long sys6(long number, unsigned long a, unsigned long b, unsigned long c,
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

static inline long sys3(long number, unsigned long a, unsigned long b, unsigned long c)
{
	return sys6(number, a, b, c, 0, 0, 0);
}

static inline unsigned long address_of(const volatile void *p)
{
	return (unsigned long)p;
}

static inline _Noreturn void sys_exit(int status)
{
	for (;;) {
		(void)sys3(SYS_EXIT, (unsigned long)status, 0, 0);
	}
}

/* Memory that children share, or do not; `at` 0: anywhere, else in place of what is there. */
static inline void *sys_map(unsigned long at, unsigned long bytes, unsigned long flags)
{
	return (void *)sys6(SYS_MMAP, at, bytes, PROT_RW,
			    flags | MAP_ANONYMOUS | (at != 0 ? MAP_FIXED : 0), ~0ul, 0);
}

/* A file descriptor, negative on errors. */
static inline int sys_open(const char *path, unsigned long flags)
{
	return (int)sys3(SYS_OPEN, address_of(path), flags, 0644);
}

static inline uint64_t sys_now(void)
{
	uint64_t t[2];

	(void)sys3(SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, address_of(t), 0);
	return t[0] * NS + t[1];
}

static inline void sys_sleep(uint64_t ns)
{
	uint64_t t[2] = {ns / NS, ns % NS};

	(void)sys3(SYS_NANOSLEEP, address_of(t), 0, 0);
}

static inline long sys_pin(unsigned cpu)
{
	uint64_t mask[16] = {0};

	mask[cpu / 64] = 1ull << cpu % 64;
	return sys3(SYS_SCHED_SETAFFINITY, 0, sizeof(mask), address_of(mask));
}

static inline void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	(void)sys6(SYS_FUTEX, address_of(word), FUTEX_WAIT, value, 0, 0, 0);
}

static inline void futex_wake(_Atomic uint32_t *word)
{
	(void)sys3(SYS_FUTEX, address_of(word), FUTEX_WAKE, 1);
}
