/* SPDX-License-Identifier: Apache-2.0 */
/* Table-driven emulator tests; see the header. */
#include "tests/fakes/emul_case.h"

#include <stdio.h>
#include <stdlib.h>

#define FLAGS \
	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF | RFLAGS_DF | \
	 RFLAGS_TF | RFLAGS_RF)

static struct emul_guest guest;

static void load(struct emul_guest *g, const struct emul_case *t)
{
	emul_guest_init(g, t->mode);
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		g->gpr[i] = 0x1111111111111111ull * i;
	}
	g->gpr[GPR_RBX] = EMUL_CASE_MEM;
	g->gpr[GPR_RSI] = EMUL_CASE_MEM;
	g->gpr[GPR_RDI] = EMUL_CASE_MEM + 0x1000;
	g->gpr[GPR_RSP] = EMUL_CASE_RSP;
	g->gpr[GPR_RAX] = t->before.rax;
	g->gpr[GPR_RCX] = t->before.rcx;
	g->gpr[GPR_RDX] = t->before.rdx;
	g->c.rflags |= t->before.flags;
	emul_guest_poke(g, EMUL_CASE_MEM, 8, t->before.mem);
	emul_guest_code(g, t->code, sizeof(t->code));
}

static void expect(const struct emul_case *t, const char *what, uint64_t got, uint64_t want)
{
	if (got != want) {
		fprintf(stderr, "%s: %s is 0x%llx, should be 0x%llx\n", t->name, what,
			(unsigned long long)got, (unsigned long long)want);
		abort();
	}
}

static void run(struct emul_guest *g, const struct emul_case *t)
{
	load(g, t);
	expect(t, "status", (uint64_t)emul_guest_run(g), EMUL_OK);
	expect(t, "rip", g->c.rip, EMUL_GUEST_CODE + g->c.insn.length);
	expect(t, "rax", g->gpr[GPR_RAX], t->after.rax);
	expect(t, "rcx", g->gpr[GPR_RCX], t->after.rcx);
	expect(t, "rdx", g->gpr[GPR_RDX], t->after.rdx);
	expect(t, "memory", emul_guest_peek(g, EMUL_CASE_MEM, 8), t->after.mem);
	expect(t, "flags", g->c.rflags & FLAGS, t->after.flags);
	expect(t, "rbx", g->gpr[GPR_RBX], EMUL_CASE_MEM);
	expect(t, "rsp", g->gpr[GPR_RSP], EMUL_CASE_RSP);
	expect(t, "r8", g->gpr[GPR_R8], 0x8888888888888888);
	expect(t, "r15", g->gpr[GPR_R15], ~0ull);
}

void emul_cases_run(const struct emul_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		run(&guest, &cases[i]);
	}
}
