/* SPDX-License-Identifier: Apache-2.0 */
/* Where further processors start, for C and assembly. */
#pragma once

/* Unused low memory, by guests/loaders/linux.h; the start-up message's vector is its page. */
#define RT_AP_PAGE 0x20000
#define RT_AP_STACK 8192
#define RT_CPUS_MAX 16
