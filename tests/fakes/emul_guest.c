/* SPDX-License-Identifier: Apache-2.0 */
/* A guest for the emulator's tests; see the header. */
#include "tests/fakes/emul_guest.h"

#include <string.h>

#include "hv/base/check.h"

static struct emul_guest *guest_of(struct emul_ctx *c)
{
	return container_of(c, struct emul_guest, c);
}

/* The walker is the ctx's; tests may look at its reads but the walk itself is const. */
static struct emul_guest *guest_of_walk(const struct gwalk *w)
{
	return (struct emul_guest *)(uintptr_t)((const char *)w -
						offsetof(struct emul_guest, c.walk));
}

static bool in_ram(const struct emul_guest *g, uint64_t addr, uint64_t size)
{
	return addr >= g->ram_base && range_fits(addr - g->ram_base, size, g->ram_size);
}

/* In integers: the fuzz target declares all memory below 4 GiB to be RAM, from NULL on. */
static void *ram_at(const struct emul_guest *g, uint64_t addr)
{
	return (void *)((uintptr_t)g->ram + (addr - g->ram_base));
}

static bool in_device(uint64_t addr)
{
	return align_down(addr, PAGE_SIZE) == EMUL_GUEST_DEVICE;
}

/* What struct emul_ops promises to its callbacks. */
static void check_access(uint64_t addr, unsigned size)
{
	CHECK(size == 1 || size == 2 || size == 4 || size == 8);
	CHECK((addr & (PAGE_SIZE - 1)) + size <= PAGE_SIZE);
}

static void note(struct emul_guest *g, enum emul_guest_kind kind, uint64_t addr, unsigned size,
		 uint64_t value)
{
	if (g->log_count < EMUL_GUEST_LOG) {
		g->log[g->log_count] = (struct emul_guest_event){kind, addr, size, value};
	}
	g->log_count++;
}

uint64_t emul_guest_peek(const struct emul_guest *g, uint64_t addr, unsigned size)
{
	uint64_t value = 0;

	CHECK(in_ram(g, addr, size));
	memcpy(&value, ram_at(g, addr), size);
	return value;
}

void emul_guest_poke(struct emul_guest *g, uint64_t addr, unsigned size, uint64_t value)
{
	CHECK(in_ram(g, addr, size));
	memcpy(ram_at(g, addr), &value, size);
}

static enum emul_access do_read(struct emul_ctx *c, gpa_t addr, unsigned size, uint64_t *value)
{
	struct emul_guest *g = guest_of(c);

	check_access(addr.v, size);
	if (in_ram(g, addr.v, size)) {
		*value = emul_guest_peek(g, addr.v, size);
		return EMUL_ACCESS_OK;
	}
	if (!in_device(addr.v)) {
		*value = 0;
		return EMUL_ACCESS_STOP;
	}
	*value = g->device_value++ & size_mask(size);
	note(g, EMUL_GUEST_READ, addr.v, size, *value);
	return EMUL_ACCESS_OK;
}

static enum emul_access do_write(struct emul_ctx *c, gpa_t addr, unsigned size, uint64_t value)
{
	struct emul_guest *g = guest_of(c);

	check_access(addr.v, size);
	CHECK((value & ~size_mask(size)) == 0);
	if (in_ram(g, addr.v, size)) {
		emul_guest_poke(g, addr.v, size, value);
		return EMUL_ACCESS_OK;
	}
	if (!in_device(addr.v)) {
		return EMUL_ACCESS_STOP;
	}
	note(g, EMUL_GUEST_WRITE, addr.v, size, value);
	return EMUL_ACCESS_OK;
}

static enum emul_access do_exchange(struct emul_ctx *c, gpa_t addr, unsigned size,
				    uint64_t expected, uint64_t desired)
{
	struct emul_guest *g = guest_of(c);

	g->exchanges++;
	if (g->exchange_fails) {
		return EMUL_ACCESS_CHANGED;
	}
	if (in_ram(g, addr.v, size)) {
		CHECK(emul_guest_peek(g, addr.v, size) == expected);
	}
	return do_write(c, addr, size, desired);
}

static enum emul_access do_fetch(struct emul_ctx *c, gpa_t addr, uint8_t *bytes, size_t n)
{
	const struct emul_guest *g = guest_of(c);

	CHECK(n >= 1 && n <= 15 && (addr.v & (PAGE_SIZE - 1)) + n <= PAGE_SIZE);
	if (!in_ram(g, addr.v, n)) {
		return EMUL_ACCESS_STOP;
	}
	memcpy(bytes, ram_at(g, addr.v), n);
	return EMUL_ACCESS_OK;
}

static enum emul_access do_in(struct emul_ctx *c, uint16_t port, unsigned size, uint64_t *value)
{
	struct emul_guest *g = guest_of(c);

	*value = g->device_value++ & size_mask(size);
	note(g, EMUL_GUEST_IN, port, size, *value);
	return EMUL_ACCESS_OK;
}

static enum emul_access do_out(struct emul_ctx *c, uint16_t port, unsigned size, uint64_t value)
{
	note(guest_of(c), EMUL_GUEST_OUT, port, size, value);
	return EMUL_ACCESS_OK;
}

