/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPUs and emulators get wrong and no feature bit tells: found out once, by a guest of a few
 * bytes that no one else sees.
 */
#pragma once

#include <stdbool.h>

/*
 * Whether virtual interrupts can be left to this CPU (info.virtual_interrupts says that it has
 * them). While a guest has RFLAGS.IF clear, a host interrupt must end its run, and a virtual
 * interrupt must wait: Bochs 2.7 takes the one for the other and delivers the virtual interrupt.
 * `interrupt` sends a CPU, by its index, a host interrupt. Logs what it found. Call on a CPU that
 * runs no guest, with interrupts off.
 */
bool probe_virtual_interrupts(void (*interrupt)(unsigned cpu));
/*
 * Whether the CPU takes posted interrupts (info.posts_interrupts says that it can): one that is
 * posted for a guest with RFLAGS.IF set, and told of by `notify` with the vector the backend knows,
 * must come to the guest's handler without an exit, and with nothing posted nothing must come:
 * Bochs 3.1 delivers vector 255 then. Logs and is called as the other.
 */
bool probe_posted_interrupts(void (*notify)(unsigned cpu));
