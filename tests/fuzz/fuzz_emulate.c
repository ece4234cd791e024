/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The emulator, two ways. Odd first byte: an instruction of the unprivileged integer subset is made
 * up from the input, executed by this very CPU and by the emulator on the same memory, and the
 * registers, the memory and the defined flags must agree. Even: arbitrary bytes are emulated in any
 * mode with page tables from the input, and what must always hold is checked.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/bits.h"
#include "tests/fakes/emul_guest.h"
#include "tests/fakes/native_insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA 0x4000u
#define ARENA_MID 0x2000u

#define ALL_FLAGS \
	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF | RFLAGS_DF)

static void require(bool ok, const char *what, const struct emul_guest *g, const uint8_t *insn,
		    size_t n)
{
	if (ok) {
		return;
	}
	fprintf(stderr, "%s: mode %d opcode %02x bytes", what, (int)g->c.mode, g->c.insn.opcode);
	for (size_t i = 0; i < n; i++) {
		fprintf(stderr, " %02x", insn[i]);
	}
	fprintf(stderr, "\n");
	abort();
}

/* ---------------------------------------------------------------- against the CPU */

/* The input as a stream; zeros when it ends. */
struct stream {
	const uint8_t *at;
	size_t left;
};

static uint8_t next(struct stream *s)
{
	if (s->left == 0) {
		return 0;
	}
	s->left--;
	return *s->at++;
}

static uint64_t next_value(struct stream *s)
{
	static const uint64_t edges[] = {
		0,	    1,	    0x7f,	0x80,	    0xff,	 0x7fff,
		0x8000,	    0xffff, 0x7fffffff, 0x80000000, 0xffffffff,	 0x100000000,
		0x0f0f0f0f, ~0ull,  BIT(63),	BIT(62),    BIT(63) - 1, 0x123456789abcdef0};
	uint8_t pick = next(s);
	uint64_t value = 0;

	if (pick < 128) {
		return edges[pick % ARRAY_SIZE(edges)];
	}
	for (unsigned i = 0; i < 8; i++) {
		value = value << 8 | next(s);
	}
	return value;
}

/* How an instruction is put together. */
#define T_RM 1u	   /* ModRM: register and register or memory */
#define T_GROUP 2u /* ModRM.reg is not a register */
#define T_BYTE 4u  /* byte operands */
#define T_LOCK 8u  /* lockable with memory */
#define T_IMM8 16u
#define T_IMMZ 32u
#define T_STRING 64u
#define T_0F 128u
#define T_0F38 256u
#define T_BIT 512u	/* bit string: the register is an offset */
#define T_MEM 1024u	/* memory form only */
#define T_RM_BYTE 2048u /* ModRM.rm is a byte register, ModRM.reg is not */
#define T_STACK 4096u
#define T_NO66 8192u
#define T_ALIGN 16384u /* XCHG, which locks unasked, and CMPXCHG16B */

struct template
{
	uint8_t first; /* opcodes first..last */
	uint8_t last;
	unsigned flags;
	uint8_t groups; /* allowed ModRM.reg values, bit mask */
};

