/* SPDX-License-Identifier: Apache-2.0 */
/* Saving one device and loading another from it, for the tests of models. */
#pragma once

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/api/saved.h"

/* What `d` saves, to be freed. */
static inline void *saved_bytes(const struct saved_device *d)
{
	void *bytes = calloc(1, (d->ops->bytes + 7ull) / 8 * 8);

	assert(bytes != NULL);
	d->ops->save(d->dev, bytes);
	return bytes;
}

/* Loads `to` from `from`, and sees that it saves the same bytes then. */
static inline void saved_move(const struct saved_device *from, const struct saved_device *to)
{
	void *before = saved_bytes(from);
	void *after;
	const char *wrong = to->ops->check(to->dev, before);

	if (wrong != NULL) {
		fprintf(stderr, "%s: %s\n", to->ops->name, wrong);
		abort();
	}
	to->ops->load(to->dev, before);
	after = saved_bytes(to);
	assert(memcmp(before, after, from->ops->bytes) == 0);
	free(before);
	free(after);
}

/* Saves it, resets it and loads it again: as if nothing had happened. */
static inline void saved_reload(const struct saved_device *d)
{
	void *before = saved_bytes(d);
	void *after;

	d->ops->reset(d->dev);
	assert(d->ops->check(d->dev, before) == NULL);
	d->ops->load(d->dev, before);
	after = saved_bytes(d);
	assert(memcmp(before, after, d->ops->bytes) == 0);
	free(before);
	free(after);
}

/*
 * Whether `d` takes what it saves with `n` bytes at `offset` replaced by those of `value`; nothing
 * is loaded.
 */
static inline bool saved_takes(const struct saved_device *d, size_t offset, const void *value,
			       size_t n)
{
	uint8_t *bytes = saved_bytes(d);
	bool taken;

	assert(offset + n <= d->ops->bytes);
	memcpy(bytes + offset, value, n);
	taken = d->ops->check(d->dev, bytes) == NULL;
	free(bytes);
	return taken;
}

/* The same for a field of the model's struct. */
#define SAVED_TAKES(d, type, field, with) \
	saved_takes(d, offsetof(type, field), &(__typeof__(((type *)0)->field)){with}, \
		    sizeof(((type *)0)->field))
