/* SPDX-License-Identifier: Apache-2.0 */
/* One guest, "web", for tests of a guest's life: they leave it stopped, and nothing leaked. */
#pragma once

#include <string.h>

#include "tests/fakes/vm_rig.h"

static struct guest_config config;
static struct guest *g;

/* One machine for all tests that leave it as it was. */
static inline int machine(void **state)
{
	(void)state;
	vm_rig_machine(true);
	g = vm_rig_guest("web", &config);
	return 0;
}

static inline int setup(void **state)
{
	(void)state;
	config.memory = VM_RIG_GUEST_MEMORY;
	config.restart = GUEST_RESTART_NEVER;
	config.serial = true;
	config.debug_exit = false;
	config.cpus = 1;
	g->kernel = vm_rig_kernel();
	g->quick_ends = 0;
	guest_set_idle_action(NULL);
	vm_rig_clear();
	return 0;
}

static inline int clean(void **state)
{
	(void)state;
	if (g->state != GUEST_STOPPED) {
		vm_rig_end(g);
	}
	return vm_rig_leaks();
}

static inline void assert_says(const char *words)
{
	if (strstr(vm_rig_text(), words) == NULL) {
		fail_msg("no '%s' in:\n%s", words, vm_rig_text());
	}
}

static inline void assert_silent_about(const char *words)
{
	assert_null(strstr(vm_rig_text(), words));
}

static inline struct fake_vcpu *cpu(void)
{
	return fake_vcpu(g->vm.vcpus[0]);
}
