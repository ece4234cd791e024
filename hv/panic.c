/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a broken hypervisor: says where, then stops the machine. */
#include "hv/base/check.h"
#include "hv/base/log.h"
#include "hv/cpu/trap.h"
#include "hv/cpus.h"

noreturn void check_failed(const char *file, int line, const char *what)
{
	log_event("panic: %s:%d: %s", file, line, what);
	trap_backtrace_here();
	cpus_stop_all();
}
