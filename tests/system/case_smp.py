# SPDX-License-Identifier: Apache-2.0
"""Several CPUs, and guests with several: what they must share, and what they must not.

By hand for longer: SMP_SECONDS is how long the guests of `smp` are under load, CHAOS_SECONDS how
long those of `chaos` are disturbed, CHAOS_SEED with which commands."""
import os
import random
import re

from harness import BOCHS, NO_VENDOR, Case, Check, Expect, ExpectAll, Idle, Poll, Send, Trial
from sticks import (LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, in_two_sizes, isolated, linux,
                    passes, payload, started, stick, stopped)

ALL = "console = all\n"
ONE_CPU = {"pin": 0}
STUCK = r"(?i)is stuck"
SMP_SECONDS = int(os.environ.get("SMP_SECONDS", "30"))
CHAOS_SECONDS = int(os.environ.get("CHAOS_SECONDS", "30"))
CHAOS_SEED = int(os.environ.get("CHAOS_SEED", "4"))


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


def smp(name, left_out, guests, seconds, run_args=()):
    """Guests with several CPUs under a load that needs all of them together (tests/load)."""
    bound = LINUX_BOOT * 2
    task = f"task=smp seconds={seconds}"
    return Case(
        name, stick(ALL, *(linux(g, task, cpus=n) for g, n in guests.items())),
        [READY, started(*guests),
         ExpectAll(tuple(rf"^{g}\| load: CPUs {n}$" for g, n in guests.items()), bound),
         ExpectAll(tuple(rf"^{g}\| smp: end" for g in guests), seconds * 4 + 120),
         *(all_used(g, n) for g, n in guests.items()), *isolated(), POWER_OFF],
        timeout=bound + seconds * 4 + 300, cpus=2, left_out=left_out, run_args=run_args,
        must=tuple(rf"^{g}\| load: ok" for g in guests), never=(r"load: FAILED", STUCK))


def processors(name, left_out, cpus, rounds, keys):
    """What several processors of a guest do to each other, by a bare-metal guest."""
    guest = payload("smp", keys={"cpus": cpus, **keys}, cpus=cpus, rounds=rounds)
    return Case(name, stick(ALL + "autostart = none\n", guest),
                [READY, passes("smp", 300), *isolated(), POWER_OFF], timeout=600, cpus=2,
                linux=False, left_out=left_out, never=(STUCK,))


def crowd(name, left_out, **size):
    """All of them on one CPU, where whoever is waited for has to be given it."""
    if "qemu-svm" in left_out:
        left_out = {**left_out, "bochs-svm": "processors that count with interrupts off keep the "
                                             "CPU there: docs/platforms.md"}
    return processors(name, left_out, keys=ONE_CPU, **size)


# ---------------------------------------------------------------- shares of a CPU

def counts(lines, guest):
    """[(moment, units of work)] that a guest of payload `count` told, on the machine's TSC."""
    start = None
    name = None
    for line in lines:
        if m := re.match(r"name (\S+)", line):
            name = m[1]
        if (m := re.match(r"started_ticks ([1-9]\d*)", line)) and name == guest:
            start = int(m[1])
    assert start is not None, f"no stats of {guest}"
    told = [re.match(r"count (\d+) tsc (\d+)", x) for x in said(lines, guest)]
    return [(start + int(m[2]), int(m[1])) for m in told if m]


def count_at(told, moment):
    for (before, low), (after, high) in zip(told, told[1:]):
        if before <= moment <= after:
            return low + (high - low) * (moment - before) / (after - before)
    raise AssertionError(f"nothing told around {moment}: {told[0][0]} to {told[-1][0]}")


def one_to_three(lines):
    """While both run and neither starts or ends, the one of weight 300 does three times as much."""
    light, heavy = counts(lines, "light"), counts(lines, "heavy")
    start, end = max(light[2][0], heavy[2][0]), min(light[-2][0], heavy[-2][0])
    done = [count_at(t, end) - count_at(t, start) for t in (light, heavy)]
    ratio = done[1] / done[0]
    print(f"        weights 100 and 300: 1 : {ratio:.3f}")
    assert 3 * 0.98 <= ratio <= 3 * 1.02, f"work is 1 : {ratio:.3f}"


def a_quarter(lines):
    """`cap = 25` does a quarter of what it would without."""
    rates = [(t[-1][1] - t[0][1]) / (t[-1][0] - t[0][0])
             for t in (counts(lines, "capped"), counts(lines, "free"))]
    ratio = rates[0] / rates[1]
    print(f"        cap = 25: {ratio * 100:.2f} %")
    assert 0.25 * 0.98 <= ratio <= 0.25 * 1.02, f"work is {ratio:.4f} of that without a cap"


