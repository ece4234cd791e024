/* SPDX-License-Identifier: Apache-2.0 */
/* A fair (ticket) spin lock. The hypervisor runs with interrupts disabled, so it is IRQ-safe. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct spinlock {
	_Atomic uint32_t next;
	_Atomic uint32_t owner;
};

static inline void lock_acquire(struct spinlock *l)
{
	uint32_t ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

	while (atomic_load_explicit(&l->owner, memory_order_acquire) != ticket) {
		__builtin_ia32_pause();
	}
}

/* Takes the lock if nobody has it or waits for it. */
static inline bool lock_try(struct spinlock *l)
{
	/* What the last owner did comes with `owner`, as in lock_acquire. */
	uint32_t free = atomic_load_explicit(&l->owner, memory_order_acquire);

	return atomic_compare_exchange_strong_explicit(&l->next, &free, free + 1,
						       memory_order_relaxed, memory_order_relaxed);
}

static inline void lock_release(struct spinlock *l)
{
	uint32_t owner = atomic_load_explicit(&l->owner, memory_order_relaxed);

	atomic_store_explicit(&l->owner, owner + 1, memory_order_release);
}
