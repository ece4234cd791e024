/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what device models do not have. Entries are only ever added. */
#include "hv/api/lacks.h"

#include <stddef.h>

#include "hv/base/str.h"

static struct lack *find_or_add(struct lacks *l, const char *device, enum lacks_kind kind,
				uint32_t what)
{
	unsigned of_device = 0;

	for (unsigned i = 0; i < l->count; i++) {
		struct lack *e = &l->list[i];

		if (e->kind == kind && e->what == what && str_eq(e->device, device)) {
			return e;
		}
		of_device += str_eq(e->device, device);
	}
	if (l->count == LACKS_MAX || of_device == LACKS_OF_DEVICE_MAX) {
		return NULL;
	}
	l->list[l->count] = (struct lack){.device = device, .kind = kind, .what = what};
	return &l->list[l->count++];
}

void lacks_note(struct lacks *l, const char *device, enum lacks_kind kind, uint32_t what)
{
	struct lack *e;

	if (l == NULL || kind == LACKS_NOTHING) {
		return;
	}
	lock_acquire(&l->lock);
	l->total++;
	e = find_or_add(l, device, kind, what);
	if (e != NULL) {
		e->count++;
	}
	lock_release(&l->lock);
}

uint64_t lacks_copy(struct lacks *l, struct lack *out, unsigned *count)
{
	uint64_t total;

	lock_acquire(&l->lock);
	total = l->total;
	*count = l->count;
	memcpy(out, l->list, l->count * sizeof(*out));
	lock_release(&l->lock);
	return total;
}

const char *lacks_kind_name(enum lacks_kind kind)
{
	static const char *const names[LACKS_KINDS] = {
		[LACKS_NOTHING] = "nothing",   [LACKS_READ] = "read",
		[LACKS_WRITE] = "write",       [LACKS_INDEX] = "index",
		[LACKS_COMMAND] = "command",   [LACKS_REQUEST] = "request",
		[LACKS_PACKET] = "packet",     [LACKS_SMART] = "smart",
		[LACKS_FEATURE] = "feature",   [LACKS_LOG] = "log",
		[LACKS_IDENTIFY] = "identify", [LACKS_KEYBOARD] = "keyboard",
		[LACKS_MOUSE] = "mouse",       [LACKS_CALL] = "call",
	};

	return names[kind];
}
