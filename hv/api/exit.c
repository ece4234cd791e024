/* SPDX-License-Identifier: Apache-2.0 */
/* Names of exit kinds, generated from the same list as the enum. */
#include "hv/api/exit.h"

#include "hv/base/bits.h"

const char *vm_exit_kind_name(enum vm_exit_kind kind)
{
	static const char *const names[] = {
#define X(kind, name) [VM_EXIT_##kind] = (name),
		VM_EXIT_KINDS(X)
#undef X
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "?";
}
