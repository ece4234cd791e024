/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder proper: prefixes, opcode, ModRM and SIB, displacement, immediates, in the order in
 * which they stand in the instruction. The bytes are first copied into a buffer with zeros behind,
 * so that no step has to ask whether a byte is there; insn_decode compares the length with what was
 * given at the end, before it believes anything.
 */
#include "hv/emul/decode.h"

#include "hv/api/backend.h"
#include "hv/api/vm.h"
#include "hv/base/str.h"
#include "hv/emul/decode_tables.h"

#define INSN_MAX 15u
/* The longest way: 15 prefixes, 3 opcode bytes, ModRM, SIB, then three loads of 8 bytes. */
static_assert(INSN_PADDED >= INSN_MAX + 3 + 2 + 3 * 8, "every load stays inside the buffer");
#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct decoder {
	const uint8_t *at; /* the next byte */
	struct insn *insn;
	enum insn_mode mode;
	unsigned attr; /* INSN_ATTR_* of the opcode */
};

static inline uint8_t take8(struct decoder *d)
{
	return *d->at++;
}

/* The next `size` bytes, 1 to 8, shifted to the top of a word: what stands behind them falls out.
 */
static inline uint64_t take_high(struct decoder *d, unsigned size)
{
	uint64_t value;

	memcpy(&value, d->at, sizeof(value));
	d->at += size;
	return value << (64 - size * 8);
}

static inline uint64_t take(struct decoder *d, unsigned size)
{
	return take_high(d, size) >> (64 - size * 8);
}

static inline uint64_t take_signed(struct decoder *d, unsigned size)
{
	return (uint64_t)((int64_t)take_high(d, size) >> (64 - size * 8));
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
	uint8_t byte = take8(d);

	/* After 15 bytes come zeros, which are no prefix. */
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
		byte = take8(d);
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
	insn->opcode = take8(d);
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
	unsigned map = take8(d) & 0x1f;

	take8(d);
	return take_vector_opcode(d, map, false) && map >= 1 && map <= 3;
}

static bool take_xop(struct decoder *d)
{
	unsigned map = take8(d) & 0x1f;
	unsigned pp = take8(d) & 3;

	return take_vector_opcode(d, map, true) && map >= 8 && map <= 10 && pp == 0;
}

static bool take_evex(struct decoder *d)
{
	unsigned p0 = take8(d);
	unsigned p1 = take8(d);
	unsigned map = p0 & 7;

	take8(d);
	return take_vector_opcode(d, map, false) && (p0 & 8) == 0 && (p1 & 4) != 0 &&
	       (map == 1 || map == 2 || map == 3 || map == 5 || map == 6);
}

/*
 * 8F, C4, C5 and 62 start a vector encoding or are POP, LES, LDS and BOUND. Outside 64-bit mode
 * the byte behind them decides: those four have a memory operand there, so ModRM.mod of 3 is free.
 */
