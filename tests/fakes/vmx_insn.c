/* SPDX-License-Identifier: Apache-2.0 */
/* vmx/vmx_insn.h in host programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/check.h"
#include "mm/pool.h"
#include "tests/fakes/fake_vmx.h"
#include "vmx/check.h"
#include "vmx/decode.h"

#define ERROR_LAUNCH_NOT_CLEAR 4
#define ERROR_RESUME_NOT_LAUNCHED 5
#define ERROR_CONTROLS 7
#define ERROR_HOST_STATE 8
#define ERROR_REVISION 11
#define ERROR_NO_FIELD 12
#define ERROR_READ_ONLY 13
#define ERROR_VMXON_AGAIN 15
#define ERROR_INV_OPERAND 28

struct fake_vmx fake_vmx;

void fake_vmx_reset(void)
{
	memset(&fake_vmx, 0, sizeof(fake_vmx));
	fake_vmx.dr6 = 0xffff0ff0;
}

/* #UD outside VMX operation: the caller is wrong, show it at once. */
static void need_operation(const char *what)
{
	if (!fake_vmx.on) {
		fprintf(stderr, "fake VT-x: %s outside VMX operation\n", what);
		abort();
	}
}

static enum vmx_result fail(uint64_t error)
{
	if (fake_vmx.current == NULL) {
		return VMX_FAIL_INVALID;
	}
	fake_vmx.current->image.value[VMCS_AT_INSN_ERROR] = error;
	return VMX_FAIL_VALID;
}

struct fake_vmcs *fake_vmcs_at(hpa_t hpa)
{
	for (unsigned i = 0; i < fake_vmx.store_count; i++) {
		if (fake_vmx.store[i].hpa == hpa.v) {
			return &fake_vmx.store[i];
		}
	}
	return NULL;
}

static struct fake_vmcs *find_or_add(hpa_t hpa)
{
	struct fake_vmcs *s = fake_vmcs_at(hpa);

	if (s == NULL) {
		if (fake_vmx.store_count == FAKE_VMCS_MAX) {
			fprintf(stderr, "fake VT-x: too many VMCSs\n");
			abort();
		}
		s = &fake_vmx.store[fake_vmx.store_count++];
		*s = (struct fake_vmcs){.hpa = hpa.v};
	}
	return s;
}

enum vmx_result vmx_vmxon(hpa_t region)
{
	(void)region;
	if (fake_vmx.on) {
		return fail(ERROR_VMXON_AGAIN);
	}
	if (fake_vmx.refuse_vmxon) {
		return VMX_FAIL_INVALID;
	}
	fake_vmx.on = true;
	return VMX_OK;
}

void vmx_vmxoff(void)
{
	need_operation("VMXOFF");
	fake_vmx.on = false;
	fake_vmx.current = NULL;
}

enum vmx_result vmx_vmclear(hpa_t vmcs)
{
	struct fake_vmcs *s = find_or_add(vmcs);

	need_operation("VMCLEAR");
	fake_vmx.vmclear_count++;
	s->active = false;
	s->launched = false;
	if (fake_vmx.current == s) {
		fake_vmx.current = NULL;
	}
	return VMX_OK;
}

enum vmx_result vmx_vmptrld(hpa_t vmcs)
{
	const uint32_t *revision = pool_ptr(vmcs);

	need_operation("VMPTRLD");
	fake_vmx.vmptrld_count++;
	if (fake_vmx.caps != NULL && *revision != fake_vmx.caps->revision) {
		return fail(ERROR_REVISION);
	}
	fake_vmx.current = find_or_add(vmcs);
	fake_vmx.current->active = true;
	return VMX_OK;
}

hpa_t vmx_vmptrst(void)
{
	need_operation("VMPTRST");
	return hpa(fake_vmx.current != NULL ? fake_vmx.current->hpa : VMX_NO_VMCS);
}

enum vmcs_index fake_vmcs_find(uint32_t encoding)
{
	for (unsigned i = 0; i < VMCS_FIELD_COUNT; i++) {
		if (vmcs_fields[i].encoding == encoding) {
			return (enum vmcs_index)i;
		}
	}
	return VMCS_FIELD_COUNT;
}

/* What a field of this width can hold. */
static uint64_t width_mask(uint32_t field)
{
	switch (fake_vmcs_width(field)) {
	case FAKE_VMCS_WIDTH_16:
		return 0xffff;
	case FAKE_VMCS_WIDTH_32:
		return 0xffffffff;
	case FAKE_VMCS_WIDTH_64:
	case FAKE_VMCS_WIDTH_NATURAL:
		break;
	}
	return ~0ull;
}

enum vmx_result vmx_vmread(uint32_t field, uint64_t *value)
{
	enum vmcs_index at = fake_vmcs_find(field);

	need_operation("VMREAD");
	fake_vmx.vmread_count++;
	if (fake_vmx.current == NULL) {
		return VMX_FAIL_INVALID;
	}
	if (at == VMCS_FIELD_COUNT || (fake_vmx.missing != 0 && field == fake_vmx.missing)) {
		return fail(ERROR_NO_FIELD);
	}
	*value = fake_vmx.current->image.value[at];
	return VMX_OK;
}

