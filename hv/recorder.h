/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder: every vCPU keeps its last 1,024 exits, always. `trace NAME` prints them; a
 * guest that dies prints the tail.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "hv/api/vm.h"

/* Notes one exit with the RIP it happened at. On the path of every exit. */
void recorder_note(struct vcpu *vcpu, const struct vm_exit *exit, uint64_t tsc);
/* One line of text about an entry, without line end; at most `cap` bytes with terminator. */
void recorder_format(const struct recorder_entry *e, char *buf, size_t cap);
/*
 * Calls `line` for the last `count` entries (fewer when fewer were recorded), oldest first. Times
 * are microseconds before `now`.
 */
void recorder_print(const struct recorder *r, uint64_t count, uint64_t now,
		    void (*line)(void *ctx, const char *text), void *ctx);
