# SPDX-License-Identifier: Apache-2.0
"""A Linux guest with nothing but the HPET to tell the time by and to be interrupted by."""
from harness import NO_VENDOR, Case, Expect
from sticks import LINUX_BOOT, POWER_OFF, READY, linux, stick, stopped


def cases():
    guest = linux("time", "task=hpet seconds=8 clocksource=hpet nolapic_timer", hpet="on", paravirt="off")
    return [Case(
        "hpet", stick("console = all\n", guest),
        [READY, Expect(r"^time\| hpet: \d+ interrupts", LINUX_BOOT, r"hpet: FAILED"),
         Expect(r"^time\| clock: ok", 60, r"clock: FAILED"), stopped("time", "power-off"), POWER_OFF],
        must=(r"^time\| .*hpet0: 3 comparators, 64-bit 14\.318180 MHz counter",), timeout=300, left_out=NO_VENDOR)]
