/* SPDX-License-Identifier: Apache-2.0 */
/* Choices and addresses of drivers gone mad, by the numbers of a seed (rt_random). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A number below `n`, which is not 0. */
uint32_t rt_pick(uint64_t *seed, uint32_t n);
/* True once in `n` times. */
bool rt_one_in(uint64_t *seed, uint32_t n);
/* Nowhere in RAM, but for its last 32 bytes below 4 GiB. */
uint64_t rt_wild_address(uint64_t *seed);
/* Writes 1, 2, 4 or 8 random bytes, aligned, to one of the `bytes` registers from `at` on. */
void rt_write_anywhere(uint64_t *seed, uint64_t at, uint32_t bytes);
/* Reads there likewise, in all widths. */
void rt_read_anywhere(uint64_t *seed, uint64_t at, uint32_t bytes);

/*
 * The places of a mad disk driver, in RAM behind the image, one behind the other. Only what a
 * device may write is before what it reads addresses from, so that bytes of a disk are never taken
 * for an address; and each eight bytes of the data, should they be taken for one all the same, are
 * the address of a page of the data.
 *
 *	written by the device (64 KiB) | data (512 KiB) | lists: queues, tables, ... (256 KiB)
 */
#define RT_WRITTEN_BYTES 0x10000u
#define RT_DATA_BYTES 0x80000u
#define RT_LISTS_BYTES 0x40000u

uint64_t rt_written_place(void);
uint64_t rt_data_place(void);
uint64_t rt_lists_place(void);
/* Fills the data with addresses of its own pages. */
void rt_fill_data(uint64_t *seed);
/* An address in the data, or now and then a wild one. */
uint64_t rt_some_address(uint64_t *seed);
/* One of the multiples of `align` in the lists, with room for `bytes`; now and then a wild one. */
uint64_t rt_some_list(uint64_t *seed, uint32_t align, uint32_t bytes);

/* A vector of a mad driver's messages: 0x80 to 0xdf, where rt_ignore_vectors has put a handler. */
uint8_t rt_some_vector(uint64_t *seed);
void rt_ignore_vectors(void);
/* Lets what waits for this CPU come, which is an exit as well. */
void rt_take_interrupts(void);

/* RAM by its address. */
static inline void *rt_pointer(uint64_t gpa)
{
	return (void *)(uintptr_t)gpa;
}

/* --- functions of PCI gone mad --- */

/* Bus mastering off or on, a function-level reset where there is one, or a message (MSI, MSI-X) to
 * nobody or to no APIC: with a vector of rt_some_vector, so that none is an INIT or NMI. */
void rt_disturb_function(uint64_t *seed, unsigned devfn);
/* Decodes, is a bus master, sends no messages and no INTx; power state D0. */
void rt_calm_function(unsigned devfn);
