/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out whether a disk keeps what it acknowledged. One static program without libc:
 *
 *	disklog FOLDER [COUNT]
 *
 * Checks the records that an earlier run left in FOLDER, then writes further ones, COUNT or for
 * ever. Record N is the file `slot(N % 16)`: its bytes follow from N. It is written under another
 * name, synced, renamed, and the folder synced; only then is N announced. So whatever number was
 * announced before the power went, that record and the 15 before it are there and whole.
 *
 *	disklog: holds N		all records are as they should be, N the latest; 0: none
 *	disklog: synced N		record N is on the disk
 *	disklog: FAILED: WHY
 *	disklog: end
 */
#include "tests/load/random.h"
#include "tests/load/sys.h"
#include "tests/load/text.h"

#define SLOTS 16ull
#define WORDS_MIN 64u
#define WORDS_MORE 16384u

struct record {
	uint64_t number;
	uint64_t words[WORDS_MIN + WORDS_MORE];
};

static struct record made;
static struct record found;

static void print(const char *what, uint64_t number)
{
	struct line l = {.n = 0};

	add(&l, "disklog: ");
	add(&l, what);
	add(&l, " ");
	add_number(&l, (int64_t)number);
	say(&l);
}

static _Noreturn void fail(const char *why, uint64_t number)
{
	struct line l = {.n = 0};

	add(&l, "disklog: FAILED: ");
	add(&l, why);
	add(&l, ", record ");
	add_number(&l, (int64_t)number);
	say(&l);
	sys_exit(1);
}

/* Makes record `number` in `made`; returns its size in bytes. */
static size_t make(uint64_t number)
{
	size_t words = WORDS_MIN + (size_t)(random_seed(number) % WORDS_MORE);

	made.number = number;
	(void)random_fill(made.words, words, random_seed(number));
	return (words + 1) * sizeof(uint64_t);
}

static const char *slot_name(uint64_t number)
{
	static char name[] = "slot00";
	uint64_t slot = number % SLOTS;

	name[4] = (char)('0' + slot / 10);
	name[5] = (char)('0' + slot % 10);
	return name;
}

/* Bytes read, up to the buffer's size; -1: there is no such file. */
static long read_whole(const char *name, void *buffer, size_t size)
{
	int fd = sys_open(name, O_RDONLY);
	size_t done = 0;
	long n = 1;

	if (fd < 0) {
		return -1;
	}
	while (n > 0 && done < size) {
		n = sys3(SYS_READ, (unsigned long)fd, address_of((char *)buffer + done),
			 size - done);
		done += n > 0 ? (size_t)n : 0;
	}
	(void)sys3(SYS_CLOSE, (unsigned long)fd, 0, 0);
	return n < 0 ? 0 : (long)done;
}

/* The number of the slot's record, whose bytes are right; 0: the slot is empty. */
static uint64_t check_slot(uint64_t slot)
{
	long got = read_whole(slot_name(slot), &found, sizeof(found));
	size_t words = (size_t)got / sizeof(uint64_t);

	if (got < 0) {
		return 0;
	}
	if (got < (long)sizeof(uint64_t) || found.number == 0 || found.number % SLOTS != slot) {
		fail("a slot holds something else", slot);
	}
	if (make(found.number) != (size_t)got) {
		fail("wrong length", found.number);
	}
	for (size_t i = 0; i + 1 < words; i++) {
		if (made.words[i] != found.words[i]) {
			fail("wrong bytes", found.number);
		}
	}
	return found.number;
}

/* The latest record's number. */
static uint64_t check_all(void)
{
	uint64_t numbers[SLOTS];
	uint64_t latest = 0;

	for (uint64_t slot = 0; slot < SLOTS; slot++) {
		numbers[slot] = check_slot(slot);
		latest = numbers[slot] > latest ? numbers[slot] : latest;
	}
	for (uint64_t n = latest; n > 0 && n + SLOTS > latest; n--) {
		if (numbers[n % SLOTS] != n) {
			fail("missing", n);
		}
	}
	return latest;
}

static void write_record(uint64_t number, int folder)
{
	size_t size = make(number);
	size_t done = 0;
	int fd = sys_open("new", O_WRONLY | O_CREAT | O_TRUNC);

	while (fd >= 0 && done < size) {
		long n = sys3(SYS_WRITE, (unsigned long)fd, address_of((char *)&made + done),
			      size - done);

		if (n <= 0) {
			fail("cannot write", number);
		}
		done += (size_t)n;
	}
	if (fd < 0 || sys3(SYS_FSYNC, (unsigned long)fd, 0, 0) < 0 ||
	    sys3(SYS_CLOSE, (unsigned long)fd, 0, 0) < 0 ||
	    sys3(SYS_RENAME, address_of("new"), address_of(slot_name(number)), 0) < 0 ||
	    sys3(SYS_FSYNC, (unsigned long)folder, 0, 0) < 0) {
		fail("cannot write", number);
	}
	print("synced", number);
}

__attribute__((used)) _Noreturn void disklog_main(unsigned long *stack);
_Noreturn void disklog_main(unsigned long *stack)
{
	char **argv = (char **)(stack + 1);
	uint64_t count = stack[0] > 2 ? number_of(argv[2]) : UINT64_MAX;
	uint64_t number;
	int folder;

	if (stack[0] < 2 || sys3(SYS_CHDIR, address_of(argv[1]), 0, 0) < 0) {
		fail("there is no such folder", 0);
	}
	folder = sys_open(".", O_RDONLY);
	number = check_all();
	print("holds", number);
	for (; count > 0; count--) {
		number++;
		write_record(number, folder);
	}
	struct line end = {.n = 0};
	add(&end, "disklog: end");
	say(&end);
	sys_exit(0);
}

__asm__(".globl _start\n_start:\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall disklog_main\n");