static bool do_in_string(struct emul_ctx *c, uint16_t port, unsigned size, gpa_t addr,
			 unsigned count)
{
	struct emul_guest *g = guest_of(c);

	CHECK(count > 1 && (addr.v & 0xfff) + size * count <= 0x1000 &&
	      size * count <= EMUL_STRING_BYTES);
	if (!range_fits(addr.v - g->ram_base, size * count, g->ram_size)) {
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t value;

		(void)do_in(c, port, size, &value);
		memcpy(g->ram + (addr.v - g->ram_base) + i * size, &value, size);
	}
	g->blocks++;
	return true;
}

static bool do_out_string(struct emul_ctx *c, uint16_t port, unsigned size, gpa_t addr,
			  unsigned count)
{
	struct emul_guest *g = guest_of(c);

	CHECK(count > 1 && (addr.v & 0xfff) + size * count <= 0x1000 &&
	      size * count <= EMUL_STRING_BYTES);
	if (!range_fits(addr.v - g->ram_base, size * count, g->ram_size)) {
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t value = 0;

		memcpy(&value, g->ram + (addr.v - g->ram_base) + i * size, size);
		(void)do_out(c, port, size, value);
	}
	g->blocks++;
	return true;
}

static void get_segment(struct emul_ctx *c, enum vcpu_seg seg, struct vcpu_segment *out)
{
	struct emul_guest *g = guest_of(c);

	CHECK((unsigned)seg < VCPU_SEG_COUNT);
	g->segment_reads++;
	*out = g->segs[seg];
}

static void set_segment(struct emul_ctx *c, enum vcpu_seg seg, const struct vcpu_segment *s)
{
	CHECK((unsigned)seg < VCPU_SEG_COUNT);
	guest_of(c)->segs[seg] = *s;
}

static void get_xmm(struct emul_ctx *c, unsigned reg, uint64_t value[2])
{
	memcpy(value, guest_of(c)->xmm[reg], 16);
}

static void set_xmm(struct emul_ctx *c, unsigned reg, const uint64_t value[2])
{
	memcpy(guest_of(c)->xmm[reg], value, 16);
}

static const struct emul_ops emul_ops = {
	.read = do_read,
	.write = do_write,
	.compare_exchange = do_exchange,
	.fetch = do_fetch,
	.io_in = do_in,
	.io_out = do_out,
	.io_in_string = do_in_string,
	.io_out_string = do_out_string,
	.get_segment = get_segment,
	.set_segment = set_segment,
	.get_xmm = get_xmm,
	.set_xmm = set_xmm,
};

static bool walk_read(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t *entry)
{
	struct emul_guest *g = guest_of_walk(w);

	CHECK(is_aligned(addr.v, size) && (size == 4 || size == 8));
	g->entry_reads++;
	if (!in_ram(g, addr.v, size)) {
		return false;
	}
	*entry = emul_guest_peek(g, addr.v, size);
	return true;
}

static bool walk_update(const struct gwalk *w, gpa_t addr, unsigned size, uint64_t expected,
			uint64_t entry)
{
	struct emul_guest *g = guest_of_walk(w);

	if (g->exchange_fails || emul_guest_peek(g, addr.v, size) != expected) {
		return false;
	}
	emul_guest_poke(g, addr.v, size, entry);
	return true;
}

static const struct gwalk_ops walk_ops = {walk_read, walk_update};

void emul_guest_init(struct emul_guest *g, enum insn_mode mode)
{
	bool wide = mode == INSN_PROT32 || mode == INSN_LONG64;

	memset(g, 0, sizeof(*g));
	g->ram = g->own_ram;
	g->ram_size = EMUL_GUEST_RAM_SIZE;
	for (unsigned i = 0; i < EMUL_SEGS; i++) {
		bool code = i == VCPU_SEG_CS;

		g->segs[i] = (struct vcpu_segment){
			.limit = wide ? 0xffffffffu : 0xffffu,
			.selector = (uint16_t)(8 * (i + 1)),
			.attr = (uint32_t)(SEG_P | SEG_S | (code ? 0xb : 3) | (wide ? SEG_DB : 0)),
		};
	}
	if (mode == INSN_LONG64) {
		g->segs[VCPU_SEG_CS].attr ^= (uint32_t)(SEG_DB | SEG_L);
		g->c.walk.efer = EFER_LME | EFER_LMA;
	}
	g->c.ops = &emul_ops;
	g->c.gpr = g->gpr;
	g->c.rflags = RFLAGS_FIXED1;
	g->c.mode = mode;
	g->c.walk.ops = &walk_ops;
	if (mode != INSN_REAL16) {
		g->c.walk.cr0 = CR0_PE;
	}
	g->c.walk.cr4 = CR4_OSFXSR;
	g->c.walk.phys_bits = 40;
	g->c.walk.gib_pages = true;
	emul_begin(&g->c);
}

void emul_guest_code(struct emul_guest *g, const uint8_t *bytes, size_t n)
{
	memcpy(g->ram + EMUL_GUEST_CODE, bytes, n);
	g->c.rip = EMUL_GUEST_CODE;
}

enum emul_status emul_guest_run(struct emul_guest *g)
{
	emul_begin(&g->c);
	return emulate(&g->c);
}
