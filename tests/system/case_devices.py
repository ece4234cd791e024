# SPDX-License-Identifier: Apache-2.0
"""Virtio devices under drivers that do all right, and under others while neighbours use theirs."""
import random
import re

import case_disk
from harness import NO_VENDOR, ONE_AMD, Case, Check, Expect, ExpectAll, Idle, Poll, Send, Trial
from sticks import (LINUX_BOOT, ONE_THREAD, POWER_OFF, READY, gone, in_two_sizes, isolated, linux, passes,
                    payload, started, stick, stopped, unbroken)

CONF = "console = all\nautostart = none\nnetwork = lan\n"
DISK = "/images/blank.img"
IMAGE = {"images/blank.img": bytes(4 << 20)}
# The hostile ones write as they like; what they get is bounded.
BOUNDED = DISK + ", overlay=2M"
# Requests to it stay in flight for a while.
SLOW = DISK + ", bandwidth=1M"
# A device complains so often in its life, which ends with its guest's.
COMPLAINTS_MAX = 8
COMPLAINT = r"^warn: {}: virtio-\w+ at \w\w\.\d, queue \d+: .*; it waits for a reset"


def mac(last):
    return f"mac=52:54:00:00:00:{last:02x}"


def virtio():
    return Case(
        "virtio",
        stick(CONF, IMAGE,
              payload("virtio-blk", keys={"cpus": 2, "disk": [DISK, DISK + ", readonly"]}),
              payload("virtio-net-loop", keys={"net": ["lan", "lan"]}),
              payload("virtio-wrong", keys={"disk": DISK}),
              payload("virtio-reset", keys={"cpus": 2, "disk": SLOW}),
              payload("pci-hostile", keys={"disk": DISK, "net": "lan"}),
              hostile("virtio-hostile", 1, 200)),
        [READY, passes("virtio-blk"), passes("virtio-net-loop"), passes("virtio-wrong"),
         passes("virtio-reset", 120), passes("pci-hostile", 120), passes("virtio-hostile", 120), *isolated(),
         Check(complaints_are_few("virtio-wrong", 1)), POWER_OFF],
        timeout=400, linux=False, left_out=ONE_AMD)


def complaints_are_few(name, devices):
    """Each of the guest's devices said something, and no more than a few lines, however often it broke."""
    def check(lines):
        starts = sum(bool(re.match(rf"^bulkhead: guest {name}: started", x)) for x in lines)
        said = sum(bool(re.match(COMPLAINT.format(name), x)) for x in lines)
        assert 1 <= said <= starts * devices * COMPLAINTS_MAX, f"{said} complaints of {name}"
    return check


def worker(name, me, other, beats):
    """The neighbour or its peer: what it writes and sends it also judges."""
    return payload(name, "io-load", beats=beats, seed=me, peer=other,
                   keys={"disk": DISK, "net": f"lan, {mac(me)}"})


def hostile(name, seed, rounds, test="virtio-hostile", cpus=1, **keys):
    return payload(name, test, seed=seed, rounds=rounds, cpus=cpus,
                   keys={"disk": BOUNDED, "net": "lan", "rng": "on", "cpus": cpus, **keys})


def interfere(name, seed, times, first=()):
    """The monitor ends, resets and starts the guest in the middle of what it does."""
    choose = random.Random(seed)
    steps = [Send(f"start {name}"), started(name), *first]
    for _ in range(times):
        steps.append(Idle(choose.uniform(0.1, 1)))
        if choose.random() < 0.5:
            steps += [Send(f"reset {name}"), started(name)]
        else:
            steps += [Send(f"stop {name}"), stopped(name, "by request"), Send(f"start {name}"), started(name)]
    return Trial(f"{name} interfered with",
                 [*steps, Send(f"stop {name}"), stopped(name, "by request"), gone(name)])


def neighbours(name, left_out, rounds, times, flood, beats, run_args=()):
    """Two guests with disk and network traffic beside hostile drivers, one of which has all the disks and
    NICs that a guest may have. What `restless` and `resets` do is in flight when the monitor ends them."""
    always = 1000000
    guests = (worker("left", 1, 2, beats), worker("right", 2, 1, beats),
              hostile("mad", 11, rounds, cpus=2), hostile("bars", 12, rounds, "pci-hostile"),
              hostile("crowd", 14, rounds, disk=[BOUNDED] * 8, net=["lan"] * 8),
              hostile("restless", 13, always, disk=[BOUNDED, BOUNDED + ", bandwidth=256K"],
                      net=["lan", "lan, rate=64K"], cpus=2),
              payload("flood", "net-flood", seconds=flood, to=1, keys={"net": "lan, rate=4M"}),
              payload("resets", "virtio-reset", rounds=always, keys={"cpus": 2, "disk": SLOW}))
    return Case(
        name, stick(CONF, IMAGE, *guests),
        [READY, Send("start left"), Send("start right"), started("left", "right"),
         *(passes(n, 120) for n in ("mad", "bars", "crowd", "flood")),
         *(interfere(n, 15, times) for n in ("restless", "resets")), *isolated(),
         # They may have ended before the others.
         *(Poll("list", rf"^{n} +stopped", beats + 60) for n in ("left", "right")),
         unbroken("left", beats), unbroken("right", beats), *isolated(),
         Check(complaints_are_few("mad", 3)), Check(complaints_are_few("crowd", 17)), POWER_OFF],
        timeout=500, cpus=2, linux=False, left_out=left_out, run_args=run_args, must=(r"^left\| PASS", r"^right\| PASS"))


