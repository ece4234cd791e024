/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk's and a network's operations cost a Linux guest. One static program without libc:
 *
 *	io disk DEVICE MIB	that much of a block device, past the page cache
 *	io serve		the other guest, for:
 *	io net ADDRESS
 *
 * Before each measurement and after the last it prints `BENCH ready NAME` and waits for a line on
 * its console: exits are read meanwhile. After each, `BENCH io NAME OPERATIONS TICKS`.
 */
#include "tests/load/net.h"
#include "tests/load/random.h"
#include "tests/load/sys.h"
#include "tests/load/text.h"

#define BLOCK 4096u
#define LARGE (128u << 10)
#define RANDOM_OPS 1000u
#define LARGE_OPS 200u
#define DEPTH 16u

#define ECHO_TCP 5001
#define ECHO_UDP 5002
#define SINK_TCP 5003
#define ROUNDS 500u
#define BULK_BYTES (16u << 20)
#define CONNECT_TRIES 100u
#define TRIES 5u

/* struct iocb and struct io_event of Linux' include/uapi/linux/aio_abi.h */
struct iocb {
	uint64_t data;
	uint32_t key;
	uint32_t rw_flags;
	uint16_t opcode;
	int16_t priority;
	uint32_t fd;
	uint64_t buffer;
	uint64_t bytes;
	int64_t offset;
	uint64_t reserved;
	uint32_t flags;
	uint32_t event_fd;
};
static_assert(sizeof(struct iocb) == 64, "struct iocb");

struct io_event {
	uint64_t data;
	uint64_t object;
	int64_t result;
	int64_t result2;
};
static_assert(sizeof(struct io_event) == 32, "struct io_event");

enum iocb_opcode { IOCB_READ = 0, IOCB_WRITE = 1 };

static _Alignas(BLOCK) uint8_t buffer[LARGE];
static uint64_t blocks;
static uint64_t state = 1;

