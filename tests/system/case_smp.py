# SPDX-License-Identifier: Apache-2.0
"""Several CPUs, and guests with several: what they must share, and what they must not.

By hand for longer: SMP_SECONDS is how long the guests of `smp` are under load, CHAOS_SECONDS how
long those of `chaos` are disturbed, CHAOS_SEED with which commands."""
import os
import re

from harness import Case, Check, Expect, ExpectAll
from sticks import (LINUX_BOOT, POWER_OFF, READY, in_two_sizes, isolated, linux, passes, payload,
                    started, stick, stopped)

ALL = "console = all\n"
SMP_SECONDS = int(os.environ.get("SMP_SECONDS", "30"))


def said(lines, guest):
    """What a guest printed."""
    return [x.removeprefix(f"{guest}| ") for x in lines if x.startswith(f"{guest}| ")]


# ---------------------------------------------------------------- Debian on several CPUs

def all_used(guest, cpus):
    """Every CPU did its part: by the load's own counts, by the kernel's times, by its interrupts."""
    def check(lines):
        text = said(lines, guest)
        used = [x for x in text if re.match(r"load: cpu \d+ ", x)]
        assert len(used) == cpus, f"{guest}: load counted on {len(used)} CPUs"
        times = [x.split() for x in text if re.match(r"cpu\d+ ", x)]
        assert len(times) == cpus, f"{guest}: /proc/stat has {len(times)} CPUs"
        for cpu, user, nice, system, *_ in times:
            assert int(user) + int(nice) + int(system) >= 50, f"{guest}: {cpu} did next to nothing"
        messages = [x.split()[1:1 + cpus] for x in text if re.match(r" *(RES|CAL|TLB): ", x)]
        for i in range(cpus):
            assert sum(int(row[i]) for row in messages) > 0, f"{guest}: no message reached CPU {i}"
    return Check(check)


def smp(name, left_out, guests, seconds):
    """Guests with several CPUs under a load that needs all of them together (tests/load)."""
    bound = LINUX_BOOT * 2
    task = f"task=smp seconds={seconds}"
    return Case(
        name, stick(ALL, *(linux(g, task, cpus=n) for g, n in guests.items())),
        [READY, started(*guests),
         ExpectAll(tuple(rf"^{g}\| load: CPUs {n}$" for g, n in guests.items()), bound),
         ExpectAll(tuple(rf"^{g}\| smp: end" for g in guests), seconds * 4 + 120),
         *(all_used(g, n) for g, n in guests.items()), *isolated(), POWER_OFF],
        timeout=bound + seconds * 4 + 300, cpus=2, left_out=left_out,
        must=tuple(rf"^{g}\| load: ok" for g in guests), never=(r"load: FAILED", r"(?i)is stuck"))


def processors(name, left_out, cpus, rounds):
    """What several processors of a guest do to each other, by a bare-metal guest: alone, and with
    all of them on one CPU, where whoever is waited for has to be given the CPU."""
    options = {"cpus": cpus, "rounds": rounds}
    return Case(
        name, stick(ALL + "autostart = none\n", payload("apart", "smp", keys={"cpus": cpus}, **options),
                    payload("crowd", "smp", keys={"cpus": cpus, "pin": 0}, **options)),
        [READY, passes("apart", 120), passes("crowd", 300), *isolated(), POWER_OFF],
        timeout=600, cpus=2, linux=False, left_out=left_out, never=(r"(?i)is stuck",))


def cases():
    return [*in_two_sizes(processors, "processors", {"cpus": 4, "rounds": 100},
                          {"cpus": 2, "rounds": 20}),
            *in_two_sizes(smp, "smp", {"guests": {"four": 4, "two": 2}, "seconds": SMP_SECONDS},
                          {"guests": {"two": 2}, "seconds": 3})]