static bool take_vector(struct decoder *d, uint8_t byte)
{
	uint8_t next = *d->at;
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
		take8(d);
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
	byte = take8(d);
	insn->map = INSN_MAP_0F;
	d->attr = insn_attr_0f[byte];
	if ((d->attr & INSN_ATTR_ESCAPE) != 0) {
		bool with_imm = byte == 0x3a;

		insn->map = with_imm ? INSN_MAP_0F3A : INSN_MAP_0F38;
		byte = take8(d);
		d->attr = with_imm ? INSN_ATTR_MODRM | (unsigned)INSN_IMM_BYTE << 12
				   : INSN_ATTR_MODRM | INSN_ATTR_GROUP;
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

static inline void take_disp(struct decoder *d, unsigned size)
{
	d->insn->disp_size = (uint8_t)size;
	if (size != 0) {
		d->insn->disp = take_signed(d, size);
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
	uint8_t sib = take8(d);
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
	uint8_t modrm = take8(d);

	insn->modrm = modrm;
	insn->reg = (uint8_t)(((modrm >> 3) & 7) | ((insn->rex & REX_R) << 1));
	insn->rm = (uint8_t)((modrm & 7) | ((insn->rex & REX_B) << 3));
	if (modrm >= 0xc0 || is_mov_special(insn)) {
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
		return n != 5 || !insn->mem || insn->rep == 0xf3;
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
		return !insn->mem ? n >= 6 : n != 0 && n != 2;
	}
}

/* MOVBE has a memory operand; with F2 it is CRC32. */
static bool group_0f38(const struct decoder *d)
{
	const struct insn *insn = d->insn;

	return (insn->opcode & 0xfe) != 0xf0 || insn->rep == 0xf2 || insn->mem;
}

/* Attributes that check_form has to look at. */
#define ATTR_TO_CHECK (INSN_ATTR_GROUP | INSN_ATTR_MEM_ONLY | INSN_ATTR_NOT64)

/* Whether the encoding is allowed as far as it is known once ModRM was read. */
static bool check_form(struct decoder *d)
{
	const struct insn *insn = d->insn;

	if ((d->attr & INSN_ATTR_GROUP) != 0) {
		bool valid = insn->map == INSN_MAP_ONE	? group_one(d)
			     : insn->map == INSN_MAP_0F ? group_0f(d)
							: group_0f38(d);

		if (!valid) {
			return false;
		}
	}
	if ((d->attr & INSN_ATTR_MEM_ONLY) != 0 && !insn->mem) {
		return false;
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
	static const uint8_t op_sizes[][2] = {/* without and with 66 */
					      [INSN_REAL16] = {2, 4},
					      [INSN_PROT16] = {2, 4},
					      [INSN_PROT32] = {4, 2},
					      [INSN_LONG64] = {4, 2}};
	struct insn *insn = d->insn;

	insn->op_size = op_sizes[d->mode][insn->opsize_prefix];
	if (d->mode == INSN_LONG64) {
		unsigned wide = d->attr & INSN_ATTR_FORCE64;

		wide |= insn->rex & REX_W;
		wide |= insn->opsize_prefix ? 0 : d->attr & INSN_ATTR_DEFAULT64;
		insn->op_size = wide != 0 ? 8 : insn->op_size;
	} else if (is_mov_special(insn)) {
		insn->op_size = 4;
	}
	insn->width = (d->attr & INSN_ATTR_BYTE) != 0 ? 1 : insn->op_size;
}

static void take_imm_sized(struct decoder *d, unsigned size)
{
	d->insn->imm_size = (uint8_t)size;
	d->insn->imm = take_signed(d, size);
}

static void take_moffs(struct decoder *d)
{
	struct insn *insn = d->insn;

	insn->mem = true;
	insn->disp_size = insn->addr_size;
	insn->disp = take(d, insn->addr_size);
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
		insn->imm2 = (uint16_t)take(d, 2);
		break;
	case INSN_IMM_ENTER:
		take_imm_sized(d, 2);
		insn->imm2 = take8(d);
		break;
	case INSN_IMM_BRANCH:
		take_imm_sized(d, z);
		break;
	}
}

/* ---------------------------------------------------------------- the whole */

static inline void begin(struct decoder *d)
{
	static const uint8_t addr_size[] = {
		[INSN_REAL16] = 2, [INSN_PROT16] = 2, [INSN_PROT32] = 4, [INSN_LONG64] = 8};

	*d->insn = (struct insn){
		.addr_size = addr_size[d->mode],
		.segment = INSN_SEG_DEFAULT,
		.base = INSN_REG_NONE,
		.index = INSN_REG_NONE,
	};
}

/* Everything from the first byte on; false for #UD. */
static inline bool decode_all(struct decoder *d)
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
		insn->reg = (uint8_t)((insn->opcode & 7) | ((insn->rex & REX_B) << 3));
	}
	if (((d->attr & ATTR_TO_CHECK) != 0 || insn->lock || d->mode == INSN_REAL16) &&
	    !check_form(d)) {
		return false;
	}
	set_widths(d);
	if ((d->attr & INSN_ATTR_IMM) != 0) {
		take_imm(d);
	}
	default_segment(insn, VCPU_SEG_DS);
	return true;
}

enum decode_status insn_decode_padded(const uint8_t buf[INSN_PADDED], size_t n, enum insn_mode mode,
				      struct insn *out)
{
	struct decoder d = {.at = buf, .insn = out, .mode = mode};
	size_t length;
	bool valid;

	begin(&d);
	valid = decode_all(&d);
	length = (size_t)(d.at - buf);
	if (length > n || length > INSN_MAX) {
		return n >= INSN_MAX ? DECODE_TOO_LONG : DECODE_NEED_MORE;
	}
	if (!valid) {
		return DECODE_INVALID;
	}
	out->length = (uint8_t)length;
	return DECODE_OK;
}

enum decode_status insn_decode(const uint8_t *bytes, size_t n, enum insn_mode mode,
			       struct insn *out)
{
	uint8_t buf[INSN_PADDED] = {0};

	if (n >= INSN_MAX) {
		n = INSN_MAX;
		memcpy(buf, bytes, INSN_MAX);
	} else {
		for (size_t i = 0; i < n; i++) {
			buf[i] = bytes[i];
		}
	}
	return insn_decode_padded(buf, n, mode, out);
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