static const struct template templates[] = {
	{0x00, 0x00, T_RM | T_BYTE | T_LOCK, 0},
	{0x01, 0x01, T_RM | T_LOCK, 0},
	{0x08, 0x09, T_RM | T_LOCK, 0},
	{0x10, 0x11, T_RM | T_LOCK, 0},
	{0x18, 0x19, T_RM | T_LOCK, 0},
	{0x20, 0x21, T_RM | T_LOCK, 0},
	{0x28, 0x29, T_RM | T_LOCK, 0},
	{0x30, 0x31, T_RM | T_LOCK, 0},
	{0x38, 0x39, T_RM, 0},
	{0x02, 0x03, T_RM, 0},
	{0x0a, 0x0b, T_RM, 0},
	{0x12, 0x13, T_RM, 0},
	{0x1a, 0x1b, T_RM, 0},
	{0x22, 0x23, T_RM, 0},
	{0x2a, 0x2b, T_RM, 0},
	{0x32, 0x33, T_RM, 0},
	{0x3a, 0x3b, T_RM, 0},
	{0x14, 0x14, T_IMM8, 0},
	{0x1d, 0x1d, T_IMMZ, 0},
	{0x3c, 0x3c, T_IMM8, 0},
	{0x3d, 0x3d, T_IMMZ, 0},
	{0x50, 0x53, T_STACK, 0},
	{0x55, 0x5b, T_STACK, 0},
	{0x5d, 0x5f, T_STACK, 0},
	{0x63, 0x63, T_RM, 0},
	{0x68, 0x68, T_STACK | T_IMMZ, 0},
	{0x69, 0x69, T_RM | T_IMMZ, 0},
	{0x6a, 0x6a, T_STACK | T_IMM8, 0},
	{0x6b, 0x6b, T_RM | T_IMM8, 0},
	{0x80, 0x80, T_RM | T_GROUP | T_LOCK | T_IMM8, 0x7f},
	{0x80, 0x80, T_RM | T_GROUP | T_IMM8, 0x80},
	{0x81, 0x81, T_RM | T_GROUP | T_LOCK | T_IMMZ, 0x7f},
	{0x83, 0x83, T_RM | T_GROUP | T_LOCK | T_IMM8, 0x7f},
	{0x83, 0x83, T_RM | T_GROUP | T_IMM8, 0x80},
	{0x84, 0x85, T_RM, 0},
	{0x86, 0x87, T_RM | T_LOCK | T_ALIGN, 0},
	{0x88, 0x8b, T_RM, 0},
	{0x8f, 0x8f, T_RM | T_GROUP | T_MEM | T_STACK, 0x01},
	{0xa4, 0xa7, T_STRING, 0},
	{0xaa, 0xaf, T_STRING, 0},
	{0xa8, 0xa8, T_IMM8, 0},
	{0xa9, 0xa9, T_IMMZ, 0},
	{0xc0, 0xc1, T_RM | T_GROUP | T_IMM8, 0xff},
	{0xc6, 0xc6, T_RM | T_GROUP | T_IMM8, 0x01},
	{0xc7, 0xc7, T_RM | T_GROUP | T_IMMZ, 0x01},
	{0xd0, 0xd3, T_RM | T_GROUP, 0xff},
	{0xf6, 0xf6, T_RM | T_GROUP | T_IMM8, 0x03},
	{0xf7, 0xf7, T_RM | T_GROUP | T_IMMZ, 0x03},
	{0xf6, 0xf7, T_RM | T_GROUP | T_LOCK, 0x0c},
	{0xf6, 0xf7, T_RM | T_GROUP, 0x30},
	{0xfe, 0xff, T_RM | T_GROUP | T_LOCK, 0x03},
	{0xff, 0xff, T_RM | T_GROUP | T_MEM | T_STACK, 0x40},
	{0x40, 0x4f, T_RM | T_0F, 0},
	{0x90, 0x9f, T_RM | T_GROUP | T_BYTE | T_0F, 0x01},
	{0xa3, 0xa3, T_RM | T_BIT | T_0F, 0},
	{0xab, 0xab, T_RM | T_BIT | T_LOCK | T_0F, 0},
	{0xb3, 0xb3, T_RM | T_BIT | T_LOCK | T_0F, 0},
	{0xbb, 0xbb, T_RM | T_BIT | T_LOCK | T_0F, 0},
	{0xa4, 0xa4, T_RM | T_IMM8 | T_0F, 0},
	{0xa5, 0xa5, T_RM | T_0F, 0},
	{0xac, 0xac, T_RM | T_IMM8 | T_0F, 0},
	{0xad, 0xad, T_RM | T_0F, 0},
	{0xaf, 0xaf, T_RM | T_0F, 0},
	{0xb0, 0xb1, T_RM | T_LOCK | T_0F, 0},
	{0xb6, 0xb6, T_RM | T_RM_BYTE | T_0F, 0},
	{0xb7, 0xb7, T_RM | T_0F, 0},
	{0xbe, 0xbe, T_RM | T_RM_BYTE | T_0F, 0},
	{0xbf, 0xbf, T_RM | T_0F, 0},
	{0xba, 0xba, T_RM | T_GROUP | T_LOCK | T_IMM8 | T_0F, 0xe0},
	{0xba, 0xba, T_RM | T_GROUP | T_IMM8 | T_0F, 0x10},
	{0xc0, 0xc1, T_RM | T_LOCK | T_0F, 0},
	{0xc3, 0xc3, T_RM | T_MEM | T_NO66 | T_0F, 0},
	{0xc7, 0xc7, T_RM | T_GROUP | T_MEM | T_LOCK | T_ALIGN | T_0F, 0x02},
	{0xf0, 0xf1, T_RM | T_MEM | T_0F38, 0},
};

