/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder proper: prefixes, opcode, ModRM and SIB, displacement, immediates, in the order in
 * which they stand in the instruction. Each step reads through a cursor that knows how many bytes
 * there are and remembers when they ran out; the steps go on with zeros then, and insn_decode
 * looks at the mark once, at the end.
 */
#include "hv/emul/decode.h"

#include "hv/api/backend.h"
#include "hv/api/vm.h"
#include "hv/emul/decode_tables.h"

#define INSN_MAX 15u

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool short_of; /* a read went past the end */
};

struct decoder {
	struct cursor in;
	struct insn *insn;
	enum insn_mode mode;
	unsigned attr; /* INSN_ATTR_* of the opcode */
	bool mod_reg;  /* ModRM.mod is 3 */
};

static inline uint8_t take8(struct cursor *in)
{
	if (in->at == in->end) {
		in->short_of = true;
		return 0;
	}
	return *in->at++;
}

static uint64_t take(struct cursor *in, unsigned size)
{
	uint64_t value = 0;

	if ((size_t)(in->end - in->at) < size) {
		in->short_of = true;
		in->at = in->end;
		return 0;
	}
	for (unsigned i = 0; i < size; i++) {
		value |= (uint64_t)in->at[i] << (8 * i);
	}
	in->at += size;
	return value;
}

static uint64_t sign_extend(uint64_t value, unsigned size)
{
	uint64_t sign = 1ull << (size * 8 - 1);

	return (value ^ sign) - sign;
}

/* ---------------------------------------------------------------- prefixes and opcode */

static void take_prefix(struct decoder *d, uint8_t byte)
{
	struct insn *insn = d->insn;

	switch (byte) {
	case 0x66:
		insn->opsize_prefix = true;
		break;
	case 0x67:
		insn->addr_size = d->mode == INSN_PROT32 ? 2 : 4;
		break;
	case 0xf0:
		insn->lock = true;
		break;
	case 0xf2:
	case 0xf3:
		insn->rep = byte;
		break;
	case 0x64:
	case 0x65:
		insn->segment = byte == 0x64 ? VCPU_SEG_FS : VCPU_SEG_GS;
		break;
	default:
		/* 26 2E 36 3E: ES CS SS DS, which 64-bit mode ignores. */
		if (d->mode != INSN_LONG64) {
			insn->segment = (byte >> 3) & 3;
		}
		break;
	}
}

/* Consumes prefixes and returns the first opcode byte; sets attr from the one-byte map. */
static uint8_t take_prefixes(struct decoder *d)
{
	struct insn *insn = d->insn;
	uint8_t byte = take8(&d->in);

	for (;;) {
		d->attr = insn_attr_one[byte];
		if ((d->attr & INSN_ATTR_PREFIX) != 0) {
			insn->rex = 0; /* REX counts only right before the opcode */
			take_prefix(d, byte);
		} else if (d->mode == INSN_LONG64 && (byte & 0xf0) == 0x40) {
			insn->rex = byte;
		} else {
			return byte;
		}
		byte = take8(&d->in);
	}
}

/*
 * VEX, EVEX and XOP have no legacy 66, F2, F3, LOCK or REX before them. Leaves attr with ModRM and
 * the immediate of the opcode that follows the payload.
 */
static bool take_vector_opcode(struct decoder *d, unsigned map, bool xop)
{
	struct insn *insn = d->insn;
	unsigned imm = INSN_IMM_NONE;

	insn->map = INSN_MAP_VEX;
	insn->opcode = take8(&d->in);
	d->attr = INSN_ATTR_MODRM;
	if (xop) {
		imm = map == 8 ? INSN_IMM_BYTE : map == 10 ? INSN_IMM_Z : INSN_IMM_NONE;
	} else if (map == 3) {
		imm = INSN_IMM_BYTE;
	} else if (map == 1) {
		uint8_t op = insn->opcode;

		d->attr = op == 0x77 ? 0 : INSN_ATTR_MODRM;
		if ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6)) {
			imm = INSN_IMM_BYTE;
		}
	}
	d->attr |= imm << 12;
	return !insn->lock && insn->rep == 0 && !insn->opsize_prefix && insn->rex == 0;
}

