/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry checks over arbitrary VMCS contents: no input may do harm, each verdict is a sentence, and
 * the whole agrees with its parts. The capability MSRs are arbitrary, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmx/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEED(cond) \
	do { \
		if (!(cond)) { \
			abort(); \
		} \
	} while (0)

static struct vmx_facts facts_from(const uint64_t *words)
{
	return (struct vmx_facts){
		.vmx = true,
		.phys_bits = (uint8_t)(32 + words[0] % 21),
		.feature_control = words[0] >> 8,
		.basic = words[1],
		.pin = words[2],
		.proc = words[3],
		.exit = words[4],
		.entry = words[5],
		.proc2 = words[6],
		.ept_vpid = words[7],
		.cr0_fixed0 = words[8],
		.cr0_fixed1 = words[9],
		.cr4_fixed0 = words[10],
		.cr4_fixed1 = words[11],
	};
}

/* Whatever the MSRs say: a word that was accepted obeys them. */
static void check_word(uint32_t word, uint64_t msr)
{
	uint32_t must = (uint32_t)msr;
	uint32_t may = (uint32_t)(msr >> 32);

	NEED((must & ~word) == 0);
	NEED((word & ~(may | must)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmcs_image image;
	uint64_t words[12] = {0};
	struct vmx_caps caps = {.phys_bits = 39};
	struct vmx_facts facts;
	const char *whole, *controls, *host, *guest;

	memcpy(words, data, size < sizeof(words) ? size : sizeof(words));
	facts = facts_from(words);
	if (vmx_caps_judge(&facts, &caps) == NULL) {
		check_word(caps.pin, facts.pin);
		check_word(caps.proc, facts.proc);
		check_word(caps.proc2, facts.proc2);
		check_word(caps.exit, facts.exit);
		check_word(caps.entry, facts.entry);
	}
	memset(&image, 0, sizeof(image));
	if (size > sizeof(words)) {
		size -= sizeof(words);
		memcpy(&image, data + sizeof(words), size < sizeof(image) ? size : sizeof(image));
	}
	caps.phys_bits = facts.phys_bits;
	whole = vmx_check(&image, &caps);
	controls = vmx_check_controls(&image, &caps);
	host = vmx_check_host(&image, &caps);
	guest = vmx_check_guest(&image, &caps);
	NEED((whole == NULL) == (controls == NULL && host == NULL && guest == NULL));
	NEED(whole == NULL || strlen(whole) > 0);
	return 0;
}