/* An instruction under construction. */
struct made {
	uint8_t bytes[16];
	unsigned n;
	struct native_state state;
	unsigned flags; /* T_* */
	bool mem;
	bool rex;
	bool aligned; /* a locked access over two cache lines makes kernels slow down the program */
};

static void put(struct made *m, unsigned byte)
{
	m->bytes[m->n++] = (uint8_t)byte;
}

static void make_prefixes(struct made *m, uint8_t choice, uint8_t choice2)
{
	if ((choice & 1) != 0 && (m->flags & T_NO66) == 0) {
		put(m, 0x66);
	}
	if ((choice & 2) != 0) {
		put(m, 0x67);
	}
	if ((m->flags & T_STRING) != 0 && (choice & 12) != 0) {
		put(m, (choice & 4) != 0 ? 0xf3 : 0xf2);
	}
	if ((choice & 16) != 0 && (m->flags & T_LOCK) != 0 && m->mem) {
		put(m, 0xf0);
		m->aligned = true;
	}
	if ((choice & 32) != 0) {
		/* REX with any of W, R, X, B; B is left out with memory, whose base is RBX. */
		m->rex = true;
		put(m, 0x40 | (choice2 & (m->mem ? 0xc : 0xd)));
	}
}

/* Whether a register field names RSP, which must not change, or the base register as a result. */
static bool is_bad_register(unsigned field, bool rex, bool byte)
{
	return field == 4 && (!byte || rex);
}

static void make_modrm(struct made *m, const struct template *t, struct stream *s)
{
	uint8_t choice = next(s);
	bool byte = (m->flags & T_BYTE) != 0;
	unsigned reg = choice & 7;
	unsigned rm = (choice >> 3) & 7;

	if ((m->flags & T_GROUP) != 0) {
		while ((t->groups >> reg & 1) == 0) {
			reg = (reg + 1) & 7;
		}
	} else if (is_bad_register(reg, m->rex, byte)) {
		reg = 5;
	}
	if (m->mem) {
		put(m, 0x40 | reg << 3 | 3); /* [rbx + disp8] */
		put(m, next(s) & (m->aligned ? 0xf0 : 0xff));
		return;
	}
	if (is_bad_register(rm, m->rex, byte || (m->flags & T_RM_BYTE) != 0)) {
		rm = 7;
	}
	put(m, 0xc0 | reg << 3 | rm);
}

static void make_registers(struct made *m, struct stream *s, uint64_t arena)
{
	for (unsigned i = 0; i < 16; i++) {
		m->state.gpr[i] = next_value(s);
	}
	m->state.gpr[GPR_RSP] = native_stack() - next(s) * 8u;
	m->state.rflags = (next_value(s) & ALL_FLAGS) | RFLAGS_FIXED1 | RFLAGS_IF;
	if (m->mem) {
		m->state.gpr[GPR_RBX] = arena + ARENA_MID + (next(s) & 0xf0);
	}
	if ((m->flags & T_STRING) != 0) {
		m->state.gpr[GPR_RCX] = next(s) & 31;
		m->state.gpr[GPR_RSI] = arena + ARENA_MID + next(s);
		m->state.gpr[GPR_RDI] = arena + ARENA_MID + next(s);
	}
}

