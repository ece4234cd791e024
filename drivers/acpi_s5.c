/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding \_S5 in AML without running it: the name is always NameOp _S5_ PackageOp with constants,
 * because an OS must be able to read it at any time. Source: ACPI specification, "AML Grammar
 * Definition" (DefName, DefPackage, PkgLength), "System \_Sx states".
 */
#include "drivers/acpi.h"
#include "hv/base/acpi_format.h"
#include "hv/base/bits.h"
#include "hv/base/str.h"

#define AML_ZERO 0x00u
#define AML_ONE 0x01u
#define AML_NAME 0x08u
#define AML_BYTE 0x0au
#define AML_WORD 0x0bu
#define AML_DWORD 0x0cu
#define AML_PACKAGE 0x12u
#define AML_ROOT_CHAR 0x5cu

#define SLP_TYP_MAX 7u

/* AML from `at` on, with the end it must not pass. */
struct aml {
	const uint8_t *bytes;
	size_t at;
	size_t end;
};

/* The next byte; false at the end. */
static bool next(struct aml *a, uint8_t *out)
{
	if (a->at >= a->end) {
		return false;
	}
	*out = a->bytes[a->at++];
	return true;
}

/* PkgLength: narrows a->end to the package. */
static bool enter_package(struct aml *a)
{
	size_t start = a->at;
	size_t length;
	uint8_t lead;
	uint8_t byte;

	if (!next(a, &lead)) {
		return false;
	}
	length = lead & (lead >> 6 == 0 ? 0x3fu : 0x0fu);
	for (unsigned i = 0; i < lead >> 6; i++) {
		if (!next(a, &byte)) {
			return false;
		}
		length |= (size_t)byte << (4 + 8 * i);
	}
	a->end = min_u64(a->end, start + length);
	return true;
}

/* An integer constant that is a sleep type. */
static bool sleep_type(struct aml *a, uint8_t *out)
{
	unsigned more = 0;
	uint8_t op;
	uint8_t rest;

	if (!next(a, &op)) {
		return false;
	}
	if (op == AML_ZERO || op == AML_ONE) {
		*out = op;
		return true;
	}
	if (op != AML_BYTE && op != AML_WORD && op != AML_DWORD) {
		return false;
	}
	more = op == AML_BYTE ? 0 : op == AML_WORD ? 1 : 3;
	if (!next(a, out)) {
		return false;
	}
	for (unsigned i = 0; i < more; i++) {
		if (!next(a, &rest) || rest != 0) {
			return false;
		}
	}
	return *out <= SLP_TYP_MAX;
}

/* Reads the package behind the name; a->at is at PackageOp. */
static bool read_package(struct aml a, uint8_t *type_a, uint8_t *type_b)
{
	uint8_t op;
	uint8_t count;

	if (!next(&a, &op) || op != AML_PACKAGE || !enter_package(&a) || !next(&a, &count)) {
		return false;
	}
	if (count == 0 || !sleep_type(&a, type_a)) {
		return false;
	}
	/* Elements left out are zero. */
	*type_b = 0;
	return count == 1 || a.at == a.end || sleep_type(&a, type_b);
}

bool acpi_find_s5(const uint8_t *table, size_t size, uint8_t *type_a, uint8_t *type_b)
{
	uint8_t a;
	uint8_t b;

	for (size_t i = SDT_HEADER_SIZE + 1; i + 4 <= size; i++) {
		bool named = table[i - 1] == AML_NAME ||
			     (table[i - 1] == AML_ROOT_CHAR && table[i - 2] == AML_NAME);

		if (named && memcmp(table + i, "_S5_", 4) == 0 &&
		    read_package((struct aml){table, i + 4, size}, &a, &b)) {
			*type_a = a;
			*type_b = b;
			return true;
		}
	}
	return false;
}