def in_time(lines):
    """hv/sched.h: one that rests more than it runs is placed before those that do not rest; what is left is an
    exit and a switch."""
    told = [m for x in said(lines, "sleeper") if (m := re.match(r"late by (\d+) us at most, (\d+)", x))]
    assert told, "the sleeper told nothing"
    print(f"        woken beside eight hogs: {told[0][1]} us late at most, {told[0][2]} on average")
    assert int(told[0][1]) <= WAKE_US, f"the sleeper was {told[0][1]} us late"


WAKE_US = 200
HOGS = [f"hog{i}" for i in range(8)]


SHARES_LIMIT = 300


def told(*names):
    """Runs payloads `count` at once, and asks when each started: once they have ended, as a quick one has before
    the question is typed."""
    return [*(Send(f"start {n}") for n in names),
            ExpectAll(tuple(rf"^bulkhead: guest {n}: stopped: power-off" for n in names), SHARES_LIMIT),
            *(gone(n) for n in names),
            *(step for n in names for step in (Send(f"stats {n}"), Expect(r"^started_ticks [1-9]")))]


def beside(name, steps):
    """The CPU is never idle meanwhile: an idle machine's time is the host's, not its instructions'."""
    return [Send(f"start {name}"), started(name), *steps, Send(f"stop {name}"),
            stopped(name, "by request"), gone(name)]


# The emulated machine counts instructions here, so that times are what they are.
SHARES = Case(
    "shares", stick(
        ALL + "autostart = none\n",
        *(payload(n, "count", keys={**ONE_CPU, **keys}, mark=100, marks=marks) for n, keys, marks in (
            ("light", {"weight": 100}, 30), ("heavy", {"weight": 300}, 30),
            ("capped", {"cap": 25}, 20), ("free", {}, 5))),
        *(payload(n, "spin", keys=ONE_CPU, interrupts=1) for n in HOGS),
        payload("sleeper", "wake", keys=ONE_CPU, times=50)),
    [READY, Trial("weights", [*told("light", "heavy"), Check(one_to_three)]),
     Trial("cap", [*beside("hog0", told("capped")), *told("free"), Check(a_quarter)]),
     *(Send(f"start {n}") for n in HOGS), started(*HOGS), passes("sleeper", SHARES_LIMIT),
     Trial("wake", [Check(in_time)]), POWER_OFF],
    timeout=900, linux=False, run_args=("--icount", "--idle-sleeps"),
    left_out=NO_VENDOR)


# ---------------------------------------------------------------- two threads of one core

HOGS_OF_TWO = ("left", "right")


def stats_twice(names, seconds):
    once = [step for n in names for step in (Send(f"stats {n}"), Expect(rf"^name {n}$"),
                                             Expect(r"^vcpu0\.run_us"))]
    return [*once, Idle(seconds), *once]


def shares_of(lines):
    """How much of its time each guest ran, between its last two `stats`."""
    told = {}
    for line in lines:
        if m := re.match(r"name (\S+)", line):
            name = m[1]
        elif m := re.match(r"guest_time_us (\d+)", line):
            time = int(m[1])
        elif m := re.match(r"vcpu0\.run_us (\d+)", line):
            told.setdefault(name, []).append((time, int(m[1])))
    return {g: (t[-1][1] - t[-2][1]) / (t[-1][0] - t[-2][0]) for g, t in told.items()}


def smt(name, conf, least, most):
    """Two busy guests on a machine with one core of two threads: together they run as much as one core
    does, unless they may share it."""
    def together(lines):
        shares = shares_of(lines)
        assert set(shares) == set(HOGS_OF_TWO), f"stats of {sorted(shares)} only"
        assert all(x > least / 3 for x in shares.values()), f"one hardly ran: {shares}"
        assert least <= sum(shares.values()) <= most, f"together they ran {shares}"
    return Case(
        name, stick(ALL + conf, *(payload(n, "spin", interrupts=1) for n in HOGS_OF_TWO)),
        [Expect(r"^info: CPUs: 2, .*; 2 threads per core", 120), READY, started(*HOGS_OF_TWO), Idle(2),
         *stats_twice(HOGS_OF_TWO, 8), Check(together), POWER_OFF],
        timeout=300, cpus="2,threads=2", linux=False, left_out=NO_VENDOR, never=(STUCK,))