/* Keeps the bit offset of BT with memory inside the arena. */
static void limit_bit_offset(struct made *m, const struct insn *insn)
{
	uint64_t *value = &m->state.gpr[insn->reg];

	if (insn->reg == GPR_RBX && insn->op_size != 2) {
		*value = (*value & ~0xffffull) | (*value & 0x7fff);
		m->n = 0; /* the base itself as offset: far outside */
		return;
	}
	if (insn->op_size > 2) {
		*value = (uint64_t)(int64_t)(int16_t)*value;
	}
}

static bool make(struct made *m, struct stream *s, uint64_t arena)
{
	const struct template *t = &templates[next(s) % ARRAY_SIZE(templates)];
	uint8_t choice = next(s);
	uint8_t choice2 = next(s);
	unsigned opcode = t->first + next(s) % (t->last - t->first + 1u);
	struct insn insn;

	memset(m, 0, sizeof(*m));
	m->flags = t->flags;
	if ((t->flags & (T_0F | T_0F38)) == 0 && (t->flags & T_RM) != 0 && (opcode & 1) == 0 &&
	    opcode != 0x69 && opcode != 0x63) {
		m->flags |= T_BYTE;
	}
	if ((t->flags & T_0F) != 0 && (opcode == 0xb0 || opcode == 0xc0)) {
		m->flags |= T_BYTE;
	}
	m->mem = (t->flags & T_RM) != 0 && ((choice & 64) != 0 || (t->flags & T_MEM) != 0);
	m->aligned = (t->flags & T_ALIGN) != 0;
	make_prefixes(m, choice, choice2);
	if ((t->flags & (T_0F | T_0F38)) != 0) {
		put(m, 0x0f);
	}
	if ((t->flags & T_0F38) != 0) {
		put(m, 0x38);
	}
	put(m, opcode);
	if ((t->flags & T_RM) != 0) {
		make_modrm(m, t, s);
	}
	for (unsigned i = 0; i < 4; i++) {
		put(m, (t->flags & (T_IMM8 | T_IMMZ)) != 0 ? next(s) : 0);
	}
	make_registers(m, s, arena);
	if (insn_decode(m->bytes, sizeof(m->bytes), INSN_LONG64, &insn) != DECODE_OK) {
		fprintf(stderr, "made an invalid instruction, opcode %02x flags %x\n", opcode,
			m->flags);
		abort();
	}
	m->n = insn.length;
	if ((m->flags & T_BIT) != 0 && m->mem) {
		limit_bit_offset(m, &insn);
	}
	/* With ECX 0 some CPUs clear the upper half of RCX and some do not. */
	if ((m->flags & T_STRING) != 0 && insn.addr_size == 4 && m->state.gpr[GPR_RCX] != 0) {
		m->state.gpr[GPR_RCX] |= 0xabcd00000000; /* only ECX counts */
	}
	return m->n != 0;
}

static unsigned shift_count(const struct insn *insn, const struct native_state *before)
{
	uint64_t count = before->gpr[GPR_RCX];

	if (insn->imm_size != 0) {
		count = insn->imm;
	} else if (insn->map == INSN_MAP_ONE && insn->opcode < 0xd2) {
		count = 1;
	}
	return (unsigned)count & (insn->width == 8 ? 63 : 31);
}

/* Group 2 (C0, C1, D0..D3) by the operation and the count. */
static uint64_t undefined_by_shift(const struct insn *insn, unsigned count)
{
	bool shift = (insn->modrm & 0x20) != 0;
	uint64_t undefined = count != 1 ? RFLAGS_OF : 0;

	if (count == 0) {
		return 0;
	}
	if (!shift) {
		return undefined;
	}
	undefined |= RFLAGS_AF;
	if (count >= insn->width * 8u && (insn->modrm & 0x38) != 0x38) {
		undefined |= RFLAGS_CF;
	}
	return undefined;
}

