/* SPDX-License-Identifier: Apache-2.0 */
/* The NIC of virtio_net_rig.h as cmocka's fixtures; for programs that include cmocka.h. */
#pragma once

#include "tests/fakes/virtio_net_rig.h"

static inline int machine(void **state)
{
	(void)state;
	nic_machine();
	return 0;
}

/* One whose driver may not take another address. */
static inline int setup(void **state)
{
	(void)state;
	nic_setup(true);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	nic_teardown();
	return 0;
}