static bool take_vex3(struct decoder *d)
{
	unsigned map = take8(&d->in) & 0x1f;

	take8(&d->in);
	return take_vector_opcode(d, map, false) && map >= 1 && map <= 3;
}

static bool take_xop(struct decoder *d)
{
	unsigned map = take8(&d->in) & 0x1f;
	unsigned pp = take8(&d->in) & 3;

	return take_vector_opcode(d, map, true) && map >= 8 && map <= 10 && pp == 0;
}

static bool take_evex(struct decoder *d)
{
	unsigned p0 = take8(&d->in);
	unsigned p1 = take8(&d->in);
	unsigned map = p0 & 7;

	take8(&d->in);
	return take_vector_opcode(d, map, false) && (p0 & 8) == 0 && (p1 & 4) != 0 &&
	       (map == 1 || map == 2 || map == 3 || map == 5 || map == 6);
}

/*
 * 8F, C4, C5 and 62 start a vector encoding or are POP, LES, LDS and BOUND. Outside 64-bit mode
 * the byte behind them decides: those four have a memory operand there, so ModRM.mod of 3 is free.
 */
static bool take_vector(struct decoder *d, uint8_t byte)
{
	const struct cursor *in = &d->in;
	uint8_t next = in->at < in->end ? *in->at : 0;
	bool free = d->mode == INSN_LONG64 || next >= 0xc0;

	d->insn->opcode = byte;
	if (byte == 0x8f ? (next & 0x1f) < 8 : !free) {
		d->attr &= ~INSN_ATTR_ESCAPE;
		return true;
	}
	if (d->mode == INSN_REAL16) {
		return false;
	}
	switch (byte) {
	case 0x8f:
		return take_xop(d);
	case 0xc4:
		return take_vex3(d);
	case 0xc5:
		take8(&d->in);
		return take_vector_opcode(d, 1, false);
	default:
		return take_evex(d);
	}
}

static bool take_escape(struct decoder *d, uint8_t byte)
{
	struct insn *insn = d->insn;

	if (byte != 0x0f) {
		return take_vector(d, byte);
	}
	byte = take8(&d->in);
	insn->map = INSN_MAP_0F;
	d->attr = insn_attr_0f[byte];
	if ((d->attr & INSN_ATTR_ESCAPE) != 0) {
		bool with_imm = byte == 0x3a;

		insn->map = with_imm ? INSN_MAP_0F3A : INSN_MAP_0F38;
		byte = take8(&d->in);
		d->attr = INSN_ATTR_MODRM |
			  (with_imm ? (unsigned)INSN_IMM_BYTE << 12 : INSN_IMM_NONE);
	} else if (byte == 0x0f) {
		insn->map = INSN_MAP_3DNOW;
	}
	insn->opcode = byte;
	return (d->attr & INSN_ATTR_INVALID) == 0;
}

/* ---------------------------------------------------------------- ModRM and memory operands */

static void default_segment(struct insn *insn, unsigned seg)
{
	if (insn->segment == INSN_SEG_DEFAULT) {
		insn->segment = (uint8_t)seg;
	}
}

static void take_disp(struct decoder *d, unsigned size)
{
	d->insn->disp_size = (uint8_t)size;
	if (size != 0) {
		d->insn->disp = sign_extend(take(&d->in, size), size);
	}
}