static uint64_t undefined_one(const struct insn *insn, const struct native_state *before)
{
	uint8_t op = insn->opcode;
	unsigned group = (insn->modrm >> 3) & 7;
	unsigned alu = op < 0x40 ? op >> 3 : group;

	if (op < 0x40 || (op & 0xfc) == 0x80) {
		return alu == 1 || alu == 4 || alu == 6 ? RFLAGS_AF : 0;
	}
	if ((op & 0xfe) == 0xc0 || (op & 0xfc) == 0xd0) {
		return undefined_by_shift(insn, shift_count(insn, before));
	}
	if (op == 0x69 || op == 0x6b || ((op & 0xfe) == 0xf6 && group > 3)) {
		return RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
	}
	if ((op & 0xfe) == 0x84 || (op & 0xfe) == 0xa8 || ((op & 0xfe) == 0xf6 && group < 2)) {
		return RFLAGS_AF;
	}
	return 0;
}

static uint64_t undefined_0f(const struct insn *insn, const struct native_state *before)
{
	uint8_t op = insn->opcode;
	unsigned count = shift_count(insn, before);

	if ((op & 0xf6) == 0xa4) { /* SHLD and SHRD */
		return count == 0 ? 0 : RFLAGS_AF | (count != 1 ? RFLAGS_OF : 0);
	}
	if (op == 0xaf) {
		return RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
	}
	if ((op & 0xe7) == 0xa3 || op == 0xba) {
		return RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF;
	}
	return 0;
}

/* SHLD and SHRD of 16 bits by more than 16: nothing about the result is defined. */
static bool is_undefined(const struct insn *insn, const struct native_state *before)
{
	return insn->map == INSN_MAP_0F && (insn->opcode & 0xf6) == 0xa4 && insn->op_size == 2 &&
	       shift_count(insn, before) > 16;
}

static void compare_with_cpu(const struct made *m, const struct emul_guest *g,
			     const struct native_state *cpu)
{
	const struct insn *insn = &g->c.insn;
	uint64_t undefined = insn->map == INSN_MAP_ONE ? undefined_one(insn, &m->state)
						       : undefined_0f(insn, &m->state);
	uint64_t flags = (g->c.rflags ^ cpu->rflags) & ALL_FLAGS & ~undefined;

	require(flags == 0, "flags differ", g, m->bytes, m->n);
	require(memcmp(g->gpr, cpu->gpr, sizeof(g->gpr)) == 0, "registers differ", g, m->bytes,
		m->n);
	require(g->c.rip == m->n, "length", g, m->bytes, m->n);
}

/* Emulates until done; the instruction bytes are given, as decode assists would. */
static void emulate_made(const struct made *m, struct emul_guest *g)
{
	enum emul_status status;
	unsigned calls = 0;

	memcpy(g->gpr, m->state.gpr, sizeof(g->gpr));
	g->c.rflags = m->state.rflags;
	do {
		emul_begin(&g->c);
		g->c.bytes = m->bytes;
		g->c.bytes_count = (uint8_t)m->n;
		status = emulate(&g->c);
	} while (status == EMUL_RESTART && ++calls < 100);
	require(status == EMUL_OK, "not emulated", g, m->bytes, m->n);
}

