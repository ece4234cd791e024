/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends bytes through a network and finds out whether they arrive. One static program without libc:
 *
 *	netload serve PORT
 *	netload send ADDRESS PORT MIB
 *
 * The sender tells the server a number and an amount; both make the same bytes from the number, one
 * sends them, the other compares what comes; then the server sends as many of its own.
 *
 *	netload: sent N MiB, received N MiB, all right, M KiB/s
 *	netload: served N MiB, all right
 *	netload: FAILED: WHY
 */
#include "tests/load/net.h"
#include "tests/load/random.h"
#include "tests/load/sys.h"
#include "tests/load/text.h"

#define PIECE (64u << 10)
#define PIECE_WORDS (PIECE / 8)
#define MIB_PIECES ((1u << 20) / PIECE)

struct header {
	uint64_t seed;
	uint64_t mib;
};

static uint64_t made[PIECE_WORDS];
static uint64_t came[PIECE_WORDS];

static void fail(const char *why)
{
	struct line l = {.n = 0};

	add(&l, "netload: FAILED: ");
	add(&l, why);
	say(&l);
}

static int send_bytes(int fd, uint64_t seed, uint64_t mib)
{
	uint64_t state = random_seed(seed);

	for (uint64_t i = 0; i < mib * MIB_PIECES; i++) {
		state = random_fill(made, PIECE_WORDS, state);
		if (!net_write(fd, made, PIECE)) {
			fail("the connection broke while sending");
			return 0;
		}
	}
	return 1;
}

static int receive_bytes(int fd, uint64_t seed, uint64_t mib)
{
	uint64_t state = random_seed(seed);

	for (uint64_t i = 0; i < mib * MIB_PIECES; i++) {
		if (!net_read(fd, came, PIECE)) {
			fail("the connection broke while receiving");
			return 0;
		}
		state = random_fill(made, PIECE_WORDS, state);
		for (unsigned w = 0; w < PIECE_WORDS; w++) {
			if (came[w] != made[w]) {
				fail("a byte is wrong");
				return 0;
			}
		}
	}
	return 1;
}

static void serve_one(int fd)
{
	struct header h;
	struct line l = {.n = 0};

	if (!net_read(fd, &h, sizeof(h)) || !receive_bytes(fd, h.seed, h.mib) ||
	    !send_bytes(fd, h.seed + 1, h.mib)) {
		return;
	}
	add(&l, "netload: served ");
	add_number(&l, (int64_t)h.mib);
	add(&l, " MiB, all right");
	say(&l);
}

static void serve(uint16_t port)
{
	int listener = net_bound(SOCK_STREAM, port);

	if (listener < 0 || sys3(SYS_LISTEN, (unsigned long)listener, 8, 0) < 0) {
		fail("cannot listen");
		return;
	}
	for (;;) {
		int fd = (int)sys3(SYS_ACCEPT, (unsigned long)listener, 0, 0);

		serve_one(fd);
		(void)sys3(SYS_CLOSE, (unsigned long)fd, 0, 0);
	}
}

static void send(const char *address, uint16_t port, uint64_t mib)
{
	struct header h = {sys_now(), mib};
	struct line l = {.n = 0};
	uint64_t start = sys_now();
	int fd = net_connected(SOCK_STREAM, address, port);

	if (fd < 0) {
		fail("cannot connect");
		return;
	}
	if (!net_write(fd, &h, sizeof(h)) || !send_bytes(fd, h.seed, mib) ||
	    !receive_bytes(fd, h.seed + 1, mib)) {
		return;
	}
	add(&l, "netload: sent ");
	add_number(&l, (int64_t)mib);
	add(&l, " MiB, received ");
	add_number(&l, (int64_t)mib);
	add(&l, " MiB, all right, ");
	add_number(&l, (int64_t)(mib * 2048 * 1000 / ((sys_now() - start) / 1000000 + 1)));
	add(&l, " KiB/s");
	say(&l);
}

__attribute__((used)) _Noreturn void netload_main(unsigned long *stack);
_Noreturn void netload_main(unsigned long *stack)
{
	char **argv = (char **)(stack + 1);

	if (stack[0] == 3 && same(argv[1], "serve")) {
		serve((uint16_t)number_of(argv[2]));
	} else if (stack[0] == 5 && same(argv[1], "send")) {
		send(argv[2], (uint16_t)number_of(argv[3]), number_of(argv[4]));
	} else {
		fail("usage: serve PORT, or send ADDRESS PORT MIB");
	}
	sys_exit(0);
}

__asm__(".globl _start\n_start:\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall netload_main\n");