static enum vmx_result vmwrite(uint32_t field, uint64_t value)
{
	enum vmcs_index at = fake_vmcs_find(field);

	need_operation("VMWRITE");
	fake_vmx.vmwrite_count++;
	if (fake_vmx.current == NULL) {
		return VMX_FAIL_INVALID;
	}
	if (at == VMCS_FIELD_COUNT || (fake_vmx.missing != 0 && field == fake_vmx.missing)) {
		return fail(ERROR_NO_FIELD);
	}
	if (vmcs_class_of(field) == VMCS_CLASS_READ_ONLY) {
		return fail(ERROR_READ_ONLY);
	}
	fake_vmx.current->image.value[at] = value & width_mask(field);
	return VMX_OK;
}

uint64_t vmcs_read(enum vmcs_field field)
{
	uint64_t value = 0;
	enum vmx_result result = vmx_vmread(field, &value);

	CHECK(result == VMX_OK);
	return value;
}

void vmcs_write(enum vmcs_field field, uint64_t value)
{
	enum vmx_result result = vmwrite(field, value);

	CHECK(result == VMX_OK);
}

enum vmx_result vmx_invept(uint64_t type, uint64_t eptp)
{
	need_operation("INVEPT");
	fake_vmx.invept_count++;
	fake_vmx.invept_type = type;
	fake_vmx.invept_eptp = eptp;
	return type == VMX_INVEPT_SINGLE || type == VMX_INVEPT_ALL ? VMX_OK
								   : fail(ERROR_INV_OPERAND);
}

uint64_t fake_vmcs_get(enum vmcs_field field)
{
	return fake_vmx.current->image.value[fake_vmcs_find(field)];
}

void fake_vmcs_set(enum vmcs_field field, uint64_t value)
{
	fake_vmx.current->image.value[fake_vmcs_find(field)] = value & width_mask(field);
}

/* The parts of the entry checks, each with the way a CPU reports it. False: no entry. */
static bool checks_pass(enum vmx_result *result)
{
	const struct vmcs_image *image = &fake_vmx.current->image;
	const char *why = NULL;

	if (fake_vmx.caps == NULL) {
		return true;
	}
	if ((why = vmx_check_controls(image, fake_vmx.caps)) != NULL) {
		*result = fail(ERROR_CONTROLS);
	} else if ((why = vmx_check_host(image, fake_vmx.caps)) != NULL) {
		*result = fail(ERROR_HOST_STATE);
	} else if ((why = vmx_check_guest(image, fake_vmx.caps)) != NULL) {
		fake_vmcs_set(VMCS_EXIT_REASON, VMX_REASON_ENTRY_FAILED | VMX_EXIT_BAD_GUEST_STATE);
		fake_vmcs_set(VMCS_EXIT_QUALIFICATION, 0);
		*result = VMX_OK;
	}
	return why == NULL;
}

enum vmx_result vmx_enter(struct vcpu *vcpu, bool launched)
{
	enum vmx_result result = VMX_OK;

	need_operation("VM entry");
	if (fake_vmx.current == NULL) {
		return VMX_FAIL_INVALID;
	}
	fake_vmx.enter_count++;
	fake_vmx.entered = fake_vmx.current->image;
	fake_vmx.entered_by_launch = !launched;
	if (launched != fake_vmx.current->launched) {
		return fail(launched ? ERROR_RESUME_NOT_LAUNCHED : ERROR_LAUNCH_NOT_CLEAR);
	}
	if (fake_vmx.refuse_entry != VMX_OK) {
		return fake_vmx.refuse_entry == VMX_FAIL_VALID ? fail(ERROR_CONTROLS)
							       : VMX_FAIL_INVALID;
	}
	if (!checks_pass(&result)) {
		return result;
	}
	fake_vmx.current->launched = true;
	fake_vmcs_set(VMCS_EXIT_REASON, VMX_EXIT_INTERRUPT);
	fake_vmcs_set(VMCS_EXIT_INTERRUPTION, VMX_EVENT_VALID | 0x40);
	fake_vmcs_set(VMCS_VECTORING, 0);
	fake_vmcs_set(VMCS_EXIT_INSN_LENGTH, 0);
	fake_vmcs_set(VMCS_ENTRY_INTERRUPTION,
		      fake_vmcs_get(VMCS_ENTRY_INTERRUPTION) & ~VMX_EVENT_VALID);
	if (fake_vmx.guest != NULL) {
		fake_vmx.guest(vcpu);
	}
	return VMX_OK;
}

uint64_t vmx_exit_address(void)
{
	return 0xffffffff80001000ull;
}

void vmx_host_nmi(void)
{
	fake_vmx.host_nmi_count++;
}

void vmx_sidt(struct desc_ptr *desc)
{
	*desc = (struct desc_ptr){.limit = 0xfff, .base = 0xffffffff80200000ull};
}

uint64_t vmx_read_dr6(void)
{
	return fake_vmx.dr6;
}

void vmx_verw(void)
{
	fake_vmx.verw_count++;
}

void vmx_write_dr6(uint64_t value)
{
	fake_vmx.dr6 = value;
}