static void against_cpu(struct stream *s)
{
	static uint8_t *arena;
	static uint8_t before[ARENA];
	static uint8_t after[ARENA];
	static struct emul_guest g;
	uint8_t seed = next(s);
	struct native_state cpu;
	struct made m;
	uint64_t stack = native_stack() - 0x1000;
	uint8_t stack_before[0x1010];
	uint8_t stack_after[0x1010];

	if (arena == NULL) {
		arena = native_alloc(ARENA);
	}
	for (unsigned i = 0; i < ARENA; i++) {
		before[i] = (uint8_t)(i * seed + (i >> 4));
	}
	if (!make(&m, s, (uint64_t)(uintptr_t)arena)) {
		return;
	}
	emul_guest_init(&g, INSN_LONG64);
	if (insn_decode(m.bytes, m.n, INSN_LONG64, &g.c.insn) != DECODE_OK ||
	    is_undefined(&g.c.insn, &m.state)) {
		return;
	}
	memcpy(arena, before, ARENA);
	memcpy(stack_before, (void *)stack, sizeof(stack_before));
	cpu = m.state;
	native_run(m.bytes, m.n, &cpu);
	memcpy(after, arena, ARENA);
	memcpy(stack_after, (void *)stack, sizeof(stack_after));

	/* One window of "RAM" must hold both: the stack instructions use the stack only. */
	memcpy(arena, before, ARENA);
	memcpy((void *)stack, stack_before, sizeof(stack_before));
	g.ram_base = 0;
	g.ram = NULL;
	g.ram_size = BIT(32);
	emulate_made(&m, &g);
	compare_with_cpu(&m, &g, &cpu);
	require(memcmp(arena, after, ARENA) == 0, "memory differs", &g, m.bytes, m.n);
	require(memcmp((void *)stack, stack_after, sizeof(stack_after)) == 0, "stack differs", &g,
		m.bytes, m.n);
}

/* ---------------------------------------------------------------- what always holds */

#define TABLES 0x10000u /* page tables live above, the guest's data below */

/* Page tables for [0, 0x40000] and the device, each page's flags from the input. */
static void build_tables(struct emul_guest *g, struct stream *s)
{
	uint64_t flags = PTE_P | PTE_W | PTE_U | PTE_A;
	bool wide = g->c.mode == INSN_LONG64;
	unsigned size = wide ? 8 : 4;

	emul_guest_poke(g, TABLES, size, (TABLES + 0x1000) | flags);
	if (wide) {
		emul_guest_poke(g, TABLES + 0x1000, 8, (TABLES + 0x2000) | flags);
		emul_guest_poke(g, TABLES + 0x2000, 8, (TABLES + 0x3000) | flags);
	}
	for (unsigned i = 0; i < 0x48; i++) {
		uint64_t table = wide ? TABLES + 0x3000 : TABLES + 0x1000;
		uint8_t choice = next(s);
		uint64_t entry = i * PAGE_SIZE;

		entry |= (choice & 3) != 1 ? PTE_P : 0;
		entry |= (choice & 12) != 4 ? PTE_W : 0;
		entry |= (choice & 48) != 16 ? PTE_U : 0;
		entry |= (choice & 64) != 0 ? PTE_A : 0;
		entry |= choice == 0xff && wide ? BIT(51) : 0;
		emul_guest_poke(g, table + i * size, size, entry);
	}
	g->c.walk.cr3 = TABLES;
	g->c.walk.cr0 |= CR0_PG | CR0_WP;
	g->c.walk.cr4 |= wide ? CR4_PAE : 0;
}

static uint64_t nearby(struct stream *s)
{
	static const uint64_t bases[] = {0x2000,  0x3ffe,  0x2ff8,    EMUL_GUEST_DEVICE,
					 0x3fffd, 0x40ffc, ~0ull - 4, 0x7ffffffffffc};
	uint8_t choice = next(s);

	return bases[choice & 7] + (choice >> 5);
}

static bool is_string(const struct insn *insn)
{
	return insn->map == INSN_MAP_ONE && ((insn->opcode >= 0x6c && insn->opcode <= 0x6f) ||
					     (insn->opcode >= 0xa4 && insn->opcode <= 0xa7) ||
					     (insn->opcode >= 0xaa && insn->opcode <= 0xaf));
}

