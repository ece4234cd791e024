/* SPDX-License-Identifier: Apache-2.0 */
/* The setup page of a payload: its header and nothing else. */
#include "tests/payloads/setup_header.inc"

	.org 0x400