DISK_BUSES = ("nvme", "ahci", "ide")
# What a guest of each bus has: a disk in memory, one whose requests stay in flight, a CD.
BUS_DISKS = {bus: [f"{BOUNDED}, bus={bus}", f"{DISK}, bus={bus}, bandwidth=1M",
                   *([f"{DISK}, bus={bus}, cdrom"] if bus != "nvme" else [])] for bus in DISK_BUSES}
# All kinds of functions that a guest can have.
ALL_FUNCTIONS = {"disk": [BOUNDED, *(f"{BOUNDED}, bus={bus}" for bus in DISK_BUSES)],
                 "net": ["lan", "lan, model=e1000", "lan, model=e1000e"], "vga": "on"}


def disk_buses():
    """Mad drivers of NVMe, AHCI and IDE, and BARs of all kinds of devices on each other, beside the two neighbours;
    then all of that at once, interfered with."""
    beats, always = 30, 1000000
    mad = [payload(f"{name}-{bus}", f"{bus}-hostile", seed=seed, rounds=rounds, keys={"disk": BUS_DISKS[bus]})
           for name, seed, rounds in (("some", 41, 80), ("endless", 42, always)) for bus in DISK_BUSES]
    endless = [f"endless-{bus}" for bus in DISK_BUSES]
    return Case(
        "disk-hostile",
        stick(CONF, IMAGE, worker("left", 1, 2, beats), worker("right", 2, 1, beats), *mad,
              payload("bars", "pci-hostile", seed=43, rounds=150, keys=ALL_FUNCTIONS)),
        [READY, Send("start left"), Send("start right"), started("left", "right"),
         *(passes(f"some-{bus}", 120) for bus in DISK_BUSES), passes("bars", 120),
         *(interfere(name, 44, 2, [Poll(f"stats {name}", r"^disk0\.read-requests \d\d")]) for name in endless),
         *isolated(), gone("left"), gone("right"), unbroken("left", beats), unbroken("right", beats), *isolated(), POWER_OFF],
        timeout=400, cpus=2, linux=False, left_out=NO_VENDOR, run_args=ONE_THREAD,
        must=(r"^left\| PASS", r"^right\| PASS"), never=(r"^endless-\w+\| (FAIL|PASS)",))


def beside_linux():
    """A file over TCP between two Linux guests, and a file system, while hostile drivers go on and on."""
    always, mib, rounds = 1000000, 16, 2
    mad = {"disk": [BOUNDED, BOUNDED + ", bandwidth=256K"], "net": ["lan", "lan, rate=64K"]}
    return Case(
        "virtio-linux",
        stick(CONF, IMAGE, case_disk.IMAGE, case_disk.disk_guest("web"),
              linux("server", f"task=net-server mib={mib}", net="lan"),
              linux("client", f"task=net-client rounds={rounds}", net="lan"),
              hostile("mad", 21, always, cpus=2, **mad), hostile("bars", 22, always, "pci-hostile"),
              payload("flood", "net-flood", seconds=always, keys={"net": "lan, rate=1M"})),
        [READY, Send("start server"), Expect(r"^server\| net-server: ready", LINUX_BOOT, "Kernel panic"),
         Send("start mad"), Send("start bars"), Send("start flood"), started("mad", "bars", "flood"),
         Send("start client"),
         *(Expect(rf"^client\| net-client: copy {i} of {mib << 20} bytes is right", 120,
                  r"net-client: copy \d+ of \d+ bytes is wrong") for i in range(1, rounds + 1)),
         ExpectAll(tuple(rf"^bulkhead: guest {n}: stopped: power-off" for n in ("server", "client")), 60),
         case_disk.turn("web", "written"), case_disk.turn("web", "verified"), *isolated(), POWER_OFF],
        timeout=500, cpus=2, left_out=NO_VENDOR, run_args=ONE_THREAD, never=(r"^(mad|bars|flood)\| (FAIL|PASS)",))


def cases():
    return [virtio(), beside_linux(), disk_buses(),
            *in_two_sizes(neighbours, "virtio-hostile",
                          {"rounds": 400, "times": 6, "flood": 10, "beats": 60, "run_args": ONE_THREAD},
                          {"rounds": 80, "times": 2, "flood": 2, "beats": 18}, ONE_AMD)]