/* Loads of segment registers and divisions read their operand to see whether they may go on, ... */
static bool judges_operand(const struct insn *insn)
{
	unsigned n = (insn->modrm >> 3) & 7;

	return (insn->map == INSN_MAP_ONE &&
		(insn->opcode == 0x8e || ((insn->opcode & 0xfe) == 0xf6 && n >= 6))) ||
	       (insn->map == INSN_MAP_0F && insn->opcode == 0 && (n == 2 || n == 3));
}

/* ... and so do jumps and returns through memory, which end elsewhere. */
static bool is_jump(const struct insn *insn)
{
	unsigned n = (insn->modrm >> 3) & 7;

	return insn->map == INSN_MAP_ONE &&
	       ((insn->opcode & 0xfe) == 0xc2 || insn->opcode == 0xe8 ||
		(insn->opcode == 0xff && (n == 2 || n == 4 || n == 5)));
}

static void check_outcome(struct emul_guest *g, enum emul_status status,
			  const struct emul_guest *before, const uint8_t *code, size_t n)
{
	bool string = g->c.decoded && is_string(&g->c.insn);
	bool jump = g->c.decoded && is_jump(&g->c.insn);
	bool looks = jump || (g->c.decoded && judges_operand(&g->c.insn));

	if (status == EMUL_OK) {
		require(jump || g->c.rip == before->c.rip + g->c.insn.length, "rip after", g, code,
			n);
		return;
	}
	require(g->c.rip == before->c.rip, "rip moved", g, code, n);
	if (status == EMUL_EXCEPTION) {
		require(g->c.exception.type == VCPU_EVENT_EXCEPTION, "no exception", g, code, n);
	}
	if (string || status == EMUL_STOP) {
		return;
	}
	require(memcmp(g->gpr, before->gpr, sizeof(g->gpr)) == 0, "half done", g, code, n);
	require(g->c.rflags == before->c.rflags, "flags half done", g, code, n);
	require(memcmp(g->own_ram, before->own_ram, TABLES) == 0, "memory half done", g, code, n);
	require(g->log_count == 0 || status == EMUL_RESTART || looks, "device touched", g, code, n);
}

static void anything(struct stream *s)
{
	static struct emul_guest g;
	static struct emul_guest before;
	uint8_t choice = next(s);
	uint8_t code[15];

	emul_guest_init(&g, (enum insn_mode)(choice & 3));
	g.c.cpl = (choice & 4) != 0 ? 3 : 0;
	g.exchange_fails = (choice & 0x80) != 0;
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		g.gpr[i] = nearby(s);
	}
	g.segs[VCPU_SEG_GDTR] = (struct vcpu_segment){.base = 0x1000, .limit = 0xfff};
	g.segs[VCPU_SEG_LDTR] = (struct vcpu_segment){.base = 0x2ffc, .limit = 0xfff};
	g.c.rflags |= next(s) & (RFLAGS_CF | RFLAGS_ZF);
	g.c.rflags |= (choice & 8) != 0 ? RFLAGS_DF : 0;
	g.c.rflags |= (choice & 16) != 0 ? RFLAGS_TF : 0;
	g.c.io_port = (uint16_t)g.gpr[GPR_RDX];
	for (unsigned i = 0; i < sizeof(code); i++) {
		code[i] = next(s);
	}
	emul_guest_code(&g, code, sizeof(code));
	if ((choice & 32) != 0) { /* across a page */
		memcpy(g.ram + 0x1ffc, code, sizeof(code));
		g.c.rip = 0x1ffc;
	}
	if ((choice & 64) != 0 && g.c.mode != INSN_REAL16) {
		build_tables(&g, s);
	}
	memcpy(&before, &g, sizeof(g));
	emul_begin(&g.c);
	g.c.io_size = 1;
	g.c.io_port = before.c.io_port;
	check_outcome(&g, emulate(&g.c), &before, code, sizeof(code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = {data, size};

	if (size < 4) {
		return 0;
	}
	if ((next(&s) & 1) != 0) {
		against_cpu(&s);
	} else {
		anything(&s);
	}
	return 0;
}
