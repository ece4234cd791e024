# SPDX-License-Identifier: Apache-2.0
"""Machines of other shapes, sharing the CPU, and the keys that have no other case."""
import re

from harness import BOCHS, NO_VENDOR, ONE_AMD, Case, Check, Expect, ExpectAll, Idle, Poll, Send
from sticks import (LINUX_BOOT, PAYLOAD, POWER_OFF, READY, in_two_sizes, isolated, linux, passes,
                    payload, started, stick, stopped)

ALL = "console = all\n"

# Three guests that never rest, one of weight 300: in twenty seconds each gets its share.
SPINNERS = {"one": 100, "two": 100, "three": 300}


def shares(lines):
    run = {}
    name = None
    for line in lines:
        if m := re.match(r"name (\S+)", line):
            name = m[1]
        if m := re.match(r"vcpu0\.run_us (\d+)", line):
            run[name] = int(m[1])
    assert set(run) == set(SPINNERS), f"run times of {sorted(run)} only"
    unit = sum(run.values()) / sum(SPINNERS.values())
    for guest, weight in SPINNERS.items():
        share = run[guest] / unit / weight
        assert 0.9 < share < 1.1, f"{guest} of weight {weight} ran {run[guest]} us: {run}"


FAIR = Case(
    "fair", stick(ALL, *(payload(n, "spin", keys={"weight": w}, interrupts=1)
                         for n, w in SPINNERS.items())),
    [READY, started(*SPINNERS), Idle(20)] +
    [Send(f"pause {n}") for n in SPINNERS] +
    [ExpectAll(tuple(rf"^bulkhead: guest {n}: paused" for n in SPINNERS))] +
    [step for n in SPINNERS for step in (Send(f"stats {n}"), Expect(rf"^name {n}$"),
                                         Expect(r"^vcpu0\.run_us"))] +
    [Check(shares), POWER_OFF], timeout=300, linux=False)

# RAM on both sides of 4 GiB, in the machine and in the guests.
BIG = Case(
    "big", stick("console = all\nautostart = web\n", linux("web", memory="4G"),
                 payload("zero", "memory-zero", memory="3600M")),
    [READY, started("web", within=200), Expect(r"^web\| web: Linux", LINUX_BOOT),
     Send("send web grep MemTotal /proc/meminfo"), Expect(r"^web\| MemTotal: +(39|40)\d{5} kB"),
     *isolated(), Send("send web poweroff"), stopped("web", "power-off"),
     Poll("list", r"^web +stopped"), passes("zero", 120), POWER_OFF],
    timeout=600, memory="6G",
    left_out=dict.fromkeys(BOCHS, "the emulator ends at once with more than 2 GiB of memory"))


def cpus(name, left_out, guest, alive):
    """The application processors wait in order while one runs guests."""
    return Case(
        name, stick(ALL, guest),
        [Expect(r"^info: CPUs: 4, from (ACPI|EFI MP services): 4 running, 0 failed"),
         READY, alive, Send("info machine"), Expect(r"^cpus +4 running, 0 failed"), POWER_OFF],
        timeout=240, cpus=4, memory="2G", left_out=left_out)


# What the monitor tells of two CPUs, and changes, while guests run on them.
TOP = Case(
    "top", stick(ALL, payload("heart", "heartbeat"), payload("hog", "spin", interrupts=1),
                 payload("pig", "spin", interrupts=1)),
    [READY, started("heart", "hog", "pig"), Send("top 2"),
     Expect(r"^top: \d+ ms, 2 CPUs, 3 guests, \d+ of \d+ MiB free"), Expect(r"^CPU +BUSY%"),
     Expect(r"^  0 +\d+\.\d +\d+ +\d+  \S"), Expect(r"^hog: running, \d+ MiB, exits/s: \S"),
     Expect(r"^  0 on [01] +[1-9]\d*\.\d"), Expect(r"^top: \d+ ms"), Expect(r"^pig: running"),
     Send("set hog pin 1"), Expect(r"^hog: weight 100, cap none, pin 1$"),
     Send("set pig pin 1"), Expect(r"^pig: weight 100, cap none, pin 1$"),
     Send("set hog cap 10"), Expect(r"^hog: weight 100, cap 10, pin 1$"),
     # Of CPU and of STEAL.
     Send("top 60"), Expect(r"^  0 on 1 +([5-9]|1\d)\.\d +[89]\d\.\d"), Send("q", end=""),
     Send("stats hog"), Expect(r"^throttle_count [1-9]"), Expect(r"^vcpu0\.cpu 1$"),
     Send("info cpus"), Expect(r"^  0 +\d+ +0 host +\d+\.\d"),
     Expect(r"^  1 +\d+ +1 (guest|host) +.* (hog|pig)/0$"), POWER_OFF],
    timeout=120, cpus=2, linux=False, left_out=NO_VENDOR)

