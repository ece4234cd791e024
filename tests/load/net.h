/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 sockets for programs without libc. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/load/sys.h"

#define AF_INET 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_RCVTIMEO 20
#define IPPROTO_TCP 6
#define TCP_NODELAY 1

struct inet_address {
	uint16_t family;
	uint16_t port_be;
	uint8_t address[4];
	uint8_t zero[8];
};

static_assert(sizeof(struct inet_address) == 16, "struct sockaddr_in");

/* `text` is A.B.C.D, or empty for any address. */
static inline struct inet_address inet_address_of(const char *text, uint16_t port)
{
	struct inet_address a = {.family = AF_INET, .port_be = __builtin_bswap16(port)};

	for (unsigned i = 0; i < 4 && *text != 0; text++) {
		if (*text == '.') {
			i++;
		} else {
			a.address[i] = (uint8_t)(a.address[i] * 10 + *text - '0');
		}
	}
	return a;
}

static inline void sys_set(int fd, unsigned level, unsigned option)
{
	int on = 1;

	(void)sys6(SYS_SETSOCKOPT, (unsigned long)fd, level, option, address_of(&on), sizeof(on),
		   0);
}

static inline void sys_set_seconds(int fd, unsigned level, unsigned option, uint64_t seconds)
{
	uint64_t time[2] = {seconds, 0};

	(void)sys6(SYS_SETSOCKOPT, (unsigned long)fd, level, option, address_of(time), sizeof(time),
		   0);
}

/* A socket bound to the port of every address; negative on errors. */
static inline int net_bound(unsigned type, uint16_t port)
{
	struct inet_address any = inet_address_of("", port);
	int fd = (int)sys3(SYS_SOCKET, AF_INET, type, 0);

	sys_set(fd, SOL_SOCKET, SO_REUSEADDR);
	if (sys3(SYS_BIND, (unsigned long)fd, address_of(&any), sizeof(any)) < 0) {
		return -1;
	}
	return fd;
}

static inline int net_connected(unsigned type, const char *address, uint16_t port)
{
	struct inet_address to = inet_address_of(address, port);
	int fd = (int)sys3(SYS_SOCKET, AF_INET, type, 0);

	if (sys3(SYS_CONNECT, (unsigned long)fd, address_of(&to), sizeof(to)) < 0) {
		return -1;
	}
	return fd;
}

/* All of it, or false. */
static inline int net_read(int fd, void *buffer, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		long n = sys3(SYS_READ, (unsigned long)fd, address_of((char *)buffer + done),
			      bytes - done);

		if (n <= 0) {
			return 0;
		}
		done += (size_t)n;
	}
	return 1;
}

static inline int net_write(int fd, const void *buffer, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		long n = sys3(SYS_WRITE, (unsigned long)fd, address_of((const char *)buffer + done),
			      bytes - done);

		if (n <= 0) {
			return 0;
		}
		done += (size_t)n;
	}
	return 1;
}
