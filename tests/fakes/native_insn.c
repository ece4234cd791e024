/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page of generated code and one of data behind it. The code saves the host's registers, loads
 * the state, runs the instruction, and stores the state; all data is addressed relative to RIP, so
 * no register is needed for it and no flag changes on the way.
 */
#define _GNU_SOURCE
#include "tests/fakes/native_insn.h"

#include <string.h>
#include <sys/mman.h>

#include "hv/base/check.h"

#define PAGE 4096u
#define STACK_SIZE 0x80000u

struct slots {
	uint64_t gpr[16];
	uint64_t rflags;
	uint64_t host_rsp;
};

static uint8_t *page;
static uint8_t *stack;
static uint8_t *at;

uint8_t *native_alloc(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1,
		       0);

	return p == MAP_FAILED ? NULL : p;
}

uint64_t native_stack(void)
{
	if (stack == NULL) {
		stack = native_alloc(STACK_SIZE);
		CHECK(stack != NULL);
	}
	return (uint64_t)(uintptr_t)stack + STACK_SIZE - 0x4000;
}

static void emit(const void *bytes, size_t n)
{
	memcpy(at, bytes, n);
	at += n;
}

static void emit8(unsigned byte)
{
	*at++ = (uint8_t)byte;
}

/* ModRM for [rip + displacement] to a slot. */
static void emit_slot(unsigned reg, size_t offset)
{
	int32_t disp;

	emit8((reg & 7) << 3 | 5);
	disp = (int32_t)(page + PAGE + offset - (at + 4));
	emit(&disp, 4);
}

/* 8B loads a register from its slot, 89 stores it. */
static void emit_move(unsigned opcode, unsigned reg, size_t offset)
{
	emit8(reg < 8 ? 0x48 : 0x4c);
	emit8(opcode);
	emit_slot(reg, offset);
}

static void emit_all(unsigned opcode)
{
	for (unsigned r = 0; r < 16; r++) {
		if (r != 4) {
			emit_move(opcode, r, r * 8);
		}
	}
	emit_move(opcode, 4, 4 * 8);
}

static void build(const uint8_t *insn, size_t n)
{
	static const uint8_t save[] = {0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57};
	static const uint8_t restore[] = {0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41,
					  0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3};

	at = page;
	emit(save, sizeof(save));
	emit_move(0x89, 4, offsetof(struct slots, host_rsp));
	emit8(0xff); /* push rflags; popfq */
	emit_slot(6, offsetof(struct slots, rflags));
	emit8(0x9d);
	emit_all(0x8b);
	emit(insn, n);
	emit_all(0x89);
	emit_move(0x8b, 4, offsetof(struct slots, host_rsp));
	emit8(0x9c); /* pushfq; pop rflags */
	emit8(0x8f);
	emit_slot(0, offsetof(struct slots, rflags));
	emit(restore, sizeof(restore));
}

void native_run(const uint8_t *insn, size_t n, struct native_state *state)
{
	struct slots slots = {.rflags = state->rflags};
	void (*code)(void);

	if (page == NULL) {
		page = native_alloc(PAGE * 2);
		CHECK(page != NULL);
		CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
	}
	build(insn, n);
	memcpy(slots.gpr, state->gpr, sizeof(slots.gpr));
	memcpy(page + PAGE, &slots, sizeof(slots));
	memcpy(&code, &(uint8_t *){page}, sizeof(code));
	code();
	memcpy(&slots, page + PAGE, sizeof(slots));
	memcpy(state->gpr, slots.gpr, sizeof(slots.gpr));
	state->rflags = slots.rflags;
}
