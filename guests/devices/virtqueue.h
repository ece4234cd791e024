/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue (Virtual I/O Device (VIRTIO) 1.2, "Split Virtqueues"),
 * with indirect descriptors and event indexes. The rings are the driver's memory, so they are
 * hostile: each field is read once into a local, chains are bounded, and whatever breaks the rules
 * breaks the queue, which then gives and takes nothing until it is set up anew.
 *
 *	driver --descriptors, available ring--> virtqueue_pop --> chain of segments
 *	       <--used ring, interrupt--------- virtqueue_push, virtqueue_publish
 *
 * There are no packed rings: their gain is that a device on the other side of a bus reads one ring
 * where it reads three; here each of the three is a load from memory.
 *
 * Locking: whoever owns the queue has a lock around all calls. The VM's space is current.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/api/gmem.h"
#include "hv/api/saved.h"

#define VIRTQUEUE_SIZE_MAX 256u
/* Descriptors of one chain, indirect ones included. */
#define VIRTQUEUE_SEGMENTS_MAX 128u

/* One buffer of the guest. */
struct virtqueue_segment {
	uint64_t addr;
	uint32_t len; /* never 0 */
};

/* What the driver offered in one go: segments to read, and behind them those to write. */
struct virtqueue_chain {
	uint16_t head;		 /* its name for virtqueue_push */
	uint16_t count;		 /* segments in use */
	uint16_t readable_count; /* how many of them, from the first, are the driver's output */
	uint32_t readable;	 /* bytes of these */
	uint32_t writable;	 /* bytes of the others */
	struct virtqueue_segment segments[VIRTQUEUE_SEGMENTS_MAX];
};

struct virtqueue {
	struct vm *vm;
	/* The queue was found broken; called once until it is set up anew. */
	void (*broke)(struct virtqueue *q, const char *why);
	/* Guest-physical addresses of descriptor table, available ring, used ring. */
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t size; /* descriptors; a power of two */
	bool running;  /* set up and not broken */
	bool broken;
	bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect;	/* VIRTIO_F_INDIRECT_DESC was negotiated */
	bool quiet;	/* VIRTQ_USED_F_NO_NOTIFY is set */
	/* Free-running counters, as the rings have them. */
	uint16_t avail_seen;	 /* the available index as read last */
	uint16_t avail_next;	 /* what is popped next */
	uint16_t used_next;	 /* where the next push goes */
	uint16_t used_published; /* what the driver was told */
	uint16_t used_signalled; /* what it was when the need of an interrupt was settled last */
};

/* What a driver sets up before it enables a queue. */
struct virtqueue_setup {
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t size;
	bool event_idx;
	bool indirect;
};

/* A queue that does nothing until it is started. */
void virtqueue_init(struct virtqueue *q, struct vm *vm,
		    void (*broke)(struct virtqueue *q, const char *why));
/* False, and the queue is broken, when size, alignment or place cannot be. */
bool virtqueue_start(struct virtqueue *q, const struct virtqueue_setup *s);
/* Back to the state after virtqueue_init. */
void virtqueue_stop(struct virtqueue *q);
/* Gives up on a queue whose driver broke the device's rules; `why` is for the log. */
void virtqueue_break(struct virtqueue *q, const char *why);

/*
 * Looks how far the driver is. Whether there is something to pop; false as well when the queue is
 * broken or not running.
 */
bool virtqueue_poll(struct virtqueue *q);
/* Chains that were there at the last poll and were not popped yet. */
static inline unsigned virtqueue_waiting(const struct virtqueue *q)
{
	return (uint16_t)(q->avail_seen - q->avail_next);
}
/* Takes the next of the chains that virtqueue_poll saw. False: none left, or broken. */
bool virtqueue_pop(struct virtqueue *q, struct virtqueue_chain *c);
/* Takes back the last `count` pops; none of them was pushed, nor anything since. */
void virtqueue_unpop(struct virtqueue *q, unsigned count);

