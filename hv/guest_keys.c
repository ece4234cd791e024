/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that wait for a guest's keyboard. */
#include "hv/guest_keys.h"

#include "guests/devices/scancode.h"
#include "hv/api/clock.h"
#include "hv/guest.h"

#define PACE_NS 10000000ull
#define SEQUENCE_MAX 6u /* the Pause key's */

static void on_timer(struct timer *t)
{
	struct guest_keys *k = container_of(t, struct guest_keys, timer);

	atomic_store(&k->due, true);
	run_chore(RUN_CHORE_INPUT);
}

static void arm(struct guest_keys *k)
{
	if (!k->timer_ready) {
		timer_init(&k->timer, run_timers(), on_timer);
		k->timer_ready = true;
	}
	k->waiting = true;
	atomic_store(&k->due, false);
	timer_arm(&k->timer, clock_now() + clock_ns_to_ticks(PACE_NS));
}

static bool takes_keys(const struct guest *g)
{
	return g->state == GUEST_RUNNING && g->board != NULL;
}

/* The sequence in front; returns its length. */
static unsigned peek(const struct guest_keys *k, uint8_t out[SEQUENCE_MAX])
{
	uint8_t first = k->bytes[k->head];
	unsigned n = first == SCANCODE_PAUSE ? 3 : first == SCANCODE_EXTENDED ? 2 : 1;

	n = n < k->count ? n : k->count;
	for (unsigned i = 0; i < n; i++) {
		out[i] = k->bytes[(k->head + i) % GUEST_KEYS_MAX];
	}
	return n;
}

/* Gives out sequences until the keyboard is full, or one if they are paced. */
static void feed(struct guest *g)
{
	struct guest_keys *k = &g->keys;
	bool more = k->count != 0;

	k->paced = k->paced && more;
	while (k->count != 0 && more) {
		uint8_t sequence[SEQUENCE_MAX];
		unsigned n = peek(k, sequence);

		more = i8042_key(&g->board->i8042, sequence, n);
		if (more) {
			k->head = (k->head + n) % GUEST_KEYS_MAX;
			k->count -= n;
			more = !k->paced;
		}
	}
	if (k->count != 0 || k->paced) {
		arm(k);
	}
}

bool guest_keys_put(struct guest *g, const uint8_t *set1, unsigned n, bool paced)
{
	struct guest_keys *k = &g->keys;

	if (!takes_keys(g) || n > GUEST_KEYS_MAX - k->count) {
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		k->bytes[(k->head + k->count++) % GUEST_KEYS_MAX] = set1[i];
	}
	k->paced = k->paced || paced;
	if (!k->waiting) {
		feed(g);
	}
	return true;
}

void guest_keys_feed(struct guest *g)
{
	if (g->keys.waiting && takes_keys(g) && atomic_exchange(&g->keys.due, false)) {
		g->keys.waiting = false;
		feed(g);
	}
}

void guest_keys_clear(struct guest *g)
{
	struct guest_keys *k = &g->keys;

	if (k->timer_ready) {
		timer_cancel(&k->timer);
	}
	k->head = 0;
	k->count = 0;
	k->paced = false;
	k->waiting = false;
}