static void take_mem16(struct decoder *d)
{
	/* BX+SI BX+DI BP+SI BP+DI SI DI BP BX */
	static const uint8_t base[8] = {GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
					GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const uint8_t index[8] = {GPR_RSI,	GPR_RDI,       GPR_RSI,
					 GPR_RDI,	INSN_REG_NONE, INSN_REG_NONE,
					 INSN_REG_NONE, INSN_REG_NONE};
	struct insn *insn = d->insn;
	unsigned mod = insn->modrm >> 6;
	unsigned rm = insn->modrm & 7;

	if (mod == 0 && rm == 6) {
		take_disp(d, 2);
		default_segment(insn, VCPU_SEG_DS);
		return;
	}
	insn->base = base[rm];
	insn->index = index[rm];
	take_disp(d, mod);
	default_segment(insn, base[rm] == GPR_RBP ? VCPU_SEG_SS : VCPU_SEG_DS);
}

/* The SIB byte; returns whether it asks for a 32-bit displacement without a base. */
static bool take_sib(struct decoder *d, unsigned mod)
{
	struct insn *insn = d->insn;
	uint8_t sib = take8(&d->in);
	uint8_t index = (uint8_t)(((sib >> 3) & 7) | ((insn->rex & REX_X) << 2));

	insn->scale = sib >> 6;
	insn->index = index == GPR_RSP ? INSN_REG_NONE : index;
	if (mod == 0 && (sib & 7) == GPR_RBP) {
		insn->base = INSN_REG_NONE;
		return true;
	}
	insn->base = (uint8_t)((sib & 7) | ((insn->rex & REX_B) << 3));
	return false;
}

static void take_mem32(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned mod = insn->modrm >> 6;
	unsigned disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

	insn->base = insn->rm;
	if ((insn->modrm & 7) == 4) {
		disp = take_sib(d, mod) ? 4 : disp;
	} else if (mod == 0 && (insn->modrm & 7) == 5) {
		insn->base = d->mode == INSN_LONG64 ? INSN_REG_RIP : INSN_REG_NONE;
		disp = 4;
	}
	take_disp(d, disp);
	default_segment(insn,
			insn->base == GPR_RSP || insn->base == GPR_RBP ? VCPU_SEG_SS : VCPU_SEG_DS);
}

/* MOV to and from control and debug registers: ModRM.mod and 66 are ignored. */
static bool is_mov_special(const struct insn *insn)
{
	return insn->map == INSN_MAP_0F && (insn->opcode & 0xfc) == 0x20;
}

static void take_modrm(struct decoder *d)
{
	struct insn *insn = d->insn;
	uint8_t modrm = take8(&d->in);

	insn->modrm = modrm;
	insn->reg = (uint8_t)(((modrm >> 3) & 7) | ((insn->rex & REX_R) << 1));
	insn->rm = (uint8_t)((modrm & 7) | ((insn->rex & REX_B) << 3));
	d->mod_reg = modrm >= 0xc0;
	if (is_mov_special(insn)) {
		d->mod_reg = true;
	}
	if (d->mod_reg) {
		return;
	}
	insn->mem = true;
	if (insn->addr_size == 2) {
		take_mem16(d);
	} else {
		take_mem32(d);
	}
}

/* ---------------------------------------------------------------- groups */

/* ARPL, SLDT and their group, LAR and LSL exist in protected mode only. */
static bool is_protected_only(const struct insn *insn)
{
	if (insn->map == INSN_MAP_ONE) {
		return insn->opcode == 0x63;
	}
	return insn->map == INSN_MAP_0F &&
	       (insn->opcode == 0x00 || insn->opcode == 0x02 || insn->opcode == 0x03);
}

/* Groups of the one-byte map: what ModRM.reg forbids, allows and adds. */
static bool group_one(struct decoder *d)
{
	const struct insn *insn = d->insn;
	unsigned n = (insn->modrm >> 3) & 7;
	unsigned imm = insn->opcode == 0xf6 ? INSN_IMM_BYTE : INSN_IMM_Z;

	switch (insn->opcode) {
	case 0x80:
	case 0x81:
	case 0x82:
	case 0x83:
		d->attr |= n != 7 ? INSN_ATTR_LOCK : 0;
		return true;
	case 0x8c:
		return n <= 5;
	case 0x8e:
		return n <= 5 && n != VCPU_SEG_CS;
	case 0x8f:
		return n == 0;
	case 0xc6:
	case 0xc7: /* MOV; /7 with F8 is XABORT and XBEGIN */
		return n == 0 || insn->modrm == 0xf8;
	case 0xf6:
	case 0xf7:
		d->attr |= n < 2 ? imm << 12 : 0;
		d->attr |= n == 2 || n == 3 ? INSN_ATTR_LOCK : 0;
		return true;
	case 0xfe:
		d->attr |= INSN_ATTR_LOCK;
		return n < 2;
	default: /* FF */
		d->attr |= n < 2 ? INSN_ATTR_LOCK : 0;
		d->attr |= n == 2 || n == 4 ? INSN_ATTR_FORCE64 : 0;
		d->attr |= n == 6 ? INSN_ATTR_DEFAULT64 : 0;
		d->attr |= n == 3 || n == 5 ? INSN_ATTR_MEM_ONLY : 0;
		return n != 7;
	}
}

/* Groups of the 0F map. */
static bool group_0f(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned n = (insn->modrm >> 3) & 7;

	switch (insn->opcode) {
	case 0x00:
		return n < 6;
	case 0x01: /* /5 with memory is RSTORSSP */
		return n != 5 || d->mod_reg || insn->rep == 0xf3;
	case 0x20:
	case 0x22:
		return insn->reg == 0 || (insn->reg >= 2 && insn->reg <= 4) || insn->reg == 8;
	case 0x21:
	case 0x23:
		return insn->reg < 8;
	case 0x78: /* VMREAD, or AMD's EXTRQ and INSERTQ with two immediate bytes */
		if (insn->opsize_prefix || insn->rep == 0xf2) {
			d->attr |= (unsigned)INSN_IMM_WORD << 12;
		}
		return true;
	case 0xb8: /* POPCNT; JMPE exists on Itanium only */
		return insn->rep == 0xf3;
	case 0xc3: /* MOVNTI */
		return insn->rep == 0 && !insn->opsize_prefix;
	case 0xba:
		d->attr |= n > 4 ? INSN_ATTR_LOCK : 0;
		return n >= 4;
	default: /* C7 */
		d->attr |= n == 1 ? INSN_ATTR_LOCK : 0;
		return d->mod_reg ? n >= 6 : n != 0 && n != 2;
	}
}

/* Whether the encoding is allowed as far as it is known once ModRM was read. */
static bool check_form(struct decoder *d)
{
	const struct insn *insn = d->insn;

	if ((d->attr & INSN_ATTR_GROUP) != 0) {
		bool valid = insn->map == INSN_MAP_ONE ? group_one(d) : group_0f(d);

		if (!valid) {
			return false;
		}
	}
	if ((d->attr & INSN_ATTR_MEM_ONLY) != 0 && !insn->mem) {
		return false;
	}
	if (insn->map == INSN_MAP_0F38 && (insn->opcode & 0xfe) == 0xf0 && insn->rep != 0xf2 &&
	    !insn->mem) {
		return false; /* MOVBE; CRC32 with F2 */
	}
	if (insn->lock && ((d->attr & INSN_ATTR_LOCK) == 0 || !insn->mem)) {
		return false;
	}
	if (d->mode == INSN_REAL16) {
		return !is_protected_only(insn);
	}
	return (d->attr & INSN_ATTR_NOT64) == 0 || d->mode != INSN_LONG64;
}

/* ---------------------------------------------------------------- sizes and immediates */

static void set_widths(struct decoder *d)
{
	struct insn *insn = d->insn;
	bool wide = d->mode == INSN_PROT32 || d->mode == INSN_LONG64;

	insn->op_size = wide != insn->opsize_prefix || is_mov_special(insn) ? 4 : 2;
	if (d->mode == INSN_LONG64) {
		if ((insn->rex & REX_W) != 0 || (d->attr & INSN_ATTR_FORCE64) != 0 ||
		    ((d->attr & INSN_ATTR_DEFAULT64) != 0 && !insn->opsize_prefix)) {
			insn->op_size = 8;
		}
	}
	insn->width = (d->attr & INSN_ATTR_BYTE) != 0 ? 1 : insn->op_size;
}

static void take_imm_sized(struct decoder *d, unsigned size)
{
	d->insn->imm_size = (uint8_t)size;
	d->insn->imm = sign_extend(take(&d->in, size), size);
}

static void take_moffs(struct decoder *d)
{
	struct insn *insn = d->insn;

	insn->mem = true;
	insn->disp_size = insn->addr_size;
	insn->disp = take(&d->in, insn->addr_size);
	default_segment(insn, VCPU_SEG_DS);
}

static void take_imm(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned z = insn->op_size == 2 ? 2 : 4;

	switch ((enum insn_imm)((d->attr & INSN_ATTR_IMM) >> 12)) {
	case INSN_IMM_NONE:
		break;
	case INSN_IMM_BYTE:
		take_imm_sized(d, 1);
		break;
	case INSN_IMM_WORD:
		take_imm_sized(d, 2);
		break;
	case INSN_IMM_Z:
		take_imm_sized(d, insn->map == INSN_MAP_VEX ? 4 : z);
		break;
	case INSN_IMM_V:
		take_imm_sized(d, insn->op_size);
		break;
	case INSN_IMM_MOFFS:
		take_moffs(d);
		break;
	case INSN_IMM_FAR:
		take_imm_sized(d, z);
		insn->imm2 = (uint16_t)take(&d->in, 2);
		break;
	case INSN_IMM_ENTER:
		take_imm_sized(d, 2);
		insn->imm2 = take8(&d->in);
		break;
	case INSN_IMM_BRANCH:
		take_imm_sized(d, z);
		break;
	}
}

/* ---------------------------------------------------------------- the whole */

static void begin(struct decoder *d, const uint8_t *bytes, size_t n, enum insn_mode mode)
{
	static const uint8_t addr_size[] = {
		[INSN_REAL16] = 2, [INSN_PROT16] = 2, [INSN_PROT32] = 4, [INSN_LONG64] = 8};

	*d->insn = (struct insn){
		.addr_size = addr_size[mode],
		.segment = INSN_SEG_DEFAULT,
		.base = INSN_REG_NONE,
		.index = INSN_REG_NONE,
	};
	d->in.at = bytes;
	d->in.end = bytes + (n < INSN_MAX ? n : INSN_MAX);
	d->in.short_of = false;
	d->mode = mode;
	d->mod_reg = false;
}

/* Everything from the first byte on; false for #UD. Bytes may have run out either way. */
static bool decode_all(struct decoder *d)
{
	struct insn *insn = d->insn;
	uint8_t byte = take_prefixes(d);

	insn->opcode = byte;
	if ((d->attr & INSN_ATTR_ESCAPE) != 0 && !take_escape(d, byte)) {
		return false;
	}
	if ((d->attr & INSN_ATTR_MODRM) != 0) {
		take_modrm(d);
	} else if ((d->attr & INSN_ATTR_OPREG) != 0) {
		insn->reg = (uint8_t)((byte & 7) | ((insn->rex & REX_B) << 3));
	}
	if (d->in.short_of) {
		return true; /* what was read as zeros proves nothing */
	}
	if (!check_form(d)) {
		return false;
	}
	set_widths(d);
	take_imm(d);
	default_segment(insn, VCPU_SEG_DS);
	return true;
}

enum decode_status insn_decode(const uint8_t *bytes, size_t n, enum insn_mode mode,
			       struct insn *out)
{
	struct decoder d = {.insn = out};
	bool valid;

	begin(&d, bytes, n, mode);
	valid = decode_all(&d);
	if (d.in.short_of) {
		return n >= INSN_MAX ? DECODE_TOO_LONG : DECODE_NEED_MORE;
	}
	if (!valid) {
		return DECODE_INVALID;
	}
	out->length = (uint8_t)(d.in.at - bytes);
	return DECODE_OK;
}

unsigned insn_length_prefixed(const uint8_t *bytes, size_t n, enum insn_mode mode, uint32_t fixed)
{
	size_t limit = n < INSN_MAX ? n : INSN_MAX;
	size_t at = 0;
	unsigned count = fixed >> 24;

	while (at < limit && ((insn_attr_one[bytes[at]] & INSN_ATTR_PREFIX) != 0 ||
			      (mode == INSN_LONG64 && (bytes[at] & 0xf0) == 0x40))) {
		at++;
	}
	if (limit - at < count) {
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		if (bytes[at + i] != (uint8_t)(fixed >> (8 * i))) {
			return 0;
		}
	}
	return (unsigned)at + count;
}
