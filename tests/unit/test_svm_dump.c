/* SPDX-License-Identifier: Apache-2.0 */
/* The dump names what it prints, and no line is cut. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "hv/base/log.h"
#include "svm/decode.h"
#include "tests/fakes/svm_rig.h"

static char text[32768];
static size_t text_size;
static size_t longest;

static void collect(const char *line, size_t n)
{
	assert_true(text_size + n < sizeof(text));
	memcpy(text + text_size, line, n);
	text_size += n;
	text[text_size] = '\0';
	longest = n > longest ? n : longest;
}

static void dump_of(struct svm_vcpu *v, uint64_t code)
{
	text_size = 0;
	longest = 0;
	v->vmcb->exit_code = code;
	log_set_sink(collect);
	rig.backend->dump(rig.vcpu);
	log_set_sink(NULL);
}

static void has(const char *what)
{
	if (strstr(text, what) == NULL) {
		fail_msg("no \"%s\" in:\n%s", what, text);
	}
}

static void everything_has_its_name(void **state)
{
	struct svm_vcpu *v = rig_start(RIG_ALL, 16);
	struct vcpu_segment cs = {
		.base = 0x1230, .limit = 0xfffff, .selector = 0x33, .attr = 0xa0fb};

	(void)state;
	rig.backend->set_reg(rig.vcpu, VCPU_REG_CR3, 0xabc000);
	rig.backend->set_seg(rig.vcpu, VCPU_SEG_CS, &cs);
	rig.backend->set_windows(rig.vcpu, 0x51, true);
	vmcb_set_intercept(v->vmcb, SVM_INTERCEPT_IRET, true);
	dump_of(v, SVM_EXIT_MSR);
	has("web: vCPU 0: VMCB at");
	has("exit 0x7c MSR ");
	has("intercepts INTR NMI SMI INIT VINTR RDPMC CPUID RSM IRET INVD PAUSE HLT INVLPGA IOIO "
	    "MSR SHUTDOWN VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT MONITOR MWAIT MWAIT_ARMED "
	    "XSETBV\n");
	has("CR3 0xabc000");
	has("V_IRQ 1 prio 5 vector 0x51");
	has("CS   0x0033 base 0x1230 limit 0xfffff attr 0xafb");
	has("windows: vector 81, NMI 1");
	assert_true(longest < 240);
	assert_null(strstr(text, "..."));
	assert_int_equal(rig_stop(), 0);
}

static void exit_codes_have_names(void **state)
{
	static const struct {
		uint64_t code;
		const char *name;
	} table[] = {
		{SVM_EXIT_NPF, "exit 0x400 NPF "},
		{~0ull, "exit 0xffffffffffffffff INVALID "},
		{0xffffffffu, "exit 0xffffffff INVALID "},
		{SVM_EXIT_EXCEPTION + 14, "exit 0x4e EXCEPTION "},
		{SVM_EXIT_SHUTDOWN, "exit 0x7f SHUTDOWN "},
		{0x66, "exit 0x66 ? "},
		{0x3ff, "exit 0x3ff ? "},
		{0x12345678, "exit 0x12345678 ? "},
	};
	struct svm_vcpu *v = rig_start(RIG_TCG, 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		dump_of(v, table[i].code);
		has(table[i].name);
	}
	assert_int_equal(rig_stop(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_its_name),
		cmocka_unit_test(exit_codes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
