/* SPDX-License-Identifier: Apache-2.0 */
/* The card of e1000_rig.h as cmocka's fixtures; for programs that include cmocka.h. */
#pragma once

#include "tests/fakes/e1000_rig.h"

static inline int machine(void **state)
{
	(void)state;
	card_machine();
	return 0;
}

static inline int setup_82540em(void **state)
{
	(void)state;
	card_setup(E1000_82540EM);
	return 0;
}

static inline int setup_82574l(void **state)
{
	(void)state;
	card_setup(E1000_82574L);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	card_teardown();
	return 0;
}

#define OLD(name) cmocka_unit_test_setup_teardown(name, setup_82540em, teardown)
#define NEW(name) cmocka_unit_test_setup_teardown(name, setup_82574l, teardown)
