/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network under real concurrency, for ThreadSanitizer: each CPU is a thread that sends from a
 * port of its own, with a rate or long frames that have to be cut, fires its timers, and now and
 * then pulls its port out and plugs it in again. What a port is handed must be whole, and for it.
 */
#define _DEFAULT_SOURCE /* pthread_barrier_t */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/clock.h"
#include "hv/base/bits.h"
#include "hv/base/check.h"
#include "hv/cpu/insn.h"
#include "hv/cpu/percpu.h"
#include "hv/net/switch.h"
#include "mm/pool.h"

#define CPUS 2u
#define ROUNDS 2000u
#define PAYLOAD 4000u

/* --- what the portable code calls --- */

_Noreturn void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
	abort();
}

/* One clock for all, that goes on with each look. */
static _Atomic uint64_t tsc = 1000000;

uint64_t cpu_rdtsc(void)
{
	return atomic_fetch_add_explicit(&tsc, 5000, memory_order_relaxed);
}

void cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* Their clocks are one: nothing is corrected. */
uint64_t cpu_read_gs0(void)
{
	return 0;
}

struct cpu_local *percpu_get(unsigned index)
{
	(void)index;
	return NULL;
}

void *pool_alloc(size_t size)
{
	return calloc(1, size);
}

void pool_free(void *object, size_t size)
{
	(void)size;
	free(object);
}

/* --- the ports --- */

struct end {
	struct net_port port;
	_Atomic uint64_t got;
	_Atomic bool plugged; /* as far as its owner is concerned */
};

static struct timer_queue queues[CPUS];
static struct end ends[CPUS];
static struct network *net;
static pthread_barrier_t start;
static _Thread_local unsigned here;

static struct timer_queue *queue_here(void)
{
	return &queues[here];
}

static uint64_t wall(uint32_t *ns)
{
	*ns = 0;
	return 0;
}

static bool deliver(struct net_port *p, struct net_frame *f)
{
	struct end *e = container_of(p, struct end, port);

	CHECK(atomic_load(&e->plugged));
	CHECK(f->len >= NET_FRAME_MIN && f->len <= f->capacity);
	CHECK((f->data[0] & 1) != 0 || memcmp(f->data, p->mac.bytes, NET_MAC_BYTES) == 0);
	CHECK(f->offload.gso == NET_GSO_NONE || p->takes_tso4);
	atomic_fetch_add_explicit(&e->got, 1, memory_order_relaxed);
	return true;
}

static bool wants(struct net_port *p, const struct net_mac *to)
{
	return (to->bytes[0] & 1) != 0 || memcmp(to, &p->mac, sizeof(*to)) == 0;
}

static const struct net_port_ops ops = {.deliver = deliver, .wants = wants};

static void plug_in(unsigned cpu)
{
	/* The first one is limited, the last one takes long frames. */
	const struct network_port_config cfg = {.name = "cpu", .rate = cpu == 0 ? 1u << 20 : 0};

	atomic_store(&ends[cpu].plugged, true);
	CHECK(network_connect(net, &ends[cpu].port, &cfg) == HV_OK);
}

static void pull_out(unsigned cpu)
{
	network_disconnect(&ends[cpu].port);
	atomic_store(&ends[cpu].plugged, false);
}

/* IPv4 and TCP headers as far as anybody looks at them. */
static struct net_frame *make_frame(unsigned from, unsigned to, bool is_long)
{
	static const uint8_t headers[] = {0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6};
	uint32_t len = is_long ? 54 + PAYLOAD : 60;
	struct net_frame *f = net_frame_alloc(len);

	if (f == NULL) {
		return NULL;
	}
	memset(f->data, 0, len);
	memcpy(f->data, ends[to].port.mac.bytes, NET_MAC_BYTES);
	if (to == from) {
		memset(f->data, 0xff, NET_MAC_BYTES);
	}
	memcpy(f->data + 6, ends[from].port.mac.bytes, NET_MAC_BYTES);
	memcpy(f->data + 12, headers, sizeof(headers));
	f->data[46] = 0x50;
	f->len = len;
	if (is_long && to != from) {
		f->offload = (struct net_offload){.needs_checksum = true,
						  .csum_start = 34,
						  .csum_offset = 16,
						  .gso = NET_GSO_TCPV4,
						  .gso_size = 1000};
	}
	return f;
}

static void *run_cpu(void *arg)
{
	here = (unsigned)(uintptr_t)arg;
	plug_in(here);
	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct net_frame *f = make_frame(here, i % CPUS, i % 5 == 0 && i % CPUS != here);

		if (f != NULL) {
			net_port_send(&ends[here].port, f);
		}
		timer_queue_run(&queues[here], clock_now());
		if (i % 97 == 0) {
			pull_out(here);
			plug_in(here);
		}
	}
	pull_out(here);
	timer_queue_run(&queues[here], ~0ull >> 1);
	return NULL;
}

int main(void)
{
	const struct networks_config init = {.wallclock = wall};
	const struct network_config cfg = {.name = "net", .storm = 1000000};
	pthread_t threads[CPUS];

	clock_init(1000000000);
	timer_set_local_queue(queue_here);
	networks_init(&init);
	CHECK(network_add(&cfg) == HV_OK);
	net = network_at(0);
	CHECK(network_capture_start(net) == HV_OK);
	for (unsigned i = 0; i < CPUS; i++) {
		timer_queue_init(&queues[i]);
		ends[i].port.ops = &ops;
		ends[i].port.mac = (struct net_mac){{2, 0, 0, 0, 0, (uint8_t)(i + 1)}};
		ends[i].port.takes_checksum = i == CPUS - 1;
		ends[i].port.takes_tso4 = i == CPUS - 1;
	}
	pthread_barrier_init(&start, NULL, CPUS);
	for (unsigned i = 0; i < CPUS; i++) {
		if (pthread_create(&threads[i], NULL, run_cpu, (void *)(uintptr_t)i) != 0) {
			return 1;
		}
	}
	for (unsigned i = 0; i < CPUS; i++) {
		pthread_join(threads[i], NULL);
	}
	for (unsigned i = 0; i < CPUS; i++) {
		CHECK(atomic_load(&ends[i].got) != 0);
	}
	CHECK(net_frames_bytes() == 0);
	printf("race: frames got: %llu %llu\n", (unsigned long long)ends[0].got,
	       (unsigned long long)ends[1].got);
	return 0;
}