# ---------------------------------------------------------------- guests that rest

RESTING = [f"g{i:02}" for i in range(16)]
# Per second, of all sixteen.
IDLE_EXITS = 800


def exits_of(lines):
    """{guest: (its time in us, its exits)} by the last `stats` of each."""
    found = {}
    for line in lines:
        if m := re.match(r"name (\S+)", line):
            name = m[1]
        elif m := re.match(r"guest_time_us (\d+)", line):
            time = int(m[1])
        elif m := re.match(r"vcpu0\.exits (\d+)", line):
            found.setdefault(name, []).append((time, int(m[1])))
    return found


def at_rest(lines):
    told = exits_of(lines)
    assert set(told) == set(RESTING), f"stats of {sorted(told)} only"
    rates = {g: (t[-1][1] - t[-2][1]) / (t[-1][0] - t[-2][0]) * 1e6 for g, t in told.items()}
    total = sum(rates.values())
    print(f"        16 idle guests: {total:.0f} exits a second, {min(rates.values()):.1f} to "
          f"{max(rates.values()):.1f} each")
    assert total <= IDLE_EXITS, f"{total:.0f} exits a second: {rates}"


AT_REST = Case(
    "idle16", stick(ALL, *(linux(n, "quiet", memory="96M") for n in RESTING)),
    [READY, ExpectAll(tuple(rf"^{n}\| {n}: Linux \d" for n in RESTING), LINUX_BOOT * 4), Idle(5),
     *stats_twice(RESTING, 10), Check(at_rest), POWER_OFF],
    timeout=LINUX_BOOT * 4 + 300, memory="3G", cpus=2,
    left_out=dict.fromkeys(BOCHS, "the emulator ends at once with more than 2 GiB of memory"))


# ---------------------------------------------------------------- a hand that does not rest

CHAOS_VERBS = ("pause", "resume", "reset", "stop", "start")


def disturbance(guests, seconds, seed):
    """Commands in an order that a seed decides, some close together; most fit, some do not."""
    chance = random.Random(seed)
    steps = []
    while seconds > 0:
        steps.append(Send(f"{chance.choice(CHAOS_VERBS)} {chance.choice(guests)}"))
        pause = chance.choice((0.05, 0.1, 0.3, 0.7))
        steps.append(Idle(pause))
        seconds -= pause
    return steps


def chaos(name, left_out, linuxes, payloads, seconds, run_args=()):
    names = [*linuxes, *payloads]
    alive = (*(rf"^{g}\| load: clock" for g in linuxes), *(rf"^{g}\| load: all 4 work" for g in payloads))
    return Case(
        name, stick(ALL, *(linux(g, "task=smp forever=1", cpus=2) for g in linuxes),
                    *(payload(g, "smp-load", keys={"cpus": 4}, cpus=4) for g in payloads)),
        [READY, ExpectAll(alive, LINUX_BOOT * 2), *disturbance(names, seconds, CHAOS_SEED),
         # What was said before is over.
         Send("quiet-now"), Expect(r"^no command 'quiet-now'"), *isolated(),
         *(Send(f"stop {g}") for g in names), *(gone(g) for g in names), *isolated(),
         *(Send(f"start {g}") for g in names), ExpectAll(alive, LINUX_BOOT * 2), *isolated(), POWER_OFF],
        timeout=LINUX_BOOT * 4 + seconds * 2 + 300, cpus=2, left_out=left_out, run_args=run_args,
        never=(r"load: FAILED", STUCK, r"^\w+\| FAIL"))


def cases():
    full, small = {"cpus": 4, "rounds": 100}, {"cpus": 2, "rounds": 20}
    return [*in_two_sizes(processors, "processors", {**full, "keys": {}}, {**small, "keys": {}}),
            *in_two_sizes(crowd, "crowd", full, small),
            *in_two_sizes(smp, "smp", {"guests": {"four": 4, "two": 2}, "seconds": SMP_SECONDS,
                           "run_args": ONE_THREAD},
                          {"guests": {"two": 2}, "seconds": 3}),
            SHARES, smt("smt", "", 0.8, 1.1), smt("smt-shared", "smt = shared\n", 1.6, 2.1), AT_REST,
            *in_two_sizes(chaos, "chaos",
                          {"linuxes": ("deb", "ian"), "payloads": ("one", "other"),
                           "seconds": CHAOS_SECONDS, "run_args": ONE_THREAD},
                          {"linuxes": (), "payloads": ("one", "other"), "seconds": 20})]
