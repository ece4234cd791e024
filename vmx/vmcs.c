/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of the current VMCS by name. */
#include "vmx/vmcs.h"

#include "hv/base/log.h"
#include "hv/base/str.h"
#include "vmx/vmx_insn.h"

#define LINE_MAX 200u
#define ITEM_MAX 64u

const struct vmcs_field_info vmcs_fields[VMCS_FIELD_COUNT] = {
#define X(name, encoding) {#name, (encoding)},
	VMCS_FIELDS(X)
#undef X
};

void vmcs_snapshot(struct vmcs_image *image)
{
	for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
		image->value[i] = 0;
		if (vmx_vmread(vmcs_fields[i].encoding, &image->value[i]) != VMX_OK) {
			image->value[i] = 0;
		}
	}
}

void vmcs_dump(const struct vmcs_image *image, enum vmcs_class which)
{
	char line[LINE_MAX];
	char item[ITEM_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
		size_t n;

		if (vmcs_class_of(vmcs_fields[i].encoding) != which || image->value[i] == 0) {
			continue;
		}
		n = fmt_snprintf(item, sizeof(item), " %s 0x%llx", vmcs_fields[i].name,
				 (unsigned long long)image->value[i]);
		if (used + n >= sizeof(line)) {
			log_info(" %s", line);
			used = 0;
		}
		memcpy(line + used, item, n + 1);
		used += n;
	}
	if (used != 0) {
		log_info(" %s", line);
	}
}
