/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a VM's device models as bytes: what each of them is, and all of a VM's in one
 * buffer.
 *
 *	head     magic, format, length of all, number of records
 *	record   kind, instance, version, length | the model's struct X_saved, padded to 8 bytes
 *	record   ...
 *
 * A model embeds struct saved_device and describes itself by struct saved_ops; whoever builds the
 * VM adds it to the VM's set. Its struct X_saved is plain: fixed widths, no pointers, no padding,
 * its size asserted. It holds what the guest made of the device, not what wires it to the machine:
 * configuration, callbacks and addresses are those of the VM that loads it. Times are guest time
 * (hv/api/vtime.h).
 *
 * Everything here is called while the VM's time stands, none of its vCPUs runs and no timer
 * function of it is under way, with the VM's space current. docs/saved.md says what is in and what
 * is not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/list.h"

/* Four letters, the first in the lowest byte. */
#define SAVED_KIND(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* What goes before a model's bytes. */
struct saved_record {
	uint32_t kind;
	uint32_t instance;
	uint32_t version;
	uint32_t bytes; /* of the model's struct, without the padding to 8 bytes behind it */
};
_Static_assert(sizeof(struct saved_record) == 16, "a record's head");

#define SAVED_MAGIC SAVED_KIND('B', 'H', 'D', 'V')
#define SAVED_FORMAT 1u

struct saved_head {
	uint32_t magic;
	uint32_t format;
	uint64_t bytes; /* of all, this head included */
	uint32_t records;
	uint32_t zero;
};
_Static_assert(sizeof(struct saved_head) == 24, "the head of all records");

struct saved_ops {
	const char *name; /* "8254": for messages */
	uint32_t kind;	  /* SAVED_KIND() */
	uint32_t version; /* of the struct: the only one that this build loads */
	uint32_t bytes;	  /* sizeof the struct */
	/*
	 * Whether nothing of the device is under way outside of it: no request at a disk, no
	 * deferred work (hv/api/vwork.h) that was asked for and has not run. `save` is called only
	 * then. NULL: always so.
	 */
	bool (*quiet)(void *dev);
	/* Fills `out`: ops->bytes, zeroed, aligned to 8. Changes nothing. */
	void (*save)(void *dev, void *out);
	/*
	 * NULL when the device can take this state, else what is wrong: a few words that follow
	 * "what is wrong with `name`: ". Every field is looked at: `in`, aligned as for `save`, may
	 * be any bytes. Changes nothing, and looks at nothing that another record changes: all
	 * records are checked before the first is loaded.
	 */
	const char *(*check)(void *dev, const void *in);
	/*
	 * The device, which is quiet, becomes what was saved; `check` found no fault. Timers are
	 * armed, interrupt lines set to the level of that state. Interrupt controllers are loaded
	 * before what drives them: a line that has the level already changes nothing there.
	 */
	void (*load)(void *dev, const void *in);
	/* To the state after power-on. What waits is dropped, not finished: it has been saved. */
	void (*reset)(void *dev);
};

struct saved_device {
	const struct saved_ops *ops;
	void *dev;
	uint32_t instance; /* tells several of a kind apart: a vCPU's number, a PCI devfn; or 0 */
	struct list_node node;
};

/* The devices of a VM, in the order in which they are loaded. */
struct saved_set {
	struct list_node devices; /* of struct saved_device.node */
};

void saved_set_init(struct saved_set *set);
/* `dev` is handed to the functions of `ops`. Part of the model's own init. */
void saved_device_init(struct saved_device *d, const struct saved_ops *ops, void *dev);
/* At the end. No two of a kind have the same instance. `set` may be NULL: nobody asks then. */
void saved_add(struct saved_set *set, struct saved_device *d, uint32_t instance);

/* Whether all devices are quiet; else *busy, unless NULL, is one that is not. */
bool saved_quiet(const struct saved_set *set, const struct saved_device **busy);
/* Bytes that saved_save writes; they change only when devices are added. */
size_t saved_size(const struct saved_set *set);
/* Saves all devices, which are quiet. `out`: saved_size() bytes, aligned to 8. */
void saved_save(const struct saved_set *set, void *out);
/*
 * Whether all devices can be loaded from `in`, `n` bytes of any content, aligned to 8: one record
 * for each, in any order, and no others. False: `error` says which device or part of the file is at
 * fault and what is allowed, cut to `cap` bytes. Changes nothing.
 */
bool saved_check(const struct saved_set *set, const void *in, size_t n, char *error, size_t cap);
/* The same, and loads them; false: nothing was changed. */
bool saved_load(const struct saved_set *set, const void *in, size_t n, char *error, size_t cap);
/*
 * The record at *offset of `in`, `n` bytes; *offset, which begins behind the head, moves behind it.
 * NULL when no whole record is left there.
 */
const struct saved_record *saved_next_record(const void *in, size_t n, size_t *offset);
/* All devices to the state after power-on, those that were added last first. */
void saved_reset(const struct saved_set *set);

/* For checks: a byte that stands for a bool. */
static inline bool saved_is_bool(uint8_t value)
{
	return value <= 1;
}

/* For checks: all of `n` bytes are 0, as what is reserved has to be. */
bool saved_is_zero(const void *p, size_t n);