# As many as a large server has, two threads to a core.
MANY = Case(
    "many-cpus", stick(ALL, payload("heart", "heartbeat")),
    [Expect(r"^info: TSCs: in step within \d+ ticks", 120),
     Expect(r"^info: CPUs: 64, from ACPI: 64 running, 0 failed; 2 threads per core"), READY,
     Expect(r"^heart\| beat 5 "), POWER_OFF],
    timeout=240, cpus="64,threads=2", memory="2G", linux=False,
    left_out=dict.fromkeys(BOCHS, "64 emulated CPUs take turns: the firmware alone takes minutes"))

# APIC ids with gaps, as each socket's begin at a power of two.
SPARSE = Case(
    "sparse-cpus", stick(ALL, payload("heart", "heartbeat", keys={"pin": 5})),
    [Expect(r"^info: CPUs: 6, from ACPI: 6 running, 0 failed", 120), READY, Expect(r"^heart\| beat 2 "),
     Send("info cpus"), Expect(r"^  2 +2 +2 "), Expect(r"^  3 +4 +3 "), Expect(r"^  5 +6 +5 \w+ +\d+\.\d +[1-9]"), POWER_OFF],
    timeout=120, cpus="6,sockets=2", linux=False,
    left_out=dict.fromkeys(BOCHS, "Bochs numbers the processors of all sockets without gaps"))

BUTTON = Case(
    "power-button", stick(ALL, linux("web")),
    [READY, Expect(r"^web\| web: Linux", LINUX_BOOT),
     Send("nmi web"), Expect(r"^web\| .*NMI received for unknown reason"),
     Send("break web"), Send("send web h"), Expect(r"^web\| .*sysrq: HELP"),
     Send("shutdown web"), Expect(r"^web\| (.*# )?the power button was pressed"), stopped("web", "power-off"), POWER_OFF],
    timeout=240, left_out=ONE_AMD)

# A guest in front from the start, one left out, one that always comes back.
KEYS = Case(
    "keys", stick("console = front\nlog = debug\n", payload("front", "heartbeat"),
                  payload("out", "heartbeat", keys={"autostart": "off"}),
                  payload("again", "heartbeat", beats=3, keys={"restart": "always"}),
                  payload("mute", "spin", keys={"serial": "off"}, interrupts=1)),
    [READY, Expect(r"\[front: Ctrl-\]"), Expect(r"^beat 1 "), Send("\x1d", end=""),
     Expect(r"^\[front: detached\]"), stopped("again", "power-off"), started("again"),
     Send("list"), Expect(r"^front +running"), Expect(r"^mute +running"), Expect(r"^out +stopped"),
     Send("console mute"), Send("\x1d", end=""), Send("send mute hello"),
     Expect(r"^cannot type into mute"), POWER_OFF], timeout=90, linux=False,
    left_out=ONE_AMD)

# No AMD-V: it says so, what to do about it, and goes back to the firmware.
REFUSAL = Case(
    "refusal", stick(ALL, payload("heart", "heartbeat")),
    [Expect(r"does not show AMD-V"), Expect(r"SVM Mode")], exit_code=124, timeout=40, linux=False,
    left_out=dict.fromkeys(BOCHS, "its CPU models cannot be told to leave something out"),
    run_args=("--qemu-arg=-cpu", "--qemu-arg=max,-svm"), never=(r"hypervisor entered",))

SAME_NAME = Case("same-name", {"web/kernel": PAYLOAD, "WEB/kernel": PAYLOAD}, [],
                 image_error=r"two entries named '(web|WEB)'")
NAMED_MISSING = Case("named-missing", {"web/guest.conf": "memory = 16M\nkernel = nowhere\n"}, [],
                     image_error=r"web/guest\.conf:2: kernel: no such file: nowhere")


def cases():
    linux_guest = {"guest": linux("web"), "alive": Expect(r"^web\| web: Linux", LINUX_BOOT)}
    bare_guest = {"guest": payload("heart", "heartbeat"), "alive": Expect(r"^heart\| beat 5 ")}
    return [FAIR, BIG, *in_two_sizes(cpus, "cpus", linux_guest, bare_guest), MANY, SPARSE, TOP, BUTTON,
            KEYS, REFUSAL, SAME_NAME, NAMED_MISSING]
