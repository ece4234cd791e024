/* SPDX-License-Identifier: Apache-2.0 */
/* VMRUN's consistency checks: a VMCB that passes, then one broken rule at a time. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "hv/cpu/regs.h"
#include "svm/check.h"

#define PHYS_BITS 40

static struct vmcb vmcb;

/* A 64-bit guest in the middle of its work. */
static int good(void **state)
{
	(void)state;
	memset(&vmcb, 0, sizeof(vmcb));
	vmcb_set_intercept(&vmcb, SVM_INTERCEPT_VMRUN, true);
	vmcb._asid = 1;
	vmcb._iopm = 0x10000;
	vmcb._msrpm = 0x20000;
	vmcb._np_ctl = SVM_NP_ENABLE;
	vmcb._ncr3 = 0x30000;
	vmcb._pat = 0x0007040600070406ull;
	vmcb._efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	vmcb._cr0 = CR0_PG | CR0_PE | CR0_WP | CR0_NE | CR0_ET;
	vmcb._cr3 = 0x1000;
	vmcb._cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR;
	vmcb._cs.attr = 0xa9b & ~SVM_SEG_D;
	vmcb._dr6 = DR6_RESET;
	vmcb._dr7 = DR7_RESET;
	return 0;
}

static void refused(const char *word)
{
	const char *why = svm_check(&vmcb, PHYS_BITS);

	if (why == NULL || strstr(why, word) == NULL) {
		fail_msg("\"%s\" is not about \"%s\"", why != NULL ? why : "(nothing)", word);
	}
	good(NULL);
	assert_null(svm_check(&vmcb, PHYS_BITS));
}

static void a_sound_state_passes(void **state)
{
	(void)state;
	assert_null(svm_check(&vmcb, PHYS_BITS));
}

static void control_rules(void **state)
{
	(void)state;
	vmcb_set_intercept(&vmcb, SVM_INTERCEPT_VMRUN, false);
	refused("VMRUN intercept");
	vmcb._asid = 0;
	refused("ASID");
	vmcb._msrpm = BIT(PHYS_BITS) - 0x1000;
	refused("MSR permission map");
	vmcb._iopm = BIT(PHYS_BITS) - 0x2000;
	refused("I/O permission map");
	vmcb._iopm = ~0ull;
	refused("I/O permission map");
	vmcb._ncr3 = BIT(PHYS_BITS);
	refused("nCR3");
	vmcb._pat = 0x0007040600070206ull;
	refused("PAT");
	vmcb._pat = 0x0807040600070406ull;
	refused("PAT");
	/* The last places that are allowed. */
	vmcb._msrpm = BIT(PHYS_BITS) - 0x2000;
	vmcb._iopm = BIT(PHYS_BITS) - 0x3000;
	assert_null(svm_check(&vmcb, PHYS_BITS));
	/* Without nested paging nobody looks at its root. */
	vmcb._np_ctl = 0;
	vmcb._ncr3 = ~0ull;
	assert_null(svm_check(&vmcb, PHYS_BITS));
}

static void event_rules(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 8; type++) {
		for (unsigned vector = 0; vector < 256; vector++) {
			bool legal = type == 0 || type == 2 || type == 4 ||
				     (type == 3 && vector < 32 && vector != 2);

			vmcb.event_inj = SVM_EVENT_VALID | type << 8 | vector;
			if (legal) {
				assert_null(svm_check(&vmcb, PHYS_BITS));
			} else {
				refused("injected event");
			}
			vmcb.event_inj = type << 8 | vector;
			assert_null(svm_check(&vmcb, PHYS_BITS));
		}
	}
}

static void register_rules(void **state)
{
	(void)state;
	vmcb._cr0 |= CR0_NW;
	refused("CR0.NW");
	vmcb._cr0 |= BIT(32);
	refused("CR0 bits 63:32");
	vmcb._cr3 |= BIT(52);
	refused("CR3 has reserved");
	vmcb._cr3 |= BIT(PHYS_BITS);
	refused("CR3 has bits above");
	vmcb._cr4 |= BIT(13);
	refused("CR4");
	vmcb._cr4 |= BIT(40);
	refused("CR4");
	vmcb._cr4 |= BIT(23);
	vmcb._cr0 &= ~CR0_WP;
	refused("CET");
	vmcb._dr6 |= BIT(32);
	refused("DR6");
	vmcb._dr7 |= BIT(63);
	refused("DR7");
}

static void mode_rules(void **state)
{
	(void)state;
	vmcb._efer &= ~EFER_SVME;
	refused("SVME");
	vmcb._efer |= BIT(9);
	refused("EFER has reserved");
	vmcb._cr4 &= ~CR4_PAE;
	refused("PAE");
	vmcb._cr0 &= ~CR0_PE;
	refused("CR0.PE");
	vmcb._cs.attr |= SVM_SEG_D;
	refused("CS.L and CS.D");
	/* Before paging is on, none of the combinations matters. */
	vmcb._efer &= ~EFER_LMA;
	vmcb._cr0 = CR0_ET;
	vmcb._cr4 = 0;
	vmcb._cs.attr |= SVM_SEG_D;
	vmcb._cr3 = ~0ull;
	assert_null(svm_check(&vmcb, PHYS_BITS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_sound_state_passes, good),
		cmocka_unit_test_setup(control_rules, good),
		cmocka_unit_test_setup(event_rules, good),
		cmocka_unit_test_setup(register_rules, good),
		cmocka_unit_test_setup(mode_rules, good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
