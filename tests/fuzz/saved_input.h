/* SPDX-License-Identifier: Apache-2.0 */
/* A device that is saved, changed in its bytes, and loaded again, for fuzz targets of models. */
#pragma once

#include "tests/fakes/saved_rig.h"
#include "tests/fuzz/device_input.h"

/*
 * If the device is quiet: some of the bytes that it saves from `from` on become others, and it
 * loads them unless it finds fault with them; then it saves the same. Whether it loaded. What lies
 * before `from` is another target's.
 */
static inline bool fuzz_reload(struct input *in, const struct saved_device *d, size_t from)
{
	uint8_t *bytes;
	void *after;
	bool sound;

	if (d->ops->quiet != NULL && !d->ops->quiet(d->dev)) {
		return false;
	}
	bytes = saved_bytes(d);
	for (unsigned n = (unsigned)take(in, 1) % 4; n != 0; n--) {
		size_t at = from + take(in, 2) % (d->ops->bytes - from);

		bytes[at] = (uint8_t)take(in, 1);
	}
	sound = d->ops->check(d->dev, bytes) == NULL;
	if (sound) {
		d->ops->load(d->dev, bytes);
		after = saved_bytes(d);
		assert(memcmp(bytes, after, d->ops->bytes) == 0);
		free(after);
	}
	free(bytes);
	return sound;
}