static uint64_t rdtsc(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static _Noreturn void fail(const char *why)
{
	struct line l = {.n = 0};

	add(&l, "BENCH failed: ");
	add(&l, why);
	say(&l);
	sys_exit(1);
}

static uint64_t begin(const char *name)
{
	struct line l = {.n = 0};
	char c = 0;

	add(&l, "BENCH ready ");
	add(&l, name);
	say(&l);
	while (c != '\n' && sys3(SYS_READ, 0, address_of(&c), 1) == 1) {
	}
	return rdtsc();
}

static void report(const char *name, uint64_t operations, uint64_t start)
{
	uint64_t ticks = rdtsc() - start;
	struct line l = {.n = 0};

	add(&l, "BENCH io ");
	add(&l, name);
	add(&l, " ");
	add_number(&l, (int64_t)operations);
	add(&l, " ");
	add_number(&l, (int64_t)ticks);
	say(&l);
}

/* What beginning and reporting cost. */
static void measure_nothing(void)
{
	report("nothing", 1, begin("nothing"));
}

/* --- disk --- */

static int64_t random_offset(void)
{
	state = random_next(state);
	return (int64_t)(state % blocks * BLOCK);
}

static void one_at_a_time(const char *name, int fd, long call, unsigned count, uint32_t bytes)
{
	uint64_t start = begin(name);

	for (unsigned i = 0; i < count; i++) {
		int64_t at = bytes == BLOCK ? random_offset() : (int64_t)((uint64_t)i * bytes);

		if (sys6(call, (unsigned long)fd, address_of(buffer), bytes, (unsigned long)at, 0,
			 0) != (long)bytes) {
			fail(name);
		}
	}
	report(name, count, start);
}

/* DEPTH requests are open at all times; as many are handed over at once as have come back. */
static void many_at_a_time(const char *name, int fd, enum iocb_opcode opcode, unsigned count)
{
	static struct iocb requests[DEPTH];
	static struct io_event events[DEPTH];
	struct iocb *list[DEPTH];
	uint64_t context = 0;
	uint64_t start;
	long free_count = DEPTH;
	unsigned done = 0;

	for (unsigned i = 0; i < DEPTH; i++) {
		requests[i] = (struct iocb){.data = i,
					    .opcode = (uint16_t)opcode,
					    .fd = (uint32_t)fd,
					    .buffer = address_of(buffer + i * (size_t)BLOCK),
					    .bytes = BLOCK};
		events[i].data = i;
	}
	if (sys3(SYS_IO_SETUP, DEPTH, address_of(&context), 0) < 0) {
		fail("io_setup");
	}
	start = begin(name);
	while (done < count) {
		for (long i = 0; i < free_count; i++) {
			list[i] = &requests[events[i].data];
			list[i]->offset = random_offset();
		}
		if (sys3(SYS_IO_SUBMIT, context, (unsigned long)free_count, address_of(list)) !=
		    free_count) {
			fail("io_submit");
		}
		free_count = sys6(SYS_IO_GETEVENTS, context, 1, DEPTH, address_of(events), 0, 0);
		for (long i = 0; i < free_count; i++) {
			done += events[i].result == BLOCK;
		}
		if (free_count <= 0) {
			fail("io_getevents");
		}
	}
	report(name, done, start);
}

static void measure_disk(const char *device, uint64_t mib)
{
	int fd = sys_open(device, O_RDWR | O_DIRECT);

	if (fd < 0) {
		fail("no such device");
	}
	blocks = (mib << 20) / BLOCK;
	measure_nothing();
	one_at_a_time("read-4k", fd, SYS_PREAD64, RANDOM_OPS, BLOCK);
	one_at_a_time("write-4k", fd, SYS_PWRITE64, RANDOM_OPS, BLOCK);
	many_at_a_time("read-4k-16", fd, IOCB_READ, RANDOM_OPS);
	many_at_a_time("write-4k-16", fd, IOCB_WRITE, RANDOM_OPS);
	one_at_a_time("read-128k", fd, SYS_PREAD64, LARGE_OPS, LARGE);
	one_at_a_time("write-128k", fd, SYS_PWRITE64, LARGE_OPS, LARGE);
}

/* --- network --- */

static void echo(int fd)
{
	uint8_t byte[64];
	long n;

	while ((n = sys3(SYS_READ, (unsigned long)fd, address_of(byte), sizeof(byte))) > 0) {
		(void)net_write(fd, byte, (size_t)n);
	}
}

/* Takes BULK_BYTES and says so. */
static void sink(int fd)
{
	for (unsigned done = 0; done < BULK_BYTES; done += LARGE) {
		if (!net_read(fd, buffer, LARGE)) {
			return;
		}
	}
	(void)net_write(fd, buffer, 1);
}

static void serve_tcp(uint16_t port, void (*one)(int fd))
{
	int listener = net_bound(SOCK_STREAM, port);

	if (listener < 0 || sys3(SYS_LISTEN, (unsigned long)listener, 8, 0) < 0) {
		fail("cannot listen");
	}
	for (;;) {
		int fd = (int)sys3(SYS_ACCEPT, (unsigned long)listener, 0, 0);

		sys_set(fd, IPPROTO_TCP, TCP_NODELAY);
		one(fd);
		(void)sys3(SYS_CLOSE, (unsigned long)fd, 0, 0);
	}
}

static void serve_udp(uint16_t port)
{
	int fd = net_bound(SOCK_DGRAM, port);
	struct inet_address from;
	uint32_t size;
	uint8_t bytes[64];

	for (;;) {
		size = sizeof(from);
		long n = sys6(SYS_RECVFROM, (unsigned long)fd, address_of(bytes), sizeof(bytes), 0,
			      address_of(&from), address_of(&size));

		(void)sys6(SYS_SENDTO, (unsigned long)fd, address_of(bytes), (unsigned long)n, 0,
			   address_of(&from), size);
	}
}

static void serve(void)
{
	struct line l = {.n = 0};

	if (sys3(SYS_FORK, 0, 0, 0) == 0) {
		serve_tcp(ECHO_TCP, echo);
	}
	if (sys3(SYS_FORK, 0, 0, 0) == 0) {
		serve_tcp(SINK_TCP, sink);
	}
	add(&l, "BENCH serving");
	say(&l);
	serve_udp(ECHO_UDP);
}

/* The other guest may still be booting. */
static int connect_to(unsigned type, const char *address, uint16_t port)
{
	for (unsigned i = 0; i < CONNECT_TRIES; i++) {
		int fd = net_connected(type, address, port);

		if (fd >= 0) {
			return fd;
		}
		sys_sleep(NS / 10);
	}
	fail("cannot connect");
}

/* A byte there and back; a datagram that is lost is sent again. */
static void ask(const char *name, int fd)
{
	for (unsigned i = 0; i < TRIES; i++) {
		if (net_write(fd, buffer, 1) && net_read(fd, buffer, 1)) {
			return;
		}
	}
	fail(name);
}

static void request_response(const char *name, int fd)
{
	uint64_t start;

	sys_set_seconds(fd, SOL_SOCKET, SO_RCVTIMEO, 2);
	/* The first one finds the neighbour's address. */
	ask(name, fd);
	start = begin(name);
	for (unsigned i = 0; i < ROUNDS; i++) {
		ask(name, fd);
	}
	report(name, ROUNDS, start);
}

/* An operation is 1 KiB here. */
static void bulk(const char *address)
{
	int fd = connect_to(SOCK_STREAM, address, SINK_TCP);
	uint64_t start = begin("tcp-bulk");

	for (unsigned done = 0; done < BULK_BYTES; done += LARGE) {
		if (!net_write(fd, buffer, LARGE)) {
			fail("tcp-bulk");
		}
	}
	if (!net_read(fd, buffer, 1)) {
		fail("tcp-bulk");
	}
	report("tcp-bulk", BULK_BYTES >> 10, start);
}

static void measure_net(const char *address)
{
	int tcp = connect_to(SOCK_STREAM, address, ECHO_TCP);

	sys_set(tcp, IPPROTO_TCP, TCP_NODELAY);
	measure_nothing();
	request_response("tcp-request", tcp);
	request_response("udp-request", connect_to(SOCK_DGRAM, address, ECHO_UDP));
	bulk(address);
}

__attribute__((used)) _Noreturn void io_main(unsigned long *stack);
_Noreturn void io_main(unsigned long *stack)
{
	char **argv = (char **)(stack + 1);

	if (stack[0] == 4 && same(argv[1], "disk")) {
		measure_disk(argv[2], number_of(argv[3]));
	} else if (stack[0] == 3 && same(argv[1], "net")) {
		measure_net(argv[2]);
	} else if (stack[0] == 2 && same(argv[1], "serve")) {
		serve();
	} else {
		fail("usage: disk DEVICE MIB, net ADDRESS, or serve");
	}
	(void)begin("end");
	sys_exit(0);
}

__asm__(".globl _start\n_start:\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall io_main\n");