/*
 * Copies `n` bytes from `offset` on of the chain's readable part, or to its writable part. False
 * when the part is shorter, which breaks nothing, or when a buffer is not RAM, which breaks the
 * queue.
 */
bool virtqueue_read(struct virtqueue *q, const struct virtqueue_chain *c, uint32_t offset,
		    void *dst, uint32_t n);
bool virtqueue_write(struct virtqueue *q, const struct virtqueue_chain *c, uint32_t offset,
		     const void *src, uint32_t n);

/* A stretch of a chain's readable or writable part that is copied in several goes. */
struct virtqueue_cursor {
	struct vm *vm;
	const struct virtqueue_segment *at;
	uint32_t skip; /* bytes of it that are done with */
	uint32_t left; /* bytes that may still be copied */
};

/* The stretch of `n` bytes from `offset` on. False: the part is shorter. */
bool virtqueue_seek_read(const struct virtqueue *q, const struct virtqueue_chain *c,
			 uint32_t offset, uint32_t n, struct virtqueue_cursor *cur);
bool virtqueue_seek_write(const struct virtqueue *q, const struct virtqueue_chain *c,
			  uint32_t offset, uint32_t n, struct virtqueue_cursor *cur);
/*
 * The next `n` bytes of it. False: a buffer is not RAM, or the stretch ends. They leave it to the
 * caller to break the queue, as that takes locks which those who copy may have.
 */
bool virtqueue_read_next(struct virtqueue_cursor *cur, void *dst, uint32_t n);
bool virtqueue_write_next(struct virtqueue_cursor *cur, const void *src, uint32_t n);

/*
 * Gives a chain back, with the number of bytes that were written to it from its first writable one
 * on. The driver sees it after virtqueue_publish.
 */
void virtqueue_push(struct virtqueue *q, uint16_t head, uint32_t written);
/* Shows the driver all that was pushed. */
void virtqueue_show(struct virtqueue *q);
/* Whether the driver wants an interrupt for what it was shown since this was asked last. */
bool virtqueue_wants_interrupt(struct virtqueue *q);
/*
 * The same without an end: true leaves the question open, so that it can be put again when the
 * driver may have looked by itself.
 */
bool virtqueue_waits_for_interrupt(struct virtqueue *q);
/* Shows what was pushed; true: the driver wants an interrupt. */
bool virtqueue_publish(struct virtqueue *q);

/*
 * While a queue is being worked on the driver need not tell of more. Costs nothing with event
 * indexes, where it tells once only anyhow.
 */
void virtqueue_quiet(struct virtqueue *q);
/*
 * The driver is to tell of more from now on. True: it has put something in already, without
 * telling; the caller has to go on.
 */
bool virtqueue_listen(struct virtqueue *q);

enum virtqueue_state {
	VIRTQUEUE_STOPPED,
	VIRTQUEUE_RUNNING,
	VIRTQUEUE_BROKEN,
};

/* Saved state; what the driver set up is saved by who has that. */
struct virtqueue_saved {
	uint16_t avail_seen;
	uint16_t avail_next;
	uint16_t used_next;
	uint16_t used_published;
	uint16_t used_signalled;
	uint8_t state; /* enum virtqueue_state */
	uint8_t quiet;
	uint8_t zero[4];
};
_Static_assert(sizeof(struct virtqueue_saved) == 16, "no padding");

/* As in struct saved_ops. */
void virtqueue_save(const struct virtqueue *q, struct virtqueue_saved *out);
const char *virtqueue_check(const struct virtqueue_setup *s, const struct virtqueue_saved *in);
void virtqueue_load(struct virtqueue *q, const struct virtqueue_setup *s,
		    const struct virtqueue_saved *in);
/* Chains that were popped and not pushed. */
static inline unsigned virtqueue_saved_open(const struct virtqueue_saved *in)
{
	return (uint16_t)(in->avail_next - in->used_next);
}
