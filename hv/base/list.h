/* SPDX-License-Identifier: Apache-2.0 */
/* An intrusive, circular, doubly linked list. A node that is in no list points at itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/bits.h"

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

static inline void list_init(struct list_node *n)
{
	n->next = n;
	n->prev = n;
}

static inline bool list_empty(const struct list_node *head)
{
	return head->next == head;
}

/* Puts `n` before `at`; before the head means at the end of the list. */
static inline void list_insert_before(struct list_node *at, struct list_node *n)
{
	n->prev = at->prev;
	n->next = at;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_append(struct list_node *head, struct list_node *n)
{
	list_insert_before(head, n);
}

/* Takes `n` out of its list; harmless when it is in none. */
static inline void list_remove(struct list_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_for_each(it, head) \
	for (struct list_node *it = (head)->next; it != (head); it = it->next)
/* As list_for_each; the body may remove `it`. */
#define list_for_each_safe(it, head) \
	for (struct list_node *it = (head)->next, *it##_next = it->next; it != (head); \
	     it = it##_next, it##_next = it->next)
